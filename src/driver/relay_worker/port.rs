//! What a flow's packets come by and leave by. The stream decides; a port moves octets.

use crate::driver::media_socket::{MediaSocket, Received, Sample};
use crate::driver::tunnel;
use crate::relay::flow::Source;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};

/// One flow's way in and out.
#[derive(Debug)]
pub(super) enum Port {
    /// A UDP socket of ours.
    Udp(MediaSocket),
    /// A port at a tunnel.
    Tunnel(tunnel::Port),
}

impl Port {
    /// One packet, if one waits.
    #[inline]
    pub(super) fn receive(&self, buffer: &mut [u8]) -> io::Result<Received> {
        match self {
            Self::Udp(socket) => socket.receive(buffer),
            Self::Tunnel(port) => port.receive(buffer),
        }
    }

    #[inline]
    pub(super) fn send(&self, packet: &[u8], to: SocketAddr) -> io::Result<()> {
        match self {
            Self::Udp(socket) => socket.send(packet, to),
            Self::Tunnel(port) => {
                port.send(packet, to);
                Ok(())
            }
        }
    }

    /// Only this source, and a sample of strangers, from now on.
    pub(super) fn guard(&mut self, source: Source, sample: Sample) -> io::Result<()> {
        match self {
            Self::Udp(socket) => socket.guard(source, sample),
            // Nobody else can send here.
            Self::Tunnel(port) => {
                port.expect(source);
                Ok(())
            }
        }
    }

    /// Packets dropped before they were ours to read, since this was asked last.
    pub(super) fn take_drops(&mut self) -> u32 {
        match self {
            Self::Udp(socket) => socket.take_drops(),
            Self::Tunnel(_) => 0,
        }
    }

    /// What is to be watched for packets.
    pub(super) fn readiness(&self) -> BorrowedFd<'_> {
        match self {
            Self::Udp(socket) => socket.as_fd(),
            Self::Tunnel(port) => port.readiness(),
        }
    }
}
