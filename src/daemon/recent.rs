//! Calls that are over, for readers: the last ones whole, bounded in number and in octets. It is
//! told of records and makes rows of them; the session table shows them. It asks nobody, and what
//! it forgets stands in the audit log.

use crate::audit::{CallEnd, EndedBy, LegMedia, LegQuality, Outcome, Record, Ruling, Segment};
use crate::engine::{CallDetail, CallRow, CallState, CallView, LegView, PartyView, StreamView};
use crate::ground::{CallNo, Now, Wall};
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Octets that all calls which are over may take.
const OCTETS: usize = 8 << 20;
/// What a call takes beside its words, nearly.
const ROW: usize = 1_024;
/// What a stream of it takes, nearly.
const STREAM: usize = 1_024;
/// Calls whose end is waited for; the oldest gives way.
const BEGUN: usize = 1 << 16;

/// A call that is over.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EndedCall {
    /// As it was while it went on; its media since their beginning.
    #[serde(flatten)]
    pub detail: CallDetail,
    /// Wall seconds of its end.
    pub ended: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// Final status of its INVITE (0: none).
    pub status: u16,
    /// Who ended it; `None`: it was never answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<EndedBy>,
    /// Rule that let it pass; empty: not known.
    pub rule: String,
    /// Where that led it: an upstream's name, `phone`; empty: not known.
    pub target: String,
    /// Tunnels that it went through.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub segments: Vec<Segment>,
}

impl EndedCall {
    fn octets(&self) -> usize {
        let party = |p: &PartyView| p.call_id.len() + p.upstream.as_ref().map_or(0, String::len);
        let d = &self.detail;
        let parties = d.callees.iter().chain([&d.caller]).map(party).sum::<usize>();
        let v = &d.row.view;
        let words = [&v.from, &v.to, &d.call_id, &self.rule, &self.target];
        let words = words.iter().map(|w| w.len()).sum::<usize>();
        ROW + STREAM * d.streams.len() + parties + words
    }
}

/// What the record of its beginning says of a call.
#[derive(Debug)]
struct Begun {
    at: Now,
    rule: String,
    target: String,
}

/// One that is kept.
#[derive(Debug)]
struct Kept {
    call: CallNo,
    octets: usize,
    answered: bool,
}

/// Makes rows of calls that end, and says which ones are to be forgotten.
#[derive(Debug, Default)]
pub(super) struct Recent {
    begun: BTreeMap<CallNo, Begun>,
    /// Oldest first.
    kept: VecDeque<Kept>,
    octets: usize,
}

impl Recent {
    /// Takes a record; a row, when it is that of an end. `most`: `limits.recent_calls`.
    pub(super) fn hear(&mut self, now: Now, record: &Record, most: usize) -> Option<EndedCall> {
        if let Record::CallAttempt { call, rule, target, verdict: Ruling::Allow, .. } = record {
            if most > 0 {
                let (rule, target) = (rule.clone(), target.clone());
                self.begun.insert(*call, Begun { at: now, rule, target });
            }
            if self.begun.len() > BEGUN {
                self.begun.pop_first();
            }
            return None;
        }
        let Record::CallEnd(end) = record else { return None };
        let begun = self.begun.remove(&end.call);
        let row = (most > 0).then(|| ended(now, end, begun)).flatten()?;
        let (octets, answered) = (row.octets(), row.outcome == Outcome::Answered);
        self.octets += octets;
        self.kept.push_back(Kept { call: end.call, octets, answered });
        Some(row)
    }

    /// One that has to go; none: all have room. Who calls again and again and reaches nobody takes
    /// no more than half of the places from calls that were answered.
    pub(super) fn too_many(&mut self, most: usize) -> Option<CallNo> {
        if self.kept.len() <= most && self.octets <= OCTETS {
            return None;
        }
        let vain = self.kept.iter().filter(|k| !k.answered).count();
        let first = self.kept.iter().position(|k| !k.answered).filter(|_| vain > most / 2);
        let gone = self.kept.remove(first.unwrap_or(0))?;
        self.octets -= gone.octets;
        Some(gone.call)
    }
}

/// A call as its records tell it; `None`: it had no party.
fn ended(now: Now, end: &CallEnd, begun: Option<Begun>) -> Option<EndedCall> {
    let (caller, callees) = end.parties.split_first()?;
    let talked = end.setup_ms.unwrap_or_default() + end.duration_ms.unwrap_or_default();
    let supposed = Wall(now.wall.0.saturating_sub(Duration::from_millis(talked)));
    let first = begun.as_ref().map_or(now, |b| b.at);
    let (started, age, rule, target) = match begun {
        Some(b) => (b.at.wall, now.mono.since(b.at.mono), b.rule, b.target),
        None => (supposed, Duration::from_millis(talked), String::new(), String::new()),
    };
    let view = CallView {
        call: end.call,
        from: end.from.clone(),
        to: end.to.clone(),
        state: CallState::Ended,
        direction: end.direction,
        since: started.seconds(),
        started: first.into(),
        answered: None,
    };
    let age_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
    let row = CallRow { view, age_ms, duration_ms: end.duration_ms };
    let streams = end.media.iter().map(|m| StreamView {
        media: m.media.clone(),
        caller: leg(&m.caller),
        callee: leg(&m.callee),
    });
    let detail = CallDetail {
        row,
        call_id: end.call_id.clone(),
        ring_ms: end.ring_ms,
        setup_ms: end.setup_ms,
        caller: caller.clone(),
        callees: callees.to_vec(),
        streams: streams.collect(),
        findings: end.findings.clone(),
    };
    Some(EndedCall {
        detail,
        ended: now.wall.seconds(),
        outcome: end.outcome,
        status: end.status,
        ended_by: end.ended_by,
        rule,
        target,
        segments: end.segments.clone(),
    })
}

fn leg(media: &LegMedia) -> LegView {
    LegView {
        port: media.port,
        party: None,
        packets: Some(media.rtp_packets),
        total: media.quality.clone(),
        window: None,
        phone_report: media.phone_report.as_deref().cloned(),
    }
}

/// How the audio of a call was, in words: MOS and loss of what came from the caller and from the
/// callee. What is not known is said to be so.
pub(super) fn audio(end: &CallEnd) -> Option<String> {
    let stream = end.media.iter().find(|m| m.media == "audio")?;
    let legs = [&stream.caller, &stream.callee].map(|leg| leg.quality.as_ref());
    let words = |word: fn(&LegQuality) -> Option<String>| {
        legs.map(|q| q.and_then(word).unwrap_or_else(|| "unknown".to_owned())).join(" / ")
    };
    let mos = words(|q| q.mos.map(|mos| format!("{mos:.1}")));
    let loss = words(|q| {
        let (lost, expected) = (u32::try_from(q.lost).ok()?, u32::try_from(q.expected).ok()?);
        (expected > 0).then(|| format!("{:.1} %", f64::from(lost) * 100.0 / f64::from(expected)))
    });
    Some(format!("MOS {mos}, loss {loss}"))
}

#[cfg(test)]
mod tests;
