//! What our Contact and Record-Route seal, when it comes back: it must open and fit the dialog that
//! Call-ID and tags name, and the sender must be that dialog's party (contract "Who is who").

use crate::lab::message::uri_of;
use crate::lab::script::Text;
use crate::lab::{Lab, Leg, Party, Ua, Version, site};
use portreeve::engine::digest::Users;

fn parties(lab: &Lab) -> (Ua, Ua) {
    (lab.phone("101", "10.17.0.21:5060"), lab.far("200"))
}

/// Another character in the middle of a URI's user part.
fn tampered(value: &str) -> String {
    let uri = uri_of(value);
    let at = "sip:".len() + 20;
    let other = if &uri[at..=at] == "A" { "B" } else { "A" };
    value.replace(uri, &format!("{}{other}{}", &uri[..at], &uri[at + 1..]))
}

/// Sends it; nobody but the sender hears anything, and that is this status.
#[track_caller]
fn refused(lab: &mut Lab, from: Party, request: Text, status: u16) {
    lab.send(from, request);
    let no = lab.next(from).expect("an answer");
    assert_eq!(no.status(), status, "{no}\n{}", lab.situation());
    lab.nothing_left();
}

#[test]
fn a_route_that_was_tampered_with_opens_no_dialog() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (phone, pbx) = parties(&lab);
        let (mut a, b) = lab.establish(&phone, &pbx);
        for (leg, method) in [(&a, "BYE"), (&b, "BYE"), (&a, "INFO"), (&b, "UPDATE")] {
            let mut forged = leg.clone();
            forged.routes[0] = tampered(&leg.routes[0]);
            let request = forged.request(&mut lab, method);
            refused(&mut lab, leg.ua.at, request, 481);
        }
        assert_eq!(lab.engine.active_calls(), 1);
        lab.hang_up(&mut a, &b);
        lab.end();
    }
}

#[test]
fn a_contact_that_was_tampered_with_opens_no_dialog() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (phone, pbx) = parties(&lab);
        let (mut a, b) = lab.establish(&phone, &pbx);
        for leg in [&a, &b] {
            let mut forged = leg.clone();
            forged.target = tampered(&leg.target);
            let request = forged.request(&mut lab, "BYE");
            refused(&mut lab, leg.ua.at, request, 481);
        }
        assert_eq!(lab.engine.active_calls(), 1);
        lab.hang_up(&mut a, &b);
        lab.end();
    }
}

#[test]
fn what_one_call_was_given_opens_no_other() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (phone, pbx) = parties(&lab);
        let (mut a, b) = lab.establish(&phone, &pbx);
        let (mut c, d) = lab.establish(&phone, &pbx);
        let mut mixed = a.clone();
        mixed.routes.clone_from(&c.routes);
        let bye = mixed.request(&mut lab, "BYE");
        refused(&mut lab, phone.at, bye, 481);
        let mut mixed = a.clone();
        mixed.target.clone_from(&c.target);
        let bye = mixed.request(&mut lab, "BYE");
        refused(&mut lab, phone.at, bye, 481);
        assert_eq!(lab.engine.active_calls(), 2);
        lab.hang_up(&mut a, &b);
        lab.hang_up(&mut c, &d);
        lab.end();
    }
}

#[test]
fn what_the_other_side_was_given_opens_nothing_here() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (phone, pbx) = parties(&lab);
        let (mut a, b) = lab.establish(&phone, &pbx);
        // The PBX's token under our inside name.
        let far = uri_of(&b.routes[0]).split('@').next().unwrap_or_default().to_owned();
        let mut forged = a.clone();
        forged.routes[0] = format!("<{far}@{}:5060;lr>", site::GATE_INSIDE);
        let bye = forged.request(&mut lab, "BYE");
        refused(&mut lab, phone.at, bye, 481);
        lab.hang_up(&mut a, &b);
        lab.end();
    }
}

#[test]
fn a_token_does_not_stand_in_for_the_call_id() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (phone, pbx) = parties(&lab);
        let (mut a, b) = lab.establish(&phone, &pbx);
        let mut forged = a.clone();
        forged.call_id = "another@10.17.0.21".to_owned();
        let bye = forged.request(&mut lab, "BYE");
        refused(&mut lab, phone.at, bye, 481);
        assert_eq!(lab.engine.active_calls(), 1);
        lab.hang_up(&mut a, &b);
        lab.end();
    }
}

#[test]
fn an_ack_with_a_strange_route_is_dropped() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (phone, pbx) = parties(&lab);
        let mut a = lab.call(&phone, "200", 4000);
        lab.expect(phone.at, "100");
        let invite = lab.expect(pbx.at, "INVITE");
        let b = Leg::called(&pbx, &invite, "b");
        lab.send(pbx.at, pbx.answer(&invite, 200, "b").sdp(pbx.sdp(6000)));
        a.learn(&lab.expect(phone.at, "200"));
        let mut forged = a.clone();
        forged.routes[0] = tampered(&a.routes[0]);
        let ack = forged.ack(&mut lab);
        lab.send(phone.at, ack);
        lab.nothing_left();
        let ack = a.ack(&mut lab);
        lab.send(phone.at, ack);
        lab.expect(pbx.at, "ACK");
        lab.hang_up(&mut a, &b);
        lab.end();
    }
}

