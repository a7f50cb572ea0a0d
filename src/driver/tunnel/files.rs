//! Files that a configuration names for its tunnels: our own keys, and passwords for proxies. The
//! start and `config check` look at them by the same rules; nothing is made, and nothing shown.

use super::proxy::{self, Account};
use super::{TunnelError, key, key_file};
use crate::config::{Config, Interface, Tunnel};

/// The wrong line was copied.
pub(super) const OWN_KEY: &str = "the other end's key is our own: it stands in the output of `portreeve tunnel \
                       keygen` there, not here";

/// Our key for a tunnel, and what is to be said of the files that it needs.
///
/// # Errors
/// One of them cannot be used: no start without it.
pub(super) fn needed(
    config: &Config,
    i: &Interface,
    tunnel: &Tunnel,
) -> Result<(key::Key, Vec<String>), TunnelError> {
    let told = |what| TunnelError::Key { interface: i.name.clone(), what };
    let file = key_file(config, tunnel);
    let own = key::read(&file).map_err(told)?;
    if tunnel.peer.as_ref() == Some(&own.public()) {
        return Err(told(OWN_KEY.to_owned()));
    }
    let mut doubts = Vec::new();
    doubts.extend(own.owner().map(|uid| doubt(i, &file.display().to_string(), uid)));
    if let Some(proxy) = tunnel.proxy() {
        let account = proxy::account(proxy).map_err(told)?;
        let owner = account.as_ref().and_then(|account: &Account| account.stranger);
        let file = proxy.password_file.clone().unwrap_or_default();
        doubts.extend(owner.map(|uid| doubt(i, &file, uid)));
    }
    Ok((own, doubts))
}

fn doubt(i: &Interface, file: &str, uid: u32) -> String {
    format!(
        "interface \"{}\": {file} belongs to uid {uid}, who could change it: right only where \
         portreeve runs as that user",
        i.name
    )
}

/// What no start could use, and what somebody should know.
#[must_use]
pub fn check(config: &Config) -> (Vec<String>, Vec<String>) {
    let (mut faults, mut doubts) = (Vec::new(), Vec::new());
    for i in &config.interfaces {
        let Some(tunnel) = i.link.tunnel() else { continue };
        match needed(config, i, tunnel) {
            Ok((_, said)) => doubts.extend(said),
            Err(e) => faults.push(e.to_string()),
        }
    }
    // Sites of one port share a key.
    for all in [&mut faults, &mut doubts] {
        all.dedup();
    }
    (faults, doubts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Environment;
    use crate::driver::clock::Clock;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::{Path, PathBuf};

    const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

    fn place(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("portreeve-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    fn config(dir: &Path, peer: &str) -> Config {
        let dir = dir.display();
        let text = format!(
            "site = {{ name = \"berlin\" }}\n[[interface]]\nname = \"lan\"\nside = \"inside\"\n\
             address = \"10.17.0.1\"\n[[interface]]\nname = \"office\"\nside = \"outside\"\n\
             link = \"tunnel\"\nconnect = \"gate.test:443\"\npeer_key = \"{peer}\"\n\
             proxy = \"http://10.0.0.1:3128\"\nproxy_user = \"u\"\n\
             proxy_password_file = \"{dir}/password\"\n[[upstream]]\nname = \"pbx\"\n\
             domain = \"pbx.test\"\n[state]\ndir = \"{dir}\"\n"
        );
        Config::parse("t", &text, &Environment::default()).unwrap()
    }

    fn told(c: &Config) -> String {
        check(c).0.concat()
    }

    #[test]
    fn a_file_that_no_start_could_use_is_told_by_whoever_looks() {
        let dir = place("files");
        let (key, password) = (dir.join("tunnel.key"), dir.join("password"));
        let c = config(&dir, KEY);
        assert!(told(&c).contains("tunnel.key: there is no key: make one"), "{}", told(&c));
        assert!(
            super::super::Tunnels::start(&c, Clock::start(), None).unwrap_err().to_string()
                == told(&c)
        );
        let public = key::make(&key).unwrap();
        assert!(told(&c).contains("password: No such file"), "{}", told(&c));
        fs::write(&password, "secret\n").unwrap();
        for (mode, good) in [(0o644, false), (0o640, false), (0o600, true), (0o400, true)] {
            fs::set_permissions(&password, Permissions::from_mode(mode)).unwrap();
            assert_eq!(told(&c).is_empty(), good, "{mode:o}: {}", told(&c));
            assert!(good || told(&c).ends_with("chmod 600 it"), "{}", told(&c));
        }
        fs::set_permissions(&key, Permissions::from_mode(0o604)).unwrap();
        assert!(told(&c).contains("tunnel.key: others may read this secret"), "{}", told(&c));
        fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
        let own = config(&dir, &public.to_string());
        assert!(told(&own).contains("is our own"), "{}", told(&own));
        fs::write(&key, "no key").unwrap();
        assert!(told(&c).contains("no Ed25519 key"), "{}", told(&c));
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_pipe_or_a_folder_in_a_files_place_holds_nobody_up() {
        let dir = place("pipes");
        let (key, password) = (dir.join("tunnel.key"), dir.join("password"));
        let c = config(&dir, KEY);
        let pipe = |at: &Path| {
            let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
            rustix::fs::mkfifoat(rustix::fs::CWD, at, mode).unwrap();
        };
        pipe(&key);
        assert!(told(&c).contains("tunnel.key: it is no regular file"), "{}", told(&c));
        fs::remove_file(&key).unwrap();
        key::make(&key).unwrap();
        pipe(&password);
        assert!(told(&c).contains("password: it is no regular file"), "{}", told(&c));
        fs::remove_file(&password).unwrap();
        fs::create_dir(&password).unwrap();
        assert!(told(&c).contains("password: it is no regular file"), "{}", told(&c));
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn to_root_it_is_said_whose_a_file_is() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let dir = place("owners");
        let c = config(&dir, KEY);
        key::make(&dir.join("tunnel.key")).unwrap();
        fs::write(dir.join("password"), "secret\n").unwrap();
        fs::set_permissions(dir.join("password"), Permissions::from_mode(0o600)).unwrap();
        assert_eq!(check(&c), (Vec::new(), Vec::new()));
        for name in ["tunnel.key", "password"] {
            std::os::unix::fs::chown(dir.join(name), Some(65_534), None).unwrap();
        }
        let (faults, doubts) = check(&c);
        assert!(faults.is_empty() && doubts.len() == 2, "{faults:?} {doubts:?}");
        assert!(doubts.iter().all(|d| d.contains("belongs to uid 65534")), "{doubts:?}");
        fs::remove_dir_all(&dir).unwrap();
    }
}
