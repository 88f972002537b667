# SPDX-License-Identifier: Apache-2.0
"""Discussions, pull requests and the rest of the community, through the unmodified client."""

import io

import pytest


def add(path, text):
    from huggingface_hub import CommitOperationAdd

    return CommitOperationAdd(path_in_repo=path, path_or_fileobj=text.encode())


@pytest.fixture(scope="module")
def repo(api):
    api.create_repo("ada/talk")
    api.create_commit("ada/talk", [add("a.txt", "1\n2\n3\n")], commit_message="First file")
    return "ada/talk"


def test_discussion(api, bob, repo):
    d = bob.create_discussion(repo, title="  A question ", description="How?")
    assert (d.num, d.title, d.status, d.is_pull_request, d.author) == (1, "A question", "open", False, "bob")
    assert d.url.endswith("/ada/talk/discussions/1")
    assert [e.type for e in d.events] == ["comment"] and d.events[0].content == "How?"
    c = api.comment_discussion(repo, d.num, comment="Like this")
    assert c.author == "ada" and not c.edited
    c = api.edit_discussion_comment(repo, d.num, c.id, new_content="Like that")
    assert c.content == "Like that" and c.edited and c.number_of_edits == 1
    assert [h["raw"] for h in c.edit_history] == ["Like this"]
    hidden = api.hide_discussion_comment(repo, d.num, c.id)
    assert hidden.hidden
    t = bob.rename_discussion(repo, d.num, new_title="An answered question")
    assert (t.old_title, t.new_title) == ("A question", "An answered question")
    s = bob.change_discussion_status(repo, d.num, "closed", comment="Thanks")
    assert s.new_status == "closed"
    seen = bob.get_discussion_details(repo, d.num)
    assert [e.type for e in seen.events] == ["comment", "comment", "title-change", "comment", "status-change"]
    assert "Like" not in str(seen.events[1]._event)  # gone, not just marked
    assert seen.title == "An answered question" and seen.status == "closed"


def test_listing_filters(api, bob, repo):
    for n in range(3):
        api.create_discussion(repo, title=f"topic {n}")
    names = lambda **k: [d.title for d in api.get_repo_discussions(repo, **k)]  # noqa: E731
    assert names(discussion_status="open") == ["topic 2", "topic 1", "topic 0"]
    assert names(discussion_status="closed") == ["An answered question"]
    assert names(author="bob") == ["An answered question"]
    assert names(discussion_type="pull_request") == []


def test_pages(api):
    api.create_repo("ada/many-topics")
    for n in range(53):
        api.create_discussion("ada/many-topics", title=f"n{n}")
    assert [d.num for d in api.get_repo_discussions("ada/many-topics")] == list(range(53, 0, -1))


def test_pull_request_by_a_stranger(api, bob, repo):
    """Proposed by one who may not write, read by anyone, merged by the owner."""
    from huggingface_hub.errors import HfHubHTTPError

    before = api.model_info(repo).sha
    with pytest.raises(HfHubHTTPError) as e:
        bob.create_commit(repo, [add("b.txt", "b")], commit_message="no")
    assert e.value.response.status_code == 403
    made = bob.create_commit(repo, [add("b.txt", "b")], commit_message="Add b", commit_description="It is b",
                             create_pr=True)
    assert made.pr_num > 0 and made.pr_revision == f"refs/pr/{made.pr_num}"
    assert api.model_info(repo).sha == before
    pr = bob.get_discussion_details(repo, made.pr_num)
    assert pr.status == "open" and pr.is_pull_request and pr.title == "Add b"
    assert pr.target_branch == "refs/heads/main" and pr.conflicting_files == []
    assert [e.type for e in pr.events] == ["comment", "commit"]
    assert pr.events[0].content == "It is b"
    assert pr.events[1].summary == "Add b" and pr.events[1].oid == made.oid
    assert "+b" in pr.diff and "b/b.txt" in pr.diff
    assert set(bob.list_repo_files(repo, revision=made.pr_revision)) - set(api.list_repo_files(repo)) == {"b.txt"}
    refs = api.list_repo_refs(repo, include_pull_requests=True)
    assert [(r.ref, r.target_commit) for r in refs.pull_requests] == [(made.pr_revision, made.oid)]

    bob.upload_file(path_or_fileobj=b"more", path_in_repo="c.txt", repo_id=repo, revision=made.pr_revision)
    with pytest.raises(HfHubHTTPError) as e:
        bob.merge_pull_request(repo, made.pr_num)
    assert e.value.response.status_code == 403
    api.merge_pull_request(repo, made.pr_num, comment="Welcome")
    assert {"b.txt", "c.txt"} <= set(api.list_repo_files(repo))
    pr = api.get_discussion_details(repo, made.pr_num)
    assert pr.status == "merged" and pr.merge_commit_oid == api.model_info(repo).sha
    assert [e.type for e in pr.events] == ["comment", "commit", "commit", "comment", "status-change"]
    with pytest.raises(HfHubHTTPError):
        bob.create_commit(repo, [add("d.txt", "d")], commit_message="late", revision=made.pr_revision)


