//! What went wrong on the way to the other end, in words for whoever looks after this network: what
//! was seen, and what to do. It judges nothing.

mod sign;

pub(super) use sign::Sign;

use crate::config::{Place, PublicKey};
use quinn::{ConnectionError, TransportErrorCode};
use rustls::AlertDescription;
use std::fmt::Display;
use std::io::{Error, ErrorKind};

/// What was seen at a place; `detail` stands behind its sign.
pub(super) fn told(place: impl Display, sign: Sign, detail: impl Display) -> String {
    format!("{place}: {}", bare(sign, detail))
}

/// The same without a place.
pub(super) fn bare(sign: Sign, detail: impl Display) -> String {
    format!("{sign}{detail}: {}", sign.advice())
}

/// A key that a head office has shown, and that is not the one that its file has.
pub(super) fn wrong_key(
    place: impl Display,
    shown: &PublicKey,
    peer: Option<&PublicKey>,
) -> String {
    let peer = peer.map_or("none".to_owned(), ToString::to_string);
    told(place, Sign::WrongKey, format!(" {shown}, and peer_key is {peer}"))
}

/// Our own, where the head office does not know it.
pub(super) fn not_known(own: &PublicKey) -> String {
    bare(Sign::NotKnown, format!(" ({own})"))
}

/// Why a place was not reached, as the kernel has it.
#[expect(clippy::wildcard_enum_match_arm, reason = "the rest is alike")]
pub(super) fn unreached(place: impl Display, error: &Error) -> String {
    let sign = match error.kind() {
        ErrorKind::ConnectionRefused => Sign::Refused,
        ErrorKind::PermissionDenied => Sign::Shut,
        ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable => Sign::NoWay,
        ErrorKind::TimedOut => Sign::Silent,
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted => Sign::Reset,
        _ => return told(place, Sign::Other, format!(" ({error})")),
    };
    told(place, sign, "")
}

/// Why a connection that stood has ended.
pub(super) fn ended(error: &Error) -> String {
    if let Some(sign) = alert(error) {
        return bare(sign, "");
    }
    let kind = error.kind();
    if kind == ErrorKind::UnexpectedEof {
        return bare(Sign::Cut, "");
    }
    let reset = [ErrorKind::ConnectionReset, ErrorKind::ConnectionAborted, ErrorKind::BrokenPipe];
    if reset.contains(&kind) {
        return bare(Sign::Reset, "");
    }
    if kind == ErrorKind::TimedOut {
        return bare(Sign::Lost, "");
    }
    bare(Sign::Other, format!(" ({})", plain(&error.to_string())))
}

/// Why one by QUIC has ended, or did not come about.
pub(super) fn ended_quic(error: &ConnectionError) -> String {
    let sign = match error {
        ConnectionError::TimedOut => Sign::Lost,
        ConnectionError::VersionMismatch => Sign::Protocol,
        ConnectionError::Reset => Sign::Reset,
        // What the other gateway says.
        ConnectionError::ApplicationClosed(close) => {
            return words(&String::from_utf8_lossy(&close.reason));
        }
        ConnectionError::ConnectionClosed(close) => sign_of(close.error_code),
        ConnectionError::TransportError(e) => sign_of(e.code),
        ConnectionError::LocallyClosed | ConnectionError::CidsExhausted => Sign::Other,
    };
    let detail = if sign == Sign::Other {
        format!(" ({})", plain(&error.to_string()))
    } else {
        String::new()
    };
    bare(sign, detail)
}

/// What an alert of TLS means here; `None`: nothing in particular.
fn meaning(alert: u8) -> Option<Sign> {
    let is = |other: AlertDescription| alert == u8::from(other);
    if is(AlertDescription::CertificateUnknown) {
        return Some(Sign::NotKnown);
    }
    is(AlertDescription::NoApplicationProtocol).then_some(Sign::Protocol)
}

/// The same of QUIC's codes, which those alerts are a part of (RFC 9001 §4.8).
fn sign_of(code: TransportErrorCode) -> Sign {
    let alert = u64::from(code).checked_sub(0x100).and_then(|alert| u8::try_from(alert).ok());
    alert.and_then(meaning).unwrap_or(Sign::Other)
}

/// What the other end says of a handshake by TCP.
#[expect(clippy::wildcard_enum_match_arm, reason = "the rest is alike")]
fn alert(error: &Error) -> Option<Sign> {
    match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::AlertReceived(alert) => meaning(u8::from(*alert)),
        rustls::Error::NoApplicationProtocol => Some(Sign::Protocol),
        _ => None,
    }
}

/// Whether the other end has said that it does not believe our key.
pub(super) fn is_unbelieved(error: &Error) -> bool {
    alert(error) == Some(Sign::NotKnown)
}

/// The same of QUIC.
pub(super) fn is_unbelieved_quic(error: &ConnectionError) -> bool {
    matches!(error, ConnectionError::ConnectionClosed(close)
        if sign_of(close.error_code) == Sign::NotKnown)
}

/// Why TLS did not come about before the other end had shown its key.
pub(super) fn not_the_head_office(to: &Place, proxy: Option<&Place>, error: &Error) -> String {
    let detail = if error.kind() == ErrorKind::UnexpectedEof {
        "it ends the connection in the handshake".to_owned()
    } else {
        plain(&error.to_string())
    };
    let who = match proxy {
        Some(proxy) => format!("proxy {proxy}: what answers behind it for {to}"),
        None => format!("{to} (tcp): what answers there"),
    };
    match alert(error) {
        Some(Sign::Protocol) => told(who, Sign::Protocol, ""),
        _ => format!("{who} {}", bare(Sign::NotTheOffice, format!(" ({detail})"))),
    }
}

