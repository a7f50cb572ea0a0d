//! Several answers to one INVITE: forks at the upstream, forks to a user's phones, spirals, loops.

use crate::lab::script::{Text, answer};
use crate::lab::{Lab, Leg, Msg, Ua, s};

fn parties(lab: &Lab) -> (Ua, Ua) {
    (lab.phone("101", "10.17.0.21:5060"), lab.far("200"))
}

#[test]
fn two_early_dialogs_of_one_branch_are_kept_apart() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let mut a = lab.call(&phone, "200", 4000);
    lab.expect(phone.at, "100");
    let invite = lab.expect(pbx.at, "INVITE");
    for tag in ["one", "two"] {
        lab.send(pbx.at, pbx.answer(&invite, 180, tag));
        assert_eq!(lab.expect(phone.at, "180").tag("To"), Some(tag));
    }
    let b = Leg::called(&pbx, &invite, "two");
    lab.send(pbx.at, pbx.answer(&invite, 200, "two").sdp(pbx.sdp(6000)));
    let ok = lab.expect(phone.at, "200");
    assert_eq!(ok.tag("To"), Some("two"));
    a.learn(&ok);
    let ack = a.ack(&mut lab);
    lab.send(phone.at, ack);
    assert_eq!(lab.expect(pbx.at, "ACK").tag("To"), Some("two"));
    lab.hang_up(&mut a, &b);
    lab.end();
}

#[test]
fn every_2xx_of_a_forked_invite_reaches_the_caller_who_lets_one_go() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let mut one = lab.call(&phone, "200", 4000);
    lab.expect(phone.at, "100");
    let invite = lab.expect(pbx.at, "INVITE");
    let mut two = one.clone();
    let far = [Leg::called(&pbx, &invite, "one"), Leg::called(&pbx, &invite, "two")];
    for (leg, tag, port) in [(&mut one, "one", 6000), (&mut two, "two", 7000)] {
        lab.send(pbx.at, pbx.answer(&invite, 200, tag).sdp(pbx.sdp(port)));
        let ok = lab.expect(phone.at, "200");
        assert_eq!(ok.tag("To"), Some(tag));
        leg.learn(&ok);
        let ack = leg.ack(&mut lab);
        lab.send(phone.at, ack);
        assert_eq!(lab.expect(pbx.at, "ACK").tag("To"), Some(tag));
    }
    let (_, stream) = lab.relay.only();
    let kept = stream.party(portreeve::relay::Leg::Callee).rtp;
    assert_eq!(kept, "203.0.113.10:6000".parse().ok(), "the first answer's media stay");
    let bye = two.request(&mut lab, "BYE");
    lab.send(phone.at, bye);
    let got = lab.expect(pbx.at, "BYE");
    assert_eq!(got.tag("To"), Some("two"));
    lab.send(pbx.at, answer(&got, 200, ""));
    lab.expect(phone.at, "200");
    assert_eq!(lab.engine.active_calls(), 1, "the other fork lives on");
    lab.hang_up(&mut one, &far[0]);
    lab.end();
}

/// Two phones registered for one user; the PBX calls the user.
fn two_phones(lab: &mut Lab) -> (Ua, Ua, Ua, Leg) {
    let desk = lab.phone("101", "10.17.0.21:5060");
    let soft = lab.phone("101", "10.17.0.22:5060");
    lab.register(&desk, 600);
    lab.register(&soft, 600);
    let pbx = lab.far("200");
    let invite = pbx.request_to(lab, "INVITE", "sip:101@203.0.113.1:5060").sdp(pbx.sdp(6000));
    lab.send(pbx.at, invite.clone());
    lab.expect(pbx.at, "100");
    let a = Leg::calling(&pbx, &invite);
    (desk, soft, pbx, a)
}

#[test]
fn all_phones_of_a_user_ring_and_the_others_are_cancelled() {
    let mut lab = Lab::edge();
    let (desk, soft, pbx, mut a) = two_phones(&mut lab);
    let at_desk = lab.expect(desk.at, "INVITE");
    let at_soft = lab.expect(soft.at, "INVITE");
    assert_ne!(at_desk.branch(), at_soft.branch());
    lab.send(desk.at, desk.answer(&at_desk, 180, "d"));
    lab.expect(pbx.at, "180");
    lab.send(soft.at, soft.answer(&at_soft, 180, "s"));
    lab.expect(pbx.at, "180");
    let mut b = Leg::called(&soft, &at_soft, "s");
    lab.send(soft.at, soft.answer(&at_soft, 200, "s").sdp(soft.sdp(4002)));
    let ok = lab.expect(pbx.at, "200");
    a.learn(&ok);
    let cancel = lab.expect(desk.at, "CANCEL");
    lab.send(desk.at, answer(&cancel, 200, "d"));
    lab.send(desk.at, answer(&at_desk, 487, "d"));
    lab.expect(desk.at, "ACK");
    let ack = a.ack(&mut lab);
    lab.send(pbx.at, ack);
    lab.expect(soft.at, "ACK");
    lab.nothing_left();
    lab.hang_up(&mut b, &a);
    lab.end();
}

