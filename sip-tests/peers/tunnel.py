#!/usr/bin/env python3
"""A site and a head office, each with a gateway, and one tunnel between them, to a name that DNS
knows: phones of the site register at the head office's Kamailio and call each other through it, and
nothing but the tunnel's packets crosses the way between. A connection that is cut comes back within
the call. Each end vouches for the other's audit log."""
import glob
import hashlib
import json

from lab import *

KAMAILIO_AT = "10.98.0.2"


def keygen(lab, name):
    """A key for one end; what the command prints is its public half."""
    key = sh([BINARY, "tunnel", "keygen", lab.path(f"{name}/tunnel.key")]).splitlines()
    again = sh([BINARY, "tunnel", "keygen", lab.path(f"{name}/tunnel.key")]).splitlines()
    check(key[0] == again[0], "a key is made once")
    return key[0]


def site(lab, key, more="", connect="10.99.0.2:443"):
    return f"""
site = {{ name = "berlin" }}
[[interface]]
name = "lan"
side = "inside"
address = "10.17.0.1"
[[interface]]
name = "office"
side = "outside"
link = "tunnel"
connect = "{connect}"
peer_key = "{key}"
{more}
[[upstream]]
name = "pbx"
domain = "pbx.test"
probe = "2s"
[state]
dir = "{lab.path("site")}"
[audit]
dir = "{lab.path("audit")}"
[log]
level = "debug"
"""


def head_office(lab, key, listen='"udp:443"', more=""):
    return f"""
site = {{ name = "head-office" }}
[[interface]]
name = "sites"
side = "inside"
link = "tunnel"
address = "10.99.0.2"
listen = {listen}
[[peer]]
name = "berlin"
key = "{key}"
[[interface]]
name = "wan"
side = "outside"
address = "10.98.0.1"
[[upstream]]
name = "pbx"
address = "{KAMAILIO_AT}:5060"
domain = "pbx.test"
probe = "2s"
{more}
[state]
dir = "{lab.path("office")}"
[audit]
dir = "{lab.path("office-audit")}"
[log]
level = "debug"
"""


def dns(lab):
    """The site's network knows the head office by a name."""
    folder = f"/etc/netns/{lab.ns['gw']}"
    os.makedirs(folder, exist_ok=True)
    atexit.register(shutil.rmtree, folder, True)
    with open(f"{folder}/resolv.conf", "w", encoding="utf-8") as f:
        f.write("nameserver 127.0.0.1\n")
    p = lab.start("gw", [
        "dnsmasq", "--keep-in-foreground", "--no-resolv", "--no-hosts", "--no-daemon",
        "--bind-interfaces", "--listen-address=127.0.0.1", "--user=root", "--pid-file=",
        "--host-record=gate.test,10.99.0.2"], "dns.log")
    wait_for("dnsmasq", 5, lambda: "started" in lab.text("dns.log") or p.poll() is not None)
    check(p.poll() is None, f"dnsmasq ended: {lab.text('dns.log')}")


def begin(lab, more="", connect="10.99.0.2:443", **office):
    """Both gateways and Kamailio; what the site's end and the head office's are told besides."""
    pbx = lab.ns["pbx"]
    sh(f"ip -n {pbx} link add back type bridge")
    for ip in ("10.98.0.1", KAMAILIO_AT):
        sh(f"ip -n {pbx} addr add {ip}/24 dev back")
    sh(f"ip -n {pbx} link set back up")
    import lab as module
    module.KAMAILIO = module.KAMAILIO.replace("10.99.0.2", KAMAILIO_AT)
    kamailio(lab)
    keys = {name: keygen(lab, name) for name in ("site", "office")}
    file = lab.write("office.toml", head_office(lab, keys["site"], **office))
    office = lab.start("pbx", [BINARY, "run", "-c", file], "office.log")
    wait_for("the head office says ready", 15, lambda: "\nready\n" in "\n" + lab.text("office.log"))
    gw = lab.gateway(site(lab, keys["office"], more, connect))
    return gw, office


def arrivals(file, ip):
    """When RTP came to an address, in seconds."""
    with open(file, "rb") as f:
        data = f.read()
    at = 24
    while at + 16 <= len(data):
        seconds, micros, size = struct.unpack_from("<III", data, at)
        frame = data[at + 16:at + 16 + size]
        at += 16 + size
        udp = frame[34:]
        if frame[23:24] == b"\x11" and frame[30:34] == bytes(map(int, ip.split("."))) \
                and is_rtp(udp[8:]):
            yield seconds + micros / 1e6


