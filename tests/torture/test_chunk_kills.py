# SPDX-License-Identifier: Apache-2.0
"""The server dies while files are cut into chunks and while what is unused is removed: no byte of what
was committed is lost, and in the end all of it is in chunks."""

import hashlib
import json
import random
import subprocess
import tempfile
import time

from harness import SANITIZED, SNUG, Server, snug

MEDIA = {"Content-Type": "application/vnd.git-lfs+json", "Accept": "application/vnd.git-lfs+json"}
KILLS = 8 if SANITIZED else 25


def put_file(server, token, repo, path, data):
    """By LFS and a commit, as a client does. True: acknowledged."""
    oid = hashlib.sha256(data).hexdigest()
    body = {"operation": "upload", "transfers": ["basic"], "objects": [{"oid": oid, "size": len(data)}]}
    status, _, reply = server.request("POST", f"/{repo}.git/info/lfs/objects/batch", body, headers=MEDIA,
                                      token=token)
    assert status == 200, reply
    actions = json.loads(reply)["objects"][0].get("actions")
    if actions:
        href = actions["upload"]["href"]
        assert server.request("PUT", href[len(server.url):], data)[0] == 200
    lines = [{"key": "header", "value": {"summary": path}},
             {"key": "lfsFile", "value": {"path": path, "algo": "sha256", "oid": oid, "size": len(data)}}]
    status, _, reply = server.request("POST", f"/api/models/{repo}/commit/main",
                                      "\n".join(map(json.dumps, lines)).encode(), token=token,
                                      headers={"Content-Type": "application/x-ndjson"})
    assert status == 200, reply


def check_all(server, files):
    for path, data in files.items():
        status, _, body = server.request("GET", f"/ada/m/resolve/main/{path}")
        assert status == 200 and body == data, path


def test_killed_while_chunking_and_collecting():
    rng = random.Random(20261120)
    base = rng.randbytes(6_000_000)
    with tempfile.TemporaryDirectory(prefix="snug-torture-") as folder:
        server = Server(folder)
        server.add_user("ada", admin=True)
        token = server.add_token("ada")
        server.request("POST", "/api/repos/create", {"name": "m", "type": "model"}, token=token)
        files = {}
        for i in range(KILLS):
            cut = rng.randrange(1_000_000, 5_000_000)
            data = base[:cut] + rng.randbytes(700_000) + base[cut:]
            put_file(server, token, "ada/m", f"f{i}.bin", data)
            files[f"f{i}.bin"] = data
            if i % 3 == 2:  # an upload that nobody commits, for the collector
                extra = rng.randbytes(300_000)
                oid = hashlib.sha256(extra).hexdigest()
                body = {"operation": "upload", "objects": [{"oid": oid, "size": len(extra)}]}
                _, _, reply = server.request("POST", "/ada/m.git/info/lfs/objects/batch", body, headers=MEDIA,
                                             token=token)
                href = json.loads(reply)["objects"][0]["actions"]["upload"]["href"]
                server.request("PUT", href[len(server.url):], extra)
            # Cutting and collecting in processes of their own, so that they are hit often.
            jobs = [subprocess.Popen([SNUG, *what, "--data", str(server.data)], stdout=subprocess.DEVNULL,
                                     stderr=subprocess.DEVNULL)
                    for what in (["dedup"], ["gc", "--grace", "0"])]
            time.sleep(rng.uniform(0.0, 0.25))
            for job in jobs:
                job.kill()
            server.kill()
            for job in jobs:
                job.wait()
            server.start()
            check_all(server, files)
        for _ in range(60):
            snug("dedup", "--data", server.data, check=False)
            left = [p for p in (server.data / "blobs").rglob("*") if p.is_file()
                    and any(hashlib.sha256(d).hexdigest() == p.name for d in files.values())]
            if not left:
                break
            time.sleep(0.5)
        assert not left
        check_all(server, files)
        snug("gc", "--grace", "0", "--data", server.data)
        report = json.loads(snug("fsck", "--json", "--data", server.data).stdout)
        assert report["damaged"] == 0 and report["files"] == len(files), report
        check_all(server, files)
        sums = json.loads(snug("storage", "--json", "--data", server.data).stdout)
        # Each file is the same 6 MB and 0.7 MB of its own.
        assert sums["stored_bytes"] < 1.3 * (6_000_000 + 700_000 * len(files)), sums
        assert sums["whole_objects"] == 0
        assert server.stop() == 0
