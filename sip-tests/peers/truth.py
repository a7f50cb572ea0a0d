"""Reference figures, from the standards and independent of what is tested: RFC 3550 A.8 over a
capture, bursts and gaps of RFC 3611 §4.7.2 over a known loss pattern, ITU-T G.107 in full.
Floating point, whole lists, no state: slow and plain on purpose."""
import collections
import math
import struct

# `apart`: its step from the packet before it says nothing of the network.
Arrival = collections.namedtuple("Arrival", "time seq ts ssrc pt marker apart", defaults=[False])
# ITU-T G.113 Appendix I: equipment impairment and robustness to random loss; G.711 with the
# concealment of its Appendix I, which every phone has.
CODECS = {"PCMU": (0, 25.1), "PCMA": (0, 25.1), "G729": (11, 19.0)}


# Captures ----------------------------------------------------------------------------------------

def datagrams(file):
    """UDP of a capture: (time, source, sport, destination, dport, payload); seconds of the day, so
    that a float holds nanoseconds."""
    with open(file, "rb") as f:
        data = f.read()
    scale = {0xa1b23c4d: 1e-9, 0xa1b2c3d4: 1e-6}[struct.unpack_from("<I", data)[0]]
    at = 24
    while at + 16 <= len(data):
        s, frac, size, _ = struct.unpack_from("<IIII", data, at)
        frame = data[at + 16:at + 16 + size]
        at += 16 + size
        if len(frame) < 42 or frame[12:14] != b"\x08\x00" or frame[23] != 17:
            continue
        head = 14 + (frame[14] & 15) * 4
        total = 14 + struct.unpack_from(">H", frame, 16)[0]
        sport, dport = struct.unpack_from(">HH", frame, head)
        yield (s % 86400 + frac * scale, ".".join(map(str, frame[26:30])), sport,
               ".".join(map(str, frame[30:34])), dport, frame[head + 8:total])


def arrivals(packets):
    """RTP headers of (time, payload)."""
    out = []
    for time, body in packets:
        if len(body) >= 12 and body[0] >> 6 == 2:
            seq, ts, ssrc = struct.unpack_from(">HII", body, 2)
            out.append(Arrival(time, seq, ts, ssrc, body[1] & 127, bool(body[1] & 128)))
    return out


# RFC 3550 ----------------------------------------------------------------------------------------

def estimates(packets, clock):
    """RFC 3550 A.8 over the packets of one source in order of arrival: [(time, milliseconds)]."""
    value, out, before = 0.0, [], None
    for p in packets:
        if before is not None and not p.apart:
            ticks = ((p.ts - before.ts) & 0xffffffff ^ 0x80000000) - 0x80000000
            d = (p.time - before.time) - ticks / clock
            value += (abs(d) - value) / 16
            out.append((p.time, value * 1000))
        before = p
    return out


def jitter(packets, clock):
    """The last estimate, the highest, and their mean; None below two packets."""
    seen = [value for _, value in estimates(packets, clock)]
    return (seen[-1], max(seen), sum(seen) / len(seen)) if seen else None


def by_source(packets):
    """Packets source by source, in order of their first packet."""
    out = collections.OrderedDict()
    for p in packets:
        out.setdefault(p.ssrc, []).append(p)
    return out


# RFC 3611 ----------------------------------------------------------------------------------------

Bursts = collections.namedtuple("Bursts", "count burst_density gap_density burst_ms gap_ms")


def bursts(segments, ptime, gmin=16):
    """§4.7.2 by its definition: a burst starts and ends with a loss, holds no `gmin` received
    packets in a row and more than one loss; all else is gap. Segments are rated one by one and
    summed."""
    inside, gaps = [], []
    for heard in segments:
        losses = [i for i, ok in enumerate(heard) if not ok]
        groups = []
        for i in losses:
            if groups and i - groups[-1][-1] - 1 < gmin:
                groups[-1].append(i)
            else:
                groups.append([i])
        start = 0
        for g in groups:
            if len(g) > 1:
                inside.append((g[-1] - g[0] + 1, len(g)))
                gaps.append((g[0] - start, sum(start <= i < g[0] for i in losses)))
                start = g[-1] + 1
        gaps.append((len(heard) - start, sum(i >= start for i in losses)))
    gaps = [g for g in gaps if g[0]]

    def share(rows):
        total = sum(n for n, _ in rows)
        return sum(k for _, k in rows) / total if total else 0.0

    def mean(rows):
        return sum(n for n, _ in rows) / len(rows) * ptime if rows else 0.0
    return Bursts(len(inside), share(inside), share(gaps), mean(inside), mean(gaps))


