//! The control listener: JSON over a unix socket, for the gateway's own user and for root. What
//! shows a name or changes anything is here and not at the loopback port. It reads the session
//! table, tells the event loop and reloads; it decides nothing.

mod bans;
mod call;
mod certificates;
mod ended;
mod interfaces;
mod reload;
mod shares;
mod tunnels;

use super::guests::{Guest, NOWHERE, Room};
use super::loopback::once;
use crate::daemon::reload::Reloader;
use crate::daemon::{Ask, Report, SessionTable, Standing};
use crate::driver::control_socket::{SocketFile, bind};
use crate::engine::{Health, TargetView, UpstreamView};
use crate::ground::CallNo;
use axum::Router;
use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::{IncomingStream, Listener};
use call::no_call;
use serde::Serialize;
use serde_json::{Value, json};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// Connections at a time; more wait.
const CONNECTIONS: usize = 16;
/// Longest life of a connection: a reload reads files.
const LIFE: Duration = Duration::from_secs(60);
/// How long the event loop may take to do what it is told.
const PATIENCE: Duration = Duration::from_secs(2);
/// Answers under way may be finished for this long when the gateway stops.
const GOODBYE: Duration = Duration::from_secs(1);

/// What the handlers share.
#[derive(Debug)]
struct Shared {
    table: Arc<SessionTable>,
    /// The loopback port's.
    readers: Room,
    asks: mpsc::Sender<Ask>,
    reloader: Arc<Reloader>,
    /// The link that opens the page; `None`: there is none.
    page: Option<String>,
}

/// The running listener; its file goes when this does.
#[derive(Debug)]
pub struct Control {
    _file: SocketFile,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Control {
    /// Listens at `path` and serves, on the current runtime.
    pub(super) fn start(
        path: &str,
        table: Arc<SessionTable>,
        readers: Room,
        asks: mpsc::Sender<Ask>,
        (reloader, page): (Arc<Reloader>, Option<String>),
    ) -> io::Result<Self> {
        let (listener, file) = bind(std::path::Path::new(path))?;
        let gate = Gate {
            listener: UnixListener::from_std(listener)?,
            room: Room::new(CONNECTIONS, LIFE),
            own: rustix::process::geteuid().as_raw(),
        };
        let app = router().with_state(Arc::new(Shared { table, readers, asks, reloader, page }));
        let (stop, mut stopped) = watch::channel(false);
        let task = tokio::spawn(async move {
            let app = app.into_make_service_with_connect_info::<Peer>();
            let end = async move {
                let _ = stopped.wait_for(|s| *s).await;
            };
            let _ = axum::serve(gate, app).with_graceful_shutdown(end).await;
        });
        Ok(Self { _file: file, stop, task })
    }

    /// Finishes the answers under way and ends.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        let _ = tokio::time::timeout(GOODBYE, self.task).await;
    }
}

fn router() -> Router<Arc<Shared>> {
    Router::new()
        .route("/status", get(status))
        .route("/shares", get(shares::shares))
        .route("/calls", get(calls))
        .route("/calls/ended/{most}", get(ended::list))
        .route("/calls/{id}", get(call::call))
        .route("/calls/{id}/trace", get(ended::trace))
        .route("/calls/{id}/hangup", post(hang_up))
        .route("/registrations", get(registrations))
        .route("/bans", get(bans::list))
        .route("/bans/{whom}/lift", post(bans::lift))
        .route("/page", get(page))
        .route("/reload", post(reload::reload))
        .route("/drain", post(drain))
        .fallback(|| async { refused(StatusCode::NOT_FOUND, "there is nothing of this name") })
        .layer(map_response(once))
}

/// Who asks, as the kernel says (`SO_PEERCRED`).
#[derive(Clone, Copy, Debug)]
struct Peer {
    uid: u32,
    pid: Option<i32>,
}

impl Peer {
    /// For the audit log.
    fn name(self) -> String {
        match self.pid {
            Some(pid) => format!("uid {} (pid {pid})", self.uid),
            None => format!("uid {}", self.uid),
        }
    }
}

impl Connected<IncomingStream<'_, Gate>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Gate>) -> Self {
        *stream.remote_addr()
    }
}

/// Lets in the gateway's own user and root, so many at a time.
struct Gate {
    listener: UnixListener,
    room: Room,
    own: u32,
}

