//! Records of TLS (RFC 8446 §5.1) as whoever carries them sees them without a key: whether they are
//! any, how much of a handshake has come, and whether one has begun that is not complete. It looks
//! into nothing that is sealed, and keeps no octet but a few of a head.

/// Octets of a ClientHello (RFC 8446 §4.1.2): ten times the longest that clients send.
pub const HELLO: usize = 16 * 1024;
/// Octets that a peer may send until the handshake is done: its hello, and the chain that it shows.
pub const HANDSHAKE: usize = 48 * 1024;
/// Octets of a record: 2^14, and what sealing adds (RFC 5246 §6.2.3).
const RECORD: usize = (1 << 14) + 2_048;
/// Octets before a record's own: its type, a version, its length.
const HEAD: usize = 5;
/// Octets before a handshake message's own: its type and its length.
const MESSAGE: usize = 4;

const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKES: u8 = 22;
const DATA: u8 = 23;
const CLIENT_HELLO: u8 = 1;

/// What is not carried on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is no TLS.
    NoTls,
    /// It is a longer hello, handshake or record than anybody needs.
    Long,
}

/// Who sends what is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Peer {
    /// He has called us: his hello is first.
    Client,
    /// We have called him.
    Server,
}

/// What came of one peer. The default is one who has called us.
#[derive(Clone, Debug)]
pub struct Records {
    peer: Peer,
    head: [u8; HEAD],
    /// Octets of a head that are there.
    heads: usize,
    /// Octets of the record that are still to come.
    left: usize,
    complete: u64,
    /// The first of the handshake: what begins it, and how long it is.
    first: [u8; MESSAGE],
    firsts: usize,
    /// Octets of handshake messages.
    said: usize,
    /// Octets until the handshake is done; `None`: it is.
    shaken: Option<usize>,
}

impl Default for Records {
    fn default() -> Self {
        Self::of(Peer::Client)
    }
}

impl Records {
    fn of(peer: Peer) -> Self {
        let (head, first) = ([0; HEAD], [0; MESSAGE]);
        let (heads, left, complete, firsts, said) = (0, 0, 0, 0, 0);
        Self { peer, head, heads, left, complete, first, firsts, said, shaken: Some(0) }
    }

    /// What comes of whom we have called.
    #[must_use]
    pub fn of_server() -> Self {
        Self::of(Peer::Server)
    }

    /// The handshake is done.
    pub fn done(&mut self) {
        self.shaken = None;
    }

    /// Records that are complete.
    #[must_use]
    pub fn complete(&self) -> u64 {
        self.complete
    }

