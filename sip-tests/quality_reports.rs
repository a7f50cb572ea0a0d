//! Voice quality reports of phones (RFC 6035): hidden and read on their way to a PBX, collected
//! where we are the phone system, kept beside our own figures, refused from those who are no party.

use crate::lab::digest::again;
use crate::lab::message::{param, uri_of};
use crate::lab::script::{Text, answer};
use crate::lab::{Lab, Leg, Msg, Ua, s, site};
use portreeve::audit::{CallEnd, PhoneReport, Record};
use portreeve::ground::CallNo;

const TYPE: &str = "application/vq-rtcpxr";

fn parties(lab: &Lab) -> (Ua, Ua) {
    (lab.phone("101", "10.17.0.21:5060"), lab.far("200"))
}

fn tag(value: &str) -> &str {
    param(value, "tag").unwrap_or_default()
}

/// A report of a leg's party, with everything in it that names the inside.
fn body(kind: &str, leg: &Leg, mos: &str) -> String {
    let (id, ip) = (&leg.call_id, leg.ua.ip());
    let (local, remote) = (uri_of(&leg.local), uri_of(&leg.remote));
    let (from, to) = (tag(&leg.local), tag(&leg.remote));
    format!(
        "{kind}\r\nCallID: {id}\r\nLocalID: <{local}>\r\nRemoteID: <{remote}>\r\n\
         OrigID: \"at {ip}\" <sip:{}@{ip}>\r\nLocalAddr: IP={ip} PORT=4000 SSRC=0x1a2b3c4d\r\n\
         LocalMAC: 00:04:13:53:10:db\r\nRemoteAddr: IP=10.17.0.1 PORT=20000 SSRC=0x5e6f7a8b\r\n\
         x-Trace: {id} at {ip}\r\nLocalMetrics:\r\n\
         Timestamps: START=2026-01-02T10:00:00Z STOP=2026-01-02T10:01:10Z\r\n\
         SessionDesc: PT=8 PD=PCMA SR=8000\r\nPacketLoss: NLR=1.5 JDR=127\r\n\
         Delay: RTD=42 ESD=0 IAJ=3\r\nQualityEst: RLQ=127 MOSLQ=4.2 MOSCQ={mos}\r\n\
         RemoteMetrics:\r\nQualityEst: MOSLQ=3.9\r\nDialogID: {id};to-tag={to};from-tag={from}\r\n",
        leg.ua.user
    )
}

/// The PUBLISH of a phone to its collector.
fn publish(lab: &mut Lab, ua: &Ua, body: impl Into<String>) -> Text {
    ua.request(lab, "PUBLISH", "collector").with("Event", "vq-rtcpxr").typed(TYPE, body)
}

/// What was recorded: call, user, leg, report.
fn recorded(lab: &Lab) -> Vec<(u64, String, &'static str, PhoneReport)> {
    let one = |r: &Record| match r {
        Record::QualityReport { call, user, leg, report, .. } => {
            Some((call.0, user.clone(), leg.as_str(), (**report).clone()))
        }
        _ => None,
    };
    lab.records.iter().filter_map(one).collect()
}

fn end(lab: &Lab) -> CallEnd {
    let end = lab.records.iter().rev().find_map(|r| match r {
        Record::CallEnd(end) => Some(end.clone()),
        _ => None,
    });
    end.expect("a call has ended")
}

mod on_the_way {
    use super::*;

    /// Sends it and answers it; what the PBX got.
    #[track_caller]
    fn carried(lab: &mut Lab, ua: &Ua, text: Text) -> Msg {
        lab.send(ua.at, text);
        let pbx = lab.pbx();
        let got = lab.expect(pbx, "PUBLISH");
        lab.send(pbx, answer(&got, 200, "p").with("SIP-ETag", "e1"));
        assert_eq!(lab.expect(ua.at, "200").header("SIP-ETag"), "e1");
        got
    }

