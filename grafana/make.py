#!/usr/bin/env python3
"""Writes grafana/dashboards/*.json from the tables below. Standard library only.

    grafana/make.py            writes
    grafana/make.py --check    says which file is not what this writes; exit code 1

Rules that sip-tests/grafana.rs holds every panel to: a unit, a description, the $datasource, no overlap,
names and labels that the catalogue has. The first colour of every scale is grey: what is not known
must not look good.
"""
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
GREY, GREEN, YELLOW, ORANGE, RED = "#8e8e8e", "#56a64b", "#f2cc0c", "#ff9830", "#e02f44"
BLUE, VIOLET, TEAL, BROWN = "#5794f2", "#b877d9", "#37a2a8", "#a16946"
SIDES = {"inside": BLUE, "outside": ORANGE}
OUTCOMES = {
    "answered": GREEN, "busy": "#8ab8ff", "no_answer": BLUE, "declined": "#3274d9",
    "cancelled": "#c0d8ff", "redirected": TEAL, "rerouted": TEAL, "not_found": YELLOW,
    "denied": VIOLET, "rejected": ORANGE, "failed": RED, "timeout": "#96172a", "no_capacity": BROWN,
}
G109 = {"best": "#37872d", "high": GREEN, "medium": YELLOW, "low": ORANGE, "poor": RED,
        "unusable": "#96172a", "unmeasured": GREY}
ON = 'instance=~"$instance"'


def steps(*pairs):
    """Grey for the unknown, then `(from, colour)`."""
    return {"mode": "absolute", "steps": [{"color": GREY, "value": None}]
            + [{"color": c, "value": v} for v, c in pairs]}


def bad_above(warn, bad):
    return steps((0, GREEN), (warn, ORANGE), (bad, RED))


def bad_below(bad, warn):
    return steps((0, RED), (bad, ORANGE), (warn, GREEN))


NEUTRAL = steps((0, BLUE))
NONE_IS_GOOD = steps((0, GREEN), (0.5, RED))


def target(expr, legend="", instant=False, fmt="time_series"):
    return {"expr": expr, "legendFormat": legend or "__auto", "instant": instant,
            "range": not instant, "format": fmt, "editorMode": "code"}


def now(expr, legend=""):
    return target(expr, legend, instant=True)


def colours(table):
    return [{"matcher": {"id": "byName", "options": name},
             "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": colour}}]}
            for name, colour in table.items()]


def panel(kind, title, description, unit, targets, options, defaults=None, overrides=()):
    for letter, t in zip("ABCDEFGH", targets):
        t["refId"] = letter
        t["datasource"] = {"type": "prometheus", "uid": "$datasource"}
    field = {"unit": unit, "noValue": "unknown"}
    field.update(defaults or {})
    return {
        "type": kind, "title": title, "description": description,
        "datasource": {"type": "prometheus", "uid": "$datasource"},
        "targets": targets, "options": options,
        "fieldConfig": {"defaults": field, "overrides": list(overrides)},
    }


