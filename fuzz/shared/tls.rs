//! Whatever comes to a TLS port before anybody works on it: the same is said of it in whatever
//! pieces it comes, no long hello is waited for, nothing is taken beyond its bound, and nothing
//! panics. What should be said is read here anew, from the whole.

use portreeve::wire::tls::{HANDSHAKE, HELLO, Records, Refused};

/// The longest record.
const RECORD: usize = (1 << 14) + 2_048;

/// Of whom we are called by: complete records, and whether another has begun.
fn read(octets: &[u8]) -> Result<(u64, bool), Refused> {
    let (mut rest, mut complete, mut begun) = (octets, 0, Vec::new());
    loop {
        let is_first = begun.len() < 4;
        let fits = |kind: u8| if is_first { kind == 22 } else { (20..24).contains(&kind) };
        let (kind, length) = match rest {
            [] => return Ok((complete, false)),
            [kind, ..] if !fits(*kind) => return Err(Refused::NoTls),
            [_, version, ..] if *version != 3 => return Err(Refused::NoTls),
            [kind, _, _, high, low, ..] => (*kind, usize::from(*high) * 256 + usize::from(*low)),
            _ => return Ok((complete, true)),
        };
        if length > RECORD {
            return Err(Refused::Long);
        }
        let content = &rest[5..rest.len().min(5 + length)];
        if kind == 22 && is_first {
            begun.extend(content.iter().take(4 - begun.len()));
        }
        match begun[..] {
            [1, a, b, c] if usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c) > HELLO => {
                return Err(Refused::Long);
            }
            [] | [1, ..] => {}
            _ => return Err(Refused::NoTls),
        }
        if content.len() < length {
            return Ok((complete, true));
        }
        complete += 1;
        rest = &rest[5 + length..];
    }
}

/// One run: complete records, where it is TLS. The first octet says how it is cut into pieces.
pub(super) fn run(octets: &[u8]) -> Option<u64> {
    let (cut, octets) = octets.split_first()?;
    let said = |records: &Records| (records.complete(), records.is_partial());
    let in_pieces = |size: usize, mut records: Records| {
        let mut pieces = octets.chunks(size.max(1));
        pieces.try_for_each(|piece| records.take(piece)).map(|()| said(&records))
    };
    let whole = in_pieces(octets.len(), Records::default());
    let pieces = in_pieces(usize::from(*cut), Records::default());
    if octets.len() > HANDSHAKE {
        assert!(whole.is_err() && pieces.is_err(), "nobody shakes hands so long");
    } else {
        assert_eq!(whole, read(octets));
        assert_eq!(pieces, whole);
    }
    let begun = |size: usize| {
        let mut records = Records::default();
        octets.chunks(size.max(1)).all(|piece| records.take(piece).is_ok()) && records.has_first()
    };
    assert_eq!(begun(octets.len()), begun(usize::from(*cut)), "a hello is there however it is cut");
    // What we are answered, and what comes when the handshake is done, is cut alike.
    let mut done = Records::default();
    done.done();
    for records in [Records::of_server(), done] {
        let whole = in_pieces(octets.len(), records.clone());
        let pieces = in_pieces(usize::from(*cut), records);
        assert!(octets.len() > HANDSHAKE || whole == pieces);
    }
    whole.ok().map(|(complete, _)| complete)
}
