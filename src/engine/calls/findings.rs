//! What is wrong with a call, in one plain sentence with its evidence: log, audit and metric say
//! the same. A closed set; each finding once a call. It judges what others measured and changes
//! nothing.

use super::{Call, Calls};
use crate::audit::{Finding, Record};
use crate::config::Addresses;
use crate::engine::outbox::Outbox;
use crate::engine::output::Level;
use crate::engine::world::World;
use crate::ground::{CallNo, Leg, Side};
use std::net::IpAddr;
use std::time::Duration;

/// Audio that begins this long after the answer is late: people have said "hello?" twice.
pub(super) const LATE: Duration = Duration::from_secs(2);
/// Calls answered for less than this are not judged for missing audio.
pub(super) const SHORT: Duration = Duration::from_secs(5);
/// RTP packets that show that a party talks (5 s of 20 ms speech).
pub(super) const TALKS: u64 = 250;
/// Windows of 10 s without a packet after which a party that talked has gone silent.
pub(super) const SILENT_WINDOWS: u8 = 2;
/// Packets of a wrong payload type that are no accident.
pub(super) const MISMATCHED: u64 = 10;

/// Its place in a set of bits.
pub(super) fn bit(finding: Finding) -> u16 {
    1 << (finding as u16)
}

/// The party of a leg in words.
pub(super) fn party(leg: Leg, side: Side) -> String {
    format!("the {leg} ({side})")
}

impl Calls {
    /// Tells a finding, once a call.
    pub(super) fn find(
        &mut self,
        out: &mut Outbox,
        call: CallNo,
        finding: Finding,
        evidence: &str,
    ) {
        if !self.media.is_new_finding(call, finding) {
            return;
        }
        out.stats_mut().findings[finding as usize] += 1;
        let known = self.table.get(call);
        let there = known.or_else(|| self.ended.get(call));
        let blame = there.map(|c| self.blame(c, finding)).unwrap_or_default();
        let evidence = format!("{evidence}{blame}");
        let text = format!("call {call}: {finding}: {evidence}");
        match known.and_then(Call::phone) {
            Some(by) => out.notice_of(by, Level::Warn, text),
            None => out.notice(Level::Warn, text),
        }
        let call_id = known.map(|c| c.caller.call_id.clone()).unwrap_or_default();
        out.record(Record::Finding { call, call_id, finding, evidence });
    }

    /// How many calls have media at one of these addresses of ours.
    pub(crate) fn standing_at(&self, at: &[IpAddr]) -> usize {
        self.media.standing_at(at).len()
    }

    /// An interface stands there, and no longer at these addresses: calls that have media at one
    /// of them are told of. `own`: what the machine has where interfaces may stand.
    pub(crate) fn moved(
        &mut self,
        w: &World,
        out: &mut Outbox,
        (interface, left): (usize, &[IpAddr]),
        (at, own): (&Addresses, &[IpAddr]),
    ) {
        let kept = left.iter().all(|ip| own.contains(ip));
        for (call, was) in self.media.standing_at(left) {
            let evidence = evidence(w, was, at, kept);
            self.find(out, call, Finding::AddressChanged, &evidence);
        }
        self.media.moved(interface, left, (at, w.number()));
    }

    /// The 2xx has waited 64 × T1 for its ACK, or the call ended without one.
    pub(super) fn judge_ack(&mut self, out: &mut Outbox, call: CallNo) {
        let Some(c) = self.table.get(call).filter(|c| !c.acknowledged) else { return };
        let who = c.caller.flow.peer;
        let evidence = match &c.refused_ack {
            Some(why) => format!("an ACK came and was refused: {why}"),
            None => format!(
                "the caller at {who} never sent an ACK: it does not receive the 200, or sends its \
                 ACK past us; look for a NAT or a SIP ALG between it and us"
            ),
        };
        self.find(out, call, Finding::AckMissing, &evidence);
    }
}

/// What has become of a call whose party was told an address that we left; `kept`: the machine has
/// it still.
fn evidence(w: &World, was: IpAddr, at: &Addresses, kept: bool) -> String {
    let all: Vec<String> = at.iter().map(|a| a.advertised().to_string()).collect();
    let now = if all.is_empty() {
        "there is none".to_owned()
    } else {
        format!("it is {}", all.join(", "))
    };
    let begin = format!("our outside address was {was} and changed during the call, now {now}");
    if kept {
        return format!(
            "{begin}: audio that is sent there arrives as long as this machine has it, requests do \
             not"
        );
    }
    let idle = match w.config().media.idle {
        Some(idle) => format!("after {} s without any audio it ends", idle.as_secs()),
        None => "nothing ends it but its parties".to_owned(),
    };
    format!("{begin}: audio that is sent there does not arrive; {idle}")
}
