#!/usr/bin/env python3
"""Draws the dashboards from a Prometheus as SVG, so that their layout is seen without Grafana.

    grafana/draw.py http://127.0.0.1:9090 [--out DIR] [--span 6h] [--end UNIX] [--scrape 15s]
                    [--instance REGEX] [BOARD.json ...]

Standard library only. Places, units, colours, thresholds and queries are the JSON's. What a query does
not answer is drawn grey with the panel's own word for it, as Grafana does.
"""
import argparse
import html
import json
import math
import os
import re
import sys
import time
import urllib.parse
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
COLUMN, ROW, GAP = 66, 38, 8
PALETTE = ["#73bf69", "#f2cc0c", "#8ab8ff", "#ff780a", "#f2495c", "#5794f2", "#b877d9", "#705da0",
           "#37872d", "#fade2a", "#447ebc", "#c15c17", "#890f02", "#0a437c", "#6d1f62", "#584477"]
SCHEMES = {"Blues": (0x1b, 0x3a, 0x6b, 0x9e, 0xca, 0xff), "Reds": (0x5c, 0x14, 0x14, 0xff, 0x8a, 0x7a),
           "Oranges": (0x66, 0x33, 0x0a, 0xff, 0xb3, 0x57), "Purples": (0x3d, 0x24, 0x66, 0xd2, 0xb3, 0xff)}
TEXT, WEAK, GRID, PANEL, PAGE = "#d8d9da", "#8e9099", "#2c3235", "#1c1e22", "#111217"


# Queries -----------------------------------------------------------------------------------------

def seconds(text):
    number, unit = re.fullmatch(r"(\d+)(ms|s|m|h|d)", text).groups()
    return int(number) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}[unit]


def targets(board):
    """(panel, target) of a dashboard."""
    return [(p, t) for p in board["panels"] for t in p["targets"]]


def substitute(expr, instance=".+", span="6h", rate="1m"):
    """The query as Grafana would send it."""
    for name, value in (("$instance", instance), ("$__range", span), ("$__rate_interval", rate)):
        expr = expr.replace(name, value)
    if "$" in expr:
        raise ValueError(f"a variable is left in {expr}")
    return expr


class Prometheus:
    """The part of its HTTP API that panels use."""

    def __init__(self, url, timeout=20):
        self.url, self.timeout = url.rstrip("/"), timeout

    def ask(self, path, **params):
        data = urllib.parse.urlencode(params).encode() or None
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}", data, self.timeout) as r:
            return json.load(r)["data"]

    def instant(self, expr, at):
        """[(labels, value)]"""
        found = self.ask("query", query=expr, time=at)["result"]
        return [(s["metric"], float(s["value"][1])) for s in found]

    def range(self, expr, start, end, step):
        """[(labels, {time: value})]"""
        found = self.ask("query_range", query=expr, start=start, end=end, step=step)["result"]
        return [(s["metric"], {float(t): float(v) for t, v in s["values"]}) for s in found]


# Words -------------------------------------------------------------------------------------------

def number(value, decimals=None):
    if decimals is None:
        size = abs(value)
        decimals = 0 if size >= 100 or value == int(value) else (1 if size >= 10 else 2)
        if 0 < size < 0.1:
            decimals = min(6, 1 - math.floor(math.log10(size)))
        return f"{value:.{decimals}f}".rstrip("0").rstrip(".") if decimals else f"{value:.0f}"
    return f"{value:.{decimals}f}"


def scaled(value, decimals, base, names):
    at = 0
    while abs(value) >= base and at < len(names) - 1:
        value, at = value / base, at + 1
    return number(value, decimals) + names[at]


