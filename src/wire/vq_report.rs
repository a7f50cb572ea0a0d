//! Voice quality reports of phones (RFC 6035, `application/vq-rtcpxr`): read into a typed report,
//! and renamed line by line for another side. It is tolerant: what it does not know it skips, what
//! is out of range it takes for not known. It decides nothing; the engine finds the call.
//!
//! Read are the RFC's form and those of phones in use: of the drafts before it (`LocalMetrics`
//! first, `FromID`/`ToID`, `OWD`, an alert's words on a line of their own), `CallID=`, LF alone,
//! other case, spaces around `=`, a space forgotten between two parameters, a missing `LocalID`.

mod figures;
mod lines;

pub use figures::{Metric, Metrics};

use super::limits;
use lines::{Key, Line, lines, params};
use std::borrow::Cow;
use std::net::IpAddr;

/// Calls that one report may name: it is of one, which `CallID` and `DialogID` may spell apart.
const CALLS: usize = 4;

/// Why a body is no report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// More octets than [`limits::QUALITY_REPORT`].
    TooLong,
    /// More lines than [`limits::QUALITY_REPORT_LINES`].
    TooManyLines,
    /// Control characters that no text has.
    NoText,
    /// No line says what kind of report it is.
    NoKind,
    /// No line names a call.
    NoCall,
    /// It names more calls than four.
    TooManyCalls,
}

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::TooLong => "it is too long",
            Self::TooManyLines => "it has too many lines",
            Self::NoText => "it is no text",
            Self::NoKind => "no line says what kind of report it is",
            Self::NoCall => "no line names a call",
            Self::TooManyCalls => "it names too many calls",
        })
    }
}

/// When a report is sent (RFC 6035 §4.6.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// `VQSessionReport`: of the whole call, or of what was between two changes of it.
    #[default]
    Session,
    /// `VQIntervalReport`: of the time since the last one.
    Interval,
    /// `VQAlertReport`: a threshold was crossed.
    Alert,
}

/// What an alert is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alert {
    /// `RLQ RCQ EXTRI NLR RTD …`, as the phone wrote it.
    pub metric: Option<String>,
    /// `Warning`, `Critical`, `Clear`, as the phone wrote it.
    pub severity: Option<String>,
    /// `local`, `remote`, as the phone wrote it.
    pub direction: Option<String>,
}

/// Where a party's RTP goes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// `IP`.
    pub ip: Option<IpAddr>,
    /// `PORT`.
    pub port: Option<u16>,
    /// `SSRC`, hexadecimal with or without `0x`, or decimal as some phones write it.
    pub ssrc: Option<u32>,
}

/// One report. Texts are at most 255 characters; everything may be missing but the call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Session, interval or alert.
    pub kind: Kind,
    /// `CallTerm`: the call is over.
    pub ended: bool,
    /// Of an alert.
    pub alert: Alert,
    /// The Call-ID: `CallID`, else that of `DialogID`.
    pub call_id: String,
    /// The tags of `DialogID`: `to-tag`, `from-tag`. Phones do not agree on which is which.
    pub tags: [Option<String>; 2],
    /// `LocalID`: the reporter.
    pub local_id: Option<String>,
    /// `RemoteID`: whom it talks to.
    pub remote_id: Option<String>,
    /// `OrigID` (drafts: `FromID`): who called.
    pub orig_id: Option<String>,
    /// `LocalAddr`: the reporter's.
    pub local: Endpoint,
    /// `RemoteAddr`.
    pub remote: Endpoint,
    /// `LocalMetrics`: what the reporter hears.
    pub heard: Metrics,
    /// `RemoteMetrics`: what the far end told the reporter that it hears.
    pub told: Option<Metrics>,
}

impl Report {
    /// Reads a body.
    ///
    /// # Errors
    /// Beyond the limits, no text, or neither kind nor call in it.
    pub fn parse(body: &[u8]) -> Result<Self, Unreadable> {
        let mut reader = Reader::default();
        for line in lines(body)? {
            reader.line(&line);
        }
        reader.finish()
    }
}

/// The report so far.
#[derive(Default)]
struct Reader {
    kind: Option<Kind>,
    call_id: Option<String>,
    dialog_id: Option<String>,
    /// Metrics lines are the far end's.
    far: bool,
    /// The line before held metrics: parameters alone on a line go on with them.
    within: bool,
    report: Report,
}

impl Reader {
    fn line(&mut self, line: &Line<'_>) {
        let value = line.value();
        let within = std::mem::take(&mut self.within);
        let report = &mut self.report;
        match line.key {
            Key::Kind(kind) => {
                if self.kind.is_none() {
                    self.kind = Some(kind);
                    let mut words = value.split_ascii_whitespace();
                    report.ended = words.any(|w| w.eq_ignore_ascii_case("callterm"));
                    self.alert(&value);
                }
            }
            Key::CallId => keep(&mut self.call_id, &value),
            Key::DialogId => self.dialog(&value),
            Key::LocalId => keep(&mut report.local_id, &value),
            Key::RemoteId => keep(&mut report.remote_id, &value),
            Key::OrigId => keep(&mut report.orig_id, &value),
            Key::LocalAddress => address(&mut report.local, &value),
            Key::RemoteAddress => address(&mut report.remote, &value),
            Key::LocalMetrics => self.far = false,
            Key::RemoteMetrics => {
                self.far = true;
                report.told.get_or_insert_default();
            }
            Key::Metrics => self.metrics(&value),
            Key::Bare if within => self.metrics(&value),
            Key::Bare => self.alert(&value),
            // It may be taken out: it ends nothing.
            Key::Hardware => self.within = within,
            Key::ToId | Key::Unknown => {}
        }
    }

