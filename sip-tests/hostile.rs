//! Damaged and rearranged messages from both sides while calls are up: nothing panics, what goes out
//! is regular, no inside address leaves, and when all is over nothing is left.

use crate::lab::script::{Text, answer, sdp_with};
use crate::lab::{Lab, Leg, Party, Ua, ms};
use bytes::Bytes;
use proptest::prelude::*;

/// One piece of damage; numbers are taken modulo what there is.
#[derive(Clone, Debug)]
enum Damage {
    /// One octet becomes another.
    Octet(usize, u8),
    /// A stretch is cut out.
    Cut(usize, usize),
    /// A header line goes.
    Drop(usize),
    /// A header line comes twice.
    Twice(usize),
    /// Two header lines change places.
    Swap(usize, usize),
    /// A header line gets a row of its own choice in front.
    Insert(usize, usize),
    /// The octets of a line are replaced by the value of another.
    Graft(usize, usize),
}

const ROWS: [&str; 12] = [
    "Via: SIP/2.0/UDP 10.17.0.66;branch=z9hG4bKx",
    "Route: <sip:10.17.0.66;lr>",
    "Record-Route: <sip:10.17.0.66;lr>",
    "Contact: <sip:x@10.17.0.66>, <sip:y@10.17.0.67>",
    "Replaces: a@10.17.0.66;to-tag=a;from-tag=b",
    "Refer-To: <sip:x@10.17.0.66?Replaces=a%4010.17.0.66%3Bto-tag%3Da%3Bfrom-tag%3Db>",
    "Warning: 399 10.17.0.66 \"at 10.17.0.66\"",
    "X-Any: 10.17.0.66",
    "Content-Type: multipart/mixed;boundary=\"--\"",
    "Require: 100rel",
    "To: <sip:x@10.17.0.66>;tag=10.17.0.66",
    "Max-Forwards: 0",
];

fn damage() -> impl Strategy<Value = Damage> {
    let n = || any::<usize>();
    prop_oneof![
        (n(), any::<u8>()).prop_map(|(at, b)| Damage::Octet(at, b)),
        (n(), 1usize..40).prop_map(|(at, len)| Damage::Cut(at, len)),
        n().prop_map(Damage::Drop),
        n().prop_map(Damage::Twice),
        (n(), n()).prop_map(|(a, b)| Damage::Swap(a, b)),
        (n(), n()).prop_map(|(a, b)| Damage::Insert(a, b)),
        (n(), n()).prop_map(|(a, b)| Damage::Graft(a, b)),
    ]
}

/// The text after the damage. What `outside` says of the inside it would get back as its own words,
/// so it says nothing.
fn spoiled(text: &Text, damages: &[Damage], outside: bool) -> Bytes {
    let octets: Bytes = text.clone().into();
    let at = octets.windows(4).position(|w| w == b"\r\n\r\n").unwrap_or(octets.len());
    let (head, body) = octets.split_at(at);
    let mut lines: Vec<Vec<u8>> =
        head.split(|b| *b == b'\n').map(|l| l.trim_ascii_end().to_vec()).collect();
    let mut body = body.to_vec();
    for d in damages {
        let rows = lines.len();
        match d {
            Damage::Octet(at, octet) => {
                let total: usize = lines.iter().map(Vec::len).sum::<usize>() + body.len();
                let mut at = at % total.max(1);
                let parts = lines.iter_mut().chain(std::iter::once(&mut body));
                for part in parts {
                    if let Some(b) = part.get_mut(at) {
                        *b = *octet;
                        break;
                    }
                    at -= part.len();
                }
            }
            Damage::Cut(at, len) => {
                let line = &mut lines[at % rows];
                let from = at / rows % line.len().max(1);
                let to = (from + len).min(line.len());
                line.drain(from.min(to)..to);
            }
            Damage::Drop(n) if rows > 2 => drop(lines.remove(1 + n % (rows - 1))),
            Damage::Drop(_) => {}
            Damage::Twice(n) => lines.insert(1 + n % rows, lines[n % rows].clone()),
            Damage::Swap(a, b) => lines.swap(a % rows, b % rows),
            Damage::Insert(at, which) => {
                let mut row = ROWS[which % ROWS.len()].to_owned();
                if outside {
                    row = row.replace("10.17.", "192.0.");
                }
                lines.insert(1 + at % rows, row.into_bytes());
            }
            Damage::Graft(a, b) => {
                let value = |line: &[u8]| line.splitn(2, |c| *c == b':').nth(1).map(<[u8]>::to_vec);
                let (Some(new), name) = (value(&lines[b % rows]), lines[a % rows].clone()) else {
                    continue;
                };
                let name = name.split(|c| *c == b':').next().unwrap_or_default().to_vec();
                lines[a % rows] = [name, b":".to_vec(), new].concat();
            }
        }
    }
    [lines.join(&b"\r\n"[..]), body].concat().into()
}

