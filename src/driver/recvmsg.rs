//! One datagram with what the kernel tells beside it: a system call (recvmsg(2)) and the reading of
//! what it wrote; no judgement.

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::AsRawFd;

/// Room for a stamp and another message of that size, or for an error with who told it.
const ROOM: usize = 64;
/// Of a control message (`struct cmsghdr`).
const HEAD: usize = size_of::<libc::cmsghdr>();

/// One datagram, and the control messages that came with it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    /// Octets of the buffer that it fills.
    pub(super) len: usize,
    /// Who sent it; of an error, to whom it was sent.
    pub(super) peer: SocketAddr,
    control: [u64; ROOM / 8],
    controls: usize,
}

impl Told {
    /// What stands in the first control message, if it is of that level and type.
    #[inline]
    pub(super) fn control(&self, level: libc::c_int, kind: libc::c_int) -> Option<Control> {
        let mut octets = [0; ROOM];
        for (to, word) in octets.chunks_exact_mut(8).zip(self.control) {
            to.copy_from_slice(&word.to_ne_bytes());
        }
        let told = Control { octets, len: self.controls.min(ROOM) };
        // Length, level, type.
        let is = (told.word(HEAD - 8)?, told.word(HEAD - 4)?) == (level, kind);
        is.then_some(told)
    }
}

/// A control message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Control {
    octets: [u8; ROOM],
    len: usize,
}

impl Control {
    fn at<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.octets.get(..self.len)?.get(at..)?.first_chunk().copied()
    }

    fn word(&self, at: usize) -> Option<i32> {
        self.at(at).map(i32::from_ne_bytes)
    }

    /// A `long` in its data, after so many others.
    pub(super) fn long(&self, index: usize) -> Option<u64> {
        let at = HEAD + index * size_of::<libc::c_long>();
        u64::try_from(libc::c_long::from_ne_bytes(self.at(at)?)).ok()
    }

    /// An `int` in its data, after so many others.
    pub(super) fn int(&self, index: usize) -> Option<i32> {
        self.word(HEAD + index * size_of::<libc::c_int>())
    }
}

/// Receives one datagram, or with `MSG_ERRQUEUE` one that was not delivered.
#[expect(unsafe_code, reason = "no safe wrapper reads control messages with the packet")]
#[inline]
pub(super) fn receive(
    socket: &impl AsRawFd,
    buffer: &mut [u8],
    flags: libc::c_int,
) -> io::Result<Told> {
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let mut name = MaybeUninit::<libc::sockaddr_in6>::zeroed();
    let mut control = [0_u64; ROOM / 8];
    // SAFETY: a message header of zeros is one without parts; all its fields may be zero.
    let mut message: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    message.msg_name = name.as_mut_ptr().cast();
    message.msg_namelen = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = ROOM as _;
    // SAFETY: every pointer in `message` is to a local or to `buffer`, with its true length; all
    // outlive the call.
    let len = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, flags) };
    let len = usize::try_from(len).map_err(|_| io::Error::last_os_error())?;
    // SAFETY: all octets of the zeroed name are initialised, and any are a valid value.
    let name = unsafe { name.assume_init() };
    let peer = address(&name, message.msg_namelen).ok_or(io::ErrorKind::InvalidData)?;
    Ok(Told { len, peer, control, controls: message.msg_controllen })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn told(first: [u64; 2], controls: usize) -> Told {
        let mut control = [u64::MAX; ROOM / 8];
        control[..2].copy_from_slice(&first);
        Told { len: 0, peer: ([127, 0, 0, 1], 1).into(), control, controls }
    }

    #[test]
    fn a_control_message_is_read_as_far_as_it_was_written() {
        let head = [32, u64::from_ne_bytes([1, 0, 0, 0, 35, 0, 0, 0])];
        assert!(told(head, 0).control(1, 35).is_none());
        assert!(told(head, 15).control(1, 35).is_none());
        assert!(told(head, 32).control(1, 36).is_none());
        let whole = told(head, 24).control(1, 35).unwrap();
        assert_eq!((whole.int(0), whole.int(1), whole.int(2)), (Some(-1), Some(-1), None));
        assert_eq!((whole.long(0), whole.long(9)), (None, None), "no time is negative");
        assert!(told(head, 65).control(1, 35).is_some_and(|c| c.int(12).is_none()));
    }
}
