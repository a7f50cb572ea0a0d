#!/usr/bin/env python3
"""Media turned against the gate: descriptions that name its own ports, the call's and others', from
either side, at the begin of a call and within it, and a spiral that is none; strangers' packets at
every port. Nothing circles, and nothing is heard that no party sent."""
from field import *


def sent_by_us(field):
    return field.metric("portreeve_media_sent_packets_total")


def sent_by_parties(field):
    return sum(s.sequence for s in field.streams)


def nothing_circles(field, ticks=25):
    """A packet of a party leaves at most once a pass and leg."""
    ours, theirs = sent_by_us(field), sent_by_parties(field)
    field.audio(ticks)
    ours, theirs = sent_by_us(field) - ours, sent_by_parties(field) - theirs
    check(ours <= 4 * theirs + 100, f"{theirs} packets of parties became {ours}")


def own_ports(field):
    """A phone's call, then its re-INVITEs that name relay ports: 488 each, the call goes on as it was."""
    p = field.phone("103")
    call = p.call("900")
    check(call.answer.status == 200, call.answer.start)
    far = field.pbx.dialog(call)
    inside, outside = call.answer.media(), far.invite.media()
    others = field.standing.answer.media()
    beyond = field.far.invite.media()
    names = [inside, outside, (inside[0], inside[1] + 1), others, beyond, (inside[0], 20398)]
    for ip, port in names:
        answer = call.ask("INVITE", call.media.sdp(2, ip=ip, port=port))
        check(answer.status == 488, f"{ip}:{port}: {answer.start}")
    for ip, port in (inside, outside):
        # Where RTCP may not go, none is sent.
        answer = call.ask("INVITE", call.media.sdp(2, more=f"a=rtcp:{port} IN IP4 {ip}\r\n"))
        check(answer.status in (200, 488), f"a=rtcp {ip}:{port}: {answer.start}")
        report = struct.pack(">BBHI", 0x80, 201, 1, call.media.ssrc)
        for party in (call, far):
            for _ in range(20):
                field.send(party.media.rtcp, report, (party.media.remote[0], party.media.remote[1] + 1))
        nothing_circles(field)
        # Within the media section, and by the other number of the pair.
        own = f"c=IN IP4 {ip}\r\n"
        body = call.media.sdp(2, port=port).replace("a=rtpmap", own + "a=rtpmap")
        answer = call.ask("INVITE", body)
        check(answer.status == 488, f"c= of the stream {ip}:{port}: {answer.start}")
        answer = call.ask("UPDATE", call.media.sdp(2, ip=ip, port=port))
        check(answer.status == 488, f"UPDATE {ip}:{port}: {answer.start}")
    nothing_circles(field)
    before = call.media.heard.get(far.media.ssrc, 0)
    wait_for("the attacker's own call is as it was", 20,
             lambda: call.media.heard.get(far.media.ssrc, 0) > before + 5)
    # The same from the outside party.
    for ip, port in (outside, inside, beyond):
        answer = far.ask("INVITE", far.media.sdp(2, ip=ip, port=port))
        check(answer.status == 488, f"from outside {ip}:{port}: {answer.start}")
    nothing_circles(field)
    check(call.bye().status == 200, "BYE")
    for ip, port in (others, beyond, (outside[0], 20396)):
        early = p.call("900", Media(field, "p3", p.ip).sdp(ip=ip, port=port))
        check(early.answer.status == 488, f"INVITE {ip}:{port}: {early.answer.start}")


def both_ends(field):
    """Caller and callee work together: each names a port of the gateway in the first exchange."""
    p = field.phone("103")

    def with_our_port(m):
        if m.method == "INVITE" and m.user() == "901":
            ip, port = m.media()
            body = Media(field, "pbx", PBX).sdp(ip=ip, port=port)
            field.pbx.reply(m, 200, body, to=m.one("To") + ";tag=evil")
            return True
        return m.method == "ACK" and m.user() == "901"

    field.pbx.on_request = with_our_port
    call = p.call("901")
    field.pbx.on_request = None
    check(call.answer.status == 488, f"an answer with the call's own port: {call.answer.start}")
    nothing_circles(field)


def false_spiral(field):
    """A party that knows a Call-ID and a port is no other pass of that call: only what was sealed
    joins two passes."""
    p = field.phone("103")
    call = p.call("900")
    check(call.answer.status == 200, call.answer.start)
    far = field.pbx.dialog(call)
    target = field.pbx.contact("103")
    ip, port = far.invite.media()
    other = field.pbx.call(target, far.media.sdp(ip=ip, port=port), call_id=call.call_id,
                           peer="<sip:103@pbx.test>")
    check(other.answer.status in (482, 488), f"its port, the same Call-ID: {other.answer.start}")
    nothing_circles(field)
    check(call.bye().status == 200, "BYE")


def strangers_packets(field):
    """Every relay port gets packets from a neighbour and from an outside host."""
    for ns, ip, to in (("p3", "10.17.0.40", "10.17.0.1"), ("p1", "10.17.0.21", "10.17.0.1"),
                       ("pbx", "10.99.0.66", "10.99.0.1"), ("pbx", PBX, "10.99.0.1")):
        with field.udp(ns, ip) as s:
            for n in range(6):
                for port in range(20000, 20400):
                    field.send(s, struct.pack(">BBHII", 0x80, 0, n, n, 0xbadbad) + bytes(160), (to, port))
    field.only_each_other()
    nothing_circles(field)


run(lambda f: f.config(), {"own ports": own_ports, "both ends": both_ends,
                           "false spiral": false_spiral, "strangers' packets": strangers_packets})
