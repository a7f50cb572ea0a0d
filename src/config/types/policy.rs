//! What policy is made from: numbers, rules, their tests. Checked, not yet compiled.

use crate::config::Diagnostic;
use crate::ground::{Side, words};
use ipnet::IpNet;

/// The site's dial plan: what a dialled number means, and what goes out in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// Prefix for an outside line, taken off (`"0"` or `"9"`).
    pub outside_line: Option<String>,
    /// Prefixes of international calls, each read as a plus; without the key `"00"`, and `"011"` too
    /// where `country` is `"+1"`.
    pub international_prefixes: Vec<String>,
    /// National prefix (`"0"`) replaced by `country`.
    pub national_prefix: Option<String>,
    /// Country code with plus (`"+49"`).
    pub country: Option<String>,
}

impl Default for Numbers {
    fn default() -> Self {
        let (outside_line, national_prefix, country) = (None, None, None);
        let international_prefixes = vec!["00".to_owned()];
        Self { outside_line, international_prefixes, national_prefix, country }
    }
}

/// Default policy behind the file's own rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultPolicy {
    /// Emergency numbers; registered phones to the upstream and to each other; the upstream to
    /// bindings; nothing else.
    Site,
    /// Nothing.
    Deny,
    /// Everything that the gateway can route (laboratories).
    Allow,
}

/// What becomes of a body outwards whose type the gateway does not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownBodies {
    /// Text and XML pass with what names the inside overwritten; anything else passes when no
    /// inside address stands in it as text.
    Scrub,
    /// 415, unless a rule's `bodies` names the type.
    Refuse,
}

/// Who may make phones act without who sits before them, besides who a rule names: by a NOTIFY that
/// nobody subscribed to (`check-sync`, `talk`), by headers that make them answer by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoteControl {
    /// The trusted upstream that granted the phone's registration, in its own words: one Via.
    Registrar,
    /// The same, and whatever it forwards for others.
    Forwarded,
    /// Nobody.
    Refuse,
}

/// Rules as written and checked; `policy::RuleSet` compiles them.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// What stands behind the rules.
    pub default: DefaultPolicy,
    /// Numbers that `site` always lets through to the upstream.
    pub emergency: Vec<String>,
    /// `emergency.target`: the user of this site who gets them where no upstream takes them.
    pub emergency_target: Option<String>,
    /// `emergency.upstream`: the upstream that gets them next where the usual one does not.
    pub emergency_upstream: Option<String>,
    /// Bodies outwards of a type that the gateway does not read.
    pub unknown_bodies: UnknownBodies,
    /// Who may command phones.
    pub remote_control: RemoteControl,
    /// First match wins.
    pub rules: Vec<Rule>,
    /// Run at every load.
    pub tests: Vec<RuleTest>,
}

words! {
    /// Whether an upstream serves, for a rule to ask.
    pub enum ServingFact {
        /// It serves.
        Upstream = "upstream",
        /// Nothing comes from it: the site is alone.
        Alone = "alone",
    }
}

/// `[[rule]]`. An absent condition matches everything; patterns may end in `*` (or begin with it).
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Unique name: in audit, metrics, answers to "why".
    pub name: String,
    /// Side the request comes from.
    pub side: Option<Side>,
    /// Interfaces that it came by; empty: any.
    pub interface: Vec<String>,
    /// Methods.
    pub method: Vec<String>,
    /// Source networks.
    pub source: Vec<IpNet>,
    /// Registered user whose binding the request came by (patterns; `*`: any registered).
    pub user: Vec<String>,
    /// Caller's number or user: a deny matches in any form, an allow what the number means.
    pub from: Vec<String>,
    /// Called number or user, likewise (`number` is an alias).
    pub to: Vec<String>,
    /// Request-URI host.
    pub domain: Vec<String>,
    /// Upstream it would go to or came from.
    pub upstream: Vec<String>,
    /// Names that a TLS client certificate proved (patterns): DNS names, or URIs where a pattern
    /// has a colon or an `@`; the common name, as a DNS name, only of who has no other.
    pub tls_subject: Vec<String>,
    /// User-Agent patterns.
    pub user_agent: Vec<String>,
    /// Whether the upstream that it would go to serves, or the site is alone.
    pub serving: Option<ServingFact>,
    /// Minutes of the day `[from, to)`, site time; may wrap midnight.
    pub hours: Option<(u16, u16)>,
    /// Days of the week, Monday = 0; empty: all.
    pub days: Vec<u8>,
    /// What then.
    pub action: RuleAction,
}

/// A rule's action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleAction {
    /// Let pass.
    Allow(Allow),
    /// Refuse with an answer.
    Deny {
        /// 400–699.
        code: u16,
        /// Reason phrase.
        reason: Option<String>,
    },
    /// Say nothing.
    Drop,
}

/// Options of `allow`.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Allow {
    /// Send to this upstream (name) instead of the one domain and number choose.
    pub upstream: Option<String>,
    /// Header names to strip (`X-*` patterns).
    pub strip: Vec<String>,
    /// Headers of the default strip list to keep (patterns).
    pub keep: Vec<String>,
    /// Send the number as dialled, not as `[numbers]` has it.
    pub keep_number: bool,
    /// Body types allowed besides the known ones.
    pub bodies: Vec<String>,
    /// Exempt from call caps.
    pub bypass_limits: bool,
}

/// `[[rule_test]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleTest {
    /// Facts by name: side, interface, method, source, user, from, to, number, domain, upstream,
    /// tls_subject, user_agent, time.
    pub event: Vec<(String, String)>,
    /// `allow: NAME` or `deny: NAME`.
    pub expect: String,
    /// What is told when the rules say otherwise: the place of `expect`.
    pub fault: Diagnostic,
}
