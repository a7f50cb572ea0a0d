//! The built-in phones' sound: PCMU packets of a tone, counted and measured on the other side.

use super::phone::{Step, now};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep_until, timeout};

/// Octets of a packet's sound: 20 ms of PCMU.
const SOUND: usize = 160;

/// One phone's media socket.
#[derive(Debug)]
pub(crate) struct Voice {
    socket: Arc<UdpSocket>,
    pub(crate) port: u16,
    ssrc: u32,
    sequence: u16,
}

/// What a phone heard.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Heard {
    /// Packets of the expected kind.
    pub(crate) packets: u32,
    /// Packets whose sound was not the other phone's.
    pub(crate) foreign: u32,
    /// Telephone events (RFC 4733).
    pub(crate) events: u32,
    /// Packets missing between the first and the last sequence number.
    pub(crate) lost: u32,
    /// Interarrival jitter (RFC 3550 A.8), microseconds.
    pub(crate) jitter_us: u32,
}

impl Voice {
    /// A socket on an ephemeral even port of `ip` whose neighbour is left alone.
    pub(crate) async fn new(ip: IpAddr, ssrc: u32) -> Step<Self> {
        for _ in 0..50 {
            let bound = UdpSocket::bind(SocketAddr::new(ip, 0)).await;
            let socket = bound.map_err(|e| format!("no media socket: {e}"))?;
            let port = socket.local_addr().map_err(|e| e.to_string())?.port();
            if port % 2 == 0 {
                let socket = Arc::new(socket);
                return Ok(Self { socket, port, ssrc, sequence: 1 });
            }
        }
        Err("no even media port is free".to_owned())
    }

    /// An offer or answer that names this socket.
    pub(crate) fn sdp(&self, ip: IpAddr, payload: u8, direction: &str) -> String {
        let name = if payload == 8 { "PCMA" } else { "PCMU" };
        format!(
            "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {} RTP/AVP \
             {payload} 101\r\na=rtpmap:{payload} {name}/8000\r\na=rtpmap:101 \
             telephone-event/8000\r\na={direction}\r\n",
            self.port
        )
    }

    fn packet(&mut self, payload: u8, sound: &[u8]) -> Vec<u8> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut p = vec![0x80, payload];
        p.extend_from_slice(&self.sequence.to_be_bytes());
        p.extend_from_slice(&(u32::from(self.sequence) * 160).to_be_bytes());
        p.extend_from_slice(&self.ssrc.to_be_bytes());
        p.extend_from_slice(sound);
        p
    }

    /// Sends `count` packets of sound, one each 20 ms.
    pub(crate) async fn speak(&mut self, to: SocketAddr, payload: u8, count: u32) -> Step<()> {
        let sound = [u8::try_from(self.ssrc & 0xff).unwrap_or(0); SOUND];
        let start = Instant::from_std(now());
        for i in 0..count {
            let p = self.packet(payload, &sound);
            let sent = self.socket.send_to(&p, to).await;
            sent.map_err(|e| format!("media could not be sent: {e}"))?;
            sleep_until(start + Duration::from_millis(20) * (i + 1)).await;
        }
        Ok(())
    }

    /// Sends one digit as RFC 4733 events.
    pub(crate) async fn press(&mut self, to: SocketAddr, digit: u8) -> Step<()> {
        for end in [0_u8, 0, 0x80] {
            let p = self.packet(101, &[digit, end | 10, 0, 160]);
            let sent = self.socket.send_to(&p, to).await;
            sent.map_err(|e| format!("media could not be sent: {e}"))?;
        }
        Ok(())
    }

    /// Listens for `limit`; `other` is the SSRC of the phone at the far end.
    pub(crate) async fn listen(&self, other: u32, limit: Duration) -> Heard {
        let mut heard = Heard::default();
        let until = Instant::from_std(now()) + limit;
        let mut buffer = [0_u8; 2048];
        let (mut first, mut last, mut transit, mut jitter) = (None, 0_u16, None, 0.0_f64);
        let begin = now();
        while let Ok(Ok((size, _))) =
            timeout(until - Instant::from_std(now()), self.socket.recv_from(&mut buffer)).await
        {
            let Some(p) = buffer.get(..size) else { continue };
            let Some(h) = crate::wire::rtp::Header::parse(p) else { continue };
            if h.ssrc != other {
                heard.foreign += 1;
                continue;
            }
            first = first.or(Some(h.sequence));
            last = h.sequence;
            if h.payload_type == 101 {
                heard.events += 1;
                continue;
            }
            heard.packets += 1;
            let arrival = begin.elapsed().as_secs_f64() * 8000.0;
            let now_transit = arrival - f64::from(h.timestamp);
            if let Some(before) = transit {
                let d: f64 = now_transit - before;
                jitter += (d.abs() - jitter) / 16.0;
            }
            transit = Some(now_transit);
        }
        if let Some(first) = first {
            let expected = u32::from(last.wrapping_sub(first)) + 1;
            heard.lost = expected.saturating_sub(heard.packets + heard.events);
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "small, positive"
        )]
        let us = (jitter / 8000.0 * 1e6) as u32;
        heard.jitter_us = us;
        heard
    }

    /// A second handle on the same socket, to listen while the first speaks.
    pub(crate) fn twin(&self) -> Self {
        let socket = self.socket.clone();
        Self { socket, port: self.port, ssrc: self.ssrc, sequence: self.sequence }
    }

    /// This phone's SSRC.
    pub(crate) fn ssrc(&self) -> u32 {
        self.ssrc
    }
}
