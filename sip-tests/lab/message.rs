//! A message as a test reads it. Its own few lines of text handling: a test that read with the
//! product's parser would not see that parser's faults.

use portreeve::engine::Opens;
use portreeve::ground::Flow;
use std::fmt;

/// One message the gateway sent.
#[derive(Clone, Debug)]
pub(crate) struct Msg {
    /// The flow it left by.
    pub(crate) flow: Flow,
    /// Start line.
    pub(crate) start: String,
    /// Header rows in order.
    pub(crate) rows: Vec<(String, String)>,
    pub(crate) body: String,
    /// As sent.
    pub(crate) bytes: Vec<u8>,
    /// What the connection is that has to be opened for it.
    pub(crate) opens: Option<Opens>,
}

impl Msg {
    /// Reads a message and checks its framing: regular rows, one right Content-Length.
    pub(crate) fn read(flow: Flow, bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        let mut lines = head.split("\r\n");
        let start = lines.next().expect("a start line").to_owned();
        let rows: Vec<(String, String)> = lines
            .map(|line| {
                let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("row {line:?}"));
                (name.to_owned(), value.to_owned())
            })
            .collect();
        let at = bytes.windows(4).position(|w| w == b"\r\n\r\n").expect("an end of the head");
        let (body, bytes_of, opens) = (body.to_owned(), bytes.to_vec(), None);
        let msg = Self { flow, start, rows, body, bytes: bytes_of, opens };
        let lengths = msg.all("Content-Length");
        assert_eq!(lengths, [(bytes.len() - at - 4).to_string()], "one right length in\n{msg}");
        msg
    }

    /// The same in other words; `bytes` stay as sent.
    pub(crate) fn translated(self, words: impl Fn(&str) -> String) -> Self {
        let rows = self.rows.iter().map(|(name, value)| (name.clone(), words(value))).collect();
        Self { start: words(&self.start), rows, body: words(&self.body), ..self }
    }

    pub(crate) fn is_request(&self) -> bool {
        !self.start.starts_with("SIP/2.0 ")
    }

    /// The request's method.
    pub(crate) fn method(&self) -> &str {
        self.start.split(' ').next().unwrap_or_default()
    }

    /// The Request-URI.
    pub(crate) fn uri(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or_default()
    }

    /// The status of a response; 0 for a request.
    pub(crate) fn status(&self) -> u16 {
        let code = self.start.strip_prefix("SIP/2.0 ").and_then(|s| s.get(..3));
        code.and_then(|c| c.parse().ok()).unwrap_or_default()
    }

    /// Values of every row of that name.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let same = |row: &&(String, String)| row.0.eq_ignore_ascii_case(name);
        self.rows.iter().filter(same).map(|row| row.1.as_str()).collect()
    }

    /// Values of a list header, split at commas that do not stand in `<>` or quotes.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        self.all(name).into_iter().flat_map(split_list).collect()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        !self.all(name).is_empty()
    }

    /// The first row's value.
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        self.all(name).first().copied().unwrap_or_else(|| panic!("no {name} in\n{self}"))
    }

    /// The `tag` of From or To.
    pub(crate) fn tag(&self, name: &str) -> Option<&str> {
        param(self.header(name), "tag")
    }

    pub(crate) fn branch(&self) -> &str {
        param(self.header("Via"), "branch").unwrap_or_default()
    }

    pub(crate) fn call_id(&self) -> &str {
        self.header("Call-ID")
    }

    /// CSeq: number and method.
    pub(crate) fn cseq(&self) -> (u32, &str) {
        let (number, method) = self.header("CSeq").split_once(' ').expect("number and method");
        (number.parse().expect("a number"), method)
    }

    /// The URI of the Contact.
    #[track_caller]
    pub(crate) fn contact(&self) -> &str {
        uri_of(self.header("Contact"))
    }

    /// The c= address that counts for the first m= line.
    #[track_caller]
    pub(crate) fn media_address(&self) -> &str {
        let c = self.body.lines().find_map(|l| l.strip_prefix("c=IN IP4 "));
        c.unwrap_or_else(|| panic!("no c= in\n{self}"))
    }

    /// Ports of the m= lines.
    pub(crate) fn media_ports(&self) -> Vec<u16> {
        let m = self.body.lines().filter_map(|l| l.strip_prefix("m="));
        m.filter_map(|l| l.split(' ').nth(1)?.parse().ok()).collect()
    }
}

impl fmt::Display for Msg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.bytes).replace("\r\n", "\n"))
    }
}

/// A `;name=value` parameter outside `<>`.
pub(crate) fn param<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    let after = value.rsplit_once('>').map_or(value, |(_, rest)| rest);
    after.split(';').skip(usize::from(!value.contains('>'))).chain(std::iter::once("")).find_map(
        |p| {
            let (key, value) = p.split_once('=').unwrap_or((p, ""));
            (key.trim().eq_ignore_ascii_case(name) && !p.is_empty()).then_some(value.trim())
        },
    )
}

/// What stands in `<>`, or the value without parameters.
pub(crate) fn uri_of(value: &str) -> &str {
    match (value.find('<'), value.find('>')) {
        (Some(a), Some(b)) if a < b => &value[a + 1..b],
        _ => value.split(';').next().unwrap_or_default(),
    }
}

fn split_list(value: &str) -> Vec<String> {
    let (mut items, mut item) = (Vec::new(), String::new());
    let (mut quoted, mut angle) = (false, false);
    for c in value.chars() {
        match c {
            '"' => quoted = !quoted,
            '<' if !quoted => angle = true,
            '>' if !quoted => angle = false,
            ',' if !quoted && !angle => {
                items.push(std::mem::take(&mut item).trim().to_owned());
                continue;
            }
            _ => {}
        }
        item.push(c);
    }
    items.push(item.trim().to_owned());
    items
}
