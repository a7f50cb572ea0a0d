//! The beginning of a connection by TLS: bounded in time, counted as half open until a message
//! comes, ended when its place is taken. What fails is told in words.

use super::Streams;
use super::connection::set_up;
use super::table::Bells;
use crate::driver::Arrival;
use crate::driver::tls::{Dial, Facts, Failure};
use crate::ground::Flow;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// A handshake is done within this.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How a handshake ended.
fn ended<T>(done: Result<io::Result<T>, tokio::time::error::Elapsed>) -> Result<T, Failure> {
    match done {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(e)) => Err(Failure::of(&e)),
        Err(_) => Err(Failure::late()),
    }
}

impl Streams {
    /// Somebody calls us.
    pub(super) async fn welcome(self, stream: TcpStream, flow: Flow, bells: Arc<Bells>) {
        let interface = self.listener(flow.listener).map(|(l, _)| l.interface);
        let Some(shown) = interface.and_then(|i| self.tls.server(i)) else {
            return self.over(flow).await;
        };
        set_up(&stream);
        let shaking = timeout(HANDSHAKE, TlsAcceptor::from(shown).accept(stream));
        let done = tokio::select! {
            done = shaking => ended(done),
            () = bells.gone.notified() => return self.over(flow).await,
        };
        let stream = match done {
            Ok(stream) => stream,
            Err(failure) => {
                self.tls.failed(self.side(flow.listener), &failure, Some(flow.peer));
                return self.over(flow).await;
            }
        };
        let shown = stream.get_ref().1.peer_certificates().and_then(|all| all.first());
        let names = shown.and_then(|first| Facts::of(first)).map(|facts| facts.subjects());
        if let Some(names) = names.filter(|names| !names.is_empty()) {
            self.inlet.tell(Arrival::Secured { flow, names }).await;
        }
        let (read, write) = tokio::io::split(stream);
        self.serve(read, write, flow, bells, true).await;
    }

    /// Who is called refuses us after our handshake is done.
    pub(super) async fn refused(&self, flow: Flow, error: &io::Error) {
        let Some(failure) = Failure::belated(error) else { return };
        self.tls.failed(self.side(flow.listener), &failure, None);
        self.inlet.tell(Arrival::Unproved { flow, why: failure.text }).await;
        self.inlet.tell(Arrival::Failed(flow)).await;
    }

    /// We call an upstream.
    pub(super) async fn introduce(
        self,
        stream: TcpStream,
        flow: Flow,
        bells: Arc<Bells>,
        dial: Dial,
    ) {
        set_up(&stream);
        let Dial { config, name } = dial;
        let shaking = timeout(HANDSHAKE, TlsConnector::from(config).connect(name, stream));
        let done = tokio::select! {
            done = shaking => ended(done),
            () = bells.gone.notified() => return self.over(flow).await,
        };
        match done {
            Ok(stream) => {
                let (read, write) = tokio::io::split(stream);
                self.serve(read, write, flow, bells, false).await;
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
