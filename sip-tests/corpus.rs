//! The hostile corpus over the engine, in virtual time: every case from its position, its answer as
//! written, and the gateway alive after it. `sip-tests/peers/corpus.py` sends the same files to the
//! running gateway.

mod format;
mod media;

use crate::lab::script::answer;
use crate::lab::{Lab, Leg, Msg, Party, Ua, sdp, site};
use format::{Case, Honest, Position, Right, State, fill, message, read};
use portreeve::engine::Input;
use portreeve::engine::digest::Users;
use portreeve::ground::{ListenerId, Side};
use portreeve::relay::LegConfig;
use portreeve::wire::sip::{Framed, Framer};
use std::collections::BTreeSet;

/// The socket that answers strangers.
const OPEN_UDP: ListenerId = ListenerId(5);
const PHONE: &str = "10.17.0.21";
const NEIGHBOUR: &str = "10.17.0.22";
const PBX: &str = "203.0.113.10";
const STRANGER: &str = "198.51.100.66";

fn addresses() -> Vec<(&'static str, String)> {
    let all = [
        ("gate", site::GATE_INSIDE),
        ("wan", site::GATE_OUTSIDE),
        ("pbx", PBX),
        ("phone", PHONE),
        ("inside", NEIGHBOUR),
        ("stranger", STRANGER),
    ];
    all.into_iter().map(|(name, value)| (name, value.to_owned())).collect()
}

