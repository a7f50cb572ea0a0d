//! Runs `$ portreeve …` of a `console` block with the real binary, in a folder of the page's own, and
//! compares what it says: `[..]` stands for anything within a line, a line `...` for any lines.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};

pub(super) const BINARY: &str = env!("CARGO_BIN_EXE_portreeve");

/// Where the commands of a page run: the repository's folders can be named from it, what they write
/// goes away with it.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new(page: &str) -> Self {
        let name = format!("portreeve-docs-{}-{}", std::process::id(), page.replace('/', "-"));
        let dir = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        for name in ["configs", "docker", "grafana"] {
            std::os::unix::fs::symlink(super::root().join(name), dir.join(name)).unwrap();
        }
        Self(dir)
    }

    /// Puts a file there.
    pub(super) fn keep(&self, name: &str, text: &str) {
        assert!(!name.contains('/'), "{name} is a name");
        fs::write(self.0.join(name), text).unwrap();
    }

    /// Runs the commands of a block; the last must end with `code`, those before it with 0.
    pub(super) fn run(&self, block: &str, code: i32) -> Result<(), String> {
        let all = commands(block)?;
        for (index, (command, wanted)) in all.iter().enumerate() {
            let code = if index + 1 == all.len() { code } else { 0 };
            let (said, ended) = self.one(command)?;
            if ended != Some(code) {
                return Err(format!("$ {command} ends with {ended:?}, not {code}:\n{said}"));
            }
            if !matches(wanted, &said) {
                return Err(format!("$ {command} says\n{said}and not\n{wanted}"));
            }
        }
        Ok(())
    }

    /// What a command says on both channels, and its exit code.
    fn one(&self, command: &str) -> Result<(String, Option<i32>), String> {
        let (words, file) = match command.split_once(" > ") {
            Some((words, file)) => (words, Some(file.trim())),
            None => (command, None),
        };
        let words = super::host::words(words)?;
        let [program, args @ ..] = words.as_slice() else { return Err("no command".to_owned()) };
        if program != "portreeve" {
            return Err(format!("{program} is not run here"));
        }
        let heard = self.0.join(".said");
        let said = File::create(&heard).unwrap();
        let out = match file {
            Some(name) => File::create(self.0.join(name)).unwrap(),
            None => said.try_clone().unwrap(),
        };
        let status = Command::new(BINARY)
            .args(args)
            .current_dir(&self.0)
            .env_clear()
            .env("TMPDIR", &self.0)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(said)
            .status()
            .map_err(|e| e.to_string())?;
        Ok((fs::read_to_string(&heard).unwrap_or_default(), status.code()))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// (command, output) pairs.
fn commands(block: &str) -> Result<Vec<(String, String)>, String> {
    let mut all: Vec<(String, String)> = Vec::new();
    for line in block.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            all.push((command.to_owned(), String::new()));
        } else {
            let (_, out) = all.last_mut().ok_or("output before a command")?;
            out.push_str(line);
            out.push('\n');
        }
    }
    if all.is_empty() { Err("no command".to_owned()) } else { Ok(all) }
}

fn matches(wanted: &str, said: &str) -> bool {
    let wanted: Vec<&str> = wanted.lines().map(str::trim_end).collect();
    let said: Vec<&str> = said.lines().map(str::trim_end).collect();
    lines_match(&wanted, &said)
}

fn lines_match(wanted: &[&str], said: &[&str]) -> bool {
    match (wanted, said) {
        (["..."], _) => true,
        (["...", rest @ ..], _) => (0..=said.len()).any(|n| lines_match(rest, &said[n..])),
        ([w, wanted @ ..], [s, said @ ..]) => line_matches(w, s) && lines_match(wanted, said),
        ([], []) => true,
        ([], _) | (_, []) => false,
    }
}

pub(super) fn line_matches(wanted: &str, said: &str) -> bool {
    let Some((head, rest)) = wanted.split_once("[..]") else { return wanted == said };
    let Some(said) = said.strip_prefix(head) else { return false };
    let ends = said.char_indices().map(|(i, _)| i).chain([said.len()]);
    ends.into_iter().any(|n| line_matches(rest, &said[n..]))
}
