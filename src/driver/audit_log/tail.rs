//! The last line of a file, read from its end: a day's records may be longer than memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

/// Octets that are read at once.
const CHUNK: u64 = 64 * 1024;
/// No record is longer.
const LONGEST: usize = 16 << 20;

/// How a file of lines ends.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tail {
    /// Its last whole line, without its end; `None`: there is none.
    pub(super) line: Option<Vec<u8>>,
    /// Octets behind that line: of one that was not written whole.
    pub(super) torn: u64,
}

/// Reads how a file ends.
///
/// # Errors
/// It cannot be read, or a line at its end is longer than any record.
pub(super) fn tail(file: &File) -> io::Result<Tail> {
    let mut from = file.metadata()?.len();
    let mut text = Vec::new();
    loop {
        let newline = |text: &[u8]| text.iter().rposition(|b| *b == b'\n');
        let end = newline(&text);
        let begin = end.and_then(|end| newline(text.get(..end)?)).map(|at| at + 1);
        let begin = begin.or((from == 0).then_some(0));
        if let Some((begin, end)) = begin.zip(end) {
            let line = text.get(begin..end).map(<[u8]>::to_vec);
            return Ok(Tail { line, torn: (text.len() - end - 1) as u64 });
        }
        if from == 0 {
            return Ok(Tail { line: None, torn: text.len() as u64 });
        }
        if text.len() > LONGEST {
            let what = "its last line is longer than any record: move the file away";
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        let step = from.min(CHUNK);
        from -= step;
        let mut chunk = vec![0; usize::try_from(step).unwrap_or_default()];
        file.read_exact_at(&mut chunk, from)?;
        chunk.append(&mut text);
        text = chunk;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn of(name: &str, text: &[u8]) -> io::Result<Tail> {
        let path =
            std::env::temp_dir().join(format!("portreeve-tail-{}-{name}", std::process::id()));
        let mut file = File::create(&path)?;
        file.write_all(text)?;
        let told = tail(&File::open(&path)?);
        std::fs::remove_file(&path)?;
        told
    }

    #[test]
    fn the_last_whole_line_is_found_and_what_is_torn_is_told() {
        let long = "x".repeat(200_000);
        for (n, (text, line, torn)) in [
            (String::new(), None, 0),
            ("torn".to_owned(), None, 4),
            ("one\n".to_owned(), Some("one"), 0),
            ("one\ntwo\n".to_owned(), Some("two"), 0),
            ("one\ntwo\ntor".to_owned(), Some("two"), 3),
            (format!("one\n{long}\n"), Some(long.as_str()), 0),
            (format!("{long}\n{long}"), Some(long.as_str()), 200_000),
            (format!("{}last\n", "a line\n".repeat(50_000)), Some("last"), 0),
        ]
        .into_iter()
        .enumerate()
        {
            let told = of(&n.to_string(), text.as_bytes()).expect("it can be read");
            let line = line.map(|l| l.as_bytes().to_vec());
            assert_eq!(told, Tail { line, torn }, "{n}");
        }
    }

    #[test]
    fn a_line_without_end_is_no_record() {
        let endless = vec![b'x'; LONGEST + 3 * 64 * 1024];
        assert_eq!(
            of("endless", &endless).expect_err("too long").kind(),
            io::ErrorKind::InvalidData
        );
    }
}
