/* SPDX-License-Identifier: Apache-2.0 */
/* tests/codec/test_safetensors.c - what is read, what is refused and with which words, what is
 * written. Files in tests/golden/codec were made by safetensors 0.8 (torch 2) or by hand. */
#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "codec/codec.h"

#define GOLDEN SNUG_SOURCE_DIR "/tests/golden/codec/"

static snug_slice load(snug_arena *a, const char *name)
{
    snug_err    err = {0};
    snug_slice  bytes;
    const char *path = snug_arena_printf(a, GOLDEN "%s", name).ptr;
    assert_int_equal(snug_read_file(a, path, 1 << 20, &bytes, &err), SNUG_OK);
    return bytes;
}

/* Header text plus `body` zero bytes. */
static snug_slice file_of(snug_arena *a, const char *header, size_t body)
{
    size_t n = strlen(header);
    char  *p = snug_arena_zalloc(a, 8 + n + body);
    for (unsigned i = 0; i < 8; i++) p[i] = (char)(n >> (8 * i) & 255);
    memcpy(p + 8, header, n);
    return snug_slice_of(p, 8 + n + body);
}

static snug_status parse(snug_arena *a, snug_slice f, codec_safetensors *st, snug_err *err)
{
    return codec_safetensors_parse(a, f, f.len, st, err);
}

static uint64_t elements(const codec_tensor *t)
{
    uint64_t n = 1;
    for (unsigned d = 0; d < t->rank; d++) n *= t->shape[d];
    return n;
}

static void every_dtype_equals_its_float64_twin(void **state)
{
    snug_arena       *a = snug_arena_new();
    snug_slice        f = load(a, "dtypes.safetensors"), g = load(a, "dtypes.as-f64.safetensors");
    codec_safetensors st, twin;
    snug_err          err = {0};
    snug_slice        note;
    (void)state;
    assert_int_equal(parse(a, f, &st, &err), SNUG_OK);
    assert_int_equal(parse(a, g, &twin, &err), SNUG_OK);
    assert_int_equal(st.count, 14);
    assert_int_equal(twin.count, 14);
    assert_true(snug_json_to_str(snug_json_get(st.metadata, "note"), &note));
    assert_true(snug_eq_str(note, "every dtype"));
    assert_int_equal(snug_json_kind(twin.metadata), SNUG_JSON_ABSENT);
    size_t compared = 0;
    for (size_t i = 0; i < st.count; i++) {
        const codec_tensor *t = &st.tensors[i], *w = codec_safetensors_find(&twin, t->name);
        assert_non_null(w);
        assert_int_equal(w->dtype, CODEC_F64);
        assert_int_equal(t->rank, w->rank);
        assert_memory_equal(t->shape, w->shape, t->rank * sizeof t->shape[0]);
        for (uint64_t k = 0; k < elements(t); k++, compared++) {
            double got = codec_dtype_read(t->dtype, f.ptr + st.data_offset + t->offset, k);
            double want = codec_dtype_read(CODEC_F64, g.ptr + twin.data_offset + w->offset, k);
            assert_true(got == want);
        }
    }
    assert_int_equal(compared, 12 * 15 + 1);
    const codec_tensor *empty = codec_safetensors_find(&st, SNUG_LIT("empty"));
    assert_int_equal(empty->rank, 2);
    assert_int_equal(empty->size, 0);
    assert_int_equal(codec_safetensors_find(&st, SNUG_LIT("scalar"))->rank, 0);
    assert_null(codec_safetensors_find(&st, SNUG_LIT("f6")));
    snug_arena_free(a);
}

