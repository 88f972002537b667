# SPDX-License-Identifier: Apache-2.0
"""Webhooks: kept by the unmodified client, received by a real HTTP server."""

import hashlib
import hmac
import json
import os
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from harness import Server


class Receiver(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.got, self.answers = [], []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/hook"

    def wait(self, n, seconds=20):
        end = time.time() + seconds
        while len(self.got) < n and time.time() < end:
            time.sleep(0.02)
        assert len(self.got) >= n, f"{len(self.got)} of {n} arrived"
        return self.got

    def find(self, scope, action, seconds=20):
        end = time.time() + seconds
        while time.time() < end:
            for headers, body in list(self.got):
                event = json.loads(body)["event"]
                if (event["scope"], event["action"]) == (scope, action):
                    return headers, json.loads(body)
            time.sleep(0.02)
        raise AssertionError(f"no {scope} {action} in {[json.loads(b)['event'] for _, b in self.got]}")


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((dict(self.headers), body))
        status, headers = self.server.answers.pop(0) if self.server.answers else (200, {})
        self.send_response(status)
        for k, v in headers.items():
            self.send_header(k, v)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self):
        self.server.got.append((dict(self.headers), b'{"event":{"scope":"GET","action":"GET"}}'))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def house(hub_home):
    """A server whose operator allowed loopback, with short pauses."""
    from huggingface_hub import constants

    os.environ.update(SNUG_WEBHOOK_ALLOW="127.0.0.1", SNUG_WEBHOOK_PAUSE="1", SNUG_WEBHOOK_ATTEMPTS="3")
    s = Server()
    for name in ("ada", "bob"):
        s.add_user(name)
    s.ada, s.bob = s.add_token("ada", "w"), s.add_token("bob", "w")
    was = constants.ENDPOINT
    # These calls use the global endpoint whatever HfApi was told.
    import huggingface_hub.hf_api as hf_api

    hf_api.constants.ENDPOINT = s.url
    yield s
    hf_api.constants.ENDPOINT = was
    for name in ("ALLOW", "PAUSE", "ATTEMPTS"):
        os.environ.pop(f"SNUG_WEBHOOK_{name}")
    s.close()


@pytest.fixture(scope="module")
def ada(house):
    from huggingface_hub import HfApi

    return HfApi(endpoint=house.url, token=house.ada)


@pytest.fixture(scope="module")
def other(house):
    from huggingface_hub import HfApi

    return HfApi(endpoint=house.url, token=house.bob)


@pytest.fixture
def receiver():
    r = Receiver()
    yield r
    r.shutdown()
    r.server_close()


def add(path, text):
    from huggingface_hub import CommitOperationAdd

    return CommitOperationAdd(path_in_repo=path, path_or_fileobj=text.encode())


class Answer:
    def __init__(self, r):
        self.status_code, self.headers, self.text = r.status, r.headers, r.read().decode()

    def json(self):
        return json.loads(self.text)


def call(house, method, path, token=None, json=None):
    rq = urllib.request.Request(house.url + path, method=method, data=None if json is None else dumps(json),
                                headers={"Authorization": f"Bearer {token or house.ada}",
                                         "Content-Type": "application/json"})
    try:
        return Answer(urllib.request.urlopen(rq, timeout=20))
    except urllib.error.HTTPError as e:
        return Answer(e)


def dumps(value):
    return json.dumps(value).encode()


def log_of(house, hook):
    return call(house, "GET", f"/api/settings/webhooks/{hook}/deliveries").json()


def test_keeping(ada, other, house, receiver):
    from huggingface_hub import WebhookWatchedItem

    ada.create_repo("ada/kept", exist_ok=True)
    w = ada.create_webhook(url=receiver.url, secret="s3cret", domains=["repo"],
                           watched=[{"type": "model", "name": "ada/kept"}, WebhookWatchedItem(type="user", name="bob")])
    assert len(w.id) == 24 and w.url == receiver.url and w.secret == "s3cret" and w.domains == ["repo"]
    assert sorted((x.type, x.name) for x in w.watched) == [("model", "ada/kept"), ("user", "bob")]
    assert w.disabled is False
    assert [x.id for x in ada.list_webhooks()] == [w.id] and other.list_webhooks() == []
    assert ada.get_webhook(w.id).url == receiver.url
    with pytest.raises(Exception, match="404"):
        other.get_webhook(w.id)
    w = ada.update_webhook(w.id, domains=["repo", "discussion"])
    assert w.domains == ["repo", "discussion"] and w.secret == "s3cret" and len(w.watched) == 2
    assert ada.disable_webhook(w.id).disabled is True
    assert ada.enable_webhook(w.id).disabled is False
    ada.delete_webhook(w.id)
    assert ada.list_webhooks() == []
    with pytest.raises(Exception, match="404"):
        ada.get_webhook(w.id)


