//! REGISTER through the gateway and at it (RFC 3261 §10).

use crate::lab::digest::{again, credentials};
use crate::lab::script::answer;
use crate::lab::{Lab, Msg, Ua, s, site};
use portreeve::audit::Record;
use portreeve::config::Learn;
use portreeve::engine::Input;

fn results(lab: &Lab) -> Vec<(&'static str, u16, u32)> {
    let mut all = Vec::new();
    for record in &lab.records {
        if let Record::Registration { result, status, expires, .. } = record {
            all.push((result.as_str(), *status, *expires));
        }
    }
    all
}

/// Calls a Request-URI from the PBX; what came of it.
fn call_in(lab: &mut Lab, uri: &str) -> (Ua, Vec<Msg>) {
    let pbx = lab.far("200");
    let invite = pbx.request_to(lab, "INVITE", uri).sdp(pbx.sdp(6000));
    lab.send(pbx.at, invite);
    let answers = lab.take(pbx.at);
    (pbx, answers)
}

#[test]
fn the_binding_is_made_on_the_2xx_with_the_expiry_that_was_granted() {
    let mut lab = Lab::edge();
    let phone = lab.phone("101", "10.17.0.21:5060");
    let register = phone
        .request_to(&mut lab, "REGISTER", "sip:pbx.example.com")
        .set("To", "<sip:101@pbx.example.com>")
        .with("Expires", "3600");
    lab.send(phone.at, register);
    let pbx = lab.pbx();
    let got = lab.expect(pbx, "REGISTER");
    assert_eq!(lab.stored.len(), 0, "not before the answer");
    let sealed = got.contact().to_owned();
    assert!(sealed.contains("@203.0.113.1:5060"), "{sealed}");
    let user = sealed.trim_start_matches("sip:").split('@').next().unwrap_or_default();
    assert!(user.len() <= 64, "{user}");
    lab.send(pbx, answer(&got, 200, "r").with("Contact", format!("<{sealed}>;expires=120")));
    let ok = lab.expect(phone.at, "200");
    assert_eq!(ok.header("Contact"), "<sip:101@10.17.0.21:5060>;expires=120");
    let kept = lab.kept_bindings();
    let stored = kept.first().expect("one binding");
    assert_eq!(
        (stored.aor.to_string().as_str(), stored.contact.as_str()),
        ("101@pbx.example.com", "sip:101@10.17.0.21:5060")
    );
    assert_eq!(results(&lab), [("accepted", 200, 120)]);
    assert_eq!(lab.stats().now.registrations, 1);
    lab.advance(s(121));
    assert_eq!(lab.stats().now.registrations, 0);
    assert_eq!(lab.stored.len(), 0, "the state folder forgets it, too");
    assert_eq!(results(&lab).last().expect("a record").0, "expired");
    lab.end();
}

#[test]
fn bindings_end_however_often_others_register() {
    let mut lab = Lab::edge();
    let (brief, busy) = (lab.phone("101", "10.17.0.21:5060"), lab.phone("102", "10.17.0.22:5060"));
    lab.register(&brief, 60);
    for _ in 0..130 {
        lab.register(&busy, 600);
        lab.advance(std::time::Duration::from_millis(500));
    }
    assert_eq!(lab.stats().now.registrations, 1, "the one that was not refreshed is over");
    lab.end();
}

#[test]
fn a_refresh_has_the_same_sealed_contact() {
    let mut lab = Lab::edge();
    let phone = lab.phone("101", "10.17.0.21:5060");
    let first = lab.register(&phone, 600);
    lab.advance(s(300));
    assert_eq!(lab.register(&phone, 600), first);
    assert_eq!(lab.stored.len(), 1);
    lab.advance(s(400));
    assert_eq!(lab.stats().now.registrations, 1, "the refresh counts");
    lab.end();
}

#[test]
fn a_refused_register_makes_no_binding() {
    let mut lab = Lab::edge();
    let phone = lab.phone("101", "10.17.0.21:5060");
    let register = phone
        .request_to(&mut lab, "REGISTER", "sip:pbx.example.com")
        .set("To", "<sip:101@pbx.example.com>")
        .with("Expires", "3600");
    lab.send(phone.at, register);
    let pbx = lab.pbx();
    let got = lab.expect(pbx, "REGISTER");
    lab.send(pbx, answer(&got, 403, "r"));
    lab.expect(phone.at, "403");
    assert_eq!((lab.stored.len(), lab.stats().now.registrations), (0, 0));
    assert_eq!(results(&lab), [("refused", 403, 0)]);
    lab.end();
}

