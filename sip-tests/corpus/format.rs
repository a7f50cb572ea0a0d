//! How a file of the corpus is read (`sip-tests/corpus/README.md`). It knows nothing of the gateway.

use std::fs;
use std::path::Path;

/// From where a case is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Position {
    Phone,
    Inside,
    Upstream,
    Outside,
    Open,
}

/// What is up when it is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    #[default]
    Idle,
    Call,
    Ringing,
    Called,
}

/// The right answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Right {
    /// To the sender: status and words of the phrase.
    Answered(u16, String),
    Dropped,
    /// To the other side: a method, or a status.
    Forwarded(String),
    /// The answerer gets ACK and BYE, the caller this status.
    Ended(u16),
    /// A packet comes out as it came.
    Relayed,
    /// A packet comes out as long as it came, with other octets.
    Changed,
}

/// One case.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) rows: Vec<(String, String)>,
    pub(super) lines: Vec<String>,
    /// A row `raw` stands in it.
    pub(super) raw: bool,
}

impl Case {
    fn new(name: &str) -> Self {
        Self { name: name.trim().to_owned(), rows: Vec::new(), lines: Vec::new(), raw: false }
    }

    /// The only value of a row; empty: there is none.
    pub(super) fn row(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or_default()
    }

    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.rows.iter().filter(move |(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    pub(super) fn position(&self) -> Position {
        match self.row("from") {
            "phone" => Position::Phone,
            "inside" => Position::Inside,
            "upstream" => Position::Upstream,
            "outside" => Position::Outside,
            "open" => Position::Open,
            other => panic!("{}: from {other:?}", self.name),
        }
    }

    pub(super) fn state(&self) -> State {
        match self.row("state") {
            "" => State::Idle,
            "call" => State::Call,
            "ringing" => State::Ringing,
            "called" => State::Called,
            other => panic!("{}: state {other:?}", self.name),
        }
    }

    pub(super) fn right(&self) -> Right {
        let text = self.row("right");
        let (first, rest) = text.split_once(' ').unwrap_or((text, ""));
        match (first, first.parse::<u16>()) {
            (_, Ok(status)) => Right::Answered(status, rest.to_owned()),
            ("dropped", _) => Right::Dropped,
            ("relayed", _) => Right::Relayed,
            ("changed", _) => Right::Changed,
            ("forwarded", _) if !rest.is_empty() => Right::Forwarded(rest.to_owned()),
            ("ended", _) => Right::Ended(rest.parse().expect("a status")),
            _ => panic!("{}: right {text:?}", self.name),
        }
    }
}

/// The cases of a folder of the corpus, file by file.
pub(super) fn read(folder: &str) -> Vec<Case> {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("sip-tests/corpus").join(folder);
    let files = fs::read_dir(&place).expect("the folder is there").flatten();
    let mut files: Vec<_> = files.map(|f| f.path()).collect();
    files.sort();
    let text = |file| fs::read_to_string(file).expect("a text file");
    files.iter().flat_map(|file| cases(&text(file))).collect()
}

fn cases(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut about = true;
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("== ") {
            cases.push(Case::new(name));
            about = true;
            continue;
        }
        let Some(case) = cases.last_mut() else { continue };
        match (about, line) {
            (true, "--") => about = false,
            (true, "raw") => case.raw = true,
            (true, row) => {
                let (name, value) = row.split_once(": ").unwrap_or_else(|| panic!("row {row:?}"));
                case.rows.push((name.to_owned(), value.to_owned()));
            }
            (false, line) => case.lines.push(line.to_owned()),
        }
    }
    for case in &mut cases {
        while case.lines.last().is_some_and(String::is_empty) {
            case.lines.pop();
        }
    }
    cases
}

/// `{name}` by what stands for it.
pub(super) fn fill(text: &str, names: &[(&str, String)]) -> String {
    names.iter().fold(text.to_owned(), |t, (name, value)| t.replace(&format!("{{{name}}}"), value))
}

/// Repetitions, then escapes.
pub(super) fn octets(text: &str) -> Vec<u8> {
    let mut whole = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("<<") {
        let (count, after) = after.split_once('*').expect("<<count*text>>");
        let (piece, after) = after.split_once(">>").expect("<<count*text>>");
        whole.push_str(before);
        whole.push_str(&piece.repeat(count.parse().expect("a count")));
        rest = after;
    }
    whole.push_str(rest);
    unescaped(whole.as_bytes())
}

fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(b) = text.get(at) {
        at += 1;
        if *b != b'\\' {
            out.push(*b);
            continue;
        }
        at += 1;
        match text[at - 1] {
            b'r' => out.push(b'\r'),
            b'n' => out.push(b'\n'),
            b't' => out.push(b'\t'),
            b'0' => out.push(0),
            b'\\' => out.push(b'\\'),
            b'x' => {
                let hex = std::str::from_utf8(&text[at..at + 2]).expect("two digits");
                out.push(u8::from_str_radix(hex, 16).expect("two digits"));
                at += 2;
            }
            other => panic!("escape {other}"),
        }
    }
    out
}

/// Rows that an honest sender would write: name, compact name, value.
pub(super) type Honest = Vec<(&'static str, &'static str, String)>;

/// The message of a case: its own lines, and honest rows for what it leaves open.
pub(super) fn message(case: &Case, honest: Honest, sdp: &str, names: &[(&str, String)]) -> Vec<u8> {
    let lines: Vec<String> = case.lines.iter().map(|l| fill(l, names)).collect();
    if case.raw {
        let mut all = lines.join("\r\n");
        if lines.len() > 1 {
            all.push_str("\r\n");
        }
        return octets(&all);
    }
    let blank = lines.iter().position(String::is_empty).unwrap_or(lines.len());
    let (head, body) = (&lines[..blank], lines.get(blank + 1..).unwrap_or_default());
    let described = body.iter().any(|l| l == "@sdp");
    let own = sdp.split("m=").next().unwrap_or_default();
    let line = |l: &String| match l.as_str() {
        "@sdp" => sdp.to_owned(),
        "@head" => own.to_owned(),
        other => format!("{other}\\r\\n"),
    };
    let body = octets(&body.iter().map(line).collect::<String>());
    let mut honest = honest;
    if described {
        honest.push(("Content-Type", "c", "application/sdp".to_owned()));
    }
    honest.push(("Content-Length", "l", body.len().to_string()));
    let given = |row: &str, name: &str, compact: &str| {
        let written = row.trim_start_matches('-').split(':').next().unwrap_or_default();
        // The escapes of a broken name do not hide which one it is.
        let written = written.split(['\\', '<']).next().unwrap_or_default().trim();
        written.eq_ignore_ascii_case(name)
            || !compact.is_empty() && written.eq_ignore_ascii_case(compact)
    };
    let mut rows = vec![octets(&head[0])];
    for (name, compact, value) in honest {
        if !head[1..].iter().any(|row| given(row, name, compact)) {
            rows.push(format!("{name}: {value}").into_bytes());
        }
    }
    rows.extend(head[1..].iter().filter(|r| !r.starts_with('-')).map(|r| octets(r)));
    rows.push(Vec::new());
    [rows.join(&b"\r\n"[..]), b"\r\n".to_vec(), body].concat()
}
