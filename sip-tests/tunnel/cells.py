"""The cells of the matrix: a network each, what happens in it, and how many calls there are. A cell
is a value; another network, or another way, is a line here."""
import collections

from ways import Naive, Plain, Tunnel

EACH = (Plain, Naive, Tunnel)

Cell = collections.namedtuple(
    "Cell", "name wire ways calls seconds setups events much sweep new_call patience",
    # `wire`: as `wire.DEFAULTS`. `events`: (seconds of speech, what: a method of `measure.Doing`).
    # `much`: an INVITE of more than 1,280 octets, or of so many times as many.
    # `sweep`: the phones' clocks differ so much that packets of two calls lie at all distances from each other, as they do over many calls.
    # `new_call`: another one is tried until it is answered. `patience`: seconds until a way, or a
    # call, is held not to come.
    defaults=[EACH, 1, 8.0, 5, (), False, False, False, 8.0])

FAR = dict(delay=20.0)  # 40 ms there and back

CUT = ((2.0, "down"), (6.0, "up"))

CELLS = (
    Cell("nothing wrong, 40 ms", FAR),
    Cell("only UDP 443", dict(FAR, only=["udp:443"])),
    Cell("no UDP", dict(FAR, without=["udp"])),
    Cell("1 % loss", dict(FAR, loss=1.0)),
    Cell("3 % loss", dict(FAR, loss=3.0)),
    Cell("5 % loss", dict(FAR, loss=5.0)),
    Cell("200 ms there and back", dict(delay=100.0)),
    Cell("5 % overtaken, by 30 ms", dict(FAR, reorder=5.0)),
    Cell("MTU 1280, told", dict(FAR, mtu=1280), much=True),
    Cell("MTU 1280, not told", dict(FAR, mtu=1280, tells=False), much=True),
    Cell("another address during the call", FAR, events=((3.0, "move"),)),
    Cell("a cut of 4 s", FAR, seconds=10.0, events=CUT),
    Cell("head office restarts", FAR, ways=(Naive, Tunnel), events=((2.0, "restart"),),
         new_call=True),
    Cell("2 calls", FAR, ways=(Plain, Tunnel), calls=2, seconds=10.0, setups=0, sweep=True),
    Cell("10 calls", FAR, ways=(Plain, Tunnel), calls=10, seconds=10.0, setups=0, sweep=True),
)
