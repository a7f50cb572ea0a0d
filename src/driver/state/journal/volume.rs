//! The file of the journal. Whatever it does may take as long as the volume likes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

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
    dir: PathBuf,
    name: &'static str,
    file: File,
}

impl FileVolume {
    pub(super) fn open(dir: &Path, name: &'static str) -> io::Result<Self> {
        Ok(Self { dir: dir.to_owned(), name, file: appending(&dir.join(name))? })
    }
}

impl Volume for FileVolume {
    fn append(&mut self, lines: &str) -> io::Result<()> {
        self.file.write_all(lines.as_bytes())?;
        self.file.sync_data()
    }

    fn replace(&mut self, lines: &str) -> io::Result<()> {
        let (path, fresh) = (self.dir.join(self.name), self.dir.join(format!("{}.new", self.name)));
        let mut file =
            OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&fresh)?;
        file.write_all(lines.as_bytes())?;
        file.sync_all()?;
        let next = appending(&fresh)?;
        fs::rename(&fresh, &path)?;
        self.file = next;
        // The name, too, must outlive a power failure; without it the old file is found, whole.
        File::open(&self.dir)?.sync_all()
    }
}

fn appending(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}
