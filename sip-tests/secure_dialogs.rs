//! A call that goes by TLS alone stays there (RFC 5630): one by `sips:`, and any with an upstream
//! of which every target is TLS. A connection that is lost, a Contact or a route that names another
//! transport, a phone that registers anew by UDP: nothing of the call leaves in clear.

use crate::lab::script::answer;
use crate::lab::{Lab, Leg, Msg, Party, Ua, s, site};
use crate::tls_calls::{INSIDE_TLS, OUTSIDE_TLS, config};
use portreeve::engine::digest::Users;
use portreeve::engine::{Input, Level};
use portreeve::ground::{ConnId, Flow, Transport, UpstreamId};

const TLS: &str = "address = \"sips:203.0.113.10\"";
const MIXED: &str = "targets = [\"203.0.113.11\", \"sips:203.0.113.10\"]";
const PLACE: &str = "203.0.113.10:5061";
/// The provider's Contacts and routes that would lead away from TLS, or to another port of it.
const CLEAR: [&str; 5] = [
    "sip:200@203.0.113.20:5060;transport=udp",
    "sip:200@203.0.113.10:5060;transport=udp",
    "sip:200@203.0.113.20;transport=tcp",
    "sip:200@203.0.113.10:5060",
    "sip:200@pbx.example.com;transport=udp",
];

fn lab(pbx: &str) -> Lab {
    Lab::with(site::parse(&config(pbx, "")), Users::None)
}

/// By the connection that we opened to it.
fn pbx(conn: u64) -> Ua {
    let (listener, transport) = (OUTSIDE_TLS, Transport::Tls);
    let peer = PLACE.parse().expect("an address");
    let (conn, upstream) = (Some(ConnId(conn)), Some(UpstreamId::new(0)));
    Ua::new(Party { flow: Flow { listener, transport, peer, conn, upstream } }, "200")
}

fn phone(lab: &mut Lab) -> Ua {
    Ua::new(lab.tls(INSIDE_TLS, "10.17.0.21:50001"), "101")
}

fn gone(lab: &mut Lab, ua: &Ua) {
    lab.input(Input::ConnectionClosed(ua.at.flow.conn.expect("it has one")));
}

/// What asks for media.
fn described(request: crate::lab::script::Text, ua: &Ua) -> crate::lab::script::Text {
    let offers = ["INVITE", "UPDATE"].iter().any(|m| request.start.starts_with(m));
    if offers { request.sdp(ua.sdp(4000)) } else { request }
}

/// An answered call to this URI; the PBX writes these of itself.
fn answered(lab: &mut Lab, phone: &Ua, uri: &str, contact: &str, route: &str) -> (Leg, Leg) {
    let pbx = pbx(500);
    let sips = if uri.starts_with("sips:") { "sips:" } else { "sip:" };
    let own = phone.contact().replace("sip:", sips);
    let invite = phone.request_to(lab, "INVITE", uri).set("Contact", own);
    let invite = invite.sdp(phone.sdp(4000));
    lab.send(phone.at, invite.clone());
    let mut a = Leg::calling(phone, &invite);
    lab.expect(phone.at, "100");
    let got = lab.expect_at(pbx.at, "INVITE");
    assert_eq!(got.flow.transport, Transport::Tls);
    let b = Leg::called(&pbx, &got, "t");
    let mut ok = pbx.answer(&got, 200, "t").set("Contact", contact);
    if !route.is_empty() {
        ok.rows.insert(0, ("Record-Route".to_owned(), route.to_owned()));
    }
    lab.send(pbx.at, ok.sdp(pbx.sdp(6000)));
    a.learn(&lab.expect(phone.at, "200"));
    let ack = a.ack(lab);
    lab.send(phone.at, ack);
    lab.expect(pbx.at, "ACK");
    (a, b)
}

