//! Whether an address that the machine says it has may be one of the outside: whoever gives it to
//! us, a DHCP server or a peer, may err or lie, and another program may be there before us. What is
//! refused is said in words.

use crate::config::{Own, is_of_link};
use crate::engine::phones::Phones;
use crate::engine::world::{Net, World};
use crate::ground::Side;
use std::net::IpAddr;

/// # Errors
/// Why an interface is not to stand there.
pub(super) fn judge(w: &World, phones: &Phones, at: usize, own: &Own) -> Result<(), String> {
    let (net, ip) = (w.net(), own.ip);
    let Some(i) = net.interface_at(at) else { return Err("of no interface".to_owned()) };
    if is_of_link(ip) {
        return Err("a link-local address: nobody has given it a real one".to_owned());
    }
    let unfit = Net::judge_kind(i, ip).and_then(|()| Net::judge_loopback(i, ip));
    unfit.map_err(|unfit| unfit.why.to_owned())?;
    let others = net.interfaces().iter().enumerate().filter(|(other, _)| *other != at);
    let mut others = others.map(|(_, i)| i);
    if let Some(other) = others.find(|i| i.addresses.hold(ip)) {
        return Err(format!("the address of interface {}", other.name));
    }
    inside(net, own)?;
    // What a name says is no reason: it may lie, and is judged anew where we stand then.
    let mut upstreams = w.config().upstreams.iter();
    if let Some(u) = upstreams.find(|u| u.fixed().any(|hop| hop.peer.ip() == ip)) {
        return Err(format!("the address of upstream {}", u.name));
    }
    // Whoever reads there would be taken for us: of who is told an address, and who calls there.
    if let Some(held) = &own.held {
        return Err(format!("an address whose {held}"));
    }
    // Where it stands now nobody else does.
    if i.addresses.hold(ip) {
        return Ok(());
    }
    if net.is_inside(ip) {
        return Err("an address of the inside (`networks`)".to_owned());
    }
    if phones.are_at(ip) {
        return Err("where a phone is".to_owned());
    }
    Ok(())
}

/// A default route may lead by where phones are, if anybody there says so of himself (RFC 4861
/// §6.2.3): that is no outside.
fn inside(net: &Net, own: &Own) -> Result<(), String> {
    let bound = |ip: &&IpAddr| {
        let mut inside = net.interfaces().iter().filter(|i| i.side == Side::Inside);
        inside.any(|i| i.addresses.bound(**ip).is_some()) || net.is_inside(**ip)
    };
    match own.beside.iter().find(bound) {
        Some(other) => Err(format!(
            "at the device of the inside that has {other}: `device` names one that is meant"
        )),
        None => Ok(()),
    }
}
