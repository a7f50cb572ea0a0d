//! What is under way when a connection closes or a phone moves: answers go where RFC 3261 §18.2.2
//! says, a call that rings can be cancelled and answered all the same.

use crate::flows::{PRIVATE, gone, listening, natted, register};
use crate::lab::script::{Leg, answer};
use crate::lab::{Lab, Ua, s};
use portreeve::engine::Input;
use portreeve::ground::{ConnId, Flow};

/// A TCP phone calls; its leg and the PBX's INVITE.
fn dialled(lab: &mut Lab, phone: &Ua, via: &str) -> (Leg, crate::lab::Msg) {
    let invite = phone.request(lab, "INVITE", "200").sdp(phone.sdp(4000));
    let branch = format!("z9hG4bKf{}", lab.fresh());
    let invite = invite.set("Via", format!("SIP/2.0/TCP {via};branch={branch}"));
    lab.send(phone.at, invite.clone());
    lab.expect(phone.at, "100");
    let pbx = lab.pbx();
    let rung = lab.expect(pbx, "INVITE");
    (Leg::calling(phone, &invite), rung)
}

#[test]
fn an_answer_finds_a_caller_whose_connection_closed() {
    for (via, at) in [
        ("10.17.0.21:5062", "10.17.0.21:5062"),
        ("10.17.0.21", "10.17.0.21:5060"),
        ("192.168.1.7:5070", "10.17.0.21:5070"),
        ("phone.example", "10.17.0.21:5060"),
    ] {
        let mut lab = Lab::edge();
        let phone = Ua::new(lab.inside_tcp("10.17.0.21:50001"), "101");
        let pbx = lab.far("200");
        let (_, rung) = dialled(&mut lab, &phone, via);
        lab.send(pbx.at, answer(&rung, 180, "p"));
        lab.expect(phone.at, "180");
        gone(&mut lab, phone.at);
        lab.send(pbx.at, pbx.answer(&rung, 200, "p").sdp(pbx.sdp(6000)));
        let ok = lab.expect(listening(&phone, at), "200");
        assert_eq!(ok.list("Via").len(), 1, "{via}");
        lab.clear();
        lab.end();
    }
}

#[test]
fn an_answer_that_a_dying_connection_did_not_carry_goes_once_more_and_no_third_time() {
    let mut lab = Lab::edge();
    let phone = Ua::new(lab.inside_tcp("10.17.0.21:50001"), "101");
    let pbx = lab.far("200");
    let message = phone.request(&mut lab, "MESSAGE", "200");
    let message = message.set("Via", "SIP/2.0/TCP 10.17.0.21:5062;branch=z9hG4bKx");
    lab.send(phone.at, message);
    let got = lab.expect(pbx.at, "MESSAGE");
    // A call, whose transaction outlives its answer.
    let (_, rung) = dialled(&mut lab, &phone, "10.17.0.21:5062");
    lab.send(pbx.at, answer(&rung, 486, "p"));
    lab.expect(pbx.at, "ACK");
    lab.expect(phone.at, "486");
    lab.input(Input::TransportFailed(phone.at.flow));
    let there = listening(&phone, "10.17.0.21:5062");
    lab.expect(there, "486");
    gone(&mut lab, phone.at);
    lab.input(Input::TransportFailed(phone.at.flow));
    lab.input(Input::TransportFailed(there.flow));
    lab.nothing_left();
    lab.send(pbx.at, answer(&got, 200, "m"));
    lab.expect(there, "200");
    lab.advance(s(40));
    lab.clear();
    lab.end();
}

#[test]
fn a_datagram_s_answer_goes_where_it_always_went() {
    let mut lab = Lab::edge();
    let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
    let other = lab.inside_tcp("10.17.0.21:5060");
    let a = lab.call(&phone, "200", 4000);
    lab.expect(phone.at, "100");
    let rung = lab.expect(pbx.at, "INVITE");
    gone(&mut lab, other);
    lab.send(pbx.at, answer(&rung, 486, "p"));
    lab.expect(pbx.at, "ACK");
    let busy = lab.expect(phone.at, "486");
    lab.send(phone.at, a.ack_refusal(&busy));
    lab.end();
}

