//! An upstream that is reached by TLS alone is who has proved it: by the connection that we opened
//! and that proved itself, by a certificate of its `tls_subject`, or from an address that the file
//! lists as its source. Nobody becomes it by an address that anybody can write, or that DNS told.

use crate::lab::script::answer;
use crate::lab::{Lab, Leg, Party, Ua, s, site};
use crate::tls_calls::{OUTSIDE_TLS, config};
use crate::upstream_names::Dns;
use portreeve::engine::digest::Users;
use portreeve::engine::{Health, Input};
use portreeve::ground::{ConnId, Flow, Subject, UpstreamId};

const FIXED: &str = "address = \"sips:203.0.113.10\"";
const NAMED: &str = "address = \"sips:trunk.example.net\"";

fn lab(pbx: &str, strangers: &str) -> Lab {
    let text = config(pbx, "")
        .replace("default = \"allow\"", "default = \"site\"")
        .replace("side = \"outside\"", &format!("side = \"outside\"\nstrangers = \"{strangers}\""));
    let mut lab = Lab::with(site::parse(&text), Users::None);
    if pbx.contains("trunk.example.net") {
        let mut dns = Dns { ttl: 60, ..Dns::default() };
        dns.host("trunk.example.net", &["203.0.113.10"]);
        dns.answer(&mut lab);
    }
    let phone = lab.phone("101", "10.17.0.21:5060");
    let register = phone
        .request_to(&mut lab, "REGISTER", "sip:pbx.example.com")
        .set("To", format!("<{}>", phone.aor()))
        .with("Expires", "3600");
    lab.send(phone.at, register);
    let own = opened(&mut lab);
    let got = lab.expect_at(own, "REGISTER");
    let granted = format!("<{}>;expires=3600", got.contact());
    lab.send(own, answer(&got, 200, "r").with("Contact", granted));
    lab.clear();
    lab
}

/// The connection that we opened to it.
fn opened(lab: &mut Lab) -> Party {
    let to = lab.tls(OUTSIDE_TLS, "203.0.113.10:5061").flow;
    let (conn, upstream) = (Some(ConnId(500)), Some(UpstreamId::new(0)));
    Party { flow: Flow { conn, upstream, ..to } }
}

/// Whether the phone rings for who sends by this way, and what it is told of who calls.
fn rings(lab: &mut Lab, party: Party) -> Option<String> {
    let (ua, phone) = (Ua::new(party, "200"), lab.phone("101", "10.17.0.21:5060"));
    let invite = ua.request_to(lab, "INVITE", "sip:101@203.0.113.1").sdp(ua.sdp(6000));
    lab.send(party, invite.with("P-Asserted-Identity", "<sip:chief@pbx.example.com>"));
    let rung = lab.next(phone.at);
    if let Some(rung) = &rung {
        lab.send(phone.at, answer(rung, 486, "p"));
    }
    lab.clear();
    rung.map(|m| m.header("P-Asserted-Identity").to_owned())
}

fn called(name: &str) -> Vec<Subject> {
    Subject::dns(name).into_iter().collect()
}

/// Everybody who can write its address, or answers for its name.
fn pretenders(lab: &mut Lab) -> [Party; 5] {
    [
        lab.outside("203.0.113.10:40000"),
        lab.outside("203.0.113.10:5060"),
        lab.outside("203.0.113.10:5061"),
        lab.tls(OUTSIDE_TLS, "203.0.113.10:40001"),
        lab.tls(OUTSIDE_TLS, "203.0.113.10:5061"),
    ]
}

#[test]
fn an_address_makes_nobody_an_upstream_that_has_to_prove_itself() {
    for pbx in [FIXED, NAMED] {
        for strangers in ["silent", "answer"] {
            let mut lab = lab(pbx, strangers);
            for who in pretenders(&mut lab) {
                assert_eq!(rings(&mut lab, who), None, "{pbx}: {:?}", who.flow);
            }
            let own = opened(&mut lab);
            let chief = Some("<sip:chief@pbx.example.com>".to_owned());
            assert_eq!(rings(&mut lab, own), chief, "who proved himself is it");
            lab.advance(s(40));
            lab.clear();
            lab.end();
        }
    }
}