    fn metrics(&mut self, value: &str) {
        self.within = true;
        let metrics = match &mut self.report.told {
            Some(told) if self.far => told,
            _ => &mut self.report.heard,
        };
        params(value, |name, value| metrics.take(name, value));
    }

    fn alert(&mut self, value: &str) {
        let alert = &mut self.report.alert;
        params(value, |name, value| {
            if name.eq_ignore_ascii_case("type") {
                keep(&mut alert.metric, value);
            } else if name.eq_ignore_ascii_case("severity") {
                keep(&mut alert.severity, value);
            } else if name.eq_ignore_ascii_case("dir") {
                keep(&mut alert.direction, value);
            }
        });
    }

    fn dialog(&mut self, value: &str) {
        let mut parts = value.split(';').map(str::trim);
        keep(&mut self.dialog_id, parts.next().unwrap_or_default());
        for part in parts {
            let Some((name, tag)) = part.split_once('=') else { continue };
            let slot = match name.trim() {
                n if n.eq_ignore_ascii_case("to-tag") => 0,
                n if n.eq_ignore_ascii_case("from-tag") => 1,
                _ => continue,
            };
            keep(&mut self.report.tags[slot], tag.trim());
        }
    }

    fn finish(mut self) -> Result<Report, Unreadable> {
        self.report.kind = self.kind.ok_or(Unreadable::NoKind)?;
        let call_id = self.call_id.or(self.dialog_id);
        self.report.call_id = call_id.ok_or(Unreadable::NoCall)?;
        Ok(self.report)
    }
}

/// The first text that is there and not too long counts.
fn keep(slot: &mut Option<String>, value: &str) {
    let value = value.trim();
    if slot.is_none() && !value.is_empty() && value.len() <= 255 {
        *slot = Some(value.to_owned());
    }
}

fn address(slot: &mut Endpoint, value: &str) {
    params(value, |name, value| {
        if name.eq_ignore_ascii_case("ip") {
            let plain = value.trim_matches(['[', ']']);
            slot.ip = slot.ip.or_else(|| plain.parse().ok());
        } else if name.eq_ignore_ascii_case("port") {
            slot.port = slot.port.or_else(|| value.parse().ok());
        } else if name.eq_ignore_ascii_case("ssrc") {
            slot.ssrc = slot.ssrc.or_else(|| source(value));
        }
    });
}

/// `0x1A2B`, `1a2b`, and 3825483318 where the phone means that.
fn source(text: &str) -> Option<u32> {
    let hex = |t: &str| u32::from_str_radix(t, 16).ok();
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => hex(digits),
        None => text.parse().ok().or_else(|| hex(text)),
    }
}

/// The report for another side: what `call` makes of its Call-IDs, wherever they stand, what
/// `party` makes of the parties' identifiers, and no hardware addresses. Other lines stay byte for
/// byte.
///
/// # Errors
/// Beyond the limits, or no text: nobody can tell what it shows.
pub fn rename(
    body: &[u8],
    call: impl Fn(&str) -> String,
    party: impl Fn(&str) -> String,
) -> Result<Vec<u8>, Unreadable> {
    let lines = lines(body)?;
    let called = calls(&lines)?;
    let mut out = Vec::with_capacity(body.len() + 128);
    for line in &lines {
        let value = line.value();
        match line.key {
            Key::Hardware => {}
            Key::CallId => line.replaced(&mut out, &call(&value)),
            Key::DialogId => {
                let (id, tags) = value.split_at(value.find(';').unwrap_or(value.len()));
                line.replaced(&mut out, &format!("{}{tags}", call(id.trim())));
            }
            Key::LocalId | Key::RemoteId | Key::OrigId | Key::ToId => {
                line.replaced(&mut out, &party(&value));
            }
            Key::Kind(_)
            | Key::LocalAddress
            | Key::RemoteAddress
            | Key::LocalMetrics
            | Key::RemoteMetrics
            | Key::Metrics
            | Key::Bare
            | Key::Unknown => out.extend_from_slice(line.bytes),
        }
    }
    for id in called {
        let near = String::from_utf8_lossy(&id).into_owned();
        let far = call(&near);
        if far != near {
            out = replaced(&out, &id, far.as_bytes());
        }
    }
    Ok(out)
}

/// The Call-IDs that stand also elsewhere in a report, each once, as they came.
fn calls<'a>(lines: &'a [Line<'_>]) -> Result<Vec<Cow<'a, [u8]>>, Unreadable> {
    let mut known: Vec<Cow<'_, [u8]>> = Vec::new();
    for id in lines.iter().filter_map(Line::call_id) {
        // One of a few characters would be found in numbers that mean something else.
        if id.len() < 8 || known.contains(&id) {
            continue;
        }
        if known.len() >= CALLS {
            return Err(Unreadable::TooManyCalls);
        }
        known.push(id);
    }
    Ok(known)
}

/// Every `old` of a text is `new`.
fn replaced(text: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        if let Some(after) = rest.strip_prefix(old) {
            out.extend_from_slice(new);
            rest = after;
        } else {
            out.push(*first);
            rest = after;
        }
    }
    out
}

#[cfg(test)]
mod tests;
