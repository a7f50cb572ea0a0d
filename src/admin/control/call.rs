//! One call, under way or over, as `portreeve calls show` asks for it. It changes nothing.

use super::{Shared, answer, ask, ended, event_loop, refused};
use crate::daemon::{Ask, SessionTable};
use crate::ground::CallNo;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// How long it may take to show a call; then what the session table has of it is shown.
pub(super) const GLANCE: Duration = Duration::from_secs(1);
/// A relay thread tells what it has measured in less.
const MEASURING: Duration = Duration::from_millis(50);

pub(super) fn no_call(id: &str) -> Response {
    refused(
        StatusCode::NOT_FOUND,
        &format!(
            "there is no call {id}: `portreeve calls` lists them, `calls --last` those that are over"
        ),
    )
}

pub(super) async fn call(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Response {
    let Ok(no) = id.parse::<u64>().map(CallNo) else { return no_call(&id) };
    if let Some(over) = shared.table.ended_call(no) {
        return answer(StatusCode::OK, &ended::shown(&shared.table, &over));
    }
    if shared.table.standing().is_still() {
        return glance(&shared.table, no);
    }
    // A relay thread that is late is not waited for: then the figures are a little older.
    let _ = shared.asks.try_send(Ask::Measure(no));
    sleep(MEASURING).await;
    match ask(&shared, GLANCE, |to| Ask::Call(no, to)).await {
        Some(Some(detail)) => answer(StatusCode::OK, &detail),
        Some(None) => no_call(&id),
        None => glance(&shared.table, no),
    }
}

/// A call as the session table has it: the event loop does not answer.
fn glance(table: &SessionTable, no: CallNo) -> Response {
    let Some(row) = table.call(no) else {
        let why = format!("the event loop does not answer, and when it did there was no call {no}");
        return refused(StatusCode::SERVICE_UNAVAILABLE, &why);
    };
    let mut body = serde_json::to_value(row).unwrap_or_default();
    if let Some(fields) = body.as_object_mut() {
        let why = "the event loop does not answer: parties, media and findings are not known";
        fields.insert("unknown".to_owned(), why.into());
        fields.insert("event_loop".to_owned(), event_loop(table.standing()));
    }
    answer(StatusCode::OK, &body)
}
