use super::*;
use crate::config::Environment;
use crate::driver::clock::Clock;
use crate::driver::tunnel::{Kind, Tunnels, key};
use std::fs::Permissions;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const OTHER: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

fn folder(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("portreeve-look-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

fn own(dir: &Path, end: &str) -> String {
    let file = dir.join(format!("{end}.key"));
    key::make(&file).unwrap().to_string()
}

/// A port that is free by UDP and by TCP.
fn free() -> u16 {
    for _ in 0..100 {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let at = udp.local_addr().unwrap();
        if TcpListener::bind(at).is_ok() {
            return at.port();
        }
    }
    panic!("no port is free");
}

fn read(text: &str) -> Config {
    Config::parse("t", text, &Environment::default()).unwrap()
}

fn site(dir: &Path, port: u16, peer: &str, more: &str) -> Config {
    read(&format!(
        "site = {{ name = \"berlin\" }}\n[[interface]]\nname = \"lan\"\nside = \"inside\"\n\
         address = \"10.17.0.1\"\n[[interface]]\nname = \"office\"\nside = \"outside\"\n\
         link = \"tunnel\"\nconnect = \"127.0.0.1:{port}\"\npeer_key = \"{peer}\"\n\
         key_file = \"{}/site.key\"\n{more}\n[[upstream]]\nname = \"pbx\"\ndomain = \"pbx.test\"\n",
        dir.display()
    ))
}

fn office(dir: &Path, port: u16, name: &str, peer: &str) -> Tunnels {
    let config = read(&format!(
        "[[interface]]\nname = \"sites\"\nside = \"inside\"\nlink = \"tunnel\"\n\
         address = \"127.0.0.1\"\nlisten = [\"udp:{port}\", \"tcp:{port}\"]\n\
         key_file = \"{}/office.key\"\n[[peer]]\nname = \"{name}\"\nkey = \"{peer}\"\n\
         [[interface]]\nname = \"wan\"\nside = \"outside\"\naddress = \"192.0.2.1\"\n\
         [[upstream]]\nname = \"pbx\"\naddress = \"192.0.2.2:5060\"\ninterface = \"wan\"\n",
        dir.display()
    ));
    Tunnels::start(&config, Clock::start(), None).unwrap()
}

fn came(all: &[Tried], step: Step) -> &Result<String, (String, String)> {
    &all.iter().find(|tried| tried.step == step).unwrap_or_else(|| panic!("{step:?}: {all:?}")).came
}

fn seen(all: &[Tried], step: Step) -> &str {
    came(all, step).as_ref().map_or_else(|(seen, _)| seen.as_str(), |at| at.as_str())
}

#[tokio::test]
async fn a_way_that_is_open_is_good_and_what_carries_meanwhile_is_not_touched() {
    let (dir, port) = (folder("good"), free());
    let (ours, theirs) = (own(&dir, "site"), own(&dir, "office"));
    let there = office(&dir, port, "berlin", &ours);
    let config = site(&dir, port, &theirs, "");
    let here = Tunnels::start(&config, Clock::start(), None).unwrap();
    let up = || here.views().remove(0).bearer;
    for _ in 0..1_000 {
        if up().is_some() {
            break;
        }
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(up().map(|(kind, _)| kind), Some(Kind::Quic));
    let all = look(&config, 1).await;
    for step in [Step::Udp, Step::Tcp, Step::TcpTls] {
        assert_eq!(came(&all, step), &Ok(format!("127.0.0.1:{port}")), "{all:?}");
    }
    assert!(all.iter().all(|tried| tried.step != Step::Proxy), "there is none");
    for end in [&here, &there] {
        let view = end.views().remove(0);
        assert_eq!((view.bearer.is_some(), view.connections), (true, 1), "{view:?}");
    }
    here.end();
    there.end();
    std::fs::remove_dir_all(&dir).unwrap();
}

#[tokio::test]
async fn another_key_is_told_with_the_key_that_came_by_both_bearers() {
    let (dir, port) = (folder("keys"), free());
    let (ours, theirs) = (own(&dir, "site"), own(&dir, "office"));
    let there = office(&dir, port, "berlin", &ours);
    let all = look(&site(&dir, port, OTHER, ""), 1).await;
    let want = format!("the head office shows the key {theirs}, and peer_key is {OTHER}");
    for step in [Step::Udp, Step::TcpTls] {
        let Err((seen, todo)) = came(&all, step) else { panic!("{all:?}") };
        assert!(seen.ends_with(&want), "{seen}");
        assert!(seen.starts_with(&format!("127.0.0.1:{port} (")), "{seen}");
        assert_eq!(todo, "if it was changed there, put the new one in the file");
    }
    there.end();
    // And ours there.
    let port = free();
    let there = office(&dir, port, "berlin", OTHER);
    let all = look(&site(&dir, port, &theirs, ""), 1).await;
    for step in [Step::Udp, Step::TcpTls] {
        let Err((seen, todo)) = came(&all, step) else { panic!("{all:?}") };
        assert!(seen.ends_with(&format!("our key is not known there ({ours})")), "{seen}");
        assert!(
            todo.starts_with("it belongs there in the `key` of this site's [[peer]]"),
            "{todo}"
        );
    }
    there.end();
    // A name that differs is told by who has the other one.
    let port = free();
    let there = office(&dir, port, "seoul", &ours);
    let all = look(&site(&dir, port, &theirs, ""), 1).await;
    for step in [Step::Udp, Step::TcpTls] {
        let told = seen(&all, step);
        assert!(told.contains("this key is of site \"seoul\" here"), "{told}");
        assert!(told.contains("one of the two names has to be written"), "{told}");
    }
    there.end();
    std::fs::remove_dir_all(&dir).unwrap();
}

#[tokio::test]
async fn where_nobody_is_and_what_is_no_gateway_is_told() {
    let (dir, port) = (folder("nobody"), free());
    own(&dir, "site");
    let all = look(&site(&dir, port, OTHER, ""), 1).await;
    for step in [Step::Udp, Step::Tcp] {
        assert!(seen(&all, step).ends_with("nobody listens there"), "{all:?}");
    }
    assert!(all.iter().all(|tried| tried.step != Step::TcpTls), "there is nothing to speak by");
    // A page of somebody's in the head office's place.
    let page = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = page.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = page.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let all = look(&site(&dir, port, OTHER, "bearer = \"tcp\""), 1).await;
    assert!(seen(&all, Step::TcpTls).contains("is not the head office"), "{all:?}");
    assert!(all.iter().all(|tried| tried.step != Step::Udp), "it is not to be used");
    std::fs::remove_dir_all(&dir).unwrap();
}

/// A proxy that answers each request with the next of these heads.
async fn proxy(answers: Vec<&'static str>) -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        for answer in answers {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            let mut asked = [0; 2_048];
            let _ = stream.read(&mut asked).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    port
}

#[tokio::test]
async fn what_a_proxy_says_is_told_with_what_to_do() {
    let dir = folder("proxies");
    own(&dir, "site");
    let password = dir.join("password");
    std::fs::write(&password, "secret\n").unwrap();
    std::fs::set_permissions(&password, Permissions::from_mode(0o600)).unwrap();
    let who = "HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic realm=\"x\"\r\n\r\n";
    let ntlm =
        "HTTP/1.1 407 Who\r\nProxy-Authenticate: NTLM\r\nProxy-Authenticate: Negotiate\r\n\r\n";
    let known = format!("proxy_user = \"u\"\nproxy_password_file = \"{}\"", password.display());
    for (answers, account, says) in [
        (
            vec!["HTTP/1.1 403 Forbidden\r\n\r\n"],
            "",
            "403 Forbidden to CONNECT 192.0.2.9:443: it forbids",
        ),
        (vec!["HTTP/1.1 502 Bad\r\n\r\n"], "", "it does not reach the head office"),
        (vec!["HTTP/1.1 302 X\r\nLocation: http://login\r\n\r\n"], "", "first, at http://login"),
        (vec![who], "", "it asks who we are (407: Basic)"),
        (vec![ntlm], known.as_str(), "in a way that is not known here (407: NTLM, Negotiate)"),
        (vec![who, who], known.as_str(), "it does not believe user and password (407)"),
        (vec![""], "", "it ends the connection without an answer"),
        (vec!["220 mail ESMTP\r\n\r\n"], "", "it speaks no HTTP"),
    ] {
        let port = proxy(answers).await;
        let more = format!("bearer = \"tcp\"\nproxy = \"http://127.0.0.1:{port}\"\n{account}");
        let mut config = site(&dir, 443, OTHER, &more);
        let crate::config::Link::Tunnel(tunnel) = &mut config.interfaces[1].link else { panic!() };
        let End::Site { connect, .. } = &mut tunnel.end else { panic!() };
        // An address for documentation: nobody is there.
        *connect = Place::parse("192.0.2.9:443").unwrap();
        let all = by_proxy(&super::site(&config, 1).unwrap()).await;
        let Err((seen, todo)) = came(&all, Step::Proxy) else { panic!("{all:?}") };
        assert!(seen.contains(says), "{says}: {seen}");
        assert!(seen.starts_with(&format!("proxy 127.0.0.1:{port}: ")) && !todo.is_empty());
        assert!(!seen.contains("secret"), "{seen}");
    }
    std::fs::remove_dir_all(&dir).unwrap();
}
