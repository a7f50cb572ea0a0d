//! Robots over a network that loses, repeats and reorders, seeded: the same seed is the same run. It
//! knows nothing of the gateway but whom a message goes to.

use super::honest::{EVIL, Honest};
use super::robot::{Alarm, Callee, Caller, Wish};
use super::script::answer;
use super::talker::{Dice, Talker};
use super::{Lab, Leg, Msg, Party, Ua, message, ms};
use bytes::Bytes;
use portreeve::engine::Input;
use portreeve::ground::{ConnId, Flow, Mono};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
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

/// Something on its way.
pub(crate) enum Parcel {
    In(Party, Bytes),
    Out(Msg),
    Alarm(String, Alarm),
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
    /// The connection that each party by a stream has now.
    pub(crate) conns: BTreeMap<SocketAddr, ConnId>,
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
        if unruly {
            phones.push(Ua::new(lab.inside_tcp("10.17.0.24:40000"), "104"));
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
            conns: BTreeMap::new(),
            honest: None,
        }
    }

    pub(crate) fn put(&mut self, after: Duration, parcel: Parcel) {
        self.sent += 1;
        self.on_way.insert((self.lab.now.mono + after, self.sent), parcel);
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

    fn grant(&mut self, who: Party, id: &str, wishes: Vec<Wish>) {
        for wish in wishes {
            match wish {
                Wish::Send(bytes) => {
                    let bytes = match &mut self.honest {
                        Some(honest) => honest.marked(id, who.flow, &bytes),
                        None => bytes,
                    };
                    self.post(who.flow, || Parcel::In(who, bytes.clone()));
                }
                Wish::Wake(after, alarm) => self.put(after, Parcel::Alarm(id.to_owned(), alarm)),
            }
        }
    }

    pub(crate) fn new_call(&mut self) {
        let n = self.dice.roll(self.phones.len() as u64) as usize;
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
        let siege = self.honest.as_ref().is_some_and(|h| !h.stormy);
        let help = siege && self.dice.percent(15);
        let number = if help { "112" } else { "200" };
        let to = inwards.unwrap_or_else(|| format!("sip:{number}@{}", ua.domain));
        let invite = ua.request_to(&mut self.lab, "INVITE", &to);
        let late = self.unruly && self.dice.percent(20);
        let invite = if late { invite } else { invite.sdp(ua.sdp(4000)) };
        let impatient = self.dice.percent(30);
        let patience = ms(500 + self.dice.roll(8_000));
        let talker = Talker::new(Dice::new(self.dice.roll(1 << 40)), self.unruly);
        let leg = Leg::calling(&ua, &invite);
        let (caller, wishes) = Caller::new(leg, patience, impatient, talker);
        let own = message::param(&caller.leg.local, "tag").unwrap_or_default();
        let id = robot(ua.at.addr(), &caller.leg.call_id, own);
        if let Some(honest) = &mut self.honest {
            honest.begins(&id, caller.impatient, self.lab.now.mono);
        }
        self.callers.insert(id.clone(), caller);
        self.grant(ua.at, &id, wishes);
    }

    /// It never arrives: its host, its connection or the whole outside is gone.
    fn is_lost(&self, flow: &Flow) -> bool {
        let gone = self.outage.wan || self.outage.dead.contains(&flow.peer);
        let cut =
            flow.conn.is_some_and(|c| self.conns.get(&flow.peer).is_some_and(|now| *now != c));
        gone && self.lab.is_outside(flow.listener) || cut
    }

    /// All connections are gone, or this one; whoever had one makes another.
    pub(crate) fn reconnect(&mut self, which: Option<ConnId>) {
        let mut moved = Vec::new();
        for phone in &mut self.phones {
            let old = phone.at.flow.conn;
            if old.is_some() && (which.is_none() || which == old) {
                let conn = self.lab.inside_tcp(&phone.at.addr().to_string()).flow.conn;
                phone.at.flow.conn = conn;
                self.conns.extend(conn.map(|c| (phone.at.addr(), c)));
                moved.push(phone.at);
            }
        }
        for at in moved {
            let theirs = |had: &Party| had.addr() == at.addr();
            self.callers
                .values_mut()
                .map(|c| &mut c.leg.ua.at)
                .filter(|a| theirs(a))
                .for_each(|a| *a = at);
            self.callees.values_mut().filter(|c| theirs(&c.at())).for_each(|c| c.moves(at));
        }
    }

    fn arrive(&mut self, parcel: Parcel) {
        match parcel {
            Parcel::In(from, _) if self.is_lost(&from.flow) => {}
            Parcel::In(from, bytes) => self.lab.send(from, bytes),
            Parcel::Out(msg) if self.is_lost(&msg.flow) => {
                if self.outage.told {
                    self.lab.input(Input::TransportFailed(msg.flow));
                }
            }
            Parcel::Out(msg) => self.deliver(&msg),
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
        let [own, other] = ["From", "To"].map(|n| robot(msg.flow.peer, call_id, &tag(msg, n)));
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
        let everybody = self.phones.iter().chain([&self.pbx]).chain(&self.others);
        let ua = everybody.into_iter().find(|ua| ua.at.addr() == msg.flow.peer);
        let ua = ua.unwrap_or_else(|| panic!("to nobody: {msg}")).clone();
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
                let (callee, wishes) = Callee::new(leg, msg, own, ring, plan, unruly);
                self.callees.insert(id.clone(), callee);
                wishes
            }
            None if msg.method() == "REGISTER" => self.registrar(msg),
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
                _ => self.post(msg.flow, || Parcel::Out(msg.clone())),
            }
        }
    }
}
