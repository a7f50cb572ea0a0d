//! Headers by which networks that trust each other tell who asks, whom he asked for, who pays and
//! where he is attached. Whoever is not trusted may say none of it. It names them; whom to believe
//! is `strip`'s word.

use crate::ground::words;
use crate::wire::sip::Name;

words! {
    /// What such a header is about.
    pub(crate) enum Family {
        /// Who the sender is, and who vouches for it (RFC 3325, RFC 8224, RFC 6050, RFC 5502).
        Asserted = "asserted",
        /// Whom the request was for before it came here (RFC 5806, RFC 7044, RFC 7315 §4.2).
        Forwarded = "forwarded",
        /// Who pays (RFC 8496, RFC 7315 §4.5, §4.6, RFC 5503).
        Charging = "charging",
        /// How and where the sender is attached, and what its network grants (RFC 7315 §4.3, §4.4,
        /// RFC 7913, RFC 3313, RFC 5503).
        Network = "network",
    }
}

/// Every header of a family, as the RFCs and 3GPP TS 24.229 write it.
const HEADERS: [(&str, Family); 38] = [
    ("P-Asserted-Identity", Family::Asserted),
    ("P-Preferred-Identity", Family::Asserted),
    ("Remote-Party-ID", Family::Asserted),
    ("P-Asserted-Service", Family::Asserted),
    ("P-Preferred-Service", Family::Asserted),
    ("P-Served-User", Family::Asserted),
    ("P-Profile-Key", Family::Asserted),
    ("P-User-Database", Family::Asserted),
    ("P-Private-Network-Indication", Family::Asserted),
    ("P-Associated-URI", Family::Asserted),
    ("Identity", Family::Asserted),
    ("Identity-Info", Family::Asserted),
    ("Attestation-Info", Family::Asserted),
    ("Origination-Id", Family::Asserted),
    ("Additional-Identity", Family::Asserted),
    ("Priority-Verstat", Family::Asserted),
    ("RPID-Privacy", Family::Asserted),
    ("Diversion", Family::Forwarded),
    ("CC-Diversion", Family::Forwarded),
    ("History-Info", Family::Forwarded),
    ("P-Called-Party-ID", Family::Forwarded),
    ("P-DCS-Redirect", Family::Forwarded),
    ("P-Charge-Info", Family::Charging),
    ("P-Charging-Vector", Family::Charging),
    ("P-Charging-Function-Addresses", Family::Charging),
    ("P-DCS-Billing-Info", Family::Charging),
    ("Relayed-Charge", Family::Charging),
    ("P-Access-Network-Info", Family::Network),
    ("P-Visited-Network-ID", Family::Network),
    ("Cellular-Network-Info", Family::Network),
    ("P-Media-Authorization", Family::Network),
    ("P-DCS-Trace-Party-ID", Family::Network),
    ("P-DCS-OSPS", Family::Network),
    ("P-DCS-LAES", Family::Network),
    ("P-DCS-Gate", Family::Network),
    ("P-DCS-State", Family::Network),
    ("Restoration-Info", Family::Network),
    ("Response-Source", Family::Network),
];

/// The family of a header; `None`: anybody may say it.
pub(crate) fn family(name: &Name) -> Option<Family> {
    // Those that every message has are asked for most, and are of none.
    if matches!(
        name,
        Name::Via
            | Name::From
            | Name::To
            | Name::CallId
            | Name::CSeq
            | Name::Contact
            | Name::MaxForwards
            | Name::Route
            | Name::RecordRoute
            | Name::ContentType
            | Name::ContentLength
            | Name::Expires
            | Name::UserAgent
    ) {
        return None;
    }
    let text = name.as_str();
    HEADERS.iter().find(|(known, _)| known.eq_ignore_ascii_case(text)).map(|(_, family)| *family)
}

/// Headers of [`Family::Forwarded`].
pub(crate) fn forwarding() -> impl Iterator<Item = &'static str> {
    let all = HEADERS.iter().filter(|(_, family)| *family == Family::Forwarded);
    all.map(|(name, _)| *name)
}

/// A header of private networks (RFC 3427 §4.1): strangers have none in common with us.
pub(crate) fn is_of_networks(name: &Name) -> bool {
    super::strip::matches("P-*", name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_header_is_known_in_any_case_and_nothing_else_is() {
        for (name, of) in HEADERS {
            assert_eq!(family(&Name::parse(&name.to_uppercase())), Some(of), "{name}");
        }
        assert_eq!(family(&Name::parse("y")), Some(Family::Asserted), "compact");
        assert_eq!(family(&Name::parse("n")), Some(Family::Asserted), "compact");
        for name in ["From", "X-Asserted", "P-Early-Media", "Privacy", "Reason"] {
            assert_eq!(family(&Name::parse(name)), None, "{name}");
        }
    }
}
