//! `config check` and `run` over the files that a configuration names: what the gateway could not
//! be started with is an error of the check, and what is told by one is told by the other.

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

const BINARY: &str = env!("CARGO_BIN_EXE_portreeve");

/// What the file says of an interface's certificate, of an upstream's and of users.
#[derive(Clone, Debug)]
struct Told {
    lan: String,
    pbx: String,
    more: String,
}

struct Place(PathBuf);

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Place {
    fn new(name: &str) -> Self {
        let pid = std::process::id();
        let folder = std::env::temp_dir().join(format!("portreeve-checked-{name}-{pid}"));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self(folder)
    }

    fn at(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    fn keep(&self, name: &str, text: &str, mode: u32) {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    /// A certificate that ends then, and its key, as `NAME.pem` and `NAME.key`.
    fn certify(&self, name: &str, year: i32) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["site.example".to_owned()]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        let made = params.self_signed(&key).unwrap();
        self.keep(&format!("{name}.pem"), &made.pem(), 0o644);
        self.keep(&format!("{name}.key"), &key.serialize_pem(), 0o600);
    }

    /// Names of files are those of this place.
    fn configuration(&self, told: &Told, media: u16) -> PathBuf {
        let udp = |at: &str| UdpSocket::bind((at, 0)).unwrap().local_addr().unwrap().port();
        let tcp = |at: &str| TcpListener::bind((at, 0)).unwrap().local_addr().unwrap().port();
        let (lan, wan) = (udp("127.0.0.1"), udp("127.0.0.2"));
        let (lan_tls, wan_tls) = (tcp("127.0.0.1"), tcp("127.0.0.2"));
        let Told { lan: lan_shows, pbx, more } = told;
        let text = format!(
            r#"
            [[interface]]
            name = "lan"
            address = "127.0.0.1"
            networks = ["127.0.0.0/8"]
            listen = ["udp:{lan}", "tls:{lan_tls}"]
            tls = {lan_shows}
            [[interface]]
            name = "wan"
            address = "127.0.0.2"
            listen = ["udp:{wan}", "tls:{wan_tls}"]
            tls = "self-signed"
            side = "outside"
            [[upstream]]
            name = "pbx"
            address = "sips:127.0.0.3"
            domain = "pbx.test"
            tls = {pbx}
            [media]
            ports = "{media}-{}"
            workers = 1
            [limits]
            calls = 8
            [http]
            listen = "off"
            [state]
            dir = "HERE/state"
            [audit]
            dir = "HERE/audit"
            {more}
            "#,
            media + 39
        );
        let text = text.replace("name = \"lan\"", "name = \"lan\"\nside = \"inside\"");
        let file = self.0.join("portreeve.toml");
        std::fs::write(&file, text.replace("HERE", &self.0.display().to_string())).unwrap();
        file
    }
}

fn check(file: &PathBuf) -> Output {
    Command::new(BINARY).args(["config", "check", "-c"]).arg(file).output().unwrap()
}

fn words(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8(both).unwrap()
}

/// What a start says until it is ready, and then on stderr; it ends by itself, or is stopped.
fn start(file: &PathBuf) -> (Option<i32>, String) {
    let mut gateway = Command::new(BINARY)
        .arg("run")
        .arg(file)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    for line in BufReader::new(gateway.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if line == "ready" {
            let pid = gateway.id().to_string();
            assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        }
        said.push_str(&line);
        said.push('\n');
    }
    let ended = gateway.wait_with_output().unwrap();
    said.push_str(&String::from_utf8(ended.stderr).unwrap());
    (ended.status.code(), said)
}

fn fine() -> Told {
    Told {
        lan: r#"{ certificate = "HERE/good.pem", key = "HERE/good.key" }"#.to_owned(),
        pbx: r#"{ verify = "ca-file", ca_file = "HERE/good.pem" }"#.to_owned(),
        more: String::new(),
    }
}

fn lan(tls: &str) -> Told {
    Told { lan: format!("{{ {tls} }}"), ..fine() }
}

fn pbx(tls: &str) -> Told {
    Told { pbx: format!("{{ {tls} }}"), ..fine() }
}

fn more(text: &str) -> Told {
    Told { more: text.to_owned(), ..fine() }
}

#[test]
fn what_a_start_could_not_use_is_an_error_of_the_check_which_says_what_to_do() {
    let place = Place::new("unusable");
    for name in ["good", "other", "open", "loose"] {
        place.certify(name, 2100);
    }
    place.keep("open.key", &std::fs::read_to_string(place.at("open.key")).unwrap(), 0o644);
    place.keep("loose.pem", &std::fs::read_to_string(place.at("loose.pem")).unwrap(), 0o666);
    place.keep("text.pem", "no certificate\n", 0o644);
    let line = format!("101:portreeve:{}\n", "a".repeat(32));
    place.keep("open-users", &line, 0o644);
    place.keep("users", &line.replace("portreeve", "elsewhere"), 0o600);
    place.keep("password", "short\n", 0o600);
    let there = "put it there, or name another";
    let local = |users: &str| more(&format!("[registrar]\nmode = \"local\"\n{users}"));
    let all = [
        (lan(r#"certificate = "HERE/none.pem", key = "HERE/good.key""#), "none.pem", there),
        (lan(r#"certificate = "HERE/good.pem", key = "HERE/none.key""#), "none.key", there),
        (
            lan(r#"certificate = "HERE/good.pem", key = "HERE/other.key""#),
            "lan",
            "`key` is the pri",
        ),
        (lan(r#"certificate = "HERE/open.pem", key = "HERE/open.key""#), "open.key", "chmod 600"),
        (
            lan(r#"certificate = "HERE/loose.pem", key = "HERE/loose.key""#),
            "loose.pem",
            "chmod go-w",
        ),
        (lan(r#"certificate = "HERE/text.pem", key = "HERE/good.key""#), "text.pem", "-----BEGIN"),
        (
            lan(r#"certificate = "self-signed", client = "ask", client_ca = "HERE/none.pem""#),
            "none.pem",
            there,
        ),
        (pbx(r#"verify = "ca-file", ca_file = "HERE/none.pem""#), "\"pbx\"", there),
        (pbx(r#"certificate = "HERE/good.pem", key = "HERE/none.key""#), "none.key", there),
        (local("users = \"HERE/none\""), "none", "htdigest -c "),
        (local("users = \"HERE/open-users\""), "open-users", "chmod 600"),
        (local("users = \"HERE/users\""), "elsewhere", "write the line's realm"),
        (local("password_file = \"HERE/password\""), "password", "write one, or remove"),
        (more("[survive]\nauth = \"users\"\nusers = \"HERE/none\""), "none", "htdigest -c "),
    ];
    for (told, what, then) in all {
        let file = place.configuration(&told, 29_280);
        let checked = check(&file);
        let said = words(&checked);
        assert_eq!(checked.status.code(), Some(78), "{told:?}: {said}");
        let error = said.lines().find(|l| l.starts_with("error: ")).unwrap_or_default().to_owned();
        assert!(error.contains(what) && said.contains(then), "{told:?}: {said}");
        assert!(!said.contains("good: "), "{said}");
        let (code, said) = start(&file);
        assert!(matches!(code, Some(78 | 74)), "{told:?} {code:?}: {said}");
        let cause = error.trim_start_matches("error: ");
        assert!(said.contains(cause), "{told:?}: the start says\n{said}\nand the check\n{cause}");
    }
}

#[test]
fn what_a_start_can_use_is_no_error_and_what_ends_soon_is_told_by_both() {
    let place = Place::new("usable");
    place.certify("good", 2100);
    place.certify("over", 2021);
    // A password that is not there is made by the start, and by nobody else.
    let file = place.configuration(
        &more("[registrar]\nmode = \"local\"\npassword_file = \"HERE/password\""),
        29_320,
    );
    let checked = check(&file);
    assert_eq!(checked.status.code(), Some(0), "{}", words(&checked));
    assert!(!words(&checked).contains("warning"), "{}", words(&checked));
    assert!(!place.0.join("password").exists() && !place.0.join("state").exists());
    let (code, said) = start(&file);
    assert_eq!(code, Some(0), "{said}");
    assert!(place.0.join("password").exists());
    let own = format!("for who is to believe it: {}", place.at("state/tls-wan.pem"));
    assert!(said.contains(&own), "{said}");
    let pem = std::fs::read_to_string(place.at("state/tls-wan.pem")).unwrap();
    assert!(pem.starts_with("-----BEGIN CERTIFICATE-----"));
    let told = lan(r#"certificate = "HERE/over.pem", key = "HERE/over.key""#);
    let file = place.configuration(&told, 29_320);
    let checked = check(&file);
    assert_eq!(checked.status.code(), Some(0), "{}", words(&checked));
    assert!(words(&checked).contains("warning: lan: of site.example, expired "));
    let (code, said) = start(&file);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("note: lan: of site.example, expired "), "{said}");
    // What is kept and broken is told before a start would.
    place.keep("state/tls-wan.key", "no key", 0o600);
    let checked = check(&file);
    assert_eq!(checked.status.code(), Some(78));
    assert!(words(&checked).contains("it holds no key: remove it, and another is made"));
    assert_eq!(start(&file).0, Some(78));
}

#[test]
fn what_only_the_service_has_is_no_error_of_a_check_beside_it() {
    let place = Place::new("service");
    place.certify("good", 2100);
    let users = "/run/credentials/portreeve-none.service/users";
    let local = format!("[registrar]\nmode = \"local\"\nusers = \"{users}\"");
    let checked = check(&place.configuration(&more(&local), 29_360));
    assert_eq!(checked.status.code(), Some(0), "{}", words(&checked));
    let told = format!("warning: not looked at, for only the service has it: {users}: No such");
    assert!(words(&checked).contains(&told), "{}", words(&checked));
}
