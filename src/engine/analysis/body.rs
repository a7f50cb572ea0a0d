//! Bodies as they cross: SDP becomes ours (through `calls`), multipart part by part, text that can
//! name the inside is overwritten on its way out, what cannot be read is refused. Of an answer the
//! part that may not cross is left out, for an answer never vanishes. Heads are `headers`'.

use super::Veil;
use super::strip::matches;
use super::veil::{Own, said_of_itself};
use crate::config::{Allow, UnknownBodies};
use crate::engine::calls::{Calls, MediaRefusal, Speaker, is_report};
use crate::engine::outbox::Outbox;
use crate::engine::phones::Phones;
use crate::engine::world::World;
use crate::ground::{CallNo, Side};
use crate::wire::body::{self, Kind, Unreadable};
use crate::wire::sdp;
use crate::wire::sip::{Message, Name, RejectReason};

/// What a body says about media, when it may say it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Role {
    pub(crate) call: CallNo,
    pub(crate) who: Speaker,
    /// An offer; else an answer.
    pub(crate) offers: bool,
}

/// How a body crosses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way<'a> {
    /// The side it goes to; whatever the method.
    pub(crate) to: Side,
    /// `None`: it negotiates nothing.
    pub(crate) role: Option<Role>,
    pub(crate) allow: &'a Allow,
}

/// What crossed.
#[derive(Debug, Default)]
pub(crate) struct Carried {
    /// A session description did.
    pub(crate) described: bool,
    /// What was left out, the first of it.
    pub(crate) lost: Option<BodyRefusal>,
}

/// Why a body may not cross.
#[derive(Clone, Debug)]
pub(crate) struct BodyRefusal {
    pub(crate) status: u16,
    pub(crate) phrase: &'static str,
    pub(crate) why: String,
    pub(crate) reason: RejectReason,
    /// It was, or may have been, a session description.
    pub(crate) session: bool,
}

impl From<MediaRefusal> for BodyRefusal {
    fn from(m: MediaRefusal) -> Self {
        let phrase = if m.status == 503 { "No Relay Ports" } else { "Not Acceptable Here" };
        let (reason, session) = (RejectReason::Media, true);
        Self { status: m.status, phrase, why: m.why, reason, session }
    }
}

fn unsupported(why: String) -> BodyRefusal {
    let (phrase, reason) = ("Unsupported Media Type", RejectReason::Body);
    BodyRefusal { status: 415, phrase, why, reason, session: false }
}

/// A body that nobody can read, by what its type says.
fn unreadable(why: Unreadable, content_type: Option<&str>) -> BodyRefusal {
    let kind = Kind::of(content_type);
    let session = matches!(kind, Kind::Sdp | Kind::Multipart { .. } | Kind::Unsplit);
    match why {
        Unreadable::Untyped => BodyRefusal {
            status: 400,
            phrase: "Missing Content-Type",
            why: "a body without Content-Type".to_owned(),
            reason: RejectReason::Malformed,
            session,
        },
        Unreadable::Encoded => {
            let why = "an encoding hides the octets of a body: send it as it is".to_owned();
            BodyRefusal { session, ..unsupported(why) }
        }
    }
}

/// A body as it was read: its type's name, what it is, its octets.
struct Content<'a> {
    name: &'a str,
    kind: Kind,
    octets: &'a [u8],
}

/// Carries bodies across.
pub(crate) struct Carrier<'a> {
    pub(crate) w: &'a World,
    pub(crate) phones: &'a Phones,
    pub(crate) calls: &'a mut Calls,
    pub(crate) out: &'a mut Outbox,
    /// What the sender of the message says of itself.
    pub(crate) own: Own,
}

