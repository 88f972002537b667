# SPDX-License-Identifier: Apache-2.0
"""huggingface_hub as pip installs it, with hf-xet: large files travel in chunks."""

import hashlib
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from harness import SANITIZED

MB = 1_000_000
BIG = 20 * MB if SANITIZED else 90 * MB


def noise(size, seed):
    r = random.Random(seed)
    return b"".join(r.randbytes(min(10 * MB, size - at)) for at in range(0, size, 10 * MB))


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def received(server):
    """Bytes of request bodies so far."""
    text = server.request("GET", "/metrics")[2].decode()
    return int(next(x for x in text.splitlines() if x.startswith("snug_http_request_bytes_total ")).split()[1])


def elsewhere(server, token, home, code, **env):
    """Runs Python with a cache folder of its own: another machine, as far as the client can tell."""
    full = dict(os.environ, HF_HOME=str(home), HF_ENDPOINT=server.url, HF_TOKEN=token,
                HF_HUB_DISABLE_PROGRESS_BARS="1", HF_HUB_DISABLE_TELEMETRY="1", **env)
    p = subprocess.run([sys.executable, "-c", code], env=full, capture_output=True, text=True, timeout=300)
    assert p.returncode == 0, p.stdout + p.stderr
    return p.stdout.strip()


DOWNLOAD = """
import sys, hashlib
from huggingface_hub import hf_hub_download
print(hashlib.sha256(open(hf_hub_download({repo!r}, {path!r}), "rb").read()).hexdigest())
"""
UPLOAD = """
from huggingface_hub import HfApi
HfApi().upload_file(path_or_fileobj={file!r}, path_in_repo={path!r}, repo_id={repo!r})
"""


@pytest.fixture(scope="module", autouse=True)
def only_with_xet(hub_home):
    if os.environ.get("HF_HUB_DISABLE_XET"):
        pytest.skip("this pass goes by LFS")


@pytest.fixture(scope="module")
def chunked(api, tmp_path_factory):
    """ada/chunked with a file of each size: path -> content."""
    folder = tmp_path_factory.mktemp("chunked")
    files = {f"f{n}.bin": noise(n, n + 1) for n in (0, 1, 100_000, 30 * MB)}
    files["zeros.bin"] = bytes(5 * MB)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    api.create_repo("ada/chunked")
    api.upload_folder(folder_path=folder, repo_id="ada/chunked")
    return files


def test_every_size_comes_back(chunked, api, server, tmp_path):
    for name, data in chunked.items():
        path = api.hf_hub_download("ada/chunked", name, cache_dir=tmp_path)
        assert sha256(Path(path).read_bytes()) == sha256(data), name


def test_listing_names_the_xet_hash(chunked, api, server):
    status, _, body = server.request("GET", "/api/models/ada/chunked/tree/main?recursive=true")
    assert status == 200
    entries = {e["path"]: e for e in json.loads(body)}
    for name, data in chunked.items():
        e = entries[name]
        assert e["size"] == len(data)
        assert ("xetHash" in e) == (len(data) > 0), e
        if data:
            assert e["lfs"]["oid"] == sha256(data)
            _, head, _ = server.request("HEAD", f"/ada/chunked/resolve/main/{name}")
            assert head["x-xet-hash"] == e["xetHash"]
            assert head["etag"] == f'"{sha256(data)}"'
            assert int(head["content-length"]) == len(data)
            assert 'rel="xet-auth"' in head["link"] and 'rel="xet-reconstruction-info"' in head["link"]


def test_plain_http_gives_the_same_bytes(chunked, server):
    data = chunked["f30000000.bin"]
    path = "/ada/chunked/resolve/main/f30000000.bin"
    status, head, body = server.request("GET", path)
    assert status == 200 and sha256(body) == sha256(data)
    for first, last in ((0, 0), (1, 70_000), (12_345_678, 23_456_789), (len(data) - 5, len(data) - 1)):
        status, head, body = server.request("GET", path, headers={"Range": f"bytes={first}-{last}"})
        assert status == 206 and body == data[first:last + 1]
        assert head["content-range"] == f"bytes {first}-{last}/{len(data)}"
    status, head, _ = server.request("GET", path, headers={"Range": f"bytes={len(data)}-"})
    assert status == 416 and head["content-range"] == f"bytes */{len(data)}"
    status, _, body = server.request("GET", path, headers={"If-None-Match": f'"{sha256(data)}"'})
    assert status == 304 and body == b""


def test_lfs_gives_the_same_bytes(chunked, server):
    data = chunked["f100000.bin"]
    media = {"Content-Type": "application/vnd.git-lfs+json", "Accept": "application/vnd.git-lfs+json"}
    body = {"operation": "download", "objects": [{"oid": sha256(data), "size": len(data)}]}
    status, _, reply = server.request("POST", "/ada/chunked.git/info/lfs/objects/batch", body, headers=media)
    assert status == 200
    href = json.loads(reply)["objects"][0]["actions"]["download"]["href"]
    status, _, got = server.request("GET", href[len(server.url):])
    assert status == 200 and got == data


