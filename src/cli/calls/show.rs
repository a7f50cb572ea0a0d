//! One call, or one that is over, on one page: parties, and for each stream and leg what is
//! received and how good it is. What is not measured is said to be so; it is never shown as good.

use super::state;
use crate::cli::control::{list, number, text};
use crate::cli::table::{clock, shown};
use serde_json::Value;
use std::fmt::Write as _;

/// The page of a call's JSON.
pub(super) fn page(v: &Value) -> String {
    let mut out = String::new();
    let word = |p: &str| shown(text(v, p));
    let _ = writeln!(
        out,
        "call {}   {} → {}   {}   {}",
        number(v, "/call"),
        word("/from"),
        word("/to"),
        text(v, "/direction"),
        state(text(v, "/state"))
    );
    let ms = |key: &str| v.get(key).and_then(Value::as_u64);
    let seconds = |ms: u64| format!("{}.{:01} s", ms / 1000, ms % 1000 / 100);
    let over = v.get("ended_ago_s").and_then(Value::as_u64);
    let age = number(v, "/age_ms") / 1000 + over.unwrap_or_default();
    let mut times = vec![format!("begun {} ago", clock(age))];
    times.extend(ms("ring_ms").map(|t| format!("rang after {}", seconds(t))));
    times.extend(ms("setup_ms").map(|t| format!("answered after {}", seconds(t))));
    let talk = if over.is_some() { "talked" } else { "talks" };
    times.extend(ms("duration_ms").map(|t| format!("{talk} for {}", clock(t / 1000))));
    let _ = writeln!(out, "  {}", times.join(", "));
    if let Some(ago) = over {
        let way = match (word("/rule"), word("/target")) {
            (rule, _) if rule.is_empty() => String::new(),
            (rule, target) => format!(", let pass by rule {rule} to {target}"),
        };
        let _ = writeln!(out, "  ended {} ago: {}{way}", clock(ago), ending(v));
    }
    if let Some(why) = v.get("unknown").and_then(Value::as_str) {
        let _ = writeln!(out, "  {}", shown(why));
        return out;
    }
    let _ = writeln!(out, "  Call-ID  {}", word("/call_id"));
    if let Some(p) = v.get("caller") {
        let _ = writeln!(out, "  caller   {}", party(p));
    }
    for p in list(v, "/callees") {
        let _ = writeln!(out, "  callee   {}", party(p));
    }
    for s in list(v, "/streams") {
        let _ = writeln!(out, "  {}", shown(text(s, "/media")));
        for who in ["caller", "callee"] {
            if let Some(leg) = s.get(who) {
                leg_lines(who, leg, &mut out);
            }
        }
    }
    let found: Vec<String> =
        list(v, "/findings").iter().filter_map(Value::as_str).map(shown).collect();
    let none = if over.is_some() { "none" } else { "none so far" };
    let found = if found.is_empty() { none.to_owned() } else { found.join(", ") };
    let _ = writeln!(out, "  findings {found}");
    out
}

/// Who ended it, else what became of it.
pub(super) fn ending(v: &Value) -> String {
    let words = |p: &str| shown(&text(v, p).replace('_', " "));
    match text(v, "/ended_by") {
        "" => format!("{} ({})", words("/outcome"), number(v, "/status")),
        "caller" | "callee" => format!("by the {}", words("/ended_by")),
        _ => words("/ended_by"),
    }
}

fn party(p: &Value) -> String {
    let upstream = match text(p, "/upstream") {
        "" => String::new(),
        name => format!("   upstream {}", shown(name)),
    };
    let (side, transport, at) = (text(p, "/side"), text(p, "/transport"), text(p, "/address"));
    format!("{side}   {transport} {at}{upstream}")
}

/// What came from one party.
fn leg_lines(who: &str, leg: &Value, out: &mut String) {
    let to = match text(leg, "/party") {
        "" => "no destination".to_owned(),
        at => format!("media at {at}"),
    };
    let _ = writeln!(out, "    {who:<7} our port {}   {to}", number(leg, "/port"));
    match leg.get("total") {
        Some(total) => measured(who, leg, total, out),
        None => {
            let _ = writeln!(out, "            unmeasured (the relay has not answered)");
        }
    }
    if let Some(r) = leg.get("phone_report") {
        let _ = writeln!(out, "            the {who}'s phone reports: {}", phone_report(r));
    }
}

