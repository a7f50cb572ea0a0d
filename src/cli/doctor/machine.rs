//! What this machine is like: its addresses, its clock, its files and folders.

use super::gateway::Running;
use super::{Check, Line};
use crate::config::{Address, Config, Interface};
use crate::daemon;
use crate::driver::clock;
use crate::driver::folder::{View, view};
use crate::driver::interfaces::{self, Attached, Link};
use std::io;
use std::net::IpAddr;
use std::path::Path;

/// Less than this on the volume of state or audit is soon none.
const SMALL: u64 = 256 << 20;

pub(super) fn addresses(c: &Config) -> Vec<Line> {
    let all = interfaces::attached();
    let own = |i: &Interface| {
        if i.addresses.are_away() {
            let by = i.addresses.following().map(|f| f.by.to_string()).unwrap_or_default();
            let what = format!("{} has no address: {by} has none", i.name);
            let todo = "look at the line, and at the DHCP client or pppd; the gateway waits for it";
            return vec![Line::todo(Check::Address, what, todo)];
        }
        let line = |a: &Address| address((&i.name, a.ip), &all, interfaces::has_carrier);
        i.addresses.iter().map(line).collect::<Vec<_>>()
    };
    // Where a tunnel's end stands is nobody's address.
    c.interfaces.iter().filter(|i| i.link.tunnel().is_none()).flat_map(own).collect()
}

/// Interfaces, by their place in the file, whose address is one of this machine.
pub(super) fn has_addresses(c: &Config) -> Vec<usize> {
    let all = interfaces::attached();
    let is_here = |ip: IpAddr| ip.is_loopback() || all.iter().any(|a| a.ip() == ip);
    let here = |i: &Interface| i.addresses.iter().any(|a| is_here(a.ip));
    c.interfaces.iter().enumerate().filter(|(_, i)| here(i)).map(|(index, _)| index).collect()
}

fn address(
    (name, ip): (&str, IpAddr),
    all: &[Attached],
    carrier: impl Fn(&str) -> Option<bool>,
) -> Line {
    let check = Check::Address;
    let Some(a) = all.iter().find(|a| a.ip() == ip) else {
        // All of 127.0.0.0/8 is here, though one of them is listed.
        if ip.is_loopback() {
            return Line::ok(check, format!("{name}: {ip} is this machine's (loopback)"));
        }
        let here: Vec<String> = all
            .iter()
            .filter(|a| a.link != Link::Host && a.ip().is_ipv4() == ip.is_ipv4())
            .map(|a| format!("{} {}", a.device, a.ip()))
            .collect();
        let todo = format!(
            "name one that is, as `address` or `device` (here: {}), or give it to this machine",
            if here.is_empty() { "none but loopback".to_owned() } else { here.join(", ") }
        );
        return Line::todo(check, format!("{name}: {ip} is no address of this machine"), todo);
    };
    let device = &a.device;
    if a.link == Link::Down {
        let todo = format!("ip link set {device} up");
        return Line::todo(check, format!("{name}: {device} ({ip}) is switched off"), todo);
    }
    if carrier(device) == Some(false) {
        let todo = "look at its cable, its switch port or its tunnel";
        return Line::todo(check, format!("{name}: {device} ({ip}) has no link"), todo);
    }
    Line::ok(check, format!("{name}: {ip} is at {device}, which has a link"))
}

pub(super) fn clock() -> Line {
    synchronised(clock::is_synchronised())
}

fn synchronised(told: Option<bool>) -> Line {
    let check = Check::Clock;
    match told {
        Some(true) => Line::ok(check, "kept right (NTP)"),
        Some(false) => Line::todo(
            check,
            "nobody keeps it right (NTP), and records, hours in rules and certificates go by it",
            "timedatectl set-ntp true, or chrony (with `rtcsync`)",
        ),
        None => Line::note(check, "the kernel does not tell whether it is kept right", ""),
    }
}

pub(super) fn files(c: &Config, running: &Running) -> Line {
    if running.is_there() {
        // It does not start without; this user's own limits are not its.
        let need = daemon::files_needed(c);
        return Line::ok(
            Check::Files,
            format!("{need} may have to be open; one runs, and has them"),
        );
    }
    let root = rustix::process::geteuid().is_root();
    open_files(daemon::files_needed(c), interfaces::open_files(), root)
}

fn open_files(need: u64, (now, most): (u64, u64), root: bool) -> Line {
    let check = Check::Files;
    // The gateway raises the limit by itself, as far as it may.
    if most >= need || root {
        return Line::ok(check, format!("{need} may have to be open, {} may", most.max(now)));
    }
    Line::todo(
        check,
        format!("{need} may have to be open (limits.calls, limits.connections), {most} may"),
        format!("LimitNOFILE={need} in its unit, or ulimit -Hn {need}; or lower these limits"),
    )
}

pub(super) fn folders(c: &Config, running: &Running) -> Vec<Line> {
    let own = rustix::process::geteuid().as_raw();
    let user = match running.process.as_ref().and_then(|p| p.uid) {
        Some(uid) => User::Gateway(uid),
        // Root asks for somebody else: whom the unit names is not known before it runs.
        None if own == 0 || running.is_there() => User::Unknown,
        None => User::Own(own),
    };
    let all = [("state", Some(&c.state_dir)), ("audit", c.audit.dir.as_ref())];
    let line = |(what, path): (&str, Option<&String>)| {
        let path = path?;
        let line = match view(Path::new(path)) {
            Ok(seen) => folder(what, path, &seen, user),
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied && own != 0 => {
                let seen = format!("{what}: {path} is not to be seen by uid {own}");
                Line::note(Check::Folders, seen, "ask as the user that runs portreeve, or as root")
            }
            Err(e) => {
                let todo = "name another, or give it to the user that runs portreeve";
                Line::todo(Check::Folders, format!("{what}: {path}: {e}"), todo)
            }
        };
        Some(line)
    };
    all.into_iter().filter_map(line).collect()
}

