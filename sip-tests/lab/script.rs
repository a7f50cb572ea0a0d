//! Text templates for scripts: user agents, their requests and answers, their dialogs.

use super::message::uri_of;
use super::{Lab, Msg, Party, Version, site};
use bytes::Bytes;
use portreeve::ground::Transport;
use std::net::IpAddr;

/// A message being written.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    pub(crate) start: String,
    pub(crate) rows: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Text {
    /// Replaces the first row of that name, or appends.
    pub(crate) fn set(mut self, name: &str, value: impl Into<String>) -> Self {
        let value = value.into();
        match self.rows.iter_mut().find(|(n, _)| n == name) {
            Some(row) => row.1 = value,
            None => self.rows.push((name.to_owned(), value)),
        }
        self
    }

    /// Appends a row.
    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.rows.push((name.to_owned(), value.into()));
        self
    }

    /// Removes every row of that name.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.rows.retain(|(n, _)| n != name);
        self
    }

    /// A session description.
    pub(crate) fn sdp(self, body: impl Into<String>) -> Self {
        self.typed("application/sdp", body)
    }

    /// A body of any type; an empty one is none.
    pub(crate) fn typed(mut self, kind: &str, body: impl Into<String>) -> Self {
        self.body = body.into();
        if self.body.is_empty() { self } else { self.set("Content-Type", kind) }
    }

    /// The first row's value.
    pub(crate) fn header(&self, name: &str) -> &str {
        let row = self.rows.iter().find(|(n, _)| n == name);
        row.map(|r| r.1.as_str()).unwrap_or_default()
    }
}

impl From<Text> for Bytes {
    fn from(text: Text) -> Self {
        let mut out = format!("{}\r\n", text.start);
        for (name, value) in &text.rows {
            out.push_str(&format!("{name}: {value}\r\n"));
        }
        out.push_str(&format!("Content-Length: {}\r\n\r\n{}", text.body.len(), text.body));
        Self::from(out)
    }
}

/// A user agent: a phone, or the PBX in that role.
#[derive(Clone, Debug)]
pub(crate) struct Ua {
    pub(crate) at: Party,
    pub(crate) user: String,
    /// Host of its address of record.
    pub(crate) domain: String,
    /// It says that it is reached by `sips:` alone.
    pub(crate) secure: bool,
}

impl Ua {
    pub(crate) fn new(at: Party, user: &str) -> Self {
        let (user, domain) = (user.to_owned(), site::DOMAIN.to_owned());
        Self { at, user, domain, secure: false }
    }

    pub(crate) fn ip(&self) -> IpAddr {
        self.at.addr().ip()
    }

    /// Its own idea of how it is reached.
    pub(crate) fn contact(&self) -> String {
        let by = match self.at.flow.transport {
            Transport::Udp => "",
            Transport::Tcp => ";transport=tcp",
            Transport::Tls => ";transport=tls",
        };
        if self.secure {
            return format!("<sips:{}@{}>", self.user, self.written());
        }
        format!("<sip:{}@{}{by}>", self.user, self.written())
    }

    /// Its address as tests write it.
    fn written(&self) -> String {
        Version::Six.got(&self.at.addr().to_string())
    }

    pub(crate) fn aor(&self) -> String {
        format!("sip:{}@{}", self.user, self.domain)
    }

    pub(crate) fn via(&self, branch: &str) -> String {
        let transport = self.at.flow.transport.via();
        format!("SIP/2.0/{transport} {};rport;branch={branch}", self.written())
    }

    /// Audio at this agent's own address.
    pub(crate) fn sdp(&self, port: u16) -> String {
        sdp(&self.ip().to_string(), port)
    }

    /// A request outside any dialog, to a user of the same domain.
    pub(crate) fn request(&self, lab: &mut Lab, method: &str, to: &str) -> Text {
        let uri = format!("sip:{to}@{}", self.domain);
        self.request_to(lab, method, &uri)
    }

    /// A request outside any dialog.
    pub(crate) fn request_to(&self, lab: &mut Lab, method: &str, uri: &str) -> Text {
        let n = lab.fresh();
        let text = Text {
            start: format!("{method} {uri} SIP/2.0"),
            rows: Vec::new(),
            body: String::new(),
        };
        text.with("Via", self.via(&format!("z9hG4bKt{n}")))
            .with("Max-Forwards", "70")
            .with("From", format!("\"{}\" <{}>;tag=f{n}", self.user, self.aor()))
            .with("To", format!("<{uri}>"))
            .with("Call-ID", format!("c{n}@{}", Version::Six.got(&self.ip().to_string())))
            .with("CSeq", format!("1 {method}"))
            .with("Contact", self.contact())
    }

