//! Parties that act by themselves: a caller and a callee with the retransmissions of RFC 3261, each a
//! few lines. They know nothing of the gateway; the network between may lose, repeat and reorder.

use super::script::{Text, answer};
use super::talker::{Dice, Talker, odd};
use super::{Lab, Leg, Msg, Party, ms, s};
use bytes::Bytes;
use std::time::Duration;

/// How long a caller waits for who rings: Timer C after the last repetition of a provisional answer,
/// and what a CANCEL waits for.
const DESPAIR: Duration = s(260);

/// What a robot wants done.
#[derive(Debug)]
pub(crate) enum Wish {
    Send(Bytes),
    /// Wake it after this long.
    Wake(Duration, Alarm),
}

/// Why a robot wakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Alarm {
    /// Send what is unanswered once more; the number tells an old alarm from a new one.
    Repeat(u32),
    /// The same for a request within the dialog.
    Again(u32),
    /// The same for an answer that waits for its ACK.
    Confirm(u32),
    /// It wants something within the dialog.
    Speak,
    /// The callee rings.
    Ring,
    /// The callee answers.
    Answer,
    /// The caller gives up, or somebody hangs up.
    Leave,
    /// Long past every timer: the person at the phone walks away.
    Despair,
}

/// A message sent again until something answers it.
#[derive(Debug)]
pub(crate) struct Persistent {
    text: Option<Text>,
    wait: Duration,
    left: Duration,
    number: u32,
    alarm: fn(u32) -> Alarm,
}

impl Persistent {
    /// One whose repetitions have this name.
    pub(crate) fn by(alarm: fn(u32) -> Alarm) -> Self {
        let (wait, left) = (Duration::ZERO, Duration::ZERO);
        Self { text: None, wait, left, number: 0, alarm }
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.text.is_some()
    }

    pub(crate) fn send(&mut self, text: Text) -> Vec<Wish> {
        self.wait = ms(500);
        self.left = s(32);
        self.number += 1;
        self.text = Some(text.clone());
        vec![Wish::Send(text.into()), Wish::Wake(self.wait, (self.alarm)(self.number))]
    }

    pub(crate) fn answered(&mut self) {
        self.text = None;
    }

    /// `None`: nobody answered in 64·T1.
    pub(crate) fn again(&mut self, number: u32) -> Option<Vec<Wish>> {
        let Some(text) = self.text.clone().filter(|_| number == self.number) else {
            return Some(Vec::new());
        };
        if self.left < self.wait {
            self.text = None;
            return None;
        }
        self.left -= self.wait;
        self.wait = (self.wait * 2).min(s(4));
        let wake = Wish::Wake(self.wait, (self.alarm)(self.number));
        // On a connection a request is sent once (§17.1.1.2, §17.1.2.2).
        if text.header("Via").starts_with("SIP/2.0/T") && !text.start.starts_with("SIP/2.0") {
            return Some(vec![wake]);
        }
        Some(vec![Wish::Send(text.into()), wake])
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Pending,
    Cancelling,
    Talking,
    Leaving,
    Done,
}

/// A phone that calls.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) leg: Leg,
    state: State,
    unanswered: Persistent,
    heard: bool,
    /// Final status it was told; 0: none in time.
    pub(crate) outcome: u16,
    /// Gives up while it rings.
    pub(crate) impatient: bool,
    /// Tag of who rings.
    rings: Option<String>,
    /// Somebody rings in another's place: he waits for him as long.
    anew: bool,
    /// Is not there any more when it is time to hang up.
    pub(crate) vanishes: bool,
    pub(crate) talker: Talker,
}

