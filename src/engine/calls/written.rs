//! A call as it is written down, and as it is read back: wall-clock time, addresses, names. No
//! number of this process, no monotonic time. Only answered calls are kept: an attempt ends with
//! the process that made it.

use super::call::{Call, Fork, Kind, LegState, State};
use super::media::{Face, StoredMedia};
use super::usages::Usages;
use super::{Calls, Due};
use crate::config::{Allow, Hop};
use crate::engine::entry::{Entry, Key, StoredHome};
use crate::engine::ids::UpstreamId;
use crate::engine::outbox::Outbox;
use crate::engine::output::Output;
use crate::engine::phones::Home;
use crate::engine::world::World;
use crate::ground::{CallDirection, CallNo, Flow, Moment, Side, Transport};
use crate::policy::quota::Holder;
use crate::wire::sip::{Aor, Uri};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::sync::Arc;

/// An answered call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredCall {
    /// Its number in records.
    pub call: CallNo,
    /// What our Contacts and Record-Routes of it seal.
    pub token: u64,
    /// It began by `sips:`.
    #[serde(default)]
    pub secure: bool,
    /// It goes by TLS alone.
    #[serde(default)]
    pub tls_alone: bool,
    /// The token of the call whose other pass it is.
    #[serde(default)]
    pub before: Option<u64>,
    /// The caller's leg.
    pub caller: StoredLeg,
    /// The caller's tag.
    pub caller_tag: String,
    /// The callee's legs.
    pub forks: Vec<StoredFork>,
    /// The tag of the fork that answered.
    pub answered: Option<String>,
    /// Highest CSeq each party used: caller, callee.
    pub cseq: [u32; 2],
    /// What the rule that let it pass allows.
    pub allow: Allow,
    /// Registered user it counts against, as an address of record.
    pub user: Option<String>,
    /// Caller as judged.
    pub from: String,
    /// Callee as judged.
    pub to: String,
    /// Which way it goes.
    pub direction: CallDirection,
    /// The INVITE.
    pub started: Moment,
    /// The first 18x, or the 2xx.
    pub ringing: Option<Moment>,
    /// The 2xx.
    pub confirmed: Option<Moment>,
    /// An ACK for the 2xx passed.
    pub acknowledged: bool,
    /// Its media; `None`: it has none.
    pub media: Option<StoredMedia>,
}

/// One fork of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredFork {
    /// The callee's tag.
    pub tag: String,
    /// It sent a 2xx.
    pub answered: bool,
    /// Where it is.
    pub leg: StoredLeg,
}

/// One leg of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredLeg {
    /// Which side it is on.
    pub side: Side,
    /// Our socket.
    pub local: SocketAddr,
    /// By which transport.
    pub transport: Transport,
    /// Where the party is.
    pub peer: SocketAddr,
    /// Call-ID on this leg.
    pub call_id: String,
    /// From as this leg sees it.
    pub from: Octets,
    /// To as this leg sees it, without tag.
    pub to: Octets,
    /// Route set, nearest first.
    pub routes: Vec<Octets>,
    /// The party's Contact.
    pub contact: Option<String>,
    /// The upstream it is.
    pub upstream: Option<String>,
    /// When it began that had nothing but TLS.
    #[serde(default)]
    pub tls_alone: bool,
    /// The registration it is reached by.
    pub home: Option<StoredHome>,
}

/// A header value: text where it is UTF-8, else its octets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Octets {
    /// UTF-8.
    Text(String),
    /// Anything else.
    Raw(Vec<u8>),
}

impl From<&[u8]> for Octets {
    fn from(octets: &[u8]) -> Self {
        match std::str::from_utf8(octets) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Raw(octets.to_vec()),
        }
    }
}

impl From<Octets> for Vec<u8> {
    fn from(octets: Octets) -> Self {
        match octets {
            Octets::Text(text) => text.into_bytes(),
            Octets::Raw(raw) => raw,
        }
    }
}

impl Calls {
    /// Somebody keeps calls from now on (or no longer): those that are up are told at once.
    pub(crate) fn keep_all(&mut self, w: &World, out: &mut Outbox, keep: bool) {
        let before = std::mem::replace(&mut self.kept, keep);
        for no in self.table.numbers() {
            match keep {
                true => self.keep(w, out, no),
                false if before => out.emit(Output::Forget(Key::Call(no))),
                false => {}
            }
        }
    }

    /// An answered call began or changed: it is kept as it is now, where calls are kept.
    pub(crate) fn keep(&self, w: &World, out: &mut Outbox, no: CallNo) {
        if let Some(stored) = self.kept.then(|| self.written(w, no)).flatten() {
            out.emit(Output::Store(Entry::Call(Box::new(stored))));
        }
    }

    /// It is over.
    pub(super) fn keep_no_longer(&self, out: &mut Outbox, no: CallNo) {
        if self.kept {
            out.emit(Output::Forget(Key::Call(no)));
        }
    }

    fn written(&self, w: &World, no: CallNo) -> Option<StoredCall> {
        let answered = |c: &&Call| c.kind == Kind::Call && c.state == State::Confirmed;
        let c = self.table.get(no).filter(answered)?;
        let fork = |f: &Fork| StoredFork {
            tag: f.tag.clone(),
            answered: f.answered,
            leg: leg(w, &f.callee),
        };
        Some(StoredCall {
            call: no,
            token: c.token,
            secure: c.secure,
            tls_alone: c.tls_alone,
            before: c.before,
            caller: leg(w, &c.caller),
            caller_tag: c.caller_tag.clone(),
            forks: c.forks.iter().map(fork).collect(),
            answered: c.answered.clone(),
            cseq: c.cseq,
            allow: (*c.allow).clone(),
            user: c.user.clone(),
            from: c.from.clone(),
            to: c.to.clone(),
            direction: c.direction,
            started: c.started,
            ringing: c.ringing,
            confirmed: c.confirmed,
            acknowledged: c.acknowledged,
            media: self.media.written(no),
        })
    }

