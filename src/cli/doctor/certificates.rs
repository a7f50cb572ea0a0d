//! Certificates: those of the configuration's files, and those that upstreams showed when they were
//! asked. How long each holds. It makes none.

use super::{Check, Line, unusable};
use crate::config::{Certificate, Config, Interface};
use crate::driver::tls::Tls;
use crate::engine::stats::{CertificateOf, CertificateView};
use crate::ground::Wall;

/// Days before which somebody should renew it.
const SOON: i64 = 14;

/// What the file names; `faults`: what could not be used of it.
pub(super) fn own(c: &Config, tls: &Tls, faults: &[String], now: Wall) -> Vec<Line> {
    let check = Check::Certificates;
    let faults = faults.iter().map(|what| unusable(check, what.clone(), "TLS needs it"));
    let made = c
        .interfaces
        .iter()
        .filter(|i| i.tls.as_ref().is_some_and(|tls| tls.certificate == Certificate::SelfSigned));
    let made = made.map(|i| {
        let what = format!("{}: of the gateway's own making; `status` shows it", i.name);
        Line::ok(check, what)
    });
    let all = tls.certificates();
    let ours = all.iter().filter(|v| v.of != CertificateOf::Upstream);
    let nameless = c.interfaces.iter().filter_map(|i| nameless(i, &all));
    faults.chain(made).chain(ours.map(|v| line(v, now))).chain(nameless).collect()
}

/// Who calls an interface by its name, by TLS, looks for that name in its certificate.
fn nameless(i: &Interface, all: &[CertificateView]) -> Option<Line> {
    let (name, tls) = i.advertise_name.as_ref().zip(i.tls.as_ref())?;
    let todo = "a certificate of that name, of an authority that who calls believes";
    if tls.certificate == Certificate::SelfSigned {
        let what = format!("{}: `advertise_name` {name}, and its certificate is its own", i.name);
        return Some(Line::todo(Check::Certificates, what, todo));
    }
    let own = |v: &&CertificateView| v.of == CertificateOf::Interface && v.name == i.name;
    let shown = all.iter().find(own)?;
    let is_it = |n: &str| match n.strip_prefix("*.") {
        Some(rest) => name.split_once('.').is_some_and(|(_, own)| own.eq_ignore_ascii_case(rest)),
        None => n.trim_start_matches("sip:").eq_ignore_ascii_case(name),
    };
    let what = format!("{}: `advertise_name` {name}, and it is of {}", i.name, shown.names);
    (!shown.names.split(", ").any(is_it)).then(|| Line::todo(Check::Certificates, what, todo))
}

/// What upstreams showed.
pub(super) fn theirs(tls: &Tls, now: Wall) -> Vec<Line> {
    let all = tls.certificates();
    all.iter().filter(|v| v.of == CertificateOf::Upstream).map(|v| line(v, now)).collect()
}

fn line(v: &CertificateView, now: Wall) -> Line {
    let (check, days) = (Check::Certificates, v.days(now.seconds()));
    let whose = match v.of {
        CertificateOf::Interface => v.name.clone(),
        CertificateOf::Client => format!("{} is shown ours", v.name),
        CertificateOf::Upstream => format!("{} shows {}", v.name, v.pin),
    };
    let what = format!("{whose}: of {}", v.names);
    match days {
        ..0 => Line::todo(check, format!("{what}, expired {} days ago", -days), "renew it"),
        0..SOON => Line::todo(check, format!("{what}, {days} days left"), "renew it"),
        _ => Line::ok(check, format!("{what}, {days} days left")),
    }
}

/// The same for who checks a file: what no start could use, and what somebody should know.
pub(in crate::cli) fn certificates(c: &Config, now: Wall) -> (Vec<String>, Vec<String>) {
    let (tls, faults) = Tls::look(c);
    (faults, told(own(c, &tls, &[], now)))
}

