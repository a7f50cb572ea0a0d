#!/usr/bin/env python3
"""The hostile corpus against the running gateway: every message, description and packet from its position,
its answer as written there; after each the gateway answers, and a call that was up is up."""
import ctypes
import select
import socket

from corpus_cases import Message, answer, fill, message, octets, read, write
from lab import *

GATE, WAN, PHONE, NEIGHBOUR, PBX, STRANGER = (
    "10.17.0.1", "10.99.0.1", "10.17.0.21", "10.17.0.22", "10.99.0.2", "10.99.0.3")
WAIT = 3
PLACES = {"phone": ("p1", PHONE, (GATE, 5060)), "inside": ("p2", NEIGHBOUR, (GATE, 5060)),
          "upstream": ("pbx", PBX, (WAN, 5060)), "outside": ("pbx", STRANGER, (WAN, 5060)),
          "open": ("pbx", STRANGER, (WAN, 5080))}


def within(lab, ns, make):
    """Makes something in a namespace; sockets stay where they were made."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/self/ns/net", encoding="ascii") as here, \
            open(f"/var/run/netns/{lab.ns[ns]}", encoding="ascii") as there:
        check(libc.setns(there.fileno(), 0) == 0, f"into {ns}: {ctypes.get_errno()}")
        try:
            return make()
        finally:
            check(libc.setns(here.fileno(), 0) == 0, "and back")


def udp(lab, ns, ip, port):
    def make():
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind((ip, port))
        return s
    return within(lab, ns, make)


def sdp(ip, port=4000):
    return (f"v=0\\r\\no=- 1 1 IN IP4 {ip}\\r\\ns=-\\r\\nc=IN IP4 {ip}\\r\\nt=0 0\\r\\n"
            f"m=audio {port} RTP/AVP 0\\r\\na=rtpmap:0 PCMU/8000\\r\\n")


class Leg:
    """One side of a dialog as its user agent keeps it."""

    def __init__(self, call_id, local, remote, target, routes=()):
        self.call_id, self.local, self.remote = call_id, local, remote
        self.target, self.routes, self.cseq = target, list(routes), 1


class World:
    """The parties' sockets, and what they know of each other."""

    def __init__(self, lab):
        self.lab, self.count, self.legs, self.rings = lab, 0, None, None
        self.sockets = {}
        for place, (ns, ip, _) in PLACES.items():
            if place != "open":
                self.sockets[place] = udp(lab, ns, ip, 5060)
        self.sockets["open"] = self.sockets["outside"]
        self.names = {"gate": GATE, "wan": WAN, "pbx": PBX, "phone": PHONE, "inside": NEIGHBOUR,
                      "stranger": STRANGER}

    def send(self, place, data):
        self.sockets[place].sendto(data, PLACES[place][2])

    def get(self, place, seconds=WAIT):
        """The next message for a place, or None."""
        ready, _, _ = select.select([self.sockets[place]], [], [], seconds)
        if not ready:
            return None
        data, _ = self.sockets[place].recvfrom(65536)
        msg = Message(data)
        if place in ("upstream", "outside", "open") and self.hides:
            check(b"10.17." not in data, f"{self.now}: the inside leaves: {data!r}")
        return msg

    def expect(self, place, what):
        """As `get`; skips 100, and what it is not for."""
        until = time.time() + WAIT
        while time.time() < until:
            msg = self.get(place, max(0, until - time.time()))
            if msg and (msg.method() if msg.is_request() else str(msg.status())) == what:
                return msg
        raise Failed(f"{self.now}: {place} waits for {what}")

    def final(self, place):
        """The final answer that a place waits for."""
        while msg := self.get(place):
            if msg.status() >= 200:
                return msg
        raise Failed(f"{self.now}: {place} gets no final answer")

    def fresh(self):
        self.count += 1
        return self.count

    def request(self, place, method, uri, to=None, sdp_port=None):
        n, ip = self.fresh(), PLACES[place][1]
        user = "101" if place == "phone" else "200"
        rows = [("Via", f"SIP/2.0/UDP {ip}:5060;rport;branch=z9hG4bKp{n}"), ("Max-Forwards", "70"),
                ("From", f"<sip:{user}@pbx.test>;tag=p{n}"), ("To", to or f"<{uri}>"),
                ("Call-ID", f"p{n}@{ip}"), ("CSeq", f"1 {method}"),
                ("Contact", f"<sip:{user}@{ip}:5060>")]
        body = b""
        if sdp_port:
            rows.append(("Content-Type", "application/sdp"))
            body = octets(sdp(ip, sdp_port))
        return write(f"{method} {uri} SIP/2.0", rows, body)

    def within_call(self, place, method, leg):
        leg.cseq += 50
        n, ip = self.fresh(), PLACES[place][1]
        rows = [("Via", f"SIP/2.0/UDP {ip}:5060;rport;branch=z9hG4bKw{n}"), ("Max-Forwards", "70")]
        rows += [("Route", route) for route in leg.routes]
        rows += [("From", leg.local), ("To", leg.remote), ("Call-ID", leg.call_id),
                 ("CSeq", f"{leg.cseq} {method}"), ("Contact", f"<sip:x@{ip}:5060>")]
        return write(f"{method} {leg.target} SIP/2.0", rows)

    def register(self):
        self.now, self.hides = "register", True
        self.send("phone", self.request("phone", "REGISTER", "sip:pbx.test", "<sip:101@pbx.test>"))
        got = self.expect("upstream", "REGISTER")
        contact = got.contact()
        self.send("upstream", answer(got, 200, "r", [("Contact", f"<{contact}>;expires=3600")]))
        self.expect("phone", "200")
        token, host = contact.split("@")
        turned = "b" if token[-1] == "a" else "a"
        self.names.update({"contact": contact, "contact.changed": f"{token[:-1]}{turned}@{host}"})

    def ring(self, caller, callee, uri):
        """An INVITE that rings; both legs, the phone's first."""
        port = 4000 if caller == "phone" else 6000
        invite = Message(self.request(caller, "INVITE", uri, sdp_port=port))
        self.send(caller, invite.data)
        got = self.expect(callee, "INVITE")
        mine = f"<sip:x@{PLACES[callee][1]}:5060>"
        self.send(callee, answer(got, 180, "callee", [("Contact", mine)]))
        heard = self.expect(caller, "180")
        routes = [r.strip() for row in got.all("Record-Route") for r in row.split(",")]
        back = [r.strip() for row in heard.all("Record-Route") for r in row.split(",")]
        a = Leg(invite.row("Call-ID"), invite.row("From"), heard.row("To"), heard.contact(),
                reversed(back))
        b = Leg(got.row("Call-ID"), f"{got.row('To')};tag=callee", got.row("From"), got.contact(),
                routes)
        self.legs = {"phone": a, "upstream": b} if caller == "phone" else {"phone": b, "upstream": a}
        self.rings, self.invite, self.caller, self.callee = got, invite, caller, callee
        self.names["via"] = got.row("Via")

    def call(self):
        self.ring("phone", "upstream", "sip:200@pbx.test")
        more = [("Contact", f"<sip:x@{PBX}:5060>"), ("Content-Type", "application/sdp")]
        body = octets(sdp(PBX, 6000))
        self.send("upstream", answer(self.rings, 200, "callee", more, body))
        ok = self.expect("phone", "200")
        leg = self.legs["phone"]
        ack = Message(self.within_call("phone", "ACK", leg))
        self.send("phone", ack.data.replace(f"CSeq: {leg.cseq} ACK".encode(), b"CSeq: 1 ACK"))
        self.expect("upstream", "ACK")
        port = re.compile(r"m=audio (\d+)")
        self.names["relay.in"] = port.search(ok.body.decode()).group(1)
        self.names["relay.out"] = port.search(self.rings.body.decode()).group(1)
        self.rings = None

    def enter(self, state):
        self.legs = self.rings = None
        if state == "call":
            self.call()
        elif state == "ringing":
            self.ring("phone", "upstream", "sip:200@pbx.test")
        elif state == "called":
            self.ring("upstream", "phone", self.names["contact"])

    def honest(self, case, place, tcp):
        """What an honest sender at this place would write."""
        start = case.lines[0] if case.lines else ""
        while start.startswith("\\r\\n"):
            start = start[4:]
        method, ip, n = start.split(" ")[0], PLACES[place][1], self.fresh()
        user = "101" if place == "phone" else "200"
        contact = ("Contact", f"<sip:{user}@{ip}:5060>")
        if start.startswith("SIP/"):
            if not self.rings:
                return [("Via", f"SIP/2.0/UDP {WAN}:5060;branch=z9hG4bKnever"),
                        ("From", "<sip:101@pbx.test>;tag=a"), ("To", "<sip:200@pbx.test>;tag=b"),
                        ("Call-ID", "never@asked"), ("CSeq", "1 INVITE")]
            good = Message(answer(self.rings, 200, "callee"))
            return [row for row in good.rows if row[0] != "Content-Length"] + [contact]
        mine = "phone" if place in ("phone", "inside") else "upstream"
        if self.rings and method in ("CANCEL", "ACK"):
            kept = self.invite if self.caller == mine else self.rings
            rows = [(name, kept.row(name)) for name in ("Via", "From", "To", "Call-ID")]
            return rows + [("CSeq", f"1 {method}"), ("Max-Forwards", "70")]
        via = f"SIP/2.0/{'TCP' if tcp else 'UDP'} {ip}:5060;rport;branch=z9hG4bKh{n}"
        if self.legs:
            leg = self.legs[mine]
            leg.cseq += 1
            return [("Via", via), ("Max-Forwards", "70"), ("From", leg.local), ("To", leg.remote),
                    ("Call-ID", leg.call_id), ("CSeq", f"{leg.cseq} {method}"), contact,
                    ] + [("Route", route) for route in leg.routes]
        uri = fill((start.split(" ") + [""])[1], self.names)
        plain = uri.startswith("sip:") and not re.search(r"[<\\]", uri) and len(uri) < 99
        to = uri if plain else "sip:200@pbx.test"
        return [("Via", via), ("Max-Forwards", "70"), ("From", f"<sip:{user}@pbx.test>;tag=h{n}"),
                ("To", f"<{to}>"), ("Call-ID", f"h{n}@{ip}"), ("CSeq", f"1 {method}"), contact]

    def octets(self, case, place, tcp=False):
        if self.legs:
            mine = "phone" if place in ("phone", "inside") else "upstream"
            self.names["target"] = self.legs[mine].target
        self.names["own"] = PLACES[place][1]
        return message(case, self.honest(case, place, tcp), sdp(PLACES[place][1]), self.names)

    def settle(self, place, msg):
        """Ends what a message began: requests are refused, final answers acknowledged."""
        if msg.is_request():
            # A REGISTER is refused, so that no case leaves a binding behind.
            status = {"INVITE": 486, "REGISTER": 403}.get(msg.method(), 200)
            if msg.method() != "ACK":
                self.send(place, answer(msg, status, "s"))
        elif msg.method() == "INVITE" and msg.status() >= 200:
            number = msg.row("CSeq").split(" ")[0]
            rows = [("Via", msg.row("Via"))] + [(n, msg.row(n)) for n in ("From", "To", "Call-ID")]
            rows += [("CSeq", f"{number} ACK"), ("Max-Forwards", "70")]
            self.send(place, write(f"ACK sip:{GATE} SIP/2.0", rows))

    def ping(self):
        """The gateway answers a phone; what came before has been handled then."""
        self.send("phone", self.request("phone", "OPTIONS", f"sip:{GATE}"))
        until = time.time() + WAIT
        others = []
        while time.time() < until:
            msg = self.get("phone", max(0, until - time.time()))
            if msg and msg.status() == 200 and msg.method() == "OPTIONS":
                return others
            if msg:
                others.append(("phone", msg))
        raise Failed(f"{self.now}: the gateway does not answer")

    def waiting(self):
        """Everything that has come by now, for anybody."""
        found = []
        for place in ("phone", "inside", "upstream", "outside"):
            while msg := self.get(place, 0):
                found.append((place, msg))
        return found

    def leave(self, state):
        """Ends what is up, until nothing more comes."""
        self.hides = False
        if state == "call":
            self.send("phone", self.within_call("phone", "BYE", self.legs["phone"]))
        elif state in ("ringing", "called"):
            self.send(self.callee, answer(self.rings, 486, "callee"))
        quiet = 0
        while quiet < 2:
            came = self.ping() + self.waiting()
            for place, msg in came:
                self.settle(place, msg)
            quiet = 0 if came else quiet + 1
            time.sleep(0.002)


