#!/usr/bin/env python3
"""What a phone writes, by mistake or to tell tales, in every place that leaves the site: headers, reason
phrases, descriptions, bodies, RTCP. The PBX learns no address, host name or device of the inside, takes
no identity on a phone's word, and nobody gets more octets from us than he sent, but for half."""
from field import *

SECRETS = [b"10.17.0.", b"192.168.55.", b"172.16.9.", b"corp.example", b"001122aabbcc",
           b"00:11:22:aa:bb:cc", b"00-11-22-aa-bb-cc", b"fd12:3456"]
PLACES = "10.17.0.23 192.168.55.7 172.16.9.9 [fd12:3456::7] pc7.corp.example"
DEVICE = "SMT-i5343/1.0 001122AABBCC"
INSTANCE = '+sip.instance="<urn:uuid:00000000-0000-1000-8000-001122AABBCC>"'


def told(field, since=(0, 0)):
    """What the PBX got of signalling and RTCP that names a secret."""
    raw = [m.raw for m in field.pbx.got[since[0]:]]
    raw += [r for s in field.heard_by_pbx for r in s.reports]
    found = []
    for data in raw:
        plain = data.lower()
        unescaped = re.sub(rb"%([0-9a-f]{2})", lambda d: bytes([int(d.group(1), 16)]), plain)
        for secret in SECRETS:
            for form in (plain, unescaped):
                if secret in form:
                    at = form.index(secret)
                    line = form[max(form.rfind(b"\r\n", 0, at), 0):][:200]
                    found.append(f"{secret.decode()} in {line[:160]}")
    return sorted(set(found))


def nothing_told(field, since):
    found = told(field, since)
    check(not found, "the PBX learned:\n  " + "\n  ".join(found))


def mark(field):
    if not hasattr(field, "heard_by_pbx"):
        field.heard_by_pbx = []
    return (len(field.pbx.got), 0)


def description(media):
    """A session description that tells of its maker in every line."""
    return (f"v=0\r\no=bob-pc7.corp.example 1 1 IN IP4 192.168.55.7\r\ns=call from pc7.corp.example\r\n"
            f"i=desk of 192.168.55.7\r\nu=http://192.168.55.7/bob\r\ne=bob@pc7.corp.example\r\n"
            f"p=+49 30 1 (192.168.55.7)\r\nc=IN IP4 {media.ip}\r\nt=0 0\r\n"
            f"a=tool:softphone on pc7.corp.example\r\n"
            f"m=audio {media.port} RTP/AVP 0\r\ni=192.168.55.7\r\na=rtpmap:0 PCMU/8000\r\n"
            f"a=rtcp:{media.port + 1} IN IP4 {media.ip}\r\na=x-host:pc7.corp.example 172.16.9.9\r\n"
            "a=candidate:1 1 UDP 2130706431 192.168.55.7 30000 typ host\r\n"
            "a=ssrc:7 cname:bob@192.168.55.7\r\na=sendrecv\r\n")


def headers():
    names = ["Call-Info", "Subject", "Organization", "User-Agent", "Warning", "X-Phone", "Alert-Info",
             "Reply-To", "Error-Info", "In-Reply-To", "User-To-User", "Referred-By", "Geolocation",
             "P-Access-Network-Info", "Diversion", "History-Info", "Date-Of", "Server"]
    out = []
    for name in names:
        out.append((name, {
            "Call-Info": "<http://192.168.55.7/pic>;purpose=icon, <http://pc7.corp.example/x>",
            "Alert-Info": "<http://192.168.55.7/tone.wav>", "Error-Info": "<sip:x@192.168.55.7>",
            "Reply-To": "<sip:bob@pc7.corp.example>", "Referred-By": "<sip:bob@192.168.55.7>",
            "Geolocation": "<sip:where@192.168.55.7>", "In-Reply-To": "abc@192.168.55.7",
            "Diversion": "<sip:bob@192.168.55.7>;reason=x", "User-Agent": DEVICE,
            "History-Info": "<sip:bob@192.168.55.7>;index=1",
            "Warning": '399 pc7.corp.example "at 192.168.55.7"'}.get(name, PLACES)))
    return out