def test_draft_pull_request(api, repo):
    from huggingface_hub.errors import HfHubHTTPError

    pr = api.create_pull_request(repo, title="Draft")
    assert pr.status == "draft" and pr.git_reference == f"refs/pr/{pr.num}"
    api.upload_file(path_or_fileobj=b"draft\n", path_in_repo="draft.txt", repo_id=repo,
                    revision=pr.git_reference, commit_message="In the draft")
    with pytest.raises(HfHubHTTPError) as e:
        api.merge_pull_request(repo, pr.num + 1000)
    assert e.value.response.status_code == 404
    api.change_discussion_status(repo, pr.num, "open")
    api.merge_pull_request(repo, pr.num)
    assert "draft.txt" in api.list_repo_files(repo)


def test_merge_commit_and_conflict(api, bob, repo):
    from huggingface_hub.errors import HfHubHTTPError

    base = api.model_info(repo).sha
    easy = bob.create_commit(repo, [add("a.txt", "one\n2\n3\n")], commit_message="easy", create_pr=True,
                             parent_commit=base)
    hard = bob.create_commit(repo, [add("a.txt", "1\n2\nmine\n")], commit_message="hard", create_pr=True,
                             parent_commit=base)
    api.create_commit(repo, [add("a.txt", "1\n2\nthree\n")], commit_message="meanwhile")
    assert api.get_discussion_details(repo, hard.pr_num).conflicting_files == ["a.txt"]
    with pytest.raises(HfHubHTTPError) as e:
        api.merge_pull_request(repo, hard.pr_num)
    assert e.value.response.status_code == 409 and "a.txt" in str(e.value)
    assert api.get_discussion_details(repo, hard.pr_num).status == "open"
    with pytest.raises(HfHubHTTPError):
        bob.create_commit(repo, [add("x", "x")], commit_message="no base", create_pr=True, parent_commit="f" * 40)


def test_merge_mixes_lines(api, bob):
    api.create_repo("ada/lines")
    text = "".join(f"{i}\n" for i in range(20))
    api.create_commit("ada/lines", [add("t.txt", text)], commit_message="text")
    pr = bob.create_commit("ada/lines", [add("t.txt", "zero\n" + text[2:])], commit_message="top", create_pr=True)
    api.create_commit("ada/lines", [add("t.txt", text + "end\n")], commit_message="bottom")
    api.merge_pull_request("ada/lines", pr.pr_num)
    got = open(api.hf_hub_download("ada/lines", "t.txt")).read()
    assert got == "zero\n" + text[2:] + "end\n"
    titles = [c.title for c in api.list_repo_commits("ada/lines")]
    assert titles[0] == f"Merge pull request #{pr.pr_num}: top" and set(titles[1:]) == {
        "top", "bottom", "text", "initial commit"}


