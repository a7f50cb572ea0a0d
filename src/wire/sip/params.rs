//! `;name=value` parameters in their order, unknown ones kept (RFC 3261 §25.1 generic-param).
use std::fmt;

/// Ordered parameters. Names compare case-insensitively; values are kept as written (a quoted
/// value with its quotes).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params(pub Vec<(Box<str>, Option<Box<str>>)>);

impl Params {
    /// Value of `name`: `None` absent, `Some("")` present without a value.
    #[must_use]
    pub fn get(&self, _name: &str) -> Option<&str> {
        todo!()
    }
    /// Sets or appends.
    pub fn set(&mut self, _name: &str, _value: Option<&str>) {
        todo!()
    }
    /// Removes every `name`; true when there was one.
    pub fn remove(&mut self, _name: &str) -> bool {
        todo!()
    }
}

/// Prints `;a=b;c`.
impl fmt::Display for Params {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}
