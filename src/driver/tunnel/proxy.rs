//! The way through an HTTP proxy: CONNECT (RFC 9110 §9.3.6), with Basic (RFC 7617) or Digest (RFC
//! 7616) where it asks who we are. What it answers is read to the end of its head and no further:
//! what comes behind is the other gateway's.

use crate::config::{Place, Proxy};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use sha2::Sha256;
use std::fmt::Write as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use zeroize::Zeroizing;

/// Octets of a proxy's head, and lines of it.
const HEAD: usize = 16 * 1_024;
const LINES: usize = 64;

/// Who we are to a proxy.
#[derive(Clone)]
pub(super) struct Account {
    pub(super) user: String,
    pub(super) password: Zeroizing<String>,
}

/// What the proxy has said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// From here on it is the other gateway that is heard.
    Open,
    /// It asks who we are; by this challenge we can say it. The connection may be used again.
    Challenge(String),
    /// It refuses; why, in words.
    Refused(String),
}

/// The account that the configuration names; `None`: it names none.
///
/// # Errors
/// In words: its password's file cannot be read.
pub(super) fn account(proxy: &Proxy) -> Result<Option<Account>, String> {
    let Some(user) = proxy.user.clone() else { return Ok(None) };
    let password = match (&proxy.password, &proxy.password_file) {
        (Some(password), _) => Zeroizing::new(password.as_str().to_owned()),
        (None, Some(file)) => {
            let text = std::fs::read_to_string(file).map_err(|e| format!("{file}: {e}"))?;
            let text = Zeroizing::new(text);
            Zeroizing::new(text.lines().next().unwrap_or_default().to_owned())
        }
        (None, None) => Zeroizing::default(),
    };
    Ok(Some(Account { user, password }))
}

