//! What strangers are answered, beside what they sent: at most one answer a request, of at most 1.5
//! times the octets that came, on every path that refuses or answers without a transaction. A source
//! address can be forged; who is sent more than was sent for him is attacked through us.

use crate::lab::{Lab, Party, site};
use bytes::Bytes;
use portreeve::config::{DefaultPolicy, Strangers};

/// Who says what, as short as grammar lets it be; `{rows}` grows by padding.
fn shortest(method: &str, uri: &str, host: &str, rows: &str) -> String {
    format!(
        "{method} {uri} SIP/2.0\r\nv:SIP/2.0/UDP {host};branch=z9hG4bK1\r\nf:<sip:a@b>;tag=1\r\n\
         t:<sip:a@b>\r\ni:1\r\nCSeq:1 {method}\r\nMax-Forwards:9\r\n{rows}l:0\r\n\r\n"
    )
}

/// Every kind of request that a stranger gets an answer to without a transaction.
pub(crate) fn probes(gate: &str) -> Vec<(&'static str, String)> {
    let us = format!("sip:{gate}");
    let user = format!("sip:9@{gate}");
    let plain = |method: &str, uri: &str| shortest(method, uri, "b", "");
    let mut all: Vec<(&'static str, String)> = [
        "OPTIONS",
        "REGISTER",
        "INVITE",
        "SUBSCRIBE",
        "MESSAGE",
        "PUBLISH",
        "NOTIFY",
        "REFER",
        "INFO",
        "BYE",
        "CANCEL",
        "PRACK",
        "UPDATE",
        "BREW",
    ]
    .into_iter()
    .flat_map(|method| [(method, plain(method, &us)), (method, plain(method, &user))])
    .collect();
    let tagged = plain("BYE", &user).replace("t:<sip:a@b>", "t:<sip:a@b>;tag=2");
    all.push(("481", tagged));
    all.push(("483", plain("INVITE", &user).replace("Max-Forwards:9", "Max-Forwards:0")));
    all.push(("416", plain("INVITE", "http://a")));
    all.push(("416 sips", plain("INVITE", "sips:a@b")));
    all.push(("505", plain("INVITE", &user).replacen("SIP/2.0\r\n", "SIP/3.0\r\n", 1)));
    all.push(("414", plain("INVITE", &format!("sip:{}@{gate}", "9".repeat(2_100)))));
    all.push(("400 no To", plain("INVITE", &user).replace("t:<sip:a@b>\r\n", "")));
    all.push(("400 two From", shortest("INVITE", &user, "b", "f:<sip:c@d>;tag=3\r\n")));
    all.push(("400 length", plain("INVITE", &user).replace("l:0", "l:9")));
    all.push(("400 case", plain("invite", &user)));
    all.push(("400 headers", plain("INVITE", &format!("{user}?a=b"))));
    all.push(("403 Route", shortest("INVITE", &user, "b", "Route:<sip:192.0.2.7;lr>\r\n")));
    all.push(("420", shortest("INVITE", &user, "b", "Proxy-Require:a\r\n")));
    all.push(("420 long", shortest("INVITE", &user, "b", "Proxy-Require:a,b,c,d,e,f,g,h,i,j\r\n")));
    all.push(("digest", shortest("REGISTER", &us, "b", "Authorization:Digest a=\"b\"\r\n")));
    all.push(("digest", shortest("INVITE", &user, "b", "Proxy-Authorization:Digest a=\"b\"\r\n")));
    all.push(("rport", plain("OPTIONS", &us).replace(";branch", ";rport;branch")));
    all
}

/// With this much more in it than must be.
pub(crate) fn padded(text: &str, octets: usize) -> String {
    if octets == 0 {
        return text.to_owned();
    }
    text.replacen("\r\nl:", &format!("\r\nX-Pad:{}\r\nl:", "x".repeat(octets)), 1)
}

