//! One media socket: UDP, bound to one port, non-blocking, marked, and guarded by a classic BPF
//! filter that drops strangers inside the kernel. It knows no stream and judges no packet;
//! `relay_worker` reads and writes it.
//!
//! The filter saves the cost of a flood and answers nothing (a connected socket would answer a
//! stranger with ICMP port unreachable, and count nothing). It is not the only check: packets
//! queued before a filter was swapped, and the sample that it lets through, meet
//! `relay::stream` all the same.

mod stamped;

pub use stamped::Received;

use super::zone::towards;
use crate::relay::flow::{Lane, Source};
use rustix::io::Errno;
use rustix::net::{SendFlags, sendto};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::OnceLock;

/// Receive buffer asked for, in octets: some seconds of one flow, so that a stalled thread loses
/// nothing, and a flood of one flow cannot take much.
const RECEIVE_BUFFER: usize = 64 * 1024;

/// What the kernel makes of that: it doubles what it is asked for (socket(7)). Where it gives about
/// as much without being asked, it is not asked.
const RECEIVE_ROOM: RangeInclusive<usize> = 2 * RECEIVE_BUFFER..=4 * RECEIVE_BUFFER;

/// Whether the first socket had [`RECEIVE_ROOM`] by itself: then all have.
static ROOM_BY_ITSELF: OnceLock<bool> = OnceLock::new();

/// How many strangers the filter lets through, so that a record can name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sample {
    /// One in 256.
    Rare,
    /// One in 8: for a moment, while few strangers come and none is named yet.
    Often,
}

impl Sample {
    fn mask(self) -> u32 {
        match self {
            Self::Rare => 0xff,
            Self::Often => 0x07,
        }
    }
}

/// One bound UDP socket.
#[derive(Debug)]
pub struct MediaSocket {
    socket: Socket,
    /// The filter now attached; `None`: none.
    filter: Option<(Source, Sample)>,
    /// The kernel's drop counter when it was last read.
    drops: u32,
    /// The device that it is at; 0: any.
    device: u32,
}

impl MediaSocket {
    /// Binds `addr` with the DSCP code point `dscp` (0–63) on what it sends.
    ///
    /// Both flows have the kernel's stamps: jitter and round trips are told truer than a busy
    /// thread reads. Only RTP has "don't fragment" ([`Self::send`]): once in five seconds it saves
    /// less than it costs to ask for.
    pub fn bind(addr: SocketAddr, dscp: u8, lane: Lane) -> io::Result<Self> {
        let socket = Socket::new(
            Domain::for_address(addr),
            Type::DGRAM.nonblocking().cloexec(),
            Some(Protocol::UDP),
        )?;
        let tos = u32::from(dscp & 0x3f) << 2;
        match addr {
            SocketAddr::V4(_) => socket.set_tos_v4(tos)?,
            SocketAddr::V6(_) => {
                socket.set_only_v6(true)?;
                socket.set_tclass_v6(tos)?;
            }
        }
        let room = || socket.recv_buffer_size().is_ok_and(|size| RECEIVE_ROOM.contains(&size));
        if !ROOM_BY_ITSELF.get_or_init(room) {
            socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        }
        stamped::ask_for_stamps(&socket)?;
        if lane == Lane::Rtp && addr.is_ipv4() {
            set(&socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DO)?;
        }
        socket.bind(&addr.into())?;
        Ok(Self { socket, filter: None, drops: 0, device: 0 })
    }

    /// Sends to link-local peers of this device.
    pub fn at_device(self, device: u32) -> Self {
        Self { device, ..self }
    }

