/* SPDX-License-Identifier: Apache-2.0 */
/* tests/api/test_lfs.c - large objects: batch, signed addresses, parts, verify, download. */
#include "house.h"

static const char hello_oid[] = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
#define LFS "Content-Type: application/vnd.git-lfs+json\r\nAccept: application/vnd.git-lfs+json\r\n"
#define HELLO                                                                                      \
    "{\"oid\":\"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\",\"size\":5}"

static int up(void **state)
{
    if (house_up(state) != 0) return -1;
    make_repo(*state, ((house *)*state)->alice, "{\"name\":\"l\"}");
    return 0;
}

static answer batch(house *h, const char *repo, const char *token, const char *body)
{
    snug_slice target = snug_arena_printf(h->a, "/%s.git/info/lfs/objects/batch", repo);
    return ask_with(h, "POST", target.ptr, token, LFS, snug_str(body));
}

/* The path and query of one of our absolute addresses. */
static const char *target_of(house *h, snug_slice href)
{
    snug_slice base = snug_arena_printf(h->a, "http://127.0.0.1:%u", h->port);
    if (!snug_starts_with(href, base.ptr))
        fail_msg("\"%.*s\" is not on this host", SNUG_SLICE(href));
    return snug_arena_cstr(h->a, snug_sub(href, base.len, href.len));
}

static snug_json first_object(house *h, answer r)
{
    EXPECT(r, 200);
    EXPECT_HEADER(r, "Content-Type", "application/vnd.git-lfs+json");
    return snug_json_at(snug_json_get(json_of(h, r), "objects"), 0);
}

static snug_json action(snug_json object, const char *name)
{
    return snug_json_get(snug_json_get(object, "actions"), name);
}

static const char *upload_target(house *h, const char *repo, const char *token, const char *object)
{
    snug_slice body = snug_arena_printf(h->a,
                                        "{\"operation\":\"upload\",\"transfers\":[\"basic\","
                                        "\"multipart\"],\"hash_algo\":\"sha256\",\"objects\":[%s]}",
                                        object);
    return target_of(
        h, member(action(first_object(h, batch(h, repo, token, body.ptr)), "upload"), "href"));
}

static void put_hello(house *h)
{
    EXPECT(ask_with(h, "PUT", upload_target(h, "alice/l", h->alice, HELLO), NULL, "",
                    SNUG_LIT("hello")),
           200);
}

static answer commit_pointer(house *h, const char *target, const char *token, const char *size)
{
    snug_slice lines = snug_arena_printf(
        h->a,
        "{\"key\":\"header\",\"value\":{\"summary\":\"s\",\"description\":\"\"}}\n"
        "{\"key\":\"lfsFile\",\"value\":{\"path\":\"m.bin\",\"algo\":\"sha256\",\"oid\":\"%s\"%s}}"
        "\n",
        hello_oid, size);
    return commit_lines(h, target, token, lines.ptr);
}

