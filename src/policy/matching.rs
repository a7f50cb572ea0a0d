//! Conditions of one rule, ready to be asked. No look-up, and no allocation but for a rule that
//! names users of a domain.

use super::subjects::Subjects;
use super::{Facts, Number};
use crate::config::{Rule, RuleAction};
use crate::ground::{Side, Subject};
use crate::wire::sip::Aor;
use std::net::IpAddr;

/// A pattern: exact, `prefix*` or `*suffix`; letters compare case-insensitively.
#[derive(Clone, Debug)]
pub(super) enum Pattern {
    Any,
    Exact(Box<str>),
    Prefix(Box<str>),
    Suffix(Box<str>),
}

impl Pattern {
    pub(super) fn new(text: &str) -> Self {
        if text == "*" {
            Self::Any
        } else if let Some(p) = text.strip_suffix('*') {
            Self::Prefix(p.into())
        } else if let Some(s) = text.strip_prefix('*') {
            Self::Suffix(s.into())
        } else {
            Self::Exact(text.into())
        }
    }

    /// The one text that it meets; `None`: more than one.
    pub(super) fn exact(&self) -> Option<&str> {
        match self {
            Self::Exact(text) => Some(text),
            Self::Any | Self::Prefix(_) | Self::Suffix(_) => None,
        }
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(p) => p.eq_ignore_ascii_case(text),
            Self::Prefix(p) => {
                text.get(..p.len()).is_some_and(|start| start.eq_ignore_ascii_case(p))
            }
            Self::Suffix(p) => {
                let at = text.len().checked_sub(p.len());
                at.and_then(|at| text.get(at..)).is_some_and(|end| end.eq_ignore_ascii_case(p))
            }
        }
    }
}

/// A pattern of users: by name, or by name and domain where it has an `@`; an `@` of the name is
/// written `%40` then, as in a URI.
#[derive(Clone, Debug)]
enum Who {
    Named(Pattern),
    OfDomain(Pattern),
}

impl Who {
    fn new(text: &str) -> Self {
        let pattern = Pattern::new(text);
        if text.contains('@') { Self::OfDomain(pattern) } else { Self::Named(pattern) }
    }

    fn is(&self, user: &Aor) -> bool {
        match self {
            Self::Named(pattern) => pattern.matches(&user.user),
            Self::OfDomain(pattern) => pattern.matches(&user.to_string()),
        }
    }
}

/// The conditions of a rule.
#[derive(Clone, Debug)]
pub(super) struct Conditions {
    rule: Rule,
    user: Vec<Who>,
    from: Vec<Pattern>,
    to: Vec<Pattern>,
    domain: Vec<Pattern>,
    upstream: Vec<Pattern>,
    tls_subject: Subjects,
    user_agent: Vec<Pattern>,
}

/// Minute of the day and day of the week (Monday = 0), site time.
pub(super) type Clock = (u16, u8);

impl Conditions {
    pub(super) fn new(rule: &Rule) -> Self {
        let patterns = |all: &[String]| all.iter().map(|p| Pattern::new(p)).collect();
        Self {
            user: rule.user.iter().map(|p| Who::new(p)).collect(),
            from: patterns(&rule.from),
            to: patterns(&rule.to),
            domain: patterns(&rule.domain),
            upstream: patterns(&rule.upstream),
            tls_subject: Subjects::new(&rule.tls_subject),
            user_agent: patterns(&rule.user_agent),
            rule: rule.clone(),
        }
    }

    /// True when a rule needs the time of day.
    pub(super) fn reads_clock(&self) -> bool {
        self.rule.hours.is_some() || !self.rule.days.is_empty()
    }

