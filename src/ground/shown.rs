//! Text from the network as people may see it, on a terminal and on a page, and durations in words.

/// Text from the network: what could move the cursor, hide or turn other text is written out.
#[must_use]
pub fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_treacherous(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

/// Controls (C0, DEL, C1), and characters that have no width or turn the direction of others.
#[must_use]
pub fn is_treacherous(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{e0000}'..='\u{e0fff}')
}

/// `7`, `2:05`, `1:02:03`, `3d 01:02:03`.
#[must_use]
pub fn clock(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    let seconds = seconds % 60;
    match (days, hours) {
        (0, 0) => format!("{minutes}:{seconds:02}"),
        (0, h) => format!("{h}:{minutes:02}:{seconds:02}"),
        (d, h) => format!("{d}d {h:02}:{minutes:02}:{seconds:02}"),
    }
}
