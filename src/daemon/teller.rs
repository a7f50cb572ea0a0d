//! What the terminal hears of who comes and goes: the same events that go into the audit log, a
//! calm line each, and what the engine says of what somebody sent. Of one sender, of one address
//! and of all together only so many lines a minute are told, the rest as a sum. It writes nothing
//! itself, and never repeats a secret: records hold none.

mod budget;

use super::recent::audio;
use crate::audit::{BindingEvent, CallEnd, EndedBy, Outcome, Record, Ruling, SecurityClass};
use crate::engine::Level;
use crate::ground::{CallNo, Mono};
use budget::{Budget, Lines};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
/// Lines that tell records.
const RECORDS: Lines = Lines { sender: 10, host: 20, all: 60 };
/// The engine's own lines of what somebody caused: a busy site's calls, too.
const NOTICES: Lines = Lines { sender: 10, host: 60, all: 600 };
/// Errors that somebody caused, as an emergency call that reaches nobody.
const ERRORS: Lines = Lines { sender: 5, host: 10, all: 60 };
/// Users whose addresses are remembered, and addresses of one: beyond it a refresh is news.
const USERS: usize = 1 << 16;
const ADDRESSES: usize = 16;
/// Characters of a word from the network that are shown.
const SHOWN: usize = 64;
/// Characters of a sentence of ours with such words in it.
const DETAIL: usize = 200;

/// A line for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// News.
    Info(String),
    /// What goes on all the time.
    Debug(String),
}

/// What was told, and what is known already.
#[derive(Debug)]
pub(super) struct Teller {
    /// Where registered users are.
    known: BTreeMap<String, BTreeSet<SocketAddr>>,
    records: Budget,
    notices: Budget,
    errors: Budget,
    since: Mono,
    /// Whose credentials were just told to be wrong: the refusal that follows is no news.
    wrong: Option<(SocketAddr, Mono)>,
    /// The last call that was let in: its end in the same step has no source of its own.
    attempt: Option<(CallNo, SocketAddr)>,
}

impl Default for Teller {
    fn default() -> Self {
        Self {
            known: BTreeMap::new(),
            records: Budget::new(RECORDS),
            notices: Budget::new(NOTICES),
            errors: Budget::new(ERRORS),
            since: Mono::default(),
            wrong: None,
            attempt: None,
        }
    }
}

impl Teller {
    /// A registration that was there before the start.
    pub(super) fn know(&mut self, user: &str, at: SocketAddr) {
        self.remember(user, at);
    }

    /// The line for a record, if it has one and there is room for it in this minute.
    pub(super) fn tell(&mut self, now: Mono, record: &Record) -> Option<Line> {
        let (source, line) = self.line(now, record)?;
        let Line::Info(text) = line else { return Some(line) };
        let talked = matches!(record, Record::CallEnd(end) if end.outcome == Outcome::Answered);
        let lines = if talked { &mut self.notices } else { &mut self.records };
        lines.has_room(source).then_some(Line::Info(text))
    }

    /// Whether there is room for a line about what somebody sent.
    pub(super) fn notices(&mut self, by: SocketAddr, level: Level) -> bool {
        match level {
            Level::Debug => true,
            Level::Info | Level::Warn => self.notices.has_room(Some(by)),
            Level::Error => self.errors.has_room(Some(by)),
        }
    }

    /// The sum of what was not told, when the minute is over.
    pub(super) fn due(&mut self, now: Mono) -> Option<String> {
        if now.since(self.since) < MINUTE {
            return None;
        }
        self.sum(now)
    }

    /// The sum of what was not told until now; a new minute begins.
    pub(super) fn sum(&mut self, now: Mono) -> Option<String> {
        self.since = now;
        let (mut untold, mut silent) = (0, BTreeSet::new());
        for budget in [&mut self.records, &mut self.notices, &mut self.errors] {
            let (n, of) = budget.sum();
            untold += n;
            silent.extend(of);
        }
        let addresses = silent.len();
        let s = if addresses == 1 { "" } else { "es" };
        (untold > 0).then(|| {
            format!("{untold} more lines like these were left out, from {addresses} address{s}")
        })
    }

