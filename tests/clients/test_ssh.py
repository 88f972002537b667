# SPDX-License-Identifier: Apache-2.0
"""git over SSH: a real sshd on a high port, stock git and git-lfs, keys of two people."""

import base64
import getpass
import json
import os
import random
import shutil
import socket
import stat
import subprocess
import time
from pathlib import Path

import pytest

from harness import SNUG, Server, snug
from test_git import Git, api_commit, call, make, sha, track

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:" + os.environ.get("PATH", ""))
pytestmark = pytest.mark.skipif(not SSHD or not shutil.which("ssh-keygen"), reason="OpenSSH is not installed")


def owned_by_root(path):
    """sshd runs an AuthorizedKeysCommand only from folders that nobody but root writes to."""
    path = Path(path).resolve()
    return all(p.stat().st_uid == 0 and not p.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH)
               for p in [path, *path.parents])


class Sshd:
    def __init__(self, server, folder):
        self.server, self.folder = server, Path(folder)
        self.user = getpass.getuser()
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.asks = os.geteuid() == 0 and owned_by_root(SNUG)
        if os.geteuid() == 0:
            os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
        keygen(self.folder / "host")
        self.command = f"{SNUG} ssh-keys --data {server.data} --hub {server.url} --public-url {server.url}"
        lines = ["ListenAddress 127.0.0.1", f"Port {self.port}", f"HostKey {self.folder}/host",
                 f"PidFile {self.folder}/pid", "UsePAM no", "PasswordAuthentication no", "StrictModes no",
                 "PermitRootLogin forced-commands-only", "AcceptEnv GIT_PROTOCOL", "LogLevel VERBOSE"]
        if self.asks:
            lines += ["AuthorizedKeysFile none", f"AuthorizedKeysCommand {self.command} %t %k",
                      f"AuthorizedKeysCommandUser {self.user}"]
        else:  # not root: the same lines by way of a file
            lines += [f"AuthorizedKeysFile {self.folder}/authorized_keys"]
        (self.folder / "sshd_config").write_text("\n".join(lines) + "\n")
        self.log = open(self.folder / "sshd.log", "wb")
        self.proc = subprocess.Popen([SSHD, "-D", "-e", "-f", str(self.folder / "sshd_config")], stderr=self.log)
        for _ in range(200):
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert self.proc.poll() is None, self.log_text()
            time.sleep(0.05)
        raise RuntimeError("sshd did not get ready")

    def learn(self, public):
        """Without AuthorizedKeysCommand: ask as sshd would, and keep the answer."""
        if self.asks:
            return
        kind, blob = Path(public).read_text().split()[:2]
        line = subprocess.run([*self.command.split(), kind, blob], check=True, capture_output=True, text=True).stdout
        with open(self.folder / "authorized_keys", "a") as f:
            f.write(line)

    def log_text(self):
        return (self.folder / "sshd.log").read_text("utf-8", "replace")

    def close(self):
        self.proc.terminate()
        self.proc.wait(timeout=20)
        self.log.close()


def keygen(path, kind="ed25519"):
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", f"{Path(path).name}@test", "-f", str(path)], check=True)
    return path


@pytest.fixture(scope="module")
def sshd(server, tmp_path_factory):
    s = Sshd(server, tmp_path_factory.mktemp("sshd"))
    yield s
    s.close()


class SshGit(Git):
    """git that talks SSH with one key."""

    def __init__(self, sshd, home, key, version=None):
        super().__init__(sshd.server, home)
        self.sshd = sshd
        options = (f"-F none -i {key} -p {sshd.port} -o IdentitiesOnly=yes -o StrictHostKeyChecking=no "
                   f"-o UserKnownHostsFile={home}/known -o LogLevel=ERROR -o BatchMode=yes")
        self.env["GIT_SSH_COMMAND"] = "ssh " + options
        self.ssh_words = ["ssh", *options.split()]
        if version is not None:
            self("config", "--global", "protocol.version", version)

    def url(self, repo):
        return f"ssh://{self.sshd.user}@127.0.0.1:{self.sshd.port}/{repo}"

    def run(self, *command, env=None, input=None):
        return subprocess.run([*self.ssh_words, f"{self.sshd.user}@127.0.0.1", *command], capture_output=True, text=True,
                              timeout=60, env=dict(self.env, **(env or {})), input=input)


