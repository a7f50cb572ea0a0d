//! A call on a page of its own, under way or over: who, how it ended, what was found wrong with
//! it, its ladder with what was changed at each hop, its media over time.

use super::ladder::ladder;
use super::strip::strips;
use super::words::{finding, leg, said, time_of, unknown};
use crate::audit::PartyView;
use crate::daemon::{EndedCall, Hop, TraceView};
use crate::engine::{CallDetail, CallState};
use crate::ground::{CallNo, clock};
use maud::{Markup, html};

/// Messages whose changes are written out, at each end of a long trace.
const END: usize = 60;

/// What is known of a call.
pub(super) struct Known<'a> {
    pub(super) detail: &'a CallDetail,
    pub(super) over: Option<&'a EndedCall>,
    pub(super) trace: Option<&'a TraceView>,
}

pub(super) fn page(known: &Known<'_>) -> Markup {
    let d = known.detail;
    let v = &d.row.view;
    html! {
        h1 { "Call " (v.call) ": " (said(&v.from)) " → " (said(&v.to)) }
        p.soft { (v.direction) ", begun " (time_of(v.since)) ", Call-ID "
            span.mono { (said(&d.call_id)) } }
        (facts(known))
        @if !d.findings.is_empty() {
            h2 { "Findings" }
            (findings(known))
        }
        h2 { "Ladder" }
        @match known.trace {
            Some(trace) => {
                (ladder(trace, &format!("messages of call {}", v.call)))
                (hops(trace))
            }
            None => p { (unknown("it is not traced: limits.trace is 0, or others needed the room")) }
        }
        h2 { "Audio over time" }
        @match known.trace {
            Some(trace) => (strips(trace)),
            None => p { (unknown("it is not traced")) }
        }
        h2 { "Parties" }
        (parties(d))
        @if let Some(over) = known.over { (segments(over)) }
    }
}

/// A number that no call has.
pub(super) fn absent(no: CallNo) -> Markup {
    html! {
        h1 { "Call " (no) }
        p { "There is no call of this number, or no longer: the audit log has every call; the last \
             ones that are over stay readable (" code { "limits.recent_calls" } ")." }
        p { a href="/last" { "Calls that are readable" } }
    }
}

/// State of a call in the words that sngrep's users know.
pub(super) fn state(state: CallState) -> &'static str {
    match state {
        CallState::Early => "call setup",
        CallState::Confirmed => "in call",
        CallState::Held => "on hold",
        CallState::Ended => "ended",
    }
}

/// How a call ended, in words.
pub(super) fn ending(over: &EndedCall) -> String {
    match over.ended_by {
        Some(by) => format!("ended by {}", by.as_str().replace('_', " ")),
        None => format!("{} ({})", over.outcome.as_str().replace('_', " "), over.status),
    }
}

fn facts(known: &Known<'_>) -> Markup {
    let d = known.detail;
    let seconds = |ms: u64| match ms {
        0..1_000 => format!("{ms} ms"),
        _ => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
    };
    let audio = d.streams.iter().find(|s| s.media == "audio");
    html! {
        dl.facts {
            div { dt { "State" } dd { (state(d.row.view.state)) @if let Some(over) = known.over {
                small { (ending(over)) ", " (time_of(over.ended)) }
            } } }
            div { dt { "Talk" } dd { @match d.row.duration_ms {
                Some(ms) => (clock(ms / 1_000)),
                None => small { "not answered" },
            } } }
            div { dt { "Ringing after" } dd { @match d.ring_ms {
                Some(ms) => (seconds(ms)),
                None => small.unknown { "it did not ring" },
            } } }
            div { dt { "Answer after" } dd { @match d.setup_ms {
                Some(ms) => (seconds(ms)),
                None => small { "not answered" },
            } } }
            div { dt { "From the caller" } dd { (leg(audio.map(|s| &s.caller))) } }
            div { dt { "From the callee" } dd { (leg(audio.map(|s| &s.callee))) } }
        }
        @if let Some(over) = known.over {
            @if !over.rule.is_empty() {
                p.soft { "Let pass by rule " b { (said(&over.rule)) } " to " (said(&over.target)) }
            }
        }
    }
}