impl Carrier<'_> {
    /// Rewrites a request's body for the far side. What may be left out (`handling=optional`) and
    /// may not cross is left out.
    pub(crate) fn carry(
        &mut self,
        message: &mut Message,
        way: &Way<'_>,
    ) -> Result<Carried, BodyRefusal> {
        if message.body().is_empty() {
            return Ok(Carried::default());
        }
        if message.is_request() {
            self.own = said_of_itself(message);
        }
        let mut carried = Carried::default();
        let whole = message.body().to_vec();
        let name = message.text(&Name::ContentType).map(str::to_owned);
        let content = Kind::of_message(message).map_err(|u| unreadable(u, name.as_deref()));
        let fate = content.and_then(|kind| {
            let name = name.as_deref().unwrap_or_default();
            let content = Content { name, kind, octets: &whole };
            self.content(&content, message, way, &mut carried)
        });
        match fate {
            Ok(Some(new)) if new.is_empty() => drop_body(message),
            Ok(Some(new)) => message.set_body(new),
            Ok(None) => {}
            Err(refusal) => {
                let disposition = message.text(&Name::parse("Content-Disposition"));
                let optional = body::is_optional(disposition) && !refusal.session;
                if message.is_request() && !optional {
                    return Err(refusal);
                }
                drop_body(message);
                carried.lost = Some(refusal);
            }
        }
        Ok(carried)
    }

    /// The octets as they cross; `None`: as they are. Empty: nothing is left of it.
    fn content(
        &mut self,
        content: &Content<'_>,
        message: &Message,
        way: &Way<'_>,
        carried: &mut Carried,
    ) -> Result<Option<Vec<u8>>, BodyRefusal> {
        let octets = content.octets;
        match &content.kind {
            Kind::Sdp => {
                let new = self.sdp(octets, way)?;
                carried.described = true;
                Ok(Some(new))
            }
            Kind::Multipart { boundary } => {
                self.parts(octets, boundary, message, way, carried).map(Some)
            }
            Kind::Unsplit => {
                let why = "a multipart body without one boundary".to_owned();
                Err(BodyRefusal { session: true, ..unsupported(why) })
            }
            Kind::Scrub | Kind::QualityReport | Kind::Pass | Kind::Unknown
                if way.to == Side::Inside =>
            {
                Ok(None)
            }
            Kind::Scrub if body::hides_a_part(content.name, octets) => {
                Err(unreadable(Unreadable::Encoded, Some(content.name)))
            }
            Kind::Scrub => Ok(Some(self.veil().scrub(octets))),
            // A report has been renamed on its way here; elsewhere nobody has, and it names calls.
            Kind::QualityReport if is_report(message) => Ok(Some(self.veil().scrub(octets))),
            Kind::QualityReport => Err(unnamed(content)),
            Kind::Pass => self.outwards(content, true),
            Kind::Unknown => {
                let named = way.allow.bodies.iter().any(|b| matches(b, essence(content.name)));
                let scrub = self.w.config().policy.unknown_bodies == UnknownBodies::Scrub;
                if named || scrub {
                    return self.outwards(content, false);
                }
                Err(unnamed(content))
            }
        }
    }

    /// Part by part; of an answer, and of what may be left out, the refused ones go.
    fn parts(
        &mut self,
        octets: &[u8],
        boundary: &str,
        message: &Message,
        way: &Way<'_>,
        carried: &mut Carried,
    ) -> Result<Vec<u8>, BodyRefusal> {
        let parts = body::split(octets, boundary)
            .map_err(|e| BodyRefusal { session: true, ..unsupported(format!("multipart: {e}")) })?;
        let mut kept = Vec::with_capacity(parts.len());
        for mut part in parts {
            let name = part.content_type().unwrap_or("text/plain").to_owned();
            let fate = match part.kind() {
                Err(why) => Err(unreadable(why, Some(&name))),
                Ok(Kind::Multipart { .. } | Kind::Unsplit) => {
                    Err(unsupported("multipart within multipart".to_owned()))
                }
                Ok(kind) => {
                    let content = Content { name: &name, kind, octets: part.body() };
                    self.content(&content, message, way, carried)
                }
            };
            match fate {
                Ok(Some(new)) => part.set_body(new),
                Ok(None) => {}
                Err(refusal) => {
                    let optional = part.is_optional() && !refusal.session;
                    if message.is_request() && !optional {
                        return Err(refusal);
                    }
                    carried.lost.get_or_insert(refusal);
                    continue;
                }
            }
            if way.to == Side::Outside {
                let veil = self.veil();
                part.overwrite_head(|line| veil.scrub(line));
            }
            kept.push(part);
        }
        if kept.is_empty() { Ok(Vec::new()) } else { Ok(body::join(&kept, boundary)) }
    }

    fn sdp(&mut self, part: &[u8], way: &Way<'_>) -> Result<Vec<u8>, BodyRefusal> {
        let new = match way.role {
            Some(Role { call, who, offers: true }) => {
                self.calls.offer(self.w, self.out, call, (who, self.phones), part)?
            }
            Some(Role { call, who, offers: false }) => {
                self.calls.answer(self.w, self.out, call, (who, self.phones), part)?
            }
            // OPTIONS and the like describe abilities, not a session: addresses go all the same.
            None => sdp::without_keys(part),
        };
        let outwards = way.to == Side::Outside;
        Ok(if outwards { self.veil().scrub(&sdp::without_author(&new)) } else { new })
    }

    /// What leaves and is not read: text with the inside overwritten, anything else when it names
    /// nothing of it.
    fn outwards(&self, content: &Content<'_>, plain: bool) -> Result<Option<Vec<u8>>, BodyRefusal> {
        let Content { name, octets, .. } = content;
        if body::hides_a_part(name, octets) {
            return Err(unreadable(Unreadable::Encoded, Some(name)));
        }
        if body::is_text(name, octets) || plain && !octets.contains(&0) {
            return Ok(Some(self.veil().scrub(octets)));
        }
        if self.veil().is_named_in(octets) {
            let why = format!("a body of type {name} names an inside address or host");
            return Err(unsupported(why));
        }
        Ok(None)
    }

    fn veil(&self) -> Veil<'_> {
        Veil::new(self.w, self.phones).over(self.own)
    }
}

fn unnamed(content: &Content<'_>) -> BodyRefusal {
    let name = content.name;
    unsupported(format!("body type {name} is not read (`bodies` of a rule would allow it)"))
}

/// The type without its parameters.
fn essence(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

/// Removes a body and every header that describes it (RFC 3261 §20.11–20.15).
pub(crate) fn drop_body(message: &mut Message) {
    message.set_body(Vec::new());
    let about = |name: &Name| {
        let name = name.as_str();
        let content = name.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("content-"));
        let length = name.eq_ignore_ascii_case("content-length");
        content && !length || name.eq_ignore_ascii_case("mime-version")
    };
    message.retain(|name, _| !about(name));
}
