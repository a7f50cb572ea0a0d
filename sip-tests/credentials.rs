//! Nonce counts, and what a proved call counts: credentials that are right but used up, or that lack
//! what `qop` asks for, are told apart from wrong ones.

use crate::lab::digest::{again, credentials};
use crate::lab::script::{Text, answer};
use crate::lab::{Lab, Msg, Ua, site};
use portreeve::audit::{Record, Ruling};

/// A phone of our own registrar that has no binding: it proves itself to call.
fn guest(lab: &Lab) -> Ua {
    let mut guest = lab.phone("103", "10.17.0.33:5060");
    site::GATE_INSIDE.clone_into(&mut guest.domain);
    guest
}

/// The request again as another transaction, with this header.
fn retry(lab: &mut Lab, ua: &Ua, request: &Text, header: &str, value: &str) -> Text {
    let n = lab.fresh();
    let (number, method) = request.header("CSeq").split_once(' ').expect("number and method");
    let next = number.parse::<u64>().expect("a number") + n;
    let request = request.clone().set(header, value).set("CSeq", format!("{next} {method}"));
    request.set("Via", ua.via(&format!("z9hG4bKr{n}")))
}

/// A REGISTER and credentials that are right for it.
fn proved_register(lab: &mut Lab, ua: &Ua) -> (Text, String) {
    let register = lab.local_register(ua, 600);
    lab.send(ua.at, register.clone());
    let challenged = lab.expect(ua.at, "401");
    let rows = challenged.all("WWW-Authenticate");
    let value = credentials(&register, rows.last().expect("a row"), &ua.user, site::PASSWORD);
    (register, value)
}

#[test]
fn a_count_that_was_used_is_stale_and_the_next_try_registers() {
    let mut lab = Lab::site();
    let phone = guest(&lab);
    let (register, value) = proved_register(&mut lab, &phone);
    let first = retry(&mut lab, &phone, &register, "Authorization", &value);
    lab.send(phone.at, first);
    lab.expect(phone.at, "200");
    let replay = retry(&mut lab, &phone, &register, "Authorization", &value);
    lab.send(phone.at, replay);
    let stale = lab.expect(phone.at, "401");
    let rows = stale.all("WWW-Authenticate");
    assert!(rows.iter().all(|r| r.contains("stale=true")), "{stale}");
    let value = credentials(&register, rows.last().expect("a row"), "103", site::PASSWORD);
    let better = retry(&mut lab, &phone, &register, "Authorization", &value);
    lab.send(phone.at, better);
    lab.expect(phone.at, "200");
    assert!(lab.security().is_empty(), "nobody guessed a password: {:?}", lab.security());
    // Accepted twice, challenged twice, refused never.
    assert_eq!(lab.stats().registrations[..3], [2, 2, 0]);
    lab.end();
}

#[test]
fn a_call_with_a_used_count_is_challenged_anew_and_goes_through() {
    let mut lab = Lab::site();
    let bob = lab.local_phone("102", "10.17.0.22:5060");
    let phone = guest(&lab);
    let message = phone.request(&mut lab, "MESSAGE", "102");
    lab.send(phone.at, message.clone());
    let challenged = lab.expect(phone.at, "407");
    let rows = challenged.all("Proxy-Authenticate");
    let value = credentials(&message, rows.last().expect("a row"), "103", site::PASSWORD);
    for status in ["200", "407"] {
        let tried = retry(&mut lab, &phone, &message, "Proxy-Authorization", &value);
        lab.send(phone.at, tried.set("Call-ID", format!("again{status}")));
        if status == "200" {
            let got = lab.expect(bob.at, "MESSAGE");
            lab.send(bob.at, answer(&got, 200, "m"));
        }
        let told = lab.expect(phone.at, status);
        assert_eq!(status == "407", told.to_string().contains("stale=true"), "{told}");
    }
    assert!(lab.security().is_empty());
    lab.end();
}

