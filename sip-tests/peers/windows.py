"""The 10 s windows behind the histograms, for `quality_truth`: what each may have shown, from the
capture. A window ends when the relay next looks after its 10 s, somewhat late; so each figure is
an interval over that time, and what is compared are sums over all windows of a side."""
import collections
import re
import time
import truth
from lab import Failed, check
from plans import CALLS

WINDOW, COUNT = 10.0, 2
# How late a window may end, in steps; a relay thread sweeps once a second.
LATE = [k / 10 for k in range(21)]
SIDES = ("inside", "outside")
# Histogram, figure here, its unit, and what rounding of all windows may add up to.
FAMILIES = (("loss_ratio", "loss", 1, 0.002), ("mos", "mos", 1, 0.1), ("r_factor", "r", 1, 1.0),
            ("jitter_seconds", "jitter", 1000, 0.1), ("round_trip_seconds", "trip", 1000, 1.0))


def windows_are_over(lab, parties):
    """Lets the calls end when the gateway has seen two windows of every leg, whenever."""
    until = time.time() + 60
    while time.time() < until:
        for p in parties:
            logs = [lab.text(f"{who}.log") for who in ("caller", "callee")]
            check(p.poll() in (None, 0), "\n".join(logs))
        seen = [lab.metric("portreeve_media_loss_ratio_count", side=s)
                + lab.metric("portreeve_media_unmeasured_windows_total", side=s,
                             reason="no_packets")
                for s in SIDES]
        if all(n >= COUNT * len(CALLS) for n in seen):
            lab.write("release", "")
            return
        time.sleep(0.5)
    raise Failed(f"windows that were seen: {seen}")


class Times:
    """What a leg looked like at an instant."""

    def __init__(self, leg):
        self.leg = leg
        index, self.at = {}, []
        sources = truth.by_source(leg.speech() if leg.stream else []).values()
        self.steps = sorted(x for rows in sources
                            for x in truth.estimates(rows, leg.stream.plan["clock"]))
        places, gone = collections.Counter(), leg.stream.truth()["gone"] if leg.stream else ()
        for i, m in enumerate(leg.stream.meant if leg.stream else []):
            index[m.ssrc, m.seq] = (m.segment, places[m.segment], i in gone)
            places[m.segment] += 1
        for a in leg.seen:
            segment, place, too_late = index[a.ssrc, a.seq]
            if not too_late:
                self.at.append((a.time, segment, place))

    def counts(self, until):
        """Expected and lost so far, segment by segment: what a window shows is the difference."""
        span, seen = {}, set()
        for t, segment, i in self.at:
            if t <= until:
                low, high = span.get(segment, (i, i))
                span[segment] = (min(low, i), max(high, i))
                seen.add((segment, i))
        expected = sum(high - low + 1 for low, high in span.values())
        return expected, expected - len(seen)

    def jitter(self, end):
        """Everything that it was while a window may have ended."""
        until = end + LATE[-1]
        ends = [t for t, _ in self.steps[1:]] + [until]
        return [value for (t, value), over in zip(self.steps, ends) if t <= until and over >= end]


def of_call(pair):
    """Per leg, a list of windows; a window is a dict of figure → list of what it may be."""
    begun = min([a.time for leg in pair for a in leg.seen[:1]]
                + [t for leg in pair for t, _ in leg.rtcp[:1]])
    out = []
    for side in (0, 1):
        leg, other = pair[side], pair[1 - side]
        times = Times(leg)
        states = [[(0, 0)]] + [[times.counts(begun + WINDOW * (k + 1) + late) for late in LATE]
                               for k in range(COUNT)]
        delay = leg.delay(other) or 0.0
        windows = []
        for k in range(COUNT):
            w = dict(loss=[], r=[], mos=[], jitter=[])
            spans = [(b[0] - a[0], b[1] - a[1]) for a in states[k] for b in states[k + 1]]
            # Between two steps one more may have been missing, or one less.
            unsure = 1 if leg.stream and leg.stream.misses() else 0
            ratios = {max(lost + x, 0) / expected for expected, lost in spans if expected
                      for x in (-unsure, unsure)}
            w["loss"] = sorted(ratios)
            for loss in [] if leg.unmeasured() else w["loss"]:
                bursty = truth.burst_ratio(leg.stream.pattern()) + 0.5
                w["r"] += [truth.r_factor(leg.call["codec"], loss, b, delay) for b in (1.0, bursty)]
            w["mos"] = [truth.mos(r) for r in w["r"]]
            if leg.stream and len(leg.stream.meant) >= 20:
                w["jitter"] = times.jitter(begun + WINDOW * (k + 1))
            w["trip"] = [] if leg.no_round_trip() else sum(leg.round_trip(), [])
            w["why"] = leg.unmeasured() if w["loss"] else "no_packets"
            windows.append(w)
        out.append(windows)
    return out


def judge_metrics(table, legs, text):
    found = {m.group(1): float(m.group(2)) for m in
             re.finditer(r"^portreeve_(media_\S+) (\S+)$", text, re.M)}
    by_side = [[], []]
    for pair in legs:
        for side, windows in enumerate(of_call(pair)):
            by_side[side] += windows
    for side, name in enumerate(SIDES):
        label, windows = f'side="{name}"', by_side[side]
        truths = [pair[side].stream.truth() for pair in legs if pair[side].stream]
        # A packet that is missing while a window ends is counted, even if it comes later.
        late = COUNT * sum(t["reordered"] > 0 for t in truths) / 2
        table.row(name, "media_lost_packets_total", sum(t["lost"] for t in truths) + late,
                  found[f"media_lost_packets_total{{{label}}}"], late)
        for reason in ("no_packets", "too_few", "unknown_codec", "not_speech"):
            key = f'media_unmeasured_windows_total{{{label},reason="{reason}"}}'
            table.row(name, f"unmeasured windows: {reason}",
                      sum(w["why"] == reason for w in windows), int(found[key]))
        for family, mine, unit, slack in FAMILIES:
            rows = [w[mine] for w in windows if w[mine]]
            table.row(name, f"media_{family}: windows", len(rows),
                      int(found[f"media_{family}_count{{{label}}}"]))
            low, high = sum(min(r) for r in rows), sum(max(r) for r in rows)
            table.row(name, f"media_{family}: sum", (low + high) / 2,
                      found[f"media_{family}_sum{{{label}}}"] * unit, (high - low) / 2 + slack)
            buckets(table, name, family, rows, found, label, unit)


def buckets(table, name, family, rows, found, label, unit):
    """Windows at or below each bound: at least those that must be, at most those that may be."""
    for key, got in found.items():
        m = re.match(rf'media_{family}_bucket{{{label},le="([\d.]+)"}}$', key)
        if m:
            bound = float(m.group(1)) * unit
            must = sum(max(r) <= bound for r in rows)
            may = sum(min(r) <= bound for r in rows)
            table.row(name, f"media_{family} ≤ {m.group(1)}", (must + may) / 2, got,
                      (may - must) / 2)
