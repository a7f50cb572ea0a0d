#!/usr/bin/env python3
"""A site whose only way out is an HTTP proxy: nothing but TCP to a Squid that asks for user and
password leaves its gateway, and its phones call by the head office all the same. The Squid is
restarted within a call; then UDP is let through, and the tunnel moves to it within a call. Where the
proxy refuses, or lets too few connections through, the log says so."""
import json

from lab import *
from tunnel import arrivals, begin, call, hang_up, keygen, longest_gap

sys.path.insert(0, os.path.join(HERE, "../tunnel"))
from behind import (BASIC, DIGEST, PROXY, account, connected, pair, squid,  # noqa: E402
                    wall)


def doctor(lab, name="gw"):
    """What `doctor` says of the tunnel: its lines, by how they begin, and the paragraph for others."""
    began = time.time()
    _, out, err = lab.ask("doctor", "--json", name=name)
    check(time.time() - began < 20, "it is bounded in time")
    lines = json.loads(out)
    letters = [l["what"] for l in lines if l["check"] == "letter"]
    check(len(letters) == 1, f"one letter: {out}{err}")
    return [l for l in lines if l["check"] == "tunnel"], letters[0]


def told(lines, begins, what, ok=None):
    """One line begins so, and says that."""
    found = [l for l in lines if l["what"].startswith(f"office: {begins}")]
    check(len(found) == 1, f"one line of {begins}: {lines}")
    check(re.search(what, f"{found[0]['what']}: {found[0]['todo']}"), f"{what} in {found[0]}")
    check(ok is None or found[0]["ok"] == ok, f"{begins} is {'good' if ok else 'to be mended'}: {lines}")


def no_way_out(lab):
    """No way leads out: UDP and TCP are refused here, and the proxy forbids it."""
    lines, letter = doctor(lab)
    told(lines, "UDP (QUIC) to", "10.99.0.2:443 .udp.: this machine may not send there: .*nft", False)
    told(lines, "TCP to", "10.99.0.2:443 .tcp.: no answer", False)
    told(lines, "proxy", "it answers 403 .*: it forbids CONNECT: it has to allow CONNECT", False)
    for want in ("outbound UDP from 10.99.0.1 to 10.99.0.2 port 443",
                 "may not send there)",
                 f"CONNECT to 10.99.0.2:443 for 10.99.0.1 as user site through proxy {PROXY}:3128 "
                 "(today: "):
        check(want in letter, f"{want} in {letter}")
    check("s3cret" not in letter, letter)


def wants_a_password(lab):
    """The same site without an account, and with one that is wrong."""
    text = lab.text("gw.toml")
    nobody = re.sub("(?m)^proxy_(user|password_file) = .*\n", "", text)
    lab.write("who.toml", nobody)
    lines, letter = doctor(lab, "who")
    told(lines, "proxy", r"it asks who we are \(407: Digest\): set proxy_user", False)
    check("(today: proxy 10.99.0.3:3128: it asks who we are (407: Digest))" in letter, letter)
    wrong = lab.write("wrong-password", "wrong\n")
    os.chmod(wrong, 0o600)
    lab.write("wrong.toml", text.replace(lab.path("proxy-password"), wrong))
    lines, _ = doctor(lab, "wrong")
    told(lines, "proxy", r"it does not believe user and password \(407\)", False)
    # What no start could use is told by `config check` as well.
    os.chmod(wrong, 0o644)
    code, _, err = lab.ask("config", "check", name="wrong")
    check(code == 78 and "wrong-password: others may read this secret" in err, err)


def all_well(lab, udp):
    """With one way through nothing is to be mended, and what stands is not touched."""
    before = [connected(lab, by) for by in ("tcp", "quic")]
    lines, letter = doctor(lab)
    check(all(l["ok"] for l in lines), f"nothing is to be done: {lines}")
    told(lines, "our key is", "=$|=: None$", True)
    told(lines, "proxy", f"{PROXY}:3128: good", True)
    told(lines, "TLS through the proxy to", "10.99.0.2:443 .*: good", True)
    told(lines, "UDP (QUIC) to", "10.99.0.2:443: good" if udp else "may not send there")
    check("it works" in letter, letter)
    check(before == [connected(lab, by) for by in ("tcp", "quic")], "nothing was connected anew")


