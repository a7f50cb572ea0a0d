use super::*;
use crate::wire::addresses::find_addresses;
use proptest::prelude::*;
use rtcp_types::prelude::*;
use rtcp_types::{
    Bye, Compound, Packet, ReceiverReport, RtcpPacketWriter, Sdes, SdesChunk, SdesItem,
};
use rtcp_types::{ReportBlock as Block, SenderReport};

const KEY: [u8; 32] = [7; 32];

fn inside(ip: IpAddr) -> bool {
    ip.to_string().starts_with("10.")
}

fn written(packet: &impl RtcpPacketWriter) -> Vec<u8> {
    let mut out = vec![0; 1500];
    let len = packet.write_into(&mut out).unwrap();
    out.truncate(len);
    out
}

fn block(ssrc: u32) -> rtcp_types::ReportBlockBuilder {
    Block::builder(ssrc)
        .fraction_lost(64)
        .cumulative_lost(0x00ff_fffe)
        .extended_sequence_number(0x0001_0002)
        .interarrival_jitter(33)
        .last_sender_report_timestamp(44)
        .delay_since_last_sender_report_timestamp(55)
}

/// The two participants. No octet of zero in front: rtcp-types would take it for padding.
const A: u32 = 0x9000_0009;
const B: u32 = 0x8000_0008;

/// SR with a block, SDES of two chunks, BYE: as another implementation writes them.
fn compound(first: &str, second: &str) -> Vec<u8> {
    let chunk = |ssrc, name: &str| {
        SdesChunk::builder(ssrc)
            .add_item_owned(SdesItem::builder(SdesItem::CNAME, name))
            .add_item_owned(SdesItem::builder(SdesItem::TOOL, "phone 1.2"))
    };
    let sr = SenderReport::builder(A)
        .ntp_timestamp(1 << 40)
        .rtp_timestamp(160)
        .packet_count(3)
        .octet_count(480)
        .add_report_block(block(B));
    let sdes = Sdes::builder().add_chunk(chunk(A, first)).add_chunk(chunk(B, second));
    written(
        &Compound::builder()
            .add_packet(sr)
            .add_packet(sdes)
            .add_packet(Bye::builder().add_source(A)),
    )
}

/// Every SDES text by type, as another implementation reads them.
fn texts(packet: &[u8]) -> Vec<(u8, String)> {
    let mut found = Vec::new();
    for packet in Compound::parse(packet).unwrap() {
        let Packet::Sdes(sdes) = packet.unwrap() else { continue };
        for item in sdes.chunks().flat_map(|c| c.items().cloned().collect::<Vec<_>>()) {
            found.push((item.type_(), item.get_value_string().unwrap()));
        }
    }
    found
}

#[test]
fn reports_are_read() {
    let mut seen = Vec::new();
    reports(&compound("a", "b"), |r| seen.push(r));
    let want = ReportBlock {
        reporter: A,
        ssrc: B,
        fraction_lost: 64,
        lost: -2,
        highest: 0x0001_0002,
        jitter: 33,
        last_sender_report: 44,
        delay: 55,
    };
    let sent = SenderInfo { ssrc: A, ntp: 1 << 40, timestamp: 160, packets: 3, octets: 480 };
    assert_eq!(seen, [Report::Sent(sent), Report::Received(want), Report::Bye(A)]);

    let mut rr = written(&ReceiverReport::builder(5).add_report_block(block(B)));
    seen.clear();
    reports(&rr, |r| seen.push(r));
    assert_eq!(seen, [Report::Received(ReportBlock { reporter: 5, ..want })]);
    // Two blocks promised, one there.
    rr[0] = 0x82;
    seen.clear();
    reports(&rr, |r| seen.push(r));
    assert_eq!(seen, []);
}