@pytest.fixture(scope="module")
def keys(server, sshd, tmp_path_factory):
    d = tmp_path_factory.mktemp("keys")
    for who in ("ada", "bob"):
        keygen(d / who)
        call(server, "POST", "/api/settings/ssh-keys",
             {"key": (d / f"{who}.pub").read_text(), "title": f"{who}'s laptop"}, token=getattr(server, who))
        sshd.learn(d / f"{who}.pub")
    keygen(d / "nobody")
    return d


@pytest.fixture
def ada(sshd, keys, tmp_path):
    return SshGit(sshd, tmp_path / "home-ada", keys / "ada")


@pytest.fixture
def bob(sshd, keys, tmp_path):
    return SshGit(sshd, tmp_path / "home-bob", keys / "bob")


@pytest.mark.parametrize("version", ["0", "1", "2"])
def test_clone_fetch_push(server, sshd, keys, tmp_path, version):
    git = SshGit(sshd, tmp_path / "home", keys / "ada", version)
    repo = make(server, private=True)
    for i in range(5):
        assert api_commit(server, repo, {f"f{i}.txt": f"{i}\n".encode() * 1000})[0] == 200
    at = git.clone(repo, tmp_path / "full")
    assert git.out("rev-list", "--count", "HEAD", cwd=at) == "6"
    assert (at / "f4.txt").read_bytes() == b"4\n" * 1000
    new = git.commit(at, {"pushed.txt": version})
    git("push", "-q", cwd=at)
    assert sha(server, repo) == new
    if version == "1":  # the same but for its first line
        return

    shallow = git.clone(repo, tmp_path / "shallow", "--depth", "1")
    assert git.out("rev-list", "--count", "HEAD", cwd=shallow) == "1"
    git("fetch", "-q", "--deepen", "2", cwd=shallow)
    assert git.out("rev-list", "--count", "HEAD", cwd=shallow) == "3"
    git("fetch", "-q", "--unshallow", cwd=shallow)
    assert git.out("rev-list", "--count", "HEAD", cwd=shallow) == "7"

    partial = git.clone(repo, tmp_path / "partial", "--filter=blob:none", "--no-checkout")
    assert git.out("rev-list", "--objects", "--missing=print", "HEAD", cwd=partial).count("?") == 7
    git("checkout", "-q", "main", cwd=partial)
    assert (partial / "f3.txt").read_bytes() == b"3\n" * 1000

    new = git.commit(at, {"again.txt": version})
    git("push", "-q", "origin", "HEAD:main", "HEAD:refs/heads/dev", cwd=at)
    assert sha(server, repo) == new
    git("tag", "v1", cwd=at)
    git("push", "-q", "origin", "v1", cwd=at)
    git("push", "-q", "origin", ":dev", cwd=at)  # a deletion: no pack follows
    assert [r.split("\t")[1] for r in git.out("ls-remote", "origin", cwd=at).splitlines()] == [
        "HEAD", "refs/heads/main", "refs/tags/v1"]
    git("fetch", "-q", cwd=partial)
    assert git.out("rev-parse", "origin/main", cwd=partial) == new
    assert "Everything up-to-date" in git("push", cwd=at).stderr


def grow(git, at, branch, count, fresh=False):
    """Empty commits on a branch, all at once."""
    lines = []
    for i in range(count):
        lines.append(f"commit refs/heads/{branch}\ncommitter A <a@example.org> {1_700_000_000 + i} +0000\ndata 2\nc\n")
        if i == 0 and not fresh:
            lines.append(f"from refs/heads/{branch}^0\n")
    git("fast-import", "--quiet", cwd=at, input="".join(lines))


@pytest.mark.parametrize("version", ["0", "2"])
def test_long_negotiation(server, sshd, keys, tmp_path, version):
    """Hundreds of commits of one's own: what is common is found over many rounds."""
    git = SshGit(sshd, tmp_path / "home", keys / "ada", version)
    repo = make(server)
    at = git.clone(repo, tmp_path / "a")
    other = git.clone(repo, tmp_path / "b")
    grow(git, at, "main", 60)
    git("push", "-q", cwd=at)
    git("pull", "-q", cwd=other)
    grow(git, other, "lonely", 400, fresh=True)
    grow(git, other, "main", 300)
    new = git.commit(at, {"news.txt": "n"})
    git("push", "-q", cwd=at)
    p = git("fetch", cwd=other, env={"GIT_TRACE_PACKET": "1"})
    assert git.out("rev-parse", "origin/main", cwd=other) == new
    assert p.stderr.count("fetch> have") > 16 or p.stderr.count("fetch-pack> have") > 16
    assert git.out("rev-list", "--count", "origin/main", cwd=other) == "62"
    git("fsck", cwd=other)


