/* SPDX-License-Identifier: Apache-2.0 */
/* tests/api/test_repos.c - whoami, create, info, settings, move, delete, as stock clients call
 * them. */
#include "house.h"

static void whoami_knows_names_and_roles(void **state)
{
    house *h = *state;
    answer r = get(h, "/api/whoami-v2", h->alice);
    EXPECT(r, 200);
    snug_json v = json_of(h, r), auth = snug_json_get(v, "auth"),
              token = snug_json_get(auth, "accessToken");
    EXPECT_STR(v, "name", "alice");
    EXPECT_STR(v, "type", "user");
    assert_true(snug_json_is(snug_json_get(v, "orgs"), SNUG_JSON_ARRAY));
    EXPECT_STR(auth, "type", "access_token");
    EXPECT_STR(token, "displayName", "laptop");
    EXPECT_STR(token, "role", "write");
    assert_true(snug_ends_with(member(token, "createdAt"), "Z"));
    token = snug_json_get(snug_json_get(json_of(h, get(h, "/api/whoami-v2", h->reader)), "auth"),
                          "accessToken");
    EXPECT_STR(token, "role", "read");
}

static void whoami_refuses_the_rest(void **state)
{
    house *h = *state;
    answer r = get(h, "/api/whoami-v2", NULL);
    EXPECT_ERROR(r, 401, NULL, "Invalid username or password.");
    EXPECT_HEADER(r, "WWW-Authenticate",
                  "Bearer realm=\"Authentication required\", charset=\"UTF-8\"");
    /* Must not look like a missing repository. */
    EXPECT_ERROR(get(h, "/api/whoami-v2", "hf_nonsense"), 401, NULL,
                 "Invalid credentials in Authorization header");
    EXPECT_ERROR(
        ask_with(h, "GET", "/api/whoami-v2", NULL, "Authorization: Digest x\r\n", SNUG_EMPTY), 401,
        NULL, "Invalid credentials in Authorization header");
    EXPECT_ERROR(
        ask_with(h, "GET", "/api/whoami-v2", NULL, "Authorization: Basic !!!\r\n", SNUG_EMPTY), 401,
        NULL, "Invalid credentials in Authorization header");
}

static void basic_carries_the_token_as_password(void **state)
{
    house *h = *state;
    SNUG_AUTO(snug_buf) b = snug_buf_init(1024);
    snug_buf_puts(&b, "Authorization: Basic ");
    snug_base64_put(&b, snug_arena_printf(h->a, "anybody:%s", h->alice));
    snug_buf_puts(&b, "\r\n");
    answer r = ask_with(h, "GET", "/api/whoami-v2", NULL, snug_buf_cstr(&b), SNUG_EMPTY);
    EXPECT(r, 200);
    EXPECT_STR(json_of(h, r), "name", "alice");
}

static void create_answers_with_the_url_on_this_host(void **state)
{
    house *h = *state;
    answer r = post(h, "POST", "/api/repos/create", h->alice,
                    "{\"name\":\"m1\",\"organization\":null,\"type\":\"model\"}");
    EXPECT(r, 200);
    snug_json v = json_of(h, r);
    EXPECT_STR(v, "name", "alice/m1");
    EXPECT_STR(v, "url", snug_arena_printf(h->a, "http://127.0.0.1:%u/alice/m1", h->port).ptr);

    /* Again, and in another case: a conflict that carries the url as it is. */
    r = post(h, "POST", "/api/repos/create", h->alice,
             "{\"name\":\"M1\",\"organization\":\"alice\"}");
    EXPECT(r, 409);
    v = json_of(h, r);
    EXPECT_STR(v, "error", "You already created this model repo");
    EXPECT_STR(v, "url", snug_arena_printf(h->a, "http://127.0.0.1:%u/alice/m1", h->port).ptr);

    r = post(h, "POST", "/api/repos/create", h->alice,
             "{\"name\":\"alice/d1\",\"type\":\"dataset\",\"private\":true}");
    EXPECT(r, 200);
    EXPECT_STR(json_of(h, r), "url",
               snug_arena_printf(h->a, "http://127.0.0.1:%u/datasets/alice/d1", h->port).ptr);
    /* A new repository has one commit and its .gitattributes. */
    v = json_of(h, get(h, "/api/datasets/alice/d1", h->alice));
    assert_int_equal(member(v, "sha").len, 40);
    EXPECT_STR(snug_json_at(snug_json_get(v, "siblings"), 0), "rfilename", ".gitattributes");
}

