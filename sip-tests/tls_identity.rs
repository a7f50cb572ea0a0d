//! Who proved himself by a client certificate: an upstream from whatever address, whom a rule knows,
//! and nobody who did not. The driver judges certificates; here are the names that it tells.

use crate::lab::script::answer;
use crate::lab::{Lab, Party, Ua, s, site};
use crate::tls_calls::{OUTSIDE_TLS, config};
use portreeve::audit::Record;
use portreeve::engine::digest::Users;
use portreeve::engine::{Input, Level};
use portreeve::ground::{ConnId, Flow, ListenerId, Subject, Transport};

const WAN: &str = "198.51.100.77:40001";
const NAMES: &[&str] = &["sip:trunk.example.net", "trunk.example.net"];

/// An upstream behind an address that changes, known by its certificate.
fn lab(more: &str) -> Lab {
    let pbx = "address = \"203.0.113.10\"\ntls_subject = [\"trunk.example.net\"]";
    let text = config(pbx, more).replace("default = \"allow\"", "default = \"site\"");
    let mut lab = Lab::with(site::parse(&text), Users::None);
    let phone = lab.phone("101", "10.17.0.21:5060");
    lab.register(&phone, 3_600);
    lab
}

fn prove(lab: &mut Lab, party: Party, names: &[&str]) {
    let names = names.iter().filter_map(|n| Subject::written(n)).collect();
    lab.input(Input::Secured { flow: party.flow, names });
}

/// Whether a call of this party to the phone rings there, and what the party hears else.
fn rings(lab: &mut Lab, party: Party) -> bool {
    let (ua, phone) = (Ua::new(party, "200"), lab.phone("101", "10.17.0.21:5060"));
    let invite = ua.request_to(lab, "INVITE", "sip:101@203.0.113.1").sdp(ua.sdp(6000));
    lab.send(party, invite);
    let rung = lab.next(phone.at);
    if let Some(rung) = &rung {
        lab.send(phone.at, answer(rung, 486, "p"));
    }
    lab.clear();
    rung.is_some()
}

#[test]
fn an_upstream_is_known_by_its_certificate_whatever_its_address() {
    let mut lab = lab("");
    let peer = lab.tls(OUTSIDE_TLS, WAN);
    assert!(!rings(&mut lab, peer), "nobody knows the address");
    prove(&mut lab, peer, NAMES);
    assert!(lab.kept_open.contains(&peer.flow.conn.expect("it has one")));
    assert!(rings(&mut lab, peer));
    // Another connection of the same address proves nothing.
    let other = lab.tls(OUTSIDE_TLS, "198.51.100.77:40002");
    assert!(!rings(&mut lab, other));
    lab.input(Input::ConnectionClosed(peer.flow.conn.expect("it has one")));
    assert!(!rings(&mut lab, peer), "what was proved went with the connection");
    lab.advance(s(40));
    lab.clear();
    lab.end();
}

#[test]
fn other_names_are_other_people() {
    for names in [
        &["trunk.example.net.evil.example"][..],
        &["xtrunk.example.net"],
        &["trunk.example.net\u{0}"],
        &["trunk.example.net\r\nX"],
        &["*.net"],
        &["*.trunk.example.net"],
        &["*"],
        &[""],
        &["sip:trunk.example.net"],
        &["CN=trunk.example.net"],
        &["trunk。example。net"],
    ] {
        let mut lab = lab("");
        let peer = lab.tls(OUTSIDE_TLS, WAN);
        prove(&mut lab, peer, names);
        assert!(!rings(&mut lab, peer), "{names:?}");
        lab.end();
    }
}

#[test]
fn a_phone_that_proves_the_trunks_name_is_no_trunk() {
    let mut lab = lab("");
    let phone = lab.tls(crate::tls_calls::INSIDE_TLS, "10.17.0.66:40001");
    prove(&mut lab, phone, NAMES);
    assert!(!rings(&mut lab, phone));
    lab.end();
}

const RULE: &str = r#"
[[rule]]
name = "branch"
side = "outside"
tls_subject = ["branch-*"]
allow = {}
[[rule]]
name = "stolen"
side = "outside"
tls_subject = ["stolen.example.net"]
deny = { code = 480 }
"#;

