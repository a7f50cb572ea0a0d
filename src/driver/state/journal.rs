//! Bindings as lines of JSON; the last line of a key holds. It never judges what it keeps.

use super::State;
use crate::engine::StoredBinding;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

impl State {
    /// Bindings as they were stored.
    #[must_use]
    pub fn bindings(&self) -> Vec<StoredBinding> {
        self.live.values().cloned().collect()
    }

    /// Stores a binding.
    ///
    /// # Errors
    /// The volume is full or gone.
    pub fn store(&mut self, binding: StoredBinding) -> io::Result<()> {
        let line = serde_json::to_string(&binding)? + "\n";
        self.live.insert(binding.key.clone(), binding);
        self.write(&line)
    }

    /// Forgets a binding.
    ///
    /// # Errors
    /// As [`State::store`].
    pub fn remove(&mut self, key: &str) -> io::Result<()> {
        if self.live.remove(key).is_none() {
            return Ok(());
        }
        let line = serde_json::json!({ "removed": key }).to_string() + "\n";
        self.write(&line)
    }

    fn write(&mut self, line: &str) -> io::Result<()> {
        if self.torn {
            self.journal.write_all(b"\n")?;
        }
        self.torn = true;
        self.journal.write_all(line.as_bytes())?;
        self.torn = false;
        self.lines += 1;
        if self.lines > 1_000 + 4 * self.live.len() {
            self.compact()?;
        }
        Ok(())
    }

    /// Writes what is live into a new file and puts it in the old one's place.
    fn compact(&mut self) -> io::Result<()> {
        let (path, fresh) = (self.dir.join("bindings.jsonl"), self.dir.join("bindings.new"));
        let mut text = String::new();
        for b in self.live.values() {
            text.push_str(&serde_json::to_string(b)?);
            text.push('\n');
        }
        let mut file =
            OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&fresh)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&fresh, &path)?;
        self.journal = append(&path)?;
        self.lines = self.live.len();
        Ok(())
    }
}

pub(super) fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

/// Live bindings, the number of lines, and whether the last one is torn; a torn or foreign line is
/// skipped.
pub(super) fn read_journal(path: &Path) -> (BTreeMap<String, StoredBinding>, usize, bool) {
    // Octets, not text: what a power failure left in one line must not cost the others.
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let mut live = BTreeMap::new();
    let mut lines = 0;
    for line in text.lines() {
        lines += 1;
        if let Ok(b) = serde_json::from_str::<StoredBinding>(line) {
            live.insert(b.key.clone(), b);
        } else if let Ok(v) = serde_json::from_str::<serde_json::Value>(line)
            && let Some(key) = v.get("removed").and_then(serde_json::Value::as_str)
        {
            live.remove(key);
        }
    }
    (live, lines, !text.is_empty() && !text.ends_with('\n'))
}
