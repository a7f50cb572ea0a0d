//! `[[upstream]]`: where a PBX or trunk is, what it serves, by which interface it is reached. One
//! section at a time; what sections mean together stands in `checks`.

use super::reader::{Section, Source};
use super::{Host, Interface, Target, Tunnel, Upstream, tls, values};
use crate::ground::{Side, Transport};
use std::net::IpAddr;
use std::time::Duration;

/// OPTIONS to an upstream, where the file says nothing.
const PROBE: Duration = Duration::from_secs(30);
/// Targets that a file may list.
const TARGETS: usize = 8;

/// One upstream; `None`: its faults are told.
pub(super) fn upstream(
    mut s: Section<'_, '_>,
    interfaces: &[Interface],
    src: &mut Source<'_>,
) -> Option<Upstream> {
    let name = s.string("name", src);
    let words = [("udp", Transport::Udp), ("tcp", Transport::Tcp), ("tls", Transport::Tls)];
    let transport = s.word("transport", &words, src);
    let interface = outside(&mut s, interfaces, src);
    let stands = interface.and_then(|i| interfaces.get(i));
    let tunnel = stands.and_then(|i| i.link.tunnel());
    let targets = match tunnel {
        // Its other end is the only one that can be there.
        Some(tunnel) if !s.has("address") && !s.has("targets") => Some(vec![tunnel.target()]),
        Some(_) | None => targets(&mut s, transport, src),
    };
    let domain = s.string("domain", src);
    let domains = s.list("domains", src);
    let numbers = s.list("numbers", src);
    let sources = s.networks("sources", src);
    let mut tls_subject = values::subjects(&mut s, "tls_subject", src);
    tls_subject.extend(tunnel.map(Tunnel::subject).filter(|own| !tls_subject.contains(own)));
    let trust = s.boolean("trust", src).unwrap_or(true);
    let probe = s.duration("probe", src).unwrap_or(PROBE);
    let probe = Some(probe).filter(|d| !d.is_zero());
    let tls = tls::client(&mut s, targets.as_deref().unwrap_or_default(), src);
    if name.is_none() {
        s.missing("name", "a short word, used in rules, logs and metrics", src);
    }
    values::name(&s, "name", name.as_deref(), src);
    let fixed = targets.iter().flatten().filter_map(Target::fixed);
    fixed.for_each(|hop| values::upstream(&s, hop, stands, interfaces, src));
    let named = targets.iter().flatten().filter(|t| t.name().is_some());
    named.for_each(|t| values::named_upstream(&s, t, stands, src));
    domain.iter().for_each(|d| values::domain(&s, "domain", d, src));
    domains.iter().for_each(|d| values::domain(&s, "domains", d, src));
    s.finish(src);
    let (name, targets, interface) = (name?, targets?, interface?);
    // Who is reached by TLS alone is known by its proof: its address says nothing.
    let known = targets.iter().any(|t| t.transport != Some(Transport::Tls));
    let fixed = targets.iter().filter_map(Target::fixed).filter(|_| known);
    let mut all: Vec<ipnet::IpNet> = fixed.map(|hop| hop.peer.ip().into()).collect();
    all.extend(sources);
    let sources = all;
    let domain = domain.or_else(|| targets.first().map(domain_of))?;
    Some(Upstream {
        name,
        targets,
        domain,
        domains,
        numbers,
        sources,
        tls_subject,
        interface,
        trust,
        probe,
        tls,
    })
}

/// A target's host as a URI has it.
fn domain_of(target: &Target) -> String {
    match &target.host {
        Host::Ip(IpAddr::V4(v4)) => v4.to_string(),
        Host::Ip(IpAddr::V6(v6)) => format!("[{v6}]"),
        Host::Name(name) => name.clone(),
    }
}

/// `address = "10.0.0.5:5060"`, or several: `targets = ["sip:a.example;transport=tcp", …]`.
fn targets(
    s: &mut Section<'_, '_>,
    transport: Option<Transport>,
    src: &mut Source<'_>,
) -> Option<Vec<Target>> {
    let direct = s.string("address", src).map(|t| vec![(t, s.span_of("address"))]);
    let all = direct.or(s.strings("targets", src)).filter(|all| !all.is_empty());
    let Some(all) = all else {
        s.missing("address", "address = \"10.99.0.2:5060\" or \"sip.example.net\"", src);
        return None;
    };
    if let Some((_, span)) = all.get(TARGETS) {
        let what = format!("more than {TARGETS} targets");
        let hint = Some("an SRV record may name more".to_owned());
        src.fault("upstream-address", span.clone(), what, hint);
    }
    let mut read = Vec::with_capacity(all.len());
    for (text, span) in &all {
        let Some(mut target) = Target::parse(text) else {
            let what = format!("\"{text}\" is no address and no name");
            let hint = "as 10.99.0.2:5060, sip.example.net or sip:sip.example.net;transport=tcp";
            src.fault("upstream-address", span.clone(), what, Some(hint.to_owned()));
            continue;
        };
        target.transport = target.transport.or(transport);
        read.push(target);
    }
    (read.len() == all.len()).then_some(read)
}

/// The outside interface an upstream is reached by.
fn outside(
    s: &mut Section<'_, '_>,
    interfaces: &[Interface],
    src: &mut Source<'_>,
) -> Option<usize> {
    let outs: Vec<usize> = interfaces
        .iter()
        .enumerate()
        .filter(|(_, i)| i.side == Side::Outside)
        .map(|(n, _)| n)
        .collect();
    match (s.string("interface", src), outs.as_slice()) {
        (Some(name), _) => {
            let found = interfaces.iter().position(|i| i.name == name && i.side == Side::Outside);
            if found.is_none() {
                let what = format!("no outside [[interface]] is named \"{name}\"");
                src.fault("interface", s.span_of("interface"), what, None);
            }
            found
        }
        (None, [only]) => Some(*only),
        (None, []) => {
            let hint = "add an [[interface]] with side = \"outside\"";
            src.fault(
                "interface",
                s.span.clone(),
                "an upstream needs an outside interface",
                Some(hint.to_owned()),
            );
            None
        }
        (None, _) => {
            s.missing("interface", "several are outside: name one", src);
            None
        }
    }
}
