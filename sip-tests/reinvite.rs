//! Offers and answers after the first (RFC 3264, RFC 6141, RFC 3262, RFC 3311).

use crate::lab::script::{answer, sdp_with};
use crate::lab::{Lab, Leg, Msg, Ua, s, sdp, site};
use portreeve::relay::{Expect, Leg as Side};

fn parties(lab: &Lab) -> (Ua, Ua) {
    (lab.phone("101", "10.17.0.21:5060"), lab.far("200"))
}

/// A re-INVITE from `from`, answered by `to`: offer as it arrived, answer as it arrived.
fn renegotiate(lab: &mut Lab, from: &mut Leg, to: &Leg, offer: &str, reply: &str) -> (Msg, Msg) {
    let invite = from.request(lab, "INVITE").sdp(offer);
    lab.send(from.ua.at, invite);
    lab.expect(from.ua.at, "100");
    let got = lab.expect(to.ua.at, "INVITE");
    lab.send(to.ua.at, to.ua.answer(&got, 200, "").sdp(reply));
    let ok = lab.expect(from.ua.at, "200");
    let ack = from.ack(lab);
    lab.send(from.ua.at, ack);
    lab.expect(to.ua.at, "ACK");
    lab.nothing_left();
    (got, ok)
}

#[test]
fn hold_in_all_dialects() {
    let far = "203.0.113.10";
    let near = "10.17.0.21";
    let zero = sdp("0.0.0.0", 4000);
    let dialects = [
        ("sendonly", sdp_with(near, 4000, "a=sendonly\r\n"), sdp_with(far, 6000, "a=recvonly\r\n")),
        ("inactive", sdp_with(near, 4000, "a=inactive\r\n"), sdp_with(far, 6000, "a=inactive\r\n")),
        ("0.0.0.0", zero, sdp(far, 6000)),
        (
            "0.0.0.0 and sendonly",
            sdp_with("0.0.0.0", 4000, "a=sendonly\r\n"),
            sdp_with(far, 6000, "a=recvonly\r\n"),
        ),
        ("0.0.0.0 and the discard port", sdp("0.0.0.0", 9), sdp(far, 6000)),
        (
            "sendonly and the discard port",
            sdp_with(near, 9, "a=sendonly\r\n"),
            sdp_with(far, 6000, "a=recvonly\r\n"),
        ),
        (
            "the discard port both ways",
            sdp_with(near, 9, "a=inactive\r\n"),
            sdp_with(far, 9, "a=inactive\r\n"),
        ),
    ];
    for (name, hold, held) in dialects {
        let mut lab = Lab::edge();
        let (phone, pbx) = parties(&lab);
        let (mut a, b) = lab.establish(&phone, &pbx);
        let (id, before) = lab.relay.only();
        let (offer, _) = renegotiate(&mut lab, &mut a, &b, &hold, &held);
        let want = if name.starts_with("0.0.0.0") { "0.0.0.0" } else { site::GATE_OUTSIDE };
        assert_eq!(offer.media_address(), want, "{name}");
        let (same, stream) = lab.relay.only();
        assert_eq!(id, same, "{name}: the stream lives on");
        assert_eq!(stream.idle, None, "{name}: no supervision while on hold");
        lab.relay.silent = true;
        lab.advance(s(3600));
        assert_eq!(lab.engine.active_calls(), 1, "{name}: a held call lives on");
        let resume = phone.sdp(4000);
        let (offer, ok) = renegotiate(&mut lab, &mut a, &b, &resume, &pbx.sdp(6000));
        assert_eq!(offer.media_ports(), [before.legs[1].port], "{name}: the same port again");
        assert_eq!(ok.media_ports(), [before.legs[0].port], "{name}");
        let (_, stream) = lab.relay.only();
        assert_eq!(stream.legs, before.legs, "{name}: as before");
        assert!(stream.idle.is_some(), "{name}: supervised again");
        lab.relay.silent = false;
        lab.hang_up(&mut a, &b);
        lab.end();
    }
}

