//! What lies between an address of ours and a peer, as the kernel and the peer tell it: the source
//! it would leave by, the path's MTU, one request and what comes back. It reads no SIP.

use crate::config::Hop;
use crate::driver::clock::Clock;
use crate::driver::tls::{Dial, Failure};
use crate::ground::Transport;
use bytes::Bytes;
use socket2::{Domain, SockAddr, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::os::fd::AsRawFd as _;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{timeout, timeout_at};
use tokio_rustls::TlsConnector;

/// A datagram is sent again so long after the one before it, and twice that after the next (RFC
/// 3261 §17.1.2.2).
const AGAIN: Duration = Duration::from_millis(500);
/// Octets of an answer.
const LONGEST: usize = 65_536;
/// How often another port is tried where the kernel gives one that may be wanted.
const TRIES: usize = 16;

/// The address that the kernel would send to a peer from. No packet is sent; `spare` are ports that
/// are kept free for others.
///
/// # Errors
/// There is no way to it.
pub fn source(peer: SocketAddr, spare: &RangeInclusive<u16>) -> io::Result<IpAddr> {
    let any: IpAddr = match peer {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket: UdpSocket = bound(any, Type::DGRAM, spare)?.into();
    socket.connect(peer)?;
    Ok(socket.local_addr()?.ip())
}

/// The MTU of the path from an address of ours to a peer, as far as the kernel knows it, in octets.
/// No packet is sent; `spare` as with [`source`].
///
/// # Errors
/// There is no way to it from there.
#[expect(unsafe_code, reason = "IP_MTU has no safe form")]
pub fn mtu(from: IpAddr, peer: SocketAddr, spare: &RangeInclusive<u16>) -> io::Result<u32> {
    let socket: UdpSocket = bound(from, Type::DGRAM, spare)?.into();
    socket.connect(peer)?;
    let (level, name) = match peer {
        SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_MTU),
        SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_MTU),
    };
    let mut value: libc::c_int = 0;
    let mut len = size_of_val(&value) as libc::socklen_t;
    // SAFETY: both pointers are to variables of this function, and `len` is the size of the first.
    let done = unsafe {
        let value = (&raw mut value).cast();
        libc::getsockopt(socket.as_raw_fd(), level, name, value, &raw mut len)
    };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    u32::try_from(value).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Its octets.
    pub bytes: Bytes,
    /// Since the request was sent first.
    pub after: Duration,
}

/// How a request is sent, and until when an answer is waited for.
#[derive(Clone, Debug)]
pub struct Way {
    /// Our address.
    pub from: IpAddr,
    /// The peer.
    pub to: Hop,
    /// DSCP of what we send.
    pub dscp: u8,
    /// Ports that are kept free for others.
    pub spare: RangeInclusive<u16>,
    /// Longest wait.
    pub patience: Duration,
    /// By TLS: whom we ask for, and who is believed.
    pub dial: Option<Dial>,
}

/// Sends a request from a port of its own, and again if it is a datagram; what comes back first.
/// `request` makes it of our socket's address, `is_whole` says whether an answer is all there.
/// Returns our address, too.
///
/// # Errors
/// Nothing came (`TimedOut`), nobody is there (`ConnectionRefused`), or what the kernel says.
pub async fn ask(
    way: &Way,
    request: impl Fn(SocketAddr) -> Bytes,
    is_whole: impl Fn(&Bytes) -> bool,
) -> io::Result<(SocketAddr, Heard)> {
    let clock = Clock::start();
    let asked = async {
        match way.to.transport {
            Transport::Udp => by_datagram(way, request, is_whole).await,
            Transport::Tcp | Transport::Tls => by_stream(way, request, is_whole).await,
        }
    };
    let told = timeout(way.patience, asked).await;
    let (local, bytes) = told.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    Ok((local, Heard { bytes, after: clock.now().mono.0 }))
}

/// A socket at a port that nobody else may want.
fn bound(from: IpAddr, kind: Type, spare: &RangeInclusive<u16>) -> io::Result<Socket> {
    let at = SocketAddr::new(from, 0);
    // Those that may be wanted are held until another is found, else they would be given again.
    let mut held = Vec::new();
    loop {
        let socket = Socket::new(Domain::for_address(at), kind, None)?;
        socket.bind(&SockAddr::from(at))?;
        let port = socket.local_addr()?.as_socket().map_or(0, |at| at.port());
        if !spare.contains(&port) {
            return Ok(socket);
        }
        held.push(socket);
        if held.len() >= TRIES {
            return Err(io::ErrorKind::AddrInUse.into());
        }
    }
}

/// As [`bound`], for the runtime, and marked.
fn socket(way: &Way, kind: Type) -> io::Result<Socket> {
    let socket = bound(way.from, kind, &way.spare)?;
    socket.set_nonblocking(true)?;
    let tos = u32::from(way.dscp) << 2;
    let _ = match way.to.peer {
        SocketAddr::V4(_) => socket.set_tos_v4(tos),
        SocketAddr::V6(_) => socket.set_tclass_v6(tos),
    };
    Ok(socket)
}

