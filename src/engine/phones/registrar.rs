//! The local registrar (RFC 3261 §10.3): digest, then bindings. It never asks an upstream.

use super::bindings::Gone;
use super::newest::{Named, NoPlaces, instance};
use super::{Age, Binding, Phones, record};
use crate::audit::BindingEvent;
use crate::engine::analysis::Incoming;
use crate::engine::analysis::answer::{Answer, challenge};
use crate::engine::digest::Check;
use crate::engine::outbox::Outbox;
use crate::engine::seal::Role;
use crate::engine::stats::RegisterResult;
use crate::engine::world::World;
use crate::ground::Flow;
use crate::policy::quota::Resource;
use crate::wire::sip::{Aor, Message, Name, NameAddr, RawNameAddr, Uri};
use std::time::Duration;

/// What a REGISTER gets.
#[derive(Debug)]
pub(crate) enum Registered {
    /// From nobody proved: one answer, no transaction.
    Refused(Answer<'static>),
    /// The update was tried.
    Answered {
        /// Whose bindings they are.
        user: String,
        response: Box<Message>,
    },
}

/// A binding that a REGISTER asks for.
struct Asked {
    key: String,
    contact: Uri,
    instance: Option<String>,
    /// 0: it is to go.
    seconds: u64,
}

impl Asked {
    fn named(&self) -> Named<'_> {
        let instance = self.instance.as_deref();
        Named { key: &self.key, instance, stays: self.seconds > 0 }
    }
}

impl Phones {
    /// Whether digest is to say who sends this REGISTER.
    pub(crate) fn asks_for_proof(&self, w: &World, i: &Incoming) -> bool {
        w.config().registrar.digest && is_attached(w, &i.flow) && aor_user(&i.message).is_some()
    }

    /// A REGISTER for us that policy lets in; `check`: what became of its credentials, where
    /// [`Phones::asks_for_proof`].
    pub(crate) fn register(
        &mut self,
        w: &World,
        out: &mut Outbox,
        i: &Incoming,
        check: Option<Check>,
    ) -> Registered {
        let Some(user) = aor_user(&i.message) else {
            return Registered::Refused(Answer::new(400, "To Names No User"));
        };
        let refused = if w.config().registrar.digest {
            self.unproved(w, out, i, &user, check)
        } else {
            detached(w, out, i, &user)
        };
        if let Some(refused) = refused {
            return Registered::Refused(refused);
        }
        let response = Box::new(self.update(w, out, i, &user));
        Registered::Answered { user, response }
    }

