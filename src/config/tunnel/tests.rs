use super::super::{Config, Environment, Interface, Link, show};
use super::*;
use crate::ground::Side;

const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const OTHER: &str = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY=";

fn read(text: &str) -> Result<Config, String> {
    let read = Config::parse("t", text, &Environment::default());
    read.map_err(|all| all.iter().map(ToString::to_string).collect())
}

fn site(lines: &str) -> String {
    format!(
        "site = {{ name = \"berlin\" }}\n[[interface]]\nname = \"phones\"\nside = \"inside\"\n\
         address = \"10.17.0.1\"\n[[interface]]\nname = \"office\"\nside = \"outside\"\n\
         link = \"tunnel\"\n{lines}\n[[upstream]]\nname = \"pbx\"\ndomain = \"pbx.example\"\n"
    )
}

fn head_office(lines: &str) -> String {
    format!(
        "[[interface]]\nname = \"sites\"\nside = \"inside\"\nlink = \"tunnel\"\n{lines}\n\
         [[interface]]\nname = \"wan\"\nside = \"outside\"\naddress = \"192.0.2.1\"\n\
         [[upstream]]\nname = \"pbx\"\naddress = \"192.0.2.2:5060\"\ninterface = \"wan\"\n"
    )
}

const ZEROS: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// A head office that listens twice at one port: once for a peer, once for a single site.
fn two_doors(lines: &str) -> String {
    let first = head_office("listen = [\"udp:443\", \"tcp:443\"]");
    format!(
        "{first}[[interface]]\nname = \"seoul\"\nside = \"inside\"\nlink = \"tunnel\"\n\
         peer_key = \"{OTHER}\"\n{lines}\n"
    )
}

const CONNECT: &str = "connect = \"gate.example.net:443\"\npeer_key = ";

#[test]
fn both_ends_stand_where_the_other_looks_for_them() {
    let here = read(&site(&format!("{CONNECT}\"{KEY}\""))).unwrap();
    let there = head_office("listen = \"udp:443\"");
    let peer = format!("{there}[[peer]]\nname = \"berlin\"\nkey = \"{OTHER}\"\n");
    let there = read(&peer).unwrap();
    let (office, berlin) = (&here.interfaces[1], &there.interfaces[0]);
    let (a, b) = (office.link.tunnel().unwrap(), berlin.link.tunnel().unwrap());
    assert_eq!((a.own(), a.far()), (b.far(), b.own()));
    assert_ne!(a.own(), a.far());
    assert!(a.own().to_string().starts_with("2001:2"), "RFC 7343: {}", a.own());
    assert_eq!(berlin.name, "berlin");
    assert_eq!((berlin.side, office.side), (Side::Inside, Side::Outside));
    assert_eq!(berlin.networks, [b.far().into()]);
    assert_eq!(a.peer, PublicKey::parse(KEY));
    assert_eq!(b.peer, PublicKey::parse(OTHER));
    // Who is reached by a tunnel needs no address, and is known by the tunnel's key.
    let pbx = &here.upstreams[0];
    assert_eq!(pbx.fixed().next().unwrap().peer, SocketAddr::new(a.far(), PORT));
    assert_eq!(pbx.tls_subject, ["tunnel:berlin"]);
    assert!(pbx.is_tls_alone() && pbx.sources.is_empty());
}

#[test]
fn several_sites_come_by_one_port_and_each_is_an_interface() {
    let peer = |name: &str, key: &str| format!("[[peer]]\nname = \"{name}\"\nkey = \"{key}\"\n");
    let two = format!(
        "{}{}{}",
        head_office("listen = \"udp:443\"\naddress = \"192.0.2.1\""),
        peer("berlin", KEY),
        peer("seoul", OTHER)
    );
    let c = read(&two).unwrap();
    let names: Vec<&str> = c.interfaces.iter().map(|i| i.name.as_str()).collect();
    assert_eq!(names, ["berlin", "seoul", "wan"]);
    let own = |n: usize| c.interfaces[n].addresses.first().unwrap().ip;
    assert_ne!(own(0), own(1));
    let shown = read(&show(&c)).unwrap();
    assert_eq!(shown.interfaces, c.interfaces);
    // A key that was stolen is taken back by a reload, and its interface keeps its place.
    let one = two.replace(&peer("seoul", OTHER), "");
    let (after, changes) = read(&one).unwrap().following(&c);
    assert_eq!(changes.now, ["interface.seoul.peer_key"]);
    assert_eq!(changes.restart, [""; 0]);
    let Link::Tunnel(seoul) = &after.interfaces[1].link else { panic!() };
    assert_eq!(seoul.peer, None);
    let other = KEY.replace("MDEy", "MDEz");
    let (after, changes) = read(&two.replace(KEY, &other)).unwrap().following(&c);
    assert_eq!(changes.now, ["interface.berlin.peer_key"]);
    assert_eq!(after.interfaces[0].link.tunnel().unwrap().peer, PublicKey::parse(&other));
}

