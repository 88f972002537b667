# SPDX-License-Identifier: Apache-2.0
"""Stock git and git-lfs: clone, fetch, push, and what is refused with which words."""

import base64
import hashlib
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from harness import SANITIZED, Server

BIG = (30 if SANITIZED else 300) * 1_000_000


class Git:
    """git with a home of its own and a token for one server."""

    def __init__(self, server, home, token=None, user="ada"):
        self.server = server
        self.home = Path(home)
        self.home.mkdir(parents=True, exist_ok=True)
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
        self.env.update(HOME=str(home), GIT_TERMINAL_PROMPT="0", GIT_CONFIG_NOSYSTEM="1", LC_ALL="C",
                        GIT_AUTHOR_NAME="Ada", GIT_AUTHOR_EMAIL="ada@example.org",
                        GIT_COMMITTER_NAME="Ada", GIT_COMMITTER_EMAIL="ada@example.org")
        self("config", "--global", "init.defaultBranch", "main")
        self("config", "--global", "advice.detachedHead", "false")
        self("lfs", "install", "--skip-repo")
        self.login(token, user)

    def login(self, token, user="ada"):
        f = self.home / "credentials"
        if token:
            f.write_text(f"http://{user}:{token}@127.0.0.1:{self.server.port}\n")
            self("config", "--global", "credential.helper", f"store --file={f}")
        else:
            f.unlink(missing_ok=True)

    def __call__(self, *args, cwd=None, check=True, timeout=600, input=None, env=None):
        p = subprocess.run(["git", *map(str, args)], cwd=cwd, env=dict(self.env, **(env or {})), timeout=timeout,
                           capture_output=True, text=True, input=input)
        if check and p.returncode != 0:
            raise AssertionError(f"git {args} ended with {p.returncode}\n{p.stdout}\n{p.stderr}\n"
                                 f"{self.server.log_text()[-2000:]}")
        return p

    def out(self, *args, **kw):
        return self(*args, **kw).stdout.strip()

    def url(self, repo):
        return f"{self.server.url}/{repo}"

    def clone(self, repo, to, *args, **kw):
        self("clone", "-q", *args, self.url(repo), to, **kw)
        return Path(to)

    def commit(self, at, files, message="change"):
        for name, data in files.items():
            f = Path(at) / name
            f.parent.mkdir(parents=True, exist_ok=True)
            f.write_bytes(data if isinstance(data, bytes) else data.encode())
        self("add", "-A", cwd=at)
        self("commit", "-q", "-m", message, cwd=at)
        return self.out("rev-parse", "HEAD", cwd=at)

    def refused(self, *args, **kw):
        p = self(*args, check=False, **kw)
        assert p.returncode != 0, p.stderr
        return p.stderr


@pytest.fixture(scope="module")
def git(server, tmp_path_factory):
    return Git(server, tmp_path_factory.mktemp("git-home"), server.ada)


def call(server, method, path, body=None, token=None, expect=200):
    status, _, data = server.request(method, path, body, token=token or server.ada)
    assert status == expect, (status, data[:500])
    return json.loads(data) if data else None


_count = 0


def make(server, kind="model", private=False, token=None, owner="ada"):
    global _count
    _count += 1
    name = f"g{_count}"
    call(server, "POST", "/api/repos/create", {"name": name, "type": kind, "private": private}, token=token)
    return f"{'' if kind == 'model' else kind + 's/'}{owner}/{name}"


def api_of(repo):
    return repo if repo.startswith(("datasets/", "spaces/")) else "models/" + repo


def api_commit(server, repo, files, rev="main", parent=None, lfs=()):
    header = {"summary": "over the API", "description": ""}
    if parent:
        header["parentCommit"] = parent
    lines = [{"key": "header", "value": header}]
    for p, d in files.items():
        lines.append({"key": "file", "value": {"path": p, "content": base64.b64encode(d).decode(), "encoding": "base64"}})
    for p, d in dict(lfs).items():
        lines.append({"key": "lfsFile", "value": {"path": p, "algo": "sha256", "oid": lfs_upload(server, repo, d),
                                                  "size": len(d)}})
    body = "".join(json.dumps(x) + "\n" for x in lines).encode()
    status, _, data = server.request("POST", f"/api/{api_of(repo)}/commit/{rev}", body, token=server.ada,
                                     headers={"Content-Type": "application/x-ndjson"})
    return status, json.loads(data)


def lfs_upload(server, repo, data):
    oid = hashlib.sha256(data).hexdigest()
    answer = call(server, "POST", f"/{repo}.git/info/lfs/objects/batch",
                  {"operation": "upload", "objects": [{"oid": oid, "size": len(data)}]})
    actions = answer["objects"][0].get("actions")
    if actions:
        status, _, _ = server.request("PUT", actions["upload"]["href"][len(server.url):], data)
        assert status == 200
    return oid


def sha(server, repo, rev="main"):
    return call(server, "GET", f"/api/{api_of(repo)}/revision/{rev}")["sha"]


