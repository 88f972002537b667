# SPDX-License-Identifier: Apache-2.0
"""`snug upload` and `snug download` by Xet: what travels, what goes on after a kill, what is kept, what is told."""

import hashlib
import json
import os
import pty
import random
import re
import shutil
import signal
import struct
import subprocess
import time
from pathlib import Path

import pytest

from harness import SANITIZED, SNUG, Server, snug
from wire import Proxy

MB = 1_000_000
XORB = 16 << 20  # what our client packs, at most
BLOCK = 16 << 20  # what our client fetches at once


@pytest.fixture(scope="module", autouse=True)
def only_once():
    if os.environ.get("HF_HUB_DISABLE_XET"):
        pytest.skip("this pass goes by LFS")


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """A server of its own, which some tests kill."""
    s = Server()
    s.add_user("ada", admin=True)
    s.ada = s.add_token("ada")
    yield s
    s.close()


def noise(size, seed):
    rnd = random.Random(seed)
    return b"".join(rnd.randbytes(min(8 * MB, size - at)) for at in range(0, size, 8 * MB))


def env_of(url, hub, home, **extra):
    return {"HF_ENDPOINT": url, "HF_TOKEN": hub.ada, "HF_HOME": str(home), "NO_COLOR": "1", **extra}


def upload(hub, home, repo, path, *more, url=None, **extra):
    out = snug("--json", "upload", repo, path, "--create", *more, env=env_of(url or hub.url, hub, home, **extra))
    return json.loads(out.stdout)


def download(hub, home, repo, target, *more, url=None, **extra):
    out = snug("--json", "download", repo, "--local-dir", target, *more, env=env_of(url or hub.url, hub, home, **extra))
    return json.loads(out.stdout)


def received(hub):
    text = hub.request("GET", "/metrics")[2].decode()
    return int(re.search(r"^snug_http_request_bytes_total (\d+)", text, re.M).group(1))


def xet_hash(hub, repo, name):
    status, head, _ = hub.request("HEAD", f"/{repo}/resolve/main/{name}")
    assert status == 200
    return head.get("x-xet-hash")


# ---- what travels ----

