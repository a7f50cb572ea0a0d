//! Upstreams by name (RFC 3263): what is asked of DNS, who is tried in which order, what happens when
//! one of several does not answer, and when DNS lies, changes or is gone.

use crate::lab::script::answer;
use crate::lab::{Lab, Leg, Msg, Party, Ua, s, site};
use portreeve::engine::digest::Users;
use portreeve::engine::names::{Question, Record, Reply};
use portreeve::engine::{Health, Input};
use portreeve::ground::{ListenerId, Transport};
use std::collections::BTreeMap;
use std::time::Duration;

const A: &str = "203.0.113.31:5060";
const B: &str = "203.0.113.32:5060";

/// What DNS knows; what it does not know is not there.
#[derive(Default)]
pub(crate) struct Dns {
    pub(crate) records: BTreeMap<Question, Vec<Record>>,
    pub(crate) ttl: u64,
    pub(crate) gone: bool,
}

impl Dns {
    /// `sip.example.net` by two hosts, `a` before `b`.
    fn pair() -> Self {
        let mut dns = Self { ttl: 60, ..Self::default() };
        dns.srv("_sip._udp.sip.example.net", &[(10, 1, "a"), (20, 1, "b")]);
        dns.host("a", &[A]);
        dns.host("b", &[B]);
        dns
    }

    pub(crate) fn srv(&mut self, name: &str, all: &[(u16, u16, &str)]) {
        let one = |(priority, weight, target): &(u16, u16, &str)| Record::Srv {
            priority: *priority,
            weight: *weight,
            port: 5060,
            target: (*target).to_owned(),
        };
        self.records.insert(Question::Srv(name.to_owned()), all.iter().map(one).collect());
    }

    pub(crate) fn host(&mut self, name: &str, all: &[&str]) {
        let one = |at: &&str| {
            let ip = if at.contains('.') { at.split(':').next().unwrap_or(at) } else { at };
            Record::Address(ip.parse().expect("an address"))
        };
        self.records.insert(Question::Hosts(name.to_owned()), all.iter().map(one).collect());
    }

    /// Answers all that is asked, and what that makes it ask. How many questions those were.
    pub(crate) fn answer(&self, lab: &mut Lab) -> usize {
        let mut n = 0;
        while let Some(question) = lab.asked.pop_front() {
            n += 1;
            assert!(n < 100, "it never stops asking: {question}");
            let reply = self.reply(&question);
            lab.input(Input::Resolved(question, reply));
        }
        n
    }

    /// What it says to a question.
    pub(crate) fn reply(&self, question: &Question) -> Reply {
        let ttl = Duration::from_secs(self.ttl);
        match self.records.get(question) {
            _ if self.gone => Reply::Failed("nobody answers".to_owned()),
            Some(records) => Reply::Records(records.clone(), ttl),
            None => Reply::Nothing(ttl),
        }
    }
}

fn named(more: &str) -> Lab {
    let text =
        site::EDGE.replace("address = \"203.0.113.10:5060\"", "address = \"sip.example.net\"");
    Lab::with(site::parse(&format!("{text}\n{more}")), Users::None)
}

fn message(lab: &mut Lab, phone: &Ua) {
    let message = phone.request(lab, "MESSAGE", "200").typed("text/plain", "x");
    lab.send(phone.at, message);
}

fn targets(lab: &Lab) -> Vec<(String, Health)> {
    let all = lab.upstream("pbx").targets;
    all.iter().map(|t| (t.address.to_string(), t.health)).collect()
}

#[test]
fn a_name_is_asked_for_at_the_start_and_the_first_target_gets_the_call() {
    let mut lab = named("");
    let phone = lab.phone("101", "10.17.0.21:5060");
    message(&mut lab, &phone);
    assert_eq!(lab.take(phone.at).last().map(Msg::status), Some(404), "nobody knows where it is");
    let dns = Dns::pair();
    assert!(dns.answer(&mut lab) >= 4);
    let up = lab.upstream("pbx");
    assert_eq!(targets(&lab).iter().map(|t| &*t.0).collect::<Vec<_>>(), [A, B]);
    assert_eq!((up.health, up.stale), (Health::Unknown, false));
    let far = Ua::new(lab.outside(A), "200");
    let (mut one, other) = lab.establish(&phone, &far);
    lab.hang_up(&mut one, &other);
    lab.end();
}

#[test]
fn whoever_says_nothing_is_left_for_the_next_within_the_transaction() {
    let mut lab = named("");
    Dns::pair().answer(&mut lab);
    let phone = lab.phone("101", "10.17.0.21:5060");
    let (a, b) = (lab.outside(A), lab.outside(B));
    let call = lab.call(&phone, "200", 4000);
    let first = lab.expect(a, "INVITE");
    lab.expect(phone.at, "100");
    lab.advance(s(5));
    lab.take(a);
    let second = lab.take(b).pop().expect("the second is asked");
    assert_ne!(first.branch(), second.branch(), "another transaction of the same request");
    assert_eq!(first.header("Call-ID"), second.header("Call-ID"));
    assert_eq!(second.all("Via").len(), 1, "{second}");
    let far = Ua::new(b, "200");
    lab.send(b, far.answer(&second, 200, "t").sdp(far.sdp(6000)));
    let ok = lab.expect(phone.at, "200");
    let mut leg = call;
    leg.learn(&ok);
    let ack = leg.ack(&mut lab);
    lab.send(phone.at, ack);
    lab.expect(b, "ACK");
    // Within the dialog the one that answered is asked.
    let other = Leg::called(&far, &second, "t");
    lab.hang_up(&mut leg, &other);
    // What the first says now has nobody who waits: its 2xx gets ACK and BYE.
    lab.send(a, Ua::new(a, "200").answer(&first, 200, "late").sdp(far.sdp(6000)));
    lab.expect(a, "ACK");
    let bye = lab.expect(a, "BYE");
    lab.send(a, answer(&bye, 200, ""));
    lab.end();
}

