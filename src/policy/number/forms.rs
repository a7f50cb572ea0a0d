//! The forms of a number: every number that somebody behind the gateway might read in what was
//! dialled. A deny is asked about each of them; what is allowed is decided by the result alone, so
//! that a reading too many lets nobody through.

use super::plan::{self, Plan, digits};
use super::{Number, Parts, VALUES};
use crate::wire::sip::unescape;

/// Parts of a text that are read as numbers, for the same reason.
const PARTS: usize = 48;

/// Digits of a service code as phones know them (`*1`, `*72`, `*121`, `*1470`).
const CODE: [usize; 4] = [1, 2, 3, 4];

/// Digits from which on a word with digits may be dialled: premium services begin with five
/// (118xx); `sales-2` and `room-1201` are names.
const DIALLED: usize = 5;

/// Forms while they are collected.
#[derive(Default)]
pub(super) struct Forms {
    all: Vec<Box<str>>,
    /// There are more, or what is too long for a plan.
    cut: bool,
}

impl Forms {
    /// Those that are there whatever the number means.
    pub(super) fn of(parts: &Parts<'_>, decoded: &str, plan: &Plan<'_>) -> Self {
        let mut forms = Self::default();
        forms.add(parts.whole);
        forms.add(parts.number);
        let whole = unescape(parts.whole);
        forms.add(&whole);
        // Who decodes first and then looks for parameters cuts elsewhere.
        let early = whole.split(';').next().unwrap_or_default();
        forms.add(early);
        let mut texts = vec![early, decoded];
        texts.dedup();
        for text in texts {
            forms.read(text, parts.is_number, plan);
            forms.mean_each(&within(text, &parts.contexts), plan);
        }
        for routing in parts.routing.iter().take(VALUES) {
            forms.add(routing);
            forms.read(routing, true, plan);
            forms.mean_each(&within(routing, &parts.routing_contexts), plan);
        }
        if let Some(secret) = &parts.password {
            forms.read(&format!("{decoded}:{secret}"), parts.is_number, plan);
        }
        forms.read_parameters(&parts.everything, plan);
        forms.add(decoded);
        forms
    }

    /// Digits, and what the plan makes of them.
    pub(super) fn of_digits(digits: &str, plan: &Plan<'_>) -> (Self, plan::Dialled) {
        let mut forms = Self::default();
        let dialled = forms.mean(digits, plan);
        (forms, dialled)
    }

