//! `[[interface]]`: a network the gateway stands in, its sockets and how it treats who comes by
//! them. One section at a time; what sections mean together stands in `checks`.

use super::address::addresses;
use super::reader::{Section, Source};
use super::tunnel::{self, Peer, Tunnel};
use super::{
    Addresses, Environment, Interface, Learn, Link, Listen, Strangers, Target, Upstream, tls,
    values,
};
use crate::ground::{Side, Transport};

/// Interfaces as read, each with whether it says itself what strangers get.
type Read = Vec<(Interface, bool)>;

/// The interfaces of one section: of a tunnel that several sites come by one for each of them; none
/// where its faults are told. `site`: what this site is called.
pub(super) fn interface(
    mut s: Section<'_, '_>,
    env: &Environment,
    (site, peers): (&str, &[Peer]),
    src: &mut Source<'_>,
) -> Read {
    let name = s.string("name", src);
    let side = s.word("side", &[("inside", Side::Inside), ("outside", Side::Outside)], src);
    if name.is_none() {
        s.missing("name", "a short word, shown in logs and rules", src);
    }
    if s.get("side").is_none() {
        s.missing("side", "side = \"inside\" (phones) or \"outside\" (PBX, trunk)", src);
    }
    values::name(&s, "name", name.as_deref(), src);
    if tunnel::is_tunnel(&mut s, src) {
        return by_tunnel(s, name.zip(side), (site, peers, env), src);
    }
    local(s, (name, side), env, src).into_iter().collect()
}

/// What is read of an interface of whatever link.
fn usual(name: String, side: Side, addresses: Addresses) -> Interface {
    // Outside only upstreams have a reason to call, and every one of them is known by its address.
    let (learn, strangers) = match side {
        Side::Inside => (Learn::SameIp, Strangers::Answer),
        Side::Outside => (Learn::Strict, Strangers::Silent),
    };
    Interface {
        name,
        side,
        link: Link::Local,
        addresses,
        advertise_name: None,
        listen: Vec::new(),
        tls: None,
        learn,
        networks: Vec::new(),
        allow_loopback: false,
        force_rport: side == Side::Inside,
        strangers,
        keepalive: None,
        dscp_sip: 24,
        dscp_media: 46,
    }
}

/// Nobody but the other gateway can be there: what would tell phones from others says nothing.
fn by_tunnel(
    mut s: Section<'_, '_>,
    called: Option<(String, Side)>,
    (site, peers, env): (&str, &[Peer], &Environment),
    src: &mut Source<'_>,
) -> Read {
    let written = tunnel::written(&mut s, env, src);
    let dscp = s.number("dscp_media", 0..=63, src).unwrap_or(46);
    s.finish(src);
    let (Some(written), Some((name, side))) = (written, called) else { return Vec::new() };
    let one = |name: &str, tunnel: Tunnel| {
        let stands = tunnel::stands(&tunnel).into();
        let interface = Interface {
            listen: Tunnel::listen(),
            networks: vec![tunnel.far().into()],
            learn: Learn::Strict,
            dscp_media: u8::try_from(dscp).unwrap_or(46),
            link: Link::Tunnel(Box::new(tunnel)),
            ..usual(name.to_owned(), side, stands)
        };
        (interface, true)
    };
    if !written.is_for_peers() {
        return vec![one(&name, written.tunnel(&name, site))];
    }
    let mine = peers.iter().filter(|p| p.is_of(&name));
    let all: Read = mine.map(|p| one(&p.name, written.of_peer(p))).collect();
    // Whoever takes the last key back means it.
    if all.is_empty() { vec![one(&name, written.tunnel(&name, site))] } else { all }
}

