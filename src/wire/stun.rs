//! STUN as a keep-alive at SIP ports (RFC 5626 §4.4.2, RFC 5389): a binding request is read, and
//! told where it came from. Nothing else of STUN: no credentials are asked for or given, no other
//! address is answered or answered from.

use std::net::{IpAddr, SocketAddr};

/// Octets of the longest message that is read: more than a request without credentials ever has.
pub const LONGEST: usize = 548;
/// Octets before the attributes.
const HEADER: usize = 20;
/// What stands in every message since RFC 5389; what lacks it is of RFC 3489.
const COOKIE: [u8; 4] = 0x2112_a442_u32.to_be_bytes();
/// Attributes of one message.
const ATTRIBUTES: usize = 16;
/// Unknown attributes that an answer names.
const NAMED: usize = 4;
/// Binding, by class (RFC 5389 §6).
const REQUEST: u16 = 0x0001;
const SUCCESS: u16 = 0x0101;
const FAILURE: u16 = 0x0111;
/// Attributes that are written or looked at (§15).
const MAPPED_ADDRESS: u16 = 0x0001;
const ERROR_CODE: u16 = 0x0009;
const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const FINGERPRINT: u16 = 0x8028;
/// Those that need no understanding to answer a binding request without credentials: USERNAME,
/// MESSAGE-INTEGRITY, REALM, NONCE.
const HARMLESS: [u16; 4] = [0x0006, 0x0008, 0x0014, 0x0015];
/// Every attribute from here on may be left unread.
const OPTIONAL: u16 = 0x8000;
/// What the CRC of a fingerprint is mixed with (§15.5).
const MASK: u32 = 0x5354_554e;

/// A datagram that is STUN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stun {
    /// Somebody asks where he is.
    Binding(Binding),
    /// An indication, an answer to nothing of ours, or another method: there is nothing to say.
    Other,
}

/// A binding request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The transaction: of RFC 3489 all 16 octets, else the cookie and 12.
    id: [u8; 16],
    /// Attributes that had to be understood and are not, at most so many.
    unknown: Vec<u16>,
    /// It bears a fingerprint, and so does the answer.
    fingerprint: bool,
}

/// Reads a datagram; `None`: it is no STUN, or broken. The first octet tells it from SIP, whose
/// first octet is a letter (RFC 5626 §8).
#[must_use]
pub fn read(bytes: &[u8]) -> Option<Stun> {
    let (kind, rest) = bytes.split_first_chunk::<2>()?;
    let (length, rest) = rest.split_first_chunk::<2>()?;
    let (id, attributes) = rest.split_first_chunk::<16>()?;
    let kind = u16::from_be_bytes(*kind);
    let whole = usize::from(u16::from_be_bytes(*length)) == attributes.len();
    if kind >= 0x4000 || !whole || attributes.len() % 4 != 0 || bytes.len() > LONGEST {
        return None;
    }
    let mut binding = Binding { id: *id, unknown: Vec::new(), fingerprint: false };
    let mut left = attributes;
    for _ in 0..ATTRIBUTES {
        let Some((head, rest)) = left.split_first_chunk::<4>() else { break };
        let [a, b, c, d] = *head;
        let (name, length) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        let (value, rest) = rest.split_at_checked(usize::from(length).next_multiple_of(4))?;
        if name == FINGERPRINT {
            let before = bytes.get(..bytes.len() - left.len())?;
            if value != crc(before).to_be_bytes() {
                return None;
            }
            binding.fingerprint = true;
        } else if name < OPTIONAL && !HARMLESS.contains(&name) && binding.unknown.len() < NAMED {
            binding.unknown.push(name);
        }
        left = rest;
    }
    if !left.is_empty() {
        return None;
    }
    Some(if kind == REQUEST { Stun::Binding(binding) } else { Stun::Other })
}

impl Binding {
    /// The answer: where the request came from, or what of it nobody here understands (§7.3.1).
    #[must_use]
    pub fn answer(&self, from: SocketAddr) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        if self.unknown.is_empty() {
            self.head(&mut out, SUCCESS);
            self.address(&mut out, from);
        } else {
            self.head(&mut out, FAILURE);
            attribute(&mut out, ERROR_CODE, &[0, 0, 4, 20]);
            let unknown: Vec<u8> = self.unknown.iter().flat_map(|n| n.to_be_bytes()).collect();
            attribute(&mut out, UNKNOWN_ATTRIBUTES, &unknown);
        }
        if self.fingerprint {
            // The length that is hashed counts the fingerprint itself.
            set_length(&mut out, 8);
            let crc = crc(&out);
            attribute(&mut out, FINGERPRINT, &crc.to_be_bytes());
        }
        set_length(&mut out, 0);
        out
    }

    fn is_classic(&self) -> bool {
        !self.id.starts_with(&COOKIE)
    }

    fn head(&self, out: &mut Vec<u8>, kind: u16) {
        out.extend_from_slice(&kind.to_be_bytes());
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&self.id);
    }

    /// §15.2; who speaks RFC 3489 gets the address as it is (§12.2).
    fn address(&self, out: &mut Vec<u8>, at: SocketAddr) {
        let mask: &[u8] = if self.is_classic() { &[0; 16] } else { &self.id };
        let xor = |octets: &[u8]| octets.iter().zip(mask).map(|(a, b)| a ^ b).collect::<Vec<u8>>();
        let (family, host) = match at.ip().to_canonical() {
            IpAddr::V4(v4) => (1, xor(&v4.octets())),
            IpAddr::V6(v6) => (2, xor(&v6.octets())),
        };
        let mut value = vec![0, family];
        value.extend(xor(&at.port().to_be_bytes()));
        value.extend(host);
        let name = if self.is_classic() { MAPPED_ADDRESS } else { XOR_MAPPED_ADDRESS };
        attribute(out, name, &value);
    }
}

/// Appends an attribute, filled up to four octets.
fn attribute(out: &mut Vec<u8>, name: u16, value: &[u8]) {
    out.extend_from_slice(&name.to_be_bytes());
    out.extend_from_slice(&u16::try_from(value.len()).unwrap_or_default().to_be_bytes());
    out.extend_from_slice(value);
    out.resize(out.len().next_multiple_of(4), 0);
}

/// Writes how long the attributes are, with so many octets more.
fn set_length(out: &mut [u8], more: usize) {
    let length = u16::try_from(out.len() + more - HEADER).unwrap_or_default().to_be_bytes();
    if let Some(at) = out.get_mut(2..4) {
        at.copy_from_slice(&length);
    }
}

/// The fingerprint of what stands before it (§15.5): CRC-32 of ITU V.42.
fn crc(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
    let octet = |crc: u32, b: &u8| (0..8).fold(crc ^ u32::from(*b), step);
    !bytes.iter().fold(u32::MAX, octet) ^ MASK
}

#[cfg(test)]
mod tests;
