//! Handshakes and records that never end, crowds of them, and chains longer than anybody needs: how
//! much of each there may be, and whom that keeps out.

use super::*;
use rustls::pki_types::CertificateDer;

/// The inside listener, as the file has it.
const LAN: &str = "127.0.0.1:5061";

#[tokio::test]
async fn who_never_ends_a_handshake_is_bounded_in_time_and_in_number() {
    let place = Place::new("slow");
    let mut g = gateway(&config(&place, "\"self-signed\"", "{}")).await;
    let mut slow = Vec::new();
    for _ in 0..40 {
        slow.push(TcpStream::connect(g.at).await.unwrap());
    }
    // Half of a hello.
    for stream in &mut slow {
        let _ = stream.write_all(&[22, 3, 1, 2, 0, 1, 0, 1, 0xfc]).await;
    }
    for _ in 0..8 {
        assert!(matches!(g.next().await, Arrival::Closed(_)), "the oldest give way");
    }
    assert_eq!(g.streams.len(), 32);
    for _ in 0..32 {
        assert!(matches!(g.next().await, Arrival::Closed(_)), "in time");
    }
    assert_eq!(g.failures(Side::Inside), [(TlsFailure::Timeout, 32)]);
    assert!(phone(g.at, None).await.is_ok());
}

#[test]
fn a_chain_that_is_longer_than_anybody_needs_is_not_looked_at() {
    let one = |n: usize| CertificateDer::from(vec![0; n]);
    assert_eq!(chain::bounded(&one(1000), &vec![one(1000); 4]), Ok(()));
    for rest in [vec![one(100); 5], vec![one(8000); 2]] {
        let told = chain::bounded(&one(1000), &rest).unwrap_err();
        assert_eq!(told.kind, TlsFailure::Certificate);
        assert!(told.text.contains("it should show its own"), "{told}");
    }
}

#[tokio::test]
async fn a_phone_that_shows_a_crowd_of_authorities_is_refused_before_they_are_looked_at() {
    let place = Place::new("crowd");
    let ours = Authority::new();
    place.write("phones.pem", &ours.1);
    let lan = format!(
        "{{ certificate = \"self-signed\", client = \"require\", client_ca = \"{}\" }}",
        place.at("phones.pem")
    );
    let mut g = gateway(&config(&place, &lan, "{}")).await;
    let (mut shown, key) = ours.signs(&["phone.example"], 2100);
    for _ in 0..5 {
        shown.push_str(&Authority::new().1);
    }
    assert!(phone(g.at, Some(&(shown, key))).await.is_err());
    assert!(matches!(g.next().await, Arrival::Closed(_)));
    assert_eq!(g.failures(Side::Inside), [(TlsFailure::Certificate, 1)]);
}

/// A ClientHello that says it is of this length, and all of it but the last octet.
fn long_hello(length: usize) -> Vec<u8> {
    let [.., a, b, c] = u32::try_from(length).unwrap().to_be_bytes();
    let hello = [&[1, a, b, c][..], &vec![7; length - 1]].concat();
    let mut all = Vec::new();
    for part in hello.chunks(16_000) {
        all.extend([22, 3, 1]);
        all.extend(u16::try_from(part.len()).unwrap().to_be_bytes());
        all.extend(part);
    }
    all
}

/// A hello as clients say it.
fn hello() -> Vec<u8> {
    let name = ServerName::try_from("gate.example").unwrap();
    let mut client = rustls::ClientConnection::new(Arc::new(client(None)), name).unwrap();
    let mut all = Vec::new();
    client.write_tls(&mut all).unwrap();
    all
}

