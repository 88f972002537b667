/* SPDX-License-Identifier: Apache-2.0 */
/* tests/api/test_xet.c - the deduplicating store over a socket, as clients call it. */
#include "house.h"

#include "../xet/xet_build.h"

typedef struct scene {
    house         *h;
    const char    *ticket; /* writes to alice/x */
    snug_slice     cas;    /* path of casUrl */
    snug_slice     data;
    built_xorb     one, two;
    xet_shard_file file;
    char           name[65];
} scene;

static const char *path_in(scene *s, const char *fmt, const char *arg)
{
    return snug_arena_cstr(s->h->a,
                           snug_arena_printf(s->h->a, "%.*s/%s%s", SNUG_SLICE(s->cas), fmt, arg));
}

static snug_slice path_of_url(house *h, snug_slice url)
{
    snug_slice base = snug_arena_printf(h->a, "http://127.0.0.1:%u", h->port);
    assert_true(snug_starts_with(url, snug_arena_cstr(h->a, base)));
    return snug_sub(url, base.len, url.len);
}

static const char *hash_text(house *h, const xet_hash *x)
{
    char *p = snug_arena_alloc(h->a, 65);
    xet_hash_text(x, p);
    return p;
}

static answer send_xorb(scene *s, const built_xorb *b, const char *ticket)
{
    return ask_with(s->h, "POST", path_in(s, "v1/xorbs/default/", hash_text(s->h, &b->x.hash)),
                    ticket, "", b->body);
}

static scene begin(house *h, const char *repo_json)
{
    scene s = {.h = h};
    make_repo(h, h->alice, repo_json);
    answer r = get(h, "/api/models/alice/x/xet-write-token/main", h->alice);
    EXPECT(r, 200);
    snug_json v = json_of(h, r);
    s.ticket = snug_arena_cstr(h->a, member(v, "accessToken"));
    s.cas = path_of_url(h, member(v, "casUrl"));
    s.data = noise_of(h->a, 150000, 7);
    s.one = build_xorb(h->a, snug_sub(s.data, 0, 90000), 30000);
    s.two = build_xorb(h->a, snug_sub(s.data, 90000, 60000), 20000);
    const built_xorb *both[] = {&s.one, &s.two};
    snug_sha256       sha = snug_sha256_of(s.data);
    s.file = build_file(h->a, both, 2, &sha);
    xet_hash_text(&s.file.hash, s.name);
    return s;
}

static void upload(scene *s)
{
    xet_shard_xorb x[2] = {build_block(s->h->a, &s->one), build_block(s->h->a, &s->two)};
    xet_shard      shard = {.files = &s->file, .file_count = 1, .xorbs = x, .xorb_count = 2};
    answer         r = send_xorb(s, &s->one, s->ticket);
    EXPECT(r, 200);
    assert_true(snug_eq_str(r.body, "{\"was_inserted\":true}"));
    EXPECT(send_xorb(s, &s->two, s->ticket), 200);
    r = ask_with(s->h, "POST", path_in(s, "v1/shards", ""), s->ticket, "",
                 write_shard(s->h->a, &shard));
    EXPECT(r, 200);
    assert_true(snug_eq_str(r.body, "{\"result\":1}"));
}

static void commit_file(scene *s)
{
    char        hex[65];
    snug_sha256 sha = snug_sha256_of(s->data);
    snug_hex(sha.b, 32, hex);
    snug_slice lines = snug_arena_printf(
        s->h->a,
        "{\"key\":\"header\",\"value\":{\"summary\":\"add\",\"description\":\"\"}}\n"
        "{\"key\":\"lfsFile\",\"value\":{\"path\":\"m.bin\",\"algo\":\"sha256\",\"oid\":\"%s\","
        "\"size\":150000}}\n",
        hex);
    EXPECT(commit_lines(s->h, "/api/models/alice/x/commit/main", s->h->alice,
                        snug_arena_cstr(s->h->a, lines)),
           200);
}

