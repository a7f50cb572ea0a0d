"""How the hostile corpus is read (sip-tests/corpus/README.md): cases, their octets, and messages as a
peer reads them. It knows nothing of the gateway."""
import os
import re

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../corpus")
COMPACT = {"Via": "v", "From": "f", "To": "t", "Call-ID": "i", "Contact": "m", "Content-Type": "c",
           "Content-Length": "l"}


class Case:
    """One case: rows about it, and the lines that are sent."""

    def __init__(self, name):
        self.name, self.rows, self.lines, self.raw = name, [], [], False

    def row(self, name):
        return next((value for key, value in self.rows if key == name), "")

    def all(self, name):
        return [value for key, value in self.rows if key == name]


def read(folder):
    """The cases of a folder of the corpus, file by file."""
    cases = []
    for file in sorted(os.listdir(os.path.join(FOLDER, folder))):
        with open(os.path.join(FOLDER, folder, file), encoding="utf-8") as f:
            about = True
            mine = []
            for line in f.read().split("\n"):
                if line.startswith("== "):
                    mine.append(Case(line[3:].strip()))
                    about = True
                elif not mine:
                    continue
                elif about and line == "--":
                    about = False
                elif about and line == "raw":
                    mine[-1].raw = True
                elif about:
                    mine[-1].rows.append(tuple(line.split(": ", 1)))
                else:
                    mine[-1].lines.append(line)
        for case in mine:
            while case.lines and not case.lines[-1]:
                case.lines.pop()
        cases += mine
    return cases


def fill(text, names):
    for name, value in names.items():
        text = text.replace("{" + name + "}", value)
    return text


def octets(text):
    """Repetitions, then escapes."""
    text = re.sub(r"<<(\d+)\*(.*?)>>", lambda m: m.group(2) * int(m.group(1)), text)
    plain = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"0": b"\0", b"\\": b"\\"}
    return re.sub(rb"\\(x[0-9a-fA-F]{2}|[rnt0\\])",
                  lambda m: bytes.fromhex(m.group(1)[1:].decode()) if m.group(1)[:1] == b"x"
                  else plain[m.group(1)], text.encode())


def message(case, honest, sdp, names):
    """The message of a case: its own lines, and honest rows for what it leaves open."""
    lines = [fill(line, names) for line in case.lines]
    if case.raw:
        return octets("\r\n".join(lines) + ("\r\n" if len(lines) > 1 else ""))
    blank = lines.index("") if "" in lines else len(lines)
    head, body = lines[:blank], lines[blank + 1:]
    described = "@sdp" in body
    heads = {"@sdp": sdp, "@head": sdp.split("m=")[0]}
    body = octets("".join(heads.get(line, line + "\\r\\n") for line in body))
    honest = list(honest)
    if described:
        honest.append(("Content-Type", "application/sdp"))
    honest.append(("Content-Length", str(len(body))))
    written = [re.split(r"[\\<]", row.lstrip("-").split(":")[0])[0].strip().lower() for row in head[1:]]
    rows = [octets(head[0])]
    for name, value in honest:
        if name.lower() not in written and COMPACT.get(name) not in written:
            rows.append(f"{name}: {value}".encode())
    rows += [octets(row) for row in head[1:] if not row.startswith("-")]
    return b"\r\n".join(rows + [b"", b""]) + body


class Message:
    """A message as a peer reads it; what is not regular raises ValueError."""

    def __init__(self, data):
        self.data = data
        head, mark, self.body = data.partition(b"\r\n\r\n")
        if not mark:
            raise ValueError(f"no end of the head: {data!r}")
        lines = head.split(b"\r\n")
        for line in lines:
            if re.search(rb"[\x00-\x1f\x7f]", line):
                raise ValueError(f"a control in {line!r}")
        for line in lines[1:]:
            if not re.match(rb"[A-Za-z0-9!%*_+`'~.-]+: ", line):
                raise ValueError(f"no regular row: {line!r}")
        self.start = lines[0].decode(errors="replace")
        self.rows = [tuple(line.decode(errors="replace").split(": ", 1)) for line in lines[1:]]
        if self.all("Content-Length") != [str(len(self.body))]:
            raise ValueError(f"not one right Content-Length in {data!r}")

    def all(self, name):
        return [value for key, value in self.rows if key.lower() == name.lower()]

    def row(self, name):
        return (self.all(name) or [""])[0]

    def is_request(self):
        return not self.start.startswith("SIP/2.0 ")

    def method(self):
        return self.start.split(" ")[0] if self.is_request() else self.row("CSeq").split(" ")[-1]

    def status(self):
        return 0 if self.is_request() else int(self.start.split(" ")[1])

    def contact(self):
        found = re.search(r"<([^>]*)>", self.row("Contact"))
        return found.group(1) if found else self.row("Contact").split(";")[0]


def write(start, rows, body=b""):
    """A message from its start line and rows."""
    head = "".join(f"{name}: {value}\r\n" for name, value in rows)
    return f"{start}\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def answer(request, status, tag, more=(), body=b""):
    """An answer: what RFC 3261 §8.2.6.2 copies, and a To tag where there is none."""
    rows = []
    for name in ("Via", "Record-Route", "From", "To", "Call-ID", "CSeq"):
        for value in request.all(name):
            if name == "To" and status > 100 and ";tag=" not in value:
                value += f";tag={tag}"
            rows.append((name, value))
    return write(f"SIP/2.0 {status} Whatever", rows + list(more), body)
