#!/usr/bin/env python3
"""The same call by three ways over a wire that we impair ourselves: by the tunnel, by SIP and RTP
as they are, and by a naive tunnel over TCP. Prints a table in Markdown, and which goals were met.

    sip-tests/tunnel/matrix.py                 all cells, about ten minutes
    sip-tests/tunnel/matrix.py "3 %" MTU       cells whose name has one of these words
    sip-tests/tunnel/matrix.py --write         and the table stands in docs/TUNNEL.md

PORTREEVE names the program (default: the release build). Root: it makes network namespaces. Figures
of time are worth nothing on a busy machine: rows are measured up to three times, and marked
with * where our own senders, our own wire or the gateways had to wait for their turn each time."""
import os
import statistics
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../peers"))
import measure  # noqa: E402
import speech  # noqa: E402
from cells import CELLS  # noqa: E402
from place import HERE, Failed, Place, check  # noqa: E402
from ways import Plain, Tunnel  # noqa: E402

PAGE = os.path.join(HERE, "../../docs/TUNNEL.md")
HEAD = ("| network | way | set-up, ms | longest gap, s | lost, % | late, % | delay, ms | MOS "
        "| octets/s up, down | besides |")
RULE = "|---|---|---|---|---|---|---|---|---|---|"
# RFC 3550's header and 20 ms of G.711 in UDP and IPv4, 50 times a second.
G711 = 10_000.0
# How often rows are measured whose machine was busy, and how many seconds it may take to be quiet.
PASSES, QUIET = 3, 10


def set_up(row):
    """Median, and the longest where it tells something."""
    if None in row.setups:
        return "no call"
    if not row.setups:
        return ""
    middle, most = (1000 * f(row.setups) for f in (statistics.median, max))
    return f"{middle:.0f}" if most < 1.5 * middle else f"{middle:.0f}, at most {most:.0f}"


def besides(row, h):
    said = []
    if h.again is not None:
        said.append(f"heard {max(h.again, 0):.2f} s after the return")
    if not h.kept:
        said.append("not heard any more")
    if row.cell.new_call:
        took = row.new_call
        said.append("no new call" if took is None else f"new call after {took:.1f} s")
    return "; ".join(said)


def line(row):
    name = f"{row.cell.name}{' *' if row.busy >= 1 else ''}"
    if row.heard is None:
        return f"| {name} | {row.way.name} | no call | | | | | | | |"
    h = speech.worst(row.heard)
    delay = "" if h.delay is None else f"{h.delay:.0f}"
    return (f"| {name} | {row.way.name} | {set_up(row)} | {h.gap:.2f} | {100 * h.lost:.1f} "
            f"| {100 * h.late:.1f} | {delay} | {h.mos:.2f} | {row.up:.0f}, {row.down:.0f} "
            f"({(row.up + row.down) / 2 / G711:.2f} ×) | {besides(row, h)} |")


def found(rows, cell, way):
    """That row, if it was measured and there was a call."""
    return next((r for r in rows if r.cell.name == cell and r.way.name == way.name and r.heard),
                None)


def goals(rows):
    """What was meant to be reached, and what was: lines of (goal, figure, met)."""
    out = []
    for cell, most in (("nothing wrong, 40 ms", 1.17), ("2 calls", 1.12), ("10 calls", 1.0)):
        plain, tunnel = found(rows, cell, Plain), found(rows, cell, Tunnel)
        if plain and tunnel:
            share = (tunnel.up + tunnel.down) / (plain.up + plain.down)
            out.append((f"octets against plain RTP at most {most:.2f} ×, {cell}", f"{share:.3f} ×",
                        share <= most))
    plain, tunnel = found(rows, "3 % loss", Plain), found(rows, "3 % loss", Tunnel)
    if plain and tunnel:
        apart = speech.worst(plain.heard).mos - speech.worst(tunnel.heard).mos
        where = "below" if apart > 0 else "above"
        out.append(("3 % loss: MOS at most 0.1 below plain RTP", f"{abs(apart):.2f} {where}",
                    apart <= 0.1))
    for row in rows:
        if row.way is not Tunnel:
            continue
        if row.cell.name == "a cut of 4 s" and row.heard:
            after = speech.worst(row.heard).again
            out.append(("a cut of 4 s: heard again within 1 s of the return",
                        "never" if after is None else f"{max(after, 0):.2f} s",
                        after is not None and after <= 1))
    return out


def told(rows):
    yield ""
    for goal, figure, met in goals(rows):
        yield f"- {goal}: {figure}, {'met' if met else '**missed**'}"


def write(lines):
    """Puts a table, and what follows it, in the place of the last one."""
    with open(PAGE, encoding="utf-8") as f:
        page = f.read().split("\n")
    begin = next((n for n, text in enumerate(page) if text == HEAD), None)
    check(begin is not None, f"{PAGE} has no table of that form")
    end = begin
    while end < len(page) and (page[end][:1] in ("|", "-") or page[end] == ""
                               and page[end + 1:end + 2] and page[end + 1][:1] == "-"):
        end += 1
    page[begin:end] = lines
    with open(PAGE, "w", encoding="utf-8") as f:
        f.write("\n".join(page))


def measured(place, cells, best):
    """Measures rows, and keeps of each the one whose machine was the least busy."""
    print(f"{HEAD}\n{RULE}", flush=True)
    for cell, way in cells:
        measure.is_quiet(QUIET)
        row = measure.row(place, cell, way)
        print(line(row), flush=True)
        before = best.get((cell.name, way))
        # No call at all may be a busy machine's, too; that there was one is known once and for all.
        if before is None or (before.heard is None, before.busy) > (row.heard is None, row.busy):
            best[cell.name, way] = row
    return [(cell, way) for cell, way in cells if best[cell.name, way].busy >= 1]


def main():
    words = [w for w in sys.argv[1:] if not w.startswith("-")]
    all_of_them = [(c, way) for c in CELLS for way in c.ways
                   if not words or any(w in c.name for w in words)]
    place, best, left = Place(), {}, all_of_them
    for _ in range(PASSES):
        left = left and measured(place, left, best)
    rows = [best[cell.name, way] for cell, way in all_of_them]
    table = [HEAD, RULE, *map(line, rows), *told(rows)]
    print("\n".join(["", *table]))
    if "--write" in sys.argv:
        write(table)


if __name__ == "__main__":
    try:
        main()
    except Failed as e:
        sys.exit(f"matrix: {e}")
