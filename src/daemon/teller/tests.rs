use super::*;
use crate::audit::Finding;
use crate::ground::CallDirection;

fn at(seconds: u64) -> Mono {
    Mono(Duration::from_secs(seconds))
}

fn peer(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn registration(user: &str, from: &str, result: BindingEvent, status: u16) -> Record {
    let (source, registrar) = (peer(from), "local".to_owned());
    Record::Registration { user: user.to_owned(), source, result, status, expires: 60, registrar }
}

fn wrong(user: &str, from: &str) -> Record {
    let (class, detail) = (SecurityClass::BadPassword, format!("{user}: bad_password"));
    Record::Security { class, source: Some(peer(from)), count: 1, detail }
}

fn denied(from: &str) -> Record {
    Record::CallAttempt {
        call: CallNo(7),
        call_id: "x".to_owned(),
        side: crate::ground::Side::Inside,
        source: peer(from),
        from: "103".to_owned(),
        to: "+1900555".to_owned(),
        rule: "no premium".to_owned(),
        verdict: Ruling::Deny,
        target: String::new(),
        tls_subject: String::new(),
        sender: crate::audit::Standing::Phone,
        emergency: false,
    }
}

fn info(line: Option<Line>) -> String {
    match line {
        Some(Line::Info(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_new_registration_and_a_new_address_are_news_and_a_refresh_is_not() {
    let mut t = Teller::default();
    t.know("101", peer("192.168.1.21:5060"));
    let mut says = |user: &str, from: &str| {
        t.tell(at(1), &registration(user, from, BindingEvent::Accepted, 200))
    };
    assert!(matches!(says("101", "192.168.1.21:5060"), Some(Line::Debug(_))), "restored");
    assert_eq!(info(says("103", "192.168.1.23:5060")), "103 registered, from 192.168.1.23");
    assert!(matches!(says("103", "192.168.1.23:5060"), Some(Line::Debug(_))));
    assert_eq!(info(says("103", "192.168.1.24:5060")), "103 registered, from 192.168.1.24");
    let gone = registration("103", "192.168.1.24:5060", BindingEvent::Removed, 200);
    assert_eq!(info(t.tell(at(2), &gone)), "103 unregistered, from 192.168.1.24");
    let anew = registration("103", "192.168.1.24:5060", BindingEvent::Accepted, 200);
    assert_eq!(info(t.tell(at(3), &anew)), "103 registered, from 192.168.1.24");
}

#[test]
fn a_wrong_password_is_one_line() {
    let mut t = Teller::default();
    let said = info(t.tell(at(1), &wrong("103", "192.168.1.23:5060")));
    assert_eq!(said, "103 refused: wrong password, from 192.168.1.23");
    let refused = registration("103", "192.168.1.23:5060", BindingEvent::Refused, 403);
    assert_eq!(t.tell(at(1), &refused), None, "the same event");
    assert!(info(t.tell(at(2), &refused)).starts_with("103 refused: not from the site's own"));
}

#[test]
fn a_denied_call_names_its_rule_and_an_unknown_extension_itself() {
    let mut t = Teller::default();
    assert_eq!(
        info(t.tell(at(1), &denied("192.168.1.23:5060"))),
        "call from 103 to +1900555 denied by rule no premium, from 192.168.1.23"
    );
    let end = CallEnd {
        call: CallNo(7),
        call_id: "x".to_owned(),
        from: "103".to_owned(),
        to: "250".to_owned(),
        outcome: Outcome::NotFound,
        status: 404,
        ended_by: None,
        ring_ms: None,
        setup_ms: None,
        duration_ms: None,
        media: Vec::new(),
        findings: Vec::new(),
        segments: Vec::new(),
        direction: CallDirection::Internal,
        parties: Vec::new(),
    };
    assert_eq!(
        info(t.tell(at(1), &Record::CallEnd(end.clone()))),
        "call 7 from 103 to 250: nobody is there (404), from 192.168.1.23"
    );
    let fine = CallEnd { outcome: Outcome::Answered, status: 200, ..end };
    let fine = CallEnd {
        ended_by: Some(EndedBy::MediaTimeout),
        duration_ms: Some(46_900),
        findings: vec![Finding::OneWayAudio],
        ..fine
    };
    assert_eq!(
        info(t.tell(at(1), &Record::CallEnd(fine))),
        "call 7 from 103 to 250: ended by media timeout after 46 s, no audio, findings: one_way_audio"
    );
}

#[test]
fn a_flood_becomes_a_sum_and_hides_no_other_address() {
    let mut t = Teller::default();
    let mut lines = 0;
    for n in 0..1_000 {
        let who = wrong(&n.to_string(), "10.0.0.9:5060");
        lines += u64::from(t.tell(at(1), &who).is_some());
    }
    assert_eq!(lines, RECORDS.sender);
    assert_eq!(info(t.tell(at(1), &denied("10.0.0.8:5060"))).matches("denied").count(), 1);
    for n in 0..1_000_u32 {
        let from = format!("10.1.{}.{}:5060", n / 250, n % 250 + 1);
        lines += u64::from(t.tell(at(2), &wrong("1", &from)).is_some());
    }
    assert_eq!(lines, RECORDS.all - 1, "of all together, the denied call among them");
    assert_eq!(t.due(at(59)), None);
    let sum = t.due(at(60)).unwrap();
    assert_eq!(sum, "1941 more lines like these were left out, from 952 addresses");
    assert_eq!(t.due(at(120)), None, "nothing is left over");
    assert!(t.tell(at(121), &wrong("1", "10.0.0.9:5060")).is_some(), "a new minute");
}

#[test]
fn what_came_from_the_network_breaks_no_line() {
    let mut t = Teller::default();
    let said = info(t.tell(at(1), &wrong("1\n2\u{1b}[31m\u{202e}", "10.0.0.9:5060")));
    assert_eq!(said, "1\\n2\\u{1b}[31m\\u{202e} refused: wrong password, from 10.0.0.9");
    assert_eq!(shown(&"a".repeat(200)).len(), SHOWN);
}

#[test]
fn a_noisy_phone_behind_a_nat_leaves_its_neighbours_their_lines() {
    let mut t = Teller::default();
    let mut told = |from: &str| {
        (0..20).filter(|n| t.tell(at(1), &wrong(&n.to_string(), from)).is_some()).count()
    };
    assert_eq!(told("10.0.0.9:5060"), 10);
    assert_eq!(told("10.0.0.9:5062"), 10, "another phone at the same address");
    let more = (0..1_000).map(|port| told(&format!("10.0.0.9:{}", 6_000 + port))).sum::<usize>();
    assert_eq!(more, 0, "one address has its share all the same");
    assert_eq!(told("10.0.0.8:5060"), 10);
    let heard = |t: &mut Teller, from: &str, level| {
        (0..20).filter(|_| t.notices(peer(from), level)).count()
    };
    assert_eq!(heard(&mut t, "10.0.0.9:5060", Level::Warn), 10, "lines of another kind");
    assert_eq!(heard(&mut t, "10.0.0.9:5060", Level::Error), 5);
    assert_eq!(heard(&mut t, "10.0.0.9:5062", Level::Info), 10);
    assert_eq!(heard(&mut t, "10.0.0.9:5060", Level::Debug), 20);
    let all: usize = (0..2_000)
        .map(|n| heard(&mut t, &format!("10.2.{}.{}:5060", n / 250, n % 250 + 1), Level::Warn))
        .sum();
    assert_eq!(all, 580, "of all together");
    assert_eq!(heard(&mut t, "10.3.0.1:5060", Level::Error), 5, "errors have their own");
    let sum = t.due(at(60)).unwrap();
    assert!(sum.ends_with(" more lines like these were left out, from 1002 addresses"), "{sum}");
}

#[test]
fn a_denied_reference_is_news() {
    let mut t = Teller::default();
    let reference = |verdict| Record::Reference {
        call: None,
        call_id: "x".to_owned(),
        by: crate::audit::Asked::Refer,
        side: crate::ground::Side::Inside,
        source: peer("192.168.1.23:5060"),
        from: "103".to_owned(),
        to: "+1900555".to_owned(),
        rule: "no premium".to_owned(),
        verdict,
    };
    assert_eq!(
        info(t.tell(at(1), &reference(Ruling::Deny))),
        "refer to +1900555 denied by rule no premium, from 192.168.1.23"
    );
    assert!(matches!(t.tell(at(1), &reference(Ruling::Allow)), Some(Line::Debug(_))));
}

#[test]
fn why_somebody_is_banned_stands_at_the_end_of_the_line() {
    let mut t = Teller::default();
    let why = "2001:db8:99:1234::/64 is banned for 3600 s: 120 points, the last for failed_digest";
    let (class, source) = (SecurityClass::Banned, Some(peer("[2001:db8:99:1234::4]:5060")));
    let record = Record::Security { class, source, count: 1, detail: why.to_owned() };
    let said = info(t.tell(at(1), &record));
    assert_eq!(said, format!("banned: {why}, from 2001:db8:99:1234::4"));
    assert_eq!(shown_up_to(&"a".repeat(400), DETAIL).len(), DETAIL);
}
