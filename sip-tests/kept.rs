//! A request within a dialog whose upstream refuses connections, or is gone from there, is kept as
//! long as a datagram would be sent again, and goes out by the first connection that there is.

use crate::lab::script::answer;
use crate::lab::{Lab, Leg, Msg, Party, s, site};
use crate::lost_flows::streams;
use portreeve::engine::Input;
use portreeve::engine::digest::Users;
use portreeve::ground::{ConnId, Flow};
use std::time::Duration;

/// What went outside by a stream.
fn outside(lab: &mut Lab) -> (Vec<Msg>, Vec<Msg>) {
    let all = lab.take_all();
    let out = |m: &Msg| lab.is_outside(m.flow.listener) && m.flow.transport.is_reliable();
    all.into_iter().partition(out)
}

/// For so long every connection there is refused; what phones were told meanwhile.
fn refuse(lab: &mut Lab, seconds: u64) -> Vec<Msg> {
    let mut told = Vec::new();
    for _ in 0..seconds * 4 {
        loop {
            let (out, near) = outside(lab);
            told.extend(near);
            if out.is_empty() {
                break;
            }
            for m in out {
                lab.input(Input::TransportFailed(Flow { conn: None, ..m.flow }));
            }
        }
        lab.advance(Duration::from_millis(250));
    }
    told
}

/// A call by a stream to the PBX, answered; the phone's leg.
fn in_call(lab: &mut Lab) -> Leg {
    let phone = lab.phone("101", "10.17.0.21:5060");
    let invite = phone.request(lab, "INVITE", "200").sdp(phone.sdp(4000));
    lab.send(phone.at, invite.clone());
    let (out, _) = outside(lab);
    let rung = out.into_iter().find(|m| m.method() == "INVITE").expect("an INVITE");
    let at = Party { flow: Flow { conn: Some(ConnId(900)), ..rung.flow } };
    let pbx = crate::lab::Ua { at, ..lab.far("200") };
    let transport = at.flow.transport.to_string().to_lowercase();
    let own = format!("<sip:200@{};transport={transport}>", at.flow.peer);
    lab.send(at, pbx.answer(&rung, 200, "p").set("Contact", own).sdp(pbx.sdp(6000)));
    let mut near = Leg::calling(&phone, &invite);
    let ok = lab.take(phone.at).into_iter().find(|m| m.status() == 200).expect("200");
    near.learn(&ok);
    let ack = near.ack(lab);
    lab.send(phone.at, ack);
    lab.clear();
    near
}

/// From the next request there on, the PBX is back: the first BYE, if one comes within 8 s.
fn serves(lab: &mut Lab) -> Option<Msg> {
    for _ in 0..32 {
        let (out, _) = outside(lab);
        for m in out {
            let at = Party { flow: Flow { conn: Some(ConnId(901)), ..m.flow } };
            lab.send(at, answer(&m, 200, "b"));
            if m.method() == "BYE" {
                return Some(m);
            }
        }
        lab.advance(Duration::from_millis(250));
    }
    None
}

#[test]
fn who_hangs_up_while_the_upstream_refuses_has_hung_up_when_it_is_back() {
    for upstream in ["sips:203.0.113.10", "sip:203.0.113.10:5060;transport=tcp"] {
        for survives in [false, true] {
            let mut lab = if survives { surviving(upstream) } else { streams(upstream) };
            let mut near = in_call(&mut lab);
            lab.input(Input::ConnectionClosed(ConnId(900)));
            let bye = near.request(&mut lab, "BYE");
            lab.send(near.ua.at, bye);
            let told = refuse(&mut lab, 8);
            let finals = told.iter().filter(|m| m.status() >= 200);
            let codes: Vec<u16> = finals.map(Msg::status).collect();
            assert!(codes.iter().all(|code| *code == 200), "{upstream} {survives}: {codes:?}");
            assert!(!survives || codes == [200], "alone, it is said here: {codes:?}");
            assert!(serves(&mut lab).is_some(), "{upstream} {survives}");
            lab.advance(s(40));
            lab.clear();
            lab.end();
        }
    }
}

#[test]
fn what_the_upstream_never_takes_ends_with_its_time() {
    let mut lab = streams("sip:203.0.113.10:5060;transport=tcp");
    let mut near = in_call(&mut lab);
    let info = near.request(&mut lab, "INFO");
    lab.send(near.ua.at, info);
    let told = refuse(&mut lab, 34);
    assert_eq!(told.iter().map(Msg::status).collect::<Vec<_>>(), [408]);
    lab.clear();
}

/// The same site, where phones call each other without the upstream.
fn surviving(upstream: &str) -> Lab {
    let text = site::EDGE
        .replace("address = \"203.0.113.10:5060\"", &format!("address = \"{upstream}\""))
        .replace("auth = \"off\"", "auth = \"network\"")
        .replace(
            "listen = [\"udp:5060\", \"tcp:5060\"]",
            "listen = [\"udp:5060\", \"tcp:5060\", \"tls:5061\"]\ntls = \"self-signed\"",
        );
    Lab::with(site::parse(&text), Users::None)
}
