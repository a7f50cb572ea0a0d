//! What tunnels have to say to the audit log: who came and went, who was refused, and where the
//! other end's own log stands. It waits here until the event loop takes it, which nobody waits for;
//! and it knows where our log stands, for the other end. It writes no record itself.

use super::bearer::Bearer;
use crate::audit::{Record, SecurityClass, TunnelEvent, timestamp};
use crate::config::PublicKey;
use crate::driver::audit_log::{AuditCounters, Dated};
use crate::driver::clock::Clock;
use crate::ground::Wall;
use crate::wire::tunnel::head::Head;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Records that may wait, and those of them that are of strangers.
const WAITING: (usize, usize) = (1_024, 256);

/// The one of all tunnels.
#[derive(Debug)]
pub(super) struct Ledger {
    clock: Clock,
    audit: Option<Arc<AuditCounters>>,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    records: Vec<Dated>,
    /// Strangers among them, and those that found no place.
    refused: (usize, u64),
    /// Others that found no place.
    lost: u64,
}

impl Ledger {
    /// `audit`: of the log that takes the records; `None`: there is none.
    pub(super) fn new(clock: Clock, audit: Option<Arc<AuditCounters>>) -> Self {
        Self { clock, audit, waiting: Mutex::default() }
    }

    /// One that nobody reads.
    pub(super) fn unread() -> Arc<Self> {
        Arc::new(Self::new(Clock::start(), None))
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, record: Record) {
        if self.audit.is_none() {
            return;
        }
        let (now, mut waiting) = (self.clock.now(), self.waiting());
        if waiting.records.len() < WAITING.0 {
            waiting.records.push((now, record));
        } else {
            waiting.lost += 1;
        }
    }

    /// Something became of a tunnel, which that bearer carries, or did until now.
    pub(super) fn tells(
        &self,
        tunnel: &str,
        event: TunnelEvent,
        bearer: Option<&Bearer>,
        (key, detail): (&PublicKey, String),
    ) {
        let (kind, peer) = (bearer.map(Bearer::kind), bearer.map(Bearer::peer));
        let (tunnel, key) = (tunnel.to_owned(), key.to_string());
        self.put(Record::Tunnel { tunnel, event, bearer: kind, peer, key, detail });
    }

    /// Somebody showed a key that is no peer's; `at`: in which place.
    pub(super) fn refuses(&self, source: Option<SocketAddr>, key: &PublicKey, at: &str) {
        if self.audit.is_none() {
            return;
        }
        let (now, mut waiting) = (self.clock.now(), self.waiting());
        if waiting.refused.0 >= WAITING.1 {
            waiting.refused.1 += 1;
            return;
        }
        waiting.refused.0 += 1;
        let (class, detail) = (SecurityClass::UnknownKey, format!("{at}: key {key}"));
        waiting.records.push((now, Record::Security { class, source, count: 1, detail }));
    }

    /// The other end of a tunnel says where its own log stands.
    pub(super) fn notes(&self, tunnel: &str, head: &Head) {
        let hash = head.hash.iter().fold(String::with_capacity(64), |mut hex, octet| {
            let _ = write!(hex, "{octet:02x}");
            hex
        });
        let (tunnel, number) = (tunnel.to_owned(), head.number);
        let said = timestamp(Wall(Duration::from_millis(head.calendar)));
        self.put(Record::PeerHead { tunnel, number, hash, said });
    }

    /// Where our own log stands; `None`: there is none, or no record in it yet.
    pub(super) fn head(&self) -> Option<Head> {
        let (number, hash) = self.audit.as_ref()?.head()?;
        let hash = octets(&hash)?;
        let calendar = self.clock.now().wall.0.as_millis();
        Some(Head { number, hash, calendar: u64::try_from(calendar).unwrap_or(u64::MAX) })
    }

    /// What has gathered since it was taken last.
    pub(super) fn take(&self) -> Vec<Dated> {
        let Waiting { mut records, refused, lost } = std::mem::take(&mut *self.waiting());
        let now = self.clock.now();
        if refused.1 > 0 {
            let (class, source, count) = (SecurityClass::UnknownKey, None, refused.1);
            let detail = "of many sources".to_owned();
            records.push((now, Record::Security { class, source, count, detail }));
        }
        if lost > 0 {
            let detail = format!("{lost} records of tunnels could not be written");
            records.push((now, Record::System { event: "gap", detail }));
        }
        records
    }
}

/// Of 64 digits.
fn octets(hex: &str) -> Option<[u8; 32]> {
    let mut octets = [0; 32];
    let digits = hex.as_bytes().chunks_exact(2);
    if hex.len() != 64 {
        return None;
    }
    for (octet, pair) in octets.iter_mut().zip(digits) {
        *octet = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> PublicKey {
        PublicKey::new([n; 32])
    }

    #[test]
    fn what_waits_is_bounded_and_strangers_take_no_place_of_others() {
        let ledger = Ledger::new(Clock::start(), Some(Arc::default()));
        for n in 0..2_000_u16 {
            ledger.refuses(Some(SocketAddr::from(([192, 0, 2, 1], n))), &key(7), "udp");
        }
        ledger.tells("berlin", TunnelEvent::Down, None, (&key(9), "closed".to_owned()));
        let all = ledger.take();
        assert_eq!(all.len(), WAITING.1 + 2, "strangers, the tunnel, and the sum");
        let told = all.iter().any(|(_, r)| matches!(r, Record::Tunnel { .. }));
        assert!(told, "{all:?}");
        let sum = all.last().map(|(_, r)| r.clone());
        let Some(Record::Security { source: None, count, .. }) = sum else { panic!("{sum:?}") };
        assert_eq!(count, 2_000 - WAITING.1 as u64);
        for _ in 0..WAITING.0 + 5 {
            ledger.tells("berlin", TunnelEvent::Down, None, (&key(9), String::new()));
        }
        let all = ledger.take();
        assert_eq!(all.len(), WAITING.0 + 1);
        assert!(matches!(&all[WAITING.0].1, Record::System { event: "gap", .. }), "5 are told");
        assert!(ledger.take().is_empty());
    }

    #[test]
    fn without_a_log_nothing_gathers() {
        let ledger = Ledger::new(Clock::start(), None);
        ledger.refuses(None, &key(7), "udp");
        ledger.notes("berlin", &Head { number: 1, hash: [0xab; 32], calendar: 0 });
        assert!(ledger.take().is_empty() && ledger.head().is_none());
    }

    #[test]
    fn a_head_is_written_as_the_log_writes_it() {
        let ledger = Ledger::new(Clock::start(), Some(Arc::default()));
        assert_eq!(ledger.head(), None, "there is no record yet");
        let head = Head { number: 7, hash: [0xab; 32], calendar: 1_767_571_200_250 };
        ledger.notes("berlin", &head);
        let all = ledger.take();
        let [(_, Record::PeerHead { tunnel, number: 7, hash, said })] = all.as_slice() else {
            panic!("{all:?}")
        };
        assert_eq!((tunnel.as_str(), said.as_str()), ("berlin", "2026-01-05T00:00:00.250Z"));
        assert_eq!(octets(hash), Some(head.hash));
        assert_eq!(
            (octets("ab"), octets(&"g".repeat(64)), octets(&"é".repeat(32))),
            (None, None, None)
        );
    }
}
