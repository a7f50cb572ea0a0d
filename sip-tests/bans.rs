//! Whoever guesses is slowed, whoever floods finds no room, and whoever is guilty enough is banned
//! where that is wanted; phones, upstreams and whoever proved himself are served all the same.

use crate::lab::digest::credentials;
use crate::lab::script::{Text, answer};
use crate::lab::{Lab, Leg, Party, Ua, s, site};
use bytes::Bytes;
use portreeve::audit::{Record, SecurityClass};
use portreeve::config::{Config, Strangers};
use portreeve::engine::digest::Users;
use portreeve::engine::{Input, Signal, SuspectView};
use portreeve::policy::quota::Source;
use std::time::Duration;

/// Somebody in the site's network.
fn inside(lab: &Lab, user: &str, at: &str) -> Ua {
    let mut ua = lab.phone(user, at);
    site::GATE_INSIDE.clone_into(&mut ua.domain);
    ua
}

/// A REGISTER that was challenged, and a challenge for it.
fn challenged(lab: &mut Lab, ua: &Ua) -> (Text, String) {
    let register = lab.local_register(ua, 600);
    lab.send(ua.at, register.clone());
    let asked = lab.expect(ua.at, "401");
    (register, asked.all("WWW-Authenticate").last().expect("a row").to_string())
}

/// The request with this password, as a transaction of its own.
fn guess(lab: &mut Lab, ua: &Ua, (request, challenge): &(Text, String), password: &str) -> Text {
    let n = lab.fresh();
    let nc = format!("{n:08x}");
    let value = crate::lab::digest::counted(request, challenge, &ua.user, password, &nc);
    let method = request.header("CSeq").split(' ').nth(1).expect("a method").to_owned();
    let request = request.clone().set("CSeq", format!("{} {method}", n + 10));
    request.set("Via", ua.via(&format!("z9hG4bKg{n}"))).set("Authorization", value)
}

/// Statuses that a party was answered with.
fn told(lab: &mut Lab, at: Party) -> Vec<u16> {
    lab.take(at).iter().map(|m| m.status()).collect()
}

fn details(lab: &Lab, of: SecurityClass) -> Vec<String> {
    let detail = |r: &Record| match r {
        Record::Security { class, detail, .. } if *class == of => Some(detail.clone()),
        _ => None,
    };
    lab.records.iter().filter_map(detail).collect()
}

fn signals(lab: &Lab, signal: Signal) -> u64 {
    lab.stats().signals[signal as usize]
}

fn suspects(lab: &Lab) -> Vec<SuspectView> {
    lab.engine.suspects(lab.now.mono)
}

// Back-off ---------------------------------------------------------------------------------------

#[test]
fn of_24_000_guesses_a_second_one_is_compared() {
    let mut lab = Lab::site();
    let thief = inside(&lab, "103", "10.17.0.66:5060");
    let asked = challenged(&mut lab, &thief);
    // A tenth of a second of them.
    for n in 0..2_400 {
        // The right one is among them: it is not heard, either.
        let password = if n == 1_200 { site::PASSWORD } else { "wrong" };
        let text = guess(&mut lab, &thief, &asked, password);
        lab.send(thief.at, text);
        if n % 24 == 0 {
            lab.advance(Duration::from_millis(1));
        }
    }
    assert_eq!(told(&mut lab, thief.at), [403], "the first; no other was even answered");
    assert_eq!((lab.stats().unheard, lab.stats().back_offs), (2_399, 1));
    assert_eq!(signals(&lab, Signal::FailedDigest), 1);
    assert_eq!(lab.kept_bindings().len(), 0);
    lab.end();
}

#[test]
fn the_pause_doubles_and_a_day_of_guessing_is_a_few_thousand() {
    let mut lab = Lab::site();
    let thief = inside(&lab, "103", "10.17.0.66:5060");
    let mut asked = challenged(&mut lab, &thief);
    let mut compared = Vec::new();
    for second in 0..3_600 {
        if second % 200 == 199 {
            asked = challenged(&mut lab, &thief);
        }
        let text = guess(&mut lab, &thief, &asked, "wrong");
        lab.send(thief.at, text);
        if told(&mut lab, thief.at) == [403] {
            compared.push(second);
        }
        lab.advance(s(1));
    }
    assert_eq!(compared[..8], [0, 1, 3, 7, 15, 31, 63, 95], "1, 2, 4 … 32 s apart");
    assert!(compared.len() < 120, "{}", compared.len());
    assert!(details(&lab, SecurityClass::BackOff)[0].starts_with("103: no password is compared"));
    lab.end();
}

