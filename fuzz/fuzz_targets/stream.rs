//! A media stream whatever its parties are and whoever sends: a packet goes to the party of the
//! other leg or nowhere, never to a socket of the stream itself, and none is taken from one. Twelve
//! octets an event: who, where, which ports.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portreeve::ground::{Mono, Side};
use portreeve::relay::flow::Lane;
use portreeve::relay::stream::{Stream, Verdict};
use portreeve::relay::{Expect, Leg, LegConfig, Party, StreamId};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

const OURS: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(10, 17, 0, 1)), IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1))];

/// One of few addresses, so that they meet; ports around those of the stream.
fn addr(host: u8, port: u8) -> SocketAddr {
    let ip = match host % 4 {
        n @ 0..=1 => OURS[usize::from(n)],
        n => IpAddr::V4(Ipv4Addr::new(198, 51, 100, n)),
    };
    SocketAddr::new(ip, 20_000 + u16::from(port % 8))
}

fn party(o: &[u8; 12]) -> Party {
    let at = |flag: u8, host, port| (flag & 1 == 0).then(|| addr(host, port));
    let expect = match o[2] % 4 {
        0 => Expect::Nobody,
        1 => Expect::Exact,
        2 => Expect::SameIp(addr(o[3], 0).ip()),
        _ => Expect::Neighbour { host: addr(o[3], 0).ip(), ours: (20_000, 20_999) },
    };
    Party { rtp: at(o[4], o[5], o[6]), rtcp: at(o[7], o[8], o[9]), expect }
}

fn is_own(at: SocketAddr) -> bool {
    let pair = |leg: usize| SocketAddr::new(OURS[leg], 20_000 + 2 * leg as u16);
    [0, 1].iter().any(|l| pair(*l).ip() == at.ip() && pair(*l).port() == at.port() & !1)
}

fuzz_target!(|octets: &[u8]| {
    let leg = |i: usize| LegConfig {
        side: if i == 0 { Side::Inside } else { Side::Outside },
        bind: OURS[i],
        port: 20_000 + 2 * i as u16,
        dscp: 46,
        party: Party::UNKNOWN,
    };
    let mut now = Mono(Duration::from_secs(1_000));
    let mut stream = Stream::new(StreamId(1), &[leg(0), leg(1)], None, now);
    let mut events = Vec::new();
    for o in octets.as_chunks::<12>().0 {
        let leg = if o[0] & 2 == 0 { Leg::Caller } else { Leg::Callee };
        let lane = if o[0] & 4 == 0 { Lane::Rtp } else { Lane::Rtcp };
        now = now + Duration::from_millis(u64::from(o[1]));
        if o[0] & 1 == 0 {
            stream.update(leg, party(o), now);
        } else {
            let from = addr(o[2], o[3]);
            let packet = [0x80, if lane == Lane::Rtp { 0 } else { 200 }, 0, 6]
                .into_iter()
                .chain(std::iter::repeat_n(o[4], 24))
                .collect::<Vec<u8>>();
            let decision = stream.handle((leg, lane), from, &packet, now, &mut events);
            if let Verdict::Forward { to } = decision.verdict {
                assert!(!is_own(to), "sent to a socket of its own: {to}");
                assert!(!is_own(from), "taken from a socket of its own: {from}");
            }
        }
        stream.handle_timeout(now, &mut events);
        while let Some(transmit) = stream.poll_transmit() {
            assert!(!is_own(transmit.to));
        }
        events.clear();
    }
});
