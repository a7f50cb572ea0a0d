//! The house rules as a test: layers, room sizes, I/O words left of the seam, heads of modules.

use std::fs;
use std::path::{Path, PathBuf};

/// The layers in order; a module may use only those before it. `engine` and `driver` do not know each
/// other's insides, but a driver carries the engine's values.
pub(crate) const LAYERS: [&str; 12] = [
    "ground", "wire", "config", "policy", "audit", "relay", "engine", "driver", "daemon", "admin",
    "selftest", "cli",
];
/// How many of them stand left of the seam.
pub(crate) const PURE: usize = 7;
const ROOM: usize = 400;
/// Lines of code of a function between its braces, blank lines and comments not counted.
const FUNCTION: usize = 70;
/// Files that may hold coordinators, and how many methods these may have in all.
const COORDINATORS: (usize, usize) = (11, 100);
fn files() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut out = Vec::new();
    let mut open = vec![root.join("src")];
    while let Some(dir) = open.pop() {
        let mut entries: Vec<PathBuf> =
            fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
                out.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(out.len() > 60, "the walk finds the house");
    out
}

/// The layer of a file: `src/wire/sip.rs` → 1.
fn layer(name: &str) -> Option<usize> {
    let first = name.strip_prefix("src/")?.split(['/', '.']).next()?;
    LAYERS.iter().position(|l| *l == first)
}

/// The text without its inline tests.
fn production<'a>(name: &str, text: &'a str) -> &'a str {
    if name.ends_with("tests.rs") || name.ends_with("testing.rs") || name.contains("/tests/") {
        return "";
    }
    text.split("\n#[cfg(test)]\nmod ").next().unwrap()
}

#[test]
fn a_layer_uses_only_those_before_it() {
    let mut broken = Vec::new();
    for (name, text) in files() {
        let Some(own) = layer(&name) else { continue };
        let code = production(&name, &text);
        for (index, line) in code.lines().enumerate() {
            for (other, word) in LAYERS.iter().enumerate() {
                let used = line.contains(&format!("crate::{word}::"))
                    || line.contains(&format!("use crate::{word};"));
                // What a daemon starts with is the driver's; what it does is the engine's.
                if used && other > own {
                    broken.push(format!("{name}:{}: {word} is a later layer", index + 1));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn nothing_left_of_the_seam_touches_the_world() {
    let words = [
        "UdpSocket",
        "TcpStream",
        "TcpListener",
        "std::fs",
        "std::thread",
        "std::env",
        "Instant::now",
        "SystemTime",
        "tokio",
        "tracing",
        "getrandom",
        "println!",
        "eprintln!",
        "metrics::",
        "std::process",
        "unsafe ",
    ];
    let mut broken = Vec::new();
    for (name, text) in files() {
        if layer(&name).is_none_or(|l| l >= PURE) {
            continue;
        }
        for (index, line) in production(&name, &text).lines().enumerate() {
            let code = line.split("//").next().unwrap();
            for word in words.iter().filter(|w| code.contains(**w)) {
                broken.push(format!("{name}:{}: {word}", index + 1));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// Functions of more than [`FUNCTION`] lines. Their ends are found by indentation, which rustfmt
/// keeps.
fn long_functions(name: &str, text: &str) -> Vec<String> {
    let mut broken = Vec::new();
    let mut open: Vec<(usize, usize, usize)> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let code = line.trim_start();
        let indent = line.len() - code.len();
        if open.last().is_some_and(|(at, ..)| *at == indent) && code.starts_with('}') {
            let (_, begun, lines) = open.pop().unwrap();
            if lines > FUNCTION {
                broken.push(format!("{name}:{begun}: a function of {lines} lines"));
            }
        }
        if !code.is_empty() && !code.starts_with("//") {
            open.iter_mut().for_each(|(.., lines)| *lines += 1);
        }
        let words = code.split('(').next().unwrap();
        let is_fn = words.split(' ').any(|w| w == "fn") && !code.starts_with("//");
        // A declaration without a body ends in a semicolon, a short body on the same line.
        if is_fn && !code.ends_with(';') && !code.ends_with('}') {
            open.push((indent, index + 1, 0));
        }
    }
    broken
}

#[test]
fn functions_are_short_and_none_is_excused() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let settings = fs::read_to_string(root.join(".clippy.toml")).unwrap();
    assert!(settings.contains(&format!("too-many-lines-threshold = {FUNCTION}\n")));
    let mut broken = Vec::new();
    for (name, text) in files() {
        broken.extend(long_functions(&name, production(&name, &text)));
        if text.contains("too_many_lines") {
            broken.push(format!("{name}: a function is excused from the limit"));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    let body =
        |n: usize| format!("fn f(\n    a: u8,\n) {{\n{}}}\n", "    g();\n\n    // x\n".repeat(n));
    assert_eq!(long_functions("x", &body(FUNCTION - 2)), [""; 0]);
    assert_eq!(long_functions("x", &body(FUNCTION - 1)), ["x:1: a function of 71 lines"]);
}

#[test]
fn rooms_lines_and_heads_are_kept() {
    let mut broken = Vec::new();
    for (name, text) in files() {
        let lines = production(&name, &text).lines().count();
        if lines > ROOM {
            broken.push(format!("{name}: {lines} lines, at most {ROOM}"));
        }
        if !text.starts_with("//!") && !production(&name, &text).is_empty() {
            broken.push(format!("{name}: no head that says what it is"));
        }
        for (index, line) in production(&name, &text).lines().enumerate() {
            if line.chars().count() > 100 && !line.contains('"') {
                broken.push(format!("{name}:{}: longer than 100 columns", index + 1));
            }
            for word in ["todo!(", "unimplemented!(", "dbg!(", "#[ignore"] {
                if line.contains(word) {
                    broken.push(format!("{name}:{}: {word}", index + 1));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// The engine is parts; only coordinators know several of them.
#[test]
fn few_rooms_coordinate_and_parts_keep_their_fields() {
    let (mut rooms, mut methods) = (Vec::new(), 0);
    for (name, text) in files() {
        let code = production(&name, &text);
        let mut inside = false;
        for line in code.lines() {
            if line.starts_with("impl Engine") {
                inside = true;
                rooms.push(name.clone());
            } else if line == "}" {
                inside = false;
            }
            let item = line.strip_prefix("    ").unwrap_or_default();
            let begins = ["fn ", "pub fn ", "pub(super) fn ", "pub(crate) fn "];
            methods += usize::from(inside && begins.iter().any(|b| item.starts_with(b)));
        }
    }
    rooms.dedup();
    let (most_rooms, most_methods) = COORDINATORS;
    assert!(rooms.len() <= most_rooms, "{rooms:?} coordinate");
    assert!((40..=most_methods).contains(&methods), "{methods} methods of coordinators");
    let parts =
        ["transactions", "calls", "phones", "upstreams", "strangers", "guard", "outbox", "world"];
    for (name, text) in files() {
        let Some(part) = name.strip_prefix("src/engine/").and_then(|n| n.strip_suffix(".rs"))
        else {
            continue;
        };
        if !parts.contains(&part) {
            continue;
        }
        let all: Vec<&str> = text.lines().collect();
        let head = format!("pub(crate) struct {}{} {{", part[..1].to_uppercase(), &part[1..]);
        let at = all.iter().position(|l| *l == head).expect("the part's own struct");
        let fields = all[at + 1..].iter().take_while(|l| **l != "}");
        let open: Vec<_> = fields.filter(|l| l.trim_start().starts_with("pub")).collect();
        assert!(open.is_empty(), "{name}: {open:?}");
    }
}
