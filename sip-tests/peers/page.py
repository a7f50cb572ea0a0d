#!/usr/bin/env python3
"""The page in a real browser during a real call: opens by its link, names nobody without it, shows
the figures of `calls show`, hears of what changes, and draws hostile names harmlessly."""
from browser import Browser, axe
from lab import *

HOSTILE = "<img src=x onerror=\"document.title='owned'\">\u202e\u0001</text><script>document.title='owned'</script>"
PAGE = "http://127.0.0.1:8060"
PICTURES = os.environ.get("PICTURES")


def scenario(lab):
    lab.write("state/x", "")
    config = f"""
site = {{ name = "branch-17" }}
[[interface]]
name = "lan"
side = "inside"
address = "10.17.0.1"
[registrar]
mode = "local"
digest = false
password_file = "{lab.dir}/state/site-password"
[media]
ports = "20000-20199"
[limits]
calls = 50
[state]
dir = "{lab.dir}/state"
[audit]
dir = "{lab.dir}/audit"
[[rule]]
name = "no premium"
side = "inside"
number = ["+1900*", "1900*"]
deny = {{ code = 403 }}
"""
    gw = lab.gateway(config)
    check(oct(os.stat(lab.path("state/page-token")).st_mode & 0o777) == "0o600", "the token's mode")
    link = lab.told("page")["link"]
    check(link.startswith(f"{PAGE}/?token="), link)
    nobody(lab)
    a = Phone(lab, "101", "10.17.0.21", 440, "10.17.0.1", "x")
    b = Phone(lab, "102", "10.17.0.22", 660, "10.17.0.1", "x")
    a.registered()
    b.registered()
    hostile(lab)
    browser = Browser(lab, "gw")
    try:
        look(lab, browser, link, a)
    finally:
        browser.close()
    lab.stop(a.process)
    lab.stop(b.process)
    check(lab.stop(gw) == 0, "SIGTERM ends with code 0")
    again(lab, config)


def curl(lab, path, *more):
    return sh(["ip", "netns", "exec", lab.ns["gw"], "curl", "-s", "-i", *more, PAGE + path])


def nobody(lab):
    """Without the token nothing is named, whatever is asked for."""
    for path in ("/", "/last", "/calls/1", "/calls/x", "/book", "/events?view=now", "/?token=wrong"):
        told = curl(lab, path)
        check(" 401 " in told.splitlines()[0], f"{path}: {told[:80]}")
        check("branch-17" not in told and "portreeve page" in told, f"{path} names nobody: {told}")
        head = told.lower()
        for header in ("content-security-policy: default-src 'none'", "cache-control: no-store",
                       "x-content-type-options: nosniff", "referrer-policy: no-referrer"):
            check(header in head, f"{path}: {header}")
        check("access-control" not in head and "set-cookie" not in head, f"{path}: {told}")
    check(" 405 " in curl(lab, "/", "-X", "POST").splitlines()[0], "nothing can be posted")
    check(" 421 " in curl(lab, "/", "-H", "Host: evil.test").splitlines()[0], "no other name")
    check(" 200 " in curl(lab, "/", "-I", "-H", "Host: localhost").splitlines()[0]
          or " 401 " in curl(lab, "/", "-I").splitlines()[0], "HEAD is answered")


def hostile(lab):
    """A phone that calls itself something else, and a call that a rule denies."""
    code = """
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("10.17.0.23", 5060)); s.settimeout(2)
def send(method, uri, more):
    s.sendto((f"{method} {uri} SIP/2.0\\r\\nVia: SIP/2.0/UDP 10.17.0.23:5060;branch=z9hG4bK{method}\\r\\n"
      f"Max-Forwards: 70\\r\\nFrom: \\"x\\" <sip:103@10.17.0.1>;tag=a\\r\\nTo: <{uri if method == 'INVITE' else 'sip:103@10.17.0.1'}>\\r\\n"
      f"Call-ID: {method}@x\\r\\nCSeq: {int(time.time())} {method}\\r\\nContact: <sip:103@10.17.0.23:5060>\\r\\n{more}"
      "Content-Length: 0\\r\\n\\r\\n").encode(), ("10.17.0.1", 5060))
    while True:
        answer = s.recv(65536).decode(errors="replace").splitlines()[0]
        if " 1" not in answer[7:9]:
            print(answer); return
send("REGISTER", "sip:10.17.0.1", "Expires: 300\\r\\nUser-Agent: " + sys.argv[1] + "\\r\\n")
send("INVITE", "sip:1900555@10.17.0.1", "")
"""
    visible = HOSTILE.replace("\u0001", "")
    told = sh(["ip", "netns", "exec", lab.ns["p3"], sys.executable, "-c", code, visible])
    check("200" in told and "403" in told, f"registered and denied: {told}")


def figures(call):
    """What `calls show --json` says of each leg's MOS, in the page's words."""
    legs = [call["streams"][0][who].get("total", {}).get("mos") for who in ("caller", "callee")]
    return [f"{mos:.2f}" for mos in legs if mos is not None]


