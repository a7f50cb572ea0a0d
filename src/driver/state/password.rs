//! The one password of a site without a users file.

use super::keys::random;
use super::permissions::{private, secret};
use super::{StateError, fault};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

/// Shortest password that a site may give all its extensions, in octets.
const SHORTEST: usize = 8;

/// The site's password; made at the first start: two pronounceable words and a number, 48 bits.
///
/// # Errors
/// The file cannot be read or written, or others can read it.
pub fn site_password(path: &Path) -> Result<String, StateError> {
    if !path.exists() {
        if let Some(parent) = path.parent() {
            let make = fs::DirBuilder::new().recursive(true).mode(0o700).create(parent);
            make.map_err(|e| fault(parent, &e))?;
        }
        secret(path, &(new_password() + "\n")).map_err(|e| fault(path, &e))?;
    }
    private(path)?;
    let text = fs::read_to_string(path).map_err(|e| fault(path, &e))?;
    let password = text.trim();
    // A start that was cut short leaves an empty file; nobody may register with no password.
    if password.len() < SHORTEST {
        let what = format!(
            "holds no password of at least {SHORTEST} characters: write one, or remove the file \
             and a new one is made"
        );
        return Err(StateError { path: path.display().to_string(), what, busy: false });
    }
    Ok(password.to_owned())
}

fn new_password() -> String {
    let raw = random::<8>();
    let mut n = u64::from_be_bytes(raw);
    let mut pick = |from: &'static [u8]| {
        let c = from.get(usize::try_from(n % from.len() as u64).unwrap_or(0)).copied();
        n /= from.len() as u64;
        char::from(c.unwrap_or(b'a'))
    };
    let mut word = |out: &mut String| {
        for _ in 0..3 {
            out.push(pick(b"bdfghjklmnprstvz"));
            out.push(pick(b"aeiou"));
        }
    };
    let mut out = String::new();
    word(&mut out);
    out.push('-');
    word(&mut out);
    let digits = u16::from_be_bytes(random::<2>()) % 1000;
    let _ = write!(out, "-{digits:03}");
    out
}