static void create_checks_who_and_what(void **state)
{
    house      *h = *state;
    const char *path = "/api/repos/create";
    EXPECT_ERROR(post(h, "POST", path, NULL, "{\"name\":\"x\"}"), 401, NULL,
                 "Invalid username or password.");
    EXPECT(post(h, "POST", path, h->reader, "{\"name\":\"x\"}"), 403);
    EXPECT(post(h, "POST", path, h->bob, "{\"name\":\"x\",\"organization\":\"alice\"}"), 403);
    EXPECT(post(h, "POST", path, h->alice, "{\"name\":\"a--b\"}"), 400);
    EXPECT(post(h, "POST", path, h->alice, "{\"name\":\"x\",\"type\":\"space\"}"), 400);
    EXPECT(post(h, "POST", path, h->alice, "{\"name\":\"x\",\"type\":\"toaster\"}"), 400);
    EXPECT(post(h, "POST", path, h->alice, "{\"name\":\"x\",\"visibility\":\"secret\"}"), 400);
    EXPECT_ERROR(post(h, "POST", path, h->alice, "{\"name\":\"x\",\"type\":\"kernel\"}"), 501,
                 "NotImplemented", "not implemented here: kernel repositories");
    EXPECT(post(h, "POST", path, h->alice, "{\"name\":7}"), 400);
    EXPECT(post(h, "POST", path, h->alice, "[]"), 400);
    EXPECT(post(h, "POST", path, h->alice, "{"), 400);
    EXPECT(get(h, "/api/models/alice/x", h->alice), 404);
}

static void first_files_come_along(void **state)
{
    house *h = *state;
    make_repo(h, h->alice,
              "{\"name\":\"js\",\"files\":[{\"path\":\"README.md\",\"content\":\"SGk=\","
              "\"encoding\":\"base64\"},"
              "{\"path\":\"b.txt\",\"content\":\"plain\"}]}");
    expect_slice(get(h, "/alice/js/resolve/main/README.md", NULL).body, "Hi", __LINE__);
    expect_slice(get(h, "/alice/js/resolve/main/b.txt", NULL).body, "plain", __LINE__);
}

