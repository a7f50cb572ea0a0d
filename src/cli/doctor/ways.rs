//! The way to every place where an upstream is: which of our addresses the kernel would use, how
//! much a packet may hold, how it is marked. Nothing is sent.

use super::names::Found;
use super::{Check, Line};
use crate::config::{Config, Hop, Interface};
use crate::driver::interfaces::{self, Attached};
use crate::driver::reach::{mtu, source};
use std::io;
use std::net::IpAddr;

/// What an Ethernet carries, in octets.
const USUAL: u32 = 1_500;
/// The least that IPv6 needs (RFC 8200 §5): below it something is wrong.
const LEAST: u32 = 1_280;

/// Each machine once, with the interface that it is reached by.
fn machines<'c>(c: &'c Config, found: &[Found]) -> Vec<(&'c Interface, Found)> {
    let mut all: Vec<(&Interface, Found)> = Vec::new();
    for (index, hop, of) in found {
        let through = c.upstreams.get(*index).and_then(|u| c.interfaces.get(u.interface));
        let Some(i) = through else { continue };
        if !all.iter().any(|(j, (_, h, _))| j.name == i.name && h.peer.ip() == hop.peer.ip()) {
            all.push((i, (*index, *hop, *of)));
        }
    }
    all
}

pub(super) fn routes(c: &Config, found: &[Found]) -> Vec<Line> {
    let attached = interfaces::attached();
    let spare = c.media.ports.0..=c.media.ports.1;
    let line = |(i, (_, hop, _)): (&Interface, Found)| {
        let own = own(i, hop)?;
        // From its own address it must be possible; from which address others go says by which way.
        let told = mtu(own, hop.peer, &spare).and_then(|_| source(hop.peer, &spare));
        Some(route((&i.name, own), hop.peer.ip(), told, &attached))
    };
    machines(c, found).into_iter().filter_map(line).collect()
}

/// The address that an interface reaches it from; `None`: it has none now.
fn own(i: &Interface, hop: Hop) -> Option<IpAddr> {
    i.addresses.towards(hop.peer.ip()).or(i.addresses.first()).map(|a| a.ip)
}

fn route(
    (name, own): (&str, IpAddr),
    peer: IpAddr,
    told: io::Result<IpAddr>,
    all: &[Attached],
) -> Line {
    let check = Check::Route;
    let device = |ip: IpAddr| all.iter().find(|a| a.ip() == ip).map(|a| a.device.as_str());
    match told {
        Ok(ip) if ip == own => {
            Line::ok(check, format!("{peer} is reached from {own}, which is {name}'s"))
        }
        Ok(ip) if device(ip).is_some() && device(ip) == device(own) => {
            let device = device(ip).unwrap_or_default();
            Line::ok(check, format!("{peer} is reached by {device}, where {name}'s {own} is, too"))
        }
        Ok(ip) => Line::todo(
            check,
            format!(
                "{peer} is reached from {ip} ({}), and {name} has {own}",
                device(ip).unwrap_or("another device")
            ),
            format!("a route to {peer} by {own}'s device, or {ip} as `address` of {name}"),
        ),
        Err(e) => Line::todo(
            check,
            format!("no way to {peer} from {own} ({name}): {e}"),
            format!("a route that leads there (ip route get {peer} from {own})"),
        ),
    }
}

pub(super) fn mtus(c: &Config, found: &[Found]) -> Vec<Line> {
    let spare = c.media.ports.0..=c.media.ports.1;
    // Where there is no way, that was told.
    let line = |(i, (_, hop, _)): (&Interface, Found)| {
        Some(octets(hop.peer.ip(), mtu(own(i, hop)?, hop.peer, &spare).ok()?))
    };
    machines(c, found).into_iter().filter_map(line).collect()
}

fn octets(peer: IpAddr, mtu: u32) -> Line {
    let check = Check::Mtu;
    let what = format!("{peer}: packets of {mtu} octets, as far as the kernel knows");
    match mtu {
        USUAL.. => Line::ok(check, what),
        LEAST.. => Line::note(
            check,
            format!("{what}, below {USUAL}"),
            "a tunnel or PPPoE; longer requests by UDP go in fragments, which some routers drop",
        ),
        _ => Line::todo(
            check,
            format!("{what}, below {LEAST}"),
            "INVITEs will go in fragments: mend the tunnel, or use transport = \"tcp\"",
        ),
    }
}

pub(super) fn dscp(c: &Config) -> Vec<Line> {
    let line = |i: &Interface| {
        let (sip, media) = (i.dscp_sip, i.dscp_media);
        let what = "whether routers keep that is seen at the far end alone";
        Line::ok(Check::Dscp, format!("{}: SIP {sip}, media {media} as set; {what}", i.name))
    };
    c.interfaces.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;
    use crate::driver::interfaces::Link;

    #[test]
    fn another_address_of_the_same_device_is_good_and_another_device_is_not() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let at = |device: &str, net: &str| Attached {
            device: device.to_owned(),
            net: net.parse().unwrap(),
            link: Link::Network,
        };
        let all = [at("wan", "10.99.0.1/24"), at("wan", "10.99.0.9/24"), at("lan", "10.17.0.1/24")];
        let told =
            |by: io::Result<IpAddr>| route(("wan", ip("10.99.0.1")), ip("10.99.0.2"), by, &all);
        assert_eq!(told(Ok(ip("10.99.0.1"))).verdict, Verdict::Ok);
        assert_eq!(told(Ok(ip("10.99.0.9"))).verdict, Verdict::Ok);
        let wrong = told(Ok(ip("10.17.0.1")));
        assert!(wrong.verdict == Verdict::Todo && wrong.what.contains("10.17.0.1 (lan)"));
        let none = told(Err(io::ErrorKind::NetworkUnreachable.into()));
        assert!(none.todo.contains("ip route get 10.99.0.2 from 10.99.0.1"), "{}", none.todo);
    }

    #[test]
    fn a_narrow_path_is_told_and_one_that_is_too_narrow_is_to_be_mended() {
        let verdict = |mtu| octets("10.99.0.2".parse().unwrap(), mtu).verdict;
        assert_eq!([65_536, 1_500].map(verdict), [Verdict::Ok; 2]);
        assert_eq!([1_499, 1_280].map(verdict), [Verdict::Note; 2]);
        assert_eq!(verdict(1_279), Verdict::Todo);
    }
}
