//! What readers see of a loop that turns, and of one that stands still.

use super::*;
use crate::engine::{CallState, Reach, Stats};
use crate::ground::{CallDirection, Moment, Transport};
use crate::wire::sip::Aor;

fn table() -> SessionTable {
    SessionTable::new(Clock::start(), Weak::new(), None, Arc::default(), 8, 8)
}

fn view(call: u64, from: &str, started: Now, answered: Option<Now>) -> CallView {
    CallView {
        call: CallNo(call),
        from: from.to_owned(),
        to: "200".to_owned(),
        state: if answered.is_some() { CallState::Confirmed } else { CallState::Early },
        direction: CallDirection::Outbound,
        since: started.wall.seconds(),
        started: started.into(),
        answered: answered.map(Moment::from),
    }
}

fn binding(key: &str, aor: &str, expires: u64) -> StoredBinding {
    StoredBinding {
        key: key.to_owned(),
        aor: Aor::new(aor.trim_end_matches("@x"), "x"),
        contact: format!("sip:{aor}"),
        local: "10.0.0.1:5060".parse().unwrap(),
        transport: Transport::Udp,
        peer: "10.0.0.2:5060".parse().unwrap(),
        source: None,
        expires,
        call_id: "c".to_owned(),
        cseq: 1,
        upstream: String::new(),
        service_route: Vec::new(),
        instance: None,
        edge: false,
        reach: Reach::Registered,
    }
}

fn block_on(future: impl Future<Output = ()>) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().start_paused(true).build().unwrap().block_on(future);
}

#[test]
fn calls_are_listed_by_number_while_they_are_there() {
    let table = table();
    let now = table.clock.now();
    table.show_call(view(9, "102", now, None));
    table.show_call(view(3, "101", now, None));
    table.show_call(view(3, "101", now, Some(now)));
    let (rows, left_off) = table.calls();
    let seen: Vec<_> = rows.iter().map(|r| (r.view.call.0, r.view.state)).collect();
    assert_eq!((seen, left_off), (vec![(3, CallState::Confirmed), (9, CallState::Early)], 0));
    assert!(rows[0].duration_ms.is_some() && rows[1].duration_ms.is_none());
    assert_eq!(table.call(CallNo(9)).unwrap().view.from, "102");
    table.hide_call(CallNo(9));
    table.hide_call(CallNo(9));
    assert_eq!((table.calls().0.len(), table.call(CallNo(9))), (1, None));
}

#[test]
fn lists_are_bounded_and_say_how_many_they_leave_off() {
    let table = table();
    let now = table.clock.now();
    let expires = now.wall.seconds() + 60;
    for n in 0..LIST as u64 + 2 {
        table.show_call(view(n, "101", now, None));
        table.show_registration(
            &binding(&format!("k{n}"), &format!("{n:06}@x"), expires),
            None,
            None,
        );
    }
    let (rows, left_off) = table.calls();
    assert_eq!((rows.len(), rows[LIST - 1].view.call.0, left_off), (LIST, LIST as u64 - 1, 2));
    let (rows, left_off) = table.registrations();
    assert_eq!((rows.len(), left_off), (LIST, 2));
    assert_eq!((rows[0].user.as_str(), rows[LIST - 1].user.as_str()), ("000000@x", "009999@x"));
}

#[test]
fn registrations_are_listed_by_user_while_they_last() {
    let table = table();
    let now = table.clock.now().wall.seconds();
    table.show_registration(&binding("a", "102@x", now + 600), None, None);
    table.show_registration(&binding("b", "101@x", now + 60), None, None);
    table.show_registration(&binding("b", "101@x", now + 90), None, None);
    table.show_registration(&binding("c", "103@x", now), None, None);
    let mut far = binding("d", "104@x", now + 90);
    far.upstream = "pbx".to_owned();
    table.show_registration(&far, None, None);
    let (rows, left_off) = table.registrations();
    let seen: Vec<_> = rows.iter().map(|r| (r.user.as_str(), r.registrar.as_str())).collect();
    assert_eq!(seen, [("101@x", "local"), ("102@x", "local"), ("104@x", "pbx")]);
    assert!((80..=90).contains(&rows[0].expires_s), "the later one of a key: {rows:?}");
    assert_eq!(left_off, 0);
    table.hide_registration("b");
    assert_eq!(table.registrations().0.len(), 2);
}

