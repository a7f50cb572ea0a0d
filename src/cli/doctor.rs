//! `doctor`: what an installer would ask, in his order, a line each: `ok`, or what to do. It
//! changes nothing, takes no port that the gateway may want, and ends within 20 s, whether one runs
//! or not. What is seen and what that means are two functions; the second is tested.

mod certificates;
mod gateway;
mod machine;
mod names;
mod options;
mod ports;
mod tunnels;
mod ways;

pub(super) use certificates::{certificates, ending};

use super::{DoctorArgs, config, exit, gateway as place, run, table};
use crate::config::{Config, Environment};
use crate::daemon;
use crate::driver::clock::Clock;
use crate::driver::tls::Tls;
use crate::ground::words;
use crate::policy::RuleSet;
use serde::{Serialize, Serializer};
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

/// Longest wait for whoever is asked once.
const PATIENCE: Duration = Duration::from_secs(3);

words! {
    /// What is looked at, in order.
    enum Check {
        /// The file, or what stands in its place.
        Configuration = "configuration",
        /// Ours, and files that they stand in.
        Certificates = "certificates",
        /// Addresses of interfaces.
        Address = "address",
        /// Ports for SIP and media.
        Ports = "ports",
        /// Where upstreams are.
        Names = "names",
        /// The way to them.
        Route = "route",
        /// What they say.
        Options = "options",
        /// How much one packet to them holds.
        Mtu = "mtu",
        /// What our packets are marked with.
        Dscp = "dscp",
        /// The time of day.
        Clock = "clock",
        /// Files that may be open.
        Files = "files",
        /// Folders for state and audit.
        Folders = "folders",
        /// The ways of tunnels.
        Tunnel = "tunnel",
        /// Whether it runs.
        Gateway = "gateway",
        /// What whoever looks after the network on the way is asked for.
        Letter = "letter",
    }
}

words! {
    /// What came of it.
    enum Verdict {
        /// Nothing to do.
        Ok = "ok",
        /// Nothing that must be done, and worth a word.
        Note = "note",
        /// Something to do.
        Todo = "TODO",
    }
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    check: Check,
    verdict: Verdict,
    /// What was seen.
    what: String,
    /// What to do; empty: nothing.
    todo: String,
}

impl Line {
    fn ok(check: Check, what: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Ok, what: what.into(), todo: String::new() }
    }

    fn note(check: Check, what: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Note, what: what.into(), todo: todo.into() }
    }

    fn todo(check: Check, what: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Todo, what: what.into(), todo: todo.into() }
    }

    /// As it is printed: nothing of the network's moves a cursor.
    fn text(&self) -> String {
        if self.check == Check::Letter {
            return format!("\n{}", folded(&table::shown(&self.what)));
        }
        let then = if self.todo.is_empty() { "" } else { ": " };
        let text = format!("{}{then}{}", self.what, self.todo);
        format!("{:<5} {:<14} {}", self.verdict, self.check, table::shown(&text))
    }
}

impl Serialize for Line {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Row<'a> {
            check: Check,
            ok: bool,
            what: &'a str,
            todo: Option<&'a str>,
        }
        let todo = Some(self.todo.as_str()).filter(|t| !t.is_empty());
        let ok = self.verdict != Verdict::Todo;
        Row { check: self.check, ok, what: &self.what, todo }.serialize(s)
    }
}

/// Columns of a paragraph.
const WIDE: usize = 98;

/// A paragraph, in lines.
fn folded(text: &str) -> String {
    let (mut out, mut column) = (String::new(), 0);
    for word in text.split(' ') {
        let long = word.chars().count();
        if column > 0 && column + 1 + long > WIDE {
            out.push('\n');
            column = 0;
        } else if column > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += long;
    }
    out
}

/// Lines as they come; with `--json`, all at the end.
#[derive(Debug)]
struct Report {
    json: bool,
    lines: Vec<Line>,
}

impl Report {
    fn tell(&mut self, lines: impl IntoIterator<Item = Line>) {
        for line in lines {
            if !self.json {
                let mut out = std::io::stdout().lock();
                // Nobody may be reading any more.
                let _ = writeln!(out, "{}", line.text()).and_then(|()| out.flush());
            }
            self.lines.push(line);
        }
    }

    /// The exit code.
    fn end(self) -> u8 {
        if self.json {
            let text = serde_json::to_string_pretty(&self.lines).unwrap_or_default();
            println!("{}", table::json(&text));
        }
        let any = self.lines.iter().any(|l| l.verdict == Verdict::Todo);
        if any { exit::NO } else { 0 }
    }
}

