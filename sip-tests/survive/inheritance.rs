//! What of a phone is whose while nobody asks for its password: its name, its calls, its place.

use super::{phones, pull, register, surviving};
use crate::lab::script::{Text, answer};
use crate::lab::{Lab, Leg, Msg, Ua, s, site};
use portreeve::engine::Key;
use portreeve::engine::digest::Users;

const IDENTITY: [(&str, &str); 4] = [
    ("P-Asserted-Identity", "\"Boss\" <sip:103@pbx.example.com>"),
    ("P-Preferred-Identity", "\"Boss\" <sip:103@pbx.example.com>"),
    ("Remote-Party-ID", "\"Boss\" <sip:103@pbx.example.com>;party=calling;screen=yes"),
    ("P-Served-User", "<sip:103@pbx.example.com>"),
];

fn boasting(text: Text) -> Text {
    IDENTITY.iter().fold(text, |text, (name, value)| text.with(name, *value))
}

#[track_caller]
fn is_plain(msg: &Msg) {
    assert!(IDENTITY.iter().all(|(name, _)| !msg.has(name)), "{msg}");
}

/// A REGISTER that goes to the PBX, which grants what it asks for.
#[track_caller]
fn granted(lab: &mut Lab, ua: &Ua, change: impl Fn(Text) -> Text) {
    let told = register(lab, ua, change);
    assert!(told.is_none(), "the PBX says it: {told:?}");
    let pbx = lab.pbx();
    let asked = lab.expect(pbx, "REGISTER");
    let ok = answer(&asked, 200, "r");
    let ok = match asked.header("Expires") {
        "0" => ok,
        seconds => ok.with("Contact", format!("<{}>;expires={seconds}", asked.contact())),
    };
    lab.send(pbx, ok);
    lab.expect(ua.at, "200");
}

/// Where a call for this user rings; it is refused.
fn rings(lab: &mut Lab, by: &Ua, user: &str, places: &[&Ua]) -> Vec<bool> {
    let call = lab.call(by, user, 4000);
    let mut rang = Vec::new();
    for ua in places {
        let invite = lab.take(ua.at).into_iter().find(|m| m.is_request());
        rang.push(invite.is_some());
        if let Some(invite) = invite {
            lab.send(ua.at, ua.answer(&invite, 486, "busy"));
        }
    }
    if let Some(no) = lab.take(by.at).into_iter().find(|m| m.status() >= 300) {
        lab.send(by.at, call.ack_refusal(&no));
    }
    lab.take_all();
    rang
}

#[test]
fn a_phone_asserts_no_identity_to_another_one() {
    let mut lab = surviving("");
    let (a, b) = phones(&mut lab);
    pull(&mut lab, &a);
    let text = a.request(&mut lab, "MESSAGE", "102").typed("text/plain", "hello");
    lab.send(a.at, boasting(text));
    let got = lab.expect(b.at, "MESSAGE");
    is_plain(&got);
    lab.send(b.at, boasting(answer(&got, 200, "m")));
    is_plain(&lab.expect(a.at, "200"));
    // A call, its answers, and what is sent within it.
    let invite = a.request(&mut lab, "INVITE", "102").sdp(a.sdp(4000));
    let own = "<sip:101@pbx.example.com>;reason=no-answer";
    let invite = boasting(invite).with("Diversion", own);
    let other = "<sip:102@pbx.example.com>;index=1, <sip:104@pbx.example.com>;index=1.1";
    let invite = invite.with("History-Info", other).with("P-Called-Party-ID", "<sip:104@x.test>");
    lab.send(a.at, invite.clone());
    let mut call = Leg::calling(&a, &invite);
    let rung = lab.expect(b.at, "INVITE");
    is_plain(&rung);
    assert!(rung.has("Diversion"), "that it forwards a call it may say of itself: {rung}");
    assert!(!rung.has("History-Info") && !rung.has("P-Called-Party-ID"), "{rung}");
    lab.send(b.at, boasting(b.answer(&rung, 180, "t")));
    lab.send(b.at, boasting(b.answer(&rung, 200, "t").sdp(b.sdp(6000))));
    let told = lab.take(a.at);
    assert_eq!(told.iter().map(Msg::status).collect::<Vec<_>>(), [100, 180, 200]);
    told.iter().for_each(is_plain);
    call.learn(told.last().expect("an answer"));
    let ack = call.ack(&mut lab);
    lab.send(a.at, ack);
    lab.expect(b.at, "ACK");
    let mut other = Leg::called(&b, &rung, "t");
    let update = other.request(&mut lab, "UPDATE");
    lab.send(b.at, boasting(update));
    let got = lab.expect(a.at, "UPDATE");
    is_plain(&got);
    lab.send(a.at, boasting(answer(&got, 200, "")));
    is_plain(&lab.expect(b.at, "200"));
    lab.hang_up(&mut call, &other);
    lab.take_all();
    lab.end();
}

