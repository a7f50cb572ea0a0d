//! What a party's audio was worth over time, as three rows of bars: MOS, loss, jitter. What is not
//! known has its own shape, and stands in the table beneath as unknown.

use super::words::{loss, mos};
use crate::daemon::{TraceView, Window};
use crate::ground::Leg;
use maud::{Markup, html};

const WIDE: f64 = 360.0;
const LEFT: f64 = 44.0;
const HIGH: f64 = 30.0;

/// One row of bars: its name, the value at full height, what is bad, and the value of a window.
struct Row {
    name: &'static str,
    full: f64,
    is_bad: fn(f64) -> bool,
    value: fn(&Window) -> Option<f64>,
}

const ROWS: [Row; 3] = [
    Row { name: "MOS", full: 4.5, is_bad: |v| v < 3.6, value: |w| w.mos },
    Row { name: "loss %", full: 10.0, is_bad: |v| v >= 1.0, value: percent },
    Row { name: "jitter ms", full: 60.0, is_bad: |v| v >= 30.0, value: |w| w.jitter_ms },
];

fn percent(w: &Window) -> Option<f64> {
    let (lost, all) = (u32::try_from(w.lost).ok()?, u32::try_from(w.expected).ok()?);
    (all > 0).then(|| f64::from(lost) * 100.0 / f64::from(all))
}

/// Both parties', side by side.
pub(super) fn strips(trace: &TraceView) -> Markup {
    html! {
        div.strips {
            @for leg in [Leg::Caller, Leg::Callee] {
                @let own: Vec<&Window> = trace.windows.iter().filter(|w| w.leg == leg).collect();
                section aria-label=(format!("audio from the {leg} over time")) {
                    h3 { "From the " (leg) }
                    @if own.is_empty() {
                        p.unknown { "not measured: no window of 10 s is over" }
                    } @else {
                        (strip(leg, &own))
                        (numbers(leg, &own))
                    }
                }
            }
        }
    }
}

fn strip(leg: Leg, windows: &[&Window]) -> Markup {
    let count = u32::try_from(windows.len()).unwrap_or(u32::MAX);
    let wide = ((WIDE - LEFT) / f64::from(count.max(12))).min(24.0);
    let height = 3.0 * (HIGH + 8.0);
    html! {
        svg viewBox=(format!("0 0 {WIDE} {height}")) role="img"
            aria-label=(format!("MOS, loss and jitter from the {leg}, a bar a window")) {
            @for (row, top) in ROWS.iter().zip([0.0, HIGH + 8.0, 2.0 * (HIGH + 8.0)]) {
                text.s x="0" y=(top + HIGH - 2.0) { (row.name) }
                line.post x1=(LEFT) x2=(WIDE) y1=(top + HIGH) y2=(top + HIGH) {}
                @for (w, n) in windows.iter().zip(0_u32..) {
                    (bar(row, w, LEFT + wide * f64::from(n), top, wide))
                }
            }
        }
    }
}

fn bar(row: &Row, w: &Window, x: f64, top: f64, wide: f64) -> Markup {
    let title = |what: &str| format!("{} at {} s: {what}", row.name, w.at_ms / 1_000);
    let width = format!("{:.1}", (wide - 1.5).max(0.8));
    let x = format!("{x:.1}");
    let Some(value) = (row.value)(w) else {
        return html! {
            rect.none x=(x) y=(top + HIGH - 4.0) width=(width) height="4" {
                title { (title("unknown")) }
            }
        };
    };
    let high = (value / row.full).clamp(0.03, 1.0) * HIGH;
    html! {
        rect.bar.x[(row.is_bad)(value)] x=(x) y=(format!("{:.1}", top + HIGH - high))
            width=(width) height=(format!("{high:.1}")) {
            title { (title(&format!("{value:.2}"))) }
        }
    }
}

/// The same in numbers, for who does not see bars.
fn numbers(leg: Leg, windows: &[&Window]) -> Markup {
    html! {
        details id=(format!("windows-{leg}")) {
            summary { "in numbers" }
            div.scroll tabindex="0" role="region" aria-label=(format!("windows of the {leg}")) {
                table {
                    thead { tr {
                        th.n scope="col" { "until, s" } th.n scope="col" { "lost" }
                        th.n scope="col" { "jitter, ms" } th.n scope="col" { "MOS" }
                    } }
                    tbody { @for w in windows { tr {
                        td.n { (w.at_ms / 1_000) }
                        td.n { (loss(w.lost, w.expected)) }
                        td.n { @match w.jitter_ms {
                            Some(ms) => { (format!("{ms:.1}")) }
                            None => { span.unknown { "unknown" } }
                        } }
                        td.n { (mos(w.mos, w.unmeasured)) }
                    } } }
                }
            }
        }
    }
}