    /// An answer with this agent's Contact; `tag` names the fork.
    pub(crate) fn answer(&self, request: &Msg, status: u16, tag: &str) -> Text {
        answer(request, status, tag).with("Contact", self.contact())
    }
}

/// An answer: what RFC 3261 §8.2.6.2 copies, Record-Route, and a To tag where there is none.
pub(crate) fn answer(request: &Msg, status: u16, tag: &str) -> Text {
    let mut rows = Vec::new();
    for name in ["Via", "Record-Route", "From", "To", "Call-ID", "CSeq"] {
        for value in request.all(name) {
            rows.push((name.to_owned(), value.to_owned()));
        }
    }
    let start = format!("SIP/2.0 {status} {}", phrase(status));
    let text = Text { start, rows, body: String::new() };
    if status == 100 || request.tag("To").is_some() {
        return text;
    }
    let to = format!("{};tag={tag}", request.header("To"));
    text.set("To", to)
}

fn phrase(status: u16) -> &'static str {
    match status {
        100 => "Trying",
        180 => "Ringing",
        183 => "Session Progress",
        200 => "OK",
        486 => "Busy Here",
        487 => "Request Terminated",
        _ => "Whatever",
    }
}

/// One side of a dialog as its user agent keeps it.
#[derive(Clone, Debug)]
pub(crate) struct Leg {
    pub(crate) ua: Ua,
    pub(crate) call_id: String,
    /// From of requests this side sends.
    pub(crate) local: String,
    /// To of requests this side sends.
    pub(crate) remote: String,
    pub(crate) target: String,
    pub(crate) routes: Vec<String>,
    pub(crate) cseq: u32,
    /// The last INVITE this side sent, for ACK, CANCEL and retransmission.
    pub(crate) invite: Text,
}

impl Leg {
    /// The caller's side, from the INVITE it sent.
    pub(crate) fn calling(ua: &Ua, invite: &Text) -> Self {
        Self {
            ua: ua.clone(),
            call_id: invite.header("Call-ID").to_owned(),
            local: invite.header("From").to_owned(),
            remote: invite.header("To").to_owned(),
            target: invite.start.split(' ').nth(1).unwrap_or_default().to_owned(),
            routes: Vec::new(),
            cseq: 1,
            invite: invite.clone(),
        }
    }

    /// The callee's side, from the INVITE it got and the tag it answers with.
    pub(crate) fn called(ua: &Ua, invite: &Msg, tag: &str) -> Self {
        Self {
            ua: ua.clone(),
            call_id: invite.call_id().to_owned(),
            local: format!("{};tag={tag}", invite.header("To")),
            remote: invite.header("From").to_owned(),
            target: invite.contact().to_owned(),
            routes: invite.list("Record-Route"),
            cseq: 100,
            invite: Text { start: String::new(), rows: Vec::new(), body: String::new() },
        }
    }

    /// What a dialog-forming answer teaches the caller.
    pub(crate) fn learn(&mut self, response: &Msg) {
        self.remote = response.header("To").to_owned();
        self.target = response.contact().to_owned();
        self.routes = response.list("Record-Route");
        self.routes.reverse();
    }

    /// A request within the dialog, with the next CSeq.
    pub(crate) fn request(&mut self, lab: &mut Lab, method: &str) -> Text {
        self.cseq += 1;
        let n = lab.fresh();
        let text = self.build(method, self.cseq, &format!("z9hG4bKt{n}"));
        if method == "INVITE" {
            self.invite = text.clone();
        }
        text
    }

    fn build(&self, method: &str, cseq: u32, branch: &str) -> Text {
        let start = format!("{method} {} SIP/2.0", self.target);
        let mut text = Text { start, rows: Vec::new(), body: String::new() };
        text = text.with("Via", self.ua.via(branch)).with("Max-Forwards", "70");
        for route in &self.routes {
            text = text.with("Route", route);
        }
        text.with("From", &self.local)
            .with("To", &self.remote)
            .with("Call-ID", &self.call_id)
            .with("CSeq", format!("{cseq} {method}"))
            .with("Contact", self.ua.contact())
    }

