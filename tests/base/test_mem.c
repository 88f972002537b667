/* SPDX-License-Identifier: Apache-2.0 */
/* tests/base/test_mem.c - arenas and buffers. */
#include "check.h"

/* Sanitizers end the process on absurd sizes unless asked to return NULL as malloc does. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "allocator_may_return_null=1"; }
const char *__tsan_default_options(void);
const char *__tsan_default_options(void) { return "allocator_may_return_null=1"; }

static void test_arena_blocks(void **state)
{
    (void)state;
    snug_arena *a = snug_arena_new();
    uint64_t    rnd = 3;
    enum { N = 3000 };
    struct {
        unsigned char *p;
        size_t         n;
    } got[N];
    size_t total = 0;
    for (size_t i = 0; i < N; i++) {
        got[i].n = check_random(&rnd) % (i % 100 == 0 ? 200000 : 200);
        got[i].p = snug_arena_alloc(a, got[i].n);
        assert_int_equal((uintptr_t)got[i].p % 16, 0);
        memset(got[i].p, (int)(i & 0xff), got[i].n);
        total += got[i].n;
    }
    for (size_t i = 0; i < N; i++) { /* nothing overlaps and nothing moved */
        for (size_t k = 0; k < got[i].n; k++) assert_int_equal(got[i].p[k], i & 0xff);
    }
    assert_true(snug_arena_used(a) >= total && snug_arena_used(a) <= total + N * 16);
    snug_arena_free(a);
    snug_arena_free(NULL);
}

static void test_arena_zero(void **state)
{
    (void)state;
    snug_arena *a = snug_arena_new();
    for (int round = 0; round < 3; round++) {
        unsigned char *dirty = snug_arena_alloc(a, 3000);
        memset(dirty, 0xff, 3000);
        snug_arena_reset(a);
        assert_int_equal(snug_arena_used(a), 0);
        const unsigned char *p = snug_arena_zalloc(a, 3000);
        for (int i = 0; i < 3000; i++) assert_int_equal(p[i], 0);
        const uint32_t *n = snug_arena_array_try(a, 100, sizeof *n);
        for (int i = 0; i < 100; i++) assert_int_equal(n[i], 0);
    }
    assert_non_null(snug_arena_alloc(a, 0));
    snug_arena_free(a);
}

static void test_arena_refuses(void **state)
{
    (void)state;
    snug_arena *a = snug_arena_new();
    assert_null(snug_arena_array_try(a, SIZE_MAX / 2, 3)); /* the product does not fit */
    assert_null(snug_arena_alloc_try(a, SIZE_MAX));
    assert_null(snug_arena_alloc_try(a, SIZE_MAX - 64));
    assert_non_null(snug_arena_alloc_try(a, 10)); /* and works on */
    snug_arena_free(a);
}

static char order[8];

static void note(void *arg) { order[strlen(order)] = *(const char *)arg; }

static void test_arena_cleanups(void **state)
{
    (void)state;
    snug_arena *a = snug_arena_new();
    memset(order, 0, sizeof order);
    snug_arena_on_free(a, note, "a");
    snug_arena_on_free(a, note, "b");
    snug_arena_on_free(a, note, "c");
    assert_string_equal(order, "");
    snug_arena_reset(a);
    assert_string_equal(order, "cba");
    snug_arena_on_free(a, note, "d");
    snug_arena_free(a);
    assert_string_equal(order, "cbad");
}

