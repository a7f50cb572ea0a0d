//! Where words go: stderr, pretty on a terminal, JSON lines otherwise.

use crate::config::Log;
use std::io::IsTerminal as _;
use tracing_subscriber::EnvFilter;

/// Installs the log. Called once, by commands that run the gateway.
pub(super) fn install(log: &Log) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(&log.level));
    let json = match log.format.as_str() {
        "json" => true,
        "pretty" => false,
        _ => !std::io::stderr().is_terminal(),
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false);
    let done = if json { builder.json().try_init() } else { builder.compact().try_init() };
    if let Err(e) = done {
        eprintln!("log: {e}");
    }
}
