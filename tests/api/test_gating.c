/* SPDX-License-Identifier: Apache-2.0 */
/* tests/api/test_gating.c - gated repositories: what is seen, what is read, who is let in. */
#include "house.h"

#define GATED "/api/models/alice/g"
#define FILE_URL "/alice/g/resolve/main/config.json"

static int up(void **state)
{
    house_up(state);
    house *h = *state;
    make_repo(h, h->alice, "{\"name\":\"g\"}");
    put_file(h, "g", "config.json", "{}");
    return 0;
}

static void settings(void **state)
{
    house *h = *state;
    EXPECT(post(h, "PUT", GATED "/settings", h->bob, "{\"gated\":\"auto\"}"), 403);
    EXPECT(post(h, "PUT", GATED "/settings", h->alice, "{\"gated\":\"maybe\"}"), 400);
    EXPECT(post(h, "PUT", GATED "/settings", h->alice, "{\"gated\":true}"), 400);
    answer r = post(h, "PUT", GATED "/settings", h->alice, "{\"gated\":\"manual\"}");
    EXPECT(r, 200);
    EXPECT_STR(json_of(h, r), "gated", "manual");
    EXPECT_STR(json_of(h, get(h, GATED, NULL)), "gated", "manual");
    EXPECT(post(h, "PUT", GATED "/settings", h->alice, "{\"gated\":\"auto\"}"), 200);
    EXPECT_STR(json_of(h, get(h, GATED, NULL)), "gated", "auto");
    EXPECT(post(h, "PUT", GATED "/settings", h->alice, "{\"gated\":false}"), 200);
    EXPECT(get(h, FILE_URL, NULL), 200);
    make_repo(h, h->alice, "{\"name\":\"s\",\"type\":\"space\",\"sdk\":\"static\"}");
    EXPECT(post(h, "PUT", "/api/spaces/alice/s/settings", h->alice, "{\"gated\":\"auto\"}"), 400);
}

static void a_closed_gate(void **state)
{
    house *h = *state;
    EXPECT(post(h, "PUT", GATED "/settings", h->alice, "{\"gated\":\"manual\"}"), 200);
    EXPECT(get(h, GATED "/tree/main", NULL), 200);
    EXPECT(get(h, GATED, NULL), 200);
    EXPECT_ERROR(get(h, FILE_URL, NULL), 401, "GatedRepo",
                 "Access to model alice/g is restricted. You must have access to it and be "
                 "authenticated to access it. Please log in.");
    answer r = get(h, FILE_URL, h->bob);
    EXPECT_ERROR(r, 403, "GatedRepo", NULL);
    assert_true(snug_find(r.body, SNUG_LIT("you are not in the authorized list")) != SIZE_MAX);
    EXPECT(head_of(h, FILE_URL, h->bob), 403);
    EXPECT(get(h, "/alice/g/raw/main/config.json", h->bob), 403);
    EXPECT(get(h, "/alice/g/info/refs?service=git-upload-pack", h->bob), 403);
    EXPECT_ERROR(get(h, GATED "/xet-read-token/main", h->bob), 403, "GatedRepo", NULL);
    EXPECT(get(h, FILE_URL, h->alice), 200);
    EXPECT(get(h, FILE_URL, h->reader), 200); /* the owner, whatever the token may */
}

