use super::*;
use crate::engine::names::Reply;
use crate::ground::Mono;
use proptest::prelude::*;
use std::time::Duration;

const ALL: [Transport; 3] = [Transport::Udp, Transport::Tcp, Transport::Tls];
const PLAIN: [Transport; 2] = [Transport::Udp, Transport::Tcp];

/// `NAPTR name order preference flags service replacement`, `SRV name priority weight port target`,
/// `A name address`, one a line.
fn zone(text: &str) -> Cache {
    let mut all: Vec<(Question, Vec<Record>)> = Vec::new();
    for line in text.lines().filter(|l| !l.trim().is_empty()) {
        let f: Vec<&str> = line.split_whitespace().collect();
        let number = |n: usize| f[n].parse().unwrap();
        let name = f[1].to_owned();
        let (question, record) = match f[0] {
            "NAPTR" => {
                let (flags, service) = (f[4].to_owned(), f[5].to_owned());
                let (order, preference) = (number(2), number(3));
                let replacement = f[6].to_owned();
                let r = Record::Naptr { order, preference, flags, service, replacement };
                (Question::Naptr(name), r)
            }
            "SRV" => {
                let (priority, weight, port) = (number(2), number(3), number(4));
                let target = f[5].trim_matches('.').to_owned();
                (Question::Srv(name), Record::Srv { priority, weight, port, target })
            }
            _ => (Question::Hosts(name), Record::Address(f[2].parse().unwrap())),
        };
        match all.iter_mut().find(|(q, _)| *q == question) {
            Some((_, records)) => records.push(record),
            None => all.push((question, vec![record])),
        }
    }
    let mut cache = Cache::default();
    for (question, records) in all {
        let reply = Reply::Records(records, Duration::from_secs(60));
        cache.answered(Mono::default(), question, reply);
    }
    cache
}

fn nothing(cache: &mut Cache, questions: &[Question]) {
    for q in questions {
        cache.answered(Mono::default(), q.clone(), Reply::Nothing(Duration::from_secs(60)));
    }
}

/// Asks until nothing is missing; what the zone has not is not there.
fn found(targets: &[&str], cache: &mut Cache) -> Vec<String> {
    found_by(&ALL, targets, cache).0
}

/// The same by some transports alone, with what could not be.
fn found_by(
    spoken: &[Transport],
    targets: &[&str],
    cache: &mut Cache,
) -> (Vec<String>, Option<String>) {
    let targets: Vec<Target> = targets.iter().map(|t| Target::parse(t).unwrap()).collect();
    for _ in 0..10 {
        let found = look_up(&targets, spoken, cache);
        if found.missing.is_empty() {
            let one =
                |p: &Place| format!("{} {} {} {}", p.rank, p.weight, p.hop.peer, p.hop.transport);
            return (found.places.iter().map(one).collect(), found.failed);
        }
        nothing(cache, &found.missing);
    }
    panic!("it never ends");
}

#[test]
fn a_domain_says_by_naptr_which_transports_it_prefers() {
    let mut dns = zone(
        "NAPTR example.net 20 10 s SIP+D2U _sip._udp.a.example.net
         NAPTR example.net 10 10 s SIP+D2T _sip._tcp.b.example.net
         NAPTR example.net 5 10 s SIPS+D2T _sips._tcp.example.net
         NAPTR example.net 1 10 u E2U+sip !^.*$!sip:x@y!
         SRV _sip._tcp.b.example.net 10 0 5070 b.example.net
         SRV _sip._udp.a.example.net 10 0 5060 a.example.net
         A a.example.net 198.51.100.1
         A b.example.net 198.51.100.2",
    );
    let want = ["1 0 198.51.100.2:5070 tcp", "2 0 198.51.100.1:5060 udp"];
    assert_eq!(
        found_by(&PLAIN, &["example.net"], &mut dns),
        (want.map(String::from).to_vec(), None)
    );
}

