#!/usr/bin/env python3
"""A wire between two devices of its namespace, which does to IP packets of both directions what it
is told: loses, delays, reorders and blocks them, and is narrow or down. Whatever the packets are
of, UDP or TCP. It is told by lines of JSON on its standard input (`DEFAULTS`; a line changes what
it names) and answers each by a line: packets and octets of IP that came to it, by direction, and
how late it was itself at most since it was last told what to lose.

Loss and reordering are drawn from a seed, so many of each hundred packets at random places: two
calls see the same share, whatever their luck."""
import heapq
import json
import os
import random
import selectors
import socket
import struct
import sys
import time

DEFAULTS = dict(
    loss=0.0,        # packets of a hundred that are lost
    delay=0.0,       # milliseconds one way
    reorder=0.0,     # packets of a hundred that are overtaken …
    behind=30.0,     # … for they come so many milliseconds later
    mtu=1500,        # longer packets of IP are not carried …
    tells=True,      # … and their sender is told so (RFC 1191), or is not
    only=[],         # what is let through at all, as ["udp:443"]; empty: everything
    without=[],      # what is not, as ["udp"]
    down=False,
    seed=1)
ROUTER = bytes([10, 99, 0, 254])
ARP, IPV4 = b"\x08\x06", b"\x08\x00"
STAMP = 35  # SO_TIMESTAMPNS
PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp"}


class Draw:
    """Says of one packet after the other whether it is one of so many in a hundred."""

    def __init__(self, share, seed):
        self.share, self.random = share, random.Random(seed)
        self.left = []

    def __call__(self):
        if not self.share:
            return False
        if not self.left:
            # A share of 0.5 is one of two hundred.
            block = 100 if self.share == int(self.share) else 1000
            chosen = set(self.random.sample(range(block), round(self.share * block / 100)))
            self.left = [n in chosen for n in range(block)]
        return self.left.pop()


def checksum(data):
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def too_big(frame, mtu):
    """The answer of a router to a packet that does not fit: to whom it came from."""
    head = frame[14:14 + (frame[14] & 15) * 4 + 8]
    head += bytes(len(head) % 2)
    icmp = struct.pack(">BBHHH", 3, 4, 0, 0, mtu) + head
    icmp = icmp[:2] + struct.pack(">H", checksum(icmp)) + icmp[4:]
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(icmp), 0, 0, 64, 1, 0, ROUTER, frame[26:30])
    ip = ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:]
    return frame[6:12] + frame[0:6] + IPV4 + ip + icmp


class Direction:
    """From one device to the other."""

    def __init__(self, name, taken, given):
        self.name, self.taken, self.given = name, taken, given
        self.packets = self.octets = 0


class Wire:
    def __init__(self, site, office):
        ends = [self.opened(device) for device in (site, office)]
        self.directions = [Direction("up", ends[0], ends[1]), Direction("down", ends[1], ends[0])]
        self.due, self.count = [], 0
        self.latest = 0.0
        self.told(DEFAULTS)

    @staticmethod
    def opened(device):
        s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        s.bind((device, 3))
        s.setsockopt(263, 23, 1)  # SOL_PACKET, PACKET_IGNORE_OUTGOING
        s.setsockopt(socket.SOL_SOCKET, STAMP, 1)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        s.setblocking(False)
        return s

    def told(self, news):
        """From now on this holds."""
        self.now = dict(getattr(self, "now", {}), **news)
        if not news.keys() & {"loss", "reorder", "seed"}:
            return
        self.latest = 0.0
        for n, direction in enumerate(self.directions):
            direction.lost = Draw(self.now["loss"], self.now["seed"] + n)
            direction.overtaken = Draw(self.now["reorder"], self.now["seed"] + 10 + n)

    def says(self):
        told = {d.name: [d.packets, d.octets] for d in self.directions}
        return dict(told, late_ms=round(self.latest * 1000, 1))

    def is_let_through(self, frame):
        protocol = PROTOCOLS.get(frame[23], "other")
        at = 14 + (frame[14] & 15) * 4
        names = {protocol}
        if protocol in ("udp", "tcp") and not struct.unpack_from(">H", frame, 20)[0] & 0x1fff:
            names |= {f"{protocol}:{p}" for p in struct.unpack_from(">HH", frame, at)}
        # A network that lets something through lets its errors through, too.
        named = not self.now["only"] or protocol == "icmp" or names & set(self.now["only"])
        return bool(named) and not names & set(self.now["without"])

    def came(self, direction):
        """Everything that waits at a device."""
        while True:
            try:
                frame, extra, _, _ = direction.taken.recvmsg(65535, 128)
            except BlockingIOError:
                return
            arrived = time.time()
            for _, kind, value in extra:
                if kind == STAMP:
                    seconds, nanos = struct.unpack("qq", value[:16])
                    arrived = seconds + nanos / 1e9
            self.carry(direction, frame, arrived)

    def carry(self, direction, frame, arrived):
        if frame[12:14] == ARP:
            if not self.now["down"]:
                self.give(direction, frame)
            return
        if frame[12:14] != IPV4:
            return
        size = struct.unpack_from(">H", frame, 16)[0]
        direction.packets += 1
        direction.octets += size
        if self.now["down"] or not self.is_let_through(frame):
            return
        if size > self.now["mtu"]:
            if self.now["tells"]:
                self.give(direction, too_big(frame, self.now["mtu"]), back=True)
            return
        if direction.lost():
            return
        wait = self.now["delay"] + (self.now["behind"] if direction.overtaken() else 0.0)
        if not wait:
            self.give(direction, frame)
            return
        self.count += 1
        heapq.heappush(self.due, (arrived + wait / 1000, self.count, direction, frame))

    def give(self, direction, frame, back=False):
        try:
            (direction.taken if back else direction.given).send(frame)
        except OSError:
            pass  # the device is down, or full

    def run(self):
        poll = selectors.DefaultSelector()
        for direction in self.directions:
            poll.register(direction.taken, selectors.EVENT_READ, direction)
        poll.register(sys.stdin, selectors.EVENT_READ, None)
        while True:
            wait = self.due[0][0] - time.time() if self.due else None
            for key, _ in poll.select(wait if wait is None else max(0.0, wait)):
                if key.data:
                    self.came(key.data)
                    continue
                line = os.read(0, 65536)
                if not line:
                    return
                for news in line.splitlines():
                    self.told(json.loads(news))
                    print(json.dumps(self.says()), flush=True)
            now = time.time()
            while self.due and self.due[0][0] <= now:
                at, _, direction, frame = heapq.heappop(self.due)
                self.latest = max(self.latest, now - at)
                self.give(direction, frame)


if __name__ == "__main__":
    wire = Wire(*sys.argv[1:3])
    print("ready", flush=True)
    wire.run()
