//! `config show`: the values in effect, and the limits that no key changes.

mod tls;

use super::{
    Addresses, Config, DefaultPolicy, Follow, Learn, Numbers, RegistrarMode, RemoteControl, Site,
    Strangers, UnknownBodies, Upstream, survive, tunnel,
};
use crate::wire::limits;
use std::fmt::Write as _;
use std::time::Duration;

/// The effective configuration as TOML. Holds no secret: those stand in files that are only named.
#[must_use]
pub fn show(c: &Config) -> String {
    let mut out = String::new();
    let _ = sections(c, &mut out);
    out
}

fn duration(d: Duration) -> String {
    if d.subsec_millis() > 0 { format!("{}ms", d.as_millis()) } else { format!("{}s", d.as_secs()) }
}

fn sections(c: &Config, o: &mut String) -> std::fmt::Result {
    let Site { name, domain, timezone, inside_domains } = &c.site;
    let domain = domain.as_ref().map(|d| format!("domain = {d:?}, ")).unwrap_or_default();
    writeln!(
        o,
        "site = {{ name = {name:?}, timezone = {timezone:?}, {domain}inside_domains = {inside_domains:?} }}"
    )?;
    writeln!(o, "drain = \"{}\"", duration(c.drain))?;
    for i in &c.interfaces {
        if let Some(tunnel) = i.link.tunnel() {
            writeln!(o, "\n[[interface]]\nname = {:?}\nside = \"{}\"", i.name, i.side)?;
            writeln!(o, "{}\ndscp_media = {}", tunnel::show(tunnel), i.dscp_media)?;
            continue;
        }
        let listen: Vec<String> =
            i.listen.iter().map(|l| format!("\"{}:{}\"", l.transport, l.port)).collect();
        let networks: Vec<String> = i.networks.iter().map(|n| format!("\"{n}\"")).collect();
        let learn = if i.learn == Learn::Strict { "strict" } else { "same-ip" };
        writeln!(o, "\n[[interface]]\nname = {:?}\nside = \"{}\"", i.name, i.side)?;
        writeln!(o, "{}\nlisten = [{}]", place(&i.addresses), listen.join(", "))?;
        if let Some(tls) = &i.tls {
            writeln!(o, "tls = {}", tls::server(tls))?;
        }
        let told = told(&i.addresses);
        if !told.is_empty() {
            writeln!(o, "advertise = {}", one_or_both(told.into_iter()))?;
        }
        if let Some(name) = &i.advertise_name {
            writeln!(o, "advertise_name = {name:?}")?;
        }
        writeln!(o, "learn = \"{learn}\"\nnetworks = [{}]", networks.join(", "))?;
        writeln!(o, "rport = {}\nallow_loopback = {}", i.force_rport, i.allow_loopback)?;
        let strangers = match i.strangers {
            Strangers::Silent => "silent",
            Strangers::Answer => "answer",
        };
        writeln!(o, "strangers = \"{strangers}\"")?;
        if let Some(k) = i.keepalive {
            writeln!(o, "keepalive = \"{}\"", duration(k))?;
        }
        writeln!(o, "dscp_sip = {}\ndscp_media = {}", i.dscp_sip, i.dscp_media)?;
    }
    for u in &c.upstreams {
        let sources: Vec<String> = u.sources.iter().map(|n| format!("\"{n}\"")).collect();
        writeln!(o, "\n[[upstream]]\nname = {:?}\n{}", u.name, targets(u))?;
        writeln!(o, "domain = {:?}", u.domain)?;
        writeln!(o, "domains = {:?}\nnumbers = {:?}", u.domains, u.numbers)?;
        writeln!(o, "sources = [{}]\ntrust = {}", sources.join(", "), u.trust)?;
        writeln!(o, "tls_subject = {:?}", u.tls_subject)?;
        writeln!(o, "probe = \"{}\"", duration(u.probe.unwrap_or_default()))?;
        if u.speaks_tls() {
            writeln!(o, "tls = {}", tls::client(&u.tls))?;
        }
    }
    let r = &c.registrar;
    let mode = if r.mode == RegistrarMode::Local { "local" } else { "upstream" };
    writeln!(o, "\n[registrar]\nmode = \"{mode}\"\nrealm = {:?}\ndigest = {}", r.realm, r.digest)?;
    writeln!(o, "min_expires = \"{}\"", duration(r.min_expires))?;
    writeln!(o, "max_expires = \"{}\"", duration(r.max_expires))?;
    if let Some(f) = &r.users_file {
        writeln!(o, "users = {f:?}")?;
    }
    if let Some(f) = &r.password_file {
        writeln!(o, "password_file = {f:?}")?;
    }
    rest(c, o)
}

