//! Whether what goes by a bearer is acknowledged by the other end. It counts, and asks the kernel
//! whether it sends at all; what follows from that is the ladder's.

use super::bearer::Bearer;
use super::rate;
use std::io::{Error, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// After so long without an answer the kernel is asked whether it sends there.
const DOUBTFUL: Duration = Duration::from_millis(500);
/// How often it is asked where nothing came at all, and how far apart.
const ASKED: (usize, Duration) = (3, Duration::from_millis(100));

/// What has gone that asks for an answer, and what has come that is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sign {
    pub(super) sent: u64,
    pub(super) heard: u64,
}

impl Sign {
    /// Of a bearer. By QUIC what was acknowledged is counted, for what comes says nothing of what
    /// goes; by TCP the other end's signs of life, for whoever is between acknowledges for it.
    pub(super) fn of(bearer: &Bearer) -> Self {
        match bearer {
            Bearer::Quic(connection) => {
                let stats = connection.stats();
                let sent = stats.frame_tx;
                let sent = sent.datagram + sent.stream + sent.ping + sent.max_data;
                Self { sent, heard: rate::known(connection).acked }
            }
            Bearer::Tcp(tcp) => {
                let (sent, heard) = tcp.figures().octets;
                Self { sent, heard }
            }
        }
    }
}

/// What of one bearer was seen last.
#[derive(Debug)]
pub(super) struct Pulse {
    last: Sign,
    /// Since when something waits for its answer.
    since: Option<Instant>,
}

impl Pulse {
    pub(super) fn new(sign: Sign) -> Self {
        Self { last: sign, since: None }
    }

    /// How long it has waited by now for an answer.
    pub(super) fn unanswered(&mut self, now: Instant, sign: Sign) -> Duration {
        if sign.heard != self.last.heard {
            self.since = None;
        } else if sign.sent != self.last.sent {
            self.since.get_or_insert(now);
        }
        self.last = sign;
        self.since.map_or(Duration::ZERO, |since| now.duration_since(since))
    }
}

/// Asks the kernel, by a socket of its own, whether packets go to a place: whoever refuses them on
/// this machine, or says so on the way, is heard there. What the other end gets of it is one octet,
/// which is no packet of QUIC.
#[derive(Debug, Default)]
pub(super) struct Feeler(Option<UdpSocket>);

impl Feeler {
    /// Whether the way to a bearer's other end is shut, where that has not answered for so long.
    pub(super) fn is_shut(&mut self, bearer: &Bearer, unanswered: Duration) -> bool {
        let Bearer::Quic(connection) = bearer else { return false };
        if unanswered < DOUBTFUL {
            self.0 = None;
            return false;
        }
        self.is_refused(connection.remote_address())
    }

    fn is_refused(&mut self, at: SocketAddr) -> bool {
        let socket = match self.0.take() {
            Some(socket) => socket,
            None => match reaching(at) {
                Ok(socket) => socket,
                Err(_) => return true,
            },
        };
        let sent = socket.send(&[0]);
        self.0 = Some(socket);
        sent.is_err_and(|e| e.kind() != ErrorKind::WouldBlock)
    }
}

/// What the kernel says where packets to a place are refused, here or on the way: asked where
/// nothing came from there. `None`: nothing.
pub(super) async fn refusal(at: SocketAddr) -> Option<Error> {
    let socket = match reaching(at) {
        Ok(socket) => socket,
        Err(e) => return Some(e),
    };
    for _ in 0..ASKED.0 {
        match socket.send(&[0]) {
            Ok(_) => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock => {}
            Err(e) => return Some(e),
        }
        sleep(ASKED.1).await;
    }
    None
}

fn reaching(at: SocketAddr) -> std::io::Result<UdpSocket> {
    let any: IpAddr = match at {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.set_nonblocking(true)?;
    socket.connect(at)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_waits_from_the_first_packet_on_until_anything_is_acknowledged() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let sign = |sent, heard| Sign { sent, heard };
        let mut pulse = Pulse::new(sign(10, 5));
        let mut waits = |ms, sent, heard| pulse.unanswered(at(ms), sign(sent, heard)).as_millis();
        assert_eq!(waits(250, 10, 5), 0, "nothing was sent");
        assert_eq!(waits(500, 12, 6), 0);
        assert_eq!(waits(750, 13, 6), 0);
        assert_eq!(waits(1_000, 20, 6), 250);
        assert_eq!(waits(3_000, 20, 6), 2_250, "nothing more can be sent, and it waits");
        assert_eq!(waits(3_250, 20, 7), 0);
        assert_eq!(waits(9_000, 20, 7), 0, "nobody is asked, nobody has to answer");
    }

    #[test]
    fn a_port_that_nobody_has_is_refused() {
        let place = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut feeler = Feeler::default();
        let refused = (0..50).any(|_| {
            std::thread::sleep(Duration::from_millis(2));
            feeler.is_refused(place)
        });
        assert!(refused);
        let other = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut feeler = Feeler::default();
        let place = other.local_addr().unwrap();
        assert!(!(0..3).any(|_| feeler.is_refused(place)));
    }

    #[tokio::test]
    async fn why_nothing_goes_is_said_by_the_kernel() {
        let place = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let told = refusal(place).await.map(|e| e.kind());
        assert_eq!(told, Some(ErrorKind::ConnectionRefused));
        let other = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(refusal(other.local_addr().unwrap()).await.is_none());
    }
}
