//! Commands that need a machine are not run; what can be known of them without one is: the program
//! is one that such a machine has, the files it names exist, and a command line of portreeve itself
//! is read by portreeve.

use super::console::BINARY;
use std::process::Command;

/// Programs of a host that the pages may ask for.
const PROGRAMS: [&str; 23] = [
    "apt-get",
    "cargo",
    "cat",
    "chmod",
    "cp",
    "curl",
    "git",
    "grep",
    "install",
    "ip",
    "journalctl",
    "lsmod",
    "mkdir",
    "modprobe",
    "nft",
    "ping",
    "printf",
    "prometheus",
    "ssh",
    "systemctl",
    "tar",
    "tcpdump",
    "tee",
];

/// Splits a line as a shell does, as far as the pages need it.
pub(super) fn words(line: &str) -> Result<Vec<String>, String> {
    let mut all: Vec<String> = Vec::new();
    let mut current: Option<String> = None;
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                current.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => all.extend(current.take()),
            (None, '$' | '`' | ';' | '<' | '*') => return Err(format!("no shell here: {line}")),
            (_, c) => current.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err(format!("an open quote: {line}"));
    }
    all.extend(current);
    Ok(all)
}

/// Checks every command of a block; `$ ` may stand before one, and then other lines are output.
pub(super) fn known(block: &str) -> Result<(), String> {
    let prompted = block.lines().any(|l| l.starts_with("$ "));
    let joined = block.replace("\\\n", " ");
    let mut seen = 0;
    for line in joined.lines() {
        let line = match (prompted, line.strip_prefix("$ ")) {
            (true, None) => continue,
            (true, Some(line)) => line,
            (false, _) => line,
        };
        let line = line.split(" #").next().unwrap_or("").trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        for part in line.split("&&").flat_map(|p| p.split('|')) {
            let (command, target) = part.split_once(" > ").unwrap_or((part, "/dev/null"));
            files(&[target.trim().to_owned()], true)?;
            command_known(&words(command)?)?;
            seen += 1;
        }
    }
    if seen == 0 { Err("no command".to_owned()) } else { Ok(()) }
}

fn command_known(words: &[String]) -> Result<(), String> {
    let plain: Vec<&str> = words.iter().map(String::as_str).collect();
    match plain.as_slice() {
        ["sudo", ..] => command_known(&words[1..]),
        [setting, ..] if is_setting(setting) => command_known(&words[1..]),
        ["portreeve", ..] => own(&words[1..]),
        [program, ..] if program.ends_with("/portreeve") => own(&words[1..]),
        ["cargo", "run", "--release"] => own(&[]),
        ["cargo", "run", "--release", "--", ..] => own(&words[4..]),
        ["docker", "compose", ..] => compose(&words[2..]),
        ["docker/build" | "sip-tests/run" | "sip-tests/tunnel/demo" | "grafana/draw.py", ..] => {
            files(words, false)
        }
        [program, ..] if PROGRAMS.contains(program) => files(&words[1..], false),
        [program, ..] => Err(format!("{program} is no program that a host has (see docs/host.rs)")),
        [] => Err("no command".to_owned()),
    }
}

fn is_setting(word: &str) -> bool {
    word.split_once('=').is_some_and(|(k, _)| {
        !k.is_empty() && k.chars().all(|c| c.is_ascii_uppercase() || c == '_')
    })
}

/// A command line of portreeve: with `--help` behind it, it reads all of it and does nothing.
pub(super) fn own(args: &[String]) -> Result<(), String> {
    let out = Command::new(BINARY).args(args).arg("--help").output().map_err(|e| e.to_string())?;
    let said = String::from_utf8_lossy(&out.stderr);
    if !out.status.success() {
        return Err(format!("portreeve {}: {said}", args.join(" ")));
    }
    let help = String::from_utf8_lossy(&out.stdout);
    let usage = help.lines().find(|l| l.starts_with("Usage:")).unwrap_or("");
    if usage.contains("<COMMAND>") {
        return Err(format!("portreeve {} lacks a command", args.join(" ")));
    }
    let positional = usage.split_whitespace().filter(|w| w.starts_with('<')).count();
    let given = args.iter().filter(|a| !a.starts_with('-')).count();
    if given < positional {
        return Err(format!("portreeve {} lacks an argument: {usage}", args.join(" ")));
    }
    Ok(())
}

/// `docker compose [-f FILE] VERB …`: the file exists, its services are named rightly.
fn compose(words: &[String]) -> Result<(), String> {
    let (file, rest) = match words {
        [f, file, rest @ ..] if f == "-f" => (file.as_str(), rest),
        rest => ("docker/compose.yaml", rest),
    };
    files(&[file.to_owned()], false)?;
    let text = super::read(file);
    let [verb, rest @ ..] = rest else { return Err("docker compose what?".to_owned()) };
    let verbs =
        ["up", "down", "logs", "exec", "run", "ps", "cp", "kill", "build", "stop", "config"];
    if !verbs.contains(&verb.as_str()) {
        return Err(format!("docker compose {verb}?"));
    }
    let service = |name: &str| text.lines().any(|l| l == format!("  {name}:"));
    let mut rest = rest.iter().skip_while(|w| w.starts_with('-')).peekable();
    let mut skip = verb == "kill";
    while let Some(word) = rest.next() {
        let name = word.split(':').next().unwrap_or("");
        let is_option = word.starts_with('-') || word == "." || name.len() == word.len() && skip;
        skip = verb == "kill" && word == "-s";
        if is_option {
            continue;
        }
        if !service(name) {
            return Err(format!("{file} has no service {name}"));
        }
        let args: Vec<String> = rest.clone().cloned().collect();
        match verb.as_str() {
            "exec" => return command_known(&args),
            // The image's entry point stands before them.
            "run" => return own(&args),
            _ => {}
        }
    }
    Ok(())
}

/// A word that is a path in the repository must name something.
fn files(words: &[String], may_be_new: bool) -> Result<(), String> {
    let known = ["docs", "configs", "docker", "grafana", "sip-tests", "src", "fuzz", ".ci"];
    for word in words {
        let path = word.trim_start_matches("./");
        let first = path.split('/').next().unwrap_or("");
        let ours = path.contains('/') && known.contains(&first);
        let made = path == "docker/.env" || path == "docker/portreeve.toml";
        if ours && !made && !may_be_new && !super::words::exists(path) {
            return Err(format!("no file {word}"));
        }
    }
    Ok(())
}
