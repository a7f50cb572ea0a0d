#!/usr/bin/env python3
"""A phone that has IPv6 alone calls by a Kamailio that has IPv4 alone a phone that has IPv4 alone,
and is called back: tones both ways, no inside address outside, RTP by the gateway alone. Then a
trunk by IPv6, a phone that has a link-local address alone, and a trunk whose name has an IPv6
address that leads nowhere."""
from lab import *

SIX = "2001:db8:17::"
FAR = "2001:db8:99::"


def dress(lab):
    """p1 and p3 lose their IPv4 addresses; the outside has IPv6, too."""
    gw = lab.ns["gw"]
    sh(f"ip -n {gw} addr add {SIX}1/64 dev in nodad")
    sh(f"ip -n {gw} addr add {FAR}1/64 dev out nodad")
    sh(f"ip -n {lab.ns['pbx']} addr add {FAR}2/64 dev out nodad")
    sh(f"ip -n {lab.ns['p1']} addr flush dev in scope global")
    sh(f"ip -n {lab.ns['p1']} addr add {SIX}21/64 dev in nodad")
    sh(f"ip -n {lab.ns['p3']} addr flush dev in scope global")


def edge(lab, outside='"10.99.0.1"', upstream="10.99.0.2:5060"):
    config = lab.edge(extra='[policy]\ndefault = "allow"\n')
    config = config.replace('address = "10.17.0.1"', f'address = ["10.17.0.1", "{SIX}1"]')
    config = config.replace('address = "10.99.0.1"', f"address = {outside}")
    return config.replace('address = "10.99.0.2:5060"', f'address = "{upstream}"')


# A phone by a link-local address: it calls by UDP or TCP, and hears its own RTP come back.
LINKED = r"""
import re, socket, struct, sys, time
own, gate, transport = sys.argv[1:4]
at = lambda ip, port: socket.getaddrinfo(f"{ip}%in", port)[0][4]
media = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
media.bind(at(own, 4000))
kind = socket.SOCK_DGRAM if transport == "UDP" else socket.SOCK_STREAM
s = socket.socket(socket.AF_INET6, kind)
s.bind(at(own, 5060 if transport == "UDP" else 0))
s.settimeout(5)
s.connect(at(gate, 5060))
sdp = (f"v=0\r\no=- 1 1 IN IP6 {own}%in\r\ns=-\r\nc=IN IP6 {own}%in\r\nt=0 0\r\n"
       "m=audio 4000 RTP/AVP 0\r\n")

def send(method, seq, branch, to, body=""):
    uri = "sip:200@pbx.test" if method == "INVITE" else target
    head = [f"{method} {uri} SIP/2.0", f"Via: SIP/2.0/{transport} [{own}%in]:5060;rport;branch={branch}",
            "Max-Forwards: 70", "From: <sip:103@pbx.test>;tag=a", f"To: {to}",
            f"Call-ID: linked-{transport}", f"CSeq: {seq} {method}",
            f"Contact: <sip:103@[{own}%in]:5060;transport={transport.lower()}>", *routes]
    if body:
        head.append("Content-Type: application/sdp")
    s.send(("\r\n".join(head + [f"Content-Length: {len(body)}"]) + "\r\n\r\n" + body).encode())

def final():
    while True:
        text = s.recv(65535).decode()
        for part in re.split(r"(?=SIP/2\.0 )", text):
            if re.match(r"SIP/2\.0 [2-6]", part):
                return part

routes, target = [], ""
send("INVITE", 1, "z9hG4bK1", "<sip:200@pbx.test>", sdp)
ok = final()
assert ok.startswith("SIP/2.0 200"), ok
field = lambda name: re.search(rf"^{name}: *(.*?)\r$", ok, re.M | re.I).group(1)
target = re.search("<(.*?)>", field("Contact")).group(1)
routes = [f"Route: {r}" for r in re.findall(r"^Record-Route: *(.*?)\r$", ok, re.M | re.I)]
port = int(re.search(r"^m=audio (\d+)", ok, re.M).group(1))
assert f"c=IN IP6 {gate}\r" in ok, ok
send("ACK", 1, "z9hG4bK2", field("To"))
media.settimeout(0.2)
back = 0
for seq in range(50):
    media.sendto(struct.pack(">BBHII", 128, 0, seq, seq * 160, 7) + bytes(160), at(gate, port))
    try:
        back += len(media.recv(2000)) == 172
    except socket.timeout:
        pass
    time.sleep(0.02)
send("BYE", 2, "z9hG4bK3", field("To"))
assert final().startswith("SIP/2.0 200")
assert back > 25, f"{back} of 50 packets came back"
"""


def linked(lab):
    """Our own address on the link is an interface of its own."""
    link, own = "fe80::17", "fe80::23"
    sh(f"ip -n {lab.ns['gw']} addr add {link}/64 dev in nodad")
    sh(f"ip -n {lab.ns['p3']} addr add {own}/64 dev in nodad")
    config = edge(lab) + f"""
[[interface]]
name = "link"
side = "inside"
address = "{link}%in"
"""
    gw = lab.gateway(config, "gwlink")
    outside = lab.capture("pbx", "out", "link.pcap")
    for transport in ("UDP", "TCP"):
        # It echoes at the media port of its first call alone.
        answers = sipp(lab, "pbx", "uas", "10.99.0.2", "10.99.0.1:5060", name=f"echo{transport}",
                       extra=["-rtp_echo", "-mp", "7000"])
        phone = lab.start("p3", [sys.executable, "-c", LINKED, own, link, transport],
                          f"linked-{transport}.log")
        check(phone.wait(30) == 0, f"by {transport}: {lab.text(f'linked-{transport}.log')}")
        finish(lab, answers, "who answers")
    lab.stop(outside)
    found = leaks(lab.path("link.pcap"), "fe80:")
    check(not found, "link-local addresses outside:\n" + "\n".join(found[:10]))
    check(lab.stop(gw) == 0, "SIGTERM ends with code 0")


