//! Who would use the moment when the outside goes, or make it go.

use super::{phones, pull, register, surviving};
use crate::lab::script::answer;
use crate::lab::{Lab, Msg, Ua, s, site};
use portreeve::engine::Input;
use portreeve::engine::digest::Users;
use portreeve::engine::names::{Question, Record, Reply};

#[test]
fn what_the_pbx_says_to_somebody_else_takes_nothing_from_a_phone() {
    let mut lab = surviving("");
    let (a, _) = phones(&mut lab);
    let pbx = lab.pbx();
    let refuse = |lab: &mut Lab, at: &Ua| {
        let told = register(lab, at, |t| t.set("Contact", "<sip:101@10.17.0.21:5060>"));
        assert!(told.is_none(), "the PBX says it");
        let asked = lab.expect(pbx, "REGISTER");
        lab.send(pbx, answer(&asked, 403, "no"));
        lab.expect(at.at, "403");
    };
    let mut stranger = lab.phone("101", "10.17.0.66:5060");
    refuse(&mut lab, &stranger);
    stranger.at = lab.inside("10.17.0.21:6060");
    refuse(&mut lab, &stranger);
    pull(&mut lab, &a);
    assert_eq!(register(&mut lab, &a, |t| t).map(|m| m.status()), Some(200));
    lab.take_all();
    lab.end();
}

#[test]
fn a_call_that_waited_rings_in_no_others_name() {
    let mut lab = surviving("");
    let (a, b) = phones(&mut lab);
    let boss = lab.phone("103", "10.17.0.23:5060");
    lab.register(&boss, 600);
    let invite = b.request(&mut lab, "INVITE", "101").sdp(b.sdp(4000));
    let invite = invite.set("From", "\"The Boss\" <sip:103@pbx.example.com>;tag=x");
    lab.send(b.at, invite);
    lab.expect(b.at, "100");
    lab.advance(s(3));
    assert!(lab.upstream("pbx").alone.is_some());
    assert!(lab.take(a.at).is_empty(), "101 rings for nobody");
    assert_eq!(lab.take(b.at).last().map(Msg::status), Some(403));
    lab.take_all();
    lab.advance(s(40));
    lab.take_all();
    lab.end();
}

#[test]
fn a_call_that_waited_leaves_by_no_upstream_that_its_rule_does_not_name() {
    let trunk = "[[upstream]]\nname = \"trunk\"\naddress = \"203.0.113.77:5060\"\n\
                 domain = \"trunk.example\"\nnumbers = [\"none\"]\nprobe = \"0s\"\n\
                 [[rule]]\nname = \"abroad\"\nside = \"inside\"\nnumber = [\"+*\"]\n\
                 allow = { upstream = \"trunk\" }\n";
    let mut lab = surviving(trunk);
    let (a, _) = phones(&mut lab);
    let (pbx, trunk) = (lab.pbx(), lab.outside("203.0.113.77:5060"));
    lab.take(pbx);
    lab.call(&a, "+4930123", 4000);
    lab.expect(trunk, "INVITE");
    for _ in 0..6 {
        lab.advance(s(1));
        let asked = lab.take(pbx);
        assert!(asked.iter().all(|m| m.method() == "OPTIONS"), "{asked:?}");
        for asked in asked {
            lab.send(pbx, answer(&asked, 200, "o"));
        }
    }
    assert!(lab.upstream("trunk").alone.is_some());
    let told = lab.take(a.at);
    assert_eq!(told.last().map(Msg::status), Some(503), "{told:?}");
    lab.take_all();
    lab.advance(s(40));
    lab.take_all();
}

#[test]
fn a_strangers_register_is_no_trial_where_phones_are_known() {
    let mut lab = surviving("");
    let (a, _) = phones(&mut lab);
    let stranger = lab.phone("104", "10.17.0.66:5060");
    pull(&mut lab, &a);
    let pbx = lab.pbx();
    for _ in 0..30 {
        register(&mut lab, &stranger, |t| t);
        lab.advance(s(1));
        assert!(lab.take(pbx).iter().all(|m| m.method() == "OPTIONS"), "he tries nothing");
    }
    lab.take_all();
    assert!(register(&mut lab, &a, |t| t).is_none(), "a phone that is known does");
    lab.expect(pbx, "REGISTER");
    lab.advance(s(2));
    lab.take_all();
    lab.end();
}

#[test]
fn a_start_in_the_dark_with_an_upstream_by_name_is_alone() {
    let text = site::EDGE
        .replace("auth = \"off\"", "auth = \"network\"")
        .replace("address = \"203.0.113.10:5060\"", "address = \"sip.example.net\"");
    let mut lab = Lab::with(site::parse(&text), Users::None);
    let dns = |lab: &mut Lab, is_there: bool| {
        while let Some(question) = lab.asked.pop_front() {
            let ip = site::PBX_IP.parse().expect("an address");
            let reply = match &question {
                _ if !is_there => Reply::Failed("nobody answers".to_owned()),
                Question::Hosts(_) => Reply::Records(vec![Record::Address(ip)], s(60)),
                Question::Naptr(_) | Question::Srv(_) => Reply::Nothing(s(60)),
            };
            lab.input(Input::Resolved(question, reply));
        }
    };
    dns(&mut lab, true);
    let (a, b) = phones(&mut lab);
    lab.take_all();
    lab.restart();
    dns(&mut lab, false);
    lab.advance(s(3));
    assert!(lab.upstream("pbx").alone.is_some(), "{}", lab.situation());
    super::converse(&mut lab, &a, &b);
    let ok = register(&mut lab, &a, |t| t).expect("an answer");
    assert_eq!((ok.status(), ok.header("Contact").ends_with("expires=60")), (200, true), "{ok}");
    lab.advance(s(30));
    dns(&mut lab, true);
    lab.take_all();
    // Whoever was never heard is not back, but comes: nobody waits for more than its first word.
    lab.advance(s(1));
    super::answers(&mut lab, 1);
    assert!(lab.upstream("pbx").alone.is_none(), "{}", lab.situation());
    lab.take_all();
    // From then on it is one that may come and go.
    pull(&mut lab, &a);
    super::answers(&mut lab, 4);
    assert!(lab.upstream("pbx").alone.is_some());
    super::answers(&mut lab, 8);
    assert!(lab.upstream("pbx").alone.is_none());
    lab.take_all();
}
