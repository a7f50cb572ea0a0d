#!/usr/bin/env python3
"""The commands for a running gateway, while two baresips talk through it: what they show is what audit
and metrics say; who may ask, who may not, and what happens at either end of the socket's life."""
import contextlib
import ctypes
import json
import socket
import stat
from lab import *


def config(lab, name="gw", control="", port=5060, http=8060):
    return f"""
[[interface]]
name = "lan"
side = "inside"
address = "10.17.0.1"
listen = ["udp:{port}", "tcp:{port}"]
[registrar]
mode = "local"
password_file = "{lab.dir}/state/site-password"
[media]
ports = "20000-20199"
[limits]
calls = 50
[state]
dir = "{lab.dir}/{name}-state"
[audit]
dir = "{lab.dir}/audit{'' if name == 'gw' else name}"
[http]
listen = "127.0.0.1:{http}"
{control}
"""


def http_status(lab, method, path):
    """What the loopback port answers."""
    code = ("import urllib.request as u,urllib.error as e,sys\n"
            "try: print(u.urlopen(u.Request('http://127.0.0.1:8060'+sys.argv[2],method=sys.argv[1]),"
            "timeout=5).status)\nexcept e.HTTPError as x: print(x.code)")
    return int(sh(["ip", "netns", "exec", lab.ns["gw"], sys.executable, "-c", code, method, path]))


def what_is_shown(lab):
    """While the call is up; its number."""
    status = lab.told("status")
    check(status["calls"] == {"early": 0, "confirmed": 1, "limit": 50}, f"{status}")
    check(status["registrations"] == 2 and status["state"] == "running", f"{status}")
    check(status["media_ports"]["inside"]["used"] == lab.metric("portreeve_media_ports", state="used"),
          "ports as the metrics say")
    check(status["configuration"]["source"] == lab.path("gw.toml"), f"{status}")
    code, out, _ = lab.ask("status")
    check(code == 0 and "1 of 50" in out and "running" in out, out)

    phones = lab.told("registrations")["registrations"]
    seen = {p["user"].split("@")[0]: p["address"].split(":")[0] for p in phones}
    check(seen == {"101": "10.17.0.21", "102": "10.17.0.22"}, f"{phones}")
    check(all(0 < p["expires_s"] <= 120 and p["registrar"] == "local" for p in phones), f"{phones}")
    code, out, _ = lab.ask("registrations")
    check(code == 0 and out.splitlines()[0].split()[:2] == ["user", "address"], out)
    check(len(out.splitlines()) == 3, out)

    listed = lab.told("calls")
    check(len(listed["calls"]) == 1 and listed["left_off"] == 0, f"{listed}")
    call = listed["calls"][0]
    check((call["from"], call["to"], call["state"], call["direction"])
          == ("101", "102", "confirmed", "internal"), f"{call}")
    code, out, _ = lab.ask("calls")
    row = out.splitlines()[1].split()
    check(code == 0 and row[:4] == [str(call["call"]), "101", "102", "internal"], out)
    check("IN CALL" in out and re.fullmatch(r"\d+:\d\d", row[-1]), out)

    one = lab.told("calls", "show", str(call["call"]))
    check({k: one[k] for k in ("call", "from", "to")} == {k: call[k] for k in ("call", "from", "to")},
          f"{one}")
    check(one["caller"]["address"].startswith("10.17.0.21:"), f"{one}")
    check([c["address"].split(":")[0] for c in one["callees"]] == ["10.17.0.22"], f"{one}")
    audio = one["streams"][0]
    check(audio["media"] == "audio" and audio["caller"]["party"].startswith("10.17.0.21:"), f"{audio}")
    check(one["findings"] == [], f"{one}")
    for leg in ("caller", "callee"):
        # A leg is measured in windows of 10 s; what is not yet known is not shown.
        check(audio[leg].get("packets", 1) > 0, f"{audio}")
    code, out, _ = lab.ask("calls", "show", str(call["call"]))
    check(code == 0 and f"our port {audio['caller']['port']}" in out, out)
    check("findings none so far" in out, out)
    return one


