#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`make bench`: measures this build and its peers in one run and prints one JSON object.

    bench/run.py [part...]     parts: hub, list, xet, engine, variants, or the name of a bench_* program; default all

The million repositories of `list` are written once (minutes), to hub-<count> in the build's bench folder;
SNUG_BENCH_REPOS changes how many.

Every figure is a median of several rounds, ours and the peer's taken in turn; ratios are what counts."""

import hashlib
import http.client
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / os.environ.get("BUILD", "build")
sys.path.insert(0, str(ROOT / "tests"))
os.environ.setdefault("SNUG_BIN", str(BUILD / "snug"))
from harness import Server  # noqa: E402

MB = 1_000_000
SIZE = int(os.environ.get("SNUG_BENCH_BYTES", 1000 * MB))
ROUNDS = 5


def median(f, rounds=ROUNDS):
    return statistics.median(f() for _ in range(rounds))


def fetch(port, path, token=None):
    """Seconds to read a whole body from loopback into one reused buffer."""
    buffer = memoryview(bytearray(1 << 20))
    conn = http.client.HTTPConnection("127.0.0.1", port)
    start = time.perf_counter()
    conn.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
    r = conn.getresponse()
    assert r.status == 200, (r.status, r.read(300))
    total = 0
    while n := r.readinto(buffer):
        total += n
    seconds = time.perf_counter() - start
    conn.close()
    assert total == SIZE, total
    return seconds


def nginx(folder, port):
    conf = folder / "nginx.conf"
    (folder / "logs").mkdir(exist_ok=True)
    conf.write_text(f"""
worker_processes 2; pid {folder}/nginx.pid; error_log {folder}/logs/error.log; daemon off;
events {{ worker_connections 1024; }}
http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  server {{ listen 127.0.0.1:{port}; root {folder}/www; }} }}
""")
    return subprocess.Popen(["nginx", "-p", str(folder), "-c", str(conf)], stderr=subprocess.DEVNULL)


def wrk(url, connections=64, seconds=5):
    out = subprocess.run(["wrk", "-t2", f"-c{connections}", f"-d{seconds}s", "--latency", url],
                         capture_output=True, text=True, check=True).stdout
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1))
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    assert not bad, out
    return rate


def resident_mb(pid):
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text).group(1)) / 1000


def upload(server, token, repo, path, digest):
    """One basic LFS upload; returns the seconds of the PUT alone (hash checked, fsynced, named)."""
    media = {"Content-Type": "application/vnd.git-lfs+json", "Accept": "application/vnd.git-lfs+json"}
    body = {"operation": "upload", "transfers": ["basic"], "objects": [{"oid": digest, "size": SIZE}]}
    status, _, data = server.request("POST", f"/{repo}.git/info/lfs/objects/batch", body, token, media)
    assert status == 200, data
    href = json.loads(data)["objects"][0]["actions"]["upload"]["href"]
    conn = http.client.HTTPConnection("127.0.0.1", server.port, timeout=300)
    start = time.perf_counter()
    conn.putrequest("PUT", re.sub(r"^https?://[^/]+", "", href))
    conn.putheader("Content-Length", str(SIZE))
    conn.endheaders()
    conn.sock.setblocking(True)  # os.sendfile does not know about time-outs
    with open(path, "rb") as f:
        off = 0
        while off < SIZE:
            off += os.sendfile(conn.sock.fileno(), f.fileno(), off, min(SIZE - off, 1 << 22))
    r = conn.getresponse()
    r.read()
    seconds = time.perf_counter() - start
    assert r.status in (200, 201), r.status
    conn.close()
    return seconds


def write_file(path, seed):
    """SIZE incompressible bytes; the first eight differ by seed so that every round is a new object."""
    block = os.urandom(1 << 22)
    digest = hashlib.sha256()
    with open(path, "wb") as f:
        left, n = SIZE, 0
        while left:
            part = ((seed << 32 | n).to_bytes(8, "little") + block[8:])[:left]
            f.write(part)
            digest.update(part)
            left -= len(part)
            n += 1
    return digest.hexdigest()


