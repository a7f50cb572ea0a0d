//! The collector of quality reports (RFC 6035 §3.1) where we are the phone system: PUBLISH (RFC
//! 3903) and NOTIFY that are for us. It keeps no publication: a report is taken when it comes, and
//! an entity tag proves itself.

use super::Engine;
use super::initial::Admitted;
use super::registrar::header_seconds;
use super::reports::{Refused, is_report};
use crate::wire::sip::{Message, Method, Name};

/// The event package (RFC 6035 §4.1).
const EVENT: &str = "vq-rtcpxr";
/// The media type of its bodies.
const TYPE: &str = "application/vq-rtcpxr";
/// The longest life of a publication that is granted, in seconds.
const LONGEST: u64 = 3_600;

/// An answer: status, phrase, a row of its own.
type Answer = (u16, &'static str, Option<(&'static str, String)>);

impl Engine {
    /// Whether an inside request for this site's domain is the collector's: every PUBLISH (there is
    /// no other service here), and reports that come as NOTIFY.
    pub(crate) fn is_collected(&self, request: &Message) -> bool {
        self.is_local_registrar()
            && (*request.method() == Method::Publish
                || *request.method() == Method::Notify && is_report(request))
    }

    /// Answers what `is_collected`.
    pub(crate) fn collect(&mut self, a: &Admitted) {
        let (status, phrase, row) = self.publication(a);
        let mut response = Message::response(&a.request, status, phrase);
        self.tag_response(&mut response);
        if let Some((name, value)) = row {
            response.push_back(Name::parse(name), value);
        }
        if status == 200 && *a.request.method() == Method::Publish {
            response.push_back(Name::Expires, granted(&a.request).to_string());
        }
        self.respond(a.server, &response);
    }

    /// RFC 3903 §6.
    fn publication(&mut self, a: &Admitted) -> Answer {
        let request = &a.request;
        let event = request.text(&Name::Event).unwrap_or_default();
        let package = event.split(';').next().unwrap_or_default().trim();
        if !package.eq_ignore_ascii_case(EVENT) {
            return (489, "Bad Event", Some(("Allow-Events", EVENT.to_owned())));
        }
        let Some(user) = a.sender.user.clone() else {
            self.stats.vq_reports[1] += 1;
            return (403, "Register First", None);
        };
        let tag = request.text(&Name::parse("SIP-If-Match")).map(str::trim);
        if tag.is_some_and(|t| !self.is_entity_tag(&user, t)) {
            return (412, "Conditional Request Failed", None);
        }
        if request.body().is_empty() {
            // A refresh or a removal: what was reported stays reported.
            return match tag {
                Some(_) => (200, "OK", Some(("SIP-ETag", self.entity_tag(&user)))),
                None => (400, "Nothing Published", None),
            };
        }
        let encoded = request.text(&Name::ContentEncoding);
        if !is_report(request)
            || encoded.is_some_and(|e| !e.trim().eq_ignore_ascii_case("identity"))
        {
            return (415, "Unsupported Media Type", Some(("Accept", TYPE.to_owned())));
        }
        match self.take_report(request.body(), &a.flow, Some(user.clone())) {
            Ok(()) if *request.method() == Method::Publish => {
                (200, "OK", Some(("SIP-ETag", self.entity_tag(&user))))
            }
            Ok(()) => (200, "OK", None),
            Err(Refused::Unreadable(_)) => (400, "Unreadable Quality Report", None),
            Err(Refused::NoCall) => (404, "No Such Call", None),
            Err(refused @ Refused::Stranger(_)) => {
                self.security("in_dialog_source", a.flow, format!("quality report: {refused}"));
                (403, "Not A Party Of This Call", None)
            }
            Err(Refused::TooMany) => {
                (503, "Too Many Reports", Some(("Retry-After", "10".to_owned())))
            }
        }
    }

    /// A new one for each publication, of this user and this run.
    fn entity_tag(&mut self, user: &str) -> String {
        let number = self.id().to_string();
        let proof = self.random.derived(&[b"etag", user.as_bytes(), number.as_bytes()]);
        format!("{number}.{proof}")
    }

    fn is_entity_tag(&self, user: &str, tag: &str) -> bool {
        tag.split_once('.').is_some_and(|(number, proof)| {
            proof == self.random.derived(&[b"etag", user.as_bytes(), number.as_bytes()])
        })
    }
}

/// At most what was asked for.
fn granted(request: &Message) -> u64 {
    header_seconds(request.text(&Name::Expires)).unwrap_or(LONGEST).min(LONGEST)
}
