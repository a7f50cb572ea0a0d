//! `run`: finds the configuration, starts the daemon, prints what to type into a phone, and waits
//! for signals. The last line of the start-up is exactly `ready`.

mod banner;
mod confined;
mod doubts;
mod place;

pub(super) use doubts::lacking;
pub(super) use place::site_config;

use super::{RunArgs, config, folder, gateway, log};
use crate::admin::{Control, Desk, Metrics, PageOptions};
use crate::config::{self as configuration, Config, Environment, Link};
use crate::daemon::reload::{Read, Refusal, Reloader};
use crate::daemon::{self, Ask, StartError};
use crate::driver::interfaces;
use crate::driver::sandbox::keep_memory;
use crate::driver::service::Service;
use crate::driver::state::page_token;
use crate::policy::RuleSet;
use banner::{header, say};
use std::io::IsTerminal as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

/// What surrounds the configuration: variables, devices, overrides.
pub(super) fn environment(set: &[String]) -> Environment {
    let overrides =
        set.iter().map(|kv| kv.split_once('=').map_or((kv.clone(), String::new()), own)).collect();
    let interfaces::Machine { devices, deprecated, routes } = interfaces::Machine::look();
    let variables = std::env::vars().collect();
    Environment { variables, devices, deprecated, routes, overrides }
}

fn own((k, v): (&str, &str)) -> (String, String) {
    (k.to_owned(), v.to_owned())
}

pub(super) fn run(args: RunArgs) -> u8 {
    keep_memory();
    let file = gateway::file(args.config.as_deref());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(r) => r,
        Err(e) => {
            eprintln!("no runtime: {e}");
            return 69;
        }
    };
    let service = Service::of_environment();
    let loaded = match &file {
        Some(file) => {
            let env = surroundings(&args.set, args.data.as_deref());
            config::load(file, &env).map(|config| Some(place::Found { config, others: Vec::new() }))
        }
        None => runtime.block_on(place::wait(&args, &service)),
    };
    let place::Found { config, others } = match loaded {
        Ok(Some(found)) => found,
        // Told to stop before there was anything to serve.
        Ok(None) => return 0,
        Err(code) => return code,
    };
    // Before the log begins: the second instance has nothing to say there.
    if file.is_none() && !args.no_selftest {
        runtime.block_on(test_call());
    }
    let hold = confined::give_up(&config, file.as_deref());
    let (levels, words) = match log::install(&config.log) {
        Ok(installed) => installed,
        Err(e) => {
            eprintln!("no thread for the log: {e}");
            return 69;
        }
    };
    confined::tell(hold);
    let is_new = |f: &String| !Path::new(f).exists();
    let is_new = config.registrar.password_file.as_ref().is_some_and(is_new);
    let is_usual = file.is_some() && config.state_dir == folder::SYSTEM;
    let started = Started { config, file, others, args, is_new };
    let served = runtime.block_on(serve(started, levels, service));
    // What was said comes before how it ended.
    drop(words);
    match served {
        Ok(()) => 0,
        Err(e) => {
            eprintln!("error: {e}");
            if is_usual && matches!(e, StartError::State(_) | StartError::Audit(_)) {
                folder::advice().iter().for_each(|what| eprintln!("{what}"));
            }
            e.exit_code()
        }
    }
}

/// [`environment`], with `--data` in it.
pub(super) fn surroundings(set: &[String], data: Option<&Path>) -> Environment {
    let mut env = environment(set);
    if let Some(data) = data {
        env.variables.insert("PORTREEVE_DATA".to_owned(), data.display().to_string());
    }
    env
}

struct Started {
    config: Config,
    file: Option<PathBuf>,
    others: Vec<IpAddr>,
    args: RunArgs,
    /// This start makes the site's password.
    is_new: bool,
}

async fn serve(s: Started, levels: log::Levels, service: Service) -> Result<(), StartError> {
    let need = daemon::files_needed(&s.config);
    let have = interfaces::raise_open_files(need);
    if have < need {
        return Err(StartError::Files { need, have });
    }
    let metrics = Metrics::new();
    let handle = daemon::start(s.config.clone(), metrics.observer(), service.clone())?;
    let desk = Desk::open(handle.table(), metrics).map_err(StartError::Desk)?;
    let source = s.file.as_ref().map_or("site mode".to_owned(), |f| f.display().to_string());
    let applied = Box::new(move |c: &Config| levels(&c.log));
    let (config, read) = (s.config.clone(), reader(&s));
    let reloader = Reloader::new(handle.asks(), config, source, read, applied, service.clone())?
        .with_tls(handle.tls().clone());
    let reloader = Arc::new(reloader);
    let page = page(&s.config, handle.asks(), &reloader)?;
    let mut link = None;
    if let Some(at) = s.config.http {
        link = page.as_ref().map(|page| format!("http://{at}/?token={}", page.token));
        desk.serve(at, page).map_err(|e| StartError::Http(at, e))?;
    }
    // Who follows a device is told where that stands.
    let stays = s
        .config
        .interfaces
        .iter()
        .filter(|i| i.addresses.following().is_none() && i.link == Link::Local);
    let own = stays.flat_map(|i| i.addresses.iter());
    desk.watch(own.map(|a| a.ip).collect());
    let control = commands(&s.config, &desk, (handle.asks(), link.clone()), &reloader)?;
    header(&s, &handle.tls().certificates(), link.as_deref());
    // Whoever waits for that word may send one at once.
    let Some(signals) = Signals::open() else { return Ok(()) };
    say("ready");
    service.ready();
    signals.obey(handle.asks(), &reloader).await;
    handle.stopped().await;
    if let Some(control) = control {
        control.stop().await;
    }
    Ok(())
}