#[test]
fn what_was_proved_counts_by_that_connection_and_sources_of_the_file_by_any() {
    let subject = format!("{FIXED}\ntls_subject = [\"trunk.example.net\"]");
    let mut lab = lab(&subject, "silent");
    let peer = lab.tls(OUTSIDE_TLS, "203.0.113.10:40001");
    lab.input(Input::Secured { flow: peer.flow, names: called("other.example.net") });
    assert_eq!(rings(&mut lab, peer), None);
    lab.input(Input::Secured { flow: peer.flow, names: called("trunk.example.net") });
    assert!(rings(&mut lab, peer).is_some());
    lab.advance(s(40));
    lab.clear();
    lab.end();
    let mut lab = self::lab(&format!("{FIXED}\nsources = [\"203.0.113.20/31\"]"), "silent");
    for (at, known) in [("203.0.113.20:5060", true), ("203.0.113.10:5060", false)] {
        let who = lab.outside(at);
        assert_eq!(rings(&mut lab, who).is_some(), known, "{at}");
    }
    let written = self::lab(&format!("{FIXED}\nsources = [\"203.0.113.10\"]"), "silent");
    let (mut lab, who) = (written, pretenders(&mut self::lab(FIXED, "silent"))[0]);
    assert!(rings(&mut lab, who).is_some(), "the file says so");
}

#[test]
fn an_upstream_with_one_way_that_needs_no_proof_is_known_by_its_address() {
    let mixed = "targets = [\"sips:203.0.113.10\", \"203.0.113.11\"]";
    let mut lab = lab(mixed, "silent");
    for at in ["203.0.113.10:5060", "203.0.113.11:5060"] {
        let who = lab.outside(at);
        assert!(rings(&mut lab, who).is_some(), "{at}");
    }
    lab.advance(s(40));
    lab.clear();
    lab.end();
}

#[test]
fn who_is_not_believed_at_its_address_is_told_what_to_write() {
    for strangers in ["silent", "answer"] {
        let mut lab = lab(FIXED, strangers);
        let who = lab.outside("203.0.113.10:5060");
        rings(&mut lab, who);
        let told = lab.notices.iter().filter(|(_, text)| {
            text.contains("upstream \"pbx\" is reached by TLS alone")
                && text.contains("`tls_subject`")
                && text.contains("`sources`")
        });
        assert_eq!(told.count(), 1, "{strangers}: {:?}", lab.notices);
    }
}

#[test]
fn nobody_ends_or_enters_its_calls_by_its_address() {
    let mut lab = lab(FIXED, "silent");
    let own = Ua::new(opened(&mut lab), "200");
    let phone = lab.phone("101", "10.17.0.21:5060");
    let invite = own.request_to(&mut lab, "INVITE", "sip:101@203.0.113.1").sdp(own.sdp(6000));
    lab.send(own.at, invite.clone());
    let got = {
        lab.expect(own.at, "100");
        lab.expect(phone.at, "INVITE")
    };
    let mut far = Leg::calling(&own, &invite);
    // A forged CANCEL of it.
    let cancel = far.cancel();
    for who in pretenders(&mut lab) {
        lab.send(who, cancel.clone());
        assert!(lab.take(phone.at).is_empty(), "{:?}", who.flow);
        lab.clear();
    }
    lab.send(phone.at, phone.answer(&got, 200, "p").sdp(phone.sdp(4000)));
    far.learn(&lab.expect(own.at, "200"));
    let ack = far.ack(&mut lab);
    lab.send(own.at, ack);
    lab.expect(phone.at, "ACK");
    for who in pretenders(&mut lab) {
        far.ua.at = who;
        let bye = far.request(&mut lab, "BYE");
        lab.send(who, bye);
        assert!(lab.take(phone.at).is_empty(), "{:?}", who.flow);
        lab.clear();
    }
    assert_eq!(lab.ends(), []);
    lab.clear();
    lab.end();
}

