//! The checked configuration: what the rest of the house reads.

mod policy;

pub use policy::*;

use super::{Address, Addresses, Bans, ClientTls, Hide, Hop, Link, ServerTls, Survive, Target};
use crate::ground::{ListenerId, Side, Transport};
use ipnet::IpNet;
use std::net::SocketAddr;
use std::time::Duration;

/// A whole, checked configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Name of this site; goes into every audit record.
    pub site: Site,
    /// Networks the gateway stands in; at least one inside.
    pub interfaces: Vec<Interface>,
    /// PBX, trunks. Empty in site mode.
    pub upstreams: Vec<Upstream>,
    /// Who answers REGISTER.
    pub registrar: Registrar,
    /// Relay.
    pub media: Media,
    /// Caps (the adjustable ones; fixed ones are in `wire::limits`).
    pub limits: Limits,
    /// Who is banned, and for how long.
    pub bans: Bans,
    /// SIP timers.
    pub timers: Timers,
    /// How dialled numbers are normalised.
    pub numbers: Numbers,
    /// Rules and their tests.
    pub policy: Policy,
    /// What outsiders see of a phone's own words.
    pub hide: Hide,
    /// What the site does while an upstream does not answer.
    pub survive: Survive,
    /// Audit log.
    pub audit: Audit,
    /// Folder for bindings, keys, passwords.
    pub state_dir: String,
    /// Metrics and health listener; `None`: off.
    pub http: Option<SocketAddr>,
    /// The page is there, for who has its token.
    pub page: bool,
    /// Unix socket for commands; `None`: off.
    pub control: Option<String>,
    /// Logging.
    pub log: Log,
    /// Longest wait for calls to end after SIGTERM.
    pub drain: Duration,
    /// SHA-256 (hex) of the file's text; empty in site mode.
    pub hash: String,
}

/// `site = { … }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Shown in records.
    pub name: String,
    /// Domain of local users, when it is not the gateway's address.
    pub domain: Option<String>,
    /// IANA zone for rules with hours; `UTC` by default.
    pub timezone: String,
    /// Domains whose host names are hidden as inside addresses are, in small letters.
    pub inside_domains: Vec<String>,
}

/// Which media sources a leg accepts (house rule 10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learn {
    /// The signalled address and port only.
    Strict,
    /// The signalled host; its port is learned once.
    SameIp,
}

/// `[[interface]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Interface {
    /// Its name in logs and rules.
    pub name: String,
    /// Which side it is on.
    pub side: Side,
    /// What it is a link of.
    pub link: Link,
    /// Where SIP and media sockets are bound, and what others are told.
    pub addresses: Addresses,
    /// A host name written into Via, Contact, Record-Route and From in the address's place; SDP
    /// has the address. In small letters.
    pub advertise_name: Option<String>,
    /// SIP sockets.
    pub listen: Vec<Listen>,
    /// What its sockets for TLS show; `None`: it has none.
    pub tls: Option<ServerTls>,
    /// Media sources.
    pub learn: Learn,
    /// Networks whose addresses may appear in SDP besides the signalling source (inside), or
    /// empty: every unicast address that is not special (outside). Also the networks REGISTER is
    /// accepted from (inside; empty: any).
    pub networks: Vec<IpNet>,
    /// Loopback addresses are allowed in SDP (test set-ups only).
    pub allow_loopback: bool,
    /// Answer to the source port even without `rport` (default true inside).
    pub force_rport: bool,
    /// What requests from nobody we know get.
    pub strangers: Strangers,
    /// CRLF keep-alive towards NATed phones / our own NAT; `None`: off.
    pub keepalive: Option<Duration>,
    /// DSCP of signalling (24 = CS3) and media (46 = EF).
    pub dscp_sip: u8,
    /// DSCP of media.
    pub dscp_media: u8,
}

/// What an interface says to requests from nobody it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strangers {
    /// Nothing; a stream is closed after its first message.
    Silent,
    /// One stateless answer a request.
    Answer,
}

/// One SIP socket of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Transport.
    pub transport: Transport,
    /// Port.
    pub port: u16,
}

