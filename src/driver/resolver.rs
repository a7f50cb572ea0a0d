//! Asks DNS, for the engine's questions, as this machine is told to (`resolv.conf`, `hosts`).
//! Nothing on the way of a message waits for it; what is known, and for how long, the engine keeps.

use super::Arrival;
use super::inlet::Inlet;
use super::sandbox;
use crate::engine::names::{Question, RECORDS, Record, Reply};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, ResolverConfig};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::{RData, RecordType};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, interval, timeout, timeout_at};

/// Where this machine says whom to ask.
pub const RESOLV_CONF: &str = "/etc/resolv.conf";
/// Questions that wait; more are not asked, and the engine asks again.
const WAITING: usize = 256;
/// Questions asked at once.
const AT_ONCE: usize = 16;
/// A question is answered within this, or nobody knows.
const PATIENCE: Duration = Duration::from_secs(15);
/// Where a host's addresses of one IP version are known, those of the other have so long.
const VERSION: Duration = Duration::from_secs(5);
/// How long nothing holds where a server does not say.
const NOTHING: Duration = Duration::from_secs(30);
/// How often it is looked whether somebody else is to be asked.
const WATCH: Duration = Duration::from_secs(5);

/// Hosts that this machine knows without asking.
pub const HOSTS: &str = "/etc/hosts";

/// The event loop's end.
#[derive(Clone, Debug)]
pub struct Resolver {
    conf: PathBuf,
    /// Begun with the first question: most gateways have none.
    questions: OnceLock<mpsc::Sender<Question>>,
    inlet: Inlet,
}

impl Resolver {
    /// Asks whom this file names.
    #[must_use]
    pub fn new(conf: &Path, inlet: Inlet) -> Self {
        Self { conf: conf.to_owned(), questions: OnceLock::new(), inlet }
    }

    /// Asks, in the current runtime; the reply comes by the inlet.
    pub fn ask(&self, question: Question) {
        let questions = self.questions.get_or_init(|| {
            let (questions, asked) = mpsc::channel(WAITING);
            tokio::spawn(run(self.conf.clone(), asked, self.inlet.clone()));
            questions
        });
        if let Err(e) = questions.try_send(question) {
            let question = e.into_inner();
            let inlet = self.inlet.clone();
            let reply = Reply::Failed("too many questions wait".to_owned());
            tokio::spawn(async move { inlet.tell(Arrival::Resolved(question, reply)).await });
        }
    }
}

/// Asks one question, whoever runs: what this file's servers say within `patience`.
pub async fn ask_once(conf: &Path, question: &Question, patience: Duration) -> Reply {
    match servers(conf).resolver {
        Ok(resolver) => ask(&resolver, question, patience).await,
        Err(why) => Reply::Failed(why),
    }
}

/// Who is asked, and the texts that say so.
struct Servers {
    text: Vec<u8>,
    hosts: Vec<u8>,
    resolver: Result<Arc<TokioResolver>, String>,
}

fn servers(conf: &Path) -> Servers {
    let hosts = std::fs::read(HOSTS).unwrap_or_default();
    match std::fs::read(conf) {
        Ok(text) => Servers { resolver: resolver(conf, &text).map(Arc::new), text, hosts },
        Err(e) => {
            let denied = e.kind() == std::io::ErrorKind::PermissionDenied && sandbox::holds();
            let hint =
                if denied { ": it was given up at the start, restart the gateway" } else { "" };
            let why = format!("{}: {e}{hint}", conf.display());
            Servers { resolver: Err(why), text: Vec::new(), hosts }
        }
    }
}

impl Servers {
    fn are_old(&self, conf: &Path) -> bool {
        let now = |path: &Path| std::fs::read(path).unwrap_or_default();
        now(conf) != self.text || now(Path::new(HOSTS)) != self.hosts
    }
}

fn resolver(conf: &Path, text: &[u8]) -> Result<TokioResolver, String> {
    let told = |e: &dyn std::fmt::Display| format!("{}: {e}", conf.display());
    let (config, mut options) =
        hickory_resolver::system_conf::parse_resolv_conf(text).map_err(|e| told(&e))?;
    if ResolverConfig::name_servers(&config).is_empty() {
        return Err(told(&"names no server"));
    }
    // What is known, the engine keeps.
    options.cache_size = 0;
    // A dozen SRV records need more than 512 octets, and TCP to port 53 is often closed (RFC 6891).
    options.edns0 = true;
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    let builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    builder.with_options(options).build().map_err(|e| told(&e))
}

