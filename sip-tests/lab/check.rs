//! What must hold after every step, whatever the script does.

mod secure;
mod told;

use super::{Lab, Msg, message, site, sweep};
use portreeve::audit::Record;
use portreeve::audit::Ruling;
use portreeve::engine::stats::AloneResult;
use portreeve::engine::{Key, Stats, loose_ends};
use portreeve::ground::{Flow, Mono};
use portreeve::policy::quota::Resource;
use secure::Secure;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use told::Told;

/// A transaction at somebody's end: whom the answer goes to, branch, CSeq and Call-ID.
type Transaction = (SocketAddr, String, String);

/// A request that waits for its final answer: Call-ID, branch, CSeq.
type Asked = (String, String, String);

/// What was sent so far, as far as a later step can be wrong about it.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    /// Final answers by transaction: status and To tag.
    finals: BTreeMap<Transaction, BTreeSet<(u16, String)>>,
    /// Requests that have a transaction and no final answer: since when, or since what news.
    waiting: BTreeMap<Asked, Mono>,
    /// Look at counters only every so many steps.
    pub(crate) every: usize,
    /// Remember no answers: long runs.
    pub(crate) forgetful: bool,
    /// Every request outside a dialog that is sent on needs a verdict of the same step.
    pub(crate) judged: bool,
    /// Emergency calls that were made: they go beyond what tables hold.
    pub(crate) cries: u64,
    secure: Secure,
    pub(crate) told: Told,
    /// Hosts that anything may be sent to; none: all.
    pub(crate) allowed: BTreeSet<IpAddr>,
    verdicts: Verdicts,
    /// Live server transactions after the last step that was looked at.
    transactions: u64,
    before: Before,
    steps: usize,
}

/// Requests outside dialogs, and what policy said.
#[derive(Debug, Default)]
struct Verdicts {
    /// Those that were sent on, by Call-ID, and by CSeq where no dialog may be.
    sent_on: BTreeSet<(String, String)>,
    /// Of these, new in this step.
    fresh: Vec<(String, String)>,
    /// Those that came when policy allowed something, by Call-ID: they may be led anew.
    let_in: BTreeSet<String>,
    /// What came in this step.
    came: Option<String>,
    /// How often policy has allowed something.
    allowed: u64,
    /// How often a site that is alone has sent something on.
    alone: u64,
}

impl Verdicts {
    fn sent(&mut self, msg: &Msg) {
        let within = msg.all("To").iter().any(|to| message::param(to, "tag").is_some());
        // The gateway's own BYE ends what policy let begin, its OPTIONS asks who is there.
        let own = matches!(msg.method(), "BYE" | "OPTIONS") && msg.branch().ends_with(".own");
        if within || own || !msg.is_request() || matches!(msg.method(), "ACK" | "CANCEL") {
            return;
        }
        // Where a party wrote no tag (RFC 2543) these belong to the dialog of their Call-ID.
        let untagged = ["INVITE", "BYE", "INFO", "UPDATE", "PRACK", "NOTIFY"];
        let cseq = if untagged.contains(&msg.method()) { "" } else { msg.header("CSeq") };
        let one = (msg.call_id().to_owned(), cseq.to_owned());
        if self.sent_on.insert(one) {
            self.fresh.push((msg.call_id().to_owned(), msg.to_string()));
        }
    }

    fn after_step(&mut self, [allowed, alone]: [u64; 2]) {
        let judged = allowed - std::mem::replace(&mut self.allowed, allowed);
        let led = alone - std::mem::replace(&mut self.alone, alone);
        let came = self.came.take().filter(|_| judged > 0);
        let mut fresh = std::mem::take(&mut self.fresh);
        // What waited for who does not answer goes another way: it was judged when it came.
        if led > 0 {
            fresh.retain(|(call_id, _)| !self.let_in.contains(call_id));
        }
        self.let_in.extend(came);
        let text: Vec<String> = fresh.into_iter().map(|(_, text)| text).collect();
        let sent = text.len() as u64;
        assert!(sent <= judged, "policy let {judged} pass, sent on were {}", text.join("\n"));
    }
}

impl Checks {
    /// A message is about to be given to the gateway: the request it is, if it is a new one.
    pub(crate) fn received(&mut self, bytes: &[u8], now: Mono) -> Option<Asked> {
        self.steps += 1;
        self.secure.came(bytes);
        if self.judged {
            self.verdicts.came = asked(bytes).map(|(call_id, ..)| call_id);
        }
        let asked = asked(bytes).filter(|a| self.every <= 1 && !self.waiting.contains_key(a))?;
        self.waiting.insert(asked.clone(), now);
        Some(asked)
    }

