//! What signalling costs, and how that grows with the site: microseconds for a forwarded REGISTER
//! with 500, 2,000 and 8,000 phones registered behind one address, for a whole call with 100 and
//! 3,000 others up, and the memory that a binding and a call hold. The engine alone, one thread, in
//! virtual time; no socket. Best of some rounds, side by side in one run.
//!
//!     cargo bench --bench signalling

#![expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
#![expect(clippy::wildcard_enum_match_arm, reason = "the rest is alike")]

use bytes::Bytes;
use portreeve::config::{Config, Environment};
use portreeve::engine::digest::Users;
use portreeve::engine::{Engine, Input, Output, Seeds, Snapshot};
use portreeve::ground::{Flow, ListenerId, Mono, Now, Transport, Wall};
use portreeve::policy::RuleSet;
use portreeve::relay::{Command, Event};
use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Octets that are allocated and not freed.
static HELD: AtomicUsize = AtomicUsize::new(0);

struct Counting;

#[expect(unsafe_code, reason = "an allocator that counts")]
// SAFETY: every call goes to `System` with the arguments it came with.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promised us.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promised us.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const ROUNDS: usize = 5;
const TURNS: usize = 400;

const FILE: &str = r#"
[[interface]]
name = "phones"
side = "inside"
address = "10.17.0.1"
networks = ["10.17.0.0/16"]
[[interface]]
name = "wan"
side = "outside"
address = "203.0.113.1"
[[upstream]]
name = "pbx"
address = "203.0.113.10:5060"
domain = "pbx.example.com"
probe = "0s"
[media]
ports = "20000-49999"
[limits]
calls = 5000
calls_per_user = 5000
bindings = 20000
transactions = 50000
transactions_per_source = 50000
dialogs = 20000
[policy]
default = "allow"
"#;

/// The gateway, its clock and what it sent last.
struct Site {
    engine: Engine,
    now: Now,
    sent: VecDeque<(Flow, Bytes)>,
    news: VecDeque<Event>,
    fresh: u64,
}

fn main() {
    println!("a forwarded REGISTER, all phones behind one address");
    for phones in [500, 2_000, 8_000] {
        let mut site = Site::new();
        let empty = held();
        for n in 0..phones {
            site.register(n, 1);
            site.rest(n);
        }
        site.pass(Duration::from_secs(40));
        let each = held().saturating_sub(empty) / phones;
        let mut cseq = 1;
        let best = best(|| {
            cseq += 1;
            (0..TURNS).for_each(|n| site.register(n * 7_919 % phones, cseq));
            TURNS
        });
        println!("{phones:>7} phones {best:>8.1} µs   {each:>6} octets a binding");
    }
    println!("a call: INVITE, 180, 200, ACK, BYE, 200");
    for up in [100, 3_000] {
        let mut site = Site::new();
        let empty = held();
        for n in 0..up {
            site.call(false);
            site.rest(n);
        }
        site.pass(Duration::from_secs(40));
        let each = held().saturating_sub(empty) / up;
        let best = best(|| {
            for _ in 0..TURNS / 4 {
                site.call(true);
            }
            site.pass(Duration::from_secs(40));
            TURNS / 4
        });
        println!("{up:>7} calls  {best:>8.1} µs   {each:>6} octets a call");
    }
}

/// Microseconds of the best round's turn.
fn best(mut round: impl FnMut() -> usize) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let turns = round();
        best = best.min(start.elapsed().as_secs_f64() * 1e6 / turns as f64);
    }
    best
}

/// Octets that this process holds.
fn held() -> usize {
    HELD.load(Ordering::Relaxed)
}

fn udp(listener: u16, peer: SocketAddr) -> Flow {
    Flow {
        listener: ListenerId(listener),
        transport: Transport::Udp,
        peer,
        conn: None,
        upstream: None,
    }
}

impl Site {
    fn new() -> Self {
        let parsed = Config::parse("bench.toml", FILE, &Environment::default());
        let Ok(config) = parsed else { panic!("the bench's own file") };
        let Ok(rules) = RuleSet::compile(&config) else { panic!("its rules") };
        let now = Now {
            mono: Mono(Duration::from_secs(1)),
            wall: Wall(Duration::from_secs(1_790_000_000)),
        };
        let snapshot = Arc::new(Snapshot { config, rules, users: Users::None });
        let seeds = Seeds { keys: vec![(1, [7; 64])], nonce: [8; 32], random: [9; 32] };
        let engine = Engine::new(snapshot, seeds, now);
        Self { engine, now, sent: VecDeque::new(), news: VecDeque::new(), fresh: 0 }
    }

    fn pbx() -> Flow {
        udp(2, SocketAddr::from(([203, 0, 113, 10], 5060)))
    }

    fn input(&mut self, input: Input) {
        self.engine.handle_input(self.now, input);
        loop {
            match self.engine.poll_output() {
                Output::Timeout(_) => break,
                Output::Transmit { flow, bytes, .. } => self.sent.push_back((flow, bytes)),
                Output::Relay(Command::Close { stream }) => self.news.push_back(Event::Closed {
                    stream,
                    counters: Default::default(),
                    figures: Default::default(),
                }),
                _ => {}
            }
        }
        while let Some(event) = self.news.pop_front() {
            self.input(Input::Relay(event));
        }
    }

