//! What the relay tells of streams: learned, heard, silent, closed, strangers. It opens nothing.

use crate::audit::{EndedBy, Finding, Record, SecurityClass};
use crate::engine::calls::Calls;
use crate::engine::outbox::Outbox;
use crate::engine::output::Level;
use crate::engine::world::World;
use crate::ground::{CallNo, Leg};
use crate::relay::{Event, StreamId};
use std::net::SocketAddr;

impl Calls {
    /// News from the relay. A call that cannot go on is returned, with who ends it.
    pub(crate) fn relay_event(
        &mut self,
        w: &World,
        out: &mut Outbox,
        event: Event,
    ) -> Option<(CallNo, EndedBy)> {
        match event {
            Event::Learned { stream, leg, rtcp, from } => {
                out.notice(Level::Debug, format!("media stream {}: learned {from}", stream.0));
                if let Some(call) = self.media.learned(stream, leg, rtcp, from) {
                    self.keep(w, out, call);
                }
            }
            Event::FirstPacket { stream, leg } => {
                self.media.alive(stream);
                self.judge_start(w, out, stream, leg);
            }
            Event::Stranger { stream, leg, from, expected, count } => {
                self.stranger(out, stream, leg, Stranger { from, expected, count });
            }
            Event::Idle { stream } => {
                let call = self.media.idle(stream)?;
                let limit = w.config().media.idle.unwrap_or_default().as_secs();
                let evidence = format!("no media either way for {limit} s (media.idle)");
                self.find(out, call, Finding::MediaTimeout, &evidence);
                let text = format!("call {call}: no media either way for media.idle, ending it");
                out.notice(Level::Warn, text);
                return Some((call, EndedBy::MediaTimeout));
            }
            Event::OpenFailed { stream, error } => {
                let call = self.media.open_failed(stream, w.now().mono)?;
                let text = format!("call {call}: relay port not available: {error}");
                out.notice(Level::Error, text);
                return Some((call, EndedBy::Error));
            }
            Event::SoFar { stream, figures } => self.media.measured_so_far(stream, *figures),
            Event::Measured { stream, leg, figures } => {
                self.measured(w, out, stream, leg, &figures);
            }
            Event::Closed { stream, counters, figures } => {
                for leg in Leg::ALL {
                    self.count_lost(out, stream, leg, &figures[leg.index()]);
                }
                let closed = self.media.closed(stream, &counters, &figures, w.now().mono);
                if let Some(call) = closed {
                    self.finish_media(out, call);
                }
            }
        }
        None
    }

    fn stranger(&mut self, out: &mut Outbox, stream: StreamId, leg: Leg, s: Stranger) {
        let who = s.from.map_or_else(|| "an unknown source".to_owned(), |a| a.to_string());
        let call = self.media.call_of(stream).unwrap_or_default();
        self.media.saw_strangers(stream, leg);
        let Stranger { from, expected, count } = s;
        let mut detail = format!("call {call}, {leg:?} leg: {count} packets from {who} dropped");
        if let Some(e) = expected {
            detail = format!("{detail}, expected {e}");
            if from.is_some_and(|f| f.ip() == e.ip()) {
                detail = format!("{detail}; learn = \"same-ip\" on that interface would allow it");
                self.find(out, call, Finding::SourcePort, &detail);
            }
        }
        let text = format!("media from a stranger: {detail}");
        match from {
            Some(by) => out.notice_of(by, Level::Warn, text),
            None => out.notice(Level::Warn, text),
        }
        let class = SecurityClass::MediaStranger;
        out.record(Record::Security { class, source: from, count, detail });
    }
}

/// A burst of packets that nobody named.
struct Stranger {
    from: Option<SocketAddr>,
    expected: Option<SocketAddr>,
    count: u64,
}
