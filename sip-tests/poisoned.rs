//! What one phone writes hides nothing from others: hidden are the addresses that phones send from
//! and configured networks, and a Route is never removed by hiding.

use crate::flows::{PRIVATE, natted, register};
use crate::lab::script::answer;
use crate::lab::{Lab, Leg, Ua, site};
use portreeve::engine::Input;

/// The PBX's proxy, and a number of its network.
const PROXY: &str = "203.0.113.11";

fn parties(lab: &Lab) -> (Ua, Ua) {
    (lab.phone("101", "10.17.0.21:5060"), lab.far("200"))
}

/// A call by way of the proxy; the ACK as the PBX got it.
fn called(lab: &mut Lab, phone: &Ua, pbx: &Ua) -> (Leg, Vec<String>) {
    let mut a = lab.call(phone, "200", 4000);
    lab.expect(phone.at, "100");
    let got = lab.expect(pbx.at, "INVITE");
    let mut ok = pbx.answer(&got, 200, "b");
    ok.rows.insert(0, ("Record-Route".to_owned(), format!("<sip:{PROXY};lr>")));
    lab.send(pbx.at, ok.sdp(pbx.sdp(6000)));
    a.learn(&lab.expect(phone.at, "200"));
    let ack = a.ack(lab);
    lab.send(phone.at, ack);
    let proxy = lab.outside(&format!("{PROXY}:5060"));
    let routes = lab.expect(proxy, "ACK").list("Route");
    (a, routes)
}

#[test]
fn a_contact_that_names_the_outside_takes_no_route_away() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let thief = lab.phone("102", "10.17.0.22:5060");
    register(&mut lab, &thief, &format!("<sip:102@{PROXY}:5060>"), 1);
    let (mut a, routes) = called(&mut lab, &phone, &pbx);
    assert_eq!(routes, [format!("<sip:{PROXY};lr>")]);
    // Nor does it change what others say of that address, in heads, names and bodies.
    let text = format!("see http://{PROXY}/");
    let info = a.request(&mut lab, "INFO").with("Subject", &text).typed("text/plain", &text);
    lab.send(phone.at, info);
    let proxy = lab.outside(&format!("{PROXY}:5060"));
    let got = lab.expect(proxy, "INFO");
    assert_eq!((got.header("Subject"), got.body.as_str()), (text.as_str(), text.as_str()));
    assert!(got.has("Route"));
    let message = phone.request_to(&mut lab, "MESSAGE", &format!("sip:200@{PROXY}"));
    lab.send(phone.at, message);
    let got = lab.expect(pbx.at, "MESSAGE");
    assert_eq!(got.uri(), format!("sip:200@{PROXY}"));
    assert!(got.header("To").contains(PROXY), "{got}");
    lab.input(Input::HangUpAll);
    lab.clear();
    lab.end();
}

#[test]
fn nor_does_the_callers_own_address_or_contact() {
    // The phone itself names the proxy: its own words are overwritten, its Route is not.
    let mut lab = Lab::edge();
    let (mut phone, pbx) = parties(&lab);
    phone.domain = site::DOMAIN.to_owned();
    let mut a = lab.call(&phone, "200", 4000);
    lab.expect(phone.at, "100");
    let got = lab.expect(pbx.at, "INVITE");
    let mut ok = pbx.answer(&got, 200, "b");
    for route in [format!("<sip:{PROXY};lr>"), "<sip:10.17.0.21;lr>".to_owned()] {
        ok.rows.push(("Record-Route".to_owned(), route));
    }
    lab.send(pbx.at, ok.sdp(pbx.sdp(6000)));
    a.learn(&lab.expect(phone.at, "200"));
    lab.secrets.clear();
    let ack = a.ack(&mut lab).set("Contact", format!("<sip:101@{PROXY}>"));
    lab.send(phone.at, ack);
    // The nearest router named the inside: the dialog's peer is sent to, with what it said.
    let got = lab.expect(pbx.at, "ACK");
    assert_eq!(got.list("Route"), ["<sip:10.17.0.21;lr>", &format!("<sip:{PROXY};lr>")], "{got}");
    lab.input(Input::HangUpAll);
    lab.clear();
    lab.end();
}