def read(server, repo, path, rev="main"):
    status, _, data = server.request("GET", f"/{repo}/resolve/{rev}/{path}", token=server.ada)
    assert status == 200, (status, data[:300])
    return data


def folder_of(server, repo):
    """The bare repository on the server: whichever holds the tip of main."""
    tip = sha(server, repo)
    for f in (server.data / "git").glob("*/*.git"):
        head = f / "refs/heads/main"
        if head.exists() and head.read_text().strip() == tip:
            return f
    raise AssertionError(f"no folder of {repo}")


def fsck(server, repo):
    f = folder_of(server, repo)
    p = subprocess.run(["git", "-c", "safe.directory=*", "fsck", "--strict", "--full", "--no-dangling"], cwd=f,
                       capture_output=True, text=True)
    assert p.returncode == 0 and p.stdout + p.stderr == "", (p.stdout, p.stderr)
    assert not list((f / "objects").glob("incoming-*"))


# ---- reading ----

@pytest.mark.parametrize("kind", ["model", "dataset", "space"])
@pytest.mark.parametrize("suffix", ["", ".git", "/"])
def test_clone_is_byte_identical(server, git, tmp_path, kind, suffix):
    global _count
    _count += 1
    name = f"g{_count}"
    body = {"name": name, "type": kind}
    if kind == "space":
        body["sdk"] = "static"
    call(server, "POST", "/api/repos/create", body)
    repo = f"{'' if kind == 'model' else kind + 's/'}ada/{name}"
    blob = os.urandom(200_000)
    status, answer = api_commit(server, repo, {"a.txt": b"alpha\n", "dir/\xc3\xbc b.txt".encode("latin-1").decode(): b"\x00\x01\xff" * 30},
                                lfs={"w.bin": blob})
    assert status == 200, answer
    at = git.clone(repo + suffix, tmp_path / "c")
    assert (at / "a.txt").read_bytes() == b"alpha\n"
    assert (at / "w.bin").read_bytes() == blob
    assert git.out("rev-parse", "HEAD", cwd=at) == answer["commitOid"]
    assert git.out("status", "--porcelain", cwd=at) == ""
    for entry in call(server, "GET", f"/api/{api_of(repo)}/tree/main?recursive=true"):
        if entry["type"] == "file":
            assert git.out("rev-parse", f"HEAD:{entry['path']}", cwd=at) == entry["oid"]


@pytest.mark.parametrize("version", ["0", "1", "2"])
def test_protocols_shallow_and_partial(server, git, tmp_path, version):
    repo = make(server)
    for i in range(5):
        status, _ = api_commit(server, repo, {f"f{i}.txt": f"{i}\n".encode() * 1000})
        assert status == 200
    p = ("-c", f"protocol.version={version}")
    at = tmp_path / "full"
    git(*p, "clone", "-q", git.url(repo), at)
    assert git.out("rev-list", "--count", "HEAD", cwd=at) == "6"

    at = tmp_path / "shallow"
    git(*p, "clone", "-q", "--depth", "1", git.url(repo), at)
    assert git.out("rev-list", "--count", "HEAD", cwd=at) == "1"
    git(*p, "fetch", "-q", "--deepen", "2", cwd=at)
    assert git.out("rev-list", "--count", "HEAD", cwd=at) == "3"
    git(*p, "fetch", "-q", "--unshallow", cwd=at)
    assert git.out("rev-list", "--count", "HEAD", cwd=at) == "6"

    at = tmp_path / "partial"
    git(*p, "clone", "-q", "--filter=blob:none", "--no-checkout", git.url(repo), at)
    missing = git.out("rev-list", "--objects", "--missing=print", "HEAD", cwd=at)
    assert missing.count("?") == 6, missing
    git(*p, "checkout", "-q", "main", cwd=at)  # fetches the blobs it needs
    assert (at / "f3.txt").read_bytes() == b"3\n" * 1000

    at = tmp_path / "both"
    git(*p, "clone", "-q", "--depth", "1", "--filter=blob:none", git.url(repo), at)
    assert (at / "f4.txt").read_bytes() == b"4\n" * 1000
    at = tmp_path / "tree0"
    git(*p, "clone", "-q", "--filter=tree:0", git.url(repo), at)
    assert (at / "f0.txt").read_bytes() == b"0\n" * 1000

    # and what it pushes from there
    git(*p, "clone", "-q", "--depth", "1", git.url(repo), tmp_path / "push")
    new = git.commit(tmp_path / "push", {"pushed.txt": version})
    git(*p, "push", "-q", cwd=tmp_path / "push")
    assert sha(server, repo) == new
    fsck(server, repo)


