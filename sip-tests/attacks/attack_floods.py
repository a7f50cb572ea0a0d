#!/usr/bin/env python3
"""Floods that take what others need: emergency calls of nobody known, requests in one phone's call,
registrations, subscriptions, bindings that end together, padded messages for the audit volume. Each
takes its share and no more: calls of others and their 112 pass all the while."""
from field import *

def streams(ip, count):
    lines = "".join(f"m=audio {40000 + 2 * n} RTP/AVP 0\r\n" for n in range(count))
    return f"v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n{lines}"


def emergencies(field):
    """Nobody known calls 112 with 16 streams, or without any, a hundred times, from one address and
    from a dozen; the PBX challenges, rings on or is silent."""
    pbx, turn = field.pbx, []

    def challenge(m):
        if m.method == "INVITE" and "stranger" in m.one("From"):
            turn.append(m)
            if len(turn) % 3 == 0:
                pbx.reply(m, 407, more=[("Proxy-Authenticate", 'Digest realm="pbx.test", nonce="n"')])
            elif len(turn) % 3 == 1:
                pbx.reply(m, 180)
            return True
        return m.method in ("ACK", "CANCEL") and "stranger" in m.one("From")

    pbx.on_request = challenge
    for sources in (POOL[:1], POOL):
        for count in (16, 0, 1):
            packets = []
            for n in range(48):
                ip = sources[n % len(sources)]
                body = streams(ip, count) if count else ""
                packets.append((ip, packet("INVITE", "sip:112@pbx.test", ip, "stranger", body=body)))
            flood(field, "p3", packets)
            field.well(f"{len(sources)} addresses, {count} streams")
    used = field.metric("portreeve_media_ports", state="used")
    pool = used + field.metric("portreeve_media_ports", state="free") \
        + field.metric("portreeve_media_ports", state="quarantined")
    check(used <= pool / 2, f"{used} of {pool} ports are taken")
    open_calls = len({m.one("Call-ID") for m in turn if "stranger" in m.one("From")})
    # Two at a time each; a challenged one has ended, and another may come; who dials again after
    # seconds takes the place of his own that rings.
    print(f"{open_calls} calls of nobody known reached the PBX")
    check(len(POOL) <= open_calls <= 8 * len(POOL), f"{open_calls} calls of nobody known reached the PBX")
    for m in turn:
        if m.method == "INVITE":
            pbx.reply(m, 486)


def infos(field):
    """A phone's 3,000 INFOs within its call, which nobody answers."""
    p = field.phone("109", "10.17.0.43")
    call = p.call("900")
    check(call.answer.status == 200, call.answer.start)
    field.pbx.silent = {"INFO"}
    for n in range(3000):
        call.send("INFO")
        if n % 50 == 49:
            time.sleep(0.005)
        if n == 1500:
            field.well("amid INFOs")
    field.well("after INFOs")
    check(len(field.pbx.requests("INFO")) > 100, "they reach the PBX, within a share")
    field.pbx.silent = set()
    check(call.bye().status == 200, "its own call ends")


def registrations(field):
    """3,000 REGISTERs from a dozen addresses, which the PBX does not answer."""
    def silent(m):
        return m.method == "REGISTER" and "sip:x" in m.one("To")

    field.pbx.on_request = silent
    # What is repeated afterwards makes no binding.
    field.pbx.unknown.add("x")
    packets = []
    for n in range(3000):
        ip = POOL[n % 12]
        packets.append((ip, packet("REGISTER", "sip:pbx.test", ip, f"x{n}")))
    flood(field, "p3", packets[:1500])
    field.well("amid REGISTERs")
    flood(field, "p3", packets[1500:])
    check(field.a.register().status == 200, "a phone registers again")
    field.phone("104", "10.17.0.44")
    field.well("after REGISTERs")
    check(len([m for m in field.pbx.requests("REGISTER") if "sip:x" in m.one("To")]) > 100,
          "they reach the PBX, within shares")


def subscriptions(field):
    """One phone subscribes for a day, 400 times."""
    # Another than before, whose share may be taken yet.
    p = field.phone("108", "10.17.0.45")
    for n in range(400):
        p.put(p.outside_dialog("SUBSCRIBE", f"{200 + n}", [("Event", "dialog"), ("Expires", "86400")]))
        if n % 20 == 19:
            time.sleep(0.01)
    field.well("a day's subscriptions")
    check(len(field.pbx.requests("SUBSCRIBE")) > 40, "they reach the PBX, within a share")
    answer = field.b.ask("SUBSCRIBE", "500", [("Event", "dialog"), ("Expires", "600")])
    check(answer.status == 200, f"another phone subscribes: {answer.start}")


def end_together(field):
    """Bindings of half the table that end in one moment; whoever registers then is served."""
    served = set()

    def brief(m):
        if m.method != "REGISTER" or "sip:z" not in m.one("To"):
            return False
        served.add(m.one("To"))
        field.pbx.reply(m, 200, more=[("Contact", f"<{m.target()}>;expires=4")])
        return True

    field.pbx.on_request = brief
    before = field.metric("portreeve_active_registrations")
    packets = [(POOL[n % 12], packet("REGISTER", "sip:pbx.test", POOL[n % 12], f"z{n}"))
               for n in range(150)]
    flood(field, "p3", packets)
    field.well("bindings that end together")
    check(len(served) > 50, f"{len(served)} bindings were made")

    def ended():
        check(field.a.register().status == 200, "a phone registers meanwhile")
        return field.metric("portreeve_active_registrations") <= before
    wait_for("they end", 30, ended)


def audit_size(field):
    folder = field.path("audit")
    return sum(os.path.getsize(os.path.join(folder, n)) for n in os.listdir(folder))


def padded(field):
    """Emergency calls of nobody known and denied calls of a registered phone, each with fields as long
    as a message takes: sums, and cut."""
    def busy(m):
        if m.method == "INVITE" and "padded" in m.one("From"):
            field.pbx.reply(m, 486)
            return True
        return False

    field.pbx.on_request = busy
    long = [("User-Agent", "u" * 7000), ("Subject", "s" * 7000), ("Organization", "o" * 7000)]
    before = audit_size(field)
    packets = []
    for n in range(600):
        ip = POOL[n % 12]
        own = f"\"{'d' * 1500}\" <sip:padded{'p' * 1500}@pbx.test>;tag={token(4)}"
        packets.append((ip, packet("INVITE", "sip:112@pbx.test", ip, "padded", long,
                                   streams(ip, 1), own)))
    flood(field, "p3", packets)
    p = field.phone("103")
    for n in range(600):
        own = f"\"{'d' * 1500}\" <sip:103@pbx.test>;tag={token(4)}"
        p.put(p.outside_dialog("INVITE", f"+1900{n:04}{'1' * 1000}", long, own=own))
        if n % 50 == 49:
            time.sleep(0.005)
    field.well("padded calls")
    grown = audit_size(field) - before
    check(grown > 1024, f"they were recorded: {grown} octets")
    check(grown < 512 * 1024, f"the audit log grew by {grown} octets")


RULES = """
[[rule]]
name = "no premium"
side = "inside"
number = ["+1900*"]
deny = { code = 403, reason = "Premium" }
"""
LIMITS = """transactions = 1500
transactions_per_source = 400
dialogs = 200
bindings = 300
"""
run(lambda f: f.config(limits=LIMITS, extra=RULES),
    {"padded": padded, "emergencies": emergencies, "INFOs": infos, "registrations": registrations,
     "subscriptions": subscriptions, "end together": end_together})
