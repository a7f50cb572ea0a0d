//! What phones report of their calls (RFC 6035): which call a report means, whether its sender is
//! a party of it, and where it is kept: beside our own figures, and in a record. Reports that go on
//! to the other side are renamed for it. It answers nobody; `reporting` does.

use super::findings::party;
use super::{Call, Calls, Kind, LegState};
use crate::audit::{PhoneReport, Record};
use crate::engine::outbox::Outbox;
use crate::engine::output::Level;
use crate::engine::world::World;
use crate::ground::{CallNo, Flow, Leg, Mono, Side};
use crate::wire::body;
use crate::wire::sip::{Message, Method, Name};
use crate::wire::vq_report::{Report, Unreadable};
use std::collections::VecDeque;
use std::time::Duration;

/// How surely a sender is the party of a leg; `None`: it is not.
pub(crate) type Fit<'a> = &'a dyn Fn(&LegState) -> Option<u8>;

/// How long a call that ended is still known: phones report when they have hung up.
const KEPT: Duration = Duration::from_secs(60);
/// Ended calls that are known at once; the oldest go first.
const KEPT_CALLS: usize = 1_024;
/// Reports a party may send at once; beyond them, one for each second of the call.
const AT_ONCE: u64 = 8;

/// Calls that ended a short while ago.
#[derive(Debug, Default)]
pub(super) struct EndedCalls {
    calls: VecDeque<(Mono, Call)>,
}

impl EndedCalls {
    /// A call is over.
    pub(super) fn keep(&mut self, now: Mono, call: Call) {
        while self.calls.len() >= KEPT_CALLS
            || self.calls.front().is_some_and(|(at, _)| now.since(*at) > KEPT)
        {
            self.calls.pop_front();
        }
        self.calls.push_back((now, call));
    }

    /// The newest first.
    fn since(&self, now: Mono) -> impl Iterator<Item = &Call> {
        let fresh = move |c: &&(Mono, Call)| now.since(c.0) <= KEPT;
        self.calls.iter().rev().take_while(fresh).map(|(_, call)| call)
    }

    pub(super) fn get(&self, no: CallNo) -> Option<&Call> {
        self.calls.iter().rev().find(|(_, c)| c.no == no).map(|(_, call)| call)
    }

    fn get_mut(&mut self, no: CallNo) -> Option<&mut Call> {
        self.calls.iter_mut().find(|(_, c)| c.no == no).map(|(_, call)| call)
    }
}

/// Why a report is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It cannot be read.
    Unreadable(Unreadable),
    /// It names no call of the last minute.
    NoCall,
    /// It names this call of others.
    Stranger(CallNo),
    /// The party has reported too often.
    TooMany,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreadable(why) => why.fmt(f),
            Self::NoCall => f.write_str("it names no call of the last minute"),
            Self::Stranger(call) => write!(f, "its sender is no party of call {call}"),
            Self::TooMany => f.write_str("its sender reports too often"),
        }
    }
}

/// Whether a message carries a report by the rules of RFC 6035: a PUBLISH or NOTIFY of its own.
pub(crate) fn is_report(message: &Message) -> bool {
    message.is_request()
        && matches!(message.method(), Method::Publish | Method::Notify)
        && body::Kind::of(message.text(&Name::ContentType)) == body::Kind::QualityReport
}

impl Calls {
    /// The Call-ID of a report as the far side knows the call; `None`: no call is known.
    pub(crate) fn far_report_id(
        &self,
        w: &World,
        id: &str,
        from: Side,
        to: Side,
    ) -> Option<String> {
        let legs = |call: &Call| {
            let near = &call.caller;
            let fork = call.forks.iter().map(|f| &f.callee);
            let mut pairs = fork.flat_map(|callee| [(near, callee), (callee, near)]);
            let known = pairs.find(|(a, b)| a.side == from && a.call_id == id && b.side == to)?;
            Some(known.1.call_id.clone())
        };
        let known = self.table.of_call_id(from, id).find_map(legs);
        known.or_else(|| self.ended.since(w.now().mono).find_map(legs))
    }