def requests(field):
    """Every request a phone can make."""
    since = mark(field)
    p = field.phone("103", registered=False)
    contact = f"<sip:103@{p.ip}:5060>;{INSTANCE};reg-id=1"
    own = '"bob at 192.168.55.7" <sip:103@pbx.test>'
    answer = p.ask("REGISTER", "sip:pbx.test", [("Contact", contact), ("Expires", "600")] + headers(),
                   own=f"{own};tag={token(4)}", peer="<sip:103@pbx.test>")
    check(answer.status == 200, answer.start)
    media = Media(field, "p3", p.ip)
    for host in ("192.168.55.7", "pc7.corp.example", "172.16.9.9", "[fd12:3456::7]"):
        call = p.call("sip:900@pbx.test", description(media),
                      [("Contact", f"<sip:103@{p.ip}:5060>;{INSTANCE}")] + headers(),
                      own=f'"bob" <sip:103@{host}>;tag={token(4)}', peer=f"<sip:900@{host}>",
                      call_id=f"{token()}@{host}")
        check(call.answer.status == 200, f"{host}: {call.answer.start}")
        call.ask("INFO", "bob sits at " + PLACES, [("Content-Type", "text/plain")])
        check(call.ask("INVITE", description(media)).status == 200, "re-INVITE")
        call.bye()
    for method, event, kind, body in (
            ("MESSAGE", None, "text/plain", f"I am at {PLACES}"),
            ("PUBLISH", "presence", "application/pidf+xml",
             f"<presence entity='pres:bob@192.168.55.7'><note>{PLACES}</note></presence>"),
            ("NOTIFY", "message-summary", "application/simple-message-summary",
             "Messages-Waiting: yes\r\nMessage-Account: sip:bob@192.168.55.7\r\nVoice-Message: 2/8\r\n"),
            ("OPTIONS", None, "text/html", f"<p>{PLACES}</p>"),
            ("SUBSCRIBE", "dialog", "text/xml", f"<x>{PLACES}</x>")):
        more = [("Content-Type", kind)] + ([("Event", event)] if event else [])
        p.ask(method, "900", more + headers(), body)
    nothing_told(field, since)


def answers(field):
    """Every answer a phone can give."""
    since = mark(field)
    said = "Busy at 192.168.55.7 pc7.corp.example"
    for status in (180, 183, 200, 302, 404, 486, 603):
        def tell(m):
            if m.method != "INVITE" or ";tag=" in m.one("To"):
                return m.method == "ACK"
            media = Media(field, "p2", field.b.ip)
            more = [("start", f"SIP/2.0 {status} {said}"), *headers()]
            contact = "<sip:103@192.168.55.7>" if status == 302 else \
                f"<sip:102@{field.b.ip}:5060>;{INSTANCE}"
            body = description(media) if status in (183, 200) else ""
            to = m.one("To").replace("<", '"pc7.corp.example" <') + f";tag=t{status}"
            field.b.reply(m, status, body, more, to=to, contact=contact)
            if status < 200:
                field.b.reply(m, 480, "", [("start", f"SIP/2.0 480 {said}"), *headers()], to=to)
            return True

        field.b.on_request = tell
        call = field.pbx.call(field.pbx.contact("102"), peer="<sip:102@pbx.test>")
        field.b.on_request = None
        check(call.answer.status == (status if status >= 200 else 480), call.answer.start)
        if status == 200:
            call.send("BYE")
            call.end()
    nothing_told(field, since)


