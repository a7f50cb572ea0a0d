//! What DNS has said, and for how long that holds. Records outlive a DNS that is gone: an old
//! answer is better than none, for a day. Bounded; time is an argument.

use crate::engine::names::{Question, RECORDS, Record, Reply};
use crate::ground::Mono;
use std::collections::BTreeMap;
use std::time::Duration;

/// Questions that are remembered.
const MOST: usize = 1_024;
/// Records hold at least and at most so long, whatever their TTL.
const HOLDS: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(3_600)];
/// That there are none holds at least and at most so long.
const NOTHING: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(60)];
/// Who could not be asked is asked again after this, then after twice that, and so on …
const AGAIN: Duration = Duration::from_secs(5);
/// … but at least this often.
const SELDOM: Duration = Duration::from_secs(60);
/// Records are used so long after they ended, while nobody can say anything newer.
const STALE: Duration = Duration::from_secs(86_400);

#[derive(Debug)]
struct Entry {
    said: Result<Vec<Record>, String>,
    /// It is asked again then.
    until: Mono,
    /// Records are not used after this.
    stale: Mono,
    /// How often nobody could say anything since.
    failures: u32,
}

/// Everything that is known.
#[derive(Debug, Default)]
pub(super) struct Cache {
    known: BTreeMap<Question, Entry>,
}

impl Cache {
    /// Records (none: there are none), or why nobody knows. `None`: not asked yet.
    pub(super) fn get(&self, question: &Question) -> Option<Result<&[Record], &str>> {
        let entry = self.known.get(question)?;
        Some(entry.said.as_deref().map_err(String::as_str))
    }

    /// When this is to be asked; `None`: it never was.
    pub(super) fn until(&self, question: &Question) -> Option<Mono> {
        self.known.get(question).map(|e| e.until)
    }

    /// A question was answered.
    pub(super) fn answered(&mut self, now: Mono, question: Question, reply: Reply) {
        let hold = |ttl: Duration, [least, most]: [Duration; 2]| now + ttl.clamp(least, most);
        let before = self.known.remove(&question);
        let entry = match reply {
            Reply::Records(mut records, ttl) => {
                records.truncate(RECORDS);
                let until = hold(ttl, HOLDS);
                Entry { said: Ok(records), until, stale: until + STALE, failures: 0 }
            }
            Reply::Nothing(ttl) => {
                let until = hold(ttl, NOTHING);
                Entry { said: Ok(Vec::new()), until, stale: until, failures: 0 }
            }
            Reply::Failed(why) => {
                let failures = before.as_ref().map_or(0, |e| e.failures).saturating_add(1);
                let wait = AGAIN.saturating_mul(1 << (failures - 1).min(6)).min(SELDOM);
                match before.filter(|e| e.said.is_ok() && e.stale > now) {
                    Some(old) => Entry { until: now + wait, failures, ..old },
                    None => Entry { said: Err(why), until: now + wait, stale: now, failures },
                }
            }
        };
        while self.known.len() >= MOST {
            self.known.pop_first();
        }
        self.known.insert(question, entry);
    }

    /// Everything is asked anew: what is known is used until then.
    pub(super) fn expire(&mut self, now: Mono) {
        self.known.values_mut().for_each(|e| e.until = now);
    }

    /// Whether some of what is used here is older than it should be: who should know is gone.
    pub(super) fn is_stale(&self, question: &Question) -> bool {
        self.known.get(question).is_some_and(|e| e.failures > 0 && e.said.is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn q() -> Question {
        Question::Hosts("pbx.example".to_owned())
    }

    fn at(seconds: u64) -> Mono {
        Mono(Duration::from_secs(seconds))
    }

    fn one() -> Vec<Record> {
        vec![Record::Address("198.51.100.2".parse().unwrap())]
    }

    #[test]
    fn records_hold_as_long_as_they_say_within_bounds() {
        for (ttl, until) in [(0, 10), (30, 30), (86_400, 3_600)] {
            let mut c = Cache::default();
            c.answered(at(0), q(), Reply::Records(one(), Duration::from_secs(ttl)));
            assert_eq!((c.until(&q()), c.get(&q())), (Some(at(until)), Some(Ok(&one()[..]))));
        }
        let mut c = Cache::default();
        c.answered(at(0), q(), Reply::Nothing(Duration::from_secs(86_400)));
        assert_eq!((c.until(&q()), c.get(&q())), (Some(at(60)), Some(Ok(&[][..]))));
    }

    #[test]
    fn an_old_answer_is_used_while_nobody_knows_a_newer_one_for_a_day() {
        let mut c = Cache::default();
        let failed = || Reply::Failed("nobody answers".to_owned());
        c.answered(at(0), q(), Reply::Records(one(), Duration::from_secs(60)));
        for (now, again) in [(60, 65), (65, 75), (75, 95), (95, 135), (135, 195), (195, 255)] {
            c.answered(at(now), q(), failed());
            assert_eq!((c.until(&q()), c.get(&q())), (Some(at(again)), Some(Ok(&one()[..]))));
            assert!(c.is_stale(&q()));
        }
        c.answered(at(86_500), q(), failed());
        assert_eq!(c.get(&q()), Some(Err("nobody answers")));
        c.answered(at(86_560), q(), Reply::Records(one(), Duration::from_secs(60)));
        assert!(!c.is_stale(&q()) && c.get(&q()) == Some(Ok(&one()[..])));
        // "There is none" is an answer.
        c.answered(at(86_620), q(), Reply::Nothing(Duration::from_secs(5)));
        assert_eq!(c.get(&q()), Some(Ok(&[][..])));
    }

    #[test]
    fn it_is_bounded() {
        let mut c = Cache::default();
        for n in 0..3_000 {
            let many = vec![one()[0].clone(); 100];
            let reply = Reply::Records(many, Duration::from_secs(60));
            c.answered(at(0), Question::Hosts(format!("h{n}")), reply);
        }
        assert_eq!(c.known.len(), MOST);
        assert!(c.known.values().all(|e| e.said.as_ref().is_ok_and(|r| r.len() == RECORDS)));
    }
}
