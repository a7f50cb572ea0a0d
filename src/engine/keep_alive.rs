//! Keep-alives by datagrams (RFC 5626 §4.4): a ping of two blank lines, a binding request of STUN.
//! Who is known is answered; a stranger where strangers are, as seldom and as shortly as else. They
//! prove nothing and change nothing.

use super::proxy_client::{is_silent_to, standing_of};
use super::stats::Ping;
use super::watch::Watch;
use crate::ground::Flow;
use crate::wire::stun::{self, Binding, Stun};
use bytes::Bytes;

/// What keeps a way open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum KeepAlive {
    /// Two blank lines, answered by one.
    Blank,
    /// Where do I come from?
    Binding(Binding),
    /// It asks for nothing.
    Mute,
}

/// Reads a datagram; `None`: it is something else.
pub(super) fn read(flow: &Flow, bytes: &[u8]) -> Option<KeepAlive> {
    if flow.transport.is_reliable() {
        return None;
    }
    if bytes == b"\r\n\r\n" {
        return Some(KeepAlive::Blank);
    }
    match stun::read(bytes)? {
        Stun::Binding(binding) => Some(KeepAlive::Binding(binding)),
        Stun::Other => Some(KeepAlive::Mute),
    }
}

impl Watch<'_> {
    /// Answers one of so many octets.
    pub(super) fn keep_alive(&mut self, flow: Flow, asked: &KeepAlive, octets: usize) {
        let (kind, answer) = match asked {
            KeepAlive::Blank => (Ping::Crlf, b"\r\n".to_vec()),
            KeepAlive::Binding(binding) => (Ping::Stun, binding.answer(flow.peer)),
            KeepAlive::Mute => return,
        };
        let (w, upstreams, phones) = (self.w, self.upstreams, &*self.phones);
        let known = phones.is_known(w, &flow) || upstreams.of_flow(w, &flow).is_some();
        if !known {
            // His address may be another's: no answer is much longer than what came.
            let long = answer.len() * 2 > octets.saturating_mul(3);
            let silent = is_silent_to(w, upstreams, phones, &flow);
            let by = (&flow, standing_of(w, upstreams, phones, &flow));
            if long || silent || !self.guard.has_room(w, self.out, by, || false) {
                return;
            }
        }
        self.out.stats_mut().pings[kind as usize] += 1;
        self.out.transmit(flow, Bytes::from(answer));
    }
}
