//! `audit verify | show`: the log of a folder, or of the gateway that runs. Nothing is written.

mod show;

use super::table::shown;
use super::{ControlArgs, control, exit, http};
use crate::audit::Heads;
use crate::driver::audit_log::{Against, verify_path};
use clap::{Args, Subcommand};
use std::path::{Path, PathBuf};

#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Recompute the chain; exit code 1 names the first broken line
    Verify {
        /// A folder of audit-*.jsonl, or one file (else that of the running gateway)
        path: Option<PathBuf>,
        /// Hash the last line must have (kept elsewhere: shows truncation)
        #[arg(long)]
        tip: Option<String>,
        /// The audit log of a tunnel's other end, which noted where this one stood
        #[arg(long, value_name = "FOLDER")]
        peer: Option<PathBuf>,
        /// The tunnel as that log calls it, where it has several
        #[arg(long, requires = "peer")]
        tunnel: Option<String>,
        /// A record that was noted elsewhere: its number and its hash
        #[arg(long, value_name = "N:HASH")]
        head: Option<String>,
        #[command(flatten)]
        gateway: Asked,
    },
    /// Print its records for people, a line each
    Show {
        /// A folder of audit-*.jsonl, or one file (else that of the running gateway)
        path: Option<PathBuf>,
        /// Those of one call, by its number (numbers begin anew at a restart)
        #[arg(long)]
        call: Option<u64>,
        /// Those of the last while, as 1h or 2d
        #[arg(long, value_name = "AGE")]
        since: Option<String>,
        /// Those of this kind, as `call_end` (may be repeated)
        #[arg(long)]
        kind: Vec<String>,
        #[command(flatten)]
        gateway: Asked,
    },
}

/// Which running gateway is asked where its log is.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Asked {
    /// Its control.socket (else as its configuration says)
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Its configuration file (else as `run` finds it)
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Its folder for state and audit, as with `run`
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

pub(super) fn audit(what: AuditCommand) -> u8 {
    let (path, gateway) = match &what {
        AuditCommand::Verify { path, gateway, .. } | AuditCommand::Show { path, gateway, .. } => {
            (path.clone(), gateway.clone())
        }
    };
    let path = match path.map_or_else(|| folder(gateway), Ok) {
        Ok(path) => path,
        Err(code) => return code,
    };
    match what {
        AuditCommand::Verify { tip, peer, tunnel, head, .. } => {
            let (tip, head, tunnel) = (tip.as_deref(), head.as_deref(), tunnel.as_deref());
            verify(&path, &Against { tip, peer: peer.as_deref(), tunnel, head })
        }
        AuditCommand::Show { call, since, kind, .. } => {
            show::show(&path, call, since.as_deref(), kind)
        }
    }
}

/// Where the running gateway keeps it.
fn folder(Asked { socket, config, data }: Asked) -> Result<PathBuf, u8> {
    let args = ControlArgs { socket, config, data, ..ControlArgs::default() };
    let asked = control::ask(&args, "GET", "/status", http::PATIENCE);
    let (_, v) = asked.inspect_err(|_| {
        eprintln!("the log of a gateway that does not run is found by its folder: name that");
    })?;
    match control::text(&v, "/audit/folder") {
        "" => {
            eprintln!("the gateway that runs keeps no audit log (audit.dir)");
            Err(exit::NO)
        }
        folder => Ok(folder.into()),
    }
}

fn verify(path: &Path, against: &Against<'_>) -> u8 {
    if against.head.is_some_and(|head| Heads::parse(head).is_none()) {
        eprintln!("--head is the number of a record and its hash: N:HASH");
        return exit::USAGE;
    }
    match verify_path(path, against) {
        Ok(s) => {
            let (first, last) = (shown(&s.first), shown(&s.last));
            println!("{} records, {first} to {last}, chain whole", s.records);
            println!("tip {}", s.tip);
            if s.heads > 0 {
                println!("{} heads that were noted elsewhere stand in it", s.heads);
            }
            if s.before > 0 {
                eprintln!("the {} records written before the first are not here", s.before);
            }
            if s.heads_before > 0 {
                eprintln!("{} heads that were noted elsewhere are of those", s.heads_before);
            }
            if against.tip.is_none() {
                eprintln!("keep the tip elsewhere: with --tip, lines missing at the end show too");
            }
            0
        }
        Err(what) => {
            // The other end's log is somebody else's text.
            eprintln!("audit log broken: {}", shown(&what));
            exit::NO
        }
    }
}
