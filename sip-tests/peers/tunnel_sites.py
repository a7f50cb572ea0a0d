#!/usr/bin/env python3
"""A head office gets one more site by a reload: it connects at once, and its phone calls one of the
site that was there. Taken out again it is cut off, and let in again
when it stands in the file again, all without a restart."""
from lab import *
from tunnel import begin, call, hang_up, keygen, site

LAN = "10.17.0.7"


def seoul(lab, key):
    """The other site's gateway, beside the first one's."""
    sh(f"ip -n {lab.ns['gw']} addr add {LAN}/24 dev in")
    text = site(lab, key).replace("berlin", "seoul").replace("10.17.0.1", LAN)
    for folder in ("site", "audit"):
        text = text.replace(f'"{lab.path(folder)}"', f'"{lab.path("seoul-" + folder)}"')
    text = text.replace("[log]", '[http]\nlisten = "off"\n[log]')
    os.makedirs(lab.path("seoul-site"), exist_ok=True)
    return lab.start("gw", [BINARY, "run", "-c", lab.write("seoul.toml", text)], "seoul.log")


def reloaded(lab, office, text, word):
    before = lab.text("office.log").count(word)
    lab.write("office.toml", text)
    office.send_signal(signal.SIGHUP)
    wait_for(f"reloaded: {word}", 5, lambda: lab.text("office.log").count(word) > before)


def scenario(lab):
    _, office = begin(lab)
    wait_for("the first site", 10, lambda: "tunnel office: connected" in lab.text("gw.log"))
    a, b = [Phone(lab, user, f"10.17.0.{n}", hz, lan, f"secret-{user}", outbound=lan,
                  domain="pbx.test")
            for user, n, hz, lan in (("101", 21, 440, "10.17.0.1"), ("102", 22, 1000, LAN))]
    a.registered()
    # The key stands where the site's gateway looks for it; it is not let in before it is known.
    mine = keygen(lab, "seoul-site")
    process = seoul(lab, keygen(lab, "office"))
    time.sleep(2)
    check("tunnel office: connected" not in lab.text("seoul.log"), "nobody knows it yet")
    old = lab.text("office.toml")
    peer = f'[[peer]]\nname = "seoul"\nkey = "{mine}"\n'
    new = old.replace("[[peer]]", peer + "[[peer]]", 1)
    reloaded(lab, office, new, "peer.seoul (added)")
    up = lambda: lab.text("seoul.log").count("tunnel office: connected")
    wait_for("the new site", 10, up)
    b.registered()
    call(b, a)
    time.sleep(4)
    hang_up(b, a)
    check(a.heard(1000) > 2.5, f"101 heard 102 for {a.heard(1000)} s")
    check(b.heard(440) > 2.5, f"102 heard 101 for {b.heard(440)} s")
    check("needs a restart" not in lab.text("office.log"), "nothing waits for a restart")

    # Out of the file, and in again.
    reloaded(lab, office, old, "interface.seoul.peer_key")
    wait_for("it is cut off", 3, lambda: "believed no longer" in lab.text("seoul.log"))
    time.sleep(3)
    check(up() == 1, "and does not come back")
    check(lab.text("gw.log").count("tunnel office: connected") == 1, "the first one stays")
    reloaded(lab, office, new, "interface.seoul.peer_key")
    wait_for("it is let in again", 10, lambda: up() == 2)
    call(a, b)
    time.sleep(1)
    hang_up(a, b)
    check(process.poll() is None and office.poll() is None, "all of it without a restart")


if __name__ == "__main__":
    run(scenario)
