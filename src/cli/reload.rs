//! `reload`: the configuration is read anew, whole or not at all. It says what counts now, what for
//! new calls and what waits for a restart; or every fault, with exit code 78.

use super::control::{self, list, text};
use super::table::shown;
use super::{ControlArgs, exit, table};
use serde_json::Value;
use std::fmt::Write as _;

pub(super) fn reload(args: &ControlArgs) -> u8 {
    let (answer, v) = match control::ask(args, "POST", "/reload", control::UNHURRIED) {
        Ok(got) => got,
        Err(code) => return code,
    };
    let refused = text(&v, "/result") == "refused";
    if args.json {
        print!("{}", table::json(&answer.body));
    } else if refused {
        eprint!("{}", faults(&v));
    } else if answer.is_success() {
        print!("{}", told(&v));
    } else {
        eprintln!("{}", shown(text(&v, "/error")));
    }
    match (refused, answer.is_success()) {
        (true, _) => exit::CONFIG,
        (false, true) => 0,
        (false, false) => exit::NO,
    }
}

fn faults(v: &Value) -> String {
    let mut out = String::new();
    for line in text(v, "/faults").lines() {
        let _ = writeln!(out, "{}", shown(line));
    }
    let source = shown(text(v, "/source"));
    let _ = writeln!(out, "refused, nothing changed: mend {source} and reload again");
    out
}

fn told(v: &Value) -> String {
    let mut out = String::new();
    let source = shown(text(v, "/source"));
    let sections = [("now", "/now"), ("new calls", "/new_calls"), ("needs restart", "/restart")];
    let mut any = false;
    for (when, pointer) in sections {
        let keys: Vec<String> =
            list(v, pointer).iter().filter_map(Value::as_str).map(shown).collect();
        if !keys.is_empty() {
            any = true;
            let _ = writeln!(out, "  {when:<14} {}", keys.join(", "));
        }
    }
    for certificate in list(v, "/certificates").iter().filter_map(Value::as_str) {
        any = true;
        let _ = writeln!(out, "  {}", shown(certificate));
    }
    let what = if any { "reloaded" } else { "nothing changed" };
    let mut first = format!("{what}: {source}\n");
    if source == "site mode" && !any {
        first.push_str(
            "  site mode has no file; a running process keeps its variables and flags: restart it \
             for new ones\n",
        );
    }
    first + &out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_stand_under_when_they_count() {
        let v = json!({ "result": "applied", "source": "/etc/p.toml", "now": ["rule", "drain"],
            "new_calls": [], "restart": ["media.ports"] });
        let want = "reloaded: /etc/p.toml\n  now            rule, drain\n  needs restart  \
                    media.ports\n";
        assert_eq!(told(&v), want);
        let renewed = json!({ "result": "unchanged", "source": "/etc/p.toml", "now": [],
            "certificates": ["certificate of lan: until 2027-01-30"] });
        let want = "reloaded: /etc/p.toml\n  certificate of lan: until 2027-01-30\n";
        assert_eq!(told(&renewed), want);
        let site = json!({ "result": "unchanged", "source": "site mode" });
        assert!(told(&site).contains("no file"), "{}", told(&site));
    }

    #[test]
    fn every_fault_is_told_and_nothing_in_it_is_obeyed() {
        let v = json!({ "source": "f", "faults": "error[x]: a\n  --> f:1:1\n\u{1b}[2J\n" });
        let want = "error[x]: a\n  --> f:1:1\n\\u{1b}[2J\nrefused, nothing changed: mend f and \
                    reload again\n";
        assert_eq!(faults(&v), want);
    }
}
