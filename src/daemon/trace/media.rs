//! What happened to a call's media, in words and in figures over time: news of the relay, never
//! packets. A long call's figures become coarser, so that the whole of it can be shown.

use crate::audit::Finding;
use crate::ground::Leg;
use crate::relay::quality::Figures;
use crate::relay::{Event, StreamId};
use serde::Serialize;
use std::time::Duration;

/// Notes that are kept; later ones are not.
const NOTES: usize = 64;
/// Windows of a leg that are kept; then each two become one.
const WINDOWS: usize = 128;
/// Longest note, in characters.
const TEXT: usize = 400;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    /// Milliseconds since the first message.
    pub at_ms: u64,
    /// What, in words.
    pub text: String,
    /// The finding, when it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finding: Option<Finding>,
}

/// What came from one party for some time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Window {
    /// Which party.
    pub leg: Leg,
    /// Milliseconds since the first message, at its end.
    pub at_ms: u64,
    /// How many windows of the relay (10 s) are in it.
    pub windows: u32,
    /// Packets by sequence numbers.
    pub expected: u64,
    /// Of those, never received.
    pub lost: u64,
    /// The highest jitter; `None`: not known.
    pub jitter_ms: Option<f64>,
    /// The lowest MOS; `None`: not known.
    pub mos: Option<f64>,
    /// Why that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unmeasured: Option<&'static str>,
}

/// The stream that news are of.
pub(super) fn stream_of(event: &Event) -> StreamId {
    match event {
        Event::Learned { stream, .. }
        | Event::FirstPacket { stream, .. }
        | Event::Stranger { stream, .. }
        | Event::Idle { stream }
        | Event::OpenFailed { stream, .. }
        | Event::Closed { stream, .. }
        | Event::SoFar { stream, .. }
        | Event::Measured { stream, .. } => *stream,
    }
}

/// Media of one call.
#[derive(Clone, Debug, Default)]
pub(super) struct Media {
    notes: Vec<Note>,
    /// By leg.
    windows: [Vec<Window>; 2],
}

impl Media {
    pub(super) fn hear(&mut self, at: Duration, event: &Event) {
        let text = match event {
            Event::Learned { leg, rtcp, from, .. } => {
                let what = if *rtcp { "RTCP" } else { "RTP" };
                format!("{what} of the {leg} comes from {from}: learned")
            }
            Event::FirstPacket { leg, .. } => format!("first packet from the {leg}"),
            Event::Stranger { leg, from, expected, count, .. } => {
                let who = from.map_or_else(|| "unknown sources".to_owned(), |a| a.to_string());
                let only = expected.map_or_else(|| "nobody".to_owned(), |a| a.to_string());
                format!(
                    "{count} packets from {who} at the {leg}'s port dropped: {only} is expected"
                )
            }
            Event::Idle { .. } => "no media from either party for media.idle".to_owned(),
            Event::OpenFailed { error, .. } => format!("ports could not be opened: {error}"),
            Event::Closed { .. } => "ports closed".to_owned(),
            Event::Measured { leg, figures, .. } => {
                let [window, _] = figures.as_ref();
                return self.measured(at, *leg, window);
            }
            Event::SoFar { .. } => return,
        };
        self.tell(at, text, None);
    }

    pub(super) fn find(&mut self, at: Duration, finding: Finding, evidence: &str) {
        self.tell(at, evidence.to_owned(), Some(finding));
    }

    fn tell(&mut self, at: Duration, text: String, finding: Option<Finding>) {
        if self.notes.len() < NOTES {
            let text = text.chars().take(TEXT).collect();
            self.notes.push(Note { at_ms: millis(at), text, finding });
        }
    }