/// Whose folders they should be.
#[derive(Clone, Copy, Debug)]
enum User {
    /// His who runs the gateway.
    Gateway(u32),
    /// His who asks, for he may be about to start it.
    Own(u32),
    Unknown,
}

fn folder(what: &str, path: &str, seen: &View, user: User) -> Line {
    let check = Check::Folders;
    let (uid, mode, at) = (seen.uid, seen.mode, seen.path.display());
    let free = format!("{} MiB free", seen.free >> 20);
    let belongs = format!("{what}: {path} belongs to uid {uid}");
    match user {
        User::Gateway(user) if seen.exists && uid != user => {
            let what = format!("{belongs}, and portreeve runs as uid {user}");
            return Line::todo(check, what, format!("chown -R {user} {path}, or name another"));
        }
        User::Own(own) if seen.exists && uid != own => {
            let what = format!("{belongs}, and uid {own} asks");
            let todo = format!("run portreeve (and ask) as uid {uid}, or name another folder");
            return Line::todo(check, what, todo);
        }
        User::Gateway(_) | User::Own(_) | User::Unknown => {}
    }
    if seen.exists && mode & 0o022 != 0 {
        let what = format!("{what}: others may write in {path} (mode {mode:o})");
        return Line::todo(check, what, format!("chmod go-w {path}, or name a folder inside it"));
    }
    if seen.free < SMALL {
        let what = format!("{what}: {path} has {free}");
        return Line::todo(check, what, "make room: without any, calls are refused");
    }
    if let (false, User::Own(own)) = (seen.writable, user) {
        let what = format!("{what}: uid {own} may not write in {at}");
        let todo = format!("make {path} and chown it to the user that runs portreeve");
        return Line::todo(check, what, todo);
    }
    if !seen.exists {
        return Line::ok(check, format!("{what}: {path} will be made in {at}, {free}"));
    }
    Line::ok(check, format!("{what}: {path} belongs to uid {uid}, {free}"))
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn an_address_is_here_with_a_link_or_it_is_said_what_there_is() {
        let at = |device: &str, net: &str, link| Attached {
            device: device.to_owned(),
            net: net.parse().unwrap(),
            link,
        };
        let all = [
            at("lo", "127.0.0.1/8", Link::Host),
            at("eth0", "10.17.0.1/24", Link::Network),
            at("eth1", "10.99.0.1/24", Link::Down),
        ];
        let told = |ip: &str, carrier| address(("lan", ip.parse().unwrap()), &all, |_| carrier);
        assert_eq!(told("10.17.0.1", Some(true)).verdict, Verdict::Ok);
        assert_eq!(told("10.17.0.1", None).verdict, Verdict::Ok);
        assert_eq!(told("127.0.0.9", None).verdict, Verdict::Ok);
        assert!(told("10.17.0.1", Some(false)).what.ends_with("eth0 (10.17.0.1) has no link"));
        assert_eq!(told("10.99.0.1", Some(true)).todo, "ip link set eth1 up");
        let gone = told("10.17.0.9", None);
        assert_eq!(gone.verdict, Verdict::Todo);
        assert!(gone.todo.contains("(here: eth0 10.17.0.1, eth1 10.99.0.1)"), "{}", gone.todo);
    }

    #[test]
    fn clock_and_open_files_say_what_to_do() {
        assert_eq!(synchronised(Some(true)).verdict, Verdict::Ok);
        assert!(synchronised(Some(false)).todo.starts_with("timedatectl"));
        assert_eq!(synchronised(None).verdict, Verdict::Note);
        assert_eq!(open_files(1_000, (1_024, 1_024), false).verdict, Verdict::Ok);
        assert_eq!(open_files(2_000, (1_024, 4_096), false).verdict, Verdict::Ok);
        assert_eq!(open_files(8_000, (1_024, 4_096), true).verdict, Verdict::Ok);
        let few = open_files(8_000, (1_024, 4_096), false);
        assert!(few.verdict == Verdict::Todo && few.todo.starts_with("LimitNOFILE=8000 "));
    }

    #[test]
    fn a_folder_is_its_users_has_room_and_nobody_else_writes_there() {
        let fine = View {
            path: "/s".into(),
            exists: true,
            uid: 7,
            mode: 0o700,
            writable: true,
            free: SMALL,
        };
        let told = |seen: &View, user| folder("state", "/s", seen, user);
        for user in [User::Own(7), User::Gateway(7), User::Unknown] {
            assert_eq!(told(&fine, user).verdict, Verdict::Ok);
        }
        assert!(told(&fine, User::Own(8)).todo.starts_with("run portreeve (and ask) as uid 7"));
        assert_eq!(told(&fine, User::Gateway(8)).todo, "chown -R 8 /s, or name another");
        let open = View { mode: 0o777, ..fine.clone() };
        assert!(told(&open, User::Own(7)).todo.starts_with("chmod go-w /s"));
        let small = View { free: SMALL - 1, ..fine.clone() };
        assert!(told(&small, User::Own(7)).what.ends_with("/s has 255 MiB free"));
        let missing = View { exists: false, uid: 0, path: "/".into(), ..fine };
        assert!(told(&missing, User::Own(7)).what.contains("will be made in /"));
        let locked = View { writable: false, ..missing };
        assert_eq!(told(&locked, User::Own(7)).verdict, Verdict::Todo);
    }
}
