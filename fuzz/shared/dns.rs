//! Whatever DNS says: what an upstream stands for is a host of the outside that may be sent to, of
//! bounded number, found by a bounded number of questions; time goes on, and nothing panics. Octets
//! say what each reply is.

use portreeve::config::{Config, Environment};
use portreeve::engine::digest::Users;
use portreeve::engine::names::{Question, Record, Reply};
use portreeve::engine::{Engine, Input, Output, Seeds, Snapshot};
use portreeve::ground::{Mono, Now, Wall};
use portreeve::policy::RuleSet;
use std::net::IpAddr;
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
listen = ["udp:5060", "tcp:5060"]
keepalive = "0s"
[[upstream]]
name = "pbx"
address = "sip.example.net"
probe = "0s"
[[upstream]]
name = "trunk"
targets = ["a.example.net:5070", "198.51.100.9:5060", "sip.example.net"]
numbers = ["+1"]
probe = "0s"
[policy]
default = "allow"
"#;

/// Names that lead to each other, and to themselves.
const NAMES: [&str; 6] = [
    "sip.example.net",
    "a.example.net",
    "_sip._udp.sip.example.net",
    "_sip._tcp.a.example.net",
    "",
    "xn--nxasmq6b.example.net",
];

/// Hosts that may be sent to, and such as never may.
const HOSTS: [&str; 12] = [
    "198.51.100.1",
    "198.51.100.9",
    "203.0.113.7",
    "2001:db8::7",
    "::ffff:198.51.100.3",
    "10.17.0.20",
    "::ffff:10.17.0.20",
    "203.0.113.1",
    "127.0.0.1",
    "224.0.0.1",
    "0.0.0.0",
    "fe80::1",
];

/// Effects of one step; more is a loop.
const MOST: usize = 512;

fn snapshot() -> Arc<Snapshot> {
    static ONCE: OnceLock<Arc<Snapshot>> = OnceLock::new();
    let make = || {
        let config = Config::parse("fuzz.toml", FILE, &Environment::default());
        let config = config.unwrap_or_else(|faults| {
            panic!("{}", faults.iter().map(ToString::to_string).collect::<String>())
        });
        let rules = RuleSet::compile(&config).unwrap_or_else(|_| panic!("the rules are right"));
        Arc::new(Snapshot { config, rules, users: Users::None })
    };
    ONCE.get_or_init(make).clone()
}

/// Reads octets until there are none; then all are 0.
struct Octets<'a>(&'a [u8]);

impl Octets<'_> {
    fn one(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn two(&mut self) -> u16 {
        u16::from_be_bytes([self.one(), self.one()])
    }

    fn name(&mut self) -> String {
        match usize::from(self.one()) {
            n if n < 200 => NAMES[n % NAMES.len()].to_owned(),
            n => format!("h{n}.example.net"),
        }
    }

    fn record(&mut self) -> Record {
        match self.one() % 4 {
            0 => {
                let (order, preference) = (self.two(), self.two());
                let flags = ["s", "S", "a", "u", ""][usize::from(self.one()) % 5].to_owned();
                let services = ["SIP+D2U", "sip+d2t", "SIPS+D2T", "E2U+sip", ""];
                let service = services[usize::from(self.one()) % 5].to_owned();
                Record::Naptr { order, preference, flags, service, replacement: self.name() }
            }
            1 => Record::Srv {
                priority: self.two(),
                weight: self.two(),
                port: self.two(),
                target: self.name(),
            },
            _ => {
                let ip = HOSTS[usize::from(self.one()) % HOSTS.len()].parse();
                Record::Address(ip.expect("an address"))
            }
        }
    }

    fn reply(&mut self) -> Reply {
        let ttl = Duration::from_secs(u64::from(self.two()));
        match self.one() {
            0..40 => Reply::Failed("nobody answers".to_owned()),
            40..80 => Reply::Nothing(ttl),
            n => Reply::Records((0..n % 48).map(|_| self.record()).collect(), ttl),
        }
    }
}

/// What it wants: questions, and when it wants to be woken.
fn drain(engine: &mut Engine, now: Now) -> Vec<Question> {
    let mut asked = Vec::new();
    for n in 0.. {
        assert!(n < MOST, "a step has an end");
        match engine.poll_output() {
            Output::Resolve(question) => asked.push(question),
            Output::Timeout(at) => {
                assert!(at.is_none_or(|at| at > now.mono), "a timer that is due was not fired");
                break;
            }
            _ => {}
        }
    }
    assert!(asked.len() <= 128, "{} questions at once", asked.len());
    asked
}

/// One that may be sent to.
fn is_fit(ip: IpAddr) -> bool {
    let at = HOSTS.iter().position(|host| host.parse() == Ok(ip));
    let canonical = ip == IpAddr::from([198, 51, 100, 3]);
    canonical || at.is_some_and(|at| at < 3)
}

/// One run: how many places it found at most.
pub(super) fn run(octets: &[u8]) -> usize {
    let mut octets = Octets(octets);
    let (mono, wall) = (Duration::from_secs(1_000), Duration::from_secs(1_790_000_000));
    let mut now = Now { mono: Mono(mono), wall: Wall(wall) };
    let seeds = Seeds { keys: vec![(7, [7; 64])], nonce: [8; 32], random: [9; 32] };
    let mut engine = Engine::new(snapshot(), seeds, now);
    let mut asked = drain(&mut engine, now);
    let mut most = 0;
    for _ in 0..64 {
        if octets.0.is_empty() {
            break;
        }
        let what = octets.one();
        let input = match asked.pop() {
            // Answers that nobody asked for change nothing.
            _ if what < 8 => Input::Resolved(Question::Srv(octets.name()), octets.reply()),
            _ if what < 16 => Input::ResolverChanged,
            Some(question) => Input::Resolved(question, octets.reply()),
            None => {
                now = now.after(Duration::from_secs(u64::from(what)));
                Input::Timeout
            }
        };
        engine.handle_input(now, input);
        asked.extend(drain(&mut engine, now));
        for upstream in engine.stats(now).upstreams {
            assert!(upstream.targets.len() <= 32, "{} places", upstream.targets.len());
            most = most.max(upstream.targets.len());
            for target in upstream.targets {
                assert!(is_fit(target.address.ip()), "it would send to {}", target.address);
            }
        }
    }
    most
}
