#!/usr/bin/env python3
"""SIGHUP takes a new rule for new calls, a broken file changes nothing and says why; SIGTERM lets a
call end and admits no new one."""
from lab import *

ALLOW = "\n[policy]\ndefault = \"allow\"\n"
DENY = ALLOW + "[[rule]]\nname = \"shut\"\ndeny = { code = 403 }\n"


def scenario(lab):
    gw = lab.gateway(lab.edge(extra=ALLOW))
    uas = sipp(lab, "pbx", "uas", "10.99.0.2", "10.99.0.1:5060", calls=10, limit=60, name="uas")
    time.sleep(0.3)
    finish(lab, sipp(lab, "p1", "uac", "10.17.0.21", "10.17.0.1:5060", extra=["-s", "200"],
                     name="before"), "a call before")
    lab.write("gw.toml", lab.edge(extra=DENY))
    gw.send_signal(signal.SIGHUP)
    wait_for("the reload", 5, lambda: "reloaded" in lab.text("gw.log"))
    finish(lab, sipp(lab, "p1", "uac_denied", "10.17.0.21", "10.17.0.1:5060", port=5062,
                     extra=["-s", "200"], name="denied"), "a denied call")
    lab.write("gw.toml", lab.edge(extra=ALLOW + "[media]\nport = 3\n"))
    gw.send_signal(signal.SIGHUP)
    wait_for("the refusal", 5, lambda: "reload refused" in lab.text("gw.log"))
    finish(lab, sipp(lab, "p1", "uac_denied", "10.17.0.21", "10.17.0.1:5060", port=5064,
                     extra=["-s", "200"], name="still"), "still denied")
    lab.write("gw.toml", lab.edge(extra=ALLOW))
    gw.send_signal(signal.SIGHUP)
    wait_for("the second reload", 5, lambda: lab.text("gw.log").count("reloaded") == 2)
    long = sipp(lab, "p1", "uac_hold", "10.17.0.21", "10.17.0.1:5060", port=5066,
                extra=["-s", "200"], name="long")
    uas.kill()
    uas.wait(3)
    held = sipp(lab, "pbx", "uas_hold", "10.99.0.2", "10.99.0.1:5060", name="held")
    wait_for("a call is up", 8, lambda: lab.metric("portreeve_active_calls", state="confirmed") == 1)
    gw.send_signal(signal.SIGTERM)
    wait_for("it drains", 3, lambda: lab.metric("portreeve_draining") == 1)
    check(gw.poll() is None, "it waits for the call")
    waits = "1 call up; ends with it, at most 60 s; a second SIGTERM stops now"
    check(waits in lab.text("gw.log"), "and says so")
    finish(lab, long, "the call under way")
    finish(lab, held, "its other end")
    check(gw.wait(5) == 0, "then it ends with code 0")
    check("the last call has ended" in lab.text("gw.log"), "and tells why it ends")
    records = lab.audit()
    last = [r for r in records if r["kind"] == "call_end"][-1]
    check(last["outcome"] == "answered" and last["media"], f"the last call has its record: {last}")
    results = [r["result"] for r in records if r["kind"] == "admin" and r["action"] == "reload"]
    check(results == ["applied", "refused", "applied"], f"reloads in the audit: {results}")


run(scenario)
