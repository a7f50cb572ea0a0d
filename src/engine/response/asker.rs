//! Who asked may have moved before he is answered: his answers follow him. It reads no answer.

use crate::engine::calls::Calls;
use crate::engine::ids::PassId;
use crate::engine::phones::Phones;
use crate::engine::purpose::Purpose;
use crate::engine::transactions::Transactions;
use crate::engine::world::World;
use crate::ground::Leg;

/// Answers go where the asker has registered anew meanwhile.
pub(in crate::engine) fn follow_asker(
    w: &World,
    calls: &Calls,
    phones: &Phones,
    transactions: &mut Transactions,
    pass: PassId,
) {
    let Some(p) = transactions.pass(pass) else { return };
    let leg = match p.purpose() {
        Purpose::Invite { call, .. } | Purpose::Subscribe { call, .. } => {
            calls.get(*call).map(|c| &c.caller)
        }
        Purpose::InDialog(d) => calls.get(d.call).and_then(|c| match d.leg {
            Leg::Caller => Some(&c.caller),
            Leg::Callee => c.fork(&d.tag).map(|f| &f.callee),
        }),
        Purpose::Register(_) | Purpose::Other => None,
    };
    let home = leg.and_then(|leg| leg.home.as_ref());
    if let Some(now) = home.and_then(|home| phones.moved(w, home)) {
        let server = p.server();
        transactions.answer_to(server, now.flow());
    }
}
