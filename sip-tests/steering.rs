//! Parties that lead us astray, at random: in a call, and in one that came back from the PBX, each
//! side names addresses and ports of ours, of the inside and of nobody, wherever a place for an
//! address is. No packet circles (`lab::check`), and nothing is sent where nobody asked for it.

use crate::lab::script::{Text, answer, sdp_with};
use crate::lab::{Lab, Leg, Msg, Party, Ua, ms};
use crate::media_loops::{Spiral, spiral};
use portreeve::relay::Leg as Side;
use proptest::prelude::*;
use std::net::{IpAddr, SocketAddr};

/// What is named; numbers are taken modulo what there is.
#[derive(Clone, Copy, Debug)]
enum Lure {
    /// A port that a stream holds, on a leg; the second of its pair where odd.
    Lent(usize, usize, u16),
    /// One of these.
    Fixed(usize),
}

const FIXED: [&str; 14] = [
    "10.17.0.1:5060",
    "10.17.0.1:5070",
    "203.0.113.1:5060",
    "203.0.113.1:9100",
    "203.0.113.1:20500",
    "10.17.0.1:20500",
    "127.0.0.1:6000",
    "10.17.0.66:6000",
    "224.0.1.75:6000",
    "169.254.169.254:80",
    "0.0.0.0:6000",
    "255.255.255.255:6000",
    "203.0.113.11:6000",
    "10.17.0.23:6000",
];

/// Where it is named.
#[derive(Clone, Copy, Debug)]
enum Bait {
    Media,
    Rtcp,
    Both,
    Contact,
    RecordRoute,
    Via,
}

#[derive(Clone, Debug)]
struct Blow {
    /// The phones, or the PBX as either's other party.
    who: usize,
    method: usize,
    lure: Lure,
    bait: Bait,
    /// It stands in the answer.
    answers: bool,
}

fn blow() -> impl Strategy<Value = Blow> {
    let n = || 0usize..1_000;
    let lent = (n(), n(), 0u16..2).prop_map(|(s, l, p)| Lure::Lent(s, l, p));
    let lure = prop_oneof![lent, n().prop_map(Lure::Fixed)];
    let bait = prop_oneof![
        Just(Bait::Media),
        Just(Bait::Rtcp),
        Just(Bait::Both),
        Just(Bait::Contact),
        Just(Bait::RecordRoute),
        Just(Bait::Via),
    ];
    (n(), n(), lure, bait, any::<bool>()).prop_map(|(who, method, lure, bait, answers)| Blow {
        who,
        method,
        lure,
        bait,
        answers,
    })
}

fn lured(lab: &Lab, lure: Lure) -> SocketAddr {
    let streams: Vec<_> = lab.relay.open.values().collect();
    match lure {
        Lure::Lent(stream, leg, odd) if !streams.is_empty() => {
            let leg = streams[stream % streams.len()].legs[leg % 2];
            (leg.bind, leg.port + odd).into()
        }
        Lure::Lent(n, ..) | Lure::Fixed(n) => FIXED[n % FIXED.len()].parse().expect("an address"),
    }
}

fn baited(text: Text, ua: &Ua, at: SocketAddr, bait: Bait) -> Text {
    let own = ua.ip().to_string();
    match bait {
        Bait::Media => text.sdp(sdp_with(&at.ip().to_string(), at.port(), "")),
        Bait::Rtcp => {
            let line = format!("a=rtcp:{} IN IP4 {}\r\n", at.port(), at.ip());
            text.sdp(sdp_with(&own, 4000, &line))
        }
        Bait::Both => {
            let one = sdp_with(&own, 4000, "");
            let two = format!("m=video {} RTP/AVP 96\r\nc=IN IP4 {}\r\n", at.port(), at.ip());
            text.sdp(format!("{one}{two}"))
        }
        Bait::Contact => text.set("Contact", format!("<sip:x@{at}>")).sdp(ua.sdp(4000)),
        Bait::RecordRoute => text.with("Record-Route", format!("<sip:{at};lr>")).sdp(ua.sdp(4000)),
        Bait::Via => {
            let branch = text.header("CSeq").replace(' ', "-");
            text.set("Via", format!("SIP/2.0/UDP {at};branch=z9hG4bK{own}-{branch}"))
        }
    }
}

