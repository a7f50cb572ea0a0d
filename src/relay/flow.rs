//! One flow of one leg: from whom it takes packets, what it learned, where packets out of it go.
//! Plain values that only `relay::stream` changes; it never sees a packet or a socket.

use super::command::{Expect, Leg, Party};
use std::net::{IpAddr, SocketAddr};

/// The two flows of a leg: RTP on the even port, RTCP on the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Media.
    Rtp,
    /// Control.
    Rtcp,
}

impl Lane {
    /// Both, in the order of counters.
    pub const ALL: [Self; 2] = [Self::Rtp, Self::Rtcp];

    /// The other one of a leg.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Rtp => Self::Rtcp,
            Self::Rtcp => Self::Rtp,
        }
    }

    /// 0 for RTP, 1 for RTCP.
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }
}

/// From whom one flow takes packets. The socket filter and the check in user space both follow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Whom to expect is not known yet: nothing is taken, everything counts as early.
    Unknown,
    /// Any port of this host (`same-ip`, nothing learned yet).
    Host(IpAddr),
    /// Any port of a host of ours but these, the first and the last that the relay lends.
    Neighbour(IpAddr, (u16, u16)),
    /// This address and port only.
    Exactly(SocketAddr),
}

impl Source {
    /// Whether a packet from `from` would be taken.
    #[must_use]
    pub fn takes(self, from: SocketAddr) -> bool {
        match self {
            Self::Unknown => false,
            Self::Host(host) => from.ip() == host,
            Self::Neighbour(host, (first, last)) => {
                from.ip() == host && !(first..=last).contains(&from.port())
            }
            Self::Exactly(addr) => same(addr, from),
        }
    }

    /// Whether the first packet that is taken says from where the others come.
    #[must_use]
    pub fn is_learned(self) -> bool {
        match self {
            Self::Unknown | Self::Exactly(_) => false,
            Self::Host(_) | Self::Neighbour(..) => true,
        }
    }
}

/// Equal address and port. `SocketAddrV6` compares flow label and scope too, which a kernel may
/// fill in and SDP never names.
fn same(a: SocketAddr, b: SocketAddr) -> bool {
    a.port() == b.port() && a.ip() == b.ip()
}

/// One flow of one leg.
#[derive(Clone, Copy, Debug)]
pub(super) struct FlowState {
    /// From whom packets are taken now.
    pub(super) source: Source,
    /// Where packets leaving by this flow go now.
    pub(super) target: Option<SocketAddr>,
    /// The address that the last party named; a hold (no address) does not forget it.
    named: Option<SocketAddr>,
    /// The learned source.
    pinned: Option<SocketAddr>,
    /// The source before the last change: its late packets must not be learned.
    previous: Option<SocketAddr>,
}

impl FlowState {
    const fn new() -> Self {
        let source = Source::Unknown;
        Self { source, target: None, named: None, pinned: None, previous: None }
    }

    /// Whether `from` is the source that an update has just replaced.
    pub(super) fn is_previous(&self, from: SocketAddr) -> bool {
        self.previous.is_some_and(|p| same(p, from))
    }

    /// The address a stranger is compared with in events.
    pub(super) fn expected(&self) -> Option<SocketAddr> {
        match self.source {
            Source::Unknown => None,
            Source::Host(_) | Source::Neighbour(..) => self.named,
            Source::Exactly(addr) => Some(addr),
        }
    }

    /// Takes over a party's address for this flow. Only a changed address or host resets a pin.
    fn rename(&mut self, named: Option<SocketAddr>, changed_host: bool) {
        let moved = named.is_some() && named != self.named;
        if !moved && !changed_host {
            return;
        }
        if let Source::Exactly(addr) = self.source {
            self.previous = Some(addr);
        }
        self.pinned = None;
        self.named = named;
    }

    fn look(&mut self, expect: Expect) {
        self.source = match (expect, self.pinned, self.named) {
            (Expect::Nobody, ..) | (Expect::Exact, _, None) => Source::Unknown,
            (Expect::Exact, _, Some(addr)) => Source::Exactly(addr),
            (Expect::SameIp(_) | Expect::Neighbour { .. }, Some(pinned), _) => {
                Source::Exactly(pinned)
            }
            (Expect::SameIp(host), None, _) => Source::Host(host),
            (Expect::Neighbour { host, ours }, None, _) => Source::Neighbour(host, ours),
        };
        // What is expected now is nobody's past.
        if self.previous.is_some_and(|p| self.named.is_some_and(|n| same(n, p))) {
            self.previous = None;
        }
    }
}

