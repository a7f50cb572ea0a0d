//! A gateway that others know by a host name (`advertise_name`), as Microsoft's Direct Routing asks
//! of a session border controller: SIP has the name, SDP has the address, and what comes back under
//! the name is ours.

use crate::lab::script::answer;
use crate::lab::{Lab, Leg, Ua, site};
use crate::tls_calls::{OUTSIDE_TLS, config};
use portreeve::engine::Input;
use portreeve::engine::digest::Users;
use portreeve::ground::{ConnId, Flow, Transport, UpstreamId};

const NAME: &str = "sbc.example.com";

fn lab(pbx: &str) -> Lab {
    let text = config(pbx, "")
        .replace("address = \"203.0.113.1\"", "address = \"203.0.113.1\"\nadvertise = \"198.51.100.20\"\nadvertise_name = \"SBC.example.com\"")
        .replace("probe = \"0s\"", "probe = \"30s\"");
    Lab::with(site::parse(&text), Users::None)
}

/// The upstream, by the transport that it is reached by.
fn pbx(lab: &Lab, tls: bool) -> Ua {
    if !tls {
        return lab.far("200");
    }
    let (listener, transport) = (OUTSIDE_TLS, Transport::Tls);
    let peer = "203.0.113.10:5061".parse().expect("an address");
    let (conn, upstream) = (Some(ConnId(500)), Some(UpstreamId::new(0)));
    Ua::new(crate::lab::Party { flow: Flow { listener, transport, peer, conn, upstream } }, "200")
}

const WAYS: [(bool, &str); 2] =
    [(true, "address = \"sips:203.0.113.10\""), (false, "address = \"203.0.113.10\"")];

/// In, by the name, however it is written, and by what was registered.
fn reached_by_the_name(lab: &mut Lab, phone: &Ua, far: &Ua, [sealed, port, by]: [&str; 3]) {
    for uri in [
        sealed.to_owned(),
        format!("sip:101@{NAME}"),
        format!("sip:101@{NAME}:{port}{by}"),
        format!("sip:101@{}.", NAME.to_uppercase()),
    ] {
        let text = far.request_to(lab, "INVITE", &uri).sdp(far.sdp(6000));
        lab.send(far.at, text);
        lab.expect(far.at, "100");
        let got = lab.expect(phone.at, "INVITE");
        lab.send(phone.at, answer(&got, 486, "p"));
        lab.expect(phone.at, "ACK");
        lab.expect(far.at, "486");
        lab.clear();
    }
    for uri in [format!("sip:{NAME}"), format!("sip:{NAME}:{port}{by}")] {
        let text = far.request_to(lab, "OPTIONS", &uri);
        lab.send(far.at, text);
        lab.expect(far.at, "200");
    }
}

