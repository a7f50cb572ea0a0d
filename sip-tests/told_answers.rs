//! Every answer of our own stands in the page where people look it up: who hears a status and a
//! phrase, and does not find them, looks for the fault at the PBX.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Statuses and phrases that a source text writes side by side: `403, "Register First"`.
fn answers(code: &str) -> BTreeSet<(u16, String)> {
    let mut all = BTreeSet::new();
    for (at, _) in code.match_indices('"') {
        let before = code[..at].trim_end();
        let Some(before) = before.strip_suffix(',') else { continue };
        let tail = &before[before.len() - before.len().min(3)..];
        let digit_before = before[..before.len() - tail.len()]
            .ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.');
        let Ok(status) = tail.parse::<u16>() else { continue };
        let Some((phrase, _)) = code[at + 1..].split_once('"') else { continue };
        let is_phrase = phrase.starts_with(|c: char| c.is_ascii_uppercase());
        if (300..700).contains(&status) && is_phrase && !digit_before {
            all.insert((status, phrase.to_owned()));
        }
    }
    all
}

fn sources(folder: &Path, all: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, all);
        } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("tests.rs") {
            all.push(path);
        }
    }
}

#[test]
fn every_answer_that_the_engine_makes_can_be_looked_up() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/TROUBLESHOOTING.md")).unwrap();
    let mut files = Vec::new();
    sources(&root.join("src/engine"), &mut files);
    let mut made = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        made.extend(answers(text.split("\n#[cfg(test)]\nmod ").next().unwrap()));
    }
    assert!(made.len() > 35, "the walk finds them: {made:?}");
    let told = |(status, phrase): &(u16, String)| {
        page.lines().any(|l| l.contains(&status.to_string()) && l.contains(phrase.as_str()))
            || page.contains(&format!("`{phrase}`"))
    };
    let missing: Vec<_> = made.iter().filter(|answer| !told(answer)).collect();
    assert!(missing.is_empty(), "not in docs/TROUBLESHOOTING.md: {missing:?}");
}

#[test]
fn what_stands_side_by_side_is_found_and_nothing_else() {
    let code =
        "f(403, \"Register First\"); g(\n 404,\n \"Not Found\"); h(1404, \"No\"); k(\"a\", 5);";
    let found: Vec<_> = answers(code).into_iter().collect();
    assert_eq!(found, [(403, "Register First".to_owned()), (404, "Not Found".to_owned())]);
}
