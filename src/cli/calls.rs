//! `calls`, `calls --last`, `calls show`, `calls hangup`: the calls of the running gateway, the
//! last that are over, one of them whole, and the end of one.

mod show;

use super::control::{self, list, number, text};
use super::table::{clock, table};
use super::{ControlArgs, exit, http};
use serde_json::Value;

pub(super) fn calls(args: &ControlArgs) -> u8 {
    control::show(args, "/calls", |v| {
        print!("{}", rows(v));
        tell_left_off(v);
    })
}

pub(super) fn last(args: &ControlArgs, most: u32) -> u8 {
    control::show(args, &format!("/calls/ended/{most}"), |v| {
        print!("{}", ended_rows(v));
        tell_left_off(v);
    })
}

pub(super) fn show(args: &ControlArgs, id: u64) -> u8 {
    control::show(args, &format!("/calls/{id}"), |v| print!("{}", show::page(v)))
}

pub(super) fn hang_up(args: &ControlArgs, id: u64) -> u8 {
    let path = format!("/calls/{id}/hangup");
    match control::ask(args, "POST", &path, http::PATIENCE) {
        Ok((answer, v)) => {
            let done = answer.is_success();
            if args.json {
                print!("{}", super::table::json(&answer.body));
            } else if done {
                println!("call {id} is hung up");
            } else {
                eprintln!("{}", super::table::shown(text(&v, "/error")));
            }
            if done { 0 } else { exit::NO }
        }
        Err(code) => code,
    }
}

/// A list that was too long says so.
pub(super) fn tell_left_off(v: &Value) {
    match number(v, "/left_off") {
        0 => {}
        n => eprintln!("{n} more are not listed"),
    }
}

/// State of a call in the words that sngrep's users know.
fn state(word: &str) -> &str {
    match word {
        "early" => "CALL SETUP",
        "confirmed" => "IN CALL",
        "held" => "ON HOLD",
        "ended" => "ENDED",
        other => other,
    }
}

fn rows(v: &Value) -> String {
    let row = |c: &Value| {
        let answered = c.get("duration_ms").and_then(Value::as_u64);
        [
            number(c, "/call").to_string(),
            text(c, "/from").to_owned(),
            text(c, "/to").to_owned(),
            text(c, "/direction").to_owned(),
            state(text(c, "/state")).to_owned(),
            answered.map_or_else(String::new, |ms| clock(ms / 1000)),
        ]
    };
    let all: Vec<_> = list(v, "/calls").iter().map(row).collect();
    table(["id", "from", "to", "direction", "state", "duration"], &all)
}

/// Calls that are over: how they ended, and what each party's audio was worth when it came here.
fn ended_rows(v: &Value) -> String {
    let row = |c: &Value| {
        let talked = c.get("duration_ms").and_then(Value::as_u64);
        let found: Vec<&str> = list(c, "/findings").iter().filter_map(Value::as_str).collect();
        [
            number(c, "/call").to_string(),
            text(c, "/from").to_owned(),
            text(c, "/to").to_owned(),
            text(c, "/direction").to_owned(),
            format!("{} ago", clock(number(c, "/ended_ago_s"))),
            show::ending(c),
            talked.map_or_else(String::new, |ms| clock(ms / 1000)),
            mos(c),
            found.join(", "),
        ]
    };
    let all: Vec<_> = list(v, "/calls").iter().map(row).collect();
    let heads = ["id", "from", "to", "direction", "ended", "how", "duration", "mos", "findings"];
    table(heads, &all)
}

/// What came from the caller, and what came from the callee; `-`: not known.
fn mos(c: &Value) -> String {
    let leg = |who: &str| {
        let mos = c.pointer(&format!("/streams/0/{who}/total/mos")).and_then(Value::as_f64);
        mos.map_or_else(|| "-".to_owned(), |mos| format!("{mos:.1}"))
    };
    if list(c, "/streams").is_empty() {
        return String::new();
    }
    format!("{} / {}", leg("caller"), leg("callee"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_row_says_who_calls_whom_and_for_how_long() {
        let v = json!({ "calls": [
            { "call": 7, "from": "101", "to": "200", "state": "confirmed", "direction": "outbound",
              "age_ms": 66_000, "duration_ms": 65_000 },
            { "call": 8, "from": "102\n", "to": "201", "state": "early", "direction": "inbound",
              "age_ms": 1 },
        ]});
        let told = rows(&v);
        let lines: Vec<Vec<&str>> = told.lines().map(|l| l.split_whitespace().collect()).collect();
        assert_eq!(lines[1], ["7", "101", "200", "outbound", "IN", "CALL", "1:05"]);
        assert_eq!(lines[2], ["8", "102\\u{a}", "201", "inbound", "CALL", "SETUP"]);
    }

    #[test]
    fn a_row_of_a_call_that_is_over_says_how_it_ended_and_how_it_sounded() {
        let v = json!({ "calls": [
            { "call": 7, "from": "101", "to": "200", "direction": "outbound", "ended_ago_s": 65,
              "outcome": "answered", "status": 200, "ended_by": "media_timeout",
              "duration_ms": 46_000, "findings": ["one_way_audio", "late_audio"],
              "streams": [{ "caller": { "total": { "mos": 4.25 } }, "callee": {} }] },
            { "call": 6, "from": "102", "to": "x\u{1b}", "direction": "internal",
              "ended_ago_s": 3, "outcome": "not_found", "status": 404 },
        ]});
        let told = ended_rows(&v);
        let words = |n: usize| -> Vec<&str> {
            told.lines().nth(n).unwrap_or_default().split("  ").filter(|w| !w.is_empty()).collect()
        };
        let want = [
            "7",
            "101",
            "200",
            "outbound",
            "1:05 ago",
            "media timeout",
            "0:46",
            "4.2 / -",
            "one_way_audio, late_audio",
        ];
        assert_eq!(words(1).iter().map(|w| w.trim()).collect::<Vec<_>>(), want);
        let vain: Vec<&str> = words(2).iter().map(|w| w.trim()).collect();
        assert_eq!(vain, ["6", "102", "x\\u{1b}", "internal", "0:03 ago", "not found (404)"]);
    }
}
