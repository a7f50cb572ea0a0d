use super::*;
use proptest::prelude::*;

/// As in RFC 6035 §4.7.1.
const RFC: &str = "VQSessionReport: CallTerm\r\n\
    CallID: 6dg37f1890463\r\n\
    LocalID: Alice <sip:alice@example.org>\r\n\
    RemoteID: Bill <sip:bill@example.net>\r\n\
    OrigID: Alice <sip:alice@example.org>\r\n\
    LocalGroup: example-phone-55671\r\n\
    RemoteGroup: example-gateway-09871\r\n\
    LocalAddr: IP=10.10.1.100 PORT=5000 SSRC=1a3b5c7d\r\n\
    LocalMAC: 00:1f:5b:cc:21:0f\r\n\
    RemoteAddr:IP=11.1.1.150 PORT=5002 SSRC=0x2468abcd\r\n\
    RemoteMAC: 00:26:08:8e:95:02\r\n\
    LocalMetrics:\r\n\
    Timestamps:START=2004-10-10T18:23:43Z STOP=2004-10-10T18:26:02Z\r\n\
    SessionDesc:PT=18 PD=G729 SR=8000 FD=20 FO=20 FPP=2 PPS=50\r\n\
    \x20FMTP=\"annexb=no\" PLC=3 SSUP=on\r\n\
    JitterBuffer:JBA=3 JBR=2 JBN=40 JBM=80 JBX=120\r\n\
    PacketLoss:NLR=5.0 JDR=2.0\r\n\
    BurstGapLoss:BLD=0 BD=0 GLD=2.0 GD=500 GMIN=16\r\n\
    Delay:RTD=200 ESD=140 SOWD=200 IAJ=2 MAJ=10\r\n\
    Signal:SL=-18 NL=-50 RERL=55\r\n\
    QualityEst:RLQ=88 RCQ=85 EXTRI=90 MOSLQ=4.1 MOSCQ=4.0\r\n\
    \x20QoEEstAlg=P.564\r\n\
    RemoteMetrics:\r\n\
    PacketLoss:NLR=1.5 JDR=127\r\n\
    QualityEst:RLQ=127 MOSLQ=127 MOSCQ=3.3\r\n\
    DialogID:38419823470834;to-tag=8472761;from-tag=9123dh311\r\n";

/// The draft's form, as Polycom phones write it.
const POLYCOM: &str = "VQIntervalReport\nLocalMetrics:\n\
    TimeStamps:START=2025-11-20T10:59:33Z STOP=2025-11-20T11:03:12Z\n\
    SessionDesc:PT=9 PPS=50 SSUP=off\nCallID:785c72a8-8c64a097@10.2.0.52\n\
    ToID:\"Bob\" <sip:2087@pbx.example>\nFromID:\"Ann\" <sip:2012@pbx.example>\n\
    LocalAddr:IP=10.2.0.51 PORT=2270 SSRC=4209273062\n\
    RemoteAddr:IP=10.2.0.52 PORT=2298 SSRC=3536961311\n\
    JitterBuffer:JBA=3 JBR=5 JBN=220 JBM=230 JBX=160\nPacketLoss:NLR=0.0 JDR=0.0\n\
    BurstGapLoss:BLD=0.0 BD=0 GLD=0.0 GD=65535 GMIN=16\nDelay:RTD=3 ESD=239 OWD=240 IAJ=0\n\
    Signal:RERL=127\nQualityEst:RLQ=94 RCQ=83 MOSLQ=3.8 MOSCQ=3.4\n\
    DialogID:785c72a8-8c64a097@10.2.0.52;to-tag=9F03E140;from-tag=270B864E";

fn read(body: &str) -> Report {
    Report::parse(body.as_bytes()).unwrap()
}

