//! A stream in virtual time, through its front door.

use super::*;
use crate::relay::burst::STRANGER_INTERVAL;
use crate::relay::quality::Format;
use crate::relay::{Expect, FlowCounters};
use proptest::prelude::*;
use std::net::Ipv4Addr;

const A: (Leg, Lane) = (Leg::Caller, Lane::Rtp);
const A_RTCP: (Leg, Lane) = (Leg::Caller, Lane::Rtcp);
const B: (Leg, Lane) = (Leg::Callee, Lane::Rtp);
const ID: StreamId = StreamId(9);

fn addr(s: &str) -> SocketAddr {
    s.parse().unwrap()
}

fn at(ms: u64) -> Mono {
    Mono(Duration::from_millis(ms))
}

fn rtp() -> Vec<u8> {
    let mut p = vec![0x80, 0, 0, 1, 0, 0, 0, 160, 1, 2, 3, 4];
    p.extend([0xd5; 160]);
    p
}

/// An empty receiver report, then an SDES with a CNAME (RFC 3550 §6.1).
fn rtcp() -> Vec<u8> {
    let mut p = vec![0x80, 201, 0, 1, 1, 2, 3, 4];
    p.extend([0x81, 202, 0, 3, 1, 2, 3, 4, 1, 2, b'a', b'b', 0, 0, 0, 0]);
    p
}

fn exact(rtp: &str, rtcp: &str) -> Party {
    Party { rtp: Some(addr(rtp)), rtcp: Some(addr(rtcp)), expect: Expect::Exact }
}

fn same_ip(rtp: &str, rtcp: &str) -> Party {
    let expect = Expect::SameIp(addr(rtp).ip());
    Party { rtp: Some(addr(rtp)), rtcp: Some(addr(rtcp)), expect }
}

fn caller() -> Party {
    exact("192.0.2.1:4000", "192.0.2.1:4001")
}

fn callee() -> Party {
    exact("198.51.100.2:5000", "198.51.100.2:5001")
}

/// A stream with what it said, so that a test reads as a list of steps.
struct Bench {
    stream: Stream,
    events: Vec<Event>,
    now: Mono,
}

impl Bench {
    fn new(caller: Party, callee: Party) -> Self {
        let leg = |side, port, party| LegConfig {
            side,
            bind: Ipv4Addr::LOCALHOST.into(),
            port,
            dscp: 46,
            party,
        };
        let legs = [leg(Side::Inside, 20000, caller), leg(Side::Outside, 20002, callee)];
        let idle = Some(Duration::from_secs(60));
        let stream = Stream::new(ID, &legs, idle, at(0));
        Self { stream, events: Vec::new(), now: at(0) }
    }

    fn packet(&mut self, place: (Leg, Lane), from: &str, packet: &[u8]) -> Verdict {
        self.stream.handle(place, addr(from), packet, self.now, &mut self.events).verdict
    }

    fn rtp(&mut self, place: (Leg, Lane), from: &str) -> Verdict {
        self.packet(place, from, &rtp())
    }

    fn pass(&mut self, ms: u64) {
        self.now = self.now + Duration::from_millis(ms);
        while self.stream.poll_timeout().is_some_and(|at| at <= self.now) {
            self.stream.handle_timeout(self.now, &mut self.events);
        }
    }

    fn events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    fn leg(&self, leg: Leg) -> FlowCounters {
        self.stream.counters().legs[leg.index()]
    }

    fn dropped(&self, leg: Leg, reason: DropReason) -> u64 {
        let i = DropReason::ALL.iter().position(|r| *r == reason).unwrap();
        self.leg(leg).dropped[i]
    }
}

fn to(s: &str) -> Verdict {
    Verdict::Forward { to: addr(s) }
}

