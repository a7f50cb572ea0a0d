//! What the running gateway needs of the file system, and nothing else. It is given up before any
//! other thread is begun, and before anybody is heard.

use crate::config::{Config, Target, Tunnel, Upstream, Verify};
use crate::daemon::can_listen;
use crate::driver::folder::{Folder, make_place};
use crate::driver::resolver::{HOSTS, RESOLV_CONF};
use crate::driver::sandbox::{Hold, Purpose, confine_process};
use crate::driver::tunnel::key_file;
use std::path::{Path, PathBuf};

/// Where distributions keep the authorities of a machine, and what those folders link to.
const AUTHORITIES: [&str; 6] = [
    "/etc/ssl",
    "/etc/pki",
    "/etc/ca-certificates",
    "/usr/share/ca-certificates",
    "/usr/share/pki",
    "/usr/local/share/ca-certificates",
];

/// Gives up everything else; `None`: a folder or a socket cannot be had, and the start fails. It
/// tells why, and who holds the port.
pub(super) fn give_up(config: &Config, file: Option<&Path>) -> Option<Hold> {
    if !can_listen(config) {
        return None;
    }
    // What is missing is made now: nothing can be made in folders that are out of reach.
    let kept = [Some(&config.state_dir), config.audit.dir.as_ref()];
    for folder in kept.into_iter().flatten() {
        Folder::open(Path::new(folder)).ok()?;
    }
    // Where that cannot be, who makes the password tells why.
    if let Some(path) = &config.registrar.password_file {
        let _ = make_place(Path::new(path));
    }
    Some(confine_process(&needed(config, file)))
}

fn above(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        Some(_) | None => PathBuf::from("."),
    }
}

fn needed(config: &Config, file: Option<&Path>) -> Vec<(PathBuf, Purpose)> {
    let registrar = &config.registrar;
    let mut all = vec![(PathBuf::from(&config.state_dir), Purpose::Keep)];
    all.extend(config.audit.dir.iter().map(|d| (PathBuf::from(d), Purpose::Record)));
    all.extend(config.control.iter().map(|p| (above(Path::new(p)), Purpose::Socket)));
    // Read again by a reload: an editor puts a new file in the old one's place. And where they
    // really stand, when what is named are links.
    let secret = registrar.password_file.iter().map(|p| (Path::new(p), Purpose::Secret));
    let users = registrar.users_file.iter().chain(&config.survive.users_file).map(Path::new);
    let read = users.chain(file).map(|p| (p, Purpose::Read));
    for (path, purpose) in secret.chain(read) {
        all.push((above(path), purpose));
        all.extend(path.canonicalize().ok().map(|path| (above(&path), purpose)));
    }
    // Certificates are renewed while we run; some stand in folders of their own, by links.
    for path in config.tls_files().map(Path::new) {
        all.push((above(path), Purpose::Read));
        all.extend(path.canonicalize().ok().map(|path| (above(&path), Purpose::Read)));
    }
    let system = |u: &Upstream| u.speaks_tls() && u.tls.verify == Verify::System;
    if config.upstreams.iter().any(system) {
        all.extend(AUTHORITIES.map(|path| (PathBuf::from(path), Purpose::Read)));
    }
    // A tunnel's key is read at the start, a proxy's password at each try.
    let tunnels = || config.interfaces.iter().filter_map(|i| i.link.tunnel());
    let keys = tunnels().map(|tunnel| key_file(config, tunnel));
    let passwords = tunnels().filter_map(Tunnel::proxy).filter_map(|p| p.password_file.as_ref());
    for path in keys.chain(passwords.map(PathBuf::from)) {
        all.push((above(&path), Purpose::Read));
        all.extend(path.canonicalize().ok().map(|path| (above(&path), Purpose::Read)));
    }
    if asks_for_names(config) {
        all.extend(names());
    }
    // The process itself, sockets of its network (a reload asks whether an upstream on this machine
    // is there), and when the machine was started.
    all.extend(["/proc/self", "/proc/stat"].map(|path| (PathBuf::from(path), Purpose::Read)));
    all
}

/// Whether anybody is reached by a name: an upstream, a head office, or the proxy before it.
fn asks_for_names(config: &Config) -> bool {
    let upstreams = config.upstreams.iter().flat_map(|u| &u.targets);
    let tunnels = config.interfaces.iter().filter_map(|i| i.link.tunnel());
    upstreams.map(Target::name).any(|name| name.is_some())
        || tunnels.flat_map(Tunnel::names).next().is_some()
}

