//! Streams of calls: which ports they hold, whom they connect, how they ended. Commands for the
//! relay are collected here and taken by the engine.

use super::call::{CallMedia, Face, binds};
use super::claims::Claim;
use super::lent::Lent;
use super::lines::keep_sum;
use super::targets::Targets;
use super::{close, stream_media};
use crate::audit::CallEnd;
use crate::engine::world::World;
use crate::ground::{CallNo, Leg, Mono, Side};
use crate::relay::flow::Lane;
use crate::relay::ports::PortCount;
use crate::relay::quality::Figures;
use crate::relay::{Command, Counters, StreamId};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Media of all calls.
#[derive(Debug)]
pub(in crate::engine::calls) struct MediaTable {
    pub(super) lent: Lent,
    pub(super) calls: HashMap<CallNo, CallMedia>,
    pub(super) streams: HashMap<StreamId, (CallNo, usize)>,
    pub(super) commands: Vec<Command>,
    pub(super) targets: Targets,
    pub(super) next: u64,
}

impl MediaTable {
    pub(in crate::engine::calls) fn new(w: &World, seed: u64) -> Self {
        Self {
            lent: Lent::new(w, seed),
            calls: HashMap::new(),
            streams: HashMap::new(),
            commands: Vec::new(),
            targets: Targets::default(),
            next: 0,
        }
    }

    pub(in crate::engine::calls) fn len(&self) -> usize {
        self.streams.len()
    }

    pub(in crate::engine::calls) fn count(&self, side: Side, now: Mono) -> PortCount {
        self.lent.count(side, now)
    }

    /// Calls that go on by one of these addresses, and what their parties were told of it.
    pub(in crate::engine::calls) fn standing_at(&self, at: &[IpAddr]) -> Vec<(CallNo, IpAddr)> {
        let there = |c: &CallMedia| {
            let open = || c.streams.iter().flatten().filter(|s| s.open);
            let of = |leg: Leg| open().map(move |s| s.faces[leg.index()]).chain([c.face(leg)]);
            // Who was told nothing yet will be told where we are then.
            let mut faces = Leg::ALL.into_iter().filter(|leg| c.is_told(*leg)).flat_map(of);
            faces.find(|f| at.contains(&f.bind)).map(|f| f.shown)
        };
        let all = self.calls.iter().filter(|(_, c)| !c.ended);
        let mut all: Vec<_> = all.filter_map(|(no, c)| Some((*no, there(c)?))).collect();
        all.sort_unstable();
        all
    }

    pub(in crate::engine::calls) fn exclude(&mut self, at: SocketAddr) {
        self.lent.exclude(at);
    }

    pub(in crate::engine::calls) fn take_commands(&mut self) -> Vec<Command> {
        for command in &self.commands {
            self.targets.follow(command);
        }
        std::mem::take(&mut self.commands)
    }

    pub(in crate::engine::calls) fn prepare(
        &mut self,
        call: CallNo,
        faces: [Face; 2],
        call_ids: [String; 2],
        claim: Claim,
    ) {
        let fresh = || CallMedia::new(faces, call_ids.clone(), claim.clone());
        let media = self.calls.entry(call).or_insert_with(fresh);
        self.lent.held_by(call, &claim.holder);
        media.claim = claim;
    }

    pub(in crate::engine::calls) fn call_of(&self, stream: StreamId) -> Option<CallNo> {
        self.streams.get(&stream).map(|(call, _)| *call)
    }

    pub(in crate::engine::calls) fn sides_of(&self, stream: StreamId) -> Option<[Side; 2]> {
        let call = self.call_of(stream)?;
        self.sides(call)
    }

    /// Whether a stream waits for an answer to an offer of this leg.
    pub(in crate::engine::calls) fn has_pending(&self, call: CallNo, leg: Leg) -> bool {
        let pending = self.calls.get(&call).and_then(|c| c.pending.as_ref());
        pending.is_some_and(|p| p.leg == leg)
    }

    /// Who holds the port of ours that is shown as `ip`: its bound address, the call, the leg.
    pub(super) fn lent_at(
        &self,
        ip: IpAddr,
        port: u16,
        lane: Lane,
    ) -> Option<(SocketAddr, CallNo, Leg)> {
        let even = port & !1;
        if usize::from(port & 1) != lane.index() {
            return None;
        }
        let shown = |bind: &IpAddr| {
            let (call, leg) = self.lent.owner(*bind, even)?;
            let here = |f: &Face| f.bind == *bind && (f.shown == ip || f.bind == ip);
            let known = self.calls.get(&call)?.faces_of(leg).any(here);
            known.then_some((SocketAddr::new(*bind, port), call, leg))
        };
        self.lent.binds().find_map(shown)
    }

    /// Our address towards a leg; while several may answer, `own`, where it was asked by that.
    pub(super) fn bind(&self, call: CallNo, leg: Leg, own: IpAddr) -> Option<IpAddr> {
        let c = self.calls.get(&call)?;
        let asked = !c.settled && !c.aside.is_empty() && c.faces_of(leg).any(|f| f.bind == own);
        Some(if asked { own } else { c.faces[leg.index()].bind })
    }

    /// First and last port that may be lent.
    pub(super) fn lends(&self) -> (u16, u16) {
        self.lent.range()
    }

