//! Whole connections on loopback: who is believed, who is not and in which words, and what is read
//! again.

mod callers;
mod changeable;
mod held;

use super::*;
use crate::config::{Config, Environment};
use crate::driver::Arrival;
use crate::driver::inlet::{Arrivals, inlet};
use crate::driver::stream::{Streams, listen};
use crate::engine::Opens;
use crate::engine::stats::CertificateOf;
use crate::ground::{Flow, ListenerId, Transport, UpstreamId};
use crate::policy::quota::Holder;
use bytes::Bytes;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType, date_time_ymd};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const OPTIONS: &[u8] = b"OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TLS 127.0.0.1;branch=z9hG4bK1\r\n\
                         Max-Forwards: 70\r\nFrom: <sip:a@127.0.0.1>;tag=1\r\nTo: <sip:127.0.0.1>\r\n\
                         Call-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n";

/// A folder of a test's own; gone with it.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let place =
            std::env::temp_dir().join(format!("portreeve-tls-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&place);
        std::fs::create_dir_all(&place).unwrap();
        std::fs::set_permissions(&place, PermissionsExt::from_mode(0o700)).unwrap();
        Self(place)
    }

    fn at(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str) {
        // As who renews certificates does it: whole, in place of the old one.
        let new = self.0.join("new");
        std::fs::write(&new, text).unwrap();
        std::fs::set_permissions(&new, PermissionsExt::from_mode(0o600)).unwrap();
        std::fs::rename(new, self.0.join(name)).unwrap();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// An authority.
struct Authority(Issuer<'static, KeyPair>, String);

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "an authority of tests");
        let pem = params.self_signed(&key).unwrap().pem();
        Self(Issuer::new(params, key), pem)
    }

    /// A certificate of these names (a URI where there is a colon), and its key.
    fn signs(&self, names: &[&str], until: i32) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        for name in names {
            params.subject_alt_names.push(match name.parse() {
                Ok(ip) => SanType::IpAddress(ip),
                Err(_) if name.contains(':') => SanType::URI((*name).try_into().unwrap()),
                Err(_) => SanType::DnsName((*name).try_into().unwrap()),
            });
        }
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }
}

/// A gateway with a TLS listener inside and outside, on loopback; `tls` are the keys of each.
struct Gateway {
    streams: Streams,
    at: SocketAddr,
    arrivals: Arrivals,
    heard: Vec<Arrival>,
}

fn config(place: &Place, lan: &str, pbx: &str) -> Config {
    let state = place.at("state");
    let text = format!(
        "[[interface]]\nname = \"lan\"\nside = \"inside\"\naddress = \"127.0.0.1\"\n\
         listen = [\"tls:5061\"]\ntls = {lan}\nallow_loopback = true\n\
         [[interface]]\nname = \"wan\"\nside = \"outside\"\naddress = \"127.0.0.2\"\n\
         listen = [\"tls:5061\"]\ntls = \"self-signed\"\nallow_loopback = true\n\
         [[upstream]]\nname = \"pbx\"\naddress = \"sips:sip.example.net\"\ntls = {pbx}\n\
         [state]\ndir = \"{state}\"\n[audit]\ndir = \"{state}/audit\"\n"
    );
    match Config::parse("x", &text, &Environment::default()) {
        Ok(config) => config,
        Err(all) => panic!("{}", all.iter().map(ToString::to_string).collect::<String>()),
    }
}

async fn gateway(config: &Config) -> Gateway {
    let tls = Tls::open(config).unwrap();
    let (inlet, arrivals) = inlet();
    let streams = Streams::new(config, inlet, tls);
    let socket = listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let at = socket.local_addr().unwrap();
    tokio::spawn(streams.clone().accept(socket, ListenerId(0)));
    Gateway { streams, at, arrivals, heard: Vec::new() }
}

impl Gateway {
    async fn next(&mut self) -> Arrival {
        if self.heard.is_empty() {
            let next = self.arrivals.next(&mut self.heard);
            tokio::time::timeout(Duration::from_secs(20), next).await.expect("something comes");
        }
        self.heard.remove(0)
    }

    /// We call somebody at this address as the upstream `pbx`.
    fn call(&self, peer: SocketAddr) {
        let (conn, upstream) = (None, Some(UpstreamId::new(0)));
        let flow =
            Flow { listener: ListenerId(1), transport: Transport::Tls, peer, conn, upstream };
        let opens =
            Opens { holder: Holder::Upstream, upstream: Some("pbx".to_owned()), host: None };
        self.streams.send(flow, Bytes::from_static(OPTIONS), Some(opens));
    }

