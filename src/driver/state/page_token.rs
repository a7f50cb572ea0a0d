//! The token that opens the page: 128 bits in the state folder, made at the first start.

use super::{StateError, fault, random};
use crate::driver::folder::{make_secret, secret};
use std::path::Path;

const FILE: &str = "page-token";
/// Shortest token, in characters: whoever writes his own writes one that nobody guesses.
const SHORTEST: usize = 20;

/// The token, made if it is not there yet, mode 0600. Removing the file and a restart lock
/// everybody out.
///
/// # Errors
/// The file cannot be made or read, others can read it, or it holds no token.
pub fn page_token(state: &Path) -> Result<String, StateError> {
    let path = state.join(FILE);
    let hex = || random::<16>().iter().map(|b| format!("{b:02x}")).collect::<String>() + "\n";
    make_secret(&path, hex).map_err(|e| fault(&path, &e))?;
    let text = secret(&path).map_err(|e| fault(&path, &e))?;
    let token = text.trim();
    let is_plain = token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if token.len() < SHORTEST || !is_plain {
        let what = format!(
            "holds no token of at least {SHORTEST} letters and digits: remove it, and a new one is \
             made"
        );
        return Err(StateError { path: path.display().to_string(), what, busy: false });
    }
    Ok(token.to_owned())
}
