//! SDP octets → lines and sections. Lenient on line ends and order, strict on limits and numbers.

use super::{Direction, Media, SdpError};
use crate::wire::limits;
use std::net::{IpAddr, SocketAddr};

type Read = (Vec<Vec<u8>>, Vec<Media>);

fn fault(line: usize, what: &str) -> SdpError {
    SdpError { line, what: what.to_owned() }
}

pub(super) fn read(body: &[u8]) -> Result<Read, SdpError> {
    if body.len() > limits::SDP {
        return Err(fault(0, "longer than 20 KB"));
    }
    let mut lines: Vec<Vec<u8>> = Vec::new();
    for (index, line) in body.split(|b| *b == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        let number = index + 1;
        if lines.len() >= limits::SDP_LINES {
            return Err(fault(number, "more than 512 lines"));
        }
        if line.len() > limits::SDP_LINE {
            return Err(fault(number, "longer than 4 KB"));
        }
        if line.iter().any(|b| *b == 0 || *b == b'\r') {
            return Err(fault(number, "NUL or bare CR"));
        }
        if line.get(1) != Some(&b'=') || !line.first().is_some_and(u8::is_ascii_lowercase) {
            return Err(fault(number, "not of the form x=value"));
        }
        lines.push(line.to_vec());
    }
    if lines.first().is_none_or(|l| !l.starts_with(b"v=")) {
        return Err(fault(1, "does not begin with v="));
    }
    let media = sections(&lines)?;
    Ok((lines, media))
}

/// What the session part says for all sections.
#[derive(Default)]
struct Session {
    address: Option<IpAddr>,
    direction: Option<Direction>,
    ice: bool,
}

fn sections(lines: &[Vec<u8>]) -> Result<Vec<Media>, SdpError> {
    let mut session = Session::default();
    let mut all: Vec<Media> = Vec::new();
    let mut rtcp: Vec<Option<(u16, Option<IpAddr>)>> = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let number = index + 1;
        let value = line.get(2..).unwrap_or_default();
        let text = String::from_utf8_lossy(value);
        match (line.first(), all.last_mut()) {
            (Some(b'm'), _) => {
                if all.len() >= limits::SDP_MEDIA {
                    return Err(fault(number, "more than 16 media"));
                }
                let mut m = media_line(&text).ok_or_else(|| fault(number, "broken m= line"))?;
                m.address = session.address;
                m.direction = session.direction.unwrap_or(Direction::SendRecv);
                m.ice = session.ice;
                all.push(m);
                rtcp.push(None);
            }
            (Some(b'c'), m) => {
                let address = connection(&text).map_err(|what| fault(number, what))?;
                match m {
                    Some(m) => m.address = address,
                    None => session.address = address,
                }
            }
            (Some(b'a'), Some(m)) => {
                if let Some(found) = attribute(m, &text) {
                    let slot = rtcp.last_mut();
                    let read = found.ok_or_else(|| fault(number, "broken a=rtcp"))?;
                    slot.into_iter().for_each(|s| *s = Some(read));
                }
            }
            (Some(b'a'), None) => {
                session.direction = direction(&text).or(session.direction);
                session.ice |= text.starts_with("ice-");
            }
            _ => {}
        }
    }
    for (m, rtcp) in all.iter_mut().zip(rtcp) {
        m.rtcp = rtcp.and_then(|(port, ip)| Some(SocketAddr::new(ip.or(m.address)?, port)));
    }
    Ok(all)
}

/// `audio 49170 RTP/AVP 0 8`; a port count is read and dropped.
fn media_line(text: &str) -> Option<Media> {
    let mut words = text.split_ascii_whitespace();
    let kind = words.next()?.to_owned();
    let port = words.next()?;
    let port = port.split('/').next()?;
    if port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(Media {
        kind,
        port: port.parse().ok()?,
        proto: words.next()?.to_owned(),
        formats: words.map(str::to_owned).collect(),
        address: None,
        rtcp: None,
        direction: Direction::SendRecv,
        rtcp_mux: false,
        ice: false,
        candidates: Vec::new(),
        rtpmap: Vec::new(),
    })
}

/// `IN IP4 10.0.0.1`; a host name is `None`, a broken line an error. A TTL is read and dropped.
fn connection(text: &str) -> Result<Option<IpAddr>, &'static str> {
    let mut words = text.split_ascii_whitespace();
    let (Some(net), Some(kind), Some(host)) = (words.next(), words.next(), words.next()) else {
        return Err("broken c= line");
    };
    if !net.eq_ignore_ascii_case("IN") || !kind.to_ascii_uppercase().starts_with("IP") {
        return Err("c= of an unknown network");
    }
    let host = host.split('/').next().unwrap_or(host);
    Ok(host.parse::<IpAddr>().ok().map(|ip| ip.to_canonical()))
}

fn direction(text: &str) -> Option<Direction> {
    match text.trim() {
        "sendrecv" => Some(Direction::SendRecv),
        "sendonly" => Some(Direction::SendOnly),
        "recvonly" => Some(Direction::RecvOnly),
        "inactive" => Some(Direction::Inactive),
        _ => None,
    }
}

/// Reads an attribute into its section. `Some`: it was `a=rtcp`, whose address the section resolves.
#[expect(clippy::option_option, reason = "absent, broken and read are three things")]
fn attribute(m: &mut Media, text: &str) -> Option<Option<(u16, Option<IpAddr>)>> {
    if let Some(d) = direction(text) {
        m.direction = d;
        return None;
    }
    let (name, value) = text.split_once(':').unwrap_or((text, ""));
    match name.trim() {
        "rtcp" => return Some(rtcp(value)),
        "rtcp-mux" | "rtcp-mux-only" => m.rtcp_mux = true,
        "ice-ufrag" => m.ice = true,
        "candidate" => {
            m.ice = true;
            let words: Vec<&str> = value.split_ascii_whitespace().collect();
            if let (Some(ip), Some(port)) = (words.get(4), words.get(5))
                && let (Ok(ip), Ok(port)) = (ip.parse::<IpAddr>(), port.parse())
            {
                m.candidates.push(SocketAddr::new(ip.to_canonical(), port));
            }
        }
        "rtpmap" => {
            if let Some((pt, what)) = value.trim().split_once(' ')
                && let Ok(pt) = pt.parse()
            {
                m.rtpmap.push((pt, what.trim().to_owned()));
            }
        }
        _ => {}
    }
    None
}

/// `53020` or `53020 IN IP4 126.16.64.4` (RFC 3605).
fn rtcp(value: &str) -> Option<(u16, Option<IpAddr>)> {
    let mut words = value.split_ascii_whitespace();
    let port = words.next()?.parse().ok()?;
    match words.nth(2) {
        Some(host) => Some((port, Some(host.parse::<IpAddr>().ok()?.to_canonical()))),
        None => Some((port, None)),
    }
}