impl Listener for Gate {
    type Io = Guest<UnixStream>;
    type Addr = Peer;

    async fn accept(&mut self) -> (Self::Io, Peer) {
        loop {
            let place = self.room.place(NOWHERE).await;
            let Ok((stream, _)) = self.listener.accept().await else {
                sleep(Duration::from_millis(100)).await;
                continue;
            };
            let Ok(who) = stream.peer_cred() else { continue };
            let peer = Peer { uid: who.uid(), pid: who.pid() };
            if may_enter(peer.uid, self.own) {
                return (self.room.admit(stream, place), peer);
            }
            tracing::warn!("control socket: {} is not the gateway's user: closed", peer.name());
        }
    }

    fn local_addr(&self) -> io::Result<Peer> {
        Ok(Peer { uid: self.own, pid: None })
    }
}

/// Root, or whom the gateway runs as.
fn may_enter(uid: u32, own: u32) -> bool {
    uid == 0 || uid == own
}

fn answer(status: StatusCode, body: &impl Serialize) -> Response {
    let text = serde_json::to_string(body).unwrap_or_else(|_| "{}".to_owned()) + "\n";
    (status, [(header::CONTENT_TYPE, "application/json")], text).into_response()
}

fn refused(status: StatusCode, why: &str) -> Response {
    answer(status, &json!({ "error": why }))
}

/// Asks the event loop; `None`: it does not answer in time.
async fn ask<T>(
    shared: &Shared,
    patience: Duration,
    question: impl FnOnce(oneshot::Sender<T>) -> Ask,
) -> Option<T> {
    let (to, from) = oneshot::channel();
    let exchange = async {
        shared.asks.send(question(to)).await.ok()?;
        from.await.ok()
    };
    tokio::time::timeout(patience, exchange).await.ok().flatten()
}

/// Tells the event loop to do something; an answer is shown, silence is told.
async fn told<T>(
    shared: &Shared,
    question: impl FnOnce(oneshot::Sender<T>) -> Ask,
    show: impl FnOnce(T) -> Response,
) -> Response {
    // Nobody should be told no and have it done an hour later.
    let standing = shared.table.standing();
    if standing.is_still() {
        return refused(StatusCode::SERVICE_UNAVAILABLE, &standing.to_string());
    }
    ask(shared, PATIENCE, question).await.map_or_else(mute, show)
}

fn mute() -> Response {
    refused(StatusCode::SERVICE_UNAVAILABLE, "the event loop does not answer")
}

/// How old what is shown is; whoever reads it must not take it for the present.
fn event_loop(s: Standing) -> Value {
    json!({ "age_s": s.age.as_secs_f64(), "stands_still": s.is_still() })
}

async fn status(State(shared): State<Arc<Shared>>) -> Response {
    shared.table.settled().await;
    let (report, gone) = (shared.table.report(), shared.table.gone());
    let mut body = summary(&report, gone, shared.reloader.source());
    if let Some(audit) = body.pointer_mut("/audit").and_then(Value::as_object_mut) {
        audit.insert("folder".to_owned(), json!(shared.reloader.audit_folder()));
    }
    answer(StatusCode::OK, &body)
}

/// One upstream. What was known when the loop last turned is not known now.
fn upstream(r: &Report, u: &UpstreamView) -> Value {
    let still = r.standing.is_still();
    let is_up = |health: Health| match health {
        Health::Unknown => None,
        Health::Up => Some(true),
        Health::Down => Some(false),
    };
    let target = |t: &TargetView| {
        let up = if still { None } else { is_up(t.health) };
        json!({ "address": t.address, "transport": t.transport, "up": up, "why": t.why })
    };
    let (up, since, why) = match still {
        false => (is_up(u.health), u.since, u.why.as_str()),
        true => (None, None, "the event loop stands still"),
    };
    let alone = u.alone.filter(|_| !still);
    json!({
        "name": u.name,
        "address": u.targets.first().map(|t| t.address),
        "targets": u.targets.iter().map(target).collect::<Vec<Value>>(),
        "stale": u.stale,
        "up": up,
        "since_ms": since,
        "for_s": since.map(|s| s.elapsed(r.now).as_secs()),
        "why": why,
        "alone_s": alone.map(|s| s.elapsed(r.now).as_secs()),
        "seen_as": u.seen_as,
    })
}

