//! The leak sweep (contract "Hiding, exactly"): whatever a phone writes of the inside, however it
//! writes it, in any header, reason phrase or body, of any request or answer, in a dialog or not,
//! reaches nobody outside. And what the outside wrote itself comes back to it as it wrote it.

use crate::lab::message::{param, uri_of};
use crate::lab::script::{Text, answer};
use crate::lab::{Lab, Leg, Msg, Ua, Version, site};
use portreeve::config::{AgentShown, Config};

/// How a phone names the inside: configured, private, special, mapped, by name, in other notations.
const FORMS: [&str; 17] = [
    "10.17.0.21",
    "192.168.77.5",
    "172.20.3.4",
    "100.64.9.9",
    "169.254.7.7",
    "127.0.0.53",
    "[fd00::7]",
    "[fe80::7]",
    "[::ffff:192.168.77.5]",
    "[2002:c0a8:4d05::1]",
    "host-192-168-77-5.example",
    "192_168_77_5",
    "0xc0a84d05",
    "3232255237",
    "5.77.168.192.in-addr.arpa",
    "pc7.corp.example",
    "10.17.0.1",
];

/// The same where the site has IPv6.
const SIX: [&str; 4] = [
    "[2001:db8:6017::21]",
    "[2001:0DB8:6017:0:0:0:0:21]",
    "[2001:db8:6017::1]",
    "[2001:db8:6017::9.9.9.9]",
];

/// Every form in a site of either version.
fn sweep() -> impl Iterator<Item = (Version, &'static str)> {
    let all = |version: Version| {
        let six = version == Version::Six;
        let more = SIX.into_iter().filter(move |_| six);
        // A number that is no address of the site may be a version of a program.
        let all = FORMS.into_iter().filter(move |form| !six || !form.starts_with("10.17."));
        all.chain(more).map(move |form| (version, form))
    };
    Version::ALL.into_iter().flat_map(all)
}

/// What must not be read outside.
const TRACES: [&str; 18] = [
    "10.17.0",
    "192.168.77",
    "172.20.3",
    "100.64.9",
    "169.254.7",
    "127.0.0.53",
    "fd00::7",
    "fe80::7",
    "c0a8:4d05",
    "168-77-5",
    "168_77_5",
    "c0a84d05",
    "3232255237",
    "77.168.192",
    "corp.example",
    "10.17.0.1",
    "2001:db8:6017:",
    "2001:0db8:6017:",
];

/// Headers that anybody may write; From, To, Contact, Call-ID, Via and Route have their own values.
const HEADERS: [&str; 62] = [
    "Accept",
    "Accept-Contact",
    "Accept-Encoding",
    "Accept-Language",
    "Alert-Info",
    "Allow",
    "Allow-Events",
    "Answer-Mode",
    "Authentication-Info",
    "Call-Info",
    "Content-Disposition",
    "Content-Language",
    "Content-ID",
    "Date",
    "Diversion",
    "Error-Info",
    "Flow-Timer",
    "Geolocation",
    "Geolocation-Error",
    "Hide",
    "History-Info",
    "Identity",
    "In-Reply-To",
    "Info-Package",
    "Join",
    "Max-Breadth",
    "MIME-Version",
    "Min-SE",
    "Organization",
    "P-Access-Network-Info",
    "P-Asserted-Identity",
    "P-Charge-Info",
    "P-Early-Media",
    "P-Preferred-Identity",
    "P-RTP-Stat",
    "P-Station-Name",
    "Path",
    "Permission-Missing",
    "Policy-Contact",
    "Priority",
    "Privacy",
    "Reason",
    "Recv-Info",
    "Referred-By",
    "Refer-Sub",
    "Reject-Contact",
    "Remote-Party-ID",
    "Replaces",
    "Reply-To",
    "Request-Disposition",
    "Retry-After",
    "Server",
    "Service-Route",
    "Session-ID",
    "Subject",
    "Supported",
    "Target-Dialog",
    "Timestamp",
    "User-Agent",
    "User-to-User",
    "Warning",
    "X-Phone",
];

