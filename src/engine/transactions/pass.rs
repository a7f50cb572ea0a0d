//! A pass: one crossing of the gateway by one request, and its response context (RFC 3261 §16.7).
//! Branches, the best answer, Timer C. It never reads a body, a policy, or what the pass is for.

mod next_way;
mod spare;
mod withdrawn;

use super::client::Client;
use super::lost::say_unreached;
use super::{Answer, Due, Heard, Timer, Transactions};
use crate::engine::calls::LegState;
use crate::engine::ids::{ClientId, PassId, ServerId};
use crate::engine::outbox::Outbox;
use crate::engine::purpose::Purpose;
use crate::engine::world::World;
use crate::ground::{Flow, ListenerId, Mono};
use crate::wire::sip::{Message, Method};
pub(crate) use next_way::{Onward, is_long, spared};
use next_way::{Why, by_stream, lead_by};
pub(crate) use spare::Spare;

/// Why a branch is cancelled when another answered: no phone shows a missed call (RFC 3326 §2).
const ELSEWHERE: &[u8] = b"SIP;cause=200;text=\"Call completed elsewhere\"";

/// Why one is cancelled whose answer may not cross.
const REFUSED: &[u8] = b"SIP;cause=488;text=\"Not Acceptable Here\"";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BranchState {
    Pending,
    Final,
}

/// One branch.
#[derive(Debug)]
struct Branch {
    client: ClientId,
    state: BranchState,
    /// CANCEL is to follow as soon as a provisional answer allows it, with these reasons.
    cancel: Option<Vec<Vec<u8>>>,
    /// It was cancelled, and nothing it says counts any more.
    given_up: bool,
    /// The callee leg as it will be, for dialog-forming requests.
    leg: Option<LegState>,
    /// Other ways to whom it asks.
    spare: Spare,
    /// Nothing was heard of it, and another way is tried beside it: it is not waited for.
    left: bool,
    /// It has said more than 100: somebody rings.
    rang: bool,
}

/// One crossing.
#[derive(Debug)]
pub(crate) struct Pass {
    server: ServerId,
    ingress: ListenerId,
    purpose: Purpose,
    branches: Vec<Branch>,
    /// When the first of them was sent.
    began: Option<Mono>,
    best: Option<Message>,
    done: bool,
    cancelled: bool,
    /// It was taken back: another stands in its place.
    withdrawn: bool,
    /// The core has other ways where all branches fail, or one says nothing.
    insists: bool,
    /// Its failure is held back while who is asked there is in question, or nothing leads there.
    held: Option<Flow>,
}

impl Pass {
    pub(crate) fn server(&self) -> ServerId {
        self.server
    }

    /// The socket the request came by.
    pub(crate) fn ingress(&self) -> ListenerId {
        self.ingress
    }

    /// Its caller has given up.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled
    }

    pub(crate) fn purpose(&self) -> &Purpose {
        &self.purpose
    }

    /// Its caller has an answer, or wants none.
    pub(super) fn is_over(&self) -> bool {
        self.done || self.cancelled
    }

    fn branch_mut(&mut self, client: ClientId) -> Option<&mut Branch> {
        self.branches.iter_mut().find(|b| b.client == client)
    }
}

impl Transactions {
    pub(crate) fn pass(&self, id: PassId) -> Option<&Pass> {
        self.passes.get(&id)
    }

    /// The callee leg that a branch began with.
    pub(crate) fn branch_leg(&self, pass: PassId, client: ClientId) -> Option<&LegState> {
        let branches = &self.passes.get(&pass)?.branches;
        branches.iter().find(|b| b.client == client)?.leg.as_ref()
    }

    /// Registers a pass for a server transaction.
    pub(crate) fn open_pass(
        &mut self,
        server: ServerId,
        ingress: ListenerId,
        purpose: Purpose,
    ) -> PassId {
        let id = PassId::new(self.ids.next());
        if let Some(t) = self.servers.get_mut(&server) {
            t.pass = Some(id);
        }
        let (branches, began, best) = (Vec::new(), None, None);
        let (done, cancelled, withdrawn) = (false, false, false);
        let pass = Pass {
            server,
            ingress,
            purpose,
            branches,
            began,
            best,
            done,
            cancelled,
            withdrawn,
            insists: false,
            held: None,
        };
        self.passes.insert(id, pass);
        id
    }

