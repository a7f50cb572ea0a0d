//! What the file says of a tunnel: the keys of `link = "tunnel"`, and `[[peer]]`.

use super::super::reader::{Section, Source};
use super::super::{Environment, values};
use super::{BearerChoice, End, Place, Proxy, ProxyAuth, PublicKey, Tunnel, no_proxy};
use std::cell::Cell;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

/// `[[peer]]`: a site of a head office that listens for several.
pub(in crate::config) struct Peer {
    pub(in crate::config) name: String,
    key: Option<PublicKey>,
    interface: Option<String>,
    span: Range<usize>,
    /// It comes by one.
    comes: Cell<bool>,
}

impl Peer {
    /// It comes by the listening interface of this name, or by the only one.
    pub(in crate::config) fn is_of(&self, interface: &str) -> bool {
        let is = self.interface.as_deref().is_none_or(|name| name == interface);
        self.comes.set(self.comes.get() || is);
        is
    }

    /// Its interface is not there, or is for another alone.
    pub(in crate::config) fn fault(&self, src: &mut Source<'_>) {
        if self.comes.get() {
            return;
        }
        let what = format!("[[peer]] \"{}\" may come by no interface", self.name);
        let hint = "its `interface` is the name of one with link = \"tunnel\" and `listen`, and \
                    without a `peer_key` of its own";
        src.fault("tunnel", self.span.clone(), what, Some(hint.to_owned()));
    }
}

/// One site; `None`: its faults are told.
pub(in crate::config) fn peer(mut s: Section<'_, '_>, src: &mut Source<'_>) -> Option<Peer> {
    let name = s.string("name", src);
    let whose = name.as_ref().map(|name| format!("of [[peer]] \"{name}\""));
    let key = key(&mut s, "key", &whose.unwrap_or_default(), src);
    let interface = s.string("interface", src);
    if name.is_none() {
        s.missing("name", "what that site calls itself: its site.name", src);
    }
    values::name(&s, "name", name.as_deref(), src);
    if !s.has("key") {
        s.missing("key", "the site's public key, as `portreeve tunnel keygen` prints it", src);
    }
    let span = s.span.clone();
    s.finish(src);
    Some(Peer { name: name?, key: Some(key?), interface, span, comes: Cell::new(false) })
}

/// `whose`: in words, where the line does not say.
fn key(
    s: &mut Section<'_, '_>,
    name: &'static str,
    whose: &str,
    src: &mut Source<'_>,
) -> Option<PublicKey> {
    let named = if whose.is_empty() { format!("`{name}`") } else { format!("`{name}` {whose}") };
    let text = s.string(name, src)?;
    let read = PublicKey::decode(&text);
    if read.is_none() {
        let hint = Some("44 characters, as `portreeve tunnel keygen` prints them".to_owned());
        src.fault("tunnel", s.span_of(name), format!("{named} is no public key"), hint);
    }
    if read.is_some_and(|key| key.is_anybodys()) {
        let what = format!("{named} is a key that anybody could sign for, as one of zeros is");
        let hint = match name {
            "key" => "to let a site in no more take its [[peer]] out",
            _ => "the other end's own: `portreeve tunnel keygen` prints it there",
        };
        src.fault("tunnel", s.span_of(name), what, Some(hint.to_owned()));
        return None;
    }
    read
}

/// What `link = "tunnel"` says besides what every interface says.
pub(in crate::config) struct Written {
    end: End,
    peer: Option<PublicKey>,
    key_file: Option<String>,
    gather: Duration,
    site: Option<String>,
}

/// Longest wait for company, and the usual one.
const GATHER: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(5));

/// True where the section is of a tunnel. Its faults are told.
pub(in crate::config) fn is_tunnel(s: &mut Section<'_, '_>, src: &mut Source<'_>) -> bool {
    s.word("link", &[("local", false), ("tunnel", true)], src).unwrap_or(false)
}

