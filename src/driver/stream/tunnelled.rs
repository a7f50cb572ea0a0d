//! Connections by a tunnel. There are a few, always the same, and each is a stream of whatever
//! connection the tunnel has now: so that a dialog's messages keep their order, one that was lost
//! on its way holds up a part of them only, and nobody loses his way when the tunnel is made anew.
//! What may not have come through is told, for the engine to say again. Who is at the other end has
//! proved it by the tunnel's key.

use super::Streams;
use super::bells::Bells;
use super::way::Way;
use crate::config::TUNNEL_PORT;
use crate::driver::Arrival;
use crate::driver::tunnel::{GROUPS, Link, Stream};
use crate::ground::{ConnId, Flow, ListenerId, Transport};
use crate::policy::quota::Holder;
use bytes::Bytes;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// Who asked waits so long for a tunnel that has broken off; then he hears that it has failed.
const PATIENCE: Duration = Duration::from_secs(5);

/// The connections of one tunnel.
pub(super) type Groups = [ConnId; GROUPS];

/// The group of a message of ours: all of a Call-ID go one way.
fn group(message: &[u8]) -> usize {
    const NAME: &[u8] = b"\r\nCall-ID: ";
    let from = memchr::memmem::find(message, NAME).map_or(message.len(), |at| at + NAME.len());
    let rest = message.get(from..).unwrap_or_default();
    let id = rest.iter().take_while(|octet| !matches!(octet, b'\r' | b'\n'));
    let sum = id.fold(0, |sum: u32, octet| sum.wrapping_mul(31).wrapping_add((*octet).into()));
    usize::try_from(sum).unwrap_or(0) % GROUPS
}

impl Streams {
    /// Carries the messages of a tunnel until the event loop is gone.
    pub async fn tunnelled(self, link: Arc<Link>, listener: ListenerId) {
        let (transport, peer) = (Transport::Tls, SocketAddr::new(link.far(), TUNNEL_PORT));
        let flow = Flow { listener, transport, peer, conn: None, upstream: None };
        let mut conns = Vec::with_capacity(GROUPS);
        let mut tasks = tokio::task::JoinSet::new();
        for group in 0..GROUPS {
            // Nobody else can be there: the file let it in.
            let holder = Some(Holder::Upstream);
            let entered = self.table().enter(Way::of(&flow), self.side(listener), holder);
            let Some((conn, bells)) = entered else { return };
            conns.push(conn);
            let flow = Flow { conn: Some(conn), ..flow };
            tasks.spawn(self.clone().carry(link.clone(), flow, group, bells));
        }
        if let Ok(conns) = Groups::try_from(conns) {
            self.groups.rcu(|all| {
                let mut all = (**all).clone();
                all.insert(listener, conns);
                all
            });
        }
        while tasks.join_next().await.is_some() {}
    }

    /// One of its groups, by one stream after the other.
    async fn carry(self, link: Arc<Link>, flow: Flow, group: usize, bells: Arc<Bells>) {
        let (mut before, mut next) = (false, None);
        while !self.inlet.is_closed() {
            let stream = match next.take() {
                Some(stream) => stream,
                None => match self.next(&link, flow, group).await {
                    Some(stream) => stream,
                    None => return,
                },
            };
            self.introduced(&link, flow, before).await;
            let Stream { read, write } = stream;
            tokio::select! {
                () = self.read(read, flow, (None, &bells.beat)) => {}
                () = self.write(write, flow, &bells) => {}
                // What carries the tunnel is another now.
                newer = link.stream(group) => next = newer,
            }
            before = true;
        }
    }

    /// The next stream, whenever it comes; whoever waits for an answer is told when it takes long.
    async fn next(&self, link: &Link, flow: Flow, group: usize) -> Option<Stream> {
        if let Ok(stream) = timeout(PATIENCE, link.stream(group)).await {
            return stream;
        }
        self.inlet.tell(Arrival::Failed(flow)).await;
        link.stream(group).await
    }

    /// Who is at its other end; and, where there was another stream, that what went by that may be
    /// lost.
    async fn introduced(&self, link: &Link, flow: Flow, before: bool) {
        let names = link.proof().into_iter().collect();
        self.inlet.tell(Arrival::Secured { flow, names }).await;
        if before {
            self.inlet.tell(Arrival::Broken(flow)).await;
        }
    }

    /// The connection of a tunnel that carries a message by this listener; `None`: it is no
    /// tunnel's.
    pub(super) fn by_tunnel(&self, listener: ListenerId, message: &[u8]) -> Option<ConnId> {
        let groups = self.groups.load();
        groups.get(&listener)?.get(group(message)).copied()
    }

    /// It is a tunnel's, which ends with the tunnel alone.
    pub(super) fn is_tunnelled(&self, conn: ConnId) -> bool {
        self.groups.load().values().any(|conns| conns.contains(&conn))
    }

    /// Sends by a tunnel.
    pub(super) fn send_by_tunnel(&self, link: &Link, flow: Flow, bytes: Bytes) {
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
