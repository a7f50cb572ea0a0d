//! The file section by section. What a section means stands here; what sections mean together
//! stands in `checks`.

use super::reader::{Section, Source};
use super::{
    Audit, Config, DefaultPolicy, Diagnostic, Environment, Limits, Log, Media, Numbers, Policy,
    Registrar, RegistrarMode, RemoteControl, Site, Timers, UnknownBodies, Upstream, bans, checks,
    control, hide, hints, http,
    interface::{interface, meet_strangers},
    overlay, rules, survive,
    tunnel::{self, Peer},
    upstream::upstream,
    values,
};
use sha2::{Digest, Sha256};
use std::time::Duration;
use toml::de::DeTable;

pub(super) fn parse(file: &str, text: &str, env: &Environment) -> Result<Config, Vec<Diagnostic>> {
    parse_over(file, text, Vec::new(), env)
}

pub(super) fn hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|b| format!("{b:02x}")).collect()
}

/// [`parse`] with values that stand between the file and the environment.
pub(super) fn parse_over(
    file: &str,
    text: &str,
    preset: Vec<overlay::Override>,
    env: &Environment,
) -> Result<Config, Vec<Diagnostic>> {
    let hash = hash(text);
    // Syntax first, in the file's own text: an override cannot mend it.
    let (_, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let mut src = Source { file, text, faults: Vec::new() };
        let all = errors.iter().map(|e| (e.span().unwrap_or(0..1), e.message().to_owned()));
        hints::syntax(&all.collect::<Vec<_>>(), &mut src);
        return Err(src.faults);
    }
    let presets = preset.len();
    let mut overrides = preset;
    overrides.extend(overlay::collect(env));
    let merged = overlay::merge(text, &overrides)?;
    let (root, _) = DeTable::parse_recoverable(&merged);
    let mut src = Source { file, text: &merged, faults: Vec::new() };
    let (config, spans) = sections(root.get_ref(), env, hash, &mut src);
    checks::check(&config, root.get_ref(), spans, &mut src);
    let (mut config, mut faults) = (config, src.faults);
    let tests = config.policy.tests.iter_mut().map(|t| &mut t.fault);
    // Places belong to the merged text, which nobody has seen.
    for f in faults.iter_mut().chain(tests).filter(|_| !overrides.is_empty()) {
        f.place = None;
        if let Some((first, more)) = overrides.get(presets..).and_then(<[_]>::split_first) {
            f.file = format!("{file} with {} and {} more overrides", first.origin, more.len());
        }
    }
    if faults.is_empty() { Ok(config) } else { Err(faults) }
}

/// The configuration, and where each of its interfaces stands in the text.
fn sections(
    root: &DeTable<'_>,
    env: &Environment,
    hash: String,
    src: &mut Source<'_>,
) -> (Config, checks::Spans) {
    let mut top = Section::new("the configuration", root, 0..0);
    let site = site(&mut top, src);
    let peers = top.tables("peer", "[[peer]]", src);
    let peers: Vec<Peer> = peers.into_iter().filter_map(|s| tunnel::peer(s, src)).collect();
    let (mut interfaces, mut said) = (Vec::new(), Vec::new());
    let mut spans = checks::Spans { interfaces: Vec::new(), are_all: true };
    for s in top.tables("interface", "[[interface]]", src) {
        let span = s.span.clone();
        let read = interface(s, env, (&site.name, &peers), src);
        // A section that could not be read has said so already.
        spans.are_all &= !read.is_empty();
        for (interface, says) in read {
            interfaces.push(interface);
            said.push(says);
            spans.interfaces.push(span.clone());
        }
    }
    if spans.are_all {
        peers.iter().for_each(|peer| peer.fault(src));
    }
    let upstreams: Vec<Upstream> = top
        .tables("upstream", "[[upstream]]", src)
        .into_iter()
        .filter_map(|s| upstream(s, &interfaces, src))
        .collect();
    meet_strangers(&mut interfaces, &said, &upstreams);
    let policy = policy(&mut top, src);
    let state_dir = section(&mut top, "state", "[state]", src, |s, src| s.string("dir", src));
    let data = env.data().unwrap_or("/var/lib/portreeve");
    let state_dir = state_dir.flatten().unwrap_or_else(|| data.to_owned());
    let control = control::control(&mut top, &state_dir, env, src);
    let audit = audit(&mut top, data, src);
    let registrar = registrar(&mut top, &upstreams, src);
    let (http, page) = http::http(&mut top, src);
    let config = Config {
        site,
        interfaces,
        upstreams,
        registrar,
        media: media(&mut top, src),
        limits: limits(&mut top, src),
        bans: bans::bans(&mut top, src),
        timers: timers(&mut top, src),
        numbers: numbers(&mut top, src),
        policy,
        hide: hide::hide(&mut top, src),
        survive: survive::survive(&mut top, src),
        audit,
        state_dir,
        http,
        page,
        control,
        log: log(&mut top, src),
        drain: top.duration("drain", src).unwrap_or(Duration::from_secs(60)),
        hash,
    };
    top.finish(src);
    (config, spans)
}