    /// A record has begun that is not complete.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        self.heads > 0 || self.left > 0
    }

    /// The first message of the handshake is there, whole.
    #[must_use]
    pub fn has_first(&self) -> bool {
        self.firsts == MESSAGE && self.said >= MESSAGE + self.first_length()
    }

    /// How long the first message says that it is.
    fn first_length(&self) -> usize {
        let [_, rest @ ..] = self.first;
        rest.iter().fold(0, |sum, octet| sum << 8 | usize::from(*octet))
    }

    /// These octets came.
    ///
    /// # Errors
    /// What of them ends the connection.
    pub fn take(&mut self, mut octets: &[u8]) -> Result<(), Refused> {
        if let Some(shaken) = &mut self.shaken {
            *shaken = shaken.saturating_add(octets.len());
            if *shaken > HANDSHAKE {
                return Err(Refused::Long);
            }
        }
        while !octets.is_empty() {
            octets = if self.left > 0 { self.within(octets)? } else { self.head(octets)? };
        }
        Ok(())
    }

    /// Reads of a head; what is behind it is left.
    fn head<'a>(&mut self, octets: &'a [u8]) -> Result<&'a [u8], Refused> {
        let Some((octet, rest)) = octets.split_first() else { return Ok(octets) };
        if let Some(place) = self.head.get_mut(self.heads) {
            *place = *octet;
        }
        self.heads += 1;
        // Judged as soon as they are there, so that nobody waits for the rest of what is no TLS.
        let is_fit = match self.heads {
            1 => self.may_come(*octet),
            2 => *octet == 3,
            _ => true,
        };
        if !is_fit {
            return Err(Refused::NoTls);
        }
        if self.heads == HEAD {
            let [.., high, low] = self.head;
            self.heads = 0;
            self.left = usize::from(u16::from_be_bytes([high, low]));
            if self.left > RECORD {
                return Err(Refused::Long);
            }
            self.complete += u64::from(self.left == 0);
        }
        Ok(rest)
    }

    /// Whether a record of this type may be next.
    fn may_come(&self, kind: u8) -> bool {
        match (self.peer, self.firsts < MESSAGE) {
            (Peer::Client, true) => kind == HANDSHAKES,
            (Peer::Server, true) => matches!(kind, HANDSHAKES | ALERT),
            (Peer::Client | Peer::Server, false) => (CHANGE_CIPHER_SPEC..=DATA).contains(&kind),
        }
    }

    /// Reads of a record; what is behind it is left.
    fn within<'a>(&mut self, octets: &'a [u8]) -> Result<&'a [u8], Refused> {
        let (own, rest) = octets.split_at(octets.len().min(self.left));
        self.left -= own.len();
        self.complete += u64::from(self.left == 0);
        if self.head.first() == Some(&HANDSHAKES) {
            self.said = self.said.saturating_add(own.len());
            for octet in own.iter().take(MESSAGE - self.firsts) {
                self.begins(*octet)?;
            }
        }
        Ok(rest)
    }

    /// One more octet of how the handshake begins.
    fn begins(&mut self, octet: u8) -> Result<(), Refused> {
        if let Some(place) = self.first.get_mut(self.firsts) {
            *place = octet;
        }
        self.firsts += 1;
        if self.peer == Peer::Server {
            return Ok(());
        }
        if self.first.first() != Some(&CLIENT_HELLO) {
            return Err(Refused::NoTls);
        }
        if self.firsts == MESSAGE && self.first_length() > HELLO {
            return Err(Refused::Long);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u8, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[kind, 3, 1], &length[..], content].concat()
    }

    fn hello(length: usize) -> Vec<u8> {
        let [.., a, b, c] = u32::try_from(length).unwrap().to_be_bytes();
        [&[CLIENT_HELLO, a, b, c][..], &vec![7; length]].concat()
    }

    /// In one piece, and octet by octet: the same comes of it.
    fn taken(octets: &[u8]) -> (Result<(), Refused>, bool) {
        let (mut whole, mut single) = (Records::default(), Records::default());
        let got = whole.take(octets);
        assert_eq!(octets.iter().try_for_each(|octet| single.take(&[*octet])), got);
        if got.is_ok() {
            assert_eq!(whole.has_first(), single.has_first());
            assert_eq!(whole.is_partial(), single.is_partial());
            assert_eq!(whole.complete(), single.complete());
        }
        (got, whole.is_partial())
    }

    #[test]
    fn a_hello_is_taken_in_any_pieces_and_what_is_none_is_told_at_its_first_octets() {
        assert_eq!(taken(&record(HANDSHAKES, &hello(500))), (Ok(()), false));
        let mut small = Vec::new();
        hello(60).iter().for_each(|octet| small.extend(record(HANDSHAKES, &[*octet])));
        assert_eq!(taken(&small), (Ok(()), false));
        assert_eq!(taken(&small[..small.len() - 1]), (Ok(()), true));
        for other in
            [&b"O"[..], b"GET / HTTP/1.1", b"\r\n\r\n", b"\x16\x02", b"\x80\x2e\x01", b"\x17"]
        {
            assert_eq!(taken(other).0, Err(Refused::NoTls), "{other:?}");
        }
        assert_eq!(taken(&record(HANDSHAKES, &[2, 0, 0, 1, 0])).0, Err(Refused::NoTls));
        assert_eq!(taken(&record(ALERT, &[2, 40])).0, Err(Refused::NoTls));
    }

    #[test]
    fn a_hello_a_handshake_and_a_record_have_a_longest() {
        let of = |length: usize| {
            let mut all = Vec::new();
            for part in hello(length).chunks(9_000) {
                all.extend(record(HANDSHAKES, part));
            }
            taken(&all).0
        };
        assert_eq!((of(HELLO), of(HELLO + 1)), (Ok(()), Err(Refused::Long)));
        let mut records = Records::default();
        records.take(&record(HANDSHAKES, &hello(500))).unwrap();
        let more = record(DATA, &[0; 9_000]);
        for _ in 0..5 {
            records.take(&more).unwrap();
        }
        let mut done = records.clone();
        assert_eq!(records.take(&more), Err(Refused::Long));
        done.done();
        for _ in 0..50 {
            assert_eq!(done.take(&more), Ok(()));
        }
        assert_eq!(done.take(&[DATA, 3, 3, 0x48, 0x01]), Err(Refused::Long));
    }

    #[test]
    fn a_hello_is_there_with_its_last_octet_however_it_is_cut() {
        let mut cut = Vec::new();
        hello(300).chunks(7).for_each(|part| cut.extend(record(HANDSHAKES, part)));
        for all in [record(HANDSHAKES, &hello(300)), cut, record(HANDSHAKES, &hello(0))] {
            let mut records = Records::default();
            for octet in &all {
                assert!(!records.has_first());
                records.take(&[*octet]).unwrap();
            }
            assert!(records.has_first());
        }
    }

    #[test]
    fn what_a_server_sends_begins_with_a_handshake_or_an_alert() {
        for (first, got) in [
            (record(HANDSHAKES, &[2, 1, 0, 0, 0]), Ok(())),
            (record(ALERT, &[2, 40]), Ok(())),
            (b"SIP/2.0 400 What?".to_vec(), Err(Refused::NoTls)),
        ] {
            assert_eq!(Records::of_server().take(&first), got);
        }
    }
}
