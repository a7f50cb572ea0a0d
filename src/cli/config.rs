//! `config check | show | init`.

use super::{doctor, exit, run};
use crate::config::{self, Config, Diagnostic, Environment};
use crate::driver::clock::Clock;
use crate::policy::RuleSet;
use std::path::{Path, PathBuf};

/// Reads and checks a file whole, rule tests included; faults go to stderr.
pub(super) fn load(file: &Path, env: &Environment) -> Result<Config, u8> {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(|e| {
        eprintln!("{name}: {e}");
        if e.kind() == std::io::ErrorKind::NotFound {
            eprintln!("  `portreeve config init` prints one to start from");
        }
        exit::CONFIG
    })?;
    let parsed = Config::parse(&name, &text, env);
    let checked = parsed.and_then(|c| RuleSet::compile(&c).map(|_| c));
    checked.map_err(|faults| tell(&name, &faults))
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

pub(super) fn check(file: &Path) -> u8 {
    match load(file, &run::environment(&[])) {
        Ok(c) => {
            let rules = c.policy.rules.len();
            c.warnings().iter().for_each(|w| eprintln!("warning: {w}"));
            let now = Clock::start().now().wall;
            doctor::warnings(&c, now).iter().for_each(|w| eprintln!("warning: {w}"));
            println!(
                "{}: good: {} interfaces, {} upstreams, {rules} rules, {} rule tests passed",
                file.display(),
                c.interfaces.len(),
                c.upstreams.len(),
                c.policy.tests.len()
            );
            for doubt in c.doubts() {
                println!("note: {doubt}");
            }
            0
        }
        Err(code) => code,
    }
}

pub(super) fn show(file: Option<PathBuf>) -> u8 {
    let config = match file {
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