/// Why somebody who came by TCP is no site.
pub(super) fn not_a_site(error: &Error) -> String {
    format!("{} (no gateway, or something on the way looks into TLS)", plain(&error.to_string()))
}

/// Without what the libraries say to programmers.
fn plain(text: &str) -> String {
    words(text.split(": https://").next().unwrap_or(text))
}

/// One of these sentences, as what was seen and what to do; the latter may be empty.
pub(super) fn parted(said: &str) -> (String, String) {
    let mut all = Sign::ALL.iter().map(|sign| sign.advice());
    let found =
        all.find_map(|advice| Some((said.strip_suffix(advice)?.strip_suffix(": ")?, advice)));
    found.map_or_else(
        || (said.to_owned(), String::new()),
        |(seen, advice)| (seen.to_owned(), advice.to_owned()),
    )
}

/// Characters that are kept.
const LONGEST: usize = 200;

/// Somebody else's words as they may stand in a log: controls (C0 and C1), ends of lines, and marks
/// that turn the direction of what follows are shown as what they are; what is too long is cut.
pub(super) fn words(said: &str) -> String {
    shown(said, LONGEST)
}

/// Of our own, with what others say in them: a sentence for each of two ways.
pub(super) fn sentences(said: &str) -> String {
    shown(said, LONGEST * 10)
}

fn shown(said: &str, longest: usize) -> String {
    let mut out = String::new();
    for c in said.chars().take(longest) {
        match c {
            '"' | '\'' | '\\' => out.push(c),
            c => out.extend(c.escape_debug()),
        }
    }
    if said.chars().nth(longest).is_some() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn place(text: &str) -> Place {
        Place::parse(text).unwrap()
    }

    #[test]
    fn an_end_is_told_in_words_for_people() {
        let manual = "peer closed connection without sending TLS close_notify: https://docs.rs/x";
        let eof = Error::new(ErrorKind::UnexpectedEof, manual);
        assert!(ended(&eof).contains("cut without a word"), "{}", ended(&eof));
        let told = ended(&Error::other(manual));
        assert!(told.contains("without sending TLS close_notify)") && !told.contains("https"));
        let (to, proxy) = (place("gate.example.net:443"), place("10.0.0.1:3128"));
        let told = not_the_head_office(&to, Some(&proxy), &Error::other("InvalidContentType"));
        for word in ["proxy 10.0.0.1:3128", "looks into TLS", "gate.example.net:443", "splice"] {
            assert!(told.contains(word), "{word}: {told}");
        }
        assert!(!not_the_head_office(&to, None, &eof).contains("https"));
        assert_eq!(words("a\r\nb\u{202e}c"), "a\\r\\nb\\u{202e}c");
    }

    #[test]
    fn what_the_other_end_says_is_one_short_line() {
        let said = "closed\r\n2026 INFO \u{1b}[31m\u{9b}31m\u{202e}\u{2028} \"forged\" é";
        let shown = words(said);
        assert!(shown.starts_with("closed\\r\\n2026 INFO \\u{1b}[31m"), "{shown}");
        assert!(shown.ends_with(" \"forged\" é"), "{shown}");
        let bad = |c: char| c.is_control() || ('\u{2028}'..='\u{202e}').contains(&c);
        assert!(!shown.chars().any(bad), "{shown}");
        assert!(words(&"\n".repeat(5_000)).chars().count() <= 2 * LONGEST + 1);
        assert_eq!(words("closed by peer: 0"), "closed by peer: 0");
    }

    #[test]
    fn a_sentence_is_parted_into_what_was_seen_and_what_to_do() {
        let said = told("192.0.2.1:443 (udp)", Sign::Silent, "");
        let (seen, todo) = parted(&said);
        assert_eq!(
            (seen.as_str(), todo.as_str()),
            ("192.0.2.1:443 (udp): no answer", Sign::Silent.advice())
        );
        assert_eq!(parted("x: y"), ("x: y".to_owned(), String::new()));
    }

    #[test]
    fn what_the_kernel_and_tls_say_is_told_by_what_to_do() {
        let at = "192.0.2.1:443 (tcp)";
        for (kind, sign) in [
            (ErrorKind::ConnectionRefused, Sign::Refused),
            (ErrorKind::PermissionDenied, Sign::Shut),
            (ErrorKind::NetworkUnreachable, Sign::NoWay),
            (ErrorKind::HostUnreachable, Sign::NoWay),
            (ErrorKind::TimedOut, Sign::Silent),
        ] {
            let want = format!("{at}: {sign}: {}", sign.advice());
            assert_eq!(unreached(at, &Error::from(kind)), want);
        }
        let alert = |alert| Error::other(rustls::Error::AlertReceived(alert));
        let unknown = alert(AlertDescription::CertificateUnknown);
        assert!(is_unbelieved(&unknown) && ended(&unknown).contains("[[peer]]"));
        let protocol = alert(AlertDescription::NoApplicationProtocol);
        assert!(ended(&protocol).starts_with(Sign::Protocol.as_str()));
        let code = |alert: AlertDescription| TransportErrorCode::crypto(u8::from(alert));
        assert_eq!(sign_of(code(AlertDescription::CertificateUnknown)), Sign::NotKnown);
        assert_eq!(sign_of(code(AlertDescription::NoApplicationProtocol)), Sign::Protocol);
        assert_eq!(sign_of(TransportErrorCode::NO_ERROR), Sign::Other);
        assert!(ended_quic(&ConnectionError::VersionMismatch).starts_with(Sign::Protocol.as_str()));
        assert!(alert(AlertDescription::HandshakeFailure).get_ref().is_some());
        let odd = Arc::new(Error::other("x\n"));
        assert!(ended(&odd).starts_with("it failed (x\\n): it is tried again"), "{}", ended(&odd));
    }
}
