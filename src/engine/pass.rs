//! A pass: one crossing of the gateway by one request, and its response context (RFC 3261 §16.7).
//! Branches, the best answer, CANCEL, Timer C. It never reads a body or a policy.

use super::analysis::headers;
use super::transaction::{Event, ServerKey, Timer};
use super::{Engine, TimerKey};
use crate::ground::{Flow, ListenerId};
use crate::relay::Leg;
use crate::wire::sip::{Message, Method, Name, RejectReason};

/// What crosses.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// An INVITE that begins a call.
    Invite {
        call: u64,
        /// It carried an offer: SDP in answers is the answer.
        offered: bool,
    },
    /// SUBSCRIBE or REFER outside a dialog.
    Subscribe { call: u64 },
    /// REGISTER towards an upstream.
    Register(super::registration::Pending),
    /// A request within a dialog.
    InDialog {
        call: u64,
        /// Who sent it.
        leg: Leg,
        /// The fork it belongs to.
        tag: String,
        /// It carried an offer.
        offered: bool,
        /// The sender's new remote target, valid from the 2xx on.
        contact: Option<crate::wire::sip::Uri>,
    },
    /// Anything else.
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BranchState {
    Pending,
    Final,
}

/// One branch.
#[derive(Debug)]
pub(crate) struct Branch {
    pub(crate) client: u64,
    state: BranchState,
    /// CANCEL is to follow as soon as a provisional answer allows it.
    cancel: bool,
    /// The callee leg as it will be, for dialog-forming requests.
    pub(crate) leg: Option<super::dialog::LegState>,
}

/// One crossing.
#[derive(Debug)]
pub(crate) struct Pass {
    pub(crate) server: u64,
    /// The socket the request came by.
    pub(crate) ingress: ListenerId,
    pub(crate) kind: Kind,
    pub(crate) branches: Vec<Branch>,
    best: Option<Message>,
    /// A final answer went back.
    pub(crate) done: bool,
    cancelled: bool,
}

impl Pass {
    pub(crate) fn new(server: u64, ingress: ListenerId, kind: Kind) -> Self {
        let branches = Vec::new();
        Self { server, ingress, kind, branches, best: None, done: false, cancelled: false }
    }

    /// The call it belongs to.
    pub(crate) fn call(&self) -> Option<u64> {
        match &self.kind {
            Kind::Invite { call, .. } | Kind::Subscribe { call } | Kind::InDialog { call, .. } => {
                Some(*call)
            }
            Kind::Register(_) | Kind::Other => None,
        }
    }

    fn branch_mut(&mut self, client: u64) -> Option<&mut Branch> {
        self.branches.iter_mut().find(|b| b.client == client)
    }
}

impl Engine {
    /// Registers a pass for a server transaction.
    pub(crate) fn open_pass(&mut self, server: u64, ingress: ListenerId, kind: Kind) -> u64 {
        let id = self.id();
        if let Some(t) = self.tx.server_mut(server) {
            t.pass = Some(id);
        }
        self.passes.insert(id, Pass::new(server, ingress, kind));
        id
    }

    /// Sends a rewritten request as a new branch of a pass.
    pub(crate) fn open_branch(
        &mut self,
        pass: u64,
        request: Message,
        branch: String,
        flow: Flow,
        leg: Option<super::dialog::LegState>,
    ) {
        let invite = *request.method() == Method::Invite;
        let client = self.forward(request, branch, flow, Some(pass));
        if let Some(p) = self.passes.get_mut(&pass) {
            let (state, cancel) = (BranchState::Pending, false);
            p.branches.push(Branch { client, state, cancel, leg });
        }
        if invite {
            self.arm_timer_c(client);
        }
    }

    fn arm_timer_c(&mut self, client: u64) {
        let c = self.snap.config.timers.c;
        self.timers.set(TimerKey::Client(client, Timer::C), self.now.mono + c);
    }

