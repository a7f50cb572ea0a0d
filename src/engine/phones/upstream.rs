//! REGISTER towards an upstream: the phone's Contact is sealed on the way out, and the binding is
//! made from the 2xx with the expiry that the upstream granted. Digest passes end to end.

use super::registrar::{aor_user, binding_key, header_seconds};
use super::{Binding, Phones, answer, record};
use crate::audit::BindingEvent;
use crate::config::Upstream;
use crate::engine::analysis::Incoming;
use crate::engine::outbox::Outbox;
use crate::engine::output::Observation;
use crate::engine::stats::RegisterResult;
use crate::engine::world::World;
use crate::ground::{Flow, Mono, Wall};
use crate::wire::sip::{Aor, Message, Name, NameAddr};
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
    aor: Aor,
    user: String,
    upstream: String,
    flow: Flow,
    contacts: Vec<Offered>,
    remove_all: bool,
    call_id: String,
    cseq: u32,
    /// When the REGISTER came.
    since: Mono,
}

impl Phones {
    /// What a REGISTER for an upstream asks for; else our answer to it.
    pub(crate) fn pending(
        &self,
        w: &World,
        out: &mut Outbox,
        i: &Incoming,
        upstream: &Upstream,
    ) -> Result<Pending, Box<Message>> {
        let Some(user) = aor_user(&i.message) else {
            return Err(Box::new(answer(w, &i.message, 400, "To Names No User")));
        };
        let aor = Aor::new(user.as_str(), upstream.domain.as_str());
        let expires = header_seconds(i.message.text(&Name::Expires));
        let mut contacts = Vec::new();
        let mut remove_all = false;
        for value in i.message.list(&Name::Contact) {
            if value == b"*" {
                remove_all = true;
                continue;
            }
            let Some(contact) = NameAddr::parse(value) else { continue };
            let key = binding_key(w, &aor, &contact.uri, &i.flow);
            let seconds = header_seconds(contact.params.get("expires")).or(expires);
            contacts.push(Offered { key, contact, seconds });
        }
        let added = contacts.iter().filter(|c| c.seconds != Some(0)).map(|c| c.key.as_str());
        if let Some(full) = self.over_bindings(w, out, &i.message, &user, added) {
            return Err(Box::new(full));
        }
        Ok(Pending {
            aor,
            user,
            upstream: upstream.name.clone(),
            flow: i.flow,
            contacts,
            remove_all,
            call_id: i.call_id().to_owned(),
            cseq: i.message.cseq().seq,
            since: w.now().mono,
        })
    }

    /// The registrar's answer as the phone sees it; a 2xx makes and ends bindings.
    pub(crate) fn registered(
        &mut self,
        w: &World,
        out: &mut Outbox,
        pending: &Pending,
        response: &Message,
        near: &mut Message,
    ) {
        near.remove(&Name::Contact);
        if !(200..300).contains(&response.status()) {
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
                    self.bound(w, out, pending, offered, seconds);
                    let mut shown = offered.contact.clone();
                    shown.params.set("expires", Some(&seconds.to_string()));
                    near.push_back(Name::Contact, shown.to_string());
                }
                Some(_) | None => {
                    self.unbind(w, out, &offered.key, &pending.flow, BindingEvent::Removed);
                }
            }
        }
        if pending.remove_all {
            let theirs = self.bindings.of_user(&pending.user).filter(|b| b.aor == pending.aor);
            let keys: Vec<String> = theirs.map(|b| b.key.clone()).collect();
            for key in keys {
                self.unbind(w, out, &key, &pending.flow, BindingEvent::Removed);
            }
        }
    }

    fn bound(
        &mut self,
        w: &World,
        out: &mut Outbox,
        pending: &Pending,
        offered: &Offered,
        seconds: u64,
    ) {
        let flow = pending.flow;
        let binding = Binding {
            key: offered.key.clone(),
            aor: pending.aor.clone(),
            contact: offered.contact.uri.clone(),
            flow,
            local: w.net().listener(flow.listener).map_or(flow.peer, |l| l.bind),
            expires: Wall(w.wall().0 + Duration::from_secs(seconds)),
            call_id: pending.call_id.clone(),
            cseq: pending.cseq,
            upstream: pending.upstream.clone(),
        };
        self.bind(w, out, binding);
        out.count_register(RegisterResult::Accepted);
        out.observe(Observation::RegistrationDelay(w.now().mono.since(pending.since)));
        let expires = u32::try_from(seconds).unwrap_or(u32::MAX);
        let (user, by) = (&pending.user, &pending.upstream);
        record(out, user, &flow, BindingEvent::Accepted, 200, expires, by);
    }
}

impl Pending {
    /// The phone's Contacts as the upstream sees them: ours, with the phone's parameters.
    pub(crate) fn seal_contacts(&self, w: &World, request: &mut Message, way: Flow) {
        if self.remove_all {
            return;
        }
        request.remove(&Name::Contact);
        for offered in &self.contacts {
            let mut contact = offered.contact.clone();
            contact.uri = w.net().uri(way.listener, Some(&offered.key));
            request.push_back(Name::Contact, contact.to_string());
        }
    }

    /// The registrar said no, or nothing.
    pub(crate) fn failed(&self, out: &mut Outbox, status: u16) {
        out.count_register(match status {
            401 | 407 => RegisterResult::Challenged,
            408 | 500..=599 => RegisterResult::Failed,
            _ => RegisterResult::Refused,
        });
        if !matches!(status, 401 | 407) {
            let event = BindingEvent::Refused;
            record(out, &self.user, &self.flow, event, status, 0, &self.upstream);
        }
    }
}
