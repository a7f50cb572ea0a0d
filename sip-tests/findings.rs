//! What is found wrong with calls, and what is measured of them: in metric, record and log alike.

use crate::lab::script::sdp_with;
use crate::lab::{Lab, Leg, Ua, ms, s, sdp, site};
use portreeve::audit::Record;
use portreeve::config::Interface;
use portreeve::engine::Health;
use portreeve::engine::digest::Users;
use portreeve::engine::{Finding, Input, Observation, TunnelPath};
use portreeve::ground::Side;
use portreeve::ground::{Bearer, CallDirection};
use portreeve::relay::quality::{Figures, Rating, Unmeasured};
use portreeve::relay::{Event, Leg as Party, StreamId};

fn parties(lab: &Lab) -> (Ua, Ua) {
    (lab.phone("101", "10.17.0.21:5060"), lab.far("200"))
}

/// A call that is up, without registration.
fn up(lab: &mut Lab) -> (Leg, Leg) {
    let (phone, pbx) = parties(lab);
    lab.establish(&phone, &pbx)
}

/// Packets of a good stream.
fn good(received: u64) -> Figures {
    let rating = Rating { r_milli: 93_200, mos_milli: 4_409, delay: None };
    Figures { received, expected: received, rating: Ok(rating), ..Figures::default() }
}

/// The relay reports a window of a leg.
fn measure(lab: &mut Lab, leg: Party, window: Figures, total: Figures) {
    let (stream, _) = lab.relay.only();
    let figures = Box::new([window, total]);
    lab.input(Input::Relay(Event::Measured { stream, leg, figures }));
}

/// Ten seconds in which each leg received this many packets.
fn window(lab: &mut Lab, totals: &mut [u64; 2], received: [u64; 2]) {
    lab.advance(s(10));
    for (leg, n) in [Party::Caller, Party::Callee].into_iter().zip(received) {
        totals[leg.index()] += n;
        let of = |n: u64| if n == 0 { Figures::default() } else { good(n) };
        measure(lab, leg, of(n), of(totals[leg.index()]));
    }
}

/// What the records found so far, with the evidence.
fn found(lab: &Lab) -> Vec<(&'static str, String)> {
    let one = |r: &Record| match r {
        Record::Finding { finding, evidence, .. } => Some((finding.as_str(), evidence.clone())),
        _ => None,
    };
    lab.records.iter().filter_map(one).collect()
}

/// Exactly one finding; metric, record and log say the same.
#[track_caller]
fn only(lab: &Lab, finding: Finding, evidence: &str) {
    let all = found(lab);
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!(all[0].0, finding.as_str());
    assert!(all[0].1.contains(evidence), "{} lacks {evidence}", all[0].1);
    let mut want = [0; Finding::ALL.len()];
    want[finding as usize] = 1;
    assert_eq!(lab.stats().findings, want);
    let told = lab.notices.iter().filter(|(_, text)| text.contains(finding.as_str()));
    assert_eq!(told.count(), 1);
}

fn end(lab: &Lab) -> portreeve::audit::CallEnd {
    let end = lab.records.iter().rev().find_map(|r| match r {
        Record::CallEnd(end) => Some(end.clone()),
        _ => None,
    });
    end.expect("a call has ended")
}

#[test]
fn a_good_call_has_no_finding_and_its_category() {
    let mut lab = Lab::edge();
    let (mut a, b) = up(&mut lab);
    let mut totals = [0; 2];
    for _ in 0..6 {
        window(&mut lab, &mut totals, [500, 500]);
    }
    lab.relay.figures = [good(3000), good(3000)];
    lab.relay.counters.legs.iter_mut().for_each(|l| l.packets[0] = 3000);
    lab.hang_up(&mut a, &b);
    assert_eq!(found(&lab), []);
    assert_eq!(lab.stats().quality, [1, 0, 0, 0, 0, 0, 0]);
    let end = end(&lab);
    assert_eq!(end.findings, []);
    let quality = end.media[0].caller.quality.as_ref().expect("measured");
    assert_eq!((quality.r, quality.mos, quality.unmeasured), (Some(93.2), Some(4.409), None));
    assert_eq!((quality.round_trip_ms, quality.no_round_trip), (None, Some("no_rtcp")));
    lab.end();
}

