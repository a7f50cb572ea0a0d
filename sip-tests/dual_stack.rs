//! What a phone of two IP versions offers, so that whoever has one of them understands it: a line of
//! each (ANAT, RFC 4091), an alternative address (RFC 6947), candidates of ICE (RFC 6157 §4.2). One
//! version is taken, the one that it prefers where we have it, and nothing of the choice is left for
//! the other side.

use crate::lab::script::answer;
use crate::lab::{Lab, Leg, Msg, Ua, site};
use portreeve::engine::digest::Users;

const SIX: &str = "2001:db8:17::21";
const FOUR: &str = "10.17.0.21";

/// Both versions inside; the PBX has one.
fn lab() -> Lab {
    let text = site::EDGE
        .replace("\"10.17.0.1\"", "[\"10.17.0.1\", \"2001:db8:17::1\"]")
        .replace("[\"10.17.0.0/16\"]", "[\"10.17.0.0/16\", \"2001:db8:17::/64\"]");
    let mut lab = Lab::with(site::parse(&text), Users::None);
    lab.secrets = vec!["10.17.", "2001:db8:17:"];
    lab
}

/// The phone, by one of its addresses.
fn phone(lab: &Lab, six: bool) -> Ua {
    let at = if six { format!("[{SIX}]:5060") } else { format!("{FOUR}:5060") };
    lab.phone("101", &at)
}

fn version(ip: &str) -> &'static str {
    if ip.contains(':') { "IP6" } else { "IP4" }
}

fn host(ip: &str) -> String {
    if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() }
}

fn line(ip: &str, port: u16, more: &str) -> String {
    let version = version(ip);
    format!("m=audio {port} RTP/AVP 0\r\nc=IN {version} {ip}\r\na=rtpmap:0 PCMU/8000\r\n{more}")
}

fn session(group: &str, lines: &[String]) -> String {
    let head = format!("v=0\r\no=- 1 1 IN IP4 {FOUR}\r\ns=-\r\nt=0 0\r\n{group}");
    head + &lines.concat()
}

/// A line of each version, of which one is to be taken.
fn anat(first: &str, second: &str) -> String {
    let lines = [line(first, 4000, "a=mid:1\r\n"), line(second, 4002, "a=mid:2\r\n")];
    session("a=group:ANAT 1 2\r\n", &lines)
}

/// Ports of the media lines, in order.
fn ports(msg: &Msg) -> Vec<u16> {
    let lines = msg.body.lines().filter_map(|l| l.strip_prefix("m=audio "));
    lines.map(|l| l.split(' ').next().and_then(|p| p.parse().ok()).expect("a port")).collect()
}

/// The phone calls with this offer; what the PBX gets.
fn offered(lab: &mut Lab, phone: &Ua, body: &str) -> (Leg, Msg) {
    let invite = phone.request(lab, "INVITE", "200").sdp(body);
    let invite = if body.contains("ANAT") {
        invite.with("Require", "sdp-anat, 100rel").with("Require", "SDP-ANAT")
    } else {
        invite
    };
    lab.send(phone.at, invite.clone());
    lab.expect(phone.at, "100");
    let pbx = lab.pbx();
    (Leg::calling(phone, &invite), lab.expect(pbx, "INVITE"))
}

/// A call with a line of each version; which of them is carried.
fn carried(mut lab: Lab, six: bool, [first, second]: [&str; 2]) -> usize {
    let (phone, pbx) = (phone(&lab, six), lab.far("200"));
    let (mut a, got) = offered(&mut lab, &phone, &anat(first, second));
    let there = ports(&got);
    let taken = usize::from(there[0] == 0);
    assert!(there[taken] != 0 && there[1 - taken] == 0, "{got}");
    assert!(!got.body.contains("ANAT") && !got.body.contains("IP6"), "{got}");
    assert_eq!(got.list("Require"), ["100rel"], "nobody is asked to choose: {got}");
    // The PBX takes what is there, and refuses the other as it has to.
    let mut lines = [line("203.0.113.10", 6000, ""), line("203.0.113.10", 0, "")];
    lines.rotate_right(taken);
    let body = session("", &lines).replace(FOUR, "203.0.113.10");
    lab.send(pbx.at, pbx.answer(&got, 200, "t").sdp(body));
    let ok = lab.expect(phone.at, "200");
    let back = ports(&ok);
    assert!(back[taken] != 0 && back[1 - taken] == 0, "{ok}");
    let version = if [first, second][taken] == SIX { "c=IN IP6 2001:" } else { "c=IN IP4 10." };
    assert!(ok.body.contains(version), "{ok}");
    a.learn(&ok);
    let ack = a.ack(&mut lab);
    lab.send(phone.at, ack);
    lab.expect(pbx.at, "ACK");
    let (_, stream) = lab.relay.only();
    let at = stream.party(portreeve::ground::Leg::Caller).rtp.expect("a place");
    let port = [4000, 4002][taken];
    assert_eq!(at, format!("{}:{port}", host([first, second][taken])).parse().expect("one"));
    let bye = a.request(&mut lab, "BYE");
    lab.send(phone.at, bye);
    let got = lab.expect(pbx.at, "BYE");
    lab.send(pbx.at, answer(&got, 200, ""));
    lab.expect(phone.at, "200");
    lab.end();
    taken
}

