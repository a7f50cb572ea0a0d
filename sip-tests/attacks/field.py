"""A gateway under attack: a small PBX, phones 101 and 102 with a call that goes out to the PBX and
comes back (a spiral), sockets for attackers at every place, and what must hold meanwhile. Standard
library only; parties answer and send RTP on a thread of their own, attacks run beside it.

Nothing here is timed: audio goes on when more packets of the other party arrive, however slowly.
"""
import ctypes
import hashlib
import os
import re
import selectors
import socket
import struct
import sys
import threading
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../peers"))
from lab import *  # noqa: E402


INSIDE, OUTSIDE = ("10.17.0.1", 5060), ("10.99.0.1", 5060)
PBX, OTHER = "10.99.0.2", "10.99.0.3"
# Resident memory of the gateway, during and after any attack, in MiB.
MEMORY = 96
LIBC = ctypes.CDLL(None, use_errno=True)


def there(namespace, make):
    """What `make` returns when called in a network namespace."""
    out = []

    def body():
        with open(f"/run/netns/{namespace}", "rb") as f:
            if LIBC.setns(f.fileno(), 0x40000000):
                out.append(OSError(ctypes.get_errno(), "setns"))
                return
        try:
            out.append(make())
        except OSError as e:
            out.append(e)

    t = threading.Thread(target=body)
    t.start()
    t.join()
    if isinstance(out[0], Exception):
        raise out[0]
    return out[0]


class Message:
    """A SIP message as it came, and from where."""

    def __init__(self, data, source):
        self.raw, self.source = data, source
        head, _, self.body = data.decode("latin-1").partition("\r\n\r\n")
        self.start, *lines = head.split("\r\n")
        self.headers = [tuple(x.strip() for x in line.split(":", 1)) for line in lines if ":" in line]
        self.is_response = self.start.startswith("SIP/2.0")
        self.status = int(self.start.split()[1]) if self.is_response else 0
        self.method = self.one("CSeq").split()[-1] if self.is_response else self.start.split()[0]

    def all(self, name):
        return [v for n, v in self.headers if n.lower() == name.lower()]

    def one(self, name):
        return (self.all(name) or [""])[0]

    def uri(self):
        return self.start.split()[1]

    def tag(self, name):
        m = re.search(r";tag=([^;>\s]+)", self.one(name))
        return m.group(1) if m else ""

    def target(self):
        m = re.search(r"<([^>]+)>", self.one("Contact"))
        return m.group(1) if m else self.one("Contact").split(";")[0]

    def user(self):
        m = re.match(r"(?:sips?|tel):([^@;>]*)", self.uri())
        return m.group(1) if m else ""

    def aor(self):
        """User and host of a request's URI."""
        return re.match(r"[a-zA-Z]+:([^;>?]*)", self.uri()).group(1)

    def media(self):
        """Where the first audio stream wants its packets."""
        ip = re.search(r"^c=IN IP4 (\S+?)\r?$", self.body, re.M)
        port = re.search(r"^m=audio (\d+)", self.body, re.M)
        return (ip.group(1), int(port.group(1))) if ip and port else None


def text(start, headers, body=""):
    return ("\r\n".join([start] + [f"{n}: {v}" for n, v in headers]
                        + [f"Content-Length: {len(body.encode())}", "", ""]) + body).encode()


def token(n=8):
    return os.urandom(n).hex()


def md5(*parts):
    return hashlib.md5(":".join(parts).encode()).hexdigest()


def credentials(challenge, user, password, method, uri, qop=True, count=1, header="Authorization"):
    """Digest for a challenge (RFC 2617), with qop or, as old phones do, without: a header."""
    realm = re.search(r'realm="([^"]*)"', challenge).group(1)
    nonce = re.search(r'nonce="([^"]*)"', challenge).group(1)
    secret, asked = md5(user, realm, password), md5(method, uri)
    if qop:
        nc, own = f"{count:08x}", token(4)
        response, more = md5(secret, nonce, nc, own, "auth", asked), f', qop=auth, nc={nc}, cnonce="{own}"'
    else:
        response, more = md5(secret, nonce, asked), ""
    return (header, f'Digest username="{user}", realm="{realm}", nonce="{nonce}", uri="{uri}", '
            f'response="{response}", algorithm=MD5{more}')


