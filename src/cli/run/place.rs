//! Where site mode stands: at the address that the default route leaves by, else at the only one
//! that phones can reach. It never guesses between several, and never settles for loopback: without
//! an address it waits, and says so.

use super::{config, say, surroundings};
use crate::cli::{RunArgs, exit, folder};
use crate::config::{Config, Environment};
use crate::driver::interfaces::{self, Attached, Link};
use crate::driver::service::Service;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// How often the machine is asked for an address while there is none.
const PATIENCE: Duration = Duration::from_secs(1);
/// Stands for an address until one is known; nobody has it.
const NOBODY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 255, 255, 254));

/// A configuration of site mode.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) config: Config,
    /// Other addresses that could be picked.
    pub(super) others: Vec<IpAddr>,
}

/// Which address of the machine it is.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    Here(IpAddr),
    /// Nothing tells them apart.
    Several(Vec<IpAddr>),
    /// None that a phone can reach; what there is instead.
    Nowhere(String),
}

/// What the machine says of itself.
#[derive(Debug)]
struct Machine {
    /// The address that the default route leaves by.
    default: Option<IpAddr>,
    all: Vec<Attached>,
}

impl Machine {
    fn ask() -> Self {
        Self { default: interfaces::default_source(), all: interfaces::attached() }
    }
}

/// A fault: exit code and words.
type Fault = (u8, String);

/// Finds the place, and waits for it while there is none; `None`: told to stop meanwhile. Faults go
/// to stderr.
pub(super) async fn wait(args: &RunArgs, service: &Service) -> Result<Option<Found>, u8> {
    let mut said = None;
    let (Ok(mut term), Ok(mut int)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        eprintln!("signals cannot be heard");
        return Err(exit::UNREACHABLE);
    };
    loop {
        let env = surroundings(&args.set, args.data.as_deref());
        let why = match find(&Machine::ask(), args.listen.as_deref(), &env, None) {
            Ok(Ok(found)) => return Ok(Some(found)),
            Ok(Err(why)) => why,
            Err((code, faults)) => {
                eprint!("{faults}");
                return Err(code);
            }
        };
        if said.as_ref() != Some(&why) {
            say(&format!("waiting for an address that phones can reach: {why}"));
            say("  --listen ADDRESS names one; Ctrl-C ends");
            service.status("waits for an address");
            said = Some(why);
        }
        tokio::select! {
            () = tokio::time::sleep(PATIENCE) => {}
            _ = term.recv() => return Ok(None),
            _ = int.recv() => return Ok(None),
        }
    }
}

/// The configuration to show where nothing runs. It waits for nothing: without an address it is
/// that of loopback, and says so on stderr, where faults go too.
pub(in crate::cli) fn site_config(listen: Option<&str>, env: &Environment) -> Result<Config, u8> {
    let loopback = IpAddr::from([127, 0, 0, 1]);
    let machine = Machine::ask();
    let told = |(code, faults): Fault| {
        eprint!("{faults}");
        code
    };
    match find(&machine, listen, env, None).map_err(told)? {
        Ok(found) => Ok(found.config),
        Err(why) => {
            eprintln!("no address that phones can reach ({why}): shown with {loopback}");
            let found = find(&machine, listen, env, Some(loopback)).map_err(told)?;
            found.map(|f| f.config).map_err(|_| exit::NO)
        }
    }
}

/// The configuration read anew; where the machine has lost its address, or nothing tells several
/// apart, it `stands` where it stood.
pub(super) fn again(
    listen: Option<&str>,
    env: &Environment,
    stands: Option<IpAddr>,
) -> Result<Config, String> {
    let machine = Machine::ask();
    let read = match find(&machine, listen, env, None) {
        Ok(Ok(found)) => return Ok(found.config),
        Ok(Err(why)) => why,
        Err((_, faults)) => faults,
    };
    match find(&machine, listen, env, stands) {
        Ok(Ok(found)) => Ok(found.config),
        Ok(Err(_)) => Err(read),
        Err((_, faults)) => Err(faults),
    }
}

