//! What of a call with an upstream by TLS stays, whatever becomes of the upstream: by TLS or
//! nowhere, where the file names it otherwise or no more, after a restart as well; and by that
//! upstream's own connections, where another stands at the same place.

use crate::lab::script::answer;
use crate::lab::{Lab, Leg, Msg, Party, Ua, s, site};
use crate::tls_calls::{INSIDE_TLS, OUTSIDE_TLS, config};
use portreeve::config::Config;
use portreeve::engine::digest::Users;
use portreeve::engine::{Entry, Input};
use portreeve::ground::{ConnId, Flow, Subject, Transport, UpstreamId};

const TLS: &str = "address = \"sips:203.0.113.10\"";
const CLEAR: &str = "sip:200@203.0.113.20:5060;transport=udp";
const CONN: ConnId = ConnId(500);

fn parsed(pbx: &str, more: &str) -> Config {
    site::parse(&config(pbx, more))
}

/// By a connection that we opened to an upstream, by its place in the file.
fn far(conn: ConnId, upstream: u64) -> Ua {
    let (listener, transport) = (OUTSIDE_TLS, Transport::Tls);
    let peer = "203.0.113.10:5061".parse().expect("an address");
    let (conn, upstream) = (Some(conn), Some(UpstreamId::new(upstream)));
    Ua::new(Party { flow: Flow { listener, transport, peer, conn, upstream } }, "200")
}

/// An answered call of a phone to this URI, at `pbx`.
fn answered(lab: &mut Lab, phone: &Ua, pbx: &Ua, uri: &str, contact: &str) -> (Leg, Leg) {
    let invite = phone.request_to(lab, "INVITE", uri).sdp(phone.sdp(4000));
    lab.send(phone.at, invite.clone());
    lab.expect(phone.at, "100");
    let got = lab.expect_at(pbx.at, "INVITE");
    assert_eq!(got.flow.upstream, pbx.at.flow.upstream, "{got}");
    let (mut a, b) = (Leg::calling(phone, &invite), Leg::called(pbx, &got, "t"));
    let ok = pbx.answer(&got, 200, "t").set("Contact", format!("<{contact}>"));
    lab.send(pbx.at, ok.sdp(pbx.sdp(6000)));
    a.learn(&lab.expect(phone.at, "200"));
    let ack = a.ack(lab);
    lab.send(phone.at, ack);
    lab.expect(pbx.at, "ACK");
    (a, b)
}

fn requests(lab: &mut Lab, outside: bool) -> Vec<Msg> {
    let all = lab.take_all().into_iter();
    all.filter(|m| m.is_request() && lab.is_outside(m.flow.listener) == outside).collect()
}

/// What the file may say while the call is up: the same upstream under another name, one that has no
/// TLS, the same with another way beside TLS.
fn afterwards() -> [Config; 3] {
    let other =
        |pbx: &str| site::parse(&config(pbx, "").replace("name = \"pbx\"", "name = \"provider\""));
    [
        other(TLS),
        other("address = \"203.0.113.10:5060\""),
        parsed("targets = [\"sips:203.0.113.10\", \"203.0.113.20\"]", ""),
    ]
}

#[test]
fn a_call_with_an_upstream_that_had_nothing_but_tls_stays_there_whatever_the_file_says_then() {
    for (n, after) in afterwards().into_iter().enumerate() {
        for restart in [false, true] {
            let what = format!("{n}, restart: {restart}");
            let mut lab = Lab::with(parsed(TLS, ""), Users::None);
            lab.input(Input::KeepCalls(true));
            let phone = Ua::new(lab.tls(INSIDE_TLS, "10.17.0.21:50001"), "101");
            let pbx = far(CONN, 0);
            let uri = "sip:200@pbx.example.com";
            let (mut a, mut b) = answered(&mut lab, &phone, &pbx, uri, CLEAR);
            lab.reload(|c| *c = after.clone());
            let (why, at_once) = ("it is not asked for a proof any more".to_owned(), true);
            lab.input(Input::Disproved { flow: pbx.at.flow, why, at_once });
            lab.input(Input::ConnectionClosed(CONN));
            if restart {
                lab.restart();
            }
            lab.clear();
            for method in ["INFO", "INVITE", "UPDATE"] {
                let text = a.request(&mut lab, method);
                let text = if method == "INFO" { text } else { text.sdp(phone.sdp(4000)) };
                lab.send(phone.at, text);
                lab.advance(s(2));
                for got in requests(&mut lab, true) {
                    assert_eq!(got.flow.transport, Transport::Tls, "{what}: {got}");
                    assert_eq!(got.flow.upstream, Some(UpstreamId::new(0)), "{what}: {got}");
                    lab.input(Input::TransportFailed(got.flow));
                }
                lab.clear();
            }
            // Whoever can write that host's address is no party of it.
            for by in [lab.outside("203.0.113.10:5060"), lab.tls(OUTSIDE_TLS, "203.0.113.10:40000")]
            {
                b.ua.at = by;
                let info = b.request(&mut lab, "INFO");
                lab.send(by, info);
                let got = requests(&mut lab, false);
                assert!(got.is_empty(), "{what}: {}", got[0]);
            }
            lab.input(Input::HangUpAll);
            lab.advance(s(64));
            for got in requests(&mut lab, true) {
                assert_eq!(got.flow.transport, Transport::Tls, "{what}: {got}");
            }
            lab.clear();
        }
    }
}

