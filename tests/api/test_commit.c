/* SPDX-License-Identifier: Apache-2.0 */
/* tests/api/test_commit.c - commits, preupload, card checks, branches, tags, history. */
#include "house.h"

#define HEADER                                                                                     \
    "{\"key\":\"header\",\"value\":{\"summary\":\"Change\",\"description\":\"Because\"}}\n"
#define FILE_LINE(path, text)                                                                      \
    "{\"key\":\"file\",\"value\":{\"path\":\"" path "\",\"content\":\"" text                       \
    "\",\"encoding\":\"utf-8\"}}\n"

static int up(void **state)
{
    if (house_up(state) != 0) return -1;
    make_repo(*state, ((house *)*state)->alice, "{\"name\":\"c\"}");
    return 0;
}

static answer commit(house *h, const char *lines)
{
    return commit_lines(h, "/api/models/alice/c/commit/main", h->alice, lines);
}

static const char *body_of(house *h, const char *path)
{
    snug_slice target = snug_arena_printf(h->a, "/alice/c/resolve/main/%s", path);
    answer     r = get(h, target.ptr, NULL);
    return r.status == 200 ? snug_arena_cstr(h->a, r.body) : NULL;
}

static snug_slice sha_of(house *h, const char *rev)
{
    snug_slice target = snug_arena_printf(h->a, "/api/models/alice/c/revision/%s", rev);
    return member(json_of(h, get(h, target.ptr, NULL)), "sha");
}

static void every_operation(void **state)
{
    house *h = *state;
    answer r = commit(h, HEADER FILE_LINE("a.txt", "one") FILE_LINE("d/b.txt", "two")
                             FILE_LINE("d/c.txt", "three") FILE_LINE("old.txt", "kept")
                                 FILE_LINE("old2.txt", "x"));
    EXPECT(r, 200);
    snug_json v = json_of(h, r);
    assert_true(snug_json_bool_or(v, "success", false));
    snug_slice oid = member(v, "commitOid");
    assert_true(snug_eq(oid, sha_of(h, "main")));
    EXPECT_STR(
        v, "commitUrl",
        snug_arena_printf(h->a, "http://127.0.0.1:%u/alice/c/commit/%.*s", h->port, SNUG_SLICE(oid))
            .ptr);
    assert_true(snug_json_is(snug_json_get(v, "pullRequestUrl"), SNUG_JSON_ABSENT));
    r = commit(
        h,
        HEADER FILE_LINE(
            "a.txt",
            "uno") "{\"key\":\"deletedFile\",\"value\":{\"path\":\"d/b.txt\"}}\n"
                   "{\"key\":\"copyFile\",\"value\":{\"srcPath\":\"d/c.txt\",\"path\":\"e.txt\"}}\n"
                   "{\"key\":\"file\",\"value\":{\"path\":\"new.txt\",\"oldPath\":\"old.txt\"}}\n"
                   "{\"key\":\"file\",\"value\":{\"path\":\"new2.txt\",\"oldPath\":\"old2.txt\","
                   "\"content\":\"eQ==\",\"encoding\":\"base64\"}}");
    EXPECT(r, 200);
    assert_string_equal(body_of(h, "a.txt"), "uno");
    assert_null(body_of(h, "d/b.txt"));
    assert_string_equal(body_of(h, "e.txt"), "three");
    assert_string_equal(body_of(h, "new.txt"), "kept");
    assert_null(body_of(h, "old.txt"));
    assert_string_equal(body_of(h, "new2.txt"), "y");
    assert_null(body_of(h, "old2.txt"));
    EXPECT(commit(h, HEADER "{\"key\":\"deletedFolder\",\"value\":{\"path\":\"d/\"}}\n"), 200);
    assert_null(body_of(h, "d/c.txt"));
}