def told(world, case, place):
    """What came of a case: the words of its `right:`, and the message that tells it."""
    far = "upstream" if place in ("phone", "inside") else "phone"
    sender = "outside" if place == "open" else place
    right = case.row("right").split(" ")[0]
    at = {"dropped": None, "forwarded": far, "ended": far}.get(right, sender)
    came = []
    if at:
        until = time.time() + WAIT
        while time.time() < until and not any(m.status() != 100 for _, m in came):
            msg = world.get(at, max(0, until - time.time()))
            came += [(at, msg)] if msg else []
    else:
        time.sleep(0.01)
    came += world.ping()
    came += world.waiting()
    came = [(p, m) for p, m in came if m.status() != 100]
    for p, msg in came:
        world.settle(p, msg)
    # A PBX that says that it serves nobody is asked whether that is so.
    came = [(p, m) for p, m in came if not (p == sender and m.is_request() and m.method() == "OPTIONS")]
    for p, msg in came:
        if p == far and msg.is_request() and msg.method() != "ACK":
            refused = world.final(sender)
            world.settle(sender, refused)
    back = [m for p, m in came if p == sender]
    on = [m for p, m in came if p == far]
    stray = [m.start for p, m in came if p not in (sender, far)]
    check(not stray, f"{case.name}: somebody else gets {stray}")
    if [m.method() for m in back if m.is_request()][:2] == ["ACK", "BYE"] and on:
        return f"ended {on[0].status()}", on[0]
    back = [m for m in back if not (m.is_request() and m.method() == "ACK")]
    # An answer that was not acknowledged yet comes again.
    extra = {m.start for m in on + back}
    check(len(extra) <= 1, f"{case.name}: more than one message: {extra}")
    if on:
        return f"forwarded {on[0].method() if on[0].is_request() else on[0].status()}", on[0]
    return (back[0].start[8:], back[0]) if back else ("dropped", None)


