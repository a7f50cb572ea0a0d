//! What went wrong on the way to the other end, in words for whoever looks after this network. It
//! judges nothing.

use crate::config::Place;
use std::io::{Error, ErrorKind};

/// Why a connection that stood has ended.
pub(super) fn ended(error: &Error) -> String {
    let kind = error.kind();
    if kind == ErrorKind::UnexpectedEof {
        return "it was cut without a word, by the other end, a proxy or a firewall".to_owned();
    }
    let reset = [ErrorKind::ConnectionReset, ErrorKind::ConnectionAborted, ErrorKind::BrokenPipe];
    if reset.contains(&kind) {
        return "it was reset, by the other end, a proxy or a firewall".to_owned();
    }
    if kind == ErrorKind::TimedOut {
        return "what was sent was not acknowledged any more".to_owned();
    }
    plain(&error.to_string())
}

/// Why TLS did not come about before the other end had shown its key.
pub(super) fn not_the_head_office(to: &Place, proxy: Option<&Place>, error: &Error) -> String {
    let detail = if error.kind() == ErrorKind::UnexpectedEof {
        "it ends the connection in the handshake".to_owned()
    } else {
        plain(&error.to_string())
    };
    match proxy {
        Some(proxy) => format!(
            "proxy {proxy}: what answers behind it is not the head office ({detail}): it looks \
             into TLS or shows a page of its own; it has to let {to} through as it is (Squid: \
             ssl_bump splice)"
        ),
        None => format!(
            "{to} (tcp): what answers there is not the head office ({detail}): is the place right, \
             and does a box on the way look into TLS or show a page of its own? It has to let {to} \
             through as it is"
        ),
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

/// Characters that are kept.
const LONGEST: usize = 200;

/// Somebody else's words as they may stand in a log: controls (C0 and C1), ends of lines, and marks
/// that turn the direction of what follows are shown as what they are; what is too long is cut.
pub(super) fn words(said: &str) -> String {
    let mut out = String::new();
    for c in said.chars().take(LONGEST) {
        match c {
            '"' | '\'' | '\\' => out.push(c),
            c => out.extend(c.escape_debug()),
        }
    }
    if said.chars().nth(LONGEST).is_some() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_in_words_for_people() {
        let manual = "peer closed connection without sending TLS close_notify: https://docs.rs/x";
        let eof = Error::new(ErrorKind::UnexpectedEof, manual);
        assert!(ended(&eof).contains("cut without a word"), "{}", ended(&eof));
        let other = Error::other(manual);
        assert_eq!(ended(&other), "peer closed connection without sending TLS close_notify");
        let to = Place::parse("gate.example.net:443").unwrap();
        let proxy = Place::parse("10.0.0.1:3128").unwrap();
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
}