#[test]
fn digest_passes_end_to_end() {
    let mut lab = Lab::edge();
    let phone = lab.phone("101", "10.17.0.21:5060");
    let register = phone
        .request_to(&mut lab, "REGISTER", "sip:pbx.example.com")
        .set("To", "<sip:101@pbx.example.com>")
        .with("Expires", "600");
    lab.send(phone.at, register.clone());
    let pbx = lab.pbx();
    let got = lab.expect(pbx, "REGISTER");
    let challenge = "Digest realm=\"pbx.example.com\", nonce=\"abc\", qop=\"auth\", algorithm=MD5";
    lab.send(pbx, answer(&got, 401, "r").with("WWW-Authenticate", challenge));
    let challenged = lab.expect(phone.at, "401");
    assert_eq!(challenged.header("WWW-Authenticate"), challenge);
    let register = again(&mut lab, &register, &challenged, &phone, "secret");
    lab.send(phone.at, register.clone());
    let got = lab.expect(pbx, "REGISTER");
    assert_eq!(got.header("Authorization"), register.header("Authorization"), "untouched");
    assert_eq!(got.cseq().0, 2);
    assert_eq!(lab.stats().registrations[1], 1, "challenged");
    lab.clear();
    lab.end();
}

#[test]
fn expires_zero_ends_the_binding() {
    let mut lab = Lab::edge();
    let phone = lab.phone("101", "10.17.0.21:5060");
    let sealed = lab.register(&phone, 600);
    let register = phone
        .request_to(&mut lab, "REGISTER", "sip:pbx.example.com")
        .set("To", "<sip:101@pbx.example.com>")
        .with("Expires", "0");
    lab.send(phone.at, register);
    let pbx = lab.pbx();
    let got = lab.expect(pbx, "REGISTER");
    assert_eq!(got.contact(), sealed, "the PBX is told which");
    lab.send(pbx, answer(&got, 200, "r"));
    lab.expect(phone.at, "200");
    assert_eq!((lab.stored.len(), lab.stats().now.registrations), (0, 0));
    lab.end();
}

#[test]
fn a_star_ends_every_binding_of_the_user() {
    let mut lab = Lab::edge();
    let (desk, soft) = (lab.phone("101", "10.17.0.21:5060"), lab.phone("101", "10.17.0.22:5060"));
    lab.register(&desk, 600);
    lab.register(&soft, 600);
    let other = lab.phone("102", "10.17.0.23:5060");
    lab.register(&other, 600);
    let register = desk
        .request_to(&mut lab, "REGISTER", "sip:pbx.example.com")
        .set("To", "<sip:101@pbx.example.com>")
        .set("Contact", "*")
        .with("Expires", "0");
    lab.send(desk.at, register);
    let pbx = lab.pbx();
    let got = lab.expect(pbx, "REGISTER");
    assert_eq!(got.header("Contact"), "*");
    lab.send(pbx, answer(&got, 200, "r"));
    lab.expect(desk.at, "200");
    assert_eq!(lab.stats().now.registrations, 1, "102 stays");
    lab.end();
}

#[test]
fn an_unbound_contact_is_not_reachable() {
    let mut lab = Lab::edge();
    let phone = lab.phone("101", "10.17.0.21:5060");
    let sealed = lab.register(&phone, 60);
    lab.advance(s(61));
    let (_, answers) = call_in(&mut lab, &sealed);
    assert_eq!(answers.last().map(Msg::status), Some(404));
    lab.end();
}

#[test]
fn bindings_survive_a_restart() {
    let mut lab = Lab::edge();
    let phone = lab.phone("101", "10.17.0.21:5060");
    let sealed = lab.register(&phone, 600);
    lab.restart();
    assert_eq!(lab.stats().now.registrations, 1);
    let (_, answers) = call_in(&mut lab, &sealed);
    assert_eq!(answers.iter().map(Msg::status).collect::<Vec<_>>(), [100]);
    lab.expect(phone.at, "INVITE");
    lab.end();
}

#[test]
fn a_request_to_a_phone_leaves_the_socket_it_registered_at() {
    let mut lab = Lab::edge();
    let phone = Ua::new(lab.at(site::INSIDE_UDP_5070, "10.17.0.21:5060"), "101");
    let sealed = lab.register(&phone, 600);
    call_in(&mut lab, &sealed);
    let invite = lab.expect(phone.at, "INVITE");
    assert!(invite.header("Via").contains("10.17.0.1:5070"), "{invite}");
    lab.end();
}

