//! No packet of ours comes back to us: no party can name the relay's own ports, but for the other
//! pass of a true spiral, which is known by what we sealed in it. (`lab::check` looks for circles
//! after every step of every script.)

use crate::forking::{proxied, returned};
use crate::lab::script::{Text, answer, sdp_with};
use crate::lab::{Lab, Leg, Msg, Party, Ua, Version, sdp, site};
use portreeve::engine::Input;
use portreeve::relay::{Expect, Leg as Side};

fn parties(lab: &Lab) -> (Ua, Ua) {
    (lab.phone("101", "10.17.0.21:5060"), lab.far("200"))
}

/// Our own ports of the only stream: towards the caller, towards the callee.
fn own(lab: &Lab) -> [(String, u16); 2] {
    let (_, stream) = lab.relay.only();
    stream.legs.map(|l| (l.bind.to_string(), l.port))
}

/// Sends an offer; it is 488 and nobody else hears of it.
#[track_caller]
fn is_refused(lab: &mut Lab, from: &mut Leg, method: &str, body: &str) {
    let before: Vec<_> = lab.relay.open.values().map(|s| s.legs).collect();
    let request = from.request(lab, method).sdp(body);
    lab.send(from.ua.at, request);
    let mut told = lab.take(from.ua.at);
    let no = told.pop().expect("an answer");
    assert_eq!(no.status(), 488, "{body}\n{no}");
    if method == "INVITE" {
        lab.send(from.ua.at, from.ack_refusal(&no));
    }
    lab.nothing_left();
    let after: Vec<_> = lab.relay.open.values().map(|s| s.legs).collect();
    assert_eq!(before, after, "the media stay as they were");
}

#[test]
fn neither_party_names_a_port_of_its_own_call() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (phone, pbx) = parties(&lab);
        let (mut a, mut b) = lab.establish(&phone, &pbx);
        for (ip, port) in own(&lab) {
            for method in ["INVITE", "UPDATE", "PRACK"] {
                for p in [port, port + 1] {
                    is_refused(&mut lab, &mut a, method, &sdp(&ip, p));
                    is_refused(&mut lab, &mut b, method, &sdp(&ip, p));
                }
            }
        }
        // A port that is not lent yet, but may be next.
        is_refused(&mut lab, &mut a, "INVITE", &sdp(site::GATE_INSIDE, 20_998));
        lab.hang_up(&mut a, &b);
        lab.end();
    }
}

#[test]
fn rtcp_never_goes_to_a_port_of_ours() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (phone, pbx) = parties(&lab);
        let (mut a, b) = lab.establish(&phone, &pbx);
        for (ip, port) in own(&lab) {
            for p in [port, port + 1] {
                let offer = sdp_with("10.17.0.21", 4000, &format!("a=rtcp:{p} IN IP4 {ip}\r\n"));
                let invite = a.request(&mut lab, "INVITE").sdp(offer);
                lab.send(phone.at, invite);
                lab.expect(phone.at, "100");
                let got = lab.expect(pbx.at, "INVITE");
                lab.send(pbx.at, pbx.answer(&got, 200, "").sdp(pbx.sdp(6000)));
                lab.expect(phone.at, "200");
                let ack = a.ack(&mut lab);
                lab.send(phone.at, ack);
                lab.expect(pbx.at, "ACK");
                let (_, stream) = lab.relay.only();
                let party = stream.party(Side::Caller);
                assert_eq!(party.rtcp, None, "{ip}:{p}");
                assert_eq!(party.rtp, version.at("10.17.0.21:4000").parse().ok());
            }
        }
        lab.hang_up(&mut a, &b);
        lab.end();
    }
}