def test_pull_request_with_a_large_file(api, bob, tmp_path):
    api.create_repo("ada/large-pr")
    (tmp_path / "model.safetensors").write_bytes(bytes(range(256)) * 400)
    (tmp_path / "note.txt").write_text("hello")
    info = bob.upload_folder(repo_id="ada/large-pr", folder_path=tmp_path, create_pr=True)
    assert set(api.list_repo_files("ada/large-pr", revision=info.pr_revision)) == {
        ".gitattributes", "model.safetensors", "note.txt"}
    got = open(api.hf_hub_download("ada/large-pr", "model.safetensors", revision=info.pr_revision), "rb").read()
    assert got == bytes(range(256)) * 400
    up = bob.upload_file(path_or_fileobj=io.BytesIO(b"x"), path_in_repo="x.txt", repo_id="ada/large-pr",
                         create_pr=True)
    assert up.pr_num == info.pr_num + 1


def test_private_is_absent(api, bob):
    from huggingface_hub.errors import RepositoryNotFoundError

    api.create_repo("ada/hidden-talk", private=True)
    api.create_discussion("ada/hidden-talk", title="secret")
    with pytest.raises(RepositoryNotFoundError):
        list(bob.get_repo_discussions("ada/hidden-talk"))
    with pytest.raises(RepositoryNotFoundError):
        bob.create_discussion("ada/hidden-talk", title="x")
    with pytest.raises(RepositoryNotFoundError):
        bob.create_commit("ada/hidden-talk", [add("b.txt", "b")], commit_message="x", create_pr=True)


def test_likes(api, bob, server):
    api.create_repo("ada/liked")
    api.create_repo("ada/liked-too", repo_type="dataset")
    api.create_repo("ada/liked-secretly", private=True)
    for path, token in (("models/ada/liked", server.bob), ("datasets/ada/liked-too", server.bob),
                        ("models/ada/liked", server.ada), ("models/ada/liked", server.bob),
                        ("models/ada/liked-secretly", server.ada)):
        assert server.request("POST", f"/api/{path}/like", token=token)[0] == 200
    assert api.model_info("ada/liked").likes == 2
    assert [u.username for u in api.list_repo_likers("ada/liked")] == ["ada", "bob"]
    mine = bob.list_liked_repos("bob")
    assert (mine.models, mine.datasets, mine.total) == (["ada/liked"], ["ada/liked-too"], 2)
    assert set(api.list_liked_repos("ada").models) == {"ada/liked", "ada/liked-secretly"}
    assert bob.list_liked_repos("ada").models == ["ada/liked"]  # the private one is absent
    bob.unlike("ada/liked")
    bob.unlike("ada/liked")
    assert api.model_info("ada/liked").likes == 1
    assert server.request("POST", "/api/models/ada/liked-secretly/like", token=server.bob)[0] == 404


def test_overview_and_follow(api, bob, server):
    from huggingface_hub.errors import HfHubHTTPError

    assert server.request("POST", "/api/users/ada/follow", token=server.bob)[0] == 200
    assert server.request("POST", "/api/users/bob/follow", token=server.bob)[0] == 400
    user = bob.get_user_overview("ada")
    assert user.username == "ada" and user.num_followers == 1 and user.is_following and user.num_models >= 1
    assert bob.get_user_overview("ada").num_models < api.get_user_overview("ada").num_models
    assert [u.username for u in api.list_user_followers("ada")] == ["bob"]
    assert [u.username for u in api.list_user_following("bob")] == ["ada"]
    with pytest.raises(HfHubHTTPError) as e:
        api.get_user_overview("nobody-at-all")
    assert e.value.response.status_code == 404