#[test]
fn the_key_of_the_only_site_is_taken_back_by_taking_it_out() {
    let text = head_office("listen = \"udp:443\"");
    let c = read(&format!("{text}[[peer]]\nname = \"berlin\"\nkey = \"{KEY}\"\n")).unwrap();
    let nobody = read(&text).unwrap();
    assert!(nobody.doubts().iter().any(|d| d.contains("nobody may come")), "{:?}", nobody.doubts());
    let (after, changes) = nobody.following(&c);
    assert_eq!(changes.now, ["interface.berlin.peer_key"]);
    assert_eq!(after.interfaces.len(), c.interfaces.len());
    let Link::Tunnel(berlin) = &after.interfaces[0].link else { panic!() };
    assert_eq!(berlin.peer, None);
}

#[test]
fn a_site_comes_and_goes_and_comes_again_without_a_restart() {
    let peer = |name: &str, key: &str| format!("[[peer]]\nname = \"{name}\"\nkey = \"{key}\"\n");
    let text = head_office("listen = \"udp:443\"");
    let [berlin, seoul] = [peer("berlin", KEY), peer("seoul", OTHER)];
    let follow = |running: &Config, peers: &str| {
        let (after, changes) = read(&format!("{text}{peers}")).unwrap().following(running);
        assert_eq!(changes.restart, [""; 0], "{peers}");
        let has_key = |i: &&Interface| i.link.tunnel().is_some_and(|t| t.peer.is_some());
        let believed = after.interfaces.iter().filter(has_key).map(|i| i.name.clone());
        let believed: Vec<String> = believed.collect();

        (after, changes.now, believed.join(" "))
    };
    let first = read(&format!("{text}{berlin}")).unwrap();
    let wan = first.interfaces.iter().position(|i| i.name == "wan");
    // In front of the other in the file: everybody else keeps his place all the same.
    let (two, now, believed) = follow(&first, &format!("{seoul}{berlin}"));
    assert_eq!((now, believed.as_str()), (vec!["peer.seoul (added)".to_owned()], "berlin seoul"));
    assert_eq!(two.interfaces.last().map(|i| i.name.as_str()), Some("seoul"));
    assert_eq!(two.upstreams[0].interface, wan.unwrap());
    let sockets = |c: &Config| c.listeners();
    assert!(sockets(&two).starts_with(&sockets(&first)), "sockets keep their numbers");
    let (one, now, believed) = follow(&two, &seoul);
    assert_eq!(
        (now.as_slice(), believed.as_str()),
        (&["interface.berlin.peer_key".to_owned()][..], "seoul")
    );
    let (none, _, believed) = follow(&one, "");
    assert_eq!((sockets(&none), believed.as_str()), (sockets(&two), ""));
    let (again, _, believed) = follow(&none, &format!("{berlin}{seoul}"));
    assert_eq!((sockets(&again), believed.as_str()), (sockets(&two), "berlin seoul"));
    let unchanged = follow(&again, &format!("{berlin}{seoul}")).1;
    assert_eq!(unchanged, [""; 0]);
    // A first site where there was none.
    let (begun, now, _) = follow(&read(&text).unwrap(), &berlin);
    assert_eq!(now, ["peer.berlin (added)"]);
    assert!(begun.interfaces.iter().any(|i| i.name == "berlin"));
    assert!(!begun.doubts().iter().any(|d| d.contains("nobody may come")), "one may");
}

