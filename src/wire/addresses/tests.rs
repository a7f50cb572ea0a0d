use super::*;
use proptest::prelude::*;

fn found(text: &str) -> Vec<(String, IpAddr)> {
    find_addresses(text.as_bytes()).map(|(r, ip)| (text[r].to_owned(), ip)).collect()
}

fn ips(text: &str) -> Vec<String> {
    find_addresses(text.as_bytes()).map(|(_, ip)| ip.to_string()).collect()
}

#[test]
fn v4_literals_are_found_where_they_hide() {
    for text in [
        "<sip:101@10.17.0.21:5060>",
        "x@10.17.0.21",
        "at 10.17.0.21.",
        "a10.17.0.21b",
        "host-10.17.0.21",
        "10.17.0.21.nip.example",
        "010.017.000.021",
        "Replaces=77%4010.17.0.21%3Bto-tag",
        "%2010.17.0.21",
        "cname:10.17.0.21",
        "1234.10.17.0.21",
        "9999:10.17.0.21",
        "::ffff:10.17.0.21",
        "[::ffff:a11:15]",
        "::10.17.0.21",
        "64:ff9b::10.17.0.21",
        "\u{e9}10.17.0.21\u{e9}",
    ] {
        assert_eq!(ips(text), ["10.17.0.21"], "{text}");
    }
}

#[test]
fn v6_literals_are_found_where_they_hide() {
    for text in [
        "[fd00::1]:5060",
        "fd00::1",
        "cname:fd00::1",
        "sip:101@[fd00::1];x",
        "IN IP6 fd00::1",
        "fd00:0:0:0:0:0:0:1",
        "FD00::0001.",
        "fd00::1%eth0",
        "fd00::1/64",
        "a=x:fd00::1",
        "x%40fd00::1",
        "x.fd00::1",
        "host-fd00::1",
        "fd00::1:",
        "10203040506:fd00::1",
    ] {
        assert_eq!(ips(text), ["fd00::1"], "{text}");
    }
    assert_eq!(ips("addr:::ffff:10.0.0.1"), ["10.0.0.1"]);
    assert_eq!(ips("c=IN IP6 ::"), ["::"]);
    assert_eq!(ips("10.0.0.1:fd00::1, 192.0.2.1"), ["10.0.0.1", "fd00::1", "192.0.2.1"]);
}

#[test]
fn a_zone_goes_with_its_literal_and_an_escape_does_not() {
    for (text, literal) in [
        ("fe80::21%eth0; x", "fe80::21%eth0"),
        ("[fe80::21%25eth0.20]", "fe80::21%25eth0.20"),
        ("fd17::23%eth0.", "fd17::23%eth0"),
        ("fe80::21%3, ", "fe80::21%3"),
        ("fe80::21%12]", "fe80::21%12"),
        ("fe80::21%wlp3s0%3Bto-tag", "fe80::21%wlp3s0"),
        ("fe80::21%3Bto-tag=1", "fe80::21"),
        ("fe80::21%20x", "fe80::21"),
        ("fe80::21%40host", "fe80::21"),
        ("fe80::21%25", "fe80::21"),
        ("fe80::21%", "fe80::21"),
        ("fe80::21% eth0", "fe80::21"),
    ] {
        let all = found(text);
        assert_eq!(all.first().map(|(l, _)| l.as_str()), Some(literal), "{text}");
        assert_eq!(find_written(text.as_bytes()).count(), 1, "{text}");
    }
}

#[test]
fn a_chain_of_numbers_hides_nothing() {
    assert_eq!(ips("12.10.0.0.1"), ["12.10.0.0", "10.0.0.1"]);
    assert_eq!(ips("1.2.3.4.5"), ["1.2.3.4", "2.3.4.5"]);
    assert_eq!(ips("%201.2.3.4"), ["201.2.3.4", "1.2.3.4"]);
}

fn written(text: &str) -> Vec<String> {
    find_written(text.as_bytes()).map(|(r, ip)| format!("{}={ip}", &text[r])).collect()
}

#[test]
fn a_v6_literal_is_no_number_where_a_host_stands() {
    for (text, ip) in [
        ("77@2001:db8:17::103;local-tag=x", "2001:db8:17::103"),
        ("http://2001:db8::1/", "2001:db8::1"),
        ("x%402001:db8::1", "2001:db8::1"),
    ] {
        assert_eq!(written(text), [format!("{ip}={ip}")], "{text}");
    }
}

