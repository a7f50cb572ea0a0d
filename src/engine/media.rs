//! Offer and answer (RFC 3264) → relay streams. Every address in a body is judged, then replaced by
//! a port pair of ours. It never sees a packet; the relay is told by commands.

mod call;
mod judge;
mod lent;
mod table;
mod view;
mod watch;

pub(crate) use judge::{Judge, MediaRefusal};
pub(crate) use table::MediaTable;

use super::findings::Finding;
use super::quality::leg_quality;
use super::{Engine, Level, Output};
use crate::audit::{LegMedia, Record, StreamMedia};
use crate::ground::{Flow, ListenerId, Side};
use crate::relay::quality::Figures;
use crate::relay::{Command, Counters, Event, Expect, Leg, Party, StreamId};
use crate::wire::sdp::{Direction, Media, Place, Sdp};
use std::net::{IpAddr, SocketAddr};

/// Who says something about media, and where from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Speaker {
    /// Which leg of the call.
    pub(crate) leg: Leg,
    /// The socket its signalling came by.
    pub(crate) listener: ListenerId,
    /// Its signalling source.
    pub(crate) source: SocketAddr,
    /// Its answer takes effect; false: it is shown to the other leg and changes nothing.
    pub(crate) counts: bool,
}

impl Speaker {
    /// The party whose message came by `flow`.
    pub(crate) fn new(leg: Leg, flow: &Flow) -> Self {
        Self { leg, listener: flow.listener, source: flow.peer, counts: true }
    }
}

impl Engine {
    /// Prepares a call's media between two sockets' interfaces. Idempotent.
    pub(crate) fn prepare_media(&mut self, call: u64, legs: [ListenerId; 2], call_ids: [&str; 2]) {
        let face = |l: ListenerId| {
            self.net.interface(l).map(|i| (i.side, i.address, i.advertised(), i.dscp_media))
        };
        let (Some(a), Some(b)) = (face(legs[0]), face(legs[1])) else { return };
        self.media.prepare(call, [a, b], call_ids.map(str::to_owned));
    }

    /// An offer from one leg; the body for the other.
    pub(crate) fn offer(
        &mut self,
        call: u64,
        who: Speaker,
        body: &[u8],
    ) -> Result<Vec<u8>, MediaRefusal> {
        let sdp = Sdp::parse(body).map_err(|e| MediaRefusal::refused(e.to_string()))?;
        let parties = self.judge_all(call, who, &sdp)?;
        let now = self.now.mono;
        let (address, places) = self.media.offered(call, who.leg, sdp.media(), &parties, now)?;
        let held = is_held(sdp.media());
        self.media.pend(call, who.leg, sdp.media(), parties, held);
        self.flush_media();
        Ok(sdp.rewrite(address, &places))
    }

    /// The answer from one leg; the body for the one that offered.
    pub(crate) fn answer(
        &mut self,
        call: u64,
        who: Speaker,
        body: &[u8],
    ) -> Result<Vec<u8>, MediaRefusal> {
        let sdp = Sdp::parse(body).map_err(|e| MediaRefusal::refused(e.to_string()))?;
        let parties = self.judge_all(call, who, &sdp)?;
        if !who.counts {
            let (address, places) = self.media.shown(call, who.leg, sdp.media(), &parties)?;
            return Ok(sdp.rewrite(address, &places));
        }
        let held = is_held(sdp.media());
        let (address, places) = self.media.answered(call, who.leg, sdp.media(), &parties, held)?;
        self.flush_media();
        Ok(sdp.rewrite(address, &places))
    }

    /// A re-INVITE failed: the media stay as they were (RFC 6141).
    pub(crate) fn offer_failed(&mut self, call: u64) {
        self.media.drop_pending(call);
        self.flush_media();
    }

    /// The call is answered: silence is supervised from now on.
    pub(crate) fn supervise_media(&mut self, call: u64) {
        let idle = self.snap.config.media.idle;
        self.media.supervise(call, idle);
        self.flush_media();
    }

    /// Closes all streams; the record follows when the relay has reported them.
    pub(crate) fn close_media(&mut self, call: u64, end: Option<crate::audit::CallEnd>) {
        self.media.close(call, end);
        self.flush_media();
        self.finish_media(call);
    }

    /// Asks the relay for a call's figures of this moment.
    pub(crate) fn measure(&mut self, call: u64) {
        self.media.measure(call);
        self.flush_media();
    }

    fn flush_media(&mut self) {
        for command in self.media.take_commands() {
            self.outputs.push_back(Output::Relay(command));
        }
    }

    fn finish_media(&mut self, call: u64) {
        self.judge_ended(call);
        if let Some(Some(end)) = self.media.finished(call) {
            self.record(Record::CallEnd(end));
        }
    }

    /// A party outside that names a private address: it is behind a NAT that it does not know of.
    fn judge_private(&mut self, call: u64, who: Speaker, sdp: &Sdp) {
        let Some(i) = self.net.interface(who.listener).filter(|i| i.side == Side::Outside) else {
            return;
        };
        let strange = |ip: &IpAddr| {
            let private = matches!(ip, IpAddr::V4(v4) if v4.is_private());
            // Our own address comes back in a spiral.
            let known = *ip == who.source.ip() || self.net.is_shown(*ip);
            private && !known && !i.networks.iter().any(|n| n.contains(ip))
        };
        let live = sdp.media().iter().filter(|m| m.port != 0);
        let Some(ip) = live.filter_map(|m| m.address).find(strange) else { return };
        let evidence = format!(
            "the SDP of {} names {ip} for its media, a private address of another network: it is \
             behind a NAT and does not know its public address",
            who.source
        );
        self.find(call, Finding::PrivateAddress, &evidence);
    }

