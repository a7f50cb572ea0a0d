//! The realm of a challenge or of credentials (RFC 7235 §2.2, RFC 3261 §22), read as the most
//! forgiving phone might: whoever guards a realm must not read less than it. Nothing else is read.

/// Octets of a value that are read; what is longer names no realm.
const LONGEST: usize = 4_096;
/// The parameter.
const NAME: &str = "realm";

/// Whether a value of Authorization, Proxy-Authorization, WWW-Authenticate or Proxy-Authenticate
/// names exactly one realm and it is not `ours`, whatever the case. False: it is ours, names
/// several or none, or cannot be read for sure.
#[must_use]
pub fn is_of_another_realm(value: &[u8], ours: &str) -> bool {
    let Some(text) = std::str::from_utf8(value).ok().filter(|t| t.len() <= LONGEST) else {
        return false;
    };
    // Letters of ASCII alone change, and none their length.
    let small = text.to_ascii_lowercase();
    let named = |at: usize| {
        let before = small.get(..at).and_then(|t| t.chars().next_back());
        let value = text.get(at + NAME.len()..)?.trim_start().strip_prefix('=')?;
        Some((before, value.trim_start()))
    };
    let mut all = small.match_indices(NAME).filter_map(|(at, _)| named(at));
    let (Some((before, value)), None) = (all.next(), all.next()) else { return false };
    if before.is_some_and(|c| c != ',' && !c.is_ascii_whitespace()) {
        return false;
    }
    let realm = match value.strip_prefix('"') {
        Some(quoted) => unquoted(quoted),
        None => value.split([',', ' ', '\t']).next().map(str::to_owned),
    };
    let realm = realm.as_deref().map(str::trim);
    realm.is_some_and(|r| !r.is_empty() && !r.eq_ignore_ascii_case(ours.trim()))
}

/// A quoted string without its escapes; `None`: it does not end, or not before a comma or a space.
fn unquoted(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut chars = text.chars();
    loop {
        match chars.next()? {
            '"' => {
                let ends = chars.next().is_none_or(|c| c == ',' || c.is_ascii_whitespace());
                return ends.then_some(out);
            }
            '\\' => out.push(chars.next()?),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_might_be_ours_is() {
        for ours in [
            "Digest realm=\"site\", nonce=\"1\"",
            "Digest nonce=\"1\",realm=site",
            "Digest nonce=\"1\",\tREALM\t=\t\"SITE\"",
            "Digest realm=\"s\\ite\"",
            "Digest realm=\" site\"",
            "Digest realm=\"other\", realm=\"site\"",
            "Digest opaque=\"realm=\\\"site\\\"\"",
            "Digest opaque=\"realm=site\"",
            "Digest xrealm=other",
            "Digest realm=\"other",
            "Digest realm=\"site, nonce=\"1\"",
            "Digest realm=\"\"",
            "Digest realm=",
            "Digest nonce=\"1\"",
            "realm",
            "",
        ] {
            assert!(!is_of_another_realm(ours.as_bytes(), "site"), "{ours}");
        }
        assert!(!is_of_another_realm(b"Digest realm=\"\xff\"", "site"));
        let long = format!("Digest realm=\"other\", opaque=\"{}\"", "x".repeat(LONGEST));
        assert!(!is_of_another_realm(long.as_bytes(), "site"));
        for other in [
            "Digest realm=\"other\", nonce=\"site\"",
            "Digest nonce=\"1\", realm=other",
            "digest username=\"realm\", Realm=\"site2\"",
            "NTLM realm=\"SIP Communications Service\", targetname=\"x\"",
            "Digest realm=\"my \\\"realm\\\"\"",
        ] {
            assert!(is_of_another_realm(other.as_bytes(), "site"), "{other}");
        }
    }

    proptest! {
        #[test]
        fn no_value_panics_and_ours_is_never_another(
            before in "[ -~]{0,40}",
            space in "[ \t]{0,2}",
            after in "[ -~]{0,40}",
        ) {
            let _ = is_of_another_realm(format!("{before}{after}").as_bytes(), "site");
            for value in ["\"site\"", "\"SI\\TE\"", "site"] {
                let text = format!("Digest {before}, realm{space}={space}{value},{after}");
                prop_assert!(!is_of_another_realm(text.as_bytes(), "site"), "{text}");
            }
        }
    }
}