#[test]
fn a_503_and_a_dead_transport_lead_to_the_next_at_once() {
    for dead in [false, true] {
        let mut lab = named("");
        Dns::pair().answer(&mut lab);
        let phone = lab.phone("101", "10.17.0.21:5060");
        let (a, b) = (lab.outside(A), lab.outside(B));
        message(&mut lab, &phone);
        let first = lab.expect(a, "MESSAGE");
        if dead {
            lab.input(Input::TransportFailed(first.flow));
        } else {
            lab.send(a, answer(&first, 503, "m"));
        }
        let second = lab.expect(b, "MESSAGE");
        lab.send(b, answer(&second, 200, "m"));
        lab.expect(phone.at, "200");
        lab.end();
    }
}

#[test]
fn when_all_say_503_the_caller_hears_it_once() {
    let mut lab = named("");
    Dns::pair().answer(&mut lab);
    let phone = lab.phone("101", "10.17.0.21:5060");
    message(&mut lab, &phone);
    for at in [A, B] {
        let at = lab.outside(at);
        let got = lab.expect(at, "MESSAGE");
        lab.send(at, answer(&got, 503, "m"));
    }
    lab.expect(phone.at, "500");
    lab.end();
}

#[test]
fn a_number_that_nobody_answers_rests_no_target_and_several_in_a_row_do() {
    let mut lab = named("");
    Dns::pair().answer(&mut lab);
    let phone = lab.phone("101", "10.17.0.21:5060");
    let (a, b) = (lab.outside(A), lab.outside(B));
    let silent = |lab: &mut Lab| {
        message(lab, &phone);
        assert!(lab.next(a).is_some(), "the first is asked first");
        lab.advance(s(5));
        let got = lab.take(b).pop().expect("the second is asked");
        lab.send(b, answer(&got, 200, "m"));
        lab.take(phone.at);
        lab.take(a);
    };
    silent(&mut lab);
    silent(&mut lab);
    assert!(targets(&lab).iter().all(|t| t.1 != Health::Down));
    silent(&mut lab);
    assert_eq!(targets(&lab)[0].1, Health::Down);
    message(&mut lab, &phone);
    let got = lab.expect(b, "MESSAGE");
    lab.send(b, answer(&got, 200, "m"));
    lab.expect(phone.at, "200");
    assert!(lab.take(a).is_empty(), "it rests");
    lab.advance(s(40));
    lab.clear();
    lab.end();
}

#[test]
fn a_request_with_credentials_goes_where_it_was_challenged_and_phones_are_shared_out() {
    let mut lab = named("");
    let mut dns = Dns::pair();
    dns.srv("_sip._udp.sip.example.net", &[(10, 1, "a"), (10, 1, "b")]);
    dns.answer(&mut lab);
    let at = [lab.outside(A), lab.outside(B)];
    let mut drawn = [0, 0];
    for n in 0..40 {
        let phone = lab.phone(&format!("1{n:02}"), &format!("10.17.0.{}:5060", 100 + n));
        let mut places = Vec::new();
        for (round, status) in [(0, 407), (1, 407), (2, 200)] {
            message(&mut lab, &phone);
            let (i, got) = (0..2).find_map(|i| Some((i, lab.next(at[i])?))).expect("asked");
            let challenge = "Digest realm=\"x\", nonce=\"n\"";
            lab.send(at[i], answer(&got, status, "m").with("Proxy-Authenticate", challenge));
            lab.take(phone.at);
            places.push(i);
            let _ = round;
        }
        assert!(places.iter().all(|p| *p == places[0]), "{places:?}");
        drawn[places[0]] += 1;
    }
    assert!(drawn.iter().all(|n| *n >= 8), "{drawn:?} of 40 by equal weights");
    lab.end();
}

#[test]
fn records_that_change_are_followed_and_calls_stay() {
    let mut lab = named("");
    let mut dns = Dns::pair();
    dns.answer(&mut lab);
    let phone = lab.phone("101", "10.17.0.21:5060");
    let far = Ua::new(lab.outside(A), "200");
    let (mut leg, other) = lab.establish(&phone, &far);
    dns.host("a", &["203.0.113.33"]);
    lab.advance(s(61));
    assert!(dns.answer(&mut lab) > 0, "asked again when its time is over");
    assert_eq!(targets(&lab)[0].0, "203.0.113.33:5060");
    let moved = lab.outside("203.0.113.33:5060");
    message(&mut lab, &phone);
    let got = lab.expect(moved, "MESSAGE");
    lab.send(moved, answer(&got, 200, "m"));
    lab.expect(phone.at, "200");
    lab.hang_up(&mut leg, &other);
    lab.end();
}

