//! Strangers: requests of nobody known. At an interface that is silent to them they get nothing, and
//! the operator hears of them; at one that answers, one stateless answer.

use crate::lab::script::{Text, answer};
use crate::lab::{Lab, Msg, Party, Ua, ms, s, site};
use portreeve::audit::{Record, Ruling, Standing};
use portreeve::config::Strangers;
use portreeve::engine::Input;
use portreeve::engine::digest::Users;
use portreeve::ground::{ConnId, Flow, ListenerId, Transport};
use portreeve::policy::quota::Source;

/// Outside, over TCP.
const OUTSIDE_TCP: ListenerId = ListenerId(4);

fn strict() -> Lab {
    let text = site::EDGE.replace("default = \"allow\"", "default = \"site\"");
    Lab::with(site::parse(&text), Users::None)
}

fn answering() -> Lab {
    let mut lab = strict();
    lab.reload(|c| c.interfaces[1].strangers = Strangers::Answer);
    lab
}

fn scanner(lab: &Lab) -> Ua {
    Ua::new(lab.outside("198.51.100.66:5060"), "100")
}

fn by_tcp(conn: u64) -> Party {
    let peer = "198.51.100.66:40000".parse().expect("an address");
    let conn = Some(ConnId(conn));
    Party {
        flow: Flow { listener: OUTSIDE_TCP, transport: Transport::Tcp, peer, conn, upstream: None },
    }
}

/// What svmap and its kin send.
fn probes(lab: &mut Lab, ua: &Ua) -> Vec<Text> {
    let gate = format!("sip:{}", site::GATE_OUTSIDE);
    let user = format!("sip:100@{}", site::GATE_OUTSIDE);
    let mut all: Vec<Text> = [
        ("OPTIONS", &gate),
        ("OPTIONS", &user),
        ("REGISTER", &gate),
        ("INVITE", &user),
        ("SUBSCRIBE", &user),
        ("MESSAGE", &user),
        ("BREW", &user),
        ("BYE", &user),
        ("CANCEL", &user),
    ]
    .into_iter()
    .map(|(method, uri)| ua.request_to(lab, method, uri))
    .collect();
    let plain = |lab: &mut Lab| ua.request_to(lab, "INVITE", &user);
    all.push(plain(lab).set("To", format!("<{user}>;tag=guessed")));
    all.push(plain(lab).set("Max-Forwards", "0"));
    all.push(plain(lab).with("Proxy-Require", "foo"));
    all.push(plain(lab).with("Route", "<sip:192.0.2.7;lr>"));
    all.push(plain(lab).with("Authorization", "Digest username=\"100\""));
    all.push(plain(lab).without("To"));
    all.push(plain(lab).with("From", "<sip:b@x>;tag=2"));
    let mut scheme = plain(lab);
    scheme.start = "INVITE http://example.com SIP/2.0".to_owned();
    all.push(scheme);
    let mut version = plain(lab);
    version.start = version.start.replace("SIP/2.0", "SIP/3.0");
    all.push(version);
    all
}

#[test]
fn strangers_outside_get_nothing_whatever_they_send() {
    let mut lab = strict();
    let phone = lab.phone("101", "10.17.0.21:5060");
    let sealed = lab.register(&phone, 600);
    lab.advance(s(40));
    let ua = scanner(&lab);
    let mut all = probes(&mut lab, &ua);
    let known = ua.request_to(&mut lab, "INVITE", &sealed).sdp(ua.sdp(6000));
    all.push(known);
    let count = all.len() as u64;
    for probe in all {
        lab.send(ua.at, probe.clone());
        assert_eq!(lab.waiting(), 0, "{}", probe.start);
    }
    lab.send(ua.at, "garbage\r\n\r\n".to_owned());
    assert_eq!(lab.stats().now.transactions, [0, 0]);
    lab.advance(s(40));
    lab.nothing_left();
    let silenced = lab.stats().silenced;
    assert_eq!(silenced.iter().sum::<u64>(), count + 1);
    assert_eq!(silenced[0], 11, "INVITEs");
    assert_eq!(lab.stats().responses[1], [0; 6]);
    lab.end();
}

