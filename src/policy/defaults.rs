//! What stands behind a file's own rules. `site`: emergency numbers; registered phones to
//! the upstream and to each other; the upstream to bindings; no commands to phones; nothing else.
//! `deny`: nothing at all.

use super::{Action, Facts, Target, Verdict};
use crate::config::{Allow, Config, DefaultPolicy};
use crate::ground::Side;
use std::sync::Arc;

#[derive(Clone, Debug)]
pub(super) struct Defaults {
    policy: DefaultPolicy,
    /// Emergency calls pass every cap.
    bypass: Arc<Allow>,
    plain: Arc<Allow>,
    names: [Arc<str>; 7],
    reasons: [Arc<str>; 4],
}

/// Index into `names`.
#[derive(Clone, Copy)]
enum Default {
    Emergency,
    Phones,
    Upstream,
    Gateway,
    Allow,
    Deny,
    RemoteControl,
}

impl Defaults {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            policy: config.policy.default,
            bypass: Arc::new(Allow { bypass_limits: true, ..Allow::default() }),
            plain: Arc::new(Allow::default()),
            names: [
                "default:emergency".into(),
                "default:phones".into(),
                "default:upstream".into(),
                "default:gateway".into(),
                "default:allow".into(),
                "default:deny".into(),
                "default:remote-control".into(),
            ],
            reasons: [
                "Register First".into(),
                "Not A Known Upstream".into(),
                "Denied".into(),
                "Remote Control Not Allowed".into(),
            ],
        }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = Arc<str>> + '_ {
        self.names.iter().cloned()
    }

    pub(super) fn evaluate(&self, f: &Facts<'_>) -> Verdict {
        match self.policy {
            DefaultPolicy::Allow | DefaultPolicy::Site if f.is_emergency() => {
                self.allow(Default::Emergency, &self.bypass)
            }
            DefaultPolicy::Allow => self.allow(Default::Allow, &self.plain),
            DefaultPolicy::Deny => self.deny(Default::Deny, 2),
            DefaultPolicy::Site => self.site(f),
        }
    }

    fn site(&self, f: &Facts<'_>) -> Verdict {
        let gateway = f.target == Target::Gateway || f.method == "REGISTER";
        match f.side {
            Side::Inside if gateway => self.allow(Default::Gateway, &self.plain),
            Side::Inside if f.user.is_some() && f.commands => self.deny(Default::RemoteControl, 3),
            Side::Inside if f.user.is_some() => self.allow(Default::Phones, &self.plain),
            Side::Inside => self.deny(Default::Deny, 0),
            Side::Outside if f.upstream.is_some() && f.commands => {
                self.deny(Default::RemoteControl, 3)
            }
            Side::Outside if f.upstream.is_some() && f.method != "REGISTER" => {
                self.allow(Default::Upstream, &self.plain)
            }
            Side::Outside => self.deny(Default::Deny, 1),
        }
    }

    fn name(&self, which: Default) -> Arc<str> {
        self.names.get(which as usize).cloned().unwrap_or_else(|| "default:deny".into())
    }

    fn allow(&self, which: Default, allow: &Arc<Allow>) -> Verdict {
        Verdict { rule: self.name(which), action: Action::Allow(allow.clone()) }
    }

    fn deny(&self, which: Default, reason: usize) -> Verdict {
        let reason = self.reasons.get(reason).cloned().unwrap_or_else(|| "Denied".into());
        Verdict { rule: self.name(which), action: Action::Deny { code: 403, reason } }
    }
}
