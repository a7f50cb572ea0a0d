//! Subscriptions within a dialog (RFC 5057 §4): who notifies of what, and until when. A list of
//! bounded length; the call that carries it lives as long as one of them does.

use super::{Calls, Due, Kind};
use crate::engine::world::World;
use crate::ground::{CallNo, Leg, Mono};
use crate::wire::sip::{Message, Method, Name};
use std::time::Duration;

/// Subscriptions of one call that are kept apart; the one that ends first gives way.
const MOST: usize = 16;
/// Octets of an event's package and id that are remembered.
const LONGEST: usize = 128;
/// What is asked for is granted or notified in this time (RFC 6665 §4.1.2.4: Timer N, and room for
/// its last repetition).
const PENDING: Duration = Duration::from_secs(64);
/// The shortest and the longest life that a party may give one; what outlives it is late.
const LIFE: [u64; 2] = [60, 86_400];
const LATE: Duration = Duration::from_secs(64);
/// Life of what was granted without a word on how long (RFC 6665 §4.1.2.1).
const UNSAID: u64 = 3_600;

/// What a subscription is about.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Event {
    package: String,
    id: Option<String>,
}

impl Event {
    fn of(message: &Message) -> Self {
        let value = message.text(&Name::Event).unwrap_or_default();
        let clipped = |v: &str| v.trim().chars().take(LONGEST).collect::<String>();
        let mut parts = value.split(';');
        let package = clipped(parts.next().unwrap_or_default()).to_ascii_lowercase();
        let id = parts.find_map(|p| p.trim().strip_prefix("id=")).map(clipped);
        Self { package, id }
    }
}

/// What a SUBSCRIBE, REFER or NOTIFY says of a subscription.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    event: Event,
    talk: Talk,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Talk {
    Subscribe,
    /// It makes a subscription by itself (RFC 3515 §2.4.4).
    Refer,
    /// How long it lives on, where that is said; `over`: no longer.
    Notify {
        over: bool,
        seconds: Option<u64>,
    },
}

impl Said {
    /// `None`: a request that says nothing of any.
    pub(crate) fn of(request: &Message) -> Option<Self> {
        let method = request.method();
        if *method == Method::Refer {
            let id = Some(request.cseq().seq.to_string());
            let event = Event { package: "refer".to_owned(), id };
            return Some(Self { event, talk: Talk::Refer });
        }
        let event = Event::of(request);
        if *method == Method::Subscribe {
            return Some(Self { event, talk: Talk::Subscribe });
        }
        let state = request.text(&Name::SubscriptionState).filter(|_| *method == Method::Notify)?;
        let state = state.to_ascii_lowercase();
        let over = state.trim_start().starts_with("terminated");
        let seconds =
            state.split(';').find_map(|p| p.trim().strip_prefix("expires=")?.parse().ok());
        Some(Self { event, talk: Talk::Notify { over, seconds } })
    }

    /// It asks for one.
    pub(super) fn asks(&self) -> bool {
        matches!(self.talk, Talk::Subscribe | Talk::Refer)
    }
}

/// One subscription.
#[derive(Clone, Debug)]
struct Usage {
    /// Who sends its NOTIFYs.
    notifier: Leg,
    /// The fork it belongs to; `None`: no answer has told yet.
    tag: Option<String>,
    event: Event,
    until: Mono,
}

/// All subscriptions of one call.
#[derive(Clone, Debug, Default)]
pub(super) struct Usages(Vec<Usage>);

impl Usages {
    /// None is left.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// When the last of them ends by itself.
    pub(super) fn until(&self) -> Option<Mono> {
        self.0.iter().map(|u| u.until).max()
    }

    /// Those whose time has come are gone.
    pub(super) fn expire(&mut self, now: Mono) {
        self.0.retain(|u| u.until > now);
    }

    /// Forks that carry one.
    pub(super) fn carries(&self, tag: &str) -> bool {
        self.0.iter().any(|u| u.tag.as_deref().is_none_or(|t| t == tag))
    }

    /// SUBSCRIBE or REFER passed, sent by `asker` in the dialog with this fork (`None`: there is
    /// no dialog yet). Its NOTIFY may come before its answer.
    pub(super) fn asked(&mut self, asker: Leg, tag: Option<&str>, said: &Said, now: Mono) {
        let notifier = asker.other();
        if !said.asks() || self.0.iter().any(|u| u.is(notifier, tag, &said.event)) {
            return;
        }
        if self.0.len() >= MOST {
            let first = self.0.iter().enumerate().min_by_key(|(_, u)| u.until).map(|(i, _)| i);
            first.map(|i| self.0.remove(i));
        }
        let (tag, event) = (tag.map(str::to_owned), said.event.clone());
        self.0.push(Usage { notifier, tag, event, until: now + PENDING });
    }

