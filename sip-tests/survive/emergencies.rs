//! Emergency calls when who usually takes them does not, and other numbers that a rule lets out.

use super::{count, phones, pull};
use crate::lab::script::answer;
use crate::lab::{Lab, Leg, Msg, Party, Ua, s, site};
use portreeve::audit::Record;
use portreeve::engine::digest::Users;
use portreeve::engine::stats::AloneResult;

const MOBILE: &str = "203.0.113.77:5060";
/// The phone 102.
const LODGE: &str = "10.17.0.22:5060";

/// A PBX, a second upstream by mobile network, and a phone in the porter's lodge.
fn site_with(auth: &str, more: &str) -> Lab {
    let text = site::EDGE.replace("auth = \"off\"", &format!("auth = \"{auth}\""));
    let mobile = "[[upstream]]\nname = \"mobile\"\naddress = \"203.0.113.77:5060\"\n\
                  domain = \"mobile.example\"\nnumbers = [\"none\"]\nprobe = \"0s\"\n";
    Lab::with(site::parse(&format!("{text}\n{mobile}\n{more}")), Users::None)
}

fn mobile(lab: &Lab) -> Party {
    lab.outside(MOBILE)
}

/// Who is asked by an INVITE now.
fn asked(lab: &mut Lab, at: &str) -> Option<Msg> {
    let party = lab.outside(at);
    lab.take(party).into_iter().find(|m| m.is_request() && m.method() == "INVITE")
}

/// The call is answered there.
#[track_caller]
fn answered(lab: &mut Lab, call: &mut Leg, at: &Ua, invite: &Msg) {
    lab.send(at.at, at.answer(invite, 200, "sos").sdp(at.sdp(6000)));
    let ok = lab.take(call.ua.at).pop().expect("an answer");
    assert_eq!(ok.status(), 200, "{ok}");
    call.learn(&ok);
    let ack = call.ack(lab);
    lab.send(call.ua.at, ack);
    lab.expect(at.at, "ACK");
    let other = Leg::called(at, invite, "sos");
    lab.hang_up(call, &other);
}

#[test]
fn when_all_refuse_112_the_next_way_is_tried_and_the_phone_in_the_lodge_rings_last() {
    for auth in ["off", "network"] {
        let mut lab = site_with(auth, "[emergency]\ntarget = \"102\"\nupstream = \"mobile\"\n");
        let (a, lodge) = phones(&mut lab);
        let mut call = lab.call(&a, "112", 4000);
        for (place, status) in [(site::PBX, 503), (MOBILE, 404)] {
            let at = lab.outside(place);
            let invite = asked(&mut lab, place).expect("it is asked");
            assert!(invite.uri().starts_with("sip:112@"), "{invite}");
            lab.send(at, answer(&invite, status, "no"));
            lab.expect(at, "ACK");
        }
        let rung = asked(&mut lab, LODGE).expect("the lodge rings");
        // Whoever refuses a phone is asked what else it does.
        let pbx = lab.pbx();
        for options in lab.take(pbx) {
            lab.send(pbx, answer(&options, 200, "o"));
        }
        answered(&mut lab, &mut call, &lodge, &rung);
        let attempts = lab.records.iter().filter_map(|r| match r {
            Record::CallAttempt { target, emergency, .. } => Some((target.as_str(), *emergency)),
            _ => None,
        });
        let attempts: Vec<_> = attempts.collect();
        assert_eq!(attempts, [("pbx", true), ("mobile", true), ("phone", true)]);
        lab.take_all();
        lab.end();
    }
}

#[test]
fn when_nobody_says_anything_the_next_way_is_tried_soon_and_a_late_ring_is_cancelled() {
    let mut lab = site_with("off", "[emergency]\ntarget = \"102\"\nupstream = \"mobile\"\n");
    let (a, lodge) = phones(&mut lab);
    let mut call = lab.call(&a, "112", 4000);
    let late = asked(&mut lab, site::PBX).expect("the PBX is asked");
    lab.advance(s(5));
    let second = asked(&mut lab, MOBILE).expect("mobile is asked");
    assert_eq!(second.uri(), "sip:112@mobile.example");
    lab.advance(s(5));
    let rung = asked(&mut lab, LODGE).expect("the lodge rings");
    lab.take_all();
    lab.send(lab.pbx(), answer(&late, 180, "late"));
    lab.expect(lab.pbx(), "CANCEL");
    answered(&mut lab, &mut call, &lodge, &rung);
    lab.take_all();
    lab.end();
}

