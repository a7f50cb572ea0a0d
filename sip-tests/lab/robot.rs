//! Parties that act by themselves: a caller and a callee with the retransmissions of RFC 3261, each a
//! few lines. They know nothing of the gateway; the network between may lose, repeat and reorder.

use super::script::{Text, answer};
use super::{Lab, Leg, Msg, Ua, ms, s};
use bytes::Bytes;
use std::time::Duration;

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
#[derive(Debug, Default)]
struct Persistent {
    text: Option<Text>,
    wait: Duration,
    left: Duration,
    number: u32,
}

impl Persistent {
    fn send(&mut self, text: Text) -> Vec<Wish> {
        self.wait = ms(500);
        self.left = s(32);
        self.number += 1;
        self.text = Some(text.clone());
        vec![Wish::Send(text.into()), Wish::Wake(self.wait, Alarm::Repeat(self.number))]
    }

    fn answered(&mut self) {
        self.text = None;
    }

    /// `None`: nobody answered in 64·T1.
    fn again(&mut self, number: u32) -> Option<Vec<Wish>> {
        let Some(text) = self.text.clone().filter(|_| number == self.number) else {
            return Some(Vec::new());
        };
        if self.left < self.wait {
            self.text = None;
            return None;
        }
        self.left -= self.wait;
        self.wait = (self.wait * 2).min(s(4));
        Some(vec![Wish::Send(text.into()), Wish::Wake(self.wait, Alarm::Repeat(self.number))])
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
}

impl Caller {
    pub(crate) fn new(leg: Leg, patience: Duration, impatient: bool) -> (Self, Vec<Wish>) {
        let mut unanswered = Persistent::default();
        let mut wishes = unanswered.send(leg.invite.clone());
        wishes.push(Wish::Wake(patience, Alarm::Leave));
        wishes.push(Wish::Wake(s(240), Alarm::Despair));
        let (state, heard, outcome) = (State::Pending, false, 0);
        (Self { leg, state, unanswered, heard, outcome, impatient }, wishes)
    }

    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    pub(crate) fn hear(&mut self, lab: &mut Lab, msg: &Msg) -> Vec<Wish> {
        if msg.is_request() {
            if msg.method() == "BYE" {
                self.state = State::Done;
                self.unanswered.answered();
            }
            return vec![Wish::Send(answer(msg, 200, "").into())];
        }
        match (msg.cseq().1, msg.status()) {
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

    fn answered(&mut self, lab: &mut Lab, ok: &Msg) -> Vec<Wish> {
        self.leg.learn(ok);
        let mut wishes = vec![Wish::Send(self.leg.ack(lab).into())];
        if matches!(self.state, State::Pending | State::Cancelling) {
            self.outcome = 200;
            self.unanswered.answered();
            // An answer that crossed the CANCEL is let go at once.
            let wait = if self.state == State::Cancelling { ms(10) } else { s(20) };
            self.state = State::Talking;
            wishes.push(Wish::Wake(wait, Alarm::Leave));
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
            (Alarm::Despair, State::Pending | State::Cancelling) => {
                self.state = State::Done;
                self.unanswered.answered();
                Vec::new()
            }
            (Alarm::Leave, State::Talking) => {
                self.state = State::Leaving;
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
    ua: Ua,
    invite: Msg,
    tag: String,
    state: State,
    last: Option<Text>,
    unanswered: Persistent,
    /// What it answers in the end; 0: it rings for ever.
    plan: u16,
}

impl Callee {
    pub(crate) fn new(
        ua: &Ua,
        invite: &Msg,
        tag: String,
        ring: Duration,
        plan: u16,
    ) -> (Self, Vec<Wish>) {
        let callee = Self {
            ua: ua.clone(),
            invite: invite.clone(),
            tag,
            state: State::Pending,
            last: None,
            unanswered: Persistent::default(),
            plan,
        };
        let wishes = vec![Wish::Wake(ring / 4, Alarm::Ring), Wish::Wake(ring, Alarm::Answer)];
        (callee, wishes)
    }

    pub(crate) fn hear(&mut self, msg: &Msg) -> Vec<Wish> {
        match msg.method() {
            "INVITE" => self.last.clone().map(|last| Wish::Send(last.into())).into_iter().collect(),
            "CANCEL" => {
                let mut wishes = vec![Wish::Send(answer(msg, 200, &self.tag).into())];
                if self.state == State::Pending {
                    wishes.extend(self.conclude(487));
                }
                wishes
            }
            "ACK" => {
                self.unanswered.answered();
                Vec::new()
            }
            "BYE" => {
                self.unanswered.answered();
                self.state = State::Done;
                vec![Wish::Send(answer(msg, 200, "").into())]
            }
            _ => Vec::new(),
        }
    }

    pub(crate) fn wake(&mut self, alarm: Alarm) -> Vec<Wish> {
        match (alarm, self.state) {
            (Alarm::Repeat(number), _) => self.unanswered.again(number).unwrap_or_default(),
            (Alarm::Ring, State::Pending) => {
                let ringing = self.ua.answer(&self.invite, 180, &self.tag);
                self.last = Some(ringing.clone());
                vec![Wish::Send(ringing.into())]
            }
            (Alarm::Answer, State::Pending) if self.plan != 0 => self.conclude(self.plan),
            _ => Vec::new(),
        }
    }

    fn conclude(&mut self, status: u16) -> Vec<Wish> {
        let mut text = self.ua.answer(&self.invite, status, &self.tag);
        if status == 200 {
            text = text.sdp(self.ua.sdp(6000));
        }
        self.state = if status == 200 { State::Talking } else { State::Done };
        self.last = Some(text.clone());
        self.unanswered.send(text)
    }
}