#[test]
fn an_answer_that_names_ports_of_ours_makes_no_call() {
    for version in Version::ALL {
        for early in [true, false] {
            let mut lab = Lab::of(version, site::EDGE, |_| {});
            let (phone, pbx) = parties(&lab);
            let a = lab.call(&phone, "200", 4000);
            lab.expect(phone.at, "100");
            let invite = lab.expect(pbx.at, "INVITE");
            let (ip, port) = own(&lab)[1].clone();
            let status = if early { 183 } else { 200 };
            lab.send(pbx.at, pbx.answer(&invite, status, "b").sdp(sdp(&ip, port)));
            let named = |s: &crate::lab::relay::Stream| s.party(Side::Callee).rtp;
            assert!(lab.relay.open.values().all(|s| named(s).is_none()));
            if early {
                let ringing = lab.expect(phone.at, "183");
                assert_eq!(ringing.body, "");
                lab.send(pbx.at, answer(&invite, 486, "b"));
                lab.expect(pbx.at, "ACK");
                let no = lab.expect(phone.at, "486");
                lab.send(phone.at, a.ack_refusal(&no));
            } else {
                lab.expect(pbx.at, "ACK");
                let bye = lab.expect(pbx.at, "BYE");
                lab.send(pbx.at, answer(&bye, 200, ""));
                let no = lab.expect(phone.at, "488");
                lab.send(phone.at, a.ack_refusal(&no));
            }
            lab.end();
        }
    }
}

#[test]
fn an_ack_that_names_ports_of_ours_ends_the_call() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (phone, pbx) = parties(&lab);
        let mut a = lab.call(&phone, "200", 0);
        lab.expect(phone.at, "100");
        let invite = lab.expect(pbx.at, "INVITE");
        lab.send(pbx.at, pbx.answer(&invite, 200, "b").sdp(pbx.sdp(6000)));
        a.learn(&lab.expect(phone.at, "200"));
        let (ip, port) = own(&lab)[0].clone();
        let ack = a.ack(&mut lab).sdp(sdp(&ip, port));
        lab.send(phone.at, ack);
        lab.expect(pbx.at, "ACK");
        for party in [pbx.at, phone.at] {
            let bye = lab.expect(party, "BYE");
            lab.send(party, answer(&bye, 200, ""));
        }
        assert!(lab.relay.open.is_empty());
        lab.end();
    }
}

/// A call under a Call-ID of the caller's choice.
fn call_as(lab: &mut Lab, phone: &Ua, pbx: &Ua, call_id: &str) -> (Leg, Leg) {
    let invite = phone.request(lab, "INVITE", &pbx.user).set("Call-ID", call_id);
    let invite = invite.sdp(phone.sdp(4000));
    lab.send(phone.at, invite.clone());
    let mut a = Leg::calling(phone, &invite);
    lab.expect(phone.at, "100");
    let got = lab.expect(pbx.at, "INVITE");
    let n = lab.fresh();
    let b = Leg::called(pbx, &got, &format!("t{n}"));
    lab.send(pbx.at, pbx.answer(&got, 200, &format!("t{n}")).sdp(pbx.sdp(6000)));
    a.learn(&lab.expect(phone.at, "200"));
    let ack = a.ack(lab);
    lab.send(phone.at, ack);
    lab.expect(pbx.at, "ACK");
    (a, b)
}

#[test]
fn two_calls_of_one_call_id_are_no_spiral() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (one, pbx) = parties(&lab);
        let two = lab.phone("102", "10.17.0.22:5060");
        let (mut a, mut x) = call_as(&mut lab, &one, &pbx, "shared");
        let (mut b, mut y) = call_as(&mut lab, &two, &pbx, "shared");
        let legs: Vec<_> = lab.relay.open.values().map(|s| s.legs).collect();
        for (first, second) in legs[0].into_iter().zip(legs[1]) {
            let at = |l: portreeve::relay::LegConfig| sdp(&l.bind.to_string(), l.port);
            is_refused(&mut lab, &mut a, "INVITE", &at(second));
            is_refused(&mut lab, &mut b, "INVITE", &at(first));
            is_refused(&mut lab, &mut x, "UPDATE", &at(second));
            is_refused(&mut lab, &mut y, "INVITE", &at(first));
        }
        lab.hang_up(&mut a, &x);
        lab.hang_up(&mut b, &y);
        lab.end();
    }
}

/// The two passes of a call from 101 to 102 by way of the PBX.
pub(crate) struct Spiral {
    pub(crate) pbx: Party,
    pub(crate) out: Msg,
    pub(crate) rung: Msg,
    pub(crate) alice: Leg,
    pub(crate) bob: Leg,
}

