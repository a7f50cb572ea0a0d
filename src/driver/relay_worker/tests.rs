//! The relay with real sockets on loopback. Times are bounded and generous; nothing asserted
//! depends on speed.
#![expect(clippy::disallowed_methods, reason = "deadlines of tests with real sockets")]

use super::*;
use crate::driver::tunnel::Tunnels;
use crate::relay::{Counters, DropReason, Expect, Leg, LegConfig, Party};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Instant;

mod phone;

use phone::Phone;

const PATIENCE: Duration = Duration::from_secs(10);
const ID: StreamId = StreamId(1);

/// Each test of each process has its own relay address, so that ports never collide.
fn own_host() -> IpAddr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [low, high, ..] = std::process::id().to_le_bytes();
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    IpAddr::V4(Ipv4Addr::new(127, 64 + high % 64, low, n))
}

/// A relay with one stream between two phones.
struct Bench {
    relay: Relay,
    host: IpAddr,
    events: Vec<Event>,
}

impl Bench {
    fn new(caller: Party, callee: Party) -> Self {
        Self::with_idle(caller, callee, None)
    }

    fn with_idle(caller: Party, callee: Party, idle: Option<Duration>) -> Self {
        let relay = Relay::start(&Options { workers: 2, cname: None }).unwrap();
        let host = own_host();
        relay.apply(open(ID, host, [caller, callee], idle)).unwrap();
        Self { relay, host, events: Vec::new() }
    }

    /// Our socket on a leg.
    fn at(&self, leg: Leg, lane: usize) -> SocketAddr {
        let port = 20_000 + 2 * leg.index() + lane;
        SocketAddr::new(self.host, u16::try_from(port).unwrap())
    }

    /// As the event loop does it: a batch, then what rests on it may be said.
    fn tell(&self, commands: impl IntoIterator<Item = Command>) {
        for command in commands {
            self.relay.queue(command).unwrap();
        }
        self.relay.flush();
    }

