/* SPDX-License-Identifier: Apache-2.0 */
/* tests/api/test_social.c - likes, follows, organizations on the wire. */
#include "house.h"

static int up(void **state)
{
    house_up(state);
    make_repo(*state, ((house *)*state)->alice, "{\"name\":\"t\"}");
    make_repo(*state, ((house *)*state)->alice, "{\"name\":\"secret\",\"private\":true}");
    return 0;
}

static void likes(void **state)
{
    house *h = *state;
    EXPECT(post(h, "POST", "/api/models/alice/t/like", NULL, ""), 401);
    EXPECT(post(h, "POST", "/api/models/alice/t/like", h->reader, ""), 403);
    EXPECT_ERROR(post(h, "POST", "/api/models/alice/secret/like", h->bob, ""), 404, "RepoNotFound",
                 NULL);
    EXPECT(post(h, "POST", "/api/models/alice/t/like", h->bob, ""), 200);
    EXPECT(post(h, "POST", "/api/models/alice/t/like", h->alice, ""), 200);
    answer r = get(h, "/api/models/alice/t/likers?limit=1", NULL);
    EXPECT(r, 200);
    snug_json v = json_of(h, r);
    assert_int_equal(snug_json_count(v), 1);
    EXPECT_STR(snug_json_at(v, 0), "user", "alice");
    snug_slice link = header(r, "Link");
    assert_true(snug_find(link, SNUG_LIT("cursor=")) != SIZE_MAX);
    size_t from = snug_find(link, SNUG_LIT("/api/")), to = snug_index(link, '>');
    r = get(h, snug_arena_cstr(h->a, snug_sub(link, from, to - from)), NULL);
    EXPECT_STR(snug_json_at(json_of(h, r), 0), "user", "bob");
    EXPECT(get(h, "/api/models/alice/t/likers?cursor=x", NULL), 400);
    EXPECT_ERROR(get(h, "/api/models/alice/secret/likers", h->bob), 404, "RepoNotFound", NULL);
    EXPECT(post(h, "DELETE", "/api/models/alice/t/like", h->bob, ""), 200);
    EXPECT(post(h, "DELETE", "/api/models/alice/t/like", h->bob, ""), 200);
    v = json_of(h, get(h, "/api/models/alice/t", NULL));
    assert_int_equal(snug_json_i64_or(v, "likes", -1), 1);
    EXPECT(post(h, "POST", "/api/models/alice/secret/like", h->alice, ""), 200);
    assert_int_equal(snug_json_count(json_of(h, get(h, "/api/users/alice/likes", h->bob))), 1);
    assert_int_equal(snug_json_count(json_of(h, get(h, "/api/users/alice/likes", h->alice))), 2);
    EXPECT(get(h, "/api/users/none/likes", NULL), 404);
}

static void people(void **state)
{
    house *h = *state;
    answer r = get(h, "/api/users/Alice/overview", NULL);
    EXPECT(r, 200);
    EXPECT_STR(json_of(h, r), "user", "alice");
    assert_int_equal(snug_json_i64_or(json_of(h, r), "numModels", -1), 1);
    r = get(h, "/api/users/alice/overview", h->alice);
    assert_int_equal(snug_json_i64_or(json_of(h, r), "numModels", -1), 2);
    EXPECT(get(h, "/api/users/none/overview", NULL), 404);
    EXPECT(post(h, "POST", "/api/users/alice/follow", NULL, ""), 401);
    EXPECT(post(h, "POST", "/api/users/alice/follow", h->alice, ""), 400);
    EXPECT(post(h, "POST", "/api/users/alice/follow", h->bob, ""), 200);
    assert_int_equal(snug_json_count(json_of(h, get(h, "/api/users/alice/followers", NULL))), 1);
    assert_int_equal(snug_json_count(json_of(h, get(h, "/api/users/bob/following", NULL))), 1);
    EXPECT(post(h, "DELETE", "/api/users/alice/follow", h->bob, ""), 200);
    assert_int_equal(snug_json_count(json_of(h, get(h, "/api/users/alice/followers", NULL))), 0);
    r = get(h, "/api/avatars/alice", NULL);
    EXPECT(r, 200);
    EXPECT_HEADER(r, "Content-Type", "image/svg+xml");
    EXPECT(get(h, "/api/avatars/%3Cscript%3E", NULL), 404);
}

static void organizations(void **state)
{
    house   *h = *state;
    snug_err err = {0};
    EXPECT(get(h, "/api/organizations/acme/overview", NULL), 404);
    must(hub_add_org(h->hub, SNUG_LIT("acme"), SNUG_LIT("ACME"), NULL, &err), &err);
    assert_int_equal(hub_add_org(h->hub, SNUG_LIT("ACME"), SNUG_EMPTY, NULL, &err), SNUG_ECONFLICT);
    assert_int_equal(hub_add_org(h->hub, SNUG_LIT("alice"), SNUG_EMPTY, NULL, &err),
                     SNUG_ECONFLICT);
    char     password[] = "correct horse";
    hub_user user;
    assert_int_equal(
        hub_add_user(h->hub, SNUG_LIT("Acme"), snug_str(password), SNUG_EMPTY, false, &user, &err),
        SNUG_ECONFLICT);
    EXPECT(post(h, "POST", "/api/repos/create", h->bob, "{\"name\":\"acme/x\"}"), 403);
    must(hub_set_member(h->hub, SNUG_LIT("acme"), SNUG_LIT("bob"), HUB_ROLE_READ, &err), &err);
    EXPECT(post(h, "POST", "/api/repos/create", h->bob, "{\"name\":\"acme/x\"}"), 403);
    must(hub_set_member(h->hub, SNUG_LIT("acme"), SNUG_LIT("bob"), HUB_ROLE_WRITE, &err), &err);
    make_repo(h, h->bob, "{\"name\":\"acme/x\",\"private\":true}");
    EXPECT(get(h, "/api/models/acme/x", h->bob), 200);
    EXPECT_ERROR(get(h, "/api/models/acme/x", h->alice), 404, "RepoNotFound", NULL);
    must(hub_set_member(h->hub, SNUG_LIT("acme"), SNUG_LIT("alice"), HUB_ROLE_READ, &err), &err);
    EXPECT(get(h, "/api/models/acme/x", h->alice), 200);
    assert_int_equal(snug_json_count(json_of(h, get(h, "/api/models?author=acme", h->alice))), 1);
    assert_int_equal(snug_json_count(json_of(h, get(h, "/api/models?author=acme", NULL))), 0);
    EXPECT(get(h, "/api/models/acme/x/auth-check/write", h->alice), 403);
    answer r = get(h, "/api/organizations/acme/members", NULL);
    assert_int_equal(snug_json_count(json_of(h, r)), 2);
    must(hub_set_member(h->hub, SNUG_LIT("acme"), SNUG_LIT("alice"), HUB_ROLE_NONE, &err), &err);
    EXPECT_ERROR(get(h, "/api/models/acme/x", h->alice), 404, "RepoNotFound", NULL);
    EXPECT(post(h, "POST", "/api/organizations/acme/follow", h->alice, ""), 200);
    r = get(h, "/api/organizations/acme/overview", h->alice);
    assert_true(snug_json_bool_or(json_of(h, r), "isFollowing", false));
    assert_int_equal(snug_json_count(json_of(h, get(h, "/api/organizations/acme/followers", NULL))),
                     1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(likes, up, house_down),
        cmocka_unit_test_setup_teardown(people, up, house_down),
        cmocka_unit_test_setup_teardown(organizations, up, house_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
