//! A response never vanishes: where its body may not cross it goes on without it, and where it cannot
//! be read as a whole, whoever asked is told so at once.

use crate::lab::script::{Text, answer};
use crate::lab::{Lab, Leg, Msg, Party, Ua, s, site};
use portreeve::config::Config;
use portreeve::engine::{Input, Level};
use portreeve::wire::sip::{Framed, Framer};

/// Bodies that cross in neither direction, whatever the file says: type, further header row, body.
const CLOSED: [(&str, &str, &str); 4] = [
    ("text/html", "gzip", "\u{1f}\u{8b}busy"),
    ("application/sdp", "deflate", "x"),
    ("multipart/mixed;boundary=none", "", "no part at all"),
    ("", "", "nameless"),
];

/// Gives an answer a body that may not cross.
fn closed(text: Text, (kind, encoding, body): (&str, &str, &str)) -> Text {
    let mut text = text.typed("Content-Type", body).without("Content-Type");
    if !kind.is_empty() {
        text = text.with("Content-Type", kind);
    }
    if !encoding.is_empty() {
        text = text.with("Content-Encoding", encoding);
    }
    text.with("Content-Language", "en").with("MIME-Version", "1.0")
}

/// Nothing of a body stands in the message, nor anything that describes one.
#[track_caller]
fn is_bare(msg: &Msg) {
    assert!(msg.body.is_empty(), "{msg}");
    for name in ["Content-Type", "Content-Encoding", "Content-Language", "MIME-Version"] {
        assert!(!msg.has(name), "{name} without a body:\n{msg}");
    }
    assert!(!msg.has("Content-Disposition"), "{msg}");
}

/// A call that rings nowhere yet: who calls, who is called, and what each has.
struct Attempt {
    lab: Lab,
    caller: Ua,
    callee: Ua,
    a: Leg,
    invite: Msg,
}

impl Attempt {
    /// From the phone to the PBX, or the other way.
    fn new(outwards: bool, change: impl FnOnce(&mut Config)) -> Self {
        let mut lab = Lab::edge_with(change);
        let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
        let (caller, callee) = if outwards { (phone, pbx) } else { (pbx, phone) };
        let to = match outwards {
            true => format!("sip:200@{}", site::DOMAIN),
            false => lab.register(&callee, 600),
        };
        let text = caller.request_to(&mut lab, "INVITE", &to).sdp(caller.sdp(4000));
        lab.send(caller.at, text.clone());
        let a = Leg::calling(&caller, &text);
        lab.expect(caller.at, "100");
        let invite = lab.expect(callee.at, "INVITE");
        Self { lab, caller, callee, a, invite }
    }

    fn says(&mut self, text: Text) {
        self.lab.send(self.callee.at, text);
    }

    /// The caller's final answer, acknowledged.
    #[track_caller]
    fn refused(&mut self, status: &str) -> Msg {
        let no = self.lab.expect(self.caller.at, status);
        let ack = self.a.ack_refusal(&no);
        self.lab.send(self.caller.at, ack);
        self.lab.nothing_left();
        assert_eq!(self.lab.engine.active_calls(), 0);
        assert_eq!(self.lab.relay.open.len(), 0);
        no
    }
}

#[test]
fn a_refusal_whose_body_may_not_cross_reaches_the_caller_without_it() {
    for outwards in [true, false] {
        for body in CLOSED {
            for (status, told) in
                [(302, "302"), (404, "404"), (486, "486"), (500, "500"), (503, "500"), (603, "603")]
            {
                let mut t = Attempt::new(outwards, |_| {});
                let no = closed(answer(&t.invite, status, "b"), body);
                t.says(no);
                t.lab.expect(t.callee.at, "ACK");
                let no = t.refused(told);
                is_bare(&no);
                t.lab.end();
            }
        }
    }
}

#[test]
fn a_refusal_of_another_type_passes_inwards_as_it_came() {
    for (kind, body) in [
        ("text/html", "<p>busy</p>"),
        ("application/isup;version=itu-t92+", "\u{1}\u{2}\u{3}"),
        ("application/vnd.x", "anything"),
    ] {
        let mut t = Attempt::new(true, |_| {});
        let no = answer(&t.invite, 486, "b").typed(kind, body);
        t.says(no);
        t.lab.expect(t.callee.at, "ACK");
        let no = t.refused("486");
        assert_eq!((no.header("Content-Type"), no.body.as_str()), (kind, body));
        t.lab.end();
    }
}