#[test]
fn phones_that_are_gone_are_counted_until_they_come_again_or_end() {
    let table = table();
    let now = table.clock.now().wall.seconds();
    let gone = |key: &str, expires: u64| {
        let reach = Reach::Gone;
        table.show_registration(
            &StoredBinding { reach, ..binding(key, "101@x", expires) },
            None,
            None,
        );
    };
    gone("a", now + 60);
    gone("b", now + 60);
    gone("over", now);
    table.show_registration(&binding("c", "102@x", now + 60), None, None);
    assert_eq!((table.gone(), table.registrations().0[0].reach), (2, Reach::Gone));
    table.show_registration(&binding("a", "101@x", now + 60), None, None);
    assert_eq!(table.gone(), 1);
    table.hide_registration("b");
    assert_eq!(table.gone(), 0);
}

#[test]
fn a_loop_that_stands_still_is_told_and_rows_are_of_its_last_turn() {
    let table = table();
    assert!(!table.standing().is_still());
    let begun = table.clock.now();
    table.show_call(view(1, "101", begun, Some(begun)));
    table.show_registration(&binding("a", "101@x", begun.wall.seconds() + 60), None, None);
    table.turned(begun.mono);
    // The clock goes on for two hours, the loop does not.
    let hours = Duration::from_secs(7_200);
    let later = begun.after(hours);
    assert!(table.standing_at(later).is_still());
    let told = table.standing_at(later).to_string();
    assert_eq!(told, "the event loop has stood still for 7200 s");
    assert_eq!(table.calls_at(later).0[0].duration_ms, Some(0), "nobody knows that it still talks");
    let row = table.registrations_at(later).0.remove(0);
    assert_eq!((row.expires_s, row.reach), (60, Reach::Unknown), "as it was then, and now?");
    table.turned(later.mono);
    assert!(!table.standing_at(later).is_still());
    assert_eq!(table.calls_at(later).0[0].duration_ms, Some(7_200_000));
    assert_eq!(table.registrations_at(later).0, []);
}

#[test]
fn figures_are_those_of_the_loop_and_their_age_the_readers() {
    let table = table();
    assert_eq!(table.report().stats.registrations, [0; 5]);
    let stats = Stats { registrations: [1, 2, 3, 4, 5], ..Stats::default() };
    let report = Report { stats, connections: 6, ..Report::default() };
    let now = table.clock.now().mono;
    let drain_until = Some(now + Duration::from_secs(60));
    table.publish(Figures { turn: 1, drain_until, report });
    let r = table.report_at(table.clock.now().after(STILL));
    assert_eq!((r.stats.registrations, r.connections), ([1, 2, 3, 4, 5], 6));
    assert!(r.standing.is_still());
    assert!(r.drain_left.is_some_and(|left| left <= Duration::from_secs(60) && !left.is_zero()));
    assert_eq!((r.audit, r.relay), ([0; 4], crate::driver::relay_worker::Totals::default()));
}

#[test]
fn a_reader_waits_for_the_turn_under_way_and_no_longer_than_it_should() {
    block_on(async {
        let table = Arc::new(table());
        let figures = |turn| Figures { turn, ..Figures::default() };
        // Nothing is under way.
        table.settled().await;
        table.begin();
        let reader = tokio::spawn({
            let table = table.clone();
            async move {
                table.settled().await;
                table.figures.load().turn
            }
        });
        tokio::task::yield_now().await;
        assert!(!reader.is_finished());
        table.publish(figures(table.turn()));
        assert_eq!(reader.await.unwrap(), 1);
        // A turn that takes too long is not waited for.
        table.begin();
        let before = tokio::time::Instant::now();
        table.settled().await;
        assert_eq!((before.elapsed(), table.figures.load().turn), (STEP * 25, 1));
    });
}

#[test]
fn what_a_phone_calls_itself_and_since_when_it_is_there_outlives_its_refreshes() {
    let table = table();
    let now = table.clock.now().wall;
    let first = binding("a", "101@x", now.seconds() + 60);
    table.show_registration(&first, Some("Linphone/5.2"), Some(now));
    let later = Wall(now.0 + Duration::from_secs(30));
    table.show_registration(&binding("a", "101@x", now.seconds() + 90), None, Some(later));
    table.show_registration(&binding("b", "102@x", now.seconds() + 90), None, None);
    let (rows, _) = table.registrations();
    let seen: Vec<_> = rows.iter().map(|r| (r.agent.as_deref(), r.since)).collect();
    assert_eq!(seen, [(Some("Linphone/5.2"), Some(now.seconds())), (None, None)]);
}