    /// Reads a report and keeps it where its call is.
    pub(crate) fn take_report(
        &mut self,
        w: &World,
        out: &mut Outbox,
        body: &[u8],
        by: (&Flow, Option<String>),
        fits: Fit<'_>,
    ) -> Result<(), Refused> {
        let taken = self.read_report(w, out, body, by.clone(), fits);
        out.stats_mut().vq_reports[usize::from(taken.is_err())] += 1;
        if let Err(refused) = &taken {
            let peer = by.0.peer;
            out.notice(Level::Debug, format!("quality report from {peer} refused: {refused}"));
        }
        taken
    }

    fn read_report(
        &mut self,
        w: &World,
        out: &mut Outbox,
        body: &[u8],
        (flow, user): (&Flow, Option<String>),
        fits: Fit<'_>,
    ) -> Result<(), Refused> {
        let report = Report::parse(body).map_err(Refused::Unreadable)?;
        let side = w.side(flow.listener);
        let (no, leg) = self.subject(w, &report, side, fits)?;
        let call = self.table.get_mut(no).or_else(|| self.ended.get_mut(no));
        let call = call.ok_or(Refused::NoCall)?;
        let sent = &mut call.reports[leg.index()];
        if *sent >= AT_ONCE + call.started.elapsed(w.now()).as_secs() {
            return Err(Refused::TooMany);
        }
        *sent += 1;
        let figures = PhoneReport::from(&report);
        self.media.phone_reported(no, leg, report.local.port, figures.clone());
        let quiet = figures.scope == "interval";
        let level = if quiet { Level::Debug } else { Level::Info };
        let (who, brief) = (party(leg, side), figures.brief());
        out.notice_of(flow.peer, level, format!("call {no}: {who} reports {brief}"));
        out.record(Record::QualityReport {
            call: no,
            call_id: report.call_id,
            user: user.unwrap_or_default(),
            source: flow.peer,
            side,
            leg,
            report: Box::new(figures),
        });
        Ok(())
    }

    /// The call and leg of a report's sender.
    fn subject(
        &self,
        w: &World,
        report: &Report,
        side: Side,
        fits: Fit<'_>,
    ) -> Result<(CallNo, Leg), Refused> {
        let mut stranger = None;
        let mut best: Option<(u8, CallNo, Leg)> = None;
        let live = self.table.of_call_id(side, &report.call_id).filter(|c| c.kind == Kind::Call);
        for call in live.chain(self.ended.since(w.now().mono)) {
            for (leg, near) in named(call, report, side) {
                let Some(fit) = fits(near) else {
                    stranger = Some(call.no);
                    continue;
                };
                let found = (fit, call.no, leg);
                if best.is_none_or(|(fit, no, _)| (found.0, found.1) > (fit, no)) {
                    best = Some(found);
                }
            }
        }
        match (best, stranger) {
            (Some((_, no, leg)), _) => Ok((no, leg)),
            (None, Some(no)) => Err(Refused::Stranger(no)),
            (None, None) => Err(Refused::NoCall),
        }
    }
}

/// The legs of a call that a report can mean: by Call-ID and side, and by the tags it has.
fn named<'a>(
    call: &'a Call,
    report: &'a Report,
    side: Side,
) -> impl Iterator<Item = (Leg, &'a LegState)> {
    let known = |tag: &String| *tag == call.caller_tag || call.fork(tag).is_some();
    let fits = report.tags.iter().flatten().all(known);
    let callees = call.forks.iter().map(|f| (Leg::Callee, &f.callee));
    let legs = std::iter::once((Leg::Caller, &call.caller)).chain(callees);
    legs.filter(move |(_, l)| fits && l.side == side && l.call_id == report.call_id)
}