def challenge_of(answer):
    """The challenge with MD5 of a 401 or 407; every one is whole."""
    rows = answer.all("WWW-Authenticate") + answer.all("Proxy-Authenticate")
    check(all(r.lower().startswith("digest ") for r in rows), f"a challenge that is none: {rows}")
    return next((r for r in rows if "SHA-256" not in r), "")


class Media:
    """One end of a stream: sends a packet each tick once it knows where, counts what comes by SSRC."""

    def __init__(self, field, ns, ip):
        self.field, self.ip = field, ip
        self.rtp = field.udp(ns, ip, field.next_port(ns))
        self.port = self.rtp.getsockname()[1]
        self.rtcp = field.udp(ns, ip, self.port + 1)
        self.ssrc = struct.unpack(">I", os.urandom(4))[0]
        self.sequence = 0
        self.remote = None
        self.heard, self.reports = {}, []
        field.watch(self.rtp, self.packet)
        field.watch(self.rtcp, lambda data, source: self.reports.append(data))
        field.streams.append(self)

    def packet(self, data, _):
        if len(data) >= 12:
            ssrc = struct.unpack_from(">I", data, 8)[0]
            self.heard[ssrc] = self.heard.get(ssrc, 0) + 1

    def tick(self):
        if self.remote:
            self.sequence += 1
            head = struct.pack(">BBHII", 0x80, 0, self.sequence & 0xffff,
                               self.sequence * 160 & 0xffffffff, self.ssrc)
            self.field.send(self.rtp, head + bytes(160), self.remote)

    def close(self):
        self.remote = None
        self.field.forget(self.rtp)
        self.field.forget(self.rtcp)
        if self in self.field.streams:
            self.field.streams.remove(self)

    def sdp(self, version=1, direction="sendrecv", port=None, ip=None, more=""):
        ip, port = ip or self.ip, self.port if port is None else port
        return (f"v=0\r\no=- 1 {version} IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n"
                f"m=audio {port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n{more}a={direction}\r\n")


class Call:
    """A dialog as one party sees it."""

    def __init__(self, party, call_id, own, peer, target, routes, cseq=1):
        self.party, self.call_id, self.own, self.peer = party, call_id, own, peer
        self.target, self.routes, self.cseq = target, routes, cseq
        self.media = None
        self.ended = False
        self.invite = self.answer = None

    def send(self, method, body="", more=(), cseq=None, **kw):
        """Sends a request of this dialog without waiting; its bytes."""
        if cseq is None:
            self.cseq += 1
            cseq = self.cseq
        kind = [("Content-Type", "application/sdp")] if body.startswith("v=0") else []
        routes = [("Route", r) for r in kw.get("routes", self.routes)]
        data = self.party.request(method, kw.get("target", self.target), self.own, self.peer,
                                  self.call_id, cseq, routes + kind + list(more), body)
        self.party.put(data)
        return data

    def ask(self, method, body="", more=(), **kw):
        """Sends a request and waits for its final answer, repeating it as UDP needs."""
        answer = self.party.final(self.send(method, body, more, **kw))
        if method == "INVITE":
            self.party.acknowledge(self, answer)
        return answer

    def bye(self):
        answer = self.ask("BYE")
        self.end()
        return answer

    def end(self):
        self.ended = True
        if self.media:
            self.media.close()