def test_only_new_chunks_travel(hub, tmp_path):
    size = 12 * MB if SANITIZED else 90 * MB
    data = noise(size, 1)
    edited = data[:size // 2] + noise(MB, 2) + data[size // 2:]
    (tmp_path / "a.bin").write_bytes(data)
    first = upload(hub, tmp_path / "h1", "ada/dedup", tmp_path / "a.bin")
    assert size <= first["bytes_sent"] < size * 1.01
    (tmp_path / "a.bin").write_bytes(edited)
    assert upload(hub, tmp_path / "h1", "ada/dedup", tmp_path / "a.bin")["bytes_sent"] < 1.6 * MB
    # From a machine that has seen nothing: the store is asked.
    # It tells of the first upload's file; of the 1 MB inserted later it tells only by luck, as to stock clients.
    (tmp_path / "b.bin").write_bytes(edited + noise(MB, 3))
    assert upload(hub, tmp_path / "h2", "ada/dedup", tmp_path / "b.bin")["bytes_sent"] < 2.5 * MB
    # The same content in many files, sent once; and a file of which every chunk is alike.
    folder = tmp_path / "many"
    folder.mkdir()
    piece = noise(11 * MB, 4)
    for i in range(3):
        (folder / f"copy{i}.bin").write_bytes(piece + bytes([i]) * 3)
    (folder / "zeros.bin").write_bytes(bytes(30 * MB))
    assert upload(hub, tmp_path / "h3", "ada/many", folder)["bytes_sent"] < 11.6 * MB
    got = tmp_path / "got"
    download(hub, tmp_path / "h4", "ada/many", got)
    for f in folder.iterdir():
        assert (got / f.name).read_bytes() == f.read_bytes()
    download(hub, tmp_path / "h4", "ada/dedup", got)
    assert (got / "a.bin").read_bytes() == edited
    assert (got / "b.bin").read_bytes() == edited + noise(MB, 3)


def test_no_xet_keeps_to_lfs(hub, tmp_path):
    data = noise(11 * MB, 10)
    (tmp_path / "w.bin").write_bytes(data)
    upload(hub, tmp_path / "h", "ada/plain", tmp_path / "w.bin", "--no-xet")
    assert not (tmp_path / "h" / "xet").exists()
    download(hub, tmp_path / "h", "ada/plain", tmp_path / "got")
    assert (tmp_path / "got" / "w.bin").read_bytes() == data
    upload(hub, tmp_path / "h", "ada/chunky", tmp_path / "w.bin")
    assert xet_hash(hub, "ada/chunky", "w.bin")
    for flags, extra in ((["--no-xet"], {}), ([], {"HF_HUB_DISABLE_XET": "1"})):
        got = tmp_path / f"got-{len(flags)}"
        download(hub, tmp_path / "h5", "ada/chunky", got, *flags, **extra)
        assert (got / "w.bin").read_bytes() == data
        assert not (tmp_path / "h5" / "xet").exists()


def test_a_log_that_is_wrong(hub, tmp_path):
    """What an earlier upload noted is confirmed before it is used: another server at the same address knows nothing."""
    data = noise(11 * MB, 20)
    (tmp_path / "w.bin").write_bytes(data)
    with Proxy(lambda: hub.port) as proxy:
        upload(hub, tmp_path / "h", "ada/log", tmp_path / "w.bin", url=proxy.url)
        log = next((tmp_path / "h" / "xet" / "snug-known").glob("*.log"))
        whole = log.read_bytes()
        log.write_bytes(whole + whole[:100])  # torn at its end
        (tmp_path / "w.bin").write_bytes(data + b"x")
        assert upload(hub, tmp_path / "h", "ada/log", tmp_path / "w.bin", url=proxy.url)["bytes_sent"] < 1 * MB
        other = Server()
        try:
            other.add_user("ada", admin=True)
            other.ada = other.add_token("ada")
            proxy.target = lambda: other.port
            # The store's address holds who asks, so that each account has a log of its own: here it is forced.
            upload(other, tmp_path / "h", "ada/first", tmp_path / "w.bin", url=proxy.url)
            for f in (tmp_path / "h" / "xet" / "snug-known").glob("*.log"):
                f.write_bytes(whole)
            (tmp_path / "w.bin").write_bytes(noise(11 * MB, 20) + b"yy")
            upload(other, tmp_path / "h", "ada/second", tmp_path / "w.bin", url=proxy.url)
            download(other, tmp_path / "h9", "ada/second", tmp_path / "got", url=proxy.url)
            assert (tmp_path / "got" / "w.bin").read_bytes() == data + b"yy"
        finally:
            other.close()


# ---- after a kill ----

def start(command, env):
    return subprocess.Popen([SNUG, *map(str, command)], env=dict(os.environ, **env), stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def wait_until(what, seconds=60):
    end = time.time() + seconds
    while not what():
        assert time.time() < end, "it never happened"
        time.sleep(0.02)


RESUMED = 40 * MB if SANITIZED else 150 * MB


def kept(log):
    """Bytes in each xorb that the log of a client says is stored."""
    for f in log.glob("*.log"):
        b, at = f.read_bytes(), 0
        while at + 56 <= len(b):
            n = struct.unpack_from("<I", b, at + 8)[0]
            if at + 64 + 36 * n <= len(b):
                yield sum(struct.unpack_from("<I", b, at + 56 + 36 * i + 32)[0] for i in range(n))
            at += 64 + 36 * n


def test_a_killed_upload_goes_on(hub, tmp_path):
    (tmp_path / "k.bin").write_bytes(noise(RESUMED, 30))
    with Proxy(lambda: hub.port) as proxy:
        env = env_of(proxy.url, hub, tmp_path / "h")
        log = tmp_path / "h" / "xet" / "snug-known"
        proxy.rate = 60 * MB
        snug("repo", "create", "ada/killed", env=env)
        p = start(["upload", "ada/killed", tmp_path / "k.bin"], env)
        wait_until(lambda: len(list(kept(log))) >= (1 if SANITIZED else 2))
        p.send_signal(signal.SIGKILL)
        p.communicate()
        proxy.rate = 0
        finished = sum(kept(log))
        done = upload(hub, tmp_path / "h", "ada/killed", tmp_path / "k.bin", url=proxy.url)
        assert finished > 0 and done["bytes_sent"] < RESUMED - finished + MB, (finished, done)
    download(hub, tmp_path / "h2", "ada/killed", tmp_path / "got")
    assert (tmp_path / "got" / "k.bin").read_bytes() == (tmp_path / "k.bin").read_bytes()


def test_a_restarted_server_during_an_upload(hub, tmp_path):
    (tmp_path / "r.bin").write_bytes(noise(RESUMED, 31))
    with Proxy(lambda: hub.port) as proxy:
        env = env_of(proxy.url, hub, tmp_path / "h")
        proxy.rate = 60 * MB
        snug("repo", "create", "ada/restarted", env=env)
        p = start(["--json", "upload", "ada/restarted", tmp_path / "r.bin"], env)
        wait_until(lambda: proxy.carried["up"] > XORB + 4 * MB)
        hub.kill()
        time.sleep(0.7)
        hub.start()
        proxy.rate = 0
        out, err = p.communicate(timeout=120)
        assert p.returncode == 0, err
        # What was under way when it died travels twice, what was finished does not.
        assert json.loads(out)["bytes_sent"] < RESUMED + 3 * XORB
    download(hub, tmp_path / "h2", "ada/restarted", tmp_path / "got")
    assert (tmp_path / "got" / "r.bin").read_bytes() == (tmp_path / "r.bin").read_bytes()


@pytest.fixture(scope="module")
def large(hub, tmp_path_factory):
    folder = tmp_path_factory.mktemp("large")
    data = noise(RESUMED, 40)
    (folder / "l.bin").write_bytes(data)
    upload(hub, folder / "h", "ada/large", folder / "l.bin")
    return data


def test_a_killed_download_goes_on(hub, large, tmp_path):
    with Proxy(lambda: hub.port) as proxy:
        proxy.rate = 60 * MB
        env = env_of(proxy.url, hub, tmp_path / "h", HF_XET_CHUNK_CACHE_SIZE_BYTES="0")
        p = start(["download", "ada/large"], env)
        journals = lambda: list((tmp_path / "h" / "hub").glob("models--*/blobs/*.journal"))  # noqa: E731
        blocks = 1 if SANITIZED else 3
        wait_until(lambda: any(sum(bin(x).count("1") for x in f.read_bytes()[184:-8]) >= blocks for f in journals()))
        p.send_signal(signal.SIGKILL)
        p.communicate()
        assert not list((tmp_path / "h" / "hub").glob("models--*/snapshots/*/l.bin")), "a name for half a file"
        proxy.rate = 0
        out = json.loads(snug("--json", "download", "ada/large", env=env).stdout)
        assert out["bytes_fetched"] < len(large) - blocks * BLOCK + 2 * MB, out
        assert (Path(out["path"]) / "l.bin").read_bytes() == large


def test_a_restarted_server_during_a_download(hub, large, tmp_path):
    with Proxy(lambda: hub.port) as proxy:
        proxy.rate = 60 * MB
        env = env_of(proxy.url, hub, tmp_path / "h", HF_XET_CHUNK_CACHE_SIZE_BYTES="0")
        p = start(["--json", "download", "ada/large"], env)
        wait_until(lambda: proxy.carried["down"] > 20 * MB)
        hub.kill()
        time.sleep(0.7)
        hub.start()
        proxy.rate = 0
        out, err = p.communicate(timeout=120)
        assert p.returncode == 0, err
        out = json.loads(out)
        assert (Path(out["path"]) / "l.bin").read_bytes() == large
        assert out["bytes_fetched"] < len(large) * 1.02 + 2 * MB  # only torn records come again


# ---- the chunk cache ----

def cache_size(home):
    return sum(f.stat().st_size for f in (home / "xet" / "snug-chunks").rglob("*") if f.is_file())


def test_the_chunk_cache(hub, large, tmp_path):
    edited = large[:10 * MB] + noise(MB, 41) + large[10 * MB:]
    (tmp_path / "l.bin").write_bytes(edited)
    upload(hub, tmp_path / "up", "ada/edited", tmp_path / "l.bin")
    home, on = tmp_path / "h", {"HF_XET_CHUNK_CACHE_SIZE_BYTES": "400000000"}
    assert download(hub, home, "ada/large", tmp_path / "g1", **on)["bytes_fetched"] > len(large)
    again = download(hub, home, "ada/large", tmp_path / "g2", **on)
    assert again["bytes_fetched"] < MB, again
    # Damage on the disk is found, and what it hid is fetched.
    victim = max((home / "xet" / "snug-chunks").rglob("*.*-*"), key=lambda f: f.stat().st_size)
    size = victim.stat().st_size
    with open(victim, "r+b") as f:
        f.seek(size // 2)
        byte = f.read(1)
        f.seek(size // 2)
        f.write(bytes([byte[0] ^ 0x40]))
    again = download(hub, home, "ada/large", tmp_path / "g3", **on)
    assert 0 < again["bytes_fetched"] < 2 * BLOCK
    for g in ("g1", "g2", "g3"):
        assert (tmp_path / g / "l.bin").read_bytes() == large
    # Another version: what was kept is used where its blocks lie in the same place.
    download(hub, home, "ada/edited", tmp_path / "g4", **on)
    assert (tmp_path / "g4" / "l.bin").read_bytes() == edited


def test_the_cache_stays_within_its_bound(hub, large, tmp_path):
    """Four processes at once, one folder."""
    home, limit = tmp_path / "h", 100 << 20
    runs = [start(["--json", "download", "ada/large", "--local-dir", tmp_path / f"g{i}"],
                  env_of(hub.url, hub, home, HF_XET_CHUNK_CACHE_SIZE_BYTES=str(limit))) for i in range(4)]
    for i, p in enumerate(runs):
        out, err = p.communicate(timeout=240)
        assert p.returncode == 0, err
        assert (tmp_path / f"g{i}" / "l.bin").read_bytes() == large
    assert 0 < cache_size(home) <= limit * 1.25
    one = tmp_path / "one"
    download(hub, one, "ada/large", tmp_path / "g9", HF_XET_CHUNK_CACHE_SIZE_BYTES=str(limit))
    assert 0 < cache_size(one) <= limit
    off = tmp_path / "off"
    download(hub, off, "ada/large", tmp_path / "g10", HF_XET_CHUNK_CACHE_SIZE_BYTES="0")
    assert not (off / "xet" / "snug-chunks").exists()


# ---- what is told ----

def watch(command, env, seconds=90, until=None):
    """Runs with a terminal on standard error; returns (exit status, all that was drawn)."""
    master, slave = pty.openpty()
    p = subprocess.Popen([SNUG, *map(str, command)], env=dict(os.environ, **env), stdout=subprocess.DEVNULL, stderr=slave)
    os.close(slave)
    text, end = b"", time.time() + seconds
    while time.time() < end:
        try:
            part = os.read(master, 65536)
        except OSError:
            break
        if not part:
            break
        text += part
        if until:
            until(text.decode("utf-8", "replace"))
    os.close(master)
    return p.wait(timeout=10), text.decode("utf-8", "replace")


def percents(text):
    return [int(x) for x in re.findall(r"(\d+)%", text)]


def test_progress_goes_forward_and_names_a_stall(hub, large, tmp_path):
    with Proxy(lambda: hub.port) as proxy:
        proxy.rate = 25 * MB
        state = {}

        def disturb(text):
            shown = percents(text)
            if shown and shown[-1] >= 15 and "held" not in state:
                state["held"] = time.time()
                proxy.hold = True
            if "no answer for" in text and proxy.hold:
                proxy.hold = False
                proxy.cut_bytes = 4 * MB  # and cuts, which must not take it back
                proxy.rate = 60 * MB

        env = env_of(proxy.url, hub, tmp_path / "h", HF_XET_CHUNK_CACHE_SIZE_BYTES="0")
        code, text = watch(["download", "ada/large", "--local-dir", tmp_path / "got"], env, until=disturb)
        assert code == 0, text[-2000:]
        assert (tmp_path / "got" / "l.bin").read_bytes() == large
    shown = percents(text)
    assert len(shown) > 10 and shown == sorted(shown), shown
    assert re.search(r"no answer for \d+ s", text), text[-3000:]
    assert proxy.cuts > 3


def test_a_busy_server_is_named(hub, tmp_path):
    (tmp_path / "b.bin").write_bytes(noise(RESUMED // 2, 50))
    with Proxy(lambda: hub.port) as proxy:
        env = env_of(proxy.url, hub, tmp_path / "h")
        snug("repo", "create", "ada/busy", env=env)
        proxy.rate = 20 * MB

        def disturb(text):
            shown = percents(text)
            if shown and shown[-1] >= 55 and not proxy.busy and "503" not in text:
                proxy.busy, proxy.rate = True, 0
            if "the server answers 503" in text:
                proxy.busy = False

        code, text = watch(["upload", "ada/busy", tmp_path / "b.bin"], env, until=disturb)
        assert code == 0, text[-2000:]
    assert "the server answers 503" in text, text[-3000:]
    shown = percents(text)
    assert shown == sorted(shown), shown


def test_a_full_disk_is_named(hub, large, tmp_path):
    place = tmp_path / "small"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", place], capture_output=True).returncode != 0:
        pytest.skip("no right to mount a small file system here")
    try:
        p = snug("download", "ada/large", "--local-dir", place / "got", env=env_of(hub.url, hub, tmp_path / "h"), check=False)
        assert p.returncode != 0 and "disk" in p.stderr, p
        assert not (place / "got" / "l.bin").exists()
    finally:
        subprocess.run(["umount", place], check=True)


# ---- memory ----

def peak_mb(command, env):
    """Of the program alone: what the system reports for a child counts its parent's pages before the exec."""
    p = subprocess.Popen([SNUG, *map(str, command)], env=dict(os.environ, **env), stdout=subprocess.DEVNULL,
                         stderr=subprocess.PIPE, text=True)
    peak = 0
    while p.poll() is None:
        m = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{p.pid}/status").read_text())
        peak = max(peak, int(m.group(1)) if m else 0)
        time.sleep(0.01)
    assert p.returncode == 0, p.stderr.read()
    return peak / 1000


@pytest.mark.skipif(SANITIZED, reason="sanitizers have a memory of their own")
@pytest.mark.parametrize("size", [300 * MB, pytest.param(2000 * MB, marks=pytest.mark.skipif(
    os.environ.get("SNUG_TEST_BIG") != "1", reason="SNUG_TEST_BIG=1 sends 2 GB"))])
def test_memory_is_flat(hub, tmp_path, size):
    h = hashlib.sha256()
    with open(tmp_path / "m.bin", "wb") as f:
        rnd = random.Random(size)
        for _ in range(size // (10 * MB)):
            part = rnd.randbytes(10 * MB)
            f.write(part)
            h.update(part)
    env = env_of(hub.url, hub, tmp_path / "h")
    repo = f"ada/flat{size}"
    snug("repo", "create", repo, env=env)
    up = peak_mb(["upload", repo, tmp_path / "m.bin"], env)
    (tmp_path / "m.bin").unlink()
    down = peak_mb(["download", repo, "--local-dir", tmp_path / "got"], env)
    print(f"peak resident: {up:.0f} MB up, {down:.0f} MB down for {size // MB} MB")
    with open(tmp_path / "got" / "m.bin", "rb") as f:
        assert hashlib.file_digest(f, "sha256").hexdigest() == h.hexdigest()
    assert up < 190 and down < 120, (up, down)
    shutil.rmtree(tmp_path / "got")