#[test]
fn media_and_control_go_to_the_addresses_that_were_named() {
    let mut b = Bench::new(caller(), callee());
    assert_eq!(b.rtp(A, "192.0.2.1:4000"), to("198.51.100.2:5000"));
    assert_eq!(b.rtp(B, "198.51.100.2:5000"), to("192.0.2.1:4000"));
    assert_eq!(b.packet(A_RTCP, "192.0.2.1:4001", &rtcp()), to("198.51.100.2:5001"));
    b.stream.sent(Leg::Caller, Lane::Rtp);
    let (a, c) = (b.leg(Leg::Caller), b.leg(Leg::Callee));
    assert_eq!((a.packets, a.bytes), ([1, 1], [172, rtcp().len() as u64]));
    assert_eq!((c.packets, c.sent), ([1, 0], [1, 0]));
    let first = |leg| Event::FirstPacket { stream: ID, leg };
    assert_eq!(b.events(), [first(Leg::Caller), first(Leg::Callee)]);
}

#[test]
fn strict_takes_neither_another_port_nor_another_host_nor_the_other_flow() {
    let mut b = Bench::new(caller(), callee());
    for from in ["192.0.2.1:4002", "192.0.2.9:4000", "192.0.2.1:4001"] {
        assert_eq!(b.rtp(A, from), Verdict::Drop(DropReason::UnknownSource), "{from}");
    }
    assert_eq!(b.dropped(Leg::Caller, DropReason::UnknownSource), 3);
    assert_eq!(b.leg(Leg::Caller).packets, [0, 0]);
}

#[test]
fn what_is_not_the_flows_kind_is_dropped_and_teaches_nothing() {
    let mut b = Bench::new(same_ip("192.0.2.1:4000", "192.0.2.1:4001"), callee());
    for junk in [&b""[..], b"hello", &[0x16, 0xfe, 0xff, 0], &rtcp()] {
        assert_eq!(b.packet(A, "192.0.2.1:7000", junk), Verdict::Drop(DropReason::NotRtp));
    }
    assert_eq!(b.packet(A_RTCP, "192.0.2.1:4001", &rtp()), Verdict::Drop(DropReason::NotRtp));
    assert_eq!(b.rtp(A, "192.0.2.1:4000"), to("198.51.100.2:5000"));
    assert_eq!(b.events(), [Event::FirstPacket { stream: ID, leg: Leg::Caller }]);
}

#[test]
fn a_port_is_learned_once_then_pinned_and_becomes_the_destination() {
    let mut b = Bench::new(same_ip("192.0.2.1:4000", "192.0.2.1:4001"), callee());
    assert_eq!(b.rtp(A, "192.0.2.7:4000"), Verdict::Drop(DropReason::UnknownSource));
    let d = b.stream.handle(A, addr("192.0.2.1:7000"), &rtp(), at(0), &mut b.events);
    assert!(d.pinned);
    let from = addr("192.0.2.1:7000");
    assert_eq!(b.stream.source(Leg::Caller, Lane::Rtp), Source::Exactly(from));
    assert_eq!(b.rtp(A, "192.0.2.1:4000"), Verdict::Drop(DropReason::UnknownSource));
    assert_eq!(b.rtp(B, "198.51.100.2:5000"), to("192.0.2.1:7000"));
    let learned = Event::Learned { stream: ID, leg: Leg::Caller, rtcp: false, from };
    assert_eq!(b.events().iter().filter(|e| **e == learned).count(), 1);
}

#[test]
fn the_named_port_is_pinned_without_news() {
    let mut b = Bench::new(same_ip("192.0.2.1:4000", "192.0.2.1:4001"), callee());
    b.rtp(A, "192.0.2.1:4000");
    assert_eq!(b.rtp(A, "192.0.2.1:7000"), Verdict::Drop(DropReason::UnknownSource));
    assert_eq!(b.events(), [Event::FirstPacket { stream: ID, leg: Leg::Caller }]);
}

#[test]
fn before_an_answer_media_is_early_not_an_attack() {
    let mut b = Bench::new(caller(), Party::UNKNOWN);
    assert_eq!(b.rtp(B, "198.51.100.2:5000"), Verdict::Drop(DropReason::Early));
    assert_eq!(b.rtp(A, "192.0.2.1:4000"), Verdict::Drop(DropReason::NoPeer));
    b.pass(9_000);
    assert_eq!(b.events(), [Event::FirstPacket { stream: ID, leg: Leg::Caller }]);
    assert!(b.stream.update(Leg::Callee, callee(), b.now));
    assert_eq!(b.rtp(B, "198.51.100.2:5000"), to("192.0.2.1:4000"));
}