class Party:
    """A SIP element with one UDP socket: asks, answers, and keeps what it got."""

    def __init__(self, field, ns, ip, user, port=5060, gateway=INSIDE, domain="pbx.test"):
        self.field, self.ns, self.ip, self.user = field, ns, ip, user
        self.port, self.gateway, self.domain = port, gateway, domain
        self.password = None
        self.got, self.calls = [], []
        self.silent = set()
        self.on_request = None
        self.socket = field.udp(ns, ip, port)
        field.parties.append(self)
        field.watch(self.socket, self.received)

    # Out ----------------------------------------------------------------------------------------

    def put(self, data, to=None):
        self.field.send(self.socket, data, to or self.gateway)

    def request(self, method, target, own, peer, call_id, cseq, more=(), body="", branch=None):
        via = f"SIP/2.0/UDP {self.ip}:{self.port};branch=z9hG4bK{branch or token()};rport"
        contact = [] if any(n == "Contact" for n, _ in more) or method in ("ACK", "BYE") else [
            ("Contact", f"<sip:{self.user}@{self.ip}:{self.port}>")]
        return text(f"{method} {target} SIP/2.0",
                    [("Via", via), ("Max-Forwards", "70"), ("From", own), ("To", peer),
                     ("Call-ID", call_id), ("CSeq", f"{cseq} {method.upper()}")]
                    + contact + list(more), body)

    def outside_dialog(self, method, target, more=(), body="", call_id=None, cseq=1, own=None,
                       peer=None):
        """The bytes of a request outside a dialog."""
        own = own or f"<sip:{self.user}@{self.domain}>;tag={token(4)}"
        uri = target if target.startswith(("sip", "urn")) else f"sip:{target}@{self.domain}"
        peer = peer or f"<{uri}>"
        return self.request(method, target if ":" in target else uri, own, peer,
                            call_id or token(), cseq, more, body)

    def final(self, data, seconds=60, to=None):
        """The final answer to a request that was sent; it is sent again until one comes."""
        branch = re.search(rb"branch=([^;\r]+)", data).group(1).decode()
        method = re.search(rb"\r\nCSeq: \d+ (\S+)", data).group(1).decode()
        until, again, wait = time.time() + seconds, time.time() + 0.5, 0.5
        while time.time() < until:
            for m in self.answers(branch):
                if m.status >= 200 and m.method == method:
                    return m
            if time.time() > again:
                self.put(data, to)
                wait = min(wait * 2, 2.0)
                again = time.time() + wait
            time.sleep(0.004)
        raise Failed(f"no answer within {seconds} s to {data.splitlines()[0]!r} of {self.user}")

    def answers(self, branch):
        return [m for m in list(self.got) if m.is_response and branch in m.one("Via")]

    def ask(self, method, target, more=(), body="", **kw):
        data = self.outside_dialog(method, target, more, body, **kw)
        self.put(data)
        answer = self.final(data)
        if method == "INVITE" and answer.status >= 300:
            self.refused(data, answer)
        return answer

    def refused(self, data, answer):
        """ACK of a final answer that is no 2xx (RFC 3261 §17.1.1.3)."""
        m = Message(data, None)
        self.put(text(f"ACK {m.uri()} SIP/2.0",
                      [("Via", m.one("Via")), ("Max-Forwards", "70"), ("From", m.one("From")),
                       ("To", answer.one("To")), ("Call-ID", m.one("Call-ID")),
                       ("CSeq", m.one("CSeq").split()[0] + " ACK")]
                      + [("Route", r) for r in m.all("Route")]))

    def register(self, expires=600, more=(), contact=None, **kw):
        contact = contact or f"<sip:{self.user}@{self.ip}:{self.port}>"
        own, uri = f"<sip:{self.user}@{self.domain}>", f"sip:{self.domain}"
        more = [("Contact", contact), ("Expires", str(expires))] + list(more)
        named = dict(dict(own=f"{own};tag={token(4)}", peer=own, call_id=token()), **kw)
        answer = self.ask("REGISTER", uri, more, **named)
        if answer.status == 401 and self.password:
            proof = credentials(challenge_of(answer), self.user, self.password, "REGISTER", uri)
            return self.ask("REGISTER", uri, more + [proof], **dict(named, cseq=2))
        return answer

    def invite(self, target, sdp=None, more=(), **kw):
        """Sends an INVITE; the call that it may become, and its bytes."""
        media = Media(self.field, self.ns, self.ip)
        body = media.sdp() if sdp is None else sdp
        kind = [("Content-Type", "application/sdp")] if body else []
        data = self.outside_dialog("INVITE", target, kind + list(more), body, **kw)
        m = Message(data, None)
        call = Call(self, m.one("Call-ID"), m.one("From"), m.one("To"), m.uri(), [])
        call.media, call.invite = media, m
        self.put(data)
        return call, data

    def call(self, target, sdp=None, more=(), **kw):
        """Sets up a call whatever comes of it: the call and its final answer."""
        call, data = self.invite(target, sdp, more, **kw)
        call.answer = self.final(data)
        if call.answer.status < 300:
            self.acknowledge(call, call.answer)
            self.calls.append(call)
        else:
            self.refused(data, call.answer)
            call.media.close()
        return call

    def acknowledge(self, call, answer):
        cseq = int(answer.one("CSeq").split()[0])
        if answer.status >= 300:
            return
        call.peer, call.target = answer.one("To"), answer.target()
        if call.answer is None or not call.routes:
            call.routes = list(reversed(answer.all("Record-Route")))
        call.send("ACK", cseq=cseq)
        where = answer.media()
        if where and call.media:
            call.media.remote = where

    # In -----------------------------------------------------------------------------------------

    def received(self, data, source):
        if len(data) < 20:
            return
        m = Message(data, source)
        self.got.append(m)
        if m.is_response or (self.on_request and self.on_request(m)):
            return
        self.serve(m)

    def requests(self, method=None):
        return [m for m in list(self.got) if not m.is_response and method in (None, m.method)]

    def place(self, m):
        """The call that a request belongs to, by our tag or by what its INVITE was."""
        for call in self.calls:
            same = call.call_id == m.one("Call-ID")
            ours = m.tag("To") and f";tag={m.tag('To')}" in call.own
            again = not m.tag("To") and call.invite and call.invite.tag("From") == m.tag("From")
            if same and (ours or again) and not call.ended:
                return call
        return None

    def dialog(self, call):
        """This party's end of a call that another party set up."""
        return next(c for c in self.calls if c.call_id == call.call_id)

    def serve(self, m):
        """What any honest party answers."""
        call = self.place(m)
        if m.method == "ACK" or m.method in self.silent:
            return
        if m.method == "CANCEL":
            self.reply(m, 200)
        elif m.method == "INVITE":
            self.answered(m, call)
        elif m.method == "BYE" and call:
            call.end()
            self.reply(m, 200)
        else:
            self.reply(m, 200)

    def answered(self, m, call):
        where = m.media()
        if call is None:
            own = m.one("To") + f";tag={token(4)}"
            call = Call(self, m.one("Call-ID"), own, m.one("From"), m.target(),
                        m.all("Record-Route"), cseq=0)
            call.media, call.invite = Media(self.field, self.ns, self.ip), m
            self.calls.append(call)
        elif ";tag=" not in m.one("To") and m.one("CSeq") != call.invite.one("CSeq"):
            return
        self.reply(m, 200, call.media.sdp(), to=call.own)
        if where:
            call.media.remote = where

    def reply(self, m, status, body="", more=(), to=None, where=None, contact=None):
        phrase = {200: "OK", 180: "Ringing", 302: "Moved"}.get(status, "No")
        tag = "" if ";tag=" in m.one("To") or status == 100 else f";tag={token(4)}"
        keep = [(n, to if n == "To" and to else v + (tag if n == "To" else "")) for n, v in m.headers
                if n in ("Via", "From", "To", "Call-ID", "CSeq", "Record-Route")]
        kind = [("Content-Type", "application/sdp")] if body.startswith("v=0") else []
        if not any(n == "Contact" for n, _ in more):
            kind.append(("Contact", contact or f"<sip:{self.user}@{self.ip}:{self.port}>"))
        more = list(more)
        start = f"SIP/2.0 {status} {phrase}"
        if more and more[0][0] == "start":
            start = more.pop(0)[1]
        # Proxies near us stand first (RFC 3261 §12.1.1).
        near = [h for h in more if h[0] == "Record-Route"]
        rest = [h for h in more if h[0] != "Record-Route"]
        self.put(text(start, near + keep + kind + rest, body), where or m.source)