#[test]
fn a_call_that_was_not_measured_is_not_called_good() {
    let mut lab = Lab::edge();
    let (mut a, b) = up(&mut lab);
    lab.advance(s(2));
    lab.relay.figures = [good(100), Figures { rating: Err(Unmeasured::TooFew), ..good(3) }];
    lab.hang_up(&mut a, &b);
    assert_eq!(lab.stats().quality, [0, 0, 0, 0, 0, 0, 1]);
    let end = end(&lab);
    let quality = end.media[0].callee.quality.as_ref().expect("counted");
    assert_eq!((quality.r, quality.mos, quality.unmeasured), (None, None, Some("too_few")));
    lab.end();
}

#[test]
fn one_way_audio_is_told_while_the_call_lasts_and_once() {
    let mut lab = Lab::edge();
    let (mut a, b) = up(&mut lab);
    let mut totals = [0; 2];
    for _ in 0..5 {
        window(&mut lab, &mut totals, [500, 0]);
    }
    only(&lab, Finding::OneWayAudio, "no RTP from the callee (outside) in 10 s");
    lab.relay.counters.legs[0].packets[0] = 2500;
    lab.hang_up(&mut a, &b);
    only(&lab, Finding::OneWayAudio, "500 packets the other way");
    assert_eq!(end(&lab).findings, [Finding::OneWayAudio]);
    lab.end();
}

#[test]
fn a_short_call_without_audio_from_one_side_is_judged_at_its_end() {
    let mut lab = Lab::edge();
    let (mut a, b) = up(&mut lab);
    lab.advance(s(6));
    lab.relay.counters.legs[1].packets[0] = 300;
    lab.hang_up(&mut a, &b);
    only(&lab, Finding::OneWayAudio, "no RTP from the caller (inside) in 6 s");
    assert_eq!(end(&lab).findings, [Finding::OneWayAudio]);
    lab.end();
}

#[test]
fn no_audio_at_all_is_its_own_finding_and_a_misdial_is_none() {
    for (seconds, want) in [(6, 1), (3, 0)] {
        let mut lab = Lab::edge();
        let (mut a, b) = up(&mut lab);
        lab.advance(s(seconds));
        lab.hang_up(&mut a, &b);
        assert_eq!(found(&lab).len(), want, "{seconds} s");
        if want == 1 {
            only(&lab, Finding::NoAudio, "no RTP from either party in 6 s");
        }
        lab.end();
    }
}

/// A tunnel as its driver sees it: so many packets sent and lost, connections and moves.
fn tunnel(lab: &mut Lab, bearer: Option<Bearer>, sent: (u64, u64), connections: u64, moves: u64) {
    let path = TunnelPath {
        interface: 1,
        bearer,
        trip: Some(ms(36)),
        jitter: None,
        sent: Some(sent),
        received: None,
        connections,
        moves,
        is_moving: false,
    };
    lab.input(Input::Tunnel(path));
}

