//! Metrics and health on loopback, and beside them the page, which asks for a token itself. Any
//! user of this machine may ask; it names nobody and changes nothing, and what it says is read from
//! the session table. A page in somebody's browser may not ask, whatever name it has given to this
//! machine's loopback: `Host` is of a closed list.

use super::Metrics;
use super::guests::{Guest, Room};
use super::host;
use crate::daemon::SessionTable;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{from_fn, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::Listener;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::task::yield_now;
use tokio::time::sleep;

/// Connections at a time; the oldest gives way.
const CONNECTIONS: usize = 64;
/// Longest life of a connection: whoever has not read his answer then does not get it.
const LIFE: Duration = Duration::from_secs(15);

/// What the handlers share.
#[derive(Debug)]
struct Shared {
    table: Arc<SessionTable>,
    metrics: Arc<Metrics>,
    room: Room,
    /// Held by whoever writes all metrics down: between two of these, others are answered.
    pen: Mutex<()>,
}

/// The places of this listener.
pub(super) fn room() -> Room {
    Room::new(CONNECTIONS, LIFE)
}

/// Serves as long as the runtime lives.
pub(super) async fn serve(
    listener: TcpListener,
    room: Room,
    table: Arc<SessionTable>,
    metrics: Arc<Metrics>,
    page: Option<Router>,
) {
    let own = Router::new()
        .route("/metrics", get(show_metrics))
        .route("/live", get(live))
        .route("/ready", get(ready))
        .with_state(Arc::new(Shared { table, metrics, room: room.clone(), pen: Mutex::new(()) }));
    let app =
        own.merge(page.unwrap_or_default()).layer(from_fn(host::is_ours)).layer(map_response(once));
    let door = Door { listener, room };
    let _ = axum::serve(door, app).await;
}

/// One request a connection: who writes a thousand at once and reads slowly is one reader.
pub(super) async fn once(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

struct Door {
    listener: TcpListener,
    room: Room,
}

impl Listener for Door {
    type Io = Guest<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        // Who was let in before is looked at before the next.
        yield_now().await;
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    let place = self.room.place_at_once(peer.ip()).await;
                    return (self.room.admit(stream, place), peer);
                }
                // Out of descriptors, most likely: wait instead of spinning.
                Err(_) => sleep(Duration::from_millis(100)).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

async fn show_metrics(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    shared.table.settled().await;
    let pen = shared.pen.lock().await;
    yield_now().await;
    let mut report = shared.table.report();
    shared.room.count_into(&mut report.stats);
    let text = shared.metrics.render(&report);
    drop(pen);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}

async fn live(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let standing = shared.table.standing();
    match standing.is_still() {
        false => (StatusCode::OK, "live\n".to_owned()),
        true => (StatusCode::SERVICE_UNAVAILABLE, format!("{standing}\n")),
    }
}

async fn ready(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    shared.table.settled().await;
    let standing = shared.table.standing();
    if standing.is_still() {
        return (StatusCode::SERVICE_UNAVAILABLE, format!("{standing}\n"));
    }
    if shared.table.is_draining() {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n".to_owned());
    }
    let report = shared.table.report();
    if let [first, ..] = report.lost_addresses.as_slice() {
        return (StatusCode::SERVICE_UNAVAILABLE, format!("{first} is gone from this machine\n"));
    }
    let where_to = if report.loopback_only { ", for this machine only (loopback)" } else { "" };
    (StatusCode::OK, format!("ready{where_to}\n"))
}