static void an_object_travels_there_and_back(void **state)
{
    house    *h = *state;
    answer    r = batch(h, "alice/l", h->alice,
                        "{\"operation\":\"upload\",\"hash_algo\":\"sha_256\",\"ref\":{\"name\":"
                           "\"main\"},\"objects\":[" HELLO "]}");
    snug_json object = first_object(h, r);
    EXPECT_STR(object, "oid", hello_oid);
    assert_int_equal(snug_json_i64_or(object, "size", -1), 5);
    assert_true(snug_json_is(snug_json_get(action(object, "upload"), "header"),
                             SNUG_JSON_ABSENT)); /* never null */
    const char *to = target_of(h, member(action(object, "upload"), "href"));
    const char *verify = target_of(h, member(action(object, "verify"), "href"));

    EXPECT_ERROR(ask_with(h, "POST", verify, h->alice, LFS, SNUG_LIT(HELLO)), 404, NULL, NULL);
    EXPECT(ask_with(h, "PUT", to, NULL, "", SNUG_LIT("hello")), 200); /* no credentials */
    EXPECT(ask_with(h, "PUT", to, NULL, "", SNUG_LIT("hello")), 200); /* again is fine */
    EXPECT(ask_with(h, "POST", verify, h->alice, LFS, SNUG_LIT(HELLO)), 200);
    EXPECT(ask_with(
               h, "POST", verify, h->alice, LFS,
               SNUG_LIT(
                   "{\"oid\":\"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\","
                   "\"size\":6}")),
           422);

    /* Present now: no actions at all. */
    object = first_object(
        h, batch(h, "alice/l", h->alice, "{\"operation\":\"upload\",\"objects\":[" HELLO "]}"));
    assert_true(snug_json_is(snug_json_get(object, "actions"), SNUG_JSON_ABSENT));

    EXPECT(commit_pointer(h, "/api/models/alice/l/commit/main", h->alice, ""),
           200); /* without a size, as copies are sent */
    r = get(h, "/alice/l/resolve/main/m.bin", NULL);
    expect_slice(r.body, "hello", __LINE__);
    EXPECT_HEADER(r, "ETag",
                  "\"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\"");
    EXPECT_HEADER(r, "X-Linked-Etag",
                  "\"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\"");
    EXPECT_HEADER(r, "X-Linked-Size", "5");
    r = ask_with(h, "GET", "/alice/l/resolve/main/m.bin", NULL, "Range: bytes=1-2\r\n", SNUG_EMPTY);
    EXPECT(r, 206);
    expect_slice(r.body, "el", __LINE__);
    r = head_of(h, "/alice/l/resolve/main/m.bin", NULL);
    EXPECT_HEADER(r, "Content-Length", "5");
    r = get(h, "/alice/l/raw/main/m.bin", NULL);
    assert_true(
        snug_starts_with(r.body, "version https://git-lfs.github.com/spec/v1\noid sha256:2cf24d"));

    snug_json entry = snug_json_at(json_of(h, get(h, "/api/models/alice/l/tree/main", NULL)), 1),
              lfs = snug_json_get(entry, "lfs");
    EXPECT_STR(entry, "path", "m.bin");
    assert_int_equal(snug_json_i64_or(entry, "size", -1), 5);
    EXPECT_STR(lfs, "oid", hello_oid);
    assert_int_equal(snug_json_i64_or(lfs, "size", -1), 5);
    assert_int_equal(snug_json_i64_or(lfs, "pointerSize", -1), 126);

    object = first_object(
        h, batch(h, "alice/l", NULL, "{\"operation\":\"download\",\"objects\":[" HELLO "]}"));
    r = ask_with(h, "GET", target_of(h, member(action(object, "download"), "href")), NULL,
                 "Range: bytes=3-4\r\n", SNUG_EMPTY);
    EXPECT(r, 206);
    expect_slice(r.body, "lo", __LINE__);
}

static void false_bytes_are_refused_and_leave_nothing(void **state)
{
    house      *h = *state;
    const char *to = upload_target(h, "alice/l", h->alice, HELLO);
    EXPECT_ERROR(ask_with(h, "PUT", to, NULL, "", SNUG_LIT("jello")), 422, NULL, NULL);
    EXPECT(ask_with(h, "PUT", to, NULL, "", SNUG_LIT("hell")), 422);
    EXPECT(ask_with(h, "PUT", to, NULL, "", SNUG_LIT("hello!")), 422);
    EXPECT(ask_with(h, "PUT", to, NULL, "Transfer-Encoding: chunked\r\n\r\n6\r\nhello!\r\n0\r\n",
                    SNUG_EMPTY),
           422);
    blob_id id;
    assert_true(blob_id_parse(snug_str(hello_oid), &id));
    assert_false(blob_exists(hub_blobs(h->hub), &id, NULL));
    answer r = commit_pointer(h, "/api/models/alice/l/commit/main", h->alice, ",\"size\":5");
    EXPECT(r, 400);
}

