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

/// Sends one stateless answer of at most 1.5 times the `octets` that came: what need not be said
/// goes first, else nothing is said. ACK is never answered.
pub(crate) fn send(
    w: &World,
    out: &mut Outbox,
    (request, octets): (&Message, usize),
    reply: Flow,
    answer: &Answer<'_>,
) {
    if *request.method() == Method::Ack {
        return;
    }
    let Some(response) = fit(answer.to(w, request), most(octets)) else { return };
    out.count_response(w.side(reply.listener), &response);
    out.transmit(reply, response.to_bytes());
}

/// Octets of answers to so many of a request, where the address that it is from may be forged.
pub(crate) fn most(octets: usize) -> usize {
    octets.saturating_mul(3) / 2
}

/// The answer in at most so many octets: what need not be said goes first; `None`: what is left
/// does not fit.
pub(crate) fn fit(mut response: Message, most: usize) -> Option<Message> {
    while response.to_bytes().len() > most {
        if !shorten(&mut response) {
            return None;
        }
    }
    Some(response)
}

/// Leaves out the rows that tell of us only, then one algorithm of several; false: all that is left
/// must be said.
fn shorten(response: &mut Message) -> bool {
    let spare = [Name::Server, Name::Allow, Name::Accept];
    if spare.iter().any(|name| response.has(name)) {
        response.retain(|name, _| !spare.contains(name));
        return true;
    }
    // MD5 is last: what every phone understands is what stays.
    let several = |name: &Name| response.rows(name).count() > 1;
    let challenges = [Name::WwwAuthenticate, Name::ProxyAuthenticate];
    let Some(several) = challenges.into_iter().find(several) else { return false };
    // A row whole: the commas of a challenge stand between its parameters.
    let mut is_first = true;
    response.retain(|name, _| *name != several || !std::mem::take(&mut is_first)) > 0
}

/// A challenge of one algorithm to a phone that knows no other.
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
    Answer { status, phrase, rows }
}

/// Where answers to a request go that could not be read whole; its top Via is stamped.
pub(crate) fn way(w: &World, request: &mut Message, flow: Flow) -> Flow {
    let Some(via) = request.pop_first(&Name::Via).and_then(|v| Via::parse(&v)) else { return flow };
    let (via, reply) = stamped(w, via, flow);
    request.push_front(Name::Via, via.to_string());
    reply
}
