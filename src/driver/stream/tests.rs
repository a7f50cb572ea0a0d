use super::connection::dial;
use super::lapse::{ANSWERED, ASKED};
use super::outlet::EACH;
use super::table::{HALF_OPEN, Next, OCTETS};
use super::*;
use crate::config::{Config, Limits, Strangers};
use crate::driver::inlet::{Arrivals, inlet};
use crate::engine::stats::ShareCount;
use crate::ground::UpstreamId;
use crate::policy::quota::{Resource, Source};
use std::net::IpAddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{pause, resume, timeout};

const OPTIONS: &str = "OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bK1\r\n\
                       Max-Forwards: 70\r\nFrom: <sip:a@127.0.0.1>;tag=1\r\nTo: <sip:127.0.0.1>\r\n\
                       Call-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n";
/// Longer than every time the driver knows.
const LONG: Duration = Duration::from_secs(3_600);

/// What arrives, one at a time.
struct Inbox(Arrivals, Vec<Arrival>);

impl Inbox {
    async fn recv(&mut self) -> Option<Arrival> {
        if self.1.is_empty() {
            self.0.next(&mut self.1).await;
        }
        (!self.1.is_empty()).then(|| self.1.remove(0))
    }
}

/// What was done for want of places, and of octets.
fn counts(streams: &Streams) -> [ShareCount; 2] {
    let mut stats = Stats::default();
    streams.count_into(&mut stats);
    let all = |r: Resource| stats.shares[r as usize];
    // The listener is the inside's.
    [Resource::Connections, Resource::Buffers].map(|r| all(r)[Side::Inside.index()])
}

fn tcp(peer: SocketAddr, conn: Option<ConnId>) -> Flow {
    Flow { listener: ListenerId(0), transport: Transport::Tcp, peer, conn, upstream: None }
}

fn way(peer: SocketAddr) -> Way {
    Way::of(&tcp(peer, None))
}

fn user() -> Holder {
    Holder::User("101".to_owned())
}

/// A listener with these limits, and what arrives there.
async fn listening(total: usize, per_source: usize) -> (SocketAddr, Inbox) {
    let (_, at, arrivals) = gate(total, per_source).await;
    (at, arrivals)
}

