//! Who calls at our own registrar: the proved user, whatever From says; and credentials that were made
//! for the request they stand in.

use crate::lab::digest::{again, credentials};
use crate::lab::script::{Text, answer};
use crate::lab::{Lab, Msg, Ua, s, site};
use portreeve::audit::Record;
use portreeve::audit::SecurityClass;
use portreeve::config::{Config, DefaultPolicy};
use portreeve::engine::digest::Users;

const REASON: &str = "SIP/2.0 403 From Names Another User";

/// Our own registrar with a trunk beside it, policy `site` and these rules before it.
fn trunk(rules: &str) -> Lab {
    let text = site::EDGE.replace("default = \"allow\"", "default = \"site\"");
    let registrar =
        "[registrar]\nmode = \"local\"\nrealm = \"portreeve\"\npassword_file = \"/x\"\n";
    let users = Users::Shared { password: site::PASSWORD.to_owned() };
    Lab::with(site::parse(&format!("{text}\n{registrar}\n{rules}")), users)
}

/// A request of a phone with this in its From.
fn from(lab: &mut Lab, ua: &Ua, method: &str, to: &str, uri: &str) -> Text {
    let tag = lab.fresh();
    let request = ua.request(lab, method, to).set("From", format!("<{uri}>;tag=x{tag}"));
    if method == "INVITE" { request.sdp(ua.sdp(4000)) } else { request }
}

fn refused(lab: &mut Lab, ua: &Ua, request: Text) {
    let method = request.start.split(' ').next().unwrap_or_default().to_owned();
    lab.send(ua.at, request.clone());
    let answers = lab.take(ua.at);
    let last = answers.last().expect("an answer");
    assert_eq!(last.start, REASON, "{method}");
    lab.nothing_left();
    if method == "INVITE" {
        let ack = Text {
            start: request.start.replacen("INVITE", "ACK", 1),
            rows: request.rows.clone(),
            body: String::new(),
        };
        let cseq = request.header("CSeq").replace("INVITE", "ACK");
        lab.send(ua.at, ack.set("To", last.header("To")).set("CSeq", cseq));
    }
}

/// From and verdict of the calls so far.
fn attempts(lab: &Lab) -> Vec<(String, &'static str)> {
    let attempt = |r: &Record| match r {
        Record::CallAttempt { from, verdict, .. } => Some((from.clone(), verdict.as_str())),
        _ => None,
    };
    lab.records.iter().filter_map(attempt).collect()
}

fn details(lab: &Lab) -> Vec<String> {
    let detail = |r: &Record| match r {
        Record::Security { class: SecurityClass::FalseFrom, detail, .. } => Some(detail.clone()),
        _ => None,
    };
    lab.records.iter().filter_map(detail).collect()
}

#[test]
fn a_phone_that_writes_another_number_is_refused_whatever_it_asks() {
    let mut lab = Lab::site();
    let alice = lab.local_phone("101", "10.17.0.21:5060");
    lab.local_phone("102", "10.17.0.22:5060");
    for method in ["INVITE", "MESSAGE", "SUBSCRIBE", "REFER", "PUBLISH"] {
        let request = from(&mut lab, &alice, method, "102", "sip:103@10.17.0.1");
        refused(&mut lab, &alice, request);
    }
    let methods = ["INVITE", "MESSAGE", "SUBSCRIBE", "REFER", "PUBLISH"];
    assert_eq!(details(&lab), methods.map(|m| format!("101 wrote 103 in the From of {m}")));
    assert_eq!(lab.security(), ["false_from"; 5]);
    assert_eq!(lab.stats().security[1], 5);
    assert!(attempts(&lab).is_empty(), "nobody called");
    lab.end();
}

#[test]
fn the_domain_and_the_scheme_of_from_excuse_nothing() {
    let mut lab = Lab::site();
    let alice = lab.local_phone("101", "10.17.0.21:5060");
    lab.local_phone("102", "10.17.0.22:5060");
    for uri in [
        "sip:102@10.17.0.1:5060",
        "sip:102@portreeve",
        "sips:102@10.17.0.21",
        "sip:%3102@example.org",
        "sip:102@anonymous.invalid",
        "tel:102",
    ] {
        let request = from(&mut lab, &alice, "INVITE", "102", uri);
        refused(&mut lab, &alice, request);
    }
    lab.end();
}

