//! A phone is never locked out by what is left of itself: beyond a user's cap the newest of his
//! registrations takes the place of one that reaches nobody, of one of the same phone, or of the
//! one that was longest not refreshed.

use crate::lab::digest::again;
use crate::lab::script::{Text, answer};
use crate::lab::{Lab, Party, Ua, s, site};
use portreeve::audit::Record;
use portreeve::config::Config;
use portreeve::engine::Input;

/// Of both kinds of registrar, with a cap of three: whether we are it, and the lab.
fn labs() -> [(bool, Lab); 2] {
    let cap = |c: &mut Config| c.limits.bindings_per_user = 3;
    [(true, Lab::site_with(cap)), (false, Lab::edge_with(cap))]
}

/// A phone of 101 there.
fn phone(local: bool, at: Party) -> Ua {
    let mut ua = Ua::new(at, "101");
    if local {
        site::GATE_INSIDE.clone_into(&mut ua.domain);
    }
    ua
}

/// Registers, with the right password or by the PBX: what it was told at last.
fn asks(lab: &mut Lab, local: bool, ua: &Ua, register: Text) -> u16 {
    // A nonce of another second: none is used twice.
    lab.advance(s(1));
    lab.send(ua.at, register.clone());
    if local {
        let asked = lab.expect(ua.at, "401");
        let proof = again(lab, &register, &asked, ua, site::PASSWORD);
        lab.send(ua.at, proof);
    } else if let Some(got) = lab.next(lab.pbx()) {
        let contacts = got.list("Contact");
        let ok = contacts.iter().fold(answer(&got, 200, "r"), |ok, contact| {
            ok.with("Contact", format!("{contact};expires=600"))
        });
        let pbx = lab.pbx();
        lab.send(pbx, ok);
    }
    lab.take(ua.at).last().map_or(0, crate::lab::Msg::status)
}

fn register(lab: &mut Lab, local: bool, ua: &Ua, contact: &str) -> u16 {
    let text = if local {
        lab.local_register(ua, 600)
    } else {
        let uri = format!("sip:{}", ua.domain);
        ua.request_to(lab, "REGISTER", &uri).set("To", format!("<{}>", ua.aor()))
    };
    asks(lab, local, ua, text.set("Contact", contact))
}

/// Contacts that are registered, in order.
fn contacts(lab: &Lab) -> Vec<String> {
    let mut all: Vec<String> = lab.kept_bindings().into_iter().map(|b| b.contact).collect();
    all.sort();
    all
}

fn replaced(lab: &Lab) -> usize {
    let is = |r: &&Record| matches!(r, Record::Registration { result, .. } if result.as_str() == "replaced");
    lab.records.iter().filter(is).count()
}

#[test]
fn a_phone_whose_connection_drops_all_day_registers_each_time() {
    for (local, mut lab) in labs() {
        let at = lab.inside("10.17.0.9:5060");
        let desk = phone(local, at);
        assert_eq!(register(&mut lab, local, &desk, "<sip:101@10.17.0.9:5060>"), 200);
        for n in 0..20 {
            let at = lab.inside_tcp(&format!("10.17.0.21:{}", 40_000 + n));
            let ua = phone(local, at);
            let contact = format!("<sip:101@10.17.0.21:{};transport=tcp>", 40_000 + n);
            assert_eq!(register(&mut lab, local, &ua, &contact), 200, "{local} {n}");
            lab.input(Input::ConnectionClosed(ua.at.flow.conn.expect("a connection")));
        }
        let now = contacts(&lab);
        assert_eq!(now.len(), 3, "{now:?}");
        assert!(now[0].contains("10.17.0.21:40018") && now[1].contains("10.17.0.21:40019"));
        assert!(now[2].contains("10.17.0.9"), "the phone that is there stays: {now:?}");
        assert_eq!(replaced(&lab), 18, "each is told");
        lab.clear();
        lab.end();
    }
}

#[test]
fn one_with_a_new_port_each_start_takes_the_place_of_what_was_longest_not_refreshed() {
    for (local, mut lab) in labs() {
        let ports = [5001, 5002, 5003];
        let ask = |lab: &mut Lab, port: u16| {
            let at = lab.inside(&format!("10.17.0.21:{port}"));
            let ua = phone(local, at);
            assert_eq!(register(lab, local, &ua, &format!("<sip:101@10.17.0.21:{port}>")), 200);
        };
        ports.iter().for_each(|port| ask(&mut lab, *port));
        lab.advance(s(60));
        ask(&mut lab, 5001);
        assert_eq!(replaced(&lab), 0, "{local}: a refresh takes nobody's place");
        ask(&mut lab, 5004);
        let ports: Vec<bool> = [5001, 5003, 5004]
            .iter()
            .zip(contacts(&lab))
            .map(|(port, contact)| contact.contains(&port.to_string()))
            .collect();
        assert_eq!(ports, [true; 3], "{local}: {:?}", contacts(&lab));
        assert_eq!((lab.stats().now.registrations, replaced(&lab)), (3, 1));
        lab.clear();
        lab.end();
    }
}

