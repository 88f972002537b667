/* SPDX-License-Identifier: Apache-2.0 */
/* tests/remote/test_xet.c - what a store says, what is noted on disk, and which of it is believed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "remote/xet_pack.h"

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

/* ---- reconstructions ---- */

static snug_status recon(const char *text, uint64_t want, bool secure, remote_recon *out,
                         snug_arena *a)
{
    snug_json   v;
    snug_status st = snug_json_parse(a, snug_str(text), NULL, &v, NULL);
    return st == SNUG_OK ? remote_recon_read(v, a, want, secure, out, NULL) : st;
}

#define TERMS                                                                                      \
    "\"offset_into_first_range\":10,\"terms\":["                                                   \
    "{\"hash\":\"" A "\",\"unpacked_length\":1000,\"range\":{\"start\":1,\"end\":5}},"             \
    "{\"hash\":\"" B "\",\"unpacked_length\":500,\"range\":{\"start\":0,\"end\":1}},"              \
    "{\"hash\":\"" A "\",\"unpacked_length\":300,\"range\":{\"start\":2,\"end\":3}}]"

static void both_versions_read_alike(void **state)
{
    (void)state;
    static const char v2[] =
        "{" TERMS ",\"xorbs\":{\"" A "\":[{\"url\":\"http://s/a\",\"ranges\":[{\"chunks\":"
        "{\"start\":1,\"end\":5},\"bytes\":{\"start\":100,\"end\":899}}]}],\"" B "\":[{\"url\":"
        "\"http://s/b\",\"ranges\":[{\"chunks\":{\"start\":0,\"end\":1},\"bytes\":{\"start\":0,"
        "\"end\":99}}]}]}}";
    static const char v1[] =
        "{" TERMS ",\"fetch_info\":{\"" A "\":[{\"url\":\"http://s/a\",\"range\":{\"start\":1,"
        "\"end\":5},\"url_range\":{\"start\":100,\"end\":899}}],\"" B "\":[{\"url\":\"http://s/b\","
        "\"range\":{\"start\":0,\"end\":1},\"url_range\":{\"start\":0,\"end\":99}}]}}";
    const char *const both[] = {v1, v2};
    for (size_t i = 0; i < 2; i++) {
        snug_arena  *a = snug_arena_new();
        remote_recon r;
        assert_int_equal(recon(both[i], 1790, false, &r, a), SNUG_OK);
        assert_int_equal(r.term_count, 3);
        assert_int_equal(r.span_count, 2);
        assert_int_equal(r.skip, 10);
        assert_int_equal(r.terms[2].at, 1500);
        assert_int_equal(r.terms[0].span, r.terms[2].span);
        const remote_span *s = &r.spans[r.terms[0].span];
        assert_true(s->from == 100 && s->to == 900 && s->start == 1 && s->end == 5);
        assert_string_equal(s->url, "http://s/a");
        assert_int_equal(recon(both[i], 1791, false, &r, a), SNUG_EREMOTE); /* one byte short */
        assert_int_equal(recon(both[i], 1790, true, &r, a), SNUG_EREMOTE);  /* https only */
        snug_arena_free(a);
    }
}

static void odd_answers_are_refused(void **state)
{
    (void)state;
#define ONE(hash, raw, start, end, skip, spans)                                                    \
    "{\"offset_into_first_range\":" skip ",\"terms\":[{\"hash\":\"" hash                           \
    "\",\"unpacked_length\":" raw ",\"range\":{\"start\":" start ",\"end\":" end                   \
    "}}],\"fetch_info\":{" spans "}}"
#define SPAN(start, end, from, to, url)                                                            \
    "\"" A "\":[{\"url\":\"" url "\",\"range\":{\"start\":" start ",\"end\":" end                  \
    "},\"url_range\":{\"start\":" from ",\"end\":" to "}}]"
#define FINE SPAN("0", "2", "0", "99", "http://s/a")
    static const char *const bad[] = {
        "{}",
        "[]",
        "{\"terms\":[],\"xorbs\":{},\"offset_into_first_range\":0}",
        ONE("zz", "100", "0", "2", "0", FINE),
        ONE(A, "0", "0", "2", "0", FINE),
        ONE(A, "262145", "0", "2", "0", FINE),
        ONE(A, "100", "2", "2", "0", FINE),
        ONE(A, "100", "0", "70000", "0", FINE),
        ONE(A, "100", "0", "3", "0", FINE),
        ONE(A, "100", "0", "2", "100", FINE),
        ONE(A, "100", "0", "2", "-1", FINE),
        ONE(B, "100", "0", "2", "0", FINE),
        ONE(A, "100", "0", "2", "0", SPAN("0", "2", "5", "4", "http://s/a")),
        ONE(A, "100", "0", "2", "0", SPAN("0", "2", "0", "99999999999", "http://s/a")),
        ONE(A, "100", "0", "2", "0", SPAN("0", "2", "0", "99", "file:///etc/passwd")),
        ONE(A, "100", "0", "2", "0", SPAN("0", "2", "0", "99", "http://s/a b")),
        ONE(A, "100", "0", "2", "0", SPAN("1", "2", "0", "99", "http://s/a")),
    };
    snug_arena  *a = snug_arena_new();
    remote_recon r;
    assert_int_equal(recon(ONE(A, "100", "0", "2", "0", FINE), 100, false, &r, a), SNUG_OK);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(recon(bad[i], 100, false, &r, a), SNUG_EREMOTE);
    snug_arena_free(a);
}