static void refusals_change_nothing(void **state)
{
    house      *h = *state;
    snug_slice  before = sha_of(h, "main");
    const char *target = "/api/models/alice/c/commit/main";
    EXPECT_ERROR(commit_lines(h, target, NULL, HEADER), 401, NULL, NULL);
    EXPECT(commit_lines(h, target, h->bob, HEADER FILE_LINE("a", "b")), 403);
    EXPECT(commit_lines(h, target, h->reader, HEADER FILE_LINE("a", "b")), 403);
    EXPECT_ERROR(commit(h, HEADER "{bad}\n"), 400, NULL, NULL);
    assert_non_null(strstr(snug_arena_cstr(h->a, commit(h, HEADER "{bad}\n").body), "line 2: "));
    EXPECT(commit(h, FILE_LINE("a", "b")), 400);
    EXPECT_ERROR(commit(h, HEADER FILE_LINE("../a", "b")), 422, NULL, NULL);
    EXPECT(commit(h, HEADER FILE_LINE("/a", "b")), 422);
    EXPECT(commit(h, HEADER FILE_LINE("d/.GIT/config", "b")), 422);
    answer r = commit(h, HEADER "{\"key\":\"deletedFile\",\"value\":{\"path\":\"nope\"}}\n");
    EXPECT_ERROR(r, 404, "EntryNotFound", NULL);
    assert_true(snug_find(r.body, SNUG_LIT("A file with this name doesn't exist")) != SIZE_MAX);
    r = commit(
        h, HEADER
        "{\"key\":\"lfsFile\",\"value\":{\"path\":\"m.bin\",\"algo\":\"sha256\",\"oid\":"
        "\"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\",\"size\":5}}\n");
    EXPECT(r, 400);
    assert_true(snug_find(r.body, SNUG_LIT("LFS pointer pointed to a file that does not exist")) !=
                SIZE_MAX);
    EXPECT_ERROR(
        commit_lines(h, "/api/models/alice/c/commit/nope", h->alice, HEADER FILE_LINE("a", "b")),
        404, "RevisionNotFound", NULL);
    EXPECT_ERROR(
        commit_lines(h, "/api/models/alice/none/commit/main", h->alice, HEADER FILE_LINE("a", "b")),
        404, "RepoNotFound", NULL);
    assert_true(snug_eq(before, sha_of(h, "main")));
}

static void parents_guard_against_stale_views(void **state)
{
    house     *h = *state;
    snug_slice first = sha_of(h, "main");
    put_file(h, "c", "x.txt", "1");
    snug_slice second = sha_of(h, "main");
    snug_slice lines = snug_arena_printf(
        h->a,
        "{\"key\":\"header\",\"value\":{\"summary\":\"s\",\"parentCommit\":\"%.*s\"}}\n" FILE_LINE(
            "y", "1"),
        SNUG_SLICE(first));
    EXPECT_ERROR(commit(h, lines.ptr), 412, NULL, NULL);
    lines = snug_arena_printf(
        h->a,
        "{\"key\":\"header\",\"value\":{\"summary\":\"s\",\"parentCommit\":\"%.7s\"}}\n" FILE_LINE(
            "y", "1"),
        second.ptr);
    EXPECT(commit(h, lines.ptr), 200);
}

/* 24 regular files of 2 MB each as base64: 64 MB through a 32 MiB line limit, in pieces. */
static void a_large_commit_streams_through(void **state)
{
    house   *h = *state;
    snug_buf body = snug_buf_init(128 << 20);
    enum { EACH = 2 << 20 };
    char *bytes = snug_alloc(EACH);
    memset(bytes, 'a', EACH);
    snug_buf_puts(&body, HEADER);
    for (int i = 0; i < 24; i++) {
        bytes[0] = (char)('a' + i);
        snug_buf_printf(&body,
                        "{\"key\":\"file\",\"value\":{\"path\":\"big%d.txt\",\"encoding\":"
                        "\"base64\",\"content\":\"",
                        i);
        snug_base64_put(&body, snug_slice_of(bytes, EACH));
        snug_buf_puts(&body, "\"}}\n");
    }
    answer r = ask_with(h, "POST", "/api/models/alice/c/commit/main", h->alice,
                        "Content-Type: application/x-ndjson\r\n", snug_buf_slice(&body));
    snug_buf_deinit(&body);
    EXPECT(r, 200);
    r = ask_with(h, "GET", "/alice/c/resolve/main/big23.txt", NULL, "Range: bytes=0-2\r\n",
                 SNUG_EMPTY);
    expect_slice(r.body, "xaa", __LINE__);
    EXPECT_HEADER(r, "Content-Range", "bytes 0-2/2097152");
    free(bytes);
}