#[test]
fn a_phone_declines_with_a_page_and_the_caller_hears_of_it() {
    let mut t = Attempt::new(false, |_| {});
    let page = "<a href=\"sip:10.17.0.21\">me</a>";
    let no = answer(&t.invite, 603, "b").typed("text/html", page);
    t.says(no);
    t.lab.expect(t.callee.at, "ACK");
    let no = t.refused("603");
    // That it names nothing inside is checked of everything that leaves.
    assert!(no.body.contains("me</a>"), "{no}");
    t.lab.end();
}

#[test]
fn of_a_multipart_answer_the_part_that_may_not_cross_is_left_out() {
    for outwards in [true, false] {
        let mut t = Attempt::new(outwards, |_| {});
        let body = "--cut\r\nContent-Type: text/plain\r\n\r\nbusy\r\n\
                    --cut\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n\
                    aGlkZGVu\r\n--cut--\r\n";
        let no = answer(&t.invite, 486, "b").typed("multipart/mixed;boundary=cut", body);
        t.says(no);
        t.lab.expect(t.callee.at, "ACK");
        let no = t.refused("486");
        assert!(no.body.contains("busy"), "{no}");
        assert!(!no.body.contains("aGlkZGVu") && !no.body.contains("image/png"), "{no}");
        t.lab.end();
    }
}

#[test]
fn refused_bodies_never_lock_a_user_out() {
    let mut lab = Lab::edge_with(|c| c.limits.calls_per_user = 2);
    let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
    lab.register(&phone, 600);
    for n in 0..6 {
        let a = lab.call(&phone, "200", 4000);
        lab.expect(phone.at, "100");
        let invite = lab.expect(pbx.at, "INVITE");
        lab.send(pbx.at, closed(answer(&invite, 486, "b"), CLOSED[n % CLOSED.len()]));
        lab.expect(pbx.at, "ACK");
        let no = lab.expect(phone.at, "486");
        lab.send(phone.at, a.ack_refusal(&no));
    }
    assert_eq!(lab.ends(), [("busy", 486, ""); 6]);
    lab.end();
}

#[test]
fn a_challenge_whose_body_may_not_cross_reaches_the_caller_without_it() {
    for body in CLOSED {
        let mut t = Attempt::new(true, |_| {});
        let no = answer(&t.invite, 401, "b").with("WWW-Authenticate", "Digest realm=x, nonce=n");
        t.says(closed(no, body));
        t.lab.expect(t.callee.at, "ACK");
        let no = t.lab.expect(t.caller.at, "401");
        assert!(no.has("WWW-Authenticate"), "{no}");
        is_bare(&no);
        let ack = t.a.ack_refusal(&no);
        t.lab.send(t.caller.at, ack);
        t.lab.nothing_left();
        t.lab.advance(s(33));
        assert_eq!(t.lab.relay.open.len(), 0, "nobody came back");
        t.lab.end();
    }
}

#[test]
fn a_cancelled_call_whose_487_has_a_body_is_over() {
    for body in CLOSED {
        let mut t = Attempt::new(true, |_| {});
        let ringing = t.callee.answer(&t.invite, 180, "b");
        t.says(ringing);
        t.lab.expect(t.caller.at, "180");
        let cancel = t.a.cancel();
        t.lab.send(t.caller.at, cancel);
        t.lab.expect(t.caller.at, "200");
        let cancel = t.lab.expect(t.callee.at, "CANCEL");
        t.says(closed(answer(&cancel, 200, "b"), body));
        let over = closed(answer(&t.invite, 487, "b"), body);
        t.says(over);
        t.lab.expect(t.callee.at, "ACK");
        is_bare(&t.refused("487"));
        assert_eq!(t.lab.ends(), [("cancelled", 487, "")]);
        t.lab.end();
    }
}

