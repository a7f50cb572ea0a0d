"""Both ends of the calls that are measured: a phone that calls, a party that answers at once, and
speech of their own (G.711, 20 ms) in which each packet says when it was sent. One thread, sockets
in two namespaces, one clock: what took how long is known without any guess."""
import heapq
import os
import re
import selectors
import socket
import struct
import time

from agent import Message, STAMP
from place import PARTY, PHONE

GATEWAY = ("10.17.0.1", 5060)
PTIME, SIZE = 0.02, 160
# Seconds between looks at whether what is waited for is so.
LOOK = 0.05
# Attributes that a phone with much to say has in its SDP: with them no INVITE fits into 1280.
MUCH = "".join(f"a=x-portreeve-{n:02}:{'0123456789' * 4}\r\n" for n in range(12))


class Voice:
    """What one end of a call says and hears, by sequence number: when it was sent, when it came."""

    def __init__(self, ends, where, ip, port):
        self.ends, self.ip, self.port = ends, ip, port
        with where:
            self.socket = ends.bound(ip, port)
        ends.poll.register(self.socket, selectors.EVENT_READ, self.hear)
        self.remote, self.speaks = None, False
        self.ssrc, self.sent, self.came, self.late = 1 + port, {}, {}, 0

    def speak(self, begin, pace):
        """From that time on a packet each `pace` seconds."""
        self.speaks, self.due, self.pace = True, begin, pace
        self.ends.at(begin, self.say)

    def say(self):
        now = time.monotonic()
        while self.speaks and self.due <= now:
            self.late += now - self.due > 0.01
            number, stamp = len(self.sent), time.time_ns()
            head = struct.pack(">BBHIIQ", 0x80, 0 if number else 0x80, number & 0xffff,
                               number * 160, self.ssrc, stamp)
            self.sent[number] = stamp / 1e9
            try:
                self.socket.sendto(head + bytes(SIZE - 8), self.remote)
            except OSError:
                pass  # lost, as in a network
            self.due += self.pace
        if self.speaks:
            self.ends.at(self.due, self.say)

    def hear(self):
        data, extra, _, _ = self.socket.recvmsg(2048, 64)
        arrived = time.time()
        for _, kind, value in extra:
            if kind == STAMP:
                seconds, nanos = struct.unpack("qq", value[:16])
                arrived = seconds + nanos / 1e9
        if len(data) == 12 + SIZE:
            self.came.setdefault(struct.unpack_from(">H", data, 2)[0], arrived)

    def close(self):
        self.speaks = False
        self.ends.poll.unregister(self.socket)
        self.socket.close()


class Call:
    """One call, as both ends see it; times are of the monotonic clock."""

    def __init__(self, ends, number):
        self.id, self.number = f"{number}-{os.getpid()}@matrix", number
        self.asked = time.monotonic()
        self.answered = self.ended = self.status = None
        self.to, self.target = f"<sip:c{number}@pbx.test>", f"sip:c{number}@pbx.test"
        self.routes = []
        port = 30000 + 4 * (number % 8000)
        self.near = Voice(ends, ends.place.inside("phone"), PHONE, port)
        self.far = Voice(ends, ends.place.inside("party"), PARTY, port)
        self.answer, self.acknowledged = None, False

    def close(self):
        self.near.close()
        self.far.close()


def sdp(voice, more=""):
    return (f"v=0\r\no=- 1 1 IN IP4 {voice.ip}\r\ns=-\r\nc=IN IP4 {voice.ip}\r\nt=0 0\r\n"
            f"m=audio {voice.port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=ptime:20\r\n"
            f"{more}a=sendrecv\r\n")


