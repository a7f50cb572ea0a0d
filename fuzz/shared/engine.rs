//! The gateway through its front door: messages of phones, of upstreams, of strangers and of our own
//! sockets by every transport, and all else that it is told. Nothing panics, every step ends and
//! leaves nothing without an end, nothing is sent out of the site to loopback, to the inside or to
//! ourselves, what began by `sips:` stays by TLS, ports in use are those of the open streams, and in
//! the end nothing is left.
//!
//! Steps are separated by the octet 255. The first octet of a step says what it is: below 32 a
//! message of that party, else one of the letters of [`Lab::told`], and the next octet is its
//! argument. `%C`, `%B`, `%I`, `%F`, `%O` and `%R` in a message stand for the Contact, the branch, the
//! Call-ID, From, To and Record-Route of what that party was sent last, so that dialogs can be
//! reached; `%L` for the length of its body.

use bytes::Bytes;
use portreeve::config::{Config, Environment};
use portreeve::engine::digest::Users;
use portreeve::engine::names::{Question, Record, Reply};
use portreeve::engine::{Engine, Entry, Input, Key, Output, Seeds, Snapshot, loose_ends};
use portreeve::ground::{
    CallNo, ConnId, Flow, ListenerId, Mono, Now, Side, Subject, Transport, Wall,
};
use portreeve::policy::RuleSet;
use portreeve::relay::quality::Figures;
use portreeve::relay::{Command, Counters, Event, LegConfig, StreamId};
use portreeve::wire::sip::{Framed, Framer};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

const FILE: &str = r#"
[[interface]]
name = "phones"
side = "inside"
address = ["10.17.0.1", "2001:db8:17::1"]
listen = ["udp:5060", "tcp:5060", "tls:5061"]
tls = "self-signed"
networks = ["10.17.0.0/16", "2001:db8:17::/64"]
keepalive = "25s"
[[interface]]
name = "wan"
side = "outside"
address = ["203.0.113.1", "2001:db8:cafe::1"]
listen = ["udp:5060", "tcp:5060", "tls:5061"]
tls = "self-signed"
keepalive = "30s"
[[upstream]]
name = "pbx"
address = "203.0.113.10:5060"
domain = "pbx.example.com"
probe = "60s"
[[upstream]]
name = "named"
address = "sips:sip.example.net"
domain = "named.example.com"
numbers = ["+1"]
tls_subject = ["sip.example.net"]
[media]
ports = "20000-20099"
[limits]
calls = 20
transactions = 60
dialogs = 30
bindings = 8
[policy]
default = "allow"
"#;

/// Who sends, by the first octet: the side, and by which transport.
const PARTIES: [(Side, Transport, &str); 12] = [
    (Side::Inside, Transport::Udp, "10.17.0.21:5060"),
    (Side::Inside, Transport::Udp, "10.17.0.22:5060"),
    (Side::Outside, Transport::Udp, "203.0.113.10:5060"),
    (Side::Outside, Transport::Udp, "198.51.100.66:5060"),
    (Side::Outside, Transport::Udp, "203.0.113.1:5060"),
    (Side::Inside, Transport::Tcp, "10.17.0.23:5060"),
    (Side::Inside, Transport::Tls, "10.17.0.24:41000"),
    (Side::Outside, Transport::Tls, "203.0.113.31:5061"),
    (Side::Outside, Transport::Tls, "198.51.100.77:40001"),
    (Side::Inside, Transport::Udp, "[2001:db8:17::22]:5060"),
    (Side::Outside, Transport::Tcp, "203.0.113.10:40000"),
    (Side::Outside, Transport::Udp, "[2001:db8:cafe::10]:5060"),
];

/// Effects of one step; more is a loop.
const MOST: usize = 4_096;
/// Steps of a run.
const STEPS: usize = 48;