def refusals(lab, number):
    """Who is told no, and how."""
    code, _, err = lab.ask("calls", "show", "4711")
    check(code == 1 and "no call 4711" in err, f"{code} {err}")
    code, _, err = lab.ask("calls", "hangup", "4711")
    check(code == 1 and "no call 4711" in err, f"{code} {err}")
    check(lab.ask("calls", "show", "x")[0] == 2, "no number")
    code, _, err = lab.ask("status", "--socket", lab.path("nobody.sock"))
    check(code == 69 and "nothing listens" in err and "--socket" in err, f"{code} {err}")
    path = lab.path("gw-state/control.sock")
    mode = os.stat(path).st_mode
    check(stat.S_ISSOCK(mode) and mode & 0o777 == 0o600, f"mode {mode:o}")
    stranger = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    binary = shutil.copy(BINARY, lab.path("copy"))
    os.chmod(lab.dir, 0o755)
    ask = ["ip", "netns", "exec", lab.ns["gw"], *stranger, binary, "status", "--socket", path]

    def as_stranger():
        p = subprocess.run(ask, text=True, capture_output=True, timeout=20, check=False)
        return p.returncode, p.stderr
    code, err = as_stranger()
    check(code == 77 and "root" in err, f"a stranger: {code} {err}")
    # Even where the file's rights let anybody in, the kernel says who asks.
    os.chmod(lab.path("gw-state"), 0o711)
    os.chmod(path, 0o666)
    code, err = as_stranger()
    check(code == 69, f"a stranger at an open door: {code} {err}")
    wait_for("it is told", 3, lambda: "uid 65534" in lab.text("gw.log"))
    os.chmod(path, 0o600)
    os.chmod(lab.path("gw-state"), 0o700)
    # The loopback port names nobody and obeys nobody.
    for method, path in (("GET", "/calls"), ("GET", "/status"), ("GET", "/registrations"),
                         ("POST", "/reload"), ("POST", "/drain"), ("POST", f"/calls/{number}/hangup")):
        check(http_status(lab, method, path) == 404, f"{method} {path} at the loopback port")
    check(http_status(lab, "GET", "/ready") == 200, "ready")


def hostile_guests(lab):
    """Guests that say nothing, or nonsense, or too much, keep nobody out."""
    path = lab.path("gw-state/control.sock")
    guests = []
    for n in range(12):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(5)
        s.connect(path)
        guests.append(s)
        s.sendall([b"", b"\x00\xff\r\n\r\n", b"GET / HTTP/1.1\r\nX: ", b"POST /drain HTTP/1.1\r\n"][n % 4])
    big = socket.socket(socket.AF_UNIX)
    big.settimeout(5)
    big.connect(path)
    try:
        for _ in range(100):
            big.sendall(b"X-Long: " + b"x" * 65536 + b"\r\n")
        check(False, "a head without end is taken")
    except OSError:
        pass
    check(lab.told("status")["state"] == "running", "it answers, and does not drain")
    for s in guests + [big]:
        s.close()


@contextlib.contextmanager
def stopped(thread):
    """A thread of another process is stopped as a debugger stops it; the others go on."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long] * 4

    def ptrace(request):
        check(libc.ptrace(request, thread, 0, 0) == 0, f"ptrace {request:#x}: {ctypes.get_errno()}")
    ptrace(0x4206)  # PTRACE_SEIZE
    ptrace(0x4207)  # PTRACE_INTERRUPT
    os.waitpid(thread, 0x40000000)  # __WALL
    try:
        yield
    finally:
        ptrace(17)  # PTRACE_DETACH


def http(lab, path):
    """Body of the loopback port's answer, whatever its status."""
    code = ("import urllib.request as u,urllib.error as e,sys\n"
            "try: print(u.urlopen('http://127.0.0.1:8060'+sys.argv[1],timeout=5).read().decode())\n"
            "except e.HTTPError as x: print(x.read().decode())")
    return sh(["ip", "netns", "exec", lab.ns["gw"], sys.executable, "-c", code, path])


def a_loop_that_stands_still(lab, gw, number):
    """The event loop's thread is stopped: readers are answered and told, speech goes on."""
    before = lab.told("status")
    check(not before["event_loop"]["stands_still"] and before["event_loop"]["age_s"] < 3, f"{before}")
    with stopped(gw.pid):
        wait_for("it is noticed", 6, lambda: http_status(lab, "GET", "/live") == 503)
        check("stood still for" in http(lab, "/ready"), "not ready")
        age = lab.metric("portreeve_event_loop_age_seconds")
        check(3 <= age < 20, f"{age}")
        check(lab.metric("portreeve_active_calls", state="confirmed") == 1, "the last true figure")
        sent = lab.metric("portreeve_media_sent_packets_total", protocol="rtp")
        wait_for("speech goes on", 5, lambda: lab.metric("portreeve_media_sent_packets_total",
                                                         protocol="rtp") > sent + 50)
        for words, want in ((("calls",), "IN CALL"), (("registrations",), "10.17.0.22"),
                            (("status",), "STANDS STILL"),
                            (("calls", "show", str(number)), "does not answer")):
            code, out, err = lab.ask(*words)
            check(code == 0 and want in out and "stood still for" in err, f"{words}: {out}{err}")
            check("none so far" not in out and "running" not in out, out)
        code, _, err = lab.ask("calls", "hangup", str(number))
        check(code == 69 and "stood still for" in err, f"{code} {err}")
    wait_for("it turns again", 3, lambda: http_status(lab, "GET", "/live") == 200)
    check(lab.told("status")["state"] == "running", "as before")
    code, out, err = lab.ask("calls")
    check(code == 0 and "IN CALL" in out and err == "", f"what was not done in time is not done: {out}{err}")