pub(super) fn doctor(args: &DoctorArgs) -> u8 {
    let mut report = Report { json: args.json, lines: Vec::new() };
    let env = run::surroundings(&args.set, args.data.as_deref());
    let read = match place::file(args.config.as_deref()) {
        Some(file) => read(&file, &env),
        None => run::site_config(args.listen.as_deref(), &env)
            .map(|c| ("site mode".to_owned(), String::new(), c))
            .map_err(|code| (code, "site mode: as said above".to_owned())),
    };
    let (name, text, c) = match read {
        Ok(read) => read,
        Err((code, what)) => {
            let todo = "mend it first; nothing else was looked at";
            report.tell([Line::todo(Check::Configuration, what, todo)]);
            report.end();
            return code;
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(r) => r,
        Err(e) => {
            eprintln!("no runtime: {e}");
            return exit::UNREACHABLE;
        }
    };
    report.tell(configuration(&name, &c));
    report.tell(users(&c));
    let (tls, faults) = Tls::look(&c);
    let now = Clock::start().now().wall;
    report.tell(certificates::own(&c, &tls, &faults, now));
    let running = gateway::look(&name, &text, &c, &env);
    report.tell(machine::addresses(&c));
    report.tell(ports::ports(&c, &running));
    let (lines, upstreams) = runtime.block_on(names::names(&c));
    report.tell(lines);
    // From an address that is not here nobody is reached: that was told.
    let here = machine::has_addresses(&c);
    let through = |index: usize| c.upstreams.get(index).map(|u| u.interface);
    let is_here = |(index, ..): &names::Found| through(*index).is_some_and(|i| here.contains(&i));
    let upstreams: Vec<names::Found> = upstreams.into_iter().filter(is_here).collect();
    report.tell(ways::routes(&c, &upstreams));
    report.tell(runtime.block_on(options::options(&c, &upstreams, &running, &tls)));
    report.tell(certificates::theirs(&tls, now));
    report.tell(ways::mtus(&c, &upstreams));
    report.tell(ways::dscp(&c));
    report.tell([machine::clock(), machine::files(&c, &running)]);
    report.tell(machine::folders(&c, &running));
    let (lines, letters) = runtime.block_on(tunnels::tunnels(&c, &running));
    report.tell(lines);
    report.tell([running.line()]);
    report.tell(letters);
    report.end()
}

/// Name, text and meaning of a file; else the exit code, and what it is about.
fn read(file: &Path, env: &Environment) -> Result<(String, String, Config), (u8, String)> {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(|e| (exit::CONFIG, format!("{name}: {e}")))?;
    let parsed = Config::parse(&name, &text, env);
    let checked = parsed.and_then(|c| RuleSet::compile(&c).map(|_| c));
    match checked {
        Ok(c) => Ok((name, text, c)),
        Err(faults) => {
            let code = config::tell(&name, &faults);
            Err((code, format!("{name}: its faults are told on stderr ({})", faults.len())))
        }
    }
}

/// What `config check` says.
fn configuration(name: &str, c: &Config) -> Vec<Line> {
    let (interfaces, upstreams) = (c.interfaces.len(), c.upstreams.len());
    let rules = c.policy.rules.len();
    let what = format!("{name}: {interfaces} interfaces, {upstreams} upstreams, {rules} rules");
    let doubts = c.warnings().into_iter().chain(c.doubts());
    let doubts = doubts.map(|doubt| Line::note(Check::Configuration, doubt, ""));
    std::iter::once(Line::ok(Check::Configuration, what)).chain(doubts).collect()
}

/// A file that no start could use; of one that is handed to the service nothing is known here.
fn unusable(check: Check, fault: String, todo: &str) -> Line {
    match config::is_of_service(&fault) {
        true => Line::note(check, fault, "only the service has it"),
        false => Line::todo(check, fault, todo),
    }
}

/// Who may register, where a file says it.
fn users(c: &Config) -> Option<Line> {
    let fault = daemon::check_users(c).err()?.to_string();
    Some(unusable(Check::Configuration, fault, "no start and no reload without it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_was_seen_and_what_to_do_and_moves_no_cursor() {
        let line = Line::todo(Check::Options, "10.0.0.1 says \u{1b}[2J", "start it");
        assert_eq!(line.text(), "TODO  options        10.0.0.1 says \\u{1b}[2J: start it");
        let json = serde_json::to_value(&line).unwrap();
        assert_eq!(json["ok"], false);
        assert_eq!((&json["check"], &json["todo"]), (&"options".into(), &"start it".into()));
        let fine = serde_json::to_value(Line::ok(Check::Clock, "right")).unwrap();
        assert_eq!((&fine["ok"], &fine["todo"]), (&true.into(), &serde_json::Value::Null));
        let note = serde_json::to_value(Line::note(Check::Mtu, "small", "see")).unwrap();
        assert_eq!(note["ok"], true);
    }

    #[test]
    fn a_letter_is_a_paragraph_and_no_fault() {
        let letter = Line::note(Check::Letter, "word ".repeat(50).trim_end(), "");
        let text = letter.text();
        assert!(text.starts_with("\nword word") && text.lines().all(|l| l.len() <= WIDE), "{text}");
        assert_eq!(text.split_whitespace().count(), 50);
        assert_eq!(serde_json::to_value(&letter).unwrap()["ok"], true);
    }

    #[test]
    fn doubts_are_notes_and_only_what_must_be_done_fails() {
        let c = Config::site("127.0.0.1".parse().unwrap(), &[], "x");
        let lines = configuration("site mode", &c);
        assert!(lines[0].what.starts_with("site mode: 1 interfaces"), "{}", lines[0].what);
        assert!(lines[1].verdict == Verdict::Note && lines[1].what.starts_with("loopback only"));
        let mut report = Report { json: false, lines };
        assert_eq!(Report { json: false, lines: report.lines.clone() }.end(), 0);
        report.tell([Line::todo(Check::Clock, "wrong", "mend it")]);
        assert_eq!(report.end(), exit::NO);
    }
}
