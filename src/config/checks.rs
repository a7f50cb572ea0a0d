//! What sections mean together: names, sockets, ports, references.

use super::reader::{Section, Source, suggestion};
use super::{Config, End, Interface, RegistrarMode, RuleAction};
use crate::ground::{self, Side};
use crate::wire::addresses::is_within;
use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::ops::Range;
use toml::de::DeTable;

/// Sockets that one call holds: a pair on each side.
pub(crate) const PORTS_PER_CALL: usize = 4;

/// Where sections stand in the text.
pub(super) struct Spans {
    /// That of each interface.
    pub(super) interfaces: Vec<Range<usize>>,
    /// No section was left out for its faults.
    pub(super) are_all: bool,
}

pub(super) fn check(config: &Config, root: &DeTable<'_>, at: Spans, src: &mut Source<'_>) {
    let mut top = Section::new("the configuration", root, 0..0);
    let mut quiet = Source { file: src.file, text: src.text, faults: Vec::new() };
    let mut spans = |key: &'static str| -> Vec<Range<usize>> {
        top.tables(key, "", &mut quiet).into_iter().map(|s| s.span).collect()
    };
    let (upstreams, rules) = (spans("upstream"), spans("rule"));
    let Spans { interfaces, are_all } = at;
    let media = top.table("media", "[media]", &mut quiet).map_or(0..1, |s| s.span_of("ports"));
    names("interface", config.interfaces.iter().map(|i| i.name.as_str()), &interfaces, src);
    names("upstream", config.upstreams.iter().map(|u| u.name.as_str()), &upstreams, src);
    names("rule", config.policy.rules.iter().map(|r| r.name.as_str()), &rules, src);
    sides(config, are_all, src);
    let mode = top.table("registrar", "[registrar]", &mut quiet).map(|s| s.span_of("mode"));
    // An upstream that could not be read has said so already.
    let written = top.has("upstream").then_some(upstreams.len());
    registrar(config, (written, mode.unwrap_or(0..1)), src);
    tunnels(config, &interfaces, src);
    sockets(config, &interfaces, src);
    ports(config, media, src);
    own_ports(config, &upstreams, src);
    emergency(config, src);
    references(config, &rules, src);
    places(config, &rules, src);
    let zone = top.table("site", "[site]", &mut quiet).map_or(0..1, |s| s.span_of("timezone"));
    timezone(config, zone, src);
    inside_domains(config, &upstreams, src);
}

fn at(spans: &[Range<usize>], index: usize) -> Range<usize> {
    spans.get(index).cloned().unwrap_or(0..1)
}

fn names<'a>(
    what: &str,
    all: impl Iterator<Item = &'a str>,
    spans: &[Range<usize>],
    src: &mut Source<'_>,
) {
    let mut seen = HashMap::new();
    for (index, name) in all.enumerate() {
        if seen.insert(name, index).is_some() {
            let text = format!("two [[{what}]] are named \"{name}\"");
            src.fault("duplicate-name", at(spans, index), text, None);
        }
    }
}

fn sides(config: &Config, whole: bool, src: &mut Source<'_>) {
    if whole && !config.interfaces.iter().any(|i| i.side == Side::Inside) {
        let hint = "add [[interface]] with name, side = \"inside\" and address".to_owned();
        src.fault("no-inside", 0..1, "no interface is inside: phones have no way in", Some(hint));
    }
}

/// Who answers REGISTER: a file without an upstream needs its own users.
fn registrar(
    config: &Config,
    (written, mode): (Option<usize>, Range<usize>),
    src: &mut Source<'_>,
) {
    let upstreams = written.unwrap_or(0);
    let r = &config.registrar;
    let pbx = "[[upstream]] with name and address";
    if written.is_none() && r.mode == RegistrarMode::Upstream {
        let what = "registrar.mode is \"upstream\" and there is no [[upstream]]";
        src.fault("no-upstream", 0..1, what, Some(format!("add {pbx}")));
    }
    let nobody = r.users_file.is_none() && r.password_file.is_none();
    if r.digest
        && nobody
        && r.mode == RegistrarMode::Local
        && upstreams == config.upstreams.len()
        && written != Some(0)
    {
        if let Some(upstream) = config.upstreams.first() {
            let what = "registrar.mode is \"local\", and no local user is there to register";
            let hint = format!(
                "add users or password_file beside it; or take the line out, and phones register \
                 at \"{}\"",
                upstream.name
            );
            src.fault("no-registrar", mode, what, Some(hint));
            return;
        }
        let what = "no phone can register: there is neither an [[upstream]] nor a local user";
        let hint = format!("add {pbx}, or [registrar] with users or password_file");
        src.fault("no-registrar", 0..1, what, Some(hint));
    }
}