fn findings(known: &Known<'_>) -> Markup {
    let evidence = |f| {
        let notes = known.trace.map(|t| t.notes.as_slice()).unwrap_or_default();
        notes.iter().find(|n| n.finding == Some(f)).map(|n| n.text.as_str())
    };
    html! {
        ul.alerts {
            @for f in &known.detail.findings {
                @let (what, todo) = finding(*f);
                li.alarm {
                    b { (what) } span.soft { "(" (f.as_str()) ")" }
                    @if let Some(text) = evidence(*f) { p { (crate::ground::shown(text)) } }
                    p { "What to do: " (todo) }
                }
            }
        }
    }
}

fn parties(d: &CallDetail) -> Markup {
    let one = |role: &str, p: &PartyView| {
        html! {
            dt { (role) }
            dd {
                (p.side) ", " (p.transport) " " span.mono { (p.address) }
                @if let Some(upstream) = &p.upstream { ", upstream " (said(upstream)) }
                br; span.soft.mono { "Call-ID " (said(&p.call_id)) }
            }
        }
    };
    html! {
        dl.pairs {
            (one("caller", &d.caller))
            @for callee in d.callees.iter().take(8) { (one("callee", callee)) }
            @for s in d.streams.iter().take(8) {
                @for (who, leg) in [("caller", &s.caller), ("callee", &s.callee)] {
                    dt { (said(&s.media)) ", " (who) }
                    dd {
                        "our port " (leg.port)
                        @if let Some(at) = leg.party { ", sent to " span.mono { (at) } }
                        @match leg.packets {
                            Some(n) => { ", " (n) " packets came" }
                            None => { ", packets " (unknown("not asked for yet")) }
                        }
                    }
                }
            }
        }
    }
}

fn segments(over: &EndedCall) -> Markup {
    html! {
        @for s in &over.segments {
            p.soft { "The " (s.leg) "'s leg went through tunnel " (said(&s.tunnel)) ": "
                (s.cuts) " cuts, " (s.moves) " moves" }
        }
    }
}

/// What was changed in each message, hop by hop.
fn hops(trace: &TraceView) -> Markup {
    let all: Vec<(usize, &Hop)> = trace.messages.iter().enumerate().collect();
    let (first, rest) = all.split_at(all.len().min(END));
    let (middle, last) = rest.split_at(rest.len().saturating_sub(END));
    html! {
        details #hops open[trace.messages.len() <= 12] {
            summary { "What was changed at each hop" }
            ol.hops {
                @for (n, h) in first { (hop(*n, h)) }
                @if !middle.is_empty() { li.more { (middle.len()) " messages are left off" } }
                @for (n, h) in last { (hop(*n, h)) }
            }
            @if trace.left_off > 0 {
                p.more { "and " (trace.left_off) " more that are no longer kept (limits.trace)" }
            }
        }
    }
}

fn hop(n: usize, h: &Hop) -> Markup {
    let way = if h.heard { "came from" } else { "went to" };
    html! {
        li id=(format!("hop-{n}")) tabindex="-1" {
            b { (said(&h.start)) } " "
            span.soft { (way) " " span.mono { (h.peer) } " (" (h.side) ", " (h.transport) ")"
                @if h.again { ", again" } @if h.made { ", made here" } }
            @if !h.changes.is_empty() {
                table.cards.changes {
                    thead { tr { th scope="col" { "what" } th scope="col" { "as it came" }
                        th scope="col" { "as it went out" } } }
                    tbody { @for c in h.changes.iter().take(40) { tr {
                        td data-label="what" { span { (said(&c.what)) } }
                        td data-label="came" { span.mono { (side(&c.before)) } }
                        td data-label="went" { span.mono { (side(&c.after)) } }
                    } } }
                }
            }
        }
    }
}

fn side(value: &str) -> Markup {
    html! { @if value.is_empty() { span.soft { "—" } } @else { (crate::ground::shown(value)) } }
}
