//! The gateway as one sans-IO machine: `handle_input` once, then `poll_output` until `Timeout`.
//! It never reads a clock, a socket or a file. Parts keep its state (`transactions`, `calls`,
//! `phones`, `upstreams`, `streams`, `strangers`, `outbox`), each with private fields and timers of
//! its own, over a `world` that they only read; the coordinators alone know several of them: a
//! request outside a dialog (`outside_dialog`, `forking`, `registration`, `alone`), one inside
//! (`in_dialog`, `reporting`), a response (`response`), an end (`ending`), what others ask
//! (`questions`).

mod admission;
mod alone;
mod analysis;
mod attempt;
mod calls;
mod disproved;
mod ending;
mod entry;
mod forking;
mod guard;
mod ids;
mod in_dialog;
pub mod input;
mod keep_alive;
mod legs;
mod loose;
mod moving;
pub mod names;
mod next_hop;
mod outbox;
pub mod output;
mod outside_dialog;
mod phones;
mod proxy_client;
mod proxy_server;
mod purpose;
mod questions;
mod referring;
mod registration;
mod reporting;
mod response;
mod snapshot;
pub mod stats;
mod strangers;
mod streams;
pub mod transactions;
mod unreached;
mod upstreams;
mod versions;
mod watch;
mod world;

pub use crate::audit::Finding;
pub use calls::{
    CallDetail, CallRow, LegView, Octets, PartyView, StoredCall, StoredFork, StoredLeg,
    StoredMedia, StoredStream, StreamView, TunnelPath,
};
pub use entry::{Entry, Key, Reach, StoredBinding, StoredConfirmation, StoredHome, StoredNumbers};
pub use guard::{Signal, SuspectView};
pub use input::Input;
pub use loose::loose_ends;
pub use output::{Belongs, CallState, CallView, Level, Lifted, Observation, Opens, Output};
pub use phones::digest;
pub use snapshot::{Seeds, Snapshot};
pub use stats::Stats;
pub use upstreams::{Finder, Health, Sought, TargetView, UpstreamView};
pub use world::seal;

use crate::audit::EndedBy;
use crate::ground::{Flow, Mono, Now};
use crate::wire::sip::{Framing, Message};
use analysis::body::Carrier;
use bytes::Bytes;
use calls::Calls;
use disproved::Disproved;
use guard::Guard;
use moving::{Mover, Moving};
use outbox::Outbox;
use phones::Phones;
use proxy_client::standing;
use response::lost;
use std::sync::Arc;
use strangers::Strangers;
use streams::Streams;
use transactions::{Heard, Transactions};
use upstreams::{Upstreams, Wake};
use watch::Watch;
use world::World;

/// Calls and registrations that one list names; the rest are counted.
pub const LIST: usize = 10_000;

/// The gateway.
pub struct Engine {
    world: World,
    transactions: Transactions,
    calls: Calls,
    phones: Phones,
    upstreams: Upstreams,
    streams: Streams,
    strangers: Strangers,
    guard: Guard,
    moving: Moving,
    out: Outbox,
    gate: Gate,
}

/// What keeps new calls out whatever policy says.
#[derive(Clone, Copy, Debug, Default)]
struct Gate {
    draining: bool,
    audit_full: bool,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("now", &self.world.now())
            .field("calls", &self.calls.len())
            .field("phones", &self.phones.len())
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// A gateway without calls or bindings.
    #[must_use]
    pub fn new(snapshot: Arc<Snapshot>, seeds: Seeds, now: Now) -> Self {
        let world = World::new(snapshot, &seeds, now);
        let mut engine = Self {
            transactions: Transactions::new(&world),
            calls: Calls::new(&world),
            phones: Phones::new(&world, seeds.nonce),
            upstreams: Upstreams::new(&world),
            streams: Streams::default(),
            strangers: Strangers::default(),
            guard: Guard::default(),
            moving: Moving::default(),
            out: Outbox::default(),
            gate: Gate::default(),
            world,
        };
        engine.out.label(engine.world.rules());
        engine.upstreams.ask_all(&engine.world, &mut engine.out);
        engine.upstreams.seek_ways(&engine.world, &mut engine.out);
        engine.upstreams.tell(&mut engine.world);
        engine
    }

