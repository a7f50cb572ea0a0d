//! Requests outside a dialog: admitted by a face, judged, then sent on. Transactions begin after
//! admission and a verdict; everyone else gets one stateless answer.

use super::analysis::headers::{self, Crossing};
use super::analysis::judge::Parties;
use super::dialog::{Call, Kind as DialogKind, LegState, State};
use super::identity::tells_false_from;
use super::media::Speaker;
use super::pass::Kind;
use super::proxy_server::{Route, Sender};
use super::transaction::ServerKey;
use super::{Engine, digest::Check, digest::refusal};
use crate::audit::Record;
use crate::config::Allow;
use crate::ground::{Flow, Side};
use crate::policy::{Action, Verdict};
use crate::relay::Leg;
use crate::wire::sip::{Message, Method, Name, NameAddr, RejectReason, Scheme, Uri};
use std::sync::Arc;

/// Everything known of a request that may pass.
pub(crate) struct Admitted {
    pub(crate) request: Message,
    pub(crate) flow: Flow,
    pub(crate) sender: Sender,
    pub(crate) parties: Parties,
    pub(crate) route: Route,
    pub(crate) allow: Arc<Allow>,
    pub(crate) rule: Arc<str>,
    pub(crate) server: u64,
}

impl Engine {
    /// A request outside a dialog.
    pub(crate) fn outside_dialog(
        &mut self,
        key: ServerKey,
        request: Message,
        flow: Flow,
        reply: Flow,
    ) {
        let mut sender = match self.net.side(flow.listener) {
            Side::Inside => self.admit_inside(&request, &flow),
            Side::Outside => self.admit_outside(&flow),
        };
        // A Route from outside steers nobody; ours was popped with the dialog it belongs to.
        if sender.side == Side::Outside && self.names_foreign_route(&request) {
            self.count_rejected(flow, RejectReason::Source);
            self.refuse(&request, reply, 403, "Route Not Allowed", None);
            return;
        }
        let mut parties = self.parties(&request, &sender);
        let mut route = self.route(&request, &sender, &parties.to);
        let mut verdict = self.judge(&request, &flow, &sender, &parties, &route);
        let mut borrowed = self.false_from(&request, &flow, &sender, &route);
        if self.may_prove(&sender, &request, &verdict, borrowed.is_some()) {
            let Some(user) = self.prove(&request, flow, reply) else { return };
            sender.user = Some(user);
            parties = self.parties(&request, &sender);
            borrowed = self.false_from(&request, &flow, &sender, &route);
            verdict = self.judge(&request, &flow, &sender, &parties, &route);
        }
        if let Some(claimed) = borrowed.filter(|_| tells_false_from(&verdict)) {
            self.refuse_false_from(key, request, flow, reply, &sender, &claimed);
            return;
        }
        let allow = match &verdict.action {
            Action::Allow(allow) => allow.clone(),
            Action::Deny { code, reason } => {
                let (code, reason) = (*code, reason.clone());
                self.deny(key, request, flow, reply, &sender, &parties, &verdict, code, &reason);
                return;
            }
            Action::Drop => {
                self.attempt(&request, &flow, &sender, &parties, &verdict, &route, 0);
                self.record_verdict(&request, &flow, &sender, &parties, &verdict);
                return;
            }
        };
        if let Some(named) = allow.upstream.as_deref().and_then(|n| self.upstream_named(n))
            && !matches!(route, Route::Bindings(_) | Route::Gateway)
        {
            route = Route::Upstream(named);
        }
        if *request.method() == Method::Register && self.is_local_registrar() {
            self.register_local(key, request, flow, reply);
            return;
        }
        if let Some((status, phrase)) = self.over_limit(&request, &sender, &allow, &flow) {
            let retry = (status == 503).then(|| (Name::RetryAfter, "10".to_owned()));
            self.refuse(&request, reply, status, phrase, retry);
            self.call_refused(&request, &sender, &route, &parties, &flow, &verdict, status);
            return;
        }
        if route == Route::Gateway && *request.method() == Method::Options && sender.is_stranger() {
            self.answer_ping(&request, reply);
            return;
        }
        let rule = verdict.rule.clone();
        let server = self.accept(key, request.clone(), reply);
        let admitted = Admitted { request, flow, sender, parties, route, allow, rule, server };
        self.dispatch(admitted);
    }