    /// A response reached the core by one of its branches.
    pub(crate) fn pass_response(&mut self, pass: u64, client: u64, response: Message) {
        let Some(p) = self.passes.get_mut(&pass) else { return };
        let status = response.status();
        let Some(branch) = p.branch_mut(client) else { return };
        if status < 200 {
            if std::mem::take(&mut branch.cancel) {
                self.cancel_client(client);
                return;
            }
            // §16.7 step 2: 101–199 restart Timer C; 100 goes no further. RFC 4320: no provisional
            // answers for other requests.
            if status > 100 && *response.method() == Method::Invite {
                self.arm_timer_c(client);
                self.relay_provisional(pass, client, response);
            }
            return;
        }
        branch.state = BranchState::Final;
        self.timers.stop(TimerKey::Client(client, Timer::C));
        self.timers.stop(TimerKey::CancelWait(client));
        if status < 300 {
            self.relay_success(pass, client, response);
        } else {
            self.relay_failure(pass, client, response);
        }
    }

    fn relay_provisional(&mut self, pass: u64, client: u64, response: Message) {
        let Some(p) = self.passes.get(&pass) else { return };
        if p.done || p.cancelled {
            return;
        }
        let server = p.server;
        if let Some(out) = self.translate(pass, client, &response) {
            self.respond(server, &out);
        }
    }

    fn relay_success(&mut self, pass: u64, client: u64, response: Message) {
        let invite = *response.method() == Method::Invite;
        let Some(p) = self.passes.get(&pass) else { return };
        // §16.7 step 5: every 2xx to INVITE goes back; of others the first.
        if p.done && !invite {
            return;
        }
        let server = p.server;
        let Some(out) = self.translate(pass, client, &response) else { return };
        let Some(p) = self.passes.get_mut(&pass) else { return };
        p.done = true;
        let kind = p.kind.clone();
        self.cancel_branches(pass);
        // Over a stream the answer ends the transaction, and with it the pass.
        self.respond(server, &out);
        self.after_success(&kind, client, &response);
    }

    fn relay_failure(&mut self, pass: u64, client: u64, response: Message) {
        let status = response.status();
        let Some(mut out) = self.translate(pass, client, &response) else { return };
        if status == 503 {
            // §16.7 step 6: our client would take a 503 for the gateway's own.
            out.set_status(500, "Server Internal Error");
            out.remove(&Name::RetryAfter);
        }
        self.failed(pass, out);
        if status >= 600 {
            self.cancel_branches(pass);
        }
    }

    /// A branch ended without an answer from the network.
    pub(crate) fn branch_failed(&mut self, pass: u64, client: u64, status: u16, phrase: &str) {
        let Some(p) = self.passes.get_mut(&pass) else { return };
        let server = p.server;
        let cancelled = p.cancelled;
        match p.branch_mut(client) {
            Some(b) if b.state == BranchState::Pending => b.state = BranchState::Final,
            Some(_) | None => return,
        }
        self.timers.stop(TimerKey::Client(client, Timer::C));
        let (status, phrase) =
            if cancelled { (487, "Request Terminated") } else { (status, phrase) };
        let Some(t) = self.tx.server(server) else { return };
        let mut out = Message::response(&t.request, status, phrase);
        self.tag_response(&mut out);
        self.failed(pass, out);
    }

    /// Keeps the better of two failures; answers when no branch is left (§16.7 steps 6–9).
    pub(crate) fn failed(&mut self, pass: u64, out: Message) {
        let Some(p) = self.passes.get_mut(&pass) else { return };
        let better = p.best.as_ref().is_none_or(|b| rank(out.status()) < rank(b.status()));
        if better {
            p.best = Some(out);
        }
        let waiting = p.branches.iter().any(|b| b.state == BranchState::Pending);
        if waiting || p.done {
            return;
        }
        p.done = true;
        let (server, best, kind) = (p.server, p.best.take(), p.kind.clone());
        if let Some(best) = best {
            self.respond(server, &best);
            self.after_failure(&kind, &best);
        }
    }

