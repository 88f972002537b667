/* SPDX-License-Identifier: Apache-2.0 */
/* tests/tok/test_goldens.c - what the `tokenizers` library (0.23) did with texts, and what we do.
 *
 * tests/golden/tok/<name>/{tokenizer.json,cases.json}; cases.json may name a folder of the
 * repository that holds the tokenizer. Each case is encoded, decoded in one go and decoded as a
 * stream. With folders as arguments those are run instead, and counted. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tok/tok_int.h"

#define GOLDEN SNUG_SOURCE_DIR "/tests/golden/tok"

typedef struct run {
    const char *name;
    size_t      cases, passed, shown;
} run;

static bool wrong(run *r, snug_slice text, const char *what, snug_slice got, snug_slice want)
{
    if (r->shown++ < 5) {
        printf("%s: %s of \"%.*s\"\n   got %.*s\n  want %.*s\n", r->name, what,
               SNUG_SLICE(snug_sub(text, 0, 200)), SNUG_SLICE(snug_sub(got, 0, 600)),
               SNUG_SLICE(snug_sub(want, 0, 600)));
    }
    return false;
}

static bool same_numbers(run *r, snug_json c, const char *key, const uint32_t *a, const uint8_t *b,
                         size_t n)
{
    snug_json list = snug_json_get(c, key);
    bool      same = snug_json_count(list) == n && snug_json_is(list, SNUG_JSON_ARRAY);
    size_t    i = 0;
    for (snug_json_iter it = snug_json_iter_of(list); same && snug_json_next(&it); i++) {
        uint64_t v = UINT64_MAX;
        same = snug_json_to_u64(it.value, &v) && v == (a != NULL ? a[i] : b[i]);
    }
    if (same) return true;
    snug_buf      got = snug_buf_init(1 << 20), want = snug_buf_init(1 << 20);
    snug_json_out o = snug_json_out_init(&want);
    snug_jo_value(&o, list);
    for (i = 0; i < n; i++) snug_buf_printf(&got, "%u,", a != NULL ? a[i] : b[i]);
    (void)wrong(r, snug_json_str_or(c, "text", SNUG_EMPTY), key, snug_buf_slice(&got),
                snug_buf_slice(&want));
    snug_buf_deinit(&got);
    snug_buf_deinit(&want);
    return false;
}

/* An absent list: all of them are `dflt`. */
static bool same_or(run *r, snug_json c, const char *key, const uint32_t *a, const uint8_t *b,
                    size_t n, uint32_t dflt)
{
    if (!snug_json_is(snug_json_get(c, key), SNUG_JSON_ABSENT))
        return same_numbers(r, c, key, a, b, n);
    for (size_t i = 0; i < n; i++) {
        if ((a != NULL ? a[i] : b[i]) != dflt)
            return wrong(r, snug_json_str_or(c, "text", SNUG_EMPTY), key, SNUG_EMPTY, SNUG_EMPTY);
    }
    return true;
}

static bool same_offsets(run *r, snug_json c, const tok_ids *ids)
{
    snug_json list = snug_json_get(c, "offsets");
    bool      same = snug_json_count(list) == ids->count;
    size_t    i = 0;
    for (snug_json_iter it = snug_json_iter_of(list); same && snug_json_next(&it); i++) {
        uint64_t b = 0, e = 0;
        same = snug_json_to_u64(snug_json_at(it.value, 0), &b) &&
               snug_json_to_u64(snug_json_at(it.value, 1), &e) && b == ids->begin[i] &&
               e == ids->end[i];
    }
    if (same) return true;
    snug_buf      got = snug_buf_init(1 << 20), want = snug_buf_init(1 << 20);
    snug_json_out o = snug_json_out_init(&want);
    snug_jo_value(&o, list);
    for (i = 0; i < ids->count; i++) snug_buf_printf(&got, "[%u,%u],", ids->begin[i], ids->end[i]);
    (void)wrong(r, snug_json_str_or(c, "text", SNUG_EMPTY), "offsets", snug_buf_slice(&got),
                snug_buf_slice(&want));
    snug_buf_deinit(&got);
    snug_buf_deinit(&want);
    return false;
}

/* Token texts: as in the vocabulary, or as the text had it where a token stands for several. The
 * second text comes first in some templates. */
