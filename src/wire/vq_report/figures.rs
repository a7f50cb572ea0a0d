//! The metrics of one direction (RFC 6035 §4.6.1; their meaning is RFC 3611 §4.7): a table of what
//! may stand there. A number that may not, or that says "unavailable", is not there.

/// A metric that is a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Metric {
    /// RTP payload type.
    PayloadType,
    /// Clock rate in Hz.
    ClockRate,
    /// Frame in ms.
    Frame,
    /// Frame in octets.
    FrameOctets,
    /// Frames a packet.
    FramesPerPacket,
    /// Packets a second.
    PacketsPerSecond,
    /// Concealment of loss: 0 unspecified, 1 disabled, 2 enhanced, 3 standard.
    Concealment,
    /// Jitter buffer: 2 non-adaptive, 3 adaptive.
    BufferKind,
    /// How fast it adapts, 0–15.
    BufferRate,
    /// Its nominal delay in ms.
    BufferNominal,
    /// Its present most in ms.
    BufferMaximum,
    /// The most it may grow to in ms.
    BufferLimit,
    /// Per cent lost on the network.
    Lost,
    /// Per cent that came too late or too early for the jitter buffer.
    Discarded,
    /// Per cent lost or discarded within bursts.
    BurstDensity,
    /// Mean burst in ms.
    Burst,
    /// Per cent lost or discarded within gaps.
    GapDensity,
    /// Mean gap in ms.
    Gap,
    /// Packets received in a row that end a burst.
    GapMinimum,
    /// Round trip in ms; 0 means that none was measured yet.
    RoundTrip,
    /// The reporter's own share of the delay in ms.
    EndSystem,
    /// One way in ms, assumed symmetric.
    OneWay,
    /// Interarrival jitter in ms.
    Jitter,
    /// Mean absolute jitter in ms.
    JitterAbsolute,
    /// Speech level in dBm0.
    Signal,
    /// Noise level in dBm0.
    Noise,
    /// Residual echo return loss in dB.
    EchoLoss,
    /// R-factor, listening.
    RListening,
    /// R-factor, conversational.
    RConversational,
    /// R-factor of the networks behind, inwards.
    RExternalIn,
    /// R-factor of the networks behind, outwards.
    RExternalOut,
    /// MOS, listening.
    MosListening,
    /// MOS, conversational.
    MosConversational,
}

/// How many.
const COUNT: usize = Metric::MosConversational as usize + 1;

/// Names, and the least and most that is a value; in the order of [`Metric`]. 127 (scores, levels)
/// and 65,535 (times) mean "unavailable" or "beyond", as in RFC 3611.
const TABLE: [(Metric, &[&str], i32, i32); COUNT] = [
    (Metric::PayloadType, &["PT"], 0, 127),
    (Metric::ClockRate, &["SR"], 1_000, 192_000),
    (Metric::Frame, &["FD"], 1, 1_000),
    (Metric::FrameOctets, &["FO"], 1, 65_534),
    (Metric::FramesPerPacket, &["FPP"], 1, 100),
    (Metric::PacketsPerSecond, &["PPS"], 1, 65_534),
    (Metric::Concealment, &["PLC"], 0, 3),
    (Metric::BufferKind, &["JBA"], 0, 3),
    (Metric::BufferRate, &["JBR"], 0, 15),
    (Metric::BufferNominal, &["JBN"], 0, 65_534),
    (Metric::BufferMaximum, &["JBM"], 0, 65_534),
    (Metric::BufferLimit, &["JBX"], 0, 65_534),
    (Metric::Lost, &["NLR"], 0, 100),
    (Metric::Discarded, &["JDR"], 0, 100),
    (Metric::BurstDensity, &["BLD"], 0, 100),
    (Metric::Burst, &["BD"], 0, 65_534),
    (Metric::GapDensity, &["GLD"], 0, 100),
    (Metric::Gap, &["GD"], 0, 65_534),
    (Metric::GapMinimum, &["GMIN"], 1, 255),
    (Metric::RoundTrip, &["RTD"], 1, 65_534),
    (Metric::EndSystem, &["ESD"], 1, 65_534),
    (Metric::OneWay, &["SOWD", "OWD"], 1, 65_534),
    (Metric::Jitter, &["IAJ"], 0, 65_534),
    (Metric::JitterAbsolute, &["MAJ"], 0, 65_534),
    (Metric::Signal, &["SL"], -127, 126),
    (Metric::Noise, &["NL"], -127, 126),
    (Metric::EchoLoss, &["RERL"], 0, 126),
    (Metric::RListening, &["RLQ"], 0, 120),
    (Metric::RConversational, &["RCQ"], 0, 120),
    (Metric::RExternalIn, &["EXTRI"], 0, 120),
    (Metric::RExternalOut, &["EXTRO"], 0, 120),
    (Metric::MosListening, &["MOSLQ"], 1, 5),
    (Metric::MosConversational, &["MOSCQ"], 1, 5),
];