/// The configuration; inside, why there is no place for it yet. `fallback` counts where the machine
/// does not tell.
fn find(
    machine: &Machine,
    listen: Option<&str>,
    env: &Environment,
    fallback: Option<IpAddr>,
) -> Result<Result<Found, String>, Fault> {
    let env = folder::of_site(env);
    let built = |address, port| {
        Config::site_mode(address, port, &env)
            .map_err(|all| (exit::CONFIG, config::listed("site mode", &all)))
    };
    let found = |config: Config| {
        let first = config.interfaces.first();
        let own = |ip: &IpAddr| first.is_some_and(|i| i.addresses.bound(*ip).is_some());
        let rest = machine.all.iter().filter(|a| is_wanted(a)).map(Attached::ip);
        Found { others: rest.filter(|ip| !own(ip)).collect(), config }
    };
    if let Some(text) = listen {
        let (address, port) = wanted(text)?;
        return Ok(Ok(found(built(address, port)?)));
    }
    let port = 5060;
    // An address that somebody named is meant.
    let named = built(NOBODY, port)?;
    let first = named.interfaces.first().and_then(|i| i.addresses.first());
    if first.is_some_and(|a| a.ip != NOBODY) {
        return Ok(Ok(found(named)));
    }
    let address = match (choose(machine.default, &machine.all), fallback) {
        (Place::Here(ip), _) => ip,
        (Place::Several(_) | Place::Nowhere(_), Some(ip)) => ip,
        (Place::Several(several), None) => return Err((exit::CONFIG, ambiguous(&several))),
        (Place::Nowhere(why), None) => return Ok(Err(why)),
    };
    let found = found(built(address, port)?);
    if is_global(address) {
        return Err((exit::CONFIG, public(address, &found.others)));
    }
    Ok(Ok(found))
}

fn choose(default: Option<IpAddr>, all: &[Attached]) -> Place {
    // Zeroconf routes everything to link-local addresses: that is no way out.
    if let Some(ip) = default.filter(|ip| is_reachable(*ip)) {
        return Place::Here(ip);
    }
    for link in [Link::Network, Link::Peer] {
        let mut ips: Vec<IpAddr> = Vec::new();
        for a in all.iter().filter(|a| a.link == link && is_reachable(a.ip())) {
            if !ips.contains(&a.ip()) {
                ips.push(a.ip());
            }
        }
        match ips.as_slice() {
            [] => {}
            [only] => return Place::Here(*only),
            [_, _, ..] => return Place::Several(ips),
        }
    }
    Place::Nowhere(instead(all))
}

/// What there is in place of an address that phones can reach.
fn instead(all: &[Attached]) -> String {
    let what = |a: &Attached| match (a.ip(), a.link) {
        (_, Link::Down) => Some("is down"),
        (IpAddr::V6(v6), _) if v6.is_loopback() || v6.is_unicast_link_local() => None,
        (IpAddr::V6(_), _) => Some("calls need IPv4 for now"),
        (IpAddr::V4(v4), _) if v4.is_loopback() => None,
        (IpAddr::V4(v4), _) if v4.is_link_local() => Some("link-local: no DHCP answered"),
        (IpAddr::V4(_), Link::Host) => Some("this machine only"),
        (IpAddr::V4(_), Link::Network | Link::Peer) => Some("no address of one machine"),
    };
    let told: Vec<String> = all
        .iter()
        .filter_map(|a| Some(format!("{} {} ({})", a.device, a.ip(), what(a)?)))
        .collect();
    if told.is_empty() { "there is loopback alone".to_owned() } else { told.join(", ") }
}

/// Worth being offered.
fn is_wanted(a: &Attached) -> bool {
    a.link != Link::Down && is_reachable(a.ip())
}

/// An IPv4 address at which another machine can reach this one.
fn is_reachable(ip: IpAddr) -> bool {
    let IpAddr::V4(v4) = ip else { return false };
    !(v4.is_loopback() || v4.is_link_local() || v4.is_unspecified())
}

fn ambiguous(several: &[IpAddr]) -> String {
    let mut text = "this machine has several addresses and no default route to choose by\n  name \
                    the one in your phones' network:\n"
        .to_owned();
    for ip in several {
        text += &format!("    --listen {ip}\n");
    }
    text
}

fn public(address: IpAddr, others: &[IpAddr]) -> String {
    let listed: Vec<String> = others.iter().map(ToString::to_string).collect();
    let private = match listed.as_slice() {
        [] => String::new(),
        all => format!(" ({})", all.join(", ")),
    };
    format!(
        "{address} is a public address: site mode would be open to the Internet.\n  choose a \
         private one with --listen ADDRESS{private}, or --listen {address} if you mean it\n"
    )
}

fn wanted(text: &str) -> Result<(IpAddr, u16), Fault> {
    let bare = text.strip_prefix("udp:").or_else(|| text.strip_prefix("tcp:")).unwrap_or(text);
    let read = bare.parse::<SocketAddr>().map(|a| (a.ip(), a.port()));
    read.or_else(|_| bare.parse::<IpAddr>().map(|ip| (ip, 5060))).map_err(|_| {
        let what = format!(
            "--listen {text}: write an address of this machine, as 192.168.1.10 or \
             192.168.1.10:5062\n"
        );
        (exit::USAGE, what)
    })
}

/// Globally routable, as far as it matters here.
fn is_global(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let shared = a == 100 && (64..128).contains(&b);
            !(v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_documentation()
                || shared
                || (a == 198 && (b == 18 || b == 19)))
        }
        IpAddr::V6(v6) => {
            let first = v6.segments()[0];
            !(v6.is_loopback() || first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfe80)
        }
    }
}

#[cfg(test)]
mod tests;
