/* SPDX-License-Identifier: Apache-2.0 */
/* tests/api/test_files.c - tree, paths-info, resolve and raw. */
#include "house.h"

#define HEADER "{\"key\":\"header\",\"value\":{\"summary\":\"s\",\"description\":\"\"}}\n"

/* alice/f: README.md, "a b?.txt", dir/one.txt, dir/sub/two.txt, empty. */
static void fill(house *h)
{
    make_repo(h, h->alice, "{\"name\":\"f\"}");
    EXPECT(commit_lines(h, "/api/models/alice/f/commit/main", h->alice,
                        HEADER "{\"key\":\"file\",\"value\":{\"path\":\"README.md\",\"content\":"
                               "\"Hello\",\"encoding\":\"utf-8\"}}\n"
                               "{\"key\":\"file\",\"value\":{\"path\":\"a "
                               "b?.txt\",\"content\":\"odd\",\"encoding\":\"utf-8\"}}\n"
                               "{\"key\":\"file\",\"value\":{\"path\":\"dir/"
                               "one.txt\",\"content\":\"one\",\"encoding\":\"utf-8\"}}\n"
                               "{\"key\":\"file\",\"value\":{\"path\":\"empty\",\"content\":\"\","
                               "\"encoding\":\"utf-8\"}}\n"
                               "{\"key\":\"file\",\"value\":{\"path\":\"page.html\",\"content\":\"<"
                               "script>1</script>\",\"encoding\":\"utf-8\"}}\n"),
           200);
    EXPECT(commit_lines(
               h, "/api/models/alice/f/commit/main", h->alice,
               "{\"key\":\"header\",\"value\":{\"summary\":\"second\",\"description\":\"\"}}\n"
               "{\"key\":\"file\",\"value\":{\"path\":\"dir/sub/"
               "two.txt\",\"content\":\"two\",\"encoding\":\"utf-8\"}}\n"),
           200);
}

static int up(void **state)
{
    if (house_up(state) != 0) return -1;
    fill(*state);
    return 0;
}

/* Paths of a listing, joined. */
static const char *paths_of(house *h, answer r)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init(1 << 20);
    EXPECT(r, 200);
    for (snug_json_iter it = snug_json_iter_of(json_of(h, r)); snug_json_next(&it);) {
        snug_slice path = member(it.value, "path");
        snug_buf_printf(&b, "%s%.*s%s", b.len > 0 ? " " : "", SNUG_SLICE(path),
                        snug_eq_str(member(it.value, "type"), "directory") ? "/" : "");
    }
    return snug_arena_cstr(h->a, snug_buf_slice(&b));
}

static void tree_lists_one_level_or_all(void **state)
{
    house *h = *state;
    assert_string_equal(paths_of(h, get(h, "/api/models/alice/f/tree/main", NULL)),
                        ".gitattributes README.md a b?.txt dir/ empty page.html");
    assert_string_equal(
        paths_of(h, get(h, "/api/models/alice/f/tree/main?recursive=true&expand=false", NULL)),
        ".gitattributes README.md a b?.txt dir/ dir/one.txt dir/sub/ dir/sub/two.txt empty "
        "page.html");
    /* The folder bare and escaped, the revision bare and escaped. */
    static const char *const same[] = {"main/dir/sub", "main/dir%2Fsub",
                                       "refs%2Fheads%2Fmain/dir%2Fsub", "refs/heads/main/dir/sub",
                                       "HEAD/dir/sub/"};
    for (size_t i = 0; i < 5; i++) {
        snug_slice target = snug_arena_printf(h->a, "/api/models/alice/f/tree/%s", same[i]);
        assert_string_equal(paths_of(h, get(h, target.ptr, NULL)), "dir/sub/two.txt");
    }
}