#[test]
fn cancel_reaches_every_branch() {
    let mut lab = Lab::edge();
    let (desk, soft, pbx, a) = two_phones(&mut lab);
    let mut rung = Vec::new();
    for (phone, tag) in [(&desk, "d"), (&soft, "s")] {
        let invite = lab.expect(phone.at, "INVITE");
        lab.send(phone.at, phone.answer(&invite, 180, tag));
        lab.expect(pbx.at, "180");
        rung.push((phone.clone(), invite, tag));
    }
    lab.send(pbx.at, a.cancel());
    lab.expect(pbx.at, "200");
    for (phone, invite, tag) in &rung {
        let cancel = lab.expect(phone.at, "CANCEL");
        assert_eq!(cancel.branch(), invite.branch());
        lab.send(phone.at, answer(&cancel, 200, tag));
        lab.send(phone.at, answer(invite, 487, tag));
        lab.expect(phone.at, "ACK");
    }
    let over = lab.expect(pbx.at, "487");
    lab.send(pbx.at, a.ack_refusal(&over));
    lab.nothing_left();
    assert_eq!(lab.ends(), [("cancelled", 487, "")]);
    lab.end();
}

#[test]
fn the_best_refusal_of_all_branches_is_told_when_the_last_has_answered() {
    let mut lab = Lab::edge();
    let (desk, soft, pbx, a) = two_phones(&mut lab);
    let at_desk = lab.expect(desk.at, "INVITE");
    let at_soft = lab.expect(soft.at, "INVITE");
    lab.send(desk.at, answer(&at_desk, 480, "d"));
    lab.expect(desk.at, "ACK");
    lab.nothing_left();
    lab.send(soft.at, answer(&at_soft, 603, "s"));
    lab.expect(soft.at, "ACK");
    let no = lab.expect(pbx.at, "603");
    lab.send(pbx.at, a.ack_refusal(&no));
    lab.nothing_left();
    lab.end();
}

#[test]
fn a_6xx_of_one_branch_cancels_the_others() {
    let mut lab = Lab::edge();
    let (desk, soft, pbx, a) = two_phones(&mut lab);
    let at_desk = lab.expect(desk.at, "INVITE");
    let at_soft = lab.expect(soft.at, "INVITE");
    lab.send(soft.at, soft.answer(&at_soft, 180, "s"));
    lab.expect(pbx.at, "180");
    lab.send(desk.at, answer(&at_desk, 600, "d"));
    lab.expect(desk.at, "ACK");
    let cancel = lab.expect(soft.at, "CANCEL");
    lab.send(soft.at, answer(&cancel, 200, "s"));
    lab.send(soft.at, answer(&at_soft, 487, "s"));
    lab.expect(soft.at, "ACK");
    let no = lab.expect(pbx.at, "600");
    lab.send(pbx.at, a.ack_refusal(&no));
    lab.nothing_left();
    lab.end();
}

/// What a stateless proxy does with a request: its own Via and Record-Route on top, a new target.
pub(crate) fn proxied(got: &Msg, target: &str, branch: &str) -> Text {
    let mut rows = vec![
        ("Via".to_owned(), format!("SIP/2.0/UDP 203.0.113.10:5060;branch={branch}")),
        ("Record-Route".to_owned(), "<sip:203.0.113.10;lr>".to_owned()),
    ];
    for (name, value) in &got.rows {
        match name.as_str() {
            "Content-Length" | "Route" => {}
            "Max-Forwards" => {
                let left = value.parse::<u8>().expect("hops") - 1;
                rows.push((name.clone(), left.to_string()));
            }
            _ => rows.push((name.clone(), value.clone())),
        }
    }
    Text { start: format!("{} {target} SIP/2.0", got.method()), rows, body: got.body.clone() }
}

/// … and with a response: the top Via goes.
pub(crate) fn returned(got: &Msg) -> Text {
    let mut rows = got.rows.clone();
    rows.retain(|(name, _)| name != "Content-Length");
    let via = rows.iter().position(|(name, _)| name == "Via").expect("its own");
    rows.remove(via);
    Text { start: got.start.clone(), rows, body: got.body.clone() }
}