/// The metrics of one direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// In thousandths.
    numbers: [Option<i32>; COUNT],
    /// Unix seconds of `START` and `STOP` by the phone's clock.
    pub times: [Option<u64>; 2],
    /// `PD`: the codec as the phone calls it.
    pub codec: Option<String>,
    /// `SSUP`: whether silence is suppressed.
    pub silence_suppressed: Option<bool>,
    /// `QoEEstAlg`, or the first algorithm named for one score.
    pub algorithm: Option<String>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            numbers: [None; COUNT],
            times: [None; 2],
            codec: None,
            silence_suppressed: None,
            algorithm: None,
        }
    }
}

impl Metrics {
    /// A number in thousandths of its unit; `None`: not reported.
    #[must_use]
    pub fn milli(&self, metric: Metric) -> Option<i32> {
        self.numbers.get(metric as usize).copied().flatten()
    }

    /// A number in its unit; `None`: not reported.
    #[must_use]
    pub fn number(&self, metric: Metric) -> Option<f64> {
        self.milli(metric).map(|n| f64::from(n) / 1000.0)
    }

    /// Seconds that the metrics cover; `None`: not reported.
    #[must_use]
    pub fn seconds(&self) -> Option<u64> {
        let [start, stop] = self.times;
        stop?.checked_sub(start?)
    }

    /// One parameter; the first that is a value counts.
    pub(super) fn take(&mut self, name: &str, value: &str) {
        let known = |(_, names, ..): &&(Metric, &[&str], i32, i32)| {
            names.iter().any(|n| n.eq_ignore_ascii_case(name))
        };
        if let Some((metric, _, least, most)) = TABLE.iter().find(known) {
            let fits = |n: &i32| (*least * 1000..=*most * 1000).contains(n);
            if let Some(slot @ None) = self.numbers.get_mut(*metric as usize) {
                *slot = thousandths(value).filter(fits);
            }
            return;
        }
        let is = |n: &str| name.eq_ignore_ascii_case(n);
        if is("START") {
            self.times[0] = self.times[0].or_else(|| instant(value));
        } else if is("STOP") {
            self.times[1] = self.times[1].or_else(|| instant(value));
        } else if is("PD") {
            word(&mut self.codec, value);
        } else if is("SSUP") {
            let on = value.eq_ignore_ascii_case("on");
            let known = on || value.eq_ignore_ascii_case("off");
            self.silence_suppressed = self.silence_suppressed.or(known.then_some(on));
        } else if is("QoEEstAlg") || ends_in(name, "EstAlg") {
            word(&mut self.algorithm, value);
        }
    }
}

fn ends_in(name: &str, end: &str) -> bool {
    let at = name.len().checked_sub(end.len());
    at.and_then(|at| name.get(at..)).is_some_and(|tail| tail.eq_ignore_ascii_case(end))
}

/// A word of at most 32 characters that can be printed.
fn word(slot: &mut Option<String>, value: &str) {
    if slot.is_none()
        && (1..=32).contains(&value.len())
        && value.chars().all(|c| c.is_ascii_graphic() || c == ' ')
    {
        *slot = Some(value.to_owned());
    }
}