    fn failures(&self, side: Side) -> Vec<(TlsFailure, u64)> {
        let mut stats = Stats::default();
        self.streams.count_into(&mut stats);
        let counts = TlsFailure::ALL.into_iter().zip(stats.tls_failures[side.index()]);
        counts.filter(|(_, n)| *n > 0).collect()
    }
}

/// Who answers at the upstream's place, with this certificate; `asks`: for ours, of this authority.
async fn upstream(
    shown: &(String, String),
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> (SocketAddr, tokio::task::JoinHandle<Option<Vec<u8>>>) {
    upstream_until(shown, versions, |_| true).await
}

/// As [`upstream`]; it ends when the other end does, or by what it reads.
async fn upstream_until(
    (certificate, key): &(String, String),
    versions: &[&'static rustls::SupportedProtocolVersion],
    ends: fn(usize) -> bool,
) -> (SocketAddr, tokio::task::JoinHandle<Option<Vec<u8>>>) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = files::key(key.as_bytes()).unwrap();
    let key = provider.key_provider.load_private_key(key).unwrap();
    // Whatever it is: others show certificates that we would not.
    let shown = rustls::sign::CertifiedKey::new(files::chain(certificate.as_bytes()).unwrap(), key);
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(shown)));
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = socket.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let (stream, _) = socket.accept().await.unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let mut stream = acceptor.accept(stream).await.ok()?;
        let mut got = vec![0; OPTIONS.len()];
        stream.read_exact(&mut got).await.ok()?;
        stream.write_all(b"\r\n\r\n").await.ok()?;
        // Its ping has an answer.
        while stream.read(&mut [0; 16]).await.is_ok_and(|n| n > 0 && !ends(n)) {}
        Some(got)
    });
    (at, task)
}

const BOTH: &[&rustls::SupportedProtocolVersion] =
    &[&rustls::version::TLS13, &rustls::version::TLS12];

/// What we say of an upstream that shows this, believing `pbx`; `None`: it is believed.
async fn verdict(
    place: &Place,
    pbx: &str,
    shown: &(String, String),
) -> Option<(TlsFailure, String)> {
    let mut gateway = gateway(&config(place, "\"self-signed\"", pbx)).await;
    let (at, there) = upstream(shown, BOTH).await;
    gateway.call(at);
    let got = tokio::time::timeout(Duration::from_secs(20), there).await.unwrap().unwrap();
    if let Some(got) = got {
        assert_eq!(got, OPTIONS);
        return None;
    }
    let Arrival::Unproved { flow, why } = gateway.next().await else { panic!("not proved") };
    assert_eq!((flow.peer, flow.upstream), (at, Some(UpstreamId::new(0))));
    assert!(matches!(gateway.next().await, Arrival::Failed(f) if f == flow));
    let failures = gateway.failures(Side::Outside);
    let [(kind, 1)] = failures[..] else { panic!("{failures:?}") };
    Some((kind, why))
}

#[tokio::test]
async fn an_upstream_is_believed_by_its_authority_and_its_name_and_by_nothing_less() {
    let place = Place::new("upstream");
    let (ours, theirs) = (Authority::new(), Authority::new());
    place.write("ca.pem", &ours.1);
    let ca = format!("{{ verify = \"ca-file\", ca_file = \"{}\" }}", place.at("ca.pem"));
    let name = "sip.example.net";
    for names in [&[name][..], &["*.example.net"], &["sip:sip.example.net"], &["x.example", name]] {
        let told = verdict(&place, &ca, &ours.signs(names, 2100)).await;
        assert_eq!(told, None, "{names:?}");
    }
    for (shown, kind, words) in [
        (
            theirs.signs(&[name], 2100),
            TlsFailure::UnknownAuthority,
            "verify = \"pinned\" with sha-256:",
        ),
        (ours.signs(&[name], 2021), TlsFailure::Expired, "days ago: renew it there"),
        (
            ours.signs(&["a.example"], 2100),
            TlsFailure::Name,
            "is of a.example, not of sip.example.net",
        ),
        (ours.signs(&["127.0.0.1"], 2100), TlsFailure::Name, "is of 127.0.0.1, not of"),
        (ours.signs(&["example.net"], 2100), TlsFailure::Name, "is of example.net"),
        // Where there are SIP domains, DNS names do not count (RFC 5922 §7.1); a user is no domain.
        (ours.signs(&["sip:a.example", name], 2100), TlsFailure::Name, "is of sip:a.example"),
        (ours.signs(&["sip:x@sip.example.net"], 2100), TlsFailure::Name, "not of sip.example.net"),
        (ours.signs(&["sip:a.example\n"], 2100), TlsFailure::Name, "sip:a.example\\n"),
    ] {
        let (got, why) = verdict(&place, &ca, &shown).await.expect("nobody is believed for that");
        assert_eq!(got, kind, "{why}");
        assert!(why.contains(words), "{why}");
    }
    // By the name that the file asks for.
    let other = ca.replace(" }", ", name = \"a.example\" }");
    assert_eq!(verdict(&place, &other, &ours.signs(&["a.example"], 2100)).await, None);
    let by_ip = ca.replace(" }", ", name = \"192.0.2.1\" }");
    assert_eq!(verdict(&place, &by_ip, &ours.signs(&["192.0.2.1"], 2100)).await, None);
    // By its key alone.
    let shown = theirs.signs(&["whoever.example"], 2021);
    let facts = Facts::of(&files::chain(shown.0.as_bytes()).unwrap()[0]).unwrap();
    let pin = facts.pin.unwrap();
    let pinned = |pin: &str| format!("{{ verify = \"pinned\", pins = [\"{pin}\"] }}");
    assert_eq!(verdict(&place, &pinned(&pin.to_string()), &shown).await, None);
    let wrong = format!("sha-256:{}", "00".repeat(32));
    let (kind, why) = verdict(&place, &pinned(&wrong), &shown).await.unwrap();
    assert!(kind == TlsFailure::Pin && why.contains(&pin.to_string()), "{why}");
}