    pub(crate) fn transactions(&self) -> u64 {
        self.transactions
    }

    /// It got no transaction: nothing need answer it, and what does may be otherwise next time.
    pub(crate) fn not_taken(&mut self, asked: &Asked, by: SocketAddr) {
        self.waiting.remove(asked);
        let (call_id, branch, cseq) = asked;
        self.finals.remove(&(by, branch.clone(), format!("{cseq} {call_id}")));
    }

    /// Nothing is sent across the gate to the wrong side, to ourselves, or to a host that nobody is.
    pub(crate) fn goes_where_it_may(&self, flow: &Flow, bytes: &[u8], leaves: bool) {
        if self.allowed.is_empty() {
            return;
        }
        let (ip, text) = (flow.peer.ip(), String::from_utf8_lossy(bytes));
        assert!(self.allowed.contains(&ip), "to {ip}, which nobody is:\n{text}");
        assert_ne!(site::is_inside(ip), leaves, "to {ip} on the wrong side:\n{text}");
    }

    /// The gateway begins anew: what it owed nobody gets.
    pub(crate) fn crashed(&mut self) {
        self.finals.clear();
        self.waiting.clear();
        (self.verdicts.allowed, self.verdicts.alone) = (0, 0);
        (self.before, self.transactions) = (Before::default(), 0);
    }

    /// `secrets`: of what leaves the site.
    pub(crate) fn sent(&mut self, secrets: &[&str], msg: &Msg, now: Mono) {
        if !msg.is_request() {
            self.answered(msg, now);
        }
        no_secret_leaves(secrets, msg);
        self.secure.stays(msg);
        if self.judged {
            self.verdicts.sent(msg);
        }
        if !self.forgetful {
            self.one_final(msg);
        }
    }

    /// The same by a socket that is not there: what asks has its answer, or news, all the same.
    pub(crate) fn unsent(&mut self, flow: &Flow, bytes: &[u8], now: Mono) {
        if bytes.starts_with(b"SIP/2.0 ") {
            self.answered(&Msg::read(*flow, bytes), now);
        }
    }

    fn answered(&mut self, msg: &Msg, now: Mono) {
        let first = |name: &str| msg.all(name).first().copied().unwrap_or_default().to_owned();
        let via = first("Via");
        let branch = message::param(&via, "branch").unwrap_or_default().to_owned();
        let asked = (first("Call-ID"), branch, first("CSeq"));
        if msg.status() >= 200 {
            self.waiting.remove(&asked);
        } else if let Some(since) = self.waiting.get_mut(&asked) {
            *since = now;
        }
    }

    /// One final answer a transaction; only 2xx of forked INVITEs may be several, one a tag.
    fn one_final(&mut self, msg: &Msg) {
        if msg.status() < 200 {
            return;
        }
        // A refusal of the unreadable may have nothing to echo.
        let first = |name| msg.all(name).first().copied().unwrap_or_default();
        let which = format!("{} {}", first("CSeq"), first("Call-ID"));
        let at = (msg.flow.peer, msg.branch().to_owned(), which);
        let to = first("To");
        let tag = message::param(to, "tag").unwrap_or_default().to_owned();
        let finals = self.finals.entry(at).or_default();
        finals.insert((msg.status(), tag));
        let success = finals.iter().all(|(status, _)| (200..300).contains(status));
        let invite = msg.header("CSeq").ends_with(" INVITE");
        assert!(finals.len() == 1 || success && invite, "two final answers: {finals:?}\n{msg}");
    }
}

/// Reads as little of a request as names its transaction.
fn asked(bytes: &[u8]) -> Option<Asked> {
    let text = String::from_utf8_lossy(bytes);
    let head = text.split("\r\n\r\n").next()?;
    let via = row(head, ["via", "v"])?;
    let branch = message::param(via.split(',').next()?, "branch")?.to_owned();
    let cseq = row(head, ["cseq", "cseq"])?;
    let request = !head.starts_with("SIP/2.0") && !cseq.ends_with("ACK");
    request.then_some((row(head, ["call-id", "i"])?, branch, cseq))
}

/// The first row of either name.
fn row(head: &str, names: [&str; 2]) -> Option<String> {
    let row = head.lines().filter_map(|l| l.split_once(':'));
    let mut row = row.filter(|(n, _)| names.iter().any(|m| n.trim().eq_ignore_ascii_case(m)));
    row.next().map(|(_, value)| value.trim().to_owned())
}

