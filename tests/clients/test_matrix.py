# SPDX-License-Identifier: Apache-2.0
"""One day of a user (scenario.py) with each version of huggingface_hub that is still met in the wild.

Every version runs unmodified in a virtual environment of its own, with the hf-xet that came with it.
"""

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from venvs import Unavailable, venv

HERE = Path(__file__).parent
VERSIONS = {
    "0.20.3": ["huggingface_hub==0.20.3"],  # before Xet
    "0.30.2": ["huggingface_hub==0.30.2", "hf-xet==1.0.5"],
    "0.36.2": ["huggingface_hub==0.36.2", "hf-xet==1.2.0"],
    "1.0.1": ["huggingface_hub==1.0.1", "hf-xet==1.2.0", "click==8.1.8"],  # its command line needs click and forgot it
    "latest": None,  # the one of requirements.txt
}
STEPS = re.findall(r"^@step\ndef (\w+)", (HERE / "scenario.py").read_text(), re.M)
WAITING = 3  # large uploads wait more than they work, so the days overlap


def run(server, version, home):
    try:
        python = sys.executable if VERSIONS[version] is None else venv(f"hub-{version}", VERSIONS[version])
    except Unavailable as e:
        return {"missing": str(e)}
    env = dict(os.environ, HF_ENDPOINT=server.url, HF_HOME=str(home), ADA=server.ada, BOB=server.bob,
               PREFIX="m" + version.replace(".", ""), TMPDIR=str(home), HOME=str(home))
    env.pop("HF_HUB_DISABLE_XET", None)
    p = subprocess.run([python, HERE / "scenario.py"], env=env, capture_output=True, text=True, timeout=600)
    try:
        return dict(json.loads(p.stdout.strip().splitlines()[-1]), stderr=p.stderr)
    except (ValueError, IndexError):
        return {"broken": f"ended with {p.returncode}\n{p.stdout[-3000:]}\n{p.stderr[-6000:]}"}


@pytest.fixture(scope="module")
def days(server, tmp_path_factory):
    homes = [tmp_path_factory.mktemp("day") for _ in VERSIONS]
    with ThreadPoolExecutor(WAITING) as pool:
        return dict(zip(VERSIONS, pool.map(lambda v, h: run(server, v, h), VERSIONS, homes)))


@pytest.fixture
def day(request, days):
    day = days[request.param]
    if "missing" in day:
        pytest.skip(f"huggingface_hub {request.param} could not be installed: {day['missing']}")
    assert "broken" not in day, day["broken"]
    return day


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("day", VERSIONS, indirect=True)
def test_step(day, name):
    result = day["steps"][name]
    if result.startswith("skipped: "):
        pytest.skip(f"huggingface_hub {day['versions']['huggingface_hub']}: {result[9:]}")
    assert result == "ok", result + day["stderr"][-2000:]


@pytest.mark.parametrize("day", [v for v in VERSIONS if v != "0.20.3"], indirect=True)
def test_xet_was_on(day):
    assert day["versions"]["hf-xet"]