#[test]
fn a_name_that_lies_is_not_believed() {
    for (lie, why) in [
        ("10.17.0.9", "an inside address"),
        ("64:ff9b::a11:9", "an inside address"),
        ("2002:a11:9::1", "an inside address"),
        ("::ffff:0:a11:1", "the gateway's own address"),
        ("64:ff9b::7f00:1", "a loopback address"),
        ("10.17.0.1", "the gateway's own address"),
        ("203.0.113.1", "the gateway's own address"),
        ("127.0.0.1", "a loopback address"),
        ("224.0.0.1", "a multicast"),
        ("0.0.0.0", "a multicast"),
        ("2001:db8::5", "of another IP version"),
    ] {
        let mut lab = named("");
        let mut dns = Dns::pair();
        dns.host("a", &[lie]);
        dns.answer(&mut lab);
        assert_eq!(targets(&lab).iter().map(|t| &*t.0).collect::<Vec<_>>(), [B], "{lie}");
        let told = lab.notices.iter().any(|(_, text)| text.contains(why) && text.contains("pbx"));
        assert!(told, "{lie}: {:?}", lab.notices);
        let phone = lab.phone("101", "10.17.0.21:5060");
        let far = Ua::new(lab.outside(B), "200");
        let (mut leg, other) = lab.establish(&phone, &far);
        lab.hang_up(&mut leg, &other);
        lab.end();
    }
}

#[test]
fn while_dns_is_gone_its_last_answer_is_used_and_said_to_be_old() {
    let mut lab = named("");
    let mut dns = Dns::pair();
    dns.answer(&mut lab);
    dns.gone = true;
    for _ in 0..40 {
        lab.advance(s(60));
        dns.answer(&mut lab);
    }
    assert!(lab.upstream("pbx").stale);
    assert_eq!(targets(&lab).len(), 2);
    let phone = lab.phone("101", "10.17.0.21:5060");
    let far = Ua::new(lab.outside(A), "200");
    let (mut leg, other) = lab.establish(&phone, &far);
    lab.hang_up(&mut leg, &other);
    dns.gone = false;
    lab.advance(s(61));
    dns.answer(&mut lab);
    assert!(!lab.upstream("pbx").stale);
    lab.end();
}

#[test]
fn a_name_that_vanishes_is_missed_for_a_while_and_then_believed() {
    let mut lab = named("");
    let mut dns = Dns::pair();
    dns.answer(&mut lab);
    dns.records.clear();
    let mut left = 0;
    for _ in 0..30 {
        lab.advance(s(30));
        dns.answer(&mut lab);
        left += usize::from(!targets(&lab).is_empty());
    }
    assert!((18..24).contains(&left), "{left} of 30 half minutes");
    let up = lab.upstream("pbx");
    assert!(lab.notices.iter().any(|(_, t)| t.contains("stands for no address")), "{up:?}");
    let phone = lab.phone("101", "10.17.0.21:5060");
    message(&mut lab, &phone);
    assert_eq!(lab.take(phone.at).last().map(Msg::status), Some(404));
    dns = Dns::pair();
    lab.advance(s(61));
    dns.answer(&mut lab);
    assert_eq!(targets(&lab).len(), 2);
    lab.end();
}

#[test]
fn who_is_asked_may_change() {
    let mut lab = named("");
    let mut dns = Dns::pair();
    dns.ttl = 3_600;
    dns.answer(&mut lab);
    assert_eq!(dns.answer(&mut lab), 0);
    dns.host("a", &["203.0.113.34"]);
    lab.input(Input::ResolverChanged);
    assert!(dns.answer(&mut lab) > 0);
    assert_eq!(targets(&lab)[0].0, "203.0.113.34:5060");
    lab.end();
}

#[test]
fn each_target_is_probed_and_one_that_is_down_is_left_out() {
    let mut lab = named("");
    lab.reload(|c| c.upstreams[0].probe = Some(s(10)));
    Dns::pair().answer(&mut lab);
    let (a, b) = (lab.outside(A), lab.outside(B));
    let reply = |lab: &mut Lab, at: Party| {
        for got in lab.take(at).into_iter().filter(|m| m.is_request() && m.method() == "OPTIONS") {
            lab.send(at, answer(&got, 200, "o"));
        }
    };
    for _ in 0..60 {
        lab.advance(s(1));
        reply(&mut lab, b);
    }
    assert_eq!(targets(&lab), [(A.to_owned(), Health::Down), (B.to_owned(), Health::Up)]);
    assert_eq!(lab.upstream("pbx").health, Health::Up, "one answers");
    lab.take(a);
    let phone = lab.phone("101", "10.17.0.21:5060");
    message(&mut lab, &phone);
    let got = lab.expect(b, "MESSAGE");
    lab.send(b, answer(&got, 200, "m"));
    lab.expect(phone.at, "200");
    for _ in 0..60 {
        lab.advance(s(1));
        reply(&mut lab, a);
        reply(&mut lab, b);
    }
    assert_eq!(targets(&lab), [(A.to_owned(), Health::Up), (B.to_owned(), Health::Up)]);
    message(&mut lab, &phone);
    let got = lab.expect(a, "MESSAGE");
    lab.send(a, answer(&got, 200, "m"));
    lab.expect(phone.at, "200");
    lab.clear();
}

