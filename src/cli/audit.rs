//! `audit verify`.

use super::exit;
use crate::driver::audit_log::verify_path;
use std::path::Path;

pub(super) fn verify(path: &Path, tip: Option<&str>) -> u8 {
    match verify_path(path, tip) {
        Ok(s) => {
            println!("{} records, {} to {}, chain whole", s.records, s.first, s.last);
            println!("tip {}", s.tip);
            if s.before > 0 {
                eprintln!("the {} records written before the first are not here", s.before);
            }
            if tip.is_none() {
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
