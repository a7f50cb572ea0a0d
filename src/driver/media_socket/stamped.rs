//! Receiving with the kernel's stamp: when a packet came is told by who took it in, not by when a
//! thread had time for it; else our own delays would be measured as the network's. No judgement.

use crate::driver::recvmsg;
use socket2::Socket;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// One datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Octets of the buffer that it fills.
    pub len: usize,
    /// Who sent it.
    pub from: SocketAddr,
    /// When the kernel took it in, by the wall clock (since the Unix epoch).
    pub stamp: Option<Duration>,
}

/// Every packet from now on carries its stamp.
pub(super) fn ask_for_stamps(socket: &Socket) -> io::Result<()> {
    super::set(socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)
}

/// Receives one datagram.
#[inline]
pub(super) fn receive(socket: &Socket, buffer: &mut [u8]) -> io::Result<Received> {
    let told = recvmsg::receive(socket, buffer, 0)?;
    Ok(Received { len: told.len, from: told.peer, stamp: stamp(&told) })
}

/// The first control message, if it is a stamp (`struct timespec`).
#[inline]
fn stamp(told: &recvmsg::Told) -> Option<Duration> {
    let time = told.control(libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS)?;
    Some(Duration::from_secs(time.long(0)?) + Duration::from_nanos(time.long(1)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::clock::Clock;
    use socket2::{Domain, Type};
    use std::net::UdpSocket;

    /// The kernel begins to take stamps some time after the first socket has asked; until then a
    /// packet has the time at which it was read.
    fn told(host: &str) {
        let at: SocketAddr = (host.parse::<std::net::IpAddr>().unwrap(), 0).into();
        let socket = Socket::new(Domain::for_address(at), Type::DGRAM, None).unwrap();
        ask_for_stamps(&socket).unwrap();
        socket.bind(&at.into()).unwrap();
        let at = socket.local_addr().unwrap().as_socket().unwrap();
        let phone = UdpSocket::bind((host, 0)).unwrap();
        let when_it_came = (0..100).any(|_| {
            phone.send_to(b"hello", at).unwrap();
            std::thread::sleep(Duration::from_millis(30));
            let read = Clock::start().now().wall.0;
            let mut buffer = [0; 64];
            let got = receive(&socket, &mut buffer).unwrap();
            assert_eq!(&buffer[..got.len], b"hello");
            assert_eq!(got.from, phone.local_addr().unwrap());
            got.stamp.unwrap() + Duration::from_millis(20) < read
        });
        assert!(when_it_came, "a stamp is of the time it came, not of the time it was read");
    }

    #[test]
    fn a_packet_brings_its_source_and_the_time_it_came() {
        told("127.0.0.1");
    }

    #[test]
    fn so_does_one_over_ipv6() {
        told("::1");
    }
}
