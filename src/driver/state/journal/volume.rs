//! The file of the journal. Whatever it does may take as long as the volume likes.

use crate::driver::folder::Folder;
use std::fs::File;
use std::io::{self, Write as _};
use std::sync::Arc;

/// Where lines are kept.
pub(super) trait Volume: Send {
    /// Adds lines; when it returns, they outlive a power failure. After an error a part of them may
    /// stand there.
    fn append(&mut self, lines: &str) -> io::Result<()>;

    /// Puts these lines in the place of all; after an error the old ones are still there.
    fn replace(&mut self, lines: &str) -> io::Result<()>;
}

/// A file, of mode 0600.
#[derive(Debug)]
pub(super) struct FileVolume {
    dir: Arc<Folder>,
    name: &'static str,
    file: File,
}

impl FileVolume {
    pub(super) fn open(dir: &Arc<Folder>, name: &'static str) -> io::Result<Self> {
        Ok(Self { dir: dir.clone(), name, file: dir.appending(name)? })
    }
}

impl Volume for FileVolume {
    fn append(&mut self, lines: &str) -> io::Result<()> {
        self.file.write_all(lines.as_bytes())?;
        self.file.sync_data()
    }

    fn replace(&mut self, lines: &str) -> io::Result<()> {
        let fresh = format!("{}.new", self.name);
        self.dir.remove(&fresh)?;
        let mut file = self.dir.new_file(&fresh)?;
        file.write_all(lines.as_bytes())?;
        file.sync_all()?;
        let next = self.dir.appending(&fresh)?;
        self.dir.rename(&fresh, self.name)?;
        self.file = next;
        // The name, too, must outlive a power failure; without it the old file is found, whole.
        self.dir.sync()
    }
}