/// Where an interface stands, as the file says it.
fn place(a: &Addresses) -> String {
    let now = || format!("   # now: {}", a.listed());
    let Some(f) = a.following() else {
        return format!("address = {}", one_or_both(a.iter().map(ToString::to_string)));
    };
    let by = match &f.by {
        Follow::DefaultRoute => "address = \"auto\"".to_owned(),
        Follow::Device(device) => format!("device = {device:?}"),
    };
    format!("{by}{}\nip_version = \"{}\"", now(), f.versions)
}

/// What others are told instead.
fn told(a: &Addresses) -> Vec<String> {
    let all = match a.following() {
        Some(f) => f.told.into_iter().flatten().collect::<Vec<_>>(),
        None => a.iter().filter_map(|a| a.advertise).collect(),
    };
    all.iter().map(ToString::to_string).collect()
}

/// A word, or a list of them.
fn one_or_both(all: impl Iterator<Item = String>) -> String {
    let all: Vec<String> = all.map(|text| format!("\"{text}\"")).collect();
    if let [one] = all.as_slice() { one.clone() } else { format!("[{}]", all.join(", ")) }
}

/// `address` with its transport, or `targets` where there are several.
fn targets(u: &Upstream) -> String {
    if let [one] = u.targets.as_slice() {
        let transport = one.transport.or(one.fixed().map(|hop| hop.transport));
        let transport = transport.map(|t| format!("\ntransport = \"{t}\"")).unwrap_or_default();
        return format!("address = \"{one}\"{transport}");
    }
    let all = u.targets.iter().map(|t| {
        let transport = t.transport.map(|t| format!(";transport={t}")).unwrap_or_default();
        format!("\"sip:{t}{transport}\"")
    });
    format!("targets = [{}]", all.collect::<Vec<_>>().join(", "))
}

