//! Who a request from inside is. Where we are the registrar: the user whose flow it came by or whom
//! digest proved, never what From says alone. In front of an upstream that one authenticates.

use super::bindings::Proof;
use super::{Binding, Phones};
use crate::engine::analysis::Incoming;
use crate::engine::attempt::{Route, Sender};
use crate::engine::digest::{Check, Claim, Fault};
use crate::engine::world::World;
use crate::ground::{Flow, Side};
use crate::policy::quota::Source;
use crate::policy::{Action, Verdict};
use crate::wire::sip::{Aor, Method, Name, NameAddr, Uri};
use std::net::IpAddr;

impl Phones {
    /// The user whose flow a request came by: the line that From names, if the flow has it.
    /// `vouches` says of an upstream that it asks for credentials itself: then a phone may speak by
    /// another port or connection than it registered by, if its address has the line in From.
    pub(crate) fn sender(
        &self,
        w: &World,
        i: &Incoming,
        vouches: impl Fn(&str) -> bool,
    ) -> Option<Aor> {
        let alive = |b: &&Binding| b.expires > w.steady();
        let claimed = i.from.uri.user_decoded().unwrap_or_default();
        let domain = i.from.uri.host.as_str();
        let named = |b: &&Binding| b.aor.domain.eq_ignore_ascii_case(domain);
        let host = w.net().host(&i.flow);
        let proof = Proof::of(w.net(), &i.flow);
        let same = |b: &&Binding| {
            b.host == host
                && b.source == i.flow.peer
                && b.flow.transport == i.flow.transport
                && b.is_proved_by(proof)
        };
        // A phone with several lines sends all of them by one flow.
        let lines = || self.bindings.of_user(&claimed).filter(alive).filter(same);
        let line = lines().find(named).or_else(|| lines().next());
        let any = line.or_else(|| self.bindings.of_flow(w.net(), &i.flow).find(alive));
        let near = |b: &&Binding| b.host == host && !b.upstream.is_empty() && vouches(&b.upstream);
        let others = || self.bindings.of_user(&claimed).filter(alive).filter(near);
        let any = any.or_else(|| others().find(named)).or_else(|| others().next());
        any.map(|b| b.aor.clone())
    }

    /// The user that policy judges and the audit log names; `None`: what From says.
    pub(crate) fn proved_user<'a>(
        &self,
        w: &World,
        i: &Incoming,
        sender: &'a Sender,
    ) -> Option<&'a str> {
        let user = sender.user.as_ref().filter(|_| is_identified(w, i, sender));
        user.map(|aor| aor.user.as_str())
    }

    /// The user in From when it is none of those known at the sender's flow or, for a flow nobody
    /// registered by, at its address.
    pub(crate) fn false_from(
        &self,
        w: &World,
        i: &Incoming,
        sender: &Sender,
        (route, alone): (&Route, bool),
    ) -> Option<String> {
        // A ping of the gateway itself calls nobody.
        let ping = *route == Route::Gateway && i.is(&Method::Options);
        // While the upstream does not answer, nobody else looks at it either.
        let local = alone && matches!(route, Route::Bindings(_));
        if ping || !local && !is_identified(w, i, sender) {
            return None;
        }
        let claimed = claimed(&i.from)?;
        if let Some(user) = &sender.user {
            return (user.user != claimed).then_some(claimed);
        }
        self.user_at(w, &i.flow)?;
        let alive = |b: &&Binding| b.expires > w.steady();
        let mut theirs = self.bindings.of_user(&claimed).filter(alive);
        let host = w.net().host(&i.flow);
        let known = theirs.any(|b| b.host == host);
        (!known).then_some(claimed)
    }

    /// Whether the sender of a request within a dialog may take the name in its From: at our own
    /// registrar a phone's users are those that registered from its address.
    pub(crate) fn may_be_called(&self, w: &World, i: &Incoming) -> bool {
        if i.side == Side::Outside || !w.is_registrar() {
            return true;
        }
        let Some(claimed) = claimed(&i.from) else { return true };
        let alive = |b: &&Binding| b.expires > w.steady();
        let mut theirs = self.bindings.of_user(&claimed).filter(alive);
        let host = w.net().host(&i.flow);
        theirs.any(|b| b.host == host)
    }

    /// A user registered by this flow.
    pub(crate) fn user_of_flow(&self, w: &World, flow: &Flow) -> Option<&Aor> {
        let alive = |b: &&Binding| b.expires > w.steady();
        self.bindings.of_flow(w.net(), flow).find(alive).map(|b| &b.aor)
    }

    /// A user registered from the flow's address, by whatever port.
    pub(crate) fn user_at(&self, w: &World, flow: &Flow) -> Option<&str> {
        let alive = |b: &&Binding| b.expires > w.steady();
        self.bindings.of_host(w.net().host(flow)).find(alive).map(Binding::user)
    }

    /// Somebody is registered from this address, on whatever link.
    pub(crate) fn is_at(&self, w: &World, ip: IpAddr) -> bool {
        self.bindings.of_address(ip).any(|b| b.expires > w.steady())
    }

    /// The credentials of a request, compared with nothing.
    pub(crate) fn claim(&self, i: &Incoming, header: &Name) -> Claim {
        self.auth.claim(i.message.rows(header), Source::of(i.flow.peer.ip()))
    }

    /// Judges them, and whether they were made for this request (RFC 3261 §22.4).
    pub(crate) fn judge(&mut self, w: &World, i: &Incoming, claim: Claim) -> Check {
        match self.auth.judge(i.method().as_str(), claim, w.steady()) {
            Check::Proved { uri, .. } if !is_made_for(w, &uri, i) => Check::Wrong(Fault::Uri),
            check @ (Check::Proved { .. }
            | Check::Challenge { .. }
            | Check::Paused
            | Check::Wrong(_)) => check,
        }
    }

    /// Values of a challenge of who sent this, strongest first.
    pub(crate) fn challenge(&mut self, w: &World, i: &Incoming, stale: bool) -> Vec<String> {
        self.auth.challenge(w.steady(), stale, Source::of(i.flow.peer.ip()))
    }
}

/// We say who calls. A REGISTER proves itself, whoever else registered by its flow.
fn is_identified(w: &World, i: &Incoming, sender: &Sender) -> bool {
    sender.side == Side::Inside && w.is_registrar() && !i.is(&Method::Register)
}

/// The digest's `uri` means the Request-URI: the same user at the same host. A phone behind an
/// outbound proxy may write any name of ours; ports and parameters do not count.
fn is_made_for(w: &World, uri: &str, i: &Incoming) -> bool {
    if uri == i.message.uri() {
        return true;
    }
    let Some(theirs) = Uri::parse(uri.as_bytes()) else { return false };
    theirs.user_decoded() == i.uri.user_decoded()
        && (theirs.host.eq_ignore_ascii_case(&i.uri.host) || w.is_local_domain(&theirs))
}

/// Whether a false From is answered: an emergency call is put through whatever its From says, and
/// what a rule drops hears nothing.
pub(crate) fn tells_false_from(verdict: &Verdict) -> bool {
    match &verdict.action {
        Action::Allow(allow) => !allow.bypass_limits,
        Action::Deny { .. } => true,
        Action::Drop => false,
    }
}

/// The user that From claims to be, whatever the domain: a registrar of one site has one of each.
/// `None`: nobody, or RFC 3323's anonymous.
fn claimed(from: &NameAddr) -> Option<String> {
    let user = from.uri.user_decoded()?;
    (!user.eq_ignore_ascii_case("anonymous")).then_some(user)
}
