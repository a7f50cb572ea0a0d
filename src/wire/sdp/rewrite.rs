//! Lines → body, with our address in every place that can carry one. Each line's fate was decided
//! when it was read; here it is only carried out.

use super::line::{Fate, RtcpForm};
use super::{Media, Place, Sdp};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(super) fn rewrite(sdp: &Sdp, address: IpAddr, places: &[Place]) -> Vec<u8> {
    // Who holds the old way is understood by a side that has one version alone.
    let (net, nowhere) = (net_of(address), net_of(nowhere(address)));
    let mut out = Vec::with_capacity(sdp.text.len() + 64);
    let mut sections = sdp.media.iter().zip(places.iter().map(Some).chain(std::iter::repeat(None)));
    let (mut port, mut held) = (None, false);
    for line in &sdp.lines {
        match &line.fate {
            Fate::Keep => push(&mut out, &[sdp.text.get(line.range.clone()).unwrap_or_default()]),
            Fate::Remove => {}
            Fate::Replace(words) => push(&mut out, &[words.as_bytes()]),
            Fate::Origin(head) => push(&mut out, &[head, net.as_bytes()]),
            Fate::Connection => push(&mut out, &[b"c=", net.as_bytes()]),
            Fate::Nowhere => push(&mut out, &[b"c=", nowhere.as_bytes()]),
            Fate::Media => {
                let Some((media, place)) = sections.next() else { continue };
                port = our_port(media, place);
                held = media.address.is_some_and(|a| a.is_unspecified());
                push(&mut out, &[media_line(media, port.unwrap_or(0)).as_bytes()]);
            }
            Fate::Rtcp(form) => {
                let to = match form {
                    RtcpForm::Bare if held => None,
                    RtcpForm::Bare | RtcpForm::Addressed => Some(net.as_str()),
                    RtcpForm::Held => Some(nowhere.as_str()),
                };
                if let Some(rtcp) = port.and_then(|p| p.checked_add(1)) {
                    push(&mut out, &[rtcp_line(rtcp, to).as_bytes()]);
                }
            }
        }
    }
    out
}

fn push(out: &mut Vec<u8>, pieces: &[&[u8]]) {
    pieces.iter().for_each(|p| out.extend_from_slice(p));
    out.extend_from_slice(b"\r\n");
}

fn net_of(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => format!("IN IP4 {v4}"),
        IpAddr::V6(v6) => format!("IN IP6 {v6}"),
    }
}

/// What means nowhere in this address's version (RFC 3264 §8.4, RFC 6157 §4.1).
fn nowhere(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// Our port for a section; a section that the peer disabled stays so (RFC 3264 §6).
fn our_port(media: &Media, place: Option<&Place>) -> Option<u16> {
    match place {
        Some(Place::Anchor { port }) if media.port != 0 => Some(*port),
        Some(Place::Anchor { .. } | Place::Refuse) | None => None,
    }
}

fn media_line(media: &Media, port: u16) -> String {
    let mut line = format!("m={} {port} {}", media.kind, media.proto);
    for format in &media.formats {
        line.push(' ');
        line.push_str(format);
    }
    line
}

/// With the address in any case (who reads RFC 3605 carelessly still finds us), but for a hold.
fn rtcp_line(port: u16, to: Option<&str>) -> String {
    match to {
        None => format!("a=rtcp:{port}"),
        Some(net) => format!("a=rtcp:{port} {net}"),
    }
}