    #[test]
    fn a_report_goes_on_under_the_name_the_pbx_knows_and_is_kept_beside_ours() {
        let mut lab = Lab::edge();
        let (phone, pbx) = parties(&lab);
        lab.register(&phone, 600);
        let (mut a, b) = lab.establish(&phone, &pbx);
        assert_ne!(a.call_id, b.call_id);
        let text = publish(&mut lab, &phone, body("VQIntervalReport", &a, "4.1"));
        let got = carried(&mut lab, &phone, text);
        // That no inside address left is checked by the lab.
        assert!(!got.body.contains(&a.call_id) && !got.body.contains("MAC"), "{got}");
        assert!(got.body.contains(&format!("CallID: {}\r\n", b.call_id)), "{got}");
        let dialog = format!("DialogID: {};to-tag={}", b.call_id, tag(&b.local));
        assert!(got.body.contains(&dialog), "{got}");
        assert!(got.body.contains("LocalID: <sip:101@pbx.example.com>"), "{got}");
        assert!(got.body.contains("<sip:101@pbx.example.com>\r\nLocalAddr: IP=203.0.113.1 "));
        assert!(got.body.contains(&format!("x-Trace: {}", b.call_id)), "{got}");
        assert!(got.body.contains("MOSLQ=4.2 MOSCQ=4.1\r\nRemoteMetrics:"), "{got}");
        assert_eq!(lab.stats().vq_reports, [1, 0]);
        let [(call, user, leg, report)] = &recorded(&lab)[..] else { panic!("one record") };
        assert_eq!((*call, user.as_str(), *leg), (1, "101", "caller"));
        assert_eq!(
            (report.scope, report.ended, report.heard.seconds),
            ("interval", false, Some(70))
        );
        let heard = &report.heard;
        assert_eq!((heard.mos_cq, heard.mos_lq, heard.r_lq), (Some(4.1), Some(4.2), None));
        assert_eq!((heard.loss, heard.discard_rate), (Some(0.015), None));
        assert_eq!((heard.round_trip_ms, heard.end_system_ms), (Some(42.0), None));
        assert_eq!(report.told.as_ref().and_then(|t| t.mos_lq), Some(3.9));
        let [stream] = &lab.engine.call(CallNo(1), lab.now).unwrap().streams[..] else { panic!() };
        assert_eq!(stream.caller.phone_report.as_ref(), Some(report));
        assert_eq!(stream.callee.phone_report, None);
        lab.hang_up(&mut a, &b);
        let media = &end(&lab).media[0];
        assert_eq!(media.caller.phone_report.as_deref(), Some(report));
        assert_eq!(media.callee.phone_report, None);
        lab.end();
    }

    #[test]
    fn the_last_report_of_a_leg_is_the_one_that_is_kept() {
        let mut lab = Lab::edge();
        let (phone, pbx) = parties(&lab);
        let (mut a, b) = lab.establish(&phone, &pbx);
        for mos in ["4.1", "2.2"] {
            let text = publish(&mut lab, &phone, body("VQIntervalReport", &a, mos));
            carried(&mut lab, &phone, text);
        }
        assert_eq!(recorded(&lab).len(), 2);
        lab.hang_up(&mut a, &b);
        let media = &end(&lab).media[0];
        let kept = media.caller.phone_report.as_ref().expect("a report");
        assert_eq!(kept.heard.mos_cq, Some(2.2));
        lab.end();
    }

    #[test]
    fn the_call_id_of_the_pbx_stays_its_own() {
        let mut lab = Lab::edge();
        let (phone, pbx) = parties(&lab);
        let sealed = lab.register(&phone, 600);
        let invite = pbx.request_to(&mut lab, "INVITE", &sealed).sdp(pbx.sdp(6000));
        lab.send(pbx.at, invite.clone());
        lab.expect(pbx.at, "100");
        let got = lab.expect(phone.at, "INVITE");
        let a = Leg::called(&phone, &got, "a");
        lab.send(phone.at, phone.answer(&got, 200, "a").sdp(phone.sdp(4000)));
        let ok = lab.expect(pbx.at, "200");
        let mut b = Leg::calling(&pbx, &invite);
        b.learn(&ok);
        let ack = b.ack(&mut lab);
        lab.send(pbx.at, ack);
        lab.expect(phone.at, "ACK");
        let text = publish(&mut lab, &phone, body("VQSessionReport: CallTerm", &a, "4.0"));
        let got = carried(&mut lab, &phone, text);
        assert!(got.body.contains(&format!("CallID: {}\r\n", b.call_id)), "{got}");
        assert_eq!(recorded(&lab)[0].2, "callee");
        lab.hang_up(&mut b, &a);
        assert!(end(&lab).media[0].callee.phone_report.is_some());
        lab.end();
    }