def over_tcp(world, case):
    """What comes back on a connection of its own, and whether that was closed."""
    s = within(world.lab, "p2", lambda: socket.create_connection((GATE, 5060), WAIT))
    s.settimeout(WAIT)
    data, closed = b"", False
    closes = case.row("then") == "closed"
    answers = case.row("right") != "dropped"
    try:
        s.sendall(world.octets(case, "inside", tcp=True))
        while closes and not closed or answers and b"\r\n\r\n" not in data.lstrip(b"\r\n"):
            some = s.recv(65536)
            data, closed = data + some, not some
            if closed:
                break
    except ConnectionError:
        closed = True
    except TimeoutError:
        pass
    s.close()
    check(closed == closes, f"{case.name}: closed is {closed}")
    data = data.lstrip(b"\r\n")
    return (Message(data).start[8:], Message(data)) if data else ("dropped", None)


def one(world, case):
    """Sends a case and compares; returns what is wrong with it."""
    world.now, place, state = case.name, case.row("from"), case.row("state")
    world.hides = True
    world.enter(state)
    if case.row("over") == "tcp":
        got, msg = over_tcp(world, case)
    else:
        data = world.octets(case, place)
        world.hides = place in ("phone", "inside")
        world.send(place, data)
        got, msg = told(world, case, place)
    right, faults = case.row("right"), []
    code, _, words = right.partition(" ")
    if code.isdigit():
        fine = got[:3] == code and words in got
    else:
        fine = got == right
    if not fine:
        faults.append(f"{got!r} instead of {right!r}")
    text = msg.data.decode(errors="replace").replace("\r\n", "\n") if msg else ""
    faults += [f"{t!r} is not there" for t in case.all("shows") if fill(t, world.names) not in text]
    faults += [f"{t!r} is there" for t in case.all("lacks") if fill(t, world.names) in text]
    if state == "call" and case.row("then") != "over":
        world.send("phone", world.within_call("phone", "INFO", world.legs["phone"]))
        world.send("upstream", answer(world.expect("upstream", "INFO"), 200, "x"))
        world.expect("phone", "200")
    world.leave("" if case.row("then") == "over" or right.startswith("ended") else state)
    return [f"{case.name}: {fault}\n{text}" for fault in faults]


