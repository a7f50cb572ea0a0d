//! What a firewall must let out for the tunnels of a site, which opens nothing: to its head office
//! by UDP, and by TCP or to a proxy where the file has it so.

use crate::config::{BearerChoice, Config, End, Host, Place};
use std::fmt::Write as _;

/// One kind of traffic that must get out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Way {
    interface: String,
    /// As packet filters call it.
    protocol: &'static str,
    to: Place,
    what: String,
}

pub(super) fn ways(c: &Config) -> Vec<Way> {
    let mut all = Vec::new();
    for i in &c.interfaces {
        let Some(End::Site { connect, bearer, proxy, .. }) = i.link.tunnel().map(|t| &t.end) else {
            continue;
        };
        let mut way = |protocol, to: &Place, what: String| {
            all.push(Way { interface: i.name.clone(), protocol, to: to.clone(), what });
        };
        if *bearer != BearerChoice::Tcp {
            way("udp", connect, "tunnel".to_owned());
        }
        let else_by =
            if *bearer == BearerChoice::Auto { ", where UDP does not get out" } else { "" };
        match (bearer, proxy) {
            (BearerChoice::Quic, _) => {}
            (BearerChoice::Auto | BearerChoice::Tcp, None) => {
                way("tcp", connect, format!("tunnel{else_by}"));
            }
            (BearerChoice::Auto | BearerChoice::Tcp, Some(proxy)) => {
                way("tcp", &proxy.place, format!("tunnel by CONNECT {connect}{else_by}"));
            }
        }
    }
    all
}

fn host(place: &Place) -> String {
    match &place.host {
        Host::Ip(ip) => ip.to_string(),
        Host::Name(name) => name.clone(),
    }
}

/// Behind that of what comes in; empty where nothing must get out.
pub(super) fn table(all: &[Way]) -> String {
    if all.is_empty() {
        return String::new();
    }
    let mut rows = vec![["INTERFACE", "OUT TO", "", "PORT", "FOR"].map(String::from)];
    rows.extend(all.iter().map(|w| {
        let (to, port) = (host(&w.to), w.to.port.to_string());
        [w.interface.clone(), to, w.protocol.to_owned(), port, w.what.clone()]
    }));
    format!("\n{}", super::columns(&rows))
}

/// For a firewall that shuts what goes out as well: of a name it has to know the addresses itself.
pub(super) fn remarks(all: &[Way]) -> String {
    let mut out = String::new();
    for w in all {
        let (to, port) = (host(&w.to), w.to.port);
        let _ = writeln!(out, "# out: {} to {to} port {port} ({})", w.protocol, w.what);
    }
    out
}