#[test]
fn srv_orders_by_priority_and_shares_by_weight_and_one_host_may_have_both_families() {
    let mut dns = zone(
        "SRV _sip._udp.example.net 20 0 5060 c.example.net
         SRV _sip._udp.example.net 10 75 5060 a.example.net
         SRV _sip._udp.example.net 10 25 5062 b.example.net
         A a.example.net 198.51.100.1
         A a.example.net 2001:db8::1
         A b.example.net 198.51.100.2
         A c.example.net 198.51.100.3",
    );
    let want = [
        "1 25 198.51.100.2:5062 udp",
        "1 75 198.51.100.1:5060 udp",
        "1 75 [2001:db8::1]:5060 udp",
        "2 0 198.51.100.3:5060 udp",
    ];
    assert_eq!(found(&["example.net"], &mut dns), want);
    assert_eq!(found(&["sip:example.net;transport=udp"], &mut dns), want);
}

#[test]
fn a_name_without_records_of_services_is_a_host() {
    let mut dns = zone("A pbx.example.net 198.51.100.7");
    assert_eq!(found(&["pbx.example.net"], &mut dns), ["1 1 198.51.100.7:5060 udp"]);
    assert_eq!(
        found(&["sip:pbx.example.net;transport=tcp"], &mut dns),
        ["1 1 198.51.100.7:5060 tcp"]
    );
}

#[test]
fn a_port_asks_for_the_host_alone() {
    let mut dns = zone(
        "SRV _sip._udp.pbx.example.net 10 0 5060 other.example.net
         A other.example.net 198.51.100.1
         A pbx.example.net 198.51.100.7",
    );
    assert_eq!(found(&["pbx.example.net:5080"], &mut dns), ["1 1 198.51.100.7:5080 udp"]);
}

#[test]
fn a_service_that_is_decidedly_not_there_is_not_looked_for_elsewhere() {
    let mut dns = zone(
        "SRV _sip._udp.example.net 0 0 0 .
         A example.net 198.51.100.1",
    );
    assert_eq!(found(&["sip:example.net;transport=udp"], &mut dns), [""; 0]);
}

#[test]
fn targets_of_a_file_come_one_after_the_other_each_place_once() {
    let mut dns = zone("A b.example.net 198.51.100.2\nA b.example.net 198.51.100.1");
    let want =
        ["1 1 198.51.100.1:5060 udp", "2 1 198.51.100.2:5060 udp", "3 1 198.51.100.3:5061 tcp"];
    let targets = ["198.51.100.1", "b.example.net:5060", "sip:198.51.100.3:5061;transport=tcp"];
    assert_eq!(found(&targets, &mut dns), want);
}

#[test]
fn what_is_missing_is_asked_step_by_step_and_why_it_failed_is_told() {
    let target = [Target::parse("example.net").unwrap()];
    let mut dns = zone("SRV _sip._udp.example.net 10 0 5060 a.example.net");
    let first = look_up(&target, &PLAIN, &dns);
    assert_eq!(first.missing, [Question::Naptr("example.net".to_owned())]);
    nothing(&mut dns, &first.missing);
    let second = look_up(&target, &PLAIN, &dns);
    let host = Question::Hosts("a.example.net".to_owned());
    let tcp = Question::Srv("_sip._tcp.example.net".to_owned());
    assert_eq!(second.missing, [host.clone(), tcp.clone()]);
    nothing(&mut dns, &[tcp]);
    dns.answered(Mono::default(), host, Reply::Failed("no server answers".to_owned()));
    let last = look_up(&target, &PLAIN, &dns);
    assert_eq!(last.failed.as_deref(), Some("A/AAAA a.example.net: no server answers"));
    assert!(last.places.is_empty() && last.missing.is_empty() && last.asked.len() == 4);
}

/// A few names, so that records meet.
fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-c]", Just("_sip._udp.a".to_owned()), Just(String::new()), ".{0,40}"]
}

fn record() -> impl Strategy<Value = Record> {
    let naptr = (any::<u16>(), any::<u16>(), "[sau]?", "SIPS?\\+D2[UT]", name());
    let naptr = naptr.prop_map(|(order, preference, flags, service, replacement)| Record::Naptr {
        order,
        preference,
        flags,
        service,
        replacement,
    });
    let srv = (any::<u16>(), any::<u16>(), any::<u16>(), name());
    let srv = srv.prop_map(|(priority, weight, port, target)| Record::Srv {
        priority,
        weight,
        port,
        target,
    });
    prop_oneof![naptr, srv, any::<std::net::IpAddr>().prop_map(Record::Address)]
}