#[test]
fn a_rule_lets_in_who_proved_its_name_and_the_record_says_who_it_was() {
    let mut lab = lab(RULE);
    let peer = lab.tls(OUTSIDE_TLS, WAN);
    prove(&mut lab, peer, &["branch-7.example.net", "second.example.net"]);
    assert!(rings(&mut lab, peer));
    let told = lab.records.iter().rev().find_map(|r| match r {
        Record::CallAttempt { rule, tls_subject, .. } => Some((rule.clone(), tls_subject.clone())),
        _ => None,
    });
    let want = ("branch".to_owned(), "branch-7.example.net second.example.net".to_owned());
    assert_eq!(told, Some(want));
    // Whom a rule only denies is a stranger as any other: nothing is said to him.
    let thief = lab.tls(OUTSIDE_TLS, "198.51.100.78:40001");
    prove(&mut lab, thief, &["stolen.example.net"]);
    let before = lab.closed.len();
    assert!(!rings(&mut lab, thief));
    assert_eq!(lab.closed.len(), before + 1, "strangers are silenced here");
    lab.advance(s(40));
    lab.clear();
    lab.end();
}

#[test]
fn a_name_is_believed_where_it_was_proved_and_nowhere_else() {
    for (at, meets) in [
        ("", true),
        ("interface = [\"wan\"]\n", true),
        ("side = \"outside\"\n", true),
        ("interface = [\"phones\"]\n", false),
        ("side = \"inside\"\n", false),
    ] {
        let rule = format!(
            "[[rule]]\nname = \"branch\"\n{at}tls_subject = [\"branch-*\"]\nallow = {{}}\n"
        );
        let mut lab = lab(&rule);
        let peer = lab.tls(OUTSIDE_TLS, WAN);
        prove(&mut lab, peer, &["branch-7.example.net"]);
        let conn = peer.flow.conn.expect("it has one");
        assert_eq!(lab.kept_open.contains(&conn), meets, "{at}");
        assert_eq!(rings(&mut lab, peer), meets, "{at}");
        lab.advance(s(40));
        lab.clear();
        lab.end();
    }
}

#[test]
fn a_certificate_that_proves_nothing_is_told_and_loudly_of_an_upstreams_address() {
    let mut lab = lab("");
    let why = || "its certificate expired 3 days ago: renew it there".to_owned();
    for (at, level, words) in [
        (WAN, Level::Info, "TLS from 198.51.100.77:40001 at wan: no name is believed: its"),
        ("203.0.113.10:40001", Level::Warn, "an address of upstream pbx, is named by nothing: its"),
    ] {
        let peer = lab.tls(OUTSIDE_TLS, at);
        lab.input(Input::Unnamed { flow: peer.flow, why: why() });
        let (told, text) = lab.notices.last().expect("a notice");
        assert!(*told == level && text.contains(words), "{told:?} {text}");
    }
    lab.end();
}

#[test]
fn a_new_file_says_anew_who_is_meant() {
    let mut lab = lab("");
    let peer = lab.tls(OUTSIDE_TLS, WAN);
    prove(&mut lab, peer, NAMES);
    assert!(rings(&mut lab, peer));
    lab.reload(|c| c.upstreams[0].tls_subject = vec!["other.example.net".to_owned()]);
    assert!(!rings(&mut lab, peer));
    lab.reload(|c| c.upstreams[0].tls_subject = vec!["trunk.*".to_owned()]);
    assert!(rings(&mut lab, peer));
    lab.advance(s(40));
    lab.clear();
    lab.end();
}

/// A request of the phone's, and by which connection it goes to the upstream.
fn asked_by(lab: &mut Lab) -> Option<ConnId> {
    let phone = lab.phone("101", "10.17.0.21:5060");
    let text = phone.request(lab, "MESSAGE", "200").typed("text/plain", "x");
    lab.send(phone.at, text);
    let got = lab.take_all().into_iter().find(|m| m.method() == "MESSAGE").expect("it goes");
    lab.send(Party { flow: got.flow }, answer(&got, 200, "m"));
    lab.clear();
    got.flow.conn
}

/// OPTIONS with `alias` in its Via.
fn says_alias(lab: &mut Lab, party: Party) {
    let ua = Ua::new(party, "200");
    let text = ua.request_to(lab, "OPTIONS", "sip:203.0.113.1");
    let via = format!("{};alias", text.header("Via"));
    lab.send(party, text.set("Via", via));
    lab.clear();
}