    fn measured(&mut self, at: Duration, leg: Leg, f: &Figures) {
        let ms = |us: u64| Duration::from_micros(us).as_secs_f64() * 1_000.0;
        let window = Window {
            leg,
            at_ms: millis(at),
            windows: 1,
            expected: f.expected,
            lost: f.lost,
            jitter_ms: f.jitter_us.map(ms),
            mos: f.rating.ok().map(|r| r.mos()),
            unmeasured: f.rating.err().map(crate::relay::quality::Unmeasured::as_str),
        };
        let [caller, callee] = &mut self.windows;
        let all = if leg == Leg::Caller { caller } else { callee };
        all.push(window);
        if all.len() > WINDOWS {
            let coarser = all.chunks(2).filter_map(|pair| pair.iter().cloned().reduce(together));
            *all = coarser.collect();
        }
    }

    pub(super) fn notes(&self) -> Vec<Note> {
        self.notes.clone()
    }

    pub(super) fn windows(&self) -> Vec<Window> {
        self.windows.iter().flatten().cloned().collect()
    }

    pub(super) fn octets(&self) -> usize {
        let notes: usize = self.notes.iter().map(|n| size_of::<Note>() + n.text.len()).sum();
        notes + self.windows.iter().map(|w| w.len() * size_of::<Window>()).sum::<usize>()
    }
}

/// Two windows as one: the worse of what was measured stands for both.
fn together(a: Window, b: Window) -> Window {
    let worse = |a: Option<f64>, b: Option<f64>, pick: fn(f64, f64) -> f64| match (a, b) {
        (Some(a), Some(b)) => Some(pick(a, b)),
        (a, b) => a.or(b),
    };
    let mos = worse(a.mos, b.mos, f64::min);
    Window {
        leg: b.leg,
        at_ms: b.at_ms,
        windows: a.windows + b.windows,
        expected: a.expected + b.expected,
        lost: a.lost + b.lost,
        jitter_ms: worse(a.jitter_ms, b.jitter_ms, f64::max),
        mos,
        unmeasured: if mos.is_some() { None } else { b.unmeasured.or(a.unmeasured) },
    }
}

fn millis(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::quality::Rating;

    fn window(mos_milli: Option<u32>, lost: u64) -> Figures {
        let unknown = Figures::default().rating;
        let rating = |mos_milli| Ok(Rating { r_milli: 80_000, mos_milli, delay: None });
        Figures {
            expected: 500,
            lost,
            rating: mos_milli.map_or(unknown, rating),
            ..Figures::default()
        }
    }

    #[test]
    fn a_long_call_is_shown_whole_and_coarser_and_the_worst_of_it_stays() {
        let mut media = Media::default();
        for n in 0..1_000_u64 {
            let mos = if n == 500 { Some(1_500) } else { Some(4_300) };
            let figures = Box::new([window(mos, u64::from(n == 7)), window(mos, 0)]);
            let (stream, leg) = (StreamId(1), Leg::Callee);
            let at = Duration::from_secs(10 * (n + 1));
            media.hear(at, &Event::Measured { stream, leg, figures });
        }
        let all = media.windows();
        assert!(all.len() <= WINDOWS && all.len() > WINDOWS / 2, "{}", all.len());
        assert_eq!(all.iter().map(|w| w.windows).sum::<u32>(), 1_000);
        assert_eq!(all.iter().map(|w| w.expected).sum::<u64>(), 500_000);
        assert_eq!(all.iter().map(|w| w.lost).sum::<u64>(), 1);
        assert_eq!(all.iter().filter(|w| w.mos == Some(1.5)).count(), 1);
        assert_eq!(all.last().map(|w| w.at_ms), Some(10_000_000));
    }

    #[test]
    fn what_is_not_known_stays_unknown_with_its_reason() {
        let mut media = Media::default();
        let figures = Box::new([window(None, 0), window(None, 0)]);
        let (stream, leg) = (StreamId(1), Leg::Caller);
        media.hear(Duration::from_secs(10), &Event::Measured { stream, leg, figures });
        let all = media.windows();
        let only = all.first().unwrap();
        assert_eq!((only.mos, only.jitter_ms, only.unmeasured), (None, None, Some("no_packets")));
    }
}
