//! Several upstreams, several forks: what is said of one is not said of the first.

use crate::lab::message::uri_of;
use crate::lab::script::answer;
use crate::lab::{Lab, Leg, Ua, site};
use portreeve::config::Strangers;
use portreeve::engine::Input;
use portreeve::engine::digest::Users;

const SECOND: &str = r#"
[[upstream]]
name = "other"
address = "203.0.113.12:5060"
domain = "other.example.net"
probe = "0s"
"#;

/// A lab with a second upstream; its agent.
fn lab() -> (Lab, Ua, Ua) {
    let lab = Lab::with(site::parse(&format!("{}{SECOND}", site::EDGE)), Users::None);
    let phone = lab.phone("101", "10.17.0.21:5060");
    let mut other = Ua::new(lab.outside("203.0.113.12:5060"), "300");
    "other.example.net".clone_into(&mut other.domain);
    (lab, phone, other)
}

#[test]
fn a_phones_redirect_bears_the_domain_of_the_upstream_that_called() {
    let (mut lab, phone, other) = lab();
    let sealed = lab.register(&phone, 600);
    let invite = other.request_to(&mut lab, "INVITE", &sealed).sdp(other.sdp(6000));
    lab.send(other.at, invite.clone());
    lab.expect(other.at, "100");
    let got = lab.expect(phone.at, "INVITE");
    let contacts = "<sip:199@10.17.0.1>;q=0.7, <sip:198@10.17.0.21>, <sip:197@far.example>";
    lab.send(phone.at, answer(&got, 302, "m").with("Contact", contacts));
    lab.expect(phone.at, "ACK");
    let moved = lab.expect(other.at, "302");
    assert_eq!(
        moved.list("Contact"),
        [
            "<sip:199@other.example.net>;q=0.7",
            "<sip:198@other.example.net>",
            "<sip:197@far.example>"
        ]
    );
    lab.send(other.at, Leg::calling(&other, &invite).ack_refusal(&moved));
    lab.end();
}

#[test]
fn an_upstreams_redirect_leads_back_to_it() {
    let (mut lab, phone, other) = lab();
    let invite =
        phone.request_to(&mut lab, "INVITE", "sip:300@other.example.net").sdp(phone.sdp(4000));
    lab.send(phone.at, invite.clone());
    lab.expect(phone.at, "100");
    let got = lab.expect(other.at, "INVITE");
    // Its own address, ours, and a name.
    let contacts = "<sip:1@203.0.113.12:5060>, <sip:2@203.0.113.1:5060>, <sip:3@far.example>";
    lab.send(other.at, answer(&got, 302, "m").with("Contact", contacts));
    lab.expect(other.at, "ACK");
    let moved = lab.expect(phone.at, "302");
    assert_eq!(
        moved.list("Contact"),
        ["<sip:1@other.example.net>", "<sip:2@other.example.net>", "<sip:3@far.example>"]
    );
    lab.send(phone.at, Leg::calling(&phone, &invite).ack_refusal(&moved));
    // The phone follows: to the upstream that said so.
    let next = uri_of(&moved.list("Contact")[0]).to_owned();
    let message = phone.request_to(&mut lab, "MESSAGE", &next);
    lab.send(phone.at, message);
    let got = lab.expect(other.at, "MESSAGE");
    lab.send(other.at, answer(&got, 200, "x"));
    lab.expect(phone.at, "200");
    lab.end();
}

/// Two forks of one INVITE at the PBX, both answered; the caller's legs and the callees'.
fn two_forks(lab: &mut Lab) -> ([Leg; 2], [Leg; 2]) {
    let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
    let one = lab.call(&phone, "200", 4000);
    lab.expect(phone.at, "100");
    let invite = lab.expect(pbx.at, "INVITE");
    let mut near = [one.clone(), one];
    let mut far = [Leg::called(&pbx, &invite, "one"), Leg::called(&pbx, &invite, "two")];
    for (i, tag) in ["one", "two"].into_iter().enumerate() {
        tag.clone_into(&mut far[i].ua.user);
        let ok = far[i].ua.answer(&invite, 200, tag).sdp(pbx.sdp(6000));
        lab.send(pbx.at, ok);
        near[i].learn(&lab.expect(phone.at, "200"));
        let ack = near[i].ack(lab);
        lab.send(phone.at, ack);
        let ack = lab.expect(pbx.at, "ACK");
        assert_eq!(ack.uri(), format!("sip:{tag}@203.0.113.10:5060"));
    }
    (near, far)
}

