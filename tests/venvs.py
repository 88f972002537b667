# SPDX-License-Identifier: Apache-2.0
"""Virtual environments with pinned versions of the stock clients, made once and kept.

    python = venv("hub-0.30", ["huggingface_hub==0.30.2", "hf-xet==1.0.5"])

Each lives in .venv-<name> at the root of the checkout (git ignores it). A stamp named after what
was asked for marks it whole: other requirements, or an installation that was interrupted, make it
anew. Two test runs at once wait for each other. Downloads stay in pip's own cache.

`python3 tests/venvs.py` makes every pair that the tests use, so that they start from what is there.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Pairs of huggingface_hub and hf-xet that were released together.
PAIRS = {
    "hub-0.30.2": ["huggingface_hub==0.30.2", "hf-xet==1.0.5"],
    "hub-0.34.6": ["huggingface_hub==0.34.6", "hf-xet==1.1.9"],
}


class Unavailable(Exception):
    """The packages could not be installed: no network, or no such version."""


def venv(name, requirements, timeout=600):
    """The python of .venv-<name> with `requirements` (pip's words), made when it is not there."""
    folder = ROOT / f".venv-{name}"
    python = folder / "bin" / "python"
    wanted = "\n".join([sys.version.split()[0], *requirements])
    stamp = folder / ("ready-" + hashlib.sha256(wanted.encode()).hexdigest()[:16])
    if stamp.exists():
        return python
    locks = ROOT / ".venv-locks"
    locks.mkdir(exist_ok=True)
    with open(locks / name, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.exists():  # somebody else made it meanwhile
            return python
        shutil.rmtree(folder, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(folder)], timeout)
        _run([str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *requirements], timeout)
        stamp.touch()
    return python


def _run(command, timeout):
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
    try:
        p = subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=env)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{' '.join(command)} did not end in {timeout} s") from None
    if p.returncode != 0:
        raise Unavailable((p.stderr.strip() or p.stdout.strip())[-2000:])


if __name__ == "__main__":
    for pair, words in PAIRS.items():
        print(pair, venv(pair, words))