def shown(value, unit, decimals=None):
    """A value with its unit, as Grafana writes it."""
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞"
    if unit == "percentunit":
        return number(value * 100, decimals) + "%"
    if unit == "s":
        if value == 0 or abs(value) >= 1:
            return number(value, decimals) + " s"
        if abs(value) >= 0.001:
            return number(value * 1e3, decimals) + " ms"
        return number(value * 1e6, decimals) + " µs"
    if unit == "dtdurations":
        for size, name in ((86400, "days"), (3600, "hours"), (60, "min")):
            if value >= size:
                return f"{value / size:.1f} {name}"
        return f"{value:.0f} s"
    if unit == "bytes":
        return scaled(value, decimals, 1024, [" B", " KiB", " MiB", " GiB"])
    if unit in ("pps", "reqps"):
        return scaled(value, decimals, 1000, ["", "K", "M"]) + {"pps": " p/s", "reqps": " req/s"}[unit]
    if unit == "short":
        return scaled(value, decimals, 1000, ["", " K", " Mil", " Bil"])
    return number(value, decimals)


def name_of(labels, target):
    legend = target.get("legendFormat", "__auto")
    if legend == "__auto":
        rest = ", ".join(f"{k}={v}" for k, v in sorted(labels.items()) if k != "__name__")
        return rest or "Value"
    return re.sub(r"{{\s*(\w+)\s*}}", lambda m: labels.get(m.group(1), ""), legend)


def threshold(defaults, value):
    """The colour of a value; of nothing: the first."""
    steps = defaults["thresholds"]["steps"]
    colour = steps[0]["color"]
    if value is not None and not math.isnan(value):
        for step in steps[1:]:
            if value >= step["value"]:
                colour = step["color"]
    return colour


def mapped(defaults, value):
    """The word for a value, and its colour."""
    for mapping in defaults.get("mappings", []):
        found = mapping["options"].get(f"{value:g}")
        if found:
            return found["text"], found["color"]
    return None


def fixed(panel, name, index):
    """A series' colour: its override, the panel's, or the palette's."""
    for o in panel["fieldConfig"]["overrides"]:
        if o["matcher"]["options"] == name:
            return o["properties"][0]["value"]["fixedColor"]
    colour = panel["fieldConfig"]["defaults"].get("color", {})
    return colour.get("fixedColor") or PALETTE[index % len(PALETTE)]


# Ink ---------------------------------------------------------------------------------------------

def f(x):
    return f"{x:.1f}".rstrip("0").rstrip(".")


def width(text, size):
    return len(text) * size * 0.56


def cut(text, room, size):
    most = max(1, int(room / (size * 0.56)))
    return text if len(text) <= most else text[:most - 1] + "…"


class Ink:
    def __init__(self):
        self.out = []

    def rect(self, x, y, w, h, colour, **more):
        extra = "".join(f' {k.replace("_", "-")}="{v}"' for k, v in more.items())
        self.out.append(f'<rect x="{f(x)}" y="{f(y)}" width="{f(max(w, 0))}" '
                        f'height="{f(max(h, 0))}" fill="{colour}"{extra}/>')

    def text(self, x, y, text, size=12, colour=TEXT, anchor="", bold=False):
        more = (f' text-anchor="{anchor}"' if anchor else "") + (' font-weight="600"' if bold else "")
        self.out.append(f'<text x="{f(x)}" y="{f(y)}" font-size="{f(size)}" fill="{colour}"{more}>'
                        f"{html.escape(text, quote=False)}</text>")

    def path(self, points, colour, line=1.5, fill="none", opacity=1):
        """A line through points; relative steps keep the file small."""
        at, parts = points[0], [f"M{f(points[0][0])} {f(points[0][1])}l"]
        at = (round(at[0], 1), round(at[1], 1))
        for x, y in points[1:]:
            dx, dy = round(x - at[0], 1), round(y - at[1], 1)
            at = (at[0] + dx, at[1] + dy)
            parts.append(f"{f(dx)} {f(dy)} ")
        if len(points) == 1:
            parts.append("0.1 0")
        stroke = f' stroke="{colour}" stroke-width="{line}"' if line else ""
        if fill != "none":
            stroke += f' fill-opacity="{opacity}"'
        self.out.append(f'<path d="{"".join(parts).strip()}" fill="{fill}"{stroke}/>')

    def strokes(self, pieces, colour, wide):
        """Many short straight lines as one path: `(x, y, along, length)`, along `h` or `v`."""
        at, d = (0.0, 0.0), []
        for x, y, along, length in pieces:
            x, y, length = round(x, 1), round(y, 1), round(length, 1)
            d.append(f"m{f(x - at[0])} {f(y - at[1])}{along}{f(length)}")
            at = (x + length, y) if along == "h" else (x, y + length)
        if d:
            self.out.append(f'<path d="{"".join(d)}" stroke="{colour}" stroke-width="{f(wide)}"/>')

    def line(self, x1, y1, x2, y2, colour=GRID):
        self.out.append(f'<path d="M{f(x1)} {f(y1)}L{f(x2)} {f(y2)}" stroke="{colour}"/>')


