//! What things are called on the page: findings and what to do about them, quality, times, text
//! from the network. An unknown value is shown as unknown, never as a good one.

use crate::audit::{Finding, LegQuality, timestamp};
use crate::engine::LegView;
use crate::ground::{Wall, shown};
use maud::{Markup, html};
use std::time::Duration;

/// Characters of a word from the network that are shown.
const WORD: usize = 96;

/// Text from the network, made visible where it would hide or turn other text, and bounded. The
/// page escapes it besides.
pub(super) fn said(text: &str) -> String {
    let cut: String = text.chars().take(WORD).collect();
    let dots = if cut.len() < text.len() { "…" } else { "" };
    format!("{}{dots}", shown(&cut))
}

/// A time, in UTC; the script shows it in the reader's zone.
pub(super) fn time(wall: Wall) -> Markup {
    let stamp = timestamp(wall);
    let (day, clock) = stamp.split_once('T').unwrap_or((&stamp, ""));
    let clock = clock.split('.').next().unwrap_or_default();
    html! { time datetime=(stamp) { (day) " " (clock) " UTC" } }
}

/// The same of seconds since the epoch.
pub(super) fn time_of(seconds: u64) -> Markup {
    time(Wall(Duration::from_secs(seconds)))
}

pub(super) fn unknown(why: &str) -> Markup {
    html! { span.unknown { "unknown" @if !why.is_empty() { " (" (why) ")" } } }
}

/// MOS as a number with its word; the words are those of ITU-T G.109's categories, joined.
pub(super) fn mos(mos: Option<f64>, why: Option<&str>) -> Markup {
    let Some(mos) = mos else { return unknown(&why.unwrap_or("not measured").replace('_', " ")) };
    let word = if mos >= 4.03 {
        "good"
    } else if mos >= 3.6 {
        "fair"
    } else if mos >= 3.1 {
        "poor"
    } else {
        "bad"
    };
    html! { span.bad[mos < 3.6] { (format!("{mos:.2}")) " " (word) } }
}

/// Share of packets lost, in words.
pub(super) fn loss(lost: u64, expected: u64) -> String {
    match (u32::try_from(lost), u32::try_from(expected)) {
        (Ok(lost), Ok(all)) if all > 0 => {
            format!("{:.1} %", f64::from(lost) * 100.0 / f64::from(all))
        }
        _ => "unknown".to_owned(),
    }
}

/// What came from one party, in one line.
pub(super) fn leg(leg: Option<&LegView>) -> Markup {
    let Some(leg) = leg else { return unknown("no audio") };
    let Some(q) = &leg.total else { return unknown("not measured yet") };
    html! {
        "MOS " (mos(q.mos, q.unmeasured))
        small { (figures(q)) }
    }
}

fn figures(q: &LegQuality) -> String {
    let codec = q.codec.unwrap_or("codec unknown");
    let jitter =
        q.jitter_ms.map_or_else(|| "jitter unknown".to_owned(), |ms| format!("jitter {ms:.1} ms"));
    format!("{codec}, loss {}, {jitter}", loss(q.lost, q.expected))
}

/// A finding in words, and what to do about it.
pub(super) fn finding(finding: Finding) -> (&'static str, &'static str) {
    match finding {
        Finding::OneWayAudio => (
            "Only one party is heard",
            "Look at the address that the silent party's SDP names and at the firewall on its \
             way; behind a NAT its interface wants learn = \"same-ip\".",
        ),
        Finding::NoAudio => (
            "Nobody is heard",
            "Neither party's audio arrives: look whether the relay's ports (media.ports) pass \
             the firewalls on both sides.",
        ),
        Finding::LateAudio => (
            "Audio began late",
            "The party sent nothing for a while after the answer: its answer came before its \
             media, or its way was opened late.",
        ),
        Finding::CodecMismatch => (
            "A codec that the other party did not accept",
            "Look at the codecs that are enabled on both parties.",
        ),
        Finding::FarEndSilent => (
            "A party fell silent",
            "Its audio came and stopped, the other way goes on: its network, or a mute button \
             that stops RTP.",
        ),
        Finding::SourcePort => (
            "Audio comes from another port than announced",
            "It is dropped: learn = \"same-ip\" at that party's interface would take it.",
        ),
        Finding::MediaTimeout => (
            "Ended for want of media",
            "No audio came from either party for media.idle: one of them was gone without a BYE.",
        ),
        Finding::AckMissing => (
            "The answer was never acknowledged",
            "The caller does not receive the 200, or sends its ACK past the gateway: look for a \
             NAT or a SIP ALG between.",
        ),
        Finding::PrivateAddress => (
            "A party outside names a private address",
            "It is behind a NAT that it does not know of: learn = \"same-ip\" outside, or tell \
             it its public address.",
        ),
        Finding::AddressChanged => (
            "Our outside address changed during the call",
            "What is sent to the old one does not arrive: hold and resume tells the new one.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_the_network_is_visible_bounded_and_harmless() {
        let hostile = "\u{202e}<script>alert(1)</script>\u{0}\"'";
        let told = html! { td { (said(hostile)) } }.into_string();
        assert!(
            told.contains("\\u{202e}&lt;script&gt;") && told.contains("\\u{0}&quot;"),
            "{told}"
        );
        assert!(!told.contains('\u{202e}') && !told.contains("<script"), "{told}");
        assert_eq!(said(&"ä".repeat(500)).chars().count(), WORD + 1);
    }

    #[test]
    fn what_is_not_known_is_never_shown_as_good() {
        assert!(mos(None, Some("no_packets")).into_string().contains("unknown (no packets)"));
        assert!(leg(None).into_string().contains("unknown"));
        assert_eq!(loss(0, 0), "unknown");
        let words: Vec<String> =
            [4.2, 3.7, 3.2, 2.0].map(|m| mos(Some(m), None).into_string()).into();
        for (told, want) in words.iter().zip(["4.20 good", "3.70 fair", "3.20 poor", "2.00 bad"]) {
            assert!(told.contains(want), "{told}");
        }
        assert!(words.last().is_some_and(|w| w.contains("class=\"bad\"")));
    }

    #[test]
    fn every_finding_says_what_it_is_and_what_to_do() {
        let mut told: Vec<_> = Finding::ALL.iter().map(|f| finding(*f)).collect();
        assert!(told.iter().all(|(what, todo)| what.len() > 10 && todo.ends_with('.')));
        told.sort_unstable();
        told.dedup();
        assert_eq!(told.len(), Finding::ALL.len());
    }

    #[test]
    fn a_time_is_a_time_for_machines_and_utc_for_people() {
        let told = time_of(1_767_571_200).into_string();
        let want = "<time datetime=\"2026-01-05T00:00:00.000Z\">2026-01-05 00:00:00 UTC</time>";
        assert_eq!(told, want);
    }
}
