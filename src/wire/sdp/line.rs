//! One line of a session description: what it says, and what becomes of it when the body is
//! rewritten. Decided once, when it is read; `rewrite` only carries it out.

use super::destination::Host;
use super::{Direction, Media};
use crate::wire::addresses::find_addresses;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

/// A line and its fate.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// Its octets in the text, without the line end.
    pub(super) range: Range<usize>,
    /// What becomes of it.
    pub(super) fate: Fate,
}

/// What becomes of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Byte for byte.
    Keep,
    /// Left out.
    Remove,
    /// These words instead.
    Replace(&'static str),
    /// `o=` with our address behind these octets.
    Origin(Vec<u8>),
    /// `c=` with our address.
    Connection,
    /// `c=` with the address that means nowhere, of our address's version.
    Nowhere,
    /// The `m=` line of the next section, with our port.
    Media,
    /// `a=rtcp` with our port, and what kind of address.
    Rtcp(RtcpForm),
}

/// What stood behind the port of `a=rtcp` (RFC 3605).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RtcpForm {
    /// Nothing.
    Bare,
    /// An address: ours takes its place.
    Addressed,
    /// 0.0.0.0 or ::, which stays so, in the version of ours.
    Held,
}

/// Attributes that promise ICE, one port for several flows, or another way to us: we relay pairs,
/// answer no connectivity checks, and are reached by c= and m= alone.
const REMOVED: [&str; 10] = [
    "candidate",
    "remote-candidates",
    "end-of-candidates",
    "rtcp-mux",
    "rtcp-mux-only",
    "bundle-only",
    "alt",
    "altc",
    "path",
    "source-filter",
];

/// Name and value of an attribute, trimmed, the name in small letters.
pub(super) fn attribute(text: &str) -> (String, &str) {
    let (name, value) = text.split_once(':').unwrap_or((text, ""));
    (name.trim().to_ascii_lowercase(), value.trim())
}

/// What becomes of an attribute (but `a=rtcp`) and of any line that has no fate of its own.
pub(super) fn attribute_fate(name: &str, value: &str, whole: &[u8]) -> Fate {
    // One port for several lines, and one line of several (RFC 4091): neither is left to choose.
    let kind = value.split_ascii_whitespace().next().unwrap_or_default();
    let is = |name: &str| kind.eq_ignore_ascii_case(name);
    let bundles = name == "group" && (is("BUNDLE") || is("ANAT"));
    // The value alone, too: with the name's colon before it `::1` is no literal any more.
    let names = names_an_address(whole) || names_an_address(value.as_bytes());
    if REMOVED.contains(&name) || name.starts_with("ice-") || bundles || names {
        return Fate::Remove;
    }
    Fate::Keep
}

/// What becomes of a line that is neither `o=`, `c=`, `m=` nor `a=`.
pub(super) fn other_fate(kind: u8, value: &[u8]) -> Fate {
    match kind {
        // A key in clear, which has no use left (RFC 8866 §5.12): nobody is to see it.
        b'k' => Fate::Remove,
        _ if !names_an_address(value) => Fate::Keep,
        // Both are mandatory, and nobody needs to know what they said.
        b's' => Fate::Replace("s=-"),
        b't' => Fate::Replace("t=0 0"),
        _ => Fate::Remove,
    }
}

/// Whether a value holds an address that is one: 0.0.0.0 and :: tell nothing.
pub(super) fn names_an_address(value: &[u8]) -> bool {
    // Most lines have too few dots and colons for any literal: told without looking closer.
    let count = |mark: u8| value.iter().filter(|b| **b == mark).count();
    (count(b'.') > 2 || count(b':') > 1)
        && find_addresses(value).any(|(_, ip)| !ip.is_unspecified())
}

/// `user id version IN IP4 address` up to the address. A user with blanks is joined, one that names
/// an address becomes `-`; missing numbers become 0.
pub(super) fn origin(value: &[u8]) -> Fate {
    let words: Vec<&[u8]> =
        value.split(u8::is_ascii_whitespace).filter(|w| !w.is_empty()).collect();
    let net = words.iter().rposition(|w| w.eq_ignore_ascii_case(b"IN"));
    let at = net.unwrap_or(words.len()).min(words.len());
    let head = words.get(..at).unwrap_or_default();
    let (user, numbers) = match head.len() {
        0..3 => (head.get(..1).unwrap_or_default(), head.get(1..).unwrap_or_default()),
        n => head.split_at_checked(n - 2).unwrap_or_default(),
    };
    let user = user.join(&b'_');
    let user = if user.is_empty() || names_an_address(&user) { b"-".to_vec() } else { user };
    let number = |i: usize| {
        let word = numbers.get(i).copied().unwrap_or(b"0");
        let plain = word.iter().all(u8::is_ascii_alphanumeric);
        if plain { word } else { b"0" }
    };
    Fate::Origin([b"o=", user.as_slice(), b" ", number(0), b" ", number(1), b" "].concat())
}

