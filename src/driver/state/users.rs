//! Users from a file as htdigest writes it.

use super::{StateError, fault};
use crate::driver::folder::secret;
use crate::engine::digest::{Ha1, Users};
use std::collections::HashMap;
use std::io;
use std::path::Path;

/// Users from `user:realm:HA1-MD5[:HA1-SHA-256]` lines, as htdigest writes them.
///
/// # Errors
/// Unreadable, readable by others, or the first line that is broken or made for another realm than
/// `realm`: a hash holds its realm, so nobody could register with it.
pub fn users(path: &Path, realm: &str) -> Result<Users, StateError> {
    let text = secret(path).map_err(|e| missing(path, realm, &e))?;
    let mut table = HashMap::new();
    for (i, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let fields: Vec<&str> = line.trim().split(':').collect();
        let hex = |at: usize, len: usize| {
            let field = fields.get(at)?;
            let fine = field.len() == len && field.bytes().all(|b| b.is_ascii_hexdigit());
            fine.then(|| field.to_ascii_lowercase())
        };
        let (md5, sha256) = (hex(2, 32), hex(3, 64));
        if fields.len() < 3 || (md5.is_none() && sha256.is_none()) {
            let what = format!("line {}: want user:realm:HA1-MD5[:HA1-SHA-256]", i + 1);
            return Err(StateError { path: path.display().to_string(), what, busy: false });
        }
        if fields[1] != realm {
            let what = format!(
                "line {}: made for the realm \"{}\", but registrar.realm is \"{realm}\": write the \
                 line's realm there, or make the line anew (htdigest FILE {realm} {})",
                i + 1,
                fields[1],
                fields[0]
            );
            return Err(StateError { path: path.display().to_string(), what, busy: false });
        }
        table.insert(fields[0].to_owned(), Ha1 { md5, sha256 });
    }
    Ok(Users::Table(table))
}

/// It cannot be read; where it is not there, how it is made.
fn missing(path: &Path, realm: &str, e: &io::Error) -> StateError {
    let mut told = fault(path, e);
    if e.kind() == io::ErrorKind::NotFound {
        let file = path.display();
        told.what = format!("{e}; make it (htdigest -c {file} {realm} USER), or name another");
    }
    told
}
