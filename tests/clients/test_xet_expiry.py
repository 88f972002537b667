# SPDX-License-Identifier: Apache-2.0
"""What a store gives away ends after a while: tokens and signed addresses that run out in the middle of a transfer are
renewed, by our client and by the stock one, and what has arrived does not travel again."""

import hashlib
import json
import os
import random
import subprocess
import sys
import threading
import time

import pytest

from harness import SANITIZED, SNUG, Server
from wire import Proxy

MB = 1_000_000
SIZE = (24 if SANITIZED else 64) * MB
RATE = 10 * MB
REFUSED, EXPIRED = b"HTTP/1.1 401", b"HTTP/1.1 403"
READ_TOKEN, WRITE_TOKEN = b"/xet-read-token/", b"/xet-write-token/"
# Clients renew a token half a minute before its end, so this one is renewed after two seconds ...
BY_CLOCK = {"SNUG_XET_TOKEN_LIFE": "32", "SNUG_XET_LINK_LIFE": "2"}
# ... and this one is never good for long enough: it serves until it is refused.
BY_REFUSAL = {"SNUG_XET_TOKEN_LIFE": "1", "SNUG_XET_LINK_LIFE": "1"}
SEND = """
import sys
from huggingface_hub import HfApi
HfApi().upload_file(path_or_fileobj=sys.argv[2], path_in_repo="f.bin", repo_id=sys.argv[1])
"""
FETCH = """
import sys
from huggingface_hub import hf_hub_download
hf_hub_download(sys.argv[1], "f.bin", local_dir=sys.argv[2])
"""


@pytest.fixture(scope="module", autouse=True)
def only_once():
    if os.environ.get("HF_HUB_DISABLE_XET"):
        pytest.skip("this pass goes by LFS")


@pytest.fixture(scope="module", params=["by clock", "by refusal"])
def hub(request):
    s = Server(env=BY_CLOCK if request.param == "by clock" else BY_REFUSAL)
    s.add_user("ada", admin=True)
    s.ada = s.add_token("ada")
    s.kind = request.param
    yield s
    s.close()


def write_noise(path, seed):
    data = random.Random(seed).randbytes(SIZE)
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def run(command, hub, url, home):
    env = dict(os.environ, HF_ENDPOINT=url, HF_TOKEN=hub.ada, HF_HOME=str(home), HF_XET_CHUNK_CACHE_SIZE_BYTES="0",
               HF_XET_CLIENT_RETRY_BASE_DELAY="100ms")
    p = subprocess.run([str(x) for x in command], env=env, capture_output=True, text=True, timeout=300)
    assert p.returncode == 0, p.stdout[-2000:] + p.stderr[-3000:]
    return p.stdout


def slow(hub):
    proxy = Proxy(lambda: hub.port)
    proxy.rate = RATE
    proxy.seen = {w: 0 for w in (REFUSED, EXPIRED, READ_TOKEN, WRITE_TOKEN)}
    return proxy


def cut_once(proxy, after):
    while proxy.open and proxy.carried["down"] < after:
        time.sleep(0.01)
    proxy.cut_bytes = 1
    while proxy.open and not proxy.cuts:
        time.sleep(0.01)
    proxy.cut_bytes = proxy.rate = 0


def create(hub, name):
    assert hub.request("POST", "/api/repos/create", {"name": name}, hub.ada)[0] == 200


def test_our_client(hub, tmp_path):
    name = f"ours-{hub.kind.replace(' ', '-')}"
    create(hub, name)
    sha = write_noise(tmp_path / "f.bin", name)
    with slow(hub) as proxy:
        out = json.loads(run([SNUG, "--json", "upload", f"ada/{name}", tmp_path / "f.bin"], hub, proxy.url, tmp_path / "h"))
        assert out["bytes_sent"] < SIZE * 1.05 + (17 * MB if hub.kind == "by refusal" else 0)
        assert proxy.seen[WRITE_TOKEN] >= 2, proxy.seen  # one alone would have run out
        assert (proxy.seen[REFUSED] > 0) == (hub.kind == "by refusal"), proxy.seen
    with slow(hub) as proxy:
        out = json.loads(run([SNUG, "--json", "download", f"ada/{name}", "--local-dir", tmp_path / "got"], hub, proxy.url,
                             tmp_path / "h2"))
        assert digest(tmp_path / "got" / "f.bin") == sha
        assert proxy.seen[READ_TOKEN] >= 2 and proxy.seen[EXPIRED] >= 1, proxy.seen
        assert out["bytes_fetched"] < SIZE * 1.02, out  # what came before the end of an address stays


def test_the_stock_client(hub, tmp_path):
    if hub.kind == "by refusal":
        pytest.skip("it renews by the clock alone: a refused token ends its upload")
    create(hub, "stock")
    sha = write_noise(tmp_path / "f.bin", "stock")
    with slow(hub) as proxy:
        run([sys.executable, "-c", SEND, "ada/stock", tmp_path / "f.bin"], hub, proxy.url, tmp_path / "h")
        assert proxy.seen[WRITE_TOKEN] >= 2 and proxy.seen[REFUSED] == 0, proxy.seen
        assert proxy.carried["up"] > SIZE  # by Xet or not, all of it went this way
    head = hub.request("HEAD", "/ada/stock/resolve/main/f.bin")[1]
    assert head.get("x-xet-hash")
    with slow(hub) as proxy:
        # It asks for all parts at once, so it needs a reason to use an address again: a broken connection. The new
        # address is asked for before the pause that comes next, which must be shorter than the address lives.
        threading.Thread(target=cut_once, args=(proxy, SIZE // 2), daemon=True).start()
        run([sys.executable, "-c", FETCH, "ada/stock", tmp_path / "got"], hub, proxy.url, tmp_path / "h2")
        assert digest(tmp_path / "got" / "f.bin") == sha
        assert proxy.seen[READ_TOKEN] >= 1 and proxy.seen[EXPIRED] >= 1, proxy.seen
