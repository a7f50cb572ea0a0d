//! Many calls over a network that loses, repeats and reorders, seeded: the same seed is the same run.
//! What must hold is in `lab::check`; here it is only made likely that something could go wrong.

use crate::lab::robot::{Alarm, Callee, Caller, Wish};
use crate::lab::talker::{Dice, Talker};
use crate::lab::{Lab, Leg, Msg, Party, Ua, ms, s};
use bytes::Bytes;
use portreeve::engine::Input;
use portreeve::ground::{Flow, Mono};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hasher as _};
use std::net::SocketAddr;
use std::time::Duration;

/// How bad the network is, in percent.
#[derive(Clone, Copy)]
struct Weather {
    loss: u64,
    twice: u64,
    delay: u64,
}

/// Something on its way.
enum Parcel {
    In(Party, Bytes),
    Out(Msg),
    Alarm(String, Alarm),
}

struct World {
    lab: Lab,
    dice: Dice,
    weather: Weather,
    /// The parties do what nobody should.
    unruly: bool,
    on_way: BTreeMap<(Mono, u64), Parcel>,
    sent: u64,
    callers: BTreeMap<String, Caller>,
    callees: BTreeMap<String, Callee>,
    phones: Vec<Ua>,
    /// What each registered as, as the PBX knows it; none: no calls come in.
    sealed: Vec<String>,
    pbx: Ua,
}

/// A robot by where it is and the Call-ID of its leg.
fn robot(at: SocketAddr, call_id: &str) -> String {
    format!("{at} {call_id}")
}

impl World {
    fn new(seed: u64, weather: Weather, unruly: bool) -> Self {
        let mut lab = Lab::edge();
        let at = |n: usize| format!("10.17.0.{}:5060", 20 + n);
        let mut phones: Vec<Ua> = (0..4).map(|n| lab.phone(&format!("10{n}"), &at(n))).collect();
        if unruly {
            phones.push(Ua::new(lab.inside_tcp("10.17.0.24:40000"), "104"));
        }
        let known = phones.iter().filter(|_| unruly);
        let sealed = known.map(|p| lab.register(p, 3600)).collect();
        let pbx = lab.far("200");
        let dice = Dice::new(seed);
        let (on_way, callers, callees) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { lab, dice, weather, unruly, on_way, sent: 0, callers, callees, phones, sealed, pbx }
    }