#[tokio::test]
async fn who_speaks_no_tls_or_no_version_of_ours_is_told_so() {
    let place = Place::new("versions");
    let ours = Authority::new();
    place.write("ca.pem", &ours.1);
    let pbx = format!(
        "{{ verify = \"ca-file\", ca_file = \"{}\", min_version = \"1.3\" }}",
        place.at("ca.pem")
    );
    let mut gateway = gateway(&config(&place, "\"self-signed\"", &pbx)).await;
    let shown = ours.signs(&["sip.example.net"], 2100);
    let (old, _there) = upstream(&shown, &[&rustls::version::TLS12]).await;
    gateway.call(old);
    let Arrival::Unproved { why, .. } = gateway.next().await else { panic!("not proved") };
    assert!(why.contains("version"), "{why}");
    gateway.next().await;
    let plain = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = plain.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = plain.accept().await.unwrap();
        stream.write_all(b"SIP/2.0 400 What?\r\n\r\n").await.unwrap();
        let _ = stream.read(&mut [0; 16]).await;
    });
    gateway.call(at);
    let Arrival::Unproved { why, .. } = gateway.next().await else { panic!("not proved") };
    assert!(why.contains("no TLS"), "{why}");
    gateway.next().await;
    // Plain SIP at our own port.
    let mut phone = TcpStream::connect(gateway.at).await.unwrap();
    phone.write_all(OPTIONS).await.unwrap();
    assert!(matches!(gateway.next().await, Arrival::Closed(_)));
    assert_eq!(gateway.failures(Side::Inside), [(TlsFailure::NoTls, 1)]);
    assert!(gateway.streams.is_empty());
    // Nobody is called who could not prove himself.
    let (conn, upstream) = (None, None);
    let flow =
        Flow { listener: ListenerId(1), transport: Transport::Tls, peer: old, conn, upstream };
    let opens = Opens { holder: Holder::Upstream, upstream: None, host: None };
    gateway.streams.send(flow, Bytes::from_static(OPTIONS), Some(opens));
    assert!(matches!(gateway.next().await, Arrival::Failed(f) if f == flow));
}

/// What a phone makes of a connection, whoever we are.
async fn tls_of(
    stream: TcpStream,
    own: Option<&(String, String)>,
) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    #[derive(Debug)]
    struct Anybody;
    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::pki_types::{CertificateDer, UnixTime};
    impl ServerCertVerifier for Anybody {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, rustls::Error> {
            Ok(ServerCertVerified::assertion())
        }
        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &rustls::DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            Ok(HandshakeSignatureValid::assertion())
        }
        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &rustls::DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            Ok(HandshakeSignatureValid::assertion())
        }
        fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
            let provider = rustls::crypto::ring::default_provider();
            provider.signature_verification_algorithms.supported_schemes()
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(BOTH)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody));
    let config = match own {
        None => config.with_no_client_auth(),
        Some((certificate, key)) => {
            let key = files::key(key.as_bytes()).unwrap();
            let provider = rustls::crypto::ring::default_provider();
            let key = provider.key_provider.load_private_key(key).unwrap();
            // Whatever it is: others show what we would not.
            let chain = files::chain(certificate.as_bytes()).unwrap();
            let shown = rustls::sign::CertifiedKey::new(chain, key);
            config.with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(shown)))
        }
    };
    let name = ServerName::try_from("gate.example").unwrap();
    tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// A phone that connects, speaks and goes; what it got to know of our certificate.