/// RFC 5626 §4.1: an instance id names the phone, whatever address it has today.
#[test]
fn of_one_phone_the_newest_counts_also_after_a_restart() {
    for (local, mut lab) in labs() {
        let ask = |lab: &mut Lab, host: u8, port: u16, instance: &str| {
            let at = lab.inside(&format!("10.17.0.{host}:{port}"));
            let ua = phone(local, at);
            let contact =
                format!("<sip:101@10.17.0.{host}:{port}>;+sip.instance=\"<urn:uuid:{instance}>\"");
            assert_eq!(register(lab, local, &ua, &contact), 200, "{local} {host} {port}");
        };
        ask(&mut lab, 7, 5060, "00000000-0000-1000-8000-000000000007");
        for port in 5001..=5009 {
            ask(&mut lab, 8, port, "00000000-0000-1000-8000-000000000008");
            if port == 5005 {
                lab.restart();
            }
        }
        let now = contacts(&lab);
        assert!(now[0].contains("10.17.0.7"), "the other phone stays: {now:?}");
        assert!(now[1].contains(":5008") && now[2].contains(":5009"), "{now:?}");
        lab.clear();
        lab.end();
    }
}

#[test]
fn what_one_register_names_is_not_put_out_by_it_and_more_than_the_cap_is_refused() {
    for (local, mut lab) in labs() {
        let at = lab.inside("10.17.0.21:5060");
        let ua = phone(local, at);
        let named = |ports: &[u16]| {
            let all: Vec<String> =
                ports.iter().map(|port| format!("<sip:101@10.17.0.21:{port}>")).collect();
            all.join(", ")
        };
        assert_eq!(register(&mut lab, local, &ua, &named(&[1, 2, 3])), 200, "{local}");
        assert_eq!(register(&mut lab, local, &ua, &named(&[1, 4, 5])), 200, "{local}");
        assert_eq!(contacts(&lab).len(), 3);
        assert!(contacts(&lab)[0].contains(":1"), "{:?}", contacts(&lab));
        assert_eq!(register(&mut lab, local, &ua, &named(&[6, 7, 8, 9])), 480, "{local}");
        assert_eq!((contacts(&lab).len(), replaced(&lab)), (3, 2), "nothing changed");
        lab.clear();
        lab.end();
    }
}

#[test]
fn a_user_pushes_out_his_own_registrations_alone() {
    for (local, mut lab) in labs() {
        let at = lab.inside("10.17.0.33:5060");
        let mut other = phone(local, at);
        "102".clone_into(&mut other.user);
        assert_eq!(register(&mut lab, local, &other, "<sip:102@10.17.0.33:5060>"), 200);
        for port in 5001..=5009 {
            let at = lab.inside(&format!("10.17.0.33:{port}"));
            let ua = phone(local, at);
            register(&mut lab, local, &ua, &format!("<sip:101@10.17.0.33:{port}>"));
        }
        let theirs = contacts(&lab).iter().filter(|c| c.contains("102@")).count();
        assert_eq!((theirs, contacts(&lab).len()), (1, 4), "{local}");
        lab.clear();
        lab.end();
    }
}

#[test]
fn what_the_registrar_refuses_puts_nobody_out() {
    let mut lab = Lab::edge_with(|c| c.limits.bindings_per_user = 1);
    let desk = lab.phone("101", "10.17.0.9:5060");
    lab.register(&desk, 600);
    let thief = lab.phone("101", "10.17.0.66:5060");
    let text = thief.request_to(&mut lab, "REGISTER", &format!("sip:{}", thief.domain));
    lab.send(thief.at, text.set("To", format!("<{}>", thief.aor())));
    let pbx = lab.pbx();
    let got = lab.expect(pbx, "REGISTER");
    lab.send(pbx, answer(&got, 403, "r"));
    lab.expect(thief.at, "403");
    assert!(contacts(&lab)[0].contains("10.17.0.9"), "{:?}", contacts(&lab));
    assert_eq!((contacts(&lab).len(), replaced(&lab)), (1, 0));
    lab.end();
}
