//! Places that REGISTERs hold while an upstream has not answered them: many that pass together find
//! no more room than there is. Until its answer proves one, its place is its source's, and gives
//! way as such. It knows a REGISTER by its server transaction and nothing of what it asks for.

use super::{BindingNo, Bindings};
use crate::engine::ids::ServerId;
use crate::ground::ListenerId;
use crate::policy::quota::{Full, Holder, Source};
use std::collections::HashMap;

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    by_server: HashMap<ServerId, (BindingNo, ListenerId)>,
    servers: HashMap<BindingNo, ServerId>,
}

impl Waiting {
    fn enter(&mut self, server: ServerId, no: BindingNo, by: ListenerId) {
        self.by_server.insert(server, (no, by));
        self.servers.insert(no, server);
    }

    /// One has given way: the socket that its REGISTER came by.
    fn displaced(&mut self, no: BindingNo) -> Option<ListenerId> {
        let server = self.servers.remove(&no)?;
        self.by_server.remove(&server).map(|(_, by)| by)
    }
}

/// What gave way.
#[derive(Debug, Default)]
pub(in crate::engine::phones) struct Gone {
    /// Keys of bindings, for the caller to end.
    pub(in crate::engine::phones) keys: Vec<String>,
    /// By which sockets those REGISTERs came whose places are gone.
    pub(in crate::engine::phones) waiting: Vec<ListenerId>,
}

impl Gone {
    pub(in crate::engine::phones) fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.waiting.is_empty()
    }
}

impl Bindings {
    /// A REGISTER waits for an answer that would make it `new` bindings of `user`. What the
    /// same transaction held before is free.
    pub(in crate::engine::phones) fn hold(
        &mut self,
        (server, by): (ServerId, ListenerId),
        (user, source): (&Holder, Source),
        new: usize,
    ) -> (Gone, Result<(), Full>) {
        self.release(server);
        if new == 0 {
            return (Gone::default(), Ok(()));
        }
        self.next += 1;
        let no = BindingNo(self.next);
        let mut gone = Vec::new();
        let room = self.shares.pledge(no, (user, source), new, &mut gone);
        let gone = self.gone(gone);
        if room.is_ok() {
            self.waiting.enter(server, no, by);
        }
        (gone, room)
    }

    /// It waits no longer: its place is free.
    pub(in crate::engine::phones) fn release(&mut self, server: ServerId) {
        if let Some((no, _)) = self.waiting.by_server.remove(&server) {
            self.waiting.servers.remove(&no);
            self.shares.leave(no);
        }
    }

    /// REGISTERs that hold places.
    pub(in crate::engine::phones) fn waiting(&self) -> impl Iterator<Item = ServerId> + '_ {
        self.waiting.by_server.keys().copied()
    }

    /// What has given way, by what it was.
    pub(super) fn gone(&mut self, numbers: Vec<BindingNo>) -> Gone {
        let mut gone = Gone::default();
        for no in numbers {
            match self.rows.get(&no) {
                Some(b) => gone.keys.push(b.key.clone()),
                None => gone.waiting.extend(self.waiting.displaced(no)),
            }
        }
        gone
    }
}
