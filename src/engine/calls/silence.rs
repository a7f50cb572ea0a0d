//! Calls of which nothing is heard any more: neither a message within them nor media. Silence of
//! media alone the relay watches (`media.idle`); a call without media, on hold, or where that is
//! off has its end here, by the session timer that its parties agreed on (RFC 4028), else by
//! `limits.silent_call`. So has one whose BYE was challenged and never came again. It hangs nobody
//! up: it says which calls are over.

use super::{Call, Calls, Due, Kind, State};
use crate::audit::EndedBy;
use crate::engine::outbox::Outbox;
use crate::engine::output::Level;
use crate::engine::world::World;
use crate::ground::{CallNo, Mono};
use crate::wire::sip::{Message, Name};
use std::time::Duration;

/// A challenged BYE comes again with credentials in this time, if ever.
const AGAIN: Duration = Duration::from_secs(32);
/// The shortest session that may be agreed on (RFC 4028 §5), and the longest that is believed.
const SESSION: [u64; 2] = [90, 86_400];
/// Whoever watches the session himself hangs up before it ends (RFC 4028 §10).
const LATE: Duration = Duration::from_secs(32);

impl Calls {
    /// It is answered, or read back: from now on it ends when nothing is heard of it.
    pub(super) fn listen(&mut self, w: &World, no: CallNo) {
        self.heard(w, no);
        self.await_word(w, no);
    }

    /// One of its parties said something, or sent media.
    pub(super) fn heard(&mut self, w: &World, no: CallNo) {
        if let Some(call) = self.table.get_mut(no) {
            call.heard = w.now().mono;
        }
    }

    /// A 2xx to what refreshes a session passed: it says for how long, or that there is no timer.
    pub(crate) fn refreshed(&mut self, w: &World, no: CallNo, answer: &Message) {
        let Some(call) = self.table.get_mut(no) else { return };
        call.session = session(answer);
        if call.kind == Kind::Call && call.state != State::Early {
            self.await_word(w, no);
        }
    }

    /// A BYE was refused: its fork is gone all the same (RFC 3261 §15.1.1), unless it was asked for
    /// credentials.
    pub(crate) fn bye_failed(
        &mut self,
        w: &World,
        out: &mut Outbox,
        no: CallNo,
        tag: &str,
        status: u16,
    ) {
        match status {
            401 | 407 => self.challenged(w, no, tag),
            _ => self.end_fork(w, out, no, tag, status),
        }
    }

    /// Whoever hung up has to say it again, and may not.
    fn challenged(&mut self, w: &World, no: CallNo, tag: &str) {
        let ending = |c: &Call| c.kind == Kind::Call && c.state == State::Ending;
        if self.table.get(no).is_some_and(|c| ending(c) && c.lives_by(tag)) {
            self.timers.set(Due::Bye(no), w.now().mono + AGAIN);
        }
    }

    /// It is over, or is no call any more.
    pub(super) fn listen_no_longer(&mut self, no: CallNo) {
        self.timers.stop(Due::Silence(no));
        self.timers.stop(Due::Bye(no));
    }

    fn await_word(&mut self, w: &World, no: CallNo) {
        let Some(call) = self.table.get(no) else { return };
        self.timers.set(Due::Silence(no), silent_at(w, call));
    }

    /// Nothing may have been heard of it for long enough.
    pub(super) fn judge_word(&mut self, w: &World, out: &mut Outbox, no: CallNo) {
        let Some(call) = self.table.get(no) else { return };
        let (now, at) = (w.now().mono, silent_at(w, call));
        if self.media.is_watched(no) {
            // The relay looks after it, and may be told to stop.
            self.timers.set(Due::Silence(no), now + w.config().limits.silent_call);
        } else if at > now {
            self.timers.set(Due::Silence(no), at);
        } else {
            let why = match call.session {
                Some(_) => "its session timer ran out (RFC 4028)".to_owned(),
                None => {
                    let limit = w.config().limits.silent_call.as_secs();
                    format!("neither a message nor media for {limit} s (limits.silent_call)")
                }
            };
            out.notice(Level::Warn, format!("call {no}: {why}, ending it"));
            self.over.push((no, EndedBy::Timeout));
        }
    }

    /// Whoever hung up has not said it again.
    pub(super) fn judge_bye(&mut self, out: &mut Outbox, no: CallNo) {
        let Some(call) = self.table.get(no) else { return };
        let by = call.ended_by.unwrap_or(EndedBy::Timeout);
        let text = format!("call {no}: its BYE was challenged and did not come again, ending it");
        out.notice(Level::Info, text);
        self.over.push((no, by));
    }

    /// A call that is to be hung up, and who ends it.
    pub(crate) fn over(&mut self) -> Option<(CallNo, EndedBy)> {
        self.over.pop()
    }
}

/// When it is over, unless something is heard of it before.
fn silent_at(w: &World, call: &Call) -> Mono {
    let limit = call.session.map_or(w.config().limits.silent_call, |s| s + LATE);
    call.heard + limit
}

/// What a 2xx says of the session's length.
fn session(answer: &Message) -> Option<Duration> {
    let value = answer.text(&Name::SessionExpires)?.split(';').next()?.trim();
    let seconds: u64 = value.parse().ok()?;
    let [least, most] = SESSION;
    Some(Duration::from_secs(seconds.clamp(least, most)))
}
