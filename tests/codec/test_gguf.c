/* SPDX-License-Identifier: Apache-2.0 */
/* tests/codec/test_gguf.c - GGUF headers: equal to what the gguf package (0.19.0) reads, hostile
 * ones refused with a sentence, and what is written read back equal. */
#include <dirent.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "codec/codec.h"

#define GOLDEN SNUG_SOURCE_DIR "/tests/golden/codec/gguf"

/* ---- building files by hand ---- */

static void put(snug_buf *b, uint64_t v, unsigned size)
{
    for (unsigned i = 0; i < size; i++) snug_buf_putc(b, (char)(v >> (8 * i) & 255));
}

static void put_str(snug_buf *b, const char *s)
{
    put(b, strlen(s), 8);
    snug_buf_puts(b, s);
}

static snug_buf head(uint32_t version, uint64_t tensors, uint64_t pairs)
{
    snug_buf b = snug_buf_init(1 << 24);
    snug_buf_puts(&b, "GGUF");
    put(&b, version, 4);
    put(&b, tensors, 8);
    put(&b, pairs, 8);
    return b;
}

static void put_tensor(snug_buf *b, const char *name, uint64_t ne0, uint32_t type, uint64_t offset)
{
    put_str(b, name);
    put(b, 1, 4);
    put(b, ne0, 8);
    put(b, type, 4);
    put(b, offset, 8);
}

static void put_zeros(snug_buf *b, size_t to)
{
    while (b->len < to) snug_buf_putc(b, 0);
}

static void refused_at(snug_buf *b, uint64_t file_size, snug_status want, const char *words)
{
    snug_arena *a = snug_arena_new();
    snug_err    err = {0};
    codec_gguf  g;
    snug_status st = codec_gguf_parse(a, snug_buf_slice(b), file_size, &g, &err);
    if (st != want || strstr(err.msg, words) == NULL)
        fail_msg("%s: \"%s\", not \"%s\"", snug_status_name(st), err.msg, words);
    snug_arena_free(a);
    snug_buf_deinit(b);
}

static void refused(snug_buf *b, const char *words) { refused_at(b, b->len, SNUG_ECORRUPT, words); }

/* ---- the other reader agrees ---- */

static void same_number(const codec_gguf_value *v, snug_json want)
{
    int64_t  i, wi;
    uint64_t u, wu;
    double   f, wf;
    if (v->kind == CODEC_GGUF_F32 || v->kind == CODEC_GGUF_F64) {
        assert_true(codec_gguf_to_f64(v, &f) && snug_json_to_f64(want, &wf));
        assert_true(f == wf);
    } else if (codec_gguf_to_u64(v, &u)) {
        assert_true(snug_json_to_u64(want, &wu));
        assert_true(u == wu);
    } else {
        assert_true(codec_gguf_to_i64(v, &i) && snug_json_to_i64(want, &wi));
        assert_true(i == wi);
    }
}

static void same_value(const codec_gguf_value *v, snug_json want)
{
    snug_slice s, ws;
    bool       b, wb;
    if (v->kind == CODEC_GGUF_ARRAY) {
        assert_int_equal(v->count, snug_json_count(want));
        for (uint64_t i = 0; i < v->count; i++) {
            codec_gguf_value e = codec_gguf_at(v, i);
            same_value(&e, snug_json_at(want, i));
        }
    } else if (v->kind == CODEC_GGUF_STRING) {
        assert_true(codec_gguf_to_str(v, &s) && snug_json_to_str(want, &ws));
        assert_true(snug_eq(s, ws));
    } else if (v->kind == CODEC_GGUF_BOOL) {
        assert_true(codec_gguf_to_bool(v, &b) && snug_json_to_bool(want, &wb));
        assert_int_equal(b, wb);
    } else {
        same_number(v, want);
    }
}

static void same_tensor(const codec_gguf_tensor *t, snug_json want)
{
    snug_slice name, type;
    uint64_t   n;
    assert_true(snug_json_to_str(snug_json_at(want, 0), &name) &&
                snug_json_to_str(snug_json_at(want, 1), &type));
    assert_true(snug_eq(t->name, name));
    assert_true(snug_eq_str(type, t->type->name));
    assert_ptr_equal(codec_ggml_type_named(type), t->type);
    snug_json dims = snug_json_at(want, 2);
    assert_int_equal(t->rank, snug_json_count(dims));
    for (unsigned d = 0; d < t->rank; d++) {
        assert_true(snug_json_to_u64(snug_json_at(dims, d), &n));
        assert_int_equal(t->dims[d], n);
    }
    assert_true(snug_json_to_u64(snug_json_at(want, 3), &n));
    assert_int_equal(t->offset, n);
    assert_true(snug_json_to_u64(snug_json_at(want, 4), &n));
    assert_int_equal(t->size, n);
}