/// The one request that left, by a new connection to the upstream's place that proves itself.
#[track_caller]
fn by_tls(lab: &mut Lab, method: &str, what: &str) -> Msg {
    let mut all = lab.take_all();
    all.retain(|m| m.is_request());
    let [got] = all.as_slice() else { panic!("{what}: {method}\n{}", lab.situation()) };
    assert_eq!(got.method(), method, "{what}");
    assert_eq!(got.flow.transport, Transport::Tls, "{what}: {got}");
    assert_eq!(got.flow.upstream, Some(UpstreamId::new(0)), "{what}: it has to prove itself");
    assert_eq!(got.flow.peer.to_string(), PLACE, "{what}");
    got.clone()
}

#[test]
fn what_the_other_party_says_of_itself_leads_no_secure_call_out_of_tls() {
    for (upstream, uri) in [
        (TLS, "sips:200@pbx.example.com"),
        (TLS, "sip:200@pbx.example.com"),
        (MIXED, "sips:200@pbx.example.com"),
    ] {
        for clear in CLEAR {
            for route in [String::new(), format!("<{clear};lr>")] {
                let mut lab = lab(upstream);
                let phone = phone(&mut lab);
                let what = format!("{upstream} {uri} {clear} {route}");
                let contact = format!("<{clear}>");
                let (mut a, _) = answered(&mut lab, &phone, uri, &contact, &route);
                for (n, method) in ["INFO", "INVITE", "UPDATE", "REFER"].into_iter().enumerate() {
                    let conn = 500 + n as u64;
                    lab.input(Input::ConnectionClosed(ConnId(conn)));
                    let mut text = described(a.request(&mut lab, method), &phone);
                    if method == "REFER" {
                        text = text.with("Refer-To", "<sips:300@pbx.example.com>");
                    }
                    lab.send(phone.at, text);
                    let got = by_tls(&mut lab, method, &what);
                    if method == "REFER" {
                        let to = got.header("Refer-To");
                        assert!(to.starts_with("<sips:300@"), "no less secure: {got}");
                    }
                    let at = pbx(conn + 1);
                    let ok = at.answer(&got, 200, "").set("Contact", contact.as_str());
                    let body = if got.body.is_empty() { String::new() } else { at.sdp(6000) };
                    lab.send(at.at, ok.sdp(body));
                    if method == "INVITE" {
                        lab.take_all();
                        let ack = a.ack(&mut lab);
                        lab.send(phone.at, ack);
                        assert_eq!(lab.expect_at(at.at, "ACK").flow.transport, Transport::Tls);
                    }
                    lab.clear();
                }
                lab.input(Input::ConnectionClosed(ConnId(504)));
                let bye = a.request(&mut lab, "BYE");
                lab.send(phone.at, bye);
                let got = by_tls(&mut lab, "BYE", &what);
                lab.send(pbx(505).at, answer(&got, 200, ""));
                lab.expect(phone.at, "200");
                lab.end();
            }
        }
    }
}

#[test]
fn what_we_say_ourselves_goes_by_tls_too_and_after_a_restart() {
    for (restart, uri) in [(false, "sips:200@pbx.example.com"), (true, "sip:200@pbx.example.com")] {
        for clear in CLEAR {
            let mut lab = lab(TLS);
            lab.input(Input::KeepCalls(true));
            let phone = phone(&mut lab);
            answered(&mut lab, &phone, uri, &format!("<{clear}>"), "");
            lab.input(Input::ConnectionClosed(ConnId(500)));
            if restart {
                lab.restart();
            }
            lab.input(Input::HangUpAll);
            lab.take(phone.at);
            let got = by_tls(&mut lab, "BYE", clear);
            lab.send(pbx(501).at, answer(&got, 200, ""));
            lab.clear();
            lab.advance(s(40));
            lab.clear();
            lab.end();
        }
    }
}

