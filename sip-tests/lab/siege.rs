//! Honest parties among adversaries, step by step: who says what, what comes of it at once, and what
//! must hold then.

use super::adversary::{Foe, Gossip, Position};
use super::honest::Honest;
use super::talker::Dice;
use super::world::World;
use super::{Msg, Ua, site, storm};
use bytes::Bytes;
use portreeve::config::Strangers;
use portreeve::ground::Side;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Headers of IP and UDP: amplification is of octets on the wire.
const ON_THE_WIRE: usize = 28;
/// An upstream beside the PBX that means no good.
pub(crate) const TRUNK: &str = "203.0.113.20:5060";
/// A host of the Internet.
pub(crate) const STRANGER: &str = "198.51.100.66:5060";
/// A host of the site that nobody registered.
pub(crate) const NEIGHBOUR: &str = "10.17.0.99:5060";
/// A registered phone.
pub(crate) const MALLORY: &str = "10.17.0.66:5060";

pub(crate) struct Siege {
    pub(crate) world: World,
    foes: Vec<Foe>,
    pub(crate) dice: Dice,
    ports: usize,
    /// What adversaries were answered, by class.
    pub(crate) answers: BTreeMap<u16, usize>,
}

impl Siege {
    /// Adversaries in every position around this world, where the PBX's partner speaks from `far`.
    pub(crate) fn of(mut world: World, seed: u64, far: &Ua) -> Self {
        let mut honest = Honest::default();
        let uas = [
            world.lab.phone("166", MALLORY),
            world.lab.phone("199", NEIGHBOUR),
            Ua::new(world.lab.outside(STRANGER), "666"),
            Ua::new(world.lab.outside(TRUNK), "300"),
            Ua::new(far.at, "400"),
        ];
        let mut foes = Vec::new();
        for (position, ua) in Position::ALL.into_iter().zip(uas) {
            if position != Position::Partner {
                honest.foes.insert(ua.at.addr());
            }
            let dice = Dice::new(seed * 7 + foes.len() as u64);
            foes.push(Foe { position, ua, dice, legs: Vec::new(), asked: Vec::new() });
        }
        (world.honest, world.calls_help) = (Some(honest), true);
        let ports = world.lab.stats().now.ports.iter().map(|p| p.free).sum();
        let answers = BTreeMap::new();
        Self { world, foes, dice: Dice::new(seed + 1_000_003), ports, answers }
    }

    /// One adversary does something, once or many times.
    pub(crate) fn attack(&mut self) {
        let which = self.dice.roll(self.foes.len() as u64) as usize;
        // An upstream has no share but the total: it is believed not to flood.
        let believed = matches!(self.foes[which].position, Position::Trunk | Position::Partner);
        let flood = self.dice.percent(4) && !believed;
        for _ in 0..if flood { 100 } else { 1 } {
            let Some(octets) = self.word(which) else { continue };
            self.say(which, octets);
        }
        self.react();
        self.hold();
    }

    fn word(&mut self, which: usize) -> Option<Bytes> {
        let World { lab, honest, sealed, .. } = &mut self.world;
        let foe = &mut self.foes[which];
        let honest = honest.as_ref().expect("adversaries are about");
        let inside = foe.position.is_inside();
        let side = |m: &&Msg| lab.is_outside(m.flow.listener) != inside;
        let overheard = honest.overheard.iter().filter(side).collect();
        let known = Gossip { contacts: sealed, overheard, gate: lab.gate_outside() };
        // Whoever is behind the PBX sends what a PBX lets him: calls of his own.
        let partner = foe.position == Position::Partner;
        match self.dice.roll(10) {
            0..4 if !partner => foe.replay(lab, &known),
            4 if !partner => Some(foe.noise(&known)),
            5..7 => foe.within(lab, &known).map(Bytes::from),
            _ => Some(foe.request(lab, &known).into()),
        }
    }