    /// A final answer passed: to a request for one, or to a NOTIFY; `by` sent the request.
    pub(super) fn answered(
        &mut self,
        by: Leg,
        tag: &str,
        said: &Said,
        answer: &Message,
        now: Mono,
    ) {
        let event = &said.event;
        match (said.talk, answer.status()) {
            (Talk::Notify { over, seconds }, status) => {
                self.notified(by, tag, event, (over, seconds), status, now);
            }
            // RFC 4488 §3: the answer says that nobody will notify.
            (Talk::Refer, 200..300) if refuses_subscription(answer) => {
                self.0.retain(|u| !u.is(by.other(), Some(tag), event));
            }
            (Talk::Subscribe | Talk::Refer, 200..300) => self.granted(by, tag, said, answer, now),
            // What never was is gone, and so is what the other side knows nothing of.
            (Talk::Refer, _) => self.0.retain(|u| !u.is(by.other(), Some(tag), event)),
            (Talk::Subscribe, status) if ends_subscription(status) => {
                self.0.retain(|u| !u.is(by.other(), Some(tag), event));
            }
            (Talk::Subscribe, _) => {}
        }
    }

    fn granted(&mut self, by: Leg, tag: &str, said: &Said, answer: &Message, now: Mono) {
        let at = self.0.iter_mut().find(|u| u.is(by.other(), Some(tag), &said.event));
        let Some(usage) = at else { return };
        let seconds = answer.text(&Name::Expires).and_then(|v| v.trim().parse().ok());
        usage.tag = Some(tag.to_owned());
        usage.until = match (said.talk, seconds) {
            (Talk::Refer, None) => usage.until.max(now + PENDING),
            (Talk::Refer, Some(seconds)) => usage.until.max(life(now, seconds)),
            (_, seconds) => life(now, seconds.unwrap_or(UNSAID)),
        };
    }

    fn notified(
        &mut self,
        notifier: Leg,
        tag: &str,
        event: &Event,
        (over, seconds): (bool, Option<u64>),
        status: u16,
        now: Mono,
    ) {
        let known = self.0.iter().position(|u| u.is_notified(notifier, tag, event));
        let accepted = (200..300).contains(&status);
        if ends_subscription(status) || over && accepted {
            // One that awaits its answer stays until that tells of it.
            let told = |i: &usize| self.0.get(*i).is_some_and(|u| u.tag.is_some());
            known.filter(told).map(|i| self.0.remove(i));
            return;
        }
        if !accepted {
            return;
        }
        let at = known.or_else(|| self.forked(notifier, event));
        let Some(usage) = at.and_then(|i| self.0.get_mut(i)) else { return };
        usage.tag = Some(tag.to_owned());
        usage.until = match seconds {
            Some(seconds) => life(now, seconds),
            None => usage.until.max(life(now, UNSAID)),
        };
    }

    /// Another fork notifies of what was asked for once (RFC 6665 §4.4.1).
    fn forked(&mut self, notifier: Leg, event: &Event) -> Option<usize> {
        let usage = self.0.iter().find(|u| u.is(notifier, None, event))?.clone();
        (self.0.len() < MOST).then(|| self.0.push(usage))?;
        Some(self.0.len() - 1)
    }
}

impl Calls {
    /// A request passed that asks for a subscription; `by`: who sent it.
    pub(crate) fn asks_for(
        &mut self,
        w: &World,
        no: CallNo,
        (by, tag): (Leg, Option<&str>),
        said: &Said,
    ) {
        if let Some(call) = self.table.get_mut(no) {
            call.usages.asked(by, tag, said, w.now().mono);
            self.settle(w, no);
        }
    }

    /// Whether a leg asked for what a NOTIFY tells, of one event.
    pub(crate) fn has_asked(&self, no: CallNo, asker: Leg, notify: &Message) -> bool {
        let package = Event::of(notify).package;
        let asked = |u: &Usage| u.notifier == asker.other() && u.event.package == package;
        let one = notify.rows(&Name::Event).count() == 1;
        one && self.table.get(no).is_some_and(|call| call.usages.0.iter().any(asked))
    }

    /// Its final answer passed, or that of a NOTIFY. What carries no usage any more is gone.
    pub(crate) fn has_said(
        &mut self,
        w: &World,
        no: CallNo,
        (by, tag): (Leg, &str),
        said: &Said,
        answer: &Message,
    ) {
        if let Some(call) = self.table.get_mut(no) {
            call.usages.answered(by, tag, said, answer, w.now().mono);
            self.settle(w, no);
        }
    }

    /// Those whose time has come are gone; the next one's is waited for.
    pub(super) fn settle(&mut self, w: &World, no: CallNo) {
        let Some(call) = self.table.get_mut(no) else { return };
        call.usages.expire(w.now().mono);
        match (call.usages.until(), call.kind) {
            (Some(at), _) => self.timers.set(Due::Subscription(no), at),
            (None, Kind::Subscription) => self.forget(no),
            (None, Kind::Call) => self.timers.stop(Due::Subscription(no)),
        }
    }
}

impl Usage {
    fn is(&self, notifier: Leg, tag: Option<&str>, event: &Event) -> bool {
        let same = self.tag.is_none() || tag.is_none() || self.tag.as_deref() == tag;
        self.notifier == notifier && self.event == *event && same
    }

