//! Phones: who is registered, by which flow each is reached, and who a request from inside is. It
//! keeps bindings and the digest's memory; it never talks to an upstream and knows no call.

mod bindings;
mod confirmed;
pub mod digest;
mod home;
mod identity;
mod loose;
mod newest;
mod registrar;
mod told;
mod upstream;
mod view;

pub(crate) use bindings::{Age, Binding};
pub(crate) use home::Home;
pub(crate) use identity::tells_false_from;
pub(crate) use registrar::{Registered, header_seconds, own};
pub(crate) use upstream::Pending;

use super::entry::{Entry, Key, StoredBinding};
use super::outbox::Outbox;
use super::output::{Level, Output};
use super::stats::Places;
use super::transactions::TimerTable;
use super::world::{Neighbours, World, changed_keepalives};
use crate::audit::{BindingEvent, Record};
use crate::config::{Config, is_of_link};
use crate::ground::{Flow, Mono, Wall};
use crate::policy::quota::{Holder, ShareView};
use crate::wire::sip::{Aor, Uri};
use bindings::Bindings;
use confirmed::Confirmed;
use digest::{Authenticator, Users};
use home::Moves;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;
use told::Told;
use upstream::Returns;

/// Phones that one request is forked to.
const MAX_TARGETS: usize = 16;

/// Bindings of one flow that are looked at one by one.
const SHARED: usize = 64;

/// Bindings that end in one step.
const AT_ONCE: usize = 64;
/// A binding of before a restart lasts at most so long, however the clock was set meanwhile.
const LONGEST: Duration = Duration::from_secs(86_400);
/// Between two such steps, for others.
const BREATH: Duration = Duration::from_millis(5);

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Due {
    /// The soonest binding ends.
    Expiry,
    /// Keep-alives of an inside interface.
    KeepAlive(usize),
}

impl Neighbours for Phones {
    fn are_at(&self, ip: IpAddr) -> bool {
        self.bindings.are_at(ip)
    }

    fn are_others_at(&self, ip: IpAddr, source: IpAddr) -> bool {
        self.bindings.are_others_at(ip, source)
    }
}

/// All phones.
pub(crate) struct Phones {
    bindings: Bindings,
    auth: Authenticator,
    timers: TimerTable<Due>,
    /// When it was last looked which bindings are over.
    looked: Option<Mono>,
    moves: Moves,
    confirmed: Confirmed,
    returns: Returns,
    told: Told,
}

impl Phones {
    /// Nobody is registered; `secret` keys the nonces.
    pub(crate) fn new(w: &World, secret: [u8; 32]) -> Self {
        let users = w.snapshot().users.clone();
        let auth = Authenticator::new(&w.config().registrar.realm, users, secret);
        let mut phones = Self {
            bindings: Bindings::new(w.shares_of_sources(w.config().limits.bindings)),
            auth,
            timers: TimerTable::default(),
            looked: None,
            moves: Moves::default(),
            confirmed: Confirmed::default(),
            returns: Returns::default(),
            told: Told::default(),
        };
        phones.follow_keepalives(w, None);
        phones
    }

    /// Takes the configuration in force; `old`: the one before.
    pub(crate) fn follow(&mut self, w: &World, users: Users, old: &Config) {
        self.auth.set_users(users);
        self.bindings.set_shares(w.shares_of_sources(w.config().limits.bindings));
        self.follow_keepalives(w, Some(old));
    }

    pub(crate) fn len(&self) -> usize {
        self.bindings.len()
    }

    /// Users who are registered.
    pub(crate) fn users(&self) -> usize {
        self.bindings.users()
    }

    /// How full the table is.
    pub(crate) fn places(&self) -> Places {
        self.bindings.places()
    }

    /// How places are held.
    pub(crate) fn share_view(&self) -> ShareView {
        self.bindings.share_view()
    }

    /// A binding by its sealed contact's user part.
    pub(crate) fn binding(&self, key: &str) -> Option<&Binding> {
        self.bindings.get(key)
    }

    /// True when a phone of the site sends from this address.
    pub(crate) fn are_at(&self, ip: IpAddr) -> bool {
        self.bindings.are_at(ip)
    }

    /// The phones a Request-URI means, by key: a sealed contact, or a user registered here under
    /// the name that stands there, else under the number that it means, among those that may be
    /// meant by it. Newest first; forks share one interface, so that they share one media leg.
    pub(crate) fn reached_by(
        &self,
        w: &World,
        uri: &Uri,
        number: &str,
        is_meant: &dyn Fn(&Binding) -> bool,
    ) -> Vec<String> {
        let alive = |b: &&Binding| b.expires > w.steady();
        if let Some(b) = uri.user.as_deref().and_then(|u| self.bindings.get(u)).filter(alive) {
            return vec![b.key.clone()];
        }
        let Some(user) = uri.user_decoded() else { return Vec::new() };
        let found = self.of_user(w, &user, is_meant);
        if !found.is_empty() || number.is_empty() {
            return found;
        }
        self.of_user(w, number, is_meant)
    }

