//! What an upstream's registrar tells a phone beside its bindings: Service-Route is kept here and
//! put into the phone's later requests (RFC 3608), the rest is the phone's or nobody's.

use crate::lab::script::{Text, answer};
use crate::lab::{Lab, Leg, Msg, Ua, s};

const SERVICE: &str = "<sip:orig@203.0.113.10:5060;lr>";
const EDGE: &str = "<sip:edge.example.com;lr>";

fn parties(lab: &Lab) -> (Ua, Ua) {
    (lab.phone("101", "10.17.0.21:5060"), lab.far("200"))
}

/// Registers a phone; the 200 has these rows. What the phone got, and its sealed Contact.
#[track_caller]
fn register(lab: &mut Lab, phone: &Ua, rows: &[(&str, &str)], contact: &str) -> (Msg, String) {
    let register = phone
        .request_to(lab, "REGISTER", "sip:pbx.example.com")
        .set("To", format!("<{}>", phone.aor()))
        .with("Expires", "600");
    lab.send(phone.at, register);
    let pbx = lab.pbx();
    let got = lab.expect(pbx, "REGISTER");
    assert!(!got.has("Route"), "a REGISTER takes no service route\n{got}");
    let sealed = got.contact().to_owned();
    let mut ok = answer(&got, 200, "r").with("Contact", format!("<{sealed}>;expires=600{contact}"));
    for (name, value) in rows {
        ok = ok.with(name, *value);
    }
    lab.send(pbx, ok);
    (lab.expect(phone.at, "200"), sealed)
}

/// A request of the phone's outside dialogs as the PBX gets it; answered.
#[track_caller]
fn asked(lab: &mut Lab, phone: &Ua, pbx: &Ua, method: &str) -> Msg {
    let request = phone.request(lab, method, "200").with("Event", "presence");
    let request: Text =
        if method == "SUBSCRIBE" { request.with("Expires", "600") } else { request };
    lab.send(phone.at, request);
    let got = lab.expect(pbx.at, method);
    lab.send(pbx.at, pbx.answer(&got, if method == "SUBSCRIBE" { 489 } else { 200 }, "x"));
    assert_eq!(lab.take(phone.at).len(), 1);
    got
}

#[test]
fn a_service_route_is_kept_here_and_put_into_what_the_phone_sends() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let rows = [("Service-Route", SERVICE), ("Service-Route", EDGE)];
    let (ok, _) = register(&mut lab, &phone, &rows, "");
    assert!(!ok.has("Service-Route"), "not the phone's: its Route would be dropped\n{ok}");
    for method in ["MESSAGE", "OPTIONS", "PUBLISH", "SUBSCRIBE"] {
        let got = asked(&mut lab, &phone, &pbx, method);
        assert_eq!(got.list("Route"), [SERVICE, EDGE], "{got}");
        assert_eq!(got.uri(), "sip:200@pbx.example.com");
    }
    let (_, _) = register(&mut lab, &phone, &rows, "");
    lab.end();
}

#[test]
fn a_call_goes_by_it_and_its_dialog_by_its_own_route() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    register(&mut lab, &phone, &[("Service-Route", SERVICE)], "");
    let mut a = lab.call(&phone, "200", 4000);
    lab.expect(phone.at, "100");
    let invite = lab.expect(pbx.at, "INVITE");
    assert_eq!(invite.list("Route"), [SERVICE]);
    let b = Leg::called(&pbx, &invite, "b");
    lab.send(pbx.at, pbx.answer(&invite, 180, "b"));
    lab.expect(phone.at, "180");
    lab.send(pbx.at, pbx.answer(&invite, 200, "b").sdp(pbx.sdp(6000)));
    a.learn(&lab.expect(phone.at, "200"));
    let ack = a.ack(&mut lab);
    lab.send(phone.at, ack);
    assert!(!lab.expect(pbx.at, "ACK").has("Route"));
    lab.hang_up(&mut a, &b);
    // A CANCEL goes the way of its INVITE (RFC 3261 §9.1).
    let a = lab.call(&phone, "200", 4000);
    lab.expect(phone.at, "100");
    let invite = lab.expect(pbx.at, "INVITE");
    lab.send(pbx.at, pbx.answer(&invite, 180, "b"));
    lab.expect(phone.at, "180");
    lab.send(phone.at, a.cancel());
    lab.expect(phone.at, "200");
    let cancel = lab.expect(pbx.at, "CANCEL");
    assert_eq!(cancel.list("Route"), [SERVICE]);
    lab.send(pbx.at, answer(&cancel, 200, "b"));
    lab.send(pbx.at, answer(&invite, 487, "b"));
    lab.expect(pbx.at, "ACK");
    let over = lab.expect(phone.at, "487");
    lab.send(phone.at, a.ack_refusal(&over));
    lab.end();
}

