//! What others are told of where we stand: nothing that we write anew names an address that we have
//! left. What is said of an earlier message is as that was: a CANCEL and the ACK of a refusal (RFC
//! 3261 §9.1, §17.1.1.3), what is repeated, a Contact that is taken back.

use super::super::Msg;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

/// A message: its branch, CSeq and status; an answer's: to whom.
type Said = (Option<SocketAddr>, String, String, u16);

#[derive(Debug, Default)]
pub(crate) struct Told {
    left: BTreeSet<IpAddr>,
    said: BTreeSet<Said>,
    /// An interface moves here.
    moves: bool,
}

impl Told {
    /// An interface has left some addresses, and come to others.
    pub(crate) fn moves(&mut self, was: &[IpAddr], is: &[IpAddr]) {
        self.moves = true;
        self.left.extend(was);
        self.left.retain(|ip| !is.contains(ip));
    }

    /// A message leaves the site.
    pub(crate) fn sent(&mut self, msg: &Msg) {
        if !self.moves {
            return;
        }
        let of_another = msg.is_request() && matches!(msg.method(), "ACK" | "CANCEL");
        let cseq = msg.all("CSeq").concat();
        // A request is said again to another port of its target, where that opened the connection.
        let peer = (!msg.is_request()).then_some(msg.flow.peer);
        let one = (peer, msg.branch().to_owned(), cseq, msg.status());
        let anew = self.said.insert(one) && !of_another;
        if self.left.is_empty() || !anew {
            return;
        }
        let via = msg.all("Via").into_iter().take(usize::from(msg.is_request()));
        let taken_back = |c: &&str| msg.method() == "REGISTER" && c.ends_with(";expires=0");
        let contacts = msg.list("Contact");
        let contacts = contacts.iter().map(String::as_str).filter(|c| !taken_back(c));
        // Ports at an address that was left are lent until their streams end; a new one is not.
        let body = Some(msg.body.as_str()).filter(|_| msg.is_request());
        let own = via.chain(contacts).chain(msg.all("Record-Route")).chain(body);
        for text in own {
            let named = self.left.iter().find(|ip| text.contains(&ip.to_string()));
            assert_eq!(named, None, "it names an address that was left: {text}\n{msg}");
        }
    }
}
