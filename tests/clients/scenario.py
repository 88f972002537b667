# SPDX-License-Identifier: Apache-2.0
"""What a user of huggingface_hub does in a day, in words that every version from 0.20 on understands.

Run by test_matrix.py inside the virtual environment of one version, never imported by a test:

    HF_ENDPOINT, HF_HOME, ADA, BOB (tokens), PREFIX (of repository names)   python scenario.py

Prints one JSON object: {"versions": {...}, "steps": {step: "ok" | "skipped: why" | traceback}, "seconds": {...}}. A step that a
version has no words for is skipped and says so; nothing is patched and nothing is mocked.
"""

import hashlib
import importlib.metadata
import inspect
import io
import json
import os
import sys
import tempfile
import time
import traceback
import urllib.request
from pathlib import Path

import huggingface_hub as hub
from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete, HfApi

ENDPOINT = os.environ["HF_ENDPOINT"]
PREFIX = os.environ["PREFIX"]
ada = HfApi(endpoint=ENDPOINT, token=os.environ["ADA"])
bob = HfApi(endpoint=ENDPOINT, token=os.environ["BOB"])
work = Path(tempfile.mkdtemp(prefix="snug-matrix-"))
MAIN = f"ada/{PREFIX}-main"
BIG = 6_000_000

try:
    from huggingface_hub.utils import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError
except ImportError:
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError


class Skip(Exception):
    """This version of the client has no words for it."""


def need(*names):
    for name in names:
        if not hasattr(ada, name):
            raise Skip(f"this client has no {name}")


def takes(call, word):
    return word in inspect.signature(call).parameters


def noise(size, seed):
    return hashlib.shake_256(seed.encode()).digest(size)


def refused(call, *kinds):
    try:
        call()
    except kinds or Exception as e:  # noqa: BLE001
        return e
    raise AssertionError("this should have been refused")


def sent_bytes():
    text = urllib.request.urlopen(ENDPOINT + "/metrics").read().decode()
    return next(int(x.split()[-1]) for x in text.splitlines() if x.startswith("snug_http_response_bytes_total"))


steps = []


def step(fn):
    steps.append(fn)
    return fn


# ---- people ----

@step
def login():
    hub.login(token=os.environ["ADA"], add_to_git_credential=False)
    assert HfApi(endpoint=ENDPOINT).whoami()["name"] == "ada"
    hub.logout()
    refused(lambda: HfApi(endpoint=ENDPOINT, token="hf_" + "x" * 34).whoami())


@step
def whoami():
    me = ada.whoami()
    assert me["type"] == "user" and me["auth"]["accessToken"]["role"] == "write"
    assert bob.whoami()["name"] == "bob"


# ---- repositories and files ----

@step
def create():
    assert str(ada.create_repo(MAIN, private=True)).endswith(MAIN)
    refused(lambda: ada.create_repo(MAIN))
    ada.create_repo(MAIN, exist_ok=True)
    refused(lambda: bob.create_repo(MAIN))
    for kind in ("dataset", "space"):
        more = {"space_sdk": "static"} if kind == "space" else {}
        ada.create_repo(MAIN, repo_type=kind, **more)
        ada.delete_repo(MAIN, repo_type=kind)


@step
def upload_file():
    ada.upload_file(path_or_fileobj=b"hello\n", path_in_repo="hello.txt", repo_id=MAIN)
    ada.upload_file(path_or_fileobj=io.BytesIO(b"from a file object\n"), path_in_repo="a b/n\u00e4me #1.txt", repo_id=MAIN)
    big = work / "weights.safetensors"
    big.write_bytes(noise(BIG, PREFIX))
    ada.upload_file(path_or_fileobj=str(big), path_in_repo="weights.safetensors", repo_id=MAIN)


@step
def upload_folder():
    d = work / "folder"
    (d / "sub").mkdir(parents=True)
    (d / "config.json").write_text('{"model_type": "bert"}')
    (d / "sub" / "two.bin").write_bytes(noise(200_000, PREFIX + "two"))
    (d / "README.md").write_text(f"---\nlicense: mit\ntags:\n- {PREFIX}\n---\n# Matrix\n")
    (d / "left.tmp").write_text("not this")
    ada.upload_folder(repo_id=MAIN, folder_path=str(d), ignore_patterns=["*.tmp"])
    files = ada.list_repo_files(MAIN)
    assert "sub/two.bin" in files and "left.tmp" not in files, files
    before = ada.model_info(MAIN).sha
    ada.upload_folder(repo_id=MAIN, folder_path=str(d), ignore_patterns=["*.tmp"])
    assert before == ada.model_info(MAIN).sha or ada.list_repo_files(MAIN) == files


