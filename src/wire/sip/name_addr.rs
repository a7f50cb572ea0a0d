//! name-addr and addr-spec values: From, To, Contact, Route … (RFC 3261 §20.10).

use super::text::{is_token, text_of, trim};
use super::{Params, Uri};
use std::fmt;

/// `"Display" <uri>;params`, or `uri;params` (then parameters are the header's, §20.10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameAddr {
    /// Display name as written (with its quotes), without trailing space; Latin-1 became UTF-8.
    pub display: Option<String>,
    /// The URI.
    pub uri: Uri,
    /// Header parameters (`tag`, `expires`, `q` …).
    pub params: Params,
}

impl NameAddr {
    /// Reads one value (no list); `None` when it is broken. `Contact: *` is not one.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let value = trim(value);
        if let Some(rest) = value.strip_prefix(b"\"") {
            let end = closing_quote(rest)?;
            let display = value.get(..end + 2)?;
            let after = trim(rest.get(end + 1..)?);
            return Self::bracketed(Some(display), after.strip_prefix(b"<")?);
        }
        match value.iter().position(|b| *b == b'<') {
            Some(at) => {
                let display = trim(value.get(..at)?);
                let words = |t: &[u8]| t.split(|b| *b == b' ' || *b == b'\t').all(is_word);
                if !display.is_empty() && !words(display) {
                    return None;
                }
                let display = (!display.is_empty()).then_some(display);
                Self::bracketed(display, value.get(at + 1..)?)
            }
            None => {
                // Without brackets, what follows ';' belongs to the header, '?' is not allowed.
                let end = value.iter().position(|b| *b == b';').unwrap_or(value.len());
                let (uri, params) = value.split_at_checked(end)?;
                if uri.contains(&b'?') || uri.contains(&b',') {
                    return None;
                }
                let uri = Uri::parse(uri)?;
                let params = Params::parse(params, true)?;
                // `sip:user;x=y@host`: is the host `user` or `host`? Brackets would have told.
                let unclear = |v: &str| v.contains('@') && !v.starts_with('"');
                if params.0.iter().any(|(_, v)| v.as_deref().is_some_and(unclear)) {
                    return None;
                }
                Some(Self { display: None, uri, params })
            }
        }
    }

    fn bracketed(display: Option<&[u8]>, rest: &[u8]) -> Option<Self> {
        let end = rest.iter().position(|b| *b == b'>')?;
        let uri = rest.get(..end)?;
        // RFC 4475 §3.1.2.14: spaces within the brackets are not allowed.
        if uri.iter().any(|b| *b == b' ' || *b == b'\t') {
            return None;
        }
        let display = display.map(text_of);
        Some(Self {
            display,
            uri: Uri::parse(uri)?,
            params: Params::parse(rest.get(end + 1..)?, true)?,
        })
    }

    /// `<uri>` without display name and parameters.
    #[must_use]
    pub fn of(uri: Uri) -> Self {
        Self { display: None, uri, params: Params::default() }
    }

    /// The `tag` parameter.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.params.get("tag")
    }
}

/// Where the quoted string ends (the index of its closing quote).
fn closing_quote(rest: &[u8]) -> Option<usize> {
    let mut escaped = false;
    for (i, b) in rest.iter().enumerate() {
        match b {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(i),
            _ => {}
        }
    }
    None
}

/// A word of an unquoted display name. Tokens by the grammar; phones write UTF-8 and Latin-1 too.
fn is_word(word: &[u8]) -> bool {
    word.is_empty()
        || is_token(word)
        || word.iter().all(|b| *b >= 0x80 || (b.is_ascii_graphic() && !b"\"<>,;@".contains(b)))
}

/// Always prints the bracketed form.
impl fmt::Display for NameAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(display) = &self.display {
            write!(f, "{display} ")?;
        }
        write!(f, "<{}>{}", self.uri, self.params)
    }
}