#[test]
fn many_hosts_that_guess_at_one_user_are_slowed_together() {
    let mut lab = Lab::site();
    let mut compared = 0;
    for host in 1..=200 {
        let thief = inside(&lab, "103", &format!("10.17.9.{host}:5060"));
        let asked = challenged(&mut lab, &thief);
        let text = guess(&mut lab, &thief, &asked, "wrong");
        lab.send(thief.at, text);
        compared += told(&mut lab, thief.at).len();
    }
    assert_eq!(compared, 2, "the same user, whoever asks; one more of who did not fail for him");
    // One host and another user each time.
    let before = lab.stats().back_offs;
    for user in 200..400 {
        let thief = inside(&lab, &user.to_string(), "10.17.0.66:5060");
        let asked = challenged(&mut lab, &thief);
        let text = guess(&mut lab, &thief, &asked, "wrong");
        lab.send(thief.at, text);
        lab.take(thief.at);
    }
    let after = lab.stats().back_offs;
    assert_eq!(after, before + 16, "the same host, whoever is meant: an office's worth");
    lab.end();
}

#[test]
fn a_stranger_locks_nobody_out_who_proved_himself_within_a_day() {
    let mut lab = Lab::site();
    let owner = lab.local_phone("103", "10.17.0.33:5060");
    let thief = inside(&lab, "103", "10.17.0.66:5060");
    for round in 0..3 {
        let asked = challenged(&mut lab, &thief);
        for _ in 0..50 {
            let text = guess(&mut lab, &thief, &asked, "wrong");
            lab.send(thief.at, text);
        }
        lab.take(thief.at);
        let asked = challenged(&mut lab, &owner);
        let text = guess(&mut lab, &owner, &asked, site::PASSWORD);
        lab.send(owner.at, text);
        assert_eq!(told(&mut lab, owner.at), [200], "round {round}");
        // Long after its binding ended, and after a restart while it has one.
        if round == 0 {
            lab.advance(s(20_000));
        } else {
            lab.restart();
        }
    }
    lab.end();
}

#[test]
fn a_phone_with_a_wrong_password_waits_as_long_as_it_repeats_itself() {
    let mut lab = Lab::site();
    let phone = inside(&lab, "103", "10.17.0.33:5060");
    for n in 0..40 {
        let asked = challenged(&mut lab, &phone);
        let text = guess(&mut lab, &phone, &asked, "mistyped");
        lab.send(phone.at, text);
        assert_eq!(told(&mut lab, phone.at), [403], "try {n}");
        lab.advance(s(60));
    }
    // Somebody mends it right after the last try.
    let asked = challenged(&mut lab, &phone);
    let text = guess(&mut lab, &phone, &asked, "mistyped");
    lab.send(phone.at, text);
    assert_eq!(told(&mut lab, phone.at), [403]);
    let text = guess(&mut lab, &phone, &asked, site::PASSWORD);
    // RFC 3261 §17.1.2: 0.5, 1, 2, 4, 4 … s apart, 32 s in all and a moment.
    let mut waited = 0;
    while waited <= 34 {
        lab.send(phone.at, text.clone());
        if told(&mut lab, phone.at) == [200] {
            break;
        }
        lab.advance(s(4));
        waited += 4;
    }
    assert_eq!(waited, 32, "the longest pause of a phone");
    // And then nothing is left of it.
    let asked = challenged(&mut lab, &phone);
    for (password, status) in [("mistyped", 403), (site::PASSWORD, 200)] {
        let text = guess(&mut lab, &phone, &asked, password);
        lab.send(phone.at, text);
        assert_eq!(told(&mut lab, phone.at), [status]);
        lab.advance(s(1));
    }
    lab.end();
}

