#!/usr/bin/env python3
"""One address for both sides with different ports, as on a Docker host with one card: calls pass, and the
media of both sides are relayed from the same address."""
from lab import *


def scenario(lab):
    gw = lab.gateway(f"""
[[interface]]
name = "lan"
side = "inside"
address = "10.17.0.1"
listen = ["udp:5060"]
[[interface]]
name = "wan"
side = "outside"
address = "10.17.0.1"
listen = ["udp:5080"]
[[upstream]]
name = "pbx"
address = "10.17.0.23:5060"
probe = "0s"
[policy]
default = "allow"
[media]
ports = "20000-20399"
[limits]
calls = 50
[state]
dir = "{lab.dir}/state"
[audit]
dir = "{lab.dir}/audit"
""")
    b = sipp(lab, "p3", "uas", "10.17.0.23", "10.17.0.1:5080", calls=20, rate=10, name="b")
    time.sleep(0.3)
    a = sipp(lab, "p1", "uac", "10.17.0.21", "10.17.0.1:5060", calls=20, rate=10,
             extra=["-s", "200"], name="a")
    finish(lab, a, "caller")
    finish(lab, b, "callee")
    check(lab.metric("portreeve_calls_total", direction="outbound", outcome="answered") == 20,
          "twenty calls went out")
    wait_for("ports return", 5, lambda: lab.metric("portreeve_media_ports", state="used") == 0)
    check(lab.stop(gw) == 0, "SIGTERM ends with code 0")


run(scenario)
