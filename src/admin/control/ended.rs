//! Calls that are over, as `portreeve calls --last` asks for them. It changes nothing.

use super::call::{GLANCE, no_call};
use super::{Shared, answer, ask, mute, refused};
use crate::daemon::{Ask, EndedCall, SessionTable};
use crate::ground::CallNo;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) async fn list(State(shared): State<Arc<Shared>>, Path(most): Path<String>) -> Response {
    let Ok(most) = most.parse::<usize>() else {
        return refused(StatusCode::BAD_REQUEST, "how many calls is a whole number");
    };
    shared.table.settled().await;
    let (all, left_off) = shared.table.ended(most);
    let calls: Vec<Value> = all.iter().map(|c| shown(&shared.table, c)).collect();
    answer(StatusCode::OK, &json!({ "calls": calls, "left_off": left_off }))
}

/// One, with how long ago it ended.
pub(super) fn shown(table: &SessionTable, over: &EndedCall) -> Value {
    let mut body = serde_json::to_value(over).unwrap_or_default();
    if let Some(fields) = body.as_object_mut() {
        let ago = table.report().now.wall.seconds().saturating_sub(over.ended);
        fields.insert("ended_ago_s".to_owned(), ago.into());
    }
    body
}

/// What a call did, message by message; it may be over.
pub(super) async fn trace(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Response {
    let Ok(no) = id.parse::<u64>().map(CallNo) else { return no_call(&id) };
    match ask(&shared, GLANCE, |to| Ask::Trace(no, to)).await {
        Some(Some(trace)) => answer(StatusCode::OK, &trace),
        Some(None) => refused(StatusCode::NOT_FOUND, &format!("there is no trace of call {no}")),
        None => mute(),
    }
}
