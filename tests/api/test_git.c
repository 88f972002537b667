/* SPDX-License-Identifier: Apache-2.0 */
/* tests/api/test_git.c - git's smart HTTP, spoken by hand: what is served, and what is not git. */
#include "house.h"

#include <dirent.h>
#include <zlib.h>

#define FETCH_TYPE "Content-Type: application/x-git-upload-pack-request\r\n"
#define PUSH_TYPE "Content-Type: application/x-git-receive-pack-request\r\n"
#define ZERO "0000000000000000000000000000000000000000"
#define ONES "1111111111111111111111111111111111111111"

static int up(void **state)
{
    if (house_up(state) != 0) return -1;
    house *h = *state;
    make_repo(h, h->alice, "{\"name\":\"g\"}");
    make_repo(h, h->alice, "{\"name\":\"p\",\"private\":true}");
    put_file(h, "g", "a.txt", "alpha");
    return 0;
}

static answer fetch(house *h, const char *extra, snug_slice body)
{
    snug_slice lines = snug_arena_printf(h->a, FETCH_TYPE "%s", extra);
    return ask_with(h, "POST", "/alice/g/git-upload-pack", NULL, lines.ptr, body);
}

static answer push_as(house *h, const char *token, const char *extra, snug_slice body)
{
    snug_slice lines = snug_arena_printf(h->a, PUSH_TYPE "%s", extra);
    return ask_with(h, "POST", "/alice/g.git/git-receive-pack", token, lines.ptr, body);
}

static answer push(house *h, snug_slice body) { return push_as(h, h->alice, "", body); }

/* "....text" with its length in front. */
static snug_slice pkt(house *h, const char *text, size_t n)
{
    snug_slice head = snug_arena_printf(h->a, "%04zx", n + 4);
    char      *all = snug_arena_alloc(h->a, n + 5);
    memcpy(all, head.ptr, 4);
    memcpy(all + 4, text, n);
    all[n + 4] = '\0';
    return snug_slice_of(all, n + 4);
}

static snug_slice join(house *h, snug_slice a, snug_slice b)
{
    char *all = snug_arena_alloc(h->a, a.len + b.len + 1);
    memcpy(all, a.ptr, a.len);
    if (b.len > 0) memcpy(all + a.len, b.ptr, b.len);
    return snug_slice_of(all, a.len + b.len);
}

/* One command with what a client can, and a flush. */
static snug_slice command(house *h, const char *old, const char *to, const char *ref)
{
    snug_buf          b = snug_buf_init(4096);
    static const char can[] = "\0 report-status side-band-64k agent=test";
    snug_buf_printf(&b, "%s %s %s", old, to, ref);
    snug_buf_put(&b, can, sizeof can - 1);
    snug_slice out = join(h, pkt(h, b.ptr, b.len), SNUG_LIT("0000"));
    snug_buf_deinit(&b);
    return out;
}

static const char *tip(house *h)
{
    return snug_arena_cstr(h->a,
                           member(json_of(h, get(h, "/api/models/alice/g", h->alice)), "sha"));
}

/* No folder of a push stays behind. */
static void no_leftovers(house *h)
{
    SNUG_AUTO(snug_buf) path = snug_buf_init(1024);
    char           shard[256] = "", repo[512] = "";
    struct dirent *e;
    snug_buf_printf(&path, "%s/git", h->dir);
    DIR *d = opendir(snug_buf_cstr(&path));
    assert_non_null(d);
    while ((e = readdir(d)) != NULL) {
        if (strlen(e->d_name) != 2 || e->d_name[0] == '.') continue;
        snprintf(shard, sizeof shard, "%s/git/%s", h->dir, e->d_name);
        DIR           *s = opendir(shard);
        struct dirent *r;
        while (s != NULL && (r = readdir(s)) != NULL) {
            if (r->d_name[0] == '.') continue;
            snprintf(repo, sizeof repo, "%s/%s/objects", shard, r->d_name);
            DIR           *o = opendir(repo);
            struct dirent *x;
            while (o != NULL && (x = readdir(o)) != NULL)
                assert_false(snug_starts_with(snug_str(x->d_name), "incoming-"));
            if (o != NULL) closedir(o);
        }
        if (s != NULL) closedir(s);
    }
    closedir(d);
}

