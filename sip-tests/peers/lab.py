"""Network namespaces, real programs and what they left behind. Standard library only.

Every namespace carries the process id in its name and is removed at exit; every wait is bounded;
traffic stays between the namespaces made here.
"""
import atexit
import math
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request
import wave

HERE = os.path.dirname(os.path.abspath(__file__))
BINARY = os.environ.get("PORTREEVE", os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                                  "../../target/release/portreeve"))
TAG = f"pr{os.getpid() % 100000}"


class Failed(Exception):
    """A scenario did not do what it should."""


def check(condition, what):
    if not condition:
        raise Failed(what)


def sh(command, **kw):
    return subprocess.run(command, shell=isinstance(command, str), check=True, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **kw).stdout


def wait_for(what, seconds, probe):
    until = time.time() + seconds
    while time.time() < until:
        value = probe()
        if value:
            return value
        time.sleep(0.05)
    raise Failed(f"{what}: not within {seconds} s")


class Lab:
    """Namespaces `p1` to `p3` (10.17.0.21 to .23, on a bridge of `gw`) and `pbx` (10.99.0.2)."""

    def __init__(self, name):
        self.dir = tempfile.mkdtemp(prefix=f"portreeve-{name}-")
        self.processes = []
        self.ns = {n: f"{TAG}-{n}" for n in ("gw", "pbx", "p1", "p2", "p3")}
        atexit.register(self.close)
        for n in self.ns.values():
            sh(f"ip netns add {n}")
            sh(f"ip -n {n} link set lo up")
        gw = self.ns["gw"]
        sh(f"ip -n {gw} link add in type bridge")
        sh(f"ip -n {gw} addr add 10.17.0.1/24 dev in")
        sh(f"ip -n {gw} link set in up")
        for i in (1, 2, 3):
            self._wire(f"p{i}", f"in{i}", [f"10.17.0.{20 + i}/24"], "in")
            sh(f"ip -n {gw} link set in{i} master in")
        self._wire("pbx", "out", ["10.99.0.2/24", "10.99.0.3/24"], "out")
        sh(f"ip -n {gw} addr add 10.99.0.1/24 dev out")

    def _wire(self, far, name, addresses, far_name):
        a, b = f"{TAG}{name}a", f"{TAG}{name}b"
        sh(f"ip link add {a} type veth peer name {b}")
        sh(f"ip link set {a} netns {self.ns[far]}")
        sh(f"ip link set {b} netns {self.ns['gw']}")
        sh(f"ip -n {self.ns[far]} link set {a} name {far_name} up")
        sh(f"ip -n {self.ns['gw']} link set {b} name {name} up")
        for address in addresses:
            sh(f"ip -n {self.ns[far]} addr add {address} dev {far_name}")

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w", encoding="utf-8") as f:
            f.write(text)
        return self.path(name)

    def start(self, ns, command, log, **kw):
        out = open(self.path(log), "wb")
        p = subprocess.Popen(["ip", "netns", "exec", self.ns[ns]] + command, stdout=out,
                             stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=self.dir,
                             start_new_session=True, **kw)
        self.processes.append(p)
        return p

    def text(self, log):
        try:
            with open(self.path(log), encoding="utf-8", errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def stop(self, p, seconds=5):
        if p.poll() is None:
            p.terminate()
            try:
                p.wait(seconds)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait(2)
        return p.returncode

    def gateway(self, config, name="gw", before=(), **kw):
        """Starts portreeve (behind another command) and waits for `ready`."""
        file = self.write(f"{name}.toml", config)
        p = self.start("gw", [*before, BINARY, "run", "-c", file], f"{name}.log", **kw)
        wait_for("portreeve says ready", 15,
                 lambda: "\nready\n" in "\n" + self.text(f"{name}.log") or p.poll() is not None)
        check(p.poll() is None, f"portreeve ended: {self.text(name + '.log')}")
        return p

    def edge(self, extra="", inside="", outside="", limits="", top="", probe="0s"):
        """An edge configuration in front of 10.99.0.2."""
        return f"""{top}
[[interface]]
name = "lan"
side = "inside"
address = "10.17.0.1"
listen = ["udp:5060", "tcp:5060", "udp:5070"]
{inside}
[[interface]]
name = "wan"
side = "outside"
address = "10.99.0.1"
{outside}
[[upstream]]
name = "pbx"
address = "10.99.0.2:5060"
domain = "pbx.test"
probe = "{probe}"
[media]
ports = "20000-20399"
[limits]
calls = 100
{limits}
[state]
dir = "{self.dir}/state"
[audit]
dir = "{self.dir}/audit"
[log]
level = "debug"
{extra}
"""

    def ask(self, *words, name="gw", before=(), ns="gw"):
        """A command to the running gateway: exit code, stdout, stderr."""
        command = ["ip", "netns", "exec", self.ns[ns], *before, BINARY, *words]
        command += ["-c", self.path(f"{name}.toml")]
        p = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           stdin=subprocess.DEVNULL, cwd=self.dir, timeout=40, check=False)
        return p.returncode, p.stdout, p.stderr

    def told(self, *words, **kw):
        """What a command with --json prints."""
        import json
        code, out, err = self.ask(*words, "--json", **kw)
        check(code == 0, f"{words} ended with {code}: {out}{err}")
        return json.loads(out)

    def metrics(self):
        out = sh(["ip", "netns", "exec", self.ns["gw"], sys.executable, "-c",
                  "import urllib.request as u;print(u.urlopen('http://127.0.0.1:8060/metrics',"
                  "timeout=5).read().decode())"])
        found = {}
        for line in out.splitlines():
            m = re.match(r"(\w+)(\{.*\})? ([-+.\deE]+)$", line)
            if m:
                found[m.group(1) + (m.group(2) or "")] = float(m.group(3))
        check(found, "no metrics")
        return found, out

    def metric(self, name, **labels):
        """The sum of a metric's series with these labels; 0 if there is none of them yet, and no
        mistyped name passes for one that is 0."""
        found, _ = self.metrics()
        family = re.sub("_(count|sum|bucket)$", "", name)
        with open(os.path.join(HERE, "../../docs/METRICS.md"), encoding="utf-8") as f:
            page = f.read()
        check(f"`{name}`" in page or f"`{family}`" in page, f"there is no metric {name}")
        total = 0.0
        for key, value in found.items():
            if key.split("{")[0] == name and all(f'{k}="{v}"' in key for k, v in labels.items()):
                total += value
        return total

    def audit(self, kind=None, least=0):
        """The audit log's records (of a kind), as soon as there are at least so many of them:
        they are written beside the calls that they tell of, and a little later."""
        found = []

        def enough():
            found[:] = [r for r in self.written() if kind in (None, r["kind"])]
            return len(found) >= least
        wait_for(f"{least} records {kind or ''} in the audit log", 10, enough)
        return found

    def written(self):
        import json
        records = []
        folder = self.path("audit")
        for name in sorted(os.listdir(folder)):
            with open(os.path.join(folder, name), encoding="utf-8") as f:
                # Its last line may be half written.
                records += [json.loads(line) for line in f if line.endswith("\n")]
        return records

    def capture(self, ns, dev, name):
        p = self.start(ns, ["tcpdump", "-i", dev, "-s", "0", "-U", "-w", self.path(name)],
                       name + ".log")
        wait_for("tcpdump", 5, lambda: "listening on" in self.text(name + ".log"))
        return p

    def close_processes(self):
        for p in self.processes:
            # Programs that fork (kamailio) go with their whole group.
            try:
                os.killpg(p.pid, signal.SIGKILL)
                p.wait(2)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                pass

    def close(self):
        self.close_processes()
        for n in self.ns.values():
            subprocess.run(["ip", "netns", "del", n], check=False, stderr=subprocess.DEVNULL)
        if not os.environ.get("KEEP"):
            shutil.rmtree(self.dir, ignore_errors=True)