proptest! {
    /// Whatever a zone says: so many questions, so many places, each once.
    #[test]
    fn no_zone_costs_more_than_it_may(
        records in prop::collection::vec(record(), 0..200),
        targets in prop::collection::vec("[a-c](:5060)?", 1..9),
    ) {
        let targets: Vec<Target> = targets.iter().filter_map(|t| Target::parse(t)).collect();
        let mut dns = Cache::default();
        let mut asked = 0;
        loop {
            let found = look_up(&targets, &ALL, &dns);
            prop_assert!(found.places.len() <= PLACES && found.asked.len() <= QUESTIONS);
            let mut hops: Vec<Hop> = found.places.iter().map(|p| p.hop).collect();
            hops.sort_unstable();
            hops.dedup();
            prop_assert_eq!(hops.len(), found.places.len());
            if found.missing.is_empty() {
                break;
            }
            for q in found.missing {
                asked += 1;
                prop_assert!(asked <= QUESTIONS);
                let reply = Reply::Records(records.clone(), Duration::from_secs(60));
                dns.answered(Mono::default(), q, reply);
            }
        }
    }
}

#[test]
fn tls_is_found_by_its_own_records_and_by_no_others() {
    let mut dns = zone(
        "NAPTR example.net 10 10 s SIP+D2U _sip._udp.example.net
         NAPTR example.net 5 10 s SIPS+D2T _sips._tcp.example.net
         SRV _sips._tcp.example.net 10 0 5071 a.example.net
         SRV _sip._udp.example.net 10 0 5060 b.example.net
         SRV _sip._tcp.other.example 10 0 5060 b.example.net
         SRV _sips._tcp.other.example 10 0 5061 a.example.net
         A other.example 198.51.100.9
         A a.example.net 198.51.100.1
         A b.example.net 198.51.100.2",
    );
    let want = ["1 0 198.51.100.1:5071 tls", "2 0 198.51.100.2:5060 udp"];
    assert_eq!(found(&["example.net"], &mut dns), want, "as the domain prefers");
    let secure = ["1 0 198.51.100.1:5071 tls"];
    for target in ["sips:example.net", "sip:example.net;transport=tls"] {
        assert_eq!(found(&[target], &mut dns), secure, "{target}");
    }
    let plain_first = ["1 0 198.51.100.2:5060 tcp", "2 0 198.51.100.1:5061 tls"];
    assert_eq!(found(&["other.example"], &mut dns), plain_first, "it prefers nothing");
    assert_eq!(found(&["sips:a.example.net"], &mut dns), ["1 1 198.51.100.1:5061 tls"]);
    assert_eq!(found(&["sips:a.example.net:5070"], &mut dns), ["1 1 198.51.100.1:5070 tls"]);
}

#[test]
fn a_domain_that_is_served_by_other_transports_alone_is_not_served_by_ours() {
    for service in ["SIPS+D2T", "SIP+D2S", "sips+d2s", "SIP+D2W"] {
        let mut dns = zone(&format!(
            "NAPTR example.net 10 10 s {service} _x._tcp.example.net
             SRV _sip._udp.example.net 10 0 5060 a.example.net
             SRV _x._tcp.example.net 10 0 5060 a.example.net
             A a.example.net 198.51.100.1
             A example.net 198.51.100.1"
        ));
        let (places, why) = found_by(&PLAIN, &["example.net"], &mut dns);
        assert_eq!(places, [""; 0], "{service}");
        assert!(why.is_some_and(|why| why.contains(service)), "{service}");
    }
    // What is no SIP at all says nothing of it.
    let mut dns = zone(
        "NAPTR example.net 10 10 u E2U+sip !x!y!
         SRV _sip._udp.example.net 10 0 5060 a.example.net
         A a.example.net 198.51.100.1",
    );
    assert_eq!(found_by(&PLAIN, &["example.net"], &mut dns).0, ["1 0 198.51.100.1:5060 udp"]);
}

#[test]
fn a_name_that_says_nothing_is_reached_by_what_is_spoken() {
    let mut dns = zone("A pbx.example.net 198.51.100.7");
    for (spoken, want) in [
        (&[Transport::Tcp][..], "1 1 198.51.100.7:5060 tcp"),
        (&[Transport::Tls], "1 1 198.51.100.7:5061 tls"),
        (&[Transport::Tcp, Transport::Udp], "1 1 198.51.100.7:5060 udp"),
    ] {
        assert_eq!(found_by(spoken, &["pbx.example.net"], &mut dns).0, [want]);
    }
}