#[test]
fn the_example_of_the_rfc_is_read_whole() {
    let r = read(RFC);
    assert_eq!((r.kind, r.ended, r.call_id.as_str()), (Kind::Session, true, "6dg37f1890463"));
    let tags = r.tags.each_ref().map(Option::as_deref);
    assert_eq!(tags, [Some("8472761"), Some("9123dh311")]);
    assert_eq!(r.remote_id.as_deref(), Some("Bill <sip:bill@example.net>"));
    let local =
        Endpoint { ip: "10.10.1.100".parse().ok(), port: Some(5000), ssrc: Some(0x1a3b_5c7d) };
    assert_eq!((r.local, r.remote.ssrc), (local, Some(0x2468_abcd)));
    assert_eq!(r.heard.seconds(), Some(139));
    assert_eq!(r.heard.codec.as_deref(), Some("G729"));
    assert_eq!(r.heard.silence_suppressed, Some(true));
    assert_eq!(r.heard.algorithm.as_deref(), Some("P.564"));
    for (metric, want) in [
        (Metric::PayloadType, 18_000),
        (Metric::ClockRate, 8_000_000),
        (Metric::Frame, 20_000),
        (Metric::FrameOctets, 20_000),
        (Metric::FramesPerPacket, 2_000),
        (Metric::PacketsPerSecond, 50_000),
        (Metric::Concealment, 3_000),
        (Metric::BufferKind, 3_000),
        (Metric::BufferRate, 2_000),
        (Metric::BufferNominal, 40_000),
        (Metric::BufferMaximum, 80_000),
        (Metric::BufferLimit, 120_000),
        (Metric::Lost, 5_000),
        (Metric::Discarded, 2_000),
        (Metric::BurstDensity, 0),
        (Metric::Burst, 0),
        (Metric::GapDensity, 2_000),
        (Metric::Gap, 500_000),
        (Metric::GapMinimum, 16_000),
        (Metric::RoundTrip, 200_000),
        (Metric::EndSystem, 140_000),
        (Metric::OneWay, 200_000),
        (Metric::Jitter, 2_000),
        (Metric::JitterAbsolute, 10_000),
        (Metric::Signal, -18_000),
        (Metric::Noise, -50_000),
        (Metric::EchoLoss, 55_000),
        (Metric::RListening, 88_000),
        (Metric::RConversational, 85_000),
        (Metric::RExternalIn, 90_000),
        (Metric::MosListening, 4_100),
        (Metric::MosConversational, 4_000),
    ] {
        assert_eq!(r.heard.milli(metric), Some(want), "{metric:?}");
    }
    assert_eq!(r.heard.milli(Metric::RExternalOut), None);
    let told = r.told.unwrap();
    assert_eq!((told.number(Metric::Lost), told.milli(Metric::Discarded)), (Some(1.5), None));
    assert_eq!((told.milli(Metric::RListening), told.milli(Metric::MosListening)), (None, None));
    assert_eq!(told.number(Metric::MosConversational), Some(3.3));
}

#[test]
fn what_means_unavailable_is_not_a_value() {
    for (line, metric) in [
        ("QualityEst:MOSLQ=127", Metric::MosListening),
        ("QualityEst:MOSLQ=12.7", Metric::MosListening),
        ("QualityEst:MOSLQ=0", Metric::MosListening),
        ("QualityEst:MOSLQ=0.9", Metric::MosListening),
        ("QualityEst:MOSLQ=5.001", Metric::MosListening),
        ("QualityEst:RCQ=127", Metric::RConversational),
        ("QualityEst:RCQ=-1", Metric::RConversational),
        ("Signal:SL=127 NL=-128", Metric::Signal),
        ("Signal:SL=127 NL=-128", Metric::Noise),
        ("Signal:RERL=127", Metric::EchoLoss),
        ("Delay:RTD=65535", Metric::RoundTrip),
        ("Delay:RTD=0", Metric::RoundTrip),
        ("Delay:ESD=0", Metric::EndSystem),
        ("Delay:IAJ=65535", Metric::Jitter),
        ("JitterBuffer:JBX=65535", Metric::BufferLimit),
        ("PacketLoss:NLR=100.1", Metric::Lost),
        ("PacketLoss:NLR=", Metric::Lost),
        ("PacketLoss:NLR=n/a", Metric::Lost),
        ("SessionDesc:PT=128", Metric::PayloadType),
        ("BurstGapLoss:GD=65535", Metric::Gap),
    ] {
        let r = read(&format!("VQSessionReport\r\nCallID:x\r\n{line}\r\n"));
        assert_eq!(r.heard.milli(metric), None, "{line}");
    }
    let edges = read(
        "VQSessionReport\r\nCallID:x\r\nQualityEst:MOSLQ=1 MOSCQ=5.0 RLQ=0 RCQ=120\r\n\
         PacketLoss:NLR=0 JDR=100\r\nSessionDesc:PT=127\r\nDelay:RTD=65534\r\n",
    );
    for (metric, want) in [
        (Metric::MosListening, 1.0),
        (Metric::MosConversational, 5.0),
        (Metric::RListening, 0.0),
        (Metric::RConversational, 120.0),
        (Metric::Lost, 0.0),
        (Metric::Discarded, 100.0),
        (Metric::PayloadType, 127.0),
        (Metric::RoundTrip, 65_534.0),
    ] {
        assert_eq!(edges.heard.number(metric), Some(want), "{metric:?}");
    }
}