static void info_shapes(void **state)
{
    house *h = *state;
    make_repo(h, h->alice, "{\"name\":\"facts\"}");
    put_file(h, "facts", "README.md",
             "---\\nlicense: mit\\npipeline_tag: text-generation\\nlibrary_name: "
             "transformers\\n---\\nHello");
    put_file(h, "facts", "config.json",
             "{\\\"architectures\\\":[\\\"LlamaForCausalLM\\\"],\\\"model_type\\\":\\\"llama\\\","
             "\\\"secret\\\":1}");
    answer r = get(h, "/api/models/alice/facts", NULL);
    EXPECT(r, 200);
    EXPECT_HEADER(r, "Content-Type", "application/json; charset=utf-8");
    snug_json v = json_of(h, r);
    EXPECT_STR(v, "id", "alice/facts");
    EXPECT_STR(v, "modelId", "alice/facts");
    EXPECT_STR(v, "author", "alice");
    EXPECT_STR(v, "pipeline_tag", "text-generation");
    EXPECT_STR(v, "library_name", "transformers");
    EXPECT_STR(snug_json_get(v, "cardData"), "license", "mit");
    EXPECT_STR(snug_json_get(v, "config"), "model_type", "llama");
    assert_true(
        snug_json_is(snug_json_get(snug_json_get(v, "config"), "secret"), SNUG_JSON_ABSENT));
    EXPECT_STR(snug_json_get(v, "transformersInfo"), "auto_model", "AutoModelForCausalLM");
    assert_int_equal(member(v, "_id").len, 24);
    assert_int_equal(member(v, "sha").len, 40);
    assert_int_equal(member(v, "lastModified").len, 24);
    assert_true(snug_json_is(snug_json_get(v, "private"), SNUG_JSON_BOOL));
    assert_true(snug_json_is(snug_json_get(v, "gated"), SNUG_JSON_BOOL));
    assert_int_equal(snug_json_count(snug_json_get(v, "siblings")), 3);
    assert_true(snug_json_is(snug_json_get(snug_json_at(snug_json_get(v, "siblings"), 0), "size"),
                             SNUG_JSON_ABSENT));

    v = json_of(h, get(h, "/api/models/alice/facts?blobs=true&securityStatus=true", NULL));
    snug_json readme = snug_json_at(snug_json_get(v, "siblings"), 1);
    EXPECT_STR(readme, "rfilename", "README.md");
    assert_int_equal(snug_json_i64_or(readme, "size", -1), 83);
    assert_int_equal(member(readme, "blobId").len, 40);
    assert_true(snug_json_is(snug_json_get(v, "securityRepoStatus"), SNUG_JSON_OBJECT));

    /* expand: these keys and no others; both spellings. */
    v = json_of(h, get(h, "/api/models/alice/facts?expand=likes&expand%5B%5D=sha", NULL));
    assert_int_equal(snug_json_count(v), 4);
    assert_int_equal(snug_json_i64_or(v, "likes", -1), 0);
    assert_int_equal(member(v, "sha").len, 40);
    r = get(h, "/api/models/alice/facts?expand=nonsense", NULL);
    EXPECT(r, 400);
    assert_true(snug_starts_with(member(json_of(h, r), "error"),
                                 "\"expand\" must be one of [author, baseModels, cardData, "));
    assert_true(snug_ends_with(member(json_of(h, r), "error"), ", widgetData, xetEnabled]"));
}

static void info_at_a_revision(void **state)
{
    house *h = *state;
    make_repo(h, h->alice, "{\"name\":\"revs\"}");
    snug_slice first = member(json_of(h, get(h, "/api/models/alice/revs", NULL)), "sha");
    put_file(h, "revs", "README.md", "---\\nlicense: mit\\n---\\n");
    snug_slice second =
        member(json_of(h, get(h, "/api/models/alice/revs/revision/main", NULL)), "sha");
    assert_false(snug_eq(first, second));
    char target[128];
    snprintf(target, sizeof target, "/api/models/alice/revs/revision/%.*s", SNUG_SLICE(first));
    snug_json v = json_of(h, get(h, target, NULL));
    assert_true(snug_eq(member(v, "sha"), first));
    assert_int_equal(snug_json_count(snug_json_get(v, "siblings")), 1);
    assert_true(snug_json_is(snug_json_get(v, "cardData"), SNUG_JSON_ABSENT));
    static const char *const spellings[] = {"HEAD", "refs%2Fheads%2Fmain", "refs/heads/main",
                                            "main"};
    for (size_t i = 0; i < 4; i++) {
        snprintf(target, sizeof target, "/api/models/alice/revs/revision/%s", spellings[i]);
        assert_true(snug_eq(member(json_of(h, get(h, target, NULL)), "sha"), second));
    }
    answer r = get(h, "/api/models/alice/revs/revision/nowhere", NULL);
    EXPECT_ERROR(r, 404, "RevisionNotFound", NULL);
}

