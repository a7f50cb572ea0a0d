//! What is wrong with a call, in one plain sentence with its evidence: log, audit and metric say
//! the same. A closed set; each finding once a call. It judges what others measured and changes
//! nothing.

use super::{Engine, Level};
use crate::audit::Record;
use crate::ground::Side;
use crate::relay::Leg;
use std::time::Duration;

/// The closed set behind `call_findings_total{finding}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Finding {
    /// One party's audio never came, the other's did.
    OneWayAudio,
    /// No audio came from either party.
    NoAudio,
    /// A party's audio came late after the answer.
    LateAudio,
    /// Packets hold a payload type that their receiver did not accept.
    CodecMismatch,
    /// A party's audio came and stopped, the other's goes on.
    FarEndSilent,
    /// Audio comes from another port than the SDP named, and is dropped.
    SourcePort,
    /// The call was ended because no media came for `media.idle`.
    MediaTimeout,
    /// The 2xx was never acknowledged.
    AckMissing,
    /// A party outside names a private address for its media.
    PrivateAddress,
}

impl Finding {
    /// Every finding, in metric order.
    pub const ALL: [Self; 9] = [
        Self::OneWayAudio,
        Self::NoAudio,
        Self::LateAudio,
        Self::CodecMismatch,
        Self::FarEndSilent,
        Self::SourcePort,
        Self::MediaTimeout,
        Self::AckMissing,
        Self::PrivateAddress,
    ];

    /// Their words, in the same order.
    pub const NAMES: [&'static str; 9] = [
        "one_way_audio",
        "no_audio",
        "late_audio",
        "codec_mismatch",
        "far_end_silent",
        "source_port",
        "media_timeout",
        "ack_missing",
        "private_address",
    ];

    /// Metric label and audit word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// Its place in a set of bits.
    pub(crate) fn bit(self) -> u16 {
        1 << (self as u16)
    }
}

/// Audio that begins this long after the answer is late: people have said "hello?" twice.
pub(crate) const LATE: Duration = Duration::from_secs(2);
/// Calls answered for less than this are not judged for missing audio.
pub(crate) const SHORT: Duration = Duration::from_secs(5);
/// RTP packets that show that a party talks (5 s of 20 ms speech).
pub(crate) const TALKS: u64 = 250;
/// Windows of 10 s without a packet after which a party that talked has gone silent.
pub(crate) const SILENT_WINDOWS: u8 = 2;
/// Packets of a wrong payload type that are no accident.
pub(crate) const MISMATCHED: u64 = 10;

/// The party of a leg in words.
pub(crate) fn party(leg: Leg, side: Side) -> String {
    let who = match leg {
        Leg::Caller => "caller",
        Leg::Callee => "callee",
    };
    format!("the {who} ({side})")
}

impl Engine {
    /// Tells a finding, once a call.
    pub(crate) fn find(&mut self, call: u64, finding: Finding, evidence: &str) {
        if !self.media.is_new_finding(call, finding) {
            return;
        }
        if let Some(n) = self.stats.findings.get_mut(finding as usize) {
            *n += 1;
        }
        let name = finding.as_str();
        self.notice(Level::Warn, format!("call {call}: {name}: {evidence}"));
        let call_id = self.dialogs.get(call).map(|c| c.caller.call_id.clone()).unwrap_or_default();
        let evidence = evidence.to_owned();
        self.record(Record::Finding { call, call_id, finding: name, evidence });
    }

    /// The 2xx has waited 64 × T1 for its ACK, or the call ended without one.
    pub(crate) fn judge_ack(&mut self, call: u64) {
        let Some(c) = self.dialogs.get(call).filter(|c| !c.acknowledged) else { return };
        let who = c.caller.flow.peer;
        let evidence = match &c.refused_ack {
            Some(why) => format!("an ACK came and was refused: {why}"),
            None => format!(
                "the caller at {who} never sent an ACK: it does not receive the 200, or sends its \
                 ACK past us; look for a NAT or a SIP ALG between it and us"
            ),
        };
        self.find(call, Finding::AckMissing, &evidence);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_findings_stand_in_one_order() {
        for (i, f) in Finding::ALL.into_iter().enumerate() {
            assert_eq!(f as usize, i);
            assert_eq!(f.as_str(), Finding::NAMES[i]);
        }
    }
}
