"""The calls of `quality_truth`: what each party sends, what the network does to it, and what its
RTCP says. Data only."""
PCMU, PCMA = [0, "PCMU/8000"], [8, "PCMA/8000"]
PLAIN = [PCMU, [13, "CN/8000"], [101, "telephone-event/8000"]]
DAY = 86400.0
XR = dict(loss=13, discard=32, burst_density=90, gap_density=2, burst=260, gap=4100, rtt=88, end=60,
          r=81, lq=39, cq=37)


def plan(count=1000, **kw):
    return dict(kw, count=count)


def rtcp(rtt, **kw):
    return dict(dict(rtt=rtt, hold=0.1), **kw)


def call(name, caller, callee, formats=PLAIN, codec="PCMU", rtts=(0.030, 0.080), **kw):
    """`caller` and `callee`: what each sends; `rtts`: gateway to each and back, seconds."""
    out = dict(name=name, plans=[caller, callee], formats=formats, codec=codec, seconds=20.5,
               rtcp=[rtcp(rtts[0], offset=-3 * DAY, lost=17, jitter=240),
                     rtcp(rtts[1], offset=0.3 * DAY, kind="sr", lost=-3, jitter=8)])
    return dict(out, **kw)


G729 = dict(pt=18, size=20)
OPUS = dict(pt=111, clock=48000, size=80)
CALLS = [
    call("c01clean", plan(seed=1), plan(seed=2)),
    call("c02random", plan(loss=0.01, seed=3), plan(loss=0.05, seed=4), rtts=(0.005, 0.150)),
    call("c03bursty", plan(loss=0.20, seed=5), plan(loss={"enter": 0.01, "leave": 0.25}, seed=6)),
    call("c04double", plan(duplicate=0.03, seed=7),
         plan(duplicate=0.03, duplicate_after=45, loss=0.02, seed=8)),
    call("c05order", plan(swap=0.03, seed=9), plan(swap=0.03, loss=0.03, seed=10)),
    call("c06jitter", plan(jitter={"uniform": 15}, seed=11),
         plan(jitter={"exponential": 9}, seed=12)),
    call("c07wrap", plan(seq=65000, loss=0.02, seed=13), plan(seq=65535, ts=0xffffff00, seed=14)),
    call("c08source", plan(seed=15, changes={400: dict(ssrc=77, seq=9, ts=5)}),
         plan(seed=16, loss=0.03, jitter={"uniform": 8},
              changes={300: dict(ssrc=78, seq=65500, ts=1), 700: dict(ssrc=79, seq=1, ts=2)})),
    call("c09event", plan(seed=17, events=[[200, 10], [400, 25], [700, 8]]),
         plan(seed=18, loss=0.03, jitter={"uniform": 5}, events=[[100, 30], [500, 12]])),
    call("c10silence", plan(seed=19, silences=[[150, 400, True], [600, 900, True]]),
         plan(seed=20, loss=0.02, jitter={"uniform": 5}, silences=[[100, 350, False]])),
    call("c11late", plan(count=650, start=6.0, seed=21), None),
    call("c12few", plan(count=5, seed=22), plan(seed=23)),
    call("c13opus", plan(loss=0.02, jitter={"uniform": 6}, seed=24, **OPUS), plan(seed=25, **OPUS),
         formats=[[111, "opus/48000/2"], [101, "telephone-event/48000"]], codec="opus"),
    call("c14unknown", plan(pt=97, seed=26), plan(pt=97, seed=27, loss=0.04),
         formats=[[97, "X-VOICE/8000"]], codec=None),
    call("c15srtp", plan(seed=28, loss=0.02, pt=8), plan(seed=29, pt=8), profile="RTP/SAVP",
         formats=[PCMA], codec="PCMA",
         more="a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + "QUJD" * 10 + "\r\n"),
    call("c16hold", plan(seed=30, silences=[[350, 650, False]]),
         plan(seed=31, loss=0.02, silences=[[350, 650, False]]), hold=[7.5, 12.5]),
    call("c17narrow", plan(seed=32, loss=0.04, **G729), plan(seed=33, **G729),
         formats=[[18, "G729/8000"]], codec="G729"),
    call("c18thirty", plan(count=660, ptime=30, pt=8, size=240, loss={"enter": 0.02, "leave": 0.4},
                           seed=34), plan(count=660, ptime=30, pt=8, size=240, seed=35),
         formats=[PCMA], codec="PCMA", ptime=30),
    call("c19restart", plan(seed=36, changes={500: dict(seq=20)}),
         plan(seed=37, changes={500: dict(seq=9000)})),
    # A copy that is 980 packets old is of no sequence that a receiver follows (RFC 3550 A.1); one
    # that is 12 old, or 90, is a duplicate.
    call("c20stray", plan(seed=38, strays=[[990, 980], [995, 12]]),
         plan(seed=39, strays=[[500, 90], [700, 150]])),
    call("c21far", plan(seed=40), plan(seed=41), rtts=(0.700, 0.260)),
    call("c22foreign", plan(seed=42, foreign=[[100, 160, 8]]), plan(seed=43), formats=[PCMU]),
    call("c23mute", plan(seed=44), plan(seed=45)),
    call("c24xr", plan(seed=46), plan(seed=47)),
    # Music on hold: another source for six seconds, then the first goes on where it was.
    call("c25return", plan(seed=48, ssrc=500, changes={
        300: dict(ssrc=501, seq=7, ts=7), 600: dict(ssrc=500, segment=0, seq=1300, ts=1_096_000)}),
         plan(seed=49)),
    call("c26outage", plan(seed=50, loss={"at": list(range(300, 700))}),
         plan(seed=51, loss={"at": list(range(500, 600)) + [610, 650, 651]},
              jitter={"uniform": 9})),
    call("c27verylate", plan(seed=52, late=[[200, 50], [700, 99]]),
         plan(seed=53, late=[[300, 120]])),
]
BY = {c["name"]: c for c in CALLS}
BY["c15srtp"]["rtcp"] = [dict(rtt=0.05, encrypted=True)] * 2
BY["c21far"]["rtcp"][0].update(interval=0.4, lag=1)
BY["c21far"]["rtcp"][1].update(interval=0.4)
BY["c23mute"].update(strangers=[[5.0, 30], [12.0, 7]])
BY["c23mute"]["rtcp"] = [None, dict(rtt=0.05, deaf=True)]
BY["c24xr"]["rtcp"][0]["xr"] = XR
BY["c24xr"]["rtcp"][1]["xr"] = dict(XR, r=93, lq=44, cq=127, discard=0)
