//! Whole or not at all: what the event loop is handed, and what whoever asked is told.

use super::*;
use crate::config::{Environment, INIT, hash};
use std::sync::Mutex as Lock;

fn parse(text: &str) -> Result<Config, Refusal> {
    Config::parse("t", text, &Environment::default()).map_err(|all| Refusal {
        hash: hash(text),
        faults: all.iter().map(ToString::to_string).collect(),
    })
}

/// A reloader over a text that the test changes, and everything that reached the loop and the log
/// level.
struct Lab {
    reloader: Arc<Reloader>,
    text: Arc<Lock<String>>,
    taken: Arc<Lock<Vec<(Reloaded, bool, String)>>>,
    levels: Arc<Lock<Vec<String>>>,
}

impl Lab {
    fn new() -> Self {
        let text = Arc::new(Lock::new(INIT.to_owned()));
        let (asks, mut questions) = mpsc::channel(8);
        let taken: Arc<Lock<Vec<_>>> = Arc::default();
        let seen = taken.clone();
        tokio::spawn(async move {
            while let Some(ask) = questions.recv().await {
                let Ask::Reload(r) = ask else { panic!("{ask:?}") };
                let Record::Admin { detail, .. } = r.record else { panic!("{:?}", r.record) };
                seen.lock().unwrap().push((r.result, r.snapshot.is_some(), detail));
                r.done.send(()).unwrap();
            }
        });
        let source = text.clone();
        let read: Read = Arc::new(move || parse(&source.lock().unwrap()));
        let levels: Arc<Lock<Vec<String>>> = Arc::default();
        let told = levels.clone();
        let applied: Applied = Box::new(move |c| told.lock().unwrap().push(c.log.level.clone()));
        let config = parse(INIT).unwrap();
        let reloader =
            Reloader::new(asks, config, "t".to_owned(), read, applied, Service::none()).unwrap();
        Self { reloader: Arc::new(reloader), text, taken, levels }
    }

    fn write(&self, from: &str, to: &str) {
        assert!(INIT.contains(from));
        *self.text.lock().unwrap() = INIT.replacen(from, to, 1);
    }

    fn last(&self) -> (Reloaded, bool, String) {
        self.taken.lock().unwrap().last().cloned().unwrap()
    }
}

fn block_on(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future);
}

#[test]
fn what_is_new_is_taken_and_named_by_when_it_counts() {
    block_on(async {
        let lab = Lab::new();
        lab.write("level = \"info\"", "level = \"debug\"");
        let o = lab.reloader.reload("a test").await;
        assert_eq!((o.result, &o.changes.now), ("applied", &vec!["log.level".to_owned()]));
        assert_eq!((o.old_hash, o.hash), (hash(INIT), hash(&lab.text.lock().unwrap())));
        let (result, swapped, detail) = lab.last();
        assert_eq!((result, swapped), (Reloaded::Applied, true));
        assert!(detail.starts_with(&format!("by a test: {} -> ", hash(INIT))), "{detail}");
        assert!(detail.ends_with("; now: log.level"), "{detail}");
        assert_eq!(*lab.levels.lock().unwrap(), ["debug"]);
        // Once more: it is what holds now.
        let o = lab.reloader.reload("a test").await;
        assert_eq!((o.result, o.changes.is_empty()), ("unchanged", true));
        assert_eq!(lab.last().0, Reloaded::Unchanged);
        assert!(!lab.last().1, "nothing is swapped for nothing");
    });
}

#[test]
fn a_refused_file_changes_nothing_and_says_every_fault() {
    block_on(async {
        let lab = Lab::new();
        lab.write("[media]\n", "[media]\nport = 3\nworker = 1\n");
        let o = lab.reloader.reload("a test").await;
        assert_eq!((o.result, o.old_hash), ("refused", hash(INIT)));
        assert_eq!(o.faults.matches("error[unknown-key]").count(), 2, "{}", o.faults);
        let (result, swapped, detail) = lab.last();
        assert_eq!((result, swapped), (Reloaded::Refused, false));
        assert!(detail.contains("unknown-key") && detail.chars().count() <= DETAIL, "{detail}");
        assert!(lab.levels.lock().unwrap().is_empty());
        // A rule test that fails refuses too, and so does a users file that is not there.
        lab.write("deny: no premium", "deny: nobody");
        assert_eq!(lab.reloader.reload("a test").await.result, "refused");
        lab.write("# users = \"/etc/portreeve/users\"", "users = \"/no/such/file\"");
        let o = lab.reloader.reload("a test").await;
        assert!(o.result == "refused" && o.faults.contains("/no/such/file"), "{}", o.faults);
        // What held still holds: the good file is no news.
        *lab.text.lock().unwrap() = INIT.to_owned();
        assert_eq!(lab.reloader.reload("a test").await.result, "unchanged");
    });
}

#[test]
fn what_needs_a_restart_is_named_again_until_then() {
    block_on(async {
        let lab = Lab::new();
        lab.write("20000-20399", "20000-20499");
        for _ in 0..2 {
            let o = lab.reloader.reload("a test").await;
            assert_eq!(o.changes.restart, ["media.ports"]);
        }
    });
}

#[test]
fn many_at_once_go_one_after_the_other() {
    block_on(async {
        let lab = Lab::new();
        lab.write("level = \"info\"", "level = \"warn\"");
        let all: Vec<_> = (0..8)
            .map(|_| {
                let reloader = lab.reloader.clone();
                tokio::spawn(async move { reloader.reload("a test").await.result })
            })
            .collect();
        let mut results = Vec::new();
        for one in all {
            results.push(one.await.unwrap());
        }
        assert_eq!(results.iter().filter(|r| **r == "applied").count(), 1, "{results:?}");
        assert_eq!(lab.taken.lock().unwrap().len(), 8);
    });
}