#[test]
fn an_acknowledgement_by_a_lost_connection_stays_by_tls() {
    let mut lab = lab(TLS);
    let phone = phone(&mut lab);
    let invite = phone.request_to(&mut lab, "INVITE", "sip:200@pbx.example.com");
    let invite = invite.sdp(phone.sdp(4000));
    lab.send(phone.at, invite.clone());
    let mut a = Leg::calling(&phone, &invite);
    let got = lab.expect_at(pbx(500).at, "INVITE");
    let ok = pbx(500).answer(&got, 200, "t").set("Contact", format!("<{}>", CLEAR[0]));
    lab.send(pbx(500).at, ok.sdp(pbx(500).sdp(6000)));
    lab.expect(phone.at, "100");
    a.learn(&lab.expect(phone.at, "200"));
    lab.input(Input::ConnectionClosed(ConnId(500)));
    let ack = a.ack(&mut lab);
    lab.send(phone.at, ack);
    by_tls(&mut lab, "ACK", "the ACK");
    lab.end();
}

#[test]
fn a_request_under_way_is_asked_again_at_the_place_that_proves_itself() {
    let mut lab = lab(TLS);
    let phone = phone(&mut lab);
    let contact = format!("<{}>", CLEAR[1]);
    let (mut a, _) = answered(&mut lab, &phone, "sips:200@pbx.example.com", &contact, "");
    let info = a.request(&mut lab, "INFO");
    lab.send(phone.at, info);
    lab.expect(pbx(500).at, "INFO");
    lab.input(Input::ConnectionClosed(ConnId(500)));
    let got = by_tls(&mut lab, "INFO", "the same once more");
    lab.send(pbx(501).at, answer(&got, 200, ""));
    lab.expect(phone.at, "200");
    lab.end();
}

#[test]
fn a_long_request_by_tls_has_no_other_stream_to_fall_back_on() {
    let mixed = "targets = [\"sips:203.0.113.10\", \"sip:203.0.113.10;transport=tcp\"]";
    let text = config(mixed, "").replace(
        "\"tls:5061\"]\ntls = \"self-signed\"\nkeep",
        "\"tls:5061\", \"tcp:5060\"]\ntls = \"self-signed\"\nkeep",
    );
    let mut lab = Lab::with(site::parse(&text), Users::None);
    let phone = phone(&mut lab);
    let own = "<sips:200@203.0.113.10>";
    let (mut a, _) = answered(&mut lab, &phone, "sips:200@pbx.example.com", own, "");
    let info = a.request(&mut lab, "INFO").typed("text/plain", "x".repeat(1_500));
    lab.send(phone.at, info);
    let got = lab.expect(pbx(500).at, "INFO");
    lab.input(Input::TransportFailed(got.flow));
    lab.input(Input::TransportFailed(Flow { conn: None, ..got.flow }));
    let clear: Vec<Msg> =
        lab.take_all().into_iter().filter(|m| !m.flow.transport.is_secure()).collect();
    assert!(clear.is_empty(), "{}", clear[0]);
    lab.clear();
    lab.advance(s(40));
    lab.clear();
    lab.end();
}

/// Registers a phone by this Contact; what the PBX calls it by.
fn registered(lab: &mut Lab, phone: &Ua, contact: &str, cseq: u32) -> String {
    let register = phone
        .request_to(lab, "REGISTER", "sip:pbx.example.com")
        .set("To", format!("<{}>", phone.aor()))
        .set("Call-ID", format!("reg-{}", phone.user))
        .set("CSeq", format!("{cseq} REGISTER"))
        .set("Contact", contact)
        .with("Expires", "600");
    lab.send(phone.at, register);
    let got = lab.expect_at(pbx(500).at, "REGISTER");
    let sealed = got.contact().to_owned();
    let granted = format!("<{sealed}>;expires=600");
    lab.send(pbx(500).at, answer(&got, 200, "r").with("Contact", granted));
    assert_eq!(lab.next(phone.at).map(|m| m.status()), Some(200));
    sealed
}

/// A call of the PBX by `sips:` that the phone rings for; its INVITE there.
fn rung(lab: &mut Lab, phone: &Ua) -> (Leg, Msg) {
    let sealed = registered(lab, phone, "<sips:101@10.17.0.21:50001>", 1);
    let ua = pbx(500);
    let invite = ua.request_to(lab, "INVITE", &sealed).set("Contact", "<sips:200@203.0.113.10>");
    let invite = invite.sdp(ua.sdp(6000));
    lab.send(ua.at, invite.clone());
    lab.expect(ua.at, "100");
    let got = lab.expect(phone.at, "INVITE");
    (Leg::calling(&ua, &invite), got)
}

