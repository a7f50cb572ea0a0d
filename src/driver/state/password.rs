//! The one password of a site without a users file.

use super::keys::random;
use super::{StateError, fault};
use crate::driver::folder::{make_secret, secret};
use std::io;
use std::path::Path;

/// Shortest password that a site may give all its extensions, in octets.
const SHORTEST: usize = 8;

/// The site's password; made at the first start: four pronounceable words, 75 bits.
///
/// # Errors
/// The file cannot be read or written, or others can read it.
pub fn site_password(path: &Path) -> Result<String, StateError> {
    let made = make_secret(path, || new_password() + "\n");
    made.map_err(|e| fault(path, &e))?;
    kept(path).map_err(|e| fault(path, &e))?
}

/// The same, made by nobody; `None`: it is not there yet.
///
/// # Errors
/// The file cannot be read, or others can read it.
pub fn kept_password(path: &Path) -> Result<Option<String>, StateError> {
    match kept(path) {
        Ok(password) => password.map(Some),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(fault(path, &e)),
    }
}

fn kept(path: &Path) -> io::Result<Result<String, StateError>> {
    let text = secret(path)?;
    let password = text.trim();
    // A start that was cut short leaves an empty file; nobody may register with no password.
    if password.len() < SHORTEST {
        let what = format!(
            "holds no password of at least {SHORTEST} characters: write one, or remove the file \
             and a new one is made"
        );
        return Ok(Err(StateError { path: path.display().to_string(), what, busy: false }));
    }
    Ok(Ok(password.to_owned()))
}

/// Syllables of a consonant and a vowel, drawn one by one: log2(80) = 6.32 bits each.
const SYLLABLES: usize = 12;
/// Syllables of a word.
const WORD: usize = 3;
const CONSONANTS: &[u8] = b"bdfghjklmnprstvz";
const VOWELS: &[u8] = b"aeiou";

fn new_password() -> String {
    let mut out = String::new();
    for at in 0..SYLLABLES {
        if at > 0 && at % WORD == 0 {
            out.push('-');
        }
        // 64 bits for one of 80: what the remainder prefers cannot be seen.
        let n = u64::from_be_bytes(random::<8>());
        let pick = |from: &'static [u8], n: u64| {
            let at = usize::try_from(n % from.len() as u64).unwrap_or(0);
            char::from(from.get(at).copied().unwrap_or(b'a'))
        };
        out.push(pick(CONSONANTS, n));
        out.push(pick(VOWELS, n / CONSONANTS.len() as u64));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_new_password_has_72_bits_and_more() {
        let choices = u128::try_from(CONSONANTS.len() * VOWELS.len()).unwrap();
        assert!(choices.pow(u32::try_from(SYLLABLES).unwrap()) >= 1 << 72);
        let distinct = |all: &[u8]| all.iter().collect::<BTreeSet<_>>().len();
        assert_eq!(distinct(CONSONANTS) * distinct(VOWELS), CONSONANTS.len() * VOWELS.len());
        let made: BTreeSet<String> = (0..64).map(|_| new_password()).collect();
        assert_eq!(made.len(), 64);
        for password in &made {
            let words: Vec<&str> = password.split('-').collect();
            assert!(words.len() == 4 && words.iter().all(|w| w.len() == 2 * WORD), "{password}");
        }
        // Every letter comes in every place sooner or later: nothing is fixed.
        let at = |i: usize| made.iter().filter_map(move |p| p.as_bytes().get(i)).copied();
        assert!((0..13).filter(|i| *i != 6).all(|i| at(i).collect::<BTreeSet<_>>().len() > 3));
    }
}
