//! Bindings: address of record ↔ contact, with the flow it came by. A table in which nothing is
//! found by walking through it: every question has its index. It never talks to anybody.

mod waiting;

use crate::engine::entry::{Reach, StoredBinding};
use crate::engine::stats::Places;
use crate::engine::world::{Host, Net, World};
use crate::ground::{ConnId, Flow, Now, Transport, Wall};
use crate::policy::quota::{Full, Holder, Quota, Resource, ShareView, Shares};
use crate::wire::sip::{Aor, Uri};
use smallvec::SmallVec;
use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
pub(super) use waiting::Gone;
use waiting::Waiting;

/// One binding.
#[derive(Clone, Debug)]
pub(crate) struct Binding {
    /// The sealed contact's user part: unique, and what an upstream sends back to us.
    pub(crate) key: String,
    /// Whose it is.
    pub(crate) aor: Aor,
    /// The phone's Contact URI as it gave it.
    pub(crate) contact: Uri,
    /// The way to the phone.
    pub(crate) flow: Flow,
    /// Where it sends from: another port than it listens on, for phones that say so by what they
    /// write (see `Incoming::way`).
    pub(crate) source: SocketAddr,
    /// The host that both are of.
    pub(crate) host: Host,
    /// The socket it registered at.
    pub(crate) local: SocketAddr,
    /// When it ends, by the clock that nobody sets ([`World::steady`]).
    pub(crate) expires: Wall,
    /// Call-ID and CSeq of the REGISTER that made it (RFC 3261 §10.3 step 7).
    pub(crate) call_id: String,
    /// CSeq number.
    pub(crate) cseq: u32,
    /// Upstream that granted it; empty: we did.
    pub(crate) upstream: String,
    /// Its way to that upstream's services, nearest first (RFC 3608).
    pub(crate) service_route: Vec<String>,
    /// Which phone it is, where that says so (RFC 5626 §4.1).
    pub(crate) instance: Option<String>,
    /// We granted it in the upstream's place, which did not answer.
    pub(crate) edge: bool,
    /// Who holds its place.
    pub(crate) holder: Holder,
    /// How old it is among all; the table says so.
    pub(crate) age: Age,
}

/// When a binding began and was refreshed last, among all: higher is later, and 0 is before any
/// that is in the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Age {
    /// By this Contact and the Call-ID that its REGISTERs have now.
    pub(crate) began: u64,
    /// By its last REGISTER.
    pub(crate) refreshed: u64,
}

impl Binding {
    /// The user of the address of record.
    pub(crate) fn user(&self) -> &str {
        &self.aor.user
    }

    /// True when the phone's own address is not the one we see: it is behind a NAT.
    pub(crate) fn is_natted(&self) -> bool {
        self.contact.host_ip() != Some(self.flow.peer.ip())
    }

    /// It came by a connection that is closed.
    pub(super) fn is_cut_off(&self, w: &World) -> bool {
        w.net().is_cut_off(&self.flow)
    }

    /// Who comes by this flow, from its own place, is its phone. By TLS a connection is who was
    /// proved by it: another from the same address and port may be anybody's.
    pub(super) fn is_proved_by(&self, proof: Proof) -> bool {
        match proof {
            Proof::Place => true,
            Proof::Connection(conn) => self.flow.conn == conn,
        }
    }

    /// A connection to where its Contact listens would lead to it.
    fn is_dialled(&self) -> bool {
        self.flow.transport == Transport::Tcp && !self.is_natted()
    }

    /// What is known of the way to it.
    fn reach(&self, w: &World) -> Reach {
        match self.flow.transport.is_reliable() {
            false => Reach::Registered,
            true if !self.is_cut_off(w) => Reach::Connected,
            true if self.is_dialled() => Reach::Unknown,
            true => Reach::Gone,
        }
    }

    /// Its stream connection is gone: a phone that is not behind a NAT can be reached anew where
    /// its Contact listens; another must come back by itself, and so
    /// must one that speaks by TLS: nobody would know who answers there.
    pub(super) fn lose_connection(&mut self) {
        self.flow.conn = None;
        if self.is_dialled() {
            self.flow.peer.set_port(self.contact.port.unwrap_or(5060));
            self.source = self.flow.peer;
        }
    }

    /// As it is kept: its end by the wall clock as it stands `now`.
    pub(crate) fn stored(&self, w: &World, now: Now) -> StoredBinding {
        let left = self.expires.0.saturating_sub(w.steady_at(now).0);
        StoredBinding {
            key: self.key.clone(),
            aor: self.aor.clone(),
            contact: self.contact.to_string(),
            local: self.local,
            transport: self.flow.transport,
            peer: self.flow.peer,
            source: Some(self.source).filter(|at| *at != self.flow.peer),
            expires: (now.wall.0 + left).as_secs(),
            call_id: self.call_id.clone(),
            cseq: self.cseq,
            upstream: self.upstream.clone(),
            service_route: self.service_route.clone(),
            instance: self.instance.clone(),
            edge: self.edge,
            reach: self.reach(w),
        }
    }
}

