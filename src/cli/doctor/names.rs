//! Where upstreams are: the same look-up as the gateway's, by the resolver of this machine.

use super::{Check, Line, PATIENCE};
use crate::config::{Config, Hop, Upstream};
use crate::driver::clock::Clock;
use crate::driver::resolver::{RESOLV_CONF, ask_once};
use crate::engine::{Finder, Sought};
use std::path::Path;
use std::time::Duration;
use tokio::task::JoinSet;

/// Longest wait for all names together.
const ALL: Duration = Duration::from_secs(6);
/// Targets of one upstream that are looked at further.
const TARGETS: usize = 8;

/// An upstream, by its place in the file, a place where it is, and which target of its leads there.
pub(super) type Found = (usize, Hop, usize);

/// A line for every target of an upstream, and where they are.
pub(super) async fn names(c: &Config) -> (Vec<Line>, Vec<Found>) {
    let clock = Clock::start();
    let mut finder = Finder::new(c);
    loop {
        let mut missing: Vec<_> = c.upstreams.iter().flat_map(|u| finder.missing(u)).collect();
        missing.sort_unstable();
        missing.dedup();
        let left = ALL.saturating_sub(clock.now().mono.0).min(PATIENCE);
        if missing.is_empty() || left.is_zero() {
            break;
        }
        let mut asked = JoinSet::new();
        for question in missing {
            asked.spawn(async move {
                let reply = ask_once(Path::new(RESOLV_CONF), &question, left).await;
                (question, reply)
            });
        }
        for (question, reply) in asked.join_all().await {
            finder.answered(question, reply);
        }
    }
    let (mut lines, mut found) = (Vec::new(), Vec::new());
    for (index, u) in c.upstreams.iter().enumerate() {
        let tunnel = c.interfaces.get(u.interface).filter(|i| i.link.tunnel().is_some());
        if let Some(i) = tunnel {
            let what = format!("{}: at the other end of tunnel {}", u.name, i.name);
            lines.push(Line::ok(Check::Names, what));
            continue;
        }
        // Each target by itself: one that is nowhere hides behind no other.
        let mut places = Vec::new();
        for (of, target) in u.targets.iter().enumerate() {
            let alone = Upstream { targets: vec![target.clone()], ..u.clone() };
            let sought = finder.found(&alone);
            lines.extend(named(&alone, &sought));
            let new = sought.places.into_iter().filter(|hop| !places.iter().any(|(h, _)| h == hop));
            places.extend(new.map(|hop| (hop, of)).collect::<Vec<_>>());
        }
        found.extend(places.into_iter().take(TARGETS).map(|(hop, of)| (index, hop, of)));
    }
    (lines, found)
}

/// A target as it is told: `10.99.0.2:5060 udp`.
pub(super) fn hop(hop: Hop) -> String {
    format!("{} {}", hop.peer, hop.transport)
}

fn named(u: &Upstream, sought: &Sought) -> Vec<Line> {
    let check = Check::Names;
    let name = &u.name;
    let places: Vec<String> = sought.places.iter().map(|p| hop(*p)).collect();
    let places = places.join(", ");
    if !u.targets.iter().any(|t| t.name().is_some()) {
        return vec![Line::ok(check, format!("{name}: {places}, no name to look up"))];
    }
    let asked: Vec<String> = sought.asked.iter().map(|(q, said)| format!("{q}: {said}")).collect();
    let asked = asked.join("; ");
    let mut lines = Vec::new();
    if places.is_empty() && sought.refused.is_empty() {
        let known = sought.asked.iter().any(|(_, said)| said == "none");
        let todo = if known {
            "is it spelled as the provider spells it (`address` of the upstream)?"
        } else {
            "is the DNS server of /etc/resolv.conf right, and does it answer this machine?"
        };
        lines.push(Line::todo(check, format!("{name}: found nowhere ({asked})"), todo));
    } else if !places.is_empty() {
        lines.push(Line::ok(check, format!("{name}: {places} ({asked})")));
    }
    lines.extend(sought.refused.iter().map(|(place, why)| {
        let todo =
            "it is never called there: does DNS answer as it does for the provider's others?";
        Line::todo(check, format!("{name}: {} is {why}", place.peer), todo)
    }));
    lines
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;
    use crate::config::{Environment, Target};
    use crate::engine::names::Question;
    use crate::ground::Transport;

    #[test]
    fn what_was_asked_is_told_with_what_came_of_it() {
        let edge = include_str!("../../../configs/minimal.toml");
        let mut u = Config::parse("x", edge, &Environment::default()).unwrap().upstreams.remove(0);
        let place = Hop { peer: "198.51.100.2:5060".parse().unwrap(), transport: Transport::Udp };
        let fixed = named(&u, &Sought { places: vec![place], ..Sought::default() });
        assert!(fixed[0].what.ends_with("198.51.100.2:5060 udp, no name to look up"));
        u.targets = vec![Target::parse("sip.test:5060").unwrap()];
        let asked = |said: &str| vec![(Question::Hosts("sip.test".to_owned()), said.to_owned())];
        let told = |places, asked| {
            let sought = Sought { places, asked, refused: vec![] };
            named(&u, &sought).remove(0)
        };
        let good = told(vec![place], asked("1 record"));
        assert_eq!(good.verdict, Verdict::Ok);
        assert!(good.what.ends_with("(A/AAAA sip.test: 1 record)"), "{}", good.what);
        let none = told(vec![], asked("none"));
        assert!(none.verdict == Verdict::Todo && none.todo.contains("spelled"), "{}", none.todo);
        assert!(told(vec![], asked("nobody answers")).todo.contains("resolv.conf"));
        let lie =
            Sought { refused: vec![(place, "an inside address".to_owned())], ..Sought::default() };
        let lie = named(&u, &lie);
        assert_eq!((lie.len(), lie[0].verdict), (1, Verdict::Todo));
        assert!(lie[0].what.ends_with("198.51.100.2:5060 is an inside address"));
    }
}