/// Bodies by kind.
fn bodies(form: &str) -> Vec<(&'static str, String)> {
    let cut = format!(
        "--cut\r\nContent-Type: text/plain\r\nContent-ID: <1@{form}>\r\n\r\nat sip:x@{form}\r\n\
         --cut\r\nContent-Type: application/json\r\n\r\n{{\"at\":\"sip:x@{form}\"}}\r\n--cut--\r\n"
    );
    let summary = format!("Messages-Waiting: yes\r\nMessage-Account: sip:101@{form}\r\n");
    let sipfrag = format!("SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP x@{form}\r\n");
    let xml = format!("<x entity=\"sip:101@{form}\"/>");
    vec![
        ("text/plain", format!("I am sip:101@{form}, ring me")),
        ("application/simple-message-summary", summary),
        ("message/sipfrag", sipfrag),
        ("application/dialog-info+xml", xml.clone()),
        ("application/pidf+xml", xml.clone()),
        ("application/x-odd+xml", xml),
        ("application/json", format!("{{\"at\":\"sip:x@{form}\"}}")),
        ("application/dtmf-relay", format!("Signal=5\r\nX=sip:x@{form}\r\n")),
        ("multipart/mixed;boundary=cut", cut),
    ]
}

/// A session description that names the inside in every line where words may stand.
fn talkative(version: Version, form: &str) -> String {
    let own = match version {
        Version::Four => "IP4 10.17.0.21",
        Version::Six => "IP6 2001:db8:6017::21",
    };
    format!(
        "v=0\r\no=pc-of-{form} 1 1 IN {own}\r\ns=at sip:x@{form}\r\ni=sip:x@{form}\r\n\
         u=http://{form}/\r\ne=alice@{form}\r\np=+1 {form}\r\nc=IN {own}\r\n\
         t=0 0\r\na=tool:x sip:x@{form}\r\nm=audio 4000 RTP/AVP 0\r\ni=sip:x@{form}\r\n\
         a=rtpmap:0 PCMU/8000\r\na=ssrc:77 cname:x@{form}\r\na=x-host:sip:x@{form}\r\n"
    )
}

/// The message with the form in every header and, where a phone may, in From, To and Contact.
fn telling(mut text: Text, form: &str) -> Text {
    let at = said(form);
    for name in HEADERS {
        text = text.with(name, format!("<sip:x@{form}>;p=\"at {at}\""));
    }
    let contact = text.header("Contact").to_owned();
    if !contact.is_empty() {
        text = text.set("Contact", format!("\"at {at}\" {contact};x=\"sip:x@{form}\""));
    }
    text.with("Event", format!("talk;id=\"sip:x@{form}\""))
        .with("Subscription-State", format!("active;x=\"sip:x@{form}\""))
}

/// The request with the form in From and To as well.
fn named(text: Text, form: &str, user: &str) -> Text {
    let (host, at) = (host(form), said(form));
    let from = text.header("From").to_owned();
    let tag = param(&from, "tag").expect("a tag").to_owned();
    text.set("From", format!("\"at {at}\" <sip:{user}@{host};x={}>;tag={tag}", plain(form)))
}

/// The form as words have it: a number alone is an address only where a host stands.
fn said(form: &str) -> String {
    if is_number(form) { format!("x@{form}") } else { form.to_owned() }
}

/// The form where a URI is read: some hosts no grammar lets stand there.
fn host(form: &str) -> &str {
    if is_number(form) { "10.17.0.21" } else { form }
}

fn is_number(form: &str) -> bool {
    form.bytes().all(|b| b.is_ascii_digit())
}

/// The form as a token.
fn plain(form: &str) -> String {
    if is_number(form) {
        return format!("x%40{form}");
    }
    form.replace(['[', ']'], "").replace(':', "-")
}

/// Nothing of the inside stands in what leaves. The credentials have a test of their own.
#[track_caller]
fn clean(what: &str, form: &str, got: &Msg) {
    assert!(site::is_outside(got.flow.listener), "{got}");
    let rows = got.rows.iter().map(|(_, value)| value);
    for text in std::iter::once(&got.start).chain(rows).chain([&got.body]) {
        let text = text.to_lowercase();
        let found = TRACES.iter().find(|t| text.contains(*t));
        assert!(found.is_none(), "{what} with {form}: {found:?} leaves in {text:?} of\n{got}");
    }
}

