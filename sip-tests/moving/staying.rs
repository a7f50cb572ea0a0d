//! Where an interface that follows something stays, though the machine has more addresses; and how
//! soon it is where its line is again.

use super::*;
use std::net::IpAddr;

pub(super) fn own(ip: &str, deprecated: bool, beside: &[&str]) -> Own {
    let beside = beside.iter().map(|ip| ip.parse().unwrap()).collect();
    Own { deprecated, beside, ..Own::new(ip.parse().unwrap()) }
}

pub(super) fn has(lab: &mut Lab, own: &[Own]) {
    lab.input(Input::Addresses { interface: 1, own: own.to_vec() });
}

fn plain(all: &[&str]) -> Vec<Own> {
    all.iter().map(|ip| own(ip, false, &[])).collect()
}

fn said(lab: &Lab) -> String {
    systems(lab).pop().unwrap_or_default()
}

#[test]
fn an_address_that_is_added_moves_nobody() {
    let mut lab = away("");
    for (first, second) in [("2001:db8:113:1::7", "2001:db8:bad::8"), (OLD, NEW)] {
        has(&mut lab, &plain(&[first]));
        lab.advance(s(200));
        // Whoever lists the newest first means nothing by it.
        has(&mut lab, &plain(&[second, first]));
        assert_eq!(at(&lab), [first]);
        lab.advance(s(200));
        assert_eq!(at(&lab), [first]);
        // It is given up, and there is another one; and back it does not come.
        has(&mut lab, &[own(first, true, &[]), own(second, false, &[])]);
        assert_eq!(at(&lab), [second]);
        lab.advance(s(200));
        has(&mut lab, &plain(&[first, second]));
        assert_eq!(at(&lab), [second]);
        lab.advance(s(200));
        // What is given up is better than nothing, and better than another that is.
        has(&mut lab, &[own(first, true, &[]), own(second, true, &[])]);
        assert_eq!(at(&lab), [second]);
        has(&mut lab, &[own(first, true, &[])]);
        assert_eq!(at(&lab), [first]);
        lab.advance(s(200));
        has(&mut lab, &[]);
        assert_eq!(at(&lab), [""; 0]);
    }
    lab.clear();
    lab.end();
}

#[test]
fn what_was_gone_for_a_moment_is_gone_back_to() {
    let rogue = "2001:db8:bad::8";
    // The same address again, or another of its network, as after a line that dials in anew.
    for (ours, again) in [
        ("2001:db8:113:1::7", "2001:db8:113:1::7"),
        ("2001:db8:113:1::7", "2001:db8:113:1::99"),
        (OLD, OLD),
    ] {
        let other = if ours == OLD { NEW } else { rogue };
        for given_up in [false, true] {
            let mut lab = away("");
            has(&mut lab, &plain(&[ours]));
            lab.advance(s(300));
            // Whoever announced a prefix of his own is there, and ours is not.
            let former = [own(ours, true, &[]), own(other, false, &[])];
            has(&mut lab, if given_up { &former } else { &former[1..] });
            assert_eq!(at(&lab), [other], "there is no better one");
            lab.advance(s(20));
            has(&mut lab, &plain(&[other, again]));
            assert_eq!(at(&lab), [again]);
            assert_eq!(lab.stats().interfaces[0].others, [other.parse::<IpAddr>().unwrap()]);
            assert_eq!(lab.stats().interfaces[0].refused, "");
            lab.advance(s(300));
            has(&mut lab, &plain(&[other, again]));
            assert_eq!(at(&lab), [again]);
            // Twice in a row, and through none at all.
            for _ in 0..2 {
                has(&mut lab, &[]);
                has(&mut lab, &plain(&[other]));
                lab.advance(s(30));
                assert_eq!(at(&lab), [other]);
                has(&mut lab, &plain(&[other, again]));
                lab.advance(s(30));
                assert_eq!(at(&lab), [again]);
            }
            // What has taken its place for long is where we are.
            has(&mut lab, &plain(&[other]));
            lab.advance(s(300));
            has(&mut lab, &plain(&[again, other]));
            lab.advance(s(300));
            assert_eq!(at(&lab), [other]);
            lab.clear();
            lab.end();
        }
    }
}

