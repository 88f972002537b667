# SPDX-License-Identifier: Apache-2.0
"""Lists and searches through the unmodified client: filters, orders, pages, and what stays private."""

import json
import struct
import urllib.error
import urllib.parse
import urllib.request

import pytest


def add(path, data):
    from huggingface_hub import CommitOperationAdd

    return CommitOperationAdd(path_in_repo=path, path_or_fileobj=data if isinstance(data, bytes) else data.encode())


def weights(n):
    head = json.dumps({"w": {"dtype": "F32", "shape": [n], "data_offsets": [0, 4 * n]}}).encode()
    return struct.pack("<Q", len(head)) + head + bytes(4 * n)


CARDS = {
    "alpha-bert": "---\nlicense: mit\nlanguage: en\npipeline_tag: fill-mask\nlibrary_name: transformers\n"
                  "datasets: [lists/corpus]\n---\nTrained on medieval glossaries.\n",
    "beta-bert": "---\nlicense: apache-2.0\nlanguage: [en, fr]\npipeline_tag: fill-mask\n---\nA quokka of a model.\n",
    "gamma-roberta": "---\nlicense: mit\ntags: [gguf]\n---\nGlossary words, quantized.\n",
}


@pytest.fixture(scope="module")
def lists(api):
    for n, (name, card) in enumerate(CARDS.items()):
        api.create_repo(f"ada/{name}")
        ops = [add("README.md", card)]
        if n < 2:
            ops.append(add("model.safetensors", weights(1000 * (n + 1))))
        api.create_commit(f"ada/{name}", ops, commit_message="Card")
    api.create_repo("ada/hidden-bert", private=True)
    api.create_commit("ada/hidden-bert", [add("README.md", "---\nlicense: mit\n---\nzyzzyva medieval\n")],
                      commit_message="Card")
    api.update_repo_settings("ada/beta-bert", gated="manual")
    api.create_repo("ada/lists-space", repo_type="space", space_sdk="static")
    api.create_commit("ada/lists-space", [add("README.md", "---\nsdk: static\ntitle: Word finder\nmodels: "
                      "[ada/alpha-bert]\ndatasets: [lists/corpus]\nshort_description: finds glossary words\n---\n")],
                      repo_type="space", commit_message="Card")


def names(it):
    return sorted(m.id.split("/")[1] for m in it if m.id.startswith("ada/") and m.id.split("/")[1] in
                  {*CARDS, "hidden-bert", "lists-space"})


