//! Relay ports: what rests is lent when nothing else is left, and keeps nobody from calling.

use crate::lab::script::answer;
use crate::lab::{Lab, Leg, Ua, s, site};
use portreeve::config::Config;
use portreeve::engine::digest::Users;
use portreeve::relay::{Counters, DropReason, Leg as MediaLeg};

fn parties(lab: &Lab) -> (Ua, Ua) {
    (lab.phone("101", "10.17.0.21:5060"), lab.far("200"))
}

/// Emergency numbers pass by themselves; the rest as rules say.
fn strict(change: impl FnOnce(&mut Config)) -> Lab {
    let mut config = site::parse(&site::EDGE.replace("\"allow\"", "\"site\""));
    change(&mut config);
    Lab::with(config, Users::None)
}

/// Ports that rest, of both sides.
fn resting(lab: &Lab) -> usize {
    lab.stats().now.ports.iter().map(|p| p.quarantined).sum()
}

/// One packet came from each leg's party.
fn one_packet() -> Counters {
    let mut counters = Counters::default();
    for leg in MediaLeg::ALL {
        counters.legs[leg.index()].packets = [1, 0];
    }
    counters
}

/// A call that rings, heard early, and is cancelled. False: it was refused.
fn ring_and_cancel(lab: &mut Lab, from: &Ua, number: &str) -> bool {
    let pbx = lab.far(number);
    let a = lab.call(from, number, 4000);
    let Some(rung) = lab.next(pbx.at) else {
        let no = lab.take(from.at).pop().expect("an answer");
        lab.send(from.at, a.ack_refusal(&no));
        return false;
    };
    let tag = format!("t{}", lab.fresh());
    lab.send(pbx.at, answer(&rung, 180, &tag));
    lab.take(from.at);
    lab.send(from.at, a.cancel());
    let cancel = lab.expect(pbx.at, "CANCEL");
    lab.send(pbx.at, answer(&cancel, 200, &tag));
    lab.send(pbx.at, answer(&rung, 487, &tag));
    lab.expect(pbx.at, "ACK");
    let over = lab.take(from.at).pop().expect("a final answer");
    lab.send(from.at, a.ack_refusal(&over));
    true
}

#[test]
fn calls_of_nobody_known_that_leave_ports_at_rest_keep_no_phone_from_calling() {
    // Twenty pairs a side; each attempt lets one of each rest for half a minute.
    let mut lab = strict(|c| c.media.ports = (20000, 20039));
    let (known, pbx) = parties(&lab);
    lab.register(&known, 600);
    let nobody = lab.phone("199", "10.17.0.29:5060");
    lab.relay.counters = one_packet();
    for n in 0..60 {
        assert!(ring_and_cancel(&mut lab, &nobody, "112"), "attempt {n}");
    }
    assert_eq!(resting(&lab), 80, "all of them rest");
    for number in ["112", "200"] {
        let far = Ua { user: number.to_owned(), ..pbx.clone() };
        let (mut a, b) = lab.establish(&known, &far);
        lab.hang_up(&mut a, &b);
    }
    assert_eq!(lab.stats().ports_exhausted, 0);
    lab.end();
}

#[test]
fn a_phone_s_short_calls_keep_no_other_from_calling() {
    let mut lab = strict(|c| c.media.ports = (20000, 20039));
    let (phone, pbx) = parties(&lab);
    let other = lab.phone("102", "10.17.0.22:5060");
    lab.register(&phone, 600);
    lab.register(&other, 600);
    lab.relay.counters = one_packet();
    for _ in 0..50 {
        let (mut a, b) = lab.establish(&phone, &pbx);
        lab.hang_up(&mut a, &b);
    }
    let (mut a, b) = lab.establish(&other, &pbx);
    lab.hang_up(&mut a, &b);
    assert_eq!(lab.stats().ports_exhausted, 0);
    lab.end();
}

#[test]
fn the_pair_that_rested_longest_is_lent_when_nothing_else_is_left() {
    // Two pairs a side, and nobody needs more than one at a time.
    let mut lab = Lab::edge_with(|c| c.media.ports = (20000, 20003));
    let (phone, pbx) = parties(&lab);
    lab.relay.counters = one_packet();
    let mut lent = Vec::new();
    for _ in 0..4 {
        let (mut a, b) = lab.establish(&phone, &pbx);
        lent.push(lab.relay.only().1.legs.map(|l| l.port));
        lab.hang_up(&mut a, &b);
        lab.advance(s(1));
    }
    assert_ne!(lent[0], lent[1], "what never was used comes first");
    assert_eq!(lent[2..], lent[..2], "then the one that rested longest");
    lab.end();
}

#[test]
fn ports_in_calls_are_still_the_bound() {
    let mut lab = Lab::edge_with(|c| c.media.ports = (20000, 20003));
    let (phone, pbx) = parties(&lab);
    lab.relay.counters = one_packet();
    for _ in 0..2 {
        let (mut a, b) = lab.establish(&phone, &pbx);
        lab.hang_up(&mut a, &b);
    }
    let mut up: Vec<(Leg, Leg)> = (0..2).map(|_| lab.establish(&phone, &pbx)).collect();
    let full = lab.call(&phone, "200", 4000);
    let no = lab.take(phone.at).pop().expect("an answer");
    assert_eq!(no.status(), 503);
    lab.send(phone.at, full.ack_refusal(&no));
    for (a, b) in &mut up {
        lab.hang_up(a, b);
    }
    lab.end();
}

#[test]
fn a_pair_rests_only_where_a_packet_was_taken() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    for reason in DropReason::ALL {
        let mut counters = Counters::default();
        for leg in MediaLeg::ALL {
            counters.legs[leg.index()].dropped[reason as usize] = 9;
        }
        lab.relay.counters = counters;
        let (mut a, b) = lab.establish(&phone, &pbx);
        lab.hang_up(&mut a, &b);
        assert_eq!(resting(&lab), 0, "{reason:?}");
    }
    // Sound one way: who heard it was sent to, and sent nothing.
    for leg in MediaLeg::ALL {
        for rtcp in [0, 1] {
            let mut counters = Counters::default();
            counters.legs[leg.index()].packets[rtcp] = 1;
            counters.legs[leg.other().index()].sent[rtcp] = 1;
            lab.relay.counters = counters;
            let (mut a, b) = lab.establish(&phone, &pbx);
            lab.hang_up(&mut a, &b);
            assert_eq!(resting(&lab), 2, "{leg:?}");
            lab.advance(s(31));
        }
    }
    lab.end();
}