#[test]
fn where_another_program_holds_our_port_we_do_not_stand_and_nobody_is_told() {
    let mut lab = standing();
    let (phone, pbx) = parties(&lab);
    lab.register(&phone, 600);
    lab.advance(s(10));
    let why = "udp port 5060 is held by nc (pid 7)";
    let held = |ip: &str| Own { held: Some(why.to_owned()), ..own(ip, false, &[]) };
    lab.clear();
    has(&mut lab, &[held(NEW)]);
    assert_eq!(at(&lab), [""; 0]);
    let view = lab.stats().interfaces.remove(0);
    assert!(view.held, "{view:?}");
    assert_eq!(view.refused, format!("{NEW} is an address whose {why}"));
    let told = |lab: &Lab| lab.notices.iter().filter(|(_, t)| t.contains(why)).count();
    assert_eq!(told(&lab), 1);
    // Nothing that leaves names it, as long as that lasts; it is looked at again all the time.
    lab.call(&phone, "200", 4000);
    lab.advance(s(60));
    let left = lab.take(pbx.at);
    assert!(left.is_empty(), "{left:?}");
    assert_eq!((at(&lab), told(&lab)), (vec![], 1), "said once");
    // Free, and nobody has said so but who looks.
    lab.has_now(1, plain(&[NEW]));
    lab.advance(s(3));
    assert_eq!(at(&lab), [NEW]);
    let view = lab.stats().interfaces.remove(0);
    assert!(!view.held && view.refused.is_empty(), "{view:?}");
    // What others hold beside where we stand is theirs.
    lab.advance(s(10));
    has(&mut lab, &[own(NEW, false, &[]), held(OLD)]);
    let view = lab.stats().interfaces.remove(0);
    assert!(!view.held && view.others.is_empty() && at(&lab) == [NEW], "{view:?}");
    // Another address of the device is better; and one IP version does not bar the other.
    lab.advance(s(100));
    has(&mut lab, &[held(OLD), own("203.0.113.99", false, &[]), held("2001:db8::7")]);
    lab.advance(s(10));
    assert_eq!(at(&lab), ["203.0.113.99"]);
    let view = lab.stats().interfaces.remove(0);
    assert!(view.held && view.refused.contains("2001:db8::7"), "by IPv6 it is nowhere: {view:?}");
    // Where a port is lost after all, it is left.
    has(&mut lab, &[held("203.0.113.99")]);
    assert_eq!(at(&lab), [""; 0]);
    lab.clear();
    lab.end();
}

#[test]
fn a_second_ip_version_cuts_no_call_and_is_not_told_as_if() {
    let mut lab = standing();
    let (phone, pbx) = parties(&lab);
    let (mut near, far) = lab.establish(&phone, &pbx);
    lab.advance(s(10));
    has(&mut lab, &plain(&[OLD, "2001:db8::7"]));
    assert_eq!(at(&lab), [OLD, "2001:db8::7"]);
    let text = said(&lab);
    let want = format!("interface wan stands at 2001:db8::7, beside {OLD} (device wan0)");
    assert_eq!(text, want);
    lab.advance(s(200));
    has(&mut lab, &plain(&[OLD, "2001:db8::8"]));
    let text = said(&lab);
    let moved = "moved from 2001:db8::7 to 2001:db8::8, beside ";
    assert!(text.contains(moved) && !text.contains("under way"), "{text}");
    lab.advance(s(200));
    has(&mut lab, &plain(&[OLD]));
    let text = said(&lab);
    assert!(text.contains("left 2001:db8::8 and stands at 203.0.113.77 alone"), "{text}");
    assert_eq!(findings(&lab).len(), 0, "the call is by IPv4");
    lab.clear();
    lab.hang_up(&mut near, &far);
    lab.take_all();
    lab.end();
}

#[test]
fn what_is_refused_bars_no_other_address_of_the_device() {
    let mut lab = away("");
    has(&mut lab, &plain(&["10.17.3.4", NEW]));
    assert_eq!(at(&lab), [NEW]);
    assert!(lab.stats().interfaces[0].refused.contains("10.17.3.4 is an address of the inside"));
    has(&mut lab, &plain(&["10.17.3.4"]));
    assert_eq!(at(&lab), [""; 0]);
    has(&mut lab, &plain(&["10.17.3.4", OLD]));
    assert_eq!(at(&lab), [OLD]);
    lab.clear();
    lab.end();
}

