//! Tunnels: a site's ways to its head office, each tried; a head office's port, and where sites
//! find it. What a network's own people have to let through is said in words that can be handed to
//! them. A tunnel that stands is not touched.

use super::gateway::Running;
use super::{Check, Line, ports};
use crate::cli::config::is_of_service;
use crate::config::{BearerChoice, Config, End, Host, Interface, Place, Proxy, Tunnel};
use crate::driver::interfaces::{self, Attached, Link};
use crate::driver::reach::source;
use crate::driver::tunnel::{Step, Tried, look, own_key};
use crate::ground::Transport;
use std::net::{IpAddr, SocketAddr};
use tokio::task::JoinSet;

/// Lines for every tunnel, and letters.
pub(super) async fn tunnels(c: &Config, running: &Running) -> (Vec<Line>, Vec<Line>) {
    let (mut lines, mut letters) = (Vec::new(), Vec::new());
    // All at once: each takes its time.
    let mut asked = JoinSet::new();
    let mut seen: Vec<SocketAddr> = Vec::new();
    for (index, i) in c.interfaces.iter().enumerate() {
        let Some(tunnel) = i.link.tunnel() else { continue };
        if let End::HeadOffice { listen, tcp } = tunnel.end {
            // Sites share a port and a key.
            if seen.contains(&listen) {
                continue;
            }
            seen.push(listen);
            lines.extend(key(c, index, i).1);
            lines.extend(office(i, listen, tcp, running));
            continue;
        }
        let (is_usable, said) = key(c, index, i);
        lines.extend(said);
        if !is_usable {
            continue;
        }
        let c = c.clone();
        asked.spawn(async move { (index, look(&c, index).await) });
    }
    let mut all = asked.join_all().await;
    all.sort_by_key(|(index, _)| *index);
    for (index, all) in all {
        let Some(i) = c.interfaces.get(index) else { continue };
        lines.extend(judged(&i.name, &all));
        letters.extend(i.link.tunnel().and_then(|tunnel| letter(c, tunnel, &all)));
    }
    (lines, letters)
}

/// Whether the files that it needs can be used.
fn key(c: &Config, index: usize, i: &Interface) -> (bool, Vec<Line>) {
    let check = Check::Tunnel;
    match own_key(c, index) {
        Ok((key, doubts)) => {
            let doubts = doubts.into_iter().map(|doubt| Line::note(check, doubt, ""));
            let fine = Line::ok(check, format!("{}: our key is {key}", i.name));
            (true, std::iter::once(fine).chain(doubts).collect())
        }
        Err(what) => {
            let todo = "its ways are not tried without it";
            let is_hidden = what.contains("Permission denied")
                && !rustix::process::geteuid().is_root()
                || is_of_service(&what);
            let line = if is_hidden {
                Line::note(check, what, "ask as root, or as the user that runs portreeve")
            } else {
                Line::todo(check, what, todo)
            };
            (false, vec![line])
        }
    }
}

/// What came of each step. Where one way leads through, what another one lacks is worth a word.
fn judged(name: &str, all: &[Tried]) -> Vec<Line> {
    let check = Check::Tunnel;
    let is_through = all.iter().any(|tried| tried.step.is_whole() && tried.came.is_ok());
    let line = |tried: &Tried| {
        let what = step(tried.step);
        match &tried.came {
            Ok(at) if tried.step == Step::Name => {
                Line::ok(check, format!("{name}: {} is {at}", tried.place))
            }
            Ok(at) => {
                let after = tried.after.as_millis();
                let via = if *at == tried.place { String::new() } else { format!(" ({at})") };
                Line::ok(check, format!("{name}: {what} {}{via}: good, {after} ms", tried.place))
            }
            Err((seen, todo)) if is_through && tried.step != Step::Name => {
                Line::note(check, format!("{name}: {what}: {seen}"), todo.as_str())
            }
            Err((seen, todo)) => {
                Line::todo(check, format!("{name}: {what}: {seen}"), todo.as_str())
            }
        }
    };
    all.iter().map(line).collect()
}