def described(case):
    """A description as the message that carries it."""
    answers, upstream = case.row("as") == "answer", case.row("from") == "upstream"
    if answers:
        case.rows.append(("state", "ringing" if upstream else "called"))
    start = "SIP/2.0 200 OK" if answers else \
        "INVITE {contact} SIP/2.0" if upstream else "INVITE sip:200@pbx.test SIP/2.0"
    case.lines = [start, "Content-Type: application/sdp", ""] + case.lines
    return case


def packets_of(world, cases):
    """The packets, within one call: relayed, changed or dropped as written."""
    world.now, world.hides = "media", True
    world.call()
    relay = {"phone": (GATE, int(world.names["relay.in"])), "pbx": (WAN, int(world.names["relay.out"]))}
    places = {"phone": ("p1", PHONE, 4000), "inside": ("p2", NEIGHBOUR, 4000),
              "pbx": ("pbx", PBX, 6000), "stranger": ("pbx", STRANGER, 6000)}
    sockets = {}
    for place, (ns, ip, port) in places.items():
        for lane in (0, 1):
            sockets[place, lane] = udp(world.lab, ns, ip, port + lane)
    sockets["phone-elsewhere", 0] = udp(world.lab, "p1", PHONE, 4444)
    sockets["pbx-elsewhere", 0] = udp(world.lab, "pbx", PBX, 6666)
    by_name = {c.name: bytes.fromhex("".join(octets("".join(c.lines)).decode().split())) for c in cases}
    good = {("phone", 0): "rtp-of-the-phone", ("phone", 1): "rtcp-of-the-phone",
            ("pbx", 0): "rtp-of-the-pbx", ("pbx", 1): "rtcp-of-the-pbx"}

    def heard(place, lane, seconds):
        ready, _, _ = select.select([sockets[place, lane]], [], [], seconds)
        return sockets[place, lane].recv(65536) if ready else None

    def pass_on(place, lane):
        """A sound packet, and what else came before it."""
        ip, port = relay[place]
        sound = by_name[good[place, lane]]
        sockets[place, lane].sendto(sound, (ip, port + lane))
        far, before = ("pbx" if place == "phone" else "phone"), []
        while (packet := heard(far, lane, WAIT)) != sound:
            check(packet is not None, f"{world.now}: sound packets do not pass")
            before.append(packet)
        return before

    for place, lane in good:
        pass_on(place, lane)
    faults = []
    for case in cases:
        world.now, lane = case.name, int(case.row("to") == "rtcp")
        near = "phone" if case.row("from") in ("phone", "phone-elsewhere", "inside") else "pbx"
        sender = sockets.get((case.row("from"), lane)) or sockets[case.row("from"), 0]
        packet = by_name[case.name]
        sender.sendto(packet, (relay[near][0], relay[near][1] + lane))
        before = pass_on(near, lane) if packet != by_name[good[near, lane]] else \
            [heard("pbx" if near == "phone" else "phone", lane, WAIT)]
        right = {"relayed": lambda: before == [packet], "dropped": lambda: before == [],
                 "changed": lambda: len(before) == 1 and len(before[0]) == len(packet)
                 and before[0] != packet and b"10.17." not in before[0]}[case.row("right")]()
        if not right:
            faults.append(f"{case.name}: not {case.row('right')}: {before}")
    world.leave("call")
    return faults


