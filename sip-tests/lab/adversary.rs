//! What adversaries say: words of theirs in messages that are otherwise sound, and honest messages
//! that they overheard, turned to their own ends. It sends nothing.

use super::honest::EVIL;
use super::script::{Leg, Text, Ua, answer, sdp};
use super::talker::Dice;
use super::{Lab, Msg, Party, site};
use bytes::Bytes;

/// Where an adversary stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Position {
    /// A registered phone of the site.
    Phone,
    /// A host of the site that nobody registered.
    Neighbour,
    /// A host outside, at the interface that is silent to strangers.
    Stranger,
    /// An upstream beside the PBX.
    Trunk,
    /// Somebody behind the PBX: what he writes comes from there.
    Partner,
}

impl Position {
    pub(crate) const ALL: [Self; 5] =
        [Self::Phone, Self::Neighbour, Self::Stranger, Self::Trunk, Self::Partner];

    pub(crate) fn is_inside(self) -> bool {
        matches!(self, Self::Phone | Self::Neighbour)
    }
}

/// A denied number of the lab's policy.
pub(crate) const DENIED: &str = "90012345";

/// An adversary: who he seems to be, and his own calls.
#[derive(Debug)]
pub(crate) struct Foe {
    pub(crate) position: Position,
    pub(crate) ua: Ua,
    pub(crate) dice: Dice,
    /// Calls of his own that are up.
    pub(crate) legs: Vec<Leg>,
    /// INVITEs that wait for an answer.
    pub(crate) asked: Vec<Leg>,
}

/// What all may know.
pub(crate) struct Gossip<'a> {
    /// What the PBX knows the phones by.
    pub(crate) contacts: &'a [String],
    /// Messages of honest parties on his side.
    pub(crate) overheard: Vec<&'a Msg>,
    /// Where the gateway stands outside.
    pub(crate) gate: String,
}

impl Foe {
    pub(crate) fn at(&self) -> Party {
        self.ua.at
    }

    /// Somebody or something that he would like to reach.
    fn target(&mut self, known: &Gossip<'_>) -> String {
        let domain = site::DOMAIN;
        let contact = self.dice.pick_of(known.contacts).cloned().unwrap_or_default();
        let token = known.overheard.iter().rev().find_map(|m| m.list("Route").first().cloned());
        match self.dice.roll(9) {
            0 | 1 => format!("sip:200@{domain}"),
            2 => format!("sip:10{}@{domain}", self.dice.roll(4)),
            3 => format!("sip:+49{DENIED}@{domain}"),
            4 => format!("sip:0049{DENIED};phone-context=x@{domain}"),
            5 if self.position.is_inside() => "sip:x@10.17.0.20".to_owned(),
            6 => "sip:x@127.0.0.1:8060".to_owned(),
            7 => token.map_or(contact, |t| t.trim_matches(['<', '>']).replace(";lr", "")),
            _ if self.position.is_inside() => format!("sip:200@{}", site::GATE_INSIDE),
            _ => contact,
        }
    }

    /// A description: sound, or pointed at whom it should not reach.
    fn body(&mut self, lab: &Lab) -> String {
        let own = self.ua.ip().to_string();
        let legs: Vec<_> = lab.relay.open.values().flat_map(|s| s.legs).collect();
        let port = 4000 + 2 * self.dice.roll(200) as u16;
        let lent = self.dice.pick_of(&legs).map(|l| (l.bind.to_string(), l.port));
        match (self.dice.roll(10), lent) {
            (0 | 1, Some((ip, port))) => sdp(&ip, port),
            (2, Some((_, port))) => sdp(&lab.gate_outside(), port),
            (3, _) => sdp("127.0.0.1", port),
            (4, _) => sdp("10.17.0.20", port),
            (5, _) => sdp(&own, 5060),
            (6, _) => format!("{}{}", sdp(&own, port), "m=audio 4400 RTP/AVP 0\r\n".repeat(14)),
            _ => sdp(&own, port),
        }
    }

