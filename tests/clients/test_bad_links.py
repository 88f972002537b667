# SPDX-License-Identifier: Apache-2.0
"""Transfers over links that lose, delay, cut and damage: they end with the right bytes, or with a reason and without
a file. Ours by Xet and by LFS, and the stock client once."""

import hashlib
import json
import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from harness import SNUG
from wire import Link, NoLink, Proxy

MB = 1_000_000
SIZE = 4 * MB
PATIENCE_S = 75  # of one transfer: a test that hangs is a failure


def noise(size, seed):
    return random.Random(seed).randbytes(size)


@pytest.fixture(scope="module")
def files(server, hub_home, api):
    """ada/links with one.bin by Xet and two.bin by LFS."""
    data = {"one.bin": noise(SIZE, 1), "two.bin": noise(SIZE, 2)}
    api.create_repo("ada/links")
    for name, extra in (("one.bin", {}), ("two.bin", {"HF_HUB_DISABLE_XET": "1"})):
        path = hub_home / name
        path.write_bytes(data[name])
        env = dict(os.environ, HF_ENDPOINT=server.url, HF_TOKEN=server.ada, HF_HOME=str(hub_home / "setup"), **extra)
        subprocess.run([SNUG, "upload", "ada/links", path], env=env, check=True, capture_output=True)
    return data


def run(command, url, token, home, prefix=(), **extra):
    env = dict(os.environ, HF_ENDPOINT=url, HF_TOKEN=token, HF_HOME=str(home), HF_HUB_DISABLE_PROGRESS_BARS="1",
               HF_HUB_DOWNLOAD_TIMEOUT="5", **extra)
    return subprocess.run([*prefix, *map(str, command)], env=env, capture_output=True, text=True, timeout=PATIENCE_S)


def has_a_reason(p):
    text = p.stderr.strip()
    assert p.returncode not in (0, -6, -11), p
    assert len(text) > 20 and "internal error" not in text, p


WAYS = {"xet": {}, "lfs": {"HF_HUB_DISABLE_XET": "1"}}
STOCK = """
import sys
from huggingface_hub import HfApi, hf_hub_download
if sys.argv[1] == "down":
    print(hf_hub_download(sys.argv[2], sys.argv[3]))
else:
    HfApi().upload_file(path_or_fileobj=sys.argv[4], path_in_repo=sys.argv[3], repo_id=sys.argv[2])
"""


def download(who, way, url, server, home, name, prefix=()):
    if who == "snug":
        p = run([SNUG, "download", "ada/links", name], url, server.ada, home, prefix, **WAYS[way])
    else:
        p = run([sys.executable, "-c", STOCK, "down", "ada/links", name], url, server.ada, home, prefix, **WAYS[way])
    return p, (Path(p.stdout.strip().splitlines()[-1]).read_bytes() if p.returncode == 0 else None)


def upload(who, way, url, server, home, path, prefix=()):
    if who == "snug":
        return run([SNUG, "upload", "ada/links", path, path.name], url, server.ada, home, prefix, **WAYS[way])
    return run([sys.executable, "-c", STOCK, "up", "ada/links", path.name, path], url, server.ada, home, prefix, **WAYS[way])


def stored(server, name):
    status, _, body = server.request("GET", f"/ada/links/resolve/main/{name}", timeout=60)
    return body if status == 200 else None


@pytest.fixture(scope="module")
def lossy(server):
    """A network that loses one packet in 150, takes 4 ms each way, damages some and is silent for 0.6 s every 3 s."""
    try:
        link = Link(loss=0.007, delay=0.004, corrupt=0.002, outage=(3.0, 0.6))
    except NoLink as e:
        pytest.skip(str(e))
    proxy = Proxy(lambda: server.port, bind=link.here)
    yield link, proxy
    proxy.close()
    link.close()


TRIPS = [("snug", "xet"), ("snug", "lfs"), ("stock", "xet")]


@pytest.mark.parametrize("who,way", TRIPS)
def test_lossy_network_down(files, server, lossy, tmp_path, who, way):
    link, proxy = lossy
    before = link.dropped
    p, got = download(who, way, proxy.url, server, tmp_path, "one.bin", link.prefix)
    assert p.returncode == 0, p
    assert got == files["one.bin"]
    assert link.dropped > before


