//! The trace of calls: what came in and what went out of each, message by message, with what was
//! changed on the way, and what its media did. The event loop tells it of every input and effect;
//! the engine says which legs and streams are of which call. It never holds credentials, and of a
//! body only lines of SDP that say where media go; it does no work for a packet of media. All of
//! it is bounded, and read when asked ([`super::Ask::Trace`]).

mod changes;
mod media;
mod sketch;

pub use changes::Change;
pub use media::{Note, Window};

use crate::audit::{Finding, Record};
use crate::config::{Config, Listener};
use crate::engine::{Belongs, Input};
use crate::ground::{CallNo, Flow, ListenerId, Now, Side, Transport};
use crate::relay::StreamId;
use crate::wire::sip::Message;
use bytes::Bytes;
use media::Media;
use serde::Serialize;
use sketch::Sketch;
use smallvec::SmallVec;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;

/// Octets that all traces may take.
const OCTETS: usize = 32 << 20;
/// What a call's trace takes before anything happens in it, nearly.
const TRACE: usize = 2_048;
/// Calls of one Call-ID and side that a message is noted of.
const PASSES: usize = 2;
/// Messages of one step that are looked at.
const STEP: usize = 256;

/// One message of a call.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Hop {
    /// Milliseconds since the first message.
    pub at_ms: u64,
    /// It came; else we sent it.
    pub heard: bool,
    /// Which side the other end is on.
    pub side: Side,
    /// By which transport.
    pub transport: Transport,
    /// The other end.
    pub peer: SocketAddr,
    /// Our own socket.
    pub local: SocketAddr,
    /// The start line.
    pub start: String,
    /// Method that it is of, or that it answers.
    pub method: String,
    /// Number of its CSeq.
    pub cseq: u32,
    /// Lines of its SDP that say where media go and come from, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sdp: Vec<String>,
    /// The same went the same way before.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
    /// We made it: nothing came that it passes on.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub made: bool,
    /// What is other than in the message that came.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    #[serde(skip)]
    sketch: Sketch,
}

/// Everything that is known of a call's way through.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TraceView {
    /// Its number.
    pub call: CallNo,
    /// Wall milliseconds of its first message.
    pub begun_ms: u64,
    /// Its messages, oldest first.
    pub messages: Vec<Hop>,
    /// Messages that are no longer kept, from between the first ones and the last ones.
    pub left_off: u64,
    /// What happened to its media, and findings.
    pub notes: Vec<Note>,
    /// What its media were worth over time.
    pub windows: Vec<Window>,
}

/// A socket of ours.
#[derive(Clone, Copy, Debug)]
struct Socket {
    side: Side,
    local: SocketAddr,
}

#[derive(Debug)]
struct Trace {
    begun: Now,
    messages: VecDeque<Hop>,
    left_off: u64,
    media: Media,
    legs: Vec<Box<str>>,
    streams: Vec<StreamId>,
    octets: usize,
}

/// The traces of all calls that are kept.
#[derive(Debug, Default)]
pub(super) struct Tracer {
    sockets: HashMap<ListenerId, Socket>,
    /// Which calls have a leg of this Call-ID.
    legs: HashMap<Box<str>, SmallVec<[(Side, CallNo); 1]>>,
    streams: HashMap<StreamId, CallNo>,
    traces: BTreeMap<CallNo, Trace>,
    octets: usize,
    /// Messages of the step that runs: true for the one that came.
    step: Vec<(bool, Flow, Bytes)>,
    /// Calls that the engine named in it.
    named: SmallVec<[CallNo; 2]>,
}

impl Tracer {
    /// This is the configuration now: our sockets are what it says.
    pub(super) fn follow(&mut self, config: &Config) {
        let side = |l: &Listener| config.interfaces.get(l.interface).map(|i| i.side);
        let all = config.listeners().into_iter();
        let sockets = all.filter_map(|l| Some((l.id, Socket { side: side(&l)?, local: l.bind })));
        self.sockets = sockets.collect();
    }

    /// An input is about to be handled.
    pub(super) fn heard(&mut self, now: Now, input: &Input) {
        if let Input::Message { flow, bytes } = input {
            self.note(true, flow, bytes);
        }
        if let Input::Relay(event) = input {
            let call = self.streams.get(&media::stream_of(event)).copied();
            self.change(call, |trace| trace.media.hear(now.mono.since(trace.begun.mono), event));
        }
    }

