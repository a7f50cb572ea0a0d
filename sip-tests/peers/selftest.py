#!/usr/bin/env python3
"""`portreeve selftest` passes in at most ten seconds; site mode starts without a file, prints what to
type and `ready`; a busy port says what to do."""
from lab import *


def scenario(lab):
    began = time.time()
    out = sh([BINARY, "selftest"])
    for want in ("audio both ways", "hold and resume", "DTMF by RFC 4733", "injection dropped",
                 "re-INVITE to another codec", "premium number denied by rule"):
        check(f"ok      {want}" in out, f"{want}:\n{out}")
    check(time.time() - began < 20, "it ends by itself")
    site = ["--listen", "10.17.0.1", "--data", lab.path("data")]
    p = lab.start("gw", [BINARY] + site, "site.log")
    wait_for("ready", 20, lambda: lab.text("site.log").endswith("\nready\n"))
    text = lab.text("site.log")
    for want in ("ok registered", "ok audio both ways", "server, outbound proxy   10.17.0.1",
                 "site-password"):
        check(want in text, f"{want} in:\n{text}")
    check(lab.text("data/site-password").strip() not in text, "the password is not printed to a file")
    busy = lab.start("gw", [BINARY, "--no-selftest", "--listen", "10.17.0.1", "--data",
                            lab.path("other")], "busy.log")
    check(busy.wait(10) == 69, f"a busy port ends with 69: {lab.text('busy.log')}")
    said = lab.text("busy.log")
    check(f"(pid {p.pid})" in said and "--listen 10.17.0.1:5062" in said, f"and says what to do: {said}")
    locked = lab.start("gw", [BINARY, "--no-selftest", "--listen", "10.17.0.1:5064", "--data",
                              lab.path("data")], "locked.log")
    check(locked.wait(10) == 69 and "--data" in lab.text("locked.log"), "one folder, one gateway")
    check(lab.stop(p) == 0, "SIGTERM ends with 0")


run(scenario)