#[test]
fn of_a_line_of_each_version_the_first_that_we_have_is_carried() {
    for six in [true, false] {
        for both in [[SIX, FOUR], [FOUR, SIX]] {
            assert_eq!(carried(lab(), six, both), 0, "as it prefers: {both:?}");
        }
    }
    for (both, taken) in [([SIX, FOUR], 1), ([FOUR, SIX], 0)] {
        assert_eq!(carried(Lab::edge(), false, both), taken, "we have IPv4 alone: {both:?}");
    }
}

#[test]
fn an_alternative_address_is_taken_where_the_first_is_of_a_version_that_we_have_not() {
    for (main, other) in [(SIX, FOUR), (FOUR, SIX)] {
        for both in [true, false] {
            let mut lab = if both { lab() } else { Lab::edge() };
            let phone = phone(&lab, false);
            let altc = format!(
                "a=altc:1 {} {main} 4000\r\na=altc:2 {} {other} 4010\r\n",
                version(main),
                version(other)
            );
            let (_, got) = offered(&mut lab, &phone, &session("", &[line(main, 4000, &altc)]));
            assert!(!got.body.contains("altc") && ports(&got)[0] != 0, "{got}");
            let want = match (both, main) {
                (false, SIX) => (FOUR, 4010),
                (true, _) | (false, _) => (main, 4000),
            };
            let (_, stream) = lab.relay.only();
            let at = stream.party(portreeve::ground::Leg::Caller).rtp.expect("a place");
            let want = format!("{}:{}", host(want.0), want.1);
            assert_eq!(at, want.parse().expect("one"), "{main}, both: {both}");
            lab.clear();
            lab.advance(crate::lab::s(40));
            lab.clear();
            lab.end();
        }
    }
}

#[test]
fn a_trunk_s_alternative_is_taken_where_nothing_else_is_spoken() {
    let mut lab = Lab::edge();
    let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
    let sealed = lab.register(&phone, 600);
    let six = "2001:db8:cafe::10";
    for (lines, taken) in [
        ("a=altc:1 IP6 2001:db8:cafe::10 6000\r\na=altc:2 IP4 203.0.113.10 6010\r\n", true),
        ("a=altc:1 IP4 203.0.113.10 6010\r\n", true),
        ("", false),
        ("a=altc:1 IP4 10.17.0.66 6010\r\n", false),
        ("a=altc:1 IP4 127.0.0.1 6010\r\n", false),
        ("a=altc:1 IP4 203.0.113.10 22\r\n", false),
        ("a=altc:1 IP6 203.0.113.10 6010\r\n", false),
        ("a=altc:1 IP4 203.0.113.10\r\n", false),
        ("a=altc:x\r\n", false),
    ] {
        let body = session("", &[line(six, 6000, lines)]).replace(FOUR, "203.0.113.10");
        let text = pbx.request_to(&mut lab, "INVITE", &sealed).sdp(body);
        lab.send(pbx.at, text);
        let rung = lab.next(phone.at);
        assert_eq!(rung.is_some(), taken, "{lines}");
        if let Some(rung) = rung {
            lab.send(phone.at, answer(&rung, 486, "p"));
        }
        lab.clear();
    }
    lab.advance(crate::lab::s(40));
    lab.clear();
    lab.end();
}

#[test]
fn candidates_of_either_version_go_and_the_default_is_what_counts() {
    for six in [true, false] {
        let mut lab = lab();
        let phone = phone(&lab, six);
        let ice = format!(
            "a=ice-ufrag:x\r\na=ice-pwd:yyyyyyyyyyyyyyyyyyyyyy\r\n\
             a=candidate:1 1 UDP 2130706431 {SIX} 4000 typ host\r\n\
             a=candidate:2 1 UDP 2130706175 {FOUR} 4000 typ host\r\n"
        );
        let own = if six { SIX } else { FOUR };
        let (_, got) = offered(&mut lab, &phone, &session("", &[line(own, 4000, &ice)]));
        assert!(!got.body.contains("candidate") && !got.body.contains("ice-"), "{got}");
        assert!(ports(&got)[0] != 0 && got.body.contains("c=IN IP4 203.0.113.1"), "{got}");
        lab.clear();
        lab.advance(crate::lab::s(40));
        lab.clear();
        lab.end();
    }
}