static void test_tokens(void **state)
{
    house *h = *state;
    make_repo(h, h->alice, "{\"name\":\"x\",\"private\":true}");
    answer    r = get(h, "/api/models/alice/x/xet-read-token/main", h->alice);
    snug_json v = json_of(h, r);
    EXPECT(r, 200);
    assert_true(snug_eq(header(r, "X-Xet-Access-Token"), member(v, "accessToken")));
    assert_true(snug_eq(header(r, "X-Xet-Cas-Url"), member(v, "casUrl")));
    int64_t  exp;
    uint64_t in_header;
    assert_true(snug_json_to_i64(snug_json_get(v, "exp"), &exp));
    assert_true(snug_parse_u64(header(r, "X-Xet-Token-Expiration"), &in_header));
    assert_int_equal(exp, in_header);
    assert_true(exp * 1000 > snug_now_ms() + 14 * 60000);
    EXPECT_ERROR(get(h, "/api/models/alice/x/xet-read-token/main", NULL), 401, "RepoNotFound",
                 NULL);
    EXPECT_ERROR(get(h, "/api/models/alice/x/xet-read-token/main", h->bob), 404, "RepoNotFound",
                 NULL);
    EXPECT_ERROR(get(h, "/api/models/alice/x/xet-read-token/nowhere", h->alice), 404,
                 "RevisionNotFound", NULL);
    EXPECT(get(h, "/api/models/alice/x/xet-write-token/None?create_pr=1", h->alice), 200);
    EXPECT_ERROR(get(h, "/api/models/alice/x/xet-write-token/main", h->reader), 403, NULL, NULL);
    EXPECT(post(h, "PUT", "/api/models/alice/x/settings", h->alice, "{\"private\":false}"), 200);
    EXPECT(get(h, "/api/models/alice/x/xet-read-token/main", NULL), 200);
    EXPECT_ERROR(get(h, "/api/models/alice/x/xet-write-token/main", NULL), 401, NULL, NULL);
    EXPECT_ERROR(get(h, "/api/models/alice/x/xet-write-token/main", h->bob), 403, NULL, NULL);
    /* Who may read may propose: the ticket is for that, and not for main. */
    EXPECT(get(h, "/api/models/alice/x/xet-write-token/main?create_pr=1", h->bob), 200);
    EXPECT_ERROR(get(h, "/api/models/alice/x/xet-write-token/main?create_pr=1", NULL), 401, NULL,
                 NULL);
}

