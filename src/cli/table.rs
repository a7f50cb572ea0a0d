//! Words on a terminal: columns, durations, and text from the network made harmless. It asks
//! nobody.

use crate::ground::is_treacherous;
pub(super) use crate::ground::{clock, shown};
use std::fmt::Write as _;

/// Longest cell, in characters.
const CELL: usize = 40;

/// Rows under a head; columns as wide as they must be. Numbers stand right.
pub(super) fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let rows: Vec<[String; N]> = rows.iter().map(|r| r.each_ref().map(|c| cell(c))).collect();
    let mut width = head.map(|h| h.chars().count());
    for row in &rows {
        for (w, c) in width.iter_mut().zip(row) {
            *w = (*w).max(c.chars().count());
        }
    }
    let mut out = String::new();
    let mut line = |cells: [&str; N]| {
        let mut text = String::new();
        for (c, w) in cells.iter().zip(width) {
            let number = !c.is_empty() && c.chars().all(|c| c.is_ascii_digit() || c == ':');
            let _ = if number { write!(text, "{c:>w$}  ") } else { write!(text, "{c:<w$}  ") };
        }
        let _ = writeln!(out, "{}", text.trim_end());
    };
    line(head);
    for row in &rows {
        line(row.each_ref().map(String::as_str));
    }
    out
}

fn cell(text: &str) -> String {
    let text = shown(text);
    if text.chars().count() <= CELL {
        return text;
    }
    text.chars().take(CELL - 1).chain(['…']).collect()
}

/// JSON as it came, with nothing in it that a terminal obeys.
pub(super) fn json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_treacherous(c) && c != '\n' {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn columns_are_as_wide_as_they_must_be() {
        let rows = [["7".to_owned(), "101".to_owned()], ["12".to_owned(), "a@b.example".into()]];
        assert_eq!(table(["id", "from"], &rows), "id  from\n 7          101\n12  a@b.example\n");
    }

    #[test]
    fn durations_read_as_clocks() {
        let all = [(7, "0:07"), (125, "2:05"), (3_723, "1:02:03"), (262_923, "3d 01:02:03")];
        for (seconds, want) in all {
            assert_eq!(clock(seconds), want);
        }
    }

    #[test]
    fn what_a_terminal_would_obey_is_written_out() {
        assert_eq!(shown("a\u{1b}[2J"), "a\\u{1b}[2J");
        assert_eq!(shown("\u{9b}31m\u{202e}é"), "\\u{9b}31m\\u{202e}é");
        assert_eq!(json("{\"a\":\"\u{9b}\u{e0041}\"}\n"), "{\"a\":\"\\u009b\\udb40\\udc41\"}\n");
    }

    proptest! {
        #[test]
        fn no_text_reaches_the_terminal_as_a_command(text in any::<String>()) {
            let row = [[text.clone(), text.clone()]];
            let drawn = table(["a", "b"], &row);
            prop_assert!(drawn.chars().all(|c| c == '\n' || !is_treacherous(c)));
            prop_assert_eq!(drawn.lines().count(), 2);
            prop_assert!(drawn.lines().all(|l| l.chars().count() <= 2 * CELL + 2));
        }

        #[test]
        fn encoded_json_means_the_same(text in any::<String>()) {
            let written = serde_json::to_string(&text).unwrap();
            let encoded = json(&written);
            prop_assert!(!encoded.chars().any(is_treacherous));
            prop_assert_eq!(serde_json::from_str::<String>(&encoded).unwrap(), text);
        }
    }
}
