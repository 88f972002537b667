/* SPDX-License-Identifier: Apache-2.0 */
/* tests/api/test_collections.c - collections on the wire: allowed, anonymous, forbidden,
 * malformed. */
#include "house.h"

static snug_slice make(house *h, const char *json)
{
    answer r = post(h, "POST", "/api/collections", h->alice, json);
    EXPECT(r, 200);
    return snug_arena_printf(h->a, "/api/collections/%.*s",
                             SNUG_SLICE(member(json_of(h, r), "slug")));
}

static void reading(void **state)
{
    house     *h = *state;
    snug_slice path = make(h, "{\"title\":\"One\",\"private\":true}");
    EXPECT(get(h, path.ptr, NULL), 404);
    EXPECT(get(h, path.ptr, h->bob), 404);
    answer r = get(h, path.ptr, h->reader);
    EXPECT(r, 200);
    assert_int_equal(snug_json_i64_or(json_of(h, r), "position", -1), 0);
    assert_int_equal(snug_json_count(json_of(h, get(h, "/api/collections", h->bob))), 0);
    snug_json list = json_of(h, get(h, "/api/collections", h->alice));
    assert_int_equal(snug_json_count(list), 1);
    assert_true(snug_json_is(snug_json_get(snug_json_at(list, 0), "position"), SNUG_JSON_ABSENT));
    (void)make(h, "{\"title\":\"Two\"}");
    r = get(h, "/api/collections?limit=1&owner=alice", h->alice);
    assert_int_equal(snug_json_count(json_of(h, r)), 1);
    EXPECT_STR(snug_json_at(json_of(h, r), 0), "title", "Two");
    snug_slice link = header(r, "Link");
    size_t     from = snug_find(link, SNUG_LIT("/api/")), to = snug_index(link, '>');
    r = get(h, snug_arena_cstr(h->a, snug_sub(link, from, to - from)), h->alice);
    EXPECT_STR(snug_json_at(json_of(h, r), 0), "title", "One");
    assert_null(header(r, "Link").ptr);
    r = get(h, "/api/collections?q=tW", h->alice);
    assert_int_equal(snug_json_count(json_of(h, r)), 1);
    EXPECT(get(h, "/api/collections?cursor=x", NULL), 400);
    EXPECT(get(h, "/api/collections?sort=fame", NULL), 400);
    EXPECT(get(h, "/api/collections?item=x", NULL), 400);
    EXPECT(get(h, "/api/collections/alice/nothing", NULL), 404);
    EXPECT(get(h, "/api/collections/alice/x-000000000000000000000000", NULL), 404);
}

static void changing(void **state)
{
    house *h = *state;
    EXPECT(post(h, "POST", "/api/collections", NULL, "{\"title\":\"x\"}"), 401);
    EXPECT(post(h, "POST", "/api/collections", h->reader, "{\"title\":\"x\"}"), 403);
    EXPECT(post(h, "POST", "/api/collections", h->bob, "{\"title\":\"x\",\"namespace\":\"alice\"}"),
           403);
    EXPECT(post(h, "POST", "/api/collections", h->bob, "{\"title\":\"\"}"), 400);
    EXPECT(post(h, "POST", "/api/collections", h->bob, "{}"), 400);
    EXPECT(post(h, "POST", "/api/collections", h->bob, "[]"), 400);
    snug_slice path = make(h, "{\"title\":\"One\"}");
    answer     r = post(h, "POST", "/api/collections", h->alice, "{\"title\":\"One\"}");
    EXPECT(r, 409);
    assert_true(snug_starts_with(member(json_of(h, r), "slug"), "alice/one-"));
    EXPECT(post(h, "PATCH", path.ptr, h->bob, "{\"title\":\"x\"}"), 403);
    EXPECT(post(h, "PATCH", path.ptr, NULL, "{\"title\":\"x\"}"), 401);
    EXPECT(post(h, "PATCH", path.ptr, h->alice, "{\"title\":7}"), 400);
    EXPECT(post(h, "PATCH", path.ptr, h->alice, "{\"theme\":\"beige\"}"), 400);
    EXPECT(post(h, "PATCH", path.ptr, h->alice, "{\"position\":-1}"), 400);
    const char *items = snug_arena_printf(h->a, "%s/items", path.ptr).ptr;
    const char *paper = "{\"item\":{\"id\":\"2307.09288\",\"type\":\"paper\"}}";
    EXPECT(post(h, "POST", items, h->bob, paper), 403);
    EXPECT(post(h, "POST", items, h->alice, "{\"item\":{\"id\":\"x\",\"type\":\"boat\"}}"), 400);
    EXPECT(post(h, "POST", items, h->alice, "{\"item\":{\"id\":\"x\",\"type\":\"paper\"}}"), 404);
    EXPECT(post(h, "POST", items, h->alice, "{\"item\":\"x\"}"), 400);
    r = post(h, "POST", items, h->alice, paper);
    EXPECT(r, 200);
    EXPECT(post(h, "POST", items, h->alice, paper), 409);
    snug_slice  id = member(snug_json_at(snug_json_get(json_of(h, r), "items"), 0), "_id");
    const char *item = snug_arena_printf(h->a, "%s/%.*s", items, SNUG_SLICE(id)).ptr;
    EXPECT(post(h, "PATCH", item, h->alice, "{\"position\":\"first\"}"), 400);
    EXPECT(post(h, "PATCH", item, h->alice, "{\"position\":9,\"note\":\"n\"}"), 200);
    EXPECT(post(h, "DELETE", item, h->bob, ""), 403);
    EXPECT(post(h, "DELETE", item, h->alice, ""), 200);
    EXPECT(post(h, "DELETE", item, h->alice, ""), 404);
    const char *group = snug_arena_printf(h->a, "%s/resource-group", path.ptr).ptr;
    EXPECT(post(h, "POST", group, h->alice, "{\"resourceGroupId\":null}"), 200);
    EXPECT_ERROR(post(h, "POST", group, h->alice, "{\"resourceGroupId\":\"x\"}"), 501,
                 "NotImplemented", NULL);
    EXPECT(post(h, "DELETE", path.ptr, h->bob, ""), 403);
    EXPECT(post(h, "DELETE", path.ptr, h->alice, ""), 200);
    EXPECT(get(h, path.ptr, h->alice), 404);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reading, house_up, house_down),
        cmocka_unit_test_setup_teardown(changing, house_up, house_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