    fn line(&mut self, now: Mono, record: &Record) -> Option<(Option<SocketAddr>, Line)> {
        match record {
            Record::Registration { user, source, result, status, registrar, .. } => {
                if *result == BindingEvent::Refused && self.wrong == Some((*source, now)) {
                    return None;
                }
                let by = (*status, registrar.as_str());
                Some((Some(*source), self.registration(user, *source, *result, by)))
            }
            Record::CallAttempt { call, source, from, to, rule, verdict, target, .. } => {
                self.attempt = Some((*call, *source));
                let who = format!("call from {} to {}", shown(from), shown(to));
                let line = match verdict {
                    Ruling::Allow => Line::Debug(format!("{who} ({target}), let pass by {rule}")),
                    Ruling::Deny => {
                        Line::Info(format!("{who} denied by rule {rule}, {}", at(source)))
                    }
                    Ruling::Drop => {
                        Line::Info(format!("{who} dropped by rule {rule}, {}", at(source)))
                    }
                };
                Some((Some(*source), line))
            }
            Record::CallEnd(end) => {
                let source = self.attempt.filter(|(no, _)| *no == end.call).map(|(_, s)| s);
                let caller = end.parties.first().map(|p| p.address);
                Some((source.or(caller), ended(end, source)))
            }
            Record::Verdict { method, source, to, rule, verdict, .. } => {
                let what = if *verdict == Ruling::Drop { "dropped" } else { "denied" };
                let (method, to, at) = (shown(method), shown(to), at(source));
                let text = format!("{method} to {to} {what} by rule {rule}, {at}");
                Some((Some(*source), Line::Info(text)))
            }
            Record::Reference { by, source, to, rule, verdict, .. } => {
                let what = format!("{by} to {}", shown(to));
                let line = match verdict {
                    Ruling::Allow => Line::Debug(format!("{what}, let pass by {rule}")),
                    Ruling::Deny | Ruling::Drop => {
                        Line::Info(format!("{what} denied by rule {rule}, {}", at(source)))
                    }
                };
                Some((Some(*source), line))
            }
            Record::Security { class, source, detail, .. } => {
                self.security(now, *class, *source, detail)
            }
            Record::Finding { .. }
            | Record::QualityReport { .. }
            | Record::Tunnel { .. }
            | Record::PeerHead { .. }
            | Record::Admin { .. }
            | Record::System { .. } => None,
        }
    }

    fn registration(
        &mut self,
        user: &str,
        source: SocketAddr,
        result: BindingEvent,
        (status, registrar): (u16, &str),
    ) -> Line {
        let (who, at) = (shown(user), at(&source));
        match result {
            BindingEvent::Accepted if self.remember(user, source) => {
                Line::Info(format!("{who} registered, {at}"))
            }
            BindingEvent::Accepted => Line::Debug(format!("{who} is still registered, {at}")),
            BindingEvent::Removed => {
                self.forget(user, source);
                Line::Info(format!("{who} unregistered, {at}"))
            }
            BindingEvent::Expired => {
                self.forget(user, source);
                Line::Info(format!("{who} is gone: not registered anew in time, {at}"))
            }
            BindingEvent::Displaced => {
                self.forget(user, source);
                let why = "nobody had proved it, and others needed the room (limits.bindings)";
                Line::Info(format!("{who} is gone: {why}, {at}"))
            }
            BindingEvent::Replaced => {
                self.forget(user, source);
                let why = "a newer one of the same user took its place (limits.bindings_per_user)";
                Line::Info(format!("a registration of {who} is gone: {why}, {at}"))
            }
            BindingEvent::Refused => {
                let why = match (status, registrar) {
                    (403, "local") => "not from the site's own network, or not its own number",
                    (500, "local") => "older than what is registered",
                    (408, _) => "the registrar does not answer",
                    _ => {
                        return Line::Info(format!(
                            "{who} refused: {registrar} says {status}, {at}"
                        ));
                    }
                };
                Line::Info(format!("{who} refused: {why}, {at}"))
            }
        }
    }