static bool same_tokens(run *r, const tok *t, snug_json c, const tok_ids *ids, snug_slice a,
                        snug_slice b)
{
    tok_work w;
    bool     same = true, turned = false;
    size_t   plain = 0, i = 0, first;
    tok_work_init(&w, t, 0, NULL);
    assert_int_equal(tok_encode_text(&w, a), SNUG_OK);
    first = w.token_count;
    assert_int_equal(tok_encode_text(&w, b), SNUG_OK);
    turned = snug_json_bool_or(c, "second_first", false);
    for (snug_json_iter it = snug_json_iter_of(snug_json_get(c, "tokens"));
         same && snug_json_next(&it); i++) {
        snug_slice want, got = tok_id_to_token(t, ids->ids[i]);
        if (!ids->special[i]) {
            size_t at = plain++;
            if (turned) at = at < w.token_count - first ? first + at : at - (w.token_count - first);
            if (w.tokens[at].surface.ptr != NULL) got = w.tokens[at].surface;
        }
        same = snug_json_to_str(it.value, &want) && snug_eq(got, want);
        if (!same) (void)wrong(r, a, "token", got, want);
    }
    tok_work_deinit(&w);
    return same;
}

static bool same_decoding(run *r, const tok *t, snug_json c, const char *key, bool skip,
                          const tok_ids *ids)
{
    snug_slice  want = snug_json_str_or(c, key, SNUG_EMPTY);
    snug_buf    whole = snug_buf_init(1 << 20), stream = snug_buf_init(1 << 20);
    tok_stream *s = tok_stream_new(t, skip);
    bool        same = true;
    assert_int_equal(tok_decode(t, ids->ids, ids->count, skip, &whole, NULL), SNUG_OK);
    for (size_t i = 0; i < ids->count; i++) {
        assert_int_equal(tok_stream_push(s, ids->ids[i], &stream, NULL), SNUG_OK);
        same = same && snug_utf8_valid(snug_buf_slice(&stream)); /* no code point is split */
    }
    assert_int_equal(tok_stream_end(s, &stream, NULL), SNUG_OK);
    if (!snug_eq(snug_buf_slice(&whole), want))
        same = wrong(r, want, key, snug_buf_slice(&whole), want);
    if (!snug_eq(snug_buf_slice(&stream), want))
        same = wrong(r, want, "stream", snug_buf_slice(&stream), want);
    tok_stream_free(s);
    snug_buf_deinit(&whole);
    snug_buf_deinit(&stream);
    return same;
}

static bool run_case(run *r, const tok *t, snug_json c)
{
    tok_ids     ids = {0};
    snug_err    err = {0};
    snug_slice  text = snug_json_str_or(c, "text", SNUG_EMPTY), pair = SNUG_EMPTY;
    unsigned    flags = snug_json_bool_or(c, "add_special", true) ? TOK_ADD_SPECIAL : 0;
    bool        two = snug_json_to_str(snug_json_get(c, "pair"), &pair);
    snug_status st = two ? tok_encode_pair(t, text, pair, flags, &ids, &err)
                         : tok_encode(t, text, flags, &ids, &err);
    bool        same = false;
    if (st != SNUG_OK) {
        (void)wrong(r, text, err.msg, SNUG_EMPTY, SNUG_EMPTY);
    } else {
        const char *keep = "decoded_keep_special"; /* left out when it is the same */
        if (snug_json_is(snug_json_get(c, keep), SNUG_JSON_ABSENT)) keep = "decoded";
        same = same_numbers(r, c, "ids", ids.ids, NULL, ids.count) && same_offsets(r, c, &ids) &&
               same_or(r, c, "type_ids", ids.type_ids, NULL, ids.count, 0) &&
               same_or(r, c, "attention_mask", NULL, ids.attention, ids.count, 1) &&
               same_or(r, c, "special_mask", NULL, ids.special, ids.count, 0) &&
               same_tokens(r, t, c, &ids, text, pair) &&
               same_decoding(r, t, c, "decoded", true, &ids) &&
               same_decoding(r, t, c, keep, false, &ids);
    }
    tok_ids_deinit(&ids);
    return same;
}

static bool same_overflow(run *r, snug_json list, const tok_windows *w)
{
    bool   same = snug_json_count(list) + 1 == w->count;
    size_t i = 1;
    for (snug_json_iter it = snug_json_iter_of(list); same && snug_json_next(&it); i++) {
        snug_json_iter ids = snug_json_iter_of(it.value);
        same = snug_json_count(it.value) == w->items[i].count;
        for (size_t k = 0; same && snug_json_next(&ids); k++) {
            uint64_t v = UINT64_MAX;
            same = snug_json_to_u64(ids.value, &v) && v == w->items[i].ids[k];
        }
    }
    return same || wrong(r, SNUG_LIT("truncated"), "overflow", SNUG_EMPTY, SNUG_EMPTY);
}

/* A list of windows, or "truncated": the ids of the first and those of the rest, made by tokenizers
 * 0.23.2, which loses most of what overflows. */
