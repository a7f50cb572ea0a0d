//! Keys that seal what leaves the site, and octets from the operating system.

use super::{State, StateError, fault};
use crate::driver::folder::{secret, write_new};
use std::fmt::Write as _;

const FILE: &str = "keys";

impl State {
    /// Sealing keys, newest first; made at the first start.
    ///
    /// # Errors
    /// The file cannot be read or written, or is no key file.
    pub fn keys(&self) -> Result<Vec<(u8, [u8; 64])>, StateError> {
        let path = self.dir.path().join(FILE);
        let told = |e| fault(&path, &e);
        if self.dir.reading(FILE).map_err(told)?.is_none() {
            let mut text = String::from("0:");
            for b in random::<64>() {
                let _ = write!(text, "{b:02x}");
            }
            let made = self.dir.new_file(FILE).and_then(|file| write_new(file, &(text + "\n")));
            made.map_err(told)?;
        }
        let text = secret(&path).map_err(told)?;
        let keys: Option<Vec<_>> = text.lines().map(key).collect();
        keys.filter(|k| !k.is_empty()).ok_or_else(|| StateError {
            path: path.display().to_string(),
            what: "is no key file; remove it to make a new one (phones must register again)".into(),
            busy: false,
        })
    }
}

fn key(line: &str) -> Option<(u8, [u8; 64])> {
    let (id, hex) = line.trim().split_once(':')?;
    let mut key = [0; 64];
    if hex.len() != 128 {
        return None;
    }
    for (i, b) in key.iter_mut().enumerate() {
        *b = u8::from_str_radix(hex.get(2 * i..2 * i + 2)?, 16).ok()?;
    }
    Some((id.parse().ok().filter(|id| *id < 62)?, key))
}

/// Octets from the operating system.
#[must_use]
pub fn random<const N: usize>() -> [u8; N] {
    let mut out = [0; N];
    // Without a random source nothing here is safe to run.
    assert!(getrandom::fill(&mut out).is_ok(), "the operating system gives no random numbers");
    out
}