async fn phone(
    at: SocketAddr,
    own: Option<&(String, String)>,
) -> std::io::Result<(Facts, Vec<u8>)> {
    let mut stream = tls_of(TcpStream::connect(at).await?, own).await?;
    let shown = stream.get_ref().1.peer_certificates().unwrap()[0].clone();
    let mut twice = OPTIONS.to_vec();
    twice.extend_from_slice(OPTIONS);
    twice.extend_from_slice(b"\r\n\r\n");
    stream.write_all(&twice).await?;
    let mut pong = [0; 2];
    stream.read_exact(&mut pong).await?;
    Ok((Facts::of(&shown).unwrap(), pong.to_vec()))
}

#[tokio::test]
async fn phones_are_heard_by_tls_and_who_shows_a_certificate_is_named_before_he_is_heard() {
    let place = Place::new("phones");
    let (ours, theirs) = (Authority::new(), Authority::new());
    place.write("phones.pem", &ours.1);
    let lan = |client: &str| {
        let ca = place.at("phones.pem");
        format!("{{ certificate = \"self-signed\", client = \"{client}\", client_ca = \"{ca}\" }}")
    };
    let mut g = gateway(&config(&place, &lan("ask"), "{}")).await;
    let own = ours.signs(&["sip:101@example.net", "phone.example"], 2100);
    let (at, shown) = (g.at, own.clone());
    let there = tokio::spawn(async move { phone(at, Some(&shown)).await });
    let Arrival::Secured { flow, names } = g.next().await else { panic!("he is named first") };
    let names: Vec<&str> = names.iter().map(Subject::as_str).collect();
    assert_eq!(names, ["sip:101@example.net", "phone.example"]);
    for _ in 0..2 {
        let Arrival::Message { flow: by, bytes, .. } = g.next().await else { panic!("heard") };
        assert_eq!((by, &bytes[..]), (flow, OPTIONS));
        assert_eq!((by.transport, by.upstream), (Transport::Tls, None));
    }
    assert_eq!(there.await.unwrap().unwrap().1, b"\r\n");
    assert!(matches!(g.next().await, Arrival::Closed(c) if Some(c) == flow.conn));
    // Nobody needs one here.
    let there = tokio::spawn(phone_of(at, None));
    assert!(matches!(g.next().await, Arrival::Message { .. }));
    assert!(there.await.unwrap().is_ok());
    for (client, own, kind) in [
        ("require", Some(theirs.signs(&["phone.example"], 2100)), TlsFailure::UnknownAuthority),
        ("require", Some(ours.signs(&["phone.example"], 2021)), TlsFailure::Expired),
        ("require", None, TlsFailure::NoCertificate),
    ] {
        let mut g = gateway(&config(&place, &lan(client), "{}")).await;
        assert!(phone(g.at, own.as_ref()).await.is_err());
        assert!(matches!(g.next().await, Arrival::Closed(_)));
        assert_eq!(g.failures(Side::Inside), [(kind, 1)]);
    }
}

async fn phone_of(at: SocketAddr, own: Option<(String, String)>) -> std::io::Result<()> {
    phone(at, own.as_ref()).await.map(drop)
}

#[tokio::test]
async fn a_certificate_of_our_own_stays_over_restarts_and_follows_its_names() {
    let place = Place::new("own");
    let mut c = config(&place, "\"self-signed\"", "{}");
    let shown = |c: &Config| {
        let all = Tls::open(c).unwrap().certificates();
        let of = |v: &&CertificateView| v.of == CertificateOf::Interface && v.name == "lan";
        all.iter().find(of).cloned().expect("it is shown")
    };
    let first = shown(&c);
    assert_eq!(first.names, "127.0.0.1");
    assert_eq!(shown(&c), first, "kept");
    c.site.domain = Some("site.example".to_owned());
    let second = shown(&c);
    assert_eq!(second.names, "site.example, 127.0.0.1");
    assert_eq!(second.pin, first.pin, "the key stays");
    assert_ne!(second.fingerprint, first.fingerprint);
    let key = Path::new(&c.state_dir).join("tls-lan.key");
    let mode = std::fs::metadata(&key).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    std::fs::write(&key, "nonsense").unwrap();
    let told = Tls::open(&c).map(drop).unwrap_err();
    assert!(told.contains("tls-lan.key: it holds no key: remove it"), "{told}");
    let g = gateway(&config(&Place::new("own2"), "\"self-signed\"", "{}")).await;
    let seen = phone(g.at, None).await.unwrap().0;
    let all = g.streams.tls().certificates();
    assert!(all.iter().any(|v| v.pin == seen.pin.unwrap().to_string()), "what is told is shown");
}

