//! `tunnel keygen`: this gateway's key for its tunnels, made once; what it prints is for the other
//! end. `tunnel status`: how the tunnels of the running gateway stand.

use super::exit;
use crate::driver::tunnel::{KEY_FILE, key};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// Where state is, when neither an option nor a variable says.
const DATA: &str = "/var/lib/portreeve";

pub(super) fn keygen(file: Option<PathBuf>, data: Option<PathBuf>) -> u8 {
    let data = data.or_else(|| std::env::var_os("PORTREEVE_DATA").map(PathBuf::from));
    let file = file.unwrap_or_else(|| data.unwrap_or_else(|| DATA.into()).join(KEY_FILE));
    match made(&file) {
        Ok((public, new)) => {
            println!("{public}");
            let what = if new { "made, mode 0600" } else { "is there already, and is kept" };
            eprintln!("{}: {what}", file.display());
            eprintln!(
                "The line above is its public key. Give it to the other end: a site's stands at \
                 the head office in\n[[peer]] (name, key), the head office's at the site in \
                 [[interface]] (peer_key)."
            );
            0
        }
        Err(what) => {
            eprintln!("{what}");
            exit::NO
        }
    }
}

fn made(file: &Path) -> Result<(crate::config::PublicKey, bool), String> {
    if file.exists() {
        return Ok((key::read(file)?.public(), false));
    }
    if let Some(folder) = file.parent().filter(|f| !f.as_os_str().is_empty()) {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|e| format!("{}: {e}", folder.display()))?;
    }
    Ok((key::make(file)?, true))
}
