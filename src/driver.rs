//! Everything that touches the kernel. It decides nothing: it carries out what the layers left of
//! the seam decided, and hands them what came in.

pub mod audit_log;
pub mod clock;
pub mod control_socket;
pub mod folder;
pub mod holders;
pub mod inlet;
pub mod interfaces;
pub mod log_lines;
pub mod media_socket;
pub mod reach;
mod recvmsg;
pub mod relay_worker;
pub mod resolver;
pub mod sandbox;
pub mod scribe;
pub mod service;
pub mod state;
pub mod stream;
pub mod tls;
pub mod tunnel;
pub mod udp;
pub mod whereabouts;
pub mod zone;

use crate::config::Own;
use crate::engine::names::{Question, Reply};
use crate::ground::{ConnId, Flow, Subject};
use crate::wire::sip::Refusal;
use bytes::Bytes;
use inlet::Place;

/// What the sockets hand to the event loop.
#[derive(Debug)]
pub enum Arrival {
    /// A datagram or a framed message.
    Message {
        /// The way it came.
        flow: Flow,
        /// Its bytes.
        bytes: Bytes,
        /// What it holds of the way here.
        place: Place,
    },
    /// A stream broke the rules; its connection closes by itself.
    Refused {
        /// The connection.
        flow: Flow,
        /// Why.
        refusal: Refusal,
    },
    /// A connection is gone.
    Closed(ConnId),
    /// A connection that we opened ended, and not because we closed it; `Closed` follows.
    Broken(Flow),
    /// A stream connection that we opened was suspect, and another that leads there answers.
    Replaced(Flow),
    /// A connection could not be made.
    Failed(Flow),
    /// Nobody proved himself at the other end of one by TLS.
    Unproved {
        /// The way.
        flow: Flow,
        /// Why, in words.
        why: String,
    },
    /// Who opened a connection by TLS has proved to be one of these.
    Secured {
        /// The connection.
        flow: Flow,
        /// Names of his certificate.
        names: Vec<Subject>,
    },
    /// Who opened a connection by TLS shows a certificate that proves nothing, and is let in as if
    /// he had none.
    Unnamed {
        /// The connection.
        flow: Flow,
        /// Why, in words.
        why: String,
    },
    /// Who is at the other end of a connection by TLS is believed no longer. Nobody finds it any
    /// more, and it stays open until it is closed.
    Disproved {
        /// The connection.
        flow: Flow,
        /// Why, in words.
        why: String,
        /// Nothing that has begun there may go on.
        at_once: bool,
    },
    /// A datagram was not delivered: somebody on the way says so, and quotes it.
    Undelivered {
        /// The way it was sent.
        flow: Flow,
        /// Its first octets.
        quoted: Bytes,
    },
    /// What DNS says.
    Resolved(Question, Reply),
    /// Who is asked for names has changed.
    ResolverChanged,
    /// An interface may stand there.
    Addresses {
        /// Its place in the file.
        interface: usize,
        /// What it may have; the best first.
        own: Vec<Own>,
    },
}
