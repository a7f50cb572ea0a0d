//! What a number is to the rules. Read once from a URI, it has forms: all that a reader behind the
//! gateway might take it for, and one result, which allows and the default judge. It changes
//! nothing on the wire; it says what `[numbers]` makes of the user part, and the engine sends that.

mod forms;
mod plan;
mod strange;

pub use plan::{Dialled, Plan};

use crate::wire::sip::{Scheme, Uri, unescape};
use forms::Forms;
use plan::digits;
use strange::is_strange;

/// A called or calling number (or user), with every form of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Number {
    /// Without repetitions; the result is the last.
    forms: Vec<Box<str>>,
    /// What goes out in its place; `None`: what came.
    rewritten: Option<Box<str>>,
    /// Nothing in it that no dial plan knows, and no more parameters of a kind than are read.
    clear: bool,
    /// An emergency number, and no parameter that would lead it elsewhere.
    emergency: bool,
}

/// A user part taken apart: what is dialled, and the parameters that say what it means.
struct Parts<'a> {
    /// As written, parameters and all.
    whole: &'a str,
    /// As written, without parameters.
    number: &'a str,
    /// Decoded; some readers find it where others see one user part.
    password: Option<String>,
    /// Decoded, with all parameters that stand in the number but those three.
    everything: String,
    /// It says itself that it is one (tel, or `user=phone`), so that letters are keys.
    is_number: bool,
    /// `phone-context` (RFC 3966 §5.1.5) and `rn` (RFC 4694) with its `rn-context`: decoded.
    contexts: Vec<String>,
    routing: Vec<String>,
    routing_contexts: Vec<String>,
}

impl<'a> Parts<'a> {
    /// Parameters stand in the user part of a SIP URI (RFC 3261 §19.1.6) and behind the number of a
    /// tel URI. Some write them behind the host, some readers decode before they look for them, and
    /// an escape in a name says nothing (RFC 3986 §6.2.2.2).
    fn read(uri: &'a Uri) -> Self {
        let whole = uri.user.as_deref().unwrap_or_default();
        let (number, params) = whole.split_once(';').unwrap_or((whole, ""));
        let is_tel = uri.scheme == Scheme::Tel;
        let decoded = unescape(whole);
        let tail = if is_tel { uri.params.to_string() } else { String::new() };
        let is_other = |p: &&str| !leads(p.split('=').next().unwrap_or_default());
        let everything = unescape(&format!("{whole}{tail}"));
        let everything = everything.split(';').filter(is_other).collect::<Vec<_>>().join(";");
        let early = decoded.split_once(';').map_or("", |(_, params)| params);
        let pair = |(n, v): (&str, &str)| (unescape(n), unescape(v));
        let within = [params, early].into_iter().flat_map(|p| p.split(';'));
        let within = within.filter_map(|p| p.split_once('=')).map(pair);
        let behind = uri.params.0.iter().map(|(n, v)| pair((n, v.as_deref().unwrap_or_default())));
        let all: Vec<(String, String)> = within.chain(behind).collect();
        let named = |name: &str| {
            let same = all.iter().filter(|(n, _)| n.trim().eq_ignore_ascii_case(name));
            let mut values: Vec<String> = same.map(|(_, v)| v.trim().to_owned()).collect();
            values.sort_unstable();
            values.dedup();
            values
        };
        Self {
            whole,
            number,
            password: uri.password.as_deref().map(unescape),
            everything,
            is_number: is_tel || named("user").iter().any(|v| v.eq_ignore_ascii_case("phone")),
            contexts: named("phone-context"),
            routing: named("rn"),
            routing_contexts: named("rn-context"),
        }
    }
}

/// Values of one parameter that are read; a number has one, and a second is an attempt. What has
/// more cannot be judged.
const VALUES: usize = 4;

/// Parameters that make another number of one.
const LEADING: [&str; 3] = ["phone-context", "rn", "rn-context"];

fn leads(name: &str) -> bool {
    LEADING.iter().any(|known| name.trim().eq_ignore_ascii_case(known))
}

/// Whether a context makes a subscriber's number of what is put behind it. A country alone does
/// not: `tel:911;phone-context=+1` is how an emergency number is written in full.
fn leads_away(context: &str, plan: &Plan<'_>) -> bool {
    let Some(digits) = plan::context(context) else {
        return context.trim_start().starts_with('+');
    };
    let prefixes = plan.international.iter().map(String::as_str).chain(["+"]);
    let rests = prefixes.filter_map(|prefix| digits.strip_prefix(prefix));
    rests.map(str::len).min().unwrap_or(digits.len()) >= plan::COUNTRY
}

