//! A target that takes a call and dies: its probe says so, and the call goes on by the next one.

use crate::lab::script::answer;
use crate::lab::{Lab, Leg, Party, Ua, s, site};
use portreeve::engine::digest::Users;

const A: &str = "203.0.113.31:5060";
const B: &str = "203.0.113.32:5060";

fn lab() -> Lab {
    let text = site::EDGE
        .replace("address = \"203.0.113.10:5060\"", &format!("targets = [\"{A}\", \"{B}\"]"))
        .replace("probe = \"0s\"", "probe = \"5s\"");
    Lab::with(site::parse(&(text + "[timers]\nt1 = \"100ms\"\nt2 = \"400ms\"\n")), Users::None)
}

/// Time passes, in which these answer their probes; requests of other methods that came.
fn pass(lab: &mut Lab, seconds: u64, alive: &[Party]) -> Vec<(Party, crate::lab::Msg)> {
    let mut other = Vec::new();
    for _ in 0..seconds * 2 {
        lab.advance(crate::lab::ms(500));
        for at in [A, B].map(|at| lab.outside(at)) {
            for msg in lab.take(at) {
                match msg.method() {
                    "OPTIONS" if alive.contains(&at) => lab.send(at, answer(&msg, 200, "o")),
                    "OPTIONS" => {}
                    _ => other.push((at, msg)),
                }
            }
        }
    }
    other
}

/// A call that the first target takes with these answers, and dies.
fn begun(lab: &mut Lab, says: &[u16]) -> (Leg, crate::lab::Msg) {
    let [a, b] = [A, B].map(|at| lab.outside(at));
    pass(lab, 3, &[a, b]);
    let phone = lab.phone("101", "10.17.0.21:5060");
    let leg = lab.call(&phone, "200", 4000);
    let got = lab.expect(a, "INVITE");
    for status in says {
        lab.send(a, answer(&got, *status, "a"));
    }
    lab.take(phone.at);
    (leg, got)
}

#[test]
fn a_call_that_rings_nowhere_goes_on_by_the_next() {
    let mut lab = lab();
    let (mut leg, first) = begun(&mut lab, &[100]);
    let [a, b] = [A, B].map(|at| lab.outside(at));
    let asked = (0..20).find_map(|_| {
        let came = pass(&mut lab, 1, &[b]);
        came.into_iter().find(|(_, m)| m.method() == "INVITE")
    });
    let (at, second) = asked.unwrap_or_else(|| panic!("nobody else: {}", lab.situation()));
    assert!(at == b && second.branch() != first.branch());
    lab.take(b);
    let far = Ua::new(b, "200");
    lab.send(b, far.answer(&second, 200, "b").sdp(far.sdp(6000)));
    let ok = lab.expect(leg.ua.at, "200");
    leg.learn(&ok);
    let ack = leg.ack(&mut lab);
    lab.send(leg.ua.at, ack);
    lab.expect(b, "ACK");
    // Should the first live after all, it does not ring on.
    let cancel = lab.expect(a, "CANCEL");
    lab.send(a, answer(&cancel, 200, "a"));
    lab.send(a, answer(&first, 487, "a"));
    lab.expect(a, "ACK");
    let other = Leg::called(&far, &second, "b");
    lab.hang_up(&mut leg, &other);
    pass(&mut lab, 60, &[a, b]);
    assert_eq!(lab.stats().now.transactions.iter().sum::<u64>(), 0);
}

#[test]
fn one_that_rings_is_waited_for() {
    let mut lab = lab();
    let (leg, first) = begun(&mut lab, &[100, 180]);
    let [a, b] = [A, B].map(|at| lab.outside(at));
    let came = pass(&mut lab, 20, &[b]);
    assert!(came.iter().all(|(_, m)| m.method() != "INVITE"), "{}", lab.situation());
    lab.send(leg.ua.at, leg.cancel());
    lab.take(leg.ua.at);
    let cancel = lab.expect(a, "CANCEL");
    lab.send(a, answer(&cancel, 200, "a"));
    lab.send(a, answer(&first, 487, "a"));
    lab.expect(a, "ACK");
    pass(&mut lab, 60, &[a, b]);
    lab.advance(s(1));
    lab.clear();
}

#[test]
fn who_was_waited_for_until_timer_c_is_the_last_who_is_asked() {
    // The phone there is gone and says nothing of the call, or the PBX says something late.
    let cases = [(&[100, 180][..], None, 408), (&[100], None, 408), (&[100, 180], Some(503), 500)];
    for (says, late, status) in cases {
        let mut lab = lab();
        let (leg, first) = begun(&mut lab, says);
        let [a, b] = [A, B].map(|at| lab.outside(at));
        let c = lab.config.timers.c.as_secs();
        let came = pass(&mut lab, c + 1, &[a, b]);
        assert!(!came.is_empty(), "{says:?}: {}", lab.situation());
        assert!(came.iter().all(|(_, m)| m.method() == "CANCEL"), "{says:?}: {came:?}");
        lab.send(a, answer(&came[0].1, 200, "a"));
        if let Some(late) = late {
            lab.send(a, answer(&first, late, "a"));
        }
        let came = pass(&mut lab, 60, &[a, b]);
        assert!(came.iter().all(|(_, m)| m.method() == "ACK"), "{says:?}: {came:?}");
        let told = lab.expect(leg.ua.at, &status.to_string());
        lab.send(leg.ua.at, leg.ack_refusal(&told));
        lab.take(leg.ua.at);
    }
}
