//! A stream's meter in virtual time, through its front door.

use super::*;
use crate::relay::flow::Lane;
use crate::relay::quality::{Format, NoRoundTrip, Unmeasured};
use proptest::prelude::*;

const A: (Leg, Lane) = (Leg::Caller, Lane::Rtp);
const B: (Leg, Lane) = (Leg::Callee, Lane::Rtp);
const A_RTCP: (Leg, Lane) = (Leg::Caller, Lane::Rtcp);
const B_RTCP: (Leg, Lane) = (Leg::Callee, Lane::Rtcp);

fn at(ms: u64) -> Mono {
    Mono(Duration::from_millis(ms))
}

fn rtp(payload_type: u8, sequence: u16, timestamp: u32, ssrc: u32) -> Vec<u8> {
    let mut p = vec![0x80, payload_type];
    p.extend(sequence.to_be_bytes());
    p.extend(timestamp.to_be_bytes());
    p.extend(ssrc.to_be_bytes());
    p.extend([0xd5; 160]);
    p
}

fn codecs(formats: &[(u8, &str, u32)]) -> Codecs {
    let format = |(payload_type, name, clock_rate): &(u8, &str, u32)| Format {
        payload_type: *payload_type,
        name: (*name).to_owned(),
        clock_rate: *clock_rate,
    };
    Codecs { formats: formats.iter().map(format).collect(), encrypted: false, speech: true }
}

fn pcma() -> Codecs {
    codecs(&[(8, "PCMA", 8000), (101, "telephone-event", 8000), (13, "CN", 8000)])
}

fn meter() -> Meter {
    let mut m = Meter::default();
    m.set_codecs(Leg::Caller, &pcma());
    m.set_codecs(Leg::Callee, &pcma());
    m
}

fn take(m: &mut Meter, (leg, lane): (Leg, Lane), packet: &[u8], now: Mono) {
    if let Some(content) = Content::read(lane, packet) {
        m.take(leg, &content, now);
    }
}

/// `n` packets of 20 ms from `first`, without those that `lost` names.
fn talk(m: &mut Meter, place: (Leg, Lane), first: u16, n: u16, lost: impl Fn(u16) -> bool) {
    for i in (0..n).filter(|i| !lost(*i)) {
        let packet = rtp(8, first.wrapping_add(i), 160 * u32::from(i), 7);
        take(m, place, &packet, at(u64::from(i) * 20));
    }
}

fn total(m: &Meter, leg: Leg, ms: u64) -> Figures {
    m.figures([0; 2], at(ms))[leg.index()][1]
}

#[test]
fn clean_speech_is_counted_and_rated_best() {
    let mut m = meter();
    talk(&mut m, A, 65_400, 500, |_| false);
    let f = total(&m, Leg::Caller, 10_000);
    assert_eq!((f.received, f.expected, f.lost, f.duplicated, f.reordered), (500, 500, 0, 0, 0));
    assert_eq!((f.jitter_us, f.jitter_max_us, f.codec), (Some(0), Some(0), Some("PCMA")));
    assert!((93_190..=93_210).contains(&f.rating.unwrap().r_milli));
    assert_eq!(f.rating.unwrap().delay, None, "no round trip is known, none is assumed");
    assert_eq!(f.round_trip_us, Err(NoRoundTrip::NoRtcp));
    assert_eq!(total(&m, Leg::Callee, 10_000).rating, Err(Unmeasured::NoPackets));
}

#[test]
fn loss_lowers_the_rating_and_is_counted_exactly() {
    let mut m = meter();
    talk(&mut m, A, 1, 1000, |i| i % 50 == 25);
    let f = total(&m, Leg::Caller, 20_000);
    assert_eq!((f.received, f.expected, f.lost), (980, 1000, 20));
    assert_eq!((f.bursts.count, f.bursts.gap_density_milli), (0, 20));
    let r = f.rating.unwrap().r();
    assert!((r - (93.2 - 7.01)).abs() < 0.05, "{r}");
}

#[test]
fn events_and_comfort_noise_count_but_keep_no_time() {
    let mut m = meter();
    talk(&mut m, A, 0, 100, |_| false);
    // An event: its packets hold the time at which it began; then noise; then speech goes on.
    for i in 0..10_u16 {
        take(&mut m, A, &rtp(101, 100 + i, 16_000, 7), at(2000 + u64::from(i) * 20));
    }
    take(&mut m, A, &rtp(13, 110, 17_600, 7), at(2200));
    for i in 0..100_u16 {
        let ticks = 17_760 + 160 * u32::from(i);
        take(&mut m, A, &rtp(8, 111 + i, ticks, 7), at(2220 + u64::from(i) * 20));
    }
    let f = total(&m, Leg::Caller, 5000);
    assert_eq!((f.expected, f.lost, f.mismatched), (211, 0, 0));
    assert_eq!((f.jitter_us, f.jitter_max_us, f.codec), (Some(0), Some(0), Some("PCMA")));
}