/// The phone falls back: the same registration, by UDP.
fn falls_back(lab: &mut Lab, phone: &Ua) -> Ua {
    let plain = lab.phone("101", "10.17.0.21:5060");
    assert_eq!(plain.user, phone.user);
    registered(lab, &plain, "<sip:101@10.17.0.21:5060>", 2);
    plain
}

#[test]
fn a_phone_that_registers_anew_by_udp_is_no_home_for_a_secure_call() {
    for lost in [true, false] {
        let mut lab = lab(TLS);
        let phone = phone(&mut lab);
        let (mut far, got) = rung(&mut lab, &phone);
        lab.send(phone.at, phone.answer(&got, 200, "p").sdp(phone.sdp(4000)));
        far.learn(&lab.expect(far.ua.at, "200"));
        let ack = far.ack(&mut lab);
        lab.send(far.ua.at, ack);
        lab.expect(phone.at, "ACK");
        if lost {
            gone(&mut lab, &phone);
        }
        let plain = falls_back(&mut lab, &phone);
        for method in ["INFO", "INVITE", "UPDATE", "OPTIONS"] {
            let text = described(far.request(&mut lab, method), &far.ua);
            lab.send(far.ua.at, text);
            let left = lab.take(plain.at);
            assert!(left.is_empty(), "in clear: {}", left[0]);
            if lost {
                let no = lab.take(far.ua.at).pop().expect("an answer");
                assert_eq!(no.status(), 480, "{method}: {no}");
                if method == "INVITE" {
                    let ack = far.ack_refusal(&no);
                    lab.send(far.ua.at, ack);
                }
            } else {
                // Its connection is there still, and nothing else is its own.
                let got = lab.take(phone.at).pop().expect("by TLS");
                assert_eq!((got.method(), got.flow.transport), (method, Transport::Tls));
                lab.send(phone.at, answer(&got, 488, ""));
                lab.clear();
            }
        }
        lab.clear();
        if lost {
            let bye = far.request(&mut lab, "BYE");
            lab.send(far.ua.at, bye);
            lab.expect(far.ua.at, "200");
            assert!(lab.take(plain.at).is_empty());
            assert_eq!(lab.ends(), [("answered", 200, "caller")]);
        }
        lab.advance(s(40));
        lab.clear();
        lab.end();
    }
}

#[test]
fn nothing_of_a_secure_call_that_rings_follows_its_phone_to_udp() {
    let mut lab = lab(TLS);
    let phone = phone(&mut lab);
    let (far, got) = rung(&mut lab, &phone);
    lab.send(phone.at, phone.answer(&got, 180, "p"));
    lab.expect(far.ua.at, "180");
    gone(&mut lab, &phone);
    let plain = falls_back(&mut lab, &phone);
    let cancel = far.cancel();
    lab.send(far.ua.at, cancel);
    let left = lab.take(plain.at);
    assert!(left.is_empty(), "in clear: {}", left[0]);
    lab.clear();
    lab.advance(s(40));
    lab.clear();
    lab.end();
}

#[test]
fn an_answer_does_not_follow_its_asker_to_udp() {
    let mut lab = lab(TLS);
    let phone = phone(&mut lab);
    registered(&mut lab, &phone, "<sips:101@10.17.0.21:50001>", 1);
    let invite = phone.request_to(&mut lab, "INVITE", "sips:200@pbx.example.com");
    let invite = invite.set("Contact", "<sips:101@10.17.0.21:50001>").sdp(phone.sdp(4000));
    lab.send(phone.at, invite);
    lab.expect(phone.at, "100");
    let got = lab.expect_at(pbx(500).at, "INVITE");
    gone(&mut lab, &phone);
    let plain = falls_back(&mut lab, &phone);
    let ok = pbx(500).answer(&got, 200, "t").set("Contact", "<sips:200@203.0.113.10>");
    lab.send(pbx(500).at, ok.sdp(pbx(500).sdp(6000)));
    let left = lab.take(plain.at);
    assert!(left.is_empty(), "its session and keys in clear: {}", left[0]);
    lab.clear();
    lab.advance(s(40));
    lab.clear();
    lab.end();
}