/// What is to be said of those that are in use: nothing where they hold for long.
pub(in crate::cli) fn ending(all: &[CertificateView], now: Wall) -> Vec<String> {
    let ours = all.iter().filter(|v| v.of != CertificateOf::Upstream);
    told(ours.map(|v| line(v, now)).collect())
}

fn told(lines: Vec<Line>) -> Vec<String> {
    let lines = lines.into_iter().filter(|l| !l.todo.is_empty());
    lines.map(|l| format!("{}: {}", l.what, l.todo)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_ends_soon_or_has_ended_is_to_be_renewed() {
        let view = |until: u64| CertificateView {
            of: CertificateOf::Upstream,
            name: "pbx".to_owned(),
            names: "sip.example.net".to_owned(),
            until: 86_400 * until,
            fingerprint: String::new(),
            pin: "sha-256:ab".to_owned(),
            made: None,
        };
        let now = Wall(Duration::from_secs(86_400 * 100));
        for (until, verdict, words) in [
            (114, Verdict::Ok, "pbx shows sha-256:ab: of sip.example.net, 14 days left"),
            (113, Verdict::Todo, "13 days left"),
            (97, Verdict::Todo, "expired 3 days ago"),
        ] {
            let line = line(&view(until), now);
            assert!(line.verdict == verdict && line.what.contains(words), "{}", line.what);
        }
    }

    #[test]
    fn a_name_that_the_certificate_has_not_is_told() {
        let edge = include_str!("../../../configs/minimal.toml");
        let text = edge.replace(
            "address = \"203.0.113.7\"",
            "address = \"203.0.113.7\"\nadvertise_name = \"SBC.example.com\"\n\
             listen = [\"udp:5060\", \"tls:5061\"]\n\
             tls = { certificate = \"/nowhere/c.pem\", key = \"/nowhere/k.pem\" }",
        );
        let c = Config::parse("x", &text, &crate::config::Environment::default()).unwrap();
        let view = |names: &str| CertificateView {
            of: CertificateOf::Interface,
            name: "wan".to_owned(),
            names: names.to_owned(),
            until: 0,
            fingerprint: String::new(),
            pin: String::new(),
            made: None,
        };
        for (names, right) in [
            ("sbc.example.com", true),
            ("example.com, SBC.Example.com", true),
            ("sip:sbc.example.com", true),
            ("*.example.com", true),
            ("*.com", false),
            ("example.com", false),
            ("nobody", false),
        ] {
            let told = nameless(&c.interfaces[1], &[view(names)]);
            assert_eq!(told.is_none(), right, "{names}");
        }
        assert!(nameless(&c.interfaces[0], &[view("x")]).is_none());
    }

    #[test]
    fn files_that_cannot_be_used_are_told_and_nothing_is_made() {
        let edge = include_str!("../../../configs/minimal.toml");
        let text = edge.replace(
            "address = \"203.0.113.7\"",
            "address = \"203.0.113.7\"\nlisten = [\"udp:5060\", \"tls:5061\"]\n\
             tls = { certificate = \"/nowhere/c.pem\", key = \"/nowhere/k.pem\" }",
        );
        let env = crate::config::Environment::default();
        let mut c = Config::parse("x", &text, &env).unwrap();
        let now = Wall(Duration::ZERO);
        let told = certificates(&c, now).0.concat();
        assert!(told.starts_with("interface \"wan\": /nowhere/c.pem: "), "{told}");
        c.state_dir = format!("/tmp/portreeve-none-{}", std::process::id());
        if let Some(tls) = &mut c.interfaces[1].tls {
            tls.certificate = Certificate::SelfSigned;
        }
        assert_eq!(certificates(&c, now), (Vec::new(), Vec::new()));
        c.interfaces[1].advertise_name = Some("sbc.example.com".to_owned());
        let told = certificates(&c, now).1.concat();
        assert!(told.starts_with("wan: `advertise_name` sbc.example.com, and its cert"), "{told}");
        assert!(!std::path::Path::new(&c.state_dir).exists());
    }
}
