//! Is this the log that was written? It reads files for `audit::verify`, and those of a tunnel's
//! other end, which noted where this log stood. It writes nothing.

use super::files;
use crate::audit::{Heads, Summary, verify};
use std::path::{Path, PathBuf};
use std::{fs, io};

/// What a log is checked against.
#[derive(Clone, Copy, Debug, Default)]
pub struct Against<'a> {
    /// The hash that its last line has.
    pub tip: Option<&'a str>,
    /// The log of a tunnel's other end: a folder or a file.
    pub peer: Option<&'a Path>,
    /// The tunnel as it is called there; `None`: the only one, or that of this log's site.
    pub tunnel: Option<&'a str>,
    /// A record that was noted elsewhere: `N:HASH`.
    pub head: Option<&'a str>,
}

/// Verifies a file or a folder of files.
///
/// # Errors
/// In words: not readable, or the first broken line; what it is to be checked against is no such
/// thing, or says nothing of this log.
pub fn verify_path(path: &Path, against: &Against<'_>) -> Result<Summary, String> {
    let text = read(path)?;
    let mut heads = Heads::default();
    if let Some(head) = against.head {
        let wrong = || format!("--head {head}: no number and hash, as N:HASH");
        heads = Heads::parse(head).ok_or_else(wrong)?;
    }
    if let Some(peer) = against.peer {
        let told = |what: String| format!("the other end's log, {}: {what}", peer.display());
        let theirs = read(peer)?;
        // What was changed there says nothing.
        verify(lines(&theirs), None, &Heads::default()).map_err(|b| told(b.to_string()))?;
        let noted = Heads::noted(lines(&theirs), against.tunnel, &site(&text));
        heads = heads.and(noted.map_err(|e| told(e.to_string()))?);
    }
    verify(lines(&text), against.tip, &heads).map_err(|b| b.to_string())
}

/// A file itself, or the log's files of a folder, oldest first.
///
/// # Errors
/// In words: it cannot be read, or holds none.
pub fn files_of(path: &Path) -> Result<Vec<PathBuf>, String> {
    let told = |e: io::Error| format!("{}: {e}", path.display());
    let all = if path.is_dir() { files(path).map_err(told)? } else { vec![path.to_owned()] };
    if all.is_empty() {
        return Err(format!("{}: no audit-*.jsonl in this folder", path.display()));
    }
    // A pipe would be waited for, a device read for ever.
    let odd = all.iter().find(|file| !file.metadata().is_ok_and(|m| m.is_file()));
    if let Some(file) = odd.filter(|file| file.exists()) {
        return Err(format!("{}: it is no regular file", file.display()));
    }
    Ok(all)
}

fn read(path: &Path) -> Result<String, String> {
    let told = |e: io::Error| format!("{}: {e}", path.display());
    let all = files_of(path)?;
    let mut text = String::new();
    for file in &all {
        text.push_str(&fs::read_to_string(file).map_err(told)?);
    }
    if text.is_empty() {
        return Err(format!("{}: no record, not even of the start", path.display()));
    }
    Ok(text)
}

/// Not `str::lines`: that would forgive carriage returns.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split_terminator('\n')
}

/// Whose log it is.
fn site(text: &str) -> String {
    let last = lines(text).last().unwrap_or_default();
    let value: serde_json::Value = serde_json::from_str(last).unwrap_or_default();
    value.get("site").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
}
