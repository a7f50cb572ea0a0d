//! Emergency services by name (RFC 5031): `urn:service:sos` and its children go where emergency
//! numbers go, past policy and caps, and stand in the records. Other services are nobody's here.

use crate::lab::script::answer;
use crate::lab::{Lab, Msg, Ua, site};
use portreeve::audit::{Record, Ruling};
use portreeve::engine::digest::Users;

fn strict(rules: &str) -> Lab {
    let text = site::EDGE.replace("default = \"allow\"", "default = \"site\"");
    Lab::with(site::parse(&format!("{text}\n{rules}")), Users::None)
}

/// To, rule and verdict of the calls so far.
fn attempts(lab: &Lab) -> Vec<(String, String, Ruling)> {
    let attempt = |r: &Record| match r {
        Record::CallAttempt { to, rule, verdict, .. } => Some((to.clone(), rule.clone(), *verdict)),
        _ => None,
    };
    lab.records.iter().filter_map(attempt).collect()
}

/// An INVITE for a name; what the caller is told.
fn dial(lab: &mut Lab, ua: &Ua, uri: &str) -> (crate::lab::Leg, Vec<Msg>) {
    let invite = ua.request_to(lab, "INVITE", uri).sdp(ua.sdp(4000));
    lab.send(ua.at, invite.clone());
    (crate::lab::Leg::calling(ua, &invite), lab.take(ua.at))
}

#[test]
fn emergency_services_by_name_need_no_registration_and_go_on_as_they_are() {
    for uri in
        ["urn:service:sos", "urn:service:sos.fire", "URN:Service:SOS.Police", "urn:service:sos.a.b"]
    {
        let mut lab = strict("[limits]\ncalls = 1\n");
        let (known, pbx) = (lab.phone("102", "10.17.0.22:5060"), lab.far("200"));
        lab.register(&known, 600);
        lab.establish(&known, &pbx);
        let phone = lab.phone("101", "10.17.0.21:5060");
        let (mut a, told) = dial(&mut lab, &phone, uri);
        assert_eq!(
            told.iter().map(Msg::status).collect::<Vec<_>>(),
            [100],
            "{uri}: past every cap"
        );
        let rung = lab.expect(pbx.at, "INVITE");
        assert!(rung.uri().eq_ignore_ascii_case(uri), "{rung}");
        assert_eq!(rung.header("To"), format!("<{uri}>"));
        lab.send(pbx.at, pbx.answer(&rung, 200, "sos").sdp(pbx.sdp(6000)));
        let ok = lab.expect(phone.at, "200");
        a.learn(&ok);
        let ack = a.ack(&mut lab);
        lab.send(phone.at, ack);
        lab.expect(pbx.at, "ACK");
        let b = crate::lab::Leg::called(&pbx, &rung, "sos");
        lab.hang_up(&mut a, &b);
        let (to, rule, ruling) = attempts(&lab).remove(1);
        assert!(to.eq_ignore_ascii_case(uri), "{to}");
        assert_eq!((rule.as_str(), ruling), ("default:emergency", Ruling::Allow));
        lab.end();
    }
}

#[test]
fn it_may_be_cancelled_as_any_call() {
    let mut lab = strict("");
    let phone = lab.phone("101", "10.17.0.21:5060");
    let (a, _) = dial(&mut lab, &phone, "urn:service:sos");
    let pbx = lab.pbx();
    let rung = lab.expect(pbx, "INVITE");
    lab.send(pbx, answer(&rung, 180, "sos"));
    lab.expect(phone.at, "180");
    lab.send(phone.at, a.cancel());
    lab.expect(phone.at, "200");
    let cancel = lab.expect(pbx, "CANCEL");
    assert_eq!(cancel.uri(), "urn:service:sos");
    lab.send(pbx, answer(&cancel, 200, "sos"));
    lab.send(pbx, answer(&rung, 487, "sos"));
    lab.expect(pbx, "ACK");
    let over = lab.expect(phone.at, "487");
    lab.send(phone.at, a.ack_refusal(&over));
    lab.end();
}

#[test]
fn other_services_and_look_alikes_are_416() {
    let mut lab = strict("");
    let phone = lab.phone("101", "10.17.0.21:5060");
    lab.register(&phone, 600);
    for uri in [
        "urn:service:counseling",
        "urn:service:sosfire",
        "urn:service:sos.",
        "urn:service:sos.../../x",
        "urn:service:so",
        "urn:servicex:sos",
        "urn:nena:service:sos",
        "http://service:sos",
    ] {
        let (_, told) = dial(&mut lab, &phone, uri);
        assert_eq!(told.iter().map(Msg::status).collect::<Vec<_>>(), [416], "{uri}");
    }
    assert!(attempts(&lab).is_empty());
    lab.end();
}

#[test]
fn a_rule_may_read_it_and_without_a_trunk_it_is_not_found() {
    let rule = "[[rule]]\nname = \"no fire\"\nnumber = [\"urn:service:sos.fire\"]\n\
                deny = { code = 403 }\n";
    let mut lab = strict(rule);
    let phone = lab.phone("101", "10.17.0.21:5060");
    let (_, told) = dial(&mut lab, &phone, "urn:service:sos.fire");
    assert_eq!(told.last().map(Msg::status), Some(403));
    assert_eq!(attempts(&lab)[0].1, "no fire");
    lab.nothing_left();
    let mut lab = Lab::site();
    let phone = lab.phone("101", "10.17.0.21:5060");
    let (_, told) = dial(&mut lab, &phone, "urn:service:sos");
    assert_eq!(told.last().map(Msg::status), Some(404));
    lab.advance(crate::lab::s(40));
    lab.clear();
    lab.end();
}

