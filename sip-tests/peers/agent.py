"""Many calls of one party at once: a small SIP user agent whose RTP is played from `impair` and
whose RTCP says what its plan says. Started by a scenario in a namespace: `agent.py PLAN.json`.

It keeps deadlines of a monotonic clock and sends what is late at once and in order. As a far end
it pretends a network: a sender report that arrived at t is answered at t + rtt + hold, and the
answer says that it was held for what lies beyond rtt; its NTP clock may be wrong by days."""
import heapq
import json
import os
import re
import selectors
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from impair import Stream  # noqa: E402

STAMP = 35  # SO_TIMESTAMPNS
EPOCH = 2_208_988_800


class Message:
    def __init__(self, data):
        head, _, self.body = data.decode("latin-1").partition("\r\n\r\n")
        self.start, *lines = head.split("\r\n")
        self.headers = [tuple(x.strip() for x in line.split(":", 1)) for line in lines]

    def all(self, name):
        return [v for n, v in self.headers if n.lower() == name.lower()]

    def one(self, name):
        return (self.all(name) or [""])[0]

    def media(self):
        ip = re.search(r"^c=IN IP4 (\S+)", self.body, re.M).group(1)
        return ip, int(re.search(r"^m=audio (\d+)", self.body, re.M).group(1))


