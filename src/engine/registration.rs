//! REGISTER towards an upstream: the phone's Contact is sealed on the way out, and the binding is
//! made from the 2xx with the expiry that the upstream granted. Digest passes end to end.

use super::analysis::headers::Crossing;
use super::bindings::Binding;
use super::initial::Admitted;
use super::pass::Kind;
use super::proxy_server::Route;
use super::registrar::{aor_user, header_seconds};
use super::{Engine, Observation, Output};
use crate::ground::{Flow, Wall};
use crate::wire::sip::{Message, Name, NameAddr, Uri};
use std::time::Duration;

/// A Contact on its way.
#[derive(Clone, Debug)]
struct Offered {
    key: String,
    contact: NameAddr,
    /// Seconds the phone asked for.
    seconds: Option<u64>,
}

/// A REGISTER that an upstream has not answered.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    aor: String,
    user: String,
    upstream: String,
    flow: Flow,
    contacts: Vec<Offered>,
    remove_all: bool,
    call_id: String,
    cseq: u32,
    /// When the REGISTER came.
    since: crate::ground::Mono,
}

impl Engine {
    /// Sends a REGISTER on.
    pub(crate) fn register_upstream(&mut self, a: Admitted) {
        let Route::Upstream(index) = a.route else { return };
        let Some(upstream) = self.upstream(index).cloned() else { return };
        let (Some(flow), Some(user)) = (self.net.towards(&upstream), aor_user(&a.request)) else {
            let mut bad = Message::response(&a.request, 400, "To Names No User");
            self.tag_response(&mut bad);
            self.respond(a.server, &bad);
            return;
        };
        let domain = upstream.domain.clone();
        let pending = self.pending(&a, &user, &domain, &upstream.name);
        let added = pending.contacts.iter().filter(|c| c.seconds != Some(0));
        if let Some(full) = self.over_bindings(&a.request, &user, added.map(|c| c.key.as_str())) {
            self.respond(a.server, &full);
            return;
        }
        let side = self.net.side(flow.listener);
        let from = a.request.first(&Name::From).unwrap_or_default().to_vec();
        let to = a.request.first(&Name::To).unwrap_or_default().to_vec();
        let call_id = self.far_call_id(a.request.call_id(), a.sender.side, side);
        let mut request = a.request.clone();
        self.seal_contacts(&mut request, &pending, flow);
        let x = Crossing {
            from: a.sender.side,
            to: side,
            egress: flow.listener,
            uri: self.registrar_uri(&a.request, &domain),
            from_value: self.far_name(&from, side, Some(&domain)),
            to_value: self.far_name(&to, side, Some(&domain)),
            call_id: &call_id,
            routes: &[],
            contact: None,
            record_route: None,
            allow: &a.allow,
            trusted: false,
            near: a.flow.peer.ip(),
            domain: Some(&domain),
        };
        let (out, branch) = self.carry(&request, &x);
        let pass = self.open_pass(a.server, a.flow.listener, Kind::Register(pending));
        self.open_branch(pass, out, branch, flow, None);
    }

    fn registrar_uri(&self, request: &Message, domain: &str) -> String {
        let Some(mut uri) = Uri::parse(request.uri().as_bytes()) else {
            return format!("sip:{domain}");
        };
        if self.must_hide(&uri) || self.is_local_domain(&uri) {
            super::analysis::headers::set_host(&mut uri, domain);
        }
        uri.to_string()
    }

    fn pending(&self, a: &Admitted, user: &str, domain: &str, upstream: &str) -> Pending {
        let aor = format!("{user}@{domain}");
        let expires = header_seconds(a.request.text(&Name::Expires));
        let mut contacts = Vec::new();
        let mut remove_all = false;
        for value in a.request.list(&Name::Contact) {
            if value == b"*" {
                remove_all = true;
                continue;
            }
            let Some(contact) = NameAddr::parse(value) else { continue };
            let key = self.binding_key(&aor, &contact.uri, &a.flow);
            let seconds = header_seconds(contact.params.get("expires")).or(expires);
            contacts.push(Offered { key, contact, seconds });
        }
        Pending {
            aor,
            user: user.to_owned(),
            upstream: upstream.to_owned(),
            flow: a.flow,
            contacts,
            remove_all,
            call_id: a.request.call_id().to_owned(),
            cseq: a.request.cseq().seq,
            since: self.now.mono,
        }
    }