pub(crate) fn spiral(lab: &mut Lab, change: impl FnOnce(Text) -> Text) -> Option<Spiral> {
    let (alice, bob) = (lab.phone("101", "10.17.0.21:5060"), lab.phone("102", "10.17.0.22:5060"));
    lab.register(&alice, 600);
    let sealed = lab.register(&bob, 600);
    let pbx = lab.pbx();
    let mut a = lab.call(&alice, "102", 4000);
    lab.expect(alice.at, "100");
    let out = lab.expect(pbx, "INVITE");
    lab.send(pbx, change(proxied(&out, &sealed, "z9hG4bKpbx1")));
    lab.expect(pbx, "100");
    let rung = lab.next(bob.at)?;
    let b = Leg::called(&bob, &rung, "bob");
    lab.send(bob.at, bob.answer(&rung, 200, "bob").sdp(bob.sdp(4100)));
    let ok = lab.expect(pbx, "200");
    lab.send(pbx, returned(&ok));
    let ok = lab.expect(alice.at, "200");
    a.learn(&ok);
    let ack = a.ack(lab);
    lab.send(alice.at, ack);
    through(lab, "ACK", bob.at);
    lab.nothing_left();
    Some(Spiral { pbx, out, rung, alice: a, bob: b })
}

/// A request comes out, and goes in again by the PBX.
#[track_caller]
fn through(lab: &mut Lab, method: &str, to: Party) -> Msg {
    let pbx = lab.pbx();
    let out = lab.expect(pbx, method);
    let n = lab.fresh();
    let target = out.uri().to_owned();
    lab.send(pbx, proxied(&out, &target, &format!("z9hG4bKp{n}")));
    if method == "INVITE" {
        lab.expect(pbx, "100");
    }
    lab.expect(to, method)
}

/// Its answer, the same way back.
#[track_caller]
fn back(lab: &mut Lab, from: Party, text: Text, to: Party) -> Msg {
    let pbx = lab.pbx();
    lab.send(from, text);
    let out = lab.next(pbx).expect("an answer");
    lab.send(pbx, returned(&out));
    lab.next(to).expect("the answer")
}

/// Each leg outside sends to the other pass, and takes packets from there alone.
#[track_caller]
fn meets(lab: &Lab) {
    assert_eq!(lab.relay.open.len(), 2);
    let all: Vec<_> = lab.relay.open.values().copied().collect();
    let (first, second) = (all[0], all[1]);
    let at = |leg: portreeve::relay::LegConfig| Some((leg.bind, leg.port).into());
    assert_eq!(first.party(Side::Callee).rtp, at(second.legs[0]), "{all:?}");
    assert_eq!(second.party(Side::Caller).rtp, at(first.legs[1]), "{all:?}");
    assert_eq!(first.party(Side::Callee).expect, Expect::Exact);
    assert_eq!(second.party(Side::Caller).expect, Expect::Exact);
}

#[test]
fn a_true_spiral_is_joined_and_stays_so() {
    for version in Version::ALL {
        for learn in [portreeve::config::Learn::Strict, portreeve::config::Learn::SameIp] {
            let mut lab = Lab::of(version, site::EDGE, |c| c.interfaces[1].learn = learn);
            let mut s = spiral(&mut lab, |t| t).expect("it is joined");
            meets(&lab);
            // Either phone holds, and resumes.
            for round in 0..2 {
                let (from, to) = if round == 0 {
                    (&mut s.alice, s.bob.ua.clone())
                } else {
                    (&mut s.bob, s.alice.ua.clone())
                };
                for direction in ["a=sendonly\r\n", ""] {
                    let (port, ip) = (4000 + 100 * round, from.ua.ip().to_string());
                    let offer = sdp_with(&ip, port, direction);
                    let invite = from.request(&mut lab, "INVITE").sdp(offer);
                    lab.send(from.ua.at, invite);
                    lab.expect(from.ua.at, "100");
                    let got = through(&mut lab, "INVITE", to.at);
                    let reply = to.answer(&got, 200, "").sdp(to.sdp(4100 - 100 * round));
                    back(&mut lab, to.at, reply, from.ua.at);
                    let ack = from.ack(&mut lab);
                    lab.send(from.ua.at, ack);
                    through(&mut lab, "ACK", to.at);
                }
            }
            meets(&lab);
            let bye = s.bob.request(&mut lab, "BYE");
            lab.send(s.bob.ua.at, bye);
            let bye = through(&mut lab, "BYE", s.alice.ua.at);
            back(&mut lab, s.alice.ua.at, answer(&bye, 200, ""), s.bob.ua.at);
            assert!(lab.relay.open.is_empty());
            lab.end();
        }
    }
}