#[test]
fn the_draft_form_of_polycom_is_read() {
    let r = read(POLYCOM);
    assert_eq!((r.kind, r.ended), (Kind::Interval, false));
    assert_eq!(r.call_id, "785c72a8-8c64a097@10.2.0.52");
    assert_eq!(r.orig_id.as_deref(), Some("\"Ann\" <sip:2012@pbx.example>"));
    assert_eq!((r.local.port, r.local.ssrc), (Some(2270), Some(4_209_273_062)));
    assert_eq!(r.heard.number(Metric::OneWay), Some(240.0));
    assert_eq!(r.heard.number(Metric::MosListening), Some(3.8));
    assert_eq!(r.heard.number(Metric::Lost), Some(0.0));
    assert_eq!(r.heard.milli(Metric::EchoLoss), None);
    assert_eq!((r.heard.seconds(), r.told.is_none()), (Some(219), true));
    let alert = POLYCOM.replace(
        "VQIntervalReport\nLocalMetrics:",
        "VQAlertReport\nType=OWD Severity=Critical Dir=local\nMetrics:",
    );
    let r = read(&alert);
    let words = [r.alert.metric, r.alert.severity, r.alert.direction];
    assert_eq!(
        words.each_ref().map(Option::as_deref),
        [Some("OWD"), Some("Critical"), Some("local")]
    );
    assert_eq!((r.kind, r.heard.number(Metric::EndSystem)), (Kind::Alert, Some(239.0)));
}

#[test]
fn an_alert_of_yealink_is_read() {
    let r = read(
        "VQAlertReport: Type=RLQ Severity=Warning Dir=local\r\nCallID:0_1234@192.168.1.5\r\n\
         LocalID:\"101\" <sip:101@pbx>\r\nRemoteID:<sip:102@pbx>\r\nOrigID:<sip:102@pbx>\r\n\
         LocalAddr:IP=192.168.1.5 PORT=11780 SSRC=0xA1B2C3D4\r\n\
         LocalMetrics:\r\nQualityEst:RLQ=61 RCQ=60 MOSLQ=3.1 MOSCQ=3.0\r\n",
    );
    assert_eq!((r.kind, r.orig_id.as_deref()), (Kind::Alert, Some("<sip:102@pbx>")));
    assert_eq!(r.alert.severity.as_deref(), Some("Warning"));
    assert_eq!(r.local.ssrc, Some(0xa1b2_c3d4));
    assert_eq!(r.heard.number(Metric::RListening), Some(61.0));
}

#[test]
fn lines_of_a_vendor_and_a_forgotten_space_do_no_harm() {
    // As snom phones write it.
    let r = read(
        "VQSessionReport: CallTerm\r\nCallID:825962570309-8ds5sl3mca99\r\n\
         DialogID:825962570309-8ds5sl3mca99;to-tag=gqj8;from-tag=2ygt\r\n\
         x-UserAgent:phone/8.7\r\nLocalMetrics:\r\nSessionDesc:PT=8 PD=PCMA SR=8000 PPS=50 SSUP=off\r\n\
         x-SIPmetrics:SVA=RG SRD=392 SFC=0 RTD=77\r\nJitterBuffer:JBA=3 JBR=2 JBN=20 JBM=20JBX=240\r\n\
         PacketLoss:NLR=0.0 JDR=0.0\r\nDelay:RTD=0 ESD=0 IAJ=0\r\nQualityEst:MOSLQ=4.1 MOSCQ=4.1\r\n",
    );
    assert_eq!(r.heard.number(Metric::BufferMaximum), Some(20.0));
    assert_eq!(r.heard.number(Metric::BufferLimit), Some(240.0));
    assert_eq!(r.heard.milli(Metric::RoundTrip), None, "neither the vendor's nor a zero");
    assert_eq!(r.heard.number(Metric::Jitter), Some(0.0));
}