#[test]
fn a_natted_phone_is_called_where_it_was_seen() {
    let mut lab = Lab::edge();
    let mut phone = lab.phone("101", "10.17.0.21:40022");
    let seen = phone.at;
    phone.at.flow.peer = "192.168.178.5:5060".parse().expect("an address");
    let register = phone
        .request_to(&mut lab, "REGISTER", "sip:pbx.example.com")
        .set("To", "<sip:101@pbx.example.com>")
        .with("Expires", "600");
    lab.send(seen, register);
    let pbx = lab.pbx();
    let got = lab.expect(pbx, "REGISTER");
    let sealed = got.contact().to_owned();
    lab.send(pbx, answer(&got, 200, "r").with("Contact", format!("<{sealed}>;expires=600")));
    lab.expect(seen, "200");
    call_in(&mut lab, &sealed);
    let invite = lab.expect(seen, "INVITE");
    assert_eq!(invite.uri(), "sip:101@192.168.178.5:5060", "its own Contact all the same");
    lab.end();
}

#[test]
fn a_phone_whose_connection_closed_is_reached_anew() {
    let mut lab = Lab::edge();
    let at = lab.inside_tcp("10.17.0.31:40001");
    let phone = Ua::new(at, "103");
    let sealed = lab.register(&phone, 600);
    lab.input(Input::ConnectionClosed(at.flow.conn.expect("a connection")));
    call_in(&mut lab, &sealed);
    let mut anew = at;
    anew.flow.conn = None;
    lab.expect(anew, "INVITE");
    lab.end();
}

#[test]
fn a_phone_that_knows_only_a_registrar_gets_by_with_our_address() {
    let mut lab = Lab::edge();
    let mut phone = lab.phone("101", "10.17.0.21:5060");
    site::GATE_INSIDE.clone_into(&mut phone.domain);
    let register = lab.local_register(&phone, 600);
    lab.send(phone.at, register.clone());
    let pbx = lab.pbx();
    let got = lab.expect(pbx, "REGISTER");
    assert_eq!(got.uri(), "sip:pbx.example.com");
    assert_eq!(got.header("To"), "<sip:101@pbx.example.com>");
    assert_eq!(got.header("From"), "<sip:101@pbx.example.com>;tag=r");
    let sealed = got.contact().to_owned();
    lab.send(pbx, answer(&got, 200, "r").with("Contact", format!("<{sealed}>;expires=600")));
    let ok = lab.expect(phone.at, "200");
    assert_eq!(ok.header("From"), register.header("From"), "byte for byte inside");
    assert_eq!(ok.header("To"), "<sip:101@10.17.0.1>;tag=r");
    lab.end();
}

#[test]
fn a_register_from_outside_is_refused() {
    let mut lab = Lab::edge();
    let stranger = Ua::new(lab.outside("198.51.100.66:5060"), "101");
    let register = stranger
        .request_to(&mut lab, "REGISTER", "sip:pbx.example.com")
        .set("To", "<sip:101@pbx.example.com>")
        .with("Expires", "3600");
    lab.send(stranger.at, register);
    let no = lab.next(stranger.at).expect("an answer");
    assert!((400..500).contains(&no.status()), "{no}");
    lab.nothing_left();
    lab.end();
}

// --- the gateway's own registrar ---

#[test]
fn unauthenticated_requests_are_answered_statelessly_once() {
    let mut lab = Lab::site();
    let phone = lab.phone("101", "10.17.0.21:5060");
    let register = lab.local_register(&phone, 600);
    lab.send(phone.at, register.clone());
    let first = lab.expect(phone.at, "401");
    assert_eq!(lab.stats().now.transactions, [0, 0]);
    lab.advance(s(10));
    lab.nothing_left();
    lab.send(phone.at, register);
    let second = lab.expect(phone.at, "401");
    assert_eq!(first.tag("To"), second.tag("To"), "a derived tag");
    let rows = first.all("WWW-Authenticate");
    assert!(rows.iter().any(|r| r.contains("MD5")), "{first}");
    lab.end();
}

