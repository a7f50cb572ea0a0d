#!/usr/bin/env python3
"""A real Prometheus scrapes a real gateway during real calls. promtool likes the scrape, the rules and
their tests; then every query of every rule and of every panel is asked through the HTTP API and must
answer with something else than zero, or stand below with the reason. Alerts fire that should, and no
others. PICTURES=DIR keeps the dashboards as drawn from this run.

Durations of rules are shortened to what a run of about a minute covers; nothing else of them is changed."""
from lab import *
import ctypes
import threading
import xml.dom.minidom

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
sys.path.insert(0, os.path.join(ROOT, "grafana"))
import draw  # noqa: E402  (the reader of the dashboards)

SHORT = {"30m": "90s", "15m": "60s", "10m": "40s", "5m": "20s", "2m": "10s", "1h:1m": "90s:5s"}
# What stays zero or empty in this run, and why.
ZERO = {
    "PortreeveAlone": "the PBX answers",
    "site: Alone for": "the PBX answers",
    "PortreeveRestarting": "it is started once",
    "PortreeveCallsCut": "every call is ended by one of its parties",
    "PortreeveNoCapacity": "no limit is reached",
    "PortreeveRegistrationsFailing": "Kamailio serves every REGISTER",
    "PortreeveAuditFailing": "the audit volume is sound",
    "PortreeveGuessingAttack": "passwords are judged by Kamailio, not here",
    "PortreeveBanned": "bans are off",
    "security: Banned now": "bans are off",
    "security: Kept out: banned": "bans are off",
    "security: Kept out: bans begun": "bans are off",
    "security: Kept out: slowed": "nobody asks for so much",
    "security: Guesses: pauses": "passwords are judged by Kamailio, not here",
    "security: Guesses: not compared": "passwords are judged by Kamailio, not here",
    "PortreeveSilencedCalls": "nobody but the PBX calls from outside",
    "PortreeveEmergencyUnrouted": "nobody dials an emergency number",
    "PortreeveSipDropped": "a queue of a whole burst never fills",
    "site: New calls": "nobody drains it",
    "site: Audit records lost": "the audit volume is sound",
    "site: Audit volume": "the audit volume is sound",
    "security: Wrong passwords": "passwords are judged by Kamailio, not here",
    "security: Audit records lost": "the audit volume is sound",
    "security: Audit log: commits failed": "the audit volume is sound",
    "security: Audit log: lost": "the audit volume is sound",
    "security: SIP trouble: dropped": "a queue of a whole burst never fills",
    "security: No room: {{resource}} refused": "there is room for everybody",
    "security: No room: {{resource}} gave way": "there is room for everybody",
    "PortreeveNoRoom": "there is room for everybody",
    "PortreeveGivingWay": "there is room for everybody",
    "security: TLS handshakes failed": "nobody calls by TLS",
    "PortreeveNoAddress": "every interface has a fixed address",
    "PortreevePortHeld": "every interface has a fixed address",
    "PortreeveAddressChanges": "every interface has a fixed address",
    "PortreeveSeenElsewhere": "nothing is advertised",
    "security: Tables: connections": "phones and PBX speak UDP here",
    "call_quality: Phones' own reports: {{result}}": "these phones send no RFC 6035 reports",
}
# One question for each category: the calls of this run are of some, not of all.
ANY = "call_quality: Calls by quality: {{category}}"
RULES = """
[policy]
default = "allow"
[[rule]]
name = "no premium"
number = ["+1900*"]
deny = { code = 403 }
[[rule]]
name = "Berlin by trunk"
number = ["+4930*"]
allow = { upstream = "trunk" }
"""
TRUNK = """probe = "2s"
[[upstream]]
name = "trunk"
address = "10.99.0.3:5060"
probe = "0s"
[[upstream]]
name = "gone"
address = "10.99.0.9:5060"
probe = "2s"
"""
NOISE = """
import socket, struct, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('10.17.0.21', 5099))
gw = ('10.17.0.1', 5060)
s.sendto(b'INVITE sip:x SIP/2.0\\r\\nContent-Length: 1\\r\\nContent-Length: 2\\r\\n\\r\\n', gw)
s.sendto(b'no sip at all', gw)
# Said three times: what is not for the gateway itself has a transaction, which knows repetitions.
options = (b'OPTIONS sip:102@pbx.test SIP/2.0\\r\\nVia: SIP/2.0/UDP 10.17.0.21:5099;branch=z9hG4bKa\\r\\n'
           b'From: <sip:a@a>;tag=1\\r\\nTo: <sip:102@pbx.test>\\r\\nCall-ID: n\\r\\nCSeq: 1 OPTIONS\\r\\n'
           b'Max-Forwards: 70\\r\\nContent-Length: 0\\r\\n\\r\\n')
for _ in range(3):
    s.sendto(options, gw)
end = time.time() + 4
while time.time() < end:
    for port in range(20000, 20400, 2):
        s.sendto(struct.pack('>BBHII', 0x80, 0, 7, 7, 9) + b'\\x2a' * 160, ('10.17.0.1', port))
    time.sleep(0.05)
"""


