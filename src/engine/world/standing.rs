//! Where an interface that follows a device stands, and where it stood until lately: what we wrote
//! there is ours as long as others may send it back. Whether an address may be one of ours, who
//! asks here has decided.

use super::seal::Role;
use super::{Net, Snapshot, World};
use crate::config::{Address, Found, Interface};
use crate::ground::Mono;
use crate::wire::sip::Uri;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Whoever was told an address of ours may send it back for so long: dialogs last.
const OURS: Duration = Duration::from_secs(86_400);
/// Addresses that are remembered so; the oldest give way.
const MOST: usize = 16;

/// An address that others were told, and until when they may say it.
pub(super) type Left = (IpAddr, Mono);

impl World {
    /// An interface stands there from now on.
    pub(crate) fn stand(&mut self, interface: usize, found: Found) {
        let mut snap = Snapshot::clone(&self.snap);
        let Some(i) = snap.config.interfaces.get_mut(interface) else { return };
        let told = |i: &Interface| -> Vec<IpAddr> {
            i.addresses.iter().map(Address::advertised).collect()
        };
        let before = told(i);
        i.addresses = i.addresses.at(found);
        let after = told(i);
        let now = self.now.mono;
        self.left.retain(|(ip, until)| *until > now && !after.contains(ip));
        let left = before.into_iter().filter(|ip| !after.contains(ip));
        self.left.extend(left.map(|ip| (ip, now + OURS)));
        let more = self.left.len().saturating_sub(MOST);
        self.left.drain(..more);
        self.snap = Arc::new(snap);
        self.net = Net::new(&self.snap.config);
        self.tell_net();
    }

    /// Others were told so of us, and no interface stands there any more.
    pub(crate) fn has_left(&self, ip: IpAddr) -> bool {
        self.left.iter().any(|(left, until)| *left == ip && *until > self.now.mono)
    }

    /// A URI that we wrote, or that names us: also by an address that was ours until lately, where
    /// it bears what we sealed.
    pub(crate) fn is_own(&self, uri: &Uri) -> bool {
        let sealed = |user: &str| {
            [Role::Route, Role::Contact].iter().any(|r| self.sealer.open(*r, user).is_some())
        };
        self.net.names_us(uri)
            || uri.host_ip().is_some_and(|ip| self.has_left(ip))
                && uri.user.as_deref().is_some_and(sealed)
    }
}

/// A configuration that others hand in, with interfaces where they stand now.
pub(super) fn standing(snap: Arc<Snapshot>, running: &Snapshot) -> Arc<Snapshot> {
    let moves = |i: &Interface| i.addresses.following().is_some();
    if !snap.config.interfaces.iter().any(moves) {
        return snap;
    }
    let mut new = Snapshot::clone(&snap);
    new.config.stand_as(&running.config);
    Arc::new(new)
}

/// As it is before anybody has said where interfaces that follow something stand.
pub(super) fn nowhere(snap: Arc<Snapshot>) -> Arc<Snapshot> {
    let stands = |i: &Interface| i.addresses.following().is_some() && !i.addresses.are_away();
    if !snap.config.interfaces.iter().any(stands) {
        return snap;
    }
    let mut new = Snapshot::clone(&snap);
    new.config = new.config.unsettled();
    Arc::new(new)
}
