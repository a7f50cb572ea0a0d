#!/usr/bin/env python3
"""During a call of two phones a stranger, and a neighbour on another port, send RTP at every relay port:
none of it reaches a phone, the call lives, the audit names it once."""
from lab import *

SPRAY = """
import socket, struct, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
end = time.time() + 2
while time.time() < end:
    for port in range(20000, 20200):
        s.sendto(struct.pack('>BBHII', 0x80, 0, 7, 7, 0xbadbad) + b'\\x2a' * 160, ('10.17.0.1', port))
    time.sleep(0.02)
"""


def scenario(lab):
    gw = lab.gateway(f"""
[[interface]]
name = "lan"
side = "inside"
address = "10.17.0.1"
[registrar]
mode = "local"
password_file = "{lab.dir}/state/site-password"
[media]
ports = "20000-20199"
[limits]
calls = 50
[state]
dir = "{lab.dir}/state"
[audit]
dir = "{lab.dir}/audit"
""")
    password = lab.text("state/site-password").strip()
    a = Phone(lab, "101", "10.17.0.21", 440, "10.17.0.1", password)
    b = Phone(lab, "102", "10.17.0.22", 660, "10.17.0.1", password)
    a.registered()
    b.registered()
    capture = lab.capture("gw", "in", "inside.pcap")
    a.call("sip:102@10.17.0.1")
    a.in_call()
    b.in_call()
    time.sleep(1)
    for ns in ("p3", "p1"):
        lab.start(ns, [sys.executable, "-c", SPRAY], f"spray-{ns}.log").wait(10)
    time.sleep(2)
    check(lab.metric("portreeve_active_calls", state="confirmed") == 1, "the call lives")
    dropped = lab.metric("portreeve_media_dropped_packets_total", reason="unknown_source")
    check(dropped > 50, f"drops are counted: {dropped}")
    a.hangup()
    wait_for("the call ends", 5, lambda: lab.metric("portreeve_active_calls") == 0)
    for p in (a, b, ):
        lab.stop(p.process)
    lab.stop(capture)
    injected = [p for p in packets(lab.path("inside.pcap"))
                if p[1] == "10.17.0.1" and p[5][8:12] == struct.pack(">I", 0xbadbad)]
    check(not injected, f"{len(injected)} injected packets were relayed")
    check(a.heard(660) >= 3 and b.heard(440) >= 3, "both heard each other all the while")
    check(lab.stop(gw) == 0, "SIGTERM ends with code 0")
    named = [r for r in lab.audit() if r["kind"] == "security" and r["class"] == "media_stranger"]
    check(0 < len(named) <= 8, f"a burst makes few records: {len(named)}")


run(scenario)