@step
def large_folder():
    """Up to 1.x there is a command for it; from 2.0 on upload_folder is that command."""
    d = work / "large"
    d.mkdir()
    for i in range(30):
        (d / f"part-{i:02}.json").write_text('{"part": %d}' % i)
    for i in range(3):
        (d / f"shard-{i}.safetensors").write_bytes(noise(1_500_000, f"{PREFIX}-{i}"))
    repo = f"ada/{PREFIX}-large"
    if hasattr(ada, "upload_large_folder"):
        ada.upload_large_folder(repo_id=repo, folder_path=str(d), repo_type="model", private=True, num_workers=4,
                                print_report=False)
    else:
        ada.create_repo(repo, private=True)
        ada.upload_folder(repo_id=repo, folder_path=str(d))
    assert len(ada.list_repo_files(repo)) == 34
    got = ada.hf_hub_download(repo, "shard-2.safetensors", cache_dir=work / "large-cache")
    assert Path(got).read_bytes() == noise(1_500_000, f"{PREFIX}-2")


@step
def operations():
    ada.create_commit(MAIN, commit_message="add", operations=[
        CommitOperationAdd("x/a.txt", b"a"), CommitOperationAdd("x/b.txt", b"b"), CommitOperationAdd("c.bin", b"\0" * 9)])
    ada.create_commit(MAIN, commit_message="move", commit_description="and drop", operations=[
        CommitOperationCopy("weights.safetensors", "copy/w.safetensors"), CommitOperationDelete("x/", is_folder=True)])
    files = ada.list_repo_files(MAIN)
    assert "copy/w.safetensors" in files and not any(f.startswith("x/") for f in files)
    head = ada.model_info(MAIN).sha
    ada.create_commit(MAIN, [CommitOperationAdd("n", b"1")], commit_message="n", parent_commit=head)
    refused(lambda: ada.create_commit(MAIN, [CommitOperationAdd("n", b"2")], commit_message="late", parent_commit=head))


@step
def download():
    cache = work / "cache"
    got = ada.hf_hub_download(MAIN, "weights.safetensors", cache_dir=cache)
    assert Path(got).read_bytes() == noise(BIG, PREFIX)
    got = ada.hf_hub_download(MAIN, "a b/n\u00e4me #1.txt", cache_dir=cache)
    assert Path(got).read_text() == "from a file object\n"
    assert Path(ada.hf_hub_download(MAIN, "copy/w.safetensors", local_dir=work / "local")).stat().st_size == BIG
    refused(lambda: ada.hf_hub_download(MAIN, "absent.txt", cache_dir=cache))
    refused(lambda: bob.hf_hub_download(MAIN, "hello.txt", cache_dir=work / "bob"), RepositoryNotFoundError)


@step
def cache_hit():
    cache = work / "cache"
    before = sent_bytes()
    got = ada.hf_hub_download(MAIN, "weights.safetensors", cache_dir=cache)
    assert Path(got).stat().st_size == BIG
    assert sent_bytes() - before < 100_000, "the file was sent again"
    assert Path(ada.hf_hub_download(MAIN, "weights.safetensors", cache_dir=cache, local_files_only=True)).exists()


@step
def snapshot():
    at = Path(ada.snapshot_download(MAIN, cache_dir=work / "snap", allow_patterns=["*.json", "sub/*"],
                                    ignore_patterns=["*.tmp"]))
    names = sorted(p.relative_to(at).as_posix() for p in at.rglob("*") if p.is_file())
    assert names == ["config.json", "sub/two.bin"], names
    assert at.name == ada.model_info(MAIN).sha
    at = Path(ada.snapshot_download(MAIN, cache_dir=work / "snap"))
    assert (at / "weights.safetensors").stat().st_size == BIG
    plain = Path(ada.snapshot_download(MAIN, local_dir=work / "plain", allow_patterns="hello.txt"))
    assert (plain / "hello.txt").read_bytes() == b"hello\n"