/// Nothing waits where nobody may be sent anything.
fn is_led_nowhere(lab: &Lab, sources: &[Party]) {
    for at in lab.addressees() {
        let known = sources.iter().any(|p| p.addr().ip() == at.ip());
        let ours = at == "203.0.113.1:5060".parse().expect("an address");
        let public = at.ip().to_string().starts_with("203.0.113.1") && !is_ours(at.ip());
        assert!(known || public || ours, "{at} was sent to\n{}", lab.situation());
    }
    for stream in lab.relay.open.values() {
        for side in [Side::Caller, Side::Callee] {
            let party = stream.party(side);
            for to in [party.rtp, party.rtcp].into_iter().flatten() {
                let ip = to.ip();
                let special = ip.is_loopback() || ip.is_multicast() || ip.is_unspecified();
                assert!(!special, "media go to {to}: {stream:?}");
                let joined = || {
                    lab.relay
                        .open
                        .values()
                        .any(|s| s.legs.iter().any(|l| l.bind == ip && l.port == to.port() & !1))
                };
                assert!(!is_ours(ip) || joined(), "media go to {to}: {stream:?}");
            }
        }
    }
}

fn is_ours(ip: IpAddr) -> bool {
    ["10.17.0.1", "203.0.113.1"].iter().any(|own| own.parse() == Ok(ip))
}

/// Everybody answers what he gets; the PBX, too.
fn react(lab: &mut Lab, parties: &[Ua], bait: Option<(SocketAddr, Bait)>) {
    for ua in parties {
        for msg in lab.take(ua.at) {
            if !msg.is_request() || matches!(msg.method(), "ACK" | "CANCEL") {
                continue;
            }
            let text = answered(ua, &msg);
            let text = match bait {
                Some((at, bait)) => {
                    let via = text.header("Via").to_owned();
                    baited(text, ua, at, bait).set("Via", via)
                }
                None => text,
            };
            lab.send(ua.at, text);
        }
    }
}

fn answered(ua: &Ua, msg: &Msg) -> Text {
    let text = answer(msg, 200, "r").with("Contact", ua.contact());
    if msg.body.is_empty() { text } else { text.sdp(ua.sdp(4000)) }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: 64,
        ..ProptestConfig::default()
    })]
    #[test]
    fn nobody_leads_us_astray(
        comes_back: bool,
        blows in prop::collection::vec(blow(), 1..12),
    ) {
        let mut lab = Lab::edge();
        lab.checks.forgetful = true;
        lab.secrets.clear();
        let pbx = lab.far("200");
        let mut legs: Vec<Leg> = Vec::new();
        if comes_back {
            let Spiral { alice, bob, out, rung, .. } =
                spiral(&mut lab, |t| t).expect("it is joined");
            let mut far = Leg::called(&pbx, &out, "bob");
            far.remote = out.header("From").to_owned();
            let _ = rung;
            legs.extend([alice, bob, far]);
        } else {
            let phone = lab.phone("101", "10.17.0.21:5060");
            let (a, b) = lab.establish(&phone, &pbx);
            let second = lab.phone("102", "10.17.0.22:5060");
            let (c, d) = lab.establish(&second, &pbx);
            legs.extend([a, b, c, d]);
        }
        let parties =
            [lab.phone("101", "10.17.0.21:5060"), lab.phone("102", "10.17.0.22:5060"), pbx];
        let sources: Vec<Party> = parties.iter().map(|p| p.at).collect();
        for b in blows {
            let methods = ["INVITE", "UPDATE", "PRACK", "INFO", "NOTIFY", "ACK", "SUBSCRIBE"];
            let n = b.who % legs.len();
            let at = lured(&lab, b.lure);
            let leg = &mut legs[n];
            let text = leg.request(&mut lab, methods[b.method % methods.len()]);
            let (text, back) = if b.answers {
                let offer = leg.ua.sdp(4000);
                (text.sdp(offer), Some((at, b.bait)))
            } else {
                (baited(text, &leg.ua, at, b.bait), None)
            };
            lab.send(leg.ua.at, text);
            for _ in 0..3 {
                is_led_nowhere(&lab, &sources);
                react(&mut lab, &parties, back);
            }
            is_led_nowhere(&lab, &sources);
            lab.advance(ms(700));
            is_led_nowhere(&lab, &sources);
            lab.clear();
        }
        lab.end();
    }
}
