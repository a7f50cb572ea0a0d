use super::table::HALF_OPEN;
use super::*;
use crate::config::Config;
use tokio::time::pause;

const OPTIONS: &str = "OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bK1\r\n\
                       Max-Forwards: 70\r\nFrom: <sip:a@127.0.0.1>;tag=1\r\nTo: <sip:127.0.0.1>\r\n\
                       Call-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n";
/// Longer than every time the driver knows.
const LONG: Duration = Duration::from_secs(3_600);

/// A listener with these limits, and what arrives there.
async fn listening(total: usize, per_source: usize) -> (SocketAddr, mpsc::Receiver<Arrival>) {
    let (_, at, arrivals) = gate(total, per_source).await;
    (at, arrivals)
}

async fn gate(total: usize, per_source: usize) -> (Streams, SocketAddr, mpsc::Receiver<Arrival>) {
    let limits = Limits { connections: total, connections_per_source: per_source, ..limits() };
    let (queue, arrivals) = mpsc::channel(64);
    let socket = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let at = socket.local_addr().expect("bound");
    let streams = Streams::new(Vec::new(), &limits, queue);
    tokio::spawn(streams.clone().accept(socket, ListenerId(0)));
    (streams, at, arrivals)
}

fn limits() -> Limits {
    Config::site(IpAddr::from([127, 0, 0, 1]), &[], "x").limits
}

async fn connect(at: SocketAddr, from: [u8; 4]) -> TcpStream {
    dial(at, Some(IpAddr::from(from))).await.expect("connects")
}

/// Sends and waits until the driver has it.
async fn say(stream: &mut TcpStream, arrivals: &mut mpsc::Receiver<Arrival>) -> ConnId {
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

#[tokio::test]
async fn in_a_full_share_the_source_s_own_oldest_gives_way() {
    let (streams, at, mut arrivals) = gate(100, 2).await;
    let mut phone = connect(at, [127, 0, 0, 1]).await;
    streams.keep(say(&mut phone, &mut arrivals).await);
    let mut spoken = connect(at, [127, 0, 0, 1]).await;
    say(&mut spoken, &mut arrivals).await;
    let mut silent = connect(at, [127, 0, 0, 1]).await;
    let mut other = connect(at, [127, 0, 0, 2]).await;
    say(&mut other, &mut arrivals).await;
    let mut third = connect(at, [127, 0, 0, 1]).await;
    assert!(closed(&mut silent).await, "who said nothing goes first");
    assert!(matches!(arrivals.recv().await, Some(Arrival::Closed(_))));
    say(&mut third, &mut arrivals).await;
    let mut fourth = connect(at, [127, 0, 0, 1]).await;
    assert!(closed(&mut spoken).await, "then the oldest that proved nothing");
    assert!(matches!(arrivals.recv().await, Some(Arrival::Closed(_))));
    say(&mut fourth, &mut arrivals).await;
    for stays in [&mut phone, &mut third, &mut other] {
        say(stays, &mut arrivals).await;
    }
}

#[tokio::test]
async fn in_a_full_table_the_oldest_unproved_gives_way_and_the_proved_to_nobody() {
    let (streams, at, mut arrivals) = gate(3, 3).await;
    let mut phone = connect(at, [127, 0, 0, 1]).await;
    streams.keep(say(&mut phone, &mut arrivals).await);
    let mut oldest = connect(at, [127, 0, 0, 2]).await;
    let mut other = connect(at, [127, 0, 0, 2]).await;
    let mut late = connect(at, [127, 0, 0, 3]).await;
    assert!(closed(&mut oldest).await);
    assert!(matches!(arrivals.recv().await, Some(Arrival::Closed(_))));
    streams.keep(say(&mut late, &mut arrivals).await);
    streams.keep(say(&mut other, &mut arrivals).await);
    say(&mut phone, &mut arrivals).await;
    let mut none = connect(at, [127, 0, 0, 4]).await;
    assert!(closed(&mut none).await, "all three have proved themselves");
    drop(other);
    assert!(matches!(arrivals.recv().await, Some(Arrival::Closed(_))));
    say(&mut connect(at, [127, 0, 0, 4]).await, &mut arrivals).await;
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
    let flow = Flow { listener: ListenerId(0), transport: Transport::Tcp, peer, conn: Some(conn) };
    streams.send(flow, Bytes::from_static(OPTIONS.as_bytes()));
    let told = arrivals.recv().await;
    assert!(matches!(told, Some(Arrival::Failed(f)) if f == flow), "{told:?}");
    drop(again);
}

#[tokio::test]
async fn a_full_table_leaves_room_for_connections_of_our_own() {
    let (queue, mut arrivals) = mpsc::channel(64);
    let full = Limits { connections: 1, connections_per_source: 1, ..limits() };
    let streams = Streams::new(Vec::new(), &full, queue);
    let own = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let at = own.local_addr().expect("bound");
    tokio::spawn(streams.clone().accept(own, ListenerId(0)));
    let mut stranger = connect(at, [127, 0, 0, 1]).await;
    say(&mut stranger, &mut arrivals).await;
    let upstream = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let peer = upstream.local_addr().expect("bound");
    let flow = Flow { listener: ListenerId(0), transport: Transport::Tcp, peer, conn: None };
    streams.send(flow, Bytes::from_static(OPTIONS.as_bytes()));
    let (mut got, _) = upstream.accept().await.expect("it is called");
    let mut buffer = vec![0; OPTIONS.len()];
    got.read_exact(&mut buffer).await.expect("the message");
    assert_eq!(buffer, OPTIONS.as_bytes());
}
