//! What a phone says in Authorization or Proxy-Authorization (RFC 7616 §3.4): read, not judged.

use super::Algorithm;

/// Octets of an Authorization value that are read.
const LONGEST: usize = 4_096;

/// What an Authorization value says.
pub(super) struct Credentials {
    pub(super) user: String,
    pub(super) realm: String,
    pub(super) nonce: String,
    pub(super) uri: String,
    pub(super) response: String,
    /// `None`: one we do not know.
    pub(super) algorithm: Option<Algorithm>,
    pub(super) qop: Option<String>,
    pub(super) nc: String,
    pub(super) cnonce: String,
}

impl Credentials {
    /// The nonce count: eight hexadecimal digits, from 1 on (RFC 7616 §3.4).
    pub(super) fn nc_number(&self) -> Option<u32> {
        let digits = self.nc.len() == 8 && self.nc.bytes().all(|b| b.is_ascii_hexdigit());
        let count = digits.then(|| u32::from_str_radix(&self.nc, 16).ok()).flatten();
        count.filter(|n| *n > 0)
    }

    /// `None`: no digest credentials, or they cannot be read.
    pub(super) fn parse(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok().filter(|t| t.len() <= LONGEST)?;
        let (scheme, rest) = text.trim().split_once([' ', '\t'])?;
        if !scheme.eq_ignore_ascii_case("Digest") {
            return None;
        }
        let fields = fields(rest)?;
        let get = |name: &str| {
            fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.clone())
        };
        let algorithm = match get("algorithm").as_deref().map(str::to_ascii_uppercase).as_deref() {
            None | Some("MD5") => Some(Algorithm::Md5),
            Some("SHA-256") => Some(Algorithm::Sha256),
            Some(_) => None,
        };
        let uri = get("uri").filter(|u| !u.is_empty())?;
        Some(Self {
            user: get("username")?,
            realm: get("realm")?,
            nonce: get("nonce")?,
            uri,
            response: get("response")?.to_ascii_lowercase(),
            algorithm,
            qop: get("qop"),
            nc: get("nc").unwrap_or_default(),
            cnonce: get("cnonce").unwrap_or_default(),
        })
    }
}

/// `name=value, name="va\"lue"`; at most 32 of them.
fn fields(text: &str) -> Option<Vec<(String, String)>> {
    let mut out = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=')?;
        let after = after.trim_start();
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => {
                let end = after.find(',').unwrap_or(after.len());
                let (value, next) = after.split_at_checked(end)?;
                (value.trim().to_owned(), next)
            }
        };
        if out.len() >= 32 {
            return None;
        }
        out.push((name.trim().to_owned(), value));
        rest = next.trim_start().trim_start_matches(',').trim_start();
    }
    Some(out)
}

/// A quoted string's content, and what follows it.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((out, text.get(at + 1..)?)),
            '\\' => out.push(chars.next()?.1),
            c => out.push(c),
        }
    }
    None
}
