//! Bad days of a site: names whose records change, targets that die, an outside that goes, a wall
//! clock that jumps, reloads, crashes, connections that break, media that fall silent, adversaries,
//! and calls among all that. Everything comes from a seed, the site, too (`place`); in the end it is
//! calm again.

mod place;

use super::robot::Caller;
use super::siege::{MALLORY, NEIGHBOUR, STRANGER, Siege, TRUNK};
use super::talker::Dice;
use super::world::{REGISTERS, Weather, World};
use super::{Lab, Ua, check, ms, s, site, trace};
use crate::upstream_names::Dns;
use portreeve::audit::Record;
use portreeve::config::{Config, DefaultPolicy, Strangers, Upstream};
use portreeve::engine::names::Question;
use portreeve::engine::stats::AloneResult;
use portreeve::engine::{Entry, Input};
use portreeve::ground::{CallNo, Mono, Subject, Wall};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

pub(crate) use place::{GATE6_INSIDE, GATE6_OUTSIDE};
use place::{PROVED, Place};

/// How long the weather is bad.
const BAD: Duration = Duration::from_secs(80);

/// The place of the outside interface in the file.
const WAN: usize = 1;

const FILE: &str = r#"
site = { inside_domains = ["corp.test"] }

[[interface]]
name = "phones"
side = "inside"
address = "10.17.0.1"
listen = ["udp:5060", "udp:5070", "tcp:5060"]
networks = ["10.17.0.0/16"]
keepalive = "25s"

[[interface]]
name = "wan"
side = "outside"
address = "203.0.113.1"
listen = ["udp:5060", "tcp:5060"]
strangers = "silent"
keepalive = "0s"

[[upstream]]
name = "pbx"
address = "sip.example.net"
domain = "pbx.example.com"
probe = "20s"

[[upstream]]
name = "trunk"
address = "203.0.113.20:5060"
domain = "trunk.example.com"
numbers = ["+1"]
probe = "0s"

[media]
ports = "20000-20199"

[limits]
calls = 40
calls_per_user = 5
transactions = 240
transactions_per_source = 60
dialogs = 60
bindings = 14

[policy]
default = "site"

[[rule]]
name = "premium"
side = "inside"
number = ["+49900*"]
deny = { code = 403, reason = "Premium" }
"#;

/// Something that happens besides what parties say.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Event {
    Call,
    Register(usize),
    /// DNS answers, if it can.
    Reply(Question),
    /// Something goes wrong.
    Trouble,
    /// The outside is back.
    WanBack,
    /// A host is back.
    Back(SocketAddr),
    /// The audit log takes records again.
    AuditBack,
    /// The machine has this address outside, in its place of so many, and no other; `None`: none.
    Stands(Option<usize>),
    Attack,
}

/// How a seed went.
#[derive(Debug, Default)]
pub(crate) struct Went {
    /// What callers were told.
    pub(crate) outcomes: BTreeMap<u16, usize>,
    /// What troubles there were.
    pub(crate) troubles: BTreeMap<&'static str, usize>,
    /// What else there was.
    pub(crate) seen: BTreeMap<&'static str, usize>,
}

/// A world in bad weather.
pub(crate) struct Storm {
    siege: Siege,
    dice: Dice,
    place: Place,
    dns: Dns,
    agenda: BTreeMap<(Mono, u64), Event>,
    made: u64,
    cseq: u32,
    foes: bool,
    /// Answered calls outlive a crash.
    keeps: bool,
    lossy: bool,
    /// Trunk and PBX as the file has them.
    upstreams: Vec<Upstream>,
    /// The clock was set back, and a crash came after that: registrations last longer than was said.
    set_back: [bool; 2],
    /// Callers whose calls a crash or a broken connection may have cut.
    excused: BTreeSet<String>,
    went: Went,
}