#[test]
fn who_registers_again_and_again_under_other_contacts_pushes_nobody_out() {
    let mut lab = surviving("[limits]\nbindings = 64\n");
    let (a, b) = phones(&mut lab);
    let busy = lab.phone("103", "10.17.0.23:5060");
    let refresh = |lab: &mut Lab, n: u32| {
        granted(lab, &busy, |t| t.set("Contact", format!("<sip:103.{n}@10.17.0.23:5060>")));
        // Which is the oldest, is known by the second after a restart.
        lab.advance(s(2));
    };
    (0..80).for_each(|n| refresh(&mut lab, n));
    // Another user's phone at that address: the Contact says which of them it is.
    let beside = lab.phone("104", "10.17.0.23:5070");
    granted(&mut lab, &beside, |t| t);
    let kept = lab.stored.keys().filter(|k| matches!(k, Key::Confirmed(_))).count();
    assert_eq!(kept, 11, "three phones, and the newest eight of the fourth");
    lab.restart();
    pull(&mut lab, &a);
    lab.take_all();
    let known = |lab: &mut Lab, ua: &Ua| {
        let told = register(lab, ua, |t| t);
        lab.advance(s(3));
        told.or_else(|| lab.take(ua.at).pop()).map(|m| m.status())
    };
    assert_eq!([known(&mut lab, &a), known(&mut lab, &b)], [Some(200); 2]);
    for (n, status) in [(79, 200), (72, 200), (71, 503)] {
        let contact = format!("<sip:103.{n}@10.17.0.23:5060>");
        let told = register(&mut lab, &busy, |t| t.set("Contact", contact.as_str()));
        assert_eq!(told.map(|m| m.status()), Some(status), "{n}");
    }
    lab.take_all();
    lab.end();
}

#[test]
fn where_all_are_too_many_the_oldest_of_who_has_most_goes() {
    let mut lab = surviving("[limits]\nbindings = 12\n");
    let (a, b) = phones(&mut lab);
    for user in ["103", "104"] {
        let busy = lab.phone(user, "10.17.0.23:5060");
        for n in 0..8 {
            granted(&mut lab, &busy, |t| {
                let contact = format!("<sip:{user}.{n}@10.17.0.23:5060>");
                t.set("Contact", contact).set("Expires", "1")
            });
            lab.advance(s(3));
        }
    }
    let kept = lab.stored.keys().filter(|k| matches!(k, Key::Confirmed(_))).count();
    assert_eq!(kept, 12);
    pull(&mut lab, &a);
    for ua in [&a, &b] {
        assert_eq!(register(&mut lab, ua, |t| t).map(|m| m.status()), Some(200));
    }
    lab.take_all();
    lab.end();
}

#[test]
fn who_logged_out_at_the_pbx_is_not_followed_by_who_sits_there_next() {
    for star in [false, true] {
        let mut lab = surviving("");
        let (a, _) = phones(&mut lab);
        let desk = lab.phone("105", "10.17.0.55:5060");
        lab.register(&desk, 600);
        granted(&mut lab, &desk, |t| {
            let t = t.set("Expires", "0").set("CSeq", "2 REGISTER");
            if star { t.set("Contact", "*") } else { t }
        });
        let kept = lab.stored.keys().filter(|k| matches!(k, Key::Confirmed(_))).count();
        assert_eq!(kept, 2, "{star}");
        pull(&mut lab, &a);
        assert_eq!(register(&mut lab, &desk, |t| t).map(|m| m.status()), Some(503), "{star}");
        lab.take_all();
        lab.end();
    }
}

