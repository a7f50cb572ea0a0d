//! Requests that a client transaction makes of the one it sent: CANCEL and the ACK to a failure. It
//! sends nothing.

use crate::wire::sip::{Message, Method, Name};

/// The CANCEL of a request (§9.1): same Via, URI and route.
pub(super) fn cancel_for(sent: &Message) -> Message {
    let mut cancel = Message::request(Method::Cancel, sent.uri());
    if let Some(via) = sent.list(&Name::Via).next() {
        cancel.push_back(Name::Via, via);
    }
    cancel.push_back(Name::MaxForwards, "70");
    for name in [Name::Route, Name::From, Name::To, Name::CallId] {
        for value in sent.rows(&name) {
            cancel.push_back(name.clone(), value);
        }
    }
    cancel.push_back(Name::CSeq, format!("{} CANCEL", sent.cseq().seq));
    cancel
}

/// The ACK for a final answer other than 2xx (RFC 3261 §17.1.1.3).
pub(super) fn ack_for(invite: &Message, response: &Message) -> Message {
    let mut ack = Message::request(Method::Ack, invite.uri());
    if let Some(via) = invite.list(&Name::Via).next() {
        ack.push_back(Name::Via, via);
    }
    ack.push_back(Name::MaxForwards, "70");
    for value in invite.rows(&Name::Route) {
        ack.push_back(Name::Route, value);
    }
    for (name, from) in [(Name::From, invite), (Name::To, response), (Name::CallId, invite)] {
        if let Some(value) = from.first(&name) {
            ack.push_back(name, value);
        }
    }
    ack.push_back(Name::CSeq, format!("{} ACK", invite.cseq().seq));
    ack
}
