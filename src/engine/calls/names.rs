//! What parties call themselves and each other within a dialog (RFC 4916): the tags are the
//! dialog's, the rest may change. What differs on its two legs is remembered in pairs, so that what
//! a side wrote comes back to it as it wrote it.

use super::{Calls, Place};
use crate::engine::world::with_tag;
use crate::ground::Leg;
use crate::wire::sip::{NameAddr, Uri};

/// Pairs that one dialog remembers beside those it began with.
const MOST: usize = 4;

/// One name as the caller's leg and as the callee's leg know it, without tags.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pair {
    caller: Vec<u8>,
    callee: Vec<u8>,
}

impl Pair {
    /// From values or To values of both legs.
    fn of(caller: &[u8], callee: &[u8]) -> Self {
        Self { caller: split(caller).0, callee: split(callee).0 }
    }

    fn on(&self, leg: Leg) -> &[u8] {
        match leg {
            Leg::Caller => &self.caller,
            Leg::Callee => &self.callee,
        }
    }
}

/// Names that came up since the dialog began and differ on its legs; the oldest gives way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names(Vec<Pair>);

impl Names {
    fn learn(&mut self, leg: Leg, near: &[u8], far: &[u8]) {
        let (near, far) = (split(near).0, split(far).0);
        if near == far {
            return;
        }
        let pair = match leg {
            Leg::Caller => Pair { caller: near, callee: far },
            Leg::Callee => Pair { caller: far, callee: near },
        };
        self.0.retain(|p| *p != pair);
        self.0.insert(0, pair);
        self.0.truncate(MOST);
    }

    /// A From or To value written on `leg` as the other leg knows it; `None`: a name that the
    /// dialog has not seen. `first` are the names it began with.
    fn known(&self, leg: Leg, value: &[u8], first: &[Pair; 2]) -> Option<Vec<u8>> {
        let (bare, tag) = split(value);
        let all = || first.iter().chain(&self.0);
        let same = all().find(|p| p.on(leg) == bare).map(|p| p.on(leg.other()).to_vec());
        let far = same.or_else(|| {
            let mut name = NameAddr::parse(&bare)?;
            let uri = |p: &Pair, leg| NameAddr::parse(p.on(leg)).map(|n| n.uri);
            let pair = all().find(|p| uri(p, leg).is_some_and(|u| is_same(&u, &name.uri)))?;
            let far = uri(pair, leg.other())?;
            if is_same(&far, &name.uri) {
                return Some(bare.clone());
            }
            name.uri = far;
            Some(name.to_string().into_bytes())
        })?;
        Some(with_tag(&far, &tag))
    }
}

impl Calls {
    /// A From or To value of a request within a dialog as the other leg knows it; `None`: the
    /// dialog has not seen that name.
    pub(crate) fn known_name(&self, p: &Place, value: &[u8]) -> Option<Vec<u8>> {
        let (caller, callee) = match p.leg {
            Leg::Caller => (&p.near, &p.far),
            Leg::Callee => (&p.far, &p.near),
        };
        let first = [Pair::of(&caller.from, &callee.from), Pair::of(&caller.to, &callee.to)];
        let fork = self.table.get(p.call).and_then(|c| c.fork(&p.tag));
        match fork {
            Some(fork) => fork.names.known(p.leg, value, &first),
            None => Names::default().known(p.leg, value, &first),
        }
    }

    /// A new name passed: as it was written, and as the other leg was told it.
    pub(crate) fn learn_name(&mut self, p: &Place, near: &[u8], far: &[u8]) {
        if let Some(fork) = self.table.get_mut(p.call).and_then(|c| c.fork_mut(&p.tag)) {
            fork.names.learn(p.leg, near, far);
        }
    }
}

/// The same party of the same host: parameters do not count.
fn is_same(a: &Uri, b: &Uri) -> bool {
    a.scheme == b.scheme
        && a.user == b.user
        && a.host.eq_ignore_ascii_case(&b.host)
        && a.port == b.port
}

