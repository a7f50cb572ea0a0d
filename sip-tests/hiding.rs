//! What each side sees of the other (contract "Hiding, exactly"). The lab itself fails a test when an
//! inside address leaves; these scripts try to make it leave.

use crate::lab::message::{param, uri_of};
use crate::lab::script::answer;
use crate::lab::{Lab, Leg, Msg, Ua, Version, s, sdp, site};
use portreeve::config::UnknownBodies;
use portreeve::engine::Input;

fn parties(lab: &Lab) -> (Ua, Ua) {
    (lab.phone("101", "10.17.0.21:5060"), lab.far("200"))
}

#[test]
fn no_inside_address_leaves() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (phone, pbx) = parties(&lab);
        let talkative = "v=0\r\no=alice 1 1 IN IP4 10.17.0.21\r\ns=10.17.0.21\r\ni=at 10.17.0.21\r\n\
         u=http://10.17.0.21/\r\ne=a@10.17.0.21\r\nc=IN IP4 10.17.0.21\r\nt=0 0\r\n\
             a=tool:x 10.17.0.21\r\nm=audio 4000 RTP/AVP 0\r\nc=IN IP4 10.17.0.21\r\n\
             a=rtcp:4001 IN IP4 10.17.0.21\r\na=candidate:1 1 UDP 2130706431 10.17.0.21 4000 typ host\r\n\
             a=x-route:10.17.0.21\r\na=rtpmap:0 PCMU/8000\r\n";
        let mut invite = phone
            .request_to(&mut lab, "INVITE", "sip:200@10.17.0.1")
            .set("From", "\"at 10.17.0.21\" <sip:101@10.17.0.21>;tag=f")
            .set("To", "<sip:200@10.17.0.1>")
            .with("Via", "SIP/2.0/UDP 10.17.0.99:5060;branch=z9hG4bKbehind;received=10.17.0.98")
            .with("Record-Route", "<sip:10.17.0.99;lr>")
            .sdp(talkative);
        for name in [
            "User-Agent",
            "Subject",
            "Organization",
            "P-Asserted-Identity",
            "P-Preferred-Identity",
            "Remote-Party-ID",
            "Diversion",
            "History-Info",
            "Call-Info",
            "Alert-Info",
            "Error-Info",
            "Reply-To",
            "Referred-By",
            "X-Source",
            "Date",
            "In-Reply-To",
            "Warning",
            "Some-New-Header",
            "Geolocation",
            "Identity-Info",
            "P-Access-Network-Info",
            "User-to-User",
            "Accept-Contact",
        ] {
            invite = invite.with(name, "<sip:x@10.17.0.21>");
        }
        lab.send(phone.at, invite);
        let trying = lab.expect(phone.at, "100");
        assert_eq!(trying.all("Via").len(), 2, "the phone's own Vias come back");
        let got = lab.expect(pbx.at, "INVITE");
        assert_eq!(got.all("Via").len(), 1, "only ours");
        assert_eq!(got.uri(), "sip:200@pbx.example.com");
        assert_eq!(uri_of(got.header("From")), "sip:101@pbx.example.com");
        assert_eq!(uri_of(got.header("To")), "sip:200@pbx.example.com");
        assert_eq!(got.all("X-Source"), ["<sip:x@203.0.113.1>"], "it passes without what it named");
        assert!(!got.has("P-Asserted-Identity"), "{got}");
        assert_eq!(got.list("Record-Route").len(), 1, "only ours");
        lab.end();
    }
}

