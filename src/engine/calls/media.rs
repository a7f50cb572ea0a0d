//! Offer and answer (RFC 3264) → relay streams. Every address in a body is judged, then replaced by
//! a port pair of ours. It never sees a packet; the relay is told by commands.

mod call;
mod claims;
mod judge;
mod lent;
mod lines;
mod moved;
mod news;
mod offers;
mod ours;
mod table;
mod targets;
mod versions;
mod view;
mod watch;
mod written;

pub(super) use call::Face;
pub(crate) use judge::MediaRefusal;
pub(super) use table::MediaTable;
pub use written::{StoredMedia, StoredStream};

use super::Calls;
use super::quality::leg_quality;
use crate::audit::{CallEnd, Finding, LegMedia, Record, StreamMedia};
use crate::engine::outbox::Outbox;
use crate::engine::output::{Belongs, Output};
use crate::engine::world::{Neighbours, World};
use crate::ground::{CallNo, Flow, Leg, ListenerId, Side};
use crate::relay::quality::Figures;
use crate::relay::{Command, Counters, Expect, Party, StreamId};
use crate::wire::sdp::{Direction, Media, Place, Sdp};
use claims::Claim;
use judge::Judge;
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

impl Calls {
    /// Prepares a call's media between two sockets' interfaces. Idempotent.
    pub(crate) fn prepare_media(
        &mut self,
        w: &World,
        call: CallNo,
        legs: [ListenerId; 2],
        call_ids: [&str; 2],
    ) {
        let [Some(a), Some(b)] = legs.map(|l| face(w, l)) else { return };
        let Some(c) = self.table.get(call) else { return };
        let (urgent, emergency) = (c.allow.bypass_limits, c.emergency);
        let claim = Claim { holder: c.holder.clone(), urgent, emergency };
        self.media.prepare(call, [a, b], call_ids.map(str::to_owned), claim);
    }

    /// The other party is asked at a socket of this IP version: the next offer is for it.
    pub(crate) fn speak_from(&mut self, w: &World, call: CallNo, listener: ListenerId) {
        if let Some(face) = face(w, listener) {
            self.media.turn(call, Leg::Callee, face);
        }
    }

    /// An offer within a call is for who is reached by this socket.
    pub(crate) fn reaches(&mut self, w: &World, call: CallNo, leg: Leg, listener: ListenerId) {
        if let Some(face) = face(w, listener) {
            self.media.reaches(call, leg, face);
        }
    }

    /// An offer from one leg; the body for the other.
    pub(crate) fn offer(
        &mut self,
        w: &World,
        out: &mut Outbox,
        call: CallNo,
        (who, phones): (Speaker, &dyn Neighbours),
        body: &[u8],
    ) -> Result<Vec<u8>, MediaRefusal> {
        let sdp = Sdp::parse(body).map_err(|e| MediaRefusal::refused(e.to_string()))?;
        let sdp = sdp.spoken(|ip| is_spoken(w, who, ip));
        if let Some(face) = face(w, who.listener) {
            self.media.signals(call, who.leg, face);
        }
        self.media.turn_after(call, who.leg.other());
        self.media.offer_moved(call, who.leg.other());
        if let Some(face) = face_towards(w, who, sdp.media()) {
            self.media.turn(call, who.leg, face);
        }
        let parties = self.judge_all(w, out, call, (who, phones), &sdp);
        let parties = parties.inspect_err(|_| self.media.turn_back(call))?;
        let live = sdp.media().iter().any(|m| m.port != 0);
        if live && parties.iter().all(Option::is_none) {
            let why = "no stream of it is carried here: RTP only".to_owned();
            return Err(MediaRefusal::refused(why));
        }
        let now = w.now().mono;
        let offered = self.media.offered(call, who.leg, sdp.media(), &parties, now);
        let (address, places) = offered.inspect_err(|_| self.media.undo_offer(call))?;
        let held = is_held(sdp.media());
        self.media.pend(call, who.leg, sdp.media(), parties, held);
        self.flush_media(out);
        Ok(sdp.rewrite(address, &places))
    }