#[test]
fn a_phone_behind_a_nat_does_not_show_its_own_address() {
    let mut lab = Lab::edge();
    let phone = natted(&lab, "10.17.0.21:50001");
    let pbx = lab.far("200");
    register(&mut lab, &phone, PRIVATE, 1);
    lab.secrets.push("192.168.");
    let dialog = "<dialog><target uri=\"sip:101@192.168.1.7\"/></dialog>";
    let message = phone
        .request(&mut lab, "PUBLISH", "200")
        .set("From", "<sip:101@192.168.1.7>;tag=x")
        .set("Contact", PRIVATE)
        .with("Subject", "call me at 192.168.1.7")
        .with("Event", "dialog")
        .typed("application/dialog-info+xml", dialog);
    lab.send(phone.at, message);
    let got = lab.expect(pbx.at, "PUBLISH");
    lab.send(pbx.at, answer(&got, 200, "x"));
    lab.expect(phone.at, "200");
    // What it answers.
    let sealed = register(&mut lab, &phone, PRIVATE, 2);
    let options = pbx.request_to(&mut lab, "MESSAGE", &sealed);
    lab.send(pbx.at, options);
    let got = lab.expect(phone.at, "MESSAGE");
    let no = answer(&got, 486, "x").set("Contact", PRIVATE);
    lab.send(phone.at, no.with("Warning", "399 192.168.1.7 \"busy at 192.168.1.7\""));
    lab.expect(pbx.at, "486");
    lab.end();
}

#[test]
fn an_outside_network_of_the_same_numbers_gets_its_own_words_back() {
    // Behind the PBX stand hosts whose private addresses are those of this site, too.
    let mut lab = Lab::edge();
    lab.secrets.clear();
    let (phone, pbx) = parties(&lab);
    let sealed = lab.register(&phone, 600);
    let behind = "SIP/2.0/UDP 10.17.5.5:5060;branch=z9hG4bKbehind";
    let route = "<sip:10.17.5.5;lr>";
    let invite = pbx
        .request_to(&mut lab, "INVITE", &sealed)
        .set("Call-ID", "abc@10.17.5.5")
        .with("Via", behind)
        .with("Record-Route", "<sip:203.0.113.10;lr>")
        .with("Record-Route", route)
        .sdp(pbx.sdp(6000));
    lab.send(pbx.at, invite.clone());
    let mut a = Leg::calling(&pbx, &invite);
    lab.expect(pbx.at, "100");
    let got = lab.expect(phone.at, "INVITE");
    let mut b = Leg::called(&phone, &got, "in");
    lab.send(phone.at, phone.answer(&got, 180, "in"));
    lab.send(phone.at, phone.answer(&got, 200, "in").sdp(phone.sdp(4000)));
    for status in ["180", "200"] {
        let told = lab.expect(pbx.at, status);
        assert_eq!(told.call_id(), "abc@10.17.5.5");
        assert_eq!(told.all("Via").last(), Some(&behind), "{told}");
        assert_eq!(told.list("Record-Route").last().map(String::as_str), Some(route), "{told}");
        a.learn(&told);
    }
    let ack = a.ack(&mut lab);
    lab.send(pbx.at, ack);
    lab.expect(phone.at, "ACK");
    let bye = b.request(&mut lab, "BYE");
    lab.send(phone.at, bye);
    let bye = lab.expect(pbx.at, "BYE");
    assert_eq!(bye.call_id(), "abc@10.17.5.5");
    assert_eq!(bye.list("Route"), ["<sip:203.0.113.10;lr>", route]);
    lab.send(pbx.at, answer(&bye, 200, ""));
    lab.expect(phone.at, "200");
    lab.end();
}
