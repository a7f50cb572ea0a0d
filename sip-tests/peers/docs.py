#!/usr/bin/env python3
"""What the documentation says of a running gateway is what it says: `console gateway` blocks run beside
one with a call up, `console site` blocks without a file, on a terminal and as in a container. Firewall
tables, queries, the Prometheus configuration and the DHCP option are read by the real programs."""
import pty

from lab import *

HOME = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
SITE = "192.168.1.10"


class Block:
    def __init__(self, page, line, info, text):
        self.place, self.info, self.text = f"{page}:{line} ({info})", info, text

    def commands(self):
        """(command, wanted lines) pairs."""
        pairs = []
        for line in self.text.splitlines():
            if line.startswith("$ "):
                pairs.append((line[2:], []))
            else:
                check(pairs, f"{self.place}: output before a command")
                pairs[-1][1].append(line)
        check(pairs, f"{self.place}: no command")
        return pairs


def blocks():
    """Every fenced block, as sip-tests/docs/blocks.rs reads them; that test knows every kind."""
    for page in ["README.md"] + sorted(f"docs/{n}" for n in os.listdir(f"{HOME}/docs") if n.endswith(".md")):
        with open(f"{HOME}/{page}", encoding="utf-8") as f:
            info, text, begin = None, "", 0
            for number, line in enumerate(f, 1):
                if not line.lstrip().startswith("```"):
                    text += line
                elif info is None:
                    info, text, begin = line.strip()[3:].strip(), "", number
                else:
                    yield Block(page, begin, info, text)
                    info = None


def line_matches(wanted, said):
    return re.fullmatch(".*".join(re.escape(p) for p in wanted.split("[..]")), said) is not None


def matches(wanted, said):
    """`...` stands for any lines, `[..]` for anything within one."""
    if not wanted:
        return not said
    if wanted[0] == "...":
        return any(matches(wanted[1:], said[n:]) for n in range(len(said) + 1))
    return bool(said) and line_matches(wanted[0].rstrip(), said[0].rstrip()) and matches(wanted[1:], said[1:])


def compare(block, command, wanted, said):
    check(matches(wanted, said.splitlines()),
          f"{block.place}: $ {command}\nsays\n{said}\nand not\n" + "\n".join(wanted))


def with_gateway(lab, found):
    """A gateway, one call up, and the commands beside it. Paths of a service stand for the lab's."""
    config = lab.edge(extra='[policy]\ndefault = "allow"\n')
    lab.gateway(config)
    with open(f"{HOME}/sip-tests/peers/sipp/uac.xml", encoding="utf-8") as f:
        long = f.read().replace('pause milliseconds="300"', 'pause milliseconds="13000"')
    caller = lab.write("uac_long.xml", long)[:-4]
    callee = sipp(lab, "pbx", "uas", "10.99.0.2", "10.99.0.1:5060", name="callee")
    time.sleep(0.3)
    caller = sipp(lab, "p1", caller, "10.17.0.21", "10.17.0.1:5060", extra=["-s", "102"], name="caller")
    wait_for("a call is up", 8, lambda: lab.metric("portreeve_active_calls", state="confirmed") == 1)
    os.makedirs(lab.path("bin"))
    os.symlink(os.path.realpath(BINARY), lab.path("bin/portreeve"))
    env = {"PATH": lab.path("bin") + ":" + os.environ["PATH"], "PORTREEVE_CONFIG": lab.path("gw.toml")}
    names = {"/etc/portreeve/portreeve.toml": lab.path("gw.toml"), "/var/lib/portreeve": lab.dir}
    for block in found:
        for command, wanted in block.commands():
            meant = command
            for name, path in names.items():
                meant = meant.replace(name, path)
            said = subprocess.run(["ip", "netns", "exec", lab.ns["gw"], "sh", "-c", meant], env=env,
                                  text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  cwd=lab.dir, timeout=20, check=False)
            check(said.returncode == 0, f"{block.place}: $ {command}: {said.returncode}: {said.stdout}")
            for name, path in names.items():
                said.stdout = said.stdout.replace(path, name)
            compare(block, command, wanted, said.stdout)
    check(lab.metric("portreeve_active_calls", state="confirmed") == 1, "the call was up all the time")
    finish(lab, caller, "the caller")
    finish(lab, callee, "the callee")