#[tokio::test]
async fn new_files_are_shown_to_who_comes_then_and_broken_ones_change_nothing() {
    let place = Place::new("renewed");
    let ours = Authority::new();
    let put = |pair: &(String, String)| {
        place.write("site.pem", &pair.0);
        place.write("site.key", &pair.1);
    };
    put(&ours.signs(&["one.example"], 2100));
    let (pem, key) = (place.at("site.pem"), place.at("site.key"));
    let lan = format!("{{ certificate = \"{pem}\", key = \"{key}\" }}");
    let g = gateway(&config(&place, &lan, "{}")).await;
    tokio::spawn(g.streams.clone().watch_proofs());
    assert_eq!(phone(g.at, None).await.unwrap().0.dns, ["one.example"]);
    put(&ours.signs(&["two.example", "and.more.example"], 2100));
    let renewed = async {
        while phone(g.at, None).await.unwrap().0.dns[0] != "two.example" {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(crate::driver::stream::WATCH * 4, renewed)
        .await
        .expect("it is read again");
    for (broken, words) in [
        ("nonsense", "holds no certificate"),
        (&*ours.signs(&["three.example"], 2100).0, "do not fit"),
    ] {
        place.write("site.pem", broken);
        let tls = g.streams.tls();
        tls.follow(&tls.0.settings.load_full().config.clone());
        let faults = tls.0.settings.load().faults.join("");
        assert!(faults.contains(words), "{faults}");
        assert_eq!(phone(g.at, None).await.unwrap().0.dns[0], "two.example");
    }
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o644)).unwrap();
    let told = Tls::open(&config(&place, &lan, "{}")).map(drop).unwrap_err();
    assert!(told.contains("site.key: others may read this secret"), "{told}");
}

#[tokio::test]
async fn who_never_ends_a_handshake_is_bounded_in_time_and_in_number() {
    let place = Place::new("slow");
    let mut g = gateway(&config(&place, "\"self-signed\"", "{}")).await;
    let mut slow = Vec::new();
    for _ in 0..40 {
        slow.push(TcpStream::connect(g.at).await.unwrap());
    }
    // Half of a hello.
    for stream in &mut slow {
        let _ = stream.write_all(&[22, 3, 1, 2, 0, 1, 0, 1, 0xfc]).await;
    }
    for _ in 0..8 {
        assert!(matches!(g.next().await, Arrival::Closed(_)), "the oldest give way");
    }
    assert_eq!(g.streams.len(), 32);
    for _ in 0..32 {
        assert!(matches!(g.next().await, Arrival::Closed(_)), "in time");
    }
    assert_eq!(g.failures(Side::Inside), [(TlsFailure::Timeout, 32)]);
    assert!(phone(g.at, None).await.is_ok());
}

/// A certificate of version 1, as `openssl x509 -req` makes it, and its key.
const OLD: (&str, &str) = (
    "-----BEGIN CERTIFICATE-----\n\
     MIIBLzCB1wIUK1gMy3IDdeO4cI55+YswF4X4888wCgYIKoZIzj0EAwIwGjEYMBYG\n\
     A1UEAwwPcGJ4LmV4YW1wbGUubmV0MCAXDTI2MTEyNzEyNTY1MloYDzIxMDAxMDMw\n\
     MTI1NjUyWjAaMRgwFgYDVQQDDA9wYnguZXhhbXBsZS5uZXQwWTATBgcqhkjOPQIB\n\
     BggqhkjOPQMBBwNCAAS70Z6qcQhIBPtlt8NT0GLySj2y+slSw1XsVZ8ro5uixBuB\n\
     0rM/Cw4MF7o0W4ZV6LdefglfRzWDGpjaDUhhyN54MAoGCCqGSM49BAMCA0cAMEQC\n\
     IDd1TGDhQQdywQITqP1fiM39GN38uG4Y+I8VLUNpgq2wAiAYPNF9fsv35KfsE8+V\n\
     NbYI4CA2mXpbSapW6NwyxnSe2A==\n\
     -----END CERTIFICATE-----\n",
    "-----BEGIN PRIVATE KEY-----\n\
     MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg5Qv/Coxx85ekCMEK\n\
     vl/goQppbjXAtjH/HGlvjZpRESShRANCAAS70Z6qcQhIBPtlt8NT0GLySj2y+slS\n\
     w1XsVZ8ro5uixBuB0rM/Cw4MF7o0W4ZV6LdefglfRzWDGpjaDUhhyN54\n\
     -----END PRIVATE KEY-----\n",
);

