//! Connections that give way to nobody: the engine tells which, by who spoke there.

use crate::lab::digest::again;
use crate::lab::script::answer;
use crate::lab::{Lab, Party, Ua, s, site};
use portreeve::engine::Input;
use portreeve::ground::{ConnId, Flow, ListenerId, Transport};

fn outside(peer: &str, conn: u64) -> Party {
    let (listener, peer) = (ListenerId(4), peer.parse().expect("an address"));
    Party {
        flow: Flow {
            listener,
            transport: Transport::Tcp,
            peer,
            conn: Some(ConnId(conn)),
            upstream: None,
        },
    }
}

#[test]
fn a_registered_phone_s_connection_is_kept_and_a_refused_one_s_is_not() {
    let mut lab = Lab::edge();
    let good = Ua::new(lab.inside_tcp("10.17.0.21:50001"), "101");
    let bad = Ua::new(lab.inside_tcp("10.17.0.22:50001"), "102");
    let pbx = lab.pbx();
    for (ua, status) in [(&good, 200), (&bad, 403)] {
        let register = ua
            .request_to(&mut lab, "REGISTER", &format!("sip:{}", ua.domain))
            .set("To", format!("<{}>", ua.aor()))
            .with("Expires", "600");
        lab.send(ua.at, register);
        assert_eq!(lab.kept_open.len(), usize::from(status != 200), "not before the answer");
        let got = lab.expect(pbx, "REGISTER");
        let contact = format!("<{}>;expires=600", got.contact());
        lab.send(pbx, answer(&got, status, "r").with("Contact", contact));
        lab.expect(ua.at, &status.to_string());
    }
    assert_eq!(lab.kept_open, [good.at.flow.conn.expect("a connection")]);
    lab.end();
}

#[test]
fn so_is_one_by_which_a_digest_proved_somebody() {
    let mut lab = Lab::site();
    let bob = lab.local_phone("102", "10.17.0.22:5060");
    let mut guest = Ua::new(lab.inside_tcp("10.17.0.33:50001"), "103");
    site::GATE_INSIDE.clone_into(&mut guest.domain);
    let message = guest.request(&mut lab, "MESSAGE", "102");
    lab.send(guest.at, message.clone());
    let challenged = lab.expect(guest.at, "407");
    assert!(lab.kept_open.is_empty());
    let wrong = again(&mut lab, &message, &challenged, &guest, "wrong");
    lab.send(guest.at, wrong.clone());
    lab.expect(guest.at, "403");
    assert!(lab.kept_open.is_empty());
    lab.advance(s(1));
    let right = again(&mut lab, &message, &challenged, &guest, site::PASSWORD);
    lab.send(guest.at, right.set("CSeq", "7 MESSAGE"));
    let got = lab.expect(bob.at, "MESSAGE");
    lab.send(bob.at, answer(&got, 200, "m"));
    lab.expect(guest.at, "200");
    assert_eq!(lab.kept_open, [guest.at.flow.conn.expect("a connection")]);
    lab.end();
}

#[test]
fn an_upstream_s_is_kept_from_its_first_message_and_once_a_connection() {
    let mut lab = Lab::edge();
    let pbx = Ua::new(outside("203.0.113.10:40000", 71), "200");
    let stranger = Ua::new(outside("198.51.100.66:40000", 72), "x");
    for ua in [&pbx, &stranger, &pbx] {
        let ping = ua.request_to(&mut lab, "OPTIONS", &format!("sip:{}", site::GATE_OUTSIDE));
        lab.send(ua.at, ping);
    }
    assert_eq!(lab.kept_open, [ConnId(71)]);
    lab.clear();
    lab.input(Input::ConnectionClosed(ConnId(71)));
    lab.input(Input::ConnectionClosed(ConnId(72)));
    lab.end();
}