    /// The answer to who has not proved by digest that he is this user; `None`: he has.
    pub(super) fn unproved(
        &mut self,
        w: &World,
        out: &mut Outbox,
        i: &Incoming,
        user: &str,
        check: Option<Check>,
    ) -> Option<Answer<'static>> {
        if let Some(refused) = detached(w, out, i, user) {
            return Some(refused);
        }
        match check.unwrap_or(Check::Challenge { stale: false }) {
            Check::Proved { user: proved, .. } if proved == user => None,
            Check::Proved { .. } => {
                Some(refuse(out, user, &i.flow, 403, "Not Your Address Of Record"))
            }
            Check::Challenge { stale } => {
                out.count_register(RegisterResult::Challenged);
                let rows = self.challenge(w, i, stale).into_iter();
                let rows = rows.map(|v| (Name::WwwAuthenticate, v)).collect();
                Some(challenge(&i.message, 401, "Unauthorized", rows))
            }
            Check::Paused => Some(refuse(out, user, &i.flow, 403, "Forbidden")),
            Check::Wrong(fault) => {
                let detail = format!("{user}: {fault}");
                out.security(fault.class(), i.flow, detail);
                let (status, phrase) = fault.answer();
                Some(refuse(out, user, &i.flow, status, phrase))
            }
        }
    }

    /// RFC 3261 §10.3 steps 6–8.
    fn update(&mut self, w: &World, out: &mut Outbox, i: &Incoming, user: &str) -> Message {
        let request = &i.message;
        let contacts: Vec<&[u8]> = request.list(&Name::Contact).collect();
        let wanted = header_seconds(request.text(&Name::Expires));
        if contacts.contains(&&b"*"[..]) {
            return self.remove_all(w, out, i, user, contacts.len() == 1 && wanted == Some(0));
        }
        let asked = match self.asked(w, i, user, &contacts, wanted) {
            Ok(asked) => asked,
            Err(refusal) => return *refusal,
        };
        if asked.iter().any(|one| self.is_overtaken(w, request, &one.key)) {
            return out_of_order(w, out, i, user);
        }
        let aor = own(w, user);
        let named: Vec<Named<'_>> = asked.iter().map(Asked::named).collect();
        let holder = w.holder(Some(&aor), false, w.net().source(&i.flow));
        if let Err(none) = self.find_places(w, out, (&aor, &holder), &named) {
            return no_places(w, out, request, &i.flow, &none);
        }
        for one in asked {
            self.bind_local(w, out, i, user, one);
        }
        self.listing(w, request, user)
    }

    fn remove_all(
        &mut self,
        w: &World,
        out: &mut Outbox,
        i: &Incoming,
        user: &str,
        fits: bool,
    ) -> Message {
        if !fits {
            return w.answer(&i.message, 400, "Contact * Needs Expires 0");
        }
        let aor = own(w, user);
        let keys: Vec<String> = self.bindings.of_aor(&aor).map(|b| b.key.clone()).collect();
        if keys.iter().any(|key| self.is_overtaken(w, &i.message, key)) {
            return out_of_order(w, out, i, user);
        }
        for key in keys {
            self.unbind(w, out, &key, &i.flow, BindingEvent::Removed);
        }
        self.listing(w, &i.message, user)
    }

    /// The bindings a REGISTER asks for; else the answer to one that cannot be granted.
    fn asked(
        &self,
        w: &World,
        i: &Incoming,
        user: &str,
        contacts: &[&[u8]],
        wanted: Option<u64>,
    ) -> Result<Vec<Asked>, Box<Message>> {
        let registrar = &w.config().registrar;
        let (least, most) = (registrar.min_expires.as_secs(), registrar.max_expires.as_secs());
        let aor = own(w, user);
        let mut asked = Vec::with_capacity(contacts.len());
        for value in contacts {
            let Some(contact) = NameAddr::parse(value) else {
                return Err(Box::new(w.answer(&i.message, 400, "Broken Contact")));
            };
            let own = header_seconds(contact.params.get("expires")).or(wanted);
            let seconds = own.unwrap_or(most);
            if seconds > 0 && seconds < least {
                let mut brief = w.answer(&i.message, 423, "Interval Too Brief");
                brief.push_back(Name::MinExpires, least.to_string());
                return Err(Box::new(brief));
            }
            let key = binding_key(w, &aor, &contact.uri, &i.flow);
            let instance = instance(&contact).map(str::to_owned);
            let seconds = seconds.min(most);
            asked.push(Asked { key, contact: contact.uri, instance, seconds });
        }
        Ok(asked)
    }

    /// A REGISTER of the same Call-ID that is no younger than the binding's (RFC 3261 §10.3
    /// step 7). Another Call-ID is a phone that began anew.
    pub(super) fn is_overtaken(&self, w: &World, request: &Message, key: &str) -> bool {
        let alive = self.bindings.get(key).filter(|b| b.expires > w.steady());
        let same = alive.filter(|b| b.call_id == request.call_id());
        same.is_some_and(|b| request.cseq().seq <= b.cseq)
    }

    /// Bindings that nobody proved give way, and places of REGISTERs that wait.
    pub(super) fn displace(&mut self, w: &World, out: &mut Outbox, gone: Gone) {
        for by in gone.waiting {
            out.displaced(w.side(by), Resource::Bindings);
        }
        for key in gone.keys {
            let Some(flow) = self.bindings.get(&key).map(|b| b.flow) else { continue };
            out.displaced(w.side(flow.listener), Resource::Bindings);
            self.unbind(w, out, &key, &flow, BindingEvent::Displaced);
        }
    }

    fn bind_local(&mut self, w: &World, out: &mut Outbox, i: &Incoming, user: &str, asked: Asked) {
        let Asked { key, contact, instance, seconds } = asked;
        if seconds == 0 {
            self.unbind(w, out, &key, &i.flow, BindingEvent::Removed);
            return;
        }
        let binding = Binding {
            holder: w.holder(Some(&own(w, user)), false, w.net().source(&i.flow)),
            key,
            aor: own(w, user),
            flow: i.way(w, Some(&contact)),
            source: i.flow.peer,
            host: w.net().host(&i.flow),
            contact,
            local: w.net().listener(i.flow.listener).map_or(i.flow.peer, |l| l.bind),
            expires: w.steady_after(Duration::from_secs(seconds)),
            call_id: i.call_id().to_owned(),
            cseq: i.message.cseq().seq,
            upstream: String::new(),
            service_route: Vec::new(),
            instance,
            edge: false,
            age: Age::default(),
        };
        self.bind(w, out, binding);
        out.count_register(RegisterResult::Accepted);
        let expires = u32::try_from(seconds).unwrap_or(u32::MAX);
        record(out, user, &i.flow, BindingEvent::Accepted, 200, expires, "local");
    }

    /// 200 with the user's bindings (§10.3 step 8).
    fn listing(&self, w: &World, request: &Message, user: &str) -> Message {
        let mut ok = w.answer(request, 200, "OK");
        let aor = own(w, user);
        for b in self.bindings.of_aor(&aor).filter(|b| b.expires > w.steady()) {
            let left = b.expires.0.saturating_sub(w.steady().0).as_secs();
            ok.push_back(Name::Contact, format!("<{}>;expires={left}", b.contact));
        }
        ok
    }
}

