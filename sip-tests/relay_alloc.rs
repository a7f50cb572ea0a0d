//! The relay thread allocates nothing per packet, and a thousand streams leave nothing behind.
//! An own binary: its allocator counts, and nothing else may run beside.
#![expect(clippy::expect_used, reason = "a failed step is a failed test")]
#![expect(clippy::disallowed_methods, reason = "deadlines with real sockets")]

use portreeve::driver::relay_worker::{Options, Relay};
use portreeve::ground::Side;
use portreeve::relay::{Command, Counters, Event, Expect, Leg, LegConfig, Party, StreamId};
use std::alloc::{GlobalAlloc, Layout, System};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Allocations (and reallocations) of every thread.
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

struct Counting;

#[expect(unsafe_code, reason = "an allocator that counts")]
// SAFETY: every call goes to `System` with the arguments it came with.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as the caller promised us.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised us.
        unsafe { System.dealloc(ptr, layout) }
    }
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as the caller promised us.
        unsafe { System.realloc(ptr, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const PATIENCE: Duration = Duration::from_secs(10);
const PACKETS: u64 = 20_000;

/// An own address, so that runs beside each other do not meet.
fn host() -> IpAddr {
    let [low, high, ..] = std::process::id().to_le_bytes();
    IpAddr::V4(Ipv4Addr::new(127, 128 + high % 64, low, 1))
}

fn main() {
    packets_cost_no_allocation();
    a_thousand_streams_leave_no_descriptor_behind();
    println!("test result: ok. 2 passed; 0 failed");
}

fn leg(port: u16, party: Party) -> LegConfig {
    LegConfig { side: Side::Inside, bind: host(), port, dscp: 46, party }
}

fn phone() -> (UdpSocket, Party) {
    let socket = UdpSocket::bind("127.0.0.2:0").expect("a loopback port");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let addr = socket.local_addr().expect("an address");
    (socket, Party { rtp: Some(addr), rtcp: None, expect: Expect::Exact })
}

fn wait_closed(relay: &Relay) -> Counters {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        match relay.try_next_event() {
            Some(Event::Closed { counters, .. }) => return counters,
            Some(_) => {}
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    }
    panic!("a stream was not closed in time");
}

fn packets_cost_no_allocation() {
    let relay = Relay::start(&Options { workers: 1, cname: None }).expect("a thread");
    let ((a, caller), (b, callee)) = (phone(), phone());
    let legs = [leg(20_000, caller), leg(20_002, callee)];
    relay.apply(Command::Open { stream: StreamId(1), legs, idle: None }).expect("open ports");
    let to_a = SocketAddr::new(host(), 20_000);
    let to_b = SocketAddr::new(host(), 20_002);
    let mut packet = [0_u8; 172];
    packet[0] = 0x80;
    let mut exchange = |rounds: u64| {
        for n in 0..rounds {
            packet[3] = n.to_le_bytes()[0];
            a.send_to(&packet, to_a).expect("sent");
            assert_eq!(b.recv(&mut packet).expect("relayed"), 172);
            b.send_to(&packet, to_b).expect("sent");
            assert_eq!(a.recv(&mut packet).expect("relayed"), 172);
        }
    };
    // The first packets tell of themselves; sweeps (ten a second) happen within the rounds.
    exchange(100);
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    let started = Instant::now();
    exchange(PACKETS / 2);
    while started.elapsed() < Duration::from_millis(1200) {
        exchange(100);
    }
    let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
    assert_eq!(allocations, 0, "allocations while relaying");
    relay.apply(Command::Close { stream: StreamId(1) }).expect("a thread");
    let counters = wait_closed(&relay);
    for leg in [Leg::Caller, Leg::Callee] {
        let counted = counters.legs[leg.index()];
        assert!(counted.packets[0] >= PACKETS / 2 + 100);
        assert_eq!(counted.packets, counted.sent);
    }
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("/proc").count()
}

fn a_thousand_streams_leave_no_descriptor_behind() {
    let before = descriptors();
    let relay = Relay::start(&Options { workers: 2, cname: None }).expect("threads");
    let idle = descriptors();
    for n in 0..1000 {
        // 50 pairs of pairs are used round and round: a port is free once `Closed` was told.
        let base = 21_000 + 4 * u16::try_from(n % 50).unwrap_or(0);
        let legs = [leg(base, Party::UNKNOWN), leg(base + 2, Party::UNKNOWN)];
        relay.apply(Command::Open { stream: StreamId(n), legs, idle: None }).expect("ports");
        assert_eq!(descriptors(), idle + 4);
        relay.apply(Command::Close { stream: StreamId(n) }).expect("threads");
        wait_closed(&relay);
    }
    assert_eq!(descriptors(), idle);
    drop(relay);
    assert_eq!(descriptors(), before);
}
