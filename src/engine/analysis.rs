//! Protocol analysis: what stands between the two faces. A request is read, checked in the order of
//! RFC 3261 §16.3, and handed to the face that admits it; what is refused here never comes further.

pub(crate) mod body;
pub(crate) mod headers;
pub(crate) mod judge;

use super::transaction::{Event, ServerKey};
use super::{Engine, Output};
use crate::audit::Record;
use crate::ground::{Flow, Side};
use crate::wire::sip::{Framing, Message, Method, Name, Refusal, RejectReason, Scheme, Uri, Via};
use bytes::Bytes;
use std::net::SocketAddr;

/// Methods the gateway names in Allow.
pub(crate) const ALLOW: &str = "INVITE, ACK, BYE, CANCEL, REGISTER, OPTIONS, PRACK, SUBSCRIBE, \
     NOTIFY, PUBLISH, INFO, REFER, MESSAGE, UPDATE";

impl Engine {
    /// One datagram or framed message.
    pub(crate) fn receive(&mut self, flow: Flow, bytes: Bytes) {
        let framing =
            if flow.transport.is_reliable() { Framing::Stream } else { Framing::Datagram };
        match Message::parse(bytes, framing) {
            Ok(message) if message.is_request() => self.receive_request(flow, message),
            Ok(message) => self.receive_response(flow, message),
            Err(refusal) => self.refuse_unread(flow, &refusal),
        }
    }

    /// A message that could not be read: answered if that is possible, always counted.
    pub(crate) fn refuse_unread(&mut self, flow: Flow, refusal: &Refusal) {
        self.count_rejected(flow, refusal.reason);
        self.security("malformed", flow, refusal.phrase.to_string());
        let Some(request) = &refusal.answerable else { return };
        let mut request = (**request).clone();
        let reply = self.stamp_via(&mut request, flow);
        self.refuse(&request, reply, refusal.status, &refusal.phrase, None);
    }

    fn receive_request(&mut self, flow: Flow, mut request: Message) {
        let side = self.net.side(flow.listener);
        let label = request.method().label();
        let index = super::stats::METHODS.iter().position(|m| *m == label).unwrap_or(14);
        if let Some(n) = self.stats.requests[side.index()].get_mut(index) {
            *n += 1;
        }
        let reply = self.stamp_via(&mut request, flow);
        let key = ServerKey::of(&request);
        let known = self.tx.find(&key);
        if *request.method() == Method::Ack {
            match known {
                Some(id) if self.tx.server(id).is_some_and(|t| t.refused()) => {
                    self.retransmitted(id, Event::Ack);
                }
                Some(_) | None => self.receive_ack(flow, &request),
            }
            return;
        }
        if let Some(id) = known {
            self.retransmitted(id, Event::Retransmission);
            return;
        }
        if *request.method() == Method::Cancel {
            self.receive_cancel(request, reply);
            return;
        }
        if let Some((status, phrase, reason, extra)) = self.check(&request, side) {
            self.count_rejected(flow, reason);
            self.refuse(&request, reply, status, phrase, extra);
            return;
        }
        if request.to_tag().is_some() && *request.method() != Method::Register {
            self.within_dialog(key, request, flow, reply);
        } else {
            self.outside_dialog(key, request, flow, reply);
        }
    }

    /// RFC 3261 §16.3: reasonable syntax was the wire's; then scheme, hops, loop, extensions.
    #[expect(clippy::type_complexity, reason = "status, phrase, label and an extra header")]
    fn check(
        &self,
        request: &Message,
        side: Side,
    ) -> Option<(u16, &'static str, RejectReason, Option<(Name, String)>)> {
        let uri = Uri::parse(request.uri().as_bytes());
        match uri.as_ref().map(|u| &u.scheme) {
            Some(Scheme::Sip | Scheme::Tel) => {}
            // sips asks for TLS on every hop (RFC 5630), which this gateway does not speak yet.
            Some(Scheme::Sips | Scheme::Other(_)) | None => {
                return Some((416, "Unsupported URI Scheme", RejectReason::Scheme, None));
            }
        }
        // A URI with headers may stand in a Contact, never in a start line (RFC 3261 §19.1.1).
        if uri.as_ref().is_some_and(|u| u.headers.is_some()) {
            return Some((400, "Headers In Request-URI", RejectReason::Malformed, None));
        }
        let to_us = *request.method() == Method::Options
            && uri.as_ref().is_some_and(|u| self.net.names_us(u));
        if request.max_forwards() == Some(0) && !to_us {
            return Some((483, "Too Many Hops", RejectReason::TooManyHops, None));
        }
        if self.is_loop(request, side) {
            return Some((482, "Loop Detected", RejectReason::Loop, None));
        }
        let wanted: Vec<String> = request
            .list(&Name::ProxyRequire)
            .map(|v| String::from_utf8_lossy(v).into_owned())
            .collect();
        if !wanted.is_empty() {
            let extra = Some((Name::Unsupported, wanted.join(", ")));
            return Some((420, "Bad Extension", RejectReason::Extension, extra));
        }
        None
    }

