//! Tunnels, series for series. What is not known of one is not shown.

use super::{META, Metrics, Row};
use crate::admin::catalogue::{TUNNEL_LABELS, tunnels::DIRECTIONS};
use crate::daemon::{Report, TUNNEL_MEDIA, TUNNEL_MOVES, TunnelView};
use crate::ground::Bearer;
use metrics::Recorder as _;
use std::time::Duration;

const TRIP: &str = "portreeve_tunnel_round_trip_seconds";
const JITTER: &str = "portreeve_tunnel_jitter_seconds";

/// Those that have labels; of one that nobody may come by, nobody has to be called.
fn shown(r: &Report) -> impl Iterator<Item = &TunnelView> {
    r.tunnels.iter().filter(|t| !t.revoked).take(TUNNEL_LABELS)
}

impl Metrics {
    pub(super) fn tunnels(&self, r: &Report) {
        for t in shown(r) {
            let tunnel = [("tunnel", t.name.as_str())];
            let is = t.bearer.map(|(kind, _)| kind);
            self.set("portreeve_tunnel_up", &tunnel, u64::from(is.is_some()));
            for kind in Bearer::ALL {
                let labels = [tunnel[0], ("bearer", kind.as_str())];
                self.set("portreeve_tunnel_bearer", &labels, u64::from(is == Some(kind)));
            }
            self.time(TRIP, t, t.trip);
            self.time(JITTER, t, t.jitter);
            let (out, back) = (t.sent.unwrap_or_default(), t.received.unwrap_or_default());
            for (name, row) in [
                ("portreeve_tunnel_packets_total", [out.0, back.0]),
                ("portreeve_tunnel_lost_packets_total", [out.1, back.1]),
                ("portreeve_tunnel_bytes_total", [t.octets.0, t.octets.1]),
            ] {
                self.counts(name, &tunnel, "direction", Row(&DIRECTIONS, &row));
            }
            let name = "portreeve_tunnel_media_packets_total";
            self.counts(name, &tunnel, "result", Row(&TUNNEL_MEDIA, &t.media));
            self.count("portreeve_tunnel_connections_total", &tunnel, t.connections);
            let moves = Row(&TUNNEL_MOVES, &t.moves);
            self.counts("portreeve_tunnel_moves_total", &tunnel, "kind", moves);
        }
    }

    fn time(&self, name: &'static str, t: &TunnelView, value: Option<Duration>) {
        if let Some(value) = value {
            let key = Self::key(name, &[("tunnel", t.name.as_str())]);
            self.recorder.register_gauge(&key, &META).set(value.as_secs_f64());
        }
    }
}

/// Whether a line of the exporter's, which keeps what it was ever told, is of something that is
/// known now; `None`: it is of no tunnel.
pub(super) fn is_known(line: &str, r: &Report) -> Option<bool> {
    let rest = line.strip_prefix("portreeve_tunnel_")?;
    let (name, rest) = rest.split_once('{')?;
    let still = r.standing.is_still();
    let of = |t: &&TunnelView| {
        let label = super::written(&t.name);
        rest.strip_prefix("tunnel=\"")
            .and_then(|r| r.strip_prefix(&label))
            .is_some_and(|r| r.starts_with('"'))
    };
    let tunnel = shown(r).find(of);
    match name {
        "up" | "bearer" => Some(tunnel.is_some() && !still),
        "round_trip_seconds" => Some(tunnel.is_some_and(|t| t.trip.is_some()) && !still),
        "jitter_seconds" => Some(tunnel.is_some_and(|t| t.jitter.is_some()) && !still),
        _ => None,
    }
}
