//! Environment variables and `--set` over the file: `PORTREEVE__MEDIA__PORTS`,
//! `PORTREEVE__INTERFACE__WAN__ADVERTISE`. They become TOML text behind the file's own, so that one
//! reader checks everything.

use super::{Diagnostic, Environment};
use std::fmt::Write as _;

/// What the environment and the command line say, as (path, value, origin).
pub(super) struct Override {
    /// `media.ports` or `interface.wan.advertise`, lower case.
    pub(super) path: Vec<String>,
    pub(super) value: String,
    /// `PORTREEVE__MEDIA__PORTS` or `--set media.ports`.
    pub(super) origin: String,
}

impl Override {
    /// A value that stands behind the file and before the environment.
    pub(super) fn preset(path: &str, value: &str) -> Self {
        let path = path.split('.').map(str::to_owned).collect();
        Self { path, value: value.to_owned(), origin: "site mode".to_owned() }
    }
}

pub(super) fn collect(env: &Environment) -> Vec<Override> {
    let mut all = Vec::new();
    for (name, value) in &env.variables {
        let Some(rest) = name.strip_prefix("PORTREEVE__") else { continue };
        let path = rest.split("__").map(str::to_ascii_lowercase).collect();
        all.push(Override { path, value: value.clone(), origin: name.clone() });
    }
    for (path, value) in &env.overrides {
        let origin = format!("--set {path}");
        let path = path.split('.').map(str::to_owned).collect();
        all.push(Override { path, value: value.clone(), origin });
    }
    all
}

/// The file's text with the overrides in it. A value that is TOML by itself (a list, a number, a
/// table) stays so; anything else is a string.
pub(super) fn merge(text: &str, overrides: &[Override]) -> Result<String, Vec<Diagnostic>> {
    if overrides.is_empty() {
        return Ok(text.to_owned());
    }
    let mut root: toml::Table = text.parse().unwrap_or_default();
    let mut faults = Vec::new();
    for o in overrides {
        if let Err(what) = put(&mut root, o) {
            faults.push(Diagnostic {
                code: "unknown-variable",
                file: o.origin.clone(),
                place: None,
                width: 0,
                source: String::new(),
                what,
                hint: Some("variables are PORTREEVE__SECTION__KEY, list tables by name".into()),
            });
        }
    }
    if faults.is_empty() {
        let mut out = String::new();
        let _ = write!(out, "{root}");
        Ok(out)
    } else {
        Err(faults)
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the rest is alike")]
fn put(root: &mut toml::Table, o: &Override) -> Result<(), String> {
    let path: Vec<&str> = o.path.iter().map(String::as_str).collect();
    let value = literal(&o.value);
    let table = |v: &mut toml::Value, key: &str, value: toml::Value| match v {
        toml::Value::Table(t) => {
            t.insert(key.to_owned(), value);
            Ok(())
        }
        _ => Err(format!("{} does not name a table's key", o.origin)),
    };
    match path.as_slice() {
        [key] => {
            root.insert((*key).to_owned(), value);
            Ok(())
        }
        [section, key] => {
            let empty = || toml::Value::Table(toml::Table::new());
            let slot = root.entry((*section).to_owned()).or_insert_with(empty);
            table(slot, key, value)
        }
        [section, name, key] => {
            let list = root.get_mut(*section).and_then(toml::Value::as_array_mut);
            let hit = list.into_iter().flatten().find(|t| {
                let own = t.get("name").and_then(toml::Value::as_str);
                own.is_some_and(|n| n.eq_ignore_ascii_case(name))
            });
            match hit {
                Some(t) => table(t, key, value),
                None => Err(format!("{}: no [[{section}]] is named \"{name}\"", o.origin)),
            }
        }
        _ => Err(format!("{} names no key", o.origin)),
    }
}

fn literal(text: &str) -> toml::Value {
    let trimmed = text.trim();
    let structured = trimmed.starts_with(['[', '{', '"']);
    let plain = trimmed == "true" || trimmed == "false" || trimmed.parse::<i64>().is_ok();
    if structured || plain {
        let wrapped: Result<toml::Table, _> = format!("v = {trimmed}").parse();
        if let Some(v) = wrapped.ok().and_then(|mut t| t.remove("v")) {
            return v;
        }
    }
    toml::Value::String(text.to_owned())
}
