//! One test binary: the engine through its front door, and the house rules.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "in a script an expectation is an assertion"
)]

mod lab;

mod addresses;
mod adversaries;
mod amplification;
mod answering_forks;
mod answers;
mod bans;
mod bodies;
mod both_families;
mod call;
mod cancel;
mod cancel_reason;
#[cfg(feature = "daemon")]
mod checked;
mod clocks;
mod confined;
mod connected_identity;
mod connections;
mod corpus;
mod credentials;
#[cfg(feature = "daemon")]
mod dialled;
mod docs;
mod dual_stack;
mod dying_targets;
mod emergency;
mod eyeballs;
mod families;
mod findings;
mod flows;
mod followed;
mod foreign_media;
mod forking;
mod fuzzed;
#[cfg(feature = "daemon")]
mod grafana;
mod hiding;
mod host_names;
mod hostile;
mod identity;
mod identity_families;
mod ipv6;
mod keep_alives;
mod kept;
mod leaks;
mod limits;
mod links;
mod listed;
mod lost_flows;
mod media;
mod media_loops;
mod moving;
mod next_hops;
mod numbers;
mod other_ports;
mod outside_floods;
mod poisoned;
mod policy;
mod private_headers;
mod proved_upstreams;
mod quality_reports;
mod reach;
mod realms;
mod record_route;
mod redialled_emergencies;
mod referring;
mod registering_together;
mod registration;
mod reinvite;
mod relay_ports;
mod reload;
mod remote_control;
mod renegotiation;
mod renewed_connections;
mod repeated_answers;
mod restart;
mod retransmission;
mod secure_dialogs;
mod secured;
mod seen_elsewhere;
mod service_route;
mod shared_password;
mod shared_pauses;
mod silent_calls;
mod simulate;
mod small_answers;
#[cfg(feature = "daemon")]
mod sources_six;
mod stale_bindings;
mod standstill;
mod steering;
mod storms;
mod strangers;
mod streams;
mod strict_routers;
mod subscription;
mod survive;
mod takeovers;
mod tidy;
mod tls_calls;
mod tls_for_good;
mod tls_identity;
mod tokens;
mod told_answers;
mod torture;
mod torture_engine;
mod torture_six;
mod transports;
mod tunnels;
mod two_upstreams;
#[cfg(feature = "daemon")]
mod unread_log;
mod untagged;
mod upstream_names;
mod usages;
mod view;
mod written_ports;
