//! An OPTIONS to every place where an upstream is, from a port of its own: does it answer, how does
//! it see us, and did somebody on the way write our message anew?

use super::gateway::Running;
use super::names::{self, Found};
use super::{Check, Line, PATIENCE};
use crate::config::{Address, Config, Hop, Interface, Upstream};
use crate::driver::reach::{self, Way};
use crate::driver::state;
use crate::driver::tls::{Failure, Tls};
use crate::ground::Transport;
use crate::wire::sip::{Framing, Message, Method, Name, Via};
use bytes::Bytes;
use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::task::JoinSet;

/// What we sent, as it should come back.
#[derive(Clone, Debug)]
struct Sent {
    local: SocketAddr,
    word: String,
}

/// What came back.
#[derive(Clone, Debug)]
struct Answer {
    sent: Sent,
    message: Message,
    after: Duration,
}

pub(super) async fn options(
    c: &Config,
    found: &[Found],
    running: &Running,
    tls: &Tls,
) -> Vec<Line> {
    let mut asked = JoinSet::new();
    for (order, (index, hop, of)) in found.iter().enumerate() {
        let Some(u) = c.upstreams.get(*index) else { continue };
        let Some(i) = c.interfaces.get(u.interface) else { continue };
        let (first, last) = c.media.ports;
        let own = i.addresses.towards(hop.peer.ip()).or(i.addresses.first());
        let Some(own) = own else { continue };
        let way = Way {
            from: own.ip,
            to: *hop,
            dscp: i.dscp_sip,
            spare: first..=last,
            patience: PATIENCE,
            dial: tls.dial(&u.name, u.targets.get(*of).map(|target| &target.host)),
        };
        let domain = u.domain.clone();
        let (u, i) = (u.clone(), i.clone());
        let name = name(&i, hop.transport);
        asked.spawn(async move { (order, u, i, way.to, ask(way, &domain, name).await) });
    }
    let mut all = asked.join_all().await;
    all.sort_by_key(|(order, ..)| *order);
    let line = |(_, u, i, hop, told): &(usize, Upstream, Interface, Hop, io::Result<Answer>)| {
        verdict(u, i, *hop, told, running.answered.contains(&hop.peer))
    };
    all.iter().flat_map(line).collect()
}

async fn ask(way: Way, domain: &str, name: Option<String>) -> io::Result<Answer> {
    let framing = match way.to.transport {
        Transport::Udp => Framing::Datagram,
        Transport::Tcp | Transport::Tls => Framing::Stream,
    };
    let mut word = String::new();
    for octet in state::random::<8>() {
        let _ = write!(word, "{octet:02x}");
    }
    let read = |octets: &Bytes| {
        let message = Message::parse(octets.clone(), framing).ok();
        message.filter(|m| !m.is_request() && m.status() >= 200)
    };
    let asked = reach::ask(
        &way,
        |local| {
            let sent = Sent { local, word: word.clone() };
            request(&sent, way.to, domain, name.as_deref())
        },
        |octets| read(octets).is_some(),
    );
    let (local, heard) = asked.await?;
    let message = read(&heard.bytes).ok_or(io::ErrorKind::InvalidData)?;
    Ok(Answer { sent: Sent { local, word }, message, after: heard.after })
}

/// The name and port that others know an interface by; `None`: its address.
fn name(i: &Interface, transport: Transport) -> Option<String> {
    let port = i.listen.iter().find(|l| l.transport == transport)?.port;
    i.advertise_name.as_ref().map(|name| format!("{name}:{port}"))
}

/// `name`: what stands in From and Contact in our address's place; some ask for it.
fn request(sent: &Sent, to: Hop, domain: &str, name: Option<&str>) -> Bytes {
    let Sent { local, word } = sent;
    let at = name.map_or_else(|| local.to_string(), str::to_owned);
    let by = if to.transport.is_secure() && name.is_some() { ";transport=tls" } else { "" };
    let via = to.transport.via();
    let mut m = Message::request(Method::Options, &format!("sip:{domain}"));
    m.push_back(Name::Via, format!("SIP/2.0/{via} {local};branch=z9hG4bK{word};rport"));
    m.push_back(Name::MaxForwards, "70");
    m.push_back(Name::From, format!("<sip:portreeve@{at}>;tag={word}"));
    m.push_back(Name::To, format!("<sip:{domain}>"));
    m.push_back(Name::CallId, call_id(sent));
    m.push_back(Name::CSeq, "1 OPTIONS");
    m.push_back(Name::Contact, format!("<sip:portreeve@{at}{by}>"));
    m.to_bytes()
}

/// It names our address, so that whoever writes addresses anew shows himself.
fn call_id(sent: &Sent) -> String {
    format!("{}@{}", sent.word, sent.local.ip())
}

