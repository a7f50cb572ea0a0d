use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::net::IpAddr;

fn at(last: u8) -> Source {
    Source::of(IpAddr::from([192, 0, 2, last]))
}

fn stranger(last: u8) -> Holder {
    Holder::Unproved(at(last))
}

fn user(name: &str) -> Holder {
    Holder::User(name.to_owned())
}

fn table(total: usize, per_source: usize, per_user: usize) -> Quota<u32> {
    let per_address = usize::MAX;
    Quota::new(Shares { total, per_source, per_user, per_address, brought: Brought::Waits })
}

#[test]
fn a_source_is_an_address_or_a_64_of_ipv6() {
    let of = |text: &str| Source::of(text.parse().expect("an address"));
    assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
    assert_ne!(of("2001:db8:0:1::1"), of("2001:db8::1"));
    assert_eq!(of("::ffff:192.0.2.7"), of("192.0.2.7"));
    assert_eq!(of("2001:db8::1").to_string(), "2001:db8::/64");
    assert_eq!(of("2001:db8::").to_string(), "2001:db8::/64");
}

#[test]
fn a_link_local_source_is_of_one_link() {
    let of = |text: &str| Source::of(text.parse().expect("an address"));
    let host = |text: &str| Source::host(text.parse().expect("an address"));
    for (one, whole) in [("fe80::21", "fe80::/64"), ("169.254.3.4", "169.254.3.4")] {
        assert_ne!(of(one).on(Some(0)), of(one).on(Some(1)));
        assert_ne!(host(one).on(Some(0)), host(one).on(Some(1)));
        assert_eq!(host(one).on(Some(1)).whole(), of(one).on(Some(1)));
        assert_eq!(of(one).on(Some(1)).to_string(), format!("{whole} at interface 2"));
    }
    // By any other address it is the same wherever it comes.
    for one in ["2001:db8::1", "fd17::1", "192.0.2.7"] {
        assert_eq!(host(one).on(Some(0)), host(one).on(Some(1)));
        assert_eq!(of(one).on(Some(0)), of(one));
    }
    // One link's crowd takes nothing of another's share.
    let mut q = table(100, 10, 10);
    let crowd = |n: u32| Holder::Unproved(host(&format!("fe80::{n:x}")).on(Some(0)));
    (0..90).for_each(|n| q.enter(n, crowd(n), 1));
    let other = Holder::Unproved(host("fe80::1").on(Some(1)));
    assert!(matches!(q.ask(&other, false, 1), Room::Instead(n) if n < 90));
    assert_eq!(q.fullest(), Some(("fe80::/64 at interface 1".to_owned(), 90)));
}

#[test]
fn in_an_emergency_a_source_is_one_address() {
    let host = |text: &str| Source::host(text.parse().expect("an address"));
    assert_ne!(host("2001:db8::1"), host("2001:db8::2"));
    assert_ne!(host("2001:db8::"), Source::of("2001:db8::".parse().expect("an address")));
    assert_eq!(host("2001:db8::1").whole(), host("2001:db8::2").whole());
    assert_eq!(host("2001:db8::1").to_string(), "2001:db8::1");
    assert_eq!(host("::ffff:192.0.2.7"), at(7), "and of IPv4 it always is");
    assert_eq!(at(7).whole(), at(7));
    // Over, it counts with its neighbours again.
    let mut q = table(10, 1, 10);
    for n in 1..=3 {
        q.enter(n, Holder::Emergency(host(&format!("2001:db8::{n}"))), 1);
    }
    assert_eq!(q.emergencies(host("2001:db8::1")), 1);
    (1..=3).for_each(|n| q.calm(n));
    assert_eq!(q.fullest(), Some(("2001:db8::/64".to_owned(), 3)));
}

fn host(text: &str) -> Holder {
    Holder::Unproved(Source::host(text.parse().expect("an address")))
}