    fn security(
        &mut self,
        now: Mono,
        class: SecurityClass,
        source: Option<SocketAddr>,
        detail: &str,
    ) -> Option<(Option<SocketAddr>, Line)> {
        let from = source.as_ref().map(at).unwrap_or_default();
        if class == SecurityClass::BadPassword {
            self.wrong = source.map(|s| (s, now));
            let (who, why) = match detail.rsplit_once(": ") {
                Some((user, why)) => (shown(user), why),
                None => ("caller".to_owned(), detail),
            };
            let why = match why {
                "bad_password" => "wrong password".to_owned(),
                "unknown_user" => "no such user".to_owned(),
                "no_extension" => "extensions have 2 to 6 digits".to_owned(),
                other => shown(&other.replace('_', " ")),
            };
            return Some((source, Line::Info(format!("{who} refused: {why}, {from}"))));
        }
        let what = shown_up_to(detail, DETAIL);
        let text = format!("{}: {what}, {from}", class.as_str().replace('_', " "));
        let line = match class {
            SecurityClass::FalseFrom
            | SecurityClass::ChallengeRefused
            | SecurityClass::NoRoom
            | SecurityClass::Banned
            | SecurityClass::BackOff => Line::Info(text),
            SecurityClass::BadPassword
            | SecurityClass::InDialogSource
            | SecurityClass::LeakRemoved
            | SecurityClass::Malformed
            | SecurityClass::MediaRefused
            | SecurityClass::MediaStranger
            | SecurityClass::DeniedCalls
            | SecurityClass::DeniedRequests
            | SecurityClass::RefusedRegistrations
            | SecurityClass::AuditShare
            | SecurityClass::UnknownKey => Line::Debug(text),
        };
        Some((source, line))
    }

    /// True when the user was not there.
    fn remember(&mut self, user: &str, at: SocketAddr) -> bool {
        if self.known.len() >= USERS && !self.known.contains_key(user) {
            return true;
        }
        let places = self.known.entry(user.to_owned()).or_default();
        let new = places.insert(at);
        while places.len() > ADDRESSES {
            let other = places.iter().copied().find(|p| *p != at);
            other.map(|p| places.remove(&p));
        }
        new
    }

    fn forget(&mut self, user: &str, at: SocketAddr) {
        if let Some(places) = self.known.get_mut(user) {
            places.remove(&at);
            if places.is_empty() {
                self.known.remove(user);
            }
        }
    }
}

/// A call's end: news where nobody could be called, everyday life elsewhere.
fn ended(end: &CallEnd, source: Option<SocketAddr>) -> Line {
    let who = format!("call {} from {} to {}", end.call, shown(&end.from), shown(&end.to));
    let from = source.map(|s| format!(", {}", at(&s))).unwrap_or_default();
    let status = end.status;
    match end.outcome {
        Outcome::NotFound => Line::Info(format!("{who}: nobody is there ({status}){from}")),
        Outcome::NoCapacity => Line::Info(format!("{who}: no room for it ({status}){from}")),
        Outcome::Failed | Outcome::Timeout => {
            Line::Info(format!("{who}: {} ({status}){from}", end.outcome.as_str()))
        }
        Outcome::Answered => Line::Info(format!("{who}: {}", talked(end))),
        Outcome::Busy
        | Outcome::NoAnswer
        | Outcome::Declined
        | Outcome::Cancelled
        | Outcome::Redirected
        | Outcome::Rerouted
        | Outcome::Denied
        | Outcome::Rejected => Line::Debug(format!("{who}: {}", end.outcome.as_str())),
    }
}

/// How long it was, how it sounded, and what was wrong with it.
fn talked(end: &CallEnd) -> String {
    let by = end.ended_by.map_or("nobody", EndedBy::as_str).replace('_', " ");
    let seconds = end.duration_ms.unwrap_or_default() / 1_000;
    let audio = audio(end).unwrap_or_else(|| "no audio".to_owned());
    let found: Vec<&str> = end.findings.iter().map(|f| f.as_str()).collect();
    let found = if found.is_empty() { "none".to_owned() } else { found.join(", ") };
    format!("ended by {by} after {seconds} s, {audio}, findings: {found}")
}

fn at(source: &SocketAddr) -> String {
    format!("from {}", source.ip())
}

/// Text from the network as it may stand in a line: what does not print is escaped.
fn shown(text: &str) -> String {
    shown_up_to(text, SHOWN)
}

fn shown_up_to(text: &str, most: usize) -> String {
    let all = text.chars().take(most);
    let plain = |c: char| matches!(c, '"' | '\'' | '\\');
    all.flat_map(|c| {
        let escaped = (!plain(c)).then(|| c.escape_debug());
        escaped.into_iter().flatten().chain(plain(c).then_some(c))
    })
    .collect()
}

#[cfg(test)]
mod tests;
