//! What may change while the gateway runs: every key says when its new value takes effect. A new
//! configuration follows the running one with the values that need a restart kept. It changes
//! nothing itself.

mod interfaces;

mod limits;

use super::{
    Audit, Bans, Config, Log, Media, Numbers, Policy, Registrar, Site, Survive, Target, Timers,
    Upstream,
};
use interfaces::interfaces;
use serde::Serialize;

/// Keys whose values changed, by when the new ones count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// At once; calls under way keep their verdict.
    pub now: Vec<String>,
    /// For new calls and registrations.
    pub new_calls: Vec<String>,
    /// After a restart; the old values hold until then.
    pub restart: Vec<String>,
}

impl Changes {
    /// Nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.now.is_empty() && self.new_calls.is_empty() && self.restart.is_empty()
    }

    fn now<T: PartialEq>(&mut self, key: &str, old: &T, new: &T) {
        if old != new {
            self.now.push(key.to_owned());
        }
    }

    fn later<T: PartialEq>(&mut self, key: &str, old: &T, new: &T) {
        if old != new {
            self.new_calls.push(key.to_owned());
        }
    }

    fn keep<T: PartialEq + Clone>(&mut self, key: &str, old: &T, new: &mut T) {
        if old != new {
            self.restart.push(key.to_owned());
            new.clone_from(old);
        }
    }
}

impl Config {
    /// `self` as far as it may follow `running` without a restart, and what differs.
    #[must_use]
    pub fn following(mut self, running: &Self) -> (Self, Changes) {
        let mut changes = Changes::default();
        let c = &mut changes;
        interfaces(c, running, &mut self);
        upstreams(c, running, &mut self);
        // Whole: a new section must say here when it takes effect.
        let Self {
            site: s,
            interfaces: _,
            upstreams: _,
            registrar: r,
            media: m,
            limits: l,
            bans: b,
            timers: t,
            numbers: n,
            policy: p,
            hide: h,
            survive: v,
            audit: a,
            state_dir,
            http,
            page,
            control,
            log: g,
            drain,
            hash: _,
        } = &mut self;
        site(c, &running.site, s);
        registrar(c, &running.registrar, r);
        limits::limits(c, running, l, m.ports);
        media(c, &running.media, m);
        bans(c, &running.bans, b);
        timers(c, &running.timers, t);
        numbers(c, &running.numbers, n);
        policy(c, &running.policy, p);
        c.now("hide.user_agent", &running.hide.user_agent, &h.user_agent);
        survive(c, &running.survive, v);
        audit(c, &running.audit, a);
        c.keep("state.dir", &running.state_dir, state_dir);
        c.keep("http.listen", &running.http, http);
        c.keep("http.page", &running.page, page);
        c.keep("control.socket", &running.control, control);
        log(c, &running.log, g);
        c.now("drain", &running.drain, drain);
        (self, changes)
    }
}

fn site(c: &mut Changes, old: &Site, new: &mut Site) {
    let Site { name, domain, timezone, inside_domains } = new;
    c.keep("site.name", &old.name, name);
    c.now("site.domain", &old.domain, domain);
    c.now("site.timezone", &old.timezone, timezone);
    c.now("site.inside_domains", &old.inside_domains, inside_domains);
}

fn upstreams(c: &mut Changes, old: &Config, new: &mut Config) {
    if old.is_site() != new.is_site() {
        // Being the site's own phone system or standing in front of one decides too much else.
        c.keep("upstream", &old.upstreams, &mut new.upstreams);
        return;
    }
    for was in &old.upstreams {
        if !new.upstreams.iter().any(|u| u.name == was.name) {
            c.new_calls.push(format!("upstream.{} (removed)", was.name));
        }
    }
    for is in &new.upstreams {
        let Upstream {
            name,
            targets,
            domain,
            domains,
            numbers,
            sources,
            tls_subject,
            interface,
            trust,
            probe,
            tls,
        } = is;
        let Some(was) = old.upstreams.iter().find(|u| u.name == *name) else {
            c.new_calls.push(format!("upstream.{name} (added)"));
            continue;
        };
        let key = |k: &str| format!("upstream.{name}.{k}");
        let places = |all: &[Target]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
        let other = if places(&was.targets) == places(targets) { "transport" } else { "address" };
        c.later(&key(other), &was.targets, targets);
        c.later(&key("domain"), &was.domain, domain);
        c.later(&key("domains"), &was.domains, domains);
        c.later(&key("numbers"), &was.numbers, numbers);
        c.later(&key("interface"), &was.interface, interface);
        c.later(&key("tls"), &was.tls, tls);
        c.now(&key("sources"), &was.sources, sources);
        c.now(&key("tls_subject"), &was.tls_subject, tls_subject);
        c.now(&key("trust"), &was.trust, trust);
        c.now(&key("probe"), &was.probe, probe);
    }
    let both = |all: &[Upstream], other: &[Upstream]| -> Vec<String> {
        let names = all.iter().map(|u| u.name.clone());
        names.filter(|n| other.iter().any(|u| u.name == *n)).collect()
    };
    let order = [both(&old.upstreams, &new.upstreams), both(&new.upstreams, &old.upstreams)];
    c.later("upstream (order)", &order[0], &order[1]);
}

