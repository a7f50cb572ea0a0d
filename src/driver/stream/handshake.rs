//! The beginning of a connection by TLS: whoever has said what he begins with has his turn, bounded
//! in time and octets, worked at beside the event loop, half open until a message comes, ended when
//! its place is taken. What fails is told in words.

use super::Streams;
use super::bells::Bells;
use super::carried::{Carried, Secured};
use super::hands::Spent;
use super::turns::{Step, Whose};
use crate::driver::Arrival;
use crate::driver::tls::{Dial, Failure};
use crate::ground::{ConnId, Flow};
use rustls::pki_types::CertificateDer;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// A handshake is done within this, and what begins it is there.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Octets that one in progress counts for: the longest that is read of a peer, and what is made of
/// it.
const HELD: usize = 64 * 1024;

/// How a handshake ended.
fn ended<T>(done: Result<io::Result<T>, tokio::time::error::Elapsed>) -> Result<T, Failure> {
    match done {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(e)) => Err(Failure::of(&e)),
        Err(_) => Err(Failure::late()),
    }
}

/// What a handshake in progress holds, until it is dropped; what working on it takes is counted.
struct Held(Streams, ConnId, Spent);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.callers().turns.leave(self.1, self.2.taken(), Instant::now());
        self.0.table().hold(self.1, 0);
    }
}

impl Streams {
    /// Waits for its turn, until then at most. `None`: there was none, or no room.
    async fn turn(&self, flow: &Flow, until: Instant) -> Option<Held> {
        let conn = flow.conn?;
        // Before its turn comes: who is not there any more when it does gives it back.
        let held = Held(self.clone(), conn, Spent::default());
        let who = (self.side(flow.listener), flow.peer.ip(), flow.listener);
        let begun = self.callers().wait(conn, who);
        self.lead();
        timeout_at(until, begun).await.ok()?.ok()?;
        // Not in one line: what is dropped where there is no room takes the same lock.
        let has_room = self.table().hold(conn, HELD);
        has_room.then_some(held)
    }

    /// Sees to it that those who wait get their turn, where nobody does.
    fn lead(&self) {
        if std::mem::replace(&mut self.callers().is_led, true) {
            return;
        }
        let streams = self.clone();
        tokio::spawn(async move {
            loop {
                let step = streams.callers().lead();
                match step {
                    Step::Begun(gone) => {
                        let mut table = streams.table();
                        gone.into_iter().for_each(|conn| table.cut(conn));
                    }
                    Step::Wait(until) => sleep_until(until).await,
                    Step::Idle => return,
                }
            }
        });
    }

    /// Takes what he begins with: nobody has a turn by being there. False: there is no room for it.
    async fn hear_hello(&self, carried: &mut Carried, flow: &Flow) -> Result<bool, Failure> {
        let Some(conn) = flow.conn else { return Ok(false) };
        let whole = async {
            while let Some(kept) = carried.hello().await? {
                if !self.table().hold(conn, kept) {
                    return io::Result::Ok(false);
                }
            }
            Ok(true)
        };
        ended(timeout(HANDSHAKE, whole).await)
    }

    /// Waits for what he begins with, then for his turn. `None`: it came to nothing, which is told.
    async fn begun(&self, carried: &mut Carried, flow: &Flow, until: Instant) -> Option<Held> {
        match self.hear_hello(carried, flow).await {
            Ok(true) => self.turn(flow, until).await,
            Ok(false) => None,
            Err(failure) => {
                self.fails(flow, &failure);
                None
            }
        }
    }

    /// A handshake of who has called us has come to nothing.
    fn fails(&self, flow: &Flow, failure: &Failure) {
        let side = self.side(flow.listener);
        let is_known = self.callers().is_known(side, flow.peer.ip());
        self.tls.failed(side, failure, Some((flow.peer, is_known)));
    }