@pytest.mark.parametrize("body,word", [
    ({"watched": [{"type": "model", "name": "ada/kept"}]}, "url"),
    ({"url": "ftp://x.org/", "watched": [{"type": "user", "name": "ada"}]}, "url"),
    ({"url": "http://u:p@x.org/", "watched": [{"type": "user", "name": "ada"}]}, "password"),
    ({"url": "http://10.0.0.1/", "watched": [{"type": "user", "name": "ada"}]}, "private"),
    ({"url": "http://[::1]/", "watched": [{"type": "user", "name": "ada"}]}, "private"),
    ({"url": "http://[::ffff:10.0.0.1]/", "watched": [{"type": "user", "name": "ada"}]}, "private"),
    ({"url": "http://169.254.169.254/", "watched": [{"type": "user", "name": "ada"}]}, "private"),
    ({"url": "http://x.org/", "watched": []}, "watched"),
    ({"url": "http://x.org/", "watched": [{"type": "planet", "name": "ada"}]}, "watched.type"),
    ({"url": "http://x.org/", "watched": [{"type": "user", "name": "ada"}], "domains": ["x"]}, "domains"),
    ({"url": "http://x.org/", "watched": [{"type": "user", "name": "ada"}], "secret": "a\nb"}, "secret"),
    ({"url": 7, "watched": [{"type": "user", "name": "ada"}]}, "url"),
])
def test_bad_bodies(house, body, word):
    r = call(house, "POST", "/api/settings/webhooks", json=body)
    assert r.status_code == 400 and word in r.json()["error"], r.text
    assert call(house, "GET", "/api/settings/webhooks").json() == []


def test_foreign_private_repo_is_absent(ada, other, house):
    ada.create_repo("ada/hidden", private=True)
    r = call(house, "POST", "/api/settings/webhooks", house.bob,
             json={"url": "http://x.org/", "watched": [{"type": "model", "name": "ada/hidden"}]})
    assert r.status_code == 404 and r.headers["X-Error-Code"] == "RepoNotFound"
    r2 = call(house, "POST", "/api/settings/webhooks", house.bob,
              json={"url": "http://x.org/", "watched": [{"type": "model", "name": "ada/hidden-not"}]})
    assert (r2.status_code, r2.json()) == (r.status_code, r.json())


def test_events(ada, other, house, receiver):
    w = ada.create_webhook(url=receiver.url, secret="key", watched=[{"type": "user", "name": "ada"}])
    ada.create_repo("ada/told")
    headers, p = receiver.find("repo", "create")
    assert headers["X-Webhook-Secret"] == "key" and headers["Content-Type"] == "application/json"
    body = next(b for _, b in receiver.got if json.loads(b)["event"]["action"] == "create")
    assert headers["X-Hub-Signature-256"] == "sha256=" + hmac.new(b"key", body, hashlib.sha256).hexdigest()
    assert p["repo"]["name"] == "ada/told" and p["repo"]["type"] == "model" and p["repo"]["private"] is False
    assert p["repo"]["url"]["web"] == f"{house.url}/ada/told" and p["webhook"] == {"id": w.id, "version": 3}

    before = ada.model_info("ada/told").sha
    made = ada.create_commit("ada/told", [add("a.txt", "1")], commit_message="One")
    _, p = receiver.find("repo.content", "update")
    assert p["updatedRefs"] == [{"ref": "refs/heads/main", "oldSha": before, "newSha": made.oid}]
    assert p["repo"]["headSha"] == made.oid

    receiver.got.clear()
    ada.create_branch("ada/told", branch="dev")
    _, p = receiver.find("repo.content", "update")
    assert p["updatedRefs"] == [{"ref": "refs/heads/dev", "oldSha": None, "newSha": made.oid}]
    receiver.got.clear()
    ada.create_tag("ada/told", tag="v1")
    assert receiver.find("repo.content", "update")[1]["updatedRefs"][0]["ref"] == "refs/tags/v1"
    receiver.got.clear()
    ada.delete_branch("ada/told", branch="dev")
    assert receiver.find("repo.content", "update")[1]["updatedRefs"] == [
        {"ref": "refs/heads/dev", "oldSha": made.oid, "newSha": None}]

    d = other.create_discussion("ada/told", title="Why", description="So")
    _, p = receiver.find("discussion", "create")
    assert p["discussion"]["title"] == "Why" and p["discussion"]["num"] == d.num and p["comment"]["content"] == "So"
    c = ada.comment_discussion("ada/told", d.num, comment="Because")
    _, p = receiver.find("discussion.comment", "create")
    assert p["comment"]["content"] == "Because" and p["comment"]["id"] == c.id and p["comment"]["hidden"] is False
    ada.hide_discussion_comment("ada/told", d.num, c.id)
    _, p = receiver.find("discussion.comment", "update")
    assert p["comment"]["hidden"] is True and "content" not in p["comment"]
    ada.change_discussion_status("ada/told", d.num, "closed")
    assert receiver.find("discussion", "update")[1]["discussion"]["status"] == "closed"

    ada.update_repo_settings("ada/told", gated="auto")
    assert receiver.find("repo.config", "update")[1]["updatedConfig"] == {"gated": "auto"}
    ada.move_repo("ada/told", "ada/renamed")
    _, p = receiver.find("repo", "move")
    assert p["repo"]["name"] == "ada/told" and p["movedTo"]["name"] == "ada/renamed"
    ada.delete_repo("ada/renamed")
    receiver.find("repo", "delete")
    ada.delete_webhook(w.id)


