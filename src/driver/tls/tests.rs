//! Whole connections on loopback: who is believed, who is not and in which words, and what is read
//! again.

mod bounds;
mod callers;
mod changeable;
mod held;
mod own;
mod upstreams;

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
use upstreams::{OLD, verdict};

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
        Self::until(2100)
    }

    /// One whose own certificate ends with the year before.
    fn until(year: i32) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
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

/// What a phone speaks TLS with, whoever we are.
fn client(own: Option<&(String, String)>) -> ClientConfig {
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
    match own {
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
    }
}

/// What a phone makes of a connection, whoever we are.
async fn tls_of(
    stream: TcpStream,
    own: Option<&(String, String)>,
) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let name = ServerName::try_from("gate.example").unwrap();
    tokio_rustls::TlsConnector::from(Arc::new(client(own))).connect(name, stream).await
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
async fn files_are_read_at_once_when_somebody_asks_and_what_is_taken_is_named() {
    let place = Place::new("at-once");
    let ours = Authority::new();
    let put = |pair: &(String, String)| {
        place.write("site.pem", &pair.0);
        place.write("site.key", &pair.1);
    };
    put(&ours.signs(&["one.example"], 2100));
    let (pem, key) = (place.at("site.pem"), place.at("site.key"));
    let lan = format!("{{ certificate = \"{pem}\", key = \"{key}\" }}");
    let g = gateway(&config(&place, &lan, "{}")).await;
    let tls = g.streams.tls();
    assert!(tls.renew().is_empty(), "the same");
    put(&ours.signs(&["two.example"], 2101));
    let name = tls.certificates()[0].name.clone();
    assert_eq!(tls.renew(), [format!("certificate of {name}: until 2101-01-01")]);
    assert_eq!(phone(g.at, None).await.unwrap().0.dns, ["two.example"]);
    // One that holds no more is shown all the same, and told of as such.
    put(&ours.signs(&["three.example"], 2021));
    let want = format!("certificate of {name}: EXPIRED, it held until 2021-01-01");
    assert_eq!(tls.renew(), [want]);
    place.write("site.pem", "nonsense");
    assert!(tls.renew().is_empty(), "what was read before stays");
}

/// A certificate of another's making, and its key.
fn made(params: CertificateParams, key: &KeyPair, by: Option<&Authority>) -> (String, String) {
    let shown = match by {
        None => params.self_signed(key).unwrap(),
        Some(by) => params.signed_by(key, &by.0).unwrap(),
    };
    (shown.pem(), key.serialize_pem())
}

#[test]
fn lines_of_strangers_and_of_one_side_hide_nobody_else_s() {
    let config = include_str!("../../../configs/minimal.toml");
    let config = Config::parse("x", config, &Environment::default()).unwrap();
    let tls = Tls::open(&config).unwrap();
    for n in 1..=20 {
        assert_eq!(tls.line(Side::Outside, false), n);
    }
    for (side, known) in [(Side::Outside, true), (Side::Inside, false), (Side::Inside, true)] {
        assert_eq!(tls.line(side, known), 1);
    }
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