static void tree_entries_have_what_clients_read(void **state)
{
    house    *h = *state;
    snug_json list =
        json_of(h, get(h, "/api/models/alice/f/tree/main?expand=true&recursive=true", NULL));
    snug_json readme = snug_json_at(list, 1), dir = snug_json_at(list, 3),
              two = snug_json_at(list, 6);
    EXPECT_STR(readme, "type", "file");
    EXPECT_STR(readme, "oid", "5ab2f8a4323abafb10abb68657d9d39f1a775057"); /* git's id of "Hello" */
    assert_int_equal(snug_json_i64_or(readme, "size", -1), 5);
    EXPECT_STR(snug_json_get(readme, "lastCommit"), "title", "s");
    assert_int_equal(member(snug_json_get(readme, "lastCommit"), "id").len, 40);
    assert_int_equal(member(snug_json_get(readme, "lastCommit"), "date").len, 24);
    EXPECT_STR(dir, "type", "directory");
    assert_int_equal(snug_json_i64_or(dir, "size", -1), 0);
    EXPECT_STR(snug_json_get(dir, "lastCommit"), "title", "second");
    EXPECT_STR(snug_json_get(two, "lastCommit"), "title", "second");
}

static void tree_pages_by_link(void **state)
{
    house     *h = *state;
    snug_slice target =
        SNUG_LIT("/api/models/alice/f/tree/main?recursive=true&expand=false&limit=2");
    SNUG_AUTO(snug_buf) seen = snug_buf_init(1 << 20);
    int        pages = 0;
    snug_slice base = snug_arena_printf(h->a, "<http://127.0.0.1:%u", h->port);
    while (target.len > 0) {
        answer r = get(h, snug_arena_cstr(h->a, target), NULL);
        snug_buf_printf(&seen, "%s ", paths_of(h, r));
        if (pages++ == 1) /* a commit between the pages changes nothing: they speak of one moment */
            put_file(h, "f", "aaa.txt", "x");
        snug_slice link = header(r, "Link");
        if (link.len == 0) break;
        assert_true(snug_starts_with(link, base.ptr));
        assert_true(snug_ends_with(link, ">; rel=\"next\""));
        target = snug_sub(link, base.len, link.len - base.len - strlen(">; rel=\"next\""));
        assert_true(snug_find(target, SNUG_LIT("recursive=true")) != SIZE_MAX);
    }
    assert_int_equal(pages, 5);
    assert_string_equal(snug_buf_cstr(&seen), ".gitattributes README.md a b?.txt dir/ dir/one.txt "
                                              "dir/sub/ dir/sub/two.txt empty page.html ");
}

static void tree_says_what_is_missing(void **state)
{
    house *h = *state;
    EXPECT_ERROR(get(h, "/api/models/alice/f/tree/nope", NULL), 404, "RevisionNotFound", NULL);
    EXPECT_ERROR(get(h, "/api/models/alice/f/tree/main/nope", NULL), 404, "EntryNotFound", NULL);
    EXPECT_ERROR(get(h, "/api/models/alice/f/tree/main/README.md", NULL), 404, "EntryNotFound",
                 NULL);
    EXPECT_ERROR(get(h, "/api/models/alice/none/tree/main", h->alice), 404, "RepoNotFound", NULL);
    EXPECT(get(h, "/api/models/alice/f/tree/main?limit=x", NULL), 400);
    EXPECT(get(h, "/api/models/alice/f/tree/main?cursor=x", NULL), 400);
}

static void paths_info_by_form_and_by_json(void **state)
{
    house *h = *state;
    answer r = ask_with(
        h, "POST", "/api/models/alice/f/paths-info/main", NULL,
        "Content-Type: application/x-www-form-urlencoded\r\n",
        SNUG_LIT("paths=dir%2Fone.txt&paths=nope&paths=dir&paths=a+b%3F.txt&expand=false"));
    assert_string_equal(paths_of(h, r), "dir/one.txt dir/ a b?.txt");
    assert_true(snug_json_is(snug_json_get(snug_json_at(json_of(h, r), 0), "lastCommit"),
                             SNUG_JSON_ABSENT));
    r = post(h, "POST", "/api/models/alice/f/paths-info/refs%2Fheads%2Fmain", NULL,
             "{\"paths\":[\"dir/\",\"README.md\"],\"expand\":true}");
    assert_string_equal(paths_of(h, r), "dir/ README.md");
    EXPECT_STR(snug_json_get(snug_json_at(json_of(h, r), 0), "lastCommit"), "title", "second");
    EXPECT_ERROR(post(h, "POST", "/api/models/alice/f/paths-info/nope", NULL, "{\"paths\":[]}"),
                 404, "RevisionNotFound", NULL);
    EXPECT(post(h, "POST", "/api/models/alice/f/paths-info/main", NULL, "{\"paths\":7}"), 400);
    EXPECT(post(h, "POST", "/api/models/alice/f/paths-info/main", NULL, "{\"paths\":[7]}"), 400);

    /* Five hundred at once, as Python sends them. */
    SNUG_AUTO(snug_buf) body = snug_buf_init(1 << 20);
    for (int i = 0; i < 499; i++) snug_buf_printf(&body, "paths=no%d&", i);
    snug_buf_puts(&body, "paths=empty&expand=False");
    r = ask_with(h, "POST", "/api/models/alice/f/paths-info/main", NULL,
                 "Content-Type: application/x-www-form-urlencoded\r\n", snug_buf_slice(&body));
    assert_string_equal(paths_of(h, r), "empty");
    for (int i = 0; i < 600; i++) snug_buf_puts(&body, "&paths=x");
    EXPECT(ask_with(h, "POST", "/api/models/alice/f/paths-info/main", NULL,
                    "Content-Type: application/x-www-form-urlencoded\r\n", snug_buf_slice(&body)),
           400);
}