class Pbx(Party):
    """Registrar for everybody; proxies calls to who is registered (Record-Route, stateless, RFC 3261
    §16.11), takes every other call itself and talks."""

    def __init__(self, field, ip=PBX, domain="pbx.test"):
        super().__init__(field, "pbx", ip, "pbx", gateway=OUTSIDE, domain=domain)
        self.bindings, self.dialled = {}, []
        # Beginnings of names that it has no user of.
        self.unknown = set()

    def received(self, data, source):
        m = Message(data, source) if len(data) >= 20 else None
        if m and m.is_response and f"{self.ip}:5060;branch=z9hG4bKx" in m.one("Via"):
            self.back(m)
            return
        super().received(data, source)

    def contact(self, user):
        """Where a registered user of this domain is, as the gateway sealed it."""
        return self.bindings[f"{user}@{self.domain}"]

    def serve(self, m):
        user = m.aor()
        if m.method in ("INVITE", "REFER", "MESSAGE", "SUBSCRIBE") and ";tag=" not in m.one("To"):
            self.dialled.append(m.uri())
        own_route = m.one("Route").startswith(f"<sip:{self.ip}")
        if m.method == "REGISTER" and "REGISTER" not in self.silent:
            self.registered(m)
        elif own_route or (user in self.bindings and ";tag=" not in m.one("To")) \
                or (m.method in ("ACK", "CANCEL") and user in self.bindings):
            self.onward(m, own_route)
        else:
            super().serve(m)

    def registered(self, m):
        user = re.search(r"sip:([^>]*)>", m.one("To")).group(1)
        expires = m.one("Expires") or "600"
        if any(user.startswith(name) for name in self.unknown):
            self.reply(m, 404)
        elif expires == "0":
            self.bindings.pop(user, None)
            self.reply(m, 200)
        else:
            self.bindings[user] = m.target()
            self.reply(m, 200, more=[("Contact", f"<{m.target()}>;expires={expires}")])

    def onward(self, m, own_route):
        uri = m.uri() if own_route else self.bindings[m.aor()]
        came = re.search(r"branch=([^;,]+)", m.one("Via")).group(1)
        branch = hashlib.sha1((came + m.uri()).encode()).hexdigest()[:16]
        headers = [("Via", f"SIP/2.0/UDP {self.ip}:5060;branch=z9hG4bKx{branch}")]
        if m.method == "INVITE":
            headers.append(("Record-Route", f"<sip:{self.ip}:5060;lr>"))
        dropped = not own_route
        for n, v in m.headers:
            if n == "Route" and not dropped:
                dropped = True
            elif n != "Content-Length":
                headers.append((n, v))
        self.put(text(f"{m.method} {uri} SIP/2.0", headers, m.body), OUTSIDE)

    def back(self, m):
        headers = [(n, v) for n, v in m.headers if n != "Content-Length"]
        headers.remove(next(h for h in headers if h[0] == "Via"))
        self.put(text(m.start, headers, m.body), OUTSIDE)