fn measured(who: &str, leg: &Value, total: &Value, out: &mut String) {
    let lost = number(total, "/lost");
    let mut first = vec![
        shown(Some(text(total, "/codec")).filter(|c| !c.is_empty()).unwrap_or("codec unknown")),
        format!("{} packets", number(leg, "/packets")),
        format!("{lost} lost of {}{}", number(total, "/expected"), share(total)),
    ];
    for key in ["duplicated", "reordered", "mismatched", "out_of_source"] {
        let n = number(total, &format!("/{key}"));
        if n > 0 {
            first.push(format!("{n} {}", key.replace('_', " ")));
        }
    }
    let _ = writeln!(out, "            {}", first.join(", "));
    let mut second = Vec::new();
    second.extend(float(total, "jitter_ms").map(|ms| {
        let most = float(total, "jitter_max_ms")
            .map_or_else(String::new, |m| format!(" (at most {m:.1})"));
        format!("jitter {ms:.1} ms{most}")
    }));
    second.push(match float(total, "round_trip_ms") {
        Some(ms) => format!("round trip {ms:.1} ms"),
        None => format!("round trip unmeasured ({})", why(total, "no_round_trip")),
    });
    let _ = writeln!(out, "            {}", second.join(", "));
    let _ = writeln!(out, "            {}", rating("since the start", total));
    if let Some(w) = leg.get("window") {
        let _ = writeln!(out, "            {}", rating("last 10 s", w));
    }
    if let Some(r) = total.get("reported") {
        let _ = writeln!(out, "            the {who} reports by RTCP: {}", reported(r));
    }
}

fn share(total: &Value) -> String {
    let (lost, expected) = (number(total, "/lost"), number(total, "/expected"));
    match (u32::try_from(lost), u32::try_from(expected)) {
        (Ok(l), Ok(e)) if e > 0 => format!(" ({:.1} %)", f64::from(l) * 100.0 / f64::from(e)),
        _ => String::new(),
    }
}

fn rating(when: &str, q: &Value) -> String {
    match float(q, "r").zip(float(q, "mos")) {
        Some((r, mos)) => format!("{when}: R {r:.1}, MOS {mos:.2}"),
        None => format!("{when}: unmeasured ({})", why(q, "unmeasured")),
    }
}

/// What the phone heard, by its own report (RFC 6035).
fn phone_report(report: &Value) -> String {
    let heard = report.get("heard").unwrap_or(&Value::Null);
    let percent = |key: &str, what: &str| {
        float(heard, key).map(|share| format!("{:.1} % {what}", share * 100.0))
    };
    let mut words = Vec::new();
    words.extend(float(heard, "seconds").map(|s| format!("in {s:.0} s")));
    words.extend(percent("loss", "lost"));
    words.extend(percent("discard_rate", "discarded"));
    words.extend(float(heard, "jitter_ms").map(|ms| format!("jitter {ms:.1} ms")));
    words.extend(float(heard, "round_trip_ms").map(|ms| format!("round trip {ms:.1} ms")));
    words.extend(float(heard, "mos_lq").map(|n| format!("MOS-LQ {n:.1}")));
    words.extend(float(heard, "mos_cq").map(|n| format!("MOS-CQ {n:.1}")));
    if words.is_empty() { "nothing that we read".to_owned() } else { words.join(", ") }
}

/// What the party says of what it receives from us.
fn reported(r: &Value) -> String {
    let mut words = Vec::new();
    words.extend(r.get("lost").and_then(Value::as_i64).map(|n| format!("{n} lost")));
    words.extend(float(r, "jitter_ms").map(|ms| format!("jitter {ms:.1} ms")));
    words.extend(float(r, "discard_rate").map(|d| format!("{:.1} % discarded", d * 100.0)));
    words.extend(float(r, "r").map(|n| format!("R {n:.0}")));
    words.extend(float(r, "mos_lq").map(|n| format!("MOS-LQ {n:.1}")));
    words.extend(float(r, "mos_cq").map(|n| format!("MOS-CQ {n:.1}")));
    words.join(", ")
}