#[test]
fn an_inside_name_is_overwritten_at_equal_length_and_stable() {
    let before = compound("101@10.17.0.21", "102@198.51.100.3");
    let mut a = before.clone();
    assert!(overwrite_names(&mut a, &KEY, &[], inside));
    assert_eq!(a.len(), before.len());
    assert!(is_rtcp(&a) && find_addresses(&a).all(|(_, ip)| !inside(ip)));
    let (old, new) = (texts(&before), texts(&a));
    assert_eq!(old.len(), 4);
    assert_ne!(old[0], new[0]);
    assert_eq!(old[0].1.len(), new[0].1.len());
    assert!(new[0].1.bytes().all(|b| b.is_ascii_lowercase()), "{new:?}");
    assert_eq!(old[1..], new[1..], "nothing else changes");

    let mut again = before.clone();
    overwrite_names(&mut again, &KEY, &[], inside);
    assert_eq!(a, again);
    let mut other_key = before.clone();
    overwrite_names(&mut other_key, &[8; 32], &[], inside);
    assert_ne!(a, other_key);
    let mut other_name = compound("102@10.17.0.21", "102@198.51.100.3");
    overwrite_names(&mut other_name, &KEY, &[], inside);
    assert_ne!(a, other_name);
    assert!(!overwrite_names(&mut a, &KEY, &[], inside), "nothing is left to hide");
}

#[test]
fn what_was_overwritten_lets_no_address_appear_before_it() {
    let long = include_bytes!("../../../fuzz/corpus/rtcp/an_address_that_another_hid");
    let dashes = app(b"1110-1-1-1101-1101-1-1141-1-111--1-1-1-1101-1-1-11");
    for before in [long.to_vec(), behind_a_report(dashes)] {
        let mut after = before.clone();
        assert!(overwrite_names(&mut after, &KEY, &[], |_| true));
        assert!(!overwrite_names(&mut after, &KEY, &[], |_| true), "nothing is left to hide");
        assert_eq!(after.len(), before.len());
    }
}

#[test]
fn every_item_is_looked_at() {
    for kind in 1..8 {
        let chunk = SdesChunk::builder(1)
            .add_item(SdesItem::builder(SdesItem::CNAME, "x"))
            .add_item(SdesItem::builder(kind, "a@10.1.1.1"));
        let mut packet = written(&Sdes::builder().add_chunk(chunk));
        assert!(overwrite_names(&mut packet, &KEY, &[], inside), "{kind}");
        assert!(find_addresses(&packet).all(|(_, ip)| !inside(ip)), "{kind}");
    }
    let private = SdesItem::builder(SdesItem::PRIV, "host 10.1.1.1").prefix(b"vendor".as_slice());
    let mut packet = written(&Sdes::builder().add_chunk(SdesChunk::builder(1).add_item(private)));
    assert!(overwrite_names(&mut packet, &KEY, &[], inside));
    assert_eq!(texts(&packet).len(), 1, "a private item keeps its form");
    let mut v6 = compound("x@fd00::1", "y");
    assert!(overwrite_names(&mut v6, &KEY, &[], |ip| ip.to_string() == "fd00::1"));
}

/// One packet of a kind: its count, what stands behind the header.
fn packet(kind: u8, count: u8, content: &[u8]) -> Vec<u8> {
    let mut content = content.to_vec();
    content.resize(content.len().next_multiple_of(4), 0);
    let words = u8::try_from(content.len() / 4).unwrap();
    [&[0x80 | count, kind, 0, words], content.as_slice()].concat()
}

/// A receiver report without blocks, then `last`.
fn behind_a_report(last: Vec<u8>) -> Vec<u8> {
    [packet(201, 0, &[0, 0, 0, 9]), last].concat()
}

fn bye(reason: &str) -> Vec<u8> {
    let len = u8::try_from(reason.len()).unwrap();
    behind_a_report(packet(203, 1, &[&[0, 0, 0, 9, len], reason.as_bytes()].concat()))
}

fn app(content: &[u8]) -> Vec<u8> {
    behind_a_report(packet(204, 0, &[b"\0\0\0\x09qtsi", content].concat()))
}

