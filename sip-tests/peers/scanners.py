#!/usr/bin/env python3
"""The scanners that everybody meets: svmap, svwar and svcrack (SIPVicious) and sipsak, from a host inside
and from one outside, learn neither who is there nor what this is nor a password, while a phone stays registered."""
from concurrent.futures import ThreadPoolExecutor

from lab import *

VICTIM = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('10.99.0.3', 5060))
while True:
    data, peer = s.recvfrom(65536)
    rows = [r for r in data.decode().split('\\r\\n')[1:] if r.split(':')[0] in
            ('Via', 'From', 'To', 'Call-ID', 'CSeq')]
    s.sendto(('SIP/2.0 200 OK\\r\\n' + '\\r\\n'.join(rows) +
              '\\r\\nUser-Agent: victim-1.2\\r\\nContent-Length: 0\\r\\n\\r\\n').encode(), peer)
"""


def tool(lab, ns, *command, seconds=40):
    """What a tool prints, ended when it takes too long."""
    p = subprocess.run(["ip", "netns", "exec", lab.ns[ns], "timeout", str(seconds), *command],
                       text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=lab.dir,
                       stdin=subprocess.DEVNULL, check=False, env={**os.environ, "HOME": lab.dir})
    # One that did not run learns nothing, and proves nothing.
    check(p.returncode not in (126, 127) and "Traceback" not in p.stdout, f"it runs: {p.stdout}")
    return p.stdout


def silent(said, what):
    """Nothing in it tells who we are, or whom we know."""
    found = re.search(r"portreeve|(?:User-Agent|Server): *\S|\| *1\d\d *\|", said)
    check(not found, f"{what} learns {found and found.group(0)!r}:\n{said[-2000:]}")


def try_door(lab, password, place, ns, own, gate, port, local):
    """Everything that the tools can do at one door; raises what one of them learned."""
    ours = ["-P", local, "-x", own, "-p", port]
    for method in ("OPTIONS", "REGISTER", "INVITE"):
        said = tool(lab, ns, "svmap", *ours, "-m", method, gate)
        silent(said, f"svmap {method} {place}")
        if place == "outside":
            check(f"{gate}:{port}" not in said, f"svmap {method} sees nobody outside:\n{said}")
    for method in ("REGISTER", "OPTIONS", "INVITE"):
        said = tool(lab, ns, "svwar", *ours, "-e", "95-125", "-m", method, "--force",
                    gate)
        extensions = {int(n) for n in re.findall(r"\| *(\d+) *\|", said)}
        check(len(extensions) in (0, 31), f"svwar {method} {place} lists users:\n{said[-2000:]}")
    said = tool(lab, ns, "svcrack", *ours, "-u", "101", "-r", "1000-1100", gate,
                seconds=20)
    check(not re.search(r"\| *101 *\|", said) and password not in said,
          f"svcrack {place} has a password:\n{said[-2000:]}")
    for words in (["-s", f"sip:101@{gate}:{port}"], ["-T", "-s", f"sip:101@{gate}:{port}"],
                  ["-U", "-s", f"sip:101@{gate}:{port}", "-a", "guess"],
                  ["-M", "-B", "hello", "-s", f"sip:101@{gate}:{port}"]):
        said = tool(lab, ns, "sipsak", "-vv", *words, seconds=4)
        # What it sent itself it prints as well.
        theirs = re.sub(r"User-Agent: sipsak[^\n]*", "", said)
        silent(theirs, f"sipsak {words} {place}")


def scenario(lab):
    gw = lab.gateway(f"""
[[interface]]
name = "lan"
side = "inside"
address = "10.17.0.1"
listen = ["udp:5060"]
[[interface]]
name = "wan"
side = "outside"
address = "10.99.0.1"
listen = ["udp:5060"]
[[interface]]
name = "open"
side = "outside"
address = "10.99.0.1"
listen = ["udp:5080"]
strangers = "answer"
[[upstream]]
name = "pbx"
address = "10.99.0.3:5060"
domain = "pbx.test"
probe = "0s"
interface = "wan"
[registrar]
mode = "local"
realm = "site"
password_file = "{lab.dir}/state/site-password"
[state]
dir = "{lab.dir}/state"
[audit]
dir = "{lab.dir}/audit"
""")
    password = lab.text("state/site-password").strip()
    phone = Phone(lab, "101", "10.17.0.21", 440, "10.17.0.1", password)
    phone.registered()
    victim = lab.start("pbx", [sys.executable, "-c", VICTIM], "victim.log")
    time.sleep(0.3)
    # The control: against somebody who tells, they tell.
    said = tool(lab, "pbx", "svmap", "-P", "5090", "10.99.0.3")
    check("victim-1.2" in said, f"svmap works:\n{said}")
    # They send from 10.99.0.2, which is no upstream here.
    doors = [("inside", "p3", "10.17.0.23", "10.17.0.1", "5060"),
             ("outside", "pbx", "10.99.0.2", "10.99.0.1", "5060"),
             ("the open door", "pbx", "10.99.0.2", "10.99.0.1", "5080")]
    with ThreadPoolExecutor(len(doors)) as pool:
        # A port of its own for each: two of them share a host.
        tries = [pool.submit(try_door, lab, password, *door, str(5190 + 100 * n))
                 for n, door in enumerate(doors)]
        for one in tries:
            one.result()
    check(lab.metric("portreeve_active_registrations") == 1, "the phone is registered still")
    check("panicked" not in lab.text("gw.log"), "nothing panicked")
    for p in (phone.process, victim):
        lab.stop(p)
    check(lab.stop(gw) == 0, "SIGTERM ends with code 0")


run(scenario)