def test_lfs(server, ada, tmp_path):
    repo = make(server, private=True)
    at = ada.clone(repo, tmp_path / "a")
    track(ada, at, "*.weights")
    data = random.Random(4).randbytes(3_000_000)
    new = ada.commit(at, {"big.weights": data})
    ada("push", "-q", cwd=at)
    assert sha(server, repo) == new
    status, _, got = server.request("GET", f"/{repo}/resolve/main/big.weights", token=server.ada)
    assert status == 200 and got == data
    back = ada.clone(repo, tmp_path / "b")
    assert (back / "big.weights").read_bytes() == data
    ada("lfs", "lock", "big.weights", cwd=at)
    assert "big.weights" in ada.out("lfs", "locks", cwd=at)
    ada("lfs", "unlock", "big.weights", cwd=at)


def test_lfs_authenticate_is_for_one_repository(server, ada, bob, tmp_path):
    mine, other = make(server, private=True), make(server, private=True)
    p = ada.run("git-lfs-authenticate", f"{mine}.git", "download")
    assert p.returncode == 0, p.stderr
    answer = json.loads(p.stdout)
    assert answer["href"] == f"{server.url}/{mine}.git/info/lfs" and answer["expires_in"] > 0
    ask = {"operation": "download", "objects": [{"oid": "0" * 64, "size": 1}]}
    head = answer["header"]
    assert server.request("POST", f"/{mine}.git/info/lfs/objects/batch", ask, headers=head)[0] == 200
    up = dict(ask, operation="upload")
    assert server.request("POST", f"/{mine}.git/info/lfs/objects/batch", up, headers=head)[0] == 403
    assert server.request("POST", f"/{other}.git/info/lfs/objects/batch", ask, headers=head)[0] in (401, 404)
    for path in ("/api/whoami-v2", f"/api/models/{mine}", f"/{mine}/resolve/main/.gitattributes"):
        assert server.request("GET", path, headers=head)[0] == 401, path  # git and LFS, nothing else
    forged = {"Authorization": head["Authorization"].replace("ssh.r.", "ssh.w.")}
    assert server.request("POST", f"/{mine}.git/info/lfs/objects/batch", up, headers=forged)[0] == 401
    refused = bob.run("git-lfs-authenticate", mine, "download")
    assert refused.returncode != 0 and refused.stdout == ""


def test_the_rules_of_http(server, sshd, ada, bob, tmp_path):
    repo = make(server)
    private = make(server, private=True)
    at = bob.clone(repo, tmp_path / "b")  # public: anyone with a key
    bob.commit(at, {"x": "1"})
    assert "only its owner" in bob.refused("push", cwd=at)
    hidden, absent = (bob.refused("clone", bob.url(r), tmp_path / "no") for r in (private, "ada/absent"))
    assert "not found" in hidden.lower()
    assert hidden.replace(private, "X") == absent.replace("ada/absent", "X")
    at = ada.clone(repo, tmp_path / "a")
    track(ada, at)
    ada.commit(at, {"too-large.txt": b"x" * 11_000_000})
    told = ada.refused("push", cwd=at)
    assert "too-large.txt" in told and "git lfs" in told
    ada("reset", "-q", "--hard", "HEAD~", cwd=at)
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'ab' * 32}\nsize 12\n"
    (at / "gone.bin").write_text(pointer)
    ada("add", ".", cwd=at)
    ada("commit", "-q", "-m", "pointer", cwd=at)
    told = ada.refused("push", "--no-verify", cwd=at)
    assert "gone.bin" in told and "git lfs push" in told, told