/// `[[upstream]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Upstream {
    /// Its name in rules, logs, metrics.
    pub name: String,
    /// Where requests go, in the order they are tried: at least one.
    pub targets: Vec<Target>,
    /// Domain put into Request-URI, From, To where a phone named us; default: the first target's
    /// host.
    pub domain: String,
    /// Other domains whose requests this upstream serves.
    pub domains: Vec<String>,
    /// Number prefixes (normalised) this upstream serves; empty: any.
    pub numbers: Vec<String>,
    /// Networks its requests may come from; those of `targets` are among them, where not all are by
    /// TLS. Those of names are the engine's to find.
    pub sources: Vec<IpNet>,
    /// Names (patterns) of a client certificate that prove a connection to be this upstream's,
    /// from whatever address.
    pub tls_subject: Vec<String>,
    /// The outside interface used (index into `interfaces`).
    pub interface: usize,
    /// Identity headers from it are believed.
    pub trust: bool,
    /// OPTIONS every so long; `None`: never.
    pub probe: Option<Duration>,
    /// Who is believed to be it, where it is reached by TLS.
    pub tls: ClientTls,
}

impl Upstream {
    /// Targets whose address is written in the file.
    pub fn fixed(&self) -> impl Iterator<Item = Hop> + '_ {
        self.targets.iter().filter_map(Target::fixed)
    }

    /// A target of it is reached by TLS alone.
    #[must_use]
    pub fn needs_tls(&self) -> bool {
        self.targets.iter().any(|t| t.transport == Some(Transport::Tls))
    }

    /// All targets of it are: nothing but TLS leads there.
    #[must_use]
    pub fn is_tls_alone(&self) -> bool {
        self.targets.iter().all(|t| t.transport == Some(Transport::Tls))
    }

    /// It is reached by TLS, or may be, for its names decide.
    #[must_use]
    pub fn speaks_tls(&self) -> bool {
        self.targets.iter().any(Target::may_be_tls)
    }
}

/// Who answers REGISTER.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registrar {
    /// Mode.
    pub mode: RegistrarMode,
    /// Digest realm of the local registrar.
    pub realm: String,
    /// Shortest expiry granted (local) — 423 below it.
    pub min_expires: Duration,
    /// Longest expiry granted (local).
    pub max_expires: Duration,
    /// File of `user:realm:HA1[:HA1-SHA-256]` lines, for `local` with users.
    pub users_file: Option<String>,
    /// File holding one password for every user (site mode).
    pub password_file: Option<String>,
    /// Ask for digest (local mode). False: any REGISTER from `networks` is accepted.
    pub digest: bool,
}

/// Registrar mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistrarMode {
    /// We are the registrar.
    Local,
    /// The upstream is.
    Upstream,
}

/// `[media]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    /// First and last relay port.
    pub ports: (u16, u16),
    /// A call without media either way ends after this; `None`: never.
    pub idle: Option<Duration>,
    /// How long used ports rest, while others are free.
    pub quarantine: Duration,
    /// Relay threads; 0: one a core.
    pub workers: usize,
}

/// `[limits]`: adjustable caps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Concurrent calls.
    pub calls: usize,
    /// Concurrent calls of one registered user.
    pub calls_per_user: usize,
    /// Server transactions in all.
    pub transactions: usize,
    /// Server transactions of one source that has proved nothing (upstreams exempt).
    pub transactions_per_source: usize,
    /// Server transactions of one proved user.
    pub transactions_per_user: usize,
    /// Dialogs in all.
    pub dialogs: usize,
    /// Bindings in all.
    pub bindings: usize,
    /// Bindings of one user.
    pub bindings_per_user: usize,
    /// Stream connections in all.
    pub connections: usize,
    /// Stream connections of one source (of a proved user) that bind when the table is full (half
    /// full).
    pub connections_per_source: usize,
    /// The part of any other table that one source or one user may hold, in percent (1–100).
    pub share_percent: usize,
    /// Emergency calls at a time of a source that is not registered.
    pub emergency_per_source: usize,
    /// An answered call ends of which nothing is heard so long, where [`Media::idle`] does not
    /// watch (1 min to 24 h).
    pub silent_call: Duration,
    /// Calls that stay readable after they end (0–10,000).
    pub recent_calls: usize,
    /// SIP messages of a call that are kept with what was changed in them (0–1,000).
    pub trace: usize,
}