    #[test]
    fn a_phone_that_knows_only_us_reports_to_the_pbx_through_us() {
        let mut lab = Lab::edge();
        let (phone, pbx) = parties(&lab);
        let (mut a, b) = lab.establish(&phone, &pbx);
        let text = phone
            .request_to(&mut lab, "PUBLISH", "sip:10.17.0.1")
            .with("Event", "vq-rtcpxr")
            .typed(TYPE, body("VQIntervalReport", &a, "4.1"));
        assert_eq!(carried(&mut lab, &phone, text).uri(), "sip:pbx.example.com");
        assert_eq!(lab.stats().vq_reports, [1, 0]);
        let other = phone
            .request_to(&mut lab, "PUBLISH", "sip:10.17.0.1")
            .with("Event", "presence")
            .typed("application/pidf+xml", "<a/>");
        lab.send(phone.at, other);
        lab.expect(phone.at, "405");
        lab.hang_up(&mut a, &b);
        lab.end();
    }

    #[test]
    fn a_report_of_an_unknown_call_goes_on_sealed_and_counts_as_refused() {
        let mut lab = Lab::edge();
        let (phone, pbx) = parties(&lab);
        let (mut a, b) = lab.establish(&phone, &pbx);
        for (old, new) in [(a.call_id.as_str(), "other-call@10.17.0.21"), ("to-tag=", "to-tag=x")] {
            let text = body("VQIntervalReport", &a, "4.1").replace(old, new);
            let text = publish(&mut lab, &phone, text);
            let got = carried(&mut lab, &phone, text);
            assert!(!got.body.contains("other-call") && got.body.contains("MOSCQ=4.1"), "{got}");
        }
        assert_eq!((lab.stats().vq_reports, recorded(&lab).len()), ([0, 2], 0));
        lab.hang_up(&mut a, &b);
        assert_eq!(end(&lab).media[0].caller.phone_report, None);
        lab.end();
    }

    #[test]
    fn what_cannot_be_read_is_scrubbed_and_what_is_beyond_the_limits_does_not_pass() {
        let mut lab = Lab::edge();
        let phone = parties(&lab).0;
        for text in [
            "LocalAddr:IP=10.17.0.21 PORT=4000\r\nCallID:secret-1@phone.example\r\n".to_owned(),
            format!("VQSessionReport\r\n{}", "x:10.17.0.21\r\n".repeat(126)),
        ] {
            let text = publish(&mut lab, &phone, text);
            let got = carried(&mut lab, &phone, text);
            assert!(!got.body.contains("secret-1"), "{got}");
        }
        for text in [
            format!("VQSessionReport\r\n{}", "x:10.17.0.21\r\n".repeat(127)),
            "VQSessionReport\r\nCallID: \u{1}\r\n".to_owned(),
            format!("VQSessionReport\r\nCallID: x\r\n{}", "x".repeat(8192)),
        ] {
            let text = publish(&mut lab, &phone, text);
            lab.send(phone.at, text);
            lab.expect(phone.at, "415");
        }
        assert_eq!(lab.stats().vq_reports, [0, 5]);
        lab.end();
    }

    #[test]
    fn a_report_names_no_call_of_others() {
        let mut lab = Lab::edge();
        let (phone, pbx) = parties(&lab);
        let (mut a, b) = lab.establish(&phone, &pbx);
        let stranger = lab.phone("102", "10.17.0.22:5060");
        let text = publish(&mut lab, &stranger, body("VQIntervalReport", &a, "1.0"));
        lab.send(stranger.at, text);
        lab.expect(stranger.at, "403");
        assert_eq!((lab.stats().vq_reports, recorded(&lab).len()), ([0, 1], 0));
        assert_eq!(lab.security(), ["in_dialog_source"]);
        lab.hang_up(&mut a, &b);
        assert_eq!(end(&lab).media[0].caller.phone_report, None);
        lab.end();
    }