#[test]
fn the_answer_to_a_false_from_survives_loss_and_is_recorded_once() {
    let mut lab = Lab::site();
    let alice = lab.local_phone("101", "10.17.0.21:5060");
    let request = from(&mut lab, &alice, "INVITE", "102", "sip:102@10.17.0.1");
    for _ in 0..2 {
        lab.send(alice.at, request.clone());
        let answers = lab.take(alice.at);
        assert_eq!(answers.last().map(|m| m.start.as_str()), Some(REASON));
    }
    assert_eq!(lab.security(), ["false_from"]);
    lab.advance(s(40));
    lab.clear();
    lab.end();
}

#[test]
fn each_line_of_a_phone_is_itself() {
    let mut lab = Lab::site();
    let one = lab.local_phone("101", "10.17.0.21:5060");
    let two = lab.local_phone("102", "10.17.0.21:5060");
    let bob = lab.local_phone("103", "10.17.0.22:5060");
    for line in [&two, &one] {
        let (mut a, b) = lab.establish(line, &bob);
        lab.hang_up(&mut a, &b);
    }
    let wrong = from(&mut lab, &one, "INVITE", "103", "sip:104@10.17.0.1");
    refused(&mut lab, &one, wrong);
    assert_eq!(attempts(&lab), [("102".into(), "allow"), ("101".into(), "allow")]);
    lab.end();
}

#[test]
fn an_anonymous_caller_is_judged_and_recorded_as_the_user_it_is() {
    let rule = "[[rule]]\nname = \"no trunk\"\nfrom = [\"101\"]\nnumber = [\"*1234\"]\ndeny = { code = 403 }\n";
    let mut lab = trunk(rule);
    let alice = lab.local_phone("101", "10.17.0.21:5060");
    let bob = lab.local_phone("102", "10.17.0.22:5060");
    let anonymous = "sip:anonymous@anonymous.invalid";
    let invite = from(&mut lab, &alice, "INVITE", "102", anonymous);
    lab.send(alice.at, invite);
    lab.expect(alice.at, "100");
    let rung = lab.expect(bob.at, "INVITE");
    assert!(rung.header("From").contains(anonymous), "shown as the caller wants: {rung}");
    lab.send(bob.at, answer(&rung, 486, "b"));
    lab.expect(bob.at, "ACK");
    lab.expect(alice.at, "486");
    let invite = from(&mut lab, &alice, "INVITE", "0301234", anonymous);
    lab.send(alice.at, invite);
    assert_eq!(lab.take(alice.at).last().map(Msg::status), Some(403));
    assert_eq!(attempts(&lab), [("101".into(), "allow"), ("101".into(), "deny")]);
    assert!(lab.security().is_empty());
    lab.clear();
    lab.advance(s(40));
    lab.clear();
    lab.end();
}

#[test]
fn who_proves_itself_to_call_is_who_it_proves() {
    let mut lab = Lab::site();
    let bob = lab.local_phone("102", "10.17.0.22:5060");
    let mut guest = lab.phone("103", "10.17.0.33:5060");
    site::GATE_INSIDE.clone_into(&mut guest.domain);
    for (written, status) in [("103", "100"), ("104", "403")] {
        // Another second, another nonce.
        lab.advance(s(1));
        let invite = from(&mut lab, &guest, "INVITE", "102", &format!("sip:{written}@10.17.0.1"));
        lab.send(guest.at, invite.clone());
        let challenged = lab.expect(guest.at, "407");
        let invite = again(&mut lab, &invite, &challenged, &guest, site::PASSWORD);
        lab.send(guest.at, invite);
        if status == "403" {
            assert_eq!(lab.take(guest.at).last().map(|m| m.start.clone()), Some(REASON.into()));
        } else {
            lab.expect(guest.at, status);
            let rung = lab.expect(bob.at, "INVITE");
            lab.send(bob.at, answer(&rung, 486, "b"));
            lab.expect(bob.at, "ACK");
            // Nobody acknowledges: let its repetitions run out.
            lab.advance(s(40));
            lab.clear();
        }
    }
    assert_eq!(attempts(&lab), [("103".into(), "allow")]);
    assert_eq!(details(&lab), ["103 wrote 104 in the From of INVITE"]);
    lab.advance(s(40));
    lab.clear();
    lab.end();
}

/// No policy, so that another port of a known phone's address needs no registration.
fn open(digest: bool) -> Lab {
    Lab::site_with(|c: &mut Config| {
        c.policy.default = DefaultPolicy::Allow;
        c.registrar.digest = digest;
    })
}

