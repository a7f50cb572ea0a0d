#!/usr/bin/env python3
"""Numbers that a rule denies, written as no rule was meant to read them; methods in small letters;
transfers and redirections to them; `tel:` that would become another host; one user's name in another
domain. Nothing that no rule saw reaches the PBX."""
from field import *

# Each is a form of +19005550100.
DENIED = [
    "+19005550100", "%2B19005550100", "+1-900-555-0100", "+1.900.555.0100", "+1%20900%205550100",
    "+1(900)5550100", "+1/900/5550100", "%2B%31%39%30%30%35550100", "0019005550100",
    "00019005550100", "0%2B19005550100", "0-0019005550100", "++19005550100", "%2B+19005550100",
    "+(0)19005550100", "+1(0)9005550100", "01119005550100", "001119005550100", "+01119005550100",
    "0+19005550100", "+1_900_5550100", "+1~900~5550100", "+1,9005550100",
    "+1%C2%A0900%C2%A05550100", "+1%E2%80%8B9005550100", "%EF%BC%8B19005550100",
    "%EF%BC%8B%EF%BC%91%EF%BC%99%EF%BC%90%EF%BC%905550100", "+1%E2%80%909005550100",
    "+1900", "0+1900", "+1900;ext=5", "9005550100;phone-context=+1",
    "9005550100;phone%2Dcontext=%2B1", "5550100;rn=+19005550100", "+19005550100;x=y",
    "+0019005550100",
    # And of 118, which is short, with or without the outside line.
    "118", "0118", "0-118", "%31%31%38", "0%20118", "11(0)8", "1-1-8", "118;x=y",
]
PASSING = ["+18005550100", "0018005550100", "0301234567", "900", "1180", "01180"]


def never(field, what, since=0):
    """No request or answer that names the number reached the PBX."""
    for m in field.pbx.got[since:]:
        plain = re.sub(rb"[-.()/ _~*,]|%20|%2D", b"", m.raw.split(b"\r\n\r\n")[0])
        plain = re.sub(rb"%(3[0-9])", lambda d: bytes([int(d.group(1), 16)]), plain)
        # History of ours would be another thing; nothing names it.
        check(b"9005550100" not in plain and b"1900 " not in plain and b"1900@" not in plain,
              f"{what}: the PBX got {m.raw[:300]}")


def forms(field):
    """Each form of the denied number is refused; an allowed one passes in its forms."""
    p = field.phone("103")
    since = len(field.pbx.got)
    faults = []
    for number in DENIED:
        for uri in (f"sip:{number}@pbx.test", f"tel:{number}", f"sip:{number}@pbx.test;user=phone"):
            call = p.call(uri)
            if call.answer.status not in (400, 403):
                faults.append(f"{uri}: {call.answer.start}")
            if call.answer.status < 300:
                call.bye()
    check(not faults, "\n".join(faults))
    never(field, "a form", since)
    for number in PASSING:
        call = p.call(number)
        check(call.answer.status == 200, f"{number}: {call.answer.start}")
        check(call.bye().status == 200, "it ends")


def small_letters(field):
    """Known methods in other letters are no methods: 400, and nothing goes on."""
    p = field.phone("104", "10.17.0.43")
    since = len(field.pbx.got)
    for method in ("invite", "Invite", "iNVITE", "INVITe", "register", "Refer", "message",
                   "subscribe", "Options", "publish", "notify", "bye", "Info"):
        body = Media(field, "p3", p.ip).sdp() if method.lower() == "invite" else ""
        kind = [("Content-Type", "application/sdp")] if body else []
        own = f"<sip:104@pbx.test>;tag={token(4)}"
        for cseq in (method, method.upper()):
            data = text(f"{method} sip:+19005550100@pbx.test SIP/2.0", [
                ("Via", f"SIP/2.0/UDP {p.ip}:5060;branch=z9hG4bK{token()};rport"),
                ("Max-Forwards", "70"), ("From", own), ("To", "<sip:+19005550100@pbx.test>"),
                ("Call-ID", token()), ("CSeq", f"1 {cseq}"), ("Contact", f"<sip:104@{p.ip}:5060>"),
                *kind], body)
            p.put(data)
            answer = p.final(data)
            check(answer.status == 400, f"{method}, CSeq {cseq}: {answer.start}")
    new = [m.start for m in field.pbx.got[since:] if m.method.upper() != m.method]
    check(not new, f"the PBX got {new}")
    never(field, "small letters", since)


