//! Why a message was refused: at once the answer's code, the metric's label and the record's field.
use super::{Message, Method, Name};
use std::borrow::Cow;

/// The closed set behind `sip_rejected_messages_total{reason}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "labels")]
pub enum RejectReason {
    Malformed,
    TooLarge,
    Framing,
    DuplicateHeader,
    TooManyHops,
    Loop,
    Method,
    Body,
    NoDialog,
    StrayResponse,
    Source,
    Version,
    Scheme,
    Extension,
    Media,
    /// Its next hop names a transport that is not spoken there.
    Transport,
}

impl RejectReason {
    /// Every reason, in metric order.
    pub const ALL: [Self; 16] = [
        Self::Malformed,
        Self::TooLarge,
        Self::Framing,
        Self::DuplicateHeader,
        Self::TooManyHops,
        Self::Loop,
        Self::Method,
        Self::Body,
        Self::NoDialog,
        Self::StrayResponse,
        Self::Source,
        Self::Version,
        Self::Scheme,
        Self::Extension,
        Self::Media,
        Self::Transport,
    ];
    /// Metric label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::Framing => "framing",
            Self::DuplicateHeader => "duplicate_header",
            Self::TooManyHops => "too_many_hops",
            Self::Loop => "loop",
            Self::Method => "method",
            Self::Body => "body",
            Self::NoDialog => "no_dialog",
            Self::StrayResponse => "stray_response",
            Self::Source => "source",
            Self::Version => "version",
            Self::Scheme => "scheme",
            Self::Extension => "extension",
            Self::Media => "media",
            Self::Transport => "transport",
        }
    }
}

/// A message that was not accepted.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// Metric label and audit field.
    pub reason: RejectReason,
    /// Status to answer with (400, 413, 414, 505, 513 …).
    pub status: u16,
    /// Reason phrase; names the header at fault.
    pub phrase: Cow<'static, str>,
    /// What is needed to answer: a request holding only Via, From, To, Call-ID, CSeq as far as they
    /// were readable and safe to echo. `None`: not a request, an ACK, or nothing to answer to.
    pub answerable: Option<Box<Message>>,
    /// What can be read of a response, where that is enough to know what it answers.
    pub answer: Option<Box<Torn>>,
}

/// A response that is not accepted, as far as it could be read: who asked is told that it came.
#[derive(Clone, Debug)]
pub struct Torn {
    /// Its status.
    pub status: u16,
    /// Branch of its top Via.
    pub branch: String,
    /// The method of its CSeq.
    pub method: Option<Method>,
    /// Its To, Contact and Record-Route values, where each of that name can be read.
    pub rows: Vec<(Name, Vec<u8>)>,
}

/// What goes wrong, before it is known whether it can be answered.
pub(super) struct Fault {
    pub(super) reason: RejectReason,
    pub(super) status: u16,
    pub(super) phrase: Cow<'static, str>,
}

impl Fault {
    /// Nobody to answer.
    pub(super) fn unanswerable(self) -> Refusal {
        let Self { reason, status, phrase } = self;
        Refusal { reason, status, phrase, answerable: None, answer: None }
    }
}

/// Broken grammar: 400 with a phrase that names the header.
pub(super) fn bad(phrase: impl Into<Cow<'static, str>>) -> Fault {
    Fault { reason: RejectReason::Malformed, status: 400, phrase: phrase.into() }
}