#[test]
fn late_packets_of_a_replaced_source_are_neither_learned_nor_reported() {
    let mut b = Bench::new(same_ip("192.0.2.1:4000", "192.0.2.1:4001"), callee());
    b.rtp(A, "192.0.2.1:4000");
    b.stream.update(Leg::Caller, same_ip("192.0.2.1:6000", "192.0.2.1:6001"), b.now);
    assert_eq!(b.rtp(A, "192.0.2.1:4000"), Verdict::Drop(DropReason::Early));
    assert_eq!(b.rtp(A, "192.0.2.1:6000"), to("198.51.100.2:5000"));
    assert_eq!(b.rtp(A, "192.0.2.1:4000"), Verdict::Drop(DropReason::UnknownSource));
    b.pass(1000);
    assert_eq!(b.events(), [Event::FirstPacket { stream: ID, leg: Leg::Caller }]);
}

#[test]
fn a_phone_that_keeps_its_real_port_is_learned_again_after_settling() {
    let mut b = Bench::new(same_ip("192.0.2.1:4000", "192.0.2.1:4001"), callee());
    b.rtp(A, "192.0.2.1:7000");
    b.stream.update(Leg::Caller, same_ip("192.0.2.1:6000", "192.0.2.1:6001"), b.now);
    b.now = b.now + SETTLE;
    assert_eq!(b.rtp(A, "192.0.2.1:7000"), to("198.51.100.2:5000"));
}

#[test]
fn a_burst_of_strangers_is_one_event_in_ten_seconds() {
    let mut b = Bench::new(caller(), callee());
    for _ in 0..100 {
        b.rtp(A, "203.0.113.66:9");
    }
    b.pass(1000);
    let stranger = |count, from| Event::Stranger {
        stream: ID,
        leg: Leg::Caller,
        from,
        expected: Some(addr("192.0.2.1:4000")),
        count,
    };
    let named = Some(addr("203.0.113.66:9"));
    assert_eq!(b.events(), [stranger(100, named)]);
    for _ in 0..9 {
        b.rtp(A, "203.0.113.66:9");
        b.pass(1000);
    }
    assert_eq!(b.events(), []);
    b.pass(1000);
    assert_eq!(b.events(), [stranger(9, named)]);
    b.pass(60_000);
    b.events();
    b.stream.filtered(Leg::Caller, Lane::Rtp, 5, b.now);
    assert!(b.stream.is_naming(Leg::Caller));
    b.pass(1000);
    assert_eq!(b.events(), [], "it waits a little for a name");
    b.pass(STRANGER_INTERVAL.as_millis() as u64);
    assert_eq!(b.events(), [stranger(5, None)]);
    assert_eq!(b.dropped(Leg::Caller, DropReason::UnknownSource), 114);
}

#[test]
fn idle_is_told_once_until_a_packet_comes_again() {
    let mut b = Bench::new(caller(), callee());
    b.pass(59_999);
    assert_eq!(b.events(), []);
    b.pass(1);
    b.pass(60_000);
    assert_eq!(b.events(), [Event::Idle { stream: ID }]);
    b.rtp(A, "192.0.2.1:4000");
    b.rtp(A, "192.0.2.1:9999");
    b.events();
    b.pass(60_000);
    assert!(b.events().contains(&Event::Idle { stream: ID }));
    b.stream.set_idle(None, b.now);
    b.pass(600_000);
    assert_eq!(b.events(), []);
    b.stream.set_idle(Some(Duration::from_secs(5)), b.now);
    b.pass(4_999);
    assert_eq!(b.events(), []);
    b.pass(1);
    assert_eq!(b.events(), [Event::Idle { stream: ID }]);
}