    /// A call as it was before a restart. False: its sockets, or a port, are not ours any more.
    pub(crate) fn read_back(&mut self, w: &World, out: &mut Outbox, s: StoredCall) -> bool {
        let fork = |f: StoredFork| Some((f.tag, f.answered, state(w, f.leg)?));
        let forks: Option<Vec<_>> = s.forks.into_iter().map(fork).collect();
        let (Some(caller), Some(forks)) = (state(w, s.caller), forks) else { return false };
        let at = w.net().source(&caller.flow);
        let user = s.user.as_deref().map(Aor::from);
        let holder = match caller.upstream {
            Some(_) => Holder::Brought(format!("call {}", s.call)),
            None => w.holder(user.as_ref(), false, at),
        };
        if self.table.get(s.call).is_some() || !self.media_back(w, s.call, &holder, s.media) {
            return false;
        }
        // It is written down somewhere, and must be forgotten there when it is over.
        self.kept = true;
        self.numbers.pass(s.call.0);
        self.table.insert(Call {
            no: s.call,
            token: s.token,
            before: s.before,
            kind: Kind::Call,
            state: State::Confirmed,
            caller,
            caller_tag: s.caller_tag,
            forks: Vec::new(),
            asked: None,
            answered: s.answered,
            cseq: s.cseq,
            allow: Arc::new(s.allow),
            user: s.user,
            holder,
            emergency: false,
            from: s.from,
            to: s.to,
            direction: s.direction,
            started: s.started,
            ringing: s.ringing,
            confirmed: s.confirmed,
            pass: None,
            ended_by: None,
            bye_at: None,
            heard: w.now().mono,
            session: None,
            acknowledged: s.acknowledged,
            refused_ack: None,
            reports: [0; 2],
            expected: Vec::new(),
            segments: Vec::new(),
            usages: Usages::default(),
            secure: s.secure,
            tls_alone: s.tls_alone,
            outlived: false,
        });
        for (tag, answered, callee) in forks {
            self.table.add_fork(s.call, &tag, callee);
            if let Some(fork) = self.table.get_mut(s.call).and_then(|c| c.fork_mut(&tag)) {
                fork.answered = answered;
            }
        }
        if !s.acknowledged {
            let wait = w.config().timers.t1 * 64;
            self.timers.set(Due::Ack(s.call), w.now().mono + wait);
        }
        self.listen(w, s.call);
        self.flush_media(out);
        self.show(out, s.call);
        self.keep(w, out, s.call);
        true
    }

    fn media_back(
        &mut self,
        w: &World,
        no: CallNo,
        holder: &Holder,
        stored: Option<StoredMedia>,
    ) -> bool {
        let Some(stored) = stored else { return true };
        let interfaces = w.net().interfaces();
        let face =
            |bind| interfaces.iter().find_map(|i| Some(Face::of(i, i.addresses.bound(bind)?)));
        let [caller, callee] = stored.binds.map(face);
        let Some((caller, callee)) = caller.zip(callee) else { return false };
        let (idle, now) = (w.config().media.idle, w.now().mono);
        self.media.read_back(no, [caller, callee], holder, stored, idle, now)
    }
}

fn leg(w: &World, l: &LegState) -> StoredLeg {
    StoredLeg {
        side: l.side,
        local: w.net().listener(l.flow.listener).map_or(l.flow.peer, |l| l.bind),
        transport: l.flow.transport,
        peer: l.flow.peer,
        call_id: l.call_id.clone(),
        from: l.from.as_slice().into(),
        to: l.to.as_slice().into(),
        routes: l.routes.iter().map(|r| r.as_slice().into()).collect(),
        contact: l.contact.as_ref().map(Uri::to_string),
        upstream: l.upstream.and_then(|id| w.upstream_name(id)).map(str::to_owned),
        tls_alone: l.tls_alone,
        home: l.home.as_ref().map(Home::written),
    }
}

fn state(w: &World, s: StoredLeg) -> Option<LegState> {
    let listener = w.net().bound_exactly(s.local, s.transport)?;
    let upstream = s.upstream.and_then(|name| w.upstream_named(&name));
    let hop = Hop { peer: s.peer, transport: s.transport };
    // Who was reached there by TLS has to prove himself anew; who came himself is not there.
    let proves = |id: &UpstreamId| s.transport.is_secure() && w.places(*id).contains(&hop);
    let flow = Flow {
        listener,
        transport: s.transport,
        peer: s.peer,
        conn: None,
        upstream: upstream.filter(proves),
    };
    Some(LegState {
        side: s.side,
        flow,
        call_id: s.call_id,
        from: s.from.into(),
        to: s.to.into(),
        contact: s.contact.and_then(|c| Uri::parse(c.as_bytes())),
        routes: s.routes.into_iter().map(Vec::from).collect(),
        upstream,
        tls_alone: s.tls_alone,
        home: s.home.map(|home| Home::read_back(home, flow)),
    })
}