static void a_line_beyond_the_limit_is_refused(void **state)
{
    house *h = *state;
    h->app.commit_line_max = 1 << 20;
    SNUG_AUTO(snug_buf) body = snug_buf_init(8 << 20);
    snug_buf_puts(
        &body,
        HEADER "{\"key\":\"file\",\"value\":{\"path\":\"a\",\"encoding\":\"utf-8\",\"content\":\"");
    for (int i = 0; i < 2 << 20; i++) snug_buf_putc(&body, 'x');
    snug_buf_puts(&body, "\"}}\n");
    answer r =
        ask_with(h, "POST", "/api/models/alice/c/commit/main", h->alice, "", snug_buf_slice(&body));
    EXPECT_ERROR(r, 413, NULL,
                 "line 2 is longer than 1048576 bytes; upload large files through LFS");
}

/* ---- preupload ---- */

static void preupload_chooses_the_way(void **state)
{
    house *h = *state;
    put_file(h, "c", "same.txt", "Hello");
    put_file(h, "c", ".gitignore", "*.tmp\\n");
    answer r = post(h, "POST", "/api/models/alice/c/preupload/main", h->alice,
                    "{\"files\":[{\"path\":\"same.txt\",\"sample\":\"SGVsbG8=\",\"size\":5},"
                    "{\"path\":\"model.safetensors\",\"sample\":\"AAA=\",\"size\":2},"
                    "{\"path\":\"big.txt\",\"sample\":\"SGVsbG8=\",\"size\":20000000},"
                    "{\"path\":\"pic.xyz\",\"sample\":\"/9j/AAA=\",\"size\":100},"
                    "{\"path\":\"x.tmp\",\"sample\":\"SGVsbG8=\",\"size\":5},"
                    "{\"path\":\"empty.bin\",\"sample\":\"\",\"size\":0}]}");
    EXPECT(r, 200);
    snug_json v = json_of(h, r), files = snug_json_get(v, "files");
    static const struct {
        const char *path, *mode, *oid;
        bool        ignore;
    } want[] = {{"same.txt", "regular", "5ab2f8a4323abafb10abb68657d9d39f1a775057", false},
                {"model.safetensors", "lfs", "", false},
                {"big.txt", "lfs", "", false},
                {"pic.xyz", "lfs", "", false},
                {"x.tmp", "regular", "", true},
                {"empty.bin", "regular", "", false}};
    for (size_t i = 0; i < 6; i++) {
        snug_json f = snug_json_at(files, i);
        EXPECT_STR(f, "path", want[i].path);
        EXPECT_STR(f, "uploadMode", want[i].mode);
        EXPECT_STR(f, "oid", want[i].oid);
        assert_int_equal(snug_json_bool_or(f, "shouldIgnore", !want[i].ignore), want[i].ignore);
    }
    assert_true(snug_eq(member(v, "commitOid"), sha_of(h, "main")));
    const char *one = "{\"files\":[{\"path\":\"a\",\"sample\":\"\",\"size\":1}]}";
    EXPECT(post(h, "POST", "/api/models/alice/c/preupload/main", NULL, one), 401);
    EXPECT(post(h, "POST", "/api/models/alice/c/preupload/main", h->bob, one), 403);
    EXPECT_ERROR(post(h, "POST", "/api/models/alice/c/preupload/nope", h->alice, one), 404,
                 "RevisionNotFound", NULL);
    EXPECT(post(h, "POST", "/api/models/alice/c/preupload/main", h->alice,
                "{\"files\":[{\"path\":\"a\"}]}"),
           400);
    EXPECT(post(h, "POST", "/api/models/alice/c/preupload/main", h->alice,
                "{\"files\":[{\"path\":\"a\",\"size\":1,\"sample\":\"@\"}]}"),
           400);
    EXPECT(post(h, "POST", "/api/models/alice/c/preupload/main", h->alice, "{}"), 400);
}

