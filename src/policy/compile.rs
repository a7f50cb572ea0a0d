//! Rules → rule set; facts → verdict.

use super::defaults::Defaults;
use super::matching::{Clock, Conditions};
use super::{Action, Facts, Verdict, selftest};
use crate::config::{Allow, Config, Diagnostic, RuleAction};
use crate::ground::{Side, Subject, Wall, zone};
use std::sync::Arc;

#[derive(Clone, Debug)]
struct Compiled {
    name: Arc<str>,
    conditions: Conditions,
    action: Action,
}

/// Compiled rules.
#[derive(Clone, Debug)]
pub struct RuleSet {
    rules: Vec<Compiled>,
    defaults: Defaults,
    zone: jiff::tz::TimeZone,
    reads_clock: bool,
}

impl Verdict {
    /// What lets an emergency call pass lets it pass every cap, too.
    fn of_emergency(self, facts: &Facts<'_>) -> Self {
        match self.action {
            Action::Allow(allow) if facts.is_emergency() && !allow.bypass_limits => {
                let allow = Allow { bypass_limits: true, ..Allow::clone(&allow) };
                Self { action: Action::Allow(Arc::new(allow)), ..self }
            }
            Action::Allow(_) | Action::Deny { .. } | Action::Drop => self,
        }
    }
}

impl RuleSet {
    /// Compiles the rules and runs every `[[rule_test]]`.
    ///
    /// # Errors
    /// Every failing test.
    pub fn compile(config: &Config) -> Result<Self, Vec<Diagnostic>> {
        let rules: Vec<Compiled> = config
            .policy
            .rules
            .iter()
            .map(|r| Compiled {
                name: r.name.as_str().into(),
                conditions: Conditions::new(r),
                action: match &r.action {
                    RuleAction::Allow(allow) => Action::Allow(Arc::new(allow.clone())),
                    RuleAction::Deny { code, reason } => Action::Deny {
                        code: *code,
                        reason: reason.as_deref().unwrap_or("Denied By Policy").into(),
                    },
                    RuleAction::Drop => Action::Drop,
                },
            })
            .collect();
        let set = Self {
            reads_clock: rules.iter().any(|r| r.conditions.reads_clock()),
            rules,
            defaults: Defaults::new(config),
            zone: zone(&config.site.timezone).unwrap_or(jiff::tz::TimeZone::UTC),
        };
        let failed = selftest::run(&set, config);
        if failed.is_empty() { Ok(set) } else { Err(failed) }
    }

    /// Whether a rule asks what is dialled. Then a number that is not [`super::Number::is_clear`]
    /// is 400: the rule would read one number in it, and who is behind the gateway another.
    #[must_use]
    pub fn judges_numbers(&self) -> bool {
        self.rules.iter().any(|r| r.conditions.reads_number())
    }

    /// Whether a rule allows something to who proved one of these names at this interface.
    pub(crate) fn knows(&self, at: (Side, &str), names: &[Subject]) -> bool {
        self.rules.iter().any(|r| r.conditions.knows(at, names))
    }

    /// The first match; the default policy at the end.
    #[must_use]
    pub fn evaluate(&self, facts: &Facts<'_>, now: Wall) -> Verdict {
        self.evaluate_at(facts, self.clock(now))
    }

    pub(super) fn evaluate_at(&self, facts: &Facts<'_>, clock: Option<Clock>) -> Verdict {
        self.rules
            .iter()
            .find(|r| r.conditions.unmet(facts, clock).is_none())
            .map(|r| Verdict { rule: r.name.clone(), action: r.action.clone() })
            .map_or_else(|| self.defaults.evaluate(facts), |v| v.of_emergency(facts))
    }

    /// For each rule before the one that decided: the first condition that was not met. The last
    /// entry is the decision.
    #[must_use]
    pub fn explain(&self, facts: &Facts<'_>, now: Wall) -> Vec<(Arc<str>, &'static str)> {
        let clock = self.clock(now);
        let mut out = Vec::new();
        for r in &self.rules {
            match r.conditions.unmet(facts, clock) {
                Some(why) => out.push((r.name.clone(), why)),
                None => {
                    out.push((r.name.clone(), "matches"));
                    return out;
                }
            }
        }
        out.push((self.defaults.evaluate(facts).rule, "default"));
        out
    }

    /// Names of all rules in order, then the defaults: label values of `policy_decisions_total`.
    #[must_use]
    pub fn names(&self) -> Vec<Arc<str>> {
        let mut all: Vec<Arc<str>> = self.rules.iter().map(|r| r.name.clone()).collect();
        all.extend(self.defaults.names());
        all
    }

    /// Site time, when a rule wants it.
    fn clock(&self, now: Wall) -> Option<Clock> {
        if !self.reads_clock {
            return None;
        }
        let seconds = i64::try_from(now.seconds()).ok()?;
        let stamp = jiff::Timestamp::from_second(seconds).ok()?;
        let at = self.zone.to_datetime(stamp);
        let minute = u16::try_from(at.hour()).ok()? * 60 + u16::try_from(at.minute()).ok()?;
        let day = u8::try_from(at.weekday().to_monday_zero_offset()).ok()?;
        Some((minute, day))
    }
}
