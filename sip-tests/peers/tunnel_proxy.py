#!/usr/bin/env python3
"""A site whose only way out is an HTTP proxy: nothing but TCP to a Squid that asks for user and
password leaves its gateway, and its phones call by the head office all the same. The Squid is
restarted within a call; then UDP is let through, and the tunnel moves to it within a call. Where the
proxy refuses, or lets too few connections through, the log says so."""
from lab import *
from tunnel import arrivals, begin, call, hang_up, longest_gap

PROXY = "10.99.0.3"

SQUID = """
http_port {proxy}:3128
{more}
auth_param {scheme}
acl site proxy_auth REQUIRED
acl tunnels port 443
http_access allow CONNECT tunnels site
http_access deny all
cache deny all
cache_mem 8 MB
access_log stdio:{dir}/access.log
cache_log {dir}/cache.log
pid_filename none
coredump_dir {dir}
read_timeout {idle} seconds
shutdown_lifetime 0 seconds
max_filedescriptors 1024
pinger_enable off
"""
BASIC = "basic program /usr/lib/squid/basic_ncsa_auth {dir}/users"
DIGEST = "digest program /usr/lib/squid/digest_file_auth {dir}/users\nauth_param digest realm squid"


def squid(lab, scheme, log, idle=20, more=""):
    folder = lab.path("squid")
    os.makedirs(folder, exist_ok=True)
    os.chmod(lab.dir, 0o755)
    os.chmod(folder, 0o777)
    if scheme == BASIC:
        users = "site:" + sh(["openssl", "passwd", "-apr1", "s3cret"])
    else:
        users = "site:s3cret\n"
    lab.write("squid/users", users)
    text = SQUID.format(proxy=PROXY, scheme=scheme, dir=folder, idle=idle, more=more)
    text = text.replace("{dir}", folder)
    file = lab.write("squid/squid.conf", text)
    p = lab.start("pbx", ["squid", "-N", "-f", file], log)
    wait_for("squid", 15, lambda: subprocess.run(
        ["ip", "netns", "exec", lab.ns["pbx"], sys.executable, "-c",
         f"import socket;socket.create_connection(('{PROXY}',3128),1)"],
        stderr=subprocess.DEVNULL, check=False).returncode == 0 or p.poll() is not None)
    check(p.poll() is None, f"squid ended: {lab.text(log)} {lab.text('squid/cache.log')[-1500:]}")
    return p


def wall(lab, udp=False):
    """Nothing gets out of the site but TCP to the proxy; with `udp` the tunnel's UDP does, too."""
    rule = "udp dport 443 accept" if udp else ""
    file = lab.write("wall.nft", f"""
table inet wall
delete table inet wall
table inet wall {{
  chain out {{
    type filter hook output priority 0; policy accept;
    oifname != "out" accept
    ip daddr {PROXY} tcp dport 3128 accept
    {rule}
    counter drop
  }}
}}
""")
    sh(["ip", "netns", "exec", lab.ns["gw"], "nft", "-f", file])


def connected(lab, by):
    return lab.text("gw.log").count(f" by {by}")


def hearing(lab, phones, since):
    """Packets of speech that have come to each since then."""
    return [sum(t > since for t in arrivals(lab.path(f"{p.user}.pcap"), p.ip)) for p in phones]


