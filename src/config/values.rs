//! What a single value may be beyond its type: an address one can stand at, a name that can be
//! printed, a domain that can stand in a URI. It looks at one section at a time; what sections mean
//! together stands in `checks`.

use super::reader::{Section, Source};
use super::{Addresses, Hop, Interface, Limits, Listen, Numbers, Registrar, Target, Timers};
use crate::wire::sip::Uri;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Longest name of an interface, an upstream or a rule, and longest reason phrase, in characters.
const LONGEST: usize = 100;

/// An interface as read: where it stands, what it tells, what it listens at.
pub(super) fn interface(
    s: &Section<'_, '_>,
    addresses: Option<&Addresses>,
    listen: &[Listen],
    src: &mut Source<'_>,
) {
    for address in addresses.into_iter().flat_map(Addresses::iter) {
        for (key, ip) in [("address", Some(address.ip)), ("advertise", address.advertise)] {
            let Some(ip) = ip.filter(|ip| !is_one_host(*ip)) else { continue };
            let hint = "write the one address that phones or the PBX use, as 10.17.0.1".to_owned();
            let what = format!("`{key}` {ip} is not the address of one machine");
            src.fault("address", s.span_of(key), what, Some(hint));
        }
    }
    if listen.is_empty() && s.has("listen") {
        let hint = Some("write [\"udp:5060\", \"tcp:5060\"], or leave the key out".to_owned());
        src.fault("listen", s.span_of("listen"), "nothing listens here", hint);
    }
}

/// An upstream as read; `stands` is the interface it is reached by, `all` are those there are.
pub(super) fn upstream(
    s: &Section<'_, '_>,
    hop: Hop,
    stands: Option<&Interface>,
    all: &[Interface],
    src: &mut Source<'_>,
) {
    let key = if s.has("address") { "address" } else { "targets" };
    let mut fault = |what: String, hint: &str| {
        src.fault("upstream-address", s.span_of(key), what, Some(hint.to_owned()));
    };
    let Hop { peer: at, transport } = hop;
    if !is_one_host(at.ip()) || at.port() == 0 {
        let what = format!("{at} is not the address of one machine");
        fault(what, "write the PBX's own address and port, as 10.99.0.2:5060");
    }
    if let Some(i) = all.iter().find(|i| is_own(i, at)) {
        let what = format!("{at} is where \"{}\" itself listens", i.name);
        fault(what, "write the PBX's address, not the gateway's");
    }
    let Some(i) = stands else { return };
    match i.addresses.following() {
        Some(f) if f.versions.has(at.ip()) => {}
        Some(f) => {
            let (name, only) = (&i.name, f.versions);
            let what =
                format!("{at} cannot be reached from \"{name}\", which follows {only} alone");
            fault(what, "ip_version = \"both\" in that interface follows either");
        }
        None if i.addresses.towards(at.ip()).is_none() => {
            let own = i.addresses.listed();
            let what = format!("{at} cannot be reached from {own} of \"{}\"", i.name);
            fault(what, "both must be IPv4, or both IPv6");
        }
        None => {}
    }
    if !i.listen.is_empty() && i.listen.iter().all(|l| l.transport != transport) {
        let what = format!("{at} is reached by {transport}, and \"{}\" has no such socket", i.name);
        fault(what, "add it to that interface's `listen`, or change the upstream's `transport`");
    }
}

/// The same of a target by name, whose transport is written.
pub(super) fn named_upstream(
    s: &Section<'_, '_>,
    target: &Target,
    stands: Option<&Interface>,
    src: &mut Source<'_>,
) {
    let Some((i, transport)) = stands.zip(target.transport) else { return };
    if !i.listen.is_empty() && i.listen.iter().all(|l| l.transport != transport) {
        let key = if s.has("address") { "address" } else { "targets" };
        let what =
            format!("{target} is reached by {transport}, and \"{}\" has no such socket", i.name);
        let hint = "add it to that interface's `listen`, or change the upstream's `transport`";
        src.fault("upstream-address", s.span_of(key), what, Some(hint.to_owned()));
    }
}

/// Whether a request sent there comes back to this gateway: whatever the transport, and also by the
/// address that others are told.
fn is_own(i: &Interface, at: SocketAddr) -> bool {
    i.addresses.hold(at.ip()) && i.listen.iter().any(|l| l.port == at.port())
}

/// Names go into logs, records, labels and answers: a line of printable characters.
pub(super) fn name(
    s: &Section<'_, '_>,
    key: &'static str,
    text: Option<&str>,
    src: &mut Source<'_>,
) {
    let Some(text) = text else { return };
    if text.is_empty() || text.chars().count() > LONGEST || text.chars().any(char::is_control) {
        let what = format!("`{key}` must be 1 to {LONGEST} printable characters");
        src.fault("name", s.span_of(key), what, None);
    }
}

/// A user of this site as phones dial it: it becomes part of no URI by itself, and yet is one word.
pub(super) fn extension(
    s: &Section<'_, '_>,
    key: &'static str,
    text: Option<&str>,
    src: &mut Source<'_>,
) {
    let Some(text) = text else { return };
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.!*+#".contains(c);
    if text.is_empty() || text.len() > LONGEST || !text.chars().all(fits) {
        let hint = Some("as a phone registers, such as \"101\"".to_owned());
        src.fault("extension", s.span_of(key), format!("{text:?} is no extension"), hint);
    }
}