/// Reads one optional table and checks that nothing in it was unknown.
pub(super) fn section<T>(
    top: &mut Section<'_, '_>,
    key: &'static str,
    name: &'static str,
    src: &mut Source<'_>,
    read: impl FnOnce(&mut Section<'_, '_>, &mut Source<'_>) -> T,
) -> Option<T> {
    let mut s = top.table(key, name, src)?;
    let value = read(&mut s, src);
    s.finish(src);
    Some(value)
}

fn site(top: &mut Section<'_, '_>, src: &mut Source<'_>) -> Site {
    let mut site = Site {
        name: "site".to_owned(),
        domain: None,
        timezone: "UTC".to_owned(),
        inside_domains: Vec::new(),
    };
    section(top, "site", "[site]", src, |s, src| {
        site.name = s.string("name", src).unwrap_or_else(|| site.name.clone());
        site.domain = s.string("domain", src);
        site.timezone = s.string("timezone", src).unwrap_or_else(|| site.timezone.clone());
        site.inside_domains = s.list("inside_domains", src);
        site.inside_domains.iter().for_each(|d| values::domain(s, "inside_domains", d, src));
        site.inside_domains.iter_mut().for_each(|d| d.make_ascii_lowercase());
    });
    site
}

fn registrar(top: &mut Section<'_, '_>, upstreams: &[Upstream], src: &mut Source<'_>) -> Registrar {
    let mode = if upstreams.is_empty() { RegistrarMode::Local } else { RegistrarMode::Upstream };
    let mut r = Registrar {
        mode,
        realm: "portreeve".to_owned(),
        min_expires: Duration::from_secs(60),
        max_expires: Duration::from_secs(3600),
        users_file: None,
        password_file: None,
        digest: true,
    };
    section(top, "registrar", "[registrar]", src, |s, src| {
        let words = [("local", RegistrarMode::Local), ("upstream", RegistrarMode::Upstream)];
        if let Some(m) = s.word("mode", &words, src) {
            r.mode = m;
        }
        if let Some(realm) = s.string("realm", src) {
            r.realm = realm;
        }
        r.min_expires = s.duration("min_expires", src).unwrap_or(r.min_expires);
        r.max_expires = s.duration("max_expires", src).unwrap_or(r.max_expires);
        r.users_file = s.string("users", src);
        r.password_file = s.string("password_file", src);
        r.digest = s.boolean("digest", src).unwrap_or(true);
        values::registrar(s, &r, src);
    });
    r
}

fn media(top: &mut Section<'_, '_>, src: &mut Source<'_>) -> Media {
    let mut m = Media {
        ports: (20_000, 20_399),
        idle: Some(Duration::from_secs(60)),
        quarantine: Duration::from_secs(30),
        workers: 0,
    };
    section(top, "media", "[media]", src, |s, src| {
        if let Some(text) = s.string("ports", src) {
            match parse_range(&text) {
                Some(range) => m.ports = range,
                None => {
                    let what = format!("\"{text}\" is no port range");
                    let hint = Some("write \"20000-20399\"".to_owned());
                    src.fault("media-ports", s.span_of("ports"), what, hint);
                }
            }
        }
        if let Some(idle) = s.duration("idle", src) {
            m.idle = Some(idle).filter(|d| !d.is_zero());
        }
        m.quarantine = s.duration("quarantine", src).unwrap_or(m.quarantine);
        let workers = s.number("workers", 0..=64, src).unwrap_or(0);
        m.workers = usize::try_from(workers).unwrap_or(0);
    });
    m
}

pub(super) fn parse_range(text: &str) -> Option<(u16, u16)> {
    let (a, b) = text.split_once('-')?;
    let (a, b): (u16, u16) = (a.trim().parse().ok()?, b.trim().parse().ok()?);
    (a >= 1024 && a < b).then_some((a, b))
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            calls: 100,
            calls_per_user: 8,
            transactions: 20_000,
            transactions_per_source: 2_000,
            transactions_per_user: 500,
            dialogs: 10_000,
            bindings: 10_000,
            bindings_per_user: 8,
            connections: 2_000,
            connections_per_source: 64,
            share_percent: 25,
            emergency_per_source: 1,
            silent_call: Duration::from_secs(4 * 3_600),
            recent_calls: 100,
            trace: 100,
        }
    }
}