#[test]
fn a_secure_subscription_s_notifications_stay_by_tls() {
    let mut lab = lab(TLS);
    let phone = phone(&mut lab);
    registered(&mut lab, &phone, "<sips:101@10.17.0.21:50001>", 1);
    let text = phone.request_to(&mut lab, "SUBSCRIBE", "sips:200@pbx.example.com");
    let text = text.set("Contact", "<sips:101@10.17.0.21:50001>").with("Event", "presence");
    lab.send(phone.at, text.with("Expires", "600"));
    let got = lab.expect_at(pbx(500).at, "SUBSCRIBE");
    let mut far = Leg::called(&pbx(500), &got, "s");
    let ok = pbx(500).answer(&got, 200, "s").set("Contact", "<sips:200@203.0.113.10>");
    lab.send(pbx(500).at, ok.with("Expires", "600"));
    lab.expect(phone.at, "200");
    gone(&mut lab, &phone);
    let plain = falls_back(&mut lab, &phone);
    let notify = far.request(&mut lab, "NOTIFY").with("Event", "presence");
    lab.send(far.ua.at, notify.with("Subscription-State", "active"));
    let no = lab.take(far.ua.at).pop().expect("an answer");
    assert_eq!(no.status(), 480, "{no}");
    assert!(lab.take(plain.at).is_empty());
    lab.clear();
    lab.advance(s(40));
    lab.clear();
    lab.end();
}

#[test]
fn nobody_speaks_in_a_secure_call_by_anything_but_tls() {
    let mut lab = lab(TLS);
    let phone = phone(&mut lab);
    let own = "<sips:200@203.0.113.10>";
    let (mut a, mut b) = answered(&mut lab, &phone, "sips:200@pbx.example.com", own, "");
    for method in ["INFO", "BYE", "INVITE"] {
        // The phone's address, and the upstream's: whoever can write them into a datagram.
        a.ua.at = lab.inside("10.17.0.21:5060");
        b.ua.at = lab.outside("203.0.113.10:5060");
        for leg in [&mut a, &mut b] {
            leg.target = leg.target.replace("sips:", "sip:");
            let text = described(leg.request(&mut lab, method), &leg.ua);
            lab.send(leg.ua.at, text);
            for ua in [&phone, &pbx(500)] {
                let got = lab.take(ua.at);
                assert!(got.is_empty(), "{method}: {}", got[0]);
            }
            lab.clear();
        }
    }
    assert_eq!(lab.ends(), [], "it goes on");
    a.ua.at = phone.at;
    lab.hang_up_by_tls(&mut a, &pbx(500));
    lab.end();
}

impl Lab {
    fn hang_up_by_tls(&mut self, from: &mut Leg, to: &Ua) {
        let bye = from.request(self, "BYE");
        self.send(from.ua.at, bye);
        let got = self.expect(to.at, "BYE");
        self.send(to.at, answer(&got, 200, ""));
        self.expect(from.ua.at, "200");
    }
}

#[test]
fn a_contact_that_is_no_sips_is_told_of() {
    for (contact, told) in
        [("<sip:200@203.0.113.10:5061;transport=tls>", true), ("<sips:200@203.0.113.10>", false)]
    {
        let mut lab = lab(TLS);
        let phone = phone(&mut lab);
        answered(&mut lab, &phone, "sips:200@pbx.example.com", contact, "");
        let said = |(level, text): &(Level, String)| {
            *level == Level::Warn && text.contains("no sips: Contact")
        };
        assert_eq!(lab.notices.iter().filter(|n| said(n)).count(), usize::from(told));
        lab.end();
    }
}

