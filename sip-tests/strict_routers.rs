//! Routers that are no loose ones (RFC 3261 §12.2.1.1, §16.4, §16.6 step 6): their URI stands in the
//! start line, the target at the end of the Route, whoever makes the request.

use crate::lab::script::{Text, answer};
use crate::lab::{Lab, Leg, Msg, Ua, Version, sdp, site};
use portreeve::engine::Input;

const STRICT: &str = "<sip:203.0.113.10:5090>";
const LOOSE: &str = "<sip:203.0.113.10:5080;lr>";

fn parties(lab: &Lab) -> (Ua, Ua) {
    (lab.phone("101", "10.17.0.21:5060"), lab.far("200"))
}

/// An answer of the PBX's by way of these routers, nearest to us first.
fn routed(pbx: &Ua, invite: &Msg, status: u16, routers: &[&str]) -> Text {
    let mut text = pbx.answer(invite, status, "b");
    let at = text.rows.iter().position(|(name, _)| name == "Record-Route").unwrap_or_default();
    for router in routers {
        text.rows.insert(at, ("Record-Route".to_owned(), (*router).to_owned()));
    }
    text
}

/// A call of the phone's by way of these routers; its ACK is the caller's to look for.
fn answered(lab: &mut Lab, routers: &[&str]) -> (Leg, Leg) {
    let (phone, pbx) = parties(lab);
    let mut a = lab.call(&phone, "200", 4000);
    lab.expect(phone.at, "100");
    let invite = lab.expect(pbx.at, "INVITE");
    let b = Leg::called(&pbx, &invite, "b");
    lab.send(pbx.at, routed(&pbx, &invite, 200, routers).sdp(pbx.sdp(6000)));
    a.learn(&lab.expect(phone.at, "200"));
    let ack = a.ack(lab);
    lab.send(phone.at, ack);
    (a, b)
}

#[test]
fn a_strict_router_stands_in_the_start_line_of_what_we_forward() {
    for version in Version::ALL {
        let cases: [(&[&str], &str, &str, &[&str]); 4] = [
            (&[STRICT], "5090", "sip:203.0.113.10:5090", &["<sip:200@203.0.113.10:5060>"]),
            (&[LOOSE], "5080", "sip:200@203.0.113.10:5060", &[LOOSE]),
            (
                &[STRICT, LOOSE],
                "5090",
                "sip:203.0.113.10:5090",
                &[LOOSE, "<sip:200@203.0.113.10:5060>"],
            ),
            (&[LOOSE, STRICT], "5080", "sip:200@203.0.113.10:5060", &[LOOSE, STRICT]),
        ];
        for (routers, port, uri, routes) in cases {
            let mut lab = Lab::of(version, site::EDGE, |_| {});
            // In an answer the router next to us stands last: `insert` at one place turns them round.
            let (mut a, _) = answered(&mut lab, routers);
            let next = lab.outside(&format!("203.0.113.10:{port}"));
            let ack = lab.expect(next, "ACK");
            assert_eq!((ack.uri(), ack.list("Route").as_slice()), (uri, &own(routes)[..]), "{ack}");
            for method in ["INFO", "BYE"] {
                let request = a.request(&mut lab, method);
                lab.send(a.ua.at, request);
                let got = lab.expect(next, method);
                assert_eq!(
                    (got.uri(), got.list("Route").as_slice()),
                    (uri, &own(routes)[..]),
                    "{got}"
                );
                lab.send(next, answer(&got, 200, ""));
                lab.expect(a.ua.at, "200");
            }
            lab.nothing_left();
            lab.end();
        }
    }
}

fn own(routes: &[&str]) -> Vec<String> {
    routes.iter().map(|r| (*r).to_owned()).collect()
}

#[test]
fn our_own_bye_takes_the_same_form() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (a, _) = answered(&mut lab, &[STRICT]);
        let next = lab.outside("203.0.113.10:5090");
        lab.expect(next, "ACK");
        lab.input(Input::HangUpAll);
        let bye = lab.expect(next, "BYE");
        assert_eq!(bye.uri(), "sip:203.0.113.10:5090");
        assert_eq!(bye.list("Route"), ["<sip:200@203.0.113.10:5060>"]);
        lab.send(next, answer(&bye, 200, ""));
        let bye = lab.expect(a.ua.at, "BYE");
        lab.send(a.ua.at, answer(&bye, 200, ""));
        lab.end();
    }
}