/// One host by both transports.
fn both() -> Dns {
    let mut dns = Dns { ttl: 60, ..Dns::default() };
    dns.srv("_sip._udp.sip.example.net", &[(10, 1, "a")]);
    dns.srv("_sip._tcp.sip.example.net", &[(10, 1, "a")]);
    dns.host("a", &[A]);
    dns
}

/// The same host, by TCP.
fn by_tcp(at: Party) -> Party {
    let mut at = at;
    (at.flow.transport, at.flow.listener) = (Transport::Tcp, ListenerId(4));
    at
}

fn long(lab: &mut Lab, phone: &Ua, octets: usize) {
    let text = "x".repeat(octets);
    let message = phone.request(lab, "MESSAGE", "200").typed("text/plain", &text);
    lab.send(phone.at, message);
}

#[test]
fn what_is_too_long_for_a_datagram_goes_by_stream_where_there_is_one() {
    let mut lab = named("");
    both().answer(&mut lab);
    let phone = lab.phone("101", "10.17.0.21:5060");
    let at = lab.outside(A);
    for (octets, transport, at) in [(100, "UDP", at), (1_300, "TCP", by_tcp(at))] {
        long(&mut lab, &phone, octets);
        let got = lab.expect(at, "MESSAGE");
        assert!(got.header("Via").starts_with(&format!("SIP/2.0/{transport} ")), "{got}");
        lab.send(at, answer(&got, 200, "m"));
        lab.expect(phone.at, "200");
    }
    // Nobody listens there: at once as it is, and the stream rests.
    for tries in 0..2 {
        long(&mut lab, &phone, 1_300);
        if tries == 0 {
            let got = lab.expect(by_tcp(at), "MESSAGE");
            lab.input(Input::TransportFailed(got.flow));
        }
        let got = lab.expect(at, "MESSAGE");
        assert!(got.header("Via").starts_with("SIP/2.0/UDP "), "{tries}: {got}");
        lab.send(at, answer(&got, 200, "m"));
        lab.expect(phone.at, "200");
    }
    lab.end();
    // Where only UDP is known, they go as they are.
    let mut lab = named("");
    Dns::pair().answer(&mut lab);
    let phone = lab.phone("101", "10.17.0.21:5060");
    long(&mut lab, &phone, 1_300);
    let got = lab.expect(at, "MESSAGE");
    assert!(got.header("Via").starts_with("SIP/2.0/UDP "), "{got}");
    lab.send(at, answer(&got, 200, "m"));
    lab.expect(phone.at, "200");
    lab.end();
}

#[test]
fn a_long_call_goes_by_stream_and_its_dialog_with_it() {
    let mut lab = named("");
    both().answer(&mut lab);
    let phone = lab.phone("101", "10.17.0.21:5060");
    let at = by_tcp(lab.outside(A));
    let padding = "x".repeat(1_000);
    let invite =
        phone.request(&mut lab, "INVITE", "200").with("Subject", padding).sdp(phone.sdp(4000));
    lab.send(phone.at, invite.clone());
    let mut leg = Leg::calling(&phone, &invite);
    let got = lab.expect(at, "INVITE");
    assert!(got.header("Via").starts_with("SIP/2.0/TCP "), "{got}");
    for name in ["Contact", "Record-Route"] {
        assert!(got.header(name).contains(";transport=tcp"), "{got}");
    }
    let far = Ua::new(at, "200");
    let contact = "<sip:200@203.0.113.31:5060;transport=tcp>";
    lab.send(far.at, far.answer(&got, 200, "t").set("Contact", contact).sdp(far.sdp(6000)));
    lab.expect(phone.at, "100");
    let ok = lab.expect(phone.at, "200");
    leg.learn(&ok);
    let ack = leg.ack(&mut lab);
    lab.send(phone.at, ack);
    let ack = lab.expect(at, "ACK");
    assert!(ack.header("Via").starts_with("SIP/2.0/TCP "), "{ack}");
    let bye = leg.request(&mut lab, "BYE");
    lab.send(phone.at, bye);
    let bye = lab.expect(at, "BYE");
    assert!(bye.header("Via").starts_with("SIP/2.0/TCP "), "{bye}");
    lab.send(far.at, answer(&bye, 200, ""));
    lab.expect(phone.at, "200");
    lab.end();
}

/// An INVITE that A leaves without a word until B is asked, too; both requests.
fn left(lab: &mut Lab, phone: &Ua) -> (Leg, [Party; 2], [Msg; 2]) {
    let (a, b) = (lab.outside(A), lab.outside(B));
    let call = lab.call(phone, "200", 4000);
    let first = lab.expect(a, "INVITE");
    lab.expect(phone.at, "100");
    lab.advance(s(5));
    lab.take(a);
    let second = lab.take(b).pop().expect("the second is asked");
    (call, [a, b], [first, second])
}

