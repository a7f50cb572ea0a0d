//! Answers that the wire refuses: to what they belong, and who is told of them. What becomes of the
//! request is `transactions`' matter.

use crate::audit::SecurityClass;
use crate::engine::outbox::Outbox;
use crate::engine::output::Level;
use crate::engine::proxy_client::is_asked;
use crate::engine::transactions::Transactions;
use crate::engine::upstreams::Upstreams;
use crate::engine::world::World;
use crate::ground::Flow;
use crate::wire::sip::Refusal;

/// Whether what was refused is an answer to a request of ours: then it is dealt with.
pub(in crate::engine) fn is_answer(
    w: &World,
    out: &mut Outbox,
    (transactions, upstreams): (&mut Transactions, &mut Upstreams),
    flow: Flow,
    refusal: &Refusal,
) -> bool {
    let Some(torn) = &refusal.answer else { return false };
    let read = (torn.as_ref(), refusal.phrase.as_ref());
    let known = &*upstreams;
    let asked = |asked: &Flow| is_asked(w, known, asked, &flow);
    let Some(method) = transactions.receive_torn(w, out, flow, read, asked) else { return false };
    out.count_rejected(w.side(flow.listener), refusal.reason);
    out.security(SecurityClass::Malformed, flow, refusal.phrase.to_string());
    let (status, peer, why) = (torn.status, flow.peer, &refusal.phrase);
    let who = upstreams.of_flow(w, &flow).and_then(|id| w.upstream_name(id));
    let who = who.map_or_else(|| peer.to_string(), |name| format!("upstream {name} ({peer})"));
    let comes = if status < 200 { "it counts as 100" } else { "who asked is told 502" };
    let text = format!("{who}: its {status} to {method} cannot be read ({why}): {comes}");
    out.notice_of(peer, Level::Warn, text);
    upstreams.heard(w, out, &flow);
    true
}
