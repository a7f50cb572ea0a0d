//! Phones that send from one port and listen at another, as old Cisco firmware does: no rport in
//! their Via, 5060 in Via and Contact. With `rport = false` they are asked where they say.

use crate::lab::script::{Leg, Text, answer};
use crate::lab::{Lab, Party, Ua, Version, s, site};

/// The phone sends from here.
const HIGH: &str = "10.17.0.21:50123";
/// It listens here.
const WRITTEN: &str = "10.17.0.21:5060";

fn lab(version: Version, forced: bool) -> Lab {
    let text = site::EDGE.replace("default = \"allow\"", "default = \"site\"");
    let rport = format!("keepalive = \"0s\"\nrport = {forced}");
    Lab::of(version, &text.replacen("keepalive = \"0s\"", &rport, 1), |_| {})
}

/// What such a phone writes.
fn old(request: Text, host: &str) -> Text {
    let via = request.header("Via").replace(HIGH, host).replace(";rport", "");
    let request = request.set("Via", via);
    if request.header("Contact").is_empty() {
        return request;
    }
    request.set("Contact", format!("<sip:101@{host}>"))
}

/// Registers; its answers come to where they are awaited.
#[track_caller]
fn register(lab: &mut Lab, phone: &Ua, host: &str, answers: Party) -> String {
    let register = phone
        .request_to(lab, "REGISTER", &format!("sip:{}", phone.domain))
        .set("To", format!("<{}>", phone.aor()))
        .with("Expires", "600");
    lab.send(phone.at, old(register, host));
    let pbx = lab.pbx();
    let got = lab.expect(pbx, "REGISTER");
    let sealed = got.contact().to_owned();
    let ok = answer(&got, 200, "r").with("Contact", format!("<{sealed}>;expires=600"));
    lab.send(pbx, ok);
    lab.expect(answers, "200");
    sealed
}

#[test]
fn a_phone_that_says_where_it_listens_is_asked_there_for_the_whole_call() {
    for version in Version::ALL {
        let mut lab = lab(version, false);
        let (phone, listens) = (lab.phone("101", HIGH), lab.inside(WRITTEN));
        let sealed = register(&mut lab, &phone, "10.17.0.21:5060", listens);
        let pbx = lab.far("200");
        let invite = pbx.request_to(&mut lab, "INVITE", &sealed).sdp(pbx.sdp(6000));
        lab.send(pbx.at, invite.clone());
        lab.expect(pbx.at, "100");
        let rung = lab.expect(listens, "INVITE");
        let mut near = Leg::called(&phone, &rung, "ph");
        let ok = answer(&rung, 200, "ph").with("Contact", "<sip:101@10.17.0.21:5060>");
        lab.send(phone.at, ok.sdp(phone.sdp(4000)));
        let mut far = Leg::calling(&pbx, &invite);
        far.learn(&lab.expect(pbx.at, "200"));
        let ack = far.ack(&mut lab);
        lab.send(pbx.at, ack);
        lab.expect(listens, "ACK");
        // What it sends itself moves it nowhere: with its Contact or without.
        for method in ["INFO", "UPDATE"] {
            let request = near.request(&mut lab, method);
            let request = old(request, "10.17.0.21:5060");
            let request = if method == "INFO" { request.without("Contact") } else { request };
            lab.send(phone.at, request);
            let got = lab.expect(pbx.at, method);
            lab.send(pbx.at, answer(&got, 200, ""));
            lab.expect(listens, "200");
            let info = far.request(&mut lab, "INFO");
            lab.send(pbx.at, info);
            let got = lab.expect(listens, "INFO");
            lab.send(phone.at, answer(&got, 200, ""));
            lab.expect(pbx.at, "200");
        }
        lab.end();
    }
}

#[test]
fn it_calls_as_who_it_is_though_it_is_reached_elsewhere() {
    for version in Version::ALL {
        let mut lab = lab(version, false);
        let (phone, listens) = (lab.phone("101", HIGH), lab.inside(WRITTEN));
        register(&mut lab, &phone, "10.17.0.21", listens);
        let pbx = lab.far("200");
        let invite = phone.request(&mut lab, "INVITE", "200").sdp(phone.sdp(4000));
        lab.send(phone.at, old(invite, "10.17.0.21"));
        lab.expect(listens, "100");
        let rung = lab.expect(pbx.at, "INVITE");
        lab.send(pbx.at, pbx.answer(&rung, 200, "p").sdp(pbx.sdp(6000)));
        lab.expect(listens, "200");
        let mut far = Leg::called(&pbx, &rung, "p");
        let bye = far.request(&mut lab, "BYE");
        lab.send(pbx.at, bye);
        let got = lab.expect(listens, "BYE");
        lab.send(phone.at, answer(&got, 200, ""));
        lab.expect(pbx.at, "200");
        lab.clear();
        lab.end();
    }
}

#[test]
fn a_restart_forgets_neither_port() {
    for version in Version::ALL {
        let mut lab = lab(version, false);
        let (phone, listens) = (lab.phone("101", HIGH), lab.inside(WRITTEN));
        let sealed = register(&mut lab, &phone, "10.17.0.21:5060", listens);
        lab.advance(s(40));
        lab.restart();
        let kept = lab.kept_bindings();
        assert_eq!(kept[0].peer.to_string(), version.at(WRITTEN));
        assert_eq!(kept[0].source.map(|at| at.to_string()), Some(version.at(HIGH)));
        let pbx = lab.far("200");
        let message = pbx.request_to(&mut lab, "MESSAGE", &sealed);
        lab.send(pbx.at, message);
        let got = lab.expect(listens, "MESSAGE");
        lab.send(phone.at, answer(&got, 200, "m"));
        lab.expect(pbx.at, "200");
        lab.end();
    }
}

#[test]
fn everybody_else_is_asked_where_he_sends_from() {
    for version in Version::ALL {
        // An interface that forces it, a Contact behind a NAT, a phone that asks for rport.
        for (forced, host, rport) in [
            (true, "10.17.0.21:5060", false),
            (false, "192.168.1.7:5060", false),
            (false, WRITTEN, true),
        ] {
            let mut lab = lab(version, forced);
            let phone = lab.phone("101", HIGH);
            let pbx = lab.pbx();
            let register = phone
                .request_to(&mut lab, "REGISTER", &format!("sip:{}", phone.domain))
                .set("To", format!("<{}>", phone.aor()))
                .with("Expires", "600");
            let mut register = old(register, host);
            if rport {
                let via = format!("{};rport", register.header("Via"));
                register = register.set("Via", via);
            }
            lab.send(phone.at, register);
            let got = lab.expect(pbx, "REGISTER");
            let sealed = got.contact().to_owned();
            let ok = answer(&got, 200, "r").with("Contact", format!("<{sealed}>;expires=600"));
            lab.send(pbx, ok);
            lab.clear();
            let far = lab.far("200");
            let message = far.request_to(&mut lab, "MESSAGE", &sealed);
            lab.send(pbx, message);
            let got = lab.expect(phone.at, "MESSAGE");
            lab.send(phone.at, answer(&got, 200, "m"));
            lab.expect(pbx, "200");
            lab.end();
        }
    }
}
