//! Every key of `tls`, on both sides; what is missing or does not fit says what would.

use super::*;
use crate::config::{Config, Environment, Hop, show};

const MINIMAL: &str = include_str!("../../../configs/minimal.toml");
const PIN: &str = "sha-256:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// The minimal file with this in its outside interface and in its upstream.
fn file(wan: &str, pbx: &str) -> String {
    let text =
        MINIMAL.replace("address = \"203.0.113.7\"", &format!("address = \"203.0.113.7\"\n{wan}"));
    format!("{text}\n{pbx}\n")
}

fn read(text: &str) -> Result<Config, String> {
    let read = Config::parse("portreeve.toml", text, &Environment::default());
    read.map_err(|all| all.iter().map(ToString::to_string).collect())
}

const BOTH: &str = "listen = [\"udp:5060\", \"tls:5061\"]\ntls = \"self-signed\"";

#[test]
fn a_site_speaks_tls_with_a_certificate_of_its_own_or_of_files() {
    let c = read(&file(BOTH, "transport = \"tls\"")).unwrap();
    let wan = &c.interfaces[1];
    let own = ServerTls {
        certificate: Certificate::SelfSigned,
        client: ClientCertificate::Off,
        client_ca: None,
        min_version: TlsVersion::V12,
    };
    assert_eq!(wan.tls, Some(own));
    assert_eq!(c.interfaces[0].tls, None);
    let pbx = &c.upstreams[0];
    let hop = Hop { peer: "198.51.100.2:5060".parse().unwrap(), transport: Transport::Tls };
    assert_eq!(pbx.fixed().collect::<Vec<_>>(), [hop]);
    assert_eq!(pbx.tls, ClientTls::default(), "the machine's authorities, never nobody");
    let tls = "tls = { certificate = \"/c.pem\", key = \"/k.pem\", client = \"require\", \
               client_ca = \"/ca.pem\", min_version = \"1.3\" }";
    let wan = BOTH.replace("tls = \"self-signed\"", tls);
    let pbx = format!(
        "transport = \"tls\"\ntls = {{ verify = \"pinned\", pins = [\"{PIN}\"], \
         name = \"sip.example.net\", certificate = \"/own.pem\", key = \"/own.key\" }}"
    );
    let c = read(&file(&wan, &pbx)).unwrap();
    let pair = |c: &str, k: &str| KeyPair { certificate: c.to_owned(), key: k.to_owned() };
    let want = ServerTls {
        certificate: Certificate::Files(pair("/c.pem", "/k.pem")),
        client: ClientCertificate::Require,
        client_ca: Some("/ca.pem".to_owned()),
        min_version: TlsVersion::V13,
    };
    assert_eq!(c.interfaces[1].tls, Some(want));
    let want = ClientTls {
        verify: Verify::Pinned(vec![Pin(std::array::from_fn(|n| n as u8))]),
        name: Some("sip.example.net".to_owned()),
        certificate: Some(pair("/own.pem", "/own.key")),
        min_version: TlsVersion::V12,
    };
    assert_eq!(c.upstreams[0].tls, want);
    // What is shown is read as the same.
    let shown = show(&c);
    let again = read(&shown).unwrap_or_else(|told| panic!("{told}\n{shown}"));
    assert_eq!(again.interfaces, c.interfaces);
    assert_eq!(again.upstreams[0].tls, c.upstreams[0].tls);
    assert_eq!(again.upstreams[0].targets, c.upstreams[0].targets);
}

