//! `calls`, `calls show`, `calls hangup`: the calls of the running gateway, one of them whole, and
//! the end of one.

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
}
