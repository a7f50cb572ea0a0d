//! What phones report of their calls (RFC 6035): which call a report means, whether its sender is
//! a party of it, and where it is kept: beside our own figures, and in a record. Reports that go on
//! to the other side are renamed for it. It answers nobody; `collector` does.

use super::analysis::body::BodyRefusal;
use super::dialog::{Call, Kind, LegState};
use super::findings::party;
use super::{Engine, Level};
use crate::audit::{PhoneReport, Record};
use crate::ground::{Flow, Mono, Side};
use crate::relay::Leg;
use crate::wire::body;
use crate::wire::sip::{Message, Method, Name, RejectReason};
use crate::wire::vq_report::{self, Report, Unreadable};
use std::collections::VecDeque;
use std::time::Duration;

/// How long a call that ended is still known: phones report when they have hung up.
const KEPT: Duration = Duration::from_secs(60);
/// Ended calls that are known at once; the oldest go first.
const KEPT_CALLS: usize = 1_024;
/// Reports a party may send at once; beyond them, one for each second of the call.
const AT_ONCE: u64 = 8;

/// Calls that ended a short while ago.
#[derive(Debug, Default)]
pub(crate) struct EndedCalls {
    calls: VecDeque<(Mono, Call)>,
}

impl EndedCalls {
    /// A call is over.
    pub(crate) fn keep(&mut self, now: Mono, call: Call) {
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

    fn get_mut(&mut self, no: u64) -> Option<&mut Call> {
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
    Stranger(u64),
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

impl Engine {
    /// A report that goes on to `far`: read on the way, then renamed for its side.
    pub(crate) fn pass_report(
        &mut self,
        message: &mut Message,
        flow: &Flow,
        far: &LegState,
    ) -> Result<(), BodyRefusal> {
        if !is_report(message) || message.body().is_empty() {
            return Ok(());
        }
        let side = self.net.side(flow.listener);
        let user = match side {
            Side::Inside => self.admit_inside(message, flow).user,
            Side::Outside => None,
        };
        let body = message.body().to_vec();
        if let Err(refused @ Refused::Stranger(_)) = self.take_report(&body, flow, user) {
            let phrase = "Not A Party Of This Call";
            let why = format!("quality report refused: {refused}");
            return Err(BodyRefusal { status: 403, phrase, why, reason: RejectReason::Source });
        }
        if side == far.side {
            return Ok(());
        }
        let domain = far.upstream.and_then(|i| self.upstream(i)).map(|u| u.domain.clone());
        let call = |id: &str| self.far_report_id(id, side, far.side);
        let name = |id: &str| {
            let far = self.far_name(id.as_bytes(), far.side, domain.as_deref());
            String::from_utf8_lossy(&far).into_owned()
        };
        let renamed = vq_report::rename(&body, call, name).map_err(|why| BodyRefusal {
            status: 415,
            phrase: "Unsupported Media Type",
            why: format!("quality report cannot be read: {why}"),
            reason: RejectReason::Body,
        })?;
        message.set_body(renamed);
        Ok(())
    }

    /// The Call-ID of a report as the far side knows the call.
    fn far_report_id(&self, id: &str, from: Side, to: Side) -> String {
        let legs = |call: &Call| {
            let near = &call.caller;
            let fork = call.forks.iter().map(|f| &f.callee);
            let mut pairs = fork.flat_map(|callee| [(near, callee), (callee, near)]);
            let known = pairs.find(|(a, b)| a.side == from && a.call_id == id && b.side == to)?;
            Some(known.1.call_id.clone())
        };
        let known = self.dialogs.calls().find_map(legs);
        let known = known.or_else(|| self.ended.since(self.now.mono).find_map(legs));
        known.unwrap_or_else(|| self.far_call_id(id, from, to))
    }

    /// Reads a report and keeps it where its call is.
    pub(crate) fn take_report(
        &mut self,
        body: &[u8],
        flow: &Flow,
        user: Option<String>,
    ) -> Result<(), Refused> {
        let taken = self.read_report(body, flow, user);
        self.stats.vq_reports[usize::from(taken.is_err())] += 1;
        if let Err(refused) = &taken {
            let peer = flow.peer;
            self.notice(Level::Debug, format!("quality report from {peer} refused: {refused}"));
        }
        taken
    }

    fn read_report(
        &mut self,
        body: &[u8],
        flow: &Flow,
        user: Option<String>,
    ) -> Result<(), Refused> {
        let report = Report::parse(body).map_err(Refused::Unreadable)?;
        let (no, leg) = self.subject(&report, flow, user.as_deref())?;
        let now = self.now.mono;
        let call = self.dialogs.get_mut(no).or_else(|| self.ended.get_mut(no));
        let call = call.ok_or(Refused::NoCall)?;
        let sent = &mut call.reports[leg.index()];
        if *sent >= AT_ONCE + now.since(call.started.mono).as_secs() {
            return Err(Refused::TooMany);
        }
        *sent += 1;
        let figures = PhoneReport::from(&report);
        self.media.phone_reported(no, leg, report.local.port, figures.clone());
        let side = self.net.side(flow.listener);
        let quiet = figures.scope == "interval";
        let level = if quiet { Level::Debug } else { Level::Info };
        let (who, brief) = (party(leg, side), figures.brief());
        self.notice(level, format!("call {no}: {who} reports {brief}"));
        self.record(Record::QualityReport {
            call: no,
            call_id: report.call_id,
            user: user.unwrap_or_default(),
            source: flow.peer,
            side,
            leg: leg_word(leg),
            report: Box::new(figures),
        });
        Ok(())
    }

    /// The call and leg of a report's sender.
    fn subject(
        &self,
        report: &Report,
        flow: &Flow,
        user: Option<&str>,
    ) -> Result<(u64, Leg), Refused> {
        let side = self.net.side(flow.listener);
        let mut stranger = None;
        let mut best: Option<(u8, u64, Leg)> = None;
        let live = self.dialogs.calls().filter(|c| c.kind == Kind::Call);
        for call in live.chain(self.ended.since(self.now.mono)) {
            for (leg, near) in named(call, report, side) {
                let Some(fit) = self.fits(near, flow, user) else {
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

    /// How surely the sender is the party of a leg; `None`: it is not.
    fn fits(&self, near: &LegState, flow: &Flow, user: Option<&str>) -> Option<u8> {
        if near.flow == *flow {
            return Some(2);
        }
        if !self.may_speak(near, flow) {
            return None;
        }
        // Phones that share an address are told apart by what they registered.
        let mut theirs = self.bindings.of_flow(&near.flow).peekable();
        match user {
            Some(user) if theirs.peek().is_some() => theirs.any(|b| b.user() == user).then_some(1),
            Some(_) | None => Some(0),
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

pub(super) fn leg_word(leg: Leg) -> &'static str {
    match leg {
        Leg::Caller => "caller",
        Leg::Callee => "callee",
    }
}