    /// As [`Usage::is`]; a NOTIFY of a REFER may leave the id out while there is one only (RFC 3515
    /// §2.4.6).
    fn is_notified(&self, notifier: Leg, tag: &str, event: &Event) -> bool {
        let bare = event.id.is_none() && event.package == "refer" && self.event.package == "refer";
        self.is(notifier, Some(tag), if bare { &self.event } else { event })
    }
}

fn life(now: Mono, seconds: u64) -> Mono {
    let [least, most] = LIFE;
    now + Duration::from_secs(seconds.clamp(least, most)) + LATE
}

fn refuses_subscription(answer: &Message) -> bool {
    let value = answer.text(&Name::parse("Refer-Sub")).and_then(|v| v.split(';').next());
    value.is_some_and(|v| v.trim().eq_ignore_ascii_case("false"))
}

/// Answers after which a subscription is no more (RFC 5057 §5.1, RFC 6665 §4.2.2).
fn ends_subscription(status: u16) -> bool {
    matches!(status, 404 | 405 | 408 | 410 | 416 | 480..=485 | 489 | 501 | 604)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Mono = Mono(Duration::from_secs(1_000));

    fn request(method: Method, seq: u32, event: &str) -> Message {
        let mut m = Message::request(method.clone(), "sip:x");
        m.push_back(Name::CSeq, format!("{seq} {method}"));
        m.push_back(Name::Event, event);
        m
    }

    fn notify(event: &str, state: &str) -> Message {
        let mut m = request(Method::Notify, 1, event);
        m.push_back(Name::SubscriptionState, state);
        m
    }

    fn said(request: &Message) -> Said {
        Said::of(request).expect("it says something")
    }

    fn ask(all: &mut Usages, request: &Message, tag: Option<&str>) {
        all.asked(Leg::Caller, tag, &said(request), NOW);
    }

    fn told(all: &mut Usages, tag: &str, request: &Message, status: u16, rows: &[(Name, &str)]) {
        let by = if *request.method() == Method::Notify { Leg::Callee } else { Leg::Caller };
        let mut m = Message::response(request, status, "OK");
        for (name, value) in rows {
            m.push_back(name.clone(), *value);
        }
        all.answered(by, tag, &said(request), &m, NOW);
    }

    #[test]
    fn a_forked_subscription_is_one_for_each_fork() {
        let mut all = Usages::default();
        let subscribe = request(Method::Subscribe, 1, "dialog");
        ask(&mut all, &subscribe, None);
        told(&mut all, "b", &notify("dialog", "terminated"), 200, &[]);
        assert!(!all.is_empty(), "the answer is still to come");
        told(&mut all, "a", &subscribe, 200, &[(Name::Expires, "600")]);
        told(&mut all, "b", &notify("dialog", "active"), 200, &[]);
        told(&mut all, "a", &notify("dialog", "terminated"), 200, &[]);
        assert!(all.carries("b") && !all.carries("a"));
        told(&mut all, "b", &notify("dialog", "active"), 481, &[]);
        assert!(all.is_empty());
    }

    #[test]
    fn lives_are_bounded_whatever_a_party_says() {
        let mut all = Usages::default();
        let subscribe = request(Method::Subscribe, 1, "dialog");
        ask(&mut all, &subscribe, Some("a"));
        for (said, seconds) in [("0", 60), ("600", 600), ("4294967295", 86_400), ("x", 3_600)] {
            told(&mut all, "a", &subscribe, 200, &[(Name::Expires, said)]);
            assert_eq!(all.until(), Some(NOW + Duration::from_secs(seconds) + LATE), "{said}");
        }
        all.expire(NOW + Duration::from_secs(100_000));
        assert!(all.is_empty());
    }

    #[test]
    fn a_refresh_that_is_refused_ends_only_what_the_notifier_forgot() {
        let mut all = Usages::default();
        let subscribe = request(Method::Subscribe, 1, "dialog;id=7");
        ask(&mut all, &subscribe, Some("a"));
        told(&mut all, "a", &subscribe, 200, &[]);
        told(&mut all, "a", &subscribe, 503, &[]);
        assert!(!all.is_empty());
        told(&mut all, "a", &notify("dialog;id=8", "terminated"), 200, &[]);
        assert!(!all.is_empty(), "another id");
        told(&mut all, "a", &subscribe, 481, &[]);
        assert!(all.is_empty());
    }

    #[test]
    fn at_most_sixteen_are_kept_and_of_their_names_so_much() {
        let mut all = Usages::default();
        for seq in 0..100 {
            ask(&mut all, &request(Method::Refer, seq, "x"), Some("a"));
        }
        assert_eq!(all.0.len(), MOST);
        let endless = "e".repeat(LONGEST * 2);
        let mut one = Usages::default();
        ask(&mut one, &request(Method::Subscribe, 1, &endless), Some("a"));
        assert!(one.0.iter().all(|u| u.event.package.len() == LONGEST));
    }
}