/// A certificate of another's making, and its key.
fn made(params: CertificateParams, key: &KeyPair, by: Option<&Authority>) -> (String, String) {
    let shown = match by {
        None => params.self_signed(key).unwrap(),
        Some(by) => params.signed_by(key, &by.0).unwrap(),
    };
    (shown.pem(), key.serialize_pem())
}

#[tokio::test]
async fn what_is_pinned_is_a_key_whatever_its_certificate_says() {
    let place = Place::new("pinned");
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["sip.example.net".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = made(params, &key, None);
    let mut params = CertificateParams::new(vec!["sip.example.net".to_owned()]).unwrap();
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    let ours = Authority::new();
    let client = made(params, &key, Some(&ours));
    let old = (OLD.0.to_owned(), OLD.1.to_owned());
    for (shown, words) in [
        (&old, "it is an old one (version 1): verify = \"pinned\" with sha-256:"),
        (&authority, "it is an authority's own: verify = \"pinned\" with sha-256:"),
        (&client, "for another purpose than a server's: verify = \"pinned\" with sha-256:"),
    ] {
        let pem = if std::ptr::eq(shown, &client) { &ours.1 } else { &shown.0 };
        place.write("ca.pem", pem);
        let ca = format!("{{ verify = \"ca-file\", ca_file = \"{}\" }}", place.at("ca.pem"));
        let (kind, why) = verdict(&place, &ca, shown).await.expect("it is not believed");
        assert!(kind == TlsFailure::Certificate && why.contains(words), "{why}");
        let facts = Facts::of(&files::chain(shown.0.as_bytes()).unwrap()[0]).unwrap();
        let pbx = format!("{{ verify = \"pinned\", pins = [\"{}\"] }}", facts.pin.unwrap());
        for version in [&[&rustls::version::TLS12][..], &[&rustls::version::TLS13]] {
            let g = gateway(&config(&place, "\"self-signed\"", &pbx)).await;
            let (at, there) = upstream(shown, version).await;
            g.call(at);
            let got = tokio::time::timeout(Duration::from_secs(20), there).await.unwrap();
            assert_eq!(got.unwrap().as_deref(), Some(OPTIONS), "{words}");
        }
    }
}

#[test]
fn a_chain_that_is_longer_than_anybody_needs_is_not_looked_at() {
    let one = |n: usize| CertificateDer::from(vec![0; n]);
    assert_eq!(chain::bounded(&one(1000), &vec![one(1000); 4]), Ok(()));
    for rest in [vec![one(100); 5], vec![one(8000); 2]] {
        let told = chain::bounded(&one(1000), &rest).unwrap_err();
        assert_eq!(told.kind, TlsFailure::Certificate);
        assert!(told.text.contains("it should show its own"), "{told}");
    }
}

#[tokio::test]
async fn a_phone_that_shows_a_crowd_of_authorities_is_refused_before_they_are_looked_at() {
    let place = Place::new("crowd");
    let ours = Authority::new();
    place.write("phones.pem", &ours.1);
    let lan = format!(
        "{{ certificate = \"self-signed\", client = \"require\", client_ca = \"{}\" }}",
        place.at("phones.pem")
    );
    let mut g = gateway(&config(&place, &lan, "{}")).await;
    let (mut shown, key) = ours.signs(&["phone.example"], 2100);
    for _ in 0..5 {
        shown.push_str(&Authority::new().1);
    }
    assert!(phone(g.at, Some(&(shown, key))).await.is_err());
    assert!(matches!(g.next().await, Arrival::Closed(_)));
    assert_eq!(g.failures(Side::Inside), [(TlsFailure::Certificate, 1)]);
}

#[tokio::test]
async fn who_wants_a_certificate_of_ours_is_heard_though_he_says_so_late() {
    let place = Place::new("wants");
    let ours = Authority::new();
    place.write("ca.pem", &ours.1);
    let pbx = format!("{{ verify = \"ca-file\", ca_file = \"{}\" }}", place.at("ca.pem"));
    let shown = ours.signs(&["sip.example.net"], 2100);
    let mut g = gateway(&config(&place, "\"self-signed\"", &pbx)).await;
    let roots = Arc::new(files::authorities(&place.at("ca.pem")).unwrap());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let asks = rustls::server::WebPkiClientVerifier::builder_with_provider(roots, provider.clone());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_client_cert_verifier(asks.build().unwrap())
        .with_single_cert(
            files::chain(shown.0.as_bytes()).unwrap(),
            files::key(shown.1.as_bytes()).unwrap(),
        )
        .unwrap();
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = socket.accept().await.unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        assert!(acceptor.accept(stream).await.is_err());
    });
    g.call(at);
    let Arrival::Unproved { why, .. } = g.next().await else { panic!("it is told") };
    assert!(why.contains("set `certificate` and `key` of its tls"), "{why}");
    assert!(matches!(g.next().await, Arrival::Failed(f) if f.peer == at));
    assert_eq!(g.failures(Side::Outside), [(TlsFailure::Refused, 1)]);
}

