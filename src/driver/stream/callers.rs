//! What is known of those who call us, before they have said anything: who is let in, who is known,
//! where strangers hear nothing, and who begins a handshake next. It learns it from the engine's
//! effects and the configuration; it judges nobody.

use super::turns::{Caller, Step, Turns, Whose};
use crate::config::{ClientCertificate, Config, Interface, Strangers};
use crate::ground::{ConnId, ListenerId, Side};
use crate::policy::quota::Source;
use ipnet::IpNet;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Sources of each kind that are remembered.
const SOURCES: usize = 16_384;

#[derive(Debug)]
pub(super) struct Callers {
    known: HashMap<Source, Instant>,
    /// At all listeners, or at one.
    barred: HashMap<(Source, Option<ListenerId>), Instant>,
    /// Where upstreams are, as the file says.
    upstreams: Vec<IpNet>,
    /// Listeners where strangers hear nothing.
    silent: HashSet<ListenerId>,
    /// The place of each listener's interface.
    links: HashMap<ListenerId, usize>,
    /// Listeners where a certificate may tell who somebody is.
    asking: HashSet<ListenerId>,
    /// How often a peer's NAT is kept awake.
    keepalives: HashMap<ListenerId, Duration>,
    pub(super) turns: Turns,
    /// Somebody sees to it that those who wait get their turn.
    pub(super) is_led: bool,
}

/// One more, until then. A full table forgets who is over; else it takes nobody new.
fn remember<K: std::hash::Hash + Eq>(all: &mut HashMap<K, Instant>, key: K, until: Instant) {
    if all.len() >= SOURCES {
        let now = Instant::now();
        all.retain(|_, until| *until > now);
    }
    if all.len() < SOURCES || all.contains_key(&key) {
        all.insert(key, until);
    }
}

impl Callers {
    pub(super) fn new(config: &Config) -> Self {
        let mut new = Self {
            known: HashMap::new(),
            barred: HashMap::new(),
            upstreams: Vec::new(),
            silent: HashSet::new(),
            links: HashMap::new(),
            asking: HashSet::new(),
            keepalives: HashMap::new(),
            turns: Turns::new(Instant::now()),
            is_led: false,
        };
        new.follow(config);
        new
    }

    /// From now on this configuration holds.
    pub(super) fn follow(&mut self, config: &Config) {
        let hosts = config.upstreams.iter().flat_map(|u| u.fixed()).map(|hop| hop.peer.ip().into());
        let listed = config.upstreams.iter().flat_map(|u| u.sources.iter().copied());
        self.upstreams = hosts.chain(listed).collect();
        (self.silent, self.asking) = (HashSet::new(), HashSet::new());
        self.keepalives = HashMap::new();
        let asks =
            |i: &Interface| i.tls.as_ref().is_some_and(|tls| tls.client != ClientCertificate::Off);
        for l in config.listeners() {
            let Some(i) = config.interfaces.get(l.interface) else { continue };
            self.links.insert(l.id, l.interface);
            self.silent.extend((i.strangers == Strangers::Silent).then_some(l.id));
            self.asking.extend(asks(i).then_some(l.id));
            self.keepalives.extend(i.keepalive.map(|every| (l.id, every)));
        }
    }

    /// A phone is registered from here, or an upstream is here, for so long at least.
    pub(super) fn know(&mut self, side: Side, ip: IpAddr, lasts: Duration) {
        let until = Instant::now() + lasts;
        let source = Source::at(side, ip);
        let longest = self.known.get(&source).map_or(until, |known| until.max(*known));
        remember(&mut self.known, source, longest);
    }

    /// Nobody of this source is let in for so long; not at all: he may come again.
    pub(super) fn bar(&mut self, source: Source, at: Option<ListenerId>, lasts: Duration) {
        if lasts.is_zero() {
            self.barred.remove(&(source, at));
        } else {
            remember(&mut self.barred, (source, at), Instant::now() + lasts);
        }
    }

    /// Whether he is not let in, outside. Where a certificate is asked for, who was silenced may be
    /// behind one address with somebody who has one: he is slow.
    pub(super) fn is_barred(&self, ip: IpAddr, listener: ListenerId) -> bool {
        let [everywhere, here] = self.holds(ip, listener);
        let shut = everywhere || here && !self.asking.contains(&listener);
        shut && !self.is_known(Side::Outside, ip)
    }

    /// Whether he is to be let in nowhere, and not at this listener.
    fn holds(&self, ip: IpAddr, listener: ListenerId) -> [bool; 2] {
        if self.barred.is_empty() {
            return [false; 2];
        }
        let (source, now) = (Source::of(ip).on(self.link(listener)), Instant::now());
        [None, Some(listener)]
            .map(|at| self.barred.get(&(source, at)).is_some_and(|until| *until > now))
    }

    fn link(&self, listener: ListenerId) -> Option<usize> {
        self.links.get(&listener).copied()
    }

    pub(super) fn is_known(&self, side: Side, ip: IpAddr) -> bool {
        let known = self.known.get(&Source::at(side, ip));
        known.is_some_and(|until| *until > Instant::now())
            || self.upstreams.iter().any(|net| net.contains(&ip.to_canonical()))
    }

    pub(super) fn whose(&self, side: Side, ip: IpAddr) -> Whose {
        if self.is_known(side, ip) { Whose::Known } else { Whose::Strange }
    }