def scenario(lab):
    wall(lab)
    # A proxy that does not know the tunnel's port, and then lets two connections of a client through.
    proxy = squid(lab, BASIC, "squid0.log", more="acl other port 4443\nhttp_access deny !other")
    lab.write("proxy-password", "s3cret\n")
    more = (f'proxy = "http://{PROXY}:3128"\nproxy_user = "site"\n'
            f'proxy_password_file = "{lab.path("proxy-password")}"')
    begin(lab, more, listen='["udp:443", "tcp:443"]')
    why = f"not connected: .*proxy {PROXY}:3128: it answers 403"
    wait_for("why not, in the log", 20, lambda: re.search(why, lab.text("gw.log")))
    check("in clear (Basic)" not in lab.text("gw.log"), "nobody asked for a password")
    lab.stop(proxy, 2)
    proxy = squid(lab, BASIC, "squid.log", more="acl many maxconn 2\nhttp_access deny many")
    wait_for("the tunnel", 20, lambda: connected(lab, "tcp"))
    few = "not all of its 3 connections by TCP are there"
    wait_for("that it has too few connections", 5, lambda: few in lab.text("gw.log"))
    check(lab.text("gw.log").count("in clear (Basic)") == 1, "the password is shown, and that is told")
    a, b = phones = [Phone(lab, user, f"10.17.0.{n}", hz, "10.17.0.1", f"secret-{user}",
                           outbound="10.17.0.1", domain="pbx.test")
                     for user, n, hz in (("101", 21, 440), ("102", 22, 1000))]
    for phone in phones:
        phone.registered()
    taps = [lab.capture(p.ns, "in", f"{p.user}.pcap") for p in phones]
    call(a, b)
    time.sleep(4)
    came = hearing(lab, phones, 0)
    check(min(came) > 120, f"speech came through the proxy: {came} packets")

    # The proxy starts anew, and asks for digests now: the call goes on.
    lab.stop(proxy, 2)
    squid(lab, DIGEST, "squid2.log")
    wait_for("the tunnel again", 20, lambda: connected(lab, "tcp") == 2)
    again = time.time()
    time.sleep(4)
    came = hearing(lab, phones, again)
    check(min(came) > 120, f"speech came through the new proxy: {came} packets")
    check("407" in lab.text("squid/access.log"), "the proxy asked who it was")
    hang_up(a, b)

    # UDP is let through: the tunnel moves within the call, and nobody is asked anything anew.
    wall(lab, udp=True)
    # A tone lasts for a minute: it is asked for 30 s after TCP began, and tried out for 15 s.
    time.sleep(15)
    call(a, b)
    wait_for("the tunnel by QUIC", 45, lambda: connected(lab, "quic"))
    moved = time.time()
    time.sleep(4)

    # And shut again: what is silent is left for the proxy, within the call.
    wall(lab)
    shut, told = time.time(), len(lab.text("gw.log"))
    wait_for("the tunnel by TCP again", 20, lambda: connected(lab, "tcp") == 3)
    print(f"tunnel_proxy: UDP was shut, {time.time() - shut:.1f} s later it went by the proxy again")
    back = time.time()
    time.sleep(4)
    hang_up(a, b)
    # What was asked meanwhile was asked again by the other way: nobody was alone for that.
    said = lab.text("gw.log")[told:]
    check("the site is alone" not in said, "nobody is alone while the tunnel moves")
    noise = re.findall(r'"level":"(?!DEBUG).*upstream pbx: the connection to .* has ended', said)
    check(not noise, f"a move is told once: {noise}")
    for tap in taps:
        lab.stop(tap)
    for phone in phones:
        gap = longest_gap(lab.path(f"{phone.user}.pcap"), phone.ip, moved - 3, shut)
        print(f"tunnel_proxy: moved from TCP to QUIC, {phone.user} heard nothing for {gap:.2f} s")
        gap = longest_gap(lab.path(f"{phone.user}.pcap"), phone.ip, shut - 1)
        print(f"tunnel_proxy: moved back, {phone.user} heard nothing for {gap:.2f} s")
    ended = re.findall("tunnel office: the connection to .* has ended", lab.text("gw.log"))
    check(len(ended) == 1, f"one end, that of the restarted proxy: {ended}")
    check(min(hearing(lab, phones, moved)) > 120, "and it goes on by QUIC")
    check(min(hearing(lab, phones, back)) > 120, "and by the proxy")
    for phone, hz in zip(phones, (1000, 440)):
        check(phone.heard(hz) > 8, f"{phone.user} heard the other for {phone.heard(hz)} s")
    for phone in phones:
        check(lab.text(phone.log).count("Call established") == 2, f"{phone.user} had two calls")
        check(lab.text(phone.log).count("terminated") == 2, f"{phone.user}'s ended once each")


if __name__ == "__main__":
    run(scenario)
