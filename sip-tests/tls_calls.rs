//! Calls by TLS: what each side sees of us, by which connection each request goes, what `sips:` asks
//! for (RFC 5630), and phones that nobody can call back.

use crate::lab::script::answer;
use crate::lab::{Lab, Leg, Msg, Party, Ua, s, site};
use portreeve::engine::Input;
use portreeve::engine::digest::Users;
use portreeve::ground::{ConnId, Flow, ListenerId, Transport, UpstreamId};

pub(crate) const INSIDE_TLS: ListenerId = ListenerId(2);
pub(crate) const OUTSIDE_TLS: ListenerId = ListenerId(4);
const PBX: &str = "203.0.113.10:5061";

/// TLS on both sides; the PBX is there.
pub(crate) fn config(pbx: &str, more: &str) -> String {
    let text = site::EDGE
        .replace("\"tcp:5060\"]\nnetworks", "\"tls:5061\"]\ntls = \"self-signed\"\nnetworks")
        .replace("\"tcp:5060\"]\nkeep", "\"tls:5061\"]\ntls = \"self-signed\"\nkeep")
        .replace("address = \"203.0.113.10:5060\"", pbx);
    format!("{text}{more}")
}

fn lab() -> Lab {
    Lab::with(site::parse(&config("address = \"sips:203.0.113.10\"", "")), Users::None)
}

/// By the connection that we open to it.
fn pbx() -> Ua {
    let (listener, transport) = (OUTSIDE_TLS, Transport::Tls);
    let (peer, conn) = (PBX.parse().expect("an address"), Some(ConnId(500)));
    let upstream = Some(UpstreamId::new(0));
    Ua::new(Party { flow: Flow { listener, transport, peer, conn, upstream } }, "200")
}

/// A call out: what the PBX gets, and the phone; the legs.
fn called(lab: &mut Lab, phone: &Ua, uri: &str) -> (Leg, Leg, Msg, Msg) {
    let pbx = pbx();
    let sips = uri.starts_with("sips:");
    let own = |ua: &Ua| match sips {
        true => ua.contact().replace("sip:", "sips:").replace(";transport=tls", ""),
        false => ua.contact(),
    };
    let invite = phone.request_to(lab, "INVITE", uri).set("Contact", own(phone));
    let invite = invite.sdp(phone.sdp(4000));
    lab.send(phone.at, invite.clone());
    let mut a = Leg::calling(phone, &invite);
    lab.expect(phone.at, "100");
    let got = lab.next(pbx.at).expect("the call");
    assert_eq!(got.method(), "INVITE");
    let b = Leg::called(&pbx, &got, "t");
    lab.send(pbx.at, pbx.answer(&got, 200, "t").set("Contact", own(&pbx)).sdp(pbx.sdp(6000)));
    let ok = lab.expect(phone.at, "200");
    a.learn(&ok);
    let ack = a.ack(lab);
    lab.send(phone.at, ack);
    assert_eq!(lab.expect(pbx.at, "ACK").flow.transport, Transport::Tls);
    (a, b, got, ok)
}

/// Requests of both parties reach the other by the sockets that they speak to.
fn talk(lab: &mut Lab, a: &mut Leg, b: &mut Leg) {
    for n in 0..4 {
        let (from, to) = if n % 2 == 0 { (&mut *a, &*b) } else { (&mut *b, &*a) };
        let info = from.request(lab, "INFO");
        lab.send(from.ua.at, info);
        let got = lab.expect(to.ua.at, "INFO");
        assert_eq!(got.flow.transport, to.ua.at.flow.transport);
        lab.send(to.ua.at, answer(&got, 200, ""));
        lab.expect(from.ua.at, "200");
    }
}

#[test]
fn each_side_is_told_the_transport_that_it_speaks() {
    for tls in [false, true] {
        let mut lab = lab();
        let at = "10.17.0.21:50001";
        let at = if tls { lab.tls(INSIDE_TLS, at) } else { lab.inside(at) };
        let phone = Ua::new(at, "101");
        let (mut a, mut b, got, ok) = called(&mut lab, &phone, "sip:200@pbx.example.com");
        assert!(got.header("Via").starts_with("SIP/2.0/TLS 203.0.113.1:5061;"), "{got}");
        assert!(got.contact().ends_with("@203.0.113.1:5061;transport=tls"), "{got}");
        let route = &got.list("Record-Route")[0];
        assert!(route.ends_with("@203.0.113.1:5061;transport=tls;lr>"), "{route}");
        assert_eq!(got.uri(), "sip:200@pbx.example.com");
        let near = if tls { "@10.17.0.1:5061;transport=tls;lr>" } else { "@10.17.0.1:5060;lr>" };
        assert!(ok.list("Record-Route")[0].ends_with(near), "{ok}");
        talk(&mut lab, &mut a, &mut b);
        let bye = b.request(&mut lab, "BYE");
        lab.send(b.ua.at, bye);
        let got = lab.expect(phone.at, "BYE");
        lab.send(phone.at, answer(&got, 200, ""));
        lab.expect(b.ua.at, "200");
        lab.end();
    }
}

