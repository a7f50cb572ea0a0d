//! A head office's end of a tunnel: all phones of a site come by one address, one port and one
//! connection, and another gateway has judged them. None of them is taken for another.

use crate::lab::script::answer;
use crate::lab::{Lab, Leg, Msg, Party, Ua, s, site};
use crate::shared_pauses::tries_at;
use portreeve::audit::Record;
use portreeve::config::{Config, DefaultPolicy, SurviveAuth};
use portreeve::engine::Signal;
use portreeve::engine::digest::Users;
use portreeve::ground::{ConnId, Flow, Transport};
use std::net::SocketAddr;

/// Two sites.
fn head_office(change: impl FnOnce(&mut Config)) -> Lab {
    let wan = site::EDGE.split_once("[[interface]]\nname = \"wan\"").expect("an outside").1;
    let text = format!(
        r#"
[[interface]]
name = "sites"
side = "inside"
link = "tunnel"
listen = "udp:443"

[[peer]]
name = "berlin"
key = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

[[peer]]
name = "seoul"
key = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY="

[[interface]]
name = "wan"{wan}"#
    );
    let mut config = site::parse(&text);
    config.policy.default = DefaultPolicy::Site;
    change(&mut config);
    Lab::with(config, Users::None)
}

/// A site's other end, as all its phones come by.
fn end(lab: &Lab, name: &str) -> Party {
    let all = &lab.config.interfaces;
    let interface = all.iter().position(|i| i.name == name).expect("a tunnel");
    let far = all[interface].link.tunnel().expect("a tunnel").far();
    let listeners = lab.config.listeners();
    let listener = listeners.iter().find(|l| l.interface == interface).expect("a socket").id;
    let (transport, peer) = (Transport::Tls, SocketAddr::new(far, 5061));
    let conn = Some(ConnId(1_000 + u64::try_from(interface).unwrap_or(0)));
    Party { flow: Flow { listener, transport, peer, conn, upstream: None } }
}

/// Statuses of answers to a request, and whether anything else came.
fn told(all: &[Msg], leg: &Leg) -> Vec<u16> {
    all.iter().filter(|m| m.call_id() == leg.call_id).map(Msg::status).collect()
}

/// Dials 112, and it rings; what the PBX got besides.
fn dials(lab: &mut Lab, ua: &Ua) -> (Leg, Vec<Msg>) {
    let pbx = lab.far("112");
    let leg = lab.call(ua, "112", 4000);
    let sent = lab.take(pbx.at);
    if let Some(got) = sent.iter().find(|m| m.is_request() && m.method() == "INVITE") {
        let ringing = pbx.answer(got, 180, &format!("t{}", lab.fresh()));
        lab.send(pbx.at, ringing);
    }
    (leg, sent)
}

fn methods(all: &[Msg]) -> Vec<String> {
    all.iter().filter(|m| m.is_request()).map(|m| m.method().to_owned()).collect()
}

#[test]
fn an_emergency_call_of_one_phone_of_a_site_ends_none_of_another() {
    let mut lab = head_office(|_| {});
    let berlin = end(&lab, "berlin");
    for registered in [false, true] {
        // Whether others of its site are registered by the same flow or not.
        if registered {
            lab.register(&Ua::new(berlin, "101"), 3_600);
        }
        let mut legs = Vec::new();
        for n in 0..12 {
            let (leg, sent) = dials(&mut lab, &Ua::new(berlin, &format!("90{n}")));
            assert_eq!(methods(&sent), ["INVITE"], "{n}: none is taken back");
            let answers = lab.take(berlin);
            assert_eq!(told(&answers, &leg), [100, 180], "{n}");
            assert_eq!(answers.len(), 2, "{n}: nobody else hears of it");
            legs.push(leg);
            lab.advance(s(5));
        }
        // One of another site finds room, too.
        let seoul = end(&lab, "seoul");
        let (leg, sent) = dials(&mut lab, &Ua::new(seoul, "900"));
        assert_eq!(methods(&sent), ["INVITE"]);
        assert_eq!(told(&lab.take(seoul), &leg), [100, 180]);
        assert!(lab.take(berlin).is_empty());
        assert!(!lab.security().contains(&"no_room"));
        for leg in legs.iter().chain([&leg]) {
            lab.send(leg.ua.at, leg.cancel());
        }
        lab.advance(s(200));
        lab.clear();
    }
}