/* Written again from the parsed structure, the header is the same bytes. */
static void same_when_written(const codec_gguf *g, snug_slice file)
{
    snug_buf out = snug_buf_init(1 << 24);
    snug_err err = {0};
    assert_int_equal(
        codec_gguf_write_header(g->kvs, g->kv_count, g->tensors, g->tensor_count, &out, &err),
        SNUG_OK);
    assert_int_equal(out.len, (g->data_offset + g->alignment - 1) / g->alignment * g->alignment);
    assert_memory_equal(out.ptr, file.ptr, g->data_offset);
    snug_buf_deinit(&out);
}

static void compare_file(const char *dir, const char *json_name)
{
    snug_arena *a = snug_arena_new();
    snug_err    err = {0};
    snug_slice  file, text;
    snug_json   want;
    codec_gguf  g;
    size_t      stem = strlen(json_name) - 5;
    char       *path =
        snug_arena_cstr(a, snug_arena_printf(a, "%s/%.*s.gguf", dir, (int)stem, json_name));
    assert_int_equal(snug_read_file(a, path, 1 << 24, &file, &err), SNUG_OK);
    path = snug_arena_cstr(a, snug_arena_printf(a, "%s/%s", dir, json_name));
    assert_int_equal(snug_read_file(a, path, 1 << 24, &text, &err), SNUG_OK);
    assert_int_equal(snug_json_parse(a, text, NULL, &want, &err), SNUG_OK);
    if (codec_gguf_parse(a, file, file.len, &g, &err) != SNUG_OK)
        fail_msg("%s: %s", json_name, err.msg);
    assert_int_equal(g.version, 3);
    assert_int_equal(g.alignment, snug_json_i64_or(want, "alignment", -1));
    if (g.tensor_count > 0)
        assert_int_equal(g.data_offset, snug_json_i64_or(want, "data_offset", -1));
    snug_json pairs = snug_json_get(want, "pairs"), tensors = snug_json_get(want, "tensors");
    assert_int_equal(g.kv_count, snug_json_count(pairs));
    for (size_t i = 0; i < g.kv_count; i++) {
        snug_json  row = snug_json_at(pairs, i);
        snug_slice key, kind;
        assert_true(snug_json_to_str(snug_json_at(row, 0), &key) &&
                    snug_json_to_str(snug_json_at(row, 1), &kind));
        const codec_gguf_value *v = codec_gguf_find(&g, key);
        assert_ptr_equal(v, &g.kvs[i].value);
        assert_true(snug_eq_str(kind, codec_gguf_kind_name(v->kind)));
        same_value(v, snug_json_at(row, 2));
    }
    assert_int_equal(g.tensor_count, snug_json_count(tensors));
    for (size_t i = 0; i < g.tensor_count; i++) {
        same_tensor(&g.tensors[i], snug_json_at(tensors, i));
        assert_ptr_equal(codec_gguf_find_tensor(&g, g.tensors[i].name), &g.tensors[i]);
    }
    assert_null(codec_gguf_find(&g, SNUG_LIT("no.such.key")));
    assert_null(codec_gguf_find_tensor(&g, SNUG_LIT("no.such.tensor")));
    same_when_written(&g, file);
    snug_arena_free(a);
}

static void files_of_the_gguf_package(void **state)
{
    const char *more = getenv("SNUG_GGUF_DIR"); /* a larger run of make.py */
    const char *dirs[] = {GOLDEN, more};
    size_t      compared = 0;
    (void)state;
    for (size_t i = 0; i < (more == NULL ? 1 : 2); i++) {
        DIR *d = opendir(dirs[i]);
        assert_non_null(d);
        for (struct dirent *e; (e = readdir(d)) != NULL;) {
            if (!snug_ends_with(snug_str(e->d_name), ".json")) continue;
            compare_file(dirs[i], e->d_name);
            compared++;
        }
        (void)closedir(d);
    }
    assert_true(compared >= 6);
}

/* ---- by ranges ---- */