#[test]
fn a_call_id_that_names_a_host_is_sealed_for_the_whole_dialog() {
    for version in Version::ALL {
        for call_id in ["abc@10.17.0.21", "abc-10.17.0.21", "10.17.0.21", "abc@phone.example"] {
            let mut lab = Lab::of(version, site::EDGE, |_| {});
            let (phone, pbx) = parties(&lab);
            let invite = phone
                .request(&mut lab, "INVITE", "200")
                .set("Call-ID", call_id)
                .sdp(phone.sdp(4000));
            lab.send(phone.at, invite.clone());
            let mut a = Leg::calling(&phone, &invite);
            assert_eq!(lab.expect(phone.at, "100").call_id(), call_id);
            let got = lab.expect(pbx.at, "INVITE");
            assert_ne!(got.call_id(), call_id);
            let mut b = Leg::called(&pbx, &got, "b");
            lab.send(pbx.at, pbx.answer(&got, 200, "b").sdp(pbx.sdp(6000)));
            let ok = lab.expect(phone.at, "200");
            assert_eq!(ok.call_id(), call_id, "its own again");
            a.learn(&ok);
            let ack = a.ack(&mut lab);
            lab.send(phone.at, ack);
            assert_eq!(lab.expect(pbx.at, "ACK").call_id(), b.call_id);
            let info = b.request(&mut lab, "INFO");
            lab.send(pbx.at, info);
            let got = lab.expect(phone.at, "INFO");
            assert_eq!(got.call_id(), call_id);
            lab.send(phone.at, answer(&got, 200, ""));
            lab.expect(pbx.at, "200");
            lab.input(Input::HangUpAll);
            assert_eq!(lab.expect(pbx.at, "BYE").call_id(), b.call_id);
            assert_eq!(lab.expect(phone.at, "BYE").call_id(), call_id);
            lab.clear();
            lab.end();
        }
    }
}

#[test]
fn tags_and_cseq_are_kept_and_contacts_are_not() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (phone, pbx) = parties(&lab);
        let a = lab.call(&phone, "200", 4000);
        lab.expect(phone.at, "100");
        let got = lab.expect(pbx.at, "INVITE");
        assert_eq!(got.tag("From"), param(a.invite.header("From"), "tag"));
        assert_eq!(got.cseq(), (1, "INVITE"));
        assert!(got.contact().ends_with("@203.0.113.1:5060"), "{got}");
        assert_eq!(got.list("Record-Route").len(), 1);
        lab.send(pbx.at, pbx.answer(&got, 180, "b").with("Record-Route", "<sip:203.0.113.99;lr>"));
        let ringing = lab.expect(phone.at, "180");
        assert_eq!(ringing.tag("To"), Some("b"));
        // The phone's digest is computed over this URI, so it may not name our inside address.
        assert!(ringing.contact().ends_with("@pbx.example.com"), "{ringing}");
        let routes = ringing.list("Record-Route");
        assert!(
            routes.iter().all(|r| r.contains("10.17.0.1")),
            "the inside sees only us: {routes:?}"
        );
        lab.end();
    }
}

#[test]
fn the_upstreams_route_set_is_used_towards_it() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (phone, pbx) = parties(&lab);
        let mut a = lab.call(&phone, "200", 4000);
        lab.expect(phone.at, "100");
        let got = lab.expect(pbx.at, "INVITE");
        let own = got.header("Record-Route").to_owned();
        let ok = pbx
            .answer(&got, 200, "b")
            .set("Record-Route", "<sip:203.0.113.11;lr>, <sip:203.0.113.10;lr>")
            .with("Record-Route", own)
            .sdp(pbx.sdp(6000));
        lab.send(pbx.at, ok);
        let ok = lab.expect(phone.at, "200");
        a.learn(&ok);
        let ack = a.ack(&mut lab);
        lab.send(phone.at, ack);
        let got = lab.expect(pbx.at, "ACK");
        assert_eq!(got.list("Route"), ["<sip:203.0.113.10;lr>", "<sip:203.0.113.11;lr>"]);
        assert_eq!(got.uri(), uri_of(&pbx.contact()));
        lab.clear();
        lab.end();
    }
}

#[test]
fn identity_headers_come_in_only_from_a_trusted_upstream() {
    for version in Version::ALL {
        for trust in [true, false] {
            let mut lab = Lab::of(version, site::EDGE, |c| c.upstreams[0].trust = trust);
            let (phone, pbx) = parties(&lab);
            let sealed = lab.register(&phone, 600);
            let invite = pbx
                .request_to(&mut lab, "INVITE", &sealed)
                .with("P-Asserted-Identity", "<sip:+49301234@pbx.example.com>")
                .with("X-Queue", "sales")
                .sdp(pbx.sdp(6000));
            lab.send(pbx.at, invite);
            lab.expect(pbx.at, "100");
            let got = lab.expect(phone.at, "INVITE");
            assert_eq!(got.has("P-Asserted-Identity"), trust);
            assert_eq!(got.has("X-Queue"), trust);
            lab.end();
        }
    }
}

