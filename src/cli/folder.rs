//! Where site mode keeps its state: one place for each user, from whatever folder it is started, so
//! that a second start is the same gateway with the same password. It looks for a folder and makes
//! none; `run` and every command that asks the running gateway take the same one.

use crate::config::{Config, Environment};
use std::collections::BTreeMap;
use std::path::Path;

/// Where earlier versions kept it: wherever they were started.
const HERE: &str = "./portreeve-data";
/// Where root keeps it, and a gateway with a file.
pub(super) const SYSTEM: &str = "/var/lib/portreeve";
/// The users that `user add` keeps there, beside the state.
pub(super) const USERS: &str = "users";

/// Folders to look for a gateway of site mode in, likeliest first.
pub(super) fn candidates(env: &Environment) -> Vec<String> {
    let is_root = rustix::process::geteuid().is_root();
    chosen(&env.variables, is_root, Path::new(HERE).is_dir())
}

/// The environment with that folder in it, and with the users that are kept there.
pub(super) fn of_site(env: &Environment) -> Environment {
    let mut env = env.clone();
    let Some(data) = candidates(&env).into_iter().next() else { return env };
    let users = format!("{data}/{USERS}");
    let is_named = env.overrides.iter().any(|(key, _)| key == "registrar.users")
        || env.variables.contains_key("PORTREEVE__REGISTRAR__USERS");
    if !is_named && Path::new(&users).is_file() {
        env.overrides.push(("registrar.users".to_owned(), users));
    }
    env.variables.insert("PORTREEVE_DATA".to_owned(), data);
    env
}

/// What a user who may not write the system's folder can do; `None`: root, who may.
pub(super) fn advice() -> Option<String> {
    if rustix::process::geteuid().is_root() {
        return None;
    }
    let variables = std::env::vars().filter(|(name, _)| name != "PORTREEVE_DATA").collect();
    let own = chosen(&variables, false, false).into_iter().next()?;
    Some(format!(
        "  {SYSTEM} is where a gateway with a file keeps state and audit when nothing names a \
         folder:\n  as this user, add --data {own} (to later commands, too), or set PORTREEVE_DATA"
    ))
}

fn chosen(variables: &BTreeMap<String, String>, is_root: bool, is_here: bool) -> Vec<String> {
    let said = |name: &str| variables.get(name).map(String::as_str).filter(|v| !v.is_empty());
    if let Some(named) = said("PORTREEVE_DATA") {
        return vec![named.to_owned()];
    }
    // One that is not absolute is to be ignored (XDG Base Directory Specification).
    let absolute = |name: &str| said(name).filter(|v| v.starts_with('/') && *v != "/");
    // The folder that a service manager made (systemd.exec(5)); of several, the first.
    let service = absolute("STATE_DIRECTORY").and_then(|all| all.split(':').next());
    let usual = if let Some(service) = service {
        service.to_owned()
    } else if is_root {
        SYSTEM.to_owned()
    } else if let Some(state) = absolute("XDG_STATE_HOME") {
        format!("{}/portreeve", state.trim_end_matches('/'))
    } else if let Some(home) = absolute("HOME") {
        format!("{}/.local/state/portreeve", home.trim_end_matches('/'))
    } else {
        return vec![HERE.to_owned()];
    };
    if is_here { vec![HERE.to_owned(), usual] } else { vec![usual] }
}

/// What is to be said of a folder that is found only from here.
pub(super) fn note(c: &Config, env: &Environment) -> Option<String> {
    let all = candidates(env);
    let usual = all.get(1).filter(|_| c.is_site() && c.state_dir == HERE)?;
    let here = std::path::absolute(HERE).unwrap_or_else(|_| HERE.into());
    Some(format!(
        "state and password are those of {}, for it is here; a start elsewhere uses {usual}: \
         --data names one, or move it there",
        here.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_place_for_each_user_and_what_is_here_is_found() {
        let of = |pairs: &[(&str, &str)], is_root, is_here| {
            let all = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            chosen(&all, is_root, is_here).join(" ")
        };
        let home = ("HOME", "/home/a");
        assert_eq!(of(&[home], false, false), "/home/a/.local/state/portreeve");
        assert_eq!(of(&[home, ("XDG_STATE_HOME", "/s")], false, false), "/s/portreeve");
        assert_eq!(
            of(&[home, ("XDG_STATE_HOME", "s")], false, false),
            "/home/a/.local/state/portreeve",
            "one that is not absolute is none"
        );
        assert_eq!(of(&[("HOME", "/root")], true, false), "/var/lib/portreeve");
        let old = of(&[home], false, true);
        assert_eq!(old, "./portreeve-data /home/a/.local/state/portreeve");
        let named = of(&[home, ("PORTREEVE_DATA", "/data")], false, true);
        assert_eq!(named, "/data", "who names one means it");
        let service = of(&[("STATE_DIRECTORY", "/var/lib/portreeve:/var/lib/x")], false, false);
        assert_eq!(service, "/var/lib/portreeve");
        assert_eq!(of(&[], false, false), "./portreeve-data", "nobody has a home");
    }
}