def test_organization(api, bob, server):
    import time

    from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

    server.snug("org", "add", "acme", "--fullname", "ACME Research")
    with pytest.raises(HfHubHTTPError):
        bob.create_repo("acme/tool")
    server.snug("org", "member", "acme", "bob", "--role", "write")
    time.sleep(5.2)  # a token seen before is believed for five seconds
    me = bob.whoami()["orgs"]
    assert [(o["name"], o["roleInOrg"]) for o in me] == [("acme", "write")]
    assert bob.create_repo("ACME/tool", private=True).repo_id == "acme/tool"
    bob.upload_file(path_or_fileobj=b"x", path_in_repo="x", repo_id="acme/tool")
    assert "acme/tool" in [m.id for m in bob.list_models(author="acme")]
    org = bob.get_organization_overview("acme")
    assert (org.name, org.fullname, org.num_users, org.num_models) == ("acme", "ACME Research", 1, 1)
    assert [u.username for u in api.list_organization_members("acme")] == ["bob"]
    server.snug("org", "member", "acme", "bob", "--role", "read")
    time.sleep(5.2)
    assert bob.model_info("acme/tool").private
    with pytest.raises(HfHubHTTPError) as e:
        bob.upload_file(path_or_fileobj=b"y", path_in_repo="y", repo_id="acme/tool")
    assert e.value.response.status_code == 403
    server.snug("org", "member", "acme", "bob", "--role", "none")
    time.sleep(5.2)
    with pytest.raises(RepositoryNotFoundError):
        bob.model_info("acme/tool")
    assert "acme/tool" not in [m.id for m in bob.list_models(author="acme")]


def test_gated(api, bob, server, tmp_path):
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError

    api.create_repo("ada/gated")
    api.upload_file(path_or_fileobj=b"weights", path_in_repo="w.safetensors", repo_id="ada/gated")
    api.update_repo_settings("ada/gated", gated="manual")
    assert bob.model_info("ada/gated").gated == "manual"
    assert "w.safetensors" in bob.list_repo_files("ada/gated")
    with pytest.raises(GatedRepoError):
        bob.hf_hub_download("ada/gated", "w.safetensors", cache_dir=tmp_path)
    assert server.request("POST", "/api/models/ada/gated/ask-access", {}, token=server.bob)[0] == 200
    assert [r.username for r in api.list_pending_access_requests("ada/gated")] == ["bob"]
    with pytest.raises(GatedRepoError):
        bob.hf_hub_download("ada/gated", "w.safetensors", cache_dir=tmp_path)
    api.accept_access_request("ada/gated", "bob")
    assert [r.username for r in api.list_accepted_access_requests("ada/gated")] == ["bob"]
    assert open(bob.hf_hub_download("ada/gated", "w.safetensors", cache_dir=tmp_path), "rb").read() == b"weights"
    api.cancel_access_request("ada/gated", "bob")
    api.reject_access_request("ada/gated", "bob", rejection_reason="changed my mind")
    assert [r.status for r in api.list_rejected_access_requests("ada/gated")] == ["rejected"]
    api.grant_access("ada/gated", "bob")
    with pytest.raises(HfHubHTTPError):
        api.grant_access("ada/gated", "bob")
    with pytest.raises(HfHubHTTPError):
        list(bob.list_pending_access_requests("ada/gated"))
    api.update_repo_settings("ada/gated", gated=False)
    assert bob.model_info("ada/gated").gated is False


def test_super_squash(api):
    api.create_repo("ada/squash")
    for n in range(3):
        api.upload_file(path_or_fileobj=f"{n}".encode(), path_in_repo=f"{n}.txt", repo_id="ada/squash")
    api.create_branch("ada/squash", branch="kept")
    api.super_squash_history("ada/squash", commit_message="All in one")
    assert [c.title for c in api.list_repo_commits("ada/squash")] == ["All in one"]
    assert len(list(api.list_repo_commits("ada/squash", revision="kept"))) == 4
    assert {"0.txt", "1.txt", "2.txt"} <= set(api.list_repo_files("ada/squash"))


