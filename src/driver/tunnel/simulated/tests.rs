use super::super::shares::{OLD, Shares};
use super::*;
use bytes::Bytes;
use quinn_proto::{Dir, StreamId};

/// A slow line of a site: 2 Mbit/s each way, 40 ms there and back.
fn line() -> World {
    World::new(250_000.0, 20 * MS)
}

/// Speech of some calls, both ways: a packet of 174 octets each 20 ms, with when it was sent.
#[derive(Default)]
struct Speech {
    calls: u64,
    begun: Option<Instant>,
    /// How long each packet took, and how many went.
    took: [Vec<Duration>; 2],
    sent: usize,
}

impl Speech {
    fn of(calls: u64) -> Self {
        Self { calls, ..Self::default() }
    }

    /// One millisecond of it.
    fn goes(&mut self, world: &mut World) {
        let begun = *self.begun.get_or_insert(world.now);
        let at = world.now.duration_since(begun);
        for end in 0..2 {
            let mut room = world.room(end).sure;
            for call in 0..self.calls {
                // Each phone has a beat of its own.
                let beat = (call * 7 + end as u64 * 11) % 20;
                if at.as_millis() as u64 % 20 == beat && room >= 174 {
                    room -= 174;
                    let mut packet = (at.as_micros() as u64).to_be_bytes().to_vec();
                    packet.resize(174, 0);
                    world.connection(end).datagrams().send(packet.into(), true).unwrap();
                    self.sent += 1;
                }
            }
            while let Some(packet) = world.connection(end).datagrams().recv() {
                let sent = u64::from_be_bytes(packet[..8].try_into().unwrap());
                // What is no speech is long.
                if packet.len() == 174 {
                    self.took[end].push(at.saturating_sub(Duration::from_micros(sent)));
                }
            }
        }
    }

    fn longest(&self) -> Duration {
        self.took.iter().flatten().max().copied().unwrap_or_default()
    }
}

/// Messages by one stream: what is still to be written, and what came.
struct Messages {
    stream: StreamId,
    left: usize,
    came: usize,
}

impl Messages {
    fn new(world: &mut World, octets: usize) -> Self {
        let stream = world.connection(0).streams().open(Dir::Uni).expect("a stream");
        Self { stream, left: octets, came: 0 }
    }

    fn go(&mut self, world: &mut World) {
        if self.left > 0 {
            let piece = vec![b'm'; self.left.min(4_096)];
            let written = world.connection(0).send_stream(self.stream).write(&piece);
            self.left -= written.unwrap_or(0);
        }
        let there = world.connection(1);
        while there.streams().accept(Dir::Uni).is_some() {}
        let mut stream = there.recv_stream(self.stream);
        let Ok(mut chunks) = stream.read(true) else { return };
        while let Ok(Some(chunk)) = chunks.next(usize::MAX) {
            self.came += chunk.bytes.len();
        }
        let _ = chunks.finalize();
    }
}

/// Two hundred messages of 4,000 octets beside two calls: how long they took, and the speech that
/// took longest. `free`: messages keep to no window of their own.
fn burst(free: bool) -> (Duration, Duration) {
    let (mut world, mut speech) = (line(), Speech::of(2));
    world.ports.store(8, Relaxed);
    world.run(1_000 * MS, |world| speech.goes(world));
    let begun = world.now;
    let mut messages = Messages::new(&mut world, 200 * 4_000);
    let mut done = None;
    world.run(20_000 * MS, |world| {
        speech.goes(world);
        if free {
            world.connection(0).set_send_window(WINDOW);
        }
        messages.go(world);
        if messages.came == 800_000 {
            done.get_or_insert(world.now.duration_since(begun));
        }
    });
    assert!(speech.took.iter().all(|took| took.len() * 2 >= speech.sent - 20), "none is lost");
    (done.expect("all came"), speech.longest())
}

