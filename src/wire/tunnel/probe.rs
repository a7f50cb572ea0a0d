//! What both ends of a tunnel tell each other each second, in a datagram of its own: so that how
//! long the way is, how even, and how much of it is lost is known in both directions, whatever
//! carries it. It measures nothing; `driver/tunnel/path` does.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

/// The port that it comes for: nobody has it.
pub const PORT: u16 = 0;

const FORM: u8 = 1;
const OCTETS: usize = 1 + 4 + 8 + 8 + 4 + 8 + 4 + 8 + 8;
/// Stands for a count that nobody knows.
const UNKNOWN: u64 = u64::MAX;

/// One of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Probe {
    /// From 1 on; a smaller one than before: the other end has begun anew.
    pub number: u32,
    /// When it was sent, in microseconds of a clock that only goes forward.
    pub at: u64,
    /// The same moment by the calendar, in milliseconds since 1970.
    pub calendar: u64,
    /// The last one of the other end's that came; `None`: none has.
    pub echo: Option<Echo>,
    /// Packets that its sender has sent so far, and of which it knows that they were lost.
    pub packets: Option<(u64, u64)>,
    /// Long packets of its sender's do not arrive, and short ones do.
    pub is_narrow: bool,
}

/// What came last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo {
    /// Its number.
    pub number: u32,
    /// What it said of its time.
    pub at: u64,
    /// For how long it has been here, in microseconds.
    pub held: u32,
}

impl Probe {
    /// As it goes out, behind the number of its flow.
    #[must_use]
    pub fn write(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(OCTETS);
        out.put_u8(FORM);
        out.put_u32(self.number);
        out.put_u64(self.at);
        out.put_u64(self.calendar);
        let echo = self.echo.unwrap_or(Echo { number: 0, at: 0, held: 0 });
        out.put_u32(echo.number);
        out.put_u64(echo.at);
        out.put_u32(echo.held);
        let (sent, lost) = self.packets.unwrap_or((UNKNOWN, UNKNOWN));
        out.put_u64(sent);
        out.put_u64(lost);
        out.put_u8(u8::from(self.is_narrow));
        super::pack(PORT, &out)
    }

    /// What came for [`PORT`]; `None`: of another form, which is passed over. More octets than
    /// there were in this version are as well.
    #[must_use]
    pub fn read(mut from: Bytes) -> Option<Self> {
        if from.len() < OCTETS || from.get_u8() != FORM {
            return None;
        }
        let (number, at, calendar) = (from.get_u32(), from.get_u64(), from.get_u64());
        let echo = Echo { number: from.get_u32(), at: from.get_u64(), held: from.get_u32() };
        let (sent, lost) = (from.get_u64(), from.get_u64());
        // Not said by those of before.
        let is_narrow = from.first().is_some_and(|flags| flags & 1 != 0);
        Some(Self {
            number,
            at,
            calendar,
            echo: Some(echo).filter(|e| e.number != 0),
            packets: Some((sent, lost)).filter(|_| sent != UNKNOWN && lost != UNKNOWN),
            is_narrow,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_comes_as_it_went(
            number in 0_u32.., at: u64, calendar: u64,
            echo in proptest::option::of((1_u32.., 0_u64.., 0_u32..)),
            packets in proptest::option::of((0..u64::MAX, 0..u64::MAX)),
            is_narrow: bool,
        ) {
            let echo = echo.map(|(number, at, held)| Echo { number, at, held });
            let probe = Probe { number, at, calendar, echo, packets, is_narrow };
            let (port, rest) = super::super::unpack(probe.write()).expect("a flow");
            prop_assert_eq!((port, Probe::read(rest)), (PORT, Some(probe)));
        }

        #[test]
        fn whatever_comes_is_read_or_passed_over(octets: Vec<u8>) {
            let read = Probe::read(octets.clone().into());
            prop_assert_eq!(read.is_some(), octets.len() >= OCTETS && octets[0] == FORM);
        }
    }
}