/// A softphone, which draws its port at each start.
fn softphone(lab: &mut Lab, port: u16) -> Ua {
    lab.phone("105", &format!("10.17.0.55:{port}"))
}

/// What the PBX says to its REGISTER.
#[track_caller]
fn told_by_pbx(lab: &mut Lab, ua: &Ua, status: u16) {
    assert!(register(lab, ua, |t| t.set("CSeq", "7 REGISTER")).is_none());
    let pbx = lab.pbx();
    let asked = lab.expect(pbx, "REGISTER");
    lab.send(pbx, answer(&asked, status, "r"));
    lab.expect(ua.at, &status.to_string());
}

#[test]
fn what_the_pbx_ended_is_not_known_by_an_older_contact_either() {
    for how in ["logout", "star", "ban", "ban of the next start"] {
        let mut lab = surviving("");
        let (a, _) = phones(&mut lab);
        for port in [6_001, 6_002] {
            let yesterday = softphone(&mut lab, port);
            granted(&mut lab, &yesterday, |t| t.set("Expires", "2"));
            lab.advance(s(5));
        }
        let today = softphone(&mut lab, 6_003);
        granted(&mut lab, &today, |t| t);
        let ends = |t: Text| t.set("Expires", "0").set("CSeq", "2 REGISTER");
        let next = match how {
            "logout" => {
                granted(&mut lab, &today, ends);
                6_004
            }
            "star" => {
                granted(&mut lab, &today, |t| ends(t).set("Contact", "*"));
                6_004
            }
            "ban" => {
                told_by_pbx(&mut lab, &today, 403);
                6_004
            }
            _ => {
                let again = softphone(&mut lab, 6_004);
                told_by_pbx(&mut lab, &again, 404);
                6_005
            }
        };
        lab.restart();
        pull(&mut lab, &a);
        for port in [6_001, next] {
            let there = softphone(&mut lab, port);
            let told = register(&mut lab, &there, |t| t);
            assert_eq!(told.map(|m| m.status()), Some(503), "{how} {port}");
        }
        lab.take_all();
        lab.end();
    }
}

#[test]
fn who_comes_again_after_the_end_is_known_again_and_takes_his_old_name_back_himself() {
    let mut lab = surviving("");
    let (a, _) = phones(&mut lab);
    let old = softphone(&mut lab, 6_001);
    granted(&mut lab, &old, |t| t);
    told_by_pbx(&mut lab, &old, 410);
    // In one REGISTER the new name, and the end of the old one.
    let new = softphone(&mut lab, 6_002);
    let both = "<sip:105@10.17.0.55:6002>;expires=600, <sip:105@10.17.0.55:6001>;expires=0";
    assert!(register(&mut lab, &new, |t| t.set("Contact", both)).is_none());
    let pbx = lab.pbx();
    let asked = lab.expect(pbx, "REGISTER");
    let sealed = asked.contact().split(';').next().unwrap_or_default().to_owned();
    lab.send(pbx, answer(&asked, 200, "r").with("Contact", format!("{sealed};expires=600")));
    lab.expect(new.at, "200");
    pull(&mut lab, &a);
    let later = softphone(&mut lab, 6_003);
    for ua in [&new, &later] {
        assert_eq!(register(&mut lab, ua, |t| t).map(|m| m.status()), Some(200));
    }
    lab.take_all();
    lab.end();
}

#[test]
fn another_phone_of_his_at_that_address_stays_what_it_is_registered_as_and_no_more() {
    for status in [200, 403] {
        let mut lab = surviving("");
        let (a, _) = phones(&mut lab);
        let (one, other) = (softphone(&mut lab, 6_001), softphone(&mut lab, 6_002));
        granted(&mut lab, &one, |t| t);
        granted(&mut lab, &other, |t| t);
        match status {
            200 => granted(&mut lab, &one, |t| t.set("Expires", "0").set("CSeq", "2 REGISTER")),
            _ => told_by_pbx(&mut lab, &one, status),
        }
        pull(&mut lab, &a);
        let known = |lab: &mut Lab, ua: &Ua| register(lab, ua, |t| t).map(|m| m.status());
        assert_eq!(known(&mut lab, &other), Some(200), "{status}");
        let third = softphone(&mut lab, 6_003);
        assert_eq!([&one, &third].map(|ua| known(&mut lab, ua)), [Some(503); 2], "{status}");
        lab.take_all();
        lab.end();
    }
}