static void a_long_file_is_listed_from_its_head(void **state)
{
    snug_arena *a = snug_arena_new();
    snug_err    err = {0};
    codec_gguf  g;
    uint64_t    file = (uint64_t)100 << 30, size, tries = 0;
    (void)state;
    snug_buf b = head(3, 1, 2);
    put_str(&b, "tokens");
    put(&b, CODEC_GGUF_ARRAY, 4);
    put(&b, CODEC_GGUF_STRING, 4);
    put(&b, 20000, 8);
    for (unsigned i = 0; i < 20000; i++) {
        char token[16];
        (void)snprintf(token, sizeof token, "token%u", i);
        put_str(&b, token);
    }
    put_str(&b, "answer");
    put(&b, CODEC_GGUF_I32, 4);
    put(&b, 42, 4);
    put_tensor(&b, "weight", (uint64_t)24 << 30, 0, 0); /* 96 GiB of F32 */
    size_t whole = b.len, have = 8;
    while (codec_gguf_header_size(snug_sub(snug_buf_slice(&b), 0, have), file, &size, &err) ==
           SNUG_EAGAIN) {
        assert_true(size > have && size <= file);
        have = size < whole ? (size_t)size : whole;
        tries++;
    }
    assert_int_equal(size, whole);
    assert_in_range(tries, 2, 6);
    assert_int_equal(
        codec_gguf_parse(a, snug_sub(snug_buf_slice(&b), 0, whole - 1), file, &g, &err),
        SNUG_EAGAIN);
    assert_int_equal(codec_gguf_parse(a, snug_buf_slice(&b), file, &g, &err), SNUG_OK);
    assert_int_equal(g.tensors[0].size, (uint64_t)96 << 30);
    assert_int_equal(g.data_offset % 32, 0);
    codec_gguf_value last = codec_gguf_at(codec_gguf_find(&g, SNUG_LIT("tokens")), 19999);
    assert_true(snug_eq_str(last.v.str, "token19999"));
    assert_int_equal(codec_gguf_at(codec_gguf_find(&g, SNUG_LIT("tokens")), 20000).count, 0);
    snug_buf_deinit(&b);
    snug_arena_free(a);
}

/* ---- what is refused ---- */

static void versions_and_byte_orders(void **state)
{
    (void)state;
    snug_buf b = head(1, 0, 0);
    refused_at(&b, b.len, SNUG_EUNSUPPORTED, "version 1");
    b = head(4, 0, 0);
    refused_at(&b, b.len, SNUG_EUNSUPPORTED, "version 4");
    b = head(0x03000000u, 0, 0);
    refused_at(&b, b.len, SNUG_EUNSUPPORTED, "big-endian");
    b = head(3, 0, 0);
    b.ptr[0] = 'g';
    refused(&b, "starts with \"GGUF\"");
    b = head(3, 0, 0);
    b.len = 20;
    refused(&b, "the file ends");
}

static void counts_are_compared_with_bytes(void **state)
{
    (void)state;
    snug_buf b = head(3, UINT64_MAX, 0);
    refused(&b, "tensors do not fit");
    b = head(3, 0, UINT64_MAX / 2);
    refused(&b, "metadata pairs do not fit");
    b = head(3, 0, 1);
    put(&b, UINT64_MAX, 8);
    put_zeros(&b, 100);
    refused(&b, "announces 18446744073709551615 bytes");
    for (unsigned elem = 0; elem < CODEC_GGUF_KIND_COUNT; elem++) {
        b = head(3, 0, 1);
        put_str(&b, "k");
        put(&b, CODEC_GGUF_ARRAY, 4);
        put(&b, elem, 4);
        put(&b, UINT64_MAX / 8 + 2, 8); /* times eight wraps to a small number */
        put_zeros(&b, 200);
        refused(&b, "do not fit");
    }
}

static void pair(snug_buf *b, const char *key, uint32_t kind, uint64_t v, unsigned size)
{
    put_str(b, key);
    put(b, kind, 4);
    put(b, v, size);
}