def eyeballs(lab):
    """A trunk by name whose IPv6 address nobody has: its calls go by IPv4, and not slowly."""
    folder = f"/etc/netns/{lab.ns['gw']}"
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}/resolv.conf", "w", encoding="utf-8") as f:
        f.write("nameserver 10.99.0.2\noptions timeout:1 attempts:1\n")
    dns = lab.start("pbx", ["dnsmasq", "--keep-in-foreground", "--no-resolv", "--no-hosts",
                            "--no-daemon", "--bind-interfaces", "--listen-address=10.99.0.2",
                            "--except-interface=lo", "--user=root", "--pid-file=", "--local=/test/",
                            f"--host-record=six.test,10.99.0.2,{FAR}9,60"], "dns.log")
    wait_for("dnsmasq", 5, lambda: "started" in lab.text("dns.log"))
    both = f'["10.99.0.1", "{FAR}1"]'
    # Who answers here knows no OPTIONS, and takes one for a call.
    config = edge(lab, both, "six.test:5060") + '[survive]\nauth = "off"\n'
    gw = lab.gateway(config, "gweyes")
    wait_for("the name is known", 20,
             lambda: len(lab.told("status", name="gweyes")["upstreams"][0]["targets"]) == 2)
    answers = sipp(lab, "pbx", "uas", "10.99.0.2", "10.99.0.1:5060", calls=3, name="eyes")
    for n in range(3):
        begun = time.time()
        caller = sipp(lab, "p2", "uac", "10.17.0.22", "10.17.0.1:5060", name=f"eyes{n}",
                      extra=["-s", "200"])
        finish(lab, caller, "a call by IPv4")
        took = time.time() - begun
        print(f"call {n + 1} by a name whose IPv6 address leads nowhere: {took:.2f} s")
    finish(lab, answers, "the trunk by IPv4")
    check(lab.stop(gw) == 0, "SIGTERM ends with code 0")
    lab.stop(dns)
    shutil.rmtree(folder)


def scenario(lab):
    dress(lab)
    pbx = kamailio(lab)
    gw = lab.gateway(edge(lab))
    outside = lab.capture("pbx", "out", "outside.pcap")
    six = Phone(lab, "101", f"{SIX}21", 440, f"[{SIX}1]", "secret-101", domain="pbx.test",
                outbound=f"[{SIX}1]", ns="p1")
    four = Phone(lab, "102", "10.17.0.22", 660, "10.17.0.1", "secret-102", domain="pbx.test",
                 outbound="10.17.0.1", transport="tcp")
    for phone in (six, four):
        phone.registered()
    for caller, callee in ((six, four), (four, six)):
        caller.call(f"sip:{callee.user}@pbx.test")
        wait_for("two passes are up", 10,
                 lambda: lab.metric("portreeve_active_calls", state="confirmed") == 2)
        time.sleep(4)
        callee.hangup()
        wait_for("the calls end", 5, lambda: lab.metric("portreeve_active_calls") == 0)
        wait_for("ports return", 5, lambda: lab.metric("portreeve_media_ports", state="used") == 0)
    for phone in (six, four):
        lab.stop(phone.process)
    lab.stop(outside)
    for phone, hz in ((six, 660), (four, 440)):
        check(len(phone.recordings()) >= 2 and phone.heard(hz) >= 3,
              f"{phone.user} heard {hz} Hz for {phone.heard(hz)} s")
    file = lab.path("outside.pcap")
    for inside in ("10.17.0.", SIX):
        found = leaks(file, inside)
        check(not found, "inside addresses outside:\n" + "\n".join(found[:10]))
    foreign = [p for p in packets(file) if is_rtp(p[5]) and "10.99.0.1" not in (p[1], p[3])]
    check(not foreign, f"RTP without the gateway: {foreign[:2]}")
    lab.stop(pbx)
    check(lab.stop(gw) == 0, "SIGTERM ends with code 0")
    ends = [r for r in lab.audit() if r["kind"] == "call_end"]
    check(len(ends) == 4 and all(r["outcome"] == "answered" for r in ends), f"records: {ends}")

    # An IPv4 phone, and a trunk by IPv6 alone.
    both = f'["10.99.0.1", "{FAR}1"]'
    gw = lab.gateway(edge(lab, both, f"[{FAR}2]:5060"), "gw6")
    answers = sipp(lab, "pbx", "uas", f"{FAR}2", f"[{FAR}1]:5060", calls=2, name="trunk6")
    caller = sipp(lab, "p2", "uac", "10.17.0.22", "10.17.0.1:5060", calls=2, name="by4",
                  extra=["-s", "200"])
    finish(lab, caller, "calls by IPv6")
    finish(lab, answers, "the trunk by IPv6")
    check(lab.stop(gw) == 0, "SIGTERM ends with code 0")
    linked(lab)
    eyeballs(lab)


run(scenario)