    /// The answer from one leg; the body for the one that offered.
    pub(crate) fn answer(
        &mut self,
        w: &World,
        out: &mut Outbox,
        call: CallNo,
        (who, phones): (Speaker, &dyn Neighbours),
        body: &[u8],
    ) -> Result<Vec<u8>, MediaRefusal> {
        let sdp = Sdp::parse(body).map_err(|e| MediaRefusal::refused(e.to_string()))?;
        let sdp = sdp.spoken(|ip| is_spoken(w, who, ip));
        if let Some(face) = face(w, who.listener).filter(|_| who.counts) {
            self.media.answered_at(call, who.leg, face);
            self.media.signals(call, who.leg, face);
        }
        let parties = self.judge_all(w, out, call, (who, phones), &sdp)?;
        self.media.answer_moved(call, who.leg.other(), w.now().mono);
        if !who.counts {
            let at = (who.leg, self.bind(w, call, who)?);
            let (address, places) = self.media.shown(call, at, sdp.media(), &parties)?;
            self.flush_media(out);
            return Ok(sdp.rewrite(address, &places));
        }
        let held = is_held(sdp.media());
        let before = self.media.is_held(call);
        let (address, places) = self.media.answered(call, who.leg, sdp.media(), &parties, held)?;
        self.flush_media(out);
        // An answer may stand in an ACK or a PRACK, after which nothing else shows the call.
        if before != self.media.is_held(call) {
            self.show(out, call);
        }
        Ok(sdp.rewrite(address, &places))
    }

    /// A re-INVITE failed: the media stay as they were (RFC 6141).
    pub(crate) fn offer_failed(&mut self, out: &mut Outbox, call: CallNo) {
        self.media.drop_pending(call);
        self.media.undo_offer(call);
        self.flush_media(out);
    }

    /// What may have offered has its 2xx. An offer of that leg that has no answer by now gets none:
    /// the media stay as they were, too.
    pub(crate) fn offer_over(&mut self, out: &mut Outbox, call: CallNo, offered: Option<Leg>) {
        if offered.is_some_and(|leg| self.media.has_pending(call, leg)) {
            self.offer_failed(out, call);
        }
        self.close_disabled(out, call);
    }

    /// The call is answered: silence is supervised from now on.
    pub(super) fn supervise_media(&mut self, w: &World, out: &mut Outbox, call: CallNo) {
        let idle = w.config().media.idle;
        self.media.supervise(call, idle);
        self.close_disabled(out, call);
    }

    /// An offer and its answer stand, for good: lines that they disable return their ports.
    pub(crate) fn close_disabled(&mut self, out: &mut Outbox, call: CallNo) {
        self.media.close_disabled(call);
        self.flush_media(out);
    }

    /// Closes all streams; the record follows when the relay has reported them.
    pub(super) fn close_media(&mut self, out: &mut Outbox, call: CallNo, end: Option<CallEnd>) {
        self.media.close(call, end);
        self.flush_media(out);
        self.finish_media(out, call);
    }

    /// Asks the relay for a call's figures of this moment.
    pub(crate) fn measure(&mut self, out: &mut Outbox, call: CallNo) {
        self.media.measure(call);
        self.flush_media(out);
    }

    pub(super) fn flush_media(&mut self, out: &mut Outbox) {
        for command in self.media.take_commands() {
            if let Command::Open { stream, .. } = &command
                && let Some(call) = self.media.call_of(*stream)
            {
                out.emit(Output::Belongs(Belongs::Stream { call, stream: *stream }));
            }
            out.emit(Output::Relay(command));
        }
    }