#[test]
fn a_spiral_is_joined_after_a_restart_too() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        lab.input(Input::KeepCalls(true));
        let mut s = spiral(&mut lab, |t| t).expect("it is joined");
        lab.restart();
        lab.input(Input::KeepCalls(true));
        meets(&lab);
        let invite = s.bob.request(&mut lab, "INVITE").sdp(s.bob.ua.sdp(4100));
        lab.send(s.bob.ua.at, invite);
        lab.expect(s.bob.ua.at, "100");
        let got = through(&mut lab, "INVITE", s.alice.ua.at);
        let reply = s.alice.ua.answer(&got, 200, "").sdp(s.alice.ua.sdp(4000));
        assert_eq!(back(&mut lab, s.alice.ua.at, reply, s.bob.ua.at).status(), 200);
        meets(&lab);
        lab.clear();
        lab.end();
    }
}

#[test]
fn a_call_that_came_back_without_what_we_sealed_is_no_spiral() {
    for version in Version::ALL {
        // The PBX keeps the Call-ID and names the first pass's port, but nothing shows that it got it
        // from us: no Record-Route of ours, a Contact of its own.
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let bare = |t: Text| {
            let t = t.without("Record-Route").without("Contact");
            t.with("Contact", "<sip:200@203.0.113.10>")
        };
        assert!(spiral(&mut lab, bare).is_none(), "it was joined");
        let pbx = lab.pbx();
        lab.clear();
        assert_eq!(lab.relay.open.len(), 1, "the second pass got no ports");
        lab.send(pbx, "");
        lab.input(Input::HangUpAll);
        lab.clear();
        lab.end();
    }
}

#[test]
fn what_another_call_was_given_joins_nothing() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (other, pbx) = (lab.phone("103", "10.17.0.23:5060"), lab.far("200"));
        let (mut c, d) = lab.establish(&other, &pbx);
        let route = d.routes[0].clone();
        let (mine, target) = (route.clone(), d.target.clone());
        let swapped = move |t: Text| {
            let t = t.without("Record-Route").with("Record-Route", mine);
            t.set("Contact", format!("<{target}>"))
        };
        assert!(spiral(&mut lab, swapped).is_none(), "it was joined");
        lab.clear();
        assert_eq!(lab.relay.open.len(), 2, "the call before, and the first pass");
        lab.hang_up(&mut c, &d);
        lab.input(Input::HangUpAll);
        lab.clear();
        lab.end();
    }
}

#[test]
fn a_pass_names_only_the_leg_that_it_meets() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let mut s = spiral(&mut lab, |t| t).expect("it is joined");
        let all: Vec<_> = lab.relay.open.values().map(|x| x.legs).collect();
        let at = |l: portreeve::relay::LegConfig| sdp(&l.bind.to_string(), l.port);
        // The phones: neither pass's ports, on neither side.
        for leg in all.iter().flatten() {
            is_refused(&mut lab, &mut s.alice, "INVITE", &at(*leg));
            is_refused(&mut lab, &mut s.bob, "INVITE", &at(*leg));
        }
        // The PBX: of the first pass's dialog only the second's outside port, and the other way round.
        let pbx = Ua::new(s.pbx, "200");
        let mut far = Leg::called(&pbx, &s.out, "bob");
        far.remote = s.out.header("From").to_owned();
        for leg in [all[0][0], all[0][1], all[1][1]] {
            is_refused(&mut lab, &mut far, "INVITE", &at(leg));
        }
        assert!(s.rung.has("Record-Route"));
        lab.input(Input::HangUpAll);
        lab.clear();
        lab.end();
    }
}