#[test]
fn a_port_that_is_not_open_and_an_interface_of_another_kind_wait_for_a_restart() {
    let text = head_office("listen = \"udp:443\"");
    let berlin = format!("[[peer]]\nname = \"berlin\"\nkey = \"{KEY}\"\n");
    let running = read(&format!("{text}{berlin}")).unwrap();
    let lan = "[[interface]]\nname = \"lan\"\nside = \"inside\"\naddress = \"10.9.0.1\"\n";
    let (after, changes) = read(&format!("{text}{berlin}{lan}")).unwrap().following(&running);
    assert_eq!(
        (changes.restart.as_slice(), after.interfaces),
        (&["interface".to_owned()][..], running.interfaces.clone())
    );
    let door = format!(
        "[[interface]]\nname = \"seoul\"\nside = \"inside\"\nlink = \"tunnel\"\nlisten = \"udp:444\"\npeer_key = \"{OTHER}\"\n"
    );
    let text = format!("{text}{berlin}interface = \"sites\"\n{door}");
    let (_, changes) = read(&text).unwrap().following(&running);
    assert_eq!(changes.restart, ["interface"]);
}

#[test]
fn what_is_no_tunnel_says_why() {
    let peer = format!("[[peer]]\nname = \"berlin\"\nkey = \"{KEY}\"\n");
    for (text, says) in [
        (site("connect = \"gate.example.net:443\""), "needs `peer_key`"),
        (site(&format!("connect = \"gate\"\npeer_key = \"{KEY}\"")), "no place to connect to"),
        (site(&format!("{CONNECT}\"x\"")), "no public key"),
        (site(&format!("{CONNECT}\"{KEY}\"\nlisten = \"udp:443\"")), "one of them"),
        (site(&format!("peer_key = \"{KEY}\"")), "needs `connect`"),
        (site(&format!("{CONNECT}\"{KEY}\"\ngather = \"30ms\"")), "longer than 20ms"),
        (
            format!("{}{}", head_office("listen = \"udp:443\""), peer.replace(KEY, ZEROS)),
            "anybody could sign for",
        ),
        (site(&format!("{CONNECT}\"{ZEROS}\"")), "anybody could sign for"),
        (site(&format!("{CONNECT}\"{ZEROS}\"")), "keygen` prints it there"),
        (
            format!("{}{peer}interface = \"sitess\"\n", head_office("listen = \"udp:443\"")),
            "may come by no interface",
        ),
        (
            format!(
                "{}{peer}",
                head_office(&format!("listen = \"udp:443\"\npeer_key = \"{OTHER}\""))
            ),
            "may come by no interface",
        ),
        (format!("{}{peer}", two_doors("listen = \"udp:443\"")), "differ in `listen`"),
        (
            format!(
                "{}{peer}",
                two_doors("listen = [\"udp:443\", \"tcp:443\"]\nkey_file = \"/k\"")
            ),
            "differ in `key_file`",
        ),
        (format!("{}{peer}", head_office("listen = \"tcp:443\"")), "listens by UDP"),
        (format!("{}{peer}", head_office("listen = [\"udp:1\", \"udp:2\"]")), "one port"),
        (format!("{}{peer}", head_office("listen = \"sctp:443\"")), "no port of a tunnel"),
        (site(&format!("{CONNECT}\"{KEY}\"\nproxy = \"socks://a\"")), "no HTTP proxy"),
        (site(&format!("{CONNECT}\"{KEY}\"\nproxy = \"https://a\"")), "reached by TLS (https://)"),
        (site(&format!("{CONNECT}\"{KEY}\"\nproxy = \"http://u:p@a:1\"")), "password"),
        (site(&format!("{CONNECT}\"{KEY}\"\nproxy = \"env\"")), "no HTTPS_PROXY"),
        (site(&format!("{CONNECT}\"{KEY}\"\nproxy_user = \"x\"")), "needs `proxy`"),
        (site(&format!("{CONNECT}\"{KEY}\"\nproxy_auth = \"basic\"")), "needs `proxy`"),
        (
            site(&format!("{CONNECT}\"{KEY}\"\nproxy = \"http://a\"\nproxy_auth = \"ntlm\"")),
            "cannot be \"ntlm\"",
        ),
        (format!("{}{peer}{peer}", head_office("listen = \"udp:443\"")), "both of site"),
        (
            format!("{}{peer}{}", head_office("listen = \"udp:443\""), peer.replace("ber", "du")),
            "the same key",
        ),
        (
            format!("{}{}", head_office("listen = \"udp:443\""), peer.replace(KEY, "AAAA")),
            "`key` of [[peer]] \"berlin\" is no public key",
        ),
    ] {
        let told = read(&text).expect_err(says);
        assert!(told.contains(says), "{says}: {told}");
    }
}

