//! What the relay measured of a call: into metrics, findings and the record. It judges no packet.

use super::{Calls, findings};
use crate::audit::{Finding, LegQuality, VoipReport};
use crate::engine::outbox::Outbox;
use crate::engine::output::Observation;
use crate::engine::world::World;
use crate::ground::{CallNo, Leg};
use crate::relay::StreamId;
use crate::relay::quality::{Figures, NoRoundTrip, Rating, Unmeasured};

impl Calls {
    /// A window of a leg is over.
    pub(super) fn measured(
        &mut self,
        w: &World,
        out: &mut Outbox,
        stream: StreamId,
        leg: Leg,
        figures: &[Figures; 2],
    ) {
        let [window, total] = figures;
        let (Some(sides), Some(call)) = (self.media.sides_of(stream), self.media.call_of(stream))
        else {
            return;
        };
        let side = sides[leg.index()];
        self.count_lost(out, stream, leg, total);
        let expected = window.received > 0 || self.should_talk(call);
        if let Err(reason) = window.rating
            && expected
            && let Some(n) = out.stats_mut().unmeasured[side.index()].get_mut(reason as usize)
        {
            *n += 1;
        }
        if expected {
            out.observe(Observation::Media { side, window: Box::new(*window) });
        }
        if window.received > 0 {
            self.heard(w, call);
        }
        self.media.remember(stream, leg, *window, *total);
        self.judge_codec(out, call, leg, total);
        self.judge_silence(w, out, call, stream);
    }

    /// Whether silence of a party of this call is worth a word: answered, and not on hold.
    fn should_talk(&self, call: CallNo) -> bool {
        let answered = self.table.get(call).is_some_and(|c| c.confirmed.is_some());
        answered && !self.media.is_held(call)
    }

    /// What was lost and not told of yet. A late packet takes a loss back, a counter cannot: the
    /// next loss is then the one that was told of.
    pub(super) fn count_lost(
        &mut self,
        out: &mut Outbox,
        stream: StreamId,
        leg: Leg,
        total: &Figures,
    ) {
        let Some(sides) = self.media.sides_of(stream) else { return };
        let side = sides[leg.index()];
        out.stats_mut().lost[side.index()] += self.media.newly_lost(stream, leg, total.lost);
    }

    fn judge_codec(&mut self, out: &mut Outbox, call: CallNo, leg: Leg, total: &Figures) {
        if total.mismatched < findings::MISMATCHED {
            return;
        }
        let Some(sides) = self.media.sides(call) else { return };
        let who = findings::party(leg, sides[leg.index()]);
        let n = total.mismatched;
        let kind = total.mismatched_type.map_or_else(String::new, |t| format!(" {t}"));
        let evidence = format!(
            "{n} packets from {who} hold payload type{kind}, which the other party's SDP does not \
             accept: look at the codecs enabled on both"
        );
        self.find(out, call, Finding::CodecMismatch, &evidence);
    }

    /// One leg talks and the other does not: never, or no longer.
    fn judge_silence(&mut self, w: &World, out: &mut Outbox, call: CallNo, stream: StreamId) {
        let answered = self.table.get(call).and_then(|c| c.confirmed);
        let Some(since) = answered.map(|t| t.elapsed(w.now())) else { return };
        if since < findings::SHORT || self.media.is_held(call) {
            return;
        }
        let Some(sides) = self.media.sides(call) else { return };
        for leg in [Leg::Caller, Leg::Callee] {
            let Some((talker, silent)) =
                self.media.heard(stream, leg.other()).zip(self.media.heard(stream, leg))
            else {
                continue;
            };
            let who = findings::party(leg, sides[leg.index()]);
            let seconds = since.as_secs();
            if silent.total == 0 && talker.total >= findings::TALKS {
                let n = talker.total;
                let evidence = format!(
                    "no RTP from {who} in {seconds} s since the answer, {n} packets the other \
                     way{}",
                    silent.hint()
                );
                self.find(out, call, Finding::OneWayAudio, &evidence);
            } else if silent.total > 0
                && silent.silent_windows >= findings::SILENT_WINDOWS
                && talker.window >= findings::TALKS
            {
                let evidence = format!(
                    "RTP from {who} stopped {} s ago, the other way goes on",
                    u32::from(silent.silent_windows) * 10
                );
                self.find(out, call, Finding::FarEndSilent, &evidence);
            }
        }
    }