class Party:
    """One call as this agent sees it."""

    def __init__(self, agent, call):
        self.agent, self.call, self.name = agent, call, call["name"]
        self.stream = Stream(call["plan"]) if call["plan"] else None
        sent = self.stream.sent if self.stream else []
        self.due = [(m.at, self.stream.bytes(m), m) for m in sent]
        self.rtp = self.bound(call["port"])
        self.rtcp = self.bound(call["port"] + 1)
        self.rtcp.setsockopt(socket.SOL_SOCKET, STAMP, 1)
        agent.poll.register(self.rtcp, selectors.EVENT_READ, self.reported)
        self.remote = self.up = None
        self.next = self.octets = 0
        self.reports, self.log = [], []
        self.ended = False
        self.version = 0

    def bound(self, port):
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind((self.agent.ip, port))
        s.setblocking(False)
        return s

    # Media ------------------------------------------------------------------------------------

    def start(self, remote):
        if self.up is not None:
            return
        self.remote, self.up = remote, time.monotonic()
        self.play()
        rtcp = self.call["rtcp"]
        if rtcp and not rtcp.get("silent"):
            self.agent.at(self.up + 0.3, self.own_report)
        for n, (seconds, count) in enumerate(self.call.get("strangers", ())):
            self.agent.at(self.up + seconds, lambda c=count, k=n: self.stranger(c, k))

    def play(self):
        now = time.monotonic() - self.up
        while self.next < len(self.due) and self.due[self.next][0] <= now:
            data = self.due[self.next][1]
            self.rtp.sendto(data, self.remote)
            self.octets += len(data) - 12
            self.next += 1
        if self.next < len(self.due):
            self.agent.at(self.up + self.due[self.next][0], self.play)
        else:
            self.agent.finished(self)

    def stranger(self, count, n):
        with self.bound(self.call["port"] + 500 + n) as s:
            for i in range(count):
                head = struct.pack(">BBHII", 0x80, 0, i, i * 160, 0xdead)
                s.sendto(head + bytes(160), self.remote)

    # RTCP -------------------------------------------------------------------------------------

    def ssrc(self):
        if not self.stream:
            return 0x51515151 ^ self.call["port"]
        return (self.due[max(self.next - 1, 0)][2]).ssrc

    def own_report(self):
        if self.ended:
            return
        self.send_report(None)
        self.agent.at(time.monotonic() + self.call["rtcp"].get("interval", 1.0), self.own_report)

    def send_report(self, block):
        r = self.call["rtcp"]
        now = time.time() + r.get("offset", 0.0)
        ntp = int((now + EPOCH) * (1 << 32)) & (1 << 64) - 1
        blocks = block or b""
        if block is not None and r.get("kind", "rr") == "rr":
            out = struct.pack(">BBHI", 0x81, 201, 1 + len(blocks) // 4, self.ssrc()) + blocks
        else:
            clock = self.stream.plan["clock"] if self.stream else 8000
            stamp = int((time.monotonic() - self.up) * clock)
            first = self.stream.plan["ts"] if self.stream else 0
            out = struct.pack(">BBHIQIII", 0x80 | (block is not None), 200, 6 + len(blocks) // 4,
                              self.ssrc(), ntp, (first + stamp) & 0xffffffff, self.next,
                              self.octets) + blocks
        name = f"{self.name}@{self.agent.ip}".encode()
        item = struct.pack(">BB", 1, len(name)) + name + b"\0"
        item += bytes(-len(item) % 4)
        out += struct.pack(">BBHI", 0x81, 202, 1 + len(item) // 4, self.ssrc()) + item
        xr = r.get("xr")
        if block is not None and xr:
            out += struct.pack(">BBHI", 0x80, 207, 10, self.ssrc()) + voip_metrics(block[:4], xr)
        if r.get("encrypted"):
            # RFC 3711 §3.4: only the first eight octets are plain.
            sealed = os.urandom(len(out) - 8)
            out = out[:8] + sealed + struct.pack(">I", 0x80000001) + os.urandom(10)
        self.rtcp.sendto(out, (self.remote[0], self.remote[1] + 1))

    def reported(self):
        data, extra, _, _ = self.rtcp.recvmsg(4096, 256)
        stamp = time.time()
        for level, kind, value in extra:
            if level == socket.SOL_SOCKET and kind == STAMP:
                s, ns = struct.unpack("qq", value[:16])
                stamp = s + ns / 1e9
        r = self.call["rtcp"]
        if not r or r.get("deaf") or len(data) < 28 or data[1] != 200 or r.get("encrypted"):
            return
        ssrc, ntp = struct.unpack_from(">IQ", data, 4)
        self.reports.append((ssrc, ntp >> 16 & 0xffffffff, stamp))
        if len(self.reports) > r.get("lag", 0):
            answered = self.reports[-1 - r.get("lag", 0)]
            due = stamp + r["rtt"] + r.get("hold", 0.1)
            self.agent.at(time.monotonic() + due - time.time(), lambda: self.answer(answered))

    def answer(self, report):
        if self.ended:
            return
        r = self.call["rtcp"]
        ssrc, middle, stamp = report
        held = int((time.time() - stamp - r["rtt"]) * 65536)
        self.send_report(struct.pack(">IIIIII", ssrc, (r.get("fraction", 0) << 24)
                                     | r.get("lost", 0) & 0xffffff, 4711, r.get("jitter", 0),
                                     middle, held))

    # SIP --------------------------------------------------------------------------------------

    def sdp(self, direction="sendrecv"):
        self.version += 1
        c = self.call
        types = " ".join(str(n) for n, _ in c["formats"])
        maps = "".join(f"a=rtpmap:{n} {text}\r\n" for n, text in c["formats"] if text)
        ip = self.agent.ip
        return (f"v=0\r\no=- 1 {self.version} IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n"
                f"m=audio {c['port']} {c.get('profile', 'RTP/AVP')} {types}\r\n{maps}"
                + c.get("more", "") + f"a=ptime:{c.get('ptime', 20)}\r\na={direction}\r\n")


def voip_metrics(ssrc, x):
    """RFC 3611 §4.7."""
    return struct.pack(">BBH4sBBBBHHHHBBBBBBBBBBHHH", 7, 0, 8, ssrc, x.get("loss", 0),
                       x.get("discard", 0), x.get("burst_density", 0), x.get("gap_density", 0),
                       x.get("burst", 0), x.get("gap", 0), x.get("rtt", 0), x.get("end", 0),
                       0x80 - 20, 0x80 - 60, 127, 16, x.get("r", 127), 127, x.get("lq", 127),
                       x.get("cq", 127), 0, 0, 40, 80, 120)


class Agent:
    def __init__(self, plan):
        self.plan, self.ip, self.folder = plan, plan["ip"], plan["folder"]
        self.gateway = tuple(plan["gateway"])
        self.poll = selectors.DefaultSelector()
        self.sip = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sip.bind((self.ip, 5060))
        self.sip.setblocking(False)
        self.poll.register(self.sip, selectors.EVENT_READ, self.received)
        self.timers, self.count = [], 0
        self.parties = {c["name"]: Party(self, c) for c in plan["calls"]}

    def at(self, when, do):
        self.count += 1
        heapq.heappush(self.timers, (when, self.count, do))

    def run(self, seconds):
        until = time.monotonic() + seconds
        while time.monotonic() < until and not all(p.ended for p in self.parties.values()):
            now = time.monotonic()
            while self.timers and self.timers[0][0] <= now:
                heapq.heappop(self.timers)[2]()
            wait = (self.timers[0][0] if self.timers else until) - time.monotonic()
            for key, _ in self.poll.select(max(0, min(wait, until - now))):
                try:
                    key.data()
                except BlockingIOError:
                    pass
        return [n for n, p in self.parties.items() if not p.ended]

    def flag(self, name, what):
        return os.path.join(self.folder, f"{what}-{name}")

    def finished(self, party):
        with open(self.flag(party.name, self.plan["role"]), "w", encoding="utf-8"):
            pass

    def received(self):
        data, _ = self.sip.recvfrom(65535)
        if len(data) > 20:
            m = Message(data)
            (self.response if m.start.startswith("SIP/2.0") else self.request)(m)


class Callee(Agent):
    def reply(self, m, party, body=""):
        tag = "" if ";tag=" in m.one("To") else f";tag=b{party.name}"
        keep = [f"{n}: {v}" + (tag if n == "To" else "") for n, v in m.headers
                if n in ("Via", "From", "To", "Call-ID", "CSeq", "Record-Route")]
        kind = ["Content-Type: application/sdp"] if body else []
        return "\r\n".join(["SIP/2.0 200 OK"] + keep + [f"Contact: <sip:b@{self.ip}:5060>"] + kind
                           + [f"Content-Length: {len(body)}", "", body]).encode()

    def request(self, m):
        method = m.start.split()[0]
        user = re.search(r"c\d\d[a-z_]*", m.one("To")).group(0)
        party = self.parties[user]
        number = m.one("CSeq").split()[0]
        if method == "INVITE":
            if party.log and party.log[-1][0] == number:
                return
            party.offered = m.media()
            direction = "inactive" if "a=inactive" in m.body else "sendrecv"
            party.log.append([number, self.reply(m, party, party.sdp(direction)), False])
            self.answer(party, party.log[-1])
        elif method == "ACK":
            for row in party.log:
                row[2] |= row[0] == number
            party.start(party.offered)
        elif method == "BYE":
            party.ended = True
            self.sip.sendto(self.reply(m, party), self.gateway)

    def answer(self, party, row, wait=0.5):
        if not row[2] and wait < 17:
            self.sip.sendto(row[1], self.gateway)
            self.at(time.monotonic() + wait, lambda: self.answer(party, row, wait * 2))


class Caller(Agent):
    def begin(self):
        for i, p in enumerate(self.parties.values()):
            p.cseq, p.to, p.target, p.routes, p.answered = 0, "", "", [], {}
            p.user = f"sip:{p.name}@{self.gateway[0]}"
            self.at(time.monotonic() + 0.02 * i, lambda p=p: self.ask(p, "INVITE", p.sdp()))

    def ask(self, p, method, body="", cseq=None):
        if cseq is None:
            p.cseq += 1
        n = cseq or p.cseq
        kind = "Content-Type: application/sdp\r\n" if body else ""
        routes = "".join(f"Route: {r}\r\n" for r in p.routes)
        data = (f"{method} {p.target or p.user} SIP/2.0\r\n"
                f"Via: SIP/2.0/UDP {self.ip}:5060;branch=z9hG4bK{p.name}{method}{n}\r\n{routes}"
                f"From: <sip:u{p.name}@{self.ip}>;tag=a{p.name}\r\nTo: {p.to or f'<{p.user}>'}\r\n"
                f"Call-ID: {p.name}-{os.getpid()}\r\nCSeq: {n} {method}\r\nMax-Forwards: 70\r\n"
                f"Contact: <sip:u{p.name}@{self.ip}:5060>\r\n{kind}"
                f"Content-Length: {len(body)}\r\n\r\n{body}").encode()
        self.sip.sendto(data, self.gateway)
        if method != "ACK":
            self.at(time.monotonic() + 0.5, lambda: self.again(p, (n, method), data, 1.0))

    def again(self, p, key, data, wait):
        if key not in p.answered and wait < 17:
            self.sip.sendto(data, self.gateway)
            self.at(time.monotonic() + wait, lambda: self.again(p, key, data, wait * 2))

    def response(self, m):
        number, method = m.one("CSeq").split()
        name = re.match(r"c\d\d[a-z_]*", m.one("Call-ID")).group(0)
        p, key, status = self.parties[name], (int(number), method), int(m.start.split()[1])
        fresh = p.answered.get(key, 100) < 200
        p.answered[key] = status
        if status < 200:
            return
        if status >= 300:
            print(f"{name}: {method} {m.start}", flush=True)
            sys.exit(1)
        if method == "BYE":
            p.ended = True
        elif method == "INVITE":
            p.to, p.routes = m.one("To"), list(reversed(m.all("Record-Route")))
            p.target = re.search(r"<([^>]+)>", m.one("Contact")).group(1)
            self.ask(p, "ACK", cseq=int(number))
            if fresh and key[0] == 1:
                p.start(m.media())
                self.plan_end(p)

    def plan_end(self, p):
        hold = p.call.get("hold")
        if hold:
            self.at(p.up + hold[0], lambda: self.ask(p, "INVITE", p.sdp("inactive")))
            self.at(p.up + hold[1], lambda: self.ask(p, "INVITE", p.sdp("sendrecv")))
        self.at(p.up + p.call["seconds"], lambda: self.leave(p))

    def leave(self, p):
        flags = [self.flag(p.name, who) for who in ("caller", "callee")]
        if all(os.path.exists(f) for f in flags + [os.path.join(self.folder, "release")]):
            self.ask(p, "BYE")
        else:
            self.at(time.monotonic() + 0.1, lambda: self.leave(p))


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        plan = json.load(f)
    agent = {"caller": Caller, "callee": Callee}[plan["role"]](plan)
    print("ready", flush=True)
    if plan["role"] == "caller":
        agent.begin()
    left = agent.run(plan["limit"])
    print("left:", left, flush=True)
    sys.exit(1 if left else 0)


if __name__ == "__main__":
    main()
