//! What a phone says that it is (User-Agent, Server), without what only this one phone is: its MAC
//! address, its serial number. Product and version stay. It reads text and knows nothing else.

use crate::wire::addresses::find_written;
use std::net::IpAddr;
use std::ops::Range;

/// Octets of a MAC address, in hexadecimal.
const MAC: usize = 12;
/// Digits of an IMEI.
const IMEI: usize = 15;
/// Words behind which a serial number stands.
const SERIAL: [&[u8]; 8] =
    [b"sn", b"s/n", b"ser", b"serial", b"serialno", b"serialnumber", b"imei", b"mac"];

/// The text without MAC addresses (`0004f2a1b2c3`, `00:04:f2:a1:b2:c3`, `0004.f2a1.b2c3`) and
/// serial numbers, and without the mark that stood before them.
pub(super) fn without_serials(text: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let begins = at == 0 || !text.get(at - 1).is_some_and(u8::is_ascii_alphanumeric);
        let found = if begins { serial_at(text, at) } else { None };
        let Some(Range { start, end }) = found else {
            out.extend(text.get(at));
            at += 1;
            continue;
        };
        let keep = out.len().saturating_sub(at - start);
        out.truncate(keep);
        let opened = out.last().is_some_and(|b| matches!(b, b'(' | b'[' | b'{'));
        let closed = text.get(end).is_some_and(|b| matches!(b, b')' | b']' | b'}'));
        at = if opened && closed { end + 1 } else { end };
        if opened && closed {
            out.pop();
        }
        while out
            .last()
            .is_some_and(|b| matches!(b, b' ' | b'_' | b'-' | b'/' | b';' | b',' | b':'))
        {
            out.pop();
        }
    }
    out.trim_ascii().to_vec()
}

/// Overwrites every address for which `hidden` says so; it is told which may be a version: one of
/// 10.0.0.0/8 that nothing marks as an address.
pub(super) fn scrub(text: &[u8], hidden: impl Fn(IpAddr, bool) -> bool, shown: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    for (Range { start, end }, ip) in find_written(text) {
        let ten = matches!(ip, IpAddr::V4(v4) if v4.octets().first() == Some(&10));
        let marked =
            start.checked_sub(1).and_then(|i| text.get(i)).is_some_and(|b| b"@[".contains(b))
                || text.get(end) == Some(&b':');
        if start < at || !hidden(ip, ten && !marked) {
            continue;
        }
        let before = text.get(at..start).unwrap_or_default();
        let bracketed = before.ends_with(b"[") && text.get(end) == Some(&b']');
        let mark = usize::from(bracketed);
        out.extend_from_slice(before.get(..before.len() - mark).unwrap_or_default());
        out.extend_from_slice(shown.as_bytes());
        at = end + mark;
    }
    out.extend_from_slice(text.get(at..).unwrap_or_default());
    out
}

/// A MAC address or serial number that begins at `at`, or the word that announces one.
fn serial_at(text: &[u8], at: usize) -> Option<Range<usize>> {
    let rest = text.get(at..)?;
    let len = mac(rest).or_else(|| imei(rest)).or_else(|| announced(rest))?;
    Some(at..at + len)
}

/// Octets of a MAC address at the beginning of a text.
fn mac(text: &[u8]) -> Option<usize> {
    let run = |t: &[u8]| t.iter().take(MAC + 1).take_while(|b| b.is_ascii_hexdigit()).count();
    let first = run(text);
    let (group, marks): (usize, &[u8]) = match first {
        MAC => return ends(text, MAC).then_some(MAC),
        4 => (4, b".:-"),
        2 => (2, b":-."),
        _ => return None,
    };
    let mark = text.get(group).filter(|b| marks.contains(b))?;
    let groups = MAC / group;
    let len = groups * group + groups - 1;
    for i in 0..groups {
        let from = i * (group + 1);
        if i > 0 && text.get(from - 1) != Some(mark) {
            return None;
        }
        if !text.get(from..from + group)?.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
    }
    ends(text, len).then_some(len)
}