#[test]
fn a_phone_proves_itself_with_md5_or_sha_256() {
    for algorithm in ["MD5", "SHA-256"] {
        let mut lab = Lab::site();
        let phone = lab.phone("101", "10.17.0.21:5060");
        // Room for both challenges: the answer may not be much larger than the request.
        let register = lab.local_register(&phone, 600).with("User-Agent", "x".repeat(300));
        lab.send(phone.at, register.clone());
        let challenged = lab.expect(phone.at, "401");
        let rows = challenged.all("WWW-Authenticate");
        let row = rows.iter().find(|r| r.contains(algorithm)).expect("an offer");
        let value = credentials(&register, row, "101", site::PASSWORD);
        lab.send(
            phone.at,
            register
                .set("Authorization", value)
                .set("CSeq", "2 REGISTER")
                .set("Via", phone.via("z9hG4bKa")),
        );
        let ok = lab.expect(phone.at, "200");
        assert_eq!(ok.header("Contact"), "<sip:101@10.17.0.21:5060>;expires=600");
        assert_eq!(lab.stats().now.registrations, 1);
        lab.end();
    }
}

#[test]
fn a_wrong_password_is_refused_and_recorded() {
    let mut lab = Lab::site();
    let phone = lab.phone("101", "10.17.0.21:5060");
    let register = lab.local_register(&phone, 600);
    lab.send(phone.at, register.clone());
    let challenged = lab.expect(phone.at, "401");
    let register = again(&mut lab, &register, &challenged, &phone, "guess");
    lab.send(phone.at, register);
    let no = lab.next(phone.at).expect("an answer");
    assert!(matches!(no.status(), 401 | 403), "{no}");
    assert_eq!(lab.security(), ["bad_password"]);
    assert_eq!(lab.stats().now.registrations, 0);
    lab.end();
}

#[test]
fn one_user_cannot_register_another() {
    let mut lab = Lab::site();
    let phone = lab.phone("101", "10.17.0.21:5060");
    let register = lab.local_register(&phone, 600).set("To", "<sip:102@10.17.0.1>");
    lab.send(phone.at, register.clone());
    let challenged = lab.expect(phone.at, "401");
    let register = again(&mut lab, &register, &challenged, &phone, site::PASSWORD);
    lab.send(phone.at, register);
    lab.expect(phone.at, "403");
    assert_eq!(lab.stats().now.registrations, 0);
    lab.end();
}

#[test]
fn a_register_from_another_network_is_refused() {
    let mut lab = Lab::site();
    let phone = lab.phone("101", "192.0.2.21:5060");
    let register = lab.local_register(&phone, 600);
    lab.send(phone.at, register);
    lab.expect(phone.at, "403");
    lab.end();
}

#[test]
fn an_interval_that_is_too_brief_is_423_and_one_too_long_is_shortened() {
    let mut lab = Lab::site_with(|c| c.registrar.digest = false);
    let phone = lab.phone("101", "10.17.0.21:5060");
    let register = lab.local_register(&phone, 30);
    lab.send(phone.at, register);
    let brief = lab.expect(phone.at, "423");
    assert_eq!(brief.header("Min-Expires"), "60");
    let register = lab.local_register(&phone, 100_000);
    lab.send(phone.at, register);
    let ok = lab.expect(phone.at, "200");
    assert_eq!(ok.header("Contact"), "<sip:101@10.17.0.21:5060>;expires=3600");
    lab.end();
}

#[test]
fn two_phones_of_the_site_call_each_other() {
    let mut lab = Lab::site();
    let alice = lab.local_phone("101", "10.17.0.21:5060");
    let bob = lab.local_phone("102", "10.17.0.22:5060");
    let (mut a, b) = lab.establish(&alice, &bob);
    let (_, stream) = lab.relay.only();
    assert_eq!(
        stream.legs.map(|l| l.party.rtp.map(|a| a.to_string())),
        [Some("10.17.0.21:4000".to_owned()), Some("10.17.0.22:6000".to_owned())]
    );
    lab.hang_up(&mut a, &b);
    assert_eq!(lab.ends(), [("answered", 200, "caller")]);
    lab.end();
}

