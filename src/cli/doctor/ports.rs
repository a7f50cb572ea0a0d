//! Ports for SIP and media: free, or the running gateway's, or somebody else's. None is bound to
//! find out.

use super::gateway::{Running, is_gateway};
use super::{Check, Line};
use crate::config::{Config, Interface};
use crate::driver::holders::{Held, Process, held, holder};
use crate::ground::Transport;
use std::net::{IpAddr, SocketAddr};

/// Media ports whose holder is looked for.
const MOST: usize = 8;

/// Who has a port.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Holder {
    Nobody,
    Gateway,
    Process(Process),
    /// Somebody whose process we may not see.
    Unseen,
}

pub(super) fn ports(c: &Config, running: &Running) -> Vec<Line> {
    let [udp, tcp] = [Transport::Udp, Transport::Tcp].map(held);
    let of = |transport| match transport {
        Transport::Udp => &udp,
        Transport::Tcp | Transport::Tls => &tcp,
    };
    let has = |at, transport| who(at, transport, of(transport), running);
    let is_local = |i: &&Interface| i.link.tunnel().is_none();
    let sip = c
        .listeners()
        .into_iter()
        .filter(|l| c.interfaces.get(l.interface).is_some_and(|i| i.link.tunnel().is_none()));
    let sip = sip.map(|l| listener((l.bind, l.transport), &has(l.bind, l.transport)));
    let own = c.interfaces.iter().filter(is_local).flat_map(|i| i.addresses.iter());
    let mut addresses: Vec<IpAddr> = own.map(|a| a.ip).collect();
    addresses.sort_unstable();
    addresses.dedup();
    let media = addresses.into_iter().map(|ip| {
        let (first, last) = c.media.ports;
        let all = (first..=last).map(|port| SocketAddr::new(ip, port));
        let taken: Vec<SocketAddr> = all.filter(|at| udp.iter().any(|h| h.covers(*at))).collect();
        let by = taken.iter().take(MOST).map(|at| has(*at, Transport::Udp)).collect::<Vec<_>>();
        media(ip, c.media.ports, taken.len(), &by)
    });
    sip.chain(media).collect()
}

/// One port that is not for SIP.
pub(super) fn port(at: SocketAddr, transport: Transport, running: &Running) -> Line {
    listener((at, transport), &who(at, transport, &held(transport), running))
}

fn who(at: SocketAddr, transport: Transport, all: &[Held], running: &Running) -> Holder {
    if !all.iter().any(|h| h.covers(at)) {
        return Holder::Nobody;
    }
    match holder(at, transport) {
        Some(p) if is_gateway(&p) => Holder::Gateway,
        Some(p) => Holder::Process(p),
        None if running.is_there() => Holder::Gateway,
        None => Holder::Unseen,
    }
}

fn listener((at, transport): (SocketAddr, Transport), by: &Holder) -> Line {
    let check = Check::Ports;
    match by {
        Holder::Nobody => Line::ok(check, format!("{transport} {at} is free")),
        Holder::Gateway => {
            Line::ok(check, format!("{transport} {at} is held by the portreeve that runs"))
        }
        Holder::Process(p) => Line::todo(
            check,
            format!("{transport} {at} is in use by {} (pid {})", p.name, p.pid),
            "stop it, or listen elsewhere (`listen` of the interface)",
        ),
        Holder::Unseen => Line::todo(
            check,
            format!("{transport} {at} is in use by another user's program"),
            "as root this names it; stop it, or listen elsewhere (`listen` of the interface)",
        ),
    }
}

/// `taken` ports of one address; `by`: who holds the first of them.
fn media(ip: IpAddr, (first, last): (u16, u16), taken: usize, by: &[Holder]) -> Line {
    let check = Check::Ports;
    let range = format!("udp {ip} {first}-{last} (media)");
    let mut others: Vec<String> = by
        .iter()
        .filter_map(|h| match h {
            Holder::Process(p) => Some(format!("{} (pid {})", p.name, p.pid)),
            Holder::Unseen => Some("another user's program".to_owned()),
            Holder::Nobody | Holder::Gateway => None,
        })
        .collect();
    others.dedup();
    match (taken, others.as_slice()) {
        (0, _) => Line::ok(check, format!("{range}: all free")),
        (_, []) => Line::ok(check, format!("{range}: {taken} in calls of the portreeve that runs")),
        (_, others) => Line::note(
            check,
            format!("{range}: {taken} taken, some by {}", others.join(", ")),
            "calls take the rest; a range of its own (media.ports) is better",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn a_port_is_free_the_gateways_or_somebodys_with_his_name() {
        let mut c = Config::site("10.17.0.1".parse().unwrap(), &[], "x");
        let found = c.listeners().remove(0);
        let l = (found.bind, found.transport);
        let other = Holder::Process(Process { pid: 9, name: "kamailio".to_owned(), uid: None });
        assert_eq!(listener(l, &Holder::Nobody).verdict, Verdict::Ok);
        assert_eq!(listener(l, &Holder::Gateway).verdict, Verdict::Ok);
        let told = listener(l, &other);
        assert!(told.verdict == Verdict::Todo && told.what.ends_with("in use by kamailio (pid 9)"));
        assert!(listener(l, &Holder::Unseen).todo.starts_with("as root"));
        c.media.ports = (20_000, 20_399);
        let told = |taken, by: &[Holder]| media(l.0.ip(), c.media.ports, taken, by);
        assert!(told(0, &[]).what.ends_with("10.17.0.1 20000-20399 (media): all free"));
        assert_eq!(told(4, &[Holder::Gateway]).verdict, Verdict::Ok);
        let some = told(4, &[Holder::Gateway, other.clone(), other]);
        assert_eq!(some.verdict, Verdict::Note);
        assert!(some.what.ends_with("4 taken, some by kamailio (pid 9)"), "{}", some.what);
    }
}