/* ---- refs ---- */

static void refs_are_listed_for_each_version(void **state)
{
    house *h = *state;
    answer r = get(h, "/alice/g/info/refs?service=git-upload-pack", NULL);
    EXPECT(r, 200);
    EXPECT_HEADER(r, "Content-Type", "application/x-git-upload-pack-advertisement");
    EXPECT_HEADER(r, "Cache-Control", "no-cache, max-age=0, must-revalidate");
    EXPECT_HEADER(r, "Expires", "Fri, 01 Jan 1980 00:00:00 GMT");
    assert_true(snug_starts_with(r.body, "001e# service=git-upload-pack\n0000"));
    assert_true(snug_find(r.body, snug_str(tip(h))) != SIZE_MAX);
    assert_true(snug_find(r.body, SNUG_LIT(" filter")) != SIZE_MAX);
    assert_true(snug_find(r.body, SNUG_LIT("allow-reachable-sha1-in-want")) != SIZE_MAX);

    r = ask_with(h, "GET", "/alice/g/info/refs?service=git-upload-pack", NULL,
                 "Git-Protocol: version=1\r\n", SNUG_EMPTY);
    assert_true(snug_find(r.body, SNUG_LIT("000eversion 1\n")) != SIZE_MAX);
    r = ask_with(h, "GET", "/alice/g/info/refs?service=git-upload-pack", NULL,
                 "Git-Protocol: version=2\r\n", SNUG_EMPTY);
    assert_true(snug_starts_with(r.body, "000eversion 2\n"));
    assert_true(snug_find(r.body, SNUG_LIT("ls-refs=unborn")) != SIZE_MAX);
    assert_true(snug_find(r.body, SNUG_LIT("fetch=shallow wait-for-done filter")) != SIZE_MAX);
    /* what is no protocol does not reach a program's environment */
    r = ask_with(h, "GET", "/alice/g/info/refs?service=git-upload-pack", NULL,
                 "Git-Protocol: version=2 $(touch /tmp/x)\r\n", SNUG_EMPTY);
    EXPECT(r, 200);
    assert_true(snug_starts_with(r.body, "001e# service=git-upload-pack\n"));

    r = get(h, "/alice/g.git/info/refs?service=git-receive-pack", h->alice);
    EXPECT(r, 200);
    EXPECT_HEADER(r, "Content-Type", "application/x-git-receive-pack-advertisement");
    assert_true(snug_starts_with(r.body, "001f# service=git-receive-pack\n0000"));
    assert_true(snug_find(r.body, SNUG_LIT(" refs/heads/main")) != SIZE_MAX);
    assert_true(snug_find(r.body, SNUG_LIT("atomic")) != SIZE_MAX);
    assert_true(snug_ends_with(r.body, "0000"));
}

static void bad_services_get_a_sentence(void **state)
{
    house                   *h = *state;
    static const char *const targets[] = {
        "/alice/g/info/refs",
        "/alice/g/info/refs?service=", "/alice/g/info/refs?service=git-upload-archive",
        "/alice/g/info/refs?service=git-upload-pack%00", "/alice/g/info/refs?service=../../bin/sh"};
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        answer r = get(h, targets[i], h->alice);
        if (r.status != 403 && r.status != 400) fail_msg("%s: %d", targets[i], r.status);
        assert_true(r.body.len > 0);
        assert_true(snug_starts_with(header(r, "Content-Type"), "text/plain") || r.status == 400);
    }
    EXPECT(get(h, "/alice/g/HEAD", h->alice), 404);
    EXPECT(get(h, "/alice/g/objects/info/packs", h->alice), 404);
}

