//! Relay ports: what rests is lent when nothing else is left, and keeps nobody from calling; a line
//! that both parties disabled holds none (RFC 3264 §8.2).

use crate::lab::script::answer;
use crate::lab::{Lab, Leg, Ua, s, site};
use portreeve::audit::Record;
use portreeve::config::Config;
use portreeve::engine::Input;
use portreeve::engine::digest::Users;
use portreeve::relay::{Command, Counters, DropReason, Leg as MediaLeg};
use std::net::SocketAddr;

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

/// A description with a line for each port; 0: disabled.
fn lines(ua: &Ua, ports: &[u16]) -> String {
    let whole = ua.sdp(4000);
    let mut text = whole.split("m=").next().unwrap_or_default().to_owned();
    for port in ports {
        text.push_str(&format!("m=audio {port} RTP/AVP 0\r\n"));
    }
    text
}

/// Offers by a re-INVITE, answered with `status` and lines. What the other party was offered, and
/// what the first was answered.
#[track_caller]
fn renegotiate(
    lab: &mut Lab,
    (from, to): (&mut Leg, &Leg),
    offered: &[u16],
    (status, answered): (u16, &[u16]),
) -> [Vec<u16>; 2] {
    let invite = from.request(lab, "INVITE").sdp(lines(&from.ua, offered));
    lab.send(from.ua.at, invite);
    lab.expect(from.ua.at, "100");
    let got = lab.expect(to.ua.at, "INVITE");
    let body = if status < 300 { lines(&to.ua, answered) } else { String::new() };
    lab.send(to.ua.at, to.ua.answer(&got, status, "").sdp(body));
    if status >= 300 {
        lab.expect(to.ua.at, "ACK");
    }
    let back = lab.expect(from.ua.at, &status.to_string());
    let ack = if status < 300 { from.ack(lab) } else { from.ack_refusal(&back) };
    lab.send(from.ua.at, ack);
    if status < 300 {
        lab.expect(to.ua.at, "ACK");
    }
    [got.media_ports(), back.media_ports()]
}

fn open(lab: &Lab) -> usize {
    lab.relay.open.len()
}

#[test]
fn an_emergency_call_of_nobody_known_holds_two_lines_wherever_they_stand() {
    let mut lab = strict(|_| {});
    let (nobody, pbx) = (lab.phone("199", "10.17.0.29:5060"), lab.far("112"));
    let (mut a, b) = lab.establish(&nobody, &pbx);
    for k in 1..8 {
        let mut offered = vec![0; 2 * k];
        offered.extend([4100, 4102]);
        let mut answered = vec![0; 2 * k];
        answered.extend([6100, 6102]);
        let took = renegotiate(&mut lab, (&mut a, &b), &offered, (200, &answered));
        assert!(open(&lab) <= 2, "{k}: {} lines hold ports", open(&lab));
        assert_eq!(took[0].iter().filter(|p| **p != 0).count(), open(&lab));
        // Refused, and offered with all of them alive: no more than two either.
        let all = vec![4200; 16];
        renegotiate(&mut lab, (&mut a, &b), &all, (488, &[]));
        assert!(open(&lab) <= 2, "{k}");
        renegotiate(&mut lab, (&mut a, &b), &all, (200, &[6200; 16]));
        assert!(open(&lab) <= 2, "{k}");
    }
    lab.hang_up(&mut a, &b);
    lab.end();
}

#[test]
fn a_line_that_is_disabled_returns_its_ports_and_takes_others_when_it_comes_back() {
    for caller_asks in [true, false] {
        let mut lab = Lab::edge();
        let (phone, pbx) = parties(&lab);
        lab.relay.counters = one_packet();
        let (mut a, mut b) = lab.establish(&phone, &pbx);
        let [from, to] = if caller_asks { [&mut a, &mut b] } else { [&mut b, &mut a] };
        let both = renegotiate(&mut lab, (from, to), &[4000, 4002], (200, &[6000, 6002]));
        assert_eq!(open(&lab), 2);
        for (offered, answered) in [([4000, 0], [6000, 0]), ([4000, 4002], [6000, 0])] {
            let one = renegotiate(&mut lab, (from, to), &offered, (200, &answered));
            assert_eq!(open(&lab), 1, "{offered:?} {answered:?}");
            assert_eq!((one[0][0], one[1][0], one[1][1]), (both[0][0], both[1][0], 0));
            let again = renegotiate(&mut lab, (from, to), &[4000, 4002], (200, &[6000, 6002]));
            assert_eq!(open(&lab), 2);
            assert_eq!((again[0][0], again[1][0]), (both[0][0], both[1][0]));
            assert!(again[0][1] != 0 && again[0][1] != both[0][1], "other ports");
        }
        // An offer that fails changes nothing.
        renegotiate(&mut lab, (from, to), &[0, 4002], (488, &[]));
        assert_eq!(open(&lab), 2);
        // Without any line the call stays, and sound comes back.
        renegotiate(&mut lab, (from, to), &[0, 0], (200, &[0, 0]));
        assert_eq!(open(&lab), 0);
        lab.advance(s(120));
        let sound = renegotiate(&mut lab, (from, to), &[4000, 0], (200, &[6000, 0]));
        assert!(sound[0][0] != 0 && sound[1][0] != 0, "{sound:?}");
        lab.hang_up(&mut a, &b);
        lab.end();
    }
}

