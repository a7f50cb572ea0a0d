//! The configuration: raw file → checked types, all errors at once. It opens no file and asks no
//! clock; the environment is handed in. `daemon` builds a snapshot from it.

mod types;

pub use types::*;

use std::collections::BTreeMap;
use std::net::IpAddr;

/// What the file's meaning depends on besides its text.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `PORTREEVE__SECTION__KEY` variables (all variables may be given; others are ignored).
    pub variables: BTreeMap<String, String>,
    /// Addresses of this machine's network devices, with prefix lengths.
    pub devices: BTreeMap<String, Vec<ipnet::IpNet>>,
    /// `--section.key=value` overrides from the command line, as `("media.ports", "…")`.
    pub overrides: Vec<(String, String)>,
}

/// One fault of the configuration. `Display` draws it with caret and hint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Stable code, e.g. `unknown-key`.
    pub code: &'static str,
    /// File name as given.
    pub file: String,
    /// 1-based line and column; `None` when it has no place in the file (environment).
    pub place: Option<(usize, usize)>,
    /// Length in columns of what the caret line underlines.
    pub width: usize,
    /// The source line.
    pub source: String,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Config {
    /// Reads and checks a file's text.
    ///
    /// # Errors
    /// Every fault found, in file order.
    pub fn parse(_file: &str, _text: &str, _env: &Environment) -> Result<Self, Vec<Diagnostic>> {
        todo!()
    }

    /// The configuration of site mode (no file): registrar at `address`, state under `data`.
    #[must_use]
    pub fn site(_address: IpAddr, _networks: &[ipnet::IpNet], _data: &str) -> Self {
        todo!()
    }
}
