//! Numbers are normalised once, before policy sees them; what was judged is what goes out.

use crate::config::Numbers;

/// Digits from which on `00` means an international call and prefixes are read.
const FULL: usize = 7;

/// Normalises the user part of a URI (percent-decoded here) or a `tel:` number. Text that is no
/// number comes back decoded and unchanged.
#[must_use]
pub fn normalise(user: &str, numbers: &Numbers) -> String {
    let decoded = decode(user);
    // Parameters within the user part (`;phone-context=`) are not the number.
    let plain = decoded.split(';').next().unwrap_or_default();
    let Some(digits) = digits(plain) else { return decoded };
    if digits.starts_with('+') {
        return digits;
    }
    let taken = numbers.outside_line.as_deref().and_then(|p| digits.strip_prefix(p));
    let digits = match taken {
        Some(rest) if rest.len() >= FULL => rest.to_owned(),
        Some(_) | None => digits,
    };
    if digits.len() < FULL {
        return digits;
    }
    if let Some(rest) = digits.strip_prefix("00") {
        return format!("+{rest}");
    }
    match (&numbers.national_prefix, &numbers.country) {
        (Some(prefix), Some(country)) if digits.starts_with(prefix.as_str()) => {
            format!("{country}{}", digits.get(prefix.len()..).unwrap_or_default())
        }
        _ => digits,
    }
}

/// The number without visual separators; `None`: not a number.
fn digits(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '0'..='9' | '*' | '#' => out.push(c),
            '+' if out.is_empty() => out.push(c),
            '-' | '.' | '(' | ')' | ' ' => {}
            _ => return None,
        }
    }
    out.bytes().any(|b| b.is_ascii_digit()).then_some(out)
}

fn decode(text: &str) -> String {
    let uri = crate::wire::sip::Uri::sip(Some(text), "x", None);
    uri.user_decoded().unwrap_or_else(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn site() -> Numbers {
        Numbers {
            outside_line: Some("9".into()),
            national_prefix: Some("0".into()),
            country: Some("+49".into()),
        }
    }

    #[test]
    fn one_number_has_one_form() {
        let plain = Numbers::default();
        for (given, want) in [
            ("%2B1 900 555 0100", "+19005550100"),
            ("+1-900-555.0100", "+19005550100"),
            ("0019005550100", "+19005550100"),
            ("(030)123", "030123"),
            ("102", "102"),
            ("0012", "0012"),
            ("alice", "alice"),
            ("al%69ce", "alice"),
            ("*97", "*97"),
            ("5551212;phone-context=x", "5551212"),
        ] {
            assert_eq!(normalise(given, &plain), want, "{given}");
        }
        for (given, want) in [
            ("90301234567", "+49301234567"),
            ("9001900555010", "+1900555010"),
            ("911", "911"),
            ("0301234567", "+49301234567"),
        ] {
            assert_eq!(normalise(given, &site()), want, "{given}");
        }
    }

    proptest! {
        #[test]
        fn normalising_a_full_number_again_changes_nothing(n in "\\+[1-9][0-9]{6,14}") {
            let once = normalise(&n, &site());
            prop_assert_eq!(&once, &n);
        }

        #[test]
        fn no_input_panics(text in "\\PC{0,40}") {
            let _ = normalise(&text, &site());
        }
    }
}
