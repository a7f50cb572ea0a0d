//! `tunnel keygen`: this gateway's key for its tunnels, made once; what it prints is for the other
//! end. `tunnel status`: how the tunnels of the running gateway stand.

use super::control::{self, list, number, text};
use super::table::{clock, shown};
use super::{ControlArgs, exit};
use crate::driver::tunnel::{KEY_FILE, key};
use serde_json::Value;
use std::fmt::Write as _;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// Where state is, when neither an option nor a variable says.
const DATA: &str = "/var/lib/portreeve";

pub(super) fn keygen(file: Option<PathBuf>, data: Option<PathBuf>) -> u8 {
    let data = data.or_else(|| std::env::var_os("PORTREEVE_DATA").map(PathBuf::from));
    let file = file.unwrap_or_else(|| data.unwrap_or_else(|| DATA.into()).join(KEY_FILE));
    match made(&file) {
        Ok((public, new)) => {
            println!("{public}");
            let what = if new { "made, mode 0600" } else { "is there already, and is kept" };
            eprintln!("{}: {what}", file.display());
            eprintln!(
                "The line above is its public key. Give it to the other end: a site's stands at \
                 the head office in\n[[peer]] (name, key), the head office's at the site in \
                 [[interface]] (peer_key)."
            );
            0
        }
        Err(what) => {
            eprintln!("{what}");
            exit::NO
        }
    }
}

fn made(file: &Path) -> Result<(crate::config::PublicKey, bool), String> {
    if file.exists() {
        return Ok((key::read(file)?.public(), false));
    }
    if let Some(folder) = file.parent().filter(|f| !f.as_os_str().is_empty()) {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|e| format!("{}: {e}", folder.display()))?;
    }
    Ok((key::make(file)?, true))
}

/// `tunnel status`.
pub(super) fn status(args: &ControlArgs) -> u8 {
    control::show(args, "/status", |v| print!("{}", screen(v)))
}

fn screen(v: &Value) -> String {
    let all = list(v, "/tunnels");
    if all.is_empty() {
        return "no interface is a tunnel (link = \"tunnel\")\n".to_owned();
    }
    let mut out = String::new();
    for t in all {
        let (name, site) = (shown(text(t, "/name")), shown(text(t, "/site")));
        let _ = writeln!(out, "{name}   {} of site {site}   {}", text(t, "/end"), stands(t));
        let ahead = match t.get("clock_ahead_ms").and_then(Value::as_i64) {
            None => String::new(),
            Some(ms @ -500..=500) => format!(", clocks differ by {} ms", ms.abs()),
            Some(ms) => {
                let way = if ms > 0 { "AHEAD" } else { "BEHIND" };
                format!(", clock of the other end {} s {way}", ms.unsigned_abs() / 1_000)
            }
        };
        let trip = time(t, "/round_trip_us").unwrap_or_else(|| "not known".to_owned());
        let jitter = time(t, "/jitter_us").map_or_else(String::new, |j| format!(", jitter {j}"));
        let _ = writeln!(out, "  way            {}", shown(text(t, "/way")));
        let _ = writeln!(out, "  there and back {trip}{jitter}{ahead}");
        let (gone, back) = (lost(t, "/packets_out"), lost(t, "/packets_in"));
        let _ = writeln!(out, "  lost           out {gone}, in {back}");
        let n = |at: &str| number(t, at);
        let _ = writeln!(
            out,
            "  carried        {} octets out, {} in, by {} connections; moved {} times to another \
             address, {} to another bearer",
            n("/octets_out"),
            n("/octets_in"),
            n("/connections"),
            n("/moves/address"),
            n("/moves/bearer")
        );
        let _ = writeln!(
            out,
            "  media          {} sent, {} received, {} sent by a stream, {} for no port, {} lost \
             here, {} too old to send",
            n("/media/sent"),
            n("/media/received"),
            n("/media/long"),
            n("/media/astray"),
            n("/media/lost"),
            n("/media/late")
        );
    }
    out
}

/// One line of `status`.
pub(super) fn line(t: &Value) -> String {
    let mut out = format!("{}   {}", shown(text(t, "/name")), stands(t));
    if t.get("up").and_then(Value::as_bool) == Some(true) {
        let trip = time(t, "/round_trip_us").unwrap_or_else(|| "not known how far".to_owned());
        let (gone, back) = (lost(t, "/packets_out"), lost(t, "/packets_in"));
        let _ = write!(out, "   {trip}, lost out {gone}, in {back}");
    }
    out
}

fn stands(t: &Value) -> String {
    let lasts = clock(number(t, "/for_s"));
    match t.get("up").and_then(Value::as_bool) {
        None => "not known".to_owned(),
        Some(true) => format!("up for {lasts} by {} to {}", text(t, "/bearer"), text(t, "/peer")),
        Some(false) => format!("DOWN for {lasts}: {}", shown(text(t, "/why"))),
    }
}

fn time(t: &Value, at: &str) -> Option<String> {
    let micros = t.pointer(at).and_then(Value::as_u64)?;
    Some(format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100))
}

fn lost(t: &Value, at: &str) -> String {
    let Some(packets) = t.pointer(at).filter(|p| !p.is_null()) else {
        return "not known".to_owned();
    };
    let [sent, lost] = ["/sent", "/lost"].map(|n| number(packets, n));
    let tenths = lost.saturating_mul(1_000).checked_div(sent).unwrap_or_default();
    format!("{lost} of {sent} packets ({}.{} %)", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_tunnel_says_how_it_stands_and_what_nobody_knows_is_not_shown_as_good() {
        let up = json!({
            "name": "office", "site": "berlin", "end": "site", "up": true, "bearer": "quic",
            "peer": "192.0.2.1:443", "for_s": 65, "why": "", "round_trip_us": 36_470,
            "jitter_us": 2_100, "clock_ahead_ms": -7_400,
            "packets_out": { "sent": 2_000, "lost": 31 }, "packets_in": null,
            "octets_out": 5, "octets_in": 6, "connections": 2,
            "moves": { "address": 1, "bearer": 3 },
            "media": { "sent": 1, "received": 2, "long": 3, "astray": 4, "lost": 5, "late": 6 },
        });
        let down = json!({
            "name": "mu\u{1b}nich", "site": "munich", "end": "head office", "up": false,
            "for_s": 5, "why": "nobody has called yet", "way": "at [::]:443 (udp, tcp)",
        });
        let told = screen(&json!({ "tunnels": [up, down] }));
        for want in [
            "office   site of site berlin   up for 1:05 by quic to 192.0.2.1:443\n",
            "there and back 36.4 ms, jitter 2.1 ms, clock of the other end 7 s BEHIND\n",
            "lost           out 31 of 2000 packets (1.5 %), in not known\n",
            "moved 1 times to another address, 3 to another bearer\n",
            "1 sent, 2 received, 3 sent by a stream, 4 for no port, 5 lost here, 6 too old",
            "mu\\u{1b}nich   head office of site munich   DOWN for 0:05: nobody has called yet\n",
            "  way            at [::]:443 (udp, tcp)\n",
            "there and back not known\n",
        ] {
            assert!(told.contains(want), "{want} in\n{told}");
        }
        assert_eq!(
            line(&up),
            "office   up for 1:05 by quic to 192.0.2.1:443   36.4 ms, lost out 31 of 2000 packets \
             (1.5 %), in not known"
        );
        assert!(line(&down).ends_with("DOWN for 0:05: nobody has called yet"), "{}", line(&down));
        assert!(screen(&json!({})).contains("no interface is a tunnel"));
    }
}