fn rest(c: &Config, o: &mut String) -> std::fmt::Result {
    let idle = c.media.idle.map_or_else(|| "0s".to_owned(), duration);
    writeln!(o, "\n[media]\nports = \"{}-{}\"", c.media.ports.0, c.media.ports.1)?;
    writeln!(o, "idle = \"{idle}\"\nquarantine = \"{}\"", duration(c.media.quarantine))?;
    writeln!(o, "workers = {}", c.media.workers)?;
    let l = &c.limits;
    writeln!(o, "\n[limits]\ncalls = {}\ncalls_per_user = {}", l.calls, l.calls_per_user)?;
    writeln!(o, "transactions = {}", l.transactions)?;
    writeln!(o, "transactions_per_source = {}", l.transactions_per_source)?;
    writeln!(o, "transactions_per_user = {}", l.transactions_per_user)?;
    writeln!(o, "dialogs = {}\nbindings = {}", l.dialogs, l.bindings)?;
    writeln!(o, "bindings_per_user = {}\nconnections = {}", l.bindings_per_user, l.connections)?;
    writeln!(o, "connections_per_source = {}", l.connections_per_source)?;
    writeln!(o, "share_percent = {}", l.share_percent)?;
    writeln!(o, "emergency_per_source = {}", l.emergency_per_source)?;
    writeln!(o, "silent_call = \"{}\"", duration(l.silent_call))?;
    writeln!(o, "recent_calls = {}\ntrace = {}", l.recent_calls, l.trace)?;
    let b = &c.bans;
    writeln!(o, "\n[bans]\nenabled = {}\nthreshold = {}", b.enabled, b.threshold)?;
    writeln!(o, "ttl = \"{}\"", duration(b.ttl))?;
    let never: Vec<String> = b.never.iter().map(ToString::to_string).collect();
    writeln!(o, "never = {never:?}\nagents = {:?}", b.agents)?;
    let t = &c.timers;
    writeln!(o, "\n[timers]\nt1 = \"{}\"\nt2 = \"{}\"", duration(t.t1), duration(t.t2))?;
    writeln!(o, "t4 = \"{}\"\nc = \"{}\"", duration(t.t4), duration(t.c))?;
    writeln!(o, "next_target = \"{}\"", duration(t.next_target))?;
    numbers(&c.numbers, o)?;
    let default = match c.policy.default {
        DefaultPolicy::Site => "site",
        DefaultPolicy::Deny => "deny",
        DefaultPolicy::Allow => "allow",
    };
    writeln!(o, "\n[policy]\ndefault = \"{default}\"\nemergency = {:?}", c.policy.emergency)?;
    let bodies = match c.policy.unknown_bodies {
        UnknownBodies::Scrub => "scrub",
        UnknownBodies::Refuse => "refuse",
    };
    let commands = match c.policy.remote_control {
        RemoteControl::Registrar => "registrar",
        RemoteControl::Forwarded => "forwarded",
        RemoteControl::Refuse => "refuse",
    };
    writeln!(o, "unknown_bodies = \"{bodies}\"\nremote_control = \"{commands}\"")?;
    writeln!(o, "\n[hide]\nuser_agent = \"{}\"", c.hide.user_agent)?;
    writeln!(o, "\n[emergency]")?;
    if let Some(target) = &c.policy.emergency_target {
        writeln!(o, "target = {target:?}")?;
    }
    if let Some(upstream) = &c.policy.emergency_upstream {
        writeln!(o, "upstream = {upstream:?}")?;
    }
    write!(o, "{}", survive::show(&c.survive))?;
    for r in &c.policy.rules {
        writeln!(o, "# [[rule]] {:?}", r.name)?;
    }
    writeln!(o, "\n[state]\ndir = {:?}", c.state_dir)?;
    let dir = c.audit.dir.as_deref().unwrap_or("off");
    let full = if c.audit.refuse_when_full { "refuse-calls" } else { "count-and-go" };
    writeln!(o, "\n[audit]\ndir = {dir:?}\non_full = \"{full}\"")?;
    let http = c.http.map_or_else(|| "off".to_owned(), |a| a.to_string());
    let page = if c.page { "on" } else { "off" };
    writeln!(o, "\n[http]\nlisten = \"{http}\"\npage = \"{page}\"")?;
    writeln!(o, "\n[control]\nsocket = {:?}", c.control.as_deref().unwrap_or("off"))?;
    writeln!(o, "\n[log]\nlevel = {:?}\nformat = {:?}", c.log.level, c.log.format)?;
    fixed(o)
}

fn numbers(n: &Numbers, o: &mut String) -> std::fmt::Result {
    let Numbers { outside_line, international_prefixes, national_prefix, country } = n;
    writeln!(o, "\n[numbers]\ninternational_prefixes = {international_prefixes:?}")?;
    let rest = [
        ("outside_line", outside_line),
        ("national_prefix", national_prefix),
        ("country", country),
    ];
    for (key, value) in rest {
        if let Some(value) = value {
            writeln!(o, "{key} = {value:?}")?;
        }
    }
    Ok(())
}

fn fixed(o: &mut String) -> std::fmt::Result {
    writeln!(o, "\n# Fixed limits (no key changes them)")?;
    for (what, n) in [
        ("octets of a UDP message", limits::DATAGRAM),
        ("octets of a message on a stream", limits::STREAM_MESSAGE),
        ("header lines", limits::HEADER_LINES),
        ("octets of a header line", limits::HEADER_LINE),
        ("octets of a URI", limits::URI),
        ("octets of a host name", limits::HOST),
        ("octets of a label of a host name", limits::HOST_LABEL),
        ("parameters of a URI or of a header value", limits::PARAMS),
        ("headers within a URI", limits::URI_HEADERS),
        ("Via values", limits::VIAS),
        ("Contact values", limits::CONTACTS),
        ("Route values", limits::ROUTES),
        ("parts of a multipart body", limits::MULTIPART_PARTS),
        ("octets of an SDP body", limits::SDP),
        ("SDP lines", limits::SDP_LINES),
        ("octets of an SDP line", limits::SDP_LINE),
        ("SDP media", limits::SDP_MEDIA),
        ("octets of a voice quality report", limits::QUALITY_REPORT),
        ("lines of a voice quality report", limits::QUALITY_REPORT_LINES),
    ] {
        writeln!(o, "# {what}: {n}")?;
    }
    Ok(())
}