fn float(v: &Value, key: &str) -> Option<f64> {
    v.get(key).and_then(Value::as_f64)
}

/// A reason in words: `no_packets` → `no packets`.
fn why(v: &Value, key: &str) -> String {
    match text(v, &format!("/{key}")) {
        "" => "no reason given".to_owned(),
        word => shown(&word.replace('_', " ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_leg_says_what_was_measured_and_why_not() {
        let good = json!({ "codec": "PCMU", "expected": 1000, "lost": 10, "reordered": 2,
            "jitter_ms": 3.26, "jitter_max_ms": 9.0, "round_trip_ms": 20.5, "r": 90.04,
            "mos": 4.36, "reported": { "lost": -1, "jitter_ms": 2.0, "r": 88, "mos_lq": 4.1,
            "discard_rate": 0.031 } });
        let bad = json!({ "expected": 0, "lost": 0, "unmeasured": "no_packets",
            "no_round_trip": "no_rtcp" });
        let v = json!({
            "call": 7, "from": "101", "to": "200\u{7}", "state": "held", "direction": "outbound",
            "age_ms": 70_000, "ring_ms": 250, "setup_ms": 1_500, "duration_ms": 65_000,
            "call_id": "x@y", "findings": ["one_way_audio"],
            "caller": { "side": "inside", "transport": "udp", "address": "10.0.0.2:5060" },
            "callees": [{ "side": "outside", "transport": "tcp", "address": "192.0.2.1:5060",
                "upstream": "pbx" }],
            "streams": [{ "media": "audio",
                "caller": { "port": 20000, "party": "10.0.0.2:4000", "packets": 992,
                    "total": good, "window": bad },
                "callee": { "port": 20002, "phone_report": { "scope": "interval", "heard":
                    { "seconds": 70, "loss": 0.015, "round_trip_ms": 42.0, "mos_cq": 4.1 } } } }],
        });
        let want = "\
call 7   101 → 200\\u{7}   outbound   ON HOLD
  begun 1:10 ago, rang after 0.2 s, answered after 1.5 s, talks for 1:05
  Call-ID  x@y
  caller   inside   udp 10.0.0.2:5060
  callee   outside   tcp 192.0.2.1:5060   upstream pbx
  audio
    caller  our port 20000   media at 10.0.0.2:4000
            PCMU, 992 packets, 10 lost of 1000 (1.0 %), 2 reordered
            jitter 3.3 ms (at most 9.0), round trip 20.5 ms
            since the start: R 90.0, MOS 4.36
            last 10 s: unmeasured (no packets)
            the caller reports by RTCP: -1 lost, jitter 2.0 ms, 3.1 % discarded, R 88, MOS-LQ 4.1
    callee  our port 20002   no destination
            unmeasured (the relay has not answered)
            the callee's phone reports: in 70 s, 1.5 % lost, round trip 42.0 ms, MOS-CQ 4.1
  findings one_way_audio
";
        assert_eq!(page(&v), want);
        let row = json!({
            "call": 7, "from": "101", "to": "200", "state": "confirmed", "direction": "outbound",
            "age_ms": 70_000, "duration_ms": 65_000, "unknown": "media are not known",
        });
        let want = "\
call 7   101 → 200   outbound   IN CALL
  begun 1:10 ago, talks for 1:05
  media are not known
";
        assert_eq!(page(&row), want, "no findings are no good news here");
        assert!(page(&json!({})).contains("none so far"));
        let over = json!({
            "call": 7, "from": "101", "to": "200", "state": "ended", "direction": "outbound",
            "age_ms": 48_000, "setup_ms": 2_000, "duration_ms": 46_000, "call_id": "x@y",
            "ended_ago_s": 60, "ended_by": "callee", "outcome": "answered", "status": 200,
            "rule": "phones", "target": "pbx",
        });
        let want = "\
call 7   101 → 200   outbound   ENDED
  begun 1:48 ago, answered after 2.0 s, talked for 0:46
  ended 1:00 ago: by the callee, let pass by rule phones to pbx
  Call-ID  x@y
  findings none
";
        assert_eq!(page(&over), want);
    }
}