    #[test]
    fn phones_behind_one_address_report_for_themselves() {
        let mut lab = Lab::edge();
        let (phone, pbx) = parties(&lab);
        let twin = lab.phone("102", "10.17.0.21:5062");
        lab.register(&phone, 600);
        lab.register(&twin, 600);
        let (mut a, b) = lab.establish(&phone, &pbx);
        let text = publish(&mut lab, &twin, body("VQIntervalReport", &a, "1.0"));
        lab.send(twin.at, text);
        lab.expect(twin.at, "403");
        let text = publish(&mut lab, &phone, body("VQIntervalReport", &a, "4.1"));
        carried(&mut lab, &phone, text);
        assert_eq!(lab.stats().vq_reports, [1, 1]);
        lab.hang_up(&mut a, &b);
        lab.end();
    }

    #[test]
    fn a_report_that_follows_the_bye_within_a_minute_is_taken() {
        let mut lab = Lab::edge();
        let (phone, pbx) = parties(&lab);
        let (mut a, b) = lab.establish(&phone, &pbx);
        lab.hang_up(&mut a, &b);
        for (wait, want) in [(1, [1, 0]), (59, [2, 0]), (1, [2, 1])] {
            lab.advance(s(wait));
            let text = publish(&mut lab, &phone, body("VQSessionReport: CallTerm", &a, "4.1"));
            let got = carried(&mut lab, &phone, text);
            assert!(!got.body.contains(&a.call_id), "{got}");
            let known = got.body.contains(&format!("CallID: {}\r\n", b.call_id));
            assert!(known, "sealed anew, it is the same name: {got}");
            assert_eq!(lab.stats().vq_reports, want);
        }
        let all = recorded(&lab);
        assert_eq!(all.len(), 2);
        assert!(all[0].3.ended && (all[0].0, all[0].2) == (1, "caller"), "{all:?}");
        lab.end();
    }

    #[test]
    fn a_party_reports_as_often_as_a_call_needs_and_no_more() {
        let mut lab = Lab::edge();
        let (phone, pbx) = parties(&lab);
        let (mut a, b) = lab.establish(&phone, &pbx);
        let report = |lab: &mut Lab| {
            let text = publish(lab, &phone, body("VQIntervalReport", &a, "4.1"));
            carried(lab, &phone, text);
        };
        for _ in 0..9 {
            report(&mut lab);
        }
        assert_eq!((lab.stats().vq_reports, recorded(&lab).len()), ([8, 1], 8));
        lab.advance(s(2));
        for _ in 0..3 {
            report(&mut lab);
        }
        assert_eq!((lab.stats().vq_reports, recorded(&lab).len()), ([10, 2], 10));
        lab.hang_up(&mut a, &b);
        lab.end();
    }

    #[test]
    fn a_pbx_that_subscribes_is_notified_of_the_same() {
        let mut lab = Lab::edge();
        let (phone, pbx) = parties(&lab);
        let sealed = lab.register(&phone, 600);
        let (mut a, b) = lab.establish(&phone, &pbx);
        let text = pbx
            .request_to(&mut lab, "SUBSCRIBE", &sealed)
            .with("Event", "vq-rtcpxr")
            .with("Expires", "600");
        lab.send(pbx.at, text);
        let got = lab.expect(phone.at, "SUBSCRIBE");
        let mut n = Leg::called(&phone, &got, "n");
        lab.send(phone.at, phone.answer(&got, 200, "n").with("Expires", "600"));
        lab.expect(pbx.at, "200");
        let notify = n
            .request(&mut lab, "NOTIFY")
            .with("Event", "vq-rtcpxr")
            .with("Subscription-State", "active")
            .typed(TYPE, body("VQAlertReport: Type=RLQ Severity=Warning Dir=local", &a, "2.9"));
        lab.send(phone.at, notify);
        let got = lab.expect(pbx.at, "NOTIFY");
        assert!(got.body.contains(&format!("CallID: {}\r\n", b.call_id)), "{got}");
        assert!(!got.body.contains(&a.call_id) && !got.body.contains("MAC"), "{got}");
        lab.send(pbx.at, answer(&got, 200, ""));
        lab.expect(phone.at, "200");
        let all = recorded(&lab);
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].3.alert.as_deref(), Some("RLQ Warning local"));
        lab.hang_up(&mut a, &b);
        lab.end();
    }

    #[test]
    fn elsewhere_than_in_its_own_message_a_report_does_not_leave() {
        let mut lab = Lab::edge();
        let (phone, pbx) = parties(&lab);
        let (mut a, b) = lab.establish(&phone, &pbx);
        let report = body("VQIntervalReport", &a, "4.1");
        let parts = format!("--b1\r\nContent-Type: {TYPE}\r\n\r\n{report}\r\n--b1--\r\n");
        let message = phone.request(&mut lab, "MESSAGE", "200").typed(TYPE, report.clone());
        let mixed =
            publish(&mut lab, &phone, parts).set("Content-Type", "multipart/mixed;boundary=b1");
        let info = a.request(&mut lab, "INFO").typed(TYPE, report.clone());
        let zipped = publish(&mut lab, &phone, report).with("Content-Encoding", "gzip");
        for text in [message, mixed, info, zipped] {
            lab.send(phone.at, text);
            lab.expect(phone.at, "415");
        }
        lab.hang_up(&mut a, &b);
        lab.end();
    }
}

