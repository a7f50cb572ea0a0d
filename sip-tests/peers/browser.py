"""Chromium in a namespace, driven over WebDriver's plain HTTP. Standard library and curl only."""
import base64
import json
import os
import subprocess

from lab import Failed, check, sh, wait_for

PORT = 9515
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--disable-dev-shm-usage", "--hide-scrollbars"]


class Browser:
    """A browser that sees the loopback of a namespace."""

    def __init__(self, lab, ns):
        self.lab, self.ns, self.session = lab, lab.ns[ns], None
        self.driver = lab.start(ns, ["chromedriver", f"--port={PORT}", "--silent"], "chromedriver.log")
        wait_for("chromedriver listens", 20, self._ready)
        flags = FLAGS + [f"--user-data-dir={lab.path('chromium')}"]
        answer = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "goog:chromeOptions": {"args": flags}}}})
        self.session = answer["sessionId"]

    def _ready(self):
        try:
            return self._ask("GET", "/status")["ready"]
        except (Failed, subprocess.CalledProcessError, ValueError, KeyError):
            return False

    def _ask(self, method, path, body=None):
        command = ["ip", "netns", "exec", self.ns, "curl", "-s", "-m", "60", "-X", method,
                   f"http://127.0.0.1:{PORT}{path}"]
        if body is not None:
            command += ["-H", "content-type: application/json", "--data-binary", "@-"]
        out = subprocess.run(command, input=json.dumps(body or {}), text=True, check=True,
                             stdout=subprocess.PIPE).stdout
        value = json.loads(out)["value"]
        if isinstance(value, dict) and "error" in value:
            raise Failed(f"{path}: {value['error']}: {value.get('message', '')[:300]}")
        return value

    def ask(self, method, path, body=None):
        return self._ask(method, f"/session/{self.session}{path}", body)

    def open(self, url):
        self.ask("POST", "/url", {"url": url})

    def url(self):
        return self.ask("GET", "/url")

    def run(self, script):
        return self.ask("POST", "/execute/sync", {"script": script, "args": []})

    def text(self):
        return self.run("return document.body.innerText")

    def dev(self, command, **params):
        """A command of the developer tools."""
        return self.ask("POST", "/goog/cdp/execute", {"cmd": command, "params": params})

    def look(self, width, scheme):
        """As on a screen of this width, dark or light."""
        self.dev("Emulation.setDeviceMetricsOverride", width=width, height=900,
                 deviceScaleFactor=1, mobile=False)
        self.dev("Emulation.setEmulatedMedia",
                 features=[{"name": "prefers-color-scheme", "value": scheme}])

    def picture(self, file, whole=True):
        """The page as PNG, whole or what a screen shows of it."""
        size = self.run("return [innerWidth, document.documentElement.scrollHeight]")
        clip = {"x": 0, "y": 0, "width": size[0], "height": size[1] if whole else 900, "scale": 1}
        data = self.dev("Page.captureScreenshot", format="png", captureBeyondViewport=True,
                        clip=clip)["data"]
        with open(file, "wb") as f:
            f.write(base64.b64decode(data))

    def evaluate(self, expression):
        """Runs what the page's own policy would not let in; waits for a promise."""
        got = self.dev("Runtime.evaluate", expression=expression, awaitPromise=True,
                       returnByValue=True)
        check("exceptionDetails" not in got, f"in the page: {got.get('exceptionDetails')}")
        return got["result"].get("value")

    def close(self):
        try:
            self.ask("DELETE", "")
        finally:
            self.lab.stop(self.driver)


def axe(lab):
    """The source of axe-core from npm; None: it cannot be had here."""
    try:
        folder = lab.path("axe")
        os.makedirs(folder, exist_ok=True)
        sh(["timeout", "60", "npm", "pack", "axe-core@4.10.3", "--silent", "--pack-destination", folder],
           cwd=folder)
        archive = [f for f in os.listdir(folder) if f.endswith(".tgz")][0]
        sh(["tar", "-xzf", os.path.join(folder, archive), "-C", folder, "package/axe.min.js"])
        with open(os.path.join(folder, "package/axe.min.js"), encoding="utf-8") as f:
            return f.read()
    except (subprocess.CalledProcessError, OSError, IndexError):
        return None