static void resolve_gives_bytes_and_the_headers_clients_need(void **state)
{
    house     *h = *state;
    snug_slice sha = member(json_of(h, get(h, "/api/models/alice/f", NULL)), "sha");
    answer     r = get(h, "/alice/f/resolve/main/README.md", NULL);
    EXPECT(r, 200);
    expect_slice(r.body, "Hello", __LINE__);
    EXPECT_HEADER(r, "X-Repo-Commit", snug_arena_cstr(h->a, sha));
    EXPECT_HEADER(r, "ETag", "\"5ab2f8a4323abafb10abb68657d9d39f1a775057\"");
    EXPECT_HEADER(r, "Accept-Ranges", "bytes");
    EXPECT_HEADER(r, "Content-Length", "5");
    EXPECT_HEADER(r, "Content-Disposition",
                  "inline; filename*=UTF-8''README.md; filename=\"README.md\";");
    r = head_of(h, "/alice/f/resolve/main/README.md", NULL);
    EXPECT(r, 200);
    assert_int_equal(r.body.len, 0);
    EXPECT_HEADER(r, "Content-Length", "5");
    EXPECT_HEADER(r, "ETag", "\"5ab2f8a4323abafb10abb68657d9d39f1a775057\"");
    static const char *const same[] = {"main/a%20b%3F.txt", "refs%2Fheads%2Fmain/a%20b%3F.txt",
                                       "refs/heads/main/a%20b%3F.txt"};
    for (size_t i = 0; i < 3; i++) {
        snug_slice target = snug_arena_printf(h->a, "/alice/f/resolve/%s?download=true", same[i]);
        r = get(h, target.ptr, NULL);
        expect_slice(r.body, "odd", __LINE__);
        EXPECT_HEADER(r, "Content-Disposition",
                      "attachment; filename*=UTF-8''a%20b%3F.txt; filename=\"a b?.txt\";");
    }
    snug_slice target = snug_arena_printf(
        h->a, "/alice/f/resolve/%.*s/dir/one.txt?noContentDisposition=1", SNUG_SLICE(sha));
    r = get(h, target.ptr, NULL);
    expect_slice(r.body, "one", __LINE__);
    assert_null(header(r, "Content-Disposition").ptr);
    target =
        snug_arena_printf(h->a, "/alice/f/resolve/%.*s/dir/one.txt", 7, sha.ptr); /* short id */
    EXPECT(get(h, target.ptr, NULL), 200);
}

static void resolve_answers_ranges_and_conditions(void **state)
{
    house      *h = *state;
    const char *file = "/alice/f/resolve/main/README.md";
    answer      r = ask_with(h, "GET", file, NULL, "Range: bytes=1-3\r\n", SNUG_EMPTY);
    EXPECT(r, 206);
    expect_slice(r.body, "ell", __LINE__);
    EXPECT_HEADER(r, "Content-Range", "bytes 1-3/5");
    r = ask_with(h, "GET", file, NULL, "Range: bytes=3-\r\n", SNUG_EMPTY);
    expect_slice(r.body, "lo", __LINE__);
    r = ask_with(h, "GET", file, NULL, "Range: bytes=5-\r\n", SNUG_EMPTY);
    EXPECT(r, 416);
    EXPECT_HEADER(r, "Content-Range", "bytes */5");
    r = ask_with(h, "GET", file, NULL,
                 "If-None-Match: \"5ab2f8a4323abafb10abb68657d9d39f1a775057\"\r\n", SNUG_EMPTY);
    EXPECT(r, 304);
    assert_int_equal(r.body.len, 0);
    assert_int_equal(header(r, "X-Repo-Commit").len, 40);
    /* No standard answer to a range of nothing satisfies all clients; this one does. */
    r = ask_with(h, "GET", "/alice/f/resolve/main/empty", NULL, "Range: bytes=0-0\r\n", SNUG_EMPTY);
    EXPECT(r, 200);
    EXPECT_HEADER(r, "Content-Range", "bytes */0");
    EXPECT_HEADER(r, "Content-Length", "0");
}