#[test]
fn privacy_id_hides_the_caller_from_phones() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (phone, pbx) = parties(&lab);
        let sealed = lab.register(&phone, 600);
        let invite = pbx
            .request_to(&mut lab, "INVITE", &sealed)
            .with("P-Asserted-Identity", "<sip:+49301234@pbx.example.com>")
            .with("Privacy", "id")
            .sdp(pbx.sdp(6000));
        lab.send(pbx.at, invite);
        lab.expect(pbx.at, "100");
        assert!(!lab.expect(phone.at, "INVITE").has("P-Asserted-Identity"));
        lab.end();
    }
}

#[test]
fn no_route_steers_us() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (phone, pbx) = parties(&lab);
        let message = phone
            .request(&mut lab, "MESSAGE", "200")
            .with("Route", "<sip:10.17.0.1;lr>, <sip:198.51.100.66;lr>")
            .typed("text/plain", "hello");
        lab.send(phone.at, message);
        let got = lab.expect(pbx.at, "MESSAGE");
        assert!(!got.has("Route"));
        lab.send(pbx.at, answer(&got, 200, "m"));
        lab.expect(phone.at, "200");
        let sealed = lab.register(&phone, 600);
        let message = pbx
            .request_to(&mut lab, "MESSAGE", &sealed)
            .with("Route", "<sip:203.0.113.1;lr>, <sip:10.17.0.66;lr>")
            .typed("text/plain", "hello");
        lab.send(pbx.at, message);
        lab.expect(pbx.at, "403");
        lab.nothing_left();
        lab.end();
    }
}

#[test]
fn a_foreign_request_uri_goes_to_the_upstream_unchanged() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (phone, pbx) = parties(&lab);
        let invite = phone
            .request_to(&mut lab, "INVITE", "sip:bob@example.org;user=phone")
            .sdp(phone.sdp(4000));
        lab.send(phone.at, invite);
        lab.expect(phone.at, "100");
        assert_eq!(lab.expect(pbx.at, "INVITE").uri(), "sip:bob@example.org;user=phone");
        lab.end();
    }
}

#[test]
fn we_are_no_open_relay() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let stranger = Ua::new(lab.outside("198.51.100.66:5060"), "x");
        for uri in ["sip:+4930123@pbx.example.com", "sip:bob@example.org", "sip:101@203.0.113.1"] {
            let invite = stranger.request_to(&mut lab, "INVITE", uri).sdp(stranger.sdp(6000));
            lab.send(stranger.at, invite);
            let answers = lab.take(stranger.at);
            let status = answers.last().map(Msg::status);
            assert!(matches!(status, Some(400..=499)), "{uri}: {status:?}");
            lab.nothing_left();
        }
        lab.advance(s(40));
        lab.clear();
        lab.end();
    }
}

#[test]
fn bodies_that_can_name_hosts_are_scrubbed() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (phone, pbx) = parties(&lab);
        let (mut a, b) = lab.establish(&phone, &pbx);
        for (kind, body) in [
            (
                "application/dialog-info+xml",
                "<dialog-info><target uri=\"sip:101@10.17.0.21\"/></dialog-info>",
            ),
            ("message/sipfrag", "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 10.17.0.21\r\n"),
            ("application/vq-rtcpxr", "LocalAddr:IP=10.17.0.21 PORT=4000\r\n"),
            ("application/pidf+xml", "<contact>sip:101@10.17.0.21</contact>"),
        ] {
            let notify = a.request(&mut lab, "NOTIFY").typed(kind, body);
            lab.send(phone.at, notify);
            let msgs = lab.take(pbx.at);
            if let Some(got) = msgs.first() {
                assert!(got.body.contains("203.0.113.1") || got.body.is_empty(), "{kind}: {got}");
                lab.send(pbx.at, answer(got, 200, ""));
                lab.expect(phone.at, "200");
            } else {
                lab.expect(phone.at, "415");
            }
        }
        lab.hang_up(&mut a, &b);
        lab.end();
    }
}