#[test]
fn a_type_that_the_receiver_does_not_take_is_a_mismatch() {
    let mut m = meter();
    talk(&mut m, A, 0, 60, |_| false);
    for i in 60..80 {
        take(&mut m, A, &rtp(18, i, 160 * u32::from(i), 7), at(u64::from(i) * 20));
    }
    let f = total(&m, Leg::Caller, 5000);
    assert_eq!((f.mismatched, f.mismatched_type), (20, Some(18)));
}

#[test]
fn what_cannot_be_known_says_why() {
    let mut m = Meter::default();
    talk(&mut m, A, 0, 100, |_| false);
    let f = total(&m, Leg::Caller, 2000);
    assert_eq!((f.rating, f.jitter_us), (Err(Unmeasured::UnknownCodec), None), "no SDP yet");
    assert_eq!(f.mismatched, 0);

    m.set_codecs(Leg::Caller, &codecs(&[(8, "opus", 48_000)]));
    talk(&mut m, A, 100, 100, |_| false);
    let f = total(&m, Leg::Caller, 2000);
    assert_eq!((f.rating, f.codec), (Err(Unmeasured::UnknownCodec), None));
    assert!(f.jitter_us.is_some());

    let mut m = meter();
    talk(&mut m, A, 0, 49, |_| false);
    assert_eq!(total(&m, Leg::Caller, 2000).rating, Err(Unmeasured::TooFew));

    let mut m = Meter::default();
    m.set_codecs(Leg::Caller, &Codecs { speech: false, ..codecs(&[(8, "H264", 90_000)]) });
    talk(&mut m, A, 0, 100, |_| false);
    assert_eq!(total(&m, Leg::Caller, 2000).rating, Err(Unmeasured::NotSpeech));

    let mut m = meter();
    m.set_codecs(Leg::Callee, &Codecs { encrypted: true, ..pcma() });
    take(&mut m, A_RTCP, &sender_report(1), at(0));
    assert_eq!(total(&m, Leg::Caller, 2000).round_trip_us, Err(NoRoundTrip::Encrypted));
}

#[test]
fn another_source_is_a_change_and_loses_nothing() {
    let mut m = meter();
    talk(&mut m, A, 0, 100, |i| i == 50);
    for i in 0..100_u16 {
        take(
            &mut m,
            A,
            &rtp(8, 40_000 + i, 5 + 160 * u32::from(i), 9),
            at(2000 + u64::from(i) * 20),
        );
    }
    // A late one of the first source, and a third source.
    take(&mut m, A, &rtp(8, 50, 8000, 7), at(4000));
    for i in 0..100_u16 {
        take(&mut m, A, &rtp(8, 9 + i, 160 * u32::from(i), 11), at(4020 + u64::from(i) * 20));
    }
    let f = total(&m, Leg::Caller, 7000);
    assert_eq!((f.ssrc_changes, f.expected, f.lost, f.reordered), (2, 300, 0, 1));
    assert_eq!(f.jitter_us, Some(0));
}

#[test]
fn the_highest_jitter_is_that_of_whichever_source_had_it() {
    // The source that was uneven is the one before, the first of three, or the one that speaks.
    for uneven in 0..3_u16 {
        let mut m = meter();
        for source in 0..3_u16 {
            for i in 0..100_u16 {
                let late = if source == uneven && i < 50 { u64::from(i % 2) * 10 } else { 0 };
                let when = u64::from(source * 100 + i) * 20 + late;
                take(&mut m, A, &rtp(8, i, 160 * u32::from(i), 7 + u32::from(source)), at(when));
            }
        }
        let highest = total(&m, Leg::Caller, 7000).jitter_max_us.unwrap();
        assert!((9000..10_000).contains(&highest), "source {uneven}: {highest}");
    }
}

#[test]
fn a_sender_that_begins_anew_has_lost_nothing() {
    let mut m = meter();
    talk(&mut m, A, 0, 100, |_| false);
    for i in 0..100_u16 {
        take(&mut m, A, &rtp(8, 30_000 + i, 160 * u32::from(i), 7), at(2000 + u64::from(i) * 20));
    }
    let f = total(&m, Leg::Caller, 5000);
    assert_eq!((f.received, f.expected, f.lost, f.ssrc_changes), (200, 200, 0, 0));
}

#[test]
fn windows_are_ten_seconds_and_add_up() {
    let mut m = meter();
    assert_eq!(m.window([0; 2], at(60_000)), None, "nothing was received");
    talk(&mut m, B, 0, 500, |i| i == 7);
    assert_eq!(m.window([0; 2], at(9999)), None);
    let [caller, [window, all]] = m.window([3, 4], at(10_000)).unwrap();
    assert_eq!(caller[0].rating, Err(Unmeasured::NoPackets));
    assert_eq!((window.expected, window.lost, window.out_of_source), (500, 1, 4));
    assert_eq!(window.lost, all.lost);
    for i in 500..1000_u16 {
        take(&mut m, B, &rtp(8, i, 160 * u32::from(i), 7), at(u64::from(i) * 20));
    }
    let [_, [window, all]] = m.window([3, 9], at(20_000)).unwrap();
    assert_eq!((window.expected, window.lost, window.out_of_source), (500, 0, 5));
    assert_eq!((all.expected, all.lost), (1000, 1));
    let [_, [window, _]] = m.window([3, 9], at(30_000)).unwrap();
    assert_eq!((window.received, window.rating), (0, Err(Unmeasured::NoPackets)));
    assert_eq!(window.jitter_us, None, "nothing was heard, so nothing is known of it");
}

