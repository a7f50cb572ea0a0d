//! Who holds how much of what has shares, as `portreeve status --shares` asks for it. It changes
//! nothing.

use super::{PATIENCE, Shared, answer, ask, mute, refused};
use crate::daemon::Ask;
use crate::policy::quota::ShareView;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;
use std::sync::Arc;

pub(super) async fn shares(State(shared): State<Arc<Shared>>) -> Response {
    let standing = shared.table.standing();
    if standing.is_still() {
        return refused(StatusCode::SERVICE_UNAVAILABLE, &standing.to_string());
    }
    let Some(mut all) = ask(&shared, PATIENCE, Ask::Shares).await else { return mute() };
    all.push(shared.readers.shares());
    let mut stats = shared.table.report().stats;
    shared.readers.count_into(&mut stats);
    let counts = stats.shares;
    let row = |view: &ShareView| {
        let [inside, outside] = counts[view.resource as usize];
        let (who, holds) = view.fullest.clone().unzip();
        json!({
            "resource": view.resource.as_str(),
            "used": view.used,
            "total": view.total,
            "reserve": view.reserve,
            "per_source": view.per_source,
            "per_user": view.per_user,
            "fullest": who,
            "fullest_holds": holds,
            "refused": { "inside": inside.refused, "outside": outside.refused },
            "displaced": { "inside": inside.displaced, "outside": outside.displaced },
        })
    };
    answer(StatusCode::OK, &json!({ "shares": all.iter().map(row).collect::<Vec<_>>() }))
}