#[test]
fn an_unknown_body_passes_inwards_and_is_415_outwards_where_the_file_refuses_it() {
    for version in Version::ALL {
        let mut lab =
            Lab::of(version, site::EDGE, |c| c.policy.unknown_bodies = UnknownBodies::Refuse);
        let (phone, pbx) = parties(&lab);
        let (mut a, mut b) = lab.establish(&phone, &pbx);
        let info = b.request(&mut lab, "INFO").typed("application/x-new", "anything");
        lab.send(pbx.at, info);
        let got = lab.expect(phone.at, "INFO");
        assert_eq!(got.body, "anything");
        lab.send(phone.at, answer(&got, 200, ""));
        lab.expect(pbx.at, "200");
        let info = a.request(&mut lab, "INFO").typed("application/x-new", "anything");
        lab.send(phone.at, info);
        lab.expect(phone.at, "415");
        let info = a.request(&mut lab, "INFO").typed("application/dtmf-relay", "Signal=5\r\n");
        lab.send(phone.at, info);
        let got = lab.expect(pbx.at, "INFO");
        assert_eq!(got.body, "Signal=5\r\n");
        lab.send(pbx.at, answer(&got, 200, ""));
        lab.expect(phone.at, "200");
        let info =
            a.request(&mut lab, "INFO").with("Content-Encoding", "gzip").typed("text/plain", "?");
        lab.send(phone.at, info);
        lab.expect(phone.at, "415");
        lab.hang_up(&mut a, &b);
        lab.end();
    }
}

#[test]
fn an_offer_within_a_multipart_body_is_rewritten() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (phone, pbx) = parties(&lab);
        let body = format!(
            "--b1\r\nContent-Type: application/sdp\r\n\r\n{}\r\n--b1\r\nContent-Type: text/plain\r\n\
             \r\nhello\r\n--b1--\r\n",
            phone.sdp(4000)
        );
        let invite =
            phone.request(&mut lab, "INVITE", "200").typed("multipart/mixed;boundary=b1", body);
        lab.send(phone.at, invite);
        lab.expect(phone.at, "100");
        let got = lab.expect(pbx.at, "INVITE");
        assert!(got.body.contains("c=IN IP4 203.0.113.1") && got.body.contains("hello"), "{got}");
        assert_eq!(lab.relay.open.len(), 1);
        lab.end();
    }
}

#[test]
fn an_attended_transfer_names_the_other_dialog_as_the_far_side_knows_it() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (phone, pbx) = parties(&lab);
        let (mut one, b_one) = lab.establish(&phone, &pbx);
        let other = lab.far("300");
        let (two, b_two) = lab.establish(&phone, &other);
        let tag = |value: &str| param(value, "tag").unwrap_or_default().to_owned();
        let replaces = format!(
            "{}%3Bto-tag%3D{}%3Bfrom-tag%3D{}",
            two.call_id.replace('@', "%40"),
            tag(&two.remote),
            tag(&two.local)
        );
        let refer = one
            .request(&mut lab, "REFER")
            .with("Refer-To", format!("<{}?X-Replaces=y&replaces={replaces}>", two.target))
            .with("Referred-By", format!("<sip:101@{}>", site::GATE_INSIDE));
        lab.send(phone.at, refer);
        let got = lab.expect(pbx.at, "REFER");
        let target = uri_of(got.header("Refer-To"));
        assert!(
            target.starts_with(uri_of(&other.contact())),
            "the far party's own Contact: {target}"
        );
        let named = b_two.call_id.replace('@', "%40");
        let named = format!("?X-Replaces=y&replaces={named}%3B");
        assert!(target.contains(&named), "{target} names {named}");
        assert_eq!(uri_of(got.header("Referred-By")), "sip:101@pbx.example.com");
        lab.send(pbx.at, answer(&got, 202, ""));
        lab.expect(phone.at, "202");
        lab.hang_up(&mut one, &b_one);
        lab.end();
    }
}

