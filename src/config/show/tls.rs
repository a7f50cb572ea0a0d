//! `tls` of an interface and of an upstream as a file has it: keys are named by their files, never
//! shown.

use crate::config::{
    Certificate, ClientCertificate, ClientTls, KeyPair, ServerTls, TlsVersion, Verify,
};

pub(super) fn server(tls: &ServerTls) -> String {
    let mut keys = match &tls.certificate {
        Certificate::SelfSigned => vec!["certificate = \"self-signed\"".to_owned()],
        Certificate::Files(pair) => files(pair),
    };
    let client = match tls.client {
        ClientCertificate::Off => "off",
        ClientCertificate::Ask => "ask",
        ClientCertificate::Require => "require",
    };
    keys.push(format!("client = \"{client}\""));
    keys.extend(tls.client_ca.as_ref().map(|file| format!("client_ca = {file:?}")));
    keys.push(version(tls.min_version));
    table(&keys)
}

pub(super) fn client(tls: &ClientTls) -> String {
    let mut keys = match &tls.verify {
        Verify::System => vec!["verify = \"system\"".to_owned()],
        Verify::CaFile(file) => {
            vec!["verify = \"ca-file\"".to_owned(), format!("ca_file = {file:?}")]
        }
        Verify::Pinned(pins) => {
            let pins: Vec<String> = pins.iter().map(|pin| format!("\"{pin}\"")).collect();
            vec!["verify = \"pinned\"".to_owned(), format!("pins = [{}]", pins.join(", "))]
        }
    };
    keys.extend(tls.name.as_ref().map(|name| format!("name = {name:?}")));
    keys.extend(tls.certificate.iter().flat_map(files));
    keys.push(version(tls.min_version));
    table(&keys)
}

fn files(pair: &KeyPair) -> Vec<String> {
    vec![format!("certificate = {:?}", pair.certificate), format!("key = {:?}", pair.key)]
}

fn version(version: TlsVersion) -> String {
    let number = match version {
        TlsVersion::V12 => "1.2",
        TlsVersion::V13 => "1.3",
    };
    format!("min_version = \"{number}\"")
}

fn table(keys: &[String]) -> String {
    format!("{{ {} }}", keys.join(", "))
}
