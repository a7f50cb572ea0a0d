//! What the engine is told.
use super::Snapshot;
use super::calls::TunnelPath;
use super::entry::Entry;
use super::names::{Question, Reply};
use crate::config::Own;
use crate::ground::{CallNo, ConnId, Flow, Subject};
use crate::relay;
use bytes::Bytes;
use std::sync::Arc;

/// One input; handled whole, then outputs are drained.
#[derive(Clone, Debug)]
pub enum Input {
    /// One datagram or one framed message.
    Message {
        /// The way it came.
        flow: Flow,
        /// Its bytes.
        bytes: Bytes,
    },
    /// A stream message that the framer refused (answer it if possible; the driver then closes).
    StreamRefused {
        /// The connection.
        flow: Flow,
        /// Why.
        refusal: crate::wire::sip::Refusal,
    },
    /// A stream connection is gone.
    ConnectionClosed(ConnId),
    /// A connection that we opened ended, and not because we closed it; `ConnectionClosed` follows.
    ConnectionBroken(Flow),
    /// A stream connection that we opened was suspect, and is closed, for another that leads there
    /// answers ([`super::Output::Suspect`]).
    ConnectionReplaced(Flow),
    /// Who is at the other end of a TLS connection has proved by a certificate, which an authority
    /// of the interface's file signed, to be one of these: what its URIs and DNS names say (RFC
    /// 5922 §7.1), or its common name where it has no other name. At most 32. Comes before the
    /// connection's first message.
    Secured {
        /// The connection.
        flow: Flow,
        /// Names as the certificate has them; at least one.
        names: Vec<Subject>,
    },
    /// Who is at the other end of a TLS connection that he opened shows a certificate which proves
    /// nothing, and is let in as if he had none. Comes before the connection's first message.
    Unnamed {
        /// The connection.
        flow: Flow,
        /// Why, in words.
        why: String,
    },
    /// Who is at the other end of a TLS connection is believed no longer: his certificate has
    /// ended, or is not believed by what is in force now. No new request finds the connection.
    Disproved {
        /// The connection.
        flow: Flow,
        /// Why, in words.
        why: String,
        /// Nothing that has begun there may go on.
        at_once: bool,
    },
    /// TLS to there came to nothing, so that nobody is heard; `TransportFailed` follows.
    Unproved {
        /// The way.
        flow: Flow,
        /// Why, in words that say what to do.
        why: String,
    },
    /// A message could not be sent (connect failed, ICMP unreachable …).
    TransportFailed(Flow),
    /// A datagram was not delivered, as somebody on the way says who quotes it (RFC 3261 §18.4).
    /// Anybody may say so: it is believed of what only its sender and who was asked know.
    Undelivered {
        /// The way it was sent.
        flow: Flow,
        /// Its first octets.
        quoted: Bytes,
    },
    /// News from the relay.
    Relay(relay::Event),
    /// What DNS says.
    Resolved(Question, Reply),
    /// The machine has these addresses now where an interface, by its place in the file, may stand:
    /// what it follows has them.
    Addresses {
        /// The interface.
        interface: usize,
        /// The best first; none: it has no address.
        own: Vec<Own>,
    },
    /// Who is asked for names has changed: all are asked for anew.
    ResolverChanged,
    /// Time passed; due timers fire. Every other input fires them too.
    Timeout,
    /// A new configuration; calls under way keep the verdict they have.
    Reload(Arc<Snapshot>),
    /// What was kept over a restart.
    Restore(Vec<Entry>),
    /// Admit no new calls; those under way go on.
    Drain,
    /// End every call now (second SIGTERM, or drain time over).
    HangUpAll,
    /// End one call by its number (as in records).
    HangUp(CallNo),
    /// Somebody is about to look at this call: the relay is asked for figures of this moment.
    Measure(CallNo),
    /// Somebody keeps answered calls from now on, or no longer: they become effects
    /// ([`super::Entry::Call`]) as they begin and change.
    KeepCalls(bool),
    /// The audit log takes no records, and the configuration says that calls then wait.
    AuditFull(bool),
    /// How a tunnel's way is now.
    Tunnel(TunnelPath),
    /// Ends the ban of this source and forgives it; `None`: all bans.
    LiftBans(Option<std::net::IpAddr>),
    /// A relay port is busy. Where no stream of ours has it, another process does, and it is
    /// never lent.
    ExcludePort(std::net::SocketAddr),
}