#[test]
fn a_provisional_answer_whose_body_may_not_cross_goes_on_without_it() {
    for outwards in [true, false] {
        for body in CLOSED {
            let mut t = Attempt::new(outwards, |_| {});
            let ringing = closed(t.callee.answer(&t.invite, 180, "b"), body);
            t.says(ringing);
            is_bare(&t.lab.expect(t.caller.at, "180"));
            let ok = t.callee.answer(&t.invite, 200, "b").sdp(t.callee.sdp(6000));
            let mut b = Leg::called(&t.callee, &t.invite, "b");
            t.says(ok);
            let ok = t.lab.expect(t.caller.at, "200");
            t.a.learn(&ok);
            let ack = t.a.ack(&mut t.lab);
            t.lab.send(t.caller.at, ack);
            t.lab.expect(t.callee.at, "ACK");
            t.lab.hang_up(&mut b, &t.a);
            t.lab.end();
        }
    }
}

/// A 2xx whose body may have been the answer that the caller waits for.
#[test]
fn a_2xx_whose_body_may_have_been_the_answer_is_let_go_and_another_goes_on_without_it() {
    for outwards in [true, false] {
        for (body, session) in CLOSED.into_iter().zip([false, true, true, false]) {
            let mut t = Attempt::new(outwards, |_| {});
            let ok = closed(t.callee.answer(&t.invite, 200, "b"), body);
            t.says(ok);
            if session {
                t.lab.expect(t.callee.at, "ACK");
                let bye = t.lab.expect(t.callee.at, "BYE");
                t.says(answer(&bye, 200, ""));
                t.refused("488");
            } else {
                let ok = t.lab.expect(t.caller.at, "200");
                is_bare(&ok);
                t.a.learn(&ok);
                let ack = t.a.ack(&mut t.lab);
                t.lab.send(t.caller.at, ack);
                t.lab.expect(t.callee.at, "ACK");
                let b = Leg::called(&t.callee, &t.invite, "b");
                t.lab.hang_up(&mut t.a, &b);
            }
            t.lab.end();
        }
    }
}

/// Answers that cannot be read as a whole: a row is missing, twice with two values, or broken; the
/// status of each, and what the log says is wrong.
fn malformed(request: &Msg, status: u16) -> Vec<(Text, &'static str)> {
    let good = answer(request, status, "b");
    let contact = format!("<sip:200@{}>", request.flow.peer);
    vec![
        (good.clone().without("To"), "Missing To"),
        (good.clone().with("To", "<sip:other@pbx.example.com>;tag=c"), "Duplicate To"),
        (good.clone().set("To", "<sip:200"), "Broken To"),
        (good.clone().without("From"), "Missing From"),
        (good.clone().set("Call-ID", "a b"), "Broken Call-ID"),
        (good.clone().with("Call-ID", "another"), "Duplicate Call-ID"),
        (good.clone().without("CSeq"), "Missing CSeq"),
        (good.clone().set("Contact", contact.as_str()).with("Contact", "<sip:"), "Broken Contact"),
        (good.clone().with("Record-Route", "<sip:x;lr"), "Broken Record-Route"),
        (good.clone().with("X-Odd", "a\u{1}b"), "Control In X-Odd"),
        (good.clone().with("Odd Name", "x"), "Broken Header Name"),
        (
            good.clone().with("Content-Type", "text/plain").with("Content-Type", "text/html"),
            "Duplicate Content-Type",
        ),
        (good.clone().with("Content-Length", "7"), "Duplicate Content-Length"),
        (good.with("Content-Length", "0"), "Duplicate Content-Length"),
    ]
}

/// One line says whose answer it was and what is wrong.
#[track_caller]
fn is_told(lab: &Lab, why: &str) {
    let said = |(level, text): &(Level, String)| {
        *level == Level::Warn && text.contains("cannot be read") && text.contains(why)
    };
    assert!(lab.notices.iter().any(said), "{why}: {:?}", lab.notices);
}

#[test]
fn a_malformed_refusal_is_502_to_the_caller_at_once() {
    for outwards in [true, false] {
        for n in 0..malformed(&Attempt::new(outwards, |_| {}).invite, 486).len() {
            let mut t = Attempt::new(outwards, |_| {});
            let (bad, why) = malformed(&t.invite, 486).remove(n);
            t.says(bad);
            let ack = t.lab.expect(t.callee.at, "ACK");
            assert_eq!(ack.call_id(), t.invite.call_id(), "{why}");
            t.refused("502");
            is_told(&t.lab, why);
            t.lab.end();
        }
    }
}