#[test]
fn a_phone_on_our_own_host_names_no_port_of_the_relay() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (neighbour, pbx) = (lab.phone("101", "10.17.0.1:5090"), lab.far("200"));
        let mut a = lab.call(&neighbour, "200", 4000);
        lab.expect(neighbour.at, "100");
        let got = lab.expect(pbx.at, "INVITE");
        let b = Leg::called(&pbx, &got, "b");
        lab.send(pbx.at, pbx.answer(&got, 200, "b").sdp(pbx.sdp(6000)));
        a.learn(&lab.expect(neighbour.at, "200"));
        let ack = a.ack(&mut lab);
        lab.send(neighbour.at, ack);
        lab.expect(pbx.at, "ACK");
        let (_, stream) = lab.relay.only();
        let party = stream.party(Side::Caller);
        assert_eq!(party.rtp, version.at("10.17.0.1:4000").parse().ok(), "it has ports of its own");
        let ours = lab.config.media.ports;
        let host = version.ip("10.17.0.1").parse().expect("an address");
        assert_eq!(party.expect, Expect::Neighbour { host, ours }, "and none of ours is learned");
        // Its own call's ports, ports that may be lent next, and the same behind an address that is
        // replaced by its source.
        for port in [stream.legs[0].port, stream.legs[0].port + 1, 20_998] {
            is_refused(&mut lab, &mut a, "INVITE", &sdp("10.17.0.1", port));
            is_refused(&mut lab, &mut a, "INVITE", &sdp("192.168.9.9", port));
        }
        lab.hang_up(&mut a, &b);
        lab.end();
    }
}

#[test]
fn a_hold_of_a_phone_on_our_own_host_learns_none_of_our_ports() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (neighbour, pbx) = (lab.phone("101", "10.17.0.1:5090"), lab.far("200"));
        let invite = neighbour.request(&mut lab, "INVITE", "200").sdp(sdp("0.0.0.0", 4000));
        lab.send(neighbour.at, invite);
        lab.expect(neighbour.at, "100");
        lab.expect(pbx.at, "INVITE");
        let (_, stream) = lab.relay.only();
        let party = stream.party(Side::Caller);
        assert_eq!(party.rtp, None);
        assert!(matches!(party.expect, Expect::Neighbour { .. }), "{party:?}");
        lab.end();
    }
}

#[test]
fn a_call_that_a_proxy_inside_sends_back_out_is_a_spiral_too() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (switch, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
        let sealed = lab.register(&switch, 600);
        let invite = pbx.request_to(&mut lab, "INVITE", &sealed).sdp(pbx.sdp(6000));
        lab.send(pbx.at, invite.clone());
        let mut a = Leg::calling(&pbx, &invite);
        lab.expect(pbx.at, "100");
        let came = lab.expect(switch.at, "INVITE");
        // The proxy inside forwards it, to a number outside.
        let mut on = proxied(&came, "sip:300@pbx.example.com", "z9hG4bKin");
        for (name, value) in &mut on.rows {
            if matches!(name.as_str(), "Via" | "Record-Route") {
                *value = value.replace("203.0.113.10", "10.17.0.21");
            }
        }
        lab.send(switch.at, on);
        lab.expect(switch.at, "100");
        let left = lab.expect(pbx.at, "INVITE");
        assert_eq!(left.media_address(), site::GATE_OUTSIDE);
        lab.send(pbx.at, pbx.answer(&left, 200, "b").sdp(pbx.sdp(6002)));
        let ok = lab.expect(switch.at, "200");
        lab.send(switch.at, returned(&ok));
        a.learn(&lab.expect(pbx.at, "200"));
        assert_eq!(lab.relay.open.len(), 2);
        let all: Vec<_> = lab.relay.open.values().copied().collect();
        let at = |leg: portreeve::relay::LegConfig| Some((leg.bind, leg.port).into());
        assert_eq!(all[0].party(Side::Callee).rtp, at(all[1].legs[0]), "{all:?}");
        assert_eq!(all[1].party(Side::Caller).rtp, at(all[0].legs[1]), "{all:?}");
        assert_eq!(all[1].party(Side::Caller).expect, Expect::Exact, "nothing is learned");
        lab.clear();
        lab.end();
    }
}