/// The file, and what else it may say.
fn snapshots() -> &'static [Arc<Snapshot>] {
    static ONCE: OnceLock<Vec<Arc<Snapshot>>> = OnceLock::new();
    let changes: [fn(&mut Config); 6] = [
        |_| {},
        |c| drop(c.upstreams.pop()),
        |c| c.upstreams.reverse(),
        |c| (c.limits.calls, c.limits.transactions, c.limits.bindings) = (2, 8, 2),
        |c| c.survive.auth = portreeve::config::SurviveAuth::Off,
        |c| c.interfaces[1].strangers = portreeve::config::Strangers::Silent,
    ];
    let make = |change: &fn(&mut Config)| {
        let config = Config::parse("fuzz.toml", FILE, &Environment::default());
        let mut config = config.unwrap_or_else(|_| panic!("the file is right"));
        change(&mut config);
        let rules = RuleSet::compile(&config).unwrap_or_else(|_| panic!("so are its rules"));
        Arc::new(Snapshot { config, rules, users: Users::None })
    };
    ONCE.get_or_init(|| changes.iter().map(make).collect())
}

/// What a run came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ran {
    /// Messages that left.
    pub sent: usize,
    /// Calls that were answered.
    pub answered: usize,
    /// Messages that left by TLS.
    pub secure: usize,
}

struct Lab {
    engine: Engine,
    now: Now,
    deadline: Option<Mono>,
    streams: BTreeMap<StreamId, [LegConfig; 2]>,
    /// What each party was sent last.
    last: HashMap<SocketAddr, String>,
    /// The connection that each party has now.
    conns: [u64; PARTIES.len()],
    framers: HashMap<ConnId, Framer>,
    next_conn: u64,
    asked: VecDeque<Question>,
    kept: BTreeMap<Key, Entry>,
    /// Datagrams and ways, newest last.
    sent: VecDeque<(Flow, Bytes)>,
    /// Calls that began by `sips:`, by Call-ID.
    secure: BTreeSet<(String, String)>,
    life: u8,
    ran: Ran,
}

impl Lab {
    fn new() -> Self {
        let now = Now {
            mono: Mono(Duration::from_secs(1_000)),
            wall: Wall(Duration::from_secs(1_790_000_000)),
        };
        let mut conns = [0; PARTIES.len()];
        (1..).zip(&mut conns).for_each(|(n, conn)| *conn = n);
        let mut lab = Self {
            engine: engine(0, now),
            now,
            deadline: None,
            streams: BTreeMap::new(),
            last: HashMap::new(),
            conns,
            framers: HashMap::new(),
            next_conn: 100,
            asked: VecDeque::new(),
            kept: BTreeMap::new(),
            sent: VecDeque::new(),
            secure: BTreeSet::new(),
            life: 0,
            ran: Ran::default(),
        };
        lab.step(Input::Timeout);
        lab
    }

