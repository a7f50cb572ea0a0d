//! RFC 5118's torture messages, octet for octet, and what the engine makes of each: its site has both
//! IP versions, the sender is inside and has IPv6, the PBX has IPv4 alone.

use crate::lab::{Lab, Msg, Party, site};
use portreeve::engine::digest::Users;
use std::path::Path;

/// What becomes of it.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// It goes to the PBX with this Request-URI.
    On(&'static str),
    /// It is answered.
    Back(u16),
}
use Fate::{Back, On};

const CASES: [(&str, Fate); 12] = [
    ("ipv6-good", On("sip:pbx.example.com")),
    ("ipv6-bad", Back(400)),
    // Valid, and another address than it seems: of the inside, so that nobody is told.
    ("port-ambiguous", On("sip:pbx.example.com")),
    ("port-unambiguous", On("sip:pbx.example.com")),
    // Of no dialog; every Via comes back.
    ("via-received-param-with-delim", Back(481)),
    ("via-received-param-no-delim", Back(200)),
    ("ipv6-in-sdp", On("sip:user@pbx.example.com")),
    ("mult-ip-in-header", Back(481)),
    ("mult-ip-in-sdp", On("sip:user@pbx.example.com")),
    ("ipv4-mapped-ipv6", On("sip:user@example.com")),
    ("ipv6-bug-abnf-3-colons", On("sip:user@pbx.example.com")),
    ("ipv6-correct-abnf-2-colons", On("sip:user@pbx.example.com")),
];

fn lab() -> (Lab, Party) {
    let text = site::EDGE
        .replace("\"10.17.0.1\"", "[\"10.17.0.1\", \"2001:db8::10\"]")
        .replace("\"10.17.0.0/16\"", "\"10.17.0.0/16\", \"192.0.2.0/24\", \"2001:db8::/64\"");
    let mut lab = Lab::with(site::parse(&text), Users::None);
    lab.checks.forgetful = true;
    lab.secrets = vec!["2001:db8", "2001:DB8", "192.0.2."];
    let sender = lab.inside("[2001:db8::9:1]:5060");
    (lab, sender)
}

fn message(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sip-tests/torture/rfc5118");
    std::fs::read(folder.join(format!("{name}.dat"))).expect("it is there")
}

/// The message as the PBX got it.
fn carried(name: &str) -> (Lab, Msg) {
    let (mut lab, sender) = lab();
    lab.send(sender, message(name));
    let pbx = lab.pbx();
    let got = lab.take(pbx).pop().unwrap_or_else(|| panic!("{name} does not go on"));
    (lab, got)
}

#[test]
fn each_of_them_goes_on_or_is_answered_as_the_rfc_has_it() {
    for (name, fate) in CASES {
        match fate {
            On(uri) => {
                let (_, got) = carried(name);
                assert_eq!(got.uri(), uri, "{name}:\n{got}");
                assert_eq!(got.all("Via").len(), 1, "{name}:\n{got}");
                for header in ["Via", "Contact", "Record-Route"] {
                    let own = got.all(header);
                    assert!(own.iter().all(|v| !v.contains('[')), "{name}: {header} in\n{got}");
                }
            }
            Back(status) => {
                let (mut lab, sender) = lab();
                lab.send(sender, message(name));
                // To the source; where the Via names no port, to 5060 (RFC 3261 §18.2.2).
                let all = lab.take_all();
                let answer = all.last().unwrap_or_else(|| panic!("{name}: no answer"));
                assert_eq!((answer.status(), answer.flow.peer.ip()), (status, sender.addr().ip()));
                let text = String::from_utf8(message(name)).expect("text");
                let vias = text.lines().filter(|l| l.starts_with("Via:")).count();
                assert_eq!(answer.all("Via").len(), vias, "{name}:\n{answer}");
            }
        }
    }
}

#[test]
fn media_of_either_version_are_anchored_and_what_is_of_another_than_the_first_is_refused() {
    let media = |name: &str| -> Vec<String> {
        let (_, got) = carried(name);
        assert!(got.body.contains("c=IN IP4 203.0.113.1\r\n"), "{got}");
        assert!(!got.body.contains("IP6"), "{got}");
        let lines = got.body.lines().filter(|l| l.starts_with("m="));
        lines.map(|l| l.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect()
    };
    for name in ["ipv6-in-sdp", "ipv4-mapped-ipv6"] {
        let lines = media(name);
        assert!(lines.len() == 2 && lines.iter().all(|l| !l.ends_with(" 0")), "{name}: {lines:?}");
    }
    let lines = media("mult-ip-in-sdp");
    assert!(!lines[0].ends_with(" 0"), "{lines:?}");
    assert_eq!(lines[1], "m=video 0");
}
