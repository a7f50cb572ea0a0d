//! Who was refused what, and why: the last of them, for readers. Made from records; what is
//! forgotten here stands in the audit log.

use crate::audit::{BindingEvent, Record, Ruling, SecurityClass};
use crate::ground::Now;
use serde::Serialize;
use std::net::SocketAddr;

/// So many are kept.
pub(super) const KEPT: u64 = 100;

/// Something that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// Its number; higher is later.
    pub number: u64,
    /// Wall milliseconds.
    pub at_ms: u64,
    /// What was asked for: a method, or what a security record is about.
    pub what: String,
    /// Who asked, by his own words; empty: that is not known.
    pub who: String,
    /// For whom it was; empty: for nobody.
    pub to: String,
    /// Where from.
    pub source: Option<SocketAddr>,
    /// Rule that decided; empty: none did.
    pub rule: String,
    /// Why, in words.
    pub why: String,
}

/// Makes rows of records.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    number: u64,
}

impl Refusals {
    /// A row, when a record tells of a refusal; and the number of the one that gives way to it.
    pub(super) fn hear(&mut self, now: Now, record: &Record) -> Option<(Refusal, Option<u64>)> {
        let (what, [who, to, rule, why], source) = refused(record)?;
        self.number += 1;
        let row = Refusal {
            number: self.number,
            at_ms: u64::try_from(now.wall.0.as_millis()).unwrap_or(u64::MAX),
            what,
            who,
            to,
            source,
            rule,
            why,
        };
        Some((row, self.number.checked_sub(KEPT).filter(|n| *n > 0)))
    }
}

fn word(ruling: Ruling) -> String {
    if ruling == Ruling::Drop { "dropped" } else { "denied" }.to_owned()
}

type Row = (String, [String; 4], Option<SocketAddr>);

fn refused(record: &Record) -> Option<Row> {
    let own = |text: &String| text.clone();
    match record {
        Record::CallAttempt { verdict: Ruling::Allow, .. }
        | Record::Verdict { verdict: Ruling::Allow, .. }
        | Record::Reference { verdict: Ruling::Allow, .. } => None,
        Record::CallAttempt { from, to, rule, verdict, source, .. } => {
            let row = [own(from), own(to), own(rule), word(*verdict)];
            Some(("INVITE".to_owned(), row, Some(*source)))
        }
        Record::Verdict { method, from, to, rule, verdict, source, .. } => {
            let row = [own(from), own(to), own(rule), word(*verdict)];
            Some((own(method), row, Some(*source)))
        }
        Record::Reference { by, from, to, rule, verdict, source, .. } => {
            let row = [own(from), own(to), own(rule), word(*verdict)];
            Some((by.to_string(), row, Some(*source)))
        }
        Record::Registration {
            user,
            source,
            result: BindingEvent::Refused,
            status,
            registrar,
            ..
        } => {
            let why = format!("{registrar} says {status}");
            let row = [own(user), String::new(), String::new(), why];
            Some(("REGISTER".to_owned(), row, Some(*source)))
        }
        Record::Security { class, source, count, detail } => {
            if matches!(class, SecurityClass::LeakRemoved | SecurityClass::AuditShare) {
                return None;
            }
            let times = if *count > 1 { format!(" ({count} times)") } else { String::new() };
            let row = [String::new(), String::new(), String::new(), format!("{detail}{times}")];
            Some((class.as_str().replace('_', " "), row, *source))
        }
        Record::Registration { .. }
        | Record::CallEnd(_)
        | Record::Finding { .. }
        | Record::QualityReport { .. }
        | Record::Admin { .. }
        | Record::System { .. }
        | Record::Tunnel { .. }
        | Record::PeerHead { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Standing;
    use crate::ground::{Side, Wall};
    use std::time::Duration;

    fn verdict(verdict: Ruling) -> Record {
        Record::Verdict {
            method: "SUBSCRIBE".into(),
            side: Side::Inside,
            source: "10.0.0.2:5060".parse().unwrap(),
            from: "101".into(),
            to: "200".into(),
            rule: "no presence".into(),
            verdict,
            tls_subject: String::new(),
            sender: Standing::Phone,
        }
    }

    #[test]
    fn what_was_refused_is_told_with_its_rule_and_the_oldest_gives_way() {
        let mut all = Refusals::default();
        let now = Now { wall: Wall(Duration::from_millis(1_500)), ..Now::default() };
        assert_eq!(all.hear(now, &verdict(Ruling::Allow)), None);
        let (row, gone) = all.hear(now, &verdict(Ruling::Deny)).unwrap();
        assert_eq!(
            (row.what.as_str(), row.rule.as_str(), row.why.as_str()),
            ("SUBSCRIBE", "no presence", "denied")
        );
        assert_eq!((row.at_ms, row.source.map(|s| s.port()), gone), (1_500, Some(5060), None));
        for _ in 1..KEPT {
            assert_eq!(all.hear(now, &verdict(Ruling::Drop)).unwrap().1, None);
        }
        assert_eq!(all.hear(now, &verdict(Ruling::Drop)).unwrap().1, Some(1));
    }
}