fn step(step: Step) -> &'static str {
    match step {
        Step::Name => "its name",
        Step::Udp => "UDP (QUIC) to",
        Step::Tcp => "TCP to",
        Step::TcpTls => "TLS by TCP to",
        Step::Proxy => "proxy",
        Step::ProxyTls => "TLS through the proxy to",
    }
}

/// What this site needs of whoever looks after its network, and how that is today.
fn letter(c: &Config, tunnel: &Tunnel, all: &[Tried]) -> Option<Line> {
    let End::Site { connect, bearer, proxy, .. } = &tunnel.end else { return None };
    let own = from(c, connect, all).or_else(|| from(c, &proxy.as_ref()?.place, all));
    let own = own.map_or("this machine".to_owned(), |ip| ip.to_string());
    let ips: Vec<String> = addresses(connect, all).iter().map(ToString::to_string).collect();
    let host = match &connect.host {
        Host::Ip(ip) => ip.to_string(),
        Host::Name(name) if ips.is_empty() => name.clone(),
        Host::Name(name) => format!("{name} ({})", ips.join(", ")),
    };
    let mut ways = Vec::new();
    let port = connect.port;
    if *bearer != BearerChoice::Tcp {
        let today = today(all, &[Step::Udp]);
        ways.push(format!(
            "outbound UDP from {own} to {host} port {port}, and its answers back (today: {today})"
        ));
    }
    if *bearer != BearerChoice::Quic {
        let today = today(all, &[Step::Tcp, Step::TcpTls]);
        ways.push(format!("outbound TCP from {own} to {host} port {port} (today: {today})"));
        ways.extend(proxy.as_ref().map(|proxy| by_proxy(&own, connect, proxy, all)));
    }
    Some(Line::note(
        Check::Letter,
        format!(
            "For whoever looks after this network: the telephones of site {} reach their head \
             office by one encrypted connection that {own} makes; nothing has to be let in. It \
             needs one of these, the first is the best: {}. It is TLS 1.3 between two keys that \
             know each other: whatever looks into it ends it, so {connect} has to be let through \
             unopened.",
            tunnel.site,
            ways.join("; or ")
        ),
        "",
    ))
}

/// Where a place was found to be.
fn addresses(place: &Place, all: &[Tried]) -> Vec<IpAddr> {
    let name = match &place.host {
        Host::Ip(ip) => return vec![*ip],
        Host::Name(name) => name,
    };
    let found = all.iter().find(|t| t.step == Step::Name && t.place == *name);
    let said = found.and_then(|t| t.came.as_ref().ok()).map(String::as_str).unwrap_or_default();
    said.split(", ").filter_map(|ip| ip.parse().ok()).collect()
}

/// The address that this machine reaches it from.
fn from(c: &Config, place: &Place, all: &[Tried]) -> Option<IpAddr> {
    let to = SocketAddr::new(*addresses(place, all).first()?, place.port);
    source(to, &(c.media.ports.0..=c.media.ports.1)).ok()
}

fn by_proxy(own: &str, connect: &Place, proxy: &Proxy, all: &[Tried]) -> String {
    let user = proxy.user.as_ref().map(|user| format!(" as user {user}")).unwrap_or_default();
    format!(
        "CONNECT to {connect} for {own}{user} through proxy {} (today: {})",
        proxy.place,
        today(all, &[Step::Proxy, Step::ProxyTls])
    )
}

/// How these steps of one way went.
fn today(all: &[Tried], steps: &[Step]) -> String {
    let mut own = all.iter().filter(|tried| steps.contains(&tried.step));
    let failed = own.clone().find_map(|tried| tried.came.as_ref().err());
    match failed {
        Some((seen, _)) => seen.clone(),
        None if own.any(|tried| tried.step.is_whole()) => "it works".to_owned(),
        None => "not tried".to_owned(),
    }
}