#[test]
fn a_sips_call_is_sips_on_every_hop() {
    let mut lab = lab();
    let phone = Ua::new(lab.tls(INSIDE_TLS, "10.17.0.21:50001"), "101");
    let (mut a, mut b, got, ok) = called(&mut lab, &phone, "sips:200@pbx.example.com");
    assert_eq!(got.uri(), "sips:200@pbx.example.com");
    assert!(got.contact().starts_with("sips:"), "{got}");
    assert!(got.contact().ends_with("@203.0.113.1:5061"), "{got}");
    assert!(got.list("Record-Route")[0].starts_with("<sips:"), "{got}");
    assert!(ok.contact().starts_with("sips:"), "{ok}");
    let route = &ok.list("Record-Route")[0];
    assert!(route.starts_with("<sips:") && route.ends_with("@10.17.0.1:5061;lr>"), "{route}");
    talk(&mut lab, &mut a, &mut b);
    let bye = a.request(&mut lab, "BYE");
    lab.send(phone.at, bye);
    let got = lab.expect(b.ua.at, "BYE");
    assert!(got.uri().starts_with("sips:200@"), "{got}");
    lab.send(b.ua.at, answer(&got, 200, ""));
    lab.expect(phone.at, "200");
    lab.end();
}

#[test]
fn a_sips_request_goes_no_further_than_tls_does() {
    let mut lab = Lab::with(site::parse(&config("address = \"203.0.113.10\"", "")), Users::None);
    let phone = Ua::new(lab.tls(INSIDE_TLS, "10.17.0.21:50001"), "101");
    for method in ["INVITE", "MESSAGE", "SUBSCRIBE", "REGISTER", "OPTIONS"] {
        let text = phone.request_to(&mut lab, method, "sips:200@pbx.example.com");
        lab.send(phone.at, text.with("Event", "x"));
        let no = lab.take(phone.at).pop().expect("an answer");
        assert_eq!(no.status(), 480, "{method}: {no}");
        assert!(no.header("Warning").starts_with("380 "), "{no}");
        lab.nothing_left();
    }
    // Asked for by what is no TLS itself.
    let plain = lab.phone("102", "10.17.0.22:5060");
    let text = plain.request_to(&mut lab, "INVITE", "sips:200@pbx.example.com");
    lab.send(plain.at, text);
    lab.expect(plain.at, "416");
    // Help comes first.
    for at in [phone.at, plain.at] {
        let ua = Ua::new(at, "103");
        let text = ua.request_to(&mut lab, "INVITE", "sips:112@pbx.example.com");
        lab.send(at, text.sdp(ua.sdp(4000)));
        lab.expect(at, "100");
        let pbx = lab.pbx();
        let got = lab.expect(pbx, "INVITE");
        assert_eq!(got.uri(), "sip:112@pbx.example.com");
    }
    lab.clear();
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
    let got = lab.expect_at(pbx().at, "REGISTER");
    let sealed = got.contact().to_owned();
    lab.send(pbx().at, answer(&got, 200, "r").with("Contact", format!("<{sealed}>;expires=600")));
    lab.expect(phone.at, "200");
    sealed
}

#[test]
fn a_phone_by_tls_is_called_by_its_connection_and_the_scheme_is_the_requests() {
    for (contact, sealed_scheme, sip, sips) in [
        (
            "<sip:101@10.17.0.21;transport=tls>",
            "sip:",
            Some("sip:101@10.17.0.21;transport=tls"),
            None,
        ),
        ("<sips:101@10.17.0.21>", "sips:", Some("sip:101@10.17.0.21"), Some("sips:101@10.17.0.21")),
    ] {
        let mut lab = lab();
        let phone = Ua::new(lab.tls(INSIDE_TLS, "10.17.0.21:50001"), "101");
        let sealed = registered(&mut lab, &phone, contact, 1);
        assert!(sealed.starts_with(sealed_scheme), "{sealed}");
        let token = sealed.split_once(':').expect("a scheme").1.to_owned();
        for (scheme, want) in [("sip:", sip), ("sips:", sips)] {
            for method in ["INVITE", "MESSAGE", "OPTIONS"] {
                let uri = format!("{scheme}{token}");
                let text = pbx().request_to(&mut lab, method, &uri);
                lab.send(pbx().at, text);
                let Some(want) = want else {
                    let no = lab.take(pbx().at).pop().expect("an answer");
                    assert_eq!(no.status(), 480, "{no}");
                    assert!(no.header("Warning").starts_with("380 "), "{no}");
                    continue;
                };
                let got = lab.expect(phone.at, method);
                assert_eq!(got.uri(), want);
                lab.send(phone.at, phone.answer(&got, 486, "p"));
                lab.clear();
            }
        }
        lab.advance(s(40));
        lab.clear();
        lab.end();
    }
}