/// A gateway with a registered phone, in the state that a case begins with.
struct Scene {
    lab: Lab,
    phone: Ua,
    pbx: Ua,
    /// The dialog as the phone and as the PBX keep it.
    legs: Option<[Leg; 2]>,
    /// The INVITE that rings somewhere, as it arrived there.
    rings: Option<Msg>,
    names: Vec<(&'static str, String)>,
}

impl Scene {
    fn new(state: State) -> Self {
        let text = include_str!("corpus/gateway.toml");
        let mut lab = Lab::with(site::parse(&fill(text, &addresses())), Users::None);
        let (mut phone, mut pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
        "pbx.test".clone_into(&mut phone.domain);
        "pbx.test".clone_into(&mut pbx.domain);
        let contact = lab.register(&phone, 600);
        let mut names = addresses();
        let (token, host) = contact.split_once('@').expect("a token at our address");
        let turned = |c: char| if c == 'a' { 'b' } else { 'a' };
        let last = token.chars().next_back().map_or('a', turned);
        names.push(("contact.changed", format!("{}{last}@{host}", &token[..token.len() - 1])));
        names.push(("contact", contact.clone()));
        let mut scene = Self { lab, phone, pbx, legs: None, rings: None, names };
        match state {
            State::Idle => {}
            State::Call => scene.call(),
            State::Ringing => scene.ring(),
            State::Called => scene.be_called(&contact),
        }
        let legs = scene.lab.relay.open.values().flat_map(|stream| stream.legs);
        let port = |leg: LegConfig| match leg.side {
            Side::Inside => ("relay.in", leg.port.to_string()),
            Side::Outside => ("relay.out", leg.port.to_string()),
        };
        scene.names.extend(legs.map(port));
        scene.names.extend(scene.rings.iter().map(|i| ("via", i.header("Via").to_owned())));
        scene
    }

    fn call(&mut self) {
        let (a, b) = self.lab.establish(&self.phone.clone(), &self.pbx.clone());
        self.legs = Some([a, b]);
    }

    fn ring(&mut self) {
        let a = self.lab.call(&self.phone.clone(), "200", 4000);
        self.lab.expect(self.phone.at, "100");
        let invite = self.lab.expect(self.pbx.at, "INVITE");
        let b = Leg::called(&self.pbx, &invite, "callee");
        self.lab.send(self.pbx.at, self.pbx.answer(&invite, 180, "callee"));
        self.lab.expect(self.phone.at, "180");
        (self.legs, self.rings) = (Some([a, b]), Some(invite));
    }

    fn be_called(&mut self, contact: &str) {
        let invite = self.pbx.request_to(&mut self.lab, "INVITE", contact).sdp(self.pbx.sdp(6000));
        self.lab.send(self.pbx.at, invite.clone());
        self.lab.expect(self.pbx.at, "100");
        let got = self.lab.expect(self.phone.at, "INVITE");
        let legs = [Leg::called(&self.phone, &got, "callee"), Leg::calling(&self.pbx, &invite)];
        self.lab.send(self.phone.at, self.phone.answer(&got, 180, "callee"));
        self.lab.expect(self.pbx.at, "180");
        (self.legs, self.rings) = (Some(legs), Some(got));
    }

    fn party(&self, position: Position) -> Party {
        match position {
            Position::Phone => self.phone.at,
            Position::Upstream => self.pbx.at,
            Position::Inside => self.lab.inside("10.17.0.22:5060"),
            Position::Outside => self.lab.outside("198.51.100.66:5060"),
            Position::Open => self.lab.at(OPEN_UDP, "198.51.100.66:5060"),
        }
    }

    /// The dialog as this position knows it.
    fn leg(&self, position: Position) -> Option<&Leg> {
        let [a, b] = self.legs.as_ref()?;
        Some(match position {
            Position::Phone | Position::Inside => a,
            Position::Upstream | Position::Outside | Position::Open => b,
        })
    }

    /// What an honest sender at this place would write.
    fn honest(&mut self, case: &Case, from: Party) -> Honest {
        let start = case.lines.first().map_or("", |l| l.trim_start_matches("\\r\\n")).to_owned();
        let user = if case.position() == Position::Phone { "101" } else { "200" };
        let contact = format!("<sip:{user}@{}>", from.addr());
        if start.starts_with("SIP/") {
            return self.honest_answer(contact);
        }
        let method = start.split(' ').next().unwrap_or_default().to_owned();
        let n = self.lab.fresh();
        let tcp = from.flow.conn.is_some();
        let transport = if tcp { "TCP" } else { "UDP" };
        let via = format!("SIP/2.0/{transport} {};rport;branch=z9hG4bKh{n}", from.addr());
        let pending = self.rings.is_some() && matches!(method.as_str(), "CANCEL" | "ACK");
        let rows = |names: &[(&'static str, &'static str, String)]| names.to_vec();
        match self.leg(case.position()) {
            Some(leg) if pending => {
                let text = leg.cancel();
                let row =
                    |name: &'static str, compact| (name, compact, text.header(name).to_owned());
                let mut all: Honest = [("Via", "v"), ("From", "f"), ("To", "t"), ("Call-ID", "i")]
                    .map(|(name, compact)| row(name, compact))
                    .to_vec();
                all.push(("CSeq", "", format!("1 {method}")));
                all.push(("Max-Forwards", "", "70".to_owned()));
                all
            }
            Some(leg) => {
                let mut all = rows(&[
                    ("Via", "v", via),
                    ("Max-Forwards", "", "70".to_owned()),
                    ("From", "f", leg.local.clone()),
                    ("To", "t", leg.remote.clone()),
                    ("Call-ID", "i", leg.call_id.clone()),
                    ("CSeq", "", format!("{} {method}", leg.cseq + 7)),
                    ("Contact", "m", contact),
                ]);
                all.extend(leg.routes.iter().map(|r| ("Route", "", r.clone())));
                all
            }
            None => {
                let uri = start.split(' ').nth(1).unwrap_or_default();
                let uri = fill(uri, &self.names);
                // Whatever is odd in the Request-URI is not in To.
                let plain = uri.starts_with("sip:") && !uri.contains(['<', '\\']) && uri.len() < 99;
                let to = if plain { uri } else { "sip:200@pbx.test".to_owned() };
                rows(&[
                    ("Via", "v", via),
                    ("Max-Forwards", "", "70".to_owned()),
                    ("From", "f", format!("<sip:{user}@pbx.test>;tag=h{n}")),
                    ("To", "t", format!("<{to}>")),
                    ("Call-ID", "i", format!("h{n}@{}", from.addr().ip())),
                    ("CSeq", "", format!("1 {method}")),
                    ("Contact", "m", contact),
                ])
            }
        }
    }

    fn honest_answer(&mut self, contact: String) -> Honest {
        let Some(invite) = &self.rings else {
            let via = format!("SIP/2.0/UDP {}:5060;branch=z9hG4bKnever", site::GATE_OUTSIDE);
            return vec![
                ("Via", "v", via),
                ("From", "f", "<sip:101@pbx.test>;tag=a".to_owned()),
                ("To", "t", "<sip:200@pbx.test>;tag=b".to_owned()),
                ("Call-ID", "i", "never@asked".to_owned()),
                ("CSeq", "", "1 INVITE".to_owned()),
            ];
        };
        let text = answer(invite, 200, "callee");
        let known = [
            ("Via", "v"),
            ("Record-Route", ""),
            ("From", "f"),
            ("To", "t"),
            ("Call-ID", "i"),
            ("CSeq", ""),
        ];
        let mut all: Honest = Vec::new();
        for (name, value) in &text.rows {
            let (name, compact) = *known.iter().find(|(n, _)| n == name).expect("a copied row");
            all.push((name, compact, value.clone()));
        }
        all.push(("Contact", "m", contact));
        all
    }

    /// Gives the gateway the case; who sent it, and whether its connection was given up.
    fn send(&mut self, case: &Case) -> (Party, bool) {
        let mut from = self.party(case.position());
        let tcp = case.row("over") == "tcp";
        if tcp {
            from = self.lab.inside_tcp("10.17.0.22:40000");
        }
        if let Some(leg) = self.leg(case.position()) {
            let target = leg.target.clone();
            self.names.push(("target", target));
        }
        let honest = self.honest(case, from);
        self.names.push(("own", from.addr().ip().to_string()));
        let own = sdp(&from.addr().ip().to_string(), 4000);
        let bytes = message(case, honest, &own, &self.names);
        if case.position() != Position::Phone && case.position() != Position::Inside {
            // What they wrote themselves they may read again.
            self.lab.secrets.clear();
        }
        if !tcp {
            self.lab.send(from, bytes);
            return (from, false);
        }
        let mut refused = false;
        let mut framer = Framer::default();
        framer.push(&bytes);
        while let Some(framed) = framer.next() {
            match framed {
                Framed::Message(bytes) => self.lab.send(from, bytes),
                Framed::Ping => {}
                Framed::Refused(refusal) => {
                    refused = true;
                    self.lab.input(Input::StreamRefused { flow: from.flow, refusal });
                }
            }
        }
        (from, refused)
    }

    /// Who would get it if it were sent on.
    fn other_side(&self, position: Position) -> Party {
        match position {
            Position::Phone | Position::Inside => self.pbx.at,
            Position::Upstream | Position::Outside | Position::Open => self.phone.at,
        }
    }

    /// What came of it, in the words of `right:`; the message that tells it.
    fn outcome(&mut self, case: &Case, from: Party) -> (Right, Option<Msg>) {
        let far = self.other_side(case.position());
        let mut came = self.lab.take(far);
        let mut back = self.lab.take(from);
        back.retain(|m| m.status() != 100);
        // Who says that it serves nobody is asked whether that is so.
        let asked = back.iter().position(|m| m.is_request() && m.method() == "OPTIONS");
        if let Some(asked) = asked.map(|at| back.remove(at)) {
            self.lab.send(from, answer(&asked, 200, ""));
            came.extend(self.lab.take(far));
        }
        assert_eq!(self.lab.waiting(), 0, "to somebody else: {}", self.lab.situation());
        let acked = back.first().is_some_and(|m| m.is_request() && m.method() == "ACK");
        if acked && back.get(1).is_some_and(|m| m.is_request() && m.method() == "BYE") {
            let told = came.pop().expect("the caller is told");
            return (Right::Ended(told.status()), Some(told));
        }
        // An answer that ends a transaction is acknowledged at once.
        back.retain(|m| !(m.is_request() && m.method() == "ACK"));
        assert!(came.len() + back.len() <= 1, "one message: {came:?} {back:?}");
        match (came.pop(), back.pop()) {
            (Some(on), _) if on.is_request() => {
                (Right::Forwarded(on.method().to_owned()), Some(on))
            }
            (Some(on), _) => (Right::Forwarded(on.status().to_string()), Some(on)),
            (None, Some(back)) => (Right::Answered(back.status(), back.start.clone()), Some(back)),
            (None, None) => (Right::Dropped, None),
        }
    }

    /// The gateway answers, and a call that was up is up.
    fn lives(&mut self, case: &Case) {
        self.lab.clear();
        let ping = self.phone.request_to(&mut self.lab, "OPTIONS", "sip:10.17.0.1");
        self.lab.send(self.phone.at, ping);
        self.lab.expect(self.phone.at, "200");
        if case.state() == State::Call && case.row("then") != "over" {
            let [a, b] = self.legs.as_mut().expect("a call");
            a.cseq += 40;
            let info = a.request(&mut self.lab, "INFO");
            let (phone, pbx) = (a.ua.at, b.ua.at);
            self.lab.send(phone, info);
            let got = self.lab.expect(pbx, "INFO");
            self.lab.send(pbx, answer(&got, 200, ""));
            self.lab.expect(phone, "200");
        }
        self.lab.nothing_left();
    }
}

/// What is wrong with the answer to a case; `None`: nothing.
fn fault(case: &Case) -> Option<String> {
    let mut scene = Scene::new(case.state());
    let (from, refused) = scene.send(case);
    let (got, told) = scene.outcome(case, from);
    let right = match (&got, case.right()) {
        (Right::Answered(a, start), Right::Answered(b, words)) => a == &b && start.contains(&words),
        (got, right) => *got == right,
    };
    let text = told.as_ref().map(ToString::to_string).unwrap_or_default();
    if !right {
        return Some(format!("{}: {got:?} instead of {:?}\n{text}", case.name, case.right()));
    }
    for shown in case.all("shows").map(|s| fill(s, &scene.names)) {
        if !text.contains(&shown) {
            return Some(format!("{}: {shown:?} is not in\n{text}", case.name));
        }
    }
    for lacking in case.all("lacks").map(|s| fill(s, &scene.names)) {
        if text.contains(&lacking) {
            return Some(format!("{}: {lacking:?} is in\n{text}", case.name));
        }
    }
    if case.row("over") == "tcp" {
        let closed = refused || scene.lab.closed.iter().any(|c| Some(*c) == from.flow.conn);
        if closed != (case.row("then") == "closed") {
            return Some(format!("{}: closed is {closed}", case.name));
        }
    }
    scene.lives(case);
    scene.lab.end();
    None
}

/// As [`fault`]; a check of the lab that fails is one, too, so that all are told at once.
fn fault_or_panic(case: &Case) -> Option<String> {
    std::panic::catch_unwind(|| fault(case)).unwrap_or_else(|why| {
        let text = why.downcast_ref::<String>().map_or("a panic", String::as_str);
        Some(format!("{}: {text}", case.name))
    })
}

#[track_caller]
fn all_are_right(cases: &[Case], least: usize) {
    let names: BTreeSet<&str> = cases.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names.len(), cases.len(), "every case has a name of its own");
    assert!(cases.len() >= least, "{} cases", cases.len());
    let unruled = cases.iter().find(|c| c.row("rule").is_empty());
    assert!(unruled.is_none(), "every case says where its answer stands: {unruled:?}");
    let faults: Vec<String> = cases.iter().filter_map(fault_or_panic).collect();
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), cases.len(), faults.join("\n"));
}

/// A description as the message that carries it.
fn described(mut case: Case) -> Case {
    let answers = case.row("as") == "answer";
    let (state, start) = match (answers, case.position()) {
        (false, Position::Upstream) => ("", "INVITE {contact} SIP/2.0"),
        (false, _) => ("", "INVITE sip:200@pbx.test SIP/2.0"),
        (true, Position::Upstream) => ("ringing", "SIP/2.0 200 OK"),
        (true, _) => ("called", "SIP/2.0 200 OK"),
    };
    if !state.is_empty() {
        case.rows.push(("state".to_owned(), state.to_owned()));
    }
    let head = [start, "Content-Type: application/sdp", ""].map(str::to_owned);
    case.lines.splice(0..0, head);
    case
}

#[test]
fn every_description_of_the_corpus_has_its_right_answer() {
    all_are_right(&read("sdp").into_iter().map(described).collect::<Vec<_>>(), 60);
}

#[test]
fn every_message_of_the_corpus_has_its_right_answer() {
    all_are_right(&read("sip"), 200);
}
