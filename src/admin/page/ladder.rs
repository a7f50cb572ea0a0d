//! The ladder of a call as a picture: who sent what to whom when, with what was changed, drawn
//! here and shown without a script. It draws what a trace holds and nothing else.

use super::words::said;
use crate::daemon::{Hop, TraceView};
use maud::{Markup, html};
use std::net::SocketAddr;

/// Steps of a ladder that are drawn at each end; what is between is left off.
const END: usize = 60;
/// Parties that have a column of their own.
const PARTIES: usize = 4;
const LEFT: usize = 40;
const WIDE: usize = 114;
const ROW: usize = 31;
const TOP: usize = 44;

/// What is drawn in one row.
enum Step<'a> {
    Message(usize, &'a Hop),
    Note(u64, &'a str, bool),
    LeftOff(usize),
}

impl Step<'_> {
    fn at(&self) -> u64 {
        match self {
            Self::Message(_, hop) => hop.at_ms,
            Self::Note(at, ..) => *at,
            Self::LeftOff(_) => 0,
        }
    }
}

/// Columns: parties, the first one that spoke on the left, then we, then the others.
struct Columns {
    parties: Vec<SocketAddr>,
}

impl Columns {
    fn of(trace: &TraceView) -> Self {
        let mut parties: Vec<SocketAddr> = Vec::new();
        for hop in &trace.messages {
            if parties.len() < PARTIES && !parties.contains(&hop.peer) {
                parties.push(hop.peer);
            }
        }
        Self { parties }
    }

    fn x(&self, column: usize) -> usize {
        LEFT + WIDE / 2 + column * WIDE
    }

    /// Our own column is the second.
    fn own(&self) -> usize {
        self.x(1)
    }

    fn party(&self, peer: SocketAddr) -> usize {
        let at = self.parties.iter().position(|p| *p == peer);
        match at.unwrap_or(self.parties.len().saturating_sub(1)) {
            0 => self.x(0),
            n => self.x(n + 1),
        }
    }

    fn width(&self) -> usize {
        LEFT + WIDE * (self.parties.len().max(2) + 1)
    }
}

/// The picture, under `title` for who does not see it.
pub(super) fn ladder(trace: &TraceView, title: &str) -> Markup {
    let steps = steps(trace);
    let columns = Columns::of(trace);
    let (width, height) = (columns.width(), TOP + ROW * steps.len() + 14);
    html! {
        svg.ladder viewBox=(format!("0 0 {width} {height}")) role="group" aria-label=(title) {
            (posts(trace, &columns, height))
            @for (n, step) in steps.iter().enumerate() {
                (row(step, &columns, TOP + ROW * n + 20))
            }
        }
    }
}

/// Messages and notes by time, the middle of a long call left off.
fn steps(trace: &TraceView) -> Vec<Step<'_>> {
    let messages = trace.messages.iter().enumerate().map(|(n, hop)| Step::Message(n, hop));
    let mut all: Vec<Step<'_>> = messages.collect();
    let notes = trace.notes.iter();
    all.extend(notes.map(|n| Step::Note(n.at_ms, &n.text, n.finding.is_some())));
    all.sort_by_key(Step::at);
    if all.len() > 2 * END {
        let gone = all.len() - 2 * END;
        all.drain(END..END + gone);
        all.insert(END, Step::LeftOff(gone));
    }
    all
}

fn posts(trace: &TraceView, columns: &Columns, height: usize) -> Markup {
    let name = |peer: &SocketAddr| {
        let hop = trace.messages.iter().find(|hop| hop.peer == *peer);
        hop.map(|hop| format!("{} {}", hop.side, hop.transport)).unwrap_or_default()
    };
    html! {
        @for peer in &columns.parties {
            @let x = columns.party(*peer);
            line.post x1=(x) x2=(x) y1=(TOP - 8) y2=(height) {}
            text.h x=(x) y="14" text-anchor="middle" { (short(peer)) }
            text.s x=(x) y="28" text-anchor="middle" { (name(peer)) }
        }
        line.post x1=(columns.own()) x2=(columns.own()) y1=(TOP - 8) y2=(height) {}
        text.h.a x=(columns.own()) y="14" text-anchor="middle" { "portreeve" }
    }
}