#[test]
fn only_the_digest_uri_may_name_our_inside_address() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let mut phone = lab.phone("101", "10.17.0.21:5060");
        site::GATE_INSIDE.clone_into(&mut phone.domain);
        let value = "Digest username=\"101\", realm=\"pbx.example.com\", nonce=\"n\", \
                     uri=\"sip:10.17.0.1\", response=\"00\"";
        let register = lab.local_register(&phone, 600).with("Authorization", value);
        lab.send(phone.at, register);
        let pbx = lab.pbx();
        let got = lab.expect(pbx, "REGISTER");
        assert_eq!(got.header("Authorization"), value, "rewriting it would break the digest");
        lab.clear();
        lab.end();
    }
}

#[test]
fn the_inside_sees_media_only_from_us() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (phone, pbx) = parties(&lab);
        let sealed = lab.register(&phone, 600);
        let invite = pbx.request_to(&mut lab, "INVITE", &sealed).sdp(sdp("203.0.113.77", 6000));
        lab.send(pbx.at, invite);
        lab.expect(pbx.at, "100");
        let got = lab.expect(phone.at, "INVITE");
        assert!(!got.body.contains("203.0.113.77"), "{got}");
        assert_eq!(got.media_address(), site::GATE_INSIDE);
        assert_eq!(got.header("Via").matches("10.17.0.1").count(), 1);
        lab.end();
    }
}

#[test]
fn a_redirect_shows_no_inside_host() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (phone, pbx) = parties(&lab);
        let sealed = lab.register(&phone, 600);
        let invite = pbx.request_to(&mut lab, "INVITE", &sealed).sdp(pbx.sdp(6000));
        lab.send(pbx.at, invite.clone());
        lab.expect(pbx.at, "100");
        let got = lab.expect(phone.at, "INVITE");
        let moved = answer(&got, 302, "m").with("Contact", "<sip:199@10.17.0.1>");
        lab.send(phone.at, moved);
        lab.expect(phone.at, "ACK");
        let moved = lab.expect(pbx.at, "302");
        assert_eq!(moved.contact(), "sip:199@pbx.example.com");
        lab.send(pbx.at, Leg::calling(&pbx, &invite).ack_refusal(&moved));
        lab.end();
    }
}

/// In front of a PBX, with a domain of hosts that nobody outside may know.
fn named(version: Version) -> Lab {
    let mut lab =
        Lab::of(version, site::EDGE, |c| c.site.inside_domains = vec!["corp.example".to_owned()]);
    lab.secrets.extend(["corp.example", "CORP.example"]);
    lab
}

#[test]
fn what_a_user_part_or_an_escaped_dot_tells_of_the_inside_is_hidden() {
    for version in Version::ALL {
        let mut lab = named(version);
        lab.secrets.extend(["corp%2Eexample", "10%2E17", "10_17_0", "0x0a11", "0.17.10.in-addr"]);
        let (phone, pbx) = parties(&lab);
        for user in [
            "10%2E17%2E0%2E23",
            "10.17%2e0.23",
            "10_17_0_23",
            "0x0a110017",
            "23.0.17.10.in-addr.arpa",
            "pc7.corp%2Eexample",
            "pc7%2ecorp%2Eexample",
        ] {
            let request = phone
                .request_to(&mut lab, "MESSAGE", &format!("sip:{user}@pbx.example.com"))
                .set("From", format!("<sip:{user}@pbx.example.com>;tag=f"))
                .with("Subject", user)
                .with("X-Source", format!("<sip:{user}@pbx.example.com>"));
            lab.send(phone.at, request);
            let got = lab.expect(pbx.at, "MESSAGE");
            assert_eq!(got.header("Subject"), "203.0.113.1", "{user}");
            assert_eq!(uri_of(got.header("From")), "sip:203.0.113.1@pbx.example.com", "{user}");
            assert_eq!(got.uri(), "sip:203.0.113.1@pbx.example.com", "{user}");
            lab.send(pbx.at, answer(&got, 200, "t"));
            let ok = lab.expect(phone.at, "200");
            assert_eq!(uri_of(ok.header("From")), format!("sip:{user}@pbx.example.com"));
        }
        // A number with dashes is no address, though it might be read as one.
        let number = phone
            .request_to(&mut lab, "MESSAGE", "sip:10-17-0-23@pbx.example.com")
            .set("From", "<sip:10-17-0-23@pbx.example.com>;tag=f");
        lab.send(phone.at, number);
        let got = lab.expect(pbx.at, "MESSAGE");
        assert_eq!(got.uri(), "sip:10-17-0-23@pbx.example.com");
        assert_eq!(uri_of(got.header("From")), "sip:10-17-0-23@pbx.example.com");
        lab.send(pbx.at, answer(&got, 200, "t"));
        lab.expect(phone.at, "200");
        lab.end();
    }
}

