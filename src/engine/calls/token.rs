//! Our own Contact and Record-Route of a call: what they seal, and what one that comes back stands
//! for (house decision 6). A token holds no number of this process: it opens after a restart, and
//! on every node that has the key and the call.

use super::{Call, Calls, Fork, LegState};
use crate::audit::EndedBy;
use crate::engine::analysis::Incoming;
use crate::engine::ids::UpstreamId;
use crate::engine::seal::{Role, Sealer};
use crate::engine::world::World;
use crate::ground::{CallNo, Leg, ListenerId, Side};
use crate::wire::sip::{Name, NameAddr, Uri};
use sha2::{Digest, Sha256};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Characters of a token that was shown to an IPv4 and to an IPv6 address.
const LENGTHS: [usize; 2] = [47, 63];

/// Record-Routes of ours in one request that are looked at: each side sees one.
const MOST: usize = 4;

/// Whom a Contact or Record-Route of ours stands for, and who is shown it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Face<'a> {
    pub(crate) call: CallNo,
    /// Who is reached by it.
    pub(crate) leg: Leg,
    /// The callee's tag, once there is one; counts where the callee is reached.
    pub(crate) tag: Option<&'a str>,
    /// Whom it is shown to.
    pub(crate) peer: IpAddr,
    /// The socket it is shown by.
    pub(crate) egress: ListenerId,
}

/// Who wants to know what a name of ours stands for.
pub(crate) struct Asker<'a> {
    pub(crate) side: Side,
    /// Where it sends from.
    pub(crate) at: IpAddr,
    /// The same party has this address, too.
    pub(crate) is_kin: &'a dyn Fn(IpAddr) -> bool,
}

/// What a token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token {
    /// The call's own.
    call: u64,
    /// Who is reached by it.
    leg: Leg,
    /// Which callee; 0: the caller, or the callee that was not known yet.
    fork: u32,
    /// Whom it was shown to.
    pub(super) peer: IpAddr,
}

impl Token {
    fn seal(self, sealer: &Sealer, role: Role) -> String {
        let mut plain = vec![b'D'];
        plain.extend_from_slice(&self.call.to_be_bytes());
        plain.push(u8::try_from(self.leg.index()).unwrap_or_default());
        plain.extend_from_slice(&self.fork.to_be_bytes());
        match self.peer {
            IpAddr::V4(v4) => plain.extend_from_slice(&v4.octets()),
            IpAddr::V6(v6) => plain.extend_from_slice(&v6.octets()),
        }
        sealer.seal(role, &plain)
    }

    fn open(sealer: &Sealer, role: Role, text: &str) -> Option<Self> {
        let plain = sealer.open(role, text)?;
        let (call, rest) = plain.strip_prefix(b"D")?.split_first_chunk::<8>()?;
        let (leg, rest) = rest.split_first()?;
        let (fork, peer) = rest.split_first_chunk::<4>()?;
        let v4 = <[u8; 4]>::try_from(peer).map(|o| IpAddr::V4(Ipv4Addr::from(o)));
        let v6 = || <[u8; 16]>::try_from(peer).map(|o| IpAddr::V6(Ipv6Addr::from(o)));
        Some(Self {
            call: u64::from_be_bytes(*call),
            leg: if *leg == 0 { Leg::Caller } else { Leg::Callee },
            fork: u32::from_be_bytes(*fork),
            peer: v4.or_else(|_| v6()).ok()?,
        })
    }

    /// It was shown to this party of this call: the sender of what bears it.
    pub(super) fn fits(&self, call: &Call, sender: Leg, tag: &str) -> bool {
        self.call == call.token
            && self.leg == sender.other()
            && (self.fork == 0 || self.fork == mark(tag))
    }

    fn fork<'a>(&self, call: &'a Call) -> Option<&'a Fork> {
        call.forks.iter().find(|f| mark(&f.tag) == self.fork)
    }
}

/// What stands for a callee's tag in a token; the same on every node.
fn mark(tag: &str) -> u32 {
    let digest: [u8; 32] = Sha256::digest(tag).into();
    digest.first_chunk::<4>().map_or(1, |c| u32::from_be_bytes(*c) | 1)
}

/// As long as ours and of the same letters: it was meant to be one.
fn is_shaped(user: &str) -> bool {
    let letter = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    LENGTHS.contains(&user.len()) && user.bytes().all(letter)
}

