//! Who gets no answer: requests of nobody known, at an interface with `strangers = "silent"`. A few
//! of them a minute are told one by one, with what would admit them; the rest as a sum. It never
//! says who is known.

use super::analysis::Incoming;
use super::ids::UpstreamId;
use super::outbox::Outbox;
use super::output::{Level, Output};
use super::transactions::TimerTable;
use super::world::World;
use crate::ground::{Flow, Mono, Transport};
use crate::wire::sip::Method;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

/// Log lines a minute that name one stranger each.
const LINES: u64 = 10;
/// Sources that are told apart in a sum.
const SOURCES: usize = 1_000;
/// Nobody shakes hands so long with who was silenced.
const UNHEARD: Duration = Duration::from_secs(10);
const MINUTE: Duration = Duration::from_secs(60);

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Due {
    /// The minute is over.
    Sum,
}

/// Strangers of this minute.
#[derive(Debug, Default)]
pub(crate) struct Strangers {
    timers: TimerTable<Due>,
    told: u64,
    untold: u64,
    sources: BTreeSet<IpAddr>,
}

impl Strangers {
    /// A stranger gets nothing; by a stream he is cut off. `method`: `None` where none can be read.
    pub(crate) fn silence(
        &mut self,
        w: &World,
        out: &mut Outbox,
        flow: &Flow,
        method: Option<&Method>,
    ) {
        let invite = method == Some(&Method::Invite);
        out.stats_mut().silenced[usize::from(!invite)] += 1;
        if let Some(conn) = flow.conn {
            out.emit(Output::CloseConnection(conn));
        }
        if flow.transport == Transport::Tls {
            let (source, at) = (w.net().source(flow).whole(), Some(flow.listener));
            out.emit(Output::Bar { source, at, lasts: UNHEARD });
        }
        if self.told == 0 && self.untold == 0 {
            self.timers.set(Due::Sum, w.now().mono + MINUTE);
        }
        if self.told < LINES {
            self.told += 1;
            out.notice(Level::Warn, line(w, flow, method));
            return;
        }
        self.untold += 1;
        if self.sources.len() < SOURCES {
            self.sources.insert(flow.peer.ip());
        }
    }

    /// When it wants to be woken.
    pub(crate) fn poll_timeout(&self) -> Option<Mono> {
        self.timers.next()
    }

    /// What was counted and is summed never, or a sum of nothing.
    pub(crate) fn loose_end(&self) -> Option<String> {
        let counted = self.told + self.untold;
        (self.timers.is_empty() != (counted == 0)).then(|| format!("{counted} strangers"))
    }

    /// Fires one timer that is due; false: none is.
    pub(crate) fn handle_timeout(&mut self, w: &World, out: &mut Outbox) -> bool {
        let Some(Due::Sum) = self.timers.expired(w.now().mono) else { return false };
        let (untold, sources) = (self.untold, self.sources.len());
        self.told = 0;
        self.untold = 0;
        self.sources.clear();
        if untold > 0 {
            let most = if sources == SOURCES { "at least " } else { "" };
            let text = format!(
                "{untold} more requests of strangers from {most}{sources} addresses got no answer \
                 in this minute"
            );
            out.notice(Level::Warn, text);
        }
        true
    }
}

/// Who sends from an upstream's address and has not proved to be it, where it has to.
pub(crate) fn tell_unproved(w: &World, out: &mut Outbox, i: &Incoming, upstream: UpstreamId) {
    let (peer, name) = (i.flow.peer, w.upstream_name(upstream).unwrap_or_default());
    let text = format!(
        "{} from {peer} is nobody's: upstream \"{name}\" is reached by TLS alone, so that an \
         address proves nothing. It is known by the connection that we open to it, by \
         `tls_subject` of its certificate, or by `sources` that the file lists",
        i.method().label()
    );
    out.notice_of(peer, Level::Warn, text);
}

/// Who came, and which key would admit him.
fn line(w: &World, flow: &Flow, method: Option<&Method>) -> String {
    let (what, peer) = (method.map_or("a broken message", Method::label), flow.peer);
    let name = w.net().interface(flow.listener).map_or("", |i| i.name.as_str());
    let trunk = match w.config().upstreams.as_slice() {
        [] => "an [[upstream]]".to_owned(),
        [only] => format!("`sources` of [[upstream]] \"{}\"", only.name),
        [..] => "`sources` of its [[upstream]]".to_owned(),
    };
    format!(
        "{what} from {peer} at interface \"{name}\" got no answer: nobody known. If it is your \
         provider or PBX, name {} in {trunk}; to answer everybody: strangers = \"answer\"",
        peer.ip()
    )
}