#[test]
fn what_stands_where_a_scheme_should_tells_nothing_of_the_inside() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (phone, pbx) = parties(&lab);
        for scheme in ["si10.17.0.21", "x10-17-0-21", "a.10.17.0.21"] {
            let request = phone
                .request_to(&mut lab, "MESSAGE", "sip:200@pbx.example.com")
                .set("From", format!("\"x\" <{scheme}:5060>;tag=f"));
            lab.send(phone.at, request);
            for got in lab.take(pbx.at) {
                assert!(!got.header("From").contains(scheme), "{}", got.header("From"));
                lab.send(pbx.at, answer(&got, 200, "t"));
            }
            lab.clear();
        }
        lab.end();
    }
}

#[test]
fn a_host_name_of_the_inside_is_hidden_as_an_address_is() {
    for version in Version::ALL {
        let mut lab = named(version);
        let (phone, pbx) = parties(&lab);
        let talkative = "v=0\r\no=- 1 1 IN IP4 pc.corp.example\r\ns=pc.corp.example\r\n\
             e=a@corp.example\r\nc=IN IP4 10.17.0.21\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n\
             a=x-host:PC.CORP.example\r\n";
        let mut invite = phone
            .request_to(&mut lab, "INVITE", "sip:200@gate.corp.example")
            .set("From", "\"pc.corp.example\" <sip:101@pc.corp.example>;tag=f")
            .set("To", "<sip:200@gate.corp.example>")
            .set("Call-ID", "77-pc.corp.example")
            .sdp(talkative);
        for name in [
            "User-Agent",
            "Subject",
            "P-Asserted-Identity",
            "Call-Info",
            "Organization",
            "X-Source",
            "Warning",
        ] {
            invite = invite.with(name, "<sip:x@pc.corp.example>");
        }
        lab.send(phone.at, invite);
        lab.expect(phone.at, "100");
        let got = lab.expect(pbx.at, "INVITE");
        assert_eq!(got.uri(), "sip:200@pbx.example.com");
        assert_eq!(uri_of(got.header("From")), "sip:101@pbx.example.com");
        assert_eq!(uri_of(got.header("To")), "sip:200@pbx.example.com");
        assert_eq!(got.header("Subject"), "<sip:x@203.0.113.1>");
        assert_eq!(got.header("Call-Info"), "<sip:x@203.0.113.1>");
        assert!(!got.has("Organization"), "{got}");
        assert!(got.body.contains("a=x-host:203.0.113.1\r\n"), "{got}");
        lab.send(pbx.at, answer(&got, 404, "t"));
        lab.expect(pbx.at, "ACK");
        let refused = lab.expect(phone.at, "404");
        assert_eq!(refused.call_id(), "77-pc.corp.example", "the phone knows its own");
        for elsewhere in ["corp.example.net", "xcorp.example", "pbx.example.com"] {
            let uri = format!("sip:200@{elsewhere}");
            let message =
                phone.request_to(&mut lab, "MESSAGE", &uri).typed("text/plain", elsewhere);
            lab.secrets.retain(|s| *s != "corp.example");
            lab.send(phone.at, message);
            let got = lab.expect(pbx.at, "MESSAGE");
            assert_eq!((got.uri(), got.body.as_str()), (uri.as_str(), elsewhere));
            lab.send(pbx.at, answer(&got, 200, "m"));
            lab.expect(phone.at, "200");
        }
        lab.end();
    }
}

