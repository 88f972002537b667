/* SPDX-License-Identifier: Apache-2.0 */
/* tests/base/test_json_oracle.c - the JSON reader against jansson, on made and on damaged
 * documents.
 *
 * Both must accept or refuse the same texts and read the same values. Integers beyond int64, which
 * jansson refuses, are kept out of the documents. */
#include <jansson.h>
#include <math.h>

#include "check.h"

enum { ORACLE_FLAGS = JSON_DECODE_ANY | JSON_ALLOW_NUL };

/* ---- the same value? ---- */

static bool same(snug_json v, const json_t *want);

/* jansson keeps the last of two equal keys, which is the one our look-up finds. */
static bool same_object(snug_json v, const json_t *want)
{
    size_t known = 0;
    for (snug_json_iter it = snug_json_iter_of(v); snug_json_next(&it);) {
        const json_t *member = json_object_getn(want, it.key.ptr, it.key.len);
        snug_json     found = snug_json_get_slice(v, it.key);
        if (member == NULL || !same(found, member)) return false;
        if (found.node == it.value.node) known++;
    }
    return known == json_object_size(want);
}

static bool same_array(snug_json v, const json_t *want)
{
    if (snug_json_count(v) != json_array_size(want)) return false;
    for (size_t i = 0; i < json_array_size(want); i++) {
        if (!same(snug_json_at(v, i), json_array_get(want, i))) return false;
    }
    return true;
}

static bool same(snug_json v, const json_t *want)
{
    snug_slice s;
    int64_t    i;
    double     d;
    bool       b;
    switch (json_typeof(want)) {
    case JSON_OBJECT: return snug_json_is(v, SNUG_JSON_OBJECT) && same_object(v, want);
    case JSON_ARRAY: return snug_json_is(v, SNUG_JSON_ARRAY) && same_array(v, want);
    case JSON_STRING:
        return snug_json_to_str(v, &s) &&
               snug_eq(s, snug_slice_of(json_string_value(want), json_string_length(want)));
    case JSON_INTEGER: return snug_json_to_i64(v, &i) && i == json_integer_value(want);
    case JSON_REAL: {
        double real = json_real_value(want);
        return snug_json_is(v, SNUG_JSON_REAL) && snug_json_to_f64(v, &d) &&
               memcmp(&d, &real, sizeof d) == 0;
    }
    case JSON_TRUE: return snug_json_to_bool(v, &b) && b;
    case JSON_FALSE: return snug_json_to_bool(v, &b) && !b;
    case JSON_NULL: return snug_json_is(v, SNUG_JSON_NULL);
    }
    return false;
}

/* Returns whether the document is valid; fails the test when the two disagree. */
static bool agree(snug_slice text, unsigned flags)
{
    snug_arena    *a = snug_arena_new();
    snug_slice     tight = check_tight(text);
    snug_json_opts o = {.flags = flags, .depth_max = 1024};
    snug_json      v;
    snug_err       err = {0};
    json_error_t   why;
    snug_status    st = snug_json_parse(a, tight, &o, &v, &err);
    json_t        *want = json_loadb(text.ptr, text.len, ORACLE_FLAGS, &why);
    if ((st == SNUG_OK) != (want != NULL)) {
        fail_msg("%.*s\nours: %s\njansson: %s", SNUG_SLICE(text), err.msg,
                 want == NULL ? why.text : "fine");
    }
    if (want != NULL && !same(v, want)) fail_msg("read differently: %.*s", SNUG_SLICE(text));
    json_decref(want);
    check_untight(tight);
    snug_arena_free(a);
    return st == SNUG_OK;
}

/* ---- documents from random numbers ---- */

typedef struct maker {
    uint64_t rnd;
    snug_buf out;
    unsigned keys; /* makes keys distinct */
} maker;

static unsigned pick(maker *m, unsigned n) { return (unsigned)(check_random(&m->rnd) % n); }

static void put_space(maker *m)
{
    static const char *const spaces[] = {"",     "",   "",     " ",
                                         "\n  ", "\t", "\r\n", "                    "};
    snug_buf_puts(&m->out, spaces[pick(m, 8)]);
}

static void put_code_point(maker *m)
{
    static const uint32_t from[] = {0x20, 0x80, 0x800, 0xe000, 0x10000};
    static const uint32_t to[] = {0x7f, 0x7ff, 0xd7ff, 0xffff, 0x10ffff};
    unsigned              k = pick(m, 5);
    uint32_t              cp = from[k] + pick(m, to[k] - from[k] + 1);
    char                  utf8[4];
    size_t                n = snug_utf8_put(cp, utf8);
    if (pick(m, 3) == 0 && cp >= 0x10000) {
        snug_buf_printf(&m->out, "\\u%04x\\u%04X", 0xd800 + ((cp - 0x10000) >> 10),
                        0xdc00 + ((cp - 0x10000) & 0x3ff));
    } else if (pick(m, 3) == 0 || cp == '"' || cp == '\\') {
        if (cp < 0x10000)
            snug_buf_printf(&m->out, "\\u%04x", cp);
        else
            snug_buf_put(&m->out, utf8, n);
    } else {
        snug_buf_put(&m->out, utf8, n);
    }
}

