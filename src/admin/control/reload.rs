//! A new configuration, read and taken or refused.

use super::{Peer, Shared, answer, mute, refused};
use axum::extract::State;
use axum::extract::connect_info::ConnectInfo;
use axum::http::StatusCode;
use axum::response::Response;
use std::sync::Arc;

pub(super) async fn reload(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
) -> Response {
    let standing = shared.table.standing();
    if standing.is_still() {
        return refused(StatusCode::SERVICE_UNAVAILABLE, &standing.to_string());
    }
    let reloader = shared.reloader.clone();
    // Of its own: whoever asked may go, and it must not be left half done.
    match tokio::spawn(async move { reloader.reload(&peer.name()).await }).await {
        Ok(o) if o.result == "refused" => answer(StatusCode::UNPROCESSABLE_ENTITY, &o),
        Ok(o) => answer(StatusCode::OK, &o),
        Err(_) => mute(),
    }
}