static void bad_files_say_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *name, *words;
    } rows[] = {
        {"empty", "there are only 0"},
        {"seven-bytes", "there are only 7"},
        {"header-longer-than-file", "header of 1099511627776 bytes is larger than the limit"},
        {"not-json", "header: line 1 column 2"},
        {"duplicate-key", "a key comes twice"},
        {"metadata-not-string", "__metadata__: \"k\" must be a string"},
        {"negative-offset", "data_offsets must be two whole numbers"},
        {"hole", "tensor \"b\" starts at byte 8 of the data, after a hole that starts at 4"},
        {"overlap", "tensor \"b\" starts at byte 4 of the data, inside another that ends at 8"},
        {"shape-overflow", "more elements than 64 bits count"},
        {"size-mismatch", "dtype and shape need 12 bytes, data_offsets give 8"},
        {"trailing-bytes", "4 bytes follow the last tensor"},
        {"truncated-body", "the file is cut off: tensors need 8 bytes of data, there are 4"},
        {"unknown-dtype", "unknown dtype \"Q99\""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        snug_arena       *a = snug_arena_new();
        codec_safetensors st;
        snug_err          err = {0};
        snug_slice        f = load(a, snug_arena_printf(a, "bad/%s.safetensors", rows[i].name).ptr);
        assert_int_equal(parse(a, f, &st, &err), SNUG_ECORRUPT);
        assert_int_equal(err.status, SNUG_ECORRUPT);
        if (strstr(err.msg, rows[i].words) == NULL) fail_msg("%s: %s", rows[i].name, err.msg);
        snug_arena_free(a);
    }
}

static void odd_headers_are_refused(void **state)
{
    (void)state;
#define ONE "\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}"
    static const struct {
        const char *header, *words;
        size_t      body;
    } rows[] = {
        {"", "starts with '{'", 0},
        {" {}", "starts with '{'", 0},
        {"[]", "starts with '{'", 0},
        {"{} x", "header: ", 0},
        {"{\"a\":3}", "must be described by an object", 0},
        {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,1]}}", "dtype must be a string", 1},
        {"{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", "shape must be an array", 1},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}", "data_offsets must be two", 1},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1,1]}}", "must be two", 1},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0.0,1]}}", "must be two", 1},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[2,1]}}", "before its start", 1},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[-1],\"data_offsets\":[0,1]}}", "every dimension", 1},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1.5],\"data_offsets\":[0,1]}}", "every dimension", 1},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[\"1\"],\"data_offsets\":[0,1]}}", "every dimension",
         1},
        {"{\"a\":{\"dtype\":\"F4\",\"shape\":[3],\"data_offsets\":[0,1]}}", "fill whole bytes", 1},
        {"{\"__metadata__\":[]," ONE "}", "__metadata__ must be an object", 1},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1099511627776,1099511627776,0],"
         "\"data_offsets\":[0,0]}}",
         "64 bits", 0},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
         "\"z\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[1,1]}}",
         "inside another", 2},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        snug_arena       *a = snug_arena_new();
        codec_safetensors st;
        snug_err          err = {0};
        assert_int_equal(parse(a, file_of(a, rows[i].header, rows[i].body), &st, &err),
                         SNUG_ECORRUPT);
        if (strstr(err.msg, rows[i].words) == NULL) fail_msg("%s: %s", rows[i].header, err.msg);
        snug_arena_free(a);
    }
}

static void deep_and_wide_headers_are_refused(void **state)
{
    enum { DEPTH = 100000 };
    snug_arena       *a = snug_arena_new();
    codec_safetensors st;
    snug_err          err = {0};
    char             *text = snug_arena_zalloc(a, 2 * DEPTH + 16);
    (void)state;
    memcpy(text, "{\"a\":", 5);
    memset(text + 5, '[', DEPTH);
    memset(text + 5 + DEPTH, ']', DEPTH);
    text[5 + 2 * DEPTH] = '}';
    assert_int_equal(parse(a, file_of(a, text, 0), &st, &err), SNUG_ECORRUPT);
    assert_int_equal(
        parse(a,
              file_of(a,
                      "{\"a\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],"
                      "\"data_offsets\":[0,1]}}",
                      1),
              &st, &err),
        SNUG_ELIMIT);
    assert_non_null(strstr(err.msg, "17 dimensions; the limit is 16"));
    snug_arena_free(a);
}