#[test]
fn our_own_ack_takes_the_same_form() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (phone, pbx) = parties(&lab);
        let a = lab.call(&phone, "200", 4000);
        lab.expect(phone.at, "100");
        let invite = lab.expect(pbx.at, "INVITE");
        // Media that may not be: the answerer is let go, the caller told.
        lab.send(pbx.at, routed(&pbx, &invite, 200, &[STRICT]).sdp(sdp("127.0.0.1", 6000)));
        let next = lab.outside("203.0.113.10:5090");
        for method in ["ACK", "BYE"] {
            let got = lab.expect(next, method);
            assert_eq!(got.uri(), "sip:203.0.113.10:5090", "{got}");
            assert_eq!(got.list("Route"), ["<sip:200@203.0.113.10:5060>"], "{got}");
            if method == "BYE" {
                lab.send(next, answer(&got, 200, ""));
            }
        }
        let no = lab.expect(phone.at, "488");
        lab.send(phone.at, a.ack_refusal(&no));
        lab.end();
    }
}

#[test]
fn a_caller_behind_a_strict_router_is_reached() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (phone, pbx) = parties(&lab);
        let sealed = lab.register(&phone, 600);
        let invite = pbx
            .request_to(&mut lab, "INVITE", &sealed)
            .with("Record-Route", "<sip:203.0.113.10:5090;method=INVITE>")
            .sdp(pbx.sdp(6000));
        lab.send(pbx.at, invite.clone());
        let mut a = Leg::calling(&pbx, &invite);
        lab.expect(pbx.at, "100");
        let got = lab.expect(phone.at, "INVITE");
        let mut b = Leg::called(&phone, &got, "in");
        lab.send(phone.at, phone.answer(&got, 200, "in").sdp(phone.sdp(4000)));
        a.learn(&lab.expect(pbx.at, "200"));
        a.routes.retain(|r| r.contains("203.0.113.1:"));
        let ack = a.ack(&mut lab);
        lab.send(pbx.at, ack);
        lab.expect(phone.at, "ACK");
        let bye = b.request(&mut lab, "BYE");
        lab.send(phone.at, bye);
        let next = lab.outside("203.0.113.10:5090");
        let bye = lab.expect(next, "BYE");
        assert_eq!(bye.uri(), "sip:203.0.113.10:5090", "without what no Request-URI has\n{bye}");
        assert_eq!(bye.list("Route"), ["<sip:200@203.0.113.10:5060>"]);
        lab.send(next, answer(&bye, 200, ""));
        lab.expect(phone.at, "200");
        lab.end();
    }
}

#[test]
fn a_cancelled_reinvite_is_cancelled_the_way_it_went() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (mut a, _) = answered(&mut lab, &[STRICT]);
        let next = lab.outside("203.0.113.10:5090");
        lab.expect(next, "ACK");
        let invite = a.request(&mut lab, "INVITE").sdp(a.ua.sdp(4000));
        lab.send(a.ua.at, invite);
        lab.expect(a.ua.at, "100");
        let got = lab.expect(next, "INVITE");
        lab.send(next, answer(&got, 180, ""));
        lab.expect(a.ua.at, "180");
        lab.send(a.ua.at, a.cancel());
        lab.expect(a.ua.at, "200");
        let cancel = lab.expect(next, "CANCEL");
        assert_eq!((cancel.uri(), cancel.all("Route")), (got.uri(), got.all("Route")));
        assert_eq!(cancel.uri(), "sip:203.0.113.10:5090");
        lab.send(next, answer(&cancel, 200, ""));
        lab.send(next, answer(&got, 487, ""));
        let ack = lab.expect(next, "ACK");
        assert_eq!((ack.uri(), ack.all("Route")), (got.uri(), got.all("Route")));
        let over = lab.expect(a.ua.at, "487");
        lab.send(a.ua.at, a.ack_refusal(&over));
        lab.input(Input::HangUpAll);
        lab.clear();
        lab.end();
    }
}

/// §16.4: a strict router before us puts our Record-Route into the start line and the target last.
#[test]
fn a_strict_router_before_us_is_understood() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (phone, pbx) = parties(&lab);
        let (a, mut b) = lab.establish(&phone, &pbx);
        for method in ["INFO", "BYE"] {
            let mut request = b.request(&mut lab, method);
            let (route, target) = (b.routes[0].clone(), b.target.clone());
            let uri = route.trim_start_matches('<').trim_end_matches('>');
            request.start = format!("{method} {uri} SIP/2.0");
            lab.send(pbx.at, request.set("Route", format!("<{target}>")));
            let got = lab.expect(phone.at, method);
            assert_eq!(got.uri(), "sip:101@10.17.0.21:5060", "{got}");
            assert!(!got.has("Route"), "{got}");
            lab.send(phone.at, answer(&got, 200, ""));
            lab.expect(pbx.at, "200");
        }
        assert_eq!(lab.ends(), [("answered", 200, "callee")]);
        drop(a);
        lab.end();
    }
}