impl Calls {
    /// The Contact by which one leg's party is reached through us. Inside it bears the upstream's
    /// domain, and our Record-Route leads there: a phone computes its digest over this URI, and our
    /// inside address in it would travel outside where nobody can overwrite it.
    pub(crate) fn leg_contact(&self, w: &World, face: Face<'_>, domain: Option<&str>) -> Uri {
        let user = self.token(face).seal(w.sealer(), Role::Contact);
        let uri = match (w.side(face.egress), domain) {
            (Side::Inside, Some(domain)) => Uri::sip(Some(&user), domain, None),
            (Side::Inside | Side::Outside, _) => w.net().uri(face.egress, Some(&user)),
        };
        if self.is_secure(w, face) { uri.secured() } else { uri }
    }

    /// Our Record-Route for a call on a socket. `None`: what others are told of us there changes,
    /// and a route set stays as long as its dialog (RFC 3261 §12.2.1.2); our Contact leads here
    /// alone, and can be renewed.
    pub(crate) fn leg_route(&self, w: &World, face: Face<'_>) -> Option<Uri> {
        if w.net().is_told_anew(face.egress) {
            return None;
        }
        let user = self.token(face).seal(w.sealer(), Role::Route);
        let mut uri = w.net().uri(face.egress, Some(&user));
        if self.is_secure(w, face) {
            uri = uri.secured();
        }
        uri.params.set("lr", None);
        Some(uri)
    }

    /// The call began by `sips:`, and TLS is spoken there (RFC 5630 §5.1.1, §5.3).
    fn is_secure(&self, w: &World, face: Face<'_>) -> bool {
        let tls = w.net().listener(face.egress).is_some_and(|l| l.transport.is_secure());
        tls && self.table.get(face.call).is_some_and(|c| c.secure)
    }

    fn token(&self, face: Face<'_>) -> Token {
        let tag = face.tag.filter(|_| face.leg == Leg::Callee);
        Token {
            call: self.table.get(face.call).map_or(0, |c| c.token),
            leg: face.leg,
            fork: tag.map_or(0, mark),
            peer: face.peer,
        }
    }

    /// What our names in a request seal: its Routes that name us, and its Request-URI. `None`: one
    /// that was meant to be ours does not open.
    pub(super) fn tokens(&self, w: &World, i: &Incoming) -> Option<Vec<Token>> {
        let mut tokens = Vec::new();
        for route in i.message.list(&Name::Route).filter_map(NameAddr::parse) {
            // An outbound proxy as phones are configured with it says nothing of a dialog.
            let ours = w.is_own(&route.uri);
            if let Some(user) = route.uri.user.as_deref().filter(|u| ours && is_shaped(u)) {
                tokens.push(Token::open(w.sealer(), Role::Route, user)?);
            }
        }
        if let Some(user) = i.uri.user.as_deref().filter(|u| is_shaped(u)) {
            tokens.push(Token::open(w.sealer(), Role::Contact, user)?);
        }
        Some(tokens)
    }

    /// The call whose other pass begins with this request: it bears what that call's far side was
    /// shown (in a Record-Route or the Contact), under the same Call-ID and From tag, and comes by
    /// the side, and from whom, it was shown to.
    pub(crate) fn pass_before(
        &self,
        w: &World,
        i: &Incoming,
        upstream: Option<UpstreamId>,
        was_shown: impl Fn(IpAddr) -> bool,
    ) -> Option<u64> {
        let fits = |token: &Token| {
            let call = self.table.by_token(token.call)?;
            let asked = call.asked.as_ref()?;
            let same = asked.side == i.side
                && asked.upstream == upstream
                && asked.call_id == i.call_id()
                && call.caller_tag == i.own_tag();
            let shown = token.leg == Leg::Caller && was_shown(token.peer);
            (same && shown).then_some(call.token)
        };
        self.shown(w, i).iter().find_map(fits)
    }

    /// What our names in a request say of who sent it: its Record-Routes that name us, its Contact.
    fn shown(&self, w: &World, i: &Incoming) -> Vec<Token> {
        let routes = i.message.list(&Name::RecordRoute).filter_map(NameAddr::parse);
        let ours = routes.filter(|n| w.is_own(&n.uri)).map(|n| (Role::Route, n.uri));
        let contact = i.contact().map(|uri| (Role::Contact, uri));
        let all = ours.chain(contact).take(MOST);
        let open = |(role, uri): (Role, Uri)| {
            let user = uri.user.as_deref().filter(|u| is_shaped(u))?;
            Token::open(w.sealer(), role, user)
        };
        all.filter_map(open).collect()
    }

