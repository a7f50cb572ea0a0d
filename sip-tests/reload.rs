//! A new configuration while calls are up (contract: calls under way keep the verdict they have).

use crate::lab::{Lab, Msg, s};
use portreeve::config::DefaultPolicy;

#[test]
fn calls_under_way_keep_the_verdict_they_have() {
    let mut lab = Lab::edge();
    let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
    let (mut a, b) = lab.establish(&phone, &pbx);
    lab.reload(|c| c.policy.default = DefaultPolicy::Deny);
    let invite = a.request(&mut lab, "INVITE").sdp(phone.sdp(4000));
    lab.send(phone.at, invite);
    lab.expect(phone.at, "100");
    let got = lab.expect(pbx.at, "INVITE");
    lab.send(pbx.at, pbx.answer(&got, 200, "").sdp(pbx.sdp(6000)));
    lab.expect(phone.at, "200");
    let ack = a.ack(&mut lab);
    lab.send(phone.at, ack);
    lab.expect(pbx.at, "ACK");
    lab.call(&phone, "200", 4000);
    assert_eq!(lab.take(phone.at).last().map(Msg::status), Some(403), "a new one is judged anew");
    lab.hang_up(&mut a, &b);
    lab.end();
}

#[test]
fn bindings_and_ringing_calls_live_through_a_reload() {
    let mut lab = Lab::edge();
    let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
    let sealed = lab.register(&phone, 600);
    let mut a = lab.call(&phone, "200", 4000);
    lab.expect(phone.at, "100");
    let got = lab.expect(pbx.at, "INVITE");
    lab.reload(|c| c.limits.calls = 1);
    lab.send(pbx.at, pbx.answer(&got, 200, "b").sdp(pbx.sdp(6000)));
    let ok = lab.expect(phone.at, "200");
    a.learn(&ok);
    let ack = a.ack(&mut lab);
    lab.send(phone.at, ack);
    lab.expect(pbx.at, "ACK");
    let message = pbx.request_to(&mut lab, "MESSAGE", &sealed).typed("text/plain", "x");
    lab.send(pbx.at, message);
    lab.expect(phone.at, "MESSAGE");
    lab.call(&phone, "200", 4000);
    lab.expect(phone.at, "503");
    lab.advance(s(40));
    lab.clear();
    lab.end();
}

#[test]
fn every_rule_name_has_its_counter_from_the_start() {
    let mut lab = Lab::edge();
    assert!(lab.stats().decisions.contains_key("default:allow"));
    let more = format!(
        "{}\n[[rule]]\nname = \"late\"\nside = \"inside\"\nallow = {{}}\n",
        crate::lab::site::EDGE
    );
    lab.reload(|c| *c = crate::lab::site::parse(&more));
    assert_eq!(lab.stats().decisions["late"], [0, 0]);
    lab.end();
}
