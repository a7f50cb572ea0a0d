"""Where calls are measured: a phone behind a site's gateway, a party that answers behind the head
office, and our own wire between the two. Namespaces carry the process id in their names.

    phone .21 — 10.17.0 — .1 site .1 — 10.99.0, the wire — .2 office .1 — 10.98.0 — .2 party

Where only what gateways cost is asked there is no wire of our own, but the kernel's.
"""
import atexit
import ctypes
import fcntl
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading

import wire
from lab import Failed, check, sh, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))

TAG = f"mx{os.getpid() % 100000}"
NAMES = ("phone", "site", "wire", "office", "party")
PHONE, SITE, OFFICE, PARTY = "10.17.0.21", "10.99.0.1", "10.99.0.2", "10.98.0.2"
MOVED = "10.99.0.77"
CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)
# What a device would leave to the next one: checksums, segments. A real wire sees whole packets.
OFFLOADS = {"tx": 0x17, "tso": 0x1f, "gso": 0x24, "gro": 0x2c}
SIOCETHTOOL = 0x8946


class Inside:
    """This thread within a namespace; sockets that are made there stay there."""

    def __init__(self, name):
        self.name = name

    def __enter__(self):
        self.back = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(f"/var/run/netns/{self.name}", os.O_RDONLY)
        check(LIBC.setns(there, CLONE_NEWNET) == 0, f"no way into {self.name}")
        os.close(there)

    def __exit__(self, *_):
        LIBC.setns(self.back, CLONE_NEWNET)
        os.close(self.back)


def without_offloads(device):
    """In this namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        for command in OFFLOADS.values():
            value = ctypes.create_string_buffer(struct.pack("II", command, 0))
            request = struct.pack("16sQ", device.encode(), ctypes.addressof(value)) + bytes(16)
            fcntl.ioctl(s, SIOCETHTOOL, request)


class Place:
    def __init__(self, wired=True):
        self.dir = tempfile.mkdtemp(prefix="portreeve-matrix-")
        self.ns = {n: f"{TAG}-{n}" for n in NAMES}
        self.processes, self.turn = [], threading.Lock()
        atexit.register(self.close)
        # Who is told to stop leaves nothing behind either.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        for n in self.ns.values():
            sh(f"ip netns add {n}")
            sh(f"ip -n {n} link set lo up")
            sh(["ip", "netns", "exec", n, "sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1",
                "net.ipv6.conf.all.disable_ipv6=1"])
        self.join("phone", "lan", PHONE, "site", "in", "10.17.0.1")
        if wired:
            self.join("site", "out", SITE, "wire", "site", None)
            self.join("office", "out", OFFICE, "wire", "office", None)
        else:
            self.join("site", "out", SITE, "office", "out", OFFICE)
        self.join("office", "back", "10.98.0.1", "party", "lan", PARTY)
        sh(["ip", "netns", "exec", self.ns["office"], "sysctl", "-qw", "net.ipv4.ip_forward=1"])
        sh(f"ip -n {self.ns['site']} route add 10.98.0.0/24 via {OFFICE}")
        sh(f"ip -n {self.ns['party']} route add default via 10.98.0.1")
        if not wired:
            return
        self.road = self.popen("wire", [sys.executable, os.path.join(HERE, "wire.py"), "site",
                                        "office"], "wire.log", pipes=True)
        check(self.road.stdout.readline() == "ready\n", "the wire is there")

    def join(self, a, a_device, a_ip, b, b_device, b_ip):
        ends = ((a, f"{TAG}a", a_device, a_ip), (b, f"{TAG}b", b_device, b_ip))
        sh(f"ip link add {TAG}a type veth peer name {TAG}b")
        for name, device, called, ip in ends:
            ns = self.ns[name]
            sh(f"ip link set {device} netns {ns}")
            sh(f"ip -n {ns} link set {device} name {called} up")
            if ip:
                sh(f"ip -n {ns} addr add {ip}/24 dev {called}")
            with Inside(ns):
                without_offloads(called)

    def inside(self, name):
        return Inside(self.ns[name])

    # Programs -------------------------------------------------------------------------------------

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w", encoding="utf-8") as f:
            f.write(text)
        return self.path(name)

    def text(self, name):
        try:
            with open(self.path(name), encoding="utf-8", errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def popen(self, ns, command, log, pipes=False):
        out = open(self.path(log), "ab")
        kept = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=out, text=True) if pipes \
            else dict(stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        p = subprocess.Popen(["ip", "netns", "exec", self.ns[ns], *command], cwd=self.dir,
                             start_new_session=True, **kept)
        out.close()
        self.processes.append(p)
        return p

    def start(self, ns, command, log, word="ready"):
        """A program that says on a line of its own that it is ready."""
        if os.path.exists(self.path(log)):
            os.remove(self.path(log))
        p = self.popen(ns, command, log)
        wait_for(f"{log}: {word}", 20, lambda: f"\n{word}\n" in "\n" + self.text(log)
                 or p.poll() is not None)
        check(p.poll() is None, f"{log}: {self.text(log)}")
        return p

    def stop(self, p, sign=signal.SIGTERM):
        if p.poll() is None:
            p.send_signal(sign)
            try:
                p.wait(5)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait(2)
        if p in self.processes:
            self.processes.remove(p)

    def close(self):
        for p in list(self.processes):
            self.stop(p, signal.SIGKILL)
        for n in self.ns.values():
            subprocess.run(["ip", "netns", "del", n], check=False, stderr=subprocess.DEVNULL)
        if os.environ.get("KEEP"):
            print(f"kept: {self.dir}", file=sys.stderr)
        else:
            shutil.rmtree(self.dir, ignore_errors=True)

    # The wire -------------------------------------------------------------------------------------

    def told(self, **news):
        """Tells the wire something (or nothing); what it has counted."""
        with self.turn:
            print(json.dumps(news), file=self.road.stdin, flush=True)
            return json.loads(self.road.stdout.readline())

    def settle(self):
        """As it was at first."""
        self.told(**wire.DEFAULTS)
        # What kernels were told of an MTU they would know for ten minutes.
        for name in ("site", "office", "party"):
            sh(f"ip -n {self.ns[name]} route flush cache")
        have = sh(f"ip -n {self.ns['site']} addr show dev out")
        if MOVED in have:
            self.move(MOVED, SITE)

    def move(self, old=SITE, new=MOVED):
        """The site's address is another one, at once."""
        site = self.ns["site"]
        sh(f"ip -n {site} addr del {old}/24 dev out")
        sh(f"ip -n {site} addr add {new}/24 dev out")
        subprocess.run(["ip", "-n", site, "route", "replace", "10.98.0.0/24", "via", OFFICE],
                       check=False, stderr=subprocess.DEVNULL)
