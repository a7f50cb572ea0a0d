//! Which host a peer is. It is what who keeps something of a peer compares and looks it up by; it
//! says nothing of who that is.

use super::Net;
use crate::config::is_of_link;
use crate::ground::Flow;
use crate::policy::quota::Source;
use std::net::IpAddr;

/// A host: its address and, for a link-local one, the interface that it is at. Every link has its
/// own such addresses: who has one on another link is another host. By any other address a host is
/// the same at whichever interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Host {
    ip: IpAddr,
    link: Option<usize>,
}

impl Host {
    /// The first and the last host of an address, on whatever link.
    pub(crate) fn all_of(ip: IpAddr) -> [Self; 2] {
        [None, Some(usize::MAX)].map(|link| Self { ip, link })
    }
}

impl Net {
    /// Who is at the other end of a flow.
    pub(crate) fn host(&self, flow: &Flow) -> Host {
        let ip = flow.peer.ip();
        let link = || self.interface_of(flow.listener);
        Host { ip, link: is_of_link(ip).then(link).flatten() }
    }

    /// Who is counted at the other end of a flow: that address alone, of its link.
    pub(crate) fn source(&self, flow: &Flow) -> Source {
        Source::host(flow.peer.ip()).on(self.interface_of(flow.listener))
    }

    /// Both flows lead to one host.
    pub(crate) fn is_same_host(&self, one: &Flow, other: &Flow) -> bool {
        self.host(one) == self.host(other)
    }
}
