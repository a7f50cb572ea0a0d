//! Who may read and write what is kept: nobody else.

use super::{StateError, fault};
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

/// Who may write into the folder can put keys and bindings of his own there.
pub(super) fn tighten(dir: &Path) -> Result<Option<String>, StateError> {
    let about = fs::metadata(dir).map_err(|e| fault(dir, &e))?;
    let mode = about.mode() & 0o7777;
    if mode & 0o022 == 0 {
        return Ok(None);
    }
    let kept = mode & !0o022;
    // A sticky folder (/tmp) is meant for everybody: not ours to close, whoever we are.
    let sticky = mode & 0o1000 != 0;
    let own = about.uid() == rustix::process::geteuid().as_raw();
    if own && !sticky && fs::set_permissions(dir, fs::Permissions::from_mode(kept)).is_ok() {
        let dir = dir.display();
        return Ok(Some(format!("{dir}: others could write here (mode {mode:o}); now {kept:o}")));
    }
    let what = format!(
        "others may write here (mode {mode:o}), so the keys are not safe: chmod go-w it, or name a \
         folder inside it, which portreeve makes for itself"
    );
    Err(StateError { path: dir.display().to_string(), what, busy: false })
}

pub(super) fn secret(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Others must not read a file with secrets.
pub(super) fn private(path: &Path) -> Result<(), StateError> {
    let mode = fs::metadata(path).map_err(|e| fault(path, &e))?.mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let what = format!("others may read this secret (mode {:o}): chmod 600 it", mode & 0o777);
    Err(StateError { path: path.display().to_string(), what, busy: false })
}