LOSSY = """table ip bad {
  chain line {
    type filter hook output priority 0
    udp dport 20000-20399 udp sport != 5099 numgen random mod 5 0 drop
  }
}
"""


def within(lab, ns, work):
    """Runs a function in a thread that stands in a namespace."""
    result = {}

    def inside():
        try:
            with open(f"/var/run/netns/{lab.ns[ns]}", "rb") as f:
                check(ctypes.CDLL(None, use_errno=True).setns(f.fileno(), 0x40000000) == 0, "setns")
            result["value"] = work()
        except Exception as e:  # it is raised anew below
            result["error"] = e

    t = threading.Thread(target=inside)
    t.start()
    t.join(60)
    if "error" in result:
        raise result["error"]
    return result["value"]


def shortened(text):
    text = re.sub(r"\[(\w+(?::\w+)?)\]", lambda m: f"[{SHORT.get(m[1], m[1])}]", text)
    check(not re.search(r"\[\d+m", text), "every range is short")
    return re.sub(r"\bfor: \w+", "for: 1s", re.sub(r"interval: 30s", "interval: 1s", text))


def promtool(*args, **kw):
    said = subprocess.run(["promtool", *args], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False, timeout=30, **kw)
    check(said.returncode == 0, f"promtool {args}: {said.stdout}")
    return said.stdout


def start_prometheus(lab):
    with open(os.path.join(ROOT, "grafana/rules.yml"), encoding="utf-8") as f:
        lab.write("rules.yml", shortened(f.read()))
    with open(os.path.join(ROOT, "grafana/prometheus/prometheus.yml"), encoding="utf-8") as f:
        config = f.read().replace("15s", "1s").replace("../rules.yml", "rules.yml")
    file = lab.write("prometheus.yml", config)
    promtool("check", "config", file)
    p = lab.start("gw", ["prometheus", f"--config.file={file}", "--web.listen-address=127.0.0.1:9090",
                         f"--storage.tsdb.path={lab.path('tsdb')}"], "prometheus.log")
    wait_for("Prometheus is ready", 20, lambda: "ready to receive web" in lab.text("prometheus.log")
             or p.poll() is not None)
    check(p.poll() is None, "Prometheus ended")
    return p


def scrape(lab):
    """Fetches /metrics in the gateway's namespace: text and the best of five times."""
    def fetch():
        times = []
        for _ in range(5):
            begin = time.perf_counter()
            with urllib.request.urlopen("http://127.0.0.1:8060/metrics", timeout=5) as r:
                kind, text = r.headers["content-type"], r.read().decode()
            times.append(time.perf_counter() - begin)
        return kind, text, min(times)
    return within(lab, "gw", fetch)


def measure(lab, what):
    """A scrape that promtool likes, told in figures; at most what docs/METRICS.md says."""
    kind, text, best = scrape(lab)
    promtool("check", "metrics", input=text)
    check(kind.startswith("text/plain; version=0.0.4"), f"served as {kind}")
    series = sum(not line.startswith("#") for line in text.splitlines() if line)
    with open(os.path.join(ROOT, "docs/METRICS.md"), encoding="utf-8") as f:
        most = int(re.search(r"at most (\d+) series", f.read())[1])
    check(series <= most, f"{series} series, at most {most}")
    print(f"a scrape {what}: {series} series of at most {most}, {len(text)} octets, {best * 1e3:.2f} ms")


def at_the_bound(lab):
    """As many rules and upstreams as have labels of their own, and some more."""
    rules = "".join(f'[[rule]]\nname = "a rule with a long name, number {i}"\nnumber = ["+49{i}*"]\n'
                    "deny = { code = 403 }\n" for i in range(80))
    ups = "".join(f'[[upstream]]\nname = "head office {i}"\naddress = "10.99.0.{i}:5060"\n'
                  for i in range(20, 32))
    config = lab.edge(extra='[policy]\ndefault = "site"\n' + rules, probe="2s")
    lab.gateway(config.replace("[media]\n", ups + "[media]\n"), "full")
    measure(lab, "at the bound")