#[test]
fn a_spiral_is_not_a_loop() {
    let mut lab = Lab::edge();
    let (alice, bob) = (lab.phone("101", "10.17.0.21:5060"), lab.phone("102", "10.17.0.22:5060"));
    lab.register(&alice, 600);
    let sealed = lab.register(&bob, 600);
    let pbx = lab.pbx();
    let mut a = lab.call(&alice, "102", 4000);
    lab.expect(alice.at, "100");
    let out = lab.expect(pbx, "INVITE");
    lab.send(pbx, proxied(&out, &sealed, "z9hG4bKpbx1"));
    lab.expect(pbx, "100");
    let rung = lab.expect(bob.at, "INVITE");
    assert_eq!(lab.relay.open.len(), 2, "two passes, two streams");
    assert_eq!(rung.media_address(), "10.17.0.1");
    let mut b = Leg::called(&bob, &rung, "bob");
    lab.send(bob.at, bob.answer(&rung, 180, "bob"));
    let ringing = lab.expect(pbx, "180");
    lab.send(pbx, returned(&ringing));
    lab.expect(alice.at, "180");
    lab.send(bob.at, bob.answer(&rung, 200, "bob").sdp(bob.sdp(4100)));
    let ok = lab.expect(pbx, "200");
    lab.send(pbx, returned(&ok));
    let ok = lab.expect(alice.at, "200");
    assert_eq!(ok.media_address(), "10.17.0.1");
    a.learn(&ok);
    let ack = a.ack(&mut lab);
    lab.send(alice.at, ack);
    let through = lab.expect(pbx, "ACK");
    let target = through.uri().to_owned();
    lab.send(pbx, proxied(&through, &target, "z9hG4bKpbx2"));
    lab.expect(bob.at, "ACK");
    lab.nothing_left();
    // The two passes meet: each of the four media legs has a destination.
    for stream in lab.relay.open.values() {
        assert!(stream.legs.iter().all(|l| l.party.rtp.is_some()), "{stream:?}");
    }
    let bye = b.request(&mut lab, "BYE");
    lab.send(bob.at, bye);
    let through = lab.expect(pbx, "BYE");
    let target = through.uri().to_owned();
    lab.send(pbx, proxied(&through, &target, "z9hG4bKpbx3"));
    let bye = lab.expect(alice.at, "BYE");
    lab.send(alice.at, answer(&bye, 200, ""));
    let ok = lab.expect(pbx, "200");
    lab.send(pbx, returned(&ok));
    lab.expect(bob.at, "200");
    assert_eq!(lab.engine.active_calls(), 0);
    assert_eq!(lab.relay.open.len(), 0);
    lab.end();
}

/// A request that came back as it was sent to the gateway first, by way of `got`.
fn bounced(got: &Msg, first: &Text, own_via: &str) -> Text {
    let mut back = proxied(got, first.start.split(' ').nth(1).unwrap_or_default(), "z9hG4bKloop");
    back.rows[0].1 = own_via.to_owned();
    back
}

#[test]
fn a_real_loop_gets_482() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let sealed = lab.register(&phone, 600);
    let caller = lab.phone("102", "10.17.0.22:5060");
    let invite = caller.request_to(&mut lab, "INVITE", &sealed).sdp(caller.sdp(4000));
    lab.send(caller.at, invite.clone());
    lab.expect(caller.at, "100");
    let got = lab.expect(phone.at, "INVITE");
    // What should be a phone sends it back to where it was sent first.
    lab.send(phone.at, bounced(&got, &invite, &phone.via("z9hG4bKloop")));
    lab.expect(phone.at, "482");
    lab.send(phone.at, answer(&got, 482, "l"));
    lab.expect(phone.at, "ACK");
    let no = lab.expect(caller.at, "482");
    lab.send(caller.at, Leg::calling(&caller, &invite).ack_refusal(&no));
    assert_eq!(lab.waiting(), 0, "{pbx:?} hears nothing of it");
    lab.end();
}

#[test]
fn a_trunk_that_returns_a_call_unchanged_reaches_the_other_phone() {
    let mut lab = Lab::edge();
    let (alice, bob) = (lab.phone("101", "10.17.0.21:5060"), lab.phone("102", "10.17.0.22:5060"));
    lab.register(&bob, 600);
    // A Call-ID without a host is not sealed: nothing but the side differs at the second pass.
    let invite =
        alice.request(&mut lab, "INVITE", "102").set("Call-ID", "plain").sdp(alice.sdp(4000));
    lab.send(alice.at, invite);
    lab.expect(alice.at, "100");
    let pbx = lab.pbx();
    let out = lab.expect(pbx, "INVITE");
    let target = out.uri().to_owned();
    lab.send(pbx, proxied(&out, &target, "z9hG4bKpbx1"));
    lab.expect(pbx, "100");
    lab.expect(bob.at, "INVITE");
    lab.nothing_left();
    lab.end();
}

#[test]
fn hops_run_out_at_zero() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let invite = phone.request(&mut lab, "INVITE", "200").set("Max-Forwards", "0");
    lab.send(phone.at, invite);
    lab.expect(phone.at, "483");
    let message = phone.request(&mut lab, "MESSAGE", "200").set("Max-Forwards", "1");
    lab.send(phone.at, message);
    let got = lab.expect(pbx.at, "MESSAGE");
    assert_eq!(got.header("Max-Forwards"), "0");
    lab.send(pbx.at, answer(&got, 200, "m"));
    lab.expect(phone.at, "200");
    let options = phone.request_to(&mut lab, "OPTIONS", "sip:10.17.0.1").set("Max-Forwards", "0");
    lab.send(phone.at, options);
    lab.expect(phone.at, "200");
    lab.advance(s(1));
    lab.end();
}