/// An address as it fits over a column.
fn short(peer: &SocketAddr) -> String {
    let text = peer.to_string();
    if text.len() <= 19 {
        return text;
    }
    text.chars().take(8).chain(['…']).chain(text.chars().skip(text.len() - 9)).collect()
}

fn seconds(ms: u64) -> String {
    let (s, ms) = (ms / 1_000, ms % 1_000);
    if s < 100 { format!("{s}.{ms:03}") } else { format!("{s}.{}", ms / 100) }
}

fn row(step: &Step<'_>, columns: &Columns, y: usize) -> Markup {
    let middle = (LEFT + columns.width()) / 2;
    match step {
        Step::Message(n, hop) => arrow(*n, hop, columns, y),
        Step::Note(at, text, is_finding) => html! {
            text.s x="0" y=(y) { (seconds(*at)) }
            text.s.note.x[*is_finding] x=(middle) y=(y) text-anchor="middle" {
                @if *is_finding { "finding: " } (cut(text, 52))
            }
        },
        Step::LeftOff(n) => html! {
            text.s x=(middle) y=(y) text-anchor="middle" { "… " (n) " steps are left off …" }
        },
    }
}

fn arrow(n: usize, hop: &Hop, columns: &Columns, y: usize) -> Markup {
    let (ours, theirs) = (columns.own(), columns.party(hop.peer));
    let (from, to) = if hop.heard { (theirs, ours) } else { (ours, theirs) };
    // The label stands over the part of the arrow that is beside our own column.
    let label = if theirs < ours { (theirs + ours) / 2 } else { ours + WIDE / 2 };
    let tip = if from < to {
        format!("M{} {} L{} {} L{} {} Z", to - 7, y + 1, to, y + 5, to - 7, y + 9)
    } else {
        format!("M{} {} L{} {} L{} {} Z", to + 7, y + 1, to, y + 5, to + 7, y + 9)
    };
    let under = under(hop);
    html! {
        text.s x="0" y=(y + 4) { (seconds(hop.at_ms)) }
        a href=(format!("#hop-{n}")) aria-label=(format!("details of {}", said(&hop.start))) {
            text x=(label) y=(y) text-anchor="middle" {
                (cut(&name(hop), 19))
            }
        }
        @if !under.is_empty() {
            text.u x=(label) y=(y + 15) text-anchor="middle" { (under) }
        }
        line.again[hop.again].own[hop.made] x1=(from) x2=(to) y1=(y + 5) y2=(y + 5) {}
        path.tip.own[hop.made] d=(tip) {}
    }
}

/// The method of a request, an answer's status and phrase.
fn name(hop: &Hop) -> String {
    let first = hop.start.split(' ').next().unwrap_or_default();
    let is_answer = first.len() == 3 && first.bytes().all(|b| b.is_ascii_digit());
    if is_answer { hop.start.clone() } else { first.to_owned() }
}

/// What is said of a message under its arrow.
fn under(hop: &Hop) -> String {
    let mut words = Vec::new();
    if !hop.sdp.is_empty() {
        words.push("SDP".to_owned());
    }
    if hop.again {
        words.push("again".to_owned());
    }
    if hop.made {
        words.push("made here".to_owned());
    }
    if !hop.changes.is_empty() {
        words.push(format!("{} changed", hop.changes.len()));
    }
    words.join(" · ")
}

fn cut(text: &str, most: usize) -> String {
    let text = said(text);
    if text.chars().count() <= most {
        return text;
    }
    text.chars().take(most - 1).chain(['…']).collect()
}
