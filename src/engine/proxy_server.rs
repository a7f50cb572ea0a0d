//! The face to the inside client: who may enter from inside, and how a phone is reached. It never
//! looks at upstreams.

use super::Engine;
use super::bindings::Binding;
use crate::ground::{Flow, Side};
use crate::wire::sip::{Message, Name, NameAddr, Uri};

/// Who sent a request outside a dialog.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    pub(crate) side: Side,
    /// The registered user whose flow it came by, or whom digest proved.
    pub(crate) user: Option<String>,
    /// The upstream it is, by index.
    pub(crate) upstream: Option<usize>,
}

impl Sender {
    /// Neither a registered phone nor an upstream.
    pub(crate) fn is_stranger(&self) -> bool {
        self.user.is_none() && self.upstream.is_none()
    }
}

/// Where a request outside a dialog goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// To an upstream, by index.
    Upstream(usize),
    /// To phones, by binding key.
    Bindings(Vec<String>),
    /// It is for us.
    Gateway,
    /// Nobody known.
    Unknown,
}

impl Engine {
    /// Whose flow an inside request came by.
    pub(crate) fn admit_inside(&self, request: &Message, flow: &Flow) -> Sender {
        let from = request.first(&Name::From).and_then(NameAddr::parse);
        let claimed = from.and_then(|n| n.uri.user_decoded()).unwrap_or_default();
        let mut user = None;
        for b in self.bindings.of_flow(flow).filter(|b| b.expires > self.now.wall) {
            // A phone with several lines sends all of them by one flow.
            if user.is_none() || b.user() == claimed {
                user = Some(b.user().to_owned());
            }
        }
        Sender { side: Side::Inside, user, upstream: None }
    }

    /// The phones a Request-URI means: a sealed contact, or a user registered here.
    pub(crate) fn phones(&self, uri: &Uri) -> Vec<String> {
        if let Some(user) = uri.user.as_deref()
            && let Some(b) = self.bindings.get(user)
            && b.expires > self.now.wall
        {
            return vec![b.key.clone()];
        }
        let Some(user) = uri.user_decoded() else { return Vec::new() };
        let alive = |b: &&Binding| b.expires > self.now.wall;
        let mut found: Vec<&Binding> = self.bindings.of_user(&user).filter(alive).collect();
        // Newest first; forks share one interface, so that they share one media leg.
        found.sort_by_key(|b| std::cmp::Reverse(b.expires));
        let Some(first) = found.first().and_then(|b| self.net.listener(b.flow.listener)) else {
            return Vec::new();
        };
        let same = |b: &&&Binding| {
            self.net.listener(b.flow.listener).is_some_and(|l| l.interface == first.interface)
        };
        found.iter().filter(same).take(super::dialog::MAX_FORKS).map(|b| b.key.clone()).collect()
    }

    /// Whether a Request-URI from inside names this site.
    pub(crate) fn is_local_domain(&self, uri: &Uri) -> bool {
        let config = &self.snap.config;
        let host = uri.host.as_str();
        self.net.names_us(uri)
            || config.site.domain.as_deref().is_some_and(|d| d.eq_ignore_ascii_case(host))
            || config.registrar.realm.eq_ignore_ascii_case(host)
    }
}