/// What says whose a flow is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Proof {
    /// Where it comes from.
    Place,
    /// The connection alone.
    Connection(Option<ConnId>),
}

impl Proof {
    pub(super) fn of(net: &Net, flow: &Flow) -> Self {
        match flow.transport.is_secure() && !net.lasts(flow.listener) {
            true => Self::Connection(flow.conn),
            false => Self::Place,
        }
    }
}

/// A binding's place in the table; younger ones have higher numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct BindingNo(u64);

/// All bindings.
#[derive(Debug)]
pub(super) struct Bindings {
    rows: HashMap<BindingNo, Binding>,
    by_key: HashMap<String, BindingNo>,
    by_user: HashMap<String, SmallVec<[BindingNo; 2]>>,
    by_flow: BTreeSet<(Host, u16, Transport, BindingNo)>,
    by_host: BTreeSet<(Host, BindingNo)>,
    by_conn: BTreeSet<(ConnId, BindingNo)>,
    by_expiry: BTreeSet<(Wall, BindingNo)>,
    /// Behind a NAT and reached by datagrams.
    kept_open: BTreeSet<BindingNo>,
    /// Granted in an upstream's place: how many, by its name.
    by_edge: HashMap<String, usize>,
    next: u64,
    shares: Quota<BindingNo>,
    waiting: Waiting,
}

/// Every number.
fn any<T: Copy>(at: T) -> RangeInclusive<(T, BindingNo)> {
    (at, BindingNo(0))..=(at, BindingNo(u64::MAX))
}

impl Bindings {
    pub(super) fn new(shares: Shares) -> Self {
        Self {
            rows: HashMap::new(),
            by_key: HashMap::new(),
            by_user: HashMap::new(),
            by_flow: BTreeSet::new(),
            by_host: BTreeSet::new(),
            by_conn: BTreeSet::new(),
            by_expiry: BTreeSet::new(),
            kept_open: BTreeSet::new(),
            by_edge: HashMap::new(),
            next: 0,
            shares: Quota::new(shares),
            waiting: Waiting::default(),
        }
    }

    /// The numbers in force.
    pub(super) fn set_shares(&mut self, shares: Shares) {
        self.shares.set_shares(shares);
    }

    /// How full the table is.
    pub(super) fn places(&self) -> Places {
        Places::of(&self.shares)
    }

    /// How places are held.
    pub(super) fn share_view(&self) -> ShareView {
        self.shares.view(Resource::Bindings)
    }

    /// Makes room for `new` more: what gives way, for the caller to end, also where there is no
    /// room in the end.
    pub(super) fn make_room(&mut self, holder: &Holder, new: usize) -> (Gone, Result<(), Full>) {
        let mut gone = Vec::new();
        let room = self.shares.make_room(holder, false, new, &mut gone);
        (self.gone(gone), room)
    }

    /// Whether there is room, or somebody to give way.
    pub(super) fn has_room(&self, holder: &Holder, new: usize) -> Result<(), Full> {
        self.shares.has_room(holder, false, new)
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Users who have any.
    pub(super) fn users(&self) -> usize {
        self.by_user.len()
    }

    pub(super) fn get(&self, key: &str) -> Option<&Binding> {
        self.rows.get(self.by_key.get(key)?)
    }

    /// Every binding, oldest first.
    pub(super) fn all(&self) -> Vec<&Binding> {
        let mut all: Vec<_> = self.rows.iter().collect();
        all.sort_by_key(|(no, _)| **no);
        all.into_iter().map(|(_, b)| b).collect()
    }

    /// Bindings of a user, whatever the domain, oldest first.
    pub(super) fn of_user<'a>(&'a self, user: &str) -> impl Iterator<Item = &'a Binding> + 'a {
        self.by_user.get(user).into_iter().flatten().filter_map(|no| self.rows.get(no))
    }

