//! What a message shows when it crosses: Via, Record-Route, Contact, Call-ID, From, To, identity
//! headers. Each side sees only the gateway (house decision 6). Bodies are `body`'s.

use crate::config::Allow;
use crate::engine::Engine;
use crate::engine::dialog::LegState;
use crate::engine::net::host_text;
use crate::engine::seal::Role;
use crate::ground::{ListenerId, Side};
use crate::relay::Leg;
use crate::wire::addresses::find_addresses;
use crate::wire::body::scrub;
use crate::wire::sip::{Message, Method, Name, NameAddr, Scheme, Uri, Via};
use std::net::IpAddr;

/// How a request crosses.
pub(crate) struct Crossing<'a> {
    pub(crate) from: Side,
    pub(crate) to: Side,
    /// The socket it leaves by.
    pub(crate) egress: ListenerId,
    pub(crate) uri: String,
    /// From and To as the far side sees them.
    pub(crate) from_value: Vec<u8>,
    pub(crate) to_value: Vec<u8>,
    pub(crate) call_id: &'a str,
    pub(crate) routes: &'a [Vec<u8>],
    /// Our own Contact on the far side; `None`: there is none to show.
    pub(crate) contact: Option<Uri>,
    /// Our own Record-Route, for requests that form a dialog.
    pub(crate) record_route: Option<Uri>,
    pub(crate) allow: &'a Allow,
    /// Identity headers are believed: it comes from a trusted upstream.
    pub(crate) trusted: bool,
    /// The sender's own address.
    pub(crate) near: IpAddr,
    /// The domain of the far side, for URIs that name us.
    pub(crate) domain: Option<&'a str>,
}

/// Identity headers that only a trusted upstream may send (RFC 3325 and kin).
const IDENTITY: [Name; 5] = [
    Name::PAssertedIdentity,
    Name::PPreferredIdentity,
    Name::RemotePartyId,
    Name::Diversion,
    Name::HistoryInfo,
];

/// Those of them that name the sender itself.
const ASSERTED: [Name; 3] =
    [Name::PAssertedIdentity, Name::PPreferredIdentity, Name::RemotePartyId];

/// Headers whose inside addresses are overwritten; any other header with one is removed.
const OVERWRITTEN: [Name; 18] = [
    Name::From,
    Name::To,
    Name::Contact,
    Name::CallId,
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
    Name::Replaces,
    Name::SubscriptionState,
];

impl Engine {
    /// The request as the far side gets it, and its branch.
    pub(crate) fn carry(&mut self, request: &Message, x: &Crossing<'_>) -> (Message, String) {
        let mut out = request.clone();
        let branch = format!("z9hG4bK{}.{}", self.random.name(), self.loop_mark(request, x.from));
        out.remove(&Name::Via);
        out.remove(&Name::Route);
        out.remove(&Name::RecordRoute);
        out.set_uri(&x.uri);
        if let Some(rr) = &x.record_route {
            out.push_front(Name::RecordRoute, format!("<{rr}>"));
        }
        for route in x.routes.iter().rev() {
            out.push_front(Name::Route, route.clone());
        }
        out.push_front(Name::Via, self.via(x.egress, &branch));
        let hops = request.max_forwards().map_or(70, |n| n.saturating_sub(1));
        out.set(Name::MaxForwards, hops.to_string());
        out.set(Name::From, x.from_value.clone());
        out.set(Name::To, x.to_value.clone());
        out.set(Name::CallId, x.call_id);
        if let Some(uri) = &x.contact {
            show_contact(&mut out, uri);
        } else if *request.method() != Method::Register {
            out.remove(&Name::Contact);
        }
        if x.from == Side::Inside && self.is_local_registrar() {
            out.remove(&Name::ProxyAuthorization);
        }
        self.translate_references(&mut out, x.from, x.domain);
        self.strip(&mut out, x.from, x.to, x.allow, x.trusted);
        if x.to == Side::Outside {
            self.hide(&mut out, x.egress, x.near);
        }
        (out, branch)
    }

