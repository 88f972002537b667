# SPDX-License-Identifier: Apache-2.0
"""Pairs of huggingface_hub and hf-xet as they were released together, the JavaScript client and our own: what one of
them sends comes back byte for byte through every door.

SNUG_TEST_BIG=1 adds a file of 2 GB and checks what it costs our client in memory."""

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness import SANITIZED, SNUG
from venvs import PAIRS, Unavailable, venv

MB = 1_000_000
JS = Path(__file__).parent / "js"
BIG = os.environ.get("SNUG_TEST_BIG") == "1"
LARGE = 12 * MB if SANITIZED else 300 * MB  # by one pair; the others take the smaller ones
SENDERS = ["hub-0.30.2", "hub-0.34.6", "latest", "js-xet", "js-lfs", "snug-xet", "snug-lfs"]

SEND = """
import sys, os
from huggingface_hub import HfApi
HfApi().upload_folder(repo_id=sys.argv[1], folder_path=sys.argv[2])
"""
FETCH = """
import sys
from huggingface_hub import snapshot_download
snapshot_download(sys.argv[1], local_dir=sys.argv[2])
"""
VERSIONS = """
import importlib.metadata as m
print(m.version("huggingface_hub"), m.version("hf_xet"))
"""


def write_noise(path, size, seed):
    rnd, h = random.Random(seed), hashlib.sha256()
    with open(path, "wb") as f:
        while size:
            part = rnd.randbytes(min(size, 8 * MB))
            f.write(part)
            h.update(part)
            size -= len(part)
    return h.hexdigest()


