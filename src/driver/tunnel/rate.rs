//! How much may be under way at once. Speech is sent at a rate of its own and in time, or it is
//! worth nothing: a window that was made for files halves at each lost packet, and speech then
//! waits in our own queue. So the window never falls below what the admitted calls need, as long as
//! the path carries that (RFC 8083: where most of it is lost for some seconds, the circuit is
//! broken, and the usual rules hold until it is not).

use quinn::Connection;
use quinn::congestion::{Controller, ControllerFactory, CubicConfig};
use quinn_proto::RttEstimator;
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Octets that one port sends in a second at most, in speech (G.711 in 10 ms packets, with what we
/// put around each).
const PORT: f64 = 14_000.0;
/// Seconds of that which may be under way without a word of the other end: on a path that is gone
/// for a moment speech goes on being sent, as it would without a tunnel, and the first packet that
/// comes through is heard and answered at once. Who stopped would ask rarer and rarer.
const BLIND: f64 = 8.0;
/// Least window, in octets: SIP alone.
const LEAST: u64 = 16 * 1_200;
/// What was lost of what was sent is looked at so often.
const LOOK: Duration = Duration::from_secs(2);
/// Shares that break the circuit, twice in a row, and that close it again.
const BROKEN: (f64, f64) = (0.5, 0.2);

/// Makes controllers; `ports` are the open ones of the tunnel.
#[derive(Clone, Debug)]
pub(super) struct Rate {
    pub(super) ports: Arc<AtomicUsize>,
}

impl ControllerFactory for Rate {
    fn build(self: Arc<Self>, now: Instant, mtu: u16) -> Box<dyn Controller> {
        Box::new(Speech {
            usual: Arc::new(CubicConfig::default()).build(now, mtu),
            ports: self.ports.clone(),
            breaker: Breaker::new(now),
            acked: 0,
        })
    }
}

/// Looks at what is lost.
#[derive(Clone, Debug)]
struct Breaker {
    since: Instant,
    arrived: u64,
    lost: u64,
    /// Looks in a row that were bad.
    bad: u32,
    is_broken: bool,
}

impl Breaker {
    fn new(now: Instant) -> Self {
        Self { since: now, arrived: 0, lost: 0, bad: 0, is_broken: false }
    }

    fn heard(&mut self, now: Instant, arrived: u64, lost: u64) {
        self.arrived += arrived;
        self.lost += lost;
        if now.saturating_duration_since(self.since) < LOOK {
            return;
        }
        let all = self.arrived + self.lost;
        let share = if all == 0 { 0.0 } else { self.lost as f64 / all as f64 };
        self.bad = if share > BROKEN.0 { self.bad + 1 } else { 0 };
        self.is_broken = self.bad >= 2 || self.is_broken && share > BROKEN.1;
        (self.since, self.arrived, self.lost) = (now, 0, 0);
    }
}

struct Speech {
    usual: Box<dyn Controller>,
    ports: Arc<AtomicUsize>,
    breaker: Breaker,
    /// Octets that were acknowledged.
    acked: u64,
}

/// How much of what went by a connection was acknowledged, in octets. Frames that acknowledge say
/// less: they go along with whatever the other end sends, also when nothing of ours comes there.
pub(super) fn acknowledged(connection: &Connection) -> u64 {
    let speech = connection.congestion_state().into_any().downcast::<Speech>();
    speech.map_or(0, |speech| speech.acked)
}

/// What calls need under way, in octets.
fn floor(ports: usize) -> u64 {
    LEAST.saturating_add((ports as f64 * PORT * BLIND) as u64)
}

impl Controller for Speech {
    fn on_sent(&mut self, now: Instant, bytes: u64, last_packet_number: u64) {
        self.usual.on_sent(now, bytes, last_packet_number);
    }

    fn on_ack(
        &mut self,
        now: Instant,
        sent: Instant,
        bytes: u64,
        app_limited: bool,
        rtt: &RttEstimator,
    ) {
        self.breaker.heard(now, bytes, 0);
        self.acked = self.acked.saturating_add(bytes);
        self.usual.on_ack(now, sent, bytes, app_limited, rtt);
    }

    fn on_end_acks(
        &mut self,
        now: Instant,
        in_flight: u64,
        app_limited: bool,
        largest_packet_num_acked: Option<u64>,
    ) {
        self.usual.on_end_acks(now, in_flight, app_limited, largest_packet_num_acked);
    }

    fn on_congestion_event(
        &mut self,
        now: Instant,
        sent: Instant,
        is_persistent_congestion: bool,
        lost_bytes: u64,
    ) {
        self.breaker.heard(now, 0, lost_bytes);
        self.usual.on_congestion_event(now, sent, is_persistent_congestion, lost_bytes);
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.usual.on_mtu_update(new_mtu);
    }

    fn window(&self) -> u64 {
        let usual = self.usual.window();
        if self.breaker.is_broken {
            return usual;
        }
        usual.max(floor(self.ports.load(Relaxed)))
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        let usual = self.usual.clone_box();
        let (ports, breaker) = (self.ports.clone(), self.breaker.clone());
        Box::new(Self { usual, ports, breaker, acked: self.acked })
    }

    fn initial_window(&self) -> u64 {
        self.usual.initial_window().max(LEAST)
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speech_keeps_its_window_after_a_loss_and_gives_it_up_on_a_path_that_carries_nothing() {
        let start = tokio::time::Instant::now().into_std();
        let ports = Arc::new(AtomicUsize::new(20));
        let mut c = Arc::new(Rate { ports: ports.clone() }).build(start, 1_200);
        let need = floor(20);
        assert!(need > 2_000_000 && c.window() >= need);
        let at = |ms: u64| start + Duration::from_millis(ms);
        for n in 0..50 {
            c.on_congestion_event(at(n), at(n), false, 1_200);
            c.on_sent(at(n), 1_200, n);
        }
        assert!(c.window() >= need, "as much as speech needs");
        // All is lost for some seconds: the usual rules hold.
        for n in 1..60 {
            c.on_congestion_event(at(n * 100), at(n * 100 - 50), n % 10 == 0, 1_200);
        }
        assert!(c.window() < need);
        ports.store(0, Relaxed);
        assert_eq!(floor(0), LEAST);
    }

    #[test]
    fn a_broken_circuit_closes_when_the_path_carries_again() {
        let start = tokio::time::Instant::now().into_std();
        let mut b = Breaker::new(start);
        let mut second = 0;
        let mut look = |b: &mut Breaker, arrived, lost| {
            second += 3;
            b.heard(start + Duration::from_secs(second), arrived, lost);
            b.is_broken
        };
        assert!(!look(&mut b, 10, 90), "once is a gap");
        assert!(!look(&mut b, 90, 10));
        assert!(!look(&mut b, 10, 90));
        assert!(look(&mut b, 10, 90));
        assert!(look(&mut b, 70, 30), "still much");
        assert!(!look(&mut b, 95, 5));
    }
}