#[test]
fn each_fork_keeps_the_contact_it_was_shown_with() {
    let mut lab = Lab::edge();
    let (mut near, far) = two_forks(&mut lab);
    assert_ne!(near[0].target, near[1].target, "two parties, two names");
    for i in [1, 0] {
        let update = near[i].request(&mut lab, "UPDATE");
        lab.send(near[i].ua.at, update);
        let got = lab.expect(far[i].ua.at, "UPDATE");
        assert_eq!(got.uri(), uri_of(&far[i].ua.contact()));
        lab.send(far[i].ua.at, far[i].ua.answer(&got, 200, ""));
        let ok = lab.expect(near[i].ua.at, "200");
        assert_eq!(ok.contact(), near[i].target, "the same name as before");
    }
    lab.input(Input::HangUpAll);
    lab.clear();
    lab.end();
}

#[test]
fn a_transfer_to_a_fork_means_that_fork() {
    let mut lab = Lab::edge();
    let (near, far) = two_forks(&mut lab);
    let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("400"));
    let (mut a, b) = lab.establish(&phone, &pbx);
    for i in [1, 0] {
        let refer = a.request(&mut lab, "REFER").with("Refer-To", format!("<{}>", near[i].target));
        lab.send(phone.at, refer);
        let got = lab.expect(pbx.at, "REFER");
        assert_eq!(got.header("Refer-To"), far[i].ua.contact());
        lab.send(pbx.at, pbx.answer(&got, 603, ""));
        lab.expect(phone.at, "603");
    }
    lab.hang_up(&mut a, &b);
    lab.input(Input::HangUpAll);
    lab.clear();
    lab.end();
}

#[test]
fn every_fork_that_answered_is_hung_up() {
    let mut lab = Lab::edge();
    let (near, far) = two_forks(&mut lab);
    lab.input(Input::HangUpAll);
    let mut at_pbx: Vec<String> = (0..2)
        .map(|_| {
            let bye = lab.expect(far[0].ua.at, "BYE");
            lab.send(far[0].ua.at, answer(&bye, 200, ""));
            format!("{} {}", bye.uri(), bye.tag("To").unwrap_or_default())
        })
        .collect();
    at_pbx.sort();
    assert_eq!(at_pbx, ["sip:one@203.0.113.10:5060 one", "sip:two@203.0.113.10:5060 two"]);
    let mut at_phone: Vec<String> = (0..2)
        .map(|_| {
            let bye = lab.expect(near[0].ua.at, "BYE");
            lab.send(near[0].ua.at, answer(&bye, 200, ""));
            bye.tag("From").unwrap_or_default().to_owned()
        })
        .collect();
    at_phone.sort();
    assert_eq!(at_phone, ["one", "two"]);
    lab.end();
}

/// A phone registers at an upstream, always with the same Call-ID.
#[track_caller]
fn bind(lab: &mut Lab, phone: &Ua, registrar: &Ua, cseq: &str) {
    let register = phone
        .request_to(lab, "REGISTER", &format!("sip:{}", phone.domain))
        .set("To", format!("<{}>", phone.aor()))
        .set("Call-ID", "one-for-both")
        .set("CSeq", format!("{cseq} REGISTER"))
        .with("Expires", "600");
    lab.send(phone.at, register);
    let got = lab.expect(registrar.at, "REGISTER");
    let contact = format!("<{}>;expires=600", got.contact());
    lab.send(registrar.at, answer(&got, 200, "r").with("Contact", contact));
    lab.expect(phone.at, "200");
}

#[test]
fn a_call_does_not_follow_the_same_user_of_another_upstream() {
    let (mut lab, phone, other) = lab();
    let pbx = lab.far("200");
    let mut thief = Ua::new(lab.inside("10.17.0.66:5060"), "101");
    "other.example.net".clone_into(&mut thief.domain);
    bind(&mut lab, &phone, &pbx, "1");
    let (mut a, mut b) = lab.establish(&phone, &pbx);
    bind(&mut lab, &thief, &other, "77");
    let info = b.request(&mut lab, "INFO");
    lab.send(pbx.at, info);
    assert!(lab.take(thief.at).is_empty(), "the leg stays with its own phone");
    let got = lab.expect(phone.at, "INFO");
    lab.send(phone.at, answer(&got, 200, ""));
    lab.expect(pbx.at, "200");
    lab.hang_up(&mut a, &b);
    lab.end();
}

