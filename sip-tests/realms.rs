//! Our realm is ours: credentials for it reach nobody else, and nobody else asks for them.

use crate::lab::digest::{again, credentials};
use crate::lab::script::{Text, answer};
use crate::lab::{Lab, Msg, site};
use portreeve::engine::digest::Users;

/// Our own registrar with a trunk beside it; everything is allowed that can be routed.
fn trunk() -> Lab {
    let registrar =
        "[registrar]\nmode = \"local\"\nrealm = \"portreeve\"\npassword_file = \"/x\"\n";
    let users = Users::Shared { password: site::PASSWORD.to_owned() };
    Lab::with(site::parse(&format!("{}\n{registrar}", site::EDGE)), users)
}

/// Challenges that a phone might take for ours.
const OURS: [&str; 10] = [
    "Digest realm=\"portreeve\", nonce=\"n\", qop=\"auth\"",
    "Digest nonce=\"n\",realm=portreeve",
    "Digest realm = \"PortReeve\", nonce=\"n\"",
    "Digest nonce=\"n\", REALM=\"port\\reeve\"",
    "Digest realm=\" portreeve \", nonce=\"n\"",
    "Digest realm=\"other\", nonce=\"n\", realm=\"portreeve\"",
    "Digest realm=\"other\", nonce=\"n\", Digest realm=\"portreeve\", nonce=\"m\"",
    "Digest realm=\"portreeve, nonce=\"n\"",
    "Digest nonce=\"n\"",
    "Basic",
];

/// What stays of a request's credentials when it reached somebody.
fn given(got: &Msg) -> Vec<&str> {
    got.rows
        .iter()
        .filter(|(name, _)| name.to_ascii_lowercase().contains("authorization"))
        .map(|(_, value)| value.as_str())
        .collect()
}

#[test]
fn a_callee_that_challenges_in_our_realm_has_failed() {
    for (status, asked) in [(401, "WWW-Authenticate"), (407, "Proxy-Authenticate")] {
        for challenge in OURS {
            let mut lab = Lab::site();
            let alice = lab.local_phone("101", "10.17.0.21:5060");
            let bob = lab.local_phone("102", "10.17.0.22:5060");
            for method in ["INVITE", "MESSAGE", "OPTIONS", "SUBSCRIBE"] {
                let mut request = alice.request(&mut lab, method, "102");
                if method == "INVITE" {
                    request = request.sdp(alice.sdp(4000));
                }
                lab.send(alice.at, request.clone());
                let got = lab.expect(bob.at, method);
                // The second row is no excuse for the first.
                let no = answer(&got, status, "m").with(asked, challenge);
                lab.send(bob.at, no);
                let told = lab.take(alice.at);
                let told = told.last().expect("an answer");
                assert_eq!(told.status(), 502, "{method} {challenge}:\n{told}");
                assert!(!told.has(asked), "{told}");
                if method == "INVITE" {
                    lab.expect(bob.at, "ACK");
                    lab.send(alice.at, ack(&request, told));
                }
            }
            assert!(lab.security().contains(&"challenge_refused"), "{:?}", lab.security());
            lab.end();
        }
    }
}

fn ack(invite: &Text, told: &Msg) -> Text {
    let mut ack = invite.clone().without("Content-Type").set("To", told.header("To"));
    ack.start = ack.start.replacen("INVITE", "ACK", 1);
    ack.body.clear();
    let cseq = ack.header("CSeq").replace("INVITE", "ACK");
    ack.set("CSeq", cseq)
}

#[test]
fn a_challenge_within_a_dialog_or_in_an_answer_that_is_none_is_taken_out() {
    let mut lab = Lab::site();
    let alice = lab.local_phone("101", "10.17.0.21:5060");
    let bob = lab.local_phone("102", "10.17.0.22:5060");
    let (mut a, b) = lab.establish(&alice, &bob);
    let info = a.request(&mut lab, "INFO");
    lab.send(alice.at, info);
    let got = lab.expect(bob.at, "INFO");
    lab.send(bob.at, answer(&got, 401, "m").with("WWW-Authenticate", OURS[0]));
    lab.expect(alice.at, "502");
    for status in [200, 403] {
        let info = a.request(&mut lab, "INFO");
        lab.send(alice.at, info);
        let got = lab.expect(bob.at, "INFO");
        let odd = answer(&got, status, "m");
        lab.send(bob.at, odd.with("WWW-Authenticate", OURS[1]).with("Proxy-Authenticate", OURS[0]));
        let told = lab.expect(alice.at, &status.to_string());
        assert!(!told.has("WWW-Authenticate") && !told.has("Proxy-Authenticate"), "{told}");
    }
    lab.hang_up(&mut a, &b);
    lab.end();
}

