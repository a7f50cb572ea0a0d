//! The unix socket for commands: bound with mode 0600, a dead one's file taken over, a living one
//! respected, its file gone at the end. It reads no command; `admin` serves them.

use super::folder::check_place;
use rustix::fs::Mode;
use rustix::process::umask;
use socket2::{Domain, SockAddr, Socket, Type};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 16;

/// The socket's file, removed when this is dropped.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Another instance may have taken the path over meanwhile: its file is not ours.
        let ours =
            fs::symlink_metadata(&self.path).is_ok_and(|m| (m.dev(), m.ino()) == self.identity);
        if ours {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Listens at a path; connections are non-blocking.
///
/// # Errors
/// `AddrInUse`: another process answers there. `AlreadyExists`: something there is no socket.
/// `PermissionDenied`: others could put their own there. Else what the kernel says.
pub fn bind(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    check_place(path)?;
    clear(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    let address = SockAddr::unix(path)?;
    // The mode that it is made with: changed afterwards, by its name, it could be another file's.
    // Whatever else is made meanwhile is as private.
    let before = umask(Mode::from_raw_mode(0o177));
    let bound = socket.bind(&address);
    umask(before);
    bound?;
    let m = fs::symlink_metadata(path)?;
    let file = SocketFile { path: path.to_owned(), identity: (m.dev(), m.ino()) };
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok((UnixListener::from(OwnedFd::from(socket)), file))
}

/// Removes what a process that is gone left behind.
fn clear(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e),
        Ok(m) if !m.file_type().is_socket() => {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "it is there and is no socket",
            ));
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
        Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn folder(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("portreeve-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    #[test]
    fn a_dead_socket_is_taken_over_and_a_living_one_is_not() {
        let dir = folder("control");
        let path = dir.join("c");
        let (listener, file) = bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(bind(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        // As after SIGKILL: the file is there, nobody listens.
        drop(listener);
        std::mem::forget(file);
        let (_living, file) = bind(&path).unwrap();
        drop(file);
        assert!(!path.exists(), "its file goes with it");
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn where_others_could_put_their_own_it_does_not_listen() {
        let dir = folder("control-open");
        let path = dir.join("c");
        let mode = |mode| fs::set_permissions(&dir, fs::Permissions::from_mode(mode)).unwrap();
        mode(0o777);
        let told = bind(&path).unwrap_err();
        assert_eq!(told.kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(told.to_string(), "everybody may write its folder (mode 777)");
        assert!(!path.exists());
        for kept in [0o1777, 0o770, 0o755] {
            mode(kept);
            bind(&path).unwrap();
        }
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn what_is_not_ours_stays() {
        let dir = folder("control-foreign");
        let path = dir.join("c");
        fs::write(&path, "precious").unwrap();
        assert_eq!(bind(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        fs::remove_file(&path).unwrap();
        let (_listener, file) = bind(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "another's").unwrap();
        drop(file);
        assert!(path.exists());
        assert!(bind(&dir.join("no/such")).is_err());
        assert!(bind(&dir.join("x".repeat(120))).is_err());
        fs::remove_dir_all(&dir).unwrap();
    }
}
