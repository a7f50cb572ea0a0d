//! Facts of a request outside a dialog, and what policy says of them. Judging changes nothing: no
//! message, no counter; whoever acts on a verdict counts it.

use super::Incoming;
use crate::engine::attempt::{Parties, Route, Sender};
use crate::engine::phones::Phones;
use crate::engine::upstreams::Upstreams;
use crate::engine::world::World;
use crate::policy::number::Plan;
use crate::policy::{Facts, Number, Target, Verdict, number};
use crate::wire::sip::{Name, Uri};

/// Normalises the parties once; what is judged here is what goes out. Who is proved stands for
/// From, whatever a phone writes there.
pub(crate) fn parties(w: &World, phones: &Phones, i: &Incoming, sender: &Sender) -> Parties {
    let numbers = &w.config().numbers;
    let user =
        |uri: &Uri| uri.user.as_deref().map(|u| number::normalise(u, numbers)).unwrap_or_default();
    // A sealed contact is the gateway's own word; the number called stands in To.
    let sealed = i.uri.user.as_deref().and_then(|u| phones.binding(u));
    let to = match sealed {
        Some(b) => b.user().to_owned(),
        None => user(&i.uri),
    };
    let from = match phones.proved_user(w, i, sender) {
        Some(proved) => number::normalise(proved, numbers),
        None => user(&i.from.uri),
    };
    Parties { from, to, domain: i.uri.host.to_ascii_lowercase() }
}

/// Asks policy.
pub(crate) fn judge(
    w: &World,
    upstreams: &Upstreams,
    i: &Incoming,
    sender: &Sender,
    parties: &Parties,
    route: &Route,
) -> Verdict {
    let (target, upstream) = match route {
        Route::Upstream(id) => (Target::Upstream, Some(*id)),
        Route::Bindings(_) => (Target::Binding, sender.upstream),
        Route::Gateway => (Target::Gateway, sender.upstream),
        Route::Unknown => (Target::Unknown, sender.upstream),
    };
    let plan = Plan { emergency: &w.config().policy.emergency, ..Plan::default() };
    let to = Uri::sip(Some(&Uri::escape_user(&parties.to)), "x", None);
    let (from, to) = (Number::plain(&parties.from), Number::called(&to, &plan));
    let facts = Facts {
        side: sender.side,
        method: i.method().as_str(),
        source: i.flow.peer.ip(),
        user: sender.user.as_deref(),
        from: &from,
        to: &to,
        domain: &parties.domain,
        upstream: upstream.and_then(|id| upstreams.name(id)),
        user_agent: i.message.text(&Name::UserAgent).unwrap_or_default(),
        target,
    };
    w.rules().evaluate(&facts, w.wall())
}
