/* SPDX-License-Identifier: Apache-2.0 */
/* tests/api/test_talks.c - discussions and pull requests on the wire: allowed, anonymous,
 * forbidden, malformed. */
#include "house.h"

#define TALKS "/api/models/alice/t/discussions"
#define HEADER "{\"key\":\"header\",\"value\":{\"summary\":\"s\"}}\n"
#define LINE                                                                                       \
    "{\"key\":\"file\",\"value\":{\"path\":\"a\",\"content\":\"b\",\"encoding\":\"utf-8\"}}\n"

static int up(void **state)
{
    house_up(state);
    make_repo(*state, ((house *)*state)->alice, "{\"name\":\"t\"}");
    return 0;
}

static void open_and_read(void **state)
{
    house *h = *state;
    answer r = post(h, "POST", TALKS, h->bob, "{\"title\":\"Q\",\"description\":\"<why>\"}");
    EXPECT(r, 200);
    snug_json v = json_of(h, r);
    assert_int_equal(snug_json_i64_or(v, "num", 0), 1);
    r = get(h, TALKS "/1", NULL); /* anyone reads a public one */
    EXPECT(r, 200);
    v = json_of(h, r);
    EXPECT_STR(v, "title", "Q");
    EXPECT_STR(v, "status", "open");
    EXPECT_STR(snug_json_get(v, "author"), "name", "bob");
    EXPECT_STR(snug_json_get(v, "repo"), "name", "alice/t");
    EXPECT_STR(snug_json_get(v, "repo"), "type", "model");
    snug_json data = snug_json_get(snug_json_at(snug_json_get(v, "events"), 0), "data");
    EXPECT_STR(snug_json_get(data, "latest"), "raw", "<why>");
    EXPECT_STR(snug_json_get(data, "latest"), "html", "<p>&lt;why&gt;</p>");
    assert_true(snug_json_is(snug_json_get(v, "changes"), SNUG_JSON_ABSENT));
    r = get(h, TALKS, NULL);
    EXPECT(r, 200);
    assert_int_equal(snug_json_i64_or(json_of(h, r), "count", -1), 1);
    assert_int_equal(snug_json_i64_or(json_of(h, r), "start", -1), 0);
}

static void a_pull_request_on_the_wire(void **state)
{
    house *h = *state;
    answer r = commit_lines(h, "/api/models/alice/t/commit/main?create_pr=1", h->bob, HEADER LINE);
    EXPECT(r, 200);
    snug_json v = json_of(h, r);
    EXPECT_STR(v, "pullRequestUrl",
               snug_arena_printf(h->a, "http://127.0.0.1:%u/alice/t/discussions/1", h->port).ptr);
    r = get(h, TALKS "/1?diff=1", NULL);
    EXPECT(r, 200);
    snug_json pr = json_of(h, r);
    EXPECT_STR(snug_json_get(pr, "changes"), "base", "refs/heads/main");
    assert_true(snug_find(member(pr, "diff"), SNUG_LIT("\n+b\n")) != SIZE_MAX);
    assert_int_equal(snug_json_count(snug_json_get(pr, "filesWithConflicts")), 0);
    EXPECT(get(h, "/alice/t/resolve/refs%2Fpr%2F1/a", NULL), 200);
    EXPECT(get(h, "/alice/t/resolve/main/a", NULL), 404);
    EXPECT(post(h, "POST", TALKS "/1/merge", h->bob, "null"), 403);
    EXPECT(post(h, "POST", TALKS "/1/merge", NULL, "null"), 401);
    EXPECT(post(h, "POST", TALKS "/1/merge", h->alice, "null"), 200);
    EXPECT(get(h, "/alice/t/resolve/main/a", NULL), 200);
    EXPECT(post(h, "POST", TALKS "/1/merge", h->alice, "null"), 400);
    EXPECT(post(h, "POST", TALKS "/1/status", h->alice, "{\"status\":\"open\"}"), 400);
    EXPECT_STR(snug_json_get(json_of(h, get(h, TALKS "/1", NULL)), "changes"), "mergeCommitId",
               snug_arena_cstr(h->a, member(v, "commitOid"))); /* it went forward */
    EXPECT_ERROR(
        commit_lines(h, "/api/models/alice/t/commit/nope?create_pr=1", h->bob, HEADER LINE), 404,
        "RevisionNotFound", NULL);
    EXPECT(commit_lines(h, "/api/models/alice/t/commit/main?create_pr=1", NULL, HEADER LINE), 401);
    EXPECT(commit_lines(h, "/api/models/alice/t/commit/main?create_pr=1", h->reader, HEADER LINE),
           403);
}