static void addresses_hold_for_one_thing_and_not_for_ever(void **state)
{
    house      *h = *state;
    const char *to = upload_target(h, "alice/l", h->alice, HELLO);
    /* Any change of any part: the path, the size, the time, the signature. */
    SNUG_AUTO(snug_buf) b = snug_buf_init(4096);
    snug_slice t = snug_str(to);
    size_t     at = snug_find(t, SNUG_LIT("size=5"));
    snug_buf_printf(&b, "%.*ssize=6%s", (int)at, to, to + at + 6);
    EXPECT_ERROR(ask_with(h, "PUT", snug_buf_cstr(&b), NULL, "", SNUG_LIT("hello!")), 403, NULL,
                 "This address is not valid or has expired; ask for a new one");
    at = snug_find(t, SNUG_LIT("expires="));
    snug_buf_clear(&b);
    snug_buf_printf(&b, "%.*sexpires=9%s", (int)at, to, to + at + 8);
    EXPECT(ask_with(h, "PUT", snug_buf_cstr(&b), NULL, "", SNUG_LIT("hello")), 403);
    snug_buf_clear(&b);
    snug_buf_printf(&b, "%.*s", (int)t.len - 1, to);
    EXPECT(ask_with(h, "PUT", snug_buf_cstr(&b), NULL, "", SNUG_LIT("hello")), 403);
    snug_buf_clear(&b);
    at = snug_find(t, SNUG_LIT("/put/"));
    snug_buf_printf(&b, "%.*s/get/%s", (int)at, to, to + at + 5);
    EXPECT(get(h, snug_buf_cstr(&b), NULL), 403);
    EXPECT(ask_with(h, "PUT", "/api/lfs/put/1/zz?size=5&expires=1&sig=00", NULL, "",
                    SNUG_LIT("hello")),
           403);
    EXPECT(ask_with(h, "PUT", to, NULL, "", SNUG_LIT("hello")), 200);
}

static void batch_says_no_in_the_words_of_git_lfs(void **state)
{
    house            *h = *state;
    static const char up_body[] = "{\"operation\":\"upload\",\"objects\":[" HELLO "]}";
    answer            r = batch(h, "alice/l", NULL, up_body);
    EXPECT(r, 401);
    EXPECT_HEADER(r, "LFS-Authenticate", "Basic realm=\"Git LFS\"");
    EXPECT_HEADER(r, "Content-Type", "application/vnd.git-lfs+json");
    assert_true(member(json_of(h, r), "message").len > 0);
    static const char to_main[] =
        "{\"operation\":\"upload\",\"ref\":{\"name\":\"main\"},\"objects\":[" HELLO "]}";
    EXPECT(batch(h, "alice/l", h->bob, to_main), 403);
    EXPECT(batch(h, "alice/l", h->bob, up_body), 200); /* for a pull request of his own */
    EXPECT(batch(h, "alice/l", h->reader, up_body), 403);
    EXPECT_ERROR(batch(h, "alice/none", h->alice, up_body), 404, "RepoNotFound", NULL);
    EXPECT(batch(h, "alice/l", h->alice, "{\"operation\":\"dance\",\"objects\":[]}"), 422);
    EXPECT(batch(h, "alice/l", h->alice, "{\"operation\":\"upload\",\"objects\":{}}"), 422);
    EXPECT(batch(h, "alice/l", h->alice,
                 "{\"operation\":\"upload\",\"hash_algo\":\"md5\",\"objects\":[]}"),
           409);
    EXPECT(batch(h, "alice/l", h->alice, "nonsense"), 400);
    snug_json object = first_object(
        h, batch(h, "alice/l", h->alice,
                 "{\"operation\":\"upload\",\"objects\":[{\"oid\":\"XYZ\",\"size\":5}]}"));
    assert_int_equal(snug_json_i64_or(snug_json_get(object, "error"), "code", 0), 422);
    object = first_object(
        h,
        batch(
            h, "alice/l", h->alice,
            "{\"operation\":\"upload\",\"objects\":[{\"oid\":"
            "\"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\",\"size\":-1}]}"));
    assert_int_equal(snug_json_i64_or(snug_json_get(object, "error"), "code", 0), 422);
    object = first_object(
        h, batch(h, "alice/l", NULL, "{\"operation\":\"download\",\"objects\":[" HELLO "]}"));
    assert_int_equal(snug_json_i64_or(snug_json_get(object, "error"), "code", 0), 404);
}

