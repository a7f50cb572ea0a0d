//! `registrations`: whose phones are registered, where, for how long, and whether they can be
//! reached.

use super::ControlArgs;
use super::control::{self, list, number, text};
use super::table::{clock, table};
use serde_json::Value;

pub(super) fn registrations(args: &ControlArgs) -> u8 {
    control::show(args, "/registrations", |v| {
        print!("{}", rows(v));
        super::calls::tell_left_off(v);
    })
}

fn rows(v: &Value) -> String {
    let row = |r: &Value| {
        [
            text(r, "/user").to_owned(),
            text(r, "/address").to_owned(),
            text(r, "/transport").to_owned(),
            reach(text(r, "/reach")).to_owned(),
            clock(number(r, "/expires_s")),
            text(r, "/registrar").to_owned(),
            text(r, "/contact").to_owned(),
        ]
    };
    let all: Vec<_> = list(v, "/registrations").iter().map(row).collect();
    table(["user", "address", "by", "reach", "expires in", "registrar", "contact"], &all)
}

/// What is not known is no good word.
fn reach(word: &str) -> &str {
    match word {
        "registered" | "connected" => word,
        "gone" => "GONE",
        _ => "not known",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_row_says_who_where_how_long_and_whether_anybody_reaches_it() {
        for (reach, told) in [
            (json!("registered"), "registered"),
            (json!("connected"), "connected"),
            (json!("gone"), "GONE"),
            (json!("unknown"), "not known"),
            (json!("other"), "not known"),
            (json!(null), "not known"),
        ] {
            let v = json!({ "registrations": [{
                "user": "101@x", "address": "10.0.0.2:5060", "transport": "udp",
                "expires_s": 65, "registrar": "local", "contact": "sip:101@10.0.0.2",
                "reach": reach,
            }]});
            let all = rows(&v);
            let words = all.lines().nth(1).unwrap().split_whitespace();
            let words: Vec<&str> = words.collect();
            let row = format!("101@x 10.0.0.2:5060 udp {told} 1:05 local sip:101@10.0.0.2");
            assert_eq!(words.join(" "), row);
        }
    }
}