@step
def resume():
    """A download that was cut goes on where it ended, or begins anew; either way the bytes are right."""
    cache = work / "resume"
    url = hub.hf_hub_url(MAIN, "weights.safetensors", endpoint=ENDPOINT)
    meta = hub.get_hf_file_metadata(url, token=ada.token)
    assert meta.size == BIG and meta.commit_hash == ada.model_info(MAIN).sha
    blobs = cache / ("models--" + MAIN.replace("/", "--")) / "blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{meta.etag}.incomplete").write_bytes(noise(BIG, PREFIX)[:1_000_000])
    got = ada.hf_hub_download(MAIN, "weights.safetensors", cache_dir=cache)
    assert Path(got).read_bytes() == noise(BIG, PREFIX)


@step
def tree():
    infos = {f.path: f for f in ada.get_paths_info(MAIN, ["weights.safetensors", "sub", "none"])}
    assert set(infos) == {"weights.safetensors", "sub"}
    assert infos["weights.safetensors"].size == BIG
    lfs = infos["weights.safetensors"].lfs
    assert (lfs["sha256"] if isinstance(lfs, dict) else lfs.sha256) == hashlib.sha256(noise(BIG, PREFIX)).hexdigest()
    if not hasattr(ada, "list_repo_tree"):
        raise Skip("this client has no list_repo_tree; paths were checked")
    paths = [e.path for e in ada.list_repo_tree(MAIN, recursive=True)]
    assert "sub/two.bin" in paths and "sub" in paths
    rich = {e.path: e for e in ada.list_repo_tree(MAIN, expand=True)}
    assert rich["hello.txt"].last_commit is not None


@step
def commits():
    titles = [c.title for c in ada.list_repo_commits(MAIN)]
    assert titles[-1] == "initial commit" and "move" in titles


@step
def branches():
    ada.create_branch(MAIN, branch="dev")
    refused(lambda: ada.create_branch(MAIN, branch="dev"))
    ada.create_branch(MAIN, branch="dev", exist_ok=True)
    ada.upload_file(path_or_fileobj=b"d", path_in_repo="only-dev", repo_id=MAIN, revision="dev")
    assert {b.name for b in ada.list_repo_refs(MAIN).branches} == {"main", "dev"}
    assert "only-dev" in ada.list_repo_files(MAIN, revision="dev")
    ada.delete_branch(MAIN, branch="dev")
    refused(lambda: ada.list_repo_files(MAIN, revision="dev"), RevisionNotFoundError)
    refused(lambda: ada.delete_branch(MAIN, branch="main"))


@step
def tags():
    ada.create_tag(MAIN, tag="v1", tag_message="first")
    assert [t.name for t in ada.list_repo_refs(MAIN).tags] == ["v1"]
    assert "hello.txt" in ada.list_repo_files(MAIN, revision="v1")
    ada.delete_tag(MAIN, tag="v1")
    assert ada.list_repo_refs(MAIN).tags == []


@step
def pull_request():
    repo = f"ada/{PREFIX}-pr"
    ada.create_repo(repo)
    made = bob.create_commit(repo, [CommitOperationAdd("p.txt", b"p")], commit_message="Add p", create_pr=True)
    assert made.pr_num == 1
    bob.upload_file(path_or_fileobj=b"more", path_in_repo="q.txt", repo_id=repo, revision="refs/pr/1")
    details = ada.get_discussion_details(repo, 1)
    assert details.is_pull_request and details.status == "open" and "+p" in details.diff
    refused(lambda: bob.merge_pull_request(repo, 1))
    ada.comment_discussion(repo, 1, comment="Thanks")
    ada.merge_pull_request(repo, 1)
    assert {"p.txt", "q.txt"} <= set(ada.list_repo_files(repo))
    assert ada.get_discussion_details(repo, 1).status == "merged"
    draft = ada.create_pull_request(repo, title="A draft")
    assert draft.num == 2 and draft.status == "draft"


@step
def discussion():
    repo = f"ada/{PREFIX}-pr"
    d = bob.create_discussion(repo, title="A question", description="How?")
    c = ada.comment_discussion(repo, d.num, comment="So")
    assert ada.edit_discussion_comment(repo, d.num, c.id, new_content="Like so").content == "Like so"
    assert ada.hide_discussion_comment(repo, d.num, c.id).hidden
    assert ada.rename_discussion(repo, d.num, new_title="Answered").new_title == "Answered"
    assert ada.change_discussion_status(repo, d.num, "closed").new_status == "closed"
    assert [x.title for x in ada.get_repo_discussions(repo)][0] == "Answered"