/// Every server transaction ends in bounded time: an INVITE by timer C and the wait for a cancelled
/// branch, counted from its last provisional answer (RFC 3261 §16.7, §16.8), of the last target that
/// is asked, all others by timer F.
fn all_end(lab: &Lab) {
    let timers = &lab.config.timers;
    let plain = timers.t1 * 64 + Duration::from_secs(1);
    for (asked, since) in &lab.checks.waiting {
        let bound = if asked.2.ends_with("INVITE") { timers.c + plain * 2 } else { plain };
        let waits = lab.now.mono.since(*since);
        assert!(waits <= bound, "{asked:?} waits for an answer since {waits:?}");
    }
}

/// Outside sees nothing of the inside. (The digest's own `uri=` is the one documented exception.)
fn no_secret_leaves(secrets: &[&str], msg: &Msg) {
    if secrets.is_empty() {
        return;
    }
    let shown = |name: &str| !matches!(name, "Authorization" | "Proxy-Authorization");
    let rows = msg.rows.iter().filter(|(name, _)| shown(name));
    let texts = std::iter::once(&msg.start).chain(rows.map(|(_, v)| v)).chain([&msg.body]);
    for text in texts {
        let found = sweep::named(text.as_bytes(), secrets);
        assert_eq!(found, None, "it leaves in {text:?} of\n{msg}");
    }
}

/// No packet can come back to a stream that it has left: from every leg, the way by our own ports
/// ends.
fn nothing_circles(lab: &Lab) {
    let streams = &lab.relay.open;
    let legs = streams.iter().flat_map(|(id, s)| [0, 1].map(|leg| (*id, leg, s.legs[leg])));
    let ours: HashMap<SocketAddr, _> =
        legs.map(|(id, leg, c)| ((c.bind, c.port).into(), (id, leg))).collect();
    let even = |at: SocketAddr| SocketAddr::new(at.ip(), at.port() & !1);
    for (id, s) in streams {
        for leg in [0, 1] {
            let mut to = s.legs[leg].party.rtp;
            for _ in 0..=streams.len() {
                let Some((next, came)) = to.and_then(|at| ours.get(&even(at))) else { break };
                assert_ne!((*next, *came), (*id, leg), "{id:?} hears itself: {streams:?}");
                let left: usize = 1 - came;
                assert_ne!((*next, left), (*id, leg), "{id:?} circles: {streams:?}");
                to = streams[next].legs[left].party.rtp;
            }
        }
    }
}

/// How it was a step before.
#[derive(Debug, Default)]
struct Before {
    counters: Vec<u64>,
    used: Vec<u64>,
}

/// Counters only grow, and none has run below zero.
fn counters_only_grow(before: &mut Before, stats: &Stats) {
    let now = counters(stats);
    assert!(now.iter().all(|n| *n < 1 << 40), "a counter below zero: {stats:?}");
    let grown = before.counters.iter().zip(&now).all(|(was, is)| was <= is);
    assert!(grown, "a counter is less than it was: {stats:?}");
    before.counters = now;
}

fn counters(s: &Stats) -> Vec<u64> {
    let mut all: Vec<u64> = Vec::new();
    all.extend(s.requests.as_flattened());
    all.extend(s.responses.as_flattened());
    all.extend(s.rejected.as_flattened());
    all.extend(s.retransmissions.as_flattened());
    all.extend(s.calls.as_flattened());
    all.extend(s.timeouts);
    all.extend(s.call_ends);
    all.extend(s.registrations);
    all.push(s.decisions.values().flatten().sum());
    all.extend(s.findings);
    all.extend(s.security);
    all.extend(s.silenced);
    all.extend(s.signals);
    all.extend([s.ports_exhausted, s.emergency_unrouted, s.bans, s.banned, s.back_offs]);
    all.extend([s.unheard, s.slowed]);
    all.extend(s.shares.as_flattened().iter().flat_map(|c| [c.refused, c.displaced]));
    all
}

/// No table grows beyond its places; where a new file has fewer, those that are taken stay.
fn tables_keep_to_their_places(before: &mut Before, stats: &Stats, cries: u64) {
    let places = stats.now.places;
    for (n, p) in places.iter().enumerate() {
        let was = before.used.get(n).copied().unwrap_or_default();
        // A call for help is one too many for nobody: of dialogs and ports it has its reserve.
        let beyond = if Resource::ALL[n] == Resource::Calls { cries } else { 0 };
        let most = p.total + beyond;
        assert!(p.used <= most || p.used <= was, "{:?} holds {p:?}", Resource::ALL[n]);
    }
    before.used = places.iter().map(|p| p.used).collect();
    assert!(stats.now.dialogs <= 1 << 40 && stats.now.registrations <= 1 << 40, "{:?}", stats.now);
}

