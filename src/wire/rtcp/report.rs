//! What participants report of a stream: sender reports, reception report blocks, goodbyes (read by
//! rtcp-types), VoIP metrics. Read only; other kinds, and what does not fit, are passed over.

use super::packets;
use super::xr::{self, VoipMetrics};
use rtcp_types::prelude::*;
use rtcp_types::{Bye, ReceiverReport, SenderReport};

/// The sender's part of a sender report (RFC 3550 §6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderInfo {
    /// Who reports.
    pub ssrc: u32,
    /// NTP time, 32.32 fixed point.
    pub ntp: u64,
    /// The same instant in media time.
    pub timestamp: u32,
    /// Packets sent since the beginning.
    pub packets: u32,
    /// Payload octets of those.
    pub octets: u32,
}

/// What one participant received of a source (RFC 3550 §6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportBlock {
    /// Who reports.
    pub reporter: u32,
    /// Of which source.
    pub ssrc: u32,
    /// Lost since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Lost since the beginning; duplicates can make it negative.
    pub lost: i32,
    /// Highest sequence number, with its cycles in the upper half.
    pub highest: u32,
    /// Interarrival jitter, in units of media time.
    pub jitter: u32,
    /// Middle 32 bits of the last sender report's NTP time; 0: none yet.
    pub last_sender_report: u32,
    /// Time since then, in 1/65536 s.
    pub delay: u32,
}

/// One thing reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// What a source sent.
    Sent(SenderInfo),
    /// What a participant received of it.
    Received(ReportBlock),
    /// What a phone says of the speech it hears (RFC 3611 §4.7).
    Voip(VoipMetrics),
    /// A source leaves.
    Bye(u32),
}

/// Hands every report of a compound packet to `each`, in order. Allocates nothing.
pub fn reports(compound: &[u8], mut each: impl FnMut(Report)) {
    for packet in packets(compound) {
        // The second octet is the type; `packets` saw it.
        match packet.get(1).copied() {
            Some(SenderReport::PACKET_TYPE) => {
                let Ok(report) = SenderReport::parse(packet) else { continue };
                each(Report::Sent(SenderInfo {
                    ssrc: report.ssrc(),
                    ntp: report.ntp_timestamp(),
                    timestamp: report.rtp_timestamp(),
                    packets: report.packet_count(),
                    octets: report.octet_count(),
                }));
                let reporter = report.ssrc();
                report.report_blocks().for_each(|b| each(received(reporter, &b)));
            }
            Some(ReceiverReport::PACKET_TYPE) => {
                let Ok(report) = ReceiverReport::parse(packet) else { continue };
                let reporter = report.ssrc();
                report.report_blocks().for_each(|b| each(received(reporter, &b)));
            }
            Some(Bye::PACKET_TYPE) => {
                let Ok(bye) = Bye::parse(packet) else { continue };
                bye.ssrcs().for_each(|ssrc| each(Report::Bye(ssrc)));
            }
            Some(xr::PACKET_TYPE) => xr::voip_metrics(packet, |m| each(Report::Voip(m))),
            Some(_) | None => {}
        }
    }
}

fn received(reporter: u32, block: &rtcp_types::ReportBlock<'_>) -> Report {
    // 24 bits with a sign.
    let lost = (block.cumulative_lost() << 8).cast_signed() >> 8;
    Report::Received(ReportBlock {
        reporter,
        ssrc: block.ssrc(),
        fraction_lost: block.fraction_lost(),
        lost,
        highest: block.extended_sequence_number(),
        jitter: block.interarrival_jitter(),
        last_sender_report: block.last_sender_report_timestamp(),
        delay: block.delay_since_last_sender_report_timestamp(),
    })
}