/// What both ends call a site is what tells its tunnel from others.
fn tunnels(config: &Config, spans: &[Range<usize>], src: &mut Source<'_>) {
    let (mut names, mut keys) = (HashMap::new(), HashMap::new());
    for (index, i) in config.interfaces.iter().enumerate() {
        let Some(tunnel) = i.link.tunnel() else { continue };
        if let Some(other) = names.insert(&tunnel.site, &i.name) {
            let what = format!("\"{other}\" and \"{}\" are both of site {:?}", i.name, tunnel.site);
            let hint = Some("give each its own `site`, the same at both ends".to_owned());
            src.fault("tunnel", at(spans, index), what, hint);
        }
        let key = tunnel.peer.map(|key| (key, std::mem::discriminant(&tunnel.end)));
        if let Some(other) = key.and_then(|key| keys.insert(key, &i.name)) {
            let what = format!("\"{other}\" and \"{}\" have the same key", i.name);
            let hint = Some("each gateway makes its own by `portreeve tunnel keygen`".to_owned());
            src.fault("tunnel", at(spans, index), what, hint);
        }
    }
    doors(config, spans, src);
}

/// Tunnels that listen at one port are of one socket, and one key of ours.
fn doors(config: &Config, spans: &[Range<usize>], src: &mut Source<'_>) {
    let mut known: Vec<(&Interface, SocketAddr, Option<SocketAddr>)> = Vec::new();
    for (index, i) in config.interfaces.iter().enumerate() {
        let Some(End::HeadOffice { listen, tcp }) = i.link.tunnel().map(|t| &t.end) else {
            continue;
        };
        let meets = |(_, udp, other): &&(&Interface, SocketAddr, Option<SocketAddr>)| {
            udp == listen || tcp.is_some() && other == tcp
        };
        let Some((other, udp, by_tcp)) = known.iter().find(meets) else {
            known.push((i, *listen, *tcp));
            continue;
        };
        let key = |i: &Interface| i.link.tunnel().and_then(|t| t.key_file.clone());
        let what = match (udp, by_tcp) == (listen, tcp) {
            true if key(i) != key(other) => "`key_file`",
            true if i.dscp_media != other.dscp_media => "`dscp_media`",
            true => continue,
            false => "`listen`",
        };
        let what =
            format!("\"{}\" and \"{}\" share a port, and differ in {what}", other.name, i.name);
        let hint = Some("a port has one key: give each ports of its own, or the same".to_owned());
        src.fault("tunnel", at(spans, index), what, hint);
    }
}

fn sockets(config: &Config, spans: &[Range<usize>], src: &mut Source<'_>) {
    let mut seen = HashMap::new();
    for l in config.listeners() {
        if let Some(other) = seen.insert((l.bind, l.transport.carrier()), l.interface) {
            let name = config.interfaces.get(other).map_or("", |i| i.name.as_str());
            let what =
                format!("{} {} is listened on twice (also by \"{name}\")", l.transport, l.bind);
            let hint = Some("sides may share an address when their ports differ".to_owned());
            src.fault("listen", at(spans, l.interface), what, hint);
        }
    }
}

fn ports(config: &Config, span: Range<usize>, src: &mut Source<'_>) {
    let (first, last) = config.media.ports;
    let pairs = (usize::from(last) + 1 - usize::from(first + first % 2)) / 2;
    // Interfaces with addresses of their own have the whole range each.
    let shared = config.interfaces.iter().all(|i| {
        let first = config.interfaces.first().and_then(|f| f.addresses.first());
        first.is_some_and(|a| i.addresses.bound(a.ip).is_some())
    });
    let calls = if shared { pairs / 2 } else { pairs };
    if calls < config.limits.calls {
        let need = config.limits.calls * if shared { PORTS_PER_CALL } else { PORTS_PER_CALL / 2 };
        let end = usize::from(first) + need - 1;
        let what = format!(
            "{} ports carry {calls} calls, limits.calls is {}",
            u32::from(last) - u32::from(first) + 1,
            config.limits.calls
        );
        src.fault("media-ports", span.clone(), what, Some(format!("\"{first}-{end}\" would do")));
    }
    let within = |p: &u16| (first..=last).contains(p);
    let listens = config.interfaces.iter().flat_map(|i| &i.listen);
    let listened: BTreeSet<u16> = listens.map(|l| l.port).collect();
    for port in listened.into_iter().filter(within) {
        let what = format!("SIP port {port} lies within media.ports");
        let hint = "a range apart from every listen, such as \"20000-20399\"".to_owned();
        src.fault("media-ports", span.clone(), what, Some(hint));
    }
}

/// Who gets emergency calls is a phone, not the next emergency number.
fn emergency(config: &Config, src: &mut Source<'_>) {
    let known = || config.upstreams.iter().map(|u| u.name.as_str());
    if let Some(name) = &config.policy.emergency_upstream
        && !known().any(|k| k == name)
    {
        let what = format!("emergency.upstream names \"{name}\", which is not there");
        src.fault("unknown-upstream", 0..1, what, suggestion(name, known()));
    }
    let Some(target) = &config.policy.emergency_target else { return };
    if config.policy.emergency.contains(target) {
        let what = format!("emergency.target \"{target}\" is itself an emergency number");
        let hint = Some("the extension of a phone here, as \"101\"".to_owned());
        src.fault("emergency-target", 0..1, what, hint);
    }
}