def sha256_rate(path):
    """The machine's own SHA-256 of the same bytes, from the page cache, one thread, MB/s."""
    def once():
        start = time.perf_counter()
        digest = hashlib.sha256()
        buffer = bytearray(1 << 20)
        with open(path, "rb", buffering=0) as f:
            while n := f.readinto(buffer):
                digest.update(memoryview(buffer)[:n])
        return time.perf_counter() - start
    return SIZE / MB / median(once, 3)


def disk_rate(folder, path):
    """Writing and fsyncing the same bytes without hashing: what the disk allows, MB/s."""
    def once():
        out = folder / "copy"
        start = time.perf_counter()
        with open(path, "rb") as a, open(out, "wb", buffering=0) as b:
            while part := a.read(1 << 20):
                b.write(part)
            os.fsync(b.fileno())
        seconds = time.perf_counter() - start
        out.unlink()
        return seconds
    return SIZE / MB / median(once, 3)


def start_to_first_answer(folder):
    """Milliseconds from exec to the first 200 of /healthz, on a data folder that exists."""
    def once():
        port = 18431
        start = time.perf_counter()
        p = subprocess.Popen([os.environ["SNUG_BIN"], "serve", "--data", str(folder / "start"), "--listen",
                              f"127.0.0.1:{port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while True:
                try:
                    conn = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
                    conn.request("GET", "/healthz")
                    ok = conn.getresponse().status == 200
                    conn.close()
                    if ok:
                        return (time.perf_counter() - start) * 1000
                except OSError:
                    time.sleep(0.0005)
        finally:
            p.terminate()
            p.wait()
    once()
    return median(once)


def hub():
    result = {}
    folder = Path(tempfile.mkdtemp(prefix="snug-bench-"))
    folder.chmod(0o755)  # the peer reads it under another account
    server = None
    peer = None
    try:
        result["start_to_first_answer_ms"] = round(start_to_first_answer(folder), 1)
        os.environ["SNUG_DEDUP"] = "false"  # the file it serves stays whole
        server = Server(folder / "hub")
        server.add_user("ada", admin=True)
        token = server.add_token("ada")
        time.sleep(1)
        result["idle_resident_mb"] = round(resident_mb(server.proc.pid), 1)

        status, _, data = server.request("POST", "/api/repos/create", {"name": "big"}, token)
        assert status == 200, data
        source = folder / "source"
        rates = []
        digest = None
        for seed in range(3):
            digest = write_file(source, seed + 1)
            os.sync()
            rates.append(SIZE / MB / upload(server, token, "ada/big", source, digest))
        sha, disk = sha256_rate(source), disk_rate(folder, source)
        result["upload"] = {"mb_per_s": round(statistics.median(rates)), "sha256_mb_per_s": round(sha),
                            "disk_write_fsync_mb_per_s": round(disk),
                            "ratio_to_sha256": round(statistics.median(rates) / sha, 3),
                            "ratio_to_disk": round(statistics.median(rates) / disk, 3)}
        lines = [{"key": "header", "value": {"summary": "big", "description": ""}},
                 {"key": "lfsFile", "value": {"path": "big.bin", "algo": "sha256", "oid": digest, "size": SIZE}},
                 {"key": "file", "value": {"path": "README.md", "encoding": "utf-8",
                                           "content": "---\nlicense: mit\npipeline_tag: text-generation\n---\n"}}]
        body = "".join(json.dumps(x) + "\n" for x in lines).encode()
        status, _, data = server.request("POST", "/api/models/ada/big/commit/main", body, token,
                                         {"Content-Type": "application/x-ndjson"})
        assert status == 200, data

        (folder / "www").mkdir()
        os.rename(source, folder / "www" / "big.bin")
        (folder / "www" / "info.json").write_bytes(server.request("GET", "/api/models/ada/big")[2])
        peer = nginx(folder, 18432)
        time.sleep(0.5)
        ours, theirs = [], []
        for _ in range(ROUNDS + 1):  # the first round warms the page cache
            ours.append(SIZE / MB / fetch(server.port, "/ada/big/resolve/main/big.bin"))
            theirs.append(SIZE / MB / fetch(18432, "/big.bin"))
        ours, theirs = statistics.median(ours[1:]), statistics.median(theirs[1:])
        result["download"] = {"mb_per_s": round(ours), "nginx_mb_per_s": round(theirs), "ratio": round(ours / theirs, 3)}

        info = f"http://127.0.0.1:{server.port}/api/models/ada/big"
        ours = median(lambda: wrk(info), 3)
        theirs = median(lambda: wrk("http://127.0.0.1:18432/info.json"), 3)
        result["repo_info"] = {"requests_per_s": round(ours), "nginx_static_requests_per_s": round(theirs),
                               "ratio": round(ours / theirs, 3), "connections": 64}
        result["resident_mb_after_load"] = round(resident_mb(server.proc.pid), 1)
    finally:
        if peer:
            peer.terminate()
            peer.wait()
        if server:
            server.kill()
        shutil.rmtree(folder, ignore_errors=True)
    return result


# Processor time, as our own program counts it: on one thread what others do on the machine does not matter.
HASH = """
import hf_xet, sys, time
start = time.process_time()
info = hf_xet.hash_files([sys.argv[1]])[0]
print(time.process_time() - start, info.hash)
"""
TRANSFER = """
import sys, time
from huggingface_hub import HfApi, hf_hub_download
start = time.perf_counter()
if sys.argv[1] == "up":
    HfApi().upload_file(path_or_fileobj=sys.argv[3], path_in_repo="big.bin", repo_id=sys.argv[2])
else:
    hf_hub_download(sys.argv[2], "big.bin", local_dir=sys.argv[3])
print(time.perf_counter() - start)
"""


def own_client(*args, env):
    """Runs `snug`: (what it says, seconds, its peak resident memory in MB)."""
    start = time.perf_counter()
    p = subprocess.Popen([os.environ["SNUG_BIN"], "--json", *map(str, args)], env=env, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True)
    peak = 0
    while p.poll() is None:
        m = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{p.pid}/status").read_text())
        peak = max(peak, int(m.group(1)) if m else 0)
        time.sleep(0.01)
    seconds = time.perf_counter() - start
    assert p.returncode == 0, p.stderr.read()
    return json.loads(p.stdout.read()), seconds, peak / 1000


def own_transfers(server, token, folder, source):
    """The same by our own client, and a second version with 1 MB more in its middle."""
    result, env = {}, dict(os.environ, HF_ENDPOINT=server.url, HF_TOKEN=token, HF_HOME=str(folder / "home-snug"))
    for kind, flags in (("lfs", ["--no-xet"]), ("xet", [])):
        rates, peaks = {"up": [], "down": []}, {"up": 0, "down": 0}
        for seed in range(3):
            write_file(source, 100 + seed + (10 if kind == "xet" else 0))
            repo, got = f"ada/snug-{kind}", folder / "got-snug"
            for way, args in (("up", ["upload", repo, source, "big.bin", "--create"]),
                              ("down", ["download", repo, "--local-dir", got])):
                _, seconds, peak = own_client(*args, *flags, env=env)
                rates[way].append(SIZE / MB / seconds)
                peaks[way] = max(peaks[way], peak)
            shutil.rmtree(got)
        for way, name in (("up", "upload"), ("down", "download")):
            result.setdefault(name, {})[f"{kind}_mb_per_s"] = round(statistics.median(rates[way]))
            result[name][f"{kind}_peak_mb"] = round(peaks[way])
    for name in ("upload", "download"):
        result[name]["ratio"] = round(result[name]["xet_mb_per_s"] / result[name]["lfs_mb_per_s"], 3)
    with open(source, "rb") as a, open(folder / "edited", "wb") as b:
        for at in range(0, SIZE, MB):
            if at == SIZE // 2 // MB * MB:
                b.write(os.urandom(MB))
            b.write(a.read(min(MB, SIZE - at)))
    done, seconds, _ = own_client("upload", "ada/snug-xet", folder / "edited", "big.bin", env=env)
    result["one_mb_inserted"] = {"sent_mb": round(done["bytes_sent"] / MB, 2), "seconds": round(seconds, 2)}
    return result


def xet(python):
    """Chunk and hash against the hf_xet wheel; uploads, downloads and plain HTTP of a file stored in chunks
    against the same file stored whole."""
    folder = Path(tempfile.mkdtemp(prefix="snug-bench-"))
    server, result = None, {}
    try:
        source = folder / "source"
        write_file(source, 1)
        ours, theirs = [], []
        for _ in range(3):
            p = subprocess.run(["taskset", "-c", "0", BUILD / "bench" / "bench_xet_chunk", source], capture_output=True,
                               text=True, check=True)
            ours.append(json.loads(p.stdout))
            p = subprocess.run(["taskset", "-c", "0", python, "-c", HASH, source], capture_output=True, text=True, check=True)
            seconds, name = p.stdout.split()
            assert name == ours[-1]["file_hash"], name
            theirs.append(SIZE / MB / float(seconds))
        ours, theirs = statistics.median(x["mb_per_s"] for x in ours), statistics.median(theirs)
        result["chunk_and_hash"] = {"mb_per_s": round(ours), "hf_xet_mb_per_s": round(theirs),
                                    "ratio": round(ours / theirs, 3), "threads": 1}
        os.environ["SNUG_DEDUP"] = "false"  # what is compared with stays whole
        server = Server(folder / "hub")
        server.add_user("ada", admin=True)
        token = server.add_token("ada")
        rates = {}
        for kind in ("lfs", "xet"):
            assert server.request("POST", "/api/repos/create", {"name": kind}, token)[0] == 200
            write_file(source, 2 if kind == "lfs" else 3)
            env = dict(os.environ, HF_ENDPOINT=server.url, HF_TOKEN=token, HF_HOME=str(folder / f"home-{kind}"),
                       HF_HUB_DISABLE_PROGRESS_BARS="1", HF_HUB_DISABLE_XET="1" if kind == "lfs" else "0")
            for way, place in (("up", source), ("down", folder / f"got-{kind}")):
                p = subprocess.run([python, "-c", TRANSFER, way, f"ada/{kind}", place], env=env, capture_output=True, text=True)
                assert p.returncode == 0, p.stderr[-2000:]
                rates[kind, way] = SIZE / MB / float(p.stdout)
            shutil.rmtree(folder / f"got-{kind}")
        plain = {kind: SIZE / MB / median(lambda k=kind: fetch(server.port, f"/ada/{k}/resolve/main/big.bin"), 3)
                 for kind in ("lfs", "xet")}
        for way, name in (("up", "upload"), ("down", "download")):
            result[name] = {"xet_mb_per_s": round(rates["xet", way]), "lfs_mb_per_s": round(rates["lfs", way]),
                            "ratio": round(rates["xet", way] / rates["lfs", way], 3)}
        result["reconstruction"] = {"mb_per_s": round(plain["xet"]), "sendfile_mb_per_s": round(plain["lfs"]),
                                    "ratio": round(plain["xet"] / plain["lfs"], 3)}
        result["snug"] = own_transfers(server, token, folder, source)
        result["resident_mb"] = round(resident_mb(server.proc.pid), 1)
    finally:
        if server:
            server.kill()
        shutil.rmtree(folder, ignore_errors=True)
    return result


def put_lfs(server, token, repo, path, data):
    """By LFS and a commit."""
    oid = hashlib.sha256(data).hexdigest()
    media = {"Content-Type": "application/vnd.git-lfs+json", "Accept": "application/vnd.git-lfs+json"}
    body = {"operation": "upload", "transfers": ["basic"], "objects": [{"oid": oid, "size": len(data)}]}
    reply = json.loads(server.request("POST", f"/{repo}.git/info/lfs/objects/batch", body, token, media)[2])
    href = reply["objects"][0]["actions"]["upload"]["href"]
    assert server.request("PUT", href[len(server.url):], data)[0] == 200
    lines = [{"key": "header", "value": {"summary": path}},
             {"key": "lfsFile", "value": {"path": path, "algo": "sha256", "oid": oid, "size": len(data)}}]
    status, _, reply = server.request("POST", f"/api/models/{repo}/commit/main", "\n".join(map(json.dumps, lines)).encode(),
                                      token, {"Content-Type": "application/x-ndjson"})
    assert status == 200, reply


def variants():
    """Ten fine-tuned variants of one checkpoint, a tenth of each its own, sent whole by LFS: what they take once the
    background has cut them; how fast it cuts; how fast one is served from its chunks."""
    global SIZE
    folder = Path(tempfile.mkdtemp(prefix="snug-bench-"))
    each, whole = SIZE // 10, SIZE
    os.environ["SNUG_DEDUP"] = "false"
    server = Server(folder / "hub")
    try:
        server.add_user("ada", admin=True)
        token = server.add_token("ada")
        rng = random.Random(1)
        base = rng.randbytes(each)
        for i in range(10):
            assert server.request("POST", "/api/repos/create", {"name": f"v{i}"}, token)[0] == 200
            at = each // 20 + i * (each * 8 // 100)
            put_lfs(server, token, f"ada/v{i}", "model.safetensors",
                    base[:at] + rng.randbytes(each // 10) + base[at + each // 10:])
        SIZE = each
        sendfile = median(lambda: fetch(server.port, "/ada/v9/resolve/main/model.safetensors", token), 3)
        start = time.perf_counter()
        server.snug("dedup")
        seconds = time.perf_counter() - start
        packed = median(lambda: fetch(server.port, "/ada/v9/resolve/main/model.safetensors", token), 3)
        sums = json.loads(server.snug("storage", "--json"))
        distinct = each + 10 * (each // 10)
        return {"logical_mb": round(sums["logical_bytes"] / MB), "stored_mb": round(sums["stored_bytes"] / MB),
                "of_distinct_bytes": round(sums["stored_bytes"] / distinct, 3), "chunking_mb_per_s": round(whole / MB / seconds),
                "served_mb_per_s": round(each / MB / packed), "of_sendfile": round(sendfile / packed, 3)}
    finally:
        SIZE = whole
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


def p95(values):
    values = sorted(values)
    return round(1000 * values[len(values) * 95 // 100], 2)


def commit(server, token, repo, names, text):
    """One commit of as many files as there are names; seconds."""
    lines = [{"key": "header", "value": {"summary": f"{len(names)} files"}}]
    lines += [{"key": "file", "value": {"path": n, "content": f"{text} {n}"}} for n in names]
    body = "".join(json.dumps(x) + "\n" for x in lines).encode()
    start = time.perf_counter()
    status, _, data = server.request(
        "POST", f"/api/models/{repo}/commit/main", body, token, {"Content-Type": "application/x-ndjson"}
    )
    assert status == 200, data
    return time.perf_counter() - start


def pages(server, token, path):
    """Seconds of each page of a list, and how many things there were."""
    seconds, seen = [], 0
    while path:
        start = time.perf_counter()
        status, headers, data = server.request("GET", path, token=token)
        seconds.append(time.perf_counter() - start)
        assert status == 200, data
        seen += len(json.loads(data))
        link = re.search(r'<https?://[^/]+([^>]+)>; *rel="next"', headers.get("link", ""))
        path = link and link.group(1)
    return seconds, seen


def listing():
    """Lists of a large hub, and large repositories: milliseconds with their 95th percentile."""
    count = os.environ.get("SNUG_BENCH_REPOS", "1000000")
    cache = BUILD / "bench" / f"hub-{count}"
    cache.mkdir(parents=True, exist_ok=True)
    program = BUILD / "bench" / "bench_hub_list"
    out = {"repositories": json.loads(subprocess.run([program, count, cache], check=True, capture_output=True).stdout)}
    talks = subprocess.run([BUILD / "bench" / "bench_hub_talks"], check=True, capture_output=True)
    out["discussions"] = json.loads(talks.stdout)
    server = Server()
    try:
        server.add_user("ada")
        token = server.add_token("ada", "write")
        for repo in ("files", "commits"):
            assert server.request("POST", "/api/repos/create", {"name": repo}, token)[0] == 200
        for part in range(2):
            names = [f"d{part}/{i // 500:02}/{i:05}.txt" for i in range(50_000)]
            commit(server, token, "ada/files", names, "x")
        before = resident_mb(server.proc.pid)
        tree, seen = pages(server, token, "/api/models/ada/files/tree/main?recursive=true&limit=1000")
        assert seen >= 100_000, seen
        out["tree_of_100000_files"] = {
            "pages": len(tree), "median_ms": round(1000 * statistics.median(tree), 2), "p95_ms": p95(tree),
            "first_ten_ms": round(100 * sum(tree[:10]), 2), "last_ten_ms": round(100 * sum(tree[-10:]), 2),
            "resident_growth_mb": round(resident_mb(server.proc.pid) - before, 1)}
        names = [f"f/{i:04}.txt" for i in range(1000)]
        took = [commit(server, token, "ada/commits", names, f"round {i}") for i in range(20)]
        out["commit_of_1000_operations"] = {"median_ms": round(1000 * statistics.median(took), 1), "p95_ms": p95(took)}
        return out
    finally:
        server.kill()


def peers():
    """A Python that has the peers of bench/requirements.txt, or None where the registry is out of reach."""
    wanted = ROOT / "bench" / "requirements.txt"
    venv = ROOT / ".venv-bench"
    stamp = venv / f"ready-{hashlib.sha256(wanted.read_bytes()).hexdigest()[:16]}"
    python = venv / "bin" / "python"
    if not stamp.exists():
        try:
            subprocess.run([sys.executable, "-m", "venv", venv], check=True, capture_output=True)
            subprocess.run([python, "-m", "pip", "install", "-q", "-r", wanted], check=True, capture_output=True)
            stamp.touch()
        except subprocess.CalledProcessError:
            return None
    return str(python)


def main():
    wanted = sys.argv[1:]
    out = {"cpus": os.cpu_count(), "bytes": SIZE}
    python = peers()
    if python:
        os.environ["SNUG_BENCH_PYTHON"] = python
    else:
        out["skipped"] = "the Python peers of bench/requirements.txt could not be installed"
    for program in sorted((BUILD / "bench").glob("bench_*")):
        name = program.name.removeprefix("bench_")
        if not os.access(program, os.X_OK) or program.is_dir() or (wanted and name not in wanted):
            continue
        if not wanted and name in ("hub_list", "hub_talks"):
            continue  # parts of `list`
        p = subprocess.run([program], capture_output=True, text=True, cwd=ROOT)
        try:
            out[name] = json.loads(p.stdout)
        except ValueError:
            out[name] = {"error": (p.stderr or p.stdout)[-400:]}
    if python and (not wanted or "engine" in wanted):
        p = subprocess.run([python, ROOT / "bench" / "engine.py", BUILD], capture_output=True, text=True)
        try:
            out["engine"] = json.loads(p.stdout)
        except ValueError:
            out["engine"] = {"error": p.stderr[-400:]}
    if not wanted or "hub" in wanted:
        out["hub"] = hub()
    if not wanted or "list" in wanted:
        out["list"] = listing()
    if not wanted or "variants" in wanted:
        out["variants"] = variants()
    if python and (not wanted or "xet" in wanted):
        out["xet"] = xet(python)
    json.dump(out, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
