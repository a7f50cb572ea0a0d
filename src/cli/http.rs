//! The client's half of the gateway's listeners, loopback and unix socket: one short HTTP/1.0
//! exchange, blocking, bounded in octets and in time. It knows no JSON and no command; the commands
//! read the answer.

use crate::driver::clock::Clock;
use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};

/// Most octets of an answer that are read: a gateway full of calls lists them in less.
const LONGEST: usize = 8 << 20;
/// Longest exchange. The gateway itself gives its event loop two seconds.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Where a gateway listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum At {
    /// Loopback: `http.listen`.
    Tcp(SocketAddr),
    /// `control.socket`.
    Unix(PathBuf),
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(at) => write!(f, "{at}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

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
    at: At,
    what: io::Error,
}

impl Unreached {
    /// Nobody listens there; somewhere else may somebody.
    pub(super) fn is_absent(&self) -> bool {
        matches!(self.what.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound)
    }

    /// The socket is another user's.
    pub(super) fn is_forbidden(&self) -> bool {
        self.what.kind() == io::ErrorKind::PermissionDenied
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the rest is alike")]
impl fmt::Display for Unreached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = &self.at;
        let how = match at {
            At::Tcp(_) => "its http.listen is another (--at ADDRESS:PORT, or -c with its file)",
            At::Unix(_) => "its control.socket is another (--socket PATH, or -c with its file)",
        };
        match self.what.kind() {
            io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => {
                write!(f, "nothing listens at {at}: no gateway runs here, or {how}")
            }
            io::ErrorKind::PermissionDenied => write!(
                f,
                "{at}: {}: only the user that runs the gateway may ask it, and root (sudo)",
                self.what
            ),
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
                write!(f, "{at} did not answer in time: is the gateway stuck or stopped?")
            }
            _ => write!(f, "{at}: {}", self.what),
        }
    }
}

/// Asks once: `ask(at, "GET", "/ready", PATIENCE)`.
///
/// # Errors
/// Nobody there, no HTTP, too long, or later than `patience`.
pub(super) fn ask(
    at: &At,
    method: &str,
    path: &str,
    patience: Duration,
) -> Result<Answer, Unreached> {
    let told = exchange(at, method, path, patience);
    told.map_err(|what| Unreached { at: at.clone(), what })
}

fn connect(at: &At, patience: Duration) -> io::Result<Socket> {
    let (domain, address) = match at {
        At::Tcp(at) => (Domain::for_address(*at), SockAddr::from(*at)),
        At::Unix(path) => (Domain::UNIX, SockAddr::unix(path)?),
    };
    let socket = Socket::new(domain, Type::STREAM, None)?;
    socket.connect_timeout(&address, patience)?;
    socket.set_write_timeout(Some(patience))?;
    Ok(socket)
}

fn exchange(at: &At, method: &str, path: &str, patience: Duration) -> io::Result<Answer> {
    let clock = Clock::start();
    let mut stream = connect(at, patience)?;
    let host = match at {
        At::Tcp(at) => at.to_string(),
        At::Unix(_) => "localhost".to_owned(),
    };
    // 1.0: the answer ends with the connection and is never chunked.
    let head = format!("{method} {path} HTTP/1.0\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    let mut raw = Vec::new();
    let mut chunk = [0; 16 * 1024];
    loop {
        let left = patience.saturating_sub(clock.now().mono.0);
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
    fn server(answer: Vec<u8>) -> (At, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let task = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = [0; 1024];
            let n = stream.read(&mut asked).unwrap();
            let _ = stream.write_all(&answer);
            String::from_utf8_lossy(&asked[..n]).into_owned()
        });
        (At::Tcp(at), task)
    }

    fn ask(at: &At, method: &str, path: &str) -> Result<Answer, Unreached> {
        super::ask(at, method, path, PATIENCE)
    }

    #[test]
    fn an_answer_has_status_and_body() {
        let (at, task) = server(b"HTTP/1.0 503 x\r\nContent-Length: 9\r\n\r\ndraining\n".into());
        let answer = ask(&at, "POST", "/ready").unwrap();
        assert_eq!(answer, Answer { status: 503, body: "draining\n".into() });
        assert!(!answer.is_success());
        let asked = task.join().unwrap();
        assert!(asked.starts_with("POST /ready HTTP/1.0\r\nHost: 127.0.0.1:"), "{asked}");
        assert!(asked.ends_with("Content-Length: 0\r\n\r\n"), "{asked}");
    }

    #[test]
    fn what_is_cut_short_or_no_http_is_no_answer() {
        for wrong in
            ["", "SIP/2.0 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nready\n"]
        {
            let (at, task) = server(wrong.into());
            let told = ask(&at, "GET", "/").unwrap_err().to_string();
            assert!(told.contains("no HTTP"), "{wrong}: {told}");
            task.join().unwrap();
        }
    }

    #[test]
    fn a_stranger_that_never_stops_talking_is_cut_off() {
        let (at, task) = server(vec![b'a'; LONGEST + 64 * 1024]);
        assert!(ask(&at, "GET", "/").unwrap_err().to_string().contains("too long"));
        task.join().unwrap();
    }

    #[test]
    fn a_gateway_that_is_not_there_is_told_with_what_to_do() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let told = ask(&At::Tcp(free), "GET", "/").unwrap_err().to_string();
        assert!(told.contains("nothing listens") && told.contains("--at"), "{told}");
        let path = std::env::temp_dir().join("no-such-folder/control.sock");
        let told = ask(&At::Unix(path), "GET", "/").unwrap_err();
        assert!(told.is_absent() && told.to_string().contains("--socket"), "{told}");
        let long = At::Unix(PathBuf::from("x".repeat(200)));
        assert!(!ask(&long, "GET", "/").unwrap_err().is_absent());
    }

    #[test]
    fn a_unix_socket_is_asked_alike_and_silence_ends() {
        let path = std::env::temp_dir().join(format!("portreeve-http-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let at = At::Unix(path.clone());
        let task = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = [0; 1024];
            let n = stream.read(&mut asked).unwrap();
            stream.write_all(b"HTTP/1.0 200 OK\r\ncontent-length: 3\r\n\r\n{}\n").unwrap();
            drop(stream);
            // The second one is never answered.
            let silent = listener.accept().unwrap();
            (String::from_utf8_lossy(&asked[..n]).into_owned(), silent, listener)
        });
        assert_eq!(ask(&at, "GET", "/calls").unwrap().body, "{}\n");
        let told = super::ask(&at, "GET", "/calls", Duration::from_millis(50)).unwrap_err();
        assert!(told.to_string().contains("did not answer"), "{told}");
        let (asked, silent, listener) = task.join().unwrap();
        assert!(asked.starts_with("GET /calls HTTP/1.0\r\nHost: localhost\r\n"), "{asked}");
        drop((silent, listener));
        assert!(ask(&at, "GET", "/").unwrap_err().is_absent());
        std::fs::remove_file(&path).unwrap();
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