/// The same site, by the default route.
fn by_route(more: &str) -> Lab {
    let lines = format!("address = \"auto\"\n{more}");
    let text = site::EDGE.replace("address = \"203.0.113.1\"", &lines);
    let mut lab = Lab::with(site::parse(&text), Users::None);
    has(&mut lab, &[own(OLD, false, &[OLD])]);
    lab.clear();
    lab
}

#[test]
fn a_default_route_that_leads_into_the_inside_is_followed_by_nobody() {
    let rogue = "2001:db8:bad::1";
    for device in ["10.17.0.1", "10.17.3.3"] {
        let mut lab = by_route("ip_version = \"both\"");
        lab.advance(s(100));
        let v4 = own(OLD, false, &[OLD]);
        has(&mut lab, &[v4.clone(), own(rogue, false, &[device, rogue])]);
        assert_eq!(at(&lab), [OLD], "the device of {device}");
        let view = lab.stats().interfaces.remove(0);
        assert!(view.refused.contains("at the device of the inside that has"), "{view:?}");
        assert!(view.refused.contains(device) && view.refused.contains(rogue), "{view:?}");
        assert_eq!(lab.stats().address_changes, 0);
        // Of the outside's own device it is taken.
        has(&mut lab, &[v4, own(rogue, false, &[OLD, rogue])]);
        assert_eq!(at(&lab), [OLD, rogue]);
        lab.clear();
        lab.end();
    }
}

#[test]
fn by_the_default_route_ipv4_is_followed_alone_unless_the_file_says_more() {
    let both = [own(OLD, false, &[OLD]), own("2001:db8::7", false, &[OLD, "2001:db8::7"])];
    for (more, want) in [
        ("", vec![OLD]),
        ("ip_version = \"ipv4\"", vec![OLD]),
        ("ip_version = \"both\"", vec![OLD, "2001:db8::7"]),
    ] {
        let mut lab = by_route(more);
        has(&mut lab, &both);
        assert_eq!(at(&lab), want, "{more}");
        let told = lab.notices.iter().filter(|(_, t)| t.contains("`ip_version = \"both\"`"));
        // Once, where somebody may have thought of both.
        assert_eq!(told.count(), usize::from(want == [OLD]), "{more}");
        assert_eq!(lab.stats().interfaces[0].refused, "");
        lab.clear();
    }
}

#[test]
fn the_line_is_back_and_so_is_the_gateway() {
    let mut lab = standing();
    let (phone, pbx) = parties(&lab);
    for gone in [1, 4, 12, 2, 1, 3, 30, 1] {
        lab.advance(s(10));
        stand(&mut lab, "");
        assert_eq!(at(&lab), [""; 0]);
        lab.advance(s(gone));
        stand(&mut lab, OLD);
        assert_eq!(at(&lab), [OLD], "gone for {gone} s");
    }
    for _ in 0..60 {
        for asked in lab.take(pbx.at) {
            lab.send(pbx.at, answer(&asked, 200, "o"));
        }
        lab.advance(s(1));
    }
    let (mut near, far) = lab.establish(&phone, &pbx);
    lab.hang_up(&mut near, &far);
    lab.take_all();
    // Another address of another lease waits; the old one again, or none, does not.
    stand(&mut lab, NEW);
    stand(&mut lab, OLD);
    assert_eq!(at(&lab), [NEW], "a moment ago it moved");
    stand(&mut lab, "");
    stand(&mut lab, OLD);
    assert_eq!(at(&lab), [OLD]);
    lab.clear();
    lab.end();
}

#[test]
fn what_was_seen_a_while_ago_is_looked_at_again_before_it_is_acted_upon() {
    let mut lab = standing();
    for n in 0..4 {
        stand(&mut lab, [NEW, OLD][n % 2]);
        lab.advance(s(20));
    }
    assert_eq!(at(&lab), [OLD]);
    // It goes elsewhere, and is back before anybody has said so.
    stand(&mut lab, NEW);
    stand(&mut lab, OLD);
    let changes = lab.stats().address_changes;
    stand(&mut lab, NEW);
    stand(&mut lab, "");
    stand(&mut lab, NEW);
    stand(&mut lab, OLD);
    assert_eq!(at(&lab), [NEW]);
    assert!(lab.stats().address_changes > changes);
    lab.has_now(1, plain(&[NEW]));
    lab.advance(s(120));
    assert_eq!(at(&lab), [NEW], "which it still has, as who looks again sees");
    lab.clear();
    lab.end();
}
