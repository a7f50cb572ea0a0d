#!/usr/bin/env python3
"""The real Dockerfile becomes an image without a registry; what it says of itself is right; its binary
passes the self-test as its own user; and two phones talk through a gateway that runs from the image
as compose.yaml runs it: read-only root, no capabilities, state in the volume."""
import json

import yaml
from lab import *

HOME = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
MOST = 20_000_000


class Image:
    """An image in a storage of its own, and a container made from it."""

    def __init__(self, lab):
        self.lab = lab
        self.storage = ["buildah", "--root", lab.path("storage"), "--runroot", lab.path("runroot"),
                        "--storage-driver", "vfs"]
        layout = os.path.join(HOME, "target/image")
        began = time.time()
        sh(["docker/build", os.path.join(layout, "out")], cwd=HOME)
        print(f"static binary in {time.time() - began:.0f} s")
        self.version = sh([os.path.join(layout, "out/root/usr/bin/portreeve"), "--version"]).split()[1]
        self.buildah("bud", "--format", "docker", "--build-context", f"build={layout}",
                     "--build-arg", f"VERSION={self.version}", "-f", "docker/Dockerfile",
                     "-t", "portreeve", ".", cwd=HOME)
        self.config = json.loads(self.buildah("inspect", "--type", "image", "portreeve"))
        self.config = self.config["Docker"]["config"]
        self.name = self.buildah("from", "--pull-never", "portreeve").strip()
        self.root = self.buildah("mount", self.name).strip()

    def buildah(self, *words, **kw):
        return sh(self.storage + list(words), **kw)

    def run(self, *words, volumes=()):
        options = [o for v in volumes for o in ("-v", v)]
        return self.buildah("run", "--isolation", "chroot", *options, self.name, "--",
                            *self.config["Entrypoint"], *words)

    def size(self):
        file = self.lab.path("image.tar")
        self.buildah("push", "portreeve", f"docker-archive:{file}")
        return os.path.getsize(file)

    def start(self, ns, words, volume, log, settings=()):
        """As a container runtime starts it: root read-only, /proc and /dev of its own, the volume
        writable, the image's environment and no other, its user, no capability."""
        steps = ('mount --bind "$1" "$1" && mount --bind "$2" "$1/data" && '
                 'mount -o remount,bind,ro "$1" && mount -t proc proc "$1/proc" && '
                 'mount -t tmpfs tmpfs "$1/dev" && for d in null zero random urandom; do '
                 'touch "$1/dev/$d" && mount --bind "/dev/$d" "$1/dev/$d" || exit 1; done && shift 2 && '
                 'exec setpriv --no-new-privs --inh-caps=-all '
                 '--bounding-set=-all,+sys_chroot,+setuid,+setgid env -i "$@"')
        at = list(words).index("--")
        env, command = list(words)[:at], list(words)[at + 1:]
        chroot = [shutil.which("chroot"), f"--userspec={self.config['User']}", "--groups=", self.root]
        return self.lab.start(ns, ["unshare", "-m", "sh", "-c", steps, "sh", self.root, volume]
                              + env + list(settings) + chroot + command, log)

    def volume(self, name):
        """A named volume takes over owner, mode and content at its first mount."""
        sh(["cp", "-a", os.path.join(self.root, "data"), self.lab.path(name)])
        return self.lab.path(name)

    def command(self, *words):
        """`words` behind the image's environment, for [`start`]."""
        return self.config["Env"] + ["--"] + list(words)


def description(image):
    c = image.config
    check(c["User"] == "65532:65532", f"user: {c['User']}")
    check(c["StopSignal"] == "SIGTERM", f"stop signal: {c.get('StopSignal')}")
    check(list(c["Volumes"]) == ["/data"], f"volumes: {c['Volumes']}")
    check(c["Entrypoint"] == ["/usr/bin/portreeve"] and c["Cmd"] == ["run"], "what it starts")
    check({"5060/udp", "5060/tcp"} <= set(c["ExposedPorts"]), "ports")
    health = c["Healthcheck"]
    check(health["Test"][:3] == ["CMD", "/usr/bin/portreeve", "health"], f"health: {health}")
    check(health["Timeout"] > 5e9, "the check's own patience ends before Docker's")
    labels = {k.removeprefix("org.opencontainers.image."): v for k, v in c["Labels"].items()}
    for name in ("title", "description", "version", "revision", "created", "licenses"):
        check(labels.get(name), f"label {name}")
    check(labels["version"] == image.version, f"version: {labels['version']}")
    data = os.stat(os.path.join(image.root, "data"))
    check((data.st_uid, data.st_gid, data.st_mode & 0o777) == (65532, 65532, 0o700), "owner of /data")
    size = image.size()
    print(f"image {size / 1e6:.1f} MB")
    check(size <= MOST, f"{size} octets, at most {MOST}")


