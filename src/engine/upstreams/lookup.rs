//! From a name to the places where it is served (RFC 3263 §4), over what DNS has said so far. Pure:
//! what is missing is named, for others to ask.

use super::cache::Cache;
use crate::config::{Hop, Host, Target};
use crate::engine::names::{Question, Record};
use crate::ground::Transport;
use sha2::{Digest as _, Sha256};
use std::net::SocketAddr;

/// Transports by SRV and NAPTR, in the order that we prefer where a domain says nothing.
const SERVICES: [(Transport, &str, &str); 3] = [
    (Transport::Udp, "_sip._udp.", "SIP+D2U"),
    (Transport::Tcp, "_sip._tcp.", "SIP+D2T"),
    (Transport::Tls, "_sips._tcp.", "SIPS+D2T"),
];
/// Places of one upstream.
pub(super) const PLACES: usize = 32;
/// Questions that one upstream may cost: a zone could name thousands.
pub(super) const QUESTIONS: usize = 64;

/// A place, as far as DNS says in which order places are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) hop: Hop,
    /// The lowest is tried first.
    pub(super) rank: u32,
    /// A share among those of one rank.
    pub(super) weight: u16,
    /// Which host of those that the names lead to: it may have several addresses.
    pub(super) host: u64,
    /// Which target of the file leads there.
    pub(super) target: usize,
}

/// What came of looking.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) places: Vec<Place>,
    /// What is to be asked before all is known.
    pub(super) missing: Vec<Question>,
    /// A question that nobody could answer, and why.
    pub(super) failed: Option<String>,
    /// Every question that it rests on.
    pub(super) asked: Vec<Question>,
}

/// A question and its records; `None`: not known yet, or there is none.
enum Known<'a> {
    Yes(&'a [Record]),
    No,
    /// Nobody could say.
    Failed,
    Missing,
}

/// All targets of an upstream, one after the other; `spoken`: transports of the interface that they
/// are reached from.
pub(super) fn look_up(targets: &[Target], spoken: &[Transport], cache: &Cache) -> Found {
    let mut search = Search { cache, spoken, found: Found::default(), rank: 0, at: 0 };
    for (at, target) in targets.iter().enumerate() {
        search.at = at;
        search.target(target);
    }
    let Found { places, .. } = &mut search.found;
    // One that is named twice is where it stands first.
    let mut seen = Vec::new();
    places.retain(|p| {
        !seen.contains(&p.hop) && {
            seen.push(p.hop);
            true
        }
    });
    places.truncate(PLACES);
    search.found
}

struct Search<'a> {
    cache: &'a Cache,
    spoken: &'a [Transport],
    found: Found,
    rank: u32,
    /// The target that is looked at.
    at: usize,
}