/// An upstream may live on this machine, but not at a port that is the gateway's.
fn own_ports(config: &Config, spans: &[Range<usize>], src: &mut Source<'_>) {
    let (first, last) = config.media.ports;
    let all = config.upstreams.iter().enumerate();
    for (index, u, hop) in all.flat_map(|(n, u)| u.fixed().map(move |hop| (n, u, hop))) {
        let own = |i: &Interface| i.addresses.bound(hop.peer.ip()).is_some();
        let here = config.interfaces.iter().any(own);
        let own = if here && (first..=last).contains(&hop.peer.port()) {
            "lies within media.ports of this gateway"
        } else if config.http == Some(hop.peer) && hop.transport.is_reliable() {
            "is this gateway's http.listen"
        } else {
            continue;
        };
        let what = format!("upstream \"{}\" {} {own}", u.name, hop.peer);
        let hint = Some("write the PBX's address and port, as 10.99.0.2:5060".to_owned());
        src.fault("upstream-address", at(spans, index), what, hint);
    }
}

fn references(config: &Config, spans: &[Range<usize>], src: &mut Source<'_>) {
    let known = || config.upstreams.iter().map(|u| u.name.as_str());
    for (index, rule) in config.policy.rules.iter().enumerate() {
        let mut named: Vec<&str> =
            rule.upstream.iter().map(String::as_str).filter(|n| !n.contains('*')).collect();
        if let RuleAction::Allow(allow) = &rule.action {
            named.extend(allow.upstream.as_deref());
        }
        for name in named {
            if !known().any(|k| k == name) {
                let what =
                    format!("rule \"{}\" names upstream \"{name}\", which is not there", rule.name);
                src.fault("unknown-upstream", at(spans, index), what, suggestion(name, known()));
            }
        }
    }
}

/// Interfaces that rules name are there, and a rule that allows something for a certificate's name
/// says whose word that name is: who signs for phones may sign the name of a trunk.
fn places(config: &Config, spans: &[Range<usize>], src: &mut Source<'_>) {
    let known = || config.interfaces.iter().map(|i| i.name.as_str());
    for (index, rule) in config.policy.rules.iter().enumerate() {
        for name in rule.interface.iter().filter(|name| !known().any(|k| k == **name)) {
            let what =
                format!("rule \"{}\" names interface \"{name}\", which is not there", rule.name);
            src.fault("unknown-interface", at(spans, index), what, suggestion(name, known()));
        }
        let here = |i: &&Interface| {
            rule.side.is_none_or(|side| side == i.side)
                && (rule.interface.is_empty() || rule.interface.contains(&i.name))
        };
        let asks = config.interfaces.iter().filter(here);
        let asks = asks.filter_map(|i| Some((&i.name, i.tls.as_ref()?.client_ca.as_ref()?)));
        let asks: Vec<_> = asks.collect();
        let several = asks.iter().any(|(_, file)| asks.first().is_some_and(|(_, f)| f != file));
        let allows = matches!(rule.action, RuleAction::Allow(_));
        if allows && several && !rule.tls_subject.is_empty() {
            let what = format!(
                "rule \"{}\" believes a name whoever signed for it: its interfaces have different \
                 client_ca",
                rule.name
            );
            let name = asks.first().map_or("", |(name, _)| name.as_str());
            let hint = format!("say where it is proved: interface = [\"{name}\"], or `side`");
            src.fault("tls-subject", at(spans, index), what, Some(hint));
        }
    }
}

/// An upstream is known outside by its domain: that cannot be hidden there.
fn inside_domains(config: &Config, spans: &[Range<usize>], src: &mut Source<'_>) {
    for (index, u) in config.upstreams.iter().enumerate() {
        let all = || std::iter::once(&u.domain).chain(&u.domains);
        for inside in &config.site.inside_domains {
            if let Some(shown) = all().find(|d| is_within(d.as_bytes(), inside)) {
                let what = format!("{shown} of \"{}\" stands in site.inside_domains", u.name);
                let hint =
                    Some("name the domain of the phones alone, as phones.example".to_owned());
                src.fault("domain", at(spans, index), what, hint);
            }
        }
    }
}

fn timezone(config: &Config, span: Range<usize>, src: &mut Source<'_>) {
    let zone = &config.site.timezone;
    if ground::zone(zone).is_none() {
        let what = format!("site.timezone \"{zone}\" is no IANA time zone");
        let hint = Some("such as \"Europe/Berlin\"".to_owned());
        src.fault("timezone", span, what, hint);
    }
}
