#!/usr/bin/env python3
"""Digests turned against who gives them: challenges in our realm by a callee and by a trunk, replays
from another host, guesses by the thousand. The gateway is the registrar here; nobody's proof reaches
anybody else, and nobody is locked out by another's guesses."""
from field import *

REALM = "portreeve"


def named(answer):
    return [c for c in answer.all("WWW-Authenticate") + answer.all("Proxy-Authenticate")]


def own_realm(field):
    """A callee and the PBX ask the caller for credentials of our realm: he never hears of it, and what
    he sends of his own accord goes nowhere."""
    thief = field.phone("103")
    proof = ("Authorization", f'Digest username="101", realm="{REALM}", nonce="n", uri="sip:x", response="r"')
    proxy = ("Proxy-Authorization", proof[1])
    for party, number in ((thief, "103"), (field.pbx, "900")):
        for status, header in ((401, "WWW-Authenticate"), (407, "Proxy-Authenticate")):
            for value in (f'Digest realm="{REALM}", nonce="evil", algorithm=MD5',
                          f'Digest realm="{REALM}",nonce="evil", qop="auth"',
                          f'DIGEST nonce="evil", REALM="{REALM}"',
                          f'Digest realm="\\p{REALM[1:]}", nonce="evil"',
                          f'Digest realm="x.test", nonce="good", Digest realm="{REALM}", nonce="evil"'):
                party.on_request = lambda m: m.method == "ACK" or m.method == "INVITE" and (
                    party.reply(m, status, more=[(header, value)]) or True)
                call = field.a.call(number)
                check(call.answer.status >= 400, call.answer.start)
                check(not any("evil" in c for c in named(call.answer)),
                      f"{number} {status} {value}: {named(call.answer)}")
        party.on_request = None
        for more in ([proof], [proxy], [proof, proxy]):
            for method in ("MESSAGE", "INVITE"):
                since = len(party.got)
                if method == "INVITE":
                    call = field.a.call(number, more=more)
                    if call.answer.status < 300:
                        call.ask("INFO", more=more)
                        call.bye()
                else:
                    field.a.ask(method, number, more)
                for m in party.got[since:]:
                    check(REALM.encode() not in m.raw, f"{number} got {m.raw[:600]}")
    # The PBX's own realm is its own affair.
    field.pbx.on_request = lambda m: m.method == "INVITE" and "good" not in str(m.headers) and (
        field.pbx.reply(m, 407, more=[("Proxy-Authenticate", 'Digest realm="pbx.test", nonce="good"')])
        or True)
    call = field.a.call("900")
    check(call.answer.status == 407 and "good" in str(named(call.answer)), call.answer.start)
    proof = credentials(challenge_of(call.answer), "101", "x", "INVITE", f"sip:900@{field.a.domain}", False,
                        header="Proxy-Authorization")
    call = field.a.call("900", more=[proof])
    check(call.answer.status == 200, call.answer.start)
    check(call.bye().status == 200, "it ends")


def replays(field):
    """What 101 proved once, sent from another host and again from its own: no second binding."""
    uri, own = f"sip:{field.a.domain}", f"<sip:101@{field.a.domain}>"
    thief = Party(field, "p3", "10.17.0.40", "101", domain=field.a.domain)
    again = Party(field, "p1", "10.17.0.21", "101", 5070, domain=field.a.domain)
    for qop in (False, True):
        call_id, tag = token(), token(4)
        contact = [("Contact", "<sip:101@10.17.0.21:5060>"), ("Expires", "600")]
        kw = dict(own=f"{own};tag={tag}", peer=own, call_id=call_id)
        answer = field.a.ask("REGISTER", uri, contact, **kw)
        check(answer.status == 401, answer.start)
        proof = credentials(challenge_of(answer), "101", field.password, "REGISTER", uri, qop)
        answer = field.a.ask("REGISTER", uri, contact + [proof], cseq=2, **kw)
        # Without qop a phone may have to ask again, with it not.
        check(answer.status == 200 or not qop and answer.status in (400, 401, 403), answer.start)
        for party in (thief, again):
            for names in (kw, dict(kw, call_id=token())):
                stolen = [("Contact", f"<sip:101@{party.ip}:{party.port}>"), ("Expires", "600"), proof]
                answer = party.ask("REGISTER", uri, stolen, cseq=3, **names)
                check(answer.status != 200, f"qop {qop}: a replay from {party.ip}:{party.port} is taken")
    call = field.b.call("101")
    check(call.answer.status == 200, f"101 is called: {call.answer.start}")
    check(call.bye().status == 200, "it ends")
    check(not thief.requests() and not again.requests(), "a thief's phone rang")


def guesses(field):
    """3,000 guesses at 102's password from one host and from a dozen; 102 itself is never kept out."""
    uri, own = f"sip:{field.a.domain}", f"<sip:102@{field.a.domain}>"
    pool = [Party(field, "p3", f"10.17.0.{30 + n}", "102", 5080, domain=field.a.domain)
            for n in range(12)]

    def guess(party, challenge, n):
        contact = ("Contact", f"<sip:102@{party.ip}:5080>")
        proof = credentials(challenge, "102", f"guess{n}", "REGISTER", uri, count=n + 1)
        party.put(party.outside_dialog("REGISTER", uri, [contact, proof], cseq=n + 2,
                                       own=f"{own};tag={token(4)}", peer=own))

    challenges = []
    for party in pool:
        answer = party.ask("REGISTER", uri, [("Contact", f"<sip:102@{party.ip}:5080>")],
                           own=f"{own};tag=g", peer=own)
        challenges.append(challenge_of(answer))
    check(all(challenges), f"each of them is asked: {challenges}")
    for n in range(3000):
        who = 0 if n < 1500 else n % 12
        guess(pool[who], challenges[who], n)
        if n % 50 == 49:
            time.sleep(0.005)
        if n == 1500:
            check(field.b.register().status == 200, "102 registers amid guesses")
    check(field.metric("portreeve_unheard_guesses_total") > 0, "guesses came, and were not compared")
    field.well("amid guesses")
    check(field.b.register().status == 200, "102 registers after guesses")
    check(field.a.register().status == 200, "101 registers after guesses")
    field.phone("104", "10.17.0.44")
    taken = [m.start for p in pool for m in p.got if m.status == 200]
    check(not taken, f"a guess is right: {taken}")


def password(field):
    """The site's password that was made is beyond guessing: 72 bits of a letter's alphabet or more."""
    check(len(field.password) >= 15 and len(set(field.password)) >= 6, "a short password")


LOCAL = """
[registrar]
mode = "local"
password_file = "{dir}/state/site-password"
"""
run(lambda f: f.config(extra=LOCAL.format(dir=f.dir)),
    {"own realm": own_realm, "replays": replays, "guesses": guesses, "password": password},
    domain="10.17.0.1")