#[test]
fn by_a_stream_an_unheard_guess_is_a_refusal_and_calls_are_slowed_alike() {
    let mut lab = Lab::site();
    let mut thief = inside(&lab, "103", "10.17.0.66:5060");
    thief.at = lab.inside_tcp("10.17.0.66:40000");
    let asked = challenged(&mut lab, &thief);
    for password in ["wrong", site::PASSWORD, site::PASSWORD] {
        let text = guess(&mut lab, &thief, &asked, password);
        lab.send(thief.at, text);
    }
    assert_eq!(told(&mut lab, thief.at), [403, 403, 403]);
    // The other header, another method, another port: the same pause.
    let caller = inside(&lab, "103", "10.17.0.66:5070");
    let message = caller.request(&mut lab, "MESSAGE", "102");
    lab.send(caller.at, message.clone());
    let asked = lab.expect(caller.at, "407");
    let rows = asked.all("Proxy-Authenticate");
    let value = credentials(&message, rows.last().expect("a row"), "103", site::PASSWORD);
    let text = message.set("Proxy-Authorization", value).set("Via", caller.via("z9hG4bKnext"));
    lab.send(caller.at, text.clone());
    assert_eq!(told(&mut lab, caller.at), [0; 0]);
    assert_eq!(lab.stats().unheard, 3);
    lab.advance(s(1));
    lab.send(caller.at, text);
    assert_ne!(told(&mut lab, caller.at), [0; 0], "the pause is over");
    lab.end();
}

#[test]
fn a_user_who_is_not_there_is_refused_as_one_who_is() {
    let mut lab = Lab::site();
    let thief = inside(&lab, "nobody", "10.17.0.66:5060");
    let asked = challenged(&mut lab, &thief);
    for _ in 0..5 {
        let text = guess(&mut lab, &thief, &asked, "wrong");
        lab.send(thief.at, text);
    }
    assert_eq!(told(&mut lab, thief.at), [403]);
    assert_eq!((lab.stats().unheard, signals(&lab, Signal::UnknownUser)), (4, 1));
    lab.end();
}

// Bans -------------------------------------------------------------------------------------------

/// In front of a PBX, strangers answered; bans on unless `off`.
fn edge(change: impl FnOnce(&mut Config)) -> Lab {
    Lab::edge_with(|c| {
        c.interfaces.iter_mut().for_each(|i| i.strangers = Strangers::Answer);
        c.policy.default = portreeve::config::DefaultPolicy::Site;
        c.bans.enabled = true;
        change(c);
    })
}

fn scan(lab: &mut Lab, at: Party) -> usize {
    let scanner = Ua::new(at, "100");
    let uri = format!("sip:{}", site::GATE_OUTSIDE);
    let text = scanner.request_to(lab, "OPTIONS", &uri).with("User-Agent", "friendly-scanner");
    lab.send(at, text);
    lab.take(at).len()
}

#[test]
fn a_scanner_is_banned_hears_nothing_and_comes_back_when_the_ban_is_over() {
    let mut lab = edge(|_| {});
    let at = lab.outside("198.51.100.66:5060");
    let heard: Vec<usize> = (0..6).map(|_| scan(&mut lab, at)).collect();
    assert_eq!(heard, [1, 1, 0, 0, 0, 0]);
    // Whatever it sends now, by whatever port: not read.
    let other = lab.outside("198.51.100.66:40000");
    let requests = lab.stats().requests;
    for text in [&b"no sip at all"[..], b"SIP/2.0 200 OK\r\n\r\n"] {
        lab.send(other, Bytes::copy_from_slice(text));
    }
    let message = Ua::new(other, "100").request_to(&mut lab, "MESSAGE", "sip:1@203.0.113.1");
    lab.send(other, message);
    lab.nothing_left();
    let stats = lab.stats();
    assert_eq!((stats.requests, stats.bans, stats.now.bans), (requests, 1, 1));
    assert_eq!(stats.banned, 1 + 3 + 3);
    let view = &suspects(&lab)[0];
    assert_eq!((view.source.as_str(), view.score, view.hits), ("198.51.100.66", 120, 7));
    assert_eq!((view.reason, view.left_s), (Some(Signal::Scanner), Some(3_600)));
    // A stream of its is not let in as long.
    let source = Source::of(at.flow.peer.ip());
    assert_eq!(std::mem::take(&mut lab.barred), [(source, None, s(3_600))]);
    // A neighbour is somebody else.
    let neighbour = lab.outside("198.51.100.67:5060");
    assert_eq!(scan(&mut lab, neighbour), 1);
    lab.advance(s(3_599));
    assert_eq!(scan(&mut lab, at), 0);
    lab.advance(s(1));
    assert_eq!((lab.stats().now.bans, scan(&mut lab, at)), (0, 1));
    assert_eq!(lab.barred, [(source, None, s(0))]);
    assert_eq!(
        details(&lab, SecurityClass::Banned),
        [
            "198.51.100.66 is banned for 3600 s: 120 points, the last for scanner",
            "the ban of 198.51.100.66 is over: 8 messages were not read",
        ]
    );
    lab.end();
}

