//! The local registrar (RFC 3261 §10.3): digest, then bindings. It never asks an upstream.

use super::bindings::Binding;
use super::digest::{Check, refusal};
use super::stats::REGISTRATION_RESULTS;
use super::transaction::ServerKey;
use super::{Engine, Level, Output, StoredBinding, TimerKey};
use crate::audit::Record;
use crate::ground::{Flow, Mono, Wall};
use crate::wire::sip::{Message, Name, NameAddr, Scheme, Uri};
use std::collections::BTreeSet;
use std::time::Duration;

impl Engine {
    /// A REGISTER for us that policy lets in.
    pub(crate) fn register_local(
        &mut self,
        key: ServerKey,
        request: Message,
        flow: Flow,
        reply: Flow,
    ) {
        let Some(user) = aor_user(&request) else {
            self.refuse(&request, reply, 400, "To Names No User", None);
            return;
        };
        if !self.is_attached(&flow) {
            self.count_registration("refused");
            self.registration_record(&user, &flow, "refused", 403, 0, "local");
            self.refuse(&request, reply, 403, "Register From The Site's Own Network", None);
            return;
        }
        if self.snap.config.registrar.digest {
            match self.authenticate(&request, &Name::Authorization) {
                Check::Proved { user: proved, .. } if proved == user => {}
                Check::Proved { .. } => {
                    self.count_registration("refused");
                    self.registration_record(&user, &flow, "refused", 403, 0, "local");
                    self.refuse(&request, reply, 403, "Not Your Address Of Record", None);
                    return;
                }
                Check::Challenge { stale } => {
                    self.count_registration("challenged");
                    let rows = self.auth.challenge(self.now.wall, stale);
                    let extra = rows.into_iter().map(|v| (Name::WwwAuthenticate, v)).collect();
                    self.answer_challenge(&request, reply, 401, "Unauthorized", extra);
                    return;
                }
                Check::Wrong(why) => {
                    self.count_registration("refused");
                    self.security("bad_password", flow, format!("{user}: {why}"));
                    let (status, phrase) = refusal(why);
                    self.registration_record(&user, &flow, "refused", status, 0, "local");
                    self.refuse(&request, reply, status, phrase, None);
                    return;
                }
            }
        }
        let response = self.update_bindings(&request, &user, &flow);
        let server = self.accept(key, request, reply);
        self.respond(server, &response);
    }

    fn is_attached(&self, flow: &Flow) -> bool {
        let Some(i) = self.net.interface(flow.listener) else { return false };
        let ip = flow.peer.ip();
        i.networks.is_empty() || ip == i.address || i.networks.iter().any(|n| n.contains(&ip))
    }

    /// RFC 3261 §10.3 steps 6–8.
    fn update_bindings(&mut self, request: &Message, user: &str, flow: &Flow) -> Message {
        let contacts: Vec<Vec<u8>> = request.list(&Name::Contact).map(<[u8]>::to_vec).collect();
        let wanted = header_seconds(request.text(&Name::Expires));
        if contacts.iter().any(|c| c.as_slice() == b"*") {
            if contacts.len() != 1 || wanted != Some(0) {
                return self.register_answer(request, 400, "Contact * Needs Expires 0");
            }
            let keys: Vec<String> = self.bindings.of_user(user).map(|b| b.key.clone()).collect();
            if keys.iter().any(|key| self.is_overtaken(request, key)) {
                return self.out_of_order(request, user, flow);
            }
            for key in keys {
                self.unbind(&key, user, flow, "removed");
            }
            return self.register_ok(request, user);
        }
        let registrar = self.snap.config.registrar.clone();
        for value in &contacts {
            let Some(contact) = NameAddr::parse(value) else {
                return self.register_answer(request, 400, "Broken Contact");
            };
            let own = header_seconds(contact.params.get("expires")).or(wanted);
            let seconds = own.unwrap_or(registrar.max_expires.as_secs());
            if seconds > 0 && seconds < registrar.min_expires.as_secs() {
                let mut r = self.register_answer(request, 423, "Interval Too Brief");
                r.push_back(Name::MinExpires, registrar.min_expires.as_secs().to_string());
                return r;
            }
        }
        let aor = format!("{user}@{}", registrar.realm);
        let asked: Vec<(String, Uri, u64)> = contacts
            .iter()
            .filter_map(|value| NameAddr::parse(value))
            .map(|contact| {
                let own = header_seconds(contact.params.get("expires")).or(wanted);
                let seconds = own.unwrap_or(u64::MAX).min(registrar.max_expires.as_secs());
                (self.binding_key(&aor, &contact.uri, flow), contact.uri, seconds)
            })
            .collect();
        if asked.iter().any(|(key, ..)| self.is_overtaken(request, key)) {
            return self.out_of_order(request, user, flow);
        }
        let added = asked.iter().filter(|(_, _, seconds)| *seconds > 0);
        if let Some(full) = self.over_bindings(request, user, added.map(|(key, ..)| key.as_str())) {
            return full;
        }
        for (key, contact, seconds) in asked {
            self.bind_local(request, user, flow, key, contact, seconds);
        }
        self.register_ok(request, user)
    }