#[test]
fn a_malformed_2xx_is_502_to_the_caller_and_who_answered_is_let_go() {
    for outwards in [true, false] {
        for ringing in [false, true] {
            for n in 0..malformed(&Attempt::new(outwards, |_| {}).invite, 200).len() {
                let mut t = Attempt::new(outwards, |_| {});
                if ringing {
                    let ringing = t.callee.answer(&t.invite, 180, "b");
                    t.says(ringing);
                    t.lab.expect(t.caller.at, "180");
                }
                let (bad, why) = malformed(&t.invite, 200).remove(n);
                t.says(bad.clone());
                let ack = t.lab.expect(t.callee.at, "ACK");
                let bye = t.lab.expect(t.callee.at, "BYE");
                assert_eq!(ack.header("To"), bye.header("To"), "{why}");
                // He has not heard it yet.
                t.says(bad);
                t.lab.expect(t.callee.at, "ACK");
                t.says(answer(&bye, 200, ""));
                t.refused("502");
                is_told(&t.lab, why);
                t.lab.end();
            }
        }
    }
}

#[test]
fn what_says_the_same_twice_says_it_once() {
    for name in ["Content-Type", "Call-ID", "To", "From", "CSeq", "i", "t", "c"] {
        for tcp in [false, true] {
            let mut lab = Lab::edge();
            let at = "10.17.0.22:5060";
            let callee = Ua::new(if tcp { lab.inside_tcp(at) } else { lab.inside(at) }, "102");
            let caller = lab.far("200");
            let sealed = lab.register(&callee, 600);
            let text = caller.request_to(&mut lab, "INVITE", &sealed).sdp(caller.sdp(6000));
            lab.send(caller.at, text);
            lab.expect(caller.at, "100");
            let invite = lab.expect(callee.at, "INVITE");
            let ok = callee.answer(&invite, 200, "b").sdp(callee.sdp(4000));
            let long = match name {
                "c" => "Content-Type",
                "i" => "Call-ID",
                "t" => "To",
                name => name,
            };
            let value = ok.header(long).to_owned();
            lab.send(callee.at, ok.with(name, value));
            let got = lab.expect(caller.at, "200");
            assert_eq!(got.all(long).len(), 1, "{name}: {got}");
            assert!(got.body.starts_with("v=0"), "{got}");
            lab.clear();
            lab.advance(s(40));
            lab.clear();
            lab.end();
        }
    }
    // Not what frames it, and not of a request: it may mean something else to the next who reads it.
    let mut lab = Lab::edge();
    let phone = lab.phone("101", "10.17.0.21:5060");
    let text = phone.request(&mut lab, "MESSAGE", "200").typed("text/plain", "x");
    lab.send(phone.at, text.with("Content-Type", "text/plain"));
    lab.expect(phone.at, "400");
    lab.nothing_left();
}

#[test]
fn a_session_description_that_cannot_be_read_is_488_and_who_answered_is_let_go() {
    for outwards in [true, false] {
        for body in ["v=0\r\nm=audio\r\n", "v=1\r\ns=-\r\n", "audio, please"] {
            let mut t = Attempt::new(outwards, |_| {});
            let ok = t.callee.answer(&t.invite, 200, "b").sdp(body);
            t.says(ok);
            t.lab.expect(t.callee.at, "ACK");
            let bye = t.lab.expect(t.callee.at, "BYE");
            t.says(answer(&bye, 200, ""));
            t.refused("488");
            t.lab.end();
        }
    }
}

#[test]
fn a_malformed_provisional_answer_is_as_good_as_100() {
    for outwards in [true, false] {
        let mut t = Attempt::new(outwards, |_| {});
        let (bad, why) = malformed(&t.invite, 180).remove(0);
        t.says(bad);
        t.lab.nothing_left();
        is_told(&t.lab, why);
        // Nobody asks again, and nobody is given up.
        t.lab.advance(s(40));
        t.lab.nothing_left();
        let no = answer(&t.invite, 486, "b");
        t.says(no);
        t.lab.expect(t.callee.at, "ACK");
        t.refused("486");
        t.lab.end();
    }
}

