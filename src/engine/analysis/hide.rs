//! The last look at a message that leaves the site: no inside address or host name stands in a
//! header or reason phrase, no phone is known by its instance id, its MAC address or its serial
//! number. What a party outside wrote itself comes back to it as it wrote it.

use super::strip::{is_private, matches};
use super::{Veil, agent};
use crate::audit::{Record, SecurityClass};
use crate::config::AgentShown;
use crate::engine::outbox::Outbox;
use crate::engine::world::{host_text, with_tag};
use crate::ground::ListenerId;
use crate::wire::addresses::{find_names, find_written, is_within};
use crate::wire::body;
use crate::wire::sip::{Message, Name, NameAddr, Uri};
use std::net::IpAddr;

/// Headers whose inside addresses are overwritten, as in `X-*` and `Geolocation`; any other header
/// with one is removed. Phones name themselves in Alert-Info and Call-Info where only the
/// parameters matter (`answer-after=0`).
const OVERWRITTEN: [Name; 18] = [
    Name::Contact,
    Name::ReferTo,
    Name::ReferredBy,
    Name::ReplyTo,
    Name::PAssertedIdentity,
    Name::PPreferredIdentity,
    Name::RemotePartyId,
    Name::Diversion,
    Name::HistoryInfo,
    Name::Subject,
    Name::Warning,
    Name::Reason,
    Name::Replaces,
    Name::SubscriptionState,
    // Without them nobody reads the body, or knows what it tells of.
    Name::ContentType,
    Name::Event,
    Name::AlertInfo,
    Name::CallInfo,
];

/// How a message leaves.
#[derive(Clone, Copy)]
pub(crate) struct Leaving<'a> {
    /// The socket.
    pub(crate) egress: ListenerId,
    /// The sender's own address.
    pub(crate) near: IpAddr,
    /// Headers that name parties and dialogs of the outside in its own words.
    pub(crate) theirs: &'a [Name],
}

/// A message that leaves, as it is looked at.
struct Look<'a> {
    veil: Veil<'a>,
    near: Option<IpAddr>,
    shown: String,
}

impl Veil<'_> {
    /// The last check. The digest's own `uri=` cannot be touched (README "Limits").
    pub(crate) fn hide(&self, out: &mut Outbox, message: &mut Message, how: &Leaving<'_>) {
        let net = self.w.net();
        let near = Some(how.near).filter(|ip| !net.is_shown(*ip));
        let shown = host_text(net.advertised(how.egress).ip());
        let look = Look { veil: *self, near, shown };
        if !message.is_request() && look.tells(message.phrase()) {
            let phrase = look.overwritten(message.phrase());
            message.set_status(message.status(), &String::from_utf8_lossy(&phrase));
        }
        look.instance(message);
        look.agents(message);
        look.tag(message);
        let mut found: Vec<(Name, Option<Vec<Vec<u8>>>)> = Vec::new();
        for (name, value) in message.all() {
            let as_written = is_theirs(message, name) || how.theirs.contains(name);
            if as_written || !look.tells(value) || found.iter().any(|(n, _)| n == name) {
                continue;
            }
            let new = look.kept(name).then(|| {
                let rows = message.rows(name);
                rows.map(|row| look.row(message, name, row)).collect()
            });
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
            set_rows(message, name, rows);
        }
    }
}