    /// Our Via on a socket.
    pub(crate) fn via(&self, egress: ListenerId, branch: &str) -> String {
        let at = self.net.advertised(egress);
        let transport = self.net.listener(egress).map_or("UDP", |l| l.transport.via());
        let mut via = Via {
            transport: transport.to_owned(),
            host: host_text(at.ip()),
            port: Some(at.port()),
            params: crate::wire::sip::Params::default(),
        };
        via.params.set("rport", None);
        via.params.set("branch", Some(branch));
        via.to_string()
    }

    /// The Contact by which one leg's party is reached through us. Inside it bears the upstream's
    /// domain, and our Record-Route leads there: a phone computes its digest over this URI, and our
    /// inside address in it would travel outside where nobody can overwrite it.
    pub(crate) fn leg_contact(
        &self,
        egress: ListenerId,
        call: u64,
        leg: Leg,
        party: &LegState,
    ) -> Uri {
        let user = self.leg_token(Role::Contact, call, leg, party.flow.peer.ip());
        let upstream = party.upstream.and_then(|i| self.upstream(i));
        match (self.net.side(egress), upstream) {
            (Side::Inside, Some(u)) => Uri::sip(Some(&user), &u.domain, None),
            (Side::Inside | Side::Outside, _) => self.net.uri(egress, Some(&user)),
        }
    }

    /// Our Record-Route for a call on a socket.
    pub(crate) fn leg_route(&self, egress: ListenerId, call: u64, leg: Leg, peer: IpAddr) -> Uri {
        let user = self.leg_token(Role::Route, call, leg, peer);
        let mut uri = self.net.uri(egress, Some(&user));
        uri.params.set("lr", None);
        uri
    }

    fn leg_token(&self, role: Role, call: u64, leg: Leg, peer: IpAddr) -> String {
        let mut plain = vec![b'D'];
        plain.extend_from_slice(&self.boot.to_be_bytes());
        plain.extend_from_slice(&call.to_be_bytes());
        plain.push(u8::try_from(leg.index()).unwrap_or_default());
        match peer {
            IpAddr::V4(v4) => plain.extend_from_slice(&v4.octets()),
            IpAddr::V6(v6) => plain.extend_from_slice(&v6.octets()),
        }
        self.sealer.seal(role, &plain)
    }

    /// The call and leg a Contact of ours stands for.
    pub(crate) fn open_leg(&self, uri: &Uri) -> Option<(u64, Leg)> {
        let plain = self.sealer.open(Role::Contact, uri.user.as_deref()?)?;
        let rest = plain.strip_prefix(b"D")?.strip_prefix(&self.boot.to_be_bytes())?;
        let (call, rest) = rest.split_at_checked(8)?;
        let call = u64::from_be_bytes(call.try_into().ok()?);
        let leg = if rest.first()? == &0 { Leg::Caller } else { Leg::Callee };
        Some((call, leg))
    }