def scenario(lab):
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../corpus/gateway.toml"),
              encoding="utf-8") as f:
        config = fill(f.read(), {"gate": GATE, "wan": WAN, "pbx": PBX})
    gw = lab.gateway(f'{config}\n[state]\ndir = "{lab.dir}/state"\n[audit]\ndir = "{lab.dir}/audit"\n')
    world = World(lab)
    world.register()
    messages, bodies, packets = read("sip"), [described(c) for c in read("sdp")], read("media")
    check(len(messages) >= 200 and len(bodies) >= 60 and len(packets) >= 40, "all of the corpus")
    faults = []
    for case in messages + bodies:
        try:
            faults += one(world, case)
        except (Failed, ValueError) as e:
            faults.append(f"{case.name}: {e}")
            world.leave("")
        check(gw.poll() is None, f"the gateway ended after {case.name}")
    faults += packets_of(world, packets)
    check(not faults, f"{len(faults)} faults:\n" + "\n".join(faults))
    wait_for("every call ends", 5, lambda: lab.metric("portreeve_active_calls") == 0)
    wait_for("ports return", 5, lambda: lab.metric("portreeve_media_ports", state="used") == 0)
    check(lab.stop(gw) == 0, "SIGTERM ends with code 0")
    check("panicked" not in lab.text("gw.log"), "nothing panicked")
    print(f"{len(messages)} messages, {len(bodies)} descriptions, {len(packets)} packets")


run(scenario)