static void strangers_learn_nothing(void **state)
{
    house                   *h = *state;
    static const char *const tails[] = {"info/refs?service=git-upload-pack",
                                        "info/refs?service=git-receive-pack"};
    for (size_t i = 0; i < 2; i++) {
        const char *hidden = snug_arena_printf(h->a, "/alice/p/%s", tails[i]).ptr;
        const char *absent = snug_arena_printf(h->a, "/alice/never/%s", tails[i]).ptr;
        answer      a = get(h, hidden, NULL), b = get(h, absent, NULL);
        EXPECT(a, 401);
        EXPECT_HEADER(a, "WWW-Authenticate",
                      "Basic realm=\"Authentication required\", charset=\"UTF-8\"");
        assert_true(snug_eq(a.body, b.body) && a.status == b.status);
        a = get(h, hidden, h->bob);
        b = get(h, absent, h->bob);
        EXPECT(a, 404);
        assert_true(snug_eq(a.body, b.body) && a.status == b.status);
        assert_true(snug_eq_str(a.body, "Repository not found"));
    }
    /* each POST is asked again */
    EXPECT(ask_with(h, "POST", "/alice/p/git-upload-pack", NULL, FETCH_TYPE, SNUG_LIT("0000")),
           401);
    EXPECT(ask_with(h, "POST", "/alice/p/git-upload-pack", h->bob, FETCH_TYPE, SNUG_LIT("0000")),
           404);
    EXPECT(push_as(h, NULL, "", SNUG_LIT("0000")), 401);
    EXPECT(push_as(h, h->reader, "", SNUG_LIT("0000")), 403);
    EXPECT(push_as(h, h->bob, "", SNUG_LIT("0000")), 403);
    EXPECT(get(h, "/alice/g/info/refs?service=git-receive-pack", h->reader), 403);
    EXPECT(push_as(h, h->alice, "", SNUG_LIT("0000")), 200);
}

/* ---- fetch ---- */

static snug_slice gzip_of(house *h, snug_slice s)
{
    z_stream z = {0};
    size_t   max = s.len + 1024;
    char    *out = snug_arena_alloc(h->a, max);
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (Bytef *)(uintptr_t)s.ptr;
    z.avail_in = (uInt)s.len;
    z.next_out = (Bytef *)out;
    z.avail_out = (uInt)max;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    size_t n = z.total_out;
    deflateEnd(&z);
    return snug_slice_of(out, n);
}

static snug_slice want(house *h)
{
    snug_slice first = snug_arena_printf(h->a, "want %s side-band-64k ofs-delta\n", tip(h));
    return join(h, pkt(h, first.ptr, first.len), SNUG_LIT("00000009done\n"));
}

static void a_pack_comes_plain_and_compressed(void **state)
{
    house     *h = *state;
    snug_slice ask = want(h);
    answer     r = fetch(h, "", ask);
    EXPECT(r, 200);
    EXPECT_HEADER(r, "Content-Type", "application/x-git-upload-pack-result");
    EXPECT_HEADER(r, "Cache-Control", "no-cache, max-age=0, must-revalidate");
    assert_true(snug_find(r.body, SNUG_LIT("PACK")) != SIZE_MAX);
    r = fetch(h, "Content-Encoding: gzip\r\n", gzip_of(h, ask));
    EXPECT(r, 200);
    assert_true(snug_find(r.body, SNUG_LIT("PACK")) != SIZE_MAX);
    EXPECT(fetch(h, "Content-Encoding: br\r\n", ask), 400);
    EXPECT(
        ask_with(h, "POST", "/alice/g/git-upload-pack", NULL, "Content-Type: text/plain\r\n", ask),
        400);
    EXPECT(ask_with(h, "POST", "/alice/g/git-upload-pack", NULL, "", ask), 400);
}

/* git itself answers what is not its protocol; the server lives on. */
static void nonsense_in_a_fetch(void **state)
{
    house                   *h = *state;
    static const char *const bodies[] = {
        "",
        "0000",
        "00",
        "zzzz",
        "0003",
        "fff1aaaa",
        "ffff",
        "0005",
        "0009done\n",
        "000aunknown",
        "0014command=ls-refs\n0001",
        "0032want 0000000000000000000000000000000000000001\n00000009done\n"};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        for (int v = 0; v < 2; v++) {
            int        fd = dial(h);
            snug_slice body = snug_str(bodies[i]);
            snug_slice head = snug_arena_printf(
                h->a,
                "POST /alice/g/git-upload-pack HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nConnection: "
                "close\r\n" FETCH_TYPE "%sContent-Length: %zu\r\n\r\n",
                h->port, v ? "Git-Protocol: version=2\r\n" : "", body.len);
            send_all(fd, head);
            send_all(fd, body);
            char piece[4096]; /* a cut stream is an answer too */
            while (recv(fd, piece, sizeof piece, 0) > 0) continue;
            close(fd);
        }
    }
    EXPECT(fetch(h, "", want(h)), 200);
}