static void values(void **state)
{
    (void)state;
    snug_buf b = head(3, 0, 2);
    pair(&b, "same", CODEC_GGUF_U8, 1, 1);
    pair(&b, "same", CODEC_GGUF_U8, 1, 1);
    refused(&b, "key \"same\" is there twice");
    b = head(3, 0, 1);
    pair(&b, "k", 13, 1, 8);
    refused(&b, "k: there is no value kind 13");
    b = head(3, 0, 1);
    pair(&b, "k", CODEC_GGUF_BOOL, 2, 1);
    refused(&b, "a bool is 2");
    b = head(3, 0, 1);
    pair(&b, "", CODEC_GGUF_U8, 2, 1);
    put_zeros(&b, 64);
    refused(&b, "empty, too long or no text");
    b = head(3, 0, 1);
    pair(&b, "\xff\xfe", CODEC_GGUF_U8, 2, 1);
    refused(&b, "no text");
    b = head(3, 0, 1);
    put_str(&b, "deep");
    put(&b, CODEC_GGUF_ARRAY, 4);
    for (unsigned i = 0; i < 40; i++) {
        put(&b, CODEC_GGUF_ARRAY, 4);
        put(&b, 1, 8);
    }
    put(&b, CODEC_GGUF_U8, 4);
    put(&b, 0, 8);
    refused_at(&b, b.len, SNUG_ELIMIT, "nest deeper than 8");
    for (unsigned bad = 0; bad < 3; bad++) {
        b = head(3, 0, 1);
        pair(&b, "general.alignment", CODEC_GGUF_U32, (uint64_t[]){0, 24, 1u << 21}[bad], 4);
        refused(&b, "power of two");
    }
}

static void nested_arrays_are_read_and_written(void **state)
{
    snug_arena *a = snug_arena_new();
    snug_err    err = {0};
    codec_gguf  g;
    (void)state;
    snug_buf b = head(2, 0, 1);
    put_str(&b, "nested");
    put(&b, CODEC_GGUF_ARRAY, 4);
    put(&b, CODEC_GGUF_ARRAY, 4);
    put(&b, 2, 8);
    for (uint64_t n = 1; n <= 2; n++) {
        put(&b, CODEC_GGUF_I16, 4);
        put(&b, n, 8);
        for (uint64_t i = 0; i < n; i++) put(&b, 65535 - i, 2);
    }
    assert_int_equal(codec_gguf_parse(a, snug_buf_slice(&b), b.len, &g, &err), SNUG_OK);
    assert_int_equal(g.version, 2);
    codec_gguf_value row = codec_gguf_at(&g.kvs[0].value, 1), e = codec_gguf_at(&row, 1);
    int64_t          i;
    uint64_t         u;
    assert_int_equal(row.count, 2);
    assert_true(codec_gguf_to_i64(&e, &i));
    assert_int_equal(i, -2);
    assert_false(codec_gguf_to_u64(&e, &u));
    assert_false(codec_gguf_to_u64(NULL, &u));
    snug_buf out = snug_buf_init(4096);
    assert_int_equal(codec_gguf_write_header(g.kvs, 1, NULL, 0, &out, &err), SNUG_OK);
    assert_int_equal(out.len % 32, 0);
    out.ptr[4] = 2; /* the one difference: we write version 3 */
    assert_memory_equal(out.ptr, b.ptr, b.len);
    snug_buf_deinit(&out);
    snug_buf_deinit(&b);
    snug_arena_free(a);
}

static void tensors(void **state)
{
    (void)state;
    snug_buf b = head(3, 1, 0);
    put_tensor(&b, "t", 8, 4, 0);
    put_zeros(&b, 256);
    refused(&b, "type 4 is unknown or withdrawn");
    b = head(3, 1, 0);
    put_tensor(&b, "t", 33, 2, 0);
    put_zeros(&b, 256);
    refused(&b, "no whole number of Q4_0 blocks");
    b = head(3, 1, 0);
    put_tensor(&b, "t", UINT64_MAX, 0, 0);
    put_zeros(&b, 256);
    refused(&b, "64 bits");
    b = head(3, 1, 0);
    put_tensor(&b, "t", 8, 0, 32);
    put_zeros(&b, 256);
    refused(&b, "starts at byte 32 of the data");
    b = head(3, 2, 0);
    put_tensor(&b, "t", 8, 0, 0);
    put_tensor(&b, "u", 8, 0, 0);
    put_zeros(&b, 256);
    refused(&b, "\"u\" starts at byte 0");
    b = head(3, 2, 0);
    put_tensor(&b, "t", 8, 0, 0);
    put_tensor(&b, "t", 8, 0, 32);
    put_zeros(&b, 256);
    refused(&b, "tensor \"t\" is there twice");
    b = head(3, 1, 0);
    put_tensor(&b, "t", 8, 0, 0);
    put_zeros(&b, 64 + 31);
    refused(&b, "cut off");
    b = head(3, 1, 0);
    put_str(&b, "t");
    put(&b, 5, 4);
    put_zeros(&b, 256);
    refused(&b, "5 dimensions");
}

/* ---- writing and splits ---- */