/* Another repository must not learn from us what is stored, nor read it by its hash. */
static void objects_belong_to_repositories(void **state)
{
    house *h = *state;
    EXPECT(post(h, "PUT", "/api/models/alice/l/settings", h->alice, "{\"private\":true}"), 200);
    put_hello(h);
    make_repo(h, h->bob, "{\"name\":\"thief\"}");
    snug_json object = first_object(
        h, batch(h, "bob/thief", h->bob, "{\"operation\":\"upload\",\"objects\":[" HELLO "]}"));
    assert_true(snug_json_is(action(object, "upload"), SNUG_JSON_OBJECT)); /* as if it were new */
    object = first_object(
        h, batch(h, "bob/thief", h->bob, "{\"operation\":\"download\",\"objects\":[" HELLO "]}"));
    assert_int_equal(snug_json_i64_or(snug_json_get(object, "error"), "code", 0), 404);
    answer r = commit_pointer(h, "/api/models/bob/thief/commit/main", h->bob, ",\"size\":5");
    EXPECT(r, 400);
    assert_true(snug_find(r.body, SNUG_LIT("LFS pointer pointed to a file that does not exist")) !=
                SIZE_MAX);
    /* Whoever has the bytes may put them in. */
    EXPECT(ask_with(h, "PUT", upload_target(h, "bob/thief", h->bob, HELLO), NULL, "",
                    SNUG_LIT("hello")),
           200);
    EXPECT(commit_pointer(h, "/api/models/bob/thief/commit/main", h->bob, ",\"size\":5"), 200);
}