#[test]
fn whoever_nobody_can_help_hears_what_was_said() {
    let mut lab = Lab::edge();
    let (a, _) = phones(&mut lab);
    let call = lab.call(&a, "112", 4000);
    let invite = asked(&mut lab, site::PBX).expect("it is asked");
    lab.send(lab.pbx(), answer(&invite, 486, "no"));
    lab.expect(lab.pbx(), "ACK");
    let told = lab.take(a.at).pop().expect("an answer");
    assert_eq!(told.status(), 486);
    lab.send(a.at, call.ack_refusal(&told));
    // A challenge is the caller's to answer, and no other way is tried.
    let mut lab = site_with("off", "[emergency]\ntarget = \"102\"\n");
    let (a, _) = phones(&mut lab);
    let call = lab.call(&a, "112", 4000);
    let invite = asked(&mut lab, site::PBX).expect("it is asked");
    lab.send(
        lab.pbx(),
        answer(&invite, 407, "no").with("Proxy-Authenticate", "Digest realm=\"x\""),
    );
    lab.expect(lab.pbx(), "ACK");
    let told = lab.take(a.at).pop().expect("an answer");
    assert_eq!(told.status(), 407);
    lab.send(a.at, call.ack_refusal(&told));
    assert!(asked(&mut lab, LODGE).is_none());
    // Nor for who has given up.
    let call = lab.call(&a, "112", 4000);
    let invite = asked(&mut lab, site::PBX).expect("it is asked");
    lab.send(lab.pbx(), answer(&invite, 180, "t"));
    lab.send(a.at, call.cancel());
    lab.send(lab.pbx(), answer(&invite, 487, "t"));
    lab.advance(s(1));
    assert!(asked(&mut lab, MOBILE).is_none() && asked(&mut lab, LODGE).is_none());
    lab.take_all();
    lab.advance(s(40));
    lab.take_all();
    lab.end();
}

#[test]
fn alone_112_goes_by_the_mobile_network_at_once_and_other_numbers_where_a_rule_says_so() {
    let rules = "[[rule]]\nname = \"by mobile\"\nserving = \"alone\"\nto = [\"+49*\"]\n\
                 allow = { upstream = \"mobile\" }\n\
                 [[rule_test]]\nevent = { number = \"+49301234\", serving = \"alone\" }\n\
                 expect = \"allow: by mobile\"\n\
                 [[rule_test]]\nevent = { number = \"+49301234\", user = \"101\" }\n\
                 expect = \"allow: default:allow\"\n";
    let mut lab = site_with("network", rules);
    let (a, _) = phones(&mut lab);
    pull(&mut lab, &a);
    for number in ["112", "+49301234567"] {
        let mut call = lab.call(&a, number, 4000);
        let invite = asked(&mut lab, MOBILE).expect("by mobile");
        let far = Ua::new(mobile(&lab), number);
        answered(&mut lab, &mut call, &far, &invite);
        lab.take_all();
    }
    assert_eq!(count(&lab, AloneResult::Emergency), 1);
    lab.call(&a, "+33123456", 4000);
    assert_eq!(lab.take(a.at).pop().map(|m| m.status()), Some(503));
    lab.take_all();
    lab.end();
}

#[test]
fn alone_with_nobody_else_112_is_tried_where_it_always_goes() {
    let text = site::EDGE.replace("auth = \"off\"", "auth = \"network\"");
    let mut lab = Lab::with(site::parse(&text), Users::None);
    let (a, _) = phones(&mut lab);
    pull(&mut lab, &a);
    let mut call = lab.call(&a, "112", 4000);
    let invite = asked(&mut lab, site::PBX).expect("it goes out all the same");
    lab.advance(s(3));
    assert!(asked(&mut lab, site::PBX).is_some(), "and is sent again");
    let far = lab.far("112");
    lab.take_all();
    answered(&mut lab, &mut call, &far, &invite);
    lab.take_all();
    lab.end();
}