#[test]
fn nobody_calls_an_emergency_service_from_outside() {
    let mut lab = strict("");
    let pbx = lab.far("200");
    let (_, told) = dial(&mut lab, &pbx, "urn:service:sos");
    assert_eq!(told.last().map(Msg::status), Some(404));
    lab.advance(crate::lab::s(40));
    lab.clear();
    lab.end();
}

/// RFC 6442 §4.1: `Geolocation: <cid:…>` names a part of the body by its Content-ID.
#[test]
fn a_caller_s_place_arrives_and_still_names_the_part_that_tells_it() {
    let mut lab = Lab::edge();
    let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("112"));
    lab.register(&phone, 600);
    let body = format!(
        "--b1\r\nContent-Type: application/sdp\r\n\r\n{}\r\n--b1\r\n\
         Content-Type: application/pidf+xml\r\nContent-ID: <place@10.17.0.21>\r\n\r\n\
         <presence entity=\"pres:101@10.17.0.21\"><pos>52.5 13.4</pos></presence>\r\n--b1--\r\n",
        phone.sdp(4000)
    );
    let invite = phone
        .request(&mut lab, "INVITE", "112")
        .with("Geolocation", "<cid:place@10.17.0.21>;routing-allowed=yes")
        .with("Geolocation", "<https://lis.example.com/here>")
        .with("Geolocation-Routing", "yes")
        .typed("multipart/mixed;boundary=b1", body);
    lab.send(phone.at, invite);
    lab.expect(phone.at, "100");
    let got = lab.expect(pbx.at, "INVITE");
    assert_eq!(
        got.all("Geolocation"),
        ["<cid:place@203.0.113.1>;routing-allowed=yes", "<https://lis.example.com/here>"]
    );
    assert!(got.body.contains("Content-ID: <place@203.0.113.1>"), "{got}");
    assert!(got.has("Geolocation-Routing") && got.body.contains("52.5 13.4"), "{got}");
    lab.end();
}

#[test]
fn what_a_padded_emergency_call_says_is_cut_in_its_records() {
    let mut lab = Lab::edge();
    let phone = lab.phone(&"9".repeat(1500), "10.17.0.21:5060");
    let invite = phone
        .request(&mut lab, "INVITE", "112")
        .set("Call-ID", "c".repeat(4000))
        .set("User-Agent", "u".repeat(4000))
        .sdp(phone.sdp(4000));
    lab.send(phone.at, invite.clone());
    lab.expect(phone.at, "100");
    let pbx = lab.pbx();
    let got = lab.expect(pbx, "INVITE");
    lab.send(pbx, answer(&got, 404, "t"));
    lab.expect(pbx, "ACK");
    lab.expect(phone.at, "404");
    let message = phone
        .request(&mut lab, "MESSAGE", &"1".repeat(1500))
        .typed("application/sdp", "v=0\r\nc=IN IP4 127.0.0.1\r\n");
    lab.send(phone.at, message);
    lab.take(phone.at);
    lab.take(pbx);
    assert!(lab.records.len() >= 2, "{:?}", lab.records);
    for record in &lab.records {
        let line = serde_json::to_string(record).expect("a line");
        assert!(line.len() < 1_500, "{line}");
    }
}

#[test]
fn of_a_strangers_emergency_call_nothing_goes_out_but_the_number() {
    let mut lab = strict("");
    let (phone, known) = (lab.phone("199", "10.17.0.29:5060"), lab.phone("101", "10.17.0.21:5060"));
    lab.register(&known, 600);
    let pbx = lab.pbx();
    for uri in [
        "sip:112@evil.example",
        "sip:112@203.0.113.99",
        "sip:112@pbx.example.com;maddr=1.2.3.4",
        "sip:112;postd=0019005550100@pbx.example.com;user=phone",
        "sip:112;ext=900@pbx.example.com",
        "tel:112;cic=1234",
    ] {
        for (ua, leaves) in [(&phone, true), (&known, false)] {
            let invite = ua
                .request_to(&mut lab, "INVITE", uri)
                .with("Replaces", "c1@x;to-tag=a;from-tag=b")
                .with("Join", "c1@x;to-tag=a;from-tag=b")
                .with("Require", "replaces")
                .sdp(ua.sdp(4000));
            lab.send(ua.at, invite.clone());
            let told = lab.take(ua.at);
            let Some(got) = lab.next(pbx) else {
                assert!(!leaves || told.last().is_some_and(|m| m.status() >= 400), "{uri}");
                continue;
            };
            if leaves {
                assert_eq!(got.uri(), "sip:112@pbx.example.com", "{uri}");
                for name in ["Replaces", "Join", "Require"] {
                    assert!(!got.has(name), "{uri}: {name}\n{got}");
                }
            } else {
                assert!(got.has("Replaces"), "a phone's own: {got}");
            }
            lab.send(pbx, answer(&got, 486, "m"));
            lab.expect(pbx, "ACK");
            let busy = lab.expect(ua.at, "486");
            lab.send(ua.at, crate::lab::Leg::calling(ua, &invite).ack_refusal(&busy));
        }
    }
    lab.end();
}