#[test]
fn other_notations_are_found_where_they_hide() {
    for (text, found) in [
        ("host-10-17-0-21.lan", "10-17-0-21=10.17.0.21"),
        ("ip-10-17-0-21", "10-17-0-21=10.17.0.21"),
        ("10_17_0_21", "10_17_0_21=10.17.0.21"),
        ("ip10-17-0-21.example", "10-17-0-21=10.17.0.21"),
        ("x@10%2E17%2e0%2E21", "10%2E17%2e0%2E21=10.17.0.21"),
        ("10.17%2e0.21", "10.17%2e0.21=10.17.0.21"),
        ("a:10%5F17_0%5f21", "10%5F17_0%5f21=10.17.0.21"),
        ("%4010-17-0-21", "10-17-0-21=10.17.0.21"),
        ("0x0a110015", "0x0a110015=10.17.0.21"),
        ("at 0xA110015!", "0xA110015=10.17.0.21"),
        ("0xa.0x11.0x0.0x15", "0xa.0x11.0x0.0x15=10.17.0.21"),
        ("sip:101@168886293:5060", "168886293=10.17.0.21"),
        ("http://168886293/", "168886293=10.17.0.21"),
        ("sip:101@10.1114133", "10.1114133=10.17.0.21"),
        ("21.0.17.10.in-addr.arpa", "21.0.17.10.in-addr.arpa=10.17.0.21"),
        ("21.0.17.10.IN-ADDR.ARPA.", "21.0.17.10.IN-ADDR.ARPA=10.17.0.21"),
        ("64:ff9b:1::10.17.0.21", "64:ff9b:1::10.17.0.21=10.17.0.21"),
        ("2002:a11:15::1", "2002:a11:15::1=10.17.0.21"),
        ("2001:db8::5efe:10.17.0.21", "2001:db8::5efe:10.17.0.21=10.17.0.21"),
        ("10.17.0.21", "10.17.0.21=10.17.0.21"),
        ("fd00::1", "fd00::1=fd00::1"),
        ("pc-fd17--23.lan", "fd17--23=fd17::23"),
        ("fd17-1-2--8%2D9", "fd17-1-2--8%2D9=fd17:1:2::8:9"),
        ("fe80--21s4.IPv6-Literal.net.", "fe80--21s4.IPv6-Literal.net=fe80::21"),
        ("@fd17--23.ipv6-literal.net:5060", "fd17--23.ipv6-literal.net=fd17::23"),
        ("fd17--23.ipv6", "fd17--23=fd17::23"),
        ("fd17-2--3--4", "fd17-2--3=fd17:2::3"),
        ("fd17__23", "fd17__23=fd17::23"),
        ("x%40fd17%3A%3a23%3Bx", "fd17%3A%3a23=fd17::23"),
        ("2002-a11-15--1", "2002-a11-15--1=10.17.0.21"),
    ] {
        assert_eq!(written(text), [found], "{text}");
    }
    let zone = format!("1.{}d.f.ip6.arpa", "0.".repeat(29));
    assert_eq!(written(&zone)[0], format!("{zone}=fd00::1"));
    let both = ["010.017.0.021=8.15.0.17", "010.017.0.021=10.17.0.21"];
    assert_eq!(written("x@010.017.0.021"), both);
    // Their numbers are read as IPv4 addresses as well.
    assert_eq!(written("FD17-0-0-0-0-0-0-23")[0], "FD17-0-0-0-0-0-0-23=fd17::23");
    let nine = "fd17-1-2-3-4-5-6-7-8";
    assert_eq!(written(nine)[0], "fd17-1-2-3-4-5-6-7=fd17:1:2:3:4:5:6:7");
    assert_eq!(written("a000-fd17--23")[1], "fd17--23=fd17::23");
    assert_eq!(written("7-10-17-0-21"), ["7-10-17-0=7.10.17.0", "10-17-0-21=10.17.0.21"]);
}

