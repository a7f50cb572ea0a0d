#!/usr/bin/env python3
"""Stream connections turned against the gate: who sends large requests and never reads, who stays
after one message, who never ends one, who fills the table from many addresses, who lets the gate
open them itself. Phones by TCP are served meanwhile, and memory stays where it was."""
from field import *


class Wire:
    """A phone's TCP connection."""

    def __init__(self, field, user, ip, ns="p1"):
        self.user, self.ip = user, ip
        self.socket = field.tcp(ns, ip, seconds=60)
        self.port = self.socket.getsockname()[1]
        self.call_id, self.cseq, self.buffer = token(), 0, b""

    def register(self):
        self.cseq += 1
        own = f"<sip:{self.user}@pbx.test>"
        via = f"SIP/2.0/TCP {self.ip}:{self.port};branch=z9hG4bK{token()}"
        self.socket.sendall(text("REGISTER sip:pbx.test SIP/2.0", [
            ("Via", via), ("Max-Forwards", "70"), ("From", f"{own};tag=w"), ("To", own),
            ("Call-ID", self.call_id), ("CSeq", f"{self.cseq} REGISTER"), ("Expires", "600"),
            ("Contact", f"<sip:{self.user}@{self.ip}:{self.port};transport=tcp>")]))
        answer = self.read()
        while answer.status < 200:
            answer = self.read()
        check(answer.status == 200, f"{self.user} registers by TCP: {answer.start}")

    def read(self):
        try:
            while b"\r\n\r\n" not in self.buffer.lstrip():
                part = self.socket.recv(65536)
                check(part, f"the connection of {self.user} was closed")
                self.buffer += part
        except OSError as e:
            raise Failed(f"the connection of {self.user}: {e}") from None
        head, _, self.buffer = self.buffer.lstrip().partition(b"\r\n\r\n")
        m = Message(head + b"\r\n\r\n", None)
        self.buffer = self.buffer[int(m.one("Content-Length") or 0):]
        return m


def options(ip, padding=0):
    """An OPTIONS by TCP whose answer carries `padding` octets of Via."""
    vias = [("Via", f"SIP/2.0/TCP {ip};branch=z9hG4bK{token()}")]
    while padding > 0:
        vias.append(("Via", f"SIP/2.0/TCP host.example;branch=z9hG4bK{'x' * min(padding, 7000)}"))
        padding -= 7000
    return text("OPTIONS sip:10.17.0.1 SIP/2.0", vias + [
        ("Max-Forwards", "70"), ("From", "<sip:x@x.test>;tag=1"), ("To", "<sip:10.17.0.1>"),
        ("Call-ID", token()), ("CSeq", "1 OPTIONS")])


def push(connections, stalls=400):
    """Writes what it can of each connection's octets: until all is written, or nobody takes more."""
    left = {s: memoryview(data) for s, data in connections.items()}
    idle = 0
    while left and idle < stalls:
        moved = False
        for s in list(left):
            try:
                left[s] = left[s][s.send(left[s][:1 << 18]):]
                moved = True
            except BlockingIOError:
                continue
            except OSError:
                # Closed on us, which is right.
                del left[s]
                continue
            if not left[s]:
                del left[s]
        idle = 0 if moved else idle + 1
        if not moved:
            time.sleep(0.005)


def never_read(field):
    """64 connections ask for 115 MB of answers and take none."""
    field.phone_by_tcp = Wire(field, "104", "10.17.0.21")
    field.phone_by_tcp.register()
    field.unread = {}
    for n in range(64):
        ip = f"10.17.0.{30 + n % 12}"
        s = field.tcp("p3", ip, buffer=4096)
        s.setblocking(False)
        field.unread[s] = options(ip, 56000) * 32
    push(field.unread)
    field.well("while nobody reads")
    field.phone_by_tcp.register()


def stay_after_one(field):
    """Connections that sent one message and stay, from as many addresses as the table takes, and
    more; a phone that comes by TCP finds its place and keeps it."""
    field.stayed = []
    for n in range(240):
        ip = f"10.17.0.{30 + n % 16}"
        s = field.tcp("p3", ip)
        s.sendall(options(ip))
        field.stayed.append(s)
    late = Wire(field, "105", "10.17.0.21")
    late.register()
    for n in range(120):
        ip = f"10.17.0.{30 + n % 16}"
        s = field.tcp("p3", ip)
        s.sendall(options(ip))
        field.stayed.append(s)
    late.register()
    field.phone_by_tcp.register()
    field.well("while they stay")