    fn put(&mut self, after: Duration, parcel: Parcel) {
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
                Wish::Send(bytes) => self.post(who.flow, || Parcel::In(who, bytes.clone())),
                Wish::Wake(after, alarm) => self.put(after, Parcel::Alarm(id.to_owned(), alarm)),
            }
        }
    }

    fn new_call(&mut self) {
        let n = self.dice.roll(self.phones.len() as u64) as usize;
        let inwards = self.sealed.get(n).filter(|_| self.dice.percent(40)).cloned();
        let ua = if inwards.is_some() { self.pbx.clone() } else { self.phones[n].clone() };
        let to = inwards.unwrap_or_else(|| format!("sip:200@{}", ua.domain));
        let invite = ua.request_to(&mut self.lab, "INVITE", &to);
        let late = self.unruly && self.dice.percent(20);
        let invite = if late { invite } else { invite.sdp(ua.sdp(4000)) };
        let impatient = self.dice.percent(30);
        let patience = ms(500 + self.dice.roll(8_000));
        let talker = Talker::new(Dice::new(self.dice.roll(1 << 40)), self.unruly);
        let leg = Leg::calling(&ua, &invite);
        let (caller, wishes) = Caller::new(leg, patience, impatient, talker);
        let id = robot(ua.at.addr(), &caller.leg.call_id);
        self.callers.insert(id.clone(), caller);
        self.grant(ua.at, &id, wishes);
    }

    fn arrive(&mut self, parcel: Parcel) {
        match parcel {
            Parcel::In(from, bytes) => self.lab.send(from, bytes),
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

    fn deliver(&mut self, msg: &Msg) {
        let id = robot(msg.flow.peer, msg.call_id());
        if let Some(caller) = self.callers.get_mut(&id) {
            let wishes = caller.hear(&mut self.lab, msg);
            let at = caller.leg.ua.at;
            self.grant(at, &id, wishes);
            return;
        }
        let everybody = self.phones.iter().chain(std::iter::once(&self.pbx));
        let ua = everybody.into_iter().find(|ua| ua.at.addr() == msg.flow.peer);
        let ua = ua.unwrap_or_else(|| panic!("to nobody: {msg}")).clone();
        let wishes = match self.callees.get_mut(&id) {
            Some(callee) => callee.hear(&mut self.lab, msg),
            None if msg.method() == "INVITE" => {
                let ring = ms(50 + self.dice.roll(6_000));
                let plan = [200, 200, 200, 486, 603, 0][self.dice.roll(6) as usize];
                let tag = format!("pbx{}", self.callees.len());
                let unruly = self.unruly.then(|| Dice::new(self.dice.roll(1 << 40)));
                let leg = Leg::called(&ua, msg, &tag);
                let (callee, wishes) = Callee::new(leg, msg, tag, ring, plan, unruly);
                self.callees.insert(id.clone(), callee);
                wishes
            }
            None => Vec::new(),
        };
        self.grant(ua.at, &id, wishes);
    }

    /// Runs to the next thing that happens.
    fn step(&mut self) {
        let due = self.on_way.keys().next().map(|(at, _)| *at);
        let next = due.into_iter().chain(self.lab.next_deadline()).min();
        let next = next.expect("somebody waits, and nothing will happen");
        self.lab.advance(next.since(self.lab.now.mono));
        while let Some(entry) = self.on_way.first_entry() {
            if entry.key().0 > self.lab.now.mono {
                break;
            }
            let parcel = entry.remove();
            self.arrive(parcel);
        }
        for msg in self.lab.take_all() {
            self.post(msg.flow, || Parcel::Out(msg.clone()));
        }
    }
}

/// Runs calls until all are over; outcomes as the callers saw them.
fn run(seed: u64, calls: usize, weather: Weather) -> Vec<u16> {
    let world = play(seed, calls, weather, false);
    world.callers.values().map(|c| c.outcome).collect()
}

/// … and what the world was in the end.
fn play(seed: u64, calls: usize, weather: Weather, unruly: bool) -> World {
    let mut world = World::new(seed, weather, unruly);
    for _ in 0..calls {
        world.new_call();
        let until = world.lab.now.mono + ms(world.dice.roll(1_500));
        while world.lab.now.mono < until && !world.on_way.is_empty() {
            world.step();
        }
    }
    let limit = world.lab.now.mono + s(900);
    while !(world.on_way.is_empty() && world.callers.values().all(Caller::is_done)) {
        assert!(world.lab.now.mono < limit, "seed {seed}: calls that never end");
        world.step();
    }
    world.lab.clear();
    world.lab.end();
    let ids: BTreeSet<&String> = world.callers.keys().collect();
    assert_eq!(ids.len(), calls);
    world
}

#[test]
fn over_a_good_network_every_call_has_the_end_that_was_meant() {
    let outcomes = run(1, 60, Weather { loss: 0, twice: 0, delay: 5 });
    assert!(outcomes.iter().all(|o| matches!(o, 200 | 486 | 487 | 603 | 408)), "{outcomes:?}");
    for meant in [200, 486, 487, 603] {
        assert!(outcomes.contains(&meant), "{meant} in {outcomes:?}");
    }
}

#[test]
fn loss_repetition_and_reordering_leave_nothing_behind() {
    let weathers = [
        Weather { loss: 10, twice: 5, delay: 40 },
        Weather { loss: 30, twice: 20, delay: 300 },
        Weather { loss: 60, twice: 50, delay: 450 },
    ];
    for seed in 2..14 {
        let weather = weathers[seed as usize % weathers.len()];
        let outcomes = run(seed, 25, weather);
        assert_eq!(outcomes.len(), 25);
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    let weather = Weather { loss: 20, twice: 10, delay: 200 };
    assert_eq!(run(99, 20, weather), run(99, 20, weather));
}

/// Every final answer that requests within dialogs got, on both sides.
fn heard(world: &World) -> BTreeSet<u16> {
    let callers = world.callers.values().flat_map(|c| &c.talker.heard);
    callers.chain(world.callees.values().flat_map(|c| &c.talker.heard)).copied().collect()
}

#[test]
fn unruly_parties_over_a_good_network_each_get_their_answers() {
    let world = play(1, 120, Weather { loss: 0, twice: 0, delay: 5 }, true);
    let outcomes: Vec<u16> = world.callers.values().map(|c| c.outcome).collect();
    let told = |o: &u16| matches!(o, 200 | 486 | 487 | 488 | 603 | 408);
    assert!(outcomes.iter().all(told), "{outcomes:?}");
    for meant in [200, 486, 487, 488, 603] {
        assert!(outcomes.contains(&meant), "{meant} in {outcomes:?}");
    }
    let forsaken = world.callers.values().map(|c| c.talker.forsaken).sum::<usize>()
        + world.callees.values().map(|c| c.talker.forsaken).sum::<usize>();
    assert_eq!(forsaken, 0, "every final answer to an INVITE had its ACK");
    let heard = heard(&world);
    for meant in [200, 400, 415, 488, 491, 603] {
        assert!(heard.contains(&meant), "{meant} in {heard:?}");
    }
    assert!(heard.iter().all(|s| [200, 400, 415, 481, 488, 491, 603].contains(s)), "{heard:?}");
}

#[test]
fn unruly_parties_over_a_bad_network_leave_nothing_behind() {
    let weathers = [
        Weather { loss: 5, twice: 5, delay: 40 },
        Weather { loss: 20, twice: 20, delay: 300 },
        Weather { loss: 50, twice: 40, delay: 450 },
    ];
    for seed in 20..32 {
        let world = play(seed, 25, weathers[seed as usize % weathers.len()], true);
        assert_eq!(world.callers.len(), 25);
    }
}

/// What the process that asks for a digest is told by.
const ASKED: &str = "PORTREEVE_TEST_DIGEST";

/// Every effect of a run, in order; printed for the process that asks.
#[test]
fn a_run_has_one_digest() {
    let mut world = World::new(7, Weather { loss: 15, twice: 10, delay: 120 }, true);
    world.lab.digest = Some(Default::default());
    world.lab.input(Input::KeepCalls(true));
    for _ in 0..40 {
        world.new_call();
        world.step();
    }
    let limit = world.lab.now.mono + s(900);
    while !world.on_way.is_empty() && world.lab.now.mono < limit {
        world.step();
    }
    let digest = world.lab.digest.take().expect("asked for").finish();
    assert_ne!(digest, DefaultHasher::new().finish(), "something happened");
    if std::env::var_os(ASKED).is_some() {
        println!("digest {digest:016x}");
    }
}

/// Tables hash otherwise in every process: no effect may follow their order.
#[test]
fn the_same_seed_is_the_same_run_in_any_process() {
    let digest = || {
        let own = std::env::current_exe().expect("this test's file");
        let run = std::process::Command::new(own)
            .args(["--exact", "simulate::a_run_has_one_digest", "--nocapture"])
            .env(ASKED, "1")
            .output()
            .expect("it runs again");
        let text = String::from_utf8_lossy(&run.stdout).into_owned();
        let at = text.find("digest ").unwrap_or_else(|| panic!("{text}"));
        text[at..].lines().next().expect("a line").to_owned()
    };
    assert_eq!(digest(), digest());
}