#[test]
fn a_call_says_what_its_tunnel_did_and_audio_that_is_missing_whether_it_was_that() {
    let quic = Some(Bearer::Quic);
    for (bearer, sent, connections, moves, blame) in [
        (quic, (2_000, 12), 3, 0, ""),
        (quic, (2_000, 212), 3, 0, "; the tunnel wan loses 20 % of what we send"),
        (quic, (2_000, 12), 5, 1, "; the tunnel wan was made anew during the call, 1 times"),
        (Some(Bearer::Tcp), (2_000, 12), 4, 1, ""),
        (None, (2_000, 12), 3, 0, "; the tunnel wan is down"),
    ] {
        let mut lab = Lab::edge();
        tunnel(&mut lab, quic, (1_000, 12), 3, 0);
        let (mut a, b) = up(&mut lab);
        lab.advance(s(6));
        tunnel(&mut lab, bearer, sent, connections, moves);
        lab.hang_up(&mut a, &b);
        only(
            &lab,
            Finding::NoAudio,
            &format!("no RTP from either party in 6 s since the answer{blame}"),
        );
        let [segment] = &end(&lab).segments[..] else { panic!("one tunnel") };
        assert_eq!((segment.tunnel.as_str(), segment.leg), ("wan", Party::Callee));
        assert_eq!(segment.sent, Some([1_000, sent.1 - 12]));
        assert_eq!((segment.received, segment.round_trip_ms), (None, Some(36)));
        assert_eq!((segment.bearer, segment.moves), (bearer, moves));
        lab.end();
    }
    let mut lab = Lab::edge();
    let (mut a, b) = up(&mut lab);
    lab.hang_up(&mut a, &b);
    assert!(end(&lab).segments.is_empty(), "no tunnel, no segment");
}

/// The phone puts the call on hold.
fn hold(lab: &mut Lab, a: &mut Leg) {
    let (phone, pbx) = parties(lab);
    let hold = sdp_with("10.17.0.21", 4000, "a=sendonly\r\n");
    let invite = a.request(lab, "INVITE").sdp(hold);
    lab.send(phone.at, invite);
    lab.expect(phone.at, "100");
    let got = lab.expect(pbx.at, "INVITE");
    let held = sdp_with("203.0.113.10", 6000, "a=recvonly\r\n");
    lab.send(pbx.at, pbx.answer(&got, 200, "").sdp(held));
    lab.expect(phone.at, "200");
    let ack = a.ack(lab);
    lab.send(phone.at, ack);
    lab.expect(pbx.at, "ACK");
}

#[test]
fn a_held_call_is_silent_for_a_reason() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let (mut a, b) = lab.establish(&phone, &pbx);
    hold(&mut lab, &mut a);
    let mut totals = [0; 2];
    for _ in 0..6 {
        window(&mut lab, &mut totals, [500, 0]);
    }
    lab.relay.counters.legs[0].packets[0] = 3000;
    lab.hang_up(&mut a, &b);
    assert_eq!(found(&lab), []);
    lab.end();
}

#[test]
fn a_party_that_falls_silent_is_named() {
    let mut lab = Lab::edge();
    let (mut a, b) = up(&mut lab);
    let mut totals = [0; 2];
    window(&mut lab, &mut totals, [500, 500]);
    window(&mut lab, &mut totals, [500, 0]);
    assert_eq!(found(&lab), []);
    window(&mut lab, &mut totals, [500, 0]);
    only(&lab, Finding::FarEndSilent, "RTP from the callee (outside) stopped 20 s ago");
    lab.hang_up(&mut a, &b);
    lab.end();
}

#[test]
fn audio_that_begins_late_is_told_with_the_time() {
    for (after, want) in [(1900, 0), (3400, 1)] {
        let mut lab = Lab::edge();
        let (mut a, b) = up(&mut lab);
        lab.advance(ms(after));
        let (stream, _) = lab.relay.only();
        let first = Event::FirstPacket { stream, leg: Party::Callee };
        lab.input(Input::Relay(first));
        assert_eq!(found(&lab).len(), want, "{after} ms");
        if want == 1 {
            let evidence = "the callee (outside) came 3.4 s after the answer";
            only(&lab, Finding::LateAudio, evidence);
        }
        lab.hang_up(&mut a, &b);
        lab.end();
    }
}

#[test]
fn a_codec_that_was_not_agreed_is_named() {
    let mut lab = Lab::edge();
    let (mut a, b) = up(&mut lab);
    lab.advance(s(10));
    let wrong = Figures { mismatched: 9, mismatched_type: Some(18), ..good(500) };
    measure(&mut lab, Party::Caller, wrong, wrong);
    assert_eq!(found(&lab), []);
    let wrong = Figures { mismatched: 500, ..wrong };
    measure(&mut lab, Party::Caller, wrong, wrong);
    let evidence = "500 packets from the caller (inside) hold payload type 18";
    only(&lab, Finding::CodecMismatch, evidence);
    lab.hang_up(&mut a, &b);
    lab.end();
}

