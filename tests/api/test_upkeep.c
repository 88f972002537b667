/* SPDX-License-Identifier: Apache-2.0 */
/* tests/api/test_upkeep.c - squash, duplicate, large objects, what one owns, tags: on the wire. */
#include "house.h"

static int up(void **state)
{
    house_up(state);
    make_repo(*state, ((house *)*state)->alice, "{\"name\":\"u\"}");
    put_file(*state, "u", "a.txt", "1");
    return 0;
}

static void squash(void **state)
{
    house      *h = *state;
    const char *path = "/api/models/alice/u/super-squash/main";
    EXPECT(post(h, "POST", path, NULL, "{}"), 401);
    EXPECT(post(h, "POST", path, h->bob, "{}"), 403);
    EXPECT(post(h, "POST", path, h->alice, "[]"), 400);
    EXPECT_ERROR(post(h, "POST", "/api/models/alice/u/super-squash/nope", h->alice, "{}"), 404,
                 "RevisionNotFound", NULL);
    EXPECT(post(h, "POST", path, h->alice, "{\"message\":\"one\"}"), 200);
    answer r = get(h, "/api/models/alice/u/commits/main", NULL);
    assert_int_equal(snug_json_count(json_of(h, r)), 1);
    EXPECT_STR(snug_json_at(json_of(h, r), 0), "title", "one");
    snug_slice sha = member(snug_json_at(json_of(h, r), 0), "id");
    assert_true(snug_eq(member(json_of(h, get(h, "/api/models/alice/u", NULL)), "sha"), sha));
    EXPECT(get(h, "/alice/u/resolve/main/a.txt", NULL), 200);
}

static void duplicate(void **state)
{
    house      *h = *state;
    const char *path = "/api/models/alice/u/duplicate";
    EXPECT(post(h, "POST", path, NULL, "{\"repository\":\"bob/u\"}"), 401);
    EXPECT(post(h, "POST", path, h->bob, "{}"), 400);
    EXPECT(post(h, "POST", path, h->bob, "{\"repository\":\"u\"}"), 400);
    EXPECT(post(h, "POST", path, h->bob, "{\"repository\":\"alice/v\"}"), 403);
    answer r =
        post(h, "POST", path, h->bob, "{\"repository\":\"bob/u\",\"visibility\":\"private\"}");
    EXPECT(r, 200);
    assert_true(snug_ends_with(member(json_of(h, r), "url"), "/bob/u"));
    EXPECT(get(h, "/bob/u/resolve/main/a.txt", h->bob), 200);
    EXPECT(get(h, "/bob/u/resolve/main/a.txt", NULL), 401);
    r = post(h, "POST", path, h->bob, "{\"repository\":\"bob/u\"}");
    EXPECT(r, 409);
    assert_true(snug_ends_with(member(json_of(h, r), "url"), "/bob/u"));
    EXPECT(post(h, "PUT", "/api/models/alice/u/settings", h->alice, "{\"gated\":\"manual\"}"), 200);
    EXPECT_ERROR(post(h, "POST", path, h->bob, "{\"repository\":\"bob/w\"}"), 403, "GatedRepo",
                 NULL);
}

static void lists(void **state)
{
    house *h = *state;
    EXPECT(get(h, "/api/settings/repositories", NULL), 401);
    answer r = get(h, "/api/settings/repositories", h->reader);
    EXPECT(r, 200);
    EXPECT_STR(snug_json_at(json_of(h, r), 0), "id", "alice/u");
    EXPECT_STR(snug_json_at(json_of(h, r), 0), "visibility", "public");
    EXPECT(get(h, "/api/organizations/alice/settings/repositories", h->bob), 403);
    EXPECT(get(h, "/api/settings/repositories?cursor=x", h->alice), 400);
    EXPECT(get(h, "/api/models-tags-by-type", NULL), 200);
    EXPECT(get(h, "/api/models/alice/u/lfs-files", NULL), 401);
    EXPECT(get(h, "/api/models/alice/u/lfs-files", h->bob), 403);
    EXPECT(get(h, "/api/models/alice/u/lfs-files?cursor=x", h->alice), 400);
    const char *batch = "/api/models/alice/u/lfs-files/batch";
    EXPECT(post(h, "POST", batch, h->alice, "{}"), 400);
    EXPECT(post(h, "POST", batch, h->alice, "{\"deletions\":{\"sha\":[\"x\"]}}"), 400);
    EXPECT(post(h, "POST", batch, h->bob, "{\"deletions\":{\"sha\":[]}}"), 403);
    EXPECT(post(h, "POST", batch, h->alice, "{\"deletions\":{\"sha\":[],\"rewriteHistory\":true}}"),
           200);
    EXPECT(post(h, "POST", "/api/models/alice/u/lfs-files/duplicate", h->bob,
                "{\"target\":{\"name\":\"alice/u\"},\"files\":[{\"sha256\":7}]}"),
           400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(squash, up, house_down),
        cmocka_unit_test_setup_teardown(duplicate, up, house_down),
        cmocka_unit_test_setup_teardown(lists, up, house_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