def test_duplicate_and_lfs_files(api, bob):
    from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

    api.create_repo("ada/source", repo_type="dataset")
    api.upload_file(path_or_fileobj=b"big" * 100, path_in_repo="sub/x.parquet", repo_id="ada/source", repo_type="dataset")
    api.upload_file(path_or_fileobj=b"---\nlicense: mit\n---\n", path_in_repo="README.md", repo_id="ada/source",
                    repo_type="dataset")
    url = bob.duplicate_repo("ada/source", to_id="bob/copy", repo_type="dataset")
    assert url.repo_id == "bob/copy"
    assert set(bob.list_repo_files("bob/copy", repo_type="dataset")) == set(
        bob.list_repo_files("ada/source", repo_type="dataset"))
    got = bob.hf_hub_download("bob/copy", "sub/x.parquet", repo_type="dataset")
    assert open(got, "rb").read() == b"big" * 100
    assert bob.dataset_info("bob/copy").card_data.license == "mit"
    assert [c.title for c in bob.list_repo_commits("bob/copy", repo_type="dataset")] == ["Duplicate from ada/source"]
    files = list(bob.list_lfs_files("bob/copy", repo_type="dataset"))
    assert [(f.filename, f.size, f.ref) for f in files] == [("sub/x.parquet", 300, "main")]
    with pytest.raises(HfHubHTTPError):
        list(bob.list_lfs_files("ada/source", repo_type="dataset"))
    bob.permanently_delete_lfs_files("bob/copy", files, rewrite_history=False, repo_type="dataset")
    assert list(bob.list_lfs_files("bob/copy", repo_type="dataset")) == []
    assert [f.filename for f in api.list_lfs_files("ada/source", repo_type="dataset")] == ["sub/x.parquet"]
    with pytest.raises(HfHubHTTPError) as e:
        bob.duplicate_repo("ada/source", to_id="bob/copy", repo_type="dataset")
    assert e.value.response.status_code == 409
    api.create_repo("ada/secret-source", private=True)
    with pytest.raises(RepositoryNotFoundError):
        bob.duplicate_repo("ada/secret-source", to_id="bob/thief")


def test_files_leave_history(api, server, tmp_path):
    """As the client asks by default: what is deleted is in no branch, tag or pull request any more."""
    import os
    import subprocess

    from huggingface_hub import CommitOperationAdd
    from huggingface_hub.errors import HfHubHTTPError

    repo = "ada/leaky"
    api.create_repo(repo)
    put = lambda path, data, **k: api.create_commit(  # noqa: E731
        repo, [CommitOperationAdd(path_in_repo=path, path_or_fileobj=data)], commit_message=f"Add {path}", **k
    )
    put("keep.bin", os.urandom(3000))
    before = api.list_repo_commits(repo)
    put("deep/er/secret.bin", os.urandom(4000))
    put("after.txt", b"text")
    api.create_tag(repo, tag="v1", tag_message="Annotated")
    api.create_branch(repo, branch="side")
    pull = put("more.txt", b"more", create_pr=True)
    number = int(pull.pr_num)
    old = {c.commit_id for c in api.list_repo_commits(repo)} - {c.commit_id for c in before}
    secret = [f for f in api.list_lfs_files(repo) if f.filename == "deep/er/secret.bin"]
    assert len(secret) == 1
    api.permanently_delete_lfs_files(repo, secret)
    assert [f.filename for f in api.list_lfs_files(repo)] == ["keep.bin"]
    for rev in ("main", "side", "v1", f"refs/pr/{number}"):
        files = api.list_repo_files(repo, revision=rev)
        assert "deep/er/secret.bin" not in files and {"keep.bin", "after.txt"} <= set(files), rev
        assert not old & {c.commit_id for c in api.list_repo_commits(repo, revision=rev)}
    now = api.list_repo_commits(repo)
    assert [c.title for c in now[:3]] == ["Add after.txt", "Add deep/er/secret.bin", "Add keep.bin"]
    assert now[2:] == before  # what never held it keeps its commits
    assert api.model_info(repo).sha == now[0].commit_id
    talk = api.get_discussion_details(repo, number)
    assert "more.txt" in talk.diff and talk.status == "draft" or talk.status == "open"
    assert not old & {e.oid for e in talk.events if e.type == "commit"}
    url = server.url.replace("http://", f"http://ada:{server.ada}@")
    clone = tmp_path / "clone"
    env = dict(os.environ, GIT_LFS_SKIP_SMUDGE="1")
    subprocess.run(["git", "clone", "-q", "--mirror", f"{url}/{repo}", clone], check=True, env=env)
    subprocess.run(["git", "-C", clone, "fsck", "--strict"], check=True)
    names = subprocess.run(
        ["git", "-C", clone, "log", "--all", "--name-only", "--format="], check=True, capture_output=True, text=True
    ).stdout
    assert "after.txt" in names and "secret.bin" not in names
    api.merge_pull_request(repo, number)
    assert "more.txt" in api.list_repo_files(repo)
    api.permanently_delete_lfs_files(repo, secret)  # again: nothing to do
    with pytest.raises(HfHubHTTPError):
        api.hf_hub_download(repo, "deep/er/secret.bin", revision=sorted(old)[0])


