/* SPDX-License-Identifier: Apache-2.0 */
/* tests/api/test_misc.c - lists, and the small endpoints every client pokes. */
#include "house.h"

static const char *ids_of(house *h, answer r)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init(1 << 20);
    EXPECT(r, 200);
    for (snug_json_iter it = snug_json_iter_of(json_of(h, r)); snug_json_next(&it);)
        snug_buf_printf(&b, "%s%.*s", b.len > 0 ? " " : "", SNUG_SLICE(member(it.value, "id")));
    return snug_arena_cstr(h->a, snug_buf_slice(&b));
}

static void fill(house *h)
{
    make_repo(h, h->alice, "{\"name\":\"one\"}");
    make_repo(h, h->alice, "{\"name\":\"two\"}");
    make_repo(h, h->bob, "{\"name\":\"three\"}");
    make_repo(h, h->alice, "{\"name\":\"hidden\",\"private\":true}");
    make_repo(h, h->alice, "{\"name\":\"data\",\"type\":\"dataset\"}");
    make_repo(h, h->alice, "{\"name\":\"app\",\"type\":\"space\",\"sdk\":\"gradio\"}");
    put_file(h, "one", "README.md",
             "---\\nlicense: mit\\npipeline_tag: text-generation\\ntags: [tiny]\\n---\\n");
}

static void lists_show_what_the_caller_may_see(void **state)
{
    house *h = *state;
    fill(h);
    assert_string_equal(ids_of(h, get(h, "/api/models?sort=id&direction=-1", NULL)),
                        "bob/three alice/two alice/one");
    assert_string_equal(ids_of(h, get(h, "/api/models?author=alice&sort=createdAt", h->reader)),
                        "alice/hidden alice/two alice/one");
    assert_string_equal(ids_of(h, get(h, "/api/models?author=alice&sort=createdAt", h->bob)),
                        "alice/two alice/one");
    assert_string_equal(ids_of(h, get(h, "/api/datasets", NULL)), "alice/data");
    assert_string_equal(ids_of(h, get(h, "/api/spaces", NULL)), "alice/app");
    assert_string_equal(ids_of(h, get(h, "/api/models?search=thr", NULL)), "bob/three");
    assert_string_equal(ids_of(h, get(h, "/api/models?filter=license%3Amit&filter=tiny", NULL)),
                        "alice/one");
    assert_string_equal(ids_of(h, get(h, "/api/models?filter=tiny&filter=nope", NULL)), "");
    assert_string_equal(ids_of(h, get(h, "/api/models?pipeline_tag=text-generation", NULL)),
                        "alice/one");
    assert_string_equal(ids_of(h, get(h, "/api/models?gated=true", NULL)), "");
}

static void list_items_have_their_shapes(void **state)
{
    house *h = *state;
    fill(h);
    snug_json v = snug_json_at(json_of(h, get(h, "/api/models?search=one", NULL)), 0);
    EXPECT_STR(v, "id", "alice/one");
    EXPECT_STR(v, "modelId", "alice/one");
    EXPECT_STR(v, "pipeline_tag", "text-generation");
    assert_true(snug_json_is(snug_json_get(v, "tags"), SNUG_JSON_ARRAY));
    assert_true(snug_json_is(snug_json_get(v, "siblings"), SNUG_JSON_ABSENT));
    v = snug_json_at(json_of(h, get(h, "/api/models?search=one&full=true&cardData=true", NULL)), 0);
    assert_int_equal(snug_json_count(snug_json_get(v, "siblings")), 2);
    EXPECT_STR(v, "author", "alice");
    assert_int_equal(member(v, "sha").len, 40);
    EXPECT_STR(snug_json_get(v, "cardData"), "license", "mit");
    v = snug_json_at(json_of(h, get(h, "/api/models?search=one&expand=likes", NULL)), 0);
    assert_int_equal(snug_json_count(v), 3); /* _id, id, likes */
    v = snug_json_at(json_of(h, get(h, "/api/spaces", NULL)), 0);
    EXPECT_STR(v, "sdk", "gradio");
    EXPECT(get(h, "/api/models?expand=nonsense", NULL), 400);
    EXPECT(get(h, "/api/models?sort=beauty", NULL), 400);
    EXPECT(get(h, "/api/spaces?sort=downloads", NULL), 400);
    EXPECT(get(h, "/api/models?limit=0", NULL), 400);
    EXPECT(get(h, "/api/models?num_parameters=6B", NULL), 400);
    assert_int_equal(
        snug_json_count(json_of(h, get(h, "/api/models?num_parameters=min:6B", NULL))), 0);
}