fn limits(top: &mut Section<'_, '_>, src: &mut Source<'_>) -> Limits {
    let mut l = Limits::default();
    section(top, "limits", "[limits]", src, |s, src| {
        let mut up_to = |key, most, value: &mut usize| {
            if let Some(n) = s.number(key, 1..=most, src) {
                *value = usize::try_from(n).unwrap_or(*value);
            }
        };
        up_to("share_percent", 100, &mut l.share_percent);
        let mut read = |key, value: &mut usize| up_to(key, 1_000_000, value);
        read("calls", &mut l.calls);
        read("calls_per_user", &mut l.calls_per_user);
        read("transactions", &mut l.transactions);
        read("transactions_per_source", &mut l.transactions_per_source);
        read("transactions_per_user", &mut l.transactions_per_user);
        read("dialogs", &mut l.dialogs);
        read("bindings", &mut l.bindings);
        read("bindings_per_user", &mut l.bindings_per_user);
        read("connections", &mut l.connections);
        read("connections_per_source", &mut l.connections_per_source);
        read("emergency_per_source", &mut l.emergency_per_source);
        l.silent_call = s.duration("silent_call", src).unwrap_or(l.silent_call);
        for (key, most, value) in
            [("recent_calls", 10_000, &mut l.recent_calls), ("trace", 1_000, &mut l.trace)]
        {
            let read = s.number(key, 0..=most, src).and_then(|n| usize::try_from(n).ok());
            *value = read.unwrap_or(*value);
        }
        values::limits(s, &l, src);
    });
    l
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            t4: Duration::from_secs(5),
            c: Duration::from_secs(185),
            next_target: Duration::from_secs(4),
        }
    }
}

fn timers(top: &mut Section<'_, '_>, src: &mut Source<'_>) -> Timers {
    let mut t = Timers::default();
    section(top, "timers", "[timers]", src, |s, src| {
        t.t1 = s.duration("t1", src).unwrap_or(t.t1);
        t.t2 = s.duration("t2", src).unwrap_or(t.t2);
        t.t4 = s.duration("t4", src).unwrap_or(t.t4);
        t.c = s.duration("c", src).unwrap_or(t.c);
        t.next_target = s.duration("next_target", src).unwrap_or(t.next_target);
        values::timers(s, &t, src);
    });
    t
}

