//! The only match on `Output`: each effect is carried out, none is judged.

use super::event_loop::{EventLoop, Observed};
use super::teller::Line;
use crate::audit::Record;
use crate::engine::{Entry, Input, Key, Level, Output, StoredBinding};
use crate::ground::{Now, Transport};
use std::time::Duration;

impl EventLoop {
    /// Carries out one effect; what it brings back goes into the engine next.
    pub(super) fn act(&mut self, now: Now, output: Output) -> Vec<Input> {
        match output {
            Output::Transmit { flow, bytes, opens } => {
                // What the message says of media holds when it is read.
                self.relay.flush();
                if self.config.limits.trace > 0 {
                    self.tracer.sent(&flow, &bytes);
                }
                match flow.transport {
                    Transport::Udp => match self.sockets.udp(flow.listener) {
                        Some(socket) => socket.send(flow.peer, &bytes),
                        // Its interface has no address now.
                        None => return vec![Input::TransportFailed(flow)],
                    },
                    Transport::Tcp | Transport::Tls => self.streams.send(flow, bytes, opens),
                }
            }
            Output::CloseConnection(conn) => self.streams.close(conn),
            Output::CloseSilent(flow) => self.streams.end_silent(&flow),
            Output::Suspect(flow) => self.streams.suspect(&flow),
            Output::Stand { interface, addresses } => return self.stand(interface, addresses),
            Output::Look => self.sockets.look(),
            Output::Relay(command) => {
                return self.relay.queue(command).err().map(Input::Relay).into_iter().collect();
            }
            Output::KeepConnection(conn, holder) => self.streams.keep(conn, holder),
            Output::Bar { source, at, lasts } => self.streams.bar(source, at, lasts),
            Output::Record(record) => {
                self.read(now, &record);
                match self.teller.tell(now.mono, &record) {
                    Some(Line::Info(text)) => tracing::info!("{text}"),
                    Some(Line::Debug(text)) => tracing::debug!("{text}"),
                    None => {}
                }
                if self.audit.is_some() {
                    self.records.push((now, record));
                }
            }
            Output::Store(Entry::Binding(binding)) => {
                self.show_registration(now, &binding);
                self.know(now, &binding);
                self.state.store(Entry::Binding(binding));
            }
            // Nobody keeps calls yet, so nobody asked for these.
            Output::Store(Entry::Call(_)) | Output::Forget(Key::Call(_)) => {}
            Output::Store(entry @ (Entry::Confirmed(_) | Entry::Numbers(_))) => {
                self.state.store(entry);
            }
            Output::Forget(key @ (Key::Confirmed(_) | Key::Numbers)) => self.state.forget(key),
            Output::Forget(Key::Binding(key)) => {
                self.table.hide_registration(&key);
                self.state.forget(Key::Binding(key));
            }
            Output::Lifted(lifted) => self.lifted = lifted,
            Output::CallChanged(view) => self.table.show_call(view),
            Output::CallGone(call) => self.table.hide_call(call),
            Output::Belongs(what) => {
                if self.config.limits.trace > 0 {
                    self.tracer.belongs(now, what);
                }
            }
            Output::BindingChanged(binding) => self.show_registration(now, &binding),
            Output::Resolve(question) => self.resolver.ask(question),
            Output::Observe(observation) => (self.observer)(&Observed::Engine(observation)),
            Output::Notice { level, text, by } => {
                if by.is_none_or(|by| self.teller.notices(by, level)) {
                    write(level, &text);
                }
            }
            Output::Timeout(_) => {}
        }
        Vec::new()
    }

    fn show_registration(&self, now: Now, binding: &StoredBinding) {
        let agent = self.agents.of(binding.source.unwrap_or(binding.peer));
        self.table.show_registration(binding, agent, Some(now.wall));
    }

    /// What readers and later runs have of a record.
    fn read(&mut self, now: Now, record: &Record) {
        if let Record::CallAttempt { call, .. } = record
            && let Some(entry) = self.numbers.give(*call)
        {
            self.state.store(entry);
        }
        self.tracer.read(now, record);
        if let Some((row, gone)) = self.refusals.hear(now, record) {
            self.table.tell_refusal(row, gone);
        }
        let most = self.config.limits.recent_calls;
        if let Some(row) = self.recent.hear(now, record, most) {
            self.table.keep_call(row);
        }
        if let Record::CallEnd(end) = record
            && most == 0
        {
            self.tracer.forget(end.call);
        }
        while let Some(call) = self.recent.too_many(most) {
            self.table.forget_call(call);
            self.tracer.forget(call);
        }
    }

    /// Where a phone is registered, handshakes have places apart from strangers'.
    pub(super) fn know(&self, now: Now, binding: &StoredBinding) {
        let lasts = Duration::from_secs(binding.expires.saturating_sub(now.wall.0.as_secs()));
        let ip = binding.source.unwrap_or(binding.peer).ip();
        self.streams.know(binding.local, ip, lasts);
    }
}

fn write(level: Level, text: &str) {
    match level {
        Level::Debug => tracing::debug!("{text}"),
        Level::Info => tracing::info!("{text}"),
        Level::Warn => tracing::warn!("{text}"),
        Level::Error => tracing::error!("{text}"),
    }
}
