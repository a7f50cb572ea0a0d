//! The loop: one input, then every effect, then the next. It owns the engine and what effects need.

use super::agents::Agents;
use super::ask::{Ask, Reloads};
use super::draining::{self, Drain};
use super::numbers::Numbers;
use super::recent::Recent;
use super::refusals::Refusals;
use super::session_table::{EVERY, SessionTable, TICK};
use super::sockets::Sockets;
use super::teller::Teller;
use super::trace::Tracer;
use crate::audit::Record;
use crate::config::Config;
use crate::driver::Arrival;
use crate::driver::audit_log::{AuditCounters, AuditLog, Dated};
use crate::driver::clock::Clock;
use crate::driver::inlet::{Arrivals, Place};
use crate::driver::relay_worker::Relay;
use crate::driver::resolver::Resolver;
use crate::driver::service::Service;
use crate::driver::state::State;
use crate::driver::stream::Streams;
use crate::engine::{Engine, Input, Lifted, Observation, Output};
use crate::ground::{Mono, Now};
use crate::relay::Event;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// One measured value.
#[derive(Debug)]
pub enum Observed {
    /// By the engine.
    Engine(Observation),
    /// How long one SIP message took, effects included.
    Processing(Duration),
    /// Kernel receive stamp → sent, of a sampled media packet.
    RelayDelay(Duration),
}

/// Who counts measured values. It may not block.
pub type Observer = Arc<dyn Fn(&Observed) + Send + Sync>;

/// Why the loop turns.
enum Turn {
    /// So many messages came; none: nobody can send any more.
    Arrivals(usize),
    /// The relay has news.
    Relay(Event),
    /// Somebody asks; `None`: nobody can any more.
    Asked(Option<Ask>),
    /// It is time.
    Woken,
}

/// The relay may take this long to report the last streams.
const LAST_REPORTS: Duration = Duration::from_millis(500);
/// The status line is looked at this often.
const STATUS: Duration = Duration::from_secs(5);

pub(super) struct EventLoop {
    pub(super) engine: Engine,
    pub(super) config: Config,
    pub(super) clock: Clock,
    pub(super) sockets: Sockets,
    pub(super) streams: Streams,
    pub(super) resolver: Resolver,
    pub(super) relay: Arc<Relay>,
    pub(super) state: State,
    pub(super) audit: Option<AuditLog>,
    /// Of this step, for the audit log.
    pub(super) records: Vec<Dated>,
    pub(super) counters: Option<Arc<AuditCounters>>,
    /// For readers: written here, read without asking.
    pub(super) table: Arc<SessionTable>,
    /// Figures may be published again from then on.
    publish_from: Mono,
    /// Figures wait for that.
    unpublished: bool,
    pub(super) observer: Observer,
    pub(super) service: Service,
    pub(super) reloads: Reloads,
    pub(super) status: String,
    /// When the service manager hears next; `None`: there is none.
    pub(super) pulse_at: Option<Mono>,
    deadline: Option<Mono>,
    pub(super) draining: Option<Drain>,
    /// When the tunnels are looked at next; `None`: there are none.
    pub(super) tunnels_from: Option<Mono>,
    pub(super) audit_full: bool,
    /// What the last lifting of bans came to.
    pub(super) lifted: Lifted,
    /// What the log hears of records.
    pub(super) teller: Teller,
    /// Calls that are over.
    pub(super) recent: Recent,
    /// Who was refused what.
    pub(super) refusals: Refusals,
    /// What phones call themselves.
    pub(super) agents: Agents,
    /// What calls did, message by message.
    pub(super) tracer: Tracer,
    /// Numbers of calls that no later run gives again.
    pub(super) numbers: Numbers,
    pub(super) state_hangs: bool,
}