    fn dispatch(&mut self, a: Admitted) {
        match (&a.route, a.request.method()) {
            (Route::Gateway, Method::Options) => self.answer_options(a.server, &a.request),
            (Route::Gateway, Method::Publish | Method::Notify)
                if a.sender.side == Side::Inside && self.is_collected(&a.request) =>
            {
                self.collect(&a);
            }
            (Route::Gateway | Route::Unknown, _) => self.answer_unknown(&a),
            (Route::Upstream(_), Method::Register) => self.register_upstream(a),
            (Route::Upstream(_) | Route::Bindings(_), Method::Invite) => self.invite(a),
            (Route::Upstream(_) | Route::Bindings(_), Method::Subscribe | Method::Refer) => {
                self.subscribe(a);
            }
            (Route::Upstream(_) | Route::Bindings(_), _) => self.plain(a),
        }
    }

    fn names_foreign_route(&self, request: &Message) -> bool {
        let mut routes = request.list(&Name::Route);
        routes.any(|v| NameAddr::parse(v).is_none_or(|n| !self.net.names_us(&n.uri)))
    }

    fn may_prove(
        &self,
        sender: &Sender,
        request: &Message,
        verdict: &Verdict,
        borrowed: bool,
    ) -> bool {
        let registrar = &self.snap.config.registrar;
        let wanted = match &verdict.action {
            // Policy lets everybody inside speak to us; a report is taken from phones that are
            // known, and another's number must be proved.
            Action::Allow(_) => self.is_collected(request) || borrowed && tells_false_from(verdict),
            Action::Deny { .. } | Action::Drop => true,
        };
        wanted
            && sender.side == Side::Inside
            && sender.user.is_none()
            && *request.method() != Method::Register
            && self.is_local_registrar()
            && registrar.digest
    }

    /// Whom the credentials prove; without proof it is answered here.
    fn prove(&mut self, request: &Message, flow: Flow, reply: Flow) -> Option<String> {
        match self.authenticate(request, &Name::ProxyAuthorization) {
            Check::Proved { user, .. } => return Some(user),
            Check::Challenge { stale } => self.challenge(request, reply, stale),
            Check::Wrong(why) => {
                self.security("bad_password", flow, why.to_owned());
                let (status, phrase) = refusal(why);
                self.refuse(request, reply, status, phrase, None);
            }
        }
        None
    }

    fn challenge(&mut self, request: &Message, reply: Flow, stale: bool) {
        let rows = self.auth.challenge(self.now.wall, stale);
        let extra = rows.into_iter().map(|v| (Name::ProxyAuthenticate, v)).collect();
        self.answer_challenge(request, reply, 407, "Proxy Authentication Required", extra);
    }

    /// A challenge, shortened to one algorithm when both would amplify.
    pub(crate) fn answer_challenge(
        &mut self,
        request: &Message,
        reply: Flow,
        status: u16,
        phrase: &str,
        mut extra: Vec<(Name, String)>,
    ) {
        let agent = request.text(&Name::UserAgent).unwrap_or_default();
        if super::digest::knows_md5_only(agent) {
            extra.retain(|(_, value)| value.contains("MD5"));
        }
        let room = request.to_bytes().len() * 3 / 2;
        let base = Message::response(request, status, phrase).to_bytes().len() + 30;
        let size = |rows: &[(Name, String)]| rows.iter().map(|r| r.1.len() + 22).sum::<usize>();
        // MD5 is last: what every phone understands is what stays.
        while extra.len() > 1 && base + size(&extra) > room {
            extra.remove(0);
        }
        self.answer_stateless(request, reply, status, phrase, extra);
    }

