#!/usr/bin/env python3
"""Dialogs turned against their parties: whoever knows Call-ID, tags, branch and tokens of somebody
else's call or subscription, another upstream, an outside host, a phone, an outside party that names
places of the inside. None ends, takes or steers what is not his."""
from field import *


def other(field):
    """Another upstream of the same gateway, and a host that is none."""
    if not hasattr(field, "second"):
        field.second = Pbx(field, OTHER, "other.test")
        field.stranger = Party(field, "pbx", "10.99.0.66", "stranger", gateway=OUTSIDE)
    return field.second, field.stranger


def quietly(party, data):
    """Sends a request that may get no answer, twice, and gives it time to do harm: until the gateway
    has answered somebody who asked after it."""
    party.put(data)
    party.put(data)
    check(party.field.a.register().status == 200, "a phone registers again")


def pending_subscription(field):
    """A NOTIFY for a SUBSCRIBE that is under way, by all who are not the PBX: the phone never sees it."""
    field.pbx.silent = {"SUBSCRIBE"}
    data = field.a.outside_dialog("SUBSCRIBE", "600", [("Event", "dialog"), ("Expires", "600")])
    field.a.put(data)
    asked = wait_for("the SUBSCRIBE at the PBX", 5, lambda: next(
        (m for m in field.pbx.requests("SUBSCRIBE") if m.user() == "600"), None))

    def notify(party, tag, contact):
        return party.request("NOTIFY", asked.target(), asked.one("To") + f";tag={tag}",
                             asked.one("From"), asked.one("Call-ID"), 1,
                             [("Event", "dialog"), ("Subscription-State", "active;expires=600"),
                              ("Contact", contact)])

    thief = field.phone("103")
    for party in (*other(field), thief):
        quietly(party, notify(party, "evil", f"<sip:evil@{party.ip}:5060>"))
    check(not field.a.requests("NOTIFY"), f"a phone got {[m.raw for m in field.a.requests('NOTIFY')]}")
    data = notify(field.pbx, "good", f"<sip:600@{PBX}:5060>")
    field.pbx.put(data)
    check(field.pbx.final(data).status == 200, "the PBX's NOTIFY is taken")
    check(len(field.a.requests("NOTIFY")) >= 1, "and reaches the phone")
    # Its refresh goes to the PBX.
    got = field.a.requests("NOTIFY")[0]
    field.pbx.silent = set()
    refresh = field.a.request("SUBSCRIBE", got.target(), got.one("To"), got.one("From"),
                              got.one("Call-ID"), 2, [("Event", "dialog"), ("Expires", "0")]
                              + [("Route", r) for r in got.all("Record-Route")])
    field.a.put(refresh)
    check(field.a.final(refresh).status == 200, "the phone's refresh is answered")
    check(not [m for p in (*other(field), thief) for m in p.requests("SUBSCRIBE")],
          "the refresh went elsewhere")


def poisoned_contact(field):
    """A phone registers Contacts that name the PBX, hosts behind it and the gateway's outside: what
    other phones send keeps its Route, and a call by way of the PBX is acknowledged."""
    p, behind = field.phone("103"), ("10.99.0.5", "10.99.0.4")
    for address in (PBX, OTHER, "10.99.0.1", "10.99.0.0", *behind):
        p.register(contact=f"<sip:103@{address}:5060>")

    def by_way_of(m):
        if m.method != "INVITE" or m.user() != "908":
            return m.one("Call-ID") in taken
        taken.append(m.one("Call-ID"))
        routes = [("Record-Route", f"<sip:{host};lr>") for host in (behind[0], PBX)]
        field.pbx.reply(m, 200, Media(field, "pbx", PBX).sdp(), routes, to=m.one("To") + ";tag=way",
                        contact=f"<sip:908@{behind[1]}:5060>")
        return True

    taken = []
    field.pbx.on_request = by_way_of
    call = field.a.call("908")
    check(call.answer.status == 200, call.answer.start)
    ack = wait_for("its ACK at the PBX", 10, lambda: next(
        (m for m in field.pbx.requests("ACK") if m.one("Call-ID") == call.call_id), None))
    check([r for r in ack.all("Route") if PBX in r or behind[0] in r]
          == [f"<sip:{PBX};lr>", f"<sip:{behind[0]};lr>"], f"its Route: {ack.all('Route')}")
    check(ack.uri() == f"sip:908@{behind[1]}:5060", f"its Request-URI: {ack.uri()}")
    call.send("BYE")
    bye = wait_for("its BYE at the PBX", 10, lambda: next(
        (m for m in field.pbx.requests("BYE") if m.one("Call-ID") == call.call_id), None))
    check(bye.all("Route") == ack.all("Route"), f"{bye.all('Route')}")
    field.pbx.on_request = None
    field.pbx.reply(bye, 200)
    call.end()
    call = field.a.call("102")
    check(call.answer.status == 200, call.answer.start)
    for party in (field.pbx, field.b):
        wait_for(f"the ACK at {party.user}", 10, lambda: any(
            m.one("Call-ID") == call.call_id for m in party.requests("ACK")))
    check(call.bye().status == 200, "its BYE goes the same way")
    p.register()