def test_moved_and_typed(server, ada, tmp_path):
    repo = make(server, kind="dataset")
    at = ada.clone(repo + ".git", tmp_path / "a")
    name = repo.split("/", 1)[1]
    call(server, "POST", "/api/repos/move", {"fromRepo": name, "toRepo": name + "-moved", "type": "dataset"})
    new = ada.commit(at, {"after.txt": "move", "l.parquet": b"PAR1"})
    ada("push", "-q", cwd=at)
    assert sha(server, repo + "-moved") == new
    ada.clone(repo, tmp_path / "b")


def test_pull_request_by_its_author(server, ada, bob, tmp_path):
    repo = make(server)
    lines = [{"key": "header", "value": {"summary": "please", "description": ""}},
             {"key": "file", "value": {"path": "p.txt", "content": base64.b64encode(b"p").decode(),
                                       "encoding": "base64"}}]
    status, _, _ = server.request("POST", f"/api/models/{repo}/commit/main?create_pr=1",
                                  "".join(json.dumps(x) + "\n" for x in lines).encode(), token=server.bob,
                                  headers={"Content-Type": "application/x-ndjson"})
    assert status == 200
    at = bob.clone(repo, tmp_path / "b")
    bob("fetch", "-q", "origin", "refs/pr/1:pr", cwd=at)
    bob("checkout", "-q", "pr", cwd=at)
    new = bob.commit(at, {"more.txt": "m"})
    bob("push", "-q", "origin", "pr:refs/pr/1", cwd=at)
    assert bob.out("ls-remote", "origin", "refs/pr/1", cwd=at).split()[0] == new
    assert "only the owner" in bob.refused("push", "origin", "pr:main", cwd=at)


def test_nothing_but_git(server, ada, sshd, keys, tmp_path):
    p = ada.run()
    assert p.returncode != 0 and "no shell here" in p.stderr, p.stderr
    for words in (["id"], ["git-upload-pack", "'ada/x'; id"], ["git-upload-pack", "$(id)"], ["bash", "-i"],
                  ["git-upload-pack", "../../etc"], ["git-receive-pack", "/etc/passwd"], ["scp", "-t", "/tmp"],
                  ["git-upload-pack", "--help"], ["git-lfs-authenticate", "ada/x", "delete"], ["x" * 5000]):
        p = ada.run(*words)
        assert p.returncode != 0 and p.stdout == "" and "uid=" not in p.stderr, (words, p.stdout, p.stderr)
    p = ada.run("git-lfs-transfer", "ada/x", "upload")
    assert p.returncode != 0 and "not served here" in p.stderr
    p = SshGit(sshd, tmp_path / "home", keys / "nobody").run("git-upload-pack", "ada/x")
    assert p.returncode == 255 and "Permission denied" in p.stderr
    p = subprocess.run([*ada.ssh_words, "-N", "-L", "0:127.0.0.1:22", "-o", "ExitOnForwardFailure=yes",
                        f"{sshd.user}@127.0.0.1", "-W", f"127.0.0.1:{server.port}"], capture_output=True, text=True,
                       timeout=30, env=ada.env)
    assert p.returncode != 0  # no forwarding through it