def files(root):
    return sorted(os.path.relpath(os.path.join(d, f), root)
                  for d, _, found in os.walk(root) for f in found)


def compose(name):
    with open(os.path.join(HOME, "docker", name), encoding="utf-8") as f:
        return yaml.safe_load(f)["services"]["portreeve"]


def hardened(image):
    """Both compose files run the gateway as this scenario does, and let it drain."""
    drain = re.search(r'^drain = "(\d+)s"', image.run("config", "show"), re.M)
    for name in ("compose.yaml", "compose.published.yaml"):
        s = compose(name)
        check(s["read_only"] and s["cap_drop"] == ["ALL"], f"{name}: rights")
        check(s["security_opt"] == ["no-new-privileges:true"], f"{name}: no new privileges")
        check("data:/data" in s["volumes"], f"{name}: the volume")
        grace = int(s["stop_grace_period"].removesuffix("s"))
        check(grace >= int(drain.group(1)) + 10, f"{name}: {grace} s cut the drain")
    check(compose("compose.yaml")["network_mode"] == "host", "the host's network")


def scenario(lab):
    image = Image(lab)
    description(image)
    check(image.run("--version").split() == ["portreeve", image.version], "--version")
    samples = os.path.realpath(os.path.join(HOME, "configs"))
    said = image.run("config", "check", "/etc/portreeve/edge.toml",
                     volumes=[f"{samples}:/etc/portreeve:ro"])
    check(": good: " in said, said)
    said = image.run("selftest")
    check("ok      audio both ways" in said and "FAILED" not in said, said)
    hardened(image)
    before = files(image.root)

    # Site mode finds its address by the default route.
    sh(["ip", "-n", lab.ns["gw"], "route", "add", "default", "via", "10.17.0.254"])
    volume = image.volume("data")
    config = image.config
    gw = image.start("gw", image.command(*config["Entrypoint"], *config["Cmd"]), volume, "gw.log")
    wait_for("ready", 20, lambda: "\nready\n" in lab.text("gw.log") or gw.poll() is not None)
    check(gw.poll() is None, f"it ended: {lab.text('gw.log')}")
    for want in ("ok audio both ways", "10.17.0.1", "/data/site-password", "/data/audit"):
        check(want in lab.text("gw.log"), f"{want} in:\n{lab.text('gw.log')}")
    status = dict(l.split(":\t", 1) for l in lab.text(f"/proc/{gw.pid}/status").splitlines() if ":\t" in l)
    check(status["Uid"].split() == ["65532"] * 4, f"uid {status['Uid']}")
    check(int(status["CapEff"], 16) == 0 and status["NoNewPrivs"].strip() == "1", "no rights")

    def beside(*words):
        """Exit code of another command in the same container, as `docker exec`."""
        return image.start("gw", image.command(*words), volume, "beside.log").wait(10)

    health = config["Healthcheck"]["Test"][1:]
    check(beside(*health) == 0, f"healthy: {lab.text('beside.log')}")
    for words in (("status",), ("reload",), ("calls", "--json")):
        check(beside(*config["Entrypoint"], *words) == 0, f"{words}: {lab.text('beside.log')}")
    password = lab.text("data/site-password").strip()
    a = Phone(lab, "101", "10.17.0.21", 440, "10.17.0.1", password)
    b = Phone(lab, "102", "10.17.0.22", 660, "10.17.0.1", password)
    a.registered()
    b.registered()
    a.call("sip:102@10.17.0.1")
    a.in_call()
    b.in_call()
    time.sleep(5)
    a.hangup()
    wait_for("the call ends", 5, lambda: lab.metric("portreeve_active_calls") == 0)
    lab.stop(a.process)
    lab.stop(b.process)
    check(a.heard(660) >= 3 and b.heard(440) >= 3, f"heard {a.heard(660)} s and {b.heard(440)} s")
    check(lab.stop(gw) == 0, f"{config['StopSignal']} ends with code 0: {lab.text('gw.log')[-500:]}")
    check(beside(*health) == 1, "not healthy when it is gone")
    check(files(image.root) == before, "nothing but the volume was written")
    check(beside(*config["Entrypoint"], "audit", "verify", "/data/audit") == 0,
          f"the audit log is whole: {lab.text('beside.log')}")
    left = [f for f in os.listdir(volume) if "selftest" in f]
    check(not left, f"the self-test leaves nothing: {left}")


if __name__ == "__main__":
    run(scenario)
