//! Where a dialog's phone is at home: the registration it is reached by, so that a leg follows it
//! when it registers anew by another port, address or connection. It is known by its Call-ID; who
//! comes with another one is the same phone where it says so (`+sip.instance`), or where the one
//! that was there is gone and this is the user's own at that host. Nobody else is followed.

use super::{Binding, Phones};
use crate::engine::analysis::Incoming;
use crate::engine::entry::StoredHome;
use crate::engine::outbox::Outbox;
use crate::engine::output::Output;
use crate::engine::world::World;
use crate::ground::{ConnId, Flow};
use crate::policy::quota::Holder;
use crate::wire::sip::{Aor, Uri};

/// A registration as a dialog's leg knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Home {
    key: String,
    /// The same user of another upstream is another.
    aor: Aor,
    /// Of its REGISTERs: a phone that writes another Contact keeps it (RFC 3261 §10.2).
    call_id: String,
    /// Which phone it is, where that says so (RFC 5626 §4.1).
    instance: Option<String>,
    /// Its user proved himself, and by a password that is his own.
    proved: bool,
    /// When it was refreshed last, among all.
    refreshed: u64,
    /// The way to it when the leg heard of it last.
    flow: Flow,
}

/// A binding's way has changed.
#[derive(Clone, Debug)]
pub(crate) struct Moved {
    pub(crate) old: Flow,
    pub(crate) new: Flow,
    /// The Contact it is asked for by.
    pub(crate) contact: String,
}

/// What has moved since this was asked last.
#[derive(Debug, Default)]
pub(super) struct Moves {
    made: Vec<Moved>,
    /// Keys of bindings that were made or refreshed.
    came: Vec<String>,
    /// Bindings that were ended, or whose connection was, as they were.
    left: Vec<Binding>,
}

impl Moves {
    pub(super) fn made(&mut self, old: Flow, new: Flow, contact: &Uri) {
        self.made.push(Moved { old, new, contact: contact.to_string() });
    }

    pub(super) fn came(&mut self, key: &str) {
        self.came.push(key.to_owned());
    }

    pub(super) fn left(&mut self, binding: Option<&Binding>) {
        self.left.extend(binding.cloned());
    }
}

impl Home {
    pub(crate) fn of(b: &Binding) -> Self {
        Self {
            key: b.key.clone(),
            aor: b.aor.clone(),
            call_id: b.call_id.clone(),
            instance: b.instance.clone(),
            proved: is_proved(b),
            refreshed: b.age.refreshed,
            flow: b.flow,
        }
    }

    /// Whose registration it is.
    pub(crate) fn aor(&self) -> &Aor {
        &self.aor
    }

    pub(crate) fn flow(&self) -> Flow {
        self.flow
    }

    /// It came by a connection that is closed.
    pub(crate) fn is_cut_off(&self, w: &World) -> bool {
        w.net().is_cut_off(&self.flow)
    }

    /// As it is written down.
    pub(crate) fn written(&self) -> StoredHome {
        let Self { key, aor, call_id, instance, .. } = self.clone();
        StoredHome { key, aor, call_id, instance }
    }

    /// Read back; `flow` is the way that the leg had.
    pub(crate) fn read_back(stored: StoredHome, flow: Flow) -> Self {
        let StoredHome { key, aor, call_id, instance } = stored;
        Self { key, aor, call_id, instance, proved: false, refreshed: 0, flow }
    }
}

/// Nobody else could have registered it. What was granted while nobody could ask for a password,
/// where there is none, or one for all, is as good as the address that it came from.
fn is_proved(b: &Binding) -> bool {
    matches!(b.holder, Holder::User(_)) && !b.edge
}

impl Phones {
    /// The registration of this user that a request comes from.
    pub(crate) fn home(&self, w: &World, i: &Incoming, user: &Aor) -> Option<Home> {
        let alive = |b: &&Binding| b.expires > w.steady();
        let contact = i.contact();
        let host = w.net().host(&i.flow);
        let near = |b: &&Binding| b.host == host;
        let fits = |b: &&Binding| {
            let same = contact.as_ref().is_some_and(|c| c.equivalent(&b.contact));
            (b.source == i.flow.peer, same)
        };
        self.bindings.of_aor(user).filter(alive).filter(near).max_by_key(fits).map(Home::of)
    }

    /// The way to a home that has moved since the leg heard of it, and that home as it is now.
    pub(crate) fn moved(&self, w: &World, home: &Home) -> Option<Home> {
        let own = self.own(w, home);
        let now = self.now_at(w, home, own).or(own)?;
        (now.flow != home.flow).then(|| Home::of(now))
    }

