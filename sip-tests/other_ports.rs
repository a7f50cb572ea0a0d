//! A registered phone that speaks by another port or connection than it registered by. In front of
//! a PBX that authenticates, its address and the user in From suffice; where we are the registrar,
//! nothing but a digest does.

use crate::lab::script::answer;
use crate::lab::{Lab, Msg, Ua, s, site};
use portreeve::audit::Record;
use portreeve::engine::digest::Users;

fn strict() -> Lab {
    let text = site::EDGE.replace("default = \"allow\"", "default = \"site\"");
    Lab::with(site::parse(&text), Users::None)
}

fn told(lab: &mut Lab, ua: &Ua) -> Vec<u16> {
    lab.take(ua.at).iter().map(Msg::status).collect()
}

/// Calls 200 and is answered with 486: it was let through.
#[track_caller]
fn gets_through(lab: &mut Lab, ua: &Ua) {
    let a = lab.call(ua, "200", 4000);
    lab.expect(ua.at, "100");
    let pbx = lab.pbx();
    let rung = lab.expect(pbx, "INVITE");
    lab.send(pbx, answer(&rung, 486, "b"));
    lab.expect(pbx, "ACK");
    let busy = lab.expect(ua.at, "486");
    let ack = a.ack_refusal(&busy);
    lab.send(ua.at, ack);
}

#[test]
fn another_port_of_a_registered_phone_calls() {
    let mut lab = strict();
    let phone = lab.phone("101", "10.17.0.21:5060");
    lab.register(&phone, 600);
    let other = lab.phone("101", "10.17.0.21:49152");
    gets_through(&mut lab, &other);
    for method in ["MESSAGE", "OPTIONS", "SUBSCRIBE"] {
        let request = other.request(&mut lab, method, "200");
        lab.send(other.at, request);
        let pbx = lab.pbx();
        let got = lab.expect(pbx, method);
        lab.send(pbx, answer(&got, 404, "n"));
        lab.expect(other.at, "404");
    }
    lab.end();
}

#[test]
fn so_does_a_connection_of_its_own_and_the_call_lives_by_it() {
    let mut lab = strict();
    let phone = lab.phone("101", "10.17.0.21:5060");
    lab.register(&phone, 600);
    let other = Ua::new(lab.inside_tcp("10.17.0.21:50001"), "101");
    let pbx = lab.far("200");
    let (mut a, mut b) = lab.establish(&other, &pbx);
    let info = b.request(&mut lab, "INFO");
    lab.send(pbx.at, info);
    let got = lab.expect(other.at, "INFO");
    lab.send(other.at, answer(&got, 200, ""));
    lab.expect(pbx.at, "200");
    lab.hang_up(&mut a, &b);
    let user = |r: &Record| match r {
        Record::CallAttempt { from, .. } => Some(from.clone()),
        _ => None,
    };
    assert_eq!(lab.records.iter().filter_map(user).collect::<Vec<_>>(), ["101"]);
    lab.end();
}

#[test]
fn calls_by_it_count_against_the_user() {
    let text = site::EDGE.replace("default = \"allow\"", "default = \"site\"");
    let mut lab =
        Lab::with(site::parse(&format!("{text}[limits]\ncalls_per_user = 1\n")), Users::None);
    let phone = lab.phone("101", "10.17.0.21:5060");
    let pbx = lab.far("200");
    lab.register(&phone, 600);
    lab.establish(&phone, &pbx);
    let other = lab.phone("101", "10.17.0.21:49152");
    lab.call(&other, "200", 4000);
    lab.expect(other.at, "486");
    lab.end();
}

#[test]
fn several_users_behind_one_address_are_each_themselves() {
    let mut lab = strict();
    for (user, at) in [("101", "10.17.0.21:5060"), ("102", "10.17.0.21:5062")] {
        let phone = lab.phone(user, at);
        lab.register(&phone, 600);
        let other = lab.phone(user, "10.17.0.21:49152");
        gets_through(&mut lab, &other);
    }
    let from = |r: &Record| match r {
        Record::CallAttempt { from, .. } => Some(from.clone()),
        _ => None,
    };
    assert_eq!(lab.records.iter().filter_map(from).collect::<Vec<_>>(), ["101", "102"]);
    let third = lab.phone("103", "10.17.0.21:49152");
    lab.call(&third, "200", 4000);
    assert_eq!(told(&mut lab, &third), [403], "a neighbour who is not registered");
    lab.end();
}

#[test]
fn an_address_alone_suffices_not_nor_does_a_name_nor_a_binding_that_is_over() {
    let mut lab = strict();
    let phone = lab.phone("101", "10.17.0.21:5060");
    lab.register(&phone, 600);
    for (user, at) in [("102", "10.17.0.21:49152"), ("101", "10.17.0.22:5060")] {
        let other = lab.phone(user, at);
        lab.call(&other, "200", 4000);
        assert_eq!(told(&mut lab, &other), [403], "{user} at {at}");
    }
    lab.advance(s(601));
    let late = lab.phone("101", "10.17.0.21:49152");
    lab.call(&late, "200", 4000);
    assert_eq!(told(&mut lab, &late), [403]);
    lab.end();
}

#[test]
fn a_pbx_that_is_down_vouches_for_nobody() {
    let mut lab = strict();
    lab.reload(|c| c.upstreams[0].probe = Some(s(30)));
    let phone = lab.phone("101", "10.17.0.21:5060");
    lab.register(&phone, 3600);
    let other = lab.phone("101", "10.17.0.21:49152");
    gets_through(&mut lab, &other);
    lab.advance(s(100));
    lab.clear();
    lab.call(&other, "200", 4000);
    assert_eq!(told(&mut lab, &other), [403]);
    lab.call(&phone, "200", 4000);
    assert_eq!(told(&mut lab, &phone), [100], "the flow it registered by is proof enough");
    lab.clear();
    lab.reload(|c| c.upstreams[0].probe = None);
    lab.clear();
    lab.end();
}

#[test]
fn where_we_are_the_registrar_another_port_proves_itself() {
    let mut lab = Lab::site();
    lab.local_phone("101", "10.17.0.21:5060");
    lab.local_phone("102", "10.17.0.22:5060");
    let mut other = lab.phone("101", "10.17.0.21:49152");
    site::GATE_INSIDE.clone_into(&mut other.domain);
    lab.call(&other, "102", 4000);
    assert_eq!(told(&mut lab, &other), [407]);
    lab.end();
}
