//! Rules: facts in, verdict out. Pure; it never looks anything up and never changes a message.

mod compile;
mod defaults;
mod matching;
pub mod number;
pub mod quota;
mod selftest;
mod subjects;

pub use compile::RuleSet;
pub use number::Number;
pub(crate) use subjects::Subjects;

use crate::config::{Allow, ServingFact};
use crate::ground::{Side, Subject};
use crate::wire::sip::Aor;
use std::net::IpAddr;
use std::sync::Arc;

/// What is known of a request outside a dialog.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// Where it came from.
    pub side: Side,
    /// Name of the interface.
    pub interface: &'a str,
    /// Method token.
    pub method: &'a str,
    /// Source address.
    pub source: IpAddr,
    /// User of the binding it came by (or that digest proved), with the domain: another upstream
    /// may have one of the same name. `None`: not registered.
    pub user: Option<&'a Aor>,
    /// Who calls.
    pub from: &'a Number,
    /// Who is called.
    pub to: &'a Number,
    /// Request-URI host, lower case.
    pub domain: &'a str,
    /// Upstream it came from or would go to.
    pub upstream: Option<&'a str>,
    /// Names that the client certificate of the TLS connection it came by proved; empty: none.
    pub tls_subjects: &'a [Subject],
    /// Whether the upstream that it would go to serves.
    pub serving: ServingFact,
    /// User-Agent value.
    pub user_agent: &'a str,
    /// What the gateway would do with it.
    pub target: Target,
    /// It makes a phone act without who sits before it, and `policy.remote_control` does not grant
    /// that to who sends it: only a rule that names the method allows it.
    pub commands: bool,
}

impl Facts<'_> {
    /// A call from inside to an emergency number, which any phone of the site may make, registered
    /// or not.
    #[must_use]
    pub fn is_emergency(&self) -> bool {
        self.side == Side::Inside && self.method == "INVITE" && self.to.is_emergency()
    }
}

/// Where a request would go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// To an upstream.
    Upstream,
    /// To a registered phone.
    Binding,
    /// It is for the gateway (REGISTER with a local registrar, OPTIONS).
    Gateway,
    /// Nobody known.
    Unknown,
}

/// What policy says, always with the rule's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Name of the rule (or `default:…`), for records and metrics.
    pub rule: Arc<str>,
    /// What to do.
    pub action: Action,
}

/// The action of a verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Pass with these options.
    Allow(Arc<Allow>),
    /// Answer.
    Deny {
        /// Status code.
        code: u16,
        /// Reason phrase.
        reason: Arc<str>,
    },
    /// Silence.
    Drop,
}

#[cfg(test)]
mod tests;