def scenario(lab):
    lab.write("state/x", "")
    gw = lab.gateway(config(lab))
    password = lab.text("state/site-password").strip()
    a = Phone(lab, "101", "10.17.0.21", 440, "10.17.0.1", password)
    b = Phone(lab, "102", "10.17.0.22", 660, "10.17.0.1", password)
    a.registered()
    b.registered()
    a.call("sip:102@10.17.0.1")
    a.in_call()
    b.in_call()
    one = what_is_shown(lab)
    refusals(lab, one["call"])
    c = Phone(lab, "103", "10.17.0.23", 880, "10.17.0.1", password)
    c.registered()
    hostile_guests(lab)
    a_loop_that_stands_still(lab, gw, one["call"])
    code, out, err = lab.ask("calls", "hangup", str(one["call"]))
    check(code == 0 and "hung up" in out, f"{code} {out} {err}")
    wait_for("the phones hear it", 5, lambda: lab.text(a.log).count("session closed")
             + lab.text(a.log).count("terminated") >= 1)
    check(lab.told("calls")["calls"] == [], "it is gone")
    wait_for("its end is written", 5, lambda: lab.ask("calls", "show", str(one["call"]))[0] == 0)
    over = lab.told("calls", "show", str(one["call"]))
    check(over["state"] == "ended" and over["ended_by"] == "admin", f"and is shown as over: {over}")
    check(lab.ask("calls", "show", "4711")[0] == 1, "one that never was cannot be shown")
    check(lab.metric("portreeve_call_ends_total", reason="admin") == 1, "counted as ended by admin")

    # A second gateway may not take over the socket of a living one.
    other = config(lab, "second", port=5080, http=8061,
                   control=f'[control]\nsocket = "{lab.path("gw-state/control.sock")}"\n')
    lab.write("second.toml", other.replace("20000-20199", "21000-21199"))
    p = lab.start("gw", [BINARY, "run", "-c", lab.path("second.toml")], "second.log")
    check(p.wait(10) == 69, lab.text("second.log"))
    check("another portreeve takes commands" in lab.text("second.log"), lab.text("second.log"))
    check(lab.told("status")["state"] == "running", "the first one does not mind")
    # What a killed one left behind is no hindrance.
    off = other.replace(lab.path("gw-state/control.sock"), lab.path("own.sock"))
    p = lab.gateway(off.replace("20000-20199", "21000-21199"), name="second")
    p.kill()
    p.wait(3)
    check(os.path.exists(lab.path("own.sock")), "a killed process removes nothing")
    p = lab.gateway(off.replace("20000-20199", "21000-21199"), name="second")
    check(lab.told("status", name="second")["uptime_s"] < 10, "it is the new one")
    check(lab.stop(p) == 0 and not os.path.exists(lab.path("own.sock")), "it goes with the process")
    check(lab.ask("status", name="second")[0] == 69, "nobody is there")
    lab.write("second.toml", off.replace(lab.path("own.sock"), "off"))
    code, _, err = lab.ask("status", name="second")
    check(code == 69 and '"off"' in err, f"{code} {err}")

    # Drain: the call under way goes on, no new one begins, it ends with the last.
    a.call("sip:102@10.17.0.1")
    wait_for("a second call", 10, lambda: lab.metric("portreeve_active_calls", state="confirmed") == 1)
    code, out, err = lab.ask("drain")
    check(code == 0 and "1 call under way" in out, f"{code} {out} {err}")
    check(http_status(lab, "GET", "/ready") == 503, "not ready")
    status = lab.told("status")
    check(status["state"] == "draining" and 0 < status["drain_left_s"] <= 60, f"{status}")
    c.call("sip:101@10.17.0.1")
    wait_for("a new call is refused", 10, lambda: "503" in lab.text(c.log))
    check(len(lab.told("calls")["calls"]) == 1, "no new call")
    check(gw.poll() is None, "it waits for the call")
    a.hangup()
    check(gw.wait(10) == 0, "it ends with the last call, code 0")
    check(not os.path.exists(lab.path("gw-state/control.sock")), "and takes its socket along")

    records = lab.audit()
    ends = [r for r in records if r["kind"] == "call_end" and r["outcome"] == "answered"]
    check([r["ended_by"] for r in ends] == ["admin", "caller"], f"{ends}")
    check((ends[0]["call"], ends[0]["call_id"]) == (one["call"], one["call_id"]), f"{ends[0]}")
    media = ends[0]["media"][0]
    for leg in ("caller", "callee"):
        check(media[leg]["port"] == one["streams"][0][leg]["port"], f"{media} {one}")
        check(media[leg]["rtp_packets"] >= one["streams"][0][leg].get("packets", 0), f"{media} {one}")
    did = [(r["action"], r["result"]) for r in records if r["kind"] == "admin"]
    check(did == [("hangup", "refused"), ("hangup", "applied"), ("drain", "applied")], f"{did}")
    who = [r["detail"] for r in records if r["kind"] == "admin"]
    check(all(re.search(r"by uid 0 \(pid \d+\)", d) for d in who), f"{who}")
    check(sh([BINARY, "audit", "verify", lab.path("audit")]), "the audit log is whole")


run(scenario)
