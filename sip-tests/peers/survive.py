#!/usr/bin/env python3
"""The WAN is pulled in the middle of a call between two phones: it is untouched, a call that begins in
the dark rings, phones register at the edge; the WAN comes back, nothing drops and phones return to
Kamailio."""
from lab import *


def upstream(lab):
    return lab.told("status")["upstreams"][0]


def another(lab, name, ip):
    """One more place for a phone."""
    lab.ns[name] = f"{TAG}-{name}"
    sh(f"ip netns add {lab.ns[name]}")
    sh(f"ip -n {lab.ns[name]} link set lo up")
    lab._wire(name, f"in{name}", [f"{ip}/24"], "in")
    sh(f"ip -n {lab.ns['gw']} link set in{name} master in")


def wan(lab, state):
    """The cable between the gateway and the world."""
    sh(f"ip -n {lab.ns['pbx']} link set out {state}")


def calls(lab):
    return lab.metric("portreeve_active_calls", state="confirmed")


def established(lab, phone):
    return lab.text(phone.log).count("Call established")


def scenario(lab):
    another(lab, "p4", "10.17.0.24")
    kamailio(lab)
    gw = lab.gateway(lab.edge(probe="2s"))
    phones = [Phone(lab, str(100 + n), f"10.17.0.{20 + n}", 400 + 60 * n, "10.17.0.1",
                    f"secret-{100 + n}", outbound="10.17.0.1:5060", domain="pbx.test", expires=60)
              for n in (1, 2, 3, 4)]
    for phone in phones:
        phone.registered()
    wait_for("Kamailio answers", 20, lambda: upstream(lab)["up"])
    check(lab.metric("portreeve_active_registrations") == 4, "four phones")
    a, b, c, d = phones
    a.call("sip:102@pbx.test")
    a.in_call()
    b.in_call()
    up = calls(lab)
    # The WAN is pulled while they talk; two others begin to.
    wan(lab, "down")
    pulled = time.time()
    c.call("sip:104@pbx.test")
    wait_for("a call that begins in the dark rings", 20, lambda: established(lab, d))
    print(f"from the pulled WAN to the first local call: {time.time() - pulled:.1f} s")
    c.in_call()
    check(upstream(lab)["alone_s"] is not None, "the site is alone")
    check("ALONE for" in lab.ask("status")[1], "and says so")
    check(calls(lab) == up + 1, "the call before is untouched")
    time.sleep(6)
    c.hangup()
    wait_for("the local call ends", 5, lambda: calls(lab) == up)
    # Phones come back before their minute is over, and are registered here.
    wait_for("phones register at the edge", 70,
             lambda: lab.metric("portreeve_alone_requests_total", result="registered") >= 4)
    check(lab.metric("portreeve_active_registrations") == 4, "none is lost")
    check(calls(lab) == up, "they talk on")
    wan(lab, "up")
    sh(f"ip -n {lab.ns['pbx']} addr replace 10.99.0.2/24 dev out")
    wait_for("Kamailio serves again", 40, lambda: upstream(lab)["alone_s"] is None)
    check(calls(lab) == up, "nothing drops when it is back")
    accepted = lab.metric("portreeve_registration_requests_total", result="accepted")
    at_edge = lab.metric("portreeve_alone_requests_total", result="registered")
    wait_for("phones return to Kamailio", 130, lambda:
             lab.metric("portreeve_registration_requests_total", result="accepted") - accepted
             - (lab.metric("portreeve_alone_requests_total", result="registered") - at_edge) >= 4)
    # The call that lasted through all of it ends as calls do, and the next one goes by Kamailio.
    a.hangup()
    wait_for("the call ends at both", 10, lambda: calls(lab) == 0)
    before = established(lab, c)
    c.call("sip:104@pbx.test")
    wait_for("a call by Kamailio", 10, lambda: established(lab, c) > before)
    check(calls(lab) == up, "by two passes")
    c.hangup()
    wait_for("it ends", 10, lambda: calls(lab) == 0)
    for phone in phones:
        lab.stop(phone.process)
    for phone, hz in ((a, b.hz), (b, a.hz)):
        check(phone.heard(hz) >= 40, f"{phone.user} heard the other for {phone.heard(hz)} s")
    check(lab.stop(gw) == 0, "SIGTERM ends with code 0")
    events = [r.get("event") for r in lab.audit() if r["kind"] == "system"]
    check("alone" in events and "serving" in events, f"both are in the audit log: {events}")


run(scenario)
