//! The configuration: raw file → checked types, all errors at once. It opens no file and asks no
//! clock; the environment is handed in. `daemon` builds a snapshot from it.

mod address;
mod bans;
mod change;
mod checks;
mod control;
mod diagnostic;
mod doubts;
mod follow;
mod hide;
mod hints;
mod http;
mod interface;
mod overlay;
mod parse;
mod reader;
mod rules;
mod show;
mod site;
mod survive;
mod target;
mod tls;
mod tunnel;
mod types;
mod upstream;
mod values;

pub use address::{Address, Addresses};
pub use bans::Bans;
pub use change::Changes;
pub use follow::{Follow, Following, Found, Here, Own, Versions, best, is_of_link, version};
pub use hide::{AgentShown, Hide};
pub(crate) use rules::minute;
pub use show::show;
pub use survive::{Survive, SurviveAuth};
pub use target::{Hop, Host, Target};
pub use tls::{
    Certificate, ClientCertificate, ClientTls, KeyPair, Pin, ServerTls, TlsVersion, Verify,
};
pub use tunnel::{
    BearerChoice, End, Link, PORT as TUNNEL_PORT, Place, Proxy, ProxyAuth, PublicKey, Secret,
    Tunnel,
};
pub use types::*;

use std::collections::{BTreeMap, BTreeSet};

/// The commented reference file that `config init` writes.
pub const INIT: &str = include_str!("../configs/edge.toml");

/// What the file's meaning depends on besides its text.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `PORTREEVE__SECTION__KEY` variables, `PORTREEVE_DATA` and `RUNTIME_DIRECTORY` (all variables
    /// may be given; others are ignored).
    pub variables: BTreeMap<String, String>,
    /// Addresses of this machine's network devices, with prefix lengths.
    pub devices: BTreeMap<String, Vec<ipnet::IpNet>>,
    /// Those of them that are given up, and are taken where there is no other.
    pub deprecated: BTreeSet<std::net::IpAddr>,
    /// What it sends from by its default routes.
    pub routes: Found,
    /// `--set section.key=value` overrides from the command line, as `("media.ports", "…")`.
    pub overrides: Vec<(String, String)>,
}

impl Environment {
    /// Addresses alone.
    fn here(&self) -> Here<'_> {
        Here { devices: &self.devices, deprecated: &self.deprecated, routes: self.routes }
    }

    /// Folder for state and audit where neither the file nor an override names one.
    fn data(&self) -> Option<&str> {
        self.variables.get("PORTREEVE_DATA").map(String::as_str).filter(|d| !d.is_empty())
    }

    /// Variables that look as if they were ours and are read by nobody, a sentence each.
    #[must_use]
    pub fn strange_variables(&self) -> Vec<String> {
        hints::variables(self.variables.keys().map(String::as_str))
    }

    /// The folder that a service manager made for sockets (systemd.exec(5)); of several, the first.
    fn runtime_dir(&self) -> Option<&str> {
        let all = self.variables.get("RUNTIME_DIRECTORY")?;
        all.split(':').next().filter(|d| d.starts_with('/'))
    }
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
    pub fn parse(file: &str, text: &str, env: &Environment) -> Result<Self, Vec<Diagnostic>> {
        parse::parse(file, text, env)
    }
}

/// What records call a file's text by: SHA-256 in hex.
#[must_use]
pub fn hash(text: &str) -> String {
    parse::hash(text)
}

/// Where the gateway that runs from this file answers; `None`: nowhere. Nothing else of the file is
/// judged, so that a file which a reload would refuse still tells.
///
/// # Errors
/// What is wrong with `[http]` itself.
pub fn http_listener(
    file: &str,
    text: &str,
    env: &Environment,
) -> Result<Option<std::net::SocketAddr>, Vec<Diagnostic>> {
    http::http_listener(file, text, env)
}

/// Where the gateway that runs from this file may take commands, likeliest first; none: nowhere.
/// `data` is the state folder where nothing names one. Nothing else of the file is judged.
///
/// # Errors
/// What is wrong with `[control]` or `[state]`.
pub fn control_sockets(
    file: &str,
    text: &str,
    data: &str,
    env: &Environment,
) -> Result<Vec<String>, Vec<Diagnostic>> {
    control::control_sockets(file, text, data, env)
}

/// A duration as the file has it, with its unit: `500ms`, `30s`, `5m`, `2h`, `1d`.
#[must_use]
pub fn duration(text: &str) -> Option<std::time::Duration> {
    reader::parse_duration(text)
}

#[cfg(test)]
mod tests;