@pytest.mark.parametrize("who,way", TRIPS)
def test_lossy_network_up(files, server, lossy, tmp_path, who, way):
    link, proxy = lossy
    data = noise(SIZE, f"lossy {who} {way}")
    path = tmp_path / f"up-{who}-{way}.bin"
    path.write_bytes(data)
    p = upload(who, way, proxy.url, server, tmp_path / "home", path, link.prefix)
    assert p.returncode == 0, p
    assert stored(server, path.name) == data


@pytest.mark.parametrize("way,name", [("xet", "one.bin"), ("xet", "two.bin"), ("lfs", "one.bin"), ("lfs", "two.bin")])
def test_connections_that_break(files, server, tmp_path, way, name):
    with Proxy(lambda: server.port) as proxy:
        proxy.cut_bytes = 700_000
        p, got = download("snug", way, proxy.url, server, tmp_path, name)
        assert p.returncode == 0, p
        assert got == files[name] and proxy.cuts >= 3


@pytest.mark.parametrize("way", ["xet", "lfs"])
def test_uploads_over_connections_that_break(server, files, tmp_path, way):
    """A body is sent whole or not at all: cuts come while it travels, and the client tries again."""
    data = noise(SIZE, f"cut {way}")
    path = tmp_path / f"cut-{way}.bin"
    path.write_bytes(data)
    with Proxy(lambda: server.port) as proxy:
        proxy.cut_bytes = 1 * MB
        import threading
        threading.Timer(1.5, lambda: setattr(proxy, "cut_bytes", 0)).start()
        p = upload("snug", way, proxy.url, server, tmp_path / "home", path)
        assert p.returncode == 0 and proxy.cuts >= 1, p
    assert stored(server, path.name) == data


@pytest.mark.parametrize("way", ["xet", "lfs"])
@pytest.mark.parametrize("every", [600_000, 3 * MB])
def test_damaged_downloads(files, server, tmp_path, way, every):
    """Bytes that arrive wrong: the right file in the end, or none and a reason."""
    with Proxy(lambda: server.port) as proxy:
        proxy.flip_every = every
        proxy.left_down = every // 2  # the first answers are whole
        p, got = download("snug", way, proxy.url, server, tmp_path, "one.bin")
        assert proxy.flips > 0
        if p.returncode == 0:
            assert got == files["one.bin"]
        else:
            has_a_reason(p)
            assert not list((tmp_path / "hub").glob("models--*/snapshots/*/*")), "a name for damaged bytes"
            whole = hashlib.sha256(files["one.bin"]).hexdigest()
            assert not (tmp_path / "hub/models--ada--links/blobs" / whole).exists()
        proxy.flip_every = 0  # what the damage left behind does not stand in the way
        p, got = download("snug", way, proxy.url, server, tmp_path, "one.bin")
        assert p.returncode == 0 and got == files["one.bin"], p


@pytest.mark.parametrize("way", ["xet", "lfs"])
def test_damaged_uploads(files, server, tmp_path, way):
    data = noise(SIZE, f"damaged {way}")
    path = tmp_path / f"damaged-{way}.bin"
    path.write_bytes(data)
    with Proxy(lambda: server.port) as proxy:
        proxy.flip_up = 1500_000
        proxy.left_up = 500_000
        p = upload("snug", way, proxy.url, server, tmp_path / "home", path)
        assert proxy.flips > 0
        if p.returncode != 0:
            has_a_reason(p)
            assert stored(server, path.name) is None
            p = upload("snug", way, server.url, server, tmp_path / "home", path)
            assert p.returncode == 0, p
    assert stored(server, path.name) == data


def test_damage_for_the_stock_client(files, server, tmp_path):
    with Proxy(lambda: server.port) as proxy:
        proxy.flip_every, proxy.left_down = 3 * MB, 1 * MB
        p, got = download("stock", "lfs", proxy.url, server, tmp_path, "one.bin")
        proxy.flip_every = 0
        p, got = download("stock", "xet", proxy.url, server, tmp_path / "again", "one.bin")
        assert p.returncode == 0 and got == files["one.bin"], p


def test_a_server_that_stays_away(files, server, tmp_path):
    """Nobody there: a name for it, soon, and nothing that looks like a file."""
    with Proxy(lambda: 9) as proxy:
        p, _ = download("snug", "xet", proxy.url, server, tmp_path, "one.bin")
        has_a_reason(p)
        assert proxy.url.split("//")[1].split(":")[0] in p.stderr
    assert not list(tmp_path.glob("hub/models--*/snapshots/*/*"))