#[test]
fn parallel_requests_of_one_nonce_may_overtake_each_other() {
    let mut lab = Lab::site();
    let phone = guest(&lab);
    let (register, value) = proved_register(&mut lab, &phone);
    for (nc, status) in [("00000003", "200"), ("00000001", "200"), ("00000003", "401")] {
        let value = with_count(&register, &value, nc);
        let tried = retry(&mut lab, &phone, &register, "Authorization", &value);
        lab.send(phone.at, tried);
        lab.expect(phone.at, status);
    }
    lab.end();
}

/// The same credentials with another nonce count, and the response that fits.
fn with_count(register: &Text, value: &str, nc: &str) -> String {
    let challenge = value.replace("response=", "old=").replace("qop=auth, nc=00000001", "");
    let made = crate::lab::digest::counted(register, &challenge, "103", site::PASSWORD, nc);
    assert!(made.contains(nc), "{made}");
    made
}

#[test]
fn credentials_without_a_count_are_a_bad_request() {
    for (from, to) in [
        (", nc=00000001", ""),
        ("nc=00000001", "nc=1"),
        ("nc=00000001", "nc=0000000x"),
        ("nc=00000001", "nc=00000000"),
        ("cnonce=\"c0\", ", ""),
    ] {
        let mut lab = Lab::site();
        let phone = guest(&lab);
        let (register, value) = proved_register(&mut lab, &phone);
        let broken = value.replace(from, to);
        assert_ne!(broken, value);
        let tried = retry(&mut lab, &phone, &register, "Authorization", &broken);
        lab.send(phone.at, tried);
        let told = lab.expect(phone.at, "400");
        assert_eq!(told.start, "SIP/2.0 400 Digest Without Nonce Count", "{to:?}");
        let message = phone.request(&mut lab, "MESSAGE", "102");
        lab.send(phone.at, message.clone().set("Proxy-Authorization", broken));
        lab.expect(phone.at, "400");
        assert_eq!(lab.security(), ["malformed", "malformed"]);
        lab.end();
    }
}

/// How often each rule was acted on: allowed, denied.
fn decisions(lab: &Lab) -> Vec<(String, [u64; 2])> {
    let all = lab.stats().decisions;
    all.iter().filter(|(_, n)| **n != [0, 0]).map(|(r, n)| (r.to_string(), *n)).collect()
}

#[test]
fn a_call_that_proves_itself_is_one_verdict() {
    let mut lab = Lab::site();
    let bob = lab.local_phone("102", "10.17.0.22:5060");
    let phone = guest(&lab);
    let before = decisions(&lab);
    assert_eq!(before, [("default:gateway".to_owned(), [2, 0])], "two REGISTERs");
    let invite = phone.request(&mut lab, "INVITE", "102").sdp(phone.sdp(4000));
    lab.send(phone.at, invite.clone());
    let challenged = lab.expect(phone.at, "407");
    assert_eq!(decisions(&lab), before, "a challenge is no verdict");
    let invite = again(&mut lab, &invite, &challenged, &phone, site::PASSWORD);
    lab.send(phone.at, invite);
    lab.expect(phone.at, "100");
    lab.expect(bob.at, "INVITE");
    assert_eq!(decisions(&lab)[1..], [("default:phones".to_owned(), [1, 0])]);
    let attempts = lab.records.iter().filter(|r| matches!(r, Record::CallAttempt { .. }));
    assert_eq!(attempts.count(), 1);
    lab.clear();
    lab.end();
}

#[test]
fn a_denial_counts_once_and_a_false_from_is_none() {
    let mut lab = Lab::site_with(|c| c.registrar.digest = false);
    let mut alice = lab.phone("101", "10.17.0.21:5060");
    site::GATE_INSIDE.clone_into(&mut alice.domain);
    let register = lab.local_register(&alice, 600);
    lab.send(alice.at, register);
    lab.expect(alice.at, "200");
    let stranger = lab.phone("104", "10.17.0.99:5060");
    lab.call(&stranger, "101", 4000);
    lab.expect(stranger.at, "403");
    let counted = decisions(&lab);
    assert_eq!(counted[0], ("default:deny".to_owned(), [0, 1]));
    let false_from = alice.request(&mut lab, "MESSAGE", "101").set("From", "<sip:109@x>;tag=9");
    lab.send(alice.at, false_from);
    assert_eq!(lab.take(alice.at).last().map(Msg::status), Some(403));
    assert_eq!(decisions(&lab), counted);
    let denied = |r: &&Record| matches!(r, Record::CallAttempt { verdict: Ruling::Deny, .. });
    assert_eq!(lab.records.iter().filter(denied).count(), 1);
    lab.advance(crate::lab::s(40));
    lab.end();
}

