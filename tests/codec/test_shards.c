/* SPDX-License-Identifier: Apache-2.0 */
/* tests/codec/test_shards.c - which tensor goes into which file, and the index. */
#include "golden.h"

static codec_tensor *make(snug_arena *a, const uint64_t *sizes, size_t n)
{
    codec_tensor *t = snug_arena_zalloc(a, (n + 1) * sizeof *t);
    for (size_t i = 0; i < n; i++) {
        t[i].name = snug_arena_printf(a, "t%zu", i);
        t[i].size = sizes[i];
    }
    return t;
}

static void splits(const uint64_t *sizes, size_t n, uint64_t max, const size_t *counts,
                   size_t files)
{
    snug_arena  *a = snug_arena_new();
    snug_err     err = {0};
    codec_shard *s;
    size_t       got, first = 0;
    assert_int_equal(codec_shards_plan(a, make(a, sizes, n), n, max, "model", &s, &got, &err),
                     SNUG_OK);
    assert_int_equal(got, files);
    for (size_t i = 0; i < files; i++) {
        assert_int_equal(s[i].first, first);
        assert_int_equal(s[i].count, counts[i]);
        first += counts[i];
    }
    assert_int_equal(first, n);
    snug_arena_free(a);
}

static void test_files_keep_the_limit(void **state)
{
    (void)state;
    splits((uint64_t[]){5, 5, 5}, 3, 100, (size_t[]){3}, 1);
    splits((uint64_t[]){5, 5, 5}, 3, 10, (size_t[]){2, 1}, 2);
    splits((uint64_t[]){5, 5, 1}, 3, 9, (size_t[]){1, 2}, 2);
    splits((uint64_t[]){1, 50, 1}, 3, 9, (size_t[]){1, 1, 1}, 3); /* too large for any: alone */
    splits((uint64_t[]){50, 60}, 2, 9, (size_t[]){1, 1}, 2);
    splits((uint64_t[]){0, 0, 9, 0}, 4, 9, (size_t[]){4}, 1);
    splits((uint64_t[]){UINT64_MAX, 1}, 2, UINT64_MAX, (size_t[]){1, 1}, 2); /* sums do not wrap */
    splits(NULL, 0, 9, (size_t[]){0}, 1);
}

static void test_names_and_index(void **state)
{
    static const char want[] =
        "{\n  \"metadata\": {\n    \"total_size\": 12\n  },\n  \"weight_map\": {\n"
        "    \"t0\": \"m-00001-of-00002.safetensors\",\n"
        "    \"t1\": \"m-00001-of-00002.safetensors\",\n"
        "    \"t2\": \"m-00002-of-00002.safetensors\"\n  }\n}\n";
    snug_arena   *a = snug_arena_new();
    snug_err      err = {0};
    codec_shard  *s;
    size_t        n;
    snug_buf      b = snug_buf_init(1000);
    codec_tensor *t = make(a, (uint64_t[]){4, 4, 4}, 3);
    (void)state;
    assert_int_equal(codec_shards_plan(a, t, 3, 8, "m", &s, &n, &err), SNUG_OK);
    assert_int_equal(codec_shards_put_index(t, s, n, &b, &err), SNUG_OK);
    assert_true(snug_eq_str(snug_buf_slice(&b), want));
    assert_int_equal(codec_shards_plan(a, t, 3, 12, "m", &s, &n, &err), SNUG_OK);
    assert_true(snug_eq_str(s[0].name, "m.safetensors"));
    snug_buf_deinit(&b);
    snug_arena_free(a);
}

static void test_too_many_files(void **state)
{
    snug_arena  *a = snug_arena_new();
    snug_err     err = {0};
    codec_shard *s;
    size_t       n, count = CODEC_SHARDS_MAX + 1;
    uint64_t    *sizes = snug_arena_zalloc(a, count * sizeof *sizes);
    (void)state;
    for (size_t i = 0; i < count; i++) sizes[i] = 2;
    assert_int_equal(codec_shards_plan(a, make(a, sizes, count), count, 2, "m", &s, &n, &err),
                     SNUG_ELIMIT);
    says(&err, "allow larger ones");
    snug_arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_files_keep_the_limit),
                                       cmocka_unit_test(test_names_and_index),
                                       cmocka_unit_test(test_too_many_files)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