    /// Lets only `source` (and a sample of strangers) through from now on. The kernel swaps a
    /// filter whole: there is no moment without one.
    pub fn guard(&mut self, source: Source, sample: Sample) -> io::Result<()> {
        let wanted = (source != Source::Unknown).then_some((source, sample));
        if wanted == self.filter {
            return Ok(());
        }
        match source {
            Source::Unknown => self.socket.detach_filter()?,
            // Which ports of a host of ours are the relay's is looked at in user space.
            Source::Host(host) | Source::Neighbour(host, _) => {
                self.socket.attach_filter(program(host, None, sample).code())?;
            }
            Source::Exactly(addr) => {
                self.socket.attach_filter(program(addr.ip(), Some(addr.port()), sample).code())?;
            }
        }
        self.filter = wanted;
        Ok(())
    }

    /// Receives one datagram. `WouldBlock`: none waits.
    #[inline]
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Received> {
        stamped::receive(&self.socket, buffer)
    }

    /// Sends one datagram.
    ///
    /// Speech fits into any path and is sent with "don't fragment", which saves the kernel the
    /// making of an identification for each packet (measured: 5 % of a packet). The first packet
    /// that does not fit gives that up, and goes in fragments as it came.
    #[inline]
    pub fn send(&self, packet: &[u8], to: SocketAddr) -> io::Result<()> {
        match self.send_once(packet, to) {
            Err(Errno::MSGSIZE) => {
                let (level, name) = (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER);
                set(&self.socket, level, name, libc::IP_PMTUDISC_WANT)?;
                Ok(self.send_once(packet, to)?)
            }
            sent => Ok(sent?),
        }
    }

    #[inline]
    fn send_once(&self, packet: &[u8], to: SocketAddr) -> rustix::io::Result<()> {
        match towards(to, self.device) {
            SocketAddr::V4(to) => sendto(&self.socket, packet, SendFlags::empty(), &to)?,
            SocketAddr::V6(to) => sendto(&self.socket, packet, SendFlags::empty(), &to)?,
        };
        Ok(())
    }

    /// Packets that the kernel dropped since the last call: strangers, and rarely what did not
    /// fit into the receive buffer (the kernel counts both in one place).
    pub fn take_drops(&mut self) -> u32 {
        let total = read_drops(&self.socket).unwrap_or(self.drops);
        let new = total.wrapping_sub(self.drops);
        self.drops = total;
        new
    }
}

