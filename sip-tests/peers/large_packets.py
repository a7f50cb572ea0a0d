#!/usr/bin/env python3
"""RTP larger than a link's MTU arrives whole: in fragments, as it came. Small packets before and after it
too."""
from lab import *
import json

SEND = """
import socket, struct
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('10.17.0.21', 4444))
for n, size in enumerate((172, 1600, 172, 1600, 172)):
    s.sendto(struct.pack('>BBHII', 0x80, 0, n, 160 * n, 7) + bytes([n]) * (size - 12), ('10.17.0.1', PORT))
"""


def arrived(file, port):
    """(octets of UDP payload, fragments) of what came to a port, in order. Ethernet, IPv4."""
    with open(file, "rb") as f:
        raw = f.read()
    found, at = {}, 24
    while at + 16 <= len(raw):
        size = struct.unpack_from("<I", raw, at + 8)[0]
        frame = raw[at + 16:at + 16 + size]
        at += 16 + size
        if frame[12:14] != b"\x08\x00" or frame[23] != 17 or frame[26:30] != bytes([10, 99, 0, 1]):
            continue
        total, ident, offset = struct.unpack_from(">HHH", frame, 16)
        first = offset & 0x1fff == 0
        if first and struct.unpack_from(">H", frame, 36)[0] != port:
            continue
        # Packets that are not fragmented may all have the same identification.
        key = (ident, 0) if offset & 0x3fff else (ident, at)
        if not first and key not in found:
            continue
        octets, parts = found.get(key, (-8, 0))
        found[key] = (octets + total - 20, parts + 1)
    return list(found.values())


def scenario(lab):
    gw = lab.gateway(lab.edge(extra='[policy]\ndefault = "allow"\n'))
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sipp")
    with open(os.path.join(root, "uac.xml"), encoding="utf-8") as f:
        text = f.read()
    check('pause milliseconds="300"' in text, "the caller holds for 300 ms")
    lab.write("long.xml", text.replace('pause milliseconds="300"', 'pause milliseconds="4000"'))
    b = sipp(lab, "pbx", "uas", "10.99.0.2", "10.99.0.1:5060", name="callee")
    time.sleep(0.3)
    a = sipp(lab, "p1", lab.path("long"), "10.17.0.21", "10.17.0.1:5060", extra=["-s", "200"], name="caller")
    wait_for("the call is up", 5, lambda: lab.metric("portreeve_active_calls", state="confirmed") == 1)

    def asked(*words):
        return json.loads(sh(["ip", "netns", "exec", lab.ns["gw"], BINARY, *words, "--json",
                              "-c", lab.path("gw.toml")]))

    call = asked("calls")["calls"][0]["call"]
    stream = asked("calls", "show", str(call))["streams"][0]
    port, far = stream["caller"]["port"], int(stream["callee"]["party"].rsplit(":", 1)[1])
    capture = lab.capture("pbx", "out", "outside.pcap")
    lab.start("p1", [sys.executable, "-c", SEND.replace("PORT", str(port))], "sent.log").wait(10)
    wait_for("all five are sent on", 5, lambda: lab.metric(
        "portreeve_media_sent_packets_total", side="outside", protocol="rtp") == 5)
    seen = lambda: arrived(lab.path("outside.pcap"), far)
    wait_for("all five are captured", 5, lambda: len(seen()) == 5)
    lab.stop(capture)
    check(seen() == [(172, 1), (1600, 2), (172, 1), (1600, 2), (172, 1)], f"arrived: {seen()}")
    finish(lab, a, "caller")
    finish(lab, b, "callee")
    failed = lab.metric("portreeve_media_dropped_packets_total", reason="send_error")
    check(failed == 0, f"{failed} packets could not be sent")
    check(lab.stop(gw) == 0, "SIGTERM ends with code 0")


run(scenario)