#[test]
fn within_a_network_the_fullest_address_gives_way_and_no_neighbour_of_it() {
    let mut q = table(100, 10, 10);
    // A neighbour's entry is the oldest of all.
    q.enter(0, host("2001:db8::1"), 1);
    for n in 1..90 {
        q.enter(n, host("2001:db8::bad"), 1);
    }
    // Full. Whoever asks of this network, its fullest address pays.
    assert_eq!(q.ask(&host("2001:db8::2"), false, 1), Room::Instead(1));
    assert_eq!(q.ask(&host("2001:db8::bad"), false, 1), Room::Instead(1));
    assert_eq!(q.ask(&host("2001:db8:0:1::1"), false, 1), Room::Instead(1));
    assert_eq!(q.ask(&stranger(1), false, 1), Room::Instead(1));
    assert_eq!(q.fullest(), Some(("2001:db8::/64".to_owned(), 90)));
}

#[test]
fn a_network_of_countless_addresses_has_one_share() {
    let mut q = table(100, 10, 10);
    (0..5).for_each(|n| q.enter(n, stranger(1), 1));
    for n in 5..90 {
        q.enter(n, host(&format!("2001:db8::{n:x}")), 1);
    }
    // Each of its addresses has one, the address of IPv4 five; the network gives way all the same.
    let mut gone = Vec::new();
    for n in 100..160 {
        assert_eq!(q.make_room(&stranger(2), false, 1, &mut gone), Ok(()));
        q.enter(n, stranger(2), 1);
        let more = host(&format!("2001:db8::{n:x}"));
        assert_eq!(q.make_room(&more, false, 1, &mut gone), Ok(()));
        q.enter(n + 1000, more, 1);
    }
    assert!((0..5).all(|n| !gone.contains(&n)), "who is within his share keeps it: {gone:?}");
}

#[test]
fn an_address_that_holds_all_answered_calls_gives_one_to_a_neighbour() {
    let mut q = table(20, 5, 5);
    for n in 0..18 {
        q.enter(n, host("2001:db8::bad"), 1);
        q.settle(n);
    }
    assert_eq!(q.ask(&host("2001:db8::bad"), false, 1), Room::None(Full::Source));
    assert_eq!(q.next_to_go(&host("2001:db8::2"), false), Some(0));
    assert_eq!(q.next_to_go(&host("2001:db8::bad"), false), None);
}

#[test]
fn with_one_password_an_address_has_a_part_of_what_its_network_has() {
    let shares = Shares { total: 100, per_source: 10, per_user: 90, per_address: 20, ..both() };
    let mut q: Quota<u32> = Quota::new(shares);
    let shared = |n: u32, at: &str| {
        Holder::Shared(format!("u{n}"), Source::host(at.parse().expect("an address")))
    };
    (0..50).for_each(|n| q.enter(n, shared(n, "2001:db8::bad"), 1));
    assert_eq!(q.ask(&shared(50, "2001:db8::bad"), false, 1), Room::None(Full::Source));
    assert_eq!(q.ask(&shared(50, "2001:db8::1"), false, 1), Room::Free);
    (50..60).for_each(|n| q.enter(n, shared(n, &format!("2001:db8::{n:x}")), 1));
    assert_eq!(q.ask(&shared(60, "2001:db8::1"), false, 1), Room::None(Full::Source));
    assert_eq!(q.ask(&shared(60, "2001:db8:0:1::1"), false, 1), Room::Free);
    assert_eq!(q.ask(&shared(60, "192.0.2.1"), false, 1), Room::Free);
    (0..60).for_each(|n| assert!(q.leave(n)));
    assert_eq!(q.fullest(), None);
}

fn both() -> Shares {
    Shares::percent(100, 10)
}