def test_fetch_of_a_commit_id_and_incremental(server, git, tmp_path):
    repo = make(server)
    _, first = api_commit(server, repo, {"a": b"1"})
    at = git.clone(repo, tmp_path / "c")
    api_commit(server, repo, {"a": b"2"})
    git("pull", "-q", cwd=at)
    assert (at / "a").read_text() == "2"
    git("init", "-q", tmp_path / "one")
    git("fetch", "-q", "--depth", "1", git.url(repo), first["commitOid"], cwd=tmp_path / "one")
    assert git.out("show", "FETCH_HEAD:a", cwd=tmp_path / "one") == "1"


def test_many_haves_travel_compressed(server, git, tmp_path):
    """Over 1 KiB git compresses what it asks."""
    repo = make(server)
    at = git.clone(repo, tmp_path / "c")
    for i in range(120):
        git.commit(at, {"n": str(i)}, str(i))
    git("push", "-q", cwd=at)
    for i in range(120):  # a history of our own that the server has not
        git.commit(at, {"m": str(i)}, str(i))
    api_commit(server, repo, {"x": b"1"})
    p = git("fetch", "-q", cwd=at, env={"GIT_TRACE_CURL": "1", "GIT_TRACE_CURL_NO_DATA": "1"})
    assert re.search(r"content-encoding: gzip", p.stderr, re.I), p.stderr[-2000:]
    assert git.out("rev-parse", "origin/main", cwd=at) == sha(server, repo)


# ---- writing ----

def test_push_and_pull_both_ways(server, git, tmp_path):
    repo = make(server)
    at = git.clone(repo, tmp_path / "a")
    new = git.commit(at, {"README.md": "---\nlicense: mit\ntags:\n- pushed\n---\n# Hi\n", "src/x.py": "print()\n"})
    git("push", "-q", cwd=at)
    info = call(server, "GET", f"/api/{api_of(repo)}")
    assert info["sha"] == new
    assert "license:mit" in info["tags"] and "pushed" in info["tags"]
    assert {s["rfilename"] for s in info["siblings"]} == {".gitattributes", "README.md", "src/x.py"}
    assert read(server, repo, "src/x.py") == b"print()\n"
    assert [c["id"] for c in call(server, "GET", f"/api/{api_of(repo)}/commits/main")][0] == new
    status, answer = api_commit(server, repo, {"api.txt": b"api\n"})
    assert status == 200
    git("pull", "-q", cwd=at)
    assert (at / "api.txt").read_text() == "api\n"
    # into an empty folder, from a history of its own
    other = tmp_path / "b"
    git("init", "-q", other)
    tip = git.commit(other, {"own.txt": "mine\n"})
    assert "fetch first" in git.refused("push", git.url(repo), "main", cwd=other)
    git("push", "-q", "--force", git.url(repo), "main", cwd=other)
    assert sha(server, repo) == tip
    assert {s["rfilename"] for s in call(server, "GET", f"/api/{api_of(repo)}")["siblings"]} == {"own.txt"}
    fsck(server, repo)


def test_a_large_push_is_chunked(server, git, tmp_path):
    repo = make(server)
    at = git.clone(repo, tmp_path / "c")
    files = {f"d{i % 7}/f{i}.dat": os.urandom(40_000) for i in range(150)}
    new = git.commit(at, files)
    p = git("push", cwd=at, env={"GIT_TRACE_CURL": "1", "GIT_TRACE_CURL_NO_DATA": "1"})
    assert re.search(r"transfer-encoding: chunked", p.stderr, re.I)
    assert sha(server, repo) == new
    assert read(server, repo, "d3/f3.dat") == files["d3/f3.dat"]
    fsck(server, repo)


def test_branches_and_tags(server, git, tmp_path):
    repo = make(server)
    at = git.clone(repo, tmp_path / "c")
    git.commit(at, {"x": "1"})
    git("tag", "light", cwd=at)
    git("tag", "-a", "-m", "heavy", "v1.0", cwd=at)
    git("checkout", "-q", "-b", "topic/one", cwd=at)
    tip = git.commit(at, {"x": "2"})
    git("push", "-q", "origin", "main", "topic/one", "light", "v1.0", cwd=at)
    refs = call(server, "GET", f"/api/{api_of(repo)}/refs")
    assert {b["name"]: b["targetCommit"] for b in refs["branches"]}["topic/one"] == tip
    assert {t["name"] for t in refs["tags"]} == {"light", "v1.0"}
    assert read(server, repo, "x", "v1.0") == b"1" and read(server, repo, "x", "topic%2Fone") == b"2"
    git("push", "-q", "origin", "--delete", "topic/one", "light", cwd=at)
    refs = call(server, "GET", f"/api/{api_of(repo)}/refs")
    assert {b["name"] for b in refs["branches"]} == {"main"} and {t["name"] for t in refs["tags"]} == {"v1.0"}
    # made over the API, seen by git
    call(server, "POST", f"/api/{api_of(repo)}/branch/from-api", {})
    call(server, "POST", f"/api/{api_of(repo)}/tag/main", {"tag": "api-tag", "message": "hello"})
    listed = git.out("ls-remote", "origin", cwd=at)
    assert "refs/heads/from-api" in listed and "refs/tags/api-tag^{}" in listed
    # a branch at a commit that is there already: a pack of nothing
    git("push", "-q", "origin", "main:refs/heads/same", cwd=at)
    assert sha(server, repo, "same") == sha(server, repo)
    # all or nothing
    err = git.refused("push", "--atomic", "origin", "main:refs/heads/new1", "main:refs/convert/x", cwd=at)
    assert "atomic" in err and "new1" not in git.out("ls-remote", "origin", cwd=at)
    git("push", "-q", "--atomic", "origin", "main:refs/heads/new1", "main:refs/heads/new2", cwd=at)
    assert "refs/heads/new2" in git.out("ls-remote", "origin", cwd=at)
    fsck(server, repo)