#[test]
fn the_discard_port_is_no_place_for_media_that_flow() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let (mut a, b) = lab.establish(&phone, &pbx);
    let before = lab.relay.only().1.legs;
    let invite = a.request(&mut lab, "INVITE").sdp(sdp("10.17.0.21", 9));
    lab.send(phone.at, invite);
    lab.expect(phone.at, "100");
    let no = lab.expect(phone.at, "488");
    lab.send(phone.at, a.ack_refusal(&no));
    assert_eq!(lab.relay.only().1.legs, before, "the call goes on as it was");
    lab.hang_up(&mut a, &b);
    lab.end();
}

#[test]
fn the_callee_may_hold_too() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let (mut a, mut b) = lab.establish(&phone, &pbx);
    let hold = sdp_with("203.0.113.10", 6000, "a=sendonly\r\n");
    let (offer, answer) =
        renegotiate(&mut lab, &mut b, &a, &hold, &sdp_with("10.17.0.21", 4000, "a=recvonly\r\n"));
    assert!(offer.body.contains("a=sendonly"));
    assert_eq!(offer.media_address(), site::GATE_INSIDE);
    assert_eq!(answer.media_address(), site::GATE_OUTSIDE);
    lab.hang_up(&mut a, &b);
    lab.end();
}

#[test]
fn a_party_may_move_its_media() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let (mut a, mut b) = lab.establish(&phone, &pbx);
    let (_, before) = lab.relay.only();
    let moved = sdp("203.0.113.20", 7000);
    renegotiate(&mut lab, &mut b, &a, &moved, &phone.sdp(4000));
    let (_, after) = lab.relay.only();
    let party = after.party(Side::Callee);
    assert_eq!(party.rtp, "203.0.113.20:7000".parse().ok());
    assert_eq!(party.rtcp, "203.0.113.20:7001".parse().ok());
    assert_eq!(party.expect, Expect::Exact);
    assert_eq!(after.party(Side::Caller), before.party(Side::Caller));
    lab.hang_up(&mut a, &b);
    lab.end();
}

#[test]
fn a_refused_reinvite_leaves_the_media_as_they_were() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let (mut a, b) = lab.establish(&phone, &pbx);
    let (_, before) = lab.relay.only();
    let invite = a.request(&mut lab, "INVITE").sdp(sdp("10.17.0.21", 4444));
    lab.send(phone.at, invite);
    lab.expect(phone.at, "100");
    let got = lab.expect(pbx.at, "INVITE");
    lab.send(pbx.at, answer(&got, 488, ""));
    lab.expect(pbx.at, "ACK");
    let no = lab.expect(phone.at, "488");
    lab.send(phone.at, a.ack_refusal(&no));
    let (_, after) = lab.relay.only();
    assert_eq!(after.legs, before.legs);
    assert_eq!(lab.engine.active_calls(), 1);
    lab.hang_up(&mut a, &b);
    lab.end();
}

#[test]
fn a_second_stream_is_added_and_refused_with_port_0() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let (mut a, b) = lab.establish(&phone, &pbx);
    let video = "m=video 4100 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n";
    let offer = format!("{}{video}", phone.sdp(4000));
    let with = format!("{}m=video 6100 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n", pbx.sdp(6000));
    let (got, ok) = renegotiate(&mut lab, &mut a, &b, &offer, &with);
    assert_eq!(lab.relay.open.len(), 2);
    assert!(got.media_ports().iter().chain(&ok.media_ports()).all(|p| (20000..21000).contains(p)));
    let without = format!("{}m=video 0 RTP/AVP 96\r\n", pbx.sdp(6000));
    let none = format!("{}m=video 0 RTP/AVP 96\r\n", phone.sdp(4000));
    let (got, ok) = renegotiate(&mut lab, &mut a, &b, &none, &without);
    assert_eq!((got.media_ports()[1], ok.media_ports()[1]), (0, 0));
    lab.hang_up(&mut a, &b);
    lab.end();
}