    /// Bindings of an address of record, oldest first.
    pub(super) fn of_aor<'a>(&'a self, aor: &'a Aor) -> impl Iterator<Item = &'a Binding> + 'a {
        self.of_user(&aor.user).filter(|b| b.aor == *aor)
    }

    /// Bindings whose phone sends from this flow, oldest first.
    pub(super) fn of_flow(&self, net: &Net, flow: &Flow) -> impl Iterator<Item = &Binding> {
        let (first, last) = (BindingNo(0), BindingNo(u64::MAX));
        let host = net.host(flow);
        let at = |no| (host, flow.peer.port(), flow.transport, no);
        let all = self.by_flow.range(at(first)..=at(last)).filter_map(|(.., no)| self.rows.get(no));
        let proof = Proof::of(net, flow);
        all.filter(move |b| b.is_proved_by(proof))
    }

    /// Bindings of this host's phones, oldest first.
    pub(super) fn of_host(&self, host: Host) -> impl Iterator<Item = &Binding> {
        self.by_host.range(any(host)).filter_map(|(_, no)| self.rows.get(no))
    }

    /// Bindings whose phone sends from this address, on whatever link.
    pub(super) fn of_address(&self, ip: IpAddr) -> impl Iterator<Item = &Binding> {
        let [first, last] = Host::all_of(ip);
        let all = (first, BindingNo(0))..=(last, BindingNo(u64::MAX));
        self.by_host.range(all).filter_map(|(_, no)| self.rows.get(no))
    }

    /// Keys of the bindings of a connection.
    pub(super) fn of_connection(&self, conn: ConnId) -> Vec<String> {
        let rows = self.by_conn.range(any(conn)).filter_map(|(_, no)| self.rows.get(no));
        rows.map(|b| b.key.clone()).collect()
    }

    /// Phones behind a NAT that are reached by datagrams.
    pub(super) fn kept_open(&self) -> impl Iterator<Item = &Binding> {
        self.kept_open.iter().filter_map(|no| self.rows.get(no))
    }

    /// How many were granted in this upstream's place.
    pub(super) fn at_edge(&self, upstream: &str) -> usize {
        self.by_edge.get(upstream).copied().unwrap_or(0)
    }

    /// When the soonest ends.
    pub(super) fn soonest(&self) -> Option<Wall> {
        self.by_expiry.first().map(|(at, _)| *at)
    }

    /// Those that have ended, soonest first, at most so many.
    pub(super) fn over(&self, now: Wall, most: usize) -> Vec<Binding> {
        let ended = self.by_expiry.iter().take_while(|(at, _)| *at <= now);
        ended.take(most).filter_map(|(_, no)| self.rows.get(no)).cloned().collect()
    }

    /// True when a phone of the site sends from this address; what it says of itself is nobody's.
    pub(super) fn are_at(&self, ip: IpAddr) -> bool {
        self.of_address(ip).next().is_some()
    }

    /// True when phones send from this address, and none of them is of a user who is at `source`,
    /// too: of many behind one address the first few are looked at.
    pub(super) fn are_others_at(&self, ip: IpAddr, source: IpAddr) -> bool {
        let own = |b: &Binding| self.of_aor(&b.aor).any(|b| b.flow.peer.ip() == source);
        self.are_at(ip) && !self.of_address(ip).take(super::SHARED).any(own)
    }

    /// A REGISTER made or refreshed it.
    pub(super) fn insert(&mut self, mut binding: Binding) {
        self.next += 1;
        let before = self.remove(&binding.key).filter(|b| b.call_id == binding.call_id);
        let began = before.map_or(self.next, |b| b.age.began);
        binding.age = Age { began, refreshed: self.next };
        self.enter(binding);
    }

    /// Something of it is otherwise now; it is as old as it was.
    pub(super) fn alter(&mut self, key: &str, change: impl FnOnce(&mut Binding)) {
        if let Some(mut binding) = self.remove(key) {
            change(&mut binding);
            self.enter(binding);
        }
    }

    fn enter(&mut self, binding: Binding) {
        let no = BindingNo(binding.age.refreshed);
        let flow = binding.flow;
        self.shares.enter(no, binding.holder.clone(), 1);
        self.by_key.insert(binding.key.clone(), no);
        let theirs = self.by_user.entry(binding.user().to_owned()).or_default();
        theirs.insert(theirs.partition_point(|other| *other < no), no);
        self.by_flow.insert((binding.host, binding.source.port(), flow.transport, no));
        self.by_host.insert((binding.host, no));
        self.by_expiry.insert((binding.expires, no));
        if let Some(conn) = flow.conn {
            self.by_conn.insert((conn, no));
        }
        if binding.is_natted() && !flow.transport.is_reliable() {
            self.kept_open.insert(no);
        }
        if binding.edge {
            *self.by_edge.entry(binding.upstream.clone()).or_default() += 1;
        }
        self.rows.insert(no, binding);
    }

    pub(super) fn remove(&mut self, key: &str) -> Option<Binding> {
        let no = self.by_key.remove(key)?;
        let old = self.rows.remove(&no)?;
        self.shares.leave(no);
        let flow = old.flow;
        if let Some(numbers) = self.by_user.get_mut(old.user()) {
            numbers.retain(|n| *n != no);
            if numbers.is_empty() {
                self.by_user.remove(old.user());
            }
        }
        self.by_flow.remove(&(old.host, old.source.port(), flow.transport, no));
        self.by_host.remove(&(old.host, no));
        self.by_expiry.remove(&(old.expires, no));
        if let Some(conn) = flow.conn {
            self.by_conn.remove(&(conn, no));
        }
        self.kept_open.remove(&no);
        if let Some(n) = self.by_edge.get_mut(&old.upstream).filter(|_| old.edge) {
            *n = n.saturating_sub(1);
        }
        Some(old)
    }
}