static void test_uploads(void **state)
{
    house *h = *state;
    scene  s = begin(h, "{\"name\":\"x\"}");
    answer r;

    upload(&s);
    r = send_xorb(&s, &s.one, s.ticket);
    EXPECT(r, 200);
    assert_true(snug_eq_str(r.body, "{\"was_inserted\":false}"));
    const char *one = hash_text(h, &s.one.x.hash);
    r = head_of(h, path_in(&s, "v1/xorbs/default-merkledb/", one), s.ticket);
    EXPECT(r, 200);
    EXPECT_HEADER(r, "Content-Length",
                  snug_arena_cstr(h->a, snug_arena_printf(h->a, "%zu", s.one.body.len)));
    EXPECT(head_of(h, path_in(&s, "v1/xorbs/default/", s.name), s.ticket), 404);
    r = head_of(h, path_in(&s, "v1/files/", s.name), s.ticket);
    EXPECT(r, 200);
    EXPECT_HEADER(r, "Content-Length", "150000");
    EXPECT(head_of(h, path_in(&s, "v1/files/", one), s.ticket), 404);

    /* Who may not: no ticket, an account token, a read ticket, a forged one, a bad name, bad bytes.
     */
    EXPECT(send_xorb(&s, &s.one, NULL), 401);
    EXPECT(send_xorb(&s, &s.one, h->alice), 401);
    answer t = get(h, "/api/models/alice/x/xet-read-token/main", h->alice);
    EXPECT(send_xorb(&s, &s.one, snug_arena_cstr(h->a, member(json_of(h, t), "accessToken"))), 403);
    char *forged = snug_arena_cstr(h->a, snug_str(s.ticket));
    forged[strlen(forged) - 1] ^= 1;
    EXPECT(send_xorb(&s, &s.one, forged), 401);
    EXPECT(ask_with(h, "POST", path_in(&s, "v1/xorbs/default/", "short"), s.ticket, "", s.one.body),
           400);
    EXPECT(ask_with(h, "POST", path_in(&s, "v1/xorbs/default/", one), s.ticket, "", s.two.body),
           400);
    EXPECT(ask_with(h, "POST", path_in(&s, "v1/shards", ""), s.ticket, "",
                    SNUG_LIT("HFRepoMetaData?")),
           400);

    /* The streamed answer: progress, then the outcome, which may be a refusal. */
    xet_shard shard = {.files = &s.file, .file_count = 1};
    r = ask_with(h, "POST", path_in(&s, "v2/shards", ""), s.ticket, "", write_shard(h->a, &shard));
    EXPECT(r, 200);
    EXPECT_HEADER(r, "Content-Type", "application/x-ndjson");
    assert_true(snug_find(r.body, SNUG_LIT("{\"type\":\"result\",\"result\":0}\n")) != SIZE_MAX);
    s.file.terms[0].range_hash.b[0] ^= 1;
    r = ask_with(h, "POST", path_in(&s, "v2/shards", ""), s.ticket, "", write_shard(h->a, &shard));
    EXPECT(r, 200);
    assert_true(
        snug_find(r.body, SNUG_LIT("{\"type\":\"error\",\"message\":\"the proof for chunks")) !=
        SIZE_MAX);
    EXPECT(
        ask_with(h, "POST", path_in(&s, "v1/shards", ""), s.ticket, "", write_shard(h->a, &shard)),
        400);
    EXPECT(ask_with(h, "POST", path_in(&s, "v1/telemetry", ""), s.ticket, "", SNUG_LIT("{}")), 200);
}

static void test_chunk_queries(void **state)
{
    house *h = *state;
    scene  s = begin(h, "{\"name\":\"x\",\"private\":true}");
    make_repo(h, h->bob, "{\"name\":\"y\"}");
    upload(&s);
    answer      t = get(h, "/api/models/bob/y/xet-write-token/main", h->bob);
    const char *bob = snug_arena_cstr(h->a, member(json_of(h, t), "accessToken"));
    const char *first = hash_text(h, &s.one.x.chunks[0].hash);
    answer      r = get(h, path_in(&s, "v1/chunks/default/", first), s.ticket);
    EXPECT(r, 200);
    assert_true(snug_find(r.body, SNUG_LIT("HFRepoMetaData")) != SIZE_MAX);
    EXPECT(get(h, path_in(&s, "v1/chunks/default-merkledb/", first), s.ticket), 200);
    EXPECT(get(h, path_in(&s, "chunk/default/", first), s.ticket), 200);
    EXPECT(get(h, path_in(&s, "v1/chunks/default/", first), bob), 404);
    EXPECT(head_of(h, path_in(&s, "v1/xorbs/default/", hash_text(h, &s.one.x.hash)), bob), 404);
    EXPECT(get(h, path_in(&s, "v1/chunks/default/", first), NULL), 401);
    EXPECT(get(h, path_in(&s, "v1/chunks/default/", "zz"), s.ticket), 400);
}

static uint64_t number(snug_json v, const char *key)
{
    uint64_t n = UINT64_MAX;
    assert_true(snug_json_to_u64(snug_json_get(v, key), &n));
    return n;
}