static void cards_are_checked_without_an_account(void **state)
{
    house *h = *state;
    answer r = post(h, "POST", "/api/validate-yaml", NULL,
                    "{\"content\":\"---\\nlicense: mit\\n---\\n\",\"repoType\":\"model\"}");
    EXPECT(r, 200);
    assert_int_equal(snug_json_count(snug_json_get(json_of(h, r), "errors")), 0);
    r = post(h, "POST", "/api/validate-yaml", NULL,
             "{\"content\":\"no metadata\",\"repoType\":\"model\"}");
    EXPECT(r, 200);
    assert_true(snug_json_count(snug_json_get(json_of(h, r), "warnings")) > 0);
    r = post(h, "POST", "/api/validate-yaml", NULL,
             "{\"content\":\"---\\nlicense: [unclosed\\n---\\n\",\"repoType\":\"dataset\"}");
    EXPECT(r, 400);
    assert_true(member(snug_json_at(snug_json_get(json_of(h, r), "errors"), 0), "message").len > 0);
    EXPECT(post(h, "POST", "/api/validate-yaml", NULL, "{}"), 400);
}

/* ---- refs ---- */

static void branches(void **state)
{
    house      *h = *state;
    const char *path = "/api/models/alice/c/branch/feature%2Fx";
    EXPECT(post(h, "POST", path, NULL, "{}"), 401);
    EXPECT(post(h, "POST", path, h->bob, "{}"), 403);
    EXPECT(post(h, "POST", path, h->alice, "{}"), 200);
    EXPECT_ERROR(post(h, "POST", path, h->alice, "{}"), 409, NULL,
                 "Reference refs/heads/feature/x already exists");
    EXPECT(post(h, "POST", path, h->alice, "{\"overwrite\":true,\"startingPoint\":\"main\"}"), 200);
    EXPECT_ERROR(
        post(h, "POST", "/api/models/alice/c/branch/b", h->alice, "{\"startingPoint\":\"nope\"}"),
        404, "RevisionNotFound", NULL);
    answer r = post(h, "POST", "/api/models/alice/c/branch/refs%2Fpr%2F5", h->alice, "{}");
    EXPECT(r, 400);
    assert_true(snug_starts_with(header(r, "X-Error-Message"), "Invalid reference for a branch"));
    EXPECT(commit_lines(h, "/api/models/alice/c/commit/feature%2Fx", h->alice,
                        HEADER FILE_LINE("only-here.txt", "x")),
           200);
    EXPECT(get(h, "/alice/c/resolve/feature%2Fx/only-here.txt", NULL), 200);
    EXPECT(get(h, "/alice/c/resolve/feature/x/only-here.txt", NULL),
           200); /* bare, as some clients send it */
    EXPECT(get(h, "/alice/c/resolve/main/only-here.txt", NULL), 404);
    snug_json v = json_of(h, get(h, "/api/models/alice/c/refs?include_prs=1", NULL));
    snug_json list = snug_json_get(v, "branches");
    assert_int_equal(snug_json_count(list), 2);
    snug_json one =
        snug_json_at(list, snug_eq_str(member(snug_json_at(list, 0), "name"), "main") ? 1 : 0);
    EXPECT_STR(one, "name", "feature/x");
    EXPECT_STR(one, "ref", "refs/heads/feature/x");
    assert_true(snug_eq(member(one, "targetCommit"), sha_of(h, "feature%2Fx")));
    assert_true(snug_json_is(snug_json_get(v, "pullRequests"), SNUG_JSON_ARRAY));
    assert_true(snug_json_is(snug_json_get(v, "converts"), SNUG_JSON_ARRAY));
    EXPECT(post(h, "DELETE", path, h->bob, ""), 403);
    EXPECT(post(h, "DELETE", path, h->alice, ""), 200);
    r = post(h, "DELETE", path, h->alice, "");
    EXPECT(r, 404);
    assert_true(snug_starts_with(header(r, "X-Error-Message"), "Invalid rev id"));
    r = post(h, "DELETE", "/api/models/alice/c/branch/main", h->alice, "");
    EXPECT(r, 400);
    assert_true(snug_starts_with(header(r, "X-Error-Message"), "Cannot delete refs/heads/main"));
}

