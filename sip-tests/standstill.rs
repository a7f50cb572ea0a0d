//! The event loop of a real gateway is stopped in the middle of its work: whoever asks how things
//! stand is answered all the same, with how they stood then, and is told so.

use portreeve::admin::{Desk, Metrics};
use portreeve::config::{Config, Environment};
use portreeve::daemon::reload::Reloader;
use portreeve::daemon::{self, Observed, Observer};
use portreeve::driver::service::Service;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

/// Whatever has not happened after this does not happen.
const PATIENCE: Duration = Duration::from_secs(20);
const BINARY: &str = env!("CARGO_BIN_EXE_portreeve");

/// A gateway on loopback, a phone before it and a PBX behind it.
struct Stage {
    folder: PathBuf,
    http: SocketAddr,
    /// Holding it stops the loop at the next message.
    brake: Arc<Mutex<()>>,
    phone: UdpSocket,
    pbx: UdpSocket,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

fn socket(at: &str) -> UdpSocket {
    let socket = UdpSocket::bind(at).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// A port of an address that is free now.
fn free_port(address: &str) -> u16 {
    socket(&format!("{address}:0")).local_addr().unwrap().port()
}

impl Stage {
    fn set() -> Self {
        let folder = std::env::temp_dir().join(format!("portreeve-still-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let (phone, pbx) = (socket("127.0.0.1:0"), socket("127.0.0.3:0"));
        let (inside, outside) = (free_port("127.0.0.1"), free_port("127.0.0.2"));
        let text = format!(
            r#"
            [[interface]]
            name = "lan"
            side = "inside"
            address = "127.0.0.1"
            networks = ["127.0.0.0/8"]
            listen = ["udp:{inside}"]
            [[interface]]
            name = "wan"
            side = "outside"
            address = "127.0.0.2"
            listen = ["udp:{outside}"]
            [[upstream]]
            name = "pbx"
            address = "{}"
            domain = "pbx.test"
            probe = "1s"
            [media]
            ports = "29000-29039"
            workers = 1
            [limits]
            calls = 8
            [state]
            dir = "{}/state"
            [control]
            socket = "{}/control.sock"
            "#,
            pbx.local_addr().unwrap(),
            folder.display(),
            folder.display(),
        );
        let told = |all: Vec<portreeve::config::Diagnostic>| {
            all.iter().map(ToString::to_string).collect::<String>()
        };
        let config = Config::parse("stage", &text, &Environment::default()).map_err(told).unwrap();
        phone.connect(("127.0.0.1", inside)).unwrap();
        let brake = Arc::new(Mutex::new(()));
        let (tell, ready) = mpsc::channel();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let own = brake.clone();
        let thread = std::thread::spawn(move || run(config, own, &tell, stopped));
        let http = ready.recv_timeout(PATIENCE).unwrap();
        Self { folder, http, brake, phone, pbx, stop: Some(stop), thread: Some(thread) }
    }

    /// What the loopback port answers: status and body.
    fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.http).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
        let mut all = String::new();
        stream.read_to_string(&mut all).unwrap();
        let (head, body) = all.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// One value of a scrape; `None`: it is not there.
    fn metric(&self, name: &str) -> Option<f64> {
        let (status, text) = self.get("/metrics");
        assert_eq!(status, 200);
        let value = text.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(' '));
        value.map(|v| v.parse().unwrap())
    }

    /// What a command prints on stdout and stderr, and its exit code.
    fn command(&self, words: &[&str]) -> (String, String, Option<i32>) {
        let socket = self.folder.join("control.sock");
        let out = Command::new(BINARY)
            .args(words)
            .arg("--socket")
            .arg(socket)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |b: Vec<u8>| String::from_utf8(b).unwrap();
        (text(out.stdout), text(out.stderr), out.status.code())
    }

    /// Sends a request of the phone's; `more` are headers and body.
    fn ask(&self, method: &str, uri: &str, to: &str, more: &str) {
        let at = self.phone.local_addr().unwrap();
        let text = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {at};branch=z9hG4bK{method}\r\n\
             From: <sip:101@pbx.test>;tag=a\r\nTo: <{to}>\r\nCall-ID: {method}@phone\r\n\
             CSeq: 1 {method}\r\nContact: <sip:101@{at}>\r\nMax-Forwards: 70\r\n{more}"
        );
        self.phone.send(text.as_bytes()).unwrap();
    }

    /// Waits for a message that begins so.
    fn hear(socket: &UdpSocket, start: &str) -> (String, SocketAddr) {
        let mut buffer = [0; 4096];
        loop {
            let (n, from) = socket.recv_from(&mut buffer).unwrap();
            let text = String::from_utf8_lossy(&buffer[..n]).into_owned();
            if text.starts_with(start) {
                return (text, from);
            }
        }
    }

    /// The PBX answers a request.
    fn answer(&self, method: &str, status: &str) {
        let (request, from) = Self::hear(&self.pbx, method);
        let kept = ["Via", "From", "To", "Call-ID", "CSeq", "Contact"];
        let lines =
            request.lines().filter(|l| kept.iter().any(|k| l.starts_with(&format!("{k}:"))));
        let mut text = format!("SIP/2.0 {status}\r\n");
        for line in lines {
            let tag = if line.starts_with("To:") { ";tag=b" } else { "" };
            text.push_str(&format!("{line}{tag}\r\n"));
        }
        text.push_str("Expires: 60\r\nContent-Length: 0\r\n\r\n");
        self.pbx.send_to(text.as_bytes(), from).unwrap();
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The gateway's own thread, as `run` has it.
fn run(
    config: Config,
    brake: Arc<Mutex<()>>,
    ready: &mpsc::Sender<SocketAddr>,
    stopped: tokio::sync::oneshot::Receiver<()>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let metrics = Metrics::new();
        let measured = metrics.observer();
        let observer: Observer = Arc::new(move |seen| {
            if matches!(seen, Observed::Processing(_)) {
                drop(brake.lock().unwrap());
            }
            measured(seen);
        });
        let control = config.control.clone().unwrap();
        let handle = daemon::start(config.clone(), observer, Service::none()).unwrap();
        let desk = Desk::open(handle.table(), metrics).unwrap();
        let http = desk.serve("127.0.0.1:0".parse().unwrap(), None).unwrap();
        let read = Arc::new(|| unreachable!("nothing is read anew here"));
        let applied = Box::new(|_: &Config| ());
        let source = "stage".to_owned();
        let reloader =
            Reloader::new(handle.asks(), config, source, read, applied, Service::none()).unwrap();
        let control = desk.control(&control, handle.asks(), Arc::new(reloader), None).unwrap();
        ready.send(http).unwrap();
        let _ = stopped.await;
        control.stop().await;
        handle.stop().await;
    });
}

const INVITES: &str = "portreeve_sip_requests_total{side=\"inside\",method=\"INVITE\"}";
const UP: &str = "portreeve_upstream_up{upstream=\"pbx\"}";
const AGE: &str = "portreeve_event_loop_age_seconds";

/// A phone registers and calls; the PBX does not answer the call yet.
fn a_call_is_set_up(stage: &Stage) {
    stage.answer("OPTIONS", "200 OK");
    let register = "Expires: 60\r\nContent-Length: 0\r\n\r\n";
    stage.ask("REGISTER", "sip:pbx.test", "sip:101@pbx.test", register);
    stage.answer("REGISTER", "200 OK");
    Stage::hear(&stage.phone, "SIP/2.0 200");
    let sdp = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
               m=audio 40000 RTP/AVP 0\r\n";
    let body =
        format!("Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}", sdp.len());
    stage.ask("INVITE", "sip:200@pbx.test", "sip:200@pbx.test", &body);
    stage.answer("INVITE", "180 Ringing");
    Stage::hear(&stage.phone, "SIP/2.0 180");
}

/// Whoever was answered finds that counted.
fn it_turns(stage: &Stage) {
    assert_eq!(stage.metric(INVITES), Some(1.0));
    assert_eq!(stage.metric("portreeve_active_calls{state=\"early\"}"), Some(1.0));
    assert_eq!(stage.metric(UP), Some(1.0));
    assert_eq!((stage.get("/live").0, stage.get("/ready").0), (200, 200));
    let (calls, words, code) = stage.command(&["calls"]);
    assert!(calls.contains("101") && calls.contains("CALL SETUP"), "{calls}");
    assert_eq!((words.as_str(), code), ("", Some(0)));
    let (call, _, _) = stage.command(&["calls", "show", "1"]);
    assert!(call.contains("findings none so far"), "{call}");
    assert!(stage.command(&["registrations"]).0.contains("101@pbx.test"));
}

/// Figures and lists are those of the last turn, and said to be.
fn it_stands_still(stage: &Stage) {
    stage.ask("OPTIONS", "sip:pbx.test", "sip:pbx.test", "Content-Length: 0\r\n\r\n");
    while stage.get("/live").0 == 200 {
        assert!(stage.metric(AGE).is_some_and(|age| age < PATIENCE.as_secs_f64()));
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(stage.metric(AGE) >= Some(3.0), "{:?}", stage.metric(AGE));
    assert_eq!(stage.metric(INVITES), Some(1.0), "the last true figure");
    assert_eq!(stage.metric(UP), None, "nobody knows");
    for path in ["/live", "/ready"] {
        let (status, told) = stage.get(path);
        assert!(status == 503 && told.contains("stood still for"), "{path}: {told}");
    }
    let listed = |words: &[&str], want: &[&str]| {
        let (out, told, code) = stage.command(words);
        assert!(want.iter().all(|w| out.contains(w)), "{words:?}: {out}");
        assert!(told.contains("has stood still for") && code == Some(0), "{words:?}: {told}");
        out
    };
    listed(&["calls"], &["101", "CALL SETUP"]);
    listed(&["registrations"], &["101@pbx.test"]);
    let call = listed(&["calls", "show", "1"], &["101", "does not answer"]);
    assert!(!call.contains("none so far"), "{call}");
    let status = listed(&["status"], &["STANDS STILL", "not known", "1 of 8"]);
    assert!(!status.contains("running"), "{status}");
    let json = stage.command(&["status", "--json"]).0;
    assert!(json.contains("\"state\":\"standstill\"") && json.contains("\"up\":null"), "{json}");
    // What must be done is refused, not promised.
    let (_, told, code) = stage.command(&["calls", "hangup", "1"]);
    assert!(told.contains("stood still for") && code != Some(0), "{told}");
    for words in ["drain", "reload"] {
        let (_, told, code) = stage.command(&[words]);
        assert!(told.contains("stood still for") && code != Some(0), "{words}: {told}");
    }
}

fn a_crowd_keeps_nobody_out(stage: &Stage) {
    // Slow readers and many of them take places of each other and of nobody else.
    let mut crowd: Vec<TcpStream> = Vec::new();
    for _ in 0..200 {
        let mut stream = TcpStream::connect(stage.http).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\n").unwrap();
        crowd.push(stream);
    }
    assert_eq!(stage.get("/metrics").0, 200);
}

/// Everything that comes back for these octets.
fn answer(stage: &Stage, asked: &str) -> String {
    let mut stream = TcpStream::connect(stage.http).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(asked.as_bytes()).unwrap();
    let mut all = Vec::new();
    // What was sent beyond the first request may be answered with a reset.
    let mut chunk = [0; 4096];
    while let Ok(n @ 1..) = stream.read(&mut chunk) {
        all.extend_from_slice(&chunk[..n]);
    }
    String::from_utf8(all).unwrap()
}

fn a_page_of_another_name_is_refused(stage: &Stage) {
    let status = |head: &str| {
        let all = answer(stage, &format!("{head}\r\n\r\n"));
        all.split(' ').nth(1).unwrap_or_default().to_owned()
    };
    for host in ["localhost", "127.0.0.1:9", "[::1]"] {
        assert_eq!(status(&format!("GET /live HTTP/1.1\r\nHost: {host}")), "200", "{host}");
    }
    for host in ["evil.test", "evil.test:8060", "127.0.0.1.evil.test", "192.0.2.1", ""] {
        for path in ["/metrics", "/live", "/ready", "/nothing"] {
            let head = format!("GET {path} HTTP/1.1\r\nHost: {host}");
            assert_eq!(status(&head), "421", "{head}");
        }
    }
    assert_eq!(status("GET /live HTTP/1.0\r\nHost: evil.test"), "421");
    assert_eq!(status("GET http://evil.test/live HTTP/1.1\r\nHost: localhost"), "421");
    assert_eq!(status("GET /live HTTP/1.1"), "400");
    assert_eq!(status("GET /live HTTP/1.1\r\nHost: localhost\r\nHost: evil.test"), "400");
    let long = "x".repeat(9_000);
    let all = answer(stage, &format!("GET /live HTTP/1.1\r\nHost: localhost\r\nX: {long}\r\n\r\n"));
    assert!(!all.contains("200 OK"), "{all}");
}

fn who_asks_a_hundred_times_at_once_is_answered_once(stage: &Stage) {
    let asked = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(100);
    let mut crowd: Vec<TcpStream> = Vec::new();
    for _ in 0..50 {
        let mut stream = TcpStream::connect(stage.http).unwrap();
        stream.write_all(asked.as_bytes()).unwrap();
        crowd.push(stream);
    }
    assert!(stage.get("/live").1.len() < 200, "a word, amidst pages that nobody reads");
    let all = answer(stage, &asked);
    assert_eq!(all.matches("HTTP/1.1 200 OK").count(), 1);
    assert!(all.contains("connection: close"), "{all}");
    let (shares, _, code) = stage.command(&["status", "--shares"]);
    for resource in ["calls", "connections", "buffers", "http"] {
        assert!(shares.contains(resource) && code == Some(0), "{shares}");
    }
    assert_eq!(stage.metric("portreeve_share_places{resource=\"http\"}"), Some(64.0));
    let total = stage.metric("portreeve_share_places{resource=\"connections\"}");
    assert_eq!(total, Some(2_000.0));
}

fn it_goes_on(stage: &Stage) {
    for _ in 0..2_000 {
        if stage.get("/live").0 == 200 {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(stage.get("/live").0, 200);
    assert!(stage.metric(AGE).is_some());
    // Asked after the hang-up that nobody waited for.
    let (call, _, _) = stage.command(&["calls", "show", "1"]);
    assert!(call.contains("findings none so far"), "what was not done in time is not done: {call}");
    let (calls, words, code) = stage.command(&["calls"]);
    assert!(calls.contains("CALL SETUP"), "{calls}");
    assert_eq!((words.as_str(), code), ("", Some(0)));
}

#[test]
fn readers_are_answered_while_the_loop_stands_still_and_are_told() {
    let stage = Stage::set();
    a_call_is_set_up(&stage);
    it_turns(&stage);
    // It stops in the middle of a message.
    let brake = stage.brake.lock().unwrap();
    it_stands_still(&stage);
    a_crowd_keeps_nobody_out(&stage);
    drop(brake);
    it_goes_on(&stage);
    a_page_of_another_name_is_refused(&stage);
    who_asks_a_hundred_times_at_once_is_answered_once(&stage);
}