#[test]
fn nobody_is_banned_unless_the_file_says_so() {
    let mut lab = edge(|c| c.bans.enabled = false);
    let at = lab.outside("198.51.100.66:5060");
    assert!((0..20).all(|_| scan(&mut lab, at) == 1));
    assert_eq!((lab.stats().now.bans, signals(&lab, Signal::Scanner)), (0, 20));
    let view = &suspects(&lab)[0];
    assert_eq!((view.score, view.left_s), (800, None), "who would be, is shown");
    // Said while it runs, it counts from now on; taken back, all are free.
    lab.reload(|c| c.bans.enabled = true);
    assert_eq!((scan(&mut lab, at), lab.stats().now.bans), (0, 1));
    lab.reload(|c| c.bans.never = vec!["198.51.100.0/24".parse().expect("a network")]);
    assert_eq!((scan(&mut lab, at), lab.stats().now.bans), (1, 0));
    lab.reload(|c| c.bans.never.clear());
    assert_eq!((0..3).map(|_| scan(&mut lab, at)).sum::<usize>(), 2);
    lab.reload(|c| c.bans.enabled = false);
    assert_eq!((scan(&mut lab, at), lab.stats().now.bans), (1, 0));
    lab.end();
}

#[test]
fn a_ban_is_lifted_by_address_or_with_all() {
    let mut lab = edge(|_| {});
    let all: Vec<Party> = (1..=5).map(|n| lab.outside(&format!("198.51.100.{n}:5060"))).collect();
    for at in &all {
        for _ in 0..3 {
            scan(&mut lab, *at);
        }
    }
    assert_eq!(lab.stats().now.bans, 5);
    lab.input(Input::LiftBans(Some("198.51.100.2".parse().expect("an address"))));
    assert_eq!((lab.stats().now.bans, scan(&mut lab, all[1]), scan(&mut lab, all[0])), (4, 1, 0));
    lab.input(Input::LiftBans(None));
    assert_eq!((lab.stats().now.bans, scan(&mut lab, all[0])), (0, 1));
    // Who had points alone, and who is nobody: of the second there is nothing to forgive.
    for host in [1, 1, 77] {
        let ip = format!("198.51.100.{host}").parse().expect("an address");
        lab.input(Input::LiftBans(Some(ip)));
    }
    let told: Vec<_> = lab.lifted.iter().map(|l| (l.bans, l.forgiven)).collect();
    assert_eq!(told, [(1, 0), (4, 0), (0, 1), (0, 0), (0, 0)]);
    assert!(details(&lab, SecurityClass::Banned).last().expect("one").contains("was lifted"));
    lab.end();
}

#[test]
fn what_makes_guilty_is_weighed() {
    let mut lab = edge(|c| c.bans.agents = vec!["acme".to_owned()]);
    let points = |lab: &mut Lab, host: u8, text: Bytes| {
        let at = lab.outside(&format!("198.51.100.{host}:5060"));
        lab.send(at, text);
        lab.take(at);
        let source = format!("198.51.100.{host}");
        suspects(lab).iter().find(|v| v.source == source).map_or(0, |v| v.score)
    };
    let ua = Ua::new(lab.outside("198.51.100.1:5060"), "100");
    let request = |lab: &mut Lab, method: &str, uri: &str| ua.request_to(lab, method, uri);
    let ping = request(&mut lab, "OPTIONS", "sip:203.0.113.1");
    assert_eq!(points(&mut lab, 1, ping.clone().into()), 0, "a ping is no guilt");
    let agent = ping.set("User-Agent", "The ACME thing");
    assert_eq!(points(&mut lab, 2, agent.into()), 40);
    assert_eq!(points(&mut lab, 3, Bytes::from_static(b"GET / HTTP/1.1\r\n\r\n")), 5);
    let probe = request(&mut lab, "INVITE", "sip:1000@203.0.113.1");
    assert_eq!(points(&mut lab, 4, probe.into()), 5);
    let register = request(&mut lab, "REGISTER", "sip:203.0.113.1");
    assert_eq!(points(&mut lab, 5, register.into()), 5);
    // Broken, and yet SIP: a phone may be so.
    let broken = request(&mut lab, "OPTIONS", "sip:203.0.113.1").set("Max-Forwards", "many");
    assert_eq!(points(&mut lab, 6, broken.into()), 0);
    lab.end();
}