    /// Live bindings of a user that a call can fork to, youngest first: those of one interface.
    pub(crate) fn of_user(
        &self,
        w: &World,
        user: &str,
        is_meant: &dyn Fn(&Binding) -> bool,
    ) -> Vec<String> {
        let alive = |b: &&Binding| b.expires > w.steady() && is_meant(b);
        let mut found: Vec<&Binding> = self.bindings.of_user(user).filter(alive).collect();
        found.sort_by_key(|b| std::cmp::Reverse(b.expires));
        let interface = |b: &Binding| w.net().interface_of(b.flow.listener);
        let Some(first) = found.first().and_then(|b| interface(b)) else { return Vec::new() };
        let same = found.iter().filter(|b| interface(b) == Some(first));
        same.take(MAX_TARGETS).map(|b| b.key.clone()).collect()
    }

    /// Somebody registered by this flow.
    pub(crate) fn is_known(&self, w: &World, flow: &Flow) -> bool {
        self.bindings.of_flow(w.net(), flow).any(|b| b.expires > w.steady())
    }

    /// Who holds the registration that was made by this flow; `None`: nobody did.
    pub(crate) fn holder_at(&self, w: &World, flow: &Flow) -> Option<Holder> {
        let mut theirs = self.bindings.of_flow(w.net(), flow).filter(|b| b.expires > w.steady());
        theirs.next().map(|b| b.holder.clone())
    }

    /// Whether a user registered by this flow; `None`: nobody did.
    pub(crate) fn is_of_flow(&self, w: &World, flow: &Flow, user: &Aor) -> Option<bool> {
        let mut theirs = self.bindings.of_flow(w.net(), flow).peekable();
        theirs.peek()?;
        Some(theirs.any(|b| b.aor == *user))
    }

    fn bind(&mut self, w: &World, out: &mut Outbox, binding: Binding) {
        out.emit(Output::Store(Entry::Binding(binding.stored(w, w.now()))));
        if let Some(conn) = binding.flow.conn {
            let holder = match &binding.holder {
                shared @ Holder::Shared(..) => shared.clone(),
                Holder::Unproved(_)
                | Holder::Emergency(_)
                | Holder::User(_)
                | Holder::Upstream
                | Holder::Brought(_) => Holder::User(binding.aor.to_string()),
            };
            out.emit(Output::KeepConnection(conn, holder));
        }
        let new = binding.flow;
        let before = self.bindings.get(&binding.key).map(|b| b.flow);
        if let Some(old) = before.filter(|old| *old != new && !self.is_shared(w, old, &binding)) {
            self.moves.made(old, new, &binding.contact);
        }
        self.moves.came(&binding.key);
        self.bindings.insert(binding);
        self.arm_expiry(w);
    }

    /// Whether somebody else is reached by this flow and Contact, too: then what is under way there
    /// may be his, and follows nobody. Where too many share it to be told apart, so it is.
    fn is_shared(&self, w: &World, old: &Flow, moving: &Binding) -> bool {
        let mut there = self.bindings.of_flow(w.net(), old).take(SHARED + 1).enumerate();
        let same = |b: &Binding| b.contact.equivalent(&moving.contact);
        there.any(|(n, b)| n == SHARED || b.aor != moving.aor && same(b))
    }

    /// A user's own bindings give way to his newest.
    fn replace(&mut self, w: &World, out: &mut Outbox, keys: Vec<String>) {
        for key in keys {
            let Some(flow) = self.bindings.get(&key).map(|b| b.flow) else { continue };
            self.unbind(w, out, &key, &flow, BindingEvent::Replaced);
        }
    }

    /// Removes a binding that was there.
    fn unbind(&mut self, w: &World, out: &mut Outbox, key: &str, flow: &Flow, event: BindingEvent) {
        let Some(old) = self.bindings.remove(key) else { return };
        if event != BindingEvent::Expired {
            self.moves.left(Some(&old));
        }
        out.emit(Output::Forget(Key::Binding(key.to_owned())));
        let registrar = if old.upstream.is_empty() { "local" } else { old.upstream.as_str() };
        record(out, old.user(), flow, event, 200, 0, registrar);
        self.arm_expiry(w);
    }