static void what_the_format_allows_is_read(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        size_t      body, count;
    } rows[] = {
        {"{}", 0, 0},
        {"{}      ", 0, 0},
        {"{}\n", 0, 0},
        {"{\"__metadata__\":null," ONE "}", 1, 1},
        {"{\"__metadata__\":{}," ONE "}", 1, 1},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"note\":[]}}", 1, 1},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}", 4, 1},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[0,7],\"data_offsets\":[0,0]}}", 0, 1},
        {"{\"\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, 1},
        {"{\"a\":{\"dtype\":\"F6_E2M3\",\"shape\":[4],\"data_offsets\":[0,3]}}", 3, 1},
        /* an empty tensor on the border of two others, and tensors out of order */
        {"{\"z\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[1,1]},"
         "\"b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}," ONE "}",
         2, 3},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        snug_arena       *a = snug_arena_new();
        codec_safetensors st;
        snug_err          err = {0};
        snug_status       got = parse(a, file_of(a, rows[i].header, rows[i].body), &st, &err);
        if (got != SNUG_OK) fail_msg("%s: %s", rows[i].header, err.msg);
        assert_int_equal(st.count, rows[i].count);
        assert_int_equal(st.data_size, rows[i].body);
        snug_arena_free(a);
    }
}

/* Only the header is at hand, as when a remote file is read by ranges. */
static void a_header_alone_is_enough(void **state)
{
    snug_arena       *a = snug_arena_new();
    snug_slice        f = load(a, "dtypes.safetensors");
    codec_safetensors st;
    snug_err          err = {0};
    uint64_t          n;
    (void)state;
    assert_int_equal(codec_safetensors_header_size(snug_sub(f, 0, 8), f.len, &n, &err), SNUG_OK);
    snug_slice head = snug_sub(f, 0, (size_t)n + 8);
    assert_int_equal(codec_safetensors_parse(a, head, f.len, &st, &err), SNUG_OK);
    assert_int_equal(st.data_offset + st.data_size, f.len);
    head.len--;
    assert_int_equal(codec_safetensors_parse(a, head, f.len, &st, &err), SNUG_ECORRUPT);
    assert_int_equal(codec_safetensors_parse(a, f, f.len + 1, &st, &err), SNUG_ECORRUPT);
    snug_arena_free(a);
}

/* Each byte of a good header changed in turn: refused or read, never out of bounds (ASan looks). */
static void damaged_headers_do_no_harm(void **state)
{
    snug_arena *a = snug_arena_new();
    snug_slice  f = load(a, "dtypes.safetensors");
    char       *copy = malloc(f.len);
    (void)state;
    assert_non_null(copy);
    for (size_t i = 0; i < 1200 && i < f.len; i++) {
        snug_arena       *b = snug_arena_new();
        codec_safetensors st;
        memcpy(copy, f.ptr, f.len);
        copy[i] = (char)(copy[i] ^ (1 << i % 7));
        if (parse(b, snug_slice_of(copy, f.len), &st, NULL) == SNUG_OK) {
            uint64_t sum = 0;
            for (size_t k = 0; k < st.count; k++) sum += st.tensors[k].size;
            assert_int_equal(sum, st.data_size);
        }
        snug_arena_free(b);
    }
    free(copy);
    snug_arena_free(a);
}