#[test]
fn a_challenge_in_a_realm_of_its_own_passes_and_its_credentials_too() {
    let mut lab = trunk();
    let alice = lab.local_phone("101", "10.17.0.21:5060");
    let pbx = lab.far("200");
    let message = alice.request_to(&mut lab, "MESSAGE", "sip:200@pbx.example.com");
    lab.send(alice.at, message.clone());
    let got = lab.expect(pbx.at, "MESSAGE");
    // Ours beside theirs: theirs alone remains.
    let challenge = "Digest realm=\"pbx.example.com\", nonce=\"x\", qop=\"auth\"";
    let no = answer(&got, 407, "m");
    lab.send(pbx.at, no.with("Proxy-Authenticate", OURS[0]).with("Proxy-Authenticate", challenge));
    let asked = lab.expect(alice.at, "407");
    assert_eq!(asked.all("Proxy-Authenticate"), [challenge]);
    let retry = again(&mut lab, &message, &asked, &alice, "of the pbx");
    lab.send(alice.at, retry.clone());
    let got = lab.expect(pbx.at, "MESSAGE");
    assert_eq!(given(&got), [retry.header("Proxy-Authorization")]);
    lab.send(pbx.at, answer(&got, 200, "m"));
    lab.expect(alice.at, "200");
    lab.end();
}

#[test]
fn credentials_for_our_realm_reach_neither_phones_nor_upstreams() {
    let mut lab = trunk();
    let alice = lab.local_phone("101", "10.17.0.21:5060");
    let bob = lab.local_phone("102", "10.17.0.22:5060");
    let pbx = lab.far("200");
    let theirs = "Digest username=\"101\", realm=\"pbx.example.com\", nonce=\"x\", response=\"0\"";
    let dress = |request: Text| {
        let ours = |realm: &str| {
            let challenge = format!("Digest realm={realm}, nonce=\"n\"");
            credentials(&request, &challenge, "101", site::PASSWORD)
        };
        let [first, last] = [ours("\"portreeve\""), ours("\"PORTREEVE\"")];
        // First, last and between; both names, in any case.
        let mut text = request.clone();
        text.rows.insert(0, ("AUTHORIZATION".to_owned(), first.clone()));
        text.with("Proxy-Authorization", first.clone())
            .with("Proxy-Authorization", theirs)
            .with("proxy-authorization", last)
            .with("Authorization", "Digest username=\"101\", nonce=\"no realm\"")
            .with("Authorization", "Basic MTAxOnNlY3JldA==")
            .with("Authorization", first)
    };
    for (method, uri, far) in [
        ("MESSAGE", "sip:102@10.17.0.1", &bob),
        ("MESSAGE", "sip:200@pbx.example.com", &pbx),
        ("OPTIONS", "sip:200@pbx.example.com", &pbx),
    ] {
        let request = alice.request_to(&mut lab, method, uri);
        lab.send(alice.at, dress(request));
        let got = lab.expect(far.at, method);
        assert_eq!(given(&got), [theirs], "{got}");
        lab.send(far.at, answer(&got, 200, "m"));
        lab.expect(alice.at, "200");
    }
    for far in [&bob, &pbx] {
        let (mut a, b) = lab.establish(&alice, far);
        for method in ["INFO", "BYE"] {
            let request = a.request(&mut lab, method);
            lab.send(alice.at, dress(request));
            let got = lab.expect(far.at, method);
            assert_eq!(given(&got), [theirs], "{got}");
            lab.send(far.at, answer(&got, 200, &b.local));
            lab.expect(alice.at, "200");
        }
    }
    lab.end();
}

#[test]
fn in_front_of_a_pbx_of_the_same_realm_its_challenges_pass() {
    let mut lab = Lab::edge();
    let phone = lab.phone("101", "10.17.0.21:5060");
    let pbx = lab.far("101");
    let register = phone.request_to(&mut lab, "REGISTER", "sip:pbx.example.com");
    let register = register.set("To", format!("<{}>", phone.aor()));
    lab.send(phone.at, register.clone());
    let got = lab.expect(pbx.at, "REGISTER");
    lab.send(pbx.at, answer(&got, 401, "m").with("WWW-Authenticate", OURS[0]));
    let asked = lab.expect(phone.at, "401");
    assert_eq!(asked.all("WWW-Authenticate"), [OURS[0]], "we ask nobody: the PBX does");
    let retry = again(&mut lab, &register, &asked, &phone, "secret");
    lab.send(phone.at, retry.clone());
    let got = lab.expect(pbx.at, "REGISTER");
    assert_eq!(given(&got), [retry.header("Authorization")]);
    lab.send(pbx.at, answer(&got, 200, "m"));
    lab.expect(phone.at, "200");
    lab.end();
}
