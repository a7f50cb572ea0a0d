//! May media be sent where a body says? Judged is where media would go (c=, m=, a=rtcp); see the
//! README's "SDP addresses". It reads tables and changes nothing.

use super::MediaTable;
use crate::config::{Interface, Learn};
use crate::engine::world::Net;
use crate::ground::{CallNo, Leg, Side};
use crate::relay::{Expect, Party};
use crate::wire::sdp::Media;
use std::net::{IpAddr, SocketAddr};

/// Why a body was refused, and with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MediaRefusal {
    /// 488, or 503 when no ports are free.
    pub(crate) status: u16,
    /// In words; names the key that would allow it.
    pub(crate) why: String,
}

impl MediaRefusal {
    pub(crate) fn refused(why: String) -> Self {
        Self { status: 488, why }
    }

    pub(crate) fn no_ports() -> Self {
        let why = "no free relay ports: widen media.ports or lower limits.calls".to_owned();
        Self { status: 503, why }
    }
}

/// Judges the sections of one body.
pub(super) struct Judge<'a> {
    pub(super) net: &'a Net,
    pub(super) media: &'a MediaTable,
    pub(super) interface: &'a Interface,
    /// Signalling source of the body.
    pub(super) source: IpAddr,
    pub(super) call: CallNo,
    pub(super) leg: Leg,
}

impl Judge<'_> {
    /// The party a section describes; `None` for a disabled one.
    pub(super) fn party(&self, m: &Media) -> Result<Option<Party>, MediaRefusal> {
        if m.port == 0 || !is_relayed(m) {
            return Ok(None);
        }
        // Port 9 is "nowhere": right where nothing is to be sent, and for ICE to replace.
        let nowhere = m.port == 9 && !m.ice;
        if nowhere && !m.is_held() {
            return Err(self.refuse("port 9 without ICE", "", m.port));
        }
        let Some(address) = m.address else {
            return Err(MediaRefusal::refused(
                "a host name or nothing as the connection address: send an IP address".to_owned(),
            ));
        };
        if nowhere || address.is_unspecified() {
            let expect = match self.interface.learn {
                Learn::SameIp => Expect::SameIp(self.source),
                Learn::Strict => Expect::Nobody,
            };
            return Ok(Some(Party { rtp: None, rtcp: None, expect }));
        }
        let Some(rtp) = m.rtp_target() else { return Ok(None) };
        let rtcp = m.rtcp_target();
        self.destination(rtp).map(|rtp| {
            let natted = rtp.1;
            let rtcp =
                rtcp.map(|r| if natted { SocketAddr::new(self.source, r.port()) } else { r });
            let rtcp = rtcp.and_then(|r| self.destination(r).ok()).map(|r| r.0);
            let expect = match self.interface.learn {
                Learn::SameIp => Expect::SameIp(rtp.0.ip()),
                Learn::Strict => Expect::Exact,
            };
            Some(Party { rtp: Some(rtp.0), rtcp, expect })
        })
    }

    /// Where packets really go, and whether the phone's NAT made us replace the address.
    fn destination(&self, to: SocketAddr) -> Result<(SocketAddr, bool), MediaRefusal> {
        let (ip, port) = (to.ip().to_canonical(), to.port());
        let refuse = |why: &str, key: &str| Err(self.refuse(why, key, port));
        if self.net.is_our_address(ip) {
            if let Some(bound) = self.media.hairpin(ip, port, self.call, self.leg) {
                return Ok((bound, false));
            }
            if self.net.is_us(ip, port) {
                return refuse("one of our own SIP sockets", "");
            }
            if ip != self.source {
                return refuse("our own address, and not a port of this call", "");
            }
        }
        if port < 1024 || port == 5060 || port == 5061 {
            return refuse("a port that is never media", "");
        }
        if ip.is_multicast() || is_link_local(ip) || is_broadcast(ip) {
            return refuse("a multicast, broadcast or link-local address", "");
        }
        let listed = self.interface.networks.iter().any(|n| n.contains(&ip));
        let replaced = self.interface.side == Side::Inside && self.interface.learn == Learn::SameIp;
        if ip.is_ipv4() != self.interface.address.is_ipv4() && !replaced {
            return refuse("an address of another family than this interface's", "");
        }
        if ip.is_loopback() && !self.interface.allow_loopback && !listed {
            return refuse("a loopback address", "allow_loopback");
        }
        match self.interface.side {
            Side::Inside if ip == self.source || listed => Ok((SocketAddr::new(ip, port), false)),
            Side::Inside if replaced => {
                // The phone is behind a NAT: its own idea of its address is replaced by the source.
                Ok((SocketAddr::new(self.source, port), true))
            }
            Side::Inside => refuse("neither the phone's source nor a listed network", "networks"),
            Side::Outside if listed => Ok((SocketAddr::new(ip, port), false)),
            Side::Outside if self.net.is_inside(ip) => refuse("an inside address", ""),
            Side::Outside => {
                let any = self.interface.networks.is_empty();
                if any || ip == self.source {
                    Ok((SocketAddr::new(ip, port), false))
                } else {
                    refuse("not in this interface's networks", "networks")
                }
            }
        }
    }

    fn refuse(&self, why: &str, key: &str, port: u16) -> MediaRefusal {
        let mut text = format!("media port {port} on interface {}: {why}", self.interface.name);
        if !key.is_empty() {
            text = format!("{text} (`{key}` of that interface would allow it)");
        }
        MediaRefusal::refused(text)
    }
}

/// What the relay can carry: RTP profiles.
pub(super) fn is_relayed(m: &Media) -> bool {
    m.proto.to_ascii_uppercase().contains("RTP/")
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => (v6.segments()[0] & 0xffc0) == 0xfe80,
    }
}

fn is_broadcast(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_broadcast() || v4.octets()[0] == 0 || v4.octets()[0] >= 240,
        IpAddr::V6(_) => false,
    }
}
