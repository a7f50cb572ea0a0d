//! Tunnels to other gateways: how they stand, what they carry, and how their way is.

use super::Values::{Closed, Tunnels};
use super::{Family, Values, counter, gauge};
use crate::daemon::{TUNNEL_MEDIA, TUNNEL_MOVES};
use crate::ground::Bearer;

const TUNNEL: (&str, Values) = ("tunnel", Tunnels);
const DIRECTION: (&str, Values) = ("direction", Closed(&DIRECTIONS));
/// As seen from here.
pub(in crate::admin) const DIRECTIONS: [&str; 2] = ["out", "in"];

pub(super) const FAMILIES: &[Family] = &[
    gauge("portreeve_tunnel_up", &[TUNNEL], "1: a connection carries the tunnel; 0: none does."),
    gauge(
        "portreeve_tunnel_bearer",
        &[TUNNEL, ("bearer", Closed(&Bearer::NAMES))],
        "1: this is what carries it now.",
    ),
    gauge(
        "portreeve_tunnel_round_trip_seconds",
        &[TUNNEL],
        "How long there and back takes. Absent: not known.",
    ),
    gauge(
        "portreeve_tunnel_jitter_seconds",
        &[TUNNEL],
        "By how much the time on the way here varies from one second to the next (RFC 3550 §6.4.1). Absent: not known.",
    ),
    counter(
        "portreeve_tunnel_packets_total",
        &[TUNNEL, DIRECTION],
        "QUIC packets that were sent: by us, and by the other end as it says. TCP does not say.",
    ),
    counter(
        "portreeve_tunnel_lost_packets_total",
        &[TUNNEL, DIRECTION],
        "Those of them that were lost on their way.",
    ),
    counter(
        "portreeve_tunnel_bytes_total",
        &[TUNNEL, DIRECTION],
        "Octets that the bearers have sent and received, without heads of UDP, TCP and IP.",
    ),
    counter(
        "portreeve_tunnel_media_packets_total",
        &[TUNNEL, ("result", Closed(&TUNNEL_MEDIA))],
        "Packets of media: sent, received, sent by a stream (too long for a datagram), come for no port, lost here for want of room, dropped here for being too old to be heard or more than its flow's share.",
    ),
    counter("portreeve_tunnel_connections_total", &[TUNNEL], "Connections that were made."),
    counter(
        "portreeve_tunnel_moves_total",
        &[TUNNEL, ("kind", Closed(&TUNNEL_MOVES))],
        "How often it went on by another address of an end, and by another bearer, calls as they were.",
    ),
];
