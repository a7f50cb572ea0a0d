//! `[bans]`: off until named. What counts as guilt, and back-off, need no section.

use super::parse::section;
use super::reader::{Section, Source};
use ipnet::IpNet;
use std::time::Duration;

/// Marks of further scanners, at most.
const AGENTS: usize = 64;
/// Shortest mark: what is shorter stands in honest names, too.
const SHORTEST: usize = 4;
/// Networks that are never banned, at most.
const NETWORKS: usize = 256;

/// `[bans]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bans {
    /// Sources that reach `threshold` are banned.
    pub enabled: bool,
    /// Points of guilt that ban; half of them are forgiven every ten minutes.
    pub threshold: u32,
    /// How long a ban lasts.
    pub ttl: Duration,
    /// Networks that are never banned, besides those of upstreams and phones.
    pub never: Vec<IpNet>,
    /// Parts of the User-Agent of scanners, besides the built-in ones; in small letters.
    pub agents: Vec<String>,
}

impl Default for Bans {
    fn default() -> Self {
        Self {
            enabled: false,
            threshold: 100,
            ttl: Duration::from_secs(3_600),
            never: Vec::new(),
            agents: Vec::new(),
        }
    }
}

pub(super) fn bans(top: &mut Section<'_, '_>, src: &mut Source<'_>) -> Bans {
    let mut b = Bans::default();
    section(top, "bans", "[bans]", src, |s, src| {
        b.enabled = s.boolean("enabled", src).unwrap_or(b.enabled);
        if let Some(n) = s.number("threshold", 10..=100_000, src) {
            b.threshold = u32::try_from(n).unwrap_or(b.threshold);
        }
        if let Some(ttl) = s.duration("ttl", src) {
            if ttl < Duration::from_secs(60) || ttl > Duration::from_secs(30 * 86_400) {
                let hint = Some("such as \"1h\"".to_owned());
                let what = "`ttl` must be between 1 minute and 30 days";
                src.fault("bans", s.span_of("ttl"), what, hint);
            }
            b.ttl = ttl;
        }
        b.never = s.networks("never", src);
        b.agents = s.list("agents", src);
        b.agents.iter_mut().for_each(|a| *a = a.trim().to_ascii_lowercase());
        if b.agents.len() > AGENTS || b.agents.iter().any(|a| a.len() < SHORTEST) {
            let what = format!("`agents` are at most {AGENTS} marks of {SHORTEST} letters or more");
            let hint = Some("a part of the scanner's User-Agent, as \"sipcli\"".to_owned());
            src.fault("bans", s.span_of("agents"), what, hint);
        }
        if b.never.len() > NETWORKS {
            let what = format!("`never` names more than {NETWORKS} networks");
            src.fault("bans", s.span_of("never"), what, None);
        }
    });
    b
}
