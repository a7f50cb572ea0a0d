//! What outsiders may see of the inside: nothing but our own names (house decision 6). It answers
//! which address is hidden, and overwrites what a message says of one.

use super::incoming::contact_of;
use super::strip::{is_private, matches};
use crate::audit::{Record, SecurityClass};
use crate::engine::outbox::Outbox;
use crate::engine::phones::Phones;
use crate::engine::seal::Role;
use crate::engine::world::{World, host_text};
use crate::ground::{ListenerId, Side};
use crate::wire::addresses::{find_addresses, find_names, is_within};
use crate::wire::body;
use crate::wire::sip::{Message, Name, NameAddr, Scheme, Uri, Via};
use std::net::IpAddr;

/// Headers whose inside addresses are overwritten, as in `X-*` and `Geolocation`; any other header
/// with one is removed. Phones name themselves in Alert-Info and Call-Info where only the
/// parameters matter (`answer-after=0`).
const OVERWRITTEN: [Name; 21] = [
    Name::From,
    Name::To,
    Name::Contact,
    Name::ReferTo,
    Name::ReferredBy,
    Name::ReplyTo,
    Name::PAssertedIdentity,
    Name::PPreferredIdentity,
    Name::RemotePartyId,
    Name::Diversion,
    Name::HistoryInfo,
    Name::UserAgent,
    Name::Server,
    Name::Subject,
    Name::Warning,
    Name::Reason,
    Name::Replaces,
    Name::SubscriptionState,
    // Without it nobody reads the body.
    Name::ContentType,
    Name::AlertInfo,
    Name::CallInfo,
];

/// Between the site and everybody else.
#[derive(Clone, Copy)]
pub(crate) struct Veil<'a> {
    w: &'a World,
    phones: &'a Phones,
    /// What the sender of one message says it is; hidden in that message and in no other.
    own: Own,
}

/// Addresses that a message's sender gives itself: in its Contact, in the Via it wrote.
pub(crate) type Own = [Option<IpAddr>; 2];

/// As a message tells them.
pub(crate) fn said_of_itself(message: &Message) -> Own {
    let via = message.list(&Name::Via).next().and_then(Via::parse).filter(|_| message.is_request());
    [
        contact_of(message).and_then(|uri| uri.host_ip()),
        via.and_then(|via| Uri::sip(None, &via.host, None).host_ip()),
    ]
}

impl<'a> Veil<'a> {
    pub(crate) fn new(w: &'a World, phones: &'a Phones) -> Self {
        Self { w, phones, own: [None; 2] }
    }

    /// Before what this sender says of itself, too: a phone behind a NAT names an address of its
    /// own, which hides nothing from the words of others.
    pub(crate) fn over(self, own: Own) -> Self {
        Self { own, ..self }
    }

    /// An address that outsiders must not see: of an inside network, or one that a phone sends
    /// from.
    pub(crate) fn is_hidden(&self, ip: IpAddr) -> bool {
        let net = self.w.net();
        let phone = || self.phones.are_at(ip) || self.own.contains(&Some(ip));
        net.is_inside(ip) || phone() && !net.is_shown(ip)
    }

    /// A host that may not be shown outside: ours, an inside address, or one of an inside domain.
    pub(crate) fn must_hide(&self, uri: &Uri) -> bool {
        match uri.host_ip() {
            Some(ip) => self.w.net().is_our_address(ip) || self.is_hidden(ip),
            None => self.domains().iter().any(|d| is_within(uri.host.as_bytes(), d)),
        }
    }