#[test]
fn a_malformed_answer_of_who_was_cancelled_is_487_for_the_caller() {
    for status in [486, 487] {
        let mut t = Attempt::new(true, |_| {});
        let ringing = t.callee.answer(&t.invite, 180, "b");
        t.says(ringing);
        t.lab.expect(t.caller.at, "180");
        let cancel = t.a.cancel();
        t.lab.send(t.caller.at, cancel);
        t.lab.expect(t.caller.at, "200");
        let cancel = t.lab.expect(t.callee.at, "CANCEL");
        t.says(answer(&cancel, 200, "b"));
        let (bad, _) = malformed(&t.invite, status).remove(0);
        t.says(bad);
        t.lab.expect(t.callee.at, "ACK");
        t.refused(if status == 487 { "487" } else { "502" });
        t.lab.end();
    }
}

#[test]
fn a_malformed_answer_to_another_request_is_502_at_once() {
    for method in ["MESSAGE", "REGISTER", "OPTIONS", "SUBSCRIBE", "PUBLISH"] {
        for status in [200, 404] {
            let count = {
                let mut lab = Lab::edge();
                let phone = lab.phone("101", "10.17.0.21:5060");
                let text = phone.request(&mut lab, method, "200").with("Event", "x");
                lab.send(phone.at, text);
                let pbx = lab.pbx();
                malformed(&lab.expect(pbx, method), status).len()
            };
            for n in 0..count {
                let mut lab = Lab::edge();
                let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.pbx());
                let mut text = phone.request(&mut lab, method, "200").with("Event", "x");
                if method == "REGISTER" {
                    text = text.set("To", format!("<{}>", phone.aor()));
                }
                lab.send(phone.at, text);
                let got = lab.expect(pbx, method);
                let (bad, why) = malformed(&got, status).remove(n);
                lab.send(pbx, bad);
                lab.expect(phone.at, "502");
                is_told(&lab, why);
                lab.end();
            }
        }
    }
}

#[test]
fn within_a_call_a_malformed_answer_ends_what_it_answers_and_no_more() {
    for method in ["INFO", "INVITE", "UPDATE", "BYE"] {
        let mut lab = Lab::edge();
        let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
        let (mut a, b) = lab.establish(&phone, &pbx);
        let mut text = a.request(&mut lab, method);
        if matches!(method, "INVITE" | "UPDATE") {
            text = text.sdp(phone.sdp(4000));
        }
        lab.send(phone.at, text);
        if method == "INVITE" {
            lab.expect(phone.at, "100");
        }
        let got = lab.expect(pbx.at, method);
        let bad = pbx.answer(&got, 200, "").with("Content-Type", "a/b").with("Content-Type", "c/d");
        lab.send(pbx.at, bad);
        let no = lab.take(phone.at).pop().expect("an answer");
        assert_eq!(no.status(), 502, "{method}: {no}");
        if method == "INVITE" {
            lab.expect(pbx.at, "ACK");
            let ack = a.ack_refusal(&no);
            lab.send(phone.at, ack);
        }
        lab.nothing_left();
        match method {
            "BYE" => assert_eq!(lab.ends(), [("answered", 200, "caller")]),
            _ => lab.hang_up(&mut a, &b),
        }
        lab.end();
    }
}

#[test]
fn an_answer_that_a_stream_cannot_frame_is_502_before_the_stream_is_closed() {
    let mut lab = Lab::edge();
    let callee = Ua::new(lab.inside_tcp("10.17.0.22:5060"), "102");
    let caller = lab.far("200");
    let sealed = lab.register(&callee, 600);
    let text = caller.request_to(&mut lab, "INVITE", &sealed).sdp(caller.sdp(6000));
    lab.send(caller.at, text.clone());
    lab.expect(caller.at, "100");
    let invite = lab.expect(callee.at, "INVITE");
    let bad = callee.answer(&invite, 200, "b").sdp(callee.sdp(4000)).with("l", "7");
    let mut framer = Framer::default();
    framer.push(&bytes::Bytes::from(bad));
    let Some(Framed::Refused(refusal)) = framer.next() else { panic!("it is framed") };
    lab.input(Input::StreamRefused { flow: callee.at.flow, refusal });
    lab.expect(callee.at, "ACK");
    lab.expect(callee.at, "BYE");
    let no = lab.expect(caller.at, "502");
    let ack = Leg::calling(&caller, &text).ack_refusal(&no);
    lab.send(caller.at, ack);
    is_told(&lab, "Content-Length");
    lab.advance(s(40));
    lab.clear();
    lab.end();
}

