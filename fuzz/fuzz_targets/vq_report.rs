//! A report renamed to the same names reads the same; one renamed to others holds no old Call-ID.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portreeve::wire::vq_report::{Report, Unreadable, rename};

fuzz_target!(|body: &[u8]| {
    let report = Report::parse(body);
    let same = match rename(body, str::to_owned, str::to_owned) {
        Ok(same) => same,
        // Several calls can be read, but not be renamed.
        Err(Unreadable::TooManyCalls) => return,
        Err(_) => {
            assert!(report.is_err());
            return;
        }
    };
    let again = Report::parse(&same);
    let Ok(report) = report else {
        assert!(again.is_err());
        return;
    };
    assert_eq!(again.as_ref(), Ok(&report));
    let far = rename(body, |_| "-".to_owned(), str::to_owned).expect("read once");
    // With a `-` of its own, what stands around a replaced one may make it anew.
    // An octet of no text is read as one character for all of them.
    let anew = ['-', char::REPLACEMENT_CHARACTER];
    if report.call_id.len() >= 8 && !report.call_id.contains(anew) {
        let old = report.call_id.as_bytes();
        assert!(!far.windows(old.len()).any(|w| w == old));
    }
});