/// The keys of a tunnel; `None`: faults are told.
pub(in crate::config) fn written(
    s: &mut Section<'_, '_>,
    env: &Environment,
    src: &mut Source<'_>,
) -> Option<Written> {
    let connect = s.string("connect", src);
    let listen = s.strings("listen", src);
    let address = s.string("address", src);
    let site = s.string("site", src);
    values::name(s, "site", site.as_deref(), src);
    let peer = key(s, "peer_key", "", src);
    let key_file = s.string("key_file", src);
    let gather = s.duration("gather", src).unwrap_or(GATHER.1);
    if gather > GATHER.0 {
        let what = "`gather` is longer than 20ms: everybody would hear it";
        src.fault("out-of-range", s.span_of("gather"), what, None);
    }
    let words =
        [("auto", BearerChoice::Auto), ("quic", BearerChoice::Quic), ("tcp", BearerChoice::Tcp)];
    let bearer = s.word("bearer", &words, src);
    let place = connect.as_deref().and_then(Place::parse);
    let (proxy, past) = proxy(s, env, place.as_ref(), src)?;
    if connect.is_none() && (bearer.is_some() || proxy.is_some() || past.is_some()) {
        let key = if bearer.is_some() { "bearer" } else { "proxy" };
        let what = format!("`{key}` is of a site: a head office is called");
        src.fault("tunnel", s.span_of(key), what, None);
    }
    let end = match (connect, listen) {
        (Some(text), None) => {
            if address.is_some() {
                let what = "a site's tunnel goes by whatever way leads to the head office";
                src.fault("tunnel", s.span_of("address"), what, Some("leave it out".to_owned()));
            }
            if peer.is_none() && !s.has("peer_key") {
                s.missing("peer_key", "the head office's public key", src);
            }
            if place.is_none() {
                let hint = Some("a host and a port, as gate.example.net:443".to_owned());
                let what = format!("\"{text}\" is no place to connect to");
                src.fault("tunnel", s.span_of("connect"), what, hint);
            }
            let bearer = bearer.unwrap_or(BearerChoice::Auto);
            End::Site { connect: place?, bearer, proxy, past }
        }
        (None, Some(all)) => listens(s, &all, address.as_deref(), src)?,
        (Some(_), Some(_)) => {
            let what = "`connect` is of a site, `listen` of a head office: one of them";
            src.fault("tunnel", s.span_of("listen"), what, None);
            return None;
        }
        (None, None) => {
            let hint = "connect = \"gate.example.net:443\" at a site; at the head office \
                        listen = \"udp:443\"";
            s.missing("connect", hint, src);
            return None;
        }
    };
    Some(Written { end, peer, key_file, gather, site })
}

fn listens(
    s: &Section<'_, '_>,
    all: &[(String, Range<usize>)],
    address: Option<&str>,
    src: &mut Source<'_>,
) -> Option<End> {
    let hint = || Some("listen = [\"udp:443\", \"tcp:443\"]".to_owned());
    let port = |text: &str, kind: &str| {
        let port = text.strip_prefix(kind)?.parse::<u16>().ok();
        port.filter(|p| *p > 0)
    };
    let (mut udp, mut tcp) = (None, None);
    for (text, span) in all {
        let place = match (port(text, "udp:"), port(text, "tcp:")) {
            (Some(found), _) => Some((&mut udp, found)),
            (None, Some(found)) => Some((&mut tcp, found)),
            (None, None) => None,
        };
        match place {
            Some((slot @ None, found)) => *slot = Some(found),
            Some((Some(_), _)) => {
                let what = "a tunnel listens at one port by UDP, and one by TCP";
                src.fault("listen", span.clone(), what, hint());
            }
            None => {
                let what = format!("\"{text}\" is no port of a tunnel");
                src.fault("listen", span.clone(), what, hint());
            }
        }
    }
    if udp.is_none() && !all.is_empty() && src.faults.is_empty() {
        let what = "a tunnel listens by UDP, and by TCP beside it where that is wanted";
        src.fault("listen", s.span_of("listen"), what, hint());
    }
    let ip = match address.map(str::parse::<IpAddr>) {
        None => Some(IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
        Some(Ok(ip)) => Some(ip),
        Some(Err(_)) => {
            let what = "`address` is no IP address";
            src.fault("address", s.span_of("address"), what, None);
            None
        }
    };
    let at = |port: u16| ip.map(|ip| SocketAddr::new(ip, port));
    Some(End::HeadOffice { listen: at(udp?)?, tcp: tcp.and_then(at) })
}

/// A variable of the environment that says something, written large or small.
fn variable<'e>(env: &'e Environment, names: [&str; 2]) -> Option<&'e String> {
    let all = names.into_iter().filter_map(|name| env.variables.get(name));
    all.into_iter().find(|value| !value.trim().is_empty())
}