impl AsFd for MediaSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Sets an option whose value is an int.
#[expect(unsafe_code, reason = "no safe wrapper sets these options")]
fn set(socket: &Socket, level: i32, name: i32, value: libc::c_int) -> io::Result<()> {
    let len = size_of_val(&value) as libc::socklen_t;
    // SAFETY: the kernel reads one int, which lives across the call.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast(), len)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// `SO_MEMINFO` (asm-generic/socket.h), which the libc crate does not name.
const SO_MEMINFO: libc::c_int = 55;
/// `SK_MEMINFO_VARS` (linux/sock_diag.h).
const MEMINFO_VARS: usize = 9;

#[expect(unsafe_code, reason = "no safe wrapper reads SO_MEMINFO")]
fn read_drops(socket: &Socket) -> io::Result<u32> {
    let mut info = [0_u32; MEMINFO_VARS];
    let mut len = size_of_val(&info) as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` octets to `info`, which lives across the call.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_MEMINFO,
            info.as_mut_ptr().cast(),
            &raw mut len,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(info[libc::SK_MEMINFO_DROPS as usize])
}

// Classic BPF (linux/bpf_common.h, linux/filter.h). On a UDP socket the data begins with the UDP
// header; the IP header is reached relative to SKF_NET_OFF.
const LOAD_WORD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const LOAD_HALF: u16 = 0x28; // BPF_LD | BPF_H | BPF_ABS
const AND: u16 = 0x54; // BPF_ALU | BPF_AND | BPF_K
const JUMP_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K
const NET: u32 = libc::SKF_NET_OFF as u32;
const RANDOM: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_RANDOM) as u32;
const WHOLE: u32 = u32::MAX;

/// The longest program: five checks (an IPv6 address and a port) and what follows them.
const LONGEST: usize = 16;

/// A filter, as long as it is.
struct Program {
    code: [SockFilter; LONGEST],
    len: usize,
}

impl Program {
    fn code(&self) -> &[SockFilter] {
        self.code.get(..self.len).unwrap_or_default()
    }

    fn add(&mut self, step: SockFilter) {
        if let Some(place) = self.code.get_mut(self.len) {
            *place = step;
            self.len += 1;
        }
    }

    /// Who has another value there leaps over the `left` checks that follow, and their `return`.
    fn check(&mut self, load: u16, offset: u32, value: u32, left: u8) {
        self.add(SockFilter::new(load, 0, 0, offset));
        self.add(SockFilter::new(JUMP_EQUAL, 0, 2 * left + 1, value));
    }
}

/// "From this host (and port), or by the dice": what is neither is dropped.
fn program(host: IpAddr, port: Option<u16>, sample: Sample) -> Program {
    let mut p = Program { code: [const { SockFilter::new(RETURN, 0, 0, 0) }; LONGEST], len: 0 };
    let ports = u8::from(port.is_some());
    match host {
        IpAddr::V4(v4) => p.check(LOAD_WORD, NET.wrapping_add(12), v4.to_bits(), ports),
        IpAddr::V6(v6) => {
            let words = v6.octets();
            for (word, left) in words.as_chunks().0.iter().zip((0..4_u8).rev()) {
                let offset = NET + 8 + 4 * u32::from(3 - left);
                p.check(LOAD_WORD, offset, u32::from_be_bytes(*word), left + ports);
            }
        }
    }
    if let Some(port) = port {
        p.check(LOAD_HALF, 0, u32::from(port), 0);
    }
    p.add(SockFilter::new(RETURN, 0, 0, WHOLE));
    p.add(SockFilter::new(LOAD_WORD, 0, 0, RANDOM));
    p.add(SockFilter::new(AND, 0, 0, sample.mask()));
    p.add(SockFilter::new(JUMP_EQUAL, 0, 1, 0));
    p.add(SockFilter::new(RETURN, 0, 0, WHOLE));
    p.add(SockFilter::new(RETURN, 0, 0, 0));
    p
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::thread::sleep;
    use std::time::Duration;

    fn guarded(host: &str) -> (MediaSocket, SocketAddr) {
        let socket =
            MediaSocket::bind(SocketAddr::new(host.parse().unwrap(), 0), 46, Lane::Rtp).unwrap();
        let addr = socket.socket.local_addr().unwrap().as_socket().unwrap();
        (socket, addr)
    }

    fn phone(host: &str) -> (UdpSocket, SocketAddr) {
        let socket = UdpSocket::bind((host, 0)).unwrap();
        let addr = socket.local_addr().unwrap();
        (socket, addr)
    }

    /// Sources of what arrived, in order.
    fn arrived(socket: &MediaSocket) -> Vec<SocketAddr> {
        sleep(Duration::from_millis(20));
        let mut buffer = [0; 2048];
        std::iter::from_fn(|| socket.receive(&mut buffer).ok().map(|r| r.from)).collect()
    }

    fn only_the_exact_source(ours: &str, host: &str, others: &[&str]) {
        let (mut socket, addr) = guarded(ours);
        let (friend, from) = phone(host);
        socket.guard(Source::Exactly(from), Sample::Rare).unwrap();
        let strangers: Vec<_> = others.iter().map(|h| phone(h)).collect();
        for _ in 0..40 {
            friend.send_to(b"friend", addr).unwrap();
            for (stranger, _) in &strangers {
                stranger.send_to(b"stranger", addr).unwrap();
            }
        }
        let got = arrived(&socket);
        assert_eq!(got.iter().filter(|a| **a == from).count(), 40);
        let passed = got.len() - 40;
        assert!(passed < 8, "{passed} of {} strangers passed", 40 * others.len());
        let drops = usize::try_from(socket.take_drops()).unwrap();
        assert_eq!(drops + passed, 40 * others.len());
        assert_eq!(socket.take_drops(), 0);
    }

    #[test]
    fn strangers_are_dropped_in_the_kernel_and_counted() {
        only_the_exact_source("127.0.0.1", "127.0.0.2", &["127.0.0.2", "127.0.0.3"]);
    }

    #[test]
    fn the_same_holds_for_ipv6() {
        only_the_exact_source("::1", "::1", &["::1"]);
    }

    #[test]
    fn a_host_may_come_from_any_port() {
        let (mut socket, addr) = guarded("127.0.0.1");
        let (a, from_a) = phone("127.0.0.2");
        let (b, from_b) = phone("127.0.0.2");
        socket.guard(Source::Host(from_a.ip()), Sample::Rare).unwrap();
        for phone in [&a, &b] {
            phone.send_to(b"x", addr).unwrap();
        }
        assert_eq!(arrived(&socket), [from_a, from_b]);
    }

    #[test]
    fn a_sample_of_strangers_passes() {
        let (mut socket, addr) = guarded("127.0.0.1");
        let (stranger, _) = phone("127.0.0.3");
        let expected = "127.0.0.2:9".parse().unwrap();
        for (sample, range) in [(Sample::Rare, 1..60), (Sample::Often, 300..800)] {
            socket.guard(Source::Exactly(expected), sample).unwrap();
            let mut passed = 0;
            for _ in 0..40 {
                for _ in 0..100 {
                    stranger.send_to(b"x", addr).unwrap();
                }
                let mut buffer = [0; 64];
                while socket.receive(&mut buffer).is_ok() {
                    passed += 1;
                }
            }
            assert!(range.contains(&passed), "{sample:?}: {passed} of 4000");
        }
    }

    #[test]
    fn without_an_expectation_everything_comes_in_again() {
        let (mut socket, addr) = guarded("127.0.0.1");
        let (phone, from) = phone("127.0.0.2");
        socket.guard(Source::Exactly("127.0.0.9:9".parse().unwrap()), Sample::Rare).unwrap();
        socket.guard(Source::Unknown, Sample::Rare).unwrap();
        socket.guard(Source::Unknown, Sample::Rare).unwrap();
        phone.send_to(b"x", addr).unwrap();
        assert_eq!(arrived(&socket), [from]);
    }

    #[test]
    fn a_buffer_holds_some_seconds_of_a_flow_and_no_flood() {
        for lane in Lane::ALL {
            let at = "127.0.0.1:0".parse().unwrap();
            let socket = MediaSocket::bind(at, 46, lane).unwrap();
            let size = socket.socket.recv_buffer_size().unwrap();
            // Less only where the machine allows nobody more (net.core.rmem_max).
            assert!(size <= *RECEIVE_ROOM.end(), "{size}");
            let asked = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
            asked.set_recv_buffer_size(RECEIVE_BUFFER).unwrap();
            assert!(size >= asked.recv_buffer_size().unwrap(), "{size}");
        }
    }

    #[test]
    fn rtp_and_rtcp_are_stamped_by_the_kernel() {
        for lane in Lane::ALL {
            let socket = MediaSocket::bind("127.0.0.1:0".parse().unwrap(), 46, lane).unwrap();
            let addr = socket.socket.local_addr().unwrap().as_socket().unwrap();
            let (phone, from) = phone("127.0.0.2");
            phone.send_to(b"x", addr).unwrap();
            sleep(Duration::from_millis(20));
            let got = socket.receive(&mut [0; 64]).unwrap();
            assert_eq!((got.from, got.stamp.is_some()), (from, true));
        }
    }

    #[test]
    fn a_taken_port_cannot_be_bound() {
        let (_socket, addr) = guarded("127.0.0.1");
        let error = MediaSocket::bind(addr, 46, Lane::Rtp).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn what_is_sent_carries_the_dscp() {
        let (socket, _) = guarded("127.0.0.1");
        assert_eq!(socket.socket.tos_v4().unwrap(), 46 << 2);
        let (socket, _) = guarded("::1");
        assert_eq!(socket.socket.tclass_v6().unwrap(), 46 << 2);
    }
}