fn lab(version: Version) -> (Lab, Ua, Ua) {
    let inside = |c: &mut Config| c.site.inside_domains = vec!["corp.example".to_owned()];
    let lab = Lab::of(version, site::EDGE, inside);
    let (phone, pbx) = (lab.phone("101", &version.at("10.17.0.21:5060")), lab.far("200"));
    (lab, phone, pbx)
}

/// Everything that waits for the PBX, checked.
#[track_caller]
fn arrived(lab: &mut Lab, pbx: &Ua, what: &str, form: &str) -> Msg {
    let all = lab.take(pbx.at);
    all.iter().for_each(|got| clean(what, form, got));
    all.into_iter().next().unwrap_or_else(|| panic!("{what} with {form}: nothing came"))
}

#[test]
fn requests_outside_dialogs_tell_nothing() {
    const METHODS: [&str; 9] = [
        "MESSAGE",
        "OPTIONS",
        "PUBLISH",
        "NOTIFY",
        "INFO",
        "SUBSCRIBE",
        "REFER",
        "REGISTER",
        "PING",
    ];
    for (turn, (version, form)) in sweep().enumerate() {
        let (mut lab, phone, pbx) = lab(version);
        let bodies = bodies(form);
        for (n, method) in METHODS.into_iter().enumerate() {
            // Every body in a MESSAGE, every method with some.
            let several = if n == 0 { bodies.len() } else { 1 };
            for (kind, body) in bodies.iter().cycle().skip(turn + n).take(several) {
                let uri = format!("sip:200@pbx.example.com;x={}", plain(form));
                let text = named(phone.request_to(&mut lab, method, &uri), form, "101");
                let mut text = telling(text, form).typed(kind, body.as_str());
                text =
                    text.with("Refer-To", format!("<sip:300@{}?Subject=x%40{form}>", host(form)));
                if method == "REGISTER" {
                    text = text.set("To", format!("<{}>", phone.aor())).with("Expires", "60");
                }
                lab.send(phone.at, text);
                let got = arrived(&mut lab, &pbx, &format!("{method} of {kind}"), form);
                assert!(!got.body.is_empty() && got.has("Event"), "{got}");
                lab.send(pbx.at, answer(&got, 486, "x"));
                lab.clear();
            }
        }
        lab.end();
    }
}

#[test]
fn calls_tell_nothing_from_their_invite_to_their_cancel() {
    for (version, form) in sweep() {
        for cancelled in [true, false] {
            let (mut lab, phone, pbx) = lab(version);
            let invite = named(phone.request(&mut lab, "INVITE", "200"), form, "101");
            let invite = telling(invite, form).sdp(talkative(version, form)).without("Event");
            lab.send(phone.at, invite.clone());
            let mut leg = Leg::calling(&phone, &invite);
            let got = arrived(&mut lab, &pbx, "INVITE", form);
            assert!(got.body.contains("m=audio") && got.body.contains("o=- 1 1 IN"), "{got}");
            assert!(!got.body.contains("\r\ne=") && !got.body.contains("\r\nu="), "{got}");
            lab.send(pbx.at, pbx.answer(&got, 180, "b"));
            lab.clear();
            if cancelled {
                let reason = format!("SIP;cause=200;text=\"at {}\"", said(form));
                let cancel = telling(leg.cancel(), form).with("Reason", reason);
                lab.send(phone.at, cancel);
                let cancel = arrived(&mut lab, &pbx, "CANCEL", form);
                lab.send(pbx.at, answer(&cancel, 200, "b"));
                lab.send(pbx.at, answer(&got, 487, "b"));
                arrived(&mut lab, &pbx, "ACK", form);
            } else {
                lab.send(pbx.at, pbx.answer(&got, 200, "b").sdp(pbx.sdp(6000)));
                let ok = lab.take(phone.at).pop().expect("200");
                leg.learn(&ok);
                let ack = telling(leg.ack(&mut lab), form);
                lab.send(phone.at, ack);
                arrived(&mut lab, &pbx, "ACK", form);
                lab.input(portreeve::engine::Input::HangUpAll);
                arrived(&mut lab, &pbx, "BYE of ours", form);
            }
            lab.clear();
            lab.end();
        }
    }
}

