//! The client of the control socket: finds it, asks, and turns what went wrong into an exit code
//! with words that say what to do. It shows nothing of an answer.

use super::http::{self, Answer, At};
use super::{ControlArgs, config, exit, folder, gateway, run};
use crate::config::control_sockets;
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;

/// Reading and checking a configuration may take longer than a question.
pub(super) const UNHURRIED: Duration = Duration::from_secs(30);

/// Asks the running gateway; any answer of the HTTP kind that it gave, with its JSON.
pub(super) fn ask(
    args: &ControlArgs,
    method: &str,
    path: &str,
    patience: Duration,
) -> Result<(Answer, Value), u8> {
    let answer = reach(&sockets(args)?, method, path, patience)?;
    match serde_json::from_str(&answer.body) {
        // The gateway lives and its event loop does not.
        Ok(v) if answer.status == 503 => {
            eprintln!("not answered: {}", text(&v, "/error"));
            Err(exit::UNREACHABLE)
        }
        Ok(v) => Ok((answer, v)),
        Err(_) => {
            eprintln!("the answer is no JSON: what listens at that socket is no portreeve");
            Err(exit::UNREACHABLE)
        }
    }
}

/// Asks for data: prints them raw with `--json`; else hands them to `show`.
pub(super) fn show(args: &ControlArgs, path: &str, show: impl FnOnce(&Value)) -> u8 {
    let (answer, value) = match ask(args, "GET", path, http::PATIENCE) {
        Ok(got) => got,
        Err(code) => return code,
    };
    if !answer.is_success() {
        eprintln!("{}", super::table::shown(text(&value, "/error")));
        return exit::NO;
    }
    if args.json {
        print!("{}", super::table::json(&answer.body));
    } else {
        show(&value);
    }
    if let Some(told) = standstill(&value) {
        eprintln!("{told}");
    }
    0
}

/// What must be said of an answer that is old; `None`: it is not.
fn standstill(value: &Value) -> Option<String> {
    let is_still = value.pointer("/event_loop/stands_still").and_then(Value::as_bool) == Some(true);
    let age = value.pointer("/event_loop/age_s").and_then(Value::as_f64).unwrap_or_default();
    is_still.then(|| {
        format!(
            "the event loop has stood still for {age:.0} s, and no call is served: this is how \
             things stood then"
        )
    })
}

/// Where it may listen, likeliest first.
fn sockets(args: &ControlArgs) -> Result<Vec<PathBuf>, u8> {
    if let Some(path) = &args.socket {
        return Ok(vec![path.clone()]);
    }
    let env = run::surroundings(&args.set, args.data.as_deref());
    let (name, text, data) = match gateway::file(args.config.as_deref()) {
        Some(file) => {
            let name = file.display().to_string();
            let text = std::fs::read_to_string(&file).map_err(|e| {
                eprintln!("{name}: {e} (or name the gateway's socket: --socket PATH)");
                exit::CONFIG
            })?;
            (name, text, vec![folder::SYSTEM.to_owned()])
        }
        None => ("site mode".to_owned(), String::new(), folder::candidates(&env)),
    };
    let mut found: Vec<String> = Vec::new();
    for data in &data {
        let more = control_sockets(&name, &text, data, &env);
        let more = more.map_err(|faults| config::tell(&name, &faults))?;
        found.extend(more.into_iter().filter(|path| !found.contains(path)).collect::<Vec<_>>());
    }
    if found.is_empty() {
        eprintln!("{name}: control.socket is \"off\", so a running gateway takes no commands");
        return Err(exit::UNREACHABLE);
    }
    Ok(found.into_iter().map(PathBuf::from).collect())
}

/// The first that somebody listens at.
fn reach(sockets: &[PathBuf], method: &str, path: &str, patience: Duration) -> Result<Answer, u8> {
    let mut told = String::from("no control socket");
    for (i, socket) in sockets.iter().enumerate() {
        match http::ask(&At::Unix(socket.clone()), method, path, patience) {
            Ok(answer) => return Ok(answer),
            Err(e) if e.is_forbidden() => {
                eprintln!("{e}");
                return Err(exit::PERMISSION);
            }
            Err(e) if e.is_absent() && i > 0 => {}
            Err(e) if e.is_absent() => told = e.to_string(),
            Err(e) => {
                eprintln!("{e}");
                return Err(exit::UNREACHABLE);
            }
        }
    }
    eprintln!("{told}");
    if let Some((_, more)) = sockets.split_first().filter(|(_, more)| !more.is_empty()) {
        let more: Vec<String> = more.iter().map(|p| p.display().to_string()).collect();
        eprintln!("also tried: {}", more.join(", "));
    }
    Err(exit::UNREACHABLE)
}

/// A string of an answer; empty when it is not there.
pub(super) fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A whole number of an answer; 0 when it is not there.
pub(super) fn number(value: &Value, pointer: &str) -> u64 {
    value.pointer(pointer).and_then(Value::as_u64).unwrap_or_default()
}

/// A list of an answer; empty when it is not there.
pub(super) fn list<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_old_is_told_and_what_is_not_is_not() {
        let told = standstill(&json!({ "event_loop": { "age_s": 12.4, "stands_still": true } }));
        assert!(told.is_some_and(|t| t.contains("stood still for 12 s")));
        let turning = json!({ "event_loop": { "age_s": 0.4, "stands_still": false } });
        assert_eq!(standstill(&turning), None);
        assert_eq!(standstill(&json!({})), None, "a gateway of an earlier version");
    }
}
