//! Session descriptions (RFC 8866), line-preserving: what is not rewritten stays byte for byte.
//! It never judges an address; the engine does, and says where each stream's media is to come. What
//! goes out is regular: CRLF, one blank between words of the lines that were rewritten.

mod destination;
mod line;
mod read;
mod rewrite;

pub use destination::{Destination, Host, Purpose};

use std::net::{IpAddr, SocketAddr};

/// Direction of a stream (RFC 3264 §5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "RFC words")]
pub enum Direction {
    SendRecv,
    SendOnly,
    RecvOnly,
    Inactive,
}

/// One `m=` section, as far as the gateway reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    /// `audio`, `video`, `image` …
    pub kind: String,
    /// Port of the `m=` line; 0: refused or disabled.
    pub port: u16,
    /// `RTP/AVP`, `udptl` …
    pub proto: String,
    /// Formats (payload types) as written.
    pub formats: Vec<String>,
    /// Effective connection address; `None`: a host name or absent.
    pub address: Option<IpAddr>,
    /// Explicit RTCP destination (RFC 3605; missing address: the stream's).
    pub rtcp: Option<SocketAddr>,
    /// Effective direction.
    pub direction: Direction,
    /// `a=rtcp-mux` is present.
    pub rtcp_mux: bool,
    /// Candidates or ice-ufrag are present.
    pub ice: bool,
    /// Addresses and ports of `a=candidate` lines.
    pub candidates: Vec<SocketAddr>,
    /// Other places for the same stream, by `a=altc` (RFC 6947), at most 8, the preferred first.
    pub alternatives: Vec<SocketAddr>,
    /// `a=rtpmap` values by payload type.
    pub rtpmap: Vec<(u8, String)>,
}

impl Media {
    /// Where RTP for this stream is to be sent; `None`: held, disabled or unroutable.
    #[must_use]
    pub fn rtp_target(&self) -> Option<SocketAddr> {
        let address = self.address.filter(|a| !a.is_unspecified())?;
        (self.port != 0).then(|| SocketAddr::new(address, self.port))
    }

    /// Where RTCP for this stream is to be sent: `a=rtcp`, else the port above RTP's.
    #[must_use]
    pub fn rtcp_target(&self) -> Option<SocketAddr> {
        let rtp = self.rtp_target()?;
        match self.rtcp {
            Some(rtcp) if rtcp.port() == 0 || rtcp.ip().is_unspecified() => None,
            Some(rtcp) => Some(rtcp),
            None => rtp.port().checked_add(1).map(|port| SocketAddr::new(rtp.ip(), port)),
        }
    }

    /// Whether the peer wants nothing sent: `sendonly`, `inactive`, or the old 0.0.0.0
    /// (RFC 3264 §8.4, RFC 2543 appendix B.5).
    #[must_use]
    pub fn is_held(&self) -> bool {
        match self.direction {
            Direction::SendOnly | Direction::Inactive => true,
            Direction::SendRecv | Direction::RecvOnly => {
                self.address.is_some_and(|a| a.is_unspecified())
            }
        }
    }

    /// Whether the section carries RTP over datagrams (`RTP/AVP`, `UDP/TLS/RTP/SAVPF` …).
    #[must_use]
    pub fn is_rtp(&self) -> bool {
        let proto = self.proto.to_ascii_uppercase();
        proto.starts_with("RTP/") || proto.starts_with("UDP/") && proto.contains("/RTP/")
    }
}

/// Why an SDP body was refused (488).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("SDP line {line}: {what}")]
pub struct SdpError {
    /// 1-based line.
    pub line: usize,
    /// What is wrong with it, in words.
    pub what: String,
}

/// A session description that was read and is kept whole.
#[derive(Clone, Debug)]
pub struct Sdp {
    text: Vec<u8>,
    lines: Vec<line::Line>,
    media: Vec<Media>,
    destinations: Vec<Destination>,
}

/// What to do with one `m=` section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Its media comes to us: this even RTP port, RTCP on the next.
    Anchor {
        /// Our even RTP port.
        port: u16,
    },
    /// Port 0.
    Refuse,
}

impl Sdp {
    /// Reads a body within the limits. Ends of lines may be LF, the last one may be missing.
    ///
    /// # Errors
    /// The first offending line.
    pub fn parse(body: &[u8]) -> Result<Self, SdpError> {
        read::read(body)
    }

    /// The sections in order.
    #[must_use]
    pub fn media(&self) -> &[Media] {
        &self.media
    }