#[test]
fn requests_and_answers_within_a_dialog_tell_nothing() {
    for (version, form) in sweep() {
        for calls in [true, false] {
            let (mut lab, phone, pbx) = lab(version);
            let (mut own, mut far) = match calls {
                true => lab.establish(&phone, &pbx),
                false => incoming(&mut lab, &phone, &pbx),
            };
            for method in
                ["INFO", "UPDATE", "INVITE", "NOTIFY", "REFER", "MESSAGE", "OPTIONS", "BREW"]
            {
                let mut text = telling(own.request(&mut lab, method), form);
                text = match method {
                    "INVITE" | "UPDATE" => text.sdp(talkative(version, form)),
                    _ => text.typed("text/plain", format!("sip:x@{form}")),
                };
                if method == "REFER" {
                    text = text.with("Refer-To", format!("<sip:300@{}>", host(form)));
                }
                lab.send(phone.at, text);
                let got = arrived(&mut lab, &pbx, method, form);
                lab.send(pbx.at, answer(&got, 488, ""));
                lab.clear();
                let asked = far.request(&mut lab, method);
                lab.send(pbx.at, asked);
                let got = lab.take(phone.at).pop().expect("it passes");
                for status in [180, 200] {
                    if status == 180 && method != "INVITE" {
                        continue;
                    }
                    let mut ok = telling(phone.answer(&got, status, ""), form);
                    ok.start = format!("SIP/2.0 {status} at sip:x@{form}");
                    lab.send(phone.at, ok.typed("text/plain", format!("sip:x@{form}")));
                    arrived(&mut lab, &pbx, &format!("{status} to {method}"), form);
                }
                lab.clear();
            }
            lab.input(portreeve::engine::Input::HangUpAll);
            arrived(&mut lab, &pbx, "BYE", form);
            lab.clear();
            lab.end();
        }
    }
}

/// A call from outside to a phone: the phone's leg, the PBX's.
fn incoming(lab: &mut Lab, phone: &Ua, pbx: &Ua) -> (Leg, Leg) {
    let sealed = lab.register(phone, 600);
    let invite = pbx.request_to(lab, "INVITE", &sealed).sdp(pbx.sdp(6000));
    lab.send(pbx.at, invite.clone());
    let mut a = Leg::calling(pbx, &invite);
    lab.expect(pbx.at, "100");
    let got = lab.expect(phone.at, "INVITE");
    let b = Leg::called(phone, &got, "in");
    lab.send(phone.at, phone.answer(&got, 200, "in").sdp(phone.sdp(4000)));
    let ok = lab.expect(pbx.at, "200");
    a.learn(&ok);
    let ack = a.ack(lab);
    lab.send(pbx.at, ack);
    lab.expect(phone.at, "ACK");
    (b, a)
}

#[test]
fn answers_outside_dialogs_tell_nothing() {
    for (version, form) in sweep() {
        let (mut lab, phone, pbx) = lab(version);
        let sealed = lab.register(&phone, 600);
        for method in ["INVITE", "MESSAGE", "OPTIONS", "SUBSCRIBE", "NOTIFY", "PUBLISH", "REFER"] {
            for status in [180, 200, 302, 404, 415, 486, 603] {
                if status == 180 && method != "INVITE" {
                    continue;
                }
                let mut text = pbx.request_to(&mut lab, method, &sealed);
                if method == "INVITE" {
                    text = text.sdp(pbx.sdp(6000));
                }
                lab.send(pbx.at, text);
                let got = lab.take(phone.at).pop().expect("it passes");
                lab.clear();
                let mut no = telling(answer(&got, status, "t"), form);
                no.start = format!("SIP/2.0 {status} at sip:x@{form}");
                let host = if is_number(form) { "10.17.0.21" } else { form };
                let moved = format!("<sip:9@{host}>;x=\"{}\", <sip:8@{host}>", said(form));
                no = no.with("Contact", moved);
                let no = match (method, status) {
                    ("INVITE", 180 | 200) => no.sdp(talkative(version, form)),
                    _ => no.typed("text/plain", format!("sip:x@{form}")),
                };
                lab.send(phone.at, no);
                let told = arrived(&mut lab, &pbx, &format!("{status} to {method}"), form);
                assert_eq!(told.status(), status);
                lab.clear();
            }
        }
        lab.input(portreeve::engine::Input::HangUpAll);
        lab.clear();
        lab.end();
    }
}

