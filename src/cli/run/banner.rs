//! What the start prints: where the gateway stands, what to type into a phone, and what is
//! doubtful. It decides nothing; the last line, `ready`, is not its own.

use super::{Started, doubts, surroundings};
use crate::cli::table::shown;
use crate::cli::{doctor, folder};
use crate::config::Config;
use crate::driver::clock::Clock;
use crate::driver::state;
use crate::engine::digest::Users;
use crate::engine::stats::{CertificateOf, CertificateView};
use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::Path;

pub(super) fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // Nobody may be reading any more; the gateway works all the same.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// What the installer needs to know.
pub(super) fn header(s: &Started, certificates: &[CertificateView], page: Option<&str>) {
    let c = &s.config;
    let version = env!("CARGO_PKG_VERSION");
    match &s.file {
        Some(file) => say(&format!("portreeve {version}   configuration {}", file.display())),
        None => say(&format!(
            "portreeve {version}   no configuration file: site mode. `portreeve config init` \
             prints one."
        )),
    }
    for i in &c.interfaces {
        if let Some(tunnel) = i.link.tunnel() {
            say(&format!(
                "  {:<8} {:<10} tunnel of site \"{}\" {}",
                i.side, i.name, tunnel.site, tunnel.end
            ));
            continue;
        }
        let ports: Vec<String> =
            i.listen.iter().map(|l| format!("{} {}", l.transport, l.port)).collect();
        let own = i.addresses.listed();
        say(&format!("  {:<8} {:<10} {own:<18} {}", i.side, i.name, ports.join(", ")));
    }
    for u in &c.upstreams {
        for t in &u.targets {
            let transport = t.transport.or(t.fixed().map(|hop| hop.transport));
            let transport = transport.map_or("as DNS says".to_owned(), |t| t.to_string());
            say(&format!("  upstream {:<10} {:<18} {transport}", u.name, t.to_string()));
        }
    }
    for v in certificates.iter().filter(|v| v.of == CertificateOf::Interface) {
        say(&format!("  tls      {:<10} {}", v.name, v.fingerprint));
        say(&format!("  {:<8} {:<10} as a pin: {}", "", "", v.pin));
        if let Some(file) = &v.made {
            say(&format!("  {:<8} {:<10} for who is to believe it: {file}", "", ""));
        }
    }
    if let (Some(i), true) = (c.interfaces.first(), c.is_site()) {
        let port = i.listen.first().map_or(5060, |l| l.port);
        let ip = i.addresses.first().map(|a| a.advertised().to_string()).unwrap_or_default();
        let at = if port == 5060 { ip } else { format!("{ip}:{port}") };
        say("  Type into a softphone:");
        say(&format!("    server, outbound proxy   {at}"));
        say(&format!("    user                     {}", who(c)));
        say(&format!("    password                 {}", password(c, s.is_new)));
    }
    let (first, last) = c.media.ports;
    say(&format!("  media    udp {first}-{last}, {} calls", c.limits.calls));
    if let Some(at) = c.http {
        readers(at, page);
    }
    if let Some(dir) = &c.audit.dir {
        say(&format!("  audit    {dir}"));
    }
    if let Some(path) = &c.control {
        say(&format!("  control  {path}   portreeve status, calls, reload, drain"));
    }
    let ending = doctor::ending(certificates, Clock::start().now().wall);
    let env = surroundings(&s.args.set, s.args.data.as_deref());
    let own = folder::note(c, &env).into_iter().chain(env.strange_variables());
    for doubt in doubts::doubts(c).into_iter().chain(ending).chain(own) {
        say(&format!("  note: {doubt}"));
    }
    for ip in &s.others {
        say(&format!("  also here: {ip} (--listen {ip} picks it)"));
    }
}

/// Where figures and the page are read.
fn readers(at: SocketAddr, page: Option<&str>) {
    say(&format!("  metrics  http://{at}/metrics   health /live /ready"));
    let opens = "`portreeve page` prints the link that opens it";
    match page {
        // As the password: on a terminal, and not in a log.
        Some(link) if std::io::stdout().is_terminal() => say(&format!("  page     {link}")),
        Some(_) => say(&format!("  page     http://{at}/   {opens}")),
        None => {}
    }
}

/// The site's password on a terminal, else where it stands.
fn password(c: &Config, is_new: bool) -> String {
    let r = &c.registrar;
    let file = match (&r.users_file, &r.password_file) {
        (Some(users), _) => return format!("each its own, as in {users}"),
        (None, Some(file)) => file,
        (None, None) => return "none is asked for".to_owned(),
    };
    let new = if is_new { "new, " } else { "" };
    if std::io::stdout().is_terminal() {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        return format!("{}   ({new}kept in {file})", text.trim());
    }
    format!("{new}in {file}")
}

/// Who may register.
fn who(c: &Config) -> String {
    let any = || "101 to 199 (any extension of 2 to 6 digits)".to_owned();
    let Some(file) = &c.registrar.users_file else { return any() };
    let read = state::users(Path::new(file), &c.registrar.realm);
    let Ok(Users::Table(table)) = read else { return format!("as in {file}") };
    let mut all: Vec<&str> = table.keys().map(String::as_str).collect();
    all.sort_unstable();
    let more = all.len().saturating_sub(SHOWN);
    let first = all.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    match (all.len(), more) {
        (0, _) => format!("nobody yet: `portreeve user add NAME` ({file})"),
        (_, 0) => shown(&first),
        (_, more) => format!("{} and {more} more", shown(&first)),
    }
}

/// Users that the start names.
const SHOWN: usize = 8;