static void absent_and_private_look_the_same(void **state)
{
    house *h = *state;
    make_repo(h, h->alice, "{\"name\":\"secret\",\"private\":true}");
    static const char *const paths[] = {
        "/api/models/alice/secret",     "/api/models/alice/nothing",
        "/api/models/alice/a--b",       "/api/models/alice/secret/tree/main",
        "/alice/secret/resolve/main/x", "/api/models/alice/secret/auth-check"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        EXPECT_ERROR(get(h, paths[i], NULL), 401, "RepoNotFound", "Invalid username or password.");
        EXPECT_ERROR(get(h, paths[i], h->bob), 404, "RepoNotFound", "Repository not found");
    }
    EXPECT(get(h, "/api/models/alice/secret", h->alice), 200);
    EXPECT(get(h, "/api/models/alice/secret", h->reader), 200);
    EXPECT(get(h, "/api/models/alice/secret/auth-check", h->alice), 200);
    EXPECT(get(h, "/api/models/alice/secret/auth-check/write", h->alice), 200);
    EXPECT(get(h, "/api/models/alice/secret/auth-check/write", h->reader), 403);
}

static void answers_from_memory_are_never_stale(void **state)
{
    house *h = *state;
    make_repo(h, h->alice, "{\"name\":\"fast\"}");
    snug_slice before = get(h, "/api/models/alice/fast", NULL).body;
    int64_t    hits = snug_metric_get(SNUG_M_HTTP_INLINE);
    assert_true(snug_eq(get(h, "/api/models/alice/fast", NULL).body, before));
    assert_true(snug_metric_get(SNUG_M_HTTP_INLINE) > hits); /* answered on the I/O thread */
    put_file(h, "fast", "new.txt", "x");
    assert_false(snug_eq(get(h, "/api/models/alice/fast", NULL).body, before));
    EXPECT(get(h, "/api/models/alice/fast", NULL), 200);
    EXPECT(
        post(h, "PUT", "/api/models/alice/fast/settings", h->alice, "{\"visibility\":\"private\"}"),
        200);
    EXPECT(get(h, "/api/models/alice/fast", NULL), 401);
    EXPECT(get(h, "/api/models/alice/fast", h->alice), 200);
    EXPECT(get(h, "/api/models/alice/fast", NULL), 401);
}

static void settings_change_who_sees(void **state)
{
    house      *h = *state;
    const char *path = "/api/models/alice/set/settings";
    make_repo(h, h->alice, "{\"name\":\"set\"}");
    EXPECT(post(h, "PUT", path, NULL, "{\"private\":true}"), 401);
    EXPECT(post(h, "PUT", path, h->bob, "{\"private\":true}"), 403);
    EXPECT(post(h, "PUT", path, h->alice, "{\"visibility\":7}"), 400);
    EXPECT(post(h, "PUT", path, h->alice, "{\"visibility\":\"upside-down\"}"), 400);
    EXPECT(post(h, "PUT", path, h->alice, "{\"gated\":\"perhaps\"}"), 400);
    answer r = post(h, "PUT", path, h->alice, "{\"private\":true,\"gated\":false}");
    EXPECT(r, 200);
    EXPECT_STR(json_of(h, r), "visibility", "private");
    EXPECT(get(h, "/api/models/alice/set", h->bob), 404);
}

