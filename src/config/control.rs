//! `[control]`: the socket at which the running gateway takes commands, read with the rest of the
//! file or by itself. It opens nothing.

use super::parse::section;
use super::reader::{Section, Source};
use super::{Diagnostic, Environment, overlay};
use toml::de::DeTable;

/// Longest path of a unix socket, its closing NUL counted (unix(7)).
const LONGEST: usize = 108;
const NAME: &str = "control.sock";
/// Where the shipped service keeps it.
const SERVICE: &str = "/run/portreeve/control.sock";

/// What `control.socket` says.
enum Wanted {
    /// Nothing.
    Usual,
    Off,
    At(String),
}

/// The path to listen at; `None`: off.
pub(super) fn control(
    top: &mut Section<'_, '_>,
    state_dir: &str,
    env: &Environment,
    src: &mut Source<'_>,
) -> Option<String> {
    match wanted(top, src) {
        Wanted::Off => None,
        Wanted::At(path) => Some(path),
        Wanted::Usual => Some(env.runtime_dir().map_or_else(|| beside(state_dir), beside)),
    }
}

fn wanted(top: &mut Section<'_, '_>, src: &mut Source<'_>) -> Wanted {
    let read = section(top, "control", "[control]", src, |s, src| {
        let text = s.string("socket", src)?;
        if text.is_empty() || text.len() >= LONGEST {
            let what = format!("`socket` is no path of 1 to {} octets", LONGEST - 1);
            let hint = Some("the kernel takes no longer ones: \"/run/portreeve.sock\"".to_owned());
            src.fault("control-socket", s.span_of("socket"), what, hint);
        }
        Some(if text == "off" { Wanted::Off } else { Wanted::At(text) })
    });
    read.flatten().unwrap_or(Wanted::Usual)
}

fn beside(dir: &str) -> String {
    format!("{}/{NAME}", dir.trim_end_matches('/'))
}

/// The paths to try, likeliest first; none: it is off. Nothing else of the file is judged. `data`:
/// the state folder where neither the file nor the environment names one.
pub(super) fn control_sockets(
    file: &str,
    text: &str,
    data: &str,
    env: &Environment,
) -> Result<Vec<String>, Vec<Diagnostic>> {
    let mut overrides = overlay::collect(env);
    overrides.retain(|o| o.path.first().is_some_and(|s| s == "control" || s == "state"));
    let merged = overlay::merge(text, &overrides)?;
    let (root, _) = DeTable::parse_recoverable(&merged);
    let mut src = Source { file, text: &merged, faults: Vec::new() };
    let mut top = Section::new("the configuration", root.get_ref(), 0..0);
    let wanted = wanted(&mut top, &mut src);
    let state = section(&mut top, "state", "[state]", &mut src, |s, src| s.string("dir", src));
    if !src.faults.is_empty() {
        return Err(src.faults);
    }
    let state = state.flatten();
    let state = state.as_deref().or(env.data()).unwrap_or(data);
    Ok(match wanted {
        Wanted::Off => Vec::new(),
        Wanted::At(path) => vec![path],
        Wanted::Usual => {
            let mut all: Vec<String> = env.runtime_dir().map(beside).into_iter().collect();
            all.extend([beside(state), SERVICE.to_owned()]);
            all.dedup();
            all
        }
    })
}