#[test]
fn sip_has_the_name_and_sdp_the_address() {
    for (tls, target) in WAYS {
        let mut lab = lab(target);
        let (port, by) = if tls { ("5061", ";transport=tls") } else { ("5060", "") };
        let (phone, far) = (lab.phone("101", "10.17.0.21:5060"), pbx(&lab, tls));
        lab.advance(crate::lab::s(2));
        let probe = lab.expect_at(far.at, "OPTIONS");
        assert!(probe.header("From").starts_with(&format!("<sip:{NAME}:{port}")), "{probe}");
        assert!(probe.contact().contains(NAME), "{probe}");
        assert!(!probe.to_string().contains("198.51.100.20"), "{probe}");
        lab.send(far.at, answer(&probe, 200, "o"));
        lab.clear();
        let register = phone.request_to(&mut lab, "REGISTER", "sip:pbx.example.com");
        let register = register.set("To", format!("<{}>", phone.aor())).with("Expires", "600");
        lab.send(phone.at, register);
        let got = lab.expect_at(far.at, "REGISTER");
        let sealed = got.contact().to_owned();
        assert!(sealed.ends_with(&format!("@{NAME}:{port}{by}")), "{sealed}");
        let granted = format!("<{sealed}>;expires=600");
        lab.send(far.at, answer(&got, 200, "r").with("Contact", granted));
        lab.expect(phone.at, "200");
        // Out.
        let invite = phone.request(&mut lab, "INVITE", "200").sdp(phone.sdp(4000));
        lab.send(phone.at, invite.clone());
        let mut a = Leg::calling(&phone, &invite);
        lab.expect(phone.at, "100");
        let got = lab.expect_at(far.at, "INVITE");
        let via = format!("SIP/2.0/{} {NAME}:{port};", if tls { "TLS" } else { "UDP" });
        assert!(got.header("Via").starts_with(&via), "{got}");
        assert!(got.contact().ends_with(&format!("@{NAME}:{port}{by}")), "{got}");
        let route = &got.list("Record-Route")[0];
        assert!(route.ends_with(&format!("@{NAME}:{port}{by};lr>")), "{route}");
        assert!(got.body.contains("c=IN IP4 198.51.100.20"), "{got}");
        let mut b = Leg::called(&far, &got, "t");
        lab.send(far.at, far.answer(&got, 200, "t").sdp(far.sdp(6000)));
        let ok = lab.expect(phone.at, "200");
        assert!(!ok.to_string().contains(NAME), "inside has another name: {ok}");
        a.learn(&ok);
        let ack = a.ack(&mut lab);
        lab.send(phone.at, ack);
        lab.expect(far.at, "ACK");
        // What comes back under the name belongs to the call.
        let info = b.request(&mut lab, "INFO");
        lab.send(far.at, info);
        let got = lab.expect(phone.at, "INFO");
        lab.send(phone.at, answer(&got, 200, ""));
        lab.expect(far.at, "200");
        let bye = b.request(&mut lab, "BYE");
        lab.send(far.at, bye);
        let got = lab.expect(phone.at, "BYE");
        lab.send(phone.at, answer(&got, 200, ""));
        lab.expect(far.at, "200");
        reached_by_the_name(&mut lab, &phone, &far, [&sealed, port, by]);
        lab.advance(crate::lab::s(40));
        lab.clear();
    }
}

#[test]
fn a_route_of_the_name_is_ours_and_another_is_not() {
    let mut lab = lab("address = \"203.0.113.10\"");
    let (phone, far) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
    lab.register(&phone, 600);
    for (route, passes) in [
        (format!("<sip:{NAME};lr>"), true),
        (format!("<sip:{NAME}:5060;lr>"), true),
        (format!("<sip:x.{NAME};lr>"), false),
        (format!("<sip:{NAME}:9999;lr>"), false),
    ] {
        let text = far.request_to(&mut lab, "MESSAGE", &format!("sip:101@{NAME}"));
        lab.send(far.at, text.with("Route", route.as_str()));
        if passes {
            let got = lab.expect(phone.at, "MESSAGE");
            assert!(!got.has("Route"), "{got}");
            lab.send(phone.at, answer(&got, 200, "m"));
            lab.expect(far.at, "200");
        } else {
            lab.expect(far.at, "403");
        }
    }
    lab.end();
}

#[test]
fn a_loop_by_the_name_is_a_loop_and_a_way_to_ourselves_is_none() {
    let mut lab = lab("address = \"203.0.113.10\"");
    let (phone, far) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
    let (mut a, _) = {
        let mut a = lab.call(&phone, "200", 4000);
        lab.expect(phone.at, "100");
        let got = lab.expect(far.at, "INVITE");
        let b = Leg::called(&far, &got, "t");
        // A Contact that means us, and is no pass of this call.
        let ok = far.answer(&got, 200, "t").set("Contact", format!("<sip:200@{NAME}>"));
        lab.send(far.at, ok.sdp(far.sdp(6000)));
        a.learn(&lab.expect(phone.at, "200"));
        (a, b)
    };
    let ack = a.ack(&mut lab);
    lab.send(phone.at, ack);
    lab.expect(far.at, "ACK");
    let bye = a.request(&mut lab, "BYE");
    lab.send(phone.at, bye);
    let got = lab.expect(far.at, "BYE");
    lab.send(far.at, answer(&got, 200, ""));
    lab.expect(phone.at, "200");
    lab.input(Input::Timeout);
    lab.end();
}