    /// A stream at an address that is not spoken here is at its first alternative that is (RFC
    /// 6947): one is sent to, and nobody is told of the others.
    #[must_use]
    pub fn spoken(mut self, is_spoken: impl Fn(IpAddr) -> bool) -> Self {
        for m in &mut self.media {
            let strange = m.rtp_target().is_some_and(|at| !is_spoken(at.ip()));
            let other = m.alternatives.iter().find(|at| is_spoken(at.ip())).filter(|_| strange);
            if let Some(at) = other {
                (m.address, m.port, m.rtcp) = (Some(at.ip()), at.port(), None);
            }
        }
        self
    }

    /// Every place to which the peer would have media sent: RTP (c= and m=), RTCP (`a=rtcp`, else
    /// the next port) and candidates, also when they are host names. Not listed is what means "no
    /// destination": port 0, 0.0.0.0 and ::. The o= line is none.
    pub fn addresses(&self) -> impl Iterator<Item = &Destination> {
        self.destinations.iter()
    }

    /// Whether a section offers RTP and RTCP on one port (RFC 5761), which we do not take up.
    #[must_use]
    pub fn offers_mux(&self) -> bool {
        self.media.iter().any(|m| m.rtcp_mux)
    }

    /// Whether every live section is on hold (and there is one).
    #[must_use]
    pub fn is_held(&self) -> bool {
        let mut live = self.media.iter().filter(|m| m.port != 0).peekable();
        live.peek().is_some() && live.all(Media::is_held)
    }

    /// Writes the body anew: every address becomes `address` (o= c= a=rtcp), ports by `places`
    /// (one an `m=` line, missing ones `Refuse`; port 0 stays 0), lines of ICE, rtcp-mux and BUNDLE
    /// removed, keys (k=) and anything else that can carry an address removed (s= becomes `-`), all
    /// else kept byte for byte. A c= of 0.0.0.0 or :: (hold) stays so, in the version of
    /// `address`. The o= line's user, session and version are kept.
    #[must_use]
    pub fn rewrite(&self, address: IpAddr, places: &[Place]) -> Vec<u8> {
        rewrite::rewrite(self, address, places)
    }
}

/// A body that describes no session of ours (OPTIONS) without its `k=` lines: keys in clear, which
/// are not to be used (RFC 8866 §5.12).
#[must_use]
pub fn without_keys(body: &[u8]) -> Vec<u8> {
    lines_of(body, |kind, _| (kind == b'k').then(Vec::new))
}

/// A description without who made it: `u=`, `e=` and `p=` (where to ask him, RFC 8866 §5.5, §5.6)
/// go, the user of `o=`, often a log-in or the name of a host, becomes `-` (§5.2).
#[must_use]
pub fn without_author(body: &[u8]) -> Vec<u8> {
    lines_of(body, |kind, value| match kind {
        b'u' | b'e' | b'p' => Some(Vec::new()),
        b'o' => {
            let value = value.trim_ascii_start();
            let user = value.iter().position(u8::is_ascii_whitespace).unwrap_or(value.len());
            Some([b"o=-", value.get(user..).unwrap_or_default()].concat())
        }
        _ => None,
    })
}

/// Every line with its end, or what `fate` makes of its letter and its value: nothing, where that
/// is empty. As lenient a reader as there may be: blanks around the letter and any end of a line.
fn lines_of(body: &[u8], fate: impl Fn(u8, &[u8]) -> Option<Vec<u8>>) -> Vec<u8> {
    let mut rest = body;
    let mut out = Vec::with_capacity(body.len());
    while !rest.is_empty() {
        let end = rest.iter().position(|b| matches!(b, b'\n' | b'\r')).unwrap_or(rest.len());
        let both = rest.get(end..).is_some_and(|r| r.starts_with(b"\r\n"));
        let next = rest.len().min(end + if both { 2 } else { 1 });
        let (whole, after) = rest.split_at_checked(next).unwrap_or((rest, &[]));
        let (line, ending) = whole.split_at_checked(end).unwrap_or((whole, &[]));
        rest = after;
        let letter = line.trim_ascii_start().split_first();
        let read =
            letter.and_then(|(kind, v)| Some((*kind, v.trim_ascii_start().strip_prefix(b"=")?)));
        match read.and_then(|(kind, value)| fate(kind, value)) {
            Some(new) if new.is_empty() => {}
            Some(new) => out.extend([new.as_slice(), ending].concat()),
            None => out.extend_from_slice(whole),
        }
    }
    out
}

#[cfg(test)]
mod tests;
