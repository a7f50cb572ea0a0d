//! Where a place is: what DNS says at each try, or what it said when it last answered; and several
//! addresses are tried beside each other, so that one that is dead costs a moment. What a proxy has
//! asked for is remembered here, too.

use crate::config::{Host, Place};
use crate::driver::resolver::{RESOLV_CONF, ask_once};
use crate::driver::tunnel::proxy::Account;
use crate::driver::tunnel::words::{Sign, bare, told};
use crate::engine::names::{Question, Record, Reply};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// An answer of DNS takes at most this: where nothing is known of a name, and where something is.
const NAMED: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(1));
/// A proxy that did not believe us is not asked for so long.
const LOCKS: Duration = Duration::from_secs(300);
/// Addresses of one name that are tried, and how much later than the one before it each is.
const ADDRESSES: usize = 8;
const LATER: Duration = Duration::from_millis(250);

/// What tries of one site remember.
#[derive(Default)]
pub(in crate::driver::tunnel) struct Memory {
    /// What DNS said last: of the head office, and of its proxy.
    names: Mutex<BTreeMap<String, Vec<IpAddr>>>,
    has_digested: AtomicBool,
    has_shown: AtomicBool,
    is_narrow: AtomicBool,
    /// Whom the proxy did not believe, when, and after how many reloads.
    refused: Mutex<Option<(Option<Account>, Instant, u64)>>,
}

impl Memory {
    fn names(&self) -> MutexGuard<'_, BTreeMap<String, Vec<IpAddr>>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the proxy has asked for a digest before.
    pub(super) fn has_digested(&self) -> bool {
        self.has_digested.load(Relaxed)
    }

    /// It is answered. True: with the password in clear, for the first time.
    pub(super) fn answers(&self, is_basic: bool) -> bool {
        if is_basic {
            return !self.has_shown.swap(true, Relaxed);
        }
        self.has_digested.store(true, Relaxed);
        false
    }

    /// Long packets are swallowed on the way, or are no more.
    pub(in crate::driver::tunnel) fn narrows(&self, is: bool) {
        self.is_narrow.store(is, Relaxed);
    }

    pub(super) fn is_narrow(&self) -> bool {
        self.is_narrow.load(Relaxed)
    }

    /// The proxy does not believe this account.
    pub(super) fn refuses(&self, account: Option<Account>, reloads: u64, now: Instant) {
        *self.refused() = Some((account, now, reloads));
    }

    /// Whether it said so a short while ago, of the same one, and nobody has reloaded since: then
    /// it is left alone.
    pub(super) fn is_refused(&self, account: Option<&Account>, reloads: u64, now: Instant) -> bool {
        self.refused().as_ref().is_some_and(|(known, at, before)| {
            known.as_ref() == account && *before == reloads && now.duration_since(*at) < LOCKS
        })
    }

    fn refused(&self) -> MutexGuard<'_, Option<(Option<Account>, Instant, u64)>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its addresses.
    ///
    /// # Errors
    /// In words: there is no such name, or nobody says.
    pub(in crate::driver::tunnel) async fn addresses(
        &self,
        place: &Place,
    ) -> Result<Vec<SocketAddr>, String> {
        let name = match &place.host {
            Host::Ip(ip) => return Ok(vec![SocketAddr::new(*ip, place.port)]),
            Host::Name(name) => name.clone(),
        };
        let before = self.names().get(&name).cloned();
        let patience = if before.is_some() { NAMED.1 } else { NAMED.0 };
        let question = Question::Hosts(name.clone());
        let reply = ask_once(Path::new(RESOLV_CONF), &question, patience).await;
        let hosts = self.known(&name, reply)?;
        Ok(hosts.into_iter().map(|ip| SocketAddr::new(ip, place.port)).collect())
    }