def site_says(lab, number, command):
    """What site mode prints until `ready`: on a terminal, or as a container's log shows it."""
    folder = lab.path(f"site{number}")
    os.makedirs(folder)
    run = ["ip", "netns", "exec", lab.ns["gw"], os.path.realpath(BINARY)]
    env = {"PATH": os.environ["PATH"], "PORTREEVE_DATA": f"{folder}/data"}
    prefix = ""
    if command.startswith("docker compose "):
        check(command.endswith(" logs portreeve"), f"$ {command} is not known here")
        master, slave = os.pipe()
        prefix = "portreeve-1  | "
    else:
        check(command == "portreeve", f"$ {command} is not known here")
        master, slave = pty.openpty()
    p = subprocess.Popen(run, stdin=subprocess.DEVNULL, stdout=slave, stderr=subprocess.STDOUT, env=env,
                         cwd=folder, start_new_session=True)
    lab.processes.append(p)
    os.close(slave)
    os.set_blocking(master, False)
    heard = b""

    def ready():
        nonlocal heard
        try:
            heard += os.read(master, 65536)
        except (BlockingIOError, OSError):
            pass
        return b"\nready" in heard or p.poll() is not None

    wait_for(f"{command} is ready", 20, ready)
    check(lab.stop(p) == 0, f"$ {command} ends with {p.returncode}: {heard.decode()}")
    os.close(master)
    said = heard.decode().replace("\r", "").replace(folder, "").split("\nready")[0] + "\nready"
    return "".join(f"{prefix}{line}\n" for line in said.splitlines())


def without_file(lab, found):
    """A host as the pages have it: one address, one way out."""
    sh(f"ip -n {lab.ns['gw']} addr add {SITE}/24 dev in")
    sh(f"ip -n {lab.ns['gw']} route add default via 192.168.1.1 src {SITE}")
    said = {}
    for block in found:
        for command, wanted in block.commands():
            if command not in said:
                said[command] = site_says(lab, len(said), command)
            compare(block, command, wanted, said[command])


def dhcp(lab, text):
    """What a phone is told as option 43."""
    lab.write("dnsmasq.conf", text + "port=0\ndhcp-range=10.17.0.100,10.17.0.110\nuser=root\n"
              f"dhcp-leasefile={lab.path('leases')}\npid-file={lab.path('dnsmasq.pid')}\n")
    server = lab.start("gw", ["dnsmasq", "-k", "-C", lab.path("dnsmasq.conf"), "-i", "in",
                              "--log-facility=-"], "dnsmasq.log")
    wait_for("dnsmasq", 5, lambda: "DHCP, IP range" in lab.text("dnsmasq.log") or server.poll() is not None)
    check(server.poll() is None, f"dnsmasq refuses: {lab.text('dnsmasq.log')}")
    ask = """import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b'in')
s.bind(('', 68))
s.settimeout(3)
m = bytes([1, 1, 6, 0]) + b'abcd' + bytes([0, 0, 0x80, 0]) + bytes(16) + b'\\x02\\0\\0\\0\\0\\x09' + bytes(202)
m += bytes([99, 130, 83, 99, 53, 1, 1, 55, 1, 43, 255])
for _ in range(3):
    s.sendto(m, ('255.255.255.255', 67))
    try: r = s.recv(2000)
    except OSError: continue
    at = 240
    while r[at] != 255:
        if r[at] == 43: print(r[at + 2:at + 2 + r[at + 1]].decode())
        at += 2 + r[at + 1]
    break
"""
    told = sh(["ip", "netns", "exec", lab.ns["p1"], sys.executable, "-c", ask]).strip()
    lab.stop(server)
    return told


def promtool(*words):
    said = subprocess.run(["promtool", *words], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=30, check=False)
    return said.returncode == 0, said.stdout


def scenario(lab):
    found = {}
    for b in blocks():
        found.setdefault(b.info, []).append(b)
    for kind in ("console gateway", "console site", "nft", "promql", "yaml prometheus", "dnsmasq"):
        check(found.get(kind), f"some page has a block of the kind {kind}")

    for b in found["nft"]:
        sh(["ip", "netns", "exec", lab.ns["gw"], "nft", "-c", "-f", "-"], input=b.text)
    rules = "groups:\n- name: docs\n  rules:\n" + "".join(
        f"  - record: docs:block{i}:test\n    expr: |\n" + "".join(f"      {l}\n" for l in b.text.splitlines())
        for i, b in enumerate(found["promql"]))
    good, said = promtool("check", "rules", lab.write("docs-rules.yml", rules))
    check(good, f"queries: {said}")
    for b in found["yaml prometheus"]:
        text = b.text.replace("/etc/prometheus/portreeve-rules.yml", f"{HOME}/grafana/rules.yml")
        good, said = promtool("check", "config", lab.write("docs-prometheus.yml", text))
        check(good and "portreeve" in text, f"{b.place}: {said}")
    for b in found["dnsmasq"]:
        told = dhcp(lab, b.text)
        check(told == "sec,tftp://10.17.0.5", f"{b.place}: a phone is told {told!r}")

    with_gateway(lab, found["console gateway"])
    lab.close_processes()
    without_file(lab, found["console site"])
    print(", ".join(f"{len(b)} × {k or 'nothing'}" for k, b in sorted(found.items())))


run(scenario)