    /// Sends a rewritten request as a new branch of a pass.
    pub(crate) fn open_branch(
        &mut self,
        w: &World,
        out: &mut Outbox,
        pass: PassId,
        way: (Message, String, Flow),
        mut leg: Option<LegState>,
        mut spare: Spare,
    ) {
        let (mut request, branch, mut flow) = way;
        if let Some(stream) = by_stream(&request, &flow, &mut spare) {
            lead_by(w, &mut request, &stream, &branch);
            flow = stream;
            leg.iter_mut().for_each(|leg| leg.flow = stream);
        }
        let invite = *request.method() == Method::Invite;
        let client = self.forward(w, out, request, branch, flow, Some(pass));
        let now = w.now().mono;
        if let Some(p) = self.passes.get_mut(&pass) {
            let began = *p.began.get_or_insert(now);
            if !invite && began < now {
                // All end when the first would (RFC 4320 §4.2): its sender waits no longer.
                let over = began + w.timing(&flow).give_up();
                self.timers.set(Due::Client(client, Timer::F), over);
            }
            if !spare.is_empty() || p.insists {
                let waited = now.since(began);
                let after = spare.patience(&flow, &w.config().timers, (!invite).then_some(waited));
                self.timers.set(Due::NextTarget(client), now + after);
            }
            let (state, cancel, given_up) = (BranchState::Pending, None, false);
            let (left, rang) = (false, false);
            p.branches.push(Branch { client, state, cancel, given_up, leg, spare, left, rang });
        }
        if invite {
            self.arm_timer_c(w, client);
        }
    }

    fn arm_timer_c(&mut self, w: &World, client: ClientId) {
        self.timers.set(Due::Client(client, Timer::C), w.now().mono + w.config().timers.c);
    }

    /// A response reached the context by one of its branches.
    pub(super) fn up(
        &mut self,
        w: &World,
        out: &mut Outbox,
        pass: PassId,
        client: ClientId,
        flow: Flow,
        response: Message,
    ) {
        let (status, invite) = (response.status(), *response.method() == Method::Invite);
        let fault = self.clients.get_mut(&client).and_then(|t| t.fault.take());
        let answer = Answer { pass, client, flow, response, fault };
        let known = self.passes.get_mut(&pass).map(|p| (p.done, p.cancelled, p.branch_mut(client)));
        let Some((done, cancelled, Some(branch))) = known.filter(|(.., b)| !given_up(b)) else {
            // It counted already; only a 2xx has somebody at its other end who must hear of it.
            if status >= 200 {
                self.timers.stop(Due::CancelWait(client));
            } else {
                self.cancel_left(w, out, pass, client);
            }
            if invite && (200..300).contains(&status) {
                self.heard.push_back(Heard::Orphan(answer));
            }
            return;
        };
        let quiet = done || cancelled;
        if status < 200 {
            if let Some(reasons) = branch.cancel.take() {
                self.cancel_client(w, out, client, &reasons);
            } else if status > 100 && invite {
                branch.rang = true;
                // §16.7 step 2: 101–199 restart Timer C; 100 goes no further. RFC 4320: no
                // provisional answers for other requests.
                self.arm_timer_c(w, client);
                if !quiet {
                    self.heard.push_back(Heard::Provisional(answer));
                }
            }
            return;
        }
        if let Some(after) = spared(&answer.response) {
            self.heard.push_back(Heard::Busy(flow, after));
        }
        // RFC 3263 §4.3: who is overloaded sends us to the next.
        if status == 503 && self.try_next(w, out, pass, client, Why::Failed) {
            return;
        }
        let Some(branch) = self.passes.get_mut(&pass).and_then(|p| p.branch_mut(client)) else {
            return;
        };
        branch.state = BranchState::Final;
        self.timers.stop(Due::Client(client, Timer::C));
        self.timers.stop(Due::CancelWait(client));
        if status >= 300 {
            self.heard.push_back(Heard::Failure(answer));
        } else if invite || !done {
            // §16.7 step 5: every 2xx to INVITE goes back; of others the first.
            self.heard.push_back(Heard::Success(answer));
        }
    }

    /// A branch that cannot come to a good end is cancelled, and nothing it says counts any more.
    pub(crate) fn give_up(&mut self, w: &World, out: &mut Outbox, pass: PassId, client: ClientId) {
        let Some(branch) = self.passes.get_mut(&pass).and_then(|p| p.branch_mut(client)) else {
            return;
        };
        branch.state = BranchState::Final;
        branch.given_up = true;
        self.timers.stop(Due::Client(client, Timer::C));
        self.cancel_client(w, out, client, &[REFUSED.to_vec()]);
    }