static void requests(void **state)
{
    house *h = *state;
    EXPECT(post(h, "POST", GATED "/ask-access", h->bob, "{}"), 400); /* not gated */
    EXPECT(get(h, GATED "/user-access-request/pending", h->alice), 400);
    EXPECT(post(h, "PUT", GATED "/settings", h->alice, "{\"gated\":\"manual\"}"), 200);
    EXPECT(post(h, "POST", GATED "/ask-access", NULL, "{}"), 401);
    answer r = post(h, "POST", GATED "/ask-access", h->bob, "{\"why\":\"research\"}");
    EXPECT(r, 200);
    EXPECT_STR(json_of(h, r), "status", "pending");
    r = get(h, FILE_URL, h->bob);
    EXPECT_ERROR(r, 403, "GatedRepo", NULL);
    assert_true(snug_find(r.body, SNUG_LIT("is pending since")) != SIZE_MAX);
    EXPECT(get(h, GATED "/user-access-request/pending", h->bob), 403);
    EXPECT(get(h, GATED "/user-access-request/pending", NULL), 401);
    EXPECT(get(h, GATED "/user-access-request/never", h->alice), 400);
    snug_json list = json_of(h, get(h, GATED "/user-access-request/pending", h->alice));
    assert_int_equal(snug_json_count(list), 1);
    EXPECT_STR(snug_json_get(snug_json_at(list, 0), "user"), "user", "bob");
    EXPECT_STR(snug_json_get(snug_json_at(list, 0), "fields"), "why", "research");
    const char *handle = GATED "/user-access-request/handle";
    EXPECT(post(h, "POST", handle, h->bob, "{\"user\":\"bob\",\"status\":\"accepted\"}"), 403);
    EXPECT(post(h, "POST", handle, h->alice, "{\"user\":\"bob\",\"status\":\"fine\"}"), 400);
    EXPECT(post(h, "POST", handle, h->alice, "{\"user\":\"bob\"}"), 400);
    EXPECT(post(h, "POST", handle, h->alice, "{\"user\":\"zoe\",\"status\":\"accepted\"}"), 404);
    EXPECT(post(h, "POST", handle, h->alice, "{\"user\":\"alice\",\"status\":\"accepted\"}"), 404);
    EXPECT(post(h, "POST", handle, h->alice, "{\"user\":\"bob\",\"status\":\"pending\"}"), 404);
    EXPECT(post(h, "POST", handle, h->alice,
                "{\"user\":\"bob\",\"status\":\"rejected\",\"rejectionReason\":\"too vague\"}"),
           200);
    r = get(h, FILE_URL, h->bob);
    assert_true(snug_find(r.body, SNUG_LIT("rejected by its authors: too vague")) != SIZE_MAX);
    r = post(h, "POST", GATED "/ask-access", h->bob, "{}");
    EXPECT_STR(json_of(h, r), "status", "rejected"); /* asking again does not help */
    EXPECT(post(h, "POST", handle, h->alice, "{\"user\":\"bob\",\"status\":\"accepted\"}"), 200);
    EXPECT(get(h, FILE_URL, h->bob), 200);
    EXPECT(post(h, "POST", handle, h->alice, "{\"user\":\"bob\",\"status\":\"pending\"}"), 200);
    EXPECT(get(h, FILE_URL, h->bob), 403); /* taken back */
    list = json_of(h, get(h, GATED "/user-access-request/pending", h->alice));
    snug_slice by_id = snug_arena_printf(h->a, "{\"requestId\":\"%.*s\",\"status\":\"rejected\"}",
                                         SNUG_SLICE(member(snug_json_at(list, 0), "requestId")));
    EXPECT(post(h, "POST", handle, h->alice, by_id.ptr), 200);
    EXPECT(post(h, "POST", handle, h->alice, "{\"requestId\":\"zz\",\"status\":\"pending\"}"), 404);
    const char *grant = GATED "/user-access-request/grant";
    EXPECT(post(h, "POST", grant, h->bob, "{\"user\":\"bob\"}"), 403);
    EXPECT(post(h, "POST", grant, h->alice, "{\"user\":\"bob\"}"), 200);
    EXPECT(post(h, "POST", grant, h->alice, "{\"user\":\"bob\"}"), 400);
    EXPECT(post(h, "POST", grant, h->alice, "{\"user\":\"zoe\"}"), 404);
    EXPECT(get(h, FILE_URL, h->bob), 200);
}

static void asking_an_open_hand(void **state)
{
    house *h = *state;
    EXPECT(post(h, "PUT", GATED "/settings", h->alice, "{\"gated\":\"auto\"}"), 200);
    EXPECT(get(h, FILE_URL, h->bob), 403);
    EXPECT_STR(json_of(h, post(h, "POST", GATED "/ask-access", h->bob, "{}")), "status",
               "accepted");
    EXPECT(get(h, FILE_URL, h->bob), 200);
    EXPECT(get(h, FILE_URL, NULL), 401);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(settings, up, house_down),
        cmocka_unit_test_setup_teardown(a_closed_gate, up, house_down),
        cmocka_unit_test_setup_teardown(requests, up, house_down),
        cmocka_unit_test_setup_teardown(asking_an_open_hand, up, house_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