/// A user part that can be read in one way only: no sign, no escape, no parameter, and a URI
/// without a password or a parameter that would make another number of it.
fn plain_digits(uri: &Uri) -> Option<&str> {
    let user = uri.user.as_deref()?;
    let digits = user.strip_prefix('+').filter(|n| !n.starts_with('0')).unwrap_or(user);
    let plain = digits.bytes().all(|b| b.is_ascii_digit()) && user.len() <= plan::LONGEST;
    let names = uri.params.0.iter().map(|(name, _)| name);
    let alone =
        uri.password.is_none() && !names.clone().any(|name| name.contains('%') || leads(name));
    let tel_alone = uri.scheme != Scheme::Tel || names.len() == 0;
    (plain && alone && tel_alone && !digits.is_empty()).then_some(user)
}

impl Number {
    /// Forms that are kept. What has more is made to have them, and cannot be judged.
    pub const FORMS: usize = 128;

    /// The number that a request is for, by the site's plan.
    #[must_use]
    pub fn called(uri: &Uri, plan: &Plan<'_>) -> Self {
        if let Scheme::Other(_) = uri.scheme {
            return Self { emergency: uri.is_emergency_service(), ..Self::plain(&uri.to_string()) };
        }
        match plain_digits(uri) {
            Some(number) => {
                let (forms, dialled) = Forms::of_digits(number, plan);
                Self::dialled(number, forms, dialled, plan)
            }
            None => Self::of_anything(uri, plan),
        }
    }

    /// A user part of whatever characters.
    fn of_anything(uri: &Uri, plan: &Plan<'_>) -> Self {
        let parts = Parts::read(uri);
        let decoded = unescape(parts.number);
        let mut forms = Forms::of(&parts, &decoded, plan);
        let few = [&parts.contexts, &parts.routing, &parts.routing_contexts];
        let clear =
            !is_strange(parts.whole) && few.iter().all(|v| v.len() <= VALUES) && forms.are_all();
        let Some(number) = digits(&decoded) else {
            // Of a name the parameters are a part (RFC 3261 §19.1.3: `alice;day=tuesday`).
            forms.add(&unescape(parts.whole));
            return Self { clear, ..Self::with(forms, None) };
        };
        let diverted = parts.contexts.iter().any(|c| leads_away(c, plan))
            || !parts.routing.is_empty()
            || parts.password.is_some();
        let dialled = plan.dial(&number);
        let number = Self::dialled(&number, forms, dialled, plan);
        Self { clear, emergency: number.emergency && !diverted, ..number }
    }

    /// Digits, and what the plan makes of them.
    fn dialled(number: &str, mut forms: Forms, dialled: Dialled, plan: &Plan<'_>) -> Self {
        let Dialled { steps, sent } = dialled;
        steps.iter().for_each(|s| forms.add(s));
        let result = steps.last().map_or(number, String::as_str);
        let emergency = plan.emergency.iter().any(|e| e == result);
        let rewritten = sent.filter(|s| *s != number).map(Into::into);
        Self { emergency, ..Self::with(forms, rewritten) }
    }

    fn with(forms: Forms, rewritten: Option<Box<str>>) -> Self {
        Self { forms: forms.end(), rewritten, clear: true, emergency: false }
    }

    /// The number of who calls: nobody dials it, so no outside line is taken off, and it is nowhere
    /// rewritten.
    #[must_use]
    pub fn calling(uri: &Uri, plan: &Plan<'_>) -> Self {
        let plan = Plan { outside_line: None, emergency: &[], ..*plan };
        Self { rewritten: None, ..Self::called(uri, &plan) }
    }

    /// A user whose name is known, as from a binding: by the plan, but with no escapes to undo.
    #[must_use]
    pub fn of_user(user: &str, plan: &Plan<'_>) -> Self {
        Self::calling(&Uri::sip(Some(&Uri::escape_user(user)), "x", None), plan)
    }

    /// Text that is its own and only form.
    #[must_use]
    pub fn plain(text: &str) -> Self {
        let clear = !is_strange(text);
        Self { forms: vec![text.into()], clear, ..Self::default() }
    }

    /// What allows and the default judge, and what records tell.
    #[must_use]
    pub fn result(&self) -> &str {
        self.forms.last().map_or("", |f| f)
    }

    /// All that a reader might take it for, the result included.
    pub fn forms(&self) -> impl Iterator<Item = &str> {
        self.forms.iter().map(|f| &**f)
    }

    /// What `[numbers]` puts in its place, not escaped; `None`: it goes out as it came.
    #[must_use]
    pub fn rewritten(&self) -> Option<&str> {
        self.rewritten.as_deref()
    }

    /// False: there are characters in it that no dial plan knows (controls, invisible ones, digits
    /// of other shapes), which one reader skips and another does not.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        self.clear
    }

    /// True for an emergency number (or service, RFC 5031) that no parameter leads elsewhere.
    #[must_use]
    pub fn is_emergency(&self) -> bool {
        self.emergency
    }
}

#[cfg(test)]
mod tests;