static void lists_page_by_link(void **state)
{
    house *h = *state;
    fill(h);
    answer r = get(h, "/api/models?limit=2&sort=createdAt&author=", NULL);
    assert_string_equal(ids_of(h, r), "bob/three alice/two");
    snug_slice link = header(r, "Link"),
               base = snug_arena_printf(h->a, "<http://127.0.0.1:%u", h->port);
    assert_true(snug_starts_with(link, base.ptr));
    assert_true(snug_ends_with(link, ">; rel=\"next\""));
    r = get(h,
            snug_arena_cstr(
                h->a, snug_sub(link, base.len, link.len - base.len - strlen(">; rel=\"next\""))),
            NULL);
    assert_string_equal(ids_of(h, r), "alice/one");
    assert_null(header(r, "Link").ptr);
    EXPECT(get(h, "/api/models?cursor=garbage%00", NULL), 400);
}

static void small_endpoints(void **state)
{
    house *h = *state;
    answer r = get(h, "/api/agent-harnesses", NULL);
    EXPECT(r, 200);
    assert_true(
        snug_json_is(json_of(h, r), SNUG_JSON_OBJECT)); /* an array would break every client */
    EXPECT(head_of(h, "/api/telemetry/some/topic", NULL), 200);
    EXPECT(get(h, "/healthz", NULL), 200);
    r = get(h, "/metrics", NULL);
    EXPECT(r, 200);
    assert_true(snug_find(r.body, SNUG_LIT("snug_http_requests_total")) != SIZE_MAX);
    r = get(h, "/openapi.json", NULL);
    EXPECT(r, 200);
    snug_json paths = snug_json_get(json_of(h, r), "paths");
    assert_true(snug_json_is(snug_json_get(paths, "/api/whoami-v2"), SNUG_JSON_OBJECT));
    assert_true(
        snug_json_is(snug_json_get(json_of(h, get(h, "/api/tasks", NULL)), "x"), SNUG_JSON_ABSENT));
}

static void what_is_not_built_says_so(void **state)
{
    house *h = *state;
    make_repo(h, h->alice, "{\"name\":\"n\"}");
    EXPECT_ERROR(get(h, "/api/models/alice/n/compare/a", NULL), 501, "NotImplemented",
                 "not implemented here: comparing revisions");
    EXPECT_ERROR(post(h, "POST", "/api/models/alice/n/hardware", h->alice, "{\"title\":\"x\"}"),
                 501, "NotImplemented", NULL);
    EXPECT_ERROR(get(h, "/api/models/alice/n/leaderboard", h->alice), 501, "NotImplemented",
                 "not implemented here: leaderboards");
    answer r;
    EXPECT_ERROR(get(h, "/api/jobs/alice", NULL), 501, "NotImplemented", NULL);
    /* What nobody knows is simply not there, and no repository either. */
    r = get(h, "/api/nonsense", NULL);
    EXPECT(r, 404);
    assert_null(header(r, "X-Error-Code").ptr);
}

static void browsers_may_read_the_headers(void **state)
{
    house *h = *state;
    answer r = ask_with(h, "GET", "/api/agent-harnesses", NULL, "Origin: https://example.org\r\n",
                        SNUG_EMPTY);
    EXPECT_HEADER(r, "Access-Control-Allow-Origin", "*");
    assert_true(snug_find(header(r, "Access-Control-Expose-Headers"), SNUG_LIT("X-Repo-Commit")) !=
                SIZE_MAX);
    r = get(h, "/api/agent-harnesses", NULL);
    assert_null(header(r, "Access-Control-Allow-Origin").ptr);
}

static void request_ids_come_back(void **state)
{
    house *h = *state;
    answer r = ask_with(h, "GET", "/healthz", NULL, "X-Request-Id: my-own-id\r\n", SNUG_EMPTY);
    EXPECT_HEADER(r, "X-Request-Id", "my-own-id");
    r = ask_with(h, "GET", "/healthz", NULL,
                 "X-Amzn-Trace-Id: 11111111-2222-3333-4444-555555555555\r\n", SNUG_EMPTY);
    assert_true(snug_find(header(r, "X-Request-Id"),
                          SNUG_LIT("11111111-2222-3333-4444-555555555555")) != SIZE_MAX);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, house_up, house_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(lists_show_what_the_caller_may_see),
        T(list_items_have_their_shapes),
        T(lists_page_by_link),
        T(small_endpoints),
        T(what_is_not_built_says_so),
        T(browsers_may_read_the_headers),
        T(request_ids_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
