//! Certificates of our own making: how long they stay, what they say, and what strangers learn.

use super::*;

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