#[test]
fn another_port_of_a_known_address_is_the_phone_or_proves_that_it_is_another() {
    let mut lab = open(true);
    lab.local_phone("101", "10.17.0.21:5060");
    lab.local_phone("102", "10.17.0.22:5060");
    let other = lab.phone("103", "10.17.0.21:40000");
    let invite = from(&mut lab, &other, "INVITE", "102", "sip:103@10.17.0.1");
    lab.send(other.at, invite);
    lab.expect(other.at, "407");
    let own = from(&mut lab, &other, "MESSAGE", "102", "sip:101@10.17.0.1");
    lab.send(other.at, own);
    assert_ne!(lab.take(other.at).last().map(Msg::status), Some(407));
    lab.clear();
    lab.advance(s(40));
    lab.clear();
    lab.end();
}

#[test]
fn without_digest_another_port_of_a_known_address_may_not_write_another_number() {
    let mut lab = open(false);
    let mut alice = lab.phone("101", "10.17.0.21:5060");
    site::GATE_INSIDE.clone_into(&mut alice.domain);
    let register = lab.local_register(&alice, 600);
    lab.send(alice.at, register);
    lab.expect(alice.at, "200");
    let other = lab.phone("103", "10.17.0.21:40000");
    let invite = from(&mut lab, &other, "INVITE", "101", "sip:103@10.17.0.1");
    refused(&mut lab, &other, invite);
    assert_eq!(details(&lab), ["101 wrote 103 in the From of INVITE"]);
    let stranger = lab.phone("103", "10.17.0.99:5060");
    let invite = from(&mut lab, &stranger, "MESSAGE", "177", "sip:103@10.17.0.1");
    lab.send(stranger.at, invite);
    assert_eq!(lab.take(stranger.at).last().map(Msg::status), Some(404), "policy's word");
    lab.advance(s(40));
    lab.end();
}

#[test]
fn an_emergency_call_is_put_through_whatever_its_from_says() {
    let mut lab = trunk("");
    let alice = lab.local_phone("101", "10.17.0.21:5060");
    let invite = from(&mut lab, &alice, "INVITE", "112", "sip:102@10.17.0.1");
    lab.send(alice.at, invite);
    lab.expect(alice.at, "100");
    let pbx = lab.pbx();
    lab.expect(pbx, "INVITE");
    assert_eq!(attempts(&lab), [("101".into(), "allow")]);
    lab.clear();
    lab.end();
}

#[test]
fn what_a_rule_drops_hears_nothing_of_its_from() {
    let mut lab = trunk("[[rule]]\nname = \"hush\"\nmethod = [\"MESSAGE\"]\ndrop = true\n");
    let alice = lab.local_phone("101", "10.17.0.21:5060");
    let message = from(&mut lab, &alice, "MESSAGE", "102", "sip:102@10.17.0.1");
    lab.send(alice.at, message);
    lab.nothing_left();
    assert!(lab.security().is_empty());
    lab.end();
}

#[test]
fn a_second_line_registers_as_the_user_its_from_says() {
    let rule = "[[rule]]\nname = \"known\"\nmethod = [\"REGISTER\"]\nfrom = [\"101\"]\nallow = {}\n\
                [[rule]]\nname = \"new\"\nmethod = [\"REGISTER\"]\ndeny = { code = 403 }\n";
    let mut lab = trunk(rule);
    lab.local_phone("101", "10.17.0.21:5060");
    let mut second = lab.phone("102", "10.17.0.21:5060");
    site::GATE_INSIDE.clone_into(&mut second.domain);
    let register = lab.local_register(&second, 600);
    lab.send(second.at, register);
    lab.expect(second.at, "403");
    lab.end();
}

#[test]
fn pings_of_the_gateway_may_say_what_they_like() {
    let mut lab = Lab::site();
    let alice = lab.local_phone("101", "10.17.0.21:5060");
    let ping = alice
        .request_to(&mut lab, "OPTIONS", "sip:10.17.0.1")
        .set("From", "<sip:ping@10.17.0.21>;tag=p");
    lab.send(alice.at, ping);
    lab.expect(alice.at, "200");
    lab.end();
}

