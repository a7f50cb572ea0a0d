//! Media as the engine decides it: whose addresses are taken, who may speak, when silence ends a call.

use crate::lab::digest::again;
use crate::lab::script::{answer, sdp_with};
use crate::lab::{Lab, Leg, Msg, Ua, s, sdp, site};
use portreeve::config::Learn;
use portreeve::engine::Input;
use portreeve::relay::{Command, Event, Expect, Leg as Side};

fn parties(lab: &Lab) -> (Ua, Ua) {
    (lab.phone("101", "10.17.0.21:5060"), lab.far("200"))
}

/// What an INVITE with this body gets first besides 100.
fn offered(lab: &mut Lab, ua: &Ua, to: &str, body: &str) -> (Leg, u16) {
    let invite = ua.request_to(lab, "INVITE", to).sdp(body);
    lab.send(ua.at, invite.clone());
    let status = lab.take(ua.at).last().map(Msg::status).unwrap_or_default();
    (Leg::calling(ua, &invite), status)
}

#[test]
fn an_offer_from_outside_may_not_name_what_is_not_outside() {
    for (address, port) in [
        ("127.0.0.1", 6000),
        ("10.17.0.21", 6000),
        ("10.17.0.1", 6000),
        ("203.0.113.1", 6000),
        ("203.0.113.1", 20000),
        ("224.0.0.9", 6000),
        ("169.254.3.4", 6000),
        ("255.255.255.255", 6000),
        ("0.1.2.3", 6000),
        ("203.0.113.10", 80),
        ("203.0.113.10", 1023),
        ("203.0.113.10", 5060),
        ("203.0.113.10", 5061),
        ("203.0.113.10", 9),
        ("media.example.com", 6000),
    ] {
        let mut lab = Lab::edge();
        let (phone, pbx) = parties(&lab);
        let sealed = lab.register(&phone, 600);
        let (leg, status) = offered(&mut lab, &pbx, &sealed, &sdp(address, port));
        assert_eq!(status, 488, "{address}:{port}");
        lab.nothing_left();
        assert_eq!(lab.relay.open.len(), 0, "{address}");
        assert_eq!(lab.security(), ["media_refused"]);
        lab.send(pbx.at, leg.cancel());
        lab.clear();
        lab.end();
    }
}

#[test]
fn an_offer_from_inside_names_the_phone_or_its_network() {
    for (learn, address, status) in [
        (Learn::SameIp, "10.17.0.21", 100),
        (Learn::SameIp, "10.17.0.99", 100),
        (Learn::Strict, "10.17.0.99", 100),
        (Learn::Strict, "192.168.178.5", 488),
        (Learn::SameIp, "127.0.0.1", 488),
        (Learn::SameIp, "10.17.0.1", 488),
        (Learn::Strict, "239.1.1.1", 488),
    ] {
        let mut lab = Lab::edge_with(|c| c.interfaces[0].learn = learn);
        let (phone, _) = parties(&lab);
        let to = "sip:200@pbx.example.com";
        let (_, got) = offered(&mut lab, &phone, to, &sdp(address, 4000));
        assert_eq!(got, status, "{learn:?} {address}");
        lab.clear();
        lab.end();
    }
}

#[test]
fn an_ipv6_destination_is_refused_where_media_leave_by_ipv4() {
    for address in ["2a00:1450::1", "::1", "fd00::1", "::ffff:203.0.113.10"] {
        let body = sdp(address, 6000).replace("IP4", "IP6");
        let mut lab = Lab::edge();
        let (phone, pbx) = parties(&lab);
        let sealed = lab.register(&phone, 600);
        let (_, status) = offered(&mut lab, &pbx, &sealed, &body);
        let mapped = address.starts_with("::ffff:");
        assert_eq!(status, if mapped { 100 } else { 488 }, "{address}: mapped is IPv4");
        if address == "::1" {
            continue;
        }
        // A phone's own idea of its address is replaced by its source, whatever the family.
        let mut lab = Lab::edge();
        let (_, status) = offered(&mut lab, &phone, "sip:200@pbx.example.com", &body);
        assert_eq!(status, 100, "{address}");
        assert_eq!(lab.expect(pbx.at, "INVITE").media_address(), "203.0.113.1");
    }
}

#[test]
fn the_log_names_the_key_that_would_allow_it() {
    let mut lab = Lab::edge();
    let (phone, _) = parties(&lab);
    offered(&mut lab, &phone, "sip:200@pbx.example.com", &sdp("127.0.0.1", 4000));
    assert!(
        lab.notices.iter().any(|(_, text)| text.contains("allow_loopback")),
        "{:?}",
        lab.notices
    );
    lab.clear();
    lab.end();
}