static void test_reconstructions(void **state)
{
    house *h = *state;
    scene  s = begin(h, "{\"name\":\"x\"}");
    upload(&s);
    const char *one = hash_text(h, &s.one.x.hash), *two = hash_text(h, &s.two.x.hash);

    answer    r = ask_with(h, "GET", path_in(&s, "v1/reconstructions/", s.name), s.ticket,
                           "Range: bytes=35000-99999\r\n", SNUG_EMPTY);
    snug_json v = json_of(h, r);
    EXPECT(r, 200);
    assert_int_equal(number(v, "offset_into_first_range"), 5000);
    snug_json terms = snug_json_get(v, "terms");
    assert_int_equal(snug_json_count(terms), 2);
    EXPECT_STR(snug_json_at(terms, 0), "hash", one);
    assert_int_equal(number(snug_json_at(terms, 0), "unpacked_length"), 60000);
    assert_int_equal(number(snug_json_get(snug_json_at(terms, 0), "range"), "start"), 1);
    assert_int_equal(number(snug_json_get(snug_json_at(terms, 0), "range"), "end"), 3);
    snug_json fetch = snug_json_at(snug_json_get(snug_json_get(v, "fetch_info"), one), 0);
    assert_int_equal(number(snug_json_get(fetch, "url_range"), "start"),
                     s.one.x.chunks[0].stored_end);
    assert_int_equal(number(snug_json_get(fetch, "url_range"), "end"), s.one.body.len - 1);

    r = get(h, path_in(&s, "v2/reconstructions/", s.name), s.ticket);
    v = json_of(h, r);
    EXPECT(r, 200);
    assert_int_equal(number(v, "offset_into_first_range"), 0);
    snug_json entry = snug_json_at(snug_json_get(snug_json_get(v, "xorbs"), two), 0);
    snug_json range = snug_json_at(snug_json_get(entry, "ranges"), 0);
    assert_int_equal(number(snug_json_get(range, "bytes"), "start"), 0);
    assert_int_equal(number(snug_json_get(range, "bytes"), "end"), s.two.body.len - 1);
    assert_int_equal(number(snug_json_get(range, "chunks"), "end"), 3);

    EXPECT(ask_with(h, "GET", path_in(&s, "v2/reconstructions/", s.name), s.ticket,
                    "Range: bytes=150000-150001\r\n", SNUG_EMPTY),
           416);
    EXPECT(ask_with(h, "GET", path_in(&s, "v2/reconstructions/", s.name), s.ticket,
                    "Range: bytes=9-3\r\n", SNUG_EMPTY),
           400);
    EXPECT(get(h, path_in(&s, "v2/reconstructions/", one), s.ticket), 404);
    EXPECT(get(h, path_in(&s, "v2/reconstructions/", s.name), NULL), 401);
    r = get(h, path_in(&s, "v1/reconstructions?file_id=", s.name), s.ticket);
    EXPECT(r, 200);
    assert_int_equal(snug_json_count(snug_json_get(snug_json_get(json_of(h, r), "files"), s.name)),
                     2);
    snug_slice body = snug_arena_printf(h->a, "[{\"prefix\":\"default\",\"hash\":\"%s\"}]", s.name);
    r = post(h, "POST", path_in(&s, "v1/reconstructions", ""), s.ticket,
             snug_arena_cstr(h->a, body));
    EXPECT(r, 200);
    assert_int_equal(snug_json_count(snug_json_get(json_of(h, r), "fetch_info")), 2);
    /* Another repository's ticket sees no such file. */
    make_repo(h, h->bob, "{\"name\":\"y\"}");
    answer t = get(h, "/api/models/bob/y/xet-read-token/main", h->bob);
    EXPECT(get(h, path_in(&s, "v2/reconstructions/", s.name),
               snug_arena_cstr(h->a, member(json_of(h, t), "accessToken"))),
           404);
}

