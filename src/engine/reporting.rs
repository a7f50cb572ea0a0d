//! Quality reports of phones (RFC 6035): renamed for the other side on their way to a PBX; taken by
//! our own collector (RFC 3903) where we are the phone system. It keeps no publication: a report is
//! taken when it comes, and an entity tag proves itself. Which call a report means, `calls` knows.

use super::Engine;
use super::analysis::answer::Answer;
use super::analysis::body::BodyRefusal;
use super::analysis::{Incoming, Veil};
use super::attempt::Attempt;
use super::calls::{LegState, Refused, is_report};
use super::ids::ServerId;
use super::next_hop::find;
use super::phones::header_seconds;
use super::proxy_client::may_speak;
use super::world::World;
use crate::audit::SecurityClass;
use crate::ground::{Flow, Side};
use crate::wire::sip::{Aor, Message, Method, Name, RejectReason};
use crate::wire::vq_report;

/// The event package (RFC 6035 §4.1).
const EVENT: &str = "vq-rtcpxr";
/// The media type of its bodies.
const TYPE: &str = "application/vq-rtcpxr";
/// The longest life of a publication that is granted, in seconds.
const LONGEST: u64 = 3_600;

impl Engine {
    /// A report that goes on to `far`: read on the way, then renamed for its side.
    pub(super) fn pass_report(
        &mut self,
        message: &mut Message,
        i: &Incoming,
        far: &LegState,
    ) -> Result<(), BodyRefusal> {
        if !is_report(message) || message.body().is_empty() {
            return Ok(());
        }
        let user = match i.side {
            Side::Inside => self.phones.sender(&self.world, i, |_| false),
            Side::Outside => None,
        };
        let body = message.body().to_vec();
        if let Err(refused @ Refused::Stranger(_)) = self.take_report(&body, &i.flow, user) {
            let phrase = "Not A Party Of This Call";
            let why = format!("quality report refused: {refused}");
            let (status, reason) = (403, RejectReason::Source);
            return Err(BodyRefusal { status, phrase, why, reason, session: false });
        }
        if i.side == far.side {
            return Ok(());
        }
        let domain = self.upstreams.domain(&self.world, far.upstream);
        let veil = Veil::new(&self.world, &self.phones);
        let call = |id: &str| {
            let known = self.calls.far_report_id(&self.world, id, i.side, far.side);
            known.unwrap_or_else(|| veil.far_call_id(id, i.side, far.side))
        };
        let name = |id: &str| {
            let far = veil.far_name(id.as_bytes(), far.side, domain);
            String::from_utf8_lossy(&far).into_owned()
        };
        let renamed = vq_report::rename(&body, call, name).map_err(|why| BodyRefusal {
            status: 415,
            phrase: "Unsupported Media Type",
            why: format!("quality report cannot be read: {why}"),
            reason: RejectReason::Body,
            session: false,
        })?;
        message.set_body(renamed);
        Ok(())
    }

    fn take_report(&mut self, body: &[u8], flow: &Flow, user: Option<Aor>) -> Result<(), Refused> {
        let (w, phones, upstreams) = (&self.world, &self.phones, &self.upstreams);
        let (sender, streams) = (user.clone(), &self.streams);
        let fits = |near: &LegState| {
            let mut near = near.clone();
            find(w, phones, streams, &mut near, false);
            if near.flow == *flow {
                return Some(2);
            }
            if !may_speak(w, upstreams, &near, flow, false) {
                return None;
            }
            // Phones that share an address are told apart by what they registered.
            match sender.as_ref().and_then(|user| phones.is_of_flow(w, &near.flow, user)) {
                Some(theirs) => theirs.then_some(1),
                None => Some(0),
            }
        };
        let name = user.map(|aor| aor.user);
        self.calls.take_report(w, &mut self.out, body, (flow, name), &fits)
    }

    /// Answers what is our collector's.
    pub(super) fn collect(&mut self, a: &Attempt, server: ServerId) {
        let answer = self.publication(a);
        let mut response = answer.to(&self.world, &a.incoming.message);
        if answer.status == 200 && a.incoming.is(&Method::Publish) {
            let asked = header_seconds(a.incoming.message.text(&Name::Expires));
            let granted = asked.unwrap_or(LONGEST).min(LONGEST);
            response.push_back(Name::Expires, granted.to_string());
        }
        self.transactions.respond(&self.world, &mut self.out, server, &response);
    }

    /// RFC 3903 §6.
    fn publication(&mut self, a: &Attempt) -> Answer<'static> {
        let request = &a.incoming.message;
        let event = request.text(&Name::Event).unwrap_or_default();
        let package = event.split(';').next().unwrap_or_default().trim();
        if !package.eq_ignore_ascii_case(EVENT) {
            return Answer::new(489, "Bad Event").row(Name::parse("Allow-Events"), EVENT);
        }
        let Some(user) = a.sender.user.clone() else {
            self.out.stats_mut().vq_reports[1] += 1;
            return Answer::new(403, "Register First");
        };
        let tag = request.text(&Name::parse("SIP-If-Match")).map(str::trim);
        if tag.is_some_and(|t| !is_entity_tag(&self.world, &user, t)) {
            return Answer::new(412, "Conditional Request Failed");
        }
        let ok =
            Answer::new(200, "OK").row(Name::parse("SIP-ETag"), entity_tag(&self.world, &user));
        if request.body().is_empty() {
            // A refresh or a removal: what was reported stays reported.
            return if tag.is_some() { ok } else { Answer::new(400, "Nothing Published") };
        }
        let encoded = request.text(&Name::ContentEncoding);
        if !is_report(request)
            || encoded.is_some_and(|e| !e.trim().eq_ignore_ascii_case("identity"))
        {
            return Answer::new(415, "Unsupported Media Type").row(Name::Accept, TYPE);
        }
        let flow = a.incoming.flow;
        match self.take_report(request.body(), &flow, Some(user)) {
            Ok(()) if a.incoming.is(&Method::Publish) => ok,
            Ok(()) => Answer::new(200, "OK"),
            Err(Refused::Unreadable(_)) => Answer::new(400, "Unreadable Quality Report"),
            Err(Refused::NoCall) => Answer::new(404, "No Such Call"),
            Err(refused @ Refused::Stranger(_)) => {
                let detail = format!("quality report: {refused}");
                self.out.security(SecurityClass::InDialogSource, flow, detail);
                Answer::new(403, "Not A Party Of This Call")
            }
            Err(Refused::TooMany) => Answer::busy("Too Many Reports"),
        }
    }
}

/// A new one for each publication, of this user and this run.
fn entity_tag(w: &World, user: &Aor) -> String {
    let user = user.to_string();
    let number = w.number().to_string();
    let proof = w.derived(&[b"etag", user.as_bytes(), number.as_bytes()]);
    format!("{number}.{proof}")
}

fn is_entity_tag(w: &World, user: &Aor, tag: &str) -> bool {
    let user = user.to_string();
    tag.split_once('.').is_some_and(|(number, proof)| {
        proof == w.derived(&[b"etag", user.as_bytes(), number.as_bytes()])
    })
}