#[test]
fn a_phone_behind_a_nat_is_sent_media_where_it_was_seen() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let to = "sip:200@pbx.example.com";
    offered(&mut lab, &phone, to, &sdp("192.168.178.5", 4000));
    let invite = lab.expect(pbx.at, "INVITE");
    lab.send(pbx.at, pbx.answer(&invite, 183, "b").sdp(pbx.sdp(6000)));
    lab.expect(phone.at, "183");
    let (_, stream) = lab.relay.only();
    let party = stream.party(Side::Caller);
    assert_eq!(party.rtp, "10.17.0.21:4000".parse().ok());
    assert_eq!(party.expect, Expect::SameIp("10.17.0.21".parse().expect("an address")));
    assert_eq!(stream.party(Side::Callee).expect, Expect::Exact, "outside is strict");
    lab.end();
}

#[test]
fn nobody_is_expected_before_the_answer() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    lab.call(&phone, "200", 4000);
    let (_, stream) = lab.relay.only();
    assert_eq!(stream.party(Side::Callee).expect, Expect::Nobody);
    assert_eq!(stream.party(Side::Callee).rtp, None);
    lab.clear();
    assert_eq!(pbx.user, "200");
    lab.end();
}

#[test]
fn an_explicit_rtcp_port_is_used() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let body = sdp_with("10.17.0.21", 4000, "a=rtcp:4711\r\n");
    offered(&mut lab, &phone, "sip:200@pbx.example.com", &body);
    let got = lab.expect(pbx.at, "INVITE");
    let port = got.media_ports()[0];
    assert!(got.body.contains(&format!("a=rtcp:{} IN IP4 203.0.113.1", port + 1)), "{got}");
    let (_, stream) = lab.relay.only();
    assert_eq!(stream.party(Side::Caller).rtcp, "10.17.0.21:4711".parse().ok());
    lab.end();
}

#[test]
fn fax_and_data_streams_are_refused_and_the_call_goes_on() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let body = format!("{}m=image 4400 udptl t38\r\na=T38FaxVersion:0\r\n", phone.sdp(4000));
    offered(&mut lab, &phone, "sip:200@pbx.example.com", &body);
    let got = lab.expect(pbx.at, "INVITE");
    assert_eq!(got.media_ports()[1], 0);
    assert_ne!(got.media_ports()[0], 0);
    assert_eq!(lab.relay.open.len(), 1);
    lab.end();
}

#[test]
fn an_answer_that_may_not_pass_lets_the_callee_go_and_tells_the_caller_488() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let a = lab.call(&phone, "200", 4000);
    lab.expect(phone.at, "100");
    let invite = lab.expect(pbx.at, "INVITE");
    lab.send(pbx.at, pbx.answer(&invite, 200, "b").sdp(sdp("127.0.0.1", 6000)));
    let ack = lab.expect(pbx.at, "ACK");
    assert_eq!((ack.tag("To"), ack.cseq()), (Some("b"), (1, "ACK")));
    let bye = lab.expect(pbx.at, "BYE");
    assert_eq!(bye.tag("To"), Some("b"));
    lab.send(pbx.at, answer(&bye, 200, ""));
    let no = lab.expect(phone.at, "488");
    lab.send(phone.at, a.ack_refusal(&no));
    lab.nothing_left();
    assert_eq!(lab.relay.open.len(), 0);
    assert_eq!(lab.engine.active_calls(), 0);
    lab.end();
}

#[test]
fn media_idle_ends_the_call_with_bye_on_both_sides() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let (a, b) = lab.establish(&phone, &pbx);
    lab.relay.silent = true;
    lab.advance(s(59));
    lab.nothing_left();
    lab.advance(s(1));
    let near = lab.expect(phone.at, "BYE");
    let far = lab.expect(pbx.at, "BYE");
    assert_eq!((near.call_id(), far.call_id()), (a.call_id.as_str(), b.call_id.as_str()));
    assert_eq!(far.cseq(), (2, "BYE"), "the caller's last and one");
    lab.send(phone.at, answer(&near, 200, ""));
    // A challenge to our BYE ends it all the same.
    lab.send(pbx.at, answer(&far, 407, ""));
    lab.nothing_left();
    assert_eq!(lab.ends(), [("answered", 200, "media_timeout")]);
    assert_eq!((lab.engine.active_calls(), lab.relay.open.len()), (0, 0));
    lab.end();
}

#[test]
fn a_ringing_call_is_not_supervised() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    lab.relay.silent = true;
    lab.call(&phone, "200", 4000);
    lab.expect(phone.at, "100");
    let invite = lab.expect(pbx.at, "INVITE");
    lab.send(pbx.at, pbx.answer(&invite, 183, "b").sdp(pbx.sdp(6000)));
    lab.expect(phone.at, "183");
    lab.advance(s(150));
    lab.nothing_left();
    assert_eq!(lab.engine.active_calls(), 1);
    lab.end();
}

#[test]
fn bad_media_never_ends_a_call() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let (mut a, b) = lab.establish(&phone, &pbx);
    let (stream, s) = lab.relay.only();
    let from = "203.0.113.10:7777".parse().ok();
    let expected = s.party(Side::Callee).rtp;
    let leg = Side::Callee;
    lab.relay.report(Event::Stranger { stream, leg, from, expected, count: 500 });
    lab.input(Input::Timeout);
    lab.nothing_left();
    assert_eq!(lab.security(), ["media_stranger"]);
    let told =
        lab.notices.iter().find(|(_, t)| t.contains("203.0.113.10:7777")).expect("a warning");
    assert!(told.1.contains("203.0.113.10:6000") && told.1.contains("same-ip"), "{}", told.1);
    lab.hang_up(&mut a, &b);
    lab.end();
}

