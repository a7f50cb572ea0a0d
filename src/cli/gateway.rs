//! Where things are: the configuration file of this machine, and the running gateway's loopback
//! listener. It reads one key and judges nothing: a file that a reload would refuse still tells
//! where the gateway listens.

use super::{GatewayArgs, run};
use crate::config;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

const DEFAULT_FILE: &str = "/etc/portreeve/portreeve.toml";

/// The file in effect: the one named, else `PORTREEVE_CONFIG`, else the usual one when it is there;
/// `None`: site mode.
pub(super) fn file(named: Option<&Path>) -> Option<PathBuf> {
    named.map(Path::to_owned).or_else(|| {
        let variable = std::env::var_os("PORTREEVE_CONFIG").map(PathBuf::from);
        variable.or_else(|| Some(PathBuf::from(DEFAULT_FILE)).filter(|p| p.exists()))
    })
}

/// Where the running gateway answers; an error says what to do.
pub(super) fn address(args: &GatewayArgs) -> Result<SocketAddr, String> {
    if let Some(at) = args.at {
        return Ok(at);
    }
    let env = run::environment(&args.set);
    let (name, text) = match file(args.config.as_deref()) {
        Some(file) => {
            let text = std::fs::read_to_string(&file);
            let name = file.display().to_string();
            (name.clone(), text.map_err(|e| format!("{name}: {e} (or name the gateway: --at)"))?)
        }
        None => ("site mode".to_owned(), String::new()),
    };
    match config::http_listener(&name, &text, &env) {
        Ok(Some(at)) => Ok(at),
        Ok(None) => {
            Err(format!("{name}: http.listen is \"off\", so a running gateway cannot be asked"))
        }
        Err(faults) => Err(faults.iter().map(ToString::to_string).collect()),
    }
}