/// A call in the state `stage`, and the messages that each side may send next.
fn scene(lab: &mut Lab, stage: usize) -> Vec<(Party, Text)> {
    let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
    let sealed = lab.register(&phone, 600);
    let hold = sdp_with("10.17.0.21", 4000, "a=sendonly\r\na=rtcp:4001 IN IP4 10.17.0.21\r\n");
    let invite = phone.request(lab, "INVITE", "200").sdp(hold.clone());
    let inward = pbx.request_to(lab, "INVITE", &sealed).sdp(pbx.sdp(6000));
    let mut all = vec![
        (phone.at, invite.clone()),
        (pbx.at, inward),
        (phone.at, phone.request_to(lab, "REGISTER", "sip:pbx.example.com").with("Expires", "60")),
        (phone.at, phone.request(lab, "SUBSCRIBE", "200").with("Event", "dialog")),
        (
            pbx.at,
            pbx.request_to(lab, "NOTIFY", &sealed)
                .with("Event", "x")
                .typed("message/sipfrag", "SIP/2.0 100 T"),
        ),
        (
            phone.at,
            phone.request(lab, "MESSAGE", "200").typed("application/pidf+xml", "at 10.17.0.21"),
        ),
    ];
    if stage == 0 {
        return all;
    }
    lab.send(phone.at, invite.clone());
    lab.expect(phone.at, "100");
    let got = lab.expect(pbx.at, "INVITE");
    let (mut a, mut b) = (Leg::calling(&phone, &invite), Leg::called(&pbx, &got, "b"));
    all.push((phone.at, a.cancel()));
    for status in [180, 183, 200, 302, 407, 486, 503] {
        all.push((pbx.at, pbx.answer(&got, status, "b").sdp(pbx.sdp(6000))));
    }
    if stage == 1 {
        return all;
    }
    lab.send(pbx.at, pbx.answer(&got, 200, "b").sdp(pbx.sdp(6000)));
    let ok = lab.expect(phone.at, "200");
    a.learn(&ok);
    all.push((phone.at, a.ack(lab)));
    for (leg, body) in [(&mut a, hold), (&mut b, pbx.sdp(6100))] {
        let at = leg.ua.at;
        for method in ["INVITE", "UPDATE", "PRACK", "INFO"] {
            all.push((at, leg.request(lab, method).sdp(body.clone())));
        }
        let to = leg.target.clone();
        all.push((at, leg.request(lab, "REFER").with("Refer-To", format!("<{to}>"))));
        all.push((at, leg.request(lab, "BYE")));
    }
    all
}

/// What a party does with what it gets: some answer, so that things go on.
fn react(lab: &mut Lab, parties: &[Ua]) {
    for ua in parties {
        for msg in lab.take(ua.at) {
            if msg.is_request() && !matches!(msg.method(), "ACK" | "CANCEL") && msg.has("From") {
                let status = if msg.body.len() % 3 == 0 { 200 } else { 488 };
                lab.send(ua.at, answer(&msg, status, "r").with("Contact", ua.contact()));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn damage_does_no_harm(
        stage in 0usize..3,
        blows in prop::collection::vec((any::<usize>(), prop::collection::vec(damage(), 1..5)), 1..12),
    ) {
        let mut lab = Lab::edge();
        lab.checks.forgetful = true;
        let scene = scene(&mut lab, stage);
        let parties = [lab.phone("101", "10.17.0.21:5060"), lab.far("200")];
        for (which, damages) in blows {
            let (from, text) = &scene[which % scene.len()];
            lab.send(*from, spoiled(text, &damages, *from == parties[1].at));
            react(&mut lab, &parties);
            lab.advance(ms(700));
        }
        lab.clear();
        lab.end();
    }

    #[test]
    fn noise_does_no_harm(octets in prop::collection::vec(any::<u8>(), 0..200), inside: bool) {
        let mut lab = Lab::edge();
        let from = if inside { lab.inside("10.17.0.21:5060") } else { lab.pbx() };
        lab.send(from, octets);
        lab.clear();
        prop_assert_eq!(lab.stats().now.transactions, [0, 0]);
    }
}