/// `IN IP4 10.0.0.1`. A TTL or count is read and dropped.
pub(super) fn connection(text: &str) -> Result<Host, &'static str> {
    let mut words = text.split_ascii_whitespace();
    let (Some(net), Some(kind), Some(host)) = (words.next(), words.next(), words.next()) else {
        return Err("broken c= line");
    };
    if !net.eq_ignore_ascii_case("IN") || !kind.to_ascii_uppercase().starts_with("IP") {
        return Err("c= of an unknown network");
    }
    Ok(Host::read(host.split('/').next().unwrap_or(host)))
}

/// What becomes of a `c=` line of this host.
pub(super) fn connection_fate(host: &Host) -> Fate {
    match host {
        Host::Ip(ip) if ip.is_unspecified() => Fate::Nowhere,
        Host::Ip(_) | Host::Name(_) => Fate::Connection,
    }
}

/// `audio 49170 RTP/AVP 0 8`; a port count is read and dropped.
pub(super) fn media(text: &str) -> Option<Media> {
    if !text.bytes().all(|b| b.is_ascii_graphic() || b == b' ' || b == b'\t') {
        return None;
    }
    let mut words = text.split_ascii_whitespace();
    let kind = words.next()?.to_owned();
    let port = words.next()?;
    let (port, count) = port.split_once('/').unwrap_or((port, "1"));
    Some(Media {
        kind,
        port: decimal(port)?,
        proto: decimal(count).and_then(|_| words.next())?.to_owned(),
        formats: words.map(str::to_owned).collect(),
        address: None,
        rtcp: None,
        direction: Direction::SendRecv,
        rtcp_mux: false,
        ice: false,
        candidates: Vec::new(),
        alternatives: Vec::new(),
        rtpmap: Vec::new(),
    })
}

/// Digits only: no sign, no blank.
pub(super) fn decimal(text: &str) -> Option<u16> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

/// `a=sendrecv` and its kin.
pub(super) fn direction(name: &str) -> Option<Direction> {
    match name {
        "sendrecv" => Some(Direction::SendRecv),
        "sendonly" => Some(Direction::SendOnly),
        "recvonly" => Some(Direction::RecvOnly),
        "inactive" => Some(Direction::Inactive),
        _ => None,
    }
}

/// `53020` or `53020 IN IP4 126.16.64.4` (RFC 3605).
pub(super) fn rtcp(value: &str) -> Option<(u16, Option<IpAddr>)> {
    let words: Vec<&str> = value.split_ascii_whitespace().collect();
    match words.as_slice() {
        [port] => Some((decimal(port)?, None)),
        [port, net, _, host] if net.eq_ignore_ascii_case("IN") => {
            Some((decimal(port)?, Some(Host::read(host).ip()?)))
        }
        _ => None,
    }
}

/// Host and port of `1 1 UDP 2130706431 10.0.1.1 8998 typ host` (RFC 8839 §5.1).
pub(super) fn candidate(value: &str) -> Option<(Host, u16)> {
    let mut words = value.split_ascii_whitespace().skip(4);
    let (host, port) = (words.next()?, words.next()?);
    Some((Host::read(host), decimal(port)?))
}

/// Rank and place of `2 IP4 192.0.2.1 45678` (RFC 6947 §4.1).
pub(super) fn alternative(value: &str) -> Option<(u16, SocketAddr)> {
    let words: Vec<&str> = value.split_ascii_whitespace().collect();
    let [rank, kind, host, port] = words.as_slice() else { return None };
    let ip = Host::read(host).ip()?;
    let said = if ip.is_ipv4() { "IP4" } else { "IP6" };
    let at = SocketAddr::new(ip, decimal(port).filter(|port| *port != 0)?);
    Some((decimal(rank)?, at)).filter(|_| kind.eq_ignore_ascii_case(said))
}

/// Payload type and encoding of `101 telephone-event/8000`.
pub(super) fn rtpmap(value: &str) -> Option<(u8, String)> {
    let (kind, encoding) = value.split_once(' ')?;
    Some((kind.parse().ok()?, encoding.trim().to_owned()))
}

/// The candidate as a socket address, unless it is a name.
pub(super) fn candidate_address(host: &Host, port: u16) -> Option<SocketAddr> {
    host.ip().map(|ip| SocketAddr::new(ip, port))
}