    /// A form that was there already moves to the end: the last is the result.
    pub(super) fn add(&mut self, form: &str) {
        if form.is_empty() {
            return;
        }
        self.all.retain(|f| **f != *form);
        self.cut |= self.all.len() >= Number::FORMS;
        self.all.truncate(Number::FORMS - 1);
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

    /// All that who dials might take a text for: one number, and each that stands between signs.
    /// Who knows one sign (as `&` between destinations, `/` behind a technology) takes others for
    /// nothing, or he knows them all.
    fn read(&mut self, text: &str, is_number: bool, plan: &Plan<'_>) {
        self.read_one(text, is_number, plan);
        let mut signs: Vec<char> = text.chars().filter(|c| is_sign(*c)).collect();
        signs.sort_unstable();
        signs.dedup();
        let by_all = text.split(is_sign).filter(|_| !signs.is_empty());
        let by_one = signs.iter().filter(|_| signs.len() > 1).flat_map(|s| text.split(*s));
        // Separators that people write within a number part two where another begins.
        let abroad = text.split(is_visual).filter(|part| plan.leads_abroad(part));
        let is_read = |part: &&str| begins_as_a_number(part) || digits_of(part) >= DIALLED;
        for (n, part) in by_all.chain(by_one).chain(abroad).filter(is_read).enumerate() {
            if n >= PARTS || self.cut {
                self.cut = true;
                return;
            }
            self.read_one(part, is_number, plan);
        }
    }

    /// A number with its parameters: who keeps digits only, or dials what one of them holds.
    fn read_parameters(&mut self, everything: &str, plan: &Plan<'_>) {
        let Some((_, params)) = everything.split_once(';') else { return };
        if !begins_as_a_number(everything) && digits_of(everything) < DIALLED {
            return;
        }
        let values = params.split([';', '=']).filter(|v| digits_of(v) >= DIALLED);
        for value in values.take(PARTS) {
            self.read_one(value, false, plan);
        }
        self.mean_all(everything, vec![keys(everything)], plan);
    }

    fn read_one(&mut self, text: &str, is_number: bool, plan: &Plan<'_>) {
        let all = readings(text, is_number, plan);
        self.mean_all(text, all, plan);
    }

    /// Of a word that is no number by itself only so much is read as can be dialled.
    fn mean_all(&mut self, text: &str, readings: Vec<String>, plan: &Plan<'_>) {
        for mut reading in readings {
            if begins_as_a_number(text) {
                self.cut |= reading.len() > plan::LONGEST;
            } else {
                reading.truncate(plan::LONGEST);
            }
            self.mean(&reading, plan);
            self.mean_each(&behind_code(&reading), plan);
        }
    }

    fn mean_each(&mut self, numbers: &[String], plan: &Plan<'_>) {
        for number in numbers {
            self.mean(number, plan);
        }
    }

    /// A number, and each that the plan makes of it, and of what it makes of it.
    fn mean(&mut self, number: &str, plan: &Plan<'_>) -> plan::Dialled {
        self.add(number);
        let dialled = plan.dial(number);
        // Also where an outside line makes another number of it: a rule may keep it as dialled.
        let abroad = plan.international(number);
        let told = dialled.steps.iter().chain(&abroad);
        for odd in told.clone().flat_map(|n| plan.misread(n)) {
            self.add(&odd);
            plan.international(&odd).iter().for_each(|f| self.add(f));
            plan.dial(&odd).steps.iter().for_each(|f| self.add(f));
        }
        told.for_each(|f| self.add(f));
        dialled
    }
}

/// A local number with each context before it (RFC 3966 §5.1.5), and as it is. A context is global
/// or a host; what is neither is read as the one that lacks its plus.
fn within(text: &str, contexts: &[String]) -> Vec<String> {
    let contexts: Vec<String> =
        contexts.iter().take(VALUES).filter_map(|c| plan::context(c)).collect();
    let digits = digits(text);
    let mut locals: Vec<String> = digits.iter().cloned().collect();
    if digits.is_none() && digits_of(text) > 0 && !contexts.is_empty() {
        locals.extend([keys(text), keypad(text)]);
    }
    let mut all = Vec::new();
    for local in locals.iter().filter(|l| !l.starts_with('+')) {
        for context in &contexts {
            all.push(format!("{context}{local}"));
            if !context.starts_with('+') {
                all.push(format!("+{context}{local}"));
            }
        }
    }
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

/// What can be dialled of it, letters as the keys that bear them (E.161).
fn keypad(text: &str) -> String {
    let key = |c: char| match c.to_ascii_lowercase() {
        'a'..='c' => Some('2'),
        'd'..='f' => Some('3'),
        'g'..='i' => Some('4'),
        'j'..='l' => Some('5'),
        'm'..='o' => Some('6'),
        'p'..='s' => Some('7'),
        't'..='v' => Some('8'),
        'w'..='z' => Some('9'),
        c => is_key(c).then_some(c),
    };
    text.chars().filter_map(key).collect()
}

fn digits_of(text: &str) -> usize {
    text.bytes().filter(u8::is_ascii_digit).count()
}

/// Visual separators (RFC 3966 §5.1.1), and blanks.
fn is_visual(c: char) -> bool {
    "-.() ".contains(c)
}

/// What stands between numbers, and is of none.
fn is_sign(c: char) -> bool {
    !c.is_alphanumeric() && !is_key(c) && !is_visual(c)
}

fn begins_as_a_number(text: &str) -> bool {
    text.chars().find(|c| c.is_alphanumeric() || is_key(*c)).is_some_and(is_key)
}

/// The numbers of a text that is one: without what is neither letter nor key, without letters or
/// with their keys, without a prefix in brackets that people write and do not dial (`+49 (0)30`),
/// and with its plus signs where a reader may have them: none before a 0, for no country code
/// begins with one (E.164). Of a name what has enough digits to be dialled.
fn readings(text: &str, is_number: bool, plan: &Plan<'_>) -> Vec<String> {
    let begins = begins_as_a_number(text);
    let has_letters = text.contains(char::is_alphabetic);
    let mut all = Vec::new();
    if begins || digits_of(text) >= DIALLED {
        let trunk = format!("({})", plan.national_prefix.unwrap_or("0"));
        let bare = text.replace(&trunk, "").replace("(0)", "");
        all = vec![keys(text), keys(&bare)];
        let doubled: Vec<String> = all.iter().flat_map(|number| pluses(number)).collect();
        all.extend(doubled);
    }
    if has_letters {
        if begins {
            all.push(text.chars().filter(|c| c.is_alphanumeric() || is_key(*c)).collect());
        }
        if begins || is_number {
            all.push(keypad(text));
        }
        let words = text.split(char::is_alphabetic).filter(|run| digits_of(run) >= DIALLED);
        all.extend(words.take(PARTS).map(keys));
    }
    let dialled = all.iter().filter(|n| n.starts_with("+0")).filter_map(|n| n.get(1..));
    let dialled: Vec<String> = dialled.map(str::to_owned).collect();
    all.extend(dialled);
    all.dedup();
    all
}

/// The first plus is one; another is skipped, or begins the number anew.
fn pluses(number: &str) -> Vec<String> {
    let Some((_, last)) = number.get(1..).and_then(|rest| rest.rsplit_once('+')) else {
        return Vec::new();
    };
    let flat = number.replace('+', "");
    vec![format!("+{last}"), if number.starts_with('+') { format!("+{flat}") } else { flat }]
}

/// What stands behind a service code, as `*72` or `*21*` forwards calls to it, and between such
/// signs. Without a sign between them only what is long enough for a number of another place.
fn behind_code(number: &str) -> Vec<String> {
    let sign = ['*', '#'];
    if !number.contains(sign) {
        return Vec::new();
    }
    let mut parts = number.split(sign).filter(|part| !part.is_empty());
    let code = if number.starts_with(sign) { parts.next() } else { None };
    let behind = CODE.iter().filter_map(|n| code?.get(*n..));
    let long = behind.filter(|number| number.len() >= plan::FULL).map(str::to_owned);
    long.chain(parts.take(PARTS).map(str::to_owned)).collect()
}