#[test]
fn nobody_else_s_malformed_answer_is_one() {
    let mut t = Attempt::new(true, |_| {});
    let other = t.lab.outside("203.0.113.66:5060");
    let (bad, _) = malformed(&t.invite, 486).remove(0);
    t.lab.send(other, bad.clone());
    let stray = bad.set("Via", "SIP/2.0/UDP 203.0.113.1:5060;branch=z9hG4bKnever");
    t.says(stray);
    t.lab.nothing_left();
    assert_eq!(t.lab.engine.active_calls(), 1);
    let no = answer(&t.invite, 486, "b");
    t.says(no);
    t.lab.expect(t.callee.at, "ACK");
    t.refused("486");
    t.lab.end();
}

/// A request outside a dialog, its answer with a body that may not cross, and what comes of it.
#[track_caller]
fn answered(lab: &mut Lab, from: &Ua, to: Party, text: Text, body: (&str, &str, &str)) {
    let method = text.start.split(' ').next().unwrap_or_default().to_owned();
    lab.send(from.at, text);
    let got = lab.expect(to, &method);
    let mut ok = answer(&got, 200, "x");
    if matches!(method.as_str(), "REGISTER" | "SUBSCRIBE") {
        ok = ok.with("Contact", format!("<{}>", got.contact())).with("Expires", "600");
    }
    lab.send(to, closed(ok, body));
    is_bare(&lab.expect(from.at, "200"));
    lab.nothing_left();
}

#[test]
fn answers_to_other_requests_outside_a_dialog_go_on_without_their_body() {
    for body in CLOSED {
        for method in ["OPTIONS", "MESSAGE", "PUBLISH", "SUBSCRIBE", "REGISTER", "PING"] {
            let mut lab = Lab::edge();
            let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.pbx());
            let mut text = phone.request(&mut lab, method, "200").with("Event", "presence");
            if method == "REGISTER" {
                text = text.set("To", format!("<{}>", phone.aor())).with("Expires", "600");
                text.start = format!("REGISTER sip:{} SIP/2.0", site::DOMAIN);
            }
            answered(&mut lab, &phone, pbx, text, body);
            let bound = usize::from(method == "REGISTER");
            assert_eq!(lab.engine.bindings(lab.now).len(), bound, "{method}");
            lab.end();
        }
        for method in ["OPTIONS", "MESSAGE", "NOTIFY", "PING"] {
            let mut lab = Lab::edge();
            let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
            let sealed = lab.register(&phone, 600);
            let text = pbx.request_to(&mut lab, method, &sealed).with("Event", "message-summary");
            answered(&mut lab, &pbx, phone.at, text, body);
            lab.end();
        }
    }
}

#[test]
fn answers_within_a_dialog_go_on_without_their_body_from_both_sides() {
    for body in CLOSED {
        let mut lab = Lab::edge();
        let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
        let (mut a, mut b) = lab.establish(&phone, &pbx);
        for method in ["INFO", "MESSAGE", "OPTIONS", "NOTIFY", "UPDATE"] {
            for (from, to) in [(&mut a, pbx.at), (&mut b, phone.at)] {
                let ua = from.ua.clone();
                let text = from.request(&mut lab, method).with("Event", "talk");
                let sub = "active;expires=60";
                answered(&mut lab, &ua, to, text.with("Subscription-State", sub), body);
            }
        }
        assert_eq!(lab.engine.active_calls(), 1);
        let bye = b.request(&mut lab, "BYE");
        answered(&mut lab, &pbx, phone.at, bye, body);
        assert_eq!(lab.ends(), [("answered", 200, "callee")]);
        lab.end();
    }
}
