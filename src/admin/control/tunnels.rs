//! Tunnels to other gateways, for `status` and `tunnel status`.

use crate::daemon::{Report, TUNNEL_MEDIA, TUNNEL_MOVES, TunnelView};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// How each stands, what it carries, and how its way is; what nobody knows is `null`.
pub(super) fn tunnels(r: &Report) -> Vec<Value> {
    let still = r.standing.is_still();
    r.tunnels.iter().map(|t| tunnel(t, still)).collect()
}

fn tunnel(t: &TunnelView, still: bool) -> Value {
    let micros = |d: Option<Duration>| d.filter(|_| !still).map(|d| d.as_micros());
    let packets =
        |p: Option<(u64, u64)>| p.map(|(sent, lost)| json!({ "sent": sent, "lost": lost }));
    let words = |names: &[&str], all: &[u64]| {
        let all = names.iter().zip(all).map(|(name, n)| ((*name).to_owned(), json!(n)));
        Value::Object(all.collect::<Map<String, Value>>())
    };
    json!({
        "name": t.name,
        "site": t.site,
        "end": if t.is_site { "site" } else { "head office" },
        "way": t.way,
        "up": if still { None } else { Some(t.bearer.is_some()) },
        "bearer": t.bearer.map(|(kind, _)| kind.as_str()),
        "peer": t.bearer.map(|(_, peer)| peer),
        "for_s": t.lasts.as_secs(),
        "why": t.why,
        "round_trip_us": micros(t.trip),
        "jitter_us": micros(t.jitter),
        "clock_ahead_ms": t.clock_ahead.filter(|_| !still),
        "packets_out": packets(t.sent),
        "packets_in": packets(t.received),
        "octets_out": t.octets.0,
        "octets_in": t.octets.1,
        "connections": t.connections,
        "moves": words(&TUNNEL_MOVES, &t.moves),
        "media": words(&TUNNEL_MEDIA, &t.media),
    })
}