/// A From or To value without its tag, every other octet as it stands; and the tag.
fn split(value: &[u8]) -> (Vec<u8>, String) {
    let none = || (value.to_vec(), String::new());
    let Some(tag) = NameAddr::parse(value).and_then(|n| n.tag().map(str::to_owned)) else {
        return none();
    };
    // The parameters of the header begin behind the bracket, where there is one.
    let from = value.iter().rposition(|b| *b == b'>').unwrap_or(0);
    let is_tag = |at: usize| {
        let rest = value.get(at + 1..).unwrap_or_default().trim_ascii_start();
        let name = rest.get(..3).is_some_and(|n| n.eq_ignore_ascii_case(b"tag"));
        name && rest.get(3..).unwrap_or_default().trim_ascii_start().starts_with(b"=")
    };
    let Some(at) = (from..value.len()).find(|i| value.get(*i) == Some(&b';') && is_tag(*i)) else {
        return none();
    };
    let rest = value.get(at + 1..).unwrap_or_default();
    let end = rest.iter().position(|b| *b == b';').unwrap_or(rest.len());
    let before = value.get(..at).unwrap_or_default().trim_ascii_end();
    ([before, rest.get(end..).unwrap_or_default()].concat(), tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: Option<Vec<u8>>) -> Option<String> {
        value.map(|v| String::from_utf8_lossy(&v).into_owned())
    }

    #[test]
    fn a_tag_is_taken_out_and_nothing_else() {
        for (value, bare, tag) in [
            ("<sip:a@b>;tag=1", "<sip:a@b>", "1"),
            ("\"x;tag=9\" <sip:a@b;tag=8> ; TAG = 1 ;y=2", "\"x;tag=9\" <sip:a@b;tag=8>;y=2", "1"),
            ("sip:a@b;x=1;tag=2", "sip:a@b;x=1", "2"),
            ("<sip:a@b>", "<sip:a@b>", ""),
        ] {
            assert_eq!(split(value.as_bytes()), (bare.as_bytes().to_vec(), tag.to_owned()));
        }
    }

    #[test]
    fn names_of_the_beginning_come_back_as_they_were() {
        let first = [
            Pair::of(b"\"A\" <sip:1@10.0.0.1>;tag=a", b"\"A\" <sip:1@p.example>;tag=a"),
            Pair::of(b"<sip:2@10.0.0.1>", b"<sip:2@p.example>"),
        ];
        let known = |leg, value: &str| text(Names::default().known(leg, value.as_bytes(), &first));
        let all = [
            (Leg::Caller, "\"A\" <sip:1@10.0.0.1>;tag=a", "\"A\" <sip:1@p.example>;tag=a"),
            (Leg::Callee, "\"A\" <sip:1@p.example>;tag=a", "\"A\" <sip:1@10.0.0.1>;tag=a"),
            (Leg::Callee, "<sip:1@P.example>;tag=a", "<sip:1@10.0.0.1>;tag=a"),
            (Leg::Callee, "\"B\" <sip:2@p.example>;tag=b", "\"B\" <sip:2@10.0.0.1>;tag=b"),
        ];
        for (leg, value, far) in all {
            assert_eq!(known(leg, value).as_deref(), Some(far));
        }
        assert_eq!(known(Leg::Callee, "<sip:3@p.example>;tag=b"), None);
    }

    #[test]
    fn later_names_are_remembered_up_to_a_bound() {
        let first = [Pair::of(b"<sip:1@x>", b"<sip:1@x>"), Pair::of(b"<sip:2@x>", b"<sip:2@x>")];
        let mut names = Names::default();
        for i in 0..10 {
            let (near, far) = (format!("<sip:{i}@in>;tag=a"), format!("<sip:{i}@out>;tag=a"));
            names.learn(Leg::Caller, near.as_bytes(), far.as_bytes());
        }
        assert_eq!(
            text(names.known(Leg::Callee, b"<sip:9@out>;tag=a", &first)).as_deref(),
            Some("<sip:9@in>;tag=a")
        );
        assert_eq!(names.known(Leg::Callee, b"<sip:0@out>;tag=a", &first), None);
        assert_eq!(names.0.len(), MOST);
        assert_eq!(
            names.known(Leg::Caller, b"<sip:2@x>;tag=a", &first),
            Some(b"<sip:2@x>;tag=a".to_vec())
        );
    }
}