    /// The call is over and all its media are reported: the last findings, and its category.
    pub(super) fn judge_ended(&mut self, out: &mut Outbox, call: CallNo) {
        let Some(view) = self.media.ended(call) else { return };
        if view.answered_for >= Some(findings::SHORT) && !view.held {
            let [caller, callee] = view.received;
            let seconds = view.answered_for.unwrap_or_default().as_secs();
            if caller == 0 && callee == 0 {
                let evidence = format!("no RTP from either party in {seconds} s since the answer");
                self.find(out, call, Finding::NoAudio, &evidence);
            } else if (caller == 0 || callee == 0) && caller.max(callee) >= findings::TALKS {
                let leg = if caller == 0 { Leg::Caller } else { Leg::Callee };
                let who = findings::party(leg, view.sides[leg.index()]);
                let n = caller.max(callee);
                let evidence = format!(
                    "no RTP from {who} in {seconds} s since the answer, {n} packets the other way"
                );
                self.find(out, call, Finding::OneWayAudio, &evidence);
            }
        }
        if view.answered_for.is_some() {
            out.stats_mut().quality[category(view.worst)] += 1;
        }
    }

    /// Audio of a leg began.
    pub(super) fn judge_start(&mut self, w: &World, out: &mut Outbox, stream: StreamId, leg: Leg) {
        let Some(call) = self.media.call_of(stream) else { return };
        let answered = self.table.get(call).and_then(|c| c.confirmed);
        let Some(after) = answered.map(|t| t.elapsed(w.now())) else { return };
        let Some(sides) = self.media.sides(call) else { return };
        if after >= findings::LATE && !self.media.was_held(call) {
            let who = findings::party(leg, sides[leg.index()]);
            let evidence = format!(
                "the first packet from {who} came {:.1} s after the answer",
                after.as_secs_f64()
            );
            self.find(out, call, Finding::LateAudio, &evidence);
        }
    }
}

/// Index in `stats::CATEGORIES` (ITU-T G.109, table 1).
fn category(worst: Result<Rating, Unmeasured>) -> usize {
    match worst.map(|r| r.r_milli) {
        Ok(90_000..) => 0,
        Ok(80_000..) => 1,
        Ok(70_000..) => 2,
        Ok(60_000..) => 3,
        Ok(50_000..) => 4,
        Ok(_) => 5,
        Err(_) => 6,
    }
}

/// The worse of two directions. One that is not measured makes the call unmeasured: what is not
/// known is not good.
pub(super) fn worse(
    a: Result<Rating, Unmeasured>,
    b: Result<Rating, Unmeasured>,
) -> Result<Rating, Unmeasured> {
    let (a, b) = (a?, b?);
    Ok(if b.r_milli < a.r_milli { b } else { a })
}

/// Figures as the record has them.
pub(super) fn leg_quality(f: &Figures) -> LegQuality {
    let (r, mos, one_way_delay_ms, unmeasured) = match f.rating {
        Ok(r) => (Some(r.r()), Some(r.mos()), r.delay.map(|d| ms(d.as_secs_f64())), None),
        Err(why) => (None, None, None, Some(why.as_str())),
    };
    let (round_trip_ms, no_round_trip) = match f.round_trip_us {
        Ok(us) => (Some(micros(us)), None),
        Err(NoRoundTrip::NoRtcp) => (None, Some("no_rtcp")),
        Err(NoRoundTrip::NoReport) => (None, Some("no_report")),
        Err(NoRoundTrip::Encrypted) => (None, Some("encrypted")),
    };
    LegQuality {
        codec: f.codec,
        expected: f.expected,
        lost: f.lost,
        duplicated: f.duplicated,
        reordered: f.reordered,
        out_of_source: f.out_of_source,
        ssrc_changes: f.ssrc_changes,
        mismatched: f.mismatched,
        jitter_ms: f.jitter_us.map(micros),
        jitter_max_ms: f.jitter_max_us.map(micros),
        bursts: f.bursts.count,
        burst_density: share(f.bursts.burst_density_milli),
        gap_density: share(f.bursts.gap_density_milli),
        burst_ms: f.bursts.burst_ms,
        gap_ms: f.bursts.gap_ms,
        round_trip_ms,
        no_round_trip,
        one_way_delay_ms,
        r,
        mos,
        unmeasured,
        reported: f.reported.map(|r| VoipReport {
            lost: r.lost,
            jitter_ms: r.jitter_us.map(micros),
            r: r.voip.and_then(|v| v.r_factor),
            mos_lq: r.voip.and_then(|v| v.mos_lq).map(|m| f64::from(m) / 10.0),
            mos_cq: r.voip.and_then(|v| v.mos_cq).map(|m| f64::from(m) / 10.0),
            discard_rate: r.voip.map(|v| round(f64::from(v.discard_rate) / 256.0)),
        }),
    }
}

#[expect(clippy::cast_precision_loss, reason = "times of a call stay below 2^52 microseconds")]
fn micros(us: u64) -> f64 {
    round(us as f64 / 1000.0)
}

fn ms(seconds: f64) -> f64 {
    round(seconds * 1000.0)
}

fn share(milli: u32) -> f64 {
    f64::from(milli) / 1000.0
}

/// Three decimals: what is written is what can be told apart.
fn round(x: f64) -> f64 {
    (x * 1000.0).round() / 1000.0
}