#[test]
fn a_call_that_rings_is_cancelled_and_acknowledged_where_the_phone_is_now() {
    let mut lab = Lab::edge();
    let phone = Ua::new(lab.inside_tcp("10.17.0.21:50001"), "101");
    let contact = "<sip:101@10.17.0.21:5060;transport=tcp>";
    let sealed = register(&mut lab, &phone, contact, 1);
    let pbx = lab.far("200");
    let invite = pbx.request_to(&mut lab, "INVITE", &sealed).sdp(pbx.sdp(6000));
    lab.send(pbx.at, invite.clone());
    lab.expect(pbx.at, "100");
    let rung = lab.expect(phone.at, "INVITE");
    lab.send(phone.at, answer(&rung, 180, "ph"));
    lab.expect(pbx.at, "180");
    gone(&mut lab, phone.at);
    let back = Ua::new(lab.inside_tcp("10.17.0.21:50002"), "101");
    register(&mut lab, &back, contact, 2);
    let far = Leg::calling(&pbx, &invite);
    lab.send(pbx.at, far.cancel());
    lab.expect(pbx.at, "200");
    let cancel = lab.expect(back.at, "CANCEL");
    lab.send(back.at, answer(&cancel, 200, "ph"));
    lab.send(back.at, answer(&rung, 487, "ph"));
    lab.expect(back.at, "ACK");
    let over = lab.expect(pbx.at, "487");
    lab.send(pbx.at, far.ack_refusal(&over));
    lab.end();
}

#[test]
fn a_caller_who_moves_while_it_rings_hears_the_answer_and_may_cancel() {
    for cancels in [false, true] {
        let mut lab = Lab::edge();
        let phone = natted(&lab, "10.17.0.21:50001");
        register(&mut lab, &phone, PRIVATE, 1);
        let pbx = lab.far("200");
        let invite = phone.request(&mut lab, "INVITE", "200").sdp(phone.sdp(4000));
        let invite = invite.set("Contact", PRIVATE);
        lab.send(phone.at, invite.clone());
        lab.expect(phone.at, "100");
        let rung = lab.expect(pbx.at, "INVITE");
        lab.send(pbx.at, answer(&rung, 180, "p"));
        lab.expect(phone.at, "180");
        let there = natted(&lab, "10.17.0.99:50002");
        register(&mut lab, &there, PRIVATE, 2);
        let mut near = Leg::calling(&phone, &invite);
        if cancels {
            lab.send(there.at, near.cancel());
            lab.expect(there.at, "200");
            let cancel = lab.expect(pbx.at, "CANCEL");
            lab.send(pbx.at, answer(&cancel, 200, "p"));
            lab.send(pbx.at, answer(&rung, 487, "p"));
            lab.expect(pbx.at, "ACK");
            let over = lab.expect(there.at, "487");
            lab.send(there.at, near.ack_refusal(&over));
        } else {
            lab.send(pbx.at, pbx.answer(&rung, 200, "p").sdp(pbx.sdp(6000)));
            near.learn(&lab.expect(there.at, "200"));
            near.ua = there.clone();
            let ack = near.ack(&mut lab);
            lab.send(there.at, ack);
            lab.expect(pbx.at, "ACK");
            let thief = natted(&lab, "10.17.0.66:50001");
            near.ua = thief.clone();
            let bye = near.request(&mut lab, "BYE");
            lab.send(thief.at, bye);
            lab.expect(thief.at, "403");
        }
        lab.end();
    }
}

#[test]
fn a_cancel_from_where_nobody_registered_cancels_nothing() {
    let mut lab = Lab::edge();
    let phone = natted(&lab, "10.17.0.21:50001");
    register(&mut lab, &phone, PRIVATE, 1);
    let a = lab.call(&phone, "200", 4000);
    lab.expect(phone.at, "100");
    let pbx = lab.pbx();
    lab.expect(pbx, "INVITE");
    let thief = natted(&lab, "10.17.0.66:50001");
    lab.send(thief.at, a.cancel());
    let no = lab.take_all();
    assert!(no.iter().all(|m| m.status() == 481), "{no:?}");
    lab.nothing_left();
    lab.end();
}

