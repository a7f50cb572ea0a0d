#!/usr/bin/env python3
"""What `portreeve ports --as nft` prints is enough and not too much: behind a firewall that drops
everything else, a call with sound passes between a phone and a PBX, and a stranger is not heard."""
from lab import *

POLICY = """
table inet filter {
    chain input { type filter hook input priority filter; policy drop;
        ct state established,related accept
        iif lo accept
    }
}
"""


def scenario(lab):
    config = lab.edge(extra='[policy]\ndefault = "site"\n')
    file = lab.write("gw.toml", config)
    printed = sh([BINARY, "ports", "--as", "nft", "-c", file])
    sh(["ip", "netns", "exec", lab.ns["gw"], "nft", "-c", "-f", "-"], input=printed)

    def nft(text):
        sh(["ip", "netns", "exec", lab.ns["gw"], "nft", "-f", "-"], input=text)

    nft(POLICY)
    kamailio(lab)
    gw = lab.gateway(config)
    a = Phone(lab, "101", "10.17.0.21", 440, "10.17.0.1", "secret-101", outbound="10.17.0.1", domain="pbx.test")
    time.sleep(2)
    check("200 OK" not in lab.text(a.log), "nothing passes before the ports are open")
    lab.stop(a.process)

    nft(printed)
    # Loading it again replaces it.
    nft(printed)
    nft("insert rule inet filter input jump portreeve\n")
    rules = sh(["ip", "netns", "exec", lab.ns["gw"], "nft", "list", "chain", "inet", "filter", "portreeve"])
    check(rules.count("accept") == printed.count(" accept "), f"one rule a line:\n{rules}")
    a = Phone(lab, "101", "10.17.0.21", 440, "10.17.0.1", "secret-101", outbound="10.17.0.1", domain="pbx.test")
    b = Phone(lab, "102", "10.17.0.22", 660, "10.17.0.1", "secret-102", outbound="10.17.0.1", domain="pbx.test")
    a.registered()
    b.registered()
    a.call("sip:102@pbx.test")
    a.in_call()
    b.in_call()
    time.sleep(4)
    a.hangup()
    wait_for("the call ends", 5, lambda: lab.metric("portreeve_active_calls") == 0)
    lab.stop(a.process)
    lab.stop(b.process)
    check(a.heard(660) >= 2.5 and b.heard(440) >= 2.5, f"heard {a.heard(660)} s and {b.heard(440)} s")

    # 10.99.0.3 stands on the PBX's network and is no upstream.
    knock = ("import socket,sys;s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM);"
             "s.bind((sys.argv[1],5099));s.settimeout(1);m='OPTIONS sip:10.99.0.1 SIP/2.0\\r\\n"
             "Via: SIP/2.0/UDP '+sys.argv[1]+':5099;branch=z9hG4bKk\\r\\nFrom: <sip:a@b>;tag=1\\r\\n"
             "To: <sip:10.99.0.1>\\r\\nCall-ID: k'+sys.argv[1]+'\\r\\nCSeq: 1 OPTIONS\\r\\n"
             "Max-Forwards: 9\\r\\nContent-Length: 0\\r\\n\\r\\n';s.sendto(m.encode(),('10.99.0.1',5060))\n"
             "try: print(s.recv(99).split()[1].decode())\nexcept OSError: print('silence')")

    def answer(source):
        return sh(["ip", "netns", "exec", lab.ns["pbx"], sys.executable, "-c", knock, source]).strip()

    check(answer("10.99.0.2").isdigit(), "the PBX is answered")
    check(answer("10.99.0.3") == "silence", "a stranger is not")
    check(lab.stop(gw) == 0, "SIGTERM ends with code 0")


run(scenario)