#[test]
fn a_proxy_is_named_or_found_in_the_environment_and_its_password_is_shown_nowhere() {
    let text = format!(
        "{CONNECT}\"{KEY}\"\nproxy = \"http://proxy.example:3128\"\nproxy_user = \"u\"\n\
         proxy_password_file = \"/etc/p\"\nproxy_auth = \"digest\"\nbearer = \"tcp\""
    );
    let c = read(&site(&text)).unwrap();
    assert!(show(&c).contains("proxy_auth = \"digest\""));
    let proxy = c.interfaces[1].link.tunnel().unwrap().proxy().unwrap();
    assert_eq!(proxy.auth, Some(ProxyAuth::Digest));
    // What has to be asked for by name: the head office, and the proxy.
    let names: Vec<&str> = c.interfaces[1].link.tunnel().unwrap().names().collect();
    assert_eq!(names, ["gate.example.net", "proxy.example"]);
    assert_eq!(read(&show(&c)).unwrap().interfaces, c.interfaces);
    let mut env = Environment::default();
    let value = "http://u:s%40cret@10.0.0.1:8080/".to_owned();
    env.variables.insert("HTTPS_PROXY".to_owned(), value);
    let text = site(&format!("{CONNECT}\"{KEY}\"\nproxy = \"env\""));
    let c = Config::parse("t", &text, &env).unwrap();
    let End::Site { proxy: Some(proxy), .. } = &c.interfaces[1].link.tunnel().unwrap().end else {
        panic!()
    };
    assert_eq!(proxy.place.to_string(), "10.0.0.1:8080");
    assert_eq!(proxy.user.as_deref(), Some("u"));
    assert_eq!(proxy.password.as_ref().unwrap().as_str(), "s@cret");
    for shown in [show(&c), format!("{c:?}")] {
        assert!(!shown.contains("s@cret") && !shown.contains("s%40cret"), "{shown}");
    }
}

#[test]
fn what_the_environment_says_of_proxies_is_read_as_other_programs_read_it() {
    let text = site(&format!("{CONNECT}\"{KEY}\"\nproxy = \"env\""));
    let with = |all: &[(&str, &str)]| {
        let mut env = Environment::default();
        all.iter().for_each(|(name, value)| {
            env.variables.insert((*name).to_owned(), (*value).to_owned());
        });
        Config::parse("t", &text, &env)
            .map_err(|all| all.iter().map(ToString::to_string).collect::<String>())
    };
    let end = |c: &Config| c.interfaces[1].link.tunnel().unwrap().end.clone();
    let proxy = ("HTTPS_PROXY", "proxy.test:8080");
    let asked = end(&with(&[proxy]).unwrap());
    assert_eq!(asked.to_string(), "to gate.example.net:443, by TCP through proxy.test:8080");
    for none in [("NO_PROXY", "localhost,.example.net"), ("no_proxy", "*")] {
        let c = with(&[proxy, none]).unwrap();
        let End::Site { proxy: None, past: Some(entry), .. } = end(&c) else { panic!("{none:?}") };
        assert!(end(&c).to_string().ends_with(&format!("past the proxy (NO_PROXY: {entry})")));
        assert!(show(&c).contains("proxy = \"env\""));
    }
    let other = end(&with(&[proxy, ("NO_PROXY", "example.org")]).unwrap());
    assert_eq!(other, asked);
    for (value, says) in [
        ("https://u:s3cret@proxy.test", "HTTPS_PROXY is a proxy that is reached by TLS"),
        ("socks5h://u:s3cret@proxy.test", "HTTPS_PROXY is a SOCKS proxy"),
        ("http://", "HTTPS_PROXY is no HTTP proxy"),
    ] {
        let told = with(&[("HTTPS_PROXY", value)]).unwrap_err();
        assert!(told.contains(says) && !told.contains("s3cret"), "{told}");
    }
}