#[test]
fn a_notify_that_makes_the_dialog_comes_from_who_was_asked() {
    for source in ["203.0.113.12:5060", "198.51.100.66:5060"] {
        let (mut lab, phone, _) = lab();
        lab.reload(|c| c.interfaces[1].strangers = Strangers::Answer);
        let pbx = lab.far("200");
        let subscribe = phone
            .request(&mut lab, "SUBSCRIBE", "200")
            .with("Event", "dialog")
            .with("Expires", "600");
        lab.send(phone.at, subscribe);
        let got = lab.expect(pbx.at, "SUBSCRIBE");
        let notify = |lab: &mut Lab, ua: &Ua| {
            let mut leg = Leg::called(ua, &got, "n");
            let notify = leg.request(lab, "NOTIFY").with("Event", "dialog");
            lab.send(ua.at, notify.with("Subscription-State", "active;expires=600"));
        };
        // Whoever has seen the SUBSCRIBE knows every name in it.
        let thief = Ua::new(lab.outside(source), "666");
        notify(&mut lab, &thief);
        lab.expect(thief.at, "403");
        lab.nothing_left();
        notify(&mut lab, &pbx);
        let early = lab.expect(phone.at, "NOTIFY");
        lab.send(phone.at, answer(&early, 200, ""));
        lab.expect(pbx.at, "200");
        lab.send(pbx.at, answer(&got, 489, "n"));
        lab.expect(phone.at, "489");
        lab.clear();
    }
}

/// The same extension at both upstreams, by phones of their own; those two, and the upstreams.
fn namesakes(lines: &str) -> (Lab, [Ua; 2], [Ua; 2]) {
    let text = format!("{}{SECOND}\n{lines}", site::EDGE);
    let mut lab = Lab::with(site::parse(&text), Users::None);
    let mut other = Ua::new(lab.outside("203.0.113.12:5060"), "300");
    "other.example.net".clone_into(&mut other.domain);
    let one = lab.phone("101", "10.17.0.21:5060");
    let mut two = lab.phone("101", "10.17.0.22:5060");
    other.domain.clone_into(&mut two.domain);
    let pbx = lab.far("300");
    bind(&mut lab, &one, &pbx, "1");
    bind(&mut lab, &two, &other, "1");
    (lab, [one, two], [pbx, other])
}

#[test]
fn a_users_cap_of_calls_is_not_his_namesakes() {
    let (mut lab, [one, two], [pbx, other]) = namesakes("[limits]\ncalls_per_user = 1\n");
    lab.establish(&one, &pbx);
    lab.call(&one, "300", 4000);
    lab.expect(one.at, "486");
    lab.establish(&two, &other);
    lab.call(&two, "300", 4000);
    lab.expect(two.at, "486");
    lab.end();
}

#[test]
fn a_cap_of_bindings_is_not_the_namesakes() {
    let (mut lab, [one, two], [pbx, other]) = namesakes("[limits]\nbindings_per_user = 2\n");
    for (phone, registrar) in [(&one, &pbx), (&two, &other)] {
        let mut again = phone.clone();
        again.at = lab.inside(&format!("{}:5062", phone.ip()));
        bind(&mut lab, &again, registrar, "2");
        again.at = lab.inside(&format!("{}:5064", phone.ip()));
        let third = again
            .request_to(&mut lab, "REGISTER", &format!("sip:{}", phone.domain))
            .set("To", format!("<{}>", phone.aor()));
        lab.send(again.at, third);
        let got = lab.expect(registrar.at, "REGISTER");
        let ok = format!("{};expires=600", got.header("Contact"));
        lab.send(registrar.at, answer(&got, 200, "r").with("Contact", ok));
        lab.expect(again.at, "200");
    }
    let of =
        |phone: &Ua| lab.kept_bindings().iter().filter(|b| b.aor.domain == phone.domain).count();
    assert_eq!((of(&one), of(&two)), (2, 2), "each his own oldest");
    lab.end();
}