# Sound -------------------------------------------------------------------------------------------

def write_tone(file, hz, seconds=60, rate=8000):
    """A sine as a 16-bit mono file."""
    period = [int(9000 * math.sin(2 * math.pi * hz * i / rate)) for i in range(rate)]
    with wave.open(file, "wb") as w:
        w.setnchannels(1)
        w.setsampwidth(2)
        w.setframerate(rate)
        w.writeframes(struct.pack(f"<{rate}h", *period) * seconds)


def tone_share(samples, rate, hz):
    """Share of the energy of a block that lies at one frequency (Goertzel)."""
    n = len(samples)
    k = 2 * math.cos(2 * math.pi * hz / rate)
    a = b = 0.0
    for s in samples:
        a, b = s + k * a - b, a
    power = a * a + b * b - k * a * b
    energy = sum(s * s for s in samples)
    return 0.0 if energy < n * 100 else 2 * power / (n * energy)


def tone_seconds(file, hz):
    """Seconds of a recording in which `hz` holds most of the energy."""
    with wave.open(file, "rb") as w:
        rate, channels, frames = w.getframerate(), w.getnchannels(), w.getnframes()
        raw = w.readframes(frames)
    samples = struct.unpack(f"<{len(raw) // 2}h", raw)[::channels]
    block = rate // 10
    hits = 0
    for at in range(0, len(samples) - block, block):
        if tone_share(samples[at:at + block], rate, hz) > 0.6:
            hits += 1
    return hits / 10