    /// Takes one input. Drain [`Engine::poll_output`] to `Timeout` before the next.
    pub fn handle_input(&mut self, now: Now, input: Input) {
        self.world.set_now(now);
        self.fire_timers();
        match input {
            Input::Message { flow, bytes } => self.receive(flow, bytes),
            Input::StreamRefused { flow, refusal } => {
                if !self.guard.bars(&self.world, &mut self.out, &flow) {
                    self.refuse_unread(flow, &refusal, None);
                }
            }
            Input::ConnectionClosed(conn) => {
                self.streams.closed(conn);
                self.upstreams.closed(conn);
                let parts = (&mut self.phones, &mut self.transactions);
                lost(&self.world, &mut self.out, parts, conn);
            }
            Input::ConnectionBroken(flow) => {
                self.transactions.connection_broken(&self.world, &mut self.out, &flow);
                self.upstreams.broken(&self.world, &mut self.out, &flow);
            }
            Input::ConnectionReplaced(flow) => {
                self.transactions.connection_broken(&self.world, &mut self.out, &flow);
            }
            Input::TransportFailed(flow) => alone::News::of(self).transport_failed(&flow),
            Input::Undelivered { flow, quoted } => {
                self.transactions.undelivered(&self.world, &mut self.out, &flow, &quoted);
            }
            Input::Secured { flow, names } => {
                self.streams.secured(&mut self.out, &flow, &names);
                self.upstreams.secured(&self.world, &mut self.out, flow, names);
            }
            Input::Disproved { flow, why, at_once } => {
                Disproved::of(self).begin(&flow, &why, at_once);
            }
            Input::Unnamed { flow, why } => {
                self.upstreams.unnamed(&self.world, &mut self.out, &flow, &why);
            }
            Input::Unproved { flow, why } => {
                self.upstreams.unproved(&self.world, &mut self.out, &flow, &why);
            }
            Input::Relay(event) => self.relay_event(event),
            Input::Resolved(question, reply) => {
                self.upstreams.answered(&self.world, &mut self.out, question, reply);
            }
            Input::Addresses { interface, own } => Mover::of(self).seen(interface, own),
            Input::ResolverChanged => self.upstreams.ask_all(&self.world, &mut self.out),
            Input::Timeout => {}
            Input::Reload(snapshot) => self.reload(snapshot),
            Input::Restore(entries) => self.restore(entries),
            Input::Drain => self.gate.draining = true,
            Input::HangUpAll => {
                let all = self.calls.numbers();
                all.into_iter().for_each(|call| self.hang_up(call, EndedBy::Shutdown));
            }
            Input::HangUp(call) => self.hang_up(call, EndedBy::Admin),
            Input::Measure(call) => self.calls.measure(&mut self.out, call),
            Input::Tunnel(path) => alone::News::of(self).tunnel_is(path),
            Input::AuditFull(full) => self.gate.audit_full = full,
            Input::KeepCalls(keep) => self.calls.keep_all(&self.world, &mut self.out, keep),
            Input::LiftBans(whom) => self.guard.lift(&self.world, &mut self.out, whom),
            Input::ExcludePort(at) => self.calls.exclude_port(at),
        }
        self.hear();
        self.give_way();
        self.hear();
        for id in self.upstreams.take_doubted() {
            alone::News::of(self).find_ways();
            self.probe(id, None);
        }
        self.upstreams.tell(&mut self.world);
        Disproved::of(self).end();
    }

    /// The next effect; `Timeout` when there is none left.
    pub fn poll_output(&mut self) -> Output {
        let (w, upstreams, phones) = (&self.world, &self.upstreams, &self.phones);
        let opened = |flow: &Flow| proxy_client::opened(w, upstreams, phones, flow);
        self.out.take(opened).unwrap_or_else(|| Output::Timeout(self.poll_timeout()))
    }

    fn poll_timeout(&self) -> Option<Mono> {
        let parts = [
            self.transactions.poll_timeout(),
            self.calls.poll_timeout(),
            self.phones.poll_timeout(),
            self.upstreams.poll_timeout(),
            self.strangers.poll_timeout(),
            self.guard.poll_timeout(),
            self.moving.poll_timeout(),
        ];
        parts.into_iter().flatten().min()
    }

    fn fire_timers(&mut self) {
        while Mover::of(self).handle_timeout() {}
        let (w, out) = (&self.world, &mut self.out);
        while self.calls.handle_timeout(w, out) {}
        while let Some((call, by)) = self.calls.over() {
            self.hang_up(call, by);
        }
        let (w, out) = (&self.world, &mut self.out);
        while self.phones.handle_timeout(w, out) {}
        while self.strangers.handle_timeout(w, out) {}
        while self.guard.handle_timeout(w, out) {}
        while self.transactions.handle_timeout(&self.world, &mut self.out) {
            self.hear();
        }
        loop {
            match self.upstreams.handle_timeout(&self.world, &mut self.out) {
                Wake::Idle => return,
                Wake::Done => {}
                Wake::Probe(id, only) => self.probe(id, only),
                Wake::Turned(turned) => self.turned(turned),
            }
        }
    }

