#!/usr/bin/env python3
"""SIP by TLS with real programs: Kamailio as the PBX, believed by its authority and by its key; two
baresips by TLS at the inside listener call each other by it. A wrong name, an expired certificate, a
strange authority and a port that speaks no TLS are refused in words; a certificate is replaced while
the gateway runs."""
import shutil
from lab import *

DAYS = {"good": ("20200101000000Z", "20990101000000Z"),
        "expired": ("20200101000000Z", "20210101000000Z")}


def authority(lab, name):
    sh(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-days", "3650", "-subj", f"/CN={name}", "-addext", "basicConstraints=critical,CA:TRUE",
        "-keyout", lab.path(f"{name}.key"), "-out", lab.path(f"{name}.pem")])


def sign(lab, ca, name, names, until="good"):
    """A certificate of these names, signed by an authority; its files' name."""
    begin, end = DAYS[until]
    key, csr, pem = (lab.path(f"{name}.{e}") for e in ("key", "csr", "pem"))
    sh(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-subj", f"/CN={name}", "-keyout", key, "-out", csr])
    ext = lab.write(f"{name}.ext", f"subjectAltName={names}\nbasicConstraints=CA:FALSE\n")
    for old in ("index.txt", "index.txt.attr", "serial"):
        if os.path.exists(lab.path(old)):
            os.remove(lab.path(old))
    lab.write("index.txt", "")
    conf = lab.write("ca.cnf", f"""[ca]
default_ca = it
[it]
database = {lab.path("index.txt")}
new_certs_dir = {lab.dir}
default_md = sha256
policy = any
rand_serial = yes
unique_subject = no
[any]
commonName = supplied
""")
    sh(["openssl", "ca", "-batch", "-config", conf, "-cert", lab.path(f"{ca}.pem"), "-keyfile",
        lab.path(f"{ca}.key"), "-in", csr, "-out", pem, "-extfile", ext, "-startdate", begin,
        "-enddate", end, "-notext"])
    os.chmod(key, 0o600)
    return name


def pin(lab, name):
    der = subprocess.run(f"openssl x509 -in {lab.path(name)}.pem -noout -pubkey"
                         " | openssl pkey -pubin -outform der | sha256sum", shell=True, check=True,
                         text=True, stdout=subprocess.PIPE).stdout
    return "sha-256:" + der.split()[0]


def pbx(lab, name):
    """Kamailio as in every scenario, by TLS too, with this certificate."""
    config = KAMAILIO.replace(
        'pv_proxy_authenticate("pbx.test", "secret-$fU", "0")',
        'pv_auth_check("pbx.test", "secret-$fU", "0", "0")').replace(
        'listen=tcp:10.99.0.2:5060', 'listen=tcp:10.99.0.2:5060\nenable_tls=yes\n'
        'listen=tls:10.99.0.2:5061').replace('loadmodule "tm.so"', f'''loadmodule "tls.so"
modparam("tls", "certificate", "{lab.path(name)}.pem")
modparam("tls", "private_key", "{lab.path(name)}.key")
modparam("tls", "tls_method", "TLSv1.2+")
modparam("tls", "verify_certificate", 0)
loadmodule "tm.so"''').replace('remove_hf("Route");', 'remove_hf("Route");\n'
                               '    if (is_method("OPTIONS")) { sl_send_reply("200", "OK"); exit; }')
    file = lab.write(f"kamailio-{name}.cfg", config)
    p = lab.start("pbx", ["kamailio", "-DD", "-E", "-f", file, "-m", "64", "-M", "16", "-Y", lab.dir,
                          "-P", lab.path("kamailio.pid")], f"kamailio-{name}.log")
    time.sleep(2)
    check(p.poll() is None, f"kamailio ended: {lab.text(f'kamailio-{name}.log')[-2000:]}")
    return p


def kill(p):
    os.killpg(p.pid, signal.SIGKILL)
    p.wait(5)


def config(lab, tls):
    """Kamailio calls back by connections of its own, and is known by its certificate."""
    ask = f'{{ certificate = "self-signed", client = "ask", client_ca = "{lab.path("ours.pem")}" }}'
    text = lab.edge(probe="1s", inside='tls = "self-signed"',
                    outside=f'listen = ["udp:5060", "tls:5061"]\ntls = {ask}')
    return text.replace('"udp:5070"]', '"tls:5061"]').replace(
        'address = "10.99.0.2:5060"', f'address = "sips:10.99.0.2"\ntls_subject = ["pbx.test"]\ntls = {tls}')


def upstream(lab):
    return lab.told("status")["upstreams"][0]


def refused(lab, words, reason):
    """The upstream is down, and both the reason and the count say why."""
    # A probe that waits for who is gone waits for Timer F.
    wait_for(f"the PBX is down: {words}", 45,
             lambda: upstream(lab)["up"] is False and words in upstream(lab)["why"])
    found = lab.metric("portreeve_tls_failures_total", side="outside", reason=reason)
    check(found > 0, f"no failure is counted as {reason}")


def believed(lab):
    wait_for("the PBX is up", 20, lambda: upstream(lab)["up"] is True)


def fingerprint(lab):
    """What somebody who connects to the inside listener is shown."""
    out = subprocess.run(
        ["ip", "netns", "exec", lab.ns["p1"], "sh", "-c",
         "openssl s_client -connect 10.17.0.1:5061 </dev/null 2>/dev/null"
         " | openssl x509 -noout -fingerprint -sha256"],
        text=True, stdout=subprocess.PIPE, check=True).stdout
    return "sha-256:" + out.strip().split("=")[1].replace(":", "").lower()


def calls(lab):
    """Two phones by TLS, one calls the other by way of the PBX."""
    pem = subprocess.run(["ip", "netns", "exec", lab.ns["p1"], "sh", "-c",
                          "openssl s_client -connect 10.17.0.1:5061 </dev/null 2>/dev/null"
                          " | openssl x509"], text=True, stdout=subprocess.PIPE, check=True).stdout
    ca = lab.write("site.pem", pem)
    phones = [Phone(lab, user, ip, hz, "pbx.test", f"secret-{user}", outbound="10.17.0.1:5061",
                    transport="tls", more=f"sip_cafile {ca}\nsip_verify_server yes")
              for user, ip, hz in (("101", "10.17.0.21", 440), ("102", "10.17.0.22", 880))]
    for phone in phones:
        phone.registered()
    one, two = phones
    one.call("sip:102@pbx.test")
    one.in_call()
    two.in_call()
    time.sleep(6)
    one.hangup()
    time.sleep(2)
    check(one.heard(880) > 2, f"101 heard {one.heard(880)} s of 102")
    check(two.heard(440) > 2, f"102 heard {two.heard(440)} s of 101")
    ends = lab.audit("call_end", 1)
    check(all(e["outcome"] == "answered" for e in ends), f"{ends}")
    for phone in phones:
        lab.stop(phone.process)


def scenario(lab):
    for ca in ("ours", "theirs"):
        authority(lab, ca)
    right = sign(lab, "ours", "right", "DNS:pbx.test")
    ca_file = f'{{ verify = "ca-file", ca_file = "{lab.path("ours.pem")}", name = "pbx.test" }}'
    p = pbx(lab, right)
    gw = lab.gateway(config(lab, ca_file))
    believed(lab)
    shown = lab.told("status")["certificates"]
    of = {(c["of"], c["name"]): c for c in shown}
    check(of["upstream", "pbx"]["pin"] == pin(lab, right), f"{shown}")
    check(of["upstream", "pbx"]["days"] > 14, f"{shown}")
    check(of["interface", "lan"]["fingerprint"] == fingerprint(lab), f"{shown}")
    check(of["interface", "lan"]["fingerprint"] in lab.text("gw.log"), "the start shows it")
    code, out, _ = lab.ask("doctor")
    check("pbx shows " + pin(lab, right) in out, f"doctor: {out}")
    calls(lab)
    print("tls: calls by Kamailio with TLS, believed by its authority")
    # Others at its place.
    for names, until, ca, words, reason in (
            ("DNS:other.test", "good", "ours", "is of other.test, not of pbx.test", "name"),
            ("DNS:pbx.test", "expired", "ours", "days ago: renew it there", "expired"),
            ("DNS:pbx.test", "good", "theirs", "nobody who is trusted signed", "unknown_authority")):
        kill(p)
        p = pbx(lab, sign(lab, ca, f"{reason}", names, until))
        refused(lab, words, reason)
    kill(p)
    p = lab.start("pbx", [sys.executable, "-c", "import socket\n"
                          "s=socket.create_server(('10.99.0.2',5061))\n"
                          "while True:\n c,_=s.accept(); c.sendall(b'SIP/2.0 400 Plain\\r\\n\\r\\n')"],
                  "plain.log")
    refused(lab, "is no TLS", "no_tls")
    kill(p)
    print("tls: wrong name, expired, strange authority and plain TCP are refused in words")
    p = pbx(lab, right)
    believed(lab)
    lab.stop(gw)
    # By its key, which another certificate may have.
    strange = sign(lab, "theirs", "pinned", "DNS:whoever.test", "expired")
    kill(p)
    p = pbx(lab, strange)
    tls = f'{{ verify = "pinned", pins = ["{pin(lab, strange)}"] }}'
    gw = lab.gateway(config(lab, tls))
    believed(lab)
    lab.stop(gw)
    # Our own certificate is replaced while we run; plain SIP at our port is told.
    for end in ("pem", "key"):
        shutil.copy(lab.path(f"right.{end}"), lab.path(f"own.{end}"))
    os.chmod(lab.path("own.key"), 0o600)
    text = config(lab, tls).replace(
        'tls = "self-signed"', f'tls = {{ certificate = "{lab.path("own.pem")}", '
        f'key = "{lab.path("own.key")}" }}', 1)
    gw = lab.gateway(text)
    before = fingerprint(lab)
    new = sign(lab, "ours", "renewed", "IP:10.17.0.1")
    for end in ("key", "pem"):
        os.rename(lab.path(f"{new}.{end}"), lab.path(f"own.{end}"))
    wait_for("the new certificate is shown", 20, lambda: fingerprint(lab) != before)
    believed(lab)
    sh(["ip", "netns", "exec", lab.ns["p1"], sys.executable, "-c",
        "import socket\ns=socket.create_connection(('10.17.0.1',5061),5)\n"
        "s.sendall(b'OPTIONS sip:x SIP/2.0\\r\\n\\r\\n')\ns.settimeout(5)\n"
        "while s.recv(100): pass"])
    check("what it sends is no TLS" in lab.text("gw.log"), "plain SIP at the TLS port is told")
    lab.stop(gw)
    kill(p)
    print("tls: pinned key, renewed certificate, plain SIP at the TLS port")


if __name__ == "__main__":
    run(scenario)