# Captures ----------------------------------------------------------------------------------------

def packets(file):
    """UDP and TCP payloads of a capture: (protocol, source, sport, destination, dport, payload)."""
    with open(file, "rb") as f:
        data = f.read()
    at = 24
    while at + 16 <= len(data):
        size = struct.unpack_from("<I", data, at + 8)[0]
        frame = data[at + 16:at + 16 + size]
        at += 16 + size
        if len(frame) < 34 or frame[12:14] != b"\x08\x00":
            continue
        ip = frame[14:]
        head = (ip[0] & 15) * 4
        total = struct.unpack_from(">H", ip, 2)[0]
        src, dst = ".".join(map(str, ip[12:16])), ".".join(map(str, ip[16:20]))
        body = ip[head:total]
        if ip[9] == 17:
            sport, dport = struct.unpack_from(">HH", body)
            yield "udp", src, sport, dst, dport, body[8:]
        elif ip[9] == 6:
            sport, dport = struct.unpack_from(">HH", body)
            yield "tcp", src, sport, dst, dport, body[(body[12] >> 4) * 4:]


def leaks(file, inside="10.17.0.", allowed=()):
    """Payloads on the outside that name an inside address."""
    found = []
    for proto, src, sport, dst, dport, body in packets(file):
        text = body
        for pattern in allowed:
            text = re.sub(pattern, b"", text)
        if inside.encode() in text:
            line = next(l for l in text.split(b"\n") if inside.encode() in l)
            found.append(f"{src}:{sport} > {dst}:{dport}: {line.decode(errors='replace').strip()}")
    return found


def is_rtp(body):
    return len(body) >= 12 and body[0] >> 6 == 2 and not 192 <= body[1] <= 223


# Programs ----------------------------------------------------------------------------------------

class Phone:
    """baresip: plays a tone of its own, records what it hears, answers by itself."""

    def __init__(self, lab, user, ip, hz, server, password, outbound=None, transport="udp",
                 domain=None, expires=120, ns=None, more=""):
        self.lab, self.user, self.ip, self.hz = lab, user, ip, hz
        self.ns = ns or f"p{int(ip.split('.')[3]) - 20}"
        at = f"[{ip}]" if ":" in ip else ip
        folder = f"phone-{user}"
        via = f";outbound=\"sip:{outbound};transport={transport}\"" if outbound else ""
        host = domain or server
        lab.write(f"{folder}/accounts",
                  f"<sip:{user}@{host};transport={transport}>;auth_user={user};auth_pass={password}"
                  f"{via};answermode=auto;regint={expires};audio_codecs=pcmu\n")
        tone = lab.path(f"{folder}/tone.wav")
        write_tone(tone, hz)
        lab.write(f"{folder}/config", f"""
poll_method epoll
sip_listen {at}:5060
audio_source aufile,{tone}
audio_player aubridge,nil
audio_alert aubridge,nil
ausrc_srate 8000
auplay_srate 8000
ausrc_channels 1
auplay_channels 1
rtp_ports 20000-20100
rtcp_mux no
rtp_timeout 0
net_interface in
module_path /usr/lib/baresip/modules
module g711.so
module aufile.so
module aubridge.so
module sndfile.so
module_tmp account.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen {at}:4444
snd_path {lab.path(folder)}
{more}
""")
        self.folder = lab.path(folder)
        self.log = f"{folder}.log"
        self.process = lab.start(self.ns, ["baresip", *(["-6"] if ":" in ip else []), "-f", self.folder], self.log)

    def command(self, command, params=""):
        import json
        msg = json.dumps({"command": command, "params": params, "token": "t"})
        net = f"{len(msg)}:{msg},"
        code = ("import socket,sys;s=socket.create_connection((sys.argv[1],4444),5);"
                "s.sendall(sys.argv[2].encode());s.settimeout(1)\n"
                "try: print(s.recv(65536).decode(errors='replace'))\nexcept OSError: pass")
        return sh(["ip", "netns", "exec", self.lab.ns[self.ns], sys.executable, "-c", code,
                   self.ip, net])

    def registered(self):
        wait_for(f"{self.user} registers", 90,
                 lambda: "200 OK" in self.lab.text(self.log))

    def call(self, target):
        self.command("dial", target)

    def hangup(self):
        self.command("hangup")

    def in_call(self, seconds=10):
        wait_for(f"{self.user} in a call", seconds,
                 lambda: "Call established" in self.lab.text(self.log))

    def recordings(self):
        return [os.path.join(self.folder, f) for f in os.listdir(self.folder)
                if f.endswith("-dec.wav")]

    def heard(self, hz):
        """Seconds of a tone in what this phone heard."""
        return max([tone_seconds(f, hz) for f in self.recordings()] or [0.0])