/// A decimal number of at most six digits before the point (some write a comma), with or without
/// its unit, in thousandths.
fn thousandths(text: &str) -> Option<i32> {
    let text = text.strip_suffix('%').unwrap_or(text);
    let text = text.strip_suffix("ms").unwrap_or(text).trim();
    let (text, sign) = match text.strip_prefix('-') {
        Some(rest) => (rest, -1),
        None => (text.strip_prefix('+').unwrap_or(text), 1),
    };
    let (whole, fraction) = text.split_once(['.', ',']).unwrap_or((text, ""));
    let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || whole.len() > 6 || !digits(whole) || !digits(fraction) {
        return None;
    }
    let whole: i32 = whole.parse().ok()?;
    let milli =
        fraction.bytes().chain(*b"000").take(3).fold(0, |n, b| n * 10 + i32::from(b - b'0'));
    Some(sign * (whole * 1000 + milli))
}

/// An RFC 3339 time in Unix seconds, of the years 1970 to 2199.
fn instant(text: &str) -> Option<u64> {
    let (date, time) = text.split_once(['T', 't'])?;
    let mut date = date.splitn(3, '-').map(|n| small(n, 4));
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let zone = time.find(['Z', 'z', '+', '-']).unwrap_or(time.len());
    let (clock, zone) = time.split_at_checked(zone)?;
    let clock = clock.split('.').next().unwrap_or_default();
    let mut clock = clock.splitn(3, ':').map(|n| small(n, 2));
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let fits = (1970..2200).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !fits {
        return None;
    }
    // Days of the civil calendar, years beginning in March.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1 - 719_468;
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second;
    u64::try_from(seconds - offset(zone)?).ok()
}

/// Seconds east of Greenwich.
fn offset(zone: &str) -> Option<i64> {
    let (sign, rest) = match zone.split_at_checked(1) {
        Some(("+", rest)) => (1, rest),
        Some(("-", rest)) => (-1, rest),
        Some(_) | None => return Some(0),
    };
    let (hours, minutes) = rest.split_once(':').or_else(|| rest.split_at_checked(2))?;
    Some(sign * (small(hours, 2)? * 3_600 + small(minutes, 2)? * 60))
}

/// A number of at most so many digits.
fn small(text: &str, digits: usize) -> Option<i64> {
    let fits = (1..=digits).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    fits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_stands_in_the_order_of_the_metrics() {
        for (i, (metric, ..)) in TABLE.iter().enumerate() {
            assert_eq!(*metric as usize, i);
        }
    }

    #[test]
    fn numbers_are_read_in_thousandths() {
        for (text, want) in [
            ("5", Some(5_000)),
            ("4.1", Some(4_100)),
            ("4,25", Some(4_250)),
            ("-10", Some(-10_000)),
            ("0.00049", Some(0)),
            ("7%", Some(7_000)),
            ("20ms", Some(20_000)),
            ("999999", Some(999_999_000)),
            ("1000000", None),
            ("", None),
            (".5", None),
            ("4.x", None),
            ("0x10", None),
            ("1e3", None),
            ("--4", None),
        ] {
            assert_eq!(thousandths(text), want, "{text}");
        }
    }

    #[test]
    fn times_are_read_in_seconds() {
        for (text, want) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2004-10-10T18:23:43Z", Some(1_097_432_623)),
            ("2004-10-10T20:23:43.75+02:00", Some(1_097_432_623)),
            ("2004-10-10T18:23:43", Some(1_097_432_623)),
            ("2000-02-29T12:00:00-0130", Some(951_831_000)),
            ("2004-13-10T18:23:43Z", None),
            ("2004-10-10 18:23:43Z", None),
            ("20041010.18.23.43", None),
            ("1969-12-31T23:59:59Z", None),
            ("", None),
        ] {
            assert_eq!(instant(text), want, "{text}");
        }
    }
}