def test_own_repos_and_tags(api, bob):
    mine = list(bob.list_user_repos())
    assert {r.id: r.type for r in mine}["bob/copy"] == "dataset" and all(r.id.startswith("bob/") for r in mine)
    with pytest.raises(Exception):
        list(bob.list_user_repos(namespace="ada"))
    tags = api.get_dataset_tags()
    assert "license:mit" in [t["id"] for t in tags["license"]]


def test_collections(api, bob):
    from huggingface_hub.errors import HfHubHTTPError

    api.create_repo("ada/in-collection")
    api.create_repo("ada/hidden-item", private=True)
    c = api.create_collection(title="Good Ones, 2nd", description="Worth it")
    assert c.slug.startswith("ada/good-ones-2nd-") and c.title == "Good Ones, 2nd" and c.owner["name"] == "ada"
    assert api.create_collection(title="Good Ones, 2nd", exists_ok=True).slug == c.slug
    with pytest.raises(HfHubHTTPError) as e:
        api.create_collection(title="Good Ones, 2nd")
    assert e.value.response.status_code == 409
    c = api.add_collection_item(c.slug, item_id="ada/in-collection", item_type="model", note="first")
    c = api.add_collection_item(c.slug, item_id="2307.09288", item_type="paper")
    c = api.add_collection_item(c.slug, item_id="ada/hidden-item", item_type="model")
    assert [(i.item_id, i.item_type, i.note) for i in c.items] == [
        ("ada/in-collection", "model", "first"), ("2307.09288", "paper", None), ("ada/hidden-item", "model", None)]
    api.add_collection_item(c.slug, item_id="2307.09288", item_type="paper", exists_ok=True)
    with pytest.raises(HfHubHTTPError):
        api.add_collection_item(c.slug, item_id="ada/nothing-here", item_type="model")
    api.update_collection_item(c.slug, c.items[1].item_object_id, note="read me", position=0)
    seen = bob.get_collection(c.slug)
    assert [(i.item_id, i.note) for i in seen.items] == [("2307.09288", "read me"), ("ada/in-collection", "first")]
    with pytest.raises(HfHubHTTPError) as e:
        bob.update_collection_metadata(c.slug, title="mine")
    assert e.value.response.status_code == 403
    old = c.slug
    new = api.update_collection_metadata(c.slug, title="Better", theme="blue", position=1)
    assert new.slug.startswith("ada/better-") and new.theme == "blue" and new.position == 1
    assert api.get_collection(old).slug == new.slug  # an old address still leads there
    assert [x.slug for x in bob.list_collections(owner="ada")] == [new.slug]
    assert [x.slug for x in bob.list_collections(item="models/ada/in-collection")] == [new.slug]
    assert list(bob.list_collections(item="models/ada/hidden-item")) == []
    api.delete_collection_item(new.slug, new.items[0].item_object_id)
    assert len(api.get_collection(new.slug).items) == 2
    api.update_collection_metadata(new.slug, private=True)
    with pytest.raises(HfHubHTTPError) as e:
        bob.get_collection(new.slug)
    assert e.value.response.status_code == 404
    assert list(bob.list_collections(owner="ada")) == []
    api.delete_repo("ada/in-collection")
    assert "ada/in-collection" not in [i.item_id for i in api.get_collection(new.slug).items]
    api.delete_collection(new.slug)
    api.delete_collection(new.slug, missing_ok=True)