mod collected {
    use super::*;

    /// Two phones of the site and a call between them.
    fn up(lab: &mut Lab) -> (Leg, Leg) {
        let one = lab.local_phone("101", "10.17.0.21:5060");
        let two = lab.local_phone("102", "10.17.0.22:5060");
        lab.establish(&one, &two)
    }

    /// The answer to it.
    #[track_caller]
    fn answered(lab: &mut Lab, ua: &Ua, text: Text, status: &str) -> Msg {
        lab.send(ua.at, text);
        let got = lab.expect(ua.at, status);
        lab.nothing_left();
        got
    }

    #[test]
    fn both_parties_of_a_call_report_to_us() {
        let mut lab = Lab::site();
        let (mut a, b) = up(&mut lab);
        assert_eq!(a.call_id, b.call_id, "one side, one name");
        for (leg, mos) in [(&a, "4.1"), (&b, "3.2")] {
            let text = publish(&mut lab, &leg.ua, body("VQIntervalReport", leg, mos));
            let ok = answered(&mut lab, &leg.ua, text, "200");
            assert!(!ok.header("SIP-ETag").is_empty());
            assert_eq!(ok.header("Expires"), "3600");
        }
        assert_eq!(lab.stats().vq_reports, [2, 0]);
        let all: Vec<_> =
            recorded(&lab).into_iter().map(|r| (r.0, r.1, r.2, r.3.heard.mos_cq)).collect();
        let want = [
            (1, "101".to_owned(), "caller", Some(4.1)),
            (1, "102".to_owned(), "callee", Some(3.2)),
        ];
        assert_eq!(all, want);
        let stream = &lab.engine.call(CallNo(1), lab.now).unwrap().streams[0];
        assert!(stream.caller.phone_report.is_some() && stream.callee.phone_report.is_some());
        lab.hang_up(&mut a, &b);
        let media = &end(&lab).media[0];
        let mos = [&media.caller, &media.callee].map(|l| l.phone_report.as_ref()?.heard.mos_cq);
        assert_eq!(mos, [Some(4.1), Some(3.2)]);
        let text = publish(&mut lab, &b.ua, body("VQSessionReport: CallTerm", &b, "3.1"));
        answered(&mut lab, &b.ua, text, "200");
        assert_eq!(recorded(&lab)[2].2, "callee");
        lab.end();
    }