# ITU-T G.107 -------------------------------------------------------------------------------------

def burst_ratio(segments):
    """§7.5: mean length of the runs of losses over the mean length under random loss."""
    runs, lost, total = 0, 0, 0
    for heard in segments:
        total += len(heard)
        lost += heard.count(False)
        runs += sum(not ok and (i == 0 or heard[i - 1]) for i, ok in enumerate(heard))
    return (lost / runs) * (1 - lost / total) if runs and lost < total else 1.0


def delay_impairment(ms):
    """Id for T = Ta = Tr/2, all else at the defaults of table 2 (§7.4: Idte, Idle, Idd)."""
    ro = 94.77
    telr, wepl, rlr, no = 65.0, 110.0, 2.0, -61.18
    t, ta, tr = float(ms), float(ms), 2.0 * ms
    roe = -1.5 * (no - rlr)
    terv = telr - 40 * math.log10((1 + t / 10) / (1 + t / 150)) + 6 * math.exp(-0.3 * t * t)
    re = 80 + 2.5 * (terv - 14)
    idte = ((roe - re) / 2 + math.sqrt((roe - re) ** 2 / 4 + 100) - 1) * (1 - math.exp(-t))
    rle = 10.5 * (wepl + 7) * (tr + 1) ** -0.25
    idle = (ro - rle) / 2 + math.sqrt((ro - rle) ** 2 / 4 + 169)
    idd = 0.0
    if ta > 100:
        x = math.log10(ta / 100) / math.log10(2)
        idd = 25 * ((1 + x ** 6) ** (1 / 6) - 3 * (1 + (x / 3) ** 6) ** (1 / 6) + 2)
    return max(idte, 0.0) + idle + idd


def r_factor(codec, loss, ratio, delay_ms):
    """R of a narrow-band call: 93.2 without impairments, less those of delay and of loss."""
    ie, bpl = CODECS[codec]
    ppl = 100 * loss
    lossy = ie + (95 - ie) * ppl / (ppl / max(ratio, 1.0) + bpl)
    late = delay_impairment(delay_ms) - delay_impairment(0) if delay_ms else 0.0
    return min(max(93.2 - late - lossy, 0.0), 100.0)


def mos(r):
    """Annex B."""
    if r <= 0:
        return 1.0
    return max(1.0, 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6) if r < 100 else 4.5


# Verdicts ----------------------------------------------------------------------------------------

class Table:
    """Figure by figure: truth, measured, how far apart, how far they may be."""

    FORM = "%-4s %-18s %-30s %14s %14s %9s %9s"
    HEAD = FORM % ("", "call, party", "figure", "truth", "measured", "apart", "may be")

    def __init__(self):
        self.rows, self.seen = [], collections.OrderedDict()

    def row(self, where, figure, true, got, tolerance=None):
        """Without a tolerance both are the same; a number and nothing never agree."""
        apart = None
        if tolerance is not None and true is not None and got is not None:
            apart = abs(got - true)
        ok = apart <= tolerance if apart is not None else true == got
        self.seen.setdefault(figure, []).append((not ok, apart or 0.0, tolerance or 0.0, where))
        shown = [f"{x:.3f}" if isinstance(x, float) else str(x) for x in (true, got)]
        limit = "exact" if tolerance is None else f"{tolerance:.3f}"
        gap = "" if apart is None else f"{apart:.3f}"
        verdict = "ok" if ok else "BAD"
        self.rows.append((ok, self.FORM % (verdict, where, figure, *shown, gap, limit)))

    def show(self):
        """Prints what is beyond its tolerance, the widest of each figure, then everything."""
        bad = [text for ok, text in self.rows if not ok]
        print("\n".join([self.HEAD] + bad))
        print(f"\n{len(self.rows)} comparisons, {len(bad)} beyond tolerance. Of each figure the "
              "widest:")
        for figure, seen in self.seen.items():
            _, apart, tolerance, where = max(seen)
            print(f"  {figure:32} {len(seen):3} times, at most {apart:.3f} apart, may be "
                  f"{tolerance:.3f} ({where})")
        print("\n".join(["", self.HEAD] + [text for _, text in self.rows]))
        return bad
