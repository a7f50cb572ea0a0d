//! Offers of streams that are not carried here (RFC 3264 §6, RFC 3261 §14.1): one beside a good one
//! is refused alone, a whole offer of them is, and then the session stays.

use crate::lab::script::{Text, answer};
use crate::lab::{Lab, Leg, Ua, s};

fn parties(lab: &Lab) -> (Ua, Ua) {
    (lab.phone("101", "10.17.0.21:5060"), lab.far("200"))
}

const FAX: &str = "m=image 4400 udptl t38\r\na=T38FaxVersion:0\r\na=T38MaxBitRate:14400\r\n";

/// A description without its m= lines and what belongs to them.
fn head(ua: &Ua) -> String {
    let whole = ua.sdp(4000);
    whole.split("m=").next().unwrap_or_default().to_owned()
}

/// Offers whose every live stream is one that is not carried.
fn uncarried(ua: &Ua) -> [String; 5] {
    let head = head(ua);
    let off = "m=audio 0 RTP/AVP 0\r\n";
    [
        format!("{head}{FAX}"),
        format!("{head}{off}{FAX}"),
        format!("{head}{FAX}{off}"),
        format!("{head}m=message 2855 TCP/MSRP *\r\na=path:msrp://x/y;tcp\r\n"),
        format!("{head}{off}m=application 4400 UDP/BFCP *\r\n"),
    ]
}

fn streams(lab: &Lab) -> String {
    format!("{:?}", lab.relay.open)
}

/// An offer that is refused here, before the far side hears of it.
#[track_caller]
fn refused_here(lab: &mut Lab, from: &mut Leg, method: &str, offer: &str) {
    let text = from.request(lab, method).sdp(offer);
    lab.send(from.ua.at, text);
    if method == "INVITE" {
        lab.expect(from.ua.at, "100");
    }
    let no = lab.expect(from.ua.at, "488");
    if method == "INVITE" {
        lab.send(from.ua.at, from.ack_refusal(&no));
    }
    lab.nothing_left();
}

/// Both still talk: a re-INVITE of the caller for audio passes, then BYE.
#[track_caller]
fn talk_on(lab: &mut Lab, a: &mut Leg, b: &Leg) {
    let offer = a.ua.sdp(4000);
    let invite = a.request(lab, "INVITE").sdp(offer);
    lab.send(a.ua.at, invite);
    lab.expect(a.ua.at, "100");
    let got = lab.expect(b.ua.at, "INVITE");
    assert_ne!(got.media_ports()[0], 0);
    lab.send(b.ua.at, b.ua.answer(&got, 200, "").sdp(b.ua.sdp(6000)));
    assert_ne!(lab.expect(a.ua.at, "200").media_ports()[0], 0);
    let ack = a.ack(lab);
    lab.send(a.ua.at, ack);
    lab.expect(b.ua.at, "ACK");
    lab.hang_up(a, b);
}

#[test]
fn a_fall_back_to_fax_is_refused_and_the_speech_goes_on() {
    for method in ["INVITE", "UPDATE"] {
        let mut lab = Lab::edge();
        let (phone, pbx) = parties(&lab);
        let (mut a, mut b) = lab.establish(&phone, &pbx);
        let before = streams(&lab);
        for from in [&mut b, &mut a] {
            for offer in uncarried(&from.ua.clone()) {
                refused_here(&mut lab, from, method, &offer);
                assert_eq!(streams(&lab), before, "{offer}");
            }
        }
        lab.advance(s(90));
        assert_eq!(lab.engine.active_calls(), 1, "nobody hung up");
        talk_on(&mut lab, &mut a, &b);
        lab.end();
    }
}

#[test]
fn a_first_offer_of_nothing_that_is_carried_gets_488() {
    for outwards in [true, false] {
        let mut lab = Lab::edge();
        let (phone, pbx) = parties(&lab);
        let sealed = lab.register(&phone, 600);
        let (caller, to) = match outwards {
            true => (&phone, "sip:200@pbx.example.com".to_owned()),
            false => (&pbx, sealed),
        };
        for offer in uncarried(caller) {
            let text = caller.request_to(&mut lab, "INVITE", &to).sdp(offer);
            lab.send(caller.at, text.clone());
            lab.expect(caller.at, "100");
            let no = lab.expect(caller.at, "488");
            lab.send(caller.at, Leg::calling(caller, &text).ack_refusal(&no));
            lab.nothing_left();
        }
        lab.end();
    }
}

