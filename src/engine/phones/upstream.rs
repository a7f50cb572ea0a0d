//! REGISTER towards an upstream: the phone's Contact is sealed on the way out, and the binding is
//! made from the 2xx with the expiry that the upstream granted. Digest passes end to end.

mod edge;
mod place;

use super::newest::{Named, NoPlaces, TooMany, instance};
use super::registrar::{aor_user, binding_key, header_seconds, no_places};
use super::{Age, Binding, Phones, record};
use crate::audit::BindingEvent;
use crate::config::Upstream;
use crate::engine::analysis::Incoming;
use crate::engine::ids::ServerId;
use crate::engine::outbox::Outbox;
use crate::engine::output::Observation;
use crate::engine::stats::RegisterResult;
use crate::engine::world::World;
use crate::ground::{Flow, Mono};
use crate::wire::sip::{Aor, Message, Name, NameAddr, RawNameAddr, Scheme, Uri};
use std::collections::HashMap;
use std::time::Duration;

pub(super) use edge::Returns;

/// Life of a binding that neither side named (RFC 3261 §10.3 step 6 leaves it to us).
const UNSAID: u64 = 3_600;
/// A phone is told to come again within so many seconds where its registration may be lost before.
const UNSTEADY: u64 = 300;
/// Proxies of an upstream's that a Service-Route may name.
const MAX_SERVICES: usize = 8;

/// A Contact on its way.
#[derive(Clone, Debug)]
struct Offered {
    key: String,
    contact: NameAddr,
    /// The way to the phone, if it is bound.
    way: Flow,
    /// Where it listens, when its Contact says that of the address that it sends from.
    listens: Option<Flow>,
    /// Seconds the phone asked for.
    seconds: Option<u64>,
    /// What the upstream was told before, at an address that is ours no more.
    left: Option<Uri>,
    /// What it is told now.
    told: Option<Uri>,
}

impl Offered {
    /// Seconds it is bound for; 0: it is not. A list that lacks it says so; no list at all leaves
    /// it at what was asked (RFC 3261 §10.2.4).
    fn granted(&self, listed: &[NameAddr], common: Option<u64>) -> u64 {
        let mine = listed.iter().find(|c| c.uri.user.as_deref() == Some(&self.key));
        let asked = || common.or(self.seconds).unwrap_or(UNSAID);
        match mine {
            Some(c) => header_seconds(c.params.get("expires")).unwrap_or_else(asked),
            None if !listed.is_empty() || self.seconds == Some(0) => 0,
            None => asked(),
        }
    }

    fn named(&self, stays: bool) -> Named<'_> {
        Named { key: &self.key, instance: instance(&self.contact), stays }
    }

    /// As the phone wrote it, with what the registrar says of it.
    fn shown(&self, w: &World, listed: Option<NameAddr>, seconds: u64) -> NameAddr {
        let mut shown = listed.unwrap_or_else(|| self.contact.clone());
        shown.uri = self.contact.uri.clone();
        shown.params.set("expires", Some(&seconds.to_string()));
        // So are the GRUUs that were made of its instance (RFC 5627 §4.2).
        let own = self.contact.params.get("+sip.instance").unwrap_or_default();
        let own = own.trim_matches(|c| matches!(c, '"' | '<' | '>'));
        if !own.is_empty() {
            let sealed = w.sealer().instance(own);
            for (_, value) in shown.params.0.iter_mut().filter(|(_, v)| v.is_some()) {
                *value = value.as_deref().map(|v| v.replace(&sealed, own).into());
            }
        }
        for (name, value) in &self.contact.params.0 {
            // Its own name of itself, as it wrote it (RFC 5626 §4.1).
            if name.eq_ignore_ascii_case("+sip.instance") || shown.params.get(name).is_none() {
                shown.params.set(name, value.as_deref());
            }
        }
        shown
    }
}

/// The Service-Route of an answer: at most so many values.
fn services(response: &Message) -> Vec<String> {
    let values = response.list(&Name::ServiceRoute).filter_map(NameAddr::parse);
    values.take(MAX_SERVICES).map(|route| route.to_string()).collect()
}

/// A REGISTER that an upstream has not answered.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    /// Its transaction.
    server: ServerId,
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

/// The longest that a phone is told it is registered for, by a registrar that answered this way.
/// Where our address may change, it may know us by one that is ours no more, until the phone comes
/// again; and who is reached by a connection may forget with it who registered by it (RFC 5626
/// §4.2.1): the next one is not his.
fn most(w: &World, by: &Flow) -> u64 {
    let interface = w.net().interface(by.listener);
    let moves = interface.is_some_and(|i| i.addresses.following().is_some());
    let rides = by.transport.is_reliable() && !w.net().lasts(by.listener);
    if moves || rides { UNSTEADY } else { u64::MAX }
}

