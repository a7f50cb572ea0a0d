//! By which transport a next hop is reached, as its URI says (RFC 3263 §4.1). What a URI names and
//! nobody speaks here is said to be so; another transport is never taken for it.

use super::Net;
use crate::ground::{ListenerId, Transport};
use crate::wire::sip::{Scheme, Uri};
use std::fmt;

/// Characters of a name from the network that a log line shows.
const SHOWN: usize = 24;

/// A next hop by a transport that is not spoken where it would be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NoTransport {
    /// As it was named.
    named: String,
    /// The interface that does not speak it.
    interface: String,
}

impl fmt::Display for NoTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { named, interface } = self;
        write!(f, "transport \"{named}\" is not spoken at interface \"{interface}\"")
    }
}

/// What a URI says of the transport. `Ok(None)`: nothing.
///
/// # Errors
/// The name of one that this gateway does not know.
pub(crate) fn named(uri: &Uri) -> Result<Option<Transport>, String> {
    let secure = uri.scheme == Scheme::Sips;
    let Some(text) = uri.params.get("transport") else {
        return Ok(secure.then_some(Transport::Tls));
    };
    let known = [Transport::Udp, Transport::Tcp, Transport::Tls];
    let found = known.into_iter().find(|t| text.eq_ignore_ascii_case(t.as_str()));
    match (found, secure) {
        // RFC 3261 §26.2.2: in a SIPS URI, TCP is what TLS runs over.
        (Some(Transport::Tcp | Transport::Tls), true) => Ok(Some(Transport::Tls)),
        (Some(transport), false) => Ok(Some(transport)),
        (Some(Transport::Udp) | None, _) => {
            Err(text.chars().take(SHOWN).flat_map(char::escape_debug).collect())
        }
    }
}

impl Net {
    /// The transport of a URI, at the interface of a socket; what names none is reached by `own`,
    /// as before.
    pub(crate) fn spoken(
        &self,
        beside: ListenerId,
        uri: &Uri,
        own: Transport,
    ) -> Result<Transport, NoTransport> {
        let Some(interface) = self.interface_of(beside) else { return Ok(own) };
        let unspoken = |named| NoTransport { named, interface: self.name_of(interface) };
        let transport = named(uri).map_err(unspoken)?.unwrap_or(own);
        self.no_socket(interface, transport).map_or(Ok(transport), Err)
    }

    /// Why an interface cannot reach any hop by this transport; `None`: it has a socket of it, as
    /// soon as it has an address.
    pub(crate) fn no_socket(&self, interface: usize, transport: Transport) -> Option<NoTransport> {
        let mut own = self.interface_at(interface).into_iter().flat_map(|i| &i.listen);
        let none = !own.any(|l| l.transport == transport);
        let (named, interface) = (transport.to_string(), self.name_of(interface));
        none.then_some(NoTransport { named, interface })
    }

    /// Transports that an interface has sockets of, in the order that we prefer.
    pub(crate) fn spoken_at(&self, interface: usize) -> Vec<Transport> {
        let all = [Transport::Udp, Transport::Tcp, Transport::Tls];
        all.into_iter().filter(|t| self.no_socket(interface, *t).is_none()).collect()
    }

    fn name_of(&self, interface: usize) -> String {
        self.interface_at(interface).map_or_else(String::new, |i| i.name.clone())
    }
}
