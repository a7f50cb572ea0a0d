//! A phone's side of digest (RFC 7616, qop=auth), written apart from the product's.

use super::script::Text;
use super::{Lab, Msg, Ua, site};
use md5::{Digest, Md5};
use sha2::Sha256;

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|o| format!("{o:02x}")).collect()
}

/// Value of a quoted or bare parameter of a challenge.
fn param(challenge: &str, name: &str) -> String {
    let at = challenge.find(&format!("{name}=")).unwrap_or_else(|| panic!("{name} in {challenge}"));
    let value = &challenge[at + name.len() + 1..];
    match value.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next().unwrap_or_default().to_owned(),
        None => value.split([',', ' ']).next().unwrap_or_default().to_owned(),
    }
}

/// Credentials for a request that was challenged, with the algorithm of the given row.
pub(crate) fn credentials(request: &Text, challenge: &str, user: &str, password: &str) -> String {
    counted(request, challenge, user, password, "00000001")
}

/// As [`credentials`], with this nonce count.
pub(crate) fn counted(
    request: &Text,
    challenge: &str,
    user: &str,
    password: &str,
    nc: &str,
) -> String {
    let sha = challenge.contains("SHA-256");
    let hash =
        |text: String| if sha { hex(&Sha256::digest(text)) } else { hex(&Md5::digest(text)) };
    let (realm, nonce) = (param(challenge, "realm"), param(challenge, "nonce"));
    let mut start = request.start.split(' ');
    let (method, uri) = (start.next().unwrap_or_default(), start.next().unwrap_or_default());
    let ha1 = hash(format!("{user}:{realm}:{password}"));
    let ha2 = hash(format!("{method}:{uri}"));
    let response = hash(format!("{ha1}:{nonce}:{nc}:c0:auth:{ha2}"));
    let algorithm = if sha { "SHA-256" } else { "MD5" };
    format!(
        "Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", \
         response=\"{response}\", algorithm={algorithm}, cnonce=\"c0\", qop=auth, nc={nc}"
    )
}

/// As a phone that knows RFC 2069 alone writes them: no qop, no nonce count, MD5.
pub(crate) fn without_qop(request: &Text, challenge: &str, user: &str, password: &str) -> String {
    let hash = |text: String| hex(&Md5::digest(text));
    let (realm, nonce) = (param(challenge, "realm"), param(challenge, "nonce"));
    let mut start = request.start.split(' ');
    let (method, uri) = (start.next().unwrap_or_default(), start.next().unwrap_or_default());
    let ha1 = hash(format!("{user}:{realm}:{password}"));
    let response = hash(format!("{ha1}:{nonce}:{}", hash(format!("{method}:{uri}"))));
    format!(
        "Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", \
         response=\"{response}\", algorithm=MD5"
    )
}

/// The same request again, with credentials: next CSeq, another branch.
pub(crate) fn again(
    lab: &mut Lab,
    request: &Text,
    challenged: &Msg,
    ua: &Ua,
    password: &str,
) -> Text {
    let (asked, given) = match challenged.status() {
        407 => ("Proxy-Authenticate", "Proxy-Authorization"),
        _ => ("WWW-Authenticate", "Authorization"),
    };
    let value = credentials(
        request,
        challenged.all(asked).last().expect("a challenge"),
        &ua.user,
        password,
    );
    let (number, method) = request.header("CSeq").split_once(' ').expect("number and method");
    let next = number.parse::<u32>().expect("a number") + 1;
    let n = lab.fresh();
    request
        .clone()
        .set("Via", ua.via(&format!("z9hG4bKt{n}")))
        .set("CSeq", format!("{next} {method}"))
        .set(given, value)
}

impl Lab {
    /// A REGISTER for the gateway's own registrar.
    pub(crate) fn local_register(&mut self, ua: &Ua, expires: u32) -> Text {
        ua.request_to(self, "REGISTER", &format!("sip:{}", site::GATE_INSIDE))
            .set("To", format!("<sip:{}@{}>", ua.user, site::GATE_INSIDE))
            .set("From", format!("<sip:{}@{}>;tag=r", ua.user, site::GATE_INSIDE))
            .with("Expires", expires.to_string())
    }

    /// A phone of the site, registered with digest.
    #[track_caller]
    pub(crate) fn local_phone(&mut self, user: &str, at: &str) -> Ua {
        let mut ua = self.phone(user, at);
        site::GATE_INSIDE.clone_into(&mut ua.domain);
        let register = self.local_register(&ua, 600);
        self.send(ua.at, register.clone());
        let challenged = self.expect(ua.at, "401");
        let again = again(self, &register, &challenged, &ua, site::PASSWORD);
        self.send(ua.at, again);
        self.expect(ua.at, "200");
        ua
    }
}