/// How many of the probes got an answer.
fn answered(mut lab: Lab, who: Party, gate: &str, octets: usize) -> usize {
    lab.checks.forgetful = true;
    let mut count = 0;
    // A REGISTER of a phone is the PBX's to judge, where there is one.
    let passes = |text: &str| {
        !lab.is_outside(who.flow.listener) && !lab.config.is_site() && text.starts_with("REGISTER")
    };
    let probes: Vec<_> = probes(gate).into_iter().filter(|(_, text)| !passes(text)).collect();
    for (n, (name, text)) in probes.into_iter().enumerate() {
        let text = padded(&text, octets).replace("z9hG4bK1", &format!("z9hG4bK{n}"));
        let size = text.len();
        let before = lab.stats().now.transactions;
        lab.send(who, Bytes::from(text));
        assert_eq!(lab.stats().now.transactions, before, "{name}: a stranger holds nothing");
        let answers = lab.take_all();
        let sent: usize = answers.iter().map(|a| a.bytes.len()).sum();
        assert!(answers.len() <= 1, "{name}");
        assert!(sent * 2 <= size * 3, "{name}: {sent} octets for {size}\n{}", answers[0]);
        count += answers.len();
    }
    lab.end();
    count
}

/// In front of a PBX, and as the site's own phone system; from inside and from outside.
fn everywhere(octets: usize) -> Vec<usize> {
    let policy = |lab: &mut Lab| {
        lab.reload(|c| {
            c.policy.default = DefaultPolicy::Site;
            c.interfaces.iter_mut().for_each(|i| i.strangers = Strangers::Answer);
        });
    };
    let mut counts = Vec::new();
    for own in [false, true] {
        for inside in [true, false] {
            if own && !inside {
                continue;
            }
            let mut lab = if own { Lab::site() } else { Lab::edge() };
            policy(&mut lab);
            let (who, gate) = match inside {
                true => (lab.inside("10.17.0.66:5060"), site::GATE_INSIDE),
                false => (lab.outside("198.51.100.66:5060"), site::GATE_OUTSIDE),
            };
            counts.push(answered(lab, who, gate, octets));
        }
    }
    counts
}

#[test]
fn the_shortest_request_of_a_stranger_gets_no_more_than_half_as_much_again() {
    for octets in [0, 10, 40, 80, 120] {
        everywhere(octets);
    }
}

#[test]
fn a_request_as_phones_write_it_is_answered_on_every_path() {
    let all = probes(site::GATE_INSIDE).len();
    assert_eq!(everywhere(400), [all - 3, all, all]);
}

#[test]
fn what_need_not_be_said_is_left_out_before_the_answer_is() {
    let mut lab = Lab::edge();
    lab.reload(|c| c.policy.default = DefaultPolicy::Site);
    let who = lab.inside("10.17.0.66:5060");
    let ping = shortest("OPTIONS", "sip:10.17.0.1", "10.17.0.66", "");
    for (octets, allow) in [(10, false), (300, true)] {
        let text = padded(&ping, octets).replace("z9hG4bK1", &format!("z9hG4bK{octets}"));
        lab.send(who, Bytes::from(text));
        assert_eq!(lab.expect(who, "200").has("Allow"), allow);
    }
    lab.end();
}

#[test]
fn a_challenge_that_is_shortened_stays_a_challenge() {
    let mut lab = Lab::site();
    let who = lab.inside("10.17.0.66:5060");
    let ask = shortest("REGISTER", "sip:10.17.0.1", "10.17.0.66", "");
    let mut counts = std::collections::BTreeSet::new();
    for octets in (0..600).step_by(20) {
        let text = padded(&ask, octets).replace("z9hG4bK1", &format!("z9hG4bK{octets}"));
        lab.send(who, Bytes::from(text));
        let Some(answer) = lab.take_all().pop() else { continue };
        let challenges = answer.all("WWW-Authenticate");
        for challenge in &challenges {
            assert!(challenge.starts_with("Digest realm="), "{octets}: {challenge}");
        }
        assert!(challenges.last().is_some_and(|c| c.contains("algorithm=MD5")), "{octets}");
        counts.insert(challenges.len());
    }
    assert_eq!(counts.into_iter().collect::<Vec<_>>(), [1, 2]);
    lab.end();
}
