//! Parties whose names change within a dialog (RFC 4916): only the tags are the dialog's. What names
//! us or the inside is still translated, and what a side wrote comes back to it byte for byte.

use crate::lab::message::param;
use crate::lab::script::answer;
use crate::lab::{Lab, Leg, Msg, Ua, Version, site};

fn parties(lab: &Lab) -> (Ua, Ua) {
    (lab.phone("101", "10.17.0.21:5060"), lab.far("200"))
}

/// An UPDATE whose sender calls itself `name` from now on: as the far party got it, and the answer.
#[track_caller]
fn renamed(lab: &mut Lab, from: &mut Leg, to: &Leg, name: &str) -> (Msg, Msg) {
    let tag = param(&from.local, "tag").expect("a tag").to_owned();
    from.local = format!("{name};tag={tag}");
    said(lab, from, to, "UPDATE")
}

/// A request within the dialog with From and To as the leg has them; the To of answers is kept.
#[track_caller]
fn said(lab: &mut Lab, from: &mut Leg, to: &Leg, method: &str) -> (Msg, Msg) {
    let request = from.request(lab, method).with("Supported", "from-change");
    lab.send(from.ua.at, request.clone());
    let got = lab.expect(to.ua.at, method);
    assert_eq!(got.tag("From"), param(&from.local, "tag"), "{got}");
    assert_eq!(got.tag("To"), param(&from.remote, "tag"), "{got}");
    lab.send(to.ua.at, answer(&got, 200, ""));
    let ok = lab.expect(from.ua.at, "200");
    assert_eq!(ok.header("From"), request.header("From"), "as it wrote it");
    assert_eq!(ok.header("To"), request.header("To"), "as it wrote it");
    (got, ok)
}

/// A value without its tag.
fn name(value: &str) -> &str {
    value.split(";tag=").next().unwrap_or_default()
}

#[test]
fn a_new_name_from_outside_is_shown_inside() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (phone, pbx) = parties(&lab);
        let (mut a, mut b) = lab.establish(&phone, &pbx);
        let new = "\"Reception\" <sip:900@pbx.example.com>";
        let (got, _) = renamed(&mut lab, &mut b, &a, new);
        assert_eq!(name(got.header("From")), new);
        // The phone uses the new name, or goes on with the old one: the PBX sees what it wrote.
        let old = a.remote.clone();
        a.remote = got.header("From").to_owned();
        let (got, _) = said(&mut lab, &mut a, &b, "INFO");
        assert_eq!(name(got.header("To")), new);
        a.remote = old.clone();
        let (got, _) = said(&mut lab, &mut a, &b, "INFO");
        assert_eq!(name(got.header("To")), name(&old));
        lab.hang_up(&mut a, &b);
        lab.end();
    }
}

#[test]
fn a_new_name_from_inside_is_shown_outside_without_inside_addresses() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (phone, pbx) = parties(&lab);
        let (mut a, b) = lab.establish(&phone, &pbx);
        for (new, shown) in [
            ("\"Alice\" <sip:101@pbx.example.com>", "\"Alice\" <sip:101@pbx.example.com>"),
            ("\"Bob\" <sip:102@pbx.example.com>", "\"Bob\" <sip:102@pbx.example.com>"),
            ("<sip:103@10.17.0.21>", "<sip:103@pbx.example.com>"),
            ("\"Desk\" <sip:104@10.17.0.1>", "\"Desk\" <sip:104@pbx.example.com>"),
        ] {
            let (got, _) = renamed(&mut lab, &mut a, &b, new);
            assert_eq!(name(got.header("From")), shown);
        }
        lab.hang_up(&mut a, &b);
        lab.end();
    }
}

#[test]
fn a_display_name_of_the_inside_is_hidden_too() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (phone, pbx) = parties(&lab);
        let (mut a, b) = lab.establish(&phone, &pbx);
        let (got, _) = renamed(&mut lab, &mut a, &b, "\"at 10.17.0.21\" <sip:101@pbx.example.com>");
        assert!(got.header("From").ends_with(&format!("tag={}", a.tag())), "{got}");
        lab.hang_up(&mut a, &b);
        lab.end();
    }
}

#[test]
fn names_that_did_not_change_are_each_sides_own() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (mut phone, pbx) = parties(&lab);
        // A phone that knows us as its registrar only.
        site::GATE_INSIDE.clone_into(&mut phone.domain);
        let (mut a, mut b) = lab.establish(&phone, &pbx);
        let (got, _) = said(&mut lab, &mut a, &b, "INFO");
        assert_eq!(name(got.header("From")), "\"101\" <sip:101@pbx.example.com>");
        assert_eq!(name(got.header("To")), "<sip:200@pbx.example.com>");
        let (got, _) = said(&mut lab, &mut b, &a, "INFO");
        assert_eq!(got.header("To"), a.local, "byte for byte");
        assert_eq!(got.header("From"), a.remote, "byte for byte");
        // The PBX leaves the display name out: the phone's own host all the same.
        b.remote = b.remote.replace("\"101\" ", "");
        let (got, _) = said(&mut lab, &mut b, &a, "INFO");
        assert_eq!(name(got.header("To")), "<sip:101@10.17.0.1>");
        lab.hang_up(&mut a, &b);
        lab.end();
    }
}