#[test]
fn who_is_no_user_of_his_site_is_counted_for_none() {
    let limit = 2;
    let mut lab = head_office(|c| c.limits.calls_per_user = limit);
    let (berlin, pbx) = (end(&lab, "berlin"), lab.far("200"));
    let known = Ua::new(berlin, "101");
    lab.register(&known, 3_600);
    // Callers who do not say who they are: their own gateway let them pass.
    for _ in 0..6 {
        lab.establish(&Ua::new(berlin, "anonymous"), &pbx);
    }
    // And he who does has all his calls.
    for _ in 0..limit {
        lab.establish(&known, &pbx);
    }
    lab.call(&known, "200", 4000);
    lab.expect(berlin, "486");
    lab.clear();
}

#[test]
fn two_registered_phones_of_a_site_and_two_sites_are_told_apart() {
    let mut lab = head_office(|_| {});
    let (berlin, seoul) = (end(&lab, "berlin"), end(&lab, "seoul"));
    let pbx = lab.far("200");
    let phones = [(berlin, "101"), (berlin, "102"), (seoul, "201")];
    let phones = phones.map(|(at, user)| Ua::new(at, user));
    let sealed = phones.each_ref().map(|phone| lab.register(phone, 3_600));
    for (phone, sealed) in phones.iter().zip(&sealed) {
        let options = pbx.request_to(&mut lab, "OPTIONS", sealed);
        lab.send(pbx.at, options);
        let got = lab.expect(phone.at, "OPTIONS");
        assert!(got.uri().starts_with(&format!("sip:{}@", phone.user)), "{got}");
        lab.send(phone.at, phone.answer(&got, 200, "o"));
        lab.expect(pbx.at, "200");
    }
    lab.end();
}

/// REGISTERs by a Contact that the site's gateway made.
fn registers(lab: &mut Lab, ua: &Ua, contact: &str) -> Option<u16> {
    let register = ua
        .request_to(lab, "REGISTER", &format!("sip:{}", ua.domain))
        .set("To", format!("<{}>", ua.aor()))
        .set("Contact", format!("<sip:{contact}@[{}]:5061;transport=tls>", ua.ip()))
        .with("Expires", "600");
    lab.send(ua.at, register);
    let pbx = lab.pbx();
    if let Some(got) = lab.next(pbx) {
        let granted = format!("<{}>;expires=600", got.contact());
        lab.send(pbx, answer(&got, 200, "r").with("Contact", granted));
    }
    lab.take(ua.at).last().map(Msg::status)
}

#[test]
fn in_the_dark_another_phone_of_a_site_with_one_user_is_not_that_user() {
    let mut lab = head_office(|c| c.survive.auth = SurviveAuth::Network);
    let berlin = Ua::new(end(&lab, "berlin"), "101");
    assert_eq!(registers(&mut lab, &berlin, "one"), Some(200));
    let asked = berlin.request(&mut lab, "OPTIONS", "200");
    lab.send(berlin.at, asked);
    lab.advance(s(3));
    assert!(lab.upstream("pbx").alone.is_some(), "{}", lab.situation());
    lab.clear();
    for (contact, status) in [("two", 503), ("one", 200)] {
        let uri = format!("sip:{}", berlin.domain);
        let register = berlin
            .request_to(&mut lab, "REGISTER", &uri)
            .set("To", format!("<{}>", berlin.aor()))
            .set("Contact", format!("<sip:{contact}@[{}]:5061;transport=tls>", berlin.ip()))
            .with("Expires", "600");
        lab.send(berlin.at, register);
        assert_eq!(lab.take(berlin.at).last().map(Msg::status), Some(status), "{contact}");
        lab.clear();
    }
}

