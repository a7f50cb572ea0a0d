//! A built-in phone: registers, calls, answers, holds, hangs up. It speaks real SIP over a real
//! socket and keeps what it saw for the ladder. It is a test instrument, not a user agent to build
//! on.

use crate::wire::sip::{Framing, Message, Method, Name, NameAddr};
use bytes::Bytes;
use md5::{Digest, Md5};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

/// One message that a phone sent or received.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) at: Instant,
    pub(crate) phone: usize,
    /// True: the phone sent it.
    pub(crate) sent: bool,
    /// `INVITE`, `200 OK` …
    pub(crate) what: String,
}

/// Why a step of the self-test failed, in words for the person who reads it.
pub(crate) type Step<T> = Result<T, String>;

/// One built-in phone.
#[derive(Debug)]
pub(crate) struct Phone {
    socket: Arc<UdpSocket>,
    arrivals: mpsc::Receiver<(Instant, Bytes)>,
    pub(crate) address: SocketAddr,
    server: SocketAddr,
    pub(crate) user: String,
    password: String,
    index: usize,
    counter: u32,
    pub(crate) seen: Vec<Seen>,
}

/// One side of a call as a phone keeps it.
#[derive(Clone, Debug)]
pub(crate) struct Dialog {
    call_id: String,
    local: String,
    remote: String,
    target: String,
    routes: Vec<String>,
    seq: u32,
}

impl Phone {
    /// A phone on an ephemeral port of `server`'s address.
    pub(crate) async fn new(
        index: usize,
        user: &str,
        password: &str,
        server: SocketAddr,
    ) -> Step<Self> {
        let socket = UdpSocket::bind(SocketAddr::new(server.ip(), 0))
            .await
            .map_err(|e| format!("no socket for the built-in phone: {e}"))?;
        let address = socket.local_addr().map_err(|e| e.to_string())?;
        let socket = Arc::new(socket);
        let (queue, arrivals) = mpsc::channel(64);
        tokio::spawn(read(socket.clone(), queue));
        Ok(Self {
            socket,
            arrivals,
            address,
            server,
            user: user.to_owned(),
            password: password.to_owned(),
            index,
            counter: 0,
            seen: Vec::new(),
        })
    }

    /// A name that is unique within the self-test.
    fn unique(&mut self, what: &str) -> String {
        self.counter += 1;
        format!("{what}-{}-{}-{}", self.user, self.address.port(), self.counter)
    }

    fn note(&mut self, at: Instant, sent: bool, message: &Message) {
        let what = if message.is_request() {
            message.method().to_string()
        } else {
            format!("{} {}", message.status(), String::from_utf8_lossy(message.phrase()))
        };
        self.seen.push(Seen { at, phone: self.index, sent, what });
    }

    pub(crate) async fn send(&mut self, message: &Message) -> Step<()> {
        self.note(now(), true, message);
        let bytes = message.to_bytes();
        self.socket
            .send_to(&bytes, self.server)
            .await
            .map(|_| ())
            .map_err(|e| format!("phone {} could not send: {e}", self.user))
    }

    /// The next message, within `limit`.
    async fn next(&mut self, limit: Duration) -> Step<Message> {
        let (at, bytes) = match tokio::time::timeout(limit, self.arrivals.recv()).await {
            Ok(Some(arrival)) => arrival,
            Ok(None) => return Err(format!("phone {} lost its socket", self.user)),
            Err(_) => return Err(format!("phone {} heard nothing for {limit:?}", self.user)),
        };
        let message = Message::parse(bytes, Framing::Datagram)
            .map_err(|e| format!("phone {} got an unreadable message: {}", self.user, e.phrase))?;
        self.note(at, false, &message);
        Ok(message)
    }

    /// Waits for a request, answering nothing else.
    pub(crate) async fn expect_request(&mut self, method: &Method) -> Step<Message> {
        for _ in 0..20 {
            let message = self.next(Duration::from_secs(3)).await?;
            if message.is_request() && message.method() == method {
                return Ok(message);
            }
        }
        Err(format!("phone {}: {method} did not come", self.user))
    }

