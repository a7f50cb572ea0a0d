//! Bodies as they cross: SDP becomes ours (through `media`), multipart part by part, text that can
//! name hosts is scrubbed, the unreadable is refused. Heads are `headers`'.

use super::headers::matches;
use crate::config::Allow;
use crate::engine::Engine;
use crate::engine::media::{MediaRefusal, Speaker};
use crate::engine::net::host_text;
use crate::engine::reports::is_report;
use crate::ground::Side;
use crate::wire::body::{self, Kind};
use crate::wire::sdp;
use crate::wire::sip::{Message, Name, RejectReason};

/// What a body says about media, when it may say it: the call, who speaks, and whether it is an
/// offer (else an answer).
pub(crate) type Role = Option<(u64, Speaker, bool)>;

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

impl Engine {
    /// Rewrites a message's body for the far side. True: it held a session description.
    pub(crate) fn carry_body(
        &mut self,
        message: &mut Message,
        role: Role,
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
        let (new, described) = self.carry_part(&kind, &whole, message, role, allow)?;
        if let Some(new) = new {
            message.set_body(new);
        }
        Ok(described)
    }

    fn carry_part(
        &mut self,
        kind: &Kind,
        part: &[u8],
        message: &Message,
        role: Role,
        allow: &Allow,
    ) -> Result<(Option<Vec<u8>>, bool), BodyRefusal> {
        match kind {
            Kind::Sdp => self.carry_sdp(part, role).map(|new| (new, true)),
            Kind::Multipart { boundary } => {
                let mut parts = body::split(part, boundary)
                    .map_err(|e| unsupported(format!("multipart: {e}")))?;
                let mut described = false;
                for p in &mut parts {
                    let inner = p.kind().map_err(|_| unsupported("an encoded part".to_owned()))?;
                    if matches!(inner, Kind::Multipart { .. }) {
                        return Err(unsupported("multipart within multipart".to_owned()));
                    }
                    let (new, sdp) = self.carry_part(&inner, p.body(), message, role, allow)?;
                    described |= sdp;
                    if let Some(new) = new {
                        p.set_body(new);
                    }
                }
                Ok((Some(body::join(&parts, boundary)), described))
            }
            Kind::Scrub => Ok((Some(self.scrub(part)), false)),
            // `pass_report` has renamed it; elsewhere nobody has.
            Kind::QualityReport if is_report(message) => Ok((Some(self.scrub(part)), false)),
            Kind::Pass => Ok((None, false)),
            Kind::QualityReport | Kind::Unknown => {
                let name = message.text(&Name::ContentType).unwrap_or("no Content-Type");
                let inward = self.body_goes_inwards(role);
                if inward || allow.bodies.iter().any(|b| matches(b, name)) {
                    return Ok((None, false));
                }
                Err(unsupported(format!(
                    "body type {name} cannot be read (`bodies` of a rule would allow it)"
                )))
            }
        }
    }

    fn carry_sdp(&mut self, part: &[u8], role: Role) -> Result<Option<Vec<u8>>, BodyRefusal> {
        match role {
            Some((call, who, true)) => Ok(Some(self.offer(call, who, part)?)),
            Some((call, who, false)) => Ok(Some(self.answer(call, who, part)?)),
            // OPTIONS and the like describe abilities, not a session: addresses go all the same.
            None => {
                let shown = self.shown_address();
                let part = sdp::without_keys(part);
                Ok(Some(body::scrub(&part, |ip| self.is_hidden(ip), &shown)))
            }
        }
    }

    fn scrub(&self, part: &[u8]) -> Vec<u8> {
        body::scrub(part, |ip| self.is_hidden(ip), &self.shown_address())
    }

    /// The address outside parties know us by.
    fn shown_address(&self) -> String {
        let outside = self.net.interfaces().iter().find(|i| i.side == Side::Outside);
        let any = outside.or_else(|| self.net.interfaces().first());
        any.map(|i| host_text(i.advertised())).unwrap_or_default()
    }

    fn body_goes_inwards(&self, role: Role) -> bool {
        let Some((_, who, _)) = role else {
            // No media role: nothing but the site itself to protect.
            return self.net.interfaces().iter().all(|i| i.side == Side::Inside);
        };
        self.net.side(who.listener) == Side::Outside
    }
}
