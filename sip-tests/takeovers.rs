//! What one phone does with its own names must not move what is another's.

use crate::lab::script::answer;
use crate::lab::{Lab, Leg, Ua, s, site};
use portreeve::engine::digest::Users;
use portreeve::relay::Leg as Party;

/// A REGISTER with a Contact of its choice, with or without rport; what the PBX was shown.
fn register(lab: &mut Lab, ua: &Ua, contact: &str, cseq: u32, rport: bool) -> String {
    let text = ua.request_to(lab, "REGISTER", &format!("sip:{}", ua.domain));
    let via = text.header("Via").to_owned();
    let via = if rport { via } else { via.replace(";rport", "") };
    let text = text
        .set("To", format!("<{}>", ua.aor()))
        .set("Contact", contact)
        .set("Call-ID", format!("r-{}", ua.user))
        .set("CSeq", format!("{cseq} REGISTER"))
        .with("Expires", "600")
        .set("Via", via);
    lab.send(ua.at, text);
    let pbx = lab.pbx();
    let got = lab.expect(pbx, "REGISTER");
    let sealed = got.contact().to_owned();
    lab.send(pbx, answer(&got, 200, "r").with("Contact", format!("<{sealed}>;expires=600")));
    lab.clear();
    sealed
}

#[test]
fn who_writes_anothers_contact_and_moves_takes_no_call_of_his_along() {
    let text = site::EDGE.replacen("keepalive = \"0s\"", "keepalive = \"0s\"\nrport = false", 1);
    let mut lab = Lab::with(site::parse(&text), Users::None);
    let contact = "<sip:101@10.17.0.21:5060>";
    let victim = lab.phone("101", "10.17.0.21:5060");
    let sealed = register(&mut lab, &victim, contact, 1, false);
    let thief = lab.phone("102", "10.17.0.21:40000");
    register(&mut lab, &thief, contact, 1, false);
    let pbx = lab.far("200");
    let invite = pbx.request_to(&mut lab, "INVITE", &sealed).sdp(pbx.sdp(6000));
    lab.send(pbx.at, invite);
    lab.expect(pbx.at, "100");
    let got = lab.expect(victim.at, "INVITE");
    register(&mut lab, &thief, contact, 2, true);
    lab.advance(s(2));
    assert!(lab.take(thief.at).is_empty(), "he who moved is not he who is called");
    assert!(lab.take(victim.at).iter().all(|m| m.method() == "INVITE"));
    lab.send(victim.at, victim.answer(&got, 486, "x"));
    lab.expect(victim.at, "ACK");
    lab.expect(pbx.at, "486");
    lab.clear();
}

#[test]
fn a_fork_that_answered_too_late_does_not_move_the_media() {
    let mut lab = Lab::site();
    let a = lab.local_phone("101", "10.17.0.21:5060");
    let first = lab.local_phone("102", "10.17.0.22:5060");
    lab.advance(s(2));
    let second = lab.local_phone("102", "10.17.0.23:5060");
    let invite = a.request_to(&mut lab, "INVITE", "sip:102@10.17.0.1");
    let invite = invite.set("From", "<sip:101@10.17.0.1>;tag=q").sdp(a.sdp(4000));
    lab.send(a.at, invite);
    let (i1, i2) = (lab.expect(first.at, "INVITE"), lab.expect(second.at, "INVITE"));
    lab.send(second.at, second.answer(&i2, 180, "x2"));
    lab.send(first.at, first.answer(&i1, 200, "x1").sdp(first.sdp(4002)));
    lab.clear();
    let (_, before) = lab.relay.only();
    let mut late = Leg::called(&second, &i2, "x2");
    let offer = late.request(&mut lab, "INVITE").sdp(second.sdp(4444));
    lab.send(second.at, offer);
    let told: Vec<u16> = lab.take(second.at).iter().map(|m| m.status()).collect();
    assert_eq!(told.last(), Some(&488), "{told:?}");
    assert!(lab.take(a.at).is_empty(), "the caller hears nothing of it");
    let (_, after) = lab.relay.only();
    assert_eq!(after.party(Party::Callee), before.party(Party::Callee));
    lab.clear();
}