static void written_header_is_exact_and_reads_back(void **state)
{
    snug_arena  *a = snug_arena_new();
    snug_buf     out = snug_buf_init(1 << 16);
    snug_err     err = {0};
    snug_json    meta;
    codec_tensor t[] = {
        {.name = SNUG_LIT("w\"1"), .dtype = CODEC_F16, .rank = 2, .shape = {2, 3}},
        {.name = SNUG_LIT("a"), .dtype = CODEC_F32, .rank = 0},
        {.name = SNUG_LIT("none"), .dtype = CODEC_I64, .rank = 1, .shape = {0}},
    };
    static const char want[] =
        "{\"__metadata__\":{\"format\":\"pt\"},"
        "\"w\\\"1\":{\"dtype\":\"F16\",\"shape\":[2,3],\"data_offsets\":[0,12]},"
        "\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[12,16]},"
        "\"none\":{\"dtype\":\"I64\",\"shape\":[0],\"data_offsets\":[16,16]}}";
    (void)state;
    assert_int_equal(snug_json_parse(a, SNUG_LIT("{\"format\":\"pt\"}"), NULL, &meta, &err),
                     SNUG_OK);
    assert_int_equal(codec_safetensors_write_header(t, 3, meta, &out, &err), SNUG_OK);
    snug_slice s = snug_buf_slice(&out);
    assert_int_equal(s.len % 8, 0);
    assert_memory_equal(s.ptr + 8, want, sizeof want - 1);
    for (size_t i = 8 + sizeof want - 1; i < s.len; i++) assert_int_equal(s.ptr[i], ' ');
    assert_int_equal(t[1].offset, 12);
    assert_int_equal(t[1].size, 4);

    codec_safetensors st;
    assert_int_equal(codec_safetensors_parse(a, s, s.len + 16, &st, &err), SNUG_OK);
    assert_int_equal(st.count, 3);
    assert_true(snug_eq_str(st.tensors[0].name, "w\"1"));
    assert_int_equal(st.data_offset, s.len);
    snug_buf_deinit(&out);
    snug_arena_free(a);
}

static void unwritable_tensors_are_refused(void **state)
{
    snug_arena  *a = snug_arena_new();
    snug_buf     out = snug_buf_init(1 << 16);
    snug_err     err = {0};
    snug_json    none = {NULL}, bad;
    codec_tensor twice[] = {{.name = SNUG_LIT("x"), .dtype = CODEC_U8},
                            {.name = SNUG_LIT("y"), .dtype = CODEC_U8},
                            {.name = SNUG_LIT("x"), .dtype = CODEC_U8}};
    codec_tensor meta[] = {{.name = SNUG_LIT("__metadata__"), .dtype = CODEC_U8}};
    codec_tensor huge[] = {
        {.name = SNUG_LIT("x"), .dtype = CODEC_U8, .rank = 2, .shape = {UINT64_MAX, 2}}};
    (void)state;
    assert_int_equal(codec_safetensors_write_header(twice, 3, none, &out, &err), SNUG_EINVAL);
    assert_non_null(strstr(err.msg, "two tensors are named \"x\""));
    assert_int_equal(codec_safetensors_write_header(meta, 1, none, &out, &err), SNUG_EINVAL);
    assert_int_equal(codec_safetensors_write_header(huge, 1, none, &out, &err), SNUG_ECORRUPT);
    assert_int_equal(snug_json_parse(a, SNUG_LIT("{\"k\":1}"), NULL, &bad, &err), SNUG_OK);
    assert_int_equal(codec_safetensors_write_header(twice, 1, bad, &out, &err), SNUG_ECORRUPT);
    assert_int_equal(out.len, 0);
    snug_buf_deinit(&out);
    snug_arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_dtype_equals_its_float64_twin),
        cmocka_unit_test(bad_files_say_what_is_wrong),
        cmocka_unit_test(odd_headers_are_refused),
        cmocka_unit_test(deep_and_wide_headers_are_refused),
        cmocka_unit_test(what_the_format_allows_is_read),
        cmocka_unit_test(a_header_alone_is_enough),
        cmocka_unit_test(damaged_headers_do_no_harm),
        cmocka_unit_test(written_header_is_exact_and_reads_back),
        cmocka_unit_test(unwritable_tensors_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
