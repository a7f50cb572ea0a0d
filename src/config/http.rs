//! `[http]`: where the running gateway answers, read with the rest of the file or by itself.

use super::parse::section;
use super::reader::{Section, Source};
use super::{Diagnostic, Environment, overlay};
use std::net::SocketAddr;
use toml::de::DeTable;

/// Where it listens, and whether the page is there.
pub(super) fn http(top: &mut Section<'_, '_>, src: &mut Source<'_>) -> (Option<SocketAddr>, bool) {
    let mut page = true;
    let usual = SocketAddr::from(([127, 0, 0, 1], 8060));
    let read = section(top, "http", "[http]", src, |s, src| {
        match s.string("page", src).as_deref() {
            None | Some("on") => {}
            Some("off") => page = false,
            Some(other) => {
                let what = format!("`page` is \"{other}\"");
                let hint = Some("\"on\" or \"off\"".to_owned());
                src.fault("http-page", s.span_of("page"), what, hint);
            }
        }
        let text = s.string("listen", src)?;
        if text == "off" {
            return Some(None);
        }
        let address = text.parse::<SocketAddr>().ok();
        match address {
            Some(a) if a.ip().is_loopback() => Some(Some(a)),
            Some(_) | None => {
                let what = format!("\"{text}\" is no loopback address with port");
                let hint = Some("metrics and health stay on loopback: \"127.0.0.1:8060\"".into());
                src.fault("http-listen", s.span_of("listen"), what, hint);
                None
            }
        }
    });
    (read.flatten().unwrap_or(Some(usual)), page)
}

/// The listener alone: nothing else of the file is judged.
pub(super) fn http_listener(
    file: &str,
    text: &str,
    env: &Environment,
) -> Result<Option<SocketAddr>, Vec<Diagnostic>> {
    let mut overrides = overlay::collect(env);
    overrides.retain(|o| o.path.first().is_some_and(|s| s == "http"));
    let merged = overlay::merge(text, &overrides)?;
    let (root, _) = DeTable::parse_recoverable(&merged);
    let mut src = Source { file, text: &merged, faults: Vec::new() };
    let (at, _) = http(&mut Section::new("the configuration", root.get_ref(), 0..0), &mut src);
    if src.faults.is_empty() { Ok(at) } else { Err(src.faults) }
}
