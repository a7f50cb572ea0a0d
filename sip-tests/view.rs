//! What an operator sees of calls and registrations: what is there, as far as it is known.

use crate::lab::{Lab, Leg, ms, s};
use portreeve::audit::Finding;
use portreeve::engine::{Belongs, CallDetail, CallState, Entry, Input, StoredNumbers};
use portreeve::ground::{CallDirection, CallNo, Side};
use portreeve::relay::quality::{Figures, Rating};
use portreeve::relay::{Event, Leg as Party};

fn detail(lab: &Lab) -> CallDetail {
    let (rows, left_off) = lab.engine.calls(lab.now);
    assert_eq!((rows.len(), left_off), (1, 0));
    lab.engine.call(rows[0].view.call, lab.now).expect("what is listed can be shown")
}

fn up(lab: &mut Lab) -> (Leg, Leg) {
    let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
    lab.establish(&phone, &pbx)
}

#[test]
fn a_call_is_seen_from_its_first_ring_to_its_end() {
    let mut lab = Lab::edge();
    let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
    let mut a = lab.call(&phone, "200", 4000);
    lab.expect(phone.at, "100");
    let invite = lab.expect(pbx.at, "INVITE");
    lab.advance(ms(300));
    lab.send(pbx.at, pbx.answer(&invite, 180, "t"));
    lab.expect(phone.at, "180");
    let c = detail(&lab);
    assert_eq!(
        (c.row.view.state, c.row.view.direction),
        (CallState::Early, CallDirection::Outbound)
    );
    assert_eq!((c.row.age_ms, c.row.duration_ms, c.setup_ms), (300, None, None));
    assert_eq!(c.ring_ms, Some(300));
    assert_eq!((c.caller.side, c.caller.address), (Side::Inside, phone.at.addr()));
    lab.advance(s(2));
    lab.send(pbx.at, pbx.answer(&invite, 200, "t").sdp(pbx.sdp(6000)));
    let ok = lab.expect(phone.at, "200");
    a.learn(&ok);
    let ack = a.ack(&mut lab);
    lab.send(phone.at, ack);
    lab.expect(pbx.at, "ACK");
    lab.advance(s(65));
    let c = detail(&lab);
    assert_eq!((c.row.view.from.as_str(), c.row.view.to.as_str()), ("101", "200"));
    assert_eq!((c.row.view.state, c.row.duration_ms), (CallState::Confirmed, Some(65_000)));
    assert_eq!((c.setup_ms, c.call_id.as_str()), (Some(2_300), a.call_id.as_str()));
    assert_eq!(c.callees.len(), 1);
    assert_eq!(c.callees[0].address, pbx.at.addr());
    assert_eq!(c.callees[0].upstream.as_deref(), Some("pbx"));
    assert_eq!(c.callees[0].call_id, invite.call_id());
    let b = Leg::called(&pbx, &invite, "t");
    lab.hang_up(&mut a, &b);
    assert_eq!(lab.engine.calls(lab.now), (Vec::new(), 0));
    assert_eq!(lab.engine.call(c.row.view.call, lab.now), None);
    lab.end();
}

#[test]
fn media_are_shown_with_their_ports_and_never_as_good_before_they_are_measured() {
    let mut lab = Lab::edge();
    let (mut a, b) = up(&mut lab);
    let (id, stream) = lab.relay.only();
    let c = detail(&lab);
    assert_eq!(c.streams.len(), 1);
    assert_eq!(c.streams[0].media, "audio");
    for (leg, seen) in
        [(Party::Caller, &c.streams[0].caller), (Party::Callee, &c.streams[0].callee)]
    {
        assert_eq!(seen.port, stream.legs[leg.index()].port);
        assert_eq!(seen.party, stream.party(leg).rtp);
        assert_eq!((seen.packets, &seen.total, &seen.window), (None, &None, &None));
    }
    lab.advance(s(10));
    let rating = Ok(Rating { r_milli: 80_000, mos_milli: 4_000, delay: None });
    let window = Figures { received: 495, expected: 500, lost: 5, rating, ..Figures::default() };
    let total = Figures { mismatched: 11, mismatched_type: Some(9), ..window };
    let figures = Box::new([window, total]);
    lab.input(Input::Relay(Event::Measured { stream: id, leg: Party::Callee, figures }));
    let c = detail(&lab);
    let seen = &c.streams[0].callee;
    let (total, window) = (seen.total.clone().unwrap(), seen.window.clone().unwrap());
    assert_eq!((seen.packets, total.lost, total.mismatched), (Some(495), 5, 11));
    assert_eq!(
        (window.r, window.mos, window.no_round_trip),
        (Some(80.0), Some(4.0), Some("no_rtcp"))
    );
    assert_eq!(c.streams[0].caller.total, None);
    assert_eq!(c.findings, [Finding::CodecMismatch]);
    lab.hang_up(&mut a, &b);
    lab.end();
}

