//! README.md and docs/*.md are held to the product: every block of code has a kind, and every kind is
//! executed, parsed or compared here or, where it needs a running gateway or a tool, by
//! `peers/docs.py`. A block of no known kind fails, so nothing escapes.
//!
//! trycmd does this for `console` blocks only. Every other kind needs a reader of its own, a block
//! that two readers see differently would escape, and blocks that need a gateway run elsewhere: so
//! one small reader serves all.
//!
//! | info string | what happens |
//! |---|---|
//! | `toml [NAME]` | a whole file: read as `config check` does; NAME: later blocks of the page find it |
//! | `toml refused` | a whole file that the reader must refuse |
//! | `toml fragment [FILE]` | laid over FILE (configs/minimal.toml), then read |
//! | `console [exit=N]` | `$ portreeve …` is run, its output compared (`[..]`, `...`) |
//! | `sh host` | needs a machine: every command and every file it names must exist |
//! | `log` | lines of the log: a string of the source must fit each |
//! | `yaml FILE`, `env FILE` | an excerpt of FILE |
//! | `promql` | names what the metrics catalogue has |
//! | `text layers` | the layers of `tidy.rs` |
//! | `console gateway`, `console site`, `nft`, `promql`, `yaml prometheus`, `dnsmasq` | `peers/docs.py` |

mod blocks;
mod console;
mod host;
mod words;

use blocks::{Block, pages};
use portreeve::config::{Config, Environment};
use portreeve::policy::RuleSet;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// Reads a file as `config check` does: text, meaning, rule tests.
fn configuration(text: &str) -> Result<(), String> {
    let env = Environment::default();
    let said = |faults: Vec<portreeve::config::Diagnostic>| {
        faults.iter().map(ToString::to_string).collect::<String>()
    };
    let config = Config::parse("block", text, &env).map_err(said)?;
    RuleSet::compile(&config).map(|_| ()).map_err(said)
}

/// Lays a fragment over a file: tables key by key, entries of a list of tables by their name.
fn lay(base: &mut toml::Table, over: toml::Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(toml::Value::Table(old)), toml::Value::Table(new)) => old.extend(new),
            (Some(toml::Value::Array(old)), toml::Value::Array(new)) => {
                for entry in new {
                    let same = |o: &&mut toml::Value| {
                        o.get("name").is_some() && o.get("name") == entry.get("name")
                    };
                    match (old.iter_mut().find(same).and_then(toml::Value::as_table_mut), &entry) {
                        (Some(o), toml::Value::Table(n)) => o.extend(n.clone()),
                        _ => old.push(entry),
                    }
                }
            }
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

fn fragment(base: &str, text: &str) -> Result<(), String> {
    let mut whole: toml::Table = read(base).parse().map_err(|e| format!("{base}: {e}"))?;
    lay(&mut whole, text.parse().map_err(|e| format!("{e}"))?);
    configuration(&whole.to_string())
}

/// Lines of `excerpt` stand one behind the other in `whole`, whatever their common indentation.
fn is_excerpt(excerpt: &str, whole: &str) -> bool {
    let wanted = outdented(&excerpt.lines().collect::<Vec<_>>());
    let lines: Vec<&str> = whole.lines().collect();
    lines.windows(wanted.len().max(1)).any(|w| outdented(w) == wanted)
}

fn outdented(lines: &[&str]) -> Vec<String> {
    let indent = |l: &&str| l.len() - l.trim_start().len();
    let filled = lines.iter().filter(|l| !l.trim().is_empty());
    let least = filled.map(indent).min().unwrap_or(0);
    lines.iter().map(|l| l.get(least..).unwrap_or("").trim_end().to_owned()).collect()
}

/// Somebody writes each line: a string of the source fits it, its `{…}` standing for anything.
fn logged(text: &str, strings: &[String]) -> Result<(), String> {
    for line in text.lines() {
        let parts: Vec<&str> = line.splitn(3, ": ").collect();
        // `call 7: one_way_audio: evidence`: three strings make it.
        let said = match parts.as_slice() {
            [call, name, evidence]
                if call.starts_with("call ")
                    && portreeve::engine::Finding::NAMES.contains(name) =>
            {
                evidence
            }
            _ => line,
        };
        if !strings.iter().any(|s| console::line_matches(s, said)) {
            return Err(format!("nobody says: {said}"));
        }
    }
    Ok(())
}

