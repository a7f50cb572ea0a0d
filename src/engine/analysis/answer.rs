//! Answers without a transaction (RFC 3261 §8.2.7): one for a request, never much larger than it,
//! so that a forged source address gains nothing. What they say is their caller's word.

use super::incoming::stamped;
use crate::engine::outbox::Outbox;
use crate::engine::world::World;
use crate::ground::Flow;
use crate::wire::sip::{Message, Method, Name, Via};

/// What an answer says.
#[derive(Clone, Debug)]
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) phrase: &'a str,
    /// Further rows.
    pub(crate) rows: Vec<(Name, String)>,
}

impl<'a> Answer<'a> {
    pub(crate) fn new(status: u16, phrase: &'a str) -> Self {
        Self { status, phrase, rows: Vec::new() }
    }

    pub(crate) fn row(mut self, name: Name, value: impl Into<String>) -> Self {
        self.rows.push((name, value.into()));
        self
    }

    /// 503 with the time after which another try makes sense.
    pub(crate) fn busy(phrase: &'a str) -> Self {
        Self::new(503, phrase).row(Name::RetryAfter, "10")
    }

    /// The response to a request, as a transaction would send it.
    pub(crate) fn to(&self, w: &World, request: &Message) -> Message {
        let mut response = w.answer(request, self.status, self.phrase);
        for (name, value) in &self.rows {
            response.push_back(name.clone(), value.clone());
        }
        response
    }
}

/// Sends one stateless answer, never longer than 1.5 times its request; ACK is never answered.
pub(crate) fn send(
    w: &World,
    out: &mut Outbox,
    request: &Message,
    reply: Flow,
    answer: &Answer<'_>,
) {
    if *request.method() == Method::Ack {
        return;
    }
    let response = answer.to(w, request);
    let bytes = response.to_bytes();
    let room = request.to_bytes().len();
    if bytes.len() * 2 > room.max(200) * 3 {
        return;
    }
    out.count_response(w.side(reply.listener), &response);
    out.transmit(reply, bytes);
}

/// A challenge, shortened to one algorithm where both would amplify.
pub(crate) fn challenge<'a>(
    request: &Message,
    status: u16,
    phrase: &'a str,
    mut rows: Vec<(Name, String)>,
) -> Answer<'a> {
    let agent = request.text(&Name::UserAgent).unwrap_or_default();
    if crate::engine::digest::knows_md5_only(agent) {
        rows.retain(|(_, value)| value.contains("MD5"));
    }
    let room = request.to_bytes().len() * 3 / 2;
    let base = Message::response(request, status, phrase).to_bytes().len() + 30;
    let size = |rows: &[(Name, String)]| rows.iter().map(|r| r.1.len() + 22).sum::<usize>();
    // MD5 is last: what every phone understands is what stays.
    while rows.len() > 1 && base + size(&rows) > room {
        rows.remove(0);
    }
    Answer { status, phrase, rows }
}

/// Rows that fit beside an answer's own within 1.5 times the request; else none.
pub(crate) fn fitting<'a>(request: &Message, answer: Answer<'a>) -> Answer<'a> {
    let size: usize = answer.rows.iter().map(|(_, value)| value.len() + 12).sum();
    let bare = Message::response(request, answer.status, answer.phrase).to_bytes().len() + 30;
    if (bare + size) * 2 <= request.to_bytes().len() * 3 {
        return answer;
    }
    Answer::new(answer.status, answer.phrase)
}

/// Where answers to a request go that could not be read whole; its top Via is stamped.
pub(crate) fn way(w: &World, request: &mut Message, flow: Flow) -> Flow {
    let Some(via) = request.pop_first(&Name::Via).and_then(|v| Via::parse(&v)) else { return flow };
    let (via, reply) = stamped(w, via, flow);
    request.push_front(Name::Via, via.to_string());
    reply
}