/// SIP timers (RFC 3261 §17, table 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    /// Round-trip estimate, 500 ms.
    pub t1: Duration,
    /// Retransmission ceiling, 4 s.
    pub t2: Duration,
    /// Time a message may linger, 5 s.
    pub t4: Duration,
    /// Timer C: a ringing call without a new provisional answer, over 3 min.
    pub c: Duration,
    /// An upstream's target that says nothing for so long is left for its next one.
    pub next_target: Duration,
}

/// `[audit]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// Folder; `None`: no audit (tests only).
    pub dir: Option<String>,
    /// When the volume is full: refuse calls (true) or count and go on.
    pub refuse_when_full: bool,
}

/// `[log]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// `error warn info debug trace`.
    pub level: String,
    /// `auto pretty json`.
    pub format: String,
}

/// One SIP socket with the interface it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its number in flows.
    pub id: ListenerId,
    /// Index into `Config::interfaces`.
    pub interface: usize,
    /// Transport.
    pub transport: Transport,
    /// Bound address.
    pub bind: SocketAddr,
}

impl Config {
    /// Every SIP socket, numbered in file order: all of an interface's first address, then all of
    /// its second. One whose addresses change keeps the numbers of both; those of an address that
    /// is not there are left out.
    #[must_use]
    pub fn listeners(&self) -> Vec<Listener> {
        let places = self.sockets();
        let numbered = places.zip(0_u16..).filter_map(|((interface, address, l), id)| {
            let bind = SocketAddr::new(address?.ip, l.port);
            Some(Listener { id: ListenerId(id), interface, transport: l.transport, bind })
        });
        numbered.collect()
    }

    /// The interface of every socket that there may be, by its number.
    #[must_use]
    pub fn listener_interfaces(&self) -> Vec<usize> {
        self.sockets().map(|(interface, ..)| interface).collect()
    }

    fn sockets(&self) -> impl Iterator<Item = (usize, Option<&Address>, &Listen)> {
        self.interfaces.iter().enumerate().flat_map(|(interface, i)| {
            let places = i.addresses.places();
            places.flat_map(move |a| i.listen.iter().map(move |l| (interface, a, l)))
        })
    }

    /// Interfaces that follow something stand nowhere yet.
    #[must_use]
    pub fn unsettled(&self) -> Self {
        let mut new = self.clone();
        new.interfaces.iter_mut().for_each(|i| i.addresses = i.addresses.at([None; 2]));
        new
    }

    /// Interfaces that follow what `running`'s do stand where those stand.
    pub fn stand_as(&mut self, running: &Self) {
        for (is, was) in self.interfaces.iter_mut().zip(&running.interfaces) {
            let same = is.name == was.name && is.addresses.are_written_as(&was.addresses);
            if same && is.addresses.following().is_some() {
                is.addresses = was.addresses.clone();
            }
        }
    }

    /// What can be meant, and is worth a word at `config check`.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let rewrites = self.numbers.outside_line.is_some() || self.numbers.country.is_some();
        if self.registrar.mode == RegistrarMode::Local {
            return self.shared_realms();
        }
        if !rewrites {
            return Vec::new();
        }
        let what = "[numbers] changes what phones dial: a phone that proves itself to the PBX by \
                    digest signs the number as dialled, and a PBX that compares it with what it \
                    gets refuses the call. A rule with `allow = { keep_number = true }` sends it \
                    as dialled.";
        vec![what.to_owned()]
    }

    /// Upstreams that are likely to ask for credentials in the realm that is ours.
    fn shared_realms(&self) -> Vec<String> {
        let realm = self.registrar.realm.as_str();
        let ours = |d: &String| d.eq_ignore_ascii_case(realm);
        let same = self.upstreams.iter().filter(|u| ours(&u.domain) || u.domains.iter().any(ours));
        let told = same.map(|u| {
            format!(
                "registrar.realm \"{realm}\" is a domain of upstream \"{}\": where that asks \
                 phones for credentials in its own realm, the gateway refuses it as a challenge \
                 in ours. Give registrar.realm a name of its own.",
                u.name
            )
        });
        told.collect()
    }

    /// True when the gateway is itself the site's phone system.
    #[must_use]
    pub fn is_site(&self) -> bool {
        self.upstreams.is_empty()
    }
}
