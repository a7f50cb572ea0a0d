#!/usr/bin/env python3
"""What everybody builds first: UDP packets, each behind its length, by one TCP connection without
Nagle's delay. A TUN device at each end takes them from the kernel and gives them back; the header
of IP, which is always the same, is not carried.

    naive.py listen DEVICE OWN FAR ADDRESS:PORT
    naive.py connect DEVICE OWN FAR ADDRESS:PORT

OWN and FAR are what packets of this end are from, and for."""
import fcntl
import os
import socket
import struct
import sys
import threading
import time

TUNSETIFF, TUN, BARE = 0x400454ca, 0x0001, 0x1000


def device(name):
    f = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(f, TUNSETIFF, struct.pack("16sH22x", name.encode(), TUN | BARE))
    return f


def header(size, source, destination):
    """Of IPv4, for UDP."""
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + size, 0, 0x4000, 64, 17, 0, source, destination)
    total = sum(struct.unpack(">10H", ip))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ip[:10] + struct.pack(">H", ~total & 0xffff) + ip[12:]


class End:
    """One end; `connection` is the one that there is, if any."""

    def __init__(self, name, own, far):
        self.tun = device(name)
        self.own, self.far = socket.inet_aton(own), socket.inet_aton(far)
        self.connection = None
        threading.Thread(target=self.send, daemon=True).start()

    def send(self):
        while True:
            packet = os.read(self.tun, 65535)
            there = self.connection
            if there is None or packet[0] != 0x45 or packet[9] != 17:
                continue
            try:
                there.sendall(struct.pack(">H", len(packet) - 20) + packet[20:])
            except OSError:
                self.connection = None

    def carry(self, connection):
        """Until it ends."""
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection = connection
        stream = connection.makefile("rb")
        try:
            while True:
                size, = struct.unpack(">H", stream.read(2))
                datagram = stream.read(size)
                os.write(self.tun, header(size, self.far, self.own) + datagram)
        except (OSError, struct.error):
            pass
        if self.connection is connection:
            self.connection = None
        connection.close()


def main():
    role, name, own, far, at = sys.argv[1:]
    host, port = at.rsplit(":", 1)
    end = End(name, own, far)
    print("ready", flush=True)
    if role == "listen":
        s = socket.create_server((host, int(port)))
        while True:
            connection, _ = s.accept()
            threading.Thread(target=end.carry, args=(connection,), daemon=True).start()
    while True:
        try:
            connection = socket.create_connection((host, int(port)), 5)
            connection.settimeout(None)
            print("connected", flush=True)
            end.carry(connection)
        except OSError:
            pass
        time.sleep(0.2)


if __name__ == "__main__":
    main()