#[test]
fn an_alias_of_who_proved_himself_is_used_and_nobody_elses() {
    let mut lab = lab("");
    let peer = lab.tls(OUTSIDE_TLS, WAN);
    says_alias(&mut lab, peer);
    assert_eq!(asked_by(&mut lab), None, "who proved nothing");
    prove(&mut lab, peer, &["other.example.net"]);
    says_alias(&mut lab, peer);
    assert_eq!(asked_by(&mut lab), None, "who proved another name");
    prove(&mut lab, peer, NAMES);
    assert_eq!(asked_by(&mut lab), None, "he has not asked for it");
    says_alias(&mut lab, peer);
    assert_eq!(asked_by(&mut lab), peer.flow.conn);
    lab.input(Input::ConnectionClosed(peer.flow.conn.expect("it has one")));
    assert_eq!(asked_by(&mut lab), None, "it is gone");
    // He comes again from elsewhere.
    let again = lab.tls(OUTSIDE_TLS, "198.51.100.99:40001");
    prove(&mut lab, again, NAMES);
    says_alias(&mut lab, again);
    assert_eq!(asked_by(&mut lab), again.flow.conn);
    lab.advance(s(40));
    lab.clear();
    lab.end();
}

#[test]
fn a_call_of_an_upstream_goes_on_by_its_next_connection() {
    let mut lab = lab("");
    let peer = lab.tls(OUTSIDE_TLS, WAN);
    prove(&mut lab, peer, NAMES);
    says_alias(&mut lab, peer);
    let (ua, phone) = (Ua::new(peer, "200"), lab.phone("101", "10.17.0.21:5060"));
    let invite = ua.request_to(&mut lab, "INVITE", "sip:101@203.0.113.1").sdp(ua.sdp(6000));
    lab.send(peer, invite.clone());
    lab.expect(peer, "100");
    let rung = lab.expect(phone.at, "INVITE");
    let mut near = crate::lab::Leg::called(&phone, &rung, "p");
    lab.send(phone.at, phone.answer(&rung, 200, "p").sdp(phone.sdp(4000)));
    let ok = lab.expect(peer, "200");
    let mut far = crate::lab::Leg::calling(&ua, &invite);
    far.learn(&ok);
    let ack = far.ack(&mut lab);
    lab.send(peer, ack);
    lab.expect(phone.at, "ACK");
    // The WAN has another address now.
    lab.input(Input::ConnectionClosed(peer.flow.conn.expect("it has one")));
    let again = lab.tls(OUTSIDE_TLS, "198.51.100.99:40001");
    let thief = lab.tls(OUTSIDE_TLS, "198.51.100.98:40001");
    prove(&mut lab, again, NAMES);
    says_alias(&mut lab, again);
    far.ua.at = thief;
    let info = far.request(&mut lab, "INFO");
    lab.send(thief, info);
    assert!(lab.take(phone.at).is_empty(), "who did not prove himself is no party");
    lab.clear();
    far.ua.at = again;
    let info = far.request(&mut lab, "INFO");
    lab.send(again, info);
    let got = lab.expect(phone.at, "INFO");
    lab.send(phone.at, answer(&got, 200, ""));
    lab.expect(again, "200");
    let bye = near.request(&mut lab, "BYE");
    lab.send(phone.at, bye);
    let got = lab.expect(again, "BYE");
    lab.send(again, answer(&got, 200, ""));
    lab.expect(phone.at, "200");
    lab.end();
}

fn disprove(lab: &mut Lab, flow: Flow, at_once: bool) {
    let why = "its certificate has ended: renew it there".to_owned();
    lab.input(Input::Disproved { flow, why, at_once });
}