    /// The phone's Contacts as the upstream sees them: ours, with the phone's parameters.
    fn seal_contacts(&self, request: &mut Message, pending: &Pending, flow: Flow) {
        if pending.remove_all {
            return;
        }
        request.remove(&Name::Contact);
        for offered in &pending.contacts {
            let mut contact = offered.contact.clone();
            contact.uri = self.net.uri(flow.listener, Some(&offered.key));
            request.push_back(Name::Contact, contact.to_string());
        }
    }

    /// The registrar's answer as the phone sees it; a 2xx makes and ends bindings.
    pub(crate) fn translate_register(
        &mut self,
        pending: &Pending,
        response: &Message,
        out: &mut Message,
    ) {
        let status = response.status();
        out.remove(&Name::Contact);
        if !(200..300).contains(&status) {
            return;
        }
        let common = header_seconds(response.text(&Name::Expires));
        let listed: Vec<NameAddr> =
            response.list(&Name::Contact).filter_map(NameAddr::parse).collect();
        for offered in &pending.contacts {
            let mine = listed.iter().find(|c| c.uri.user.as_deref() == Some(&offered.key));
            let granted = mine.and_then(|c| {
                header_seconds(c.params.get("expires")).or(common).or(offered.seconds)
            });
            match granted {
                Some(seconds) if seconds > 0 => {
                    self.bound(pending, offered, seconds);
                    let mut shown = offered.contact.clone();
                    shown.params.set("expires", Some(&seconds.to_string()));
                    out.push_back(Name::Contact, shown.to_string());
                }
                Some(_) | None => {
                    self.unbind(&offered.key, &pending.user, &pending.flow, "removed");
                }
            }
        }
        if pending.remove_all {
            let keys: Vec<String> = self
                .bindings
                .of_user(&pending.user)
                .filter(|b| b.aor == pending.aor)
                .map(|b| b.key.clone())
                .collect();
            for key in keys {
                self.unbind(&key, &pending.user, &pending.flow, "removed");
            }
        }
    }

    fn bound(&mut self, pending: &Pending, offered: &Offered, seconds: u64) {
        let local = self.net.listener(pending.flow.listener).map(|l| l.bind);
        self.bind(Binding {
            key: offered.key.clone(),
            aor: pending.aor.clone(),
            contact: offered.contact.uri.clone(),
            flow: pending.flow,
            local: local.unwrap_or(pending.flow.peer),
            expires: Wall(self.now.wall.0 + Duration::from_secs(seconds)),
            call_id: pending.call_id.clone(),
            cseq: pending.cseq,
            upstream: pending.upstream.clone(),
        });
        self.count_registration("accepted");
        let delay = self.now.mono.since(pending.since);
        self.emit(Output::Observe(Observation::RegistrationDelay(delay)));
        let expires = u32::try_from(seconds).unwrap_or(u32::MAX);
        let (user, up) = (pending.user.clone(), pending.upstream.clone());
        self.registration_record(&user, &pending.flow, "accepted", 200, expires, &up);
    }

    /// The registrar said no, or nothing.
    pub(crate) fn register_failed(&mut self, pending: &Pending, status: u16) {
        match status {
            401 | 407 => self.count_registration("challenged"),
            408 | 500..=599 => self.count_registration("failed"),
            _ => self.count_registration("refused"),
        }
        if !matches!(status, 401 | 407) {
            let (user, up) = (pending.user.clone(), pending.upstream.clone());
            self.registration_record(&user, &pending.flow, "refused", status, 0, &up);
        }
    }
}