    /// A loop is a request that was here with the same routing fields (RFC 5393 §4.2); with another
    /// Request-URI it is a spiral.
    fn is_loop(&self, request: &Message, side: Side) -> bool {
        let mark = self.loop_mark(request, side);
        request.list(&Name::Via).filter_map(Via::parse).any(|via| {
            let ours = Uri::sip(None, &via.host, via.port);
            self.net.names_us(&ours)
                && via.branch().and_then(|b| b.rsplit_once('.')).is_some_and(|(_, m)| m == mark)
        })
    }

    /// The digest of what routes a request: goes into our branch.
    ///
    /// The side is part of it: what left to the PBX and comes back unchanged goes to a phone now.
    pub(crate) fn loop_mark(&self, request: &Message, side: Side) -> String {
        let mut parts: Vec<&[u8]> = vec![
            side.as_str().as_bytes(),
            request.uri().as_bytes(),
            request.call_id().as_bytes(),
            request.from_tag().unwrap_or_default().as_bytes(),
            request.to_tag().unwrap_or_default().as_bytes(),
        ];
        let seq = request.cseq().seq.to_be_bytes();
        parts.push(&seq);
        let routes: Vec<&[u8]> = request.rows(&Name::Route).collect();
        parts.extend(routes);
        self.random.derived(&parts)
    }

    /// Writes `received` and `rport` into the top Via (RFC 3261 §18.2.1, RFC 3581 §4); tells where
    /// the answers go.
    fn stamp_via(&self, request: &mut Message, flow: Flow) -> Flow {
        let Some(mut via) = request.pop_first(&Name::Via).and_then(|v| Via::parse(&v)) else {
            return flow;
        };
        let source = flow.peer;
        let asked = via.params.get("rport").is_some();
        let forced = self.net.interface(flow.listener).is_some_and(|i| i.force_rport);
        let written = Uri::sip(None, &via.host, None).host_ip();
        if asked || written != Some(source.ip()) {
            via.params.set("received", Some(&source.ip().to_string()));
        }
        if asked {
            via.params.set("rport", Some(&source.port().to_string()));
        }
        let port = if asked || forced { source.port() } else { via.port.unwrap_or(5060) };
        request.push_front(Name::Via, via.to_string());
        if flow.transport.is_reliable() {
            return flow;
        }
        Flow { peer: SocketAddr::new(source.ip(), port), ..flow }
    }

    /// One stateless answer (RFC 3261 §8.2.7), never longer than 1.5 times its request.
    pub(crate) fn refuse(
        &mut self,
        request: &Message,
        reply: Flow,
        status: u16,
        phrase: &str,
        extra: Option<(Name, String)>,
    ) {
        self.answer_stateless(request, reply, status, phrase, extra.into_iter().collect());
    }

    pub(crate) fn answer_stateless(
        &mut self,
        request: &Message,
        reply: Flow,
        status: u16,
        phrase: &str,
        extra: Vec<(Name, String)>,
    ) {
        if *request.method() == Method::Ack {
            return;
        }
        let mut response = Message::response(request, status, phrase);
        self.tag_response(&mut response);
        for (name, value) in extra {
            response.push_back(name, value);
        }
        let bytes = response.to_bytes();
        let room = request.to_bytes().len();
        if bytes.len() * 2 > room.max(200) * 3 {
            return;
        }
        let side = self.net.side(reply.listener);
        let class = usize::from(status / 100).clamp(1, 6) - 1;
        self.stats.responses[side.index()][class] += 1;
        self.emit(Output::Transmit { flow: reply, bytes });
    }

    pub(crate) fn count_rejected(&mut self, flow: Flow, reason: RejectReason) {
        let side = self.net.side(flow.listener).index();
        if let Some(i) = RejectReason::ALL.iter().position(|r| *r == reason) {
            self.stats.rejected[side][i] += 1;
        }
    }

    pub(crate) fn security(&mut self, class: &'static str, flow: Flow, detail: String) {
        let source = Some(flow.peer);
        self.record(Record::Security { class, source, count: 1, detail });
    }
}
