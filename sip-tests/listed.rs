//! Bindings as a registrar lists them (RFC 3261 §10.3 step 8): every sealed Contact is the phone's
//! own again, and a 2xx that lists none still grants what was asked for.

use crate::lab::script::{Text, answer};
use crate::lab::{Lab, Msg, Ua, s};

const FOREIGN: &str = "<sip:101@198.51.100.7:5060>;expires=77";

fn desk(lab: &Lab) -> Ua {
    lab.phone("101", "10.17.0.21:5060")
}

fn soft(lab: &Lab) -> Ua {
    lab.phone("101", "10.17.0.22:5062")
}

fn register(lab: &mut Lab, phone: &Ua) -> Text {
    phone.request_to(lab, "REGISTER", "sip:pbx.example.com").set("To", "<sip:101@pbx.example.com>")
}

/// Sends a REGISTER and answers it with these rows: as the PBX got it, as the phone got the answer.
#[track_caller]
fn exchange(lab: &mut Lab, phone: &Ua, request: Text, rows: &[(&str, String)]) -> (Msg, Msg) {
    lab.send(phone.at, request);
    let pbx = lab.pbx();
    let got = lab.expect(pbx, "REGISTER");
    let mut ok = answer(&got, 200, "r");
    for (name, value) in rows {
        ok = ok.with(name, value.as_str());
    }
    lab.send(pbx, ok);
    (got, lab.expect(phone.at, "200"))
}

#[test]
fn a_fetch_shows_every_phone_as_it_registered() {
    let mut lab = Lab::edge();
    let (desk, soft) = (desk(&lab), soft(&lab));
    let (one, two) = (lab.register(&desk, 600), lab.register(&soft, 600));
    let before = lab.stored.clone();
    let fetch = register(&mut lab, &desk).without("Contact");
    let rows = [
        ("Contact", format!("<{one}>;expires=590;q=0.5, \"S\" <{two}>;expires=580")),
        ("Contact", FOREIGN.to_owned()),
    ];
    let (got, ok) = exchange(&mut lab, &desk, fetch, &rows);
    assert!(!got.has("Contact"), "{got}");
    assert_eq!(
        ok.list("Contact"),
        [
            "<sip:101@10.17.0.21:5060>;expires=590;q=0.5",
            "\"S\" <sip:101@10.17.0.22:5062>;expires=580",
            FOREIGN
        ]
    );
    assert_eq!(lab.stored.len(), before.len(), "asking binds nothing and ends nothing");
    assert_eq!(lab.stats().now.registrations, 2);
    lab.end();
}

#[test]
fn a_fetch_of_nothing_shows_nothing() {
    let mut lab = Lab::edge();
    let desk = desk(&lab);
    let fetch = register(&mut lab, &desk).without("Contact");
    let (_, ok) = exchange(&mut lab, &desk, fetch, &[]);
    assert!(!ok.has("Contact"), "{ok}");
    assert_eq!((lab.stored.len(), lab.stats().now.registrations), (0, 0));
    lab.end();
}

#[test]
fn a_token_that_stands_for_nobody_any_more_is_not_shown() {
    let mut lab = Lab::edge();
    let (desk, soft) = (desk(&lab), soft(&lab));
    let gone = lab.register(&soft, 60);
    lab.advance(s(61));
    let one = lab.register(&desk, 600);
    let fetch = register(&mut lab, &desk).without("Contact");
    let rows = [("Contact", format!("<{gone}>;expires=1, <{one}>;expires=600"))];
    let (_, ok) = exchange(&mut lab, &desk, fetch, &rows);
    assert_eq!(ok.list("Contact"), ["<sip:101@10.17.0.21:5060>;expires=600"]);
    lab.end();
}

#[test]
fn a_refresh_lists_the_other_devices_too() {
    let mut lab = Lab::edge();
    let (desk, soft) = (desk(&lab), soft(&lab));
    let (one, two) = (lab.register(&desk, 600), lab.register(&soft, 600));
    let refresh = register(&mut lab, &desk).with("Expires", "600");
    let rows = [("Contact", format!("<{two}>;expires=500, {FOREIGN}, <{one}>;expires=300"))];
    let (_, ok) = exchange(&mut lab, &desk, refresh, &rows);
    assert_eq!(
        ok.list("Contact"),
        ["<sip:101@10.17.0.22:5062>;expires=500", FOREIGN, "<sip:101@10.17.0.21:5060>;expires=300"]
    );
    lab.advance(s(301));
    assert_eq!(lab.stats().now.registrations, 1, "what was granted to each counts");
    lab.end();
}