#[test]
fn what_is_missing_or_does_not_fit_is_told() {
    let tls = |keys: &str| BOTH.replace("\"self-signed\"", &format!("{{ {keys} }}"));
    let files = "certificate = \"/c\", key = \"/k\"";
    for (wan, want) in [
        (BOTH.replace("tls = \"self-signed\"", ""), "a socket for TLS needs a certificate"),
        (BOTH.replace("\"tls:5061\"", "\"tcp:5061\""), "nothing of this interface speaks TLS"),
        (BOTH.replace("self-signed", "self"), "one of: self-signed"),
        (BOTH.replace("5061\"", "5061\", \"tcp:5061\""), "203.0.113.7:5061 is listened on twice"),
        (tls(""), "`tls` of [[interface]] needs `certificate`"),
        (tls("certificate = \"/c\""), "`tls` of [[interface]] needs `key`"),
        (tls("key = \"/k\""), "`tls` of [[interface]] needs `certificate`"),
        (tls("certificate = \"self-signed\", key = \"/k\""), "brings its own key"),
        (tls(&format!("{files}, client = \"ask\"")), "needs `client_ca`"),
        (tls(&format!("{files}, client_ca = \"/ca\"")), "nobody is asked for a certificate"),
        (tls(&format!("{files}, client = \"none\"")), "`client` cannot be \"none\""),
        (tls(&format!("{files}, min_version = \"1.1\"")), "did you mean `1.2`?"),
        (tls(&format!("{files}, verify = \"system\"")), "`verify` is not a key of `tls`"),
    ] {
        let told = read(&file(&wan, "")).unwrap_err();
        assert!(told.contains(want), "{wan}: {told}");
    }
    let tls = |keys: &str| format!("transport = \"tls\"\ntls = {{ {keys} }}");
    for (pbx, want) in [
        ("tls = { name = \"a.example\" }".to_owned(), "this upstream is not reached by TLS"),
        (tls("verify = \"none\""), "one of: system, ca-file, pinned"),
        (tls("verify = \"ca-file\""), "needs `ca_file`"),
        (tls("ca_file = \"/ca\""), "`ca_file` is not looked at"),
        (tls("verify = \"pinned\""), "needs `pins`"),
        (tls(&format!("pins = [\"{PIN}\"]")), "`pins` is not looked at"),
        (tls("verify = \"pinned\", pins = []"), "`pins` must be 1 to 8"),
        (tls("verify = \"pinned\", pins = [\"sha-256:00\"]"), "is no pin"),
        (tls("verify = \"pinned\", pins = [\"sha-1:00\"]"), "is no pin"),
        (tls("name = \"a b\""), "is no name of a host"),
        (tls("name = \"sips:a.example:5061\""), "is no name of a host"),
        (tls("certificate = \"/c\""), "needs `key`"),
        (tls("key = \"/k\""), "needs `certificate`"),
    ] {
        let told = read(&file(BOTH, &pbx)).unwrap_err();
        assert!(told.contains(want), "{pbx}: {told}");
    }
    let deaf = read(&file("", "transport = \"tls\"")).unwrap_err();
    assert!(deaf.contains("is reached by tls, and \"wan\" has no such socket"), "{deaf}");
}

#[test]
fn a_pin_is_read_as_it_is_shown_and_as_openssl_prints_it() {
    let pin = Pin::parse(PIN).unwrap();
    assert_eq!(pin.to_string(), PIN);
    let colons = PIN
        .get(8..)
        .unwrap()
        .as_bytes()
        .chunks(2)
        .map(|two| std::str::from_utf8(two).unwrap().to_uppercase());
    let colons = format!("sha-256:{}", colons.collect::<Vec<_>>().join(":"));
    assert_eq!(Pin::parse(&colons), Some(pin));
    for wrong in ["", "sha-256:", &PIN[8..], &format!("{PIN}00"), &PIN.replace('f', "g")] {
        assert_eq!(Pin::parse(wrong), None, "{wrong}");
    }
}

#[test]
fn new_certificates_count_from_then_on_but_for_sockets_that_are_not_there() {
    let with = |wan: &str, pbx: &str| read(&file(wan, pbx)).unwrap();
    let old = with(BOTH, "transport = \"tls\"");
    let asks = "tls = { certificate = \"self-signed\", client = \"ask\", client_ca = \"/ca\" }";
    let wan = BOTH.replace("tls = \"self-signed\"", asks);
    let new = with(&wan, "transport = \"tls\"\ntls = { name = \"sip.example.net\" }");
    let (taken, changes) = new.clone().following(&old);
    assert_eq!(changes.new_calls, ["interface.wan.tls", "upstream.pbx.tls"]);
    assert_eq!((&changes.now, &changes.restart), (&Vec::new(), &Vec::new()));
    assert_eq!(taken, new);
    let plain = with("", "");
    let (taken, changes) = plain.following(&old);
    assert_eq!(changes.restart, ["interface.wan.tls", "interface.wan.listen"]);
    assert_eq!(taken.interfaces, old.interfaces, "the socket stays, and has to show something");
}
