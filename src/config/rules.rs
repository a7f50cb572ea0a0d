//! `[[rule]]` and `[[rule_test]]`: from text to checked conditions. `policy` compiles them.

use super::reader::{Section, Source};
use super::{Allow, Rule, RuleAction, RuleTest, ServingFact, values};
use crate::ground::Side;
use crate::wire::sip::Method;

/// Day names, Monday first.
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

pub(super) fn rules(top: &mut Section<'_, '_>, src: &mut Source<'_>) -> Vec<Rule> {
    let sections = top.tables("rule", "[[rule]]", src);
    sections.into_iter().filter_map(|s| rule(s, src)).collect()
}

fn rule(mut s: Section<'_, '_>, src: &mut Source<'_>) -> Option<Rule> {
    let name = s.string("name", src);
    let side = s.word("side", &[("inside", Side::Inside), ("outside", Side::Outside)], src);
    let mut to = s.list("to", src);
    to.extend(s.list("number", src));
    let hours = hours(&mut s, src);
    let days = days(&mut s, src);
    let action = action(&mut s, src);
    let rule = Rule {
        name: name.clone().unwrap_or_default(),
        side,
        interface: s.list("interface", src),
        method: methods(&mut s, src),
        source: s.networks("source", src),
        user: s.list("user", src),
        from: s.list("from", src),
        to,
        domain: s.list("domain", src),
        upstream: s.list("upstream", src),
        tls_subject: values::subjects(&mut s, "tls_subject", src),
        user_agent: s.list("user_agent", src),
        serving: s.word("serving", &ServingFact::ALL.map(|w| (w.as_str(), w)), src),
        hours,
        days,
        action: action.clone().unwrap_or(RuleAction::Drop),
    };
    if name.is_none() {
        s.missing("name", "it is shown in audit, metrics and answers to \"why\"", src);
    }
    values::name(&s, "name", name.as_deref(), src);
    s.finish(src);
    name.and(action).map(|_| rule)
}

/// Methods as requests write them: in another case they would match nothing (RFC 3261 §7.1).
fn methods(s: &mut Section<'_, '_>, src: &mut Source<'_>) -> Vec<String> {
    let all = s.strings("method", src).unwrap_or_default();
    for (text, span) in &all {
        if let Some(known) = Method::from_token(text).in_other_case() {
            let what = format!("\"{text}\" is no method: their case counts");
            src.fault("method", span.clone(), what, Some(format!("write \"{known}\"")));
        }
    }
    all.into_iter().map(|(text, _)| text).collect()
}

/// `"18:00-06:00"`.
fn hours(s: &mut Section<'_, '_>, src: &mut Source<'_>) -> Option<(u16, u16)> {
    let text = s.string("hours", src)?;
    let read = text.split_once('-').and_then(|(a, b)| Some((minute(a)?, minute(b)?)));
    if read.is_none() {
        let what = format!("\"{text}\" are no hours");
        src.fault("hours", s.span_of("hours"), what, Some("write \"18:00-06:00\"".to_owned()));
    }
    read
}

pub(crate) fn minute(text: &str) -> Option<u16> {
    let (h, m) = text.trim().split_once(':')?;
    let (h, m): (u16, u16) = (h.parse().ok()?, m.parse().ok()?);
    (h <= 24 && m < 60 && h * 60 + m <= 1440).then_some(h * 60 + m)
}

fn days(s: &mut Section<'_, '_>, src: &mut Source<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    for (text, span) in s.strings("days", src).unwrap_or_default() {
        let day = DAYS.iter().position(|d| text.to_ascii_lowercase().starts_with(d));
        match day {
            Some(d) => out.push(u8::try_from(d).unwrap_or(0)),
            None => {
                let hint = Some(format!("one of: {}", DAYS.join(", ")));
                src.fault("days", span, format!("\"{text}\" is no day"), hint);
            }
        }
    }
    out
}

fn action(s: &mut Section<'_, '_>, src: &mut Source<'_>) -> Option<RuleAction> {
    let allow = s.table("allow", "allow = { … }", src).map(|t| allow(t, src));
    let deny = s.table("deny", "deny = { … }", src).map(|t| deny(t, src));
    let drop = s.boolean("drop", src).filter(|d| *d).map(|_| RuleAction::Drop);
    let all: Vec<RuleAction> = [allow, deny, drop].into_iter().flatten().collect();
    match all.as_slice() {
        [one] => Some(one.clone()),
        _ => {
            let what = "a rule needs exactly one of `allow`, `deny`, `drop`";
            let hint = Some("allow = {}, deny = { code = 403 } or drop = true".to_owned());
            src.fault("rule-action", s.span.clone(), what, hint);
            None
        }
    }
}

fn allow(mut t: Section<'_, '_>, src: &mut Source<'_>) -> RuleAction {
    let allow = Allow {
        upstream: t.string("upstream", src),
        strip: t.list("strip", src),
        keep: t.list("keep", src),
        keep_number: t.boolean("keep_number", src).unwrap_or(false),
        bodies: t.list("bodies", src),
        bypass_limits: t.boolean("bypass_limits", src).unwrap_or(false),
    };
    t.finish(src);
    RuleAction::Allow(allow)
}

fn deny(mut t: Section<'_, '_>, src: &mut Source<'_>) -> RuleAction {
    let code = t.number("code", 400..=699, src).unwrap_or(403);
    let reason = t.string("reason", src);
    values::name(&t, "reason", reason.as_deref(), src);
    t.finish(src);
    RuleAction::Deny { code: u16::try_from(code).unwrap_or(403), reason }
}

pub(super) fn tests(top: &mut Section<'_, '_>, src: &mut Source<'_>) -> Vec<RuleTest> {
    let mut all = Vec::new();
    for mut s in top.tables("rule_test", "[[rule_test]]", src) {
        let event = s.table("event", "event = { … }", src).map(|mut t| t.pairs(src));
        let expect = s.string("expect", src);
        let fault = src.diagnostic("rule-test", s.span_of("expect"), String::new(), None);
        if event.is_none() {
            s.missing("event", "event = { side = \"inside\", number = \"112\" }", src);
        }
        if expect.is_none() {
            s.missing("expect", "expect = \"deny: name of the rule\"", src);
        }
        s.finish(src);
        if let (Some(event), Some(expect)) = (event, expect) {
            all.push(RuleTest { event, expect, fault });
        }
    }
    all
}
