# SPDX-License-Identifier: Apache-2.0
"""The pages in a real browser without scripts: they show what they should and ask nobody else."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from harness import ROOT, Server, snug  # noqa: E402

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync"]


@pytest.fixture(scope="module")
def server():
    s = Server()
    s.add_user("ada", admin=True)
    token = s.add_token("ada")
    env = {"HF_ENDPOINT": s.url, "HF_TOKEN": token, "HF_HOME": str(s.folder / "home")}
    snug("upload", "ada/sentiment-tiny", ROOT / "samples/models/sentiment-tiny", "--create", env=env)
    snug("repo", "create", "ada/empty", env=env)
    snug("repo", "create", "ada/hidden", "--private", env=env)
    yield s
    s.close()


def dom(url, tmp_path):
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if not browser:
        pytest.skip("chromium is not installed")
    out = subprocess.run([browser, *FLAGS, f"--user-data-dir={tmp_path}/profile", "--dump-dom", url],
                         capture_output=True, text=True, timeout=120)
    assert out.returncode == 0, out.stderr[-2000:]
    return out.stdout


def test_front_page(server, tmp_path):
    page = dom(server.url + "/", tmp_path)
    assert "ada/sentiment-tiny" in page and "ada/empty" in page
    assert "ada/hidden" not in page
    assert f"HF_ENDPOINT={server.url}" in page
    assert f"git clone {server.url}/" in page
    assert "/resolve/" in page  # the endpoint table
    assert len(page) < 120_000


def test_repo_page(server, tmp_path):
    page = dom(server.url + "/ada/sentiment-tiny", tmp_path)
    assert "model.safetensors" in page and "text-classification" in page
    assert "hf download ada/sentiment-tiny" in page
    assert re.search(r'href="/ada/sentiment-tiny/resolve/main/README.md"', page)


def test_empty_repo_page_says_what_to_do(server, tmp_path):
    page = dom(server.url + "/ada/empty", tmp_path)
    assert "hf upload ada/empty" in page and "snug upload ada/empty" in page


def test_headers_are_strict(server):
    for path in ("/", "/ada/empty"):
        status, head, body = server.request("GET", path)
        assert status == 200
        assert "default-src 'none'" in head["content-security-policy"]
        assert head["x-content-type-options"] == "nosniff"
        assert b"<script" not in body and b"http://" not in re.sub(server.url.encode(), b"", body)


def test_hidden_is_absent(server):
    hidden, absent = server.request("GET", "/ada/hidden"), server.request("GET", "/ada/absent")
    assert hidden[0] == absent[0] == 404
    assert hidden[2].replace(b"hidden", b"absent") == absent[2]
