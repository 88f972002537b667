# SPDX-License-Identifier: Apache-2.0
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

# As installed, the client sends large files by Xet; a second pass without it goes by LFS.
if os.environ.get("SNUG_TEST_TRANSFER") == "lfs":
    os.environ["HF_HUB_DISABLE_XET"] = "1"
else:
    os.environ.pop("HF_HUB_DISABLE_XET", None)
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HUB_DISABLE_UPDATE_CHECK"] = "1"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
for name in ("HF_TOKEN", "HF_HOME", "HF_HUB_OFFLINE", "HF_ENDPOINT"):
    os.environ.pop(name, None)

from harness import Server  # noqa: E402


@pytest.fixture(scope="session")
def server():
    s = Server()
    s.add_user("ada", admin=True)
    s.add_user("bob")
    s.ada = s.add_token("ada", "write")
    s.ada_read = s.add_token("ada", "read", role="read")
    s.bob = s.add_token("bob", "write")
    yield s
    s.close()


@pytest.fixture(scope="session")
def hub_home(tmp_path_factory, server):
    """Settings the stock client reads at import time: set before the first import of it."""
    home = tmp_path_factory.mktemp("hf-home")
    os.environ["HF_HOME"] = str(home)
    os.environ["HF_ENDPOINT"] = server.url
    return home


@pytest.fixture(scope="session")
def api(server, hub_home):
    from huggingface_hub import HfApi

    return HfApi(endpoint=server.url, token=server.ada)


@pytest.fixture(scope="session")
def bob(server, hub_home):
    from huggingface_hub import HfApi

    return HfApi(endpoint=server.url, token=server.bob)