/// One that stands in a network of this machine's.
fn local(
    mut s: Section<'_, '_>,
    (name, side): (Option<String>, Option<Side>),
    env: &Environment,
    src: &mut Source<'_>,
) -> Option<(Interface, bool)> {
    let addresses = addresses(&mut s, side, env, src);
    let advertise_name = advertise_name(&mut s, src);
    let learn = s.word("learn", &[("strict", Learn::Strict), ("same-ip", Learn::SameIp)], src);
    let listen = listen(&mut s, src);
    let tls = tls::server(&mut s, &listen, src);
    let mut networks = s.networks("networks", src);
    networks.extend(s.networks("media_networks", src));
    let rport = s.boolean("rport", src);
    let words = [("silent", Strangers::Silent), ("answer", Strangers::Answer)];
    let strangers = s.word("strangers", &words, src);
    let loopback = s.boolean("allow_loopback", src);
    let keepalive = s.duration("keepalive", src);
    let dscp_sip = s.number("dscp_sip", 0..=63, src).unwrap_or(24);
    let dscp_media = s.number("dscp_media", 0..=63, src).unwrap_or(46);
    values::interface(&s, addresses.as_ref(), &listen, src);
    s.finish(src);
    let (name, side, addresses) = (name?, side?, addresses?);
    if networks.is_empty() && side == Side::Inside {
        // The site is what is attached here, unless the file says otherwise.
        let own = |n: &&ipnet::IpNet| addresses.bound(n.addr()).is_some();
        let attached = env.devices.values().flatten().filter(own);
        networks = attached.map(ipnet::IpNet::trunc).collect();
    }
    let usual = usual(name, side, addresses);
    let interface = Interface {
        advertise_name,
        listen,
        tls,
        learn: learn.unwrap_or(usual.learn),
        networks,
        allow_loopback: loopback.unwrap_or(false),
        force_rport: rport.unwrap_or(usual.force_rport),
        strangers: strangers.unwrap_or(usual.strangers),
        keepalive: keepalive.filter(|d| !d.is_zero()),
        dscp_sip: u8::try_from(dscp_sip).unwrap_or(24),
        dscp_media: u8::try_from(dscp_media).unwrap_or(46),
        ..usual
    };
    Some((interface, strangers.is_some()))
}

/// A host name, as a URI has it.
fn advertise_name(s: &mut Section<'_, '_>, src: &mut Source<'_>) -> Option<String> {
    let name = s.string("advertise_name", src)?.to_ascii_lowercase();
    if Target::parse(&name).is_some_and(|t| t.name() == Some(name.as_str()) && t.port.is_none()) {
        return Some(name);
    }
    let what = format!("`advertise_name` \"{name}\" is no host name");
    let hint = "as \"sbc.example.com\"; an address is `advertise`".to_owned();
    src.fault("address", s.span_of("advertise_name"), what, Some(hint));
    None
}

/// Outside an upstream by name may call from where nobody knows it, unless the file lists its
/// `sources`: there strangers are answered, so that it is found out.
pub(super) fn meet_strangers(interfaces: &mut [Interface], said: &[bool], upstreams: &[Upstream]) {
    let unknown = |u: &&Upstream| {
        let own = if u.is_tls_alone() { 0 } else { u.fixed().count() };
        u.targets.iter().any(|t| t.name().is_some()) && u.sources.len() <= own
    };
    for u in upstreams.iter().filter(unknown) {
        let i = interfaces.get_mut(u.interface).filter(|i| i.side == Side::Outside);
        if let (Some(i), Some(false)) = (i, said.get(u.interface)) {
            i.strangers = Strangers::Answer;
        }
    }
}

fn listen(s: &mut Section<'_, '_>, src: &mut Source<'_>) -> Vec<Listen> {
    let Some(all) = s.strings("listen", src) else {
        let port = 5060;
        return vec![
            Listen { transport: Transport::Udp, port },
            Listen { transport: Transport::Tcp, port },
        ];
    };
    let mut out = Vec::new();
    for (text, span) in all {
        match parse_listen(&text) {
            Some(l) => out.push(l),
            None => {
                let what = format!("\"{text}\" is no socket");
                let hint = Some("write \"udp:5060\", \"tcp:5060\" or \"tls:5061\"".to_owned());
                src.fault("listen", span, what, hint);
            }
        }
    }
    out
}

/// `udp:5060`.
fn parse_listen(text: &str) -> Option<Listen> {
    let (transport, port) = text.split_once(':')?;
    let transport = match transport {
        "udp" => Transport::Udp,
        "tcp" => Transport::Tcp,
        "tls" => Transport::Tls,
        _ => return None,
    };
    let port = port.parse().ok().filter(|p| *p > 0)?;
    Some(Listen { transport, port })
}
