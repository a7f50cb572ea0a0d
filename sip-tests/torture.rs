//! The messages of RFC 4475 and RFC 5118, octet for octet, on the wire: read or refused, with the
//! fields a proxy acts on. What the engine makes of them is in `torture_engine`. `TORTURE_DIR` may
//! name a folder with more such files; nothing in it may panic or be written otherwise than read.

mod cases;

use bytes::Bytes;
use cases::{CASES, Case, Want};
use portreeve::wire::sip::{Framing, Message, Name, Refusal, Via};
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("sip-tests/torture")
}

/// The `.dat` files of a folder and of the folders in it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found = Vec::new();
    for path in entries.map(|entry| entry.path()) {
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|ext| ext == "dat") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn read(octets: &[u8]) -> Result<Message, Refusal> {
    Message::parse(Bytes::copy_from_slice(octets), Framing::Datagram)
}

/// A field by its name in the table: `uri`, `body`, `Subject`, `Via#2` (the second value) …
fn field(m: &Message, key: &str) -> String {
    let text = |v: Option<&[u8]>| String::from_utf8_lossy(v.unwrap_or(b"(none)")).into_owned();
    let (name, nth) = key.split_once('#').unwrap_or((key, ""));
    match (name, nth.parse::<usize>()) {
        ("method", _) => m.method().to_string(),
        ("uri", _) => m.uri().to_owned(),
        ("status", _) => m.status().to_string(),
        ("phrase", _) => text(Some(m.phrase())),
        ("cseq", _) => format!("{} {}", m.cseq().seq, m.cseq().method),
        ("from-tag", _) => m.from_tag().unwrap_or("(none)").to_owned(),
        ("to-tag", _) => m.to_tag().unwrap_or("(none)").to_owned(),
        ("hops", _) => m.max_forwards().map_or("(none)".to_owned(), |n| n.to_string()),
        ("body", _) => m.body().len().to_string(),
        ("vias", _) => m.list(&Name::Via).filter_map(Via::parse).count().to_string(),
        ("contacts", _) => m.list(&Name::Contact).count().to_string(),
        (name, Ok(n)) => text(m.list(&Name::parse(name)).nth(n - 1)),
        (name, Err(_)) => text(m.first(&Name::parse(name))),
    }
}

fn check(case: &Case, octets: &[u8]) {
    let (name, want) = case;
    match (read(octets), want) {
        (Ok(message), Want::Reads(fields)) => {
            for (key, value) in *fields {
                assert_eq!(field(&message, key), *value, "{name}: {key}");
            }
        }
        (Err(refusal), Want::Refuses(status, reason, phrase)) => {
            let got = (refusal.status, refusal.reason, &*refusal.phrase);
            assert_eq!(got, (*status, *reason, *phrase), "{name}");
            let answer = refusal.answerable.unwrap_or_else(|| panic!("{name}: no answer"));
            assert!(answer.has(&Name::Via) && answer.has(&Name::CSeq), "{name}");
        }
        (Err(refusal), Want::Drops(phrase)) => {
            assert_eq!(&*refusal.phrase, *phrase, "{name}");
            assert!(refusal.answerable.is_none(), "{name}");
        }
        (got, Want::Reads(_) | Want::Refuses(..) | Want::Drops(_)) => {
            panic!("{name}: {:?}", got.map(|m| m.to_bytes()).map_err(|r| r.phrase));
        }
    }
}

/// Read and written is read the same and written the same.
fn fixed_point(name: &str, octets: &[u8]) {
    let Ok(message) = read(octets) else { return };
    let written = message.to_bytes();
    let again = Message::parse(written.clone(), Framing::Stream);
    let again = again.unwrap_or_else(|r| panic!("{name}: {}", r.phrase));
    assert_eq!(again.to_bytes(), written, "{name}");
    assert_eq!(again.body(), message.body(), "{name}");
}

#[test]
fn every_message_is_read_or_refused_as_the_rfcs_ask() {
    for case in CASES {
        let path = folder().join(format!("{}.dat", case.0));
        check(case, &std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())));
    }
}

#[test]
fn every_message_has_its_case() {
    let of = |rfc: &str| CASES.iter().filter(|(name, _)| name.starts_with(rfc)).count();
    // The archive of RFC 4475 has 49 messages; two files more: one not in the RFC, one mended.
    assert_eq!((of("rfc4475/"), of("rfc5118/")), (51, 12));
    for path in files(&folder()) {
        let name = path.with_extension("").display().to_string();
        assert!(CASES.iter().any(|case| name.ends_with(case.0)), "{name} has no case");
    }
}

#[test]
fn what_is_read_is_written_regularly() {
    for path in files(&folder()) {
        fixed_point(&path.display().to_string(), &std::fs::read(&path).expect("a file"));
    }
}

#[test]
fn files_of_another_folder_are_read_or_refused_too() {
    let Some(other) = std::env::var_os("TORTURE_DIR") else {
        assert!(!files(&folder()).is_empty(), "our own are there");
        return;
    };
    let found = files(Path::new(&other));
    assert!(!found.is_empty(), "no .dat files in TORTURE_DIR");
    for path in found {
        let octets = std::fs::read(&path).expect("a file");
        fixed_point(&path.display().to_string(), &octets);
        for end in 0..octets.len().min(2000) {
            let cut = octets.get(..end).unwrap_or_default();
            fixed_point(&path.display().to_string(), cut);
        }
    }
}
