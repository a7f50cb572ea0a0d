//! Reads sections of a parsed TOML tree key by key: every fault is kept with its place, unknown
//! keys get a suggestion, and nothing stops at the first error. It knows TOML, not the gateway.

use super::{Diagnostic, hints};
use ipnet::IpNet;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::Range;
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The text of a file and the faults found in it.
pub(super) struct Source<'t> {
    pub(super) file: &'t str,
    pub(super) text: &'t str,
    pub(super) faults: Vec<Diagnostic>,
}

impl Source<'_> {
    /// Adds a fault at a place of the text.
    pub(super) fn fault(
        &mut self,
        code: &'static str,
        span: Range<usize>,
        what: impl Into<String>,
        hint: Option<String>,
    ) {
        let fault = self.diagnostic(code, span, what.into(), hint);
        self.faults.push(fault);
    }

    /// A fault at a place of the text, not yet told.
    pub(super) fn diagnostic(
        &self,
        code: &'static str,
        span: Range<usize>,
        what: String,
        hint: Option<String>,
    ) -> Diagnostic {
        let (line, column, source) = place(self.text, span.start);
        let width = self
            .text
            .get(span)
            .map_or(1, |t| t.lines().next().unwrap_or_default().chars().count().max(1));
        let (file, source) = (self.file.to_owned(), source.to_owned());
        Diagnostic { code, file, place: Some((line, column)), width, source, what, hint }
    }
}

/// Line, column (1-based) and the line's text.
fn place(text: &str, at: usize) -> (usize, usize, &str) {
    let before = text.get(..at.min(text.len())).unwrap_or_default();
    let line = before.matches('\n').count();
    let start = before.rfind('\n').map_or(0, |i| i + 1);
    let column = before.get(start..).map_or(0, |s| s.chars().count());
    (line + 1, column + 1, text.lines().nth(line).unwrap_or_default())
}

/// A value with its place.
pub(super) type Value<'t> = Spanned<DeValue<'t>>;

/// One table being read.
pub(super) struct Section<'t, 'd> {
    table: &'d DeTable<'t>,
    /// As in `[[interface]]`; for messages.
    pub(super) name: &'static str,
    pub(super) span: Range<usize>,
    known: BTreeSet<&'static str>,
}

impl<'t, 'd> Section<'t, 'd> {
    pub(super) fn new(name: &'static str, table: &'d DeTable<'t>, span: Range<usize>) -> Self {
        Self { table, name, span, known: BTreeSet::new() }
    }

    /// The raw value of a key.
    pub(super) fn get(&mut self, key: &'static str) -> Option<&'d Value<'t>> {
        self.known.insert(key);
        self.table.iter().find(|(k, _)| k.get_ref() == key).map(|(_, v)| v)
    }

