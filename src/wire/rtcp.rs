//! RTCP (RFC 3550 §6): told from RTP, read for its reports, and one edit in place: an SDES item
//! that names an inside address (by custom the CNAME) is overwritten at equal length. Nothing else
//! is ever changed, and nothing is allocated: it runs for each packet.

mod report;
mod xr;

pub use report::{Report, ReportBlock, SenderInfo, reports};
pub use xr::VoipMetrics;

use super::addresses::find_addresses;
use sha2::{Digest, Sha256};
use std::net::IpAddr;

/// Source descriptions (RFC 3550 §6.5).
const SDES: u8 = 202;
/// The item that ends a chunk.
const END: u8 = 0;
/// A private item: its first octet is a length, not text.
const PRIV: u8 = 8;

/// Whether a datagram begins with a whole RTCP packet: version 2, a known type, a length that fits.
/// What follows is not judged: in SRTCP (RFC 3711 §3.4) it is encrypted and ends in an index and a
/// tag that are no packet.
#[must_use]
pub fn is_rtcp(packet: &[u8]) -> bool {
    packets(packet).next().is_some()
}

/// Octets of the first packet; `None`: no RTCP header.
fn length(packet: &[u8]) -> Option<usize> {
    let (first, kind) = (*packet.first()?, *packet.get(1)?);
    if first >> 6 != 2 || !(192..=223).contains(&kind) {
        return None;
    }
    let words = u16::from_be_bytes([*packet.get(2)?, *packet.get(3)?]);
    Some((usize::from(words) + 1) * 4)
}

/// The packets of a compound one by one, each whole. It ends at the first that does not fit.
fn packets(compound: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = compound;
    std::iter::from_fn(move || {
        let (packet, after) = rest.split_at_checked(length(rest)?)?;
        rest = after;
        Some(packet)
    })
}

/// Overwrites every SDES text that names an address for which `inside` says so, by characters
/// derived from `key` and the old text: stable for a participant, opaque to others, and never an
/// address themselves. True: something changed.
pub fn overwrite_cname(packet: &mut [u8], key: &[u8; 32], inside: impl Fn(IpAddr) -> bool) -> bool {
    let mut changed = false;
    let mut at = 0;
    while let Some(len) = packet.get(at..).and_then(length) {
        let Some(sub) = packet.get_mut(at..at + len) else { break };
        if sub.get(1) == Some(&SDES) {
            let chunks = sub.first().map_or(0, |b| b & 0x1f);
            changed |= chunks_of(sub, chunks, key, &inside);
        }
        at += len;
    }
    changed
}

/// Walks the chunks of one SDES packet; stops where an item does not fit.
fn chunks_of(
    sdes: &mut [u8],
    chunks: u8,
    key: &[u8; 32],
    inside: &impl Fn(IpAddr) -> bool,
) -> bool {
    let mut changed = false;
    let mut at = 4;
    for _ in 0..chunks {
        at += 4;
        while let Some(&kind) = sdes.get(at) {
            if kind == END {
                // The chunk ends here, padded to a word.
                at = (at / 4 + 1) * 4;
                break;
            }
            let Some(&len) = sdes.get(at + 1) else { return changed };
            let range = at + 2..at + 2 + usize::from(len);
            let Some(text) = sdes.get_mut(range.clone()) else { return changed };
            let text = if kind == PRIV { text.get_mut(1..).unwrap_or_default() } else { text };
            if find_addresses(text).any(|(_, ip)| inside(ip)) {
                overwrite(text, key);
                changed = true;
            }
            at = range.end;
        }
    }
    changed
}

fn overwrite(text: &mut [u8], key: &[u8; 32]) {
    let mut h = Sha256::new();
    h.update(key);
    h.update(&*text);
    let digest: [u8; 32] = h.finalize().into();
    for (i, b) in text.iter_mut().enumerate() {
        let half = digest.get((i / 2) % 32).copied().unwrap_or_default() >> (4 * (i % 2)) & 0xf;
        *b = b"ghijklmnopqrstuv".get(usize::from(half)).copied().unwrap_or(b'x');
    }
}

#[cfg(test)]
mod tests;