def longest_gap(file, ip, since=0, until=math.inf):
    """The longest time without RTP within a capture, from then on, in seconds."""
    times = [t for t in arrivals(file, ip) if since < t < until]
    return max(b - a for a, b in zip(times, times[1:]))


def cut(lab, seconds):
    sh(f"ip -n {lab.ns['gw']} link set out down")
    time.sleep(seconds)
    sh(f"ip -n {lab.ns['gw']} link set out up")


def figures(lab):
    """The site's end shows what the two gateways know of the way."""
    def of(name, **labels):
        return lab.metric(f"portreeve_tunnel_{name}", tunnel="office", **labels)
    check(of("up") == 1 and of("bearer", bearer="quic") == 1, "up by QUIC")
    check(0 < of("round_trip_seconds") < 1, "there and back")
    check(0 <= of("jitter_seconds") < 1, "how even it is")
    for direction in ("out", "in"):
        packets = of("packets_total", direction=direction)
        check(packets > 100, f"{packets} packets {direction}, as their senders say")
        check(of("bytes_total", direction=direction) > 10_000, f"octets {direction}")
    for result in ("sent", "received"):
        check(of("media_packets_total", result=result) > 100, f"media {result}")
    check(of("connections_total") == 1, "one connection")
    code, told, err = lab.ask("tunnel", "status")
    check(code == 0, err)
    check("site of site berlin   up for" in told and "by quic to 10.99.0.2:443" in told, told)
    check("clocks differ by" in told and "AHEAD" not in told, told)


def call(a, b):
    """One call; the number of calls that both have had by then."""
    before = [p.lab.text(p.log).count("Call established") for p in (a, b)]
    a.call(f"sip:{b.user}@pbx.test")
    for phone, n in zip((a, b), before):
        wait_for(f"{phone.user} in a call", 12,
                 lambda: phone.lab.text(phone.log).count("Call established") > n)


def hang_up(a, b):
    """Ends their call, and waits until both know."""
    before = [p.lab.text(p.log).count("terminated") for p in (a, b)]
    a.hangup()
    for phone, n in zip((a, b), before):
        wait_for(f"{phone.user} hears the end", 12,
                 lambda: phone.lab.text(phone.log).count("terminated") > n)
    time.sleep(0.5)


def records(lab, folder, kind):
    """Records of this kind in one end's audit log."""
    files = sorted(glob.glob(lab.path(f"{folder}/audit-*.jsonl")))
    lines = [json.loads(line) for f in files for line in open(f, encoding="utf-8")]
    return [r for r in lines if r["kind"] == kind]


def verify(*words):
    p = subprocess.run([BINARY, "audit", "verify", *words], text=True, capture_output=True)
    return p.returncode, p.stdout + p.stderr


def anew(lab, folder, copy, lines):
    """A log with these lines, chained as if it had always been so."""
    before, out = "0" * 64, []
    for line in lines:
        record = json.loads(line)
        text = line[:line.rindex('"prev":"')] + f'"prev":"{before}"}}'
        check(json.loads(text).keys() == record.keys(), "the same record")
        before = hashlib.sha256(text.encode()).hexdigest()
        out.append(text + "\n")
    lab.write(f"{copy}/audit-20260101.jsonl", "".join(out))
    return lab.path(copy)


def vouched(lab):
    """Each end has noted where the other's log stood: neither can write its past anew."""
    ours, theirs = lab.path("audit"), lab.path("office-audit")
    for folder, tunnel in (("audit", "office"), ("office-audit", "berlin")):
        heads = wait_for(f"heads in {folder}", 15, lambda: records(lab, folder, "peer_head"))
        check(heads[0]["tunnel"] == tunnel and heads[0]["number"] > 0, str(heads[0]))
    for one, other in ((ours, theirs), (theirs, ours)):
        code, told = verify(one, "--peer", other)
        check(code == 0 and "heads that were noted elsewhere stand in it" in told, told)
    number = records(lab, "office-audit", "peer_head")[0]["number"]
    lines = [line.rstrip("\n") for f in sorted(glob.glob(f"{ours}/*")) for line in open(f)]
    changed = [lines[0].replace('"event":"start"', '"event":"begin"'), *lines[1:]]
    check(changed[0] != lines[0], lines[0])
    copy = anew(lab, "audit", "anew", changed)
    check(verify(copy)[0] == 0, "a chain that is whole in itself")
    code, told = verify(copy, "--peer", theirs)
    check(code == 1 and f"record {number} is not the one" in told, told)
    cut = anew(lab, "audit", "cut", lines[:number - 1])
    if number > 1:
        code, told = verify(cut, "--peer", theirs)
        check(code == 1 and f"record {number}, whose head was noted" in told, told)
    code, told = verify(ours, "--head", f"{number}:{'0' * 64}")
    check(code == 1, told)
    check(verify(ours, "--head", "none")[0] == 2, "no head at all")