static void large_objects_go_in_parts(void **state)
{
    house   *h = *state;
    snug_err err = {0};
    enum { PART = 1 << 20, SIZE = 2 * PART + 1234 };
    unsigned char *bytes = snug_arena_alloc(h->a, SIZE);
    snug_random(bytes, SIZE);
    char        oid[65];
    snug_sha256 hash = snug_sha256_of(snug_slice_of(bytes, SIZE));
    snug_hex(hash.b, sizeof hash.b, oid);
    h->app.lfs_multipart_min = PART;
    h->app.lfs_part_size = PART;
    snug_slice body =
        snug_arena_printf(h->a,
                          "{\"operation\":\"upload\",\"transfers\":[\"basic\",\"multipart\"],"
                          "\"objects\":[{\"oid\":\"%s\",\"size\":%d}," HELLO "]}",
                          oid, SIZE);
    answer    r = batch(h, "alice/l", h->alice, body.ptr);
    snug_json object = first_object(h, r),
              header_of = snug_json_get(action(object, "upload"), "header");
    EXPECT_STR(json_of(h, r), "transfer", "multipart");
    EXPECT_STR(header_of, "chunk_size", "1048576");
    assert_int_equal(snug_json_count(header_of), 4); /* chunk_size and three parts, nothing else */
    const char *done = target_of(h, member(action(object, "upload"), "href"));
    /* The small one of the same batch goes in one piece. */
    snug_json small = snug_json_at(snug_json_get(json_of(h, r), "objects"), 1);
    assert_true(snug_json_is(snug_json_get(action(small, "upload"), "header"), SNUG_JSON_ABSENT));

    static const struct {
        const char *key;
        size_t      off, size;
    } parts[] = {{"00003", 2 * PART, 1234}, {"00001", 0, PART}, {"00002", PART, PART}};
    static const char all[] =
        "{\"oid\":\"x\",\"parts\":[{\"partNumber\":1,\"etag\":\"a\"},{\"partNumber\":2,\"etag\":"
        "\"b\"},{\"partNumber\":3,\"etag\":\"c\"}]}";
    for (int i = 0; i < 3; i++) {
        const char *to = target_of(h, member(header_of, parts[i].key));
        EXPECT(ask_with(h, "PUT", to, NULL, "", snug_slice_of(bytes, parts[i].size - 1)), 422);
        r = ask_with(h, "PUT", to, NULL, "", snug_slice_of(bytes + parts[i].off, parts[i].size));
        EXPECT(r, 200);
        assert_int_equal(header(r, "ETag").len, 66);
        if (i < 2) EXPECT(post(h, "POST", done, NULL, all), 400); /* a part is missing */
    }
    EXPECT(post(h, "POST", done, NULL, "{\"parts\":[]}"), 400);
    EXPECT(post(h, "POST", done, NULL, all), 200);
    EXPECT(post(h, "POST", done, NULL, all), 200); /* said twice */
    blob_id id = {hash};
    must(blob_verify(hub_blobs(h->hub), &id, &err), &err);
    object = first_object(h, batch(h, "alice/l", h->alice, body.ptr));
    assert_true(snug_json_is(snug_json_get(object, "actions"), SNUG_JSON_ABSENT));

    /* git's agent cannot mix: everything in parts, or nothing. */
    body = snug_arena_printf(h->a,
                             "{\"operation\":\"upload\",\"transfers\":[\"multipart\"],\"objects\":["
                             "{\"oid\":\"%064d\",\"size\":%d}," HELLO "]}",
                             7, SIZE);
    r = ask_with(h, "POST", "/alice/l.git/info/lfs/objects/batch", h->alice,
                 LFS "User-Agent: git-lfs/3.3.0 (GitHub)\r\n", body);
    small = snug_json_at(snug_json_get(json_of(h, r), "objects"), 1);
    assert_int_equal(snug_json_count(snug_json_get(action(small, "upload"), "header")), 2);
}

static void datasets_have_their_own_addresses(void **state)
{
    house *h = *state;
    make_repo(h, h->alice, "{\"name\":\"d\",\"type\":\"dataset\"}");
    const char *to = upload_target(h, "datasets/alice/d", h->alice, HELLO);
    EXPECT(ask_with(h, "PUT", to, NULL, "", SNUG_LIT("hello")), 200);
    answer r = commit_pointer(h, "/api/datasets/alice/d/commit/main", h->alice, ",\"size\":5");
    EXPECT(r, 200);
    EXPECT_STR(json_of(h, r), "commitUrl",
               snug_arena_printf(h->a, "http://127.0.0.1:%u/datasets/alice/d/commit/%.*s", h->port,
                                 SNUG_SLICE(member(json_of(h, r), "commitOid")))
                   .ptr);
    expect_slice(get(h, "/datasets/alice/d/resolve/main/m.bin", NULL).body, "hello", __LINE__);
    EXPECT_ERROR(get(h, "/alice/d/resolve/main/m.bin", h->alice), 404, "RepoNotFound", NULL);
}

static void verified_sizes_must_agree(void **state)
{
    house *h = *state;
    put_hello(h);
    answer r = commit_pointer(h, "/api/models/alice/l/commit/main", h->alice, ",\"size\":6");
    assert_true(r.status >= 400 && r.status < 500);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, up, house_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(an_object_travels_there_and_back),
        T(false_bytes_are_refused_and_leave_nothing),
        T(addresses_hold_for_one_thing_and_not_for_ever),
        T(batch_says_no_in_the_words_of_git_lfs),
        T(objects_belong_to_repositories),
        T(large_objects_go_in_parts),
        T(datasets_have_their_own_addresses),
        T(verified_sizes_must_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