    fn domains(&self) -> &'a [String] {
        &self.w.config().site.inside_domains
    }

    fn names_a_host(&self, text: &[u8]) -> bool {
        find_names(text, self.domains()).next().is_some()
    }

    /// Call-ID as the far side sees it: sealed when it names a host of the inside, or any address.
    pub(crate) fn far_call_id(&self, call_id: &str, from: Side, to: Side) -> String {
        let names_a_host = |id: &[u8]| {
            let address = find_addresses(id).next().is_some();
            id.contains(&b'@') || address || self.names_a_host(id)
        };
        if from == Side::Inside && to == Side::Outside && names_a_host(call_id.as_bytes()) {
            return self.w.sealer().seal(Role::CallId, call_id.as_bytes());
        }
        call_id.to_owned()
    }

    /// A From or To value as the far side sees it: a host that names us, or an inside address,
    /// becomes the far side's domain.
    pub(crate) fn far_name(&self, value: &[u8], to: Side, domain: Option<&str>) -> Vec<u8> {
        let Some(domain) = domain.filter(|_| to == Side::Outside) else { return value.to_vec() };
        match NameAddr::parse(value) {
            Some(mut name) if self.must_hide(&name.uri) => {
                set_host(&mut name.uri, domain);
                name.to_string().into_bytes()
            }
            Some(_) | None => value.to_vec(),
        }
    }

    /// Text with every hidden address and every host name of the inside overwritten.
    pub(crate) fn scrub(&self, text: &[u8]) -> Vec<u8> {
        self.scrub_names(&body::scrub(text, |ip| self.is_hidden(ip), &self.shown_address()))
    }

    /// Text with every host name of the inside overwritten.
    pub(crate) fn scrub_names(&self, text: &[u8]) -> Vec<u8> {
        body::scrub_names(text, self.domains(), &self.shown_address())
    }

    /// Whether octets that are no text name the inside all the same.
    pub(crate) fn is_named_in(&self, octets: &[u8]) -> bool {
        body::names_inside(octets, |ip| self.is_hidden(ip), self.domains())
    }

    /// The address outside parties know us by.
    fn shown_address(&self) -> String {
        let interfaces = self.w.net().interfaces();
        let outside = interfaces.iter().find(|i| i.side == Side::Outside);
        let any = outside.or_else(|| interfaces.first());
        any.map(|i| host_text(i.advertised())).unwrap_or_default()
    }

    /// The last check: no inside address or host name leaves in a head, nor in a reason phrase.
    /// `near` is the sender's own address. The digest's own `uri=` cannot be touched (README
    /// "Limits"), and the far side told us its Route itself.
    pub(crate) fn hide(
        &self,
        out: &mut Outbox,
        message: &mut Message,
        egress: ListenerId,
        near: IpAddr,
    ) {
        let near_hidden = !self.w.net().is_shown(near);
        let shown = host_text(self.w.net().advertised(egress).ip());
        let hidden = |ip| self.is_hidden(ip) || near_hidden && ip == near;
        let tells =
            |text: &[u8]| find_addresses(text).any(|(_, ip)| hidden(ip)) || self.names_a_host(text);
        let overwritten = |text: &[u8]| {
            body::scrub_names(&body::scrub(text, hidden, &shown), self.domains(), &shown)
        };
        if !message.is_request() && tells(message.phrase()) {
            let phrase = overwritten(message.phrase());
            message.set_status(message.status(), &String::from_utf8_lossy(&phrase));
        }
        let mut found: Vec<(Name, Option<Vec<Vec<u8>>>)> = Vec::new();
        for (name, value) in message.all() {
            if !tells(value) || is_untouched(name) {
                continue;
            }
            if found.iter().any(|(n, _)| n == name) {
                continue;
            }
            let location = is_location(name);
            let kept = OVERWRITTEN.contains(name) || is_private(name) || location;
            // `cid:` must go on naming the part whose Content-ID was scrubbed (RFC 6442 §4.1).
            let row = |row| if location { overwritten(&self.scrub(row)) } else { overwritten(row) };
            let new = kept.then(|| message.rows(name).map(row).collect());
            found.push((name.clone(), new));
        }
        for (name, new) in found {
            let Some(rows) = new else {
                message.remove(&name);
                let detail = format!("{} named an inside address", name.as_str());
                let class = SecurityClass::LeakRemoved;
                out.record(Record::Security { class, source: None, count: 1, detail });
                continue;
            };
            let mut rows = rows.into_iter();
            message.set(name.clone(), rows.next().unwrap_or_default());
            for row in rows {
                message.push_back(name.clone(), row);
            }
        }
    }
}

/// What hiding never changes: the far side's own words, which it knows its request and its dialog
/// by (of ours in them, [`Veil::far_call_id`] and our name on that side say nothing), and digests.
fn is_untouched(name: &Name) -> bool {
    let digest = matches!(name, Name::Authorization | Name::ProxyAuthorization);
    digest || matches!(name, Name::Via | Name::Route | Name::RecordRoute | Name::CallId)
}

/// Where a caller is, for emergency services above all (RFC 6442).
fn is_location(name: &Name) -> bool {
    matches("Geolocation", name.as_str())
}

/// Sets a URI's host to a domain; the port goes with the old host.
pub(crate) fn set_host(uri: &mut Uri, domain: &str) {
    if uri.scheme == Scheme::Tel {
        return;
    }
    domain.clone_into(&mut uri.host);
    uri.port = None;
    uri.params.remove("transport");
    uri.params.remove("maddr");
}
