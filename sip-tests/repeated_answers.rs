//! What is repeated to somebody who has proved nothing: his address can be forged, so the answer and
//! its repetitions are at most 1.5 times what came of him for it, and only the same request is one
//! that comes again.

use crate::lab::script::{Text, answer};
use crate::lab::{Lab, Ua, s};
use bytes::Bytes;
use portreeve::config::DefaultPolicy;

const REFUSED: &str = "v=0\r\no=- 1 1 IN IP4 10.17.0.30\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
                       m=audio 4000 RTP/AVP 0\r\n";

fn strict() -> Lab {
    Lab::edge_with(|c| c.policy.default = DefaultPolicy::Site)
}

/// A call to 112 whose head is long and which is refused here.
fn long(lab: &mut Lab, ua: &Ua) -> Text {
    let (padding, tag) = ("y".repeat(4_000), "x".repeat(4_000));
    let invite = ua.request(lab, "INVITE", "112").sdp(REFUSED);
    let via = format!("SIP/2.0/UDP {}:5060;branch=z9hG4bK{padding}", ua.ip());
    invite.with("Via", via).set("From", format!("<sip:199@pbx.example.com>;tag={tag}"))
}

/// Octets that went to a party, of final answers and of all.
fn heard(lab: &mut Lab, ua: &Ua) -> [usize; 2] {
    let all = lab.take(ua.at);
    let sum = |least: u16| {
        all.iter().filter(|m| m.status() >= least).map(|m| m.bytes.len()).sum::<usize>()
    };
    [sum(200), sum(100)]
}

#[test]
fn a_refusal_and_its_repetitions_are_no_more_than_half_as_much_again() {
    let mut lab = strict();
    let ua = lab.phone("199", "10.17.0.30:5060");
    let invite = long(&mut lab, &ua);
    let came = Bytes::from(invite.clone()).len();
    lab.send(ua.at, invite);
    lab.advance(s(40));
    let [finals, all] = heard(&mut lab, &ua);
    assert!(finals > 0 && finals * 2 <= came * 3, "{finals} for {came}");
    assert!(all * 2 <= came * 5, "{all} for {came}");
    lab.clear();
}

#[test]
fn a_short_one_of_the_same_branch_brings_no_long_answer() {
    for same in [false, true] {
        let mut lab = strict();
        let ua = lab.phone("199", "10.17.0.30:5060");
        let invite = long(&mut lab, &ua);
        let branch = invite.header("Via").to_owned();
        let call_id = invite.header("Call-ID").to_owned();
        let mut came = Bytes::from(invite.clone()).len();
        lab.send(ua.at, invite);
        let [mut sent, _] = heard(&mut lab, &ua);
        let short = ua.request(&mut lab, "INVITE", "112").without("User-Agent").set("Via", branch);
        let short = if same { short.set("Call-ID", call_id) } else { short };
        for _ in 0..100 {
            came += Bytes::from(short.clone()).len();
            lab.send(ua.at, short.clone());
            let [more, _] = heard(&mut lab, &ua);
            sent += more;
            assert!(sent * 2 <= came * 3, "{same}: {sent} for {came}");
        }
        lab.clear();
    }
}

#[test]
fn a_lost_refusal_comes_again_to_whoever_asks_again() {
    let mut lab = strict();
    let ua = lab.phone("199", "10.17.0.30:5060");
    let pbx = lab.pbx();
    let a = lab.call(&ua, "112", 4000);
    lab.expect(ua.at, "100");
    let got = lab.expect(pbx, "INVITE");
    lab.send(pbx, answer(&got, 486, "t"));
    lab.expect(pbx, "ACK");
    lab.expect(ua.at, "486");
    for _ in 0..5 {
        lab.send(ua.at, a.invite.clone());
        lab.expect(ua.at, "486");
    }
    lab.advance(s(40));
    lab.clear();
}

#[test]
fn another_request_under_a_used_branch_is_answered_as_its_own() {
    let mut lab = Lab::edge();
    let ua = lab.phone("101", "10.17.0.21:5060");
    let pbx = lab.pbx();
    let first = ua.request(&mut lab, "MESSAGE", "200");
    let via = first.header("Via").to_owned();
    let second = ua.request(&mut lab, "MESSAGE", "201").set("Via", via.clone());
    let third = first.clone().set("CSeq", "77 MESSAGE");
    for (text, status) in [(first.clone(), 200), (second, 404), (third, 486)] {
        lab.send(ua.at, text);
        let got = lab.expect(pbx, "MESSAGE");
        lab.send(pbx, answer(&got, status, "m"));
        assert_eq!(lab.expect(ua.at, &status.to_string()).status(), status);
    }
    lab.send(ua.at, first);
    lab.expect(ua.at, "200");
    lab.nothing_left();
    lab.advance(s(40));
    lab.clear();
    lab.end();
}
