//! What the engine wants done. Deciding is over when an output exists; `daemon::act` only does.
use super::StoredBinding;
use crate::audit::Record;
use crate::ground::{Flow, Mono, Side};
use crate::relay;
use crate::relay::quality::Figures;
use bytes::Bytes;
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
    },
    /// Close this stream connection after what is queued was sent.
    CloseConnection(crate::ground::ConnId),
    /// For the relay; to be done before the next `Transmit`.
    Relay(relay::Command),
    /// Append to the audit log.
    Record(Record),
    /// Store (insert or replace by `key`) a binding in the state folder.
    StoreBinding(StoredBinding),
    /// Forget a stored binding.
    RemoveBinding {
        /// `StoredBinding::key`.
        key: String,
    },
    /// The session table for readers (page, metrics): a call appeared or changed.
    CallChanged(CallView),
    /// … and is gone.
    CallGone(u64),
    /// A measured value, for a histogram.
    Observe(Observation),
    /// A line for the log (already free of secrets), with what to do about it.
    Notice {
        /// Severity.
        level: Level,
        /// One sentence.
        text: String,
    },
    /// Nothing to do before this time (`None`: only on input). Ends every drain.
    Timeout(Option<Mono>),
}

/// One measured value. `direction` is an index of `stats::DIRECTIONS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    /// INVITE → first 18x, or the 2xx where none came.
    PostDialDelay {
        /// Of the call.
        direction: usize,
        /// RFC 6076 §4.3.1.
        delay: Duration,
    },
    /// Answer → end.
    CallDuration {
        /// Of the call.
        direction: usize,
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

/// A call as others may see it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct CallView {
    /// The gateway's call number.
    pub call: u64,
    /// Caller as judged.
    pub from: String,
    /// Callee as judged.
    pub to: String,
    /// `early`, `confirmed`, `held`.
    pub state: &'static str,
    /// `outbound inbound internal`.
    pub direction: &'static str,
    /// Wall seconds of the INVITE.
    pub since: u64,
}
