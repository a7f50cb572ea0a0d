//! SIGHUP: the file is read, checked and compiled; then it is swapped whole, or refused whole. A
//! refused file changes nothing and says why.

use super::{Ask, users};
use crate::audit::Record;
use crate::config::{Config, Environment};
use crate::engine::Snapshot;
use crate::policy::RuleSet;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Reads the file again. The configuration now in force, and in words what happened.
pub async fn reload(
    asks: &mpsc::Sender<Ask>,
    file: &str,
    env: &Environment,
    old: &Config,
) -> Result<Config, String> {
    match load(file, env, old) {
        Ok((snapshot, detail)) => {
            let config = snapshot.config.clone();
            let record = Record::Admin { action: "reload", result: "applied", detail };
            let _ = asks.send(Ask::Reload(Arc::new(snapshot), record)).await;
            Ok(config)
        }
        Err(why) => {
            let detail: String = why.chars().take(256).collect();
            let record = Record::Admin { action: "reload", result: "refused", detail };
            let _ = asks.send(Ask::Record(record)).await;
            Err(why)
        }
    }
}

fn load(file: &str, env: &Environment, old: &Config) -> Result<(Snapshot, String), String> {
    let text = std::fs::read_to_string(file).map_err(|e| format!("{file}: {e}"))?;
    let told = |all: Vec<crate::config::Diagnostic>| {
        all.iter().map(ToString::to_string).collect::<String>()
    };
    let mut config = Config::parse(file, &text, env).map_err(told)?;
    let rules = RuleSet::compile(&config).map_err(told)?;
    let users = users(&config).map_err(|e| e.to_string())?;
    let waits = keep_until_restart(&mut config, old);
    let detail = if waits.is_empty() {
        format!("configuration {}", config.hash)
    } else {
        format!("configuration {}; needs a restart: {}", config.hash, waits.join(", "))
    };
    Ok((Snapshot { config, rules, users }, detail))
}

/// Sections that only a restart can change keep their old values; their names.
fn keep_until_restart(new: &mut Config, old: &Config) -> Vec<&'static str> {
    let mut waits = Vec::new();
    macro_rules! keep {
        ($field:ident, $name:literal) => {
            if new.$field != old.$field {
                waits.push($name);
                new.$field = old.$field.clone();
            }
        };
    }
    keep!(interfaces, "interface");
    keep!(media, "media");
    keep!(registrar, "registrar");
    keep!(audit, "audit");
    keep!(state_dir, "state");
    keep!(http, "http");
    keep!(log, "log");
    keep!(site, "site");
    waits
}
