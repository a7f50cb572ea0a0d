//! How things stand: what needs a hand, calls under way with what each party's audio is worth,
//! phones, upstreams, tunnels, places. At a site without a PBX also what to type into a phone.

use super::alerts::alerts;
use super::call::{ending, state};
use super::layout::{Column, table};
use super::snapshot::{Known, Snapshot};
use super::words::{leg, said, time_of, unknown};
use crate::daemon::{EndedCall, RegistrationRow, Report};
use crate::engine::{CallDetail, Health, Reach, UpstreamView};
use crate::ground::clock;
use maud::{Markup, html};

/// Calls that are over, on the first page.
const LAST: usize = 8;

pub(super) fn page(s: &Snapshot) -> Markup {
    html! {
        h1 { (headline(&s.report)) }
        (figures(&s.report))
        (hands(&s.report))
        h2 { "Calls" span.n { (s.calls.len() + s.more_calls) } }
        (calls(s))
        @if !s.ended.is_empty() {
            h2 { "The last calls" }
            (ended(s.ended.get(..LAST).unwrap_or(&s.ended)))
            p.more { a href="/last" data-key="calls" { "All " (s.ended.len()) " that are readable" } }
        }
        @if s.config.is_site() { (site(s)) }
        h2 { "Phones" span.n { (s.phones.len() + s.more_phones) } }
        (phones(s))
        @if !s.report.stats.upstreams.is_empty() {
            h2 { "Upstreams" }
            (upstreams(&s.report))
        }
        @if !s.report.tunnels.is_empty() {
            h2 { "Tunnels" }
            (tunnels(&s.report))
        }
        h2 { "Places" }
        (places(s))
    }
}

fn headline(r: &Report) -> String {
    let state = match (r.standing.is_still(), r.stats.now.draining) {
        (true, _) => "stands still",
        (false, true) => "is draining",
        (false, false) => "is running",
    };
    format!("{} {state}", said(&r.site))
}

fn figures(r: &Report) -> Markup {
    let now = &r.stats.now;
    let [early, confirmed] = now.calls;
    let worst = now.ports.iter().map(|p| (p.used + p.quarantined, p.free)).max();
    let (taken, free) = worst.unwrap_or_default();
    html! {
        dl.facts {
            div { dt { "Calls" } dd { (early + confirmed) " " small {
                "of " (r.calls_limit) ", " (early) " being set up" } } }
            div { dt { "Phones" } dd { (now.registrations) small { "registered" } } }
            div { dt { "Media ports" } dd { (taken) " " small { "in use or resting, " (free) " free" } } }
            div { dt { "Audit records" } dd { (r.audit[0]) small { "since the start" } } }
            div { dt { "Up" } dd { (clock(r.now.mono.0.as_secs())) small {
                "portreeve " (env!("CARGO_PKG_VERSION")) } } }
        }
    }
}

fn hands(r: &Report) -> Markup {
    let all = alerts(r);
    html! {
        @if all.is_empty() { p.soft { "Nothing needs a hand." } }
        @else {
            ul.alerts {
                @for a in all.iter().take(30) {
                    li.alarm[a.alarm] {
                        @if a.alarm { b { "Alarm:" } } (crate::ground::shown(&a.what)) " "
                        span.soft { (a.todo) }
                    }
                }
            }
            @if all.len() > 30 { p.more { "and " (all.len() - 30) " more" } }
        }
    }
}

fn link(no: crate::ground::CallNo) -> Markup {
    html! { a href=(format!("/calls/{no}")) data-key=(format!("call-{no}")) { (no) } }
}

fn audio(d: &CallDetail, caller: bool) -> Markup {
    let stream = d.streams.iter().find(|s| s.media == "audio");
    leg(stream.map(|s| if caller { &s.caller } else { &s.callee }))
}