    /// Waits for the final answer to `method`.
    pub(crate) async fn expect_final(&mut self, method: &Method) -> Step<Message> {
        for _ in 0..20 {
            let message = self.next(Duration::from_secs(3)).await?;
            if !message.is_request() && message.method() == method && message.status() >= 200 {
                return Ok(message);
            }
        }
        Err(format!("phone {}: no final answer to {method}", self.user))
    }

    fn base(&mut self, method: &Method, uri: &str, call_id: &str, seq: u32) -> Message {
        let branch = self.unique("z9hG4bK");
        let mut m = Message::request(method.clone(), uri);
        m.push_back(Name::Via, format!("SIP/2.0/UDP {};rport;branch={branch}", self.address));
        m.push_back(Name::MaxForwards, "70");
        m.push_back(Name::CallId, call_id);
        m.push_back(Name::CSeq, format!("{seq} {method}"));
        m.push_back(Name::Contact, format!("<sip:{}@{}>", self.user, self.address));
        m
    }

    /// Registers with digest.
    pub(crate) async fn register(&mut self) -> Step<()> {
        let call_id = self.unique("register");
        let aor = format!("<sip:{}@{}>", self.user, self.server);
        let uri = format!("sip:{}", self.server);
        let mut authorization = None;
        for seq in 1..=2 {
            let mut m = self.base(&Method::Register, &uri, &call_id, seq);
            m.push_back(Name::From, format!("{aor};tag=r{seq}"));
            m.push_back(Name::To, aor.clone());
            m.push_back(Name::Expires, "120");
            if let Some(value) = authorization.take() {
                m.push_back(Name::Authorization, value);
            }
            self.send(&m).await?;
            let answer = self.expect_final(&Method::Register).await?;
            match answer.status() {
                200 => return Ok(()),
                401 => authorization = Some(self.prove(&answer, "REGISTER", &uri)?),
                other => return Err(format!("REGISTER of {} got {other}", self.user)),
            }
        }
        Err(format!("the registrar did not accept the password of {}", self.user))
    }

    /// Digest credentials for the MD5 challenge of an answer (RFC 7616).
    fn prove(&self, answer: &Message, method: &str, uri: &str) -> Step<String> {
        let md5 = answer
            .rows(&Name::WwwAuthenticate)
            .filter_map(|v| std::str::from_utf8(v).ok())
            .find(|v| !v.contains("SHA"))
            .ok_or("no MD5 challenge in the 401")?;
        let field = |name: &str| {
            let at = md5.find(&format!("{name}=\""))? + name.len() + 2;
            md5.get(at..)?.split('"').next()
        };
        let realm = field("realm").ok_or("no realm in the challenge")?;
        let nonce = field("nonce").ok_or("no nonce in the challenge")?;
        let hex = |text: String| -> String {
            Md5::digest(text.as_bytes()).iter().map(|b| format!("{b:02x}")).collect()
        };
        let ha1 = hex(format!("{}:{realm}:{}", self.user, self.password));
        let ha2 = hex(format!("{method}:{uri}"));
        let response = hex(format!("{ha1}:{nonce}:00000001:5e1f:auth:{ha2}"));
        Ok(format!(
            "Digest username=\"{}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", \
             response=\"{response}\", algorithm=MD5, qop=auth, nc=00000001, cnonce=\"5e1f\"",
            self.user
        ))
    }

    /// Sends an INVITE with an offer; the dialog as it begins.
    pub(crate) async fn invite(&mut self, callee: &str, sdp: &str) -> Step<(Dialog, Message)> {
        let call_id = self.unique("call");
        let uri = format!("sip:{callee}@{}", self.server);
        let tag = self.unique("t");
        let local = format!("<sip:{}@{}>;tag={tag}", self.user, self.server);
        let remote = format!("<{uri}>");
        let mut m = self.base(&Method::Invite, &uri, &call_id, 1);
        m.push_back(Name::From, local.clone());
        m.push_back(Name::To, remote.clone());
        m.push_back(Name::ContentType, "application/sdp");
        m.set_body(sdp.as_bytes().to_vec());
        self.send(&m).await?;
        let (target, routes) = (uri, Vec::new());
        Ok((Dialog { call_id, local, remote, target, routes, seq: 1 }, m))
    }