#[test]
fn what_is_not_common_is_told_by_its_cause_and_what_is_no_pem_in_words() {
    use rustls::PeerIncompatible as Is;
    for (what, words) in [
        (Is::NoCipherSuitesInCommon, "a certificate's key"),
        (Is::NoSignatureSchemesInCommon, "an RSA key"),
        (Is::SignatureAlgorithmsExtensionRequired, "but 1.0 or 1.1"),
        (Is::NoKxGroupsInCommon, "ECDHE"),
    ] {
        let error = std::io::Error::other(rustls::Error::PeerIncompatible(what));
        let told = Failure::of(&error);
        let words = words.replace("a certificate's", "our certificate's");
        assert!(told.kind == TlsFailure::Version && told.text.contains(&words), "{told}");
    }
    let half = "-----BEGIN CERTIFICATE-----\nMIIB\n";
    let told = files::chain(half.as_bytes()).unwrap_err();
    assert_eq!(told, "it is no whole PEM: -----END CERTIFICATE----- is missing");
}

/// A ClientHello that says it is of this length, and all of it but the last octet.
fn long_hello(length: usize) -> Vec<u8> {
    let [.., a, b, c] = u32::try_from(length).unwrap().to_be_bytes();
    let hello = [&[1, a, b, c][..], &vec![7; length - 1]].concat();
    let mut all = Vec::new();
    for part in hello.chunks(16_000) {
        all.extend([22, 3, 1]);
        all.extend(u16::try_from(part.len()).unwrap().to_be_bytes());
        all.extend(part);
    }
    all
}

#[tokio::test]
async fn a_handshake_counts_while_it_is_in_progress_and_a_long_hello_is_not_waited_for() {
    let place = Place::new("hello");
    let mut g = gateway(&config(&place, "\"self-signed\"", "{}")).await;
    let mut slow = TcpStream::connect(g.at).await.unwrap();
    slow.write_all(&long_hello(8_000)).await.unwrap();
    while g.streams.shares()[1].used != 64 * 1024 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut long = TcpStream::connect(g.at).await.unwrap();
    long.write_all(&long_hello(60_000)).await.unwrap();
    assert!(matches!(g.next().await, Arrival::Closed(_)));
    assert_eq!(g.failures(Side::Inside), [(TlsFailure::Other, 1)]);
    drop(slow);
    assert!(matches!(g.next().await, Arrival::Closed(_)));
    assert_eq!(g.streams.shares()[1].used, 0);
}