    #[expect(clippy::too_many_arguments, reason = "everything a record needs")]
    fn deny(
        &mut self,
        key: ServerKey,
        request: Message,
        flow: Flow,
        reply: Flow,
        sender: &Sender,
        parties: &Parties,
        verdict: &Verdict,
        code: u16,
        reason: &str,
    ) {
        if *request.method() == Method::Invite {
            self.next_call += 1;
            let no = self.next_call;
            self.attempt(&request, &flow, sender, parties, verdict, &Route::Unknown, no);
            let direction = direction(sender, &Route::Unknown);
            self.count_outcome(direction, "denied");
        } else {
            self.record_verdict(&request, &flow, sender, parties, verdict);
        }
        // Known senders get a transaction, so that the answer survives loss; strangers one answer.
        if sender.user.is_some() || sender.upstream.is_some() {
            let mut response = Message::response(&request, code, reason);
            self.tag_response(&mut response);
            let server = self.accept(key, request, reply);
            self.respond(server, &response);
        } else {
            self.refuse(&request, reply, code, reason, None);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "everything a record needs")]
    fn attempt(
        &mut self,
        request: &Message,
        flow: &Flow,
        sender: &Sender,
        parties: &Parties,
        verdict: &Verdict,
        route: &Route,
        call: u64,
    ) {
        if *request.method() != Method::Invite {
            return;
        }
        let word = match verdict.action {
            Action::Allow(_) => "allow",
            Action::Deny { .. } => "deny",
            Action::Drop => "drop",
        };
        self.record(Record::CallAttempt {
            call,
            call_id: request.call_id().to_owned(),
            side: sender.side,
            source: flow.peer,
            from: parties.from.clone(),
            to: parties.to.clone(),
            rule: verdict.rule.to_string(),
            verdict: word,
            target: self.target_name(route),
            stranger: word != "allow" && sender.is_stranger(),
        });
    }

    fn target_name(&self, route: &Route) -> String {
        match route {
            Route::Upstream(i) => self.upstream(*i).map(|u| u.name.clone()).unwrap_or_default(),
            Route::Bindings(_) => "phone".to_owned(),
            Route::Gateway => "gateway".to_owned(),
            Route::Unknown => String::new(),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "everything a record needs")]
    fn call_refused(
        &mut self,
        request: &Message,
        sender: &Sender,
        route: &Route,
        parties: &Parties,
        flow: &Flow,
        verdict: &Verdict,
        status: u16,
    ) {
        if *request.method() != Method::Invite {
            return;
        }
        self.next_call += 1;
        let no = self.next_call;
        self.attempt(request, flow, sender, parties, verdict, route, no);
        let outcome = if status == 503 { "no_capacity" } else { "rejected" };
        self.count_outcome(direction(sender, route), outcome);
        let mut end = super::ending::unanswered(no, request.call_id(), parties, status);
        end.outcome = outcome;
        self.record(Record::CallEnd(end));
    }

    /// The caps (README "Limits"): the total answers 503, a user's own 486.
    fn over_limit(
        &self,
        request: &Message,
        sender: &Sender,
        allow: &Allow,
        flow: &Flow,
    ) -> Option<(u16, &'static str)> {
        let limits = &self.snap.config.limits;
        let exempt = sender.upstream.is_some();
        if self.tx.len() >= limits.transactions
            || !exempt && self.tx.of_source(flow.peer.ip()) >= limits.transactions_per_source
        {
            return Some((503, "Too Many Transactions"));
        }
        if *request.method() == Method::Subscribe && self.dialogs.len() >= limits.dialogs {
            return Some((503, "Too Many Dialogs"));
        }
        if *request.method() != Method::Invite || allow.bypass_limits {
            return None;
        }
        if self.draining {
            return Some((503, "Shutting Down"));
        }
        if self.audit_full {
            return Some((503, "Audit Log Full"));
        }
        if self.active_calls() >= limits.calls || self.dialogs.len() >= limits.dialogs {
            return Some((503, "Too Many Calls"));
        }
        let own = sender.user.as_deref().map_or(0, |u| self.dialogs.calls_of(u));
        (own >= limits.calls_per_user).then_some((486, "Too Many Calls Of This User"))
    }

