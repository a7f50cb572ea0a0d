//! The gateway through its front door: messages of phones, of the PBX, of strangers and of our own
//! sockets, one after the other. Nothing panics, every step ends, nothing is sent out of the site
//! to loopback, to the inside or to ourselves, and no stream has one of our ports for a party that
//! no stream holds.
//!
//! Messages are separated by NUL; the first octet of each says who sends it. `%C`, `%B`, `%I`,
//! `%F`, `%O` and `%R` in it stand for the Contact, the branch, the Call-ID, From, To and
//! Record-Route of what that party was sent last, so that dialogs can be reached.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use portreeve::config::{Config, Environment};
use portreeve::engine::digest::Users;
use portreeve::engine::{Engine, Input, Output, Seeds, Snapshot};
use portreeve::ground::{Flow, ListenerId, Mono, Now, Transport, Wall};
use portreeve::policy::RuleSet;
use portreeve::relay::quality::Figures;
use portreeve::relay::{Command, Counters, Event, LegConfig, StreamId};
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

const FILE: &str = r#"
[[interface]]
name = "phones"
side = "inside"
address = "10.17.0.1"
listen = ["udp:5060"]
networks = ["10.17.0.0/16"]
keepalive = "0s"
[[interface]]
name = "wan"
side = "outside"
address = "203.0.113.1"
listen = ["udp:5060"]
keepalive = "0s"
[[upstream]]
name = "pbx"
address = "203.0.113.10:5060"
domain = "pbx.example.com"
probe = "0s"
[media]
ports = "20000-20999"
[policy]
default = "allow"
"#;

/// Who sends, by the first octet.
const PARTIES: [(u16, &str); 5] = [
    (0, "10.17.0.21:5060"),
    (0, "10.17.0.22:5060"),
    (1, "203.0.113.10:5060"),
    (1, "198.51.100.66:5060"),
    (1, "203.0.113.1:5060"),
];

/// Effects of one step; more is a loop.
const MOST: usize = 4_096;

fn snapshot() -> Arc<Snapshot> {
    static ONCE: OnceLock<Arc<Snapshot>> = OnceLock::new();
    let make = || {
        let config = Config::parse("fuzz.toml", FILE, &Environment::default());
        let config = config.unwrap_or_else(|_| panic!("the file is right"));
        let rules = RuleSet::compile(&config).unwrap_or_else(|_| panic!("so are its rules"));
        Arc::new(Snapshot { config, rules, users: Users::None })
    };
    ONCE.get_or_init(make).clone()
}

struct Lab {
    engine: Engine,
    now: Now,
    streams: BTreeMap<StreamId, [LegConfig; 2]>,
    /// What each party was sent last.
    last: HashMap<SocketAddr, String>,
}

impl Lab {
    fn step(&mut self, input: Input) {
        self.engine.handle_input(self.now, input);
        let mut events = Vec::new();
        for n in 0.. {
            assert!(n < MOST, "a step has an end");
            match self.engine.poll_output() {
                Output::Timeout(_) => break,
                Output::Transmit { flow, bytes, .. } => self.transmitted(flow, &bytes),
                Output::Relay(command) => events.extend(self.obey(command)),
                _ => {}
            }
        }
        self.ports_are_held();
        for event in events {
            self.step(Input::Relay(event));
        }
    }

    fn transmitted(&mut self, flow: Flow, bytes: &[u8]) {
        let to = flow.peer.ip();
        if flow.listener == ListenerId(1) {
            let inside = matches!(to, IpAddr::V4(v4) if v4.octets()[..2] == [10, 17]);
            assert!(!to.is_loopback() && !to.is_multicast() && !to.is_unspecified(), "to {to}");
            assert!(!inside, "to {to}");
        }
        self.last.insert(flow.peer, String::from_utf8_lossy(bytes).into_owned());
    }

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
        let ours = |ip: IpAddr| ["10.17.0.1", "203.0.113.1"].iter().any(|o| o.parse() == Ok(ip));
        let legs = || self.streams.values().flatten();
        for leg in legs() {
            let Some(to) = leg.party.rtp.filter(|to| ours(to.ip())) else { continue };
            // The other pass of a spiral: it is there, or was a moment ago.
            let range = (20_000..=20_999).contains(&to.port());
            assert!(!range || legs().count() > 2, "{leg:?} sends to ourselves");
        }
    }

    /// The message with what its sender was sent last in it.
    fn written(&self, from: SocketAddr, text: &str) -> String {
        let last = self.last.get(&from).map(String::as_str).unwrap_or_default();
        let row = |name: &str| {
            let rows = last.lines().filter_map(|l| l.split_once(": "));
            rows.clone().find(|(n, _)| *n == name).map(|(_, v)| v).unwrap_or_default().to_owned()
        };
        let uri = |value: String| {
            let inner = value.split_once('<').and_then(|(_, v)| v.split_once('>'));
            inner.map(|(uri, _)| uri.to_owned()).unwrap_or(value)
        };
        text.replace("%C", &uri(row("Contact")))
            .replace("%B", row("Via").split_once("branch=").map_or("", |(_, b)| b))
            .replace("%I", &row("Call-ID"))
            .replace("%F", &row("From"))
            .replace("%O", &row("To"))
            .replace("%R", &row("Record-Route"))
    }
}

fuzz_target!(|octets: &[u8]| {
    let now = Now {
        mono: Mono(Duration::from_secs(1_000)),
        wall: Wall(Duration::from_secs(1_790_000_000)),
    };
    let seeds = Seeds { keys: vec![(7, [7; 64])], nonce: [8; 32], random: [9; 32] };
    let engine = Engine::new(snapshot(), seeds, now);
    let mut lab = Lab { engine, now, streams: BTreeMap::new(), last: HashMap::new() };
    for message in octets.split(|b| *b == 0).take(32) {
        let Some((first, text)) = message.split_first() else { continue };
        let (listener, peer) = PARTIES[usize::from(*first) % PARTIES.len()];
        let peer: SocketAddr = peer.parse().expect("an address");
        let text = match std::str::from_utf8(text) {
            Ok(text) => Bytes::from(lab.written(peer, text)),
            Err(_) => Bytes::copy_from_slice(text),
        };
        let transport = Transport::Udp;
        let flow = Flow { listener: ListenerId(listener), transport, peer, conn: None, upstream: None };
        lab.step(Input::Message { flow, bytes: text });
        lab.now = lab.now.after(Duration::from_millis(u64::from(*first) * 10));
        lab.step(Input::Timeout);
    }
    lab.step(Input::HangUpAll);
    for _ in 0..8 {
        lab.now = lab.now.after(Duration::from_secs(64));
        lab.step(Input::Timeout);
    }
    assert!(lab.streams.is_empty(), "nothing is left");
});
