use super::*;
use proptest::prelude::*;

fn id() -> [u8; 16] {
    let mut id = [7; 16];
    id[..4].copy_from_slice(&COOKIE);
    id
}

/// A message of a kind with these attributes.
fn message(kind: u16, id: [u8; 16], attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut out = kind.to_be_bytes().to_vec();
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(&id);
    for (name, value) in attributes {
        attribute(&mut out, *name, value);
    }
    set_length(&mut out, 0);
    out
}

fn binding(bytes: &[u8]) -> Binding {
    match read(bytes) {
        Some(Stun::Binding(binding)) => binding,
        other => panic!("{other:?}"),
    }
}

/// The address that an answer tells, read by hand.
fn told(answer: &[u8]) -> (u16, Vec<u8>) {
    (u16::from_be_bytes([answer[20], answer[21]]), answer[24..].to_vec())
}

/// RFC 5769 §2.1 to §2.3, as far as they need no password.
#[test]
fn the_vectors_of_rfc_5769_are_read_and_written() {
    let hex = |text: &str| -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        let octet =
            |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.chunks(2).map(octet).collect()
    };
    let request = hex("00 01 00 58 21 12 a4 42 b7 e7 a7 01 bc 34 d6 86 fa 87 df ae
         80 22 00 10 53 54 55 4e 20 74 65 73 74 20 63 6c 69 65 6e 74
         00 24 00 04 6e 00 01 ff 80 29 00 08 93 2f f9 b1 51 26 3b 36
         00 06 00 09 65 76 74 6a 3a 68 36 76 59 20 20 20
         00 08 00 14 9a ea a7 0c bf d8 cb 56 78 1e f2 b5 b2 d3 f2 49 c1 b5 71 a2
         80 28 00 04 e5 7a 3b cf");
    let asked = binding(&request);
    assert!(asked.fingerprint, "and it is right");
    assert_eq!(asked.unknown, [0x24], "PRIORITY is ICE's");
    let plain = Binding { unknown: Vec::new(), fingerprint: false, ..asked };
    let v4 = plain.answer("192.0.2.1:32853".parse().unwrap());
    assert_eq!(told(&v4), (XOR_MAPPED_ADDRESS, hex("00 01 a1 47 e1 12 a6 43")));
    let v6 = plain.answer("[2001:db8:1234:5678:11:2233:4455:6677]:32853".parse().unwrap());
    let xored = "00 02 a1 47 01 13 a9 fa a5 d3 f1 79 bc 25 f4 b5 be d2 b9 d9";
    assert_eq!(told(&v6), (XOR_MAPPED_ADDRESS, hex(xored)));
    let mut broken = request.clone();
    broken[30] ^= 1;
    assert_eq!(read(&broken), None, "the fingerprint is of something else");
}

#[test]
fn an_answer_bears_a_fingerprint_that_we_read_ourselves() {
    let mut request = message(REQUEST, id(), &[]);
    set_length(&mut request, 8);
    let crc = crc(&request);
    attribute(&mut request, FINGERPRINT, &crc.to_be_bytes());
    let answer = binding(&request).answer("192.0.2.1:5060".parse().unwrap());
    assert_eq!(answer.len(), 40);
    assert_eq!(read(&answer), Some(Stun::Other), "an answer asks for nothing");
}

#[test]
fn what_is_not_understood_is_named_and_nobody_else_is_answered() {
    // CHANGE-REQUEST: answer from another port.
    let asked = binding(&message(REQUEST, id(), &[(3, &[0, 0, 0, 6]), (0x8022, b"x")]));
    let answer = asked.answer("192.0.2.1:5060".parse().unwrap());
    assert_eq!(answer[..2], FAILURE.to_be_bytes());
    assert_eq!(answer[20..], [0, 9, 0, 4, 0, 0, 4, 20, 0, 10, 0, 2, 0, 3, 0, 0]);
    let many: Vec<(u16, &[u8])> = (0x100..0x108).map(|n| (n, &[][..])).collect();
    let asked = binding(&message(REQUEST, id(), &many));
    assert_eq!(asked.unknown.len(), NAMED);
}

#[test]
fn who_speaks_rfc_3489_gets_his_address_as_it_is() {
    let asked = binding(&message(REQUEST, [9; 16], &[]));
    let answer = asked.answer("192.0.2.1:5060".parse().unwrap());
    assert_eq!(told(&answer), (MAPPED_ADDRESS, vec![0, 1, 0x13, 0xc4, 192, 0, 2, 1]));
    assert_eq!(answer[4..20], [9; 16]);
}

#[test]
fn what_is_no_request_has_no_answer_and_what_is_broken_is_none_of_it() {
    for kind in [0x0011, SUCCESS, FAILURE, 0x0003, 0x3fff] {
        assert_eq!(read(&message(kind, id(), &[])), Some(Stun::Other), "{kind:#x}");
    }
    let good = message(REQUEST, id(), &[(0x8022, b"abcd")]);
    assert!(read(&good).is_some());
    let mut odd = good.clone();
    odd[3] -= 1;
    for broken in [
        &good[..good.len() - 1],
        &good[..19],
        &[good.as_slice(), &[0; 4]].concat(),
        odd.as_slice(),
        b"OPTIONS sip:x SIP/2.0\r\n\r\n",
        &[0; 20][..0],
        // An attribute longer than the message.
        &message(REQUEST, id(), &[(0x8022, b"abcd")])[..]
            .iter()
            .enumerate()
            .map(|(n, b)| if n == 23 { 200 } else { *b })
            .collect::<Vec<u8>>(),
        &message(REQUEST, id(), &[(0x8000, &[0; 540])]),
        &message(REQUEST, id(), &[(0x8000, &[][..]); ATTRIBUTES + 1]),
    ] {
        assert_eq!(read(broken), None, "{broken:?}");
    }
}

proptest! {
    #[test]
    fn an_answer_is_small_whole_and_asks_for_nothing(
        bytes in proptest::collection::vec(any::<u8>(), 0..80),
        ip in any::<IpAddr>(),
        port in any::<u16>(),
        shape in any::<bool>(),
    ) {
        // Half of them at least look like a request.
        let bytes = if shape { message(REQUEST, id(), &[(0x8022, &bytes)]) } else { bytes };
        if let Some(Stun::Binding(asked)) = read(&bytes) {
            let answer = asked.answer(SocketAddr::new(ip, port));
            prop_assert!(answer.len() <= 52);
            prop_assert_eq!(read(&answer), Some(Stun::Other));
        }
    }
}
