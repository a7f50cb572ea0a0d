//! Robots over a network that loses, repeats and reorders, seeded: the same seed is the same run. It
//! knows nothing of the gateway but whom a message goes to.

use super::honest::{EVIL, Honest};
use super::robot::{Alarm, Callee, Caller, Wish};
use super::script::{Text, answer};
use super::talker::{Dice, Talker};
use super::wires::Wires;
use super::{Lab, Leg, Msg, Party, Ua, digest, message, ms, s, site};
use bytes::Bytes;
use portreeve::engine::Input;
use portreeve::ground::{ConnId, Flow, Mono, Subject};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How bad the network is, in percent.
#[derive(Clone, Copy)]
pub(crate) struct Weather {
    pub(crate) loss: u64,
    pub(crate) twice: u64,
    pub(crate) delay: u64,
}

/// What is gone of the network outside.
#[derive(Debug, Default)]
pub(crate) struct Outage {
    /// All of it.
    pub(crate) wan: bool,
    /// These hosts.
    pub(crate) dead: BTreeSet<SocketAddr>,
    /// Whoever sends to a host that is gone is told so.
    pub(crate) told: bool,
}

/// What a phone that registers writes into its Subject: the PBX knows it by that.
pub(crate) const REGISTERS: &str = "registers";

/// Octets of a datagram that whoever did not deliver it quotes.
const QUOTED: usize = 576;

/// Something on its way.
pub(crate) enum Parcel {
    In(Party, Bytes),
    Out(Msg),
    Alarm(String, Alarm),
    /// The other end of a connection that the gateway opens says who it is.
    Shaken(ConnId),
    /// Nobody is there.
    Refused(ConnId),
    /// The gateway finds a connection broken; true: nothing was heard by it.
    Ended(ConnId, bool),
    /// The gateway has closed it.
    Closed(ConnId),
    /// There is no connection, and none may be opened.
    Failed(Flow),
}

pub(crate) struct World {
    pub(crate) lab: Lab,
    pub(crate) dice: Dice,
    weather: Weather,
    /// The parties do what nobody should.
    unruly: bool,
    pub(crate) on_way: BTreeMap<(Mono, u64), Parcel>,
    sent: u64,
    pub(crate) callers: BTreeMap<String, Caller>,
    pub(crate) callees: BTreeMap<String, Callee>,
    pub(crate) phones: Vec<Ua>,
    /// What each registered as, as the PBX knows it; none: no calls come in.
    pub(crate) sealed: Vec<String>,
    pub(crate) pbx: Ua,
    /// Other hosts of the outside.
    pub(crate) others: Vec<Ua>,
    pub(crate) outage: Outage,
    /// Where the gateway may stand outside, if it moves: what was sent elsewhere does not come.
    pub(crate) gates: Vec<IpAddr>,
    pub(crate) wires: Wires,
    /// Something went by a connection that broke: who waits for it may wait in vain.
    pub(crate) cut: bool,
    /// Percent of those whom the gateway calls by TLS and who are somebody else.
    pub(crate) impostors: u64,
    /// What the certificate of outside parties says that call by TLS.
    pub(crate) proof: Vec<Subject>,
    /// The last REGISTER of each phone.
    pub(crate) registers: BTreeMap<SocketAddr, Text>,
    /// Emergency calls are made.
    pub(crate) calls_help: bool,
    /// So often it is the last phone that calls, in percent.
    pub(crate) last_calls: u64,
    /// So many calls have no media, or nobody there who ends them, in percent.
    pub(crate) forlorn: u64,
    /// What phones call besides; none: nothing.
    pub(crate) numbers: Vec<&'static str>,
    /// What there was of things that may happen.
    pub(crate) seen: BTreeMap<&'static str, usize>,
    /// Adversaries are about: what honest parties say is marked.
    pub(crate) honest: Option<Honest>,
}