    /// Sends it, and looks at what comes of it at once.
    fn say(&mut self, which: usize, octets: Bytes) {
        let (foe, before) = (&self.foes[which], self.world.lab.waiting());
        if self.world.is_away(&foe.at().flow) {
            return;
        }
        let urgent = octets.windows(7).any(|w| w == b"sip:112");
        let len = octets.len();
        let allowed = &mut self.world.lab.checks.allowed;
        if !allowed.is_empty() {
            allowed.extend(by_chance(&octets));
        }
        self.world.lab.send(foe.at(), octets);
        let caused = self.world.lab.waiting() - before;
        assert!(caused <= 24, "one message causes {caused}");
        let Some(honest) = &self.world.honest else { return };
        let told = honest.foreign.len();
        self.world.deal();
        let back = self.world.honest.iter().flat_map(|h| h.foreign.iter().skip(told));
        let back: Vec<usize> =
            back.filter(|m| m.flow.peer == foe.at().addr()).map(|m| m.bytes.len()).collect();
        match foe.position {
            Position::Stranger if self.is_silent() => {
                assert!(back.is_empty(), "a silent interface answers a stranger");
            }
            Position::Neighbour | Position::Stranger if !urgent => {
                assert!(back.len() <= 1, "a stranger is answered {} times", back.len());
                let most = (len + ON_THE_WIRE) * 3 / 2;
                assert!(back.iter().all(|b| b + ON_THE_WIRE <= most), "{back:?} for {len} octets");
            }
            Position::Neighbour
            | Position::Stranger
            | Position::Phone
            | Position::Trunk
            | Position::Partner => {}
        }
    }

    /// The outside gets no answer from who does not know it.
    fn is_silent(&self) -> bool {
        let outside = self.world.lab.config.interfaces.iter().filter(|i| i.side == Side::Outside);
        outside.into_iter().all(|i| i.strangers == Strangers::Silent)
    }

    /// Adversaries read what they were sent, and say something to it.
    pub(crate) fn react(&mut self) {
        for _ in 0..4 {
            let honest = self.world.honest.as_mut().expect("adversaries are about");
            let came = std::mem::take(&mut honest.foreign);
            for msg in came {
                self.read(&msg);
            }
        }
    }

    fn read(&mut self, msg: &Msg) {
        let at = msg.flow.peer;
        *self.answers.entry(msg.status()).or_default() += 1;
        let Some(which) = self.foes.iter().position(|f| f.at().addr() == at) else { return };
        let World { lab, sealed, .. } = &mut self.world;
        let known = Gossip { contacts: sealed, overheard: Vec::new(), gate: lab.gate_outside() };
        for octets in self.foes[which].react(lab, &known, msg) {
            self.say(which, octets);
        }
    }

    /// What must hold after every step.
    fn hold(&mut self) {
        let limits = &self.world.lab.config.limits;
        let stats = self.world.lab.stats();
        let now = stats.now;
        let sum = |pair: [u64; 2]| pair.iter().sum::<u64>() as usize;
        assert!(sum(now.transactions) <= 2 * limits.transactions, "{:?}", now.transactions);
        assert!(now.dialogs as usize <= limits.dialogs + limits.dialogs / 5, "{}", now.dialogs);
        assert!(now.registrations <= limits.bindings as u64, "{}", now.registrations);
        let used: usize = now.ports.iter().map(|p| p.used).sum();
        assert!(used <= self.ports, "{used} ports of {}", self.ports);
        for stream in self.world.lab.relay.open.values() {
            for leg in stream.legs {
                let to = leg.party.rtp.into_iter().chain(leg.party.rtcp);
                for to in to {
                    let ours = &self.world.lab.config.interfaces;
                    let ours = ours.iter().any(|i| i.addresses.iter().any(|a| a.ip == to.ip()));
                    let fit = is_fit(leg.side, to) && !ours;
                    assert!(fit, "media to {to} on the {:?}", leg.side);
                }
            }
        }
    }
}

/// A place where media may be sent.
fn is_fit(side: Side, to: SocketAddr) -> bool {
    let ours = [site::GATE_INSIDE, site::GATE_OUTSIDE, storm::GATE6_INSIDE, storm::GATE6_OUTSIDE];
    let inside = site::is_inside(to.ip());
    !ours.contains(&to.ip().to_string().as_str())
        && !to.ip().is_loopback()
        && to.port() >= 1024
        && !matches!(to.port(), 5060 | 5061)
        && inside == (side == Side::Inside)
}

/// Public hosts of no network here that chance has written: who says that he is there is sent to.
fn by_chance(octets: &[u8]) -> Vec<IpAddr> {
    let text = String::from_utf8_lossy(octets);
    let words = text.split(|c: char| !c.is_ascii_digit() && c != '.');
    let is_public = |ip: &Ipv4Addr| {
        let ours = [[203, 0, 113], [198, 51, 100]].contains(&ip.octets()[..3].try_into().unwrap());
        let usual = (1..224).contains(&ip.octets()[0]);
        usual && !ours && !ip.is_private() && !ip.is_loopback() && !ip.is_link_local()
    };
    words.filter_map(|word| word.parse().ok()).filter(is_public).map(IpAddr::from).collect()
}
