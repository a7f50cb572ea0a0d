//! `[[rule_test]]`: events written in the file, judged at every load by the rules beside them.

use super::compile::RuleSet;
use super::matching::Clock;
use super::number::Plan;
use super::{Action, Facts, Number, Target};
use crate::config::{Config, Diagnostic, ServingFact, minute};
use crate::ground::{Side, Subject};
use crate::wire::sip::{Aor, Uri};
use std::net::{IpAddr, Ipv4Addr};

/// Faults of every test that did not come out as expected.
pub(super) fn run(set: &RuleSet, config: &Config) -> Vec<Diagnostic> {
    let mut faults = Vec::new();
    for t in &config.policy.tests {
        let (what, hint) = match judge(set, config, &t.event) {
            Ok(got) if matches(&got, &t.expect) => continue,
            Ok(got) => {
                let what = format!("a rule test expects \"{}\", the rules say \"{got}\"", t.expect);
                (what, Some(format!("the first rule that fits decides; or expect = \"{got}\"")))
            }
            Err(what) => (what, None),
        };
        faults.push(Diagnostic { what, hint, ..t.fault.clone() });
    }
    faults
}

fn matches(got: &str, expect: &str) -> bool {
    let squeeze = |t: &str| t.split_whitespace().collect::<Vec<_>>().join(" ").replace(": ", ":");
    let (got, expect) = (squeeze(got), squeeze(expect));
    got == expect || got.split_once(':').is_some_and(|(verdict, _)| verdict == expect)
}

/// What an event may say.
const KNOWN: [&str; 16] = [
    "side",
    "interface",
    "method",
    "source",
    "user",
    "from",
    "to",
    "number",
    "domain",
    "upstream",
    "tls_subject",
    "serving",
    "user_agent",
    "time",
    "day",
    "target",
];

fn judge(set: &RuleSet, config: &Config, event: &[(String, String)]) -> Result<String, String> {
    if let Some((key, _)) = event.iter().find(|(k, _)| !KNOWN.contains(&k.as_str())) {
        return Err(format!("a rule test's event has no `{key}`; known: {}", KNOWN.join(", ")));
    }
    let get = |key: &str| event.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str());
    let side = match get("side") {
        Some("inside") | None => Side::Inside,
        Some("outside") => Side::Outside,
        Some(other) => return Err(format!("\"{other}\" is no side: inside or outside")),
    };
    let to = get("to").or_else(|| get("number")).unwrap_or_default();
    let plan = Plan::from(config);
    let to = Number::called(&uri(to), &plan);
    let from = Number::calling(&uri(get("from").unwrap_or_default()), &plan);
    let source = match get("source") {
        Some(text) => text.parse().map_err(|_| format!("\"{text}\" is no address"))?,
        None => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    };
    let target = match get("target") {
        Some("binding") => Target::Binding,
        Some("gateway") => Target::Gateway,
        Some("unknown") => Target::Unknown,
        Some("upstream") => Target::Upstream,
        None if side == Side::Inside => Target::Upstream,
        None => Target::Binding,
        Some(other) => {
            let known = "upstream, binding, gateway or unknown";
            return Err(format!("\"{other}\" is no target: {known}"));
        }
    };
    let serving = serving(get("serving"))?;
    let user = get("user").map(Aor::from);
    let names: Vec<Subject> = match get("tls_subject").map(|t| (t, Subject::written(t))) {
        Some((_, Some(name))) => vec![name],
        Some((text, None)) => return Err(format!("{text:?} is no name of a certificate")),
        None => Vec::new(),
    };
    let method = get("method").unwrap_or("INVITE");
    let facts = Facts {
        side,
        interface: interface(config, side, get("interface"))?,
        method,
        source,
        user: user.as_ref(),
        from: &from,
        to: &to,
        domain: get("domain").unwrap_or_default(),
        upstream: get("upstream"),
        tls_subjects: &names,
        serving,
        user_agent: get("user_agent").unwrap_or_default(),
        target,
        commands: target == Target::Binding && matches!(method, "REFER" | "INFO"),
    };
    let verdict = set.evaluate_at(&facts, clock(get("time"), get("day"))?);
    let word = match verdict.action {
        Action::Allow(_) => "allow",
        Action::Deny { .. } => "deny",
        Action::Drop => "drop",
    };
    Ok(format!("{word}: {}", verdict.rule))
}

/// `interface = "wan"`; the first one of its side when not given.
fn interface<'a>(config: &'a Config, side: Side, text: Option<&str>) -> Result<&'a str, String> {
    let mut all = config.interfaces.iter().filter(|i| i.side == side);
    match text {
        None => Ok(all.next().map_or("", |i| i.name.as_str())),
        Some(text) => {
            let found = all.find(|i| i.name == text).map(|i| i.name.as_str());
            found.ok_or_else(|| format!("\"{text}\" is no interface of side {side}"))
        }
    }
}

/// `serving = "alone"`; it serves when not given.
fn serving(text: Option<&str>) -> Result<ServingFact, String> {
    let Some(text) = text else { return Ok(ServingFact::Upstream) };
    let known = ServingFact::ALL.into_iter().find(|w| w.as_str() == text);
    known.ok_or_else(|| format!("\"{text}\" is neither upstream nor alone"))
}

/// A whole URI, or what would stand as its user part.
fn uri(text: &str) -> Uri {
    let whole = ["sip:", "sips:", "tel:", "urn:"].iter().any(|s| text.starts_with(s));
    let read = whole.then(|| Uri::parse(text.as_bytes())).flatten();
    read.unwrap_or_else(|| Uri::sip(Some(text), "x", None))
}

/// `time = "22:30"`, `day = "sun"`; noon of a Monday when not given.
fn clock(time: Option<&str>, day: Option<&str>) -> Result<Option<Clock>, String> {
    let text = time.unwrap_or("12:00");
    let at = minute(text).ok_or_else(|| format!("\"{text}\" is no time"))?;
    let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let day = day.unwrap_or("mon").to_ascii_lowercase();
    let index = days.iter().position(|d| day.starts_with(d));
    let index = index.ok_or_else(|| format!("\"{day}\" is no day"))?;
    Ok(Some((at, u8::try_from(index).unwrap_or(0))))
}