def comings(lab, folder):
    return [r["event"] for r in records(lab, folder, "tunnel")]


def scenario(lab):
    dns(lab)
    _, office = begin(lab, connect="gate.test:443")
    up = lambda: lab.text("gw.log").count("tunnel office: connected")
    wait_for("the tunnel", 10, up)
    tap = lab.capture("pbx", "out", "wan.pcap")
    a, b = phones = [Phone(lab, user, f"10.17.0.{n}", hz, "10.17.0.1", f"secret-{user}",
                           outbound="10.17.0.1", domain="pbx.test")
                     for user, n, hz in (("101", 21, 440), ("102", 22, 1000))]
    for phone in phones:
        phone.registered()
    call(a, b)
    time.sleep(4)
    hang_up(a, b)
    check(a.heard(1000) > 2.5, f"101 heard 102 for {a.heard(1000)} s")
    check(b.heard(440) > 2.5, f"102 heard 101 for {b.heard(440)} s")
    lab.stop(tap)
    seen = list(packets(lab.path("wan.pcap")))
    others = [p for p in seen if p[0] != "udp" or 443 not in (p[2], p[4])]
    check(not others, f"something went beside the tunnel: {others[:3]}")
    check(len(seen) > 200, f"{len(seen)} packets by the tunnel")

    figures(lab)
    vouched(lab)
    # The site's gateway asks each 2 s whether the head office is there; that is no phone's request.
    asked = [r for r in records(lab, "office-audit", "verdict") if r["method"] == "OPTIONS"]
    check(not asked, f"denied: {asked[:1]}")

    # The way is cut for 4 s: the call goes on by itself when it is back.
    for phone in phones:
        for file in phone.recordings():
            os.remove(file)
    taps = [lab.capture(p.ns, "in", f"{p.user}.pcap") for p in phones]
    call(a, b)
    time.sleep(3)
    cut(lab, 4)
    time.sleep(5)
    hang_up(a, b)
    check(up() == 1, "the connection outlived the cut")
    for tap in taps:
        lab.stop(tap)
    for phone, hz in ((a, 1000), (b, 440)):
        gap = longest_gap(lab.path(f"{phone.user}.pcap"), phone.ip)
        print(f"tunnel: cut for 4 s, {phone.user} heard nothing for {gap:.2f} s")
        check(phone.heard(hz) > 5, f"{phone.user} heard the other again: {phone.heard(hz)} s")

    # The head office dies without a word and starts anew: its phones are where they were, and calls
    # go through.
    office.kill()
    office.wait(5)
    died = time.time()
    office = lab.start("pbx", [BINARY, "run", "-c", lab.path("office.toml")], "office2.log")
    wait_for("the tunnel again", 20, lambda: up() == 2)
    print(f"tunnel: the head office died, {time.time() - died:.1f} s later there was another tunnel")
    call(a, b)
    time.sleep(1)
    hang_up(a, b)

    # A key that is taken back is believed no longer, at once.
    text = lab.text("office.toml")
    key = re.search(r'key = "(.*)"', text).group(1)
    lab.write("office.toml", text.replace(key, keygen(lab, "another")))
    office.send_signal(signal.SIGHUP)
    wait_for("the site is cut off", 3, lambda: "believed no longer" in lab.text("gw.log"))
    time.sleep(3)
    check(up() == 2, "and does not come back")
    revoked = [r for r in records(lab, "office-audit", "tunnel") if r["event"] == "revoked"]
    check(len(revoked) == 1 and revoked[0]["key"] == key, str(revoked))
    check(comings(lab, "office-audit")[0] == "up", str(comings(lab, "office-audit")))
    check(comings(lab, "audit")[:3] == ["up", "down", "up"], str(comings(lab, "audit")))
    unknown = [r for r in records(lab, "office-audit", "security") if r["class"] == "unknown_key"]
    check(unknown and key in unknown[0]["detail"], str(unknown))
    check(unknown[0]["source"].startswith("10.99.0.1:"), str(unknown[0]))
    check(len(unknown) == 1, f"the rest of the minute is one sum: {len(unknown)}")
    for one, other in (("audit", "office-audit"), ("office-audit", "audit")):
        code, told = verify(lab.path(one), "--peer", lab.path(other))
        check(code == 0, told)


if __name__ == "__main__":
    run(scenario)
