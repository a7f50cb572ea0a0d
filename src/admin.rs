//! The HTTP side: metrics and health on loopback, which name nobody and change nothing; and, by a
//! unix socket, what does. It asks the event loop; it decides nothing.

pub mod catalogue;
mod control;
mod metrics;
mod process;

pub use control::Control;
pub use metrics::Metrics;

use crate::daemon::Ask;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

/// How long the event loop may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the handlers share.
#[derive(Debug)]
struct Shared {
    asks: mpsc::Sender<Ask>,
    metrics: Metrics,
}

/// Binds and serves until the process ends. Returns once it listens.
///
/// # Errors
/// The address cannot be bound.
pub async fn serve(
    at: SocketAddr,
    asks: mpsc::Sender<Ask>,
    metrics: Metrics,
) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(at).await?;
    let at = listener.local_addr()?;
    let shared = Arc::new(Shared { asks, metrics });
    let app = Router::new()
        .route("/metrics", get(show_metrics))
        .route("/live", get(live))
        .route("/ready", get(ready))
        .with_state(shared);
    tokio::spawn(async move {
        let _ = axum::serve(listener, app).await;
    });
    Ok(at)
}

/// How things stand; `None`: the event loop does not answer.
async fn report(asks: &mpsc::Sender<Ask>) -> Option<Box<crate::daemon::Report>> {
    let (to, from) = oneshot::channel();
    let exchange = async {
        asks.send(Ask::Stats(to)).await.ok()?;
        from.await.ok()
    };
    tokio::time::timeout(PATIENCE, exchange).await.ok()?
}

async fn show_metrics(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    match report(&shared.asks).await {
        Some(r) => {
            let text = shared.metrics.render(&r);
            let kind = "text/plain; version=0.0.4; charset=utf-8";
            (StatusCode::OK, [(header::CONTENT_TYPE, kind)], text)
        }
        None => {
            let text = "the event loop does not answer\n".to_owned();
            (StatusCode::SERVICE_UNAVAILABLE, [(header::CONTENT_TYPE, "text/plain")], text)
        }
    }
}

async fn live(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    match report(&shared.asks).await {
        Some(_) => (StatusCode::OK, "live\n"),
        None => (StatusCode::SERVICE_UNAVAILABLE, "the event loop does not answer\n"),
    }
}

async fn ready(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    match report(&shared.asks).await {
        Some(r) if !r.stats.now.draining => (StatusCode::OK, "ready\n"),
        Some(_) => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        None => (StatusCode::SERVICE_UNAVAILABLE, "the event loop does not answer\n"),
    }
}