impl EventLoop {
    #[expect(clippy::too_many_arguments, reason = "everything an effect may need")]
    pub(super) fn new(
        engine: Engine,
        config: Config,
        clock: Clock,
        sockets: Sockets,
        streams: Streams,
        resolver: Resolver,
        relay: Arc<Relay>,
        state: State,
        audit: Option<AuditLog>,
        observer: Observer,
        service: Service,
    ) -> Self {
        let counters = audit.as_ref().map(AuditLog::counters);
        let limits = &config.limits;
        let table = SessionTable::new(
            clock,
            Arc::downgrade(&relay),
            counters.clone(),
            state.counters(),
            limits.calls,
            limits.bindings,
        );
        let (deadline, draining) = (None, None);
        let now = clock.now();
        let reloads = Reloads { success: now.wall, ..Reloads::default() };
        let tunnels_from = (!streams.tunnels().is_empty()).then_some(now.mono);
        let pulse_at = service.is_there().then_some(now.mono);
        let mut tracer = Tracer::default();
        tracer.follow(&config);
        Self {
            engine,
            config,
            clock,
            sockets,
            streams,
            resolver,
            relay,
            state,
            audit,
            records: Vec::new(),
            counters,
            table: Arc::new(table),
            publish_from: now.mono,
            unpublished: false,
            observer,
            service,
            reloads,
            status: String::new(),
            pulse_at,
            deadline,
            draining,
            tunnels_from,
            audit_full: false,
            lifted: Lifted::default(),
            teller: Teller::default(),
            recent: Recent::default(),
            refusals: Refusals::default(),
            agents: Agents::default(),
            tracer,
            numbers: Numbers::default(),
            state_hangs: false,
        }
    }

    /// Inputs before the first arrival.
    pub(super) fn begin(&mut self, inputs: Vec<Input>) {
        for input in inputs {
            self.step(input);
        }
    }

    /// Readers see what there is before the first arrival.
    pub(super) fn open(&mut self) {
        let now = self.clock.now();
        for binding in self.engine.bindings(now) {
            let from = binding.source.unwrap_or(binding.peer);
            self.teller.know(&binding.aor.user, from);
            self.table.show_registration(&binding, None, None);
            self.know(now, &binding);
        }
        self.publish(now);
    }

    pub(super) fn record(&mut self, record: Record) {
        if self.audit.is_some() {
            self.records.push((self.clock.now(), record));
            self.hand_over();
        }
    }

    /// The records of a step go to the audit log as one group.
    pub(super) fn hand_over(&mut self) {
        if let Some(audit) = self.audit.as_ref().filter(|_| !self.records.is_empty()) {
            audit.append(&mut self.records);
        }
    }

    pub(super) async fn run(mut self, mut arrivals: Arrivals, mut asks: mpsc::Receiver<Ask>) {
        let mut batch = Vec::with_capacity(64);
        loop {
            let until = tokio::time::Instant::from_std(self.clock.instant(self.wake_at()));
            let relay = self.relay.clone();
            let turn = tokio::select! {
                n = arrivals.next(&mut batch) => Turn::Arrivals(n),
                event = relay.next_event() => Turn::Relay(event),
                ask = asks.recv() => Turn::Asked(ask),
                () = tokio::time::sleep_until(until) => Turn::Woken,
            };
            self.table.begin();
            self.look_at_tunnels(self.clock.now().mono);
            if self.turn(turn, &mut batch) {
                break;
            }
            let now = self.clock.now();
            self.pulse(now);
            self.sockets.try_again(&self.config, now.mono);
            self.watch_audit();
            self.watch_state(now);
            self.publish_in_time(now);
            self.tell_drain(now);
            if let Some(sum) = self.teller.due(now.mono) {
                tracing::info!("{sum}");
            }
            if self.is_drained(now) {
                break;
            }
        }
        self.finish().await;
    }

    /// What a turn is about; true: stop.
    fn turn(&mut self, turn: Turn, batch: &mut Vec<Arrival>) -> bool {
        match turn {
            Turn::Arrivals(0) | Turn::Asked(None) => return true,
            Turn::Arrivals(_) => {
                for arrival in batch.drain(..) {
                    let start = self.clock.now().mono;
                    let (input, _place) = input(arrival);
                    self.step(input);
                    let took = self.clock.now().mono.since(start);
                    (self.observer)(&Observed::Processing(took));
                }
            }
            Turn::Relay(event) => {
                self.step(Input::Relay(event));
                let relay = self.relay.clone();
                // What came with it; a bound, so that messages get their turn.
                for event in std::iter::from_fn(|| relay.try_next_event()).take(64) {
                    self.step(Input::Relay(event));
                }
            }
            Turn::Asked(Some(ask)) => return self.answer(ask),
            Turn::Woken => {
                let now = self.clock.now().mono;
                if self.deadline.is_some_and(|at| at <= now) {
                    self.step(Input::Timeout);
                }
            }
        }
        false
    }

    /// Publishes the figures of this turn; if others were published just now, a little later,
    /// together with those of the turns until then.
    fn publish_in_time(&mut self, now: Now) {
        self.table.turned(now.mono);
        self.unpublished = now.mono < self.publish_from;
        if !self.unpublished {
            self.publish(now);
        }
    }