def test_default_branch_and_foreign_refs_stay(server, git, tmp_path):
    repo = make(server)
    at = git.clone(repo, tmp_path / "c")
    before = git.out("ls-remote", "origin", cwd=at)
    assert "default branch cannot be deleted" in git.refused("push", "origin", "--delete", "main", cwd=at)
    assert "refs/heads, refs/tags and refs/pr" in git.refused("push", "origin", "main:refs/convert/parquet", cwd=at)
    assert "refs/heads, refs/tags and refs/pr" in git.refused("push", "origin", "main:refs/replace/" + "0" * 40, cwd=at)
    assert "opened through the API" in git.refused("push", "origin", "main:refs/pr/1", cwd=at)
    blob = git.out("hash-object", "-w", "--stdin", cwd=at, input="just a blob")
    assert "commit" in git.refused("push", "origin", f"{blob}:refs/tags/blob", cwd=at)
    assert git.out("ls-remote", "origin", cwd=at) == before
    # one refused ref does not hold the others
    git.commit(at, {"y": "1"})
    err = git.refused("push", "origin", "main", "main:refs/convert/x", cwd=at)
    assert "main -> main" in err and "rejected" in err
    assert read(server, repo, "y") == b"1"


def test_pull_request_refs(server, git, tmp_path):
    """`refs/pr/N` is fetched when asked for, pushed when it exists, and not part of a clone."""
    repo = make(server)
    at = git.clone(repo, tmp_path / "c")
    tip = git.out("rev-parse", "HEAD", cwd=at)
    lines = [{"key": "header", "value": {"summary": "please", "description": ""}},
             {"key": "file", "value": {"path": "p.txt", "content": base64.b64encode(b"p").decode(), "encoding": "base64"}}]
    status, _, data = server.request("POST", f"/api/models/{repo}/commit/main?create_pr=1",
                                     "".join(json.dumps(x) + "\n" for x in lines).encode(), token=server.bob,
                                     headers={"Content-Type": "application/x-ndjson"})
    assert status == 200, data
    ref = "refs/pr/" + json.loads(data)["pullRequestUrl"].rsplit("/", 1)[1]

    # its author, who may not write to the repository
    bob = Git(server, tmp_path / "bob", server.bob, "bob")
    mine = bob.clone(repo, tmp_path / "b")
    assert "refs/pr" not in bob.out("for-each-ref", cwd=mine)
    bob("fetch", "-q", "origin", f"{ref}:pr", cwd=mine)
    bob("checkout", "-q", "pr", cwd=mine)
    new = bob.commit(mine, {"fix": "1", "w.bin": os.urandom(2000)}, "a second try")
    bob("push", "-q", "origin", f"pr:{ref}", cwd=mine)
    assert bob.out("ls-remote", "origin", ref, cwd=mine).split()[0] == new
    assert sha(server, repo) == tip and sha(server, repo, ref.replace("/", "%2F")) == new
    talk = call(server, "GET", f"/api/models/{repo}/discussions/{ref[8:]}")
    assert any(e["type"] == "commit" and e["data"]["oid"] == new for e in talk["events"]), talk["events"]
    assert "only the owner" in bob.refused("push", "--no-verify", "origin", "pr:main", cwd=mine)
    assert "only the owner" in bob.refused("push", "--no-verify", "origin", "pr:refs/tags/v1", cwd=mine)
    assert "stays" in bob.refused("push", "origin", f":{ref}", cwd=mine)
    assert "opened through the API" in bob.refused("push", "--no-verify", "origin", "pr:refs/pr/99", cwd=mine)

    # a stranger, and a writer
    server.add_user("carl")
    carl = Git(server, tmp_path / "carl", server.add_token("carl"), "carl")
    carl.clone(repo, tmp_path / "s")
    carl.commit(tmp_path / "s", {"x": "1"})
    assert "only its owner" in carl.refused("push", "origin", f"+main:{ref}", cwd=tmp_path / "s")
    git("fetch", "-q", "origin", f"{ref}:pr", cwd=at)
    git("checkout", "-q", "pr", cwd=at)
    better = git.commit(at, {"fix": "2"})
    git("push", "-q", "origin", f"pr:{ref}", cwd=at)
    assert sha(server, repo, ref.replace("/", "%2F")) == better

    # closed: nobody adds to it
    call(server, "POST", f"/api/models/{repo}/discussions/{ref[8:]}/status", {"status": "closed"})
    git.commit(at, {"fix": "3"})
    assert "closed" in git.refused("push", "origin", f"pr:{ref}", cwd=at)
    fsck(server, repo)


