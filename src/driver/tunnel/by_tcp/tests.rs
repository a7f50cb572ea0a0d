use super::*;
use tokio::time::advance;

fn tcp() -> ByTcp {
    ByTcp::new(7, "192.0.2.1:443".parse().expect("an address"))
}

fn waiting(tcp: &ByTcp) -> Vec<usize> {
    tcp.members.iter().map(|m| m.media().shares.len()).collect()
}

#[tokio::test(start_paused = true)]
async fn what_has_no_connection_gets_no_media() {
    let (tcp, counts) = (tcp(), Counts::default());
    let packet = || Bytes::from_static(b"speech");
    let _first = tcp.members[0].take_place();
    tcp.send(20_000, packet(), &counts);
    assert_eq!(waiting(&tcp), [1, 0, 0], "a proxy lets one through");
    let _third = tcp.members[2].take_place();
    tcp.send(20_000, packet(), &counts);
    tcp.send(20_002, packet(), &counts);
    assert_eq!(waiting(&tcp), [1, 0, 2]);
    let second = tcp.members[1].take_place();
    tcp.send(20_000, packet(), &counts);
    assert_eq!(waiting(&tcp), [1, 1, 2]);
    drop(second);
    tcp.send(20_000, packet(), &counts);
    assert_eq!(waiting(&tcp), [1, 1, 3], "it has ended");
}

#[tokio::test(start_paused = true)]
async fn a_flow_keeps_to_its_connection_until_that_stands_still_and_old_packets_do_not_go() {
    let (tcp, counts) = (tcp(), Counts::default());
    let packet = || Bytes::from_static(b"speech");
    let _all: Vec<_> = tcp.members.iter().map(Member::take_place).collect();
    for _ in 0..3 {
        tcp.send(20_000, packet(), &counts);
        tcp.send(20_001, packet(), &counts);
        tcp.send(20_002, packet(), &counts);
    }
    assert_eq!(waiting(&tcp), [0, 6, 3], "a pair of ports is one flow's");
    advance(STILL + Duration::from_millis(1)).await;
    tcp.send(20_000, packet(), &counts);
    assert_eq!(waiting(&tcp), [1, 6, 3], "both stand still: the first of all is left");
    assert!(!tcp.members[2].take(Instant::now(), &counts).is_empty());
    tcp.send(20_000, packet(), &counts);
    assert_eq!(waiting(&tcp), [1, 6, 1], "the other one moves");
    advance(super::super::shares::OLD).await;
    assert!(tcp.members[1].take(Instant::now(), &counts).is_empty());
    assert_eq!((counts.late.load(Relaxed), counts.sent.load(Relaxed)), (6, 3));
    for _ in 0..500 {
        tcp.send(20_000, packet(), &counts);
    }
    assert!(waiting(&tcp).iter().all(|n| *n <= 64));
}

#[tokio::test]
async fn a_place_has_one_connection_and_the_first_ends_all() {
    let tcp = tcp();
    let media = Media::new("2001:20::1".parse().unwrap(), std::sync::Arc::default());
    let (ours, _theirs) = tokio::io::duplex(1_024);
    let (more, mut beyond) = tokio::io::duplex(1_024);
    let first = tcp.carry(1, ours, &media);
    tokio::pin!(first);
    tokio::select! {
        () = &mut first => panic!("it carries"),
        () = tokio::time::sleep(Duration::from_millis(20)) => {}
    }
    tcp.carry(1, more, &media).await;
    assert_eq!(beyond.read(&mut [0; 8]).await.unwrap(), 0, "closed at once");
    assert!(tcp.end.borrow().is_none());
    tcp.close("over");
    first.await;
    assert_eq!(tcp.ended().await, "over");
}

/// Ten calls that send 50 packets a second go by the connection of one that floods it.
#[tokio::test(start_paused = true)]
async fn who_floods_a_connection_costs_its_other_flows_nothing() {
    let (tcp, counts) = (tcp(), Counts::default());
    let _all: Vec<_> = tcp.members.iter().map(Member::take_place).collect();
    let (mut came, mut sent) = ([0; 11], Vec::new());
    for _ in 0..100 {
        for _ in 0..100 {
            tcp.send(20_000, Bytes::from_static(&[0; 170]), &counts);
        }
        for flow in 1..11_u8 {
            // Every second pair of ports goes by the same connection.
            tcp.send(20_000 + 4 * u16::from(flow), vec![flow; 170].into(), &counts);
        }
        // It carries 16 packets in 20 ms, 8 in one piece.
        for _ in 0..2 {
            sent.extend_from_slice(&tcp.members[1].take(Instant::now(), &counts));
        }
        advance(Duration::from_millis(20)).await;
        assert!(!tcp.members[1].stands_still(Instant::now()), "it moves, however much waits");
    }
    let mut capsules = Capsules::default();
    capsules.push(&sent);
    while let Ok(Some(Capsule::Datagram(packet))) = capsules.next() {
        came[usize::from(packet[0])] += 1;
    }
    assert!(came[1..].iter().all(|n| *n >= 99), "{came:?}");
    assert!(came[0] < 1_000, "{came:?}");
    assert!(counts.late.load(Relaxed) > 9_000);
}

#[tokio::test(start_paused = true)]
async fn a_connection_for_media_that_dies_without_a_word_is_found_in_three_seconds() {
    let (tcp, begun) = (tcp(), Instant::now());
    let media = Media::new("2001:20::1".parse().unwrap(), std::sync::Arc::default());
    let (ours, theirs) = tokio::io::duplex(4_096);
    tcp.carry(1, ours, &media).await;
    assert_eq!(begun.elapsed(), SILENT.1);
    assert!(tcp.end.borrow().is_none(), "the others carry on");
    // By then it has said three times that it lives, as the other end would have.
    drop(tcp);
    let (mut read, mut heard) = (split(theirs).0, Vec::new());
    read.read_to_end(&mut heard).await.unwrap();
    assert!(heard.starts_with(&Capsule::Ping.write().repeat(3)), "{heard:?}");
}
