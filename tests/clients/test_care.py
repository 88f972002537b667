# SPDX-License-Identifier: Apache-2.0
"""Files that came whole are kept in chunks: every door gives the same bytes; collecting, verifying and
counting go on beside a running server and stock clients."""

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from harness import snug

MEDIA = {"Content-Type": "application/vnd.git-lfs+json", "Accept": "application/vnd.git-lfs+json"}


def noise(size, seed):
    return random.Random(f"care {seed}").randbytes(size)  # nobody else's: what is shared is counted


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def client(server, token, home, code, **env):
    """Runs Python with a cache folder of its own: another machine, as far as the client can tell."""
    full = dict(os.environ, HF_HOME=str(home), HF_ENDPOINT=server.url, HF_TOKEN=token,
                HF_HUB_DISABLE_PROGRESS_BARS="1", HF_HUB_DISABLE_TELEMETRY="1")
    full.pop("HF_HUB_DISABLE_XET", None)
    full.update(env)
    p = subprocess.run([sys.executable, "-c", code], env=full, capture_output=True, text=True, timeout=300)
    assert p.returncode == 0, p.stdout + p.stderr
    return p.stdout.strip()


def wait_chunked(server, repo, path, token=None):
    end = time.time() + 60
    while time.time() < end:
        status, head, _ = server.request("HEAD", f"/{repo}/resolve/main/{path}", token=token)
        assert status == 200
        if "x-xet-hash" in head:
            return head["x-xet-hash"]
        time.sleep(0.2)
    raise AssertionError(f"{path} is still whole\n" + server.log_text()[-2000:])


def blob_path(server, data):
    name = sha256(data)
    return server.data / "blobs" / name[:2] / name[2:4] / name


UPLOAD = """
from huggingface_hub import HfApi
HfApi().upload_folder(folder_path={folder!r}, repo_id={repo!r})
"""
DOWNLOAD = """
import hashlib
from huggingface_hub import hf_hub_download
print(hashlib.sha256(open(hf_hub_download({repo!r}, {path!r}), "rb").read()).hexdigest())
"""


@pytest.fixture(scope="module")
def kept(api, server, tmp_path_factory):
    """ada/kept: files that came by LFS, basic and in parts, and are in chunks now."""
    folder = tmp_path_factory.mktemp("kept")
    files = {"small.bin": noise(3_000_000, 1), "large.bin": noise(40_000_000, 2),
             "again.bin": noise(40_000_000, 2)[:30_000_000] + b"tail" * 1000}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    api.create_repo("ada/kept")
    client(server, server.ada, tmp_path_factory.mktemp("home"),
           UPLOAD.format(folder=str(folder), repo="ada/kept"), HF_HUB_DISABLE_XET="1")
    for name in files:
        wait_chunked(server, "ada/kept", name)
    return files


def test_the_whole_copies_are_gone(kept, server):
    for name, data in kept.items():
        end = time.time() + 30
        while blob_path(server, data).exists() and time.time() < end:
            time.sleep(0.2)
        assert not blob_path(server, data).exists(), name


def test_resolve_with_ranges(kept, server):
    data = kept["large.bin"]
    path = "/ada/kept/resolve/main/large.bin"
    status, head, body = server.request("GET", path)
    assert status == 200 and body == data and head["etag"] == f'"{sha256(data)}"'
    for first, last in ((0, 0), (65_535, 65_536), (12_345_678, 23_456_789), (len(data) - 5, len(data) - 1)):
        status, _, body = server.request("GET", path, headers={"Range": f"bytes={first}-{last}"})
        assert status == 206 and body == data[first:last + 1]


def test_lfs(kept, server):
    data = kept["small.bin"]
    body = {"operation": "download", "objects": [{"oid": sha256(data), "size": len(data)}]}
    status, _, reply = server.request("POST", "/ada/kept.git/info/lfs/objects/batch", body, headers=MEDIA)
    href = json.loads(reply)["objects"][0]["actions"]["download"]["href"]
    status, _, got = server.request("GET", href[len(server.url):])
    assert status == 200 and got == data
    # Sent again it is here: no action.
    body["operation"] = "upload"
    status, _, reply = server.request("POST", "/ada/kept.git/info/lfs/objects/batch", body, headers=MEDIA,
                                      token=server.ada)
    assert status == 200 and "actions" not in json.loads(reply)["objects"][0]


def test_xet_client(kept, server, tmp_path):
    for name, data in kept.items():
        got = client(server, server.ada, tmp_path, DOWNLOAD.format(repo="ada/kept", path=name))
        assert got == sha256(data), name


@pytest.mark.skipif(shutil.which("git-lfs") is None, reason="git-lfs is not installed")
def test_git(kept, server, tmp_path):
    env = dict(os.environ, GIT_TERMINAL_PROMPT="0", HOME=str(tmp_path))
    subprocess.run(["git", "lfs", "install"], env=env, check=True, capture_output=True)
    subprocess.run(["git", "clone", "-q", f"{server.url}/ada/kept", str(tmp_path / "kept")], env=env, check=True)
    for name, data in kept.items():
        assert sha256((tmp_path / "kept" / name).read_bytes()) == sha256(data), name


def test_an_upload_by_xet_shares_the_chunks(kept, api, server, tmp_path):
    """What the background cut, stock clients find: a changed file sends what is new."""
    def received():
        text = server.request("GET", "/metrics")[2].decode()
        return int(next(x for x in text.splitlines()
                        if x.startswith("snug_http_request_bytes_total ")).split()[1])

    data = kept["large.bin"] + noise(1_000_000, 77)
    (tmp_path / "up").mkdir()
    (tmp_path / "up" / "longer.bin").write_bytes(data)
    before = received()
    client(server, server.ada, tmp_path, UPLOAD.format(folder=str(tmp_path / "up"), repo="ada/kept"))
    assert received() - before < 45_000_000
    assert sha256(server.request("GET", "/ada/kept/resolve/main/longer.bin")[2]) == sha256(data)
    report = json.loads(server.snug("storage", "ada/kept", "--json"))
    assert report["logical_bytes"] > 113_000_000
    assert report["stored_bytes"] < 60_000_000, report