/// Whom to ask for names, and which need no asking; both are replaced while we run, and on some
/// machines they are links.
fn names() -> Vec<(PathBuf, Purpose)> {
    let files = [RESOLV_CONF, HOSTS].map(Path::new);
    let real = files.iter().filter_map(|p| p.canonicalize().ok());
    let real = real.map(|path| (above(&path), Purpose::Read));
    real.chain(files.map(|path| (above(path), Purpose::Read))).collect()
}

/// Tells the log what holds.
pub(super) fn tell(hold: Option<Hold>) {
    match hold {
        Some(Hold::Whole) => tracing::debug!("no file is in reach but those that are needed"),
        Some(Hold::Part) => tracing::info!(
            "this kernel's Landlock is an older one: files that are not needed are out of reach as \
             far as it knows"
        ),
        Some(Hold::Nothing) => tracing::info!(
            "this kernel gives no Landlock (Linux 5.13, `landlock` among its lsm=): the gateway \
             could read every file that its user may"
        ),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_file_that_is_a_link_is_within_reach_and_its_folder_is_made() {
        let folder = std::env::temp_dir().join(format!("portreeve-need-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let (named, real) = (folder.join("etc"), folder.join("secrets"));
        std::fs::create_dir_all(&named).unwrap();
        std::fs::create_dir_all(&real).unwrap();
        std::fs::write(real.join("password"), "x").unwrap();
        std::os::unix::fs::symlink(real.join("password"), named.join("password")).unwrap();
        let mut config = Config::site([127, 0, 0, 1].into(), &[], "/nowhere");
        config.registrar.password_file = Some(named.join("password").display().to_string());
        let secrets = |config: &Config| -> Vec<PathBuf> {
            let all = needed(config, None).into_iter();
            all.filter(|(_, purpose)| *purpose == Purpose::Secret).map(|(path, _)| path).collect()
        };
        assert_eq!(secrets(&config), [named, real.canonicalize().unwrap()]);
        let missing = folder.join("a/b/password");
        make_place(&missing).unwrap();
        assert!(missing.parent().is_some_and(Path::is_dir));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_a_tunnel_reads_is_within_reach() {
        let read = |text: &str| {
            let text = format!(
                "site = {{ name = \"berlin\" }}\n[state]\ndir = \"/s\"\n[[interface]]\n\
                 name = \"phones\"\n\
                 side = \"inside\"\naddress = \"10.17.0.1\"\n[[interface]]\nname = \"office\"\n\
                 side = \"outside\"\nlink = \"tunnel\"\npeer_key = \
                 \"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\"\n{text}\n[[upstream]]\n\
                 name = \"pbx\"\ndomain = \"pbx.example\"\n"
            );
            let config = Config::parse("t", &text, &crate::config::Environment::default());
            needed(&config.unwrap(), None)
        };
        let is_there = |all: &[(PathBuf, Purpose)], path: &str| {
            all.contains(&(PathBuf::from(path), Purpose::Read))
        };
        let connect = "connect = \"192.0.2.1:443\"";
        assert!(!is_there(&read(connect), "/etc"), "nobody is asked for by name");
        let names = read("connect = \"gate.example.net:443\"");
        for path in names_of_machine() {
            assert!(is_there(&names, &path), "{path}: {names:?}");
        }
        let proxy = |proxy: &str| read(&format!("{connect}\nproxy = \"http://{proxy}:3128\""));
        assert!(is_there(&proxy("proxy.example.net"), "/etc"));
        assert!(!is_there(&proxy("192.0.2.3"), "/etc"));
        let files = format!(
            "{connect}\nproxy = \"http://192.0.2.3\"\nproxy_user = \"u\"\n\
             proxy_password_file = \"/secrets/proxy/password\"\nkey_file = \"/keys/own\""
        );
        let files = read(&files);
        assert!(is_there(&files, "/secrets/proxy") && is_there(&files, "/keys"), "{files:?}");
    }

    /// Folders of the files that say whom to ask, and where they really stand.
    fn names_of_machine() -> Vec<String> {
        let real = Path::new(RESOLV_CONF).canonicalize().ok();
        let real = real.and_then(|path| path.parent().map(|p| p.display().to_string()));
        real.into_iter().chain(["/etc".to_owned()]).collect()
    }
}