impl Storm {
    fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let weathers = [(0, 0, 5), (0, 0, 60), (5, 5, 40), (25, 20, 300)];
        let (loss, twice, delay) = dice.pick(&weathers);
        let (unruly, foes, keeps) = (dice.percent(40), dice.percent(40), dice.percent(50));
        let place = Place::draw(&mut dice, foes);
        let mut config = place.config();
        draw_limits(&mut dice, &mut config);
        config.upstreams[0].probe = dice.pick(&[None, Some(s(10)), Some(s(45))]);
        let upstreams = config.upstreams.clone();
        let mut lab = Lab::with(config, place.users());
        lab.secrets = vec!["10.17.", "2001:db8:17:"];
        lab.relay.quiet = true;
        if place.follows {
            lab.input(Input::Addresses { interface: WAN, own: place.own(0) });
        }
        lab.checks.judged = foes;
        lab.checks.forgetful = foes;
        let hosts = place.hosts();
        let parties = [TRUNK, STRANGER, MALLORY, NEIGHBOUR];
        let parties = parties.map(|at| at.parse::<SocketAddr>().expect("an address"));
        lab.checks.allowed = parties.iter().chain(&hosts).map(|at| at.ip()).collect();
        if keeps {
            lab.input(Input::KeepCalls(true));
        }
        let weather = Weather { loss, twice, delay };
        let mut world = World::about(lab, seed, weather, unruly);
        world.pbx = place.host(&world.lab, hosts[0]);
        world.others = hosts[1..].iter().map(|at| place.host(&world.lab, *at)).collect();
        // Where adversaries are about, the trunk is one.
        if !foes {
            world.others.push(Ua::new(world.lab.outside(TRUNK), "200"));
        }
        world.gates = place.gates();
        place.phones(&world.lab, &mut dice, &mut world.phones);
        world.sealed = vec![String::new(); world.phones.len()];
        if place.proof {
            world.proof = Subject::dns(PROVED).into_iter().collect();
        }
        world.impostors = dice.pick(&[0, 0, 10]);
        let ips = world.phones.iter().map(|p| p.ip()).collect::<Vec<_>>();
        world.lab.checks.allowed.extend(ips);
        let far = world.pbx.clone();
        let mut siege = Siege::of(world, seed, &far);
        match (&mut siege.world.honest, foes) {
            (Some(honest), true) => honest.stormy = true,
            (honest, _) => *honest = None,
        }
        siege.world.calls_help = !foes;
        siege.world.forlorn = dice.pick(&[0, 0, 25]);
        siege.world.last_calls = if place.by.is_secure() { 40 } else { 0 };
        siege.world.numbers = vec!["100", "101", "102", "103", "105"];
        // The trunk takes these: no place for honest calls where it is an adversary.
        siege.world.numbers.extend(["+15550100", "+15550101"].iter().filter(|_| !foes));
        let (agenda, excused, went) = (BTreeMap::new(), BTreeSet::new(), Went::default());
        let (made, cseq, lossy) = (0, 0, loss > 0);
        let (dns, set_back) = (place.zone(&hosts[..2]), [false; 2]);
        Self {
            siege,
            dice,
            place,
            dns,
            agenda,
            made,
            cseq,
            foes,
            keeps,
            lossy,
            upstreams,
            excused,
            set_back,
            went,
        }
    }

    fn world(&mut self) -> &mut World {
        &mut self.siege.world
    }

    fn now(&self) -> Mono {
        self.siege.world.lab.now.mono
    }

    fn after(&mut self, wait: Duration, event: Event) {
        self.made += 1;
        self.agenda.insert((self.now() + wait, self.made), event);
    }

    fn within(&mut self, most: Duration) -> Duration {
        ms(self.dice.roll(most.as_millis() as u64))
    }

    /// The next thing, whatever it is. False: nothing is left to come.
    fn step(&mut self) {
        let due = self.agenda.keys().next().map(|(at, _)| *at);
        match (due, self.siege.world.next()) {
            (Some(due), next) if next.is_none_or(|next| due <= next) => {
                let wait = due.since(self.now());
                self.world().lab.advance(wait);
                while let Some(entry) = self.agenda.first_entry() {
                    if entry.key().0 > due {
                        break;
                    }
                    let event = entry.remove();
                    self.happens(event);
                }
                self.world().deal();
            }
            _ => self.world().step(),
        }
        if self.foes {
            self.siege.react();
        }
        self.serve();
    }

    /// DNS hears its questions, and whoever lost his connection makes another.
    fn serve(&mut self) {
        while let Some(question) = self.world().lab.asked.pop_front() {
            let wait = self.dice.pick(&[ms(2), ms(30), ms(900), s(5)]);
            self.after(wait, Event::Reply(question));
        }
        for conn in std::mem::take(&mut self.world().lab.closed) {
            self.excuse();
            self.world().closes(conn);
        }
        self.world().sockets_close();
        if std::mem::take(&mut self.world().cut) {
            self.excuse();
        }
    }

    fn excuse(&mut self) {
        let open = self.siege.world.callers.iter().filter(|(_, c)| !c.is_done());
        self.excused.extend(open.map(|(id, _)| id.clone()));
    }

    fn happens(&mut self, event: Event) {
        let now = self.siege.world.lab.now;
        trace::note(now, |_| format!("-- {event:?}"));
        match event {
            Event::Call => self.world().new_call(),
            Event::Register(n) => self.register(n),
            Event::Reply(question) => {
                let mut reply = self.dns.reply(&question);
                if self.siege.world.outage.wan {
                    reply = Dns { gone: true, ..Dns::default() }.reply(&question);
                }
                self.world().lab.input(Input::Resolved(question, reply));
            }
            Event::Trouble => self.trouble(),
            Event::WanBack => self.world().outage.wan = false,
            Event::Back(host) => drop(self.world().outage.dead.remove(&host)),
            Event::AuditBack => self.world().lab.input(Input::AuditFull(false)),
            Event::Stands(at) => {
                let own = at.map_or_else(Vec::new, |at| self.place.own(at));
                self.world().lab.input(Input::Addresses { interface: WAN, own });
            }
            Event::Attack => self.siege.attack(),
        }
    }

    fn register(&mut self, n: usize) {
        // The next is for the answer to a challenge.
        self.cseq += 2;
        let cseq = self.cseq;
        let world = &mut self.siege.world;
        let ua = world.phones[n].clone();
        let uri = format!("sip:{}", ua.domain);
        let text = ua
            .request_to(&mut world.lab, "REGISTER", &uri)
            .set("To", format!("<{}>", ua.aor()))
            .set("Call-ID", format!("reg{n}@{}", ua.ip()))
            .set("CSeq", format!("{cseq} REGISTER"))
            .with("Expires", "90")
            .with("Subject", REGISTERS);
        world.registers.insert(ua.at.addr(), text.clone());
        world.sends(ua.at, text.into());
        let again = s(12) + self.within(s(15));
        if self.now() < Mono(s(1_000)) + BAD {
            self.after(again, Event::Register(n));
        }
    }

    fn trouble(&mut self) {
        type Trouble = (&'static str, fn(&mut Storm));
        let all: [Trouble; 16] = [
            ("dns", Self::records_change),
            ("wan", Self::wan_goes),
            ("address", Self::address_changes),
            ("target", Self::target_dies),
            ("clock", Self::clock_jumps),
            ("reload", Self::reloads),
            ("crash", Self::crashes),
            ("connection", Self::connection_breaks),
            ("media", Self::media_fall_silent),
            ("ports", Self::ports_are_taken),
            ("audit", Self::audit_is_full),
            ("hang up", Self::operator_hangs_up),
            ("resolver", |storm| storm.world().lab.input(Input::ResolverChanged)),
            ("keep-alives", Self::all_keep_alive),
            ("bans", |storm| storm.world().lab.input(Input::LiftBans(None))),
            ("keeping", |storm| {
                storm.keeps = !storm.keeps;
                let keeps = storm.keeps;
                storm.world().lab.input(Input::KeepCalls(keeps));
            }),
        ];
        let (name, trouble) = self.dice.pick(&all);
        // Where it may, the outside moves often enough to meet all else.
        let moves = self.place.follows && self.dice.percent(25);
        let (name, trouble) = if moves { all[2] } else { (name, trouble) };
        trace::note(self.siege.world.lab.now, |_| format!("-- {name}"));
        *self.went.troubles.entry(name).or_default() += 1;
        trouble(self);
    }

    /// Other hosts, none, lies, or nobody says anything.
    fn records_change(&mut self) {
        let (place, hosts) = (self.place, self.place.hosts());
        let at = |text: &str| text.parse::<SocketAddr>().expect("an address");
        self.dns = match self.dice.roll(8) {
            0 => place.zone(&hosts),
            1 => place.zone(&hosts[..1]),
            2 => place.zone(&hosts[1..]),
            // Where we stand still it names us, too.
            3 if place.follows => place.zone(&[hosts[2], at("10.17.0.20:5060")]),
            3 => place.zone(&[hosts[2], at("10.17.0.20:5060"), at("203.0.113.1:5060")]),
            4 => place.zone(&[at("127.0.0.1:5060"), at(TRUNK), at("224.0.0.1:5060")]),
            5 => Dns { ttl: 5, ..Dns::default() },
            6 => Dns { gone: true, ..Dns::default() },
            _ => place.zone(&hosts[..2]),
        };
    }

    fn wan_goes(&mut self) {
        self.world().outage.wan = true;
        let back = s(1) + self.within(s(60));
        self.after(back, Event::WanBack);
    }

    /// It is another, or the same after none, or another beside the one that is given up.
    fn address_changes(&mut self) {
        if !self.place.follows {
            return self.wan_goes();
        }
        let (at, next) = (self.dice.roll(3) as usize, self.dice.roll(3) as usize);
        let soon = self.within(s(20));
        match self.dice.roll(4) {
            0 => self.happens(Event::Stands(Some(at))),
            1 => {
                self.happens(Event::Stands(None));
                self.after(soon, Event::Stands(Some(at)));
            }
            2 => {
                let mut own = self.place.own(at);
                own.iter_mut().for_each(|own| own.deprecated = true);
                own.extend(self.place.own(next).into_iter().filter(|_| next != at));
                self.world().lab.input(Input::Addresses { interface: WAN, own });
                self.after(soon, Event::Stands(Some(next)));
            }
            // One that comes and goes all the time.
            _ => {
                for n in 1..6 {
                    let at = [at, next][n % 2];
                    self.after(soon * n as u32 / 4, Event::Stands(Some(at)));
                }
            }
        }
    }

    fn target_dies(&mut self) {
        let hosts = self.place.hosts();
        let host = self.dice.pick(&hosts);
        let told = self.dice.percent(40);
        self.world().outage.dead.insert(host);
        self.world().outage.told = told;
        let back = s(5) + self.within(s(90));
        self.after(back, Event::Back(host));
    }

    /// The wall clock alone.
    fn clock_jumps(&mut self) {
        let by = self.dice.pick(&[s(1), s(3_600), s(86_400 * 10), s(86_400 * 400)]);
        let forward = self.dice.percent(50);
        self.set_back[0] |= !forward;
        let wall = &mut self.world().lab.now.wall;
        *wall = Wall(if forward { wall.0 + by } else { wall.0.saturating_sub(by) });
    }

    /// Another file, as far as it may follow the one that runs.
    fn reloads(&mut self) {
        let known = self.upstreams.clone();
        let running = self.siege.world.lab.config.clone();
        let mut next = running.clone();
        // Where the trunk is an adversary, calls for the PBX are not his, and strangers stay such.
        let (foes, targets) = (self.foes, self.place.other_targets());
        change(&mut self.dice, &known, (foes, targets), &mut next);
        let (next, _) = next.following(&running);
        self.world().lab.reload(|c| *c = next);
    }

    /// Nothing is left but what the state folder holds.
    fn crashes(&mut self) {
        self.counts();
        self.excuse();
        self.set_back[1] |= self.set_back[0];
        let relay_was_silent = self.siege.world.lab.relay.silent;
        let lab = &mut self.siege.world.lab;
        let call = |e: &Entry| match e {
            Entry::Call(c) => Some(c.call),
            Entry::Binding(_) | Entry::Confirmed(_) | Entry::Numbers(_) => None,
        };
        let mut before = std::mem::take(&mut lab.records);
        lab.restart();
        // What became of the others is in nobody's books; nor of those whose address was left.
        let kept: BTreeSet<CallNo> = lab.stored.values().filter_map(call).collect();
        let began =
            |r: &Record| matches!(r, Record::CallAttempt { call, .. } if kept.contains(call));
        before.retain(began);
        lab.records.splice(0..0, before);
        (lab.relay.quiet, lab.relay.silent) = (true, relay_was_silent);
        if self.keeps {
            lab.input(Input::KeepCalls(true));
        }
        let world = self.world();
        world.wires.clear();
        world.cut = true;
        world.lab.closed.clear();
    }

    /// What is counted is counted anew after a crash.
    fn counts(&mut self) {
        let stats = self.siege.world.lab.stats();
        for result in AloneResult::ALL {
            let n = stats.alone[result as usize] as usize;
            *self.went.seen.entry(result.as_str()).or_default() += n;
        }
    }

    fn connection_breaks(&mut self) {
        let all = self.dice.percent(40);
        for conn in self.siege.world.wires.all_up() {
            if all || self.dice.percent(30) {
                self.world().breaks(conn);
            }
        }
    }

    /// Whoever speaks by datagrams asks where he is seen (RFC 5389), or says nothing in two lines.
    fn all_keep_alive(&mut self) {
        let request = [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[7; 12]].concat();
        let world = &mut self.siege.world;
        let all = world.phones.iter().chain([&world.pbx]).chain(&world.others);
        let all: Vec<_> =
            all.map(|ua| ua.at).filter(|at| !at.flow.transport.is_reliable()).collect();
        for at in all {
            let bytes = if self.dice.percent(70) { request.clone() } else { b"\r\n\r\n".to_vec() };
            self.siege.world.sends(at, bytes.into());
        }
    }

    fn media_fall_silent(&mut self) {
        let silent = !self.siege.world.lab.relay.silent;
        self.world().lab.relay.silent = silent;
    }

    fn ports_are_taken(&mut self) {
        let refused = self.dice.roll(3) as usize;
        self.world().lab.relay.refuse = refused;
        if self.dice.percent(20) {
            let port = 20_000 + self.dice.roll(200) as u16;
            let ip = self.dice.pick(&[site::GATE_INSIDE, site::GATE_OUTSIDE]);
            let at = SocketAddr::new(ip.parse().expect("an address"), port);
            // Of our own nobody else can have one.
            let legs = self.siege.world.lab.relay.open.values().flat_map(|s| s.legs);
            let ours = legs.into_iter().any(|l| l.bind == at.ip() && l.port == port & !1);
            if !ours {
                self.world().lab.input(Input::ExcludePort(at));
            }
        }
    }

    fn audit_is_full(&mut self) {
        self.world().lab.input(Input::AuditFull(true));
        let back = s(1) + self.within(s(20));
        self.after(back, Event::AuditBack);
    }

    fn operator_hangs_up(&mut self) {
        let shown: Vec<CallNo> = self.siege.world.lab.shown.keys().copied().collect();
        let Some(call) = self.dice.pick_of(&shown).copied() else { return };
        self.world().lab.input(Input::Measure(call));
        self.world().lab.input(Input::HangUp(call));
    }

    /// All is well again, whatever was.
    fn calm(&mut self) {
        trace::note(self.siege.world.lab.now, |_| "-- calm".to_owned());
        self.dns = self.place.zone(&self.place.hosts()[..2]);
        if self.place.follows {
            // What was to come yet has been.
            self.agenda.retain(|_, event| !matches!(event, Event::Stands(_)));
            self.happens(Event::Stands(Some(0)));
        }
        let world = self.world();
        (world.outage.wan, world.lab.relay.silent, world.lab.relay.refuse) = (false, false, 0);
        world.outage.dead.clear();
        world.lab.input(Input::AuditFull(false));
    }

    fn is_over(&self) -> bool {
        let world = &self.siege.world;
        world.on_way.is_empty() && world.callers.values().all(Caller::is_done)
    }
}

