//! What clear RTCP may not say outside, and what stands in its place (RFC 3550 §6.5.1: a CNAME is
//! often `user@host`, with the phone's own address). It decides; `wire::rtcp` rewrites in place.

use crate::wire::addresses::is_local;
use crate::wire::rtcp;
use ipnet::IpNet;
use std::fmt;
use std::net::IpAddr;

/// Hides inside addresses and hosts in clear RTCP. SRTCP cannot be read: a stated limit.
#[derive(Clone)]
pub struct CnameGuard {
    networks: Vec<IpNet>,
    domains: Vec<String>,
    key: [u8; 32],
}

impl CnameGuard {
    /// `networks`: the inside ones (an interface's own address may be one of 32 bits); `domains`:
    /// those whose hosts are inside, in small letters. `key` names a participant the same way for
    /// the whole call, and tells others nothing.
    #[must_use]
    pub fn new(networks: Vec<IpNet>, domains: Vec<String>, key: [u8; 32]) -> Self {
        Self { networks, domains, key }
    }

    /// Overwrites every text in `packet` that names a host of the domains or an inside address: one
    /// of the networks, the packet's own source, or one that only means something within a site.
    /// True: it did.
    pub fn hide(&self, packet: &mut [u8], from: IpAddr) -> bool {
        rtcp::overwrite_names(packet, &self.key, &self.domains, |ip| {
            ip == from || is_local(ip) || self.networks.iter().any(|n| n.contains(&ip))
        })
    }
}

/// Never shows the key.
impl fmt::Debug for CnameGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CnameGuard").field("networks", &self.networks).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard() -> CnameGuard {
        let domains = vec!["corp.example".to_owned()];
        CnameGuard::new(vec!["203.0.113.0/24".parse().unwrap()], domains, [7; 32])
    }

    /// An SDES packet with this CNAME behind an empty receiver report.
    fn sdes(cname: &str) -> Vec<u8> {
        let mut items = vec![1, u8::try_from(cname.len()).unwrap()];
        items.extend(cname.as_bytes());
        items.push(0);
        items.resize(items.len().next_multiple_of(4), 0);
        let words = u8::try_from(items.len() / 4 + 1).unwrap();
        let mut p = vec![0x80, 201, 0, 1, 0, 0, 0, 9, 0x81, 202, 0, words, 0, 0, 0, 9];
        p.extend(items);
        p
    }

    fn hidden(cname: &str) -> bool {
        let mut packet = sdes(cname);
        let before = packet.clone();
        let changed = guard().hide(&mut packet, "198.51.100.7".parse().unwrap());
        assert_eq!(changed, packet != before);
        assert_eq!(packet.len(), before.len());
        changed
    }

    #[test]
    fn inside_names_are_overwritten_and_others_kept() {
        for inside in [
            "101@203.0.113.9",
            "101@198.51.100.7",
            "sip:101@10.0.0.4:5060",
            "x@192.168.1.20",
            "x@100.64.3.2",
            "x@fd00::1",
            "101@pc-7.corp.example",
            "PC7.Corp.Example",
            "x@10-0-0-4.local",
            "4.0.0.10.in-addr.arpa",
        ] {
            assert!(hidden(inside), "{inside}");
        }
        for outside in
            ["", "a1b2c3d4", "101@192.0.2.9", "x@100.63.0.1", "x@2001:db8::1", "x@pc.example"]
        {
            assert!(!hidden(outside), "{outside}");
        }
    }

    #[test]
    fn a_participant_keeps_its_new_name() {
        let (mut a, mut b) = (sdes("101@10.0.0.4"), sdes("101@10.0.0.4"));
        let from = "10.0.0.4".parse().unwrap();
        assert!(guard().hide(&mut a, from) && guard().hide(&mut b, from));
        assert_eq!(a, b);
    }

    #[test]
    fn the_key_is_never_shown() {
        assert!(!format!("{:?}", guard()).contains("7, 7"));
    }
}
