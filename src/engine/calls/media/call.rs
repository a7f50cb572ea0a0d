//! One call's media: its streams, what is offered and not answered, what has ended. It takes no
//! ports and closes none; the table does.

use super::claims::Claim;
use super::moved::Move;
use super::watch::{CallWatch, LegWatch};
use super::{differs, muted};
use crate::audit::{CallEnd, StreamMedia};
use crate::config::{Address, Interface};
use crate::ground::Side;
use crate::relay::quality::Codecs;
use crate::relay::{Command, Leg, Party, StreamId};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// A leg's interface, as media need it.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine::calls) struct Face {
    pub(super) side: Side,
    pub(super) bind: IpAddr,
    /// What the other party is told.
    pub(super) shown: IpAddr,
    pub(super) dscp: u8,
}

/// Where a stream's ports are bound.
pub(super) fn binds(faces: &[Face; 2]) -> [IpAddr; 2] {
    [faces[0].bind, faces[1].bind]
}

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) id: StreamId,
    pub(super) kind: String,
    /// Where its ports are bound, by leg.
    pub(super) faces: [Face; 2],
    pub(super) ports: [u16; 2],
    pub(super) parties: [Party; 2],
    /// Sources of RTP and RTCP that the relay learned, by leg.
    pub(super) pins: [[Option<SocketAddr>; 2]; 2],
    /// Which leg met the other pass of its call at an address that is gone: nothing is sent there.
    pub(super) parted: [bool; 2],
    /// What each party takes.
    pub(super) codecs: [Codecs; 2],
    /// Which party's last description disables the line (port 0).
    pub(super) off: [bool; 2],
    pub(super) open: bool,
    /// The relay was asked to say when it is silent.
    pub(super) watched: bool,
    pub(super) idle: bool,
    pub(super) watch: [LegWatch; 2],
}

impl Stream {
    /// One that is open, and of which nothing is known yet.
    pub(super) fn new(
        id: StreamId,
        kind: String,
        faces: [Face; 2],
        ports: [u16; 2],
        parties: [Party; 2],
        codecs: [Codecs; 2],
    ) -> Self {
        let (pins, off, watch) = ([[None; 2]; 2], [false; 2], Default::default());
        let (open, watched, idle, parted) = (true, false, false, [false; 2]);
        Self {
            id,
            kind,
            faces,
            ports,
            parties,
            pins,
            parted,
            codecs,
            off,
            open,
            watched,
            idle,
            watch,
        }
    }
}

impl Face {
    /// Of an interface, at one of its addresses.
    pub(in crate::engine::calls) fn of(i: &Interface, at: &Address) -> Self {
        Self { side: i.side, bind: at.ip, shown: at.advertised(), dscp: i.dscp_media }
    }
}

/// What one side offered and the other has not answered.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) leg: Leg,
    pub(super) parties: Vec<Option<Party>>,
    pub(super) codecs: Vec<Codecs>,
    pub(super) held: bool,
}

/// The media of one call.
#[derive(Debug)]
pub(crate) struct CallMedia {
    pub(super) faces: [Face; 2],
    /// Where each party's signalling came by last.
    pub(super) signals: [IpAddr; 2],
    /// By which face each is reached, for the next offer.
    pub(super) reached: [Option<Face>; 2],
    /// What became of the addresses that they are spoken to from.
    pub(super) moves: [Move; 2],
    pub(super) call_ids: [String; 2],
    /// Who takes its ports.
    pub(super) claim: Claim,
    pub(super) streams: Vec<Option<Stream>>,
    /// Opened by the last offer: they go when it fails (RFC 6141).
    pub(super) fresh: Vec<usize>,
    /// By line: open, and not in force: of the other IP version of a leg.
    pub(super) aside: Vec<(usize, Stream)>,
    /// Closed while the call goes on; the relay has not reported them.
    pub(super) leaving: Vec<Stream>,
    pub(super) pending: Option<Pending>,
    /// The leg whose offer came in a response or is otherwise unanswered.
    pub(super) held: [bool; 2],
    pub(super) idle: Option<Duration>,
    /// The call is answered: nobody else may answer.
    pub(super) settled: bool,
    pub(super) closing: usize,
    pub(super) ended: bool,
    pub(super) done: Vec<StreamMedia>,
    pub(super) end: Option<CallEnd>,
    pub(super) watch: CallWatch,
}

impl CallMedia {
    pub(super) fn new(faces: [Face; 2], call_ids: [String; 2], claim: Claim) -> Self {
        Self {
            faces,
            signals: [faces[0].bind, faces[1].bind],
            reached: [None; 2],
            moves: Default::default(),
            call_ids,
            claim,
            streams: Vec::new(),
            fresh: Vec::new(),
            aside: Vec::new(),
            leaving: Vec::new(),
            pending: None,
            held: [false; 2],
            idle: None,
            settled: false,
            closing: 0,
            ended: false,
            done: Vec::new(),
            end: None,
            watch: CallWatch::default(),
        }
    }

    pub(super) fn sides(&self) -> [Side; 2] {
        [self.faces[0].side, self.faces[1].side]
    }

    /// A stream that is open, or closed and not reported yet, by its place and its number.
    pub(super) fn stream_mut(&mut self, id: StreamId, index: usize) -> Option<&mut Stream> {
        if self.aside.iter().any(|(_, s)| s.id == id) {
            return self.aside_mut(id);
        }
        let current = self.streams.get_mut(index).and_then(Option::as_mut).filter(|s| s.id == id);
        current.or_else(|| self.leaving.iter_mut().find(|s| s.id == id))
    }

    /// The stream that the relay has closed.
    pub(super) fn let_go(&mut self, id: StreamId, index: usize) -> Option<Stream> {
        if let Some(at) = self.aside.iter().position(|(_, s)| s.id == id) {
            return Some(self.aside.swap_remove(at).1);
        }
        match self.leaving.iter().position(|s| s.id == id) {
            Some(at) => Some(self.leaving.swap_remove(at)),
            None => self.streams.get_mut(index)?.take_if(|s| s.id == id),
        }
    }

    /// It is over, and the relay has reported every stream.
    pub(super) fn is_reported(&self) -> bool {
        self.ended && self.closing == 0
    }
}

/// The party of `leg` takes these codecs: what comes in on the other leg means that.
pub(super) fn accept(
    commands: &mut Vec<Command>,
    streams: &mut [Option<Stream>],
    index: usize,
    leg: Leg,
    codecs: Codecs,
) {
    if let Some(Some(s)) = streams.get_mut(index)
        && s.open
        && !codecs.formats.is_empty()
    {
        s.codecs[leg.index()] = codecs.clone();
        commands.push(Command::Codecs { stream: s.id, leg: leg.other(), codecs });
    }
}

/// A leg's party is now this one.
pub(super) fn update(
    commands: &mut Vec<Command>,
    streams: &mut [Option<Stream>],
    index: usize,
    leg: Leg,
    party: Option<Party>,
) {
    let Some(Some(s)) = streams.get_mut(index) else { return };
    let now = s.parties[leg.index()];
    s.off[leg.index()] = party.is_none();
    let party = party.unwrap_or_else(|| muted(now));
    if s.open && differs(&now, &party) {
        s.parties[leg.index()] = party;
        s.pins[leg.index()] = [None; 2];
        s.parted[leg.index()] = false;
        commands.push(Command::Update { stream: s.id, leg, party });
    }
}
