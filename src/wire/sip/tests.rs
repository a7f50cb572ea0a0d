//! What the reader promises: limits at n and n+1, ambiguity refused, regular output.

mod dialect;
mod framing;
mod grammar;
mod limits;
mod oracle;
mod properties;
mod refusals;

use super::{Framing, Message, Refusal};
use bytes::Bytes;

const HEAD: &str = "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n\
                    From: <sip:a@example.com>;tag=1\r\nTo: <sip:b@example.com>\r\n\
                    Call-ID: x@192.0.2.1\r\nCSeq: 1 OPTIONS\r\n";

fn read(text: impl AsRef<[u8]>) -> Result<Message, Refusal> {
    Message::parse(Bytes::copy_from_slice(text.as_ref()), Framing::Datagram)
}

/// An OPTIONS with these rows besides the required ones.
fn options(rows: &str) -> String {
    format!("OPTIONS sip:b@example.com SIP/2.0\r\n{HEAD}{rows}\r\n")
}

/// An OPTIONS in which one piece of text is another.
fn with(old: &str, new: &str) -> String {
    let text = options("");
    assert!(text.contains(old), "{old}");
    text.replacen(old, new, 1)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
