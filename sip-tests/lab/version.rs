//! The IP version of everybody in a lab. Tests write addresses as IPv4 has them; where the lab has
//! IPv6, what parties send and get is translated on its way, so that one test tries both.

use super::site::{GATE_INSIDE, GATE_OUTSIDE, PBX};
use bytes::Bytes;

/// Networks of the lab: as tests write them, as IPv6 has them.
const NETWORKS: [(&str, &str); 2] =
    [("10.17.0.", "2001:db8:6017::"), ("203.0.113.", "2001:db8:6203::")];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    Four,
    Six,
}

impl Version {
    pub(crate) const ALL: [Self; 2] = [Self::Four, Self::Six];

    /// `10.17.0.21`, or `203.0.113.10`.
    pub(crate) fn ip(self, four: &str) -> String {
        let known = NETWORKS.iter().find_map(|(from, to)| Some((four.strip_prefix(from)?, to)));
        match known.filter(|_| self == Self::Six) {
            Some((host, to)) => format!("{to}{host}"),
            None => four.to_owned(),
        }
    }

    /// The same, where a URI has its host.
    pub(crate) fn host(self, four: &str) -> String {
        let ip = self.ip(four);
        if ip.contains(':') { format!("[{ip}]") } else { ip }
    }

    /// `10.17.0.21:5060`.
    pub(crate) fn at(self, four: &str) -> String {
        match four.split_once(':').filter(|_| !four.starts_with('[')) {
            Some((ip, port)) => format!("{}:{port}", self.host(ip)),
            None => four.to_owned(),
        }
    }

    /// A file such as [`super::site::EDGE`].
    pub(crate) fn file(self, text: &str) -> String {
        let own = |ip: &str| format!("\"{}\"", self.ip(ip));
        let networks = if self == Self::Six { "2001:db8:6017::/64" } else { "10.17.0.0/16" };
        text.replace("10.17.0.0/16", networks)
            .replace("\"10.17.0.1\"", &own(GATE_INSIDE))
            .replace("\"203.0.113.1\"", &own(GATE_OUTSIDE))
            .replace(PBX, &self.at(PBX))
    }

    /// A message as a party of this version writes it.
    pub(crate) fn sent(self, bytes: Bytes) -> Bytes {
        let Some(text) = std::str::from_utf8(&bytes).ok().filter(|_| self == Self::Six) else {
            return bytes;
        };
        let Some((head, body)) = text.split_once("\r\n\r\n") else { return bytes };
        let (new_head, new_body) = (six(head), six(body));
        let length = |n: usize| format!("Content-Length: {n}");
        let new_head = new_head.replace(&length(body.len()), &length(new_body.len()));
        format!("{new_head}\r\n\r\n{new_body}").into()
    }

    /// What a party got, as tests read it.
    pub(crate) fn got(self, text: &str) -> String {
        if self == Self::Four {
            return text.to_owned();
        }
        let mut text = text.to_owned();
        for (four, six) in NETWORKS {
            text = text.replace(&format!("IN IP6 {six}"), &format!("IN IP4 {four}"));
            while let Some(at) = text.find(six) {
                let rest = &text[at + six.len()..];
                let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
                let end = at + six.len() + digits;
                let bracketed = text[..at].ends_with('[') && text[end..].starts_with(']');
                let wide = usize::from(bracketed);
                let new = format!("{four}{}", &rest[..digits]);
                text.replace_range(at - wide..end + wide, &new);
            }
        }
        text
    }
}

/// Every address of the lab's networks as IPv6 has it: plain in descriptions, else in brackets.
fn six(text: &str) -> String {
    let mut text = text.to_owned();
    for (four, to) in NETWORKS {
        let mut from = 0;
        while let Some(at) = text[from..].find(four).map(|at| from + at) {
            let end = at + four.len();
            let digits = text[end..].bytes().take_while(u8::is_ascii_digit).count();
            let before = &text[..at];
            let goes_on = before.ends_with(|c: char| c.is_ascii_digit() || c == '.');
            let mapped = before.ends_with("ffff:");
            let alone = !mapped && (!goes_on || before.ends_with("%40"));
            if digits == 0 || !alone {
                from = end;
                continue;
            }
            let host = &text[end..end + digits];
            let line = &before[before.rfind('\n').map_or(0, |n| n + 1)..];
            let (start, new) = match before.strip_suffix("IN IP4 ") {
                Some(head) => (head.len(), format!("IN IP6 {to}{host}")),
                None if line.starts_with("a=candidate") => (at, format!("{to}{host}")),
                None => (at, format!("[{to}{host}]")),
            };
            text.replace_range(start..end + digits, &new);
            from = start + new.len();
        }
    }
    text
}
