//! The closed sets that records speak: each value has one word, which is the metric's label, too.
//! They are chosen left of the seam and read by everybody.

use crate::ground::words;

words! {
    /// How a call attempt ended.
    pub enum Outcome {
        /// A 2xx reached the caller.
        Answered = "answered",
        /// 486, 600.
        Busy = "busy",
        /// 480.
        NoAnswer = "no_answer",
        /// 603.
        Declined = "declined",
        /// 487.
        Cancelled = "cancelled",
        /// 3xx.
        Redirected = "redirected",
        /// Taken back by us, and led another way as an attempt of its own.
        Rerouted = "rerouted",
        /// 404, 410, 484, 604, or nobody is registered.
        NotFound = "not_found",
        /// By a rule.
        Denied = "denied",
        /// Another 4xx.
        Rejected = "rejected",
        /// 5xx, or by us.
        Failed = "failed",
        /// 408, or nobody answered the INVITE.
        Timeout = "timeout",
        /// A cap was reached, or no relay port was free.
        NoCapacity = "no_capacity",
    }
}

impl Outcome {
    /// What a final status of an INVITE means.
    #[must_use]
    pub fn of_status(status: u16) -> Self {
        match status {
            200..=299 => Self::Answered,
            300..=399 => Self::Redirected,
            404 | 410 | 484 | 604 => Self::NotFound,
            408 => Self::Timeout,
            480 => Self::NoAnswer,
            486 | 600 => Self::Busy,
            487 => Self::Cancelled,
            603 => Self::Declined,
            400..=499 | 606 => Self::Rejected,
            _ => Self::Failed,
        }
    }
}

words! {
    /// Why an answered call ended.
    pub enum EndedBy {
        /// The caller's BYE.
        Caller = "caller",
        /// The callee's BYE.
        Callee = "callee",
        /// No media came for `media.idle`.
        MediaTimeout = "media_timeout",
        /// A timer of the dialog.
        Timeout = "timeout",
        /// An operator.
        Admin = "admin",
        /// The gateway stops.
        Shutdown = "shutdown",
        /// Something failed.
        Error = "error",
        /// It gave way: its source held more than its share, and others needed the room.
        Displaced = "displaced",
    }
}

words! {
    /// What a security record is about. The last are sums.
    pub enum SecurityClass {
        /// Digest credentials were wrong.
        BadPassword = "bad_password",
        /// From names another user than the one who is proved.
        FalseFrom = "false_from",
        /// A request within a dialog came from no party of it.
        InDialogSource = "in_dialog_source",
        /// A header named an inside address and was removed.
        LeakRemoved = "leak_removed",
        /// A message could not be read.
        Malformed = "malformed",
        /// A session description, or another body, could not be let through.
        MediaRefused = "media_refused",
        /// Media came from a source that nobody named.
        MediaStranger = "media_stranger",
        /// Another asked for credentials of our realm.
        ChallengeRefused = "challenge_refused",
        /// A source is banned, or no more.
        Banned = "banned",
        /// Passwords failed so often that none is compared for a while.
        BackOff = "back_off",
        /// Calls, and references to somebody to call, that were denied.
        DeniedCalls = "denied_calls",
        /// Other requests that were denied.
        DeniedRequests = "denied_requests",
        /// Registrations that were refused.
        RefusedRegistrations = "refused_registrations",
        /// No room was left, or a share was used up; or what held it gave way.
        NoRoom = "no_room",
        /// Records of one source beyond its share of the log.
        AuditShare = "audit_share",
        /// At the way of a tunnel a key was shown that is no peer's.
        UnknownKey = "unknown_key",
    }
}

words! {
    /// What became of a tunnel.
    pub enum TunnelEvent {
        /// There is a connection.
        Up = "up",
        /// It is carried by another bearer, or goes on by another address.
        Moved = "moved",
        /// There is no connection any more.
        Down = "down",
        /// The key of its other end was taken back.
        Revoked = "revoked",
    }
}

words! {
    /// What became of a binding.
    pub enum BindingEvent {
        /// Made or refreshed.
        Accepted = "accepted",
        /// Taken off by its phone.
        Removed = "removed",
        /// Not made.
        Refused = "refused",
        /// Not refreshed in time.
        Expired = "expired",
        /// It gave way: nobody had proved it, and others needed the room.
        Displaced = "displaced",
        /// It gave way to a newer one of its user, beyond his cap.
        Replaced = "replaced",
    }
}

words! {
    /// What policy decided.
    pub enum Ruling {
        /// Let pass.
        Allow = "allow",
        /// Answered with a refusal.
        Deny = "deny",
        /// Not answered.
        Drop = "drop",
    }
}

words! {
    /// What is wrong with a call: the closed set behind `call_findings_total{finding}`.
    pub enum Finding {
        /// One party's audio never came, the other's did.
        OneWayAudio = "one_way_audio",
        /// No audio came from either party.
        NoAudio = "no_audio",
        /// A party's audio came late after the answer.
        LateAudio = "late_audio",
        /// Packets hold a payload type that their receiver did not accept.
        CodecMismatch = "codec_mismatch",
        /// A party's audio came and stopped, the other's goes on.
        FarEndSilent = "far_end_silent",
        /// Audio comes from another port than the SDP named, and is dropped.
        SourcePort = "source_port",
        /// The call was ended because no media came for `media.idle`.
        MediaTimeout = "media_timeout",
        /// The 2xx was never acknowledged.
        AckMissing = "ack_missing",
        /// A party outside names a private address for its media.
        PrivateAddress = "private_address",
        /// Our outside address changed during the call.
        AddressChanged = "address_changed",
    }
}

words! {
    /// How a party asks another to call somebody.
    pub enum Asked {
        /// By the Refer-To of a REFER.
        Refer = "refer",
        /// By the Contact of a redirect.
        Redirect = "redirect",
    }
}