    /// The way of a party.
    fn flow(&self, party: usize) -> Flow {
        let (side, transport, peer) = PARTIES[party];
        let peer: SocketAddr = peer.parse().expect("an address");
        let place = usize::from(side == Side::Outside) * 6 + usize::from(peer.is_ipv6()) * 3;
        let own = match transport {
            Transport::Udp => 0,
            Transport::Tcp => 1,
            Transport::Tls => 2,
        };
        let listener = ListenerId((place + own) as u16);
        let conn = transport.is_reliable().then_some(ConnId(self.conns[party]));
        Flow { listener, transport, peer, conn, upstream: None }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the rest needs nothing here")]
    fn step(&mut self, input: Input) {
        self.engine.handle_input(self.now, input);
        let mut events = Vec::new();
        for n in 0.. {
            assert!(n < MOST, "a step has an end");
            match self.engine.poll_output() {
                Output::Timeout(at) => {
                    self.deadline = at;
                    break;
                }
                Output::Transmit { flow, bytes, .. } => self.transmitted(flow, bytes),
                Output::Relay(command) => events.extend(self.obey(command)),
                Output::Resolve(question) => self.asked.push_back(question),
                Output::Store(entry) => drop(self.kept.insert(entry.key(), entry)),
                Output::Forget(key) => drop(self.kept.remove(&key)),
                Output::CloseConnection(conn) => drop(self.framers.remove(&conn)),
                _ => {}
            }
        }
        let late = self.deadline.is_some_and(|at| at <= self.now.mono);
        assert!(!late, "a timer that was due has fired");
        self.ports_are_held();
        for event in events {
            self.step(Input::Relay(event));
        }
    }

    fn transmitted(&mut self, flow: Flow, bytes: Bytes) {
        let to = flow.peer.ip();
        if flow.listener.0 >= 6 {
            let inside = match to {
                IpAddr::V4(v4) => v4.octets()[..2] == [10, 17],
                IpAddr::V6(v6) => v6.segments()[..3] == [0x2001, 0xdb8, 0x17],
            };
            assert!(!to.is_loopback() && !to.is_multicast() && !to.is_unspecified(), "to {to}");
            assert!(!inside, "to {to}");
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let call_id = row(&text, "Call-ID");
        if text.lines().next().is_some_and(|l| l.contains(" sips:") && l.ends_with("SIP/2.0")) {
            self.secure.insert((call_id.clone(), tag(&row(&text, "From"))));
        }
        let secure = flow.transport.is_secure();
        // Another phone's may have the same Call-ID; an answer goes where it was asked.
        let own = |name| self.secure.contains(&(call_id.clone(), tag(&row(&text, name))));
        let is_request = !text.starts_with("SIP/2.0");
        let is_of_one = is_request && (own("From") || own("To"));
        assert!(secure || !is_of_one, "a secure call by another way: {flow:?}\n{text}");
        self.ran.sent += 1;
        self.ran.secure += usize::from(secure);
        self.last.insert(flow.peer, text);
        self.sent.push_back((flow, bytes));
        if self.sent.len() > 16 {
            self.sent.pop_front();
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the rest needs nothing here")]
    fn obey(&mut self, command: Command) -> Option<Event> {
        match command {
            Command::Open { stream, legs, .. } => {
                assert!(self.streams.insert(stream, legs).is_none(), "opened twice");
            }
            Command::Update { stream, leg, party } => {
                let legs = self.streams.get_mut(&stream).expect("an open stream");
                legs[leg.index()].party = party;
            }
            Command::Close { stream } => {
                self.streams.remove(&stream).expect("an open stream");
                let (counters, figures) = (Counters::default(), Box::new([Figures::default(); 2]));
                return Some(Event::Closed { stream, counters, figures });
            }
            _ => {}
        }
        None
    }

    fn ports_are_held(&self) {
        let ours = |ip: IpAddr| {
            let all = ["10.17.0.1", "203.0.113.1", "2001:db8:17::1", "2001:db8:cafe::1"];
            all.iter().any(|o| o.parse() == Ok(ip))
        };
        let legs = || self.streams.values().flatten();
        for leg in legs() {
            let Some(to) = leg.party.rtp.filter(|to| ours(to.ip())) else { continue };
            // The other pass of a spiral: it is there, or was a moment ago.
            let range = (20_000..=20_099).contains(&to.port());
            assert!(!range || legs().count() > 2, "{leg:?} sends to ourselves");
        }
    }

    /// When nothing is under way any more.
    fn all_is_sound(&self) {
        let stats = self.engine.stats(self.now);
        let used: usize = stats.now.ports.iter().map(|p| p.used).sum();
        assert_eq!(used, self.streams.len() * 4, "ports in use, four a stream");
        for p in stats.now.places {
            assert!(p.used < 1 << 40, "no count below zero");
        }
        assert_eq!(loose_ends(&self.engine), Vec::<String>::new(), "what nothing ends");
    }

    /// Lets time pass; timers fire when they are due.
    fn pass(&mut self, by: Duration) {
        let end = self.now.after(by);
        for n in 0.. {
            assert!(n < MOST * 4, "timers that beget timers");
            let Some(next) = self.deadline.filter(|at| *at <= end.mono) else { break };
            self.now = self.now.after(next.since(self.now.mono));
            self.step(Input::Timeout);
        }
        self.now = end;
    }

    /// The message with what its sender was sent last in it.
    fn written(&self, from: SocketAddr, text: &str) -> String {
        let last = self.last.get(&from).map(String::as_str).unwrap_or_default();
        let uri = |value: String| {
            let inner = value.split_once('<').and_then(|(_, v)| v.split_once('>'));
            inner.map(|(uri, _)| uri.to_owned()).unwrap_or(value)
        };
        let body = text.split_once("\r\n\r\n").map_or(0, |(_, body)| body.len());
        text.replace("%C", &uri(row(last, "Contact")))
            .replace("%B", row(last, "Via").split_once("branch=").map_or("", |(_, b)| b))
            .replace("%I", &row(last, "Call-ID"))
            .replace("%F", &row(last, "From"))
            .replace("%O", &row(last, "To"))
            .replace("%R", &row(last, "Record-Route"))
            .replace("%L", &body.to_string())
    }

    fn says(&mut self, party: usize, text: &[u8]) {
        let flow = self.flow(party);
        let bytes = match std::str::from_utf8(text) {
            Ok(text) => Bytes::from(self.written(flow.peer, text)),
            Err(_) => Bytes::copy_from_slice(text),
        };
        let Some(conn) = flow.conn else { return self.step(Input::Message { flow, bytes }) };
        self.framers.entry(conn).or_default().push(&bytes);
        for _ in 0..8 {
            match self.framers.get_mut(&conn).and_then(Framer::next) {
                Some(Framed::Message(bytes)) => self.step(Input::Message { flow, bytes }),
                Some(Framed::Refused(refusal)) => {
                    self.step(Input::StreamRefused { flow, refusal });
                    self.closes(party);
                }
                Some(Framed::Ping) => {}
                None => break,
            }
        }
    }

    /// The party makes another connection next.
    fn closes(&mut self, party: usize) {
        if let Some(conn) = self.flow(party).conn {
            self.framers.remove(&conn);
            self.step(Input::ConnectionClosed(conn));
            self.next_conn += 1;
            self.conns[party] = self.next_conn;
        }
    }

    /// What it is told besides messages.
    fn told(&mut self, what: u8, n: u8, rest: &[u8]) {
        let party = usize::from(n) % PARTIES.len();
        let flow = self.flow(party);
        let said = || String::from_utf8_lossy(rest).into_owned();
        let call = CallNo(u64::from(n) % 8);
        match what {
            b'T' => self.pass(Duration::from_millis(u64::from(n) * 250)),
            b'C' => self.closes(party),
            b'B' => {
                self.step(Input::ConnectionBroken(flow));
                self.closes(party);
            }
            b'F' => self.step(Input::TransportFailed(flow)),
            b'G' => {
                // The way that something went.
                let known = self.sent.get(usize::from(n) % 16).map(|(flow, _)| *flow);
                self.step(Input::TransportFailed(known.unwrap_or(flow)));
            }
            b'U' => {
                let known = self.sent.get(usize::from(n) % 16).cloned();
                let (flow, quoted) = known.unwrap_or((flow, Bytes::copy_from_slice(rest)));
                self.step(Input::Undelivered { flow, quoted });
            }
            b'u' => self.step(Input::Undelivered { flow, quoted: Bytes::copy_from_slice(rest) }),
            b'S' if flow.conn.is_some() => {
                let said = said();
                let kinds = [Subject::dns(&said), Subject::uri(&said), Subject::common(&said)];
                self.step(Input::Secured { flow, names: kinds.into_iter().flatten().collect() });
            }
            b'N' => {
                self.step(Input::Unproved { flow, why: said() });
                self.step(Input::TransportFailed(flow));
            }
            b'D' => self.answered(n),
            b'd' => self.step(Input::ResolverChanged),
            b'R' => {
                let all = snapshots();
                self.step(Input::Reload(all[usize::from(n) % all.len()].clone()));
            }
            b'K' => self.step(Input::KeepCalls(n % 2 == 1)),
            b'A' => self.step(Input::AuditFull(n % 2 == 1)),
            b'L' => self.step(Input::LiftBans(Some(flow.peer.ip()).filter(|_| n % 2 == 1))),
            b'Q' => self.step(Input::Drain),
            b'H' => self.step(Input::HangUpAll),
            b'h' => self.step(Input::HangUp(call)),
            b'M' => self.step(Input::Measure(call)),
            b'X' => {
                let ip = flow.peer.ip();
                self.step(Input::ExcludePort(SocketAddr::new(ip, 20_000 + u16::from(n % 100))));
            }
            b'W' => {
                let by = Duration::from_secs(u64::from(n / 2) * 86_400);
                let wall = self.now.wall.0;
                self.now.wall = Wall(if n % 2 == 1 { wall + by } else { wall.saturating_sub(by) });
            }
            b'I' => self.relay(n),
            b'Z' => self.crashes(),
            _ => {}
        }
    }

    /// DNS answers its oldest question.
    fn answered(&mut self, n: u8) {
        let Some(question) = self.asked.pop_front() else { return };
        let ips = ["203.0.113.31", "2001:db8:cafe::31", "10.17.0.20", "127.0.0.1", "203.0.113.1"];
        let ip = ips[usize::from(n / 4) % ips.len()].parse().expect("an address");
        let ttl = Duration::from_secs(u64::from(n));
        let record = match &question {
            Question::Hosts(_) => Record::Address(ip),
            Question::Srv(_) | Question::Naptr(_) => Record::Srv {
                priority: 1,
                weight: u16::from(n),
                port: 5_061,
                target: "host.example.net".to_owned(),
            },
        };
        let reply = match n % 4 {
            0 | 1 => Reply::Records(vec![record], ttl),
            2 => Reply::Nothing(ttl),
            _ => Reply::Failed("nobody answers".to_owned()),
        };
        self.step(Input::Resolved(question, reply));
    }

    /// News of some stream.
    fn relay(&mut self, n: u8) {
        let at = usize::from(n / 2) % self.streams.len().max(1);
        let Some(stream) = self.streams.keys().nth(at).copied() else { return };
        if n.is_multiple_of(2) {
            return self.step(Input::Relay(Event::Idle { stream }));
        }
        self.streams.remove(&stream);
        self.step(Input::Relay(Event::OpenFailed { stream, error: "taken".to_owned() }));
    }

    /// Nothing is left but what is kept.
    fn crashes(&mut self) {
        self.life = self.life.wrapping_add(1);
        self.engine = engine(self.life, self.now);
        self.streams.clear();
        self.asked.clear();
        self.framers.clear();
        for conn in &mut self.conns {
            self.next_conn += 1;
            *conn = self.next_conn;
        }
        let kept = self.kept.values().cloned().collect();
        self.step(Input::Restore(kept));
    }
}

fn engine(life: u8, now: Now) -> Engine {
    let seeds = Seeds { keys: vec![(7, [7; 64])], nonce: [8; 32], random: [9 + life % 200; 32] };
    Engine::new(snapshots()[0].clone(), seeds, now)
}

/// The tag of a From or To; empty: none.
fn tag(value: &str) -> String {
    let tag = value.split(";tag=").nth(1).unwrap_or_default();
    tag.split(';').next().unwrap_or_default().trim().to_owned()
}

fn row(text: &str, name: &str) -> String {
    let mut rows = text.lines().filter_map(|l| l.split_once(": "));
    rows.find(|(n, _)| *n == name).map(|(_, v)| v).unwrap_or_default().to_owned()
}

/// One run.
pub(super) fn run(octets: &[u8]) -> Ran {
    let mut lab = Lab::new();
    for step in octets.split(|b| *b == 255).take(STEPS) {
        let Some((what, rest)) = step.split_first() else { continue };
        if *what < 32 {
            lab.says(usize::from(*what) % PARTIES.len(), rest);
            lab.pass(Duration::from_millis(5));
        } else if let Some((n, rest)) = rest.split_first() {
            lab.told(*what, *n, rest);
        }
        lab.all_is_sound();
    }
    lab.ran.answered = lab.engine.stats(lab.now).now.calls[1] as usize;
    lab.step(Input::HangUpAll);
    for _ in 0..8 {
        lab.pass(Duration::from_secs(64));
    }
    lab.all_is_sound();
    assert!(lab.streams.is_empty(), "nothing is left");
    assert_eq!(lab.engine.active_calls(), 0, "no call is left");
    lab.ran
}
