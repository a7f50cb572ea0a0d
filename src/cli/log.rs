//! Where words go: stderr, pretty on a terminal, JSON lines otherwise; by a thread of their own.

use crate::config::Log;
use crate::driver::log_lines::{LogEnd, LogLines};
use std::io::{self, IsTerminal as _};
use tracing_subscriber::EnvFilter;

/// Takes another level while it runs; `RUST_LOG`, where it is set, holds.
pub(super) type Levels = Box<dyn Fn(&Log) + Send + Sync>;

/// The level is that of the gateway's own words. Of the libraries that it uses only errors are
/// written: what others can make them say is in no bound of ours.
fn own(log: &Log) -> EnvFilter {
    EnvFilter::new(format!("error,portreeve={}", log.level))
}

/// Installs the log. Called once, by commands that run the gateway; what waits is written when the
/// end is dropped.
pub(super) fn install(log: &Log) -> io::Result<(Levels, LogEnd)> {
    let (lines, end) = LogLines::start(io::stderr())?;
    let named = EnvFilter::try_from_default_env();
    let fixed = named.is_ok();
    let filter = named.unwrap_or_else(|_| own(log));
    let json = match log.format.as_str() {
        "json" => true,
        "pretty" => false,
        _ => !io::stderr().is_terminal(),
    };
    let colours = io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_writer(lines).with_target(false);
    let builder = builder.with_ansi(colours);
    let (done, change): (_, Levels) = if json {
        let builder = builder.json().with_env_filter(filter).with_filter_reloading();
        let handle = builder.reload_handle();
        (builder.try_init(), Box::new(move |l| drop(handle.reload(own(l)))))
    } else {
        let builder = builder.compact().with_env_filter(filter).with_filter_reloading();
        let handle = builder.reload_handle();
        (builder.try_init(), Box::new(move |l| drop(handle.reload(own(l)))))
    };
    if let Err(e) = done {
        eprintln!("log: {e}");
    }
    Ok((if fixed { Box::new(|_| ()) } else { change }, end))
}