static void test_arena_text(void **state)
{
    (void)state;
    snug_arena *a = snug_arena_new();
    char        source[] = "copied";
    snug_slice  s = snug_arena_dup(a, snug_str(source));
    source[0] = 'X';
    assert_slice(s, "copied");
    assert_int_equal(s.ptr[s.len], '\0');
    assert_string_equal(snug_arena_cstr(a, SNUG_LIT("text")), "text");
    assert_string_equal(snug_arena_cstr(a, SNUG_EMPTY), "");
    char long_text[3000];
    memset(long_text, 'y', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    s = snug_arena_printf(a, "%d:%s", 42, long_text);
    assert_int_equal(s.len, 3 + sizeof long_text - 1);
    assert_memory_equal(s.ptr, "42:yyy", 6);
    snug_arena_free(a);
}

static void test_buf_grow(void **state)
{
    (void)state;
    SNUG_AUTO(snug_buf) b = snug_buf_init(SIZE_MAX / 2);
    assert_string_equal(snug_buf_cstr(&b), "");
    assert_int_equal(snug_buf_slice(&b).len, 0);
    for (int i = 0; i < 10000; i++) {
        snug_buf_putc(&b, 'a');
        snug_buf_puts(&b, "bc");
        snug_buf_put(&b, "d\0e", 3);
        snug_buf_put_slice(&b, SNUG_EMPTY);
        snug_buf_printf(&b, "%03d", i % 1000);
    }
    assert_int_equal(b.len, 90000);
    assert_memory_equal(b.ptr + 9 * 1234, "abcd\0e234", 9);
    assert_int_equal(snug_buf_cstr(&b)[90000], '\0');
    snug_buf_clear(&b);
    assert_int_equal(b.len, 0);
    snug_buf_puts(&b, "again");
    assert_string_equal(snug_buf_cstr(&b), "again");
    assert_int_equal(snug_buf_check(&b, "x", NULL), SNUG_OK);
}

static void test_buf_max(void **state)
{
    (void)state;
    SNUG_AUTO(snug_buf) b = snug_buf_init(10);
    snug_err err;
    snug_buf_puts(&b, "12345");
    snug_buf_puts(&b, "67890");
    assert_false(b.full);
    assert_string_equal(snug_buf_cstr(&b), "1234567890");
    snug_buf_putc(&b, 'x');
    assert_true(b.full);
    assert_int_equal(b.len, 10);
    assert_int_equal(snug_buf_check(&b, "the card", &err), SNUG_ELIMIT);
    assert_string_equal(err.msg, "the card is larger than the limit of 10 bytes");
    snug_buf_clear(&b);
    assert_false(b.full);
    snug_buf_puts(&b, "123456789");
    snug_buf_puts(&b, "two"); /* does not fit: nothing of it is kept */
    snug_buf_putc(&b, 'z');   /* would fit, but comes later */
    assert_string_equal(snug_buf_cstr(&b), "123456789");
    assert_true(b.full);
    snug_buf_clear(&b);
    snug_buf_printf(&b, "%s", "12345678901");
    assert_true(b.full && b.len == 0);
    snug_buf_clear(&b);
    snug_buf_printf(&b, "%s", "1234567890");
    assert_true(!b.full && b.len == 10);
    assert_false(snug_buf_reserve(&b, SIZE_MAX));
}

static void test_buf_zero(void **state)
{
    (void)state;
    SNUG_AUTO(snug_buf) b = snug_buf_init(0);
    snug_buf_put(&b, "", 0);
    assert_false(b.full);
    snug_buf_putc(&b, 'x');
    assert_true(b.full && b.len == 0);
}

static void test_heap(void **state)
{
    (void)state;
    char *p = snug_strdup(SNUG_LIT("a\0b"));
    assert_memory_equal(p, "a\0b", 4);
    free(p);
    unsigned char *z = snug_zalloc(64);
    for (int i = 0; i < 64; i++) assert_int_equal(z[i], 0);
    z = snug_realloc(z, 100000);
    z[99999] = 1;
    free(z);
    p = snug_alloc(0);
    assert_non_null(p);
    free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arena_blocks),  cmocka_unit_test(test_arena_zero),
        cmocka_unit_test(test_arena_refuses), cmocka_unit_test(test_arena_cleanups),
        cmocka_unit_test(test_arena_text),    cmocka_unit_test(test_buf_grow),
        cmocka_unit_test(test_buf_max),       cmocka_unit_test(test_buf_zero),
        cmocka_unit_test(test_heap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
