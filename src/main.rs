//! portreeve: arguments → configuration → daemon → exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    portreeve::cli::main()
}
