//! What a seed's gateway was given, in order: kept while the seed runs, shown when it fails. Lines
//! are short, or hold whole messages where one seed is looked at.

use super::Msg;
use portreeve::engine::Input;
use portreeve::ground::{Flow, Now};
use std::cell::RefCell;
use std::collections::VecDeque;

/// Lines that are kept of a seed among many.
const LAST: usize = 60;

#[derive(Debug, Default)]
struct Trace {
    lines: VecDeque<String>,
    full: bool,
}

thread_local! {
    static KEPT: RefCell<Option<Trace>> = const { RefCell::new(None) };
}

/// From now on this thread keeps a trace; `full`: all of it, with what messages say.
pub(crate) fn begin(full: bool) {
    KEPT.with_borrow_mut(|kept| *kept = Some(Trace { lines: VecDeque::new(), full }));
}

/// What was kept, oldest first.
pub(crate) fn end() -> Vec<String> {
    KEPT.with_borrow_mut(|kept| kept.take().map(|t| Vec::from(t.lines)).unwrap_or_default())
}

/// Something that is done to the gateway, or to the world around it.
pub(crate) fn note(now: Now, line: impl FnOnce(bool) -> String) {
    KEPT.with_borrow_mut(|kept| {
        let Some(trace) = kept else { return };
        let line = line(trace.full);
        trace.lines.push_back(format!("{:9.3} {line}", now.mono.0.as_secs_f64()));
        if !trace.full && trace.lines.len() > LAST {
            trace.lines.pop_front();
        }
    });
}

/// An input as a line.
pub(crate) fn input(now: Now, input: &Input) {
    note(now, |full| match input {
        Input::Message { flow, bytes } => said("in ", flow, bytes, full),
        Input::Resolved(question, reply) => format!("dns {question}: {reply:?}"),
        Input::TransportFailed(flow) => format!("cannot reach {}", flow.peer),
        Input::ConnectionClosed(conn) => format!("{conn:?} is closed"),
        Input::Timeout => "a timer".to_owned(),
        Input::Restore(entries) => format!("restores {} entries", entries.len()),
        Input::Reload(_) => "reloads".to_owned(),
        other if full => format!("{other:?}"),
        other => format!("{other:?}").chars().take(100).collect(),
    });
}

/// A message that leaves.
pub(crate) fn sent(now: Now, msg: &Msg) {
    note(now, |full| said("out", &msg.flow, &msg.bytes, full));
}

fn said(which: &str, flow: &Flow, bytes: &[u8], full: bool) -> String {
    let text = String::from_utf8_lossy(bytes);
    if full {
        return format!("{which} {} at socket {}\n{text}", flow.peer, flow.listener.0);
    }
    let row = |name: &str| text.lines().find(|l| l.starts_with(name)).unwrap_or_default();
    let start = text.lines().next().unwrap_or_default();
    format!("{which} {} {start} | {} | {}", flow.peer, row("CSeq"), row("Call-ID"))
}