class Ends:
    def __init__(self, place):
        self.place, self.calls, self.count = place, {}, 0
        self.poll, self.timers, self.order = selectors.DefaultSelector(), [], 0
        with place.inside("phone"):
            self.phone = self.bound(PHONE, 5060)
        with place.inside("party"):
            self.party = self.bound(PARTY, 5060)
        self.poll.register(self.phone, selectors.EVENT_READ, lambda: self.got(self.phone))
        self.poll.register(self.party, selectors.EVENT_READ, lambda: self.got(self.party))

    @staticmethod
    def bound(ip, port):
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.setsockopt(socket.SOL_SOCKET, STAMP, 1)
        s.bind((ip, port))
        s.setblocking(False)
        return s

    def at(self, when, do):
        self.order += 1
        heapq.heappush(self.timers, (when, self.order, do))

    def run(self, seconds, until=lambda: False):
        """Serves both ends for so long, or until something is so; whether it is."""
        end = time.monotonic() + seconds
        while not until():
            now = time.monotonic()
            if now >= end:
                return False
            while self.timers and self.timers[0][0] <= now:
                heapq.heappop(self.timers)[2]()
            wait = min(self.timers[0][0] if self.timers else end, end, now + LOOK) - time.monotonic()
            for key, _ in self.poll.select(max(0.0, wait)):
                try:
                    key.data()
                except BlockingIOError:
                    pass
                except ConnectionError:
                    pass
        return True

    def close(self):
        self.forget()
        for s in (self.phone, self.party):
            self.poll.unregister(s)
            s.close()

    def forget(self):
        """Calls of before, answered or not."""
        for call in self.calls.values():
            call.close()
        self.calls, self.timers = {}, []

    # SIP ------------------------------------------------------------------------------------------

    def got(self, at):
        data, source = at.recvfrom(65535)
        if len(data) < 20:
            return
        m = Message(data)
        mine = [c for c in self.calls.values() if c.id == m.one("Call-ID")]
        call = self.named(m) if at is self.party else (mine or [None])[0]
        if m.start.startswith("SIP/2.0"):
            if call and at is self.phone:
                self.response(call, m)
        elif at is self.party:
            self.asked(call, m, source)
        elif call:
            # The gateway ends the call of a phone.
            call.ended = call.ended or time.monotonic()
            self.phone.sendto(reply(m, "200 OK", PHONE), source)

    def named(self, m):
        """Of which call a request at the party is: a gateway may give it another Call-ID."""
        number = re.search(r"sip:c(\d+)@", m.one("To"))
        return number and self.calls.get(int(number.group(1)))

    def asked(self, call, m, source):
        method = m.start.split()[0]
        if method == "ACK" and call:
            call.acknowledged = True
        elif method == "INVITE" and call:
            if call.answer is None:
                call.far.remote = m.media()
                call.answer = reply(m, "200 OK", PARTY, sdp(call.far))
                self.say_yes(call, source, 0.5)
        elif method == "INVITE":
            self.party.sendto(reply(m, "404 Not Found", PARTY), source)
        elif method != "ACK":
            if call and method == "BYE":
                call.ended = call.ended or time.monotonic()
            self.party.sendto(reply(m, "200 OK", PARTY), source)

    def say_yes(self, call, to, wait):
        if not call.acknowledged and call.number in self.calls and wait < 17:
            self.party.sendto(call.answer, to)
            self.at(time.monotonic() + wait, lambda: self.say_yes(call, to, min(wait * 2, 4)))

    def ask(self, call, method, body="", cseq=1, wait=0.5):
        kind = "Content-Type: application/sdp\r\n" if body else ""
        routes = "".join(f"Route: {r}\r\n" for r in call.routes)
        data = (f"{method} {call.target} SIP/2.0\r\nVia: SIP/2.0/UDP {PHONE}:5060;branch="
                f"z9hG4bK{call.number}{method}{cseq}.{os.getpid()}\r\n{routes}"
                f"From: <sip:101@pbx.test>;tag=t{call.number}\r\nTo: {call.to}\r\n"
                f"Call-ID: {call.id}\r\nCSeq: {cseq} {method}\r\nMax-Forwards: 70\r\n"
                f"Contact: <sip:101@{PHONE}:5060>\r\n{kind}"
                f"Content-Length: {len(body)}\r\n\r\n{body}").encode()
        self.phone.sendto(data, GATEWAY)
        if method != "ACK":
            self.at(time.monotonic() + wait, lambda: self.again(call, method, data, wait * 2))

    def again(self, call, method, data, wait):
        heard = call.status is not None if method == "INVITE" else call.ended
        if call.number in self.calls and not heard and wait < 17:
            self.phone.sendto(data, GATEWAY)
            self.at(time.monotonic() + wait, lambda: self.again(call, method, data, wait * 2))

    def response(self, call, m):
        number, method = m.one("CSeq").split()
        status = int(m.start.split()[1])
        if method == "BYE" and status >= 200:
            call.ended = call.ended or time.monotonic()
        if method != "INVITE":
            return
        call.status = status
        if status < 200:
            return
        if status < 300:
            call.to, call.routes = m.one("To"), list(reversed(m.all("Record-Route")))
            call.target = re.search(r"<([^>]+)>", m.one("Contact")).group(1)
            if call.answered is None:
                call.answered = time.monotonic()
                call.near.remote = m.media()
            self.ask(call, "ACK", cseq=int(number))
        else:
            before, call.to = call.to, m.one("To")
            self.ask(call, "ACK", cseq=int(number))
            call.to = before

    # Calls ----------------------------------------------------------------------------------------

    def call(self, much=0):
        """Begins one; `much`: so many times what a phone with much to say says."""
        self.count += 1
        call = self.calls[self.count] = Call(self, self.count)
        self.ask(call, "INVITE", sdp(call.near, MUCH * much))
        return call

    def answered(self, call, seconds):
        """Whether it is answered within that time."""
        return self.run(seconds, lambda: call.answered or (call.status or 0) >= 300) \
            and call.answered is not None

    def hang_up(self, call):
        self.ask(call, "BYE", cseq=2)
        return self.run(6, lambda: call.ended)


def reply(m, status, ip, body=""):
    tag = "" if ";tag=" in m.one("To") else ";tag=party"
    keep = [f"{n}: {v}" + (tag if n.lower() == "to" else "") for n, v in m.headers
            if n.lower() in ("via", "from", "to", "call-id", "cseq", "record-route")]
    kind = ["Content-Type: application/sdp"] if body else []
    return "\r\n".join([f"SIP/2.0 {status}", *keep, f"Contact: <sip:echo@{ip}:5060>", *kind,
                        f"Content-Length: {len(body)}", "", body]).encode()