static void other_spellings_and_old_names_redirect(void **state)
{
    house *h = *state;
    make_repo(h, h->alice, "{\"name\":\"Old\"}");
    put_file(h, "Old", "a.txt", "x");
    answer r = get(h, "/api/models/ALICE/old?blobs=true", NULL);
    EXPECT(r, 307);
    EXPECT_HEADER(r, "Location", "/api/models/alice/Old?blobs=true");

    EXPECT(post(h, "POST", "/api/repos/move", h->bob,
                "{\"fromRepo\":\"alice/Old\",\"toRepo\":\"bob/New\"}"),
           403);
    EXPECT(post(h, "POST", "/api/repos/move", h->alice,
                "{\"fromRepo\":\"alice/Old\",\"toRepo\":\"new\"}"),
           400);
    EXPECT(post(h, "POST", "/api/repos/move", h->alice,
                "{\"fromRepo\":\"alice/Old\",\"toRepo\":\"alice/new\",\"type\":\"model\"}"),
           200);
    r = head_of(h, "/alice/Old/resolve/main/a.txt", NULL);
    EXPECT(r, 307);
    EXPECT_HEADER(r, "Location", "/alice/new/resolve/main/a.txt");
    r = get(h, "/api/models/alice/Old/tree/refs%2Fheads%2Fmain?recursive=1", NULL);
    EXPECT(r, 307);
    EXPECT_HEADER(r, "Location", "/api/models/alice/new/tree/refs%2Fheads%2Fmain?recursive=1");
    r = ask_with(h, "POST", "/alice/Old.git/info/lfs/objects/batch", NULL, "", SNUG_LIT("{}"));
    EXPECT(r, 307);
    EXPECT_HEADER(r, "Location", "/alice/new.git/info/lfs/objects/batch");
    make_repo(h, h->alice, "{\"name\":\"taken\"}");
    EXPECT(post(h, "POST", "/api/repos/move", h->alice,
                "{\"fromRepo\":\"alice/new\",\"toRepo\":\"alice/taken\"}"),
           409);
    EXPECT(post(h, "POST", "/api/repos/move", h->alice,
                "{\"fromRepo\":\"alice/new\",\"toRepo\":\"alice/Old\"}"),
           200);
    EXPECT(get(h, "/api/models/alice/Old", NULL), 200);
}

/* A redirect must not tell what the caller may not see. */
static void private_names_do_not_redirect_strangers(void **state)
{
    house *h = *state;
    make_repo(h, h->alice, "{\"name\":\"Hidden\",\"private\":true}");
    EXPECT(post(h, "POST", "/api/repos/move", h->alice,
                "{\"fromRepo\":\"alice/Hidden\",\"toRepo\":\"alice/Moved\"}"),
           200);
    EXPECT_ERROR(get(h, "/api/models/alice/Hidden", h->bob), 404, "RepoNotFound", NULL);
    EXPECT_ERROR(get(h, "/api/models/alice/hidden", NULL), 401, "RepoNotFound", NULL);
    EXPECT_ERROR(get(h, "/api/models/alice/moved", NULL), 401, "RepoNotFound", NULL);
    EXPECT(get(h, "/api/models/alice/Hidden", h->alice), 307);
}

static void delete_is_for_good(void **state)
{
    house      *h = *state;
    const char *path = "/api/repos/delete";
    make_repo(h, h->alice, "{\"name\":\"gone\"}");
    EXPECT(post(h, "DELETE", path, NULL, "{\"name\":\"gone\",\"organization\":\"alice\"}"), 401);
    EXPECT(post(h, "DELETE", path, h->bob, "{\"name\":\"gone\",\"organization\":\"alice\"}"), 403);
    EXPECT(post(h, "DELETE", path, h->alice, "{}"), 400);
    answer r = post(h, "DELETE", path, h->alice,
                    "{\"name\":\"gone\",\"organization\":null,\"type\":\"model\"}");
    EXPECT(r, 200);
    expect_slice(r.body, "OK", __LINE__);
    EXPECT_ERROR(
        post(h, "DELETE", path, h->alice, "{\"name\":\"gone\",\"organization\":\"alice\"}"), 404,
        "RepoNotFound", NULL);
    EXPECT_ERROR(get(h, "/api/models/alice/gone", h->alice), 404, "RepoNotFound", NULL);
    make_repo(h, h->alice, "{\"name\":\"gone\"}");
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, house_up, house_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(whoami_knows_names_and_roles),
        T(whoami_refuses_the_rest),
        T(basic_carries_the_token_as_password),
        T(create_answers_with_the_url_on_this_host),
        T(create_checks_who_and_what),
        T(first_files_come_along),
        T(info_shapes),
        T(info_at_a_revision),
        T(absent_and_private_look_the_same),
        T(answers_from_memory_are_never_stale),
        T(settings_change_who_sees),
        T(other_spellings_and_old_names_redirect),
        T(private_names_do_not_redirect_strangers),
        T(delete_is_for_good),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