fn calls(s: &Snapshot) -> Markup {
    if s.calls.is_empty() {
        return html! { p.soft { "No call is under way." } };
    }
    let columns = [
        Column("no", true),
        Column("from", false),
        Column("to", false),
        Column("state", false),
        Column("talk", true),
        Column("from the caller", false),
        Column("from the callee", false),
    ];
    let row = |c: &Known| {
        let v = &c.row.view;
        let silent = || unknown("the event loop does not answer");
        let of = |caller| c.detail.as_ref().map_or_else(silent, |d| audio(d, caller));
        let at = |caller: bool| {
            let d = c.detail.as_ref();
            let party = d.and_then(|d| if caller { Some(&d.caller) } else { d.callees.first() });
            html! { @if let Some(p) = party { small.mono { (p.address) } } }
        };
        vec![
            link(v.call),
            html! { (said(&v.from)) (at(true)) },
            html! { (said(&v.to)) (at(false)) },
            html! { (state(v.state)) small { (v.direction) } },
            html! { @match c.row.duration_ms {
                Some(ms) => (clock(ms / 1_000)),
                None => span.soft { "—" },
            } },
            of(true),
            of(false),
        ]
    };
    let rows: Vec<Vec<Markup>> = s.calls.iter().map(row).collect();
    table(&columns, &rows, s.more_calls)
}

/// Calls that are over.
pub(super) fn ended(all: &[std::sync::Arc<EndedCall>]) -> Markup {
    let columns = [
        Column("no", true),
        Column("from", false),
        Column("to", false),
        Column("when", false),
        Column("how", false),
        Column("talk", true),
        Column("from the caller", false),
        Column("from the callee", false),
        Column("findings", false),
    ];
    let row = |c: &std::sync::Arc<EndedCall>| {
        let (d, v) = (&c.detail, &c.detail.row.view);
        let found: Vec<&str> = d.findings.iter().map(|f| super::words::finding(*f).0).collect();
        let measured = |caller| html! { @if d.streams.is_empty() { span.soft { "—" } } @else { (audio(d, caller)) } };
        vec![
            link(v.call),
            html! { (said(&v.from)) },
            html! { (said(&v.to)) },
            time_of(c.ended),
            html! { (ending(c)) },
            html! { @match d.row.duration_ms {
                Some(ms) => (clock(ms / 1_000)),
                None => span.soft { "—" },
            } },
            measured(true),
            measured(false),
            html! { @if found.is_empty() { span.soft { "none" } }
            @else { span.bad { (found.join("; ")) } } },
        ]
    };
    let rows: Vec<Vec<Markup>> = all.iter().map(row).collect();
    table(&columns, &rows, 0)
}

fn phones(s: &Snapshot) -> Markup {
    if s.phones.is_empty() {
        return html! { p.soft { "No phone is registered." } };
    }
    let columns = [
        Column("user", false),
        Column("make", false),
        Column("address", false),
        Column("since", false),
        Column("ends in", true),
        Column("reached", false),
    ];
    let row = |p: &RegistrationRow| {
        let (user, domain) = p.user.split_once('@').unwrap_or((&p.user, ""));
        vec![
            html! { b { (said(user)) } small { (said(domain)) } },
            match &p.agent {
                Some(agent) => html! { span.long { (said(agent)) } },
                None => unknown("not said since the start"),
            },
            html! { span.mono { (p.address) } small { (p.transport) ", granted by " (said(&p.registrar)) } },
            match p.since {
                Some(since) => time_of(since),
                None => html! { span.soft { "before the start" } },
            },
            html! { (clock(p.expires_s)) },
            match p.reach {
                Reach::Registered => html! { "by datagrams" },
                Reach::Connected => html! { "by its connection" },
                Reach::Unknown => unknown("its connection is closed"),
                Reach::Gone => html! { span.bad { "gone: it has to come again" } },
            },
        ]
    };
    let rows: Vec<Vec<Markup>> = s.phones.iter().map(row).collect();
    table(&columns, &rows, s.more_phones)
}