#[test]
fn a_share_is_soft_until_the_table_is_full_and_then_its_own_oldest_gives_way() {
    let mut q = table(100, 10, 10);
    for n in 0..90 {
        assert_eq!(q.ask(&stranger(1), false, 1), Room::Free, "{n}");
        q.enter(n, stranger(1), 1);
    }
    assert_eq!(q.ask(&stranger(1), false, 1), Room::Instead(0));
    q.leave(0);
    q.enter(90, stranger(1), 1);
    assert_eq!(q.ask(&stranger(2), false, 1), Room::Instead(1), "the fullest source's oldest");
    assert_eq!(q.ask(&user("101"), false, 1), Room::Free, "the reserve's first half");
    assert_eq!(q.ask(&stranger(2), true, 1), Room::Free, "an established dialog");
}

#[test]
fn of_sources_that_hold_as_much_the_oldest_entry_goes() {
    let mut q = table(10, 5, 5);
    for n in 0..9_u8 {
        q.enter(u32::from(n), stranger(100 - n), 1);
    }
    assert_eq!(q.ask(&stranger(1), false, 1), Room::Instead(0));
}

#[test]
fn proved_users_never_give_way_and_have_a_share_from_half_of_the_table_on() {
    let mut q = table(100, 10, 20);
    for n in 0..50 {
        assert_eq!(q.ask(&user("101"), false, 1), Room::Free, "{n}");
        q.enter(n, user("101"), 1);
    }
    assert_eq!(q.ask(&user("101"), false, 1), Room::None(Full::User));
    assert_eq!(q.ask(&user("101"), true, 1), Room::None(Full::User), "twice the share is held");
    for n in 50..95 {
        q.enter(n, user("102"), 1);
    }
    assert_eq!(q.ask(&user("103"), false, 1), Room::None(Full::Total));
    assert_eq!(q.ask(&stranger(1), false, 1), Room::None(Full::Total));
    assert_eq!(q.ask(&user("103"), true, 1), Room::Free, "an established dialog");
    assert_eq!(q.ask(&Holder::Emergency(at(1)), true, 1), Room::Free);
    q.enter(95, stranger(7), 1);
    assert_eq!(q.ask(&user("103"), false, 1), Room::Instead(95));
}

#[test]
fn upstreams_have_no_share_and_the_last_of_the_reserve_is_no_strangers_emergency() {
    let mut q = table(100, 1, 1);
    for n in 0..95 {
        assert_eq!(q.ask(&Holder::Upstream, false, 1), Room::Free, "{n}");
        q.enter(n, Holder::Upstream, 1);
    }
    assert_eq!(q.ask(&Holder::Upstream, false, 1), Room::None(Full::Total));
    for n in 95..98 {
        assert_eq!(q.ask(&Holder::Emergency(at(3)), true, 1), Room::Free);
        q.enter(n, Holder::Emergency(at(3)), 1);
        q.settle(n);
    }
    assert_eq!(q.ask(&Holder::Emergency(at(3)), true, 1), Room::None(Full::Total), "physics");
    for n in 98..100 {
        assert_eq!(q.ask(&user("101"), true, 1), Room::Free, "an emergency of somebody known");
        q.enter(n, user(&n.to_string()), 1);
    }
    assert_eq!(q.ask(&user("101"), true, 1), Room::None(Full::Total), "physics");
}

#[test]
fn emergencies_of_nobody_known_hold_a_quarter_and_give_way_to_each_other_and_to_those_of_others() {
    let emergency = |last| Holder::Emergency(at(last));
    let mut q = table(100, 50, 50);
    for n in 0..25_u8 {
        assert_eq!(q.ask(&emergency(n), true, 1), Room::Free, "{n}");
        q.enter(u32::from(n), emergency(n), 1);
    }
    q.settle(0);
    assert_eq!(q.ask(&emergency(99), true, 1), Room::Instead(1), "the oldest that waits");
    assert_eq!(q.emergencies(at(3)), 1);
    assert_eq!(q.emergency_of(at(3)), Some(3));
    q.calm(3);
    assert_eq!((q.emergencies(at(3)), q.used()), (0, 25));
    assert_eq!(q.ask(&emergency(99), true, 1), Room::Free);
    q.leave(3);
    for n in 100..176 {
        q.enter(n, user(&n.to_string()), 1);
    }
    assert_eq!(q.ask(&user("101"), false, 1), Room::None(Full::Total));
    assert_eq!(q.ask(&stranger(1), true, 1), Room::None(Full::Total));
    assert_eq!(q.ask(&user("101"), true, 1), Room::Instead(1));
    for n in 0..25 {
        q.settle(n);
    }
    assert_eq!(q.ask(&user("101"), true, 1), Room::None(Full::Total), "answered ones stay");
}