def nice(top, most=5):
    """A round step so that `most` of them reach `top`."""
    raw = top / most
    power = 10 ** math.floor(math.log10(raw))
    return next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999)


# Panels ------------------------------------------------------------------------------------------

class Drawing:
    def __init__(self, board, prometheus, end, span, scrape, instance):
        self.board, self.prometheus, self.end = board, prometheus, end
        self.span, self.instance = span, instance
        self.start = end - seconds(span)
        self.step = max(1, round(seconds(span) / 120))
        self.rate = f"{max(self.step + scrape, 4 * scrape):.0f}s"
        # On whole steps, as Grafana asks.
        self.first = math.ceil(self.start / self.step) * self.step
        self.ink = Ink()

    def query(self, target):
        expr = substitute(target["expr"], self.instance, self.span, self.rate)
        if target["instant"]:
            return [(labels, {self.end: value})
                    for labels, value in self.prometheus.instant(expr, self.end)]
        return self.prometheus.range(expr, self.first, self.end, self.step)

    def series(self, panel):
        found = [(name_of(labels, t), points)
                 for t in panel["targets"] for labels, points in self.query(t)]
        return sorted(found, key=lambda s: s[0]) if panel["type"] == "stat" else found

    def svg(self):
        rows = max(p["gridPos"]["y"] + p["gridPos"]["h"] for p in self.board["panels"])
        w, h = 24 * COLUMN + GAP, rows * ROW + GAP + 40
        ink = self.ink
        ink.rect(0, 0, w, h, PAGE)
        ink.text(GAP + 4, 27, self.board["title"], 18, bold=True)
        when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(self.end))
        ink.text(w - GAP - 4, 27, f"last {self.span}, to {when}", 13, WEAK, "end")
        for p in self.board["panels"]:
            g = p["gridPos"]
            x, y = g["x"] * COLUMN + GAP, g["y"] * ROW + GAP + 32
            box = (x, y, g["w"] * COLUMN - GAP, g["h"] * ROW - GAP)
            ink.out.append(f"<g><title>{html.escape(p['description'], quote=False)}</title>")
            ink.rect(*box, PANEL, rx=2, stroke=GRID)
            ink.text(x + 8, y + 18, cut(p["title"], box[2] - 16, 13), 13, bold=True)
            draw = getattr(self, p["type"].replace("-", "_"))
            draw(p, (x + 8, y + 26, box[2] - 16, box[3] - 34), self.series(p))
            ink.out.append("</g>")
        return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w} {h}" width="{w}" '
                f'height="{h}" font-family="Inter,DejaVu Sans,Helvetica,sans-serif">'
                + "\n".join(ink.out) + "</svg>\n")

    def nothing(self, panel, box):
        x, y, w, h = box
        word = panel["fieldConfig"]["defaults"]["noValue"]
        self.ink.text(x + w / 2, y + h / 2 + 6, word, 16, WEAK, "middle")

    def stat(self, panel, box, series):
        d = panel["fieldConfig"]["defaults"]
        last = [(n, [v for v in p.values() if not math.isnan(v)], p) for n, p in series]
        x, y, w, h = box
        if not any(values for _, values, _ in last):
            self.ink.rect(x - 4, y - 2, w + 8, h + 6, threshold(d, None), fill_opacity=0.25)
            return self.nothing(panel, box)
        each = w / len(last)
        for i, (name, values, points) in enumerate(last):
            value = values[-1] if values else None
            text, colour = (shown(value, d["unit"], d.get("decimals")), threshold(d, value))
            if value is None:
                text = d["noValue"]
            text, colour = (mapped(d, value) if value is not None else None) or (text, colour)
            left = x + i * each
            self.ink.rect(left - 2, y - 2, each, h + 6, colour, fill_opacity=0.85)
            if panel["options"]["graphMode"] == "area" and len(values) > 1:
                self.spark((left - 2, y + h * 0.55, each, h * 0.45 + 4), points)
            named = len(last) > 1
            size = max(11, min(30, h * 0.42, each * 1.5 / max(2, len(text))))
            self.ink.text(left + each / 2 - 2, y + h * (0.68 if named else 0.6), text, size, "#fff",
                          "middle", True)
            if named:
                self.ink.text(left + each / 2 - 2, y + 15, cut(name, each, 11), 11, "#fff", "middle")

    def spark(self, box, points):
        x, y, w, h = box
        values = [v for v in points.values() if not math.isnan(v)]
        low, high = min(values), max(values)
        if high == low:
            return
        at = [(x + w * (t - self.start) / (self.end - self.start), y + h - h * (v - low) / (high - low))
              for t, v in points.items() if not math.isnan(v)]
        self.ink.path([(at[0][0], y + h)] + at + [(at[-1][0], y + h)], "", 0, "#fff", 0.22)

    def bargauge(self, panel, box, series):
        d = panel["fieldConfig"]["defaults"]
        x, y, w, h = box
        rows = [(n, next(iter(p.values()))) for n, p in series]
        if not rows:
            return self.nothing(panel, box)
        top = max([v for _, v in rows if not math.isnan(v)] + [1e-9])
        each = min(h / len(rows), 30)
        label = min(w * 0.45, max(width(n, 12) for n, _ in rows) + 10)
        room = w - label - 52
        for i, (name, value) in enumerate(rows):
            mid = y + i * each
            self.ink.text(x + label - 8, mid + each / 2 + 4, cut(name, label, 12), 12, TEXT, "end")
            self.ink.rect(x + label, mid + 3, room, each - 6, GRID)
            self.ink.rect(x + label, mid + 3, room * value / top, each - 6, fixed(panel, name, i))
            self.ink.text(x + w, mid + each / 2 + 4, shown(value, d["unit"], d.get("decimals")), 12,
                          TEXT, "end", True)

    def time_axis(self, box):
        x, y, w, h = box
        count = max(2, min(6, int(w / 90)))
        span = self.end - self.start
        form = "%H:%M:%S" if span < 900 else "%H:%M"
        for i in range(count):
            at = self.start + span * (i + 0.5) / count
            px = x + w * (at - self.start) / span
            self.ink.line(px, y, px, y + h)
            self.ink.text(px, y + h + 14, time.strftime(form, time.gmtime(at)), 10, WEAK, "middle")

    def legend(self, panel, box, series):
        """Draws it and returns the room that is left for the plot."""
        x, y, w, h = box
        d, o = panel["fieldConfig"]["defaults"], panel["options"]["legend"]
        names = [(n, fixed(panel, n, i), p) for i, (n, p) in enumerate(series)]
        if not o["showLegend"]:
            return x, y, w, h - 22
        rows, row, used = [], [], 0
        for item in names:
            need = width(item[0], 11) + 28
            if row and used + need > w:
                rows, row, used = rows + [row], [], 0
            row.append(item)
            used += need
        rows.append(row)
        rows = rows[:4]
        for r, row in enumerate(rows):
            at = x
            for name, colour, _ in row:
                base = y + h - (len(rows) - r - 1) * 15
                self.ink.rect(at, base - 5, 12, 3, colour)
                self.ink.text(at + 16, base, name, 11)
                at += width(name, 11) + 28
        return x, y, w, h - len(rows) * 15 - 22

    def timeseries(self, panel, box, series):
        d = panel["fieldConfig"]["defaults"]
        c = d["custom"]
        if not any(not math.isnan(v) for _, p in series for v in p.values()):
            return self.nothing(panel, box)
        x, y, w, h = self.legend(panel, box, series)
        y, h = y + 6, h - 6
        stacked = c["stacking"]["mode"] == "normal"
        times = sorted({t for _, p in series for t in p})
        values = [[p.get(t, math.nan) for t in times] for _, p in series]
        if stacked:
            tops = [sum(v[i] for v in values if not math.isnan(v[i])) for i in range(len(times))]
            top = max(tops)
        else:
            top = max(v for row in values for v in row if not math.isnan(v))
        # Octets are counted in powers of two.
        base = 1024 ** int(math.log(max(top, 1), 1024)) if d["unit"] == "bytes" else 1
        step = base * nice(max(top / base, 1 if d.get("decimals") == 0 else 1e-9) * 1.02)
        if d.get("decimals") == 0:
            step = max(1, math.ceil(step))
        if d.get("max") is not None:
            top = min(top, d["max"])
        high = step * max(1, math.ceil(top / step - 1e-9))
        if top <= 0:
            high = step = 1
        labels = [shown(i * step, d["unit"]) for i in range(round(high / step) + 1)]
        left = max(width(t, 10) for t in labels) + 8
        x, w = x + left, w - left
        for i, label in enumerate(labels):
            py = y + h - h * i * step / high
            self.ink.line(x, py, x + w, py)
            self.ink.text(x - 5, py + 3.5, label, 10, WEAK, "end")
        self.time_axis((x, y, w, h))
        place = (lambda t: x + w * (t - self.start) / (self.end - self.start),
                 lambda v: y + h - h * min(v, high) / high)
        self.marks(panel, series, times, values, place, w / max(1, (self.end - self.start) / self.step))

    def marks(self, panel, series, times, values, place, slot):
        c = panel["fieldConfig"]["defaults"]["custom"]
        px, py = place
        stacked = c["stacking"]["mode"] == "normal"
        base = [0.0] * len(times)
        for i, (name, _) in enumerate(series):
            colour = fixed(panel, name, i)
            under = base[:]
            if stacked:
                base = [b + (0 if math.isnan(v) else v) for b, v in zip(base, values[i])]
            if c["drawStyle"] == "bars":
                pieces = [(px(t), py(base[k]), "v", py(under[k]) - py(base[k]))
                          for k, t in enumerate(times) if not math.isnan(values[i][k])]
                self.ink.strokes([b for b in pieces if b[3] > 0.3], colour, max(slot * 0.84, 1))
                continue
            row = base if stacked else values[i]
            for run in runs(times, values[i], self.step):
                points = [(px(times[k]), py(row[k])) for k in run]
                floor = [(px(times[k]), py(under[k])) for k in reversed(run)]
                if len(run) > 1 and stacked:
                    self.ink.path(thin(points) + thin(floor), "", 0, colour, c["fillOpacity"] / 100)
                self.ink.path(thin(points), colour)

    def heatmap(self, panel, box, series):
        x, y, w, h = box
        unit = panel["options"]["yAxis"]["unit"]
        rows = sorted(((math.inf if n == "+Inf" else float(n)), p) for n, p in series)
        times = sorted({t for _, p in rows for t in p})
        grid, under = [], {t: 0.0 for t in times}
        for _, points in rows:
            # Buckets are cumulative; what is between two bounds is the difference.
            grid.append([max(0.0, points.get(t, 0.0) - under[t]) for t in times])
            under = {t: points.get(t, 0.0) for t in times}
        top = max([v for row in grid for v in row] + [0])
        if top <= 1e-9:
            return self.nothing(panel, box)
        labels = ["> " + shown(rows[-2][0], unit) if math.isinf(b) else shown(b, unit) for b, _ in rows]
        left = max(width(t, 10) for t in labels) + 8
        x, w, h = x + left, w - left, h - 34
        self.time_axis((x, y, w, h))
        each, slot = h / len(rows), w / max(1, (self.end - self.start) / self.step)
        a = SCHEMES[panel["options"]["color"]["scheme"]]

        def colour(share):
            return "#" + "".join(f"{round(a[i] + (a[i + 3] - a[i]) * share):02x}" for i in range(3))

        for i, row in enumerate(grid):
            py = y + h - (i + 1) * each
            self.ink.text(x - 5, py + each / 2 + 3.5, labels[i], 10, WEAK, "end")
            shades = {}
            for first, last, value in cells(row, top):
                px = x + w * (times[first] - self.start) / (self.end - self.start) - slot / 2
                px, wide = max(px, x), slot * (last - first + 1)
                shades.setdefault(value, []).append((px, py + each / 2, "h", min(wide, x + w - px)))
            for value, pieces in sorted(shades.items()):
                self.ink.strokes(pieces, colour(value), each - 1)
        for i in range(8):
            self.ink.rect(x + i * 15, y + h + 21, 15, 8, colour((i + 1) / 8))
        self.ink.text(x - 5, y + h + 29, "0", 10, WEAK, "end")
        self.ink.text(x + 126, y + h + 29, f"{number(top)} windows", 10, WEAK)

    def state_timeline(self, panel, box, series):
        d = panel["fieldConfig"]["defaults"]
        x, y, w, h = box
        if not series:
            return self.nothing(panel, box)
        left = min(w * 0.3, max(width(n, 12) for n, _ in series) + 10)
        x, w, h = x + left, w - left, h - 16
        self.time_axis((x, y, w, h))
        each = h / len(series)
        for i, (name, points) in enumerate(series):
            mid = y + i * each
            self.ink.text(x - 8, mid + each / 2 + 4, cut(name, left, 12), 12, TEXT, "end")
            times = sorted(points)
            for run in runs(times, [points[t] for t in times], self.step):
                at = 0
                while at < len(run):
                    stop = at
                    while stop + 1 < len(run) and points[times[run[stop + 1]]] == points[times[run[at]]]:
                        stop += 1
                    value = points[times[run[at]]]
                    begin, end = times[run[at]], min(times[run[stop]] + self.step, self.end)
                    word, colour = mapped(d, value) or (shown(value, d["unit"]), threshold(d, value))
                    px = x + w * (begin - self.start) / (self.end - self.start)
                    wide = w * (end - begin) / (self.end - self.start)
                    self.ink.rect(px, mid + each * 0.1, wide, each * 0.8, colour, fill_opacity=0.8)
                    if wide > width(word, 12) + 8:
                        self.ink.text(px + 6, mid + each / 2 + 4, word, 12, "#fff")
                    at = stop + 1


