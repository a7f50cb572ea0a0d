//! The book: who was refused what and why, the audit log, certificates, the configuration in force.
//! Secrets stand in files that the configuration only names.

use super::layout::{Column, table};
use super::snapshot::Snapshot;
use super::words::{said, time, time_of, unknown};
use crate::config;
use crate::daemon::{Refusal, Report};
use crate::engine::stats::CertificateView;
use crate::ground::Wall;
use maud::{Markup, html};
use std::sync::Arc;
use std::time::Duration;

pub(super) fn page(s: &Snapshot, source: &str) -> Markup {
    html! {
        h1 { "The book" }
        p.soft { "What was refused since the start, and by which rule; what is written down; what \
            is in force." }
        h2 { "Refused" span.n { (s.refusals.len()) } }
        (refusals(&s.refusals))
        h2 { "Audit log" }
        (audit(s))
        h2 { "Certificates" }
        (certificates(&s.report))
        h2 { "Configuration" }
        (configuration(s, source))
    }
}

fn refusals(all: &[Arc<Refusal>]) -> Markup {
    if all.is_empty() {
        return html! { p.soft { "Nothing was refused since the start." } };
    }
    let columns = [
        Column("when", false),
        Column("what", false),
        Column("who", false),
        Column("to", false),
        Column("rule", false),
        Column("why", false),
        Column("from", false),
    ];
    let row = |r: &Arc<Refusal>| {
        let or_none = |text: &str| html! { @if text.is_empty() { span.soft { "—" } } @else { span.long { (said(text)) } } };
        vec![
            time(Wall(Duration::from_millis(r.at_ms))),
            html! { (said(&r.what)) },
            or_none(&r.who),
            or_none(&r.to),
            or_none(&r.rule),
            html! { span.long { (said(&r.why)) } },
            html! { span.mono { @if let Some(at) = r.source { (at) } @else { "several" } } },
        ]
    };
    let rows: Vec<Vec<Markup>> = all.iter().map(row).collect();
    table(&columns, &rows, 0)
}

fn audit(s: &Snapshot) -> Markup {
    let [records, failures, suppressed, full] = s.report.audit;
    let Some(dir) = &s.config.audit.dir else {
        return html! { p { "There is none: " code { "[audit] dir" } " names no folder." } };
    };
    html! {
        dl.pairs {
            dt { "folder" } dd.mono { (said(dir)) }
            dt { "records" } dd { (records) " since the start, " (suppressed) " in sums" }
            dt { "failed writes" } dd { (failures) }
            dt { "volume" } dd { @if full == 1 { span.bad { "FULL: it takes no records" } } @else { "takes records" } }
            dt { "chain" } dd {
                (unknown("the page does not recompute it")) " "
                code { "portreeve audit verify " (said(dir)) } " does"
            }
        }
    }
}

fn certificates(r: &Report) -> Markup {
    if r.stats.certificates.is_empty() {
        return html! { p.soft { "None is in use." } };
    }
    let columns = [
        Column("of", false),
        Column("names", false),
        Column("days left", true),
        Column("until", false),
        Column("fingerprint", false),
    ];
    let now = r.now.wall.seconds();
    let row = |c: &CertificateView| {
        let days = c.days(now);
        vec![
            html! { b { (said(&c.name)) } small { (c.of.as_str()) } },
            html! { (said(&c.names)) },
            html! { @if days < 0 { span.bad { "ended " (-days) " days ago" } }
            @else { span.bad[days < 21] { (days) } } },
            time_of(c.until),
            html! { span.mono { (said(&c.fingerprint)) } },
        ]
    };
    let rows: Vec<Vec<Markup>> = r.stats.certificates.iter().take(100).map(row).collect();
    table(&columns, &rows, r.stats.certificates.len().saturating_sub(100))
}

fn configuration(s: &Snapshot, source: &str) -> Markup {
    let hash: String = s.report.hash.chars().take(12).collect();
    let [applied, unchanged, refused] = s.report.reloads.counts;
    html! {
        dl.pairs {
            dt { "from" } dd.mono { (said(source)) }
            dt { "hash" } dd.mono { @if hash.is_empty() { "—" } @else { (hash) } }
            dt { "taken" } dd { (time(s.report.reloads.success)) }
            dt { "reloads" } dd { (applied) " applied, " (unchanged) " without news, " (refused) " refused" }
        }
        details #configuration {
            summary { "Every value in force" }
            pre tabindex="0" { (config::show(&s.config)) }
        }
    }
}
