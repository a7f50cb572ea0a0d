#!/usr/bin/env python3
"""What a relayed packet costs a gateway: calls of G.711 between a phone of the site and a party
behind the head office, by a plain gateway, by a tunnel over QUIC and by one over TCP, in turns on
one machine. Prints, for each gateway, microseconds of CPU for a packet, as a ratio to the plain
one's, and which of its threads took them.

    sip-tests/tunnel/cost.py             1, 10 and 40 calls, three turns: about five minutes
    sip-tests/tunnel/cost.py 10 40       so many calls

PORTREEVE names the program (default: the release build). Root: it makes network namespaces. CPU is
what the kernel accounted (schedstat), so a busy machine makes it dearer and not wrong; nothing is
asserted but that all calls were heard."""
import collections
import glob
import os
import re
import statistics
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../peers"))
from ends import PTIME, Ends  # noqa: E402
from place import Failed, Place, check  # noqa: E402
from ways import Plain, Tunnel  # noqa: E402

TURNS, WARM, MEASURED = 3, 2, 8


class ByTcp(Tunnel):
    """The same by three connections of TCP."""
    name = "tunnel by TCP"
    bearer, listen = "tcp", '["udp:443", "tcp:443"]'


Cost = collections.namedtuple("Cost", "total threads")
# Microseconds a packet, and of which kinds of threads.


def taken(pid):
    """Nanoseconds that each kind of thread of a program has run."""
    took = collections.Counter()
    for task in glob.glob(f"/proc/{pid}/task/*"):
        try:
            with open(f"{task}/comm", encoding="ascii") as f:
                kind = re.sub(r"[-_ ]?\d+$", "", f.read().strip())
            with open(f"{task}/schedstat", encoding="ascii") as f:
                took[kind] += int(f.read().split()[0])
        except OSError:
            continue  # a thread that has just ended
    return took


def measure(place, way, calls):
    """What a packet costs each of its gateways."""
    ends = Ends(place)
    try:
        way.begin()
        check(way.ready(20), f"{way.name}: connected")
        up = [ends.call() for _ in range(calls)]
        check(ends.run(20, lambda: all(c.answered for c in up)), f"{way.name}: all are answered")
        for n, call in enumerate(up):
            begin = up[-1].answered + 0.2 + n * PTIME / calls
            call.near.speak(begin, PTIME)
            call.far.speak(begin + PTIME / 2, PTIME)
        ends.run(WARM)
        before = {ns: taken(p.pid) for ns, p in way.running.items()}
        sent = sum(len(v.sent) for c in up for v in (c.near, c.far))
        came = sum(len(v.came) for c in up for v in (c.near, c.far))
        ends.run(MEASURED)
        after = {ns: taken(p.pid) for ns, p in way.running.items()}
        sent = sum(len(v.sent) for c in up for v in (c.near, c.far)) - sent
        came = sum(len(v.came) for c in up for v in (c.near, c.far)) - came
        check(came > 0.95 * sent, f"{way.name}: {came} of {sent} packets came")
        costs = {}
        for ns, then in after.items():
            took = {k: (n - before[ns][k]) / 1e3 / sent for k, n in then.items()}
            costs[ns] = Cost(sum(took.values()), took)
        return costs
    finally:
        ends.close()
        way.end()


def threads(costs):
    """Medians of what kinds of threads took, the dearest first."""
    kinds = {k for c in costs for k in c.threads}
    middle = {k: statistics.median(c.threads.get(k, 0) for c in costs) for k in kinds}
    most = sorted(middle.items(), key=lambda m: -m[1])
    return ", ".join(f"{k} {n:.1f}" for k, n in most if n >= 0.05)


def main():
    numbers = [int(n) for n in sys.argv[1:]] or [1, 10, 40]
    place = Place(wired=False)
    print("| calls | way | gateway | µs a packet | ratio | threads, µs a packet |")
    print("|---|---|---|---|---|---|", flush=True)
    for calls in numbers:
        seen = collections.defaultdict(list)
        for _ in range(TURNS):
            for way in (Plain, Tunnel, ByTcp):
                for ns, cost in measure(place, way(place), calls).items():
                    seen[way.name, ns].append(cost)
        plain = statistics.median(c.total for c in seen[Plain.name, "site"])
        for (name, ns), costs in seen.items():
            total = statistics.median(c.total for c in costs)
            print(f"| {calls} | {name} | {ns} | {total:.1f} | {total / plain:.2f} × "
                  f"| {threads(costs)} |", flush=True)


if __name__ == "__main__":
    try:
        main()
    except Failed as failed:
        sys.exit(f"cost: {failed}")