#[test]
fn who_is_believed_no_longer_begins_nothing_and_what_has_begun_ends() {
    let mut lab = lab("");
    let peer = lab.tls(OUTSIDE_TLS, WAN);
    let conn = peer.flow.conn.expect("it has one");
    prove(&mut lab, peer, NAMES);
    says_alias(&mut lab, peer);
    let (ua, phone) = (Ua::new(peer, "200"), lab.phone("101", "10.17.0.21:5060"));
    let invite = ua.request_to(&mut lab, "INVITE", "sip:101@203.0.113.1").sdp(ua.sdp(6000));
    lab.send(peer, invite.clone());
    lab.expect(peer, "100");
    let rung = lab.expect(phone.at, "INVITE");
    disprove(&mut lab, peer.flow, false);
    assert!(lab.closed.is_empty(), "a call rings there");
    let told = lab.notices.last().expect("a notice");
    assert!(
        told.0 == Level::Warn && told.1.contains("upstream pbx, who proved himself"),
        "{told:?}"
    );
    assert_eq!(asked_by(&mut lab), None, "nothing new is sent there");
    for method in ["INVITE", "OPTIONS", "REGISTER", "MESSAGE", "SUBSCRIBE"] {
        let text = ua.request_to(&mut lab, method, "sip:101@203.0.113.1");
        lab.send(peer, text);
        assert!(lab.take(phone.at).is_empty(), "nor heard from there");
        let no = lab.expect(peer, "503");
        assert!(no.start.contains("Certificate No Longer Believed"), "{no}");
    }
    // Nor does what is in no dialog, or is no message, cut off what rings.
    let astray = ua.request_to(&mut lab, "BYE", "sip:101@203.0.113.1");
    let to = format!("{};tag=none", astray.header("To"));
    lab.send(peer, astray.set("To", to));
    lab.expect(peer, "481");
    let two = ua.request_to(&mut lab, "MESSAGE", "sip:101@203.0.113.1").with("CSeq", "2 MESSAGE");
    lab.send(peer, two);
    lab.expect(peer, "400");
    assert!((&lab.closed[..], &lab.barred[..]) == (&[], &[]), "{:?}", lab.closed);
    lab.send(phone.at, answer(&rung, 486, "p"));
    let busy = lab.expect(peer, "486");
    assert_eq!(busy.flow.conn, Some(conn), "what has begun is answered there");
    assert!(lab.closed.is_empty(), "its ACK is still to come");
    let ack = crate::lab::Leg::calling(&ua, &invite).ack_refusal(&busy);
    lab.send(peer, ack);
    assert_eq!(lab.closed, [conn], "then it is closed");
    // What was on its way comes from nobody.
    let late = ua.request_to(&mut lab, "OPTIONS", "sip:203.0.113.1");
    lab.clear();
    lab.send(peer, late);
    assert!(lab.take(peer).is_empty());
    assert_eq!(lab.closed, [conn], "once");
    lab.input(Input::ConnectionClosed(conn));
    lab.advance(s(40));
    lab.clear();
    lab.end();
}

#[test]
fn who_cancels_or_hangs_up_where_he_is_believed_no_longer_has_done_so() {
    for answered in [false, true] {
        let mut lab = lab("");
        let peer = lab.tls(OUTSIDE_TLS, WAN);
        let conn = peer.flow.conn.expect("it has one");
        prove(&mut lab, peer, NAMES);
        let (ua, phone) = (Ua::new(peer, "200"), lab.phone("101", "10.17.0.21:5060"));
        let invite = ua.request_to(&mut lab, "INVITE", "sip:101@203.0.113.1").sdp(ua.sdp(6000));
        lab.send(peer, invite.clone());
        lab.expect(peer, "100");
        let rung = lab.expect(phone.at, "INVITE");
        let mut far = crate::lab::Leg::calling(&ua, &invite);
        lab.send(phone.at, phone.answer(&rung, 180, "p"));
        lab.expect(peer, "180");
        disprove(&mut lab, peer.flow, false);
        if answered {
            lab.send(phone.at, phone.answer(&rung, 200, "p").sdp(phone.sdp(4000)));
            far.learn(&lab.expect(peer, "200"));
            let ack = far.ack(&mut lab);
            lab.send(peer, ack);
            lab.expect(phone.at, "ACK");
            let bye = far.request(&mut lab, "BYE");
            lab.send(peer, bye);
            let bye = lab.expect(phone.at, "BYE");
            lab.send(phone.at, answer(&bye, 200, ""));
        } else {
            lab.send(peer, far.cancel());
            let cancel = lab.expect(phone.at, "CANCEL");
            lab.send(phone.at, answer(&cancel, 200, "p"));
            lab.send(phone.at, answer(&rung, 487, "p"));
            lab.expect(phone.at, "ACK");
        }
        let last = lab.take(peer).pop().expect("an answer");
        assert_eq!(last.status(), if answered { 200 } else { 487 });
        assert_eq!(last.flow.conn, Some(conn));
        lab.advance(s(64));
        assert_eq!(lab.closed, [conn]);
        lab.input(Input::ConnectionClosed(conn));
        lab.clear();
        lab.end();
    }
}