#[test]
fn a_call_by_its_own_connection_goes_on_where_it_is_and_by_nobody_else() {
    let mut lab = lab(&format!("{FIXED}\ntls_subject = [\"trunk.example.net\"]"), "silent");
    let peer = lab.tls(OUTSIDE_TLS, "203.0.113.10:40001");
    let names = called("trunk.example.net");
    lab.input(Input::Secured { flow: peer.flow, names: names.clone() });
    let (ua, phone) = (Ua::new(peer, "200"), lab.phone("101", "10.17.0.21:5060"));
    let invite = ua.request_to(&mut lab, "INVITE", "sip:101@203.0.113.1").sdp(ua.sdp(6000));
    let invite = invite.set("Contact", "<sip:200@203.0.113.10:40001>");
    lab.send(peer, invite.clone());
    lab.expect(peer, "100");
    let got = lab.expect(phone.at, "INVITE");
    let mut near = Leg::called(&phone, &got, "p");
    lab.send(phone.at, phone.answer(&got, 200, "p").sdp(phone.sdp(4000)));
    let mut far = Leg::calling(&ua, &invite);
    far.learn(&lab.expect(peer, "200"));
    let ack = far.ack(&mut lab);
    lab.send(peer, ack);
    lab.expect(phone.at, "ACK");
    lab.input(Input::ConnectionClosed(peer.flow.conn.expect("it has one")));
    // To the place of the upstream, where it proves itself.
    let info = near.request(&mut lab, "INFO");
    lab.send(phone.at, info);
    let own = opened(&mut lab);
    let got = lab.expect_at(own, "INFO");
    assert_eq!(got.flow.upstream, Some(UpstreamId::new(0)));
    lab.send(own, answer(&got, 200, ""));
    lab.expect(phone.at, "200");
    // It comes back, and has to prove itself before it is heard.
    let again = lab.tls(OUTSIDE_TLS, "203.0.113.10:40002");
    far.ua.at = again;
    let info = far.request(&mut lab, "INFO");
    lab.send(again, info);
    assert!(lab.take(phone.at).is_empty());
    lab.clear();
    lab.input(Input::Secured { flow: again.flow, names });
    let bye = far.request(&mut lab, "BYE");
    lab.send(again, bye);
    let got = lab.expect(phone.at, "BYE");
    lab.send(phone.at, answer(&got, 200, ""));
    lab.expect(again, "200");
    lab.end();
}

#[test]
fn nobody_keeps_a_dead_upstream_up_from_its_address() {
    let mut lab = lab(FIXED, "silent");
    let own = opened(&mut lab);
    let why = "its certificate is of another".to_owned();
    lab.input(Input::Unproved { flow: Flow { conn: None, ..own.flow }, why });
    assert_eq!(lab.upstream("pbx").health, Health::Down);
    let phone = lab.phone("101", "10.17.0.21:5060");
    let asked = phone.request(&mut lab, "OPTIONS", "200");
    lab.send(phone.at, asked);
    let asked = lab.take(own).pop().expect("it is tried");
    for who in pretenders(&mut lab) {
        lab.send(who, answer(&asked, 200, "o"));
        assert!(lab.take(phone.at).is_empty(), "{:?}", who.flow);
        assert_eq!(lab.upstream("pbx").health, Health::Down, "{:?}", who.flow);
    }
    lab.clear();
}

#[test]
fn an_answer_to_what_went_by_tls_comes_by_tls() {
    let mut lab = lab(FIXED, "silent");
    let phone = lab.phone("101", "10.17.0.21:5060");
    let text = phone.request(&mut lab, "MESSAGE", "200").typed("text/plain", "x");
    lab.send(phone.at, text);
    let own = opened(&mut lab);
    let got = lab.expect_at(own, "MESSAGE");
    let clear = lab.outside("203.0.113.10:5061");
    lab.send(clear, answer(&got, 200, "m"));
    assert!(lab.take(phone.at).is_empty(), "somebody who reads along");
    lab.send(own, answer(&got, 200, "m"));
    lab.expect(phone.at, "200");
    lab.end();
}
