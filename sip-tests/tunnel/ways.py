"""Ways of a call over the wire: each begins what it needs at the site and at the head office, and
is a fresh one for each row of the matrix."""
import glob
import os
import signal
import sys

from place import HERE, OFFICE, PARTY, SITE, Failed, sh, wait_for
from lab import BINARY

COMMON = """
[policy]
default = "allow"
[media]
ports = "20000-20399"
[limits]
calls = 100
calls_per_user = 1000
[state]
dir = "{state}"
[audit]
dir = "{state}-audit"
[log]
level = "debug"
"""
LAN = """
[[interface]]
name = "lan"
side = "inside"
address = "10.17.0.1"
"""


class Way:
    """`ready`: whether calls can be made within so many seconds; False: there is no way through
    this network."""

    def __init__(self, place):
        self.place, self.running = place, {}

    def gateway(self, ns, config):
        f = self.place
        file = f.write(f"{ns}.toml", config + COMMON.format(state=f.path(ns)))
        self.running[ns] = f.start(ns, [BINARY, "run", "-c", file], f"{ns}.log")

    def end(self):
        for p in self.running.values():
            self.place.stop(p)

    def waits(self):
        """How often threads of its programs got a turn, and for how many seconds they had waited
        for it."""
        turns, waited = 0, 0.0
        for p in self.running.values():
            for file in glob.glob(f"/proc/{p.pid}/task/*/schedstat"):
                try:
                    with open(file, encoding="ascii") as f:
                        _, nanos, times = map(int, f.read().split())
                except (OSError, ValueError):
                    continue  # a thread that has just ended
                turns, waited = turns + times, waited + nanos / 1e9
        return turns, waited

    def restart(self):
        """The head office's end of it: it is killed, and begins anew."""


class Plain(Way):
    """SIP and RTP as they are: the site's gateway has an ordinary interface, and the head office
    passes packets on."""
    name = "plain RTP"
    outside = f'address = "{SITE}"'

    def begin(self):
        self.gateway("site", f"""
{LAN}
[[interface]]
name = "wan"
side = "outside"
{self.outside}
[[upstream]]
name = "pbx"
address = "{PARTY}:5060"
domain = "pbx.test"
""")

    def ready(self, seconds):
        return True


class Naive(Plain):
    """The same gateway, whose outside is a TUN device."""
    name = "naive TCP"
    own = "10.97.0.1"
    outside = f'address = "{own}"'
    far_end = [sys.executable, os.path.join(HERE, "naive.py"), "listen", "tunnel", PARTY, own,
               f"{OFFICE}:8443"]
    near_end = [sys.executable, os.path.join(HERE, "naive.py"), "connect", "tunnel", own, PARTY,
                f"{OFFICE}:8443"]

    def begin(self):
        f = self.place
        self.listen()
        self.running["near"] = f.start("site", self.near_end, "near.log")
        site = f.ns["site"]
        sh(f"ip -n {site} addr add {self.own}/32 dev tunnel")
        sh(f"ip -n {site} link set tunnel up")
        sh(f"ip -n {site} route replace {PARTY}/32 dev tunnel src {self.own}")
        super().begin()

    def listen(self):
        f, office = self.place, self.place.ns["office"]
        self.running["far"] = f.start("office", self.far_end, "far.log")
        sh(f"ip -n {office} link set tunnel up")
        sh(f"ip -n {office} route replace {self.own}/32 dev tunnel")

    def ready(self, seconds):
        try:
            wait_for("the TCP connection", seconds,
                     lambda: "connected" in self.place.text("near.log"))
        except Failed:
            return False
        return True

    def restart(self):
        self.place.stop(self.running["far"], signal.SIGKILL)
        self.listen()


class Tunnel(Way):
    """Two gateways and a tunnel between them, by QUIC."""
    name = "tunnel"
    bearer = "quic"
    listen = '"udp:443"'

    def keygen(self, ns):
        os.makedirs(self.place.path(ns), exist_ok=True)
        said = sh([BINARY, "tunnel", "keygen", self.place.path(f"{ns}/tunnel.key")])
        return said.splitlines()[0]

    def begin(self):
        site, office = (self.keygen(ns) for ns in ("site", "office"))
        self.office = f"""
site = {{ name = "head-office" }}
[[interface]]
name = "sites"
side = "inside"
link = "tunnel"
address = "{OFFICE}"
listen = {self.listen}
[[peer]]
name = "berlin"
key = "{site}"
[[interface]]
name = "wan"
side = "outside"
address = "10.98.0.1"
[[upstream]]
name = "pbx"
address = "{PARTY}:5060"
domain = "pbx.test"
"""
        self.gateway("office", self.office)
        self.gateway("site", f"""
site = {{ name = "berlin" }}
{LAN}
[[interface]]
name = "office"
side = "outside"
link = "tunnel"
connect = "{OFFICE}:443"
bearer = "{self.bearer}"
peer_key = "{office}"
[[upstream]]
name = "pbx"
domain = "pbx.test"
""")

    def connections(self):
        return self.place.text("site.log").count("tunnel office: connected")

    def ready(self, seconds):
        try:
            wait_for("the tunnel", seconds, self.connections)
        except Failed:
            return False
        return True

    def restart(self):
        self.place.stop(self.running["office"], signal.SIGKILL)
        self.gateway("office", self.office)


class Both(Tunnel):
    """The same, by QUIC or TCP."""
    name = "tunnel, TCP too"
    bearer = "auto"
    listen = '["udp:443", "tcp:443"]'


WAYS = {way.name: way for way in (Plain, Naive, Tunnel, Both)}
