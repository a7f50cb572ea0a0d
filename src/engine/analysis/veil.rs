//! What outsiders may see of the inside: nothing but our own names (house decision 6). It answers
//! which address and which name is hidden, and overwrites what a text says of one. Whole messages
//! are `hide`'s.

use crate::engine::phones::Phones;
use crate::engine::seal::Role;
use crate::engine::world::{World, host_text};
use crate::ground::Side;
use crate::wire::addresses::{find_names, find_written, is_within};
use crate::wire::body;
use crate::wire::sip::{
    Message, Name, NameAddr, Params, RawNameAddr, RawVia, Scheme, Uri, host_ip,
};
use std::net::IpAddr;

/// Between the site and everybody else.
#[derive(Clone, Copy)]
pub(crate) struct Veil<'a> {
    pub(super) w: &'a World,
    phones: &'a Phones,
    /// What the sender of one message says it is; hidden in that message and in no other.
    own: Own,
}

/// Addresses that a message's sender gives itself: in its Contact, in the Via it wrote.
pub(crate) type Own = [Option<IpAddr>; 2];

/// As a message tells them.
pub(crate) fn said_of_itself(message: &Message) -> Own {
    let contact = message.list(&Name::Contact).next().and_then(RawNameAddr::read);
    let via = || message.list(&Name::Via).next().and_then(RawVia::read);
    let via = message.is_request().then(via).flatten();
    [contact.and_then(|contact| host_ip(contact.uri.host)), via.and_then(|via| host_ip(via.host))]
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

    /// An address that outsiders must not see: of an inside network, one that a phone sends from,
    /// or one that means something within a site only.
    pub(crate) fn is_hidden(&self, ip: IpAddr) -> bool {
        self.is_known(ip) || self.w.net().is_local(ip)
    }

    /// An address of an inside network, or of a phone.
    pub(super) fn is_known(&self, ip: IpAddr) -> bool {
        let net = self.w.net();
        let phone = || self.phones.are_at(ip) || self.own.contains(&Some(ip));
        net.is_inside(ip) || phone() && !net.is_shown(ip)
    }

    /// A host that may not be shown outside: ours, an inside address however it is written, or one
    /// of an inside domain.
    pub(crate) fn must_hide(&self, uri: &Uri) -> bool {
        self.must_hide_host(&uri.host)
    }

    fn must_hide_host(&self, host: &str) -> bool {
        let hidden = |ip| self.w.net().is_our_address(ip) || self.is_hidden(ip);
        if host_ip(host).is_some_and(hidden) {
            return true;
        }
        let host = host.as_bytes();
        if self.domains().iter().any(|d| is_within(host, d)) {
            return true;
        }
        // Names that hold no digit hold no address.
        host.iter().any(u8::is_ascii_digit) && {
            let written = [b"@", host].concat();
            find_written(&written).any(|(_, ip)| self.is_hidden(ip))
        }
    }

    pub(super) fn domains(&self) -> &'a [String] {
        &self.w.config().site.inside_domains
    }

    /// Whether a text names an inside address or host.
    pub(crate) fn is_told_in(&self, text: &[u8]) -> bool {
        find_written(text).any(|(_, ip)| self.is_hidden(ip))
            || find_names(text, self.domains()).next().is_some()
    }

    /// Call-ID as the far side sees it: sealed when it names a host of the inside, or any address.
    pub(crate) fn far_call_id(&self, call_id: &str, from: Side, to: Side) -> String {
        let names_a_host = |id: &[u8]| {
            let address = || find_written(id).next().is_some();
            id.contains(&b'@') || address() || find_names(id, self.domains()).next().is_some()
        };
        if from == Side::Inside && to == Side::Outside && names_a_host(call_id.as_bytes()) {
            return self.w.sealer().seal(Role::CallId, call_id.as_bytes());
        }
        call_id.to_owned()
    }

    /// A From or To value as the far side sees it: a host that names us, or an inside address,
    /// becomes the far side's domain; what else it says of the inside is overwritten. The tag is
    /// the dialog's.
    pub(crate) fn far_name(&self, value: &[u8], to: Side, domain: Option<&str>) -> Vec<u8> {
        if to == Side::Inside {
            return value.to_vec();
        }
        let Some(name) = RawNameAddr::read(value) else { return self.scrub(value) };
        let host = self.must_hide_host(name.uri.host);
        if !host && !self.is_told_in(value) {
            return value.to_vec();
        }
        let mut name = name.owned();
        if host {
            match domain {
                Some(domain) => set_host(&mut name.uri, domain),
                None => name.uri.host = self.shown_address(),
            }
        }
        self.clear(&mut name);
        let user = name.uri.user.as_deref().map(|u| self.scrub_user(u));
        name.uri.user = user;
        name.to_string().into_bytes()
    }

    /// A Request-URI as the far side sees it: where it names us or the inside, `domain` takes the
    /// host's place, and what its other parts say of the inside is overwritten.
    pub(crate) fn far_uri(&self, uri: &Uri, domain: &str) -> Uri {
        let mut name = NameAddr::of(uri.clone());
        if self.must_hide(uri) || self.w.is_local_domain(uri) {
            set_host(&mut name.uri, domain);
        }
        if self.is_told_in(name.uri.to_string().as_bytes()) {
            self.clear(&mut name);
            name.uri.user = name.uri.user.as_deref().map(|u| self.scrub_user(u));
        }
        name.uri
    }

    /// A name that was hidden before, under a display name that may be new.
    pub(crate) fn far_display(&self, value: &[u8]) -> Vec<u8> {
        let Some(mut name) = NameAddr::parse(value).filter(|_| self.is_told_in(value)) else {
            return value.to_vec();
        };
        self.clear(&mut name);
        name.to_string().into_bytes()
    }

    /// Overwrites what a name says of the inside, but for user and host of its URI and its tag.
    pub(crate) fn clear(&self, name: &mut NameAddr) {
        let clear = |text: &str| String::from_utf8_lossy(&self.scrub(text.as_bytes())).into_owned();
        name.display = name.display.as_deref().map(clear);
        // A word before the colon that no scheme is may say anything.
        if let Scheme::Other(word) = &name.uri.scheme {
            name.uri.scheme = Scheme::Other(clear(word).into());
        }
        name.uri.headers = name.uri.headers.as_deref().map(clear);
        let params = |params: &mut Params| {
            for (key, value) in &mut params.0 {
                if !key.eq_ignore_ascii_case("tag") {
                    *value = value.as_deref().map(|v| clear(v).into());
                }
            }
        };
        params(&mut name.uri.params);
        params(&mut name.params);
    }

    /// Text with every hidden address and every host name of the inside overwritten.
    pub(crate) fn scrub(&self, text: &[u8]) -> Vec<u8> {
        // Most of what leaves says nothing of the inside.
        if !self.is_told_in(text) {
            return text.to_vec();
        }
        let shown = self.shown_address();
        let text = body::scrub(text, |ip| self.is_hidden(ip), &shown);
        body::scrub_names(&text, self.domains(), &shown)
    }

    /// A user part, in which dashes stand between digits of a number.
    fn scrub_user(&self, user: &str) -> String {
        let shown = self.shown_address();
        let text = body::scrub_user(user.as_bytes(), |ip| self.is_hidden(ip), &shown);
        let text = body::scrub_names(&text, self.domains(), &shown);
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Whether octets that are no text name the inside all the same.
    pub(crate) fn is_named_in(&self, octets: &[u8]) -> bool {
        body::names_inside(octets, |ip| self.is_hidden(ip), self.domains())
    }

    /// The address outside parties know us by.
    pub(super) fn shown_address(&self) -> String {
        let outside = self.w.net().interfaces().iter().filter(|i| i.side == Side::Outside);
        let mut known = outside.filter_map(|i| i.addresses.first());
        // Where there is no outside nobody is hidden from it.
        let site = || {
            let all = self.w.net().interfaces();
            let only = all.iter().all(|i| i.side == Side::Inside);
            all.first().filter(|_| only).and_then(|i| i.addresses.first())
        };
        let own = known.next().or_else(site);
        own.map_or_else(|| NOWHERE.to_owned(), |own| host_text(own.advertised()))
    }
}

/// What stands for us while we have no address outside.
const NOWHERE: &str = "0.0.0.0";

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
