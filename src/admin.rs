//! The HTTP side: metrics and health, on loopback. It asks the event loop and shows; it changes
//! nothing.

pub mod catalogue;
mod metrics;
mod process;

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
async fn report(shared: &Shared) -> Option<Box<crate::daemon::Report>> {
    let (to, from) = oneshot::channel();
    shared.asks.send(Ask::Stats(to)).await.ok()?;
    tokio::time::timeout(Duration::from_secs(2), from).await.ok()?.ok()
}

async fn show_metrics(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    match report(&shared).await {
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
    match report(&shared).await {
        Some(_) => (StatusCode::OK, "live\n"),
        None => (StatusCode::SERVICE_UNAVAILABLE, "the event loop does not answer\n"),
    }
}

async fn ready(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    match report(&shared).await {
        Some(r) if !r.stats.now.draining => (StatusCode::OK, "ready\n"),
        Some(_) => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        None => (StatusCode::SERVICE_UNAVAILABLE, "the event loop does not answer\n"),
    }
}
