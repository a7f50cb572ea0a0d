//! `X-*`: what products say to each other in headers of their own. A phone's passes to its PBX, a
//! stranger's to nobody; no inside address leaves in one.

use crate::lab::script::answer;
use crate::lab::{Lab, Ua, Version, site};

const IDENTITY: [&str; 5] =
    ["P-Asserted-Identity", "P-Preferred-Identity", "Remote-Party-ID", "Diversion", "History-Info"];

#[test]
fn a_phone_s_private_headers_pass_and_what_names_the_inside_in_them_is_overwritten() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
        lab.register(&phone, 600);
        let mut message = phone
            .request(&mut lab, "MESSAGE", "200")
            .with("X-Room", "12")
            .with("x-device", "10.17.0.21:5060 fw 3.1")
            .with("X-Device", "second at 10.17.0.22")
            .with("Y-Device", "10.17.0.21");
        for name in IDENTITY {
            message = message.with(name, "<sip:100@pbx.example.com>");
        }
        lab.send(phone.at, message);
        let got = lab.expect(pbx.at, "MESSAGE");
        assert_eq!(got.all("X-Room"), ["12"]);
        let devices = got.all("X-Device");
        assert_eq!(devices, ["203.0.113.1:5060 fw 3.1", "second at 203.0.113.1"], "{got}");
        assert!(!got.has("Y-Device"), "a header nobody knows is removed whole");
        assert_eq!(IDENTITY.map(|n| got.has(n)), [false; 5]);
        let ok = answer(&got, 200, "m").with("X-Reply", "7").with("X-At", site::PBX);
        lab.send(pbx.at, ok);
        let ok = lab.expect(phone.at, "200");
        assert_eq!(
            (ok.all("X-Reply"), ok.has("X-At")),
            (vec!["7"], true),
            "a trusted upstream's too"
        );
        lab.end();
    }
}

#[test]
fn an_intercom_call_keeps_what_says_so_where_the_phone_names_itself_in_it() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
        lab.register(&phone, 600);
        let call = phone
            .request(&mut lab, "MESSAGE", "200")
            .with("Call-Info", "<sip:10.17.0.21>;answer-after=0")
            .with("Alert-Info", "<http://10.17.0.21>;info=alert-autoanswer");
        lab.send(phone.at, call);
        let got = lab.expect(pbx.at, "MESSAGE");
        assert_eq!(got.all("Call-Info"), ["<sip:203.0.113.1>;answer-after=0"], "{got}");
        assert_eq!(got.all("Alert-Info"), ["<http://203.0.113.1>;info=alert-autoanswer"]);
        lab.send(pbx.at, answer(&got, 200, "m"));
        lab.expect(phone.at, "200");
        lab.end();
    }
}

#[test]
fn within_a_call_too_both_ways() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
        lab.register(&phone, 600);
        let (mut a, mut b) = lab.establish(&phone, &pbx);
        let info = a.request(&mut lab, "INFO").with("X-Key", "5");
        lab.send(phone.at, info);
        let got = lab.expect(pbx.at, "INFO");
        assert_eq!(got.all("X-Key"), ["5"]);
        lab.send(pbx.at, answer(&got, 200, "").with("X-Heard", "yes"));
        assert_eq!(lab.expect(phone.at, "200").all("X-Heard"), ["yes"]);
        let info = b.request(&mut lab, "INFO").with("X-Lamp", "on");
        lab.send(pbx.at, info);
        let got = lab.expect(phone.at, "INFO");
        assert_eq!(got.all("X-Lamp"), ["on"]);
        lab.send(phone.at, answer(&got, 200, "").with("X-Seen", "at 10.17.0.21"));
        assert_eq!(lab.expect(pbx.at, "200").all("X-Seen"), ["at 203.0.113.1"]);
        lab.end();
    }
}

#[test]
fn a_stranger_s_private_headers_reach_nobody() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let phone = lab.phone("101", "10.17.0.21:5060");
        let sealed = lab.register(&phone, 600);
        let stranger = Ua::new(lab.outside("198.51.100.66:5060"), "x");
        let message =
            stranger.request_to(&mut lab, "MESSAGE", &sealed).with("X-Alert", "autoanswer");
        lab.send(stranger.at, message);
        let got = lab.expect(phone.at, "MESSAGE");
        assert!(!got.has("X-Alert"), "{got}");
        lab.send(phone.at, answer(&got, 200, "m").with("X-Phone", "model"));
        lab.expect(stranger.at, "200");
        lab.end();
    }
}

#[test]
fn of_an_upstream_that_is_not_trusted_neither() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |c| c.upstreams[0].trust = false);
        let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
        let sealed = lab.register(&phone, 600);
        let message = pbx.request_to(&mut lab, "MESSAGE", &sealed).with("X-Alert", "autoanswer");
        lab.send(pbx.at, message);
        let got = lab.expect(phone.at, "MESSAGE");
        assert!(!got.has("X-Alert"), "{got}");
        lab.send(phone.at, answer(&got, 200, "m"));
        lab.expect(pbx.at, "200");
        lab.end();
    }
}
