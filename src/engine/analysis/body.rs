//! Bodies as they cross: SDP becomes ours (through `media`), multipart part by part, text that can
//! name hosts is scrubbed, the unreadable is refused. Heads are `headers`'.

use super::Veil;
use super::strip::matches;
use crate::config::Allow;
use crate::engine::calls::{Calls, MediaRefusal, Speaker, is_report};
use crate::engine::outbox::Outbox;
use crate::engine::phones::Phones;
use crate::engine::world::World;
use crate::ground::{CallNo, Side};
use crate::wire::body::{self, Kind};
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

/// Why a body may not cross.
#[derive(Clone, Debug)]
pub(crate) struct BodyRefusal {
    pub(crate) status: u16,
    pub(crate) phrase: &'static str,
    pub(crate) why: String,
    pub(crate) reason: RejectReason,
}

impl From<MediaRefusal> for BodyRefusal {
    fn from(m: MediaRefusal) -> Self {
        let phrase = if m.status == 503 { "No Relay Ports" } else { "Not Acceptable Here" };
        Self { status: m.status, phrase, why: m.why, reason: RejectReason::Media }
    }
}

fn unsupported(why: String) -> BodyRefusal {
    let phrase = "Unsupported Media Type";
    BodyRefusal { status: 415, phrase, why, reason: RejectReason::Body }
}

/// Carries bodies across.
pub(crate) struct Carrier<'a> {
    pub(crate) w: &'a World,
    pub(crate) phones: &'a Phones,
    pub(crate) calls: &'a mut Calls,
    pub(crate) out: &'a mut Outbox,
}

impl Carrier<'_> {
    /// Rewrites a message's body for the far side. True: it held a session description.
    pub(crate) fn carry(
        &mut self,
        message: &mut Message,
        role: Option<Role>,
        allow: &Allow,
    ) -> Result<bool, BodyRefusal> {
        if message.body().is_empty() {
            return Ok(false);
        }
        if let Some(encoding) = message.text(&Name::ContentEncoding)
            && !encoding.trim().eq_ignore_ascii_case("identity")
        {
            return Err(unsupported(format!("Content-Encoding {encoding} cannot be read")));
        }
        let kind = Kind::of(message.text(&Name::ContentType));
        let whole = message.body().to_vec();
        let (new, described) = self.part(&kind, &whole, message, role, allow)?;
        if let Some(new) = new {
            message.set_body(new);
        }
        Ok(described)
    }

    fn part(
        &mut self,
        kind: &Kind,
        part: &[u8],
        message: &Message,
        role: Option<Role>,
        allow: &Allow,
    ) -> Result<(Option<Vec<u8>>, bool), BodyRefusal> {
        match kind {
            Kind::Sdp => self.sdp(part, role).map(|new| (Some(new), true)),
            Kind::Multipart { boundary } => {
                let mut parts = body::split(part, boundary)
                    .map_err(|e| unsupported(format!("multipart: {e}")))?;
                let mut described = false;
                for p in &mut parts {
                    let inner = p.kind().map_err(|_| unsupported("an encoded part".to_owned()))?;
                    if matches!(inner, Kind::Multipart { .. }) {
                        return Err(unsupported("multipart within multipart".to_owned()));
                    }
                    let (new, sdp) = self.part(&inner, p.body(), message, role, allow)?;
                    described |= sdp;
                    if let Some(new) = new {
                        p.set_body(new);
                    }
                }
                Ok((Some(body::join(&parts, boundary)), described))
            }
            Kind::Scrub => Ok((Some(self.veil().scrub(part)), false)),
            // A report has been renamed on its way here; elsewhere nobody has.
            Kind::QualityReport if is_report(message) => Ok((Some(self.veil().scrub(part)), false)),
            Kind::Pass => Ok((None, false)),
            Kind::QualityReport | Kind::Unknown => {
                let name = message.text(&Name::ContentType).unwrap_or("no Content-Type");
                if self.goes_inwards(role) || allow.bodies.iter().any(|b| matches(b, name)) {
                    return Ok((None, false));
                }
                Err(unsupported(format!(
                    "body type {name} cannot be read (`bodies` of a rule would allow it)"
                )))
            }
        }
    }

    fn sdp(&mut self, part: &[u8], role: Option<Role>) -> Result<Vec<u8>, BodyRefusal> {
        let new = match role {
            Some(Role { call, who, offers: true }) => {
                self.calls.offer(self.w, self.out, call, who, part)?
            }
            Some(Role { call, who, offers: false }) => {
                self.calls.answer(self.w, self.out, call, who, part)?
            }
            // OPTIONS and the like describe abilities, not a session: addresses go all the same.
            None => self.veil().scrub(&sdp::without_keys(part)),
        };
        Ok(new)
    }

    fn veil(&self) -> Veil<'_> {
        Veil::new(self.w, self.phones)
    }

    fn goes_inwards(&self, role: Option<Role>) -> bool {
        match role {
            Some(role) => self.w.side(role.who.listener) == Side::Outside,
            // No media role: nothing but the site itself to protect.
            None => self.w.net().interfaces().iter().all(|i| i.side == Side::Inside),
        }
    }
}
