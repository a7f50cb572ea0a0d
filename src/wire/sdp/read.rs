//! SDP octets → lines and sections. Lenient on line ends, blanks and order, strict on limits,
//! numbers and on what two readers could read differently. `rewrite` goes on from here.

use super::destination::{Destination, Host, Purpose};
use super::line::{self, Fate, Line, RtcpForm};
use super::{Direction, Media, Sdp, SdpError};
use crate::wire::limits;
use std::net::{IpAddr, SocketAddr};

/// Other places of one stream that are read.
const ALTERNATIVES: usize = 8;

fn fault(line: usize, what: &str) -> SdpError {
    SdpError { line, what: what.to_owned() }
}

pub(super) fn read(body: &[u8]) -> Result<Sdp, SdpError> {
    if body.len() > limits::SDP {
        return Err(fault(1, "the body is longer than 20 KB"));
    }
    let mut reader = Reader::default();
    let mut lines = Vec::new();
    let mut start = 0;
    for (index, whole) in body.split(|b| *b == b'\n').enumerate() {
        let number = index + 1;
        let text = whole.strip_suffix(b"\r").unwrap_or(whole);
        let range = start..start + text.len();
        start += whole.len() + 1;
        if text.is_empty() {
            continue;
        }
        if lines.len() >= limits::SDP_LINES {
            return Err(fault(number, "more than 512 lines"));
        }
        let fate = reader.line(number, text).map_err(|what| fault(number, what))?;
        lines.push(Line { range, fate });
    }
    if lines.is_empty() {
        return Err(fault(1, "an empty body"));
    }
    let (media, destinations) = reader.finish();
    Ok(Sdp { text: body.to_vec(), lines, media, destinations })
}

/// What one level (the session, or a section) says.
#[derive(Default)]
struct Level {
    connection: Option<Host>,
    direction: Option<Direction>,
    ice: bool,
}

/// One section while it is read.
struct Section {
    line: usize,
    level: Level,
    media: Media,
    /// Line, port and address of `a=rtcp`.
    rtcp: Option<(usize, u16, Option<IpAddr>)>,
    candidates: Vec<(usize, Host, u16)>,
    /// Rank and place of each.
    alternatives: Vec<(u16, SocketAddr)>,
}

#[derive(Default)]
struct Reader {
    begun: bool,
    origin: bool,
    session: Level,
    sections: Vec<Section>,
}