def seen(field, place):
    """A socket that hears whether the gateway can be sent there."""
    if not hasattr(field, "ears"):
        field.ears = {}
    if place not in field.ears:
        ns, ip, port = place
        field.ears[place] = Party(field, ns, ip, f"ear{port}", port)
    return field.ears[place]


def steering_contacts(field):
    """The outside party's Contact and Record-Route name phones, ourselves, loopback: nothing of this
    call is sent there."""
    p = field.phone("103")
    ears = [seen(field, ("p3", "10.17.0.44", 5060)), seen(field, ("gw", "127.0.0.1", 5999)),
            seen(field, ("gw", "10.17.0.1", 5999)), seen(field, ("gw", "10.99.0.1", 5999))]
    places = ["10.17.0.22:5060", "10.17.0.22:5061", "10.17.0.44:5060", "10.17.0.1:5060",
              "10.99.0.1:5060", "127.0.0.1:5060", "127.0.0.1:5999", "10.17.0.1:5999",
              "10.99.0.1:5999", "[::ffff:10.17.0.44]:5060", "0.0.0.0:5060", "224.0.0.1:5060"]
    for by in ("Contact", "Record-Route"):
        for place in places:
            before = field.metric("portreeve_sip_requests_total")
            quiet = len(field.b.got)

            def steer(m):
                if m.method != "INVITE" or m.user() != "906":
                    return m.method == "ACK"
                contact = f"<sip:x@{place}>" if by == "Contact" else f"<sip:906@{PBX}:5060>"
                route = [("Record-Route", f"<sip:{place};lr>")] if by == "Record-Route" else []
                body = Media(field, "pbx", PBX).sdp()
                field.pbx.reply(m, 200, body, to=m.one("To") + ";tag=steer",
                                contact=contact, more=route)
                return True

            field.pbx.on_request = steer
            call = p.call("906")
            if call.answer.status < 300:
                for method in ("INFO", "UPDATE", "BYE"):
                    call.send(method)
                check(field.a.register().status == 200, "a phone registers again")
                call.end()
            for ear in ears:
                check(not ear.got, f"{by} {place}: {ear.got and ear.got[0].raw[:200]}")
            check(not [m for m in field.b.got[quiet:] if m.one("Call-ID") == call.call_id],
                  f"{by} {place}: 102 got {[m.start for m in field.b.got[quiet:]]}")
            grown = field.metric("portreeve_sip_requests_total") - before
            check(grown < 60, f"{by} {place}: {grown} requests")
    field.pbx.on_request = None


def steering_phone(field):
    """A phone's Contact names an outside host: what the PBX sends in its call reaches the phone's own
    address or nobody."""
    p, (second, stranger) = field.phone("103"), other(field)
    for ip in ("10.99.0.66", OTHER, "10.99.0.1"):
        before = len(stranger.got), len(second.got)
        call = p.call("900", more=[("Contact", f"<sip:103@{ip}:5060>")])
        if call.answer.status < 300:
            far = field.pbx.dialog(call)
            data = far.send("INFO")
            quietly(field.pbx, data)
            far.end()
            call.bye()
        check((len(stranger.got), len(second.got)) == before, f"Contact {ip}: it is sent there")


def foreign_requests(field):
    """BYE, INFO, re-INVITE, CANCEL of another upstream, an outside host and another phone, with all that
    a call is known by: the call stays."""
    call = field.a.call("900")
    check(call.answer.status == 200, call.answer.start)
    far, thief = field.pbx.dialog(call), field.phone("103")
    for party in other(field):
        for method in ("BYE", "INFO", "UPDATE"):
            for target in (far.target, "sip:10.99.0.1:5060"):
                data = party.request(method, target, far.own, far.peer, call.call_id, 50,
                                     [("Route", r) for r in far.routes])
                quietly(party, data)
    for method in ("BYE", "INFO"):
        data = thief.request(method, call.target, call.own, call.peer, call.call_id, 60,
                             [("Route", r) for r in call.routes])
        quietly(thief, data)
    for party in (field.a, field.pbx):
        got = [m.start for m in party.requests() if m.one("Call-ID") == call.call_id
               and m.method in ("BYE", "INFO", "UPDATE")]
        check(not got, f"{party.user} got {got}")
    before = call.media.heard.get(far.media.ssrc, 0)
    wait_for("the call's audio", 20, lambda: call.media.heard.get(far.media.ssrc, 0) > before + 5)
    check(call.bye().status == 200, "the call ends by its own BYE")