KAMAILIO = """#!KAMAILIO
debug=2
log_stderror=yes
children=2
auto_aliases=no
alias="pbx.test"
listen=udp:10.99.0.2:5060
listen=tcp:10.99.0.2:5060
loadmodule "tm.so"
loadmodule "tmx.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"
modparam("usrloc", "db_mode", 0)
modparam("registrar", "max_expires", 300)
modparam("rr", "enable_full_lr", 1)

request_route {
    if (!mf_process_maxfwd_header("10")) { sl_send_reply("483", "Too Many Hops"); exit; }
    if (is_method("CANCEL")) { if (t_check_trans()) { t_relay(); } exit; }
    if (!is_method("ACK")) { if (t_precheck_trans()) { t_check_trans(); exit; } t_check_trans(); }
    if (has_totag()) {
        if (loose_route()) { t_relay(); exit; }
        if (is_method("ACK") && t_check_trans()) { t_relay(); exit; }
        sl_send_reply("404", "Not Here"); exit;
    }
    remove_hf("Route");
    if (is_method("REGISTER")) {
        if (!pv_auth_check("pbx.test", "secret-$fU", "0", "0")) {
            auth_challenge("pbx.test", "1"); exit;
        }
        if (!save("location")) { sl_reply_error(); }
        exit;
    }
    if (is_method("INVITE")) {
        if (!pv_proxy_authenticate("pbx.test", "secret-$fU", "0")) {
            auth_challenge("pbx.test", "1"); exit;
        }
        consume_credentials();
        record_route();
    }
    if (!lookup("location")) { sl_send_reply("404", "Not Found"); exit; }
    t_relay();
}
"""


def kamailio(lab):
    file = lab.write("kamailio.cfg", KAMAILIO.replace(
        'pv_proxy_authenticate("pbx.test", "secret-$fU", "0")',
        'pv_auth_check("pbx.test", "secret-$fU", "0", "0")'))
    p = lab.start("pbx", ["kamailio", "-DD", "-E", "-f", file, "-m", "64", "-M", "8",
                          "-Y", lab.dir, "-P", lab.path("kamailio.pid")], "kamailio.log")
    time.sleep(1.5)
    check(p.poll() is None, f"kamailio ended: {lab.text('kamailio.log')[-2000:]}")
    return p


def sipp(lab, ns, scenario, ip, target, calls=1, rate=1, port=5060, limit=40, extra=(), name=None):
    """Runs a sipp scenario; returns the process."""
    file = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sipp", scenario + ".xml")
    log = name or f"sipp-{scenario}-{port}"
    command = ["sipp", target, "-sf", file, "-i", ip, "-p", str(port), "-m", str(calls), "-r",
               str(rate), "-nostdin", "-timeout", f"{limit}s", "-timeout_error", "-trace_err",
               "-error_file", lab.path(log + ".err"), "-recv_timeout", "15000"] + list(extra)
    return lab.start(ns, command, log + ".log")


def finish(lab, process, name, seconds=45):
    try:
        code = process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        raise Failed(f"{name} did not end") from None
    check(code == 0, f"{name} failed ({code}): "
          + "".join(lab.text(f) for f in os.listdir(lab.dir) if f.endswith(".err"))[-1500:])


def run(scenario):
    """Runs one scenario with a verdict as the exit code."""
    name = os.path.splitext(os.path.basename(sys.argv[0]))[0]
    lab = Lab(name)
    try:
        scenario(lab)
    except Failed as e:
        print(f"{name}: {e}")
        for file in sorted(os.listdir(lab.dir)):
            if file.endswith(".log"):
                print(f"--- {file}\n{lab.text(file)[-3000:]}")
        sys.exit(1)
    finally:
        lab.close()