fn upstreams(r: &Report) -> Markup {
    let columns = [
        Column("name", false),
        Column("address", false),
        Column("state", false),
        Column("for", true),
        Column("why", false),
    ];
    let still = r.standing.is_still();
    let row = |u: &UpstreamView| {
        let state = match u.health {
            _ if still => unknown("the event loop stands still"),
            Health::Up => html! { "up" },
            Health::Down => html! { span.bad { "down" } },
            Health::Unknown => unknown("not probed"),
        };
        let for_s = u.since.map(|since| clock(since.elapsed(r.now).as_secs()));
        vec![
            html! { b { (said(&u.name)) } },
            html! { @for t in u.targets.iter().take(4) { span.mono { (t.address) } " " (t.transport) " " } },
            state,
            html! { (for_s.unwrap_or_default()) },
            html! { span.long { (said(&u.why)) } },
        ]
    };
    let rows: Vec<Vec<Markup>> = r.stats.upstreams.iter().take(64).map(row).collect();
    table(&columns, &rows, r.stats.upstreams.len().saturating_sub(64))
}

fn tunnels(r: &Report) -> Markup {
    let columns = [
        Column("name", false),
        Column("bearer", false),
        Column("there and back", true),
        Column("lost of what we sent", true),
        Column("cuts", true),
    ];
    let row = |t: &crate::daemon::TunnelView| {
        vec![
            html! { b { (said(&t.name)) } small { "site " (said(&t.site)) } },
            match t.bearer {
                Some((kind, peer)) => html! { (kind.as_str()) small.mono { (peer) } },
                None => html! { span.bad { "down" } small { (said(&t.why)) } },
            },
            match t.trip.filter(|_| t.bearer.is_some()) {
                Some(trip) => html! { (format!("{:.1} ms", trip.as_secs_f64() * 1_000.0)) },
                None => unknown(""),
            },
            match t.sent {
                Some((sent, lost)) => html! { (super::words::loss(lost, sent)) },
                None => unknown(""),
            },
            html! { (t.connections.saturating_sub(1)) },
        ]
    };
    let rows: Vec<Vec<Markup>> = r.tunnels.iter().take(64).map(row).collect();
    table(&columns, &rows, r.tunnels.len().saturating_sub(64))
}

fn places(s: &Snapshot) -> Markup {
    let ports = s.report.stats.now.ports;
    let columns = [
        Column("table", false),
        Column("used", true),
        Column("of", true),
        Column("reserve", true),
        Column("who holds most", false),
    ];
    let row = |v: &crate::policy::quota::ShareView| {
        vec![
            html! { (v.resource.as_str().replace('_', " ")) },
            html! { (v.used) },
            html! { (v.total) },
            html! { (v.reserve) },
            html! { @match &v.fullest {
                Some((who, n)) => { (said(who)) " (" (n) ")" }
                None => span.soft { "—" },
            } },
        ]
    };
    let rows: Vec<Vec<Markup>> = s.shares.iter().map(row).collect();
    html! {
        p {
            @for (side, p) in crate::ground::Side::ALL.iter().zip(ports) {
                "Media ports " (side) ": " (p.used) " used, " (p.quarantined) " resting, " (p.free) " free. "
            }
        }
        @if rows.is_empty() { p { (unknown("the event loop does not answer")) } }
        @else {
            details #shares { summary { "Who holds how much of every table" } (table(&columns, &rows, 0)) }
        }
    }
}

/// What to type into a phone. The password stands in a file: a cookie knows no ports, so that who
/// takes one from a browser would read it here.
fn site(s: &Snapshot) -> Markup {
    let Some(i) = s.config.interfaces.first() else { return html! {} };
    let port = i.listen.first().map_or(5060, |l| l.port);
    let ip = i.addresses.first().map(|a| a.advertised().to_string()).unwrap_or_default();
    html! {
        h2 { "A new phone" }
        dl.pairs {
            dt { "server, outbound proxy" }
            dd { code { (ip) @if port != 5060 { ":" (port) } } }
            dt { "user" } dd { "any extension of 2 to 6 digits, as 101" }
            dt { "password" }
            dd {
                @match (&s.config.registrar.users_file, &s.config.registrar.password_file) {
                    (Some(file), _) => { "each user's own (" code { (file) } ")" }
                    (None, Some(file)) => { "in " code { (file) } }
                    (None, None) => "none is asked for",
                }
            }
        }
    }
}
