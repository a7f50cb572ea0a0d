//! Conventions of the table, its bound, and the page that is written from it.

use super::*;
use Values::{Build, Names, Rules, Tunnels, Upstreams};
use std::collections::BTreeSet;
use std::fmt::Write;

#[test]
fn names_follow_the_conventions_of_prometheus() {
    let names: BTreeSet<_> = all().map(|f| f.name).collect();
    assert_eq!(names.len(), all().count());
    for f in all() {
        assert_eq!(f.kind == Type::Counter, f.name.ends_with("_total"), "{}", f.name);
        assert!(f.name.starts_with("portreeve_") || f.name.starts_with("process_"), "{}", f.name);
        assert!(f.help.ends_with('.') && !f.help.contains("  "), "{}", f.name);
        // A gauge and a counter must not share a stem: OpenMetrics forbids it.
        if let Some(stem) = f.name.strip_suffix("_total") {
            assert!(!names.contains(stem), "{stem}");
        }
        if let Type::Histogram(bounds) = f.kind {
            assert!(bounds.is_sorted() && bounds.len() <= 12, "{}", f.name);
        }
        for (label, _) in f.labels {
            let identity = ["user", "from", "to", "call_id", "ip", "address", "source"];
            assert!(!identity.contains(label), "{}: {label}", f.name);
        }
    }
}

#[test]
fn a_scrape_is_bounded() {
    let most: usize = all().map(Family::most_series).sum();
    assert!(most <= MOST_SERIES, "{most} series");
    assert!(most > MOST_SERIES - 100, "{most} series: lower the bound");
}

/// The page. `PORTREEVE_WRITE_DOCS=1 cargo test metrics_page` writes it.
fn page() -> String {
    let mut out = String::from(
        "# Metrics\n\nWritten from `src/admin/catalogue.rs`; a test keeps both alike \
         (`PORTREEVE_WRITE_DOCS=1 cargo test metrics_page` writes this page anew).\n\nServed at \
         `http://127.0.0.1:8060/metrics` (`http.listen`) as text 0.0.4. Every series is there from \
         the start with 0, except those that would claim something unknown. No label holds an \
         address, a user or a Call-ID; ",
    );
    let most: usize = all().map(Family::most_series).sum();
    let _ = write!(out, "a scrape has at most {most} series.\n\n");
    out.push_str("| metric | type | labels | meaning |\n|---|---|---|---|\n");
    for f in all() {
        let kind = match f.kind {
            Type::Counter => "counter".to_owned(),
            Type::Gauge => "gauge".to_owned(),
            Type::Histogram(bounds) => {
                let bounds: Vec<String> = bounds.iter().map(ToString::to_string).collect();
                format!("histogram: {}", bounds.join(" "))
            }
        };
        let label = |(name, values): &(&str, Values)| match values {
            Closed(all) => format!("`{name}`: {}", all.join(" ")),
            Rules => format!("`{name}`: names in the file, `default:…`, `other`"),
            Upstreams => format!("`{name}`: names in the file"),
            Tunnels => format!("`{name}`: names in the file"),
            Names => format!("`{name}`: names in the file"),
            Build => format!("`{name}`"),
        };
        let labels: Vec<String> = f.labels.iter().map(label).collect();
        let _ = writeln!(out, "| `{}` | {kind} | {} | {} |", f.name, labels.join("; "), f.help);
    }
    out.push_str(
        "\n## How to read them\n\n\
         - Attempts = `portreeve_calls_total{outcome!~\"denied|redirected|rerouted\"}`: what our own policy \
         refused must not look like a bad trunk.\n\
         - ASR (ITU-T E.411) = answered / attempts. RFC 6076 SER is the same here, for challenges \
         (401, 407) are never counted.\n\
         - NER (E.425) = answered, busy, no_answer, declined, cancelled / attempts.\n\
         - SEER (RFC 6076 §4.7) = answered, busy, no_answer, declined / attempts. ISA (§4.8) = \
         failed, timeout / attempts.\n\
         - SRD, PDD = `portreeve_post_dial_delay_seconds`; SDD = \
         `portreeve_disconnect_delay_seconds`; SDT = `portreeve_call_duration_seconds`; RRD = \
         `portreeve_registration_delay_seconds`.\n\
         - Poor speech = windows at or below MOS 3.6: \
         `rate(portreeve_media_mos_bucket{le=\"3.6\"}[10m]) / rate(portreeve_media_mos_count[10m])` \
         by `side`: the side names whose network is at fault.\n",
    );
    out
}

#[test]
fn metrics_page_is_the_catalogue() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/METRICS.md");
    if std::env::var_os("PORTREEVE_WRITE_DOCS").is_some() {
        std::fs::write(file, page()).unwrap();
    }
    let written = std::fs::read_to_string(file).unwrap_or_default();
    assert!(
        written == page(),
        "docs/METRICS.md is old: PORTREEVE_WRITE_DOCS=1 cargo test metrics_page"
    );
}