    #[test]
    fn a_publication_lives_as_long_as_asked_and_an_hour_at_most() {
        let mut lab = Lab::site();
        let (mut a, b) = up(&mut lab);
        let mut tags = Vec::new();
        for (asked, granted) in [("60", "60"), ("3601", "3600"), ("0", "0"), ("soon", "3600")] {
            let text = publish(&mut lab, &a.ua, body("VQIntervalReport", &a, "4.1"));
            let ok = answered(&mut lab, &a.ua, text.with("Expires", asked), "200");
            assert_eq!(ok.header("Expires"), granted);
            tags.push(ok.header("SIP-ETag").to_owned());
        }
        let last = tags.last().cloned().unwrap_or_default();
        tags.sort();
        tags.dedup();
        assert_eq!(tags.len(), 4, "each publication has its own");
        let again = |lab: &mut Lab, ua: &Ua, tag: &str| {
            publish(lab, ua, "").with("SIP-If-Match", tag).with("Expires", "1800")
        };
        let text = again(&mut lab, &a.ua, &last);
        let ok = answered(&mut lab, &a.ua, text, "200");
        assert_eq!(ok.header("Expires"), "1800");
        assert_ne!(ok.header("SIP-ETag"), last);
        for tag in ["e1", "1.x", "", "1.2.3"] {
            let text = again(&mut lab, &a.ua, tag);
            answered(&mut lab, &a.ua, text, "412");
        }
        let text = again(&mut lab, &b.ua, &last);
        answered(&mut lab, &b.ua, text, "412");
        let text = publish(&mut lab, &a.ua, "");
        answered(&mut lab, &a.ua, text, "400");
        assert_eq!(lab.stats().vq_reports, [4, 0], "what holds no report counts as none");
        lab.hang_up(&mut a, &b);
        lab.end();
    }

    #[test]
    fn whatever_the_collector_is_called_it_is_us() {
        let mut lab = Lab::site();
        let (mut a, b) = up(&mut lab);
        for uri in ["sip:10.17.0.1", "sip:10.17.0.1:5070", "sip:102@10.17.0.1", "sip:x@portreeve"] {
            let report = body("VQIntervalReport", &a, "4.1");
            let text = a.ua.request_to(&mut lab, "PUBLISH", uri);
            let text = text.with("Event", " VQ-RTCPXR;id=1").typed(TYPE, report);
            answered(&mut lab, &a.ua, text, "200");
        }
        assert_eq!(lab.stats().vq_reports, [4, 0]);
        lab.hang_up(&mut a, &b);
        lab.end();
    }

    #[test]
    fn a_notify_out_of_the_blue_with_a_report_is_taken() {
        let mut lab = Lab::site();
        let (mut a, b) = up(&mut lab);
        let report = body("VQIntervalReport", &a, "4.1");
        let text = a.ua.request(&mut lab, "NOTIFY", "collector").with("Event", "vq-rtcpxr");
        let ok = answered(&mut lab, &a.ua, text.typed(TYPE, report), "200");
        assert!(!ok.has("SIP-ETag") && !ok.has("Expires"), "{ok}");
        assert_eq!(lab.stats().vq_reports, [1, 0]);
        lab.hang_up(&mut a, &b);
        lab.end();
    }

    #[test]
    fn there_is_no_other_event_here() {
        let mut lab = Lab::site();
        let phone = lab.local_phone("101", "10.17.0.21:5060");
        for event in ["presence", "dialog", "vq-rtcpxr-x"] {
            let text = phone.request(&mut lab, "PUBLISH", "101").with("Event", event);
            let bad = answered(&mut lab, &phone, text.typed("application/pidf+xml", "<a/>"), "489");
            assert_eq!(bad.header("Allow-Events"), "vq-rtcpxr");
        }
        let text = phone.request(&mut lab, "PUBLISH", "101");
        answered(&mut lab, &phone, text, "489");
        let text = publish(&mut lab, &phone, "<a/>").set("Content-Type", "application/pidf+xml");
        let bad = answered(&mut lab, &phone, text, "415");
        assert_eq!(bad.header("Accept"), TYPE);
        assert_eq!(lab.stats().vq_reports, [0, 0]);
        lab.end();
    }

    #[test]
    fn who_is_not_known_proves_it_first() {
        let mut lab = Lab::site();
        let (mut a, b) = up(&mut lab);
        let mut stranger = lab.phone("103", "10.17.0.66:5060");
        site::GATE_INSIDE.clone_into(&mut stranger.domain);
        let text = publish(&mut lab, &stranger, body("VQIntervalReport", &a, "1.0"));
        lab.send(stranger.at, text.clone());
        let challenged = lab.expect(stranger.at, "407");
        assert_eq!(lab.stats().vq_reports, [0, 0]);
        // It knows the password, and still is no party of the call.
        let proof = again(&mut lab, &text, &challenged, &stranger, site::PASSWORD);
        lab.send(stranger.at, proof);
        lab.expect(stranger.at, "403");
        assert_eq!((lab.stats().vq_reports, recorded(&lab).len()), ([0, 1], 0));
        assert_eq!(lab.security(), ["in_dialog_source"]);
        lab.hang_up(&mut a, &b);
        lab.end();
    }

