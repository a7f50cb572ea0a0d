"""One cell by one way: set-up times, speech with what happens during it, and what was seen."""
import collections
import concurrent.futures
import threading
import time

import speech
from ends import PTIME, Ends

# A machine that is itself late measures itself: where so many of our own packets left 10 ms late,
# where one waited so many milliseconds too long in our wire, or where the gateways' threads (or the
# naive tunnel's) waited so many milliseconds for each of their turns.
LATE, WAITED, TURN = 0.02, 40, 1.0
# Seconds that a new call is tried for: more than the time between two probes of an upstream.
REDIAL = 60

Row = collections.namedtuple("Row", "cell way setups heard up down ended new_call busy")
# `heard`: of each end of each call; None: there was none. `up`, `down`: octets of IP, a second and
# call. `busy`: 1 and more where the machine measured itself.


def is_quiet(seconds):
    """Waits so long at most for a machine that lets us sleep for 5 ms and little more; whether it
    is one."""
    until = time.monotonic() + seconds
    while True:
        late = 0
        for _ in range(100):
            begun = time.monotonic()
            time.sleep(0.005)
            late += time.monotonic() - begun > 0.012
        if late <= 2:
            return True
        if time.monotonic() >= until:
            return False


class Doing:
    """What happens during a call; each takes as long as it takes, beside the speech."""

    def __init__(self, place, way):
        self.place, self.way, self.threads = place, way, []
        self.times = {}

    def begin(self, what):
        self.times[what] = time.time()
        self.threads.append(threading.Thread(target=getattr(self, what)))
        self.threads[-1].start()

    def down(self):
        self.place.told(down=True)

    def up(self):
        self.place.told(down=False)
        self.times["up"] = time.time()

    def move(self):
        self.place.move()

    def narrow(self):
        self.place.told(mtu=1100, tells=False)

    def restart(self):
        self.way.restart()

    def away(self):
        if "up" in self.times:
            return self.times["down"], self.times["up"]
        return None

    def end(self):
        for thread in self.threads:
            thread.join(30)


def set_ups(ends, cell):
    """Seconds from INVITE to its 200, call by call; None: none within the cell's patience."""
    took = []
    for _ in range(cell.setups):
        call = ends.call(cell.much)
        if not ends.answered(call, cell.patience):
            took.append(None)
            break
        took.append(call.answered - call.asked)
        ends.run(0.1)
        ends.hang_up(call)
    ends.forget()
    return took


class Redial:
    """A new call each half second, until one is answered."""

    def __init__(self, ends, much):
        self.ends, self.much, self.since, self.calls = ends, much, time.monotonic(), []
        self.again()

    def again(self):
        if self.took() is None:
            self.calls.append(self.ends.call(self.much))
            self.ends.at(time.monotonic() + 0.5, self.again)

    def took(self):
        """Seconds from the first try to the first answer; None: nobody has answered."""
        answers = [c.answered for c in self.calls if c.answered]
        return min(answers) - self.since if answers else None


def measured(place, ends, cell, way):
    """The row of a call (or of several); None: there was no way."""
    setups = set_ups(ends, cell)
    calls = [ends.call(cell.much) for _ in range(cell.calls)] if None not in setups else []
    if not calls or not all([ends.answered(call, cell.patience) for call in calls]):
        return Row(cell, type(way), setups, None, None, None, None, None, 0)
    ends.run(0.3)
    doing, redial = Doing(place, way), []
    begin = time.monotonic() + 0.1
    for n, call in enumerate(calls):
        pace = PTIME * (1 + 0.002 * n if cell.sweep else 1)
        call.near.speak(begin + 0.007 * n % PTIME, pace)
        call.far.speak(begin + (0.005 + 0.003 * n) % PTIME, pace)
    for after, what in cell.events:
        ends.at(begin + after, lambda what=what: doing.begin(what))
    if cell.new_call:
        ends.at(begin + cell.events[0][0] + 0.05, lambda: redial.append(Redial(ends, cell.much)))
    # Octets are counted over whole seconds of speech, none of SIP.
    ends.run(1.0)
    waits = way.waits()
    before, counted = place.told(), time.monotonic()
    ends.run(begin + cell.seconds - time.monotonic())
    after, counted = place.told(), time.monotonic() - counted
    waits_after = way.waits()
    for call in calls:
        call.near.speaks = call.far.speaks = False
    if redial:
        ends.run(REDIAL, lambda: redial[0].took() is not None)
    ends.run(1.5)
    doing.end()
    ends.run(0.5)
    ended = [ends.hang_up(call) for call in calls]
    heard = [speech.heard(a.sent, b.came, doing.away())
             for call in calls for a, b in ((call.near, call.far), (call.far, call.near))]
    late = sum(v.late for c in calls for v in (c.near, c.far)) / sum(h.sent for h in heard)
    turns, waited = (b - a for a, b in zip(waits, waits_after))
    turn = 1000 * waited / turns if turns > 0 else 0.0
    busy = max(late / LATE, after["late_ms"] / WAITED, turn / TURN)
    octets = [(after[d][1] - before[d][1]) / counted / cell.calls for d in ("up", "down")]
    return Row(cell, type(way), setups, heard, *octets, all(ended),
               redial[0].took() if redial else None, busy)


def row(place, cell, way_class):
    """One row of the matrix."""
    place.settle()
    way, ends = way_class(place), Ends(place)
    try:
        place.told(**cell.wire)
        # The party answers meanwhile: gateways ask it whether it is there.
        with concurrent.futures.ThreadPoolExecutor(1) as beside:
            ready = beside.submit(lambda: way.begin() or way.ready(cell.patience))
            ends.run(120, ready.done)
        if not ready.result():
            return Row(cell, way_class, [None], None, None, None, None, None, 0)
        return measured(place, ends, cell, way)
    finally:
        ends.close()
        way.end()
