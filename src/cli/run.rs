//! `run`: finds the configuration, starts the daemon, prints what to type into a phone, and waits
//! for signals. The last line of the start-up is exactly `ready`.

use super::{RunArgs, config, exit, gateway, log};
use crate::admin::{self, Metrics};
use crate::config::{Config, Environment};
use crate::daemon::{self, Ask, StartError, reload};
use crate::driver::interfaces;
use ipnet::IpNet;
use std::io::{IsTerminal as _, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// What surrounds the configuration: variables, devices, overrides.
pub(super) fn environment(set: &[String]) -> Environment {
    let overrides =
        set.iter().map(|kv| kv.split_once('=').map_or((kv.clone(), String::new()), own)).collect();
    Environment { variables: std::env::vars().collect(), devices: interfaces::devices(), overrides }
}

fn own((k, v): (&str, &str)) -> (String, String) {
    (k.to_owned(), v.to_owned())
}

pub(super) fn run(args: RunArgs) -> u8 {
    let file = gateway::file(args.config.as_deref());
    let mut env = environment(&args.set);
    if let Some(data) = &args.data {
        env.variables.insert("PORTREEVE_DATA".to_owned(), data.display().to_string());
    }
    let loaded = match &file {
        Some(file) => config::load(file, &env).map(|c| (c, Vec::new())),
        None => site_config(args.listen.as_deref(), &env),
    };
    let (config, others) = match loaded {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(r) => r,
        Err(e) => {
            eprintln!("no runtime: {e}");
            return 69;
        }
    };
    // Before the log begins: the second instance has nothing to say there.
    if file.is_none() && !args.no_selftest {
        runtime.block_on(test_call());
    }
    log::install(&config.log);
    let started = Started { config, file, env, others };
    match runtime.block_on(serve(started)) {
        Ok(()) => 0,
        Err(e) => {
            eprintln!("error: {e}");
            e.exit_code()
        }
    }
}

struct Started {
    config: Config,
    file: Option<PathBuf>,
    env: Environment,
    others: Vec<IpAddr>,
}

async fn serve(s: Started) -> Result<(), StartError> {
    let need = s.config.limits.calls as u64 * 4 + s.config.limits.connections as u64 + 256;
    let have = interfaces::raise_open_files(need);
    if have < need {
        return Err(StartError::Files { need, have });
    }
    let metrics = Metrics::new(s.config.limits.calls);
    let handle = daemon::start(s.config.clone(), metrics.observer())?;
    if let Some(at) = s.config.http {
        let served = admin::serve(at, handle.asks(), metrics).await;
        served.map_err(|e| StartError::Http(at, e))?;
    }
    header(&s);
    say("ready");
    signals(handle.asks(), &s).await;
    handle.stopped().await;
    Ok(())
}

/// The test call of site mode. A failure is told and does not stop the gateway: it may still serve.
async fn test_call() {
    match crate::selftest::test_call().await {
        Ok(report) => {
            if std::io::stdout().is_terminal() {
                say("self-test call 101 → 102");
                say(report.ladder.trim_end());
            }
            say(&format!("  {}", report.line()));
        }
        Err(what) => say(&format!("  FAILED self-test: {what}")),
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // Nobody may be reading any more; the gateway works all the same.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// What the installer needs to know.
fn header(s: &Started) {
    let c = &s.config;
    let version = env!("CARGO_PKG_VERSION");
    match &s.file {
        Some(file) => say(&format!("portreeve {version}   configuration {}", file.display())),
        None => say(&format!(
            "portreeve {version}   no configuration file: site mode. `portreeve config init` \
             writes one."
        )),
    }
    for i in &c.interfaces {
        let ports: Vec<String> =
            i.listen.iter().map(|l| format!("{} {}", l.transport, l.port)).collect();
        say(&format!("  {:<8} {:<10} {:<18} {}", i.side, i.name, i.address, ports.join(", ")));
    }
    for u in &c.upstreams {
        say(&format!("  upstream {:<10} {:<18} {}", u.name, u.address, u.transport));
    }
    if let (Some(i), true) = (c.interfaces.first(), c.is_site()) {
        let port = i.listen.first().map_or(5060, |l| l.port);
        let ip = i.advertised();
        let at = if port == 5060 { ip.to_string() } else { format!("{ip}:{port}") };
        say("  Type into a softphone:");
        say(&format!("    server, outbound proxy   {at}"));
        say("    user                     101 to 199 (any extension of 2 to 6 digits)");
        say(&format!("    password                 {}", password(c)));
    }
    let (first, last) = c.media.ports;
    say(&format!("  media    udp {first}-{last}, {} calls", c.limits.calls));
    if let Some(at) = c.http {
        say(&format!("  metrics  http://{at}/metrics   health /live /ready"));
    }
    if let Some(dir) = &c.audit.dir {
        say(&format!("  audit    {dir}"));
    }
    for ip in &s.others {
        say(&format!("  also here: {ip} (--listen {ip} picks it)"));
    }
}

/// The site's password on a terminal, else where it stands.
fn password(c: &Config) -> String {
    let Some(file) = &c.registrar.password_file else { return "as in the users file".to_owned() };
    if std::io::stdout().is_terminal() {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        return format!("{}   (kept in {file})", text.trim());
    }
    format!("in {file}")
}

async fn signals(asks: mpsc::Sender<Ask>, s: &Started) {
    let (Ok(mut term), Ok(mut int), Ok(mut hup)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
        signal(SignalKind::hangup()),
    ) else {
        return;
    };
    let mut config = s.config.clone();
    let mut draining = false;
    loop {
        let stop = tokio::select! {
            _ = term.recv() => true,
            _ = int.recv() => true,
            _ = hup.recv() => false,
            () = asks.closed() => return,
        };
        if stop {
            let ask = if draining { Ask::StopNow } else { Ask::Drain };
            draining = true;
            let _ = asks.send(ask).await;
        } else if let Some(file) = &s.file {
            let file = file.display().to_string();
            match reload::reload(&asks, &file, &s.env, &config).await {
                Ok(new) => {
                    tracing::info!("reloaded {file}");
                    config = new;
                }
                Err(why) => tracing::error!("reload refused, nothing changed: {why}"),
            }
        } else {
            tracing::warn!("nothing to reload: site mode has no file");
        }
    }
}

/// Site mode: where to stand. The configuration, and other addresses that could be picked.
pub(super) fn site_config(
    listen: Option<&str>,
    env: &Environment,
) -> Result<(Config, Vec<IpAddr>), u8> {
    let (address, port) = match listen {
        Some(text) => wanted(text)?,
        None => {
            let found = interfaces::default_source();
            (found.unwrap_or(IpAddr::from([127, 0, 0, 1])), 5060)
        }
    };
    let config =
        Config::site_mode(address, port, env).map_err(|f| config::tell("site mode", &f))?;
    let nets: Vec<IpNet> = env.devices.values().flatten().copied().collect();
    let own = config.interfaces.first().map_or(address, |i| i.address);
    let others = others(&nets, own);
    // An address that somebody named is meant.
    if listen.is_none() && own == address && is_global(address) {
        let listed: Vec<String> = others.iter().map(ToString::to_string).collect();
        eprintln!(
            "{address} is a public address: site mode would be open to the Internet.\n  choose a \
             private one with --listen ADDRESS ({}), or --listen {address} if you mean it",
            listed.join(", ")
        );
        return Err(exit::CONFIG);
    }
    Ok((config, others))
}

fn wanted(text: &str) -> Result<(IpAddr, u16), u8> {
    let bare = text.strip_prefix("udp:").or_else(|| text.strip_prefix("tcp:")).unwrap_or(text);
    let read = bare.parse::<SocketAddr>().map(|a| (a.ip(), a.port()));
    read.or_else(|_| bare.parse::<IpAddr>().map(|ip| (ip, 5060))).map_err(|_| {
        eprintln!("--listen {text}: write an address of this machine, as 192.168.1.10 or 192.168.1.10:5062");
        exit::USAGE
    })
}

fn others(nets: &[IpNet], chosen: IpAddr) -> Vec<IpAddr> {
    let all = nets.iter().map(IpNet::addr);
    all.filter(|ip| *ip != chosen && ip.is_ipv4() && !ip.is_loopback()).collect()
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