    /// The registration by whose very flow a request of this home's phone comes, which may be
    /// another than the one that its leg knows.
    pub(crate) fn speaks_from(&self, w: &World, i: &Incoming, home: &Home) -> Option<Home> {
        let host = w.net().host(&i.flow);
        let here = |b: &&Binding| {
            b.host == host
                && b.source == i.flow.peer
                && b.flow.transport == i.flow.transport
                && b.flow.conn == i.flow.conn
        };
        let own = |b: &&Binding| b.call_id == home.call_id || is_of(w, home, b);
        let theirs = self.of_home(home).filter(|b| b.expires > w.steady());
        theirs.filter(here).filter(own).last().map(Home::of)
    }

    /// Where a home's phone may be that is reached by datagrams, and may have come again by another
    /// port without a word of the old one: whom to ask where that one says nothing.
    pub(crate) fn perhaps_at(&self, w: &World, home: &Home) -> Option<Flow> {
        let own = self.own(w, home).filter(|b| !b.flow.transport.is_reliable())?;
        let newer =
            |b: &&Binding| b.age.began > own.age.refreshed && !b.flow.transport.is_reliable();
        let other = self.others(w, &Home::of(own)).into_iter().filter(newer);
        other.max_by_key(|b| b.age.refreshed).map(|b| b.flow)
    }

    /// Registrations of a home's user, oldest first.
    fn of_home<'a>(&'a self, home: &Home) -> impl Iterator<Item = &'a Binding> {
        self.bindings.of_user(&home.aor.user).filter(|b| b.aor == home.aor)
    }

    /// A home's own registration, the newest of its Call-ID.
    fn own(&self, w: &World, home: &Home) -> Option<&Binding> {
        let alive = |b: &&Binding| b.expires > w.steady();
        let known = self.bindings.get(&home.key).filter(alive).filter(|b| b.aor == home.aor);
        let call_id = known.map_or(home.call_id.as_str(), |b| b.call_id.as_str());
        let theirs = self.of_home(home).filter(alive);
        let same = theirs.filter(|b| b.call_id == call_id);
        same.max_by_key(|b| (b.cseq, b.key == home.key))
    }

    /// The registration that a home's phone made in place of its `own`: by the same instance, after
    /// that was refreshed last; or, where that is gone, the only one, or the newest.
    fn now_at(&self, w: &World, home: &Home, own: Option<&Binding>) -> Option<&Binding> {
        let home = own.map_or_else(|| home.clone(), Home::of);
        let lives = own.is_some_and(|b| !b.is_cut_off(w));
        if lives && home.instance.is_none() {
            return None;
        }
        let others = self.others(w, &home);
        if let ([only], false) = (others.as_slice(), lives) {
            return Some(only);
        }
        let newer = others.into_iter().filter(|b| b.age.began > home.refreshed);
        newer.max_by_key(|b| b.age.refreshed)
    }

    /// Other registrations of the same user that live, and may be of a home's phone.
    fn others(&self, w: &World, home: &Home) -> Vec<&Binding> {
        let lives = |b: &&Binding| {
            b.expires > w.steady()
                && !b.is_cut_off(w)
                && b.call_id != home.call_id
                && is_of(w, home, b)
        };
        self.of_home(home).filter(lives).collect()
    }

    /// A connection is gone. Its bindings stay: the phone may come back, or be reached anew.
    pub(crate) fn connection_closed(&mut self, w: &World, out: &mut Outbox, conn: ConnId) {
        for key in self.bindings.of_connection(conn) {
            self.moves.left(self.bindings.get(&key));
            self.bindings.alter(&key, Binding::lose_connection);
            if let Some(b) = self.bindings.get(&key) {
                out.emit(Output::BindingChanged(b.stored(w, w.now())));
            }
        }
    }

    /// Bindings whose way has changed since this was asked last.
    pub(crate) fn take_moves(&mut self, w: &World) -> Vec<Moved> {
        let Moves { made: mut moves, came, left } = std::mem::take(&mut self.moves);
        let before = |b: &Binding| {
            let others = self.bindings.of_aor(&b.aor).filter(|o| !came.contains(&o.key));
            others.cloned().collect::<Vec<_>>()
        };
        let new = came.iter().filter_map(|key| self.bindings.get(key));
        let followed: Vec<Binding> = new.flat_map(before).collect();
        for b in left.iter().chain(&followed) {
            let home = Home::of(b);
            let own = self.own(w, &home);
            let now = self.now_at(w, &home, own).or(own.filter(|own| !own.is_cut_off(w)));
            let Some(now) = now.filter(|now| now.flow != b.flow) else { continue };
            if !self.is_shared(w, &b.flow, b) {
                moves.push(Moved { old: b.flow, new: now.flow, contact: b.contact.to_string() });
            }
        }
        moves
    }
}

/// A registration of the same user may be of a home's phone: it names the same instance, or none
/// as that does. At another host that takes a name, and a user who proved himself both times.
fn is_of(w: &World, home: &Home, b: &Binding) -> bool {
    let near = || b.host == w.net().host(&home.flow);
    let named = || home.instance.is_some() && home.proved && is_proved(b);
    b.instance == home.instance && (near() || named())
}
