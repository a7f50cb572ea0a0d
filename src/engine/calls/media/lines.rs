//! Lines that come and go while their call goes on: how many of them may hold ports, and what
//! closes one before the call ends. It opens none; the table does.

use super::MediaTable;
use super::close;
use crate::audit::StreamMedia;
use crate::ground::CallNo;
use crate::wire::limits;

/// Sums of closed streams that a call's record names: of every line, and once more.
const SUMS: usize = 2 * limits::SDP_MEDIA;

impl MediaTable {
    /// Whether a line of a body has ports, or may take some. Counted is what holds ports, wherever
    /// in the body; as many again may be closed and not reported by the relay yet.
    pub(super) fn has_line(&self, call: CallNo, index: usize) -> bool {
        let Some(c) = self.calls.get(&call) else { return false };
        let most = c.claim.streams();
        let open = c.streams.iter().flatten().count();
        matches!(c.streams.get(index), Some(Some(_))) || open < most && c.leaving.len() < most
    }

    /// The last offer failed: what it opened is closed.
    pub(in crate::engine::calls) fn undo_offer(&mut self, call: CallNo) {
        let Some(c) = self.calls.get_mut(&call) else { return };
        let fresh = std::mem::take(&mut c.fresh);
        self.leave(call, &fresh);
        self.turn_back(call);
        // What is in force again may have fallen silent meanwhile, which is told once.
        self.set_idle(call);
    }

    /// What an offer and its answer disable (RFC 3264 §6, §8.2: port 0 of either party) is closed;
    /// a line that comes back takes other ports. What the next offer, not answered yet, has opened
    /// again stays.
    pub(in crate::engine::calls) fn close_disabled(&mut self, call: CallNo) {
        let Some(c) = self.calls.get(&call) else { return };
        let wanted = |index: usize| {
            let offered = c.pending.as_ref().and_then(|p| p.parties.get(index));
            matches!(offered, Some(Some(_)))
        };
        let lines = c.streams.iter().enumerate();
        let off = lines.filter(|(index, s)| {
            s.as_ref().is_some_and(|s| s.open && s.off.contains(&true)) && !wanted(*index)
        });
        let off: Vec<usize> = off.map(|(index, _)| index).collect();
        self.leave(call, &off);
    }

    /// Closes lines of a call that goes on.
    fn leave(&mut self, call: CallNo, lines: &[usize]) {
        let Some(c) = self.calls.get_mut(&call) else { return };
        for index in lines {
            if let Some(s) = c.streams.get_mut(*index).and_then(|s| s.take_if(|s| s.open)) {
                c.closing += 1;
                self.commands.push(close(s.id));
                c.leaving.push(s);
            }
        }
    }
}

/// Keeps a closed stream's sum; one without a packet goes first where there are too many, then the
/// oldest.
pub(super) fn keep_sum(sums: &mut Vec<StreamMedia>, sum: StreamMedia) {
    if sums.len() >= SUMS {
        let heard = |s: &StreamMedia| s.caller.rtp_packets + s.callee.rtp_packets > 0;
        sums.remove(sums.iter().position(|s| !heard(s)).unwrap_or_default());
    }
    sums.push(sum);
}