/// As an RFC 2069 phone writes them: without qop, nc and cnonce.
fn old_style(request: &Text, challenge: &str, user: &str) -> String {
    crate::lab::digest::without_qop(request, challenge, user, site::PASSWORD)
}

#[test]
fn credentials_without_qop_are_good_once_and_for_their_source_alone() {
    let mut lab = Lab::site();
    let phone = guest(&lab);
    let register = lab.local_register(&phone, 600);
    lab.send(phone.at, register.clone());
    let asked = lab.expect(phone.at, "401");
    let value = old_style(&register, asked.all("WWW-Authenticate").last().expect("a row"), "103");
    let thief = lab.phone("103", "10.17.0.66:5060");
    let stolen = retry(&mut lab, &thief, &register, "Authorization", &value);
    // Before its owner used it, and after.
    lab.send(thief.at, stolen.clone().set("Contact", thief.contact()));
    lab.expect(thief.at, "401");
    let first = retry(&mut lab, &phone, &register, "Authorization", &value);
    lab.send(phone.at, first);
    lab.expect(phone.at, "200");
    for at in [thief.at, phone.at, lab.inside("10.17.0.33:5099")] {
        let again = retry(&mut lab, &Ua::new(at, "103"), &register, "Authorization", &value);
        lab.send(at, again.set("Contact", thief.contact()));
        let stale = lab.expect(at, "401");
        assert!(stale.to_string().contains("stale=true"), "{stale}");
    }
    assert_eq!(lab.kept_bindings().len(), 1);
    // Whoever knows the password goes on: one more round trip.
    let next = retry(&mut lab, &phone, &register, "Authorization", &value);
    lab.send(phone.at, next.clone());
    let stale = lab.expect(phone.at, "401");
    let value = old_style(&next, stale.all("WWW-Authenticate").last().expect("a row"), "103");
    let next = retry(&mut lab, &phone, &next, "Authorization", &value);
    lab.send(phone.at, next);
    lab.expect(phone.at, "200");
    lab.end();
}

#[test]
fn credentials_of_one_address_prove_nobody_at_another() {
    let mut lab = Lab::site();
    let bob = lab.local_phone("102", "10.17.0.22:5060");
    let phone = guest(&lab);
    // Counted ones that their owner never got to use, of a REGISTER and of a request.
    let (register, value) = proved_register(&mut lab, &phone);
    let thief = lab.phone("103", "10.17.0.66:5060");
    let stolen = retry(&mut lab, &thief, &register, "Authorization", &value);
    lab.send(thief.at, stolen);
    lab.expect(thief.at, "401");
    let message = phone.request(&mut lab, "MESSAGE", "102");
    lab.send(phone.at, message.clone());
    let challenged = lab.expect(phone.at, "407");
    let rows = challenged.all("Proxy-Authenticate");
    for value in [
        credentials(&message, rows.last().expect("a row"), "103", site::PASSWORD),
        old_style(&message, rows.last().expect("a row"), "103"),
    ] {
        let stolen = retry(&mut lab, &thief, &message, "Proxy-Authorization", &value);
        lab.send(thief.at, stolen.set("Call-ID", "stolen"));
        lab.expect(thief.at, "407");
        lab.nothing_left();
    }
    let value = old_style(&message, rows.last().expect("a row"), "103");
    for status in ["200", "407"] {
        let tried = retry(&mut lab, &phone, &message, "Proxy-Authorization", &value);
        lab.send(phone.at, tried.set("Call-ID", format!("again{status}")));
        if status == "200" {
            let got = lab.expect(bob.at, "MESSAGE");
            lab.send(bob.at, answer(&got, 200, "m"));
        }
        lab.expect(phone.at, status);
    }
    lab.end();
}