impl Reader {
    /// Takes one line (without its end) and says what becomes of it.
    fn line(&mut self, number: usize, text: &[u8]) -> Result<Fate, &'static str> {
        if text.len() > limits::SDP_LINE {
            return Err("longer than 4 KB");
        }
        if text.iter().any(|b| *b == 0 || *b == b'\r') {
            return Err("NUL or bare CR");
        }
        let &[kind @ b'a'..=b'z', b'=', ref value @ ..] = text else {
            return Err("not of the form x=value");
        };
        if (kind == b'v') == self.begun {
            return Err("v= must stand first, and once");
        }
        match kind {
            b'v' => {
                self.begun = true;
                let known = value.trim_ascii() == b"0";
                known.then_some(Fate::Keep).ok_or("v= of an unknown version")
            }
            b'o' => {
                if self.origin || !self.sections.is_empty() {
                    return Err("a second o= line");
                }
                self.origin = true;
                Ok(line::origin(value))
            }
            b'm' => self.media(number, &String::from_utf8_lossy(value)),
            b'c' => self.connection(&String::from_utf8_lossy(value)),
            b'a' => self.attribute(number, value),
            _ => Ok(line::other_fate(kind, value)),
        }
    }

    fn media(&mut self, number: usize, text: &str) -> Result<Fate, &'static str> {
        if self.sections.len() >= limits::SDP_MEDIA {
            return Err("more than 16 media");
        }
        let media = line::media(text).ok_or("broken m= line")?;
        if line::names_an_address(text.as_bytes()) {
            return Err("an m= line that names an address");
        }
        self.sections.push(Section {
            line: number,
            level: Level::default(),
            media,
            rtcp: None,
            candidates: Vec::new(),
            alternatives: Vec::new(),
        });
        Ok(Fate::Media)
    }

    fn level(&mut self) -> &mut Level {
        self.sections.last_mut().map_or(&mut self.session, |s| &mut s.level)
    }

    fn connection(&mut self, text: &str) -> Result<Fate, &'static str> {
        let host = line::connection(text)?;
        let fate = line::connection_fate(&host);
        let known = &mut self.level().connection;
        // Several groups are for multicast only, which we relay to nobody.
        if known.as_ref().is_some_and(|k| *k != host) {
            return Err("a second, different c= line");
        }
        *known = Some(host);
        Ok(fate)
    }

    fn attribute(&mut self, number: usize, value: &[u8]) -> Result<Fate, &'static str> {
        let text = String::from_utf8_lossy(value);
        let (name, said) = line::attribute(&text);
        if let Some(direction) = line::direction(&name) {
            self.level().direction = Some(direction);
        }
        self.level().ice |= name == "ice-ufrag" || name == "candidate";
        let Some(section) = self.sections.last_mut() else {
            let rtcp = name == "rtcp";
            return Ok(if rtcp { Fate::Remove } else { line::attribute_fate(&name, said, value) });
        };
        match name.as_str() {
            "rtcp" => {
                let (port, host) = line::rtcp(said).ok_or("broken a=rtcp, or one with a name")?;
                let form = match host {
                    Some(host) if host.is_unspecified() => RtcpForm::Held,
                    Some(_) => RtcpForm::Addressed,
                    None => RtcpForm::Bare,
                };
                if section.rtcp.is_some() {
                    return Err("a second a=rtcp line");
                }
                section.rtcp = Some((number, port, host));
                return Ok(Fate::Rtcp(form));
            }
            "rtcp-mux" | "rtcp-mux-only" => section.media.rtcp_mux = true,
            "candidate" => {
                let found = line::candidate(said).map(|(host, port)| (number, host, port));
                section.candidates.extend(found);
            }
            "altc" if section.alternatives.len() < ALTERNATIVES => {
                section.alternatives.extend(line::alternative(said));
            }
            "rtpmap" => section.media.rtpmap.extend(line::rtpmap(said)),
            _ => {}
        }
        Ok(line::attribute_fate(&name, said, value))
    }

    fn finish(self) -> (Vec<Media>, Vec<Destination>) {
        let Self { session, sections, .. } = self;
        let mut destinations = Vec::new();
        let mut media = Vec::with_capacity(sections.len());
        for (index, section) in sections.into_iter().enumerate() {
            let (found, mut goes) = section.finish(&session, index);
            media.push(found);
            destinations.append(&mut goes);
        }
        (media, destinations)
    }
}

impl Section {
    /// Session and section together (RFC 8866 §5.7, §6.7).
    fn finish(self, session: &Level, index: usize) -> (Media, Vec<Destination>) {
        let Self { line, level, media: mut m, rtcp, candidates, mut alternatives } = self;
        alternatives.sort_by_key(|(rank, _)| *rank);
        m.alternatives = alternatives.into_iter().map(|(_, at)| at).collect();
        let connection = level.connection.as_ref().or(session.connection.as_ref());
        m.address = connection.and_then(Host::ip);
        m.direction = level.direction.or(session.direction).unwrap_or(Direction::SendRecv);
        m.ice = level.ice || session.ice;
        m.rtcp = rtcp.and_then(|(_, port, ip)| Some(SocketAddr::new(ip.or(m.address)?, port)));
        m.candidates =
            candidates.iter().filter_map(|(_, h, p)| line::candidate_address(h, *p)).collect();

        let mut goes = Vec::new();
        if m.port == 0 {
            return (m, goes);
        }
        let mut go = |line: usize, purpose, host: Host, port: u16| {
            if port != 0 && !host.is_nowhere() {
                goes.push(Destination { line, media: index, purpose, host, port });
            }
        };
        let host = connection.cloned().unwrap_or_else(|| Host::Name(String::new()));
        go(line, Purpose::Rtp, host, m.port);
        if let Some(to) = m.rtcp_target() {
            let line = rtcp.map_or(line, |(line, ..)| line);
            go(line, Purpose::Rtcp, to.ip().into(), to.port());
        }
        for (line, host, port) in candidates {
            go(line, Purpose::Candidate, host, port);
        }
        (m, goes)
    }
}
