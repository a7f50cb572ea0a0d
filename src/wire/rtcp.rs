//! RTCP: told from RTP, and one edit in place: an SDES CNAME that names an inside address is
//! overwritten at equal length (RFC 3550 §6). Nothing else is ever changed.

use super::addresses::find_addresses;
use sha2::{Digest, Sha256};
use std::net::IpAddr;

/// SDES and its CNAME item.
const SDES: u8 = 202;
const CNAME: u8 = 1;

/// A compound packet by its headers: version 2 throughout and lengths that add up. SRTCP ends in an
/// index and a tag that are no packet; what is left after whole packets is therefore not judged.
#[must_use]
pub fn is_rtcp(packet: &[u8]) -> bool {
    let mut rest = packet;
    let mut count = 0;
    while let Some(len) = length(rest) {
        let Some(next) = rest.get(len..) else { return count > 0 };
        count += 1;
        rest = next;
        if rest.is_empty() {
            return true;
        }
    }
    count > 0
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

/// Overwrites every CNAME that names an address for which `inside` says so, by characters derived
/// from `key` and the old name: stable for a participant, opaque to others. True: something changed.
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
            if kind == 0 {
                // The chunk ends here, padded to a word.
                at = (at / 4 + 1) * 4;
                break;
            }
            let Some(&len) = sdes.get(at + 1) else { return changed };
            let range = at + 2..at + 2 + usize::from(len);
            let Some(text) = sdes.get_mut(range.clone()) else { return changed };
            if kind == CNAME && find_addresses(text).any(|(_, ip)| inside(ip)) {
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sdes(cname: &[u8]) -> Vec<u8> {
        let mut p = vec![0x80, 201, 0, 1, 0, 0, 0, 7];
        let mut body = vec![0, 0, 0, 7, CNAME, u8::try_from(cname.len()).unwrap()];
        body.extend_from_slice(cname);
        body.push(0);
        while body.len() % 4 != 0 {
            body.push(0);
        }
        let words = u8::try_from(body.len() / 4).unwrap();
        p.extend_from_slice(&[0x81, SDES, 0, words]);
        p.extend_from_slice(&body);
        p
    }

    #[test]
    fn an_inside_cname_is_overwritten_at_equal_length_and_stable() {
        let inside = |ip: IpAddr| ip.to_string().starts_with("10.");
        let mut a = sdes(b"101@10.17.0.21");
        let before = a.len();
        assert!(overwrite_cname(&mut a, &[7; 32], inside));
        assert_eq!(a.len(), before);
        assert!(is_rtcp(&a));
        assert!(!find_addresses(&a).any(|(_, ip)| inside(ip)));
        let mut b = sdes(b"101@10.17.0.21");
        overwrite_cname(&mut b, &[7; 32], inside);
        assert_eq!(a, b);
        let mut other = sdes(b"101@198.51.100.3");
        assert!(!overwrite_cname(&mut other, &[7; 32], inside));
    }

    proptest! {
        #[test]
        fn no_input_panics(mut packet: Vec<u8>) {
            let _ = is_rtcp(&packet);
            overwrite_cname(&mut packet, &[0; 32], |_| true);
        }
    }
}