#[test]
fn nobody_opens_a_connection_to_a_phone_by_tls() {
    let mut lab = lab();
    let contact = "<sip:101@10.17.0.21:5061;transport=tls>";
    let phone = Ua::new(lab.tls(INSIDE_TLS, "10.17.0.21:50001"), "101");
    let sealed = registered(&mut lab, &phone, contact, 1);
    lab.input(Input::ConnectionClosed(phone.at.flow.conn.expect("it has one")));
    for method in ["INVITE", "MESSAGE"] {
        let text = pbx().request_to(&mut lab, method, &sealed);
        lab.send(pbx().at, text);
        let no = lab.take(pbx().at).pop().expect("an answer");
        assert_eq!(no.status(), 480, "{no}");
        lab.nothing_left();
    }
    // Nor after a restart.
    lab.restart();
    let text = pbx().request_to(&mut lab, "MESSAGE", &sealed);
    lab.send(pbx().at, text);
    assert_eq!(lab.take(pbx().at).pop().map(|m| m.status()), Some(480));
    // It comes back by itself.
    let back = Ua::new(lab.tls(INSIDE_TLS, "10.17.0.21:50002"), "101");
    registered(&mut lab, &back, contact, 2);
    let text = pbx().request_to(&mut lab, "MESSAGE", &sealed);
    lab.send(pbx().at, text);
    let got = lab.expect(back.at, "MESSAGE");
    lab.send(back.at, answer(&got, 200, "m"));
    lab.expect(pbx().at, "200");
    lab.end();
}

#[test]
fn a_sips_contact_that_did_not_come_by_tls_is_not_written_to() {
    let mut lab = lab();
    let phone = lab.phone("101", "10.17.0.21:5060");
    let sealed = registered(&mut lab, &phone, "<sips:101@10.17.0.21>", 1);
    let text = pbx().request_to(&mut lab, "MESSAGE", &sealed.replace("sips:", "sip:"));
    lab.send(pbx().at, text);
    let no = lab.take(pbx().at).pop().expect("an answer");
    assert_eq!(no.status(), 480, "{no}");
    assert!(no.header("Warning").starts_with("381 "), "{no}");
    lab.nothing_left();
    lab.end();
}

#[test]
fn a_dialog_by_tls_stays_by_tls_when_its_connection_is_gone() {
    for contact in
        ["<sip:200@203.0.113.10:5061>", "<sip:200@203.0.113.10>", "<sips:200@203.0.113.10>"]
    {
        let mut lab = lab();
        let phone = lab.phone("101", "10.17.0.21:5060");
        let invite = phone.request(&mut lab, "INVITE", "200").sdp(phone.sdp(4000));
        lab.send(phone.at, invite.clone());
        let mut a = Leg::calling(&phone, &invite);
        lab.expect(phone.at, "100");
        let got = lab.expect_at(pbx().at, "INVITE");
        let ok = pbx().answer(&got, 200, "t").set("Contact", contact).sdp(pbx().sdp(6000));
        lab.send(pbx().at, ok);
        a.learn(&lab.expect(phone.at, "200"));
        lab.input(Input::ConnectionClosed(ConnId(500)));
        let bye = a.request(&mut lab, "BYE");
        lab.send(phone.at, bye);
        let got = lab.expect_at(pbx().at, "BYE");
        assert_eq!(got.flow.transport, Transport::Tls, "{contact}");
        assert_eq!(got.flow.upstream, Some(UpstreamId::new(0)), "it has to prove itself anew");
        lab.send(pbx().at, answer(&got, 200, ""));
        lab.expect(phone.at, "200");
        lab.end();
    }
}

#[test]
fn a_probe_that_nobody_answers_asks_for_another_connection_and_one_that_is_answered_does_not() {
    for answered in [true, false] {
        let mut lab = lab();
        lab.reload(|c| c.upstreams[0].probe = Some(s(60)));
        lab.advance(s(2));
        let far = pbx();
        let probe = lab.next(far.at).expect("a probe");
        if answered {
            lab.send(far.at, far.answer(&probe, 200, "p"));
        }
        lab.advance(s(40));
        let peers: Vec<_> = lab.unheard.iter().map(|f| (f.peer.to_string(), f.upstream)).collect();
        let way = (PBX.to_owned(), Some(UpstreamId::new(0)));
        assert_eq!(peers, if answered { vec![] } else { vec![way] });
        lab.clear();
        lab.end();
    }
}

#[test]
fn who_calls_a_phone_whose_connection_ends_is_told_that_it_is_not_there_and_not_that_we_are_out() {
    for method in ["INVITE", "MESSAGE"] {
        let mut lab = lab();
        let contact = "<sip:101@10.17.0.21;transport=tls>";
        let phone = Ua::new(lab.tls(INSIDE_TLS, "10.17.0.21:50001"), "101");
        let sealed = registered(&mut lab, &phone, contact, 1);
        let text = pbx().request_to(&mut lab, method, &sealed);
        lab.send(pbx().at, text);
        lab.expect(phone.at, method);
        lab.input(Input::ConnectionClosed(phone.at.flow.conn.expect("it has one")));
        let told = lab.take(pbx().at).pop().expect("an answer");
        assert_eq!(told.status(), 480, "{told}");
        assert!(told.all("Retry-After").is_empty(), "{told}");
        lab.advance(s(40));
        lab.clear();
        lab.end();
    }
}
