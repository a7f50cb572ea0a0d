//! A phone of the tests: it sends numbered packets and checks what it hears.

use super::PATIENCE;
use crate::relay::{Expect, Party};
use std::net::{SocketAddr, UdpSocket};

/// A phone: an RTP and an RTCP socket.
pub(super) struct Phone {
    pub(super) sockets: [UdpSocket; 2],
}

impl Phone {
    pub(super) fn new(host: &str) -> Self {
        let socket = || {
            let socket = UdpSocket::bind((host, 0)).unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            socket
        };
        Self { sockets: [socket(), socket()] }
    }

    pub(super) fn addr(&self, lane: usize) -> SocketAddr {
        self.sockets[lane].local_addr().unwrap()
    }

    pub(super) fn party(&self, expect: Expect) -> Party {
        Party { rtp: Some(self.addr(0)), rtcp: Some(self.addr(1)), expect }
    }

    pub(super) fn send(&self, lane: usize, n: u8, to: SocketAddr) {
        self.sockets[lane].send_to(&packet(lane, n), to).unwrap();
    }

    /// The next packet: its number and where it came from.
    pub(super) fn next(&self, lane: usize) -> (u8, SocketAddr) {
        let mut buffer = [0; 2048];
        let (len, from) = self.sockets[lane].recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..len], packet(lane, number(lane, &buffer)));
        (number(lane, &buffer), from)
    }

    pub(super) fn hears_nothing_more(&self) -> bool {
        self.sockets.iter().all(|s| {
            s.set_nonblocking(true).unwrap();
            let nothing = s.recv_from(&mut [0; 2048]).is_err();
            s.set_nonblocking(false).unwrap();
            nothing
        })
    }
}

/// RTP of 20 ms PCMU with sequence number `n`, or a receiver report of source `n`.
fn packet(lane: usize, n: u8) -> Vec<u8> {
    if lane == 1 {
        return vec![0x80, 201, 0, 1, 0, 0, 0, n];
    }
    let mut p = vec![0x80, 0, 0, n, 0, 0, 0, 160, 1, 2, 3, 4];
    p.extend([0xd5; 160]);
    p
}

fn number(lane: usize, packet: &[u8]) -> u8 {
    packet[if lane == 1 { 7 } else { 3 }]
}