#[test]
fn what_is_no_address_in_another_notation_is_left_alone() {
    for text in [
        "168886293",
        "+49-30-1234567",
        "0x1f",
        "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
        "2026-11-27",
        "10-17-0",
        "10-17_0-21",
        "10-17-0-256",
        "x@16888629300",
        "sip:101@example.com",
        "sip:101@0x",
        "sip:101@10-gate.example",
        "fd17ab12-7dec-11d0-a765-00a0c91e6bf6",
        "fd17-7dec-11d0-a765",
        "feed--back",
        "fd17--",
        "fd17---1",
        "fd17-1_2--3",
        "fd1--23",
        "xfd17--23",
    ] {
        assert_eq!(written(text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn what_is_no_literal_is_left_alone() {
    for text in [
        "",
        "Phone/1.2.3",
        "1.2.3.256",
        "1.2.3.4444",
        "1..2.3.4",
        "12:34:56",
        "a=fingerprint:sha-1 4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB",
        "a=fingerprint:md5 4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B",
        "std::io::Add",
        "Foo::Bar",
        "a=mid:0",
        "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9|2^20|1:4",
        "fd00::1::2",
        "fd00::12345",
        "add::beefy",
        "1:::::1",
        "addr:::1",
        "t=0 0",
    ] {
        assert_eq!(found(text), vec![], "{text}");
    }
}

#[test]
fn time_grows_no_faster_than_the_text() {
    for unit in [
        "1:",
        "a",
        "1.",
        ":",
        "::",
        "%40",
        "1.2.3.4.",
        "ab:cd:",
        "fd00::",
        "1-",
        "0x",
        "1%2E",
        "fd17-",
        "fd17--",
        "1234%3A",
        "fd00::1%a",
        "fd00::1%",
    ] {
        let text = unit.repeat(60_000 / unit.len());
        // Quadratic work would take minutes here.
        assert!(find_addresses(text.as_bytes()).count() <= text.len());
        assert!(find_written(text.as_bytes()).count() <= text.len());
    }
}

proptest! {
    #[test]
    fn every_v4_literal_is_found(
        ip: [u8; 4], before in "[@ </=g-z-]{0,3}:?", after in "[> ;,a-z%-]{0,3}"
    ) {
        let ip = Ipv4Addr::from(ip);
        let got = found(&format!("{before}{ip}{after}"));
        prop_assert_eq!(got, vec![(ip.to_string(), IpAddr::V4(ip))]);
    }

    #[test]
    fn every_v6_literal_is_found(
        ip: [u16; 8], zeros in 0_usize..9,
        before in "([g-z]{1,3}:)?[@ <\\[/=-]", after in "[\\]> ;,/%-]?"
    ) {
        let mut groups = ip;
        groups.iter_mut().skip(1).take(zeros).for_each(|g| *g = 0);
        let ip = Ipv6Addr::from(groups);
        let text = format!("{before}{ip}{after}");
        prop_assert_eq!(found(&text), vec![(ip.to_string(), unwrapped(ip))]);
        let all: Vec<_> = find_written(text.as_bytes()).map(|(_, ip)| ip).collect();
        prop_assert!(all.contains(&unwrapped(ip)), "{}: {:?}", text, all);
    }

    #[test]
    fn what_the_library_parses_is_found(text in "[0-9a-f:.]{2,24}") {
        if let Ok(ip) = text.parse::<Ipv6Addr>() {
            prop_assert_eq!(found(&text), vec![(text.clone(), unwrapped(ip))]);
        }
        if let Ok(ip) = text.parse::<Ipv4Addr>() {
            prop_assert_eq!(found(&text), vec![(text.clone(), IpAddr::V4(ip))]);
        }
    }

    #[test]
    fn v6_scanning_agrees_with_the_library(text in "[0-9a-f:]{2,40}") {
        for (range, ip) in find_addresses(text.as_bytes()) {
            let literal = &text[range];
            prop_assert_eq!(literal.parse::<Ipv6Addr>().map(unwrapped), Ok(ip), "{}", literal);
        }
    }

    #[test]
    fn ranges_stay_within_the_text(text: Vec<u8>) {
        let mut last = 0;
        for (r, _) in find_addresses(&text) {
            prop_assert!(r.end <= text.len() && r.start < r.end && last <= r.start);
            last = r.start;
        }
        let mut last = 0;
        for (r, _) in find_written(&text) {
            prop_assert!(r.end <= text.len() && r.start < r.end && last <= r.start);
            last = r.start;
        }
    }

    #[test]
    fn what_is_found_as_a_literal_is_found_as_written(
        ip: [u8; 4], before in "[ </=g-z]{0,3}:?", after in "[> ;,a-z%]{0,3}"
    ) {
        let text = format!("{before}{}{after}", Ipv4Addr::from(ip));
        let literals: Vec<_> = find_addresses(text.as_bytes()).collect();
        prop_assert_eq!(find_written(text.as_bytes()).collect::<Vec<_>>(), literals);
    }
}

#[test]
fn the_link_of_a_link_local_literal_is_taken_off_and_nothing_else() {
    for (text, without) in [
        ("fe80::1%eth0", "fe80::1"),
        ("febf::1%25eth0.20", "febf::1"),
        ("fe80::1%3", "fe80::1"),
        ("fe80::1", "fe80::1"),
        ("fe80::1%", "fe80::1%"),
        ("fe80::1%a b", "fe80::1%a b"),
        ("fe80::1%aaaaaaaaaaaaaaaaaa", "fe80::1%aaaaaaaaaaaaaaaaaa"),
        ("2001:db8::1%eth0", "2001:db8::1%eth0"),
        ("10.17.0.1%eth0", "10.17.0.1%eth0"),
        ("phone%41", "phone%41"),
    ] {
        assert_eq!(without_zone(text), without);
    }
}
