//! The gateway as one sans-IO machine: `handle_input` once, then `poll_output` until `Timeout`.
//! It never reads a clock, a socket or a file. A request walks side (server transaction) →
//! proxy_server → analysis → proxy_client → side (client transaction); a response walks back.

mod analysis;
mod bindings;
mod collector;
mod dialog;
pub mod digest;
mod ending;
pub mod findings;
mod identity;
mod in_dialog;
mod initial;
pub mod input;
mod media;
mod net;
pub mod output;
mod pass;
mod probe;
mod proxy_client;
mod proxy_server;
mod quality;
mod random;
mod registrar;
mod registration;
mod reload;
mod reports;
mod response;
pub mod seal;
mod side;
pub mod stats;
pub mod transaction;
pub mod view;

pub use findings::Finding;
pub use input::Input;
pub use output::{CallView, Level, Observation, Output};
pub use stats::Stats;

use crate::audit::Record;
use crate::config::{Config, RegistrarMode};
use crate::ground::{ConnId, Now, Side, Wall};
use crate::policy::RuleSet;
use bindings::Bindings;
use digest::Authenticator;
use media::MediaTable;
use net::Net;
use random::Random;
use seal::Sealer;
use side::Transactions;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use transaction::{Timer, TimerTable};

/// What a transaction began with; swapped whole on reload.
#[derive(Clone)]
pub struct Snapshot {
    /// The checked configuration.
    pub config: Config,
    /// Its rules, compiled.
    pub rules: RuleSet,
    /// Secrets of local users.
    pub users: digest::Users,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").field("hash", &self.config.hash).finish_non_exhaustive()
    }
}

/// A binding as kept in the state folder (one JSON object).
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct StoredBinding {
    /// Unique key (the sealed contact's user part).
    pub key: String,
    /// Address of record, `user@domain`.
    pub aor: String,
    /// The phone's Contact as it gave it.
    pub contact: String,
    /// Local socket it registered at.
    pub local: std::net::SocketAddr,
    /// `udp` or `tcp`.
    pub transport: crate::ground::Transport,
    /// The phone's address as seen.
    pub peer: std::net::SocketAddr,
    /// Wall seconds at which it ends.
    pub expires: u64,
    /// Call-ID and CSeq of the REGISTER that made it.
    pub call_id: String,
    /// CSeq number.
    pub cseq: u32,
    /// Upstream that granted it; empty: we did.
    pub upstream: String,
}

/// Secrets and seeds given at the start.
#[derive(Clone)]
pub struct Seeds {
    /// Sealing keys, newest first.
    pub keys: Vec<(u8, [u8; 64])>,
    /// Keys nonces.
    pub nonce: [u8; 32],
    /// Seeds the engine's random numbers (branches, tags, ports).
    pub random: [u8; 32],
}

/// Who a timer belongs to; each wake-up has a named reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum TimerKey {
    /// A server transaction's timer.
    Server(u64, Timer),
    /// A client transaction's timer.
    Client(u64, Timer),
    /// A cancelled branch that never answers.
    CancelWait(u64),
    /// The soonest binding ends.
    Bindings,
    /// Keep-alives of an interface are due.
    KeepAlive(usize),
    /// A challenged call's media waits for the next attempt.
    Parked(u64),
    /// An upstream is to be probed.
    Probe(usize),
    /// The 2xx of a call should have been acknowledged.
    Ack(u64),
    /// A dialog that is not a call has lived long enough without traffic.
    Dialog(u64),
}

/// The gateway.
pub struct Engine {
    snap: Arc<Snapshot>,
    net: Net,
    now: Now,
    random: Random,
    sealer: Sealer,
    auth: Authenticator,
    boot: u32,
    outputs: VecDeque<Output>,
    timers: TimerTable<TimerKey>,
    tx: Transactions,
    passes: HashMap<u64, pass::Pass>,
    dialogs: dialog::Dialogs,
    ended: reports::EndedCalls,
    bindings: Bindings,
    media: MediaTable,
    parked: HashMap<(String, String), dialog::Call>,
    /// Probes under way: client transaction → upstream.
    probes: HashMap<u64, usize>,
    stats: Stats,
    next_id: u64,
    next_call: u64,
    draining: bool,
    audit_full: bool,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("now", &self.now)
            .field("passes", &self.passes.len())
            .field("dialogs", &self.dialogs.len())
            .field("bindings", &self.bindings.len())
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// A gateway without calls or bindings.
    #[must_use]
    pub fn new(snapshot: Arc<Snapshot>, seeds: Seeds, now: Now) -> Self {
        let mut random = Random::new(seeds.random);
        let config = &snapshot.config;
        let realm = config.registrar.realm.as_str();
        let auth = Authenticator::new(realm, snapshot.users.clone(), seeds.nonce);
        let media = MediaTable::new(config, random.number());
        let boot = u32::try_from(random.number() & 0xffff_ffff).unwrap_or_default();
        let mut engine = Self {
            net: Net::new(config),
            now,
            sealer: Sealer::new(&seeds.keys),
            auth,
            boot,
            outputs: VecDeque::new(),
            timers: TimerTable::default(),
            tx: Transactions::default(),
            passes: HashMap::new(),
            dialogs: dialog::Dialogs::default(),
            ended: reports::EndedCalls::default(),
            bindings: Bindings::default(),
            media,
            parked: HashMap::new(),
            probes: HashMap::new(),
            stats: Stats::default(),
            next_id: 0,
            next_call: 0,
            draining: false,
            audit_full: false,
            random,
            snap: snapshot,
        };
        engine.label();
        engine.arm_keepalives(None);
        engine.arm_probes(None);
        engine
    }

