//! Receiving with the kernel's stamp: when a packet came is told by who took it in, not by when a
//! thread had time for it; else our own delays would be measured as the network's. Two system calls
//! and the reading of what they wrote; no judgement.

use socket2::Socket;
use std::io;
use std::mem::{MaybeUninit, size_of};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::AsRawFd;
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

/// Room for a stamp and another message of that size.
type Control = [u64; 8];

/// Every packet from now on carries its stamp.
pub(super) fn ask_for_stamps(socket: &Socket) -> io::Result<()> {
    super::set(socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)
}

/// Receives one datagram.
#[expect(unsafe_code, reason = "no safe wrapper reads a stamp with the packet")]
#[inline]
pub(super) fn receive(socket: &Socket, buffer: &mut [u8]) -> io::Result<Received> {
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let mut name = MaybeUninit::<libc::sockaddr_in6>::zeroed();
    let mut control: Control = [0; 8];
    // SAFETY: a message header of zeros is one without parts; all its fields may be zero.
    let mut message: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    message.msg_name = name.as_mut_ptr().cast();
    message.msg_namelen = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of::<Control>() as _;
    // SAFETY: every pointer in `message` is to a local or to `buffer`, with its true length; all
    // outlive the call.
    let len = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, 0) };
    let len = usize::try_from(len).map_err(|_| io::Error::last_os_error())?;
    // SAFETY: all octets of the zeroed name are initialised, and any are a valid value.
    let name = unsafe { name.assume_init() };
    let from = address(&name, message.msg_namelen).ok_or(io::ErrorKind::InvalidData)?;
    Ok(Received { len, from, stamp: stamp(&control, message.msg_controllen) })
}

fn address(name: &libc::sockaddr_in6, len: libc::socklen_t) -> Option<SocketAddr> {
    match libc::c_int::from(name.sin6_family) {
        libc::AF_INET if len as usize >= size_of::<libc::sockaddr_in>() => {
            // `sockaddr_in` has the port in the same place and the address where IPv6 has its flow
            // label (netinet/in.h).
            let ip = Ipv4Addr::from(name.sin6_flowinfo.to_ne_bytes());
            Some(SocketAddrV4::new(ip, u16::from_be(name.sin6_port)).into())
        }
        libc::AF_INET6 if len as usize >= size_of::<libc::sockaddr_in6>() => {
            let ip = Ipv6Addr::from(name.sin6_addr.s6_addr);
            let (flow, scope) = (name.sin6_flowinfo, name.sin6_scope_id);
            Some(SocketAddrV6::new(ip, u16::from_be(name.sin6_port), flow, scope).into())
        }
        _ => None,
    }
}

/// Reads the first control message (`struct cmsghdr`, then a `struct timespec`), if it is a stamp.
fn stamp(control: &Control, len: usize) -> Option<Duration> {
    const HEAD: usize = size_of::<libc::cmsghdr>();
    let mut octets = [0; size_of::<Control>()];
    for (to, word) in octets.chunks_exact_mut(8).zip(control) {
        to.copy_from_slice(&word.to_ne_bytes());
    }
    let whole = octets.get(..len)?;
    let int = |at: usize| Some(i32::from_ne_bytes(*whole.get(at..)?.first_chunk()?));
    let long = |at: usize| {
        let n = libc::c_long::from_ne_bytes(*whole.get(at..)?.first_chunk()?);
        u64::try_from(n).ok()
    };
    // Length, level, type.
    let (level, kind) = (int(HEAD - 8)?, int(HEAD - 4)?);
    if (level, kind) != (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) {
        return None;
    }
    let nanos = long(HEAD + size_of::<libc::c_long>())?;
    Some(Duration::from_secs(long(HEAD)?) + Duration::from_nanos(nanos))
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

    #[test]
    fn what_is_no_stamp_is_none() {
        assert_eq!(stamp(&[0; 8], 0), None);
        assert_eq!(stamp(&[0; 8], 64), None);
        assert_eq!(stamp(&[0; 8], 65), None);
        assert_eq!(stamp(&[u64::MAX; 8], 64), None);
    }
}
