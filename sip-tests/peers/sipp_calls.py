#!/usr/bin/env python3
"""sipp on both sides: calls in both directions over UDP and TCP, CANCEL, busy, hold and resume, late
offer, early media, a denied call; many short calls leave no port and no descriptor behind."""
from lab import *

RULES = """
[policy]
default = "allow"
[[rule]]
name = "no premium"
number = ["+1900*"]
deny = { code = 403 }
"""


def pair(lab, caller, callee, service="200", transport="u1", calls=1, rate=1):
    name = f"{caller}-{callee}-{transport}"
    t = ["-t", transport]
    b = sipp(lab, "pbx", callee, "10.99.0.2", "10.99.0.1:5060", calls, rate, extra=["-t", "u1"],
             name=name + "-b")
    time.sleep(0.3)
    a = sipp(lab, "p1", caller, "10.17.0.21", "10.17.0.1:5060", calls, rate, port=5060,
             extra=t + ["-s", service], name=name + "-a")
    finish(lab, a, name + " caller")
    finish(lab, b, name + " callee")


def scenario(lab):
    gw = lab.gateway(lab.edge(extra=RULES, limits="calls_per_user = 1000"))
    inside = lab.capture("gw", "out", "outside.pcap")
    for caller, callee in (("uac", "uas"), ("uac_cancel", "uas_cancel"), ("uac_busy", "uas_busy"),
                           ("uac_hold", "uas_hold"), ("uac_late", "uas"), ("uac", "uas_early")):
        pair(lab, caller, callee)
    pair(lab, "uac", "uas", transport="t1")
    denied = sipp(lab, "p1", "uac_denied", "10.17.0.21", "10.17.0.1:5060",
                  extra=["-s", "%2B19005550100"], name="denied")
    finish(lab, denied, "denied caller")
    check(lab.metric("portreeve_calls_total", outcome="answered") == 5, "five calls were answered")
    for outcome in ("cancelled", "busy", "denied"):
        check(lab.metric("portreeve_calls_total", outcome=outcome) == 1, f"one was {outcome}")
    files = lab.metric("process_open_fds")
    pair(lab, "uac", "uas", calls=1000, rate=100)
    wait_for("calls are gone", 10, lambda: lab.metric("portreeve_active_calls") == 0)
    check(lab.metric("portreeve_media_ports", state="used") == 0, "no port is left behind")
    check(lab.metric("portreeve_active_media_streams") == 0, "no stream is left behind")
    check(lab.metric("process_open_fds") <= files + 2, "no descriptor is left behind")
    check(lab.metric("portreeve_calls_total", outcome="answered") == 1005, "all were answered")
    lab.stop(inside)
    found = leaks(lab.path("outside.pcap"))
    check(not found, "inside addresses outside:\n" + "\n".join(found[:10]))
    _, text = lab.metrics()
    with open(lab.path("metrics.txt"), "w", encoding="utf-8") as f:
        f.write(text)
    said = subprocess.run(f"promtool check metrics < {lab.path('metrics.txt')}", shell=True,
                          text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    check(said.returncode == 0, f"promtool: {said.stdout}")
    check(lab.stop(gw) == 0, "SIGTERM ends with code 0")
    records = lab.audit()
    check(sum(r["kind"] == "call_end" for r in records) >= 1007, "every call has its record")
    folder = lab.path("audit")
    check(sh([BINARY, "audit", "verify", folder]), "the audit log is whole")
    file = os.path.join(folder, sorted(os.listdir(folder))[0])
    with open(file, "r+b") as f:
        f.seek(700)
        octet = f.read(1)
        f.seek(700)
        f.write(b"1" if octet != b"1" else b"2")
    broken = subprocess.run([BINARY, "audit", "verify", folder], check=False,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    check(broken.returncode == 1, "one changed octet breaks it")


run(scenario)