/// After every step: the ports in use are those of the open streams.
pub(crate) fn after_step(lab: &mut Lab) {
    lab.checks.secure.step_is_over();
    let every = lab.checks.every.max(1);
    lab.checks.steps += 1;
    let looked_at = lab.checks.steps.is_multiple_of(every);
    if !looked_at && !lab.checks.judged {
        return;
    }
    let stats = lab.stats();
    lab.checks.transactions = stats.now.transactions.iter().sum();
    if lab.checks.judged {
        let allowed = stats.decisions.values().map(|[allowed, _]| allowed).sum();
        let led = [AloneResult::Call, AloneResult::Request, AloneResult::Emergency];
        let alone = led.iter().map(|r| stats.alone[*r as usize]).sum();
        lab.checks.verdicts.after_step([allowed, alone]);
    }
    if !looked_at {
        return;
    }
    all_end(lab);
    nothing_circles(lab);
    counters_only_grow(&mut lab.checks.before, &stats);
    if !lab.checks.allowed.is_empty() {
        let cries = lab.checks.cries;
        tables_keep_to_their_places(&mut lab.checks.before, &stats, cries);
    }
    assert_eq!(loose_ends(&lab.engine), Vec::<String>::new(), "what nothing ends");
    let used: usize = stats.now.ports.iter().map(|p| p.used).sum();
    assert_eq!(used, lab.relay.open.len() * 4, "ports in use, four a stream");
    assert_eq!(stats.now.streams, lab.relay.open.len() as u64, "streams of engine and relay");
    ports_add_up(lab);
    let (rows, _) = lab.engine.calls(lab.now);
    let calls: Vec<_> = rows.into_iter().map(|r| r.view).collect();
    let shown: Vec<_> = lab.shown.values().cloned().collect();
    assert_eq!(calls, shown, "readers see the calls that there are, as they are");
    for b in lab.engine.bindings(lab.now) {
        assert_eq!(lab.reach.get(&b.key), Some(&b.reach), "readers see how {} is reached", b.aor);
    }
}

/// Every stream is a call's, or closing.
fn ports_add_up(lab: &Lab) {
    let calls = lab.shown.keys().filter_map(|no| lab.engine.call(*no, lab.now));
    let streams: usize = calls.map(|c| c.streams.len()).sum();
    assert!(streams <= lab.relay.open.len(), "streams of calls, and open ones");
}

/// Long after everybody has left: every table is empty, and nothing is kept for a restart.
#[track_caller]
pub(crate) fn nothing_is_left(lab: &Lab) {
    let now = lab.stats().now;
    assert_eq!((now.dialogs, now.registrations, now.bans), (0, 0, 0), "dialogs, bindings, bans");
    for (n, p) in now.places.iter().enumerate() {
        assert_eq!(p.used, 0, "{:?}", Resource::ALL[n]);
    }
    assert_eq!(lab.shown.len(), 0, "calls that readers see");
    // Whom an upstream confirmed is known for weeks.
    let kept: Vec<_> = lab.stored.keys().filter(|key| !matches!(key, Key::Confirmed(_))).collect();
    assert!(kept.is_empty(), "kept for a restart: {kept:?}");
}

/// After everything has ended: nothing is kept, and every call that was let in has one end.
#[track_caller]
pub(crate) fn at_rest(lab: &Lab) {
    let stats = lab.stats();
    assert_eq!(lab.engine.active_calls(), 0, "calls");
    assert_eq!(lab.checks.waiting, BTreeMap::new(), "requests that were never answered");
    assert_eq!(stats.now.transactions, [0, 0], "transactions");
    assert_eq!(stats.now.streams, 0, "streams");
    assert_eq!(lab.relay.open.len(), 0, "streams at the relay");
    for ports in stats.now.ports {
        assert_eq!((ports.used, ports.quarantined), (0, 0), "ports");
    }
    let (mut begun, mut ended) = (BTreeSet::new(), BTreeSet::new());
    for record in &lab.records {
        match record {
            Record::CallAttempt { call, verdict: Ruling::Allow, .. } => {
                assert!(begun.insert(*call), "call {call} began twice");
            }
            Record::CallEnd(end) => assert!(ended.insert(end.call), "{} ended twice", end.call),
            _ => {}
        }
    }
    assert_eq!(begun, ended, "every call that began has one end");
}
