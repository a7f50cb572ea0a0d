#!/usr/bin/env python3
"""The gateway on a network of its own behind published ports, with the settings and the ports of
docker/compose.published.yaml and the address translation that Docker makes for them on Linux: two
phones register and call each other."""
import yaml
from lab import *

HOME = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
HOST, BRIDGE, INNER = "10.17.0.1", "172.18.0.1", "172.18.0.2"


def service():
    with open(os.path.join(HOME, "docker/compose.published.yaml"), encoding="utf-8") as f:
        return yaml.safe_load(f)["services"]["portreeve"]


def settings(phones):
    """The environment of the compose file, its two questions answered."""
    answers = {"HOST_ADDRESS": HOST, "PHONES": phones}
    fill = lambda v: re.sub(r"\$\{(\w+):[^}]*\}", lambda m: answers[m.group(1)], str(v))
    return {k: fill(v) for k, v in service()["environment"].items()}


def published():
    """What reaches the container from other machines: (protocol, ports)."""
    for text in service()["ports"]:
        parts, protocol = text.rsplit("/", 1)
        *host, outer, inner = parts.split(":")
        check(outer == inner, f"{text}: SIP names the port it listens on, so both must be alike")
        if host != ["127.0.0.1"]:
            yield protocol, outer


def dock(lab):
    """A bridge of Docker's on the host, and a container on it."""
    host = lab.ns["host"] = lab.ns["gw"]
    inner = lab.ns["gw"] = f"{TAG}-ct"
    sh(f"ip netns add {inner}")
    sh(f"ip -n {inner} link set lo up")
    sh(f"ip -n {host} link add docker0 type bridge")
    sh(f"ip -n {host} addr add {BRIDGE}/16 dev docker0")
    sh(f"ip -n {host} link set docker0 up")
    sh(f"ip -n {host} link add ct type veth peer name eth0 netns {inner}")
    sh(f"ip -n {host} link set ct master docker0 up")
    sh(f"ip -n {inner} addr add {INNER}/16 dev eth0")
    sh(f"ip -n {inner} link set eth0 up")
    sh(f"ip -n {inner} route add default via {BRIDGE}")
    sh(f"ip netns exec {host} sysctl -qw net.ipv4.ip_forward=1")


def translate(lab, hide):
    """Docker's rules for the published ports: DNAT to the container, forwarding of that only, the
    container masqueraded towards the world."""
    to = "".join(f"iifname != docker0 fib daddr type local {protocol} dport {ports} dnat to {INNER}\n"
                 for protocol, ports in published())
    proxy = "oifname docker0 masquerade" if hide else ""
    rules = lab.write("docker.nft", f"""
flush ruleset
table ip nat {{
    chain pre {{ type nat hook prerouting priority dstnat; {to} }}
    chain post {{ type nat hook postrouting priority srcnat;
        ip saddr 172.18.0.0/16 oifname != docker0 masquerade
        {proxy}
    }}
}}
table ip filter {{
    chain forward {{ type filter hook forward priority filter; policy drop;
        ct state established,related accept
        ct status dnat accept
        iifname docker0 accept
    }}
}}
""")
    sh(["ip", "netns", "exec", lab.ns["host"], "nft", "-f", rules])


def talk(lab, phones, hide):
    """Two calls; `phones` is the network that the gateway is told."""
    dock(lab)
    translate(lab, hide)
    env = {"PATH": os.environ["PATH"], "PORTREEVE_DATA": lab.path("data"), **settings(phones)}
    gw = lab.start("gw", [BINARY, "run"], "gw.log", env=env)
    wait_for("ready", 20, lambda: "\nready\n" in lab.text("gw.log") or gw.poll() is not None)
    check(gw.poll() is None, f"it ended: {lab.text('gw.log')}")
    check(f"server, outbound proxy   {HOST}" in lab.text("gw.log"), "phones are told the host")
    password = lab.text("data/site-password").strip()
    capture = lab.capture("p1", "in", "phone.pcap")
    a = Phone(lab, "101", "10.17.0.21", 440, HOST, password)
    b = Phone(lab, "102", "10.17.0.22", 660, HOST, password)
    a.registered()
    b.registered()
    for caller, callee in ((a, b), (b, a)):
        caller.call(f"sip:{callee.user}@{HOST}")
        wait_for(f"{caller.user} in a call", 10,
                 lambda: lab.metric("portreeve_active_calls", state="confirmed") == 1)
        time.sleep(4)
        caller.hangup()
        wait_for("the call ends", 5, lambda: lab.metric("portreeve_active_calls") == 0)
        time.sleep(0.5)
    for process in (a.process, b.process, capture):
        lab.stop(process)
    for phone, hz in ((a, 660), (b, 440)):
        heard = sorted(tone_seconds(f, hz) for f in phone.recordings())
        check(len(heard) == 2 and heard[0] >= 2.5, f"{phone.user} heard the other for {heard} s")
    seen = list(packets(lab.path("phone.pcap")))
    told = [p for p in seen if INNER.encode() in p[5]]
    check(not told, f"no phone is told the container's address: {told[:1]}")
    rtp = {(p[1], p[3]) for p in seen if is_rtp(p[5])}
    check(rtp == {("10.17.0.21", HOST), (HOST, "10.17.0.21")}, f"media by the host only: {rtp}")
    check(lab.stop(gw) == 0, "SIGTERM ends with code 0")


def scenario(lab):
    talk(lab, "10.17.0.0/24", hide=False)


if __name__ == "__main__":
    run(scenario)