#[test]
fn of_credentials_only_a_digest_uri_that_names_us_may_tell() {
    for (version, form) in sweep() {
        let (mut lab, phone, pbx) = lab(version);
        let gate = "10.17.0.1";
        for (uri, stays) in [
            (format!("sip:{gate}").as_str(), true),
            ("sip:gate.corp.example", true),
            ("sip:pbx.example.com", true),
            (
                &format!("sip:x@{form}"),
                [gate, "[2001:db8:6017::1]"].contains(&form) || form == "pc7.corp.example",
            ),
        ] {
            let at = said(form);
            let row = format!(
                "Digest username=\"x@{form}\", realm=\"192.168.77.5, PBX\", nonce=\"n,1\", \
                 uri=\"{uri}\", response=\"00\", cnonce=\"at {at}\", opaque=\"o\""
            );
            let text =
                phone.request(&mut lab, "REGISTER", "x").set("To", "<sip:101@pbx.example.com>");
            lab.send(
                phone.at,
                text.with("Authorization", row.clone()).with("Proxy-Authorization", row),
            );
            let got = lab.expect(pbx.at, "REGISTER");
            for name in ["Authorization", "Proxy-Authorization"] {
                let value = got.header(name);
                let uri = version.got(uri);
                assert_eq!(value.contains(&format!("uri=\"{uri}\"")), stays, "{value}");
                let ours = value.replace(&uri, "").replace("192.168.77.5, PBX", "").to_lowercase();
                assert!(TRACES.iter().all(|t| !ours.contains(t)), "{form}: {value}");
                assert!(value.contains("realm=\"192.168.77.5, PBX\", nonce=\"n,1\""), "{value}");
            }
            lab.send(pbx.at, answer(&got, 401, "r"));
            lab.clear();
        }
        lab.end();
    }
}

#[test]
fn what_the_outside_wrote_comes_back_as_it_wrote_it() {
    let (mut lab, phone, _) = lab(Version::Four);
    let sealed = lab.register(&phone, 600);
    let pbx = lab.far("200");
    let via = "SIP/2.0/UDP 192.168.77.5:5060;branch=z9hG4bKbehind;received=172.20.3.4";
    let from = "\"at 192.168.77.5\" <sip:200@192.168.77.5>;tag=192.168.77.5";
    let call_id = "a-192.168.77.5";
    let invite = pbx
        .request_to(&mut lab, "INVITE", &sealed)
        .set("From", from)
        .set("Call-ID", call_id)
        .with("Via", via)
        .with("Record-Route", "<sip:192.168.77.5;lr>")
        .set("Contact", "<sip:200@203.0.113.10;x=192.168.77.5>")
        .sdp(pbx.sdp(6000));
    lab.send(pbx.at, invite.clone());
    let mut far = Leg::calling(&pbx, &invite);
    lab.expect(pbx.at, "100");
    let got = lab.expect(phone.at, "INVITE");
    let mut own = Leg::called(&phone, &got, "in");
    lab.send(phone.at, phone.answer(&got, 200, "in").sdp(phone.sdp(4000)));
    let ok = lab.expect(pbx.at, "200");
    assert_eq!((ok.header("From"), ok.call_id()), (from, call_id));
    assert!(ok.all("Via").contains(&via), "{ok}");
    assert!(ok.list("Record-Route").contains(&"<sip:192.168.77.5;lr>".to_owned()), "{ok}");
    far.learn(&ok);
    let ack = far.ack(&mut lab);
    lab.send(pbx.at, ack);
    lab.expect(phone.at, "ACK");
    // The dialog of the other party, in its own words.
    let refer = own.request(&mut lab, "REFER").with(
        "Refer-To",
        format!(
            "<{}?Replaces={}%3Bto-tag%3Din%3Bfrom-tag%3D192.168.77.5>",
            own.target, own.call_id
        ),
    );
    lab.send(phone.at, refer);
    let got = lab.take_all().pop().expect("it passes");
    assert_eq!((got.header("To"), got.call_id()), (from, call_id));
    let target = "sip:200@203.0.113.10;x=192.168.77.5?Replaces=a-192.168.77.5%3Bto-tag%3Din";
    assert!(uri_of(got.header("Refer-To")).starts_with(target), "{got}");
    lab.input(portreeve::engine::Input::HangUpAll);
    lab.clear();
    lab.advance(crate::lab::s(300));
}