fn draw_limits(dice: &mut Dice, config: &mut Config) {
    match dice.roll(4) {
        0 | 1 => config.limits = site::edge().limits,
        2 => few(config),
        _ => {}
    }
    config.limits.silent_call = dice.pick(&[s(60), s(120), s(600)]);
}

/// Hardly any room.
fn few(c: &mut Config) {
    (c.limits.calls, c.limits.dialogs, c.limits.bindings) = (3, 6, 5);
    (c.limits.transactions, c.limits.transactions_per_source) = (10, 6);
}

/// Something else in the file.
fn change(dice: &mut Dice, known: &[Upstream], (foes, targets): (bool, [&str; 3]), c: &mut Config) {
    match dice.roll(9) {
        0..=2 if foes => {}
        0 => c.upstreams = vec![known[1].clone()],
        1 => c.upstreams = vec![known[0].clone()],
        2 => c.upstreams = vec![known[1].clone(), known[0].clone()],
        3 => {
            let target = dice.pick(&targets);
            c.upstreams.iter_mut().filter(|u| u.name == "pbx").for_each(|u| {
                u.targets = vec![site::target(target)];
            });
        }
        4 => {
            let few = dice.percent(50);
            (c.limits.calls, c.limits.dialogs) = if few { (10, 12) } else { (400, 400) };
            (c.limits.transactions, c.limits.bindings) = if few { (40, 10) } else { (4_000, 400) };
        }
        5 => {
            let allow = dice.percent(50) && !foes;
            c.policy.default = if allow { DefaultPolicy::Allow } else { DefaultPolicy::Site };
            c.media.idle = dice.pick(&[None, Some(s(60)), Some(s(15))]);
        }
        6 => c.interfaces[1].strangers = dice.pick(&[Strangers::Silent, Strangers::Answer]),
        7 => {
            let every = dice.pick(&[None, Some(s(5)), Some(s(60))]);
            c.interfaces.iter_mut().for_each(|i| i.keepalive = every);
            c.upstreams.iter_mut().for_each(|u| u.probe = every);
        }
        _ => c.upstreams = known.to_vec(),
    }
}