/// Strings of the source that say something, `[..]` for what is filled in.
fn strings() -> Vec<String> {
    let mut all = Vec::new();
    let mut open = vec![root().join("src")];
    while let Some(dir) = open.pop() {
        for path in fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()) {
            match fs::read_to_string(&path) {
                Ok(text) => all.extend(literals(&text)),
                Err(_) => open.push(path),
            }
        }
    }
    all
}

fn literals(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let code = text.lines().filter(|l| !l.trim_start().starts_with("//"));
    let code = code.collect::<Vec<_>>().join("\n");
    let mut chars = code.chars().peekable();
    let mut current: Option<String> = None;
    while let Some(c) = chars.next() {
        match (&mut current, c) {
            (None, '\'') if chars.peek() == Some(&'"') => {
                chars.next();
            }
            (None, '"') => current = Some(String::new()),
            (Some(_), '"') => all.extend(current.take()),
            (Some(s), '\\') => match chars.next() {
                Some('\n') => while chars.next_if(|c| c.is_whitespace()).is_some() {},
                Some(escaped) => s.push(escaped),
                None => {}
            },
            (Some(s), '{') => {
                while chars.next_if(|c| *c != '}').is_some() {}
                chars.next();
                s.push_str("[..]");
            }
            (Some(s), c) => s.push(c),
            (None, _) => {}
        }
    }
    all.retain(|s| s.replace("[..]", "").len() > 12);
    all
}

fn layers() -> String {
    let (pure, world) = super::tidy::LAYERS.split_at(super::tidy::PURE);
    format!("{} ‖ {}\n", pure.join(" < "), world.join(" < "))
}

/// What must happen to a block; `Err`: it is stale.
fn judge(b: &Block, page: &mut console::Folder, strings: &[String]) -> Result<(), String> {
    let words: Vec<&str> = b.info.split_whitespace().collect();
    match words.as_slice() {
        ["toml"] => configuration(&b.text),
        ["toml", "refused"] => match configuration(&b.text) {
            Ok(()) => Err("it is accepted".to_owned()),
            Err(_) => Ok(()),
        },
        ["toml", "fragment"] => fragment("configs/minimal.toml", &b.text),
        ["toml", "fragment", base] => fragment(base, &b.text),
        ["toml", name] => {
            page.keep(name, &b.text);
            configuration(&b.text)
        }
        ["console"] => page.run(&b.text, 0),
        ["console", exit] => {
            let code = exit.strip_prefix("exit=").and_then(|n| n.parse().ok());
            match (code, *exit) {
                (Some(code), _) => page.run(&b.text, code),
                (None, "gateway" | "site") => host::known(&b.text),
                (None, _) => Err("what is that?".to_owned()),
            }
        }
        ["sh", "host"] => host::known(&b.text),
        ["log"] => logged(&b.text, strings),
        ["text", "layers"] if b.text == layers() => Ok(()),
        ["text", "layers"] => Err(format!("the layers are {}", layers())),
        ["promql"] => {
            let faults = super::grafana::unknown(&b.text, "", &super::grafana::records());
            if faults.is_empty() { Ok(()) } else { Err(faults.join(", ")) }
        }
        ["nft" | "dnsmasq"] | ["yaml", "prometheus"] => Ok(()),
        ["yaml" | "env", file] if is_excerpt(&b.text, &read(file)) => Ok(()),
        ["yaml" | "env", file] => Err(format!("no excerpt of {file}")),
        _ => Err("a block of no known kind (see sip-tests/docs.rs)".to_owned()),
    }
}