async fn run(conf: PathBuf, mut asked: mpsc::Receiver<Question>, inlet: Inlet) {
    let mut known = servers(&conf);
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let mut watch = interval(WATCH);
    loop {
        tokio::select! {
            question = asked.recv() => {
                let Some(question) = question else { return };
                let resolver = known.resolver.clone();
                let (inlet, turns) = (inlet.clone(), turns.clone());
                tokio::spawn(async move {
                    let _turn = turns.acquire_owned().await;
                    let reply = match resolver {
                        Ok(resolver) => ask(&resolver, &question, PATIENCE).await,
                        Err(why) => Reply::Failed(why),
                    };
                    inlet.tell(Arrival::Resolved(question, reply)).await
                });
            }
            _ = watch.tick() => {
                if known.are_old(&conf) {
                    known = servers(&conf);
                    inlet.tell(Arrival::ResolverChanged).await;
                }
            }
        }
    }
}

async fn ask(resolver: &TokioResolver, question: &Question, patience: Duration) -> Reply {
    let name = asked_for(question.name());
    let one = |kind| {
        let name = name.clone();
        async move { read(resolver.lookup(name.as_str(), kind).await) }
    };
    let in_time = |kind| timeout(patience, one(kind));
    match question {
        Question::Naptr(_) => in_time(RecordType::NAPTR).await.unwrap_or_else(|_| nobody_answers()),
        Question::Srv(_) => in_time(RecordType::SRV).await.unwrap_or_else(|_| nobody_answers()),
        Question::Hosts(_) => {
            each_in_time(one(RecordType::A), one(RecordType::AAAA), patience).await
        }
    }
}

/// A name of several labels is whole; one of a single label may be of the search list, and its
/// services with it.
fn asked_for(name: &str) -> String {
    let mut labels = name.split('.').skip_while(|l| l.starts_with('_'));
    let whole = labels.next().is_none() || labels.next().is_some();
    if whole { format!("{name}.") } else { name.to_owned() }
}

/// What two questions for one host say: who drops those of one version holds back the other's
/// addresses for a while, and never beyond `patience`.
async fn each_in_time(
    one: impl Future<Output = Reply>,
    other: impl Future<Output = Reply>,
    patience: Duration,
) -> Reply {
    let end = Instant::now() + patience;
    let (mut one, mut other) = (pin!(one), pin!(other));
    let first = timeout_at(end, async {
        tokio::select! {
            said = &mut one => (said, true),
            said = &mut other => (said, false),
        }
    });
    let Ok((said, of_one)) = first.await else { return nobody_answers() };
    let known = matches!(said, Reply::Records(..));
    let end = if known { end.min(Instant::now() + VERSION) } else { end };
    let left = if of_one { timeout_at(end, other).await } else { timeout_at(end, one).await };
    both(said, left.unwrap_or_else(|_| nobody_answers()))
}

fn nobody_answers() -> Reply {
    Reply::Failed("nobody answers".to_owned())
}

/// What two questions for one host say together: addresses of either family are some.
fn both(one: Reply, other: Reply) -> Reply {
    match (one, other) {
        (Reply::Records(mut all, ttl), Reply::Records(more, other)) => {
            all.extend(more);
            Reply::Records(all, ttl.min(other))
        }
        (records @ Reply::Records(..), _) | (_, records @ Reply::Records(..)) => records,
        (failed @ Reply::Failed(_), _) | (_, failed @ Reply::Failed(_)) => failed,
        (Reply::Nothing(one), Reply::Nothing(other)) => Reply::Nothing(one.min(other)),
    }
}

fn read(said: Result<Lookup, NetError>) -> Reply {
    match said {
        Ok(lookup) => {
            let holds = lookup.valid_until().saturating_duration_since(Instant::now().into_std());
            let records = best(lookup.answers().iter().filter_map(|r| record(&r.data)));
            if records.is_empty() { Reply::Nothing(holds) } else { Reply::Records(records, holds) }
        }
        Err(NetError::Dns(DnsError::NoRecordsFound(none))) => {
            let ttl = none.negative_ttl.map(|s| Duration::from_secs(u64::from(s)));
            Reply::Nothing(ttl.unwrap_or(NOTHING))
        }
        Err(e) => Reply::Failed(e.to_string()),
    }
}

/// Those that are read: of too many the ones that are tried first, wherever they stand.
fn best(all: impl Iterator<Item = Record>) -> Vec<Record> {
    let mut all: Vec<Record> = all.collect();
    all.sort_by_key(|r| match r {
        Record::Srv { priority, .. } => (*priority, 0),
        Record::Naptr { order, preference, .. } => (*order, *preference),
        Record::Address(_) => (0, 0),
    });
    all.truncate(RECORDS);
    all
}