static void tags(void **state)
{
    house      *h = *state;
    const char *path = "/api/models/alice/c/tag/main";
    EXPECT(post(h, "POST", path, h->bob, "{\"tag\":\"v1\"}"), 403);
    EXPECT(post(h, "POST", path, h->alice, "{}"), 400);
    EXPECT(post(h, "POST", path, h->alice, "{\"tag\":\"v1\",\"message\":\"first\"}"), 200);
    EXPECT(post(h, "POST", path, h->alice, "{\"tag\":\"v1\"}"), 409);
    EXPECT(post(h, "POST", path, h->alice, "{\"tag\":\"bad..name\"}"), 400);
    EXPECT_ERROR(post(h, "POST", "/api/models/alice/c/tag/nope", h->alice, "{\"tag\":\"v2\"}"), 404,
                 "RevisionNotFound", NULL);
    snug_json v = json_of(h, get(h, "/api/models/alice/c/refs", NULL));
    EXPECT_STR(snug_json_at(snug_json_get(v, "tags"), 0), "ref", "refs/tags/v1");
    assert_true(snug_eq(member(snug_json_at(snug_json_get(v, "tags"), 0), "targetCommit"),
                        sha_of(h, "main")));
    assert_true(snug_json_is(snug_json_get(v, "pullRequests"), SNUG_JSON_ABSENT));
    assert_true(snug_eq(sha_of(h, "v1"), sha_of(h, "main")));
    EXPECT(post(h, "DELETE", "/api/models/alice/c/tag/v1", h->alice, ""), 200);
    EXPECT_ERROR(post(h, "DELETE", "/api/models/alice/c/tag/v1", h->alice, ""), 404,
                 "RevisionNotFound", NULL);
}

static void history_pages_and_counts(void **state)
{
    house *h = *state;
    for (int i = 0; i < 4; i++)
        put_file(h, "c", "n.txt", i == 0 ? "0" : i == 1 ? "1" : i == 2 ? "2" : "3");
    EXPECT(commit(h, "{\"key\":\"header\",\"value\":{\"summary\":\"Say "
                     "<hi>\",\"description\":\"Long & wide\"}}\n" FILE_LINE("z", "z")),
           200);
    answer r = get(h, "/api/models/alice/c/commits/main?limit=2&expand%5B%5D=formatted", NULL);
    EXPECT(r, 200);
    EXPECT_HEADER(r, "X-Total-Count", "6");
    snug_json v = json_of(h, r), top = snug_json_at(v, 0);
    assert_int_equal(snug_json_count(v), 2);
    EXPECT_STR(top, "title", "Say <hi>");
    EXPECT_STR(top, "message", "Long & wide");
    EXPECT_STR(snug_json_get(top, "formatted"), "title", "Say &lt;hi&gt;");
    EXPECT_STR(snug_json_get(top, "formatted"), "message", "Long &amp; wide");
    EXPECT_STR(snug_json_at(snug_json_get(top, "authors"), 0), "user", "alice");
    assert_true(snug_eq(member(top, "id"), sha_of(h, "main")));
    EXPECT_HEADER(r, "Link",
                  snug_arena_printf(h->a,
                                    "<http://127.0.0.1:%u/api/models/alice/c/commits/"
                                    "main?limit=2&expand%%5B%%5D=formatted&p=1>; rel=\"next\"",
                                    h->port)
                      .ptr);
    r = get(h, "/api/models/alice/c/commits/main?limit=2&p=2", NULL);
    v = json_of(h, r);
    assert_int_equal(snug_json_count(v), 2);
    EXPECT_STR(snug_json_at(v, 1), "title", "initial commit");
    assert_null(header(r, "Link").ptr);
    EXPECT_ERROR(get(h, "/api/models/alice/c/commits/nope", NULL), 404, "RevisionNotFound", NULL);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, up, house_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(every_operation),
        T(refusals_change_nothing),
        T(parents_guard_against_stale_views),
        T(a_large_commit_streams_through),
        T(a_line_beyond_the_limit_is_refused),
        T(preupload_chooses_the_way),
        T(cards_are_checked_without_an_account),
        T(branches),
        T(tags),
        T(history_pages_and_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