def test_edit_sends_only_what_is_new(api, server, tmp_path):
    data = noise(BIG, 77)
    half = len(data) // 2
    edited = data[:half] + noise(MB, 78) + data[half:]
    (tmp_path / "a.bin").write_bytes(data)
    (tmp_path / "b.bin").write_bytes(edited)
    (tmp_path / "c.bin").write_bytes(edited + noise(MB, 79))
    api.create_repo("ada/edits")
    before = received(server)
    api.upload_file(path_or_fileobj=tmp_path / "a.bin", path_in_repo="a.bin", repo_id="ada/edits")
    assert received(server) - before >= len(data)
    before = received(server)
    api.upload_file(path_or_fileobj=tmp_path / "b.bin", path_in_repo="a.bin", repo_id="ada/edits")
    assert received(server) - before < 1.5 * MB
    # The same from a machine that has seen nothing: it has to ask.
    before = received(server)
    elsewhere(server, server.ada, tmp_path / "home",
              UPLOAD.format(file=str(tmp_path / "c.bin"), path="c.bin", repo="ada/edits"))
    assert received(server) - before < 2.5 * MB
    got = elsewhere(server, server.ada, tmp_path / "home2", DOWNLOAD.format(repo="ada/edits", path="c.bin"))
    assert got == sha256(edited + noise(MB, 79))


def test_known_file_in_another_repository(api, server, tmp_path):
    data = noise(3 * MB, 5)
    (tmp_path / "x.bin").write_bytes(data)
    for repo in ("ada/first", "ada/second"):
        api.create_repo(repo)
        before = received(server)
        api.upload_file(path_or_fileobj=tmp_path / "x.bin", path_in_repo="x.bin", repo_id=repo)
    assert received(server) - before < 100_000
    api.delete_repo("ada/first")
    got = elsewhere(server, server.ada, tmp_path / "home", DOWNLOAD.format(repo="ada/second", path="x.bin"))
    assert got == sha256(data)


def test_private_chunks_are_not_told(api, bob, server, tmp_path):
    data = noise(3 * MB, 6)
    (tmp_path / "p.bin").write_bytes(data)
    api.create_repo("ada/hidden", private=True)
    api.upload_file(path_or_fileobj=tmp_path / "p.bin", path_in_repo="p.bin", repo_id="ada/hidden")
    got = elsewhere(server, server.ada, tmp_path / "h1", DOWNLOAD.format(repo="ada/hidden", path="p.bin"))
    assert got == sha256(data)
    bob.create_repo("bob/copy")
    before = received(server)
    elsewhere(server, server.bob, tmp_path / "h2",
              UPLOAD.format(file=str(tmp_path / "p.bin"), path="p.bin", repo="bob/copy"))
    assert received(server) - before >= len(data)  # everything, as if nobody had it
    got = elsewhere(server, server.bob, tmp_path / "h3", DOWNLOAD.format(repo="bob/copy", path="p.bin"))
    assert got == sha256(data)


def test_the_same_cache_serves_two_accounts(api, bob, server, tmp_path):
    """What one account's client remembers must not make another's upload fail."""
    data = noise(2 * MB, 9)
    (tmp_path / "s.bin").write_bytes(data)
    api.create_repo("ada/shared-cache", private=True)
    bob.create_repo("bob/shared-cache")
    for token, repo in ((server.ada, "ada/shared-cache"), (server.bob, "bob/shared-cache")):
        elsewhere(server, token, tmp_path / "home", UPLOAD.format(file=str(tmp_path / "s.bin"), path="s.bin", repo=repo))
        got = elsewhere(server, token, tmp_path / "home-2", DOWNLOAD.format(repo=repo, path="s.bin"))
        assert got == sha256(data)


def test_both_ways_between_lfs_and_xet(api, server, tmp_path):
    data, other = noise(4 * MB, 10), noise(4 * MB, 11)
    (tmp_path / "lfs.bin").write_bytes(data)
    (tmp_path / "xet.bin").write_bytes(other)
    api.create_repo("ada/bridge")
    elsewhere(server, server.ada, tmp_path / "h1",
              UPLOAD.format(file=str(tmp_path / "lfs.bin"), path="lfs.bin", repo="ada/bridge"), HF_HUB_DISABLE_XET="1")
    elsewhere(server, server.ada, tmp_path / "h1",
              UPLOAD.format(file=str(tmp_path / "xet.bin"), path="xet.bin", repo="ada/bridge"))
    for off in ("0", "1"):
        for path, want in (("lfs.bin", data), ("xet.bin", other)):
            got = elsewhere(server, server.ada, tmp_path / f"h2{off}",
                            DOWNLOAD.format(repo="ada/bridge", path=path), HF_HUB_DISABLE_XET=off)
            assert got == sha256(want), (off, path)


def test_snapshot(chunked, api, server, tmp_path):
    code = "from huggingface_hub import snapshot_download; print(snapshot_download('ada/chunked'))"
    folder = Path(elsewhere(server, server.ada, tmp_path / "home", code))
    for name, data in chunked.items():
        assert (folder / name).read_bytes() == data, name
