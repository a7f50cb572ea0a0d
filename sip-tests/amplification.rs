//! Whatever comes by datagrams from a source that has proved nothing, whether an upstream answers or
//! the site is alone, and however phones are proved then: what goes back there is at most 1.5 times
//! what came. The address may be another's.

use crate::lab::talker::Dice;
use crate::lab::{Lab, Party, digest, s, site};
use crate::small_answers::{padded, probes};
use bytes::Bytes;
use portreeve::config::{Config, DefaultPolicy, Strangers};
use portreeve::engine::digest::Users;
use std::net::SocketAddr;

/// Of each mode.
const CASES: u64 = 40;

/// How things are.
#[derive(Clone, Copy, Debug)]
struct Mode {
    auth: &'static str,
    alone: bool,
    policy: DefaultPolicy,
    strangers: Strangers,
    own: bool,
}

fn modes() -> Vec<Mode> {
    let mut all = Vec::new();
    for policy in [DefaultPolicy::Site, DefaultPolicy::Allow, DefaultPolicy::Deny] {
        for strangers in [Strangers::Answer, Strangers::Silent] {
            let one = |auth, alone| Mode { auth, alone, policy, strangers, own: false };
            all.extend(["network", "users"].map(|auth| one(auth, true)));
            all.extend(["network", "users", "off"].map(|auth| one(auth, false)));
            all.push(Mode { own: true, ..one("off", false) });
        }
    }
    all
}

impl Mode {
    fn lab(self) -> Lab {
        let users = if self.auth == "users" { "\nusers = \"/unread\"" } else { "" };
        let auth = format!("auth = \"{}\"{users}", self.auth);
        let file = site::EDGE.replace("auth = \"off\"", &auth);
        let mut config: Config = if self.own { site::site() } else { site::parse(&file) };
        config.interfaces.iter_mut().for_each(|i| i.strangers = self.strangers);
        let users = Users::Shared { password: site::PASSWORD.to_owned() };
        let mut lab = Lab::with(config, users);
        (lab.checks.forgetful, lab.checks.every) = (true, 50);
        if !self.own {
            let phone = lab.phone("101", "10.17.0.21:5060");
            lab.register(&phone, 3_600);
            if self.alone {
                let asked = phone.request(&mut lab, "OPTIONS", "200");
                lab.send(phone.at, asked);
                lab.advance(s(3));
                assert!(lab.upstream("pbx").alone.is_some(), "{self:?}: {}", lab.situation());
            }
        }
        lab.reload(|c| c.policy.default = self.policy);
        lab.clear();
        lab
    }
}

/// A message, sound as a rule, as short as it may be and up to 600 octets longer.
fn message(dice: &mut Dice, gate: &str, n: u64) -> Bytes {
    if dice.percent(5) {
        return match dice.roll(3) {
            0 => b"\r\n\r\n".to_vec().into(),
            1 => [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[7; 12]].concat().into(),
            _ => b"BREW coffee".to_vec().into(),
        };
    }
    let all = probes(gate);
    let (_, text) = &all[dice.roll(all.len() as u64) as usize];
    let mut text = text.replace("z9hG4bK1", &format!("z9hG4bK{n}"));
    text = text.replace("\r\ni:1\r\n", &format!("\r\ni:{n}\r\n"));
    text = text.replace(";tag=1\r\n", &format!(";tag=f{n}\r\n"));
    let user = dice.pick(&["a", "101", "102", "112"]);
    text = text.replace("sip:a@b", &format!("sip:{user}@{}", site::DOMAIN));
    if dice.percent(40) {
        text = text.replace(&format!("sip:9@{gate}"), &format!("sip:{user}@{}", site::DOMAIN));
    }
    let row = dice.pick(&[
        "",
        "",
        "m:<sip:101@10.17.0.21>\r\n",
        "m:<sip:101@10.17.0.21>,<sip:101@10.17.0.22>,<sip:101@10.17.0.23>\r\nExpires:0\r\n",
        "m:*\r\nExpires:0\r\n",
        "o:presence\r\n",
        "Require:100rel\r\n",
    ]);
    text = text.replacen("\r\nl:", &format!("\r\n{row}l:"), 1);
    let most = dice.pick(&[1, 60, 200, 600]);
    padded(&text, dice.roll(most) as usize).into()
}

/// What goes to this address, repetitions of it included.
fn told(lab: &mut Lab, at: SocketAddr) -> Vec<usize> {
    let mut sent = Vec::new();
    for _ in 0..4 {
        let packets = std::mem::take(&mut lab.packets);
        sent.extend(packets.iter().filter(|(f, _)| f.peer == at).map(|(_, b)| b.len()));
        for msg in lab.take_all() {
            sent.extend((msg.flow.peer == at && !msg.is_request()).then_some(msg.bytes.len()));
        }
        lab.advance(s(2));
    }
    sent
}

fn is_urgent(text: &str) -> bool {
    text.starts_with("INVITE sip:112@")
}

