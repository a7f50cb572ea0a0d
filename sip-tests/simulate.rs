//! Many calls over a network that loses, repeats and reorders, seeded: the same seed is the same run.
//! What must hold is in `lab::check`; here it is only made likely that something could go wrong.

use crate::lab::robot::{Alarm, Callee, Caller, Wish};
use crate::lab::{Lab, Leg, Msg, Party, Ua, ms, s};
use bytes::Bytes;
use portreeve::ground::Mono;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Numbers from a seed (xorshift64*).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % below
    }

    fn percent(&mut self, chance: u64) -> bool {
        self.roll(100) < chance
    }
}

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
    on_way: BTreeMap<(Mono, u64), Parcel>,
    sent: u64,
    callers: BTreeMap<String, Caller>,
    callees: BTreeMap<String, Callee>,
    phones: Vec<Ua>,
    pbx: Ua,
}

impl World {
    fn new(seed: u64, weather: Weather) -> Self {
        let lab = Lab::edge();
        let at = |n: usize| format!("10.17.0.{}:5060", 20 + n);
        let phones = (0..4).map(|n| lab.phone(&format!("10{n}"), &at(n))).collect();
        let pbx = lab.far("200");
        let dice = Dice(seed * 2 + 1);
        let (on_way, callers, callees) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { lab, dice, weather, on_way, sent: 0, callers, callees, phones, pbx }
    }

    fn put(&mut self, after: Duration, parcel: Parcel) {
        self.sent += 1;
        self.on_way.insert((self.lab.now.mono + after, self.sent), parcel);
    }

    /// Gives a packet to the network.
    fn post(&mut self, parcel: impl Fn() -> Parcel) {
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
                Wish::Send(bytes) => self.post(|| Parcel::In(who, bytes.clone())),
                Wish::Wake(after, alarm) => self.put(after, Parcel::Alarm(id.to_owned(), alarm)),
            }
        }
    }

    fn new_call(&mut self) {
        let n = self.dice.roll(self.phones.len() as u64) as usize;
        let ua = self.phones[n].clone();
        let invite = ua.request(&mut self.lab, "INVITE", "200").sdp(ua.sdp(4000));
        let impatient = self.dice.percent(30);
        let patience = ms(500 + self.dice.roll(8_000));
        let (caller, wishes) = Caller::new(Leg::calling(&ua, &invite), patience, impatient);
        let id = caller.leg.call_id.clone();
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
                    let wishes = callee.wake(alarm);
                    self.grant(self.pbx.at, &id, wishes);
                }
            }
        }
    }

    fn deliver(&mut self, msg: &Msg) {
        let id = msg.call_id().to_owned();
        if let Some(caller) = self.callers.get_mut(&id) {
            let wishes = caller.hear(&mut self.lab, msg);
            let at = caller.leg.ua.at;
            self.grant(at, &id, wishes);
            return;
        }
        assert_eq!(msg.flow.peer, self.pbx.at.addr(), "to nobody: {msg}");
        if !msg.is_request() {
            return;
        }
        let wishes = match self.callees.get_mut(&id) {
            Some(callee) => callee.hear(msg),
            None if msg.method() == "INVITE" => {
                let ring = ms(50 + self.dice.roll(6_000));
                let plan = [200, 200, 200, 486, 603, 0][self.dice.roll(6) as usize];
                let tag = format!("pbx{}", self.callees.len());
                let (callee, wishes) = Callee::new(&self.pbx, msg, tag, ring, plan);
                self.callees.insert(id.clone(), callee);
                wishes
            }
            None => Vec::new(),
        };
        self.grant(self.pbx.at, &id, wishes);
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
            self.post(|| Parcel::Out(msg.clone()));
        }
    }
}

/// Runs calls until all are over; outcomes as the callers saw them.
fn run(seed: u64, calls: usize, weather: Weather) -> Vec<u16> {
    let mut world = World::new(seed, weather);
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
    world.callers.values().map(|c| c.outcome).collect()
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
