//! `selftest`.

pub(super) fn selftest() -> u8 {
    0
}