/// The edge, with its upstream reached by streams.
pub(crate) fn streams(upstream: &str) -> Lab {
    let text = crate::lab::site::EDGE
        .replace("address = \"203.0.113.10:5060\"", &format!("address = \"{upstream}\""))
        .replace(
            "listen = [\"udp:5060\", \"tcp:5060\"]",
            "listen = [\"udp:5060\", \"tcp:5060\", \"tls:5061\"]\ntls = \"self-signed\"",
        );
    Lab::with(crate::lab::site::parse(&text), portreeve::engine::digest::Users::None)
}

/// Requests that went out of us towards the PBX, by a stream.
pub(crate) fn asked(lab: &mut Lab, transport: &str, method: &str) -> Vec<crate::lab::Msg> {
    let port = if transport == "tls" { 5061 } else { 5060 };
    let peer = format!("203.0.113.10:{port}").parse().expect("an address");
    let at = crate::lab::Party { flow: Flow { peer, ..lab.pbx().flow } };
    lab.take(at).into_iter().filter(|m| m.method() == method).collect()
}

#[test]
fn a_request_whose_connection_ends_before_an_answer_goes_once_more_and_then_fails() {
    for (upstream, transport) in
        [("sips:203.0.113.10", "tls"), ("sip:203.0.113.10:5060;transport=tcp", "tcp")]
    {
        for method in ["INVITE", "REGISTER", "MESSAGE"] {
            let mut lab = streams(upstream);
            let phone = lab.phone("101", "10.17.0.21:5060");
            let request = match method {
                "REGISTER" => {
                    let domain = format!("sip:{}", phone.domain);
                    let request = phone.request_to(&mut lab, method, &domain);
                    request.set("To", format!("<{}>", phone.aor())).with("Expires", "600")
                }
                "INVITE" => phone.request(&mut lab, method, "200").sdp(phone.sdp(4000)),
                _ => phone.request(&mut lab, method, "200"),
            };
            lab.send(phone.at, request);
            let first = asked(&mut lab, transport, method);
            assert_eq!(first.len(), 1, "{transport} {method}");
            let ended = |n| Flow { conn: Some(ConnId(n)), ..first[0].flow };
            lab.input(Input::ConnectionBroken(ended(900)));
            lab.input(Input::ConnectionClosed(ConnId(900)));
            let again = asked(&mut lab, transport, method);
            assert_eq!(again.len(), 1, "{transport} {method}");
            assert_eq!(again[0].bytes, first[0].bytes, "the same transaction");
            assert!(again[0].flow.conn.is_none(), "by a new one");
            lab.input(Input::ConnectionBroken(ended(901)));
            lab.input(Input::ConnectionClosed(ConnId(901)));
            assert!(asked(&mut lab, transport, method).is_empty(), "{transport} {method}: once");
            let told = lab.take(phone.at);
            let last = told.last().expect("an answer");
            assert_eq!(last.status(), 503, "{transport} {method}");
        }
    }
}

#[test]
fn who_has_answered_or_is_asked_by_another_connection_is_not_asked_again() {
    let mut lab = streams("sip:203.0.113.10:5060;transport=tcp");
    let phone = lab.phone("101", "10.17.0.21:5060");
    let invite = phone.request(&mut lab, "INVITE", "200").sdp(phone.sdp(4000));
    lab.send(phone.at, invite);
    let first = asked(&mut lab, "tcp", "INVITE");
    let by = Flow { conn: Some(ConnId(900)), ..first[0].flow };
    let peer = crate::lab::Party { flow: by };
    lab.send(peer, answer(&first[0], 180, "p"));
    lab.input(Input::ConnectionBroken(by));
    lab.input(Input::ConnectionClosed(ConnId(900)));
    assert!(asked(&mut lab, "tcp", "INVITE").is_empty(), "it rings there");
    let back = crate::lab::Party { flow: Flow { conn: Some(ConnId(901)), ..by } };
    lab.send(back, answer(&first[0], 486, "p"));
    let told = lab.take(phone.at);
    assert_eq!(told.last().expect("an answer").status(), 486);
}
