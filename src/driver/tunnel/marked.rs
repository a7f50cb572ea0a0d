//! The socket of a tunnel by QUIC, as quinn uses one. quinn's own puts an octet into each packet
//! for how it is to be treated (ECN, RFC 3168), and with that takes the mark away that the
//! file gives to media (DSCP). Here the mark stays, and there is no ECN: who asks for that has to
//! send less when a router marks a packet, which speech does not, and each acknowledgement would be
//! longer by four octets. It knows nothing of what is in a packet.

use quinn::udp::{RecvMeta, Transmit, UdpSocketState};
use quinn::{AsyncTimer, AsyncUdpSocket, Runtime, TokioRuntime, UdpPoller};
use socket2::{MsgHdr, SockRef};
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Octets of control messages: the longest is an address of IPv6 and its device.
const CONTROL: usize = 64;

/// tokio's clock and tasks, and sockets that keep their mark.
#[derive(Debug)]
pub(super) struct Marked;

impl Runtime for Marked {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        TokioRuntime.new_timer(at)
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        TokioRuntime.spawn(future);
    }

    fn wrap_udp_socket(&self, socket: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let state = UdpSocketState::new((&socket).into())?;
        Ok(Arc::new(Socket { state, io: UdpSocket::from_std(socket)? }))
    }

    fn now(&self) -> Instant {
        TokioRuntime.now()
    }
}

#[derive(Debug)]
struct Socket {
    io: UdpSocket,
    /// How it is read.
    state: UdpSocketState,
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Poller { socket: self, waits: None })
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let sent = self.io.try_io(Interest::WRITABLE, || send(&self.io, transmit));
        match sent {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Err(e),
            // What is refused is lost, as on the way: whoever watches the way notices.
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.io.poll_recv_ready(cx))?;
            let read = || self.state.recv((&self.io).into(), buffers, meta);
            if let Ok(read) = self.io.try_io(Interest::READABLE, read) {
                return Poll::Ready(Ok(read));
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.local_addr()
    }

    fn max_receive_segments(&self) -> usize {
        self.state.gro_segments()
    }

    fn may_fragment(&self) -> bool {
        self.state.may_fragment()
    }
}

/// Sends one packet, from the address that it is to come from.
fn send(socket: &UdpSocket, transmit: &Transmit<'_>) -> io::Result<()> {
    let (to, buffers) = (transmit.destination.into(), [IoSlice::new(transmit.contents)]);
    let mut control = [0; CONTROL];
    let octets = transmit.src_ip.map_or(0, |from| from_there(from, &mut control));
    let message = MsgHdr::new().with_addr(&to).with_buffers(&buffers);
    let message = message.with_control(control.get(..octets).unwrap_or_default());
    SockRef::from(socket).sendmsg(&message, 0).map(drop)
}

/// The control message that a packet is to come from there (ip(7), ipv6(7)); its octets.
fn from_there(from: IpAddr, control: &mut [u8; CONTROL]) -> usize {
    let any_device = [0; 4];
    let (level, kind, info) = match from {
        // The device, the address that it comes from, and one that is not looked at.
        IpAddr::V4(from) => {
            let info = [any_device, from.octets(), [0; 4]].concat();
            (libc::IPPROTO_IP, libc::IP_PKTINFO, info)
        }
        IpAddr::V6(from) => {
            let info = [&from.octets()[..], &any_device].concat();
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info)
        }
    };
    let head = size_of::<libc::cmsghdr>();
    let length = (head + info.len()).to_ne_bytes();
    let all = [&length[..], &level.to_ne_bytes(), &kind.to_ne_bytes(), &info].concat();
    if let Some(octets) = control.get_mut(..all.len()) {
        octets.copy_from_slice(&all);
    }
    all.len().next_multiple_of(size_of::<usize>())
}

/// Waits until more can be sent; there is one for each connection.
struct Poller {
    socket: Arc<Socket>,
    waits: Option<Pin<Box<dyn Future<Output = io::Result<()>> + Send + Sync>>>,
}

impl fmt::Debug for Poller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Poller")
    }
}

impl UdpPoller for Poller {
    fn poll_writable(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let socket = self.socket.clone();
        let waits =
            self.waits.get_or_insert_with(|| Box::pin(async move { socket.io.writable().await }));
        let done = ready!(waits.as_mut().poll(cx));
        self.waits = None;
        Poll::Ready(done)
    }
}

#[cfg(test)]
mod tests {
    use super::super::head_office;
    use super::*;
    use socket2::MsgHdrMut;
    use std::mem::MaybeUninit;

    /// A packet comes from that address: its octet for how it is to be treated.
    async fn sent(at: &str, from: &str, to: &str) -> u8 {
        let receiver = std::net::UdpSocket::bind(to).unwrap();
        let here = SockRef::from(&receiver);
        let is_v4 = receiver.local_addr().unwrap().is_ipv4();
        if is_v4 {
            here.set_recv_tos_v4(true).unwrap();
        } else {
            here.set_recv_tclass_v6(true).unwrap();
        }
        let socket = head_office::socket(at.parse().unwrap(), 46).unwrap();
        let socket = Marked.wrap_udp_socket(socket).unwrap();
        let packet = Transmit {
            destination: match receiver.local_addr().unwrap() {
                // As a socket for both sees it.
                SocketAddr::V4(to) if !at.starts_with('0') => {
                    (to.ip().to_ipv6_mapped(), to.port()).into()
                }
                to @ (SocketAddr::V4(_) | SocketAddr::V6(_)) => to,
            },
            ecn: Some(quinn::udp::EcnCodepoint::Ect0),
            contents: b"packet",
            segment_size: None,
            src_ip: Some(from.parse().unwrap()),
        };
        let mut poller = socket.clone().create_io_poller();
        std::future::poll_fn(|cx| poller.as_mut().poll_writable(cx)).await.unwrap();
        socket.try_send(&packet).unwrap();
        let (mut octets, mut control) = ([MaybeUninit::new(0); 64], [MaybeUninit::new(0); 64]);
        let mut buffers = [socket2::MaybeUninitSlice::new(&mut octets)];
        let mut came = socket2::SockAddr::from(packet.destination);
        let mut message = MsgHdrMut::new()
            .with_addr(&mut came)
            .with_buffers(&mut buffers)
            .with_control(&mut control);
        assert_eq!(here.recvmsg(&mut message, 0).unwrap(), 6);
        assert_eq!(
            came.as_socket().unwrap().ip().to_canonical(),
            packet.src_ip.unwrap().to_canonical()
        );
        let head = size_of::<libc::cmsghdr>();
        #[expect(unsafe_code, reason = "it was zeros before")]
        // SAFETY: all of it was initialised.
        let octet = unsafe { control[head].assume_init() };
        octet
    }

    #[tokio::test]
    async fn packets_keep_the_mark_of_the_file_and_come_from_where_they_are_to() {
        assert_eq!(sent("0.0.0.0:0", "127.0.0.9", "127.0.0.1:0").await, 46 << 2);
        assert_eq!(sent("[::]:0", "::1", "[::1]:0").await, 46 << 2);
        assert_eq!(sent("[::]:0", "::ffff:127.0.0.9", "127.0.0.1:0").await, 46 << 2);
    }
}
