//! The page: how the gateway stands, each call with its ladder, what was refused. Drawn here, read
//! only, and useful without a script; live where there is one, by server-sent events. It names
//! users, and any user of this machine reaches loopback: so it wants a token (`portreeve page`
//! prints the link), and without it names nobody. It decides nothing and changes nothing; what it
//! shows comes from the session table and, of calls, from the event loop.

mod alerts;
mod book;
mod call;
mod ladder;
mod layout;
mod now;
mod snapshot;
mod strip;
mod token;
mod words;

use crate::daemon::reload::Reloader;
use crate::daemon::{Ask, SessionTable};
use crate::ground::CallNo;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use layout::Tab;
use maud::{Markup, html};
use sha2::{Digest as _, Sha256};
use snapshot::{Last, Snapshot};
use std::sync::Arc;
use std::time::Duration;
use token::Token;
use tokio::sync::{Mutex, Semaphore, mpsc};
use tokio::time::{Instant, sleep};

/// Who waits for news at a time; more are told to look again later.
const READERS: usize = 10;
/// News are looked for this often, and waited for at most this long: then the browser asks anew,
/// for a connection of this listener lives 15 s.
const EVERY: Duration = Duration::from_secs(1);
const WAITS: Duration = Duration::from_secs(9);
/// A relay thread tells what it has measured in less.
const MEASURING: Duration = Duration::from_millis(50);
/// Nothing of elsewhere is loaded, nothing frames it, no script but ours runs.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src \
                      'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// What the page is made with.
#[derive(Debug)]
pub struct PageOptions {
    /// Who has it may look.
    pub token: String,
    /// The way to the event loop.
    pub asks: mpsc::Sender<Ask>,
    /// Who knows the configuration in force.
    pub reloader: Arc<Reloader>,
}

/// What the handlers share.
#[derive(Debug)]
pub(super) struct Page {
    table: Arc<SessionTable>,
    asks: mpsc::Sender<Ask>,
    reloader: Arc<Reloader>,
    token: Token,
    last: Mutex<Last>,
    readers: Semaphore,
}

/// What one looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum View {
    Now,
    Calls,
    Book,
    Call(CallNo),
}

impl View {
    fn of_query(query: Option<&str>) -> Option<Self> {
        match query?.strip_prefix("view=")? {
            "now" => Some(Self::Now),
            "calls" => Some(Self::Calls),
            "book" => Some(Self::Book),
            other => other.strip_prefix("call-")?.parse().ok().map(|n| Self::Call(CallNo(n))),
        }
    }

    fn query(self) -> String {
        match self {
            Self::Now => "now".to_owned(),
            Self::Calls => "calls".to_owned(),
            Self::Book => "book".to_owned(),
            Self::Call(no) => format!("call-{no}"),
        }
    }

    fn tab(self) -> Tab {
        match self {
            Self::Now => Tab::Now,
            Self::Calls | Self::Call(_) => Tab::Calls,
            Self::Book => Tab::Book,
        }
    }
}

/// Its routes; `port`: of the listener.
pub(super) fn router(options: PageOptions, table: Arc<SessionTable>, port: u16) -> Router {
    let page = Page {
        table,
        asks: options.asks,
        reloader: options.reloader,
        token: Token::new(options.token, port),
        last: Mutex::default(),
        readers: Semaphore::new(READERS),
    };
    Router::new()
        .route("/", get(home))
        .route("/last", get(calls))
        .route("/book", get(book_page))
        .route("/calls/{id}", get(call_page))
        .route("/events", get(events))
        .route("/page.css", get(style))
        .route("/page.js", get(script))
        .with_state(Arc::new(page))
        .layer(map_response(careful))
}

/// Headers of every answer of the page.
async fn careful(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let all: [(HeaderName, &'static str); 5] = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ];
    for (name, value) in all {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn style() -> Response {
    asset("text/css", include_str!("page/page.css"))
}

async fn script() -> Response {
    asset("text/javascript", include_str!("page/page.js"))
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, format!("{kind}; charset=utf-8"))], text).into_response()
}

fn document(status: StatusCode, page: Markup) -> Response {
    (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], page.into_string())
        .into_response()
}

/// Who has no token hears how to get it, and nothing else.
fn stranger() -> Response {
    let text = html! {
        p { "This page names users: " code { "portreeve page" }
            " prints the link that opens it, for the gateway's own user and for root." }
    };
    document(StatusCode::UNAUTHORIZED, layout::bare("A token is needed", &text))
}

async fn home(State(page): State<Arc<Page>>, headers: HeaderMap, uri: Uri) -> Response {
    if page.token.is_given(uri.query()) {
        // The token goes out of the address line.
        let to = [(header::LOCATION, "/".to_owned()), (header::SET_COOKIE, page.token.set())];
        return (StatusCode::SEE_OTHER, to).into_response();
    }
    show(&page, &headers, View::Now).await
}

async fn calls(State(page): State<Arc<Page>>, headers: HeaderMap) -> Response {
    show(&page, &headers, View::Calls).await
}