/// A head office's ports, and where its sites find them.
fn office(i: &Interface, udp: SocketAddr, tcp: Option<SocketAddr>, running: &Running) -> Vec<Line> {
    let mut lines = vec![ports::port(udp, Transport::Udp, running)];
    lines.extend(tcp.map(|at| ports::port(at, Transport::Tcp, running)));
    lines.push(found(&i.name, udp, tcp, &interfaces::attached()));
    if tcp.is_none() {
        let what = format!("sites whose network lets no UDP out do not get to {}", udp.port());
        let todo = format!("listen = [\"udp:{0}\", \"tcp:{0}\"] lets them come by TCP", udp.port());
        lines.push(Line::note(Check::Tunnel, what, todo));
    }
    lines
}

/// Where sites call.
fn found(name: &str, udp: SocketAddr, tcp: Option<SocketAddr>, all: &[Attached]) -> Line {
    let check = Check::Tunnel;
    if udp.ip().is_loopback() {
        let todo = "leave `address` out, or name one that sites reach";
        return Line::note(check, format!("{name}: nobody but this machine reaches {udp}"), todo);
    }
    let is_shown = |a: &&Attached| {
        a.link == Link::Network && (udp.ip().is_unspecified() || udp.ip() == a.ip())
    };
    let here: Vec<IpAddr> = all.iter().filter(is_shown).map(Attached::ip).collect();
    let ports = match tcp {
        Some(tcp) => format!("udp {} and tcp {}", udp.port(), tcp.port()),
        None => format!("udp {}", udp.port()),
    };
    let listed: Vec<String> = here.iter().map(ToString::to_string).collect();
    let what = format!("{name}: sites call {ports} at {}", listed.join(", "));
    if here.is_empty() {
        let todo = "an address that this machine has, as `address`, or none at all";
        return Line::todo(check, format!("{name}: no address here for {udp}"), todo);
    }
    if here.iter().all(|ip| is_private(*ip)) {
        let todo = format!(
            "from outside this network nobody reaches that: its router has to hand {ports} on to \
             it, and `connect` at the sites is the router's outside address"
        );
        return Line::note(check, what, todo);
    }
    Line::ok(check, what)
}