#[test]
fn upstreams_phones_and_their_networks_are_never_banned() {
    let mut lab = edge(|_| {});
    let sealed = lab.phone("101", "192.0.2.7:5060");
    for at in [lab.pbx(), lab.inside("10.17.0.66:5060")] {
        for _ in 0..50 {
            lab.send(at, Bytes::from_static(b"no sip at all"));
            scan(&mut lab, at);
        }
    }
    // A phone of elsewhere, once it is registered.
    lab.register(&sealed, 600);
    for _ in 0..50 {
        lab.send(sealed.at, Bytes::from_static(b"no sip at all"));
    }
    assert_eq!((lab.stats().now.bans, suspects(&lab).len()), (0, 0));
    assert_eq!(signals(&lab, Signal::NonSip), 150, "and yet it is counted");
    lab.end();
}

#[test]
fn where_a_user_proved_himself_nobody_is_banned_by_who_pretends_to_be_there() {
    let text = site::SITE.replace(
        "networks = [\"10.17.0.0/16\"]",
        "networks = [\"10.99.0.0/16\", \"192.0.2.7/32\"]",
    );
    let users = Users::Shared { password: site::PASSWORD.to_owned() };
    let mut lab = Lab::with(site::parse(&text), users);
    lab.reload(|c| c.bans.enabled = true);
    let phone = inside(&lab, "101", "192.0.2.7:5060");
    let asked = challenged(&mut lab, &phone);
    let text = guess(&mut lab, &phone, &asked, site::PASSWORD);
    lab.send(phone.at, text.set("Expires", "60"));
    lab.expect(phone.at, "200");
    // Its binding ends, and the network is one of phones no more.
    lab.advance(s(100));
    lab.reload(|c| c.interfaces[0].networks = vec!["10.99.0.0/16".parse().expect("a network")]);
    let stranger = lab.inside("192.0.2.8:5060");
    for at in [phone.at, stranger] {
        (0..40).for_each(|_| lab.send(at, Bytes::from_static(b"no sip at all")));
    }
    let banned: Vec<String> =
        suspects(&lab).into_iter().filter(|v| v.left_s.is_some()).map(|v| v.source).collect();
    assert_eq!(banned, ["192.0.2.8"]);
    lab.end();
}

#[test]
fn by_a_stream_a_banned_source_is_cut_off() {
    let mut lab =
        edge(|c| c.interfaces[0].networks = vec!["10.99.0.0/16".parse().expect("a network")]);
    let first = lab.inside_tcp("10.17.0.66:40000");
    for _ in 0..3 {
        scan(&mut lab, first);
    }
    assert_eq!(lab.closed, [first.flow.conn.expect("one")]);
    let second = lab.inside_tcp("10.17.0.66:40001");
    lab.send(second, Bytes::from_static(b"whatever"));
    assert_eq!(lab.closed.last(), second.flow.conn.as_ref());
    lab.nothing_left();
    lab.end();
}

// Floods -----------------------------------------------------------------------------------------

#[test]
fn a_strangers_flood_finds_room_for_500_and_then_50_a_second() {
    let mut lab = edge(|c| c.bans.enabled = false);
    let at = lab.outside("198.51.100.66:5060");
    let flood = |lab: &mut Lab| {
        let stranger = Ua::new(at, "100");
        for _ in 0..700 {
            let text = stranger.request_to(lab, "OPTIONS", "sip:203.0.113.1");
            lab.send(at, text);
        }
        lab.take(at).len()
    };
    assert_eq!(flood(&mut lab), 500);
    lab.advance(s(2));
    assert_eq!(flood(&mut lab), 100);
    assert_eq!(lab.stats().slowed, 200 + 600);
    // The others are served meanwhile.
    let phone = lab.phone("101", "10.17.0.21:5060");
    lab.register(&phone, 600);
    let pbx = lab.far("200");
    let (mut a, b) = lab.establish(&phone, &pbx);
    lab.hang_up(&mut a, &b);
    lab.end();
}