#[test]
fn who_was_left_and_rings_after_all_is_cancelled_when_the_call_is_over() {
    for given_up in [false, true] {
        let mut lab = named("");
        Dns::pair().answer(&mut lab);
        let phone = lab.phone("101", "10.17.0.21:5060");
        let (mut call, [a, b], [first, second]) = left(&mut lab, &phone);
        let far = Ua::new(b, "200");
        if given_up {
            lab.send(b, answer(&second, 180, "t"));
            lab.expect(phone.at, "180");
            lab.send(phone.at, call.cancel());
            lab.expect(phone.at, "200");
            let cancel = lab.expect(b, "CANCEL");
            lab.send(b, answer(&cancel, 200, "t"));
            lab.send(b, answer(&second, 487, "t"));
            lab.expect(b, "ACK");
            let over = lab.expect(phone.at, "487");
            lab.send(phone.at, call.ack_refusal(&over));
        } else {
            lab.send(b, far.answer(&second, 200, "t").sdp(far.sdp(6000)));
            let ok = lab.expect(phone.at, "200");
            call.learn(&ok);
            let ack = call.ack(&mut lab);
            lab.send(phone.at, ack);
            lab.expect(b, "ACK");
        }
        lab.send(a, answer(&first, 180, "late"));
        let cancel = lab.expect(a, "CANCEL");
        lab.send(a, answer(&cancel, 200, "late"));
        lab.send(a, answer(&first, 487, "late"));
        lab.expect(a, "ACK");
        assert!(lab.take(phone.at).is_empty(), "nothing of it is told");
        if !given_up {
            let other = Leg::called(&far, &second, "t");
            lab.hang_up(&mut call, &other);
        }
        lab.end();
    }
}

#[test]
fn who_was_left_may_still_answer_first_and_the_best_answer_of_both_counts() {
    let mut lab = named("");
    Dns::pair().answer(&mut lab);
    let phone = lab.phone("101", "10.17.0.21:5060");
    let (mut call, [a, b], [first, _]) = left(&mut lab, &phone);
    let far = Ua::new(a, "200");
    lab.send(a, answer(&first, 180, "t"));
    lab.expect(phone.at, "180");
    lab.send(a, far.answer(&first, 200, "t").sdp(far.sdp(6000)));
    let ok = lab.expect(phone.at, "200");
    call.learn(&ok);
    let ack = call.ack(&mut lab);
    lab.send(phone.at, ack);
    lab.expect(a, "ACK");
    let other = Leg::called(&far, &first, "t");
    lab.hang_up(&mut call, &other);
    lab.take(b);
    lab.advance(s(40));
    lab.clear();
    // A challenge tells more than a 503.
    let mut lab = named("");
    Dns::pair().answer(&mut lab);
    let (call, [a, b], [first, second]) = left(&mut lab, &phone);
    let challenge = "Digest realm=\"x\", nonce=\"n\"";
    lab.send(a, answer(&first, 407, "t").with("Proxy-Authenticate", challenge));
    lab.expect(a, "ACK");
    lab.send(b, answer(&second, 503, "t"));
    lab.expect(b, "ACK");
    let told = lab.expect(phone.at, "407");
    lab.send(phone.at, call.ack_refusal(&told));
    lab.clear();
    // Who is busy is not waited for longer than it takes.
    let mut lab = named("");
    Dns::pair().answer(&mut lab);
    let (call, [_, b], [_, second]) = left(&mut lab, &phone);
    lab.send(b, answer(&second, 486, "t"));
    lab.expect(b, "ACK");
    let told = lab.expect(phone.at, "486");
    lab.send(phone.at, call.ack_refusal(&told));
    lab.advance(s(40));
    lab.clear();
}

#[test]
fn a_failure_of_dns_is_not_taken_for_no_such_service() {
    let mut lab = named("");
    let mut dns = Dns::pair();
    let srv = Question::Srv("_sip._udp.sip.example.net".to_owned());
    dns.host("sip.example.net", &["203.0.113.80"]);
    let records = dns.records.remove(&srv).expect("it is there");
    let mut silent = true;
    let answer_all = |lab: &mut Lab, dns: &Dns, silent: bool| {
        for _ in 0..50 {
            let Some(question) = lab.asked.pop_front() else { return };
            let failed = silent && question == srv
                || question.name() == "sip.example.net" && matches!(question, Question::Naptr(_));
            let reply = match dns.records.get(&question) {
                _ if failed => Reply::Failed("nobody answers".to_owned()),
                Some(records) => Reply::Records(records.clone(), s(60)),
                None => Reply::Nothing(s(60)),
            };
            lab.input(Input::Resolved(question, reply));
        }
    };
    answer_all(&mut lab, &dns, silent);
    assert_eq!(targets(&lab), [], "the web server of the domain is no PBX");
    silent = false;
    dns.records.insert(srv.clone(), records);
    lab.advance(s(6));
    answer_all(&mut lab, &dns, silent);
    assert_eq!(targets(&lab).len(), 2);
    assert!(!lab.upstream("pbx").stale, "that nobody answers NAPTR makes nothing old");
    lab.end();
}

