"""A site that nothing gets out of but TCP to an HTTP proxy: a Squid that asks for user and password, a
packet filter, two phones. It stands on `lab` and on the scenario `tunnel`, which have the head office."""
import os
import re
import subprocess
import sys

from lab import Phone, check, sh, wait_for

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
    """Begins the proxy; `more`: lines that come before who is let in."""
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


def account(lab, password="s3cret"):
    """The site's lines for the proxy; the password stands in a file that nobody else reads."""
    file = lab.write("proxy-password", password + "\n")
    os.chmod(file, 0o600)
    return (f'proxy = "http://{PROXY}:3128"\nproxy_user = "site"\n'
            f'proxy_password_file = "{file}"')


def connected(lab, by):
    """How often the site's end was connected by that."""
    return len(re.findall(f"tunnel office: connected to .* by {by}", lab.text("gw.log")))


def pair(lab):
    """Two phones of the site, each with a tone of its own, registered."""
    phones = [Phone(lab, user, f"10.17.0.{n}", hz, "10.17.0.1", f"secret-{user}",
                    outbound="10.17.0.1", domain="pbx.test")
              for user, n, hz in (("101", 21, 440), ("102", 22, 1000))]
    for phone in phones:
        phone.registered()
    return phones
