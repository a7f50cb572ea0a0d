//! The site's dial plan: from digits as dialled, step by step, to the number that is meant.

use crate::config::Config;
use std::net::IpAddr;

/// Digits from which on an international prefix means such a call and the national one is read.
pub(super) const FULL: usize = 7;

/// Characters of a country code with its plus (E.164).
pub(super) const COUNTRY: usize = 4;

/// Digits of the longest number that a plan reads; more goes out as it came.
pub(super) const LONGEST: usize = 128;

/// What `[numbers]` and the emergency numbers say.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plan<'a> {
    /// Prefix for an outside line.
    pub outside_line: Option<&'a str>,
    /// Prefixes of international calls, for which a plus is put.
    pub international: &'a [String],
    /// National prefix, for which `country` is put.
    pub national_prefix: Option<&'a str>,
    /// Country code with its plus.
    pub country: Option<&'a str>,
    /// Numbers that are dialled as they are, whatever they begin with.
    pub emergency: &'a [String],
}

impl<'a> From<&'a Config> for Plan<'a> {
    fn from(config: &'a Config) -> Self {
        let n = &config.numbers;
        Self {
            outside_line: n.outside_line.as_deref(),
            international: &n.international_prefixes,
            national_prefix: n.national_prefix.as_deref(),
            country: n.country.as_deref(),
            emergency: &config.policy.emergency,
        }
    }
}

/// A number by the plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dialled {
    /// Each step in order, the digits as dialled first; the last is meant.
    pub steps: Vec<String>,
    /// What the file says should go out; `None`: it says nothing of this number.
    pub sent: Option<String>,
}

impl Plan<'_> {
    /// Reads digits (as [`digits`] makes them).
    ///
    /// The outside line is always taken off, but not off an emergency number: who dials 911 where 9
    /// is the outside line means 911. An international prefix is + to every rule; it goes out as +
    /// only where the file gives the country, and so says that numbers go out in international
    /// form.
    pub(super) fn dial(&self, digits: &str) -> Dialled {
        let mut d = Dialled { steps: vec![digits.to_owned()], sent: None };
        if digits.starts_with('+') || digits.len() > LONGEST || self.is_emergency(digits) {
            return d;
        }
        let inner =
            self.outside_line.and_then(|p| digits.strip_prefix(p)).filter(|r| !r.is_empty());
        if let Some(inner) = inner {
            d.steps.push(inner.to_owned());
            d.sent = Some(inner.to_owned());
        }
        let number = inner.unwrap_or(digits);
        if number.starts_with('+') || self.is_emergency(number) {
            return d;
        }
        if let Some(full) = self.international(number) {
            if self.country.is_some() {
                d.sent = Some(full.clone());
            }
            d.steps.push(full);
        } else if let (Some(prefix), Some(country)) = (self.national_prefix, self.country)
            && let Some(rest) = number.strip_prefix(prefix).filter(|_| number.len() >= FULL)
        {
            let full = format!("{country}{rest}");
            d.sent = Some(full.clone());
            d.steps.push(full);
        }
        d
    }

    /// An international prefix as +, the longest that fits, where the number is long enough to be
    /// one of another country.
    pub(super) fn international(&self, digits: &str) -> Option<String> {
        let long = digits.len() >= FULL;
        let rests = self.international.iter().filter_map(|p| digits.strip_prefix(p.as_str()));
        let rest = rests.filter(|_| long).min_by_key(|rest| rest.len())?;
        let plain = !rest.is_empty() && !rest.starts_with('+');
        plain.then(|| format!("+{rest}"))
    }

    /// A number that no plan has, as a switch may read it: none of another country begins with 0
    /// (E.164), so that its plus is a prefix; and what follows the site's own country as a way
    /// abroad leads there.
    pub(super) fn misread(&self, number: &str) -> Vec<String> {
        let Some(rest) = number.strip_prefix('+') else { return Vec::new() };
        let mut all = Vec::new();
        if rest.starts_with('0') {
            all.extend(self.international.iter().map(|prefix| format!("{prefix}{rest}")));
        }
        let of_ours = self.country.and_then(|country| number.strip_prefix(country));
        all.extend(of_ours.filter(|n| self.leads_abroad(n)).map(str::to_owned));
        all
    }

    /// Whether a text is a number of another place, written in full, outside line and all.
    pub(super) fn leads_abroad(&self, text: &str) -> bool {
        let inner = self.outside_line.and_then(|line| text.strip_prefix(line));
        [Some(text), inner].into_iter().flatten().any(|t| self.international(t).is_some())
    }

    fn is_emergency(&self, digits: &str) -> bool {
        self.emergency.iter().any(|e| e == digits)
    }
}

/// A context that says where a number belongs (RFC 3966 §5.1.5); `None`: a host.
pub(super) fn context(text: &str) -> Option<String> {
    digits(text).filter(|_| text.parse::<IpAddr>().is_err())
}

/// A number without visual separators (RFC 3966 §5.1.1, and blanks); `None`: no number.
pub(super) fn digits(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '0'..='9' | '*' | '#' => out.push(c),
            '+' if out.is_empty() => out.push(c),
            '-' | '.' | '(' | ')' | ' ' => {}
            _ => return None,
        }
    }
    out.bytes().any(|b| b.is_ascii_digit()).then_some(out)
}
