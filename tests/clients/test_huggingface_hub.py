# SPDX-License-Identifier: Apache-2.0
"""The unmodified Python client against a real server: what it does must just work."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness import SANITIZED


def fill(path: Path, size: int, seed: int = 1) -> str:
    """A file of incompressible bytes; returns its SHA-256."""
    digest = hashlib.sha256()
    block = hashlib.shake_256(seed.to_bytes(8, "little")).digest(1 << 20)
    with open(path, "wb") as f:
        left = size
        n = 0
        while left > 0:
            part = (n.to_bytes(8, "little") + block)[: min(left, 1 << 20)]
            f.write(part)
            digest.update(part)
            left -= len(part)
            n += 1
    return digest.hexdigest()


def sha256(path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        while part := f.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


BIG = (20 if SANITIZED else 200) * 1000 * 1000


@pytest.fixture(scope="module")
def uploaded(api, tmp_path_factory):
    d = tmp_path_factory.mktemp("upload")
    (d / "README.md").write_text("---\nlicense: mit\ntags:\n- one\n- two\n---\n\n# Hello\n")
    (d / "config.json").write_text('{"model_type": "llama"}\n')
    (d / "sub dir").mkdir()
    (d / "sub dir" / "naïve #1?.txt").write_text("spaces, accents, reserved characters\n")
    (d / "empty.txt").write_text("")
    digest = fill(d / "model.safetensors", BIG)
    url = api.create_repo("ada/round-trip")
    assert url.repo_id == "ada/round-trip"
    commit = api.upload_folder(repo_id="ada/round-trip", folder_path=d)
    assert len(commit.oid) == 40
    return d, digest, commit


def test_whoami(api, bob):
    me = api.whoami()
    assert me["name"] == "ada" and me["type"] == "user" and me["orgs"] == []
    assert me["auth"]["accessToken"]["role"] == "write"
    assert bob.whoami()["name"] == "bob"


def test_bad_token_is_told(server, hub_home):
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    with pytest.raises(HfHubHTTPError) as e:
        HfApi(endpoint=server.url, token="hf_" + "x" * 34).whoami()
    assert e.value.response.status_code == 401


def test_new_repo_has_attributes(api):
    api.create_repo("ada/fresh")
    assert api.list_repo_files("ada/fresh") == [".gitattributes"]
    commits = api.list_repo_commits("ada/fresh")
    assert [c.title for c in commits] == ["initial commit"]
    with pytest.raises(Exception) as e:
        api.create_repo("ada/fresh")
    assert "already created this model repo" in str(e.value)
    assert api.create_repo("ada/fresh", exist_ok=True).repo_id == "ada/fresh"


def test_snapshot_is_byte_identical(uploaded, api, tmp_path):
    from huggingface_hub import snapshot_download

    d, digest, commit = uploaded
    got = Path(snapshot_download("ada/round-trip", cache_dir=tmp_path, token=api.token, endpoint=api.endpoint))
    assert got.name == commit.oid
    for f in d.rglob("*"):
        if f.is_file():
            assert sha256(got / f.relative_to(d)) == sha256(f), f
    assert sha256(got / "model.safetensors") == digest


def test_download_twice_uses_the_cache(uploaded, api, server, tmp_path):
    _, digest, _ = uploaded
    first = api.hf_hub_download("ada/round-trip", "model.safetensors", cache_dir=tmp_path)
    assert sha256(first) == digest
    stamp = os.stat(os.path.realpath(first)).st_mtime_ns
    before = server.request("GET", "/metrics")[2]
    second = api.hf_hub_download("ada/round-trip", "model.safetensors", cache_dir=tmp_path)
    after = server.request("GET", "/metrics")[2]
    assert second == first and os.stat(os.path.realpath(second)).st_mtime_ns == stamp

    def sent(text):
        return next(int(x.split()[-1]) for x in text.decode().splitlines()
                    if x.startswith("snug_http_response_bytes_total"))

    assert sent(after) - sent(before) < 100_000  # no second body


def test_tree(uploaded, api):
    from huggingface_hub.hf_api import RepoFile, RepoFolder

    entries = list(api.list_repo_tree("ada/round-trip", recursive=True))
    files = {e.path: e for e in entries if isinstance(e, RepoFile)}
    assert [e.path for e in entries if isinstance(e, RepoFolder)] == ["sub dir"]
    assert files["model.safetensors"].size == BIG
    assert files["model.safetensors"].lfs.sha256 == uploaded[1]
    assert files["empty.txt"].size == 0 and files["empty.txt"].lfs is None
    assert "sub dir/naïve #1?.txt" in files
    below = list(api.list_repo_tree("ada/round-trip", path_in_repo="sub dir"))
    assert [e.path for e in below] == ["sub dir/naïve #1?.txt"]
    expanded = {e.path: e for e in api.list_repo_tree("ada/round-trip", expand=True)}
    assert expanded["config.json"].last_commit.oid == uploaded[2].oid
    assert expanded[".gitattributes"].last_commit.title == "initial commit"


def test_info(uploaded, api):
    info = api.model_info("ada/round-trip", files_metadata=True)
    assert info.sha == uploaded[2].oid and info.author == "ada" and not info.private
    assert info.card_data["license"] == "mit"
    assert {"license:mit", "one", "two"} <= set(info.tags)
    sizes = {s.rfilename: s.size for s in info.siblings}
    assert sizes["model.safetensors"] == BIG
    assert api.repo_exists("ada/round-trip") and not api.repo_exists("ada/nothing")
    assert api.revision_exists("ada/round-trip", "main")
    assert not api.revision_exists("ada/round-trip", "no-such-branch")
    assert api.file_exists("ada/round-trip", "config.json")
    assert not api.file_exists("ada/round-trip", "nope.json")


def test_second_upload_changes_nothing(uploaded, api):
    d, _, commit = uploaded
    again = api.upload_folder(repo_id="ada/round-trip", folder_path=d)
    assert again.oid == commit.oid


def test_commit_delete_and_copy(api):
    from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete

    api.create_repo("ada/operations")
    data = b"\x00\x01" * 600_000
    api.create_commit("ada/operations", commit_message="add", operations=[
        CommitOperationAdd("a.txt", b"alpha\n"), CommitOperationAdd("w/b.bin", data),
        CommitOperationAdd("gone/x.txt", b"x"), CommitOperationAdd("gone/y.txt", b"y")])
    api.create_commit("ada/operations", commit_message="copy, delete", commit_description="both at once", operations=[
        CommitOperationCopy("w/b.bin", "copy/c.bin"), CommitOperationDelete("a.txt"),
        CommitOperationDelete("gone/", is_folder=True)])
    assert api.list_repo_files("ada/operations") == [".gitattributes", "copy/c.bin", "w/b.bin"]
    got = api.hf_hub_download("ada/operations", "copy/c.bin")
    assert Path(got).read_bytes() == data
    last = api.list_repo_commits("ada/operations")[0]
    assert (last.title, last.message) == ("copy, delete", "both at once")
    with pytest.raises(Exception) as e:
        api.create_commit("ada/operations", commit_message="no", operations=[CommitOperationDelete("a.txt")])
    assert "doesn't exist" in str(e.value)


def test_stale_parent_is_refused(api):
    from huggingface_hub import CommitOperationAdd
    from huggingface_hub.errors import HfHubHTTPError

    api.create_repo("ada/race")
    head = api.model_info("ada/race").sha
    api.create_commit("ada/race", [CommitOperationAdd("a", b"1")], commit_message="first", parent_commit=head)
    with pytest.raises(HfHubHTTPError) as e:
        api.create_commit("ada/race", [CommitOperationAdd("b", b"2")], commit_message="late", parent_commit=head)
    assert e.value.response.status_code == 412
    assert "a" in api.list_repo_files("ada/race") and "b" not in api.list_repo_files("ada/race")


def test_branches_and_tags(api):
    from huggingface_hub import CommitOperationAdd
    from huggingface_hub.errors import HfHubHTTPError, RevisionNotFoundError

    api.create_repo("ada/branches")
    api.create_branch("ada/branches", branch="dev")
    with pytest.raises(HfHubHTTPError):
        api.create_branch("ada/branches", branch="dev")
    api.create_branch("ada/branches", branch="dev", exist_ok=True)
    c = api.create_commit("ada/branches", [CommitOperationAdd("only-dev", b"d")], commit_message="dev", revision="dev")
    api.create_tag("ada/branches", tag="v1", revision="dev", tag_message="first")
    refs = api.list_repo_refs("ada/branches")
    assert {b.name for b in refs.branches} == {"main", "dev"}
    assert [(t.name, t.target_commit) for t in refs.tags] == [("v1", c.oid)]
    assert "only-dev" not in api.list_repo_files("ada/branches")
    assert "only-dev" in api.list_repo_files("ada/branches", revision="v1")
    assert "only-dev" in api.list_repo_files("ada/branches", revision=c.oid[:7])
    with pytest.raises(HfHubHTTPError):
        api.delete_branch("ada/branches", branch="main")
    api.delete_tag("ada/branches", tag="v1")
    with pytest.raises(RevisionNotFoundError):
        api.delete_tag("ada/branches", tag="v1")
    api.delete_branch("ada/branches", branch="dev")
    with pytest.raises(RevisionNotFoundError):
        api.list_repo_files("ada/branches", revision="dev")


def test_private_equals_absent(api, bob, server):
    from huggingface_hub.errors import RepositoryNotFoundError

    api.create_repo("ada/secret", private=True)
    api.upload_file(path_or_fileobj=b"hidden", path_in_repo="s.txt", repo_id="ada/secret")
    for call in (lambda: bob.model_info("ada/secret"), lambda: bob.list_repo_files("ada/secret"),
                 lambda: bob.hf_hub_download("ada/secret", "s.txt"), lambda: bob.list_repo_refs("ada/secret"),
                 lambda: bob.upload_file(path_or_fileobj=b"x", path_in_repo="x", repo_id="ada/secret")):
        with pytest.raises(RepositoryNotFoundError):
            call()
    for path in ("/api/models/ada/%s", "/ada/%s/resolve/main/s.txt", "/api/models/ada/%s/tree/main", "/ada/%s"):
        hidden = server.request("GET", path % "secret", token=server.bob)
        absent = server.request("GET", path % "absent", token=server.bob)
        assert hidden[0] == absent[0]
        assert hidden[2].replace(b"secret", b"absent") == absent[2]
    assert "ada/secret" not in [m.id for m in bob.list_models(author="ada")]
    assert "ada/secret" in [m.id for m in api.list_models(author="ada")]


def test_only_the_owner_writes(api, bob, server, hub_home):
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    api.create_repo("ada/mine")
    reader = HfApi(endpoint=server.url, token=server.ada_read)
    for other in (bob, reader):
        with pytest.raises(HfHubHTTPError) as e:
            other.upload_file(path_or_fileobj=b"x", path_in_repo="x", repo_id="ada/mine")
        assert e.value.response.status_code == 403
    with pytest.raises(HfHubHTTPError):
        bob.delete_repo("ada/mine")
    with pytest.raises(HfHubHTTPError):
        bob.create_repo("ada/other")


def test_move_delete_visibility(api, bob):
    from huggingface_hub.errors import RepositoryNotFoundError

    api.create_repo("ada/before")
    api.upload_file(path_or_fileobj=b"moved", path_in_repo="m.txt", repo_id="ada/before")
    api.move_repo("ada/before", "ada/after")
    assert api.model_info("ada/before").id == "ada/after"
    assert Path(api.hf_hub_download("ada/before", "m.txt")).read_bytes() == b"moved"
    api.update_repo_settings("ada/after", private=True)
    with pytest.raises(RepositoryNotFoundError):
        bob.model_info("ada/after")
    api.update_repo_settings("ada/after", private=False)
    assert bob.model_info("ada/after").id == "ada/after"
    api.delete_repo("ada/after")
    assert not api.repo_exists("ada/after")
    api.delete_repo("ada/after", missing_ok=True)


def test_types_are_apart(api):
    api.create_repo("ada/same")
    api.create_repo("ada/same", repo_type="dataset")
    api.create_repo("ada/same", repo_type="space", space_sdk="static")
    assert "index.html" in api.list_repo_files("ada/same", repo_type="space")
    api.upload_file(path_or_fileobj=b"d", path_in_repo="d.txt", repo_id="ada/same", repo_type="dataset")
    assert "d.txt" in api.list_repo_files("ada/same", repo_type="dataset")
    assert "d.txt" not in api.list_repo_files("ada/same")
    assert "ada/same" in [d.id for d in api.list_datasets(author="ada")]
    assert "ada/same" in [s.id for s in api.list_spaces(author="ada")]


def test_case_of_ids(api):
    api.create_repo("ada/MixedCase")
    assert api.model_info("ADA/mixedcase").id == "ada/MixedCase"
    with pytest.raises(Exception) as e:
        api.create_repo("ada/mixedcase")
    assert "already created" in str(e.value)


def test_listing_pages(api):
    for i in range(7):
        api.create_repo(f"ada/page-{i}", exist_ok=True)
    ids = [m.id for m in api.list_models(author="ada", search="page-", limit=7)]
    assert sorted(ids) == [f"ada/page-{i}" for i in range(7)]


def test_many_small_files(api, tmp_path):
    for i in range(300):
        (tmp_path / f"f{i:03}.json").write_text('{"i": %d}' % i)
    api.create_repo("ada/many")
    api.upload_folder(repo_id="ada/many", folder_path=tmp_path)
    assert len(api.list_repo_files("ada/many")) == 301


def test_filesystem_reads_ranges(uploaded, api):
    from huggingface_hub import HfFileSystem

    fs = HfFileSystem(endpoint=api.endpoint, token=api.token)
    whole = (uploaded[0] / "model.safetensors").read_bytes()
    with fs.open("ada/round-trip/model.safetensors", "rb", block_size=1 << 16) as f:
        f.seek(1_000_003)
        assert f.read(5000) == whole[1_000_003:1_005_003]
        f.seek(BIG - 10)
        assert f.read(100) == whole[-10:]
    assert fs.exists("ada/round-trip/config.json") and not fs.exists("ada/round-trip/none")


def test_hf_command(server, uploaded, tmp_path):
    env = dict(os.environ, HF_ENDPOINT=server.url, HF_TOKEN=server.ada, HF_HOME=str(tmp_path / "home"))
    hf = str(Path(sys.executable).parent / "hf")
    out = subprocess.run([hf, "auth", "whoami"], env=env, capture_output=True, text=True, timeout=120)
    assert out.returncode == 0 and "ada" in out.stdout, out.stderr
    out = subprocess.run([hf, "download", "ada/round-trip", "config.json", "--local-dir", str(tmp_path / "d")],
                         env=env, capture_output=True, text=True, timeout=120)
    assert out.returncode == 0, out.stderr
    assert (tmp_path / "d" / "config.json").read_text() == '{"model_type": "llama"}\n'
