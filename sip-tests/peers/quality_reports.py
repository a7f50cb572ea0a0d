#!/usr/bin/env python3
"""Phones report the quality of their calls (RFC 6035): to the PBX through the gateway, which hides
who they are and keeps the figures, and to the gateway itself where it is the phone system."""
from lab import *

SITE = """
[[interface]]
name = "lan"
side = "inside"
address = "10.17.0.1"
[registrar]
mode = "local"
digest = false
password_file = "{dir}/site-state/password"
[media]
ports = "20000-20399"
[state]
dir = "{dir}/site-state"
[audit]
dir = "{dir}/audit"
[log]
level = "debug"
"""


def reports(lab, accepted, refused):
    for result, want in (("accepted", accepted), ("refused", refused)):
        got = lab.metric("portreeve_vq_reports_total", result=result)
        check(got == want, f"{got} reports {result}, expected {want}")


def recorded(lab, user):
    """Both reports of one call stand in the log, the last one before the end also in the call's."""
    found = lab.audit("quality_report", 2)
    check(len(found) == 2, f"two reports are recorded: {found}")
    for record, (scope, ended) in zip(found, (("interval", False), ("session", True))):
        check((record["user"], record["leg"], record["side"]) == (user, "caller", "inside"),
              f"the caller's: {record}")
        check((record["report"]["scope"], record["report"]["ended"]) == (scope, ended),
              f"an {scope} report: {record}")
        heard = record["report"]["heard"]
        check((heard["mos_cq"], heard["loss"], heard["round_trip_ms"], heard["seconds"])
              == (4.2, 0.005, 12, 20), f"the phone's figures: {heard}")
    end = lab.audit("call_end", 1)[0]
    leg = end["media"][0]["caller"]
    # The last one comes with the BYE: it may be in time or not.
    check(leg.get("phone_report", {}).get("scope") in ("interval", "session"), f"beside ours: {leg}")


def headers(message, name):
    text = message.decode(errors="replace")
    return re.findall(rf"^{name}: *(.*?)\r$", text, re.M | re.I)


def edge(lab):
    gw = lab.gateway(lab.edge(extra='[policy]\ndefault = "allow"\n'), "edge")
    outside = lab.capture("gw", "out", "outside.pcap")
    b = sipp(lab, "pbx", "uas_report", "10.99.0.2", "10.99.0.1:5060", calls=3)
    time.sleep(0.3)
    a = sipp(lab, "p1", "uac_report", "10.17.0.21", "10.17.0.1:5060",
             extra=["-s", "200", "-key", "caller", "101"])
    finish(lab, a, "phone")
    finish(lab, b, "PBX")
    reports(lab, 2, 0)
    recorded(lab, "")
    time.sleep(0.5)
    lab.stop(outside)
    sent = [p[5] for p in packets(lab.path("outside.pcap")) if p[1] == "10.99.0.1"]
    invite = next(m for m in sent if m.startswith(b"INVITE "))
    published = [m for m in sent if m.startswith(b"PUBLISH ")]
    check(len(published) == 2, f"{len(published)} reports went to the PBX")
    for message in published:
        named = headers(message, "CallID")
        check(named == headers(invite, "Call-ID"), f"under the call's name: {named}")
        check(b"LocalMAC" not in message and b"MOSCQ=4.2" in message, f"not as it should be: {message}")
    found = leaks(lab.path("outside.pcap"))
    check(not found, "inside addresses outside:\n" + "\n".join(found[:10]))
    check(lab.stop(gw) == 0, "SIGTERM ends with code 0")
    shutil.rmtree(lab.path("audit"))


def site(lab):
    os.makedirs(lab.path("site-state"), exist_ok=True)
    gw = lab.gateway(SITE.format(dir=lab.dir), "site")
    inside = lab.capture("gw", "in", "inside.pcap")
    for ns, ip, user in (("p1", "10.17.0.21", "101"), ("p2", "10.17.0.22", "102"),
                         ("p3", "10.17.0.23", "103")):
        finish(lab, sipp(lab, ns, "register", ip, "10.17.0.1:5060", extra=["-s", user],
                         name="register-" + user), user + " registers")
    b = sipp(lab, "p2", "uas", "10.17.0.22", "10.17.0.1:5060", name="102")
    time.sleep(0.3)
    a = sipp(lab, "p1", "uac_report", "10.17.0.21", "10.17.0.1:5060", name="101",
             extra=["-s", "102", "-key", "caller", "101"])
    finish(lab, a, "101")
    finish(lab, b, "102")
    reports(lab, 2, 0)
    recorded(lab, "101")
    refused = sipp(lab, "p3", "publish_refused", "10.17.0.23", "10.17.0.1:5060",
                   extra=["-s", "103"], name="103")
    finish(lab, refused, "103")
    reports(lab, 2, 2)
    time.sleep(0.5)
    lab.stop(inside)
    answers = [p[5] for p in packets(lab.path("inside.pcap"))
               if p[1] == "10.17.0.1" and headers(p[5], "SIP-ETag")]
    check(len(answers) == 2, f"{len(answers)} publications were granted")
    for answer in answers:
        check(headers(answer, "Expires") == ["600"], f"for as long as asked: {answer}")
    check(lab.stop(gw) == 0, "SIGTERM ends with code 0")
    check(sh([BINARY, "audit", "verify", lab.path("audit")]), "the audit log is whole")


def scenario(lab):
    edge(lab)
    site(lab)


run(scenario)