    pub(in crate::engine::calls) fn supervise(&mut self, call: CallNo, idle: Option<Duration>) {
        self.close_aside(call);
        if let Some(c) = self.calls.get_mut(&call) {
            c.idle = idle;
            c.settled = true;
        }
        self.set_idle(call);
    }

    pub(super) fn set_idle(&mut self, call: CallNo) {
        let Some(c) = self.calls.get_mut(&call) else { return };
        let Some(limit) = c.idle else { return };
        let idle = if c.held.contains(&true) { None } else { Some(limit) };
        for s in c.streams.iter_mut().flatten().filter(|s| s.open) {
            (s.watched, s.idle) = (idle.is_some(), false);
            self.commands.push(Command::SetIdle { stream: s.id, idle });
        }
    }

    pub(in crate::engine::calls) fn is_held(&self, call: CallNo) -> bool {
        self.calls.get(&call).is_some_and(|c| c.held.contains(&true))
    }

    /// The relay is to say when nothing comes either way, of all that is open: of a line that no
    /// answer has settled it says nothing.
    pub(in crate::engine::calls) fn is_watched(&self, call: CallNo) -> bool {
        let Some(c) = self.calls.get(&call) else { return false };
        let mut open = c.streams.iter().flatten().filter(|s| s.open).peekable();
        open.peek().is_some() && open.all(|s| s.watched)
    }

    /// A stream is silent. The call, when all its streams are.
    pub(in crate::engine::calls) fn idle(&mut self, stream: StreamId) -> Option<CallNo> {
        let (call, index) = *self.streams.get(&stream)?;
        let c = self.calls.get_mut(&call)?;
        c.streams.get_mut(index)?.as_mut().filter(|s| s.id == stream)?.idle = true;
        let all = c.streams.iter().flatten().filter(|s| s.open).all(|s| s.idle);
        (all && !c.held.contains(&true) && !c.ended).then_some(call)
    }

    pub(in crate::engine::calls) fn alive(&mut self, stream: StreamId) {
        if let Some((call, index)) = self.streams.get(&stream)
            && let Some(c) = self.calls.get_mut(call)
            && let Some(s) = c.stream_mut(stream, *index)
        {
            s.idle = false;
        }
    }

    pub(in crate::engine::calls) fn open_failed(
        &mut self,
        stream: StreamId,
        now: Mono,
    ) -> Option<CallNo> {
        self.targets.forget(stream);
        let (call, index) = self.streams.remove(&stream)?;
        let c = self.calls.get_mut(&call)?;
        let leaving = c.leaving.iter().any(|s| s.id == stream);
        let s = c.let_go(stream, index)?;
        // Another program has one of them, which is not known: both rest, so that the next calls
        // take others while there are any.
        self.lent.give(binds(&s.faces), s.ports, [true; 2], now);
        if !s.open || leaving {
            c.closing = c.closing.saturating_sub(1);
        }
        Some(call)
    }

    /// Closes what is open and keeps the record until the relay has reported.
    pub(in crate::engine::calls) fn close(&mut self, call: CallNo, end: Option<CallEnd>) {
        let Some(c) = self.calls.get_mut(&call) else { return };
        c.end = end;
        if c.ended {
            return;
        }
        c.ended = true;
        let aside = c.aside.iter_mut().map(|(_, s)| s);
        for s in c.streams.iter_mut().flatten().chain(aside).filter(|s| s.open) {
            s.open = false;
            c.closing += 1;
            self.commands.push(close(s.id));
        }
    }

    /// The relay closed a stream: its ports return. The call it was of.
    pub(in crate::engine::calls) fn closed(
        &mut self,
        id: StreamId,
        counters: &Counters,
        figures: &[Figures; 2],
        now: Mono,
    ) -> Option<CallNo> {
        let (call, index) = self.streams.remove(&id)?;
        let c = self.calls.get_mut(&call)?;
        let s = c.let_go(id, index)?;
        // What was dropped is nobody's who would be mistaken for the next party.
        let used = [0, 1].map(|leg| counters.legs[leg].packets.iter().any(|n| *n > 0));
        self.lent.give(binds(&s.faces), s.ports, used, now);
        let mut sum = stream_media(&s.kind, s.ports, counters, figures);
        let [caller, callee] = s.watch;
        sum.caller.phone_report = caller.phone;
        sum.callee.phone_report = callee.phone;
        keep_sum(&mut c.done, sum);
        if s.kind == "audio" {
            c.watch.add([counters.legs[0].packets[0], counters.legs[1].packets[0]], figures);
        }
        c.closing = c.closing.saturating_sub(1);
        Some(call)
    }

    /// The call's record, when every stream has been reported. Forgets the call.
    pub(in crate::engine::calls) fn finished(&mut self, call: CallNo) -> Option<Option<CallEnd>> {
        let c = self.calls.get(&call)?;
        if !c.is_reported() {
            return None;
        }
        let mut c = self.calls.remove(&call)?;
        let mut end = c.end.take();
        if let Some(e) = &mut end {
            e.media = c.done;
            e.findings = c.watch.findings();
        }
        Some(end)
    }

    /// Whether the call has media here at all.
    pub(in crate::engine::calls) fn knows(&self, call: CallNo) -> bool {
        self.calls.contains_key(&call)
    }

    /// Calls whose media are not being closed, in no order.
    pub(in crate::engine::calls) fn up(&self) -> impl Iterator<Item = CallNo> {
        self.calls.iter().filter(|(_, m)| !m.ended).map(|(no, _)| *no)
    }
}
