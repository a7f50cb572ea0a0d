//! Where a dialog's phone is at home: the registration it is reached by, so that a leg follows it
//! when it registers anew by another port, address or connection.

use super::{Binding, Phones};
use crate::engine::analysis::Incoming;
use crate::engine::entry::StoredHome;
use crate::engine::world::World;
use crate::ground::Flow;
use crate::wire::sip::Aor;

/// A registration as a dialog's leg knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Home {
    key: String,
    /// The same user of another upstream is another.
    aor: Aor,
    /// Of its REGISTERs: a phone that writes another Contact keeps it (RFC 3261 §10.2).
    call_id: String,
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

impl Home {
    pub(crate) fn of(b: &Binding) -> Self {
        let (aor, call_id) = (b.aor.clone(), b.call_id.clone());
        Self { key: b.key.clone(), aor, call_id, flow: b.flow }
    }

    /// Whose registration it is.
    pub(crate) fn aor(&self) -> &Aor {
        &self.aor
    }

    pub(crate) fn flow(&self) -> Flow {
        self.flow
    }

    /// As it is written down.
    pub(crate) fn written(&self) -> StoredHome {
        let Self { key, aor, call_id, .. } = self.clone();
        StoredHome { key, aor, call_id }
    }

    /// Read back; `flow` is the way that the leg had.
    pub(crate) fn read_back(stored: StoredHome, flow: Flow) -> Self {
        let StoredHome { key, aor, call_id } = stored;
        Self { key, aor, call_id, flow }
    }
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
        let alive = |b: &&Binding| b.expires > w.steady();
        let own = self.bindings.get(&home.key).filter(alive);
        let call_id = own.map_or(home.call_id.as_str(), |b| b.call_id.as_str());
        let theirs = self.bindings.of_aor(&home.aor).filter(alive);
        let same = theirs.filter(|b| b.call_id == call_id);
        let now = same.max_by_key(|b| (b.cseq, b.key == home.key))?;
        (now.flow != home.flow).then(|| Home::of(now))
    }

    /// Bindings whose way has changed since this was asked last.
    pub(crate) fn take_moves(&mut self) -> Vec<Moved> {
        std::mem::take(&mut self.moves)
    }
}
