//! A folder as it stands, looked at and not touched: for whoever tells what a start would say.

use rustix::fs::{Access, access, statvfs};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// What a folder is like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The folder that was looked at: the one asked for, or what there is of its path.
    pub path: PathBuf,
    /// It is the one asked for.
    pub exists: bool,
    /// Whose it is.
    pub uid: u32,
    /// Permission bits.
    pub mode: u32,
    /// Whether we may make files in it.
    pub writable: bool,
    /// Octets that are free on its volume, for who is not root.
    pub free: u64,
}

/// Looks at a folder or, where it is not there, at the one that it would be made in.
///
/// # Errors
/// What stands there is no folder, or cannot be looked at.
pub fn view(path: &Path) -> io::Result<View> {
    let missing =
        |p: &Path| std::fs::symlink_metadata(p).is_err_and(|e| e.kind() == io::ErrorKind::NotFound);
    let mut whole =
        path.ancestors().map(|p| if p.as_os_str().is_empty() { Path::new(".") } else { p });
    let found = whole.find(|p| !missing(p)).unwrap_or(Path::new("/"));
    let about = std::fs::metadata(found)?;
    if !about.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    let volume = statvfs(found)?;
    Ok(View {
        path: found.to_owned(),
        exists: found == path,
        uid: about.uid(),
        mode: about.mode() & 0o7777,
        writable: access(found, Access::WRITE_OK | Access::EXEC_OK).is_ok(),
        free: volume.f_bavail.saturating_mul(volume.f_frsize),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_looked_at_and_one_that_is_missing_by_where_it_would_be() {
        let dir = std::env::temp_dir().join(format!("portreeve-view-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let there = view(&dir).unwrap();
        assert!(there.exists && there.writable && there.free > 0);
        assert_eq!(there.uid, rustix::process::geteuid().as_raw());
        let missing = view(&dir.join("state/audit")).unwrap();
        assert_eq!((missing.exists, missing.path), (false, dir.clone()));
        std::fs::write(dir.join("file"), "").unwrap();
        assert!(view(&dir.join("file")).is_err() && view(&dir.join("file/below")).is_err());
        assert!(!dir.join("state").exists(), "nothing is made");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
