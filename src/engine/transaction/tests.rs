use super::invite_client::InviteClient;
use super::invite_server::InviteServer;
use super::plain_client::PlainClient;
use super::plain_server::PlainServer;
use super::*;
use crate::ground::Mono;
use Action::{Failed, Resend, Send, SendAck, Set, Stop, Terminated, TimedOut, Up};
use proptest::prelude::*;

const MS: fn(u64) -> Duration = Duration::from_millis;

fn timing(reliable: bool) -> Timing {
    Timing { t1: MS(500), t2: MS(4000), t4: MS(5000), reliable }
}

#[test]
fn a_refused_invite_is_repeated_until_acked() {
    let (mut m, first) = InviteServer::new(timing(false));
    assert!(first.is_empty());
    assert_eq!(m.handle(Event::Response(100)).to_vec(), [Send]);
    assert_eq!(m.handle(Event::Retransmission).to_vec(), [Resend]);
    let done = m.handle(Event::Response(486));
    assert_eq!(done.to_vec(), [Send, Set(Timer::G, MS(500)), Set(Timer::H, MS(32_000))]);
    for wait in [1000, 2000, 4000, 4000] {
        let again = m.handle(Event::Timer(Timer::G));
        assert_eq!(again.to_vec(), [Resend, Set(Timer::G, MS(wait))]);
    }
    let acked = m.handle(Event::Ack);
    assert_eq!(acked.to_vec(), [Stop(Timer::G), Stop(Timer::H), Set(Timer::I, MS(5000))]);
    assert!(m.handle(Event::Ack).is_empty());
    assert_eq!(m.handle(Event::Timer(Timer::I)).to_vec(), [Terminated]);
}

#[test]
fn an_accepted_invite_absorbs_retransmissions_and_sends_every_2xx() {
    let (mut m, _) = InviteServer::new(timing(false));
    assert_eq!(m.handle(Event::Response(200)).to_vec(), [Send, Set(Timer::L, MS(32_000))]);
    assert!(m.handle(Event::Retransmission).is_empty());
    assert_eq!(m.handle(Event::Response(200)).to_vec(), [Send]);
    assert!(m.handle(Event::Response(486)).is_empty());
    assert_eq!(m.handle(Event::Timer(Timer::L)).to_vec(), [Terminated]);
}

#[test]
fn a_missing_ack_is_told() {
    let (mut m, _) = InviteServer::new(timing(true));
    assert_eq!(m.handle(Event::Response(500)).to_vec(), [Send, Set(Timer::H, MS(32_000))]);
    assert_eq!(m.handle(Event::Timer(Timer::H)).to_vec(), [TimedOut, Terminated]);
}

#[test]
fn an_unanswered_invite_doubles_and_gives_up() {
    let (mut m, first) = InviteClient::new(timing(false));
    assert_eq!(first.to_vec(), [Send, Set(Timer::A, MS(500)), Set(Timer::B, MS(32_000))]);
    for wait in [1000, 2000, 4000, 8000] {
        let again = m.handle(Event::Timer(Timer::A));
        assert_eq!(again.to_vec(), [Resend, Set(Timer::A, MS(wait))]);
    }
    assert_eq!(m.handle(Event::Timer(Timer::B)).to_vec(), [TimedOut, Terminated]);
    assert!(m.handle(Event::Response(200)).is_empty());
}

#[test]
fn a_refusal_is_acked_each_time_it_comes() {
    let (mut m, _) = InviteClient::new(timing(false));
    let ringing = m.handle(Event::Response(180));
    assert_eq!(ringing.to_vec(), [Stop(Timer::A), Stop(Timer::B), Up]);
    let no = m.handle(Event::Response(486));
    assert_eq!(no.to_vec(), [SendAck, Up, Set(Timer::D, MS(32_000))]);
    assert_eq!(m.handle(Event::Response(486)).to_vec(), [SendAck]);
    assert_eq!(m.handle(Event::Timer(Timer::D)).to_vec(), [Terminated]);
}