# ---- LFS ----

def track(git, at, pattern="*.bin"):
    git("lfs", "track", pattern, cwd=at)


def test_lfs_there_and_back(server, git, tmp_path):
    repo = make(server, "dataset")
    at = git.clone(repo, tmp_path / "a")
    small = os.urandom(1_000_000)
    (at / "big.bin").write_bytes(b"")
    with open(at / "big.bin", "wb") as f:
        for _ in range(BIG // 1_000_000):
            f.write(os.urandom(1_000_000))
    want = hashlib.sha256((at / "big.bin").read_bytes()).hexdigest()
    git.commit(at, {"small.bin": small})
    started = time.time()
    p = git("push", cwd=at)
    print(f"push of {BIG} bytes: {time.time() - started:.1f} s")
    assert "Unable to" not in p.stderr and "warning" not in p.stderr.lower(), p.stderr
    entry = {e["path"]: e for e in call(server, "GET", f"/api/{api_of(repo)}/tree/main")}["big.bin"]
    assert entry["lfs"]["oid"] == want and entry["size"] == BIG
    assert read(server, repo, "small.bin") == small
    started = time.time()
    other = git.clone(repo, tmp_path / "b")
    print(f"clone: {time.time() - started:.1f} s")
    assert hashlib.sha256((other / "big.bin").read_bytes()).hexdigest() == want
    # the other direction
    data = os.urandom(300_000)
    status, _ = api_commit(server, repo, {}, lfs={"api.bin": data})
    assert status == 200
    git("pull", "-q", cwd=other)
    assert (other / "api.bin").read_bytes() == data
    shutil.rmtree(tmp_path / "b")
    git.clone(repo, tmp_path / "b", env={"GIT_LFS_SKIP_SMUDGE": "1"})
    assert (tmp_path / "b" / "small.bin").read_bytes().startswith(b"version https://git-lfs")
    git("lfs", "pull", "-I", "small.bin", cwd=tmp_path / "b")
    assert (tmp_path / "b" / "small.bin").read_bytes() == small
    git("lfs", "fsck", cwd=at)
    fsck(server, repo)


def test_missing_lfs_object_is_named(server, git, tmp_path):
    repo = make(server)
    at = git.clone(repo, tmp_path / "a")
    tip = git.out("rev-parse", "HEAD", cwd=at)
    git.commit(at, {"sub/w.bin": b"never uploaded"})
    oid = hashlib.sha256(b"never uploaded").hexdigest()
    err = git.refused("push", "--no-verify", cwd=at)
    assert "LFS pointer pointed to a file that does not exist" in err
    assert "sub/w.bin" in err and oid in err and "refs/heads/main" in err and "pre-receive hook declined" in err
    assert sha(server, repo) == tip
    # deleting it in a later commit does not help
    (at / "sub" / "w.bin").unlink()
    git.commit(at, {"z": "z"})
    assert "sub/w.bin" in git.refused("push", "--no-verify", cwd=at)
    # doing as told does
    git("lfs", "push", "--all", "origin", cwd=at)
    git("push", "-q", "--no-verify", cwd=at)
    # a pointer that lies about the size
    git.commit(at, {"liar.txt": f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 15\n"})
    err = git.refused("push", "--no-verify", cwd=at)
    assert "wrong size" in err and "liar.txt" in err
    fsck(server, repo)


def test_lfs_object_of_others_is_not_opened_by_a_pointer(server, git, tmp_path):
    """Knowing the hash of a private object gives no right to it."""
    secret = os.urandom(5000)
    private = make(server, private=True)
    oid = lfs_upload(server, private, secret)
    mine = make(server, token=server.bob, owner="bob")
    bob = Git(server, tmp_path / "bob", server.bob, "bob")
    at = bob.clone(mine, tmp_path / "a")
    bob.commit(at, {"steal.txt": f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 5000\n"})
    assert "does not exist" in bob.refused("push", "--no-verify", cwd=at)
    # its owner may use it in another repository of hers, without sending it again
    other = make(server)
    at = git.clone(other, tmp_path / "b")
    git.commit(at, {"again.txt": f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 5000\n"})
    git("push", "-q", "--no-verify", cwd=at)
    assert read(server, other, "again.txt") == secret


def test_raw_file_over_ten_megabytes_is_named(server, git, tmp_path):
    repo = make(server)
    at = git.clone(repo, tmp_path / "a")
    tip = git.out("rev-parse", "HEAD", cwd=at)
    git.commit(at, {"ok.txt": os.urandom(10 << 20), "fine": "1"})
    git("push", "-q", cwd=at)  # ten mebibytes exactly
    good = sha(server, repo)
    assert good != tip
    git.commit(at, {"deep/er/weights.raw": os.urandom(11_000_000)})
    err = git.refused("push", cwd=at)
    assert "larger than 10 MiB" in err and "deep/er/weights.raw (11.0 MB) (ref: refs/heads/main)" in err
    assert "git lfs migrate import" in err and "pre-receive hook declined" in err
    assert sha(server, repo) == good
    # the fix, as it was told
    git("lfs", "track", "deep/er/weights.raw", cwd=at)
    git("add", ".gitattributes", cwd=at)
    git("commit", "-q", "-m", "track", cwd=at)
    git("lfs", "migrate", "import", "--include=deep/er/weights.raw", "--yes",
        "--include-ref=refs/heads/main", "--exclude-ref=refs/remotes/origin/main", cwd=at)
    git("push", "-q", cwd=at)
    assert len(read(server, repo, "deep/er/weights.raw")) == 11_000_000
    fsck(server, repo)


@pytest.mark.parametrize("name", ["a\\b", "con/x", "x ", "a:b", "\x01x", "n" * 256, "d/" * 260 + "x", "a" * 200 + "/" + "b" * 250])
def test_paths_that_do_not_work_everywhere(server, git, tmp_path, name):
    repo = make(server)
    at = git.clone(repo, tmp_path / "a")
    blob = git.out("hash-object", "-w", "--stdin", cwd=at, input="x")
    git("-c", "core.protectNTFS=false", "update-index", "--add", "-z", "--index-info", cwd=at, input=f"100644 {blob}\t{name}\0")
    git("-c", "core.protectNTFS=false", "commit", "-q", "-m", "bad", cwd=at)
    status, _ = api_commit(server, make(server), {name: b"x"})
    p = git("push", cwd=at, check=False)
    assert (p.returncode == 0) == (status == 200), (status, p.stderr)  # the same rule as the API's
    if p.returncode:
        assert "do not work everywhere" in p.stderr
    fsck(server, repo)


def test_git_fsck_errors_are_told(server, git, tmp_path):
    repo = make(server)
    at = git.clone(repo, tmp_path / "a")
    blob = git.out("hash-object", "-w", "--stdin", cwd=at, input="x")
    raw = b"100644 .git\x00" + bytes.fromhex(blob)
    tree = subprocess.run(["git", "hash-object", "-t", "tree", "-w", "--stdin", "--literally"], cwd=at, input=raw,
                          capture_output=True, check=True, env=git.env).stdout.decode().strip()
    commit = git.out("commit-tree", tree, "-m", "evil", cwd=at)
    err = git.refused("push", "origin", f"{commit}:refs/heads/evil", cwd=at)
    assert "hasDotgit" in err and "unpacker error" in err, err
    assert "evil" not in git.out("ls-remote", "origin", cwd=at)
    fsck(server, repo)


# ---- who ----

def test_who_may_not(server, git, tmp_path):
    private = make(server, private=True)
    public = make(server)
    at = git.clone(private, tmp_path / "c")
    git.commit(at, {"x": "1"})

    nobody = Git(server, tmp_path / "nobody", None)
    assert "could not read Username" in nobody.refused("clone", nobody.url(private), tmp_path / "n")
    assert "could not read Username" in nobody.refused("clone", nobody.url("ada/never-was"), tmp_path / "n")
    nobody.clone(public, tmp_path / "n1")
    nobody.commit(tmp_path / "n1", {"x": "1"})
    assert "could not read Username" in nobody.refused("push", cwd=tmp_path / "n1")

    bob = Git(server, tmp_path / "bob", server.bob, "bob")
    absent = bob.refused("clone", bob.url("ada/never-was"), tmp_path / "b")
    hidden = bob.refused("clone", bob.url(private), tmp_path / "b")
    assert "not found" in hidden and hidden.replace(private, "X") == absent.replace("ada/never-was", "X")
    bob.clone(public, tmp_path / "b1")
    bob.commit(tmp_path / "b1", {"x": "1"})
    assert "only its owner" in bob.refused("push", cwd=tmp_path / "b1")

    reader = Git(server, tmp_path / "reader", server.ada_read)
    reader.clone(private, tmp_path / "r")
    reader.commit(tmp_path / "r", {"x": "1"})
    assert "can only read" in reader.refused("push", cwd=tmp_path / "r")

    password = Git(server, tmp_path / "password", "correct horse battery".replace(" ", "%20"))
    assert "Authentication failed" in password.refused("clone", password.url(private), tmp_path / "p")

    bearer = Git(server, tmp_path / "bearer", None)
    bearer("-c", f"http.extraHeader=Authorization: Bearer {server.ada}", "clone", "-q", bearer.url(private), tmp_path / "be")


def test_challenges(server):
    private = make(server, private=True)
    for service in ("git-upload-pack", "git-receive-pack"):
        status, head, body = server.request("GET", f"/{private}/info/refs?service={service}")
        assert status == 401 and body == b"Invalid username or password."
        assert head["www-authenticate"] == 'Basic realm="Authentication required", charset="UTF-8"'
        assert head["content-type"].startswith("text/plain")
        status2, head2, body2 = server.request("GET", f"/ada/never/info/refs?service={service}")
        assert (status2, body2) == (status, body)
    status, head, body = server.request("GET", f"/{private}/info/refs?service=git-upload-pack", token=server.bob)
    assert status == 404 and body == b"Repository not found"
    status, head, _ = server.request("GET", f"/{private}.git/info/refs?service=git-upload-pack", token=server.ada)
    assert status == 200 and head["content-type"] == "application/x-git-upload-pack-advertisement"
    assert head["cache-control"] == "no-cache, max-age=0, must-revalidate" and head["pragma"] == "no-cache"
    basic = base64.b64encode(b"ada:correct horse battery").decode()
    status, _, body = server.request("GET", f"/{private}/info/refs?service=git-upload-pack",
                                     headers={"Authorization": f"Basic {basic}"})
    assert status == 401 and b"access token" in body
    for path in ("info/refs", "info/refs?service=git-upload-archive"):
        status, _, body = server.request("GET", f"/{private}/{path}", token=server.ada)
        assert status == 403 and body
    # git's probe before it sends much
    status, head, body = server.request("POST", f"/{private}/git-receive-pack", b"0000", token=server.ada,
                                        headers={"Content-Type": "application/x-git-receive-pack-request"})
    assert (status, body) == (200, b"") and head["content-type"] == "application/x-git-receive-pack-result"


def test_moved_repository(server, git, tmp_path):
    repo = make(server)
    at = git.clone(repo, tmp_path / "a")
    new = repo + "-moved"
    call(server, "POST", "/api/repos/move", {"fromRepo": repo, "toRepo": new, "type": "model"})
    git.clone(repo, tmp_path / "b")
    git.clone(repo + ".git", tmp_path / "d")
    tip = git.commit(at, {"after": "move", "l.bin": b"lfs after move"})
    git("push", "-q", cwd=at)
    assert sha(server, new) == tip
    assert read(server, new, "l.bin") == b"lfs after move"


def test_relative_and_linked_data_folder(tmp_path, monkeypatch):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path)
    s = Server("link")
    try:
        s.add_user("ada")
        s.ada = s.add_token("ada")
        repo = make(s)
        git = Git(s, tmp_path / "home", s.ada)
        at = git.clone(repo, tmp_path / "a")
        new = git.commit(at, {"x": "1"})
        git("push", "-q", cwd=at)
        assert sha(s, repo) == new
        status, head, _ = s.request("GET", f"/{repo}.git")
        assert status == 307 and head["location"] == f"/{repo}"
    finally:
        s.close()


# ---- at the same time, and cut off ----

def test_push_and_commit_race(server, git, tmp_path):
    repo = make(server)
    at = git.clone(repo, tmp_path / "a")
    wins = {"git": 0, "api": 0}
    for i in range(8 if SANITIZED else 20):
        git("fetch", "-q", cwd=at)
        git("reset", "-q", "--hard", "origin/main", cwd=at)
        base = git.out("rev-parse", "HEAD", cwd=at)
        mine = git.commit(at, {"race.txt": f"git {i}"})
        result = {}

        def commit():
            time.sleep(0.006 * i)  # git starts slowly: give each its chances
            result["api"] = api_commit(server, repo, {"race.txt": b"api %d" % i}, parent=base)

        t = threading.Thread(target=commit)
        t.start()
        p = git("push", cwd=at, check=False)
        t.join()
        status, answer = result["api"]
        tip = sha(server, repo)
        assert (p.returncode == 0) + (status == 200) == 1, (p.stderr, status, answer)
        if p.returncode == 0:
            assert tip == mine and status == 412
            wins["git"] += 1
        else:
            assert tip == answer["commitOid"]
            assert re.search("fetch first|stale|rejected", p.stderr)
            wins["api"] += 1
    print(wins)
    fsck(server, repo)


def test_two_pushes_race(server, git, tmp_path):
    repo = make(server)
    clones = [git.clone(repo, tmp_path / f"c{i}") for i in range(4)]
    tips = [git.commit(c, {"x": str(i)}) for i, c in enumerate(clones)]
    results = [None] * 4

    def push(i):
        results[i] = git("push", cwd=clones[i], check=False)

    threads = [threading.Thread(target=push, args=(i,)) for i in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    won = [i for i in range(4) if results[i].returncode == 0]
    assert len(won) == 1 and sha(server, repo) == tips[won[0]], [r.stderr for r in results]
    fsck(server, repo)


def test_killed_client_leaves_nothing(server, git, tmp_path):
    repo = make(server)
    at = git.clone(repo, tmp_path / "a")
    git.commit(at, {f"f{i}": os.urandom(1_000_000) for i in range(40)})
    tip, bare = sha(server, repo), folder_of(server, repo)
    before = sorted(str(f.relative_to(bare)) for f in bare.rglob("*"))
    for wait in (0.05, 0.15, 0.3, 0.5):
        p = subprocess.Popen(["git", "push", "-q"], cwd=at, env=git.env, start_new_session=True,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(wait)
        os.killpg(p.pid, signal.SIGKILL)
        p.wait()
        if sha(server, repo) != tip:
            pytest.skip("the push was faster than the kill")
    deadline = time.time() + 60
    while time.time() < deadline and list((bare / "objects").glob("incoming-*")):
        time.sleep(0.1)
    assert sorted(str(f.relative_to(bare)) for f in bare.rglob("*")) == before
    git("push", "-q", cwd=at)
    fsck(server, repo)


def test_killed_server_heals(tmp_path):
    """Between the ref and the row, and in the middle of a push."""
    s = Server(tmp_path / "house")
    s.add_user("ada")
    s.ada = s.add_token("ada")
    try:
        repo = make(s)
        git = Git(s, tmp_path / "home", s.ada)
        at = git.clone(repo, tmp_path / "a")
        for point in ("vcs.ref.after=kill@1", "vcs.ref.before=kill@1", "vcs.ref.after=fail@1"):
            old = sha(s, repo)
            s.stop()
            s.start(faults=point)
            git.login(s.ada)
            git("remote", "set-url", "origin", git.url(repo), cwd=at)
            new = git.commit(at, {"x": point, "w.bin": point.encode()})
            p = git("push", cwd=at, check=False)
            if s.proc.poll() is None:
                s.stop()
            else:
                assert s.proc.wait() == -signal.SIGKILL
            s.start()
            git.login(s.ada)
            git("remote", "set-url", "origin", git.url(repo), cwd=at)
            assert sha(s, repo) in (old, new), point
            if p.returncode == 0:
                assert sha(s, repo) == new
            if sha(s, repo) == new:
                assert read(s, repo, "x") == point.encode()
            git("push", "-q", cwd=at)
            assert sha(s, repo) == new and read(s, repo, "w.bin") == point.encode()
            fsck(s, repo)
    finally:
        s.close()


def test_random_kills_of_the_server(tmp_path):
    """kill -9 at any moment of a push: what was acknowledged is there, and nothing half-done is."""
    s = Server(tmp_path / "house")
    s.add_user("ada")
    s.ada = s.add_token("ada")
    rng = random.Random(7)
    try:
        repo = make(s)
        git = Git(s, tmp_path / "home", s.ada)
        at = git.clone(repo, tmp_path / "a")
        acked = git.out("rev-parse", "HEAD", cwd=at)
        landed = i = 0
        while i < (4 if SANITIZED else 25) or (landed < 3 and i < 100):
            i += 1
            git.login(s.ada)
            git("remote", "set-url", "origin", git.url(repo), cwd=at)
            tried = [acked]
            stop = threading.Event()
            done = []

            def pushes():
                while not stop.is_set():
                    tried.append(git.commit(at, {f"t{len(tried) % 5}": os.urandom(30_000), "l.bin": os.urandom(30_000)}))
                    if git("push", cwd=at, check=False).returncode == 0:
                        done.append(tried[-1])

            t = threading.Thread(target=pushes)
            t.start()
            time.sleep(rng.uniform(0.05, 2 if SANITIZED else 0.6))
            s.kill()
            stop.set()
            t.join()
            landed += len(done)
            acked = done[-1] if done else acked
            s.start()
            now = sha(s, repo)
            assert now in tried[tried.index(acked):], (i, now, acked)
            acked = now
            fsck(s, repo)
        print(f"{landed} pushes acknowledged")
        assert landed >= 3
        git.login(s.ada)
        fresh = Git(s, tmp_path / "home2", s.ada).clone(repo, tmp_path / "b")
        assert (fresh / "l.bin").stat().st_size == 30_000
    finally:
        s.close()


# ---- locks ----

def test_lfs_locks(server, git, tmp_path):
    repo = make(server)
    at = git.clone(repo, tmp_path / "a")
    git.commit(at, {"art.bin": b"one"})
    git("push", "-q", cwd=at)
    assert "art.bin" in git.out("lfs", "lock", "art.bin", cwd=at)
    assert "art.bin" in git.out("lfs", "locks", cwd=at)
    locks = json.loads(git.out("lfs", "locks", "--json", cwd=at))
    assert locks[0]["path"] == "art.bin" and locks[0]["owner"]["name"] == "ada"
    assert "already" in git.refused("lfs", "lock", "art.bin", cwd=at).lower()
    git.commit(at, {"art.bin": b"two"})
    p = git("push", cwd=at)
    assert "locking" not in p.stderr.lower() or "locked" in p.stderr.lower(), p.stderr
    assert "warning" not in p.stderr.lower(), p.stderr
    git("lfs", "unlock", "art.bin", cwd=at)
    assert git.out("lfs", "locks", cwd=at) == ""