/// What the audit log hears of requests that were not let pass.
fn denied(lab: &Lab) -> Vec<String> {
    let method = |r: &Record| match r {
        Record::Verdict { method, .. } => Some(method.clone()),
        _ => None,
    };
    lab.records.iter().filter_map(method).collect()
}

#[test]
fn what_a_sites_gateway_asks_for_itself_is_answered_and_is_no_phones_request() {
    let mut lab = head_office(|_| {});
    let berlin = Ua::new(end(&lab, "berlin"), "101");
    let asks = |lab: &mut Lab, from: &str, uri: &str| {
        let asked = berlin.request_to(lab, "OPTIONS", uri).set("From", format!("{from};tag=p"));
        lab.send(berlin.at, asked);
        lab.take(berlin.at).iter().map(Msg::status).collect::<Vec<_>>()
    };
    let (own, domain) = (format!("<sip:[{}]:5061;transport=tls>", berlin.ip()), &berlin.domain);
    let uri = format!("sip:{domain}");
    let none = (lab.stats(), lab.records.len());
    for _ in 0..10 {
        assert_eq!(asks(&mut lab, &own, &uri), [200]);
    }
    assert_eq!((lab.stats().decisions, lab.records.len()), (none.0.decisions, none.1));
    // Whatever else comes by the tunnel is judged as before.
    let user = format!("<sip:901@{domain}>");
    let seoul = end(&lab, "seoul").addr().ip();
    let others = [
        (user.as_str(), uri.as_str()),
        (&format!("<sip:901@[{}]>", berlin.ip()), &uri),
        (&format!("<sip:[{seoul}]:5061>"), &uri),
        (&own, &format!("sip:200@{domain}")),
    ];
    for (n, (from, uri)) in others.into_iter().enumerate() {
        assert_eq!(asks(&mut lab, from, uri), [403], "{from} {uri}");
        assert_eq!(denied(&lab).len(), n + 1, "{from} {uri}");
    }
}

/// A head office that is the phone system of its sites.
fn registrar() -> Lab {
    let mut config = site::parse(
        r#"
[[interface]]
name = "sites"
side = "inside"
link = "tunnel"
listen = "udp:443"

[[peer]]
name = "berlin"
key = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

[registrar]
mode = "local"
realm = "portreeve"
password_file = "/unread"

[media]
ports = "20000-20999"
"#,
    );
    config.site.domain = Some(site::GATE_INSIDE.to_owned());
    Lab::with(config, Users::Shared { password: site::PASSWORD.to_owned() })
}

#[test]
fn who_guesses_at_a_site_has_no_other_phone_of_its_tunnel_wait() {
    for rotates in [false, true] {
        let mut lab = registrar();
        let mut berlin = Ua::new(end(&lab, "berlin"), "101");
        site::GATE_INSIDE.clone_into(&mut berlin.domain);
        let at = |token: &str| format!("<sip:{token}@[{}]:5061;transport=tls>", berlin.ip());
        let other = Ua { user: "102".to_owned(), ..berlin.clone() };
        // As the site's gateway seals the Contact of each phone.
        assert_eq!(tries_at(&mut lab, &berlin, &at("one"), site::PASSWORD), 200);
        for second in 0..120 {
            let thief = if rotates { at(&format!("thief{second}")) } else { at("thief") };
            tries_at(&mut lab, &berlin, &thief, "wrong");
            if second % 40 == 25 {
                assert_eq!(
                    tries_at(&mut lab, &berlin, &at("one"), site::PASSWORD),
                    200,
                    "{second}"
                );
                let own = tries_at(&mut lab, &other, &at("two"), site::PASSWORD);
                assert_eq!(own, 200, "another user, {second}");
            }
            lab.advance(s(1));
        }
        let compared = lab.stats().signals[Signal::FailedDigest as usize];
        assert!((5..=50).contains(&compared), "{compared} guesses in two minutes");
        // After a restart phones are where they were.
        lab.restart();
        for _ in 0..20 {
            tries_at(&mut lab, &berlin, &at("thief"), "wrong");
        }
        assert_eq!(tries_at(&mut lab, &berlin, &at("one"), site::PASSWORD), 200, "restarted");
    }
}