static bool run_windows(run *r, const tok *t, snug_json g)
{
    snug_slice a = SNUG_LIT(
        "The quick brown fox jumps over the lazy dog; it didn't stop, and we're glad it won't.");
    snug_slice     b = SNUG_LIT("A second, shorter one.");
    snug_json      want = snug_json_get(g, "windows");
    snug_slice     how = snug_json_str_or(g, "strategy", SNUG_EMPTY);
    tok_windows    w = {0};
    tok_truncation tr = {.length_max = (uint32_t)snug_json_i64_or(g, "max_length", 0),
                         .stride = (uint32_t)snug_json_i64_or(g, "stride", 0),
                         .left = snug_json_bool_or(g, "left", false)};
    if (snug_eq_str(how, "only_first")) tr.strategy = TOK_ONLY_FIRST;
    if (snug_eq_str(how, "only_second")) tr.strategy = TOK_ONLY_SECOND;
    tr.early = snug_json_is(want, SNUG_JSON_ABSENT);
    bool pair = snug_json_bool_or(g, "pair", true);
    assert_int_equal(tok_encode_windows(t, a, pair ? &b : NULL, TOK_ADD_SPECIAL, &tr, &w, NULL),
                     SNUG_OK);
    bool same = w.count >= 1;
    if (snug_json_is(want, SNUG_JSON_ABSENT))
        same = same && same_numbers(r, g, "ids", w.items[0].ids, NULL, w.items[0].count) &&
               (snug_json_is(snug_json_get(g, "overflow"), SNUG_JSON_ABSENT) ||
                same_overflow(r, snug_json_get(g, "overflow"), &w));
    else
        same = same && snug_json_count(want) == w.count;
    for (size_t i = 0; same && snug_json_is(want, SNUG_JSON_ARRAY) && i < w.count; i++) {
        snug_json x = snug_json_at(want, i);
        same = same_numbers(r, x, "ids", w.items[i].ids, NULL, w.items[i].count) &&
               same_offsets(r, x, &w.items[i]) &&
               (snug_json_is(snug_json_get(x, "type_ids"),
                             SNUG_JSON_ABSENT) || /* the library forgets them later on */
                same_numbers(r, x, "type_ids", w.items[i].type_ids, NULL, w.items[i].count));
    }
    if (!same) (void)wrong(r, SNUG_LIT("truncated"), "windows", SNUG_EMPTY, SNUG_EMPTY);
    tok_windows_deinit(&w);
    return same;
}

static bool run_padded(run *r, const tok *t, snug_json g)
{
    static const char *const texts[] = {"short", "a somewhat longer sentence here", ""};
    tok_padding              p = {.left = true, .multiple = 8};
    tok_ids                  batch[3] = {{0}};
    bool                     same = true;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(tok_encode(t, snug_str(texts[i]), TOK_ADD_SPECIAL, &batch[i], NULL),
                         SNUG_OK);
    }
    assert_int_equal(tok_pad(&p, batch, 3, NULL), SNUG_OK);
    for (size_t i = 0; i < 3; i++) {
        snug_json ids = snug_json_at(snug_json_get(g, "ids"), i),
                  mask = snug_json_at(snug_json_get(g, "attention_mask"), i);
        same = same && snug_json_count(ids) == batch[i].count &&
               snug_json_count(mask) == batch[i].count;
        for (size_t k = 0; same && k < batch[i].count; k++) {
            uint64_t v = UINT64_MAX, m = UINT64_MAX;
            same = snug_json_to_u64(snug_json_at(ids, k), &v) && v == batch[i].ids[k] &&
                   snug_json_to_u64(snug_json_at(mask, k), &m) && m == batch[i].attention[k];
        }
        tok_ids_deinit(&batch[i]);
    }
    if (!same) (void)wrong(r, SNUG_LIT("padded"), "batch", SNUG_EMPTY, SNUG_EMPTY);
    return same;
}

static snug_slice load(snug_arena *a, const char *dir, const char *name)
{
    snug_slice  bytes;
    snug_err    err = {0};
    const char *path = snug_arena_printf(a, "%s/%s", dir, name).ptr;
    if (snug_read_file(a, path, 64 << 20, &bytes, &err) != SNUG_OK)
        fail_msg("%s: %s", path, err.cause);
    return bytes;
}

