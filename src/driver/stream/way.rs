//! Where a connection leads, and for whom it may be used. It opens none.

use crate::ground::{Flow, ListenerId, UpstreamId};
use std::net::SocketAddr;

/// Where a connection leads: who opens one to an upstream by TLS has made it prove itself, so that
/// its address alone does not find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Way {
    pub(super) listener: ListenerId,
    pub(super) peer: SocketAddr,
    upstream: Option<UpstreamId>,
}

impl Way {
    pub(super) fn of(flow: &Flow) -> Self {
        Self { listener: flow.listener, peer: flow.peer, upstream: flow.upstream }
    }
}