/* ---- bombs ---- */

static void a_bomb_is_cut_off(void **state)
{
    house     *h = *state;
    size_t     n = (size_t)100 << 20; /* over API_FETCH_ASK_MAX, from 100 kB */
    char      *zeros = malloc(n);
    snug_slice line = pkt(h, "have " ONES "\n", 46);
    assert_non_null(zeros);
    for (size_t i = 0; i + line.len <= n; i += line.len) memcpy(zeros + i, line.ptr, line.len);
    snug_slice head = snug_arena_printf(h->a, "want %s\n", tip(h));
    head = join(h, pkt(h, head.ptr, head.len), SNUG_LIT("0000"));
    memcpy(zeros, head.ptr, head.len);
    memset(zeros + head.len, '0', (line.len - head.len % line.len) % line.len);
    snug_slice bomb = gzip_of(h, snug_slice_of(zeros, n));
    free(zeros);
    assert_true(bomb.len < 2 << 20);
    uint64_t from = snug_mono_ms();
    int      fd = dial(h);
    send_all(fd, snug_arena_printf(h->a,
                                   "POST /alice/g/git-upload-pack HTTP/1.1\r\nHost: "
                                   "127.0.0.1:%u\r\nConnection: close\r\n" FETCH_TYPE
                                   "Content-Encoding: gzip\r\nContent-Length: %zu\r\n\r\n",
                                   h->port, bomb.len));
    send_all(fd, bomb);
    char piece[65536];
    while (recv(fd, piece, sizeof piece, 0) > 0) continue;
    close(fd);
    assert_true(snug_mono_ms() - from < 60000);
    EXPECT(fetch(h, "", want(h)), 200);
    /* broken and cut compressed pushes */
    snug_slice good = gzip_of(h, SNUG_LIT("0000"));
    EXPECT(push_as(h, h->alice, "Content-Encoding: gzip\r\n", good), 200);
    EXPECT(push_as(h, h->alice, "Content-Encoding: gzip\r\n", snug_sub(good, 0, good.len / 2)),
           400);
    EXPECT(push_as(h, h->alice, "Content-Encoding: gzip\r\n", SNUG_LIT("0000")), 400);
}

static void huge_questions_are_refused(void **state)
{
    house *h = *state;
    int    fd = dial(h);
    send_all(fd, snug_arena_printf(h->a,
                                   "POST /alice/g/git-upload-pack HTTP/1.1\r\nHost: "
                                   "127.0.0.1:%u\r\nConnection: close\r\n" FETCH_TYPE
                                   "Content-Length: 99999999999\r\n\r\n",
                                   h->port));
    EXPECT(read_answer(h, fd), 413);
    fd = dial(h);
    send_all(fd, snug_arena_printf(
                     h->a,
                     "POST /alice/g/git-receive-pack HTTP/1.1\r\nHost: "
                     "127.0.0.1:%u\r\nConnection: close\r\nAuthorization: Bearer %s\r\n" PUSH_TYPE
                     "Content-Length: 99999999999\r\n\r\n",
                     h->port, h->alice));
    EXPECT(read_answer(h, fd), 413);
}

/* ---- push ---- */