#[test]
fn what_was_written_down_before_is_read_as_what_goes_by_tls_where_its_upstream_has_nothing_else() {
    let mut lab = Lab::with(parsed(TLS, ""), Users::None);
    lab.input(Input::KeepCalls(true));
    let phone = Ua::new(lab.tls(INSIDE_TLS, "10.17.0.21:50001"), "101");
    let (mut a, _) = answered(&mut lab, &phone, &far(CONN, 0), "sip:200@pbx.example.com", CLEAR);
    for entry in lab.stored.values_mut() {
        if let Entry::Call(call) = entry {
            assert!(call.forks[0].leg.tls_alone && !call.caller.tls_alone);
            call.forks[0].leg.tls_alone = false;
        }
    }
    lab.restart();
    let info = a.request(&mut lab, "INFO");
    lab.send(phone.at, info);
    let got = requests(&mut lab, true);
    assert!(got.iter().all(|m| m.flow.transport == Transport::Tls) && !got.is_empty());
}

/// Two trunks of one hoster.
const SECOND: &str = r#"
[[upstream]]
name = "second"
PLACES
domain = "second.example.net"
probe = "0s"
"#;

#[test]
fn a_long_request_goes_by_connections_of_its_own_upstream_alone() {
    let second = SECOND.replace("PLACES", TLS);
    let mut lab = Lab::with(parsed(TLS, &second), Users::None);
    let phone = Ua::new(lab.tls(INSIDE_TLS, "10.17.0.21:50001"), "101");
    let (uri, own) = ("sip:200@second.example.net", "sip:200@203.0.113.10:5061;transport=tls");
    let (mut a, _) = answered(&mut lab, &phone, &far(CONN, 1), uri, own);
    lab.input(Input::ConnectionClosed(CONN));
    let info = a.request(&mut lab, "INFO").typed("text/plain", "x".repeat(1_500));
    lab.send(phone.at, info);
    let mut asked = 0;
    loop {
        let got = requests(&mut lab, true);
        let Some(first) = got.first() else { break };
        assert_eq!(first.flow.upstream, Some(UpstreamId::new(1)), "the first proves himself alone");
        let why = "its certificate is of a.example".to_owned();
        lab.input(Input::Unproved { flow: first.flow, why });
        lab.input(Input::TransportFailed(first.flow));
        asked += 1;
    }
    assert_eq!(asked, 1);
    lab.clear();
}

#[test]
fn a_long_request_by_datagrams_goes_by_no_stream_of_another_upstream() {
    let mixed = "targets = [\"203.0.113.10:5060\", \"sips:203.0.113.10\"]";
    for (places, by) in
        [("address = \"203.0.113.10:5060\"", Transport::Udp), (mixed, Transport::Tls)]
    {
        let second = SECOND.replace("PLACES", places);
        let mut lab = Lab::with(parsed(mixed, &second), Users::None);
        let phone = Ua::new(lab.tls(INSIDE_TLS, "10.17.0.21:50001"), "101");
        let pbx = Ua::new(lab.outside("203.0.113.10:5060"), "200");
        let uri = "sip:200@second.example.net";
        let (mut a, _) = answered(&mut lab, &phone, &pbx, uri, "sip:200@203.0.113.10:5060");
        let info = a.request(&mut lab, "INFO").typed("text/plain", "x".repeat(1_500));
        lab.send(phone.at, info);
        let got = requests(&mut lab, true);
        let [got] = got.as_slice() else { panic!("{}", lab.situation()) };
        let second = (by == Transport::Tls).then_some(UpstreamId::new(1));
        assert_eq!((got.flow.transport, got.flow.upstream), (by, second), "{got}");
        lab.send(Party { flow: got.flow }, answer(got, 200, ""));
        lab.clear();
    }
}

#[test]
fn who_is_believed_no_longer_is_not_believed_for_what_comes_late() {
    let subject = format!("{TLS}\ntls_subject = [\"trunk.example.net\"]");
    let names: Vec<Subject> = Subject::dns("trunk.example.net").into_iter().collect();
    for late in [false, true] {
        let text = config(&subject, "").replace("default = \"allow\"", "default = \"site\"");
        let mut lab = Lab::with(site::parse(&text), Users::None);
        let flow = lab.tls(OUTSIDE_TLS, "203.0.113.99:40001").flow;
        let why = "its certificate expired within the last day".to_owned();
        let disproved = Input::Disproved { flow, why, at_once: false };
        if late {
            lab.input(disproved);
            lab.input(Input::Secured { flow, names: names.clone() });
            assert!(lab.kept_open.is_empty());
        } else {
            lab.input(Input::Secured { flow, names: names.clone() });
            assert_eq!(lab.kept_open, flow.conn.as_slice());
            lab.input(disproved);
        }
        let trunk = Ua::new(Party { flow }, "200");
        let message = trunk.request_to(&mut lab, "MESSAGE", "sip:101@203.0.113.1");
        lab.send(trunk.at, message);
        let told = lab.take(trunk.at).pop().map(|m| m.status());
        assert!(told.is_none_or(|status| status >= 400), "{late}: {told:?}");
    }
}
