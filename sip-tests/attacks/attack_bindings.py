#!/usr/bin/env python3
"""Registrations turned against the registrar of a site that asks for no password: one host that
registers more users than the table holds, again and again. The phones of others stay, come and are
called."""
from field import *

OPEN = """
[registrar]
mode = "local"
digest = false
"""


def one_host(field):
    """One host registers 400 users in a table of 300."""
    ip, uri = "10.17.0.45", "sip:10.17.0.1"
    packets = [(ip, packet("REGISTER", uri, ip, f"y{n}", [("Expires", "600")], domain="10.17.0.1"))
               for n in range(400)]
    flood(field, "p3", packets)
    field.well("one host's bindings")
    late = field.phone("105", "10.17.0.43")
    check(field.a.register().status == 200, "a phone registers again")
    check(20 < field.metric("portreeve_active_registrations") <= 300, "they came, the limit holds")
    for phone in (field.a, late):
        call = field.b.call(phone.user)
        check(call.answer.status == 200, f"{phone.user} is called: {call.answer.start}")
        check(call.bye().status == 200, "it ends")


def many_hosts(field):
    """A dozen hosts do so together."""
    packets = [(POOL[n % 12], packet("REGISTER", "sip:10.17.0.1", POOL[n % 12], f"z{n}",
                                     [("Expires", "600")], domain="10.17.0.1")) for n in range(600)]
    flood(field, "p3", packets)
    field.well("bindings of many hosts")
    late = field.phone("106", "10.17.0.44")
    for phone in (field.a, late):
        call = field.b.call(phone.user)
        check(call.answer.status == 200, f"{phone.user} is called: {call.answer.start}")
        check(call.bye().status == 200, "it ends")


run(lambda f: f.config(limits="bindings = 300\n", extra=OPEN),
    {"one host": one_host, "many hosts": many_hosts}, domain="10.17.0.1")
