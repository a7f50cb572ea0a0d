//! What is known of a call's media while it runs: the last window and the total of each leg, what
//! was found, and the sum at the end. It judges nothing; `calls::quality` does.

use super::call::Stream;
use super::table::MediaTable;
use crate::audit::{Finding, PhoneReport};
use crate::engine::calls::findings::bit;
use crate::engine::calls::quality::worse;
use crate::ground::{CallNo, Leg, Side};
use crate::relay::quality::{Figures, Rating, Unmeasured};
use crate::relay::{Command, StreamId};
use std::time::Duration;

/// One leg of one stream.
#[derive(Clone, Debug, Default)]
pub(super) struct LegWatch {
    /// The last window, and everything so far.
    pub(super) figures: Option<Box<[Figures; 2]>>,
    /// Everything until somebody asked, when that was after the last window.
    pub(super) so_far: Option<Box<Figures>>,
    /// Windows in a row without a packet.
    silent: u8,
    /// Packets came from an address that the SDP does not name.
    pub(super) strangers: bool,
    /// What the party reported last.
    pub(super) phone: Option<Box<PhoneReport>>,
    /// Lost packets that were counted.
    lost_told: u64,
}

/// One call.
#[derive(Clone, Debug, Default)]
pub(super) struct CallWatch {
    /// Bits of `Finding`.
    found: u16,
    /// A party was on hold at some time.
    pub(super) was_held: bool,
    /// RTP packets accepted on each leg of closed audio streams.
    received: [u64; 2],
    /// The worst direction of closed audio streams; `None`: there was none.
    worst: Option<Result<Rating, Unmeasured>>,
}

impl CallWatch {
    /// An audio stream is closed.
    pub(super) fn add(&mut self, received: [u64; 2], figures: &[Figures; 2]) {
        for (sum, n) in self.received.iter_mut().zip(received) {
            *sum += n;
        }
        let this = worse(figures[0].rating, figures[1].rating);
        self.worst = Some(match self.worst {
            Some(before) => worse(before, this),
            None => this,
        });
    }

    /// What was found.
    pub(super) fn findings(&self) -> Vec<Finding> {
        Finding::ALL.into_iter().filter(|f| self.found & bit(*f) != 0).collect()
    }
}

/// How a leg of an audio stream is heard.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine::calls) struct Heard {
    /// Packets so far.
    pub(in crate::engine::calls) total: u64,
    /// Packets in the last window.
    pub(in crate::engine::calls) window: u64,
    /// Windows in a row without one.
    pub(in crate::engine::calls) silent_windows: u8,
    strangers: bool,
}

impl Heard {
    /// Why it may not be heard, if something is known.
    pub(in crate::engine::calls) fn hint(&self) -> &'static str {
        if self.strangers {
            "; packets from an address that its SDP does not name were dropped"
        } else {
            ""
        }
    }
}

/// A call whose media are all reported.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine::calls) struct Ended {
    /// From answer to end; `None`: never answered.
    pub(in crate::engine::calls) answered_for: Option<Duration>,
    /// It ended on hold, or was on hold at some time.
    pub(in crate::engine::calls) held: bool,
    /// Sides of the legs.
    pub(in crate::engine::calls) sides: [Side; 2],
    /// RTP packets accepted on each leg.
    pub(in crate::engine::calls) received: [u64; 2],
    /// The worst direction.
    pub(in crate::engine::calls) worst: Result<Rating, Unmeasured>,
}

impl MediaTable {
    /// Sets the bit; false: it was set, or the call has no media here.
    pub(in crate::engine::calls) fn is_new_finding(
        &mut self,
        call: CallNo,
        finding: Finding,
    ) -> bool {
        let Some(c) = self.calls.get_mut(&call) else { return false };
        let new = c.watch.found & bit(finding) == 0;
        c.watch.found |= bit(finding);
        new
    }

    /// Sides of a call's legs.
    pub(in crate::engine::calls) fn sides(&self, call: CallNo) -> Option<[Side; 2]> {
        self.calls.get(&call).map(|c| c.sides())
    }

    /// Whether the call was ever on hold.
    pub(in crate::engine::calls) fn was_held(&self, call: CallNo) -> bool {
        self.calls.get(&call).is_some_and(|c| c.watch.was_held)
    }

    fn leg_mut(&mut self, stream: StreamId, leg: Leg) -> Option<&mut LegWatch> {
        let (call, index) = self.streams.get(&stream)?;
        let s = self.calls.get_mut(call)?.stream_mut(stream, *index)?;
        s.watch.get_mut(leg.index())
    }