    /// Everything that transactions have for the core.
    fn hear(&mut self) {
        while let Some(heard) = self.transactions.heard() {
            match heard {
                Heard::Provisional(answer) => self.provisional(&answer),
                Heard::Success(answer) => {
                    self.upstreams.granted(&self.world, &answer.flow, &answer.response);
                    self.success(&answer);
                }
                Heard::Failure(answer) => self.failure(&answer),
                Heard::Orphan(answer) => self.unheard(&answer),
                Heard::Failed { purpose, response } => self.after_failure(&purpose, &response),
                Heard::Turned(onward) => {
                    let (w, phones, out) = (&self.world, &self.phones, &mut self.out);
                    let own = [None; 2];
                    let carrier = Carrier { w, phones, calls: &mut self.calls, out, own };
                    let body =
                        versions::turned(carrier, &self.transactions, onward.pass, &onward.flow);
                    let (w, out) = (&self.world, &mut self.out);
                    self.transactions.turn(w, out, *onward, body);
                }
                Heard::Stale(pass) => alone::News::of(self).write_anew(pass),
                Heard::Missed(flow, began) => {
                    self.upstreams.missed(&self.world, &mut self.out, &flow, began);
                }
                Heard::Served(id) => self.phones.release(id),
                Heard::Busy(flow, after) => self.upstreams.spare(&self.world, &flow, after),
                Heard::Quiet { flow, began, pass } => self.waits(&flow, began, pass),
                Heard::Vain { flow, began, pass } => {
                    alone::News::of(self).vain(pass, (&flow, began));
                }
                Heard::Exhausted(pass) => {
                    if !self.insist(pass) {
                        self.transactions.give_in(&self.world, &mut self.out, pass);
                    }
                }
                Heard::Answered { flow, client, pass, method, status } => {
                    alone::News::of(self).answered((&flow, client), pass, (&method, status));
                }
                Heard::Stranded(pass) => alone::News::of(self).strand(pass),
                Heard::Own { client, response } => {
                    alone::News::of(self).own(client, response.as_deref());
                }
            }
        }
    }

    /// One datagram or framed message.
    fn receive(&mut self, flow: Flow, bytes: Bytes) {
        // What was on its way when a connection was closed of whose other end nothing is believed.
        if self.upstreams.has_left(&flow) && !self.streams.is_ending(&flow) {
            return;
        }
        if self.guard.is_banned(&self.world, &flow) && !self.upstreams.is_proved(&flow) {
            let cries = self.calls.has_cried(self.world.net().source(&flow));
            if !self.watch().spares(&flow, &bytes, cries) {
                return;
            }
        }
        if let Some(asked) = keep_alive::read(&flow, &bytes) {
            self.watch().keep_alive(flow, &asked, bytes.len());
            return;
        }
        let upstream = |flow: &Flow| self.upstreams.of_flow(&self.world, flow).is_some();
        self.streams.heard(&mut self.out, &flow, self.world.side(flow.listener), upstream);
        let framing =
            if flow.transport.is_reliable() { Framing::Stream } else { Framing::Datagram };
        let octets = bytes.len();
        match Message::parse(bytes, framing) {
            Ok(message) if message.is_request() => self.receive_request(flow, message, octets),
            Ok(message) => {
                let (w, upstreams) = (&self.world, &self.upstreams);
                let asked = |asked: &Flow| proxy_client::is_asked(w, upstreams, asked, &flow);
                self.transactions.receive(w, &mut self.out, flow, message, asked);
                self.upstreams.heard(w, &mut self.out, &flow);
            }
            Err(refusal) => self.refuse_unread(flow, &refusal, Some(octets)),
        }
    }

    fn restore(&mut self, entries: Vec<Entry>) {
        let (mut bindings, mut calls, mut confirmed) = (Vec::new(), Vec::new(), Vec::new());
        for entry in entries {
            match entry {
                Entry::Binding(b) => bindings.push(b),
                Entry::Call(c) => calls.push(*c),
                Entry::Confirmed(c) => confirmed.push(c),
                Entry::Numbers(n) => self.calls.number_from(n.calls),
            }
        }
        self.phones.restore_confirmed(&self.world, confirmed);
        let kept = self.phones.restore(&self.world, &mut self.out, bindings);
        phones::tell_restored(&mut self.out, kept);
        self.watch().remember_phones();
        for call in calls {
            let no = call.call;
            if !self.calls.read_back(&self.world, &mut self.out, call) {
                let text = format!("call {no} of before the restart cannot go on: other sockets");
                self.out.notice(Level::Warn, text);
                if self.calls.get(no).is_none() {
                    self.out.emit(Output::Forget(Key::Call(no)));
                }
            }
        }
    }

    /// A new configuration while calls are up: swapped whole. Calls keep the verdict they have, and
    /// their upstream wherever it now stands in the file.
    fn reload(&mut self, snapshot: Arc<Snapshot>) {
        let users = snapshot.users.clone();
        let old = self.world.swap(snapshot);
        self.phones.follow(&self.world, users, &old.config);
        self.upstreams.follow(&self.world, Some(&old.config));
        self.upstreams.ask_all(&self.world, &mut self.out);
        self.upstreams.tell(&mut self.world);
        self.transactions.follow(&self.world);
        self.calls.set_shares(&self.world);
        let standing = |ip| standing(&self.world, &self.phones, ip);
        self.guard.follow(&self.world, &mut self.out, standing);
        Mover::of(self).reconsider();
        self.out.label(self.world.rules());
    }

    /// The guard among the parts that it is asked by.
    fn watch(&mut self) -> Watch<'_> {
        let Self { world: w, out, guard, phones, upstreams, .. } = self;
        Watch { w, out, guard, phones, upstreams }
    }
}
