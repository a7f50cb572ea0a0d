//! Whose a connection is that we open: an upstream's where it is configured, a user's where he is
//! registered; whoever else is called because he said so has proved nothing.

use crate::flows::{gone, register};
use crate::lab::script::answer;
use crate::lab::{Lab, Ua, s, site};
use portreeve::engine::digest::Users;
use portreeve::policy::quota::{Holder, Source};

fn unproved(ip: &str) -> Holder {
    Holder::Unproved(Source::of(ip.parse().expect("an address")))
}

fn opened(lab: &mut Lab) -> Vec<(String, Holder)> {
    lab.opened.drain(..).map(|(at, opens)| (at.to_string(), opens.holder)).collect()
}

#[test]
fn an_answer_that_a_stranger_lets_us_bring_is_his_own_affair() {
    let mut lab = Lab::edge();
    let stranger = Ua::new(lab.inside_tcp("10.17.0.30:50001"), "900");
    let again = lab.inside_tcp("10.17.0.30:50002");
    for (n, method) in ["INVITE", "REGISTER", "OPTIONS"].into_iter().enumerate() {
        let port = 20_000 + n;
        let bad = crate::lab::sdp("127.0.0.1", 4000);
        let request = stranger.request(&mut lab, method, "112");
        let request = if method == "INVITE" { request.sdp(bad) } else { request };
        let via = format!("SIP/2.0/TCP 10.17.0.30:{port};branch=z9hG4bKd{n}");
        let request = request.set("Via", via).with("Expires", "600");
        lab.send(stranger.at, request.clone());
        gone(&mut lab, stranger.at);
        lab.clear();
        opened(&mut lab);
        // What answers it now goes by the Via's port.
        lab.send(again, request);
        let pbx = lab.pbx();
        if let Some(got) = lab.next(pbx) {
            lab.send(pbx, answer(&got, 404, "x"));
        }
        for (at, holder) in opened(&mut lab) {
            assert_eq!((at, holder), (format!("10.17.0.30:{port}"), unproved("10.17.0.30")));
        }
        lab.advance(s(64));
        for (_, holder) in opened(&mut lab) {
            assert_eq!(holder, unproved("10.17.0.30"));
        }
        lab.clear();
    }
}

#[test]
fn a_registered_phone_is_called_as_the_user_it_is() {
    let mut lab = Lab::edge();
    let phone = Ua::new(lab.inside_tcp("10.17.0.21:50001"), "101");
    let contact = "<sip:101@10.17.0.21:5062;transport=tcp>";
    let sealed = register(&mut lab, &phone, contact, 1);
    let pbx = lab.far("200");
    let invite = phone.request(&mut lab, "INVITE", "200").sdp(phone.sdp(4000));
    let invite = invite.set("Via", "SIP/2.0/TCP 10.17.0.21:7777;branch=z9hG4bKo");
    lab.send(phone.at, invite);
    let rung = lab.expect(pbx.at, "INVITE");
    gone(&mut lab, phone.at);
    lab.clear();
    assert_eq!(opened(&mut lab), [], "there were connections");
    lab.send(pbx.at, answer(&rung, 486, "p"));
    let user = Holder::User(phone.aor().trim_start_matches("sip:").to_owned());
    // Its Via says another port; it is called where it is registered.
    assert_eq!(opened(&mut lab), [("10.17.0.21:5062".to_owned(), user.clone())]);
    let options = pbx.request_to(&mut lab, "OPTIONS", &sealed);
    lab.send(pbx.at, options);
    lab.clear();
    assert_eq!(opened(&mut lab), [("10.17.0.21:5062".to_owned(), user)]);
}

#[test]
fn an_outside_party_s_contact_makes_nobody_an_upstream() {
    for (at, holder) in [
        ("203.0.113.20:5070", unproved("203.0.113.20")),
        ("203.0.113.10:6000", unproved("203.0.113.10")),
        ("203.0.113.10:5060", Holder::Upstream),
    ] {
        let mut lab = Lab::edge();
        let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
        let mut a = lab.call(&phone, "200", 4000);
        let got = lab.expect(pbx.at, "INVITE");
        let contact = format!("<sip:200@{at};transport=tcp>");
        let ok = pbx.answer(&got, 200, "t").set("Contact", contact).sdp(pbx.sdp(6000));
        lab.send(pbx.at, ok);
        lab.expect(phone.at, "100");
        a.learn(&lab.expect(phone.at, "200"));
        let ack = a.ack(&mut lab);
        lab.send(a.ua.at, ack);
        assert_eq!(opened(&mut lab), [(at.to_owned(), holder)]);
        lab.clear();
    }
}

#[test]
fn an_upstream_is_called_as_an_upstream() {
    let text = site::EDGE.replace(
        "address = \"203.0.113.10:5060\"",
        "address = \"203.0.113.10:5060\"\ntransport = \"tcp\"",
    );
    let mut lab = Lab::with(site::parse(&text), Users::None);
    let phone = lab.phone("101", "10.17.0.21:5060");
    let options = phone.request(&mut lab, "OPTIONS", "200");
    lab.send(phone.at, options);
    assert_eq!(opened(&mut lab), [(site::PBX.to_owned(), Holder::Upstream)]);
}