#[test]
fn another_port_of_a_phones_address_gets_none_of_its_calls() {
    let mut lab = surviving("");
    let (a, b) = phones(&mut lab);
    pull(&mut lab, &a);
    let neighbour = lab.phone("101", "10.17.0.21:6000");
    let contact = "<sip:101@10.17.0.21:5060>";
    let places = [&a, &neighbour];
    let calls = |lab: &mut Lab| rings(lab, &b, "101", &places);
    assert_eq!(calls(&mut lab), [true, false]);
    // With the Call-ID of the phone's own, too, and far ahead of it.
    let own = |t: Text| t.set("Call-ID", "own");
    let by = |lab: &mut Lab, ua: &Ua, cseq: u32| {
        let cseq = format!("{cseq} REGISTER");
        let told = register(lab, ua, |t| own(t).set("Contact", contact).set("CSeq", cseq.as_str()));
        told.map(|m| m.status())
    };
    assert_eq!(by(&mut lab, &a, 5), Some(200));
    assert_eq!(by(&mut lab, &neighbour, 2_000_000_000), Some(200), "it lasts longer, no more");
    assert_eq!(calls(&mut lab), [true, false]);
    assert_eq!(by(&mut lab, &a, 6), Some(200));
    // Nor when the phone's own registration has ended.
    lab.advance(s(700));
    lab.take_all();
    let told = by(&mut lab, &neighbour, 2_000_000_001);
    lab.advance(s(3));
    let told = told.or_else(|| lab.take(neighbour.at).pop().map(|m| m.status()));
    assert_eq!(told, Some(200));
    assert_eq!(register(&mut lab, &b, |t| t).map(|m| m.status()), Some(200));
    assert_eq!(calls(&mut lab), [true, false]);
    lab.end();
}

#[test]
fn a_namesake_at_another_upstream_is_not_the_phone_in_the_lodge() {
    let text = site::EDGE.replace("auth = \"off\"", "auth = \"network\"");
    let alpha = "[[upstream]]\nname = \"alpha\"\naddress = \"203.0.113.77:5060\"\n\
                 domain = \"alpha.example\"\nnumbers = [\"none\"]\nprobe = \"0s\"\n\
                 [emergency]\ntarget = \"102\"\n";
    let mut lab = Lab::with(site::parse(&format!("{text}\n{alpha}")), Users::None);
    let (a, lodge) = phones(&mut lab);
    let mut namesake = lab.phone("102", "10.17.0.77:5060");
    namesake.domain = "alpha.example".to_owned();
    assert!(register(&mut lab, &namesake, |t| t).is_none());
    let at = lab.outside("203.0.113.77:5060");
    let asked = lab.expect(at, "REGISTER");
    let sealed = asked.contact().to_owned();
    lab.send(at, answer(&asked, 200, "r").with("Contact", format!("<{sealed}>;expires=900")));
    lab.expect(namesake.at, "200");
    let call = lab.call(&a, "112", 4000);
    let mut rang = None;
    for _ in 0..60 {
        lab.advance(s(1));
        rang = rang.or_else(|| lab.take(lodge.at).into_iter().find(|m| m.is_request()));
        assert!(lab.take(namesake.at).is_empty(), "it is another's phone");
        if rang.is_some() {
            break;
        }
    }
    let rung = rang.expect("the lodge rings");
    assert_eq!(rung.method(), "INVITE");
    lab.send(lodge.at, lodge.answer(&rung, 486, "busy"));
    let told: Vec<Msg> = lab.take(a.at);
    let no = told.last().expect("an answer");
    assert_eq!(no.status(), 486);
    lab.send(a.at, call.ack_refusal(no));
    lab.take_all();
    lab.end();
}