    /// The octets of what he has shown are counted as long as they are kept. False: there is no
    /// room for them.
    fn counts(&self, flow: &Flow, shown: Option<&[CertificateDer<'_>]>) -> bool {
        let octets = shown.unwrap_or_default().iter().map(|one| one.len()).sum();
        octets == 0 || flow.conn.is_some_and(|conn| self.table().show(conn, octets))
    }

    /// Somebody calls us, and has to have said something by then.
    pub(super) async fn welcome(
        self,
        stream: TcpStream,
        flow: Flow,
        bells: Arc<Bells>,
        until: Instant,
    ) {
        let interface = self.listener(flow.listener).map(|(l, _)| l.interface);
        let Some(welcome) = interface.and_then(|i| self.tls.server(i)) else {
            return self.over(flow).await;
        };
        self.set_up(&stream, flow.listener);
        let mut carried = Carried::of_caller(stream);
        let turn = tokio::select! {
            turn = self.begun(&mut carried, &flow, until) => turn,
            () = bells.gone.notified() => None,
        };
        let Some(held) = turn else { return self.over(flow).await };
        let shown = welcome.config.clone();
        let whose = self.callers().whose(self.side(flow.listener), flow.peer.ip());
        let shaking = self.hands.work(whose, &held.2, async move {
            let mut stream = TlsAcceptor::from(shown).accept(carried).await?;
            stream.get_mut().0.done();
            Ok(stream)
        });
        let done = tokio::select! {
            done = timeout(HANDSHAKE, shaking) => ended(done),
            () = bells.gone.notified() => {
                drop(held);
                return self.over(flow).await;
            }
        };
        drop(held);
        let stream = match done {
            Ok(stream) => stream,
            Err(failure) => {
                self.fails(&flow, &failure);
                return self.over(flow).await;
            }
        };
        if !self.counts(&flow, stream.get_ref().1.peer_certificates()) {
            return self.over(flow).await;
        }
        match self.tls.caller(flow, &welcome) {
            Some(Ok(names)) if !names.is_empty() => {
                self.inlet.tell(Arrival::Secured { flow, names }).await;
            }
            Some(Err(failure)) => {
                self.inlet.tell(Arrival::Unnamed { flow, why: failure.text }).await;
            }
            Some(Ok(_)) | None => {}
        }
        let (read, write) = tokio::io::split(Secured(stream.into()));
        self.serve(read, write, flow, bells, Some(until)).await;
    }

    /// Who is called refuses us after our handshake is done.
    pub(super) async fn refused(&self, flow: Flow, error: &io::Error) {
        let Some(failure) = Failure::belated(error) else { return };
        self.tls.failed(self.side(flow.listener), &failure, None);
        self.inlet.tell(Arrival::Unproved { flow, why: failure.text }).await;
        self.inlet.tell(Arrival::Failed(flow)).await;
    }

    /// We call an upstream. It waits for no turn: how often it is called is our own doing.
    pub(super) async fn introduce(
        self,
        stream: TcpStream,
        flow: Flow,
        bells: Arc<Bells>,
        dial: Dial,
    ) {
        self.set_up(&stream, flow.listener);
        let Some(conn) = flow.conn else { return };
        let held = Held(self.clone(), conn, Spent::default());
        if !self.table().hold(conn, HELD) {
            self.forget(&flow);
            self.inlet.tell(Arrival::Failed(flow)).await;
            return;
        }
        let (config, name) = (dial.config.clone(), dial.name.clone());
        let shaking = self.hands.work(Whose::Known, &held.2, async move {
            let connect = TlsConnector::from(config).connect(name, Carried::of_called(stream));
            let mut stream = connect.await?;
            stream.get_mut().0.done();
            Ok(stream)
        });
        let done = tokio::select! {
            done = timeout(HANDSHAKE, shaking) => ended(done),
            () = bells.gone.notified() => {
                drop(held);
                return self.over(flow).await;
            }
        };
        drop(held);
        match done {
            Ok(stream) => {
                self.counts(&flow, stream.get_ref().1.peer_certificates());
                self.tls.called(flow, &dial);
                let (read, write) = tokio::io::split(Secured(stream.into()));
                self.serve(read, write, flow, bells, None).await;
            }
            Err(failure) => {
                self.tls.failed(self.side(flow.listener), &failure, None);
                self.inlet.tell(Arrival::Unproved { flow, why: failure.text }).await;
                self.forget(&flow);
                self.inlet.tell(Arrival::Failed(flow)).await;
            }
        }
    }
}
