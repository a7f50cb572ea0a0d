//! What others were told of us, and what they are told anew: a route set that nobody can renew, a
//! Contact that stays at a registrar, a name that says our address.

use super::*;
use crate::upstream_names::Dns;

fn register(lab: &mut Lab, phone: &Ua, pbx: &Ua) -> Msg {
    let text = phone.request_to(lab, "REGISTER", "sip:pbx.example.com");
    let text = text.set("To", format!("<{}>", phone.aor())).with("Expires", "600");
    lab.send(phone.at, text);
    lab.expect(pbx.at, "REGISTER")
}

fn grant(lab: &mut Lab, phone: &Ua, pbx: &Ua, asked: &Msg) {
    let granted = format!("<{}>;expires=600", asked.contact());
    lab.send(pbx.at, answer(asked, 200, "r").with("Contact", granted));
    let ok = lab.expect(phone.at, "200");
    assert_eq!(ok.list("Contact").len(), 1, "{ok}");
    assert!(ok.contact().contains("10.17.0.21"), "{ok}");
}

#[test]
fn a_dialog_has_no_route_that_names_an_address_which_may_change() {
    let mut lab = standing();
    let (phone, pbx) = parties(&lab);
    let sealed = lab.register(&phone, 600);
    // Begun inside, and begun outside: the PBX sends to our Contact, before and after.
    for outward in [true, false] {
        let (mut near, mut far) = if outward {
            let call = lab.call(&phone, "200", 4000);
            lab.expect(phone.at, "100");
            let invite = lab.expect(pbx.at, "INVITE");
            assert!(!invite.has("Record-Route") && invite.contact().contains("203.0.113.77"));
            let far = crate::lab::Leg::called(&pbx, &invite, "t1");
            lab.send(pbx.at, pbx.answer(&invite, 200, "t1").sdp(pbx.sdp(6000)));
            let mut near = call;
            let ok = lab.expect(phone.at, "200");
            assert!(ok.has("Record-Route"), "inside we stand still: {ok}");
            near.learn(&ok);
            (near, far)
        } else {
            let call = pbx.request_to(&mut lab, "INVITE", &sealed).sdp(pbx.sdp(6000));
            let mut far = crate::lab::Leg::calling(&pbx, &call);
            lab.send(pbx.at, call);
            let rung = lab.expect(phone.at, "INVITE");
            let near = crate::lab::Leg::called(&phone, &rung, "t2");
            lab.send(phone.at, phone.answer(&rung, 200, "t2").sdp(phone.sdp(4000)));
            lab.expect(pbx.at, "100");
            let ok = lab.expect(pbx.at, "200");
            assert!(!ok.has("Record-Route"), "{ok}");
            far.learn(&ok);
            (near, far)
        };
        let (one, other) = if outward { (&mut near, pbx.at) } else { (&mut far, phone.at) };
        let at = one.ua.at;
        let ack = one.ack(&mut lab);
        lab.send(at, ack);
        lab.expect(other, "ACK");
        let asked = far.request(&mut lab, "INFO");
        assert_eq!(asked.header("Route"), "");
        lab.send(pbx.at, asked);
        let got = lab.expect(phone.at, "INFO");
        lab.send(phone.at, answer(&got, 200, ""));
        lab.expect(pbx.at, "200");
        let asked = near.request(&mut lab, "INFO");
        lab.send(phone.at, asked);
        let got = lab.expect(pbx.at, "INFO");
        assert!(!got.has("Record-Route"), "{got}");
        lab.send(pbx.at, answer(&got, 200, ""));
        lab.expect(phone.at, "200");
        move_to(&mut lab, if outward { NEW } else { OLD });
        // The phone describes the call anew, and the PBX hangs up where that said.
        let offer = near.request(&mut lab, "INVITE").sdp(phone.sdp(4000));
        lab.send(phone.at, offer);
        let offered = lab.expect(pbx.at, "INVITE");
        lab.expect(phone.at, "100");
        lab.send(pbx.at, pbx.answer(&offered, 200, "").sdp(pbx.sdp(6000)));
        let ok = lab.expect(phone.at, "200");
        near.learn(&ok);
        let ack = near.ack(&mut lab);
        lab.send(phone.at, ack);
        lab.expect(pbx.at, "ACK");
        far.target = offered.contact().to_owned();
        let bye = far.request(&mut lab, "BYE");
        assert_eq!(bye.header("Route"), "");
        assert!(bye.start.contains(if outward { NEW } else { OLD }), "{}", bye.start);
        lab.send(pbx.at, bye);
        let got = lab.expect(phone.at, "BYE");
        lab.send(phone.at, answer(&got, 200, ""));
        lab.expect(pbx.at, "200");
        lab.clear();
    }
    lab.end();
}

