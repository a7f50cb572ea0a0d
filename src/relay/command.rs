//! What the engine asks of the relay, and what the relay tells the engine. Values only.

use super::quality::{Codecs, Figures};
pub use crate::ground::Leg;
use crate::ground::Side;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// One media stream (one `m=` line) of one pass. Never reused within a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub u64);

/// From where media is accepted on a leg (house rule 10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expect {
    /// Nothing known yet: nothing is accepted; packets count as `early`.
    Nobody,
    /// `learn = "strict"`: exactly the signalled addresses of RTP and RTCP.
    Exact,
    /// `learn = "same-ip"`: this host; its port is learned once, before anything was accepted
    /// from another port, then pinned until the next [`Command::Update`] that changes the party.
    SameIp(IpAddr),
    /// As `SameIp`, where the party stands on a host of ours: a packet from a port that the relay
    /// may lend is one that we sent, and never taken.
    Neighbour {
        /// The host.
        host: IpAddr,
        /// First and last port that the relay lends there.
        ours: (u16, u16),
    },
}

/// The far party of one leg, from its SDP (or, behind a NAT, from its signalling source).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// Where RTP goes; `None`: no destination yet, or held with 0.0.0.0.
    pub rtp: Option<SocketAddr>,
    /// Where RTCP goes; `None` as above.
    pub rtcp: Option<SocketAddr>,
    /// From where packets are accepted.
    pub expect: Expect,
}

impl Party {
    /// A party of which nothing is known.
    pub const UNKNOWN: Self = Self { rtp: None, rtcp: None, expect: Expect::Nobody };
}

/// One leg: our port pair and the far party.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LegConfig {
    /// Side the leg is on (metric label).
    pub side: Side,
    /// Address our pair is bound to.
    pub bind: IpAddr,
    /// Even RTP port; RTCP is the next one.
    pub port: u16,
    /// DSCP code point of what we send (46 = EF).
    pub dscp: u8,
    /// The far party.
    pub party: Party,
}

/// Engine → relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Bind two pairs and start relaying between them.
    Open {
        /// The new stream.
        stream: StreamId,
        /// Caller's leg, callee's leg.
        legs: [LegConfig; 2],
        /// Report [`Event::Idle`] after this long without an accepted packet on either leg.
        idle: Option<Duration>,
    },
    /// A leg's far party changed (offer, answer, re-INVITE).
    Update {
        /// Which stream.
        stream: StreamId,
        /// Which leg.
        leg: Leg,
        /// The party from now on.
        party: Party,
    },
    /// Bind a leg's pair elsewhere: what was sent to the old one is not heard any more. The other
    /// leg, the parties and all that was counted stay.
    Rebind {
        /// Which stream.
        stream: StreamId,
        /// Which leg.
        leg: Leg,
        /// Address and even RTP port of the new pair; RTCP is the next one.
        at: SocketAddr,
        /// DSCP code point of what we send.
        dscp: u8,
    },
    /// Change idle supervision (`None` while on hold).
    SetIdle {
        /// Which stream.
        stream: StreamId,
        /// The limit from now on, counted from now.
        idle: Option<Duration>,
    },
    /// What the payload types of packets *received* on this leg mean: by the SDP of the other
    /// leg's party, who receives them.
    Codecs {
        /// Which stream.
        stream: StreamId,
        /// The leg the packets come in on.
        leg: Leg,
        /// From now on.
        codecs: Codecs,
    },
    /// Nothing on the way to a leg's party may forget it (RFC 6263): while it has an address,
    /// something leaves by both flows of the leg at least this often. `None`, as in the beginning:
    /// only what the other party sends.
    KeepAlive {
        /// Which stream.
        stream: StreamId,
        /// Which leg.
        leg: Leg,
        /// At most so long between packets; below 200 ms counts as that.
        every: Option<Duration>,
    },
    /// What was measured until now? Answered by one [`Event::SoFar`]; no window ends by it.
    Measure {
        /// Which stream.
        stream: StreamId,
    },
    /// Close the sockets; answered by one [`Event::Closed`].
    Close {
        /// Which stream.
        stream: StreamId,
    },
}