    /// A REGISTER of the same Call-ID that is no younger than the binding's (RFC 3261 §10.3
    /// step 7). Another Call-ID is a phone that began anew.
    fn is_overtaken(&self, request: &Message, key: &str) -> bool {
        let alive = self.bindings.get(key).filter(|b| b.expires > self.now.wall);
        let same = alive.filter(|b| b.call_id == request.call_id());
        same.is_some_and(|b| request.cseq().seq <= b.cseq)
    }

    /// The whole update is aborted (RFC 3261 §10.3 step 8).
    fn out_of_order(&mut self, request: &Message, user: &str, flow: &Flow) -> Message {
        self.count_registration("refused");
        self.registration_record(user, flow, "refused", 500, 0, "local");
        self.register_answer(request, 500, "CSeq Is Not Higher")
    }

    /// The caps of bindings: of all 503, of the user 480. What refreshes or removes always fits.
    pub(crate) fn over_bindings<'a>(
        &mut self,
        request: &Message,
        user: &str,
        added: impl Iterator<Item = &'a str>,
    ) -> Option<Message> {
        let limits = &self.snap.config.limits;
        let (all, each) = (limits.bindings, limits.bindings_per_user);
        let new: BTreeSet<&str> = added.filter(|key| self.bindings.get(key).is_none()).collect();
        if new.is_empty() {
            return None;
        }
        let (status, phrase) = if self.bindings.len() + new.len() > all {
            (503, "Too Many Bindings")
        } else if self.bindings.of_user(user).count() + new.len() > each {
            (480, "Too Many Bindings Of This User")
        } else {
            return None;
        };
        self.count_registration("limited");
        let mut full = self.register_answer(request, status, phrase);
        full.push_back(Name::RetryAfter, "60");
        Some(full)
    }

    fn bind_local(
        &mut self,
        request: &Message,
        user: &str,
        flow: &Flow,
        key: String,
        contact: Uri,
        seconds: u64,
    ) {
        if seconds == 0 {
            self.unbind(&key, user, flow, "removed");
            return;
        }
        let aor = format!("{user}@{}", self.snap.config.registrar.realm);
        self.bind(Binding {
            key,
            aor,
            contact,
            flow: *flow,
            local: self.net.listener(flow.listener).map_or(flow.peer, |l| l.bind),
            expires: Wall(self.now.wall.0 + Duration::from_secs(seconds)),
            call_id: request.call_id().to_owned(),
            cseq: request.cseq().seq,
            upstream: String::new(),
        });
        self.count_registration("accepted");
        let expires = u32::try_from(seconds).unwrap_or(u32::MAX);
        self.registration_record(user, flow, "accepted", 200, expires, "local");
    }

    fn register_answer(&self, request: &Message, status: u16, phrase: &str) -> Message {
        let mut r = Message::response(request, status, phrase);
        self.tag_response(&mut r);
        r
    }

    fn register_ok(&self, request: &Message, user: &str) -> Message {
        let mut ok = self.register_answer(request, 200, "OK");
        let now = self.now.wall;
        for b in self.bindings.of_user(user).filter(|b| b.expires > now) {
            let left = b.expires.0.saturating_sub(now.0).as_secs();
            ok.push_back(Name::Contact, format!("<{}>;expires={left}", b.contact));
        }
        ok
    }

    /// The sealed contact's user part: the same phone line gets the same one at every refresh.
    pub(crate) fn binding_key(&self, aor: &str, contact: &Uri, flow: &Flow) -> String {
        use sha2::{Digest, Sha256};
        let mut h = Sha256::new();
        let local = self.net.listener(flow.listener).map(|l| l.bind.to_string());
        for part in [aor, &contact.to_string(), &local.unwrap_or_default()] {
            h.update(part.len().to_be_bytes());
            h.update(part);
        }
        let digest: [u8; 32] = h.finalize().into();
        let mut plain = vec![b'B'];
        plain.extend_from_slice(digest.get(..12).unwrap_or_default());
        self.sealer.seal(super::seal::Role::Contact, &plain)
    }

    /// Stores a binding.
    pub(crate) fn bind(&mut self, binding: Binding) {
        let stored = binding.stored();
        self.bindings.insert(binding);
        self.emit(Output::StoreBinding(stored));
        self.arm_expiry();
    }

    /// Removes a binding that was there.
    pub(crate) fn unbind(&mut self, key: &str, user: &str, flow: &Flow, result: &'static str) {
        let Some(old) = self.bindings.remove(key) else { return };
        self.emit(Output::RemoveBinding { key: key.to_owned() });
        let registrar = if old.upstream.is_empty() { "local" } else { old.upstream.as_str() };
        self.registration_record(user, flow, result, 200, 0, registrar);
        self.arm_expiry();
    }

    pub(crate) fn registration_record(
        &mut self,
        user: &str,
        flow: &Flow,
        result: &'static str,
        status: u16,
        expires: u32,
        registrar: &str,
    ) {
        self.record(Record::Registration {
            user: user.to_owned(),
            source: flow.peer,
            result,
            status,
            expires,
            registrar: registrar.to_owned(),
        });
    }

    pub(crate) fn count_registration(&mut self, result: &str) {
        if let Some(i) = REGISTRATION_RESULTS.iter().position(|r| *r == result) {
            self.stats.registrations[i] += 1;
        }
    }

    /// Bindings as they were before a restart.
    pub(crate) fn restore(&mut self, stored: Vec<StoredBinding>) {
        let mut kept = 0_usize;
        for s in stored {
            let expires = Wall(Duration::from_secs(s.expires));
            let listener = self.net.bound_to(s.local, s.transport);
            let (Some(contact), Some(listener)) = (Uri::parse(s.contact.as_bytes()), listener)
            else {
                continue;
            };
            if expires <= self.now.wall || self.bindings.len() >= self.snap.config.limits.bindings {
                continue;
            }
            let flow = Flow { listener, transport: s.transport, peer: s.peer, conn: None };
            let mut binding = Binding {
                key: s.key,
                aor: s.aor,
                contact,
                flow,
                local: s.local,
                expires,
                call_id: s.call_id,
                cseq: s.cseq,
                upstream: s.upstream,
            };
            binding.lose_connection();
            self.bindings.insert(binding);
            kept += 1;
        }
        if kept > 0 {
            self.notice(Level::Info, format!("{kept} registrations restored"));
        }
        self.arm_expiry();
    }

    fn arm_expiry(&mut self) {
        let soonest = self.bindings.all().map(|b| b.expires).min();
        match soonest {
            Some(at) => {
                let left = at.0.saturating_sub(self.now.wall.0);
                // A look a second at most, so that a storm of short bindings costs little.
                let left = left.max(Duration::from_secs(1));
                let at: Mono = self.now.mono + left;
                self.timers.set(TimerKey::Bindings, at);
            }
            None => self.timers.stop(TimerKey::Bindings),
        }
    }

    /// Removes what has expired.
    pub(crate) fn expire_bindings(&mut self) {
        let now = self.now.wall;
        let over: Vec<Binding> =
            self.bindings.all().filter(|b| b.expires <= now).cloned().collect();
        for b in over {
            let user = b.user().to_owned();
            self.unbind(&b.key, &user, &b.flow, "expired");
        }
        self.arm_expiry();
    }

    /// Sends CRLF CRLF to NATed phones of an inside interface, to the upstreams of an outside one.
    pub(crate) fn keep_alive(&mut self, index: usize) {
        let Some(interface) = self.net.interface_at(index) else { return };
        let Some(every) = interface.keepalive else { return };
        let on = |f: &Flow| self.net.listener(f.listener).is_some_and(|l| l.interface == index);
        let mut flows: Vec<Flow> = self
            .bindings
            .all()
            .filter(|b| b.is_natted() && on(&b.flow) && !b.flow.transport.is_reliable())
            .map(|b| b.flow)
            .collect();
        let upstreams = self.snap.config.upstreams.iter().filter(|u| u.interface == index);
        flows.extend(upstreams.filter_map(|u| self.net.towards(u)));
        flows.sort_by_key(|f| f.peer);
        flows.dedup();
        for flow in flows.into_iter().filter(|f| !f.transport.is_reliable()) {
            let bytes = bytes::Bytes::from_static(b"\r\n\r\n");
            self.emit(Output::Transmit { flow, bytes });
        }
        self.timers.set(TimerKey::KeepAlive(index), self.now.mono + every);
    }
}

/// The user of the address of record in To.
pub(crate) fn aor_user(request: &Message) -> Option<String> {
    let to = request.first(&Name::To).and_then(NameAddr::parse)?;
    matches!(to.uri.scheme, Scheme::Sip | Scheme::Sips).then(|| to.uri.user_decoded()).flatten()
}

/// Seconds of an Expires value; a broken one counts as absent (RFC 3261 §20.19).
pub(crate) fn header_seconds(value: Option<&str>) -> Option<u64> {
    let text = value?.trim();
    text.parse::<u64>().ok().map(|n| n.min(u64::from(u32::MAX)))
}
