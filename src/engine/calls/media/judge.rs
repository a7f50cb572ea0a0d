//! May media be sent where a body says? Judged is where media would go (c=, m=, a=rtcp); see the
//! README's "SDP addresses". It reads tables and changes nothing.

use super::MediaTable;
use crate::config::{Interface, Learn};
use crate::engine::calls::table::Table;
use crate::engine::world::{Neighbours, Net, Unfit};
use crate::ground::{CallNo, Leg, Side};
use crate::relay::flow::Lane;
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
    pub(super) phones: &'a dyn Neighbours,
    pub(super) calls: &'a Table,
    pub(super) media: &'a MediaTable,
    pub(super) interface: &'a Interface,
    /// Our address towards this leg.
    pub(super) bind: IpAddr,
    /// Signalling source of the body.
    pub(super) source: IpAddr,
    pub(super) call: CallNo,
    pub(super) leg: Leg,
}

impl Judge<'_> {
    /// The party a section describes; `None` for a disabled one, and for one of another IP version
    /// than others of its body: a leg is spoken to by one.
    pub(super) fn party(&self, m: &Media, all: &[Media]) -> Result<Option<Party>, MediaRefusal> {
        if m.port == 0 || !m.is_rtp() || self.is_of_another_version(m, all) {
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
                Learn::SameIp if self.is_spoken_to(self.source) => self.expected(self.source),
                Learn::SameIp | Learn::Strict => Expect::Nobody,
            };
            return Ok(Some(Party { rtp: None, rtcp: None, expect }));
        }
        let Some(rtp) = m.rtp_target() else { return Ok(None) };
        let (rtp, whose) = self.destination(rtp, Lane::Rtp)?;
        if whose == Whose::Ours && self.media.is_gone(rtp.ip()) {
            return Ok(Some(Party::UNKNOWN));
        }
        let rtcp = m.rtcp_target().map(|r| match whose {
            Whose::Replaced => SocketAddr::new(self.source, r.port()),
            Whose::Theirs | Whose::Ours => r,
        });
        let rtcp = rtcp.and_then(|r| self.destination(r, Lane::Rtcp).ok()).map(|r| r.0);
        let expect = match (whose, self.interface.learn) {
            (Whose::Ours, _) | (_, Learn::Strict) => Expect::Exact,
            (Whose::Theirs | Whose::Replaced, Learn::SameIp) => self.expected(rtp.ip()),
        };
        Ok(Some(Party { rtp: Some(rtp), rtcp, expect }))
    }

    fn is_of_another_version(&self, m: &Media, all: &[Media]) -> bool {
        let fits = |m: &Media| m.rtp_target().map(|at| self.is_spoken_to(at.ip()));
        let others = all.iter().filter(|m| m.is_rtp()).filter_map(fits);
        fits(m) == Some(false) && others.into_iter().any(|fits| fits)
    }

    /// Our socket towards this leg speaks one IP version.
    fn is_spoken_to(&self, ip: IpAddr) -> bool {
        ip.to_canonical().is_ipv4() == self.bind.is_ipv4()
    }

    /// From where the party at `ip` is taken.
    fn expected(&self, ip: IpAddr) -> Expect {
        if self.net.is_our_address(ip) {
            return Expect::Neighbour { host: ip, ours: self.media.lends() };
        }
        Expect::SameIp(ip)
    }

    /// Where packets really go, and whose that is.
    fn destination(&self, to: SocketAddr, lane: Lane) -> Result<(SocketAddr, Whose), MediaRefusal> {
        let (ip, port) = (to.ip().to_canonical(), to.port());
        let refused = |unfit: Unfit| self.refuse(unfit.why, unfit.key, port);
        let other = self.other_pass(ip, port, lane);
        if let Some(bound) = other.filter(|bound| self.is_spoken_to(bound.ip())) {
            return Ok((bound, Whose::Ours));
        }
        self.is_not_ours(ip, port)?;
        if port < 1024 || port == 5060 || port == 5061 {
            return Err(self.refuse("a port that is never media", "", port));
        }
        Net::judge_kind(self.interface, ip).map_err(refused)?;
        let inside = self.interface.side == Side::Inside;
        let replaced =
            inside && self.interface.learn == Learn::SameIp && self.is_spoken_to(self.source);
        if !self.is_spoken_to(ip) && !replaced {
            let why = "an address of another family than this interface's";
            return Err(self.refuse(why, "", port));
        }
        Net::judge_loopback(self.interface, ip).map_err(refused)?;
        let at = SocketAddr::new(ip, port);
        let owner = self.net.judge_owner(self.interface, ip, self.source, self.phones);
        match owner.and_then(|()| self.is_not_anothers(at)) {
            Ok(()) if self.is_spoken_to(ip) => Ok((at, Whose::Theirs)),
            // The phone is behind a NAT: its own idea of its address is replaced by the source.
            Ok(()) | Err(_) if replaced => {
                self.is_not_ours(self.source, port)?;
                Ok((SocketAddr::new(self.source, port), Whose::Replaced))
            }
            Ok(()) => Err(self.refuse("an address of another family", "", port)),
            Err(unfit) => Err(refused(unfit)),
        }
    }

    /// A port of ours is right only where the other pass of a spiral has it. Its bound address.
    fn other_pass(&self, ip: IpAddr, port: u16, lane: Lane) -> Option<SocketAddr> {
        let (bound, of, leg) = self.media.lent_at(ip, port, lane)?;
        self.calls.is_other_pass((self.call, self.leg), (of, leg)).then_some(bound)
    }

    /// Not a socket of ours, nor one that may be ours when the relay lends that port.
    fn is_not_ours(&self, ip: IpAddr, port: u16) -> Result<(), MediaRefusal> {
        let (first, last) = self.media.lends();
        if !self.net.is_our_address(ip) {
            // Whoever has an address that we left may speak from it, but by no port that is held.
            let held = self.media.holds(ip) && (first..=last).contains(&port);
            let why = "a port of media.ports at an address of ours that calls go on at";
            return if held { Err(self.refuse(why, "", port)) } else { Ok(()) };
        }
        let why = if self.net.is_us(ip, port) {
            "one of our own SIP sockets"
        } else if (first..=last).contains(&port) {
            "a port of media.ports, and not of the other pass of this call"
        } else if ip != self.source {
            "our own address, and not a port of this call"
        } else {
            return Ok(());
        };
        Err(self.refuse(why, "", port))
    }

    /// Inside, not where somebody else's call is heard. At its own address a party has them all.
    fn is_not_anothers(&self, at: SocketAddr) -> Result<(), Unfit> {
        if self.interface.side == Side::Outside || at.ip() == self.source {
            return Ok(());
        }
        let others = |(stream, leg)| {
            let call = self.media.call_of(stream).filter(|call| *call != self.call);
            call.is_some_and(|call| !self.calls.speaks_from(call, leg, self.source))
        };
        if self.media.targets.at(at).any(others) {
            return Err(Unfit { why: "where another call is heard", key: "" });
        }
        Ok(())
    }

    fn refuse(&self, why: &str, key: &str, port: u16) -> MediaRefusal {
        let mut text = format!("media port {port} on interface {}: {why}", self.interface.name);
        if !key.is_empty() {
            text = format!("{text} (`{key}` of that interface would allow it)");
        }
        MediaRefusal::refused(text)
    }
}

/// Whose a destination is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    /// The party's, as it said.
    Theirs,
    /// The party's, at its source's address instead.
    Replaced,
    /// The other pass's of a spiral.
    Ours,
}
