//! Connections by a tunnel. There are a few, always the same, and each is a stream of whatever
//! connection the tunnel has now: so that a dialog's messages keep their order, one that was lost
//! on its way holds up a part of them only, and nobody loses his way when the tunnel is made anew.
//! What may not have come through is told, for the engine to say again. Who is at the other end has
//! proved it by the tunnel's key.

use super::Streams;
use super::bells::Bells;
use super::connection::{WRITTEN_BY_TUNNEL, Whose};
use super::way::Way;
use crate::config::TUNNEL_PORT;
use crate::driver::Arrival;
use crate::driver::tunnel::{GROUPS, Link, Stream};
use crate::ground::{ConnId, Flow, ListenerId, Transport, UpstreamId};
use crate::policy::quota::Holder;
use bytes::Bytes;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::timeout;

/// Who asked waits so long for a tunnel that has broken off; then he hears that it has failed.
const PATIENCE: Duration = Duration::from_secs(5);
/// A stream that has ended alone has another after this, however often that happens.
const AGAIN: Duration = Duration::from_millis(200);

/// The connections of one tunnel, of which the first is what the engine knows: to it there is one.
#[derive(Clone, Debug)]
pub(super) struct Groups {
    conns: [ConnId; GROUPS],
    /// The upstream that was asked by it, as its number and one; 0: none yet.
    asked: Arc<AtomicU64>,
}

/// The group of a message of ours: all of a Call-ID go one way.
fn group(message: &[u8]) -> usize {
    const NAME: &[u8] = b"\r\nCall-ID: ";
    let from = memchr::memmem::find(message, NAME).map_or(message.len(), |at| at + NAME.len());
    let rest = message.get(from..).unwrap_or_default();
    let id = rest.iter().take_while(|octet| !matches!(octet, b'\r' | b'\n'));
    let sum = id.fold(0, |sum: u32, octet| sum.wrapping_mul(31).wrapping_add((*octet).into()));
    usize::try_from(sum).unwrap_or(0) % GROUPS
}

/// One of the connections of a tunnel.
struct Ways {
    group: usize,
    /// The one that the engine knows.
    known: Flow,
    groups: Groups,
    bells: Arc<Bells>,
}

impl Ways {
    /// How those are called who ask by this tunnel.
    fn told(&self) -> Vec<Flow> {
        let asked = self.groups.asked.load(Relaxed).checked_sub(1).map(UpstreamId::new);
        let of_upstream = asked.map(|id| Flow { upstream: Some(id), ..self.known });
        [Some(self.known), of_upstream].into_iter().flatten().collect()
    }
}

impl Streams {
    /// Carries the messages of a tunnel until the event loop is gone.
    pub async fn tunnelled(self, link: Arc<Link>, listener: ListenerId) {
        let (transport, peer) = (Transport::Tls, SocketAddr::new(link.far(), TUNNEL_PORT));
        let flow = Flow { listener, transport, peer, conn: None, upstream: None };
        let (mut conns, mut bells) = (Vec::with_capacity(GROUPS), Vec::with_capacity(GROUPS));
        for _ in 0..GROUPS {
            // Nobody else can be there: the file let it in.
            let holder = Some(Holder::Upstream);
            let entered = self.table().enter(Way::of(&flow), self.side(listener), holder);
            let Some((conn, bell)) = entered else { return };
            conns.push(conn);
            bells.push(bell);
        }
        let Ok(conns) = <[ConnId; GROUPS]>::try_from(conns) else { return };
        let groups = Groups { conns, asked: Arc::default() };
        self.groups.rcu(|all| {
            let mut all = (**all).clone();
            all.insert(listener, groups.clone());
            all
        });
        let known = Flow { conn: conns.first().copied(), ..flow };
        let mut tasks = tokio::task::JoinSet::new();
        for (group, bells) in bells.into_iter().enumerate() {
            let way = Ways { group, known, groups: groups.clone(), bells };
            tasks.spawn(self.clone().carry(link.clone(), way));
        }
        while tasks.join_next().await.is_some() {}
    }