impl Look<'_> {
    fn hidden(&self, ip: IpAddr) -> bool {
        self.near == Some(ip) || self.veil.is_hidden(ip)
    }

    fn tells(&self, text: &[u8]) -> bool {
        find_written(text).any(|(_, ip)| self.hidden(ip))
            || find_names(text, self.veil.domains()).next().is_some()
    }

    fn overwritten(&self, text: &[u8]) -> Vec<u8> {
        let text = body::scrub(text, |ip| self.hidden(ip), &self.shown);
        body::scrub_names(&text, self.veil.domains(), &self.shown)
    }

    /// Whether the header goes on without what it told.
    fn kept(&self, name: &Name) -> bool {
        OVERWRITTEN.contains(name) || is_private(name) || is_location(name) || is_credentials(name)
    }

    /// One row without what it told.
    fn row(&self, message: &Message, name: &Name, row: &[u8]) -> Vec<u8> {
        if is_credentials(name) {
            return self.credentials(row);
        }
        if is_location(name) {
            // `cid:` must go on naming the part whose Content-ID was scrubbed (RFC 6442 §4.1).
            return self.overwritten(&self.veil.scrub(row));
        }
        // A Contact's URI is ours, but in a redirect and a refusal.
        let refusal = message.status() >= 300;
        match NameAddr::parse(row) {
            Some(mut contact) if *name == Name::Contact && !refusal => {
                self.veil.clear(&mut contact);
                contact.to_string().into_bytes()
            }
            Some(_) | None => self.overwritten(row),
        }
    }

    /// The tag that a party inside chose: it is the dialog's, but for what it tells.
    fn tag(&self, message: &mut Message) {
        let (name, tag) = match message.is_request() {
            true => (Name::From, message.from_tag()),
            false => (Name::To, message.to_tag()),
        };
        let Some(tag) = tag.filter(|t| self.tells(t.as_bytes())) else { return };
        let new = String::from_utf8_lossy(&self.overwritten(tag.as_bytes())).into_owned();
        let value = message.first(&name).map(|value| with_tag(value, &new));
        if let Some(value) = value {
            message.set(name, value);
        }
    }

    /// The phone's instance id (RFC 5626 §4.1) holds its MAC address: another one stands in its
    /// place, the same as long as the phone lives, in its GRUUs (RFC 5627 §3.2), too.
    fn instance(&self, message: &mut Message) {
        let mut own: Vec<(String, String)> = Vec::new();
        for row in message.list(&Name::Contact) {
            if !holds(row, b"+sip.instance") {
                continue;
            }
            let instance = NameAddr::parse(row).and_then(|n| n.params.get(INSTANCE).map(bare));
            if let Some(id) = instance.filter(|id| id.len() > 3) {
                let sealed = self.veil.w.sealer().instance(&id);
                own.push((id, sealed));
            }
        }
        for (id, sealed) in own {
            let names: Vec<Name> = message
                .all()
                .filter(|(n, v)| !is_theirs(message, n) && holds(v, id.as_bytes()))
                .map(|(name, _)| name.clone())
                .collect();
            for name in names {
                let rows = message.rows(&name).map(|row| replaced(row, &id, &sealed)).collect();
                set_rows(message, name, rows);
            }
        }
    }

    /// What made the message (RFC 3261 §20.35, §20.41).
    fn agents(&self, message: &mut Message) {
        let pass = self.veil.w.config().hide.user_agent == AgentShown::Pass;
        for name in [Name::UserAgent, Name::Server] {
            let Some(row) = message.first(&name) else { continue };
            if !pass {
                message.remove(&name);
                continue;
            }
            let hidden = |ip: IpAddr, version: bool| {
                // `10.1.64.14` is a version as often as an address.
                self.near == Some(ip)
                    || self.veil.is_known(ip)
                    || !version && self.veil.is_hidden(ip)
            };
            let text = agent::without_serials(row);
            let text = agent::scrub(&text, hidden, &self.shown);
            let text = body::scrub_names(&text, self.veil.domains(), &self.shown);
            let several = message.rows(&name).nth(1).is_some();
            if text.is_empty() {
                message.remove(&name);
            } else if several || text != row {
                message.set(name, text);
            }
        }
    }

    /// Credentials without what the phone itself put into them. The digest's `uri` stays where it
    /// names us: a digest is computed over it. What the challenge said is the challenger's own.
    fn credentials(&self, row: &[u8]) -> Vec<u8> {
        let text = String::from_utf8_lossy(row);
        let mut out = Vec::with_capacity(row.len());
        for (i, item) in quoted_split(&text).into_iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            let (name, value) = item.split_once('=').unwrap_or((item, ""));
            let name = name.trim().rsplit(' ').next().unwrap_or_default().to_ascii_lowercase();
            let stays = match name.as_str() {
                "realm" | "nonce" | "opaque" | "response" => true,
                "uri" => self.is_ours(value.trim().trim_matches('"')),
                _ => false,
            };
            match stays {
                true => out.extend_from_slice(item.as_bytes()),
                false => out.extend_from_slice(&self.overwritten(item.as_bytes())),
            }
        }
        out
    }

    /// Whether a URI names this gateway, by its address or by a name of the inside.
    fn is_ours(&self, uri: &str) -> bool {
        let Some(uri) = Uri::parse(uri.as_bytes()) else { return false };
        let of_inside = |d: &String| is_within(uri.host.as_bytes(), d);
        uri.host_ip().is_some_and(|ip| self.veil.w.net().is_our_address(ip))
            || self.veil.domains().iter().any(of_inside)
    }
}

const INSTANCE: &str = "+sip.instance";

/// Headers that whoever gets them wrote himself, or that we wrote: nothing in them is the inside's.
/// From and To were hidden when the dialog began.
fn is_theirs(message: &Message, name: &Name) -> bool {
    matches!(name, Name::Via | Name::RecordRoute | Name::CallId | Name::From | Name::To)
        || *name == Name::Route && message.is_request()
        || matches!(name, Name::UserAgent | Name::Server)
}

/// Where a caller is, for emergency services above all (RFC 6442).
fn is_location(name: &Name) -> bool {
    matches("Geolocation", name.as_str())
}

fn is_credentials(name: &Name) -> bool {
    matches!(name, Name::Authorization | Name::ProxyAuthorization)
}

/// An instance id without the quotes and brackets around it.
fn bare(value: &str) -> String {
    value.trim_matches(|c| matches!(c, '"' | '<' | '>')).to_owned()
}

/// Whether `what` stands in a value, in any case.
fn holds(value: &[u8], what: &[u8]) -> bool {
    value.windows(what.len()).any(|w| w.eq_ignore_ascii_case(what))
}

/// A value with `new` wherever `old` stood, in any case.
fn replaced(value: &[u8], old: &str, new: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value;
    let at =
        |text: &[u8]| text.windows(old.len()).position(|w| w.eq_ignore_ascii_case(old.as_bytes()));
    while let Some(found) = at(rest) {
        out.extend_from_slice(rest.get(..found).unwrap_or_default());
        out.extend_from_slice(new.as_bytes());
        rest = rest.get(found + old.len()..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    out
}

fn set_rows(message: &mut Message, name: Name, rows: Vec<Vec<u8>>) {
    let mut rows = rows.into_iter();
    message.set(name.clone(), rows.next().unwrap_or_default());
    for row in rows {
        message.push_back(name.clone(), row);
    }
}

/// Splits at commas outside quotes; every octet between them is kept.
fn quoted_split(text: &str) -> Vec<&str> {
    let mut quoted = false;
    let splits = |c: char| {
        quoted ^= c == '"';
        c == ',' && !quoted
    };
    text.split(splits).collect()
}
