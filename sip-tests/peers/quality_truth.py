#!/usr/bin/env python3
"""Are the call quality figures true? Calls with known impairments run at once through the real
gateway; every figure of their records and the histograms is held against the plan, and against
reference figures computed from a capture at the gateway's own interfaces; tshark's figures are
held against both.

Nothing depends on how punctual a sender or the gateway was: counts follow from the plan; what has
to do with time follows from the capture's stamps, which are the kernel's."""
import json
from lab import *
import truth
from impair import DROPOUT, MISORDER, Stream, signed
from plans import BY, CALLS
from windows import judge_metrics, windows_are_over

HERE = os.path.dirname(os.path.abspath(__file__))
PARTIES = (("caller", "p1", "10.17.0.21", "10.17.0.1", "in"),
           ("callee", "pbx", "10.99.0.2", "10.99.0.1", "out"))
# Packets by sequence number below which the gateway does not rate.
FEW = 50


def port(i, side):
    return 30000 + 4 * i + 2000 * side


def agents(lab):
    """Both parties of all calls; the callees first."""
    started = []
    for side in (1, 0):
        role, ns, ip, gateway, _ = PARTIES[side]
        calls = [dict(c, port=port(i, side), plan=c["plans"][side], rtcp=c["rtcp"][side])
                 for i, c in enumerate(CALLS)]
        file = lab.write(f"{role}.json", json.dumps(dict(
            role=role, ip=ip, gateway=[gateway, 5060], folder=lab.dir, limit=90, calls=calls)))
        started.append(lab.start(ns, [sys.executable, os.path.join(HERE, "agent.py"), file],
                                 role + ".log"))
        wait_for(role, 10, lambda: "ready" in lab.text(role + ".log"))
    return started


def capture(lab, dev):
    p = lab.start("gw", ["tcpdump", "-i", dev, "-s", "0", "-B", "16384", "-w",
                         lab.path(dev + ".pcap"), "--time-stamp-precision=nano", "udp"],
                  dev + ".log")
    wait_for("tcpdump", 5, lambda: "listening on" in lab.text(dev + ".log"))
    return p


class Leg:
    """One party of one call: what it meant to send, what the gateway saw, what the record says."""

    def __init__(self, i, side, flows, records):
        self.call, self.side, self.i = CALLS[i], side, i
        self.where = f"{self.call['name']} {PARTIES[side][0]}"
        plan = self.call["plans"][side]
        self.stream = Stream(plan) if plan else None
        sent, got = flows[side]
        self.port = port(i, side)
        self.seen = truth.arrivals(sent.get(self.port, []))
        self.rtcp, self.told = sent.get(self.port + 1, []), got.get(self.port + 1, [])
        self.reports = flows[1 - side][0].get(port(i, 1 - side) + 1, [])
        self.media = records[self.call["name"]]["media"][0][PARTIES[side][0]]
        self.q = self.media["quality"]
        self.said, self.other_said = self.call["rtcp"][side], self.call["rtcp"][1 - side]
        if self.stream:
            meant = [(m.seq, m.ts, m.ssrc, m.pt) for m in self.stream.sent]
            check([(a.seq, a.ts, a.ssrc, a.pt) for a in self.seen] == meant,
                  f"{self.where}: the lab itself lost packets or changed their order")

    def speech(self):
        """What jitter is of: speech, each packet once. A copy is no news of the network's delay,
        and events and comfort noise keep time in their own ways. A packet of no sequence may be the
        first of a new one; only the second tells, whose step then compares with nothing."""
        out, once, highest, stray = [], set(), {}, {}
        for a in self.seen:
            ahead = signed(a.seq - highest.get(a.ssrc, a.seq))
            if not -MISORDER <= ahead <= DROPOUT:
                if stray.get(a.ssrc) != a.seq:
                    stray[a.ssrc] = a.seq + 1 & 0xffff
                    continue
                a, ahead = a._replace(apart=True), 1
            highest[a.ssrc] = a.seq if ahead > 0 else highest.get(a.ssrc, a.seq)
            if a.pt == self.stream.plan["pt"] and (a.ssrc, a.seq) not in once:
                out.append(a)
                once.add((a.ssrc, a.seq))
        return out

    def jitter(self):
        """A.8 at the end of the last source, and the highest of all, in milliseconds."""
        if self.stream is None or len(self.stream.meant) < 20:
            return None, None
        found = {ssrc: truth.jitter(rows, self.stream.plan["clock"])
                 for ssrc, rows in truth.by_source(self.speech()).items()}
        return found[self.speech()[-1].ssrc][0], max(f[1] for f in found.values())

    def no_round_trip(self):
        if "SAVP" in self.call.get("profile", ""):
            return "encrypted"
        if self.said is None:
            return "no_rtcp"
        return "no_report" if self.said.get("deaf") or self.other_said is None else None

    def round_trip(self):
        """Of each answer, in milliseconds: from when a sender report left the gateway until its
        answer came, less what the party says that it held it; and the same from when the report
        had come to the gateway. NTP times are only labels: the parties' clocks are wrong."""
        found = []
        for carried in (self.told, self.reports):
            left = {struct.unpack_from(">I", body, 10)[0]: t
                    for t, body in carried if body[1] == 200}
            trips = []
            for t, body in self.rtcp:
                at = {200: 28, 201: 8}.get(body[1])
                if at and body[0] & 31:
                    middle, held = struct.unpack_from(">II", body, at + 16)
                    if middle in left:
                        trips.append((t - left[middle] - held / 65536) * 1000)
            check(len(trips) > 5, f"{self.where}: {len(trips)} answers to sender reports")
            found.append(trips)
        return found

    def unmeasured(self):
        if self.stream is None:
            return "no_packets"
        if len(self.stream.meant) < FEW:
            return "too_few"
        return None if self.call["codec"] in truth.CODECS else "unknown_codec"

    def delay(self, other):
        """Mouth to ear as far as it can be known: half of both round trips, and one packet."""
        if self.no_round_trip() or other.no_round_trip() or self.stream is None:
            return None
        both = mean(self.round_trip()[0]) + mean(other.round_trip()[0])
        return both / 2 + self.stream.plan["ptime"]


