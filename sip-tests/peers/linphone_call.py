#!/usr/bin/env python3
"""Another make of phone: linphone and baresip register at portreeve and call each other, both ways;
once more with linphone by TLS, which believes the site's own certificate and no other."""
import shutil
from lab import *

RC = """[sip]
sip_port={udp_port}
sip_tcp_port=0
sip_tls_port={tls_port}
root_ca={root_ca}
verify_server_certs=1
verify_server_cn={names}
use_ipv6=0
bind_address={ip}
guess_hostname=1
register_only_when_network_is_up=0
auto_net_state_mon=0
default_proxy=0
[proxy_0]
reg_proxy=<sip:10.17.0.1;transport={transport}>
reg_identity=sip:101@10.17.0.1
reg_expires=300
reg_sendregister=1
[auth_info_0]
username=101
passwd={password}
realm=portreeve
[rtp]
audio_rtp_port=7078
[video]
enabled=0
"""


class Linphone:
    """linphonec on a pipe: plays and records files, as its commands say."""

    def __init__(self, lab, ip, hz, password, root_ca=None):
        self.lab = lab
        # Its library reads no address in a certificate, only host names: of those it knows none here.
        ports = dict(udp_port=0, tls_port=-1, names=0) if root_ca else dict(udp_port=5060, tls_port=0, names=1)
        shutil.rmtree(lab.path("linphone"), ignore_errors=True)
        rc = lab.write("linphone/rc", RC.format(
            ip=ip, password=password, transport="tls" if root_ca else "udp", root_ca=root_ca or "",
            **ports))
        os.makedirs(lab.path("linphone/.local/share/linphone"))
        write_tone(lab.path("linphone/tone.wav"), hz, 20)
        ns = f"p{int(ip.split('.')[3]) - 20}"
        # It takes the local address from the way out, so there must be one.
        sh(f"ip -n {lab.ns[ns]} route replace default via 10.17.0.1")
        out = open(lab.path("linphone.log"), "wb")
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", lab.ns[ns], "linphonec", "-c", rc],
            stdin=subprocess.PIPE, stdout=out, stderr=subprocess.STDOUT, cwd=lab.dir,
            start_new_session=True, env=dict(os.environ, HOME=lab.path("linphone"), LANG="C"))
        lab.processes.append(self.process)
        self.wait("linphonec>")
        for command, says in [("soundcard use files", "Using wav files"),
                              (f"play {lab.path('linphone/tone.wav')}", "play"),
                              (f"record {lab.path('linphone/heard.wav')}", "record")]:
            self.say(command)
            self.wait(says)

    def say(self, command):
        self.process.stdin.write(command.encode() + b"\n")
        self.process.stdin.flush()

    def wait(self, text, seconds=10):
        wait_for(f"linphone says {text}", seconds, lambda: text in self.lab.text("linphone.log"))


def config(lab, more=""):
    return f"""
[[interface]]
name = "lan"
side = "inside"
address = "10.17.0.1"
{more}
[registrar]
mode = "local"
password_file = "{lab.dir}/state/site-password"
[limits]
calls = 50
[state]
dir = "{lab.dir}/state"
[audit]
dir = "{lab.dir}/audit"
"""


def both_ways(lab, baresip, linphone):
    """Each calls the other; each heard the other's tone in both calls."""
    wait_for("two bindings", 10, lambda: lab.metric("portreeve_active_registrations") == 2)
    confirmed = lambda: lab.metric("portreeve_active_calls", state="confirmed") == 1
    over = lambda: lab.metric("portreeve_active_calls") == 0
    linphone.say("call 102")
    wait_for("linphone's call", 10, confirmed)
    time.sleep(4)
    linphone.say("terminate")
    wait_for("its end", 5, over)
    baresip.call("sip:101@10.17.0.1")
    linphone.wait("Receiving new incoming call")
    linphone.say("answer")
    wait_for("baresip's call", 10, confirmed)
    time.sleep(4)
    baresip.hangup()
    wait_for("its end", 5, over)
    linphone.say("quit")
    linphone.process.wait(10)
    lab.stop(baresip.process)


def heard(lab, baresip, calls):
    """What each heard of the other; `calls` is how many calls baresip recorded since the start."""
    tones = [tone_seconds(f, 440) for f in baresip.recordings()]
    check(len(tones) == calls and min(tones) >= 2.5, f"baresip heard linphone: {tones}")
    tone = tone_seconds(lab.path("linphone/heard.wav"), 660)
    check(tone >= 5, f"linphone heard baresip for {tone} s of two calls")


def by_udp(lab):
    gw = lab.gateway(config(lab))
    password = lab.text("state/site-password").strip()
    capture = lab.capture("gw", "in", "inside.pcap")
    baresip = Phone(lab, "102", "10.17.0.22", 660, "10.17.0.1", password)
    baresip.registered()
    both_ways(lab, baresip, Linphone(lab, "10.17.0.21", 440, password))
    lab.stop(capture)
    check(lab.stop(gw) == 0, "SIGTERM ends with code 0")
    heard(lab, baresip, 2)
    direct = [p for p in packets(lab.path("inside.pcap"))
              if is_rtp(p[5]) and "10.17.0.1" not in (p[1], p[3])]
    check(not direct, "RTP passes only by the gateway")
    ends = [(r["outcome"], r["ended_by"]) for r in lab.audit("call_end", 2)]
    check(ends == [("answered", "caller")] * 2, f"two call records: {ends}")


def by_tls(lab):
    shutil.rmtree(lab.path("state"))
    gw = lab.gateway(config(lab, 'listen = ["udp:5060", "tls:5061"]\ntls = "self-signed"'))
    password = lab.text("state/site-password").strip()
    shown = [c for c in lab.told("status")["certificates"] if c["of"] == "interface"]
    check(len(shown) == 1, f"{shown}")
    pem = subprocess.run(["ip", "netns", "exec", lab.ns["p1"], "sh", "-c",
                          "openssl s_client -connect 10.17.0.1:5061 </dev/null 2>/dev/null"
                          " | openssl x509"], text=True, stdout=subprocess.PIPE, check=True).stdout
    baresip = Phone(lab, "102", "10.17.0.22", 660, "10.17.0.1", password)
    baresip.registered()
    other = lab.path("other.pem")
    sh(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=other",
        "-keyout", lab.path("other.key"), "-out", other])
    doubts = Linphone(lab, "10.17.0.21", 440, password, other)
    doubts.wait("Certificate verification failed")
    lab.stop(doubts.process)
    linphone = Linphone(lab, "10.17.0.21", 440, password, lab.write("site.pem", pem))
    by = lambda: {r["user"].split("@")[0]: r["transport"]
                  for r in lab.told("registrations")["registrations"]}
    wait_for("linphone by TLS", 10, lambda: by() == {"101": "tls", "102": "udp"})
    both_ways(lab, baresip, linphone)
    check(lab.stop(gw) == 0, "SIGTERM ends with code 0")
    heard(lab, baresip, 4)
    ends = [(r["outcome"], r["ended_by"]) for r in lab.audit("call_end", 4)]
    check(ends == [("answered", "caller")] * 4, f"four call records: {ends}")


def scenario(lab):
    by_udp(lab)
    by_tls(lab)


run(scenario)
