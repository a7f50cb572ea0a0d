//! The client's half of the loopback listener: one short HTTP/1.0 exchange, blocking, bounded in
//! octets and in time. It knows no JSON and no command; the commands read the answer.

use crate::driver::clock::Clock;
use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Most octets of an answer that are read: a gateway full of calls lists them in less.
const LONGEST: usize = 8 << 20;
/// Longest exchange. The gateway itself gives its event loop two seconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the gateway answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// HTTP status.
    pub(super) status: u16,
    /// Body; octets that are no UTF-8 are shown as U+FFFD.
    pub(super) body: String,
}

impl Answer {
    /// 200 to 299.
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Why there is no answer, in words that say what to do.
#[derive(Debug)]
pub(super) struct Unreached {
    at: SocketAddr,
    what: io::Error,
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the rest is alike")]
impl fmt::Display for Unreached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at;
        match self.what.kind() {
            io::ErrorKind::ConnectionRefused => write!(
                f,
                "nothing listens at {at}: no gateway runs here, or its http.listen is another \
                 (--at ADDRESS:PORT, or -c with its file)"
            ),
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
                write!(f, "{at} did not answer within {} s", PATIENCE.as_secs())
            }
            _ => write!(f, "{at}: {}", self.what),
        }
    }
}

/// Asks once: `ask(at, "GET", "/ready")`. A body goes along when it is not empty.
///
/// # Errors
/// Nobody there, no HTTP, too long, or too late.
pub(super) fn ask(
    at: SocketAddr,
    method: &str,
    path: &str,
    body: &str,
) -> Result<Answer, Unreached> {
    exchange(at, method, path, body).map_err(|what| Unreached { at, what })
}

fn exchange(at: SocketAddr, method: &str, path: &str, body: &str) -> io::Result<Answer> {
    let clock = Clock::start();
    let mut stream = TcpStream::connect_timeout(&at, PATIENCE)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // 1.0: the answer ends with the connection and is never chunked.
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: {at}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    let mut raw = Vec::new();
    let mut chunk = [0; 16 * 1024];
    loop {
        let left = PATIENCE.saturating_sub(clock.now().mono.0);
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        let n = match stream.read(&mut chunk) {
            Ok(0) => return parse(&raw).ok_or_else(|| fault("the answer is no HTTP")),
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        raw.extend_from_slice(chunk.get(..n).unwrap_or_default());
        if raw.len() > LONGEST {
            return Err(fault("the answer is too long"));
        }
    }
}

fn fault(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Status and body; `None`: cut short or no HTTP.
fn parse(raw: &[u8]) -> Option<Answer> {
    let text = String::from_utf8_lossy(raw);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let (line, fields) = head.split_once("\r\n").unwrap_or((head, ""));
    let status = line.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    let own = |f: &str| {
        let (name, value) = f.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    };
    let sent = raw.len().saturating_sub(raw.windows(4).position(|w| w == b"\r\n\r\n")? + 4);
    // A gateway that dies while it answers must not look like one that answered.
    if fields.split("\r\n").find_map(own).is_some_and(|told| told != sent) {
        return None;
    }
    Some(Answer { status, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::TcpListener;

    /// Answers one connection with these octets; what was asked comes back.
    fn server(answer: Vec<u8>) -> (SocketAddr, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let task = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = [0; 1024];
            let n = stream.read(&mut asked).unwrap();
            let _ = stream.write_all(&answer);
            String::from_utf8_lossy(&asked[..n]).into_owned()
        });
        (at, task)
    }

    #[test]
    fn an_answer_has_status_and_body() {
        let (at, task) = server(b"HTTP/1.0 503 x\r\nContent-Length: 9\r\n\r\ndraining\n".into());
        let answer = ask(at, "POST", "/ready", "{}").unwrap();
        assert_eq!(answer, Answer { status: 503, body: "draining\n".into() });
        assert!(!answer.is_success());
        let asked = task.join().unwrap();
        assert!(asked.starts_with("POST /ready HTTP/1.0\r\nHost: 127.0.0.1:"), "{asked}");
        assert!(asked.ends_with("Content-Length: 2\r\n\r\n{}"), "{asked}");
    }

    #[test]
    fn what_is_cut_short_or_no_http_is_no_answer() {
        for wrong in
            ["", "SIP/2.0 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nready\n"]
        {
            let (at, task) = server(wrong.into());
            let told = ask(at, "GET", "/", "").unwrap_err().to_string();
            assert!(told.contains("no HTTP"), "{wrong}: {told}");
            task.join().unwrap();
        }
    }

    #[test]
    fn a_stranger_that_never_stops_talking_is_cut_off() {
        let (at, task) = server(vec![b'a'; LONGEST + 64 * 1024]);
        assert!(ask(at, "GET", "/", "").unwrap_err().to_string().contains("too long"));
        task.join().unwrap();
    }

    #[test]
    fn a_gateway_that_is_not_there_is_told_with_what_to_do() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let told = ask(free, "GET", "/", "").unwrap_err().to_string();
        assert!(told.contains("nothing listens") && told.contains("--at"), "{told}");
    }

    proptest! {
        #[test]
        fn no_octets_panic(raw in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&raw);
            let mut http = b"HTTP/1.1 200 OK\r\n".to_vec();
            http.extend(raw);
            let _ = parse(&http);
        }
    }
}
