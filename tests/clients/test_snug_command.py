# SPDX-License-Identifier: Apache-2.0
"""Our own command line against the server, and the cache it shares with the stock client."""

import json
import os
from pathlib import Path

import pytest

from harness import ROOT, snug


@pytest.fixture(scope="module")
def env(server, tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    return {"HF_ENDPOINT": server.url, "HF_TOKEN": server.ada, "HF_HOME": str(home), "HOME": str(home), "NO_COLOR": "1"}


def test_whoami_and_login(server, env, tmp_path):
    assert "ada" in snug("whoami", env=env).stdout
    alone = dict(env, HF_TOKEN="", HF_HOME=str(tmp_path))
    snug("login", "--token", server.bob, env=alone)
    assert "bob" in snug("whoami", env=alone).stdout
    assert (tmp_path / "token").read_text().strip() == server.bob
    assert (tmp_path / "token").stat().st_mode & 0o077 == 0


def test_upload_then_stock_client_reads_our_cache(server, env, tmp_path):
    d = tmp_path / "up"
    (d / "sub").mkdir(parents=True)
    (d / "sub" / "x.txt").write_text("x\n")
    (d / "w.bin").write_bytes(os.urandom(12_000_000))
    first = json.loads(snug("--json", "upload", "ada/ours", d, "--create", env=env).stdout)
    again = json.loads(snug("--json", "upload", "ada/ours", d, "--create", env=env).stdout)
    assert first["bytes_sent"] > 12_000_000 and again["bytes_sent"] == 0, (first, again)

    got = json.loads(snug("--json", "download", "ada/ours", env=env).stdout)
    assert (Path(got["path"]) / "w.bin").read_bytes() == (d / "w.bin").read_bytes()

    from huggingface_hub import snapshot_download, try_to_load_from_cache
    cache = Path(env["HF_HOME"]) / "hub"
    hit = try_to_load_from_cache("ada/ours", "sub/x.txt", cache_dir=cache)
    assert hit and Path(hit).read_text() == "x\n"
    offline = snapshot_download("ada/ours", cache_dir=cache, local_files_only=True)
    assert os.path.realpath(offline) == os.path.realpath(got["path"])


def test_we_read_the_cache_of_the_stock_client(server, env, api, tmp_path):
    api.create_repo("ada/theirs", exist_ok=True)
    api.upload_file(path_or_fileobj=b"cached\n", path_in_repo="c.txt", repo_id="ada/theirs")
    home = tmp_path / "h"
    api.hf_hub_download("ada/theirs", "c.txt", cache_dir=home / "hub")
    out = snug("--json", "download", "ada/theirs", "c.txt",
               env=dict(env, HF_HOME=str(home), HF_HUB_OFFLINE="1", HF_ENDPOINT="http://127.0.0.1:9"))
    assert Path(json.loads(out.stdout)["path"]).read_bytes() == b"cached\n"


def test_one_type_of_many(server, env, tmp_path):
    d = tmp_path / "gguf"
    d.mkdir()
    for kind in ("Q4_0", "Q8_0", "Q4_K_M"):
        snug("quantize", ROOT / "samples/models/shakespeare-tiny", "--type", kind, "-o", d / f"m-{kind}.gguf")
    (d / "README.md").write_text("# m\n")
    snug("upload", "ada/m-gguf", d, "--create", env=env)
    home = tmp_path / "h"
    mine = dict(env, HF_HOME=str(home))

    def cached():
        return sorted(p.name for p in home.glob("hub/*/snapshots/*/*"))

    args = ("--param", "max_new_tokens=4", "--param", "do_sample=false")
    want = snug("run", d / "m-Q8_0.gguf", "ROMEO:", *args).stdout
    assert snug("run", "ada/m-gguf:q8_0", "ROMEO:", *args, env=mine).stdout == want
    assert cached() == ["m-Q8_0.gguf"]
    snug("run", "ada/m-gguf", "ROMEO:", *args, env=mine)
    assert cached() == ["m-Q4_K_M.gguf", "m-Q8_0.gguf"]
    p = snug("run", "ada/m-gguf:Q6_K", "ROMEO:", env=mine, check=False)
    assert p.returncode == 3 and "Q6_K" in p.stderr and "m-Q4_0.gguf" in p.stderr
    away = dict(mine, HF_HUB_OFFLINE="1", HF_ENDPOINT="http://127.0.0.1:9")
    assert snug("run", "ada/m-gguf:Q8_0", "ROMEO:", *args, env=away).stdout == want
    assert snug("run", "ada/m-gguf:Q4_0", "ROMEO:", env=away, check=False).returncode == 3
    from huggingface_hub import hf_hub_download
    assert hf_hub_download("ada/m-gguf", "m-Q8_0.gguf", cache_dir=home / "hub", local_files_only=True)


def test_exit_codes_and_sentences(server, env):
    p = snug("download", "ada/not-there", env=env, check=False)
    assert p.returncode == 3 and "ada/not-there" in p.stderr
    p = snug("whoami", env=dict(env, HF_TOKEN="hf_" + "z" * 34), check=False)
    assert p.returncode == 4
    p = snug("uplaod", env=env, check=False)
    assert p.returncode == 2 and "upload" in p.stderr
    p = snug("whoami", env=dict(env, HF_ENDPOINT="http://127.0.0.1:9"), check=False)
    assert p.returncode != 0 and "127.0.0.1" in p.stderr


def test_run_from_the_hub(server, env):
    snug("upload", "ada/sentiment-tiny", ROOT / "samples/models/sentiment-tiny", "--create", env=env)
    out = json.loads(snug("--json", "run", "ada/sentiment-tiny", "A warm, funny and moving film.", env=env).stdout)
    best = out[0] if isinstance(out[0], dict) else out[0][0]
    assert best["label"] == "POSITIVE" and best["score"] > 0.5
    lines = "I loved it.\nA dull, lifeless mess.\n"
    out = snug("--json", "run", "ada/sentiment-tiny", "--batch", "-", env=env, input=lines).stdout.splitlines()
    assert len(out) == 2
    labels = []
    for line in out:
        r = json.loads(line)
        r = r[0] if isinstance(r, list) else r
        labels.append((r[0] if isinstance(r, list) else r)["label"])
    assert labels == ["POSITIVE", "NEGATIVE"]