def runs(times, values, step):
    """Indexes of values without a gap."""
    out = []
    for i, (t, v) in enumerate(zip(times, values)):
        if math.isnan(v):
            continue
        if out and out[-1][-1] == i - 1 and t - times[i - 1] < step * 1.5:
            out[-1].append(i)
        else:
            out.append([i])
    return out


def thin(points):
    """Without the points that lie on the line between their neighbours."""
    keep = [p for i, p in enumerate(points) if i in (0, len(points) - 1)
            or not (abs(p[1] - points[i - 1][1]) < 0.05 and abs(p[1] - points[i + 1][1]) < 0.05)]
    return keep


def cells(row, top):
    """Neighbours of one shade as one: (first, last, share of the most)."""
    out = []
    for i, value in enumerate(row):
        if value <= 1e-9:
            continue
        share = math.ceil(math.sqrt(value / top) * 8) / 8
        if out and out[-1][1] == i - 1 and out[-1][2] == share:
            out[-1][1] = i
        else:
            out.append([i, i, share])
    return out


def boards(paths=()):
    names = paths or [os.path.join(HERE, "dashboards", n + ".json")
                      for n in ("site", "call_quality", "security")]
    for path in names:
        with open(path, encoding="utf-8") as file:
            yield os.path.splitext(os.path.basename(path))[0], json.load(file)


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("url")
    p.add_argument("board", nargs="*")
    p.add_argument("--out", default=".")
    p.add_argument("--span", default="6h")
    p.add_argument("--end", type=float, default=None)
    p.add_argument("--scrape", default="15s")
    p.add_argument("--instance", default=".+")
    a = p.parse_args()
    prometheus = Prometheus(a.url)
    os.makedirs(a.out, exist_ok=True)
    for name, board in boards(a.board):
        drawing = Drawing(board, prometheus, a.end or time.time(), a.span, seconds(a.scrape), a.instance)
        path = os.path.join(a.out, name + ".svg")
        with open(path, "w", encoding="utf-8") as file:
            file.write(drawing.svg())
        print(f"{path}: {os.path.getsize(path)} octets")


if __name__ == "__main__":
    sys.exit(main())
