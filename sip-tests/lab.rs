//! The gateway in virtual time, driven through its front door. Parties are addresses with inboxes;
//! the lab plays clock, network and relay, and checks after every step what must always hold.

pub(crate) mod adversary;
pub(crate) mod check;
pub(crate) mod digest;
pub(crate) mod honest;
pub(crate) mod message;
pub(crate) mod relay;
pub(crate) mod robot;
pub(crate) mod script;
pub(crate) mod seeds;
pub(crate) mod siege;
pub(crate) mod site;
pub(crate) mod storm;
pub(crate) mod sweep;
pub(crate) mod talker;
pub(crate) mod trace;
pub(crate) mod version;
pub(crate) mod wires;
pub(crate) mod world;

pub(crate) use message::Msg;
pub(crate) use script::{Leg, Ua, sdp};
pub(crate) use version::Version;

use bytes::Bytes;
use portreeve::audit::{EndedBy, Record};
use portreeve::config::{Address, Addresses, Config, Listener, Own};
use portreeve::engine::digest::Users;
use portreeve::engine::names::Question;
use portreeve::engine::{
    Belongs, CallView, Engine, Entry, Input, Key, Level, Lifted, Observation, Opens, Output, Reach,
    Seeds, Snapshot, Stats, StoredBinding, UpstreamView,
};
use portreeve::ground::{CallNo, ConnId, Flow, ListenerId, Mono, Now, Side, Transport, Wall};
use portreeve::policy::RuleSet;
use portreeve::policy::quota::Source;
use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash as _};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// A phone or server: the flow its messages take to the gateway and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Party {
    pub(crate) flow: Flow,
}

impl Party {
    pub(crate) fn addr(&self) -> SocketAddr {
        self.flow.peer
    }
}

/// The gateway, its clock, its relay and what it said.
pub(crate) struct Lab {
    pub(crate) engine: Engine,
    pub(crate) config: Config,
    users: Users,
    /// Of every socket.
    sides: Vec<Side>,
    pub(crate) now: Now,
    deadline: Option<Mono>,
    inboxes: BTreeMap<SocketAddr, VecDeque<Msg>>,
    pub(crate) relay: relay::Relay,
    pub(crate) records: Vec<Record>,
    pub(crate) notices: Vec<(Level, String)>,
    /// Measured values.
    pub(crate) observed: Vec<Observation>,
    pub(crate) stored: BTreeMap<Key, Entry>,
    /// The session table as readers see it.
    pub(crate) shown: BTreeMap<CallNo, CallView>,
    /// What was said to be of which call.
    pub(crate) belongs: Vec<Belongs>,
    /// Whether readers see that registered phones can be reached, by key.
    pub(crate) reach: BTreeMap<String, Reach>,
    pub(crate) closed: Vec<ConnId>,
    /// Connections that give way to nobody.
    pub(crate) kept_open: Vec<ConnId>,
    /// Ways by which nobody answers.
    pub(crate) unheard: Vec<Flow>,
    /// Ways by which nothing comes: what follows goes by another connection.
    pub(crate) suspected: Vec<Flow>,
    /// Sources that no stream lets in, where, and for how long.
    pub(crate) barred: Vec<(Source, Option<ListenerId>, Duration)>,
    /// Connections that are to be opened, and what each is.
    pub(crate) opened: Vec<(SocketAddr, Opens)>,
    /// What the lifting of bans came to.
    pub(crate) lifted: Vec<Lifted>,
    /// What DNS is asked and has not answered.
    pub(crate) asked: VecDeque<Question>,
    /// Whom keep-alives went to.
    pub(crate) pings: Vec<SocketAddr>,
    /// Of everybody here.
    version: Version,
    /// Where the PBX is.
    pub(crate) pbx: String,
    /// What was sent that is no message: blank lines, STUN.
    pub(crate) packets: Vec<(Flow, Bytes)>,
    /// What must not be read outside, wherever it stands.
    pub(crate) secrets: Vec<&'static str>,
    pub(crate) checks: check::Checks,
    /// Of every effect so far, where somebody asks for it.
    pub(crate) digest: Option<DefaultHasher>,
    /// By sockets of an interface that has no address.
    unsent: Vec<Flow>,
    /// Sockets that were closed where an interface has left.
    pub(crate) gone: Vec<ListenerId>,
    /// What the machine has, by interface, and whether it is asked for now.
    seen: BTreeMap<usize, Vec<Own>>,
    looks: bool,
    restarts: u8,
    next_conn: u64,
    next_id: u64,
}