    /// Takes one input. Drain [`Engine::poll_output`] to `Timeout` before the next.
    pub fn handle_input(&mut self, now: Now, input: Input) {
        self.now = now;
        self.fire_timers();
        match input {
            Input::Message { flow, bytes } => self.receive(flow, bytes),
            Input::StreamRefused { flow, refusal } => self.refuse_unread(flow, &refusal),
            Input::ConnectionClosed(conn) => self.connection_closed(conn),
            Input::TransportFailed(flow) => self.transport_failed(&flow),
            Input::Relay(event) => self.relay_event(event),
            Input::Timeout => {}
            Input::Reload(snapshot) => self.reload(snapshot),
            Input::Restore(stored) => self.restore(stored),
            Input::Drain => self.draining = true,
            Input::HangUpAll => self.hang_up_all("shutdown"),
            Input::HangUp(call) => self.hang_up(call, "admin"),
            Input::Measure(call) => self.measure(call),
            Input::AuditFull(full) => self.audit_full = full,
            Input::ExcludePort(at) => self.media.exclude(at),
        }
    }

    /// The next effect; `Timeout` when there is none left.
    pub fn poll_output(&mut self) -> Output {
        self.outputs.pop_front().unwrap_or_else(|| Output::Timeout(self.timers.next()))
    }

    /// Counters and gauges.
    #[must_use]
    pub fn stats(&self, now: Now) -> Stats {
        let mut stats = self.stats.clone();
        stats.now.calls = self.dialogs.call_counts();
        stats.now.registrations = self.bindings.len() as u64;
        stats.now.transactions = self.tx.counts();
        stats.now.dialogs = self.dialogs.len() as u64;
        stats.now.streams = self.media.len() as u64;
        stats.now.ports = Side::ALL.map(|side| self.media.count(side, now.mono));
        stats.now.draining = self.draining;
        stats
    }

    /// Bindings now.
    #[must_use]
    pub fn bindings(&self, now: Wall) -> Vec<StoredBinding> {
        let alive = |b: &&bindings::Binding| b.expires > now;
        self.bindings.all().filter(alive).map(bindings::Binding::stored).collect()
    }

    /// Answered and early calls.
    #[must_use]
    pub fn active_calls(&self) -> usize {
        let [early, confirmed] = self.dialogs.call_counts();
        usize::try_from(early + confirmed).unwrap_or(usize::MAX)
    }

    /// Media streams that the relay has not reported as closed.
    #[must_use]
    pub fn open_streams(&self) -> usize {
        self.media.len()
    }

    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn emit(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    fn record(&mut self, record: Record) {
        if let Record::Security { class, count, .. } = &record
            && let Some(i) = stats::SECURITY.iter().position(|c| c == class)
        {
            self.stats.security[i] += count;
        }
        self.outputs.push_back(Output::Record(record));
    }

    fn notice(&mut self, level: Level, text: String) {
        self.outputs.push_back(Output::Notice { level, text });
    }

    fn fire_timers(&mut self) {
        while let Some(key) = self.timers.expired(self.now.mono) {
            match key {
                TimerKey::Server(id, timer) => self.server_timer(id, timer),
                TimerKey::Client(id, timer) => self.client_timer(id, timer),
                TimerKey::CancelWait(id) => self.cancel_unanswered(id),
                TimerKey::Bindings => self.expire_bindings(),
                TimerKey::KeepAlive(interface) => self.keep_alive(interface),
                TimerKey::Probe(upstream) => self.probe(upstream),
                TimerKey::Ack(call) => self.judge_ack(call),
                TimerKey::Parked(call) => self.unpark(call),
                TimerKey::Dialog(no) => self.dialog_expired(no),
            }
        }
    }

    fn connection_closed(&mut self, conn: ConnId) {
        let gone = self.bindings.all().filter(|b| b.flow.conn == Some(conn));
        let keys: Vec<String> = gone.map(|b| b.key.clone()).collect();
        for key in keys {
            // The binding stays: the phone may come back or be reached anew at the same address.
            if let Some(mut b) = self.bindings.remove(&key) {
                b.lose_connection();
                self.bindings.insert(b);
            }
        }
    }

    fn is_local_registrar(&self) -> bool {
        self.snap.config.registrar.mode == RegistrarMode::Local
    }
}
