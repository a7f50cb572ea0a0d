//! `config check | show | init`.

use super::{doctor, exit, gateway, run};
use crate::config::{self, Config, Diagnostic, Environment};
use crate::daemon;
use crate::driver::clock::Clock;
use crate::driver::tunnel;
use crate::policy::RuleSet;
use std::path::{Path, PathBuf};

/// Reads and checks a file whole, rule tests included; faults go to stderr.
pub(super) fn load(file: &Path, env: &Environment) -> Result<Config, u8> {
    let name = file.display().to_string();
    let text = text(file).map_err(|what| {
        eprintln!("{what}");
        exit::CONFIG
    })?;
    let parsed = Config::parse(&name, &text, env);
    let checked = parsed.and_then(|c| RuleSet::compile(&c).map(|_| c));
    checked.map_err(|faults| tell(&name, &faults))
}

/// A file's text.
///
/// # Errors
/// In words: it is not there, or no text; with what to do.
pub(super) fn text(file: &Path) -> Result<String, String> {
    let name = file.display();
    let octets =
        std::fs::read(file).map_err(|e| match e.kind() == std::io::ErrorKind::NotFound {
            true => format!("{name}: {e}\n  `portreeve config init` prints one to start from"),
            false => format!("{name}: {e}"),
        })?;
    String::from_utf8(octets).map_err(|e| {
        let octets = e.as_bytes();
        let line =
            octets.iter().take(e.utf8_error().valid_up_to()).filter(|b| **b == b'\n').count();
        match octets {
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
                format!("{name}: it is UTF-16, as some editors write it: save it as UTF-8")
            }
            _ => format!("{name}: line {} is no UTF-8: save the file as UTF-8", line + 1),
        }
    })
}

/// Says every fault; the exit code for them.
pub(super) fn tell(name: &str, faults: &[Diagnostic]) -> u8 {
    eprint!("{}", listed(name, faults));
    exit::CONFIG
}

/// Every fault, and how many there are.
pub(super) fn listed(name: &str, faults: &[Diagnostic]) -> String {
    let s = if faults.len() == 1 { "" } else { "s" };
    let all: String = faults.iter().map(|f| format!("{f}\n")).collect();
    format!("{all}{} error{s} in {name}\n", faults.len())
}

/// Files that are there only while the service runs (systemd, `LoadCredential`).
const CREDENTIALS: &str = "/run/credentials/";

/// What a start could not use of the files that a configuration names, and what else is to be said
/// of them. Nothing is made.
#[derive(Debug, Default)]
struct Files {
    /// The gateway would not start; a sentence each.
    faults: Vec<String>,
    /// It would.
    warnings: Vec<String>,
}

/// Whether a fault is one of such a file, which nobody but the service sees.
pub(super) fn is_of_service(fault: &str) -> bool {
    fault.contains(CREDENTIALS) && std::env::var_os("CREDENTIALS_DIRECTORY").is_none()
}

impl Files {
    fn look(c: &Config) -> Self {
        let (faults, warnings) = doctor::certificates(c, Clock::start().now().wall);
        let users = daemon::check_users(c).err().map(|e| e.to_string());
        let (of_tunnels, doubts) = tunnel::check_files(c);
        let warnings = warnings.into_iter().chain(doubts).collect();
        let mut all = Self { faults: Vec::new(), warnings };
        for what in faults.into_iter().chain(users).chain(of_tunnels) {
            if is_of_service(&what) {
                all.warnings.push(format!("not looked at, for only the service has it: {what}"));
            } else {
                all.faults.push(what);
            }
        }
        all
    }
}

pub(super) fn check(file: Option<PathBuf>) -> u8 {
    let Some(file) = gateway::file(file.as_deref()) else {
        eprintln!(
            "no file to check: portreeve config check FILE (or -c FILE; without one that of \
             PORTREEVE_CONFIG, else /etc/portreeve/portreeve.toml)"
        );
        return exit::USAGE;
    };
    let env = run::environment(&[]);
    let c = match load(&file, &env) {
        Ok(c) => c,
        Err(code) => return code,
    };
    let (name, files) = (file.display(), Files::look(&c));
    c.warnings().iter().chain(&files.warnings).for_each(|w| eprintln!("warning: {w}"));
    env.strange_variables().iter().for_each(|w| eprintln!("warning: {w}"));
    for (_, what) in run::lacking(&c) {
        eprintln!("warning: {what}: a start or reload here would be refused");
    }
    if !files.faults.is_empty() {
        files.faults.iter().for_each(|what| eprintln!("error: {what}"));
        let n = files.faults.len();
        let s = if n == 1 { "" } else { "s" };
        let uid = rustix::process::geteuid().as_raw();
        eprintln!(
            "{n} error{s} in files that {name} names, looked at as uid {uid}: the gateway would \
             not start, nor take them by a reload (ask as its own user where that is another)"
        );
        return exit::CONFIG;
    }
    println!(
        "{name}: good: {} interfaces, {} upstreams, {} rules, {} rule tests passed",
        c.interfaces.len(),
        c.upstreams.len(),
        c.policy.rules.len(),
        c.policy.tests.len()
    );
    for doubt in c.doubts() {
        println!("note: {doubt}");
    }
    0
}

pub(super) fn show(file: Option<PathBuf>) -> u8 {
    let config = match gateway::file(file.as_deref()) {
        Some(file) => load(&file, &run::environment(&[])),
        None => run::site_config(None, &run::environment(&[])),
    };
    match config {
        Ok(c) => {
            print!("{}", config::show(&c));
            0
        }
        Err(code) => code,
    }
}

pub(super) fn init() -> u8 {
    print!("{}", config::INIT);
    0
}
