//! What others ask of the event loop, and what it tells them without being asked. It counts and
//! shows; the engine decides.

use super::draining::Drain;
use super::event_loop::EventLoop;
use super::service_status;
use super::session_table::{Figures, Standing};
use super::trace::TraceView;
use crate::audit::Record;
use crate::driver::relay_worker::Totals;
use crate::driver::tunnel::View as TunnelView;
use crate::engine::{CallDetail, Input, Lifted, Snapshot, Stats, SuspectView};
use crate::ground::{CallNo, Now, Wall};
use crate::policy::quota::ShareView;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// What others ask of the loop.
#[derive(Debug)]
pub enum Ask {
    /// Figures of a call's media as of now; seen in [`Ask::Call`] a moment later.
    Measure(CallNo),
    /// One call.
    Call(CallNo, oneshot::Sender<Option<Box<CallDetail>>>),
    /// What a call did, message by message; `None`: that is not kept.
    Trace(CallNo, oneshot::Sender<Option<Box<TraceView>>>),
    /// Calls whole, the oldest first, at most so many.
    Calls(usize, oneshot::Sender<Vec<CallDetail>>),
    /// How tables are held.
    Shares(oneshot::Sender<Vec<ShareView>>),
    /// End a call; told is whether there was one.
    HangUp {
        /// Its number.
        call: CallNo,
        /// Who wants it, for the audit log.
        by: String,
        /// Where the answer goes.
        told: oneshot::Sender<bool>,
    },
    /// Whether bans are on; the banned, and who is nearest to it.
    Bans(oneshot::Sender<(bool, Vec<SuspectView>)>),
    /// End bans; told is what there was to lift.
    LiftBans {
        /// Of this address; `None`: all.
        whom: Option<IpAddr>,
        /// Who wants it, for the audit log.
        by: String,
        /// Where the answer goes.
        told: oneshot::Sender<Lifted>,
    },
    /// A new configuration was read, or refused.
    Reload(Box<Reload>),
    /// No new calls; stop when the last one has ended, or after the configured time. Said again, it
    /// changes nothing and tells how far it is.
    Drain {
        /// Who wants it, for the audit log.
        by: String,
        /// Where the answer goes.
        told: oneshot::Sender<Draining>,
    },
    /// Hang up and stop.
    StopNow,
}

/// How a reload ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reloaded {
    /// There is something new.
    Applied,
    /// Everything is as it was.
    Unchanged,
    /// There are faults: everything stays as it was.
    Refused,
}

impl Reloaded {
    /// In metric order.
    pub const ALL: [Self; 3] = [Self::Applied, Self::Unchanged, Self::Refused];

    /// Metric label, audit word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Unchanged => "unchanged",
            Self::Refused => "refused",
        }
    }
}

/// A configuration for the loop to take.
#[derive(Debug)]
pub struct Reload {
    /// What holds from now on; `None`: what held.
    pub snapshot: Option<Arc<Snapshot>>,
    /// How it ended.
    pub result: Reloaded,
    /// Keys whose new values wait for a restart; nothing when it was refused.
    pub pending: Vec<String>,
    /// For the audit log.
    pub record: Record,
    /// Told when it holds.
    pub done: oneshot::Sender<()>,
}

/// How far draining is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draining {
    /// Calls under way.
    pub calls: usize,
    /// They are hung up after this.
    pub left: Duration,
    /// It had begun before.
    pub already: bool,
}

/// Reloads since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloads {
    /// How many ended so, by [`Reloaded::ALL`].
    pub counts: [u64; 3],
    /// The last one was refused.
    pub refused: bool,
    /// When a configuration was last taken: the start counts.
    pub success: Wall,
    /// Keys whose new values wait for a restart.
    pub pending: Vec<String>,
}

/// How the journal of registrations does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateReport {
    /// Writes that failed; each is tried again.
    pub write_failures: u64,
    /// Changes that found no place to wait.
    pub lost: u64,
    /// Changes that wait for the volume.
    pub waiting: u64,
    /// The volume takes nothing now.
    pub failing: bool,
}

/// Counters and gauges from everywhere.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The engine's.
    pub stats: Stats,
    /// The relay's.
    pub relay: Totals,
    /// Lines, failures, suppressed records; full.
    pub audit: [u64; 4],
    /// The journal of registrations.
    pub state: StateReport,
    /// Open stream connections.
    pub connections: u64,
    /// Tunnels to other gateways, in the file's order.
    pub tunnels: Vec<TunnelView>,
    /// SIP datagrams dropped at our sockets.
    pub dropped: u64,
    /// `limits.calls` in force.
    pub calls_limit: u64,
    /// Reloads.
    pub reloads: Reloads,
    /// `site.name`.
    pub site: String,
    /// Hash of the configuration in force; empty in site mode.
    pub hash: String,
    /// When this was put together; since the start on the monotonic clock.
    pub now: Now,
    /// While it drains: calls are hung up after this.
    pub drain_left: Option<Duration>,
    /// News of the relay that the loop was too slow to take.
    pub relay_events_lost: u64,
    /// No phone of another machine can reach the gateway: it stands on loopback alone.
    pub loopback_only: bool,
    /// What is hardly meant in the configuration in force, a sentence each.
    pub doubts: Vec<String>,
    /// Addresses that it stands at and this machine has not (any more).
    pub lost_addresses: Vec<IpAddr>,
    /// Log lines that nobody read in time.
    pub log_lines_lost: u64,
    /// How the event loop does: how old all this is.
    pub standing: Standing,
}