#[test]
fn an_emergency_call_does_not_wait_for_dns() {
    let text =
        site::EDGE.replace("address = \"203.0.113.10:5060\"", "address = \"sip.example.net\"");
    let mut config = site::parse(&text);
    config.policy.emergency_target = Some("102".to_owned());
    config.registrar.mode = portreeve::config::RegistrarMode::Local;
    config.registrar.digest = false;
    let mut lab = Lab::with(config, Users::None);
    let ward = lab.phone("102", "10.17.0.22:5060");
    let uri = format!("sip:{}", site::GATE_INSIDE);
    let register =
        ward.request_to(&mut lab, "REGISTER", &uri).set("To", format!("<{}>", ward.aor()));
    lab.send(ward.at, register.with("Expires", "600"));
    lab.expect(ward.at, "200");
    let phone = lab.phone("101", "10.17.0.21:5060");
    lab.call(&phone, "112", 4000);
    lab.expect(phone.at, "100");
    lab.expect(ward.at, "INVITE");
    lab.clear();
}

#[test]
fn who_left_a_names_addresses_is_the_upstream_for_a_while() {
    let mut lab = named("");
    let mut dns = Dns::pair();
    dns.answer(&mut lab);
    lab.reload(|c| {
        for i in &mut c.interfaces {
            i.strangers = portreeve::config::Strangers::Silent;
        }
        c.policy.default = portreeve::config::DefaultPolicy::Site;
    });
    dns.answer(&mut lab);
    dns.host("a", &["203.0.113.33"]);
    lab.advance(s(61));
    dns.answer(&mut lab);
    let before = Ua::new(lab.outside(A), "200");
    let options = before.request_to(&mut lab, "OPTIONS", &format!("sip:{}", site::GATE_OUTSIDE));
    lab.send(before.at, options.clone());
    assert_eq!(lab.take(before.at).last().map(Msg::status), Some(200), "it is known");
    for _ in 0..70 {
        lab.advance(s(60));
        dns.answer(&mut lab);
    }
    let options = before.request_to(&mut lab, "OPTIONS", &format!("sip:{}", site::GATE_OUTSIDE));
    lab.send(before.at, options);
    assert!(lab.take(before.at).iter().all(|m| m.status() != 200), "and is forgotten");
    lab.end();
}

#[test]
fn one_upstreams_zone_takes_no_address_of_another() {
    let trunk = "[[upstream]]\nname = \"other\"\naddress = \"203.0.113.32:5060\"\nprobe = \"0s\"\n";
    let mut lab = named(trunk);
    Dns::pair().answer(&mut lab);
    assert_eq!(targets(&lab).iter().map(|t| &*t.0).collect::<Vec<_>>(), [A]);
    let told = lab.notices.iter().any(|(_, t)| t.contains("the address of upstream other"));
    assert!(told, "{:?}", lab.notices);
    lab.end();
}

const ALPHA: &str = r#"
[[upstream]]
name = "alpha"
address = "alpha.example.org:5060"
domain = "alpha.example.org"
numbers = ["+4999"]
probe = "0s"
"#;

/// Two upstreams by names, `alpha` before `pbx`: where each is.
fn two_named(trust: [bool; 2]) -> (Lab, Dns) {
    let text = site::EDGE
        .replace("address = \"203.0.113.10:5060\"", "address = \"sip.example.net:5060\"")
        .replace("[[upstream]]", &format!("{ALPHA}\n[[upstream]]"));
    let mut config = site::parse(&text);
    for (u, trust) in config.upstreams.iter_mut().zip(trust) {
        u.trust = trust;
    }
    assert_eq!(config.upstreams[0].name, "alpha");
    let mut dns = Dns { ttl: 60, ..Dns::default() };
    dns.host("alpha.example.org", &[B]);
    dns.host("sip.example.net", &[A]);
    (Lab::with(config, Users::None), dns)
}

/// A phone registers at an upstream that is at `at`, in its domain; who calls from there.
fn bound(lab: &mut Lab, at: &str, user: &str, host: u8, domain: &str) -> (Ua, Ua) {
    let mut phone = lab.phone(user, &format!("10.17.0.{host}:5060"));
    let mut pbx = Ua::new(lab.outside(at), "200");
    domain.clone_into(&mut phone.domain);
    domain.clone_into(&mut pbx.domain);
    let register = phone
        .request_to(lab, "REGISTER", &format!("sip:{domain}"))
        .set("To", format!("<{}>", phone.aor()))
        .with("Expires", "36000");
    lab.send(phone.at, register);
    let got = lab.expect(pbx.at, "REGISTER");
    let contact = format!("<{}>;expires=36000", got.contact());
    lab.send(pbx.at, answer(&got, 200, "r").with("Contact", contact));
    lab.expect(phone.at, "200");
    (phone, pbx)
}

