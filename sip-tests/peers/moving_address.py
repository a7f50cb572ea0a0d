#!/usr/bin/env python3
"""The address of the WAN goes, and another one comes (DHCP, PPPoE): a call between two phones that is
up is untouched, registrations and a new call are told the new address in Via, Contact and SDP; an
inside address and one of another interface are refused."""
from lab import *

OLD, NEW = "10.99.0.1", "10.99.0.77"


def interface(lab):
    return lab.told("status")["interfaces"][0]


def stands(lab, *addresses):
    return lambda: interface(lab)["addresses"] == list(addresses)


def upstream(lab):
    return lab.told("status")["upstreams"][0]


def calls(lab):
    return lab.metric("portreeve_active_calls", state="confirmed")


def address(lab, what, ip, device="out"):
    sh(f"ip -n {lab.ns['gw']} addr {what} {ip}/24 dev {device}")


def said(file, since):
    """What the gateway sent to the PBX from this packet on: (source, message)."""
    sip = [(src, body) for proto, src, _, dst, port, body in packets(file)
           if proto == "udp" and dst == "10.99.0.2" and port == 5060]
    return sip[since:]


def requests(lab, since, method):
    return [(src, body) for src, body in said(lab.path("wan.pcap"), since)
            if body.startswith(method)]


def another(lab, name, ip):
    """One more place for a phone."""
    lab.ns[name] = f"{TAG}-{name}"
    sh(f"ip netns add {lab.ns[name]}")
    sh(f"ip -n {lab.ns[name]} link set lo up")
    lab._wire(name, f"in{name}", [f"{ip}/24"], "in")
    sh(f"ip -n {lab.ns['gw']} link set in{name} master in")


def scenario(lab):
    another(lab, "p4", "10.17.0.24")
    kamailio(lab)
    address(lab, "del", OLD)
    config = lab.edge(probe="1s").replace(f'address = "{OLD}"', 'device = "out"')
    gw = lab.gateway(config)
    check(interface(lab)["addresses"] == [], "it waits for an address")
    check("NO ADDRESS" in lab.ask("status")[1], "and says so")
    tap = lab.capture("pbx", "out", "wan.pcap")
    address(lab, "add", OLD)
    began = time.time()
    wait_for("it stands at its first address", 20, stands(lab, OLD))
    wait_for("Kamailio answers", 30, lambda: upstream(lab)["up"] and upstream(lab)["alone_s"] is None)
    print(f"from the first address to the first answer: {time.time() - began:.1f} s")
    phones = [Phone(lab, str(100 + n), f"10.17.0.{20 + n}", 400 + 60 * n, "10.17.0.1",
                    f"secret-{100 + n}", outbound="10.17.0.1:5060", domain="pbx.test", expires=60)
              for n in (1, 2, 3, 4)]
    for phone in phones:
        phone.registered()
    a, b, c, d = phones
    # No address at all: the site is alone, and two phones talk to each other.
    address(lab, "del", OLD)
    gone = time.time()
    wait_for("it stands nowhere", 20, stands(lab))
    wait_for("the site is alone", 30, lambda: upstream(lab)["alone_s"] is not None)
    print(f"from the address that went to a site that is alone: {time.time() - gone:.1f} s")
    a.call("sip:102@pbx.test")
    a.in_call()
    b.in_call()
    check(calls(lab) == 1, "one call, by no PBX")
    # The new one comes while they talk.
    before = len(said(lab.path("wan.pcap"), 0))
    address(lab, "add", NEW)
    came = time.time()
    wait_for("it stands at the new one", 20, stands(lab, NEW))
    wait_for("Kamailio serves again", 60, lambda: upstream(lab)["alone_s"] is None)
    print(f"from the new address to a PBX that serves: {time.time() - came:.1f} s")
    check(calls(lab) == 1, "the call is untouched")
    # Somewhat longer than what either heard before.
    time.sleep(8)
    check(calls(lab) == 1, "they talk on")
    a.hangup()
    wait_for("their call ends", 10, lambda: calls(lab) == 0)
    check(lab.metric("portreeve_address_changes_total") == 2, "two changes")
    # Registrations go there, by the new address; that of before is taken back.
    wait_for("phones register at Kamailio anew", 130,
             lambda: len(requests(lab, before, b"REGISTER")) >= 8)
    taken_back = 0
    for src, body in requests(lab, before, b"REGISTER"):
        lines = body.split(b"\r\n")
        old = [l for l in lines if OLD.encode() + b":" in l]
        taken_back += len(old)
        check(all(l.startswith(b"Contact") and b"expires=0" in l for l in old), body.decode())
        body = b"\r\n".join(l for l in lines if l not in old)
        check(src == NEW and OLD.encode() + b":" not in body, f"{src}: {body.decode()}")
    check(taken_back >= 4, f"{taken_back} Contacts of before were taken back")
    # A call by Kamailio, out and back in again.
    since = len(said(lab.path("wan.pcap"), 0))
    c.call("sip:104@pbx.test")
    c.in_call(20)
    d.in_call(20)
    check(calls(lab) == 2, "by two passes")
    wait_for("its INVITE was captured", 10, lambda: [
        body for _, body in requests(lab, since, b"INVITE") if b"Authorization" in body])
    for src, body in requests(lab, since, b"INVITE"):
        check(src == NEW and OLD.encode() + b":" not in body, body.decode())
        text = body.decode()
        for row in ("Via: SIP/2.0/UDP " + NEW, "Contact: <sip:"):
            check(row in text and NEW in text[text.index(row):].split("\r\n")[0], text)
        check("Record-Route" not in text, f"a route that could not follow the address: {text}")
        check(f"c=IN IP4 {NEW}" in text, text)
    c.hangup()
    wait_for("it ends", 10, lambda: calls(lab) == 0)
    # A DHCP server that errs: an address of the phones' network, and that of the other interface.
    address(lab, "del", NEW)
    wait_for("it stands nowhere again", 60, stands(lab))
    for rogue, why in (("10.17.0.99", "an address of the inside"),
                       ("10.17.0.1", "the address of interface lan")):
        address(lab, "add", rogue)
        wait_for(f"{rogue} is refused", 30, lambda: why in interface(lab)["refused"])
        check(interface(lab)["addresses"] == [], "and not taken")
        address(lab, "del", rogue)
    address(lab, "add", NEW)
    wait_for("it stands there once more", 60, stands(lab, NEW))
    for phone in phones:
        lab.stop(phone.process)
    for phone, hz in ((a, b.hz), (b, a.hz)):
        check(phone.heard(hz) >= 10, f"{phone.user} heard the other for {phone.heard(hz)} s")
    check(lab.stop(gw) == 0, "SIGTERM ends with code 0")
    lab.stop(tap)
    found = leaks(lab.path("wan.pcap"))
    check(not found, f"inside addresses outside: {found[:3]}")
    events = [r["event"] for r in lab.audit() if r["kind"] == "system"]
    check(events.count("address") >= 4, f"each change is in the audit log: {events}")


run(scenario)