#[test]
fn a_stranger_s_stream_is_closed_after_its_first_message() {
    for text in ["OPTIONS sip:203.0.113.1 SIP/2.0", "INVITE sip:100@203.0.113.1 SIP/2.0"] {
        let mut lab = strict();
        let ua = Ua::new(by_tcp(7), "100");
        let method = text.split(' ').next().expect("a method");
        let uri = text.split(' ').nth(1).expect("a URI");
        let request = ua.request_to(&mut lab, method, uri);
        lab.send(ua.at, request);
        lab.nothing_left();
        assert_eq!(lab.closed, [ConnId(7)]);
        lab.input(Input::ConnectionClosed(ConnId(7)));
        lab.end();
    }
}

#[test]
fn the_upstream_and_whoever_is_in_a_dialog_are_answered() {
    let mut lab = strict();
    let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
    lab.register(&phone, 600);
    let ping = pbx.request_to(&mut lab, "OPTIONS", &format!("sip:{}", site::GATE_OUTSIDE));
    lab.send(pbx.at, ping);
    lab.expect(pbx.at, "200");
    let unknown = pbx.request_to(&mut lab, "MESSAGE", &format!("sip:9@{}", site::GATE_OUTSIDE));
    lab.send(pbx.at, unknown);
    lab.expect(pbx.at, "404");
    let stray = pbx.request(&mut lab, "BYE", "200").set("To", "<sip:a@b>;tag=x");
    lab.send(pbx.at, stray);
    lab.expect(pbx.at, "481");
    let second = Ua::new(lab.outside("203.0.113.10:5080"), "200");
    let invite = second.request(&mut lab, "INVITE", "101").with("Route", "<sip:192.0.2.7;lr>");
    lab.send(second.at, invite);
    lab.expect(second.at, "403");
    let (mut a, b) = lab.establish(&phone, &pbx);
    // A stranger who knows all of the dialog is a stranger.
    let mut forged = b.clone();
    forged.ua = scanner(&lab);
    let bye = forged.request(&mut lab, "BYE");
    lab.send(forged.ua.at, bye);
    lab.nothing_left();
    lab.hang_up(&mut a, &b);
    lab.end();
}

#[test]
fn who_a_rule_lets_in_is_no_stranger() {
    let rule = "[[rule]]\nname = \"partner\"\nside = \"outside\"\nsource = [\"198.51.100.66\"]\n\
                allow = {}\n";
    let text = site::EDGE.replace("default = \"allow\"", "default = \"site\"");
    let mut lab = Lab::with(site::parse(&format!("{text}\n{rule}")), Users::None);
    let phone = lab.phone("101", "10.17.0.21:5060");
    let sealed = lab.register(&phone, 600);
    let ua = scanner(&lab);
    let message = ua.request_to(&mut lab, "MESSAGE", &sealed);
    lab.send(ua.at, message);
    let got = lab.expect(phone.at, "MESSAGE");
    lab.send(phone.at, answer(&got, 200, "m"));
    lab.expect(ua.at, "200");
    lab.reload(|c| c.limits.transactions = 0);
    let message = ua.request_to(&mut lab, "MESSAGE", &sealed);
    lab.send(ua.at, message);
    lab.expect(ua.at, "503");
    lab.end();
}

#[test]
fn ten_lines_a_minute_say_who_came_and_what_would_admit_him_then_sums() {
    let mut lab = strict();
    lab.notices.clear();
    for n in 0..25_u8 {
        let ua = Ua::new(lab.outside(&format!("198.51.100.{}:5060", 10 + n % 20)), "100");
        let invite = ua.request(&mut lab, "INVITE", "200");
        lab.send(ua.at, invite);
        lab.advance(ms(10));
    }
    let lines: Vec<String> = lab.notices.drain(..).map(|(_, text)| text).collect();
    assert_eq!(lines.len(), 10, "{lines:#?}");
    assert_eq!(
        lines[0],
        "INVITE from 198.51.100.10:5060 at interface \"wan\" got no answer: nobody known. If it is \
         your provider or PBX, name 198.51.100.10 in `sources` of [[upstream]] \"pbx\"; to answer \
         everybody: strangers = \"answer\""
    );
    lab.advance(s(60));
    let sums: Vec<String> = lab.notices.drain(..).map(|(_, text)| text).collect();
    let sum = "15 more requests of strangers from 15 addresses got no answer in this minute";
    assert_eq!(sums, [sum]);
    lab.advance(s(600));
    assert!(lab.notices.is_empty(), "no sum of nothing");
    let ua = scanner(&lab);
    let invite = ua.request(&mut lab, "INVITE", "200");
    lab.send(ua.at, invite);
    assert_eq!(lab.notices.len(), 1, "another minute, another ten lines");
    assert_eq!(lab.stats().silenced, [26, 0]);
    lab.end();
}