    /// We send a message.
    pub(super) fn sent(&mut self, flow: &Flow, bytes: &Bytes) {
        self.note(false, flow, bytes);
    }

    fn note(&mut self, heard: bool, flow: &Flow, bytes: &Bytes) {
        if self.step.len() < STEP && sketch::may_be_of_a_call(bytes) {
            self.step.push((heard, *flow, bytes.clone()));
        }
    }

    /// The engine says what is of which call.
    pub(super) fn belongs(&mut self, now: Now, what: Belongs) {
        let (Belongs::Leg { call, .. } | Belongs::Stream { call, .. }) = what;
        let trace = self.traces.entry(call).or_insert_with(|| {
            self.octets += TRACE;
            Trace::new(now)
        });
        match what {
            Belongs::Leg { side, call_id, .. } => {
                self.named.push(call);
                let calls = self.legs.entry(call_id.as_str().into()).or_default();
                if !calls.contains(&(side, call)) {
                    calls.push((side, call));
                    trace.legs.push(call_id.into());
                }
            }
            Belongs::Stream { stream, .. } => {
                trace.streams.push(stream);
                self.streams.insert(stream, call);
            }
        }
    }

    /// A finding was told.
    pub(super) fn read(&mut self, now: Now, record: &Record) {
        let Record::Finding { call, finding, evidence, .. } = record else { return };
        self.find(now, *call, *finding, evidence);
    }

    fn find(&mut self, now: Now, call: CallNo, finding: Finding, evidence: &str) {
        self.change(Some(call), |trace| {
            trace.media.find(now.mono.since(trace.begun.mono), finding, evidence);
        });
    }

    /// All effects of an input are done. `most`: `limits.trace`.
    pub(super) fn settle(&mut self, now: Now, most: usize) {
        for (heard, flow, bytes) in std::mem::take(&mut self.step) {
            let Some(socket) = self.sockets.get(&flow.listener).copied() else { continue };
            let Some((message, calls)) = self.of_calls(&flow, bytes, socket.side) else { continue };
            let sketch = Sketch::of(&message);
            for call in calls {
                self.change(Some(call), |trace| {
                    trace.add(now, (heard, &flow, socket), sketch.clone(), most);
                });
            }
        }
        self.named.clear();
        while self.octets > OCTETS {
            let Some(call) = self.traces.keys().next().copied() else { break };
            self.forget(call);
        }
    }

    /// The calls that a message is of. Where two have its Call-ID on its side (a spiral), those
    /// that the engine named in this step, else both.
    fn of_calls(
        &self,
        flow: &Flow,
        bytes: Bytes,
        side: Side,
    ) -> Option<(Message, SmallVec<[CallNo; 2]>)> {
        if self.legs.is_empty() {
            return None;
        }
        let message = sketch::read(flow, bytes)?;
        let of = self.legs.get(message.call_id())?;
        // A spiral has two; whoever makes more calls of one Call-ID sees the newest ones' alone.
        let here = of.iter().rev().filter(|(at, _)| *at == side).map(|(_, call)| *call);
        let all: SmallVec<[CallNo; 2]> = here.take(PASSES).collect();
        let named: SmallVec<[CallNo; 2]> =
            all.iter().copied().filter(|call| self.named.contains(call)).collect();
        Some((message, if named.is_empty() { all } else { named }))
    }

    /// Changes a trace, and counts what it takes after that.
    fn change(&mut self, call: Option<CallNo>, change: impl FnOnce(&mut Trace)) {
        let Some(trace) = call.and_then(|call| self.traces.get_mut(&call)) else { return };
        change(trace);
        let after = TRACE + trace.measure();
        self.octets = self.octets + after - trace.octets;
        trace.octets = after;
    }

    /// A call is no longer kept.
    pub(super) fn forget(&mut self, call: CallNo) {
        let Some(trace) = self.traces.remove(&call) else { return };
        self.octets -= trace.octets;
        for leg in &trace.legs {
            if let Some(calls) = self.legs.get_mut(leg) {
                calls.retain(|(_, other)| *other != call);
                if calls.is_empty() {
                    self.legs.remove(leg);
                }
            }
        }
        for stream in &trace.streams {
            self.streams.remove(stream);
        }
    }