/// What a call of a user by name comes to, and what the phone sees of who calls.
#[track_caller]
fn rings(lab: &mut Lab, pbx: &Ua, phone: &Ua, from: &str) -> bool {
    let invite = pbx
        .request_to(lab, "INVITE", &format!("sip:{}@203.0.113.1", phone.user))
        .set("From", format!("<sip:200@{from}>;tag=f"))
        .set("To", format!("<sip:{}@203.0.113.1>", phone.user))
        .with("P-Asserted-Identity", "<sip:boss@example.org>")
        .sdp(pbx.sdp(6000));
    lab.send(pbx.at, invite.clone());
    lab.expect(pbx.at, "100");
    let got = lab.expect(phone.at, "INVITE");
    lab.send(phone.at, answer(&got, 486, "t"));
    lab.expect(phone.at, "ACK");
    let busy = lab.expect(pbx.at, "486");
    lab.send(pbx.at, Leg::calling(pbx, &invite).ack_refusal(&busy));
    got.has("P-Asserted-Identity")
}

#[test]
fn a_zone_that_names_a_neighbours_address_takes_nothing_from_it() {
    // Who is believed what: the one that lies, the one that is lied of.
    for (trust, before, after) in
        [([true, false], false, false), ([false, true], true, false), ([true, true], true, true)]
    {
        for first in [true, false] {
            let (mut lab, mut dns) = two_named(trust);
            if !first {
                // After a start both may be told at once.
                dns.host("alpha.example.org", &[B, A]);
            }
            dns.answer(&mut lab);
            let (phone, pbx) = bound(&mut lab, A, "101", 21, "pbx.example.com");
            if first {
                for from in ["pbx.example.com", "far.example", "203.0.113.10"] {
                    assert_eq!(rings(&mut lab, &pbx, &phone, from), before, "{trust:?}");
                }
                dns.host("alpha.example.org", &[B, A]);
                lab.advance(s(61));
                dns.answer(&mut lab);
            }
            let told = |(_, t): &(_, String)| t.contains("where upstream") && t.contains("too");
            assert!(lab.notices.iter().any(told), "{:?}", lab.notices);
            for from in ["pbx.example.com", "far.example", "alpha.example.org"] {
                assert_eq!(rings(&mut lab, &pbx, &phone, from), after, "{trust:?} {from}");
            }
            lab.end();
        }
    }
}

#[test]
fn two_trunks_of_one_provider_share_an_address_and_each_calls_its_own_users() {
    let (mut lab, mut dns) = two_named([false, false]);
    dns.host("alpha.example.org", &[A]);
    dns.answer(&mut lab);
    let (one, pbx) = bound(&mut lab, A, "101", 21, "pbx.example.com");
    let (namesake, alpha) = bound(&mut lab, A, "101", 22, "alpha.example.org");
    let (other, _) = bound(&mut lab, A, "102", 23, "alpha.example.org");
    rings(&mut lab, &pbx, &one, "pbx.example.com");
    rings(&mut lab, &alpha, &namesake, "alpha.example.org");
    for from in ["alpha.example.org", "pbx.example.com", "far.example"] {
        rings(&mut lab, &pbx, &other, from);
    }
    lab.end();
}

#[test]
fn an_address_of_the_file_waits_for_nobodys_dns_and_a_new_file_forgets_old_ones() {
    let mut lab = named("");
    lab.reload(|c| {
        c.upstreams[0].targets = ["dead.example.net", A].map(site::target).to_vec();
    });
    assert_eq!(targets(&lab).iter().map(|t| &*t.0).collect::<Vec<_>>(), [A]);
    lab.reload(|c| c.upstreams[0].targets = vec![site::target("sip.example.net")]);
    assert_eq!(targets(&lab), []);
    lab.end();
}

#[test]
fn a_phone_that_registered_at_the_second_target_is_called_for_there() {
    let mut lab = named("");
    Dns::pair().answer(&mut lab);
    let phone = lab.phone("101", "10.17.0.21:5060");
    let (a, b) = (lab.outside(A), lab.outside(B));
    let uri = format!("sip:{}", phone.domain);
    let to = format!("<{}>", phone.aor());
    let register = phone.request_to(&mut lab, "REGISTER", &uri).set("To", to);
    lab.send(phone.at, register.with("Expires", "600"));
    let first = lab.expect(a, "REGISTER");
    lab.send(a, answer(&first, 503, "r"));
    let got = lab.expect(b, "REGISTER");
    let contact = got.header("Contact").to_owned();
    lab.send(b, answer(&got, 200, "r").with("Contact", contact).with("Expires", "600"));
    lab.expect(phone.at, "200");
    message(&mut lab, &phone);
    let got = lab.expect(b, "MESSAGE");
    lab.send(b, answer(&got, 200, "m"));
    lab.expect(phone.at, "200");
    // Where that one sends it away, the other is asked.
    message(&mut lab, &phone);
    let got = lab.expect(b, "MESSAGE");
    lab.send(b, answer(&got, 503, "m"));
    let got = lab.expect(a, "MESSAGE");
    lab.send(a, answer(&got, 200, "m"));
    lab.expect(phone.at, "200");
    lab.end();
}

#[test]
fn who_was_left_is_not_asked_again() {
    let mut lab = named("");
    Dns::pair().answer(&mut lab);
    let phone = lab.phone("101", "10.17.0.21:5060");
    let (a, b) = (lab.outside(A), lab.outside(B));
    message(&mut lab, &phone);
    lab.advance(s(5));
    lab.take(a);
    let got = lab.take(b).pop().expect("the second is asked");
    lab.send(b, answer(&got, 200, "m"));
    lab.expect(phone.at, "200");
    lab.advance(s(40));
    assert!(lab.take(a).is_empty(), "nothing more is sent to the first");
    lab.end();
}