    /// The record of a call that is over, when the relay has reported its last stream.
    pub(crate) fn finish_media(&mut self, out: &mut Outbox, call: CallNo) {
        self.judge_ended(out, call);
        if let Some(Some(end)) = self.media.finished(call) {
            out.record(Record::CallEnd(end));
        }
    }

    /// A party outside that names a private address: it is behind a NAT that it does not know of.
    fn judge_private(
        &mut self,
        w: &World,
        out: &mut Outbox,
        call: CallNo,
        who: Speaker,
        sdp: &Sdp,
    ) {
        let Some(i) = w.net().interface(who.listener).filter(|i| i.side == Side::Outside) else {
            return;
        };
        let strange = |ip: &IpAddr| {
            let private = matches!(ip, IpAddr::V4(v4) if v4.is_private());
            // Our own address comes back in a spiral; whoever stands beside it, or beside an
            // upstream, is of the same network.
            let known = *ip == who.source.ip() || !w.net().is_local(*ip);
            private && !known && !i.networks.iter().any(|n| n.contains(ip))
        };
        let live = sdp.media().iter().filter(|m| m.port != 0);
        let Some(ip) = live.filter_map(|m| m.address).find(strange) else { return };
        let evidence = format!(
            "the SDP of {} names {ip} for its media, a private address of another network: it is \
             behind a NAT and does not know its public address",
            who.source
        );
        self.find(out, call, Finding::PrivateAddress, &evidence);
    }

    fn judge_all(
        &mut self,
        w: &World,
        out: &mut Outbox,
        call: CallNo,
        (who, phones): (Speaker, &dyn Neighbours),
        sdp: &Sdp,
    ) -> Result<Vec<Option<Party>>, MediaRefusal> {
        self.judge_private(w, out, call, who, sdp);
        let interface = w.net().interface(who.listener).ok_or_else(nowhere)?;
        let judge = Judge {
            net: w.net(),
            phones,
            calls: &self.table,
            media: &self.media,
            interface,
            bind: self.bind(w, call, who)?,
            source: who.source.ip(),
            call,
            leg: who.leg,
        };
        sdp.media().iter().map(|m| judge.party(m, sdp.media())).collect()
    }

    /// Our address that a party is told: of the streams that were offered to it.
    fn bind(&self, w: &World, call: CallNo, who: Speaker) -> Result<IpAddr, MediaRefusal> {
        let own = w.net().address(who.listener).ok_or_else(nowhere)?.ip;
        Ok(self.media.bind(call, who.leg, own).unwrap_or(own))
    }

    /// Whether the call has media here at all.
    pub(crate) fn has_media(&self, call: CallNo) -> bool {
        self.media.knows(call)
    }

    /// Whether an offer of this leg waits for its answer.
    pub(crate) fn has_offered(&self, call: CallNo, leg: Leg) -> bool {
        self.media.has_pending(call, leg)
    }
}

fn nowhere() -> MediaRefusal {
    MediaRefusal::refused("no such interface".to_owned())
}

/// How a socket's address looks to media.
fn face(w: &World, listener: ListenerId) -> Option<Face> {
    Some(Face::of(w.net().interface(listener)?, w.net().address(listener)?))
}

/// Our face towards who offers these media: of their IP version, which may be another than that of
/// its signalling. `None`: they say none, or the interface has no address of it.
fn face_towards(w: &World, who: Speaker, media: &[Media]) -> Option<Face> {
    let interface = w.net().interface(who.listener)?;
    let live = media.iter().filter(|m| m.is_rtp());
    let ip = live.filter_map(Media::rtp_target).next()?.ip().to_canonical();
    interface.addresses.towards(ip).map(|own| Face::of(interface, own))
}

/// The interface of who describes a session has an address of this one's IP version.
fn is_spoken(w: &World, who: Speaker, ip: IpAddr) -> bool {
    let interface = w.net().interface(who.listener);
    interface.is_some_and(|i| i.addresses.towards(ip.to_canonical()).is_some())
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