@step
def collection():
    need("create_collection")
    c = ada.create_collection(f"{PREFIX} picks", namespace="ada", description="mine", private=False)
    c = ada.add_collection_item(c.slug, item_id=MAIN, item_type="model", note="the first")
    assert [(i.item_id, i.note) for i in c.items] == [(MAIN, "the first")]
    ada.update_collection_item(c.slug, c.items[0].item_object_id, note="still")
    ada.update_collection_metadata(c.slug, title=f"{PREFIX} better")
    seen = ada.get_collection(c.slug)
    assert seen.title == f"{PREFIX} better" and seen.items[0].note == "still"
    assert [i.item_id for i in bob.get_collection(c.slug).items] == []  # private to ada
    assert seen.slug in [x.slug for x in ada.list_collections(owner="ada")]
    ada.delete_collection_item(c.slug, seen.items[0].item_object_id)
    ada.delete_collection(c.slug)
    refused(lambda: ada.get_collection(c.slug))


@step
def webhook():
    need("create_webhook")
    try:
        before = ada.list_webhooks()
    except Exception as e:  # noqa: BLE001
        if "not built here" in str(e) or "not implemented" in str(e).lower() or "501" in str(e):
            raise Skip("the server does not have webhooks yet") from None
        raise
    hook = ada.create_webhook(url="https://example.org/hook", watched=[{"type": "user", "name": "ada"}],
                              domains=["repo", "discussion"], secret="s3cret")
    assert hook.url == "https://example.org/hook" and not hook.disabled
    hook = ada.update_webhook(hook.id, url="https://example.org/other")
    assert ada.get_webhook(hook.id).url == "https://example.org/other"
    assert ada.disable_webhook(hook.id).disabled
    assert not ada.enable_webhook(hook.id).disabled
    assert len(ada.list_webhooks()) == len(before) + 1
    refused(lambda: bob.get_webhook(hook.id))
    ada.delete_webhook(hook.id)
    assert len(ada.list_webhooks()) == len(before)


def settings(repo, **body):
    rq = urllib.request.Request(f"{ENDPOINT}/api/models/{repo}/settings", json.dumps(body).encode(), method="PUT",
                                headers={"Authorization": f"Bearer {os.environ['ADA']}", "Content-Type": "application/json"})
    urllib.request.urlopen(rq).read()


@step
def gating():
    repo = f"ada/{PREFIX}-gated"
    ada.create_repo(repo)
    ada.upload_file(path_or_fileobj=b"behind the gate", path_in_repo="g.txt", repo_id=repo)
    if hasattr(ada, "update_repo_settings") and takes(ada.update_repo_settings, "gated"):
        ada.update_repo_settings(repo, gated="manual")
    else:
        settings(repo, gated="manual")
    assert bob.model_info(repo).gated == "manual"
    refused(lambda: bob.hf_hub_download(repo, "g.txt", cache_dir=work / "gated"), GatedRepoError)
    if not hasattr(ada, "grant_access"):
        raise Skip("this client has no grant_access; the gate was checked")
    assert [r.username for r in ada.list_pending_access_requests(repo)] == []
    ada.grant_access(repo, "bob")
    assert [r.username for r in ada.list_accepted_access_requests(repo)] == ["bob"]
    got = bob.hf_hub_download(repo, "g.txt", cache_dir=work / "gated")
    assert Path(got).read_bytes() == b"behind the gate"
    ada.cancel_access_request(repo, "bob")
    assert [r.username for r in ada.list_pending_access_requests(repo)] == ["bob"]
    more = {"rejection_reason": None} if takes(ada.reject_access_request, "rejection_reason") else {}
    ada.reject_access_request(repo, "bob", **more)
    refused(lambda: bob.hf_hub_download(repo, "g.txt", cache_dir=work / "gated2"), GatedRepoError)