#[test]
fn a_phone_that_is_not_registered_proves_itself_to_call() {
    let mut lab = Lab::site();
    let bob = lab.local_phone("102", "10.17.0.22:5060");
    let mut guest = lab.phone("103", "10.17.0.33:5060");
    site::GATE_INSIDE.clone_into(&mut guest.domain);
    let a = lab.call(&guest, "102", 4000);
    let challenged = lab.expect(guest.at, "407");
    lab.nothing_left();
    assert_eq!(lab.stats().now.transactions[0], 0, "no transaction for strangers");
    lab.send(guest.at, a.ack_refusal(&challenged));
    let invite = again(&mut lab, &a.invite, &challenged, &guest, site::PASSWORD);
    lab.send(guest.at, invite);
    lab.expect(guest.at, "100");
    let rung = lab.expect(bob.at, "INVITE");
    assert!(!rung.has("Proxy-Authorization"), "credentials are for us alone");
    lab.end();
}

#[test]
fn a_call_to_nobody_of_the_site_is_404() {
    let mut lab = Lab::site();
    let alice = lab.local_phone("101", "10.17.0.21:5060");
    let a = lab.call(&alice, "177", 4000);
    let answers = lab.take(alice.at);
    let last = answers.last().expect("an answer");
    assert_eq!(last.status(), 404, "{last}");
    lab.send(alice.at, a.ack_refusal(last));
    lab.end();
}

/// A REGISTER of 101 with this Call-ID, CSeq, Contact and Expires; the answer's start line.
fn counted(lab: &mut Lab, call_id: &str, cseq: u32, contact: &str, expires: &str) -> String {
    let phone = lab.phone("101", "10.17.0.21:5060");
    let register = lab
        .local_register(&phone, 600)
        .set("Call-ID", call_id)
        .set("CSeq", format!("{cseq} REGISTER"))
        .set("Contact", contact)
        .set("Expires", expires);
    lab.send(phone.at, register.clone());
    let told = lab.next(phone.at).expect("an answer");
    lab.send(phone.at, register);
    let again = lab.next(phone.at).expect("the same answer");
    assert_eq!(told.start, again.start, "a retransmission is absorbed");
    told.start
}

#[test]
fn a_register_that_a_younger_one_overtook_changes_nothing() {
    let mut lab = Lab::site_with(|c| c.registrar.digest = false);
    let (desk, soft) = ("<sip:101@10.17.0.21:5060>", "<sip:101@10.17.0.21:5070>");
    let (ok, late) = ("SIP/2.0 200 OK", "SIP/2.0 500 CSeq Is Not Higher");
    assert_eq!(counted(&mut lab, "a", 5, desk, "600"), ok);
    for (cseq, contact, expires) in [
        (5, desk, "600"),
        (4, desk, "300"),
        (4, desk, "0"),
        (5, "*", "0"),
        // One of them is late: none is bound.
        (5, &format!("{soft}, {desk}"), "600"),
    ] {
        assert_eq!(counted(&mut lab, "a", cseq, contact, expires), late, "{cseq} {contact}");
    }
    assert_eq!(lab.kept_bindings().iter().map(|b| b.cseq).collect::<Vec<_>>(), [5]);
    assert_eq!(lab.stats().registrations[2], 5, "refused");
    assert_eq!(results(&lab).last(), Some(&("refused", 500, 0)));
    assert_eq!(counted(&mut lab, "a", 4, soft, "600"), ok, "this contact has no younger one");
    assert_eq!(counted(&mut lab, "a", 6, desk, "600"), ok);
    assert_eq!(counted(&mut lab, "b", 1, desk, "600"), ok, "a phone that began anew");
    assert_eq!(counted(&mut lab, "b", 2, "*", "0"), ok);
    assert_eq!(lab.stats().now.registrations, 0);
    assert_eq!(counted(&mut lab, "b", 1, desk, "60"), ok, "what is gone is not compared");
    lab.advance(s(62));
    assert_eq!(counted(&mut lab, "b", 1, desk, "60"), ok, "nor what has expired");
    lab.end();
}

#[test]
fn a_phone_behind_a_second_nat_registers_only_with_same_ip_media() {
    // What `learn` means is the interface's; a strict one refuses an SDP that names another host.
    for (learn, status) in [(Learn::SameIp, "100"), (Learn::Strict, "488")] {
        let mut lab = Lab::edge_with(|c| c.interfaces[0].learn = learn);
        let phone = lab.phone("101", "10.17.0.21:5060");
        let invite =
            phone.request(&mut lab, "INVITE", "200").sdp(crate::lab::sdp("192.168.178.5", 4000));
        lab.send(phone.at, invite);
        let answers = lab.take(phone.at);
        let last = answers.last().expect("an answer");
        assert_eq!(last.status().to_string(), status, "{learn:?}: {last}");
        lab.clear();
        lab.end();
    }
}