#[tokio::test]
async fn a_record_that_has_begun_is_complete_within_a_time_and_a_phone_between_messages_stays() {
    let place = Place::new("record");
    let mut g = gateway(&config(&place, "\"self-signed\"", "{}")).await;
    let mut all = Vec::new();
    for half in [true, false] {
        let stream = TcpStream::connect(g.at).await.unwrap();
        let mut stream = tls_of(stream, None).await.unwrap();
        stream.write_all(OPTIONS).await.unwrap();
        let Arrival::Message { flow, .. } = g.next().await else { panic!("heard") };
        if half {
            let beneath = stream.get_mut().0;
            beneath.write_all(&[23, 3, 3, 0x40, 0]).await.unwrap();
            beneath.write_all(&[0; 1_000]).await.unwrap();
        }
        all.push((stream, flow.conn.unwrap()));
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    tokio::time::pause();
    let closed = tokio::time::timeout(Duration::from_secs(60), g.next()).await.expect("one ends");
    assert!(matches!(closed, Arrival::Closed(conn) if conn == all[0].1), "{closed:?}");
    let quiet = tokio::time::timeout(Duration::from_secs(600), g.arrivals.next(&mut g.heard)).await;
    assert!(quiet.is_err(), "the other stays");
}

#[tokio::test]
async fn a_crowd_of_slow_handshakes_keeps_nobody_known_from_his_own() {
    let place = Place::new("slow");
    let g = gateway(&config(&place, "\"self-signed\"", "{}")).await;
    let mut slow = Vec::new();
    for n in 2..9_u8 {
        for _ in 0..30 {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind(SocketAddr::from(([127, 0, 3, n], 0))).unwrap();
            slow.push(socket.connect(g.at).await.unwrap());
        }
    }
    g.streams.know("127.0.0.1".parse().unwrap(), Duration::from_secs(60));
    let there = tokio::time::timeout(Duration::from_secs(5), phone(g.at, None)).await;
    assert!(there.expect("in time").is_ok());
    let most = 128 * 64 * 1024;
    assert!(g.streams.shares()[1].used <= most, "{:?}", g.streams.shares()[1]);
}

#[tokio::test]
async fn where_strangers_hear_nothing_a_certificate_says_what_is_advertised_and_asks_by_no_name() {
    let place = Place::new("plain");
    let ours = Authority::new();
    place.write("phones.pem", &ours.1);
    let mut c = config(&place, "\"self-signed\"", "{}");
    c.site.domain = Some("site.example".to_owned());
    c.interfaces[1].strangers = crate::config::Strangers::Silent;
    let names = |c: &Config, name: &str| {
        let all = Tls::open(c).unwrap().certificates();
        let of = |v: &&CertificateView| v.of == CertificateOf::Interface && v.name == name;
        all.iter().find(of).expect("it is shown").names.clone()
    };
    assert_eq!(names(&c, "lan"), "site.example, 127.0.0.1");
    assert_eq!(names(&c, "wan"), "127.0.0.2");
    c.interfaces[1].strangers = crate::config::Strangers::Answer;
    assert_eq!(names(&c, "wan"), "site.example, 127.0.0.2");
    c.interfaces[1].strangers = crate::config::Strangers::Silent;
    // One that says who made it is made anew there, and stays where phones may have taken it.
    for (name, stays) in [("lan", true), ("wan", false)] {
        let kept = place.at(&format!("state/tls-{name}.pem"));
        let key = std::fs::read_to_string(place.at(&format!("state/tls-{name}.key"))).unwrap();
        names(&c, name);
        let key = KeyPair::from_pem(&key).unwrap();
        let own = if stays { vec!["site.example", "127.0.0.1"] } else { vec!["127.0.0.2"] };
        let own: Vec<String> = own.into_iter().map(str::to_owned).collect();
        let mut params = CertificateParams::new(own).unwrap();
        params.distinguished_name.push(rcgen::DnType::OrganizationName, "portreeve");
        params.not_after = date_time_ymd(2100, 1, 1);
        let before = params.self_signed(&key).unwrap().pem();
        std::fs::write(&kept, &before).unwrap();
        names(&c, name);
        assert_eq!(std::fs::read_to_string(&kept).unwrap() == before, stays, "{name}");
    }
    // The names of authorities are asked by where nobody strange looks on.
    for (strangers, told) in
        [(crate::config::Strangers::Silent, false), (crate::config::Strangers::Answer, true)]
    {
        let tls = c.interfaces[1].tls.as_mut().unwrap();
        tls.client = crate::config::ClientCertificate::Ask;
        tls.client_ca = Some(place.at("phones.pem"));
        c.interfaces[1].strangers = strangers;
        let server = Tls::open(&c).unwrap().server(1).unwrap();
        let asked = hello_answered(server.config);
        let name = b"an authority of tests";
        assert_eq!(asked.windows(name.len()).any(|part| part == name), told);
    }
}

/// What a server sends to a client of TLS 1.2, where all of it is in clear.
fn hello_answered(server: Arc<ServerConfig>) -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let name = ServerName::try_from("gate.example").unwrap();
    let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut server = rustls::ServerConnection::new(server).unwrap();
    let (mut there, mut back) = (Vec::new(), Vec::new());
    client.write_tls(&mut there).unwrap();
    server.read_tls(&mut &there[..]).unwrap();
    server.process_new_packets().unwrap();
    while server.wants_write() {
        server.write_tls(&mut back).unwrap();
    }
    back
}

#[tokio::test]
async fn who_has_to_go_as_his_turn_comes_stops_nobody() {
    let place = Place::new("hasty");
    let g = gateway(&config(&place, "\"self-signed\"", "{}")).await;
    g.streams.know("127.0.0.1".parse().unwrap(), Duration::from_secs(60));
    let mut all = Vec::new();
    for _ in 0..600 {
        // All of them are there before the first is accepted.
        all.extend(std::net::TcpStream::connect(g.at));
    }
    assert!(all.len() > 500);
    let there = tokio::time::timeout(Duration::from_secs(20), phone(g.at, None)).await;
    assert!(there.expect("in time").is_ok());
}