def trunk_calls(lab):
    """Calls to a second upstream: busy, cancelled, failed, answered without audio; denied ones."""
    def variant(name, source, old, new):
        with open(os.path.join(ROOT, f"sip-tests/peers/sipp/{source}.xml"), encoding="utf-8") as f:
            text = f.read()
        check(old in text, f"{source} has {old}")
        return lab.write(name + ".xml", text.replace(old, new))[:-4]

    failed = variant("uas_failed", "uas_busy", "486 Busy Here", "500 Out Of Service")
    fails = variant("uac_fails", "uac_busy", 'response="486"', 'response="500"')
    silent = variant("uac_silent", "uac", 'pause milliseconds="300"', 'pause milliseconds="12000"')
    number = ["-s", "%2B4930123"]
    for caller, callee, calls in (("uac_busy", "uas_busy", 2), ("uac_cancel", "uas_cancel", 1),
                                  (fails, failed, 8), (silent, "uas", 3)):
        name = os.path.basename(caller)
        b = sipp(lab, "pbx", callee, "10.99.0.3", "10.99.0.1:5060", calls, 10, name=name + "-b")
        time.sleep(0.3)
        a = sipp(lab, "p3", caller, "10.17.0.23", "10.17.0.1:5060", calls, 10, extra=number,
                 name=name + "-a")
        finish(lab, a, name + " caller")
        finish(lab, b, name + " callee")
    denied = sipp(lab, "p3", "uac_denied", "10.17.0.23", "10.17.0.1:5060", 20, 20,
                  extra=["-s", "%2B19005550100"], name="denied")
    finish(lab, denied, "denied caller")


def queries():
    """(name, expression, instant?) of every rule and panel."""
    with open(os.path.join(ROOT, "grafana/rules.yml"), encoding="utf-8") as f:
        text = re.sub(r">-\n((?: {10}.*\n)+)",
                      lambda m: " ".join(m[1].split()) + "\n", f.read())
    found = re.findall(r"- (record|alert): (\S+)\n +expr: (.+)\n", text)
    check(len(found) == len(re.findall(r"^ +- (?:record|alert):", text, re.M)), "every rule is read")
    for kind, name, expr in found:
        if kind == "record":
            yield name, name, False
        else:
            # What is compared is asked for, not whether it is beyond the threshold.
            yield name, re.sub(r" (?:==|>=|<=|>|<) [\d.]+", "", shortened(expr)), False
    for board, dashboard in draw.boards():
        for panel, target in draw.targets(dashboard):
            expr = draw.substitute(target["expr"], ".+", "90s", "10s")
            name = f"{board}: {panel['title']}"
            if len(panel["targets"]) > 1 or "Phones' own" in name:
                name += ": " + target["legendFormat"]
            yield name, shortened(expr), target["instant"]


def ask_everything(prometheus, start, end):
    """Asks every query; those that answer nothing or zero only must be on the list."""
    empty, zero, asked = [], [], 0
    for name, expr, instant in queries():
        asked += 1
        if instant:
            values = [v for _, v in prometheus.instant(expr, end)]
        else:
            values = [v for _, p in prometheus.range(expr, start, end, 1) for v in p.values()]
        values = [v for v in values if not math.isnan(v)]
        if "portreeve_tunnel_" in expr:
            # There is none here: what one shows, `tunnel.py` looks at.
            check(not values, f"a tunnel that nobody has: {name}: {expr}")
        elif not values:
            empty.append(f"{name}: {expr}")
        elif not any(values):
            zero.append((name, expr))
    check(not empty, "no answer:\n" + "\n".join(empty))
    names = [n for n, _, _ in queries()]
    check(sum(n == ANY for n, _ in zero) <= names.count(ANY) - 2, "poor and unmeasured calls are told")
    unjustified = [f"{n}: {e}" for n, e in zero if n not in ZERO and n != ANY]
    check(not unjustified, "zero without a reason:\n" + "\n".join(unjustified))
    stale = set(ZERO) - {n for n, _ in zero}
    print(f"{asked} queries: {asked - len(zero)} with values, {len(zero)} zero for a stated reason"
          + (f"; more than zero though listed: {sorted(stale)}" if stale else ""))


def firing(prometheus):
    return {(a["labels"]["alertname"], a["labels"].get("upstream") or a["labels"].get("side", ""))
            for a in prometheus.ask("alerts")["alerts"] if a["state"] == "firing"}