#[test]
fn a_phone_asserts_no_identity_towards_another() {
    let mut lab = Lab::site();
    let alice = lab.local_phone("101", "10.17.0.21:5060");
    let bob = lab.local_phone("102", "10.17.0.22:5060");
    let mut invite = alice.request(&mut lab, "INVITE", "102").sdp(alice.sdp(4000));
    let names = ["P-Asserted-Identity", "P-Preferred-Identity", "Remote-Party-ID"];
    for name in names {
        invite = invite.with(name, "<sip:100@10.17.0.1>");
    }
    lab.send(alice.at, invite);
    lab.expect(alice.at, "100");
    let rung = lab.expect(bob.at, "INVITE");
    assert_eq!(names.map(|n| rung.has(n)), [false; 3], "{rung}");
    lab.clear();
    lab.end();
}

#[test]
fn in_front_of_a_pbx_the_pbx_says_who_may_write_what() {
    let mut lab = Lab::edge();
    let phone = lab.phone("101", "10.17.0.21:5060");
    lab.register(&phone, 600);
    let invite = from(&mut lab, &phone, "INVITE", "200", "sip:104@pbx.example.com");
    lab.send(phone.at, invite);
    lab.expect(phone.at, "100");
    let pbx = lab.pbx();
    lab.expect(pbx, "INVITE");
    assert_eq!(attempts(&lab), [("104".into(), "allow")]);
    lab.clear();
    lab.end();
}

// --- the digest's uri ---

/// Registers with a digest made for `uri`; the answer's start line.
fn register_for(lab: &mut Lab, uri: &str) -> String {
    let mut phone = lab.phone("101", "10.17.0.21:5060");
    site::GATE_INSIDE.clone_into(&mut phone.domain);
    let register = lab.local_register(&phone, 600);
    lab.send(phone.at, register.clone());
    let challenged = lab.expect(phone.at, "401");
    let mut made = register.clone();
    made.start = format!("REGISTER {uri} SIP/2.0");
    let rows = challenged.all("WWW-Authenticate");
    let value = credentials(&made, rows.last().expect("a row"), "101", site::PASSWORD);
    let branch = format!("z9hG4bKu{}", lab.fresh());
    let register = register.set("Authorization", value).set("CSeq", "2 REGISTER");
    lab.send(phone.at, register.set("Via", phone.via(&branch)));
    lab.next(phone.at).expect("an answer").start
}

#[test]
fn a_digest_made_for_any_name_of_ours_registers() {
    let ours = ["sip:portreeve", "sip:10.17.0.1:5060", "sips:PORTREEVE;transport=tcp"];
    for uri in ours.into_iter().chain(["sip:10.17.0.1;lr", "sip:10.17.0.1"]) {
        assert_eq!(register_for(&mut Lab::site(), uri), "SIP/2.0 200 OK", "{uri}");
    }
}

#[test]
fn a_digest_made_for_another_request_is_a_bad_one_and_counted() {
    for uri in ["sip:registrar.example.net", "sip:101@10.17.0.1", "sip:10.17.0.9", "nonsense"] {
        let mut lab = Lab::site();
        let told = register_for(&mut lab, uri);
        assert_eq!(told, "SIP/2.0 400 Digest Is For Another URI", "{uri}");
        assert_eq!(lab.security(), ["bad_password"]);
        assert_eq!((lab.stats().now.registrations, lab.stats().registrations[2]), (0, 1));
        lab.end();
    }
}

#[test]
fn a_digest_for_one_number_calls_no_other() {
    let mut lab = Lab::site();
    lab.local_phone("102", "10.17.0.22:5060");
    let mut guest = lab.phone("103", "10.17.0.33:5060");
    site::GATE_INSIDE.clone_into(&mut guest.domain);
    let invite = from(&mut lab, &guest, "INVITE", "102", "sip:103@10.17.0.1");
    lab.send(guest.at, invite.clone());
    let challenged = lab.expect(guest.at, "407");
    let rows = challenged.all("Proxy-Authenticate");
    let mut made = invite.clone();
    made.start = "INVITE sip:177@10.17.0.1 SIP/2.0".to_owned();
    let value = credentials(&made, rows.last().expect("a row"), "103", site::PASSWORD);
    let invite = invite.set("Proxy-Authorization", value).set("CSeq", "2 INVITE");
    lab.send(guest.at, invite.set("Via", guest.via("z9hG4bKn")));
    let told = lab.next(guest.at).expect("an answer");
    assert_eq!(told.start, "SIP/2.0 400 Digest Is For Another URI");
    assert_eq!(lab.security(), ["bad_password"]);
    lab.end();
}
