#!/usr/bin/env python3
"""Phones that have nothing but a registrar field, pointed at portreeve's inside address: they register
at Kamailio through it and talk. What leaks is exactly the digest's own `uri=`, as the README says."""
from lab import *


def scenario(lab):
    kamailio(lab)
    gw = lab.gateway(lab.edge())
    outside = lab.capture("pbx", "out", "outside.pcap")
    a = Phone(lab, "101", "10.17.0.21", 440, "10.17.0.1", "secret-101")
    b = Phone(lab, "102", "10.17.0.22", 660, "10.17.0.1", "secret-102")
    a.registered()
    b.registered()
    a.call("sip:102@10.17.0.1")
    a.in_call()
    b.in_call()
    time.sleep(4.5)
    b.hangup()
    wait_for("the calls end", 5, lambda: lab.metric("portreeve_active_calls") == 0)
    time.sleep(0.3)
    for p in (a, b):
        lab.stop(p.process)
    lab.stop(outside)
    check(a.heard(660) >= 3, f"101 heard 660 Hz for {a.heard(660)} s")
    check(b.heard(440) >= 3, f"102 heard 440 Hz for {b.heard(440)} s")
    check(leaks(lab.path("outside.pcap")), "the stated exception exists: a digest over our address")
    found = leaks(lab.path("outside.pcap"), allowed=[rb'uri="sip:[^"]*"'])
    check(not found, "other inside addresses outside:\n" + "\n".join(found[:10]))
    check(lab.stop(gw) == 0, "SIGTERM ends with code 0")


run(scenario)