# Addresses of strangers inside.
POOL = [f"10.17.0.{n}" for n in range(30, 42)]


def flood(field, ns, packets):
    """Sends `(address, octets)` from sockets of these addresses, in groups; the sockets, to be closed."""
    sockets = {}
    for n, (ip, data) in enumerate(packets):
        if ip not in sockets:
            sockets[ip] = field.udp(ns, ip)
        field.send(sockets[ip], data, INSIDE)
        if n % 50 == 49:
            time.sleep(0.005)
    return sockets


def packet(method, uri, ip, user, more=(), body="", own=None, port=5060, domain="pbx.test"):
    """A request of nobody in particular."""
    aor = f"<sip:{user}@{domain}>"
    own = own or f"{aor};tag={token(4)}"
    peer = f"<{uri}>" if method != "REGISTER" else aor
    kind = [("Content-Type", "application/sdp")] if body else []
    return text(f"{method} {uri} SIP/2.0", [
        ("Via", f"SIP/2.0/UDP {ip}:{port};branch=z9hG4bK{token()}"), ("Max-Forwards", "70"),
        ("From", own), ("To", peer), ("Call-ID", token()), ("CSeq", f"1 {method}"),
        ("Contact", f"<sip:{user}@{ip}:{port}>")] + kind + list(more), body)


