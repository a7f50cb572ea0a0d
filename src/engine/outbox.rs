//! What the step that runs wants done, in order, and what it counted. Parts put in; the engine's
//! caller takes out. It decides nothing.

use super::output::{Level, Observation, Opens, Output};
use super::stats::{METHODS, RULE_LABELS, RegisterResult, Stats};
use crate::audit::{Outcome, Record, SecurityClass};
use crate::ground::{CallDirection, Flow, Side};
use crate::policy::RuleSet;
use crate::policy::quota::{Full, Resource};
use crate::wire::sip::{Message, Method, RejectReason};
use bytes::Bytes;
use std::collections::VecDeque;
use std::net::SocketAddr;

/// Effects and counters.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    outputs: VecDeque<Output>,
    stats: Stats,
}

impl Outbox {
    /// The oldest effect. `opened` says what a connection is that may have to be opened.
    pub(crate) fn take(&mut self, opened: impl Fn(&Flow) -> Opens) -> Option<Output> {
        let mut first = self.outputs.pop_front()?;
        if let Output::Transmit { flow, opens, .. } = &mut first
            && flow.transport.is_reliable()
            && flow.conn.is_none()
        {
            *opens = Some(opened(flow));
        }
        Some(first)
    }

    pub(crate) fn stats(&self) -> &Stats {
        &self.stats
    }

    /// For whoever counts what only it knows.
    pub(crate) fn stats_mut(&mut self) -> &mut Stats {
        &mut self.stats
    }

    /// Series of rules start at 0, as many as the catalogue's bound allows.
    pub(crate) fn label(&mut self, rules: &RuleSet) {
        let decisions = &mut self.stats.decisions;
        decisions.entry("other".into()).or_insert([0, 0]);
        for name in rules.names() {
            if decisions.len() < RULE_LABELS {
                decisions.entry(name).or_insert([0, 0]);
            }
        }
    }

    pub(crate) fn emit(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    pub(crate) fn transmit(&mut self, flow: Flow, bytes: Bytes) {
        self.outputs.push_back(Output::Transmit { flow, bytes, opens: None });
    }

    pub(crate) fn observe(&mut self, observation: Observation) {
        self.outputs.push_back(Output::Observe(observation));
    }

    /// Fields from the network are cut to their bounds.
    pub(crate) fn record(&mut self, mut record: Record) {
        record.cut();
        if let Record::Security { class, count, .. } = &record
            && let Some(n) = self.stats.security.get_mut(*class as usize)
        {
            *n += count;
        }
        self.outputs.push_back(Output::Record(record));
    }

    /// A line about ourselves.
    pub(crate) fn notice(&mut self, level: Level, text: String) {
        self.outputs.push_back(Output::Notice { level, text, by: None });
    }

    /// A line that somebody causes by what he sends, as often as he likes.
    pub(crate) fn notice_of(&mut self, by: SocketAddr, level: Level, text: String) {
        self.outputs.push_back(Output::Notice { level, text, by: Some(by) });
    }

    pub(crate) fn security(&mut self, class: SecurityClass, by: Flow, detail: String) {
        self.record(Record::Security { class, source: Some(by.peer), count: 1, detail });
    }

    /// Somebody found no room: counted, and part of the minute's sum in the audit log.
    pub(crate) fn no_room(&mut self, side: Side, by: &Flow, resource: Resource, full: Full) {
        self.stats.shares[resource as usize][side.index()].refused += 1;
        self.security(SecurityClass::NoRoom, *by, format!("{resource}: {full}"));
    }

    /// Something gave way.
    pub(crate) fn displaced(&mut self, side: Side, resource: Resource) {
        self.stats.shares[resource as usize][side.index()].displaced += 1;
    }

    pub(crate) fn count_request(&mut self, side: Side, method: &Method) {
        let label = method.label();
        let index = METHODS.iter().position(|m| *m == label).unwrap_or(METHODS.len() - 1);
        if let Some(n) = self.stats.requests[side.index()].get_mut(index) {
            *n += 1;
        }
    }

    pub(crate) fn count_response(&mut self, side: Side, response: &Message) {
        let class = usize::from(response.status() / 100).clamp(1, 6) - 1;
        self.stats.responses[side.index()][class] += 1;
    }

    pub(crate) fn count_rejected(&mut self, side: Side, reason: RejectReason) {
        if let Some(n) = self.stats.rejected[side.index()].get_mut(reason as usize) {
            *n += 1;
        }
    }

    pub(crate) fn count_register(&mut self, result: RegisterResult) {
        self.stats.registrations[result as usize] += 1;
    }

    pub(crate) fn count_outcome(&mut self, direction: CallDirection, outcome: Outcome) {
        self.stats.calls[direction as usize][outcome as usize] += 1;
    }
}