impl Lab {
    /// In front of a PBX, everything allowed that can be routed.
    pub(crate) fn edge() -> Self {
        Self::with(site::edge(), Users::None)
    }

    /// As [`Lab::edge`], changed first.
    pub(crate) fn edge_with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = site::edge();
        change(&mut config);
        Self::with(config, Users::None)
    }

    /// The site's own phone system; every extension has the password [`site::PASSWORD`].
    pub(crate) fn site() -> Self {
        Self::site_with(|_| {})
    }

    /// As [`Lab::site`], changed first.
    pub(crate) fn site_with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = site::site();
        change(&mut config);
        Self::with(config, Users::Shared { password: site::PASSWORD.to_owned() })
    }

    /// A lab of such a file where everybody speaks this version.
    pub(crate) fn of(version: Version, file: &str, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = site::parse(&version.file(file));
        change(&mut config);
        let mut lab = Self::with(config, Users::None);
        lab.pbx = version.at(site::PBX);
        lab.version = version;
        lab.secrets = vec!["10.17.", "2001:db8:6017:"];
        lab
    }

    pub(crate) fn with(config: Config, users: Users) -> Self {
        let now = Now {
            mono: Mono(Duration::from_secs(1000)),
            wall: Wall(Duration::from_secs(1_790_000_000)),
        };
        let snapshot = snapshot(&config, &users);
        let seeds = Seeds { keys: vec![(7, [7; 64])], nonce: [8; 32], random: [9; 32] };
        let mut lab = Self {
            engine: Engine::new(snapshot, seeds, now),
            sides: sides(&config),
            config: config.unsettled(),
            users,
            now,
            deadline: None,
            inboxes: BTreeMap::new(),
            relay: relay::Relay::default(),
            records: Vec::new(),
            notices: Vec::new(),
            observed: Vec::new(),
            stored: BTreeMap::new(),
            shown: BTreeMap::new(),
            belongs: Vec::new(),
            reach: BTreeMap::new(),
            closed: Vec::new(),
            kept_open: Vec::new(),
            unheard: Vec::new(),
            suspected: Vec::new(),
            barred: Vec::new(),
            opened: Vec::new(),
            lifted: Vec::new(),
            asked: VecDeque::new(),
            pings: Vec::new(),
            packets: Vec::new(),
            pbx: site::PBX.to_owned(),
            version: Version::Four,
            secrets: vec!["10.17."],
            checks: check::Checks::default(),
            digest: None,
            unsent: Vec::new(),
            gone: Vec::new(),
            seen: BTreeMap::new(),
            looks: false,
            restarts: 0,
            next_conn: 0,
            next_id: 0,
        };
        lab.drain();
        lab
    }

    /// A restart: same configuration and keys, nothing kept but what the state folder holds.
    pub(crate) fn restart(&mut self) {
        // What is kept goes through text, as on a disk.
        let text = |e: &Entry| serde_json::to_string(e).expect("an entry can be written");
        let lines: Vec<String> = self.stored.values().map(text).collect();
        let read = |l: &String| serde_json::from_str(l).expect("what was written can be read");
        let stored: Vec<Entry> = lines.iter().map(read).collect();
        self.restarts = self.restarts.wrapping_add(1);
        let random = [18_u8.wrapping_add(self.restarts); 32];
        let seeds = Seeds { keys: vec![(7, [7; 64])], nonce: [8; 32], random };
        self.asked.clear();
        self.checks.crashed();
        self.engine = Engine::new(snapshot(&self.config, &self.users), seeds, self.now);
        self.sides = sides(&self.config);
        self.config = self.config.unsettled();
        self.relay = relay::Relay::default();
        self.shown.clear();
        for (interface, own) in self.seen.clone() {
            self.input(Input::Addresses { interface, own });
        }
        self.input(Input::Restore(stored));
    }

    /// A number not used before in this lab: for branches, tags and Call-IDs.
    pub(crate) fn fresh(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// A party inside, over UDP to the first inside socket of its IP version.
    pub(crate) fn inside(&self, at: &str) -> Party {
        self.by_side(Side::Inside, site::INSIDE_UDP, at)
    }

    /// A party outside, over UDP.
    pub(crate) fn outside(&self, at: &str) -> Party {
        self.by_side(Side::Outside, site::OUTSIDE_UDP, at)
    }

    fn by_side(&self, side: Side, usual: ListenerId, at: &str) -> Party {
        let at = &self.version.at(at);
        let peer: SocketAddr = at.parse().expect("an address");
        let fits = |l: &&Listener| {
            l.transport == Transport::Udp
                && l.bind.is_ipv4() == peer.is_ipv4()
                && self.config.interfaces[l.interface].side == side
        };
        let all = self.config.listeners();
        self.at(all.iter().find(fits).map_or(usual, |l| l.id), at)
    }

    /// True for a socket of an outside interface.
    pub(crate) fn is_outside(&self, listener: ListenerId) -> bool {
        self.sides.get(usize::from(listener.0)).is_none_or(|side| *side == Side::Outside)
    }

    /// The PBX.
    pub(crate) fn pbx(&self) -> Party {
        self.outside(&self.pbx)
    }

    /// A party that talks to a certain UDP socket.
    pub(crate) fn at(&self, listener: ListenerId, peer: &str) -> Party {
        let peer = peer.parse().expect("an address");
        Party {
            flow: Flow { listener, transport: Transport::Udp, peer, conn: None, upstream: None },
        }
    }

    /// A connection not used before in this lab.
    pub(crate) fn fresh_conn(&mut self) -> ConnId {
        self.next_conn += 1;
        ConnId(self.next_conn)
    }

    /// A party by a stream that has no connection yet, to the socket of its side and IP version.
    pub(crate) fn by_stream(&self, side: Side, transport: Transport, at: &str) -> Party {
        let peer: SocketAddr = at.parse().expect("an address");
        let fits = |l: &&Listener| {
            l.transport == transport
                && l.bind.is_ipv4() == peer.is_ipv4()
                && self.config.interfaces[l.interface].side == side
        };
        let all = self.config.listeners();
        let listener = all.iter().find(fits).expect("a socket of this transport").id;
        Party { flow: Flow { listener, transport, peer, conn: None, upstream: None } }
    }

    /// A party inside with a TCP connection of its own.
    pub(crate) fn inside_tcp(&mut self, at: &str) -> Party {
        self.next_conn += 1;
        let (listener, transport) = (site::INSIDE_TCP, Transport::Tcp);
        let peer = at.parse().expect("an address");
        Party {
            flow: Flow {
                listener,
                transport,
                peer,
                conn: Some(ConnId(self.next_conn)),
                upstream: None,
            },
        }
    }

    /// A party with a TLS connection of its own to a socket.
    pub(crate) fn tls(&mut self, listener: ListenerId, at: &str) -> Party {
        self.next_conn += 1;
        let (transport, conn) = (Transport::Tls, Some(ConnId(self.next_conn)));
        let peer = at.parse().expect("an address");
        Party { flow: Flow { listener, transport, peer, conn, upstream: None } }
    }

    /// Sends a message from a party to the gateway.
    pub(crate) fn send(&mut self, from: Party, text: impl Into<Bytes>) {
        let bytes = self.version.sent(text.into());
        let asked = self.checks.received(&bytes, self.now.mono);
        let before = self.checks.transactions();
        self.input(Input::Message { flow: from.flow, bytes });
        if let Some(asked) = asked.filter(|_| self.checks.transactions() <= before) {
            self.checks.not_taken(&asked, from.addr());
        }
    }

    /// Any input, then everything it causes.
    pub(crate) fn input(&mut self, input: Input) {
        trace::input(self.now, &input);
        let is_restored = matches!(input, Input::Restore(_));
        if let Input::Addresses { interface, own } = &input {
            self.seen.insert(*interface, own.clone());
        }
        self.engine.handle_input(self.now, input);
        self.drain();
        if is_restored {
            // Readers see what there is before the first arrival.
            let all = self.engine.bindings(self.now).into_iter();
            self.reach = all.map(|b| (b.key, b.reach)).collect();
        }
        self.settle();
    }

    /// The machine has these addresses, and nobody has told that yet.
    pub(crate) fn has_now(&mut self, interface: usize, own: Vec<Own>) {
        self.seen.insert(interface, own);
    }

    /// Feeds the relay's events until there are none.
    fn settle(&mut self) {
        while let Some(event) = self.relay.next_event() {
            self.engine.handle_input(self.now, Input::Relay(event));
            self.drain();
        }
        check::after_step(self);
    }

    fn drain(&mut self) {
        loop {
            let output = self.engine.poll_output();
            if let Some(digest) = &mut self.digest {
                format!("{output:?}").hash(digest);
            }
            match output {
                Output::Transmit { flow, bytes, opens } => {
                    if self.config.listeners().iter().all(|l| l.id != flow.listener) {
                        self.checks.unsent(&flow, &bytes, self.now.mono);
                        self.unsent.push(flow);
                        continue;
                    }
                    self.opened.extend(opens.clone().map(|opens| (flow.peer, opens)));
                    self.transmitted(flow, bytes, opens);
                }
                Output::Stand { interface, addresses } => self.stands(interface, addresses),
                Output::Look => self.looks = true,
                Output::CloseConnection(conn) => self.closed.push(conn),
                Output::CloseSilent(flow) => self.unheard.push(flow),
                Output::Suspect(flow) => self.suspected.push(flow),
                Output::KeepConnection(conn, _) => self.kept_open.push(conn),
                Output::Bar { source, at, lasts } => self.barred.push((source, at, lasts)),
                Output::Relay(command) => self.relay.obey(command, self.now.mono),
                Output::Record(record) => self.records.push(record),
                Output::BindingChanged(binding) => {
                    self.reach.insert(binding.key.clone(), binding.reach);
                }
                Output::Store(entry) => {
                    if let Entry::Binding(binding) = &entry {
                        self.reach.insert(binding.key.clone(), binding.reach);
                    }
                    trace::note(self.now, |_| format!("keeps {:?}", entry.key()));
                    self.stored.insert(entry.key(), entry);
                }
                Output::Forget(key) => {
                    trace::note(self.now, |_| format!("forgets {key:?}"));
                    if let Key::Binding(key) = &key {
                        self.reach.remove(key);
                    }
                    self.stored.remove(&key);
                }
                Output::Observe(observation) => self.observed.push(observation),
                Output::Resolve(question) => self.asked.push_back(question),
                Output::CallChanged(view) => {
                    self.shown.insert(view.call, view);
                }
                Output::CallGone(no) => {
                    self.shown.remove(&no);
                }
                Output::Belongs(what) => self.belongs.push(what),
                Output::Lifted(lifted) => self.lifted.push(lifted),
                Output::Notice { level, text, .. } => {
                    trace::note(self.now, |_| format!("says {text}"));
                    self.notices.push((level, text));
                }
                Output::Timeout(at) => {
                    self.deadline = at;
                    break;
                }
            }
        }
        self.tell_back();
        if let Some(at) = self.deadline {
            assert!(at > self.now.mono, "a timer due at {at} was not fired at {}", self.now.mono);
        }
    }

    /// An interface stands elsewhere: sockets that it had are closed.
    fn stands(&mut self, interface: usize, addresses: Addresses) {
        let before = self.config.listeners();
        let told = |c: &Config| -> Vec<_> {
            c.interfaces[interface].addresses.iter().map(Address::advertised).collect()
        };
        let was = told(&self.config);
        self.config.interfaces[interface].addresses = addresses;
        self.checks.told.moves(&was, &told(&self.config));
        let after = self.config.listeners();
        self.gone.extend(before.iter().filter(|l| !after.contains(l)).map(|l| l.id));
    }

    /// Where the outside stands, or would.
    pub(crate) fn gate_outside(&self) -> String {
        let mut outside = self.config.interfaces.iter().filter(|i| i.side == Side::Outside);
        let own = outside.find_map(|i| i.addresses.first()).map(|a| a.ip.to_string());
        own.unwrap_or_else(|| site::GATE_OUTSIDE.to_owned())
    }

    /// Where a socket is, if its interface has an address for it.
    pub(crate) fn stands_at(&self, id: ListenerId) -> Option<IpAddr> {
        self.config.listeners().iter().find(|l| l.id == id).map(|l| l.bind.ip())
    }

    /// What the engine hears of what it did: what could not be sent, what it asked to look at.
    fn tell_back(&mut self) {
        for flow in std::mem::take(&mut self.unsent) {
            self.engine.handle_input(self.now, Input::TransportFailed(flow));
            self.drain();
        }
        if std::mem::take(&mut self.looks) {
            for (interface, own) in self.seen.clone() {
                self.engine.handle_input(self.now, Input::Addresses { interface, own });
                self.drain();
            }
        }
    }

    fn transmitted(&mut self, flow: Flow, bytes: Bytes, opens: Option<Opens>) {
        let leaves = self.is_outside(flow.listener);
        self.checks.goes_where_it_may(&flow, &bytes, leaves);
        if bytes == b"\r\n\r\n"[..] {
            self.pings.push(flow.peer);
            return;
        }
        let secrets = if leaves { self.secrets.as_slice() } else { &[] };
        if bytes == b"\r\n"[..] || bytes.first().is_some_and(|b| *b < 4) {
            let found = sweep::named(&bytes, secrets);
            assert_eq!(found, None, "an address of the inside leaves in {bytes:?}");
            self.packets.push((flow, bytes));
            return;
        }
        let msg = Msg { opens, ..Msg::read(flow, &bytes) };
        trace::sent(self.now, &msg);
        self.checks.sent(secrets, &msg, self.now.mono);
        if leaves {
            self.checks.told.sent(&msg);
        }
        let msg = msg.translated(|text| self.version.got(text));
        self.inboxes.entry(flow.peer).or_default().push_back(msg);
    }

    /// Lets time pass; timers fire when they are due, never before.
    pub(crate) fn advance(&mut self, by: Duration) {
        let end = self.now.after(by);
        loop {
            let timer = self.deadline.filter(|at| *at <= end.mono);
            let idle = self.relay.next_idle().filter(|at| *at <= end.mono);
            let Some(next) = timer.into_iter().chain(idle).min() else { break };
            self.early_bird(next);
            self.now = self.now.after(next.since(self.now.mono));
            self.relay.pass(self.now.mono);
            self.input(Input::Timeout);
        }
        self.now = end;
    }

    /// When the engine or the relay wants to be woken.
    pub(crate) fn next_deadline(&self) -> Option<Mono> {
        self.deadline.into_iter().chain(self.relay.next_idle()).min()
    }

    /// A wake-up before the deadline must do nothing at all.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the rest is alike")]
    fn early_bird(&mut self, next: Mono) {
        let gap = next.since(self.now.mono);
        if gap < Duration::from_millis(2) {
            return;
        }
        let early = self.now.after(gap - Duration::from_millis(1));
        self.engine.handle_input(early, Input::Timeout);
        match self.engine.poll_output() {
            Output::Timeout(_) => {}
            other => panic!("before its time: {other:?}"),
        }
    }

    /// The next message for a party.
    pub(crate) fn next(&mut self, party: Party) -> Option<Msg> {
        let inbox = self.inboxes.get_mut(&party.addr())?;
        let msg = inbox.pop_front();
        if inbox.is_empty() {
            self.inboxes.remove(&party.addr());
        }
        msg
    }

    /// The next message for a party: a request with this method or a response with this status.
    #[track_caller]
    pub(crate) fn expect(&mut self, party: Party, what: &str) -> Msg {
        let Some(msg) = self.next(party) else {
            panic!("{} waits for {what}, nothing came.\n{}", party.addr(), self.situation());
        };
        let got = if msg.is_request() { msg.method().to_owned() } else { msg.status().to_string() };
        assert_eq!(got, what, "at {}:\n{msg}\n{}", party.addr(), self.situation());
        assert_eq!(msg.flow.listener, party.flow.listener, "the wrong socket sent\n{msg}");
        assert_eq!(msg.flow.conn, party.flow.conn, "the wrong connection carries\n{msg}");
        msg
    }

    /// The next message for a party's address, by whatever connection.
    #[track_caller]
    pub(crate) fn expect_at(&mut self, party: Party, method: &str) -> Msg {
        let msg = self.next(party).expect("a message");
        assert_eq!(msg.method(), method, "{msg}");
        msg
    }

    /// Every message that waits for a party.
    pub(crate) fn take(&mut self, party: Party) -> Vec<Msg> {
        self.inboxes.remove(&party.addr()).map(Vec::from).unwrap_or_default()
    }

    /// Every message that waits for anybody.
    pub(crate) fn take_all(&mut self) -> Vec<Msg> {
        std::mem::take(&mut self.inboxes).into_values().flatten().collect()
    }

    /// How many messages wait for anybody.
    pub(crate) fn waiting(&self) -> usize {
        self.inboxes.values().map(VecDeque::len).sum()
    }

    /// Whom the gateway sent something that nobody has read yet.
    pub(crate) fn addressees(&self) -> Vec<SocketAddr> {
        self.inboxes.keys().copied().collect()
    }

    /// Forgets what waits.
    pub(crate) fn clear(&mut self) {
        self.inboxes.clear();
    }

    /// Nothing was sent that no script expected.
    #[track_caller]
    pub(crate) fn nothing_left(&self) {
        assert!(self.inboxes.is_empty(), "left over:\n{}", self.situation());
    }

    pub(crate) fn stats(&self) -> Stats {
        self.engine.stats(self.now)
    }

    /// Hangs up what is up, lets every timer run out: no call, no transaction, no port remains.
    #[track_caller]
    pub(crate) fn end(&mut self) {
        self.nothing_left();
        self.input(Input::HangUpAll);
        self.advance(Duration::from_secs(64));
        self.inboxes.clear();
        self.advance(Duration::from_secs(240));
        self.inboxes.clear();
        check::at_rest(self);
    }

    /// New configuration, as after SIGHUP.
    pub(crate) fn reload(&mut self, change: impl FnOnce(&mut Config)) {
        change(&mut self.config);
        self.input(Input::Reload(snapshot(&self.config, &self.users)));
    }

    /// Other secrets, as after SIGHUP.
    pub(crate) fn users(&mut self, users: Users) {
        self.users = users;
        self.reload(|_| {});
    }

    /// What waits where, and the last things said: for a failing test.
    pub(crate) fn situation(&self) -> String {
        let mut text = String::new();
        for (at, inbox) in &self.inboxes {
            for msg in inbox {
                text.push_str(&format!("→ {at}: {}\n", msg.start));
            }
        }
        for (_, notice) in self.notices.iter().rev().take(4) {
            text.push_str(&format!("notice: {notice}\n"));
        }
        text
    }

    /// How an upstream is.
    #[track_caller]
    pub(crate) fn upstream(&self, name: &str) -> UpstreamView {
        let all = self.stats().upstreams;
        all.into_iter().find(|u| u.name == name).expect("an upstream of this name")
    }

    /// Bindings that are kept.
    pub(crate) fn kept_bindings(&self) -> Vec<StoredBinding> {
        let binding = |e: &Entry| match e {
            Entry::Binding(b) => Some(b.clone()),
            Entry::Call(_) | Entry::Confirmed(_) | Entry::Numbers(_) => None,
        };
        self.stored.values().filter_map(binding).collect()
    }

    /// Audit records of calls that ended: outcome, status, who ended.
    pub(crate) fn ends(&self) -> Vec<(&'static str, u16, &'static str)> {
        let end = |r: &Record| match r {
            Record::CallEnd(e) => {
                Some((e.outcome.as_str(), e.status, e.ended_by.map_or("", EndedBy::as_str)))
            }
            _ => None,
        };
        self.records.iter().filter_map(end).collect()
    }

    /// Classes of security records so far.
    pub(crate) fn security(&self) -> Vec<&'static str> {
        let class = |r: &Record| match r {
            Record::Security { class, .. } => Some(class.as_str()),
            _ => None,
        };
        self.records.iter().filter_map(class).collect()
    }
}

/// Of every socket, by its number.
fn sides(config: &Config) -> Vec<Side> {
    let all = config.listener_interfaces();
    all.into_iter().map(|interface| config.interfaces[interface].side).collect()
}

fn snapshot(config: &Config, users: &Users) -> Arc<Snapshot> {
    let rules = match RuleSet::compile(config) {
        Ok(rules) => rules,
        Err(faults) => panic!("{}", faults.iter().map(ToString::to_string).collect::<String>()),
    };
    Arc::new(Snapshot { config: config.clone(), rules, users: users.clone() })
}

/// Whole seconds.
pub(crate) const fn s(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Milliseconds.
pub(crate) const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}
