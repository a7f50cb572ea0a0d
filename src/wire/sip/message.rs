//! A message: start line, header rows and body as spans over one buffer; edits replace rows.
//! Parsed once; after that no accessor fails.
use super::{CSeq, Method, Name, Refusal};
use bytes::Bytes;

/// How the bytes arrived; decides the rules for Content-Length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// One datagram: a missing length means "to the end".
    Datagram,
    /// Cut out of a stream by the framer: the length is required.
    Stream,
}

/// A SIP request or response.
#[derive(Clone, Debug)]
pub struct Message {}

#[expect(unused_variables, reason = "skeleton")]
impl Message {
    /// Reads one message. Everything a proxy must read is checked here: start line, framing,
    /// limits, the single-value headers, Via, From, To, Call-ID, CSeq, Max-Forwards.
    ///
    /// # Errors
    /// A [`Refusal`] with status and reason; for responses `answerable` is `None`: drop.
    pub fn parse(bytes: Bytes, framing: Framing) -> Result<Self, Refusal> {
        todo!()
    }
    /// A new request without headers.
    #[must_use]
    pub fn request(method: Method, uri: &str) -> Self {
        todo!()
    }
    /// A response to `request`: its Via rows, From, To, Call-ID and CSeq (RFC 3261 §8.2.6.2);
    /// no tag is added, no Record-Route copied.
    #[must_use]
    pub fn response(request: &Self, status: u16, phrase: &str) -> Self {
        todo!()
    }
    /// True for a request.
    #[must_use]
    pub fn is_request(&self) -> bool {
        todo!()
    }
    /// The request's method, or for a response the one in CSeq.
    #[must_use]
    pub fn method(&self) -> &Method {
        todo!()
    }
    /// The Request-URI; empty for a response.
    #[must_use]
    pub fn uri(&self) -> &str {
        todo!()
    }
    /// Replaces the Request-URI.
    pub fn set_uri(&mut self, uri: &str) {
        todo!()
    }
    /// The status code; 0 for a request.
    #[must_use]
    pub fn status(&self) -> u16 {
        todo!()
    }
    /// Replaces the status line.
    pub fn set_status(&mut self, status: u16, phrase: &str) {
        todo!()
    }
    /// The reason phrase.
    #[must_use]
    pub fn phrase(&self) -> &[u8] {
        todo!()
    }
    /// Values of the rows named `name`, in order, unfolded and trimmed (not split at commas).
    pub fn rows<'a>(&'a self, name: &'a Name) -> impl Iterator<Item = &'a [u8]> + 'a {
        std::iter::empty()
    }
    /// The first row's value.
    #[must_use]
    pub fn first(&self, name: &Name) -> Option<&[u8]> {
        todo!()
    }
    /// The first row's value as text; `None` when absent or not UTF-8.
    #[must_use]
    pub fn text(&self, name: &Name) -> Option<&str> {
        todo!()
    }
    /// Values of a list header, split at commas outside quotes and angle brackets, across rows.
    pub fn list<'a>(&'a self, name: &'a Name) -> impl Iterator<Item = &'a [u8]> + 'a {
        std::iter::empty()
    }
    /// True when there is such a row.
    #[must_use]
    pub fn has(&self, name: &Name) -> bool {
        todo!()
    }
    /// All rows in order: name and value.
    pub fn all(&self) -> impl Iterator<Item = (&Name, &[u8])> + '_ {
        std::iter::empty()
    }
    /// Inserts a row before the first row of that name (or at the top of the head).
    pub fn push_front(&mut self, name: Name, value: impl Into<Vec<u8>>) {
        todo!()
    }
    /// Inserts a row after the last row of that name (or at the end of the head).
    pub fn push_back(&mut self, name: Name, value: impl Into<Vec<u8>>) {
        todo!()
    }
    /// Replaces the first row of that name in place and removes the others; appends when absent.
    pub fn set(&mut self, name: Name, value: impl Into<Vec<u8>>) {
        todo!()
    }
    /// Removes every row of that name; true when there was one.
    pub fn remove(&mut self, name: &Name) -> bool {
        todo!()
    }
    /// Keeps the rows for which `keep` says so; returns how many went.
    pub fn retain(&mut self, keep: impl FnMut(&Name, &[u8]) -> bool) -> usize {
        todo!()
    }
    /// Removes the first value of a list header (from a row with several: that one only).
    pub fn pop_first(&mut self, name: &Name) -> Option<Vec<u8>> {
        todo!()
    }
    /// CSeq.
    #[must_use]
    pub fn cseq(&self) -> &CSeq {
        todo!()
    }
    /// Call-ID.
    #[must_use]
    pub fn call_id(&self) -> &str {
        todo!()
    }
    /// The From tag.
    #[must_use]
    pub fn from_tag(&self) -> Option<&str> {
        todo!()
    }
    /// The To tag.
    #[must_use]
    pub fn to_tag(&self) -> Option<&str> {
        todo!()
    }
    /// Max-Forwards; `None` when absent.
    #[must_use]
    pub fn max_forwards(&self) -> Option<u8> {
        todo!()
    }
    /// The body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        todo!()
    }
    /// Replaces the body; an empty one also removes Content-Type.
    pub fn set_body(&mut self, body: impl Into<Bytes>) {
        todo!()
    }
    /// Prints the message: `Name: value CRLF`, long names, unfolded, one Content-Length (last row
    /// of the head) that we computed.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        todo!()
    }
}
