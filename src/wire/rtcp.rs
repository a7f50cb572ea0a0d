//! RTCP (RFC 3550 §6): told from RTP, read for its reports, and one edit in place: what names an
//! inside address or host in source descriptions (by custom the CNAME), in the reason of a BYE or
//! in an APP packet is overwritten at equal length. Nothing else is ever changed, and nothing is
//! allocated: it runs for each packet.

mod report;
mod xr;

pub use report::{Report, ReportBlock, SenderInfo, reports};
pub use xr::VoipMetrics;

use super::addresses::{find_names, find_written};
use sha2::{Digest, Sha256};
use std::net::IpAddr;
use std::ops::Range;

/// Source descriptions (RFC 3550 §6.5).
const SDES: u8 = 202;
/// Goodbye (§6.6).
const BYE: u8 = 203;
/// Application-defined (§6.7).
const APP: u8 = 204;
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

/// Overwrites every text that names an address for which `inside` says so, or a host of one of
/// `domains`: SDES items and BYE reasons whole, by characters derived from `key` and the old text
/// (stable for a participant, opaque to others, never an address themselves); of an APP packet what
/// names it. True: something changed.
pub fn overwrite_names(
    packet: &mut [u8],
    key: &[u8; 32],
    domains: &[String],
    inside: impl Fn(IpAddr) -> bool,
) -> bool {
    let told = |text: &[u8]| {
        let address = find_written(text).find(|(_, ip)| inside(*ip)).map(|(range, _)| range);
        address.or_else(|| find_names(text, domains).next())
    };
    let mut changed = false;
    let mut at = 0;
    while let Some(len) = packet.get(at..).and_then(length) {
        let Some(sub) = packet.get_mut(at..at + len) else { break };
        let count = sub.first().map_or(0, |b| b & 0x1f);
        changed |= match sub.get(1) {
            Some(&SDES) => chunks_of(sub, count, key, &told),
            Some(&BYE) => reason_of(sub, count, key, &told),
            Some(&APP) => content_of(sub, key, &told),
            Some(_) | None => false,
        };
        at += len;
    }
    changed
}

/// Walks the chunks of one SDES packet; stops where an item does not fit.
fn chunks_of(
    sdes: &mut [u8],
    chunks: u8,
    key: &[u8; 32],
    told: &impl Fn(&[u8]) -> Option<Range<usize>>,
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
            if told(text).is_some() {
                overwrite(text, key);
                changed = true;
            }
            at = range.end;
        }
    }
    changed
}

/// Why somebody leaves (RFC 3550 §6.6): behind the sources, its length before it.
fn reason_of(
    bye: &mut [u8],
    sources: u8,
    key: &[u8; 32],
    told: &impl Fn(&[u8]) -> Option<Range<usize>>,
) -> bool {
    let at = 4 + 4 * usize::from(sources);
    let Some(&len) = bye.get(at) else { return false };
    // A length that does not fit is none: then what is there is looked at.
    let end = (at + 1 + usize::from(len)).min(bye.len());
    let text = bye.get_mut(at + 1..end).unwrap_or_default();
    if told(text).is_none() {
        return false;
    }
    overwrite(text, key);
    true
}

/// How often what an application says is looked at anew, before all of it is overwritten.
const LOOKS: usize = 4;

/// What an application says behind its name of four letters (RFC 3550 §6.7).
fn content_of(
    app: &mut [u8],
    key: &[u8; 32],
    told: &impl Fn(&[u8]) -> Option<Range<usize>>,
) -> bool {
    let content = app.get_mut(12..).unwrap_or_default();
    for look in 0..LOOKS {
        let mut rest = &mut *content;
        let mut changed = false;
        while let Some(range) = told(rest) {
            overwrite(rest.get_mut(range.clone()).unwrap_or_default(), key);
            changed = true;
            // Literals may overlap: what was overwritten is no address, and is passed again.
            rest = rest.get_mut(range.start + 1..).unwrap_or_default();
        }
        if !changed {
            return look > 0;
        }
        // What stood before it ends elsewhere now, and may be an address by that.
    }
    if told(content).is_some() {
        overwrite(content, key);
    }
    true
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
