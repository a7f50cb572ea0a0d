//! A tunnel that an upstream is reached by is silent, and looks for another way: that says nothing
//! of the upstream, and nobody is alone for it as long as one may be found.

use super::{Lab, Ua, answers, phones, register, surviving};
use crate::lab::script::answer;
use crate::lab::{ms, s};
use portreeve::engine::{Input, TunnelPath};

/// What its end says of it each second, for so long; the upstream says nothing.
fn silent(lab: &mut Lab, seconds: u64, is_moving: bool) {
    for _ in 0..seconds {
        lab.input(Input::Tunnel(TunnelPath { interface: 1, is_moving, ..TunnelPath::default() }));
        lab.advance(s(1));
    }
}

fn known() -> (Lab, Ua) {
    let mut lab = surviving("");
    let (a, _) = phones(&mut lab);
    answers(&mut lab, 10);
    lab.take_all();
    (lab, a)
}

fn is_alone(lab: &Lab) -> bool {
    lab.upstream("pbx").alone.is_some()
}

#[test]
fn what_waits_while_a_tunnel_is_moved_leaves_nobody_alone_and_is_answered_then() {
    let (mut lab, a) = known();
    assert!(register(&mut lab, &a, |t| t).is_none());
    silent(&mut lab, 5, true);
    assert!(!is_alone(&lab), "{}", lab.situation());
    // Another way carries, and what waited is sent again by it.
    lab.input(Input::Tunnel(TunnelPath { interface: 1, ..TunnelPath::default() }));
    lab.advance(ms(500));
    assert!(!is_alone(&lab), "{}", lab.situation());
    let pbx = lab.pbx();
    let asked: Vec<_> = lab.take(pbx).into_iter().filter(|m| m.method() == "REGISTER").collect();
    assert!(asked.len() > 1, "it is sent again and again");
    let again = asked.last().expect("a REGISTER");
    lab.send(pbx, answer(again, 200, "r").with("Contact", again.header("Contact")));
    assert_eq!(lab.take(a.at).last().map(crate::lab::Msg::status), Some(200));
    silent(&mut lab, 5, false);
    assert!(!is_alone(&lab), "{}", lab.situation());
}

#[test]
fn where_no_other_way_is_found_or_the_tunnel_is_well_the_site_is_alone_soon() {
    // One that says for ever that it is being moved is not believed for ever.
    for moving in [0, 3, 6, 20] {
        let (mut lab, a) = known();
        assert!(register(&mut lab, &a, |t| t).is_none());
        silent(&mut lab, moving, true);
        assert_eq!(is_alone(&lab), moving > 10, "{moving}: {}", lab.situation());
        silent(&mut lab, 4, false);
        lab.advance(ms(100));
        assert!(is_alone(&lab), "{moving}: {}", lab.situation());
    }
}