#[test]
fn who_calls_for_help_is_asked_for_no_certificate() {
    let mut lab = lab("");
    let party = lab.tls(crate::tls_calls::INSIDE_TLS, "10.17.0.66:40001");
    let conn = party.flow.conn.expect("it has one");
    prove(&mut lab, party, &["desk-7.example.net"]);
    let (ua, far) = (Ua::new(party, "107"), lab.far("200"));
    // Something of his own waits there.
    let call = ua.request(&mut lab, "INVITE", "112").sdp(ua.sdp(4000));
    lab.send(party, call);
    lab.expect(party, "100");
    disprove(&mut lab, party.flow, false);
    let again = ua.request(&mut lab, "MESSAGE", "200").typed("text/plain", "x");
    lab.send(party, again);
    lab.expect(party, "503");
    lab.advance(s(5));
    lab.clear();
    let call = ua.request(&mut lab, "INVITE", "911").sdp(ua.sdp(4002));
    lab.send(party, call);
    let told: Vec<u16> = lab.take(party).iter().map(|m| m.status()).collect();
    assert!(told.contains(&100), "{told:?}");
    assert!(!lab.closed.contains(&conn));
    let _ = far;
    lab.clear();
    lab.end();
}

#[test]
fn whom_the_new_file_does_not_believe_is_cut_off_at_once_and_asked_anew() {
    let mut lab = lab("");
    let peer = lab.tls(OUTSIDE_TLS, WAN);
    let conn = peer.flow.conn.expect("it has one");
    prove(&mut lab, peer, NAMES);
    says_alias(&mut lab, peer);
    let phone = lab.phone("101", "10.17.0.21:5060");
    let text = phone.request(&mut lab, "MESSAGE", "200").typed("text/plain", "x");
    lab.send(phone.at, text);
    let first = lab.take_all().into_iter().find(|m| m.method() == "MESSAGE").expect("it goes");
    assert_eq!(first.flow.conn, Some(conn));
    disprove(&mut lab, peer.flow, true);
    assert_eq!(lab.closed, [conn]);
    let again: Vec<_> = lab.take_all().into_iter().filter(|m| m.method() == "MESSAGE").collect();
    assert!(again.iter().all(|m| m.flow.conn.is_none()), "not there any more");
    lab.input(Input::ConnectionClosed(conn));
    lab.advance(s(40));
    lab.clear();
    lab.end();
}

/// Who registered by TLS is known by that connection: the next one from his address and port may be
/// anybody's, and says who he is.
#[test]
fn another_connection_from_a_phone_s_place_is_not_that_phone() {
    use crate::lab::digest::again;
    use portreeve::config::{Certificate, ClientCertificate, Listen, ServerTls, TlsVersion};
    let mut lab = Lab::site_with(|c| {
        c.interfaces[0].listen.push(Listen { transport: Transport::Tls, port: 5061 });
        let (certificate, client) = (Certificate::SelfSigned, ClientCertificate::Off);
        let (client_ca, min_version) = (None, TlsVersion::V12);
        c.interfaces[0].tls = Some(ServerTls { certificate, client, client_ca, min_version });
    });
    let by = |conn: u64| {
        let (listener, transport) = (ListenerId(2), Transport::Tls);
        let (peer, conn) = ("10.17.0.21:40001".parse().unwrap(), Some(ConnId(conn)));
        let mut ua = Ua::new(
            Party { flow: Flow { listener, transport, peer, conn, upstream: None } },
            "101",
        );
        site::GATE_INSIDE.clone_into(&mut ua.domain);
        ua
    };
    let phone = by(1);
    let register = lab.local_register(&phone, 600);
    lab.send(phone.at, register.clone());
    let asked = lab.expect(phone.at, "401");
    let proof = again(&mut lab, &register, &asked, &phone, site::PASSWORD);
    lab.send(phone.at, proof);
    lab.expect(phone.at, "200");
    let call = |lab: &mut Lab, ua: &Ua| {
        let uri = format!("sip:102@{}", site::GATE_INSIDE);
        let invite = ua.request_to(lab, "INVITE", &uri).sdp(ua.sdp(4000));
        lab.send(ua.at, invite);
        lab.take(ua.at).pop().expect("an answer").status()
    };
    assert_ne!(call(&mut lab, &phone), 407, "the phone itself");
    lab.input(Input::ConnectionClosed(ConnId(1)));
    assert_eq!(call(&mut lab, &by(2)), 407, "who is that?");
    lab.clear();
}
