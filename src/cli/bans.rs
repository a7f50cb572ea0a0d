//! `bans`, `bans lift`: who is banned, for what and for how long; who is nearest to it; and the end
//! of a ban.

use super::control::{self, list, number, text};
use super::table::{clock, table};
use super::{ControlArgs, exit, http};
use serde_json::Value;
use std::net::IpAddr;

pub(super) fn bans(args: &ControlArgs) -> u8 {
    control::show(args, "/bans", |v| print!("{}", screen(v)))
}

/// `whom`: an address, a network as `bans` shows it, or `all`.
pub(super) fn lift(args: &ControlArgs, whom: &str) -> u8 {
    let address = whom.split_once('/').map_or(whom, |(ip, _)| ip);
    if whom != "all" && address.parse::<IpAddr>().is_err() {
        eprintln!("{whom} is no address: name one that `portreeve bans` shows, or all");
        return exit::NO;
    }
    let (answer, v) =
        match control::ask(args, "POST", &format!("/bans/{address}/lift"), http::PATIENCE) {
            Ok(got) => got,
            Err(code) => return code,
        };
    if !answer.is_success() {
        eprintln!("{}", super::table::shown(text(&v, "/error")));
        return exit::NO;
    }
    if args.json {
        print!("{}", super::table::json(&answer.body));
    } else {
        println!("{}", lifted(whom, &v));
    }
    if whom != "all" && is_unknown(&v) { exit::NO } else { 0 }
}

/// Nothing was there to lift or to forgive.
fn is_unknown(v: &Value) -> bool {
    number(v, "/lifted") + number(v, "/forgiven") == 0
}

fn lifted(whom: &str, v: &Value) -> String {
    match (whom, number(v, "/lifted")) {
        ("all", n) => format!("{n} ban{} lifted", if n == 1 { "" } else { "s" }),
        (one, 0) if is_unknown(v) => format!("nothing is known against {one}: nothing to lift"),
        (one, 0) => format!("{one} was not banned; what it did is forgiven"),
        (one, _) => format!("the ban of {one} is lifted"),
    }
}

fn screen(v: &Value) -> String {
    let row = |s: &Value| {
        let left = s.get("left_s").and_then(Value::as_u64);
        [
            text(s, "/source").to_owned(),
            left.map_or_else(|| "watched".to_owned(), |_| "banned".to_owned()),
            text(s, "/reason").to_owned(),
            number(s, "/score").to_string(),
            left.map_or_else(String::new, clock),
            left.map_or_else(String::new, |_| number(s, "/hits").to_string()),
        ]
    };
    let all: Vec<_> = list(v, "/suspects").iter().map(row).collect();
    let mut out = table(["source", "state", "last for", "points", "ends in", "unread"], &all);
    if v.get("enabled").and_then(Value::as_bool) == Some(false) {
        out.push_str("bans are off: [bans] enabled = true would ban from bans.threshold on\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_row_says_who_why_and_until_when() {
        let v = json!({ "enabled": true, "suspects": [
            { "source": "198.51.100.7", "reason": "scanner", "score": 120, "left_s": 65, "hits": 9 },
            { "source": "2001:db8::/64", "reason": "non_sip", "score": 5, "left_s": null, "hits": 0 },
        ]});
        let told = screen(&v);
        let words: Vec<Vec<&str>> =
            told.lines().skip(1).map(|l| l.split_whitespace().collect()).collect();
        assert_eq!(words[0], ["198.51.100.7", "banned", "scanner", "120", "1:05", "9"]);
        assert_eq!(words[1], ["2001:db8::/64", "watched", "non_sip", "5"]);
        assert!(words.len() == 2 && !told.contains("bans are off"));
        assert!(screen(&json!({ "enabled": false })).contains("bans are off: [bans] enabled"));
    }

    #[test]
    fn what_was_lifted_is_told() {
        let answer = |bans: u64, forgiven: u64| json!({ "lifted": bans, "forgiven": forgiven });
        assert_eq!(lifted("all", &answer(1, 0)), "1 ban lifted");
        assert_eq!(lifted("198.51.100.7", &answer(1, 0)), "the ban of 198.51.100.7 is lifted");
        assert!(lifted("198.51.100.7", &answer(0, 1)).contains("what it did is forgiven"));
        let unknown = lifted("198.51.100.7", &answer(0, 0));
        assert_eq!(unknown, "nothing is known against 198.51.100.7: nothing to lift");
        assert!(is_unknown(&answer(0, 0)) && !is_unknown(&answer(0, 1)));
    }
}