def look(lab, browser, link, a):
    browser.open(link)
    check(browser.url() == PAGE + "/", f"the token is out of the address line: {browser.url()}")
    text = browser.text()
    check("No call is under way." in text and "3\nregistered" in text.replace(" ", ""), text)
    check("branch-17 is running" in text and "baresip" in text, text)
    check("\\u{202e}" in text and browser.run("return document.title") != "owned", text)
    check(browser.run("return document.querySelectorAll('main img, main script').length") == 0,
          "what somebody calls himself is no element")
    a.call("sip:102@10.17.0.1")
    wait_for("the call appears by itself", 40, lambda: "in call" in browser.text())
    check(browser.run("return document.getElementById('live').textContent") == "live", "it is live")
    time.sleep(13)
    number = lab.told("calls")["calls"][0]["call"]
    browser.open(f"{PAGE}/calls/{number}")
    wanted = lambda: figures(lab.told("calls", "show", str(number)))
    wait_for("the page has the figures of calls show", 20, lambda: len(wanted()) == 2 and all(
        f in browser.text() for f in wanted()))
    ladder = browser.run("return document.querySelector('svg.ladder').textContent")
    for word in ("INVITE", "100 Trying", "200", "ACK", "first packet from the caller"):
        check(word in ladder, f"{word} in {ladder}")
    check("10.17.0.1" in browser.run("return document.getElementById('hops').textContent"),
          "what was changed is written out")
    check(browser.run("return document.querySelectorAll('rect.bar').length") >= 4, "windows as bars")
    pictures(browser, "call")
    browser.open(f"{PAGE}/book")
    text = browser.text()
    check("no premium" in text and "1900555" in text, text)
    check("geheim" not in text and lab.text("state/page-token").strip() not in text, "no secret")
    pictures(browser, "book")
    browser.open(PAGE + "/")
    pictures(browser, "now")
    rules(lab, browser, number)
    browser.open(f"{PAGE}/calls/{number}")
    a.hangup()
    wait_for("the end appears by itself", 40, lambda: "ended by caller" in browser.text())
    wait_for("with its figures", 40, lambda: len(wanted()) == 2 and all(
        f in browser.text() for f in wanted()))
    check("BYE" in browser.run("return document.querySelector('svg.ladder').textContent"), "its BYE")
    _, told, _ = lab.ask("calls", "--last")
    check(f"{number} " in told and "by the caller" in told, told)
    without_script(browser)
    errors = [e for e in browser.ask("POST", "/se/log", {"type": "browser"})
              if e["level"] == "SEVERE" and "401" not in e["message"]]
    check(not errors, f"the browser complains of nothing: {errors}")


def pictures(browser, name):
    for width in (390, 1280):
        for scheme in ("light", "dark"):
            browser.look(width, scheme)
            wide = browser.run("return document.documentElement.scrollWidth")
            check(wide <= width, f"{name} at {width}: nothing sticks out ({wide})")
            if PICTURES:
                browser.picture(os.path.join(PICTURES, f"{name}-{width}-{scheme}.png"))
                browser.picture(os.path.join(PICTURES, f"top-{name}-{width}-{scheme}.png"), False)


def rules(lab, browser, number):
    """No fault that axe-core finds, light and dark."""
    source = axe(lab)
    if source is None:
        print("axe-core cannot be had from npm here: its rules were not tried")
        return
    for path in ("/", f"/calls/{number}", "/book"):
        for scheme in ("light", "dark"):
            browser.open(PAGE + path)
            browser.look(1280, scheme)
            browser.evaluate(source + ";0")
            found = browser.evaluate(
                "axe.run().then(r => r.violations.map(v => v.id + ': ' + v.nodes.slice(0, 3).map("
                "n => n.html.slice(0, 160)).join(' | ')))")
            check(found == [], f"{path} {scheme}: {found}")


def without_script(browser):
    browser.dev("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(PAGE + "/last")
    text = browser.ask("POST", "/element", {"using": "css selector", "value": "body"})
    text = browser.ask("GET", f"/element/{list(text.values())[0]}/text")
    check("ended by caller" in text and "UTC" in text, text)
    browser.dev("Emulation.setScriptExecutionDisabled", value=False)


def again(lab, config):
    """After a restart numbers go on, and the link is the same."""
    before = [r["call"] for r in lab.audit() if r["kind"] == "call_attempt"]
    link = lab.text("state/page-token")
    gw = lab.gateway(config, name="gw2")
    check(lab.text("state/page-token") == link, "the link holds")
    hostile(lab)
    check(lab.stop(gw) == 0, "SIGTERM ends with code 0")
    after = [r["call"] for r in lab.audit() if r["kind"] == "call_attempt"]
    check(len(after) == len(before) + 1, f"{before} {after}")
    check(len(set(after)) == len(after), f"no number twice: {after}")
    check(after[-1] == max(before) + 1, f"and none left out after a stop: {after}")


run(scenario)