#[test]
fn a_line_that_the_first_answer_refuses_holds_no_ports_once_the_call_is_up() {
    for early in [true, false] {
        let mut lab = Lab::edge();
        let (phone, pbx) = parties(&lab);
        let invite = phone.request(&mut lab, "INVITE", "200").sdp(lines(&phone, &[4000, 4002]));
        lab.send(phone.at, invite.clone());
        let mut a = Leg::calling(&phone, &invite);
        lab.expect(phone.at, "100");
        let got = lab.expect(pbx.at, "INVITE");
        let b = Leg::called(&pbx, &got, "b");
        if early {
            lab.send(pbx.at, pbx.answer(&got, 183, "b").sdp(lines(&pbx, &[6000, 0])));
            lab.expect(phone.at, "183");
            assert_eq!(open(&lab), 2, "another fork may take it yet");
        }
        let body = if early { String::new() } else { lines(&pbx, &[6000, 0]) };
        lab.send(pbx.at, pbx.answer(&got, 200, "b").sdp(body));
        a.learn(&lab.expect(phone.at, "200"));
        assert_eq!(open(&lab), 1, "early: {early}");
        let ack = a.ack(&mut lab);
        lab.send(phone.at, ack);
        lab.expect(pbx.at, "ACK");
        lab.hang_up(&mut a, &b);
        lab.end();
    }
}

#[test]
fn an_answer_in_the_ack_disables_lines_as_well() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let mut a = lab.call(&phone, "200", 0);
    lab.expect(phone.at, "100");
    let invite = lab.expect(pbx.at, "INVITE");
    let b = Leg::called(&pbx, &invite, "b");
    lab.send(pbx.at, pbx.answer(&invite, 200, "b").sdp(lines(&pbx, &[6000, 6002])));
    a.learn(&lab.expect(phone.at, "200"));
    assert_eq!(open(&lab), 2);
    let ack = a.ack(&mut lab).sdp(lines(&phone, &[4000, 0]));
    lab.send(phone.at, ack);
    lab.expect(pbx.at, "ACK");
    assert_eq!(open(&lab), 1);
    lab.hang_up(&mut a, &b);
    lab.end();
}

#[test]
#[expect(clippy::wildcard_enum_match_arm, reason = "the rest is alike")]
fn a_line_that_comes_and_goes_for_hours_leaves_a_record_of_bounded_length() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let (mut a, b) = lab.establish(&phone, &pbx);
    for _ in 0..60 {
        renegotiate(&mut lab, (&mut a, &b), &[4000, 4002], (200, &[6000, 6002]));
        renegotiate(&mut lab, (&mut a, &b), &[4000, 4002, 4004], (488, &[]));
        renegotiate(&mut lab, (&mut a, &b), &[4000, 0], (200, &[6000, 0]));
    }
    lab.relay.counters = one_packet();
    lab.hang_up(&mut a, &b);
    let media = lab.records.iter().find_map(|r| match r {
        Record::CallEnd(end) => Some(end.media.clone()),
        _ => None,
    });
    let media = media.expect("its end");
    assert_eq!(media.len(), 32);
    assert_eq!(media.last().map(|m| m.caller.rtp_packets), Some(1), "what was heard is kept");
    lab.end();
}

#[test]
fn a_port_that_another_program_holds_is_tried_again_last() {
    // Four pairs a side; who dials again gets each of the others first.
    let mut lab = Lab::edge_with(|c| c.media.ports = (20000, 20007));
    let (phone, pbx) = parties(&lab);
    lab.relay.refuse = 1;
    let a = lab.call(&phone, "200", 4000);
    let no = lab.take(phone.at).pop().expect("an answer");
    assert!((500..600).contains(&no.status()), "{no}");
    lab.send(phone.at, a.ack_refusal(&no));
    let invite = lab.expect(pbx.at, "INVITE");
    lab.send(pbx.at, answer(&invite, 486, "b"));
    lab.expect(pbx.at, "ACK");
    lab.nothing_left();
    let taken = lab.relay.log.iter().find_map(|c| match c {
        Command::Open { legs, .. } => Some(legs.map(|l| l.port)),
        Command::Update { .. }
        | Command::Rebind { .. }
        | Command::SetIdle { .. }
        | Command::Codecs { .. }
        | Command::KeepAlive { .. }
        | Command::Measure { .. }
        | Command::Close { .. } => None,
    });
    let [inside, outside] = taken.expect("a stream was to be opened");
    for _ in 0..12 {
        let (mut a, b) = lab.establish(&phone, &pbx);
        let [one, other] = lab.relay.only().1.legs.map(|l| l.port);
        assert!(one != inside && other != outside, "{one} {other}");
        lab.hang_up(&mut a, &b);
    }
    lab.end();
}

#[test]
fn ports_of_an_open_stream_look_busy_and_are_lent_again_after_it() {
    let mut lab = strict(|c| c.media.ports = (20000, 20003));
    let (a, b) = parties(&lab);
    lab.register(&a, 600);
    // Of two pairs a side another process holds one outside, by its odd port.
    let outside = |port| SocketAddr::new(site::GATE_OUTSIDE.parse().expect("an address"), port);
    lab.input(Input::ExcludePort(outside(20001)));
    for _ in 0..2 {
        let (mut one, other) = lab.establish(&a, &b);
        let (_, stream) = lab.relay.only();
        assert_eq!(stream.legs[1].port, 20002, "the other one");
        // As whoever tries all ports of an address finds them.
        for leg in stream.legs {
            for port in [leg.port, leg.port + 1] {
                lab.input(Input::ExcludePort(SocketAddr::new(leg.bind, port)));
            }
        }
        let used: Vec<usize> = lab.stats().now.ports.iter().map(|p| p.used).collect();
        assert_eq!(used, [2, 2]);
        lab.hang_up(&mut one, &other);
    }
    let free: Vec<usize> = lab.stats().now.ports.iter().map(|p| p.free).collect();
    assert_eq!(free, [4, 2]);
    lab.end();
}
