//! The way through an HTTP proxy: CONNECT (RFC 9110 §9.3.6). What it answers is read to the end of
//! its head and no further: what comes behind is the other gateway's. What it asks of us is taken
//! apart in a room of its own.

mod challenge;

pub(super) use challenge::{Challenge, chosen, credentials, schemes};

use super::words::{Sign, bare, words};
use crate::config::{Place, Proxy};
use crate::driver::folder::secret_of;
use std::fmt::Write as _;
use std::path::Path;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use zeroize::Zeroizing;

/// Octets of a proxy's head, and lines of it.
const HEAD: usize = 16 * 1_024;
const LINES: usize = 64;

/// Who we are to a proxy.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) user: String,
    pub(super) password: Zeroizing<String>,
    /// Where root reads its file: whose that is, if neither ours nor root's.
    pub(super) stranger: Option<u32>,
}

/// What the proxy has said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// From here on it is the other gateway that is heard.
    Open,
    /// It asks who we are, in one of these ways, by another connection.
    Challenges(Vec<Challenge>),
    /// It refuses; why, in words.
    Refused(String),
}

/// The account that the configuration names; `None`: it names none.
///
/// # Errors
/// In words: its password's file cannot be read.
pub(super) fn account(proxy: &Proxy) -> Result<Option<Account>, String> {
    let Some(user) = proxy.user.clone() else { return Ok(None) };
    let mut stranger = None;
    let password = match (&proxy.password, &proxy.password_file) {
        (Some(password), _) => Zeroizing::new(password.as_str().to_owned()),
        (None, Some(file)) => {
            let (text, owner) = secret_of(Path::new(file)).map_err(|e| format!("{file}: {e}"))?;
            stranger = owner;
            let text = Zeroizing::new(text);
            Zeroizing::new(text.lines().next().unwrap_or_default().to_owned())
        }
        (None, None) => Zeroizing::default(),
    };
    Ok(Some(Account { user, password, stranger }))
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
    stream.write_all(text.as_bytes()).await.map_err(|_| bare(Sign::NoReply, ""))?;
    let head = head(stream).await?;
    let mut headers = [httparse::EMPTY_HEADER; LINES];
    let mut response = httparse::Response::new(&mut headers);
    response.parse(&head).map_err(|e| bare(Sign::NoHttp, format!(" ({e})")))?;
    let values = |name: &str| {
        let all = response.headers.iter().filter(|h| h.name.eq_ignore_ascii_case(name));
        all.filter_map(|h| std::str::from_utf8(h.value).ok()).collect::<Vec<_>>()
    };
    let status = response.code.unwrap_or_default();
    let reason = words(response.reason.unwrap_or_default());
    let answers = format!("it answers {status} {reason} to CONNECT {to}");
    let refused =
        |sign, detail: String| Ok(Said::Refused(format!("{answers}: {}", bare(sign, detail))));
    match status {
        200..=299 => Ok(Said::Open),
        407 => Ok(Said::Challenges(challenge::read(&values("Proxy-Authenticate")))),
        // RFC 6585 §6, and what was done before it.
        300..=399 | 511 => {
            let page = values("Location").first().map(|page| format!(", at {}", words(page)));
            refused(Sign::LogIn, page.unwrap_or_default())
        }
        403 | 405 => refused(Sign::Forbidden, String::new()),
        502..=504 => refused(Sign::NotReached, String::new()),
        _ => refused(Sign::Refuses, String::new()),
    }
}

/// To the empty line, octet by octet.
async fn head<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Vec<u8>, String> {
    let mut head = Vec::with_capacity(512);
    while !head.ends_with(b"\r\n\r\n") && !head.ends_with(b"\n\n") {
        if head.len() >= HEAD {
            return Err(bare(Sign::NoHttp, " (its answer has no end)"));
        }
        let octet = stream.read_u8().await;
        head.push(octet.map_err(|_| bare(Sign::NoReply, ""))?);
    }
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place::parse("gate.example.net:443").unwrap()
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
            "HTTP/1.1 407 Who\r\nProxy-Authenticate: Negotiate, Basic realm=\"a\"\r\n\
             Proxy-Authenticate: Digest realm=\"a\", nonce=\"n\"\r\nContent-Length: 4\r\n\r\npage",
        )
        .await;
        let Ok(Said::Challenges(all)) = said else { panic!("{said:?}") };
        assert_eq!(all.len(), 3);
        assert!(chosen(&all, None, false).unwrap().is("Digest"));
        let (said, _) = answered("HTTP/1.0 403 Forbidden\r\n\r\n").await;
        let Ok(Said::Refused(why)) = said else { panic!("{said:?}") };
        let want = "it answers 403 Forbidden to CONNECT gate.example.net:443: it forbids CONNECT: ";
        assert!(why.starts_with(want), "{why}");
        for (status, sign) in [(502, Sign::NotReached), (400, Sign::Refuses)] {
            let answer = format!("HTTP/1.1 {status} X\r\n\r\n").leak();
            let Ok(Said::Refused(why)) = answered(answer).await.0 else { panic!("{status}") };
            assert!(why.ends_with(&bare(sign, "")), "{why}");
        }
        let (said, _) =
            answered("HTTP/1.1 302 Found\r\nLocation: http://login.example/\x01\r\n\r\n").await;
        let (Ok(Said::Refused(why)) | Err(why)) = said else { panic!("{said:?}") };
        assert!(!why.contains('\x01'), "{why}");
        let (said, _) =
            answered("HTTP/1.1 302 Found\r\nLocation: http://login.example\r\n\r\n").await;
        let Ok(Said::Refused(why)) = said else { panic!("{said:?}") };
        assert!(why.contains("log in first, at http://login.example"), "{why}");
        let (said, _) = answered("SSH-2.0-x\r\n\r\n").await;
        assert!(said.unwrap_err().contains("no HTTP"));
        let (said, _) = answered("").await;
        assert!(said.unwrap_err().starts_with(Sign::NoReply.as_str()));
    }
}