    /// Rows that smuggle.
    fn twisted(&mut self, mut text: Text, known: &Gossip<'_>) -> Text {
        let inside = self.position.is_inside();
        let hosts = if inside { ["10.17.0.20", "pc7.corp.test"] } else { ["evil.test"; 2] };
        let host = self.dice.pick(&hosts);
        let domain = site::DOMAIN;
        let honest = self.dice.pick_of(&known.overheard).copied();
        for _ in 0..self.dice.roll(3) {
            text = match (self.dice.roll(18), honest) {
                (0, _) => text.with("Route", format!("<sip:{host};lr>")),
                (1, _) => text.with("Record-Route", format!("<sip:{host};lr>")),
                (2, _) => text.with("P-Asserted-Identity", format!("<sip:101@{domain}>")),
                (3, _) => text.with("X-Evil", host),
                (4, Some(m)) => text.with(
                    "Replaces",
                    format!("{};to-tag={};from-tag=f", m.call_id(), m.tag("To").unwrap_or("0")),
                ),
                (5, _) => text.with("Refer-To", format!("<sip:+49{DENIED}@{domain}>")),
                (6, Some(m)) => text.with("Target-Dialog", format!("{};local-tag=x", m.call_id())),
                (7, _) => text.set("Contact", format!("<sip:x@{host}>")),
                (8, _) => text.set("Contact", format!("<sip:x@{}>", known.gate)),
                (9, _) => text.set("Contact", "<sip:x@127.0.0.1:8060>"),
                (10, _) => text.with("Content-Length", "5"),
                (11, _) => text.set("Max-Forwards", self.dice.roll(2).to_string()),
                (12, _) => text.with("Require", "100rel"),
                (13, _) => {
                    text.set("From", format!("<sip:10{}@{domain}>;tag=evil", self.dice.roll(4)))
                }
                (14, _) => text.with("Event", "check-sync;reboot=true"),
                (15, _) => text.with("Subscription-State", "active;expires=99999"),
                (16, _) => text.with("Authorization", "Digest username=\"101\", response=\"0\""),
                (_, _) => text.with("Path", format!("<sip:{host};lr>")),
            };
        }
        text
    }

    /// A request of his own outside any dialog.
    pub(crate) fn request(&mut self, lab: &mut Lab, known: &Gossip<'_>) -> Text {
        let methods = [
            "INVITE",
            "INVITE",
            "INVITE",
            "SUBSCRIBE",
            "REFER",
            "NOTIFY",
            "MESSAGE",
            "OPTIONS",
            "PUBLISH",
            "REGISTER",
            "BYE",
            "CANCEL",
            "UPDATE",
            "evil",
        ];
        let method = self.dice.pick(&methods);
        let uri = self.target(known);
        let n = lab.fresh();
        let text = self.ua.request_to(lab, method, &uri);
        let text = text.set("Call-ID", format!("{EVIL}{n}")).with("Subject", EVIL);
        let text = match method {
            "INVITE" | "UPDATE" => {
                let body = self.body(lab);
                text.sdp(body)
            }
            "MESSAGE" => text.typed("text/plain", "hello"),
            "REGISTER" => self.registers(text),
            _ => text,
        };
        let text = self.twisted(text, known);
        if method == "INVITE" {
            self.asked.push(Leg::calling(&self.ua, &text));
        }
        text
    }

    /// As himself or as another; he would be reached where he is not.
    fn registers(&mut self, text: Text) -> Text {
        let user = self.dice.pick(&["100", "101", "166", "166", "166"]);
        let hosts = [
            "10.17.0.66:5060",
            "10.17.0.20:5060",
            "127.0.0.1:8060",
            "203.0.113.10:5060",
            "203.0.113.1:5060",
            "198.51.100.66:5060",
        ];
        let (host, n) = (self.dice.pick(&hosts), self.dice.roll(40));
        text.set("To", format!("<sip:{user}@{}>", site::DOMAIN))
            .set("Contact", format!("<sip:{user}.{n}@{host}>"))
    }

    /// A request in a call of his own.
    pub(crate) fn within(&mut self, lab: &mut Lab, known: &Gossip<'_>) -> Option<Text> {
        let methods = ["INVITE", "INVITE", "UPDATE", "REFER", "INFO", "BYE", "NOTIFY", "MESSAGE"];
        let method = self.dice.pick(&methods);
        let at = self.dice.index(self.legs.len())?;
        let text = self.legs[at].request(lab, method).with("Subject", EVIL);
        let text = match method {
            "INVITE" | "UPDATE" => {
                let body = self.body(lab);
                text.sdp(body)
            }
            "REFER" => {
                let to = self.target(known);
                text.with("Refer-To", format!("<{to}>"))
            }
            _ => text,
        };
        if method == "BYE" {
            self.legs.remove(at);
        }
        Some(self.twisted(text, known))
    }