#[test]
fn a_target_that_asks_to_be_spared_is_asked_after_the_others_for_a_while() {
    let mut lab = named("");
    Dns::pair().answer(&mut lab);
    let phone = lab.phone("101", "10.17.0.21:5060");
    let (a, b) = (lab.outside(A), lab.outside(B));
    // One or two may be of somebody behind it whom nobody reaches.
    for (round, first) in [(0, a), (0, a), (0, a), (1, b), (2, a)] {
        message(&mut lab, &phone);
        let got = lab.expect(first, "MESSAGE");
        if round == 0 {
            lab.send(a, answer(&got, 503, "m").with("Retry-After", "20 (maintenance)"));
            let again = lab.expect(b, "MESSAGE");
            lab.send(b, answer(&again, 200, "m"));
        } else {
            lab.send(first, answer(&got, 200, "m"));
        }
        lab.expect(phone.at, "200");
        if round == 1 {
            lab.advance(s(20));
        }
    }
    lab.end();
}

#[test]
fn all_targets_have_their_share_of_the_time_that_a_request_is_waited_for() {
    let mut lab = named("");
    let mut dns = Dns::pair();
    let hosts: Vec<String> = (0..16).map(|n| format!("dead{n}")).collect();
    let mut records: Vec<(u16, u16, &str)> = hosts.iter().map(|h| (1, 1, h.as_str())).collect();
    records.push((9, 1, "b"));
    dns.srv("_sip._udp.sip.example.net", &records);
    for (n, host) in hosts.iter().enumerate() {
        dns.host(host, &[&format!("203.0.113.{}:5060", 100 + n)]);
    }
    dns.answer(&mut lab);
    let phone = lab.phone("101", "10.17.0.21:5060");
    let b = lab.outside(B);
    message(&mut lab, &phone);
    let began = lab.now.mono;
    let got = loop {
        lab.advance(s(1));
        if let Some(got) = lab.take(b).pop() {
            break got;
        }
        assert!(lab.now.mono.since(began) < s(32), "its sender has given up");
    };
    lab.send(b, answer(&got, 200, "m"));
    lab.expect(phone.at, "200");
    for n in 0..16 {
        let dead = lab.outside(&format!("203.0.113.{}:5060", 100 + n));
        lab.take(dead);
    }
    lab.end();
}

#[test]
fn a_datagram_that_comes_back_leads_to_the_next_target_at_once_and_forged_ones_to_nothing() {
    let mut lab = named("");
    Dns::pair().answer(&mut lab);
    let phone = lab.phone("101", "10.17.0.21:5060");
    let (a, b) = (lab.outside(A), lab.outside(B));
    lab.call(&phone, "200", 4000);
    let first = lab.expect(a, "INVITE");
    lab.expect(phone.at, "100");
    let whole = String::from_utf8(first.bytes.clone()).expect("text");
    let back = |lab: &mut Lab, peer: &str, text: &str| {
        let flow = portreeve::ground::Flow { peer: peer.parse().unwrap(), ..first.flow };
        lab.input(Input::Undelivered { flow, quoted: text.to_owned().into() });
    };
    let guess = whole.replace(first.branch(), "z9hG4bKguess");
    for text in ["", "\r\n", "INVITE", "INVITE x SIP/2.0\r\nVia: ", &whole[..40], &guess] {
        back(&mut lab, A, text);
    }
    back(&mut lab, B, &whole);
    assert!(lab.take(b).is_empty(), "nobody who has not seen the request is believed");
    back(&mut lab, A, &whole[..200]);
    let second = lab.expect(b, "INVITE");
    let far = Ua::new(b, "200");
    lab.send(b, far.answer(&second, 200, "t").sdp(far.sdp(6000)));
    lab.expect(phone.at, "200");
    // Who is asked alone is asked again: he may be starting.
    back(&mut lab, B, &String::from_utf8(second.bytes).expect("text"));
    assert!(lab.take(phone.at).is_empty());
}

#[test]
fn what_is_no_call_is_answered_in_its_time_however_many_are_asked() {
    let mut lab = named("");
    let mut dns = Dns::pair();
    dns.srv("_sip._udp.sip.example.net", &[(1, 1, "a"), (2, 1, "b"), (3, 1, "c")]);
    dns.host("c", &["203.0.113.33"]);
    dns.answer(&mut lab);
    let phone = lab.phone("101", "10.17.0.21:5060");
    message(&mut lab, &phone);
    lab.advance(s(31));
    let asked = [A, B, "203.0.113.33:5060"].map(|host| lab.outside(host));
    for host in asked {
        assert!(!lab.take(host).is_empty(), "{} is asked", host.addr());
    }
    assert!(lab.take(phone.at).is_empty());
    lab.advance(s(1));
    assert_eq!(lab.take(phone.at).last().map(Msg::status), Some(408), "he waits no longer");
    for host in asked {
        lab.take(host);
    }
    lab.end();
}