    /// The trace of a call; `None`: there is none, or no longer.
    pub(super) fn view(&self, call: CallNo) -> Option<TraceView> {
        let trace = self.traces.get(&call)?;
        let begun = trace.begun.wall.0.as_millis();
        Some(TraceView {
            call,
            begun_ms: u64::try_from(begun).unwrap_or(u64::MAX),
            messages: trace.messages.iter().cloned().collect(),
            left_off: trace.left_off,
            notes: trace.media.notes(),
            windows: trace.media.windows(),
        })
    }
}

impl Trace {
    fn new(begun: Now) -> Self {
        Self {
            begun,
            messages: VecDeque::new(),
            left_off: 0,
            media: Media::default(),
            legs: Vec::new(),
            streams: Vec::new(),
            octets: TRACE,
        }
    }

    fn add(
        &mut self,
        now: Now,
        (heard, flow, socket): (bool, &Flow, Socket),
        sketch: Sketch,
        most: usize,
    ) {
        let same = |h: &&Hop| h.heard == heard && h.peer == flow.peer && h.sketch.is(&sketch);
        let again = self.messages.iter().rev().any(|h| same(&h) && h.start == sketch.start);
        let came = |h: &&Hop| h.heard && h.sketch.is(&sketch) && h.peer != flow.peer;
        let before = self.messages.iter().rev().find(came).filter(|_| !heard);
        let made = !heard && before.is_none();
        let changes = match before {
            Some(before) if !again => changes::between(&before.sketch, &sketch),
            Some(_) | None => Vec::new(),
        };
        let at_ms = now.mono.since(self.begun.mono).as_millis();
        self.messages.push_back(Hop {
            at_ms: u64::try_from(at_ms).unwrap_or(u64::MAX),
            heard,
            side: socket.side,
            transport: flow.transport,
            peer: flow.peer,
            local: socket.local,
            start: sketch.start.clone(),
            method: sketch.method.clone(),
            cseq: sketch.cseq,
            sdp: sketch.sdp.clone(),
            again,
            made,
            changes,
            sketch,
        });
        // How it began is what is asked for later: the second half gives way.
        while self.messages.len() > most {
            self.messages.remove(most / 2);
            self.left_off += 1;
        }
    }

    fn measure(&self) -> usize {
        let hops: usize = self.messages.iter().map(Hop::octets).sum();
        let legs: usize = self.legs.iter().map(|leg| leg.len() + 64).sum();
        hops + legs + self.media.octets() + self.streams.len() * 32
    }
}

impl Hop {
    fn octets(&self) -> usize {
        let sdp: usize = self.sdp.iter().map(String::len).sum();
        let changes: usize = self.changes.iter().map(Change::octets).sum();
        size_of::<Self>()
            + self.start.len()
            + self.method.len()
            + sdp
            + changes
            + self.sketch.octets()
    }
}

/// A trace of so many messages that say what somebody wrote, for tests of who shows traces.
#[cfg(test)]
pub(crate) fn sample(messages: usize, words: &str) -> TraceView {
    let hop = |n: usize| Hop {
        at_ms: n as u64 * 10,
        heard: n.is_multiple_of(2),
        side: Side::Inside,
        transport: Transport::Udp,
        peer: ([10, 0, 0, if n % 4 < 2 { 2 } else { 3 }], 5060).into(),
        local: ([10, 0, 0, 1], 5060).into(),
        start: format!("INVITE sip:{words}"),
        method: "INVITE".to_owned(),
        cseq: 1,
        sdp: vec![words.to_owned()],
        again: false,
        made: false,
        changes: vec![Change {
            what: words.to_owned(),
            before: words.to_owned(),
            after: String::new(),
        }],
        sketch: Sketch::default(),
    };
    TraceView {
        call: CallNo(7),
        begun_ms: 0,
        messages: (0..messages).map(hop).collect(),
        left_off: 0,
        notes: Vec::new(),
        windows: Vec::new(),
    }
}

#[cfg(test)]
mod tests;
