//! What needs a hand, from the figures of this moment: the same that `status` would say and that
//! the alerts of docs/ALERTS.md watch. It judges figures, and calls nobody.

use crate::daemon::Report;
use crate::engine::Health;
use crate::ground::clock;

/// Days before the end of a certificate from which it is told.
const RENEW: i64 = 21;

/// One thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Alert {
    /// Something does not work now.
    pub(super) alarm: bool,
    pub(super) what: String,
    pub(super) todo: String,
}

fn alarm(what: impl Into<String>, todo: &str) -> Alert {
    Alert { alarm: true, what: what.into(), todo: todo.to_owned() }
}

fn note(what: impl Into<String>, todo: &str) -> Alert {
    Alert { alarm: false, what: what.into(), todo: todo.to_owned() }
}

/// All of them, alarms first.
pub(super) fn alerts(r: &Report) -> Vec<Alert> {
    if r.standing.is_still() {
        return vec![alarm(
            format!("The event loop has stood still for {} s.", r.standing.age.as_secs()),
            "No call is served: restart the gateway. What stands here is how it was then.",
        )];
    }
    let mut all = upstreams(r);
    all.extend(machine(r));
    all.extend(certificates(r));
    if r.stats.now.draining {
        let left = r.drain_left.map_or(0, |d| d.as_secs());
        let what = format!("Draining: calls are hung up in {}.", clock(left));
        all.push(note(what, "New calls are refused until it is started again."));
    }
    if r.reloads.refused {
        all.push(alarm("The last reload was refused.", "`portreeve reload` says why."));
    }
    if !r.reloads.pending.is_empty() {
        let what = format!("Waits for a restart: {}.", r.reloads.pending.join(", "));
        all.push(note(what, "The values of before are in force."));
    }
    if r.stats.now.bans > 0 {
        let what = format!("{} sources are banned.", r.stats.now.bans);
        all.push(note(what, "`portreeve bans` says why."));
    }
    let [invites, others] = r.stats.silenced;
    if invites > 0 {
        let what = format!("Strangers got no answer: {invites} INVITEs, {others} others.");
        all.push(note(what, "Is one of them your provider? The log names addresses and the key."));
    }
    all.extend(r.doubts.iter().map(|d| note(d.clone(), "")));
    all.sort_by_key(|a| !a.alarm);
    all
}

fn upstreams(r: &Report) -> Vec<Alert> {
    let mut all = Vec::new();
    for u in &r.stats.upstreams {
        if u.health == Health::Down {
            let what = format!("Upstream {} is down: {}.", u.name, u.why);
            all.push(alarm(what, "Calls to it fail, or go another way."));
        }
        if let Some(since) = u.alone {
            let what = format!("The site is alone for {}.", clock(since.elapsed(r.now).as_secs()));
            all.push(alarm(what, "Registered phones call each other until it is back."));
        }
        if let Some(ip) = u.seen_as {
            let what = format!("Upstream {} sees us as {ip}.", u.name);
            all.push(note(what, "That is not what is advertised."));
        }
    }
    let down = r.tunnels.iter().filter(|t| t.bearer.is_none());
    all.extend(down.map(|t| {
        alarm(format!("Tunnel {} is down: {}.", t.name, t.why), "It is tried again and again.")
    }));
    all
}

fn machine(r: &Report) -> Vec<Alert> {
    let mut all = Vec::new();
    for ip in &r.lost_addresses {
        let what = format!("{ip} is gone from this machine.");
        all.push(alarm(what, "Nobody reaches the gateway there."));
    }
    let [_, failures, _, full] = r.audit;
    if full == 1 {
        let todo = "Free space on its volume; new calls may be refused (audit.on_full).";
        all.push(alarm("The audit log takes no records.", todo));
    } else if failures > 0 {
        let what = format!("{failures} writes of the audit log failed since the start.");
        all.push(note(what, "Look at its volume."));
    }
    if r.state.failing {
        let todo = "Changes of registrations wait in memory: look at its disk.";
        all.push(alarm("The state folder's volume takes nothing.", todo));
    }
    if r.log_lines_lost > 0 {
        let what = format!("{} log lines were lost.", r.log_lines_lost);
        all.push(note(what, "Whoever reads the log reads too slowly."));
    }
    if r.loopback_only {
        let todo = "It stands on loopback alone: no phone of another machine reaches it.";
        all.push(note("For this machine only.", todo));
    }
    all
}

fn certificates(r: &Report) -> Vec<Alert> {
    let now = r.now.wall.seconds();
    let one = |c: &crate::engine::stats::CertificateView| {
        let days = c.days(now);
        (days < 0)
            .then(|| alarm(format!("The certificate of {} has ended.", c.name), "Renew it."))
            .or_else(|| {
                let what = format!("The certificate of {} ends in {days} days.", c.name);
                (days < RENEW).then(|| note(what, "Renew it."))
            })
    };
    r.stats.certificates.iter().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::{STILL, Standing};
    use std::time::Duration;

    #[test]
    fn nothing_is_told_when_all_is_well_and_nothing_else_of_a_loop_that_stands_still() {
        assert_eq!(alerts(&Report::default()), Vec::new());
        let report = Report {
            standing: Standing { age: STILL + Duration::from_secs(4) },
            doubts: vec!["x".to_owned()],
            ..Report::default()
        };
        let told = alerts(&report);
        assert!(told.len() == 1 && told.iter().all(|a| a.alarm && a.what.contains("7 s")));
    }

    #[test]
    fn what_does_not_work_comes_first_and_says_what_to_do() {
        let report = Report {
            doubts: vec!["a doubt".to_owned()],
            audit: [5, 0, 0, 1],
            lost_addresses: vec!["192.0.2.7".parse().unwrap()],
            ..Report::default()
        };
        let told = alerts(&report);
        let what: Vec<_> = told.iter().map(|a| (a.alarm, a.what.as_str())).collect();
        let gone = (true, "192.0.2.7 is gone from this machine.");
        let full = (true, "The audit log takes no records.");
        assert_eq!(what, [gone, full, (false, "a doubt")]);
        assert!(told.iter().filter(|a| a.alarm).all(|a| !a.todo.is_empty()));
    }
}
