//! What this process may still do with files once it runs (Landlock, landlock(7)): it reads and
//! writes where it was told that it must, and runs no program at all. The kernel keeps it for good,
//! for this thread and those it begins; threads from before are free, so it comes first. It names
//! no folder by itself. And no core of it is written, for keys are in its memory.

use landlock::{
    ABI, Access as _, AccessFs, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope, make_bitflags,
};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// What of the kernel's rights is known here; an older kernel keeps what it knows.
const KNOWN: ABI = ABI::V6;

/// From now on the kernel writes no core of this process (PR_SET_DUMPABLE, prctl(2)), and nobody
/// but root looks into its memory.
pub fn keep_memory() {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    if let Err(e) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        eprintln!("a core of this process may be written ({e}), with its keys");
    }
}

/// What a folder is for, with all that stands in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Files are read, and looked for.
    Read,
    /// Files are made, read and written, never removed: the audit log.
    Record,
    /// Files are made, read, written, renamed and removed, and sockets made: the state folder.
    Keep,
    /// A secret is read, or made when there is none.
    Secret,
    /// A socket is made and removed.
    Socket,
}

impl Purpose {
    fn rights(self) -> BitFlags<AccessFs> {
        let read = make_bitflags!(AccessFs::{ReadFile | ReadDir});
        let made = make_bitflags!(AccessFs::{MakeReg | WriteFile | Truncate});
        match self {
            Self::Read => read,
            Self::Record => read | made,
            Self::Keep => read | made | make_bitflags!(AccessFs::{RemoveFile | MakeSock}),
            Self::Secret => read | make_bitflags!(AccessFs::{MakeReg | WriteFile}),
            Self::Socket => make_bitflags!(AccessFs::{MakeSock | RemoveFile}),
        }
    }
}

/// How much of it the kernel keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// All.
    Whole,
    /// What an older kernel knows.
    Part,
    /// Nothing: the kernel has no Landlock, or may not use it.
    Nothing,
}

static HOLDS: AtomicBool = AtomicBool::new(false);

/// Whether files beyond those that were named are out of reach.
#[must_use]
pub fn holds() -> bool {
    HOLDS.load(Relaxed)
}

/// From now on this thread, and those that it begins, reach these folders and no others. A folder
/// that is not there gives no right.
pub fn confine(folders: &[(PathBuf, Purpose)]) -> Hold {
    // Where the kernel refuses, nothing is given up.
    restrict(folders).unwrap_or(Hold::Nothing)
}

/// [`confine`], and the words for what is out of reach say so ([`holds`]).
pub fn confine_process(folders: &[(PathBuf, Purpose)]) -> Hold {
    let hold = confine(folders);
    HOLDS.store(hold != Hold::Nothing, Relaxed);
    hold
}

fn restrict(folders: &[(PathBuf, Purpose)]) -> Result<Hold, RulesetError> {
    let ruleset = Ruleset::default().handle_access(AccessFs::from_all(KNOWN))?;
    let mut ruleset = ruleset.scope(Scope::Signal)?.create()?;
    for (path, purpose) in folders {
        if let Ok(folder) = PathFd::new(path) {
            ruleset = ruleset.add_rule(PathBeneath::new(folder, rights(path, *purpose)))?;
        }
    }
    Ok(match ruleset.restrict_self()?.ruleset {
        RulesetStatus::FullyEnforced => Hold::Whole,
        RulesetStatus::PartiallyEnforced => Hold::Part,
        RulesetStatus::NotEnforced => Hold::Nothing,
    })
}

/// A single file has no rights of a folder.
fn rights(path: &Path, purpose: Purpose) -> BitFlags<AccessFs> {
    match path.is_dir() {
        true => purpose.rights(),
        false => purpose.rights() & AccessFs::from_file(KNOWN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::ErrorKind::PermissionDenied;
    use std::process::Command;

    /// In a thread of its own: what is given up is given up for good.
    fn apart(what: impl FnOnce() + Send + 'static) {
        std::thread::spawn(what).join().unwrap();
    }

    #[test]
    fn what_was_not_named_is_out_of_reach_and_no_program_is_run() {
        let dir = std::env::temp_dir().join(format!("portreeve-sandbox-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        for name in ["state", "audit", "config", "run", "other"] {
            fs::create_dir_all(dir.join(name)).unwrap();
            fs::write(dir.join(name).join("x"), "x").unwrap();
        }
        let of = |name: &str, purpose| (dir.join(name), purpose);
        let folders = vec![
            of("state", Purpose::Keep),
            of("audit", Purpose::Record),
            of("config", Purpose::Read),
            of("run", Purpose::Socket),
            of("missing", Purpose::Keep),
        ];
        let (at, program) = (dir.clone(), std::env::current_exe().unwrap());
        apart(move || {
            if confine(&folders) == Hold::Nothing {
                // Then nothing was taken away.
                assert!(fs::read("/etc/passwd").is_ok());
                return;
            }
            let denied = |done: std::io::Result<()>| {
                assert_eq!(done.unwrap_err().kind(), PermissionDenied);
            };
            for path in [Path::new("/etc/passwd"), &at.join("other/x"), &program] {
                denied(fs::read(path).map(drop));
            }
            denied(Command::new("/bin/true").spawn().map(drop));
            denied(Command::new(&program).spawn().map(drop));
            denied(fs::read_dir("/").map(drop));
            fs::write(at.join("state/y"), "y").unwrap();
            fs::rename(at.join("state/y"), at.join("state/z")).unwrap();
            fs::remove_file(at.join("state/z")).unwrap();
            fs::write(at.join("audit/y"), "y").unwrap();
            denied(fs::remove_file(at.join("audit/y")));
            assert_eq!(fs::read(at.join("config/x")).unwrap(), b"x");
            denied(fs::write(at.join("config/x"), "y"));
            denied(fs::write(at.join("other/y"), "y"));
            let socket = at.join("run/s");
            let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
            fs::remove_file(&socket).unwrap();
            drop(listener);
            denied(std::os::unix::net::UnixListener::bind(at.join("other/s")).map(drop));
            // Threads that are begun later have no more.
            std::thread::spawn(|| assert!(fs::read("/etc/passwd").is_err())).join().unwrap();
        });
        assert!(fs::read("/etc/passwd").is_ok(), "this thread gave up nothing");
        fs::remove_dir_all(&dir).unwrap();
    }
}