    /// Call-ID as the far side sees it: sealed when it names an inside host.
    pub(crate) fn far_call_id(&self, call_id: &str, from: Side, to: Side) -> String {
        let names_a_host = |id: &str| {
            id.contains('@') || find_addresses(id.as_bytes()).any(|(_, ip)| self.net.is_inside(ip))
        };
        if from == Side::Inside && to == Side::Outside && names_a_host(call_id) {
            return self.sealer.seal(Role::CallId, call_id.as_bytes());
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

    /// A host that may not be shown outside: ours, or an inside address.
    pub(crate) fn must_hide(&self, uri: &Uri) -> bool {
        let ip = uri.host_ip();
        ip.is_some_and(|ip| self.net.is_our_address(ip) || self.is_hidden(ip))
    }

    /// An address that outsiders must not see: of an inside network, or of a phone.
    pub(crate) fn is_hidden(&self, ip: IpAddr) -> bool {
        self.net.is_inside(ip) || self.bindings.names(ip) && !self.net.is_shown(ip)
    }

    /// Refer-To, Referred-By, Replaces and kin: our Contacts become what they stand for, dialogs
    /// are named as the far side knows them.
    fn translate_references(&self, out: &mut Message, from: Side, domain: Option<&str>) {
        for name in [Name::ReferTo, Name::ReferredBy, Name::ReplyTo] {
            let Some(value) = out.first(&name).map(<[u8]>::to_vec) else { continue };
            let Some(mut addr) = NameAddr::parse(&value) else { continue };
            let replaced = addr.uri.headers.as_deref().and_then(|h| self.far_uri_headers(h, from));
            if replaced.is_some() {
                addr.uri.headers = replaced;
            }
            if let Some(target) = self.open_contact(&addr.uri) {
                let headers = addr.uri.headers.take();
                addr.uri = target;
                addr.uri.headers = headers;
            } else if self.must_hide(&addr.uri)
                && let Some(domain) = domain
            {
                set_host(&mut addr.uri, domain);
            }
            out.set(name, addr.to_string());
        }
        for name in [Name::Replaces, Name::TargetDialog] {
            let Some(value) = out.text(&name).map(str::to_owned) else { continue };
            if let Some(far) = self.far_dialog(&value, from) {
                out.set(name, far);
            }
        }
    }

    /// What a Contact of ours stands for: the far party's own, or the phone's.
    fn open_contact(&self, uri: &Uri) -> Option<Uri> {
        if let Some((no, leg)) = self.open_leg(uri) {
            let call = self.dialogs.get(no)?;
            return match leg {
                Leg::Caller => call.caller.contact.clone(),
                Leg::Callee => call.forks.first().and_then(|f| f.callee.contact.clone()),
            };
        }
        None
    }

    /// `Replaces=…` within a Refer-To's URI headers (escaped, RFC 3891 §9.1).
    fn far_uri_headers(&self, headers: &str, from: Side) -> Option<String> {
        let (before, rest) = match headers.find("Replaces=") {
            Some(at) => headers.split_at_checked(at + "Replaces=".len())?,
            None => return None,
        };
        let end = rest.find('&').unwrap_or(rest.len());
        let (value, after) = rest.split_at_checked(end)?;
        let plain = unescape(value);
        let far = self.far_dialog(&plain, from)?;
        Some(format!("{before}{}{after}", escape(&far)))
    }

    /// `call-id;to-tag=x;from-tag=y` in the far side's Call-ID.
    fn far_dialog(&self, value: &str, from: Side) -> Option<String> {
        let (call_id, params) = value.split_once(';')?;
        let tag = |name: &str| {
            params.split(';').find_map(|p| p.trim().strip_prefix(name)?.strip_prefix('='))
        };
        let tags = (tag("from-tag").or(tag("local-tag"))?, tag("to-tag").or(tag("remote-tag"))?);
        let (_, far) = self.dialogs.translate(from, call_id.trim(), tags)?;
        Some(format!("{far};{params}"))
    }

    /// Strips what the side may not say, and what a rule names.
    pub(crate) fn strip(
        &self,
        out: &mut Message,
        from: Side,
        to: Side,
        allow: &Allow,
        trusted: bool,
    ) {
        let private = to == Side::Inside
            && out.text(&Name::Privacy).is_some_and(|p| p.split(';').any(|v| v.trim() == "id"));
        let crossing = from != to;
        out.retain(|name, _| {
            let text = name.as_str();
            if allow.strip.iter().any(|p| matches(p, text)) {
                return false;
            }
            if private && *name == Name::PAssertedIdentity {
                return false;
            }
            let kept = allow.keep.iter().any(|p| matches(p, text));
            // Where we are the registrar, a phone asserts nothing towards another one.
            let asserted = self.is_local_registrar() && ASSERTED.contains(name);
            let identity = IDENTITY.contains(name) || matches("X-*", text);
            !(identity && crossing || asserted) || trusted || kept
        });
    }

    /// The last check: no inside address leaves in a head. The digest's own `uri=` cannot be
    /// touched (README "Limits").
    pub(crate) fn hide(&mut self, out: &mut Message, egress: ListenerId, near: IpAddr) {
        let near_hidden = !self.net.is_shown(near);
        let shown = host_text(self.net.advertised(egress).ip());
        let mut found: Vec<(Name, Option<Vec<u8>>)> = Vec::new();
        for (name, value) in out.all() {
            let hidden = |ip| self.is_hidden(ip) || near_hidden && ip == near;
            let inside = find_addresses(value).any(|(_, ip)| hidden(ip));
            if !inside || matches!(name, Name::Authorization | Name::ProxyAuthorization) {
                continue;
            }
            let new = OVERWRITTEN.contains(name).then(|| scrub(value, hidden, &shown));
            found.push((name.clone(), new));
        }
        for (name, new) in found {
            match new {
                Some(value) => out.set(name, value),
                None => {
                    out.remove(&name);
                    let detail = format!("{} named an inside address", name.as_str());
                    self.record(crate::audit::Record::Security {
                        class: "leak_removed",
                        source: None,
                        count: 1,
                        detail,
                    });
                }
            }
        }
    }

    /// Record-Route values of a message without ours.
    pub(crate) fn foreign_routes(&self, message: &Message) -> Vec<Vec<u8>> {
        let ours = |v: &[u8]| NameAddr::parse(v).is_some_and(|n| self.net.names_us(&n.uri));
        message.list(&Name::RecordRoute).filter(|v| !ours(v)).map(<[u8]>::to_vec).collect()
    }

    /// The far party's own Contact.
    pub(crate) fn contact_of(message: &Message) -> Option<Uri> {
        let value = message.list(&Name::Contact).next()?;
        NameAddr::parse(value).map(|n| n.uri)
    }

    /// The Request-URI towards a leg.
    pub(crate) fn target_of(leg: &LegState) -> String {
        let fallback = || NameAddr::parse(&leg.to).map(|n| n.uri.to_string()).unwrap_or_default();
        leg.contact.as_ref().map_or_else(fallback, Uri::to_string)
    }
}

/// Replaces the URI of every Contact by ours; parameters that name nobody stay.
pub(crate) fn show_contact(out: &mut Message, uri: &Uri) {
    let Some(value) = out.list(&Name::Contact).next().map(<[u8]>::to_vec) else { return };
    let mut contact = NameAddr::parse(&value).unwrap_or_else(|| NameAddr::of(uri.clone()));
    contact.uri = uri.clone();
    out.set(Name::Contact, contact.to_string());
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

/// A From or To value with this tag.
pub(crate) fn with_tag(value: &[u8], tag: &str) -> Vec<u8> {
    match NameAddr::parse(value) {
        Some(name) if name.tag() == Some(tag) => value.to_vec(),
        Some(mut name) if name.tag().is_some() => {
            name.params.set("tag", Some(tag));
            name.to_string().into_bytes()
        }
        // An addr-spec form keeps its shape: parameters are the header's (§20.10).
        Some(_) | None => [value, b";tag=", tag.as_bytes()].concat(),
    }
}

/// Case-insensitive name or `prefix*`.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => {
            name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        }
        None => pattern.eq_ignore_ascii_case(name),
    }
}

fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while let Some(b) = bytes.get(i) {
        let hex = |n: usize| bytes.get(i + n).and_then(|c| char::from(*c).to_digit(16));
        match (*b, hex(1), hex(2)) {
            (b'%', Some(h), Some(l)) => {
                out.push(u8::try_from(h * 16 + l).unwrap_or(b'?'));
                i += 3;
            }
            _ => {
                out.push(*b);
                i += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn escape(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&b);
    text.bytes()
        .map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}