def get(server, path, token=None):
    rq = urllib.request.Request(server.url + path, headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(rq, timeout=20) as r:
            return r.status, json.loads(r.read()), r.headers
    except urllib.error.HTTPError as e:
        return e.code, json.loads(e.read()), e.headers


def test_filters(api, bob, lists):
    assert names(bob.list_models(search="bert")) == ["alpha-bert", "beta-bert", "gamma-roberta"]
    assert names(api.list_models(search="bert")) == ["alpha-bert", "beta-bert", "gamma-roberta", "hidden-bert"]
    assert names(bob.list_models(filter="license:mit")) == ["alpha-bert", "gamma-roberta"]
    assert names(bob.list_models(filter=["license:mit", "en"])) == ["alpha-bert"]
    assert names(bob.list_models(filter="license:MIT", search="ROBERTA")) == ["gamma-roberta"]
    assert names(bob.list_models(pipeline_tag="fill-mask")) == ["alpha-bert", "beta-bert"]
    assert names(bob.list_models(gated=True)) == ["beta-bert"]
    assert names(bob.list_models(gated=False, search="bert")) == ["alpha-bert", "gamma-roberta"]
    assert names(bob.list_models(author="ada", trained_dataset="lists/corpus")) == ["alpha-bert"]
    assert names(bob.list_models(apps="llama.cpp")) == ["gamma-roberta"]
    assert names(bob.list_models(num_parameters="min:1.5K")) == ["beta-bert"]
    assert names(bob.list_models(num_parameters="min:1K,max:1K")) == ["alpha-bert"]
    assert list(bob.list_models(inference="warm")) == []
    assert list(bob.list_models(inference_provider="all")) == []


def test_words(api, bob, lists):
    assert names(bob.list_models(search="medieval")) == ["alpha-bert"]
    assert names(api.list_models(search="medieval")) == ["alpha-bert", "hidden-bert"]
    assert names(bob.list_models(search="glossary")) == ["alpha-bert", "gamma-roberta"]  # and its plural
    assert names(bob.list_models(search='"medieval glossaries"')) == ["alpha-bert"]
    assert names(bob.list_models(search='"glossaries medieval"')) == []
    assert names(bob.list_models(search="glossary bert")) == ["alpha-bert", "gamma-roberta"]
    assert names(bob.list_models(search="a/ga")) == ["gamma-roberta"]
    for odd in ('"', "a AND", "NEAR(", "*", "col:x", "%", "_", "')--", "{words}"):
        list(bob.list_models(search=odd, limit=5))


def test_orders_and_pages(api, bob, lists):
    for sort in ("created_at", "downloads", "last_modified", "likes", "trending_score"):
        whole = [m.id for m in bob.list_models(sort=sort)]
        assert len(whole) == len(set(whole)) and {f"ada/{n}" for n in CARDS} <= set(whole)


def test_cursor(server, lists):
    seen, path = [], "/api/models?search=bert&limit=1&sort=num_parameters"
    while path:
        status, body, headers = get(server, path, server.bob)
        assert status == 200 and len(body) == 1
        seen += [m["id"] for m in body]
        link = headers.get("Link")
        path = link.split(">")[0][1:].removeprefix(server.url) if link else None
    assert [s for s in seen if s in ("ada/alpha-bert", "ada/beta-bert")] == ["ada/beta-bert", "ada/alpha-bert"]
    assert len(seen) == len(set(seen))


def test_spaces(api, bob, lists):
    assert names(bob.list_spaces(models="ada/alpha-bert")) == ["lists-space"]
    assert names(bob.list_spaces(datasets="lists/corpus", linked=True)) == ["lists-space"]
    s = next(s for s in bob.list_spaces(datasets="lists/corpus", linked=True))
    assert s.models == ["ada/alpha-bert"] and s.datasets == ["lists/corpus"]
    assert names(bob.list_spaces(models="ada/none")) == []
    found = list(bob.search_spaces("word glossary"))
    assert "ada/lists-space" in [f.id for f in found]


def test_bad_queries(server):
    for query in ("sort=size", "limit=0", "num_parameters=6B", "apps=toaster", "gated=maybe", "inference=hot",
                  "cursor=00", "expand=nothing", "filter=" + "x" * 300):
        status, body, _ = get(server, "/api/models?" + query)
        assert status == 400 and body["error"], query
    assert get(server, "/api/spaces?sort=downloads")[0] == 400


def test_private_never_shows(server, lists):
    for path in ("/api/models?search=zyzzyva", "/api/models?search=hidden-bert", "/api/models?author=ada&search=hidden",
                 "/api/quicksearch?q=hidden-bert", "/api/search/full-text?q=zyzzyva", "/api/search/full-text?q=hidden"):
        for token in (None, server.bob):
            status, body, _ = get(server, path, token)
            assert status == 200 and "hidden-bert" not in json.dumps(body) and "zyzzyva" not in json.dumps(body)
            if isinstance(body, dict):
                assert body.get("modelsCount", 0) == 0 and body.get("estimatedTotalHits", 0) == 0
    assert get(server, "/api/search/full-text?q=zyzzyva", server.ada)[1]["estimatedTotalHits"] == 1


def test_quick_and_full_text(server, lists):
    _, body, _ = get(server, "/api/quicksearch?q=ada/alpha-bert&type=model")
    assert body["models"][0]["id"] == "ada/alpha-bert" and body["modelsCount"] == 1 and "datasets" not in body
    _, body, _ = get(server, "/api/search/full-text?q=medieval&type=model")
    hit = body["hits"][0]
    assert hit["repoId"] == "ada/alpha-bert"
    assert [p["text"] for p in hit["snippet"] if p["found"]] == ["medieval"]
    _, body, _ = get(server, "/api/search/full-text?q=" + urllib.parse.quote("bert"))
    assert body["estimatedTotalHits"] >= 3


def test_follows_changes(api, bob, lists):
    api.create_repo("ada/moving-word")
    api.create_commit("ada/moving-word", [add("README.md", "axolotl\n")], commit_message="Card")
    ids = lambda word: [m.id for m in bob.list_models(search=word)]  # noqa: E731
    assert ids("axolotl") == ["ada/moving-word"]
    api.create_commit("ada/moving-word", [add("README.md", "platypus\n")], commit_message="Card")
    assert ids("axolotl") == [] and ids("platypus") == ["ada/moving-word"]
    api.move_repo("ada/moving-word", "ada/moved-word")
    assert ids("moving-word") == [] and ids("platypus") == ["ada/moved-word"]
    api.update_repo_settings("ada/moved-word", private=True)
    assert ids("platypus") == []
    api.update_repo_settings("ada/moved-word", private=False)
    assert ids("platypus") == ["ada/moved-word"]
    api.delete_repo("ada/moved-word")
    assert ids("platypus") == []


def test_tags_by_type(server, lists):
    _, body, _ = get(server, "/api/models-tags-by-type")
    assert {"id": "license:mit", "label": "mit", "type": "license"} in body["license"]
    assert all("hidden" not in json.dumps(v) for v in body.values())
