#!/usr/bin/env python3
"""A service manager's socket hears that the gateway is ready, reloads, stops, is alive and how it goes;
the shipped unit is hardened, right in its own words, and forbids no system call that is needed."""
import socket
import threading
from lab import *

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
UNIT = os.path.join(ROOT, "configs/portreeve.service")


class Manager:
    """Listens as systemd does (sd_notify(3)) and keeps what it heard with the time."""

    def __init__(self, path):
        self.heard = []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        while True:
            text = self.socket.recv(65536).decode()
            self.heard.append((time.monotonic(), text))

    def words(self, start=0):
        return [text for _, text in self.heard[start:]]

    def wait(self, what, seconds=10, start=0):
        return wait_for(f"{what}, heard {self.words(start)[-8:]}", seconds,
                        lambda: next((t for t in self.words(start) if t.startswith(what)), None))


def notifications(lab):
    manager = Manager(lab.path("notify"))
    kamailio(lab)
    env = dict(os.environ, NOTIFY_SOCKET=lab.path("notify"), WATCHDOG_USEC="1000000")
    gw = lab.gateway(lab.edge(probe="1s", extra="[policy]\ndefault = \"allow\"\n"), env=env)
    manager.wait("READY=1")
    check("\nready\n" in lab.text("gw.log"), "it is ready when it says so")
    manager.wait("STATUS=0 calls, 0 phones, pbx up")
    start = len(manager.heard)
    wait_for("it lives", 10, lambda: manager.words(start).count("WATCHDOG=1") >= 6)
    for again in ("signal", "command"):
        start, before = len(manager.heard), time.monotonic()
        if again == "signal":
            gw.send_signal(signal.SIGHUP)
        else:
            check(lab.ask("reload")[0] == 0, "reload by command")
        told = manager.wait("RELOADING=1\nMONOTONIC_USEC=", start=start)
        manager.wait("READY=1", start=start)
        at = int(told.split("=")[-1]) / 1e6
        check(before - 0.001 <= at <= time.monotonic(), f"the clock of {again}: {before} {at}")
        order = [t for t in manager.words(start) if not t.startswith(("WATCHDOG", "STATUS"))]
        check(order == [told, "READY=1"], f"{again}: {order}")
    # A stopped process is silent; nothing else keeps the word for it.
    gw.send_signal(signal.SIGSTOP)
    time.sleep(0.2)
    start = len(manager.heard)
    time.sleep(2)
    check(not manager.words(start), f"it stands still and says {manager.words(start)}")
    gw.send_signal(signal.SIGCONT)
    manager.wait("WATCHDOG=1", start=start)
    lab.write("voice.raw", "x" * 80_000)
    sipp(lab, "pbx", "uas_media", "10.99.0.3", "10.99.0.1:5060", name="uas",
         extra=["-rtp_echo", "-mp", "6000"])
    other = lab.edge(extra="[policy]\ndefault = \"allow\"\n")
    lab.write("gw.toml", other.replace("10.99.0.2:5060", "10.99.0.3:5060"))
    check(lab.ask("reload")[0] == 0, "another address for the upstream")
    call = sipp(lab, "p1", "uac_media", "10.17.0.21", "10.17.0.1:5060", name="call",
                extra=["-s", "200"])
    wait_for("a call is up", 8, lambda: lab.metric("portreeve_active_calls", state="confirmed") == 1)
    manager.wait("STATUS=1 call, 0 phones", start=start)
    start = len(manager.heard)
    said = lab.told("drain")
    check(said["calls"] == 1 and said["left_s"] == 60 and not said["already"], f"{said}")
    manager.wait("STOPPING=1", start=start)
    check(lab.told("drain")["already"], "it says that it had begun")
    finish(lab, call, "the call under way")
    check(gw.wait(5) == 0, "then it ends with code 0")
    words = manager.words(start)
    check(words.count("STOPPING=1") == 1, f"once: {words}")
    check("READY=1" not in words, f"no start after the end: {words}")
    check("WATCHDOG=1" in words, f"it lived while it drained: {words}")


def unit(lab):
    """What systemd-analyze says of it, and which system calls it lets through."""
    text = open(UNIT, encoding="utf-8").read().replace("/usr/bin/portreeve", os.path.realpath(BINARY))
    lab.write("portreeve.service", text)
    said = sh(["systemd-analyze", "verify", lab.path("portreeve.service")])
    check(said.strip() == "", f"verify: {said}")
    said = sh(["systemd-analyze", "security", "--offline=true", "--no-pager",
               lab.path("portreeve.service")])
    exposure = float(re.search(r"Overall exposure level for \S+: ([\d.]+)", said)[1])
    print(f"exposure {exposure}")
    check(exposure <= 2.0, said)
    value = lambda key: re.search(rf"^{key}=(.*)$", text, re.M)[1]
    reference = open(os.path.join(ROOT, "configs/edge.toml"), encoding="utf-8").read()
    drain = int(re.search(r'^drain = "(\d+)s"', reference, re.M)[1])
    check(int(value("TimeoutStopSec")) > drain, "it may drain")
    check(value("Type") == "notify" and int(value("WatchdogSec")) > 0, "it is watched")
    check({"2", "77", "78"} <= set(value("RestartPreventExitStatus").split()), "no useless restarts")
    allowed = set()
    for line in re.findall(r"^SystemCallFilter=(.*)$", text, re.M):
        names = {n for word in line.lstrip("~").split() for n in members(word)}
        allowed = allowed - names if line.startswith("~") else allowed | names
    used = traced(lab)
    check(len(used) > 30, f"too few system calls were seen: {used}")
    print(f"{len(used)} system calls of {len(allowed)} allowed")
    check(used <= allowed, f"forbidden and needed: {sorted(used - allowed)}")


def members(word):
    """The system calls of a set, sets within it opened."""
    if not word.startswith("@"):
        return {word}
    lines = sh(["systemd-analyze", "syscall-filter", "--no-pager", word]).splitlines()[1:]
    names = [l.strip() for l in lines if l.startswith("    ") and not l.strip().startswith("#")]
    return {n for name in names for n in members(name)}


def traced(lab):
    """The system calls of a gateway with a socket for commands, of a call with media, of a client."""
    used = set()
    def trace(words, **kw):
        return lab.start("gw", ["strace", "-f", "-qq", "-o", lab.path("trace"), BINARY, *words],
                         "trace.log", **kw)
    gw = lab.gateway(lab.edge(), name="traced", before=["strace", "-f", "-qq", "-o", lab.path("t1")])
    check(lab.ask("reload", name="traced", before=["strace", "-f", "-qq", "-o", lab.path("t2")])[0]
          == 0, "reload")
    sh(["pkill", "-TERM", "-P", str(gw.pid)])
    gw.wait(10)
    check(trace(["selftest"]).wait(60) == 0, lab.text("trace.log"))
    for name in ("t1", "t2", "trace"):
        used |= set(re.findall(r"^\d+ +(?:<\.\.\. )?([a-z_0-9]+)(?:\(| resumed)", lab.text(name), re.M))
    # Before the unit's filter holds, and by strace's hand.
    return used - {"execve"}


def scenario(lab):
    notifications(lab)
    lab.close_processes()
    unit(lab)


run(scenario)