#[test]
fn early_media_then_answer() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let mut a = lab.call(&phone, "200", 4000);
    lab.expect(phone.at, "100");
    let invite = lab.expect(pbx.at, "INVITE");
    let (_, stream) = lab.relay.only();
    assert_eq!(stream.idle, None, "no supervision before the answer");
    let b = Leg::called(&pbx, &invite, "b");
    lab.send(pbx.at, pbx.answer(&invite, 183, "b").sdp(sdp("203.0.113.30", 8000)));
    let early = lab.expect(phone.at, "183");
    assert_eq!(early.media_address(), site::GATE_INSIDE);
    let (_, stream) = lab.relay.only();
    assert_eq!(stream.party(Side::Callee).rtp, "203.0.113.30:8000".parse().ok());
    assert_eq!(stream.party(Side::Caller).rtp, "10.17.0.21:4000".parse().ok());
    lab.send(pbx.at, pbx.answer(&invite, 200, "b").sdp(pbx.sdp(6000)));
    let ok = lab.expect(phone.at, "200");
    assert_eq!(ok.media_ports(), early.media_ports());
    let (_, stream) = lab.relay.only();
    assert_eq!(stream.party(Side::Callee).rtp, "203.0.113.10:6000".parse().ok());
    a.learn(&ok);
    let ack = a.ack(&mut lab);
    lab.send(phone.at, ack);
    lab.expect(pbx.at, "ACK");
    lab.hang_up(&mut a, &b);
    lab.end();
}

#[test]
fn late_offer() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let mut a = lab.call(&phone, "200", 0);
    lab.expect(phone.at, "100");
    let invite = lab.expect(pbx.at, "INVITE");
    assert!(invite.body.is_empty());
    let b = Leg::called(&pbx, &invite, "b");
    lab.send(pbx.at, pbx.answer(&invite, 200, "b").sdp(pbx.sdp(6000)));
    let ok = lab.expect(phone.at, "200");
    assert_eq!(ok.media_address(), site::GATE_INSIDE, "the offer is ours");
    a.learn(&ok);
    let ack = a.ack(&mut lab).sdp(phone.sdp(4000));
    lab.send(phone.at, ack.clone());
    let got = lab.expect(pbx.at, "ACK");
    assert_eq!(got.media_address(), site::GATE_OUTSIDE, "and so is the answer");
    let (_, stream) = lab.relay.only();
    assert_eq!(stream.party(Side::Caller).rtp, "10.17.0.21:4000".parse().ok());
    assert_eq!(stream.party(Side::Callee).rtp, "203.0.113.10:6000".parse().ok());
    // The 2xx and its ACK once more.
    lab.send(pbx.at, pbx.answer(&invite, 200, "b").sdp(pbx.sdp(6000)));
    assert_eq!(lab.expect(phone.at, "200").body, ok.body);
    lab.send(phone.at, ack);
    assert_eq!(lab.expect(pbx.at, "ACK").body, got.body, "the same answer");
    lab.hang_up(&mut a, &b);
    lab.end();
}

#[test]
fn prack_and_update_bodies_are_rewritten() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let mut a = lab.call(&phone, "200", 0);
    lab.expect(phone.at, "100");
    let invite = lab.expect(pbx.at, "INVITE");
    let mut b = Leg::called(&pbx, &invite, "b");
    let early = pbx.answer(&invite, 183, "b").with("Require", "100rel").with("RSeq", "7");
    lab.send(pbx.at, early.sdp(pbx.sdp(6000)));
    let offer = lab.expect(phone.at, "183");
    assert_eq!(offer.media_address(), site::GATE_INSIDE);
    assert_eq!(offer.header("RSeq"), "7");
    a.learn(&offer);
    let prack = a.request(&mut lab, "PRACK").with("RAck", "7 1 INVITE").sdp(phone.sdp(4000));
    lab.send(phone.at, prack);
    let got = lab.expect(pbx.at, "PRACK");
    assert_eq!(got.media_address(), site::GATE_OUTSIDE, "the answer in PRACK");
    assert_eq!(got.header("RAck"), "7 1 INVITE");
    lab.send(pbx.at, answer(&got, 200, ""));
    lab.expect(phone.at, "200");
    let (_, stream) = lab.relay.only();
    assert_eq!(stream.party(Side::Caller).rtp, "10.17.0.21:4000".parse().ok());
    // The far side moves its early media.
    let update = b.request(&mut lab, "UPDATE").sdp(sdp("203.0.113.44", 6100));
    lab.send(pbx.at, update);
    let got = lab.expect(phone.at, "UPDATE");
    assert_eq!(got.media_address(), site::GATE_INSIDE);
    lab.send(phone.at, phone.answer(&got, 200, "").sdp(phone.sdp(4000)));
    let ok = lab.expect(pbx.at, "200");
    assert_eq!(ok.media_address(), site::GATE_OUTSIDE);
    let (_, stream) = lab.relay.only();
    assert_eq!(stream.party(Side::Callee).rtp, "203.0.113.44:6100".parse().ok());
    lab.send(pbx.at, pbx.answer(&invite, 200, "b"));
    let ok = lab.expect(phone.at, "200");
    a.learn(&ok);
    let ack = a.ack(&mut lab);
    // CSeq of the INVITE, not of the PRACK.
    lab.send(phone.at, ack.set("CSeq", "1 ACK"));
    lab.expect(pbx.at, "ACK");
    lab.hang_up(&mut a, &b);
    lab.end();
}