/// Domains go into Request-URIs.
pub(super) fn domain(s: &Section<'_, '_>, key: &'static str, text: &str, src: &mut Source<'_>) {
    let read = Uri::parse(format!("sip:{text}").as_bytes());
    if read.is_none_or(|u| u.user.is_some() || u.host != text || u.port.is_some()) {
        let what = format!("{text:?} is no domain");
        let hint = Some("a name or an address without port, as pbx.example.com".to_owned());
        src.fault("domain", s.span_of(key), what, hint);
    }
}

/// A registrar's keys together.
pub(super) fn registrar(s: &Section<'_, '_>, r: &Registrar, src: &mut Source<'_>) {
    if r.users_file.is_some() && r.password_file.is_some() {
        let what = "`users` and `password_file` exclude each other";
        src.fault("registrar", s.span_of("password_file"), what, None);
    }
    if r.min_expires > r.max_expires {
        let what = "`min_expires` is longer than `max_expires`";
        src.fault("registrar", s.span_of("min_expires"), what, None);
    }
    // It stands between quotes in every challenge, and between colons in the users file.
    if r.realm.is_empty() || r.realm.chars().any(|c| c.is_control() || "\"\\:".contains(c)) {
        let hint = Some("a word or a domain, as pbx.example.com".to_owned());
        src.fault("registrar", s.span_of("realm"), "`realm` cannot be quoted", hint);
    }
}

/// What `[numbers]` takes off and puts before must be what is dialled.
pub(super) fn numbers(s: &Section<'_, '_>, n: &Numbers, src: &mut Source<'_>) {
    let dialled = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || b"*#".contains(&b));
    for (key, value) in [("outside_line", &n.outside_line), ("national_prefix", &n.national_prefix)]
    {
        let fine = |text: &String| (1..=8).contains(&text.len()) && dialled(text);
        if value.as_ref().is_some_and(|text| !fine(text)) {
            let what = format!("`{key}` must be 1 to 8 digits, stars or hashes");
            src.fault("number", s.span_of(key), what, Some("as \"0\"".to_owned()));
        }
    }
    let prefixes = &n.international_prefixes;
    let fine = |p: &String| (1..=8).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_digit());
    if prefixes.len() > 8 || !prefixes.iter().all(fine) {
        let what = "`international_prefixes` must be at most 8, of 1 to 8 digits each";
        let hint = Some("as [\"00\", \"011\"]".to_owned());
        src.fault("number", s.span_of("international_prefixes"), what, hint);
    }
    let code = n.country.as_deref().map(|c| c.strip_prefix('+').unwrap_or_default());
    let fine = |c: &str| (1..=3).contains(&c.len()) && c.bytes().all(|b| b.is_ascii_digit());
    if code.is_some_and(|c| !fine(c)) {
        let what = "`country` must be a plus and 1 to 3 digits";
        src.fault("number", s.span_of("country"), what, Some("as \"+49\"".to_owned()));
    }
}

/// Names of certificates: a star elsewhere than at an end would be one of the name's own.
pub(super) fn subjects(
    s: &mut Section<'_, '_>,
    key: &'static str,
    src: &mut Source<'_>,
) -> Vec<String> {
    let all = s.strings(key, src).unwrap_or_default();
    for (text, span) in &all {
        let middle = text.strip_prefix('*').unwrap_or(text);
        let middle = middle.strip_suffix('*').unwrap_or(middle);
        let stars = text.len() - middle.len();
        if text.is_empty() || middle.contains('*') || stars == 2 {
            let what = format!("{text:?} is no name of a certificate");
            let hint = "a DNS name or a URI, with a star before or behind it: *.example.net";
            src.fault("tls-subject", span.clone(), what, Some(hint.to_owned()));
        }
    }
    all.into_iter().map(|(text, _)| text).collect()
}

/// Every call has an end, and none before people have put it on hold.
pub(super) fn limits(s: &Section<'_, '_>, l: &Limits, src: &mut Source<'_>) {
    let fits = Duration::from_secs(60)..=Duration::from_secs(24 * 3_600);
    if !fits.contains(&l.silent_call) {
        let what = "`silent_call` must be 1m to 24h";
        src.fault("out-of-range", s.span_of("silent_call"), what, None);
    }
}

/// A timer of no length would fire for ever.
pub(super) fn timers(s: &Section<'_, '_>, t: &Timers, src: &mut Source<'_>) {
    for (key, value) in
        [("t1", t.t1), ("t2", t.t2), ("t4", t.t4), ("c", t.c), ("next_target", t.next_target)]
    {
        if value.as_millis() < 10 {
            src.fault("out-of-range", s.span_of(key), format!("`{key}` is below 10ms"), None);
        }
    }
}

/// An address that one machine has, and that others can write to.
fn is_one_host(ip: IpAddr) -> bool {
    let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    !(ip.is_unspecified() || ip.is_multicast() || broadcast)
}
