//! The call as a ladder: what each phone sent and received, in time, with the gateway between.

use super::phone::Seen;
use super::voice::Heard;
use std::fmt::Write as _;
use std::time::Instant;

/// Columns between two lifelines.
const WIDTH: usize = 19;

/// Draws what both phones saw, and what was measured.
pub(crate) fn draw(users: [&str; 2], seen: &[Seen], heard: [Heard; 2], seconds: f64) -> String {
    let mut out = String::new();
    let pad = " ".repeat(WIDTH.saturating_sub(5));
    let _ = writeln!(out, "     {}{pad}gateway{pad}{}", users[0], users[1]);
    let mut all: Vec<&Seen> = seen.iter().collect();
    all.sort_by_key(|s| s.at);
    let Some(start) = all.first().map(|s| s.at) else { return out };
    let mut drawn_media = false;
    for s in all {
        if s.what == "BYE" && !drawn_media {
            drawn_media = true;
            media(&mut out, heard, seconds);
        }
        row(&mut out, s, start);
    }
    out
}

fn row(out: &mut String, s: &Seen, start: Instant) {
    let right = (s.phone == 0) == s.sent;
    let name: String = s.what.chars().take(WIDTH - 6).collect();
    let line = "─".repeat(WIDTH - 5 - name.chars().count());
    let arrow =
        if right { format!("── {name} {line}▶") } else { format!("◀── {name} {line}") };
    let blank = " ".repeat(WIDTH);
    let (left, other) = if s.phone == 0 { (arrow, blank) } else { (blank, arrow) };
    let at = s.at.duration_since(start).as_secs_f64();
    let _ = writeln!(out, "      │{left}│{other}│  {at:.3}");
}

fn media(out: &mut String, heard: [Heard; 2], seconds: f64) {
    let bar = "━".repeat(WIDTH / 2 - 2);
    let line = format!("┝{bar} RTP {bar}┿{bar} RTP {bar}┥");
    let loss = |h: Heard| {
        let all = f64::from(h.packets + h.lost);
        if h.packets == 0 {
            "unmeasured".to_owned()
        } else {
            format!("{:.1} %", f64::from(h.lost) * 100.0 / all)
        }
    };
    let _ = writeln!(
        out,
        "      {line}  {seconds:.1} s   packets {} / {}   loss {} / {}   jitter {:.1} / {:.1} ms",
        heard[0].packets,
        heard[1].packets,
        loss(heard[0]),
        loss(heard[1]),
        f64::from(heard[0].jitter_us) / 1000.0,
        f64::from(heard[1].jitter_us) / 1000.0
    );
}
