//! Whose a certificate says that it is: a name with its kind, for a name of one kind is none of
//! another. It judges nobody.

use std::fmt;

/// Octets of a name.
const LONGEST: usize = 255;

/// One name that a certificate proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A DNS name (dNSName), in lower case; a star may stand for its left-most label.
    Dns(String),
    /// A URI (uniformResourceIdentifier), with its scheme.
    Uri(String),
    /// The common name of who has no other.
    Common(String),
}

impl Subject {
    /// A DNS name: labels of letters, digits, hyphens and underscores, the first may be a star.
    /// `None`: it is none, at most 255 octets long.
    #[must_use]
    pub fn dns(text: &str) -> Option<Self> {
        let fine = |label: &str| {
            let all = label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
            all && (1..=63).contains(&label.len())
        };
        let text = text.strip_suffix('.').unwrap_or(text);
        let rest = text.strip_prefix("*.").unwrap_or(text);
        let is_name = text.len() <= LONGEST && rest.split('.').all(fine);
        is_name.then(|| Self::Dns(text.to_ascii_lowercase()))
    }

    /// A URI: a scheme (RFC 3986 §3.1), a colon, and visible ASCII. `None`: it is none, at most 255
    /// octets long.
    #[must_use]
    pub fn uri(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once(':')?;
        let begins = scheme.starts_with(|c: char| c.is_ascii_alphabetic());
        let goes_on = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
        let is_uri = begins
            && scheme.bytes().all(goes_on)
            && !rest.is_empty()
            && rest.bytes().all(|b| b.is_ascii_graphic())
            && text.len() <= LONGEST;
        is_uri.then(|| Self::Uri(text.to_owned()))
    }

    /// A common name. `None`: it is empty, has a control character, or more than 255 octets.
    #[must_use]
    pub fn common(text: &str) -> Option<Self> {
        let is_name = (1..=LONGEST).contains(&text.len()) && !text.contains(char::is_control);
        is_name.then(|| Self::Common(text.to_owned()))
    }

    /// As a rule's test writes it: a URI has a colon.
    #[must_use]
    pub fn written(text: &str) -> Option<Self> {
        if text.contains(':') { Self::uri(text) } else { Self::dns(text) }
    }

    /// The name alone.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Dns(text) | Self::Uri(text) | Self::Common(text) => text,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_of_its_kind_or_none() {
        let dns = |text: &str| Subject::dns(text).map(|s| s.to_string());
        assert_eq!(dns("Trunk.Example.net.").as_deref(), Some("trunk.example.net"));
        assert_eq!(dns("*.example.net").as_deref(), Some("*.example.net"));
        for wrong in ["", "a..b", "x*.example.net", "a.*.net", "sip:a", "a b", "a\0", "*", "ä.de"]
        {
            assert_eq!(dns(wrong), None, "{wrong:?}");
        }
        let long = format!("{}.example.net", "a".repeat(64));
        assert_eq!(dns(&long), None);
        assert!(Subject::uri("sip:trunk.example.net").is_some());
        for wrong in ["trunk.example.net", ":x", "sip:", "1sip:x", "sip:a b", "sip:a\n", "s ip:a"] {
            assert_eq!(Subject::uri(wrong), None, "{wrong:?}");
        }
        assert!(Subject::common("SEP0015 65").is_some() && Subject::common("").is_none());
        assert!(Subject::common("a\nb").is_none() && Subject::common(&"a".repeat(256)).is_none());
    }
}