def draw_all(lab, prometheus, start, end):
    folder = os.environ.get("PICTURES") or lab.path("pictures")
    os.makedirs(folder, exist_ok=True)
    span = f"{int(end - start) + 6}s"
    for name, board in draw.boards():
        svg = draw.Drawing(board, prometheus, end, span, 2, ".+").svg()
        xml.dom.minidom.parseString(svg)
        check(len(svg) < 100_000, f"the picture of {name} has {len(svg)} octets")
        with open(os.path.join(folder, name + ".svg"), "w", encoding="utf-8") as f:
            f.write(svg)


def traffic(lab):
    phones = [Phone(lab, user, f"10.17.0.2{i}", hz, "10.17.0.1", secret, domain="pbx.test",
                    outbound="10.17.0.1")
              for i, user, hz, secret in ((1, "101", 440, "secret-101"), (2, "102", 660, "secret-102"))]
    wrong = Phone(lab, "103", "10.17.0.23", 880, "10.17.0.1", "wrong", domain="pbx.test",
                  outbound="10.17.0.1")
    for p in phones:
        p.registered()
    lab.stop(wrong.process)
    phones[0].call("sip:102@pbx.test")
    for p in phones:
        p.in_call()
    begin = time.time()
    # A bad line: a fifth of what the first phone says is lost.
    sh(f"ip netns exec {lab.ns['p1']} nft -f -", input=LOSSY)
    noise = lab.start("p1", [sys.executable, "-c", NOISE], "noise.log")
    trunk_calls(lab)
    finish(lab, noise, "noise")
    # Three windows of 10 s, the last of them on a good line.
    time.sleep(max(0, begin + 22 - time.time()))
    sh(f"ip netns exec {lab.ns['p1']} nft flush ruleset")
    time.sleep(max(0, begin + 34 - time.time()))
    phones[0].hangup()
    wait_for("the calls end", 5, lambda: lab.metric("portreeve_active_calls") == 0)
    return phones


def scenario(lab):
    sh([sys.executable, os.path.join(ROOT, "grafana/make.py"), "--check"])
    promtool("check", "rules", os.path.join(ROOT, "grafana/rules.yml"))
    promtool("test", "rules", os.path.join(ROOT, "grafana/rules_test.yml"))
    kamailio(lab)
    config = lab.edge(extra=RULES, inside='tls = "self-signed"', limits="calls_per_user = 1000")
    config = config.replace('"udp:5070"]', '"udp:5070", "tls:5061"]')
    gw = lab.gateway(config.replace('probe = "0s"\n', TRUNK))
    start_prometheus(lab)
    prometheus = draw.Prometheus("http://127.0.0.1:9090")
    # What was counted before the first scrape is nobody's increase.
    wait_for("the first scrape", 20, lambda: within(
        lab, "gw", lambda: prometheus.instant("up", time.time())))
    start = time.time()
    traffic(lab)
    time.sleep(3)
    end = time.time()
    measure(lab, "after the calls")
    try:
        within(lab, "gw", lambda: ask_everything(prometheus, start, end))
        now = within(lab, "gw", lambda: firing(prometheus))
        print("firing:", sorted(now))
        check(("PortreeveUpstreamDown", "gone") in now, "the one that answers no probe is named")
        for name in ("pbx", "trunk"):
            check(("PortreeveUpstreamDown", name) not in now,
                  "one that answers is not, nor one that nobody asked")
        for name in ("PortreeveCallsFailing", "PortreeveOneWayAudio"):
            check((name, "") in now, f"{name} fires")
        for name in ("PortreeveDown", "PortreeveAuditFailing", "PortreeveNoCapacity"):
            check(not any(n == name for n, _ in now), f"{name} is silent")
        # 20 denied calls are no attempts.
        calls = {k: v for k, v in lab.metrics()[0].items() if k.startswith("portreeve_calls_total")}
        answered = sum(v for k, v in calls.items() if '"answered"' in k)
        none = ('"denied"', '"redirected"', '"rerouted"')
        tried = sum(v for k, v in calls.items() if not any(word in k for word in none))
        check(sum(v for k, v in calls.items() if '"denied"' in k) == 20, f"denied: {calls}")
        asr = within(lab, "gw", lambda: prometheus.instant("instance:portreeve_asr:ratio30m", end))
        check(len(asr) == 1 and abs(asr[0][1] - answered / tried) < 0.02,
              f"ASR {asr}, counted {answered} of {tried}")
    finally:
        within(lab, "gw", lambda: draw_all(lab, prometheus, start, end))
    check(lab.stop(gw) == 0, "SIGTERM ends with code 0")
    wait_for("PortreeveDown fires", 15, lambda: any(
        n == "PortreeveDown" for n, _ in within(lab, "gw", lambda: firing(prometheus))))
    at_the_bound(lab)


run(scenario)
