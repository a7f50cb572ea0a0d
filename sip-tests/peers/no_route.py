#!/usr/bin/env python3
"""Site mode on machines without a default route: it waits for an address and takes the only one, it
never chooses between two, and an address that goes makes it unready until it is back."""
from lab import *

HERE = "192.168.1.10"


def health(lab):
    p = subprocess.run(["ip", "netns", "exec", lab.ns["gw"], BINARY, "health"], text=True,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=10, check=False)
    return p.returncode, p.stdout


def start(lab, log, *words):
    return lab.start("gw", [BINARY, "--no-selftest", "--data", lab.path("data"), *words], log)


def scenario(lab):
    gw = lab.ns["gw"]
    sh(f"ip -n {gw} addr flush dev in")
    sh(f"ip -n {gw} addr flush dev out")
    p = start(lab, "wait.log")
    wait_for("it says that it waits", 10, lambda: "waiting for an address" in lab.text("wait.log"))
    check("ready" not in lab.text("wait.log").split() and health(lab)[0] == 1, "and is not ready")
    sh(f"ip -n {gw} addr add {HERE}/24 dev in")
    wait_for("the address is taken", 10, lambda: lab.text("wait.log").endswith("\nready\n"))
    said = lab.text("wait.log")
    check(re.search(rf"inside +lan +{re.escape(HERE)} ", said), f"as the inside: {said}")
    check("no trunk: 112" in said, f"emergency numbers reach nobody, and that is said: {said}")
    check(health(lab) == (0, "ready\n"), f"now it is ready: {health(lab)}")
    sh(f"ip -n {gw} addr del {HERE}/24 dev in")
    code, why = wait_for("its loss is noticed", 15, lambda: health(lab) if health(lab)[0] else None)
    check(f"{HERE} is gone" in why, f"health says why: {why}")
    sh(f"ip -n {gw} addr add {HERE}/24 dev in")
    wait_for("it is there again", 15, lambda: health(lab)[0] == 0)
    check(lab.stop(p) == 0, "SIGTERM ends with 0")

    sh(f"ip -n {gw} addr add 10.99.0.1/24 dev out")
    p = start(lab, "two.log")
    check(p.wait(10) == 78, f"two addresses are no choice: {lab.text('two.log')}")
    said = lab.text("two.log")
    check(f"--listen {HERE}\n" in said and "--listen 10.99.0.1\n" in said, f"they are listed: {said}")

    p = start(lab, "loopback.log", "--listen", "127.0.0.1")
    wait_for("ready", 10, lambda: lab.text("loopback.log").endswith("\nready\n"))
    check("loopback only (127.0.0.1)" in lab.text("loopback.log"), "loopback alone is told")
    check("this machine only" in health(lab)[1], f"by health, too: {health(lab)}")
    check(lab.stop(p) == 0, "SIGTERM ends with 0")

    sh(f"ip -n {gw} addr flush dev in")
    sh(f"ip -n {gw} addr flush dev out")
    p = start(lab, "never.log")
    wait_for("it waits", 10, lambda: "waiting for an address" in lab.text("never.log"))
    check(lab.stop(p) == 0, "who waits can be stopped")


run(scenario)
