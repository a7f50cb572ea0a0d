//! Behind a NAT router whose address changes: what the upstream says that it sees is told, once, when
//! it is not what others are told.

use crate::lab::script::{Text, answer};
use crate::lab::{Lab, Msg, Party, s, site};
use portreeve::engine::Level;
use std::net::IpAddr;

const ADVERTISED: &str = "192.0.2.10";
const OTHER: &str = "192.0.2.77";

/// In front of a PBX that is asked each 10 s, behind a router.
fn behind() -> Lab {
    Lab::edge_with(|c| {
        site::advertise(&mut c.interfaces[1], ADVERTISED);
        c.upstreams[0].probe = Some(s(10));
    })
}

fn seen_from(asked: &Msg, received: &str) -> Text {
    let via = asked.header("Via").to_owned();
    answer(asked, 200, "o").set("Via", format!("{via};received={received}"))
}

/// So many probes are answered so.
fn probes(lab: &mut Lab, times: usize, received: &str) {
    probes_from(lab, times, received, None);
}

/// The same; `instead`: from there somebody else answers each before.
fn probes_from(lab: &mut Lab, times: usize, received: &str, instead: Option<(Party, &str)>) {
    let pbx = lab.pbx();
    let mut answered = 0;
    while answered < times {
        lab.advance(s(1));
        for asked in lab.take(pbx) {
            if let Some((other, lie)) = instead {
                lab.send(other, seen_from(&asked, lie));
            }
            lab.send(pbx, seen_from(&asked, received));
            answered += 1;
        }
    }
}

fn warned(lab: &Lab) -> usize {
    let is =
        |(level, text): &&(Level, String)| *level == Level::Warn && text.contains("sees us as");
    lab.notices.iter().filter(is).count()
}

fn seen(lab: &Lab) -> Option<IpAddr> {
    lab.upstream("pbx").seen_as
}

#[test]
fn an_upstream_that_sees_us_elsewhere_several_times_in_a_row_is_told_of_once() {
    let mut lab = behind();
    probes(&mut lab, 5, ADVERTISED);
    probes(&mut lab, 2, OTHER);
    probes(&mut lab, 1, ADVERTISED);
    probes(&mut lab, 2, OTHER);
    assert_eq!((warned(&lab), seen(&lab)), (0, None), "it may be on its way");
    probes(&mut lab, 40, OTHER);
    assert_eq!((warned(&lab), seen(&lab)), (1, OTHER.parse().ok()));
    // Another one is news, and that all is well again.
    probes(&mut lab, 3, "192.0.2.78");
    assert_eq!((warned(&lab), seen(&lab)), (2, "192.0.2.78".parse().ok()));
    probes(&mut lab, 1, ADVERTISED);
    assert_eq!(seen(&lab), None);
    assert!(lab.notices.iter().any(|(_, text)| text.contains("as advertised")));
    lab.clear();
}

#[test]
fn who_is_near_says_nothing_or_names_a_network_of_his_own_tells_nothing() {
    let mut lab = behind();
    for received in ["203.0.113.1", "10.4.5.6", "100.64.0.9", "127.0.0.1", "nonsense"] {
        probes(&mut lab, 5, received);
        assert_eq!((warned(&lab), seen(&lab)), (0, None), "{received}");
    }
    let mut plain = Lab::edge_with(|c| c.upstreams[0].probe = Some(s(10)));
    probes(&mut plain, 5, OTHER);
    assert_eq!((warned(&plain), seen(&plain)), (0, None), "nothing is advertised");
}

#[test]
fn nobody_else_says_for_an_upstream_what_it_sees() {
    let mut lab = behind();
    let stranger = lab.outside("198.51.100.66:5060");
    probes_from(&mut lab, 9, ADVERTISED, Some((stranger, OTHER)));
    assert_eq!((warned(&lab), seen(&lab)), (0, None));
    // Nor who guesses a branch.
    let pbx = lab.pbx();
    probes(&mut lab, 1, ADVERTISED);
    for n in 0..9 {
        let forged = format!(
            "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP {ADVERTISED}:5060;branch=z9hG4bK{n};received={OTHER}\r\n\
             From: <sip:a@x>;tag=1\r\nTo: <sip:b@x>;tag=2\r\nCall-ID: {n}\r\nCSeq: 1 OPTIONS\r\n\
             Content-Length: 0\r\n\r\n"
        );
        lab.send(pbx, forged.into_bytes());
    }
    assert_eq!((warned(&lab), seen(&lab)), (0, None));
    lab.clear();
}
