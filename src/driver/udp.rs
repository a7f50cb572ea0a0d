//! SIP over UDP: one task a socket reads datagrams into the event loop; sending is a call. It never
//! looks into a message beyond telling keep-alives from messages.

mod undelivered;

use super::Arrival;
use super::inlet::{Inlet, NotTaken};
use super::zone::{Zones, towards};
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
    /// The device that it is at.
    device: u32,
    dropped: Arc<AtomicU64>,
}

impl SipSocket {
    /// Binds.
    ///
    /// # Errors
    /// What the kernel says: the address is taken, not ours, or not allowed.
    pub fn bind(listener: Listener, dscp: u8, zones: &Zones) -> io::Result<Self> {
        let domain = Domain::for_address(listener.bind);
        let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        let _ = socket.set_recv_buffer_size(BUFFER);
        if listener.bind.is_ipv4() {
            let _ = socket.set_tos_v4(u32::from(dscp) << 2);
        } else {
            let _ = socket.set_tclass_v6(u32::from(dscp) << 2);
        }
        // Best effort: without it whoever is not there is found out by silence.
        let _ = undelivered::ask_for(&socket, listener.bind.is_ipv4());
        socket.bind(&SockAddr::from(zones.placed(listener.bind)))?;
        let device = zones.of_own(listener.bind.ip());
        let socket = Arc::new(for_reading(socket.into())?);
        Ok(Self { socket, listener, device, dropped: Arc::new(AtomicU64::new(0)) })
    }

    /// Reads until the event loop is gone. A full queue drops what comes: SIP repeats itself.
    pub async fn read(self, inlet: Inlet) {
        let mut buffer = vec![0_u8; 65_536];
        loop {
            // Fails when the runtime ends.
            let Ok(mut ready) = self.socket.ready(Interest::READABLE | Interest::ERROR).await
            else {
                return;
            };
            // Nothing is there after all, or somebody on the way has something to say of what was
            // sent: it ends nothing.
            let mut told = ready.ready().is_error();
            let got = ready.try_io(|socket| socket.get_ref().recv_from(&mut buffer));
            told |= matches!(got, Ok(Err(_)));
            if told {
                self.hear_errors(&inlet);
            }
            let Ok(Ok((size, peer))) = got else { continue };
            let Some(data) = buffer.get(..size).filter(|d| asks(d)) else { continue };
            let flow = Flow {
                listener: self.listener.id,
                transport: self.listener.transport,
                peer: canonical(peer),
                conn: None,
                upstream: None,
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

    /// What was not delivered, as far as the kernel has heard of it.
    fn hear_errors(&self, inlet: &Inlet) {
        while let Some((peer, quoted)) = undelivered::next(self.socket.get_ref()) {
            let Listener { id: listener, transport, .. } = self.listener;
            let (peer, conn, upstream) = (canonical(peer), None, None);
            let flow = Flow { listener, transport, peer, conn, upstream };
            inlet.hint(Arrival::Undelivered { flow, quoted });
        }
    }

    /// Sends one datagram; what the kernel cannot take now is lost, as on any network. An error
    /// that it tells at first is of a datagram before, and this one was not sent for it.
    pub fn send(&self, to: SocketAddr, bytes: &[u8]) {
        let to = towards(to, self.device);
        let send = || self.socket.get_ref().send_to(bytes, to);
        if send().is_err() && send().is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Datagrams dropped here in either direction.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// Somebody waits for an answer to it: it is no mere keep-alive, or the one that has an answer
/// (RFC 5626 §4.4.1).
fn asks(datagram: &[u8]) -> bool {
    datagram == b"\r\n\r\n" || !is_keepalive(datagram)
}

#[expect(unsafe_code, reason = "no safe way watches for reading only")]
fn for_reading(socket: UdpSocket) -> io::Result<AsyncFd<UdpSocket>> {
    let interest = Interest::READABLE | Interest::ERROR;
    // SAFETY: a `UdpSocket` owns its descriptor, names the same one always and closes it when it is
    // dropped, which the `AsyncFd` does.
    unsafe { AsyncFd::register_with_interest(socket, interest) }.map_err(Into::into)
}

/// A peer as the engine knows it: of which device a link-local one is says the socket that it came
/// by.
pub(crate) fn canonical(peer: SocketAddr) -> SocketAddr {
    SocketAddr::new(peer.ip().to_canonical(), peer.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::inlet::inlet;
    use crate::ground::{ListenerId, Transport};
    use std::time::Duration;

    async fn comes_back(host: &str) {
        let free = |host: &str| UdpSocket::bind((host, 0)).unwrap().local_addr().unwrap();
        let (bind, nobody) = (free(host), free(host));
        let id = ListenerId(3);
        let listener = Listener { id, interface: 0, transport: Transport::Udp, bind };
        let socket = SipSocket::bind(listener, 24, &Zones::default()).unwrap();
        let (inlet, mut arrivals) = inlet();
        tokio::spawn(socket.clone().read(inlet));
        socket.send(nobody, b"OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/UDP x;branch=z9hG4bKq\r\n");
        let mut batch = Vec::new();
        let next = tokio::time::timeout(Duration::from_secs(10), arrivals.next(&mut batch)).await;
        assert_eq!(next, Ok(1), "it came back");
        let Some(Arrival::Undelivered { flow, quoted }) = batch.pop() else {
            panic!("something else came")
        };
        assert_eq!((flow.peer, flow.listener), (nobody, id));
        assert!(quoted.starts_with(b"OPTIONS sip:x SIP/2.0\r\nVia: "), "{quoted:?}");
        // What was heard of one takes nothing from another.
        let phone = UdpSocket::bind((host, 0)).unwrap();
        phone.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        for n in 0..20_u8 {
            socket.send(nobody, b"x");
            socket.send(phone.local_addr().unwrap(), &[n; 9]);
            let mut buffer = [0; 64];
            let (size, _) = phone.recv_from(&mut buffer).expect("every one comes");
            assert_eq!(&buffer[..size], [n; 9]);
        }
        assert_eq!(socket.dropped(), 0);
    }

    #[tokio::test]
    async fn what_nobody_takes_comes_back_with_its_first_octets() {
        comes_back("127.0.0.1").await;
        comes_back("::1").await;
    }
}
