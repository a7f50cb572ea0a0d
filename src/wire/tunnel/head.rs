//! What both ends of a tunnel tell each other of their audit logs, in a datagram beside the
//! [`super::probe`]: the number of the last record and its hash, so that neither can write its past
//! anew alone. It reads no log; what becomes of it `driver/tunnel/ledger` says. An end that does
//! not know it passes it over, as a probe of another form.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

const FORM: u8 = 2;
const HASH: usize = 32;
const OCTETS: usize = 1 + 8 + HASH + 8;

/// Where a log stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Sequence number of its last record; from 1 on.
    pub number: u64,
    /// SHA-256 of that record's line.
    pub hash: [u8; HASH],
    /// When this is said, by the calendar of who says it, in milliseconds since 1970.
    pub calendar: u64,
}

impl Head {
    /// As it goes out, behind the number of its flow.
    #[must_use]
    pub fn write(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(OCTETS);
        out.put_u8(FORM);
        out.put_u64(self.number);
        out.put_slice(&self.hash);
        out.put_u64(self.calendar);
        super::pack(super::probe::PORT, &out)
    }

    /// What came for [`super::probe::PORT`]; `None`: of another form, which is passed over. More
    /// octets than there were in this version are as well.
    #[must_use]
    pub fn read(mut from: Bytes) -> Option<Self> {
        if from.len() < OCTETS || from.get_u8() != FORM {
            return None;
        }
        let number = from.get_u64();
        let mut hash = [0; HASH];
        from.copy_to_slice(&mut hash);
        let calendar = from.get_u64();
        (number > 0).then_some(Self { number, hash, calendar })
    }
}

#[cfg(test)]
mod tests {
    use super::super::probe::{PORT, Probe};
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_comes_as_it_went_and_whoever_knows_probes_alone_passes_it_over(
            number in 1_u64.., hash: [u8; HASH], calendar: u64, more: Vec<u8>,
        ) {
            let head = Head { number, hash, calendar };
            let (port, rest) = super::super::unpack(head.write()).expect("a flow");
            prop_assert_eq!((port, Head::read(rest.clone())), (PORT, Some(head)));
            prop_assert_eq!(Probe::read(rest.clone()), None);
            let longer = [&rest[..], &more].concat();
            prop_assert_eq!(Head::read(longer.into()), Some(head), "of a version to come");
        }

        #[test]
        fn whatever_comes_is_read_or_passed_over(octets: Vec<u8>) {
            let read = Head::read(octets.clone().into());
            let is_one = octets.len() >= OCTETS && octets[0] == FORM && octets[1..9] != [0; 8];
            prop_assert_eq!(read.is_some(), is_one);
        }

        #[test]
        fn a_probe_is_none(number: u32, at: u64, calendar: u64) {
            let probe = Probe { number, at, calendar, ..Probe::default() };
            let (_, rest) = super::super::unpack(probe.write()).expect("a flow");
            prop_assert_eq!(Head::read(rest), None);
        }
    }
}