/// Octets of an IMEI: so many digits and no more.
fn imei(text: &[u8]) -> Option<usize> {
    let digits = text.iter().take(IMEI + 1).take_while(|b| b.is_ascii_digit()).count();
    (digits == IMEI && ends(text, IMEI)).then_some(IMEI)
}

/// Octets of `SN:1234…`, `serial 1234…`.
fn announced(text: &[u8]) -> Option<usize> {
    let of_word = |b: &&u8| b.is_ascii_alphabetic() || **b == b'/';
    let word = text.iter().take(16).take_while(of_word).count();
    let name = text.get(..word)?;
    if !SERIAL.iter().any(|s| s.eq_ignore_ascii_case(name)) {
        return None;
    }
    let rest = text.get(word..)?;
    let marks = rest.iter().take(3).take_while(|b| b" :=#.".contains(b)).count();
    let value = rest.get(marks..).filter(|_| marks > 0)?;
    let of_value = |b: &&u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b':' | b'.');
    let len = value.iter().take_while(of_value).count();
    let digits = value.iter().take(len).filter(|b| b.is_ascii_digit()).count();
    (len >= 4 && digits >= 2).then_some(word + marks + len)
}

/// Whether the word ends there.
fn ends(text: &[u8], at: usize) -> bool {
    !text.get(at).is_some_and(u8::is_ascii_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn product_and_version_stay_and_the_one_phone_is_not_known() {
        for (text, left) in [
            ("Fanvil X4U 2.4.12.1 0c383e2b1234", "Fanvil X4U 2.4.12.1"),
            ("PolycomVVX-VVX_410-UA/5.9.0.9373_0004f2abcdef", "PolycomVVX-VVX_410-UA/5.9.0.9373"),
            (
                "Gigaset N510 IP PRO/42.250.00.000.000 7C2F80ABCDEF",
                "Gigaset N510 IP PRO/42.250.00.000.000",
            ),
            ("Phone (00:04:f2:a1:b2:c3)", "Phone"),
            ("Phone 00-04-F2-A1-B2-C3 fw 2", "Phone fw 2"),
            ("Cisco 0004.f2a1.b2c3/9", "Cisco/9"),
            ("Phone/1.2 SN:AB123456", "Phone/1.2"),
            ("Phone/1.2 (S/N 4711-0815) x", "Phone/1.2 x"),
            ("Cell 356938035643809", "Cell"),
            ("0004f2abcdef", ""),
            ("snomD785/10.1.64.14", "snomD785/10.1.64.14"),
            ("Linphone/3.6.1 (eXosip2/4.1.0)", "Linphone/3.6.1 (eXosip2/4.1.0)"),
            ("Serial Phone/2", "Serial Phone/2"),
            ("AVM FRITZ!Box 7590 154.07.29", "AVM FRITZ!Box 7590 154.07.29"),
            ("x 0004f2abcdef0", "x 0004f2abcdef0"),
            ("baresip v3.10.1 (x86_64/linux)", "baresip v3.10.1 (x86_64/linux)"),
            ("", ""),
        ] {
            let got = without_serials(text.as_bytes());
            assert_eq!(String::from_utf8_lossy(&got), left, "{text}");
        }
    }

    #[test]
    fn a_version_is_told_from_an_address() {
        let hidden = |_, version: bool| !version;
        for (text, left) in [
            ("snomD785/10.1.64.14", "snomD785/10.1.64.14"),
            ("x@10.1.64.14", "x@203.0.113.1"),
            ("x 10.1.64.14:5060", "x 203.0.113.1:5060"),
            ("x 192.168.7.9", "x 203.0.113.1"),
        ] {
            let got = scrub(text.as_bytes(), hidden, "203.0.113.1");
            assert_eq!(String::from_utf8_lossy(&got), left, "{text}");
        }
    }
}