async fn by_datagram(
    way: &Way,
    request: impl Fn(SocketAddr) -> Bytes,
    is_whole: impl Fn(&Bytes) -> bool,
) -> io::Result<(SocketAddr, Bytes)> {
    let socket: UdpSocket = socket(way, Type::DGRAM)?.into();
    let socket = tokio::net::UdpSocket::from_std(socket)?;
    socket.connect(way.to.peer).await?;
    let local = socket.local_addr()?;
    let bytes = request(local);
    let mut buffer = vec![0; LONGEST];
    let mut wait = AGAIN;
    loop {
        socket.send(&bytes).await?;
        let until = tokio::time::Instant::now() + wait;
        while let Ok(got) = timeout_at(until, socket.recv(&mut buffer)).await {
            let answer = Bytes::copy_from_slice(buffer.get(..got?).unwrap_or_default());
            if is_whole(&answer) {
                return Ok((local, answer));
            }
        }
        wait *= 2;
    }
}

async fn by_stream(
    way: &Way,
    request: impl Fn(SocketAddr) -> Bytes,
    is_whole: impl Fn(&Bytes) -> bool,
) -> io::Result<(SocketAddr, Bytes)> {
    let socket: std::net::TcpStream = socket(way, Type::STREAM)?.into();
    let stream = tokio::net::TcpSocket::from_std_stream(socket).connect(way.to.peer).await?;
    let local = stream.local_addr()?;
    let request = request(local);
    let bytes = match (way.to.transport, &way.dial) {
        (Transport::Udp | Transport::Tcp, _) => exchange(stream, &request, is_whole).await?,
        (Transport::Tls, None) => return Err(io::ErrorKind::Unsupported.into()),
        (Transport::Tls, Some(dial)) => {
            let Dial { config, name, .. } = dial;
            let shaken = TlsConnector::from(config.clone()).connect(name.clone(), stream).await;
            let stream = shaken.map_err(|e| io::Error::other(Failure::of(&e)))?;
            dial.done();
            exchange(stream, &request, is_whole).await?
        }
    };
    Ok((local, bytes))
}

/// One request and what comes back on a stream.
async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    request: &Bytes,
    is_whole: impl Fn(&Bytes) -> bool,
) -> io::Result<Bytes> {
    stream.write_all(request).await?;
    stream.flush().await?;
    let mut all = Vec::new();
    let mut chunk = vec![0; 4_096];
    loop {
        let got = stream.read(&mut chunk).await?;
        if got == 0 || all.len() + got > LONGEST {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        all.extend_from_slice(chunk.get(..got).unwrap_or_default());
        let answer = Bytes::copy_from_slice(&all);
        if is_whole(&answer) {
            return Ok(answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(to: SocketAddr, transport: Transport, patience: u64) -> Way {
        Way {
            from: [127, 0, 0, 1].into(),
            to: Hop { peer: to, transport },
            dial: None,
            dscp: 24,
            spare: 1..=2,
            patience: Duration::from_millis(patience),
        }
    }

    #[tokio::test]
    async fn an_answer_is_heard_by_either_transport_and_silence_ends() {
        let udp = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let at = udp.local_addr().unwrap();
        let request = |local: SocketAddr| Bytes::from(local.to_string());
        let answering = tokio::spawn(async move {
            let mut buffer = [0; 64];
            // The first one is lost.
            udp.recv_from(&mut buffer).await.unwrap();
            let (size, from) = udp.recv_from(&mut buffer).await.unwrap();
            assert_eq!(buffer[..size], *from.to_string().as_bytes());
            udp.send_to(b"no", from).await.unwrap();
            udp.send_to(b"yes", from).await.unwrap();
            udp
        });
        let whole = |answer: &Bytes| answer == "yes";
        let (_, heard) = ask(&way(at, Transport::Udp, 5_000), request, whole).await.unwrap();
        assert_eq!(heard.bytes, "yes");
        let _silent = answering.await.unwrap();
        let told = ask(&way(at, Transport::Udp, 20), request, whole).await.unwrap_err();
        assert_eq!(told.kind(), io::ErrorKind::TimedOut);
        let tcp = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = tcp.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = tcp.accept().await.unwrap();
            for part in ["y", "es"] {
                stream.write_all(part.as_bytes()).await.unwrap();
            }
        });
        let (local, heard) = ask(&way(at, Transport::Tcp, 5_000), request, whole).await.unwrap();
        assert!(local.ip().is_loopback() && heard.bytes == "yes");
    }

    #[tokio::test]
    async fn nobody_there_is_no_silence_and_the_kernel_tells_the_way() {
        let free = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        for transport in [Transport::Udp, Transport::Tcp] {
            let way = way(free, transport, 5_000);
            let told = ask(&way, |_| Bytes::from("x"), |_| true).await.unwrap_err();
            assert_eq!(told.kind(), io::ErrorKind::ConnectionRefused, "{transport}");
        }
        assert_eq!(source(free, &(1..=2)).unwrap(), free.ip());
        let all = source(free, &(1..=u16::MAX)).unwrap_err();
        assert_eq!(all.kind(), io::ErrorKind::AddrInUse, "no port is left to ask from");
        assert!(mtu(free.ip(), free, &(1..=2)).unwrap() >= 1_280);
    }
}