#[test]
fn a_source_on_another_port_names_the_setting() {
    let mut lab = Lab::edge();
    let (mut a, b) = up(&mut lab);
    let (stream, _) = lab.relay.only();
    let at = |text: &str| Some(text.parse().expect("an address"));
    let stranger = |from| Event::Stranger {
        stream,
        leg: Party::Callee,
        from,
        expected: at("203.0.113.10:6000"),
        count: 50,
    };
    lab.input(Input::Relay(stranger(at("198.51.100.9:6000"))));
    assert_eq!(found(&lab), [], "another host is an attack, not a phone");
    lab.input(Input::Relay(stranger(at("203.0.113.10:6044"))));
    only(&lab, Finding::SourcePort, "learn = \"same-ip\"");
    assert_eq!(lab.stats().security[6], 100);
    lab.hang_up(&mut a, &b);
    lab.end();
}

#[test]
fn a_call_ended_by_silence_says_so() {
    let mut lab = Lab::edge();
    up(&mut lab);
    lab.relay.silent = true;
    lab.advance(s(4000));
    let all = found(&lab);
    assert!(all.iter().any(|(f, e)| *f == "media_timeout" && e.contains("media.idle")), "{all:?}");
    lab.clear();
}

#[test]
fn a_missing_ack_is_told_after_half_a_minute() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let invite = phone.request_to(&mut lab, "INVITE", "sip:200@pbx.example.com");
    let invite = invite.sdp(phone.sdp(4000));
    lab.send(phone.at, invite);
    lab.expect(phone.at, "100");
    let got = lab.expect(pbx.at, "INVITE");
    lab.send(pbx.at, pbx.answer(&got, 200, "b").sdp(pbx.sdp(6000)));
    lab.advance(s(33));
    only(&lab, Finding::AckMissing, "the caller at 10.17.0.21:5060 never sent an ACK");
    lab.clear();
}

#[test]
fn a_call_that_ends_without_an_ack_is_told_of_at_its_end() {
    for (after, told) in [(5, true), (3, false)] {
        let mut lab = Lab::edge();
        let (phone, pbx) = parties(&lab);
        let invite = phone.request_to(&mut lab, "INVITE", "sip:200@pbx.example.com");
        lab.send(phone.at, invite.sdp(phone.sdp(4000)));
        let got = lab.expect(pbx.at, "INVITE");
        let mut b = Leg::called(&pbx, &got, "b");
        lab.send(pbx.at, pbx.answer(&got, 200, "b").sdp(pbx.sdp(6000)));
        lab.advance(s(after));
        lab.take(phone.at);
        let bye = b.request(&mut lab, "BYE");
        lab.send(pbx.at, bye);
        let got = lab.expect_at(phone.at, "BYE");
        lab.send(phone.at, phone.answer(&got, 200, ""));
        assert_eq!(lab.engine.active_calls(), 0);
        let all = found(&lab);
        assert_eq!(all.iter().any(|(name, _)| *name == "ack_missing"), told, "{all:?}");
        lab.clear();
    }
}

#[test]
fn an_ack_in_time_is_no_finding() {
    let mut lab = Lab::edge();
    let (mut a, b) = up(&mut lab);
    lab.advance(s(40));
    assert_eq!(found(&lab), []);
    lab.hang_up(&mut a, &b);
    lab.end();
}

#[test]
fn a_private_address_from_outside_is_told_even_when_it_is_refused() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let sealed = lab.register(&phone, 600);
    let invite = pbx.request_to(&mut lab, "INVITE", &sealed).sdp(sdp("192.168.1.20", 6000));
    lab.send(pbx.at, invite);
    only(&lab, Finding::PrivateAddress, "names 192.168.1.20");
    lab.clear();
}

