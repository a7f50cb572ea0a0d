//! What a robot does while it talks: requests within its dialog, good and bad, and answers to the
//! other side's, with the retransmissions of RFC 3261. Seeded: the same seed is the same talk.

use super::robot::{Alarm, Persistent, Wish};
use super::script::Text;
use super::{Lab, Leg, Msg, ms, sdp};

/// Numbers from a seed (xorshift64*).
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(2).wrapping_add(1))
    }

    /// 0 to `below`, that excluded.
    pub(crate) fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % below
    }

    pub(crate) fn percent(&mut self, chance: u64) -> bool {
        self.roll(100) < chance
    }

    pub(crate) fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.roll(all.len() as u64) as usize]
    }

    /// A place in a list of this length; `None`: it is empty.
    pub(crate) fn index(&mut self, len: usize) -> Option<usize> {
        (len > 0).then(|| self.roll(len as u64) as usize)
    }

    /// One of a list, if there is one.
    pub(crate) fn pick_of<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        self.index(all.len()).map(|at| &all[at])
    }
}

/// A body as often odd as not: what may cross, what may not, what no relay can carry.
pub(crate) fn odd(dice: &mut Dice, text: Text, ip: &str) -> Text {
    let port = 4000 + 2 * dice.roll(100) as u16;
    match dice.roll(8) {
        0 => text.sdp(sdp("127.0.0.1", port)),
        1 => text.sdp(sdp(ip, 5060)),
        2 => text.typed("text/html", "<p>no</p>"),
        3 => text.typed("text/plain", "x").with("Content-Encoding", "gzip"),
        4 => text.typed("multipart/mixed;boundary=b", "no parts"),
        5 => text.sdp(sdp(ip, port).replace("RTP/AVP", "udptl").replace("m=audio", "m=image")),
        6 => text.typed("text/plain", "untyped").without("Content-Type"),
        _ => text,
    }
}

/// One party of a dialog that is up.
#[derive(Debug)]
pub(crate) struct Talker {
    dice: Dice,
    /// Its own request that is unanswered.
    request: Persistent,
    pending: Option<Text>,
    /// The last answer it gave to an INVITE, until the ACK.
    ok: Persistent,
    /// ACKs sent, by the CSeq of what they answer.
    acks: Vec<(String, Text)>,
    /// Answers given, by branch and method.
    given: Vec<(String, Text)>,
    /// Requests it still wants to send.
    errands: u64,
    /// Final answers its requests got.
    pub(crate) heard: Vec<u16>,
    /// Final answers to an INVITE that nobody acknowledged in 64·T1.
    pub(crate) forsaken: usize,
}

impl Talker {
    pub(crate) fn new(mut dice: Dice, lively: bool) -> Self {
        let errands = if lively { dice.roll(4) } else { 0 };
        Self {
            dice,
            request: Persistent::by(Alarm::Again),
            pending: None,
            ok: Persistent::by(Alarm::Confirm),
            acks: Vec::new(),
            given: Vec::new(),
            errands,
            heard: Vec::new(),
            forsaken: 0,
        }
    }

    /// When it next wants to say something.
    pub(crate) fn plan(&mut self) -> Vec<Wish> {
        if self.errands == 0 {
            return Vec::new();
        }
        self.errands -= 1;
        vec![Wish::Wake(ms(200 + self.dice.roll(9_000)), Alarm::Speak)]
    }

    /// A request of its own, when none is unanswered.
    pub(crate) fn speak(&mut self, lab: &mut Lab, leg: &mut Leg) -> Vec<Wish> {
        let mut wishes = self.plan();
        if self.pending.is_some() {
            return wishes;
        }
        let method = self.dice.pick(&["INVITE", "INVITE", "UPDATE", "INFO", "OPTIONS"]);
        let text = leg.request(lab, method);
        let ip = leg.ua.ip().to_string();
        let good = sdp(&ip, 4000 + 2 * self.dice.roll(100) as u16);
        let text = match self.dice.roll(3) {
            0 => odd(&mut self.dice, text, &ip),
            _ if method == "INVITE" || method == "UPDATE" => text.sdp(good),
            _ => text,
        };
        self.pending = Some(text.clone());
        wishes.extend(self.request.send(text));
        wishes
    }

