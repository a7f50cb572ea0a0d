//! `drain`: no new calls; the gateway ends with its last one, or after `drain` seconds. It answers
//! at once and waits for nothing.

use super::control::{self, number};
use super::table::clock;
use super::{ControlArgs, exit, http, table};

pub(super) fn drain(args: &ControlArgs) -> u8 {
    let (answer, v) = match control::ask(args, "POST", "/drain", http::PATIENCE) {
        Ok(got) => got,
        Err(code) => return code,
    };
    if !answer.is_success() {
        eprintln!("{}", table::shown(control::text(&v, "/error")));
        return exit::NO;
    }
    if args.json {
        print!("{}", table::json(&answer.body));
        return 0;
    }
    let left = v.get("left_s").and_then(serde_json::Value::as_f64).unwrap_or_default();
    let left = clock(std::time::Duration::from_secs_f64(left.clamp(0.0, 1e9)).as_secs());
    match number(&v, "/calls") {
        0 => println!("no calls are up: it ends now"),
        n => println!(
            "{n} call{} under way; new ones are refused, it ends with the last or in {left}",
            if n == 1 { "" } else { "s" }
        ),
    }
    0
}