/// The Contacts of an answer. What stands at an address that we have left says nothing of what is
/// registered now, unless there is nothing else.
fn standing(w: &World, response: &Message) -> Vec<NameAddr> {
    let all: Vec<NameAddr> = response.list(&Name::Contact).filter_map(NameAddr::parse).collect();
    let has_left = |c: &NameAddr| c.uri.host_ip().is_some_and(|ip| w.has_left(ip));
    let (left, stay): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|c| has_left(c) && w.is_own(&c.uri));
    if stay.is_empty() { left } else { stay }
}

/// The domain of a REGISTER's address of record: the one in To, where the upstream has several.
fn domain<'a>(request: &Message, upstream: &'a Upstream) -> &'a str {
    let to = request.first(&Name::To).and_then(RawNameAddr::read);
    let same = |d: &&String| to.as_ref().is_some_and(|to| d.eq_ignore_ascii_case(to.uri.host));
    upstream.domains.iter().find(same).unwrap_or(&upstream.domain)
}

impl Phones {
    /// What a REGISTER for an upstream asks for; else our answer to it.
    pub(crate) fn pending(
        &self,
        w: &World,
        out: &mut Outbox,
        (i, server): (&Incoming, ServerId),
        upstream: &Upstream,
    ) -> Result<Pending, Box<Message>> {
        let Some(user) = aor_user(&i.message) else {
            return Err(Box::new(w.answer(&i.message, 400, "To Names No User")));
        };
        let aor = Aor::new(user.as_str(), domain(&i.message, upstream));
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
            let way = i.way(w, Some(&contact.uri));
            let listens = i.listens(w, &contact.uri);
            let left = self.told.left(w, &key, &upstream.name);
            contacts.push(Offered { key, contact, way, listens, seconds, left, told: None });
        }
        // RFC 3261 §10.3 step 6: all of them, or some; never both.
        if remove_all && (!contacts.is_empty() || expires != Some(0)) {
            return Err(Box::new(w.answer(&i.message, 400, "Star Is For Removal Alone")));
        }
        let pending = Pending {
            server,
            aor,
            user,
            upstream: upstream.name.clone(),
            flow: i.flow,
            contacts,
            remove_all,
            call_id: i.call_id().to_owned(),
            cseq: i.message.cseq().seq,
            since: w.now().mono,
        };
        // The upstream's 2xx will prove them.
        let room = match self.places_of(w, &pending.aor, &pending.asked()) {
            Ok(places) => self.bindings.has_room(&pending.holder(), places.more),
            Err(TooMany) => {
                let none = NoPlaces::OfUser;
                return Err(Box::new(no_places(w, out, &i.message, &i.flow, &none)));
            }
        };
        match room {
            Ok(()) => Ok(pending),
            Err(full) => {
                let none = NoPlaces::Full(full);
                Err(Box::new(no_places(w, out, &i.message, &i.flow, &none)))
            }
        }
    }

    /// The registrar's answer as the phone sees it; a 2xx makes and ends bindings.
    pub(crate) fn registered(
        &mut self,
        w: &World,
        out: &mut Outbox,
        pending: &Pending,
        (response, by): (&Message, &Flow),
        near: &mut Message,
    ) {
        // Where the upstream's services are is for us to know, and how its proxies find us for
        // nobody here (RFC 3608, RFC 3327).
        for name in [Name::Contact, Name::ServiceRoute, Name::Path] {
            near.remove(&name);
        }
        self.release(pending.server);
        if !(200..300).contains(&response.status()) {
            return;
        }
        let common = header_seconds(response.text(&Name::Expires));
        let listed = standing(w, response);
        let services = services(response);
        let lives: Vec<(&Offered, u64)> =
            pending.contacts.iter().map(|c| (c, c.granted(&listed, common))).collect();
        let named: Vec<Named<'_>> = lives.iter().map(|(c, left)| c.named(*left > 0)).collect();
        let room = self.find_places(w, out, (&pending.aor, &pending.holder()), &named);
        let most = most(w, by);
        if near.has(&Name::Expires) && common.is_some_and(|s| s > most) {
            near.set(Name::Expires, most.to_string());
        }
        let mut granted = HashMap::new();
        self.end_known(w, out, pending, &lives);
        for (offered, seconds) in lives {
            // What is there already lasts longer, whatever else finds no room.
            let is_placed = room.is_ok() || self.bindings.get(&offered.key).is_some();
            if seconds > 0 && is_placed {
                self.bound(w, out, pending, offered, seconds, &services);
                if let Some(told) = offered.told.clone() {
                    let told = (pending.upstream.as_str(), told);
                    self.told.grant(w, &offered.key, told, seconds);
                }
                granted.insert(offered.key.as_str(), (offered, seconds.min(most)));
            } else if seconds == 0 {
                self.told.forget(&offered.key);
                self.unbind(w, out, &offered.key, &pending.flow, BindingEvent::Removed);
            }
        }
        if pending.remove_all {
            let theirs = self.bindings.of_aor(&pending.aor);
            let keys: Vec<String> = theirs.map(|b| b.key.clone()).collect();
            for key in keys {
                self.unbind(w, out, &key, &pending.flow, BindingEvent::Removed);
            }
        }
        if let Err(none) = room {
            Self::unplaced(w, out, pending, &none, near);
            return;
        }
        if listed.is_empty() {
            for offered in &pending.contacts {
                if let Some((_, seconds)) = granted.get(offered.key.as_str()) {
                    near.push_back(Name::Contact, offered.shown(w, None, *seconds).to_string());
                }
            }
        }
        for contact in listed {
            let user = contact.uri.user.as_deref().unwrap_or_default();
            let shown = match granted.get(user) {
                Some((offered, seconds)) => Some(offered.shown(w, Some(contact), *seconds)),
                None => self.listed(w, pending, contact),
            };
            if let Some(shown) = shown {
                near.push_back(Name::Contact, shown.to_string());
            }
        }
    }

    /// A binding of the same user that the REGISTER did not name, as its phone made it; `None`: a
    /// name of ours that stands for nobody any more.
    fn listed(&self, w: &World, pending: &Pending, mut contact: NameAddr) -> Option<NameAddr> {
        let known = contact.uri.user.as_deref().and_then(|key| self.bindings.get(key));
        if let Some(b) = known.filter(|b| b.aor == pending.aor && b.expires > w.steady()) {
            contact.uri = b.contact.clone();
            return Some(contact);
        }
        (!w.is_own(&contact.uri)).then_some(contact)
    }

    /// The way that an upstream's registrar told for what this user sends from here (RFC 3608);
    /// the youngest binding's, where it has several.
    pub(crate) fn service_route(
        &self,
        w: &World,
        flow: &Flow,
        user: &str,
        upstream: &str,
    ) -> Vec<Vec<u8>> {
        let host = w.net().host(flow);
        let theirs = self
            .bindings
            .of_user(user)
            .filter(|b| b.upstream == upstream && b.host == host && b.expires > w.steady());
        let last = theirs.last().map(|b| &b.service_route);
        last.into_iter().flatten().map(|route| route.clone().into_bytes()).collect()
    }

    fn bound(
        &mut self,
        w: &World,
        out: &mut Outbox,
        pending: &Pending,
        offered: &Offered,
        seconds: u64,
        services: &[String],
    ) {
        let flow = pending.flow;
        let binding = Binding {
            holder: pending.holder(),
            key: offered.key.clone(),
            aor: pending.aor.clone(),
            contact: offered.contact.uri.clone(),
            flow: offered.way,
            source: flow.peer,
            host: w.net().host(&flow),
            local: w.net().listener(flow.listener).map_or(flow.peer, |l| l.bind),
            expires: w.steady_after(Duration::from_secs(seconds)),
            call_id: pending.call_id.clone(),
            cseq: pending.cseq,
            upstream: pending.upstream.clone(),
            service_route: services.to_vec(),
            instance: instance(&offered.contact).map(str::to_owned),
            edge: false,
            age: Age::default(),
        };
        self.confirm(w, out, &binding);
        self.bind(w, out, binding);
        out.count_register(RegisterResult::Accepted);
        out.observe(Observation::RegistrationDelay(w.now().mono.since(pending.since)));
        let expires = u32::try_from(seconds).unwrap_or(u32::MAX);
        let (user, by) = (&pending.user, &pending.upstream);
        record(out, user, &flow, BindingEvent::Accepted, 200, expires, by);
    }
}

