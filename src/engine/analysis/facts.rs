//! Facts of a request outside a dialog, and what policy says of them. Judging changes nothing: no
//! message, no counter; whoever acts on a verdict counts it.

use super::Incoming;
use super::lists::names_many;
use crate::config::ServingFact;
use crate::engine::attempt::{Attempt, Parties, Route, Sender};
use crate::engine::ids::UpstreamId;
use crate::engine::phones::Phones;
use crate::engine::world::World;
use crate::ground::Side;
use crate::policy::number::Plan;
use crate::policy::{Action, Facts, Number, Target, Verdict};
use crate::wire::sip::{Method, Name, Uri};

/// Octets of a first line in which an emergency number is looked for: a longer URI is refused.
const LONGEST_URI: usize = 2_048;

/// Reads the parties' numbers once. Judging changes nothing of what goes out. Who is proved stands
/// for From, whatever a phone writes there.
pub(crate) fn parties(w: &World, phones: &Phones, i: &Incoming, sender: &Sender) -> Parties {
    let site = Plan::from(w.config());
    // An outside line is dialled by phones.
    let plan = match sender.side {
        Side::Inside => site,
        Side::Outside => Plan { outside_line: None, ..site },
    };
    // A sealed contact is the gateway's own word; the number called stands in To.
    let sealed = i.uri.user.as_deref().and_then(|u| phones.binding(u));
    let to = match sealed {
        Some(b) => Number::of_user(b.user(), &plan),
        None => Number::called(&i.uri, &plan),
    };
    let from = match phones.proved_user(w, i, sender) {
        Some(proved) => Number::of_user(proved, &plan),
        None => Number::calling(&i.from.uri, &plan),
    };
    Parties { from, to, domain: i.uri.host.to_ascii_lowercase() }
}

/// A call to an emergency number, as far as the request alone says.
pub(crate) fn is_urgent(w: &World, i: &Incoming) -> bool {
    i.side == Side::Inside
        && i.is(&Method::Invite)
        && Number::called(&i.uri, &Plan::from(w.config())).is_emergency()
}

/// The same of octets that nobody has read yet, by their first line.
pub(crate) fn begins_urgent(w: &World, bytes: &[u8]) -> bool {
    let Some(rest) = bytes.trim_ascii_start().strip_prefix(b"INVITE ") else { return false };
    let line = rest.get(..LONGEST_URI.min(rest.len())).unwrap_or_default();
    let uri = line.split(|b| *b == b' ').next().and_then(Uri::parse);
    uri.is_some_and(|uri| Number::called(&uri, &Plan::from(w.config())).is_emergency())
}

/// Asks policy. `commands`: the request commands phones; `alone`: its upstream does not answer.
pub(crate) fn judge(
    w: &World,
    i: &Incoming,
    sender: &Sender,
    parties: &Parties,
    route: &Route,
    (commands, alone): (bool, bool),
) -> Verdict {
    let (target, upstream) = destination(route, sender.upstream);
    let facts = Facts {
        side: sender.side,
        interface: w.net().interface_name(i.flow.listener),
        method: i.method().as_str(),
        source: i.flow.peer.ip(),
        user: sender.user.as_ref(),
        from: &parties.from,
        to: &parties.to,
        domain: &parties.domain,
        upstream: upstream.and_then(|id| w.upstream_name(id)),
        tls_subjects: &sender.subjects,
        serving: if alone { ServingFact::Alone } else { ServingFact::Upstream },
        user_agent: i.message.text(&Name::UserAgent).unwrap_or_default(),
        target,
        commands,
    };
    w.rules().evaluate(&facts, w.wall())
}

/// Where a route leads, and the upstream that a request by it goes to or came `from`.
pub(crate) fn destination(route: &Route, from: Option<UpstreamId>) -> (Target, Option<UpstreamId>) {
    match route {
        Route::Upstream(id) => (Target::Upstream, Some(*id)),
        Route::Bindings(_) => (Target::Binding, from),
        Route::Gateway => (Target::Gateway, from),
        Route::Unknown => (Target::Unknown, from),
    }
}

/// Why no rule that is made for numbers can judge a request: one reader takes its number for
/// another than the next does, or it brings a list of numbers. What a rule drops hears nothing of
/// it.
pub(crate) fn cannot_be_judged(w: &World, a: &Attempt) -> Option<&'static str> {
    let dropped = matches!(a.verdict.action, Action::Drop);
    if dropped || !w.rules().judges_numbers() {
        return None;
    }
    if !a.parties.to.is_clear() {
        return Some("Broken Request-URI");
    }
    names_many(&a.incoming.message).then_some("Number Cannot Be Judged")
}
