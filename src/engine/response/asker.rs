//! Who asked may have moved before he is answered: his answers follow him, and what he is asked
//! goes where he is when his connection is gone. It reads no answer.

use crate::engine::calls::Calls;
use crate::engine::ids::PassId;
use crate::engine::outbox::Outbox;
use crate::engine::phones::Phones;
use crate::engine::purpose::Purpose;
use crate::engine::transactions::Transactions;
use crate::engine::world::World;
use crate::ground::{ConnId, Flow, Leg};

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
        // The connection that it came by is there still, and the one that he registered by is not.
        let rides = transactions.server(server).is_some_and(|t| t.reply().conn.is_some());
        if !(rides && now.is_cut_off(w)) {
            transactions.answer_to(server, now.flow());
        }
    }
}

/// The parts that ask somebody by a connection.
type Asking<'a> = (&'a mut Phones, &'a mut Transactions);

/// A connection is gone: what waits for a phone that has come again by another follows it, all else
/// goes the way that is left.
pub(in crate::engine) fn lost(w: &World, out: &mut Outbox, parts: Asking<'_>, conn: ConnId) {
    let (phones, transactions) = parts;
    lead((w, out), (phones, transactions), conn);
    transactions.connection_closed(w, out, conn);
}

/// Nothing can be sent by this flow: with a connection that is there no more, the same.
pub(in crate::engine) fn failed(w: &World, out: &mut Outbox, parts: Asking<'_>, flow: &Flow) {
    let (phones, transactions) = parts;
    if let Some(conn) = flow.conn {
        lead((w, out), (phones, transactions), conn);
    }
    transactions.transport_failed(w, out, flow);
}

fn lead((w, out): (&World, &mut Outbox), (phones, transactions): Asking<'_>, conn: ConnId) {
    phones.connection_closed(w, out, conn);
    for m in phones.take_moves(w) {
        transactions.moved(out, &m.old, m.new, &m.contact);
    }
}
