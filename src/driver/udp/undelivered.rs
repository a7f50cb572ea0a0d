//! Datagrams that were not delivered, as routers, hosts and this machine say (ICMP, RFC 1122
//! §4.1.3.3): read from the socket's error queue. Whether it is true, the engine judges.

use crate::driver::recvmsg;
use bytes::Bytes;
use socket2::Socket;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

/// Octets that are read of what is quoted; start line and first Via stand in them.
const QUOTED: usize = 576;
/// Errors of other kinds (a packet too long, a time exceeded) that are passed over at once.
const OTHERS: usize = 64;

/// Errors are kept with what they quote from now on.
#[expect(unsafe_code, reason = "no safe wrapper sets this option")]
pub(super) fn ask_for(socket: &Socket, v4: bool) -> io::Result<()> {
    let (level, name) = option(v4);
    let on: libc::c_int = 1;
    // SAFETY: the option's value is an `int`, read from a local that outlives the call.
    let done = unsafe {
        let value = (&raw const on).cast();
        let len = size_of::<libc::c_int>() as libc::socklen_t;
        libc::setsockopt(socket.as_raw_fd(), level, name, value, len)
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

const fn option(v4: bool) -> (libc::c_int, libc::c_int) {
    match v4 {
        true => (libc::IPPROTO_IP, libc::IP_RECVERR),
        false => (libc::IPPROTO_IPV6, libc::IPV6_RECVERR),
    }
}

/// The next datagram that nobody took at the place it was sent to, and its first octets.
pub(super) fn next(socket: &UdpSocket) -> Option<(SocketAddr, Bytes)> {
    let mut quoted = [0; QUOTED];
    for _ in 0..OTHERS {
        let told = recvmsg::receive(socket, &mut quoted, libc::MSG_ERRQUEUE).ok()?;
        if is_gone(&told) {
            let quoted = quoted.get(..told.len).unwrap_or_default();
            return Some((told.peer, Bytes::copy_from_slice(quoted)));
        }
    }
    None
}

/// Nobody is there, or nobody knows the way (`ee_errno` of `struct sock_extended_err`).
fn is_gone(told: &recvmsg::Told) -> bool {
    let error = [true, false].into_iter().find_map(|v4| {
        let (level, kind) = option(v4);
        told.control(level, kind)?.int(0)
    });
    matches!(error, Some(libc::ECONNREFUSED | libc::EHOSTUNREACH | libc::ENETUNREACH))
}
