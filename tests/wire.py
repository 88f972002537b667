# SPDX-License-Identifier: Apache-2.0
"""Bad connections, made of real ones.

`Proxy` stands between a client and a server and cuts, slows, holds or damages the bytes of a TCP connection.
`Link` is a network of its own: a namespace whose only way out is a pair of TUN devices, between which this process
carries the packets and loses, delays or damages some. (netem does the same in the kernel, where it is built in; this
needs root and /dev/net/tun only.)"""

import contextlib
import fcntl
import heapq
import os
import random
import select
import socket
import struct
import subprocess
import threading
import time


class Proxy:
    """A port whose connections are carried on to port() of the loopback address. The attributes may change any time."""

    def __init__(self, port, bind="127.0.0.1"):
        self.target = port
        self.cut_bytes = 0      # a connection ends after so many bytes from the server (or to it); 0: never
        self.flip_every = 0     # one bit of one byte in so many from the server is wrong; 0: none
        self.flip_up = 0        # the same for bytes to the server
        self.rate = 0           # bytes a second, both ways together; 0: any
        self.hold = False       # nothing moves
        self.busy = False       # every request is answered 503
        self.cuts = self.flips = 0
        self.carried = {"up": 0, "down": 0}
        self.seen = {}          # words to count in what passes, such as {b"HTTP/1.1 403": 0}
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.bind((bind, 0))
        self.sock.listen(128)
        self.url = f"http://{bind}:{self.sock.getsockname()[1]}"
        self.lock = threading.Lock()
        self.tokens, self.filled = 0.0, time.monotonic()
        self.rnd = random.Random(7)
        self.left_up = self.left_down = 0
        self.open = True
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.open = False
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _accept(self):
        while self.open:
            try:
                client, _ = self.sock.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        try:
            if self.busy:
                client.recv(65536)
                client.sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                client.close()
                return
            server = socket.create_connection(("127.0.0.1", self.target()), timeout=10)
        except OSError:
            client.close()
            return
        for s in (client, server):
            s.settimeout(None)
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        count = [0]
        for way, a, b in (("up", client, server), ("down", server, client)):
            threading.Thread(target=self._carry, args=(way, a, b, count), daemon=True).start()

    def _pace(self, n):
        with self.lock:
            now = time.monotonic()
            self.tokens = min(self.rate * 0.1, self.tokens + (now - self.filled) * self.rate)
            self.filled = now
            self.tokens -= n
            wait = -self.tokens / self.rate if self.tokens < 0 else 0
        if wait > 0:
            time.sleep(wait)

    def _damage(self, way, data):
        every = self.flip_every if way == "down" else self.flip_up
        if not every:
            return data
        with self.lock:
            left = self.left_down if way == "down" else self.left_up
            left -= len(data)
            if left < 0:
                spot = self.rnd.randrange(len(data))
                data = bytearray(data)
                data[spot] ^= 1 << self.rnd.randrange(8)
                left = every
                self.flips += 1
            if way == "down":
                self.left_down = left
            else:
                self.left_up = left
        return data

    def _carry(self, way, source, sink, count):
        try:
            while data := source.recv(65536):
                while self.hold and self.open:
                    time.sleep(0.05)
                if self.rate:
                    self._pace(len(data))
                for word in self.seen:
                    self.seen[word] += data.count(word)
                sink.sendall(self._damage(way, data))
                count[0] += len(data)
                self.carried[way] += len(data)
                if self.cut_bytes and count[0] > self.cut_bytes:
                    self.cuts += 1
                    break
            else:
                sink.shutdown(socket.SHUT_WR)
                return
        except OSError:
            pass
        for s in (source, sink):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
            s.close()


class NoLink(Exception):
    """Why there can be no network of our own here."""


class Link:
    """A network namespace and the packets to and from it. Clients run in it by `prefix`; this side is `here`."""

    serial = 0

    def __init__(self, loss=0.0, delay=0.0, corrupt=0.0, outage=None):
        self.loss, self.delay, self.corrupt, self.outage = loss, delay, corrupt, outage
        Link.serial += 1
        tag = f"{os.getpid() % 100000}{Link.serial}"
        self.name = f"snug{tag}"
        net = (os.getpid() * 7 + Link.serial) % 60 * 4
        self.here, self.there = f"10.213.{net}.1", f"10.213.{net}.2"
        self.prefix = ["ip", "netns", "exec", self.name]
        self.fds, self.dropped, self.carried = [], 0, 0
        self.running = True
        try:
            self._ip("netns", "add", self.name)
            self._tun(f"sna{tag}"[:15], self.here, self.there, None)
            self._tun(f"snb{tag}"[:15], self.there, self.here, self.name)
        except (OSError, subprocess.CalledProcessError) as e:
            self.close()
            why = getattr(e, "stderr", b"") or str(e).encode()
            raise NoLink(f"no network namespace with TUN devices here: {why.decode().strip()}") from None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _ip(self, *words):
        subprocess.run(["ip", *words], check=True, capture_output=True)

    def _tun(self, name, mine, peer, space):
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        self.fds.append(fd)
        fcntl.ioctl(fd, 0x400454CA, struct.pack("16sH22x", name.encode(), 0x0001 | 0x1000))  # TUN, no header
        if space:
            self._ip("link", "set", "dev", name, "netns", space)
        inside = ["-n", space] if space else []
        self._ip(*inside, "addr", "add", mine, "peer", peer, "dev", name)
        self._ip(*inside, "link", "set", "dev", name, "mtu", "1500", "txqueuelen", "2000", "up")
        if space:
            self._ip(*inside, "link", "set", "lo", "up")

    def _is_out(self, now):
        every, length = self.outage or (1, 0)
        return now % every < length

    def _run(self):
        rnd, queue, n = random.Random(3), [], 0
        while self.running:
            now = time.monotonic()
            while queue and queue[0][0] <= now:
                _, _, to, packet = heapq.heappop(queue)
                with contextlib.suppress(OSError):
                    os.write(to, packet)
            wait = min(0.05, max(0, queue[0][0] - now)) if queue else 0.05
            ready, _, _ = select.select(self.fds, [], [], wait)
            for fd in ready:
                to = self.fds[1] if fd == self.fds[0] else self.fds[0]
                for _ in range(64):
                    try:
                        packet = os.read(fd, 2048)
                    except OSError:
                        break
                    n += 1
                    self.carried += 1
                    if rnd.random() < self.loss or (self.outage and self._is_out(time.monotonic())):
                        self.dropped += 1
                        continue
                    if rnd.random() < self.corrupt and len(packet) > 60:
                        packet = bytearray(packet)
                        packet[rnd.randrange(40, len(packet))] ^= 1 << rnd.randrange(8)
                    heapq.heappush(queue, (time.monotonic() + self.delay, n, to, bytes(packet)))

    def close(self):
        self.running = False
        if hasattr(self, "thread"):
            self.thread.join(2)
        for fd in self.fds:
            os.close(fd)
        self.fds = []
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