/// None that the Internet leads to.
fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => {
            // RFC 6598 as well.
            let [a, b, ..] = v4.octets();
            v4.is_private() || v4.is_link_local() || (a, b & 0xc0) == (100, 64)
        }
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;
    use crate::config::Environment;
    use std::time::Duration;

    fn tried(step: Step, place: &str, came: Result<&str, (&str, &str)>) -> Tried {
        let own = |(seen, todo): (&str, &str)| (seen.to_owned(), todo.to_owned());
        let came = came.map(str::to_owned).map_err(own);
        Tried { step, place: place.to_owned(), came, after: Duration::from_millis(12) }
    }

    fn site() -> Config {
        let text = concat!(
            "site = { name = \"berlin\" }\n[[interface]]\nname = \"lan\"\nside = \"inside\"\n",
            "address = \"10.17.0.1\"\n[[interface]]\nname = \"office\"\nside = \"outside\"\n",
            "link = \"tunnel\"\nconnect = \"gate.test:443\"\n",
            "peer_key = \"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\"\n",
            "proxy = \"http://10.0.0.9:3128\"\nproxy_user = \"gate\"\n",
            "[[upstream]]\nname = \"pbx\"\ndomain = \"pbx.test\"\n",
        );
        Config::parse("t", text, &Environment::default()).unwrap()
    }

    #[test]
    fn with_one_way_through_the_others_are_worth_a_word_and_without_any_all_are_to_be_mended() {
        let mut all = vec![
            tried(Step::Name, "gate.test", Ok("127.0.0.1")),
            tried(Step::Udp, "gate.test:443", Err(("gate.test:443: no answer", "let it out"))),
            tried(Step::Proxy, "10.0.0.9:3128", Ok("10.0.0.9:3128")),
            tried(Step::ProxyTls, "gate.test:443", Ok("10.0.0.9:3128")),
        ];
        let verdicts =
            |all: &[Tried]| judged("office", all).iter().map(|l| l.verdict).collect::<Vec<_>>();
        assert_eq!(verdicts(&all), [Verdict::Ok, Verdict::Note, Verdict::Ok, Verdict::Ok]);
        let lines = judged("office", &all);
        assert_eq!(
            lines[1].text(),
            "note  tunnel         office: UDP (QUIC) to: gate.test:443: no answer: let it out"
        );
        assert!(
            lines[3].what.ends_with("gate.test:443 (10.0.0.9:3128): good, 12 ms"),
            "{}",
            lines[3].what
        );
        all[3].came = Err(("it is not the head office".to_owned(), "let it through".to_owned()));
        assert_eq!(verdicts(&all), [Verdict::Ok, Verdict::Todo, Verdict::Ok, Verdict::Todo]);
        // Without a name there is nothing.
        all[0].came = Err(("gate.test: no such host".to_owned(), "spelled?".to_owned()));
        assert_eq!(verdicts(&all)[0], Verdict::Todo);
    }

    #[test]
    fn the_letter_says_what_is_needed_and_how_it_is_today_and_no_password() {
        let c = site();
        let tunnel = c.interfaces[1].link.tunnel().unwrap();
        let all = [
            tried(Step::Name, "gate.test", Ok("127.0.0.1")),
            tried(Step::Udp, "gate.test:443", Err(("gate.test:443: no answer", "x"))),
            tried(Step::Tcp, "gate.test:443", Err(("gate.test:443: nobody listens there", "x"))),
            tried(
                Step::Proxy,
                "10.0.0.9:3128",
                Err(("proxy 10.0.0.9:3128: it asks who we are", "x")),
            ),
        ];
        let told = letter(&c, tunnel, &all).unwrap().what;
        for want in [
            "outbound UDP from 127.0.0.1 to gate.test (127.0.0.1) port 443, and its answers back \
             (today: gate.test:443: no answer); or outbound TCP",
            "(today: gate.test:443: nobody listens there); or CONNECT to gate.test:443 for \
             127.0.0.1 as user gate through proxy 10.0.0.9:3128 (today: proxy 10.0.0.9:3128: it \
             asks who we are).",
            "telephones of site berlin",
        ] {
            assert!(told.contains(want), "{want}\nin\n{told}");
        }
        let good = [tried(Step::Udp, "gate.test:443", Ok("127.0.0.1:443"))];
        assert!(letter(&c, tunnel, &good).unwrap().what.contains("(today: it works)"));
    }

    #[test]
    fn a_head_office_says_where_its_sites_call_and_what_a_router_has_to_do() {
        let at = |net: &str| Attached {
            device: "eth0".to_owned(),
            net: net.parse().unwrap(),
            link: Link::Network,
        };
        let any: SocketAddr = "[::]:443".parse().unwrap();
        let told = |all: &[Attached]| found("sites", any, Some(any), all);
        let open = told(&[at("192.0.2.1/24"), at("10.0.0.1/8")]);
        assert!(
            open.verdict == Verdict::Ok && open.what.contains("udp 443 and tcp 443 at 192.0.2.1")
        );
        let inside = told(&[at("10.0.0.1/8"), at("fd00::1/64"), at("100.64.0.7/10")]);
        assert!(
            inside.verdict == Verdict::Note && inside.todo.contains("router"),
            "{}",
            inside.todo
        );
        let none = found("sites", "192.0.2.7:443".parse().unwrap(), None, &[at("10.0.0.1/8")]);
        assert_eq!(none.verdict, Verdict::Todo);
        let own = found("sites", "127.0.0.1:443".parse().unwrap(), None, &[]);
        assert!(own.verdict == Verdict::Note && own.what.contains("nobody but this machine"));
    }
}
