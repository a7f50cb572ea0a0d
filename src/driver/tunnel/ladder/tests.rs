use super::*;

const ZERO: Duration = Duration::ZERO;

/// A bearer that has lasted so many seconds, and carries.
fn seen(kind: Kind, lasted: u64) -> Seen {
    Seen {
        kind,
        lasted: seconds(lasted),
        unanswered: ZERO,
        is_shut: false,
        is_narrow: false,
        is_lossy: false,
    }
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn quic_that_falls_silent_soon_after_its_beginning_is_not_tried_first_for_longer_each_time() {
    let (mut ladder, start) = (Ladder::new(BearerChoice::Auto), Instant::now());
    assert_eq!(ladder.order(start), Order::First(Kind::Quic, LEAD));
    let mut now = start;
    for pause in [30, 60, 120, 240, 480, 600, 600] {
        now += seconds(12);
        ladder.ended(now, Kind::Quic, seconds(12), true);
        assert_eq!(ladder.order(now), Order::First(Kind::Tcp, LEAD), "{pause}");
        // TCP carries meanwhile, and is left alone.
        ladder.begins(now, Kind::Tcp);
        let step = |ladder: &Ladder, at| ladder.step(at, seen(Kind::Tcp, 1));
        now += seconds(pause - 1);
        assert_eq!(step(&ladder, now), Step::Stay, "{pause}");
        now += seconds(1);
        assert_eq!(step(&ladder, now), Step::Try, "{pause}");
        ladder.begins(now, Kind::Quic);
        assert_eq!(ladder.order(now), Order::First(Kind::Quic, LEAD));
    }
    // One that has carried for a minute is believed again.
    ladder.ended(now, Kind::Quic, seconds(61), true);
    assert_eq!(ladder.order(now), Order::First(Kind::Quic, LEAD));
    ladder.ended(now, Kind::Quic, seconds(1), true);
    ladder.begins(now, Kind::Tcp);
    assert_eq!(ladder.step(now + seconds(30), seen(Kind::Tcp, 0)), Step::Try);
}

#[test]
fn an_end_with_a_word_is_no_silence_and_one_way_is_all_there_is_where_the_file_says_so() {
    let (mut ladder, now) = (Ladder::new(BearerChoice::Auto), Instant::now());
    ladder.ended(now, Kind::Quic, seconds(1), false);
    assert_eq!(ladder.order(now), Order::First(Kind::Quic, LEAD));
    for (choice, kind) in [(BearerChoice::Quic, Kind::Quic), (BearerChoice::Tcp, Kind::Tcp)] {
        let mut ladder = Ladder::new(choice);
        ladder.ended(now, kind, seconds(1), true);
        assert_eq!(ladder.order(now), Order::Alone(kind));
        ladder.begins(now, kind);
        let later = now + seconds(1_000);
        assert_eq!(ladder.step(later, seen(kind, 0)), Step::Stay);
        let silent = ladder.step(later, Seen { unanswered: seconds(3), ..seen(kind, 0) });
        assert_eq!(silent, Step::Rescue(Order::Alone(kind)), "by another port");
    }
}

#[test]
fn beside_a_silent_bearer_others_are_tried_at_once_and_again() {
    let (mut ladder, start) = (Ladder::new(BearerChoice::Auto), Instant::now());
    ladder.begins(start, Kind::Quic);
    let now = start + seconds(100);
    let step = |ladder: &Ladder, at, kind, lasted, unanswered, is_shut| {
        let unanswered = Duration::from_millis(unanswered);
        ladder.step(at, Seen { unanswered, is_shut, ..seen(kind, lasted) })
    };
    assert_eq!(step(&ladder, now, Kind::Quic, 100, 2_400, false), Step::Stay);
    let both = Step::Rescue(Order::First(Kind::Quic, HURRY));
    assert_eq!(step(&ladder, now, Kind::Quic, 100, 2_500, false), both);
    let soon = Step::Rescue(Order::First(Kind::Tcp, LEAD));
    assert_eq!(step(&ladder, now, Kind::Quic, 20, 2_500, false), soon);
    let shut = Step::Rescue(Order::First(Kind::Tcp, HURRY));
    assert_eq!(step(&ladder, now, Kind::Quic, 100, 600, true), shut);
    assert_eq!(step(&ladder, now, Kind::Tcp, 100, 2_500, false), both);
    ladder.searched(now);
    assert_eq!(step(&ladder, now, Kind::Quic, 100, 2_500, false), Step::Stay);
    assert_eq!(step(&ladder, now + AGAIN, Kind::Quic, 100, 3_000, false), both);
}

#[test]
fn while_tcp_carries_quic_is_asked_for_now_and_then() {
    let (mut ladder, now) = (Ladder::new(BearerChoice::Auto), Instant::now());
    ladder.begins(now, Kind::Tcp);
    assert_eq!(ladder.order(now), Order::First(Kind::Tcp, LEAD), "it carried last");
    let step = |ladder: &Ladder, at| ladder.step(at, seen(Kind::Tcp, 9));
    assert_eq!(step(&ladder, now + seconds(29)), Step::Stay);
    assert_eq!(step(&ladder, now + seconds(30)), Step::Try);
    ladder.tried(now + seconds(35), Tried::NoWay);
    assert_eq!(step(&ladder, now + seconds(64)), Step::Stay);
    assert_eq!(step(&ladder, now + seconds(65)), Step::Try);
    ladder.tried(now + seconds(70), Tried::Swallowed);
    ladder.tried(now + seconds(70), Tried::Swallowed);
    assert_eq!(step(&ladder, now + seconds(129)), Step::Stay);
    assert_eq!(step(&ladder, now + seconds(130)), Step::Try);
    let by_quic = ladder.step(now + seconds(130), seen(Kind::Quic, 99));
    assert_eq!(by_quic, Step::Stay, "there is nothing better");
}

#[test]
fn tries_wait_longer_each_time_until_something_lasts() {
    let (mut ladder, now) = (Ladder::new(BearerChoice::Auto), Instant::now());
    let waits: Vec<u128> = (0..7).map(|_| ladder.pause().as_millis()).collect();
    assert_eq!(waits, [200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
    ladder.ended(now, Kind::Tcp, seconds(1), true);
    assert_eq!(ladder.pause(), WAIT.1, "it came and went");
    ladder.ended(now, Kind::Tcp, seconds(6), true);
    assert_eq!(ladder.pause(), WAIT.0);
}

#[test]
fn a_failure_is_told_at_first_when_its_reason_changes_and_now_and_then() {
    let (mut telling, start) = (Telling::default(), Instant::now());
    let mut is_told = |at, why: &str| telling.is_told(start + seconds(at), why);
    assert!(is_told(0, "a"));
    assert!(!is_told(1, "a") && !is_told(299, "a"));
    assert!(is_told(300, "a"));
    assert!(!is_told(310, "b"), "two that take turns are told in turns of half a minute");
    assert!(is_told(330, "b"));
    assert!(!is_told(340, "b"));
    telling.is_over();
    assert!(telling.is_told(start + seconds(341), "b"));
}

#[test]
fn a_way_that_swallows_long_packets_is_left_for_tcp_and_doubted() {
    let (mut ladder, now) = (Ladder::new(BearerChoice::Auto), Instant::now());
    ladder.begins(now, Kind::Quic);
    let narrow = Seen { is_narrow: true, ..seen(Kind::Quic, 300) };
    let later = now + seconds(300);
    assert_eq!(ladder.step(later, narrow), Step::Leave);
    ladder.stays(later);
    assert_eq!(ladder.step(later + seconds(14), narrow), Step::Stay, "TCP did not answer");
    assert_eq!(ladder.step(later + seconds(15), narrow), Step::Leave);
    let silent = Seen { unanswered: seconds(3), ..narrow };
    let both = Step::Rescue(Order::First(Kind::Quic, HURRY));
    assert_eq!(ladder.step(later, silent), both, "silence is worse");
    ladder.leaves(later, narrow);
    ladder.begins(later, Kind::Tcp);
    assert_eq!(ladder.order(later), Order::First(Kind::Tcp, LEAD));
    assert_eq!(ladder.step(later + seconds(29), seen(Kind::Tcp, 29)), Step::Stay);
    assert_eq!(ladder.step(later + seconds(30), seen(Kind::Tcp, 30)), Step::Try);
    // Where there is one way, it is kept.
    for choice in [BearerChoice::Quic, BearerChoice::Tcp] {
        assert_eq!(Ladder::new(choice).step(now, narrow), Step::Stay);
    }
}

#[test]
fn quic_that_loses_too_much_is_left_for_longer_each_time_however_long_it_carried() {
    let (mut ladder, mut now) = (Ladder::new(BearerChoice::Auto), Instant::now());
    for pause in [30, 60, 120, 240, 480, 600, 600] {
        ladder.begins(now, Kind::Quic);
        let lossy = Seen { is_lossy: true, ..seen(Kind::Quic, 90) };
        now += seconds(90);
        assert_eq!(ladder.step(now, lossy), Step::Leave, "{pause}");
        ladder.leaves(now, lossy);
        ladder.begins(now, Kind::Tcp);
        now += seconds(pause - 1);
        assert_eq!(ladder.step(now, seen(Kind::Tcp, pause - 1)), Step::Stay, "{pause}");
        now += seconds(1);
        assert_eq!(ladder.step(now, seen(Kind::Tcp, pause)), Step::Try, "{pause}");
    }
    // One that carried well for ten minutes is believed as at first.
    let lossy = Seen { is_lossy: true, ..seen(Kind::Quic, 600) };
    ladder.leaves(now, lossy);
    ladder.begins(now, Kind::Tcp);
    assert_eq!(ladder.step(now + seconds(30), seen(Kind::Tcp, 30)), Step::Try);
}

#[test]
fn where_tcp_is_no_better_quic_comes_back_at_once_and_its_losses_are_borne() {
    let (mut ladder, mut now) = (Ladder::new(BearerChoice::Auto), Instant::now());
    ladder.is_no_better(now);
    assert!(ladder.borne.is_none(), "it was not compared with anything");
    let lossy = Seen { is_lossy: true, ..seen(Kind::Quic, 90) };
    for borne in [300, 600, 1_200, 2_400, 3_600, 3_600] {
        ladder.begins(now, Kind::Quic);
        assert_eq!(ladder.step(now, lossy), Step::Leave);
        ladder.leaves(now, lossy);
        ladder.begins(now, Kind::Tcp);
        now += seconds(12);
        assert_eq!(ladder.step(now, seen(Kind::Tcp, 12)), Step::Stay);
        ladder.is_no_better(now);
        assert_eq!(ladder.step(now, seen(Kind::Tcp, 12)), Step::Try);
        ladder.begins(now, Kind::Quic);
        assert_eq!(ladder.step(now + seconds(borne - 1), lossy), Step::Stay, "{borne}");
        now += seconds(borne);
    }
}
