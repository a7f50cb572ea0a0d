//! `registrations`: whose phones are reachable, where, and for how long.

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
            clock(number(r, "/expires_s")),
            text(r, "/registrar").to_owned(),
            text(r, "/contact").to_owned(),
        ]
    };
    let all: Vec<_> = list(v, "/registrations").iter().map(row).collect();
    table(["user", "address", "by", "expires in", "registrar", "contact"], &all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_row_says_who_where_and_how_long() {
        let v = json!({ "registrations": [{
            "user": "101@x", "address": "10.0.0.2:5060", "transport": "udp", "expires_s": 65,
            "registrar": "local", "contact": "sip:101@10.0.0.2",
        }]});
        let told = rows(&v);
        let words: Vec<&str> = told.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(words, ["101@x", "10.0.0.2:5060", "udp", "1:05", "local", "sip:101@10.0.0.2"]);
    }
}