    #[test]
    fn without_passwords_only_registered_phones_report() {
        let mut lab = Lab::site_with(|c| c.registrar.digest = false);
        let phone = lab.phone("101", "10.17.0.21:5060");
        let text = phone.request_to(&mut lab, "PUBLISH", "sip:10.17.0.1");
        let text = text.with("Event", "vq-rtcpxr");
        let text = text.typed(TYPE, "VQSessionReport\r\nCallID: x\r\n");
        answered(&mut lab, &phone, text, "403");
        assert_eq!(lab.stats().vq_reports, [0, 1]);
        lab.end();
    }

    #[test]
    fn what_is_no_report_of_a_call_of_the_sender_is_refused_with_a_reason() {
        let mut lab = Lab::site();
        let (mut a, b) = up(&mut lab);
        let third = lab.local_phone("103", "10.17.0.23:5060");
        let good = body("VQIntervalReport", &a, "4.1");
        for (ua, text, status) in [
            (&third, good.clone(), "403"),
            (&third, good.replace(&a.call_id, "no-such-call"), "404"),
            (&a.ua, good.replace("from-tag=", "from-tag=x"), "404"),
            (&a.ua, good.replace("VQIntervalReport", "VQ"), "400"),
            (&a.ua, "VQSessionReport\r\n".repeat(129), "400"),
            (&a.ua, "VQSessionReport\0\r\nCallID: x\r\n".to_owned(), "400"),
        ] {
            let text = publish(&mut lab, ua, text);
            answered(&mut lab, ua, text, status);
        }
        assert_eq!((lab.stats().vq_reports, recorded(&lab).len()), ([0, 6], 0));
        for i in 0..9 {
            let text = publish(&mut lab, &a.ua, good.clone());
            let status = if i < 8 { "200" } else { "503" };
            answered(&mut lab, &a.ua, text, status);
        }
        lab.hang_up(&mut a, &b);
        lab.advance(s(61));
        let text = publish(&mut lab, &a.ua, good);
        answered(&mut lab, &a.ua, text, "404");
        lab.end();
    }

    #[test]
    fn two_softphones_of_one_computer_are_told_apart() {
        let mut lab = Lab::site();
        let one = lab.local_phone("101", "10.17.0.21:5060");
        let two = lab.local_phone("102", "10.17.0.21:5062");
        let (mut a, b) = lab.establish(&one, &two);
        for leg in [&b, &a] {
            let text = publish(&mut lab, &leg.ua, body("VQIntervalReport", leg, "4.1"));
            answered(&mut lab, &leg.ua, text, "200");
        }
        let legs: Vec<_> = recorded(&lab).into_iter().map(|r| (r.1, r.2)).collect();
        assert_eq!(legs, [("102".to_owned(), "callee"), ("101".to_owned(), "caller")]);
        lab.hang_up(&mut a, &b);
        lab.end();
    }

    #[test]
    fn from_a_port_that_never_registered_the_proven_user_is_the_party() {
        let mut lab = Lab::site();
        let one = lab.local_phone("101", "10.17.0.21:5060");
        let two = lab.local_phone("102", "10.17.0.21:5062");
        let (mut a, b) = lab.establish(&one, &two);
        lab.advance(s(2));
        let mut other = two.clone();
        other.at = lab.inside("10.17.0.21:7000");
        let text = publish(&mut lab, &other, body("VQIntervalReport", &b, "4.1"));
        lab.send(other.at, text.clone());
        let challenged = lab.expect(other.at, "407");
        let proof = again(&mut lab, &text, &challenged, &other, site::PASSWORD);
        answered(&mut lab, &other, proof, "200");
        let all = recorded(&lab);
        assert_eq!((all[0].1.as_str(), all[0].2), ("102", "callee"));
        lab.hang_up(&mut a, &b);
        lab.end();
    }
}