    fn answer_options(&mut self, server: u64, request: &Message) {
        let mut ok = Message::response(request, 200, "OK");
        self.tag_response(&mut ok);
        ok.push_back(Name::Allow, super::analysis::ALLOW);
        ok.push_back(Name::Accept, "application/sdp");
        self.respond(server, &ok);
    }

    /// OPTIONS for us from nobody we know: answered without a transaction, so that a flood of them
    /// takes no place from calls; shortened before it would amplify.
    fn answer_ping(&mut self, request: &Message, reply: Flow) {
        let extra = vec![
            (Name::Allow, super::analysis::ALLOW.to_owned()),
            (Name::Accept, "application/sdp".to_owned()),
        ];
        let size: usize = extra.iter().map(|(_, value)| value.len() + 12).sum();
        let base = Message::response(request, 200, "OK").to_bytes().len() + 30;
        let fits = (base + size) * 2 <= request.to_bytes().len() * 3;
        self.answer_stateless(request, reply, 200, "OK", if fits { extra } else { Vec::new() });
    }

    fn answer_unknown(&mut self, a: &Admitted) {
        let (status, phrase) = match (&a.route, a.request.method()) {
            (Route::Gateway, _) => (405, "Method Not Allowed"),
            (_, Method::Register) => (403, "No Registrar Here"),
            (_, _) if a.sender.side == Side::Inside && self.snap.config.is_site() => {
                (404, "Not Registered Here")
            }
            (_, _) => (404, "Not Found"),
        };
        let mut response = Message::response(&a.request, status, phrase);
        self.tag_response(&mut response);
        if status == 405 {
            response.push_back(Name::Allow, "OPTIONS");
        }
        self.respond(a.server, &response);
        if *a.request.method() == Method::Invite {
            self.next_call += 1;
            let no = self.next_call;
            let verdict = Verdict { rule: a.rule.clone(), action: Action::Allow(a.allow.clone()) };
            self.attempt(&a.request, &a.flow, &a.sender, &a.parties, &verdict, &a.route, no);
            let outcome = "not_found";
            self.count_outcome(direction(&a.sender, &a.route), outcome);
            let mut end = super::ending::unanswered(no, a.request.call_id(), &a.parties, status);
            end.outcome = outcome;
            self.record(Record::CallEnd(end));
        }
    }

    /// An INVITE that begins a call.
    fn invite(&mut self, a: Admitted) {
        let parked = (a.request.call_id().to_owned(), tag_of(&a.request));
        let again = self.parked.remove(&parked);
        let no = match again {
            Some(call) => {
                self.timers.stop(super::TimerKey::Parked(call.no));
                call.no
            }
            None => {
                self.next_call += 1;
                let no = self.next_call;
                let verdict =
                    Verdict { rule: a.rule.clone(), action: Action::Allow(a.allow.clone()) };
                self.attempt(&a.request, &a.flow, &a.sender, &a.parties, &verdict, &a.route, no);
                no
            }
        };
        let Some(legs) = self.legs(&a) else {
            self.fail_early(&a, no, 480, "Temporarily Unavailable");
            return;
        };
        self.begin_call(&a, no, DialogKind::Call);
        let egress = legs.first().map_or(a.flow.listener, LegState::listener);
        let far_id = legs.first().map(|l| l.call_id.clone()).unwrap_or_default();
        let call_ids = [a.request.call_id(), far_id.as_str()];
        self.prepare_media(no, [a.flow.listener, egress], call_ids);
        let who = Speaker::new(Leg::Caller, &a.flow);
        let mut request = a.request.clone();
        let offered = match self.carry_body(&mut request, Some((no, who, true)), &a.allow) {
            Ok(offered) => offered,
            Err(refusal) => {
                let pass = self.open_pass(a.server, a.flow.listener, Kind::Other);
                self.refuse_body(pass, Some(no), &refusal);
                return;
            }
        };
        let kind = Kind::Invite { call: no, offered };
        let pass = self.open_pass(a.server, a.flow.listener, kind);
        if let Some(call) = self.dialogs.get_mut(no) {
            call.pass = Some(pass);
        }
        self.fork(&a, &request, pass, no, legs);
        self.show_call(no);
    }