#[test]
fn what_is_told_for_good_stands_in_a_route_still() {
    for line in ["advertise = \"198.51.100.44\"", "advertise_name = \"sbc.example.com\""] {
        let text = format!("device = \"wan0\"\n{line}");
        let text = site::EDGE.replace("address = \"203.0.113.1\"", &text);
        let mut lab = Lab::with(site::parse(&text), Users::None);
        stand(&mut lab, OLD);
        lab.clear();
        let (phone, pbx) = parties(&lab);
        lab.call(&phone, "200", 4000);
        assert!(lab.expect(pbx.at, "INVITE").has("Record-Route"), "{line}");
        lab.clear();
    }
}

#[test]
fn the_contact_of_before_is_taken_back_with_the_first_register_after_a_change() {
    let mut lab = standing();
    let (phone, pbx) = parties(&lab);
    let asked = register(&mut lab, &phone, &pbx);
    assert_eq!(asked.list("Contact").len(), 1);
    let old = asked.contact().to_owned();
    grant(&mut lab, &phone, &pbx, &asked);
    // The line is away meanwhile, and the phone registers here.
    move_to(&mut lab, "");
    lab.advance(s(5));
    let text = phone.request_to(&mut lab, "REGISTER", "sip:pbx.example.com");
    lab.send(phone.at, text.set("To", format!("<{}>", phone.aor())).with("Expires", "600"));
    lab.take(phone.at);
    move_to(&mut lab, NEW);
    for _ in 0..60 {
        for probe in lab.take(pbx.at) {
            lab.send(pbx.at, answer(&probe, 200, "o"));
        }
        lab.advance(s(1));
    }
    lab.clear();
    // Asked for a password first, as PBXs do.
    for challenged in [true, false] {
        let asked = register(&mut lab, &phone, &pbx);
        let all = asked.list("Contact");
        assert_eq!(all.len(), 2, "{asked}");
        assert!(
            all[0].contains(NEW) && !all[0].contains("expires=0"),
            "the new one first: {asked}"
        );
        assert_eq!(all[1], format!("<{old}>;expires=0"), "{asked}");
        if challenged {
            let challenge = "Digest realm=\"pbx\", nonce=\"n\"";
            lab.send(pbx.at, answer(&asked, 401, "r").with("WWW-Authenticate", challenge));
            lab.expect(phone.at, "401");
        } else {
            grant(&mut lab, &phone, &pbx, &asked);
        }
    }
    let asked = register(&mut lab, &phone, &pbx);
    assert_eq!(asked.list("Contact").len(), 1, "it is gone there: {asked}");
    grant(&mut lab, &phone, &pbx, &asked);
    // Back at an address that it was told lately, and that is ours: nothing is taken back then.
    move_to(&mut lab, OLD);
    move_to(&mut lab, NEW);
    let asked = register(&mut lab, &phone, &pbx);
    assert_eq!(asked.list("Contact").len(), 1, "{asked}");
    grant(&mut lab, &phone, &pbx, &asked);
    // A registrar that does not take it so gets the new one alone next.
    move_to(&mut lab, OLD);
    let asked = register(&mut lab, &phone, &pbx);
    assert_eq!(asked.list("Contact").len(), 2, "{asked}");
    lab.send(pbx.at, answer(&asked, 403, "r"));
    lab.expect(phone.at, "403");
    let asked = register(&mut lab, &phone, &pbx);
    assert_eq!(asked.list("Contact").len(), 1, "{asked}");
    lab.clear();
}

#[test]
fn a_name_that_says_our_address_keeps_nobody_away_from_it() {
    let beta = "[[upstream]]\nname = \"beta\"\naddress = \"beta.example.net\"\ntrust = false\n\
                interface = \"wan\"\nprobe = \"0s\"\nnumbers = [\"9\"]\n";
    let mut lab = away(beta);
    let mut dns = Dns { ttl: 10, ..Dns::default() };
    dns.records.insert(
        portreeve::engine::names::Question::Hosts("beta.example.net".to_owned()),
        [OLD, "203.0.113.66"]
            .map(|ip| portreeve::engine::names::Record::Address(ip.parse().unwrap()))
            .to_vec(),
    );
    dns.answer(&mut lab);
    // It is named before we ever stood there, and after.
    for _ in 0..3 {
        stand(&mut lab, OLD);
        dns.answer(&mut lab);
        assert_eq!(at(&lab), [OLD], "{}", lab.situation());
        let own = "203.0.113.77:5060 is the gateway's own address";
        assert!(lab.notices.iter().any(|(_, t)| t.contains(own)), "{}", lab.situation());
        let places = &lab.upstream("beta").targets;
        assert!(places.iter().all(|t| !t.address.to_string().contains(OLD)), "{places:?}");
        lab.advance(s(30));
        dns.answer(&mut lab);
        stand(&mut lab, "");
        for _ in 0..30 {
            lab.advance(s(1));
            dns.answer(&mut lab);
        }
        lab.clear();
    }
    // A name that says nothing else has nobody.
    dns.host("beta", &[OLD]);
    lab.advance(s(30));
    dns.answer(&mut lab);
    stand(&mut lab, OLD);
    dns.answer(&mut lab);
    assert_eq!(at(&lab), [OLD]);
    lab.clear();
    lab.end();
}
