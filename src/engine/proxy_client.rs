//! The face to the outside server: who may enter from outside, and which upstream serves what. It
//! never looks at phones.

use super::Engine;
use super::proxy_server::{Route, Sender};
use super::reports::is_report;
use crate::config::Upstream;
use crate::ground::{Flow, Side, Transport};
use crate::wire::sip::{Message, Method, NameAddr, Uri};
use std::net::{IpAddr, SocketAddr};

impl Engine {
    /// Which upstream an outside request came from, if any.
    pub(crate) fn admit_outside(&self, flow: &Flow) -> Sender {
        Sender { side: Side::Outside, user: None, upstream: self.upstream_of(flow.peer.ip()) }
    }

    /// The upstream whose `sources` hold this address.
    pub(crate) fn upstream_of(&self, ip: IpAddr) -> Option<usize> {
        let ip = ip.to_canonical();
        self.snap
            .config
            .upstreams
            .iter()
            .position(|u| u.address.ip() == ip || u.sources.iter().any(|n| n.contains(&ip)))
    }

    pub(crate) fn upstream(&self, index: usize) -> Option<&Upstream> {
        self.snap.config.upstreams.get(index)
    }

    /// Where a request outside a dialog goes (RFC 3261 §16.5); never where its Route says.
    pub(crate) fn route(&self, request: &Message, sender: &Sender, number: &str) -> Route {
        let Some(uri) = Uri::parse(request.uri().as_bytes()) else { return Route::Unknown };
        let register = *request.method() == Method::Register;
        let local = self.is_local_domain(&uri);
        if register {
            return match sender.side {
                Side::Inside if self.is_local_registrar() => Route::Gateway,
                Side::Inside => {
                    self.choose_upstream(&uri, "").map_or(Route::Unknown, Route::Upstream)
                }
                Side::Outside => Route::Unknown,
            };
        }
        if sender.side == Side::Inside && local && self.is_collected(request) {
            return Route::Gateway;
        }
        if uri.user.is_none() && local {
            // A phone that knows us only: its collector is behind us.
            let upstream = (sender.side == Side::Inside && is_report(request))
                .then(|| self.choose_upstream(&uri, ""))
                .flatten();
            return upstream.map_or(Route::Gateway, Route::Upstream);
        }
        let phones = self.phones(&uri);
        match sender.side {
            Side::Outside if phones.is_empty() => Route::Unknown,
            Side::Outside => Route::Bindings(phones),
            Side::Inside => {
                let sealed = uri.user.as_deref().is_some_and(|u| self.bindings.get(u).is_some());
                // With an upstream, that decides who is called; alone, we do.
                if !phones.is_empty() && (sealed || self.is_local_registrar() && local) {
                    return Route::Bindings(phones);
                }
                if self.is_local_registrar() && local && self.snap.config.is_site() {
                    return Route::Unknown;
                }
                self.choose_upstream(&uri, number).map_or(Route::Unknown, Route::Upstream)
            }
        }
    }

    /// By domain, then by number, then the first that takes any.
    pub(crate) fn choose_upstream(&self, uri: &Uri, number: &str) -> Option<usize> {
        let all = &self.snap.config.upstreams;
        let host = uri.host.as_str();
        let by_domain = all.iter().position(|u| {
            u.domain.eq_ignore_ascii_case(host)
                || u.domains.iter().any(|d| d.eq_ignore_ascii_case(host))
        });
        let prefix = |u: &Upstream| u.numbers.iter().any(|n| number.starts_with(n.as_str()));
        by_domain
            .or_else(|| all.iter().position(prefix))
            .or_else(|| all.iter().position(|u| u.numbers.is_empty()))
            .or(if all.is_empty() { None } else { Some(0) })
    }

    /// An upstream chosen by name in a rule.
    pub(crate) fn upstream_named(&self, name: &str) -> Option<usize> {
        self.snap.config.upstreams.iter().position(|u| u.name == name)
    }

    /// The next hop within a dialog on a leg: outside the route set or remote target decides when
    /// it is an address; a name means the dialog's peer. A phone is always where it was last seen.
    pub(crate) fn next_hop(&self, leg: &super::dialog::LegState) -> Flow {
        if leg.side == Side::Inside || leg.flow.conn.is_some() {
            return leg.flow;
        }
        let route = leg.routes.first().and_then(|r| NameAddr::parse(r)).map(|n| n.uri);
        let Some(uri) = route.or_else(|| leg.contact.clone()) else { return leg.flow };
        let Some(ip) = uri.host_ip() else { return leg.flow };
        let tcp = uri.params.get("transport").is_some_and(|t| t.eq_ignore_ascii_case("tcp"));
        let transport = if tcp { Transport::Tcp } else { Transport::Udp };
        let Some(listener) = self.net.sibling(leg.flow.listener, transport) else {
            return leg.flow;
        };
        let peer = SocketAddr::new(ip, uri.port.unwrap_or(5060));
        Flow { listener, transport, peer, conn: None }
    }
}
