//! Requests that are on their way outside when the address changes: what nobody has heard is written
//! anew, and whoever is asked next is told where we stand then.

use super::*;

/// Nothing in it names an address that we left.
#[track_caller]
fn tells_now(msg: &Msg) {
    assert!(msg.to_string().contains(NEW) && !msg.to_string().contains(OLD), "{msg}");
}

#[test]
fn what_nobody_has_heard_is_written_anew() {
    for method in ["INVITE", "REGISTER", "SUBSCRIBE"] {
        for gap in [false, true] {
            let mut lab = standing();
            let (phone, pbx) = parties(&lab);
            lab.register(&phone, 600);
            lab.advance(s(10));
            lab.clear();
            let text = match method {
                "INVITE" => phone.request(&mut lab, method, "200").sdp(phone.sdp(4000)),
                "REGISTER" => {
                    let text = phone.request_to(&mut lab, method, "sip:pbx.example.com");
                    text.set("To", format!("<{}>", phone.aor())).with("Expires", "600")
                }
                _ => phone.request(&mut lab, method, "200").with("Event", "dialog"),
            };
            lab.send(phone.at, text.clone());
            let lost = lab.take(pbx.at).pop().expect("it is sent");
            assert!(lost.contact().contains(OLD));
            lab.advance(std::time::Duration::from_millis(300));
            if gap {
                stand(&mut lab, "");
                lab.advance(std::time::Duration::from_millis(300));
            }
            stand(&mut lab, NEW);
            let sent: Vec<Msg> = lab.take(pbx.at);
            let sent: Vec<&Msg> = sent.iter().filter(|m| m.method() == method).collect();
            assert_eq!(sent.len(), 1, "{method} {gap}: {sent:?}\n{}", lab.situation());
            assert_ne!(sent[0].branch(), lost.branch());
            assert!(sent[0].contact().contains(NEW) && !sent[0].body.contains(OLD), "{}", sent[0]);
            let asked = sent[0].clone();
            match method {
                "INVITE" => {
                    tells_now(&asked);
                    assert_eq!(asked.media_address(), NEW);
                    lab.send(pbx.at, pbx.answer(&asked, 200, "t").sdp(pbx.sdp(6000)));
                    assert_eq!(lab.take(phone.at).pop().map(|m| m.status()), Some(200));
                    assert_eq!(lab.relay.open.len(), 1, "the ports of before are back");
                }
                _ => {
                    lab.send(pbx.at, answer(&asked, 202, "t").with("Contact", asked.contact()));
                    assert_eq!(lab.take(phone.at).pop().map(|m| m.status()), Some(202));
                }
            }
            // It is not said again by what it was before.
            lab.advance(s(3));
            let more = lab.take(pbx.at);
            assert!(more.iter().all(|m| m.branch() != lost.branch()), "{more:?}");
            lab.clear();
        }
    }
}

#[test]
fn a_change_within_a_call_that_nobody_has_heard_fails_for_now() {
    let mut lab = standing();
    let (phone, pbx) = parties(&lab);
    let (mut near, _) = lab.establish(&phone, &pbx);
    lab.advance(s(10));
    lab.clear();
    let hold = near.request(&mut lab, "INVITE").sdp(phone.sdp(4000));
    lab.send(phone.at, hold);
    assert!(lab.take(pbx.at).pop().expect("it is sent").body.contains(OLD));
    lab.advance(std::time::Duration::from_millis(300));
    stand(&mut lab, NEW);
    let told = lab.take(phone.at).pop().expect("an answer");
    assert_eq!(told.status(), 503, "{told}");
    lab.send(phone.at, near.ack_refusal(&told));
    assert_eq!(lab.engine.active_calls(), 1, "the call stays as it is");
    lab.clear();
    // Once more, it says where we are.
    let hold = near.request(&mut lab, "INVITE").sdp(phone.sdp(4000));
    lab.send(phone.at, hold);
    let asked = lab.take(pbx.at).pop().expect("it is sent");
    assert_eq!(asked.media_address(), NEW);
    tells_now(&asked);
    lab.clear();
}

/// Behind two targets of one upstream.
fn of_two_targets() -> Lab {
    let second = "targets = [\"203.0.113.10:5060\", \"203.0.113.11:5060\"]";
    let text = site::EDGE.replace("address = \"203.0.113.1\"", "device = \"wan0\"");
    let text = text.replace("address = \"203.0.113.10:5060\"", second);
    let text = text.replacen("probe =", "interface = \"wan\"\nprobe =", 1);
    let mut lab = Lab::with(site::parse(&text), Users::None);
    stand(&mut lab, OLD);
    lab
}

