//! One leg's RTP: the sources that spoke on it, one after the other, and their sums. At most two
//! are known at a time; the one that has been silent longer makes room for a third.

use super::bursts::Sums;
use super::reports::Reports;
use super::sequence::{Counts, Place, Sequence};
use super::timing::{Timed, Timing};
use super::types::{Payload, Types};
use crate::ground::Mono;
use crate::relay::emodel::{self, Codec};
use crate::relay::quality::{Codecs, Figures, Rating, Unmeasured};
use crate::wire::rtp::Header;
use std::time::Duration;

/// Packets by sequence numbers below which a rating rests on chance: a second of 20 ms speech.
const FEW: u64 = 50;

/// No payload type: they have 7 bits.
const NO_TYPE: u8 = 0xff;

/// One source (RFC 3550 §3, SSRC).
#[derive(Clone, Copy, Debug)]
struct Source {
    ssrc: u32,
    sequence: Sequence,
    timing: Timing,
}

impl Source {
    fn new(header: &Header) -> Self {
        let timing = Timing::default();
        Self { ssrc: header.ssrc, sequence: Sequence::new(header.sequence), timing }
    }
}

/// Everything that is added up.
#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    received: u64,
    counts: Counts,
    sums: Sums,
    strangers: u64,
    ssrc_changes: u32,
    mismatched: u64,
}

#[derive(Clone, Debug)]
pub(super) struct LegMeter {
    pub(super) reports: Reports,
    /// The last payload type and what it is: a stream rarely changes, and its table lies apart.
    known: (u8, Payload),
    types: Types,
    /// The one that speaks, and the one before.
    sources: [Option<Source>; 2],
    /// Of sources that are gone: counts, and losses.
    past: (Counts, Sums),
    past_jitter_max: Option<u64>,
    received: u64,
    ssrc_changes: u32,
    mismatched: u64,
    mismatched_type: Option<u8>,
    /// The last payload of speech: clock rate, factors.
    media: Option<(u32, Option<&'static Codec>)>,
    /// As the window began.
    before: Totals,
}

impl LegMeter {
    pub(super) fn new() -> Self {
        Self {
            reports: Reports::default(),
            known: (NO_TYPE, Payload::Unsaid),
            types: Types::unsaid(),
            sources: [None; 2],
            past: Default::default(),
            past_jitter_max: None,
            received: 0,
            ssrc_changes: 0,
            mismatched: 0,
            mismatched_type: None,
            media: None,
            before: Totals::default(),
        }
    }

    pub(super) fn set_codecs(&mut self, codecs: &Codecs) {
        self.types = Types::new(codecs);
        self.known = (NO_TYPE, Payload::Unsaid);
        self.moved();
    }

    pub(super) fn moved(&mut self) {
        self.sources.iter_mut().flatten().for_each(|s| s.timing.restart());
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.types.encrypted
    }

    /// Of the stream that is received here.
    pub(super) fn clock_rate(&self) -> Option<u32> {
        self.media.map(|(rate, _)| rate)
    }

    #[inline]
    pub(super) fn rtp(&mut self, header: &Header, arrival: Mono) {
        self.received += 1;
        let payload = self.payload(header.payload_type);
        let place = self.place(header);
        let (Some(source), Payload::Media { clock_rate, codec }) = (&mut self.sources[0], payload)
        else {
            return;
        };
        self.media = Some((clock_rate, codec));
        let next = match place {
            Place::Ahead(by) => by == 1,
            Place::Late | Place::Restart => false,
            Place::Duplicate | Place::Stray => return,
        };
        let Header { timestamp, marker, .. } = *header;
        source.timing.take(&Timed { arrival, timestamp, clock_rate, marker, next });
    }

    fn payload(&mut self, payload_type: u8) -> Payload {
        if self.known.0 != payload_type {
            self.known = (payload_type, self.types.of(payload_type));
        }
        let payload = self.known.1;
        if payload == Payload::Mismatch {
            self.mismatched += 1;
            self.mismatched_type = Some(payload_type);
        }
        payload
    }

    /// Counts the packet; afterwards its source is the first.
    #[inline]
    fn place(&mut self, header: &Header) -> Place {
        let is = |s: &Option<Source>| s.is_some_and(|s| s.ssrc == header.ssrc);
        if !is(&self.sources[0]) {
            if !is(&self.sources[1]) {
                return self.appear(header);
            }
            self.sources.swap(0, 1);
        }
        let Some(source) = &mut self.sources[0] else { return Place::Stray };
        let place = source.sequence.take(header.sequence);
        if place == Place::Restart {
            // The packet before it was the first of the new sequence.
            let mut sequence = Sequence::new(header.sequence.wrapping_sub(1));
            sequence.take(header.sequence);
            let old = std::mem::replace(&mut source.sequence, sequence);
            source.timing.restart();
            self.bury(&old);
        }
        place
    }