#[test]
fn a_held_party_still_heard_gets_nothing() {
    let mut b = Bench::new(caller(), callee());
    b.rtp(A, "192.0.2.1:4000");
    let held = Party { rtp: None, rtcp: None, expect: Expect::Exact };
    b.stream.update(Leg::Caller, held, b.now);
    assert_eq!(b.rtp(B, "198.51.100.2:5000"), Verdict::Drop(DropReason::NoPeer));
    assert_eq!(b.rtp(A, "192.0.2.1:4000"), to("198.51.100.2:5000"));
    assert_eq!(b.dropped(Leg::Callee, DropReason::NoPeer), 1);
}

#[test]
fn closing_tells_strangers_and_final_counters() {
    let mut b = Bench::new(caller(), callee());
    b.rtp(A, "192.0.2.1:4000");
    b.stream.send_failed(Leg::Caller);
    b.stream.filtered(Leg::Callee, Lane::Rtcp, 7, b.now);
    let mut want = Counters::default();
    want.legs[0].packets[0] = 1;
    want.legs[0].bytes[0] = 172;
    want.legs[0].dropped[4] = 1;
    want.legs[1].dropped[0] = 7;
    let mut events = Vec::new();
    b.stream.close(b.now, &mut events);
    let expected = Some(addr("198.51.100.2:5001"));
    let strangers =
        Event::Stranger { stream: ID, leg: Leg::Callee, from: None, expected, count: 7 };
    let [first, Event::Closed { stream: ID, counters, figures }] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!((first, counters), (&strangers, &want));
    assert_eq!(figures.clone().map(|f| (f.received, f.out_of_source)), [(1, 0), (0, 7)]);
}

#[test]
fn windows_are_told_of_while_somebody_is_to_be_heard() {
    let mut b = Bench::new(caller(), callee());
    b.rtp(A, "192.0.2.1:4000");
    b.events();
    b.pass(10_000);
    let told = |events: Vec<Event>| {
        let of = |e: &Event| {
            let Event::Measured { leg, figures, .. } = e else { return None };
            Some((*leg, figures[0].received))
        };
        events.iter().filter_map(of).collect::<Vec<_>>()
    };
    assert_eq!(told(b.events()), [(Leg::Caller, 1), (Leg::Callee, 0)]);
    b.pass(10_000);
    assert_eq!(told(b.events()), [(Leg::Caller, 0), (Leg::Callee, 0)], "silence is told of");
    b.stream.set_idle(None, b.now);
    b.pass(10_000);
    assert_eq!(told(b.events()), [], "but not on hold");

    let mut b = Bench::new(caller(), callee());
    b.stream.set_idle(Some(Duration::from_secs(60)), b.now);
    b.pass(10_000);
    assert_eq!(told(b.events()), [(Leg::Caller, 0), (Leg::Callee, 0)], "nobody ever spoke");
}

#[test]
fn the_end_tells_what_a_window_cut_short_is_worth() {
    let mut b = Bench::new(caller(), callee());
    b.stream.set_codecs(Leg::Caller, &codecs_pcmu());
    let mut packet = rtp();
    for n in 0..60 {
        packet[3] = n;
        b.packet(A, "192.0.2.1:4000", &packet);
    }
    let mut events = Vec::new();
    b.stream.close(b.now, &mut events);
    let [Event::Measured { leg: Leg::Caller, figures, .. }, Event::Closed { .. }] = &events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!((figures[0].received, figures[0].rating.is_ok()), (60, true));
}

/// What the stream sends of its own, as (leg, flow, where to).
fn own(b: &mut Bench) -> Vec<(Leg, Lane, SocketAddr)> {
    std::iter::from_fn(|| b.stream.poll_transmit())
        .map(|t| {
            assert!(t.what.octets().is_empty(), "no receiver may take it for media");
            (t.leg, t.lane, t.to)
        })
        .collect()
}