static void refusals(void **state)
{
    house *h = *state;
    EXPECT(post(h, "POST", TALKS, h->bob, "{\"title\":\"Q\"}"), 200);
    EXPECT(post(h, "POST", TALKS, NULL, "{\"title\":\"Q\"}"), 401);
    EXPECT(post(h, "POST", TALKS, h->reader, "{\"title\":\"Q\"}"), 403);
    EXPECT_ERROR(post(h, "POST", TALKS, h->bob, "{\"title\":7}"), 400, NULL,
                 "\"title\" must be a string");
    EXPECT(post(h, "POST", TALKS, h->bob, "{\"title\":\"   \"}"), 400);
    EXPECT(post(h, "POST", TALKS, h->bob, "{\"title\":\"a\\u0000b\"}"), 400);
    EXPECT(post(h, "POST", TALKS, h->bob, "[1]"), 400);
    EXPECT(post(h, "POST", TALKS, h->bob, "{\"title\""), 400);
    EXPECT(get(h, TALKS "/0", NULL), 404);
    EXPECT(get(h, TALKS "/x", NULL), 404);
    EXPECT(get(h, TALKS "/99999999999", NULL), 404);
    EXPECT(get(h, TALKS "/2", NULL), 404);
    EXPECT(get(h, TALKS "?type=poem", NULL), 400);
    EXPECT(get(h, TALKS "?p=-1", NULL), 400);
    EXPECT(post(h, "POST", TALKS "/1/comment", h->bob, "{\"comment\":null}"), 400);
    EXPECT(post(h, "POST", TALKS "/1/comment", h->bob, "{\"comment\":\"\"}"), 400);
    EXPECT(post(h, "POST", TALKS "/1/comment", NULL, "{\"comment\":\"x\"}"), 401);
    EXPECT(post(h, "POST", TALKS "/1/status", h->bob, "{\"status\":\"merged\"}"), 400);
    EXPECT(post(h, "POST", TALKS "/1/merge", h->alice, "{}"), 400); /* not a pull request */
    EXPECT(post(h, "POST", TALKS "/1/comment/xyz/edit", h->bob, "{\"content\":\"x\"}"), 404);
    EXPECT(post(h, "POST", TALKS "/1/comment/000000000000000000000000/hide", h->bob, "{}"), 404);
    make_repo(h, h->alice, "{\"name\":\"p\",\"private\":true}");
    EXPECT_ERROR(get(h, "/api/models/alice/p/discussions", h->bob), 404, "RepoNotFound", NULL);
    EXPECT_ERROR(get(h, "/api/models/alice/p/discussions/1", NULL), 401, "RepoNotFound", NULL);
    EXPECT_ERROR(post(h, "POST", "/api/models/alice/p/discussions", h->bob, "{\"title\":\"Q\"}"),
                 404, "RepoNotFound", NULL);
}

static void a_hidden_comment_is_gone(void **state)
{
    house *h = *state;
    EXPECT(post(h, "POST", TALKS, h->bob, "{\"title\":\"Q\",\"description\":\"d\"}"), 200);
    answer r = post(h, "POST", TALKS "/1/comment", h->bob, "{\"comment\":\"my password\"}");
    EXPECT(r, 200);
    snug_slice id = member(snug_json_get(json_of(h, r), "newMessage"), "id");
    snug_slice hide = snug_arena_printf(h->a, TALKS "/1/comment/%.*s/hide", SNUG_SLICE(id));
    snug_slice edit = snug_arena_printf(h->a, TALKS "/1/comment/%.*s/edit", SNUG_SLICE(id));
    EXPECT(post(h, "POST", edit.ptr, h->bob, "{\"content\":\"my other password\"}"), 200);
    EXPECT(post(h, "POST", edit.ptr, h->alice, "{\"content\":\"x\"}"), 403);
    r = post(h, "POST", hide.ptr, h->alice, "{}");
    EXPECT(r, 200);
    assert_true(snug_find(r.body, SNUG_LIT("password")) == SIZE_MAX);
    r = get(h, TALKS "/1", h->bob);
    assert_true(snug_find(r.body, SNUG_LIT("password")) == SIZE_MAX);
    assert_true(snug_find(r.body, SNUG_LIT("This comment has been hidden")) != SIZE_MAX);
    EXPECT(post(h, "POST", edit.ptr, h->bob, "{\"content\":\"again\"}"), 403);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(open_and_read, up, house_down),
        cmocka_unit_test_setup_teardown(a_pull_request_on_the_wire, up, house_down),
        cmocka_unit_test_setup_teardown(refusals, up, house_down),
        cmocka_unit_test_setup_teardown(a_hidden_comment_is_gone, up, house_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