    /// What a reply makes known.
    fn known(&self, name: &str, reply: Reply) -> Result<Vec<IpAddr>, String> {
        match reply {
            Reply::Records(records, _) => {
                let hosts = records.into_iter().filter_map(|record| match record {
                    Record::Address(ip) => Some(ip),
                    Record::Naptr { .. } | Record::Srv { .. } => None,
                });
                let hosts: Vec<IpAddr> = hosts.collect();
                if !hosts.is_empty() {
                    self.names().insert(name.to_owned(), hosts.clone());
                }
                Ok(hosts)
            }
            Reply::Nothing(_) => Err(told(name, Sign::NoHost, "")),
            // Who is asked for names may be out of reach, and the head office where it was.
            Reply::Failed(why) => {
                let known = self.names().get(name).cloned();
                known.ok_or_else(|| told(name, Sign::NoDns, format!(" ({why})")))
            }
        }
    }
}

/// Tries all, each a little later than the one before it: the first that comes to something.
///
/// # Errors
/// What the last of them said.
pub(super) async fn race<T, F>(
    all: Vec<SocketAddr>,
    one: impl Fn(SocketAddr) -> F,
) -> Result<T, String>
where
    T: Send + 'static,
    F: Future<Output = Result<T, String>> + Send + 'static,
{
    let mut tries = JoinSet::new();
    let mut later = Duration::ZERO;
    for at in all.into_iter().take(ADDRESSES) {
        let (tried, wait) = (one(at), later);
        tries.spawn(async move {
            sleep(wait).await;
            tried.await
        });
        later += LATER;
    }
    let mut last = bare(Sign::NoHost, "");
    while let Some(tried) = tries.join_next().await {
        match tried {
            Ok(Ok(got)) => return Ok(got),
            Ok(Err(why)) => last = why,
            Err(_) => {}
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_dead_address_costs_a_moment() {
        let at = |n: u8| SocketAddr::from(([192, 0, 2, n], 443));
        let begun = Instant::now();
        let got = race(vec![at(1), at(2), at(3)], |tried| async move {
            if tried == at(3) {
                return Ok(tried);
            }
            sleep(Duration::from_secs(5)).await;
            Err(format!("{tried}: no answer"))
        });
        assert_eq!(got.await, Ok(at(3)));
        assert_eq!(begun.elapsed(), LATER * 2);
        let none = race(vec![at(1)], |tried| async move { Err::<(), _>(format!("{tried}")) });
        assert_eq!(none.await, Err("192.0.2.1:443".to_owned()));
        let none = race(Vec::new(), |_| async { Ok(()) });
        assert!(none.await.is_err());
    }

    #[test]
    fn where_nobody_says_what_was_said_last_holds() {
        let memory = Memory::default();
        let hosts = |reply| memory.known("gate.example.net", reply);
        let failed = || Reply::Failed("no answer".to_owned());
        let told = hosts(failed()).unwrap_err();
        assert!(told.starts_with("gate.example.net: nobody says where that is (no answer): "));
        let ip = IpAddr::from([192, 0, 2, 1]);
        let hour = Duration::from_secs(3_600);
        assert_eq!(hosts(Reply::Records(vec![Record::Address(ip)], hour)), Ok(vec![ip]));
        assert_eq!(hosts(failed()), Ok(vec![ip]));
        assert!(hosts(Reply::Nothing(hour)).is_err(), "that is an answer");
    }

    #[test]
    fn the_first_password_in_clear_is_told_and_a_digest_is_remembered() {
        let memory = Memory::default();
        assert!(memory.answers(true) && !memory.answers(true) && !memory.has_digested());
        assert!(!memory.answers(false) && memory.has_digested());
    }

    #[test]
    fn a_proxy_that_does_not_believe_us_is_left_alone_for_a_while() {
        let (memory, now) = (Memory::default(), Instant::now());
        let account = |password: &str| Account {
            user: "site".to_owned(),
            password: password.to_owned().into(),
            stranger: None,
        };
        let is = |password, reloads, seconds| {
            let at = now + Duration::from_secs(seconds);
            memory.is_refused(Some(&account(password)), reloads, at)
        };
        assert!(!is("wrong", 0, 0));
        memory.refuses(Some(account("wrong")), 0, now);
        assert!(is("wrong", 0, 0) && is("wrong", 0, 299));
        assert!(!is("wrong", 0, 300), "it is asked again");
        assert!(!is("right", 0, 1), "its password is another now");
        assert!(!is("wrong", 1, 1), "somebody has reloaded");
    }
}