    /// True when the key is written, whatever its value.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.iter().any(|(k, _)| k.get_ref() == key)
    }

    /// True when the key's value is this text.
    pub(super) fn is_text(&mut self, key: &'static str, text: &str) -> bool {
        let value = self.get(key).map(Value::get_ref);
        matches!(value, Some(DeValue::String(s)) if *s == text)
    }

    /// Where a key's value (or the section) stands.
    pub(super) fn span_of(&self, key: &str) -> Range<usize> {
        let found = self.table.iter().find(|(k, _)| k.get_ref() == key);
        found.map_or_else(|| self.span.clone(), |(_, v)| v.span())
    }

    /// Every key that was not asked for is a mistake.
    pub(super) fn finish(self, src: &mut Source<'_>) {
        for (key, _) in self.table {
            let name = key.get_ref().as_ref();
            if self.known.contains(name) {
                continue;
            }
            let what = format!("`{name}` is not a key of {}", self.name);
            let hint = hints::of_key(self.name, name)
                .or_else(|| suggestion(name, self.known.iter().copied()));
            src.fault("unknown-key", key.span(), what, hint);
        }
    }

    /// A string.
    pub(super) fn string(&mut self, key: &'static str, src: &mut Source<'_>) -> Option<String> {
        let value = self.get(key)?;
        string(value, key, src)
    }

    /// A boolean.
    pub(super) fn boolean(&mut self, key: &'static str, src: &mut Source<'_>) -> Option<bool> {
        let value = self.get(key)?;
        if let DeValue::Boolean(b) = value.get_ref() {
            return Some(*b);
        }
        wrong_type(value, key, "true or false", src);
        None
    }

    /// A whole number within a range.
    pub(super) fn number(
        &mut self,
        key: &'static str,
        range: std::ops::RangeInclusive<u64>,
        src: &mut Source<'_>,
    ) -> Option<u64> {
        let value = self.get(key)?;
        let DeValue::Integer(n) = value.get_ref() else {
            wrong_type(value, key, "a whole number", src);
            return None;
        };
        let n = u64::from_str_radix(n.as_str(), n.radix()).ok();
        let fine = n.filter(|n| range.contains(n));
        if fine.is_none() {
            let what = format!("`{key}` must be between {} and {}", range.start(), range.end());
            src.fault("out-of-range", value.span(), what, None);
        }
        fine
    }

    /// A duration with its unit: "500ms", "30s", "5m", "2h", "1d".
    pub(super) fn duration(&mut self, key: &'static str, src: &mut Source<'_>) -> Option<Duration> {
        let value = self.get(key)?;
        if let DeValue::Integer(n) = value.get_ref() {
            let what = format!("`{key}` has no unit");
            let hint = Some(format!("write {key} = \"{n}s\" (or ms, m, h, d)"));
            src.fault("duration", value.span(), what, hint);
            return None;
        }
        let text = string(value, key, src)?;
        let read = parse_duration(&text);
        if read.is_none() {
            let what = format!("`{key}` is no duration: \"{text}\"");
            let hint =
                Some("write a number with its unit: \"500ms\", \"30s\", \"5m\", \"2h\"".into());
            src.fault("duration", self.span_of(key), what, hint);
        }
        read
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(
        &mut self,
        key: &'static str,
        words: &[(&'static str, T)],
        src: &mut Source<'_>,
    ) -> Option<T> {
        let text = self.string(key, src)?;
        let found = words.iter().find(|(w, _)| *w == text).map(|(_, t)| *t);
        if found.is_none() {
            let all: Vec<&str> = words.iter().map(|(w, _)| *w).collect();
            let what = format!("`{key}` cannot be \"{text}\"");
            let hint = suggestion(&text, all.iter().copied())
                .or_else(|| Some(format!("one of: {}", all.join(", "))));
            src.fault("bad-value", self.span_of(key), what, hint);
        }
        found
    }

    /// A list of strings; a single string counts as a list of one.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the rest is alike")]
    pub(super) fn strings(
        &mut self,
        key: &'static str,
        src: &mut Source<'_>,
    ) -> Option<Vec<(String, Range<usize>)>> {
        let value = self.get(key)?;
        match value.get_ref() {
            DeValue::String(s) => Some(vec![(s.to_string(), value.span())]),
            DeValue::Array(items) => {
                Some(items.iter().filter_map(|v| Some((string(v, key, src)?, v.span()))).collect())
            }
            _ => {
                wrong_type(value, key, "a list of strings", src);
                None
            }
        }
    }

    /// Plain strings of a list.
    pub(super) fn list(&mut self, key: &'static str, src: &mut Source<'_>) -> Vec<String> {
        self.strings(key, src).unwrap_or_default().into_iter().map(|(s, _)| s).collect()
    }

    /// Networks in CIDR form, or single addresses.
    pub(super) fn networks(&mut self, key: &'static str, src: &mut Source<'_>) -> Vec<IpNet> {
        let all = self.strings(key, src).unwrap_or_default();
        all.into_iter()
            .filter_map(|(text, span)| {
                let net = parse_network(&text);
                if net.is_none() {
                    let what = format!("\"{text}\" is neither a network nor an address");
                    let hint = Some("write 10.17.0.0/24 or 10.17.0.9".to_owned());
                    src.fault("network", span, what, hint);
                }
                net
            })
            .collect()
    }

    /// A nested table.
    pub(super) fn table(
        &mut self,
        key: &'static str,
        name: &'static str,
        src: &mut Source<'_>,
    ) -> Option<Self> {
        let value = self.get(key)?;
        if let DeValue::Table(t) = value.get_ref() {
            return Some(Section::new(name, t, value.span()));
        }
        let what = format!("`{key}` must be a table");
        src.fault("bad-type", value.span(), what, Some(format!("write {name}")));
        None
    }

    /// The tables of `[[key]]`.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the rest is alike")]
    pub(super) fn tables(
        &mut self,
        key: &'static str,
        name: &'static str,
        src: &mut Source<'_>,
    ) -> Vec<Self> {
        let Some(value) = self.get(key) else { return Vec::new() };
        let DeValue::Array(items) = value.get_ref() else {
            let what = format!("`{key}` must be written {name}");
            let hint = Some(format!("write {name}, in double brackets: there may be several"));
            src.fault("bad-type", value.span(), what, hint);
            return Vec::new();
        };
        let mut all = Vec::new();
        for v in items.iter() {
            match v.get_ref() {
                DeValue::Table(t) => all.push(Section::new(name, t, v.span())),
                _ => wrong_type(v, key, "a table", src),
            }
        }
        all
    }

    /// Every key with a text value, for free-form tables.
    pub(super) fn pairs(&mut self, src: &mut Source<'_>) -> Vec<(String, String)> {
        self.table
            .iter()
            .filter_map(|(k, v)| Some((k.get_ref().to_string(), string(v, "event", src)?)))
            .collect()
    }

    /// Marks a required key as missing.
    pub(super) fn missing(&self, key: &'static str, hint: &str, src: &mut Source<'_>) {
        let what = format!("{} needs `{key}`", self.name);
        src.fault("missing-key", self.span.clone(), what, Some(hint.to_owned()));
    }
}

fn string(value: &Value<'_>, key: &str, src: &mut Source<'_>) -> Option<String> {
    if let DeValue::String(s) = value.get_ref() {
        return Some(s.to_string());
    }
    wrong_type(value, key, "a string in quotes", src);
    None
}

fn wrong_type(value: &Value<'_>, key: &str, want: &str, src: &mut Source<'_>) {
    let what = format!("`{key}` must be {want}");
    let hint = hints::of_type(key, value, want, src);
    src.fault("bad-type", value.span(), what, hint);
}

/// The nearest known word, when it is near.
pub(super) fn suggestion<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    known
        .map(|k| (strsim::damerau_levenshtein(word, k), k))
        .filter(|(d, k)| *d <= (k.len().max(3) / 3).max(1))
        .min()
        .map(|(_, k)| format!("did you mean `{k}`?"))
}

pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let n: u64 = number.parse().ok()?;
    let ms = match unit.trim() {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    n.checked_mul(ms).filter(|ms| *ms <= 366 * 86_400_000).map(Duration::from_millis)
}

pub(super) fn parse_network(text: &str) -> Option<IpNet> {
    text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}
