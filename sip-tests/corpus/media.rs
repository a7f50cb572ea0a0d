//! The packets of the corpus against a stream of the relay, in virtual time.

use super::format::{Case, Right, octets, read};
use super::{NEIGHBOUR, PBX, PHONE, STRANGER};
use portreeve::ground::{Mono, Side};
use portreeve::relay::flow::Lane;
use portreeve::relay::stream::{Stream, Verdict};
use portreeve::relay::{Expect, Leg, LegConfig, Party, StreamId};
use std::collections::BTreeSet;
use std::net::SocketAddr;

fn addr(ip: &str, port: u16) -> SocketAddr {
    SocketAddr::new(ip.parse().expect("an address"), port)
}

/// A phone that may have a NAT, a PBX that is where it said.
fn stream() -> Stream {
    let party = |ip: &str, port, expect| Party {
        rtp: Some(addr(ip, port)),
        rtcp: Some(addr(ip, port + 1)),
        expect,
    };
    let leg =
        |side, port, party| LegConfig { side, bind: addr(PBX, 0).ip(), port, dscp: 46, party };
    let phone = party(PHONE, 4000, Expect::SameIp(addr(PHONE, 0).ip()));
    let legs = [
        leg(Side::Inside, 20000, phone),
        leg(Side::Outside, 20002, party(PBX, 6000, Expect::Exact)),
    ];
    Stream::new(StreamId(1), &legs, None, Mono::default())
}

/// Hexadecimal digits, in any grouping.
fn packet(case: &Case) -> Vec<u8> {
    let text = String::from_utf8(octets(&case.lines.concat())).expect("digits");
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let octet = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair).expect("digits");
        u8::from_str_radix(pair, 16).expect("two digits")
    };
    digits.chunks(2).map(octet).collect()
}

fn right(stream: &mut Stream, case: &Case) -> bool {
    let rtcp = case.row("to") == "rtcp";
    let lane = if rtcp { Lane::Rtcp } else { Lane::Rtp };
    let port = |base: u16| base + u16::from(rtcp);
    let (leg, from) = match case.row("from") {
        "phone" => (Leg::Caller, addr(PHONE, port(4000))),
        "phone-elsewhere" => (Leg::Caller, addr(PHONE, 4444)),
        "inside" => (Leg::Caller, addr(NEIGHBOUR, port(4000))),
        "pbx" => (Leg::Callee, addr(PBX, port(6000))),
        "pbx-elsewhere" => (Leg::Callee, addr(PBX, 6666)),
        "stranger" => (Leg::Callee, addr(STRANGER, port(6000))),
        other => panic!("{}: from {other:?}", case.name),
    };
    let mut events = Vec::new();
    let octets = packet(case);
    let verdict = stream.handle((leg, lane), from, &octets, Mono::default(), &mut events).verdict;
    match case.right() {
        Right::Relayed | Right::Changed => matches!(verdict, Verdict::Forward { .. }),
        _ => matches!(verdict, Verdict::Drop(_)),
    }
}

#[test]
fn every_packet_of_the_corpus_is_relayed_or_dropped_as_written() {
    let cases = read("media");
    let names: BTreeSet<&str> = cases.iter().map(|c| c.name.as_str()).collect();
    assert!(cases.len() >= 40 && names.len() == cases.len(), "{} cases", cases.len());
    assert!(cases.iter().all(|c| !c.row("rule").is_empty()), "every answer stands somewhere");
    let good = |name: &str| cases.iter().find(|c| c.name == name).expect("a good packet");
    let mut wrong = Vec::new();
    for case in &cases {
        let mut stream = stream();
        // Both have talked before, so that the phone's ports are known.
        let good: Vec<&Case> = ["rtp-of-the-phone", "rtcp-of-the-phone"].map(good).to_vec();
        assert!(good.iter().all(|c| right(&mut stream, c)), "sound packets are relayed");
        if !right(&mut stream, case) {
            wrong.push(case.name.as_str());
        }
        assert!(good.iter().all(|c| right(&mut stream, c)), "{}: and still are", case.name);
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}