def strangers(lab):
    """Keys that do not fit are told at both ends, with the key that came."""
    text = lab.text("gw.toml")
    office = re.search('peer_key = "(.*)"', text).group(1)
    other = keygen(lab, "stranger")
    lab.write("stranger.toml", text.replace(
        "peer_key", f'key_file = "{lab.path("stranger/tunnel.key")}"\npeer_key'))
    lines, _ = doctor(lab, "stranger")
    for begins in ("UDP (QUIC) to", "TLS through the proxy to"):
        told(lines, begins, rf"our key is not known there \({re.escape(other)}\): .*\[\[peer\]\]", False)
    for by in ("udp", "tcp"):
        line = rf"a gateway at 10\.99\.0\.\d+:\d+ \({by}\) showed the key {re.escape(other)}, which is no \[\[peer\]\]"
        wait_for(f"the stranger in the head office's log ({by})", 5,
                 lambda: re.search(line, lab.text("office.log")))
    lab.write("mistaken.toml", text.replace(office, other))
    lines, _ = doctor(lab, "mistaken")
    for begins in ("UDP (QUIC) to", "TLS through the proxy to"):
        told(lines, begins, f"the head office shows the key {re.escape(office)}, and peer_key is "
             f"{re.escape(other)}: if it was changed there", False)
    line = rf"does not believe our key \({re.escape(office)}\): it belongs there in peer_key"
    wait_for("who does not believe it", 5, lambda: re.search(line, lab.text("office.log")))


def swallowed(lab):
    """Somebody on the way drops UDP without a word."""
    sh(["ip", "netns", "exec", lab.ns["pbx"], "nft", "add table inet way; add chain inet way in "
        "{ type filter hook input priority 0; }; add rule inet way in udp dport 443 drop"])
    lines, letter = doctor(lab)
    told(lines, "UDP (QUIC) to", "10.99.0.2:443 .udp.: no answer: let that port out", True)
    check("its answers back (today: 10.99.0.2:443 (udp): no answer)" in letter, letter)


def at_the_head_office(lab):
    """Its ports are its own, and somebody on this network alone finds them."""
    _, out, err = lab.ask("doctor", "--json", name="office", ns="pbx")
    lines = json.loads(out)
    for by in ("udp", "tcp"):
        what = f"{by} 10.99.0.2:443 is held by the portreeve that runs"
        check(any(l["what"] == what and l["ok"] for l in lines), f"{what}: {out}{err}")
    found = [l for l in lines if "sites call udp 443 and tcp 443 at 10.99.0.2" in l["what"]]
    check(len(found) == 1 and "hand udp 443 and tcp 443 on" in found[0]["todo"], out)
    check(not [l for l in lines if "no address of this machine" in l["what"]], out)


def hearing(lab, phones, since):
    """Packets of speech that have come to each since then."""
    return [sum(t > since for t in arrivals(lab.path(f"{p.user}.pcap"), p.ip)) for p in phones]


def scenario(lab):
    wall(lab)
    # A proxy that does not know the tunnel's port, and then lets two connections of a client through.
    proxy = squid(lab, BASIC, "squid0.log", more="acl other port 4443\nhttp_access deny !other")
    begin(lab, account(lab), listen='["udp:443", "tcp:443"]')
    why = f"not connected: .*proxy {PROXY}:3128: it answers 403"
    wait_for("why not, in the log", 20, lambda: re.search(why, lab.text("gw.log")))
    check("in clear (Basic)" not in lab.text("gw.log"), "nobody asked for a password")
    no_way_out(lab)
    lab.stop(proxy, 2)
    proxy = squid(lab, BASIC, "squid.log", more="acl many maxconn 2\nhttp_access deny many")
    wait_for("the tunnel", 20, lambda: connected(lab, "tcp"))
    few = "not all of its 3 connections by TCP are there"
    wait_for("that it has too few connections", 5, lambda: few in lab.text("gw.log"))
    check(lab.text("gw.log").count("in clear (Basic)") == 1, "the password is shown, and that is told")
    a, b = phones = pair(lab)
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
    wants_a_password(lab)
    all_well(lab, udp=False)
    hang_up(a, b)

    # UDP is let through: the tunnel moves within the call, and nobody is asked anything anew.
    wall(lab, udp=True)
    # A tone lasts for a minute: it is asked for 30 s after TCP began, and tried out for 15 s.
    begun = time.time()
    all_well(lab, udp=True)
    time.sleep(max(0, begun + 15 - time.time()))
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
    said = "\n".join(re.findall("20..-..-..T.*tunnel office: .*", lab.text("gw.log")))
    check(len(ended) == 1, f"one end, that of the restarted proxy: {ended}\n{said}")
    check(min(hearing(lab, phones, moved)) > 120, "and it goes on by QUIC")
    check(min(hearing(lab, phones, back)) > 120, "and by the proxy")
    for phone, hz in zip(phones, (1000, 440)):
        check(phone.heard(hz) > 8, f"{phone.user} heard the other for {phone.heard(hz)} s")
    for phone in phones:
        check(lab.text(phone.log).count("Call established") == 2, f"{phone.user} had two calls")
        check(lab.text(phone.log).count("terminated") == 2, f"{phone.user}'s ended once each")
    wall(lab, udp=True)
    strangers(lab)
    at_the_head_office(lab)
    swallowed(lab)


if __name__ == "__main__":
    run(scenario)