static answer fetch(house *h, snug_slice path, const char *range)
{
    snug_slice extra =
        range == NULL ? SNUG_LIT("") : snug_arena_printf(h->a, "Range: bytes=%s\r\n", range);
    return ask_with(h, "GET", snug_arena_cstr(h->a, path), NULL, snug_arena_cstr(h->a, extra),
                    SNUG_EMPTY);
}

static void test_byte_addresses(void **state)
{
    house *h = *state;
    scene  s = begin(h, "{\"name\":\"x\",\"private\":true}");
    upload(&s);
    answer    r = ask_with(h, "GET", path_in(&s, "v1/reconstructions/", s.name), s.ticket,
                           "Range: bytes=30000-59999\r\n", SNUG_EMPTY);
    snug_json info = snug_json_at(
        snug_json_get(snug_json_get(json_of(h, r), "fetch_info"), hash_text(h, &s.one.x.hash)), 0);
    snug_slice url = path_of_url(h, member(info, "url"));
    uint32_t   from = s.one.x.chunks[0].stored_end, to = s.one.x.chunks[1].stored_end;
    snug_slice want = snug_sub(s.one.body, from, to - from);
    char       text[80];

    r = fetch(h, url, NULL);
    EXPECT(r, 200);
    assert_true(snug_eq(r.body, want));
    snprintf(text, sizeof text, "%u-%u", from, to - 1);
    r = fetch(h, url, text);
    EXPECT(r, 206);
    assert_true(snug_eq(r.body, want));
    snprintf(text, sizeof text, "bytes %u-%u/%zu", from, to - 1, s.one.body.len);
    EXPECT_HEADER(r, "Content-Range", text);
    snprintf(text, sizeof text, "%u-%u,%u-%u", from + 9, from + 10, from, from);
    r = fetch(h, url, text);
    EXPECT(r, 206);
    assert_true(snug_starts_with(header(r, "Content-Type"), "multipart/byteranges; boundary="));
    size_t at = snug_find(r.body, snug_arena_printf(h->a, "Content-Range: bytes %u-%u/%zu\r\n\r\n",
                                                    from + 9, from + 10, s.one.body.len));
    assert_true(
        at != SIZE_MAX &&
        at < snug_find(r.body, snug_arena_printf(h->a, "Content-Range: bytes %u-%u/", from, from)));

    /* Nothing beside what it opens, and no byte of it may change. */
    snprintf(text, sizeof text, "%u-%u", from - 1, to - 1);
    EXPECT(fetch(h, url, text), 403);
    snprintf(text, sizeof text, "%u-%u", from, to);
    EXPECT(fetch(h, url, text), 403);
    EXPECT(fetch(h, url, "x-y"), 400);
    for (size_t i = snug_find(url, SNUG_LIT("/bytes/")) + 7; i < url.len; i++) {
        if (url.ptr[i] < '0' || url.ptr[i] > '9') continue;
        char *changed = snug_arena_cstr(h->a, url);
        changed[i] = changed[i] == '1' ? '2' : '1';
        EXPECT(fetch(h, snug_str(changed), NULL), 403);
    }
    /* Signed, but expired. */
    char        sig[65];
    snug_err    err = {0};
    int64_t     past = snug_now_ms() - 1;
    const char *one = hash_text(h, &s.one.x.hash);
    for (int k = 0; k < 2; k++) {
        int64_t until = k == 0 ? past : past + 60000;
        must(hub_sign(h->hub, snug_arena_printf(h->a, "xet-bytes %s %u %u", one, from, to), until,
                      sig, &err),
             &err);
        snug_slice made =
            snug_arena_printf(h->a, "/api/xet/any/bytes/%s?from=%u&to=%u&expires=%lld&sig=%s", one,
                              from, to, (long long)until, sig);
        EXPECT(fetch(h, made, NULL), k == 0 ? 403 : 200);
    }
}