    fn publish(&mut self, now: Now) {
        self.table.turned(now.mono);
        self.publish_from = now.mono + EVERY;
        self.table.publish(self.figures(now));
    }

    /// When to turn at the latest.
    fn wake_at(&self) -> Mono {
        let tick = self.clock.now().mono + TICK;
        let publish = self.unpublished.then_some(self.publish_from);
        let drained = self.draining.map(|d| d.until);
        let own = [self.deadline, drained, self.pulse_at, publish];
        own.into_iter().flatten().min().unwrap_or(tick).min(tick)
    }

    /// How often the service manager hears from here.
    pub(super) fn pulse_every(&self) -> Duration {
        self.service.beat().map_or(STATUS, |beat| beat.min(STATUS))
    }

    /// One input, then every effect.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the rest is alike")]
    pub(super) fn step(&mut self, input: Input) {
        let (now, input) = (self.clock.now(), self.seen(input));
        if self.config.limits.trace > 0 {
            self.tracer.heard(now, &input);
        }
        self.agents.hear(&input);
        self.engine.handle_input(now, input);
        let mut failed = Vec::new();
        loop {
            match self.engine.poll_output() {
                Output::Timeout(at) => {
                    self.deadline = at;
                    break;
                }
                output => failed.extend(self.act(now, output)),
            }
        }
        self.relay.flush();
        self.hand_over();
        self.tracer.settle(now, self.config.limits.trace);
        for input in failed {
            self.step(input);
        }
    }

    /// Draining is over: no calls, or no more time.
    fn is_drained(&self, now: Now) -> bool {
        let Some(drain) = self.draining else { return false };
        self.engine.active_calls() == 0 || now.mono >= drain.until
    }

    /// Says that calls have ended, while somebody waits for the last one.
    fn tell_drain(&mut self, now: Now) {
        let Some(drain) = &mut self.draining else { return };
        if let Some(news) = drain.news(self.engine.active_calls(), now.mono) {
            tracing::info!("{news}");
        }
    }

    /// Hangs up what is left, lets the relay report, writes the last records.
    async fn finish(mut self) {
        self.service.stopping();
        let left = self.engine.active_calls();
        if let Some(sum) = self.teller.sum(self.clock.now().mono) {
            tracing::info!("{sum}");
        }
        tracing::info!("{}", draining::last(left));
        self.step(Input::HangUpAll);
        self.publish(self.clock.now());
        // A call's record is written when the relay has reported its last stream.
        let until = tokio::time::Instant::now() + LAST_REPORTS;
        while self.engine.open_streams() > 0 {
            match tokio::time::timeout_at(until, self.relay.next_event()).await {
                Ok(event) => self.step(Input::Relay(event)),
                Err(_) => break,
            }
        }
        self.streams.tunnels().end();
        self.hear_tunnels();
        if let Some(entry) = self.numbers.last() {
            self.state.store(entry);
        }
        let detail = format!("{left} calls hung up");
        self.record(Record::System { event: "stop", detail });
    }
}

/// What the engine hears, and what a message holds until its effects are done.
fn input(arrival: Arrival) -> (Input, Option<Place>) {
    match arrival {
        Arrival::Message { flow, bytes, place } => (Input::Message { flow, bytes }, Some(place)),
        Arrival::Refused { flow, refusal } => (Input::StreamRefused { flow, refusal }, None),
        Arrival::Closed(conn) => (Input::ConnectionClosed(conn), None),
        Arrival::Broken(flow) => (Input::ConnectionBroken(flow), None),
        Arrival::Replaced(flow) => (Input::ConnectionReplaced(flow), None),
        Arrival::Failed(flow) => (Input::TransportFailed(flow), None),
        Arrival::Undelivered { flow, quoted } => (Input::Undelivered { flow, quoted }, None),
        Arrival::Unproved { flow, why } => (Input::Unproved { flow, why }, None),
        Arrival::Secured { flow, names } => (Input::Secured { flow, names }, None),
        Arrival::Disproved { flow, why, at_once } => {
            (Input::Disproved { flow, why, at_once }, None)
        }
        Arrival::Unnamed { flow, why } => (Input::Unnamed { flow, why }, None),
        Arrival::Resolved(question, reply) => (Input::Resolved(question, reply), None),
        Arrival::ResolverChanged => (Input::ResolverChanged, None),
        Arrival::Addresses { interface, own } => (Input::Addresses { interface, own }, None),
    }
}
