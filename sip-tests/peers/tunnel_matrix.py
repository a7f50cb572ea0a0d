#!/usr/bin/env python3
"""A short form of `sip-tests/tunnel/matrix.py`: what no machine is too slow for. Calls by the
tunnel are kept and heard again where the network loses, breaks off, or gives the site another
address; what is blocked is blocked for every way that it is meant for. Figures are printed."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../tunnel"))
import matrix  # noqa: E402
import measure  # noqa: E402
from cells import FAR, Cell  # noqa: E402
from place import Failed, Place, check  # noqa: E402
from ways import Both, Naive, Plain, Tunnel  # noqa: E402

SHORT = dict(seconds=3.0, setups=1)
CARRIED = (
    Cell("only UDP 443", dict(FAR, only=["udp:443"]), (Tunnel,), **SHORT),
    Cell("no UDP", dict(FAR, without=["udp"]), (Naive,), **SHORT),
    Cell("5 % loss, 5 % overtaken", dict(FAR, loss=5.0, reorder=5.0), (Plain, Tunnel), **SHORT),
    Cell("MTU 1280, not told", dict(FAR, mtu=1280, tells=False), (Tunnel,), much=True, **SHORT),
    Cell("another address during the call", FAR, (Tunnel,), seconds=6.0, setups=0,
         events=((1.0, "move"),)),
    Cell("a cut of 4 s", FAR, (Tunnel,), seconds=9.0, setups=0,
         events=((1.0, "down"), (5.0, "up"))),
)
BLOCKED = (
    Cell("only UDP 443", dict(FAR, only=["udp:443"]), (Plain, Naive), patience=2.0, **SHORT),
    Cell("no UDP", dict(FAR, without=["udp"]), (Plain, Tunnel), patience=2.0, **SHORT),
)
RESTART = Cell("head office restarts", FAR, (Tunnel,), seconds=2.0, setups=0,
               events=((1.0, "restart"),), new_call=True)
# What QUIC needs comes through no more: messages stand still, and go by TCP before long.
NARROW = Cell("MTU 1100 from then on, not told", FAR, (Both,), seconds=20.0, setups=0, much=3,
              events=((1.0, "narrow"),), new_call=True)


def rows(place, cells):
    for cell in cells:
        for way in cell.ways:
            row = measure.row(place, cell, way)
            print(matrix.line(row), flush=True)
            yield f"{cell.name}, {way.name}", row


def scenario(place):
    for name, row in rows(place, CARRIED):
        check(row.heard is not None, f"{name}: no call")
        check(all(h.kept for h in row.heard), f"{name}: not heard until the end")
        check(row.ended, f"{name}: its end was not answered")
    for name, row in rows(place, BLOCKED):
        check(row.heard is None, f"{name}: a call came about")
    for name, row in rows(place, (RESTART,)):
        check(row.new_call is not None, f"{name}: no new call")
    for name, row in rows(place, (NARROW,)):
        check(row.new_call is not None, f"{name}: no new call")
        check(all(h.kept for h in row.heard), f"{name}: not heard until the end")
        left = "TCP takes the place of quic: long packets do not come through"
        check(left in place.text("site.log"), f"{name}: QUIC was not left")


if __name__ == "__main__":
    here = Place()
    try:
        scenario(here)
    except Failed as e:
        print(f"tunnel_matrix: {e}")
        for log in ("site.log", "office.log", "near.log", "far.log", "wire.log"):
            print(f"--- {log}\n{here.text(log)[-3000:]}")
        sys.exit(1)