    fn appear(&mut self, header: &Header) -> Place {
        self.ssrc_changes += u32::from(self.sources[0].is_some());
        self.sources.swap(0, 1);
        if let Some(gone) = self.sources[0].replace(Source::new(header)) {
            self.past_jitter_max = self.past_jitter_max.max(gone.timing.highest_us(0));
            self.bury(&gone.sequence);
        }
        Place::Ahead(1)
    }

    fn bury(&mut self, gone: &Sequence) {
        self.past.0 = self.past.0.plus(&gone.counts());
        self.past.1 = self.past.1.plus(&gone.losses().sums());
    }

    fn totals(&self, strangers: u64) -> Totals {
        let (mut counts, mut sums) = self.past;
        for source in self.sources.iter().flatten() {
            counts = counts.plus(&source.sequence.counts());
            sums = sums.plus(&source.sequence.losses().sums());
        }
        let Self { received, ssrc_changes, mismatched, .. } = *self;
        Totals { received, counts, sums, strangers, ssrc_changes, mismatched }
    }

    pub(super) fn begin_window(&mut self, strangers: u64) {
        self.before = self.totals(strangers);
        self.sources.iter_mut().flatten().for_each(|s| s.timing.begin_window());
    }

    /// Of the window and since the beginning; `delays`: one-way, likewise, where known.
    pub(super) fn figures(&self, strangers: u64, delays: [Option<Duration>; 2]) -> [Figures; 2] {
        let total = self.totals(strangers);
        let window = total.since(&self.before);
        let timing = self.sources[0].map(|s| s.timing).unwrap_or_default();
        // The source before the one that speaks is still known, but its highest counts, too.
        let known =
            |window| self.sources.iter().flatten().map(move |s| s.timing.highest_us(window));
        let highest = known(0).fold(self.past_jitter_max, Option::max);
        let mut pair = [
            self.shown(&window, &timing, delays[0], known(1).fold(None, Option::max)),
            self.shown(&total, &timing, delays[1], highest),
        ];
        if window.received == 0 {
            pair[0].jitter_us = None;
            pair[0].jitter_max_us = None;
        }
        pair
    }

    fn shown(
        &self,
        t: &Totals,
        timing: &Timing,
        delay: Option<Duration>,
        jitter_max_us: Option<u64>,
    ) -> Figures {
        // What a packet holds is heard that much later.
        let delay = delay.map(|d| d + Duration::from_micros(timing.packet_us().unwrap_or(0)));
        Figures {
            received: t.received,
            expected: t.counts.expected,
            lost: t.counts.lost(),
            duplicated: t.counts.duplicated,
            reordered: t.counts.reordered,
            out_of_source: t.strangers,
            ssrc_changes: t.ssrc_changes,
            mismatched: t.mismatched,
            mismatched_type: self.mismatched_type.filter(|_| t.mismatched > 0),
            jitter_us: timing.jitter_us(),
            jitter_max_us,
            bursts: t.sums.bursts(timing.packet_us()),
            codec: self.media.and_then(|(_, codec)| codec).map(|c| c.name),
            rating: self.rate(t, delay),
            ..Figures::default()
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of packets")]
    fn rate(&self, t: &Totals, delay: Option<Duration>) -> Result<Rating, Unmeasured> {
        if !self.types.speech {
            return Err(Unmeasured::NotSpeech);
        }
        if t.received == 0 {
            return Err(Unmeasured::NoPackets);
        }
        if t.counts.expected < FEW {
            return Err(Unmeasured::TooFew);
        }
        let codec = self.media.and_then(|(_, codec)| codec).ok_or(Unmeasured::UnknownCodec)?;
        let lost = t.counts.lost() as f64 / t.counts.expected as f64;
        Ok(emodel::rate(codec, lost, t.sums.burst_ratio(), delay))
    }
}

impl Totals {
    fn since(&self, before: &Self) -> Self {
        Self {
            received: self.received - before.received,
            counts: self.counts.since(&before.counts),
            sums: self.sums.since(&before.sums),
            strangers: self.strangers.saturating_sub(before.strangers),
            ssrc_changes: self.ssrc_changes - before.ssrc_changes,
            mismatched: self.mismatched - before.mismatched,
        }
    }
}
