//! Does a gateway run here, and is it fit? Asked first, for ports that it holds are as they should
//! be; told last.

use super::{Check, Line, PATIENCE};
use crate::cli::control::{list, text};
use crate::cli::folder;
use crate::cli::http::{self, At};
use crate::config::{Config, Environment, control_sockets};
use crate::driver::holders::{Process, holder};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::PathBuf;

/// How it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nobody answers.
    Absent,
    /// It answers, and takes calls.
    Fit,
    /// It answers, and why it takes none.
    Unfit(String),
    /// Somebody is there, and does not answer as it should.
    Strange(String),
    /// Not ours to ask.
    Forbidden(String),
}

/// What is known of the gateway that runs.
#[derive(Clone, Debug)]
pub(super) struct Running {
    pub(super) standing: Standing,
    /// Its process, when it holds a port of this configuration and /proc shows it.
    pub(super) process: Option<Process>,
    /// Targets of upstreams that answer it.
    pub(super) answered: Vec<SocketAddr>,
}

/// The name of our own process: a gateway is the same program.
fn own_name() -> String {
    let name = std::fs::read_to_string("/proc/self/comm").unwrap_or_default();
    name.trim().to_owned()
}

/// Whether this is a gateway's process.
pub(super) fn is_gateway(p: &Process) -> bool {
    p.name == "portreeve" || p.name == own_name()
}

pub(super) fn look(name: &str, file: &str, c: &Config, env: &Environment) -> Running {
    let (status, control) = status(name, file, c, env);
    let standing = stands(c, status.as_ref(), control);
    let listeners = c.listeners();
    let held = listeners.iter().filter_map(|l| holder(l.bind, l.transport));
    let process = held.into_iter().find(is_gateway);
    let answered = status.as_ref().map(answered).unwrap_or_default();
    Running { standing, process, answered }
}

/// The answer of the control socket; else how it looks from there.
fn status(name: &str, file: &str, c: &Config, env: &Environment) -> (Option<Value>, Standing) {
    let all = if c.is_site() { folder::candidates(env) } else { Vec::new() };
    let data = all.first().map_or(folder::SYSTEM, String::as_str);
    let mut seen = Standing::Absent;
    for socket in control_sockets(name, file, data, env).unwrap_or_default() {
        match http::ask(&At::Unix(PathBuf::from(socket)), "GET", "/status", PATIENCE) {
            Ok(answer) => match serde_json::from_str(&answer.body) {
                Ok(value) => return (Some(value), Standing::Fit),
                Err(_) => {
                    let what = "what listens at the control socket is no portreeve".to_owned();
                    return (None, Standing::Strange(what));
                }
            },
            Err(e) if e.is_absent() => {}
            Err(e) if e.is_forbidden() => seen = Standing::Forbidden(e.to_string()),
            Err(e) => return (None, Standing::Strange(e.to_string())),
        }
    }
    (None, seen)
}

/// As `health` sees it, where that can be asked; else as the control socket says.
fn stands(c: &Config, status: Option<&Value>, control: Standing) -> Standing {
    let by_control = match status.map(|v| text(v, "/state")) {
        Some("running") => Standing::Fit,
        Some(state) => Standing::Unfit(state.to_owned()),
        None => control,
    };
    let Some(at) = c.http else { return by_control };
    match http::ask(&At::Tcp(at), "GET", "/ready", PATIENCE) {
        Ok(answer) if answer.is_success() => Standing::Fit,
        Ok(answer) => Standing::Unfit(answer.body.trim().to_owned()),
        // One that was started with another http.listen, or none at all.
        Err(e) if e.is_absent() => by_control,
        Err(e) => Standing::Strange(e.to_string()),
    }
}

/// Targets that the gateway says are up.
fn answered(status: &Value) -> Vec<SocketAddr> {
    let targets = list(status, "/upstreams").iter().flat_map(|u| list(u, "/targets"));
    let up = targets.filter(|t| t.get("up").and_then(Value::as_bool) == Some(true));
    up.filter_map(|t| text(t, "/address").parse().ok()).collect()
}

impl Running {
    /// Whether anything speaks for a gateway that runs.
    pub(super) fn is_there(&self) -> bool {
        let speaks = match self.standing {
            Standing::Fit | Standing::Unfit(_) | Standing::Strange(_) => true,
            // A socket that may not be reached need not be there.
            Standing::Absent | Standing::Forbidden(_) => false,
        };
        speaks || self.process.is_some()
    }

    pub(super) fn line(&self) -> Line {
        let check = Check::Gateway;
        match (&self.standing, &self.process) {
            (Standing::Fit, _) => Line::ok(check, "it runs, and is fit for calls"),
            (Standing::Unfit(why), _) => Line::todo(
                check,
                format!("it runs, and takes no calls ({why})"),
                "`portreeve status` and its log say why",
            ),
            (Standing::Strange(what), _) => Line::todo(
                check,
                what.clone(),
                "look at its log; restart it, or end what is in its place",
            ),
            (Standing::Forbidden(what), _) => Line::note(check, what.clone(), "ask as its user"),
            (Standing::Absent, Some(p)) => Line::note(
                check,
                format!("one runs (pid {}), and does not listen where this file says", p.pid),
                "name the file that it was started with (-c FILE)",
            ),
            (Standing::Absent, None) => Line::note(
                check,
                "none runs here",
                "start it when the lines above are good: portreeve run -c FILE",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;
    use serde_json::json;

    #[test]
    fn what_answers_is_told_and_nobody_there_is_no_fault() {
        let told = |standing, process| Running { standing, process, answered: vec![] }.line();
        assert_eq!(told(Standing::Fit, None).verdict, Verdict::Ok);
        let there = |standing| Running { standing, process: None, answered: vec![] }.is_there();
        assert!(there(Standing::Fit) && there(Standing::Unfit(String::new())));
        assert!(!there(Standing::Absent) && !there(Standing::Forbidden(String::new())));
        assert_eq!(told(Standing::Absent, None).verdict, Verdict::Note);
        let one = Process { pid: 7, name: "portreeve".to_owned(), uid: Some(0) };
        assert!(told(Standing::Absent, Some(one)).what.contains("pid 7"));
        let unfit = told(Standing::Unfit("draining".to_owned()), None);
        assert!(unfit.verdict == Verdict::Todo && unfit.what.contains("draining"));
        assert_eq!(told(Standing::Strange("x".to_owned()), None).verdict, Verdict::Todo);
        assert_eq!(told(Standing::Forbidden("x".to_owned()), None).verdict, Verdict::Note);
    }

    #[test]
    fn without_a_health_port_the_control_socket_says_how_it_stands() {
        let mut c = Config::site("127.0.0.1".parse().unwrap(), &[], "x");
        c.http = None;
        let state = |s: &str| stands(&c, Some(&json!({ "state": s })), Standing::Fit);
        assert_eq!(state("running"), Standing::Fit);
        assert_eq!(state("draining"), Standing::Unfit("draining".to_owned()));
        assert_eq!(stands(&c, None, Standing::Absent), Standing::Absent);
        let targets = json!([{ "address": "10.0.0.1:5060", "up": true },
            { "address": "10.0.0.2:5060", "up": null }]);
        let up = answered(&json!({ "upstreams": [{ "targets": targets }] }));
        assert_eq!(up, ["10.0.0.1:5060".parse().unwrap()]);
    }
}