    /// Bindings as they were before a restart; those that are none any more are forgotten.
    pub(crate) fn restore(
        &mut self,
        w: &World,
        out: &mut Outbox,
        stored: Vec<StoredBinding>,
    ) -> usize {
        let mut kept = 0;
        for s in stored {
            let expires = Wall(Duration::from_secs(s.expires)).min(w.steady_after(LONGEST));
            // On another link a link-local address is another host's.
            let listener = match is_of_link(s.peer.ip()) {
                true => w.net().bound_exactly(s.local, s.transport),
                false => w.net().bound_to(s.local, s.transport),
            };
            let room = expires > w.steady() && self.bindings.len() < w.config().limits.bindings;
            let contact = Uri::parse(s.contact.as_bytes()).filter(|_| room);
            let Some((contact, listener)) = contact.zip(listener) else {
                out.emit(Output::Forget(Key::Binding(s.key)));
                continue;
            };
            let from = s.source.unwrap_or(s.peer);
            let flow =
                Flow { listener, transport: s.transport, peer: s.peer, conn: None, upstream: None };
            let at = w.net().source(&Flow { peer: from, ..flow });
            let holder = w.holder(Some(&s.aor), false, at);
            let mut binding = Binding {
                holder,
                key: s.key,
                aor: s.aor,
                contact,
                flow,
                source: from,
                host: w.net().host(&flow),
                local: s.local,
                expires,
                call_id: s.call_id,
                cseq: s.cseq,
                upstream: s.upstream,
                service_route: s.service_route,
                instance: s.instance,
                edge: s.edge,
                age: Age::default(),
            };
            binding.lose_connection();
            self.bindings.insert(binding);
            kept += 1;
        }
        self.arm_expiry(w);
        kept
    }

    /// When it wants to be woken.
    pub(crate) fn poll_timeout(&self) -> Option<Mono> {
        self.timers.next()
    }

    /// Fires one timer that is due; false: none is.
    pub(crate) fn handle_timeout(&mut self, w: &World, out: &mut Outbox) -> bool {
        match self.timers.expired(w.now().mono) {
            Some(Due::Expiry) => self.expire(w, out),
            Some(Due::KeepAlive(interface)) => self.keep_alive(w, out, interface),
            None => return false,
        }
        true
    }

    fn arm_expiry(&mut self, w: &World) {
        let Some(at) = self.bindings.soonest() else {
            self.timers.stop(Due::Expiry);
            return;
        };
        let due = w.now().mono + at.0.saturating_sub(w.steady().0);
        // A look a second at most, so that a storm of short bindings costs little; counted from the
        // last look, so that none is put off by who registers meanwhile.
        let next = self.looked.map_or(due, |looked| looked + Duration::from_secs(1));
        self.timers.set(Due::Expiry, due.max(next));
    }

    fn expire(&mut self, w: &World, out: &mut Outbox) {
        let over = self.bindings.over(w.steady(), AT_ONCE);
        let more = over.len() == AT_ONCE;
        // Where some are left, nobody who registers meanwhile puts them off.
        self.looked = (!more).then(|| w.now().mono);
        for b in over {
            self.unbind(w, out, &b.key, &b.flow, BindingEvent::Expired);
        }
        if more {
            // A site that lost its power ends all at once; calls are not to wait for that.
            self.timers.set(Due::Expiry, w.now().mono + BREATH);
        } else {
            self.arm_expiry(w);
        }
    }

    fn follow_keepalives(&mut self, w: &World, old: Option<&Config>) {
        for (index, every) in changed_keepalives(old, w.config()) {
            match every {
                Some(every) => self.timers.set(Due::KeepAlive(index), w.now().mono + every),
                None => self.timers.stop(Due::KeepAlive(index)),
            }
        }
    }

    /// CRLF CRLF to the phones behind a NAT of an interface, each flow once.
    fn keep_alive(&mut self, w: &World, out: &mut Outbox, index: usize) {
        let Some(every) = w.net().interface_at(index).and_then(|i| i.keepalive) else { return };
        let on = |f: &Flow| w.net().interface_of(f.listener) == Some(index);
        let flows = self.bindings.kept_open().map(|b| b.flow).filter(on);
        let flows: BTreeSet<_> = flows.map(|f| (f.peer, f.listener)).collect();
        for (peer, listener) in flows {
            let transport = crate::ground::Transport::Udp;
            let flow = Flow { listener, transport, peer, conn: None, upstream: None };
            out.transmit(flow, bytes::Bytes::from_static(b"\r\n\r\n"));
        }
        self.timers.set(Due::KeepAlive(index), w.now().mono + every);
    }
}

/// What became of a REGISTER, or of a binding.
fn record(
    out: &mut Outbox,
    user: &str,
    flow: &Flow,
    result: BindingEvent,
    status: u16,
    expires: u32,
    registrar: &str,
) {
    out.record(Record::Registration {
        user: user.to_owned(),
        source: flow.peer,
        result,
        status,
        expires,
        registrar: registrar.to_owned(),
    });
}

/// How many registrations a restart kept.
pub(crate) fn tell_restored(out: &mut Outbox, kept: usize) {
    if kept > 0 {
        out.notice(Level::Info, format!("{kept} registrations restored"));
    }
}