impl<'a> Search<'a> {
    fn ask(&mut self, question: Question) -> Known<'a> {
        let again = self.found.asked.contains(&question);
        if !again && self.found.asked.len() >= QUESTIONS {
            return Known::No;
        }
        let known = self.cache.get(&question);
        let answer = match known {
            Some(Ok([])) => Known::No,
            Some(Ok(records)) => Known::Yes(records),
            Some(Err(why)) => {
                self.found.failed.get_or_insert_with(|| format!("{question}: {why}"));
                Known::Failed
            }
            None => {
                let new = (!again).then(|| question.clone());
                self.found.missing.extend(new);
                Known::Missing
            }
        };
        if !again {
            self.found.asked.push(question);
        }
        answer
    }

    fn target(&mut self, target: &Target) {
        if let Some(hop) = target.fixed() {
            self.rank += 1;
            let host = host(&hop.peer.to_string(), hop.peer.port(), hop.transport);
            self.found.places.push(Place {
                hop,
                rank: self.rank,
                weight: 1,
                host,
                target: self.at,
            });
        }
        let Host::Name(name) = &target.host else { return };
        let transport = target.transport.unwrap_or(self.plain());
        match (target.port, target.transport) {
            (Some(port), _) => self.host(name, port, transport, 1),
            (None, Some(_)) => {
                if !self.services(name, &[transport]) {
                    self.host(name, transport.port(), transport, 1);
                }
            }
            (None, None) => self.domain(name),
        }
    }

    /// How a name is reached that says nothing: by UDP (RFC 3263 §4.1), where that is spoken.
    fn plain(&self) -> Transport {
        let udp = self.spoken.is_empty() || self.spoken.contains(&Transport::Udp);
        let first = self.spoken.first().copied().filter(|_| !udp);
        first.unwrap_or(Transport::Udp)
    }

    /// A domain that says itself how it is served: by NAPTR, else by SRV, else at its own address.
    fn domain(&mut self, name: &str) {
        match self.ask(Question::Naptr(name.to_owned())) {
            Known::Missing => return,
            Known::Yes(records) => {
                if self.naptr(records) {
                    return;
                }
            }
            // Servers that know no NAPTR say nothing to it.
            Known::No | Known::Failed => {}
        }
        if !self.services(name, self.spoken) {
            self.host(name, self.plain().port(), self.plain(), 1);
        }
    }

    /// False: they say nothing of SIP. A domain that offers it by transports alone which are not
    /// spoken here is served by no other.
    fn naptr(&mut self, records: &[Record]) -> bool {
        let offered: Vec<(u16, u16, &str, &str)> = records
            .iter()
            .filter_map(|r| {
                let Record::Naptr { order, preference, flags, service, replacement } = r else {
                    return None;
                };
                let sip = flags.eq_ignore_ascii_case("s") && is_sip(service);
                sip.then_some((*order, *preference, replacement.as_str(), service.as_str()))
            })
            .collect();
        let spoken = |(order, preference, name, service): &(u16, u16, _, &str)| {
            let fits = |(t, _, s): &&(Transport, &str, &str)| {
                self.spoken.contains(t) && s.eq_ignore_ascii_case(service)
            };
            let (transport, ..) = SERVICES.iter().find(fits)?;
            Some((*order, *preference, *name, *transport))
        };
        let mut ours: Vec<(u16, u16, &str, Transport)> =
            offered.iter().filter_map(spoken).collect();
        ours.sort_unstable();
        for (_, _, name, transport) in &ours {
            self.service(name, *transport);
        }
        if ours.is_empty() && !offered.is_empty() {
            let all: Vec<&str> = offered.iter().map(|(.., service)| *service).collect();
            let why = format!("it is served by {} alone, not spoken here", all.join(", "));
            self.found.failed.get_or_insert(why.chars().filter(|c| !c.is_control()).collect());
        }
        !offered.is_empty()
    }

    /// A name's services by these transports. False: it has none, or it is not known yet.
    fn services(&mut self, name: &str, transports: &[Transport]) -> bool {
        let mut any = false;
        for (transport, prefix, _) in SERVICES.iter().filter(|(t, ..)| transports.contains(t)) {
            any |= self.service(&format!("{prefix}{name}"), *transport);
        }
        any
    }

    /// The hosts of one service, by priority. False: there is no such service.
    fn service(&mut self, name: &str, transport: Transport) -> bool {
        let records = match self.ask(Question::Srv(name.to_owned())) {
            Known::Yes(records) => records,
            Known::No => return false,
            // Not known is not "none": nothing else is asked for it meanwhile, nor taken for it.
            Known::Failed | Known::Missing => return true,
        };
        let mut all: Vec<(u16, u16, &str, u16)> = records
            .iter()
            .filter_map(|r| match r {
                Record::Srv { priority, weight, port, target } => {
                    Some((*priority, *weight, target.as_str(), *port))
                }
                Record::Naptr { .. } | Record::Address(_) => None,
            })
            .collect();
        all.sort_unstable();
        let mut last = None;
        for (priority, weight, target, port) in
            all.iter().filter(|(_, _, t, p)| !t.is_empty() && *p > 0)
        {
            if last.replace(*priority) != Some(*priority) {
                self.rank += 1;
            }
            self.addresses(target, *port, transport, *weight);
        }
        !all.is_empty()
    }

    fn host(&mut self, name: &str, port: u16, transport: Transport, weight: u16) {
        self.rank += 1;
        self.addresses(name, port, transport, weight);
    }

    fn addresses(&mut self, name: &str, port: u16, transport: Transport, weight: u16) {
        let Known::Yes(records) = self.ask(Question::Hosts(name.to_owned())) else { return };
        let host = host(name, port, transport);
        for record in records {
            let Record::Address(ip) = record else { continue };
            if self.found.places.len() >= 2 * PLACES {
                return;
            }
            let hop = Hop { peer: SocketAddr::new(ip.to_canonical(), port), transport };
            self.found.places.push(Place { hop, rank: self.rank, weight, host, target: self.at });
        }
    }
}

/// `SIP+D2U`, `SIPS+D2T` and their like, whatever the transport (RFC 3263 §4.1).
fn is_sip(service: &str) -> bool {
    let protocol = service.split('+').next().unwrap_or_default();
    protocol.eq_ignore_ascii_case("sip") || protocol.eq_ignore_ascii_case("sips")
}

/// The same for the same, in any process.
fn host(name: &str, port: u16, transport: Transport) -> u64 {
    let digest = Sha256::digest(format!("{name}:{port} {transport}"));
    let octets = digest.iter().take(8);
    octets.fold(0, |sum, octet| (sum << 8) | u64::from(*octet))
}

#[cfg(test)]
mod tests;