static void nonsense_in_a_push(void **state)
{
    house                   *h = *state;
    const char              *before = tip(h);
    static const char *const bodies[] = {
        "zzzz",
        "0003",
        "0005",
        "fff5aaaa",
        "0001",
        "0010just a line\n0000",
        "0013main is mine now0000",
        "0068" ZERO " " ONES " refs/heads/x\n", /* no flush */
    };
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        answer r = push(h, snug_str(bodies[i]));
        if (r.status != 400) fail_msg("%s: %d %.*s", bodies[i], r.status, SNUG_SLICE(r.body));
        assert_true(snug_starts_with(header(r, "Content-Type"), "text/plain"));
        assert_true(r.body.len > 10);
    }
    snug_slice two = command(h, ZERO, ONES, "refs/heads/x\nrefs/heads/y");
    EXPECT(push(h, two), 400);
    static const char other[] = ZERO " " ONES " refs/heads/x\0 object-format=sha256";
    snug_slice        sha256 = pkt(h, other, sizeof other - 1);
    EXPECT(push(h, join(h, sha256, SNUG_LIT("0000"))), 400);
    assert_string_equal(tip(h), before);
    no_leftovers(h);
}

static void expect_report(answer r, const char *text, int line)
{
    if (r.status != 200 || snug_find(r.body, snug_str(text)) == SIZE_MAX)
        fail_msg("line %d: %d, no \"%s\" in \"%.*s\"", line, r.status, text, SNUG_SLICE(r.body));
}
#define REPORTS(r, text) expect_report((r), (text), __LINE__)

static void names_that_are_not_for_pushing(void **state)
{
    house      *h = *state;
    const char *now = tip(h);
    REPORTS(push(h, command(h, now, ZERO, "refs/heads/main")),
            "ng refs/heads/main the default branch cannot be deleted");
    REPORTS(push(h, command(h, ZERO, now, "HEAD")), "ng HEAD ");
    REPORTS(push(h, command(h, ZERO, now, "refs/heads/../../config")), "funny refname");
    REPORTS(push(h, command(h, ZERO, now, "refs/heads/a..b")), "funny refname");
    REPORTS(push(h, command(h, ZERO, now, "refs/heads/x.lock")), "funny refname");
    REPORTS(push(h, command(h, ZERO, now, "refs/heads/refs/heads/x")), "not a name for a branch");
    REPORTS(push(h, command(h, ZERO, now, "refs/convert/parquet")), "can be pushed to");
    REPORTS(push(h, command(h, ZERO, now, "refs/notes/commits")), "can be pushed to");
    REPORTS(push(h, command(h, ZERO, now, "refs/pr/7")), "opened through the API");
    REPORTS(push(h, command(h, ZERO, now, "refs/pr/x")), "have numbers");
    REPORTS(push(h, command(h, ZERO, ZERO, "refs/heads/x")), "nothing to nothing");
    /* a stale old value, and a branch that is not there */
    REPORTS(push(h, command(h, ONES, ZERO, "refs/heads/gone")), "ng refs/heads/gone ");
    assert_string_equal(tip(h), now);
    no_leftovers(h);
}

/* A pack of nothing: what git sends for a branch at a commit that is there. */
static snug_slice empty_pack(house *h)
{
    snug_slice head = snug_slice_of("PACK\0\0\0\2\0\0\0\0", 12);
    snug_sha1  sum = snug_sha1_of(head);
    return join(h, head, snug_slice_of(sum.b, 20));
}

static void packs_that_are_none(void **state)
{
    house      *h = *state;
    const char *now = tip(h);
    REPORTS(push(h, command(h, ZERO, now, "refs/heads/x")), "unpack the pack is missing");
    REPORTS(push(h, join(h, command(h, now, ONES, "refs/heads/main"), empty_pack(h))),
            "ng refs/heads/main missing necessary objects");
    REPORTS(
        push(h, join(h, command(h, now, ONES, "refs/heads/main"), SNUG_LIT("PACK but not really"))),
        "unpack the pack was not accepted");
    char *junk = snug_arena_zalloc(h->a, 3 << 20);
    memcpy(junk, "PACK\0\0\0\2\0\0\0\7", 12);
    REPORTS(
        push(h, join(h, command(h, now, ONES, "refs/heads/main"), snug_slice_of(junk, 3 << 20))),
        "ng refs/heads/main unpacker error");
    /* a pack that promises four billion objects */
    memcpy(junk, "PACK\0\0\0\2\xff\xff\xff\xff", 12);
    REPORTS(push(h, join(h, command(h, now, ONES, "refs/heads/main"), snug_slice_of(junk, 1000))),
            "unpacker error");
    assert_string_equal(tip(h), now);
    REPORTS(push(h, join(h, command(h, ZERO, now, "refs/heads/x"), empty_pack(h))),
            "ok refs/heads/x");
    REPORTS(push(h, join(h, command(h, ZERO, now, "refs/heads/x"), empty_pack(h))),
            "ng refs/heads/x already exists");
    REPORTS(push(h, join(h, command(h, ZERO, now, "refs/heads/x/y"), empty_pack(h))),
            "ng refs/heads/x/y ");
    REPORTS(push(h, command(h, now, ZERO, "refs/heads/x")), "ok refs/heads/x");
    /* main moved behind the pusher's back */
    put_file(h, "g", "b.txt", "beta");
    REPORTS(push(h, join(h, command(h, ONES, now, "refs/heads/main"), empty_pack(h))),
            "ng refs/heads/main fetch first");
    no_leftovers(h);
}