#[test]
fn a_leg_that_is_kept_alive_sends_at_least_so_often_and_only_when_nobody_else_does() {
    let mut b = Bench::new(caller(), callee());
    b.pass(10_000);
    assert_eq!(own(&mut b), []);
    b.stream.keep_alive(Leg::Callee, Some(Duration::from_secs(15)), b.now);
    b.pass(7400);
    assert_eq!(own(&mut b), []);
    b.rtp(A, "192.0.2.1:4000");
    b.stream.sent(Leg::Caller, Lane::Rtp);
    b.pass(100);
    let (rtp, rtcp) = (addr("198.51.100.2:5000"), addr("198.51.100.2:5001"));
    assert_eq!(own(&mut b), [(Leg::Callee, Lane::Rtcp, rtcp)], "RTP went out by itself");
    b.pass(7500);
    let both = [(Leg::Callee, Lane::Rtp, rtp), (Leg::Callee, Lane::Rtcp, rtcp)];
    assert_eq!(own(&mut b), both);
    assert_eq!(own(&mut b), [], "each is owed once");
    assert_eq!(b.leg(Leg::Callee).sent, [1, 0], "it is not media");
    b.stream.update(Leg::Callee, Party { rtp: None, rtcp: None, expect: Expect::Exact }, b.now);
    b.pass(7500);
    assert_eq!(own(&mut b), [], "a held party without an address gets none");
    b.stream.update(Leg::Callee, callee(), b.now);
    b.stream.keep_alive(Leg::Callee, None, b.now);
    b.pass(60_000);
    assert_eq!(own(&mut b), []);
}

#[test]
fn a_stream_waits_for_what_is_due_first_and_for_nothing_when_nothing_is() {
    let mut b = Bench::new(caller(), callee());
    b.stream.set_idle(None, at(0));
    assert_eq!(b.stream.poll_timeout(), None);
    b.rtp(A, "192.0.2.1:4000");
    assert_eq!(b.stream.poll_timeout(), Some(at(10_000)), "a window");
    b.rtp(A, "203.0.113.66:9");
    assert_eq!(b.stream.poll_timeout(), Some(at(1000)), "strangers");
    b.stream.keep_alive(Leg::Caller, Some(Duration::from_secs(1)), at(0));
    assert_eq!(b.stream.poll_timeout(), Some(at(500)), "a keep-alive");
    b.pass(1000);
    assert_eq!(b.stream.poll_timeout(), Some(at(1500)));
    b.stream.keep_alive(Leg::Caller, None, b.now);
    assert_eq!(b.stream.poll_timeout(), Some(at(10_000)));
}

#[test]
fn packets_put_the_end_of_supervision_off() {
    let mut b = Bench::new(caller(), callee());
    for _ in 0..5 {
        b.pass(50_000);
        b.rtp(A, "192.0.2.1:4000");
    }
    let idle = |b: &mut Bench| b.events().contains(&Event::Idle { stream: ID });
    assert!(!idle(&mut b));
    b.pass(59_900);
    assert!(!idle(&mut b));
    b.pass(100);
    assert!(idle(&mut b));
}

#[test]
fn what_is_learned_restores_the_leg() {
    let party = same_ip("192.0.2.1:4000", "192.0.2.1:4001");
    let mut b = Bench::new(party, callee());
    b.rtp(A, "192.0.2.1:7000");
    b.packet(A_RTCP, "192.0.2.1:7009", &rtcp());
    let moved = same_ip("192.0.2.1:6000", "192.0.2.1:6001");
    b.stream.update(Leg::Caller, moved, b.now);
    b.now = b.now + SETTLE;
    b.rtp(A, "192.0.2.1:8000");
    b.packet(A_RTCP, "192.0.2.1:8009", &rtcp());
    let learned: Vec<_> = b.events().into_iter().filter_map(as_learned).collect();
    let pins = [(false, "7000"), (true, "7009"), (false, "8000"), (true, "8009")]
        .map(|(rtcp, port)| (Leg::Caller, rtcp, addr(&format!("192.0.2.1:{port}"))));
    assert_eq!(learned, pins, "after an update, too");

    // A stream elsewhere, opened with the last of them as the party's addresses.
    let mut restored = moved;
    for (_, rtcp, from) in &learned[2..] {
        *(if *rtcp { &mut restored.rtcp } else { &mut restored.rtp }) = Some(*from);
    }
    restored.expect = Expect::Exact;
    let again = Bench::new(restored, callee());
    for lane in Lane::ALL {
        assert_eq!(again.stream.source(Leg::Caller, lane), b.stream.source(Leg::Caller, lane));
    }
}