def never_end(field):
    """Heads without an end, lengths that are never met, octets that are no SIP."""
    for n in range(160):
        ip = f"10.17.0.{30 + n % 16}"
        s = field.tcp("p3", ip)
        try:
            s.sendall([b"INVITE sip:1@x SIP/2.0\r\nVia: ", b"\r\n" * 50, os.urandom(2000),
                       options(ip).replace(b"Content-Length: 0", b"Content-Length: 60000"),
                       b"OPTIONS " + b"x" * 60000][n % 5])
        except OSError:
            # Closed on us, which is right.
            pass
        field.stayed.append(s)
    late = Wire(field, "106", "10.17.0.22", "p2")
    late.register()
    field.phone_by_tcp.register()
    field.well("while they do not end")


def let_go(field):
    """Who never reads is let go, by itself."""
    def closed():
        gone = 0
        for s in field.unread:
            try:
                # What was sent before stands before the end.
                while part := s.recv(1 << 16):
                    pass
                gone += part == b""
            except BlockingIOError:
                # More of it is under way.
                pass
            except OSError:
                gone += 1
        return gone == len(field.unread)

    # The peer's side only: nothing is read before the gateway has let go of all.
    wait_for("connections that never read are closed", 60, lambda: open_at(field) == 0)
    wait_for("each finds its connection closed", 30, closed)
    for s in [*field.unread, *field.stayed]:
        s.close()
    field.phone_by_tcp.register()


def open_at(field):
    """How many of the unread connections the gateway still holds."""
    out = sh(["ip", "netns", "exec", field.ns["gw"], "ss", "-Htn", "state", "established"])
    peers = {"{}:{}".format(*s.getsockname()) for s in field.unread}
    return sum(1 for line in out.splitlines() if line.split()[3] in peers)


def be_called(field):
    """Each answer is to be brought to another port of who asked: his Via says so, and his own
    connection is gone. He accepts, and says nothing."""
    ip, calls = "10.17.0.30", 60

    def listen():
        them = []
        for n in range(calls):
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind((ip, 20000 + n))
            s.listen(2)
            s.setblocking(False)
            them.append(s)
        return them

    def ask(n):
        bad = "\r\n".join(["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0",
                           "m=audio 4000 RTP/AVP 0", ""])
        return text("INVITE sip:112@pbx.test SIP/2.0", [
            ("Via", f"SIP/2.0/TCP {ip}:{20000 + n};branch=z9hG4bKback{n}"), ("Max-Forwards", "70"),
            ("From", f"<sip:900@pbx.test>;tag=b{n}"), ("To", "<sip:112@pbx.test>"),
            ("Call-ID", f"back{n}"), ("CSeq", "1 INVITE"), ("Contact", f"<sip:900@{ip}>"),
            ("Content-Type", "application/sdp")], bad)

    listening, called = there(field.ns["p3"], listen), []
    for n in range(calls):
        for _ in range(2):
            s = field.tcp("p3", ip)
            s.sendall(ask(n))
            s.shutdown(socket.SHUT_WR)
            try:
                while s.recv(1 << 16):
                    pass
            except OSError:
                pass
            s.close()
    for s in listening:
        try:
            called.append(s.accept()[0])
        except BlockingIOError:
            pass
    late = Wire(field, "107", "10.17.0.22", "p2")
    late.register()
    field.phone_by_tcp.register()
    held = 0
    for s in called:
        s.setblocking(False)
        try:
            while part := s.recv(1 << 16):
                pass
            held += part != b""
        except BlockingIOError:
            held += 1
        except OSError:
            pass
    print(f"    he was called {len(called)} times, and holds {held}")
    check(0 < held <= 32, f"{held} connections that we opened are held")
    field.well("while he is called")


LIMITS = "connections = 200\nconnections_per_source = 32\n"
run(lambda f: f.config(limits=LIMITS),
    {"never read": never_read, "stay after one": stay_after_one, "never end": never_end,
     "let go": let_go, "be called": be_called})