static void too_many_refs(void **state)
{
    house   *h = *state;
    snug_buf b = snug_buf_init(4 << 20);
    for (int i = 0; i < 10001; i++) {
        snug_slice line = snug_arena_printf(h->a, ONES " " ZERO " refs/heads/b%d", i);
        snug_buf_put_slice(&b, pkt(h, line.ptr, line.len));
    }
    snug_buf_puts(&b, "0000");
    EXPECT(push(h, snug_buf_slice(&b)), 413);
    snug_buf_deinit(&b);
}

/* ---- locks ---- */

#define LFS "Content-Type: application/vnd.git-lfs+json\r\nAccept: application/vnd.git-lfs+json\r\n"

static answer locks(house *h, const char *method, const char *tail, const char *token,
                    const char *body)
{
    snug_slice target = snug_arena_printf(h->a, "/alice/g.git/info/lfs/locks%s", tail);
    return ask_with(h, method, target.ptr, token, LFS, body == NULL ? SNUG_EMPTY : snug_str(body));
}

static void locks_are_kept_and_given_back(void **state)
{
    house *h = *state;
    answer r = locks(h, "POST", "", h->alice,
                     "{\"path\":\"art/a.psd\",\"ref\":{\"name\":\"refs/heads/main\"}}");
    EXPECT(r, 201);
    EXPECT_HEADER(r, "Content-Type", "application/vnd.git-lfs+json");
    snug_json lock = snug_json_get(json_of(h, r), "lock");
    EXPECT_STR(lock, "path", "art/a.psd");
    EXPECT_STR(snug_json_get(lock, "owner"), "name", "alice");
    EXPECT_STR(snug_json_get(lock, "ref"), "name", "refs/heads/main");
    const char *id = snug_arena_cstr(h->a, member(lock, "id"));
    assert_true(snug_ends_with(member(lock, "locked_at"), "Z"));

    r = locks(h, "POST", "", h->alice, "{\"path\":\"art/a.psd\"}");
    EXPECT(r, 409);
    EXPECT_STR(snug_json_get(json_of(h, r), "lock"), "id", id);
    EXPECT_STR(json_of(h, r), "message", "already created lock");
    EXPECT(locks(h, "POST", "", h->alice, "{\"path\":\"b.psd\"}"), 201);

    snug_json list = snug_json_get(json_of(h, locks(h, "GET", "", NULL, NULL)), "locks");
    assert_int_equal(snug_json_count(list), 2);
    list = snug_json_get(json_of(h, locks(h, "GET", "?path=b.psd", NULL, NULL)), "locks");
    EXPECT_STR(snug_json_at(list, 0), "path", "b.psd");
    assert_int_equal(snug_json_count(list), 1);
    const char *by_id = snug_arena_printf(h->a, "?id=%s", id).ptr;
    list = snug_json_get(json_of(h, locks(h, "GET", by_id, NULL, NULL)), "locks");
    EXPECT_STR(snug_json_at(list, 0), "path", "art/a.psd");
    snug_json none = json_of(h, locks(h, "GET", "?id=77", NULL, NULL));
    assert_int_equal(snug_json_count(snug_json_get(none, "locks")), 0);
    snug_json page = json_of(h, locks(h, "GET", "?limit=1", NULL, NULL));
    assert_int_equal(snug_json_count(snug_json_get(page, "locks")), 1);
    const char *next =
        snug_arena_printf(h->a, "?limit=1&cursor=%.*s", SNUG_SLICE(member(page, "next_cursor")))
            .ptr;
    page = json_of(h, locks(h, "GET", next, NULL, NULL));
    EXPECT_STR(snug_json_at(snug_json_get(page, "locks"), 0), "path", "b.psd");
    assert_false(snug_json_is(snug_json_get(page, "next_cursor"), SNUG_JSON_STRING));

    snug_json both = json_of(h, locks(h, "POST", "/verify", h->alice, "{\"limit\":10}"));
    assert_int_equal(snug_json_count(snug_json_get(both, "ours")), 2);
    assert_int_equal(snug_json_count(snug_json_get(both, "theirs")), 0);

    const char *unlock = snug_arena_printf(h->a, "/%s/unlock", id).ptr;
    EXPECT(locks(h, "POST", unlock, h->bob, "{}"), 403);
    EXPECT(locks(h, "POST", unlock, NULL, "{}"), 401);
    r = locks(h, "POST", unlock, h->alice, "{\"force\":false}");
    EXPECT(r, 200);
    EXPECT_STR(snug_json_get(json_of(h, r), "lock"), "id", id);
    EXPECT(locks(h, "POST", unlock, h->alice, "{}"), 404);
    EXPECT(locks(h, "POST", "", h->alice, "{\"path\":\"art/a.psd\"}"), 201);
}

