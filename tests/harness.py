# SPDX-License-Identifier: Apache-2.0
"""What the client, page and torture tests share: a real server in a temporary folder."""

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SNUG = os.environ.get("SNUG_BIN", str(ROOT / "build" / "snug"))
SANITIZED = bool(os.environ.get("SNUG_SANITIZE"))


class Server:
    """`snug serve` on a free port of the loopback address."""

    def __init__(self, folder=None, faults=None, env=None):
        self.env = env or {}  # settings, as variables
        self.own = folder is None
        self.folder = Path(folder or tempfile.mkdtemp(prefix="snug-test-"))
        self.data = self.folder / "data"
        self.proc = None
        self.port = 0
        self.start(faults)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self, faults=None):
        env = dict(os.environ, **self.env)
        env.pop("SNUG_FAULTS", None)
        if faults:
            env["SNUG_FAULTS"] = faults
        self.data.mkdir(parents=True, exist_ok=True)
        self.log = open(self.folder / "serve.log", "ab")
        start = self.log.tell()
        self.proc = subprocess.Popen(
            [SNUG, "serve", "--data", str(self.data), "--listen", "127.0.0.1:0"],
            stdout=self.log, stderr=subprocess.STDOUT, env=env)
        deadline = time.time() + 30
        while time.time() < deadline:
            text = (self.folder / "serve.log").read_bytes()[start:].decode("utf-8", "replace")
            m = re.search(r"listening on http://127\.0\.0\.1:(\d+)", text)
            if m:
                self.port = int(m.group(1))
                return
            if self.proc.poll() is not None:
                raise RuntimeError(f"serve ended with {self.proc.returncode}:\n{text}")
            time.sleep(0.005)
        raise RuntimeError("serve did not get ready in 30 s")

    def kill(self):
        """As by kill -9; nothing is said to the server."""
        if self.proc.poll() is None:
            self.proc.send_signal(signal.SIGKILL)
        self.proc.wait()
        self.log.close()

    def stop(self):
        """A clean stop; returns the exit status."""
        if self.proc.poll() is None:
            self.proc.send_signal(signal.SIGTERM)
        code = self.proc.wait(timeout=60)
        self.log.close()
        return code

    def close(self):
        code = self.stop()
        text = self.log_text()
        if self.own:
            shutil.rmtree(self.folder, ignore_errors=True)
        assert code == 0, f"serve ended with {code}:\n{text[-4000:]}"
        assert "Sanitizer" not in text and "runtime error" not in text, text[-6000:]

    def log_text(self):
        return (self.folder / "serve.log").read_text("utf-8", "replace")

    def add_user(self, name, admin=False, password="correct horse battery"):
        cmd = [SNUG, "user", "add", name, "--password-stdin", "--data", str(self.data)]
        subprocess.run(cmd + (["--admin"] if admin else []), input=password.encode(), check=True,
                       capture_output=True)

    def add_token(self, user, name="test", role="write"):
        out = subprocess.run([SNUG, "token", "create", user, "--name", name, "--role", role,
                              "--data", str(self.data)], check=True, capture_output=True, text=True)
        token = out.stdout.strip()
        assert re.fullmatch(r"hf_[A-Za-z0-9]{34}", token), token
        return token

    def snug(self, *args):
        """A command on the data folder beside the running server."""
        return snug(*args, "--data", self.data).stdout

    def request(self, method, path, body=None, token=None, headers=None, timeout=60):
        """One exchange on a fresh connection: (status, headers, body)."""
        conn = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        head = dict(headers or {})
        if token:
            head["Authorization"] = f"Bearer {token}"
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
            head.setdefault("Content-Type", "application/json")
        try:
            conn.request(method, path, body=body, headers=head)
            r = conn.getresponse()
            return r.status, {k.lower(): v for k, v in r.getheaders()}, r.read()
        finally:
            conn.close()


def snug(*args, env=None, check=True, input=None, cwd=None, timeout=300):
    """Runs the command line; returns the finished process with text output."""
    full = dict(os.environ)
    full.update(env or {})
    p = subprocess.run([SNUG, *map(str, args)], env=full, input=input, cwd=cwd, timeout=timeout,
                       capture_output=True, text=True)
    if check and p.returncode != 0:
        raise AssertionError(f"snug {args} ended with {p.returncode}\n{p.stdout}\n{p.stderr}")
    return p
