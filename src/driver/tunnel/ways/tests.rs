use super::*;
use crate::driver::tunnel::ledger::Ledger;
use crate::driver::tunnel::simulated;
use std::os::unix::fs::PermissionsExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[test]
fn a_connection_that_is_missing_is_asked_for_at_once_and_then_rarer_and_rarer() {
    let (mut wait, mut waits) = (MISSING.0, Vec::new());
    for lasted in [0, 0, 5, 0, 0, 0, 0, 31, 0] {
        let (now, next) = missed(wait, Duration::from_secs(lasted));
        waits.push(now.as_secs());
        wait = next;
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30, 1, 2]);
}

fn site() -> Site {
    let connect = "gate.example.net:443";
    let tunnel = simulated::tunnel(connect, None);
    Site {
        link: Arc::new(Link::new("office", tunnel, Arc::default(), Ledger::unread())),
        identity: Identity::new(simulated::key()),
        connect: Place::parse(connect).unwrap(),
        bearer: BearerChoice::Auto,
        proxy: None,
        dscp: 0,
        memory: Memory::default(),
    }
}

/// What a proxy that knows nobody was asked, in order: whether somebody said who he is.
#[tokio::test]
async fn a_proxy_that_believes_nobody_is_told_the_password_once() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let asked = Arc::<Mutex<Vec<bool>>>::default();
    let told = asked.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = vec![0; 4_096];
            let octets = stream.read(&mut head).await.unwrap();
            let head = String::from_utf8_lossy(&head[..octets]).into_owned();
            told.lock().unwrap().push(head.contains("Proxy-Authorization: Digest"));
            let challenge = "HTTP/1.1 407 Who\r\nProxy-Authenticate: Digest realm=\"a\", \
                             nonce=\"n\"\r\nContent-Length: 0\r\n\r\n";
            stream.write_all(challenge.as_bytes()).await.unwrap();
        }
    });
    let file = std::env::temp_dir().join(format!("portreeve-proxy-{}", std::process::id()));
    let writes = |password| {
        std::fs::write(&file, password).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    writes("wrong");
    let proxy = Proxy {
        is_of_environment: false,
        place: Place::parse(&at.to_string()).unwrap(),
        user: Some("site".to_owned()),
        password: None,
        password_file: Some(file.to_str().unwrap().to_owned()),
        auth: None,
    };
    let site = Arc::new(site());
    for _ in 0..5 {
        let why = through(&site, &proxy).await.unwrap_err();
        assert!(why.contains("does not believe user and password"), "{why}");
    }
    assert_eq!(*asked.lock().unwrap(), [false, true], "it locks nobody's account");
    site.link.follow(&simulated::tunnel("gate.example.net:443", None));
    through(&site, &proxy).await.unwrap_err();
    assert_eq!(asked.lock().unwrap().len(), 4, "a reload has it asked again");
    writes("another");
    through(&site, &proxy).await.unwrap_err();
    assert_eq!(asked.lock().unwrap().len(), 6, "the password is another");
    std::fs::remove_file(&file).unwrap();
}