#[test]
fn who_asks_for_no_call_has_his_answer_in_time_though_a_change_met_the_second_target() {
    let mut lab = of_two_targets();
    let (phone, pbx) = parties(&lab);
    let next = lab.outside("203.0.113.11:5060");
    lab.advance(s(10));
    lab.clear();
    let text = phone.request_to(&mut lab, "REGISTER", "sip:pbx.example.com");
    lab.send(phone.at, text.set("To", format!("<{}>", phone.aor())).with("Expires", "600"));
    let is_asked = |lab: &mut Lab, at| lab.take(at).iter().any(|m| m.method() == "REGISTER");
    assert!(is_asked(&mut lab, pbx.at));
    let waited = (1..100).find(|_| {
        lab.advance(std::time::Duration::from_millis(200));
        is_asked(&mut lab, next)
    });
    let waited = std::time::Duration::from_millis(200 * waited.expect("the second is asked"));
    lab.advance(std::time::Duration::from_millis(300));
    stand(&mut lab, NEW);
    lab.advance(s(32) - waited);
    let told: Vec<u16> = lab.take(phone.at).iter().map(Msg::status).collect();
    assert!(matches!(told[..], [408 | 503]), "{told:?}, {waited:?}\n{}", lab.situation());
    lab.clear();
}

#[test]
fn the_target_that_is_asked_next_is_told_where_we_stand() {
    for rings in [true, false] {
        let mut lab = of_two_targets();
        let (phone, pbx) = parties(&lab);
        let next = lab.outside("203.0.113.11:5060");
        lab.advance(s(10));
        lab.clear();
        lab.call(&phone, "200", 4000);
        let first = lab.take(pbx.at).into_iter().find(|m| m.method() == "INVITE");
        let first = first.expect("an INVITE");
        if rings {
            lab.send(pbx.at, pbx.answer(&first, 180, "r"));
        }
        lab.advance(std::time::Duration::from_millis(200));
        stand(&mut lab, NEW);
        let asked = lab.take_all();
        let asked = asked.iter().filter(|m| m.method() == "INVITE" && m.branch() != first.branch());
        let asked: Vec<&Msg> = asked.collect();
        assert_eq!(asked.len(), 1, "{asked:?}");
        assert_eq!(asked[0].flow.peer == next.addr(), rings, "who rang is not asked again");
        tells_now(asked[0]);
        assert_eq!(asked[0].media_address(), NEW);
        lab.clear();
    }
}

#[test]
fn who_asks_for_no_call_has_his_answer_in_time_however_often_the_address_changes() {
    let mut lab = standing();
    let (phone, pbx) = parties(&lab);
    lab.advance(s(10));
    lab.clear();
    let text = phone.request_to(&mut lab, "REGISTER", "sip:pbx.example.com");
    lab.send(phone.at, text.set("To", format!("<{}>", phone.aor())).with("Expires", "600"));
    for to in [NEW, OLD, NEW] {
        lab.advance(std::time::Duration::from_millis(700));
        stand(&mut lab, to);
    }
    lab.advance(s(31));
    let told: Vec<u16> = lab.take(phone.at).iter().map(Msg::status).collect();
    assert!(matches!(told[..], [408 | 503]), "{told:?}\n{}", lab.situation());
    assert!(!lab.take(pbx.at).is_empty());
    lab.clear();
}

#[test]
fn what_nobody_waits_for_any_more_is_not_said_at_another_address() {
    let mut lab = of_two_targets();
    let (phone, pbx) = parties(&lab);
    lab.advance(s(10));
    lab.clear();
    let call = lab.call(&phone, "200", 4000);
    assert!(lab.take(pbx.at).iter().any(|m| m.method() == "INVITE"));
    stand(&mut lab, "");
    lab.advance(std::time::Duration::from_millis(500));
    let cancel = call.cancel();
    lab.send(phone.at, cancel);
    lab.advance(s(3));
    stand(&mut lab, NEW);
    lab.advance(s(40));
    let sent = lab.take_all();
    assert!(sent.iter().all(|m| m.method() != "INVITE"), "{sent:?}");
    lab.clear();
}

#[test]
fn an_offer_of_the_new_address_that_failed_is_made_again() {
    for refused in [true, false] {
        let mut lab = standing();
        let (phone, pbx) = parties(&lab);
        let (mut near, _) = lab.establish(&phone, &pbx);
        move_to(&mut lab, NEW);
        for _ in 0..2 {
            let hold = near.request(&mut lab, "UPDATE").sdp(phone.sdp(4000));
            lab.send(phone.at, hold);
            let asked = lab.take(pbx.at).pop().expect("it is sent");
            tells_now(&asked);
            let said = if refused {
                answer(&asked, 488, "")
            } else {
                answer(&asked, 200, "").typed("text/html", "<p>no</p>")
            };
            lab.send(pbx.at, said);
            assert_eq!(lab.take(phone.at).len(), 1);
        }
        // It is taken, and holds.
        for _ in 0..2 {
            let hold = near.request(&mut lab, "UPDATE").sdp(phone.sdp(4000));
            lab.send(phone.at, hold);
            let asked = lab.take(pbx.at).pop().expect("it is sent");
            tells_now(&asked);
            lab.send(pbx.at, answer(&asked, 200, "").sdp(pbx.sdp(6000)));
            assert_eq!(lab.take(phone.at).pop().map(|m| m.status()), Some(200));
        }
        assert_eq!(lab.relay.open.len(), 1, "{}", lab.situation());
        lab.clear();
    }
}
