//! Where an interface stands: one address, or one of each IP version. It reads what a file or a
//! device says of them, and asks no kernel.

use super::follow::{Found, no_versions, version, versions};
use super::reader::{Section, Source};
use super::{Environment, Follow, Following};
use crate::ground::Side;
use std::fmt;
use std::net::IpAddr;
use std::ops::Range;

/// One address of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// SIP and media sockets are bound to it.
    pub ip: IpAddr,
    /// The device of a link-local address, where the file names it (RFC 4007 §11).
    pub zone: Option<String>,
    /// Written into Via, Contact and SDP instead, behind a NAT.
    pub advertise: Option<IpAddr>,
}

impl Address {
    /// One that others are told as it is.
    #[must_use]
    pub fn new(ip: IpAddr) -> Self {
        Self { ip, zone: None, advertise: None }
    }

    /// The address others are told.
    #[must_use]
    pub fn advertised(&self) -> IpAddr {
        self.advertise.unwrap_or(self.ip)
    }

    /// Ours, bound or told.
    #[must_use]
    pub fn is(&self, ip: IpAddr) -> bool {
        self.ip == ip || self.advertise == Some(ip)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.zone {
            Some(zone) => write!(f, "{}%{zone}", self.ip),
            None => write!(f, "{}", self.ip),
        }
    }
}

/// The addresses of an interface: one, or two of different IP versions. Those of one that follows a
/// device come and go: it may have none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// As the file names them; of one that follows a device IPv4 first.
    places: [Option<Address>; 2],
    following: Option<Following>,
}

impl From<Address> for Addresses {
    fn from(first: Address) -> Self {
        Self { places: [Some(first), None], following: None }
    }
}

impl Addresses {
    /// Two; `None`: both are of one IP version.
    #[must_use]
    pub fn pair(first: Address, second: Address) -> Option<Self> {
        let differ = first.ip.is_ipv4() != second.ip.is_ipv4();
        differ.then_some(Self { places: [Some(first), Some(second)], following: None })
    }

    /// Those that are found where the file says.
    #[must_use]
    pub fn followed(following: Following, found: Found) -> Self {
        let of = |n: usize| {
            let told = following.told[n];
            found[n].map(|ip| Address { advertise: told, ..Address::new(ip) })
        };
        Self { places: [of(0), of(1)], following: Some(following) }
    }

    /// What the file says, where they change while the gateway runs.
    #[must_use]
    pub fn following(&self) -> Option<&Following> {
        self.following.as_ref()
    }

    /// The same interface where it stands now; one that does not move stays.
    #[must_use]
    pub fn at(&self, found: Found) -> Self {
        match &self.following {
            Some(following) => Self::followed(following.clone(), found),
            None => self.clone(),
        }
    }