#[test]
fn where_the_outside_is_a_private_network_its_addresses_are_no_secret() {
    let mut lab = Lab::edge_with(|c| {
        c.upstreams[0].sources = vec!["192.168.77.0/24".parse().expect("a network")];
        c.interfaces[1].networks = vec!["172.20.0.0/16".parse().expect("a network")];
    });
    let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
    let text = "192.168.77.5 172.20.3.4 10.17.0.21 192.168.78.5";
    let message =
        phone.request_to(&mut lab, "MESSAGE", "sip:200@192.168.77.5").typed("text/plain", text);
    lab.send(phone.at, message);
    let got = lab.expect(pbx.at, "MESSAGE");
    assert_eq!(got.body, "192.168.77.5 172.20.3.4 203.0.113.1 203.0.113.1");
    assert_eq!(got.uri(), "sip:200@192.168.77.5");
    lab.send(pbx.at, answer(&got, 200, "m"));
    lab.expect(phone.at, "200");
    lab.end();
}

#[test]
fn neighbours_of_a_private_upstream_are_of_the_outside() {
    let mut lab = Lab::edge_with(|c| {
        c.upstreams[0].targets = vec![site::target("192.168.77.10:5060")];
        c.upstreams[0].sources = vec!["192.168.77.10/32".parse().expect("a network")];
    });
    let phone = lab.phone("101", "10.17.0.21:5060");
    let pbx = Ua::new(lab.outside("192.168.77.10:5060"), "200");
    let text = "192.168.77.5 192.168.78.5 10.17.0.21";
    let message =
        phone.request_to(&mut lab, "MESSAGE", "sip:200@192.168.77.5").typed("text/plain", text);
    lab.send(phone.at, message);
    let got = lab.expect(pbx.at, "MESSAGE");
    assert_eq!(got.body, "192.168.77.5 203.0.113.1 203.0.113.1");
    assert_eq!(got.uri(), "sip:200@192.168.77.5");
    lab.send(pbx.at, answer(&got, 200, "m"));
    lab.expect(phone.at, "200");
    lab.end();
}

/// The instance id of a Contact.
fn instance(contact: &str) -> &str {
    let (_, after) = contact.split_once("+sip.instance=\"<").expect("an instance");
    after.split_once(">\"").expect("its end").0
}

const INSTANCE: &str = "urn:uuid:00000000-0000-1000-8000-0004F2A1B2C3";

/// A REGISTER with an instance id, as the PBX got it.
fn registered(lab: &mut Lab, phone: &Ua, pbx: &Ua) -> Msg {
    let contact = format!("{};+sip.instance=\"<{INSTANCE}>\";reg-id=1", phone.contact());
    let text = phone
        .request(lab, "REGISTER", "x")
        .set("To", format!("<{}>", phone.aor()))
        .set("Contact", contact)
        .with("X-Gruu", format!("sip:101@pbx.example.com;gr={}", INSTANCE.to_lowercase()));
    lab.send(phone.at, text);
    lab.expect(pbx.at, "REGISTER")
}

