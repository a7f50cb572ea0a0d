#!/usr/bin/env python3
"""An upstream by name, against a real DNS server (dnsmasq) and two real SIP servers behind SRV: the
first is killed and calls go on by the second; records that change, lie and vanish; DNS that is gone;
the resolver's own configuration that changes."""
from lab import *

DNS = ("10.99.0.2", "10.99.0.3")


class Dns:
    """dnsmasq at one of the PBX's addresses, with these records."""

    def __init__(self, lab, at):
        self.lab, self.at, self.process = lab, at, None

    def serve(self, *records):
        self.stop()
        self.process = self.lab.start("pbx", [
            "dnsmasq", "--keep-in-foreground", "--no-resolv", "--no-hosts", "--no-daemon",
            "--bind-interfaces", f"--listen-address={self.at}", "--except-interface=lo",
            "--local-ttl=1", "--user=root", "--pid-file=", "--log-queries", "--local=/test/",
            *records], f"dns-{self.at}.log")
        wait_for("dnsmasq", 5, lambda: "started" in self.lab.text(f"dns-{self.at}.log"))

    def stop(self):
        if self.process:
            self.lab.stop(self.process)
            self.process = None


def srv(*targets):
    return [f"--srv-host=_sip._udp.sip.test,{host},5060,{priority},{weight}"
            for host, priority, weight in targets]


def host(name, ip):
    return f"--host-record={name},{ip},1"


PROXY = """#!KAMAILIO
debug=2
log_stderror=yes
children=1
auto_aliases=no
listen=udp:ADDRESS:5060
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"

request_route {
    if (!mf_process_maxfwd_header("10")) { sl_send_reply("483", "Too Many Hops"); exit; }
    if (is_method("OPTIONS")) { sl_send_reply("200", "OK"); exit; }
    if (is_method("CANCEL")) { if (t_check_trans()) { t_relay(); } exit; }
    t_check_trans();
    remove_hf("Route");
    $du = "sip:10.99.0.2:5080";
    t_relay();
}
"""


# The user agent behind both: it answers whoever asks, as RFC 3261 §18.2.2 wants (sipp answers whoever
# sent the INVITE).
ANSWERER = r"""
import re, socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("10.99.0.2", 5080))
SDP = ("v=0\r\no=- 1 1 IN IP4 10.99.0.2\r\ns=-\r\nc=IN IP4 10.99.0.2\r\nt=0 0\r\n"
       "m=audio 7000 RTP/AVP 0\r\n")
while True:
    data, source = s.recvfrom(65535)
    text = data.decode()
    method = text.split(" ", 1)[0]
    if method in ("ACK", "SIP/2.0"):
        continue
    keep = [l for l in text.split("\r\n\r\n")[0].split("\r\n")[1:]
            if re.match("(Via|From|To|Call-ID|CSeq|Record-Route):", l, re.I)]
    keep = [l + ";tag=uas" if l.startswith("To:") and "tag=" not in l else l for l in keep]
    body = SDP if method == "INVITE" else ""
    head = ["SIP/2.0 200 OK", *keep, "Contact: <sip:callee@10.99.0.2:5080>"]
    if body:
        head.append("Content-Type: application/sdp")
    head.append(f"Content-Length: {len(body)}")
    s.sendto(("\r\n".join(head) + "\r\n\r\n" + body).encode(), source)
"""


def proxy(lab, ip):
    """A Kamailio that hands calls to the one user agent behind both."""
    file = lab.write(f"kamailio-{ip}.cfg", PROXY.replace("ADDRESS", ip))
    p = lab.start("pbx", ["kamailio", "-DD", "-E", "-f", file, "-m", "64", "-M", "8", "-Y",
                          lab.path(ip), "-P", lab.path(f"kamailio-{ip}.pid")],
                  f"kamailio-{ip}.log")
    time.sleep(1.5)
    check(p.poll() is None, f"kamailio ended: {lab.text(f'kamailio-{ip}.log')[-2000:]}")
    return p


def kill(p):
    os.killpg(p.pid, signal.SIGKILL)
    p.wait(5)


def resolv(lab, *servers):
    folder = f"/etc/netns/{lab.ns['gw']}"
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}/resolv.conf", "w", encoding="utf-8") as f:
        f.writelines(f"nameserver {ip}\n" for ip in servers)
        f.write("options timeout:1 attempts:1\n")