/// Asks for the way; `credentials` is the value of Proxy-Authorization.
///
/// # Errors
/// In words: the connection ends, or what answers is no HTTP.
pub(super) async fn ask<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    to: &Place,
    credentials: Option<&str>,
) -> Result<Said, String> {
    let mut text = Zeroizing::new(format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n"));
    if let Some(credentials) = credentials {
        let _ = write!(text, "Proxy-Authorization: {credentials}\r\n");
    }
    text.push_str("\r\n");
    stream.write_all(text.as_bytes()).await.map_err(|e| e.to_string())?;
    let head = head(stream).await?;
    let mut headers = [httparse::EMPTY_HEADER; LINES];
    let mut response = httparse::Response::new(&mut headers);
    response.parse(&head).map_err(|e| format!("it speaks no HTTP: {e}"))?;
    let status = response.code.unwrap_or_default();
    let values = |name: &str| {
        let all = response.headers.iter().filter(|h| h.name.eq_ignore_ascii_case(name));
        all.filter_map(|h| std::str::from_utf8(h.value).ok()).collect::<Vec<_>>()
    };
    match status {
        200..=299 => Ok(Said::Open),
        407 => {
            let length = values("Content-Length").first().and_then(|l| l.trim().parse().ok());
            let challenges = values("Proxy-Authenticate");
            let best = ["Digest", "Basic"].into_iter().find_map(|scheme| {
                challenges.iter().find(|c| names(c, scheme)).map(|c| (*c).to_owned())
            });
            skip(stream, length.unwrap_or(0)).await?;
            best.map(Said::Challenge).ok_or_else(|| {
                let asked = challenges.join(", ");
                format!("it asks who we are by a scheme that is not known here: {asked}")
            })
        }
        _ => {
            let reason = response.reason.unwrap_or_default();
            Ok(Said::Refused(format!("it answers {status} {reason} to CONNECT {to}")))
        }
    }
}

fn names(challenge: &str, scheme: &str) -> bool {
    challenge.split_whitespace().next().is_some_and(|word| word.eq_ignore_ascii_case(scheme))
}

/// To the empty line, octet by octet.
async fn head<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Vec<u8>, String> {
    let mut head = Vec::with_capacity(512);
    while !head.ends_with(b"\r\n\r\n") && !head.ends_with(b"\n\n") {
        if head.len() >= HEAD {
            return Err("its answer has no end".to_owned());
        }
        head.push(stream.read_u8().await.map_err(|e| format!("it says nothing: {e}"))?);
    }
    Ok(head)
}

/// The page that says the same to people.
async fn skip<S: AsyncRead + Unpin>(stream: &mut S, length: u64) -> Result<(), String> {
    let mut page = stream.take(length.min(1 << 20));
    tokio::io::copy(&mut page, &mut tokio::io::sink()).await.map_err(|e| e.to_string())?;
    Ok(())
}

/// What answers a challenge; `None`: its algorithm or quality is not known here.
pub(super) fn credentials(
    account: &Account,
    challenge: &str,
    to: &Place,
    cnonce: [u8; 16],
) -> Option<Zeroizing<String>> {
    let Account { user, password } = account;
    if names(challenge, "Basic") {
        let pair = Zeroizing::new(format!("{user}:{}", password.as_str()));
        return Some(Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes()))));
    }
    let params = params(challenge);
    let of = |name: &str| params.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    let (realm, nonce) = (of("realm")?, of("nonce")?);
    let algorithm = of("algorithm").unwrap_or("MD5");
    let hash = |text: &str| match algorithm.to_ascii_uppercase().as_str() {
        "MD5" => Some(hex(&Md5::digest(text.as_bytes()))),
        "SHA-256" => Some(hex(&Sha256::digest(text.as_bytes()))),
        _ => None,
    };
    let secret = Zeroizing::new(hash(&format!("{user}:{realm}:{}", password.as_str()))?);
    let request = hash(&format!("CONNECT:{to}"))?;
    let has_auth = |qop: &str| qop.split(',').any(|q| q.trim().eq_ignore_ascii_case("auth"));
    let cnonce = hex(&cnonce);
    let (proof, tail) = match of("qop") {
        Some(qop) if has_auth(qop) => {
            let proof =
                hash(&format!("{}:{nonce}:00000001:{cnonce}:auth:{request}", secret.as_str()))?;
            (proof, format!(", qop=auth, nc=00000001, cnonce=\"{cnonce}\""))
        }
        Some(_) => return None,
        None => (hash(&format!("{}:{nonce}:{request}", secret.as_str()))?, String::new()),
    };
    let opaque = of("opaque").map(|o| format!(", opaque=\"{o}\"")).unwrap_or_default();
    let user = user.replace(['"', '\\'], "");
    Some(Zeroizing::new(format!(
        "Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{to}\", \
         algorithm={algorithm}, response=\"{proof}\"{tail}{opaque}"
    )))
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// Parameters of a challenge, their names in small letters.
fn params(challenge: &str) -> Vec<(String, String)> {
    let (_, mut rest) = challenge.trim().split_once(' ').unwrap_or((challenge, ""));
    let mut all = Vec::new();
    while let Some((name, after)) = rest.split_once('=') {
        let name = name.trim_matches([' ', ',', '\t']).to_ascii_lowercase();
        let after = after.trim_start();
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(',').unwrap_or((after, "")),
        };
        all.push((name, value.trim().to_owned()));
        rest = next;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place::parse("gate.example.net:443").unwrap()
    }

    fn account() -> Account {
        Account { user: "site".to_owned(), password: Zeroizing::new("secret".to_owned()) }
    }

    async fn answered(text: &'static str) -> (Result<Said, String>, String) {
        let (mut ours, mut theirs) = tokio::io::duplex(4_096);
        let proxy = tokio::spawn(async move {
            let asked = head(&mut theirs).await.unwrap();
            theirs.write_all(text.as_bytes()).await.unwrap();
            String::from_utf8(asked).unwrap()
        });
        let said = ask(&mut ours, &place(), Some("Basic x")).await;
        (said, proxy.await.unwrap())
    }

    #[tokio::test]
    async fn a_proxy_opens_the_way_asks_who_we_are_or_refuses() {
        let (said, asked) = answered("HTTP/1.1 200 Connection established\r\n\r\n").await;
        assert_eq!(said, Ok(Said::Open));
        let head = "CONNECT gate.example.net:443 HTTP/1.1\r\nHost: gate.example.net:443\r\n";
        assert_eq!(asked, format!("{head}Proxy-Authorization: Basic x\r\n\r\n"));
        let (said, _) = answered(
            "HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic realm=\"a\"\r\nProxy-Authenticate: \
             Digest realm=\"a\", nonce=\"n\"\r\nContent-Length: 4\r\n\r\npage",
        )
        .await;
        assert_eq!(said, Ok(Said::Challenge("Digest realm=\"a\", nonce=\"n\"".to_owned())));
        let (said, _) = answered("HTTP/1.1 407 Who\r\nProxy-Authenticate: Negotiate\r\n\r\n").await;
        assert!(said.unwrap_err().contains("Negotiate"));
        let (said, _) = answered("HTTP/1.0 403 Forbidden\r\n\r\n").await;
        let why = "it answers 403 Forbidden to CONNECT gate.example.net:443".to_owned();
        assert_eq!(said, Ok(Said::Refused(why)));
        let (said, _) = answered("SSH-2.0-x\r\n\r\n").await;
        assert!(said.unwrap_err().contains("no HTTP"));
    }

    #[test]
    fn a_challenge_is_answered_by_its_scheme() {
        let answer = |challenge: &str| credentials(&account(), challenge, &place(), [7; 16]);
        assert_eq!(*answer("Basic realm=\"x\"").unwrap(), "Basic c2l0ZTpzZWNyZXQ=");
        let told = answer(
            "Digest realm=\"proxy\", nonce=\"abc\", qop=\"auth,auth-int\", algorithm=MD5, \
             opaque=\"o\", stale=false",
        )
        .unwrap();
        let md5 = |text: &str| hex(&Md5::digest(text.as_bytes()));
        let (a, b) = (md5("site:proxy:secret"), md5("CONNECT:gate.example.net:443"));
        let cnonce = "07".repeat(16);
        let proof = md5(&format!("{a}:abc:00000001:{cnonce}:auth:{b}"));
        assert!(told.contains(&format!("response=\"{proof}\"")), "{}", *told);
        assert!(told.contains("opaque=\"o\"") && told.contains("nc=00000001"));
        let old = answer("Digest realm=\"p\", nonce=\"n\"").unwrap();
        let proof = md5(&format!("{}:n:{b}", md5("site:p:secret")));
        assert!(old.contains(&format!("response=\"{proof}\"")) && !old.contains("qop"));
        for unknown in [
            "Digest realm=\"p\", nonce=\"n\", algorithm=MD5-sess",
            "Digest realm=\"p\", nonce=\"n\", qop=\"auth-int\"",
            "Digest nonce=\"n\"",
        ] {
            assert!(answer(unknown).is_none(), "{unknown}");
        }
    }
}