fn registrar(c: &mut Changes, old: &Registrar, new: &mut Registrar) {
    let Registrar { mode, realm, min_expires, max_expires, users_file, password_file, digest } =
        new;
    c.keep("registrar.mode", &old.mode, mode);
    // Nonces and addresses of record are made with it.
    c.keep("registrar.realm", &old.realm, realm);
    c.later("registrar.min_expires", &old.min_expires, min_expires);
    c.later("registrar.max_expires", &old.max_expires, max_expires);
    c.now("registrar.users", &old.users_file, users_file);
    c.now("registrar.password_file", &old.password_file, password_file);
    c.now("registrar.digest", &old.digest, digest);
}

fn media(c: &mut Changes, old: &Media, new: &mut Media) {
    let Media { ports, idle, quarantine, workers } = new;
    c.keep("media.ports", &old.ports, ports);
    c.later("media.idle", &old.idle, idle);
    c.keep("media.quarantine", &old.quarantine, quarantine);
    c.keep("media.workers", &old.workers, workers);
}

fn bans(c: &mut Changes, old: &Bans, new: &Bans) {
    let Bans { enabled, threshold, ttl, never, agents } = new;
    c.now("bans.enabled", &old.enabled, enabled);
    c.now("bans.threshold", &old.threshold, threshold);
    c.now("bans.ttl", &old.ttl, ttl);
    c.now("bans.never", &old.never, never);
    c.now("bans.agents", &old.agents, agents);
}

fn timers(c: &mut Changes, old: &Timers, new: &Timers) {
    let Timers { t1, t2, t4, c: timer_c, next_target } = new;
    c.later("timers.t1", &old.t1, t1);
    c.later("timers.t2", &old.t2, t2);
    c.later("timers.t4", &old.t4, t4);
    c.later("timers.c", &old.c, timer_c);
    c.later("timers.next_target", &old.next_target, next_target);
}

fn numbers(c: &mut Changes, old: &Numbers, new: &Numbers) {
    let Numbers { outside_line, international_prefixes, national_prefix, country } = new;
    c.now("numbers.outside_line", &old.outside_line, outside_line);
    let key = "numbers.international_prefixes";
    c.now(key, &old.international_prefixes, international_prefixes);
    c.now("numbers.national_prefix", &old.national_prefix, national_prefix);
    c.now("numbers.country", &old.country, country);
}

fn policy(c: &mut Changes, old: &Policy, new: &Policy) {
    let Policy {
        default,
        emergency,
        emergency_target,
        emergency_upstream,
        unknown_bodies,
        remote_control,
        rules,
        tests,
    } = new;
    c.now("policy.default", &old.default, default);
    c.now("policy.emergency", &old.emergency, emergency);
    c.now("emergency.target", &old.emergency_target, emergency_target);
    c.now("emergency.upstream", &old.emergency_upstream, emergency_upstream);
    c.now("policy.unknown_bodies", &old.unknown_bodies, unknown_bodies);
    c.now("policy.remote_control", &old.remote_control, remote_control);
    c.now("rule", &old.rules, rules);
    // Where a test stands in the file is not what it says.
    let said = |all: &[super::RuleTest]| -> Vec<_> {
        all.iter().map(|t| (t.event.clone(), t.expect.clone())).collect()
    };
    c.now("rule_test", &said(&old.tests), &said(tests));
}

fn survive(c: &mut Changes, old: &Survive, new: &Survive) {
    let Survive { auth, users_file, after, hold } = new;
    c.now("survive.auth", &old.auth, auth);
    c.now("survive.users", &old.users_file, users_file);
    c.now("survive.after", &old.after, after);
    c.now("survive.hold", &old.hold, hold);
}

fn audit(c: &mut Changes, old: &Audit, new: &mut Audit) {
    let Audit { dir, refuse_when_full } = new;
    c.keep("audit.dir", &old.dir, dir);
    c.now("audit.on_full", &old.refuse_when_full, refuse_when_full);
}

fn log(c: &mut Changes, old: &Log, new: &mut Log) {
    let Log { level, format } = new;
    c.now("log.level", &old.level, level);
    c.keep("log.format", &old.format, format);
}

#[cfg(test)]
mod tests;