#[test]
fn a_burst_of_messages_delays_no_speech_by_more_than_a_tenth_of_a_second() {
    let (done, longest) = burst(false);
    println!("800,000 octets of messages in {done:?}; speech took {longest:?} at most");
    assert!(longest < 120 * MS, "{longest:?}, of which 20 are the way's");
    assert!(done < 8_000 * MS, "{done:?}, of which 3.2 s are the line's");
    let (_, longest) = burst(true);
    println!("without a window of their own: {longest:?}");
    assert!(longest > 500 * MS, "{longest:?}: else this shows nothing");
}

/// How long a message of 3,000 octets takes beside a flood of datagrams. `free`: all of them are
/// given to QUIC.
fn flooded(free: bool) -> Duration {
    let mut world = line();
    world.ports.store(2, Relaxed);
    let mut shares = Shares::default();
    let mut flood = |world: &mut World| {
        // They leave no room for anything else in a packet.
        let longest = world.connection(0).datagrams().max_size().unwrap();
        for _ in 0..5 {
            let packet = Bytes::from(vec![0; longest]);
            if free {
                let _ = world.connection(0).datagrams().send(packet, true);
            } else {
                shares.push(world.now.into(), 20_000, packet);
            }
        }
        let mut room = world.room(0);
        while let Some((_, packet)) = shares.next(world.now.into(), &mut room) {
            world.connection(0).datagrams().send(packet, true).unwrap();
        }
        while world.connection(1).datagrams().recv().is_some() {}
    };
    world.run(3_000 * MS, &mut flood);
    let begun = world.now;
    let mut messages = Messages::new(&mut world, 3_000);
    let mut took = None;
    world.run(20_000 * MS, |world| {
        flood(world);
        messages.go(world);
        if messages.came == 3_000 {
            took.get_or_insert(world.now.duration_since(begun));
        }
    });
    took.unwrap_or(Duration::MAX)
}

#[test]
fn a_flood_of_datagrams_keeps_no_message_waiting() {
    // There and back takes 40 ms, and through a full queue of the line about a second.
    let took = flooded(false);
    println!("a message beside a flood: {took:?}");
    assert!(took < 500 * MS, "{took:?}");
    let took = flooded(true);
    println!("where all of it is given to QUIC: {took:?}");
    assert!(took > 1_000 * MS, "{took:?}: else this shows nothing");
}

#[test]
fn a_call_that_floods_a_slow_line_costs_the_others_no_packet() {
    let mut world = line();
    world.ports.store(44, Relaxed);
    let (mut shares, mut at, mut sent) = (Shares::default(), 0, 0);
    let (mut came, mut longest) = ([0; 11], Duration::ZERO);
    world.run(10_000 * MS, |world| {
        at += 1;
        let packet = |flow: u8| {
            let mut packet = vec![flow];
            packet.extend_from_slice(&u64::to_be_bytes(at));
            packet.resize(174, 0);
            Bytes::from(packet)
        };
        // Ten calls of 50 packets a second; and one of 5,000, two and a half times the line.
        (0..5).for_each(|_| shares.push(world.now.into(), 20_000, packet(0)));
        // What is sent last is still under way when it is counted.
        for flow in (1..=10).filter(|flow| at % 20 == 2 * flow - 1 && at < 9_500) {
            shares.push(world.now.into(), 20_000 + 2 * flow as u16, packet(flow as u8));
            sent += 1;
        }
        let mut room = world.room(0);
        while let Some((_, packet)) = shares.next(world.now.into(), &mut room) {
            world.connection(0).datagrams().send(packet, true).unwrap();
        }
        while let Some(packet) = world.connection(1).datagrams().recv() {
            let flow = usize::from(packet[0]);
            came[flow] += 1;
            let then = u64::from_be_bytes(packet[1..9].try_into().unwrap());
            if flow > 0 {
                longest = longest.max(MS * u32::try_from(at - then).unwrap());
            }
        }
    });
    println!("of 50,000 packets of a flood {} came, and speech took {longest:?} at most", came[0]);
    assert_eq!(came[1..].iter().sum::<u64>(), sent, "{came:?}");
    assert!(longest < 150 * MS, "{longest:?}");
    assert!(came[0] > 2_000, "{came:?}: it has what is left");
}