/* ---- tickets ---- */

static void tickets(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool        secure, ok;
    } t[] = {
        {"{\"casUrl\":\"https://s/x/\",\"accessToken\":\"t\",\"exp\":5}", true, true},
        {"{\"casUrl\":\"http://s/x\",\"accessToken\":\"t\",\"exp\":5}", false, true},
        {"{\"casUrl\":\"http://s/x\",\"accessToken\":\"t\",\"exp\":5}", true, false},
        {"{\"casUrl\":\"ftp://s/x\",\"accessToken\":\"t\",\"exp\":5}", false, false},
        {"{\"casUrl\":\"http://s/x\",\"accessToken\":\"t\\r\\nX: y\",\"exp\":5}", false, false},
        {"{\"casUrl\":\"http://s/ x\",\"accessToken\":\"t\",\"exp\":5}", false, false},
        {"{\"casUrl\":\"http://s/x\",\"accessToken\":\"\",\"exp\":5}", false, false},
        {"{\"casUrl\":\"http://s/x\",\"accessToken\":\"t\"}", false, false},
    };
    snug_arena *a = snug_arena_new();
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        snug_json     v;
        remote_ticket k;
        assert_int_equal(snug_json_parse(a, snug_str(t[i].text), NULL, &v, NULL), SNUG_OK);
        assert_int_equal(remote_ticket_read(v, t[i].secure, &k, NULL) == SNUG_OK, t[i].ok);
        if (t[i].ok) assert_int_not_equal(k.cas.ptr[k.cas.len - 1], '/');
    }
    snug_arena_free(a);
}

static void lines_of_a_shard(void **state)
{
    (void)state;
    bool     end, retry;
    snug_err err = {0};
    assert_int_equal(
        pack_read_line(SNUG_LIT("{\"type\":\"validating\",\"verified\":1}"), &end, &retry, &err),
        SNUG_OK);
    assert_false(end);
    assert_int_equal(pack_read_line(SNUG_LIT("{\"type\":\"new\"}"), &end, &retry, &err), SNUG_OK);
    assert_false(end);
    assert_int_equal(
        pack_read_line(SNUG_LIT("{\"type\":\"result\",\"result\":0}"), &end, &retry, &err),
        SNUG_OK);
    assert_true(end);
    assert_int_equal(pack_read_line(SNUG_LIT("{\"type\":\"error\",\"message\":\"no such xorb\"}"),
                                    &end, &retry, &err),
                     SNUG_EINVAL);
    assert_true(end && !retry);
    assert_string_equal(err.msg, "no such xorb");
    assert_int_equal(
        pack_read_line(SNUG_LIT("{\"type\":\"error\",\"retryable\":true}"), &end, &retry, &err),
        SNUG_EBUSY);
    assert_true(end && retry);
    assert_int_equal(pack_read_line(SNUG_LIT("nothing"), &end, &retry, &err), SNUG_EREMOTE);
}

/* ---- the journal of blocks ---- */

static void a_journal_of_blocks(void **state)
{
    (void)state;
    xet_hash      file = {{1, 2, 3}};
    remote_blocks b, c;
    snug_buf      out = snug_buf_init(1 << 20);
    uint64_t      size = 5ull * REMOTE_XET_BLOCK + 7;
    remote_blocks_plan(&b, SNUG_LIT("e"), &file, size);
    assert_int_equal(b.count, 6);
    b.done[0] = 0x25;
    remote_blocks_put(&b, &out);
    remote_blocks_plan(&c, SNUG_LIT("e"), &file, size);
    assert_int_equal(remote_blocks_read(snug_buf_slice(&out), &c, NULL), SNUG_OK);
    assert_int_equal(c.done[0], 0x25);
    for (size_t i = 0; i < out.len; i++) { /* any bit that is wrong */
        out.ptr[i] ^= 4;
        assert_int_not_equal(remote_blocks_read(snug_buf_slice(&out), &c, NULL), SNUG_OK);
        out.ptr[i] ^= 4;
    }
    free(c.done);
    remote_blocks_plan(&c, SNUG_LIT("f"), &file, size);
    assert_int_not_equal(remote_blocks_read(snug_buf_slice(&out), &c, NULL), SNUG_OK);
    free(c.done);
    remote_blocks_plan(&c, SNUG_LIT("e"), &file,
                       1ull << 45); /* blocks grow, their count does not */
    assert_true(c.count <= REMOTE_BLOCKS_MAX && c.block > REMOTE_XET_BLOCK);
    free(c.done);
    free(b.done);
    snug_buf_deinit(&out);
}