/// The address of record of a user of our own.
pub(crate) fn own(w: &World, user: &str) -> Aor {
    Aor::new(user, w.config().registrar.realm.as_str())
}

pub(super) fn is_attached(w: &World, flow: &Flow) -> bool {
    let Some(i) = w.net().interface(flow.listener) else { return false };
    let ip = flow.peer.ip();
    i.networks.is_empty()
        || i.addresses.bound(ip).is_some()
        || i.networks.iter().any(|n| n.contains(&ip))
}

/// The answer to who registers from elsewhere; `None`: he is of the site.
fn detached(w: &World, out: &mut Outbox, i: &Incoming, user: &str) -> Option<Answer<'static>> {
    let phrase = "Register From The Site's Own Network";
    (!is_attached(w, &i.flow)).then(|| refuse(out, user, &i.flow, 403, phrase))
}

pub(super) fn refuse(
    out: &mut Outbox,
    user: &str,
    flow: &Flow,
    status: u16,
    phrase: &'static str,
) -> Answer<'static> {
    out.count_register(RegisterResult::Refused);
    record(out, user, flow, BindingEvent::Refused, status, 0, "local");
    Answer::new(status, phrase)
}

/// The answer to a REGISTER that finds no places.
pub(super) fn no_places(
    w: &World,
    out: &mut Outbox,
    request: &Message,
    by: &Flow,
    why: &NoPlaces,
) -> Message {
    why.tell(w, out, by);
    let (status, phrase) = why.answer();
    let mut answer = w.answer(request, status, phrase);
    answer.push_back(Name::RetryAfter, NoPlaces::LATER);
    answer
}

/// The whole update is aborted (RFC 3261 §10.3 step 8).
pub(super) fn out_of_order(w: &World, out: &mut Outbox, i: &Incoming, user: &str) -> Message {
    out.count_register(RegisterResult::Refused);
    record(out, user, &i.flow, BindingEvent::Refused, 500, 0, "local");
    w.answer(&i.message, 500, "CSeq Is Not Higher")
}

/// The sealed contact's user part: the same phone line gets the same one at every refresh.
pub(super) fn binding_key(w: &World, aor: &Aor, contact: &Uri, flow: &Flow) -> String {
    use sha2::{Digest, Sha256};
    let mut h = Sha256::new();
    let local = w.net().listener(flow.listener).map(|l| l.bind.to_string());
    for part in [&aor.to_string(), &contact.to_string(), &local.unwrap_or_default()] {
        h.update(part.len().to_be_bytes());
        h.update(part);
    }
    let digest: [u8; 32] = h.finalize().into();
    let mut plain = vec![b'B'];
    plain.extend_from_slice(digest.get(..12).unwrap_or_default());
    w.sealer().seal(Role::Contact, &plain)
}

/// The user of the address of record in To.
pub(super) fn aor_user(request: &Message) -> Option<String> {
    let to = request.first(&Name::To).and_then(RawNameAddr::read)?;
    to.uri.is_sip().then(|| to.uri.user_decoded()).flatten()
}

/// Seconds of an Expires value; a broken one counts as absent (RFC 3261 §20.19).
pub(crate) fn header_seconds(value: Option<&str>) -> Option<u64> {
    let text = value?.trim();
    text.parse::<u64>().ok().map(|n| n.min(u64::from(u32::MAX)))
}