/// The sockets of a stream: both legs' pairs, by their even ports.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sockets(pub(super) [SocketAddr; 2]);

impl Sockets {
    fn hold(&self, at: SocketAddr) -> bool {
        self.0.iter().any(|own| own.ip() == at.ip() && own.port() == at.port() & !1)
    }

    /// A party as it may be: what names the stream's own sockets names nobody. The engine refuses
    /// it before; a packet that we sent is not taken whatever the engine let pass.
    fn without_ours(&self, party: Party) -> Party {
        let other = |at: Option<SocketAddr>| at.filter(|at| !self.hold(*at));
        Party { rtp: other(party.rtp), rtcp: other(party.rtcp), ..party }
    }
}

/// Both flows of one leg with the party they serve.
#[derive(Clone, Copy, Debug)]
pub(super) struct LegFlows {
    own: Sockets,
    party: Party,
    pub(super) flows: [FlowState; 2],
}

impl LegFlows {
    pub(super) fn new(own: Sockets, party: Party) -> Self {
        let mut leg = Self { own, party: Party::UNKNOWN, flows: [FlowState::new(); 2] };
        leg.update(party);
        leg
    }

    /// The stream's pair of this leg stands there now.
    pub(super) fn rebind(&mut self, leg: Leg, at: SocketAddr) {
        self.own.0[leg.index()] = at;
    }

    /// Whether a flow takes a packet from there.
    pub(super) fn takes(&self, lane: Lane, from: SocketAddr) -> bool {
        let source = self.flows[lane.index()].source;
        source.takes(from) && !(source.is_learned() && self.own.hold(from))
    }

    /// The party changed. Returns false when nothing did, so that no pin is lost for a re-INVITE
    /// that only refreshes.
    pub(super) fn update(&mut self, party: Party) -> bool {
        let party = self.own.without_ours(party);
        if party == self.party {
            return false;
        }
        let changed_host = party.expect != self.party.expect;
        self.party = party;
        for (flow, named) in self.flows.iter_mut().zip([party.rtp, party.rtcp]) {
            flow.rename(named, changed_host);
            flow.look(party.expect);
        }
        self.aim();
        true
    }

    /// Pins the source of a flow that still takes any port of a host. Returns whether that is
    /// another address than the named one.
    pub(super) fn pin(&mut self, lane: Lane, from: SocketAddr) -> bool {
        let flow = &mut self.flows[lane.index()];
        flow.pinned = Some(from);
        flow.look(self.party.expect);
        let unnamed = flow.named.is_none_or(|n| !same(n, from));
        self.aim();
        unnamed
    }

    /// Works out where packets out of this leg go. Without an RTP and RTCP address the party is on
    /// hold or not known: then a learned source is no destination either.
    fn aim(&mut self) {
        let (own, party) = (self.own, self.party);
        let [rtp, rtcp] = &mut self.flows;
        let beside = |at| next_port(at).filter(|at| !own.hold(*at) && !lends(party.expect, *at));
        rtp.target = party.rtp.map(|named| rtp.pinned.unwrap_or(named));
        rtcp.target = match (party.rtp, party.rtcp) {
            (None, None) => None,
            (_, Some(named)) => Some(rtcp.pinned.unwrap_or(named)),
            (Some(_), None) => rtcp.pinned.or(rtp.pinned.and_then(beside)),
        };
    }
}

/// The relay may lend this port of the party's host.
fn lends(expect: Expect, at: SocketAddr) -> bool {
    match expect {
        Expect::Nobody | Expect::Exact | Expect::SameIp(_) => false,
        Expect::Neighbour { ours: (first, last), .. } => (first..=last).contains(&at.port()),
    }
}

