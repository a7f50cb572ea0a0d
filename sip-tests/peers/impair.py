"""A seeded RTP source behind a bad network: from a plan it derives every packet that one party
sends, when, and what the network did to it, before anything is sent. The list is the truth that
measurements are held against; a late sender changes arrival times (which a capture shows), never
the list.

A plan is a dict; everything but `count` has a default:

    count, ptime     packets' worth of media time, milliseconds of each
    start            seconds after the call is up
    pt, clock, size  payload type, ticks a second, octets of payload
    seq, ts, ssrc    first values
    seed             of all that is random
    loss             0.05 | {"enter": p, "leave": q} (Gilbert: loses all inside) | {"at": [n, …]}
    duplicate        share sent twice; `duplicate_after`: milliseconds until the copy
    swap             share that changes place with its successor
    jitter           {"uniform": ms} | {"exponential": mean ms} added to each packet's time
    silences         [[from, to, comfort noise?]]: no speech, media time goes on
    events           [[at, packets]]: RFC 4733 instead of speech (type 101), its end three times
    changes          {at: {"ssrc":…, "seq":…, "ts":…}}: a restart, of a new source or the same;
                     with "segment" (0: the first) a source that was there before goes on
    strays           [[at, back]]: at `at` the packet of `back` before it comes once more
    late             [[at, by]]: this packet comes after the one `by` behind it
    foreign          [[from, to, pt]]: payload type that no SDP holds
"""
import collections
import hashlib
import random
import struct

EVENT, NOISE = 101, 13
# RFC 3550 A.1: what is further behind, or ahead, is of no sequence that a receiver follows. It was
# received, and counts as nothing else.
MISORDER, DROPOUT = 100, 3000
Packet = collections.namedtuple("Packet", "at seq ts ssrc pt marker kind segment size")

DEFAULTS = dict(ptime=20, start=0.0, pt=0, clock=8000, size=160, seq=1000, ts=1_000_000,
                ssrc=None, seed=1, loss=0.0, duplicate=0.0, duplicate_after=0.2, swap=0.0,
                jitter=None, silences=(), events=(), changes=None, strays=(), late=(), foreign=())