class Field(Lab):
    """The gateway, its PBX, two phones that talk, and the attacker's sockets."""

    def __init__(self, name):
        super().__init__(name)
        self.selector = selectors.DefaultSelector()
        self.wake, self.waker = socket.socketpair()
        self.selector.register(self.wake, selectors.EVENT_READ, None)
        self.streams, self.ports, self.phones, self.parties = [], {}, {}, []
        self.stopped, self.stumbles = False, []
        self.gw = None
        for i in range(30, 46):
            sh(f"ip -n {self.ns['p3']} addr add 10.17.0.{i}/24 dev in")
        for i in (4, 5, 66):
            sh(f"ip -n {self.ns['pbx']} addr add 10.99.0.{i}/24 dev out")
        self.thread = threading.Thread(target=self.turn, daemon=True)
        self.thread.start()

    # Sockets and the parties' thread ---------------------------------------------------------------

    def udp(self, ns, ip, port=0):
        def make():
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            s.bind((ip, port))
            s.setblocking(False)
            return s
        return there(self.ns[ns], make)

    def tcp(self, ns, ip, to=INSIDE, buffer=None, seconds=5):
        def make():
            s = socket.socket()
            if buffer:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
            s.settimeout(seconds)
            s.bind((ip, 0))
            s.connect(to)
            return s
        return there(self.ns[ns], make)

    def next_port(self, ns):
        self.ports[ns] = self.ports.get(ns, 30000) + 2
        return self.ports[ns]

    def send(self, s, data, to):
        try:
            s.sendto(data, to)
        except OSError:
            # A full buffer is a lost datagram; whoever needs it sends it again.
            pass

    def watch(self, s, do):
        self.selector.register(s, selectors.EVENT_READ, do)
        self.waker.send(b".")

    def forget(self, s):
        try:
            self.selector.unregister(s)
        except (KeyError, ValueError):
            pass

    def turn(self):
        due = time.monotonic()
        while not self.stopped:
            for key, _ in self.selector.select(max(0, due - time.monotonic())):
                if key.data is None:
                    self.wake.recv(4096)
                    continue
                for _ in range(64):
                    try:
                        data, source = key.fileobj.recvfrom(65535)
                    except OSError:
                        break
                    try:
                        key.data(data, source)
                    except Exception as e:
                        self.stumbles.append(f"{e!r} over {data[:300]!r}")
            if time.monotonic() >= due:
                for stream in list(self.streams):
                    stream.tick()
                due = max(due + 0.02, time.monotonic())

    # What stands ---------------------------------------------------------------------------------

    def config(self, extra="", upstream="", limits="", media="", inside="", outside="", top=""):
        return f"""{top}
[[interface]]
name = "lan"
side = "inside"
address = "10.17.0.1"
networks = ["10.17.0.0/24"]
{inside}
[[interface]]
name = "wan"
side = "outside"
address = "10.99.0.1"
{outside}
[[upstream]]
name = "pbx"
address = "{PBX}:5060"
domain = "pbx.test"
probe = "0s"
{upstream}
[media]
ports = "20000-20399"
{media}
[limits]
calls = 100
{limits}
[state]
dir = "{self.dir}/state"
[audit]
dir = "{self.dir}/audit"
[log]
level = "info"
{extra}
"""

    def begin(self, config=None, domain="pbx.test"):
        """The gateway, the PBX, and 101 in a call with 102. Where the gateway is itself the registrar,
        phones prove the site's password, and `domain` is its address."""
        self.gw = self.gateway(config or self.config())
        self.pbx = Pbx(self)
        self.password = self.text("state/site-password").strip() or None
        self.a = Party(self, "p1", "10.17.0.21", "101", domain=domain)
        self.b = Party(self, "p2", "10.17.0.22", "102", domain=domain)
        for phone in (self.a, self.b):
            phone.password = self.password
            check(phone.register().status == 200, f"{phone.user} registers")
        self.talk()
        self.quiet = self.memory()

    def talk(self):
        self.standing = self.a.call("102")
        check(self.standing.answer.status == 200, f"101 calls 102: {self.standing.answer.start}")
        self.far = wait_for("102 is in the call", 5,
                            lambda: next((c for c in self.b.calls if not c.ended), None))
        self.audio()

    def phone(self, user, ip="10.17.0.23", port=5060, registered=True, **kw):
        """A phone of the attacker's, registered like any other; the one of before where there is one."""
        if user in self.phones:
            return self.phones[user]
        p = Party(self, "p3", ip, user, port, **dict(dict(domain=self.a.domain), **kw))
        p.password = self.password
        if registered:
            answer = p.register()
            check(answer.status == 200, f"{user} registers: {answer.start}")
        self.phones[user] = p
        return p

    def audio(self, packets=20):
        """The standing call: either party hears that many more packets of the other."""
        pair = (self.standing.media, self.far.media)
        for own, other in (pair, pair[::-1]):
            before = own.heard.get(other.ssrc, 0)
            wait_for("audio goes on", 60, lambda: own.heard.get(other.ssrc, 0) >= before + packets)

    def only_each_other(self):
        """Nobody else's packets reached the parties of the standing call."""
        for own, other in ((self.standing.media, self.far.media), (self.far.media, self.standing.media)):
            check(set(own.heard) <= {other.ssrc}, f"foreign packets: {own.heard}, not {other.ssrc}")

    def memory(self):
        """VmRSS and PSS of the gateway in MiB."""
        pid = self.pid()
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as f:
            rss = int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1)) / 1024
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii", errors="replace") as f:
            pss = int(re.search(r"^Pss:\s+(\d+)", f.read(), re.M).group(1)) / 1024
        return rss, pss

    def pid(self):
        """`ip netns exec` becomes the gateway itself."""
        return self.gw.pid

    def emergency(self, phone):
        """A registered phone's call to 112 reaches the PBX and is taken."""
        call = phone.call("112")
        check(call.answer.status == 200, f"112 of {phone.user}: {call.answer.start}")
        check(call.bye().status == 200, "112 ends")

    def next_call(self, phone, target="900"):
        call = phone.call(target)
        check(call.answer.status == 200, f"{phone.user} calls {target}: {call.answer.start}")
        wait_for("the next call's audio", 20, lambda: sum(call.media.heard.values()) >= 5)
        check(call.bye().status == 200, "it ends")

    def well(self, what):
        """All that an attack must not take from others, asked while it runs and after it."""
        try:
            check(self.gw.poll() is None, "the gateway ended")
            self.emergency(self.b)
            self.next_call(self.b)
            self.audio()
            self.only_each_other()
            check(not self.standing.ended and not self.far.ended, "the call is up")
            rss, pss = self.memory()
            check(rss < MEMORY and pss < MEMORY, f"memory: {rss:.0f} and {pss:.0f} MiB")
        except Failed as e:
            raise Failed(f"{what}: {e}") from None
        print(f"{what}: well, {rss:.0f} MiB", flush=True)

    def tidy(self):
        """What an attack left: parties serve as before, its calls are hung up."""
        for party in self.parties:
            party.on_request, party.silent = None, set()
        for party in self.parties:
            for call in party.calls:
                if not call.ended and call not in (self.standing, self.far):
                    try:
                        call.bye()
                    except Failed:
                        call.end()

    def end(self):
        """The standing call ends as it should, every stream is let go, the gateway stops."""
        check(self.standing.bye().status == 200, "the standing call ends")
        wait_for("no call is left", 40, lambda: self.metric("portreeve_active_calls") == 0)
        check(self.stop(self.gw, 75) == 0, "SIGTERM ends with code 0")
        check(sh([BINARY, "audit", "verify", self.path("audit")]), "the audit log is whole")
        check("panicked" not in self.text("gw.log"), "nothing panicked")
        check(not self.stumbles, "a party could not read: " + "\n".join(self.stumbles[:5]))

    def close(self):
        self.stopped = True
        super().close()