#[test]
fn a_late_offer_in_a_reinvite_is_answered_in_its_ack() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let (mut a, b) = lab.establish(&phone, &pbx);
    let invite = a.request(&mut lab, "INVITE");
    lab.send(phone.at, invite);
    lab.expect(phone.at, "100");
    let got = lab.expect(pbx.at, "INVITE");
    lab.send(pbx.at, pbx.answer(&got, 200, "").sdp(sdp("203.0.113.50", 6500)));
    lab.expect(phone.at, "200");
    let ack = a.ack(&mut lab).sdp(phone.sdp(4600));
    lab.send(phone.at, ack);
    assert_eq!(lab.expect(pbx.at, "ACK").media_address(), site::GATE_OUTSIDE);
    let (_, stream) = lab.relay.only();
    assert_eq!(stream.party(Side::Caller).rtp, "10.17.0.21:4600".parse().ok());
    assert_eq!(stream.party(Side::Callee).rtp, "203.0.113.50:6500".parse().ok());
    lab.hang_up(&mut a, &b);
    lab.end();
}

#[test]
fn a_session_refresh_without_a_body_changes_nothing() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let (mut a, mut b) = lab.establish(&phone, &pbx);
    let (_, before) = lab.relay.only();
    for _ in 0..2 {
        let update = b.request(&mut lab, "UPDATE").with("Session-Expires", "1800;refresher=uac");
        lab.send(pbx.at, update);
        let got = lab.expect(phone.at, "UPDATE");
        assert_eq!(got.header("Session-Expires"), "1800;refresher=uac");
        lab.send(phone.at, answer(&got, 200, ""));
        lab.expect(pbx.at, "200");
    }
    let (_, after) = lab.relay.only();
    assert_eq!(after.legs, before.legs);
    lab.hang_up(&mut a, &b);
    lab.end();
}

#[test]
fn a_reinvite_refreshes_the_target() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let (mut a, mut b) = lab.establish(&phone, &pbx);
    let invite = b
        .request(&mut lab, "INVITE")
        .sdp(pbx.sdp(6000))
        .set("Contact", "<sip:new@203.0.113.10:5062>");
    lab.send(pbx.at, invite);
    lab.expect(pbx.at, "100");
    let got = lab.expect(phone.at, "INVITE");
    lab.send(phone.at, phone.answer(&got, 200, "").sdp(phone.sdp(4000)));
    lab.expect(pbx.at, "200");
    let ack = b.ack(&mut lab);
    lab.send(pbx.at, ack);
    lab.expect(phone.at, "ACK");
    let bye = a.request(&mut lab, "BYE");
    lab.send(phone.at, bye);
    let at = lab.outside("203.0.113.10:5062");
    let got = lab.expect(at, "BYE");
    assert_eq!(got.uri(), "sip:new@203.0.113.10:5062");
    lab.send(at, answer(&got, 200, ""));
    lab.expect(phone.at, "200");
    lab.end();
}