    fn pass(&mut self, by: Duration) {
        for _ in 0..by.as_secs() {
            self.now = self.now.after(Duration::from_secs(1));
            self.input(Input::Timeout);
        }
        self.sent.clear();
    }

    /// Now and then transactions end, so that their tables do not stand for what is measured.
    fn rest(&mut self, n: usize) {
        if n % 250 == 249 {
            self.pass(Duration::from_secs(40));
        }
    }

    fn tell(&mut self, flow: Flow, text: String) {
        self.input(Input::Message { flow, bytes: Bytes::from(text) });
    }

    /// The next message that begins so.
    fn next(&mut self, begins: &str) -> String {
        while let Some((_, bytes)) = self.sent.pop_front() {
            if bytes.starts_with(begins.as_bytes()) {
                return String::from_utf8_lossy(&bytes).into_owned();
            }
        }
        panic!("nothing that begins with {begins}")
    }

    /// A phone registers (again); the PBX grants it.
    fn register(&mut self, n: usize, cseq: u32) {
        self.fresh += 1;
        let port = u16::try_from(10_000 + n).unwrap_or_default();
        let flow = udp(0, SocketAddr::from(([10, 17, 0, 21], port)));
        let user = 100_000 + n;
        self.tell(
            flow,
            format!(
                "REGISTER sip:pbx.example.com SIP/2.0\r\n\
                 Via: SIP/2.0/UDP 10.17.0.21:{port};branch=z9hG4bKr{};rport\r\nMax-Forwards: 70\r\n\
                 From: <sip:{user}@pbx.example.com>;tag=f{n}\r\nTo: <sip:{user}@pbx.example.com>\r\n\
                 Call-ID: r{n}\r\nCSeq: {cseq} REGISTER\r\n\
                 Contact: <sip:{user}@10.17.0.21:{port}>\r\nExpires: 3600\r\n\
                 Content-Length: 0\r\n\r\n",
                self.fresh
            ),
        );
        let got = self.next("REGISTER");
        self.tell(Self::pbx(), answer(&got, 200, "", ";expires=3600", ""));
        self.next("SIP/2.0 200");
    }

    /// A phone calls the PBX; it hangs up, or the call stays.
    fn call(&mut self, ends: bool) {
        self.fresh += 1;
        let n = self.fresh;
        let port = u16::try_from(10_000 + n % 20_000).unwrap_or_default();
        let flow = udp(0, SocketAddr::from(([10, 17, 0, 21], port)));
        let head = |method: &str, uri: &str, cseq: u32, to: &str, more: &str| {
            format!(
                "{method} {uri} SIP/2.0\r\n\
                 Via: SIP/2.0/UDP 10.17.0.21:{port};branch=z9hG4bKc{n}.{method};rport\r\n\
                 Max-Forwards: 70\r\nFrom: <sip:1001@pbx.example.com>;tag=a{n}\r\n\
                 To: <sip:200@pbx.example.com>{to}\r\nCall-ID: c{n}\r\nCSeq: {cseq} {method}\r\n\
                 Contact: <sip:1001@10.17.0.21:{port}>\r\n{more}"
            )
        };
        let body = sdp("10.17.0.21", 4000);
        let typed = |body: &str| {
            format!("Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        };
        let bare = "Content-Length: 0\r\n\r\n";
        self.tell(flow, head("INVITE", "sip:200@pbx.example.com", 1, "", &typed(&body)));
        let invite = self.next("INVITE");
        self.tell(Self::pbx(), answer(&invite, 180, &format!(";tag=b{n}"), "", ""));
        let body = typed(&sdp("203.0.113.10", 6000));
        self.tell(Self::pbx(), answer(&invite, 200, &format!(";tag=b{n}"), "", &body));
        let ok = self.next("SIP/2.0 200");
        let contact = ok.split("Contact: <").nth(1).and_then(|c| c.split('>').next());
        let uri = contact.unwrap_or_default().to_owned();
        let to = format!(";tag=b{n}");
        self.tell(flow, head("ACK", &uri, 1, &to, bare));
        self.next("ACK");
        if ends {
            self.tell(flow, head("BYE", &uri, 2, &to, bare));
            let bye = self.next("BYE");
            self.tell(Self::pbx(), answer(&bye, 200, "", "", ""));
            self.next("SIP/2.0 200");
        }
    }
}

fn sdp(address: &str, port: u16) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n"
    )
}

/// An answer to a request: its own Via, From, To, Call-ID, CSeq, Record-Route and Contact.
fn answer(request: &str, status: u16, tag: &str, expires: &str, body: &str) -> String {
    let mut out = format!("SIP/2.0 {status} Answer\r\n");
    for line in request.lines() {
        let name = line.split(':').next().unwrap_or_default();
        match name {
            "Via" | "From" | "Call-ID" | "CSeq" | "Record-Route" => {
                out.push_str(line);
                out.push_str("\r\n");
            }
            "To" => {
                out.push_str(line);
                out.push_str(tag);
                out.push_str("\r\n");
            }
            "Contact" if expires.is_empty() => {
                out.push_str("Contact: <sip:200@203.0.113.10:5060>\r\n");
            }
            "Contact" => {
                out.push_str(line);
                out.push_str(expires);
                out.push_str("\r\n");
            }
            _ => {}
        }
    }
    out.push_str(if body.is_empty() { "Content-Length: 0\r\n\r\n" } else { body });
    out
}