#[test]
fn equals_for_colon_and_parameters_on_a_line_of_their_own_are_read() {
    // As AudioCodes gateways write it.
    let r = read(
        "VQSessionReport\r\nCallID=20328634741612201520943@172.17.116.201\r\n\
         LocalID: <sip:1000@172.17.116.201>\r\nOrigID: <sip:1000@172.17.116.201>\r\n\
         LocalAddr: IP=172.17.116.201 Port=6000 SSRC=0x54c62a13\r\nLocalGroup:\r\nLocalMetrics:\r\n\
         QualityEst: RLQ=93 MOSLQ=4.1\r\nMOSCQ=4.10\r\nRemoteMetrics:\r\nQualityEst: MOSLQ=3.9\r\n",
    );
    assert_eq!(r.call_id, "20328634741612201520943@172.17.116.201");
    assert_eq!(r.local.port, Some(6000));
    assert_eq!(r.heard.number(Metric::MosConversational), Some(4.1));
    assert_eq!(r.told.unwrap().number(Metric::MosListening), Some(3.9));
}

#[test]
fn case_spaces_indents_and_missing_fields_are_forgiven() {
    let r = read(
        "  vqsessionreport : callterm \r\n  Call-ID :  abc@10.0.0.5 \r\n\tLOCALMETRICS :\r\n\
         packetloss : nlr = 1.25 , jdr=0,5%\r\nDELAY:rtd = 12ms\r\n  iaj=3.5\r\n\
         QualityEst : MosLq=\"4.2\" MOSCQ=\r\n",
    );
    assert_eq!((r.call_id.as_str(), r.ended), ("abc@10.0.0.5", true));
    for (metric, want) in [
        (Metric::Lost, Some(1.25)),
        (Metric::Discarded, Some(0.5)),
        (Metric::RoundTrip, Some(12.0)),
        (Metric::Jitter, Some(3.5)),
        (Metric::MosListening, Some(4.2)),
        (Metric::MosConversational, None),
    ] {
        assert_eq!(r.heard.number(metric), want, "{metric:?}");
    }
    let r = read("VQIntervalReport\r\nDialogID: d1 ; from-tag = b ; x=y\r\n");
    assert_eq!((r.call_id.as_str(), r.tags[1].as_deref()), ("d1", Some("b")));
    assert_eq!(r.heard, Metrics::default());
}

#[test]
fn what_is_no_report_says_why() {
    for (body, want) in [
        (String::new(), Unreadable::NoKind),
        ("CallID: x\r\n".to_owned(), Unreadable::NoKind),
        ("<xml/>".to_owned(), Unreadable::NoKind),
        ("VQSessionReport: CallTerm\r\nLocalMetrics:\r\n".to_owned(), Unreadable::NoCall),
        ("VQSessionReport\r\nCallID: \r\n".to_owned(), Unreadable::NoCall),
        (format!("VQSessionReport\r\nCallID:{}\r\n", "x".repeat(256)), Unreadable::NoCall),
        ("VQSessionReport\0\r\nCallID: x\r\n".to_owned(), Unreadable::NoText),
    ] {
        assert_eq!(Report::parse(body.as_bytes()), Err(want), "{body:?}");
    }
}

#[test]
fn limits_hold_at_n_and_not_at_one_more() {
    let head = "VQSessionReport\r\nCallID: x\r\n";
    let lines = |n: usize| format!("{head}{}", "x:y\r\n".repeat(n - 3));
    assert!(Report::parse(lines(limits::QUALITY_REPORT_LINES).as_bytes()).is_ok());
    let more = lines(limits::QUALITY_REPORT_LINES + 1);
    assert_eq!(Report::parse(more.as_bytes()), Err(Unreadable::TooManyLines));
    let long = |n: usize| format!("{head}{}", "x".repeat(n - head.len()));
    assert!(Report::parse(long(limits::QUALITY_REPORT).as_bytes()).is_ok());
    let more = long(limits::QUALITY_REPORT + 1);
    assert_eq!(Report::parse(more.as_bytes()), Err(Unreadable::TooLong));
    let id = "y".repeat(255);
    assert_eq!(read(&format!("VQSessionReport\r\nCallID:{id}\r\n")).call_id, id);
}

#[test]
fn a_renamed_report_says_the_same_of_another_name() {
    let party = |id: &str| id.replace("example.org", "far");
    let new = rename(RFC.as_bytes(), |_| "sealed".to_owned(), party).unwrap();
    let text = String::from_utf8(new).unwrap();
    assert!(!text.contains("MAC") && !text.contains("6dg37f1890463"), "{text}");
    let (old, new) = (read(RFC), read(&text));
    assert_eq!(new.call_id, "sealed");
    assert_eq!(new.local_id.as_deref(), Some("Alice <sip:alice@far>"));
    assert_eq!((new.heard, new.told, new.tags), (old.heard, old.told, old.tags));
}