#[test]
fn who_stands_beside_us_or_beside_the_upstream_is_no_finding() {
    let text = site::EDGE.replace("203.0.113.", "10.98.0.");
    for (ip, is_strange) in [("10.98.0.23", false), ("10.98.1.23", true)] {
        let mut lab = Lab::with(site::parse(&text), Users::None);
        lab.pbx = "10.98.0.10:5060".to_owned();
        let (phone, pbx) = parties(&lab);
        let sealed = lab.register(&phone, 600);
        let invite = pbx.request_to(&mut lab, "INVITE", &sealed).sdp(sdp(ip, 6000));
        lab.send(pbx.at, invite);
        let told = found(&lab).iter().any(|(name, _)| *name == "private_address");
        assert_eq!(told, is_strange, "{ip}");
        lab.clear();
    }
}

#[test]
fn our_own_private_address_that_comes_back_is_no_finding() {
    let ours = "192.168.9.1";
    let outside = |i: &&mut Interface| i.side == Side::Outside;
    let mut lab = Lab::edge_with(|c| {
        site::advertise(c.interfaces.iter_mut().find(outside).unwrap(), ours);
    });
    let (phone, pbx) = parties(&lab);
    let sealed = lab.register(&phone, 600);
    let invite = pbx.request_to(&mut lab, "INVITE", &sealed).sdp(sdp(ours, 6000));
    lab.send(pbx.at, invite);
    assert_eq!(found(&lab), []);
    lab.clear();
}

#[test]
fn delays_and_durations_are_observed() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let invite = phone.request_to(&mut lab, "INVITE", "sip:200@pbx.example.com");
    let invite = invite.sdp(phone.sdp(4000));
    let mut a = Leg::calling(&phone, &invite);
    lab.send(phone.at, invite);
    lab.expect(phone.at, "100");
    let got = lab.expect(pbx.at, "INVITE");
    lab.advance(ms(400));
    lab.send(pbx.at, pbx.answer(&got, 180, "b"));
    lab.expect(phone.at, "180");
    lab.advance(s(4));
    lab.send(pbx.at, pbx.answer(&got, 200, "b").sdp(pbx.sdp(6000)));
    let ok = lab.expect(phone.at, "200");
    a.learn(&ok);
    let ack = a.ack(&mut lab);
    lab.send(phone.at, ack);
    lab.expect(pbx.at, "ACK");
    lab.advance(s(61));
    let bye = a.request(&mut lab, "BYE");
    lab.send(phone.at, bye);
    let bye = lab.expect(pbx.at, "BYE");
    lab.advance(ms(80));
    lab.send(pbx.at, pbx.answer(&bye, 200, ""));
    lab.expect(phone.at, "200");
    let want = [
        Observation::PostDialDelay { direction: CallDirection::Outbound, delay: ms(400) },
        Observation::DisconnectDelay(ms(80)),
        Observation::CallDuration { direction: CallDirection::Outbound, duration: ms(61_080) },
    ];
    assert_eq!(lab.observed, want);
    lab.end();
}

#[test]
fn windows_are_observed_by_the_side_they_came_from() {
    let mut lab = Lab::edge();
    let (mut a, b) = up(&mut lab);
    lab.observed.clear();
    let lossy = Figures { lost: 7, expected: 507, ..good(500) };
    measure(&mut lab, Party::Callee, lossy, lossy);
    let none = Figures::default();
    measure(&mut lab, Party::Caller, none, none);
    let of = |side, figures| Observation::Media { side, window: Box::new(figures) };
    assert_eq!(lab.observed, [of(Side::Outside, lossy), of(Side::Inside, none)]);
    let stats = lab.stats();
    assert_eq!((stats.lost, stats.unmeasured), ([0, 7], [[1, 0, 0, 0], [0; 4]]));
    lab.hang_up(&mut a, &b);
    lab.end();
}