/// What the page is made with; `None`: there is none.
fn page(
    c: &Config,
    asks: mpsc::Sender<Ask>,
    reloader: &Arc<Reloader>,
) -> Result<Option<PageOptions>, StartError> {
    if !c.page || c.http.is_none() {
        return Ok(None);
    }
    let token = page_token(Path::new(&c.state_dir))?;
    Ok(Some(PageOptions { token, asks, reloader: reloader.clone() }))
}

/// Listens for commands. Some volumes hold no sockets: where nobody chose the path, calls go on
/// without it.
fn commands(
    c: &Config,
    desk: &Desk,
    (asks, page): (mpsc::Sender<Ask>, Option<String>),
    reloader: &Arc<Reloader>,
) -> Result<Option<Control>, StartError> {
    let Some(path) = &c.control else { return Ok(None) };
    match desk.control(path, asks, reloader.clone(), page) {
        Ok(control) => Ok(Some(control)),
        Err(e) => {
            let chosen = *path != format!("{}/control.sock", c.state_dir.trim_end_matches('/'));
            let taken = e.kind() == std::io::ErrorKind::AddrInUse;
            let fault = StartError::Control(path.clone(), e);
            if chosen || taken {
                return Err(fault);
            }
            tracing::warn!("no commands will be taken: {fault}");
            Ok(None)
        }
    }
}

/// Reads the configuration anew: the file; without one, what stands around (addresses, secrets).
/// Variables and flags of a running process stay what they were.
fn reader(s: &Started) -> Read {
    let (file, args) = (s.file.clone(), s.args.clone());
    let stands = s.config.interfaces.first().and_then(|i| i.addresses.first()).map(|a| a.ip);
    let runs_at: Vec<IpAddr> = s.config.listeners().iter().map(|l| l.bind.ip()).collect();
    Arc::new(move || {
        let env = surroundings(&args.set, args.data.as_deref());
        let Some(file) = &file else {
            return place::again(args.listen.as_deref(), &env, stands)
                .map_err(|faults| Refusal { hash: String::new(), faults });
        };
        let name = file.display().to_string();
        let text = config::text(file)
            .map_err(|faults| Refusal { hash: String::new(), faults: faults + "\n" })?;
        let parsed = Config::parse(&name, &text, &env);
        // The file by itself must be good, not only what is taken of it before a restart.
        let checked = parsed.and_then(|c| RuleSet::compile(&c).map(|_| c));
        let refusal = |faults| Refusal { hash: configuration::hash(&text), faults };
        let c = checked.map_err(|all| refusal(all.iter().map(ToString::to_string).collect()))?;
        // Addresses wait for a restart, which must not fail. Those of before may be away for now.
        match lacking(&c).into_iter().find(|(ip, _)| !runs_at.contains(ip)) {
            Some((_, what)) => Err(refusal(format!("error: {what}: a restart would fail\n"))),
            None => Ok(c),
        }
    })
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

/// What this process is told.
struct Signals {
    term: Signal,
    int: Signal,
    hup: Signal,
}

impl Signals {
    /// From now on they are heard; `None`: they cannot be.
    fn open() -> Option<Self> {
        let heard = |kind| signal(kind).ok();
        Some(Self {
            term: heard(SignalKind::terminate())?,
            int: heard(SignalKind::interrupt())?,
            hup: heard(SignalKind::hangup())?,
        })
    }

    /// Until the gateway has stopped.
    async fn obey(mut self, asks: mpsc::Sender<Ask>, reloader: &Reloader) {
        let mut stopping = false;
        loop {
            let by = tokio::select! {
                _ = self.term.recv() => Some("SIGTERM"),
                _ = self.int.recv() => Some("SIGINT"),
                _ = self.hup.recv() => None,
                () = asks.closed() => return,
            };
            match by {
                Some(_) if stopping => drop(asks.send(Ask::StopNow).await),
                Some(name) => {
                    stopping = true;
                    let (told, _) = oneshot::channel();
                    let _ = asks.send(Ask::Drain { by: name.to_owned(), told }).await;
                }
                None => drop(reloader.reload("SIGHUP").await),
            }
        }
    }
}
