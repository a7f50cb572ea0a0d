//! `[[upstream]]`: where a PBX or trunk is, what it serves, by which interface it is reached. One
//! section at a time; what sections mean together stands in `checks`.

use super::reader::{Section, Source};
use super::{Interface, Upstream, values};
use crate::ground::{Side, Transport};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// OPTIONS to an upstream, where the file says nothing.
const PROBE: Duration = Duration::from_secs(30);

/// One upstream; `None`: its faults are told.
pub(super) fn upstream(
    mut s: Section<'_, '_>,
    interfaces: &[Interface],
    src: &mut Source<'_>,
) -> Option<Upstream> {
    let name = s.string("name", src);
    let target = target(&mut s, src);
    let transport = s.word("transport", &[("udp", Transport::Udp), ("tcp", Transport::Tcp)], src);
    let domain = s.string("domain", src);
    let domains = s.list("domains", src);
    let numbers = s.list("numbers", src);
    let sources = s.networks("sources", src);
    let trust = s.boolean("trust", src).unwrap_or(true);
    let probe = s.duration("probe", src).unwrap_or(PROBE);
    let probe = Some(probe).filter(|d| !d.is_zero());
    let interface = outside(&mut s, interfaces, src);
    if name.is_none() {
        s.missing("name", "a short word, used in rules, logs and metrics", src);
    }
    values::name(&s, "name", name.as_deref(), src);
    let stands = interface.and_then(|i| interfaces.get(i));
    let at = target.map(|(at, named)| (at, transport.or(named).unwrap_or(Transport::Udp)));
    values::upstream(&s, at, stands, interfaces, src);
    domain.iter().for_each(|d| values::domain(&s, "domain", d, src));
    domains.iter().for_each(|d| values::domain(&s, "domains", d, src));
    s.finish(src);
    let (name, (address, named), interface) = (name?, target?, interface?);
    let transport = transport.or(named).unwrap_or(Transport::Udp);
    let domain = domain.unwrap_or_else(|| crate_host(address.ip()));
    let mut all = vec![ipnet::IpNet::from(address.ip())];
    all.extend(sources);
    let sources = all;
    Some(Upstream {
        name,
        address,
        transport,
        domain,
        domains,
        numbers,
        sources,
        interface,
        trust,
        probe,
    })
}

fn crate_host(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    }
}

type Target = (SocketAddr, Option<Transport>);

/// `address = "10.0.0.5:5060"` or `targets = ["sip:10.0.0.5:5060;transport=udp"]`.
fn target(s: &mut Section<'_, '_>, src: &mut Source<'_>) -> Option<Target> {
    let direct = s.string("address", src).map(|t| (t, s.span_of("address")));
    let listed = s.strings("targets", src).and_then(|l| l.into_iter().next());
    let Some((text, span)) = direct.or(listed) else {
        s.missing("address", "address = \"10.99.0.2:5060\"", src);
        return None;
    };
    let read = parse_target(&text);
    if read.is_none() {
        let what = format!("\"{text}\" is no address");
        let hint =
            "host names need DNS, which comes later: write the IP address, as 10.99.0.2:5060";
        src.fault("upstream-address", span, what, Some(hint.to_owned()));
    }
    read
}

fn parse_target(text: &str) -> Option<Target> {
    let bare = text.strip_prefix("sip:").unwrap_or(text);
    let (host, params) = bare.split_once(';').unwrap_or((bare, ""));
    let transport = params.split(';').find_map(|p| match p {
        "transport=tcp" => Some(Transport::Tcp),
        "transport=udp" => Some(Transport::Udp),
        _ => None,
    });
    let address = host.parse::<SocketAddr>().ok().or_else(|| {
        let ip: IpAddr = host.trim_matches(['[', ']']).parse().ok()?;
        Some(SocketAddr::new(ip, 5060))
    })?;
    // A mapped address is the IPv4 address in it.
    Some((SocketAddr::new(address.ip().to_canonical(), address.port()), transport))
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
