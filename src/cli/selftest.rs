//! `selftest`: exit code 0 when every check held, 1 when one did not.

use super::exit;
use crate::selftest;

pub(super) fn selftest() -> u8 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = match runtime {
        Ok(r) => r.block_on(selftest::full()),
        Err(e) => Err(format!("no runtime: {e}")),
    };
    match result {
        Ok(report) => {
            println!("self-test call 101 → 102");
            print!("{}", report.ladder);
            for (what, held) in &report.checks {
                println!("  {:<7} {what}", if *held { "ok" } else { "FAILED" });
            }
            if report.passed() { 0 } else { exit::NO }
        }
        Err(what) => {
            eprintln!("self-test failed: {what}");
            exit::NO
        }
    }
}