#[test]
fn what_an_upstream_brings_has_a_share_for_each_or_gives_way_while_it_waits() {
    let brought = |name: &str| Holder::Brought(name.to_owned());
    let shares = |how| Shares { per_user: 20, brought: how, ..Shares::percent(100, 10) };
    let mut q: Quota<u32> = Quota::new(shares(Brought::Shares));
    for n in 0..50 {
        assert_eq!(q.ask(&brought("call 1"), false, 1), Room::Free, "{n}");
        q.enter(n, brought("call 1"), 1);
    }
    assert_eq!(q.ask(&brought("call 1"), false, 1), Room::None(Full::User));
    assert_eq!(q.ask(&brought("call 1"), true, 1), Room::Free, "who floods may end it");
    assert_eq!(q.ask(&brought("call 2"), false, 1), Room::Free);
    assert_eq!(q.fullest(), Some(("call 1".to_owned(), 50)));
    let mut q: Quota<u32> = Quota::new(shares(Brought::Waits));
    for n in 0..95 {
        assert_eq!(q.ask(&brought("to 101"), false, 1), Room::Free, "{n}");
        q.enter(n, brought("to 101"), 1);
    }
    q.settle(0);
    assert_eq!(q.ask(&stranger(1), false, 1), Room::None(Full::Total), "it is known");
    for asks in [user("102"), brought("to 102"), Holder::Upstream] {
        assert_eq!(q.ask(&asks, false, 1), Room::Instead(1), "{asks:?}: the oldest that waits");
    }
    assert!(q.leave(1) && !q.leave(1));
    assert_eq!(q.ask(&user("102"), false, 1), Room::Free);
    q.enter(200, stranger(1), 1);
    assert_eq!(q.ask(&user("102"), false, 1), Room::Instead(200), "the unproved first");
    q.leave(200);
    (0..95).for_each(|n| q.settle(n));
    q.enter(201, user("103"), 1);
    assert_eq!(q.ask(&user("102"), false, 1), Room::None(Full::Total), "what is answered stays");
}

#[test]
fn what_has_come_about_gives_way_only_to_others_and_only_beyond_a_share() {
    let mut q = table(10, 4, 4);
    for n in 0..9 {
        q.enter(n, stranger(1), 1);
        q.settle(n);
    }
    assert_eq!(q.ask(&stranger(1), false, 1), Room::None(Full::Source));
    assert_eq!(q.ask(&stranger(2), false, 1), Room::Instead(0));
    for n in 0..5 {
        q.leave(n);
        q.enter(n, stranger(2), 1);
    }
    assert_eq!(q.ask(&stranger(3), false, 1), Room::Instead(0), "one that waits, of the fullest");
    for n in 0..5 {
        q.prove(n, user("101"));
    }
    assert_eq!(q.ask(&stranger(3), false, 1), Room::None(Full::Total), "4 is the share of 1");
}

#[test]
fn entries_have_weights() {
    let mut q = table(1_000, 300, 300);
    q.enter(1, stranger(1), 500);
    q.enter(2, stranger(2), 300);
    assert_eq!(q.ask(&stranger(3), false, 101), Room::Instead(1));
    q.weigh(1, 10);
    assert_eq!((q.used(), q.fullest()), (310, Some(("192.0.2.2".to_owned(), 300))));
    assert_eq!(q.ask(&stranger(3), false, 101), Room::Free);
}

