#!/usr/bin/env python3
"""Other users of the machine: a state folder that is theirs, links in ours, web pages that ask the
loopback port under another name, thousands of connections there and at the control socket. Calls go on,
nothing is followed, nothing is told."""
from field import *

SECOND = """
[[interface]]
name = "lan"
side = "inside"
address = "10.17.0.1"
listen = ["udp:5070"]
[registrar]
mode = "local"
password_file = "{state}/site-password"
[media]
ports = "21000-21099"
[limits]
calls = 10
[state]
dir = "{state}"
[audit]
dir = "{audit}"
[http]
listen = "off"
"""
NOBODY = 65534


def start(field, name, state, audit):
    """A second gateway on this state: its exit code, or None while it runs (it is stopped then)."""
    file = field.write(f"{name}.toml", SECOND.format(state=state, audit=audit))
    p = field.start("gw", [BINARY, "run", "-c", file], f"{name}.log")
    wait_for(f"{name} starts or ends", 15, lambda: p.poll() is not None
             or "\nready\n" in "\n" + field.text(f"{name}.log"))
    code = p.poll()
    field.stop(p, 10)
    return code


def folder(field, name, uid=0, mode=0o700):
    path = field.path(name)
    os.makedirs(path, exist_ok=True)
    os.chown(path, uid, uid)
    os.chmod(path, mode)
    return path


def foreign_state(field):
    """State of another user, and links in state of our own: the gateway does not start on it, what the
    links name stays as it was."""
    state, audit = folder(field, "s0"), folder(field, "a0")
    check(start(field, "sound", state, audit) is None, f"it starts: {field.text('sound.log')}")
    files = sorted(os.listdir(state))
    check("site-password" in files and "keys" in files, f"{files}")

    state = folder(field, "s1", NOBODY)
    code = start(field, "foreign", state, folder(field, "a1"))
    check(code not in (0, None) and not os.listdir(state), f"a folder of another user: {code}")
    code = start(field, "foreignaudit", folder(field, "s2"), folder(field, "a2", NOBODY))
    check(code not in (0, None), f"an audit folder of another user: {code}")

    victim = field.write("victim/file", "what was here\n")
    before = os.stat(victim)
    for name in files + ["journal.jsonl.new", "journal.new", "bindings.jsonl"]:
        if name == "control.sock":
            continue
        state = folder(field, f"links-{name}")
        os.symlink(victim, os.path.join(state, name))
        code = start(field, f"link-{name}", state, folder(field, f"links-audit-{name}"))
        with open(victim, encoding="utf-8") as f:
            check(f.read() == "what was here\n", f"{name}: a link was followed and written")
        after = os.stat(victim)
        check((after.st_mode, after.st_uid) == (before.st_mode, before.st_uid), f"{name}: rights changed")
        if name in ("keys", "site-password", "lock"):
            check(code not in (0, None), f"a link for {name}: it starts, {field.text(f'link-{name}.log')}")
    # The folder itself as a link to another's.
    theirs = folder(field, "theirs", NOBODY)
    os.symlink(theirs, field.path("linked"))
    code = start(field, "linked", field.path("linked"), folder(field, "a9"))
    check(code not in (0, None) and not os.listdir(theirs), f"a linked folder: {code}")
    # Files of another user in a folder of ours.
    for name in ("keys", "site-password", "journal.jsonl"):
        state = folder(field, f"theirs-{name}")
        path = field.write(f"theirs-{name}/{name}", "x\n")
        os.chown(path, NOBODY, NOBODY)
        os.chmod(path, 0o600)
        code = start(field, f"their-{name}", state, folder(field, f"theirs-audit-{name}"))
        check(code not in (0, None), f"{name} of another user: {code}")


def loopback(field, seconds=5):
    return field.tcp("gw", "127.0.0.1", ("127.0.0.1", 8060), seconds=seconds)


def asked(field, head, seconds=30):
    """The status of an answer at the loopback port, 0 when the connection is closed without one."""
    with loopback(field, seconds) as s:
        try:
            s.sendall(head.encode() + b"\r\nConnection: close\r\n\r\n")
            answer = s.recv(65536)
        except OSError:
            return 0
    return int(answer.split()[1]) if answer.startswith(b"HTTP/1.") else 0


def other_names(field):
    """A page of the web that has its name point to 127.0.0.1 reads nothing (DNS rebinding)."""
    for path in ("/metrics", "/live", "/ready"):
        for host in ("127.0.0.1:8060", "localhost:8060", "127.0.0.1", "LOCALHOST"):
            status = asked(field, f"GET {path} HTTP/1.1\r\nHost: {host}")
            check(status == 200, f"{path} at {host}: {status}")
        for host in ("evil.example", "evil.example:8060", "127.0.0.1.evil.example", "10.17.0.1:8060",
                     "localhost.evil.example:8060", "", "127.0.0.1:8060@evil.example", "[::2]:8060"):
            status = asked(field, f"GET {path} HTTP/1.1\r\nHost: {host}")
            check(status not in (200, 500), f"{path} at {host!r}: {status}")
    status = asked(field, "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:8060\r\nHost: evil.example")
    check(status not in (200, 500), f"two hosts: {status}")
    status = asked(field, "GET http://evil.example/metrics HTTP/1.1\r\nHost: 127.0.0.1:8060")
    check(status not in (200, 500), f"another host in the request line: {status}")


def idle_guests(field):
    """Five hundred connections that say nothing, or begin and stop, or never read: /metrics answers."""
    guests = []
    for n in range(500):
        try:
            s = loopback(field)
            s.setblocking(False)
            s.send(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:8060\r\n\r\n" * 3 if n % 20 == 0 else
                   [b"GET", b"\x16\x03\x01\x02\x00\x01",
                    b"POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999\r\n\r\n"][n % 3])
            guests.append(s)
        except OSError:
            # Given way already, which is right.
            pass
        if n % 100 == 99:
            status = asked(field, "GET /metrics HTTP/1.1\r\nHost: localhost")
            check(status == 200, f"/metrics: {status}")
    field.well("amid idle guests")
    path = field.path("state/control.sock")
    local, reached = [], 0
    for _ in range(200):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(1)
        try:
            s.connect(path)
            s.sendall(b"GET / HTTP/1.1\r\nX: ")
            reached += 1
        except OSError:
            pass
        local.append(s)
    check(reached > 0, f"{path} takes somebody")
    field.well("amid guests of the control socket")
    for s in guests + local:
        s.close()
    check(field.told("status")["state"] == "running", "the control socket answers")


run(lambda f: f.config(),
    {"foreign state": foreign_state, "other names": other_names, "idle guests": idle_guests})