class Stream:
    """What a plan becomes: `sent` in order of sending, `segments` of what was meant to be sent."""

    def __init__(self, plan):
        self.plan = dict(DEFAULTS, **plan)
        unknown = set(plan) - set(DEFAULTS) - {"count"}
        if unknown:
            raise ValueError(f"plan: {unknown}")
        self.random = random.Random(self.plan["seed"])
        if self.plan["ssrc"] is None:
            self.plan["ssrc"] = self.random.getrandbits(32) | 1
        self.meant = self._media()
        self.lost = self._losses()
        self.sent = self._network()

    def _media(self):
        """One packet a tick, as a phone with a perfect network would send them."""
        p, out = self.plan, []
        tick = p["clock"] * p["ptime"] // 1000
        seq, ts, ssrc, segment = p["seq"], p["ts"], p["ssrc"], 0
        begun, event = True, {}
        for at, packets in p["events"]:
            for k in range(packets + 3):
                event[at + k] = (at, min(k, packets - 1) if k < packets else packets, k >= packets)
        for i in range(p["count"]):
            change = (p["changes"] or {}).get(i) or (p["changes"] or {}).get(str(i))
            if change:
                seq, ts = change.get("seq", seq), change.get("ts", ts)
                ssrc, begun = change.get("ssrc", ssrc), True
                segment = change.get("segment", segment + 1)
            kind, pt, marker, stamp, size = "speech", p["pt"], begun, ts, p["size"]
            silent = next((s for s in p["silences"] if s[0] <= i < s[1]), None)
            foreign = next((f for f in p["foreign"] if f[0] <= i < f[1]), None)
            if i in event:
                first, _, _ = event[i]
                kind, pt, size = "event", EVENT, 4
                marker, stamp = i == first, ts - (i - first) * tick
            elif silent:
                begun = True
                if not silent[2] or (i - silent[0]) % 10:
                    ts = (ts + tick) & 0xffffffff
                    continue
                kind, pt, marker, size = "noise", NOISE, False, 1
            elif foreign:
                kind, pt = "foreign", foreign[2]
            if kind == "speech":
                begun = False
            out.append(Packet(p["start"] + i * p["ptime"] / 1000, seq & 0xffff, stamp & 0xffffffff,
                              ssrc, pt, marker, kind, segment, size))
            seq, ts = seq + 1, ts + tick
        return out

    def _losses(self):
        """Indexes in `meant` of what the network loses; never the first or last of a segment, which
        no receiver could know of."""
        loss, n, lost = self.plan["loss"], len(self.meant), set()
        if isinstance(loss, dict) and "at" in loss:
            lost = set(loss["at"])
        elif isinstance(loss, dict):
            inside = False
            for i in range(n):
                inside = self.random.random() < (1 - loss["leave"] if inside else loss["enter"])
                if inside:
                    lost.add(i)
        else:
            lost = {i for i in range(n) if self.random.random() < loss}
        edges = {i for i in range(n) for j in (i - 1, i + 1)
                 if not 0 <= j < n or self.meant[i].segment != self.meant[j].segment}
        return lost - edges

    def _network(self):
        p, draw = self.plan, self.random
        out = [None if i in self.lost else m for i, m in enumerate(self.meant)]
        if p["jitter"]:
            late = {"uniform": lambda x: draw.uniform(0, x),
                    "exponential": lambda x: min(draw.expovariate(1 / x), 20 * x)}
            (how, amount), = p["jitter"].items()
            out = [m and m._replace(at=m.at + late[how](amount) / 1000) for m in out]
        i = 1
        while i + 2 < len(out):
            a, b = out[i], out[i + 1]
            if a and b and draw.random() < p["swap"]:
                out[i], out[i + 1] = a._replace(at=b.at), b._replace(at=a.at)
                i += 1
            i += 1
        out = [m for m in out if m]
        copies = [m._replace(at=m.at + p["duplicate_after"] / 1000) for m in out
                  if draw.random() < p["duplicate"]]
        for at, by in p["late"]:
            out = [m._replace(at=self.meant[at + by].at + 0.005) if m == self.meant[at] else m
                   for m in out]
        for at, back in p["strays"]:
            copies.append(self.meant[at - back]._replace(at=self.meant[at].at + 0.005))
        return sorted(out + copies, key=lambda m: m.at)

    def truth(self):
        """Counts by construction: from the plan alone, never from what arrived."""
        seen, highest, duplicated, reordered, gone = set(), {}, 0, 0, set(self.lost)
        index = {m[1:]: i for i, m in enumerate(self.meant)}
        for m in self.sent:
            behind = signed(highest.setdefault(m.segment, m.seq) - m.seq)
            if m[1:] in seen:
                duplicated += behind <= MISORDER
            elif behind > MISORDER:
                gone.add(index[m[1:]])
            else:
                reordered += behind > 0
                highest[m.segment] = m.seq if behind < 0 else highest[m.segment]
            seen.add(m[1:])
        return dict(received=len(self.sent), expected=len(self.meant), lost=len(gone),
                    duplicated=duplicated, reordered=reordered,
                    ssrc_changes=len({m.ssrc for m in self.meant}) - 1,
                    mismatched=sum(m.kind == "foreign" for m in self.sent), gone=gone)

    def misses(self):
        """Whether a packet is ever missing, be it for a moment."""
        true = self.truth()
        return true["lost"] + true["reordered"] > 0

    def pattern(self):
        """Received or not, packet by packet, source by source and sequence by sequence (RFC 3611's
        view)."""
        out, gone = collections.OrderedDict(), self.truth()["gone"]
        for i, m in enumerate(self.meant):
            out.setdefault(m.segment, []).append(i not in gone)
        return list(out.values())

    def bytes(self, m):
        """The packet as it goes on the wire; the payload says which one it is."""
        if m.kind == "event":
            back = self.meant[0].ts
            held = (m.ts - back) & 0xffff
            fill = struct.pack(">BBH", 5, 0x80 | 10, held & 0x7fff)
        else:
            mark = hashlib.blake2b(f"{m.ssrc}/{m.seq}".encode(), digest_size=32).digest()
            fill = (mark * (m.size // 32 + 1))[:m.size]
        return struct.pack(">BBHII", 0x80, m.marker << 7 | m.pt, m.seq, m.ts, m.ssrc) + fill

    def end(self):
        """Seconds after the call is up when the last packet is due."""
        return max([m.at for m in self.sent], default=0.0)


def signed(difference):
    """A distance of sequence numbers, −32768 to 32767."""
    return ((difference & 0xffff) ^ 0x8000) - 0x8000