def stat(title, description, unit, targets, thresholds=NEUTRAL, none="unknown", decimals=None,
         mappings=None, spark=True):
    defaults = {"thresholds": thresholds, "color": {"mode": "thresholds"}, "noValue": none}
    if decimals is not None:
        defaults["decimals"] = decimals
    if mappings:
        defaults["mappings"] = mappings
    options = {"colorMode": "background", "graphMode": "area" if spark else "none",
               "justifyMode": "auto", "textMode": "auto", "orientation": "auto",
               "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}}
    return panel("stat", title, description, unit, targets, options, defaults)


def lines(title, description, unit, targets, table=None, stacked=False, bars=False, legend="bottom",
          fill=10, minimum=0, maximum=None, decimals=None):
    custom = {"drawStyle": "bars" if bars else "line", "lineWidth": 0 if bars else 2,
              "fillOpacity": 90 if bars else (40 if stacked else fill), "showPoints": "never",
              "lineInterpolation": "linear", "spanNulls": False,
              "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
              "axisSoftMin": 0}
    defaults = {"custom": custom, "color": {"mode": "palette-classic"},
                "thresholds": steps((0, BLUE)), "noValue": "no data", "min": minimum}
    if maximum is not None:
        defaults["max"] = maximum
    if decimals is not None:
        defaults["decimals"] = decimals
    options = {"legend": {"displayMode": "list", "placement": legend or "bottom", "calcs": [],
                          "showLegend": bool(legend)},
               "tooltip": {"mode": "multi", "sort": "desc"}}
    return panel("timeseries", title, description, unit, targets, options, defaults,
                 colours(table or {}))


def bars(title, description, unit, targets, table=None, colour=BLUE, decimals=0):
    defaults = {"thresholds": steps((0, colour)), "color": {"mode": "fixed", "fixedColor": colour},
                "min": 0, "decimals": decimals, "noValue": "no data"}
    options = {"orientation": "horizontal", "displayMode": "basic", "valueMode": "color",
               "showUnfilled": True, "minVizHeight": 12, "minVizWidth": 8, "sizing": "auto",
               "namePlacement": "left",
               "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}}
    return panel("bargauge", title, description, unit, targets, options, defaults,
                 colours(table or {}))


def heat(title, description, unit, metric, side="", scheme="Oranges", reverse=False):
    chosen = f'side="{side}",' if side else ""
    expr = f"sum by (le) (increase({metric}_bucket{{{chosen}{ON}}}[$__rate_interval]))"
    options = {"calculate": False, "cellGap": 1, "legend": {"show": True},
               "color": {"mode": "scheme", "scheme": scheme, "steps": 64, "exponent": 0.5,
                         "reverse": reverse, "scale": "exponential", "fill": "dark-orange"},
               "filterValues": {"le": 1e-9}, "rowsFrame": {"layout": "auto"},
               "showValue": "never", "yAxis": {"axisPlacement": "left", "unit": unit,
                                               "reverse": False},
               "tooltip": {"mode": "single", "yHistogram": True}}
    return panel("heatmap", title, description, unit, [target(expr, "{{le}}", fmt="heatmap")],
                 options, {"custom": {"scaleDistribution": {"type": "linear"}},
                           "noValue": "no data"})


def states(title, description, targets, mappings, none):
    defaults = {"mappings": mappings, "color": {"mode": "thresholds"}, "noValue": none,
                "thresholds": steps((0, RED), (1, GREEN)),
                "custom": {"fillOpacity": 80, "lineWidth": 0, "spanNulls": False}}
    options = {"mergeValues": True, "showValue": "auto", "rowHeight": 0.85, "alignValue": "left",
               "legend": {"displayMode": "list", "placement": "bottom", "showLegend": False},
               "tooltip": {"mode": "single", "sort": "none"}}
    return panel("state-timeline", title, description, "none", targets, options, defaults)


def words(*pairs):
    """Value mappings: number → (word, colour); whatever is missing is told to be so, in grey."""
    table = {str(v): {"text": t, "color": c, "index": i} for i, (v, t, c) in enumerate(pairs)}
    return [{"type": "value", "options": table}]


def dashboard(uid, title, description, rows, span="6h", refresh="30s"):
    """`rows`: (height, [(width, panel) …]); 24 columns."""
    panels, y = [], 0
    for height, row in rows:
        x = 0
        for width, p in row:
            panels.append({"id": len(panels) + 1, "gridPos": {"h": height, "w": width, "x": x, "y": y},
                           **p})
            x += width
        assert x == 24, f"{title}: a row of {x} columns"
        y += height
    source = {"type": "prometheus", "uid": "$datasource"}
    variables = [
        {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus",
         "current": {}, "hide": 0, "includeAll": False, "multi": False, "refresh": 1, "regex": "",
         "options": []},
        {"name": "instance", "label": "Gateway", "type": "query", "datasource": source,
         "definition": "label_values(portreeve_build_info, instance)",
         "query": {"qryType": 1, "query": "label_values(portreeve_build_info, instance)",
                   "refId": "PrometheusVariableQueryEditor-VariableQuery"},
         "current": {"text": ["All"], "value": ["$__all"]}, "includeAll": True, "allValue": ".+",
         "multi": True, "hide": 0, "refresh": 2, "regex": "", "sort": 1, "options": []},
    ]
    links = [{"title": "portreeve", "type": "dashboards", "tags": ["portreeve"], "asDropdown": False,
              "includeVars": True, "keepTime": True, "targetBlank": False, "icon": "dashboard",
              "tooltip": "", "url": ""}]
    return {
        "uid": uid, "title": title, "description": description, "tags": ["portreeve"],
        "schemaVersion": 39, "version": 1, "editable": True, "graphTooltip": 1, "refresh": refresh,
        "time": {"from": f"now-{span}", "to": "now"}, "timezone": "browser", "weekStart": "",
        "fiscalYearStartMonth": 0, "liveNow": False, "links": links,
        "annotations": {"list": [{
            "builtIn": 1, "datasource": {"type": "grafana", "uid": "-- Grafana --"}, "enable": True,
            "hide": True, "iconColor": "rgba(0, 211, 255, 1)", "name": "Annotations & Alerts",
            "type": "dashboard"}]},
        "templating": {"list": variables}, "panels": panels,
    }


def site():
    rate = "[$__rate_interval]"
    return dashboard("portreeve-site", "portreeve: Site", "One screen: is it up, do calls go through, "
                     "do people hear each other?", [
        (4, [
            (3, stat("Phones registered", "Bindings now.", "short",
                     [target(f"sum(portreeve_active_registrations{{{ON}}})")],
                     steps((0, ORANGE), (1, BLUE)), decimals=0)),
            (3, stat("Calls now", "Ringing and talking.", "short",
                     [target(f"sum(portreeve_active_calls{{{ON}}})")], decimals=0)),
            (3, stat("ASR, 30 min", "Answered / attempts (ITU-T E.411). Calls that our own policy "
                     "refused are no attempts. People who do not answer lower it: watch its change.",
                     "percentunit", [target(f"avg(instance:portreeve_asr:ratio30m{{{ON}}})")],
                     bad_below(0.3, 0.5), none="no calls", decimals=0)),
            (3, stat("NER, 30 min", "Calls that the network delivered, whatever the called person "
                     "did, / attempts (ITU-T E.425).", "percentunit",
                     [target(f"avg(instance:portreeve_ner:ratio30m{{{ON}}})")],
                     bad_below(0.9, 0.95), none="no calls", decimals=0)),
            (3, stat("Ringing after, p95", "Post-dial delay of 30 minutes: INVITE to ringing.", "s",
                     [target("max(instance:portreeve_post_dial_delay_seconds:p95_30m"
                             f"{{{ON}}} >= 0)")],
                     bad_above(3, 8), none="no calls")),
            (3, stat("Poor speech, 10 min", "Rated 10 s windows at or below MOS 3.6, by the side they "
                     "came from: its network is at fault.", "percentunit",
                     [target(f"max by (side) (instance_side:portreeve_poor_speech:ratio10m{{{ON}}})",
                             "{{side}}")], bad_above(0.05, 0.1), none="no speech", decimals=0)),
            (3, stat("Relay ports taken", "Ports in calls, of the pool (media.ports).",
                     "percentunit",
                     [target("max by (side) (instance_side:portreeve_media_ports_taken:ratio"
                             f"{{{ON}}})", "{{side}}")],
                     bad_above(0.6, 0.8), decimals=0)),
            (3, stat("Alerts firing", "Of rules.yml. Grey: Prometheus has not loaded the rules.",
                     "short",
                     [now(f'count(ALERTS{{alertname=~"Portreeve.*",alertstate="firing",{ON}}}) or '
                          f"0 * count(instance_side:portreeve_media_ports_taken:ratio{{{ON}}})")],
                     NONE_IS_GOOD, none="no rules", decimals=0, spark=False)),
        ]),
        (4, [
            (9, states("Upstream", "The last OPTIONS probe was answered. A gap: nothing was scraped. "
                        "No row: not probed yet, or not at all.",
                        [target(f"max by (upstream) (portreeve_upstream_up{{{ON}}})",
                                "{{upstream}}")],
                        words((0, "down", RED), (1, "up", GREEN)), "not probed")),
            (3, stat("Alone for", "No target of an upstream answers: phones of the site call each "
                     "other. The longest, of all upstreams.", "s",
                     [target(f"max(portreeve_upstream_alone_seconds{{{ON}}})")], NONE_IS_GOOD,
                     mappings=words((0, "not alone", GREEN)), decimals=0, spark=False)),
            (3, stat("New calls", "Draining: new calls get 503, those that are up go on.", "none",
                     [target(f"max(portreeve_draining{{{ON}}})")], steps((0, GREEN), (0.5, ORANGE)),
                     mappings=words((0, "admitted", GREEN), (1, "draining", ORANGE)), spark=False)),
            (3, stat("Audit records lost", "In the chosen time: commits that failed and records that "
                     "could not be kept.", "short",
                     [now(f"sum(increase(portreeve_audit_write_failures_total{{{ON}}}[$__range]))"
                          " + sum(increase(portreeve_audit_suppressed_records_total"
                          f"{{{ON}}}[$__range]))")], NONE_IS_GOOD, decimals=0, spark=False)),
            (3, stat("Audit volume", "Full: with audit.on_full = \"refuse-calls\" new calls get 503.",
                     "none", [target(f"max(portreeve_audit_full{{{ON}}})")], NONE_IS_GOOD,
                     mappings=words((0, "has room", GREEN), (1, "full", RED)), spark=False)),
            (3, stat("Running for", "Since the youngest start; every start ends calls.", "dtdurations",
                     [target(f"time() - max(process_start_time_seconds{{{ON}}})")],
                     steps((0, ORANGE), (600, BLUE)), decimals=0, spark=False)),
        ]),
        (9, [
            (4, bars("Calls by outcome", "Attempts with a final answer in the chosen time. denied: our own "
                     "policy; no_capacity: our own limits; failed, timeout: the other end or the way "
                     "to it.", "short",
                     [now(f"sum by (outcome) (increase(portreeve_calls_total{{{ON}}}[$__range]))",
                          "{{outcome}}")], OUTCOMES)),
            (8, lines("Calls a minute", "The colours are those of Calls by outcome.", "short",
                      [target(f"60 * sum by (outcome) (rate(portreeve_calls_total{{{ON}}}{rate}))",
                              "{{outcome}}")], OUTCOMES, stacked=True, bars=True, legend="")),
            (6, lines("Ringing and talking", "Calls now: early and confirmed.", "short",
                      [target(f"sum by (state) (portreeve_active_calls{{{ON}}})", "{{state}}")],
                      {"early": YELLOW, "confirmed": GREEN}, decimals=0)),
            (6, lines("Poor speech by side", "Share of rated windows at or below MOS 3.6 over 10 "
                      "minutes; no line: nothing was rated.", "percentunit",
                      [target(f"max by (side) (instance_side:portreeve_poor_speech:ratio10m{{{ON}}})",
                              "{{side}}")], SIDES, maximum=1)),
        ]),
        (9, [
            (8, bars("Denials by rule", "What policy refused in the chosen time.", "short",
                     [now("topk(10, sum by (rule) (increase(portreeve_policy_decisions_total"
                          f'{{action="deny",{ON}}}[$__range])))', "{{rule}}")], colour=VIOLET)),
            (8, bars("Findings", "What was found wrong with calls in the chosen time; each once a "
                     "call. The log has a sentence for each.", "short",
                     [now("sum by (finding) (increase(portreeve_call_findings_total"
                          f"{{{ON}}}[$__range]))", "{{finding}}")], colour=ORANGE)),
            (8, lines("REGISTER by result", "A minute. challenged is how digest works; failed: the "
                      "upstream did not serve.", "short",
                      [target("60 * sum by (result) (rate(portreeve_registration_requests_total"
                              f"{{{ON}}}{rate}))", "{{result}}")],
                      {"accepted": GREEN, "challenged": BLUE, "refused": ORANGE,
                       "limited": YELLOW, "failed": RED})),
        ]),
    ])


def call_quality():
    rate = "[$__rate_interval]"
    both = [("inside", "from the phones"), ("outside", "from the PBX or trunk")]

    def pair(title, text, unit, metric, **kw):
        return [(12, heat(f"{title} {where}", f"{text} Colour: how many windows.", unit, metric,
                          side, **kw)) for side, where in both]

    def quantile(q, metric, span="$__range"):
        return (f"histogram_quantile({q}, sum by (side, le) (increase({metric}_bucket"
                f"{{{ON}}}[{span}])))")

    return dashboard("portreeve-quality", "portreeve: Call quality", "How good is what people hear, and "
                     "whose network is at fault? Every figure is of packets as they arrived from a "
                     "side.", [
        (4, [
            (5, stat("MOS, median", "Of 10 s windows in the chosen time (ITU-T G.107).", "none",
                     [now(quantile(0.5, "portreeve_media_mos") + " >= 0", "{{side}}")],
                     bad_below(3.1, 3.6), none="no speech", decimals=1, spark=False)),
            (5, stat("Poor speech, 10 min", "Rated windows at or below MOS 3.6.", "percentunit",
                     [target(f"max by (side) (instance_side:portreeve_poor_speech:ratio10m{{{ON}}})",
                             "{{side}}")], bad_above(0.05, 0.1), none="no speech", decimals=0)),
            (5, stat("Unmeasured, 10 min", "Speech windows without a rating: what the other figures "
                     "do not speak of.", "percentunit",
                     [target("max by (side) (instance_side:portreeve_unmeasured_speech:ratio10m"
                             f"{{{ON}}})", "{{side}}")],
                     bad_above(0.2, 0.5), none="no speech", decimals=0)),
            (5, stat("Round trip, p95", "Gateway to a party and back, by RTCP, in the chosen time.", "s",
                     [now(quantile(0.95, "portreeve_media_round_trip_seconds") + " >= 0",
                          "{{side}}")],
                     bad_above(0.15, 0.3), none="no RTCP", decimals=0, spark=False)),
            (4, stat("Streams now", "Relayed media streams.", "short",
                     [target(f"sum(portreeve_active_media_streams{{{ON}}})")], decimals=0)),
        ]),
        (7, pair("MOS", "Speech by the E-model; 4.34 satisfied, 3.6 many dissatisfied, 2.58 nearly "
                 "all.", "none", "portreeve_media_mos", scheme="Blues")),
        (7, pair("Loss", "Missing / expected packets a window.", "percentunit",
                 "portreeve_media_loss_ratio", scheme="Reds")),
        (7, pair("Jitter", "Interarrival jitter (RFC 3550). Above 0.03 s phones begin to lose "
                 "packets.", "s", "portreeve_media_jitter_seconds", scheme="Oranges")),
        (7, pair("Round trip", "By RTCP reports; none without RTCP or with SRTCP.", "s",
                 "portreeve_media_round_trip_seconds", scheme="Purples")),
        (5, [
            (7, states("Tunnels", "A connection carries the tunnel. No row: no interface is one.",
                       [target(f"max by (tunnel) (portreeve_tunnel_up{{{ON}}})", "{{tunnel}}")],
                       words((0, "down", RED), (1, "up", GREEN)), "no tunnel")),
            (6, lines("Tunnels: there and back", "By QUIC; by TCP what the two gateways tell each other each "
                      "second takes.", "s",
                      [target(f"max by (tunnel) (portreeve_tunnel_round_trip_seconds{{{ON}}})",
                              "{{tunnel}}")], legend="")),
            (6, lines("Tunnels: lost", "Of their QUIC packets, the worse direction.", "percentunit",
                      [target("max by (tunnel) (sum by (tunnel, direction) (rate("
                              f"portreeve_tunnel_lost_packets_total{{{ON}}}{rate})) / sum by (tunnel, "
                              f"direction) (rate(portreeve_tunnel_packets_total{{{ON}}}{rate})))",
                              "{{tunnel}}")], legend="")),
            (5, lines("Tunnels by TCP", "How many go by TCP, where QUIC does not get through.",
                      "short",
                      [target(f'sum(portreeve_tunnel_bearer{{bearer="tcp",{ON}}})', "by TCP")],
                      legend="", decimals=0)),
        ]),
        (8, [
            (8, bars("Calls by quality", "Ended calls of the chosen time by the ITU-T G.109 category of "
                     "their worse direction.", "short",
                     [now("sum by (category) (increase(portreeve_call_quality_total"
                          f'{{category="{c}",{ON}}}[$__range]))', "{{category}}")
                      for c in G109], G109, colour=GREY)),
            (8, lines("Unmeasured windows", "Why windows have no rating: a minute, by reason.", "short",
                      [target("60 * sum by (reason) (rate(portreeve_media_unmeasured_windows_total"
                              f"{{{ON}}}{rate}))", "{{reason}}")],
                      {"no_packets": GREY, "too_few": YELLOW, "unknown_codec": ORANGE,
                       "not_speech": TEAL}, stacked=True)),
            (8, lines("Packets lost", "Missing by sequence number, a second, by the side they should "
                      "have come from.", "pps",
                      [target(f"sum by (side) (rate(portreeve_media_lost_packets_total{{{ON}}}{rate}))",
                              "{{side}}")], SIDES)),
        ]),
        (8, [
            (8, lines("Not relayed, by reason", "Packets a second that came and were dropped here. "
                      "early: before an answer said whom to expect.", "pps",
                      [target("sum by (side, reason) (rate(portreeve_media_dropped_packets_total"
                              f"{{{ON}}}{rate}))", "{{side}} {{reason}}")])),
            (8, lines("Packets relayed", "RTP and RTCP a second, by the side they came from.", "pps",
                      [target("sum by (side, protocol) (rate("
                              f"portreeve_media_received_packets_total{{{ON}}}{rate}))",
                              "{{side}} {{protocol}}")],
                      {"inside rtp": BLUE, "outside rtp": ORANGE, "inside rtcp": "#8ab8ff",
                       "outside rtcp": YELLOW})),
            (8, lines("Own delay", "What the gateway itself adds: media from the kernel's receive stamp "
                      "until it was sent (one packet in 256), SIP from the queue until its last "
                      "effect.", "s",
                      [target(f"histogram_quantile({q}, sum by (le) (rate({metric}_bucket"
                              f"{{{ON}}}{rate})))", f"{what} {name}")
                       for what, metric in (("media", "portreeve_media_relay_delay_seconds"),
                                            ("SIP", "portreeve_sip_processing_seconds"))
                       for q, name in ((0.5, "median"), (0.99, "p99"))],
                      {"media median": BLUE, "media p99": ORANGE, "SIP median": TEAL,
                       "SIP p99": VIOLET})),
        ]),
        (8, [
            (6, lines("Signalling delays", "Ringing: INVITE to ringing (PDD, RFC 6076 SRD); hanging up: "
                      "BYE to its answer (SDD); registering (RRD). Over 30 minutes.", "s",
                      [target(f"histogram_quantile({q}, sum by (le) (rate("
                              f"portreeve_{metric}_seconds_bucket{{{ON}}}[30m])))", name)
                       for q, metric, name in (
                           (0.5, "post_dial_delay", "ringing, median"),
                           (0.95, "post_dial_delay", "ringing, p95"),
                           (0.95, "disconnect_delay", "hanging up, p95"),
                           (0.95, "registration_delay", "registering, p95"))],
                      {"ringing, median": BLUE, "ringing, p95": ORANGE, "hanging up, p95": VIOLET,
                       "registering, p95": TEAL})),
            (6, lines("Mean call", "Answer to end of calls that ended within 30 minutes (ACD, mean RFC "
                      "6076 SDT). It falls where people hang up on bad calls.", "s",
                      [target("sum by (direction) (rate(portreeve_call_duration_seconds_sum"
                              f"{{{ON}}}[30m])) / (sum by (direction) (rate("
                              f"portreeve_call_duration_seconds_count{{{ON}}}[30m])) > 0)",
                              "{{direction}}")],
                      {"outbound": BLUE, "inbound": GREEN, "internal": VIOLET})),
            (6, lines("How calls end", "Answered calls a minute, by who or what ended them.", "short",
                      [target("60 * sum by (reason) (rate(portreeve_call_ends_total"
                              f"{{{ON}}}{rate}))", "{{reason}}")],
                      {"caller": GREEN, "callee": BLUE, "media_timeout": RED, "timeout": ORANGE,
                       "error": "#96172a", "admin": VIOLET, "shutdown": GREY}, stacked=True,
                      bars=True)),
            (6, lines("Phones' own reports", "Voice quality reports (RFC 6035) a minute.", "short",
                      [target(f"60 * sum by (result) (rate(portreeve_vq_reports_total{{{ON}}}{rate}))",
                              "{{result}}")], {"accepted": GREEN, "refused": ORANGE})),
        ]),
    ], span="3h")


def security():
    rate = "[$__rate_interval]"

    def total(metric, chosen=""):
        inner = ",".join(x for x in (chosen, ON) if x)
        return now(f"sum(increase({metric}{{{inner}}}[$__range]))")

    notable = steps((0, BLUE), (0.5, ORANGE))
    return dashboard("portreeve-security", "portreeve: Security and audit", "Who tries what, what was "
                     "refused, is every record kept, and does the machine keep up?", [
        (4, [
            (4, stat("Denied by policy", "Verdicts in the chosen time.", "none",
                     [total("portreeve_policy_decisions_total", 'action="deny"')], notable,
                     decimals=0, spark=False)),
            (4, stat("Security events", "In the chosen time; each has its record in the audit log.",
                     "none", [total("portreeve_security_events_total")], notable, decimals=0,
                     spark=False)),
            (4, stat("Wrong passwords", "At the local registrar, in the chosen time. A PBX's own "
                     "digest passes end to end and is not judged here.", "none",
                     [total("portreeve_security_events_total", 'class="bad_password"')], notable,
                     decimals=0, spark=False)),
            (4, stat("Media from strangers", "Packets in the chosen time that came to relay ports from "
                     "addresses no SDP named; none was relayed.", "none",
                     [total("portreeve_media_dropped_packets_total", 'reason="unknown_source"')],
                     notable, decimals=0, spark=False)),
            (4, stat("Audit records written", "In the chosen time.", "none",
                     [total("portreeve_audit_records_total")], decimals=0, spark=False)),
            (4, stat("Audit records lost", "Failed commits and suppressed records in the chosen time.",
                     "short",
                     [now(f"sum(increase(portreeve_audit_write_failures_total{{{ON}}}[$__range]))"
                          " + sum(increase(portreeve_audit_suppressed_records_total"
                          f"{{{ON}}}[$__range]))")], NONE_IS_GOOD, decimals=0, spark=False)),
        ]),
        (8, [
            (12, lines("Events by class", "By class, a minute, as in the audit log.", "short",
                       [target("60 * sum by (class) (rate(portreeve_security_events_total"
                               f"{{{ON}}}{rate}))", "{{class}}")],
                       {"bad_password": RED, "false_from": BROWN, "in_dialog_source": ORANGE,
                        "leak_removed": TEAL, "malformed": YELLOW, "media_refused": VIOLET,
                        "media_stranger": BLUE, "challenge_refused": GREEN, "banned": "#96172a",
                        "back_off": "#c0d8ff"},
                       stacked=True, bars=True)),
            (12, lines("Denials by rule", "A minute.", "short",
                       [target("60 * sum by (rule) (rate(portreeve_policy_decisions_total"
                               f'{{action="deny",{ON}}}{rate}))', "{{rule}}")], stacked=True,
                       bars=True)),
        ]),
        (8, [
            (8, bars("Verdicts by rule", "Of the chosen time, allowed and denied: a rule that never "
                     "decides is perhaps behind another.", "short",
                     [now("topk(12, sum by (rule, action) (increase("
                          f"portreeve_policy_decisions_total{{{ON}}}[$__range])))",
                          "{{rule}}: {{action}}")])),
            (8, lines("SIP refused unread", "A minute, by side and reason: malformed, looping, too "
                      "large, outside a dialog.", "short",
                      [target("60 * sum by (side, reason) (rate("
                              f"portreeve_sip_rejected_messages_total{{{ON}}}{rate}) > 0)",
                              "{{side}} {{reason}}")], stacked=True, bars=True)),
            (8, lines("Media not relayed", "Packets a second, by side and reason.", "pps",
                      [target("sum by (side, reason) (rate(portreeve_media_dropped_packets_total"
                              f"{{{ON}}}{rate}))", "{{side}} {{reason}}")])),
        ]),
        (7, [
            (4, stat("Banned now", "Sources of which nothing is read; portreeve bans names them.", "none",
                     [now(f"sum(portreeve_active_bans{{{ON}}})")], notable, decimals=0, spark=False)),
            (8, lines("What made sources suspect", "Signals a minute, by kind.", "short",
                      [target("60 * sum by (signal) (rate(portreeve_guilt_signals_total"
                              f"{{{ON}}}{rate}))", "{{signal}}")],
                      {"failed_digest": RED, "forged_nonce": VIOLET, "scanner": ORANGE,
                       "non_sip": YELLOW, "unknown_user": BLUE, "false_from": BROWN},
                      stacked=True, bars=True)),
            (6, lines("Guesses", "A minute: pauses that began after a wrong password, and credentials "
                      "that were compared with nothing.", "short",
                      [target(f"60 * sum(rate(portreeve_back_offs_total{{{ON}}}{rate}))", "pauses"),
                       target(f"60 * sum(rate(portreeve_unheard_guesses_total{{{ON}}}{rate}))",
                              "not compared")],
                      {"pauses": ORANGE, "not compared": BLUE})),
            (6, lines("Kept out", "A second: messages of banned sources, requests of sources that "
                      "asked for too much at once, and bans that began.", "short",
                      [target(f"sum(rate(portreeve_banned_messages_total{{{ON}}}{rate}))", "banned"),
                       target(f"sum(rate(portreeve_slowed_requests_total{{{ON}}}{rate}))", "slowed"),
                       target(f"sum(rate(portreeve_bans_total{{{ON}}}{rate}))", "bans begun")],
                      {"banned": "#96172a", "slowed": YELLOW, "bans begun": RED})),
        ]),
        (8, [
            (6, lines("REGISTER by result", "A minute.", "short",
                      [target("60 * sum by (result) (rate(portreeve_registration_requests_total"
                              f"{{{ON}}}{rate}))", "{{result}}")],
                      {"accepted": GREEN, "challenged": BLUE, "refused": ORANGE,
                       "limited": YELLOW, "failed": RED})),
            (6, lines("Audit log", "Records a second, written and lost.", "short",
                      [target(f"sum(rate(portreeve_audit_records_total{{{ON}}}{rate}))", "written"),
                       target(f"sum(rate(portreeve_audit_write_failures_total{{{ON}}}{rate}))",
                              "commits failed"),
                       target(f"sum(rate(portreeve_audit_suppressed_records_total{{{ON}}}{rate}))",
                              "lost")],
                      {"written": GREEN, "commits failed": ORANGE, "lost": RED})),
            (6, lines("SIP requests", "A second, by side.", "reqps",
                      [target(f"sum by (side) (rate(portreeve_sip_requests_total{{{ON}}}{rate}))",
                              "{{side}}")], SIDES)),
            (6, lines("SIP trouble", "A second: received again, given up, dropped at the socket.",
                      "short",
                      [target(f"sum(rate(portreeve_sip_retransmissions_total{{{ON}}}{rate}))",
                              "retransmitted"),
                       target(f"sum(rate(portreeve_sip_timeouts_total{{{ON}}}{rate}))", "timed out"),
                       target(f"sum(rate(portreeve_sip_socket_drops_total{{{ON}}}{rate}))",
                              "dropped")],
                      {"retransmitted": YELLOW, "timed out": ORANGE, "dropped": RED})),
        ]),
        (7, [
            (12, lines("Fullest tables", "Share of its places that is held; what nobody proved gives way at "
                      "90 %, all others find none at 100 %.", "percentunit",
                      [target(f"topk(5, max by (resource) (portreeve_share_used{{{ON}}}"
                              f" / (portreeve_share_places{{{ON}}} > 0)))", "{{resource}}")])),
            (12, lines("No room", "A minute: who found no place, and what gave way for others.", "short",
                      [target("60 * sum by (resource) (rate(portreeve_share_refusals_total"
                              f"{{{ON}}}{rate}))", "{{resource}} refused"),
                       target("60 * sum by (resource) (rate(portreeve_share_displaced_total"
                              f"{{{ON}}}{rate}))", "{{resource}} gave way")],
                      stacked=True, bars=True)),
        ]),
        (7, [
            (6, lines("Processor", "Cores of this process.", "short",
                      [target(f'rate(process_cpu_seconds_total{{job="portreeve",{ON}}}{rate})',
                              "{{instance}}")], decimals=2)),
            (6, lines("Memory", "Resident.", "bytes",
                      [target(f'process_resident_memory_bytes{{job="portreeve",{ON}}}',
                              "{{instance}}")])),
            (6, lines("Open files", "Share of the most that may be open; a call needs four sockets.",
                      "percentunit",
                      [target(f'process_open_fds{{job="portreeve",{ON}}}'
                              f' / process_max_fds{{job="portreeve",{ON}}}', "{{instance}}")])),
            (6, lines("Tables", "Transactions, dialogs and stream connections now.", "short",
                      [target(f"sum by (kind) (portreeve_active_transactions{{{ON}}})",
                              "{{kind}} transactions"),
                       target(f"sum(portreeve_active_dialogs{{{ON}}})", "dialogs"),
                       target(f"sum(portreeve_active_connections{{{ON}}})", "connections")],
                      decimals=0)),
        ]),
        (6, [
            (12, bars("Certificates end", "Time that each certificate still holds: of an interface, of us "
                      "as a client, of an upstream as it was seen last. Nothing: nobody speaks TLS.",
                      "dtdurations",
                      [now(f"min by (of, name) (portreeve_certificate_expiry_timestamp_seconds{{{ON}}})"
                           " - time()", "{{of}} {{name}}")], colour=BLUE)),
            (12, bars("TLS handshakes failed", "In the chosen time, by reason; docs/TLS.md says what to do.",
                      "short",
                      [now("sum by (reason) (increase(portreeve_tls_failures_total"
                           f"{{{ON}}}[$__range]))", "{{reason}}")], colour=ORANGE)),
        ]),
    ])


def main():
    check = "--check" in sys.argv[1:]
    old = []
    for name, board in (("site", site()), ("call_quality", call_quality()),
                        ("security", security())):
        path = os.path.join(HERE, "dashboards", name + ".json")
        text = json.dumps(board, indent=1, ensure_ascii=False) + "\n"
        if check:
            try:
                with open(path, encoding="utf-8") as f:
                    same = f.read() == text
            except FileNotFoundError:
                same = False
            if not same:
                old.append(path)
        else:
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
    if old:
        sys.exit("old: " + ", ".join(old) + " (grafana/make.py writes them)")


if __name__ == "__main__":
    main()
