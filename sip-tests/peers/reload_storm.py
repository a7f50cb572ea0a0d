#!/usr/bin/env python3
"""200 reloads, by SIGHUP and by command in turn, every tenth of a broken file, while calls with media
run: no request fails, no call is dropped; after a refused file the one before holds."""
import hashlib
from lab import *

RELOADS = 200
CALLS = 240
# The file is one of these two: each denies another number, and more changes with it.
FILES = [(f"""
[policy]
default = "allow"
[[rule]]
name = "no {name}"
number = ["+{number}*"]
deny = {{ code = 403 }}
[media]
idle = "{idle}s"
[timers]
c = "{idle + 200}s"
""", number) for name, number, idle in (("premium", "1900", 60), ("satellite", "88213", 50))]
BROKEN = ["[media]\nport = 3\n", "[[rule]]\nname = \"x\"\n", "[[rule_test]]\nevent = { to = \"1\" }\n"
          "expect = \"deny: nobody\"\n", "[[interface\n"]


def config(lab, i):
    """The edge configuration with one of the two sets of rules."""
    extra, _ = FILES[i % 2]
    idle = re.search(r'idle = "\w+"', extra)[0]
    extra = extra.replace("[media]\n" + idle + "\n", "")
    learn = "same-ip" if i % 4 < 2 else "strict"
    text = lab.edge(extra=extra, inside=f'learn = "{learn}"',
                    limits=f"calls_per_user = 1000\nbindings = {1000 + i}")
    # Ports rest for 30 s: so many calls in that time leave the reserve untouched.
    text = text.replace("20000-20399", "20000-20999")
    return text.replace("[media]\n", f"[media]\n{idle}\n").replace('"debug"', '"info"')


def denied(lab, number, port):
    """Policy refuses this number now."""
    p = sipp(lab, "p2", "uac_denied", "10.17.0.22", "10.17.0.1:5060", port=port,
             extra=["-s", f"%2B{number}555"], name=f"denied-{port}")
    finish(lab, p, f"{number} is denied")


def scenario(lab):
    gw = lab.gateway(config(lab, 0))
    # sipp streams this file, which it finds where it runs.
    with open(lab.path("voice.raw"), "wb") as f:
        f.write(b"\xd5\x55" * 12_000)
    uas = sipp(lab, "pbx", "uas_media", "10.99.0.2", "10.99.0.1:5060", CALLS, 100, limit=150,
               extra=["-rtp_echo", "-mp", "6000"], name="uas")
    time.sleep(0.3)
    uac = sipp(lab, "p1", "uac_media", "10.17.0.21", "10.17.0.1:5060", CALLS, 6, limit=150,
               extra=["-s", "200"], name="uac")
    wait_for("calls are up", 10, lambda: lab.metric("portreeve_active_calls") >= 5)
    good, counts, during = 0, {"applied": 0, "refused": 0}, 0
    for n in range(1, RELOADS + 1):
        broken = n % 10 == 0
        if not broken:
            good = n
        text = config(lab, n) + (BROKEN[n // 10 % len(BROKEN)] if broken else "")
        lab.write("gw.toml", text)
        counts["refused" if broken else "applied"] += 1
        # Both ways meet broken files: 10, 30 … by command, 20, 40 … by signal.
        if n % 2 == 1 or n % 20 == 0:
            gw.send_signal(signal.SIGHUP)
            wait_for(f"reload {n}", 5, lambda: lab.text("gw.log").count("reloaded")
                     + lab.text("gw.log").count("reload refused") >= n)
        else:
            code, out, err = lab.ask("reload")
            want = 78 if broken else 0
            check(code == want, f"reload {n} ended with {code}: {out}{err}")
            if broken:
                check("error[" in err and "nothing changed" in err, f"every fault is told: {err}")
            else:
                check("rule" in out and "limits.bindings" in out and "media.idle" in out, out)
        if broken:
            held = lab.told("status")["configuration"]
            sha = hashlib.sha256(config(lab, good).encode()).hexdigest()
            check(held["hash"] == sha and held["last_reload_refused"], f"after {n}: {held}")
        if n % 50 == 0:
            denied(lab, FILES[good % 2][1], 5070 + n // 10)
        during += uac.poll() is None
    check(during >= RELOADS * 0.6, f"calls ran during {during} reloads only")
    finish(lab, uac, "calls", 120)
    finish(lab, uas, "their other ends", 20)
    wait_for("calls are gone", 10, lambda: lab.metric("portreeve_active_calls") == 0)
    print(f"{RELOADS} reloads, {during} of them during calls")
    for result, n in counts.items():
        got = lab.metric("portreeve_config_reloads_total", result=result)
        check(got == n, f"{result}: {got} of {n}")
    check(lab.metric("portreeve_calls_total", outcome="answered") == CALLS, "all were answered")
    check(lab.metric("portreeve_call_ends_total", reason="caller") == CALLS, "their callers ended them")
    check(lab.metric("portreeve_calls_total", outcome="denied") == RELOADS // 50, "denied ones")
    check(lab.metric("portreeve_media_ports", state="used") == 0, "no port is left behind")
    check(lab.stop(gw) == 0, "SIGTERM ends with code 0")
    records = lab.audit()
    ends = [r for r in records if r["kind"] == "call_end" and r["outcome"] == "answered"]
    check(len(ends) == CALLS, f"{len(ends)} records")
    silent = [r for r in ends if min(r["media"][0][leg]["rtp_packets"] for leg in ("caller", "callee")) < 100]
    check(not silent, f"{len(silent)} calls without media, as {silent[:1]}")
    reloads = [r for r in records if r["kind"] == "admin" and r["action"] == "reload"]
    check([r["result"] for r in reloads].count("refused") == counts["refused"], "refusals are recorded")
    check(len(reloads) == RELOADS, f"{len(reloads)} reloads in the audit")
    check(all(re.search(r"by (SIGHUP|uid 0 \(pid \d+\)): [0-9a-f]{64} -> [0-9a-f]{64}", r["detail"])
              for r in reloads), f"old and new hash: {reloads[0]}")
    check(sh([BINARY, "audit", "verify", lab.path("audit")]), "the audit log is whole")


run(scenario)