    /// An honest party's message in his own hands: as it was, as another method, or answered.
    pub(crate) fn replay(&mut self, lab: &mut Lab, known: &Gossip<'_>) -> Option<Bytes> {
        let msg = self.dice.pick_of(&known.overheard).copied()?;
        let mut text = stolen(msg);
        if !msg.is_request() {
            if self.dice.percent(30) {
                let status = self.dice.pick(&[180, 200, 302, 401, 486, 603]);
                text.start = format!("SIP/2.0 {status} Evil");
                text = text.set("Contact", format!("<sip:evil@{}>", self.at().addr()));
            }
            return Some(text.into());
        }
        if self.dice.percent(20) {
            let status = self.dice.pick(&[180, 200, 302, 401, 486, 603]);
            let forged = answer(msg, status, EVIL).with("Subject", EVIL);
            return Some(forged.with("Contact", format!("<sip:evil@{}>", self.at().addr())).into());
        }
        let methods =
            ["BYE", "INVITE", "UPDATE", "REFER", "INFO", "NOTIFY", "CANCEL", "ACK", "SUBSCRIBE"];
        if self.dice.percent(70) {
            let method = self.dice.pick(&methods);
            let (number, _) = msg.cseq();
            let next = u64::from(number) + self.dice.roll(4);
            text.start = text.start.replacen(msg.method(), method, 1);
            text = text.set("CSeq", format!("{next} {method}"));
        }
        if self.dice.percent(60) {
            let n = lab.fresh();
            text = text.set("Via", self.ua.via(&format!("z9hG4bK{EVIL}{n}")));
        }
        if self.dice.percent(50) {
            text = text.set("Contact", self.ua.contact());
        }
        if self.dice.percent(30) {
            let body = self.body(lab);
            text = text.sdp(body);
        }
        Some(text.into())
    }

    /// What he does with what he was sent: some answer, or none.
    pub(crate) fn react(&mut self, lab: &mut Lab, known: &Gossip<'_>, msg: &Msg) -> Vec<Bytes> {
        if msg.is_request() {
            return self.answered(lab, known, msg).into_iter().collect();
        }
        let call_id = msg.all("Call-ID").first().copied().unwrap_or_default();
        let Some(at) = self.asked.iter().position(|l| l.call_id == call_id) else {
            return Vec::new();
        };
        if msg.status() < 200 || !msg.header("CSeq").ends_with("INVITE") {
            return Vec::new();
        }
        let mut leg = self.asked.remove(at);
        if msg.status() >= 300 {
            return vec![leg.ack_refusal(msg).into()];
        }
        if !msg.has("Contact") {
            return Vec::new();
        }
        leg.learn(msg);
        let ack = leg.ack(lab);
        self.legs.push(leg);
        if self.dice.percent(80) { vec![ack.into()] } else { Vec::new() }
    }

    fn answered(&mut self, lab: &Lab, known: &Gossip<'_>, msg: &Msg) -> Option<Bytes> {
        if msg.method() == "ACK" || self.dice.percent(10) {
            return None;
        }
        let refusals = [180, 183, 200, 200, 200, 302, 401, 407, 486, 503, 603, 699];
        let status = self.dice.pick(&refusals);
        let mut text = self.ua.answer(msg, status, EVIL).with("Subject", EVIL);
        if msg.method() == "INVITE" && status < 300 {
            text = text.sdp(self.body(lab));
        }
        if status == 302 {
            text = text.set("Contact", format!("<sip:+49{DENIED}@{}>", site::DOMAIN));
        }
        if matches!(status, 401 | 407) {
            let name = if status == 401 { "WWW-Authenticate" } else { "Proxy-Authenticate" };
            text = text.with(name, "Digest realm=\"portreeve\", nonce=\"evil\"");
        }
        let text = self.twisted(text, known);
        let begins = msg.method() == "INVITE" && msg.tag("To").is_none();
        if begins && status == 200 && msg.has("Contact") {
            self.legs.push(Leg::called(&self.ua, msg, EVIL));
        }
        Some(text.into())
    }

    /// Octets that may be a message.
    pub(crate) fn noise(&mut self, known: &Gossip<'_>) -> Bytes {
        let msg = self.dice.pick_of(&known.overheard).copied();
        let mut octets = msg.map_or_else(|| vec![0; 40], |m| Vec::from(Bytes::from(stolen(m))));
        for _ in 0..=self.dice.roll(4) {
            let at = self.dice.index(octets.len()).unwrap_or_default();
            octets[at] = self.dice.roll(256) as u8;
        }
        octets.into()
    }
}

/// A message as an adversary has it, with his own mark.
fn stolen(msg: &Msg) -> Text {
    let rows = msg.rows.iter().filter(|(n, _)| n != "Content-Length").cloned().collect();
    let text = Text { start: msg.start.clone(), rows, body: msg.body.clone() };
    text.set("Subject", EVIL)
}