    /// Waits for an event; those before it are kept.
    fn wait_for(&mut self, what: impl Fn(&Event) -> bool) -> Event {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            while let Some(event) = self.relay.try_next_event() {
                self.events.push(event);
                let last = self.events.last().filter(|e| what(e)).cloned();
                if let Some(event) = last {
                    return event;
                }
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        panic!("waited in vain; seen: {:?}", self.events);
    }

    fn wait_until(&self, what: impl Fn(&Totals) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !what(&self.relay.totals()) {
            assert!(Instant::now() < deadline, "waited in vain: {:?}", self.relay.totals());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn close(&mut self) -> Counters {
        self.relay.apply(Command::Close { stream: ID }).unwrap();
        let event = self.wait_for(|e| matches!(e, Event::Closed { .. }));
        let Event::Closed { counters, .. } = event else { panic!("{event:?}") };
        counters
    }
}

fn update(leg: Leg, party: Party) -> Command {
    Command::Update { stream: ID, leg, party }
}

fn open(stream: StreamId, bind: IpAddr, parties: [Party; 2], idle: Option<Duration>) -> Command {
    let n = u16::try_from(stream.0).unwrap() - 1;
    let leg = |side, port, party| LegConfig { side, bind, port, dscp: 46, party };
    let [a, b] = parties;
    let legs = [leg(Side::Inside, 20_000 + 4 * n, a), leg(Side::Outside, 20_002 + 4 * n, b)];
    Command::Open { stream, legs, idle }
}

fn dropped(counters: &Counters, leg: Leg, reason: DropReason) -> u64 {
    let i = DropReason::ALL.iter().position(|r| *r == reason).unwrap();
    counters.legs[leg.index()].dropped[i]
}

#[test]
fn rtp_and_rtcp_pass_both_ways_from_the_ports_that_were_named() {
    let (a, b) = (Phone::new("127.0.0.2"), Phone::new("127.0.0.3"));
    let mut bench = Bench::new(a.party(Expect::Exact), b.party(Expect::Exact));
    for n in 0..50 {
        for lane in [0, 1] {
            a.send(lane, n, bench.at(Leg::Caller, lane));
            assert_eq!(b.next(lane), (n, bench.at(Leg::Callee, lane)));
            b.send(lane, n, bench.at(Leg::Callee, lane));
            assert_eq!(a.next(lane), (n, bench.at(Leg::Caller, lane)));
        }
    }
    let counters = bench.close();
    for leg in counters.legs {
        assert_eq!((leg.packets, leg.sent), ([50, 50], [50, 50]));
        assert_eq!((leg.bytes, leg.dropped), ([50 * 172, 50 * 8], [0; 5]));
    }
    let totals = bench.relay.totals();
    assert_eq!(totals.sides, counters.legs);
    let first = bench.events.iter().filter(|e| matches!(e, Event::FirstPacket { .. }));
    assert_eq!(first.count(), 2);
}

#[test]
fn a_leg_that_is_bound_elsewhere_speaks_and_is_heard_there_and_the_other_one_stays() {
    let (a, b) = (Phone::new("127.0.0.2"), Phone::new("127.0.0.3"));
    let mut bench = Bench::new(a.party(Expect::Exact), b.party(Expect::Exact));
    let old = bench.at(Leg::Callee, 0);
    a.send(0, 1, bench.at(Leg::Caller, 0));
    assert_eq!(b.next(0), (1, old));
    let host = own_host();
    let at = |lane: u16| SocketAddr::new(host, 20_100 + lane);
    let rebind = |at| Command::Rebind { stream: ID, leg: Leg::Callee, at, dscp: 46 };
    bench.tell([rebind(at(0))]);
    for n in 2..20 {
        for lane in [0, 1] {
            let new = at(u16::try_from(lane).unwrap());
            b.send(lane, n, new);
            assert_eq!(a.next(lane), (n, bench.at(Leg::Caller, lane)));
            a.send(lane, n, bench.at(Leg::Caller, lane));
            assert_eq!(b.next(lane), (n, new));
        }
    }
    // The old pair is anybody's, and one that is taken ends the stream.
    let taken = UdpSocket::bind(old).expect("it is free");
    let told = bench.relay.queue(rebind(old));
    assert!(matches!(told, Err(Event::OpenFailed { .. })), "{told:?}");
    drop(taken);
    bench.relay.flush();
    let Event::Closed { counters, .. } = bench.wait_for(|e| matches!(e, Event::Closed { .. }))
    else {
        panic!("it is closed")
    };
    assert_eq!(counters.legs.map(|leg| leg.packets), [[19, 18], [18, 18]], "nothing is lost");
}

#[test]
fn sampled_packets_are_timed_from_the_kernels_stamp() {
    let (a, b) = (Phone::new("127.0.0.2"), Phone::new("127.0.0.3"));
    let bench = Bench::new(a.party(Expect::Exact), b.party(Expect::Exact));
    let deadline = Instant::now() + PATIENCE;
    let mut delays = Vec::new();
    for n in (0..=255_u8).cycle() {
        a.send(0, n, bench.at(Leg::Caller, 0));
        assert_eq!(b.next(0).0, n);
        delays.extend(bench.relay.take_delays());
        if delays.len() >= 3 {
            break;
        }
        assert!(Instant::now() < deadline, "no packet was timed");
    }
    // Not how long: that is the machine's. But a stamp of another clock would be far off.
    assert!(delays.iter().all(|d| *d > Duration::ZERO && *d < PATIENCE), "{delays:?}");
}

#[test]
fn strict_forwards_nothing_from_another_port_or_host() {
    let (a, b) = (Phone::new("127.0.0.2"), Phone::new("127.0.0.3"));
    let (port, host) = (Phone::new("127.0.0.2"), Phone::new("127.0.0.66"));
    let mut bench = Bench::new(a.party(Expect::Exact), b.party(Expect::Exact));
    for n in 0..200 {
        for stranger in [&port, &host] {
            stranger.send(0, n, bench.at(Leg::Caller, 0));
            stranger.send(1, n, bench.at(Leg::Caller, 1));
        }
    }
    // The RTCP port is not the RTP port's equal either.
    a.send(0, 1, bench.at(Leg::Caller, 1));
    a.send(0, 77, bench.at(Leg::Caller, 0));
    assert_eq!(b.next(0).0, 77);
    let expected = a.addr(0);
    let event = bench.wait_for(|e| matches!(e, Event::Stranger { .. }));
    let Event::Stranger { leg: Leg::Caller, expected: Some(named), count, .. } = event else {
        panic!("{event:?}")
    };
    assert!((named == expected || named == a.addr(1)) && count > 0);
    assert!(b.hears_nothing_more());
    let counters = bench.close();
    assert_eq!(dropped(&counters, Leg::Caller, DropReason::UnknownSource), 801);
    assert_eq!(counters.legs[0].packets, [1, 0]);
}

#[test]
fn strangers_at_any_port_are_counted_to_the_last_while_the_call_goes_on() {
    let (a, b) = (Phone::new("127.0.0.2"), Phone::new("127.0.0.3"));
    let stranger = Phone::new("127.0.0.66");
    let bench = Bench::new(a.party(Expect::Exact), b.party(Expect::Exact));
    let mut sent = 0;
    for (leg, side) in [(Leg::Caller, 0), (Leg::Callee, 1)] {
        for lane in [1, 0] {
            for n in 0..10 {
                stranger.send(lane, n, bench.at(leg, lane));
            }
            sent = sent % 20 + 10;
            bench.wait_until(|totals| {
                totals.sides[side].dropped[DropReason::UnknownSource as usize] == sent
            });
        }
    }
}

#[test]
fn few_strangers_get_a_name() {
    let (a, b) = (Phone::new("127.0.0.2"), Phone::new("127.0.0.3"));
    let stranger = Phone::new("127.0.0.2");
    let mut bench = Bench::new(a.party(Expect::Exact), b.party(Expect::Exact));
    let to = bench.at(Leg::Caller, 0);
    let deadline = Instant::now() + PATIENCE;
    let event = loop {
        stranger.send(0, 1, to);
        std::thread::sleep(Duration::from_millis(5));
        let event = std::iter::from_fn(|| bench.relay.try_next_event()).next();
        if event.is_some() || Instant::now() > deadline {
            break event;
        }
    };
    let Some(Event::Stranger { from, expected, .. }) = event else { panic!("{event:?}") };
    assert_eq!((from, expected), (Some(stranger.addr(0)), Some(a.addr(0))));
    bench.close();
}

#[test]
fn same_ip_learns_one_port_and_pins_it() {
    let (a, b) = (Phone::new("127.0.0.2"), Phone::new("127.0.0.3"));
    let (real, intruder) = (Phone::new("127.0.0.2"), Phone::new("127.0.0.2"));
    let host = a.addr(0).ip();
    let mut bench = Bench::new(a.party(Expect::SameIp(host)), b.party(Expect::Exact));
    Phone::new("127.0.0.66").send(0, 66, bench.at(Leg::Caller, 0));
    real.send(0, 1, bench.at(Leg::Caller, 0));
    assert_eq!(b.next(0).0, 1);
    let learned = bench.wait_for(|e| matches!(e, Event::Learned { .. }));
    let from = real.addr(0);
    assert_eq!(learned, Event::Learned { stream: ID, leg: Leg::Caller, rtcp: false, from });
    for n in 0..100 {
        intruder.send(0, n, bench.at(Leg::Caller, 0));
    }
    real.send(1, 9, bench.at(Leg::Caller, 1));
    assert_eq!(b.next(1).0, 9);
    for lane in [0, 1] {
        b.send(lane, 42, bench.at(Leg::Callee, lane));
        assert_eq!(real.next(lane).0, 42);
    }
    real.send(0, 2, bench.at(Leg::Caller, 0));
    assert_eq!(b.next(0).0, 2);
    assert!(b.hears_nothing_more() && a.hears_nothing_more());
    let counters = bench.close();
    assert_eq!(dropped(&counters, Leg::Caller, DropReason::UnknownSource), 101);
}

#[test]
fn an_injection_that_is_no_rtp_is_never_forwarded_nor_learned() {
    let (a, b) = (Phone::new("127.0.0.2"), Phone::new("127.0.0.3"));
    let liar = Phone::new("127.0.0.2");
    let mut bench = Bench::new(a.party(Expect::SameIp(a.addr(0).ip())), b.party(Expect::Exact));
    for junk in [&b""[..], b"INVITE sip:x SIP/2.0", &[0x80], &[0xff; 1400]] {
        liar.sockets[0].send_to(junk, bench.at(Leg::Caller, 0)).unwrap();
    }
    a.send(0, 5, bench.at(Leg::Caller, 0));
    assert_eq!(b.next(0).0, 5);
    let counters = bench.close();
    assert_eq!(dropped(&counters, Leg::Caller, DropReason::NotRtp), 4);
    assert!(b.hears_nothing_more());
    assert!(!bench.events.iter().any(|e| matches!(e, Event::Learned { .. })));
}

#[test]
fn an_update_moves_the_peer() {
    let (a, b) = (Phone::new("127.0.0.2"), Phone::new("127.0.0.3"));
    let moved = Phone::new("127.0.0.4");
    let mut bench = Bench::new(a.party(Expect::Exact), b.party(Expect::Exact));
    a.send(0, 1, bench.at(Leg::Caller, 0));
    assert_eq!(b.next(0).0, 1);
    bench.tell([update(Leg::Callee, moved.party(Expect::Exact))]);
    // The update is in force when the new peer is heard; before, its packets drop.
    moved.sockets[0].set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    a.sockets[0].set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while a.sockets[0].recv_from(&mut [0; 64]).is_err() {
        assert!(Instant::now() < deadline);
        moved.send(0, 7, bench.at(Leg::Callee, 0));
    }
    a.send(0, 8, bench.at(Leg::Caller, 0));
    assert_eq!(moved.next(0).0, 8);
    b.send(0, 9, bench.at(Leg::Callee, 0));
    let counters = bench.close();
    assert_eq!(counters.legs[1].sent, [2, 0]);
    assert!(b.hears_nothing_more());
}

#[test]
fn a_packet_that_follows_a_command_meets_its_effect() {
    let (a, b) = (Phone::new("127.0.0.2"), Phone::new("127.0.0.3"));
    let held = Party { rtp: None, rtcp: None, expect: Expect::Exact };
    let bench = Bench::new(a.party(Expect::Exact), held);
    for n in 0..200 {
        bench.tell([update(Leg::Callee, b.party(Expect::Exact))]);
        a.send(0, n, bench.at(Leg::Caller, 0));
        assert_eq!(b.next(0).0, n);
        bench.tell([update(Leg::Callee, held)]);
    }
}

#[test]
fn an_answer_that_wakes_nobody_holds_for_the_next_packet_of_either_party() {
    for first in [Leg::Caller, Leg::Callee] {
        let (a, b) = (Phone::new("127.0.0.2"), Phone::new("127.0.0.3"));
        let mut bench = Bench::new(a.party(Expect::Exact), Party::UNKNOWN);
        let idle = Some(Duration::from_secs(60));
        let answer = update(Leg::Callee, b.party(Expect::Exact));
        bench.tell([answer, Command::SetIdle { stream: ID, idle }]);
        let (from, to) = if first == Leg::Caller { (&a, &b) } else { (&b, &a) };
        from.send(0, 7, bench.at(first, 0));
        assert_eq!(to.next(0).0, 7);
        assert_eq!(bench.close().legs[first.index()].packets, [1, 0]);
    }
}

#[test]
fn a_leg_that_moves_is_heard_at_once_although_its_filter_kept_it_out() {
    let (a, b) = (Phone::new("127.0.0.2"), Phone::new("127.0.0.3"));
    let mut bench = Bench::new(a.party(Expect::Exact), b.party(Expect::Exact));
    for n in 0..20 {
        let moved = Phone::new("127.0.0.4");
        bench.tell([update(Leg::Callee, moved.party(Expect::Exact))]);
        // The thread was woken for it; only how soon it runs is not ours to say.
        moved.sockets[0].set_nonblocking(true).unwrap();
        let deadline = Instant::now() + PATIENCE;
        a.sockets[0].set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        while a.sockets[0].recv_from(&mut [0; 256]).is_err() {
            assert!(Instant::now() < deadline);
            moved.send(0, n, bench.at(Leg::Callee, 0));
        }
        while a.sockets[0].recv_from(&mut [0; 256]).is_ok() {}
    }
    bench.close();
}

#[test]
fn what_comes_after_a_close_that_woke_nobody_is_not_relayed() {
    let (a, b) = (Phone::new("127.0.0.2"), Phone::new("127.0.0.3"));
    let mut bench = Bench::new(a.party(Expect::Exact), b.party(Expect::Exact));
    a.send(0, 1, bench.at(Leg::Caller, 0));
    assert_eq!(b.next(0).0, 1);
    bench.tell([Command::Close { stream: ID }]);
    for n in 0..10 {
        a.send(0, n, bench.at(Leg::Caller, 0));
    }
    let event = bench.wait_for(|e| matches!(e, Event::Closed { .. }));
    let Event::Closed { counters, .. } = event else { panic!("{event:?}") };
    assert_eq!(counters.legs[0].packets, [1, 0]);
    assert!(b.hears_nothing_more());
}

#[test]
fn a_thread_that_sleeps_hears_of_a_first_stream_and_a_seat_is_taken_again() {
    let (a, b) = (Phone::new("127.0.0.2"), Phone::new("127.0.0.3"));
    let relay = Relay::start(&Options { workers: 1, cname: None }).unwrap();
    let mut bench = Bench { relay, host: own_host(), events: Vec::new() };
    for n in 0..20 {
        let parties = [a.party(Expect::Exact), b.party(Expect::Exact)];
        // Let the thread fall asleep in some rounds, and not in others.
        if n % 2 == 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        bench.tell([open(ID, bench.host, parties, None)]);
        a.send(0, n, bench.at(Leg::Caller, 0));
        assert_eq!(b.next(0).0, n);
        bench.tell([Command::Close { stream: ID }]);
        bench.wait_for(|e| matches!(e, Event::Closed { .. }));
    }
}

#[test]
fn a_call_that_ends_as_it_begins_leaves_nothing() {
    let relay = Relay::start(&Options { workers: 1, cname: None }).unwrap();
    let mut bench = Bench { relay, host: own_host(), events: Vec::new() };
    let parties = [Party::UNKNOWN; 2];
    bench.tell([open(ID, bench.host, parties, None), Command::Close { stream: ID }]);
    bench.wait_for(|e| matches!(e, Event::Closed { .. }));
    assert_eq!(bench.relay.totals().streams, 0);
    assert!(UdpSocket::bind(bench.at(Leg::Caller, 0)).is_ok());
}

#[test]
fn a_hold_counts_what_has_nowhere_to_go() {
    let (a, b) = (Phone::new("127.0.0.2"), Phone::new("127.0.0.3"));
    let held = Party { rtp: None, rtcp: None, expect: Expect::Exact };
    let mut bench = Bench::new(a.party(Expect::Exact), held);
    for n in 0..10 {
        a.send(0, n, bench.at(Leg::Caller, 0));
        b.send(0, n, bench.at(Leg::Callee, 0));
    }
    // What is still queued when a stream is closed is lost, so wait until all was counted.
    bench.wait_until(|totals| {
        let early = totals.sides[1].dropped[DropReason::Early as usize];
        totals.sides[0].packets == [10, 0] && early == 10
    });
    let counters = bench.close();
    assert_eq!(counters.legs[0].packets, [10, 0]);
    assert_eq!(dropped(&counters, Leg::Caller, DropReason::NoPeer), 10);
    assert_eq!(dropped(&counters, Leg::Callee, DropReason::Early), 10);
    assert!(!bench.events.iter().any(|e| matches!(e, Event::Stranger { .. })));
}

#[test]
fn silence_is_told_once() {
    let (a, b) = (Phone::new("127.0.0.2"), Phone::new("127.0.0.3"));
    let idle = Some(Duration::from_millis(200));
    let mut bench = Bench::with_idle(a.party(Expect::Exact), b.party(Expect::Exact), idle);
    assert_eq!(bench.wait_for(|e| matches!(e, Event::Idle { .. })), Event::Idle { stream: ID });
    a.send(0, 1, bench.at(Leg::Caller, 0));
    bench.wait_for(|e| matches!(e, Event::FirstPacket { .. }));
    bench.wait_for(|e| matches!(e, Event::Idle { .. }));
    bench.relay.apply(Command::SetIdle { stream: ID, idle: None }).unwrap();
    bench.close();
}

#[test]
fn a_leg_is_kept_alive_by_packets_of_the_relays_own() {
    let (a, b) = (Phone::new("127.0.0.2"), Phone::new("127.0.0.3"));
    let bench = Bench::new(a.party(Expect::Exact), b.party(Expect::Exact));
    let (leg, every) = (Leg::Callee, Some(Duration::from_millis(200)));
    bench.relay.apply(Command::KeepAlive { stream: ID, leg, every }).unwrap();
    for lane in [0, 1] {
        let (len, from) = b.sockets[lane].recv_from(&mut [0; 8]).unwrap();
        assert_eq!((len, from), (0, bench.at(Leg::Callee, lane)));
    }
    assert!(a.hears_nothing_more());
}

#[test]
fn a_taken_port_fails_the_open_at_once_and_names_it() {
    let host = own_host();
    let relay = Relay::start(&Options { workers: 1, cname: None }).unwrap();
    let taken = UdpSocket::bind((host, 20_003)).unwrap();
    let parties = [Party::UNKNOWN; 2];
    let failed = relay.apply(open(ID, host, parties, None)).unwrap_err();
    let Event::OpenFailed { stream: ID, error } = failed else { panic!("{failed:?}") };
    assert!(error.contains(&format!("{host}:20003")), "{error}");
    drop(taken);
    relay.apply(open(StreamId(1), host, parties, None)).unwrap();
}

#[test]
fn ports_are_open_when_apply_returns_and_free_when_closed_is_told() {
    let mut bench = Bench::new(Party::UNKNOWN, Party::UNKNOWN);
    let ours = bench.at(Leg::Callee, 1);
    assert!(UdpSocket::bind(ours).is_err());
    bench.close();
    assert!(UdpSocket::bind(ours).is_ok());
}

#[test]
fn ipv6_is_relayed_too() {
    let (a, b) = (Phone::new("::1"), Phone::new("::1"));
    let relay = Relay::start(&Options { workers: 1, cname: None }).unwrap();
    let free = UdpSocket::bind("[::1]:0").unwrap().local_addr().unwrap().port();
    let leg = |port, party| LegConfig {
        side: Side::Inside,
        bind: "::1".parse().unwrap(),
        port,
        dscp: 46,
        party,
    };
    let base = (free & 0xfff0).max(1024);
    let legs = [leg(base, a.party(Expect::Exact)), leg(base + 2, b.party(Expect::Exact))];
    relay.apply(Command::Open { stream: ID, legs, idle: None }).unwrap();
    Phone::new("::1").send(0, 66, SocketAddr::new("::1".parse().unwrap(), base));
    a.send(0, 3, SocketAddr::new("::1".parse().unwrap(), base));
    assert_eq!(b.next(0).0, 3);
}

#[test]
fn commands_for_a_stream_that_is_not_there_change_nothing() {
    let relay = Relay::start(&Options { workers: 1, cname: None }).unwrap();
    let party = Party::UNKNOWN;
    for command in [
        Command::Update { stream: ID, leg: Leg::Caller, party },
        Command::SetIdle { stream: ID, idle: None },
        Command::Close { stream: ID },
    ] {
        assert_eq!(relay.apply(command), Ok(()));
    }
    assert_eq!(relay.totals(), Totals::default());
}

#[test]
fn streams_spread_over_the_threads() {
    let relay = Relay::start(&Options { workers: 4, cname: None }).unwrap();
    for step in [1, 2] {
        let mut loads = [0; 4];
        for n in 0..1000 {
            let handle: *const Handle = relay.handle(StreamId(n * step));
            let i = relay.handles.iter().position(|h| std::ptr::eq(h, handle)).unwrap();
            loads[i] += 1;
        }
        assert!(loads.iter().all(|n| (200..300).contains(n)), "{loads:?}");
    }
}

#[test]
fn rtcp_that_leaves_the_site_names_no_inside_host() {
    let (a, b) = (Phone::new("127.0.0.2"), Phone::new("127.0.0.3"));
    let cname = Some(CnameGuard::new(Vec::new(), Vec::new(), [1; 32]));
    let relay = Relay::start(&Options { workers: 1, cname }).unwrap();
    let host = own_host();
    let parties = [a.party(Expect::Exact), b.party(Expect::Exact)];
    relay.apply(open(ID, host, parties, None)).unwrap();
    let mut sdes = vec![0x80, 201, 0, 1, 0, 0, 0, 9, 0x81, 202, 0, 5, 0, 0, 0, 9, 1, 13];
    sdes.extend(b"101@127.0.0.2\0");
    let mut got = [0; 64];
    a.sockets[1].send_to(&sdes, SocketAddr::new(host, 20_001)).unwrap();
    let len = b.sockets[1].recv(&mut got).unwrap();
    assert_eq!((len, &got[..18]), (sdes.len(), &sdes[..18]));
    assert!(!got.windows(9).any(|w| w == b"127.0.0.2"));
    b.sockets[1].send_to(&sdes, SocketAddr::new(host, 20_003)).unwrap();
    let len = a.sockets[1].recv(&mut got).unwrap();
    assert_eq!(got[..len], sdes, "inwards nothing is changed");
}

#[test]
fn a_thread_that_does_not_get_to_it_holds_up_no_caller() {
    // Nobody takes commands at this door.
    let (door, _thread, _bell) = Door::new().unwrap();
    let (a, b) = (Phone::new("127.0.0.2"), Phone::new("127.0.0.3"));
    let parties = [a.party(Expect::Exact), b.party(Expect::Exact)];
    let Command::Open { stream, legs, idle } = open(ID, own_host(), parties, None) else {
        panic!("an open")
    };
    let slot = Slot::bind(
        stream,
        &legs,
        (&Zones::default(), &Tunnels::default()),
        idle,
        crate::ground::Mono::default(),
    )
    .unwrap();
    door.open(Box::new(slot), [true; 2]).unwrap();
    for n in 0..5_000 {
        let party = if n % 2 == 0 { a.party(Expect::Exact) } else { b.party(Expect::Exact) };
        door.pass(Command::Update { stream, leg: Leg::Caller, party }).unwrap();
        door.pass(Command::Measure { stream }).unwrap();
    }
    door.pass(Command::Close { stream }).unwrap();
}
