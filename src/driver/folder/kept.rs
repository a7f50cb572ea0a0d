//! Single files that an administrator keeps for us, wherever he does. They are read as others of
//! our folders are: where only we may change them.

use super::{file, guarded, is_trusted, mode_of, new_file, own, refusal, regular, walk, whole};
use rustix::fd::AsFd as _;
use rustix::fs::{AtFlags, Mode, OFlags, Stat, fstat};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// A secret that an administrator keeps for us, wherever he does: its text.
///
/// # Errors
/// It cannot be read, another user could change it or others read it, or a link of another user
/// leads there.
pub fn secret(path: &Path) -> io::Result<String> {
    let found = walk(path, false)?;
    let file = file(found.parent.as_fd(), &found.name, OFlags::RDONLY, Mode::empty())?;
    text_of(file, path)
}

/// The same where root asks, who may look at what is another user's: whose it is then, who could
/// change it; `None`: ours or root's.
///
/// # Errors
/// As [`secret`].
pub fn secret_of(path: &Path) -> io::Result<(String, Option<u32>)> {
    if own() != 0 {
        return secret(path).map(|text| (text, None));
    }
    let found = walk(path, false)?;
    let how = OFlags::RDONLY;
    let (file, owner) = regular(found.parent.as_fd(), &found.name, how, Mode::empty())?;
    Ok((text_of(file, path)?, (!is_trusted(owner)).then_some(owner)))
}

fn text_of(file: File, path: &Path) -> io::Result<String> {
    let about = fstat(&file)?;
    let (mode, open) = (mode_of(&about), if is_credential(path, &about) { 0o037 } else { 0o077 });
    if mode & open != 0 {
        return Err(refusal(format!(
            "others may read this secret (mode {:o}): chmod 600 it",
            mode & 0o777
        )));
    }
    String::from_utf8(whole(file)?)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is no text (UTF-8)"))
}

/// A file that says whom we believe, of which everybody may know what stands in it: its octets.
///
/// # Errors
/// It cannot be read or holds more than `longest` octets; another user could change it, or put
/// another in its place; or a link of another user leads there.
pub fn trusted(path: &Path, longest: u64) -> io::Result<Vec<u8>> {
    let found = walk(path, false)?;
    check_folder(&fstat(&found.parent)?)?;
    let file = guarded(found.parent.as_fd(), &found.name, OFlags::RDONLY, Mode::empty())?;
    let mut octets = Vec::new();
    file.take(longest + 1).read_to_end(&mut octets)?;
    if octets.len() as u64 > longest {
        let what = format!("it is longer than {longest} octets");
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    Ok(octets)
}

/// Whether nobody but us (and root) can put something else where this path leads, a file or a
/// socket that may not be there yet. Who shares a group with its folder is trusted; a sticky folder
/// (/tmp) keeps what is there.
///
/// # Errors
/// Others can; or its folder is not there.
pub fn check_place(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    check_folder(&fstat(walk(parent, false)?.at)?)
}

fn check_folder(about: &Stat) -> io::Result<()> {
    let (owner, mode) = (about.st_uid, mode_of(about));
    if !is_trusted(owner) {
        return Err(refusal(foreign(owner)));
    }
    if mode & 0o1002 == 0o002 {
        return Err(refusal(format!("everybody may write its folder (mode {mode:o})")));
    }
    Ok(())
}

fn foreign(owner: u32) -> String {
    format!("its folder belongs to uid {owner}, and portreeve runs as uid {}", own())
}

/// Makes the folder that a file is to stand in, and those above it, where they are missing.
///
/// # Errors
/// One of them cannot be made, or a link on the way is another user's.
pub fn make_place(path: &Path) -> io::Result<()> {
    match path.parent().filter(|p| !p.as_os_str().is_empty()) {
        Some(parent) => walk(parent, true).map(drop),
        None => Ok(()),
    }
}

/// Makes a secret of mode 0600 where there is none, and the folders above it.
///
/// # Errors
/// As [`secret`].
pub fn make_secret(path: &Path, text: impl FnOnce() -> String) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty());
    let found = walk(parent.unwrap_or(Path::new(".")), true)?;
    let there = rustix::fs::statat(&found.at, name, AtFlags::SYMLINK_NOFOLLOW);
    match there {
        // Not in a folder that is another's: he could put his own in its place.
        Err(Errno::NOENT) => {
            let owner = fstat(&found.at)?.st_uid;
            if !is_trusted(owner) {
                return Err(refusal(foreign(owner)));
            }
            write_new(new_file(found.at.as_fd(), name)?, &text())
        }
        Ok(_) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

pub(in crate::driver) fn write_new(mut file: File, text: &str) -> io::Result<()> {
    io::Write::write_all(&mut file, text.as_bytes())?;
    file.sync_all()
}

/// What systemd hands a service (`LoadCredential`): root's, and our group's by an access list.
fn is_credential(path: &Path, about: &Stat) -> bool {
    let folder = std::env::var_os("CREDENTIALS_DIRECTORY").filter(|d| !d.is_empty());
    about.st_uid == 0 && folder.is_some_and(|d| path.starts_with(d))
}
