use super::*;
use crate::ground::Wall;
use std::sync::LazyLock;

fn at(ms: u64) -> Now {
    let d = Duration::from_millis(ms);
    Now { mono: Mono(d), wall: Wall(d) }
}

fn phone(last: u8) -> Asker<'static> {
    static USERS: LazyLock<[Aor; 3]> =
        LazyLock::new(|| ["0", "1", "2"].map(|user| Aor::new(user, "pbx.example.com")));
    Asker::Phone(&USERS[usize::from(last)])
}

fn mono(ms: u64) -> Mono {
    at(ms).mono
}

#[test]
fn a_doubt_ends_with_any_answer_and_silence_leaves_the_site_alone() {
    let survive = Survive::default();
    let mut s = Serving::default();
    assert!(s.missed(mono(0), phone(1), 9), "a doubt");
    assert!(!s.missed(mono(100), Asker::Us, 9), "one is enough");
    assert!(s.answered(mono(900), false));
    assert!(!s.missed(mono(500), phone(1), 9), "it answered since");
    assert!(!s.is_alone());
    assert!(s.missed(mono(1_000), phone(1), 9));
    assert_eq!(s.look(at(3_000), &survive), Look::Leaves);
    assert!(s.is_alone());
    assert!(s.answered(mono(5_000), true));
    assert!(s.is_alone(), "not relied on yet");
    s.answered(mono(9_500), true);
    assert_eq!(s.look(at(10_000), &survive), Look::Back(Duration::from_secs(7)));
    assert!(!s.is_alone());
}

#[test]
fn who_comes_and_goes_has_to_stay_longer_each_time() {
    let survive = Survive::default();
    let mut s = Serving::default();
    let mut now = 0;
    for want in [5, 10, 20, 40] {
        assert!(s.missed(mono(now), phone(1), 9));
        assert_eq!(s.look(at(now + 2_000), &survive), Look::Leaves);
        assert_eq!(s.hold(&survive), Duration::from_secs(want));
        s.answered(mono(now + 3_000), true);
        assert!(matches!(s.look(at(now + 4_000), &survive), Look::Back(_)));
        now += 5_000;
    }
    // It stayed for long: forgiven.
    now += 100_000;
    assert!(s.missed(mono(now), phone(1), 9));
    s.look(at(now + 2_000), &survive);
    assert_eq!(s.hold(&survive), survive.hold);
    s.answered(mono(now + 3_000), true);
    assert_eq!(s.look(at(now + 8_000), &survive), Look::Stays, "silent again since");
    assert!(s.is_alone());
}

#[test]
fn who_answers_no_options_is_doubted_for_several_requests_only() {
    let survive = Survive::default();
    let mut s = Serving::default();
    assert!(!s.missed(mono(0), Asker::Us, 9), "it may be one of those");
    assert!(s.missed(mono(0), Asker::Other, 9), "and what others send goes unanswered, too");
    assert_eq!(s.look(at(2_000), &survive), Look::Leaves);
    assert!(s.answered(mono(4_000), false), "a phone's REGISTER was tried");
    assert!(matches!(s.look(at(9_000), &survive), Look::Back(_)));
    assert!(!s.missed(mono(10_000), Asker::Us, 9), "a probe says nothing any more");
    for _ in 0..9 {
        assert!(!s.missed(mono(11_000), Asker::Other, 9), "a stranger says nothing of it");
        assert!(!s.missed(mono(11_000), phone(1), 9), "what one sends may have no answer");
    }
    assert!(s.missed(mono(11_000), phone(2), 9));
    // It comes back, and leaves again at once: whoever it was, it stays no longer for it.
    assert_eq!(s.look(at(13_000), &survive), Look::Leaves);
    assert_eq!(s.hold(&survive), survive.hold);
    // A site of one phone has no second one.
    assert!(s.answered(mono(14_000), false));
    assert!(matches!(s.look(at(19_000), &survive), Look::Back(_)));
    assert!(!s.missed(mono(20_000), phone(1), 1) && !s.missed(mono(20_000), phone(1), 1));
    assert!(s.missed(mono(20_000), phone(1), 1));
}

#[test]
fn that_it_answers_no_options_is_learned_from_what_else_it_answers() {
    let mut s = Serving::default();
    assert!(!s.missed(mono(1_000), Asker::Us, 9));
    assert!(!s.answered(mono(2_000), false), "this soon it may be on its way");
    assert!(s.missed(mono(3_000), Asker::Other, 9));
    assert!(s.answered(mono(9_000), false));
    assert!(!s.missed(mono(10_000), phone(1), 9), "it is known by now");
    // One that does is doubted at the first that it leaves unanswered.
    let mut s = Serving::default();
    assert!(!s.answered(mono(1_000), true));
    assert!(s.missed(mono(9_000), Asker::Us, 9));
}
