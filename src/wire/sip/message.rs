//! A message: start line, header rows and body as spans over one buffer; edits replace rows.
//! Parsed once (`parse`); after that no accessor fails. Printing is always regular (house decision
//! 2).

use super::text::{list, trim};
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

/// The first line.
#[derive(Clone, Debug)]
pub(super) enum Start {
    Request { method: Method, uri: Box<str> },
    Response { status: u16, phrase: Bytes },
}

/// One header line. The value is a slice of the received buffer until an edit replaces it.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) name: Name,
    pub(super) value: Bytes,
}

/// A SIP request or response.
#[derive(Clone, Debug)]
pub struct Message {
    pub(super) start: Start,
    pub(super) rows: Vec<Row>,
    pub(super) body: Bytes,
    pub(super) cseq: CSeq,
    pub(super) from_tag: Option<Box<str>>,
    pub(super) to_tag: Option<Box<str>>,
}

impl Message {
    /// Reads one message. Everything a proxy must read is checked here: start line, framing,
    /// limits, the single-value headers, Via, From, To, Call-ID, CSeq, Max-Forwards.
    ///
    /// # Errors
    /// A [`Refusal`] with status and reason; of a response what says whom it answers.
    pub fn parse(bytes: Bytes, framing: Framing) -> Result<Self, Refusal> {
        super::parse::message(&bytes, framing)
    }

    /// A new request without headers.
    #[must_use]
    pub fn request(method: Method, uri: &str) -> Self {
        Self {
            start: Start::Request { method: method.clone(), uri: one_word(uri) },
            rows: Vec::new(),
            body: Bytes::new(),
            cseq: CSeq { seq: 0, method },
            from_tag: None,
            to_tag: None,
        }
    }

    /// A response to `request`: its Via rows, From, To, Call-ID and CSeq (RFC 3261 §8.2.6.2);
    /// no tag is added, no Record-Route copied.
    #[must_use]
    pub fn response(request: &Self, status: u16, phrase: &str) -> Self {
        let echoed = |r: &&Row| {
            matches!(r.name, Name::Via | Name::From | Name::To | Name::CallId | Name::CSeq)
        };
        Self {
            start: Start::Response { status, phrase: clean(phrase.into()) },
            rows: request.rows.iter().filter(echoed).cloned().collect(),
            body: Bytes::new(),
            cseq: request.cseq.clone(),
            from_tag: request.from_tag.clone(),
            to_tag: request.to_tag.clone(),
        }
    }

    /// Start line, Via, From, To, Call-ID and CSeq, in a buffer of their own: what is let go is
    /// let go.
    #[must_use]
    pub fn essence(&self) -> Self {
        let mut kept = Self::response(self, 0, "");
        kept.start = self.start.clone();
        for row in &mut kept.rows {
            row.value = Bytes::copy_from_slice(&row.value);
        }
        kept
    }

    /// Octets of its header values and its body.
    #[must_use]
    pub fn octets(&self) -> usize {
        self.body.len() + self.rows.iter().map(|row| row.value.len()).sum::<usize>()
    }

    /// True for a request.
    #[must_use]
    pub fn is_request(&self) -> bool {
        matches!(self.start, Start::Request { .. })
    }

    /// The request's method, or for a response the one in CSeq.
    #[must_use]
    pub fn method(&self) -> &Method {
        match &self.start {
            Start::Request { method, .. } => method,
            Start::Response { .. } => &self.cseq.method,
        }
    }

    /// The Request-URI; empty for a response.
    #[must_use]
    pub fn uri(&self) -> &str {
        match &self.start {
            Start::Request { uri, .. } => uri,
            Start::Response { .. } => "",
        }
    }

    /// Replaces the Request-URI.
    pub fn set_uri(&mut self, new: &str) {
        if let Start::Request { uri, .. } = &mut self.start {
            *uri = one_word(new);
        }
    }