#[test]
fn reasons_and_applications_name_nothing_of_the_inside() {
    let domains = ["corp.example".to_owned()];
    for text in
        ["teardown by 10.17.0.21", "pc7.corp.example", "x 10-17-0-21", "0x0a110015", "10.17.0.21"]
    {
        for before in [bye(text), app(text.as_bytes()), app(format!("\u{1}\0{text}\0").as_bytes())]
        {
            let mut after = before.clone();
            assert!(overwrite_names(&mut after, &KEY, &domains, inside), "{text}");
            assert_eq!(after.len(), before.len());
            assert_eq!(after[..16], before[..16], "headers and sources stay");
            assert!(find_written(&after).all(|(_, ip)| !inside(ip)), "{text}");
            assert!(find_names(&after, &domains).next().is_none(), "{text}");
            assert!(!overwrite_names(&mut after, &KEY, &domains, inside), "{text}");
        }
    }
    for before in
        [bye("camera malfunction"), bye("at 198.51.100.3"), app(b"\x0a\x11\0\x15"), bye("")]
    {
        let mut after = before.clone();
        assert!(!overwrite_names(&mut after, &KEY, &domains, inside));
        assert_eq!(after, before);
    }
    // Of an application's octets only those go that name somebody.
    let mut after = app(b"abc 10.17.0.21 xyz 1.10.17.0.21");
    assert!(overwrite_names(&mut after, &KEY, &domains, inside));
    assert!(after.windows(4).any(|w| w == b"abc "));
    assert!(after.windows(4).any(|w| w == b" xyz"));
    // Lengths that lie.
    let mut lying = bye("at 10.17.0.21");
    lying[8 + 8] = 255;
    assert!(overwrite_names(&mut lying, &KEY, &domains, inside));
    assert!(find_addresses(&lying).all(|(_, ip)| !inside(ip)));
}

#[test]
fn names_of_any_length_are_hidden() {
    for len in [10, 63, 64, 65, 200, 255] {
        let name = format!("{}10.17.0.21", "x".repeat(len - 10));
        let mut packet = compound(&name, "y");
        assert!(overwrite_names(&mut packet, &KEY, &[], inside), "{len}");
        assert!(find_addresses(&packet).all(|(_, ip)| !inside(ip)), "{len}");
        assert_eq!(texts(&packet)[0].1.len(), len);
    }
}

#[test]
fn a_chunk_that_lies_about_its_length_is_left_alone() {
    let whole = compound("101@10.17.0.21", "y");
    let sdes = 28 + 24;
    for (at, value) in [(sdes + 9, 255), (sdes + 3, 200), (sdes, 0x80), (sdes + 1, 205)] {
        let mut packet = whole.clone();
        packet[at] = value;
        let before = packet.clone();
        assert!(!overwrite_names(&mut packet, &KEY, &[], inside), "{at}");
        assert_eq!(packet, before);
    }
}

proptest! {
    #[test]
    fn what_strict_readers_take_we_take(packet in prop::collection::vec(any::<u8>(), 0..64)) {
        let known = |p: &[u8]| p.get(1).is_some_and(|t| (192..=223).contains(t));
        if known(&packet) && Compound::parse(&packet).is_ok() {
            prop_assert!(is_rtcp(&packet));
        }
    }

    #[test]
    fn mutations_change_nothing_but_sdes_text_and_never_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut packet = compound("101@10.17.0.21", "102@10.17.0.22");
        for (at, byte) in edits {
            let at = at.index(packet.len());
            packet[at] = byte;
        }
        packet.truncate(packet.len() - cut.index(packet.len()) / 4);
        let before = packet.clone();
        let changed = overwrite_names(&mut packet, &KEY, &[], inside);
        prop_assert_eq!(changed, packet != before);
        prop_assert_eq!(packet.len(), before.len());
        prop_assert_eq!(is_rtcp(&packet), is_rtcp(&before));
        reports(&packet, |_| {});
    }

    #[test]
    fn no_input_panics(mut packet: Vec<u8>) {
        let _ = is_rtcp(&packet);
        reports(&packet, |_| {});
        overwrite_names(&mut packet, &KEY, &[], |_| true);
        if let Some(kind) = packet.get_mut(1) {
            *kind = 202;
        }
        overwrite_names(&mut packet, &KEY, &[], |_| true);
    }
}
