//! `audit verify`.

use super::exit;
use crate::audit::Heads;
use crate::driver::audit_log::{Against, verify_path};
use std::path::Path;

pub(super) fn verify(path: &Path, against: &Against<'_>) -> u8 {
    if against.head.is_some_and(|head| Heads::parse(head).is_none()) {
        eprintln!("--head is the number of a record and its hash: N:HASH");
        return exit::USAGE;
    }
    match verify_path(path, against) {
        Ok(s) => {
            println!("{} records, {} to {}, chain whole", s.records, s.first, s.last);
            println!("tip {}", s.tip);
            if s.heads > 0 {
                println!("{} heads that were noted elsewhere stand in it", s.heads);
            }
            if s.before > 0 {
                eprintln!("the {} records written before the first are not here", s.before);
            }
            if s.heads_before > 0 {
                eprintln!("{} heads that were noted elsewhere are of those", s.heads_before);
            }
            if against.tip.is_none() {
                eprintln!("keep the tip elsewhere: with --tip, lines missing at the end show too");
            }
            0
        }
        Err(what) => {
            eprintln!("audit log broken: {what}");
            exit::NO
        }
    }
}