def gather(faults, what, attack, *args):
    """Runs one attack; its fault is told at the end, so that the others run all the same."""
    try:
        attack(*args)
        print(f"ok      {what}", flush=True)
    except Exception as e:
        said = str(e) if isinstance(e, Failed) else traceback.format_exc() + (getattr(e, "stdout", "") or "")
        print(f"FAILED  {what}: {said}", flush=True)
        faults.append(f"{what}: {said}")


def run(config, attacks, domain="pbx.test"):
    """One gateway, every attack on it in turn, and what holds after each. `attacks`: name → function
    of the field, which may call `well` itself while it runs."""
    only = sys.argv[1:]

    def scenario(_):
        field = Field(os.path.splitext(os.path.basename(sys.argv[0]))[0])
        faults = []
        try:
            field.begin(config(field), domain)
            print(f"quiet: {field.quiet[0]:.0f} MiB", flush=True)
            for name, attack in attacks.items():
                if not only or any(o in name for o in only):
                    gather(faults, name, attack, field)
                    field.tidy()
                    gather(faults, f"{name}, afterwards", field.well, name)
            gather(faults, "the end", field.end)
            check(not faults, "\n".join(faults) + "\n" + field.text("gw.log")[-3000:])
        finally:
            field.close()

    try:
        scenario(None)
    except Failed as e:
        print(e)
        sys.exit(1)
