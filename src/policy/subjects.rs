//! Patterns for names that certificates prove. One for DNS names meets no URI, nor the other way
//! round: who may be named by an authority in one kind may not be in another. It proves nothing.

use super::matching::Pattern;
use crate::ground::Subject;

/// One pattern.
#[derive(Clone, Debug)]
enum Named {
    /// Any certificate that proved a name.
    Any,
    /// A DNS name, or the common name of who has no other.
    Host(Pattern),
    /// A URI.
    Uri(Pattern),
}

/// Patterns of one `tls_subject`.
#[derive(Clone, Debug)]
pub(crate) struct Subjects(Vec<Named>);

impl Subjects {
    pub(crate) fn new(all: &[String]) -> Self {
        let named = |text: &String| match text.as_str() {
            "*" => Named::Any,
            // No name of a host has one of these.
            _ if text.contains([':', '@']) => Named::Uri(Pattern::new(text)),
            _ => Named::Host(Pattern::new(text)),
        };
        Self(all.iter().map(named).collect())
    }

    /// Any of the names is any of these.
    pub(crate) fn meet(&self, names: &[Subject]) -> bool {
        names.iter().any(|name| self.0.iter().any(|named| named.is(name)))
    }
}

impl Named {
    fn is(&self, name: &Subject) -> bool {
        match (self, name) {
            (Self::Any, _) => true,
            (Self::Host(pattern), Subject::Dns(name)) => {
                pattern.matches(name) || pattern.exact().is_some_and(|host| stands_for(name, host))
            }
            (Self::Host(pattern), Subject::Common(name))
            | (Self::Uri(pattern), Subject::Uri(name)) => pattern.matches(name),
            (Self::Host(_), Subject::Uri(_))
            | (Self::Uri(_), Subject::Dns(_) | Subject::Common(_)) => false,
        }
    }
}

/// Whether a name that begins with a star is shown for this host: the star is one whole label, the
/// left-most (RFC 9525 §6.3), and not below a top-level domain.
fn stands_for(name: &str, host: &str) -> bool {
    let Some(rest) = name.strip_prefix("*.").filter(|rest| rest.contains('.')) else {
        return false;
    };
    host.split_once('.').is_some_and(|(first, parent)| {
        !first.is_empty() && first != "*" && parent.eq_ignore_ascii_case(rest)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_meets_names_of_its_own_kind() {
        let dns = |t: &str| Subject::dns(t).unwrap();
        let uri = |t: &str| Subject::uri(t).unwrap();
        let common = |t: &str| Subject::common(t).unwrap();
        for (pattern, name, met) in [
            ("trunk.example.net", dns("TRUNK.example.net"), true),
            ("trunk.example.net", uri("sip:trunk.example.net"), false),
            ("trunk.example.net", common("trunk.example.net"), true),
            ("sip:trunk.example.net", uri("sip:trunk.example.net"), true),
            ("sip:trunk.example.net", uri("sips:trunk.example.net"), false),
            ("sip:trunk.example.net", common("sip:trunk.example.net"), false),
            ("*.example.net", dns("trunk.example.net"), true),
            ("*.example.net", dns("*.example.net"), true),
            ("*.example.net", uri("sip:trunk.example.net"), false),
            ("*@example.net", uri("sip:101@example.net"), true),
            ("branch-*", dns("branch-7.example.net"), true),
            ("branch-*", uri("branch-7:x"), false),
            ("0015*", common("001565AABBCC"), true),
            ("*", uri("urn:x"), true),
            ("*", common("x"), true),
            // What is shown with a star (RFC 9525 §6.3).
            ("trunk.example.net", dns("*.example.net"), true),
            ("a.trunk.example.net", dns("*.example.net"), false),
            ("example.net", dns("*.example.net"), false),
            ("example.net", dns("*.net"), false),
            ("trunk.example.net", common("*.example.net"), false),
        ] {
            let all = Subjects::new(&[pattern.to_owned()]);
            assert_eq!(all.meet(std::slice::from_ref(&name)), met, "{pattern} {name:?}");
        }
        assert!(!Subjects::new(&["*".to_owned()]).meet(&[]), "any, but not none");
    }
}
