//! For whom a request is, as its `Host` says. A browser sends the name that its page came from: one
//! that leads to loopback today (DNS rebinding) is none of ours. It knows no path and no answer but
//! the refusal.

use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{StatusCode, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::IpAddr;

/// Lets pass what is for this machine's loopback: `localhost` or a loopback address, with any port
/// (a tunnel may have another). HTTP/1.0 may leave it out; no browser speaks that.
pub(super) async fn is_ours(request: Request, next: Next) -> Response {
    let mut named = request.headers().get_all(header::HOST).iter();
    let host = named.next().map(|h| h.to_str().unwrap_or_default());
    let refused = match host {
        _ if named.next().is_some() => Some((StatusCode::BAD_REQUEST, "more than one Host")),
        None if request.version() >= Version::HTTP_11 => Some((StatusCode::BAD_REQUEST, "no Host")),
        None => None,
        Some(host) => (!is_loopback(host)).then_some(NOT_HERE),
    };
    let target = request.uri().authority().map(Authority::as_str);
    let elsewhere = target.is_some_and(|t| !is_loopback(t)).then_some(NOT_HERE);
    match refused.or(elsewhere) {
        Some((status, why)) => (status, format!("{why}\n")).into_response(),
        None => next.run(request).await,
    }
}

const NOT_HERE: (StatusCode, &str) = (
    StatusCode::MISDIRECTED_REQUEST,
    "this is the loopback port of portreeve: ask it as localhost or by a loopback address",
);

fn is_loopback(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    if authority.as_str().contains('@') {
        return false;
    }
    let name = authority.host();
    let bare = name.strip_prefix('[').and_then(|n| n.strip_suffix(']')).unwrap_or(name);
    let is_address = bare.parse().is_ok_and(|ip: IpAddr| ip.to_canonical().is_loopback());
    is_address || name.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_loopback_are_ours() {
        let ours =
            ["localhost", "LocalHost:8060", "127.0.0.1", "127.0.0.1:1", "127.9.9.9", "[::1]:80"];
        for host in ours {
            assert!(is_loopback(host), "{host}");
        }
        let others = [
            "",
            "evil.test",
            "evil.test:8060",
            "localhost.evil.test",
            "127.0.0.1.evil.test",
            "192.0.2.1:8060",
            "0.0.0.0:8060",
            "[::]:8060",
            "localhost@evil.test",
            "evil@localhost",
            "localhost/",
            "local host",
            "0x7f.1",
            "2130706433",
        ];
        for host in others {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