static snug_status write_two(const char *first, const char *second, snug_err *err)
{
    codec_gguf_tensor t[2] = {
        {.name = snug_str(first), .type = codec_ggml_type_of(2), .rank = 2, .dims = {32, 3}},
        {.name = snug_str(second), .type = codec_ggml_type_of(0), .rank = 1, .dims = {2}}};
    codec_gguf_kv kv = {SNUG_LIT("general.alignment"), {.kind = CODEC_GGUF_U32, .v.u = 64}};
    snug_buf      out = snug_buf_init(4096);
    snug_status   st = codec_gguf_write_header(&kv, 1, t, 2, &out, err);
    if (st == SNUG_OK) {
        assert_int_equal(out.len % 64, 0);
        assert_int_equal(t[0].size, 54);
        assert_int_equal(t[1].offset, 64);
    }
    snug_buf_deinit(&out);
    return st;
}

static void written_headers(void **state)
{
    snug_err err = {0};
    (void)state;
    assert_int_equal(write_two("a", "b", &err), SNUG_OK);
    assert_int_equal(write_two("a", "a", &err), SNUG_EINVAL);
    assert_string_equal(err.msg, "the tensor \"a\" is there twice");
    assert_int_equal(write_two("a", "", &err), SNUG_EINVAL);
}

static codec_gguf part_of(snug_arena *a, unsigned no, unsigned count, unsigned total,
                          const char *tensor)
{
    snug_err   err = {0};
    codec_gguf g;
    snug_buf   b = head(3, 1, 3);
    pair(&b, "split.no", CODEC_GGUF_U16, no, 2);
    pair(&b, "split.count", CODEC_GGUF_U16, count, 2);
    pair(&b, "split.tensors.count", CODEC_GGUF_I32, total, 4);
    put_tensor(&b, tensor, 8, 0, 0);
    put_zeros(&b, 256);
    snug_slice kept = snug_arena_dup(a, snug_buf_slice(&b));
    snug_buf_deinit(&b);
    assert_int_equal(codec_gguf_parse(a, kept, kept.len, &g, &err), SNUG_OK);
    return g;
}

static void split_models(void **state)
{
    snug_arena *a = snug_arena_new();
    snug_err    err = {0};
    codec_gguf  p0 = part_of(a, 0, 2, 2, "x"), p1 = part_of(a, 1, 2, 2, "y"),
               twin = part_of(a, 1, 2, 2, "x"), wrong = part_of(a, 1, 3, 2, "y");
    const codec_gguf *good[] = {&p0, &p1}, *swapped[] = {&p1, &p0}, *same[] = {&p0, &twin},
                     *three[] = {&p0, &wrong};
    (void)state;
    assert_int_equal(codec_gguf_check_splits(good, 2, &err), SNUG_OK);
    assert_int_equal(codec_gguf_check_splits(swapped, 2, &err), SNUG_ECORRUPT);
    assert_string_equal(err.msg, "part 1 says split.no is 1, not 0");
    assert_int_equal(codec_gguf_check_splits(same, 2, &err), SNUG_ECORRUPT);
    assert_string_equal(err.msg, "the tensor \"x\" is there twice");
    assert_int_equal(codec_gguf_check_splits(three, 2, &err), SNUG_ECORRUPT);
    assert_int_equal(codec_gguf_check_splits(good, 1, &err), SNUG_ECORRUPT);
    snug_arena_free(a);
}

static void split_names(void **state)
{
    snug_slice prefix;
    unsigned   number, count;
    (void)state;
    assert_true(
        codec_gguf_split_name(SNUG_LIT("m-Q4-00002-of-00005.gguf"), &prefix, &number, &count));
    assert_true(snug_eq_str(prefix, "m-Q4"));
    assert_int_equal(number, 2);
    assert_int_equal(count, 5);
    const char *none[] = {"m.gguf",
                          "-00001-of-00002.gguf",
                          "m-00000-of-00002.gguf",
                          "m-00003-of-00002.gguf",
                          "m-0000x-of-00002.gguf",
                          "m-00001-of-00002.ggml",
                          "m_00001-of-00002.gguf"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_false(codec_gguf_split_name(snug_str(none[i]), &prefix, &number, &count));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_of_the_gguf_package),
        cmocka_unit_test(a_long_file_is_listed_from_its_head),
        cmocka_unit_test(versions_and_byte_orders),
        cmocka_unit_test(counts_are_compared_with_bytes),
        cmocka_unit_test(values),
        cmocka_unit_test(nested_arrays_are_read_and_written),
        cmocka_unit_test(tensors),
        cmocka_unit_test(written_headers),
        cmocka_unit_test(split_models),
        cmocka_unit_test(split_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