#[test]
fn an_upstream_calls_its_own_user_by_name() {
    let (mut lab, phones, upstreams) = namesakes("");
    for i in [0, 1] {
        let invite = upstreams[i].request_to(&mut lab, "INVITE", "sip:101@203.0.113.1");
        lab.send(upstreams[i].at, invite.sdp(upstreams[i].sdp(6000)));
        lab.expect(upstreams[i].at, "100");
        let got = lab.expect(phones[i].at, "INVITE");
        lab.nothing_left();
        lab.send(phones[i].at, answer(&got, 486, "t"));
        lab.expect(phones[i].at, "ACK");
        lab.expect(upstreams[i].at, "486");
    }
    lab.end();
}

#[test]
fn a_rule_names_a_user_of_a_domain_and_never_one_whose_name_looks_like_it() {
    let rule = "[[rule]]\nname = \"lobby\"\nside = \"inside\"\nmethod = [\"MESSAGE\"]\n\
                user = [\"101@other.example.net\", \"a%40b@*\"]\ndeny = { code = 403 }\n";
    let (mut lab, [one, two], [pbx, _]) = namesakes(rule);
    let [looks, at] = [("101%40other.example.net", 23), ("a%40b", 24)].map(|(user, host)| {
        let phone = lab.phone(user, &format!("10.17.0.{host}:5060"));
        bind(&mut lab, &phone, &pbx, "1");
        phone
    });
    for (phone, denied) in [(&one, false), (&two, true), (&looks, false), (&at, true)] {
        let message = phone.request_to(&mut lab, "MESSAGE", "sip:300@pbx.example.com");
        lab.send(phone.at, message);
        if !denied {
            let got = lab.expect(pbx.at, "MESSAGE");
            lab.send(pbx.at, answer(&got, 200, "m"));
        }
        lab.expect(phone.at, if denied { "403" } else { "200" });
    }
    lab.end();
}

#[test]
fn a_phone_with_a_line_of_each_domain_is_who_its_from_says() {
    let rule = "[[rule]]\nname = \"lobby\"\nside = \"inside\"\nmethod = [\"MESSAGE\"]\n\
                user = [\"101@other.example.net\"]\ndeny = { code = 403 }\n";
    let (mut lab, [one, _], [pbx, other]) = namesakes(rule);
    let mut second = one.clone();
    other.domain.clone_into(&mut second.domain);
    bind(&mut lab, &second, &other, "5");
    for (line, denied) in [(&one, false), (&second, true), (&one, false)] {
        let message = line.request_to(&mut lab, "MESSAGE", "sip:300@pbx.example.com");
        lab.send(line.at, message);
        if !denied {
            let got = lab.expect(pbx.at, "MESSAGE");
            lab.send(pbx.at, answer(&got, 200, "m"));
        }
        lab.expect(line.at, if denied { "403" } else { "200" });
    }
    lab.end();
}

#[test]
fn two_domains_of_one_upstream_have_a_user_each() {
    let text = site::EDGE.replace(
        "domain = \"pbx.example.com\"",
        "domain = \"pbx.example.com\"\ndomains = [\"sales.example.com\"]",
    );
    let mut lab = Lab::with(site::parse(&text), Users::None);
    let pbx = lab.far("300");
    let one = lab.phone("101", "10.17.0.21:5060");
    let mut two = lab.phone("101", "10.17.0.22:5060");
    "sales.example.com".clone_into(&mut two.domain);
    bind(&mut lab, &one, &pbx, "1");
    bind(&mut lab, &two, &pbx, "1");
    let mut kept: Vec<String> = lab.kept_bindings().iter().map(|b| b.aor.to_string()).collect();
    kept.sort();
    assert_eq!(kept, ["101@pbx.example.com", "101@sales.example.com"]);
    let star = one
        .request_to(&mut lab, "REGISTER", "sip:pbx.example.com")
        .set("To", format!("<{}>", one.aor()))
        .set("Contact", "*")
        .with("Expires", "0");
    lab.send(one.at, star);
    let got = lab.expect(pbx.at, "REGISTER");
    lab.send(pbx.at, answer(&got, 200, "r"));
    lab.expect(one.at, "200");
    let kept: Vec<String> = lab.kept_bindings().iter().map(|b| b.aor.to_string()).collect();
    assert_eq!(kept, ["101@sales.example.com"], "another's stays");
    lab.end();
}
