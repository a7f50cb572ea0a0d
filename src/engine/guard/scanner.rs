//! Scanners that say who they are. A list that cannot be complete: whoever names himself otherwise
//! is found by what he does.

/// Parts of their User-Agent, in small letters.
const MARKS: [&str; 14] = [
    "friendly-scanner",
    "friendly-request",
    "sipvicious",
    "sipcli",
    "sipsak",
    "pplsip",
    "vaxsipuseragent",
    "vaxipuseragent",
    "siparmyknife",
    "sundayddr",
    "sip-scan",
    "sipptk",
    "sip-toolkit",
    "voippack",
];
/// Octets of a User-Agent that are read.
const READ: usize = 256;

/// Whether a User-Agent names a scanner; `more`: further marks, in small letters.
pub(crate) fn is_scanner(agent: &str, more: &[String]) -> bool {
    let end = agent.char_indices().map(|(at, _)| at).find(|at| *at >= READ);
    let agent = agent.get(..end.unwrap_or(agent.len())).unwrap_or_default().to_ascii_lowercase();
    let names = |mark: &str| !mark.is_empty() && agent.contains(mark);
    MARKS.iter().any(|m| names(m)) || more.iter().any(|m| names(m))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn scanners_are_known_by_a_part_of_their_name() {
        for agent in ["friendly-scanner", "SIPVicious 0.3", "sipcli/v1.8", "VaxSIPUserAgent/3.1"] {
            assert!(is_scanner(agent, &[]), "{agent}");
        }
        for agent in [
            "",
            "Samsung SMT-i5343",
            "baresip v3.5.0",
            "Linphone/5.1",
            "sip",
            "é".repeat(999).as_str(),
        ] {
            assert!(!is_scanner(agent, &[]), "{agent}");
        }
        assert!(is_scanner("ACME-Scanner/2", &["acme-scanner".to_owned()]));
        assert!(!is_scanner("Acme", &[String::new()]));
    }

    proptest! {
        #[test]
        fn no_agent_panics_and_a_mark_is_found_early_in_any(before in "\\PC{0,60}", after in "\\PC{0,300}") {
            let found = is_scanner(&format!("{before}SipVicious{after}"), &[]);
            prop_assert!(found || before.len() > READ - 10);
        }
    }
}
