//! A call's media as they are written down, and as they are read back: ports, parties and what the
//! relay learned. No stream number of this process, no figure: what was measured before a restart
//! stands in no later record.

use super::call::{CallMedia, Face, Stream, binds};
use super::claims::Claim;
use super::table::MediaTable;
use crate::ground::{CallNo, Leg, Mono};
use crate::policy::quota::Holder;
use crate::relay::quality::Codecs;
use crate::relay::{Command, LegConfig, Party, StreamId};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The media of one call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredMedia {
    /// Addresses that the legs' ports are bound on: caller, callee.
    pub binds: [IpAddr; 2],
    /// Call-IDs of the legs.
    pub call_ids: [String; 2],
    /// Which parties are on hold.
    pub held: [bool; 2],
    /// By place in the SDP; `None`: there is no such stream any more.
    pub streams: Vec<Option<StoredStream>>,
}

/// One stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredStream {
    /// `audio`, `video` …
    pub media: String,
    /// Our even ports: caller's leg, callee's leg.
    pub ports: [u16; 2],
    /// Where each party is, as its SDP said.
    pub parties: [Party; 2],
    /// Sources of RTP and RTCP that were learned, by leg.
    pub pins: [[Option<SocketAddr>; 2]; 2],
    /// What each party takes.
    pub codecs: [Codecs; 2],
}

impl MediaTable {
    /// The relay learned where a party sends from. The call, when that is new.
    pub(in crate::engine::calls) fn learned(
        &mut self,
        stream: StreamId,
        leg: Leg,
        rtcp: bool,
        from: SocketAddr,
    ) -> Option<CallNo> {
        let (call, index) = *self.streams.get(&stream)?;
        let s = self.calls.get_mut(&call)?.stream_mut(stream, index)?;
        let pin = s.pins.get_mut(leg.index())?.get_mut(usize::from(rtcp))?;
        (pin.replace(from) != Some(from)).then_some(call)
    }

    /// A call's media; `None`: it has none.
    pub(in crate::engine::calls) fn written(&self, call: CallNo) -> Option<StoredMedia> {
        let c = self.calls.get(&call)?;
        let stream = |s: &Stream| StoredStream {
            media: s.kind.clone(),
            ports: s.ports,
            parties: s.parties,
            pins: s.pins,
            codecs: s.codecs.clone(),
        };
        let open = |s: &Option<Stream>| s.as_ref().filter(|s| s.open).map(stream);
        Some(StoredMedia {
            binds: binds(&c.faces),
            call_ids: c.call_ids.clone(),
            held: c.held,
            streams: c.streams.iter().map(open).collect(),
        })
    }

    /// Media as they were: the same ports, opened anew. False: a port is held by somebody else, and
    /// nothing was opened.
    pub(in crate::engine::calls) fn read_back(
        &mut self,
        call: CallNo,
        faces: [Face; 2],
        holder: &Holder,
        stored: StoredMedia,
        idle: Option<Duration>,
        now: Mono,
    ) -> bool {
        let binds = binds(&faces);
        let mut taken: Vec<[u16; 2]> = Vec::new();
        for s in stored.streams.iter().flatten() {
            if !self.lent.claim(call, holder, binds, s.ports, now) {
                for ports in taken {
                    self.lent.give(binds, ports, [false; 2], now);
                }
                return false;
            }
            taken.push(s.ports);
        }
        self.lent.settle(call);
        let claim = Claim { holder: holder.clone(), urgent: true, emergency: false };
        let mut media = CallMedia::new(faces, stored.call_ids, claim);
        media.settled = true;
        Leg::ALL.into_iter().for_each(|leg| media.tells(leg));
        media.held = stored.held;
        media.idle = idle;
        let idle = idle.filter(|_| !stored.held.contains(&true));
        for (index, stream) in stored.streams.into_iter().enumerate() {
            let open = stream.map(|s| self.reopen((call, index), &faces, s, idle));
            media.streams.push(open);
        }
        self.calls.insert(call, media);
        true
    }

    fn reopen(
        &mut self,
        at: (CallNo, usize),
        faces: &[Face; 2],
        stored: StoredStream,
        idle: Option<Duration>,
    ) -> Stream {
        self.next += 1;
        let id = StreamId(self.next);
        let leg = |i: usize| LegConfig {
            side: faces[i].side,
            bind: faces[i].bind,
            port: stored.ports[i],
            dscp: faces[i].dscp,
            party: pinned(stored.parties[i], stored.pins[i]),
        };
        self.commands.push(Command::Open { stream: id, legs: [leg(0), leg(1)], idle });
        for (leg, codecs) in Leg::ALL.into_iter().zip(stored.codecs.clone()) {
            if !codecs.formats.is_empty() {
                self.commands.push(Command::Codecs { stream: id, leg: leg.other(), codecs });
            }
        }
        self.streams.insert(id, at);
        let StoredStream { media, ports, parties, pins, codecs } = stored;
        let watched = idle.is_some();
        Stream { pins, watched, ..Stream::new(id, media, *faces, ports, parties, codecs) }
    }
}

/// A party where it really was.
fn pinned(party: Party, [rtp, rtcp]: [Option<SocketAddr>; 2]) -> Party {
    let at = |said: Option<SocketAddr>, learned| said.and(learned).or(said);
    Party { rtp: at(party.rtp, rtp), rtcp: at(party.rtcp, rtcp), ..party }
}