#[test]
fn every_2xx_of_an_accepted_invite_goes_up() {
    let (mut m, _) = InviteClient::new(timing(false));
    let ok = m.handle(Event::Response(200));
    let want = [Stop(Timer::A), Stop(Timer::B), Set(Timer::M, MS(32_000)), Up];
    assert_eq!(ok.to_vec(), want);
    assert_eq!(m.handle(Event::Response(200)).to_vec(), [Up]);
    assert!(m.handle(Event::Response(486)).is_empty());
    assert_eq!(m.handle(Event::Timer(Timer::M)).to_vec(), [Terminated]);
}

#[test]
fn other_requests_back_off_to_t2_and_answers_are_kept() {
    let (mut m, first) = PlainClient::new(timing(false));
    assert_eq!(first.to_vec(), [Send, Set(Timer::E, MS(500)), Set(Timer::F, MS(32_000))]);
    for wait in [1000, 2000, 4000, 4000] {
        let again = m.handle(Event::Timer(Timer::E));
        assert_eq!(again.to_vec(), [Resend, Set(Timer::E, MS(wait))]);
    }
    let done = m.handle(Event::Response(200));
    assert_eq!(done.to_vec(), [Stop(Timer::E), Stop(Timer::F), Up, Set(Timer::K, MS(5000))]);
    assert!(m.handle(Event::Response(200)).is_empty());
    let (mut s, _) = PlainServer::new(timing(false));
    assert!(s.handle(Event::Retransmission).is_empty());
    assert_eq!(s.handle(Event::Response(200)).to_vec(), [Send, Set(Timer::J, MS(32_000))]);
    assert_eq!(s.handle(Event::Retransmission).to_vec(), [Resend]);
    assert!(s.handle(Event::Response(500)).is_empty());
    assert_eq!(s.handle(Event::Timer(Timer::J)).to_vec(), [Terminated]);
}

#[test]
fn a_broken_transport_is_told_once() {
    let (mut m, _) = PlainClient::new(timing(true));
    assert_eq!(m.handle(Event::TransportError).to_vec(), [Failed, Terminated]);
    assert!(m.handle(Event::TransportError).is_empty());
}

fn event() -> impl Strategy<Value = Event> {
    let timers = prop::sample::select(vec![
        Timer::A,
        Timer::B,
        Timer::D,
        Timer::E,
        Timer::F,
        Timer::G,
        Timer::H,
        Timer::I,
        Timer::J,
        Timer::K,
        Timer::L,
        Timer::M,
    ]);
    prop_oneof![
        Just(Event::Retransmission),
        Just(Event::Ack),
        Just(Event::TransportError),
        (100u16..700).prop_map(Event::Response),
        timers.prop_map(Event::Timer),
    ]
}

proptest! {
    #[test]
    fn a_terminated_machine_stays_silent(events in prop::collection::vec(event(), 1..40), reliable: bool) {
        let t = timing(reliable);
        let mut machines: Vec<Box<dyn FnMut(Event) -> Actions>> = vec![
            { let mut m = InviteServer::new(t).0; Box::new(move |e| m.handle(e)) },
            { let mut m = InviteClient::new(t).0; Box::new(move |e| m.handle(e)) },
            { let mut m = PlainServer::new(t).0; Box::new(move |e| m.handle(e)) },
            { let mut m = PlainClient::new(t).0; Box::new(move |e| m.handle(e)) },
        ];
        for m in &mut machines {
            let mut over = false;
            for e in &events {
                let actions = m(*e);
                prop_assert!(!over || actions.is_empty());
                over |= actions.contains(&Terminated);
            }
        }
    }

    #[test]
    fn timers_fire_in_order_and_never_early(sets in prop::collection::vec((0u8..8, 0u64..100), 1..60)) {
        let mut table = TimerTable::default();
        let mut model = std::collections::HashMap::new();
        for (key, at) in sets {
            table.set(key, Mono(MS(at)));
            model.insert(key, at);
        }
        for now in 0..=100 {
            while let Some(key) = table.expired(Mono(MS(now))) {
                prop_assert_eq!(model.remove(&key), Some(now));
            }
        }
        prop_assert!(table.is_empty() && model.is_empty());
    }
}