    /// The status code; 0 for a request.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self.start {
            Start::Request { .. } => 0,
            Start::Response { status, .. } => status,
        }
    }

    /// Replaces the status line.
    pub fn set_status(&mut self, status: u16, phrase: &str) {
        self.start = Start::Response { status, phrase: clean(phrase.into()) };
    }

    /// The reason phrase.
    #[must_use]
    pub fn phrase(&self) -> &[u8] {
        match &self.start {
            Start::Request { .. } => b"",
            Start::Response { phrase, .. } => phrase,
        }
    }

    /// Values of the rows named `name`, in order, unfolded and trimmed (not split at commas).
    pub fn rows<'a>(&'a self, name: &'a Name) -> impl Iterator<Item = &'a [u8]> + 'a {
        self.rows.iter().filter(move |r| r.name == *name).map(|r| r.value.as_ref())
    }

    /// The first row's value.
    #[must_use]
    pub fn first(&self, name: &Name) -> Option<&[u8]> {
        self.rows.iter().find(|r| r.name == *name).map(|r| r.value.as_ref())
    }

    /// The first row's value as text; `None` when absent or not UTF-8.
    #[must_use]
    pub fn text(&self, name: &Name) -> Option<&str> {
        self.first(name).and_then(|v| std::str::from_utf8(v).ok())
    }

    /// Values of a list header, split at commas outside quotes and angle brackets, across rows.
    pub fn list<'a>(&'a self, name: &'a Name) -> impl Iterator<Item = &'a [u8]> + 'a {
        self.rows(name).flat_map(list)
    }

    /// True when there is such a row.
    #[must_use]
    pub fn has(&self, name: &Name) -> bool {
        self.rows.iter().any(|r| r.name == *name)
    }

    /// All rows in order: name and value.
    pub fn all(&self) -> impl Iterator<Item = (&Name, &[u8])> + '_ {
        self.rows.iter().map(|r| (&r.name, r.value.as_ref()))
    }

    /// Inserts a row before the first row of that name (or at the top of the head).
    pub fn push_front(&mut self, name: Name, value: impl Into<Vec<u8>>) {
        let at = self.rows.iter().position(|r| r.name == name).unwrap_or(0);
        self.insert(at, name, value.into());
    }

    /// Inserts a row after the last row of that name (or at the end of the head).
    pub fn push_back(&mut self, name: Name, value: impl Into<Vec<u8>>) {
        let after = self.rows.iter().rposition(|r| r.name == name).map(|i| i + 1);
        self.insert(after.unwrap_or(self.rows.len()), name, value.into());
    }

    fn insert(&mut self, at: usize, name: Name, value: Vec<u8>) {
        let value = clean(value);
        self.learn(&name, &value);
        self.rows.insert(at, Row { name, value });
    }

    /// Replaces the first row of that name in place and removes the others; appends when absent.
    pub fn set(&mut self, name: Name, value: impl Into<Vec<u8>>) {
        let Some(at) = self.rows.iter().position(|r| r.name == name) else {
            self.push_back(name, value);
            return;
        };
        let value = clean(value.into());
        self.learn(&name, &value);
        let mut index = 0;
        self.rows.retain(|r| {
            index += 1;
            index - 1 <= at || r.name != name
        });
        if let Some(row) = self.rows.get_mut(at) {
            row.value = value;
        }
    }

    /// Keeps what accessors answer without reading again in step with an edit.
    fn learn(&mut self, name: &Name, value: &[u8]) {
        if *name == Name::From {
            self.from_tag = super::required::tag(value);
        } else if *name == Name::To {
            self.to_tag = super::required::tag(value);
        } else if *name == Name::CSeq
            && let Some(cseq) = CSeq::parse(value)
        {
            self.cseq = cseq;
        }
    }

    /// Removes every row of that name; true when there was one.
    pub fn remove(&mut self, name: &Name) -> bool {
        self.retain(|n, _| n != name) > 0
    }

    /// Keeps the rows for which `keep` says so; returns how many went.
    pub fn retain(&mut self, mut keep: impl FnMut(&Name, &[u8]) -> bool) -> usize {
        let before = self.rows.len();
        self.rows.retain(|r| keep(&r.name, &r.value));
        if !self.has(&Name::From) {
            self.from_tag = None;
        }
        if !self.has(&Name::To) {
            self.to_tag = None;
        }
        before - self.rows.len()
    }

    /// Removes the first value of a list header (from a row with several: that one only).
    pub fn pop_first(&mut self, name: &Name) -> Option<Vec<u8>> {
        let at = self.rows.iter().position(|r| r.name == *name)?;
        let row = self.rows.get_mut(at)?;
        let mut values = list(&row.value);
        let first = values.next().map(<[u8]>::to_vec);
        let rest: Vec<&[u8]> = values.collect();
        if rest.is_empty() {
            self.rows.remove(at);
        } else {
            let rest = rest.join(&b", "[..]);
            row.value = Bytes::from(rest);
        }
        first
    }

    /// CSeq.
    #[must_use]
    pub fn cseq(&self) -> &CSeq {
        &self.cseq
    }

    /// Call-ID.
    #[must_use]
    pub fn call_id(&self) -> &str {
        self.text(&Name::CallId).unwrap_or_default()
    }

    /// The From tag.
    #[must_use]
    pub fn from_tag(&self) -> Option<&str> {
        self.from_tag.as_deref()
    }

    /// The To tag.
    #[must_use]
    pub fn to_tag(&self) -> Option<&str> {
        self.to_tag.as_deref()
    }

    /// Max-Forwards; `None` when absent.
    #[must_use]
    pub fn max_forwards(&self) -> Option<u8> {
        self.text(&Name::MaxForwards).and_then(|v| v.trim().parse().ok())
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Replaces the body; an empty one also removes Content-Type.
    pub fn set_body(&mut self, body: impl Into<Bytes>) {
        self.body = body.into();
        if self.body.is_empty() {
            self.remove(&Name::ContentType);
        }
    }

    /// Prints the message: `Name: value CRLF`, long names, unfolded, one Content-Length (last row
    /// of the head) that we computed.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let head: usize = self.rows.iter().map(|r| r.name.as_str().len() + r.value.len() + 4).sum();
        let mut out = Vec::with_capacity(head + self.body.len() + 128);
        match &self.start {
            Start::Request { method, uri } => {
                for part in [method.as_str(), " ", uri, " SIP/2.0\r\n"] {
                    out.extend_from_slice(part.as_bytes());
                }
            }
            Start::Response { status, phrase } => {
                out.extend_from_slice(format!("SIP/2.0 {status} ").as_bytes());
                out.extend_from_slice(phrase);
                out.extend_from_slice(b"\r\n");
            }
        }
        for row in self.rows.iter().filter(|r| r.name != Name::ContentLength) {
            out.extend_from_slice(row.name.as_str().as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(&row.value);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(format!("Content-Length: {}\r\n\r\n", self.body.len()).as_bytes());
        out.extend_from_slice(&self.body);
        Bytes::from(out)
    }
}

/// What we write holds no control character, whatever an edit was made of.
fn clean(mut value: Vec<u8>) -> Bytes {
    for b in value.iter_mut().filter(|b| b.is_ascii_control()) {
        *b = b' ';
    }
    let trimmed = trim(&value).len();
    if trimmed == value.len() { value.into() } else { Bytes::copy_from_slice(trim(&value)) }
}

/// A URI for the start line: a blank or a control in it would begin another word or line.
fn one_word(uri: &str) -> Box<str> {
    let breaks = |b: u8| b <= b' ' || b == 0x7f;
    if !uri.bytes().any(breaks) {
        return uri.into();
    }
    let escaped = |c: char| match u8::try_from(c) {
        Ok(b) if breaks(b) => format!("%{b:02X}"),
        Ok(_) | Err(_) => c.to_string(),
    };
    uri.chars().map(escaped).collect::<String>().into()
}