    /// A 2xx goes back, and the other branches are cancelled. Over a stream this ends the
    /// transaction, and with it the pass.
    pub(crate) fn succeed(&mut self, w: &World, out: &mut Outbox, pass: PassId, answer: &Message) {
        let Some(p) = self.passes.get_mut(&pass) else { return };
        p.done = true;
        let server = p.server;
        self.cancel_branches(w, out, pass, &[ELSEWHERE.to_vec()]);
        self.respond(w, out, server, answer);
    }

    /// A branch ended without an answer from the network.
    pub(super) fn silent(
        &mut self,
        w: &World,
        out: &mut Outbox,
        pass: PassId,
        client: ClientId,
        status: u16,
        phrase: &str,
    ) {
        if self.try_next(w, out, pass, client, Why::Failed) {
            return;
        }
        let Some(p) = self.passes.get_mut(&pass) else { return };
        let (server, cancelled) = (p.server, p.cancelled);
        match p.branch_mut(client) {
            Some(b) if b.state == BranchState::Pending => b.state = BranchState::Final,
            Some(_) | None => return,
        }
        self.timers.stop(Due::Client(client, Timer::C));
        let (status, phrase) =
            if cancelled { (487, "Request Terminated") } else { (status, phrase) };
        if let Some(t) = self.server(server) {
            let mut answer = w.answer(t.request(), status, phrase);
            if let Some(asked) = self.clients.get(&client).filter(|_| status == 503) {
                say_unreached(w, &mut answer, &t.came(), &asked.flow);
            }
            self.failed(w, out, pass, answer);
        }
    }

    /// Keeps the better of two failures; answers when no branch is left (§16.7 steps 6–9).
    pub(crate) fn failed(&mut self, w: &World, out: &mut Outbox, pass: PassId, answer: Message) {
        let Some(p) = self.passes.get_mut(&pass) else { return };
        if p.best.as_ref().is_none_or(|b| rank(answer.status()) < rank(b.status())) {
            p.best = Some(answer);
        }
        let waiting = p.branches.iter().any(|b| b.state == BranchState::Pending && !b.left);
        if waiting || p.done {
            return;
        }
        if p.wants_more() {
            self.heard.push_back(Heard::Exhausted(pass));
            return;
        }
        if p.held.is_some() {
            return;
        }
        self.conclude(w, out, pass);
    }

    /// No other branch will answer: the best failure goes back.
    pub(super) fn conclude(&mut self, w: &World, out: &mut Outbox, pass: PassId) {
        let Some(p) = self.passes.get_mut(&pass) else { return };
        p.done = true;
        let (server, purpose) = (p.server, p.purpose.clone());
        let best = p.best.take();
        // Whoever was left may ring yet.
        self.cancel_branches(w, out, pass, &[ELSEWHERE.to_vec()]);
        if let Some(response) = best {
            self.respond(w, out, server, &response);
            self.heard.push_back(Heard::Failed { purpose, response });
        }
    }

    /// A final answer of ours ends the pass; branches that are pending are not waited for.
    pub(crate) fn settle(&mut self, w: &World, out: &mut Outbox, pass: PassId, answer: &Message) {
        let Some(p) = self.passes.get_mut(&pass) else { return };
        p.done = true;
        let server = p.server;
        self.respond(w, out, server, answer);
    }

    /// The caller wants no answer any more, for these reasons.
    pub(crate) fn cancelled(
        &mut self,
        w: &World,
        out: &mut Outbox,
        pass: PassId,
        reasons: &[Vec<u8>],
    ) {
        let Some(p) = self.passes.get_mut(&pass) else { return };
        if p.done || p.cancelled {
            return;
        }
        p.cancelled = true;
        self.cancel_branches(w, out, pass, reasons);
    }

    /// CANCELs every branch without a final answer (§16.7 step 10), with these reasons (RFC 3326).
    pub(crate) fn cancel_branches(
        &mut self,
        w: &World,
        out: &mut Outbox,
        pass: PassId,
        reasons: &[Vec<u8>],
    ) {
        let Some(p) = self.passes.get_mut(&pass) else { return };
        let mut now = Vec::new();
        for b in p.branches.iter_mut().filter(|b| b.state == BranchState::Pending) {
            // Nobody waits for what was left: what it says from now on is for us alone.
            b.given_up |= b.left;
            match self.clients.get(&b.client).filter(|t| t.is_invite()) {
                Some(t) if Client::is_proceeding(t) => now.push(b.client),
                Some(_) => b.cancel = Some(reasons.to_vec()),
                None => {}
            }
        }
        for client in now {
            self.cancel_client(w, out, client, reasons);
        }
    }
}

fn given_up(branch: &Option<&mut Branch>) -> bool {
    branch.as_ref().is_some_and(|b| b.given_up)
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