/// A report repeats its dialog on several lines, and an identifier may hold octets of no text.
#[test]
fn a_call_id_is_renamed_after_many_lines_of_its_dialog_and_in_octets_of_no_text() {
    let dialog = "DialogID: dialog-of-this-call;to-tag=a\r\n".repeat(6);
    let head = format!("VQSessionReport: CallTerm\r\n{dialog}CallID: ");
    let id = b"call-of-\xa3\xdf-this".as_slice();
    let body = [head.as_bytes(), id, b"\r\nX: [", id, b"]\r\n"].concat();
    let new = rename(&body, |_| "far".to_owned(), str::to_owned).unwrap();
    let dialog = "DialogID: far;to-tag=a\r\n".repeat(6);
    let right = format!("VQSessionReport: CallTerm\r\n{dialog}CallID: far\r\nX: [far]\r\n");
    assert_eq!(String::from_utf8_lossy(&new), right);
}

#[test]
fn a_report_of_many_calls_is_of_none() {
    let lines = |n: usize| (0..n).map(|n| format!("DialogID: dialog-number-{n}\r\n"));
    let body = |n| lines(n).fold("VQSessionReport: CallTerm\r\n".to_owned(), |a, l| a + &l);
    let named = |n| rename(body(n).as_bytes(), |_| "far".to_owned(), str::to_owned);
    assert!(!String::from_utf8(named(4).unwrap()).unwrap().contains("number"));
    assert_eq!(named(5), Err(Unreadable::TooManyCalls));
}

#[test]
fn a_call_id_is_renamed_wherever_it_stands() {
    let body = "VQSessionReport\nCallID:\n  abcd@10.0.0.5\nx-Trace: call abcd@10.0.0.5, twice\n\
                DialogID:abcd@10.0.0.5;to-tag=a;from-tag=b\nCallID: other\n";
    let new = rename(body.as_bytes(), |id| format!("<{}>", id.len()), str::to_owned).unwrap();
    assert_eq!(
        String::from_utf8(new).unwrap(),
        "VQSessionReport\nCallID:<13>\nx-Trace: call <13>, twice\n\
         DialogID:<13>;to-tag=a;from-tag=b\nCallID: <5>\n"
    );
}

#[test]
fn what_does_not_change_names_stays_byte_for_byte() {
    let plain = RFC.replace("LocalMAC: 00:1f:5b:cc:21:0f\r\n", "");
    let plain = plain.replace("RemoteMAC: 00:26:08:8e:95:02\r\n", "");
    let same = rename(plain.as_bytes(), str::to_owned, str::to_owned).unwrap();
    assert_eq!(String::from_utf8(same).unwrap(), plain);
}

proptest! {
    #[test]
    fn no_body_panics(body: Vec<u8>) {
        let _ = Report::parse(&body);
        let _ = rename(&body, |_| "x".to_owned(), |_| "y".to_owned());
    }

    #[test]
    fn no_text_of_a_report_panics(
        lines in prop::collection::vec(
            "(VQSessionReport|VQAlertReport|CallID|DialogID|LocalID|LocalAddr|Timestamps|Delay| )\
             [:= \t]{0,3}(START|RTD|IP|PT|=|\"|é|;|[0-9.:TZ-]{1,12}| ){0,9}(\r\n|\n)", 0..20),
    ) {
        let body: String = lines.concat();
        let _ = Report::parse(body.as_bytes());
        if let Ok(renamed) = rename(body.as_bytes(), str::to_owned, str::to_owned) {
            let (a, b) = (Report::parse(body.as_bytes()), Report::parse(&renamed));
            prop_assert_eq!(a, b);
        }
    }

    #[test]
    fn what_is_written_is_read(mos in 1_000i32..=5_000, lost in 0i32..=100_000, port: u16, ssrc: u32) {
        let milli = |n: i32| format!("{}.{:03}", n / 1000, n % 1000);
        let r = read(&format!(
            "VQIntervalReport\r\nCallID: c\r\nLocalAddr: IP=::1 PORT={port} SSRC=0x{ssrc:x}\r\n\
             PacketLoss: NLR={}\r\nQualityEst: MOSLQ={}\r\n", milli(lost), milli(mos)));
        prop_assert_eq!(r.heard.milli(Metric::MosListening), Some(mos));
        prop_assert_eq!(r.heard.milli(Metric::Lost), Some(lost));
        prop_assert_eq!(r.local, Endpoint { ip: "::1".parse().ok(), port: Some(port), ssrc: Some(ssrc) });
    }
}