def mean(numbers):
    return sum(numbers) / len(numbers)


def relay(leg):
    """How far its mean round trip may lie from ours: by what the gateway itself held sender
    reports, which its round trips contain, and by one answer, since that which crosses the end of
    the call is in the capture and may not be in the record."""
    left, came = leg.round_trip()
    return 1.1 * (mean(came) - mean(left)) + (max(came) - min(came)) / len(came)


def judge_counts(table, leg):
    where, q, stream = leg.where, leg.q, leg.stream
    names = ("expected", "lost", "duplicated", "reordered", "ssrc_changes", "mismatched")
    true = stream.truth() if stream else dict.fromkeys(names + ("received",), 0)
    table.row(where, "rtp_packets", true["received"], leg.media["rtp_packets"])
    for name in names:
        table.row(where, name, true[name], q[name])
    strangers = sum(n for _, n in leg.call.get("strangers", ()))
    table.row(where, "out_of_source", strangers, q["out_of_source"])
    for name, x in zip(("jitter_ms", "jitter_max_ms"), leg.jitter()):
        # A stamp is carried over by a pair of clock readings that are at most 0.02 ms apart; where
        # the machine stops a thread in between, somewhat more.
        table.row(where, name, x, q.get(name), 0.04 + 0.001 * (x or 0))
    if stream is None:
        return
    b = truth.bursts(stream.pattern(), stream.plan["ptime"])
    table.row(where, "bursts", b.count, q["bursts"])
    table.row(where, "burst_density", b.burst_density, q["burst_density"], 0.001)
    table.row(where, "gap_density", b.gap_density, q["gap_density"], 0.001)
    table.row(where, "burst_ms", b.burst_ms, q.get("burst_ms"), 1.0)
    table.row(where, "gap_ms", b.gap_ms, q.get("gap_ms"), 1.0)


def judge_rating(table, leg, other):
    """R and MOS from the known loss pattern and the delay that the capture shows."""
    where, q, why = leg.where, leg.q, leg.unmeasured()
    table.row(where, "unmeasured", why, q.get("unmeasured"))
    if why:
        for name in ("r", "mos", "one_way_delay_ms"):
            table.row(where, name, None, q.get(name))
        return
    delay, true = leg.delay(other), leg.stream.truth()
    slack = 0.1 if delay is None else 0.1 + relay(leg) + relay(other)
    table.row(where, "one_way_delay_ms", delay, q.get("one_way_delay_ms"), slack)
    r = truth.r_factor(leg.call["codec"], true["lost"] / true["expected"],
                       truth.burst_ratio(leg.stream.pattern()), delay or 0.0)
    table.row(where, "r", r, q.get("r"), 0.1)
    table.row(where, "mos", truth.mos(r), q.get("mos"), 0.01)


def judge_reports(table, leg):
    """Round trip of this party, and what it says of what it receives."""
    where, q, r, why = leg.where, leg.q, leg.said, leg.no_round_trip()
    table.row(where, "no_round_trip", why, q.get("no_round_trip"))
    if why:
        table.row(where, "round_trip_ms", None, q.get("round_trip_ms"))
        table.row(where, "reported", None, q.get("reported"))
        return
    trip = mean(leg.round_trip()[0])
    table.row(where, "round_trip_ms", trip, q.get("round_trip_ms"), 0.1 + relay(leg))
    table.row(where, "round trip as injected", r["rtt"] * 1000, trip, 25.0)
    said, sender = q.get("reported") or {}, leg.call["plans"][1 - leg.side]
    if sender is None:
        return
    table.row(where, "reported.lost", r.get("lost", 0), said.get("lost"))
    jitter = r.get("jitter", 0) * 1000 / Stream(sender).plan["clock"]
    table.row(where, "reported.jitter_ms", jitter, said.get("jitter_ms"), 0.001)
    xr = r.get("xr")
    for mine, name, unit in (("r", "r", 1), ("lq", "mos_lq", 10), ("cq", "mos_cq", 10),
                             ("discard", "discard_rate", 256)):
        # 127: the phone does not know (RFC 3611 §4.7.5).
        x = xr[mine] / unit if xr and xr[mine] != 127 else None
        table.row(where, "reported." + name, x, said.get(name), 0.001)