impl Caller {
    pub(crate) fn new(
        leg: Leg,
        patience: Duration,
        impatient: bool,
        talker: Talker,
    ) -> (Self, Vec<Wish>) {
        let mut unanswered = Persistent::by(Alarm::Repeat);
        let mut wishes = unanswered.send(leg.invite.clone());
        wishes.push(Wish::Wake(patience, Alarm::Leave));
        wishes.push(Wish::Wake(DESPAIR, Alarm::Despair));
        let (state, heard, outcome, rings, anew) = (State::Pending, false, 0, None, false);
        let vanishes = false;
        let caller = Self {
            leg,
            state,
            unanswered,
            heard,
            outcome,
            impatient,
            rings,
            anew,
            vanishes,
            talker,
        };
        (caller, wishes)
    }

    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    pub(crate) fn hear(&mut self, lab: &mut Lab, msg: &Msg) -> Vec<Wish> {
        if self.vanishes && self.state == State::Done {
            return Vec::new();
        }
        if msg.is_request() {
            return self.asked(msg);
        }
        match (msg.cseq().1, msg.status()) {
            ("BYE" | "CANCEL", _) => {}
            ("INVITE", _) if msg.cseq().0 == 1 => {}
            _ => return self.talker.answered(lab, &self.leg, msg),
        }
        if let ("INVITE", 101..=199, Some(tag)) = (msg.cseq().1, msg.status(), msg.tag("To")) {
            let before = self.rings.replace(tag.to_owned());
            self.anew |= before.is_some() && before != self.rings;
        }
        match (msg.cseq().1, msg.status()) {
            ("INVITE", 101..=199) if msg.has("RSeq") && self.state == State::Pending => {
                self.heard = true;
                self.unanswered.answered();
                self.talker.early(lab, &mut self.leg, msg)
            }
            ("INVITE", 100..=199) => {
                let first = !std::mem::replace(&mut self.heard, true);
                if self.state == State::Pending {
                    self.unanswered.answered();
                }
                if first && self.state == State::Cancelling {
                    return self.unanswered.send(self.leg.cancel());
                }
                Vec::new()
            }
            ("INVITE", 200..=299) => self.answered(lab, msg),
            ("INVITE", status) => {
                if self.outcome == 0 {
                    self.outcome = status;
                }
                self.state = State::Done;
                self.unanswered.answered();
                self.talker.leave();
                vec![Wish::Send(self.leg.ack_refusal(msg).into())]
            }
            ("CANCEL", _) if self.state == State::Cancelling => {
                self.unanswered.answered();
                Vec::new()
            }
            ("BYE", _) => {
                self.unanswered.answered();
                self.state = State::Done;
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn asked(&mut self, msg: &Msg) -> Vec<Wish> {
        if msg.method() == "BYE" {
            // One that overtakes the 2xx tells him, too.
            if self.outcome == 0 {
                self.outcome = 487;
            }
            self.state = State::Done;
            self.unanswered.answered();
            self.talker.leave();
            return vec![Wish::Send(answer(msg, 200, "").into())];
        }
        match self.state {
            State::Done if msg.method() != "ACK" => {
                vec![Wish::Send(answer(msg, 481, "").into())]
            }
            _ => self.talker.asked(&self.leg, msg),
        }
    }

    fn answered(&mut self, lab: &mut Lab, ok: &Msg) -> Vec<Wish> {
        self.leg.learn(ok);
        let mut wishes = vec![Wish::Send(self.leg.ack(lab).set("CSeq", "1 ACK").into())];
        if matches!(self.state, State::Pending | State::Cancelling) {
            self.outcome = 200;
            self.unanswered.answered();
            // An answer that crossed the CANCEL is let go at once.
            let wait = if self.state == State::Cancelling { ms(10) } else { s(20) };
            self.state = State::Talking;
            wishes.push(Wish::Wake(wait, Alarm::Leave));
            wishes.extend(self.talker.plan());
        }
        wishes
    }

    pub(crate) fn wake(&mut self, lab: &mut Lab, alarm: Alarm) -> Vec<Wish> {
        match (alarm, self.state) {
            (Alarm::Repeat(number), _) => self.unanswered.again(number).unwrap_or_else(|| {
                self.state = State::Done;
                Vec::new()
            }),
            (Alarm::Leave, State::Pending) if self.impatient => {
                self.state = State::Cancelling;
                if self.heard { self.unanswered.send(self.leg.cancel()) } else { Vec::new() }
            }
            (Alarm::Despair, State::Pending) if std::mem::take(&mut self.anew) => {
                vec![Wish::Wake(DESPAIR, Alarm::Despair)]
            }
            (Alarm::Despair, State::Pending | State::Cancelling) => {
                self.state = State::Done;
                self.unanswered.answered();
                Vec::new()
            }
            (Alarm::Speak, State::Talking) => self.talker.speak(lab, &mut self.leg),
            (Alarm::Again(_) | Alarm::Confirm(_), _) => self.talker.wake(alarm),
            (Alarm::Leave, State::Talking) if self.vanishes => {
                self.state = State::Done;
                self.unanswered.answered();
                self.talker.leave();
                Vec::new()
            }
            (Alarm::Leave, State::Talking) => {
                self.state = State::Leaving;
                self.talker.leave();
                let bye = self.leg.request(lab, "BYE");
                self.unanswered.send(bye)
            }
            _ => Vec::new(),
        }
    }
}

/// The PBX's end of one call.
#[derive(Debug)]
pub(crate) struct Callee {
    leg: Leg,
    invite: Msg,
    tag: String,
    state: State,
    last: Option<Text>,
    unanswered: Persistent,
    /// What it answers in the end; 0: it rings for ever.
    plan: u16,
    /// Whether it does what nobody should.
    unruly: Option<Dice>,
    /// It describes no media.
    pub(crate) mute: bool,
    /// It asks whoever hangs up for a password.
    pub(crate) asks: bool,
    pub(crate) talker: Talker,
}

impl Callee {
    pub(crate) fn new(
        leg: Leg,
        invite: &Msg,
        tag: String,
        ring: Duration,
        plan: u16,
        unruly: Option<Dice>,
    ) -> (Self, Vec<Wish>) {
        let dice = unruly.clone().unwrap_or(Dice::new(0));
        let callee = Self {
            leg,
            invite: invite.clone(),
            tag,
            state: State::Pending,
            last: None,
            unanswered: Persistent::by(Alarm::Repeat),
            plan,
            talker: Talker::new(dice, unruly.is_some()),
            unruly,
            mute: false,
            asks: false,
        };
        let wishes = vec![Wish::Wake(ring / 4, Alarm::Ring), Wish::Wake(ring, Alarm::Answer)];
        (callee, wishes)
    }

    pub(crate) fn at(&self) -> Party {
        self.leg.ua.at
    }

    pub(crate) fn hear(&mut self, lab: &mut Lab, msg: &Msg) -> Vec<Wish> {
        if !msg.is_request() {
            return self.talker.answered(lab, &self.leg, msg);
        }
        let first = msg.header("CSeq").starts_with("1 ");
        match msg.method() {
            "INVITE" if first => {
                self.last.clone().map(|last| Wish::Send(last.into())).into_iter().collect()
            }
            "CANCEL" => {
                let mut wishes = vec![Wish::Send(answer(msg, 200, &self.tag).into())];
                if self.state == State::Pending {
                    wishes.extend(self.conclude(487));
                }
                wishes
            }
            "ACK" if first => {
                self.unanswered.answered();
                Vec::new()
            }
            "PRACK" => {
                if self.state == State::Pending {
                    self.unanswered.answered();
                }
                self.talker.asked(&self.leg, msg)
            }
            "BYE" => {
                self.unanswered.answered();
                self.talker.leave();
                if self.asks {
                    let no = answer(msg, 407, "");
                    let asked = "Digest realm=\"pbx\", nonce=\"1\"";
                    return vec![Wish::Send(no.with("Proxy-Authenticate", asked).into())];
                }
                self.state = State::Done;
                vec![Wish::Send(answer(msg, 200, "").into())]
            }
            _ if self.state == State::Done && msg.method() != "ACK" => {
                vec![Wish::Send(answer(msg, 481, &self.tag).into())]
            }
            _ => self.talker.asked(&self.leg, msg),
        }
    }

    pub(crate) fn wake(&mut self, lab: &mut Lab, alarm: Alarm) -> Vec<Wish> {
        match (alarm, self.state) {
            (Alarm::Repeat(number), _) => self.unanswered.again(number).unwrap_or_else(|| {
                self.talker.forsaken += usize::from(self.state != State::Pending);
                Vec::new()
            }),
            (Alarm::Ring, State::Pending) => self.ring(),
            (Alarm::Answer, State::Pending) if self.plan != 0 => {
                let mut wishes = self.conclude(self.plan);
                if self.plan == 200 {
                    wishes.extend(self.talker.plan());
                }
                wishes
            }
            (Alarm::Speak, State::Talking) => self.talker.speak(lab, &mut self.leg),
            (Alarm::Again(_) | Alarm::Confirm(_), _) => self.talker.wake(alarm),
            _ => Vec::new(),
        }
    }

    /// 180, or a 183 of any kind.
    fn ring(&mut self) -> Vec<Wish> {
        let ip = self.leg.ua.ip().to_string();
        let ringing = self.leg.ua.answer(&self.invite, 180, &self.tag);
        let early = self.leg.ua.answer(&self.invite, 183, &self.tag).sdp(self.leg.ua.sdp(6000));
        let roll = self.unruly.as_mut().map_or(0, |dice| dice.roll(4));
        let text = match (&mut self.unruly, roll) {
            (Some(dice), 1) => odd(dice, early, &ip),
            (Some(dice), 2) => odd(dice, early, &ip).with("Require", "100rel").with("RSeq", "1"),
            (Some(_), 3) => early.with("Require", "100rel").with("RSeq", "1"),
            _ => ringing,
        };
        self.last = Some(text.clone());
        if roll >= 2 {
            return self.unanswered.send(text);
        }
        vec![Wish::Send(text.into())]
    }

    fn conclude(&mut self, status: u16) -> Vec<Wish> {
        let ip = self.leg.ua.ip().to_string();
        let mut text = self.leg.ua.answer(&self.invite, status, &self.tag);
        if status == 200 && !self.mute {
            text = text.sdp(self.leg.ua.sdp(6000));
        }
        if let Some(dice) = self.unruly.as_mut().filter(|_| status >= 200) {
            text = if dice.percent(40) { odd(dice, text, &ip) } else { text };
        }
        self.state = if status == 200 { State::Talking } else { State::Done };
        self.last = Some(text.clone());
        self.unanswered.send(text)
    }
}