    fn judge_all(
        &mut self,
        call: u64,
        who: Speaker,
        sdp: &Sdp,
    ) -> Result<Vec<Option<Party>>, MediaRefusal> {
        self.judge_private(call, who, sdp);
        let Some(interface) = self.net.interface(who.listener) else {
            return Err(MediaRefusal::refused("no such interface".to_owned()));
        };
        let judge = Judge {
            net: &self.net,
            media: &self.media,
            interface,
            source: who.source.ip(),
            call,
            leg: who.leg,
        };
        sdp.media().iter().map(|m| judge.party(m)).collect()
    }

    /// News from the relay.
    pub(crate) fn relay_event(&mut self, event: Event) {
        match event {
            Event::Learned { stream, from, .. } => {
                self.notice(Level::Debug, format!("media stream {}: learned {from}", stream.0));
            }
            Event::FirstPacket { stream, leg } => {
                self.media.alive(stream);
                self.judge_start(stream, leg);
            }
            Event::Stranger { stream, leg, from, expected, count } => {
                self.stranger(stream, leg, from, expected, count);
            }
            Event::Idle { stream } => {
                if let Some(call) = self.media.idle(stream) {
                    let limit = self.snap.config.media.idle.unwrap_or_default().as_secs();
                    let evidence = format!("no media either way for {limit} s (media.idle)");
                    self.find(call, Finding::MediaTimeout, &evidence);
                    self.notice(
                        Level::Warn,
                        format!("call {call}: no media either way for media.idle, ending it"),
                    );
                    self.hang_up(call, "media_timeout");
                }
            }
            Event::OpenFailed { stream, error } => {
                if let Some(call) = self.media.open_failed(stream, self.now.mono) {
                    self.notice(
                        Level::Error,
                        format!("call {call}: relay port not available: {error}"),
                    );
                    self.hang_up(call, "error");
                    self.finish_media(call);
                }
            }
            Event::SoFar { stream, figures } => self.media.measured_so_far(stream, *figures),
            Event::Measured { stream, leg, figures } => self.measured(stream, leg, &figures),
            Event::Closed { stream, counters, figures } => {
                self.count_media(stream, &counters);
                for leg in [Leg::Caller, Leg::Callee] {
                    self.count_lost(stream, leg, &figures[leg.index()]);
                }
                let closed = self.media.closed(stream, &counters, &figures, self.now.mono);
                if let Some(call) = closed {
                    self.finish_media(call);
                }
            }
        }
    }

    fn stranger(
        &mut self,
        stream: StreamId,
        leg: Leg,
        from: Option<SocketAddr>,
        expected: Option<SocketAddr>,
        count: u64,
    ) {
        let who = from.map_or_else(|| "an unknown source".to_owned(), |a| a.to_string());
        let call = self.media.call_of(stream).unwrap_or_default();
        self.media.saw_strangers(stream, leg);
        let mut detail = format!("call {call}, {leg:?} leg: {count} packets from {who} dropped");
        if let Some(e) = expected {
            detail = format!("{detail}, expected {e}");
            if from.is_some_and(|f| f.ip() == e.ip()) {
                detail = format!("{detail}; learn = \"same-ip\" on that interface would allow it");
                self.find(call, Finding::SourcePort, &detail);
            }
        }
        self.notice(Level::Warn, format!("media from a stranger: {detail}"));
        self.record(Record::Security { class: "media_stranger", source: from, count, detail });
    }

    fn count_media(&mut self, stream: StreamId, counters: &Counters) {
        let Some(sides) = self.media.sides_of(stream) else { return };
        for (side, leg) in sides.into_iter().zip(counters.legs) {
            let total = &mut self.stats.media[side.index()];
            for i in 0..2 {
                total.packets[i] += leg.packets[i];
                total.bytes[i] += leg.bytes[i];
                total.sent[i] += leg.sent[i];
            }
            for (t, n) in total.dropped.iter_mut().zip(leg.dropped) {
                *t += n;
            }
        }
    }
}

/// On hold: no stream flows both ways (RFC 3264 §8.4, and the old 0.0.0.0).
fn is_held(media: &[Media]) -> bool {
    let live = media.iter().filter(|m| m.port != 0);
    let mut any = false;
    for m in live {
        if m.direction == Direction::SendRecv && m.rtp_target().is_some() {
            return false;
        }
        any = true;
    }
    any
}

/// What a stream's counters say in the audit record.
fn stream_media(
    kind: &str,
    ports: [u16; 2],
    counters: &Counters,
    figures: &[Figures; 2],
) -> StreamMedia {
    let leg = |i: usize| {
        let c = counters.legs.get(i).copied().unwrap_or_default();
        LegMedia {
            port: ports.get(i).copied().unwrap_or_default(),
            rtp_packets: c.packets[0],
            rtp_bytes: c.bytes[0],
            rtcp_packets: c.packets[1],
            dropped: c.dropped.iter().sum(),
            quality: figures.get(i).map(leg_quality),
            phone_report: None,
        }
    };
    StreamMedia { media: kind.to_owned(), caller: leg(0), callee: leg(1) }
}

/// Whether two parties are the same for the relay.
fn differs(a: &Party, b: &Party) -> bool {
    a.rtp != b.rtp || a.rtcp != b.rtcp || a.expect != b.expect
}

/// The party a held or disabled stream has: heard as before, sent nothing.
fn muted(mut party: Party) -> Party {
    party.rtp = None;
    party.rtcp = None;
    if party.expect == Expect::Exact {
        party.expect = Expect::Nobody;
    }
    party
}

/// The place of a section that is anchored at `port`.
fn anchored(port: u16) -> Place {
    Place::Anchor { port }
}

/// Closes one stream.
fn close(stream: StreamId) -> Command {
    Command::Close { stream }
}
