//! The look-up of names by itself, for whoever asks where an upstream is without a gateway that
//! runs: the same questions, the same places, the same refusals. It asks nobody.

use super::cache::Cache;
use super::lookup::look_up;
use super::names::judge;
use crate::config::{Config, Hop, Upstream};
use crate::engine::names::{Question, Reply};
use crate::engine::world::Net;
use crate::ground::Mono;

/// What came of looking.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sought {
    /// Where it is, in the order of priority.
    pub places: Vec<Hop>,
    /// Places that are never used, and what each of them is.
    pub refused: Vec<(Hop, String)>,
    /// Every question, and what came of it in a word.
    pub asked: Vec<(Question, String)>,
}

/// Names and what DNS has said of them so far.
#[derive(Debug)]
pub struct Finder {
    net: Net,
    all: Vec<Upstream>,
    cache: Cache,
}

impl Finder {
    /// Knows nothing yet.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let mut net = Net::new(config);
        let fixed = config.upstreams.iter().flat_map(Upstream::fixed);
        net.follow(fixed.map(|hop| hop.peer.ip()));
        Self { net, all: config.upstreams.clone(), cache: Cache::default() }
    }

    /// What is to be asked next; none: all is known that can be.
    #[must_use]
    pub fn missing(&self, upstream: &Upstream) -> Vec<Question> {
        look_up(&upstream.targets, &self.net.spoken_at(upstream.interface), &self.cache).missing
    }

    /// A question was answered.
    pub fn answered(&mut self, question: Question, reply: Reply) {
        self.cache.answered(Mono::default(), question, reply);
    }

    /// Where an upstream is, as far as is known.
    #[must_use]
    pub fn found(&self, upstream: &Upstream) -> Sought {
        let found =
            look_up(&upstream.targets, &self.net.spoken_at(upstream.interface), &self.cache);
        let mut sought = Sought::default();
        for place in found.places {
            match judge(&self.net, &self.all, upstream, place.hop) {
                Ok(()) => sought.places.push(place.hop),
                Err(why) => sought.refused.push((place.hop, why.to_string())),
            }
        }
        let told = found.asked.into_iter().map(|q| {
            let said = match self.cache.get(&q) {
                Some(Ok([])) => "none".to_owned(),
                Some(Ok([_])) => "1 record".to_owned(),
                Some(Ok(records)) => format!("{} records", records.len()),
                Some(Err(why)) => why.to_owned(),
                None => "not asked".to_owned(),
            };
            (q, said)
        });
        sought.asked = told.collect();
        sought
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, Target};
    use crate::engine::names::Record;
    use std::time::Duration;

    #[test]
    fn it_asks_and_refuses_as_the_engine_does() {
        let edge = include_str!("../../../configs/minimal.toml");
        let mut config = Config::parse("x", edge, &Environment::default()).unwrap();
        config.upstreams[0].targets = vec![Target::parse("sip.example.net").unwrap()];
        let inside = config.interfaces[0].addresses.first().unwrap().ip;
        let mut finder = Finder::new(&config);
        let u = &config.upstreams[0];
        let mut rounds = Vec::new();
        while let Some(question) = finder.missing(u).first().cloned() {
            let reply = match &question {
                Question::Naptr(_) => Reply::Failed("nobody answers".to_owned()),
                Question::Srv(_) => Reply::Nothing(Duration::ZERO),
                Question::Hosts(_) => {
                    let all = [inside, "198.51.100.2".parse().unwrap()].map(Record::Address);
                    Reply::Records(all.to_vec(), Duration::ZERO)
                }
            };
            rounds.push(question.to_string());
            finder.answered(question, reply);
        }
        let name = "sip.example.net";
        let srv = |t: &str| format!("SRV _sip._{t}.{name}");
        let all = [format!("NAPTR {name}"), srv("udp"), srv("tcp"), format!("A/AAAA {name}")];
        assert_eq!(rounds, all);
        let sought = finder.found(u);
        let places: Vec<String> = sought.places.iter().map(|h| h.peer.to_string()).collect();
        assert_eq!(places, ["198.51.100.2:5060"]);
        assert_eq!(sought.refused[0].0.peer.ip(), inside);
        let said: Vec<&str> = sought.asked.iter().map(|(_, said)| said.as_str()).collect();
        assert_eq!(said, ["nobody answers", "none", "none", "2 records"]);
    }
}