static void resolve_says_which_layer_is_missing(void **state)
{
    house *h = *state;
    answer r = head_of(h, "/alice/f/resolve/main/optional.json", NULL);
    EXPECT_ERROR(r, 404, "EntryNotFound", NULL);
    assert_int_equal(header(r, "X-Repo-Commit").len,
                     40); /* so that clients may remember the absence */
    assert_true(header(r, "X-Error-Message").len > 0);
    EXPECT_ERROR(get(h, "/alice/f/resolve/main/dir", NULL), 404, "EntryNotFound", NULL);
    EXPECT_ERROR(get(h, "/alice/f/resolve/nope/README.md", NULL), 404, "RevisionNotFound", NULL);
    EXPECT_ERROR(get(h, "/alice/none/resolve/main/README.md", NULL), 401, "RepoNotFound", NULL);
    EXPECT_ERROR(get(h, "/alice/none/resolve/main/README.md", h->bob), 404, "RepoNotFound", NULL);
    EXPECT_ERROR(get(h, "/datasets/alice/f/resolve/main/README.md", h->bob), 404, "RepoNotFound",
                 NULL);
}

static void what_users_upload_runs_nothing(void **state)
{
    house *h = *state;
    answer r = get(h, "/alice/f/resolve/main/page.html", NULL);
    EXPECT_HEADER(r, "Content-Type", "text/plain; charset=utf-8");
    EXPECT_HEADER(r, "X-Content-Type-Options", "nosniff");
    EXPECT_HEADER(r, "Content-Security-Policy", "default-src 'none'; sandbox");
    r = get(h, "/alice/f/resolve/main/empty", NULL);
    EXPECT_HEADER(r, "Content-Type", "application/octet-stream");
}

static void raw_is_what_git_has(void **state)
{
    house *h = *state;
    answer r = get(h, "/alice/f/raw/main/page.html", NULL);
    EXPECT(r, 200);
    expect_slice(r.body, "<script>1</script>", __LINE__);
    EXPECT_HEADER(r, "Content-Type", "text/plain; charset=utf-8");
    EXPECT(head_of(h, "/alice/f/raw/main/README.md", NULL), 200);
    EXPECT(head_of(h, "/alice/f/raw/main/nope", NULL), 404);
}

static void private_bytes_stay_out_of_shared_caches(void **state)
{
    house *h = *state;
    EXPECT_HEADER(get(h, "/alice/f/resolve/main/README.md", NULL), "Cache-Control",
                  "public, max-age=0, must-revalidate");
    EXPECT(post(h, "PUT", "/api/models/alice/f/settings", h->alice, "{\"private\":true}"), 200);
    EXPECT(get(h, "/alice/f/resolve/main/README.md", NULL), 401);
    EXPECT(get(h, "/alice/f/resolve/main/README.md", h->bob), 404);
    EXPECT_HEADER(get(h, "/alice/f/resolve/main/README.md", h->reader), "Cache-Control",
                  "private, no-cache");
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, up, house_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(tree_lists_one_level_or_all),
        T(tree_entries_have_what_clients_read),
        T(tree_pages_by_link),
        T(tree_says_what_is_missing),
        T(paths_info_by_form_and_by_json),
        T(resolve_gives_bytes_and_the_headers_clients_need),
        T(resolve_answers_ranges_and_conditions),
        T(resolve_says_which_layer_is_missing),
        T(what_users_upload_runs_nothing),
        T(raw_is_what_git_has),
        T(private_bytes_stay_out_of_shared_caches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
