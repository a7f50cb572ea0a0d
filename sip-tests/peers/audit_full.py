#!/usr/bin/env python3
"""The audit volume is full: new calls get 503, the metric says so; with space again calls pass and a gap
record counts what was lost. The chain stays whole."""
from lab import *

ALLOW = "\n[policy]\ndefault = \"allow\"\n"


def scenario(lab):
    audit = lab.path("audit")
    os.makedirs(audit)
    sh(f"mount -t tmpfs -o size=128k,mode=700 tmpfs {audit}")
    try:
        gw = lab.gateway(lab.edge(extra=ALLOW, top='drain = "1s"'))
        uas = sipp(lab, "pbx", "uas", "10.99.0.2", "10.99.0.1:5060", calls=100, limit=100,
                   name="uas")
        time.sleep(0.3)
        finish(lab, sipp(lab, "p1", "uac", "10.17.0.21", "10.17.0.1:5060", extra=["-s", "200"],
                         name="before"), "a call before")
        filler = os.path.join(audit, "filler")
        fd = os.open(filler, os.O_CREAT | os.O_WRONLY)
        try:
            while True:
                os.write(fd, b"x" * 4096)
        except OSError:
            os.close(fd)
        # The page that the log's end stands on may still take a few records.
        for i in range(12):
            refused = sipp(lab, "p1", "uac_full", "10.17.0.21", "10.17.0.1:5060", port=5070 + 2 * i,
                           extra=["-s", "+" + "9" * 700], name=f"full{i}", limit=10)
            if refused.wait(20) == 0:
                break
        else:
            raise Failed("no call was refused")
        check(lab.metric("portreeve_audit_full") == 1, "the metric says so")
        os.remove(filler)
        wait_for("records pass again", 10, lambda: lab.metric("portreeve_audit_full") == 0)
        finish(lab, sipp(lab, "p1", "uac", "10.17.0.21", "10.17.0.1:5060", port=5066,
                         extra=["-s", "200"], name="after"), "a call after")
        lab.stop(uas)
        check(lab.stop(gw) == 0, "SIGTERM ends with code 0")
        gaps = [r for r in lab.audit() if r["kind"] == "system" and r["event"] == "gap"]
        check(len(gaps) >= 1, "the gap is on record")
        check(sh([BINARY, "audit", "verify", audit]), "the chain is whole")
    finally:
        lab.close_processes()
        sh(f"umount -l {audit}")


run(scenario)