#[test]
fn the_audit_log_hears_of_strangers_calls_all_the_same() {
    let mut lab = strict();
    let ua = scanner(&lab);
    let invite = ua.request(&mut lab, "INVITE", "200");
    lab.send(ua.at, invite);
    let told = |r: &Record| match r {
        Record::CallAttempt { verdict, sender, .. } => Some((*verdict, *sender)),
        _ => None,
    };
    let denied = (Ruling::Deny, Standing::Stranger);
    assert_eq!(lab.records.iter().filter_map(told).collect::<Vec<_>>(), [denied]);
    lab.end();
}

#[test]
fn an_interface_that_answers_gives_one_stateless_answer() {
    let mut lab = answering();
    let ua = scanner(&lab);
    for probe in probes(&mut lab, &ua) {
        lab.send(ua.at, probe.clone());
        let answers: Vec<u16> = lab.take(ua.at).iter().map(Msg::status).collect();
        assert_eq!(answers.len(), 1, "{}", probe.start);
        assert!(answers[0] >= 300, "{}", probe.start);
    }
    assert_eq!(lab.stats().now.transactions, [0, 0]);
    lab.advance(s(40));
    lab.nothing_left();
    assert_eq!(lab.stats().silenced, [0, 0]);
    lab.end();
}

#[test]
fn inside_unknown_phones_are_answered_by_default_and_may_register() {
    let mut lab = strict();
    let phone = lab.phone("101", "10.17.0.21:5060");
    lab.call(&phone, "200", 4000);
    lab.expect(phone.at, "403");
    lab.reload(|c| c.interfaces[0].strangers = Strangers::Silent);
    lab.call(&phone, "200", 4000);
    lab.nothing_left();
    lab.register(&phone, 600);
    lab.call(&phone, "200", 4000);
    lab.expect(phone.at, "100");
    lab.clear();
    lab.end();
}

#[test]
fn nobody_shakes_hands_for_a_while_with_who_was_silenced() {
    use crate::tls_calls::{OUTSIDE_TLS, config};
    let text = config("address = \"sips:203.0.113.10\"", "");
    let text = text.replace("default = \"allow\"", "default = \"site\"");
    let mut lab = Lab::with(site::parse(&text), Users::None);
    let ua = Ua::new(lab.tls(OUTSIDE_TLS, "198.51.100.66:40000"), "100");
    let invite = ua.request_to(&mut lab, "INVITE", "sip:101@203.0.113.1");
    lab.send(ua.at, invite);
    lab.nothing_left();
    assert_eq!(lab.closed, [ua.at.flow.conn.expect("one")]);
    let source = Source::of(ua.at.flow.peer.ip());
    assert_eq!(lab.barred, [(source, Some(OUTSIDE_TLS), s(10))]);
    lab.end();
}

#[test]
fn a_phone_whose_via_nobody_can_answer_is_told_of_in_the_log() {
    let mut lab = Lab::edge();
    let phone = lab.phone("101", "10.17.0.21:5060");
    let uri = format!("sip:{}", phone.domain);
    for bare in ["SIP/2.0/UDP 2001:db8:17::14:5060", "SIP/2.0/TLS fe80::980c%p2p0:35434"] {
        let register = phone.request_to(&mut lab, "REGISTER", &uri);
        lab.send(phone.at, register.set("Via", format!("{bare};branch=z9hG4bKbare")));
        assert!(lab.take(phone.at).is_empty(), "where to, is a guess");
        let told = lab.notices.pop().map(|(_, text)| text).unwrap_or_default();
        let why = "from 10.17.0.21:5060 came what had no answer: Via Names IPv6 Without Brackets";
        assert_eq!(told, why);
    }
    // Outside that is the scanners' daily bread.
    let far = lab.far("200");
    let options = far.request_to(&mut lab, "OPTIONS", &uri);
    lab.send(far.at, options.set("Via", "SIP/2.0/UDP 2001:db8::1:5060"));
    assert!(lab.notices.is_empty());
    lab.end();
}