impl EventLoop {
    /// Answers a question; true: stop. Nobody may be listening any more.
    pub(super) fn answer(&mut self, ask: Ask) -> bool {
        let now = self.clock.now();
        match ask {
            Ask::Measure(no) => self.step(Input::Measure(no)),
            Ask::Call(no, to) => drop(to.send(self.engine.call(no, now).map(Box::new))),
            Ask::Trace(no, to) => drop(to.send(self.tracer.view(no).map(Box::new))),
            Ask::Calls(most, to) => {
                let (rows, _) = self.engine.calls(now);
                let rows = rows.iter().take(most);
                let whole = rows.filter_map(|row| self.engine.call(row.view.call, now));
                drop(to.send(whole.collect()));
            }
            Ask::Shares(to) => drop(to.send(self.shares())),
            // Whoever wanted it was told that nobody answers: it is too late.
            Ask::HangUp { told, .. } if told.is_closed() => {}
            Ask::HangUp { call, by, told } => drop(told.send(self.hang_up(call, &by, now))),
            Ask::Bans(to) => {
                drop(to.send((self.config.bans.enabled, self.engine.suspects(now.mono))));
            }
            Ask::LiftBans { told, .. } if told.is_closed() => {}
            Ask::LiftBans { whom, by, told } => drop(told.send(self.lift_bans(whom, &by))),
            Ask::Reload(reload) => self.reload(*reload),
            Ask::Drain { by, told } => drop(told.send(self.drain(&by))),
            Ask::StopNow => return true,
        }
        false
    }

    /// The engine's tables, and the drivers'.
    fn shares(&self) -> Vec<ShareView> {
        let mut all = self.engine.shares();
        all.extend(self.streams.shares());
        all
    }

    fn hang_up(&mut self, call: CallNo, by: &str, now: Now) -> bool {
        let there = self.engine.call(call, now).is_some();
        let result = if there { "applied" } else { "refused" };
        let detail = format!("call {call}, by {by}");
        self.record(Record::Admin { action: "hangup", result, detail });
        if there {
            self.step(Input::HangUp(call));
        }
        there
    }

    fn lift_bans(&mut self, whom: Option<IpAddr>, by: &str) -> Lifted {
        self.step(Input::LiftBans(whom));
        let lifted = std::mem::take(&mut self.lifted);
        let result = if lifted == Lifted::default() { "refused" } else { "applied" };
        let of = whom.map_or_else(|| "all".to_owned(), |ip| ip.to_string());
        let Lifted { bans, forgiven } = lifted;
        let detail = format!("bans lifted: {bans}, forgiven: {forgiven}, of {of}, by {by}");
        self.record(Record::Admin { action: "lift_bans", result, detail });
        lifted
    }

    fn reload(&mut self, r: Reload) {
        if let Some(snapshot) = r.snapshot {
            let mut config = snapshot.config.clone();
            config.stand_as(&self.config);
            let before = self.config.listeners();
            self.config = config;
            self.tracer.follow(&self.config);
            self.streams.follow(&self.config);
            self.open_new(&before);
            let (tls, config) = (self.streams.tls().clone(), self.config.clone());
            tokio::task::spawn_blocking(move || tls.follow(&config));
            self.step(Input::Reload(snapshot));
            self.step(Input::AuditFull(self.audit_full && self.config.audit.refuse_when_full));
        }
        self.reloads.counts[r.result as usize] += 1;
        self.reloads.refused = r.result == Reloaded::Refused;
        if r.result != Reloaded::Refused {
            self.reloads.success = self.clock.now().wall;
            self.reloads.pending = r.pending;
        }
        self.record(r.record);
        let _ = r.done.send(());
    }

    fn drain(&mut self, by: &str) -> Draining {
        let now = self.clock.now().mono;
        let already = self.draining.is_some();
        let calls = self.engine.active_calls();
        let begin = Drain::new(now + self.config.drain, calls, now);
        let drain = *self.draining.get_or_insert(begin);
        tracing::info!("{}", drain.asked(calls, now, by));
        if !already {
            self.step(Input::Drain);
            self.service.stopping();
            let detail = format!("{calls} calls under way, by {by}");
            self.record(Record::Admin { action: "drain", result: "applied", detail });
        }
        Draining { calls, left: drain.until.since(now), already }
    }

    /// What only the loop knows, for the session table.
    pub(super) fn figures(&self, now: Now) -> Figures {
        let c = &self.config;
        let mut stats = self.engine.stats(now);
        self.streams.count_into(&mut stats);
        let report = Report {
            stats,
            connections: self.streams.len() as u64,
            dropped: self.sockets.dropped(),
            calls_limit: c.limits.calls as u64,
            reloads: self.reloads.clone(),
            site: c.site.name.clone(),
            hash: c.hash.clone(),
            doubts: c.doubts(),
            loopback_only: c.is_loopback_only(),
            ..Report::default()
        };
        Figures { turn: self.table.turn(), drain_until: self.draining.map(|d| d.until), report }
    }

    /// Tells the service manager that the loop turns, and how it goes.
    pub(super) fn pulse(&mut self, now: Now) {
        if self.pulse_at.is_none_or(|at| now.mono < at) {
            return;
        }
        self.pulse_at = Some(now.mono + self.pulse_every());
        self.service.alive();
        let status = service_status(&self.engine.stats(now));
        if status != self.status {
            self.service.status(&status);
            self.status = status;
        }
    }
}