def reports(field):
    """RTCP that tells: CNAME and the other items of SDES, BYE reasons, APP."""
    since = mark(field)
    p = field.phone("103")
    call = p.call("900")
    check(call.answer.status == 200, call.answer.start)
    far = field.pbx.dialog(call)
    field.heard_by_pbx.append(far.media)

    def padded(data):
        return data + bytes(-len(data) % 4)

    def block(kind, count, data):
        return struct.pack(">BBH", 0x80 | count, kind, len(data) // 4) + data

    ssrc = struct.pack(">I", call.media.ssrc)
    rr = block(201, 0, ssrc)
    for place in ("bob@10.17.0.23", "bob@192.168.55.7", "bob@pc7.corp.example", "172.16.9.9"):
        name = place.encode()
        for item in range(1, 9):
            # PRIV begins with a prefix and its length (RFC 3550 §6.5.8).
            said = bytes([2]) + b"at" + name if item == 8 else name
            sdes = block(202, 1, padded(ssrc + bytes([item, len(said)]) + said + b"\0"))
            field.send(call.media.rtcp, rr + sdes, (call.media.remote[0], call.media.remote[1] + 1))
        cname = block(202, 1, padded(ssrc + bytes([1, 1]) + b"x\0"))
        for more in (block(203, 1, padded(ssrc + bytes([len(name)]) + name)),
                     block(204, 0, ssrc + b"HOST" + padded(name))):
            field.send(call.media.rtcp, rr + cname + more,
                       (call.media.remote[0], call.media.remote[1] + 1))
    wait_for("RTCP arrives", 10, lambda: len(far.media.reports) >= 40)
    nothing_told(field, since)
    check(call.bye().status == 200, "BYE")


def identities(field):
    """Who a phone is, is not for the phone to say."""
    p = field.phone("103")
    claims = [("P-Asserted-Identity", "<sip:chief@pbx.test>"), ("P-Charge-Info", "<sip:chief@pbx.test>"),
              ("P-Served-User", "<sip:chief@pbx.test>"), ("Remote-Party-ID", "<sip:chief@pbx.test>"),
              ("P-Asserted-Service", "urn:urn-7:3gpp-service.chief"), ("Diversion", "<sip:chief@x.test>"),
              ("History-Info", "<sip:chief@pbx.test>;index=1"),
              ("Identity", "chief.chief.chief;info=<https://x.test/chief>")]
    since = len(field.pbx.got)
    for name, value in claims:
        for written in (name, name.upper()):
            call = p.call("900", more=[(written, value)])
            check(call.answer.status == 200, f"{name}: {call.answer.start}")
            call.ask("INFO", more=[(written, value)])
            call.bye()
            p.ask("MESSAGE", "900", [(written, value)])
    for m in field.pbx.got[since:]:
        check(b"chief" not in m.raw, f"the PBX believes {[h for h in m.headers if 'chief' in h[1]]}")


def small_requests(field):
    """Tiny requests of nobody known: answers of at most 1.5 times the octets on the wire (28 of them
    IP and UDP)."""
    nobody = Party(field, "p3", "10.17.0.40", "x")
    # A REGISTER is the PBX's to answer.
    for method in ("OPTIONS", "INVITE", "SUBSCRIBE", "MESSAGE", "BYE", "CANCEL", "FOO",
                   "PUBLISH", "NOTIFY", "REFER", "INFO"):
        # An emergency call is no stranger's: it is taken.
        sos = [] if method == "INVITE" else ["urn:service:sos"]
        for uri in ["sip:10.17.0.1", "sip:1@a", "tel:1", "sips:a", *sos]:
            branch = f"z9hG4bK{token(3)}"
            for via in (f"SIP/2.0/UDP a;branch={branch};rport", f"SIP/2.0/UDP a;rport;i={branch}"):
                before = len(nobody.got)
                data = "\r\n".join([f"{method} {uri} SIP/2.0", f"v:{via}", "f:<sip:a>;tag=1", "t:<sip:a>",
                                    f"i:{token(2)}", f"CSeq:1 {method}", "", ""]).encode()
                nobody.put(data)
                check(field.a.ask("OPTIONS", "sip:10.17.0.1").status == 200, "a phone is answered")
                got = [m.raw for m in nobody.got[before:]]
                octets = sum(len(raw) + 28 for raw in got)
                check(octets <= 1.5 * (len(data) + 28),
                      f"{data} got {octets - 28 * len(got)} octets: {got}")


SITE = 'site = { inside_domains = ["corp.example"] }\n'
run(lambda f: f.config(top=SITE),
    {"requests": requests, "answers": answers, "reports": reports, "identities": identities,
     "small requests": small_requests})
