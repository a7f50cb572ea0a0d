//! What a trace keeps of a message: its start line, the values by which it is routed, the names of
//! its headers, and the lines of its SDP that say where media go. Credentials are not among it.

use crate::ground::Flow;
use crate::wire::sip::{Framing, Message, Name};
use bytes::Bytes;

/// Longest value that is kept, in characters; more is cut.
const VALUE: usize = 160;
/// Names of headers, and lines of SDP, that are kept.
const NAMES: usize = 48;
const LINES: usize = 16;
/// Lines of SDP that say where media go, and which way.
const TOLD: [&str; 8] =
    ["o=", "c=", "m=", "a=rtcp:", "a=sendrecv", "a=sendonly", "a=recvonly", "a=inactive"];

/// A message as a trace keeps it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sketch {
    pub(super) start: String,
    pub(super) method: String,
    pub(super) cseq: u32,
    /// 0: a request.
    pub(super) status: u16,
    /// Values that route it, by header.
    pub(super) values: Vec<(&'static str, String)>,
    /// Its other headers, by name.
    pub(super) names: Vec<String>,
    pub(super) sdp: Vec<String>,
}

/// False for what is of no call, as its first octets say.
pub(super) fn may_be_of_a_call(bytes: &[u8]) -> bool {
    // Keep-alives and STUN are shorter than a message, or begin otherwise.
    bytes.len() > 32 && !bytes.starts_with(b"REGISTER ") && !bytes.starts_with(b"OPTIONS ")
}

/// Reads it; `None`: it is no message.
pub(super) fn read(flow: &Flow, bytes: Bytes) -> Option<Message> {
    let framing = if flow.transport.is_reliable() { Framing::Stream } else { Framing::Datagram };
    Message::parse(bytes, framing).ok()
}

impl Sketch {
    pub(super) fn of(m: &Message) -> Self {
        let (status, start) = if m.is_request() {
            (0, format!("{} {}", m.method(), m.uri()))
        } else {
            (m.status(), format!("{} {}", m.status(), String::from_utf8_lossy(m.phrase())))
        };
        let routed: [(&'static str, Name); 8] = [
            ("Via", Name::Via),
            ("Record-Route", Name::RecordRoute),
            ("Route", Name::Route),
            ("From", Name::From),
            ("To", Name::To),
            ("Call-ID", Name::CallId),
            ("Contact", Name::Contact),
            ("User-Agent", Name::UserAgent),
        ];
        let joined = |name: &Name| {
            let all: Vec<_> = m.rows(name).map(String::from_utf8_lossy).collect();
            fit(&all.join(", "))
        };
        let mut values: Vec<(&'static str, String)> = Vec::new();
        if m.is_request() {
            values.push(("Request-URI", fit(m.uri())));
        }
        values.extend(routed.iter().map(|(what, name)| (*what, joined(name))));
        values.retain(|(_, value)| !value.is_empty());
        let mut names: Vec<String> = Vec::new();
        for (name, _) in m.all().take(NAMES) {
            let kept = routed.iter().any(|(_, r)| r == name) || *name == Name::ContentLength;
            if !kept && names.iter().all(|n| n != name.as_str()) {
                names.push(fit(name.as_str()));
            }
        }
        let method = m.cseq().method.to_string();
        Self { start: fit(&start), method, cseq: m.cseq().seq, status, values, names, sdp: sdp(m) }
    }

    /// Both are the same request, or the same answer to one.
    pub(super) fn is(&self, other: &Self) -> bool {
        let this = (self.cseq, self.status, &self.method);
        this == (other.cseq, other.status, &other.method)
    }

    pub(super) fn value(&self, what: &str) -> Option<&str> {
        self.values.iter().find(|(name, _)| *name == what).map(|(_, value)| value.as_str())
    }

    pub(super) fn octets(&self) -> usize {
        let values: usize = self.values.iter().map(|(_, v)| v.len() + 40).sum();
        let names: usize = self.names.iter().chain(&self.sdp).map(|n| n.len() + 24).sum();
        self.start.len() + values + names
    }
}

fn sdp(m: &Message) -> Vec<String> {
    if !m.body().starts_with(b"v=0") {
        return Vec::new();
    }
    let text = String::from_utf8_lossy(m.body());
    let told = text.lines().filter(|line| TOLD.iter().any(|t| line.starts_with(t)));
    told.take(LINES).map(fit).collect()
}

/// Text cut to its bound, without the password that a URI may hold (RFC 3261 §19.1.1).
fn fit(text: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = scheme_end(rest) {
        let (before, uri) = rest.split_at(at);
        // A comma may stand in a password (RFC 3261 §25.1).
        let end = uri.find(['>', ' ', '"']).unwrap_or(uri.len());
        let (uri, more) = uri.split_at(end);
        out.push_str(before);
        match uri.rsplit_once('@').and_then(|(own, host)| Some((own.split_once(':')?.0, host))) {
            Some((user, host)) => out.extend([user, ":…@", host]),
            None => out.push_str(uri),
        }
        rest = more;
    }
    out.push_str(rest);
    // Cut at last: what is cut before its end cannot be told from a host.
    let cut: String = out.chars().take(VALUE).collect();
    if cut.len() < out.len() { format!("{cut}…") } else { cut }
}

/// Behind the colon of the next `sip:` or `sips:`.
fn scheme_end(text: &str) -> Option<usize> {
    let lower = text.to_ascii_lowercase();
    let ends = ["sip:", "sips:"].map(|s| lower.find(s).map(|at| at + s.len()));
    ends.into_iter().flatten().min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_a_uri_is_not_kept_and_nothing_else_is_touched() {
        for (text, want) in [
            ("sip:101:geheim@10.0.0.1;x=1", "sip:101:…@10.0.0.1;x=1"),
            ("<sips:a:b@h>, <sip:c@d:5060>", "<sips:a:…@h>, <sip:c@d:5060>"),
            ("\"sip sip\" <sip:a:b@h>;tag=s:i@p", "\"sip sip\" <sip:a:…@h>;tag=s:i@p"),
            ("INVITE sip:200@pbx.example.com", "INVITE sip:200@pbx.example.com"),
            ("sip:10.0.0.1:5060", "sip:10.0.0.1:5060"),
            ("sip:101:ge,heim1@h", "sip:101:…@h"),
            ("<sip:a:b,c@h>,<sip:d:e@i>", "<sip:a:…@h>,<sip:d:…@i>"),
            (&format!("sip:101:{}@h", "x".repeat(300)), "sip:101:…@h"),
            ("SIP:sipuser:sip@h", "SIP:sipuser:…@h"),
            (
                "SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK",
                "SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK",
            ),
        ] {
            assert_eq!(fit(text), want);
        }
        assert_eq!(fit(&"x".repeat(1_000)).chars().count(), VALUE + 1);
    }
}