/// Octets of IP a second, call and direction.
fn cost(calls: u64) -> f64 {
    let (mut world, mut speech, mut turn) = (World::new(1e7, 20 * MS), Speech::of(calls), 0);
    world.ports.store(4 * calls as usize, Relaxed);
    let mut goes = |world: &mut World| {
        turn += 1;
        // What is told of the way, which goes along with speech.
        for end in 0..2 {
            if turn % 1_000 == 11 * end + 1 {
                world.connection(end).datagrams().send(vec![0; 60].into(), true).unwrap();
            }
        }
        speech.goes(world);
    };
    world.run(2_000 * MS, &mut goes);
    let before = world.sent(0) + world.sent(1);
    world.run(20_000 * MS, &mut goes);
    let sent = world.sent(0) + world.sent(1) - before;
    sent as f64 / 20.0 / 2.0 / calls as f64
}

#[test]
fn a_call_costs_little_more_than_its_speech() {
    // RTP alone is 10,000. Packets of several calls that go together are not reckoned here.
    for (calls, most) in [(1, 11_700.0), (2, 11_700.0), (5, 11_700.0)] {
        let octets = cost(calls);
        println!("{calls} calls: {octets:.0} octets a second, call and direction");
        assert!(octets <= most, "{calls} calls: {octets}");
    }
}

#[test]
fn a_way_that_swallows_long_packets_is_noticed_while_speech_goes_on() {
    let (mut world, mut speech) = (line(), Speech::of(1));
    world.ports.store(4, Relaxed);
    let mut messages = Messages::new(&mut world, 100);
    world.run(3_000 * MS, |world| {
        speech.goes(world);
        messages.go(world);
    });
    assert_eq!(messages.came, 100);
    world.ways[0].longest = 1_100;
    messages.left = 5_000;
    let (begun, mut noticed) = (world.now, None);
    world.run(6_000 * MS, |world| {
        speech.goes(world);
        messages.go(world);
        if world.known(0).is_narrow {
            noticed.get_or_insert(world.now.duration_since(begun));
        }
        assert!(!world.known(1).is_narrow, "its long packets come through, if there are any");
    });
    println!("noticed after {noticed:?}");
    assert!(noticed.is_some_and(|after| after < 2_000 * MS), "{noticed:?}");
    assert!(messages.came < 5_000, "they stand still");
    assert!(speech.longest() < OLD, "{:?}", speech.longest());
    world.ways[0].longest = 1_500;
    world.run(3_000 * MS, |world| {
        speech.goes(world);
        messages.go(world);
    });
    assert!(messages.came == 5_100 && !world.known(0).is_narrow, "it is as it was");
}

#[test]
fn a_site_whose_packets_carry_no_number_may_move_and_hears_of_a_restart() {
    let (mut world, mut speech) = (line(), Speech::of(1));
    world.ports.store(4, Relaxed);
    let mut messages = Messages::new(&mut world, 2_000);
    let mut go = |world: &mut World| {
        speech.goes(world);
        messages.go(world);
    };
    world.run(2_000 * MS, &mut go);
    // Another port, then another address: its NAT was restarted.
    for at in ["192.0.2.7:6000", "198.51.100.9:6000"] {
        world.gateways[0].at = at.parse().unwrap();
        world.run(2_000 * MS, &mut go);
        assert_eq!(world.connection(1).remote_address(), world.gateways[0].at);
    }
    assert!(speech.took.iter().all(|took| took.len() > 290), "{:?}", speech.took.map(|t| t.len()));
    assert_eq!(messages.came, 2_000);
    world.restart();
    let mut speech = 0;
    world.run(1_000 * MS, |world| {
        speech += 1;
        if speech % 20 == 0 && world.gateways[0].ended.is_none() {
            world.connection(0).datagrams().send(vec![0; 174].into(), true).unwrap();
        }
    });
    assert_eq!(world.gateways[0].ended.as_deref(), Some("reset by peer"));
}
