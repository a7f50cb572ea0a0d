//! Our own Contact and Record-Route of a call: what they seal, and what one that comes back stands
//! for (house decision 6). A token holds no number of this process: it opens after a restart, and
//! on every node that has the key and the call.

use super::call::LegState;
use super::{Call, Calls};
use crate::engine::seal::Role;
use crate::engine::world::World;
use crate::ground::{CallNo, Leg, ListenerId, Side};
use crate::wire::sip::Uri;
use std::net::IpAddr;

impl Calls {
    /// The Contact by which one leg's party is reached through us. Inside it bears the upstream's
    /// domain, and our Record-Route leads there: a phone computes its digest over this URI, and our
    /// inside address in it would travel outside where nobody can overwrite it.
    pub(crate) fn leg_contact(
        &self,
        w: &World,
        egress: ListenerId,
        no: CallNo,
        leg: Leg,
        party: &LegState,
        domain: Option<&str>,
    ) -> Uri {
        let user = self.leg_token(w, Role::Contact, no, leg, party.flow.peer.ip());
        match (w.side(egress), domain) {
            (Side::Inside, Some(domain)) => Uri::sip(Some(&user), domain, None),
            (Side::Inside | Side::Outside, _) => w.net().uri(egress, Some(&user)),
        }
    }

    /// Our Record-Route for a call on a socket.
    pub(crate) fn leg_route(
        &self,
        w: &World,
        egress: ListenerId,
        no: CallNo,
        leg: Leg,
        peer: IpAddr,
    ) -> Uri {
        let user = self.leg_token(w, Role::Route, no, leg, peer);
        let mut uri = w.net().uri(egress, Some(&user));
        uri.params.set("lr", None);
        uri
    }

    fn leg_token(&self, w: &World, role: Role, no: CallNo, leg: Leg, peer: IpAddr) -> String {
        let token = self.table.get(no).map_or(0, |c| c.token);
        let mut plain = vec![b'D'];
        plain.extend_from_slice(&token.to_be_bytes());
        plain.push(u8::try_from(leg.index()).unwrap_or_default());
        match peer {
            IpAddr::V4(v4) => plain.extend_from_slice(&v4.octets()),
            IpAddr::V6(v6) => plain.extend_from_slice(&v6.octets()),
        }
        w.sealer().seal(role, &plain)
    }

    /// The call and leg a Contact of ours stands for.
    pub(super) fn open_leg(&self, w: &World, uri: &Uri) -> Option<(&Call, Leg)> {
        let plain = w.sealer().open(Role::Contact, uri.user.as_deref()?)?;
        let (token, rest) = plain.strip_prefix(b"D")?.split_at_checked(8)?;
        let call = self.table.by_token(u64::from_be_bytes(token.try_into().ok()?))?;
        let leg = if rest.first()? == &0 { Leg::Caller } else { Leg::Callee };
        Some((call, leg))
    }

    /// What a Contact of ours stands for: the far party's own.
    pub(crate) fn open_contact(&self, w: &World, uri: &Uri) -> Option<Uri> {
        let (call, leg) = self.open_leg(w, uri)?;
        match leg {
            Leg::Caller => call.caller.contact.clone(),
            Leg::Callee => call.main_fork().and_then(|f| f.callee.contact.clone()),
        }
    }

    /// The other leg's Call-ID of the dialog that `Replaces` (or the like) names on `side`.
    pub(crate) fn translate(
        &self,
        side: Side,
        call_id: &str,
        tags: (&str, &str),
    ) -> Option<String> {
        let find = |x: &str, y: &str| {
            self.table.find(&(side, call_id.to_owned(), x.to_owned(), y.to_owned()))
        };
        let (a, b) = tags;
        let (no, leg) = find(a, b).or_else(|| find(b, a))?;
        let call = self.table.get(no)?;
        match leg {
            Leg::Caller => call.main_fork().map(|f| f.callee.call_id.clone()),
            Leg::Callee => Some(call.caller.call_id.clone()),
        }
    }
}
