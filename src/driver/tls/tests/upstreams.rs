//! Whom we call: whose certificate is believed, by authority, name or pin, and who wants ours.

use super::*;

/// A certificate of version 1, as `openssl x509 -req` makes it, and its key.
pub(super) const OLD: (&str, &str) = (
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

/// What we say of an upstream that shows this, believing `pbx`; `None`: it is believed.
pub(super) async fn verdict(
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

#[tokio::test]
async fn who_wants_a_certificate_of_ours_is_heard_though_he_says_so_late() {
    let place = Place::new("wants");
    let ours = Authority::new();
    place.write("ca.pem", &ours.1);
    let pbx = format!("{{ verify = \"ca-file\", ca_file = \"{}\" }}", place.at("ca.pem"));
    let shown = ours.signs(&["sip.example.net"], 2100);
    let mut g = gateway(&config(&place, "\"self-signed\"", &pbx)).await;
    let roots = Arc::new(files::authorities(&place.at("ca.pem")).unwrap().store());
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

#[tokio::test]
async fn what_somebody_else_shows_in_an_upstream_s_place_is_not_seen_as_its_own() {
    let place = Place::new("seen");
    let (ours, theirs) = (Authority::new(), Authority::new());
    place.write("ca.pem", &ours.1);
    let pbx = format!("{{ verify = \"ca-file\", ca_file = \"{}\" }}", place.at("ca.pem"));
    let mut g = gateway(&config(&place, "\"self-signed\"", &pbx)).await;
    let seen = |g: &Gateway| {
        let all = g.streams.tls().certificates();
        all.into_iter().find(|v| v.of == CertificateOf::Upstream).map(|v| v.names)
    };
    let name = "sip.example.net";
    let (other, _there) = upstream(&theirs.signs(&[name, "x.example"], 2022), BOTH).await;
    g.call(other);
    assert!(matches!(g.next().await, Arrival::Unproved { .. }));
    assert!(matches!(g.next().await, Arrival::Failed(_)));
    assert_eq!(seen(&g), None);
    // Who has its certificate, and not its key.
    let (certificate, _) = ours.signs(&[name, "stolen.example"], 2100);
    let stolen = (certificate, KeyPair::generate().unwrap().serialize_pem());
    let (thief, _there) = upstream(&stolen, BOTH).await;
    g.call(thief);
    assert!(matches!(g.next().await, Arrival::Unproved { .. }));
    assert!(matches!(g.next().await, Arrival::Failed(_)));
    assert_eq!(seen(&g), None);
    let (at, there) = upstream_until(&ours.signs(&[name], 2100), BOTH, |_| true).await;
    g.call(at);
    assert!(there.await.unwrap().is_some());
    assert_eq!(seen(&g).as_deref(), Some(name));
}
