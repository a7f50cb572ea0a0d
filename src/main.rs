//! portreeve: arguments → configuration → daemon → exit code.
fn main() {}