#[test]
fn a_200_without_a_contact_grants_what_its_expires_says_or_what_was_asked() {
    let cases = [(Some("120"), Some("600"), 120), (None, Some("600"), 600), (None, None, 3600)];
    for (said, asked, granted) in cases {
        let mut lab = Lab::edge();
        let desk = desk(&lab);
        let mut request = register(&mut lab, &desk);
        if let Some(asked) = asked {
            request = request.with("Expires", asked);
        }
        let rows: Vec<(&str, String)> =
            said.map(|n: &str| ("Expires", n.to_owned())).into_iter().collect();
        let (_, ok) = exchange(&mut lab, &desk, request, &rows);
        assert_eq!(
            ok.list("Contact"),
            [format!("<sip:101@10.17.0.21:5060>;expires={granted}")],
            "{said:?} {asked:?}"
        );
        assert_eq!(lab.stats().now.registrations, 1, "{said:?} {asked:?}");
        lab.advance(s(granted - 1));
        assert_eq!(lab.stats().now.registrations, 1);
        lab.advance(s(3));
        assert_eq!((lab.stats().now.registrations, lab.stored.len()), (0, 0));
        lab.end();
    }
}

#[test]
fn a_refresh_that_is_answered_without_a_contact_ends_nothing() {
    let mut lab = Lab::edge();
    let desk = desk(&lab);
    lab.register(&desk, 600);
    lab.advance(s(300));
    let request = register(&mut lab, &desk).with("Expires", "600");
    exchange(&mut lab, &desk, request, &[]);
    lab.advance(s(400));
    assert_eq!((lab.stats().now.registrations, lab.stored.len()), (1, 1));
    let request = register(&mut lab, &desk).with("Expires", "0");
    let (_, ok) = exchange(&mut lab, &desk, request, &[]);
    assert!(!ok.has("Contact"), "{ok}");
    assert_eq!((lab.stats().now.registrations, lab.stored.len()), (0, 0));
    lab.end();
}

#[test]
fn several_contacts_are_each_granted_what_the_registrar_says() {
    let mut lab = Lab::edge();
    let desk = desk(&lab);
    let request = register(&mut lab, &desk)
        .set("Contact", "<sip:101@10.17.0.21:5060>;expires=500, <sip:101@10.17.0.21:5070>")
        .with("Expires", "700");
    lab.send(desk.at, request);
    let pbx = lab.pbx();
    let got = lab.expect(pbx, "REGISTER");
    let sealed: Vec<String> = got.list("Contact");
    assert_eq!(sealed.len(), 2);
    let uri = |i: usize| sealed[i].split(['<', '>']).nth(1).unwrap_or_default().to_owned();
    let ok = answer(&got, 200, "r")
        .with("Contact", format!("<{}>;expires=400", uri(1)))
        .with("Contact", format!("<{}>;expires=200", uri(0)));
    lab.send(pbx, ok);
    let ok = lab.expect(desk.at, "200");
    assert_eq!(
        ok.list("Contact"),
        ["<sip:101@10.17.0.21:5070>;expires=400", "<sip:101@10.17.0.21:5060>;expires=200"]
    );
    assert_eq!(lab.stats().now.registrations, 2);
    lab.advance(s(201));
    assert_eq!(lab.stats().now.registrations, 1);
    lab.end();
}

#[test]
fn a_list_without_the_phones_own_contact_means_that_it_is_not_bound() {
    let mut lab = Lab::edge();
    let (desk, soft) = (desk(&lab), soft(&lab));
    let two = lab.register(&soft, 600);
    let request = register(&mut lab, &desk).with("Expires", "600");
    let rows = [("Contact", format!("<{two}>;expires=500"))];
    let (_, ok) = exchange(&mut lab, &desk, request, &rows);
    assert_eq!(ok.list("Contact"), ["<sip:101@10.17.0.22:5062>;expires=500"]);
    assert_eq!(lab.stats().now.registrations, 1);
    lab.end();
}

#[test]
fn a_star_ends_all_and_lists_what_is_left() {
    let mut lab = Lab::edge();
    let (desk, soft) = (desk(&lab), soft(&lab));
    lab.register(&desk, 600);
    lab.register(&soft, 600);
    let star = register(&mut lab, &desk).set("Contact", "*").with("Expires", "0");
    let (got, ok) = exchange(&mut lab, &desk, star, &[("Contact", FOREIGN.to_owned())]);
    assert_eq!(got.header("Contact"), "*");
    assert_eq!(ok.list("Contact"), [FOREIGN]);
    assert_eq!((lab.stats().now.registrations, lab.stored.len()), (0, 0));
    lab.end();
}

#[test]
fn a_star_that_is_no_removal_is_400() {
    for (contact, expires) in [("*", "600"), ("*, <sip:101@10.17.0.21:5060>", "0")] {
        let mut lab = Lab::edge();
        let desk = desk(&lab);
        lab.register(&desk, 600);
        let request = register(&mut lab, &desk).set("Contact", contact).with("Expires", expires);
        lab.send(desk.at, request);
        lab.expect(desk.at, "400");
        lab.nothing_left();
        assert_eq!(lab.stats().now.registrations, 1, "nothing is ended");
        lab.end();
    }
}
