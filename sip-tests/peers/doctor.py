#!/usr/bin/env python3
"""`portreeve doctor` beside a real DNS server and a real Kamailio: all is well, without a gateway and
with one; then a name that is wrong, a port that is taken, a NAT, a PBX that is stuck and one that is
gone: each line says what to do."""
from lab import *

KAMAILIO = """#!KAMAILIO
debug=2
log_stderror=yes
children=1
auto_aliases=no
listen=udp:10.99.0.2:5060
loadmodule "sl.so"
loadmodule "textops.so"
request_route { sl_send_reply("200", "OK"); exit; }
"""


def examine(lab, name="gw"):
    """Its lines by what was looked at, and its exit code, which fits them. Whether this machine's
    clock is kept right is not ours to say."""
    import json
    began = time.time()
    code, out, err = lab.ask("doctor", "--json", name=name)
    check(time.time() - began < 20, "it is bounded in time")
    lines = json.loads(out)
    check(code == (0 if all(l["ok"] for l in lines) else 1), f"ended with {code}: {out}{err}")
    return [l for l in lines if l["check"] != "clock"]


def of(lines, kind):
    return [l for l in lines if l["check"] == kind]


def all_well(lines):
    bad = [l for l in lines if not l["ok"]]
    check(not bad, f"nothing is to be done: {bad}")


def told(lines, kind, what, todo):
    """One line of this kind is not good, and says so with what to do."""
    bad = [l for l in of(lines, kind) if not l["ok"]]
    check(len(bad) == 1, f"one line of {kind} is to be mended: {lines}")
    check(re.search(what, bad[0]["what"]) and re.search(todo, bad[0]["todo"]), f"{bad}")


def dns(lab):
    p = lab.start("pbx", [
        "dnsmasq", "--keep-in-foreground", "--no-resolv", "--no-hosts", "--no-daemon",
        "--bind-interfaces", "--listen-address=10.99.0.2", "--except-interface=lo", "--user=root",
        "--pid-file=", "--local=/test/", "--srv-host=_sip._udp.sip.test,a.test,5060,10,1",
        "--host-record=a.test,10.99.0.2"], "dns.log")
    wait_for("dnsmasq", 5, lambda: "started" in lab.text("dns.log"))
    return p


def scenario(lab):
    folder = f"/etc/netns/{lab.ns['gw']}"
    os.makedirs(folder, exist_ok=True)
    atexit.register(shutil.rmtree, folder, True)
    with open(f"{folder}/resolv.conf", "w", encoding="utf-8") as f:
        f.write("nameserver 10.99.0.2\n")
    dns(lab)
    file = lab.write("kamailio.cfg", KAMAILIO)
    pbx = lab.start("pbx", ["kamailio", "-DD", "-E", "-f", file, "-m", "64", "-M", "8", "-Y",
                            lab.dir, "-P", lab.path("kamailio.pid")], "kamailio.log")
    config = lab.edge(probe="1s").replace('"10.99.0.2:5060"', '"sip.test"')
    good = lab.write("gw.toml", config)
    wait_for("the PBX answers", 10, lambda: of(examine(lab), "options")[0]["ok"])
    # Before anything runs.
    lines = examine(lab)
    all_well(lines)
    check("10.99.0.2:5060 udp" in of(lines, "names")[0]["what"], f"the name is known: {lines}")
    check("SRV _sip._udp.sip.test: 1 record" in of(lines, "names")[0]["what"], f"{lines}")
    check("answers 200 OK" in of(lines, "options")[0]["what"], f"it answers: {lines}")
    check("no NAT" in of(lines, "options")[0]["what"], f"and sees us as we are: {lines}")
    check("reached from 10.99.0.1" in of(lines, "route")[0]["what"], f"the way: {lines}")
    check("1500 octets" in of(lines, "mtu")[0]["what"], f"its width: {lines}")
    check("none runs here" in of(lines, "gateway")[0]["what"], f"nothing runs: {lines}")
    check(not os.path.exists(lab.path("state")), "nothing is made")
    # Beside a gateway that runs.
    gw = lab.gateway(config)
    lines = examine(lab)
    all_well(lines)
    check("fit for calls" in of(lines, "gateway")[0]["what"], f"it runs: {lines}")
    check("held by the portreeve that runs" in of(lines, "ports")[0]["what"], f"its ports: {lines}")
    code, out, _ = lab.ask("doctor")
    check(re.search("(?m)^ok    options        10.99.0.2:5060 udp .pbx. answers 200 OK", out), out)
    check(lab.stop(gw) == 0, "SIGTERM ends with code 0")
    # A name that is wrong.
    lab.write("name.toml", config.replace('"sip.test"', '"sipp.test"'))
    lines = examine(lab, "name")
    told(lines, "names", r"found nowhere \(NAPTR sipp.test: none", "spelled")
    check(of(lines, "options") == [], "there is nobody to ask")
    # One of several that is wrong does not hide behind the others.
    both = config.replace('address = "sip.test"', 'targets = ["sip.test", "sipp.test:5060"]')
    lab.write("both.toml", both)
    lines = examine(lab, "both")
    told(lines, "names", r"found nowhere \(A/AAAA sipp.test: none", "spelled")
    check([l["ok"] for l in of(lines, "options")] == [True], f"the other one answers: {lines}")
    # A port that is taken.
    other = lab.start("gw", [sys.executable, "-c", "import socket, time\n"
                             "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                             "s.bind(('10.17.0.1', 5060))\nprint('bound', flush=True)\n"
                             "time.sleep(60)"], "other.log")
    wait_for("the port is taken", 5, lambda: "bound" in lab.text("other.log"))
    told(examine(lab), "ports", r"udp 10.17.0.1:5060 is in use by python3?\S* \(pid \d+\)", "stop it")
    lab.stop(other)
    # A NAT on the way.
    ns = lab.ns["gw"]
    sh(f"ip -n {ns} addr add 10.99.0.9/24 dev out")
    sh(["ip", "netns", "exec", ns, "nft", "add table ip nat; add chain ip nat out "
        "{ type nat hook postrouting priority 100; }; add rule ip nat out "
        "ip saddr 10.99.0.1 meta l4proto udp snat to 10.99.0.9"])
    told(examine(lab), "options", "sees us as 10.99.0.9: there is a NAT", 'advertise = "10.99.0.9"')
    sh(["ip", "netns", "exec", ns, "nft", "delete table ip nat"])
    # A PBX that is stuck, and one that is gone.
    os.killpg(pbx.pid, signal.SIGSTOP)
    told(examine(lab), "options", "no answer in 3 s", "is it up.*know 10.99.0.1.*firewall")
    os.killpg(pbx.pid, signal.SIGKILL)
    pbx.wait(5)
    told(examine(lab), "options", "nothing listens there", "start it")
    # A file that is wrong.
    lab.write("wrong.toml", config + "nonsense = 1\n")
    code, out, err = lab.ask("doctor", name="wrong")
    check(code == 78 and "nonsense" in err and out.startswith("TODO  configuration"), out + err)
    check(os.path.exists(good), "no file is touched")


run(scenario)