#[test]
fn an_instance_id_is_another_one_outside_for_the_life_of_the_phone() {
    let (mut lab, phone, pbx) = lab(Version::Four);
    let mut seen = Vec::new();
    for restart in [false, true] {
        if restart {
            lab.restart();
        }
        let got = registered(&mut lab, &phone, &pbx);
        let contact = got.header("Contact").to_owned();
        assert!(!got.to_string().to_uppercase().contains("0004F2A1B2C3"), "{got}");
        assert_eq!(param(&contact, "reg-id"), Some("1"));
        let bare = instance(&contact).to_owned();
        assert_eq!(got.header("X-Gruu"), format!("sip:101@pbx.example.com;gr={bare}"));
        let gruu = format!(";pub-gruu=\"sip:101@pbx.example.com;gr={bare}\"");
        let ok = answer(&got, 200, "r").with("Contact", format!("{contact};expires=60{gruu}"));
        lab.send(pbx.at, ok);
        let ok = lab.expect(phone.at, "200");
        assert_eq!(instance(ok.header("Contact")), INSTANCE);
        assert!(
            ok.header("Contact").contains(&format!("101@pbx.example.com;gr={INSTANCE}\"")),
            "{ok}"
        );
        seen.push(bare);
    }
    assert_eq!(seen[0], seen[1]);
    assert!(seen[0].starts_with("urn:uuid:"), "{}", seen[0]);
    let contact = format!("{};+sip.instance=\"<{INSTANCE}>\"", phone.contact());
    let invite =
        phone.request(&mut lab, "INVITE", "200").set("Contact", contact).sdp(phone.sdp(4000));
    lab.send(phone.at, invite);
    lab.expect(phone.at, "100");
    let got = lab.expect(pbx.at, "INVITE");
    assert_eq!(instance(got.header("Contact")), seen[0]);
    lab.clear();
    lab.end();
}

#[test]
fn what_made_a_message_is_told_without_the_one_phone_or_not_at_all() {
    for shown in AgentShown::ALL {
        let (mut lab, phone, pbx) = lab(Version::Four);
        lab.reload(|c| c.hide.user_agent = shown);
        let sealed = lab.register(&phone, 600);
        for (agent, told) in [
            ("VVX/5.9.0_0004f2abcdef", "VVX/5.9.0"),
            ("snomD785/10.1.64.14", "snomD785/10.1.64.14"),
            ("Phone 1.2 (SN: 12345678)", "Phone 1.2"),
            ("Phone at 10.17.0.21", "Phone at 203.0.113.1"),
        ] {
            let message = phone.request(&mut lab, "MESSAGE", "200").with("User-Agent", agent);
            lab.send(phone.at, message);
            let got = lab.expect(pbx.at, "MESSAGE");
            let pass = shown == AgentShown::Pass;
            assert_eq!(got.all("User-Agent"), if pass { vec![told] } else { Vec::new() });
            lab.send(pbx.at, answer(&got, 200, "m").with("Server", agent));
            assert_eq!(lab.expect(phone.at, "200").all("Server"), [agent], "inwards as it came");
            let message = pbx.request_to(&mut lab, "MESSAGE", &sealed).with("User-Agent", agent);
            lab.send(pbx.at, message);
            let got = lab.expect(phone.at, "MESSAGE");
            assert_eq!(got.all("User-Agent"), [agent], "inwards as it came");
            lab.send(phone.at, answer(&got, 200, "m").with("Server", agent));
            let ok = lab.expect(pbx.at, "200");
            assert_eq!(ok.all("Server"), if pass { vec![told] } else { Vec::new() });
        }
        lab.end();
    }
}

#[test]
fn a_tag_in_the_to_of_a_register_goes_no_further() {
    let mut lab = Lab::edge();
    let phone = lab.phone("101", "10.17.0.21:5060");
    let to = format!("<{}>;tag=10.17.0.66", phone.aor());
    let uri = format!("sip:{}", phone.domain);
    let register = phone.request_to(&mut lab, "REGISTER", &uri).set("To", to.clone());
    lab.send(phone.at, register);
    let pbx = lab.pbx();
    let got = lab.expect(pbx, "REGISTER");
    assert!(!got.header("To").contains("tag="), "{got}");
    lab.send(pbx, answer(&got, 403, "r"));
    assert_eq!(lab.expect(phone.at, "403").header("To"), to);
    lab.end();
}
