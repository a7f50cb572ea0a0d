//! What may change of interfaces while the gateway runs. Sockets, relay threads and port pools are
//! made at the start, so what they were made from stays; a head office's sites come and go by a
//! port that is open already. It opens nothing itself.

use super::super::{Addresses, Config, End, Interface, Link, Tunnel, Upstream};
use super::Changes;

/// The new interfaces as far as they may follow the old ones, each in its old place: everything
/// else knows them by that.
pub(super) fn interfaces(c: &mut Changes, old: &Config, new: &mut Config) {
    let names: Vec<String> = new.interfaces.iter().map(|i| i.name.clone()).collect();
    let placed = placed(c, &old.interfaces, &new.interfaces);
    let is_placed = placed.is_some();
    new.interfaces = placed.unwrap_or_else(|| {
        c.restart.push("interface".to_owned());
        revoked(c, &old.interfaces, &new.interfaces)
    });
    // Upstreams name interfaces by their places in the new file.
    let place = |u: &Upstream| {
        let name = names.get(u.interface)?;
        new.interfaces.iter().position(|i| i.name == *name)
    };
    let places: Option<Vec<usize>> = new.upstreams.iter().map(place).collect();
    match places {
        Some(all) => new.upstreams.iter_mut().zip(all).for_each(|(u, i)| u.interface = i),
        None => c.keep("upstream", &old.upstreams, &mut new.upstreams),
    }
    if is_placed {
        follow(c, &old.interfaces, &mut new.interfaces);
    }
}

/// Where a head office's sites come in.
fn port(i: &Interface) -> Option<(&End, Option<&String>, u8)> {
    let tunnel = i.link.tunnel()?;
    let is_port = matches!(tunnel.end, End::HeadOffice { .. });
    is_port.then_some((&tunnel.end, tunnel.key_file.as_ref(), i.dscp_media))
}

/// The new interfaces, those that were there in their old places and new sites behind them. A site
/// that is there no more keeps its place, and nobody is believed to be it. `None`: they differ in
/// more than sites.
fn placed(c: &mut Changes, old: &[Interface], new: &[Interface]) -> Option<Vec<Interface>> {
    let of = |all: &[Interface], i: &Interface| {
        all.iter().position(|o| o.name == i.name && o.side == i.side)
    };
    // In what order sites stand means nothing.
    let others = old.iter().filter(|i| port(i).is_none());
    let stay: Vec<usize> = others.filter_map(|i| of(new, i)).collect();
    if !stay.is_sorted() {
        return None;
    }
    let mut all = Vec::with_capacity(old.len());
    for was in old {
        let mut is = was.clone();
        match (of(new, was).and_then(|at| new.get(at)), &mut is.link) {
            (Some(new), _) => is.clone_from(new),
            (None, Link::Tunnel(tunnel)) if port(was).is_some() => {
                tunnel.peer = None;
            }
            (None, Link::Tunnel(_) | Link::Local) => return None,
        }
        all.push(is);
    }
    let is_open =
        |is: &Interface| port(is).is_some() && old.iter().any(|was| port(was) == port(is));
    if !new.iter().filter(|i| of(old, i).is_none()).all(is_open) {
        return None;
    }
    // One that is there for nobody keeps a port open, which it is.
    let has_peer = |i: &Interface| i.link.tunnel().is_some_and(|t| t.peer.is_some());
    let added = || new.iter().filter(|i| of(old, i).is_none() && has_peer(i));
    c.now.extend(added().map(|is| format!("peer.{} (added)", is.name)));
    all.extend(added().cloned());
    Some(all)
}

fn follow(c: &mut Changes, old: &[Interface], new: &mut [Interface]) {
    for (was, is) in old.iter().zip(new) {
        let Interface {
            name,
            side: _,
            link,
            addresses,
            advertise_name,
            listen,
            tls,
            learn,
            networks,
            allow_loopback,
            force_rport,
            strangers,
            keepalive,
            dscp_sip,
            dscp_media,
        } = is;
        let key = |k: &str| format!("interface.{name}.{k}");
        tunnel(c, key, &was.link, link);
        let bound = |all: &Addresses| all.iter().map(ToString::to_string).collect::<Vec<_>>();
        // Where a device stands meanwhile is not what the file says.
        if !was.addresses.are_written_as(addresses) {
            let by = |all: &Addresses| all.following().map(|f| f.by.clone());
            let versions = |all: &Addresses| all.following().map(|f| f.versions);
            let same = match (by(&was.addresses), by(addresses)) {
                (None, None) => bound(&was.addresses) == bound(addresses),
                (was, is) => was == is,
            };
            let what = match versions(&was.addresses) == versions(addresses) {
                _ if !same => "address",
                true => "advertise",
                false => "ip_version",
            };
            c.keep(&key(what), &was.addresses, addresses);
        }
        c.keep(&key("advertise_name"), &was.advertise_name, advertise_name);
        // A socket that was not there has nothing to show, and one that stays has to.
        if was.listen == *listen {
            c.later(&key("tls"), &was.tls, tls);
        } else {
            c.keep(&key("tls"), &was.tls, tls);
        }
        c.keep(&key("listen"), &was.listen, listen);
        c.keep(&key("networks"), &was.networks, networks);
        c.keep(&key("dscp_sip"), &was.dscp_sip, dscp_sip);
        c.later(&key("learn"), &was.learn, learn);
        c.later(&key("allow_loopback"), &was.allow_loopback, allow_loopback);
        c.later(&key("dscp_media"), &was.dscp_media, dscp_media);
        c.now(&key("rport"), &was.force_rport, force_rport);
        c.now(&key("strangers"), &was.strangers, strangers);
        c.now(&key("keepalive"), &was.keepalive, keepalive);
    }
}

/// The old interfaces, without those keys that the new file knows no longer: who was taken off it
/// is believed no longer, whatever else waits for a restart.
fn revoked(c: &mut Changes, old: &[Interface], new: &[Interface]) -> Vec<Interface> {
    let mut kept = old.to_vec();
    for i in &mut kept {
        let Link::Tunnel(was) = &mut i.link else { continue };
        let is = new.iter().filter(|n| n.name == i.name).find_map(|n| n.link.tunnel());
        let key = is.and_then(|is| is.peer);
        if key != was.peer {
            c.now.push(format!("interface.{}.peer_key", i.name));
            was.peer = key;
        }
    }
    kept
}

/// What a tunnel leads to is as sockets are: it stays. Whose key is believed counts at once.
fn tunnel(c: &mut Changes, key: impl Fn(&str) -> String, was: &Link, is: &mut Link) {
    let (Link::Tunnel(was), Link::Tunnel(is)) = (was, &mut *is) else {
        return c.keep(&key("link"), was, is);
    };
    let Tunnel { site, end, peer, key_file, gather } = &mut **is;
    c.keep(&key("site"), &was.site, site);
    c.keep(&key("connect"), &was.end, end);
    c.keep(&key("key_file"), &was.key_file, key_file);
    c.now(&key("peer_key"), &was.peer, peer);
    c.now(&key("gather"), &was.gather, gather);
}