/// How things stand, for people and scripts.
fn summary(r: &Report, gone: usize, source: &str) -> Value {
    let s = &r.stats;
    let [early, confirmed] = s.now.calls;
    let still = r.standing.is_still();
    let state = match (still, s.now.draining) {
        (true, _) => "standstill",
        (false, true) => "draining",
        (false, false) => "running",
    };
    let upstream = |u: &UpstreamView| upstream(r, u);
    let upstreams: Vec<Value> = s.upstreams.iter().map(upstream).collect();
    let ports = |i: usize| {
        let p = s.now.ports[i];
        json!({ "used": p.used, "quarantined": p.quarantined, "free": p.free })
    };
    let [applied, unchanged, refused] = r.reloads.counts;
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "site": r.site,
        "state": state,
        "event_loop": event_loop(r.standing),
        "drain_left_s": r.drain_left.map(|d| d.as_secs()),
        "uptime_s": r.now.mono.0.as_secs(),
        "lost_addresses": r.lost_addresses,
        "notes": r.doubts,
        "calls": { "early": early, "confirmed": confirmed, "limit": r.calls_limit },
        "registrations": s.now.registrations,
        "registrations_gone": gone,
        "interfaces": interfaces::interfaces(r),
        "tunnels": tunnels::tunnels(r),
        "upstreams": upstreams,
        "certificates": certificates::certificates(r),
        "bans": s.now.bans,
        "silenced": { "invites": s.silenced[0], "others": s.silenced[1] },
        "media_streams": s.now.streams,
        "media_ports": { "inside": ports(0), "outside": ports(1) },
        "connections": r.connections,
        "audit": audit(r.audit),
        "configuration": {
            "source": source,
            "hash": r.hash,
            "taken": r.reloads.success.seconds(),
            "reloads": { "applied": applied, "unchanged": unchanged, "refused": refused },
            "last_reload_refused": r.reloads.refused,
            "restart_pending": r.reloads.pending,
        },
    })
}

fn audit([records, failures, suppressed, full]: [u64; 4]) -> Value {
    let full = full == 1;
    json!({ "records": records, "failures": failures, "suppressed": suppressed, "full": full })
}

async fn calls(State(shared): State<Arc<Shared>>) -> Response {
    shared.table.settled().await;
    let (calls, left_off) = shared.table.calls();
    let event_loop = event_loop(shared.table.standing());
    let body = json!({ "calls": calls, "left_off": left_off, "event_loop": event_loop });
    answer(StatusCode::OK, &body)
}

async fn registrations(State(shared): State<Arc<Shared>>) -> Response {
    shared.table.settled().await;
    let (all, left_off) = shared.table.registrations();
    let event_loop = event_loop(shared.table.standing());
    let body = json!({ "registrations": all, "left_off": left_off, "event_loop": event_loop });
    answer(StatusCode::OK, &body)
}

/// Where the page is, with the token that opens it: who asks here may know it.
async fn page(State(shared): State<Arc<Shared>>) -> Response {
    match &shared.page {
        Some(link) => answer(StatusCode::OK, &json!({ "link": link })),
        None => {
            refused(StatusCode::NOT_FOUND, "there is no page: `[http] page` or `listen` is \"off\"")
        }
    }
}

async fn hang_up(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(id): Path<String>,
) -> Response {
    let Ok(no) = id.parse::<u64>().map(CallNo) else { return no_call(&id) };
    let question = |told| Ask::HangUp { call: no, by: peer.name(), told };
    let show = |there| match there {
        true => answer(StatusCode::OK, &json!({ "call": no, "result": "applied" })),
        false => no_call(&id),
    };
    told(&shared, question, show).await
}

async fn drain(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
) -> Response {
    let show = |d: crate::daemon::Draining| {
        let body = json!({
            "calls": d.calls, "left_s": d.left.as_secs_f64().ceil(), "already": d.already,
        });
        answer(StatusCode::OK, &body)
    };
    told(&shared, |told| Ask::Drain { by: peer.name(), told }, show).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_gateways_user_and_root_may_enter() {
        for (uid, own, want) in [(0, 1000, true), (1000, 1000, true), (1001, 1000, false)] {
            assert_eq!(may_enter(uid, own), want, "{uid}");
        }
        assert!(!may_enter(1000, 0), "a gateway of root serves root alone");
    }
}
