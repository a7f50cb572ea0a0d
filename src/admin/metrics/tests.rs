//! The rendered text is the catalogue, series for series.

use super::*;
use crate::admin::catalogue::Values;
use crate::daemon::{Observed, STILL, Standing, TunnelView};
use crate::engine::stats::{CertificateOf, CertificateView};
use crate::engine::{Health, Observation, UpstreamView};
use crate::ground::{Bearer, CallDirection, Wall};
use crate::relay::quality::Figures;
use std::collections::BTreeSet;
use std::time::Duration;

/// Every label set of closed labels; none where a label is open.
fn label_sets(labels: &[(&'static str, Values)]) -> Vec<String> {
    let mut sets = vec![String::new()];
    for (name, values) in labels {
        let Values::Closed(words) = values else { return Vec::new() };
        let with = |set: &String, word: &str| match set.as_str() {
            "" => format!("{name}=\"{word}\""),
            set => format!("{set},{name}=\"{word}\""),
        };
        sets = sets.iter().flat_map(|s| words.iter().map(move |w| with(s, w))).collect();
    }
    sets
}

/// `name{labels}` of every sample, buckets left out.
fn series(text: &str) -> BTreeSet<String> {
    let samples = text.lines().filter(|l| !l.starts_with('#') && !l.is_empty());
    let key = |l: &str| l.rsplit_once(' ').map(|(key, _)| key.to_owned()).unwrap();
    samples.map(key).filter(|k| !k.contains("_bucket{")).collect()
}

fn of_catalogue() -> BTreeSet<String> {
    let mut want = BTreeSet::new();
    for family in catalogue::all() {
        for set in label_sets(family.labels) {
            let braces = if set.is_empty() { String::new() } else { format!("{{{set}}}") };
            match family.kind {
                Type::Counter | Type::Gauge => want.insert(format!("{}{braces}", family.name)),
                Type::Histogram(_) => {
                    want.insert(format!("{}_sum{braces}", family.name));
                    want.insert(format!("{}_count{braces}", family.name))
                }
            };
        }
    }
    want.insert(format!("portreeve_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION")));
    want
}

#[test]
fn every_series_is_there_from_the_start_and_none_besides() {
    assert_eq!(series(&Metrics::new().render(&Report::default())), of_catalogue());
}

#[test]
fn cpu_time_is_written_in_hundredths_of_a_second() {
    let head = "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total ";
    let written = |n: &str| with_cpu_in_seconds(format!("{head}{n}\nx 1\n"));
    assert_eq!(written("1205"), format!("{head}12.05\nx 1\n"));
    assert_eq!(written("7"), format!("{head}0.07\nx 1\n"));
    assert_eq!(with_cpu_in_seconds("x 1\n".to_owned()), "x 1\n");
    let text = Metrics::new().render(&Report::default());
    let line = text.lines().find_map(|l| l.strip_prefix("process_cpu_seconds_total ")).unwrap();
    assert!(line.contains('.') && line.parse::<f64>().is_ok(), "{line}");
}

#[test]
fn histograms_have_the_bounds_of_the_catalogue() {
    let text = Metrics::new().render(&Report::default());
    for family in catalogue::all() {
        let Type::Histogram(bounds) = family.kind else { continue };
        let start = format!("{}_bucket", family.name);
        let lines = text.lines().filter(|l| l.starts_with(&start)).count();
        assert_eq!(lines % (bounds.len() + 1), 0, "{}", family.name);
        assert!(lines > 0, "{}", family.name);
        assert!(text.contains(&format!("# TYPE {} histogram", family.name)));
    }
}

#[test]
fn an_observation_lands_in_its_bucket() {
    let metrics = Metrics::new();
    let observe = metrics.observer();
    let delay = Duration::from_millis(300);
    observe(&Observed::Engine(Observation::PostDialDelay {
        direction: CallDirection::Outbound,
        delay,
    }));
    let window = Box::new(Figures { received: 450, expected: 500, lost: 50, ..Figures::default() });
    observe(&Observed::Engine(Observation::Media { side: Side::Outside, window }));
    let text = metrics.render(&Report::default());
    let name = "portreeve_post_dial_delay_seconds_bucket{direction=\"outbound\",le=";
    for (le, n) in [("0.25", 0), ("0.5", 1), ("+Inf", 1)] {
        assert!(text.contains(&format!("{name}\"{le}\"}} {n}\n")), "{le}: {text}");
    }
    let loss = "portreeve_media_loss_ratio_bucket{side=\"outside\",le=";
    assert!(text.contains(&format!("{loss}\"0.05\"}} 0\n")), "{text}");
    assert!(text.contains(&format!("{loss}\"0.1\"}} 1\n")), "{text}");
    // What was not measured leaves no sample: neither a good one nor a bad one.
    for name in ["media_mos", "media_r_factor", "media_jitter_seconds", "media_round_trip_seconds"]
    {
        assert!(
            text.contains(&format!("portreeve_{name}_count{{side=\"outside\"}} 0\n")),
            "{name}"
        );
    }
}

#[test]
fn an_upstream_that_was_never_probed_is_not_said_to_be_up() {
    let mut report = Report::default();
    let pbx = |health, probes| {
        let (name, why) = ("pbx".to_owned(), String::new());
        vec![UpstreamView {
            name,
            targets: Vec::new(),
            stale: false,
            health,
            since: None,
            why,
            probes,
            alone: None,
            seen_as: None,
        }]
    };
    report.stats.upstreams = pbx(Health::Unknown, [0; 2]);
    let metrics = Metrics::new();
    assert!(!metrics.render(&report).contains("portreeve_upstream_up{"));
    report.stats.upstreams = pbx(Health::Down, [0, 1]);
    let text = metrics.render(&report);
    assert!(text.contains("portreeve_upstream_up{upstream=\"pbx\"} 0\n"));
    let probes = "portreeve_upstream_probes_total{upstream=\"pbx\",result=\"unanswered\"} 1\n";
    assert!(text.contains(probes), "{text}");
    report.stats.upstreams = pbx(Health::Unknown, [0, 1]);
    let text = metrics.render(&report);
    assert!(!text.contains("portreeve_upstream_up{"), "nothing is known any more: {text}");
    assert!(text.contains(probes) && text.contains("portreeve_draining 0\n"), "{text}");
}

#[test]
fn a_loop_that_stands_still_is_told_by_its_age_and_no_upstream_is_said_to_be_up() {
    let mut report = Report::default();
    let (name, why) = ("pbx".to_owned(), String::new());
    let (targets, health, probes) = (Vec::new(), Health::Up, [1, 0]);
    report.stats.upstreams = vec![UpstreamView {
        name,
        targets,
        stale: false,
        health,
        since: None,
        why,
        probes,
        alone: None,
        seen_as: None,
    }];
    report.stats.registrations[0] = 7;
    let metrics = Metrics::new();
    let turning = Duration::from_millis(1_250);
    for (age, is_up, told) in
        [(turning, true, "1.25"), (STILL, false, "3"), (turning, true, "1.25")]
    {
        report.standing = Standing { age };
        let text = metrics.render(&report);
        assert!(text.contains(&format!("portreeve_event_loop_age_seconds {told}\n")), "{text}");
        assert_eq!(text.contains("portreeve_upstream_up{upstream=\"pbx\"} 1\n"), is_up, "{text}");
        let accepted = "portreeve_registration_requests_total{result=\"accepted\"} 7\n";
        assert!(text.contains(accepted), "what was counted stays: {text}");
    }
}

#[test]
fn when_a_certificate_ends_is_told_and_one_that_is_gone_or_was_never_seen_is_not() {
    let mut report = Report::default();
    report.now.wall = Wall(Duration::from_secs(86_400 * 20));
    let view = |of, name: &str, day: u64| CertificateView {
        of,
        name: name.to_owned(),
        names: String::new(),
        until: 86_400 * day - 1,
        fingerprint: String::new(),
        pin: String::new(),
        made: None,
    };
    let metrics = Metrics::new();
    assert!(!metrics.render(&report).contains("portreeve_certificate_expiry_timestamp_seconds{"));
    let own = view(CertificateOf::Interface, "lan", 35);
    report.stats.certificates = vec![own.clone(), view(CertificateOf::Upstream, "pbx", 18)];
    report.stats.tls_failures[1][TlsFailure::Name as usize] = 2;
    let text = metrics.render(&report);
    let ends = |of: &str, name: &str| {
        format!("portreeve_certificate_expiry_timestamp_seconds{{of=\"{of}\",name=\"{name}\"}} ")
    };
    assert!(text.contains(&format!("{}3023999\n", ends("interface", "lan"))), "{text}");
    assert!(text.contains(&format!("{}1555199\n", ends("upstream", "pbx"))), "{text}");
    let failures = "portreeve_tls_failures_total{side=\"outside\",reason=\"name\"} 2\n";
    assert!(text.contains(failures), "{text}");
    report.stats.certificates = vec![own];
    let text = metrics.render(&report);
    assert!(text.contains(&ends("interface", "lan")) && !text.contains(&ends("upstream", "pbx")));
}

#[test]
fn a_tunnel_is_shown_as_it_is_and_what_nobody_knows_of_it_is_not() {
    let mut tunnel = TunnelView {
        name: "berlin".to_owned(),
        site: "berlin".to_owned(),
        is_site: false,
        way: String::new(),
        bearer: Some((Bearer::Quic, "192.0.2.1:443".parse().expect("an address"))),
        lasts: Duration::from_secs(5),
        why: String::new(),
        revoked: false,
        trip: Some(Duration::from_micros(36_400)),
        jitter: None,
        clock_ahead: None,
        sent: Some((100, 3)),
        received: None,
        octets: (7, 8),
        connections: 2,
        moves: [1, 0],
        media: [1, 2, 3, 4, 5, 6],
        is_moving: false,
    };
    let mut report = Report { tunnels: vec![tunnel.clone()], ..Report::default() };
    let metrics = Metrics::new();
    let text = metrics.render(&report);
    for want in [
        "tunnel_up{tunnel=\"berlin\"} 1",
        "tunnel_bearer{tunnel=\"berlin\",bearer=\"quic\"} 1",
        "tunnel_bearer{tunnel=\"berlin\",bearer=\"tcp\"} 0",
        "tunnel_round_trip_seconds{tunnel=\"berlin\"} 0.0364",
        "tunnel_lost_packets_total{tunnel=\"berlin\",direction=\"out\"} 3",
        "tunnel_packets_total{tunnel=\"berlin\",direction=\"in\"} 0",
        "tunnel_media_packets_total{tunnel=\"berlin\",result=\"late\"} 6",
        "tunnel_moves_total{tunnel=\"berlin\",kind=\"address\"} 1",
    ] {
        assert!(text.contains(&format!("\nportreeve_{want}\n")), "{want} in {text}");
    }
    assert!(!text.contains("portreeve_tunnel_jitter_seconds{"), "nobody knows: {text}");
    (tunnel.bearer, tunnel.trip) = (None, None);
    report.tunnels = vec![tunnel.clone()];
    let text = metrics.render(&report);
    assert!(text.contains("portreeve_tunnel_up{tunnel=\"berlin\"} 0\n"), "{text}");
    assert!(!text.contains("portreeve_tunnel_round_trip_seconds{"), "not as it was: {text}");
    let lost = "portreeve_tunnel_lost_packets_total{tunnel=\"berlin\",direction=\"out\"} 3\n";
    assert!(text.contains(lost), "what was counted stays: {text}");
    report.tunnels = vec![TunnelView { revoked: true, ..tunnel.clone() }];
    assert!(!metrics.render(&report).contains("portreeve_tunnel_up{"), "nobody may come by it");
    report.tunnels = vec![tunnel.clone()];
    report.standing = Standing { age: STILL };
    assert!(!metrics.render(&report).contains("portreeve_tunnel_up{"), "it stands still");
    let many = |n: usize| TunnelView { name: format!("site{n}"), ..tunnel.clone() };
    report = Report { tunnels: (0..100).map(many).collect(), ..Report::default() };
    let up = Metrics::new().render(&report).matches("\nportreeve_tunnel_up{").count();
    assert_eq!(up, catalogue::TUNNEL_LABELS);
}