@step
def listing():
    ids = lambda it: [getattr(m, "id", None) or m.modelId for m in it]  # noqa: E731
    assert MAIN in ids(ada.list_models(author="ada"))
    assert MAIN not in ids(bob.list_models(author="ada"))
    assert ids(ada.list_models(author="ada", filter=PREFIX)) == [MAIN]
    some = ids(ada.list_models(author="ada", sort="lastModified" if takes(ada.list_models, "direction") else "last_modified",
                               limit=2))
    assert len(some) == 2
    full = [m for m in ada.list_models(author="ada", filter=PREFIX, full=True)]
    assert full[0].siblings and full[0].tags
    ada.create_repo(f"ada/{PREFIX}-data", repo_type="dataset")
    assert f"ada/{PREFIX}-data" in [d.id for d in ada.list_datasets(author="ada")]
    assert f"ada/{PREFIX}-data" in [d.id for d in ada.list_datasets(search=f"{PREFIX}-data")]


@step
def search():
    got = [m.id if hasattr(m, "id") else m.modelId for m in ada.list_models(search=f"{PREFIX}-main")]
    assert got == [MAIN], got
    assert list(ada.list_models(search=f"{PREFIX}-nothing-of-that-name")) == []


@step
def info():
    i = ada.model_info(MAIN, files_metadata=True)
    assert i.private and i.author == "ada"
    assert {s.rfilename: s.size for s in i.siblings}["weights.safetensors"] == BIG
    assert (i.card_data if hasattr(i, "card_data") else i.cardData)["license"] == "mit"
    assert ada.repo_exists(MAIN) and not bob.repo_exists(MAIN)
    assert ada.file_exists(MAIN, "hello.txt") and not ada.file_exists(MAIN, "none")
    card = hub.ModelCard.load(MAIN, token=ada.token)
    assert card.data.license == "mit"


@step
def filesystem():
    fs = hub.HfFileSystem(endpoint=ENDPOINT, token=ada.token)
    assert fs.exists(f"{MAIN}/hello.txt") and not fs.exists(f"{MAIN}/none")
    assert fs.cat_file(f"{MAIN}/hello.txt") == b"hello\n"
    with fs.open(f"{MAIN}/weights.safetensors", "rb", block_size=1 << 16) as f:
        f.seek(BIG - 11)
        assert f.read() == noise(BIG, PREFIX)[-11:]
    with fs.open(f"{MAIN}/written.txt", "w") as f:
        f.write("by the file system")
    assert ada.file_exists(MAIN, "written.txt")
    assert any(p.endswith("two.bin") for p in fs.glob(f"{MAIN}/**/*.bin"))


@step
def move():
    old, new = f"ada/{PREFIX}-old", f"ada/{PREFIX}-new"
    ada.create_repo(old)
    ada.upload_file(path_or_fileobj=noise(30_000, "m"), path_in_repo="m.safetensors", repo_id=old)
    ada.move_repo(old, new)
    assert ada.model_info(old).id == new
    got = ada.hf_hub_download(old, "m.safetensors", cache_dir=work / "moved")
    assert Path(got).read_bytes() == noise(30_000, "m")
    ada.upload_file(path_or_fileobj=b"by its old name", path_in_repo="o.txt", repo_id=old)
    assert "o.txt" in ada.list_repo_files(new)


@step
def squash():
    need("super_squash_history")
    repo = f"ada/{PREFIX}-new"
    ada.super_squash_history(repo)
    assert len(ada.list_repo_commits(repo)) == 1


@step
def delete():
    ada.delete_file("hello.txt", MAIN)
    ada.delete_folder("sub", MAIN)
    left = ada.list_repo_files(MAIN)
    assert "hello.txt" not in left and "sub/two.bin" not in left
    ada.delete_repo(MAIN)
    refused(lambda: ada.model_info(MAIN), RepositoryNotFoundError)
    ada.delete_repo(MAIN, missing_ok=True)
    refused(lambda: ada.delete_repo(MAIN))


def main():
    if sys.argv[1:] == ["--steps"]:
        return print(json.dumps([s.__name__ for s in steps]))
    results, took = {}, {}
    for s in steps:
        start = time.monotonic()
        try:
            s()
            results[s.__name__] = "ok"
        except Skip as e:
            results[s.__name__] = f"skipped: {e}"
        except Exception:  # noqa: BLE001
            results[s.__name__] = traceback.format_exc(limit=-6)
        took[s.__name__] = round(time.monotonic() - start, 2)
    versions = {}
    for name in ("huggingface_hub", "hf-xet"):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    print("\n" + json.dumps({"versions": versions, "steps": results, "seconds": took}))


if __name__ == "__main__":
    main()
