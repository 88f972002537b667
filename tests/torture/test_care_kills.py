# SPDX-License-Identifier: Apache-2.0
"""Care that dies: collecting, tidying git and taking files out of history are cut off at their fault points, done again,
and what should be there is there."""

import hashlib
import json
import os
import tempfile

import pytest

from harness import Server, snug


def put_lfs(server, token, repo, data):
    sha = hashlib.sha256(data).hexdigest()
    batch = {"operation": "upload", "objects": [{"oid": sha, "size": len(data)}], "transfers": ["basic"]}
    _, _, reply = server.request("POST", f"/{repo}.git/info/lfs/objects/batch", batch, token=token,
                                 headers={"Content-Type": "application/vnd.git-lfs+json", "Accept": "application/vnd.git-lfs+json"})
    action = json.loads(reply)["objects"][0].get("actions")
    if action:
        assert server.request("PUT", action["upload"]["href"][len(server.url):], data)[0] == 200
    return sha


def commit(server, token, repo, lines):
    body = "".join(json.dumps(x) + "\n" for x in [{"key": "header", "value": {"summary": "c"}}, *lines]).encode()
    status, _, reply = server.request("POST", f"/api/models/{repo}/commit/main", body, token=token,
                                      headers={"Content-Type": "application/x-ndjson"})
    assert status == 200, reply


@pytest.fixture
def place():
    """A repository with a kept and a doomed large file, and one that was deleted: there is something to collect."""
    with tempfile.TemporaryDirectory(prefix="snug-care-") as folder:
        server = Server(folder)
        server.add_user("ada", admin=True)
        token = server.add_token("ada")
        files = {"kept.bin": os.urandom(300_000), "doomed.bin": os.urandom(200_000)}
        for name in ("m", "gone"):
            assert server.request("POST", "/api/repos/create", {"name": name, "type": "model"}, token=token)[0] == 200
            for i, (path, data) in enumerate(files.items()):
                if name == "gone":
                    data = data[::-1]
                sha = put_lfs(server, token, f"ada/{name}", data)
                commit(server, token, f"ada/{name}", [{"key": "lfsFile", "value": {"path": path, "algo": "sha256", "oid": sha, "size": len(data)}}])
        assert server.request("DELETE", "/api/repos/delete", {"name": "gone", "type": "model"}, token=token)[0] == 200
        yield server, token, files
        if server.proc.poll() is None:
            assert server.stop() == 0, server.log_text()[-3000:]


def check(server, token, files, there):
    for path, data in files.items():
        status, _, body = server.request("GET", f"/ada/m/resolve/main/{path}", token=token)
        assert (status == 200 and body == data) if path in there else status == 404, (path, status)
    out = snug("fsck", "--data", server.data, "--json")
    assert out.returncode == 0, out


@pytest.mark.parametrize("point", ["hub.rewrite.before_refs", "hub.rewrite.before_links"])
@pytest.mark.parametrize("mode", ["fail@1", "kill@1"])
def test_history_is_written_again(place, point, mode):
    server, token, files = place
    doomed = hashlib.sha256(files["doomed.bin"]).hexdigest()
    body = {"deletions": {"sha": [doomed], "rewriteHistory": True}}
    server.stop()
    server.start(faults=f"{point}={mode}")
    try:
        assert server.request("POST", "/api/models/ada/m/lfs-files/batch", body, token=token)[0] == 500
    except OSError:
        server.proc.wait(timeout=30)
    assert (server.proc.poll() is not None) == mode.startswith("kill"), "the point was not passed"
    if server.proc.poll() is None:
        server.stop()
    server.start()
    assert server.request("POST", "/api/models/ada/m/lfs-files/batch", body, token=token)[0] == 200
    check(server, token, files, ["kept.bin"])


@pytest.mark.parametrize("point", ["gc.batch", "gc.blob", "vcs.tidy"])
@pytest.mark.parametrize("mode", ["fail@1", "kill@1"])
def test_collecting_goes_on(place, point, mode):
    server, token, files = place
    first = snug("gc", "--data", server.data, "--grace", "0", env={"SNUG_FAULTS": f"{point}={mode}"}, check=False)
    assert first.returncode != 0 or "0 things" not in first.stdout, first
    assert mode.startswith("fail") or first.returncode == -9, first
    snug("gc", "--data", server.data, "--grace", "0")
    check(server, token, files, ["kept.bin", "doomed.bin"])
    again = snug("gc", "--data", server.data, "--grace", "0", "--dry-run")
    assert "Would remove 0 things" in again.stdout, again