    /// SUBSCRIBE or REFER outside a dialog.
    fn subscribe(&mut self, a: Admitted) {
        self.next_call += 1;
        let no = self.next_call;
        let Some(legs) = self.legs(&a) else {
            self.answer_unknown(&a);
            return;
        };
        self.begin_call(&a, no, DialogKind::Subscription);
        let pass = self.open_pass(a.server, a.flow.listener, Kind::Subscribe { call: no });
        let mut request = a.request.clone();
        if let Err(refusal) = self.carry_body(&mut request, None, &a.allow) {
            self.dialogs.remove(no);
            self.refuse_body(pass, None, &refusal);
            return;
        }
        self.touch_subscription(no, 64);
        for leg in &legs {
            self.dialogs.expect_notify(no, leg.side, &leg.call_id);
        }
        self.fork(&a, &request, pass, no, legs);
    }

    /// Any other request outside a dialog.
    fn plain(&mut self, a: Admitted) {
        let Some(legs) = self.legs(&a) else {
            self.answer_unknown(&a);
            return;
        };
        let pass = self.open_pass(a.server, a.flow.listener, Kind::Other);
        let mut request = a.request.clone();
        let far = legs.first().cloned();
        let carried = far
            .map_or(Ok(()), |far| self.pass_report(&mut request, &a.flow, &far))
            .and_then(|()| self.carry_body(&mut request, None, &a.allow));
        if let Err(refusal) = carried {
            self.refuse_body(pass, None, &refusal);
            return;
        }
        self.fork(&a, &request, pass, 0, legs);
    }

    /// The callee legs a request goes to.
    fn legs(&self, a: &Admitted) -> Option<Vec<LegState>> {
        let from = a.request.first(&Name::From)?.to_vec();
        let to = a.request.first(&Name::To)?.to_vec();
        match &a.route {
            Route::Upstream(i) => {
                let upstream = self.upstream(*i)?;
                let flow = self.net.towards(upstream)?;
                let side = self.net.side(flow.listener);
                let domain = Some(upstream.domain.as_str());
                Some(vec![LegState {
                    side,
                    flow,
                    call_id: self.far_call_id(a.request.call_id(), a.sender.side, side),
                    from: self.far_name(&from, side, domain),
                    to: self.far_name(&to, side, domain),
                    contact: Some(self.outward_uri(a, upstream.domain.as_str())?),
                    routes: Vec::new(),
                    upstream: Some(*i),
                }])
            }
            Route::Bindings(keys) => {
                let leg = |key: &String| {
                    let b = self.bindings.get(key)?;
                    Some(LegState {
                        side: self.net.side(b.flow.listener),
                        flow: b.flow,
                        call_id: a.request.call_id().to_owned(),
                        from: from.clone(),
                        to: to.clone(),
                        contact: Some(b.contact.clone()),
                        routes: Vec::new(),
                        upstream: None,
                    })
                };
                let legs: Vec<LegState> = keys.iter().filter_map(leg).collect();
                (!legs.is_empty()).then_some(legs)
            }
            Route::Gateway | Route::Unknown => None,
        }
    }

    /// The Request-URI towards an upstream: our name becomes its domain, the number is the one that
    /// was judged.
    fn outward_uri(&self, a: &Admitted, domain: &str) -> Option<Uri> {
        let mut uri = Uri::parse(a.request.uri().as_bytes())?;
        if uri.scheme == Scheme::Tel {
            uri = Uri::sip(Some(&a.parties.to), domain, None);
            return Some(uri);
        }
        if self.must_hide(&uri) || self.is_local_domain(&uri) {
            headers::set_host(&mut uri, domain);
        }
        let dialled = uri.user_decoded().unwrap_or_default();
        if !a.allow.keep_number && !a.parties.to.is_empty() && dialled != a.parties.to {
            uri.user = Some(a.parties.to.clone());
        }
        Some(uri)
    }