def references(field):
    """REFER to the denied number, within the call and outside, in every dress; the record names it."""
    p = field.phone("105", "10.17.0.44")
    call = p.call("900")
    check(call.answer.status == 200, call.answer.start)
    since, records = len(field.pbx.got), len(field.audit())
    named = ["<sip:+19005550100@pbx.test>", "<tel:+19005550100>", "<sip:%2B1900-555-0100@pbx.test>",
             "<sip:0019005550100@pbx.test;user=phone>", "<sip:+19005550100@pbx.test;method=INVITE>",
             "<sip:+19005550100@pbx.test?Replaces=a%3Bto-tag%3Db%3Bfrom-tag%3Dc>",
             "sip:+19005550100@pbx.test", "\"x\" <sip:+19005550100@10.99.0.66>",
             "<sip:+19005550100@pbx.test?Require=x&Replaces=a%3Bto-tag%3Db%3Bfrom-tag%3Dc>",
             "<sip:9005550100;phone-context=+1@pbx.test>"]
    for value in named:
        answer = call.ask("REFER", more=[("Refer-To", value)])
        check(answer.status in (400, 403), f"in the call {value}: {answer.start}")
        answer = p.ask("REFER", "900", [("Refer-To", value)])
        check(answer.status in (400, 403), f"outside {value}: {answer.start}")
    answer = call.ask("REFER", more=[("r", "<sip:+19005550100@pbx.test>")])
    check(answer.status in (400, 403), f"the short name: {answer.start}")
    never(field, "REFER", since)

    def recorded():
        new = [str(r) for r in field.audit()[records:]]
        return any("19005550100" in r and "no premium" in r for r in new)
    wait_for("a record names number and rule", 5, recorded)
    answer = call.ask("REFER", more=[("Refer-To", "<sip:901@pbx.test>")])
    check(answer.status < 300, f"an allowed one: {answer.start}")
    check(call.bye().status == 200, "the call ends")


def redirections(field):
    """A phone redirects its calls to the denied number: the PBX never hears of it, a record does."""
    since, records = len(field.pbx.got), len(field.audit())
    contacts = ["<sip:+19005550100@pbx.test>", "<tel:+19005550100>", "<sip:%2B1900-5550100@pbx.test>",
                "<sip:+19005550100@10.99.0.66>;q=0.9, <sip:0019005550100@pbx.test>;q=0.1",
                "<sip:+19005550100@pbx.test;method=INVITE>"]
    for status in (302, 301, 300, 305, 380, 485):
        for contact in contacts if status == 302 else contacts[:1]:
            field.b.on_request = lambda m: m.method == "ACK" or m.method == "INVITE" and (
                field.b.reply(m, status, more=[("Contact", contact)]) or True)
            call = field.pbx.call(field.pbx.contact("102"), peer="<sip:102@pbx.test>")
            check(call.answer.status >= 300, f"{status} {contact}: {call.answer.start}")
            never(field, f"{status} {contact}", since)
    field.b.on_request = None

    def recorded():
        return any("19005550100" in str(r) for r in field.audit()[records:])
    wait_for("a record names the number", 5, recorded)