fn numbers(top: &mut Section<'_, '_>, src: &mut Source<'_>) -> Numbers {
    let read = section(top, "numbers", "[numbers]", src, |s, src| {
        let mut n = Numbers {
            outside_line: s.string("outside_line", src),
            national_prefix: s.string("national_prefix", src),
            country: s.string("country", src),
            ..Numbers::default()
        };
        if s.has("international_prefixes") {
            n.international_prefixes = s.list("international_prefixes", src);
        } else if n.country.as_deref() == Some("+1") {
            n.international_prefixes.push("011".to_owned());
        }
        values::numbers(s, &n, src);
        n
    });
    read.unwrap_or_default()
}

/// `[policy]`, with the rules and their tests.
fn policy(top: &mut Section<'_, '_>, src: &mut Source<'_>) -> Policy {
    let (emergency_target, emergency_upstream) = emergency(top, src);
    let mut p = Policy {
        default: DefaultPolicy::Site,
        emergency: ["112", "911", "999", "110"].map(str::to_owned).to_vec(),
        emergency_target,
        emergency_upstream,
        unknown_bodies: UnknownBodies::Scrub,
        remote_control: RemoteControl::Registrar,
        rules: rules::rules(top, src),
        tests: rules::tests(top, src),
    };
    section(top, "policy", "[policy]", src, |s, src| {
        let words = [
            ("site", DefaultPolicy::Site),
            ("deny", DefaultPolicy::Deny),
            ("allow", DefaultPolicy::Allow),
        ];
        p.default = s.word("default", &words, src).unwrap_or(p.default);
        if let Some(emergency) = s.strings("emergency", src) {
            p.emergency = emergency.into_iter().map(|(t, _)| t).collect();
        }
        let words = [("scrub", UnknownBodies::Scrub), ("refuse", UnknownBodies::Refuse)];
        p.unknown_bodies = s.word("unknown_bodies", &words, src).unwrap_or(p.unknown_bodies);
        let words = [
            ("registrar", RemoteControl::Registrar),
            ("forwarded", RemoteControl::Forwarded),
            ("refuse", RemoteControl::Refuse),
        ];
        p.remote_control = s.word("remote_control", &words, src).unwrap_or(p.remote_control);
    });
    p
}

/// `[emergency]`.
fn emergency(top: &mut Section<'_, '_>, src: &mut Source<'_>) -> (Option<String>, Option<String>) {
    let read = section(top, "emergency", "[emergency]", src, |s, src| {
        let target = s.string("target", src);
        values::extension(s, "target", target.as_deref(), src);
        (target, s.string("upstream", src))
    });
    read.unwrap_or_default()
}

fn audit(top: &mut Section<'_, '_>, data: &str, src: &mut Source<'_>) -> Audit {
    let mut a = Audit { dir: Some(format!("{data}/audit")), refuse_when_full: true };
    section(top, "audit", "[audit]", src, |s, src| {
        if let Some(dir) = s.string("dir", src) {
            a.dir = Some(dir).filter(|d| d != "off");
        }
        let words = [("refuse-calls", true), ("count-and-go", false)];
        a.refuse_when_full = s.word("on_full", &words, src).unwrap_or(true);
    });
    a
}

fn log(top: &mut Section<'_, '_>, src: &mut Source<'_>) -> Log {
    let mut log = Log { level: "info".to_owned(), format: "auto".to_owned() };
    section(top, "log", "[log]", src, |s, src| {
        let levels = ["error", "warn", "info", "debug", "trace"].map(|l| (l, l));
        if let Some(level) = s.word("level", &levels, src) {
            level.clone_into(&mut log.level);
        }
        let formats = ["auto", "pretty", "json"].map(|l| (l, l));
        if let Some(format) = s.word("format", &formats, src) {
            format.clone_into(&mut log.format);
        }
    });
    log
}
