//! TLS as the engine knows it: a transport whose other end proves who it is. Which connection is for
//! whom, and what is said where nobody proves anything.

use crate::lab::{Lab, Party, site};
use portreeve::config::{Config, Host};
use portreeve::engine::digest::Users;
use portreeve::engine::{Health, Input, Level, Opens};
use portreeve::ground::{ConnId, Flow, Subject, Transport};
use portreeve::policy::quota::Holder;
use std::time::Duration;

const PBX: &str = "203.0.113.10:5061";
const SECOND: &str = r#"
[[upstream]]
name = "other"
address = "sips:203.0.113.10"
domain = "other.example.net"
"#;

/// Two upstreams at one address, by TLS.
fn config() -> Config {
    let text = site::EDGE
        .replace("address = \"203.0.113.10:5060\"", "address = \"sips:203.0.113.10\"")
        .replace("probe = \"0s\"", "probe = \"30s\"")
        .replace(
            "listen = [\"udp:5060\", \"tcp:5060\"]",
            "listen = [\"udp:5060\", \"tls:5061\"]\ntls = \"self-signed\"",
        );
    site::parse(&format!("{text}{SECOND}"))
}

fn lab() -> Lab {
    Lab::with(config(), Users::None)
}

/// Probes that are under way by TLS: the way of each, oldest first.
fn probes(lab: &mut Lab) -> Vec<Flow> {
    lab.advance(Duration::from_secs(2));
    let at = Party { flow: Flow { peer: PBX.parse().expect("an address"), ..lab.pbx().flow } };
    lab.take(at).iter().filter(|m| m.method() == "OPTIONS").map(|m| m.flow).collect()
}

#[test]
fn each_upstream_has_a_connection_of_its_own_though_both_are_at_one_address() {
    let mut lab = lab();
    let ways = probes(&mut lab);
    assert_eq!(ways.len(), 2);
    assert!(ways.iter().all(|f| f.transport == Transport::Tls && f.conn.is_none()));
    assert_ne!(ways[0].upstream, ways[1].upstream);
    assert!(ways.iter().all(|f| f.upstream.is_some()));
    let host = Some(Host::Ip("203.0.113.10".parse().expect("an address")));
    let proving = |name: &str| {
        let upstream = Some(name.to_owned());
        Opens { holder: Holder::Upstream, upstream, host: host.clone() }
    };
    let opened: Vec<Opens> = lab.opened.drain(..).map(|(_, opens)| opens).collect();
    assert_eq!(opened, [proving("pbx"), proving("other")]);
}

#[test]
fn who_does_not_prove_himself_is_down_and_the_reason_is_told_of_him_alone() {
    let mut lab = lab();
    let ways = probes(&mut lab);
    let why = "its certificate expired 3 days ago: renew it there".to_owned();
    lab.input(Input::Unproved { flow: ways[0], why: why.clone() });
    lab.input(Input::TransportFailed(ways[0]));
    let up = lab.upstream("pbx");
    assert_eq!((up.health, up.why, up.targets[0].why.clone()), (Health::Down, why.clone(), why));
    assert_eq!(lab.upstream("other").health, Health::Unknown, "another's connection");
    let told = |lab: &Lab, what: &str| lab.notices.iter().any(|(_, text)| text.contains(what));
    assert!(told(&lab, "upstream pbx: its certificate expired"), "{:?}", lab.notices);
    // Another reason takes its place.
    let why = "its certificate is of old.example.net".to_owned();
    lab.input(Input::Unproved { flow: ways[0], why: why.clone() });
    assert_eq!(lab.upstream("pbx").why, why);
    assert!(told(&lab, "upstream pbx by TLS: its certificate is of old"), "{:?}", lab.notices);
    let notices = lab.notices.len();
    lab.input(Input::Unproved { flow: ways[0], why });
    assert_eq!(lab.notices.len(), notices, "the same again is no news");
}

#[test]
fn who_proves_himself_is_told_to_whoever_looks_for_it() {
    let mut lab = lab();
    let ways = probes(&mut lab);
    let flow = Flow { conn: Some(ConnId(7)), upstream: None, ..ways[0] };
    let names =
        [Subject::Dns("pbx.example.net".to_owned()), Subject::Uri("odd\r\nname".to_owned())];
    lab.input(Input::Secured { flow, names: names.to_vec() });
    let (level, text) = lab.notices.last().expect("a notice");
    assert_eq!(*level, Level::Debug);
    assert!(text.ends_with("a certificate of pbx.example.net, odd\\r\\nname"), "{text}");
}
