# SPDX-License-Identifier: Apache-2.0
"""Programs that people drive the hub with: hf and huggingface-cli, datasets, transformers, curl."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness import Server
from test_huggingface_hub import fill, sha256
from test_matrix import VERSIONS
from venvs import Unavailable, venv

HERE = Path(__file__).parent
LIBRARIES = ["datasets==5.2.0", "transformers==5.23.0", "jinja2==3.1.6"]
# Which version's command line: the program, its words for whoami, and for making a repository; None: it would
# ask before it does, so that is done for it.
COMMANDS = {
    "latest": ("hf", ["auth", "whoami"], ["repos", "create"]),
    "1.0.1": ("hf", ["auth", "whoami"], ["repo", "create"]),
    "0.36.2": ("hf", ["auth", "whoami"], ["repo", "create"]),
    "0.30.2": ("huggingface-cli", ["whoami"], None),
    "0.20.3": ("huggingface-cli", ["whoami"], None),
}


def python_of(name, requirements):
    if requirements is None:
        return Path(sys.executable)
    try:
        return venv(name, requirements)
    except Unavailable as e:
        pytest.skip(f"{name} could not be installed: {e}")


def environment(server, home):
    env = dict(os.environ, HF_ENDPOINT=server.url, HF_TOKEN=server.ada, HF_HOME=str(home), HOME=str(home))
    env.pop("HF_HUB_DISABLE_XET", None)
    return env


@pytest.mark.parametrize("version", COMMANDS)
def test_command_line(server, api, tmp_path, version):
    program, whoami, create = COMMANDS[version]
    tool = python_of(f"hub-{version}", VERSIONS[version]).parent / program
    env = environment(server, tmp_path)
    repo = f"ada/cli-{version.replace('.', '')}"

    def run(*args, ok=True):
        p = subprocess.run([tool, *args], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert (p.returncode == 0) == ok, (args, p.stdout[-1500:], p.stderr[-3000:])
        return p.stdout + p.stderr

    assert "ada" in run(*whoami)
    if create is None:
        api.create_repo(repo, private=True)
    else:
        run(*create, repo, "--private")
    assert api.model_info(repo).private
    (tmp_path / "up").mkdir()
    digest = fill(tmp_path / "up" / "w.safetensors", 2_000_000, seed=7)
    (tmp_path / "up" / "config.json").write_text("{}")
    (tmp_path / "up" / "no.tmp").write_text("x")
    run("upload", repo, "up", ".", "--exclude", "*.tmp", "--commit-message", "from the command line")
    run("upload", repo, "up/config.json", "deep/config.json")
    files = api.list_repo_files(repo)
    assert {"w.safetensors", "config.json", "deep/config.json"} <= set(files) and "no.tmp" not in files
    run("download", repo, "--include", "*.safetensors", "--local-dir", "down")
    assert sha256(tmp_path / "down" / "w.safetensors") == digest
    assert not (tmp_path / "down" / "config.json").exists()
    env["HF_TOKEN"] = server.bob
    told = run("download", repo, "config.json", ok=False)
    assert "404" in told or "not found" in told.lower() or "401" in told, told


def test_datasets_and_transformers(server, tmp_path):
    python = python_of("libs", LIBRARIES)
    p = subprocess.run([python, HERE / "libraries.py"], env=environment(server, tmp_path), cwd=tmp_path,
                       capture_output=True, text=True, timeout=600)
    assert p.returncode == 0 and "libraries: done" in p.stdout, p.stdout[-2000:] + p.stderr[-6000:]


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
@pytest.mark.parametrize("path", ["large.bin", "small.txt"])
def test_curl_resumes(server, api, tmp_path, path):
    api.create_repo("ada/curl", private=True, exist_ok=True)
    size = 12_000_000 if path == "large.bin" else 90_000
    digest = fill(tmp_path / "whole", size, seed=3)
    api.upload_file(path_or_fileobj=str(tmp_path / "whole"), path_in_repo=path, repo_id="ada/curl")
    url = f"{server.url}/ada/curl/resolve/main/{path}"

    def curl(*args):
        return subprocess.run(["curl", "-sS", "-L", "-H", f"Authorization: Bearer {server.ada}", *map(str, args), url],
                              capture_output=True, timeout=120)

    part = tmp_path / "part"
    cut = size // 3
    assert curl("-r", f"0-{cut - 1}", "-o", part).returncode == 0
    assert part.stat().st_size == cut
    assert curl("-C", "-", "-o", part).returncode == 0  # asks for the rest
    assert sha256(part) == digest
    assert curl("-C", "-", "-o", part).returncode == 0  # there is no more: 416, and the file stays
    assert sha256(part) == digest
    head = curl("-I").stdout.decode().lower()
    assert "accept-ranges: bytes" in head and f"x-linked-size: {size}" in head or path == "small.txt"
    tag = next(x for x in head.splitlines() if x.startswith("etag:")).split(":", 1)[1].strip()
    fresh = tmp_path / "unchanged"
    again = curl("-H", f"If-None-Match: {tag}", "-w", "%{http_code}", "-o", fresh)
    assert again.stdout.decode().endswith("304"), again.stdout
    stale = curl("-H", 'If-Range: "other"', "-r", "5-9", "-o", tmp_path / "stale")
    assert stale.returncode == 0 and sha256(tmp_path / "stale") == digest
    last = curl("-r", "-10", "-o", tmp_path / "last")
    assert last.returncode == 0
    assert hashlib.sha256((tmp_path / "whole").read_bytes()[-10:]).hexdigest() == sha256(tmp_path / "last")


@pytest.fixture(scope="module")
def in_parts():
    """A server that asks for parts early."""
    with pytest.MonkeyPatch.context() as m:
        m.setenv("SNUG_LFS_PARTS_FROM", "5M")
        m.setenv("SNUG_LOG_LEVEL", "debug")
        s = Server()
    s.add_user("ada")
    s.ada = s.add_token("ada")
    yield s
    s.close()


@pytest.mark.parametrize("sender", ["huggingface_hub-0.20.3", "git-lfs"])
def test_large_objects_in_parts(in_parts, tmp_path, sender):
    """LFS multipart: parts by signed addresses, sent by the client from before Xet and by git's own agent."""
    bin_ = python_of("hub-0.20.3", VERSIONS["0.20.3"]).parent
    server, repo = in_parts, f"ada/parts-{sender}".replace("_", "-")
    name = repo.split("/")[1]
    assert server.request("POST", "/api/repos/create", {"name": name, "private": True}, token=server.ada)[0] == 200
    env = environment(server, tmp_path / "home")
    env["PATH"] = f"{bin_}:{env['PATH']}"
    at = tmp_path / "r"
    at.mkdir()

    def run(*args):
        p = subprocess.run(args, env=env, cwd=at, capture_output=True, text=True, timeout=600)
        assert p.returncode == 0, (args, p.stdout[-2000:], p.stderr[-3000:])

    if sender == "git-lfs":
        head = f"Authorization: Bearer {server.ada}"
        run("git", "-c", f"http.extraHeader={head}", "clone", "-q", f"{server.url}/{repo}", ".")
        run("git", "lfs", "install", "--local")
        run("git", "config", "http.extraHeader", head)
        run("huggingface-cli", "lfs-enable-largefiles", ".")
    digest = fill(at / "large.safetensors", 12_000_001, seed=len(sender))
    if sender == "git-lfs":
        run("git", "add", ".")
        run("git", "-c", "user.name=A", "-c", "user.email=a@example.org", "commit", "-q", "-m", "large")
        run("git", "push", "-q")
    else:
        run("huggingface-cli", "upload", repo, "large.safetensors")
    for part in (1, 2, 3):
        assert f"{digest}/{part}" in server.log_text()
    status, _, got = server.request("GET", f"/{repo}/resolve/main/large.safetensors", token=server.ada)
    assert status == 200 and hashlib.sha256(got).hexdigest() == digest