static void test_every_door(void **state)
{
    house *h = *state;
    scene  s = begin(h, "{\"name\":\"x\"}");
    upload(&s);
    commit_file(&s);
    answer r = get(h, "/alice/x/resolve/main/m.bin", NULL);
    EXPECT(r, 200);
    assert_true(snug_eq(r.body, s.data));
    EXPECT_HEADER(r, "Content-Length", "150000");
    EXPECT_HEADER(r, "X-Xet-Hash", s.name);
    r = ask_with(h, "GET", "/alice/x/resolve/main/m.bin", NULL, "Range: bytes=89990-90009\r\n",
                 SNUG_EMPTY);
    EXPECT(r, 206);
    assert_true(snug_eq(r.body, snug_sub(s.data, 89990, 20)));
    EXPECT_HEADER(r, "Content-Range", "bytes 89990-90009/150000");
    r = head_of(h, "/alice/x/resolve/main/m.bin", NULL);
    EXPECT(r, 200);
    EXPECT_HEADER(r, "Content-Length", "150000");
    EXPECT_HEADER(r, "Accept-Ranges", "bytes");
    r = ask_with(h, "GET", "/alice/x/resolve/main/m.bin", NULL,
                 "Range: bytes=0-0\r\nAccept: application/vnd.xet-fileinfo+json, */*\r\n",
                 SNUG_EMPTY);
    EXPECT(r, 200);
    EXPECT_HEADER(r, "Content-Type", "application/vnd.xet-fileinfo+json");
    EXPECT_HEADER(r, "X-Linked-Size", "150000");
    EXPECT_STR(json_of(h, r), "hash", s.name);
    r = get(h, "/api/models/alice/x/tree/main", NULL);
    assert_true(snug_find(r.body, snug_arena_printf(h->a, "\"xetHash\":\"%s\"", s.name)) !=
                SIZE_MAX);
    /* LFS: stored already, so an upload has nothing to do; xet is offered for what is not. */
    static const char batch[] =
        "{\"operation\":\"upload\",\"transfers\":[\"basic\",\"xet\"],\"objects\":[{\"oid\":"
        "\"%s\",\"size\":%u}]}";
    char        hex[65];
    snug_sha256 sha = snug_sha256_of(s.data);
    snug_hex(sha.b, 32, hex);
    char body[400];
    snprintf(body, sizeof body, batch, hex, 150000u);
    snug_json object =
        snug_json_at(snug_json_get(json_of(h, post(h, "POST", "/alice/x.git/info/lfs/objects/batch",
                                                   h->alice, body)),
                                   "objects"),
                     0);
    assert_false(snug_json_is(snug_json_get(object, "actions"), SNUG_JSON_OBJECT));
    hex[0] = hex[0] == '0' ? '1' : '0';
    snprintf(body, sizeof body, batch, hex, 7u);
    snug_json v =
        json_of(h, post(h, "POST", "/alice/x.git/info/lfs/objects/batch", h->alice, body));
    EXPECT_STR(v, "transfer", "xet");
    snug_json action = snug_json_get(
        snug_json_get(snug_json_at(snug_json_get(v, "objects"), 0), "actions"), "upload");
    assert_true(snug_ends_with(member(action, "href"),
                               "/api/models/alice/x/xet-write-token/None?create_pr=1"));
    snug_json headers = snug_json_get(action, "header");
    assert_true(member(headers, "X-Xet-Access-Token").len > 64);
    assert_true(snug_eq(path_of_url(h, member(headers, "X-Xet-Cas-Url")), s.cas));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_tokens, house_up, house_down),
        cmocka_unit_test_setup_teardown(test_uploads, house_up, house_down),
        cmocka_unit_test_setup_teardown(test_chunk_queries, house_up, house_down),
        cmocka_unit_test_setup_teardown(test_reconstructions, house_up, house_down),
        cmocka_unit_test_setup_teardown(test_byte_addresses, house_up, house_down),
        cmocka_unit_test_setup_teardown(test_every_door, house_up, house_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