/* ---- known chunks ---- */

static xet_hash hash_no(unsigned n) { return xet_chunk_hash(snug_slice_of(&n, sizeof n)); }

static char *new_home(void)
{
    char *dir = strdup("/tmp/snug-test-xet-XXXXXX");
    assert_non_null(mkdtemp(dir));
    assert_int_equal(setenv("HF_XET_CACHE", dir, 1), 0);
    return dir;
}

static void drop_home(char *dir)
{
    assert_int_equal(snug_remove_tree(dir, NULL), SNUG_OK);
    free(dir);
}

static void chunks_are_remembered(void **state)
{
    (void)state;
    char         *home = new_home();
    remote_known *k = remote_known_open("http://s/realm", false);
    remote_place  at;
    xet_hash      name = hash_no(1000), other = hash_no(1001);
    uint32_t      x = remote_known_new_xorb(k);
    for (unsigned i = 0; i < 3000; i++) {
        xet_hash h = hash_no(i);
        remote_known_add(k, x, &h, 100 + i);
    }
    remote_known_name(k, x, &name);
    xet_hash h7 = hash_no(7), h8 = hash_no(8), none = hash_no(5000);
    assert_true(remote_known_find(k, &h7, &at));
    assert_true(at.xorb == x && at.chunk == 7);
    assert_true(remote_known_follows(k, at, &h8));
    assert_false(remote_known_follows(k, at, &h7));
    assert_false(remote_known_find(k, &none, &at));
    assert_false(remote_known_is_old(k, x));
    remote_known_keep(k, x);
    remote_known_close(k);

    k = remote_known_open("http://s/realm", false); /* the next upload */
    assert_true(remote_known_find(k, &h7, &at));
    assert_true(remote_known_is_old(k, at.xorb));
    xet_hash found = remote_known_hash(k, at.xorb);
    assert_memory_equal(found.b, name.b, 32);
    remote_known_confirm(k, at.xorb, false); /* the store has it no more */
    assert_false(remote_known_find(k, &h7, &at));
    remote_known_close(k);

    k = remote_known_open("http://s/other", false); /* another store knows nothing */
    assert_false(remote_known_find(k, &h7, &at));
    remote_known_close(k);
    k = remote_known_open("http://s/realm", true);
    assert_false(remote_known_find(k, &h7, &at));
    remote_known_close(k);
    (void)other;
    drop_home(home);
}

static void put_answer(unsigned first, unsigned count, const unsigned char *key, uint64_t until,
                       snug_buf *out)
{
    xet_shard_chunk *chunks = snug_zalloc(count * sizeof *chunks);
    for (unsigned i = 0; i < count; i++) {
        xet_hash h = hash_no(first + i);
        chunks[i] = (xet_shard_chunk){.hash = key != NULL ? xet_hmac(key, &h) : h, .raw_size = 10};
    }
    xet_shard_xorb   x = {.hash = hash_no(9000 + first), .chunks = chunks, .count = count};
    xet_shard        s = {.xorbs = &x, .xorb_count = 1};
    xet_shard_footer foot = {.created_s = 1, .expires_s = until};
    if (key != NULL) memcpy(foot.hmac_key, key, 32);
    xet_shard_write(&s, &foot, out);
    free(chunks);
}