fn sender_report(second: u32) -> Vec<u8> {
    let mut p = vec![0x80, 200, 0, 6];
    p.extend(7_u32.to_be_bytes());
    p.extend(second.to_be_bytes());
    p.extend([0; 16]);
    p
}

fn receiver_report(second: u16, delay: u32) -> Vec<u8> {
    let mut p = vec![0x81, 201, 0, 7];
    p.extend(9_u32.to_be_bytes());
    p.extend(7_u32.to_be_bytes());
    p.extend([5, 0, 0, 3]);
    p.extend(0_u32.to_be_bytes());
    p.extend(160_u32.to_be_bytes());
    p.extend([second.to_be_bytes(), [0; 2]].concat());
    p.extend(delay.to_be_bytes());
    p
}

/// The VoIP metrics block of a phone that hears well: MOS-LQ 4.1, R 88, nothing on MOS-CQ.
fn extended_report() -> Vec<u8> {
    let mut p = vec![0x80, 207, 0, 10];
    p.extend(9_u32.to_be_bytes());
    p.extend([7, 0, 0, 8]);
    p.extend(7_u32.to_be_bytes());
    p.extend([1, 2, 3, 4, 0, 5, 0, 6, 0, 70, 0, 80, 0, 0, 0, 16, 88, 127, 41, 127]);
    p.extend([0; 8]);
    p
}

#[test]
fn each_segment_has_its_own_round_trip_and_both_make_the_delay() {
    let mut m = meter();
    talk(&mut m, A, 0, 100, |_| false);
    talk(&mut m, B, 0, 100, |_| false);
    // The caller's report goes to the callee, whose answer comes 100 ms later than it waited.
    take(&mut m, A_RTCP, &sender_report(1), at(1000));
    take(&mut m, B_RTCP, &receiver_report(1, 65_536), at(2100));
    let callee = total(&m, Leg::Callee, 2200);
    assert_eq!(callee.round_trip_us, Ok(100_000));
    assert_eq!(callee.rating.unwrap().delay, None, "the other segment is not known");
    assert_eq!(callee.reported.unwrap().lost, 3);
    assert_eq!(callee.reported.unwrap().jitter_us, Some(20_000));
    assert_eq!(total(&m, Leg::Caller, 2200).round_trip_us, Err(NoRoundTrip::NoReport));
    take(&mut m, B_RTCP, &sender_report(2), at(3000));
    take(&mut m, A_RTCP, &receiver_report(2, 0), at(3040));
    let [caller, callee] = [Leg::Caller, Leg::Callee].map(|leg| total(&m, leg, 3100));
    assert_eq!(caller.round_trip_us, Ok(40_000));
    // (100 + 40) / 2, and 20 ms that a packet holds.
    let delay = Some(Duration::from_millis(90));
    assert_eq!((caller.rating.unwrap().delay, callee.rating.unwrap().delay), (delay, delay));
}

#[test]
fn a_phone_s_own_metrics_are_shown_beside_ours() {
    let mut m = meter();
    take(&mut m, B_RTCP, &extended_report(), at(0));
    let voip = total(&m, Leg::Callee, 10).reported.unwrap().voip.unwrap();
    assert_eq!((voip.ssrc, voip.discard_rate, voip.round_trip_delay), (7, 2, 70));
    assert_eq!((voip.r_factor, voip.mos_lq, voip.mos_cq), (Some(88), Some(41), None));
}

proptest! {
    #[test]
    fn no_packets_break_the_figures(
        packets in prop::collection::vec(
            (any::<bool>(), any::<bool>(), prop::collection::vec(any::<u8>(), 0..60), 0..400_u64),
            0..60,
        ),
    ) {
        let mut m = meter();
        let mut now = 0;
        for (leg, lane, mut packet, ms) in packets {
            let leg = if leg { Leg::Caller } else { Leg::Callee };
            let lane = if lane { Lane::Rtp } else { Lane::Rtcp };
            if let Some(first) = packet.first_mut() {
                *first = *first & 0x3f | 0x80;
            }
            now += ms;
            take(&mut m, (leg, lane), &packet, at(now));
            for [window, total] in m.figures([0; 2], at(now)) {
                prop_assert!(window.received <= total.received);
                prop_assert!(total.lost <= total.expected);
            }
            m.window([0; 2], at(now));
        }
    }
}
