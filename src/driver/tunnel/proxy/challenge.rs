//! What an HTTP proxy asks of whoever wants a way, taken apart, and what answers it: Basic (RFC
//! 7617) or Digest (RFC 7616). It speaks to nobody, and remembers nothing.

use super::Account;
use crate::config::{Place, ProxyAuth};
use crate::driver::tunnel::words::{Sign, bare, words};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use sha2::Sha256;
use zeroize::Zeroizing;

/// One way in which a proxy asks who we are (RFC 9110 §11.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::driver::tunnel) struct Challenge {
    /// As it came.
    scheme: String,
    /// Their names in small letters.
    params: Vec<(String, String)>,
}

impl Challenge {
    pub(in crate::driver::tunnel) fn is(&self, scheme: &str) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme)
    }

    fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// What was signed was too old, and not wrong (RFC 7616 §3.3).
    pub(in crate::driver::tunnel) fn is_stale(&self) -> bool {
        self.is("Digest") && self.param("stale").is_some_and(|is| is.eq_ignore_ascii_case("true"))
    }

    /// A digest whose algorithm and quality are known here, or Basic.
    fn is_known(&self) -> bool {
        let algorithm = self.param("algorithm").unwrap_or("MD5").to_ascii_uppercase();
        let is_digest = self.is("Digest")
            && matches!(algorithm.as_str(), "MD5" | "SHA-256")
            && self.param("qop").is_none_or(has_auth)
            && self.param("realm").is_some()
            && self.param("nonce").is_some();
        is_digest || self.is("Basic")
    }
}

/// Challenges of all `Proxy-Authenticate` lines: several may stand in one, between commas that part
/// their parameters as well (RFC 9110 §11.6.1).
pub(in crate::driver::tunnel) fn read(values: &[&str]) -> Vec<Challenge> {
    let mut all: Vec<Challenge> = Vec::new();
    for item in values.iter().flat_map(|value| items(value)) {
        let (word, rest) = item.split_once([' ', '\t']).unwrap_or((item, ""));
        let rest = rest.trim_start();
        let is_param = word.contains('=') || rest.starts_with('=');
        let param = if is_param {
            item
        } else {
            all.push(Challenge { scheme: word.to_owned(), params: Vec::new() });
            rest
        };
        let pair = param.split_once('=');
        if let (Some(challenge), Some((name, value))) = (all.last_mut(), pair) {
            let name = name.trim().to_ascii_lowercase();
            challenge.params.push((name, unquoted(value.trim())));
        }
    }
    all
}

/// What stands between commas, but for those within quotes.
fn items(value: &str) -> Vec<&str> {
    let (mut all, mut from, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, c) in value.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => {
                all.push(value.get(from..at).unwrap_or_default());
                from = at + 1;
            }
            _ => {}
        }
    }
    all.push(value.get(from..).unwrap_or_default());
    all.into_iter().map(str::trim).filter(|item| !item.is_empty()).collect()
}

fn unquoted(value: &str) -> String {
    let Some(rest) = value.strip_prefix('"') else { return value.to_owned() };
    let (mut out, mut escaped) = (String::new(), false);
    for c in rest.chars() {
        match c {
            _ if escaped => {
                escaped = false;
                out.push(c);
            }
            '\\' => escaped = true,
            '"' => break,
            c => out.push(c),
        }
    }
    out
}

fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Which of them is answered. A password goes in clear (Basic) only where the file says so or the
/// proxy has never asked for more (`has_digested`).
///
/// # Errors
/// None of them, and why, in words.
pub(in crate::driver::tunnel) fn chosen(
    all: &[Challenge],
    auth: Option<ProxyAuth>,
    has_digested: bool,
) -> Result<&Challenge, String> {
    let of = |scheme: &str| all.iter().find(|c| c.is(scheme) && c.is_known());
    let found = match auth {
        Some(ProxyAuth::Digest) => of("Digest"),
        Some(ProxyAuth::Basic) => of("Basic").or_else(|| of("Digest")),
        None if has_digested => of("Digest"),
        None => of("Digest").or_else(|| of("Basic")),
    };
    found.ok_or_else(|| match (of("Basic"), auth) {
        (Some(_), Some(ProxyAuth::Digest)) => in_clear(Sign::InClear),
        (Some(_), Some(ProxyAuth::Basic) | None) => in_clear(Sign::InClearNow),
        (None, _) => {
            let why = bare(Sign::UnknownWay, format!(" (407: {})", schemes(all)));
            format!("it wants to know who we are {why}")
        }
    })
}