/// A robot by where it is, the Call-ID of its leg and its caller's tag.
fn robot(at: SocketAddr, call_id: &str, tag: &str) -> String {
    format!("{at} {call_id} {tag}")
}

/// The tag of a From or To as far as there is one.
fn tag(msg: &Msg, name: &str) -> String {
    let value = msg.all(name).first().copied().unwrap_or_default();
    message::param(value, "tag").unwrap_or_default().to_owned()
}

impl World {
    pub(crate) fn new(seed: u64, weather: Weather, unruly: bool) -> Self {
        Self::of(Lab::edge(), seed, weather, unruly)
    }

    /// Four phones and a PBX around this gateway.
    pub(crate) fn of(lab: Lab, seed: u64, weather: Weather, unruly: bool) -> Self {
        let mut world = Self::about(lab, seed, weather, unruly);
        let known = world.phones.clone().into_iter().filter(|_| unruly);
        world.sealed = known.map(|p| world.lab.register(&p, 3600)).collect();
        world
    }

    /// The same, of whom nobody is registered yet.
    pub(crate) fn about(mut lab: Lab, seed: u64, weather: Weather, unruly: bool) -> Self {
        let at = |n: usize| format!("10.17.0.{}:5060", 20 + n);
        let mut phones: Vec<Ua> = (0..4).map(|n| lab.phone(&format!("10{n}"), &at(n))).collect();
        let mut wires = Wires::default();
        if unruly {
            let at = lab.inside_tcp("10.17.0.24:40000");
            wires.accepts(at.flow, lab.now.mono);
            phones.push(Ua::new(at, "104"));
        }
        let pbx = lab.far("200");
        let dice = Dice::new(seed);
        let (on_way, callers, callees) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self {
            lab,
            dice,
            weather,
            unruly,
            on_way,
            sent: 0,
            callers,
            callees,
            phones,
            sealed: Vec::new(),
            pbx,
            others: Vec::new(),
            outage: Outage::default(),
            gates: Vec::new(),
            wires,
            cut: false,
            impostors: 0,
            proof: Vec::new(),
            registers: BTreeMap::new(),
            calls_help: false,
            last_calls: 0,
            forlorn: 0,
            numbers: Vec::new(),
            seen: BTreeMap::new(),
            honest: None,
        }
    }

    pub(crate) fn put(&mut self, after: Duration, parcel: Parcel) {
        self.sent += 1;
        self.on_way.insert((self.lab.now.mono + after, self.sent), parcel);
    }