    /// The file says the same of both, wherever they are now.
    #[must_use]
    pub fn are_written_as(&self, other: &Self) -> bool {
        match (&self.following, &other.following) {
            (Some(one), Some(other)) => one == other,
            (None, None) => self.places == other.places,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }

    /// Bound addresses by IP version.
    #[must_use]
    pub fn found(&self) -> Found {
        let of = |v4: bool| self.iter().map(|a| a.ip).find(|ip| ip.is_ipv4() == v4);
        [of(true), of(false)]
    }

    /// It follows a device that has no address.
    #[must_use]
    pub fn are_away(&self) -> bool {
        self.first().is_none()
    }

    /// The first that the file names; `None`: the device has none.
    #[must_use]
    pub fn first(&self) -> Option<&Address> {
        self.iter().next()
    }

    /// Those that are there, in the file's order.
    pub fn iter(&self) -> impl Iterator<Item = &Address> + Clone {
        self.places.iter().flatten()
    }

    /// A place for each that may be there: sockets are numbered by them.
    pub fn places(&self) -> impl Iterator<Item = Option<&Address>> {
        let may = |place: &&Option<Address>| place.is_some() || self.following.is_some();
        self.places.iter().filter(may).map(Option::as_ref)
    }

    /// The one of this address's IP version, which alone can reach it.
    #[must_use]
    pub fn towards(&self, ip: IpAddr) -> Option<&Address> {
        self.iter().find(|a| a.ip.is_ipv4() == ip.is_ipv4())
    }

    /// The one that sockets with this address are bound to.
    #[must_use]
    pub fn bound(&self, ip: IpAddr) -> Option<&Address> {
        self.iter().find(|a| a.ip == ip)
    }

    /// One of them is this address, or others are told so.
    #[must_use]
    pub fn hold(&self, ip: IpAddr) -> bool {
        self.iter().any(|a| a.is(ip))
    }

    /// Bound addresses, as a list in words.
    #[must_use]
    pub fn listed(&self) -> String {
        if self.are_away() {
            return "no address yet".to_owned();
        }
        self.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }
}

type Written = (Address, Range<usize>);

/// `address` (one, or one of each IP version), or those of `device`; and what `advertise` tells
/// instead. `None`: a fault is told.
pub(super) fn addresses(
    s: &mut Section<'_, '_>,
    side: Option<Side>,
    env: &Environment,
    src: &mut Source<'_>,
) -> Option<Addresses> {
    if let Some(follow) = follow(s, side, src) {
        let versions = versions(s, &follow, src);
        let following = Following { by: follow, versions, told: [None; 2] };
        return followed(following, told(s, src)?, env, src);
    }
    no_versions(s, src);
    let written = written(s, src);
    let device = s.string("device", src);
    let told = told(s, src);
    let found = match (written, device) {
        (Some(_), Some(_)) => {
            let what = "`address` and `device` exclude each other";
            src.fault("address", s.span_of("device"), what, None);
            return None;
        }
        (Some(all), None) => pair(all, src)?,
        (None, Some(device)) => of_device(s, &device, env, src)?,
        (None, None) => {
            if s.get("address").is_none() {
                s.missing("address", "address = \"10.17.0.1\" or device = \"eth0\"", src);
            }
            return None;
        }
    };
    advertise(found, told?, src)
}

/// Whose addresses an outside interface has; `None`: the file says them, or they are read at the
/// start alone.
fn follow(s: &mut Section<'_, '_>, side: Option<Side>, src: &mut Source<'_>) -> Option<Follow> {
    let is_outside = side == Some(Side::Outside);
    if s.is_text("address", AUTO) {
        if s.has("device") {
            let what = "`address` and `device` exclude each other";
            src.fault("address", s.span_of("device"), what, None);
        }
        if !is_outside {
            let what = "`address` is \"auto\", and this interface is not outside";
            let hint = "phones look for the gateway at one place: address = \"10.17.0.1\"";
            src.fault("address", s.span_of("address"), what, Some(hint.to_owned()));
        }
        s.string("address", src);
        return Some(Follow::DefaultRoute);
    }
    if !is_outside || s.has("address") {
        return None;
    }
    s.string("device", src).map(Follow::Device)
}

/// `address`: wherever the default route leads by.
const AUTO: &str = "auto";

/// Where such an interface stands now, which may be nowhere.
fn followed(
    mut following: Following,
    told: Told,
    env: &Environment,
    src: &mut Source<'_>,
) -> Option<Addresses> {
    for (ip, span) in told {
        let place = &mut following.told[version(ip)];
        if place.is_some() || !following.versions.has(ip) {
            let what = format!("`advertise` {ip} stands for no address of this interface");
            let hint = Some("one for each address, of its IP version".to_owned());
            src.fault("address", span, what, hint);
            return None;
        }
        *place = Some(ip);
    }
    let found = following.first(env.here());
    Some(Addresses::followed(following, found))
}

/// `None`: the key is not there, or a fault of it is told.
fn written(s: &mut Section<'_, '_>, src: &mut Source<'_>) -> Option<Vec<Written>> {
    let all = s.strings("address", src)?;
    let mut read = Vec::with_capacity(all.len());
    for (text, span) in &all {
        match parse(text) {
            Ok(address) => read.push((address, span.clone())),
            Err(what) => {
                let hint = (what != NO_ADDRESS).then(|| "as fe80::1%eth0".to_owned());
                src.fault("address", span.clone(), format!("`address` {what}: \"{text}\""), hint);
            }
        }
    }
    (read.len() == all.len()).then_some(read)
}

const NO_ADDRESS: &str = "is no IP address";

/// `10.17.0.1`, `2001:db8::1`, `fe80::1%eth0`.
fn parse(text: &str) -> Result<Address, &'static str> {
    let (ip, zone) = match text.split_once('%') {
        Some((ip, zone)) => (ip, Some(zone)),
        None => (text, None),
    };
    let ip: IpAddr = ip.parse().map_err(|_| NO_ADDRESS)?;
    let mut address = Address::new(ip.to_canonical());
    let Some(zone) = zone else { return Ok(address) };
    if !matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local()) {
        return Err("names a device, and only a link-local address has one");
    }
    if zone.is_empty() || zone.len() > 15 || !zone.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("names no device");
    }
    address.zone = Some(zone.to_owned());
    Ok(address)
}