fn in_clear(sign: Sign) -> String {
    format!("it asks for the password {}", bare(sign, ""))
}

/// Their names, as they came.
pub(in crate::driver::tunnel) fn schemes(all: &[Challenge]) -> String {
    let schemes: Vec<&str> = all.iter().map(|c| c.scheme.as_str()).collect();
    words(&schemes.join(", "))
}

fn has_auth(qop: &str) -> bool {
    qop.split(',').any(|q| q.trim().eq_ignore_ascii_case("auth"))
}

/// What answers a challenge; `None`: it is not known here.
pub(in crate::driver::tunnel) fn credentials(
    account: &Account,
    challenge: &Challenge,
    to: &Place,
    cnonce: [u8; 16],
) -> Option<Zeroizing<String>> {
    let Account { user, password, .. } = account;
    if challenge.is("Basic") {
        let pair = Zeroizing::new(format!("{user}:{}", password.as_str()));
        return Some(Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes()))));
    }
    let (realm, nonce) = (challenge.param("realm")?, challenge.param("nonce")?);
    let algorithm = challenge.param("algorithm").unwrap_or("MD5");
    let hash = |text: &str| match algorithm.to_ascii_uppercase().as_str() {
        "MD5" => Some(hex(&Md5::digest(text.as_bytes()))),
        "SHA-256" => Some(hex(&Sha256::digest(text.as_bytes()))),
        _ => None,
    };
    let secret = Zeroizing::new(hash(&format!("{user}:{realm}:{}", password.as_str()))?);
    let request = hash(&format!("CONNECT:{to}"))?;
    let cnonce = hex(&cnonce);
    let (proof, tail) = match challenge.param("qop") {
        Some(qop) if has_auth(qop) => {
            let proof =
                hash(&format!("{}:{nonce}:00000001:{cnonce}:auth:{request}", secret.as_str()))?;
            (proof, format!(", qop=auth, nc=00000001, cnonce=\"{cnonce}\""))
        }
        Some(_) => return None,
        None => (hash(&format!("{}:{nonce}:{request}", secret.as_str()))?, String::new()),
    };
    let opaque = challenge.param("opaque").map(|o| format!(", opaque={}", quoted(o)));
    Some(Zeroizing::new(format!(
        "Digest username={}, realm={}, nonce={}, uri=\"{to}\", algorithm={algorithm}, \
         response=\"{proof}\"{tail}{}",
        quoted(user),
        quoted(realm),
        quoted(nonce),
        opaque.unwrap_or_default()
    )))
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schemes(values: &[&str]) -> Vec<String> {
        read(values).into_iter().map(|c| c.scheme).collect()
    }

    fn place() -> Place {
        Place::parse("gate.example.net:443").unwrap()
    }

    fn answer(challenge: &str) -> Option<Zeroizing<String>> {
        let password = Zeroizing::new("secret".to_owned());
        let account = Account { user: "site".to_owned(), password, stranger: None };
        credentials(&account, read(&[challenge]).first()?, &place(), [7; 16])
    }

    #[test]
    fn challenges_stand_in_one_line_or_in_several() {
        let one = "Negotiate, Basic realm=\"corp, \\\"x\\\"\"";
        assert_eq!(schemes(&[one]), ["Negotiate", "Basic"]);
        assert_eq!(read(&[one])[1].param("realm"), Some("corp, \"x\""));
        let two = ["NTLM", "Digest realm=\"a\", nonce=\"n,Basic\", qop=\"auth,auth-int\""];
        assert_eq!(schemes(&two), ["NTLM", "Digest"]);
        assert_eq!(read(&two)[1].param("qop"), Some("auth,auth-int"));
        let mixed = "Digest realm = \"a\" , nonce=n, algorithm=SHA-256,, Basic realm=b,Kerberos";
        assert_eq!(schemes(&[mixed]), ["Digest", "Basic", "Kerberos"]);
        assert_eq!(read(&[mixed])[0].param("realm"), Some("a"));
        assert_eq!(schemes(&["Negotiate YII==, Basic realm=\"\""]), ["Negotiate", "Basic"]);
        for odd in ["", ",", "=", "\"", "a=\"", "Basic realm=\"\\", ",=,\"=\\"] {
            let _ = schemes(&[odd]);
        }
    }

    #[test]
    fn a_password_goes_in_clear_only_where_no_digest_was_ever_asked_for() {
        let digest = "Digest realm=\"a\", nonce=\"n\"";
        let both = read(&["Basic realm=\"a\"", digest]);
        let (basic, digest) = (read(&["Negotiate, Basic realm=\"a\""]), read(&[digest]));
        let scheme = |all: &[Challenge], auth, before| {
            chosen(all, auth, before).map(|c| c.scheme.clone()).map_err(|why| why.contains("clear"))
        };
        let told = |scheme: &str| Ok(scheme.to_owned());
        assert_eq!(scheme(&both, None, false), told("Digest"));
        assert_eq!(scheme(&basic, None, false), told("Basic"));
        assert_eq!(scheme(&basic, None, true), Err(true));
        assert_eq!(scheme(&basic, Some(ProxyAuth::Digest), false), Err(true));
        assert_eq!(scheme(&basic, Some(ProxyAuth::Basic), true), told("Basic"));
        assert_eq!(scheme(&both, Some(ProxyAuth::Basic), false), told("Basic"));
        assert_eq!(scheme(&digest, Some(ProxyAuth::Basic), true), told("Digest"));
        let other = read(&["Negotiate", "Digest realm=\"a\", nonce=\"n\", algorithm=SHA-512-256"]);
        assert_eq!(scheme(&other, None, false), Err(false));
        let known =
            read(&["Digest realm=\"a\", nonce=\"n\", algorithm=SHA-512-256, Digest realm=\"a\", \
             nonce=\"m\", algorithm=SHA-256"]);
        assert_eq!(chosen(&known, None, false).unwrap().param("nonce"), Some("m"));
    }

    #[test]
    fn a_challenge_is_answered_by_its_scheme() {
        assert_eq!(*answer("Basic realm=\"x\"").unwrap(), "Basic c2l0ZTpzZWNyZXQ=");
        let told = answer(
            "Digest realm=\"pro\\\"xy\", nonce=\"abc\", qop=\"auth,auth-int\", algorithm=MD5, \
             opaque=\"o\", stale=false",
        )
        .unwrap();
        let md5 = |text: &str| hex(&Md5::digest(text.as_bytes()));
        let (a, b) = (md5("site:pro\"xy:secret"), md5("CONNECT:gate.example.net:443"));
        let cnonce = "07".repeat(16);
        let proof = md5(&format!("{a}:abc:00000001:{cnonce}:auth:{b}"));
        assert!(told.contains(&format!("response=\"{proof}\"")), "{}", *told);
        assert!(told.contains("opaque=\"o\"") && told.contains("nc=00000001"));
        assert!(told.contains("realm=\"pro\\\"xy\""), "{}", *told);
        let old = answer("Digest realm=\"p\", nonce=\"n\"").unwrap();
        let proof = md5(&format!("{}:n:{b}", md5("site:p:secret")));
        assert!(old.contains(&format!("response=\"{proof}\"")) && !old.contains("qop"));
        for unknown in [
            "Digest realm=\"p\", nonce=\"n\", algorithm=MD5-sess",
            "Digest realm=\"p\", nonce=\"n\", qop=\"auth-int\"",
            "Digest nonce=\"n\"",
        ] {
            assert!(answer(unknown).is_none(), "{unknown}");
            assert!(chosen(&read(&[unknown]), None, false).is_err());
        }
    }
}