fn as_learned(event: Event) -> Option<(Leg, bool, SocketAddr)> {
    let Event::Learned { leg, rtcp, from, .. } = event else { return None };
    Some((leg, rtcp, from))
}

fn codecs_pcmu() -> Codecs {
    let format = Format { payload_type: 0, name: "PCMU".to_owned(), clock_rate: 8000 };
    Codecs { formats: vec![format], encrypted: false, speech: true }
}

/// One step of a hostile run.
#[derive(Clone, Debug)]
enum Step {
    Packet { leg: Leg, lane: Lane, port: u16, host: u8, bytes: Vec<u8> },
    Update { leg: Leg, port: u16, host: u8, expect: u8, held: bool },
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let leg = || prop_oneof![Just(Leg::Caller), Just(Leg::Callee)];
    let lane = || prop_oneof![Just(Lane::Rtp), Just(Lane::Rtcp)];
    let bytes =
        prop_oneof![Just(rtp()), Just(rtcp()), proptest::collection::vec(any::<u8>(), 0..40)];
    let packet = (leg(), lane(), 4000_u16..4004, 1_u8..3, bytes)
        .prop_map(|(leg, lane, port, host, bytes)| Step::Packet { leg, lane, port, host, bytes });
    let update = (leg(), 4000_u16..4003, 1_u8..3, 0_u8..3, any::<bool>())
        .prop_map(|(leg, port, host, expect, held)| Step::Update { leg, port, host, expect, held });
    let step = prop_oneof![8 => packet, 2 => update, 1 => (0_u64..5000).prop_map(Step::Pass)];
    proptest::collection::vec(step, 0..120)
}

fn host_addr(host: u8, port: u16) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::new(192, 0, 2, host).into(), port)
}

proptest! {
    #[test]
    fn whatever_comes_is_counted_once_and_only_expected_media_passes(steps in steps()) {
        let mut b = Bench::new(Party::UNKNOWN, Party::UNKNOWN);
        let (mut came, mut forwarded) = ([0_u64; 2], [0_u64; 2]);
        for step in steps {
            match step {
                Step::Pass(ms) => b.pass(ms),
                Step::Update { leg, port, host, expect, held } => {
                    let named = |port| (!held).then(|| host_addr(host, port));
                    let expect = match expect {
                        0 => Expect::Nobody,
                        1 => Expect::Exact,
                        _ => Expect::SameIp(host_addr(host, 0).ip()),
                    };
                    let party = Party { rtp: named(port), rtcp: named(port + 1), expect };
                    b.stream.update(leg, party, b.now);
                    prop_assert!(!b.stream.update(leg, party, b.now));
                }
                Step::Packet { leg, lane, port, host, bytes } => {
                    let from = host_addr(host, port);
                    let before = b.stream.source(leg, lane);
                    came[leg.index()] += 1;
                    let d = b.stream.handle((leg, lane), from, &bytes, b.now, &mut b.events);
                    if let Verdict::Forward { .. } = d.verdict {
                        forwarded[leg.index()] += 1;
                        prop_assert!(before.takes(from));
                        prop_assert!(Content::read(lane, &bytes).is_some());
                        prop_assert_eq!(b.stream.source(leg, lane), Source::Exactly(from));
                    }
                }
            }
        }
        for leg in [Leg::Caller, Leg::Callee] {
            let i = leg.index();
            let dropped: u64 = b.leg(leg).dropped.iter().sum();
            prop_assert_eq!(came[i], forwarded[i] + dropped);
            let accepted: u64 = b.leg(leg).packets.iter().sum();
            prop_assert_eq!(accepted, forwarded[i] + b.dropped(leg, DropReason::NoPeer));
        }
    }
}