fn pair(all: Vec<Written>, src: &mut Source<'_>) -> Option<Addresses> {
    let hint = || Some("one, or [\"10.17.0.1\", \"2001:db8:17::1\"]".to_owned());
    let mut all = all.into_iter();
    match (all.next(), all.next(), all.next()) {
        (Some((one, _)), None, _) => Some(one.into()),
        (Some((one, _)), Some((other, span)), None) => {
            let found = Addresses::pair(one, other);
            if found.is_none() {
                let what = "two addresses of one IP version: they are two interfaces";
                src.fault("address", span, what, hint());
            }
            found
        }
        (Some(_), Some(_), Some((_, span))) => {
            let what = "an interface has one address, or one of each IP version";
            src.fault("address", span, what, hint());
            None
        }
        (None, ..) => {
            src.fault("address", 0..1, "`address` names none", hint());
            None
        }
    }
}

/// The first of each IP version; a link-local one only where the device has no other.
fn of_device(
    s: &Section<'_, '_>,
    device: &str,
    env: &Environment,
    src: &mut Source<'_>,
) -> Option<Addresses> {
    let nets = env.devices.get(device).map(Vec::as_slice).unwrap_or_default();
    let all = || nets.iter().map(ipnet::IpNet::addr);
    let is_local = |ip: &IpAddr| matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local());
    let v4 = all().find(IpAddr::is_ipv4);
    let v6 = all().find(|ip| ip.is_ipv6() && !is_local(ip));
    let local = || {
        let zone = Some(device.to_owned());
        all().find(is_local).map(|ip| Address { zone, ..Address::new(ip) }.into())
    };
    let found = match (v4.map(Address::new), v6.map(Address::new)) {
        (Some(v4), Some(v6)) => Addresses::pair(v4, v6),
        (Some(one), None) | (None, Some(one)) => Some(one.into()),
        (None, None) => local(),
    };
    if found.is_none() {
        let known: Vec<&str> = env.devices.keys().map(String::as_str).collect();
        let hint = format!("devices with an address here: {}", known.join(", "));
        let what = format!("device \"{device}\" has no address on this machine");
        src.fault("device", s.span_of("device"), what, Some(hint));
    }
    found
}

type Told = Vec<(IpAddr, Range<usize>)>;

/// What `advertise` says; `None`: a fault of it is told.
fn told(s: &mut Section<'_, '_>, src: &mut Source<'_>) -> Option<Told> {
    let all = s.strings("advertise", src).unwrap_or_default();
    let mut read = Vec::with_capacity(all.len());
    for (text, span) in &all {
        match text.parse::<IpAddr>() {
            Ok(ip) => read.push((ip.to_canonical(), span.clone())),
            Err(_) => {
                let what = format!("`advertise` is no IP address: \"{text}\"");
                let hint = "a host name is `advertise_name`, beside the address for SDP".to_owned();
                src.fault("address", span.clone(), what, Some(hint));
            }
        }
    }
    (read.len() == all.len()).then_some(read)
}

/// Each is told instead of the address of its IP version; a single one, where there is a single
/// address, whatever its version is.
fn advertise(mut all: Addresses, told: Told, src: &mut Source<'_>) -> Option<Addresses> {
    for (index, (ip, span)) in told.into_iter().enumerate() {
        let single = all.iter().count() == 1;
        let own = all.places.iter_mut().flatten();
        let own = own
            .into_iter()
            .find(|a| single && index == 0 || a.ip.is_ipv4() == ip.is_ipv4())
            .filter(|a| a.advertise.is_none());
        match own {
            Some(own) => own.advertise = Some(ip),
            None => {
                let what = format!("`advertise` {ip} stands for no address of this interface");
                let hint = Some("one for each address, of its IP version".to_owned());
                src.fault("address", span, what, hint);
                return None;
            }
        }
    }
    Some(all)
}

#[cfg(test)]
mod tests;