static void answers_hide_their_hashes(void **state)
{
    (void)state;
    char               *home = new_home();
    remote_known       *k = remote_known_open("http://s", false);
    remote_place        at;
    snug_buf            b = snug_buf_init(1 << 20);
    const unsigned char key[32] = {9, 8, 7};
    uint64_t            later = (uint64_t)snug_now_ms() / 1000 + 100;
    xet_hash            h5 = hash_no(5), h6 = hash_no(6), h55 = hash_no(55);
    put_answer(0, 50, key, later, &b);
    assert_int_equal(remote_known_answer(k, snug_buf_slice(&b), NULL), SNUG_OK);
    assert_true(remote_known_find(k, &h5, &at));
    assert_true(at.chunk == 5 && remote_known_follows(k, at, &h6));
    snug_buf_clear(&b);
    put_answer(50, 10, NULL, later, &b); /* a key of zeros: plain */
    assert_int_equal(remote_known_answer(k, snug_buf_slice(&b), NULL), SNUG_OK);
    assert_true(remote_known_find(k, &h55, &at));
    snug_buf_clear(&b);
    put_answer(100, 10, key, 5, &b); /* expired */
    assert_int_equal(remote_known_answer(k, snug_buf_slice(&b), NULL), SNUG_ECORRUPT);
    for (size_t n = 0; n < b.len; n += 7)
        assert_int_not_equal(remote_known_answer(k, snug_slice_of(b.ptr, n), NULL), SNUG_OK);
    for (unsigned i = 0; i < 100; i++) { /* the oldest ones are forgotten */
        snug_buf_clear(&b);
        put_answer(1000 + 10 * i, 10, key, later, &b);
        assert_int_equal(remote_known_answer(k, snug_buf_slice(&b), NULL), SNUG_OK);
    }
    xet_hash last = hash_no(1995);
    assert_false(remote_known_find(k, &h5, &at));
    assert_true(remote_known_find(k, &last, &at));
    remote_known_close(k);
    snug_buf_deinit(&b);
    drop_home(home);
}

/* ---- the chunk cache ---- */

static snug_status count_chunks(void *arg, uint32_t index, snug_slice raw, snug_err *err)
{
    (void)raw, (void)err;
    uint32_t *next = arg;
    assert_int_equal(index, *next);
    ++*next;
    return SNUG_OK;
}

static uint32_t get(remote_chunks *k, const xet_hash *x, uint32_t start, uint32_t end)
{
    uint32_t next, seen = start;
    assert_int_equal(remote_chunks_get(k, x, start, end, count_chunks, &seen, &next, NULL),
                     SNUG_OK);
    assert_int_equal(next, seen);
    return next;
}

static void chunks_are_kept(void **state)
{
    (void)state;
    enum { N = 20 };
    char *home = new_home();
    assert_int_equal(setenv("HF_XET_CHUNK_CACHE_SIZE_BYTES", "64M", 1), 0);
    remote_chunks *k = remote_chunks_open("http://hub");
    snug_buf       records = snug_buf_init(8 << 20);
    xet_hash       x = hash_no(1), hashes[N];
    uint32_t       ends[N];
    unsigned char *raw = snug_alloc(10000);
    for (unsigned i = 0; i < N; i++) {
        snug_random(raw, 10000);
        xet_record_put(&records, snug_slice_of(raw, 10000 - i));
        hashes[i] = xet_chunk_hash(snug_slice_of(raw, 10000 - i));
        ends[i] = (uint32_t)records.len;
    }
    assert_int_equal(get(k, &x, 5, 10), 5);
    remote_chunks_put(k, &x, 5, N, hashes, ends, snug_buf_slice(&records));
    assert_int_equal(get(k, &x, 5, 25), 25);
    assert_int_equal(get(k, &x, 9, 12), 12); /* a part of it */
    assert_int_equal(get(k, &x, 20, 40), 25);
    assert_int_equal(get(k, &x, 3, 10), 3);
    remote_chunks *other = remote_chunks_open("http://another"); /* hubs do not share */
    assert_int_equal(get(other, &x, 5, 25), 5);
    remote_chunks_close(other);
    /* A lie about one chunk: what came before it is good, the entry goes. */
    hashes[7] = hashes[6];
    xet_hash y = hash_no(2);
    remote_chunks_put(k, &y, 0, N, hashes, ends, snug_buf_slice(&records));
    assert_int_equal(get(k, &y, 0, N), 7);
    assert_int_equal(get(k, &y, 0, N), 0);
    remote_chunks_close(k);
    assert_int_equal(setenv("HF_XET_CHUNK_CACHE_SIZE_BYTES", "0", 1), 0);
    assert_null(remote_chunks_open("http://hub"));
    unsetenv("HF_XET_CHUNK_CACHE_SIZE_BYTES");
    snug_buf_deinit(&records);
    free(raw);
    drop_home(home);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_versions_read_alike),
        cmocka_unit_test(odd_answers_are_refused),
        cmocka_unit_test(tickets),
        cmocka_unit_test(lines_of_a_shard),
        cmocka_unit_test(a_journal_of_blocks),
        cmocka_unit_test(chunks_are_remembered),
        cmocka_unit_test(answers_hide_their_hashes),
        cmocka_unit_test(chunks_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
