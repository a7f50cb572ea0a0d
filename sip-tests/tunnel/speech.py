"""What a listener has of speech, computed from when each packet was sent and came: the longest
silence, what was lost, what came too late for a phone's buffer, and MOS by ITU-T G.107."""
import collections

import truth

# A phone plays a packet so long after the quickest one of its call (milliseconds); what comes later
# is as good as lost. The same for every way, so that none is helped by a cleverer phone.
BUFFER = 60.0
PACKET = 20.0

Heard = collections.namedtuple("Heard", "sent lost late gap delay quickest mos again kept")


def heard(sent, came, away=None):
    """`sent` and `came`: seconds by sequence number. `away`: from when to when the way did not
    exist; what was sent then is no loss of quality, but it is a gap. `again`: when something was
    heard for the first time after that, in seconds; None: never. `kept`: the
    last second was heard."""
    first, last = min(sent.values()), max(sent.values())
    times = sorted(t for t in came.values() if t <= last)
    points = [first, *times, last]
    gap = max(b - a for a, b in zip(points, points[1:]))
    rated = [n for n, t in sent.items() if not away or not away[0] - 0.1 <= t <= away[1]]
    delays = {n: 1000 * (came[n] - sent[n]) for n in rated if n in came}
    if not delays or not times:
        return Heard(len(rated), 1.0, 0.0, gap, None, None, 1.0, None, False)
    quickest = min(delays.values())
    played = [n in delays and delays[n] <= quickest + BUFFER for n in rated]
    lost = 1 - len(delays) / len(rated)
    bad = max(played.count(False) / len(played), lost)
    ratio = truth.burst_ratio([played])
    rating = truth.r_factor("PCMU", bad, ratio, quickest + BUFFER + PACKET)
    after = [t for t in times if away and t > away[1]]
    return Heard(len(rated), lost, bad - lost, gap, sorted(delays.values())[len(delays) // 2],
                 quickest, truth.mos(rating), after[0] - away[1] if after else None,
                 times[-1] > last - 1)


def worst(all_heard):
    """Of several ends, figure by figure, the worst; of delays the longest median."""
    delays = [h.delay for h in all_heard if h.delay is not None]
    agains = [h.again for h in all_heard]
    return Heard(sum(h.sent for h in all_heard), max(h.lost for h in all_heard),
                 max(h.late for h in all_heard), max(h.gap for h in all_heard),
                 max(delays, default=None), max((h.quickest or 0 for h in all_heard)),
                 min(h.mos for h in all_heard),
                 None if None in agains else max(agains), all(h.kept for h in all_heard))
