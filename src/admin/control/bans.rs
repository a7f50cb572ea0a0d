//! Who is suspect and who is banned, and the end of a ban. Both are the event loop's to say.

use super::{Peer, Shared, answer, refused, told};
use crate::daemon::Ask;
use crate::engine::Lifted;
use axum::extract::connect_info::ConnectInfo;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;
use std::net::IpAddr;
use std::sync::Arc;

pub(super) async fn list(State(shared): State<Arc<Shared>>) -> Response {
    let show =
        |(enabled, all)| answer(StatusCode::OK, &json!({ "enabled": enabled, "suspects": all }));
    told(&shared, Ask::Bans, show).await
}

pub(super) async fn lift(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(whom): Path<String>,
) -> Response {
    let whom = match whom.as_str() {
        "all" => None,
        one => match one.parse::<IpAddr>() {
            Ok(ip) => Some(ip),
            Err(_) => return refused(StatusCode::NOT_FOUND, "name an address, or all"),
        },
    };
    let show = |Lifted { bans, forgiven }| {
        answer(StatusCode::OK, &json!({ "lifted": bans, "forgiven": forgiven }))
    };
    told(&shared, |told| Ask::LiftBans { whom, by: peer.name(), told }, show).await
}
