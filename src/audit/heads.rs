//! Heads of a log as somebody else noted them: the other end of a tunnel, or a person. Whoever
//! writes his past anew writes other records than those, or none. It reads lines and no file; what
//! is found is `verify`'s.

use super::verify::Broken;
use serde_json::Value;
use std::collections::BTreeMap;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Noted {
    number: u64,
    hash: String,
    /// Where it was noted, in words.
    place: String,
}

/// All that are known of a log, by the numbers of its records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heads {
    noted: Vec<Noted>,
}

/// Why a log says nothing of another; the text says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoHeads {
    /// No head was noted.
    #[error(
        "it has noted no head of another log{0}: is that the other end's, and was it connected?"
    )]
    None(String),
    /// Heads of several logs were.
    #[error("it has noted heads of several logs: say by which tunnel (--tunnel {0})")]
    Several(String),
}

impl Heads {
    /// One, as `N:HASH`: the number of a record, and its SHA-256 in hex. `None`: it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (number, hash) = text.trim().split_once(':')?;
        let number = number.parse().ok().filter(|n| *n > 0)?;
        let is_hash = hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit());
        let (hash, place) = (hash.to_ascii_lowercase(), "in --head".to_owned());
        is_hash.then(|| Self { noted: vec![Noted { number, hash, place }] })
    }

    /// Those that this log noted of the other end of a tunnel: of `tunnel`, of the only one, or of
    /// the one called as `site` is.
    ///
    /// # Errors
    /// None was noted, or of several ends.
    pub fn noted<'a>(
        lines: impl Iterator<Item = &'a str>,
        tunnel: Option<&str>,
        site: &str,
    ) -> Result<Self, NoHeads> {
        let mut all: BTreeMap<String, Vec<Noted>> = BTreeMap::new();
        for line in lines {
            // Nearly all lines are of something else.
            if !line.contains("\"kind\":\"peer_head\"") {
                continue;
            }
            let value: Value = serde_json::from_str(line).unwrap_or_default();
            let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
            let whole = |key: &str| value.get(key).and_then(Value::as_u64).unwrap_or_default();
            if text("kind") != "peer_head" {
                continue;
            }
            let place =
                format!("by the other end, in its record {} of {}", whole("seq"), text("ts"));
            let (number, hash) = (whole("number"), text("hash").to_owned());
            let of = all.entry(text("tunnel").to_owned()).or_default();
            of.push(Noted { number, hash, place });
        }
        let names: Vec<String> = all.keys().cloned().collect();
        let chosen = match (tunnel, names.as_slice()) {
            (Some(name), _) => name,
            (None, [only]) => only,
            (None, _) => site,
        };
        let of = |name: &str| if name.is_empty() { String::new() } else { format!(" ({name})") };
        let mut noted = match all.remove(chosen) {
            Some(noted) => noted,
            None if tunnel.is_none() && names.len() > 1 => {
                return Err(NoHeads::Several(names.join(", ")));
            }
            None => return Err(NoHeads::None(of(tunnel.unwrap_or_default()))),
        };
        noted.sort();
        Ok(Self { noted })
    }

    /// With these, too.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.noted.extend(others.noted);
        self.noted.sort();
        self
    }

    /// The record of this number has this hash: how many heads say so.
    pub(super) fn confirm(&self, line: u64, number: u64, hash: &str) -> Result<u64, Broken> {
        let from = self.noted.partition_point(|n| n.number < number);
        let own = self.noted.iter().skip(from).take_while(|n| n.number == number);
        let mut count = 0;
        for noted in own {
            if noted.hash != hash {
                let what = format!(
                    "record {number} is not the one whose head was noted {}: it, or what stands \
                     before it, was written anew",
                    noted.place
                );
                return Err(Broken { line, what });
            }
            count += 1;
        }
        Ok(count)
    }

    /// How many are of records before this one.
    pub(super) fn before(&self, number: u64) -> u64 {
        self.noted.partition_point(|n| n.number < number) as u64
    }

    /// The log ends with this record, in this line: none may be of a later one.
    pub(super) fn end(&self, line: u64, last: u64) -> Result<(), Broken> {
        let Some(noted) = self.noted.get(self.noted.partition_point(|n| n.number <= last)) else {
            return Ok(());
        };
        let what = format!(
            "record {}, whose head was noted {}, is not here: lines are missing at the end",
            noted.number, noted.place
        );
        Err(Broken { line, what })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Chain, Record, verify};
    use super::*;
    use crate::ground::Now;

    fn system(detail: String) -> Record {
        Record::System { event: "start", detail }
    }

    fn log(n: usize, word: &str) -> Vec<String> {
        let mut chain = Chain::default();
        let record = |i| system(format!("{word} {i}"));
        (0..n).map(|i| chain.append(Now::default(), "berlin", &record(i))).collect()
    }

    /// The other end's log: what it noted of this one, by these tunnels.
    fn other(of: &[String], noted: &[(&str, usize)]) -> Vec<String> {
        let mut chain = Chain::default();
        let head = |(tunnel, number): &(&str, usize)| Record::PeerHead {
            tunnel: (*tunnel).to_owned(),
            number: *number as u64,
            hash: super::super::hash(&of[number - 1]),
            said: String::new(),
        };
        let all = noted.iter().map(head).chain([system("\"kind\":\"peer_head\"".into())]);
        all.map(|r| chain.append(Now::default(), "head-office", &r)).collect()
    }

    fn lines(log: &[String]) -> impl Iterator<Item = &str> {
        log.iter().map(String::as_str)
    }

    fn check(log: &[String], other: &[String]) -> Result<(u64, u64), String> {
        let heads = Heads::noted(lines(other), None, "berlin").map_err(|e| e.to_string())?;
        let summary = verify(lines(log), None, &heads).map_err(|e| e.to_string())?;
        Ok((summary.heads, summary.heads_before))
    }

    #[test]
    fn a_log_that_was_written_anew_or_cut_is_told_by_what_the_other_end_noted() {
        let own = log(9, "no");
        let noted = other(&own, &[("berlin", 3), ("berlin", 7)]);
        assert_eq!(check(&own, &noted), Ok((2, 0)));
        assert_eq!(check(&own[..7], &noted), Ok((2, 0)), "what came later nobody noted");
        let cut = check(&own[..6], &noted).unwrap_err();
        assert!(cut.starts_with("line 6: record 7, whose head was noted"), "{cut}");
        assert!(cut.contains("in its record 2 of") && cut.ends_with("at the end"), "{cut}");
        // A chain that is whole in itself, with another word in its fifth record.
        let mut chain = Chain::default();
        let word = |i| if i == 4 { "yes" } else { "no" };
        let anew = (0..9).map(|i| system(format!("{} {i}", word(i))));
        let anew: Vec<String> = anew.map(|r| chain.append(Now::default(), "berlin", &r)).collect();
        assert!(verify(lines(&anew), None, &Heads::default()).is_ok());
        let told = check(&anew, &noted).unwrap_err();
        assert!(told.starts_with("line 7: record 7 is not the one"), "{told}");
        // Records that were put away long ago are nobody's fault.
        assert_eq!(check(&own[4..], &noted), Ok((1, 1)));
    }

    #[test]
    fn of_several_tunnels_the_sites_own_is_meant_or_the_one_that_is_named() {
        let (own, others) = (log(5, "no"), log(5, "another"));
        let mut noted = other(&own, &[("berlin", 2)]);
        noted.extend(other(&others, &[("seoul", 2)]));
        assert_eq!(check(&own, &noted), Ok((1, 0)));
        let of = |tunnel, site| Heads::noted(lines(&noted), tunnel, site);
        assert!(verify(lines(&others), None, &of(Some("seoul"), "").unwrap()).is_ok());
        assert!(verify(lines(&own), None, &of(Some("seoul"), "berlin").unwrap()).is_err());
        assert_eq!(of(None, "lima"), Err(NoHeads::Several("berlin, seoul".to_owned())));
        assert_eq!(of(Some("lima"), "berlin"), Err(NoHeads::None(" (lima)".to_owned())));
        assert!(check(&own, &own).unwrap_err().starts_with("it has noted no head"));
    }

    #[test]
    fn a_head_that_somebody_kept_is_read_and_checked() {
        let own = log(4, "no");
        let hash = super::super::hash(&own[2]);
        for text in [format!("3:{hash}"), format!(" 3:{} ", hash.to_uppercase())] {
            let head = Heads::parse(&text).expect("a head");
            assert_eq!(verify(lines(&own), None, &head).map(|s| s.heads), Ok(1));
            assert!(verify(lines(&own[..2]), None, &head).is_err(), "it is missing");
        }
        let other = Heads::parse(&format!("2:{hash}")).expect("a head");
        assert!(verify(lines(&own), None, &other).is_err());
        for text in ["", "3", "0:00", &hash, &format!("0:{hash}"), &format!("3:{hash}0")] {
            assert_eq!(Heads::parse(text), None, "{text}");
        }
    }
}