    /// The first condition that is not met; `None`: the rule matches.
    pub(super) fn unmet(&self, f: &Facts<'_>, clock: Option<Clock>) -> Option<&'static str> {
        let r = &self.rule;
        let unmet = [
            ("emergency", !f.is_emergency() || self.speaks_of(f.to)),
            ("side", r.side.is_none_or(|s| s == f.side)),
            ("interface", self.is_at(f.interface)),
            ("method", self.is_of(f)),
            ("source", r.source.is_empty() || listed(&r.source, f.source)),
            (
                "user",
                self.user.is_empty() || f.user.is_some_and(|u| self.user.iter().any(|p| p.is(u))),
            ),
            ("from", self.from.is_empty() || self.number(&self.from, f.from)),
            ("to", self.to.is_empty() || self.number(&self.to, f.to)),
            ("domain", self.domain.is_empty() || any(&self.domain, f.domain)),
            (
                "upstream",
                self.upstream.is_empty() || f.upstream.is_some_and(|u| any(&self.upstream, u)),
            ),
            ("tls_subject", self.is_proved(f.tls_subjects)),
            ("serving", r.serving.is_none_or(|s| s == f.serving)),
            ("user_agent", self.user_agent.is_empty() || any(&self.user_agent, f.user_agent)),
            ("hours", r.hours.is_none_or(|h| clock.is_some_and(|c| within(h, c.0)))),
            ("days", r.days.is_empty() || clock.is_some_and(|c| r.days.contains(&c.1))),
        ];
        unmet.into_iter().find(|(_, met)| !met).map(|(name, _)| name)
    }
}

impl Conditions {
    /// The rule allows something to who proved one of these names at this interface.
    pub(super) fn knows(&self, (side, interface): (Side, &str), names: &[Subject]) -> bool {
        let allows = matches!(self.rule.action, RuleAction::Allow(_));
        let here = self.rule.side.is_none_or(|s| s == side) && self.is_at(interface);
        allows && here && self.tls_subject.meet(names)
    }

    fn is_at(&self, interface: &str) -> bool {
        let all = &self.rule.interface;
        all.is_empty() || all.iter().any(|name| name == interface)
    }

    /// True when the rule asks what is dialled.
    pub(super) fn reads_number(&self) -> bool {
        !self.to.is_empty()
    }

    /// Whether this rule is of the method: one that allows a command names it. Whoever lets a trunk
    /// call in hardly means that it restarts phones.
    fn is_of(&self, f: &Facts<'_>) -> bool {
        let all = match self.rule.action {
            RuleAction::Allow(_) => !f.commands,
            RuleAction::Deny { .. } | RuleAction::Drop => true,
        };
        let methods = &self.rule.method;
        methods.is_empty() && all || methods.iter().any(|m| m == f.method)
    }

    /// Whether this rule judges a call to an emergency number: a deny only if it names that number
    /// itself. A pattern against toll fraud (`1*`) means other numbers, and whoever wrote it finds
    /// out that it took 112 along when somebody needs it.
    fn speaks_of(&self, emergency: &Number) -> bool {
        let named = |p: &Pattern| match p {
            Pattern::Exact(_) => emergency.forms().any(|form| p.matches(form)),
            Pattern::Any | Pattern::Prefix(_) | Pattern::Suffix(_) => false,
        };
        match self.rule.action {
            RuleAction::Allow(_) => true,
            RuleAction::Deny { .. } | RuleAction::Drop => self.to.iter().any(named),
        }
    }

    /// One of the names that a certificate proved is meant; `*` means any, but not none.
    fn is_proved(&self, names: &[Subject]) -> bool {
        self.rule.tls_subject.is_empty() || self.tls_subject.meet(names)
    }

    /// What may not be, may not be in any form; what may be, is what the number means.
    fn number(&self, patterns: &[Pattern], number: &Number) -> bool {
        match self.rule.action {
            RuleAction::Allow(_) => any(patterns, number.result()),
            RuleAction::Deny { .. } | RuleAction::Drop => {
                // A number that has no form at all is an empty one.
                any(patterns, number.result()) || number.forms().any(|form| any(patterns, form))
            }
        }
    }
}

fn any(patterns: &[Pattern], text: &str) -> bool {
    patterns.iter().any(|p| p.matches(text))
}

fn listed(nets: &[ipnet::IpNet], ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    nets.iter().any(|n| n.contains(&ip))
}

/// `[from, to)`, wrapping midnight when `to` is not after `from`.
fn within((from, to): (u16, u16), minute: u16) -> bool {
    if from < to { (from..to).contains(&minute) } else { minute >= from || minute < to }
}
