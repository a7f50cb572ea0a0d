//! `;name=value` parameters in their order, unknown ones kept (RFC 3261 §25.1 generic-param).

use super::text::{find_outside, is_host, is_token, text_of, trim};
use crate::wire::limits;
use std::fmt;

/// Ordered parameters. Names compare case-insensitively; values are kept as written (a quoted
/// value with its quotes).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params(pub Vec<(Box<str>, Option<Box<str>>)>);

impl Params {
    /// Reads what follows the first `;` (leading `;` included); `None` when it is broken, or more
    /// than [`limits::PARAMS`].
    pub(crate) fn parse(text: &[u8], strict: bool) -> Option<Self> {
        let mut all = Vec::new();
        let mut rest = trim(text);
        while let Some(after) = rest.strip_prefix(b";") {
            let end = find_outside(after, b';').unwrap_or(after.len());
            let (item, next) = after.split_at_checked(end)?;
            rest = next;
            let item = trim(item);
            if item.is_empty() {
                continue;
            }
            let (name, value) = match find_outside(item, b'=') {
                Some(at) => (trim(item.get(..at)?), Some(trim(item.get(at + 1..)?))),
                None => (item, None),
            };
            if name.is_empty() {
                return None;
            }
            if strict && (!is_token(name) || value.is_some_and(|v| !is_value(v))) {
                return None;
            }
            let name = std::str::from_utf8(name).ok()?;
            if all.len() >= limits::PARAMS {
                return None;
            }
            all.push((name.into(), value.map(|v| text_of(v).into())));
        }
        rest.is_empty().then_some(Self(all))
    }

    /// Value of `name`: `None` absent, `Some("")` present without a value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_deref().unwrap_or_default())
    }

    /// True when `name` stands more than once: two readers may take two values.
    pub(crate) fn is_double(&self, name: &str) -> bool {
        self.0.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).nth(1).is_some()
    }

    /// Sets or appends.
    pub fn set(&mut self, name: &str, value: Option<&str>) {
        let value: Option<Box<str>> = value.map(Into::into);
        match self.0.iter_mut().find(|(n, _)| n.eq_ignore_ascii_case(name)) {
            Some((_, v)) => *v = value,
            None => self.0.push((name.into(), value)),
        }
    }

    /// Removes every `name`; true when there was one.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        self.0.len() != before
    }
}

/// token / host / quoted-string.
fn is_value(value: &[u8]) -> bool {
    if let Some(inner) = value.strip_prefix(b"\"").and_then(|v| v.strip_suffix(b"\"")) {
        let mut escaped = false;
        for b in inner {
            match b {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => return false,
                _ => {}
            }
        }
        return !escaped;
    }
    // Some phones leave IPv6 `received` without brackets (RFC 5118 §4.5).
    value.is_empty()
        || is_token(value)
        || is_host(value)
        || value.iter().all(|b| b.is_ascii_graphic() && !b"\",;<>".contains(b))
}

/// Prints `;a=b;c`.
impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.0 {
            match value {
                Some(value) => write!(f, ";{name}={value}")?,
                None => write!(f, ";{name}")?,
            }
        }
        Ok(())
    }
}