def foreign_cancel(field):
    """CANCEL of another's ringing call with its very branch."""
    def ring(m):
        if m.method == "INVITE":
            field.b.reply(m, 180)
            field.ringing = m
            return True
        return False

    field.b.on_request = ring
    call, data = field.pbx.invite(field.pbx.contact("102"), peer="<sip:102@pbx.test>")
    wait_for("102 rings", 5, lambda: hasattr(field, "ringing"))
    cancel = re.sub(rb"^INVITE", b"CANCEL", data.split(b"\r\n\r\n")[0])
    cancel = re.sub(rb"CSeq: (\d+) INVITE", rb"CSeq: \1 CANCEL", cancel)
    cancel = re.sub(rb"\r\nContent-[^\r]*", b"", cancel) + b"\r\nContent-Length: 0\r\n\r\n"
    for party in (*other(field), field.phone("103")):
        quietly(party, cancel)
    check(not field.b.requests("CANCEL"), "102's call was cancelled by a stranger")
    field.b.on_request = None
    field.b.answered(field.ringing, None)
    answer = field.pbx.final(data)
    check(answer.status == 200, f"the call is taken: {answer.start}")
    field.pbx.acknowledge(call, answer)
    check(call.bye().status == 200, "and ends")


def foreign_answers(field):
    """A 200 with the very branch of a request, from who was not asked: the caller never hears it."""
    second, stranger = other(field)
    thief = field.phone("103")
    media = Media(field, "pbx", "10.99.0.66")
    field.pbx.on_request = lambda m: m.user() == "907"
    call, data = field.a.invite("907")
    asked = wait_for("the INVITE at the PBX", 5, lambda: next(
        (m for m in field.pbx.requests("INVITE") if m.user() == "907"), None))
    for party, where in ((second, OUTSIDE), (stranger, OUTSIDE), (thief, INSIDE)):
        for status, body in ((200, media.sdp()), (180, ""), (486, "")):
            for _ in range(2):
                party.reply(asked, status, body, to=asked.one("To") + ";tag=evil", where=where)
    check(field.b.register().status == 200, "a phone registers again")
    heard = [m.start for m in field.a.got if m.is_response and m.one("Call-ID") == call.call_id
             and m.status > 100]
    check(not heard, f"101 heard {heard}")
    field.pbx.on_request = None
    field.pbx.serve(asked)
    call.answer = field.a.final(data)
    check(call.answer.status == 200 and "evil" not in call.answer.one("To"), call.answer.start)
    field.a.acknowledge(call, call.answer)
    check(call.bye().status == 200, "the call ends")


def foreign_tokens(field):
    """What our Contact and Record-Route seal, in a request of another call or with another Call-ID."""
    p = field.phone("103")
    mine, theirs = p.call("900"), field.a.call("900")
    for call in (mine, theirs):
        check(call.answer.status == 200, call.answer.start)
    cases = [("target", dict(target=theirs.target)), ("route", dict(routes=theirs.routes)),
             ("both", dict(target=theirs.target, routes=theirs.routes))]
    altered = [re.sub(r"sip:([^@;>]{8})", lambda m: "sip:" + m.group(1)[::-1], r) for r in mine.routes]
    cases.append(("altered route", dict(routes=altered)))
    for what, kw in cases:
        answer = mine.ask("INFO", **kw)
        check(answer.status in (403, 481), f"{what}: {answer.start}")
    own, far = field.pbx.dialog(mine), field.pbx.dialog(theirs)
    for what, kw in (("target", dict(target=far.target)), ("route", dict(routes=far.routes))):
        answer = own.ask("INFO", **kw)
        check(answer.status in (403, 481), f"the PBX's {what}: {answer.start}")
    # A dialog's names with another Call-ID.
    call_id, mine.call_id = mine.call_id, token()
    answer = mine.ask("BYE")
    check(answer.status in (403, 481), f"another Call-ID: {answer.start}")
    mine.call_id = call_id
    check(mine.ask("INFO").status == 200 and theirs.ask("INFO").status == 200, "both calls are up")
    check(mine.bye().status == 200 and theirs.bye().status == 200, "both end")


SECOND = f"""
[[upstream]]
name = "other"
address = "{OTHER}:5060"
domain = "other.test"
numbers = ["+99"]
probe = "0s"
"""
run(lambda f: f.config(upstream=SECOND),
    {"pending subscription": pending_subscription, "poisoned Contact": poisoned_contact,
     "steering Contacts": steering_contacts, "steering phone": steering_phone,
     "foreign requests": foreign_requests, "foreign CANCEL": foreign_cancel,
     "foreign answers": foreign_answers, "foreign tokens": foreign_tokens})