    pub(crate) fn saw(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    /// Gives a message to the network; on a connection none is lost, repeated or overtaken.
    fn post(&mut self, flow: Flow, parcel: impl Fn() -> Parcel) {
        if flow.conn.is_some() {
            self.put(ms(1 + self.weather.delay), parcel());
            return;
        }
        let copies = 1 + usize::from(self.dice.percent(self.weather.twice));
        for _ in 0..copies {
            if !self.dice.percent(self.weather.loss) {
                let delay = ms(1 + self.dice.roll(self.weather.delay + 1));
                self.put(delay, parcel());
            }
        }
    }

    /// A party sends something to the gateway.
    pub(crate) fn sends(&mut self, who: Party, bytes: Bytes) {
        match self.way(who, &bytes) {
            Some(by) => self.post(by.flow, || Parcel::In(by, bytes.clone())),
            None => self.cut = true,
        }
    }

    fn grant(&mut self, who: Party, id: &str, wishes: Vec<Wish>) {
        for wish in wishes {
            match wish {
                Wish::Send(bytes) => {
                    let bytes = match &mut self.honest {
                        Some(honest) => honest.marked(id, who.flow, &bytes),
                        None => bytes,
                    };
                    self.sends(who, bytes);
                }
                Wish::Wake(after, alarm) => self.put(after, Parcel::Alarm(id.to_owned(), alarm)),
            }
        }
    }

    pub(crate) fn new_call(&mut self) {
        let n = self.dice.roll(self.phones.len() as u64) as usize;
        let last = self.last_calls > 0 && self.dice.percent(self.last_calls);
        let n = if last { self.phones.len() - 1 } else { n };
        let known = self.sealed.get(n).filter(|sealed| !sealed.is_empty());
        let inwards = known.filter(|_| self.dice.percent(40)).cloned();
        let ua = match (&inwards, self.others.len() as u64) {
            (None, _) => self.phones[n].clone(),
            (Some(_), 0) => self.pbx.clone(),
            (Some(_), more) => match self.dice.roll(more + 1) as usize {
                0 => self.pbx.clone(),
                n => self.others[n - 1].clone(),
            },
        };
        // While nobody knows where the PBX is, emergencies go elsewhere.
        let siege = self.honest.as_ref().is_none_or(|h| !h.stormy) && self.calls_help;
        let help = siege && self.dice.percent(15);
        let near = !self.numbers.is_empty() && self.dice.percent(30);
        let number = match (help, near) {
            (true, _) => "112",
            (false, true) => self.dice.pick(&self.numbers),
            (false, false) => "200",
        };
        // Nobody calls himself.
        let number = if number == ua.user { "200" } else { number };
        self.lab.checks.cries += u64::from(help && inwards.is_none());
        let sips = ua.secure && !help && self.dice.percent(60);
        let scheme = if sips { "sips" } else { "sip" };
        // Who speaks by TLS asks for phones by it, whether they do or not.
        let tls = ua.at.flow.transport.is_secure() && inwards.is_some();
        let inwards = match inwards {
            Some(sealed) if tls && self.dice.percent(20) => {
                Some(sealed.replacen("sip:", "sips:", 1))
            }
            inwards => inwards,
        };
        // By `sips:` also whom nobody reaches by TLS.
        let trunk = sips && number.starts_with('+');
        let domain = if trunk { "trunk.example.com" } else { ua.domain.as_str() };
        let to = inwards.unwrap_or_else(|| format!("{scheme}:{number}@{domain}"));
        let mut ua = ua;
        ua.secure = to.starts_with("sips:");
        if ua.secure {
            self.saw("sips");
        }
        let invite = ua.request_to(&mut self.lab, "INVITE", &to);
        let chatty = !self.numbers.is_empty() && self.dice.percent(30);
        let invite = if chatty { self.tells(&ua, invite) } else { invite };
        let late = self.unruly && self.dice.percent(20) || self.is_forlorn();
        let invite = if late { invite } else { invite.sdp(ua.sdp(4000)) };
        let impatient = self.dice.percent(30);
        let patience = ms(500 + self.dice.roll(8_000));
        let talker = Talker::new(Dice::new(self.dice.roll(1 << 40)), self.unruly);
        let leg = Leg::calling(&ua, &invite);
        let (mut caller, wishes) = Caller::new(leg, patience, impatient, talker);
        caller.vanishes = self.is_forlorn();
        let own = message::param(&caller.leg.local, "tag").unwrap_or_default();
        let id = robot(ua.at.addr(), &caller.leg.call_id, own);
        if let Some(honest) = &mut self.honest {
            honest.begins(&id, caller.impatient, self.lab.now.mono);
        }
        self.callers.insert(id.clone(), caller);
        self.grant(ua.at, &id, wishes);
    }

    fn is_forlorn(&mut self) -> bool {
        let forlorn = self.forlorn > 0 && self.dice.percent(self.forlorn);
        if forlorn {
            self.saw("forlorn");
        }
        forlorn
    }

    fn everybody(&self) -> impl Iterator<Item = &Ua> {
        self.phones.iter().chain([&self.pbx]).chain(&self.others)
    }

    /// Phones write their address where nobody asks for it, as each thinks best.
    fn tells(&mut self, ua: &Ua, invite: Text) -> Text {
        let (ip, row) = (ua.ip(), self.dice.pick(&["Call-Info", "X-Host", "Warning", "Server"]));
        let spelled = match (ip, self.dice.roll(4)) {
            (IpAddr::V4(v4), 0) => format!("[{}]", v4.to_ipv6_mapped()),
            (IpAddr::V4(v4), 1) => v4.to_string().replace('.', "-"),
            (IpAddr::V4(v4), 2) => v4.to_string().replace('.', "%2e"),
            (IpAddr::V4(v4), _) => v4.to_string(),
            (IpAddr::V6(v6), 0 | 1) => {
                let all: Vec<String> = v6.segments().iter().map(|s| format!("{s:04x}")).collect();
                format!("[{}]", all.join(":"))
            }
            (IpAddr::V6(v6), _) => format!("[{}]", v6.to_string().to_uppercase()),
        };
        invite.with(row, format!("<http://{spelled}/{}>", ua.user))
    }

    /// Its host, the whole outside or our own address there is gone.
    fn is_gone(&self, flow: &Flow) -> bool {
        let dead = || self.outage.dead.iter().any(|host| host.ip() == flow.peer.ip());
        self.lab.is_outside(flow.listener) && (self.outage.wan || dead()) || self.is_away(flow)
    }

    /// Its socket is not there.
    pub(crate) fn is_away(&self, flow: &Flow) -> bool {
        !self.gates.is_empty() && self.lab.stands_at(flow.listener).is_none()
    }

    /// A datagram was sent to an address where the gateway stands no longer: what a request names
    /// as its next hop, what an answer's Via does.
    fn misses(&self, flow: &Flow, bytes: &Bytes) -> bool {
        let is_message = bytes.first().is_some_and(u8::is_ascii_alphabetic);
        let by_datagram = flow.conn.is_none() && self.lab.is_outside(flow.listener);
        if self.gates.is_empty() || !is_message || !by_datagram {
            return false;
        }
        let (msg, now) = (Msg::read(*flow, bytes), self.lab.stands_at(flow.listener));
        let first = |name: &str| msg.all(name).first().copied().unwrap_or_default().to_owned();
        let next = match (msg.is_request(), msg.has("Route")) {
            (true, true) => first("Route"),
            (true, false) => msg.start.clone(),
            (false, _) => first("Via"),
        };
        let left = self.gates.iter().filter(|gate| Some(**gate) != now);
        left.into_iter().any(|gate| next.contains(&gate.to_string()))
    }

    /// Connections at sockets that the gateway has closed.
    pub(crate) fn sockets_close(&mut self) {
        let gone = std::mem::take(&mut self.lab.gone);
        self.cut |= !gone.is_empty();
        for conn in self.wires.at(&gone) {
            self.wires.forget(conn);
            self.lab.input(Input::ConnectionClosed(conn));
        }
    }

    /// How a party's message goes: by the connection that a request came by, else by its own; it
    /// opens one where it has none. `None`: it cannot.
    fn way(&mut self, who: Party, bytes: &Bytes) -> Option<Party> {
        if !who.flow.transport.is_reliable() {
            return Some(who);
        }
        let answers = bytes.starts_with(b"SIP/2.0 ");
        let branch = Msg::read(who.flow, bytes).branch().to_owned();
        let back = self.wires.answers(&branch).filter(|_| answers);
        let own = back.or_else(|| self.wires.of(who.addr()));
        let flow = own.or_else(|| self.dial(who))?;
        Some(Party { flow })
    }

    /// A party opens a connection: a phone sometimes from where it had one before.
    fn dial(&mut self, who: Party) -> Option<Flow> {
        if self.is_gone(&who.flow) {
            return None;
        }
        let outside = self.lab.is_outside(who.flow.listener);
        let anew = outside || self.dice.percent(50);
        let peer = if anew { self.wires.port(who.addr()) } else { who.addr() };
        let conn = Some(self.lab.fresh_conn());
        let flow = Flow { peer, conn, upstream: None, ..who.flow };
        self.wires.accepts(flow, self.lab.now.mono);
        if outside && flow.transport.is_secure() && !self.proof.is_empty() {
            self.saw("proved");
            let names = self.proof.clone();
            self.lab.input(Input::Secured { flow, names });
        }
        Some(flow)
    }

    /// What the gateway sends, as its driver carries it.
    fn carry(&mut self, msg: Msg) {
        let flow = msg.flow;
        if !flow.transport.is_reliable() {
            return self.post(flow, || Parcel::Out(msg.clone()));
        }
        let (now, delay) = (self.lab.now.mono, ms(1 + self.weather.delay));
        if let Some(wire) = self.wires.carrier(&flow) {
            let wait = wire.up.since(now) + delay;
            return self.put(wait, Parcel::Out(Msg { flow: wire.flow, ..msg }));
        }
        let proves = |o: &portreeve::engine::Opens| {
            flow.conn.is_none() && (o.upstream.is_some() || !flow.transport.is_secure())
        };
        if !msg.opens.as_ref().is_some_and(proves) {
            return self.put(ms(1), Parcel::Failed(flow));
        }
        let (conn, wait) = (self.lab.fresh_conn(), ms(2 + self.dice.roll(30)));
        let flow = Flow { conn: Some(conn), ..flow };
        self.wires.dials(flow, now + wait);
        self.put(wait, Parcel::Shaken(conn));
        self.put(wait + delay, Parcel::Out(Msg { flow, ..msg }));
    }

    /// Whoever is called says who he is, if anybody is there.
    fn shaken(&mut self, conn: ConnId) {
        let Some(wire) = self.wires.get(conn) else { return };
        let gone = self.is_gone(&wire.flow);
        // Where a party calls from, nobody listens.
        let nobody = !self.everybody().any(|ua| ua.at.addr() == wire.flow.peer);
        if gone || nobody {
            self.wires.breaks(conn);
            self.cut = true;
            let soon = nobody || self.outage.told;
            return self.put(if soon { ms(1) } else { s(5) }, Parcel::Refused(conn));
        }
        if wire.flow.transport.is_secure() && self.dice.percent(self.impostors) {
            self.saw("unproved");
            self.cut = true;
            self.wires.forget(conn);
            let why = "its certificate is somebody else's".to_owned();
            self.lab.input(Input::Unproved { flow: wire.flow, why });
            return self.lab.input(Input::TransportFailed(wire.flow));
        }
        self.wires.proves(conn);
    }

    /// A connection breaks; the gateway hears of it sooner or later.
    pub(crate) fn breaks(&mut self, conn: ConnId) {
        self.saw("broken");
        self.wires.breaks(conn);
        self.cut = true;
        let (wait, silent) = (self.dice.pick(&[1, 30, 2_000, 20_000]), self.dice.percent(30));
        self.put(ms(wait), Parcel::Ended(conn, silent));
    }

    fn ended(&mut self, conn: ConnId, silent: bool) {
        let Some(wire) = self.wires.forget(conn) else { return };
        let unwritten = silent || self.dice.percent(20);
        if wire.ours && !silent {
            self.lab.input(Input::ConnectionBroken(wire.flow));
        }
        if unwritten {
            self.lab.input(Input::TransportFailed(wire.flow));
        }
        self.lab.input(Input::ConnectionClosed(conn));
    }

    /// The gateway closes one when what waits is written.
    pub(crate) fn closes(&mut self, conn: ConnId) {
        self.wires.closes(conn);
        self.put(ms(2 + self.weather.delay), Parcel::Closed(conn));
    }

    /// It does not arrive: its host, its connection or the whole outside is gone.
    fn is_lost(&mut self, flow: &Flow) -> bool {
        let gone = self.is_gone(flow);
        let Some(conn) = flow.conn else { return gone };
        let up = self.wires.is_up(conn);
        if up && gone {
            self.breaks(conn);
        }
        self.cut |= !up || gone;
        !up || gone
    }

    /// A datagram does not arrive: somebody says so, or nobody.
    fn undelivered(&mut self, msg: Msg) {
        if !self.outage.told || msg.flow.transport.is_reliable() {
            return;
        }
        if self.dice.percent(50) {
            return self.lab.input(Input::TransportFailed(msg.flow));
        }
        self.saw("undelivered");
        let mut quoted = msg.bytes;
        quoted.truncate(QUOTED);
        let quoted = Bytes::from(quoted);
        self.lab.input(Input::Undelivered { flow: msg.flow, quoted });
    }

    fn arrive(&mut self, parcel: Parcel) {
        match parcel {
            Parcel::In(from, bytes) => {
                if self.misses(&from.flow, &bytes) {
                    self.saw("missed");
                    self.cut = true;
                } else if !self.is_lost(&from.flow) {
                    self.lab.send(from, bytes);
                }
            }
            Parcel::Out(msg) if self.is_lost(&msg.flow) => self.undelivered(msg),
            Parcel::Out(msg) => self.deliver(&msg),
            Parcel::Shaken(conn) => self.shaken(conn),
            Parcel::Refused(conn) => {
                if let Some(wire) = self.wires.forget(conn) {
                    self.lab.input(Input::TransportFailed(wire.flow));
                }
            }
            Parcel::Ended(conn, silent) => self.ended(conn, silent),
            Parcel::Closed(conn) => {
                self.wires.forget(conn);
                self.lab.input(Input::ConnectionClosed(conn));
            }
            Parcel::Failed(flow) => self.lab.input(Input::TransportFailed(flow)),
            Parcel::Alarm(id, alarm) => {
                if let Some(caller) = self.callers.get_mut(&id) {
                    let wishes = caller.wake(&mut self.lab, alarm);
                    let at = caller.leg.ua.at;
                    self.grant(at, &id, wishes);
                } else if let Some(callee) = self.callees.get_mut(&id) {
                    let wishes = callee.wake(&mut self.lab, alarm);
                    let at = callee.at();
                    self.grant(at, &id, wishes);
                }
            }
        }
    }

    /// Whom a message is for: one that knows its dialog, or the callee that it would make.
    fn meant(&self, msg: &Msg) -> String {
        let call_id = msg.all("Call-ID").first().copied().unwrap_or_default();
        let at = self.wires.who(msg.flow.peer);
        let [own, other] = ["From", "To"].map(|n| robot(at, call_id, &tag(msg, n)));
        // Outside a dialog an adversary may write another's Call-ID and tag: it is his own all the same.
        if self.honest.as_ref().is_some_and(|h| h.is_anothers(msg)) {
            return format!("{own} {EVIL}");
        }
        let knows = |id: &String| self.callers.contains_key(id) || self.callees.contains_key(id);
        if !knows(&own) && knows(&other) { other } else { own }
    }

    fn deliver(&mut self, msg: &Msg) {
        if let Some(honest) = &mut self.honest {
            honest.sees(msg);
        }
        if let Some(conn) = msg.flow.conn.filter(|_| msg.is_request()) {
            self.wires.asks(msg.branch(), conn);
        }
        let id = self.meant(msg);
        if let Some(honest) = &self.honest {
            honest.hears(&id, msg, self.lab.now.mono);
        }
        if let Some(caller) = self.callers.get_mut(&id) {
            let wishes = caller.hear(&mut self.lab, msg);
            let at = caller.leg.ua.at;
            self.grant(at, &id, wishes);
            return;
        }
        let at = self.wires.who(msg.flow.peer);
        let ua = self.everybody().find(|ua| ua.at.addr() == at);
        let mut ua = ua.unwrap_or_else(|| panic!("to nobody at {at}: {msg}")).clone();
        ua.secure = msg.is_request() && msg.uri().starts_with("sips:");
        let wishes = match self.callees.get_mut(&id) {
            Some(callee) => callee.hear(&mut self.lab, msg),
            None if msg.method() == "INVITE" && msg.has("Contact") => {
                let ring = ms(50 + self.dice.roll(6_000));
                let plan = [200, 200, 200, 486, 603, 0][self.dice.roll(6) as usize];
                let own = format!("pbx{}", self.callees.len());
                let unruly = self.unruly.then(|| Dice::new(self.dice.roll(1 << 40)));
                let leg = Leg::called(&ua, msg, &own);
                if let Some(honest) = &mut self.honest {
                    honest.is_called(&id, msg);
                }
                let (mut callee, wishes) = Callee::new(leg, msg, own, ring, plan, unruly);
                (callee.mute, callee.asks) = (self.is_forlorn(), self.is_forlorn());
                self.callees.insert(id.clone(), callee);
                wishes
            }
            None if msg.method() == "REGISTER" => self.registrar(msg),
            None if msg.status() == 401 => self.proves(&ua, msg),
            None if msg.method() == "OPTIONS" => vec![Wish::Send(answer(msg, 200, "up").into())],
            None => Vec::new(),
        };
        self.grant(ua.at, &id, wishes);
    }

    /// The PBX believes whoever registers as himself, and nobody who registers as another.
    fn registrar(&mut self, msg: &Msg) -> Vec<Wish> {
        let as_himself = msg.all("Subject").contains(&REGISTERS);
        let believed = as_himself || msg.header("To").contains("sip:166@");
        let text = answer(msg, if believed { 200 } else { 403 }, "registrar");
        let contacts = msg.list("Contact");
        let theirs = |ua: &Ua| msg.header("To").contains(&format!("sip:{}@", ua.user));
        let known = self.phones.iter().position(theirs).filter(|_| as_himself);
        if let Some(known) = known.and_then(|n| self.sealed.get_mut(n)) {
            let uri = contacts.first().map(|c| message::uri_of(c).to_owned());
            *known = uri.unwrap_or_default();
        }
        let granted = contacts.into_iter().filter(|_| believed);
        let expires = msg.all("Expires").first().map_or(600, |e| e.parse().unwrap_or(600));
        let text = granted.fold(text, |t, c| t.with("Contact", format!("{c};expires={expires}")));
        vec![Wish::Send(text.into())]
    }

    /// The gateway asks a phone for its password.
    fn proves(&mut self, ua: &Ua, msg: &Msg) -> Vec<Wish> {
        let Some(register) = self.registers.remove(&ua.at.addr()) else { return Vec::new() };
        if register.header("CSeq") != msg.header("CSeq") {
            return Vec::new();
        }
        self.saw("password");
        let again = digest::again(&mut self.lab, &register, msg, ua, site::PASSWORD);
        vec![Wish::Send(again.into())]
    }

    /// When the next thing happens.
    pub(crate) fn next(&self) -> Option<Mono> {
        let due = self.on_way.keys().next().map(|(at, _)| *at);
        due.into_iter().chain(self.lab.next_deadline()).min()
    }

    /// Runs to the next thing that happens.
    pub(crate) fn step(&mut self) {
        let next = self.next().expect("somebody waits, and nothing will happen");
        self.lab.advance(next.since(self.lab.now.mono));
        while let Some(entry) = self.on_way.first_entry() {
            if entry.key().0 > self.lab.now.mono {
                break;
            }
            let parcel = entry.remove();
            self.arrive(parcel);
        }
        self.deal();
    }

    /// Gives what the gateway has sent to the network; what is an adversary's waits for him.
    pub(crate) fn deal(&mut self) {
        for msg in self.lab.take_all() {
            if self.honest.is_some() && self.lab.is_outside(msg.flow.listener) {
                Honest::leaves(&msg);
            }
            match &mut self.honest {
                Some(honest) if honest.is_foes(&msg) => honest.foreign.push(msg),
                _ => self.carry(msg),
            }
        }
    }
}