    fn begin_call(&mut self, a: &Admitted, no: u64, kind: DialogKind) {
        let caller = LegState {
            side: a.sender.side,
            flow: a.flow,
            call_id: a.request.call_id().to_owned(),
            from: a.request.first(&Name::From).unwrap_or_default().to_vec(),
            to: a.request.first(&Name::To).unwrap_or_default().to_vec(),
            contact: Self::contact_of(&a.request),
            routes: self.foreign_routes(&a.request),
            upstream: a.sender.upstream,
        };
        self.dialogs.insert(Call {
            no,
            kind,
            state: State::Early,
            caller,
            caller_tag: tag_of(&a.request),
            forks: Vec::new(),
            answered: None,
            cseq: [a.request.cseq().seq, 0],
            allow: a.allow.clone(),
            user: a.sender.user.clone(),
            from: a.parties.from.clone(),
            to: a.parties.to.clone(),
            direction: direction(&a.sender, &a.route),
            started: self.now,
            ringing: None,
            confirmed: None,
            bye_at: None,
            acknowledged: false,
            refused_ack: None,
            pass: None,
            ended_by: "",
            late_offer: false,
            reports: [0; 2],
        });
    }

    /// Sends the request to every leg.
    fn fork(&mut self, a: &Admitted, request: &Message, pass: u64, no: u64, legs: Vec<LegState>) {
        let trusted = a.sender.upstream.and_then(|i| self.upstream(i)).is_some_and(|u| u.trust);
        for leg in legs {
            let domain = leg.upstream.and_then(|i| self.upstream(i)).map(|u| u.domain.clone());
            let egress = leg.listener();
            let peer = a.flow.peer.ip();
            let forms = no != 0;
            let caller = self.dialogs.get(no).map(|c| c.caller.clone());
            let contact = if let Some(caller) = caller {
                Some(self.leg_contact(egress, no, Leg::Caller, &caller))
            } else {
                request.has(&Name::Contact).then(|| self.net.uri(egress, None))
            };
            let x = Crossing {
                from: a.sender.side,
                to: leg.side,
                egress,
                uri: Self::target_of(&leg),
                from_value: leg.from.clone(),
                to_value: leg.to.clone(),
                call_id: &leg.call_id,
                routes: &[],
                contact,
                record_route: forms.then(|| self.leg_route(egress, no, Leg::Caller, peer)),
                allow: &a.allow,
                trusted,
                near: peer,
                domain: domain.as_deref(),
            };
            let (out, branch) = self.carry(request, &x);
            let flow = leg.flow;
            self.open_branch(pass, out, branch, flow, Some(leg));
        }
    }

    fn fail_early(&mut self, a: &Admitted, no: u64, status: u16, phrase: &str) {
        let mut response = Message::response(&a.request, status, phrase);
        self.tag_response(&mut response);
        self.respond(a.server, &response);
        let outcome = super::ending::outcome(status);
        self.count_outcome(direction(&a.sender, &a.route), outcome);
        let mut end = super::ending::unanswered(no, a.request.call_id(), &a.parties, status);
        end.outcome = outcome;
        self.record(Record::CallEnd(end));
    }
}

/// Index into `stats::DIRECTIONS`.
pub(crate) fn direction(sender: &Sender, route: &Route) -> usize {
    match (sender.side, route) {
        (Side::Outside, _) => 1,
        (Side::Inside, Route::Bindings(_)) => 2,
        (Side::Inside, Route::Upstream(_) | Route::Gateway | Route::Unknown) => 0,
    }
}

/// The From tag; RFC 2543 requests may have none.
pub(crate) fn tag_of(request: &Message) -> String {
    request.from_tag().unwrap_or_default().to_owned()
}