#[derive(Clone, Debug)]
enum Step {
    Ask(u8, bool, usize),
    Leave(u32),
    Settle(u32),
    Prove(u32, u8),
    Weigh(u32, usize),
}

fn holder(which: u8) -> Holder {
    match which % 8 {
        0 => Holder::Upstream,
        1 => Holder::Emergency(at(which / 8)),
        2 | 3 => user(&format!("10{}", which / 64)),
        _ => stranger(which / 32),
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (any::<u8>(), any::<bool>(), 1_usize..4).prop_map(|(h, u, w)| Step::Ask(h, u, w)),
        2 => (0_u32..200).prop_map(Step::Leave),
        1 => (0_u32..200).prop_map(Step::Settle),
        1 => (0_u32..200, any::<u8>()).prop_map(|(k, h)| Step::Prove(k, h)),
        1 => (0_u32..200, 0_usize..6).prop_map(|(k, w)| Step::Weigh(k, w)),
    ];
    prop::collection::vec(step, 0..200)
}

proptest! {
    /// Nothing is held beyond the total, no proved entry gives way, whoever unproved asks with a
    /// share left finds room as long as any entry of others may wait, and sums stay right.
    #[test]
    fn every_claim_is_answered_by_the_rule(steps in steps()) {
        let (mut q, mut model) = (table(40, 8, 12), BTreeMap::new());
        let mut next = 0_u32;
        for step in steps {
            match step {
                Step::Ask(which, urgent, weight) => {
                    let asks = holder(which);
                    let mut room = q.ask(&asks, urgent, weight);
                    let mut turns = 0;
                    while let Room::Instead(key) = room {
                        let gone: Option<(Holder, usize)> = model.remove(&key);
                        let may = match gone {
                            Some((Holder::Unproved(_), _)) => true,
                            // To another emergency, of whomever.
                            Some((Holder::Emergency(_), _)) => {
                                urgent || matches!(asks, Holder::Emergency(_))
                            }
                            _ => false,
                        };
                        prop_assert!(may, "a proved entry gave way");
                        prop_assert!(q.leave(key));
                        room = q.ask(&asks, urgent, weight);
                        turns += 1;
                        prop_assert!(turns <= 40);
                    }
                    if room == Room::Free {
                        prop_assert!(q.used() + weight <= 40);
                        // The last of the reserve, and three quarters of the table, are never theirs.
                        if matches!(asks, Holder::Emergency(_)) {
                            prop_assert!(q.used() + weight <= 39);
                            prop_assert!(q.emergencies.total() + weight <= 10);
                        }
                        q.enter(next, asks.clone(), weight);
                        model.insert(next, (asks, weight));
                        next += 1;
                    } else if room == Room::None(Full::Source) {
                        prop_assert!(matches!(asks, Holder::Unproved(_)));
                    }
                }
                Step::Leave(key) => prop_assert_eq!(q.leave(key), model.remove(&key).is_some()),
                Step::Settle(key) => q.settle(key),
                Step::Prove(key, which) => {
                    q.prove(key, holder(which));
                    if let Some((held, _)) = model.get_mut(&key) {
                        *held = holder(which);
                    }
                }
                Step::Weigh(key, weight) => {
                    q.weigh(key, weight);
                    if let Some((_, held)) = model.get_mut(&key) {
                        *held = weight;
                    }
                }
            }
            prop_assert_eq!(q.used(), model.values().map(|(_, w)| w).sum::<usize>());
        }
        let keys: Vec<u32> = model.into_keys().collect();
        for key in keys {
            prop_assert!(q.leave(key));
        }
        prop_assert_eq!((q.used(), q.fullest()), (0, None));
        prop_assert!(q.users.is_empty() && q.emergencies.total() == 0);
    }
}