/// `proxy`, who we are to it, and by which entry of `NO_PROXY` none is asked; `None`: faults are
/// told.
fn proxy(
    s: &mut Section<'_, '_>,
    env: &Environment,
    connect: Option<&Place>,
    src: &mut Source<'_>,
) -> Option<(Option<Proxy>, Option<String>)> {
    let text = s.string("proxy", src);
    let user = s.string("proxy_user", src);
    let password_file = s.string("proxy_password_file", src);
    let auth = s.word("proxy_auth", &ProxyAuth::WORDS, src);
    let Some(text) = text else {
        if user.is_some() || password_file.is_some() || auth.is_some() {
            s.missing("proxy", "proxy = \"http://proxy.example.net:3128\", or \"env\"", src);
            return None;
        }
        return Some((None, None));
    };
    let from_env = text == "env";
    if let (true, Some(place)) = (from_env, connect) {
        let list = variable(env, ["NO_PROXY", "no_proxy"]);
        if let Some(entry) = list.and_then(|list| no_proxy::entry(list, place)) {
            return Some((None, Some(entry.to_owned())));
        }
    }
    let found = || variable(env, ["HTTPS_PROXY", "https_proxy"]).cloned();
    let text = if from_env { found() } else { Some(text) };
    let Some(text) = text else {
        let what = "`proxy` is \"env\", and there is no HTTPS_PROXY";
        src.fault("tunnel", s.span_of("proxy"), what, None);
        return None;
    };
    // Common programs take one without a scheme for http://.
    let has_scheme = !from_env || text.contains("://");
    let text = if has_scheme { text } else { format!("http://{text}") };
    let Some(mut proxy) = Proxy::parse(&text) else {
        let whose = if from_env { "HTTPS_PROXY" } else { "`proxy`" };
        let (what, hint) = match text.split_once("://").map(|(scheme, _)| scheme) {
            Some("https") => (
                format!("{whose} is a proxy that is reached by TLS (https://), and is not asked"),
                "its port without TLS, as http://proxy.example.net:3128",
            ),
            Some(scheme) if scheme.starts_with("socks") => (
                format!("{whose} is a SOCKS proxy and no HTTP proxy: it is not asked"),
                "an HTTP proxy, as http://proxy.example.net:3128",
            ),
            Some(_) | None => {
                (format!("{whose} is no HTTP proxy"), "as http://proxy.example.net:3128")
            }
        };
        src.fault("tunnel", s.span_of("proxy"), what, Some(hint.to_owned()));
        return None;
    };
    if !from_env && proxy.password.is_some() {
        let hint = "proxy_user, and proxy_password_file with the password in its first line";
        let what = "a password does not stand in this file";
        src.fault("tunnel", s.span_of("proxy"), what, Some(hint.to_owned()));
        return None;
    }
    proxy.is_of_environment = from_env;
    proxy.user = user.or(proxy.user);
    proxy.password_file = password_file;
    proxy.auth = auth;
    Some((Some(proxy), None))
}

impl Written {
    /// It listens, and names nobody: it is there for every `[[peer]]` that comes by it.
    pub(in crate::config) fn is_for_peers(&self) -> bool {
        self.peer.is_none() && matches!(self.end, End::HeadOffice { .. })
    }

    /// The tunnel of the section itself.
    pub(in crate::config) fn tunnel(&self, interface: &str, site: &str) -> Tunnel {
        let usual = match self.end {
            End::Site { .. } => site,
            End::HeadOffice { .. } => interface,
        };
        let site = self.site.clone().unwrap_or_else(|| usual.to_owned());
        let Self { end, peer, key_file, gather, .. } = self;
        let (end, key_file) = (end.clone(), key_file.clone());
        Tunnel { site, end, peer: *peer, key_file, gather: *gather }
    }

    /// That of one of its peers.
    pub(in crate::config) fn of_peer(&self, peer: &Peer) -> Tunnel {
        Tunnel { site: peer.name.clone(), peer: peer.key, ..self.tunnel("", "") }
    }
}
