#!/usr/bin/env python3
"""Two baresips register at portreeve without a PBX and talk; each hears the other's tone."""
from lab import *


def scenario(lab):
    lab.write("state/x", "")
    config = f"""
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
"""
    gw = lab.gateway(config)
    password = lab.text("state/site-password").strip()
    capture = lab.capture("gw", "in", "inside.pcap")
    a = Phone(lab, "101", "10.17.0.21", 440, "10.17.0.1", password)
    b = Phone(lab, "102", "10.17.0.22", 660, "10.17.0.1", password)
    a.registered()
    b.registered()
    check(lab.metric("portreeve_active_registrations") == 2, "two bindings")
    a.call("sip:102@10.17.0.1")
    a.in_call()
    b.in_call()
    time.sleep(5)
    check(lab.metric("portreeve_active_calls", state="confirmed") == 1, "one call is up")
    a.hangup()
    wait_for("the call ends", 5, lambda: lab.metric("portreeve_active_calls") == 0)
    time.sleep(0.5)
    lab.stop(a.process)
    lab.stop(b.process)
    lab.stop(capture)
    check(a.heard(660) >= 3, f"101 heard 660 Hz for {a.heard(660)} s")
    check(b.heard(440) >= 3, f"102 heard 440 Hz for {b.heard(440)} s")
    check(a.heard(440) == 0, "101 did not hear itself")
    direct = [p for p in packets(lab.path("inside.pcap"))
              if is_rtp(p[5]) and "10.17.0.1" not in (p[1], p[3])]
    check(not direct, "RTP passes only by the gateway")
    check(lab.stop(gw) == 0, "SIGTERM ends with code 0")
    ends = [r for r in lab.audit() if r["kind"] == "call_end"]
    check(len(ends) == 1 and ends[0]["outcome"] == "answered", f"one call record: {ends}")
    media = ends[0]["media"][0]
    check(media["caller"]["rtp_packets"] > 150 and media["callee"]["rtp_packets"] > 150,
          f"both legs were counted: {media}")
    check(sh([BINARY, "audit", "verify", lab.path("audit")]), "the audit log is whole")


run(scenario)