def test_keys_of_people(server, sshd, tmp_path):
    key = (keygen(tmp_path / "k").parent / "k.pub").read_text()
    kind, blob = key.split()[:2]
    path = "/api/settings/ssh-keys"
    assert call(server, "POST", path, {"key": key}, token=server.ada_read, expect=403)
    assert call(server, "POST", path, {"key": key}, token="hf_" + "x" * 34, expect=401)
    made = call(server, "POST", path, {"key": key}, token=server.bob)
    shown = subprocess.run(["ssh-keygen", "-l", "-f", str(tmp_path / "k.pub")], capture_output=True, text=True).stdout
    assert made["fingerprint"] in shown and made["title"] == "k@test" and made["type"] == "ssh-ed25519"
    assert made["fingerprint"] in [k["fingerprint"] for k in call(server, "GET", path, token=server.bob)]
    assert made["fingerprint"] not in [k["fingerprint"] for k in call(server, "GET", path)]
    assert "in use already" in call(server, "POST", path, {"key": key}, expect=409)["error"]
    for bad in ("", "ssh-ed25519", "ssh-ed25519 AAAA", f"ssh-rsa {blob}", f"command=\"id\" {key}", "x" * 20000,
                (tmp_path / "k").read_text(), key + "\nssh-ed25519 BBBB", f"{kind} {blob[:-8]}", 7, None, ["a"]):
        status, _, data = server.request("POST", path, {"key": bad}, token=server.bob)
        assert 400 <= status < 500, (bad, status, data)
    assert "private key" in call(server, "POST", path, {"key": (tmp_path / "k").read_text()}, expect=400)["error"]

    def ask(k=kind, b=blob):
        return subprocess.run([*sshd.command.split(), k, b], capture_output=True, text=True, check=True).stdout

    line = ask()
    assert line.startswith("restrict,command=\"") and line.rstrip().endswith(f"{kind} {blob}")
    assert server.bob not in line and "ssh." not in line  # no secret on a command line
    assert ask(b=blob[:-8] + "AAAAAAA=") == "" and ask(k="ssh-rsa") == ""
    call(server, "DELETE", f"{path}/{made['id']}", expect=404)  # ada's hand
    assert server.request("DELETE", f"{path}/{made['id']}", token=server.bob)[0] == 204
    assert ask() == ""
    # the operator's way
    added = json.loads(server.snug("key", "add", "bob", tmp_path / "k.pub", "--title", "by hand", "--json"))
    assert "by hand" in server.snug("key", "list", "bob") and ask() != ""
    server.snug("key", "remove", "bob", added["id"])
    assert ask() == ""
    for kind in ("rsa", "ecdsa"):
        keygen(tmp_path / kind, kind)
        server.snug("key", "add", "bob", tmp_path / f"{kind}.pub")
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-b", "1024", "-N", "", "-f", str(tmp_path / "short")], check=True)
    p = snug("key", "add", "bob", tmp_path / "short.pub", "--data", server.data, check=False)
    assert p.returncode != 0 and "2048" in p.stderr


def test_a_removed_key_closes_what_it_opened(server, sshd, tmp_path):
    keygen(tmp_path / "k")
    made = call(server, "POST", "/api/settings/ssh-keys", {"key": (tmp_path / "k.pub").read_text()})
    sshd.learn(tmp_path / "k.pub")
    git = SshGit(sshd, tmp_path / "home", tmp_path / "k")
    repo = make(server, private=True)
    head = json.loads(git.run("git-lfs-authenticate", repo, "download").stdout)["header"]
    ask = {"operation": "download", "objects": []}
    assert server.request("POST", f"/{repo}.git/info/lfs/objects/batch", ask, headers=head)[0] == 200
    assert server.request("DELETE", f"/api/settings/ssh-keys/{made['id']}", token=server.ada)[0] == 204
    assert server.request("POST", f"/{repo}.git/info/lfs/objects/batch", ask, headers=head)[0] == 401
    assert git.run("git-upload-pack", repo).returncode != 0


def test_the_hub_is_down(tmp_path):
    s = Server()
    try:
        s.add_user("ada")
        s.ada = s.add_token("ada")
        keygen(tmp_path / "k")
        added = json.loads(s.snug("key", "add", "ada", tmp_path / "k.pub", "--json"))
        call(s, "POST", "/api/repos/create", {"name": "down", "type": "model"})
        s.stop()
        p = subprocess.run([SNUG, "ssh-serve", "--key", str(added["id"]), "--data", str(s.data), "--hub", s.url],
                           env=dict(os.environ, SSH_ORIGINAL_COMMAND="git-upload-pack 'ada/down'"), timeout=60,
                           capture_output=True, text=True, input="")
        assert p.returncode != 0 and "could not connect" in p.stderr and p.stdout == "", p
    finally:
        s.start()
        s.close()


def test_garbage_from_the_client(server, ada, sshd):
    """A client that does not speak the protocol is told so; nobody waits for ever."""
    repo = make(server)
    for verb in ("git-upload-pack", "git-receive-pack"):
        for words in (b"GET / HTTP/1.1\r\n\r\n", b"fffe" + b"x" * 100, b"", b"0004" * 50, b"0003" + b"\0" * 9):
            p = subprocess.run([*ada.ssh_words, f"{sshd.user}@127.0.0.1", verb, repo], input=words, timeout=60,
                               capture_output=True, env=ada.env)
            assert b"Sanitizer" not in p.stderr and p.returncode != 139, p.stderr
    assert server.request("GET", "/healthz")[0] == 200