#[test]
fn a_port_that_cannot_be_bound_ends_the_attempt() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    lab.relay.refuse = 1;
    let a = lab.call(&phone, "200", 4000);
    lab.expect(phone.at, "100");
    let failed = lab.next(phone.at).expect("a final answer");
    assert!((500..600).contains(&failed.status()), "{failed}");
    lab.send(phone.at, a.ack_refusal(&failed));
    let invite = lab.expect(pbx.at, "INVITE");
    lab.send(pbx.at, pbx.answer(&invite, 180, "b"));
    let cancel = lab.expect(pbx.at, "CANCEL");
    lab.send(pbx.at, answer(&cancel, 200, "b"));
    lab.send(pbx.at, answer(&invite, 487, "b"));
    lab.expect(pbx.at, "ACK");
    lab.nothing_left();
    assert_eq!(lab.engine.active_calls(), 0);
    lab.end();
}

/// An INVITE that the PBX challenges; the phone's leg and the challenge.
fn challenged(lab: &mut Lab, phone: &Ua, pbx: &Ua) -> (Leg, Msg) {
    let a = lab.call(phone, "200", 4000);
    lab.expect(phone.at, "100");
    let invite = lab.expect(pbx.at, "INVITE");
    let value = "Digest realm=\"pbx.example.com\", nonce=\"n1\", qop=\"auth\", algorithm=MD5";
    lab.send(pbx.at, answer(&invite, 407, "b").with("Proxy-Authenticate", value));
    lab.expect(pbx.at, "ACK");
    let no = lab.expect(phone.at, "407");
    lab.send(phone.at, a.ack_refusal(&no));
    (a, no)
}

#[test]
fn a_challenge_keeps_the_session() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let (a, no) = challenged(&mut lab, &phone, &pbx);
    let (stream, _) = lab.relay.only();
    lab.advance(s(3));
    let invite = again(&mut lab, &a.invite, &no, &phone, "secret");
    lab.send(phone.at, invite.clone());
    let mut a = Leg::calling(&phone, &invite);
    a.cseq = 2;
    lab.expect(phone.at, "100");
    let got = lab.expect(pbx.at, "INVITE");
    assert!(got.has("Proxy-Authorization"));
    assert_eq!(lab.relay.only().0, stream, "the same stream and ports");
    let b = Leg::called(&pbx, &got, "b2");
    lab.send(pbx.at, pbx.answer(&got, 200, "b2").sdp(pbx.sdp(6000)));
    let ok = lab.expect(phone.at, "200");
    a.learn(&ok);
    let ack = a.ack(&mut lab);
    lab.send(phone.at, ack);
    lab.expect(pbx.at, "ACK");
    lab.advance(s(45));
    assert_eq!(lab.relay.only().0, stream, "no timer of the challenge is left");
    lab.hang_up(&mut a, &b);
    let opened = lab.relay.log.iter().filter(|c| matches!(c, Command::Open { .. })).count();
    assert_eq!(opened, 1);
    assert_eq!(lab.ends(), [("answered", 200, "caller")]);
    lab.end();
}

#[test]
fn a_challenge_nobody_answers_gives_the_ports_back_after_32_s() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    challenged(&mut lab, &phone, &pbx);
    lab.advance(s(31));
    assert_eq!(lab.relay.open.len(), 1);
    lab.advance(s(2));
    assert_eq!(lab.relay.open.len(), 0);
    assert_eq!(lab.ends().len(), 1, "the attempt has its end in the records");
    lab.end();
}

#[test]
fn a_challenged_bye_is_sent_again_and_then_ends_the_call() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let (mut a, b) = lab.establish(&phone, &pbx);
    let bye = a.request(&mut lab, "BYE");
    lab.send(phone.at, bye);
    let got = lab.expect(pbx.at, "BYE");
    lab.send(
        pbx.at,
        answer(&got, 407, "").with("Proxy-Authenticate", "Digest realm=\"x\", nonce=\"n\""),
    );
    lab.expect(phone.at, "407");
    assert_eq!(lab.engine.active_calls(), 1);
    lab.hang_up(&mut a, &b);
    assert_eq!(lab.ends(), [("answered", 200, "caller")]);
    lab.end();
}

#[test]
fn media_of_two_calls_never_meet() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let other = lab.phone("102", "10.17.0.22:5060");
    lab.establish(&phone, &pbx);
    let (stream, s) = lab.relay.only();
    assert_eq!(stream, lab.relay.only().0);
    // A port of another call is not a destination, though it is ours.
    let port = s.legs[1].port;
    let sealed = lab.register(&other, 600);
    let (_, status) = offered(&mut lab, &pbx, &sealed, &sdp(site::GATE_OUTSIDE, port));
    assert_eq!(status, 488);
    lab.end();
}
