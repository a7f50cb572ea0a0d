//! SIP over UDP: one task a socket reads datagrams into the event loop; sending is a call. It never
//! looks into a message beyond telling keep-alives from messages.

use super::inlet::{Inlet, NotTaken};
use crate::config::Listener;
use crate::ground::Flow;
use crate::wire::sip::is_keepalive;
use bytes::Bytes;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Receive buffer asked of the kernel (best effort).
const BUFFER: usize = 1 << 20;

/// One bound SIP socket.
#[derive(Clone, Debug)]
pub struct SipSocket {
    /// Watched for reading only: each datagram that has left would else wake the loop to say that
    /// there is room for another.
    socket: Arc<AsyncFd<UdpSocket>>,
    listener: Listener,
    dropped: Arc<AtomicU64>,
}

impl SipSocket {
    /// Binds.
    ///
    /// # Errors
    /// What the kernel says: the address is taken, not ours, or not allowed.
    pub fn bind(listener: Listener, dscp: u8) -> io::Result<Self> {
        let domain = Domain::for_address(listener.bind);
        let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        let _ = socket.set_recv_buffer_size(BUFFER);
        if listener.bind.is_ipv4() {
            let _ = socket.set_tos_v4(u32::from(dscp) << 2);
        } else {
            let _ = socket.set_tclass_v6(u32::from(dscp) << 2);
        }
        socket.bind(&SockAddr::from(listener.bind))?;
        let socket = Arc::new(for_reading(socket.into())?);
        Ok(Self { socket, listener, dropped: Arc::new(AtomicU64::new(0)) })
    }

    /// Reads until the event loop is gone. A full queue drops what comes: SIP repeats itself.
    pub async fn read(self, inlet: Inlet) {
        let mut buffer = vec![0_u8; 65_536];
        loop {
            // Fails when the runtime ends.
            let Ok(mut ready) = self.socket.readable().await else { return };
            // Nothing is there after all, or an ICMP error surfaces: it ends nothing.
            let got = ready.try_io(|socket| socket.get_ref().recv_from(&mut buffer));
            let Ok(Ok((size, peer))) = got else { continue };
            let Some(data) = buffer.get(..size).filter(|d| !is_keepalive(d)) else { continue };
            let flow = Flow {
                listener: self.listener.id,
                transport: self.listener.transport,
                peer: canonical(peer),
                conn: None,
            };
            match inlet.offer(flow, Bytes::copy_from_slice(data)) {
                Ok(()) => {}
                Err(NotTaken::Full) => {
                    self.dropped.fetch_add(1, Ordering::Relaxed);
                    tokio::task::yield_now().await;
                }
                Err(NotTaken::Closed) => return,
            }
        }
    }

    /// Sends one datagram; what the kernel cannot take now is lost, as on any network.
    pub fn send(&self, to: SocketAddr, bytes: &[u8]) {
        if self.socket.get_ref().send_to(bytes, to).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Datagrams dropped here in either direction.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

#[expect(unsafe_code, reason = "no safe way watches for reading only")]
fn for_reading(socket: UdpSocket) -> io::Result<AsyncFd<UdpSocket>> {
    // SAFETY: a `UdpSocket` owns its descriptor, names the same one always and closes it when it is
    // dropped, which the `AsyncFd` does.
    unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) }.map_err(Into::into)
}

pub(crate) fn canonical(peer: SocketAddr) -> SocketAddr {
    SocketAddr::new(peer.ip().to_canonical(), peer.port())
}