impl Command {
    /// The stream it is about.
    #[must_use]
    pub fn stream(&self) -> StreamId {
        match self {
            Self::Open { stream, .. }
            | Self::Update { stream, .. }
            | Self::Rebind { stream, .. }
            | Self::SetIdle { stream, .. }
            | Self::Codecs { stream, .. }
            | Self::KeepAlive { stream, .. }
            | Self::Measure { stream }
            | Self::Close { stream } => *stream,
        }
    }
}

/// Why a packet was not relayed. The closed set behind `media_dropped_packets_total{reason}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// Not from the expected address (user space or socket filter).
    UnknownSource,
    /// Neither RTP nor RTCP.
    NotRtp,
    /// The other leg has no destination.
    NoPeer,
    /// Before any answer told whom to expect.
    Early,
    /// The kernel refused to send.
    SendError,
}

impl DropReason {
    /// Every reason, in metric order.
    pub const ALL: [Self; 5] =
        [Self::UnknownSource, Self::NotRtp, Self::NoPeer, Self::Early, Self::SendError];

    /// Metric label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownSource => "unknown_source",
            Self::NotRtp => "not_rtp",
            Self::NoPeer => "no_peer",
            Self::Early => "early",
            Self::SendError => "send_error",
        }
    }
}

/// What one leg received (index 0 RTP, 1 RTCP where arrays of two are used).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowCounters {
    /// Packets accepted, RTP and RTCP.
    pub packets: [u64; 2],
    /// Payload octets (UDP payload) of those.
    pub bytes: [u64; 2],
    /// Packets sent out of this leg.
    pub sent: [u64; 2],
    /// Dropped on arrival at this leg, by [`DropReason::ALL`].
    pub dropped: [u64; 5],
}

/// Both legs of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// By [`Leg::index`].
    pub legs: [FlowCounters; 2],
}

/// Relay → engine. Events, never packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// `same-ip` pinned a port that SDP had not named. It stands until an [`Command::Update`] names
    /// another address for this flow or another host; a hold (no address) does not end it. A leg is
    /// restored by a party of [`Expect::Exact`] with what was learned as its addresses.
    Learned {
        /// Which stream.
        stream: StreamId,
        /// Which leg.
        leg: Leg,
        /// True for the RTCP flow.
        rtcp: bool,
        /// The pinned source.
        from: SocketAddr,
    },
    /// The first packet of a leg was accepted.
    FirstPacket {
        /// Which stream.
        stream: StreamId,
        /// Which leg.
        leg: Leg,
    },
    /// Packets from a source that is not expected; one event a burst (at most one a leg and 10 s).
    Stranger {
        /// Which stream.
        stream: StreamId,
        /// Which leg.
        leg: Leg,
        /// Who it was, if one packet reached user space.
        from: Option<SocketAddr>,
        /// What was expected.
        expected: Option<SocketAddr>,
        /// Packets dropped since the last event.
        count: u64,
    },
    /// Nothing accepted on either leg for the idle limit. Sent once until a packet comes.
    Idle {
        /// Which stream.
        stream: StreamId,
    },
    /// The ports could not be bound; the stream does not exist.
    OpenFailed {
        /// Which stream.
        stream: StreamId,
        /// What the kernel said.
        error: String,
    },
    /// The stream is closed and its sockets are gone.
    Closed {
        /// Which stream.
        stream: StreamId,
        /// Final counters.
        counters: Counters,
        /// Figures of the whole stream, by [`Leg::index`].
        figures: Box<[Figures; 2]>,
    },
    /// The answer to [`Command::Measure`].
    SoFar {
        /// Which stream.
        stream: StreamId,
        /// Figures since the beginning, by [`Leg::index`].
        figures: Box<[Figures; 2]>,
    },
    /// A window of 10 s is over on a leg that received or should have received RTP; shorter, when
    /// the stream ends and the time since the window before can be rated.
    Measured {
        /// Which stream.
        stream: StreamId,
        /// Which leg received.
        leg: Leg,
        /// The window's figures, and those since the beginning.
        figures: Box<[Figures; 2]>,
    },
}