fn verdict(
    u: &Upstream,
    i: &Interface,
    hop: Hop,
    told: &io::Result<Answer>,
    up: bool,
) -> Vec<Line> {
    let check = Check::Options;
    let at = format!("{} ({})", names::hop(hop), u.name);
    let answer = match told {
        Ok(answer) => answer,
        Err(e) => {
            let own = i.addresses.towards(hop.peer.ip()).or(i.addresses.first());
            let own = own.map_or(hop.peer.ip(), Address::advertised);
            return vec![silent(&at, own, e, up)];
        }
    };
    let (status, phrase) = (answer.message.status(), answer.message.phrase());
    let phrase = String::from_utf8_lossy(phrase);
    let what = format!("{at} answers {status} {phrase} in {} ms", answer.after.as_millis());
    let mut lines = vec![seen(i, what, answer)];
    lines.extend(rewritten(answer).map(|how| {
        let todo = "switch off \"SIP ALG\" (SIP helper, SIP fix-up) in the router on the way";
        Line::todo(check, format!("{at}: somebody on the way rewrites SIP ({how})"), todo)
    }));
    lines
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the rest is alike")]
fn silent(at: &str, shown: IpAddr, error: &io::Error, up: bool) -> Line {
    let check = Check::Options;
    if up {
        let what = format!("{at} answers the gateway that runs, and not a port of its own");
        return Line::note(
            check,
            what,
            "nothing, unless calls fail: some answer known ports alone",
        );
    }
    if let Some(failure) = error.get_ref().and_then(|e| e.downcast_ref::<Failure>()) {
        return Line::todo(check, format!("{at}: TLS: {failure}"), "");
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Line::todo(
            check,
            format!("{at}: nothing listens there"),
            "start it, or write its port and transport as it has them",
        ),
        io::ErrorKind::TimedOut => Line::todo(
            check,
            format!("{at}: no answer in {} s", PATIENCE.as_secs()),
            format!(
                "is it up, is its address right, does it know {shown}, does a firewall drop it?"
            ),
        ),
        _ => Line::todo(
            check,
            format!("{at}: {error}"),
            "does it speak SIP by this transport, and is there a way to it?",
        ),
    }
}

/// How the far end sees us: `received` and `rport` of our Via (RFC 3581 §4).
fn seen(i: &Interface, what: String, answer: &Answer) -> Line {
    let check = Check::Options;
    let local = answer.sent.local;
    let via = answer.message.first(&Name::Via).and_then(Via::parse);
    let Some(via) = via else { return Line::ok(check, what) };
    let ip = via.params.get("received").and_then(|r| r.trim_matches(['[', ']']).parse().ok());
    let port = via.params.get("rport").and_then(|p| p.parse::<u16>().ok());
    // Who says a port and no address saw what the Via says (RFC 3261 §18.2.1).
    let ip = ip.or(port.map(|_| local.ip()));
    let own = i.addresses.towards(local.ip());
    let advertised = own.and_then(|a| a.advertise).filter(|a| *a != local.ip());
    match (ip.map(|ip: IpAddr| ip.to_canonical()), advertised) {
        (None, None) => Line::ok(check, format!("{what}, and does not say how it sees us")),
        (None, Some(a)) => Line::ok(check, format!("{what}; it does not say whether it sees {a}")),
        (Some(ip), None) if ip == local.ip() && port.is_none_or(|p| p == local.port()) => {
            Line::ok(check, format!("{what}, and sees us as we are ({local}): no NAT"))
        }
        (Some(ip), None) if ip == local.ip() => Line::note(
            check,
            format!("{what}, and sees our port {} as {}", local.port(), port.unwrap_or(0)),
            "a firewall changes ports: keep-alives (`keepalive`), and media that comes back",
        ),
        (Some(ip), None) => Line::todo(
            check,
            format!("{what}, and sees us as {ip}: there is a NAT"),
            format!("advertise = \"{ip}\" at interface {}, and ports forwarded to it", i.name),
        ),
        (Some(ip), Some(a)) if ip == a => {
            Line::ok(check, format!("{what}, and sees us as {ip}, as advertised (NAT)"))
        }
        (Some(ip), Some(a)) => Line::todo(
            check,
            format!("{what}, and sees us as {ip}, while {a} is advertised"),
            format!("is advertise = \"{a}\" at interface {} right from there?", i.name),
        ),
    }
}

/// What of ours did not come back as it went out (RFC 3261 §8.2.6.2), in words.
fn rewritten(answer: &Answer) -> Option<String> {
    let Sent { local, word } = &answer.sent;
    let m = &answer.message;
    let mut how = Vec::new();
    match m.first(&Name::Via).and_then(Via::parse) {
        Some(via) => {
            let host = via.host.trim_matches(['[', ']']).parse::<IpAddr>().ok();
            if host != Some(local.ip()) || via.port != Some(local.port()) {
                let port = via.port.map(|p| format!(":{p}")).unwrap_or_default();
                how.push(format!("our Via {local} came back as {}{port}", via.host));
            }
            if via.branch() != Some(&format!("z9hG4bK{word}")) {
                how.push("its branch is another".to_owned());
            }
        }
        None => how.push("our Via is gone".to_owned()),
    }
    let id = call_id(&answer.sent);
    if m.call_id() != id {
        how.push(format!("our Call-ID {id} came back as {}", m.call_id()));
    }
    let from = m.text(&Name::From).unwrap_or_default();
    if !from.contains(&local.to_string()) {
        how.push(format!("our From came back as {from}"));
    }
    (!how.is_empty()).then(|| how.join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;
    use crate::config::Environment;

    const LOCAL: &str = "198.51.100.1:40000";

    fn hop() -> Hop {
        Hop { peer: "198.51.100.2:5060".parse().unwrap(), transport: Transport::Udp }
    }

    /// What is said of an answer in which these words stand for those.
    fn told(advertise: Option<&str>, change: &[(&str, &str)]) -> Vec<Line> {
        let edge = include_str!("../../../configs/minimal.toml");
        let mut c = Config::parse("x", edge, &Environment::default()).unwrap();
        let u = c.upstreams.remove(0);
        let mut i = c.interfaces.remove(u.interface);
        let own = i.addresses.first().unwrap().clone();
        let advertise = advertise.map(|a| a.parse().unwrap());
        i.addresses = Address { advertise, ..own }.into();
        let sent = Sent { local: LOCAL.parse().unwrap(), word: "abc".to_owned() };
        let request = request(&sent, hop(), "pbx.test", None);
        let request = Message::parse(request, Framing::Datagram).unwrap();
        let response = Message::response(&request, 200, "OK").to_bytes();
        let mut text = String::from_utf8(response.to_vec()).unwrap();
        for (old, new) in change {
            assert!(text.contains(old), "{old} in {text}");
            text = text.replace(old, new);
        }
        let message = Message::parse(Bytes::from(text), Framing::Datagram).unwrap();
        let answer = Answer { sent, message, after: Duration::from_millis(7) };
        verdict(&u, &i, hop(), &Ok(answer), false)
    }

    #[test]
    fn how_the_far_end_sees_us_says_whether_there_is_a_nat() {
        let as_we_are = told(None, &[(";rport", ";received=198.51.100.1;rport=40000")]);
        assert_eq!((as_we_are.len(), as_we_are[0].verdict), (1, Verdict::Ok));
        assert!(as_we_are[0].what.contains("answers 200 OK in 7 ms"), "{}", as_we_are[0].what);
        assert!(as_we_are[0].what.ends_with("no NAT"));
        assert_eq!(told(None, &[(";rport", ";rport=40000")])[0].what, as_we_are[0].what);
        assert!(told(None, &[(";rport", "")])[0].what.ends_with("does not say how it sees us"));
        let behind = &[(";rport", ";received=203.0.113.9;rport=40000")];
        let nat = told(None, behind);
        assert!(nat.len() == 1 && nat[0].verdict == Verdict::Todo);
        assert!(nat[0].todo.starts_with("advertise = \"203.0.113.9\""), "{}", nat[0].todo);
        assert_eq!(told(Some("203.0.113.9"), behind)[0].verdict, Verdict::Ok);
        assert_eq!(told(Some("203.0.113.8"), behind)[0].verdict, Verdict::Todo);
        let port = told(None, &[(";rport", ";received=198.51.100.1;rport=1024")]);
        assert_eq!(port[0].verdict, Verdict::Note);
    }

    #[test]
    fn who_writes_our_message_anew_shows_himself() {
        let via = told(None, &[("UDP 198.51.100.1:40000", "UDP 203.0.113.9:1024")]);
        assert!(via[1].verdict == Verdict::Todo && via[1].todo.contains("SIP ALG"));
        assert!(via[1].what.contains("our Via 198.51.100.1:40000 came back as 203.0.113.9:1024"));
        let id = told(None, &[("abc@198.51.100.1", "abc@203.0.113.9")]);
        assert!(id[1].what.contains("our Call-ID"), "{}", id[1].what);
        let from = told(None, &[("portreeve@198.51.100.1:40000", "portreeve@203.0.113.9")]);
        assert!(from[1].what.contains("our From"), "{}", from[1].what);
        assert!(told(None, &[("z9hG4bKabc", "z9hG4bKx")])[1].what.contains("branch"));
    }

    #[test]
    fn nobody_there_silence_and_a_gateway_that_is_answered_are_three_things() {
        let own = IpAddr::from([10, 99, 0, 1]);
        let told = |kind: io::ErrorKind, up| silent("x", own, &kind.into(), up);
        assert!(told(io::ErrorKind::ConnectionRefused, false).what.contains("nothing listens"));
        let silence = told(io::ErrorKind::TimedOut, false);
        assert!(silence.verdict == Verdict::Todo && silence.todo.contains("know 10.99.0.1"));
        assert_eq!(told(io::ErrorKind::TimedOut, true).verdict, Verdict::Note);
        assert_eq!(told(io::ErrorKind::UnexpectedEof, false).verdict, Verdict::Todo);
    }
}