#[test]
fn each_2xx_says_it_anew() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    register(&mut lab, &phone, &[("Service-Route", SERVICE)], "");
    register(&mut lab, &phone, &[("Service-Route", EDGE)], "");
    assert_eq!(asked(&mut lab, &phone, &pbx, "MESSAGE").list("Route"), [EDGE]);
    register(&mut lab, &phone, &[], "");
    assert!(!asked(&mut lab, &phone, &pbx, "MESSAGE").has("Route"), "none any more");
    lab.end();
}

#[test]
fn it_is_the_phones_alone_and_ends_with_its_binding() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let other = lab.phone("102", "10.17.0.22:5060");
    register(&mut lab, &phone, &[("Service-Route", SERVICE)], "");
    register(&mut lab, &other, &[], "");
    assert!(!asked(&mut lab, &other, &pbx, "MESSAGE").has("Route"));
    assert!(asked(&mut lab, &phone, &pbx, "MESSAGE").has("Route"));
    lab.advance(s(700));
    assert_eq!(lab.stats().now.registrations, 0);
    assert!(!asked(&mut lab, &phone, &pbx, "MESSAGE").has("Route"));
    lab.end();
}

#[test]
fn it_survives_a_restart() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    register(&mut lab, &phone, &[("Service-Route", SERVICE)], "");
    lab.restart();
    assert_eq!(asked(&mut lab, &phone, &pbx, "MESSAGE").list("Route"), [SERVICE]);
    lab.end();
}

#[test]
fn it_leads_to_the_upstream_and_nowhere_else() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let service = "<sip:203.0.113.77;lr>";
    register(&mut lab, &phone, &[("Service-Route", service)], "");
    // The upstream that policy chose gets it, whatever address stands there.
    assert_eq!(asked(&mut lab, &phone, &pbx, "MESSAGE").list("Route"), [service]);
    lab.nothing_left();
    lab.end();
}

#[test]
fn another_upstreams_calls_know_nothing_of_it() {
    let second = "\n[[upstream]]\nname = \"other\"\naddress = \"203.0.113.12:5060\"\n\
                  domain = \"other.example.net\"\nprobe = \"0s\"\n";
    let config = crate::lab::site::parse(&format!("{}{second}", crate::lab::site::EDGE));
    let mut lab = Lab::with(config, portreeve::engine::digest::Users::None);
    let (phone, _) = parties(&lab);
    register(&mut lab, &phone, &[("Service-Route", SERVICE)], "");
    let text = phone.request_to(&mut lab, "MESSAGE", "sip:300@other.example.net");
    lab.send(phone.at, text);
    let other = lab.outside("203.0.113.12:5060");
    let got = lab.expect(other, "MESSAGE");
    assert!(!got.has("Route"), "{got}");
    lab.send(other, answer(&got, 200, "o"));
    lab.expect(phone.at, "200");
    lab.end();
}

#[test]
fn paths_stop_here_and_identities_go_on() {
    let mut lab = Lab::edge();
    let (phone, _) = parties(&lab);
    let identities = "<sip:101@pbx.example.com>, <tel:+4930555101>";
    let rows = [("Path", "<sip:p1.example.com;lr>"), ("P-Associated-URI", identities)];
    let (ok, _) = register(&mut lab, &phone, &rows, "");
    assert!(!ok.has("Path"), "how the upstream's proxies find us is nobody's here\n{ok}");
    assert_eq!(ok.header("P-Associated-URI"), identities);
    // A proxy inside names itself: its flow is known, its address stays inside.
    let register = phone
        .request_to(&mut lab, "REGISTER", "sip:pbx.example.com")
        .set("To", format!("<{}>", phone.aor()))
        .with("Path", "<sip:10.17.0.5;lr>")
        .with("Path", "<sip:proxy.inside;lr>")
        .with("Expires", "600");
    lab.send(phone.at, register);
    let pbx = lab.pbx();
    let got = lab.expect(pbx, "REGISTER");
    assert!(!got.has("Path"), "{got}");
    lab.send(pbx, answer(&got, 403, "r"));
    lab.expect(phone.at, "403");
    lab.end();
}

#[test]
fn what_the_registrar_says_of_a_contact_reaches_the_phone() {
    let mut lab = Lab::edge();
    let (phone, _) = parties(&lab);
    let gruu = ";pub-gruu=\"sip:101@pbx.example.com;gr=urn:x:1\"\
                ;temp-gruu=\"sip:tgruu.7hs@pbx.example.com;gr\"";
    let (ok, _) = register(&mut lab, &phone, &[], gruu);
    let contact = ok.header("Contact");
    assert!(contact.starts_with("<sip:101@10.17.0.21:5060>"), "{contact}");
    for part in [";expires=600", gruu] {
        for param in part.split_inclusive('"').collect::<String>().split(";temp") {
            assert!(contact.contains(param.trim_matches(';')), "{param} in {contact}");
        }
    }
    lab.end();
}