    /// Strangers hear nothing at this listener.
    pub(super) fn is_silent(&self, listener: ListenerId) -> bool {
        self.silent.contains(&listener)
    }

    /// How often the kernel asks whether a peer is there, where the file says it.
    pub(super) fn keepalive(&self, listener: ListenerId) -> Option<Duration> {
        self.keepalives.get(&listener).copied()
    }

    /// Waits for its turn to shake hands.
    pub(super) fn wait(
        &mut self,
        conn: ConnId,
        (side, ip, listener): (Side, IpAddr, ListenerId),
    ) -> oneshot::Receiver<()> {
        let whose = self.whose(side, ip);
        let [_, silenced] = self.holds(ip, listener);
        let slow = silenced && whose == Whose::Strange;
        let (link, (begin, begun)) = (self.link(listener), oneshot::channel());
        self.turns.wait(conn, Caller { ip, link, side, whose, slow }, begin);
        begun
    }

    /// What comes next for whoever leads those who wait; nobody does when nobody waits.
    pub(super) fn lead(&mut self) -> Step {
        let step = self.turns.next(Instant::now());
        self.is_led = step != Step::Idle;
        step
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Environment;

    fn callers() -> Callers {
        let text = include_str!("../../../configs/minimal.toml");
        Callers::new(&Config::parse("t", text, &Environment::default()).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_barred_is_so_for_a_time_and_at_one_listener_not_if_he_is_known() {
        let mut callers = callers();
        let ip: IpAddr = "198.18.0.9".parse().unwrap();
        let (here, there) = (ListenerId(0), ListenerId(1));
        let all = |callers: &Callers| [here, there].map(|at| callers.is_barred(ip, at));
        assert_eq!(all(&callers), [false, false]);
        callers.bar(Source::of(ip), Some(here), Duration::from_secs(10));
        assert_eq!(all(&callers), [true, false]);
        callers.know(Side::Outside, ip, Duration::from_secs(5));
        assert_eq!(all(&callers), [false, false], "a phone is there");
        tokio::time::advance(Duration::from_secs(6)).await;
        assert_eq!(all(&callers), [true, false]);
        tokio::time::advance(Duration::from_secs(6)).await;
        assert_eq!(all(&callers), [false, false]);
        callers.bar(Source::of(ip), None, Duration::from_secs(600));
        assert_eq!(all(&callers), [true, true]);
        callers.bar(Source::of(ip), None, Duration::ZERO);
        assert_eq!(all(&callers), [false, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn upstreams_of_the_file_are_known_and_a_full_table_takes_nobody_new() {
        let mut callers = callers();
        let pbx = "198.51.100.2".parse().unwrap();
        assert!(callers.is_known(Side::Outside, pbx), "{:?}", callers.upstreams);
        for n in 0..=u32::try_from(SOURCES).unwrap() {
            let ip = IpAddr::from(n.to_be_bytes());
            callers.know(Side::Inside, ip, Duration::from_secs(60));
        }
        assert_eq!(callers.known.len(), SOURCES);
        let last = IpAddr::from(u32::try_from(SOURCES).unwrap().to_be_bytes());
        assert!(!callers.is_known(Side::Inside, last));
        tokio::time::advance(Duration::from_secs(61)).await;
        callers.know(Side::Inside, last, Duration::from_secs(60));
        assert!(callers.is_known(Side::Inside, last) && callers.known.len() == 1);
    }

    #[tokio::test(start_paused = true)]
    async fn where_a_certificate_is_asked_for_who_was_silenced_is_slow_and_not_shut_out() {
        let text = include_str!("../../../configs/minimal.toml").replace(
            "address = \"203.0.113.7\"",
            "address = \"203.0.113.7\"\nlisten = [\"udp:5060\", \"tls:5061\"]\n\
             tls = { certificate = \"self-signed\", client = \"ask\", client_ca = \"/ca.pem\" }",
        );
        let config = Config::parse("t", &text, &Environment::default()).unwrap();
        let mut callers = Callers::new(&config);
        let tls = |l: &&crate::config::Listener| l.transport.is_secure();
        let at = config.listeners().iter().find(tls).unwrap().id;
        let ip: IpAddr = "198.18.0.9".parse().unwrap();
        callers.bar(Source::of(ip), Some(at), Duration::from_secs(10));
        assert!(!callers.is_barred(ip, at));
        let heard: Vec<_> =
            (0..32).map(|n| callers.wait(ConnId(n), (Side::Outside, ip, at))).collect();
        while let Step::Begun(_) = callers.lead() {}
        let begun = heard.into_iter().filter_map(|mut one| one.try_recv().ok());
        assert_eq!(begun.count(), 4);
        callers.bar(Source::of(ip), None, Duration::from_secs(600));
        assert!(callers.is_barred(ip, at), "who is banned is");
    }

    #[tokio::test(start_paused = true)]
    async fn a_phone_of_a_link_is_known_alone_and_outside_its_network_is() {
        let mut callers = callers();
        let [one, other] = ["2001:db8::1", "2001:db8::2"].map(|ip| ip.parse().unwrap());
        for (side, both) in [(Side::Inside, false), (Side::Outside, true)] {
            callers.know(side, one, Duration::from_secs(60));
            assert!(callers.is_known(side, one));
            assert_eq!(callers.is_known(side, other), both, "{side:?}");
        }
    }
}