impl Pending {
    /// The phone's Contacts as the upstream sees them: ours, with the phone's parameters. Behind
    /// them stand those of before our address changed, taken back: some registrars have place for
    /// one (and read the first alone), others would go on sending calls to whoever is there now.
    pub(crate) fn seal_contacts(&mut self, w: &World, request: &mut Message, way: Flow) {
        // A proxy inside is known by its flow.
        request.remove(&Name::Path);
        if self.remove_all {
            return;
        }
        request.remove(&Name::Contact);
        for offered in &mut self.contacts {
            let mut contact = offered.contact.clone();
            let secure = contact.uri.scheme == Scheme::Sips && way.transport.is_secure();
            let uri = w.net().uri(way.listener, Some(&offered.key));
            contact.uri = if secure { uri.secured() } else { uri };
            request.push_back(Name::Contact, contact.to_string());
            offered.told = Some(contact.uri);
        }
        let left = self.contacts.iter().filter_map(|offered| offered.left.as_ref());
        for uri in left {
            request.push_back(Name::Contact, format!("<{uri}>;expires=0"));
        }
    }

    /// The way it came.
    pub(crate) fn flow(&self) -> &Flow {
        &self.flow
    }

    /// The upstream's name.
    pub(crate) fn upstream(&self) -> &str {
        &self.upstream
    }

    /// Keys of what it asks for.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.contacts.iter().map(|c| c.key.as_str())
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