def escaped_hosts(field):
    """`tel:` whose escapes would make another host of the URI."""
    p = field.phone("106", "10.17.0.45")
    for uri in ("tel:0301234%40evil.test", "tel:0301234%40evil.test%3Bx", "tel:%40evil.test",
                "tel:030%3A1%40evil.test", "tel:0301234;phone-context=%40evil.test",
                "tel:0301234;phone-context=evil.test%3E", "tel:0301234;a=%3Bb%40evil.test",
                "tel:0301234%3F@evil.test", "tel:0301234@evil.test", "tel:0301234%0D%0ARoute:x"):
        since = len(field.pbx.got)
        call = p.call(uri)
        if call.answer.status < 300:
            call.bye()
        for m in field.pbx.got[since:]:
            if m.is_response or m.method != "INVITE":
                continue
            host = re.match(r"sips?:(?:[^@]*@)?([^;?:>]*)", m.uri())
            check(m.uri().startswith("tel:") or host and host.group(1) == "pbx.test",
                  f"{uri} became {m.uri()}")
            check(m.uri().count("@") <= 1 and "Route:" not in str(m.headers), f"{uri}: {m.uri()}")


def namesakes(field):
    """102 of another domain, and names with an escaped `@`, register and call: 102's calls reach 102,
    and what rules allow him they do not allow others."""
    thief = Party(field, "p3", "10.17.0.42", "102", domain="other.test")
    names = ["sip:102@other.test", "sip:102%40pbx.test@other.test", "sip:102@OTHER.test"]
    for name in names:
        thief.ask("REGISTER", "sip:other.test", [("Contact", "<sip:102@10.17.0.42:5060>"),
                                                 ("Expires", "600")],
                  own=f"<{name}>;tag={token(4)}", peer=f"<{name}>")
        check(field.b.register().status == 200, "102 registers again")
        thief.ask("REGISTER", "sip:other.test", [("Contact", "<sip:102@10.17.0.42:5060>"),
                                                 ("Expires", "600")], cseq=2,
                  own=f"<{name}>;tag={token(4)}", peer=f"<{name}>")
        call = field.a.call("102")
        check(call.answer.status == 200, f"after {name}: {call.answer.start}")
        check(field.b.dialog(call), "102 took it")
        check(call.bye().status == 200, "it ends")
        check(not thief.requests("INVITE"), f"{name} got {[m.start for m in thief.requests()]}")
        for own in (name, names[1]):
            call = thief.call("sip:+17005550100@pbx.test", own=f"<{own}>;tag={token(4)}")
            check(call.answer.status >= 400, f"{own} may call what 102 may: {call.answer.start}")
        # And taken away it leaves 102's.
        thief.ask("REGISTER", "sip:other.test", [("Contact", "*"), ("Expires", "0")], cseq=3,
                  own=f"<{name}>;tag={token(4)}", peer=f"<{name}>")
        call = field.a.call("102")
        check(call.answer.status == 200, f"after {name} left: {call.answer.start}")
        check(call.bye().status == 200, "it ends")
    call = field.b.call("+17005550100")
    check(call.answer.status == 200, f"102 may: {call.answer.start}")
    check(call.bye().status == 200, "it ends")


RULES = """
[numbers]
outside_line = "0"
national_prefix = "0"
country = "+49"
international_prefixes = ["00", "011"]
[[rule]]
name = "no premium"
side = "inside"
number = ["+1900*"]
deny = { code = 403, reason = "Premium" }
[[rule]]
name = "no service"
side = "inside"
number = ["118"]
deny = { code = 403, reason = "Service" }
[[rule]]
name = "102 may"
side = "inside"
user = ["102@pbx.test"]
number = ["+1700*"]
allow = { upstream = "pbx" }
[[rule]]
name = "others may not"
side = "inside"
number = ["+1700*"]
deny = { code = 403, reason = "No" }
"""
run(lambda f: f.config(upstream='domains = ["other.test"]', extra=RULES),
    {"forms": forms, "small letters": small_letters, "references": references,
     "redirections": redirections, "escaped hosts": escaped_hosts, "namesakes": namesakes})