    /// One of its groups, by one stream after the other.
    async fn carry(self, link: Arc<Link>, way: Ways) {
        let (mut before, mut next) = (false, None);
        let own = Flow { conn: way.groups.conns.get(way.group).copied(), ..way.known };
        while !self.inlet.is_closed() {
            let stream = match next.take() {
                Some(stream) => stream,
                None => match self.next(&link, &way).await {
                    Some(stream) => stream,
                    None => return,
                },
            };
            let Stream { read, write, again } = stream;
            self.introduced(&link, &way, (before, again)).await;
            let newer = tokio::select! {
                () = self.read(read, way.known, (Whose::Tunnel, &way.bells.beat)) => None,
                () = self.write(write, own, &way.bells, WRITTEN_BY_TUNNEL) => None,
                // What carries the tunnel is another now.
                newer = link.stream(way.group) => Some(newer),
            };
            before = true;
            match newer {
                Some(newer) => next = newer,
                // It has ended alone, or what carries it has: then another one comes soon.
                None => match timeout(AGAIN, link.stream(way.group)).await {
                    Ok(newer) => next = newer,
                    Err(_) => link.renew(way.group).await,
                },
            }
        }
    }

    /// The next stream, whenever it comes; whoever waits for an answer is told when it takes long.
    /// That is told once of all connections, for they come and go together.
    async fn next(&self, link: &Link, way: &Ways) -> Option<Stream> {
        let mut told = if way.group == 0 { way.told() } else { Vec::new() };
        loop {
            if let Ok(stream) = timeout(PATIENCE, link.stream(way.group)).await {
                return stream;
            }
            // Nobody will open one: what carries the tunnel has to be made anew.
            if link.is_up_since(PATIENCE) {
                link.give_up();
            }
            // What was told to have failed must not be sent when the tunnel is back: it would ring
            // for somebody who has long gone.
            if link.is_lost(PATIENCE) {
                way.groups.conns.iter().for_each(|conn| self.table().abandon(*conn));
            }
            for flow in std::mem::take(&mut told) {
                self.inlet.tell(Arrival::Failed(flow)).await;
            }
        }
    }

    /// Who is at its other end; and, where there was another stream, that what went by that may be
    /// lost. It is told once, where all are others now; `again`: this one is.
    async fn introduced(&self, link: &Link, way: &Ways, (before, again): (bool, bool)) {
        if way.group > 0 && !again {
            return;
        }
        let names = link.proof().into_iter().collect();
        self.inlet.tell(Arrival::Secured { flow: way.known, names }).await;
        for flow in way.told().into_iter().filter(|_| before) {
            self.inlet.tell(Arrival::Broken(flow)).await;
        }
    }

    /// The connection of a tunnel that carries a message by this listener; `None`: it is no
    /// tunnel's.
    pub(super) fn by_tunnel(&self, listener: ListenerId, message: &[u8]) -> Option<ConnId> {
        let groups = self.groups.load();
        groups.get(&listener)?.conns.get(group(message)).copied()
    }

    /// It is a tunnel's, which ends with the tunnel alone.
    pub(super) fn is_tunnelled(&self, conn: ConnId) -> bool {
        self.groups.load().values().any(|groups| groups.conns.contains(&conn))
    }

    /// Sends by a tunnel.
    pub(super) fn send_by_tunnel(&self, link: &Link, flow: Flow, bytes: Bytes) {
        if let Some((upstream, groups)) = flow.upstream.zip(self.groups.load().get(&flow.listener))
        {
            groups.asked.store(upstream.index() as u64 + 1, Relaxed);
        }
        let conn = self.by_tunnel(flow.listener, &bytes).filter(|_| !link.is_lost(PATIENCE));
        match conn {
            Some(conn) => self.table().push(conn, bytes),
            None => self.report(Arrival::Failed(flow)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_messages_of_a_call_go_by_one_stream_and_calls_by_all() {
        let message =
            |line: &str, n: u32| format!("BYE sip:a SIP/2.0\r\nX: 1\r\n{line}{n}\r\n\r\n");
        let mut seen = [0; GROUPS];
        for n in 0..200 {
            seen[group(message("Call-ID: ", n).as_bytes())] += 1;
            let again = format!("SIP/2.0 200 OK\r\nCall-ID: {n}\r\n\r\n");
            assert_eq!(group(again.as_bytes()), group(message("Call-ID: ", n).as_bytes()));
        }
        assert_eq!(group(b"\r\n\r\n"), 0, "a ping");
        assert!(seen.iter().all(|n| *n > 10), "{seen:?}");
    }
}
