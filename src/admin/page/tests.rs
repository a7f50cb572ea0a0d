//! What is drawn, and what is not drawn for whom.

use super::*;
use crate::audit::{Finding, LegQuality, PartyView};
use crate::daemon::{EndedCall, Note, RegistrationRow, Report, TraceView, Window};
use crate::engine::{CallDetail, CallRow, CallState, CallView, LegView, Reach, StreamView};
use crate::ground::{CallDirection, Leg, Now, Side, Transport};

/// What somebody may call himself who means harm.
const HOSTILE: &str = "\u{202e}</text><script>alert(1)</script>\u{0}\"'>";

fn detail(from: &str) -> CallDetail {
    let now = Now::default();
    let party = |ip: &str| PartyView {
        side: Side::Inside,
        transport: Transport::Udp,
        address: ip.parse().unwrap(),
        upstream: None,
        call_id: from.to_owned(),
    };
    let quality = LegQuality { mos: Some(4.21), lost: 3, expected: 300, ..LegQuality::default() };
    let heard = LegView {
        port: 20_000,
        party: None,
        packets: Some(297),
        total: Some(quality),
        window: None,
        phone_report: None,
    };
    let silent = LegView { total: None, packets: None, ..heard.clone() };
    let view = CallView {
        call: CallNo(7),
        from: from.to_owned(),
        to: "102".to_owned(),
        state: CallState::Confirmed,
        direction: CallDirection::Internal,
        since: 1_767_571_200,
        started: now.into(),
        answered: Some(now.into()),
    };
    CallDetail {
        row: CallRow { view, age_ms: 48_000, duration_ms: Some(46_000) },
        call_id: from.to_owned(),
        ring_ms: Some(250),
        setup_ms: Some(1_500),
        caller: party("10.0.0.2:5060"),
        callees: vec![party("10.0.0.3:5060")],
        streams: vec![StreamView { media: "audio".to_owned(), caller: heard, callee: silent }],
        findings: vec![Finding::OneWayAudio],
    }
}

fn trace(hops: usize) -> TraceView {
    let mut tracer = crate::daemon::sample_trace(hops, HOSTILE);
    tracer.notes.push(Note {
        at_ms: 9_000,
        text: HOSTILE.to_owned(),
        finding: Some(Finding::OneWayAudio),
    });
    tracer.windows.push(Window {
        leg: Leg::Caller,
        at_ms: 10_000,
        windows: 1,
        expected: 500,
        lost: 5,
        jitter_ms: Some(3.2),
        mos: Some(2.9),
        unmeasured: None,
    });
    tracer
}

fn report() -> Report {
    Report { site: HOSTILE.to_owned(), ..Report::default() }
}

fn snapshot(detail: &CallDetail) -> Snapshot {
    let text = include_str!("../../../configs/minimal.toml");
    let phone = RegistrationRow {
        user: HOSTILE.to_owned(),
        contact: HOSTILE.to_owned(),
        address: "10.0.0.2:5060".parse().unwrap(),
        transport: Transport::Udp,
        local: "10.0.0.1:5060".parse().unwrap(),
        expires_s: 60,
        registrar: HOSTILE.to_owned(),
        agent: Some(HOSTILE.to_owned()),
        since: None,
        reach: Reach::Registered,
    };
    Snapshot {
        report: report(),
        calls: vec![snapshot::Known { row: detail.row.clone(), detail: Some(detail.clone()) }],
        more_calls: 5,
        phones: vec![phone],
        more_phones: 0,
        ended: vec![Arc::new(ended(detail.clone()))],
        shares: Vec::new(),
        refusals: Vec::new(),
        config: crate::config::Config::parse("t", text, &crate::config::Environment::default())
            .unwrap(),
    }
}

fn ended(mut detail: CallDetail) -> EndedCall {
    detail.row.view.state = CallState::Ended;
    EndedCall {
        detail,
        ended: 1_767_571_260,
        outcome: crate::audit::Outcome::Answered,
        status: 200,
        ended_by: Some(crate::audit::EndedBy::Callee),
        rule: HOSTILE.to_owned(),
        target: HOSTILE.to_owned(),
        segments: Vec::new(),
    }
}

fn is_harmless(told: &str) {
    assert!(!told.contains("<script"), "{told}");
    let treacherous = |c| c != '\n' && crate::ground::is_treacherous(c);
    assert!(!told.chars().any(treacherous), "{told}");
    assert!(told.contains("\\u{202e}"), "it is seen that it was there: {told}");
}

#[test]
fn hostile_names_are_seen_and_do_nothing_on_any_page() {
    let detail = detail(HOSTILE);
    let s = snapshot(&detail);
    is_harmless(&now::page(&s).into_string());
    is_harmless(&now::ended(&s.ended).into_string());
    let (over, trace) = (ended(detail.clone()), trace(5));
    let known = call::Known { detail: &detail, over: Some(&over), trace: Some(&trace) };
    is_harmless(&call::page(&known).into_string());
    let at = Some("10.0.0.2:5060".parse().unwrap());
    let row = crate::daemon::Refusal {
        number: 1,
        at_ms: 1,
        what: HOSTILE.to_owned(),
        who: HOSTILE.to_owned(),
        to: HOSTILE.to_owned(),
        source: at,
        rule: HOSTILE.to_owned(),
        why: HOSTILE.to_owned(),
    };
    let s = Snapshot { refusals: vec![Arc::new(row)], ..s };
    is_harmless(&book::page(&s, HOSTILE).into_string());
    let whole = layout::page(Tab::Now, &words::said(HOSTILE), "Now", None, &html! {});
    is_harmless(&whole.into_string().replacen("<script src=\"/page.js\"", "", 1));
}

#[test]
fn a_call_is_shown_with_its_figures_its_findings_and_what_is_not_known() {
    let (detail, trace) = (detail("101"), trace(3));
    let known = call::Known { detail: &detail, over: None, trace: Some(&trace) };
    let told = call::page(&known).into_string();
    for want in [
        "Call 7: 101 → 102",
        "MOS 4.21 good",
        "loss 1.0 %",
        "unknown (not measured yet)",
        "Only one party is heard",
        "What to do: Look at the address",
        "<time datetime=\"2026-01-05T00:00:00.000Z\">",
        "2.90 bad",
        "<svg",
    ] {
        let spans = ["<span>", "<span class=\"\">", "<span class=\"bad\">", "</span>"];
        let told = spans.iter().fold(told.clone(), |told, span| told.replace(span, ""));
        assert!(told.contains(want), "{want} in {told}");
    }
    let none = call::Known { detail: &detail, over: None, trace: None };
    assert!(call::page(&none).into_string().contains("unknown (it is not traced"));
}

#[test]
fn a_long_trace_is_drawn_in_part_and_says_so() {
    let long = trace(1_000);
    let detail = detail("101");
    let known = call::Known { detail: &detail, over: None, trace: Some(&long) };
    let told = call::page(&known).into_string();
    assert!(told.contains("steps are left off") && told.contains("880 messages are left off"));
    assert!(told.len() < 400_000, "{}", told.len());
}

#[test]
fn events_are_of_known_views_and_a_line_of_data_each() {
    for view in [View::Now, View::Calls, View::Book, View::Call(CallNo(12))] {
        let query = format!("view={}", view.query());
        assert_eq!(View::of_query(Some(&query)), Some(view));
    }
    for query in [None, Some(""), Some("view="), Some("view=call-x"), Some("view=../now")] {
        assert_eq!(View::of_query(query), None, "{query:?}");
    }
    assert_eq!(data("a\nb"), "data: a\ndata: b\n");
    assert_ne!(mark("a"), mark("b"));
}