/// Octets are held for connections, so many.
async fn holds(g: &Gateway, octets: usize) {
    while g.streams.shares()[1].used != octets {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_handshake_counts_while_it_is_in_progress_and_a_long_hello_is_not_waited_for() {
    let place = Place::new("hello");
    let mut g = gateway(&config(&place, "\"self-signed\"", "{}")).await;
    // Who has not said all that he begins with has no turn; what he has said is counted.
    let mut begun = TcpStream::connect(g.at).await.unwrap();
    let first = long_hello(8_000);
    begun.write_all(&first).await.unwrap();
    holds(&g, first.len()).await;
    let mut slow = TcpStream::connect(g.at).await.unwrap();
    slow.write_all(&hello()).await.unwrap();
    holds(&g, first.len() + 64 * 1024).await;
    let mut long = TcpStream::connect(g.at).await.unwrap();
    long.write_all(&long_hello(60_000)).await.unwrap();
    assert!(matches!(g.next().await, Arrival::Closed(_)));
    assert_eq!(g.failures(Side::Inside), [(TlsFailure::Other, 1)]);
    drop(begun);
    assert!(matches!(g.next().await, Arrival::Closed(_)));
    drop(slow);
    assert!(matches!(g.next().await, Arrival::Closed(_)));
    assert_eq!(g.streams.shares()[1].used, 0);
}

#[tokio::test]
async fn who_says_nothing_has_no_turn_and_no_place_among_handshakes() {
    let place = Place::new("silent");
    let g = gateway(&config(&place, "\"self-signed\"", "{}")).await;
    let mut silent = Vec::new();
    for _ in 0..31 {
        silent.push(TcpStream::connect(g.at).await.unwrap());
    }
    // All of them were there before him.
    assert!(phone(g.at, None).await.is_ok());
    assert_eq!(g.streams.shares()[1].used, 0);
    assert!(g.streams.len() >= 31);
}

#[tokio::test]
async fn what_a_stranger_shows_is_counted_as_long_as_it_is_kept() {
    let place = Place::new("shown");
    let (ours, theirs) = (Authority::new(), Authority::new());
    place.write("phones.pem", &ours.1);
    let lan = format!(
        "{{ certificate = \"self-signed\", client = \"ask\", client_ca = \"{}\" }}",
        place.at("phones.pem")
    );
    let mut g = gateway(&config(&place, &lan, "{}")).await;
    let (mut shown, key) = theirs.signs(&["phone.example"], 2100);
    shown.push_str(&theirs.1);
    let octets = files::chain(shown.as_bytes()).unwrap().iter().map(|one| one.len()).sum();
    let stream = TcpStream::connect(g.at).await.unwrap();
    let stream = tls_of(stream, Some(&(shown, key))).await.unwrap();
    assert!(matches!(g.next().await, Arrival::Unnamed { .. }));
    holds(&g, octets).await;
    assert_eq!(g.streams.tls().0.held.len(), 0, "he proved nothing");
    drop(stream);
    assert!(matches!(g.next().await, Arrival::Closed(_)));
    assert_eq!(g.streams.shares()[1].used, 0);
}

#[tokio::test]
async fn a_record_that_has_begun_is_complete_within_a_time_and_a_phone_between_messages_stays() {
    let place = Place::new("record");
    let mut g = gateway(&config(&place, "\"self-signed\"", "{}")).await;
    let mut all = Vec::new();
    for half in [true, false] {
        let stream = TcpStream::connect(g.at).await.unwrap();
        let mut stream = tls_of(stream, None).await.unwrap();
        stream.write_all(OPTIONS).await.unwrap();
        let Arrival::Message { flow, .. } = g.next().await else { panic!("heard") };
        if half {
            let beneath = stream.get_mut().0;
            beneath.write_all(&[23, 3, 3, 0x40, 0]).await.unwrap();
            beneath.write_all(&[0; 1_000]).await.unwrap();
        }
        all.push((stream, flow.conn.unwrap()));
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    tokio::time::pause();
    let closed = tokio::time::timeout(Duration::from_secs(60), g.next()).await.expect("one ends");
    assert!(matches!(closed, Arrival::Closed(conn) if conn == all[0].1), "{closed:?}");
    let quiet = tokio::time::timeout(Duration::from_secs(600), g.arrivals.next(&mut g.heard)).await;
    assert!(quiet.is_err(), "the other stays");
}

#[tokio::test]
async fn who_sends_what_is_no_sip_after_the_handshake_is_closed_and_who_takes_new_keys_stays() {
    let place = Place::new("barren");
    let mut g = gateway(&config(&place, "\"self-signed\"", "{}")).await;
    let mut all = Vec::new();
    for many in [2, 24] {
        let stream = TcpStream::connect(g.at).await.unwrap();
        let mut stream = tls_of(stream, None).await.unwrap();
        stream.write_all(OPTIONS).await.unwrap();
        let Arrival::Message { flow, .. } = g.next().await else { panic!("heard") };
        for _ in 0..many {
            stream.get_mut().1.refresh_traffic_keys().unwrap();
        }
        stream.flush().await.unwrap();
        all.push((stream, flow.conn.unwrap()));
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    tokio::time::pause();
    let closed = tokio::time::timeout(Duration::from_secs(30), g.next()).await.expect("one ends");
    assert!(matches!(closed, Arrival::Closed(conn) if conn == all[1].1), "{closed:?}");
    let quiet = tokio::time::timeout(Duration::from_secs(600), g.arrivals.next(&mut g.heard)).await;
    assert!(quiet.is_err(), "the other stays");
}

#[tokio::test]
async fn a_crowd_of_slow_handshakes_keeps_nobody_known_from_his_own() {
    let place = Place::new("slow");
    let g = gateway(&config(&place, "\"self-signed\"", "{}")).await;
    let mut slow = Vec::new();
    for n in 2..9_u8 {
        for _ in 0..30 {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind(SocketAddr::from(([127, 0, 3, n], 0))).unwrap();
            slow.push(socket.connect(g.at).await.unwrap());
        }
    }
    g.streams.know(LAN.parse().unwrap(), "127.0.0.1".parse().unwrap(), Duration::from_secs(60));
    let there = tokio::time::timeout(Duration::from_secs(5), phone(g.at, None)).await;
    assert!(there.expect("in time").is_ok());
    let most = 128 * 64 * 1024;
    assert!(g.streams.shares()[1].used <= most, "{:?}", g.streams.shares()[1]);
}

#[tokio::test]
async fn who_has_to_go_as_his_turn_comes_stops_nobody() {
    let place = Place::new("hasty");
    let g = gateway(&config(&place, "\"self-signed\"", "{}")).await;
    g.streams.know(LAN.parse().unwrap(), "127.0.0.1".parse().unwrap(), Duration::from_secs(60));
    let mut all = Vec::new();
    for _ in 0..600 {
        // All of them are there before the first is accepted.
        all.extend(std::net::TcpStream::connect(g.at));
    }
    assert!(all.len() > 500);
    let there = tokio::time::timeout(Duration::from_secs(20), phone(g.at, None)).await;
    assert!(there.expect("in time").is_ok());
}
