//! Phones and gateway by IPv6 alone: they register, and a call between them is relayed.

use crate::lab::{Lab, Leg, site};
use portreeve::engine::digest::Users;

const GATE: &str = "2001:db8:17::1";

#[test]
fn a_call_between_phones_by_ipv6_is_relayed() {
    let text = site::SITE
        .replace("10.17.0.1\"", &format!("{GATE}\""))
        .replace("10.17.0.0/16", "2001:db8:17::/64")
        .replace("password_file", "digest = false\npassword_file");
    let mut lab = Lab::with(site::parse(&text), Users::None);
    let [a, b] = [("101", 21), ("102", 22)].map(|(user, host)| {
        let mut phone = lab.phone(user, &format!("[2001:db8:17::{host}]:5060"));
        phone.domain = format!("[{GATE}]");
        let register = lab.local_register(&phone, 600);
        lab.send(phone.at, register);
        lab.expect(phone.at, "200");
        phone
    });
    let invite = a.request(&mut lab, "INVITE", "102").sdp(a.sdp(4000));
    lab.send(a.at, invite.clone());
    let mut caller = Leg::calling(&a, &invite);
    lab.expect(a.at, "100");
    let got = lab.expect(b.at, "INVITE");
    let line = format!("c=IN IP6 {GATE}\r\n");
    assert!(got.body.contains(&line), "{got}");
    assert!(!got.body.contains("::21"), "{got}");
    let callee = Leg::called(&b, &got, "up");
    lab.send(b.at, b.answer(&got, 200, "up").sdp(b.sdp(6000)));
    let ok = lab.expect(a.at, "200");
    assert!(ok.body.contains(&line) && !ok.body.contains("::22"), "{ok}");
    caller.learn(&ok);
    let ack = caller.ack(&mut lab);
    lab.send(a.at, ack);
    lab.expect(b.at, "ACK");
    assert_eq!(lab.stats().now.calls.iter().sum::<u64>(), 1);
    lab.hang_up(&mut caller, &callee);
    lab.end();
}
