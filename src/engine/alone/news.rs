//! What waits for news: a request that was refused by who may serve nobody, a call for help that no
//! way leads from, a REGISTER that may try who is alone, what says where we stood. Whether an
//! upstream serves, it asks.

use super::refused::{may_wait, sign};
use super::{Within, asker};
use crate::engine::Engine;
use crate::engine::attempt::{Attempt, Route};
use crate::engine::calls::TunnelPath;
use crate::engine::ids::{ClientId, PassId, ServerId, UpstreamId};
use crate::engine::phones::Binding;
use crate::engine::purpose::Purpose;
use crate::engine::response::failed;
use crate::engine::upstreams::Asker;
use crate::ground::{Flow, Mono};
use crate::wire::sip::{Message, Method, Uri};

/// The engine, as far as that concerns.
pub(in crate::engine) struct News<'a>(&'a mut Engine);

impl<'a> News<'a> {
    pub(in crate::engine) fn of(engine: &'a mut Engine) -> Self {
        Self(engine)
    }

    /// An answer came to a request of this pass, or of our own. One that is refused may be led
    /// another way within seconds.
    pub(in crate::engine) fn answered(
        self,
        (flow, client): (&Flow, ClientId),
        pass: Option<PassId>,
        (method, status): (&Method, u16),
    ) {
        let Engine { world, transactions, phones, upstreams, .. } = self.0;
        let (w, phones) = (&*world, &*phones);
        let by = pass.map_or(Asker::Us, |pass| asker((w, &*transactions, phones), pass));
        let purpose = pass.and_then(|pass| transactions.pass(pass)).map(|p| p.purpose());
        let sign = sign(purpose, method, status);
        let waits = may_wait(sign, by, purpose);
        upstreams.answers(w, (flow, client), (status, sign), (by, phones.users()));
        if let Some(pass) = pass.filter(|_| waits && upstreams.is_in_question(w, flow)) {
            transactions.hold(w, pass, *flow);
        }
    }

    /// A request of this pass, sent then, has waited for long: whoever serves would have answered a
    /// REGISTER, or a call to a phone of its own, at once.
    pub(in crate::engine) fn vain(self, pass: PassId, sent: (&Flow, Mono)) {
        let Engine { world, transactions, phones, upstreams, .. } = self.0;
        let (w, transactions, phones) = (&*world, &*transactions, &*phones);
        let Some(p) = transactions.pass(pass) else { return };
        let request = transactions.server(p.server()).map(|t| t.request());
        let uri = request.and_then(|request| Uri::parse(request.uri().as_bytes()));
        let callee = uri.and_then(|uri| uri.user).unwrap_or_default();
        let granted = |b: &Binding| !b.upstream.is_empty();
        let counts = match p.purpose() {
            Purpose::Register(_) => true,
            Purpose::Invite { .. } => !phones.of_user(w, &callee, &granted).is_empty(),
            Purpose::Subscribe { .. } | Purpose::InDialog(_) | Purpose::Other => false,
        };
        if counts {
            let by = asker((w, transactions, phones), pass);
            upstreams.unserved(w, sent, (by, phones.users()));
        }
    }

    /// How a tunnel is now: calls' records tell it, and who is reached by it may have to wait.
    pub(in crate::engine) fn tunnel_is(self, path: TunnelPath) {
        let Engine { world, calls, upstreams, .. } = self.0;
        upstreams.tunnel_is(world, &path);
        calls.tunnel_is(path);
    }

    /// Nothing can be sent this way.
    pub(in crate::engine) fn transport_failed(self, flow: &Flow) {
        let Engine { world: w, out, phones, transactions, upstreams, .. } = self.0;
        failed(w, out, (phones, transactions), flow);
        upstreams.failed(w, out, flow);
        upstreams.renew(w, flow, false);
    }

    /// A request of our own was answered, or never will be: what waited for that goes on.
    pub(in crate::engine) fn own(self, client: ClientId, response: Option<&Message>) {
        let Engine { world, out, transactions, upstreams, .. } = self.0;
        let w = &*world;
        response.into_iter().for_each(|response| upstreams.saw(w, out, client, response));
        if let Some(gone) = upstreams.probed(w, out, client, response) {
            transactions.gone(w, out, &gone);
        }
        if response.is_some() {
            let upstreams = &*upstreams;
            transactions.release(w, out, |flow| !upstreams.is_in_question(w, flow));
        }
    }

    /// A request within a dialog waits for who is not there: it is answered in his place, and what
    /// a BYE ended here has ended for the other phone of a call that ran through him, too.
    pub(in crate::engine) fn leave(self, pass: PassId) {
        for (no, by) in Within::of(self.0).leave(pass) {
            self.0.hang_up(no, by);
        }
    }

    /// We stand elsewhere than a request says that nobody has heard: another is sent in its place.
    pub(in crate::engine) fn write_anew(self, pass: PassId) {
        if let Some(attempt) = self.0.again(pass) {
            self.0.replace(pass, &attempt);
        }
    }

    /// Whoever calls for help while nothing leads out of the site: there may be a way now.
    pub(in crate::engine) fn find_ways(self) {
        for pass in self.0.transactions.shelved() {
            let Some(attempt) = self.0.again(pass) else { continue };
            if !is_stranded(self.0, &attempt) {
                self.0.replace(pass, &attempt);
            }
        }
    }

    /// There was none for as long as anybody waits.
    pub(in crate::engine) fn strand(self, pass: PassId) {
        let Some(attempt) = self.0.again(pass) else { return };
        let (w, out) = (&self.0.world, &mut self.0.out);
        let Some(server) = self.0.transactions.take_back(w, out, pass) else { return };
        self.0.go_on(&attempt, server, &attempt.allow().unwrap_or_default());
    }

    /// It waits for a way; false: it does not have to.
    pub(in crate::engine) fn shelve(self, a: &Attempt, server: ServerId) -> bool {
        let stranded = is_stranded(self.0, a);
        if stranded {
            self.0.transactions.shelve(&self.0.world, server, a.incoming.flow);
        }
        stranded
    }

    /// A REGISTER is tried at who is alone: what a phone sends that is known, where any is.
    pub(in crate::engine) fn tries(self, a: &Attempt, id: UpstreamId) -> bool {
        let Engine { world, phones, upstreams, .. } = self.0;
        let (w, phones) = (&*world, &*phones);
        let flow = &a.incoming.flow;
        let (user, users) = (phones.user_of_flow(w, flow), phones.users());
        let known = user.is_some() || users == 0;
        known && upstreams.takes_trial(w, id, (user, flow.peer.ip()), users)
    }
}

/// A call for help that nothing leads out by: its interface has no address.
fn is_stranded(engine: &Engine, a: &Attempt) -> bool {
    match &a.route {
        Route::Upstream(id) => a.is_emergency() && engine.upstreams.is_away(&engine.world, *id),
        Route::Bindings(_) | Route::Gateway | Route::Unknown => false,
    }
}