async fn book_page(State(page): State<Arc<Page>>, headers: HeaderMap) -> Response {
    show(&page, &headers, View::Book).await
}

async fn call_page(
    State(page): State<Arc<Page>>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Response {
    match id.parse().map(CallNo) {
        Ok(no) => show(&page, &headers, View::Call(no)).await,
        Err(_) if page.token.is_known(&headers) => {
            let text = html! { p { "Calls have numbers. " a href="/last" { "All of them" } } };
            document(StatusCode::NOT_FOUND, layout::bare("There is no such call", &text))
        }
        Err(_) => stranger(),
    }
}

async fn show(page: &Page, headers: &HeaderMap, view: View) -> Response {
    if !page.token.is_known(headers) {
        return stranger();
    }
    let snapshot = page.snapshot().await;
    let (status, title, goes_on, main) = page.draw(&snapshot, view).await;
    let events = goes_on.then(|| format!("/events?view={}", view.query()));
    let site = words::said(&snapshot.report.site);
    let whole = layout::page(view.tab(), &site, &title, events.as_deref(), &main);
    document(status, whole)
}

impl Page {
    /// Status, title, whether it may change, and what is seen.
    async fn draw(&self, s: &Snapshot, view: View) -> (StatusCode, String, bool, Markup) {
        let ok = StatusCode::OK;
        match view {
            View::Now => {
                let main = now::page(s);
                (ok, "Now".to_owned(), true, main)
            }
            View::Calls => {
                let main = html! {
                    h1 { "Calls that are over" }
                    p.soft { "The last " (s.ended.len()) "; those under way are on the "
                        a href="/" { "first page" } "." }
                    (now::ended(s.ended.get(..200).unwrap_or(&s.ended)))
                    @if s.ended.len() > 200 { p.more { "and " (s.ended.len() - 200) " more" } }
                };
                (ok, "Calls".to_owned(), true, main)
            }
            View::Book => (ok, "Book".to_owned(), true, book::page(s, self.reloader.source())),
            View::Call(no) => self.draw_call(no).await,
        }
    }

    async fn draw_call(&self, no: CallNo) -> (StatusCode, String, bool, Markup) {
        let title = format!("Call {no}");
        let still = self.table.standing().is_still();
        let over = self.table.ended_call(no);
        let mut known = over.as_ref().map(|o| o.detail.clone());
        let mut trace = None;
        if !still {
            if known.is_none() {
                // A relay thread that is late is not waited for.
                let _ = self.asks.try_send(Ask::Measure(no));
                sleep(MEASURING).await;
                known = self.ask(|to| Ask::Call(no, to)).await.flatten().map(|d| *d);
            }
            trace = self.ask(|to| Ask::Trace(no, to)).await.flatten();
        }
        let Some(detail) = known else {
            // Between its end and what is kept of it there is a moment.
            return (StatusCode::NOT_FOUND, title, true, call::absent(no));
        };
        let (over, trace) = (over.as_deref(), trace.as_deref());
        let main = call::page(&call::Known { detail: &detail, over, trace });
        (StatusCode::OK, title, over.is_none(), main)
    }
}

/// What has changed since the event that the reader had last: one event an answer, after which the
/// browser asks anew (that is how server-sent events go on when a connection ends).
async fn events(State(page): State<Arc<Page>>, headers: HeaderMap, uri: Uri) -> Response {
    if !page.token.is_known(&headers) {
        return stranger();
    }
    let Some(view) = View::of_query(uri.query()) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let Ok(_place) = page.readers.try_acquire() else {
        let later = [(header::RETRY_AFTER, "10")];
        return (StatusCode::SERVICE_UNAVAILABLE, later, "too many readers\n").into_response();
    };
    let had = headers.get("last-event-id").and_then(|v| v.to_str().ok()).unwrap_or_default();
    let until = Instant::now() + WAITS;
    loop {
        let snapshot = page.snapshot().await;
        let (_, _, goes_on, main) = page.draw(&snapshot, view).await;
        let text = main.into_string();
        let id = mark(&text);
        if id != had {
            // A call that is over changes no more: the reader looks once in a while.
            let retry = if goes_on { 1_000 } else { 600_000 };
            return event(&format!("retry: {retry}\nid: {id}\n{}\n", data(&text)));
        }
        if Instant::now() >= until {
            return event(&format!("retry: 1000\nid: {id}\nevent: same\ndata: -\n\n"));
        }
        sleep(EVERY).await;
    }
}

fn event(text: &str) -> Response {
    let kind = [(header::CONTENT_TYPE, "text/event-stream; charset=utf-8")];
    (kind, text.to_owned()).into_response()
}

/// Each line of a text as one of an event's data.
fn data(text: &str) -> String {
    text.lines().map(|line| format!("data: {line}\n")).collect()
}

/// What tells one state of a page from another.
fn mark(text: &str) -> String {
    let hash = Sha256::digest(text.as_bytes());
    hash.iter().take(8).map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests;