#[test]
fn losses_are_counted_once_and_to_the_last_packet() {
    let mut lab = Lab::edge();
    let (mut a, b) = up(&mut lab);
    let lossy = |lost| Figures { lost, expected: 500 + lost, ..good(500) };
    measure(&mut lab, Party::Callee, lossy(7), lossy(7));
    // One that was missing came late; then two are lost after the last window: 8 in all.
    measure(&mut lab, Party::Callee, lossy(0), lossy(6));
    lab.relay.figures = [good(100), lossy(8)];
    lab.hang_up(&mut a, &b);
    assert_eq!(lab.stats().lost, [0, 8], "7, none, and 1 that only the end tells of");
    lab.end();
}

#[test]
fn silence_is_expected_before_the_answer_and_on_hold() {
    let mut lab = Lab::edge();
    let (mut a, _) = up(&mut lab);
    hold(&mut lab, &mut a);
    lab.observed.clear();
    let none = Figures::default();
    measure(&mut lab, Party::Callee, none, good(500));
    assert_eq!((lab.observed.len(), lab.stats().unmeasured), (0, [[0; 4]; 2]));
    measure(&mut lab, Party::Caller, good(500), good(1000));
    assert_eq!(lab.observed.len(), 1, "music on hold is measured");
}

#[test]
fn the_relay_is_told_what_payload_types_mean() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let (mut a, b) = lab.establish(&phone, &pbx);
    let told: Vec<(StreamId, Party, usize)> = lab
        .relay
        .log
        .iter()
        .filter_map(|c| match c {
            portreeve::relay::Command::Codecs { stream, leg, codecs } => {
                assert!(codecs.speech && !codecs.encrypted);
                Some((*stream, *leg, codecs.formats.len()))
            }
            _ => None,
        })
        .collect();
    let (id, _) = lab.relay.only();
    // What the callee sends is what the caller offered; the answer says the other way.
    assert_eq!(told.first().map(|t| (t.0, t.1)), Some((id, Party::Callee)));
    assert!(told.iter().any(|t| (t.0, t.1) == (id, Party::Caller)), "{told:?}");
    assert!(told.iter().all(|t| t.2 > 0), "{told:?}");
    lab.hang_up(&mut a, &b);
    lab.end();
}

mod probes {
    use super::*;

    fn probed() -> Lab {
        Lab::edge_with(|c| c.upstreams[0].probe = Some(s(30)))
    }

    #[test]
    fn an_upstream_that_answers_is_up_unless_it_says_that_it_serves_nobody() {
        for (status, health) in [
            (200, Health::Up),
            (404, Health::Up),
            (405, Health::Up),
            (501, Health::Up),
            // Whoever says so serves nobody.
            (503, Health::Down),
        ] {
            let mut lab = probed();
            assert_eq!(lab.upstream("pbx").health, Health::Unknown, "nothing is known yet");
            lab.advance(s(1));
            let pbx = lab.pbx();
            let probe = lab.expect(pbx, "OPTIONS");
            assert_eq!(probe.uri(), "sip:pbx.example.com");
            lab.send(pbx, lab.far("200").answer(&probe, status, "p"));
            assert_eq!(lab.upstream("pbx").health, health, "{status}");
            lab.advance(s(30));
            lab.expect(pbx, "OPTIONS");
            lab.clear();
        }
    }

    #[test]
    fn an_upstream_that_is_silent_is_down_and_told_once() {
        let mut lab = probed();
        lab.advance(s(122));
        let state = lab.upstream("pbx");
        assert_eq!((state.health, state.why.is_empty()), (Health::Down, false));
        assert!(state.probes[1] >= 2 && state.probes[0] == 0, "{state:?}");
        let told = |lab: &Lab, what: &str| {
            lab.notices.iter().filter(|(_, text)| text.contains(what)).count()
        };
        assert_eq!(told(&lab, "does not answer OPTIONS"), 1);
        let pbx = lab.pbx();
        let probe = lab.take(pbx).pop().expect("a probe");
        lab.send(pbx, lab.far("200").answer(&probe, 200, "p"));
        assert_eq!(lab.upstream("pbx").health, Health::Up);
        assert_eq!(told(&lab, "answers again"), 1);
        lab.clear();
    }
}