    /// ACK of a 2xx.
    pub(crate) fn ack(&self, lab: &mut Lab) -> Text {
        let n = lab.fresh();
        let cseq = self.invite.header("CSeq").split(' ').next().and_then(|n| n.parse().ok());
        self.build("ACK", cseq.expect("an INVITE was sent"), &format!("z9hG4bKt{n}"))
    }

    /// ACK of any other final answer: same branch, the answer's To.
    pub(crate) fn ack_refusal(&self, response: &Msg) -> Text {
        self.sibling("ACK").set("To", response.header("To"))
    }

    /// CANCEL of the pending INVITE.
    pub(crate) fn cancel(&self) -> Text {
        self.sibling("CANCEL")
    }

    fn sibling(&self, method: &str) -> Text {
        let mut text = self.invite.clone().without("Contact").without("Content-Type");
        text.start = text.start.replacen("INVITE", method, 1);
        text.body.clear();
        let cseq = text.header("CSeq").replace("INVITE", method);
        text.set("CSeq", cseq)
    }
}

/// Audio of two codecs and telephone-event at an address.
pub(crate) fn sdp(address: &str, port: u16) -> String {
    sdp_with(address, port, "")
}

/// As [`sdp`], with more attribute lines for the stream (each ending in CRLF).
pub(crate) fn sdp_with(address: &str, port: u16, lines: &str) -> String {
    let version = if address.contains(':') { "IP6" } else { "IP4" };
    format!(
        "v=0\r\no=- 4711 1 IN {version} {address}\r\ns=-\r\nc=IN {version} {address}\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
         a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n{lines}"
    )
}

impl Lab {
    /// A phone inside.
    pub(crate) fn phone(&self, user: &str, at: &str) -> Ua {
        Ua::new(self.inside(at), user)
    }

    /// The PBX as an agent for `user`.
    pub(crate) fn far(&self, user: &str) -> Ua {
        Ua::new(self.pbx(), user)
    }

    /// Sends an INVITE with audio offered at `port` (0: no offer); the caller's leg.
    pub(crate) fn call(&mut self, ua: &Ua, to: &str, port: u16) -> Leg {
        let mut invite = ua.request(self, "INVITE", to);
        if port != 0 {
            invite = invite.sdp(ua.sdp(port));
        }
        self.send(ua.at, invite.clone());
        Leg::calling(ua, &invite)
    }

    /// A whole call set-up: INVITE, 100, 180, 200, ACK. Both legs.
    #[track_caller]
    pub(crate) fn establish(&mut self, caller: &Ua, callee: &Ua) -> (Leg, Leg) {
        let mut a = self.call(caller, &callee.user, 4000);
        self.expect(caller.at, "100");
        let invite = self.expect(callee.at, "INVITE");
        let n = self.fresh();
        let tag = format!("t{n}");
        let b = Leg::called(callee, &invite, &tag);
        self.send(callee.at, callee.answer(&invite, 180, &tag));
        self.expect(caller.at, "180");
        self.send(callee.at, callee.answer(&invite, 200, &tag).sdp(callee.sdp(6000)));
        let ok = self.expect(caller.at, "200");
        a.learn(&ok);
        let ack = a.ack(self);
        self.send(caller.at, ack);
        self.expect(callee.at, "ACK");
        self.nothing_left();
        (a, b)
    }

    /// BYE from one side, answered by the other.
    #[track_caller]
    pub(crate) fn hang_up(&mut self, from: &mut Leg, to: &Leg) {
        let bye = from.request(self, "BYE");
        self.send(from.ua.at, bye);
        let got = self.expect(to.ua.at, "BYE");
        assert_eq!(uri_of(&format!("<{}>", got.uri())), uri_of(&to.ua.contact()), "{got}");
        self.send(to.ua.at, answer(&got, 200, ""));
        self.expect(from.ua.at, "200");
        self.nothing_left();
    }

    /// Registers a phone through the gateway at the PBX, which grants `expires`.
    #[track_caller]
    pub(crate) fn register(&mut self, ua: &Ua, expires: u32) -> String {
        let register = ua
            .request_to(self, "REGISTER", &format!("sip:{}", ua.domain))
            .set("To", format!("<{}>", ua.aor()))
            .with("Expires", expires.to_string());
        self.send(ua.at, register);
        let pbx = self.pbx();
        let got = self.expect(pbx, "REGISTER");
        let sealed = got.contact().to_owned();
        let ok = answer(&got, 200, "reg").with("Contact", format!("<{sealed}>;expires={expires}"));
        self.send(pbx, ok);
        self.expect(ua.at, "200");
        sealed
    }
}
