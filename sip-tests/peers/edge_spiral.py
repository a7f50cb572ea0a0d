#!/usr/bin/env python3
"""Phones register through portreeve at Kamailio (digest end to end) and 101 calls 102: out to
Kamailio and back in, a spiral without any other relay. No inside address leaves; RTP passes only by
the gateway; bindings survive a restart."""
from lab import *


def scenario(lab):
    pbx = kamailio(lab)
    gw = lab.gateway(lab.edge(probe="1s"))
    outside = lab.capture("pbx", "out", "outside.pcap")
    phones = [Phone(lab, user, ip, hz, "10.17.0.1", f"secret-{user}", domain="pbx.test",
                    outbound="10.17.0.1", transport=transport)
              for user, ip, hz, transport in (("101", "10.17.0.21", 440, "udp"),
                                              ("102", "10.17.0.22", 660, "tcp"))]
    a, b = phones
    a.registered()
    b.registered()
    check(lab.metric("portreeve_active_registrations") == 2, "two bindings")
    wait_for("Kamailio answers a probe", 5, lambda: lab.metric("portreeve_upstream_up") == 1)
    a.call("sip:102@pbx.test")
    a.in_call()
    b.in_call()
    time.sleep(5)
    check(lab.metric("portreeve_active_calls", state="confirmed") == 2, "two passes are up")
    b.hangup()
    wait_for("the calls end", 5, lambda: lab.metric("portreeve_active_calls") == 0)
    wait_for("ports return", 5, lambda: lab.metric("portreeve_media_ports", state="used") == 0)

    # A restart keeps the bindings: the next call comes in without a new REGISTER.
    check(lab.stop(gw) == 0, "SIGTERM ends with code 0")
    gw = lab.gateway(lab.edge(), "gw-again")
    check(lab.metric("portreeve_active_registrations") == 2, "bindings were restored")
    a.call("sip:102@pbx.test")
    wait_for("the second call is up", 10,
             lambda: lab.metric("portreeve_active_calls", state="confirmed") == 2)
    time.sleep(1)
    a.hangup()
    wait_for("it ends", 5, lambda: lab.metric("portreeve_active_calls") == 0)
    time.sleep(0.5)
    for p in phones:
        lab.stop(p.process)
    lab.stop(outside)
    check(a.heard(660) >= 3, f"101 heard 660 Hz for {a.heard(660)} s")
    check(b.heard(440) >= 3, f"102 heard 440 Hz for {b.heard(440)} s")
    seen = list(packets(lab.path("outside.pcap")))
    check(any(b"REGISTER" in p[5] for p in seen) and any(b"INVITE" in p[5] for p in seen),
          "the capture holds the signalling")
    found = leaks(lab.path("outside.pcap"))
    check(not found, "inside addresses outside:\n" + "\n".join(found[:10]))
    foreign = [p for p in seen if is_rtp(p[5]) and "10.99.0.1" not in (p[1], p[3])]
    check(not foreign, f"RTP without the gateway: {foreign[:2]}")
    lab.stop(pbx)
    lab.stop(gw)
    ends = [r for r in lab.audit() if r["kind"] == "call_end"]
    check(len(ends) == 4 and all(r["outcome"] == "answered" for r in ends), f"records: {ends}")
    check(sh([BINARY, "audit", "verify", lab.path("audit")]), "the audit log is whole")


run(scenario)