def upstream(lab):
    return lab.told("status")["upstreams"][0]


def places(lab):
    return [t["address"] for t in upstream(lab)["targets"]]


def calls(lab, name, many=1, scenario="uac", ns="p1", ip="10.17.0.21"):
    return sipp(lab, ns, scenario, ip, "10.17.0.1:5060", calls=many, name=name,
                extra=["-s", "200"])


def call(lab, name, many=1):
    """A phone's calls, each answered, with a BYE."""
    finish(lab, calls(lab, name, many), name)


def up(lab):
    return [t["up"] for t in upstream(lab)["targets"]]


def scenario(lab):
    dns, other = Dns(lab, DNS[0]), Dns(lab, DNS[1])
    both = [*srv(("a.test", 10, 1), ("b.test", 20, 1)), host("a.test", "10.99.0.2"),
            host("b.test", "10.99.0.3")]
    resolv(lab, DNS[0])
    for ip in DNS:
        os.makedirs(lab.path(ip))
    config = lab.edge(probe="1s", extra="""[timers]
next_target = "1s"
t1 = "100ms"
[policy]
default = "allow"
""")
    config = config.replace('address = "10.99.0.2:5060"', 'address = "sip.test"')
    config = config.replace('domain = "pbx.test"\n', "")
    lab.start("pbx", [sys.executable, "-c", ANSWERER], "answerer.log")
    # A name that nobody knows yet is no error: it is told, and asked for again.
    gw = lab.gateway(config)
    wait_for("it says what is wrong", 30, lambda: "upstream pbx: " in lab.text("gw.log"))
    check(places(lab) == [], "nobody knows where it is")
    dns.serve(*both)
    wait_for("the name is known", 70, lambda: places(lab) == ["10.99.0.2:5060", "10.99.0.3:5060"])
    first, second = proxy(lab, "10.99.0.2"), proxy(lab, "10.99.0.3")
    wait_for("both answer", 30, lambda: up(lab) == [True, True])
    call(lab, "first")
    # The first is killed while a call is up: that goes on, and new ones are answered by the second.
    long = calls(lab, "long", scenario="uac_long", ns="p2", ip="10.17.0.22")
    wait_for("it is up", 10, lambda: lab.metric("portreeve_active_calls", state="confirmed") == 1)
    kill(first)
    call(lab, "killed")
    finish(lab, long, "the call that was up")
    wait_for("the first rests", 40, lambda: up(lab) == [False, True])
    check(upstream(lab)["up"] is True, "the upstream answers")
    call(lab, "resting", many=5)
    first = proxy(lab, "10.99.0.2")
    wait_for("it is back", 40, lambda: up(lab) == [True, True])
    call(lab, "back")
    # DNS is gone: its last answer is used, and said to be old.
    dns.stop()
    wait_for("old answers are said to be old", 60, lambda: upstream(lab)["stale"])
    check("DNS does not answer" in lab.ask("status")[1], "in words, too")
    call(lab, "stale")
    # It comes back and lies: an inside address, and ourselves.
    dns.serve(*srv(("a.test", 10, 1), ("b.test", 20, 1), ("c.test", 5, 1)),
              host("a.test", "10.17.0.22"), host("c.test", "10.99.0.1"),
              host("b.test", "10.99.0.3"))
    wait_for("lies are left out", 70, lambda: places(lab) == ["10.99.0.3:5060"])
    wait_for("it says so", 5, lambda: re.search("is (an inside|the gateway's own) address",
                                                lab.text("gw.log")))
    call(lab, "lies")
    # Another server is to be asked from now on (as DHCP or a VPN says).
    dns.stop()
    other.serve(*srv(("d.test", 10, 1)), host("d.test", "10.99.0.2"))
    resolv(lab, DNS[1])
    wait_for("the other server is asked", 70, lambda: places(lab) == ["10.99.0.2:5060"])
    call(lab, "elsewhere")
    kill(first)
    kill(second)
    check(lab.stop(gw) == 0, "SIGTERM ends with code 0")
    shutil.rmtree(f"/etc/netns/{lab.ns['gw']}")


run(scenario)