#[test]
fn one_unusable_stream_beside_a_good_one_is_refused_alone() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let (mut a, mut b) = lab.establish(&phone, &pbx);
    for (fax_first, caller_asks) in [(true, true), (true, false), (false, true), (false, false)] {
        let (from, to) = if caller_asks { (&mut a, &b) } else { (&mut b, &a) };
        let audio = from.ua.sdp(4000);
        let tail = audio.split_once("m=").expect("a stream").1;
        let offer = match fax_first {
            true => format!("{}{FAX}m={tail}", head(&from.ua)),
            false => format!("{audio}{FAX}"),
        };
        let invite = from.request(&mut lab, "INVITE").sdp(offer);
        lab.send(from.ua.at, invite);
        lab.expect(from.ua.at, "100");
        let got = lab.expect(to.ua.at, "INVITE");
        let [fax, audio] = if fax_first { [0, 1] } else { [1, 0] };
        assert_eq!(got.media_ports()[fax], 0, "{got}");
        assert_ne!(got.media_ports()[audio], 0, "{got}");
        lab.send(to.ua.at, answer(&got, 488, ""));
        lab.expect(to.ua.at, "ACK");
        let no = lab.expect(from.ua.at, "488");
        lab.send(from.ua.at, from.ack_refusal(&no));
    }
    talk_on(&mut lab, &mut a, &b);
    lab.end();
}

#[test]
fn an_offer_that_ends_every_stream_is_nobodys_fault() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let (mut a, b) = lab.establish(&phone, &pbx);
    let off = |ua: &Ua| format!("{}m=audio 0 RTP/AVP 0\r\n", head(ua));
    let invite = a.request(&mut lab, "INVITE").sdp(off(&phone));
    lab.send(phone.at, invite);
    lab.expect(phone.at, "100");
    let got = lab.expect(pbx.at, "INVITE");
    assert_eq!(got.media_ports(), [0]);
    lab.send(pbx.at, pbx.answer(&got, 200, "").sdp(off(&pbx)));
    assert_eq!(lab.expect(phone.at, "200").media_ports(), [0]);
    let ack = a.ack(&mut lab);
    lab.send(phone.at, ack);
    lab.expect(pbx.at, "ACK");
    talk_on(&mut lab, &mut a, &b);
    lab.end();
}

#[test]
fn an_answer_that_refuses_the_only_stream_passes_as_it_is() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let (mut a, mut b) = lab.establish(&phone, &pbx);
    let offer = pbx.sdp(6600);
    let invite = b.request(&mut lab, "INVITE").sdp(offer);
    lab.send(pbx.at, invite);
    lab.expect(pbx.at, "100");
    let got = lab.expect(phone.at, "INVITE");
    let off = format!("{}m=audio 0 RTP/AVP 0\r\n", head(&phone));
    lab.send(phone.at, phone.answer(&got, 200, "").sdp(off));
    assert_eq!(lab.expect(pbx.at, "200").media_ports(), [0]);
    let ack = b.ack(&mut lab);
    lab.send(pbx.at, ack);
    lab.expect(phone.at, "ACK");
    assert_eq!(lab.engine.active_calls(), 1);
    talk_on(&mut lab, &mut a, &b);
    lab.end();
}

/// A late offer of fax alone is one that may not cross: a refusing answer and BYE.
#[test]
fn a_late_offer_of_nothing_that_is_carried_is_refused_in_the_ack() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let a = lab.call(&phone, "200", 0);
    lab.expect(phone.at, "100");
    let invite = lab.expect(pbx.at, "INVITE");
    let ok: Text = pbx.answer(&invite, 200, "b").sdp(format!("{}{FAX}", head(&pbx)));
    lab.send(pbx.at, ok);
    assert_eq!(lab.expect(pbx.at, "ACK").media_ports(), [0]);
    let bye = lab.expect(pbx.at, "BYE");
    lab.send(pbx.at, answer(&bye, 200, ""));
    let no = lab.expect(phone.at, "488");
    lab.send(phone.at, a.ack_refusal(&no));
    lab.nothing_left();
    lab.end();
}
