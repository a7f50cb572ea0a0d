//! Folders and files that only we may change. A path is walked once, link by link; from then on
//! files are opened by name in the open folder, never through a link, and looked at before they are
//! used. Who could change what stands here could put keys, registrations and records of his own
//! there, or have us write where he may not.

mod kept;
mod view;

pub(super) use kept::write_new;
pub use kept::{check_place, make_place, make_secret, secret, secret_of, trusted};
pub use view::{View, view};

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, Stat, fchmod, fstat, mkdirat, openat, readlinkat,
    renameat, unlinkat,
};
use rustix::io::Errno;
use rustix::process::geteuid;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Component, Path, PathBuf};

/// Links that a path may lead through, as for the kernel (path_resolution(7)).
const LINKS: usize = 40;
/// Others may write.
const WRITABLE: u32 = 0o022;
/// Octets of a file that is read whole.
const LONGEST: u64 = 1 << 30;

/// An open folder of our own.
#[derive(Debug)]
pub struct Folder {
    dir: OwnedFd,
    path: PathBuf,
}

fn refusal(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, what)
}

/// Whether this says by itself what to do.
#[must_use]
pub fn is_told(error: &io::Error) -> bool {
    error.get_ref().is_some()
}

fn own() -> u32 {
    geteuid().as_raw()
}

/// Ours, or root's, who may do everything anyway.
fn is_trusted(uid: u32) -> bool {
    uid == 0 || uid == own()
}

fn mode_of(about: &Stat) -> u32 {
    about.st_mode & 0o7777
}

impl Folder {
    /// Waits until nobody else has the turn at this folder, and has it until the value is dropped.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn turn(&self) -> io::Result<impl Drop + use<>> {
        let own = openat(&self.dir, ".", OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        rustix::fs::flock(&own, rustix::fs::FlockOperation::LockExclusive)?;
        Ok(own)
    }

    /// Opens a folder, and makes what is missing of its path with mode 0700.
    ///
    /// # Errors
    /// It cannot be made or opened; it is another user's; a link of another user leads there.
    pub fn open(path: &Path) -> io::Result<Self> {
        let found = walk(path, true)?;
        let dir = openat(&found.at, ".", OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let owner = fstat(&dir)?.st_uid;
        if owner != own() {
            let own = own();
            return Err(refusal(format!(
                "it belongs to uid {owner}, who could change what stands in it, and portreeve runs \
                 as uid {own}: run it as that user, or chown -R {own} this folder, or name another"
            )));
        }
        Ok(Self { dir, path: path.to_owned() })
    }

    /// Takes permission to write away from others; what was done, in words.
    ///
    /// # Errors
    /// The folder is meant for everybody (sticky), or its mode cannot be changed.
    pub fn tighten(&self) -> io::Result<Option<String>> {
        let mode = mode_of(&fstat(&self.dir)?);
        if mode & WRITABLE == 0 {
            return Ok(None);
        }
        let kept = mode & !WRITABLE;
        // A sticky folder (/tmp) is meant for everybody: not ours to close, whoever we are.
        if mode & 0o1000 == 0 && fchmod(&self.dir, Mode::from_raw_mode(kept)).is_ok() {
            let path = self.path.display();
            return Ok(Some(format!(
                "{path}: others could write here (mode {mode:o}); now {kept:o}"
            )));
        }
        Err(refusal(format!(
            "others may write here (mode {mode:o}), so nothing in it is safe: chmod go-w it, or \
             name a folder inside it, which portreeve makes for itself"
        )))
    }

    /// Where it is, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a file of this folder to read it; `None`: there is none.
    ///
    /// # Errors
    /// It cannot be read, or is not one that only we can change.
    pub fn reading(&self, name: &str) -> io::Result<Option<File>> {
        match guarded(self.dir.as_fd(), OsStr::new(name), OFlags::RDONLY, Mode::empty()) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            other => other.map(Some),
        }
    }

    /// A file's octets; `None`: there is none.
    ///
    /// # Errors
    /// As [`Folder::reading`], or it holds more than 1 GiB.
    pub fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        self.reading(name)?.map(whole).transpose()
    }

    /// Opens a file to add to its end; makes it, of mode 0600.
    ///
    /// # Errors
    /// It cannot be written, or is not one that only we can change.
    pub fn appending(&self, name: &str) -> io::Result<File> {
        self.making(name, OFlags::WRONLY | OFlags::APPEND)
    }

    /// Opens a file to read and write it; makes it, of mode 0600.
    ///
    /// # Errors
    /// As [`Folder::appending`].
    pub fn writing(&self, name: &str) -> io::Result<File> {
        self.making(name, OFlags::RDWR)
    }

    fn making(&self, name: &str, how: OFlags) -> io::Result<File> {
        let mode = Mode::RUSR | Mode::WUSR;
        guarded(self.dir.as_fd(), OsStr::new(name), how | OFlags::CREATE, mode)
    }

    /// Makes a file that was not there, of mode 0600, and opens it to write it.
    ///
    /// # Errors
    /// It was there, or cannot be made.
    pub fn new_file(&self, name: &str) -> io::Result<File> {
        new_file(self.dir.as_fd(), OsStr::new(name))
    }

    /// Gives a file another name, in place of what had that name.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(renameat(&self.dir, from, &self.dir, to)?)
    }

    /// Removes a file; one that is not there is no fault.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        match unlinkat(&self.dir, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// Its names, too, outlive a power failure then.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.dir)?)
    }

    /// Names of its files, in order.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.dir)? {
            names.push(String::from_utf8_lossy(entry?.file_name().to_bytes()).into_owned());
        }
        names.sort();
        Ok(names)
    }
}