#[test]
fn a_flood_by_a_stream_is_told_to_wait_and_an_emergency_call_passes_it() {
    let mut lab =
        edge(|c| c.interfaces[0].networks = vec!["10.99.0.0/16".parse().expect("a network")]);
    let mut phone = lab.phone("101", "10.17.0.21:40000");
    phone.at = lab.inside_tcp("10.17.0.21:40000");
    for _ in 0..510 {
        let text = phone.request_to(&mut lab, "OPTIONS", &format!("sip:{}", site::GATE_INSIDE));
        lab.send(phone.at, text);
    }
    let all = told(&mut lab, phone.at);
    assert_eq!((all.len(), all.iter().filter(|status| **status == 503).count()), (510, 10));
    let call = lab.call(&phone, "112", 4000);
    let got = lab.expect(lab.pbx(), "INVITE");
    lab.send(lab.pbx(), answer(&got, 486, "m"));
    lab.expect(lab.pbx(), "ACK");
    lab.expect(phone.at, "100");
    let busy = lab.expect(phone.at, "486");
    lab.send(phone.at, call.ack_refusal(&busy));
    assert_eq!(lab.stats().slowed, 10);
    lab.end();
}

#[test]
fn a_flood_of_sources_makes_nobody_forget_the_banned() {
    let mut lab = edge(|_| {});
    let at = lab.outside("198.51.100.66:5060");
    for _ in 0..3 {
        scan(&mut lab, at);
    }
    for n in 0..20_000_u32 {
        let [_, b, c, d] = n.to_be_bytes();
        let other = lab.outside(&format!("100.{b}.{c}.{d}:5060"));
        lab.send(other, Bytes::from_static(b"no sip at all"));
    }
    assert_eq!((scan(&mut lab, at), lab.stats().now.bans), (0, 1));
    lab.end();
}

#[test]
fn a_banned_address_of_the_inside_still_reaches_an_emergency_number_and_nobody_else() {
    let mut lab =
        edge(|c| c.interfaces[0].networks = vec!["10.99.0.0/16".parse().expect("a network")]);
    let pc = lab.inside("10.17.0.77:40000");
    assert_eq!((0..6).map(|_| scan(&mut lab, pc)).sum::<usize>(), 2);
    assert_eq!(lab.stats().now.bans, 1);
    let mut wired = lab.phone("199", "10.17.0.77:50000");
    wired.at = lab.inside_tcp("10.17.0.77:50000");
    for phone in [lab.phone("199", "10.17.0.77:5060"), wired] {
        // Neither an ordinary call nor a registration.
        for method in ["INVITE", "REGISTER", "OPTIONS"] {
            let text = phone.request(&mut lab, method, "200");
            lab.send(phone.at, text);
        }
        lab.nothing_left();
        let pbx = lab.far("112");
        let mut leg = lab.call(&phone, "112", 4000);
        lab.expect(phone.at, "100");
        let got = lab.expect(pbx.at, "INVITE");
        // What else comes from there meanwhile is not read, either.
        assert_eq!(scan(&mut lab, pc), 0);
        lab.send(pbx.at, pbx.answer(&got, 200, "up").sdp(pbx.sdp(6000)));
        let ok = lab.expect(phone.at, "200");
        leg.learn(&ok);
        let ack = leg.ack(&mut lab);
        lab.send(phone.at, ack);
        lab.expect(pbx.at, "ACK");
        let mut far = Leg::called(&pbx, &got, "up");
        let info = far.request(&mut lab, "INFO");
        lab.send(pbx.at, info);
        let asked = lab.expect(phone.at, "INFO");
        lab.send(phone.at, answer(&asked, 200, "up"));
        lab.expect(pbx.at, "200");
        lab.hang_up(&mut leg, &far);
    }
    assert_eq!(lab.closed.len(), 3, "by each request that was not read; the call closed nothing");
    lab.end();
}

#[test]
fn a_banned_address_of_the_outside_reaches_no_emergency_number() {
    let mut lab = edge(|_| {});
    let at = lab.outside("198.51.100.66:5060");
    assert_eq!((0..6).map(|_| scan(&mut lab, at)).sum::<usize>(), 2);
    let caller = Ua::new(at, "100");
    let call = caller.request_to(&mut lab, "INVITE", "sip:112@203.0.113.1").sdp(caller.sdp(4000));
    lab.send(at, call);
    lab.nothing_left();
    lab.end();
}