#[test]
fn a_reason_phrase_names_nothing_of_the_inside() {
    for version in Version::ALL {
        let mut lab = named(version);
        let (phone, pbx) = parties(&lab);
        let sealed = lab.register(&phone, 600);
        for (phrase, shown) in [
            ("Phone at 10.17.0.21 is busy", "Phone at 203.0.113.1 is busy"),
            ("pc.corp.example", "203.0.113.1"),
            ("Busy", "Busy"),
        ] {
            let invite = pbx.request_to(&mut lab, "INVITE", &sealed).sdp(pbx.sdp(6000));
            lab.send(pbx.at, invite.clone());
            lab.expect(pbx.at, "100");
            let got = lab.expect(phone.at, "INVITE");
            let mut busy = answer(&got, 486, "t");
            busy.start = format!("SIP/2.0 486 {phrase}");
            lab.send(phone.at, busy);
            lab.expect(phone.at, "ACK");
            let told = lab.expect(pbx.at, "486");
            assert_eq!(told.start, format!("SIP/2.0 486 {shown}"));
            lab.send(pbx.at, Leg::calling(&pbx, &invite).ack_refusal(&told));
        }
        lab.end();
    }
}

#[test]
fn a_body_keeps_its_type_when_that_names_the_inside() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
        let body =
            "--b\r\nContent-Type: text/plain\r\nContent-ID: <1@10.17.0.21>\r\n\r\nhi\r\n--b--\r\n";
        let kind = "multipart/related;boundary=b;start=\"<1@10.17.0.21>\"";
        let message = phone.request(&mut lab, "MESSAGE", "200").typed(kind, body);
        lab.send(phone.at, message);
        let got = lab.expect(pbx.at, "MESSAGE");
        let hidden = "multipart/related;boundary=b;start=\"<1@203.0.113.1>\"";
        assert_eq!(got.all("Content-Type"), [hidden], "{got}");
        assert!(got.body.contains("Content-ID: <1@203.0.113.1>"), "its start is found");
        lab.send(pbx.at, answer(&got, 200, "m"));
        lab.expect(phone.at, "200");
        lab.end();
    }
}

#[test]
fn keys_in_clear_cross_neither_way() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (phone, pbx) = parties(&lab);
        let keyed = |sdp: &str| {
            let (session, media) = sdp.split_once("m=").expect("a section");
            format!("{session}k=clear:s3cret\r\nm={media}k=prompt\r\n")
        };
        let invite = phone.request(&mut lab, "INVITE", "200").sdp(keyed(&phone.sdp(4000)));
        lab.send(phone.at, invite.clone());
        lab.expect(phone.at, "100");
        let got = lab.expect(pbx.at, "INVITE");
        assert!(got.body.contains("m=audio") && !got.body.contains("k="), "{got}");
        lab.send(pbx.at, pbx.answer(&got, 200, "b").sdp(keyed(&pbx.sdp(6000))));
        let ok = lab.expect(phone.at, "200");
        assert!(ok.body.contains("m=audio") && !ok.body.contains("k="), "{ok}");
        let options = phone.request(&mut lab, "OPTIONS", "200").sdp(keyed(&phone.sdp(4000)));
        lab.send(phone.at, options);
        let got = lab.expect(pbx.at, "OPTIONS");
        assert!(got.body.contains("m=audio") && !got.body.contains("k="), "{got}");
        lab.clear();
    }
}

#[test]
fn what_no_reader_agrees_on_is_refused() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (phone, pbx) = parties(&lab);
        let params = |n: usize| (0..n).map(|i| format!(";p{i}")).collect::<String>();
        let label = "a".repeat(64);
        for (uri, refused) in [
            (format!("sip:200@pbx.example.com{}", params(64)), false),
            (format!("sip:200@pbx.example.com{}", params(65)), true),
            (format!("sip:200@{}.example.com", &label[..63]), false),
            (format!("sip:200@{label}.example.com"), true),
            ("sip:200@pbx..example.com".to_owned(), true),
            ("sip:200@1.2.3.4.5".to_owned(), true),
        ] {
            let message = phone.request_to(&mut lab, "MESSAGE", &uri).typed("text/plain", "x");
            lab.send(phone.at, message);
            if refused {
                let told = lab.expect(phone.at, "400");
                assert_eq!(told.start, "SIP/2.0 400 Broken Request-URI", "{uri}");
                continue;
            }
            let got = lab.expect(pbx.at, "MESSAGE");
            assert_eq!(got.uri(), uri);
            lab.send(pbx.at, answer(&got, 200, "m"));
            lab.expect(phone.at, "200");
        }
        lab.end();
    }
}