#[test]
fn every_block_of_the_documentation_is_true() {
    let strings = strings();
    let mut stale = Vec::new();
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for page in pages() {
        let mut folder = console::Folder::new(&page.name);
        for b in &page.blocks {
            *kinds.entry(b.info.clone()).or_default() += 1;
            if let Err(why) = judge(b, &mut folder, &strings) {
                stale.push(format!("{}:{}: ```{}: {why}", page.name, b.line, b.info));
            }
        }
        for line in &page.indented {
            stale.push(format!("{}:{line}: an indented block has no kind: fence it", page.name));
        }
    }
    assert!(stale.is_empty(), "{}", stale.join("\n"));
    assert!(kinds.values().sum::<usize>() > 30, "the pages are read: {kinds:?}");
}

#[test]
fn a_stale_block_is_noticed() {
    let strings = strings();
    let mut folder = console::Folder::new("stale");
    let mut stale = |info: &str, text: &str| {
        let b = Block { info: info.to_owned(), line: 1, text: text.to_owned() };
        judge(&b, &mut folder, &strings).is_err()
    };
    let cases = [
        ("toml", "[media]\nport = \"1-2\"\n"),
        ("toml", "[media]\nports = \"20000-20399\"\n"),
        ("toml refused", &*read("configs/minimal.toml")),
        ("toml fragment", "[[rule]]\nname = \"x\"\ndeni = {}\n"),
        ("console", "$ portreeve --version\nportreeve 99\n"),
        ("console", "$ portreeve --version\nportreeve [..]\nmore\n"),
        ("console", "$ portreeve config check nothing.toml\n...\n"),
        ("console exit=1", "$ portreeve --version\n...\n"),
        ("console", "$ cat /etc/passwd\n...\n"),
        ("console", "no command\n"),
        ("sh host", "portreeve ports --as iptables\n"),
        ("sh host", "sudo portreeve run --port 5060\n"),
        ("sh host", "portreeve config\n"),
        ("sh host", "docker compose -f docker/nothing.yaml up -d\n"),
        ("sh host", "docker compose -f docker/compose.yaml logs gateway\n"),
        ("sh host", "docker compose -f docker/compose.yaml exec portreeve /usr/bin/portreeve x\n"),
        ("sh host", "frobnicate\n"),
        ("sh host", "cp configs/nothing.toml /etc/portreeve/portreeve.toml\n"),
        ("log", "call 7: one_way_audio: nobody ever says this of a call\n"),
        ("yaml docker/compose.yaml", "network_mode: bridge\n"),
        ("promql", "sum(rate(portreeve_call_total[5m]))\n"),
        ("text layers", "wire < engine\n"),
        ("text", "something\n"),
        ("", "something\n"),
    ];
    for (info, text) in cases {
        assert!(stale(info, text), "```{info}\n{text}");
    }
    assert!(!stale("console", "$ portreeve --version\nportreeve [..]\n"));
    assert!(!stale("toml fragment", "[[interface]]\nname = \"wan\"\nlearn = \"same-ip\"\n"));
    assert!(!stale("yaml docker/compose.yaml", "read_only: true\n"));
    assert!(!stale(
        "log",
        "call 7: one_way_audio: no RTP from the caller (inside) in 20 s since the answer, 1000 packets the other way\n"
    ));
}

#[test]
fn every_finding_has_its_place_in_troubleshooting() {
    let anchors = words::anchors(&read("docs/TROUBLESHOOTING.md"));
    for finding in portreeve::engine::Finding::NAMES {
        assert!(anchors.contains(&finding.to_owned()), "docs/TROUBLESHOOTING.md#{finding}");
    }
}

#[test]
fn every_alert_has_its_place_in_the_runbook() {
    let anchors = words::anchors(&read("docs/ALERTS.md"));
    for line in read("grafana/rules.yml").lines() {
        if let Some((_, name)) = line.split_once("- alert: ") {
            assert!(anchors.contains(&name.trim().to_lowercase()), "docs/ALERTS.md: {name}");
        }
    }
}

#[test]
fn what_is_named_between_blocks_exists() {
    let known = words::Known::new();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for page in pages() {
        for (line, text) in &page.prose {
            seen += 1;
            wrong.extend(
                known.faults(&page.name, text).map(|w| format!("{}:{line}: {w}", page.name)),
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 300, "prose is read: {seen} lines");
}