#[test]
fn a_new_name_of_such_a_phone_comes_back_as_it_wrote_it() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (mut phone, pbx) = parties(&lab);
        site::GATE_INSIDE.clone_into(&mut phone.domain);
        let (mut a, mut b) = lab.establish(&phone, &pbx);
        let (got, _) = renamed(&mut lab, &mut a, &b, "\"Lab\" <sip:105@10.17.0.1>");
        assert_eq!(name(got.header("From")), "\"Lab\" <sip:105@pbx.example.com>");
        b.remote = got.header("From").to_owned();
        let (got, _) = said(&mut lab, &mut b, &a, "INFO");
        assert_eq!(got.header("To"), a.local, "byte for byte");
        lab.hang_up(&mut b, &a);
        lab.end();
    }
}

#[test]
fn a_reinvite_and_its_ack_carry_the_new_name() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (phone, pbx) = parties(&lab);
        let (mut a, mut b) = lab.establish(&phone, &pbx);
        let tag = param(&b.local, "tag").expect("a tag").to_owned();
        b.local = format!("<sip:901@pbx.example.com>;tag={tag}");
        let invite = b.request(&mut lab, "INVITE").sdp(pbx.sdp(6000));
        lab.send(pbx.at, invite);
        lab.expect(pbx.at, "100");
        let got = lab.expect(phone.at, "INVITE");
        assert_eq!(name(got.header("From")), "<sip:901@pbx.example.com>");
        lab.send(phone.at, phone.answer(&got, 200, "").sdp(phone.sdp(4000)));
        lab.expect(pbx.at, "200");
        let ack = b.ack(&mut lab);
        lab.send(pbx.at, ack);
        let ack = lab.expect(phone.at, "ACK");
        assert_eq!(name(ack.header("From")), "<sip:901@pbx.example.com>");
        lab.hang_up(&mut a, &b);
        lab.end();
    }
}

#[test]
fn the_tags_stay_the_dialogs() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (phone, pbx) = parties(&lab);
        let (mut a, b) = lab.establish(&phone, &pbx);
        let mut other = b.clone();
        other.local = "<sip:900@pbx.example.com>;tag=other".to_owned();
        let update = other.request(&mut lab, "UPDATE");
        lab.send(pbx.at, update);
        lab.expect(pbx.at, "481");
        lab.nothing_left();
        lab.hang_up(&mut a, &b);
        lab.end();
    }
}

#[test]
fn our_own_bye_bears_the_names_of_the_dialog() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (phone, pbx) = parties(&lab);
        let (a, mut b) = lab.establish(&phone, &pbx);
        renamed(&mut lab, &mut b, &a, "<sip:900@pbx.example.com>");
        lab.input(portreeve::engine::Input::HangUpAll);
        let bye = lab.expect(phone.at, "BYE");
        assert_eq!(bye.tag("From"), param(&b.local, "tag"));
        assert_eq!(bye.header("To"), a.local);
        lab.send(phone.at, answer(&bye, 200, ""));
        let bye = lab.expect(pbx.at, "BYE");
        assert_eq!(bye.tag("To"), param(&b.local, "tag"));
        lab.send(pbx.at, answer(&bye, 200, ""));
        lab.end();
    }
}

#[test]
fn at_our_own_registrar_no_phone_becomes_another_in_a_call() {
    let mut lab = Lab::site();
    let (alice, bob) =
        (lab.local_phone("101", "10.17.0.21:5060"), lab.local_phone("102", "10.17.0.22:5060"));
    let (mut a, b) = lab.establish(&alice, &bob);
    let (got, _) = renamed(&mut lab, &mut a, &b, "\"The Boss\" <sip:103@10.17.0.1>");
    assert_eq!(name(got.header("From")), "\"101\" <sip:101@10.17.0.1>", "put back");
    let (got, _) = renamed(&mut lab, &mut a, &b, "\"Alice\" <sip:101@10.17.0.1>");
    assert_eq!(
        name(got.header("From")),
        "\"Alice\" <sip:101@10.17.0.1>",
        "its own name is its own"
    );
    lab.hang_up(&mut a, &b);
    lab.end();
}

impl Leg {
    /// Its own tag.
    fn tag(&self) -> &str {
        param(&self.local, "tag").expect("a tag")
    }
}