    /// ACK to a failure: the INVITE's own transaction (RFC 3261 §17.1.1.3).
    pub(crate) async fn acknowledge(&mut self, failure: &Message) -> Step<()> {
        let mut ack = Message::request(Method::Ack, &format!("sip:{}", self.server));
        for name in [Name::Via, Name::From, Name::To, Name::CallId] {
            ack.push_back(name.clone(), text(failure, &name));
        }
        ack.push_back(Name::MaxForwards, "70");
        ack.push_back(Name::CSeq, format!("{} ACK", failure.cseq().seq));
        self.send(&ack).await
    }

    /// Answers a request; a 2xx to INVITE carries `sdp`. The callee's dialog.
    pub(crate) async fn answer(
        &mut self,
        request: &Message,
        status: u16,
        phrase: &str,
        sdp: Option<&str>,
    ) -> Step<Dialog> {
        let mut r = Message::response(request, status, phrase);
        let to = text(request, &Name::To);
        let local = if to.contains(";tag=") { to } else { format!("{to};tag=c{}", self.user) };
        r.set(Name::To, local.clone());
        for route in request.rows(&Name::RecordRoute) {
            r.push_back(Name::RecordRoute, route);
        }
        r.push_back(Name::Contact, format!("<sip:{}@{}>", self.user, self.address));
        if let Some(sdp) = sdp {
            r.push_back(Name::ContentType, "application/sdp");
            r.set_body(sdp.as_bytes().to_vec());
        }
        self.send(&r).await?;
        let routes = request.list(&Name::RecordRoute).map(lossy).collect();
        Ok(Dialog {
            call_id: request.call_id().to_owned(),
            local,
            remote: text(request, &Name::From),
            target: contact(request).unwrap_or_default(),
            routes,
            seq: 1,
        })
    }

    /// Takes what a 2xx taught into the caller's dialog.
    pub(crate) fn confirm(&self, dialog: &mut Dialog, ok: &Message) {
        dialog.remote = text(ok, &Name::To);
        if let Some(target) = contact(ok) {
            dialog.target = target;
        }
        dialog.routes = ok.list(&Name::RecordRoute).map(lossy).collect();
        dialog.routes.reverse();
    }

    /// A request within a dialog.
    pub(crate) async fn within(
        &mut self,
        dialog: &mut Dialog,
        method: &Method,
        sdp: Option<&str>,
    ) -> Step<Message> {
        if *method != Method::Ack {
            dialog.seq += 1;
        }
        let d = dialog.clone();
        let mut m = self.base(method, &d.target, &d.call_id, d.seq);
        for route in &d.routes {
            m.push_back(Name::Route, route.clone());
        }
        m.push_back(Name::From, d.local.clone());
        m.push_back(Name::To, d.remote.clone());
        if let Some(sdp) = sdp {
            m.push_back(Name::ContentType, "application/sdp");
            m.set_body(sdp.as_bytes().to_vec());
        }
        self.send(&m).await?;
        Ok(m)
    }
}

/// Stamps what arrives, so that the ladder shows when, not when somebody looked.
async fn read(socket: Arc<UdpSocket>, queue: mpsc::Sender<(Instant, Bytes)>) {
    let mut buffer = vec![0_u8; 65_536];
    loop {
        let Ok((size, _)) = socket.recv_from(&mut buffer).await else { continue };
        let bytes = Bytes::copy_from_slice(buffer.get(..size).unwrap_or_default());
        if queue.send((now(), bytes)).await.is_err() {
            return;
        }
    }
}

fn text(message: &Message, name: &Name) -> String {
    message.first(name).map(lossy).unwrap_or_default()
}

fn lossy(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}

fn contact(message: &Message) -> Option<String> {
    message.first(&Name::Contact).and_then(NameAddr::parse).map(|n| n.uri.to_string())
}

/// The clock of the instrument.
#[expect(clippy::disallowed_methods, reason = "the self-test measures real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