    /// A Contact of ours is of the other pass of this call.
    pub(crate) fn is_pass(&self, w: &World, no: CallNo, uri: &Uri) -> bool {
        self.pass_at(w, no, uri).is_some()
    }

    /// The socket that the other pass of this call is asked at, where this is its Contact, whatever
    /// host it names.
    pub(crate) fn pass_at(&self, w: &World, no: CallNo, uri: &Uri) -> Option<ListenerId> {
        let user = uri.user.as_deref().filter(|u| is_shaped(u))?;
        let token = Token::open(w.sealer(), Role::Contact, user)?;
        let (other, asker) = self.of_token(&token)?;
        self.table.get(no).filter(|one| self.table.are_passes(one, other))?;
        let leg = match asker {
            Leg::Caller => &other.caller,
            Leg::Callee => other.callee()?,
        };
        Some(leg.flow.listener)
    }

    /// The other passes of a call, and by whom each ends where this one is hung up and nobody
    /// stands between.
    pub(crate) fn other_passes(&self, no: CallNo) -> Vec<(CallNo, EndedBy)> {
        self.table.get(no).map(|call| self.table.passes_of(call)).unwrap_or_default()
    }

    /// The call has another pass.
    pub(crate) fn has_pass(&self, no: CallNo) -> bool {
        self.table.get(no).is_some_and(|call| self.table.is_spiral(call))
    }

    /// The call of a token, and who sends what bears it.
    pub(super) fn of_token(&self, token: &Token) -> Option<(&Call, Leg)> {
        Some((self.table.by_token(token.call)?, token.leg.other()))
    }

    /// What a Contact of ours stands for: the far party's own. It opens for whom it was shown to,
    /// on his side: at that address, or where he has moved to. With it, the side it stands on.
    pub(crate) fn open_contact(&self, w: &World, uri: &Uri, by: &Asker<'_>) -> Option<(Uri, Side)> {
        let user = uri.user.as_deref().filter(|u| is_shaped(u))?;
        let token = Token::open(w.sealer(), Role::Contact, user)?;
        let call = self.table.by_token(token.call)?;
        let moved = |leg: &LegState| leg.flow.peer.ip() == by.at;
        let (side, follows) = match token.leg {
            Leg::Callee => (call.caller.side, moved(&call.caller)),
            Leg::Caller => (
                call.asked.as_ref().or(call.forks.first().map(|f| &f.callee))?.side,
                call.forks.iter().any(|f| moved(&f.callee)),
            ),
        };
        if side != by.side || !(token.peer == by.at || follows || (by.is_kin)(token.peer)) {
            return None;
        }
        let leg = match token.leg {
            Leg::Caller => &call.caller,
            Leg::Callee => &token.fork(call)?.callee,
        };
        leg.contact.clone().map(|contact| (contact, leg.side))
    }

    /// The other leg's Call-ID of the dialog that `Replaces` (or the like) names on `side`.
    pub(crate) fn translate(
        &self,
        side: Side,
        call_id: &str,
        tags: (&str, &str),
    ) -> Option<String> {
        let find = |x: &str, y: &str| {
            let (no, leg) =
                self.table.find(&(side, call_id.to_owned(), x.to_owned(), y.to_owned()))?;
            let call = self.table.get(no)?;
            match leg {
                Leg::Caller => call.fork(y).map(|f| f.callee.call_id.clone()),
                Leg::Callee => Some(call.caller.call_id.clone()),
            }
        };
        let (a, b) = tags;
        find(a, b).or_else(|| find(b, a))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_opens_on_every_node_with_the_key_and_nowhere_else() {
        let node = || Sealer::new(&[(1, [3; 64])]);
        for (peer, length) in [("192.0.2.1", LENGTHS[0]), ("2001:db8::1", LENGTHS[1])] {
            let peer = peer.parse().expect("an address");
            let token = Token { call: 77, leg: Leg::Callee, fork: mark("b"), peer };
            let text = token.seal(&node(), Role::Route);
            assert_eq!(text.len(), length, "at most 64 octets");
            assert!(is_shaped(&text));
            assert_eq!(Token::open(&node(), Role::Route, &text), Some(token));
            assert_eq!(Token::open(&node(), Role::Contact, &text), None);
            let other = Sealer::new(&[(1, [4; 64])]);
            assert_eq!(Token::open(&other, Role::Route, &text), None);
        }
        assert_ne!(mark("a"), mark("b"));
        assert_ne!(mark(""), 0);
    }
}
