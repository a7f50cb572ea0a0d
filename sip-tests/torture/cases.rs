//! One case a message, in the order of the RFCs' sections.

use portreeve::wire::sip::RejectReason;
use portreeve::wire::sip::RejectReason::{DuplicateHeader, Framing, Malformed, Version};

/// What the wire does with a message.
pub(super) enum Want {
    /// Reads it; these fields are so.
    Reads(&'static [(&'static str, &'static str)]),
    /// Refuses it, and it can be answered: status, reason, phrase.
    Refuses(u16, RejectReason, &'static str),
    /// Refuses it and nobody is answered.
    Drops(&'static str),
}
use Want::{Drops, Reads, Refuses};

pub(super) type Case = (&'static str, Want);

pub(super) const CASES: &[Case] = &[
    // RFC 4475 §3.1.1: valid.
    (
        "rfc4475/wsinv",
        Reads(&[
            ("method", "INVITE"),
            ("uri", "sip:vivekg@chair-dnrc.example.com;unknownparam"),
            ("cseq", "9 INVITE"),
            ("hops", "68"),
            ("vias", "3"),
            ("Via#1", "SIP  /   2.0 /UDP 192.0.2.2;branch=390skdjuw"),
            ("Via#2", "SIP  / 2.0  / TCP     spindle.example.com   ; branch  =   z9hG4bK9ikj8"),
            ("Via#3", "SIP  /    2.0   / UDP  192.168.255.111   ; branch= z9hG4bK30239"),
            ("from-tag", "98asjd8"),
            ("to-tag", "1918181833n"),
            ("Subject", ""),
            ("NewFangledHeader", "newfangled value continued newfangled value"),
            ("UnknownHeaderWithUnusualValue", ";;,,;;,;"),
            ("Route", "<sip:services.example.com;lr;unknownwith=value;unknown-no-value>"),
            ("contacts", "1"),
            ("body", "150"),
        ]),
    ),
    // Valid by the RFC, which allows any control in an escaped pair. Here no header may hold one:
    // the next reader may take the escaped NUL for the end of its text.
    ("rfc4475/intmeth", Refuses(400, Malformed, "Control In To")),
    (
        "rfc4475/esc01",
        Reads(&[
            ("uri", "sip:sips%3Auser%40example.com@example.net"),
            ("Contact", "<sip:cal%6Cer@host5.example.net;%6C%72;n%61me=v%61lue%25%34%31>"),
            ("hops", "87"),
            ("body", "150"),
        ]),
    ),
    (
        "rfc4475/escnull",
        Reads(&[("contacts", "2"), ("Contact#2", "<sip:%00%00@host5.example.com>")]),
    ),
    (
        "rfc4475/esc02",
        Reads(&[
            ("method", "RE%47IST%45R"),
            ("cseq", "29344 RE%47IST%45R"),
            ("contacts", "2"),
            ("C%6Fntact", "<sip:alias2@host2.example.com>"),
            ("From", "\"%Z%45\" <sip:resource@example.com>;tag=f232jadfj23"),
        ]),
    ),
    (
        "rfc4475/lwsdisp",
        Reads(&[("from-tag", "323"), ("From", "caller<sip:caller@example.com>;tag=323")]),
    ),
    (
        "rfc4475/longreq",
        Reads(&[
            ("method", "INVITE"),
            ("vias", "34"),
            ("Via#1", "SIP/2.0/TCP sip33.example.com"),
            ("Via#12", "SIP/2.0/TCP sip22.example.com"),
            ("hops", "70"),
            ("cseq", "3882340 INVITE"),
            ("body", "150"),
        ]),
    ),
    // Two requests in one datagram: the second is cut off.
    (
        "rfc4475/dblreq",
        Reads(&[
            ("method", "REGISTER"),
            ("Call-ID", "dblreq.0ha0isndaksdj99sdfafnl3lk233412"),
            ("body", "0"),
        ]),
    ),
    (
        "rfc4475/semiuri",
        Reads(&[
            ("uri", "sip:user;par=u%40example.net@example.com"),
            ("Accept#4", "multipart/signed"),
            ("Accept#6", "message/sipfrag"),
        ]),
    ),
    (
        "rfc4475/transports",
        Reads(&[
            ("vias", "5"),
            ("Via#2", "SIP/2.0/SCTP t2.example.com;branch=z9hG4bKklasjdhf"),
            ("Via#4", "SIP/2.0/UNKNOWN t4.example.com;branch=z9hG4bKasd0f3en"),
        ]),
    ),
    (
        "rfc4475/mpart01",
        Reads(&[
            ("method", "MESSAGE"),
            ("Route", "<sip:127.0.0.1:5080>"),
            ("Content-Type", "multipart/mixed;boundary=7a9cbec02ceef655"),
            ("body", "553"),
        ]),
    ),
    (
        "rfc4475/unreason",
        Reads(&[
            ("status", "200"),
            ("phrase", "= 2**3 * 5**2 но сто девяносто девять - простое"),
            ("method", "INVITE"),
            ("body", "154"),
        ]),
    ),
    ("rfc4475/noreason", Reads(&[("status", "100"), ("phrase", ""), ("to-tag", "902jndnke3")])),
    // §3.1.2: invalid.
    ("rfc4475/badinv01", Refuses(400, Malformed, "Broken Via")),
    ("rfc4475/clerr", Refuses(400, Framing, "Content-Length Beyond The Message")),
    ("rfc4475/ncl", Refuses(400, Framing, "Broken Content-Length")),
    ("rfc4475/scalar02", Refuses(400, Malformed, "Broken CSeq")),
    ("rfc4475/scalarlg", Drops("Broken CSeq")),
    ("rfc4475/quotbal", Refuses(400, Malformed, "Broken To")),
    ("rfc4475/ltgtruri", Refuses(400, Malformed, "Broken Request-URI")),
    ("rfc4475/lwsruri", Refuses(400, Malformed, "Broken Request-URI")),
    ("rfc4475/lwsstart", Refuses(400, Malformed, "Broken Request-URI")),
    ("rfc4475/trws", Refuses(400, Malformed, "Broken Request Line")),
    // The wire reads it; the engine refuses headers in a Request-URI.
    ("rfc4475/escruri", Reads(&[("uri", "sip:user@example.com?Route=%3Csip:example.com%3E")])),
    // A proxy need not read Date.
    ("rfc4475/baddate", Reads(&[("Date", "Fri, 01 Jan 2010 16:00:00 EST"), ("body", "150")])),
    ("rfc4475/regbadct", Refuses(400, Malformed, "Broken Contact")),
    ("rfc4475/badaspec", Refuses(400, Malformed, "Broken To")),
    // The archive's file lacks the blank line; the RFC's text has it.
    ("rfc4475/baddn", Refuses(400, Framing, "Head Without End")),
    ("rfc4475/baddn-terminated", Refuses(400, Malformed, "Broken From")),
    ("rfc4475/badvers", Refuses(505, Version, "Version Not Supported")),
    ("rfc4475/mismatch01", Refuses(400, Malformed, "CSeq Method Differs")),
    ("rfc4475/mismatch02", Refuses(400, Malformed, "CSeq Method Differs")),
    ("rfc4475/bigcode", Drops("Broken Status Line")),
    // Not in the RFC, only in its archive.
    ("rfc4475/test", Drops("Broken Request Line")),
    // §3.2: the transaction layer serves it by the key of RFC 2543.
    ("rfc4475/badbranch", Reads(&[("hops", "3"), ("Via", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK")])),
    // §3.3: application layer.
    ("rfc4475/insuf", Refuses(400, Malformed, "Missing Call-ID")),
    ("rfc4475/unkscm", Reads(&[("uri", "nobodyKnowsThisScheme:totallyopaquecontent")])),
    ("rfc4475/novelsc", Reads(&[("uri", "soap.beep://192.0.2.103:3002")])),
    (
        "rfc4475/unksm2",
        Reads(&[
            ("To", "isbn:2983792873"),
            ("from-tag", "3234233"),
            ("Contact", "<name:John_Smith>"),
        ]),
    ),
    (
        "rfc4475/bext01",
        Reads(&[
            ("Require#2", "nothingSupportsThisEither"),
            ("Proxy-Require#1", "noProxiesSupportThis"),
        ]),
    ),
    ("rfc4475/invut", Reads(&[("Content-Type", "application/unknownformat"), ("body", "40")])),
    (
        "rfc4475/regaut01",
        Reads(&[("Authorization", "NoOneKnowsThisScheme opaque-data=here"), ("body", "0")]),
    ),
    ("rfc4475/multi01", Refuses(400, DuplicateHeader, "Duplicate Max-Forwards")),
    ("rfc4475/mcl01", Refuses(400, DuplicateHeader, "Duplicate Content-Length")),
    (
        "rfc4475/bcast",
        Reads(&[
            ("status", "200"),
            ("vias", "2"),
            ("Via#2", "SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK1saber23"),
        ]),
    ),
    ("rfc4475/zeromf", Reads(&[("hops", "0"), ("cseq", "39234321 OPTIONS")])),
    (
        "rfc4475/cparam01",
        Reads(&[("Contact", "sip:+19725552222@gw1.example.net;unknownparam"), ("contacts", "1")]),
    ),
    ("rfc4475/cparam02", Reads(&[("Contact", "<sip:+19725552222@gw1.example.net;unknownparam>")])),
    (
        "rfc4475/regescrt",
        Reads(&[("Contact", "<sip:user@example.com?Route=%3Csip:sip.example.com%3E>")]),
    ),
    ("rfc4475/sdp01", Reads(&[("Accept", "text/nobodyKnowsThis"), ("body", "150")])),
    // §3.4: RFC 2543.
    (
        "rfc4475/inv2543",
        Reads(&[
            ("Via", "SIP/2.0/UDP iftgw.example.com"),
            ("from-tag", "(none)"),
            ("hops", "(none)"),
            ("Record-Route", "<sip:UserB@example.com;maddr=ss1.example.com>"),
            ("body", "105"),
        ]),
    ),
    // RFC 5118 §4.1 to §4.10.
    (
        "rfc5118/ipv6-good",
        Reads(&[
            ("uri", "sip:[2001:db8::10]"),
            ("Via", "SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3-111"),
            ("Contact", "\"Caller\" <sip:caller@[2001:db8::1]>"),
        ]),
    ),
    ("rfc5118/ipv6-bad", Refuses(400, Malformed, "Broken Request-URI")),
    ("rfc5118/port-ambiguous", Reads(&[("uri", "sip:[2001:db8::10:5070]"), ("vias", "1")])),
    ("rfc5118/port-unambiguous", Reads(&[("uri", "sip:[2001:db8::10]:5070"), ("vias", "1")])),
    (
        "rfc5118/via-received-param-with-delim",
        Reads(&[
            ("vias", "1"),
            ("Via", "SIP/2.0/UDP [2001:db8::9:1];received=[2001:db8::9:255];branch=z9hG4bKas3-111"),
        ]),
    ),
    (
        "rfc5118/via-received-param-no-delim",
        Reads(&[
            ("vias", "1"),
            ("Via", "SIP/2.0/UDP [2001:db8::9:1];received=2001:db8::9:255;branch=z9hG4bKas3"),
        ]),
    ),
    (
        "rfc5118/ipv6-in-sdp",
        Reads(&[("uri", "sip:user@[2001:db8::10]"), ("Content-Type", "application/sdp")]),
    ),
    (
        "rfc5118/mult-ip-in-header",
        Reads(&[
            ("vias", "3"),
            ("Via#1", "SIP/2.0/UDP [2001:db8::9:1]:6050;branch=z9hG4bKas3-111"),
            ("Via#2", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKjhja8781hjuaij65144"),
            ("Via#3", "SIP/2.0/TCP [2001:db8::9:255];branch=z9hG4bK451jj;received=192.0.2.200"),
            ("to-tag", "9817--94"),
        ]),
    ),
    (
        "rfc5118/mult-ip-in-sdp",
        Reads(&[("uri", "sip:user@[2001:db8::10]"), ("cseq", "8912 INVITE")]),
    ),
    (
        "rfc5118/ipv4-mapped-ipv6",
        Reads(&[
            ("vias", "2"),
            ("Via#1", "SIP/2.0/UDP [::ffff:192.0.2.10]:19823;branch=z9hG4bKbh19"),
            ("Contact", "\"T. desk phone\" <sip:ted@[::ffff:192.0.2.2]>"),
        ]),
    ),
    (
        "rfc5118/ipv6-bug-abnf-3-colons",
        Reads(&[("uri", "sip:user@[2001:db8:::192.0.2.1]"), ("vias", "1")]),
    ),
    (
        "rfc5118/ipv6-correct-abnf-2-colons",
        Reads(&[("uri", "sip:user@[2001:db8::192.0.2.1]"), ("vias", "1")]),
    ),
];
