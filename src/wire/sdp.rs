//! Session descriptions (RFC 8866), line-preserving: what is not rewritten stays byte for byte.
//! It never judges an address; the engine does.

mod read;
mod rewrite;

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
    lines: Vec<Vec<u8>>,
    media: Vec<Media>,
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
    /// Reads a body within the limits.
    ///
    /// # Errors
    /// The first offending line.
    pub fn parse(body: &[u8]) -> Result<Self, SdpError> {
        read::read(body).map(|(lines, media)| Self { lines, media })
    }

    /// The sections in order.
    #[must_use]
    pub fn media(&self) -> &[Media] {
        &self.media
    }

    /// Writes the body anew: every address becomes `address` (o= c= a=rtcp), ports by `places`
    /// (one an `m=` line, missing ones `Refuse`), ICE and rtcp-mux lines removed, anything else
    /// that can carry an address removed, everything else kept byte for byte. A c= of 0.0.0.0
    /// (hold) stays 0.0.0.0. The o= line's user, session and version are kept.
    #[must_use]
    pub fn rewrite(&self, address: IpAddr, places: &[Place]) -> Vec<u8> {
        rewrite::rewrite(&self.lines, address, places)
    }
}

#[cfg(test)]
mod tests;