async fn gate(total: usize, per_source: usize) -> (Streams, SocketAddr, Inbox) {
    let mut config = Config::site(IpAddr::from([127, 0, 0, 1]), &[], "x");
    (config.limits.connections, config.limits.connections_per_source) = (total, per_source);
    let (inlet, arrivals) = inlet();
    let socket = listen("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let at = socket.local_addr().expect("bound");
    let streams = Streams::new(&config, inlet, Tls::open(&config).expect("no TLS here"));
    tokio::spawn(streams.clone().accept(socket, ListenerId(0)));
    (streams, at, Inbox(arrivals, Vec::new()))
}

fn limits() -> Limits {
    Config::site(IpAddr::from([127, 0, 0, 1]), &[], "x").limits
}

async fn connect(at: SocketAddr, from: [u8; 4]) -> TcpStream {
    dial(at, Some(SocketAddr::new(IpAddr::from(from), 0))).await.expect("connects")
}

/// Sends and waits until the driver has it.
async fn say(stream: &mut TcpStream, arrivals: &mut Inbox) -> ConnId {
    stream.write_all(OPTIONS.as_bytes()).await.expect("written");
    match arrivals.recv().await {
        Some(Arrival::Message { flow, .. }) => flow.conn.expect("a connection"),
        other => panic!("{other:?}"),
    }
}

async fn closed(stream: &mut TcpStream) -> bool {
    matches!(timeout(LONG, stream.read(&mut [0; 64])).await, Ok(Ok(0) | Err(_)))
}

#[tokio::test]
async fn a_message_that_never_ends_closes_its_connection_the_first_and_every_other() {
    let (at, mut arrivals) = listening(10, 10).await;
    let mut idle = connect(at, [127, 0, 0, 1]).await;
    let mut later = connect(at, [127, 0, 0, 1]).await;
    let mut first = connect(at, [127, 0, 0, 1]).await;
    say(&mut idle, &mut arrivals).await;
    say(&mut later, &mut arrivals).await;
    later.write_all(b"OPTIONS sip:").await.expect("written");
    first.write_all(b"OPTIONS sip:").await.expect("written");
    pause();
    assert!(closed(&mut first).await, "a first message");
    assert!(closed(&mut later).await, "a second message");
    assert!(!closed(&mut idle).await, "a phone between messages stays");
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed() {
    let (at, _arrivals) = listening(10, 10).await;
    let mut silent = connect(at, [127, 0, 0, 1]).await;
    pause();
    assert!(closed(&mut silent).await);
}

/// A gateway whose one listener is an outside one, where strangers hear nothing.
async fn silent_gate() -> (Streams, SocketAddr, Inbox) {
    let mut config = Config::site(IpAddr::from([127, 0, 0, 1]), &[], "x");
    let i = &mut config.interfaces[0];
    (i.side, i.strangers) = (Side::Outside, Strangers::Silent);
    let (inlet, arrivals) = inlet();
    let socket = listen("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let at = socket.local_addr().expect("bound");
    let streams = Streams::new(&config, inlet, Tls::open(&config).expect("no TLS here"));
    tokio::spawn(streams.clone().accept(socket, ListenerId(0)));
    (streams, at, Inbox(arrivals, Vec::new()))
}

#[tokio::test]
async fn where_strangers_hear_nothing_a_ping_is_answered_to_who_is_known_alone() {
    let (streams, at, mut arrivals) = silent_gate().await;
    let mut stranger = connect(at, [127, 0, 0, 2]).await;
    let conn = say(&mut stranger, &mut arrivals).await;
    let mut got = [0; 2];
    let ping = async |stream: &mut TcpStream, got: &mut [u8]| {
        stream.write_all(b"\r\n\r\n").await.expect("written");
        timeout(Duration::from_millis(200), stream.read_exact(got)).await.is_ok()
    };
    assert!(!ping(&mut stranger, &mut got).await, "nobody is here");
    streams.keep(conn, user());
    assert!(ping(&mut stranger, &mut got).await, "he proved himself");
    let local = "127.0.0.1:5060".parse().expect("an address");
    streams.know(local, IpAddr::from([127, 0, 0, 3]), LONG);
    let mut phone = connect(at, [127, 0, 0, 3]).await;
    assert!(ping(&mut phone, &mut got).await, "a phone is there");
    let (_, at, _arrivals) = gate(10, 10).await;
    assert!(ping(&mut connect(at, [127, 0, 0, 2]).await, &mut got).await, "answered by default");
}

#[tokio::test]
async fn an_upstream_that_proved_itself_is_known_as_long_as_it_is_heard() {
    let (streams, at, mut arrivals) = silent_gate().await;
    let known =
        |streams: &Streams| streams.callers().is_known(Side::Outside, IpAddr::from([127, 0, 0, 9]));
    let mut trunk = connect(at, [127, 0, 0, 9]).await;
    let conn = say(&mut trunk, &mut arrivals).await;
    assert!(!known(&streams));
    streams.keep(conn, Holder::Upstream);
    assert!(known(&streams));
    for hours in [23, 22] {
        pause();
        tokio::time::advance(LONG * hours).await;
        resume();
        assert!(known(&streams));
        say(&mut trunk, &mut arrivals).await;
    }
}

#[test]
fn strangers_outside_fill_their_part_of_the_table_and_displace_nobody_inside() {
    let limits = Limits { connections: 100, connections_per_source: 10, ..limits() };
    let mut table = Table::new(&limits);
    let at = |net: u8, n: u32| {
        SocketAddr::new(IpAddr::from((u32::from(net) << 24 | n).to_be_bytes()), 1)
    };
    let mut enter = |side, peer| table.enter(way(peer), side, None).expect("a place");
    let phones: Vec<ConnId> = (0..20).map(|n| enter(Side::Inside, at(10, n)).0).collect();
    for n in 0..500 {
        enter(Side::Outside, at(198, n));
    }
    let late = enter(Side::Inside, at(10, 99)).0;
    (500..1_000).for_each(|n| drop(enter(Side::Outside, at(198, n))));
    let flow = |conn| tcp(at(0, 0), Some(conn));
    let here = |conn: &&ConnId| table.carrier(&flow(**conn)) == Some(**conn);
    assert_eq!(phones.iter().filter(here).count(), 20);
    assert!(here(&&late), "who is new inside stays, too");
    assert_eq!(table.len(), 21 + 75 - 7);
}

#[tokio::test]
async fn pings_do_not_begin_the_time_of_a_first_message_anew() {
    let (at, _arrivals) = listening(10, 10).await;
    let mut silent = connect(at, [127, 0, 0, 1]).await;
    let begun = Instant::now();
    let ping = async {
        while silent.write_all(b"\r\n\r\n").await.is_ok()
            && !matches!(silent.read(&mut [0; 8]).await, Ok(0) | Err(_))
        {
            pause();
            tokio::time::advance(Duration::from_secs(7)).await;
            resume();
        }
    };
    timeout(LONG, ping).await.expect("it is closed");
    let lasted = begun.elapsed().as_secs();
    assert!((QUIET.as_secs()..QUIET.as_secs() + 15).contains(&lasted), "{lasted} s");
}

#[tokio::test]
async fn who_is_barred_outside_is_closed_before_he_says_anything_and_inside_he_is_not() {
    for (streams, at, mut arrivals, outside) in
        [(silent_gate().await, true), (gate(10, 10).await, false)]
            .map(|((streams, at, arrivals), outside)| (streams, at, arrivals, outside))
    {
        streams.bar(Source::of(IpAddr::from([127, 0, 0, 2])), None, LONG);
        let mut stranger = connect(at, [127, 0, 0, 2]).await;
        if outside {
            assert!(closed(&mut stranger).await);
            assert_eq!(streams.len(), 0, "it has had no place");
        } else {
            say(&mut stranger, &mut arrivals).await;
        }
        say(&mut connect(at, [127, 0, 0, 3]).await, &mut arrivals).await;
    }
}

#[tokio::test]
async fn in_a_full_table_the_fullest_source_s_own_oldest_gives_way_and_nobody_else() {
    let (streams, at, mut arrivals) = gate(5, 2).await;
    let mut phone = connect(at, [127, 0, 0, 1]).await;
    streams.keep(say(&mut phone, &mut arrivals).await, user());
    let mut other = connect(at, [127, 0, 0, 2]).await;
    say(&mut other, &mut arrivals).await;
    let mut spoken = connect(at, [127, 0, 0, 1]).await;
    say(&mut spoken, &mut arrivals).await;
    let mut silent = connect(at, [127, 0, 0, 1]).await;
    let mut last = connect(at, [127, 0, 0, 1]).await;
    say(&mut last, &mut arrivals).await;
    // All five are taken; of the fullest source, who said nothing goes before who did.
    let mut fourth = connect(at, [127, 0, 0, 1]).await;
    assert!(closed(&mut silent).await, "who said nothing goes first");
    assert!(matches!(arrivals.recv().await, Some(Arrival::Closed(_))));
    say(&mut fourth, &mut arrivals).await;
    let mut third = connect(at, [127, 0, 0, 3]).await;
    assert!(closed(&mut spoken).await, "then the oldest that proved nothing");
    assert!(matches!(arrivals.recv().await, Some(Arrival::Closed(_))));
    say(&mut third, &mut arrivals).await;
    for stays in [&mut phone, &mut other, &mut last, &mut fourth] {
        say(stays, &mut arrivals).await;
    }
    let [connections, _] = streams.shares();
    assert_eq!((connections.used, connections.total), (5, 5));
    assert_eq!(counts(&streams)[0], ShareCount { refused: 0, displaced: 2 });
    assert_eq!(connections.fullest, Some(("127.0.0.1".to_owned(), 2)));
}

#[tokio::test]
async fn a_tenth_is_for_the_proved_and_they_give_way_to_nobody() {
    let (streams, at, mut arrivals) = gate(10, 10).await;
    let mut phones = Vec::new();
    for n in 0..9 {
        let mut phone = connect(at, [127, 0, 1, n]).await;
        let conn = say(&mut phone, &mut arrivals).await;
        streams.keep(conn, Holder::User(n.to_string()));
        phones.push(phone);
    }
    let mut none = connect(at, [127, 0, 0, 4]).await;
    assert!(closed(&mut none).await, "the last place is reserve");
    assert_eq!(counts(&streams)[0], ShareCount { refused: 1, displaced: 0 });
    drop(phones.pop());
    assert!(matches!(arrivals.recv().await, Some(Arrival::Closed(_))));
    let mut late = connect(at, [127, 0, 0, 4]).await;
    say(&mut late, &mut arrivals).await;
    for phone in &mut phones {
        say(phone, &mut arrivals).await;
    }
}

#[test]
fn a_user_who_opens_connection_after_connection_keeps_his_share_of_them() {
    let limits = Limits { connections: 10, connections_per_source: 2, ..limits() };
    let mut table = Table::new(&limits);
    let enter = |table: &mut Table, ip: u8| {
        let peer = SocketAddr::from(([192, 0, 2, ip], 5060));
        table.enter(way(peer), Side::Inside, None).expect("a place").0
    };
    let his: Vec<ConnId> = (1..9)
        .map(|ip| {
            let conn = enter(&mut table, ip);
            table.keep(conn, user());
            conn
        })
        .collect();
    let phones: Vec<ConnId> = (11..16)
        .map(|ip| {
            let conn = enter(&mut table, ip);
            table.keep(conn, Holder::User(ip.to_string()));
            conn
        })
        .collect();
    let held = |conns: &[ConnId]| {
        let nowhere = "192.0.2.99:1".parse().expect("an address");
        let there = |conn: &&ConnId| table.carrier(&tcp(nowhere, Some(**conn))).is_some();
        conns.iter().filter(there).count()
    };
    assert_eq!(
        (held(&his), held(&phones)),
        (4, 5),
        "half of an empty table, and no more of a full"
    );
}

#[test]
fn a_connection_by_tls_is_used_for_the_upstream_it_was_opened_to_and_for_nobody_else() {
    let mut table = Table::new(&limits());
    let peer = "192.0.2.1:5061".parse().expect("an address");
    let tls = |upstream: Option<u64>, conn| {
        let upstream = upstream.map(UpstreamId::new);
        Flow { transport: Transport::Tls, upstream, ..tcp(peer, conn) }
    };
    let mut enter =
        |flow: Flow, opens| table.enter(Way::of(&flow), Side::Outside, opens).expect("a place").0;
    let own = enter(tls(Some(1), None), Some(Holder::Upstream));
    let theirs = enter(tls(None, None), None);
    for (flow, carrier) in [
        (tls(Some(1), None), Some(own)),
        (tls(Some(2), None), None),
        (tls(None, None), None),
        (tls(None, Some(theirs)), Some(theirs)),
        (tls(None, Some(ConnId(99))), None),
        (tls(Some(1), Some(ConnId(99))), Some(own)),
    ] {
        assert_eq!(table.carrier(&flow), carrier, "{flow:?}");
    }
    table.remove(own);
    assert_eq!(table.carrier(&tls(Some(1), None)), None, "who called from there is somebody else");
}

#[test]
fn addresses_of_one_network_of_ipv6_share_a_share() {
    let limits = Limits { connections: 4, connections_per_source: 1, ..limits() };
    let mut table = Table::new(&limits);
    let mut enter = |peer: &str| {
        table.enter(way(peer.parse().expect("an address")), Side::Inside, None).expect("a place").0
    };
    let other = enter("[2001:db8:0:2::1]:5060");
    let all = [1, 2, 3].map(|n| enter(&format!("[2001:db8:0:1::{n}]:5060")));
    enter("[2001:db8:0:1::4]:5060");
    let there = |table: &Table, conn| {
        let peer = "[2001:db8::ffff]:1".parse().expect("an address");
        table.carrier(&tcp(peer, Some(conn))).is_some()
    };
    assert!(there(&table, other));
    assert_eq!(all.map(|conn| there(&table, conn)), [false, true, true]);
}

#[tokio::test]
async fn slow_connections_from_a_phone_s_address_keep_it_from_nothing() {
    let (at, mut arrivals) = listening(100, 100).await;
    let mut slow = Vec::new();
    for _ in 0..HALF_OPEN * 2 {
        let mut stream = connect(at, [127, 0, 0, 1]).await;
        stream.write_all(b"REGISTER sip:").await.expect("written");
        slow.push(stream);
    }
    let mut phone = connect(at, [127, 0, 0, 1]).await;
    // The oldest half of them, and one more, gave way.
    for stream in slow.iter_mut().take(HALF_OPEN + 1) {
        assert!(closed(stream).await);
        assert!(matches!(arrivals.recv().await, Some(Arrival::Closed(_))));
    }
    say(&mut phone, &mut arrivals).await;
}

#[tokio::test]
async fn what_a_gone_connection_should_have_carried_is_told_and_nobody_is_called() {
    let (streams, at, mut arrivals) = gate(10, 10).await;
    let mut phone = connect(at, [127, 0, 0, 1]).await;
    let conn = say(&mut phone, &mut arrivals).await;
    let peer = phone.local_addr().expect("bound");
    drop(phone);
    assert!(matches!(arrivals.recv().await, Some(Arrival::Closed(_))));
    let again = TcpListener::bind(peer).await;
    let flow = tcp(peer, Some(conn));
    streams.send(flow, Bytes::from_static(OPTIONS.as_bytes()), None);
    let told = arrivals.recv().await;
    assert!(matches!(told, Some(Arrival::Failed(f)) if f == flow), "{told:?}");
    drop(again);
}

#[tokio::test]
async fn a_full_table_leaves_room_for_connections_of_our_own() {
    let (streams, at, mut arrivals) = gate(1, 1).await;
    let mut phone = connect(at, [127, 0, 0, 1]).await;
    streams.keep(say(&mut phone, &mut arrivals).await, user());
    let upstream = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let peer = upstream.local_addr().expect("bound");
    let flow = tcp(peer, None);
    let options = Bytes::from_static(OPTIONS.as_bytes());
    streams.send(flow, options, opens(Holder::Upstream));
    let (mut got, _) = upstream.accept().await.expect("it is called");
    let mut buffer = vec![0; OPTIONS.len()];
    got.read_exact(&mut buffer).await.expect("the message");
    assert_eq!(buffer, OPTIONS.as_bytes());
}

/// An answer of about 1,000 octets.
fn answer(n: usize) -> Bytes {
    format!("SIP/2.0 200 OK\r\nX: {n} {}\r\n\r\n", "x".repeat(1_000)).into()
}

#[tokio::test]
async fn who_never_reads_holds_few_octets_and_is_closed() {
    let (streams, at, mut arrivals) = gate(10, 10).await;
    let mut deaf = connect(at, [127, 0, 0, 1]).await;
    let conn = say(&mut deaf, &mut arrivals).await;
    let peer = deaf.local_addr().expect("bound");
    let flow = tcp(peer, Some(conn));
    for n in 0..5_000 {
        streams.send(flow, answer(n), None);
        tokio::task::yield_now().await;
    }
    let [_, octets] = streams.shares();
    assert!(octets.used <= EACH, "{octets:?}");
    assert!(counts(&streams)[1].refused > 1_000, "the oldest are lost, and counted");
    pause();
    let told = timeout(LONG, arrivals.recv()).await.expect("it is closed");
    assert!(matches!(told, Some(Arrival::Failed(f)) if f == flow), "{told:?}");
    assert!(matches!(arrivals.recv().await, Some(Arrival::Closed(c)) if c == conn));
    assert_eq!((streams.len(), streams.shares()[1].used), (0, 0));
}

#[tokio::test]
async fn a_connection_that_is_closed_waits_for_no_peer_that_does_not_read() {
    let (streams, at, mut arrivals) = gate(10, 10).await;
    let mut deaf = connect(at, [127, 0, 0, 1]).await;
    let conn = say(&mut deaf, &mut arrivals).await;
    let peer = deaf.local_addr().expect("bound");
    let flow = tcp(peer, Some(conn));
    for n in 0..2_000 {
        streams.send(flow, answer(n), None);
        tokio::task::yield_now().await;
    }
    streams.close(conn);
    assert_eq!(streams.len(), 1, "it holds its place until it is gone");
    pause();
    let begun = Instant::now();
    while !streams.is_empty() {
        sleep(Duration::from_millis(100)).await;
    }
    assert!(begun.elapsed() <= WRITTEN + Duration::from_secs(1));
}

#[test]
fn octets_of_all_connections_have_a_total_and_the_fullest_source_gives_way() {
    let limits = Limits { connections: 2_000, connections_per_source: 2_000, ..limits() };
    let mut table = Table::new(&limits);
    let mut enter = |ip: [u8; 4], port| {
        let peer = SocketAddr::new(IpAddr::from(ip), port);
        table.enter(way(peer), Side::Inside, None).expect("a place").0
    };
    let victim = enter([192, 0, 2, 1], 1);
    let phone = enter([192, 0, 2, 2], 1);
    let crowd: Vec<ConnId> = (0..32).map(|n| enter([192, 0, 2, 3], n)).collect();
    crowd.iter().for_each(|conn| table.heard(*conn));
    let more: Vec<ConnId> = (0..300_u16)
        .map(|n| {
            let peer = SocketAddr::from(([192, 0, 2, 3], 100 + n));
            let conn = table.enter(way(peer), Side::Inside, None).expect("a place").0;
            table.heard(conn);
            conn
        })
        .collect();
    table.keep(phone, user());
    assert!(table.hold(victim, 60_000) && table.hold(phone, 60_000));
    for conn in crowd.iter().chain(&more) {
        table.hold(*conn, 65_535);
        for _ in 0..200 {
            table.push(*conn, answer(0));
        }
        assert!(table.shares()[1].used <= OCTETS - OCTETS / 10);
    }
    let mut stats = Stats::default();
    table.count_into(&mut stats);
    assert!(stats.shares[Resource::Buffers as usize][Side::Inside.index()].displaced > 0);
    assert!(matches!(table.take(crowd[0]), Next::End), "the oldest of the fullest source is cut");
    table.push(victim, answer(1));
    assert!(matches!(table.take(victim), Next::Write(..)), "nobody else is");
    table.push(phone, answer(1));
    assert!(matches!(table.take(phone), Next::Write(..)));
}

#[tokio::test]
async fn a_crowd_that_has_to_go_is_gone_at_once_though_it_never_reads() {
    let (streams, at, mut arrivals) = gate(4, 4).await;
    let mut deaf = Vec::new();
    for _ in 0..4 {
        let mut stream = connect(at, [127, 0, 0, 1]).await;
        let conn = say(&mut stream, &mut arrivals).await;
        let peer = stream.local_addr().expect("bound");
        let flow = tcp(peer, Some(conn));
        for n in 0..500 {
            streams.send(flow, answer(n), None);
            tokio::task::yield_now().await;
        }
        deaf.push(stream);
    }
    let mut new = connect(at, [127, 0, 0, 2]).await;
    // No time passes, and its octets are free.
    assert!(matches!(arrivals.recv().await, Some(Arrival::Closed(_))));
    say(&mut new, &mut arrivals).await;
    assert!(streams.shares()[1].used <= 3 * EACH);
}

/// Somebody who is called by us: what he accepts, and the flow to him.
async fn called() -> (TcpListener, Flow) {
    let there = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let peer = there.local_addr().expect("bound");
    (there, tcp(peer, None))
}

fn opens(holder: Holder) -> Option<Opens> {
    Some(Opens { holder, upstream: None, host: None })
}

fn stranger(flow: &Flow) -> Option<Opens> {
    opens(Holder::Unproved(Source::of(flow.peer.ip())))
}

#[tokio::test]
async fn whom_we_call_for_an_answer_holds_no_more_than_who_calls_us() {
    let (streams, at, mut arrivals) = gate(20, 4).await;
    let mut held = Vec::new();
    for _ in 0..40 {
        let (there, flow) = called().await;
        streams.send(flow, answer(0), stranger(&flow));
        held.push(there.accept().await.expect("he is called"));
    }
    let [connections, _] = streams.shares();
    assert_eq!((connections.used, connections.total), (18, 20), "the reserve stays");
    assert_eq!(connections.fullest, Some(("127.0.0.1".to_owned(), 18)), "he is named");
    // Others find room, by his oldest; what he takes then is his own.
    let mut others = Vec::new();
    for n in 2..10 {
        let mut other = connect(at, [127, 0, 0, n]).await;
        other.write_all(OPTIONS.as_bytes()).await.expect("written");
        while !matches!(arrivals.recv().await, Some(Arrival::Message { .. })) {}
        others.push(other);
    }
    assert_eq!(streams.shares()[0].fullest, Some(("127.0.0.1".to_owned(), 10)));
}

#[tokio::test]
async fn of_those_we_call_who_never_speak_so_many_are_held_as_of_those_who_call() {
    let (streams, _, _arrivals) = gate(1_000, 1_000).await;
    let mut held = Vec::new();
    for _ in 0..HALF_OPEN * 2 {
        let (there, flow) = called().await;
        streams.send(flow, answer(0), stranger(&flow));
        held.push(there.accept().await.expect("he is called"));
    }
    assert_eq!(streams.len(), HALF_OPEN);
}

#[tokio::test]
async fn what_was_opened_for_an_answer_ends_and_what_is_asked_by_waits_longer() {
    for (request, after) in [(false, ANSWERED), (true, ASKED)] {
        let (streams, _, mut arrivals) = gate(10, 10).await;
        let (there, flow) = called().await;
        let bytes = if request { Bytes::from_static(OPTIONS.as_bytes()) } else { answer(0) };
        streams.send(flow, bytes.clone(), stranger(&flow));
        let (mut got, _) = there.accept().await.expect("he is called");
        got.read_exact(&mut vec![0; bytes.len()]).await.expect("the message");
        pause();
        let begun = Instant::now();
        assert!(closed(&mut got).await, "without a word");
        assert!(begun.elapsed() + Duration::from_secs(1) >= after, "{:?}", begun.elapsed());
        assert!(matches!(arrivals.recv().await, Some(Arrival::Closed(_))), "nothing was lost");
        assert!(streams.is_empty());
        resume();
    }
}

#[tokio::test]
async fn who_is_known_and_was_called_stays() {
    for holder in [Holder::Upstream, user()] {
        let (streams, _, _arrivals) = gate(10, 10).await;
        let (there, flow) = called().await;
        streams.send(flow, answer(0), opens(holder));
        let (mut got, _) = there.accept().await.expect("he is called");
        got.read_exact(&mut vec![0; answer(0).len()]).await.expect("the message");
        pause();
        assert!(!closed(&mut got).await);
        assert_eq!(streams.len(), 1);
        resume();
    }
    // Also who turns out to be known.
    let (streams, _, mut arrivals) = gate(10, 10).await;
    let (there, flow) = called().await;
    streams.send(flow, answer(0), stranger(&flow));
    let (mut got, _) = there.accept().await.expect("he is called");
    let conn = say(&mut got, &mut arrivals).await;
    streams.keep(conn, user());
    got.read_exact(&mut vec![0; answer(0).len()]).await.expect("the message");
    pause();
    assert!(!closed(&mut got).await);
}

#[tokio::test]
async fn what_waits_for_the_event_loop_is_counted() {
    let (streams, at, mut arrivals) = gate(10, 10).await;
    let mut hasty = connect(at, [127, 0, 0, 1]).await;
    let all = OPTIONS.repeat(10);
    hasty.write_all(all.as_bytes()).await.expect("written");
    // Eight are ahead; the ninth waits, with the tenth behind it.
    while streams.shares()[1].used < 2 * OPTIONS.len() {
        tokio::task::yield_now().await;
    }
    assert_eq!(streams.shares()[1].used, 2 * OPTIONS.len());
    for _ in 0..10 {
        assert!(matches!(arrivals.recv().await, Some(Arrival::Message { .. })));
    }
    while streams.shares()[1].used > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_peer_that_answers_no_ping_is_left_and_one_that_says_anything_is_not() {
    for answer in ["\r\n", OPTIONS, ""] {
        let (streams, _, mut arrivals) = gate(10, 10).await;
        let socket = listen("127.0.0.1:0".parse().expect("an address")).expect("a port");
        let at = socket.local_addr().expect("bound");
        let opens = Opens { holder: Holder::Upstream, upstream: None, host: None };
        streams.send(tcp(at, None), Bytes::from_static(b"\r\n\r\n"), Some(opens));
        let (mut far, _) = socket.accept().await.expect("it connects");
        let mut ping = [0; 4];
        far.read_exact(&mut ping).await.expect("a ping");
        far.write_all(answer.as_bytes()).await.expect("it writes");
        sleep(Duration::from_millis(50)).await;
        pause();
        let mut got = Vec::new();
        while let Ok(Some(arrival)) = timeout(Duration::from_secs(60), arrivals.recv()).await {
            got.push(arrival);
        }
        resume();
        let failed = |a: &Arrival| matches!(a, Arrival::Failed(flow) if flow.peer == at);
        assert_eq!(got.iter().any(failed), answer.is_empty(), "{answer:?}: {got:?}");
        assert_eq!(streams.len(), usize::from(!answer.is_empty()));
    }
}

#[tokio::test]
async fn a_silent_connection_of_ours_is_ended_when_nobody_answers_and_one_that_speaks_is_not() {
    for speaks in [false, true] {
        let (streams, _, mut arrivals) = gate(10, 10).await;
        let (there, flow) = called().await;
        let options = Bytes::from_static(OPTIONS.as_bytes());
        streams.send(flow, options.clone(), opens(Holder::Upstream));
        let (mut far, _) = there.accept().await.expect("it is called");
        let mut got = vec![0; OPTIONS.len()];
        far.read_exact(&mut got).await.expect("the message");
        pause();
        tokio::time::advance(SILENT).await;
        resume();
        if speaks {
            say(&mut far, &mut arrivals).await;
        }
        streams.end_silent(&flow);
        if !speaks {
            let told = arrivals.recv().await;
            assert!(matches!(told, Some(Arrival::Broken(f)) if f.peer == flow.peer), "{told:?}");
            assert!(matches!(arrivals.recv().await, Some(Arrival::Closed(_))));
        }
        streams.send(flow, options, opens(Holder::Upstream));
        let again = timeout(Duration::from_millis(300), there.accept()).await.is_ok();
        assert_eq!(again, !speaks, "the next request opens another");
    }
}

#[tokio::test]
async fn the_kernel_asks_as_often_as_the_file_says_and_gives_up_who_acknowledges_nothing() {
    let (streams, at, _arrivals) = gate(10, 10).await;
    let mut config = Config::site(IpAddr::from([127, 0, 0, 1]), &[], "x");
    for (keepalive, every) in [(Some(Duration::from_secs(10)), 10), (None, 30)] {
        config.interfaces[0].keepalive = keepalive;
        streams.follow(&config);
        let stream = connect(at, [127, 0, 0, 1]).await;
        streams.set_up(&stream, ListenerId(0));
        let socket = socket2::SockRef::from(&stream);
        assert_eq!(socket.tcp_keepalive_time().expect("read").as_secs(), every);
        assert_eq!(socket.tcp_keepalive_interval().expect("read").as_secs(), every);
        assert_eq!(socket.tcp_user_timeout().expect("read"), Some(Duration::from_secs(10)));
    }
}

/// What was sent there is read, and it ends.
async fn ends(stream: &mut TcpStream) -> bool {
    let mut all = Vec::new();
    timeout(Duration::from_secs(10), stream.read_to_end(&mut all)).await.is_ok()
}

/// Time passes for the driver alone.
async fn later(time: Duration) {
    pause();
    tokio::time::advance(time).await;
    resume();
}

#[tokio::test]
async fn what_follows_a_suspect_goes_by_a_new_connection_and_the_suspect_ends_when_that_answers() {
    let (streams, _, mut arrivals) = gate(10, 10).await;
    let (there, flow) = called().await;
    let options = Bytes::from_static(OPTIONS.as_bytes());
    let asks = || streams.send(flow, options.clone(), opens(Holder::Upstream));
    let soon = Duration::from_millis(300);
    asks();
    let (mut first, _) = there.accept().await.expect("it is called");
    streams.suspect(&flow);
    asks();
    assert!(timeout(soon, there.accept()).await.is_err(), "it was opened just now");
    later(Duration::from_secs(2)).await;
    streams.suspect(&flow);
    asks();
    let (mut second, _) = there.accept().await.expect("another is opened");
    assert_eq!(streams.len(), 2, "the first one may carry what has begun");
    // Nobody answers by that either: of two that are suspect the older one stays.
    later(Duration::from_secs(2)).await;
    streams.suspect(&flow);
    assert!(ends(&mut second).await);
    assert!(matches!(arrivals.recv().await, Some(Arrival::Broken(_))), "it is asked again");
    assert!(matches!(arrivals.recv().await, Some(Arrival::Closed(_))));
    asks();
    let (mut third, _) = there.accept().await.expect("another is opened");
    let conn = say(&mut third, &mut arrivals).await;
    assert!(ends(&mut first).await, "nobody needs it any more");
    let told = arrivals.recv().await;
    assert!(matches!(told, Some(Arrival::Replaced(f)) if f.peer == flow.peer), "{told:?}");
    assert!(matches!(arrivals.recv().await, Some(Arrival::Closed(_))));
    assert_eq!(streams.len(), 1);
    asks();
    assert!(timeout(soon, there.accept()).await.is_err(), "{conn:?} carries it");
}

#[tokio::test]
async fn a_suspect_that_brings_something_after_all_is_one_no_more() {
    let (streams, _, mut arrivals) = gate(10, 10).await;
    let (there, flow) = called().await;
    let options = Bytes::from_static(OPTIONS.as_bytes());
    streams.send(flow, options.clone(), opens(Holder::Upstream));
    let (mut first, _) = there.accept().await.expect("it is called");
    later(Duration::from_secs(2)).await;
    streams.suspect(&flow);
    say(&mut first, &mut arrivals).await;
    streams.send(flow, options, opens(Holder::Upstream));
    let again = timeout(Duration::from_millis(300), there.accept()).await;
    assert!(again.is_err(), "it carries what follows");
    assert_eq!(streams.len(), 1);
}