#[test]
fn help_by_sips_through_an_upstream_without_tls_goes_on_as_it_began() {
    let mut lab = lab("address = \"203.0.113.10\"");
    let phone = phone(&mut lab);
    let invite = phone.request_to(&mut lab, "INVITE", "sips:112@pbx.example.com");
    let invite = invite.sdp(phone.sdp(4000));
    lab.send(phone.at, invite.clone());
    lab.expect(phone.at, "100");
    let far = lab.far("112");
    let got = lab.expect(far.at, "INVITE");
    let mut b = Leg::called(&far, &got, "t");
    lab.send(far.at, far.answer(&got, 200, "t").sdp(far.sdp(6000)));
    let mut a = Leg::calling(&phone, &invite);
    a.learn(&lab.expect(phone.at, "200"));
    let ack = a.ack(&mut lab);
    lab.send(phone.at, ack);
    lab.expect(far.at, "ACK");
    for (from, to) in [(&mut a, &far), (&mut b, &phone)] {
        let info = from.request(&mut lab, "INFO");
        lab.send(from.ua.at, info);
        let got = lab.expect(to.at, "INFO");
        lab.send(to.at, answer(&got, 200, ""));
        lab.expect(from.ua.at, "200");
    }
    lab.end();
}

#[test]
fn an_early_dialog_stays_by_tls_too() {
    let mut lab = lab(TLS);
    let phone = phone(&mut lab);
    let invite = phone.request_to(&mut lab, "INVITE", "sips:200@pbx.example.com");
    let invite = invite.set("Contact", "<sips:101@10.17.0.21:50001>").sdp(phone.sdp(4000));
    lab.send(phone.at, invite.with("Supported", "100rel").clone());
    lab.expect(phone.at, "100");
    let got = lab.expect_at(pbx(500).at, "INVITE");
    let rings = pbx(500).answer(&got, 183, "t").set("Contact", format!("<{}>", CLEAR[0]));
    let rings = rings.with("RSeq", "1").with("Require", "100rel").sdp(pbx(500).sdp(6000));
    lab.send(pbx(500).at, rings);
    let early = lab.expect(phone.at, "183");
    let text = phone.request_to(&mut lab, "INVITE", "sips:200@pbx.example.com");
    let mut a = Leg::calling(&phone, &text);
    a.learn(&early);
    (a.call_id, a.local) = (early.call_id().to_owned(), early.header("From").to_owned());
    lab.input(Input::ConnectionClosed(ConnId(500)));
    let prack = a.request(&mut lab, "PRACK").with("RAck", "1 1 INVITE");
    lab.send(phone.at, prack);
    let got = by_tls(&mut lab, "PRACK", "the PRACK");
    lab.send(pbx(501).at, answer(&got, 200, ""));
    lab.expect(phone.at, "200");
    lab.clear();
    lab.advance(s(300));
    lab.clear();
    lab.end();
}

#[test]
fn of_a_users_phones_those_by_tls_ring_for_a_secure_call() {
    let mut lab = lab(TLS);
    let phone = phone(&mut lab);
    registered(&mut lab, &phone, "<sips:101@10.17.0.21:50001>", 1);
    let plain = lab.phone("101", "10.17.0.31:5060");
    let text = plain.request_to(&mut lab, "REGISTER", "sip:pbx.example.com");
    let text = text.set("To", format!("<{}>", plain.aor())).with("Expires", "600");
    lab.send(plain.at, text);
    let got = lab.expect_at(pbx(500).at, "REGISTER");
    let granted = format!("<{}>;expires=600", got.contact());
    lab.send(pbx(500).at, answer(&got, 200, "r").with("Contact", granted));
    lab.clear();
    for (scheme, plain_too) in [("sips", false), ("sip", true)] {
        let ua = pbx(500);
        let text = ua.request_to(&mut lab, "INVITE", &format!("{scheme}:101@203.0.113.1"));
        lab.send(ua.at, text.sdp(ua.sdp(6000)));
        let got = lab.take(phone.at).pop().expect("by TLS");
        assert_eq!(got.flow.transport, Transport::Tls);
        lab.send(phone.at, answer(&got, 486, "p"));
        let other = lab.take(plain.at);
        assert_eq!(!other.is_empty(), plain_too, "{scheme}");
        other.first().into_iter().for_each(|got| lab.send(plain.at, answer(got, 486, "q")));
        lab.clear();
        lab.advance(s(40));
        lab.clear();
    }
    lab.end();
}