/// One seed, from the first call until nothing is left.
pub(crate) fn play(seed: u64) -> Went {
    let mut storm = Storm::new(seed);
    storm.serve();
    let place = format!("{:?}", storm.place);
    trace::note(storm.siege.world.lab.now, |_| place);
    for n in 0..storm.siege.world.phones.len() {
        let soon = storm.within(s(8));
        storm.after(soon, Event::Register(n));
    }
    let (calls, troubles) = (2 + storm.dice.roll(4), 2 + storm.dice.roll(8));
    for _ in 0..calls {
        let at = s(8) + storm.within(BAD - s(8));
        storm.after(at, Event::Call);
    }
    for _ in 0..troubles {
        let at = storm.within(BAD);
        storm.after(at, Event::Trouble);
    }
    for _ in 0..if storm.foes { 8 + storm.dice.roll(12) } else { 0 } {
        let at = storm.within(BAD);
        storm.after(at, Event::Attack);
    }
    let end = storm.now() + BAD;
    while storm.now() < end {
        storm.step();
    }
    storm.calm();
    let limit = storm.now() + s(900);
    while !storm.is_over() {
        assert!(storm.now() < limit, "calls that never end");
        storm.step();
    }
    storm.rests()
}

impl Storm {
    /// Everybody has left; what the gateway has of them ends by itself.
    fn rests(mut self) -> Went {
        self.counts();
        let world = &mut self.siege.world;
        for (what, n) in std::mem::take(&mut world.seen) {
            *self.went.seen.entry(what).or_default() += n;
        }
        for (id, caller) in &world.callers {
            let inside = !world.lab.is_outside(caller.leg.ua.at.flow.listener);
            let sure = inside && !self.lossy && !self.excused.contains(id);
            assert!(!sure || caller.outcome != 0, "{id} was never told what became of its call");
            *self.went.outcomes.entry(caller.outcome).or_default() += 1;
        }
        world.lab.clear();
        world.lab.relay.silent = true;
        world.lab.advance(world.lab.config.limits.silent_call + s(120));
        world.lab.clear();
        assert_eq!(world.lab.engine.active_calls(), 0, "calls that nothing ends");
        world.lab.end();
        if world.lab.stats().now.registrations > 0 {
            world.lab.advance(s(600));
            world.lab.clear();
        }
        // A subscription lasts an hour where nobody says how long, a day where somebody says so.
        for life in [s(3_600), s(86_400)] {
            if !self.set_back[1] && world.lab.stats().now.dialogs > 0 {
                world.lab.advance(life);
                world.lab.clear();
            }
        }
        if !self.set_back[1] {
            check::nothing_is_left(&world.lab);
        }
        self.went
    }
}