    /// A response within the dialog, to a request of its own.
    pub(crate) fn answered(&mut self, lab: &mut Lab, leg: &Leg, msg: &Msg) -> Vec<Wish> {
        let cseq = msg.header("CSeq").to_owned();
        if let Some((_, ack)) = self.acks.iter().find(|(k, _)| *k == cseq) {
            return vec![Wish::Send(ack.clone().into())];
        }
        let Some(sent) = self.pending.clone().filter(|t| t.header("CSeq") == cseq) else {
            return Vec::new();
        };
        if msg.status() < 200 {
            // §17.1.1.2: a provisional answer ends the repetitions of an INVITE.
            if msg.cseq().1 == "INVITE" {
                self.request.answered();
            }
            return Vec::new();
        }
        self.request.answered();
        self.pending = None;
        self.heard.push(msg.status());
        if msg.cseq().1 != "INVITE" {
            return Vec::new();
        }
        let mut ack = match msg.status() {
            200..=299 => leg.ack(lab).set("CSeq", cseq.replace("INVITE", "ACK")),
            _ => leg.ack_refusal(msg),
        };
        if msg.status() < 300 && sent.body.is_empty() && msg.body.starts_with("v=0") {
            let ip = leg.ua.ip().to_string();
            ack = odd(&mut self.dice, ack.sdp(sdp(&ip, 4000)), &ip);
        }
        self.acks.push((cseq, ack.clone()));
        vec![Wish::Send(ack.into())]
    }

    /// A reliable provisional answer (RFC 3262): it is acknowledged once.
    pub(crate) fn early(&mut self, lab: &mut Lab, leg: &mut Leg, msg: &Msg) -> Vec<Wish> {
        let rseq = msg.all("RSeq").first().map(|n| format!("{n} {}", msg.header("CSeq")));
        let Some(rack) = rseq.filter(|_| self.pending.is_none() && self.heard.is_empty()) else {
            return Vec::new();
        };
        let mut early = leg.clone();
        early.learn(msg);
        let mut prack = early.request(lab, "PRACK").with("RAck", rack);
        leg.cseq = early.cseq;
        if self.dice.percent(30) {
            let ip = leg.ua.ip().to_string();
            prack = odd(&mut self.dice, prack, &ip);
        }
        self.pending = Some(prack.clone());
        self.request.send(prack)
    }

    /// A request of the other side within the dialog, BYE and CANCEL excepted.
    pub(crate) fn asked(&mut self, leg: &Leg, msg: &Msg) -> Vec<Wish> {
        if msg.method() == "ACK" {
            self.ok.answered();
            return Vec::new();
        }
        let key = format!("{} {}", msg.branch(), msg.method());
        if let Some((_, text)) = self.given.iter().find(|(k, _)| *k == key) {
            return vec![Wish::Send(text.clone().into())];
        }
        let ip = leg.ua.ip().to_string();
        let status = self.dice.pick(&[200, 200, 200, 200, 488, 491, 603]);
        let mut text = leg.ua.answer(msg, status, "");
        let negotiates = matches!(msg.method(), "INVITE" | "UPDATE");
        text = match self.dice.roll(3) {
            0 => odd(&mut self.dice, text, &ip),
            _ if status == 200 && negotiates => text.sdp(sdp(&ip, 4000)),
            _ => text,
        };
        self.given.push((key, text.clone()));
        if msg.method() == "INVITE" && !self.ok.is_waiting() {
            return self.ok.send(text);
        }
        vec![Wish::Send(text.into())]
    }

    pub(crate) fn wake(&mut self, alarm: Alarm) -> Vec<Wish> {
        match alarm {
            Alarm::Again(number) => self.request.again(number).unwrap_or_else(|| {
                self.pending = None;
                Vec::new()
            }),
            Alarm::Confirm(number) => self.ok.again(number).unwrap_or_else(|| {
                self.forsaken += 1;
                Vec::new()
            }),
            _ => Vec::new(),
        }
    }

    /// It says nothing more.
    pub(crate) fn leave(&mut self) {
        self.errands = 0;
        self.pending = None;
        self.request.answered();
    }
}