#[test]
fn a_secure_call_of_a_site_that_is_alone_is_by_tls_or_is_not() {
    let text = config(TLS, "").replace("auth = \"off\"", "auth = \"network\"");
    let mut lab = Lab::with(site::parse(&text), Users::None);
    let one = phone(&mut lab);
    let other = Ua::new(lab.tls(INSIDE_TLS, "10.17.0.22:50002"), "102");
    let plain = lab.phone("103", "10.17.0.23:5060");
    registered(&mut lab, &one, "<sips:101@10.17.0.21:50001>", 1);
    registered(&mut lab, &other, "<sips:102@10.17.0.22:50002>", 1);
    registered(&mut lab, &plain, "<sip:103@10.17.0.23:5060>", 1);
    let asked = one.request(&mut lab, "OPTIONS", "200");
    lab.send(one.at, asked);
    lab.advance(s(3));
    assert!(lab.upstream("pbx").alone.is_some(), "{}", lab.situation());
    lab.clear();
    let call = |lab: &mut Lab, user: &str| {
        let text = one.request_to(lab, "INVITE", &format!("sips:{user}@pbx.example.com"));
        let text = text.set("Contact", "<sips:101@10.17.0.21:50001>").sdp(one.sdp(4000));
        lab.send(one.at, text.clone());
        Leg::calling(&one, &text)
    };
    call(&mut lab, "103");
    assert_eq!(lab.take(one.at).last().map(Msg::status), Some(480), "no TLS to there");
    assert!(lab.take(plain.at).is_empty());
    lab.clear();
    let mut a = call(&mut lab, "102");
    let rung = lab.expect(other.at, "INVITE");
    lab.send(other.at, other.answer(&rung, 200, "o").sdp(other.sdp(4002)));
    a.learn(&lab.take(one.at).pop().expect("an answer"));
    let ack = a.ack(&mut lab);
    lab.send(one.at, ack);
    lab.expect(other.at, "ACK");
    gone(&mut lab, &other);
    for (method, status) in [("INFO", 480), ("BYE", 200)] {
        let text = a.request(&mut lab, method);
        lab.send(one.at, text);
        assert_eq!(lab.take(one.at).last().map(Msg::status), Some(status), "{method}");
        assert!(lab.take(other.at).is_empty(), "{method}");
    }
    lab.clear();
    lab.advance(s(64));
    lab.clear();
}

#[test]
fn who_came_by_tls_and_is_reached_by_nothing_else_gets_nothing_when_he_is_gone() {
    let mut lab = lab("address = \"203.0.113.10\"");
    let mut phone = phone(&mut lab);
    phone.secure = true;
    let sealed = lab.register(&phone, 600).replacen("sip:", "sips:", 1);
    let mut far = Ua::new(lab.tls(OUTSIDE_TLS, "203.0.113.10:40000"), "200");
    far.secure = true;
    // What he says of himself leads out of TLS.
    let clear = format!("<{}>", CLEAR[1]);
    let invite = far.request_to(&mut lab, "INVITE", &sealed).set("Contact", clear);
    let invite = invite.sdp(far.sdp(6000));
    lab.send(far.at, invite.clone());
    let mut a = Leg::calling(&far, &invite);
    lab.expect(far.at, "100");
    let got = lab.expect_at(phone.at, "INVITE");
    let mut b = Leg::called(&phone, &got, "t");
    lab.send(phone.at, phone.answer(&got, 200, "t").sdp(phone.sdp(4000)));
    a.learn(&lab.expect(far.at, "200"));
    let ack = a.ack(&mut lab);
    lab.send(far.at, ack);
    lab.expect(phone.at, "ACK");
    gone(&mut lab, &far);
    let info = b.request(&mut lab, "INFO");
    lab.send(phone.at, info);
    let no = lab.take(phone.at).pop().expect("an answer at once");
    assert_eq!(no.status(), 480, "{no}");
    assert_eq!(lab.take_all().len(), 0, "nothing leaves");
    lab.clear();
}