    /// CANCELs every branch without a final answer (§16.7 step 10).
    pub(crate) fn cancel_branches(&mut self, pass: u64) {
        let Some(p) = self.passes.get_mut(&pass) else { return };
        let mut now = Vec::new();
        for b in p.branches.iter_mut().filter(|b| b.state == BranchState::Pending) {
            match self.tx.client(b.client) {
                Some(t) if *t.request.method() != Method::Invite => {}
                Some(t) if t.proceeding => now.push(b.client),
                Some(_) => b.cancel = true,
                None => {}
            }
        }
        for client in now {
            self.cancel_client(client);
        }
    }

    /// A branch was cancelled and never answered (§9.1: 64·T1).
    pub(crate) fn cancel_unanswered(&mut self, client: u64) {
        if let Some(pass) = self.tx.client(client).and_then(|t| t.pass) {
            self.branch_failed(pass, client, 487, "Request Terminated");
        }
        self.client_event(client, Event::TransportError);
    }

    /// Timer C (§16.8): a ringing branch is cancelled, a silent one counts as 408.
    pub(crate) fn timer_c(&mut self, client: u64) {
        self.stats.timeouts[1] += 1;
        let Some(t) = self.tx.client(client) else { return };
        let (pass, proceeding) = (t.pass, t.proceeding);
        if proceeding {
            self.cancel_client(client);
        } else if let Some(pass) = pass {
            self.branch_failed(pass, client, 408, "Request Timeout");
        }
    }

    /// CANCEL (§9.2, §16.10): answered here, and sent down every pending branch.
    pub(crate) fn receive_cancel(&mut self, request: Message, reply: Flow) {
        let Some(server) = self.tx.find(&ServerKey::cancelled_by(&request)) else {
            self.refuse(&request, reply, 481, "Call/Transaction Does Not Exist", None);
            self.count_rejected(reply, RejectReason::NoDialog);
            return;
        };
        let same = self.tx.server(server).is_some_and(|t| t.reply.peer.ip() == reply.peer.ip());
        if !same {
            self.security("in_dialog_source", reply, "CANCEL from another source".to_owned());
            self.refuse(&request, reply, 481, "Call/Transaction Does Not Exist", None);
            return;
        }
        let mut ok = Message::response(&request, 200, "OK");
        self.tag_response(&mut ok);
        let id = self.accept(ServerKey::of(&request), request, reply);
        self.respond(id, &ok);
        let Some(pass) = self.tx.server(server).and_then(|t| t.pass) else { return };
        let Some(p) = self.passes.get_mut(&pass) else { return };
        if p.done || p.cancelled {
            return;
        }
        p.cancelled = true;
        if p.branches.is_empty() {
            return;
        }
        self.cancel_branches(pass);
    }

    /// The server transaction is over, and with it the response context.
    pub(crate) fn server_gone(&mut self, pass: u64) {
        self.passes.remove(&pass);
    }

    /// Adds a To tag of ours where there is none.
    pub(crate) fn tag_response(&self, response: &mut Message) {
        if response.to_tag().is_some() {
            return;
        }
        let via = response.first(&Name::Via).unwrap_or_default().to_vec();
        let tag = self.random.derived(&[response.call_id().as_bytes(), &via]);
        if let Some(to) = response.first(&Name::To) {
            let to = headers::with_tag(to, &tag);
            response.set(Name::To, to);
        }
    }
}

/// Which failure tells the caller most (§16.7 step 6): lower is better.
fn rank(status: u16) -> u16 {
    match status {
        600..=699 => 0,
        401 | 407 => 1,
        415 | 420 | 484 | 488 => 2,
        300..=399 => 3,
        486 | 480 => 4,
        400..=499 if status != 408 && status != 487 => 5,
        500..=599 => 6,
        _ => 7,
    }
}