def tshark(lab, side):
    """Its table of streams: {(source port, ssrc): (packets, lost, mean jitter, max jitter)}."""
    ports = [x for i in range(len(CALLS)) for x in ("-d", f"udp.port=={port(i, side)},rtp")]
    _, _, ip, _, dev = PARTIES[side]
    command = ["tshark", "-r", lab.path(dev + ".pcap"), "-q", "-z", "rtp,streams"] + ports
    out = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL)
    found = {}
    for line in out.stdout.splitlines():
        m = re.match(r"[\d. ]+ (10\.\S+) +(\d+) +10\.\S+ +\d+ +0x(\w+) +(.+?) +(\d+) +(-?\d+)"
                     r" \(\S+\) +(.+)$", line)
        if m and m.group(1) == ip:
            numbers = [float(x) for x in m.group(7).split()[:6]]
            found[int(m.group(2)), int(m.group(3), 16)] = (
                int(m.group(5)), int(m.group(6)), numbers[4], numbers[5])
    return found


def judge_tshark(table, leg, sharks):
    """tshark's conventions: lost is expected less all that came, copies too; jitter takes copies in
    and gives events and comfort noise clocks of their own, and its highest passes over what follows
    silence; a sequence that begins anew reads as a loss of thousands. Each is compared where it
    means the same."""
    where, stream = leg.where, leg.stream
    mine = {ssrc: x for (p, ssrc), x in sharks.items() if p == leg.port}
    sources = truth.by_source(leg.seen)
    table.row(where, "tshark: streams", len(mine), len(sources))
    if stream is None:
        return
    packets, lost = (sum(x[k] for x in mine.values()) for k in (0, 1))
    table.row(where, "tshark: packets", packets, leg.media["rtp_packets"])
    restarts = any("ssrc" not in c for c in (stream.plan["changes"] or {}).values())
    if not restarts:
        table.row(where, "tshark: lost", lost, leg.q["expected"] - leg.media["rtp_packets"])
    if stream.plan["events"]:
        return
    for ssrc, rows in sources.items():
        _, highest, middle = truth.jitter(rows, stream.plan["clock"])
        if not any(m.kind == "noise" for m in stream.sent):
            table.row(where, "tshark: mean jitter, reference", mine[ssrc][2], middle,
                      0.01 + 0.01 * middle)
        if not stream.plan["silences"] and not restarts:
            table.row(where, "tshark: max jitter, reference", mine[ssrc][3], highest,
                      0.01 + 0.01 * highest)
    if len(stream.sent) == len(leg.speech()) > 20 and not stream.plan["silences"]:
        highest = max(x[3] for x in mine.values())
        table.row(where, "tshark: max jitter, ours", highest, leg.q.get("jitter_max_ms"),
                  0.05 + 0.01 * highest)


def legs_of(lab):
    """Pairs of legs, call by call."""
    records = {r["to"]: r for r in lab.audit("call_end", len(BY))}
    check(set(records) >= set(BY), f"every call has its record: {sorted(records)}")
    flows = []
    for _, _, ip, gateway, dev in PARTIES:
        sent, got = {}, {}
        for t, src, sport, dst, dport, body in truth.datagrams(lab.path(dev + ".pcap")):
            if (src, dst) == (ip, gateway):
                sent.setdefault(sport, []).append((t, body))
            elif (src, dst) == (gateway, ip):
                got.setdefault(dport, []).append((t, body))
        flows.append((sent, got))
    return [[Leg(i, side, flows, records) for side in (0, 1)] for i in range(len(CALLS))]


def judge(lab):
    table = truth.Table()
    legs = legs_of(lab)
    sharks = [tshark(lab, side) for side in (0, 1)]
    for pair in legs:
        for side in (0, 1):
            judge_counts(table, pair[side])
            judge_rating(table, pair[side], pair[1 - side])
            judge_reports(table, pair[side])
            judge_tshark(table, pair[side], sharks[side])
    judge_metrics(table, legs, lab.text("metrics.txt"))
    bad = table.show()
    check(not bad, f"{len(bad)} figures are not true")


def scenario(lab):
    gw = lab.gateway(lab.edge(extra='[policy]\ndefault = "allow"\n',
                              limits="calls_per_user = 1000").replace('"debug"', '"info"'))
    captures = [capture(lab, dev) for dev in ("in", "out")]
    parties = agents(lab)
    windows_are_over(lab, parties)
    for p, who in zip(parties, ("callee", "caller")):
        check(p.wait(60) == 0, f"{who}: {lab.text(who + '.log')}")
    wait_for("calls are gone", 10, lambda: lab.metric("portreeve_active_calls") == 0)
    lab.write("metrics.txt", lab.metrics()[1])
    for p in captures:
        lab.stop(p)
    check(lab.stop(gw) == 0, "SIGTERM ends with code 0")
    judge(lab)


run(scenario)