    /// Keeps what was measured.
    pub(in crate::engine::calls) fn remember(
        &mut self,
        stream: StreamId,
        leg: Leg,
        window: Figures,
        total: Figures,
    ) {
        let Some(w) = self.leg_mut(stream, leg) else { return };
        w.silent = if window.received == 0 { w.silent.saturating_add(1) } else { 0 };
        w.figures = Some(Box::new([window, total]));
        w.so_far = None;
    }

    /// Asks the relay what it has measured of a call until now.
    pub(in crate::engine::calls) fn measure(&mut self, call: CallNo) {
        let Some(c) = self.calls.get(&call) else { return };
        let open = c.streams.iter().flatten().filter(|s| s.open);
        self.commands.extend(open.map(|s| Command::Measure { stream: s.id }));
    }

    /// What the relay answered: shown, and judged by nobody.
    pub(in crate::engine::calls) fn measured_so_far(
        &mut self,
        stream: StreamId,
        figures: [Figures; 2],
    ) {
        for (leg, figures) in Leg::ALL.into_iter().zip(figures) {
            if let Some(w) = self.leg_mut(stream, leg) {
                w.so_far = Some(Box::new(figures));
            }
        }
    }

    /// Of so many lost packets of a leg, those that were never told of.
    pub(in crate::engine::calls) fn newly_lost(
        &mut self,
        stream: StreamId,
        leg: Leg,
        lost: u64,
    ) -> u64 {
        let Some(w) = self.leg_mut(stream, leg) else { return 0 };
        let new = lost.saturating_sub(w.lost_told);
        w.lost_told += new;
        new
    }

    /// A party's report of the stream whose RTP it receives at `port`, else of its first audio.
    pub(in crate::engine::calls) fn phone_reported(
        &mut self,
        call: CallNo,
        leg: Leg,
        port: Option<u16>,
        report: PhoneReport,
    ) {
        let Some(c) = self.calls.get_mut(&call) else { return };
        let at = |s: &Stream| s.parties[leg.index()].rtp.map(|a| a.port());
        let open = || c.streams.iter().enumerate().filter_map(|(i, s)| Some((i, s.as_ref()?)));
        let exact = open().find(|(_, s)| port.is_some() && at(s) == port);
        let Some((index, _)) = exact.or_else(|| open().find(|(_, s)| s.kind == "audio")) else {
            return;
        };
        if let Some(Some(s)) = c.streams.get_mut(index) {
            s.watch[leg.index()].phone = Some(Box::new(report));
        }
    }

    /// Packets of a leg come from elsewhere.
    pub(in crate::engine::calls) fn saw_strangers(&mut self, stream: StreamId, leg: Leg) {
        if let Some(w) = self.leg_mut(stream, leg) {
            w.strangers = true;
        }
    }

    /// How a leg of an audio stream is heard; `None`: not audio, or nothing measured yet.
    pub(in crate::engine::calls) fn heard(&self, stream: StreamId, leg: Leg) -> Option<Heard> {
        let (call, index) = self.streams.get(&stream)?;
        let s = self.calls.get(call)?.streams.get(*index)?.as_ref().filter(|s| s.id == stream)?;
        let w = s.watch.get(leg.index())?;
        let [window, total] = w.figures.as_deref()?;
        (s.kind == "audio").then_some(Heard {
            total: total.received,
            window: window.received,
            silent_windows: w.silent,
            strangers: w.strangers,
        })
    }

    /// Nothing came from a leg of its audio for a whole window.
    pub(in crate::engine::calls) fn is_silent(&self, call: CallNo, leg: Leg) -> bool {
        let streams = self.calls.get(&call).map(|c| &c.streams);
        let mut audio =
            streams.into_iter().flatten().flatten().filter(|s| s.kind == "audio").peekable();
        audio.peek().is_some()
            && audio.all(|s| s.watch.get(leg.index()).is_some_and(|w| w.silent > 0))
    }

    /// The sum of a call that is over; `None`: it is not, or it had no audio.
    pub(in crate::engine::calls) fn ended(&self, call: CallNo) -> Option<Ended> {
        let c = self.calls.get(&call)?;
        let worst = c.watch.worst.filter(|_| c.is_reported())?;
        let millis = c.end.as_ref().and_then(|e| e.duration_ms);
        Some(Ended {
            answered_for: millis.map(Duration::from_millis),
            held: c.watch.was_held,
            sides: c.sides(),
            received: c.watch.received,
            worst,
        })
    }
}
