//! Characters that no dial plan knows: what one reader skips or takes for a digit, and another does
//! not. With them a number would pass a rule that was made for it.

use crate::wire::sip::unescape;
use std::ops::RangeInclusive;

/// Code points that show nothing, look like others, or change how their neighbours stand.
const INVISIBLE: [RangeInclusive<u32>; 18] = [
    0x00a0..=0x00a0,   // no-break space
    0x00ad..=0x00ad,   // soft hyphen
    0x034f..=0x034f,   // grapheme joiner
    0x061c..=0x061c,   // Arabic letter mark
    0x115f..=0x1160,   // Hangul fillers
    0x1680..=0x1680,   // Ogham space
    0x17b4..=0x17b5,   // Khmer vowels that are not written
    0x180b..=0x180f,   // Mongolian selectors
    0x2000..=0x2015,   // spaces, zero width ones, marks of direction, dashes
    0x2028..=0x202f,   // separators, embeddings
    0x205f..=0x206f,   // mathematical space, joiners, isolates
    0x3000..=0x3000,   // ideographic space
    0x3164..=0x3164,   // Hangul filler
    0xfe00..=0xfe0f,   // variation selectors
    0xfe50..=0xfe6f,   // small forms
    0xfeff..=0xfeff,   // mark of byte order
    0xfff0..=0xffff,   // specials; the sign of what could not be read
    0xe0000..=0xe0fff, // tags, variation selectors
];

/// Letters and digits as wide or half as wide as ideographs.
const OF_ANOTHER_WIDTH: RangeInclusive<u32> = 0xff00..=0xffef;

/// Whether a user part as written holds one of them, also behind an escape, or an escape of an
/// escape: who undoes them twice reads another number.
pub(super) fn is_strange(user: &str) -> bool {
    let once = unescape(user);
    unescape(&once) != once
        || once.chars().any(|c| {
            let code = u32::from(c);
            c.is_control()
                || INVISIBLE.iter().any(|all| all.contains(&code))
                || OF_ANOTHER_WIDTH.contains(&code)
                || !c.is_ascii() && c.is_numeric()
                || matches!(c, '\u{207a}' | '\u{208a}' | '\u{2212}' | '\u{2795}')
        })
}