def test_report(kept, server, bob):
    bob.create_repo("bob/private-copy", private=True)
    data = kept["small.bin"]
    status, _, body = server.request("GET", "/api/models/ada/kept/storage", token=server.ada)
    assert status == 200
    report = json.loads(body)
    assert report["chunkedObjects"] >= 3 and report["savedBytes"] > 25_000_000 and 0.2 < report["saving"] < 1
    put = {"operation": "upload", "objects": [{"oid": sha256(data), "size": len(data)}], "transfers": ["basic"]}
    _, _, reply = server.request("POST", "/bob/private-copy.git/info/lfs/objects/batch", put, headers=MEDIA,
                                 token=server.bob)
    href = json.loads(reply)["objects"][0]["actions"]["upload"]["href"]
    assert server.request("PUT", href[len(server.url):], data)[0] == 200
    time.sleep(3)
    status, _, body = server.request("GET", "/api/models/bob/private-copy/storage", token=server.bob)
    assert status == 200
    assert [r["id"] for r in json.loads(body)["sharedWith"]] == ["ada/kept"]
    # An administrator sees the private one; a reader of ada/kept is told nothing at all.
    assert server.request("GET", "/api/models/ada/kept/storage", token=server.bob)[0] == 403
    assert server.request("GET", "/api/models/ada/kept/storage")[0] == 403
    assert server.request("GET", "/api/models/bob/private-copy/storage")[0] == 401
    assert server.request("GET", "/api/admin/storage", token=server.bob)[0] == 403
    assert server.request("GET", "/api/admin/storage")[0] == 401
    status, _, body = server.request("GET", "/api/admin/storage", token=server.ada)
    assert status == 200 and json.loads(body)["xorbs"] > 0


def test_collecting_beside_uploads(kept, api, server, tmp_path):
    """Stock uploads by both ways while collections run without a pause: all of them arrive."""
    stop, seen = threading.Event(), []

    def collect():
        while not stop.is_set():
            p = snug("gc", "--grace", "1h", "--json", "--data", server.data, check=False)
            assert p.returncode in (0, 8), p.stderr
            seen.append(p.returncode)

    t = threading.Thread(target=collect)
    t.start()
    try:
        for i in range(4):
            folder = tmp_path / f"u{i}"
            folder.mkdir()
            for k in range(3):
                (folder / f"r{i}-{k}.bin").write_bytes(noise(2_000_000, 1000 + 10 * i + k))
            client(server, server.ada, tmp_path / f"h{i}", UPLOAD.format(folder=str(folder), repo="ada/kept"),
                   **({"HF_HUB_DISABLE_XET": "1"} if i % 2 else {}))
    finally:
        stop.set()
        t.join()
    assert 0 in seen
    for i in range(4):
        for k in range(3):
            got = server.request("GET", f"/ada/kept/resolve/main/r{i}-{k}.bin")[2]
            assert sha256(got) == sha256(noise(2_000_000, 1000 + 10 * i + k))


def test_unused_is_listed_and_removed(kept, api, server):
    data = noise(500_000, 4711)
    put = {"operation": "upload", "objects": [{"oid": sha256(data), "size": len(data)}], "transfers": ["basic"]}
    _, _, reply = server.request("POST", "/ada/kept.git/info/lfs/objects/batch", put, headers=MEDIA,
                                 token=server.ada)
    href = json.loads(reply)["objects"][0]["actions"]["upload"]["href"]
    assert server.request("PUT", href[len(server.url):], data)[0] == 200
    listed = json.loads(server.snug("gc", "--dry-run", "--grace", "0", "--json"))
    mine = [i for i in listed["items"] if sha256(data) in i["name"]]
    assert {i["kind"] for i in mine} == {"link", "blob"} and all(i["state"] == "due" for i in mine)
    assert mine[0]["repo"] == "models/ada/kept"
    assert blob_path(server, data).exists()
    done = json.loads(server.snug("gc", "--grace", "0", "--json"))
    assert done["removed"] >= 2 and done["freed_bytes"] >= len(data)
    assert not blob_path(server, data).exists()
    assert server.request("GET", "/ada/kept/resolve/main/small.bin")[2] == kept["small.bin"]


def test_verify(kept, server):
    report = json.loads(server.snug("fsck", "--json"))
    assert report["damaged"] == 0 and report["findings"] == [], report
    assert report["files"] >= 3 and report["bytes_read"] > 100_000_000
    data = noise(400_000, 99)
    put = {"operation": "upload", "objects": [{"oid": sha256(data), "size": len(data)}], "transfers": ["basic"]}
    _, _, reply = server.request("POST", "/ada/kept.git/info/lfs/objects/batch", put, headers=MEDIA,
                                 token=server.ada)
    href = json.loads(reply)["objects"][0]["actions"]["upload"]["href"]
    assert server.request("PUT", href[len(server.url):], data)[0] == 200
    path = Path(blob_path(server, data))
    os.chmod(path, 0o600)
    with open(path, "r+b") as f:
        f.seek(1000)
        f.write(b"spoilt")
    p = snug("fsck", "--data", server.data, check=False)
    assert p.returncode == 7 and f"damaged    blob  {sha256(data)}" in p.stdout, p.stdout + p.stderr
    path.unlink()
    server.snug("gc", "--grace", "0")
    server.snug("fsck", "--quick")