#[test]
fn our_name_without_a_token_or_no_route_at_all_leaves_it_to_the_rest() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (phone, pbx) = parties(&lab);
        let (mut a, b) = lab.establish(&phone, &pbx);
        // An outbound proxy as phones are configured with it, then none.
        let own = a.routes[0].clone();
        for routes in [
            vec!["<sip:10.17.0.1;lr>".to_owned(), own.clone()],
            vec!["<sip:101@10.17.0.1:5060;lr>".to_owned(), own],
            Vec::new(),
        ] {
            let mut own = a.clone();
            own.routes = routes;
            own.cseq = a.cseq;
            let info = own.request(&mut lab, "INFO");
            a.cseq = own.cseq;
            lab.send(phone.at, info);
            let got = lab.expect(pbx.at, "INFO");
            lab.send(pbx.at, crate::lab::script::answer(&got, 200, ""));
            lab.expect(phone.at, "200");
        }
        lab.hang_up(&mut a, &b);
        lab.end();
    }
}

#[test]
fn another_upstream_has_no_part_in_a_call() {
    let second = r#"
[[upstream]]
name = "other"
address = "203.0.113.12:5060"
domain = "other.example.net"
probe = "0s"
"#;
    let config = site::parse(&format!("{}{second}", site::EDGE));
    let mut lab = Lab::with(config, Users::None);
    let (phone, pbx) = parties(&lab);
    let (mut a, b) = lab.establish(&phone, &pbx);
    let mut forged = b.clone();
    forged.ua.at = lab.outside("203.0.113.12:5060");
    let bye = forged.request(&mut lab, "BYE");
    refused(&mut lab, forged.ua.at, bye, 403);
    assert_eq!(lab.security(), ["in_dialog_source"]);
    assert_eq!(lab.engine.active_calls(), 1);
    lab.hang_up(&mut a, &b);
    lab.end();
}

#[test]
fn after_a_restart_an_old_token_opens_no_new_call() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (phone, pbx) = parties(&lab);
        let (mut old, mut old_far) = lab.establish(&phone, &pbx);
        lab.restart();
        let (mut a, b) = lab.establish(&phone, &pbx);
        let bye = old.request(&mut lab, "BYE");
        refused(&mut lab, phone.at, bye, 481);
        let bye = old_far.request(&mut lab, "BYE");
        refused(&mut lab, pbx.at, bye, 481);
        // Nor does it when it is put into a request of the new one.
        let mut mixed = a.clone();
        mixed.routes.clone_from(&old.routes);
        let bye = mixed.request(&mut lab, "BYE");
        refused(&mut lab, phone.at, bye, 481);
        lab.hang_up(&mut a, &b);
        lab.records.clear();
        lab.end();
    }
}

/// A REFER within `leg`'s call to what a Contact of ours stands for; the Refer-To as it arrived.
fn refers(lab: &mut Lab, leg: &mut Leg, far: &Ua, to: &str) -> String {
    let refer = leg.request(lab, "REFER").with("Refer-To", format!("<{to}>"));
    lab.send(leg.ua.at, refer);
    let got = lab.expect(far.at, "REFER");
    lab.send(far.at, crate::lab::script::answer(&got, 202, ""));
    lab.expect(leg.ua.at, "202");
    got.header("Refer-To").to_owned()
}

#[test]
fn a_refer_to_opens_only_for_whom_it_was_shown_to() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (phone, pbx) = parties(&lab);
        let (thief, far) = (lab.phone("102", "10.17.0.22:5060"), lab.far("300"));
        let (mut a, mut b) = lab.establish(&phone, &pbx);
        let (mut c, d) = lab.establish(&thief, &far);
        // His own call's far party: as that is reached.
        let own = c.target.clone();
        assert_eq!(refers(&mut lab, &mut c, &far, &own), far.contact());
        // Another phone's, and what only the PBX was shown: they stay closed.
        for closed in [a.target.clone(), b.target.clone(), d.target.clone()] {
            let told = refers(&mut lab, &mut c, &far, &closed);
            assert!(!told.contains("203.0.113.10:") && !told.contains("10.17."), "{told}");
        }
        // The PBX was shown both calls.
        let shown = d.target.clone();
        lab.secrets.clear();
        assert_eq!(refers(&mut lab, &mut b, &phone, &shown), thief.contact());
        let closed = a.target.clone();
        let told = refers(&mut lab, &mut b, &phone, &closed);
        assert!(!told.contains("203.0.113.10:"), "{told}");
        lab.input(portreeve::engine::Input::HangUpAll);
        lab.clear();
        lab.end();
        let _ = &mut a;
    }
}