static void bad_locks(void **state)
{
    house *h = *state;
    EXPECT(locks(h, "POST", "", NULL, "{\"path\":\"x\"}"), 401);
    EXPECT(locks(h, "POST", "", h->bob, "{\"path\":\"x\"}"), 403);
    EXPECT(locks(h, "POST", "", h->reader, "{\"path\":\"x\"}"), 403);
    EXPECT(locks(h, "POST", "", h->alice, "{\"path\":\"../x\"}"), 422);
    EXPECT(locks(h, "POST", "", h->alice, "{\"path\":7}"), 400);
    EXPECT(locks(h, "POST", "", h->alice, "[]"), 400);
    EXPECT(locks(h, "POST", "", h->alice, "{"), 400);
    EXPECT(locks(h, "POST", "/verify", h->alice, "{\"cursor\":\"-4\"}"), 400);
    EXPECT(locks(h, "GET", "?cursor=zz", NULL, NULL), 400);
    EXPECT(locks(h, "POST", "/seven/unlock", h->alice, "{}"), 404);
    EXPECT(ask_with(h, "GET", "/alice/p.git/info/lfs/locks", h->bob, LFS, SNUG_EMPTY), 404);
    /* they go with their repository */
    make_repo(h, h->alice, "{\"name\":\"brief\"}");
    answer r = ask_with(h, "POST", "/alice/brief.git/info/lfs/locks", h->alice, LFS,
                        SNUG_LIT("{\"path\":\"x\"}"));
    EXPECT(r, 201);
    EXPECT(post(h, "DELETE", "/api/repos/delete", h->alice, "{\"name\":\"brief\"}"), 200);
    make_repo(h, h->alice, "{\"name\":\"brief\"}");
    r = ask_with(h, "GET", "/alice/brief.git/info/lfs/locks", h->alice, LFS, SNUG_EMPTY);
    assert_int_equal(snug_json_count(snug_json_get(json_of(h, r), "locks")), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, up, house_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(refs_are_listed_for_each_version),
        TEST(bad_services_get_a_sentence),
        TEST(strangers_learn_nothing),
        TEST(a_pack_comes_plain_and_compressed),
        TEST(nonsense_in_a_fetch),
        TEST(a_bomb_is_cut_off),
        TEST(huge_questions_are_refused),
        TEST(nonsense_in_a_push),
        TEST(names_that_are_not_for_pushing),
        TEST(packs_that_are_none),
        TEST(too_many_refs),
        TEST(locks_are_kept_and_given_back),
        TEST(bad_locks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
