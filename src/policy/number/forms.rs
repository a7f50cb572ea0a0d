//! The forms of a number: every number that somebody behind the gateway might read in what was
//! dialled. A deny is asked about each of them; what is allowed is decided by the result alone, so
//! that a reading too many lets nobody through.

use super::plan::{self, Plan, digits};
use super::{Parts, VALUES};
use crate::wire::sip::unescape;

/// Forms that are kept. What has more is made to have them, and cannot be judged.
const MOST: usize = 96;

/// Digits of a service code as phones know them (`*72`, `*121`).
const CODE: [usize; 2] = [2, 3];

/// Forms while they are collected.
pub(super) struct Forms {
    all: Vec<Box<str>>,
    /// There are more, or what is too long for a plan.
    cut: bool,
}

impl Forms {
    /// Those that are there whatever the number means.
    pub(super) fn of(parts: &Parts<'_>, decoded: &str, plan: &Plan<'_>) -> Self {
        let mut forms = Self { all: Vec::new(), cut: false };
        forms.add(parts.whole);
        forms.add(parts.number);
        let whole = unescape(parts.whole);
        forms.add(&whole);
        // Who decodes first and then looks for parameters cuts elsewhere.
        let early = whole.split(';').next().unwrap_or_default();
        forms.add(early);
        for text in [early, decoded] {
            forms.read(text, plan);
            within(text, &parts.contexts).iter().for_each(|f| forms.mean(f, plan));
        }
        for routing in parts.routing.iter().take(VALUES) {
            forms.add(routing);
            forms.read(routing, plan);
            within(routing, &parts.routing_contexts).iter().for_each(|f| forms.mean(f, plan));
        }
        forms.add(decoded);
        forms
    }

    /// A form that was there already moves to the end: the last is the result.
    pub(super) fn add(&mut self, form: &str) {
        if form.is_empty() {
            return;
        }
        self.all.retain(|f| **f != *form);
        self.cut |= self.all.len() >= MOST;
        self.all.truncate(MOST - 1);
        self.all.push(form.into());
    }

    /// False: there were more of them than are kept, or than can be read.
    pub(super) fn are_all(&self) -> bool {
        !self.cut
    }

    /// The last is the result.
    pub(super) fn end(self) -> Vec<Box<str>> {
        self.all
    }

    /// All that who dials might take a text for.
    fn read(&mut self, text: &str, plan: &Plan<'_>) {
        for reading in readings(text, plan) {
            self.cut |= reading.len() > plan::LONGEST;
            self.mean(&reading, plan);
            for behind in behind_code(&reading) {
                self.mean(&behind, plan);
            }
        }
    }

    /// A number, and each that the plan makes of it.
    fn mean(&mut self, number: &str, plan: &Plan<'_>) {
        self.add(number);
        // Also where an outside line makes another number of it: a rule may keep it as dialled.
        plan.international(number).iter().for_each(|f| self.add(f));
        plan.dial(number).steps.iter().for_each(|f| self.add(f));
    }
}

/// A local number with each global context before it (RFC 3966 §5.1.5), and as it is.
fn within(number: &str, contexts: &[String]) -> Vec<String> {
    let digits = digits(number);
    let local = digits.as_deref().filter(|d| !d.starts_with('+')).unwrap_or_default();
    let global = contexts.iter().take(VALUES).filter_map(|c| {
        let context = plan::digits(c).filter(|c| c.starts_with('+'))?;
        (!local.is_empty()).then(|| format!("{context}{local}"))
    });
    let mut all: Vec<String> = global.collect();
    all.extend(digits);
    all
}

fn is_key(c: char) -> bool {
    c.is_ascii_digit() || "+*#".contains(c)
}

/// What can be dialled of a text.
fn keys(text: &str) -> String {
    text.chars().filter(|c| is_key(*c)).collect()
}

/// What begins as a number does: without what is neither letter nor key, without letters, without a
/// prefix in brackets that people write and do not dial (`+49 (0)30`), and with its plus signs
/// where a reader may have them: none before a 0, for no country code begins with one (E.164).
/// Empty for a name.
fn readings(text: &str, plan: &Plan<'_>) -> Vec<String> {
    let squeezed: String = text.chars().filter(|c| c.is_alphanumeric() || is_key(*c)).collect();
    if !squeezed.starts_with(is_key) {
        return Vec::new();
    }
    let trunk = format!("({})", plan.national_prefix.unwrap_or("0"));
    let bare = text.replace(&trunk, "").replace("(0)", "");
    let mut all = vec![squeezed, keys(text), keys(&bare)];
    for i in [1, 2] {
        let Some(number) = all.get(i).cloned() else { continue };
        // The first plus is one; another is skipped, or begins the number anew.
        let Some((_, last)) = number.get(1..).and_then(|rest| rest.rsplit_once('+')) else {
            continue;
        };
        let flat = number.replace('+', "");
        all.push(format!("+{last}"));
        all.push(if number.starts_with('+') { format!("+{flat}") } else { flat });
    }
    let dialled = all.iter().filter(|n| n.starts_with("+0")).filter_map(|n| n.get(1..));
    let dialled: Vec<String> = dialled.map(str::to_owned).collect();
    all.extend(dialled);
    all
}

/// What stands behind a service code, as `*72` or `*21*` forwards calls to it. Without a sign
/// between them only what is long enough for a number of another place.
fn behind_code(number: &str) -> Vec<String> {
    let sign = ['*', '#'];
    let Some(rest) = number.strip_prefix(sign) else { return Vec::new() };
    let mut parts = rest.split(sign).filter(|part| !part.is_empty());
    let first = parts.next().unwrap_or_default();
    let behind = CODE.iter().filter_map(|n| first.get(*n..));
    let long = behind.filter(|number| number.len() >= plan::FULL).map(str::to_owned);
    long.chain(parts.map(str::to_owned)).collect()
}
