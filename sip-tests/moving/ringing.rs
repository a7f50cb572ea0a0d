//! Calls that ring at a phone while the outside address changes: what describes the session to the
//! outside from then on names the new one, whoever offers and whoever answers.

use super::{NEW, OLD, findings, move_to, parties, stand, standing};
use crate::lab::{Lab, Leg, Msg, Ua, s};
use portreeve::relay;

/// A call from outside that rings at the phone; as it came there.
fn ringing(lab: &mut Lab, (phone, pbx): (&Ua, &Ua), offers: bool) -> (Leg, Msg) {
    let contact = lab.register(phone, 600);
    let call = pbx.request_to(lab, "INVITE", &contact);
    let call = if offers { call.sdp(pbx.sdp(6000)) } else { call };
    lab.send(pbx.at, call.clone());
    let rung = lab.expect(phone.at, "INVITE");
    lab.send(phone.at, phone.answer(&rung, 180, "t"));
    lab.clear();
    (Leg::calling(pbx, &call), rung)
}

/// Where the only stream of a call is bound towards outside and inside.
fn binds(lab: &Lab) -> [(String, u16); 2] {
    lab.relay.only().1.legs.map(|leg| (leg.bind.to_string(), leg.port))
}

#[test]
fn who_answers_after_the_change_is_heard_at_the_new_address() {
    let mut lab = standing();
    let (phone, pbx) = parties(&lab);
    let (mut far, rung) = ringing(&mut lab, (&phone, &pbx), true);
    let before = binds(&lab);
    assert_eq!(before[0].0, OLD);
    move_to(&mut lab, NEW);
    lab.send(phone.at, phone.answer(&rung, 200, "t").sdp(phone.sdp(4000)));
    let ok = lab.expect(pbx.at, "200");
    assert!(ok.contact().contains(NEW), "{ok}");
    assert_eq!(ok.media_address(), NEW);
    let after = binds(&lab);
    assert_eq!((after[0].0.as_str(), after[1].clone()), (NEW, before[1].clone()), "one leg moves");
    assert_eq!(ok.media_ports(), [after[0].1]);
    assert_eq!(rung.media_ports(), [after[1].1]);
    let (_, stream) = lab.relay.only();
    assert_eq!(stream.party(relay::Leg::Caller).rtp.map(|at| at.port()), Some(6000));
    assert_eq!(stream.party(relay::Leg::Callee).rtp.map(|at| at.port()), Some(4000));
    // Nobody was told anything that is not so any more.
    assert!(findings(&lab).is_empty(), "{:?}", findings(&lab));
    far.learn(&ok);
    let ack = far.ack(&mut lab);
    lab.send(pbx.at, ack);
    lab.expect(phone.at, "ACK");
    let bye = far.request(&mut lab, "BYE");
    lab.send(pbx.at, bye);
    let bye = lab.expect(phone.at, "BYE");
    lab.send(phone.at, phone.answer(&bye, 200, ""));
    lab.expect(pbx.at, "200");
    lab.clear();
}

#[test]
fn who_is_asked_without_an_offer_and_makes_one_after_the_change_is_heard_there_too() {
    let mut lab = standing();
    let (phone, pbx) = parties(&lab);
    let (mut far, rung) = ringing(&mut lab, (&phone, &pbx), false);
    move_to(&mut lab, NEW);
    lab.send(phone.at, phone.answer(&rung, 200, "t").sdp(phone.sdp(4000)));
    let ok = lab.expect(pbx.at, "200");
    assert!(ok.contact().contains(NEW), "{ok}");
    assert_eq!(ok.media_address(), NEW);
    far.learn(&ok);
    let ack = far.ack(&mut lab).sdp(pbx.sdp(6000));
    lab.send(pbx.at, ack);
    let ack = lab.expect(phone.at, "ACK");
    let legs = binds(&lab);
    assert_eq!((legs[0].0.as_str(), ok.media_ports()), (NEW, vec![legs[0].1]));
    assert_eq!(ack.media_ports(), [legs[1].1]);
    assert!(findings(&lab).is_empty(), "{:?}", findings(&lab));
    lab.clear();
}

#[test]
fn what_was_told_before_is_told_of_and_the_answer_names_the_new_address_all_the_same() {
    let mut lab = standing();
    let (phone, pbx) = parties(&lab);
    let (_, rung) = ringing(&mut lab, (&phone, &pbx), true);
    lab.send(phone.at, phone.answer(&rung, 183, "t").sdp(phone.sdp(4000)));
    assert_eq!(lab.expect(pbx.at, "183").media_address(), OLD);
    move_to(&mut lab, NEW);
    assert_eq!(findings(&lab).len(), 1, "early media have lost their way");
    lab.send(phone.at, phone.answer(&rung, 200, "t").sdp(phone.sdp(4000)));
    assert_eq!(lab.expect(pbx.at, "200").media_address(), NEW);
    lab.clear();
}

#[test]
fn an_address_that_is_gone_for_a_while_or_comes_back_is_told_as_it_is_then() {
    for (ways, end) in [
        (vec!["", NEW], NEW),
        (vec![NEW, OLD], OLD),
        (vec![NEW, "", OLD], OLD),
        (vec!["192.0.2.77", NEW], NEW),
    ] {
        let mut lab = standing();
        let (phone, pbx) = parties(&lab);
        let (_, rung) = ringing(&mut lab, (&phone, &pbx), true);
        for way in &ways {
            lab.advance(s(10));
            stand(&mut lab, way);
            lab.advance(s(5));
        }
        lab.clear();
        lab.send(phone.at, phone.answer(&rung, 200, "t").sdp(phone.sdp(4000)));
        let ok = lab.expect(pbx.at, "200");
        assert_eq!(ok.media_address(), end, "{ways:?}");
        assert_eq!(binds(&lab)[0].0, end, "{ways:?}");
        lab.clear();
    }
}

#[test]
fn a_reinvite_that_is_answered_after_the_change_moves_its_call_too() {
    let mut lab = standing();
    let (phone, pbx) = parties(&lab);
    let (_, mut far) = lab.establish(&phone, &pbx);
    let offer = far.request(&mut lab, "INVITE").sdp(pbx.sdp(6002));
    lab.send(pbx.at, offer);
    let asked = lab.expect(phone.at, "INVITE");
    lab.clear();
    move_to(&mut lab, NEW);
    lab.send(phone.at, phone.answer(&asked, 200, "").sdp(phone.sdp(4002)));
    let ok = lab.expect(pbx.at, "200");
    assert_eq!(ok.media_address(), NEW);
    let legs = binds(&lab);
    assert_eq!(legs.iter().filter(|(bind, _)| bind == OLD).count(), 0, "{legs:?}");
    lab.clear();
}
