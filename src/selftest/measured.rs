//! What the gateway itself measured of the test call, read from its audit log: the same record that
//! an operator reads. It judges nothing.

use serde_json::Value;
use std::fmt::Write as _;
use std::path::Path;

/// One line on both legs; `None`: there is no record of a call with a rating both ways.
pub(crate) fn line(folder: &Path) -> Option<String> {
    let mut records = std::fs::read_dir(folder).ok()?.flatten().flat_map(|file| {
        let text = std::fs::read_to_string(file.path()).unwrap_or_default();
        text.lines().filter_map(|l| serde_json::from_str(l).ok()).collect::<Vec<Value>>()
    });
    records.find_map(|r| describe(r.get("media")?.get(0)?))
}

/// A stream's two legs, caller first, as in the ladder.
fn describe(stream: &Value) -> Option<String> {
    let of = |leg: &str, field: &str| stream.get(leg)?.get("quality")?.get(field)?.as_f64();
    let both = |field: &str| Some([of("caller", field)?, of("callee", field)?]);
    let ([a, b], expected, lost) = (both("mos")?, both("expected")?, both("lost")?);
    let mut out = format!("gateway measured   MOS {a:.1} / {b:.1}");
    let percent = |i: usize| lost[i] * 100.0 / expected[i].max(1.0);
    let _ = write!(out, "   loss {:.1} / {:.1} %", percent(0), percent(1));
    if let Some([a, b]) = both("jitter_ms") {
        let _ = write!(out, "   jitter {a:.1} / {b:.1} ms");
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(caller: &str, callee: &str) -> Value {
        let text = format!(
            r#"{{"media":"audio","caller":{{"quality":{caller}}},"callee":{{"quality":{callee}}}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn both_legs_are_told_in_one_line() {
        let good = r#"{"mos":4.409,"expected":100,"lost":0,"jitter_ms":0.12}"#;
        let bad = r#"{"mos":3.1,"expected":200,"lost":5,"jitter_ms":2.0}"#;
        let told = describe(&stream(good, bad)).unwrap();
        let want = "gateway measured   MOS 4.4 / 3.1   loss 0.0 / 2.5 %   jitter 0.1 / 2.0 ms";
        assert_eq!(told, want);
    }

    #[test]
    fn what_is_not_rated_both_ways_is_not_told_as_rated() {
        let good = r#"{"mos":4.409,"expected":100,"lost":0,"jitter_ms":0.12}"#;
        assert_eq!(describe(&stream(good, r#"{"unmeasured":"no_packets"}"#)), None);
        assert_eq!(describe(&Value::Null), None);
    }
}