fn whole(file: File) -> io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut octets)?;
    if octets.len() as u64 > LONGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is longer than 1 GiB"));
    }
    Ok(octets)
}

/// Opens a regular file that only we (or root) can change, and nothing else.
fn guarded(dir: BorrowedFd<'_>, name: &OsStr, how: OFlags, mode: Mode) -> io::Result<File> {
    let file = file(dir, name, how, mode)?;
    let mode = mode_of(&fstat(&file)?);
    if mode & WRITABLE != 0 {
        return Err(refusal(format!("others may change it (mode {mode:o}): chmod go-w it")));
    }
    Ok(file)
}

/// Opens a regular file that is ours, or root's.
fn file(dir: BorrowedFd<'_>, name: &OsStr, how: OFlags, mode: Mode) -> io::Result<File> {
    let (file, owner) = regular(dir, name, how, mode)?;
    if !is_trusted(owner) {
        let own = own();
        return Err(refusal(format!(
            "it belongs to uid {owner}, who could change it: chown {own} it, or remove it"
        )));
    }
    Ok(file)
}

/// Opens a regular file, and says whose it is.
fn regular(dir: BorrowedFd<'_>, name: &OsStr, how: OFlags, mode: Mode) -> io::Result<(File, u32)> {
    // Not to wait where somebody has put a pipe.
    let how = how | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = match openat(dir, name, how, mode) {
        Err(Errno::LOOP) => {
            return Err(refusal("it is a link, which is not followed: remove it".to_owned()));
        }
        other => other?,
    };
    let about = fstat(&file)?;
    if FileType::from_raw_mode(about.st_mode) != FileType::RegularFile {
        return Err(refusal("it is no regular file: remove it".to_owned()));
    }
    Ok((file.into(), about.st_uid))
}

fn new_file(dir: BorrowedFd<'_>, name: &OsStr) -> io::Result<File> {
    let how = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(dir, name, how, Mode::RUSR | Mode::WUSR)?.into())
}

/// What a path leads to.
struct Found {
    /// The folder it stands in, and its name there.
    parent: OwnedFd,
    name: OsString,
    at: OwnedFd,
}

const PASSING: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Walks a path step by step. A link is followed where root or we made it: that of somebody else
/// would have us read and write where he likes.
fn walk(path: &Path, make: bool) -> io::Result<Found> {
    let start = |path: &Path| {
        let from = if path.is_absolute() { "/" } else { "." };
        openat(CWD, from, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
    };
    let mut found = Found { parent: start(path)?, name: ".".into(), at: start(path)? };
    let mut left = steps(path);
    let mut links = 0;
    while let Some(step) = left.pop() {
        let next = match openat(&found.at, &step, PASSING, Mode::empty()) {
            Err(Errno::NOENT) if make => {
                match mkdirat(&found.at, &step, Mode::RWXU) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(e) => return Err(e.into()),
                }
                openat(&found.at, &step, PASSING, Mode::empty())?
            }
            other => other?,
        };
        let about = fstat(&next)?;
        if FileType::from_raw_mode(about.st_mode) != FileType::Symlink {
            found = Found { parent: found.at, name: step, at: next };
            continue;
        }
        links += 1;
        if !is_trusted(about.st_uid) || links > LINKS {
            let (name, owner) = (step.display(), about.st_uid);
            return Err(refusal(format!(
                "`{name}` in this path is a link of uid {owner}, which is not followed: name the \
                 folder that is meant, or make the link yourself (chown -h)"
            )));
        }
        let target = readlinkat(&next, "", Vec::new())?.into_bytes();
        let target = PathBuf::from(OsString::from_vec(target));
        if target.is_absolute() {
            found.at = start(&target)?;
        }
        left.extend(steps(&target));
    }
    Ok(found)
}

/// The names of a path, the first one last.
fn steps(path: &Path) -> Vec<OsString> {
    let named = |c: Component<'_>| match c {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsStr::from_bytes(b"..").to_owned()),
        Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
    };
    let mut names: Vec<OsString> = path.components().filter_map(named).collect();
    names.reverse();
    names
}

#[cfg(test)]
mod tests;
