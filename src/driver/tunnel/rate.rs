//! How much may be under way at once. Speech is sent at a rate of its own and in time, or it is
//! worth nothing: a window that was made for files halves at each lost packet, and speech then
//! waits in our own queue. So the window never falls below what the admitted calls need, as long as
//! the path carries that (RFC 8083: where most of it is lost for some seconds, the circuit is
//! broken, and the usual rules hold until it is not).
//!
//! QUIC puts datagrams before streams into each packet, and both into one window. So neither gets
//! all of it: media leave a part to messages, and while there are media, messages keep to that
//! part; and what is no speech, by its rate, has no such floor (`gentle`). It sends nothing;
//! `bearer` gives no more to QUIC than is said here.

mod gentle;
mod narrow;

use self::gentle::{BEYOND, Gentle, MESSAGES};
use self::narrow::Narrow;

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
/// Least window, in octets: SIP alone. It is what media leave to messages.
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
            messages: Gentle::new(now, MESSAGES),
            beyond: Gentle::new(now, BEYOND),
            narrow: Narrow::default(),
            in_flight: 0,
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
    messages: Gentle,
    beyond: Gentle,
    narrow: Narrow,
    /// Octets that are under way, or a little more: acknowledgements count until the next one of
    /// the other end's.
    in_flight: u64,
    /// Octets that were acknowledged.
    acked: u64,
}

/// What is known of a connection's rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// How much of what went by it was acknowledged, in octets. Frames that acknowledge say less:
    /// they go along with whatever the other end sends, also when nothing of ours comes there.
    pub(super) acked: u64,
    /// Octets of media that may be sent at once: of flows that send no more than they are sure of,
    /// and of the others.
    pub(super) room: (u64, u64),
    /// Octets of messages that may be under way.
    pub(super) messages: u64,
    /// Long packets do not come through, and short ones do.
    pub(super) is_narrow: bool,
}

/// What is known of it now.
pub(super) fn known(connection: &Connection) -> Known {
    read(connection.congestion_state(), tokio::time::Instant::now().into_std())
}

/// The same of a controller, at this moment.
pub(super) fn read(state: Box<dyn Controller>, now: Instant) -> Known {
    let speech = state.into_any().downcast::<Speech>();
    speech.map_or_else(|_| Known::default(), |speech| speech.known(now))
}

impl Speech {
    fn known(&self, now: Instant) -> Known {
        let window = self.window();
        // Where the window is small as well, each has a half.
        let media = window.saturating_sub(LEAST).max(window / 2);
        let is_free = self.ports.load(Relaxed) == 0;
        Known {
            acked: self.acked,
            room: (
                media.saturating_sub(self.in_flight),
                media.min(self.beyond.octets()).saturating_sub(self.in_flight),
            ),
            messages: if is_free { window.max(LEAST) } else { self.messages.octets() },
            is_narrow: self.narrow.is(now),
        }
    }
}

/// What calls need under way, in octets.
fn floor(ports: usize) -> u64 {
    LEAST.saturating_add((ports as f64 * PORT * BLIND) as u64)
}

impl Controller for Speech {
    fn on_sent(&mut self, now: Instant, bytes: u64, last_packet_number: u64) {
        self.in_flight = self.in_flight.saturating_add(bytes);
        self.narrow.sent(now, bytes);
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
        self.narrow.acknowledged(now, sent, bytes);
        self.messages.heard(now, rtt.get());
        self.beyond.heard(now, rtt.get());
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
        self.in_flight = in_flight;
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
        self.in_flight = self.in_flight.saturating_sub(lost_bytes);
        self.messages.lost(now);
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
        Box::new(Self {
            usual: self.usual.clone_box(),
            ports: self.ports.clone(),
            breaker: self.breaker.clone(),
            messages: self.messages.clone(),
            beyond: self.beyond.clone(),
            narrow: self.narrow.clone(),
            in_flight: self.in_flight,
            acked: self.acked,
        })
    }

    fn initial_window(&self) -> u64 {
        self.usual.initial_window().max(LEAST)
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

#[cfg(test)]
mod tests;
