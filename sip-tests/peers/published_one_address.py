#!/usr/bin/env python3
"""Published ports where every phone appears as one address, Docker's own: so it is behind Docker's
userland proxy and in Docker Desktop. Two phones register and call each other."""
from lab import *
from published_ports import talk


def scenario(lab):
    talk(lab, "172.18.0.0/16", hide=True)


run(scenario)