#[test]
fn whoever_looks_at_a_call_sees_its_media_as_of_now_and_counts_nothing() {
    let mut lab = Lab::edge();
    let (mut a, b) = up(&mut lab);
    let no = detail(&lab).row.view.call;
    let rating = Ok(Rating { r_milli: 80_000, mos_milli: 4_000, delay: None });
    let so_far = Figures { received: 77, expected: 80, lost: 3, rating, ..Figures::default() };
    lab.relay.figures = [so_far, Figures::default()];
    lab.input(Input::Measure(no));
    let c = detail(&lab);
    let (caller, callee) = (&c.streams[0].caller, &c.streams[0].callee);
    assert_eq!((caller.packets, caller.total.as_ref().unwrap().mos), (Some(77), Some(4.0)));
    assert_eq!(callee.total.as_ref().unwrap().unmeasured, Some("no_packets"));
    assert_eq!(caller.window, None, "no window is over");
    assert_eq!((lab.stats().lost, lab.stats().unmeasured), ([0; 2], [[0; 4]; 2]));
    lab.input(Input::Measure(CallNo(no.0 + 1)));
    lab.hang_up(&mut a, &b);
    lab.end();
}

#[test]
fn hanging_up_ends_one_call_and_no_other() {
    let mut lab = Lab::edge();
    up(&mut lab);
    let first = detail(&lab).row.view.call;
    let (phone, pbx) = (lab.phone("102", "10.17.0.22:5060"), lab.far("201"));
    let (mut a, b) = lab.establish(&phone, &pbx);
    lab.input(Input::HangUp(first));
    assert_eq!(lab.ends(), [("answered", 200, "admin")]);
    assert_eq!(detail(&lab).row.view.from, "102");
    assert_eq!(lab.take_all().len(), 2, "BYE to both sides of the first");
    lab.input(Input::HangUp(first));
    lab.hang_up(&mut a, &b);
    lab.end();
}

#[test]
fn bindings_are_told_while_they_last() {
    let mut lab = Lab::edge();
    for (user, at) in [("102", "10.17.0.22:5060"), ("101", "10.17.0.21:5060")] {
        let phone = lab.phone(user, at);
        lab.register(&phone, if user == "101" { 60 } else { 600 });
    }
    lab.advance(s(10));
    let told = |lab: &Lab| {
        let mut all = lab.engine.bindings(lab.now);
        all.sort_by_key(|b| b.aor.to_string());
        all
    };
    let rows = told(&lab);
    let now = lab.now.wall.seconds();
    let seen: Vec<_> = rows.iter().map(|b| (b.aor.to_string(), b.expires - now)).collect();
    let want = [("101@pbx.example.com", 50), ("102@pbx.example.com", 590)];
    assert_eq!(seen, want.map(|(aor, s)| (aor.to_owned(), s)));
    assert_eq!(rows[0].upstream, "pbx");
    assert_eq!(rows[0].peer, "10.17.0.21:5060".parse().unwrap());
    lab.advance(s(51));
    assert_eq!(told(&lab).len(), 1);
    lab.end();
}

#[test]
fn whoever_traces_calls_hears_which_call_ids_and_streams_are_of_which() {
    let mut lab = Lab::edge();
    let (mut a, b) = up(&mut lab);
    let no = detail(&lab).row.view.call;
    let leg = |side, call_id: &str| Belongs::Leg { call: no, side, call_id: call_id.to_owned() };
    let (stream, _) = lab.relay.only();
    let want = [
        leg(Side::Inside, &a.call_id),
        leg(Side::Outside, &b.call_id),
        Belongs::Stream { call: no, stream },
    ];
    for what in &want {
        assert!(lab.belongs.contains(what), "{what:?} in {:?}", lab.belongs);
    }
    lab.hang_up(&mut a, &b);
    assert_eq!(lab.belongs.len(), want.len(), "and nothing else: {:?}", lab.belongs);
    lab.end();
}

#[test]
fn where_nothing_is_traced_no_leg_is_told_of() {
    let mut lab = Lab::edge();
    lab.reload(|c| c.limits.trace = 0);
    let (mut a, b) = up(&mut lab);
    let legs = lab.belongs.iter().filter(|what| matches!(what, Belongs::Leg { .. }));
    assert_eq!(legs.count(), 0);
    lab.hang_up(&mut a, &b);
    lab.end();
}

#[test]
fn the_record_of_an_end_knows_its_parties_and_which_way_it_went() {
    let mut lab = Lab::edge();
    let (mut a, b) = up(&mut lab);
    let c = detail(&lab);
    lab.hang_up(&mut a, &b);
    let ends = lab.records.iter().filter_map(|r| match r {
        portreeve::audit::Record::CallEnd(end) => Some(end),
        _ => None,
    });
    let ends: Vec<_> = ends.collect();
    assert_eq!(ends.len(), 1);
    assert_eq!((ends[0].direction, ends[0].parties.len()), (CallDirection::Outbound, 2));
    assert_eq!(ends[0].parties[0], c.caller);
    assert_eq!(ends[0].parties[1], c.callees[0]);
    lab.end();
}

#[test]
fn numbers_of_calls_go_on_where_they_were_before_a_restart() {
    let mut lab = Lab::edge();
    lab.input(Input::Restore(vec![Entry::Numbers(StoredNumbers { calls: 41 })]));
    let (mut a, b) = up(&mut lab);
    assert_eq!(detail(&lab).row.view.call, CallNo(42));
    lab.hang_up(&mut a, &b);
    lab.end();
}