static void put_string(maker *m, bool key)
{
    static const char *const pieces[] = {
        "plain words ", "\\n",     "\\\"",         "\\\\",
        "\\/",          "\\u0000", "\\t\\r\\b\\f", "0123456789abcdef"};
    snug_buf_putc(&m->out, '"');
    if (key) snug_buf_printf(&m->out, "%u-", m->keys++);
    for (unsigned n = pick(m, 12); n > 0; n--) {
        if (pick(m, 2) == 0) {
            /* jansson refuses NUL in keys */
            unsigned k = pick(m, 8);
            snug_buf_puts(&m->out, pieces[key && k == 5 ? 0 : k]);
        } else {
            put_code_point(m);
        }
    }
    snug_buf_putc(&m->out, '"');
}

static void put_number(maker *m)
{
    uint64_t r = check_random(&m->rnd);
    switch (pick(m, 6)) {
    case 0: snug_buf_printf(&m->out, "%d", (int)(r % 2001) - 1000); break;
    case 1: snug_buf_printf(&m->out, "%lld", (long long)r); break;
    case 2: snug_buf_printf(&m->out, "%.17g", (double)(r >> 11) * 0x1p-53 + 2.0); break;
    case 3:
        snug_buf_printf(&m->out, "%u.%ue%d", (unsigned)(r % 100), (unsigned)(r >> 40),
                        (int)pick(m, 580) - 290);
        break;
    case 4:
        snug_buf_printf(&m->out, "-0.%020llu%llu", (unsigned long long)r, (unsigned long long)r);
        break;
    default:
        snug_buf_printf(&m->out, "%llu.%03uE+%u", (unsigned long long)r, pick(m, 1000),
                        pick(m, 30));
        break;
    }
}

static void put_value(maker *m, unsigned depth);

static void put_container(maker *m, unsigned depth, bool object)
{
    unsigned count = pick(m, 20) == 0 ? 80 : pick(m, 6);
    snug_buf_putc(&m->out, object ? '{' : '[');
    for (unsigned i = 0; i < count; i++) {
        if (i > 0) snug_buf_putc(&m->out, ',');
        put_space(m);
        if (object) {
            put_string(m, true);
            put_space(m);
            snug_buf_putc(&m->out, ':');
            put_space(m);
        }
        put_value(m, depth - 1);
    }
    put_space(m);
    snug_buf_putc(&m->out, object ? '}' : ']');
}

static void put_value(maker *m, unsigned depth)
{
    static const char *const words[] = {"true", "false", "null"};
    unsigned                 k = pick(m, depth == 0 ? 6 : 12);
    if (k < 2)
        snug_buf_puts(&m->out, words[pick(m, 3)]);
    else if (k < 4)
        put_number(m);
    else if (k < 6)
        put_string(m, false);
    else
        put_container(m, depth, k < 9);
    put_space(m);
}

static void test_made(void **state)
{
    (void)state;
    maker m = {.rnd = 42, .out = snug_buf_init(1 << 24)};
    for (int i = 0; i < 1500; i++) {
        snug_buf_clear(&m.out);
        put_space(&m);
        put_value(&m, 5);
        assert_false(m.out.full);
        assert_true(agree(snug_buf_slice(&m.out), 0));
        assert_true(agree(snug_buf_slice(&m.out), SNUG_JSON_BORROW | SNUG_JSON_UNIQUE));
    }
    snug_buf_deinit(&m.out);
}

/* ---- damaged documents ---- */

static const char *const seeds[] = {
    "{\"a\":[1,-2.5e3,true,false,null],\"b\":{\"c\":\"x\\u00e9\\ud83d\\ude00\\n\xc3\xa9\"}}",
    "[[[]],{\"k\":{}},\"\xe4\xb8\xad\xf0\x9f\x98\x80\",0,-0,1.5,2e-7]",
    "  \"a string at the top \\\\ \\\" \\/ \\b\\f\\n\\r\\t with everything\"  ",
    "-12.75e+1",
};

/* Every byte of every seed replaced by bytes that matter. */
static void test_replaced(void **state)
{
    (void)state;
    static const char bytes[] =
        "\"\\/,:[]{}0159-+.eEutfn \n\t\x01\x1f\x7f\x80\xbf\xc2\xe0\xed\xf4\xff";
    unsigned good = 0, bad = 0;
    for (size_t s = 0; s < sizeof seeds / sizeof seeds[0]; s++) {
        size_t n = strlen(seeds[s]);
        for (size_t at = 0; at < n; at++) {
            for (size_t k = 0; k < sizeof bytes; k++) { /* the final NUL too */
                char room[256];
                memcpy(room, seeds[s], n);
                room[at] = bytes[k];
                bool ok = agree((snug_slice){room, n}, k % 2 == 0 ? 0u : SNUG_JSON_BORROW);
                good += ok;
                bad += !ok;
            }
        }
    }
    assert_true(good > 500 && bad > 3000);
}

/* Pieces cut out, doubled and swapped. */
static void test_spliced(void **state)
{
    (void)state;
    uint64_t rnd = 7;
    unsigned good = 0, bad = 0;
    for (int i = 0; i < 60000; i++) {
        const char *from = seeds[check_random(&rnd) % 4], *other = seeds[check_random(&rnd) % 4];
        size_t      n = strlen(from), m = strlen(other);
        size_t      head = check_random(&rnd) % (n + 1), tail = check_random(&rnd) % (m + 1);
        char        room[512];
        memcpy(room, from, head);
        memcpy(room + head, other + tail, m - tail);
        bool ok = agree((snug_slice){room, head + m - tail}, i % 2 == 0 ? 0u : SNUG_JSON_BORROW);
        good += ok;
        bad += !ok;
    }
    assert_true(good > 500 && bad > 20000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_made),
        cmocka_unit_test(test_replaced),
        cmocka_unit_test(test_spliced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
