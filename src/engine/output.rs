//! What the engine wants done. Deciding is over when an output exists; `daemon::act` only does.
use super::entry::{Entry, Key, StoredBinding};
use super::names::Question;
use crate::audit::Record;
use crate::config::{Addresses, Host};
use crate::ground::{CallDirection, CallNo, Flow, ListenerId, Moment, Mono, Side, words};
use crate::policy::quota::{Holder, Source};
use crate::relay;
use crate::relay::quality::Figures;
use bytes::Bytes;
use std::net::SocketAddr;
use std::time::Duration;

/// One effect.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send these bytes by this flow.
    Transmit {
        /// The way.
        flow: Flow,
        /// The message.
        bytes: Bytes,
        /// What a stream connection is that has to be opened for it; `None`: none has.
        opens: Option<Opens>,
    },
    /// Close this stream connection after what is queued was sent.
    CloseConnection(crate::ground::ConnId),
    /// Whoever this stream leads to has not answered: close the connection if nothing comes by it,
    /// so that the next request opens another.
    CloseSilent(Flow),
    /// Nothing comes from whoever this stream leads to: what goes there from now on goes by a new
    /// connection, and the one that is there is closed when something comes by that.
    Suspect(Flow),
    /// A registered phone or an upstream speaks by this stream connection: it gives way to nobody.
    KeepConnection(crate::ground::ConnId, Holder),
    /// Nobody of this source is let in from outside by a stream for so long, unless he is known; no
    /// time: he may come again.
    Bar {
        /// Who.
        source: Source,
        /// Where, and before a handshake of TLS only; `None`: anywhere.
        at: Option<ListenerId>,
        /// From now on.
        lasts: Duration,
    },
    /// An interface, by its place in the file, stands there from now on: its sockets are opened at
    /// the new addresses, those at old ones are closed with their connections. To be done before
    /// the next `Transmit`; one by a socket that is not there has failed
    /// ([`super::Input::TransportFailed`]).
    Stand {
        /// The interface.
        interface: usize,
        /// Where it stands.
        addresses: Addresses,
    },
    /// Interfaces that follow something are about to stand elsewhere: what they may have is to be
    /// looked at now, and told ([`super::Input::Addresses`]), whether it has changed or not.
    Look,
    /// For the relay; to be done before the next `Transmit`.
    Relay(relay::Command),
    /// Append to the audit log.
    Record(Record),
    /// Keep this, in place of what is kept under its key.
    Store(Entry),
    /// Keep it no longer.
    Forget(Key),
    /// Who was banned or suspect is forgiven: the answer to [`super::Input::LiftBans`].
    Lifted(Lifted),
    /// The session table for readers (page, metrics): a call appeared or changed.
    CallChanged(CallView),
    /// … and is gone.
    CallGone(CallNo),
    /// What is of which call, for who traces calls (`limits.trace`).
    Belongs(Belongs),
    /// The same table: whether a phone can be reached is not what it was; what is kept of it is.
    BindingChanged(StoredBinding),
    /// Ask DNS, beside all else; the reply is an input.
    Resolve(Question),
    /// A measured value, for a histogram.
    Observe(Observation),
    /// A line for the log (already free of secrets), with what to do about it.
    Notice {
        /// Severity.
        level: Level,
        /// One sentence.
        text: String,
        /// Who caused it by what he sent: of one sender only so many are written. `None`: nobody.
        by: Option<SocketAddr>,
    },
    /// Nothing to do before this time (`None`: only on input). Ends every drain.
    Timeout(Option<Mono>),
}

/// What is of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Belongs {
    /// Messages of this Call-ID on a side.
    Leg {
        /// The call.
        call: CallNo,
        /// Of the leg.
        side: Side,
        /// As it stands in messages there.
        call_id: String,
    },
    /// A stream of the relay's.
    Stream {
        /// The call.
        call: CallNo,
        /// The stream.
        stream: relay::StreamId,
    },
}

/// A stream connection that we open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opens {
    /// Whose place it takes.
    pub holder: Holder,
    /// By TLS: the upstream (its name in the file) that has to prove itself at its other end.
    /// `None`: nobody is known who could, so that no TLS connection may be opened.
    pub upstream: Option<String>,
    /// The host of which its certificate has to be, where the file writes several targets: that of
    /// the one which leads there. `None`: nobody knows, the first.
    pub host: Option<Host>,
}

/// What the lifting of bans came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lifted {
    /// Bans that ended.
    pub bans: usize,
    /// Sources that were not banned, but had points or a pause.
    pub forgiven: usize,
}

/// One measured value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    /// INVITE → first 18x, or the 2xx where none came.
    PostDialDelay {
        /// Of the call.
        direction: CallDirection,
        /// RFC 6076 §4.3.1.
        delay: Duration,
    },
    /// Answer → end.
    CallDuration {
        /// Of the call.
        direction: CallDirection,
        /// RFC 6076 §4.5.
        duration: Duration,
    },
    /// A party's BYE → its final answer (RFC 6076 §4.4).
    DisconnectDelay(Duration),
    /// REGISTER → the 2xx (RFC 6076 §4.1).
    RegistrationDelay(Duration),
    /// 10 s of RTP from a side.
    Media {
        /// Where it came from.
        side: Side,
        /// What was measured.
        window: Box<Figures>,
    },
}

/// Severity of a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "log words")]
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

words! {
    /// How far a call is.
    pub enum CallState {
        /// Not answered yet.
        Early = "early",
        /// Answered.
        Confirmed = "confirmed",
        /// Answered, and a party is on hold.
        Held = "held",
        /// Over; it is shown of calls that are kept for readers, never by the engine.
        Ended = "ended",
    }
}

/// A call as others may see it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct CallView {
    /// The gateway's call number.
    pub call: CallNo,
    /// Caller as judged.
    pub from: String,
    /// Callee as judged.
    pub to: String,
    /// How far it is.
    pub state: CallState,
    /// Which way it goes.
    pub direction: CallDirection,
    /// Wall seconds of the INVITE.
    pub since: u64,
    /// When the INVITE came.
    #[serde(skip)]
    pub started: Moment,
    /// When it was answered; `None`: not yet.
    #[serde(skip)]
    pub answered: Option<Moment>,
}