#[expect(clippy::wildcard_enum_match_arm, reason = "other kinds of records are not asked for")]
fn record(data: &RData) -> Option<Record> {
    let name = |n: &hickory_resolver::proto::rr::Name| {
        n.to_ascii().trim_end_matches('.').to_ascii_lowercase()
    };
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    match data {
        RData::A(a) => Some(Record::Address(a.0.into())),
        RData::AAAA(a) => Some(Record::Address(a.0.into())),
        RData::SRV(s) => Some(Record::Srv {
            priority: s.priority,
            weight: s.weight,
            port: s.port,
            target: name(&s.target),
        }),
        RData::NAPTR(n) => Some(Record::Naptr {
            order: n.order,
            preference: n.preference,
            flags: text(&n.flags),
            service: text(&n.services),
            replacement: name(&n.replacement),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_either_family_are_some_and_a_failure_is_not_nothing() {
        let ttl = Duration::from_secs;
        let some = |ip: &str, s| Reply::Records(vec![Record::Address(ip.parse().unwrap())], ttl(s));
        let failed = || Reply::Failed("x".to_owned());
        let (v4, v6) = (some("198.51.100.1", 60), some("2001:db8::1", 30));
        let Reply::Records(all, holds) = both(v4.clone(), v6.clone()) else { panic!("records") };
        assert_eq!((all.len(), holds), (2, ttl(30)));
        for none in [Reply::Nothing(ttl(5)), failed()] {
            assert_eq!(both(v4.clone(), none.clone()), v4);
            assert_eq!(both(none, v6.clone()), v6);
        }
        assert_eq!(both(Reply::Nothing(ttl(5)), failed()), failed());
        assert_eq!(both(Reply::Nothing(ttl(9)), Reply::Nothing(ttl(5))), Reply::Nothing(ttl(5)));
    }

    /// What both say, and how long that took.
    fn timed(one: (u64, Reply), other: (u64, Reply)) -> (Reply, Duration) {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().start_paused(true).build().unwrap();
        let after = |(secs, reply): (u64, Reply)| async move {
            tokio::time::sleep(Duration::from_secs(secs)).await;
            reply
        };
        runtime.block_on(async {
            let begun = Instant::now();
            (each_in_time(after(one), after(other), PATIENCE).await, begun.elapsed())
        })
    }

    #[test]
    fn a_version_that_nobody_answers_for_does_not_hold_back_the_other() {
        let never = PATIENCE.as_secs() * 9;
        let some = || Reply::Records(vec![Record::Address([198, 51, 100, 1].into())], NOTHING);
        let two = || both(some(), some());
        let none = || Reply::Nothing(NOTHING);
        // When the first is answered, when the second, and what comes of it when.
        for (one, other, want, at) in [
            ((0, some()), (never, some()), some(), 5),
            ((12, some()), (never, some()), some(), 15),
            ((0, some()), (3, some()), two(), 3),
            ((7, some()), (11, some()), two(), 11),
            ((0, none()), (9, some()), some(), 9),
            ((0, nobody_answers()), (9, some()), some(), 9),
            ((0, none()), (never, some()), nobody_answers(), 15),
            ((never, some()), (never, some()), nobody_answers(), 15),
        ] {
            let want = (want, Duration::from_secs(at));
            assert_eq!(timed(one.clone(), other.clone()), want, "{one:?} {other:?}");
            assert_eq!(timed(other, one), want, "the other way round");
        }
    }

    #[test]
    fn of_too_many_records_those_are_read_that_are_tried_first() {
        let srv = |n: u16| Record::Srv {
            priority: n,
            weight: 1,
            port: 5060,
            target: format!("h{n}.example.net"),
        };
        let read = best((1..=100).rev().map(srv));
        assert_eq!(read, (1..=32).map(srv).collect::<Vec<_>>());
        let naptr = |order: u16| Record::Naptr {
            order,
            preference: 1,
            flags: "s".to_owned(),
            service: "SIP+D2U".to_owned(),
            replacement: "_sip._udp.example.net".to_owned(),
        };
        assert_eq!(best([naptr(9), naptr(2)].into_iter()), [naptr(2), naptr(9)]);
        let hosts: Vec<Record> =
            (1..=40).map(|n| Record::Address([198, 51, 100, n].into())).collect();
        assert_eq!(best(hosts.iter().cloned()), hosts[..32], "addresses as they came");
    }

    #[test]
    fn the_services_of_a_name_of_one_label_are_looked_for_where_the_name_is() {
        assert_eq!(asked_for("sip.example.net"), "sip.example.net.");
        assert_eq!(asked_for("_sip._udp.example.net"), "_sip._udp.example.net.");
        assert_eq!(asked_for("pbx"), "pbx");
        assert_eq!(asked_for("_sip._udp.pbx"), "_sip._udp.pbx");
        assert_eq!(asked_for("_sip._udp"), "_sip._udp.");
    }

    #[test]
    fn a_machine_that_names_no_server_says_so() {
        let told = resolver(Path::new("/x/resolv.conf"), b"search example.net\n").err().unwrap();
        assert!(told.contains("/x/resolv.conf"), "{told}");
    }
}
