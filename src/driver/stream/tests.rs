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
    let limits = Limits { connections: total, connections_per_source: per_source, ..limits() };
    let (queue, arrivals) = mpsc::channel(64);
    let socket = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let at = socket.local_addr().expect("bound");
    let streams = Streams::new(Vec::new(), &limits, queue);
    tokio::spawn(streams.accept(socket, ListenerId(0)));
    (at, arrivals)
}

fn limits() -> Limits {
    Config::site(IpAddr::from([127, 0, 0, 1]), &[], "x").limits
}

async fn connect(at: SocketAddr, from: [u8; 4]) -> TcpStream {
    dial(at, Some(IpAddr::from(from))).await.expect("connects")
}

/// Sends and waits until the driver has it.
async fn say(stream: &mut TcpStream, arrivals: &mut mpsc::Receiver<Arrival>) {
    stream.write_all(OPTIONS.as_bytes()).await.expect("written");
    let got = arrivals.recv().await;
    assert!(matches!(got, Some(Arrival::Message { .. })), "{got:?}");
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
async fn connections_are_capped_by_source_and_in_total() {
    let (at, mut arrivals) = listening(3, 2).await;
    let mut open = Vec::new();
    for from in [[127, 0, 0, 1], [127, 0, 0, 1], [127, 0, 0, 2]] {
        let mut stream = connect(at, from).await;
        say(&mut stream, &mut arrivals).await;
        open.push(stream);
        if open.len() == 2 {
            assert!(closed(&mut connect(at, [127, 0, 0, 1]).await).await, "a third of one source");
        }
    }
    assert!(closed(&mut connect(at, [127, 0, 0, 3]).await).await, "a fourth of all");
    drop(open.pop());
    assert!(matches!(arrivals.recv().await, Some(Arrival::Closed(_))));
    say(&mut connect(at, [127, 0, 0, 3]).await, &mut arrivals).await;
}

#[tokio::test]
async fn the_oldest_connection_without_a_message_gives_way() {
    let (at, mut arrivals) = listening(3, 3).await;
    let mut phone = connect(at, [127, 0, 0, 1]).await;
    say(&mut phone, &mut arrivals).await;
    let mut oldest = connect(at, [127, 0, 0, 2]).await;
    let mut other = connect(at, [127, 0, 0, 2]).await;
    let mut late = connect(at, [127, 0, 0, 3]).await;
    assert!(closed(&mut oldest).await);
    assert!(matches!(arrivals.recv().await, Some(Arrival::Closed(_))));
    say(&mut late, &mut arrivals).await;
    say(&mut other, &mut arrivals).await;
    say(&mut phone, &mut arrivals).await;
    let mut none = connect(at, [127, 0, 0, 4]).await;
    assert!(closed(&mut none).await, "all three have spoken");
}

#[tokio::test]
async fn half_open_connections_of_a_source_are_capped() {
    let (at, mut arrivals) = listening(100, 100).await;
    let mut half = Vec::new();
    for _ in 0..HALF_OPEN {
        half.push(connect(at, [127, 0, 0, 1]).await);
    }
    assert!(closed(&mut connect(at, [127, 0, 0, 1]).await).await);
    let mut other = connect(at, [127, 0, 0, 2]).await;
    say(&mut other, &mut arrivals).await;
    say(half.last_mut().expect("open"), &mut arrivals).await;
    say(&mut connect(at, [127, 0, 0, 1]).await, &mut arrivals).await;
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