def digest(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def check_folder(folder, want):
    for name, (size, sha) in want.items():
        assert (folder / name).stat().st_size == size and digest(folder / name) == sha, name
    shutil.rmtree(folder)


def python_of(name):
    if name == "latest":
        return sys.executable
    try:
        return venv(name, PAIRS[name])
    except Unavailable as e:
        pytest.skip(f"{name}: {e}")


@pytest.fixture(scope="module", autouse=True)
def only_once():
    if os.environ.get("HF_HUB_DISABLE_XET"):
        pytest.skip("this pass goes by LFS; the pairs choose for themselves")


def run(command, server, home, timeout=300, **extra):
    env = dict(os.environ, HF_ENDPOINT=server.url, HF_TOKEN=server.ada, HF_HOME=str(home),
               HF_HUB_DISABLE_PROGRESS_BARS="1", HF_HUB_DISABLE_TELEMETRY="1", **extra)
    p = subprocess.run([str(x) for x in command], env=env, capture_output=True, text=True, timeout=timeout)
    assert p.returncode == 0, p.stdout[-3000:] + p.stderr[-3000:]
    return p.stdout


def sizes_for(sender):
    sizes = [0, 1, 511, 65_536, 131_073, 1_000_003, 12 * MB]
    if sender == "latest":
        sizes.append(LARGE)
    elif sender in PAIRS and not SANITIZED:
        sizes.append(70 * MB)  # more than one xorb
    return sizes


@pytest.fixture(scope="module", params=SENDERS)
def sent(request, server, api, tmp_path_factory):
    """ada/by-<sender> with a file of each size: (sender, repo, {name: (size, sha256)}, folder)."""
    sender, repo = request.param, f"ada/by-{request.param}"
    folder = tmp_path_factory.mktemp(sender)
    up, home = folder / "up", folder / "home"
    up.mkdir()
    want = {}
    for size in sizes_for(sender):
        name = f"f{size}.bin"
        want[name] = (size, write_noise(up / name, size, f"{sender} {size}"))
    api.create_repo(repo)
    if sender.startswith("js"):
        if not shutil.which("node") or not (JS / "node_modules" / "@huggingface" / "hub").exists():
            pytest.skip("Node.js or @huggingface/hub from npm is not installed")
        out = run(["node", JS / "transfer.mjs"], server, home, HUB_URL=server.url, HUB_TOKEN=server.ada, REPO=repo,
                  USE_XET="1" if sender == "js-xet" else "0", FOLDER=str(up), GOT=str(folder / "got"))
        assert "done" in out
        check_folder(folder / "got", want)  # what it read back itself
    elif sender.startswith("snug"):
        run([SNUG, "upload", repo, up, *(["--no-xet"] if sender == "snug-lfs" else [])], server, home)
    else:
        python = python_of(sender)
        if sender in PAIRS:
            pinned = [x.split("==")[1] for x in PAIRS[sender]]
            assert run([python, "-c", VERSIONS], server, home).split() == pinned
        run([python, "-c", SEND, repo, up], server, home)
    yield sender, repo, want, folder
    shutil.rmtree(folder, ignore_errors=True)


def test_stored_as_it_was_sent(sent, server):
    """Large files came in chunks from those who speak Xet, and whole from those who do not."""
    sender, repo, want, _ = sent
    status, _, body = server.request("GET", f"/api/models/{repo}/tree/main?recursive=true")
    assert status == 200
    entries = {e["path"]: e for e in json.loads(body)}
    for name, (size, sha) in want.items():
        assert entries[name]["size"] == size
        if size > 10 * MB:
            assert entries[name]["lfs"]["oid"] == sha
            if not sender.endswith("lfs"):
                assert "xetHash" in entries[name], (sender, name)


def test_resolve(sent, server):
    _, repo, want, folder = sent
    for name, (size, sha) in want.items():
        status, _, body = server.request("GET", f"/{repo}/resolve/main/{name}", timeout=120)
        assert status == 200 and len(body) == size and hashlib.sha256(body).hexdigest() == sha
        rnd = random.Random(size)
        for _ in range(4 if size else 0):
            a = rnd.randrange(size)
            b = min(size - 1, a + rnd.randrange(3 * MB))
            status, head, part = server.request("GET", f"/{repo}/resolve/main/{name}", headers={"Range": f"bytes={a}-{b}"})
            assert status == 206 and head["content-range"] == f"bytes {a}-{b}/{size}"
            assert part == body[a:b + 1]


def test_lfs_batch(sent, server):
    _, repo, want, _ = sent
    media = {"Content-Type": "application/vnd.git-lfs+json", "Accept": "application/vnd.git-lfs+json"}
    large = {n: v for n, v in want.items() if v[0] > 10 * MB}
    body = {"operation": "download", "objects": [{"oid": sha, "size": size} for size, sha in large.values()]}
    status, _, reply = server.request("POST", f"/{repo}.git/info/lfs/objects/batch", body, server.ada, media)
    assert status == 200
    for o in json.loads(reply)["objects"]:
        status, _, got = server.request("GET", o["actions"]["download"]["href"][len(server.url):], timeout=120)
        assert status == 200 and hashlib.sha256(got).hexdigest() == o["oid"]


@pytest.mark.parametrize("reader", ["hub-0.30.2", "hub-0.34.6", "latest", "latest-lfs", "snug-xet", "snug-lfs"])
def test_every_reader(sent, server, tmp_path, reader):
    sender, repo, want, _ = sent
    off = {"HF_HUB_DISABLE_XET": "1"} if reader == "latest-lfs" else {}
    if reader.startswith("snug"):
        run([SNUG, "download", repo, "--local-dir", tmp_path / "got", *(["--no-xet"] if reader == "snug-lfs" else [])],
            server, tmp_path / "home")
    else:
        run([python_of("latest" if off else reader), "-c", FETCH, repo, tmp_path / "got"], server, tmp_path / "home", **off)
    check_folder(tmp_path / "got", want)


def test_git(sent, server, tmp_path):
    _, repo, want, _ = sent
    if not shutil.which("git-lfs"):
        pytest.skip("git-lfs is not installed")
    env = dict(os.environ, GIT_TERMINAL_PROMPT="0", GIT_CONFIG_NOSYSTEM="1", HOME=str(tmp_path))
    subprocess.run(["git", "lfs", "install"], env=env, check=True, capture_output=True)
    p = subprocess.run(["git", "clone", "-q", f"{server.url}/{repo}", tmp_path / "clone"], env=env, capture_output=True, text=True,
                       timeout=300)
    assert p.returncode == 0, p.stderr
    for name, (size, sha) in want.items():
        assert digest(tmp_path / "clone" / name) == sha, name
    shutil.rmtree(tmp_path / "clone")


@pytest.mark.skipif(not BIG, reason="SNUG_TEST_BIG=1 sends 2 GB through every client")
@pytest.mark.parametrize("sender", ["hub-0.30.2", "hub-0.34.6", "latest", "snug-xet"])
def test_two_gigabytes(api, server, tmp_path, sender):
    repo, up = f"ada/huge-{sender}", tmp_path / "up"
    up.mkdir()
    sha = write_noise(up / "huge.bin", 2_000_000_000, sender)
    api.create_repo(repo)
    home = tmp_path / "home"
    if sender == "snug-xet":
        run([SNUG, "upload", repo, up], server, home, timeout=600)
    else:
        run([python_of(sender), "-c", SEND, repo, up], server, home, timeout=600)
    shutil.rmtree(up)
    for reader in ("snug-xet", sender):
        if reader == "snug-xet":
            run([SNUG, "download", repo, "--local-dir", tmp_path / "got"], server, tmp_path / "h2", timeout=600)
        else:
            run([python_of(reader), "-c", FETCH, repo, tmp_path / "got"], server, tmp_path / "h3", timeout=600)
        assert digest(tmp_path / "got" / "huge.bin") == sha
        shutil.rmtree(tmp_path / "got")