/// RFC 3550 §11: RTCP goes to the next higher port where nothing else is said.
fn next_port(addr: SocketAddr) -> Option<SocketAddr> {
    Some(SocketAddr::new(addr.ip(), addr.port().checked_add(1)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(s: &str) -> SocketAddr {
        s.parse().unwrap()
    }

    fn alone(party: Party) -> LegFlows {
        LegFlows::new(Sockets([addr("198.51.100.1:20000"), addr("198.51.100.1:20002")]), party)
    }

    fn same_ip(rtp: Option<&str>, rtcp: Option<&str>) -> Party {
        let host = addr("192.0.2.1:0").ip();
        Party { rtp: rtp.map(addr), rtcp: rtcp.map(addr), expect: Expect::SameIp(host) }
    }

    fn sources(leg: &LegFlows) -> [Source; 2] {
        leg.flows.map(|f| f.source)
    }

    fn targets(leg: &LegFlows) -> [Option<SocketAddr>; 2] {
        leg.flows.map(|f| f.target)
    }

    #[test]
    fn an_exact_party_is_source_and_destination() {
        let (rtp, rtcp) = (addr("192.0.2.1:4000"), addr("192.0.2.9:4009"));
        let leg = alone(Party { rtp: Some(rtp), rtcp: Some(rtcp), expect: Expect::Exact });
        assert_eq!(sources(&leg), [Source::Exactly(rtp), Source::Exactly(rtcp)]);
        assert_eq!(targets(&leg), [Some(rtp), Some(rtcp)]);
    }

    #[test]
    fn an_unknown_party_takes_and_gets_nothing() {
        let leg = alone(Party::UNKNOWN);
        assert_eq!(sources(&leg), [Source::Unknown; 2]);
        assert_eq!(targets(&leg), [None; 2]);
        assert!(!leg.flows[0].source.takes(addr("192.0.2.1:4000")));
    }

    #[test]
    fn rtp_and_rtcp_are_learned_apart() {
        let mut leg = alone(same_ip(Some("192.0.2.1:4000"), Some("192.0.2.1:4001")));
        assert!(leg.pin(Lane::Rtp, addr("192.0.2.1:7000")));
        let host = addr("192.0.2.1:0").ip();
        assert_eq!(sources(&leg), [Source::Exactly(addr("192.0.2.1:7000")), Source::Host(host)]);
        assert_eq!(targets(&leg), [Some(addr("192.0.2.1:7000")), Some(addr("192.0.2.1:4001"))]);
        assert!(!leg.pin(Lane::Rtcp, addr("192.0.2.1:4001")));
        assert_eq!(targets(&leg)[1], Some(addr("192.0.2.1:4001")));
    }

    #[test]
    fn unknown_rtcp_goes_beside_the_learned_rtp() {
        let mut leg = alone(same_ip(Some("192.0.2.1:4000"), None));
        assert_eq!(targets(&leg)[1], None);
        leg.pin(Lane::Rtp, addr("192.0.2.1:7000"));
        assert_eq!(targets(&leg)[1], Some(addr("192.0.2.1:7001")));
        leg.pin(Lane::Rtcp, addr("192.0.2.1:9999"));
        assert_eq!(targets(&leg)[1], Some(addr("192.0.2.1:9999")));
    }

    #[test]
    fn the_highest_port_has_no_neighbour() {
        let mut leg = alone(same_ip(Some("192.0.2.1:4000"), None));
        leg.pin(Lane::Rtp, addr("192.0.2.1:65535"));
        assert_eq!(targets(&leg)[1], None);
    }

    #[test]
    fn an_update_that_changes_nothing_keeps_the_pin() {
        let party = same_ip(Some("192.0.2.1:4000"), Some("192.0.2.1:4001"));
        let mut leg = alone(party);
        leg.pin(Lane::Rtp, addr("192.0.2.1:7000"));
        assert!(!leg.update(party));
        assert_eq!(leg.flows[0].source, Source::Exactly(addr("192.0.2.1:7000")));
    }

    #[test]
    fn hold_and_resume_keep_the_pin_but_hold_sends_nothing() {
        let party = same_ip(Some("192.0.2.1:4000"), Some("192.0.2.1:4001"));
        let mut leg = alone(party);
        leg.pin(Lane::Rtp, addr("192.0.2.1:7000"));
        assert!(leg.update(same_ip(None, None)));
        assert_eq!(targets(&leg), [None; 2]);
        assert!(leg.update(party));
        assert_eq!(leg.flows[0].source, Source::Exactly(addr("192.0.2.1:7000")));
        assert_eq!(leg.flows[0].target, Some(addr("192.0.2.1:7000")));
    }

    #[test]
    fn a_new_address_forgets_the_pin_and_remembers_whom_it_replaced() {
        let mut leg = alone(same_ip(Some("192.0.2.1:4000"), Some("192.0.2.1:4001")));
        leg.pin(Lane::Rtp, addr("192.0.2.1:7000"));
        leg.update(same_ip(Some("192.0.2.1:5000"), Some("192.0.2.1:4001")));
        assert_eq!(leg.flows[0].source, Source::Host(addr("192.0.2.1:0").ip()));
        assert!(leg.flows[0].is_previous(addr("192.0.2.1:7000")));
        assert!(!leg.flows[0].is_previous(addr("192.0.2.1:5000")));
        leg.update(same_ip(Some("192.0.2.1:7000"), Some("192.0.2.1:4001")));
        assert!(!leg.flows[0].is_previous(addr("192.0.2.1:7000")));
    }

    #[test]
    fn another_host_resets_both_flows() {
        let mut leg = alone(same_ip(Some("192.0.2.1:4000"), Some("192.0.2.1:4001")));
        leg.pin(Lane::Rtp, addr("192.0.2.1:7000"));
        leg.pin(Lane::Rtcp, addr("192.0.2.1:7001"));
        let host = addr("198.51.100.7:0").ip();
        let rtp = Some(addr("198.51.100.7:4000"));
        leg.update(Party { rtp, rtcp: None, expect: Expect::SameIp(host) });
        assert_eq!(sources(&leg), [Source::Host(host); 2]);
    }

    #[test]
    fn scope_and_flow_label_do_not_make_a_stranger() {
        let named = addr("[fe80::1%3]:4000");
        let leg = alone(Party { rtp: Some(named), rtcp: None, expect: Expect::Exact });
        assert!(leg.flows[0].source.takes(addr("[fe80::1]:4000")));
        assert!(!leg.flows[0].source.takes(addr("[fe80::2]:4000")));
    }

    #[test]
    fn a_stream_neither_sends_to_its_own_sockets_nor_takes_from_them() {
        for port in 20_000..=20_003 {
            let own = SocketAddr::new(addr("198.51.100.1:0").ip(), port);
            let leg = alone(Party { rtp: Some(own), rtcp: Some(own), expect: Expect::Exact });
            assert_eq!(targets(&leg), [None; 2]);
            assert_eq!(sources(&leg), [Source::Unknown; 2]);
            let leg = alone(Party { rtp: None, rtcp: None, expect: Expect::SameIp(own.ip()) });
            assert!(!leg.takes(Lane::Rtp, own) && !leg.takes(Lane::Rtcp, own));
        }
        let beside = addr("198.51.100.1:20004");
        let leg = alone(Party { rtp: Some(beside), rtcp: None, expect: Expect::Exact });
        assert_eq!(targets(&leg)[0], Some(beside), "the other pass of a spiral");
        assert!(leg.takes(Lane::Rtp, beside));
    }

    #[test]
    fn of_a_host_of_ours_no_port_that_may_be_lent_is_learned() {
        let host = addr("198.51.100.1:0").ip();
        let expect = Expect::Neighbour { host, ours: (20_000, 20_999) };
        let mut leg = alone(Party { rtp: Some(addr("198.51.100.1:4000")), rtcp: None, expect });
        for port in [20_000, 20_500, 20_999] {
            assert!(!leg.takes(Lane::Rtp, SocketAddr::new(host, port)));
        }
        assert!(!leg.takes(Lane::Rtp, addr("198.51.100.2:4000")));
        assert!(leg.takes(Lane::Rtp, addr("198.51.100.1:5000")));
        leg.pin(Lane::Rtp, addr("198.51.100.1:5000"));
        assert_eq!(sources(&leg)[0], Source::Exactly(addr("198.51.100.1:5000")));
    }

    #[test]
    fn beside_a_learned_port_stands_none_of_ours() {
        let host = addr("198.51.100.1:0").ip();
        let rtp = Some(addr("198.51.100.1:4000"));
        let party = Party { rtp, rtcp: None, expect: Expect::SameIp(host) };
        let mut leg = alone(party);
        leg.pin(Lane::Rtp, addr("198.51.100.1:19999"));
        assert_eq!(targets(&leg)[1], None, "a socket of the stream itself");
        let mut leg = alone(party);
        leg.pin(Lane::Rtp, addr("198.51.100.1:20009"));
        assert_eq!(targets(&leg)[1], Some(addr("198.51.100.1:20010")));
        let expect = Expect::Neighbour { host, ours: (20_010, 20_999) };
        let mut leg = alone(Party { expect, ..party });
        leg.pin(Lane::Rtp, addr("198.51.100.1:20009"));
        assert_eq!(targets(&leg)[1], None, "another stream's");
    }
}