def test_private_events_stay_private(ada, other, house, receiver):
    w = other.create_webhook(url=receiver.url, watched=[{"type": "user", "name": "ada"}])
    ada.create_repo("ada/secret-plan", private=True)
    ada.create_commit("ada/secret-plan", [add("a.txt", "1")], commit_message="One")
    ada.create_repo("ada/open-plan")
    receiver.wait(1)
    time.sleep(0.3)
    assert all(b"secret-plan" not in body for _, body in receiver.got)
    ada.update_repo_settings("ada/secret-plan", private=False)
    receiver.find("repo.config", "update")
    other.delete_webhook(w.id)


def test_retry_replay_and_log(ada, house, receiver):
    ada.create_repo("ada/again", exist_ok=True)
    receiver.answers = [(500, {}), (200, {})]
    w = ada.create_webhook(url=receiver.url, secret="k", watched=[{"type": "model", "name": "ada/again"}])
    ada.create_commit("ada/again", [add("b.txt", "1")], commit_message="One")
    got = receiver.wait(2)
    assert got[0][1] == got[1][1] and got[0][0]["X-Webhook-Delivery"] == got[1][0]["X-Webhook-Delivery"]
    for _ in range(100):
        log = log_of(house, w.id)
        if log[0]["state"] == "delivered":
            break
        time.sleep(0.05)
    assert log[0]["state"] == "delivered" and log[0]["attempts"] == 2 and log[0]["status"] == 200
    assert log[0]["event"] == "repo.content update" and log[0]["body"].encode() == got[0][1]
    r = call(house, "POST", f"/api/settings/webhooks/{w.id}/deliveries/{log[0]['id']}/replay")
    assert r.status_code == 200, r.text
    assert receiver.wait(3)[2][1] == got[0][1]
    assert len(log_of(house, w.id)) == 2
    page = call(house, "GET", f"/api/settings/webhooks/{w.id}/deliveries?limit=1")
    assert len(page.json()) == 1 and 'rel="next"' in page.headers["Link"]
    assert call(house, "GET", f"/api/settings/webhooks/{w.id}/deliveries", house.bob).status_code == 404
    ada.delete_webhook(w.id)


def test_redirects_are_not_followed(ada, house, receiver):
    ada.create_repo("ada/turned", exist_ok=True)
    receiver.answers = [(302, {"Location": receiver.url})] * 3
    w = ada.create_webhook(url=receiver.url, watched=[{"type": "model", "name": "ada/turned"}])
    ada.create_commit("ada/turned", [add("b.txt", "1")], commit_message="One")
    receiver.wait(3)
    time.sleep(0.3)
    assert all(json.loads(b)["event"]["scope"] != "GET" for _, b in receiver.got)
    log = log_of(house, w.id)
    assert log[0]["state"] == "given-up" and log[0]["status"] == 302 and log[0]["attempts"] == 3
    ada.delete_webhook(w.id)


def test_private_address_behind_a_name(ada, house):
    ada.create_repo("ada/named", exist_ok=True)
    w = ada.create_webhook(url="http://0x0a000001:9/", watched=[{"type": "model", "name": "ada/named"}])
    ada.create_commit("ada/named", [add("b.txt", "1")], commit_message="One")
    end = time.time() + 20
    while time.time() < end and not log_of(house, w.id)[0]["attempts"]:
        time.sleep(0.05)
    assert "private address" in log_of(house, w.id)[0]["error"]
    ada.delete_webhook(w.id)


def test_dead_receiver_is_suspended(ada, house, receiver):
    ada.create_repo("ada/dead", exist_ok=True)
    receiver.answers = [(503, {})] * 100
    w = ada.create_webhook(url=receiver.url, watched=[{"type": "model", "name": "ada/dead"}])
    for n in range(3):
        ada.create_commit("ada/dead", [add(f"{n}.txt", "1")], commit_message="One")
    end = time.time() + 30
    while time.time() < end and ada.get_webhook(w.id).disabled != "suspended-after-failure":
        time.sleep(0.1)
    assert ada.get_webhook(w.id).disabled == "suspended-after-failure"
    seen = len(receiver.got)
    ada.create_commit("ada/dead", [add("more.txt", "1")], commit_message="More")
    time.sleep(0.5)
    assert len(receiver.got) == seen
    receiver.answers = []
    assert ada.enable_webhook(w.id).disabled is False
    ada.create_commit("ada/dead", [add("last.txt", "1")], commit_message="Last")
    receiver.wait(seen + 1)
    ada.delete_webhook(w.id)


def test_survives_a_kill(ada, house, receiver):
    """What was committed is told, also when the server dies before it could."""
    ada.create_repo("ada/killed", exist_ok=True)
    receiver.answers = [(500, {})]
    w = ada.create_webhook(url=receiver.url, watched=[{"type": "model", "name": "ada/killed"}])
    ada.create_commit("ada/killed", [add("a.txt", "1")], commit_message="One")
    receiver.wait(1)
    house.kill()
    house.start()
    got = receiver.wait(2)
    assert got[0][1] == got[1][1]
