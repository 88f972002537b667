# SPDX-License-Identifier: Apache-2.0
"""The unmodified JavaScript client from npm."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

JS = Path(__file__).parent / "js"


@pytest.mark.parametrize("xet", ["0", "1"])
def test_round_trip(server, xet):
    if not shutil.which("node") or not (JS / "node_modules" / "@huggingface" / "hub").exists():
        pytest.skip("Node.js or @huggingface/hub from npm is not installed")
    env = dict(os.environ, HUB_URL=server.url, HUB_TOKEN=server.ada, USE_XET=xet)
    out = subprocess.run(["node", "roundtrip.mjs"], cwd=JS, env=env, capture_output=True, text=True, timeout=300)
    assert out.returncode == 0, out.stdout + out.stderr
    assert "round trip complete" in out.stdout