#[test]
fn whoever_has_proved_nothing_is_sent_no_more_than_half_as_much_again() {
    let mut dice = Dice::new(11);
    for mode in modes() {
        let (mut lab, mut answers) = (mode.lab(), 0);
        for n in 0..CASES {
            let inside = dice.percent(75);
            let ip = format!("{}.{}", n / 200, 1 + n % 200);
            let who = match inside {
                true => lab.inside(&format!("10.17.{}:5060", ip.replacen("0.", "7.", 1))),
                false => lab.outside(&format!("198.51.{ip}:5060")),
            };
            let gate = if inside { site::GATE_INSIDE } else { site::GATE_OUTSIDE };
            // Sometimes it is sent again, as by somebody who hears nothing.
            let octets = message(&mut dice, gate, n);
            let again = dice.pick(&[0, 0, 1, 3]);
            for _ in 0..=again {
                lab.send(who, octets.clone());
            }
            let came = octets.len() * (again + 1);
            let sent = told(&mut lab, who.addr());
            let text = String::from_utf8_lossy(&octets).into_owned();
            answers += sent.len();
            // Who is let in by policy, or calls for help, has a transaction: each answer by itself.
            let admitted = inside && (mode.policy == DefaultPolicy::Allow || is_urgent(&text));
            let sum: usize = if admitted { 0 } else { sent.iter().sum() };
            let each = sent.iter().all(|one| one * 2 <= came * 3);
            assert!(each && sum * 2 <= came * 3, "{mode:?}: {sent:?} for {came}:\n{text}");
        }
        let silent = mode.strangers == Strangers::Silent;
        assert!(silent || answers > 8, "{mode:?}: {answers} answers");
    }
}

#[test]
fn a_register_as_phones_write_it_is_challenged_while_the_site_is_alone() {
    let policy = DefaultPolicy::Site;
    let strangers = Strangers::Answer;
    let mut lab = Mode { auth: "users", alone: true, policy, strangers, own: false }.lab();
    let new = lab.phone("105", "10.17.0.55:5060");
    let ask = new.request_to(&mut lab, "REGISTER", "sip:pbx.example.com");
    let ask = ask.set("To", format!("<{}>", new.aor())).with("Expires", "600");
    let octets = Bytes::from(ask.clone()).len();
    lab.send(new.at, ask.clone());
    let no = lab.expect(new.at, "401");
    assert!(no.bytes.len() * 2 <= octets * 3, "{} octets for {octets}:\n{no}", no.bytes.len());
    assert!(no.header("WWW-Authenticate").contains("algorithm=MD5"), "{no}");
    let again = digest::again(&mut lab, &ask, &no, &new, site::PASSWORD);
    lab.send(new.at, again);
    assert_eq!(lab.expect(new.at, "200").list("Contact").len(), 1);
    lab.end();
}

/// After wrong passwords nobody's are looked at for a while: by datagrams that is not said.
#[test]
fn who_registers_while_passwords_are_not_looked_at_hears_nothing_and_comes_again() {
    let policy = DefaultPolicy::Site;
    let strangers = Strangers::Answer;
    let mut lab = Mode { auth: "users", alone: true, policy, strangers, own: false }.lab();
    let ua = lab.phone("105", "10.17.0.55:5060");
    let tries = |lab: &mut Lab, password: &str| {
        let ask = ua.request_to(lab, "REGISTER", "sip:pbx.example.com");
        let ask = ask.set("To", format!("<{}>", ua.aor())).with("Expires", "600");
        lab.send(ua.at, ask.clone());
        let no = lab.expect(ua.at, "401");
        let again = digest::again(lab, &ask, &no, &ua, password);
        lab.send(ua.at, again);
        lab.next(ua.at).map(|m| m.status())
    };
    let wrong: Vec<_> = (0..40).map(|_| tries(&mut lab, "guess")).collect();
    assert_eq!(wrong.first(), Some(&Some(403)));
    assert_eq!(wrong.last(), Some(&None), "{wrong:?}");
    assert_eq!(tries(&mut lab, site::PASSWORD), None);
    lab.advance(s(3_000));
    assert_eq!(tries(&mut lab, site::PASSWORD), Some(200));
    lab.clear();
    lab.end();
}

/// A stream's other end is who he says; he is told what there is to say.
#[test]
fn by_a_stream_the_whole_challenge_is_told() {
    let policy = DefaultPolicy::Site;
    let strangers = Strangers::Answer;
    let mut lab = Mode { auth: "users", alone: true, policy, strangers, own: false }.lab();
    let who: Party = lab.inside_tcp("10.17.0.55:40000");
    let text = "REGISTER sip:b SIP/2.0\r\nv:SIP/2.0/TCP b;branch=z9hG4bK1\r\nf:<sip:105@b>;tag=1\r\n\
                t:<sip:105@b>\r\ni:1\r\nCSeq:1 REGISTER\r\nMax-Forwards:9\r\nl:0\r\n\r\n";
    lab.send(who, Bytes::from(text));
    assert!(lab.expect(who, "401").has("WWW-Authenticate"));
    lab.end();
}