static void run_folder(run *r, const char *dir)
{
    snug_arena *a = snug_arena_new();
    snug_err    err = {0};
    snug_json   g;
    tok        *t = NULL;
    r->name = dir;
    assert_int_equal(snug_json_parse(a, load(a, dir, "cases.json"), NULL, &g, &err), SNUG_OK);
    snug_slice  elsewhere = snug_json_str_or(g, "tokenizer", SNUG_EMPTY); /* in the repository */
    const char *home = dir;
    if (elsewhere.len > 0)
        home = snug_arena_printf(a, "%s/%.*s", SNUG_SOURCE_DIR, SNUG_SLICE(elsewhere)).ptr;
    if (tok_load(load(a, home, "tokenizer.json"), &t, &err) != SNUG_OK)
        fail_msg("%s: %s", dir, err.msg);
    for (snug_json_iter it = snug_json_iter_of(snug_json_get(g, "cases")); snug_json_next(&it);) {
        r->cases++;
        r->passed += run_case(r, t, it.value);
    }
    snug_json truncated = snug_json_get(g, "truncated"), padded = snug_json_get(g, "padded");
    if (snug_json_is(truncated, SNUG_JSON_OBJECT)) {
        r->cases++;
        r->passed += run_windows(r, t, truncated);
    }
    for (snug_json_iter it = snug_json_iter_of(snug_json_get(g, "windows")); snug_json_next(&it);) {
        r->cases++;
        r->passed += run_windows(r, t, it.value);
    }
    if (snug_json_is(padded, SNUG_JSON_OBJECT)) {
        r->cases++;
        r->passed += run_padded(r, t, padded);
    }
    tok_free(t);
    snug_arena_free(a);
}

static void goldens_agree(void **state)
{
    DIR           *d = opendir(GOLDEN);
    struct dirent *e;
    size_t         folders = 0, cases = 0;
    (void)state;
    assert_non_null(d);
    while ((e = readdir(d)) != NULL) {
        char path[1024];
        run  r = {0};
        if (e->d_name[0] == '.') continue;
        (void)snprintf(path, sizeof path, "%s/%s", GOLDEN, e->d_name);
        run_folder(&r, path);
        if (r.passed != r.cases) fail_msg("%s: %zu of %zu", path, r.passed, r.cases);
        folders++;
        cases += r.cases;
    }
    (void)closedir(d);
    assert_true(folders >= 3 && cases >= 300);
}

/* One part at a time in small tokenizers; values from tokenizers 0.22.1. */
static void parts_agree(void **state)
{
    snug_arena *a = snug_arena_new();
    snug_err    err = {0};
    snug_json   all;
    run         r = {.name = "parts"};
    (void)state;
    assert_int_equal(snug_json_parse(a, load(a, GOLDEN "-parts", "parts.json"), NULL, &all, &err),
                     SNUG_OK);
    for (snug_json_iter g = snug_json_iter_of(all); snug_json_next(&g);) {
        SNUG_AUTO(snug_buf) json = snug_buf_init(1 << 20);
        snug_json_out o = snug_json_out_init(&json);
        tok          *t = NULL;
        snug_jo_value(&o, snug_json_get(g.value, "tokenizer"));
        if (tok_load(snug_buf_slice(&json), &t, &err) != SNUG_OK)
            fail_msg("%s: %s", snug_buf_cstr(&json), err.msg);
        size_t before = r.cases - r.passed;
        for (snug_json_iter it = snug_json_iter_of(snug_json_get(g.value, "cases"));
             snug_json_next(&it); r.cases++) {
            r.passed += run_case(&r, t, it.value);
        }
        for (snug_json_iter it = snug_json_iter_of(snug_json_get(g.value, "decodes"));
             snug_json_next(&it); r.cases++) {
            uint32_t raw[64];
            tok_ids  ids = {.ids = raw};
            uint64_t v;
            for (snug_json_iter k = snug_json_iter_of(snug_json_get(it.value, "ids"));
                 snug_json_next(&k);) {
                assert_true(snug_json_to_u64(k.value, &v) && ids.count < 64);
                raw[ids.count++] = (uint32_t)v;
            }
            r.passed += same_decoding(&r, t, it.value, "decoded", false, &ids);
        }
        if (r.cases - r.passed != before) printf("in %.400s\n", snug_buf_cstr(&json));
        tok_free(t);
    }
    assert_true(r.cases > 1000);
    assert_int_equal(r.passed, r.cases);
    snug_arena_free(a);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(goldens_agree),
                                       cmocka_unit_test(parts_agree)};
    if (argc < 2) return cmocka_run_group_tests(tests, NULL, NULL);
    int bad = 0;
    for (int i = 1; i < argc; i++) {
        run r = {0};
        run_folder(&r, argv[i]);
        printf("%-60s %zu of %zu\n", argv[i], r.passed, r.cases);
        bad |= r.passed != r.cases;
    }
    return bad;
}
